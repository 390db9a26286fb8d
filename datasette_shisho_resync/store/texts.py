"""The titles and explanations that Datasette keeps in its own internal database. Knows no library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def add_texts(
    conn: sqlite3.Connection,
    *,
    database: str,
    description: str,
    tables: Iterable[tuple[str, str, str]],
    columns: Iterable[tuple[str, str, str]],
) -> None:
    """Add what is said of a database where nothing else is said; the caller holds the transaction.

    `tables`: (table, `title` or `description`, text); `columns`: (table, column, description).
    """
    conn.execute(
        """
        insert or ignore into metadata_databases (database_name, key, value)
        values (?, 'description', ?)
        """,
        (database, description),
    )
    conn.executemany(
        """
        insert or ignore into metadata_resources (database_name, resource_name, key, value)
        values (?, ?, ?, ?)
        """,
        ((database, *row) for row in tables),
    )
    conn.executemany(
        """
        insert or ignore into metadata_columns (database_name, resource_name, column_name, key, value)
        values (?, ?, ?, 'description', ?)
        """,
        ((database, *row) for row in columns),
    )
