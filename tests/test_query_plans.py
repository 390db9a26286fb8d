"""How SQLite answers what grows with a library: by an index, whether the database was analysed or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import pytest
from library import Library, epub
from plans import plans_of

from datasette_shisho_resync.model import FileRow
from datasette_shisho_resync.store.evidence import known_below
from datasette_shisho_resync.store.library import files_of_books, known_files, neighbours, paths_called

_FILE = FileRow(1, 1, 1, "/shelf/a/b.epub", "epub", "main", 1, None, None)


@pytest.mark.parametrize(
    "look",
    [
        lambda conn: [known_below(conn, 1, "/shelf", _FILE)],
        lambda conn: known_files(conn, 1, "/shelf/a"),
        lambda conn: files_of_books(conn, 1, {1, 2}),
        lambda conn: paths_called(conn, 1, "/shelf/a/b"),
        lambda conn: neighbours(conn, 1, "/shelf/a"),
    ],
    ids=["around a missing file", "below a folder", "of books", "of one name", "of one folder"],
)
def test_looking_for_some_files_reads_not_all_of_their_library(
    library: Library, look: Callable[[sqlite3.Connection], Iterable[object]]
) -> None:
    with plans_of(library.conn) as steps:
        list(look(library.conn))
    assert [step for step in steps if "(library_id=?)" in step or step.startswith("SCAN files")] == []


@pytest.mark.parametrize("is_scan", [False, True], ids=["a run", "a scan"])
def test_a_new_series_is_not_looked_for_among_the_search_rows(library: Library, is_scan: bool) -> None:
    library.with_history()
    name, data = "dune.epub", epub("Dune", series="Dune", number=1)
    if is_scan:
        library.write(library.root / name, data)
    else:
        library.add_file(library.add_book(), name, data)
    with plans_of(library.conn) as steps:
        library.scan_all() if is_scan else library.scan()
    assert library.series() == [("Dune", 1.0)]
    assert "SCAN series_fts VIRTUAL TABLE INDEX 0:" not in steps  # a row id or words would follow


@pytest.mark.parametrize("column", ["undo_of", "undone_by"])
def test_the_page_of_a_run_reads_not_all_runs(library: Library, column: str) -> None:
    library.with_history()
    with plans_of(library.conn) as steps:  # as Datasette counts them
        library.conn.execute(f"select count(*) from resync_runs where {column}=:id", {"id": 1})
    assert [step for step in steps if step.startswith("SCAN")] == []
