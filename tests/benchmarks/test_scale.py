"""A resync costs the same in a library of 1,000 books and in one of 200,000."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import media
import pytest
from comparing import Comparison
from library import BY, Library

from datasette_shisho_resync.model import Mode, Target
from datasette_shisho_resync.resync import Ask
from datasette_shisho_resync.workers import WorkerPool

_MOST = 1.1
_SMALL, _LARGE = 1_000, 200_000
_TIME = "2026-01-02 03:04:05+00:00"

_FILL = (
    f"""
    create temp table numbers as
    with recursive n (i) as (select 2 union all select i + 1 from n where i <= :count)
    select i, '{_TIME}' as t from n
    """,
    """
    insert into persons (id, created_at, updated_at, library_id, name, sort_name, sort_name_source)
    select i, t, t, 1, 'Person ' || i, i || ', Person', 'filepath' from numbers where i <= 1000
    """,
    """
    insert into series (
        id, created_at, updated_at, library_id, name, name_source, sort_name, sort_name_source
    )
    select i, t, t, 1, 'Cycle ' || i, 'epub_metadata', 'Cycle ' || i, 'filepath' from numbers where i % 10 = 0
    """,
    """
    insert into books (
        id, created_at, updated_at, library_id, filepath, title, title_source, sort_title,
        sort_title_source, author_source
    )
    select i, t, t, 1, '/elsewhere/book ' || i, 'Title ' || i, 'epub_metadata', 'Title ' || i,
        'epub_metadata', 'epub_metadata'
    from numbers
    """,
    """
    insert into files (
        id, created_at, updated_at, library_id, book_id, filepath, file_type, file_role, filesize_bytes
    )
    select i, t, t, 1, i, '/elsewhere/book ' || i || '/a.epub', 'epub', 'main', 1000 from numbers
    """,
    "insert into authors (book_id, person_id, sort_order) select i, 2 + i % 999, 1 from numbers",
    """
    insert into book_series (book_id, series_id, sort_order, series_number)
    select i, 10 * (1 + i / 10), 1, i % 10 from numbers where i < :count
    """,
    """
    insert into books_fts (rowid, book_id, library_id, title, filepath, subtitle, authors, filenames)
    select i + :offset, i, 1, 'Title ' || i, '/elsewhere/book ' || i, '', 'Person ' || (2 + i % 999), 'a.epub'
    from numbers
    """,
    "drop table numbers",
)


def fill(conn: sqlite3.Connection, books: int, offset: int) -> None:
    """Add many books besides the first; their search rows' ids are off by `offset`."""
    conn.execute("begin")
    for statement in _FILL:
        parameters = {"count": books, "offset": offset}
        conn.execute(statement, {name: v for name, v in parameters.items() if f":{name}" in statement})
    conn.execute("commit")
    conn.execute("pragma wal_checkpoint(truncate)")


class Shelf:
    """A library with one book that is resynced and many that are not."""

    def __init__(self, folder: Path, pool: WorkerPool, books: int, offset: int) -> None:
        self.library = Library(folder, pool)
        self.library.add_file(self.library.add_book("Dune"), "dune.epub", media.epub(0))
        self.ask = Ask(Target("books", 1), Mode.REFRESH)
        fill(self.library.conn, books, offset)
        self.resync()
        if offset:
            self.library.conn.execute("update books_fts set rowid = :new where book_id = 1", {"new": 10**9})
        self._contents = [media.epub(0, "Another Title"), media.epub(0)]
        self._numbers = count()

    def change(self) -> None:
        self.library.rewrite(1, self._contents[next(self._numbers) % 2])

    def resync(self) -> None:
        self.library.service.run(self.ask, BY)


@pytest.fixture(params=[0, 7_000_000], ids=["own library", "as Shisho made it"])
def shelves(
    request: pytest.FixtureRequest, tmp_path: Path, worker_pool: WorkerPool
) -> Iterator[tuple[Shelf, Shelf]]:
    made = [Shelf(tmp_path / str(books), worker_pool, books, request.param) for books in (_SMALL, _LARGE)]
    yield made[0], made[1]
    for shelf in made:
        shelf.library.close()


def test_a_resync_in_a_large_library(shelves: tuple[Shelf, Shelf], comparison: Comparison) -> None:
    small, large = shelves

    def prepare() -> tuple[()]:
        small.change()
        large.change()
        return ()

    ratio = comparison.ratio(large.resync, small.resync, rounds=200, prepare=prepare)
    assert ratio <= _MOST
