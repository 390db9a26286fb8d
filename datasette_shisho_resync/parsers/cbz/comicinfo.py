"""Reads ComicInfo.xml into a value. Knows its XML, not what its elements mean for a book."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from lxml import etree

from ...errors import UnreadableFile
from ...model import Limits
from ..archive import Archive
from ..xml import parse_xml

_ENTRY = "comicinfo.xml"
_PLAIN_TYPES = ((), ("story",))
_PAGE_INDEX = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class PageMark:
    """What a `Page` element says of the page at `page_index`; types are in lower case."""

    page_index: int
    types: tuple[str, ...] = ()
    bookmark: str = ""


@dataclass(frozen=True, slots=True)
class ComicInfo:
    """The document's texts by element name in lower case, its page marks, and what went wrong."""

    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    marks: tuple[PageMark, ...] = ()
    warnings: tuple[str, ...] = ()

    def text(self, element: str) -> str:
        return self.texts.get(element.lower(), "")


NO_COMIC_INFO = ComicInfo()


def load_comic_info(archive: Archive, name: str, limits: Limits) -> ComicInfo:
    """Read the ComicInfo.xml at the archive's root, in any letter case; `NO_COMIC_INFO` when there is none.

    Raises: LimitExceeded. A damaged document is read as far as it goes, with a warning.
    Source: spec 4.2.
    """
    entry = next((entry for entry in archive.names if entry.lower() == _ENTRY), None)
    if entry is None:
        return NO_COMIC_INFO
    try:
        data = archive.read(entry, limits.max_xml_bytes)
    except UnreadableFile as error:
        return ComicInfo(warnings=(f"ComicInfo.xml was left out: {error.reason}.",))
    return parse_comic_info(data, name, limits)


def parse_comic_info(data: bytes, name: str, limits: Limits) -> ComicInfo:
    """Read a ComicInfo document of any schema version, in any namespace and letter case."""
    # Differs from Shisho: damaged XML costs what follows the damage, not the whole comic.
    try:
        return _content(parse_xml(data, name, limits))
    except UnreadableFile as error:
        reason = error.reason
    try:
        root = parse_xml(data, name, limits, recover=True)
    except UnreadableFile:
        return ComicInfo(warnings=(f"ComicInfo.xml was left out: {reason}.",))
    return _content(root, (f"ComicInfo.xml is damaged and may be incomplete: {reason}.",))


def _content(root: etree._Element, warnings: tuple[str, ...] = ()) -> ComicInfo:
    texts: dict[str, str] = {}
    marks: list[PageMark] = []
    for element in root.iterchildren("*"):
        if _local_name(element.tag) == "pages":
            marks += _page_marks(element)
        elif text := "".join(map(str, element.itertext())).strip():
            texts[_local_name(element.tag)] = text
    return ComicInfo(MappingProxyType(texts), tuple(marks), warnings)


def _page_marks(pages: etree._Element) -> Iterator[PageMark]:
    """Give the pages that have a type or a bookmark: most have neither, or are of a story."""
    for page in pages.iterchildren("*"):
        attributes = {_local_name(key): str(value) for key, value in page.items()}
        image = attributes.get("image", "").strip()
        types = tuple(attributes.get("type", "").lower().split())
        bookmark = attributes.get("bookmark", "").strip()
        if (bookmark or types not in _PLAIN_TYPES) and _PAGE_INDEX.fullmatch(image):
            yield PageMark(int(image), types, bookmark)


@lru_cache(maxsize=256)
def _local_name(tag: object) -> str:
    return str(tag).rpartition("}")[2].lower()
