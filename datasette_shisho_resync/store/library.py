"""Libraries, their paths, and the rows that a scan makes or moves."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import BadRequest
from .lookup import BETWEEN, below
from .schema import LibrarySchema, many_rows, sql_text, stored_id
from .snapshot import library_paths
from .times import now
from .waiting import WaitingRows

_CHUNK = 1000  # rows asked for at once


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """A library with its folders, in stored form."""

    id: int
    name: str
    paths: tuple[str, ...]


class KnownFile(NamedTuple):
    """A file's row as a scan compares it; `modified_at` as stored. A tuple, as there are so many."""

    id: int
    book_id: int
    path: str
    role: str
    file_type: str
    size_bytes: int
    modified_at: str | None


def load_libraries(conn: sqlite3.Connection) -> tuple[LibraryRow, ...]:
    rows = conn.execute("select id, name from libraries order by id").fetchall()
    return tuple(LibraryRow(r[0], r[1], library_paths(conn, r[0])) for r in rows)


def choose_library(libraries: Sequence[LibraryRow], name: str | None, paths: Sequence[str]) -> LibraryRow:
    """Return the library to scan: the named one, else the one that has the paths, else the only one,
    else one called `Library`; with id 0 when it does not exist yet.

    Raises `BadRequest` when the paths belong to different libraries, or to another than the named one.
    """
    if name is not None and not name.strip():
        raise BadRequest("A library needs a name.")
    holders = {lib.id: lib for lib in libraries for p in paths if any(holds(root, p) for root in lib.paths)}
    if len(holders) > 1:
        raise BadRequest("The folders belong to different libraries: scan them one by one.")
    holder = next(iter(holders.values()), None)
    if name is not None:
        named = next((lib for lib in libraries if lib.name == name), LibraryRow(0, name, ()))
        if holder is not None and holder.id != named.id:
            raise BadRequest(f"The folder belongs to the library {holder.name!r}, not {name!r}.")
        return named
    if holder is not None:
        return holder
    if len(libraries) == 1:
        return libraries[0]
    return next((lib for lib in libraries if lib.name == "Library"), LibraryRow(0, "Library", ()))


def holds(root: str, path: str) -> bool:
    root = root.rstrip("/")
    return path == root or path.startswith(root + "/")


def make_library(conn: sqlite3.Connection, schema: LibrarySchema, name: str) -> int:
    columns: dict[str, Any] = {"name": name, "created_at": now(), "updated_at": now()}
    if schema.has("libraries", "cover_aspect_ratio"):
        columns["cover_aspect_ratio"] = "book"
    if schema.has("libraries", "organize_file_structure"):
        columns["organize_file_structure"] = 0  # we rename nothing, and a Shisho should not either
    rows = WaitingRows(conn)
    library_id = rows.insert("libraries", columns)
    rows.flush()
    return library_id


def add_path(conn: sqlite3.Connection, library_id: int, path: str) -> None:
    conn.execute(
        """
        insert into library_paths (created_at, updated_at, library_id, filepath)
        values (?, ?, ?, cast(? as text))
        """,
        (now(), now(), library_id, sql_text(path)),
    )


def remove_path(conn: sqlite3.Connection, library_id: int, path: str) -> None:
    conn.execute(
        "delete from library_paths where library_id = ? and filepath = cast(? as text)",
        (library_id, sql_text(path)),
    )


def known_files(conn: sqlite3.Connection, library_id: int, folder: str) -> Iterator[KnownFile]:
    """Yield the rows of all files below a folder."""
    return _files(conn, BETWEEN, library_id, *below(folder))


def files_of_sizes(conn: sqlite3.Connection, library_id: int, sizes: Collection[int]) -> Iterator[KnownFile]:
    """Yield the rows of all files that have one of these sizes; reads the whole library."""
    condition = "library_id = ? and filesize_bytes in (select value from json_each(?))"
    return _files(conn, condition, library_id, json.dumps([*sizes]))


def files_of_books(conn: sqlite3.Connection, library_id: int, books: Collection[int]) -> Iterator[KnownFile]:
    condition = "+(library_id = ?) and book_id in (select value from json_each(?))"  # as for BETWEEN
    return _files(conn, condition, library_id, json.dumps([*books]))


def _files(conn: sqlite3.Connection, condition: str, *values: int | str | bytes) -> Iterator[KnownFile]:
    columns = {row[1] for row in conn.execute("pragma table_info(files)")}
    modified_at = "file_modified_at" if "file_modified_at" in columns else "null"  # older libraries
    rows = many_rows(
        conn,
        f"""
        select id, book_id, filepath, file_role, file_type, filesize_bytes, {modified_at}
        from files
        where {condition}
        """,
        values,
    )
    for row in rows:
        book_id = stored_id(row[1], "files", "book_id")
        yield KnownFile(row[0], book_id, row[2], row[3], row[4] or "", row[5] or 0, row[6])


def data_version(conn: sqlite3.Connection) -> int:
    """Return a number that is another one after each commit of anybody else, in a transaction at once."""
    version: int = conn.execute("pragma data_version").fetchone()[0]
    return version


def has_books(conn: sqlite3.Connection) -> bool:
    """Tell whether any library of the database has a book."""
    return conn.execute("select 1 from books limit 1").fetchone() is not None


def count_files(conn: sqlite3.Connection, library_id: int) -> int:
    count: int = conn.execute("select count(*) from files where library_id = ?", (library_id,)).fetchone()[0]
    return count


def bookless_files(conn: sqlite3.Connection, library_id: int) -> tuple[int, ...]:
    """Return the main files whose book was deleted, as Datasette can, without them."""
    rows = conn.execute(
        """
        select id
        from files
        where library_id = ? and file_role = 'main'
            and not exists (select 1 from books where books.id = files.book_id)
        order by id
        """,
        (library_id,),
    )
    return tuple(row[0] for row in rows)


def selected_files(
    conn: sqlite3.Connection, table: str, pks: Sequence[int]
) -> Iterator[tuple[int, int, str]]:
    """Yield (row's id, library id, path) for each file that a run on one of these rows is about."""
    column, condition = ("id", "1") if table == "files" else ("book_id", "file_role = 'main'")
    for start in range(0, len(pks), _CHUNK):
        yield from conn.execute(
            f"""
            select {column}, library_id, filepath
            from files
            where {column} in (select value from json_each(?)) and {condition}
            """,
            (json.dumps(list(pks[start : start + _CHUNK])),),
        )


def find_at(conn: sqlite3.Connection, table: str, library_id: int, path: str) -> int | None:
    """Return the book or file of the library that has this path."""
    row = conn.execute(
        f"select id from {table} where filepath = cast(? as text) and library_id = ?",
        (sql_text(path), library_id),
    ).fetchone()
    return row[0] if row else None


def fingerprint(conn: sqlite3.Connection, file_id: int) -> str | None:
    row = conn.execute(
        "select value from file_fingerprints where file_id = ? and algorithm = 'sha256'", (file_id,)
    ).fetchone()
    return row[0] if row else None


def main_paths(conn: sqlite3.Connection, book_id: int) -> tuple[str, ...]:
    rows = conn.execute(
        "select filepath from files where book_id = ? and file_role = 'main' order by id", (book_id,)
    )
    return tuple(r[0] for r in rows)


def file_ids(conn: sqlite3.Connection, book_id: int) -> tuple[int, ...]:
    return tuple(r[0] for r in conn.execute("select id from files where book_id = ?", (book_id,)))


def count_with_books(conn: sqlite3.Connection, files: Collection[int]) -> int:
    """Count the files of the books of these files."""
    count: int = conn.execute(
        """
        select count(*)
        from files
        where book_id in (select book_id from files where id in (select value from json_each(?)))
        """,
        (json.dumps(list(files)),),
    ).fetchone()[0]
    return count


def bare_books(conn: sqlite3.Connection, files: Collection[int]) -> tuple[int, ...]:
    """Return the books with several main files that are all among these files."""
    rows = conn.execute(
        """
        with going as (select value from json_each(?))
        select book_id
        from files
        where file_role = 'main' and book_id in (select book_id from files where id in going)
        group by book_id
        having count(*) > 1 and count(*) = sum(id in going)
        """,
        (json.dumps(list(files)),),
    )
    return tuple(stored_id(row[0], "files", "book_id") for row in rows)


def path_of(conn: sqlite3.Connection, table: str, pk: int) -> str | None:
    row = conn.execute(f"select filepath from {table} where id = ?", (pk,)).fetchone()
    return row[0] if row else None


def has_file(conn: sqlite3.Connection, library_id: int, path: str) -> bool:
    """Tell whether a file of the library has this path."""
    return find_at(conn, "files", library_id, path) is not None


def set_path(conn: sqlite3.Connection, table: str, pk: int, path: str) -> None:
    conn.execute(f"update {table} set filepath = cast(? as text) where id = ?", (sql_text(path), pk))


def is_own_library(conn: sqlite3.Connection) -> bool:
    """Tell whether the database was made by us and not by a Shisho server."""
    row = conn.execute("select 1 from sqlite_master where name = 'bun_migrations'").fetchone()
    return row is None


def paths_called(conn: sqlite3.Connection, library_id: int, stem: str) -> Iterator[tuple[str, int]]:
    """Yield the main files that have this path but for the extension, each with its book's id."""
    rows = conn.execute(
        f"""
        select filepath, book_id
        from files
        where {BETWEEN} and file_role = 'main'
        """,
        (library_id, sql_text(stem + "."), sql_text(stem + "/")),
    )
    return ((path, book_id) for path, book_id in rows if os.path.splitext(path)[0] == stem)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A main file that lies in a folder already, and its book; `title`, its source and `author` are the
    book's, `name` is the file's own."""

    file_name: str
    file_type: str
    name: str | None
    book_path: str
    title: str
    title_source: str | None
    author: str | None


def neighbours(conn: sqlite3.Connection, library_id: int, folder: str) -> tuple[Neighbour, ...]:
    """Return the known main files of one folder, those below it left out."""
    rows = conn.execute(
        f"""
        select files.filepath, files.file_type, files.name, books.filepath, books.title, books.title_source, (
            select persons.name
            from authors
            join persons on persons.id = authors.person_id
            where authors.book_id = books.id
            order by authors.sort_order
            limit 1
        )
        from files
        join books on books.id = files.book_id
        where {BETWEEN} and files.file_role = 'main'
        order by files.id
        """,
        (library_id, *below(folder)),
    )
    return tuple(
        Neighbour(path[len(folder) + 1 :], *rest)
        for path, *rest in rows
        if "/" not in path[len(folder) + 1 :]
    )
