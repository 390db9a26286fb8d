"""How SQLite answers the statements that something runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

Steps = list[str]


@contextmanager
def plans_of(conn: sqlite3.Connection) -> Iterator[Steps]:
    """Give the steps of the plans of all statements that are run meanwhile, when they were."""
    statements: list[str] = []
    steps: Steps = []
    conn.set_trace_callback(statements.append)
    try:
        yield steps
    finally:
        conn.set_trace_callback(None)
    for sql in statements:
        if sql.split()[0] in ("select", "with", "update", "delete", "insert"):
            steps.extend(row["detail"] for row in conn.execute(f"explain query plan {sql}"))
