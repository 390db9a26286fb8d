"""From which rows of a library its search rows are made, for whoever has to follow the edit of one.

Says of `search_content` what it reads; knows neither triggers nor the full-text tables.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..fields import BY_NAME, SERIES, Field, Level
from .schema import LibrarySchema
from .search_content import BOOKS, BY_ENTITY, LINKED, OF_BOOKS, SearchTable

SERIES_ROWS = BY_ENTITY[SERIES]
_ORDER = (*(table for table in BY_ENTITY.values() if table is not SERIES_ROWS), BOOKS, SERIES_ROWS)
"""Series last: what they tell of changes with their books."""

_GIVEN = "select value from json_each(?)"


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Rows of a table that one column of search rows is made of.

    `columns`: what it tells of them; `key`: the column of theirs that leads to whom they belong; `ids_sql`:
    takes a JSON list of keys, and gives the ids of books or named rows.
    """

    search: SearchTable
    column: str
    table: str
    columns: tuple[str, ...]
    key: str
    ids_sql: str = _GIVEN


def search_origins(schema: LibrarySchema) -> tuple[Origin, ...]:
    """Return what the search rows of this library are made of, beside the row that each of them is of."""
    return tuple(
        origin
        for origin in _all_origins(schema)
        if schema.has(origin.search.name, origin.search.id_column, origin.column)
        and schema.has(origin.table, origin.key)
    )


def search_tables(schema: LibrarySchema) -> tuple[SearchTable, ...]:
    """Return the search tables of this library in the order in which to write them."""
    made = {BOOKS, *(BY_ENTITY[entity] for entity in schema.entities)}
    return tuple(table for table in _ORDER if table in made and schema.has(table.name, table.id_column))


def ids_of(conn: sqlite3.Connection, origin: Origin, keys: Iterable[int]) -> list[int]:
    """Return the ids of the books or named rows, as far as they exist, to which keys lead."""
    rows = conn.execute(
        f"select id from {origin.search.source} where id in ({origin.ids_sql}) order by id",
        (json.dumps(list(keys)),),
    )
    return [row[0] for row in rows]


def _all_origins(schema: LibrarySchema) -> Iterator[Origin]:
    yield Origin(BOOKS, "filenames", "files", ("filepath", "file_type"), "book_id")
    for column, name in LINKED.items():
        if BY_NAME[name] in schema.fields:
            yield from _names_of_books(schema, column, BY_NAME[name])
    for entity in schema.aliased:
        yield Origin(BY_ENTITY[entity], "name", entity.alias_table, ("name",), entity.id_column)
    if SERIES in schema.entities and schema.has("book_series", "book_id"):
        for column in OF_BOOKS:
            yield Origin(SERIES_ROWS, column, "book_series", ("book_id",), "series_id")


def _names_of_books(schema: LibrarySchema, column: str, field: Field) -> Iterator[Origin]:
    assert field.entity is not None
    assert field.link_table is not None
    entity, link, owner = field.entity, field.link_table, field.owner_column
    if field.level is Level.FILE:
        yield Origin(BOOKS, column, "files", (), "book_id")
    yield Origin(BOOKS, column, link, (entity.id_column, "sort_order"), owner, _books(field.level, _GIVEN))
    owners = f"select {owner} from {link} where {entity.id_column} in ({_GIVEN})"
    books = _books(field.level, owners)
    yield Origin(BOOKS, column, entity.table, ("name",), "id", books)
    if entity in schema.aliased:
        yield Origin(BOOKS, column, entity.alias_table, ("name",), entity.id_column, books)


def _books(level: Level, owners: str) -> str:
    return owners if level is Level.BOOK else f"select book_id from files where id in ({owners})"
