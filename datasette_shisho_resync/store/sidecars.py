"""Loads what the sidecars of a book and of a file shall hold."""

from __future__ import annotations

import sqlite3
from typing import Any

from ..fields import BY_NAME
from ..parsers.sidecar import BookSidecar, FileSidecar, SidecarPerson, SidecarSeries
from .schema import LibrarySchema
from .snapshot import list_rows, value_of_rows
from .times import stored_date


def load_book_sidecar(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> BookSidecar:
    row = _row(conn, "books", book_id)
    return BookSidecar(
        title=row.get("title"),
        sort_title=row.get("sort_title"),
        subtitle=row.get("subtitle"),
        description=row.get("description"),
        authors=_people(conn, schema, "authors", book_id),
        series=tuple(
            SidecarSeries(
                r["entity_name"],
                r["entity_sort_name"],
                r.get("series_number"),
                r.get("series_number_end"),
                r.get("series_number_unit"),
            )
            for r in _list(conn, schema, "series", book_id)
        ),
        genres=tuple(sorted(r["entity_name"] for r in _list(conn, schema, "genres", book_id))),
        tags=tuple(sorted(r["entity_name"] for r in _list(conn, schema, "tags", book_id))),
    )


def load_file_sidecar(conn: sqlite3.Connection, schema: LibrarySchema, file_id: int) -> FileSidecar:
    row = _row(conn, "files", file_id)
    publisher = None
    if row.get("publisher_id") is not None:
        found = conn.execute("select name from publishers where id = ?", (row["publisher_id"],)).fetchone()
        publisher = found[0] if found else None
    abridged = row.get("abridged")
    return FileSidecar(
        name=row.get("name"),
        narrators=_people(conn, schema, "narrators", file_id),
        publisher=publisher,
        url=row.get("url"),
        release_date=stored_date(row.get("release_date")),
        identifiers=_value(conn, schema, "identifiers", file_id),
        chapters=_value(conn, schema, "chapters", file_id),
        cover_page=row.get("cover_page"),
        language=row.get("language"),
        abridged=None if abridged is None else bool(abridged),
    )


def _row(conn: sqlite3.Connection, table: str, pk: int) -> dict[str, Any]:
    row = conn.execute(f"select * from {table} where id = ?", (pk,)).fetchone()
    return dict(zip(row.keys(), row, strict=True))


def _list(conn: sqlite3.Connection, schema: LibrarySchema, name: str, owner_id: int) -> list[dict[str, Any]]:
    field = BY_NAME[name]
    if field not in schema.fields:
        return []
    return [dict(zip(r.keys(), r, strict=True)) for r in list_rows(conn, field, owner_id)]


def _value(conn: sqlite3.Connection, schema: LibrarySchema, name: str, owner_id: int) -> Any:
    return value_of_rows(BY_NAME[name], _list(conn, schema, name, owner_id))


def _people(
    conn: sqlite3.Connection, schema: LibrarySchema, name: str, owner_id: int
) -> tuple[SidecarPerson, ...]:
    return tuple(
        SidecarPerson(r["entity_name"], r["entity_sort_name"], r.get("role"))
        for r in _list(conn, schema, name, owner_id)
    )
