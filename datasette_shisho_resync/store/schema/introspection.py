"""What a database at hand really has: older libraries lack columns, and some databases are none.

Reads names only, never a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import NotALibrary
from ...fields import ENTITIES, FIELDS, Entity, Field
from .history_tables import HISTORY_TABLES
from .library_tables import LIBRARY_TABLES, SEARCH_TABLES
from .references import Reference, load_references

_KNOWN_TABLES = (*LIBRARY_TABLES, *SEARCH_TABLES, *HISTORY_TABLES)

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "books": ("id", "library_id", "filepath", "title", "title_source"),
    "files": ("id", "library_id", "book_id", "filepath", "file_type", "file_role", "filesize_bytes"),
    "libraries": ("id", "name"),
    "library_paths": ("library_id", "filepath"),
}

_COLUMNS_SQL = f"""
    select t.name, c.name
    from main.sqlite_master as t
    join pragma_table_info(t.name, 'main') as c
    where t.type = 'table'
    and t.name in ({", ".join("?" * len(_KNOWN_TABLES))})
"""


@dataclass(frozen=True, slots=True, eq=False)
class LibrarySchema:
    """The tables and columns that exist, and what can be done with them.

    `columns`: the columns of each table that we know; `fields`: those that can be stored; `entities`: those
    that have a table; `aliased`: those that have one for aliases too; `missing`: what a library must have and
    this database has not, as `table` or `table.column`; `references`: which rows point to which.
    Good until `pragma schema_version` changes.
    """

    columns: Mapping[str, frozenset[str]]
    fields: tuple[Field, ...]
    entities: tuple[Entity, ...]
    aliased: tuple[Entity, ...]
    has_history: bool
    missing: tuple[str, ...]
    references: tuple[Reference, ...]

    def has(self, table: str, *columns: str) -> bool:
        """Tell whether a table exists with these columns."""
        return table in self.columns and self.columns[table].issuperset(columns)

    def source_column(self, field: Field) -> str | None:
        """Return the column with the source of a field of this library, if there is one."""
        column = field.source_column
        return column if column and self.has(field.level.value, column) else None

    def require(self, database: str) -> None:
        """Raise NotALibrary, with what is missing, unless the database is a library that we can work with."""
        if self.missing:
            raise NotALibrary(f"{database}: it is not a Shisho library, it lacks {', '.join(self.missing)}.")


class KnownSchema:
    """A database's tables, looked at again when they changed."""

    def __init__(self) -> None:
        self._known: tuple[int, LibrarySchema] | None = None

    def __call__(self, conn: sqlite3.Connection) -> LibrarySchema:
        """Return the tables as they are now; whether they make a library is still to be asked."""
        version: int = conn.execute("pragma main.schema_version").fetchone()[0]
        known = self._known
        if known is None or known[0] != version:
            known = (version, library_schema(conn))
            if not conn.in_transaction:  # what is rolled back may leave its number to other tables
                self._known = known
        return known[1]


def library_schema(conn: sqlite3.Connection) -> LibrarySchema:
    """Look at a database once. Takes about two milliseconds; callers keep the answer."""
    columns = _load_columns(conn)
    entities = tuple(e for e in ENTITIES if _covers(columns, e.table, "id", "name", "library_id"))
    return LibrarySchema(
        columns=columns,
        fields=tuple(f for f in FIELDS if _is_storable(columns, entities, f)),
        entities=entities,
        aliased=tuple(e for e in entities if _covers(columns, e.alias_table, e.id_column, "name")),
        has_history=all(table in columns for table in HISTORY_TABLES),
        missing=_missing(columns),
        references=load_references(conn),
    )


def _load_columns(conn: sqlite3.Connection) -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for table, column in conn.execute(_COLUMNS_SQL, _KNOWN_TABLES):
        names.setdefault(table, set()).add(column)
    return {table: frozenset(found) for table, found in names.items()}


def _covers(columns: Mapping[str, frozenset[str]], table: str, *needed: str) -> bool:
    return columns.get(table, frozenset()).issuperset(needed)


def _is_storable(columns: Mapping[str, frozenset[str]], entities: tuple[Entity, ...], field: Field) -> bool:
    own = tuple(c for c in (field.column, None if field.shares_source else field.source_column) if c)
    if not _covers(columns, field.level.value, *own) or (field.entity and field.entity not in entities):
        return False
    if field.link_table is None:
        return True
    link = (field.owner_column, field.entity.id_column) if field.entity else (field.owner_column,)
    return _covers(columns, field.link_table, *link)


def _missing(columns: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    absent: list[str] = []
    for table, needed in _NEEDED.items():
        if table not in columns:
            absent.append(table)
            continue
        absent.extend(f"{table}.{column}" for column in needed if column not in columns[table])
    return tuple(absent)
