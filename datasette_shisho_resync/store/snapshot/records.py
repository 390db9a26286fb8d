"""Reads the fields of those rows into values."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ...fields import BOOK_FIELDS, FILE_FIELDS, Field, Kind, Level
from ...model import (
    BookRow,
    Brief,
    Identities,
    Identity,
    Snapshot,
    Stored,
    Value,
    folded,
)
from ..schema import LibrarySchema, shown_cell
from ..times import stored_date
from .brief import known_sidecars
from .lists import load_list


def load_snapshot(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    brief: Brief,
    file_ids: Sequence[int],
    sidecar_paths: Sequence[str],
) -> Snapshot:
    """Load the book's fields, those of `file_ids`, and which sidecars were seen before."""
    known: dict[tuple[str, str], Identity] = {}
    marks = _marks(conn, schema, brief.book, file_ids)
    available = {f.name for f in schema.fields}
    book: dict[str, Stored] = {}
    if brief.book is not None:
        fields = [f for f in BOOK_FIELDS if f.name in available]
        book = load_record(conn, Level.BOOK, brief.book.id, fields, known, marks)
    fields = [f for f in FILE_FIELDS if f.name in available]
    files = {}
    for file_id in file_ids:
        files[file_id] = load_record(conn, Level.FILE, file_id, fields, known, marks)
    seen = known_sidecars(conn, sidecar_paths)
    return Snapshot(brief, book, files, Identities(known), seen)


def load_record(
    conn: sqlite3.Connection,
    level: Level,
    pk: int,
    fields: Sequence[Field],
    known: dict[tuple[str, str], Identity],
    marks: frozenset[tuple[str, int, str]] = frozenset(),
) -> dict[str, Stored]:
    """Load fields of one row; the rows that its names mean are added to `known`."""
    row = conn.execute(f"select * from {level.value} where id = ?", (pk,)).fetchone()
    return _record(conn, row, fields, marks, known)


def _record(
    conn: sqlite3.Connection,
    row: sqlite3.Row,
    fields: Sequence[Field],
    marks: frozenset[tuple[str, int, str]],
    known: dict[tuple[str, str], Identity],
) -> dict[str, Stored]:
    record = {}
    for field in fields:
        is_marked = bool(marks) and (field.level.value, row["id"], field.name) in marks
        column = field.source_column
        shares_source = field.shares_source and column not in row.keys()  # noqa: SIM118 - a row is its values
        source = shown_cell(row[column]) if column and not shares_source else None
        if field.is_list:
            value, raw, shared_source = load_list(conn, field, row["id"], known)
            source = shared_source if shares_source else source
            record[field.name] = Stored(value, source, is_marked, raw, shares_source)
        elif field.kind is Kind.PUBLISHER:
            record[field.name] = _stored_publisher(conn, row["publisher_id"], source, known)
        else:
            assert field.column is not None
            raw = row[field.column]
            if field.kind is Kind.COVER:
                present = row.keys()
                named = (c if c in present else None for c in ("cover_mime_type", "cover_page"))
                mime, page = (shown_cell(row[c]) if c else None for c in named)
                raw = {"filename": shown_cell(raw), "mime": mime, "page": page}
            record[field.name] = Stored(_scalar(field, raw), source, is_marked, raw)
    return record


def _scalar(field: Field, raw: Any) -> Value:
    """The cover's value is the image on disk, which the reading knows.

    SQLite lets any column hold anything: what is not of the field's kind counts as its text, or as none.
    """
    if raw is None or raw == "" or field.kind is Kind.COVER:
        return None
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "surrogateescape")
    if field.kind is Kind.DATE:
        return stored_date(str(raw))
    if field.kind is Kind.BOOLEAN:
        return bool(raw)
    if field.kind is Kind.REAL:
        return float(raw) if isinstance(raw, (int, float)) else str(raw)
    return raw  # type: ignore[no-any-return]


def _stored_publisher(
    conn: sqlite3.Connection,
    publisher_id: int | None,
    source: str | None,
    known: dict[tuple[str, str], Identity],
) -> Stored:
    if publisher_id is None:
        return Stored(None, source)
    row = conn.execute("select id, name from publishers where id = ?", (publisher_id,)).fetchone()
    if row is None:
        return Stored(None, source, raw={"id": publisher_id, "name": None})
    name = shown_cell(row["name"])
    known["publishers", folded(name)] = Identity(row["id"], name)
    return Stored(name, source, raw={"id": row["id"], "name": row["name"]})


def _marks(
    conn: sqlite3.Connection, schema: LibrarySchema, book: BookRow | None, file_ids: Sequence[int]
) -> frozenset[tuple[str, int, str]]:
    if not schema.has_history:
        return frozenset()
    found: set[tuple[str, int, str]] = set()
    pks = [(Level.FILE.value, pk) for pk in file_ids]
    if book is not None:
        pks.append((Level.BOOK.value, book.id))
    for table, pk in pks:
        rows = conn.execute(
            "select field from resync_manual where table_name = ? and row_pk = ?", (table, pk)
        )
        found.update((table, pk, r[0]) for r in rows)
    return frozenset(found)
