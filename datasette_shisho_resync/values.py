"""The JSON form of values: what answers, history and sidecars hold. Pure; knows no files and no database.

>>> to_json((Author("Ann Leckie"),))
[{'name': 'Ann Leckie', 'role': None}]
>>> from_json("genres", ["Space opera"], Limits())
('Space opera',)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from operator import attrgetter
from typing import Any, TypeVar

from .fields import BY_NAME, Kind
from .model import Author, Chapter, CoverImage, Identifier, Limits, SeriesEntry, Value
from .normalize.dates import parse_date
from .normalize.identifiers import merged_identifiers, normalize_identifier
from .normalize.language import language_tag
from .normalize.numbers import is_valid_group
from .normalize.text import clean

MAX_DEPTH = 100
"""How deep chapters may be nested."""

ROLES = frozenset(
    ("writer", "penciller", "inker", "colorist", "letterer", "cover_artist", "editor", "translator")
)
"""What a person other than the author of a text may have done (spec 1.2)."""

_T = TypeVar("_T")
_PLACES = ("start_page", "start_timestamp_ms", "href")
_places_of = attrgetter(*_PLACES)
_LARGEST_INTEGER = 2**63 - 1  # what a database column can hold
_LARGEST_EXACT = 2**53


def is_empty(value: Value) -> bool:
    """Tell whether there is no value; False and 0 are values."""
    return value is None or value == "" or value == ()


def to_json(value: Value) -> Any:
    """Return the value as JSON can hold it, lists in the shape of design 5.2."""
    if isinstance(value, tuple):
        if value and isinstance(value[0], Chapter):
            return [chapter_to_json(chapter) for chapter in value]
        return [_entry_to_json(entry) for entry in value]
    if isinstance(value, date):
        return value.isoformat()[:10]
    if isinstance(value, CoverImage):
        return {"sha256": value.sha256, "mime": value.mime, "width": value.width, "height": value.height}
    return value


def _entry_to_json(entry: str | Author | SeriesEntry | Identifier | Chapter) -> Any:
    if isinstance(entry, Author):
        return {"name": entry.name, "role": entry.role}
    if isinstance(entry, SeriesEntry):
        number, end = plain_number(entry.number), plain_number(entry.number_end)
        return {"name": entry.name, "number": number, "number_end": end, "unit": entry.unit}
    if isinstance(entry, Identifier):
        return {"type": entry.type, "value": entry.value}
    if isinstance(entry, Chapter):
        return chapter_to_json(entry)
    return entry


def chapter_to_json(chapter: Chapter) -> dict[str, Any]:
    """Return a chapter and those below it, absent keys left out."""
    found: dict[str, Any] = {"title": chapter.title}
    for place, value in zip(_PLACES, _places_of(chapter), strict=True):
        if value is not None:
            found[place] = value
    if chapter.children:
        found["children"] = [chapter_to_json(child) for child in chapter.children]
    return found


def plain_number(number: float | None) -> float | None:
    """Return whole numbers without a fraction, so that 1.0 is written as 1."""
    if isinstance(number, float) and number.is_integer() and abs(number) <= _LARGEST_EXACT:
        return int(number)
    return number


def from_json(field_name: str, data: object, limits: Limits) -> Value:
    """Return a field's value from JSON, checked and normalised; a value of ours is taken as well.

    Raises ValueError with a clause that names the field (no full stop) when the data are of another shape.
    """
    row = BY_NAME.get(field_name)
    if row is None:
        raise ValueError(f"{field_name} is not a field")
    if isinstance(data, (tuple, date)):
        data = to_json(data)
    read = _NAMED_READERS.get(field_name) or _READERS[row.kind]
    try:
        return read(data, limits)
    except ValueError as error:
        raise ValueError(f"{field_name} {error}") from error


def _text(data: object, limits: Limits) -> str | None:
    return _bounded_text(data, limits.max_scalar_bytes)


def _description(data: object, limits: Limits) -> str | None:
    return _bounded_text(data, limits.max_description_bytes)


def _bounded_text(data: object, max_bytes: int) -> str | None:
    if data is None:
        return None
    if not isinstance(data, str):
        raise ValueError("must be text")
    return clean(data, max_bytes)


def _language(data: object, limits: Limits) -> str | None:
    text = _text(data, limits)
    if text is None:
        return None
    tag = language_tag(text)
    if tag is None and not text.lower().startswith("und"):
        raise ValueError("is not a language tag")
    return tag


def _date(data: object, limits: Limits) -> date | None:
    text = _text(data, limits)
    if text is None:
        return None
    found = parse_date(text)
    if found is None:
        raise ValueError("is not a date")
    return found


def _boolean(data: object, limits: Limits) -> bool | None:
    if data is None or isinstance(data, bool):
        return data
    raise ValueError("must be true or false")


def _integer(data: object, limits: Limits) -> int | None:
    if data is None:
        return None
    if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data <= _LARGEST_INTEGER:
        raise ValueError("must be a whole number, 0 or more")
    return data


def _number(data: object, limits: Limits) -> float | None:
    if data is None:
        return None
    if isinstance(data, bool) or not isinstance(data, (int, float)):
        raise ValueError("must be a number")
    if not -sys.float_info.max <= data <= sys.float_info.max:  # NaN is in no range
        raise ValueError("is out of range")
    return float(data)


def _entries(data: object, limits: Limits) -> list[Any]:
    if data is None:
        return []
    if not isinstance(data, list):
        raise ValueError("must be a list")
    if len(data) > limits.max_list_entries:
        raise ValueError(f"has more than max_list_entries ({limits.max_list_entries:,}) entries")
    return data


def _object(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("has an entry that is not an object")
    return data


def _named(data: object) -> dict[str, Any]:
    """A bare name stands for an entry that has nothing else."""
    if isinstance(data, str):
        return {"name": data}
    if not isinstance(data, dict) or "name" not in data:
        raise ValueError("has an entry that is neither a name nor an object with a name")
    return data


def _part(data: dict[str, Any], key: str, read: Callable[[object, Limits], _T], limits: Limits) -> _T:
    try:
        return read(data.get(key), limits)
    except ValueError as error:
        raise ValueError(f"has an entry whose {key} {error}") from error


def _names(data: object, limits: Limits) -> tuple[str, ...]:
    names = (_part(_named(entry), "name", _text, limits) for entry in _entries(data, limits))
    return tuple(name for name in names if name)


def _authors(data: object, limits: Limits) -> tuple[Author, ...]:
    authors = (_author(_named(entry), limits) for entry in _entries(data, limits))
    return tuple(author for author in authors if author)


def _author(data: dict[str, Any], limits: Limits) -> Author | None:
    name, role = _part(data, "name", _text, limits), _part(data, "role", _text, limits)
    if role is not None and role not in ROLES:
        raise ValueError("has an entry with an unknown role")
    return Author(name, role, _part(data, "sort_name", _text, limits)) if name else None


def _series(data: object, limits: Limits) -> tuple[SeriesEntry, ...]:
    series = (_series_entry(_named(entry), limits) for entry in _entries(data, limits))
    return tuple(entry for entry in series if entry)


def _series_entry(data: dict[str, Any], limits: Limits) -> SeriesEntry | None:
    name, unit = _part(data, "name", _text, limits), _part(data, "unit", _text, limits)
    number, end = _part(data, "number", _number, limits), _part(data, "number_end", _number, limits)
    if not is_valid_group(number, end, unit):
        raise ValueError("has a number, end and unit that do not go together")
    return SeriesEntry(name, number, end, unit) if name else None


def _identifiers(data: object, limits: Limits) -> tuple[Identifier, ...]:
    found = (_identifier(_object(entry), limits) for entry in _entries(data, limits))
    return merged_identifiers([identifier for identifier in found if identifier])


def _identifier(data: dict[str, Any], limits: Limits) -> Identifier | None:
    kind, value = _part(data, "type", _text, limits), _part(data, "value", _text, limits)
    normalised = normalize_identifier(kind, value) if kind and value else None
    return Identifier(kind, normalised) if kind and normalised else None


def _chapters(data: object, limits: Limits) -> tuple[Chapter, ...]:
    left = [limits.max_chapters]
    return _sibling_chapters(data, limits, left, MAX_DEPTH)


def _sibling_chapters(data: object, limits: Limits, left: list[int], depth: int) -> tuple[Chapter, ...]:
    if data is None:
        return ()
    if not isinstance(data, list):
        raise ValueError("must be a list")
    if data and not depth:
        raise ValueError(f"is nested more than {MAX_DEPTH} deep")
    left[0] -= len(data)
    if left[0] < 0:
        raise ValueError(f"has more than max_chapters ({limits.max_chapters:,}) entries")
    return tuple(_chapter(_object(entry), limits, left, depth - 1) for entry in data)


def _chapter(data: dict[str, Any], limits: Limits, left: list[int], depth: int) -> Chapter:
    if sum(data.get(place) is not None for place in _PLACES) > 1:
        raise ValueError("has an entry with more than one place")
    return Chapter(
        title=_part(data, "title", _text, limits) or "",
        start_page=_part(data, "start_page", _integer, limits),
        start_timestamp_ms=_part(data, "start_timestamp_ms", _integer, limits),
        href=_part(data, "href", _text, limits),
        children=_sibling_chapters(data.get("children"), limits, left, depth),
    )


def _cover(data: object, limits: Limits) -> CoverImage | None:
    if data is None or isinstance(data, CoverImage):
        return data
    entry = _object(data)
    sha256, mime = _part(entry, "sha256", _text, limits), _part(entry, "mime", _text, limits)
    width, height = _part(entry, "width", _integer, limits), _part(entry, "height", _integer, limits)
    if not sha256 or not mime or width is None or height is None:
        raise ValueError("must have sha256, mime, width and height")
    return CoverImage(sha256, mime, width, height)


_READERS: dict[Kind, Callable[[object, Limits], Value]] = {
    Kind.TEXT: _text,
    Kind.DATE: _date,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.REAL: _number,
    Kind.PUBLISHER: _text,
    Kind.AUTHORS: _authors,
    Kind.PEOPLE: _names,
    Kind.TERMS: _names,
    Kind.SERIES: _series,
    Kind.IDENTIFIERS: _identifiers,
    Kind.CHAPTERS: _chapters,
    Kind.COVER: _cover,
}
_NAMED_READERS: dict[str, Callable[[object, Limits], Value]] = {
    "description": _description,
    "language": _language,
}
