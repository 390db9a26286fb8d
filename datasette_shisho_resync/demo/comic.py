"""Writes a comic archive: pages, and a ComicInfo that says what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from .archive import build_archive

_COVER = ' Type="FrontCover"'


def build_comic(info: Mapping[str, str], pages: Sequence[bytes], bookmarks: Mapping[int, str]) -> bytes:
    """Return a CBZ of JPEG pages; `bookmarks` are titles by 0-based page, the first page is the cover."""
    marks = {page: f' Bookmark="{escape(title)}"' for page, title in bookmarks.items()}
    listed = "".join(
        f'<Page Image="{page}"{marks.get(page, "")}{_COVER if page == 0 else ""}/>'
        for page in range(len(pages))
    )
    elements = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in info.items())
    document = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<ComicInfo>{elements}<PageCount>{len(pages)}</PageCount><Pages>{listed}</Pages></ComicInfo>\n"
    )
    drawn = {f"page{number:02}.jpg": page for number, page in enumerate(pages, 1)}
    return build_archive({"ComicInfo.xml": document, **drawn})
