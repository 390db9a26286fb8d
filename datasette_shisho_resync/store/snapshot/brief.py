"""Reads which rows a run is about: the book, its files, its library."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...errors import UnknownRow
from ...model import (
    BookRow,
    Brief,
    FileRow,
    Target,
)
from ..schema import LibrarySchema, sql_text, stored_id, stored_text

_PATHS_AT_ONCE = 500


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
    return tuple(path for r in rows if "\0" not in (path := stored_text(r[0])))


def series_of_book(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> set[int]:
    """Return the ids of the series that a book is in."""
    if not schema.has("book_series"):
        return set()
    rows = conn.execute("select series_id from book_series where book_id = ?", (book_id,))
    return {r[0] for r in rows if isinstance(r[0], int)}


def _book(conn: sqlite3.Connection, pk: int) -> BookRow | None:
    row = conn.execute("select id, library_id, filepath, title from books where id = ?", (pk,)).fetchone()
    if row is None:
        return None
    return BookRow(
        row[0], stored_id(row[1], "books", "library_id"), stored_text(row[2]), stored_text(row[3] or "")
    )


def _file_row(row: sqlite3.Row) -> FileRow:
    present = row.keys()
    return FileRow(
        id=row["id"],
        book_id=stored_id(row["book_id"], "files", "book_id"),
        library_id=stored_id(row["library_id"], "files", "library_id"),
        path=stored_text(row["filepath"]),
        file_type=stored_text(row["file_type"] or ""),
        role=row["file_role"],
        size_bytes=row["filesize_bytes"] or 0,
        modified_at=row["file_modified_at"] if "file_modified_at" in present else None,
        cover_name=row["cover_image_filename"] if "cover_image_filename" in present else None,
    )


def known_sidecars(conn: sqlite3.Connection, paths: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Return the contents, (path, SHA-256), that sidecars at these paths had when last seen."""
    known: set[tuple[str, str]] = set()
    for start in range(0, len(paths), _PATHS_AT_ONCE):
        some = paths[start : start + _PATHS_AT_ONCE]
        marks = ", ".join(["cast(? as text)"] * len(some))
        try:
            rows = conn.execute(
                f"select path, sha256 from resync_sidecars where path in ({marks})", [*map(sql_text, some)]
            )
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return frozenset()
            raise
        known.update((stored_text(r[0]), r[1]) for r in rows)
    return frozenset(known)
