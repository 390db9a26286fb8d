"""Reads the rows behind list fields, and says what they mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from ...fields import Field, Kind
from ...model import (
    Author,
    Chapter,
    Identifier,
    Identity,
    SeriesEntry,
    Value,
    folded,
)
from ...values import MAX_DEPTH
from ..schema import shown_cell

_LIST_SQL = {
    "authors": """
        select authors.*, persons.name as entity_name, persons.sort_name as entity_sort_name
        from authors
        join persons on persons.id = authors.person_id
        where authors.book_id = ?
        order by authors.sort_order, authors.id
    """,
    "narrators": """
        select narrators.*, persons.name as entity_name, persons.sort_name as entity_sort_name
        from narrators
        join persons on persons.id = narrators.person_id
        where narrators.file_id = ?
        order by narrators.sort_order, narrators.id
    """,
    "series": """
        select book_series.*, series.name as entity_name, series.sort_name as entity_sort_name,
            series.name_source as entity_source
        from book_series
        join series on series.id = book_series.series_id
        where book_series.book_id = ?
        order by book_series.sort_order, book_series.id
    """,
    "genres": """
        select book_genres.*, genres.name as entity_name
        from book_genres
        join genres on genres.id = book_genres.genre_id
        where book_genres.book_id = ?
        order by genres.name
    """,
    "tags": """
        select book_tags.*, tags.name as entity_name
        from book_tags
        join tags on tags.id = book_tags.tag_id
        where book_tags.book_id = ?
        order by tags.name
    """,
    "identifiers": """
        select *
        from file_identifiers
        where file_id = ?
        order by id
    """,
    "chapters": """
        select *
        from chapters
        where file_id = ?
        order by sort_order, id
    """,
}


def list_rows(conn: sqlite3.Connection, field: Field, owner_id: int) -> list[sqlite3.Row]:
    """Return the rows behind a list field, with `entity_name` where they point to a named row."""
    return conn.execute(_LIST_SQL[field.name], (owner_id,)).fetchall()


def load_list(
    conn: sqlite3.Connection,
    field: Field,
    owner_id: int,
    known: dict[tuple[str, str], Identity] | None = None,
) -> tuple[Value, Any, str | None]:
    """Return a list field's value, its raw rows, and for series the `name_source` of the first one."""
    rows = list_rows(conn, field, owner_id)
    if not rows:
        return (), [], None
    columns = rows[0].keys()
    raw = [dict(zip(columns, r, strict=True)) for r in rows]
    if field.entity is not None and known is not None:
        for r in map(_shown, raw):
            identity = Identity(
                r[field.entity.id_column],
                r["entity_name"],
                r.get("entity_source"),
                r.get("entity_sort_name"),
            )
            known[field.entity.table, folded(r["entity_name"])] = identity
    source = shown_cell(raw[0]["entity_source"]) if field.kind is Kind.SERIES else None
    return value_of_rows(field, raw), raw, source


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    if bytes not in map(type, row.values()):  # a row is copied only for a mistake in it
        return row
    return {column: shown_cell(cell) for column, cell in row.items()}


def value_of_rows(field: Field, rows: Sequence[Mapping[str, Any]]) -> Value:
    """Return what a list field's raw rows (also those kept by the history) say."""
    rows = [_shown(row) for row in rows]
    if field.kind is Kind.AUTHORS:
        return tuple(Author(r["entity_name"], r.get("role") or None, r.get("entity_sort_name")) for r in rows)
    if field.kind is Kind.SERIES:
        return tuple(
            SeriesEntry(
                r["entity_name"],
                r.get("series_number"),
                r.get("series_number_end"),
                r.get("series_number_unit"),
            )
            for r in rows
        )
    if field.kind is Kind.IDENTIFIERS:
        return tuple(Identifier(r["type"], r["value"]) for r in rows)
    if field.kind is Kind.CHAPTERS:
        return _chapter_tree(rows)
    return tuple(r["entity_name"] for r in rows)


def _whole(cell: Any) -> int | None:
    return cell if isinstance(cell, int) else None


def _chapter_tree(rows: Sequence[Mapping[str, Any]]) -> tuple[Chapter, ...]:
    """Build the tree without recursion per row; rows come in sibling order, parents in any order."""
    children: dict[int | None, list[Mapping[str, Any]]] = {}
    ids = {r["id"] for r in rows}
    for r in rows:
        parent = r["parent_id"] if r["parent_id"] in ids else None
        children.setdefault(parent, []).append(r)

    def branch(parent: int | None, depth: int) -> tuple[Chapter, ...]:
        if depth > MAX_DEPTH:
            return ()
        return tuple(
            Chapter(
                str(r["title"]),
                _whole(r["start_page"]),
                _whole(r["start_timestamp_ms"]),
                r["href"],
                branch(r["id"], depth + 1) if r["id"] in children else (),
            )
            for r in children.get(parent, ())
        )

    return branch(None, 0)
