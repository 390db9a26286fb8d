"""Finds rows by what people know of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from .schema import exact_text, sql_text


def file_ids_at(conn: sqlite3.Connection, paths: Iterable[str]) -> tuple[int, ...]:
    """Return the files whose stored path is one of `paths`: those of the first path that has any."""
    with exact_text(conn):
        for path in paths:
            rows = conn.execute(
                "select id from files where filepath = cast(? as text) order by id", (sql_text(path),)
            ).fetchall()
            if rows:
                return tuple(r[0] for r in rows)
    return ()
