"""Jobs on selected rows: each row a run, errors by file, removals counted before they happen, stops."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Any

import pytest
from library import Library, epub

from datasette_shisho_resync.errors import JobRunning, MassRemoval
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.library_scan.child import JobOrder
from datasette_shisho_resync.library_scan.foresight import require_little_loss
from datasette_shisho_resync.library_scan.job import Job
from datasette_shisho_resync.library_scan.process import JobProcess
from datasette_shisho_resync.library_scan.reading_ahead import ReadingAhead
from datasette_shisho_resync.library_scan.rows import RowsJob, RowsOrder
from datasette_shisho_resync.model import Mode
from datasette_shisho_resync.resync import By, Service

BY_JOB = By("job", "ann")


@pytest.fixture
def shelf(library: Library) -> Library:
    """Twelve books with one file each, not yet scanned."""
    for number in range(1, 13):
        library.add_file(library.add_book(f"Shelf {number}"), f"{number}.epub", epub(f"Book {number}"))
    return library


def job_on(
    library: Library, pks: Iterable[int] = range(1, 13), table: str = "books", **order: Any
) -> RowsJob:
    options = {name: order.pop(name) for name in ("stopped", "told") if name in order}
    ahead = ReadingAhead(library.pool)
    service = Service(library.conn, "library.db", library.settings, ahead)
    rows = RowsOrder(table, tuple(pks), **order)
    return RowsJob(service, ahead, rows, Job(service, rows.mode, BY_JOB, table), **options)


def done(library: Library, *args: Any, **options: Any) -> dict[str, Any]:
    """Run a job, and return its row."""
    job = job_on(library, *args, **options)
    job.start()
    job.run()
    return library.rows("resync_jobs")[-1]


def counts(row: dict[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(row[name] for name in names)


def test_every_row_is_a_run_of_the_job(shelf: Library) -> None:
    row = done(shelf, [1, 2, 3])
    assert (row["kind"], row["mode"], row["state"], row["actor"]) == ("books", "scan", "done", "ann")
    assert counts(row, "total", "done", "changed", "failed") == (3, 3, 3, 0)
    runs = [(r["target_table"], r["target_pk"], r["via"], r["job_id"]) for r in shelf.rows("resync_runs")]
    assert runs == [("books", pk, "job", 1) for pk in (1, 2, 3)]
    assert [b["title"] for b in shelf.rows("books")][:4] == ["Book 1", "Book 2", "Book 3", "Shelf 4"]


def test_a_second_job_changes_nothing(shelf: Library) -> None:
    done(shelf)
    before = shelf.content()
    row = done(shelf)
    assert counts(row, "done", "changed", "unchanged") == (12, 0, 12)
    assert shelf.content() == before


def test_a_job_on_files_refreshes_what_a_person_set(shelf: Library) -> None:
    shelf.edit("books", 2, title="Mine", title_source="manual")
    assert done(shelf, [2], "files", mode=Mode.SCAN)["state"] == "done"
    assert shelf.book(2)["title"] == "Mine"
    assert done(shelf, [2], "files", mode=Mode.REFRESH)["changed"] == 1
    assert shelf.book(2)["title"] == "Book 2"


def test_a_job_is_undone_as_a_whole(shelf: Library) -> None:
    before = shelf.content(with_derived=False)
    done(shelf)
    shelf.service.undo_job(1, By("cli"))
    assert shelf.content(with_derived=False) == before


def test_what_fails_is_named_and_the_rest_goes_on(shelf: Library) -> None:
    shelf.rewrite(2, b"no zip")
    row = done(shelf, [1, 2, 3, 99])
    assert counts(row, "done", "changed", "failed", "skipped") == (4, 2, 1, 1)
    job = shelf.rows("resync_jobs")[0]
    assert job["errors"].startswith('[{"table": "books", "pk": 2, "path": "' + str(shelf.file_path(2)))


def test_a_damaged_file_of_a_book_is_an_error_of_that_file(shelf: Library) -> None:
    file_id = shelf.add_file(1, "broken.epub", b"no zip")
    row = done(shelf, [1])
    assert counts(row, "done", "changed", "failed") == (1, 1, 1)
    assert f'"table": "files", "pk": {file_id}' in row["errors"]


def test_rows_of_other_libraries_are_skipped_unread(shelf: Library) -> None:
    row = done(shelf, [1, 2], libraries=frozenset({7}))
    assert counts(row, "done", "skipped", "changed") == (2, 2, 0)
    assert shelf.book(1)["title"] == "Shelf 1"


def test_few_vanished_files_go(shelf: Library) -> None:
    for pk in range(1, 6):
        shelf.remove(pk)
    row = done(shelf)
    assert counts(row, "done", "changed", "removed", "would_remove") == (12, 7, 5, 0)
    assert len(shelf.rows("books")) == 7


def test_many_vanished_files_stay_until_somebody_names_their_number(shelf: Library) -> None:
    for pk in range(1, 7):
        shelf.remove(pk)
    with pytest.raises(MassRemoval, match="6 records of the 12 files that 'Books' knows"):
        require_little_loss(shelf.service, RowsOrder("books", tuple(range(1, 13))), 60)
    row = done(shelf)
    assert counts(row, "done", "changed", "removed", "skipped", "would_remove") == (12, 6, 0, 6, 6)
    assert len(shelf.rows("books")) == 12
    confirmed = RowsOrder("books", tuple(range(1, 13)), confirm_removals=6)
    require_little_loss(shelf.service, confirmed, 60)
    assert done(shelf, confirm_removals=6)["removed"] == 6
    assert len(shelf.rows("books")) == 6


def test_a_record_that_goes_with_its_book_and_by_itself_counts_once(shelf: Library) -> None:
    supplements = [shelf.add_file(pk, "map.txt", role="supplement") for pk in range(1, 5)]
    for pk in range(1, 5):
        shelf.remove(pk)
    pks = (*range(1, 13), *supplements)
    with pytest.raises(MassRemoval, match="8 records of the 16 files that 'Books' knows"):
        require_little_loss(shelf.service, RowsOrder("files", pks), 60)
    assert done(shelf, pks, "files")["would_remove"] == 8


def test_what_goes_with_the_last_of_several_files_of_a_book_counts(shelf: Library) -> None:
    for pk in range(1, 5):
        shelf.add_file(pk, "map.txt", role="supplement", data=b"a map")
    seconds = [shelf.add_file(pk, "second.epub") for pk in range(1, 5)]
    for pk in range(1, 5):
        shelf.remove(pk)
    pks = (*range(1, 13), *seconds)
    with pytest.raises(MassRemoval, match="12 records of the 20 files that 'Books' knows"):
        require_little_loss(shelf.service, RowsOrder("files", pks), 60)
    assert done(shelf, pks, "files")["would_remove"] == 12


def test_a_dead_disk_is_no_loss_but_an_error_a_row(shelf: Library) -> None:
    shelf.root.rename(shelf.root.with_name("elsewhere"))
    order = RowsOrder("books", tuple(range(1, 13)))
    require_little_loss(shelf.service, order, 60)
    row = done(shelf)
    assert counts(row, "done", "removed", "failed", "would_remove") == (12, 0, 12, 0)


def test_a_job_that_is_stopped_says_how_far_it_came(shelf: Library) -> None:
    told: list[Any] = []
    row = done(shelf, told=told.append, stopped=lambda: "cancelled" if len(told) == 4 else None)
    assert (row["state"], *counts(row, "total", "done", "changed")) == ("cancelled", 12, 4, 4)


# --- the process ----------------------------------------------------------------------------------


def ordered(library: Library, pks: Iterable[int] = range(1, 13), **order: Any) -> JobProcess:
    rows = RowsOrder("books", tuple(pks), **order)
    return JobProcess(JobOrder(library.path, "library", library.settings, default_extensions(), rows, BY_JOB))


def finish(process: JobProcess) -> None:
    process.stop(30)
    process.close()


def test_the_process_of_a_job_tells_what_it_changed(shelf: Library) -> None:
    process = ordered(shelf, [1, 2])
    assert process.begin() == 1
    told = [(d.target.pk, d.run_id, d.rows) for d in process.follow()]
    assert told == [(1, 1, (("books", 1), ("files", 1))), (2, 2, (("books", 2), ("files", 2)))]
    finish(process)
    assert shelf.rows("resync_jobs")[0]["state"] == "done"


def test_two_jobs_on_one_database_are_refused(shelf: Library) -> None:
    first = ordered(shelf)
    begun = first.begin()
    os.kill(first.pid, signal.SIGSTOP)
    second = ordered(shelf)
    with pytest.raises(JobRunning, match=f"Job {begun} is running"):
        second.begin()
    os.kill(first.pid, signal.SIGCONT)
    assert len(list(first.follow())) == 12
    finish(first)
    finish(second)


@pytest.mark.parametrize(("how", "state"), [("cancel", "cancelled"), ("stop", "interrupted")])
def test_a_job_ends_when_it_is_told_so(shelf: Library, how: str, state: str) -> None:
    process = ordered(shelf, tuple(range(1, 13)) * 500)
    process.begin()
    if how == "cancel":
        process.cancel()
    finish(process)
    assert [j["state"] for j in shelf.rows("resync_jobs")] == [state]


def test_a_killed_job_leaves_whole_rows_and_is_found(shelf: Library) -> None:
    process = ordered(shelf, tuple(range(1, 13)) * 500)
    process.begin()
    next(process.follow())
    os.kill(process.pid, signal.SIGKILL)
    finish(process)
    assert [j["state"] for j in shelf.rows("resync_jobs")] == ["running"]
    again = ordered(shelf)
    again.begin()
    list(again.follow())
    finish(again)
    assert [j["state"] for j in shelf.rows("resync_jobs")] == ["interrupted", "done"]
    assert [b["title"] for b in shelf.rows("books")] == [f"Book {n}" for n in range(1, 13)]
