"""Ways to a library that need not exist yet: made where there is none, or copied into memory."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing

from .schema import create_library, is_empty, open_library
from .schema.connection import decode_exactly


def open_or_create(path: str) -> sqlite3.Connection:
    """Open a database; where there is none, or nothing in it, a new library. Raises as `open_library`."""
    conn = open_library(path, create=True)
    with ExitStack() as on_failure:
        on_failure.callback(conn.close)
        _create_when_empty(conn)
        on_failure.pop_all()
    return conn


def copy_in_memory(path: str) -> sqlite3.Connection:
    """Return a copy of a database, or a new library where there is none; writes nothing to disk."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.row_factory = sqlite3.Row
    conn.text_factory = decode_exactly
    with ExitStack() as on_failure:
        on_failure.callback(conn.close)
        if os.path.exists(path) and not _is_empty_file(path):
            with closing(open_library(path)) as original:
                original.backup(conn)
        _create_when_empty(conn)
        on_failure.pop_all()
    return conn


def _is_empty_file(path: str) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == 0


def _create_when_empty(conn: sqlite3.Connection) -> None:
    if not is_empty(conn):
        return
    conn.execute("begin immediate")
    try:
        if is_empty(conn):  # nobody else was faster
            create_library(conn)
        conn.execute("commit")
    except BaseException:
        if conn.in_transaction:
            conn.execute("rollback")
        raise
