"""What pages of a library show of many books at once, in a fixed number of queries, and how to search.

Reads a library in any shape that `library_schema` accepts; knows nothing of pages.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..fields import BOOK_FIELDS, FILE_FIELDS, Field, Kind
from ..sources import FILEPATH
from .schema import SEARCH_TABLES, LibrarySchema

_IDS = "(select value from json_each(:ids))"
_SEARCHED = {table.removesuffix("_fts"): (table, columns[0]) for table, columns in SEARCH_TABLES.items()}


@dataclass(frozen=True, slots=True)
class ShelfFile:
    """`version` changes when the row does."""

    id: int
    type: str
    cover_name: str | None
    version: str


@dataclass(frozen=True, slots=True)
class ShelfBook:
    """`sources` counts the book's and its main files' values by where they come from; `series` are names
    with their number, if any; `files` are the main ones, the preferred cover first. `library_id` is None
    where a hand wrote no number."""

    id: int
    library_id: int | None
    title: str
    has_description: bool
    authors: tuple[str, ...]
    series: tuple[tuple[str, float | None], ...]
    files: tuple[ShelfFile, ...]
    sources: Mapping[str, int]


def search_table_of(table: str) -> str | None:
    """Return the search table of a table of a library."""
    return _SEARCHED[table][0] if table in _SEARCHED else None


def search_clause(table: str, parameter: str, *, is_raw: bool) -> str:
    """Return the condition that a row of a table is found by the words in a parameter."""
    search_table, id_column = _SEARCHED[table]
    words = f":{parameter}" if is_raw else f"escape_fts(:{parameter})"
    return f"id in (select {id_column} from {search_table} where {search_table} match {words})"


def large_tables(conn: sqlite3.Connection, tables: Iterable[str], rows: int) -> frozenset[str]:
    """Return those of these tables that may have more rows than that, without counting them."""
    ids = ((table, conn.execute(f"select max(rowid) from {table}").fetchone()[0]) for table in tables)
    return frozenset(table for table, last in ids if (last or 0) > rows)


def load_shelf(
    conn: sqlite3.Connection, schema: LibrarySchema, book_ids: Sequence[int], tables: frozenset[str]
) -> tuple[ShelfBook, ...]:
    """Return books in the order of their ids given; only `tables` are read besides `books`."""
    given = {"ids": json.dumps(list(book_ids))}
    books = {row["id"]: row for row in conn.execute(_books_sql(schema), given)}
    authors = _grouped(_authors(conn, schema, tables, given))
    series = _grouped(_series(conn, schema, tables, given))
    files = _grouped((row["book_id"], row) for row in _files(conn, schema, tables, given))
    return tuple(
        _book(schema, books[pk], authors.get(pk, ()), series.get(pk, ()), files.get(pk, ()))
        for pk in book_ids
        if pk in books
    )


def _book(
    schema: LibrarySchema,
    row: sqlite3.Row,
    authors: Sequence[str],
    series: Sequence[tuple[str, float | None]],
    files: Sequence[sqlite3.Row],
) -> ShelfBook:
    sources = Counter(_sources(schema, BOOK_FIELDS, row))
    for file in files:
        sources.update(_sources(schema, FILE_FIELDS, file))
    return ShelfBook(
        id=row["id"],
        library_id=row["library_id"] if isinstance(row["library_id"], int) else None,
        title=row["title"],
        has_description=bool(row["has_description"]),
        authors=tuple(dict.fromkeys(authors)),
        series=tuple(series),
        files=tuple(
            ShelfFile(f["id"], f["file_type"] or "", f["cover_image_filename"], str(f["version"] or ""))
            for f in files
        ),
        sources=sources,
    )


def _sources(schema: LibrarySchema, fields: Iterable[Field], row: sqlite3.Row) -> Iterator[str]:
    """Yield the source of each value that there is."""
    for column in _source_columns(schema, fields):
        if row[column]:
            yield str(row[column])


def _source_columns(schema: LibrarySchema, fields: Iterable[Field]) -> list[str]:
    columns = (schema.source_column(f) for f in fields if f in schema.fields)
    return [column for column in columns if column]


def _selected_sources(schema: LibrarySchema, fields: Iterable[Field]) -> str:
    """Return the source columns of a level, to follow other columns."""
    return "".join(f", {present_source(f)}" for f in fields if f in schema.fields and schema.source_column(f))


def present_source(field: Field) -> str:
    """Return a field's source column, null where there is no value."""
    source = str(field.source_column)
    if field.kind is Kind.AUTHORS:  # a book without any has this source, too
        any_author = "exists (select 1 from authors where authors.book_id = books.id)"
        return f"case when {source} <> '{FILEPATH}' or {any_author} then {source} end as {source}"
    return f"case when {field.column} <> '' then {source} end as {source}" if field.column else source


def _books_sql(schema: LibrarySchema) -> str:
    description = "description <> ''" if schema.has("books", "description") else "1"
    return f"""
        select id, library_id, title, {description} as has_description{_selected_sources(schema, BOOK_FIELDS)}
        from books
        where id in {_IDS}
    """


def _authors(
    conn: sqlite3.Connection, schema: LibrarySchema, tables: frozenset[str], given: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    if not {"authors", "persons"} <= tables or not schema.has("authors", "book_id", "person_id"):
        return
    sql = f"""
        select a.book_id, p.name
        from authors as a
        join persons as p on p.id = a.person_id
        where a.book_id in {_IDS}
        order by a.sort_order, a.id
    """
    for row in conn.execute(sql, given):
        yield row[0], row[1]


def _series(
    conn: sqlite3.Connection, schema: LibrarySchema, tables: frozenset[str], given: Mapping[str, str]
) -> Iterator[tuple[int, tuple[str, float | None]]]:
    if not {"book_series", "series"} <= tables or not schema.has("book_series", "book_id", "series_number"):
        return
    sql = f"""
        select l.book_id, s.name, l.series_number
        from book_series as l
        join series as s on s.id = l.series_id
        where l.book_id in {_IDS}
        order by l.sort_order, l.id
    """
    for row in conn.execute(sql, given):
        yield row[0], (row[1], row[2])


def _files(
    conn: sqlite3.Connection, schema: LibrarySchema, tables: frozenset[str], given: Mapping[str, str]
) -> Iterable[sqlite3.Row]:
    if "files" not in tables:
        return ()
    cover = "cover_image_filename" if schema.has("files", "cover_image_filename") else "null"
    preferred = "is_preferred_cover desc, " if schema.has("files", "is_preferred_cover") else ""
    version = "updated_at" if schema.has("files", "updated_at") else "null"
    sql = f"""
        select id, book_id, file_type, {cover} as cover_image_filename, {version} as version
            {_selected_sources(schema, FILE_FIELDS)}
        from files
        where book_id in {_IDS} and file_role = 'main'
        order by {preferred}file_type, id
    """
    return conn.execute(sql, given)


def _grouped(pairs: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(int(key), []).append(value)
    return groups
