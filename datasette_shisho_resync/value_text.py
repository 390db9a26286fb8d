"""Values in a few words, for people: on the terminal and in pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from .model import Author, Chapter, CoverImage, Identifier, RowImage, SeriesEntry, Value
from .values import plain_number

NOTHING = "-"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def value_text(value: Value | RowImage) -> str:
    """Return a value in a few words."""
    if isinstance(value, RowImage):
        return "a row"
    if isinstance(value, tuple):
        return _list_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return value.isoformat()[:10]
    if isinstance(value, CoverImage):
        return f"{value.mime} {value.width}x{value.height} {value.sha256[:8]}"
    return NOTHING if value is None or value == "" else str(value)


def _list_text(values: Sequence[object]) -> str:
    if values and isinstance(values[0], Chapter):
        return counted(sum(map(_chapter_count, values)), "chapter")
    return "; ".join(map(_entry_text, values)) or NOTHING


def _chapter_count(chapter: object) -> int:
    assert isinstance(chapter, Chapter)
    return 1 + sum(map(_chapter_count, chapter.children))


def _entry_text(entry: object) -> str:
    if isinstance(entry, Author):
        return f"{entry.name} [{entry.role}]" if entry.role else entry.name
    if isinstance(entry, Identifier):
        return f"{entry.type} {entry.value}"
    if isinstance(entry, SeriesEntry):
        numbers = [str(plain_number(n)) for n in (entry.number, entry.number_end) if n is not None]
        return " ".join(filter(None, (entry.name, entry.unit, "-".join(numbers))))
    return str(entry)
