"""What the library knows around a missing file, for whoever judges whether its disk is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from ..model import FileRow
from .lookup import BETWEEN, below
from .schema import exact_text

_SAMPLE = 50  # from either end of the root's files in path order


@dataclass(frozen=True, slots=True)
class KnownBelow:
    """Other files below a root, and for each folder down to the file how many books lie below it (at
    most 2 are counted); all in stored form."""

    files: tuple[str, ...]
    books: Mapping[str, int]


def known_below(conn: sqlite3.Connection, library_id: int, root: str, file: FileRow) -> KnownBelow:
    with exact_text(conn):
        found: dict[str, None] = {}
        for direction in ("asc", "desc"):
            rows = conn.execute(
                f"""
                select filepath
                from files
                where {BETWEEN} and id <> ?
                order by filepath {direction}
                limit {_SAMPLE}
                """,
                (library_id, *below(root), file.id),
            )
            found.update((r[0], None) for r in rows)
        folders = _folders_between(root, file.path)
        return KnownBelow(tuple(found), {f: _books_below(conn, library_id, f) for f in folders})


def _folders_between(root: str, path: str) -> list[str]:
    folders = []
    folder = path.rpartition("/")[0]
    while len(folder) > len(root):
        folders.append(folder)
        folder = folder.rpartition("/")[0]
    return folders


def _books_below(conn: sqlite3.Connection, library_id: int, folder: str) -> int:
    rows = conn.execute(
        f"""
        select distinct book_id
        from files
        where {BETWEEN}
        limit 2
        """,
        (library_id, *below(folder)),
    )
    return len(rows.fetchall())
