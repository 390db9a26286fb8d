"""Reads ComicBookInfo, JSON in an archive's comment, as if a ComicInfo document said it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from .comicinfo import ComicInfo

_KEY = "ComicBookInfo/1.0"
_ELEMENTS = {
    "series": "series",
    "title": "title",
    "issue": "number",
    "volume": "volume",
    "publisher": "publisher",
    "publicationYear": "year",
    "publicationMonth": "month",
    "genre": "genre",
    "comments": "summary",
    "language": "languageiso",
}
_CREDITS = {
    "writer": "writer",
    "artist": "penciller",
    "penciller": "penciller",
    "penciler": "penciller",
    "inker": "inker",
    "colorer": "colorist",
    "colorist": "colorist",
    "letterer": "letterer",
    "cover": "coverartist",
    "cover artist": "coverartist",
    "editor": "editor",
    "translator": "translator",
}


def parse_comic_book_info(comment: bytes) -> ComicInfo:
    """Return what the comment says; an empty value when it is another text."""
    if _KEY.encode() not in comment:
        return ComicInfo()
    try:
        content = json.loads(comment)[_KEY]
        texts = dict(_texts(content))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        return ComicInfo(warnings=(f"ComicBookInfo was left out: {type(error).__name__}.",))
    return ComicInfo(MappingProxyType(texts))


def _texts(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, element in _ELEMENTS.items():
        value = content.get(key)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            yield element, str(value)
    yield "tags", ";".join(tag for tag in content.get("tags") or () if isinstance(tag, str))
    people: dict[str, list[str]] = {}
    for entry in content.get("credits") or ():
        job = _CREDITS.get(str(entry.get("role", "")).strip().lower())
        if job:
            people.setdefault(job, []).append(_name(str(entry.get("person", ""))))
    yield from ((element, ";".join(names)) for element, names in people.items())


def _name(person: str) -> str:
    """Write `Lee, Ann` as it is spoken, since names are split at commas."""
    surname, _, given = person.partition(",")
    return f"{given.strip()} {surname.strip()}".strip() if "," not in given else person
