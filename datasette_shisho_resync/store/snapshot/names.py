"""Finds the rows that names mean: by name, else by alias (spec section 8)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from ...fields import ENTITY_BY_TABLE
from ...model import (
    Identities,
    Identity,
    folded,
)
from ..schema import LibrarySchema


def resolve_names(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    library_id: int,
    identities: Identities,
    names: Iterable[tuple[str, str]],
) -> Identities:
    """Return `identities` with the rows that (entity table, name) pairs mean."""
    known = dict(identities.rows)
    add_names(conn, schema, library_id, known, names)
    return Identities(known)


def add_names(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    library_id: int,
    known: dict[tuple[str, str], Identity],
    names: Iterable[tuple[str, str]],
) -> None:
    """Add to `known` the rows that names mean: by name, else by alias (spec section 8).

    A row found by an alias is added under its own name too, by which decisions call it.
    """
    for table, name in names:
        key = (table, folded(name))
        if key in known or not key[1]:
            continue
        row = find_entity(conn, schema, library_id, table, name.strip())
        if row is not None:
            known[key] = row
            known.setdefault((table, folded(row.name)), row)


def find_entity(
    conn: sqlite3.Connection, schema: LibrarySchema, library_id: int, table: str, name: str
) -> Identity | None:
    entity = ENTITY_BY_TABLE[table]
    source = "name_source" if table == "series" else "null"
    sort_name = f"{table}.sort_name" if table in ("persons", "series") else "null"
    row = conn.execute(
        f"""
        select id, name, {source}, {sort_name}
        from {table}
        where name = ? collate nocase and library_id = ?
        """,
        (name, library_id),
    ).fetchone()
    if row is None and entity.alias_table in schema.columns:
        row = conn.execute(
            f"""
            select {table}.id, {table}.name, {source}, {sort_name}
            from {entity.alias_table} as alias
            join {table} on {table}.id = alias.{entity.id_column}
            where alias.name = ? collate nocase and alias.library_id = ?
            """,
            (name, library_id),
        ).fetchone()
    return Identity(*row) if row else None
