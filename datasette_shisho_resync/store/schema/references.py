"""Which rows point to which: the foreign keys of a database, of any program's tables."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

# Children that every library has, also where a copied table lost its foreign keys.
KNOWN_CHILDREN = (
    ("books", "files", "book_id"),
    ("books", "authors", "book_id"),
    ("books", "book_series", "book_id"),
    ("books", "book_genres", "book_id"),
    ("books", "book_tags", "book_id"),
    ("files", "narrators", "file_id"),
    ("files", "file_identifiers", "file_id"),
    ("files", "chapters", "file_id"),
    ("files", "file_fingerprints", "file_id"),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """`child.column` points to `parent.parent_column`; `owns` False: it is set to NULL, not removed."""

    parent: str
    parent_column: str
    child: str
    column: str
    owns: bool


def load_references(conn: sqlite3.Connection) -> tuple[Reference, ...]:
    """Return every foreign key of the database, and the known children where one was lost."""
    tables = [
        r[0]
        for r in conn.execute(
            "select name from sqlite_master where type = 'table' and sql not like 'create virtual%'"
        )
    ]
    spelled = {table.lower(): table for table in tables}
    found = []
    for table in tables:
        for key in conn.execute(
            'select "from", "table", "to", on_delete from pragma_foreign_key_list(?)', (table,)
        ):
            owns = key[3] != "SET NULL"
            parent = spelled.get(key[1].lower(), key[1])
            found.append(Reference(parent, _spelled(conn, parent, key[2] or "id"), table, key[0], owns))
    declared = {(r.parent, r.child, r.column) for r in found}
    found.extend(
        Reference(parent, "id", child, column, True)
        for parent, child, column in KNOWN_CHILDREN
        if child in tables and (parent, child, column) not in declared
    )
    return tuple(found)


def _spelled(conn: sqlite3.Connection, table: str, column: str) -> str:
    """Return a column's name as its table has it: a foreign key may be in another case."""
    row = conn.execute(
        "select name from pragma_table_xinfo(?) where lower(name) = lower(?)", (table, column)
    ).fetchone()
    return str(row[0]) if row else column
