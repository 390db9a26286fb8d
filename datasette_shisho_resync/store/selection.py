"""Rows that somebody selected: which they are, and how much of them a person set."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from ..fields import Level
from .schema import LibrarySchema


def selected_ids(
    conn: sqlite3.Connection, table: str, where: Sequence[str], params: Mapping[str, Any]
) -> tuple[int, ...]:
    """Return the ids of the rows for which every clause of `where` holds, in order.

    The clauses are Datasette's, which checked who may write them. Raises `sqlite3.Error` for a wrong one.
    """
    rows = conn.execute(f"select id from {table}{_conditions(where)} order by id", dict(params))
    return tuple(row[0] for row in rows if isinstance(row[0], int))


def count_selected(
    conn: sqlite3.Connection, table: str, where: Sequence[str], params: Mapping[str, Any]
) -> int:
    """Return how many rows `selected_ids` would."""
    count: int = conn.execute(f"select count(*) from {table}{_conditions(where)}", dict(params)).fetchone()[0]
    return count


def _conditions(where: Sequence[str]) -> str:
    return f" where {' and '.join(where)}" if where else ""


def count_manual(conn: sqlite3.Connection, schema: LibrarySchema, table: str, pks: Sequence[int]) -> int:
    """Return how many values of these books or files, and of what belongs to them, a person set.

    A run on a book decides its main files' fields too, one on a main file those of its book.
    """
    ids = json.dumps(list(pks))
    if table == "books":
        books = "select value from json_each(:ids)"
        files = f"select id from files where file_role = 'main' and book_id in ({books})"
    else:
        files = "select value from json_each(:ids)"
        books = f"select book_id from files where file_role = 'main' and id in ({files})"
    rows = {Level.BOOK: books, Level.FILE: files}
    return sum(_manual_values(conn, schema, level, ids, chosen) for level, chosen in rows.items())


def _manual_values(
    conn: sqlite3.Connection, schema: LibrarySchema, level: Level, ids: str, chosen: str
) -> int:
    fields = (field for field in schema.fields if field.level is level)
    sources = {field.name: column for field in fields if (column := schema.source_column(field))}
    manual = " + ".join(f"coalesce({source} = 'manual', 0)" for source in sources.values()) or "0"
    count: int = conn.execute(
        f"select coalesce(sum({manual}), 0) from {level.value} where id in ({chosen})", {"ids": ids}
    ).fetchone()[0]
    if schema.has_history:
        counted = [f"(field = '{name}' and {source} = 'manual')" for name, source in sources.items()]
        count += conn.execute(
            f"select count(*) from resync_manual join {level.value} on id = row_pk"
            f" where table_name = :level and row_pk in ({chosen})"
            f" and not coalesce({' or '.join(counted) or '0'}, 0)",
            {"ids": ids, "level": level.value},
        ).fetchone()[0]
    return count
