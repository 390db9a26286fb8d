"""What the rows of the full-text tables say (spec 1.7). Reads the library, never the full-text tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..fields import BY_NAME, ENTITIES, PERSON, SERIES, Entity, Field, Level
from .schema import LibrarySchema, stored_text


@dataclass(frozen=True, slots=True)
class SearchContent:
    """A search row without its id. `probes` are (column, text) that an older state of the row probably
    contains too, the most telling one first."""

    library_id: int
    texts: Mapping[str, str]
    probes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SearchTable:
    """A full-text table, and what loads the content of one of its rows: None when the source row is gone."""

    name: str
    id_column: str
    load: Callable[[sqlite3.Connection, LibrarySchema, int], SearchContent | None]


def load_books(
    conn: sqlite3.Connection, schema: LibrarySchema, book_ids: Iterable[int]
) -> dict[int, SearchContent]:
    """Load books by their ids; those that are gone are left out."""
    wanted = json.dumps(list(book_ids))
    rows = conn.execute(
        f"""
        select books.id, library_id, cast(title as text), filepath, {_optional(schema, "books", "subtitle")}
        from json_each(?) as wanted
        cross join books on books.id = wanted.value
        """,
        (wanted,),
    ).fetchall()
    filenames = _joined_by_book(
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
    authors, narrators, series = (
        _linked_names(conn, schema, BY_NAME[name], wanted) for name in ("authors", "narrators", "series")
    )
    return {
        pk: SearchContent(
            library_id,
            {
                "title": title or "",
                "filepath": filepath or "",
                "subtitle": subtitle or "",
                "authors": authors.get(pk, ""),
                "filenames": filenames.get(pk, ""),
                "narrators": narrators.get(pk, ""),
                "series_names": series.get(pk, ""),
            },
            (("filepath", filepath or ""), ("title", title or "")),
        )
        for pk, library_id, title, filepath, subtitle in rows
    }


def _load_book(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> SearchContent | None:
    return load_books(conn, schema, (book_id,)).get(book_id)


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


def _load_series(conn: sqlite3.Connection, schema: LibrarySchema, series_id: int) -> SearchContent | None:
    named = _load_named(conn, schema, SERIES, series_id, "description")
    if named is None or not schema.has("book_series"):
        return named
    titles = conn.execute(
        """
        select books.title
        from book_series as link
        cross join books on books.id = link.book_id
        where link.series_id = ?
        order by link.book_id
        """,
        (series_id,),
    )
    texts = {
        **named.texts,
        "book_titles": _joined(titles),
        "book_authors": _series_authors(conn, schema, series_id),
    }
    return SearchContent(named.library_id, texts, named.probes)


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


def _load_person(conn: sqlite3.Connection, schema: LibrarySchema, person_id: int) -> SearchContent | None:
    return _load_named(conn, schema, PERSON, person_id, "sort_name")


def _load_named(
    conn: sqlite3.Connection, schema: LibrarySchema, entity: Entity, pk: int, second_column: str | None = None
) -> SearchContent | None:
    """Load a named row: its name followed by its aliases, and one more of its columns."""
    if entity not in schema.entities:
        return None
    second = _optional(schema, entity.table, second_column) if second_column else "''"
    row = conn.execute(
        f"""
        select library_id, name, {second}
        from {entity.table}
        where id = ?
        """,
        (pk,),
    ).fetchone()
    if row is None:
        return None
    name = row[1] or ""
    texts = {"name": _joined(((name,), *_aliases(conn, schema, entity, pk)))}
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


def _named_loader(entity: Entity) -> Callable[[sqlite3.Connection, LibrarySchema, int], SearchContent | None]:
    return lambda conn, schema, pk: _load_named(conn, schema, entity, pk)


_SPECIAL_LOADERS = {SERIES: _load_series, PERSON: _load_person}

BOOKS = SearchTable("books_fts", "book_id", _load_book)
BY_ENTITY: Mapping[Entity, SearchTable] = {
    entity: SearchTable(
        entity.search_table, entity.id_column, _SPECIAL_LOADERS.get(entity) or _named_loader(entity)
    )
    for entity in ENTITIES
}
