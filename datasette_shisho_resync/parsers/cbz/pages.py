"""Which entries of a comic are pages, in which order, and what their names tell of chapters.

Page indexes are stored in the library, so the order is Shisho's: by the full entry name, byte by
byte (`p10` before `p2`). Only the first page, which is the cover, goes by numbers. Knows neither the
archive's bytes nor ComicInfo's XML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from ...model import Chapter
from .comicinfo import PageMark

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp")
_NUMBER = re.compile("[0-9]+")
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/|\.(?!\.?/))")
_COVER_TYPES = ("frontcover", "innercover")
_MAX_MARKED_COVERS = 5  # each is unpacked until one is sound
# Differs from Shisho: `ch` starts a word, so `batch 5` is no chapter. Only Latin letters count
# before it, since Chinese and Japanese put no blank there.
_CHAPTER_NUMBER = re.compile(r"(?<![a-zÀ-ɏ])ch(?:apter)?[\s_-]?([0-9]{1,9})(?![0-9])", re.IGNORECASE)


def page_names(entries: Iterable[str]) -> tuple[str, ...]:
    """Return the image entries in page order.

    Differs from Shisho: hidden entries and `__MACOSX` are no pages.
    """
    images = (entry for entry in entries if entry.lower().endswith(_IMAGE_SUFFIXES))
    # UTF-8 keeps the order of the code points, so comparing strings compares bytes.
    return tuple(sorted(entry for entry in images if not _JUNK.search(entry)))


def cover_pages(marks: Sequence[PageMark], pages: Sequence[str]) -> tuple[int, ...]:
    """Return the indexes of the pages that may be the cover, best first. Source: spec 4.2."""
    page_count = len(pages)
    if not page_count:
        return ()
    marked = (
        mark.page_index
        for wanted in _COVER_TYPES
        for mark in marks
        if wanted in mark.types and mark.page_index < page_count
    )
    few = islice(dict.fromkeys(marked), _MAX_MARKED_COVERS)
    return tuple(dict.fromkeys((*few, _first(pages), 0)))


def _first(pages: Sequence[str]) -> int:
    """Return the index of the page that comes first by number, where only numbers tell pages apart."""
    # Differs from Shisho: a comic that starts at `page 9` does not have `page 10` as its cover.
    shape = _NUMBER.sub("0", pages[0])
    # Only a shorter name can hold a smaller number that comes later by bytes.
    alike = [i for i, p in enumerate(pages) if len(p) < len(pages[0]) and _NUMBER.sub("0", p) == shape]
    return min((0, *alike), key=lambda index: [int(n[:18]) for n in _NUMBER.findall(pages[index])])


def find_chapters(pages: Sequence[str], marks: Sequence[PageMark]) -> tuple[Chapter, ...]:
    """Return the chapters from bookmarks, else from folders, else from numbers in file names."""
    return _bookmarks(marks, len(pages)) or _folder_chapters(pages) or _numbered_chapters(pages)


def _bookmarks(marks: Sequence[PageMark], page_count: int) -> tuple[Chapter, ...]:
    # Differs from Shisho: it does not read bookmarks, which a person or a tool set on purpose.
    found = {(m.page_index, m.bookmark) for m in marks if m.bookmark and m.page_index < page_count}
    return tuple(Chapter(title, start_page=page) for page, title in sorted(found))


def _folder_chapters(pages: Sequence[str]) -> tuple[Chapter, ...]:
    starts: dict[str, int] = {}
    for index, page in enumerate(pages):
        folder, _, _ = page.rpartition("/")
        if folder:
            starts.setdefault(folder, index)
    if len(starts) < 2:
        return ()
    return tuple(Chapter(folder.rpartition("/")[2], start_page=start) for folder, start in starts.items())


def _numbered_chapters(pages: Sequence[str]) -> tuple[Chapter, ...]:
    starts: dict[int, int] = {}
    for index, page in enumerate(pages):
        if match := _CHAPTER_NUMBER.search(page.rpartition("/")[2]):
            starts.setdefault(int(match[1]), index)
    if len(starts) < 2:
        return ()
    return tuple(Chapter(f"Chapter {number}", start_page=start) for number, start in starts.items())
