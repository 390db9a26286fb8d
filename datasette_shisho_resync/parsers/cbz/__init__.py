"""A comic archive (CBZ) -> `ParsedFile`: what the elements of ComicInfo and the page names mean.

Knows nothing of zip records and XML (`..archive`, `..xml`), nor of titles and series made from paths.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import BinaryIO, TypeVar

from ...errors import LimitExceeded, MediaError, UnreadableFile
from ...model import Author, Chapter, CoverImage, Identifier, Limits, ParsedFile, SeriesEntry
from ...normalize.dates import comic_date
from ...normalize.identifiers import identifier
from ...normalize.language import language_tag
from ...normalize.names import Split, split_list, split_names
from ...normalize.numbers import VOLUME, parse_number_range
from ...normalize.text import clean, clean_line, html_to_text
from ...normalize.titles import (
    normalize_comic_title,
    series_from_title,
    without_bracketed,
    without_extension,
)
from ...sources import CBZ
from ..archive import Archive
from ..image import read_cover
from .comicbookinfo import parse_comic_book_info
from .comicinfo import NO_COMIC_INFO, ComicInfo, load_comic_info
from .pages import cover_pages, find_chapters, page_names

_ROLES = (
    ("Writer", "writer"),
    ("Penciller", "penciller"),
    ("Inker", "inker"),
    ("Colorist", "colorist"),
    ("Letterer", "letterer"),
    ("CoverArtist", "cover_artist"),
    ("Editor", "editor"),
    ("Translator", "translator"),
)
_FIRST_YEAR = 1800
_WEB_SCHEMES = ("http://", "https://")
_BETWEEN_ADDRESSES = re.compile(r"\s+|[,;](?=https?://)", re.IGNORECASE)
_Entry = TypeVar("_Entry")


def parse_cbz(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    """Read a comic's metadata, page count and chapters; of the pages only their names.

    Raises: UnreadableFile, LimitExceeded.
    Source: spec 4.2.
    """
    archive = Archive(file, name, limits)
    pages = page_names(archive.names)
    info = _info(archive, name, limits)
    covers = cover_pages(info.marks, pages)
    return ParsedFile(
        source=CBZ,
        title=clean_line(info.text("Title"), limits.max_scalar_bytes),
        description=clean(html_to_text(info.text("Summary")), limits.max_description_bytes),
        authors=_authors(info, name, limits),
        series=_series(info, name, limits),
        genres=_limited(_genres(info, limits), "genres", name, limits),
        tags=_limited(_split(info, "Tags", limits), "tags", name, limits),
        url=clean(_web_address(info.text("Web")), limits.max_scalar_bytes),
        release_date=comic_date(info.text("Year"), info.text("Month"), info.text("Day")),
        language=language_tag(info.text("LanguageISO")),
        publisher=clean_line(info.text("Imprint") or info.text("Publisher"), limits.max_scalar_bytes),
        identifiers=_identifiers(info.text("GTIN"), limits),
        chapters=_chapters(pages, info, name, limits),
        page_count=len(pages) or None,
        load_cover=partial(_load_cover, archive, pages, covers, name, limits) if covers else None,
        load_page=lambda page: _load_page(archive, pages, page, name, limits),
        warnings=info.warnings,
    )


def _info(archive: Archive, name: str, limits: Limits) -> ComicInfo:
    # Differs from Shisho: it knows no ComicBookInfo.
    info = load_comic_info(archive, name, limits)
    return parse_comic_book_info(archive.comment) if info is NO_COMIC_INFO else info


def _genres(info: ComicInfo, limits: Limits) -> tuple[str, ...]:
    # Differs from Shisho: a comic that says to be a manga has that genre.
    genres = _split(info, "Genre", limits)
    is_manga = info.text("Manga").lower().startswith("yes") and "manga" not in (g.lower() for g in genres)
    return (*genres, "Manga") if is_manga else genres


def _split(info: ComicInfo, element: str, limits: Limits, split: Split = split_list) -> tuple[str, ...]:
    text = info.text(element)
    if not text:
        return ()
    names = (clean_line(part, limits.max_scalar_bytes) for part in split(text))
    return tuple(dict.fromkeys(name for name in names if name))


def _limited(entries: tuple[_Entry, ...], what: str, name: str, limits: Limits) -> tuple[_Entry, ...]:
    if len(entries) > limits.max_list_entries:
        raise LimitExceeded(name, f"more than {limits.max_list_entries:,} {what} (max_list_entries)")
    return entries


def _authors(info: ComicInfo, name: str, limits: Limits) -> tuple[Author, ...]:
    found = (
        Author(person, role)
        for element, role in _ROLES
        for person in _split(info, element, limits, split_names)
    )
    return _limited(tuple(found), "authors", name, limits)


def _series(info: ComicInfo, name: str, limits: Limits) -> tuple[SeriesEntry, ...]:
    if series := clean_line(info.text("Series"), limits.max_scalar_bytes):
        if numbers := parse_number_range(info.text("Number")):
            return (SeriesEntry(series, *numbers),)
        return (_numbered_by_file_name(series, name) or _numbered_by_volume(series, info),)
    # Differs from Shisho: a comic that names only another series belongs to that one.
    if series := clean_line(info.text("AlternateSeries"), limits.max_scalar_bytes):
        return (SeriesEntry(series, *(parse_number_range(info.text("AlternateNumber")) or ())),)
    return ()


def _numbered_by_file_name(series: str, name: str) -> SeriesEntry | None:
    """Take number and unit from the file name: `Any Words v03 (2020).cbz`."""
    stem = without_extension(name.rpartition("/")[2])
    words = " ".join(without_bracketed(stem, "(", ")").split())
    found = series_from_title(normalize_comic_title(words)[0])
    return replace(found, name=series) if found else None


def _numbered_by_volume(series: str, info: ComicInfo) -> SeriesEntry:
    """Take the volume for the number where there is no other; a year tells series of one name apart."""
    # Differs from Shisho: it never reads the volume.
    numbers = parse_number_range(info.text("Volume"))
    if numbers is None or not 0 <= numbers[0] < _FIRST_YEAR:
        return SeriesEntry(series)
    return SeriesEntry(series, *numbers, VOLUME)


def _web_address(web: str) -> str:
    """Return the first web address; ComicInfo 2.1 allows several with blanks, some write commas, between."""
    # Differs from Shisho: it keeps all of them as one address.
    addresses = (part for part in _BETWEEN_ADDRESSES.split(web) if part.lower().startswith(_WEB_SCHEMES))
    return next(addresses, web).rstrip(",;")


def _identifiers(gtin: str, limits: Limits) -> tuple[Identifier, ...]:
    cleaned = clean(gtin, limits.max_scalar_bytes)
    return (identifier(cleaned) or Identifier("other", cleaned),) if cleaned else ()


def _chapters(pages: tuple[str, ...], info: ComicInfo, name: str, limits: Limits) -> tuple[Chapter, ...]:
    found = find_chapters(pages, info.marks)
    if len(found) > limits.max_chapters:
        raise LimitExceeded(name, f"more than {limits.max_chapters:,} chapters (max_chapters)")
    titled = ((clean_line(chapter.title, limits.max_scalar_bytes), chapter.start_page) for chapter in found)
    return tuple(Chapter(title, start_page=page) for title, page in titled if title)


def _load_cover(
    archive: Archive, pages: tuple[str, ...], covers: tuple[int, ...], name: str, limits: Limits
) -> CoverImage:
    """Return the first sound page of `covers`. Raises: MediaError, of the best page, when none is."""
    failure: MediaError | None = None
    for page in covers:
        try:
            return _load_page(archive, pages, page, name, limits)
        except MediaError as error:
            failure = failure or error  # one alone: each keeps hold of the bytes of its page
    assert failure is not None
    raise failure


def _load_page(archive: Archive, pages: tuple[str, ...], page: int, name: str, limits: Limits) -> CoverImage:
    """Raises: MediaError."""
    if page >= len(pages):
        raise UnreadableFile(name, f"has no page {page}")
    return read_cover(archive.read(pages[page], limits.max_cover_bytes), name, limits, page=page)
