"""What the rows of the full-text tables say (spec 1.7). Reads the library, never the full-text tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..fields import BY_NAME, ENTITIES, PERSON, SERIES, Entity, Field, Level
from .schema import LibrarySchema, stored_text

LINKED: Mapping[str, str] = {"authors": "authors", "narrators": "narrators", "series_names": "series"}
"""The columns of a book's search row that tell the names to which one of its fields points."""

_FILENAMES = "filenames"
_LISTS = (_FILENAMES, *LINKED)


@dataclass(frozen=True, slots=True)
class SearchContent:
    """A search row without its id, as far as it was asked for. `probes` are (column, text) that an older
    state of the row probably contains too, the most telling one first."""

    library_id: int
    texts: Mapping[str, str]
    probes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each
class SearchTable:
    """A full-text table, and what loads the texts of one of its rows for some columns: None when the source
    row is gone.

    `source`: the table whose rows have one here; `columns`: those that are told as they are, the most
    telling first.
    """

    name: str
    id_column: str
    load: Callable[[sqlite3.Connection, LibrarySchema, int, Collection[str]], SearchContent | None]
    source: str
    columns: tuple[str, ...]


def load_books(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    book_ids: Iterable[int],
    columns: Collection[str] = _LISTS,
) -> dict[int, SearchContent]:
    """Load books by their ids; those that are gone are left out."""
    wanted = json.dumps(list(book_ids))
    rows = conn.execute(
        f"""
        select books.id, library_id, cast(title as text), cast(filepath as text),
            {_optional(schema, "books", "subtitle")}
        from json_each(?) as wanted
        cross join books on books.id = wanted.value
        """,
        (wanted,),
    ).fetchall()
    lists = {
        column: _filenames(conn, wanted)
        if column == _FILENAMES
        else _linked_names(conn, schema, BY_NAME[LINKED[column]], wanted)
        for column in columns
        if column in _LISTS
    }
    return {
        pk: SearchContent(
            library_id,
            {
                "title": title or "",
                "filepath": filepath or "",
                "subtitle": subtitle or "",
                **{column: texts.get(pk, "") for column, texts in lists.items()},
            },
            (("filepath", filepath or ""), ("title", title or "")),
        )
        for pk, library_id, title, filepath, subtitle in rows
    }


def _load_book(
    conn: sqlite3.Connection, schema: LibrarySchema, book_id: int, columns: Collection[str]
) -> SearchContent | None:
    return load_books(conn, schema, (book_id,), columns).get(book_id)


def _filenames(conn: sqlite3.Connection, wanted: str) -> Mapping[int, str]:
    return _joined_by_book(
        conn.execute(
            """
            select book_id, filepath
            from json_each(?) as wanted
            cross join files on files.book_id = wanted.value
            order by file_type, files.id
            """,
            (wanted,),
        )
    )


def _linked_names(
    conn: sqlite3.Connection, schema: LibrarySchema, field: Field, wanted: str
) -> Mapping[int, str]:
    """Return the names that books or their files point to, in order, then their aliases.

    `wanted`: a JSON list of the books' ids.
    """
    entity = field.entity
    if entity not in schema.entities or not schema.has(field.link_table or ""):
        return {}
    owner = "wanted.value" if field.level is Level.BOOK else "files.id"
    files = "" if field.level is Level.BOOK else "cross join files on files.book_id = wanted.value"
    tables = (entity.table, *((entity.alias_table,) if entity in schema.aliased else ()))
    arms = [
        f"""
        select wanted.value, named.name, {rank}, link.sort_order, link.rowid, named.rowid
        from json_each(?) as wanted
        {files}
        cross join {field.link_table} as link on link.{field.owner_column} = {owner}
        cross join {table} as named
            on named.{"id" if table == entity.table else entity.id_column} = link.{entity.id_column}
        """
        for rank, table in enumerate(tables)
    ]
    return _joined_by_book(
        conn.execute("union all".join(arms) + "order by 3, 4, 5, 6", (wanted,) * len(arms)),
    )


def _joined_by_book(rows: Iterable[Sequence[Any]]) -> Mapping[int, str]:
    """Join the texts of (book id, text, ...) rows."""
    texts: dict[int, list[tuple[str | None]]] = {}
    for row in rows:
        texts.setdefault(row[0], []).append((row[1],))
    return {book_id: _joined(found) for book_id, found in texts.items()}


def _load_series(
    conn: sqlite3.Connection, schema: LibrarySchema, series_id: int, columns: Collection[str]
) -> SearchContent | None:
    named = _load_named(SERIES, conn, schema, series_id, columns)
    if named is None or not schema.has("book_series"):
        return named
    texts = {column: load(conn, schema, series_id) for column, load in OF_BOOKS.items() if column in columns}
    return SearchContent(named.library_id, {**named.texts, **texts}, named.probes)


def _series_titles(conn: sqlite3.Connection, schema: LibrarySchema, series_id: int) -> str:
    rows = conn.execute(
        """
        select books.title
        from book_series as link
        cross join books on books.id = link.book_id
        where link.series_id = ?
        order by link.book_id
        """,
        (series_id,),
    )
    return _joined(rows)


def _series_authors(conn: sqlite3.Connection, schema: LibrarySchema, series_id: int) -> str:
    if PERSON not in schema.entities or not schema.has("authors"):
        return ""
    rows = conn.execute(
        """
        select persons.name
        from book_series as link
        cross join authors on authors.book_id = link.book_id
        cross join persons on persons.id = authors.person_id
        where link.series_id = ?
        order by link.book_id, authors.sort_order, authors.id
        """,
        (series_id,),
    )
    return _joined(rows)


def _load_named(
    entity: Entity, conn: sqlite3.Connection, schema: LibrarySchema, pk: int, columns: Collection[str]
) -> SearchContent | None:
    """Load a named row: its name followed by its aliases, and one more of its columns."""
    if entity not in schema.entities:
        return None
    second_column = _SECOND_COLUMNS.get(entity)
    second = _optional(schema, entity.table, second_column) if second_column else "''"
    row = conn.execute(
        f"""
        select library_id, cast(name as text), {second}
        from {entity.table}
        where id = ?
        """,
        (pk,),
    ).fetchone()
    if row is None:
        return None
    name = row[1] or ""
    aliases = _aliases(conn, schema, entity, pk) if "name" in columns else ()
    texts = {"name": _joined(((name,), *aliases))}
    if second_column:
        texts[second_column] = row[2] or ""
    probes = (("name", name), ("sort_name", texts.get("sort_name", "")))
    return SearchContent(row[0], texts, probes)


def _aliases(
    conn: sqlite3.Connection, schema: LibrarySchema, entity: Entity, pk: int
) -> Iterable[tuple[str]]:
    if entity not in schema.aliased:
        return ()
    return conn.execute(
        f"""
        select name
        from {entity.alias_table}
        where {entity.id_column} = ?
        order by id
        """,
        (pk,),
    )


def _optional(schema: LibrarySchema, table: str, column: str) -> str:
    return f"cast({column} as text)" if schema.has(table, column) else "''"


def _joined(rows: Iterable[tuple[str | None]]) -> str:
    return " ".join(dict.fromkeys(stored_text(row[0]) for row in rows if row[0]))


def _named_table(entity: Entity) -> SearchTable:
    second = (_SECOND_COLUMNS[entity],) if entity in _SECOND_COLUMNS else ()
    load = _load_series if entity is SERIES else partial(_load_named, entity)
    return SearchTable(
        entity.search_table, entity.id_column, load, entity.table, ("name", *second, "library_id")
    )


OF_BOOKS = {"book_titles": _series_titles, "book_authors": _series_authors}
"""The columns of a series' search row that tell something of each of its books."""
_SECOND_COLUMNS: Mapping[Entity, str] = {SERIES: "description", PERSON: "sort_name"}

BOOKS = SearchTable(
    "books_fts", "book_id", _load_book, "books", ("filepath", "title", "subtitle", "library_id")
)
BY_ENTITY: Mapping[Entity, SearchTable] = {entity: _named_table(entity) for entity in ENTITIES}
