"""Reads the rows a run is about into values. Writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import UnknownRow
from ..fields import BOOK_FIELDS, ENTITIES, FILE_FIELDS, Field, Kind, Level
from ..model import (
    Author,
    BookRow,
    Brief,
    Chapter,
    FileRow,
    Identifier,
    Identities,
    Identity,
    SeriesEntry,
    Snapshot,
    Stored,
    Target,
    Value,
    folded,
)
from .schema import LibrarySchema, sql_text
from .times import stored_date

_ENTITY = {entity.table: entity for entity in ENTITIES}


def load_brief(conn: sqlite3.Connection, target: Target) -> Brief:
    """Raises `UnknownRow`."""
    if target.table == "books":
        book = _book(conn, target.pk)
        if book is None:
            raise UnknownRow(f"There is no book {target.pk}.")
        return brief_of_book(conn, target, book)
    row = conn.execute("select * from files where id = ?", (target.pk,)).fetchone()
    if row is None:
        raise UnknownRow(f"There is no file {target.pk}.")
    file = _file_row(row)
    book = _book(conn, file.book_id)
    if book is None:
        return _brief(conn, target, None, (file,), file.library_id)
    return brief_of_book(conn, target, book)


def brief_of_book(conn: sqlite3.Connection, target: Target, book: BookRow) -> Brief:
    rows = conn.execute("select * from files where book_id = ? order by file_type, id", (book.id,))
    return _brief(conn, target, book, tuple(_file_row(r) for r in rows), book.library_id)


def _brief(
    conn: sqlite3.Connection,
    target: Target,
    book: BookRow | None,
    files: tuple[FileRow, ...],
    library_id: int,
) -> Brief:
    library = conn.execute("select name from libraries where id = ?", (library_id,)).fetchone()
    return Brief(
        target, book, files, library_paths(conn, library_id), library_id, library[0] if library else ""
    )


def library_paths(conn: sqlite3.Connection, library_id: int | None = None) -> tuple[str, ...]:
    """Return the folders of one library, or of all, in stored form."""
    if library_id is None:
        rows = conn.execute("select filepath from library_paths order by id")
    else:
        rows = conn.execute(
            "select filepath from library_paths where library_id = ? order by id", (library_id,)
        )
    return tuple(r[0] for r in rows)


def series_of_book(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> set[int]:
    """Return the ids of the series that a book is in."""
    if not schema.has("book_series"):
        return set()
    return {r[0] for r in conn.execute("select series_id from book_series where book_id = ?", (book_id,))}


def _book(conn: sqlite3.Connection, pk: int) -> BookRow | None:
    row = conn.execute("select id, library_id, filepath from books where id = ?", (pk,)).fetchone()
    return BookRow(row[0], int(row[1]), row[2]) if row else None


def _file_row(row: sqlite3.Row) -> FileRow:
    present = row.keys()
    return FileRow(
        id=row["id"],
        book_id=int(row["book_id"]),
        library_id=int(row["library_id"]),
        path=row["filepath"],
        file_type=row["file_type"] or "",
        role=row["file_role"] if "file_role" in present else "main",
        size_bytes=(row["filesize_bytes"] if "filesize_bytes" in present else 0) or 0,
        modified_at=row["file_modified_at"] if "file_modified_at" in present else None,
        cover_name=row["cover_image_filename"] if "cover_image_filename" in present else None,
    )


def load_snapshot(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    brief: Brief,
    file_ids: Sequence[int],
    sidecar_paths: Sequence[str],
) -> Snapshot:
    """Load the book's fields, those of `file_ids`, and which sidecars were seen before."""
    known: dict[tuple[str, str], Identity] = {}
    marks = _marks(conn, schema, brief.book, file_ids)
    available = {f.name for f in schema.fields}
    book: dict[str, Stored] = {}
    if brief.book is not None:
        fields = [f for f in BOOK_FIELDS if f.name in available]
        book = load_record(conn, Level.BOOK, brief.book.id, fields, known, marks)
    fields = [f for f in FILE_FIELDS if f.name in available]
    files = {}
    for file_id in file_ids:
        files[file_id] = load_record(conn, Level.FILE, file_id, fields, known, marks)
    seen = _seen_sidecars(conn, schema, sidecar_paths)
    return Snapshot(brief, book, files, Identities(known), seen)


def load_record(
    conn: sqlite3.Connection,
    level: Level,
    pk: int,
    fields: Sequence[Field],
    known: dict[tuple[str, str], Identity],
    marks: frozenset[tuple[str, int, str]] = frozenset(),
) -> dict[str, Stored]:
    """Load fields of one row; the rows that its names mean are added to `known`."""
    row = conn.execute(f"select * from {level.value} where id = ?", (pk,)).fetchone()
    return _record(conn, row, fields, marks, known)


def _record(
    conn: sqlite3.Connection,
    row: sqlite3.Row,
    fields: Sequence[Field],
    marks: frozenset[tuple[str, int, str]],
    known: dict[tuple[str, str], Identity],
) -> dict[str, Stored]:
    record = {}
    for field in fields:
        is_marked = (field.level.value, row["id"], field.name) in marks
        source = row[field.source_column] if field.source_column else None
        if field.is_list:
            value, raw, series_source = load_list(conn, field, row["id"], known)
            source = series_source if field.kind is Kind.SERIES else source
            record[field.name] = Stored(value, source, is_marked, raw)
        elif field.kind is Kind.PUBLISHER:
            record[field.name] = _stored_publisher(conn, row["publisher_id"], source, known)
        else:
            assert field.column is not None
            raw = row[field.column]
            if field.kind is Kind.COVER:
                present = row.keys()
                mime, page = (row[c] if c in present else None for c in ("cover_mime_type", "cover_page"))
                raw = {"filename": raw, "mime": mime, "page": page}
            record[field.name] = Stored(_scalar(field, raw), source, is_marked, raw)
    return record


def _scalar(field: Field, raw: Any) -> Value:
    """The cover's value is the image on disk, which the reading knows.

    SQLite lets any column hold anything: what is not of the field's kind counts as its text, or as none.
    """
    if raw is None or raw == "" or field.kind is Kind.COVER:
        return None
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "surrogateescape")
    if field.kind is Kind.DATE:
        return stored_date(str(raw))
    if field.kind is Kind.BOOLEAN:
        return bool(raw)
    if field.kind is Kind.REAL:
        return float(raw) if isinstance(raw, (int, float)) else str(raw)
    return raw  # type: ignore[no-any-return]


def _stored_publisher(
    conn: sqlite3.Connection,
    publisher_id: int | None,
    source: str | None,
    known: dict[tuple[str, str], Identity],
) -> Stored:
    if publisher_id is None:
        return Stored(None, source)
    row = conn.execute("select id, name from publishers where id = ?", (publisher_id,)).fetchone()
    if row is None:
        return Stored(None, source, raw={"id": publisher_id, "name": None})
    known["publishers", folded(row["name"])] = Identity(row["id"], row["name"])
    return Stored(row["name"], source, raw={"id": row["id"], "name": row["name"]})


_LIST_SQL = {
    "authors": """
        select authors.*, persons.name as entity_name, persons.sort_name as entity_sort_name
        from authors
        join persons on persons.id = authors.person_id
        where authors.book_id = ?
        order by authors.sort_order, authors.id
    """,
    "narrators": """
        select narrators.*, persons.name as entity_name, persons.sort_name as entity_sort_name
        from narrators
        join persons on persons.id = narrators.person_id
        where narrators.file_id = ?
        order by narrators.sort_order, narrators.id
    """,
    "series": """
        select book_series.*, series.name as entity_name, series.sort_name as entity_sort_name,
            series.name_source as entity_source
        from book_series
        join series on series.id = book_series.series_id
        where book_series.book_id = ?
        order by book_series.sort_order, book_series.id
    """,
    "genres": """
        select book_genres.*, genres.name as entity_name
        from book_genres
        join genres on genres.id = book_genres.genre_id
        where book_genres.book_id = ?
        order by genres.name
    """,
    "tags": """
        select book_tags.*, tags.name as entity_name
        from book_tags
        join tags on tags.id = book_tags.tag_id
        where book_tags.book_id = ?
        order by tags.name
    """,
    "identifiers": """
        select *
        from file_identifiers
        where file_id = ?
        order by id
    """,
    "chapters": """
        select *
        from chapters
        where file_id = ?
        order by sort_order, id
    """,
}


def list_rows(conn: sqlite3.Connection, field: Field, owner_id: int) -> list[sqlite3.Row]:
    """Return the rows behind a list field, with `entity_name` where they point to a named row."""
    return conn.execute(_LIST_SQL[field.name], (owner_id,)).fetchall()


def load_list(
    conn: sqlite3.Connection,
    field: Field,
    owner_id: int,
    known: dict[tuple[str, str], Identity] | None = None,
) -> tuple[Value, Any, str | None]:
    """Return a list field's value, its raw rows, and for series the `name_source` of the first one."""
    rows = list_rows(conn, field, owner_id)
    raw = [dict(zip(r.keys(), r, strict=True)) for r in rows]
    if field.entity is not None and known is not None:
        for r in raw:
            identity = Identity(
                r[field.entity.id_column],
                r["entity_name"],
                r.get("entity_source"),
                r.get("entity_sort_name"),
            )
            known[field.entity.table, folded(r["entity_name"])] = identity
    source = raw[0]["entity_source"] if raw and field.kind is Kind.SERIES else None
    return value_of_rows(field, raw), raw, source


def value_of_rows(field: Field, rows: Sequence[Mapping[str, Any]]) -> Value:
    """Return what a list field's raw rows (also those kept by the history) say."""
    if field.kind is Kind.AUTHORS:
        return tuple(Author(r["entity_name"], r.get("role") or None, r.get("entity_sort_name")) for r in rows)
    if field.kind is Kind.SERIES:
        return tuple(
            SeriesEntry(
                r["entity_name"],
                r.get("series_number"),
                r.get("series_number_end"),
                r.get("series_number_unit"),
            )
            for r in rows
        )
    if field.kind is Kind.IDENTIFIERS:
        return tuple(Identifier(r["type"], r["value"]) for r in rows)
    if field.kind is Kind.CHAPTERS:
        return _chapter_tree(rows)
    return tuple(r["entity_name"] for r in rows)


def _chapter_tree(rows: Sequence[Mapping[str, Any]]) -> tuple[Chapter, ...]:
    """Build the tree without recursion per row; rows come in sibling order, parents in any order."""
    children: dict[int | None, list[Mapping[str, Any]]] = {}
    ids = {r["id"] for r in rows}
    for r in rows:
        parent = r["parent_id"] if r["parent_id"] in ids else None
        children.setdefault(parent, []).append(r)

    def branch(parent: int | None, depth: int) -> tuple[Chapter, ...]:
        if depth > 100:
            return ()
        return tuple(
            Chapter(
                r["title"],
                r["start_page"],
                r["start_timestamp_ms"],
                r["href"],
                branch(r["id"], depth + 1) if r["id"] in children else (),
            )
            for r in children.get(parent, ())
        )

    return branch(None, 0)


def _marks(
    conn: sqlite3.Connection, schema: LibrarySchema, book: BookRow | None, file_ids: Sequence[int]
) -> frozenset[tuple[str, int, str]]:
    if not schema.has_history:
        return frozenset()
    found: set[tuple[str, int, str]] = set()
    pks = [(Level.FILE.value, pk) for pk in file_ids]
    if book is not None:
        pks.append((Level.BOOK.value, book.id))
    for table, pk in pks:
        rows = conn.execute(
            "select field from resync_manual where table_name = ? and row_pk = ?", (table, pk)
        )
        found.update((table, pk, r[0]) for r in rows)
    return frozenset(found)


def _seen_sidecars(
    conn: sqlite3.Connection, schema: LibrarySchema, paths: Sequence[str]
) -> frozenset[tuple[str, str]]:
    if not schema.has_history:
        return frozenset()
    seen: set[tuple[str, str]] = set()
    for path in paths:
        rows = conn.execute(
            "select sha256 from resync_sidecars where path = cast(? as text)", (sql_text(path),)
        )
        seen.update((path, r[0]) for r in rows)
    return frozenset(seen)


def known_sidecars(conn: sqlite3.Connection, paths: Sequence[str]) -> frozenset[str]:
    """Return the SHA-256 of the contents that sidecars at these paths had when last seen."""
    if not conn.execute("select 1 from sqlite_master where name = 'resync_sidecars'").fetchone():
        return frozenset()
    known: set[str] = set()
    for path in paths:
        rows = conn.execute(
            "select sha256 from resync_sidecars where path = cast(? as text)", (sql_text(path),)
        )
        known.update(r[0] for r in rows)
    return frozenset(known)


def resolve_names(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    library_id: int,
    identities: Identities,
    names: Iterable[tuple[str, str]],
) -> Identities:
    """Return `identities` with the rows that (entity table, name) pairs mean."""
    known = dict(identities.rows)
    add_names(conn, schema, library_id, known, names)
    return Identities(known)


def add_names(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    library_id: int,
    known: dict[tuple[str, str], Identity],
    names: Iterable[tuple[str, str]],
) -> None:
    """Add to `known` the rows that names mean: by name, else by alias (spec section 8)."""
    for table, name in names:
        key = (table, folded(name))
        if key in known or not key[1]:
            continue
        row = find_entity(conn, schema, library_id, table, name.strip())
        if row is not None:
            known[key] = row


def find_entity(
    conn: sqlite3.Connection, schema: LibrarySchema, library_id: int, table: str, name: str
) -> Identity | None:
    entity = _ENTITY[table]
    source = "name_source" if table == "series" else "null"
    sort_name = f"{table}.sort_name" if table in ("persons", "series") else "null"
    row = conn.execute(
        f"""
        select id, name, {source}, {sort_name}
        from {table}
        where name = ? collate nocase and library_id = ?
        """,
        (name, library_id),
    ).fetchone()
    if row is None and entity.alias_table in schema.columns:
        row = conn.execute(
            f"""
            select {table}.id, {table}.name, {source}, {sort_name}
            from {entity.alias_table} as alias
            join {table} on {table}.id = alias.{entity.id_column}
            where alias.name = ? collate nocase and alias.library_id = ?
            """,
            (name, library_id),
        ).fetchone()
    return Identity(*row) if row else None
