"""What the history keeps, and what goes when runs are forgotten."""

from __future__ import annotations

from library import Library
from plans import plans_of

from datasette_shisho_resync.model import Target
from datasette_shisho_resync.store.history import Entry, RunHeader, forget_runs, keep_blob, record_run


def record_replaced(library: Library, kind: str, data: bytes, finished_at: str) -> None:
    """Record a run that replaced a file by the bytes `new`."""
    old, new = ({"path": "/shelf/a", "sha256": keep_blob(library.conn, held)} for held in (data, b"new"))
    entry = Entry("books", 1, f"{kind}_file", old, None, new, None, "new_value")
    header = RunHeader(Target("books", 1), "refresh", "", "cli", None, None, "2000")
    run_id = record_run(library.conn, header, [entry], changed=1, removed=0)
    library.edit("resync_runs", run_id, finished_at=finished_at)


def test_forgotten_runs_take_along_the_bytes_that_no_other_needs(library: Library) -> None:
    library.with_history()
    record_replaced(library, "cover", b"shared", "2001")
    record_replaced(library, "sidecar", b"alone", "2001")
    record_replaced(library, "cover", b"shared", "2026")
    record_replaced(library, "sidecar", b"late", "2026")

    assert forget_runs(library.conn, "2020") == 2
    assert {row["data"] for row in library.rows("resync_blobs")} == {b"new", b"shared", b"late"}
    assert forget_runs(library.conn, "2030") == 2
    assert library.rows("resync_blobs") == []


def test_forgetting_reads_the_changes_once_and_not_for_each_of_the_bytes(library: Library) -> None:
    library.with_history()
    with plans_of(library.conn) as steps:
        forget_runs(library.conn, "2020")
    assert "SCAN resync_changes" in steps
    assert [step for step in steps if "CORRELATED" in step] == []
