"""Finds rows by what people know of them: their paths."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from .schema import exact_text, sql_text

BETWEEN = """
    +(files.library_id = ?)
    and files.filepath > cast(? as text)
    and files.filepath < cast(? as text)
"""
"""The condition for files of a library between two paths. The plus keeps SQLite from its index on
library_id, by which it would read every file of the library."""


def below(folder: str) -> tuple[str | bytes, str | bytes]:
    """Return the two paths between which all those below a folder are."""
    folder = folder.rstrip("/")
    return sql_text(folder + "/"), sql_text(folder + "0")  # "0" follows "/" in byte order


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
