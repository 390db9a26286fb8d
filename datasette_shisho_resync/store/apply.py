"""Writes a plan's changes to the library's tables, inside the caller's transaction.

Every function returns the history entries of what it wrote. Nothing is decided here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from ..fields import BY_NAME, Field, Kind, Level
from ..model import (
    EMPTY,
    ROLE,
    ROW,
    Author,
    Change,
    Chapter,
    CoverImage,
    FileStat,
    Identifier,
    Reason,
    RowImage,
    SeriesEntry,
    Snapshot,
    Stored,
    Target,
    Value,
)
from .entities import EntityRows
from .history import Entry
from .removal import DoomedRow, kept_images, remove_rows
from .schema import LibrarySchema, sql_text
from .snapshot import load_list
from .times import date_to_stored, to_stored
from .waiting import WaitingRows

MARK = ".mark"


@dataclass(frozen=True, slots=True)
class Writing:
    """What the writing functions share during one transaction."""

    conn: sqlite3.Connection
    schema: LibrarySchema
    entities: EntityRows
    timestamp: str
    cover_names: Mapping[int, str]  # file id -> base name of the cover image that the run will leave
    rows: WaitingRows  # of lists; flushed by `replace_list`, else by the caller


def apply_changes(writing: Writing, snapshot: Snapshot, changes: Sequence[Change]) -> list[Entry]:
    """Write field changes: one UPDATE a row for its columns, lists replaced as a whole."""
    entries: list[Entry] = []
    metadata = [c for c in changes if c.field in BY_NAME]
    ordered = sorted(metadata, key=lambda c: (c.table, c.pk))
    for (table, pk), group in groupby(ordered, key=lambda c: (c.table, c.pk)):
        stored = snapshot.book if table == "books" else snapshot.files[pk]
        columns: dict[str, Any] = {}
        for change in group:
            field = BY_NAME[change.field]
            before = stored.get(field.name, EMPTY)
            entries.append(_write_field(writing, field, pk, change, before, columns))
            if before.marked:
                unmark(writing.conn, field.level, pk, field.name)
                entries.append(mark_entry(table, pk, field.name, was=1, now=0))
        update_row(writing, table, pk, columns)
    entries.extend(_promote(writing, c) for c in changes if c.field == ROLE)
    return entries


def _write_field(
    writing: Writing, field: Field, pk: int, change: Change, stored: Stored, columns: dict[str, Any]
) -> Entry:
    """Write one field's list rows, or add its columns to `columns`."""
    new = change.new
    if field.is_list:
        replace_list(writing, field, pk, new, change.new_source)
        raw: Any = load_list(writing.conn, field, pk)[1]
    else:
        raw, written = scalar_columns(writing, field, pk, new)
        columns.update(written)
    if field.source_column:
        columns[field.source_column] = change.new_source
    return Entry(
        change.table,
        pk,
        field.name,
        stored.raw,
        change.old_source,
        raw,
        change.new_source,
        change.reason.value,
    )


def scalar_columns(writing: Writing, field: Field, pk: int, value: Value) -> tuple[Any, dict[str, Any]]:
    """Return a scalar's raw value for history, and the columns that hold it."""
    assert field.column is not None
    if field.kind is Kind.PUBLISHER:
        if value is None:
            return None, {"publisher_id": None}
        publisher_id = writing.entities.id_of("publishers", str(value), None)
        return {"id": publisher_id, "name": value}, {"publisher_id": publisher_id}
    if field.kind is Kind.COVER:
        return _cover_columns(writing.cover_names.get(pk), value)
    raw = _raw_scalar(value)
    return raw, {field.column: raw}


def _raw_scalar(value: Value) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, date):
        return date_to_stored(value)
    return value


def _cover_columns(name: str | None, value: Value) -> tuple[Any, dict[str, Any]]:
    page = value.page if isinstance(value, CoverImage) else None
    mime = value.mime if isinstance(value, CoverImage) else None
    name = name if isinstance(value, CoverImage) else None
    return {"filename": name, "mime": mime, "page": page}, cover_columns(name, mime, page)


def cover_columns(
    filename: str | None = None, mime: str | None = None, page: int | None = None
) -> dict[str, Any]:
    """Return the columns of a file that tell of its cover image."""
    return {"cover_image_filename": filename, "cover_mime_type": mime, "cover_page": page}


def update_row(writing: Writing, table: str, pk: int, columns: Mapping[str, Any]) -> None:
    """Set columns and `updated_at`; the latter alone when only lists changed."""
    set_columns(writing.conn, writing.schema, table, pk, {**columns, "updated_at": writing.timestamp})


def set_columns(
    conn: sqlite3.Connection, schema: LibrarySchema, table: str, pk: int, columns: Mapping[str, Any]
) -> None:
    """Set those of the columns that this library has."""
    present = {
        c: sql_text(v) if isinstance(v, str) else v for c, v in columns.items() if schema.has(table, c)
    }
    # Only surrogates become bytes; a cast of everything else would turn numbers into text.
    texts = {c for c, v in present.items() if isinstance(v, bytes) and isinstance(columns[c], str)}
    assignments = ", ".join(f"{c} = cast(? as text)" if c in texts else f"{c} = ?" for c in present)
    conn.execute(f"update {table} set {assignments} where id = ?", (*present.values(), pk))


def replace_list(writing: Writing, field: Field, owner_id: int, value: Any, source: str | None) -> None:
    """Delete a list's rows and insert the new ones: together with the source, or not at all."""
    writing.conn.execute(f"delete from {field.link_table} where {field.owner_column} = ?", (owner_id,))
    insert_list(writing, field, owner_id, value or (), source)
    writing.rows.flush()


def insert_list(writing: Writing, field: Field, owner_id: int, value: Any, source: str | None) -> None:
    """Add a list's rows to those that wait."""
    insert = _INSERTERS[field.kind]
    insert(writing, field, owner_id, value, source)


def _insert_authors(
    writing: Writing, field: Field, owner_id: int, value: Sequence[Author], source: str | None
) -> None:
    id_of = writing.entities.id_of
    writing.rows.add(
        "authors",
        ("book_id", "person_id", "sort_order", "role"),
        [
            (owner_id, id_of("persons", a.name, source, sort_hint=a.sort_name), order, a.role)
            for order, a in enumerate(value, 1)
        ],
    )


def _insert_people(
    writing: Writing, field: Field, owner_id: int, value: Sequence[str], source: str | None
) -> None:
    id_of = writing.entities.id_of
    writing.rows.add(
        "narrators",
        ("file_id", "person_id", "sort_order"),
        [(owner_id, id_of("persons", name, source), order) for order, name in enumerate(value, 1)],
    )


def _insert_terms(
    writing: Writing, field: Field, owner_id: int, value: Sequence[str], source: str | None
) -> None:
    assert field.entity is not None
    assert field.link_table is not None
    table, id_of = field.entity.table, writing.entities.id_of
    writing.rows.add(
        field.link_table,
        ("book_id", field.entity.id_column),
        [(owner_id, id_of(table, name, source)) for name in value],
    )


def _insert_series(
    writing: Writing, field: Field, owner_id: int, value: Sequence[SeriesEntry], source: str | None
) -> None:
    id_of, has = writing.entities.id_of, writing.schema.has
    optional = tuple(c for c in ("series_number_end", "series_number_unit") if has("book_series", c))
    rows = []
    for order, entry in enumerate(value, 1):
        extra = {"series_number_end": entry.number_end, "series_number_unit": entry.unit}
        series_id = id_of("series", entry.name, source)
        rows.append((owner_id, series_id, order, entry.number, *(extra[c] for c in optional)))
    writing.rows.add("book_series", ("book_id", "series_id", "sort_order", "series_number", *optional), rows)


def _insert_identifiers(
    writing: Writing, field: Field, owner_id: int, value: Sequence[Identifier], source: str | None
) -> None:
    timestamp = writing.timestamp
    writing.rows.add(
        "file_identifiers",
        ("created_at", "updated_at", "file_id", "type", "value", "source"),
        [(timestamp, timestamp, owner_id, i.type, i.value, source or "") for i in value],
    )


def _insert_chapters(
    writing: Writing, field: Field, owner_id: int, value: Sequence[Chapter], source: str | None
) -> None:
    writing.rows.add("chapters", _CHAPTER_COLUMNS, list(_chapter_rows(writing, owner_id, None, value)))


_CHAPTER_COLUMNS = (
    *("id", "created_at", "updated_at", "file_id", "parent_id", "sort_order"),
    *("title", "start_page", "start_timestamp_ms", "href"),
)


def _chapter_rows(
    writing: Writing, file_id: int, parent_id: int | None, chapters: Sequence[Chapter]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of siblings, then those of the levels below them."""
    timestamp, next_id = writing.timestamp, writing.rows.next_id
    parents = []
    for order, c in enumerate(chapters):
        row_id = next_id("chapters")
        place = (c.title, c.start_page, c.start_timestamp_ms, c.href)
        yield (row_id, timestamp, timestamp, file_id, parent_id, order, *place)
        if c.children:
            parents.append((row_id, c.children))
    for row_id, children in parents:
        yield from _chapter_rows(writing, file_id, row_id, children)


_INSERTERS: dict[Kind, Callable[[Writing, Field, int, Any, str | None], None]] = {
    Kind.AUTHORS: _insert_authors,
    Kind.PEOPLE: _insert_people,
    Kind.TERMS: _insert_terms,
    Kind.SERIES: _insert_series,
    Kind.IDENTIFIERS: _insert_identifiers,
    Kind.CHAPTERS: _insert_chapters,
}


def _promote(writing: Writing, change: Change) -> Entry:
    """Make a supplement the book's main file; like Shisho, without touching `updated_at`."""
    writing.conn.execute("update files set file_role = ? where id = ?", (change.new, change.pk))
    return Entry("files", change.pk, ROLE, change.old, None, change.new, None, change.reason.value)


def apply_removals(conn: sqlite3.Connection, doomed: Sequence[DoomedRow]) -> list[Entry]:
    """Remove rows children first; each is kept whole in its history entry."""
    images = kept_images(conn, doomed)
    remove_rows(conn, doomed)
    return [
        Entry(d.table, d.pk, d.column or ROW, image, None, None, None, Reason.REMOVED.value)
        for d, image in zip(doomed, images, strict=True)
    ]


def mark_entry(table: str, pk: int, field: str, *, was: int, now: int) -> Entry:
    """Return the history entry of a manual mark that came or went; its field is `<field>.mark`."""
    return Entry(table, pk, field + MARK, was, None, now, None, Reason.SOURCE_CORRECTED.value)


def unmark(conn: sqlite3.Connection, level: Level, pk: int, field: str) -> None:
    conn.execute(
        "delete from resync_manual where table_name = ? and row_pk = ? and field = ?",
        (level.value, pk, field),
    )


def mark(conn: sqlite3.Connection, level: Level, pk: int, field: str) -> None:
    conn.execute(
        "insert or ignore into resync_manual (table_name, row_pk, field) values (?, ?, ?)",
        (level.value, pk, field),
    )


def keep_stat(conn: sqlite3.Connection, schema: LibrarySchema, file_id: int, stat: FileStat) -> None:
    """Store a file's size and time as found; a stale fingerprint goes.

    Bookkeeping: no history, no `updated_at`.
    """
    columns = {"filesize_bytes": stat.size_bytes, "file_modified_at": to_stored(stat.mtime_ns)}
    set_columns(conn, schema, "files", file_id, columns)
    if schema.has("file_fingerprints"):
        conn.execute("delete from file_fingerprints where file_id = ?", (file_id,))


def row_images(conn: sqlite3.Connection, target: Target) -> tuple[RowImage, ...]:
    """Return the target's row as stored now; none when it is gone."""
    rows: Iterable[sqlite3.Row] = conn.execute(
        f"select * from {Level(target.table).value} where id = ?", (target.pk,)
    )
    return tuple(RowImage(tuple(zip(r.keys(), r, strict=True))) for r in rows)
