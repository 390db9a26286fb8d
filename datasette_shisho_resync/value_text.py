"""Values, rows and what was done in a few words, for people: on the terminal and in pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from .model import Author, Chapter, CoverImage, Identifier, Mode, RowImage, SeriesEntry, Value
from .values import plain_number

NOTHING = "-"
GONE = "removed (no longer exists on disk)"
DONE: Mapping[Mode, str] = {
    Mode.SCAN: "Metadata scanned",
    Mode.REFRESH: "Metadata refreshed",
    Mode.RESET: "Metadata reset",
}
"""What a run in each mode did, as Shisho says it."""

_ONE: Mapping[str, str] = {"books": "book", "files": "file"}


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def row_name(table: str, pk: int) -> str:
    return f"{_ONE.get(table, table)} {pk}"


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
