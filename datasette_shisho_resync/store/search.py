"""Keeps the rows of the full-text tables right, and finds one again (spec 1.7).

Row ids mean nothing in a library that Shisho made, and looking for `book_id` reads the whole table. A row
that we write has the id itself as its row id where that is free; any other is found by a match on what it
probably says, and only then by reading the table. What rows say is for `search_content`.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..fields import SERIES, Entity
from .schema import SEARCH_TABLES, LibrarySchema, exact_text, sql_text
from .search_content import BOOKS, BY_ENTITY, SearchContent, SearchTable, load_books

_PHRASE_PIECES = 6
_SEPARATORS = re.compile(r"[\x00-\x2f:-@\[-`{-\x7f]+")  # ASCII that is part of no token


@dataclass(frozen=True, slots=True)
class Place:
    """Where a search row was before a write; `rowid` None: there was none, so that nobody reads the table."""

    rowid: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    rowid: int
    values: tuple[str, ...]


def index_book(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> bool:
    """Make a book's search row right; it goes when the book is gone. Returns whether anything was written."""
    return index_row(conn, schema, BOOKS, book_id)


def insert_books(conn: sqlite3.Connection, schema: LibrarySchema, book_ids: Sequence[int]) -> None:
    """Write the search rows of books that have none yet, without looking for any."""
    if not book_ids or not schema.has(BOOKS.name, BOOKS.id_column):
        return
    columns = _columns(schema, BOOKS)
    with exact_text(conn):
        contents = load_books(conn, schema, book_ids)
    last = sorted(_taken(conn, BOOKS, contents))  # else one of them might take the place of another book
    rows: list[tuple[object, ...]] = [
        (rowid, pk, *map(sql_text, _values(columns, contents[pk])))
        for rowid, pk in (*((pk, pk) for pk in contents if pk not in last), *((None, pk) for pk in last))
    ]
    conn.executemany(_insert_sql(BOOKS, columns), rows)


def unindex_book(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> bool:
    """Remove a book's search row; quick only while the book itself is there. Returns whether one went."""
    return _unindex(conn, schema, BOOKS, book_id)


def index_series(
    conn: sqlite3.Connection, schema: LibrarySchema, series_id: int, *, is_new: bool = False
) -> bool:
    """Make a series' search row right: its name, and the titles and authors of its books.

    `is_new`: the series was just made, so that a row of it is not looked for in the whole table.
    """
    return index_row(conn, schema, BY_ENTITY[SERIES], series_id, Place() if is_new else None)


def index_all_series(
    conn: sqlite3.Connection, schema: LibrarySchema, series: Iterable[int], made: Collection[int] = ()
) -> None:
    """Do so for several series, of which some were just `made`."""
    for series_id in sorted(series):
        index_series(conn, schema, series_id, is_new=series_id in made)


def index_entity(conn: sqlite3.Connection, schema: LibrarySchema, entity: Entity, entity_id: int) -> bool:
    """Make a named row's search row right; it goes when that row is gone. Returns as `index_book`."""
    return index_row(conn, schema, BY_ENTITY[entity], entity_id)


def insert_entity(conn: sqlite3.Connection, schema: LibrarySchema, entity: Entity, entity_id: int) -> None:
    """Write the search row of a named row that was just made, without looking for one."""
    table = BY_ENTITY[entity]
    if not schema.has(table.name, table.id_column):
        return
    with exact_text(conn):
        columns = _columns(schema, table)
        content = table.load(conn, schema, entity_id, columns)
        if content:
            _insert(conn, table, columns, entity_id, _values(columns, content), None)


def unindex_entity(conn: sqlite3.Connection, schema: LibrarySchema, entity: Entity, entity_id: int) -> bool:
    """Remove a named row's search row; quick only while that row is there. Returns whether one went."""
    return _unindex(conn, schema, BY_ENTITY[entity], entity_id)


def index_row(
    conn: sqlite3.Connection, schema: LibrarySchema, table: SearchTable, pk: int, place: Place | None = None
) -> bool:
    """Do the same for a row of any of the tables; `place`, from before the write, spares reading it whole."""
    if not schema.has(table.name, table.id_column):
        return False
    with exact_text(conn):
        columns = _columns(schema, table)
        content = table.load(conn, schema, pk, columns)
        found = _find(conn, schema, table, columns, pk, content, place)
        values = _values(columns, content) if content else None
        if (found.values if found else None) == values:
            return False
        if found:
            _delete(conn, table, found.rowid)
        if values:
            _insert(conn, table, columns, pk, values, found.rowid if found else None)
        return True


def index_columns(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    table: SearchTable,
    pk: int,
    names: Collection[str],
    place: Place | None,
) -> bool:
    """Make some columns of a search row right, which costs less; all of it where there is none yet."""
    columns = tuple(column for column in _columns(schema, table) if column in names)
    if not columns:
        return False
    with exact_text(conn):
        content = table.load(conn, schema, pk, columns)
        values = _values(columns, content) if content else ()
        if content and _update(conn, table, columns, pk, pk, values):
            return True
        found = _look_up(conn, schema, table, columns, pk, content, place)
        if content is None or found is None:
            return index_row(conn, schema, table, pk, place)
        return found.values != values and _update(conn, table, columns, pk, found.rowid, values)


def locate_row(conn: sqlite3.Connection, schema: LibrarySchema, table: SearchTable, pk: int) -> Place | None:
    """Return where the search row of what is stored is, or None where only reading the table could tell."""
    if not schema.has(table.name, table.id_column):
        return None
    with exact_text(conn):
        columns = _columns(schema, table)
        found = _look_up(conn, schema, table, columns, pk, None, None)
        if found is None:
            found = _look_up(conn, schema, table, columns, pk, table.load(conn, schema, pk, ()), None)
    return Place(found.rowid) if found else None


def _unindex(conn: sqlite3.Connection, schema: LibrarySchema, table: SearchTable, pk: int) -> bool:
    if not schema.has(table.name, table.id_column):
        return False
    with exact_text(conn):
        columns = _columns(schema, table)
        found = _find(conn, schema, table, columns, pk, table.load(conn, schema, pk, ()))
    if found:
        _delete(conn, table, found.rowid)
    return found is not None


def _columns(schema: LibrarySchema, table: SearchTable) -> tuple[str, ...]:
    """Return those columns of the table that this database has, without the id."""
    present = schema.columns[table.name] - {table.id_column}
    return tuple(column for column in SEARCH_TABLES[table.name] if column in present)


def _values(columns: Sequence[str], content: SearchContent) -> tuple[str, ...]:
    known = {"library_id": str(content.library_id), **content.texts}
    return tuple(known.get(column, "") for column in columns)


def _find(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    table: SearchTable,
    columns: Sequence[str],
    pk: int,
    content: SearchContent | None,
    place: Place | None = None,
) -> _Row | None:
    """Look for a row by row id, then by a match, then everywhere unless it had no place."""
    found = _look_up(conn, schema, table, columns, pk, content, place)
    if found or (place and place.rowid is None):
        return found
    return _row(conn.execute(f"{_own_row_sql(table, columns)} limit 1", (pk,)))


def _look_up(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    table: SearchTable,
    columns: Sequence[str],
    pk: int,
    content: SearchContent | None,
    place: Place | None,
) -> _Row | None:
    """Look for a row where it probably is, without reading the whole table."""
    own = _own_row_sql(table, columns)
    for rowid in (pk, place.rowid) if place and place.rowid is not None else (pk,):
        if found := _row(conn.execute(f"{own} and rowid = ?", (pk, rowid))):
            return found
    for column, text in content.probes if content else ():
        if schema.has(table.name, column) and (phrase := _phrase(column, text)):
            match = (pk, sql_text(phrase))
            if found := _row(conn.execute(f"{own} and {table.name} match cast(? as text) limit 1", match)):
                return found
    return None


def _own_row_sql(table: SearchTable, columns: Sequence[str]) -> str:
    texts = ", ".join(f"cast(coalesce({column}, '') as text)" for column in columns)
    return f"select rowid, {texts} from {table.name} where cast({table.id_column} as integer) = ?"


def _row(found: sqlite3.Cursor) -> _Row | None:
    row = found.fetchone()
    return _Row(row[0], tuple(row)[1:]) if row else None


def _phrase(column: str, text: str) -> str | None:
    """Return a query for the end of a text in one column; its pieces hold nothing that needs escaping."""
    pieces = [piece for piece in _SEPARATORS.split(text) if piece][-_PHRASE_PIECES:]
    return f'{column} : "{" ".join(pieces)}"' if pieces else None


def _delete(conn: sqlite3.Connection, table: SearchTable, rowid: int) -> None:
    conn.execute(f"delete from {table.name} where rowid = ?", (rowid,))


def _update(
    conn: sqlite3.Connection,
    table: SearchTable,
    columns: Sequence[str],
    pk: int,
    rowid: int,
    values: Sequence[str],
) -> bool:
    """Update the row there if it is that of `pk` and says something else; returns whether it was."""
    assignments = ", ".join(f"{column} = {_mark(column)}" for column in columns)
    different = " or ".join(f"coalesce({column}, '') <> {_mark(column)}" for column in columns)
    texts = tuple(map(sql_text, values))
    own = f"rowid = ? and cast({table.id_column} as integer) = ?"
    written = conn.execute(
        f"update {table.name} set {assignments} where {own} and ({different})", (*texts, rowid, pk, *texts)
    )
    return written.rowcount > 0


def _insert(
    conn: sqlite3.Connection,
    table: SearchTable,
    columns: Sequence[str],
    pk: int,
    values: Sequence[str],
    former_rowid: int | None,
) -> None:
    """Insert a row at its own id, else where it was, else anywhere."""
    rowid = pk if former_rowid == pk or not _taken(conn, table, (pk,)) else former_rowid
    conn.execute(_insert_sql(table, columns), (rowid, pk, *map(sql_text, values)))


def _taken(conn: sqlite3.Connection, table: SearchTable, ids: Iterable[int]) -> set[int]:
    """Return those of the ids that are row ids already."""
    rows = conn.execute(
        f"""
        select wanted.value
        from json_each(?) as wanted
        cross join {table.name} as found on found.rowid = wanted.value
        """,
        (json.dumps(list(ids)),),
    )
    return {row[0] for row in rows}


def _insert_sql(table: SearchTable, columns: Sequence[str]) -> str:
    return f"""
        insert into {table.name} (rowid, {table.id_column}, {", ".join(columns)})
        values (?, ?, {", ".join(map(_mark, columns))})
    """


def _mark(column: str) -> str:
    return "cast(? as integer)" if column == "library_id" else "cast(? as text)"
