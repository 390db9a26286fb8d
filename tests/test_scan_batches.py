"""Batches of a scan: what fails takes nothing with it, and nothing is written without need."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from builders.epub import build_epub, nav_document
from builders.images import jpeg, png
from builders.pdf import build_pdf
from library import BY, Library, epub

from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.library_scan import Progress, ScanOptions, ScanReport, scan_library
from datasette_shisho_resync.model import FileReading, Limits, Mode, ReadRequest
from datasette_shisho_resync.store.schema import open_library
from datasette_shisho_resync.store.waiting import WaitingRows
from datasette_shisho_resync.workers import WorkerPool
from datasette_shisho_resync.workers.process import packed
from datasette_shisho_resync.workers.task import Task
from datasette_shisho_resync.writing import FolderWriting

T = TypeVar("T")


def scan(library: Library, stop_at: int = 0) -> ScanReport:
    def progress(told: Progress) -> None:
        if stop_at and told.stage == "Reading" and told.done == stop_at:
            raise KeyboardInterrupt

    options = ScanOptions((str(library.root),))
    return scan_library(library.conn, "library.db", options, library.settings, library.pool, BY, progress)


def put(library: Library, *names: str, data: bytes | None = None) -> None:
    for name in names:
        folder = library.root / name
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.epub").write_bytes(epub(name) if data is None else data)


@pytest.fixture
def watcher(library: Library) -> Iterator[sqlite3.Connection]:
    """Another connection, which notices every write."""
    conn = sqlite3.connect(library.path)
    yield conn
    conn.close()


def data_version(conn: sqlite3.Connection) -> int:
    version: int = conn.execute("pragma data_version").fetchone()[0]
    return version


def test_a_scan_of_files_that_take_long_to_read_lets_others_write_in_between(
    library: Library, watcher: sqlite3.Connection
) -> None:
    put(library, "a", "b", "c")
    seen = {}

    def progress(told: Progress) -> None:
        if told.stage == "Reading":
            seen[told.done] = watcher.execute("select count(*) from books").fetchone()[0]
            time.sleep(1.1 if told.done == 1 else 0)

    options = ScanOptions((str(library.root),))
    scan_library(library.conn, "library.db", options, library.settings, library.pool, BY, progress)
    assert (seen[2], len(library.rows("books"))) == (2, 3)


def test_a_scan_of_what_did_not_change_writes_nothing(library: Library, watcher: sqlite3.Connection) -> None:
    put(library, "a", "b")
    scan(library)
    library.service.close()
    before = data_version(watcher)
    assert scan(library).unchanged == 2
    assert data_version(watcher) == before


def test_a_file_that_can_not_be_read_causes_no_write(library: Library, watcher: sqlite3.Connection) -> None:
    put(library, "a")
    put(library, "broken", data=b"no archive")
    scan(library)
    before, jobs = data_version(watcher), len(library.rows("resync_jobs"))
    report = scan(library)
    assert (report.failed, report.job_id) == (1, None)
    assert data_version(watcher) == before
    assert len(library.rows("resync_jobs")) == jobs


def test_a_file_that_can_not_be_read_beside_those_of_its_book_causes_no_write(
    library: Library, watcher: sqlite3.Connection
) -> None:
    put(library, "a")
    library.write(library.root / "a" / "broken.m4b", b"no audiobook")
    scan(library)
    before = data_version(watcher)
    report = scan(library)
    assert (report.failed, report.job_id) == (1, None)
    assert data_version(watcher) == before


def test_a_folder_of_files_that_can_not_be_read_leaves_no_job(library: Library) -> None:
    put(library, "broken", data=b"no archive")
    assert scan(library).failed == 1
    assert not library.conn.execute("select 1 from sqlite_master where name = 'resync_jobs'").fetchone()


@dataclass
class Beside:
    """Reads with the processes of `pool`; then `work` is done, before anything is written."""

    pool: WorkerPool
    work: Callable[[], object]

    @property
    def file_types(self) -> frozenset[str]:
        return self.pool.file_types

    def read(self, request: ReadRequest) -> FileReading:
        return self.pool.read(request)

    def do(self, task: Task[T]) -> T | None:
        return self.pool.do(task)

    def map_unordered(self, requests: Iterable[ReadRequest]) -> Iterator[tuple[ReadRequest, FileReading]]:
        done = list(self.pool.map_unordered(requests))
        self.work()
        yield from done


@pytest.mark.parametrize("mode", Mode)
def test_what_another_run_wrote_beside_a_scan_stays(library: Library, mode: Mode) -> None:
    put(library, "a", "b")
    scan(library)
    library.rewrite(1, epub("Newer"))
    library.rewrite(2, epub("Newest"))
    library.pool = Beside(library.pool, lambda: library.run(mode))  # type: ignore[assignment]
    report = scan(library)
    assert (report.failed, report.warnings) == (0, ())
    assert [b["title"] for b in library.rows("books")] == ["Newer", "Newest"]


def test_a_file_that_another_program_imported_meanwhile_is_not_imported_again(
    library: Library,
) -> None:
    put(library, *"abc")

    def import_too() -> None:
        ours, library.conn = library.conn, open_library(library.path)
        library.add_file(library.add_book("b"), "b.epub")
        library.conn.close()
        library.conn = ours

    library.pool = Beside(library.pool, import_too)  # type: ignore[assignment]
    report = scan(library)
    assert (report.imported, report.unchanged) == (2, 1)
    names = [Path(file["filepath"]).name for file in library.rows("files")]
    assert sorted(names) == ["a.epub", "b.epub", "c.epub"]


def test_a_sidecar_says_what_a_file_that_the_same_scan_adds_to_its_book_says(book: Library) -> None:
    book.rewrite(1, epub("Old"))
    book.scan_all()
    book.rewrite(1, epub("New"))
    book.write(book.root / "Shelf" / "b.pdf", build_pdf(title="Old", author="Ann Author"))
    book.scan_all()
    assert (book.book()["title"], book.sidecar()["title"]) == ("Old", "Old")


def test_covers_and_sidecars_are_written_also_when_no_process_can(library: Library) -> None:
    put(library, *"ab", data=epub("Title", cover=png(2, 3)))
    with WorkerPool(1, Limits(), default_extensions()) as pool:
        library.pool = Beside(pool, pool.close)  # type: ignore[assignment]
        report = scan(library)
    assert (report.imported, report.warnings) == (2, ())
    beside = {path.name for path in (library.root / "a").iterdir()}
    assert beside == {"a.epub", "a.epub.cover.png", "a.epub.metadata.json", "a.metadata.json"}
    library.service.close()
    assert scan(library).unchanged == 2


class Dying(Beside):
    """Each process ends in the middle of its task, as one that was killed."""

    def do(self, task: Task[T]) -> T | None:
        assert isinstance(task, FolderWriting)
        for folder in task.contents:
            Path(folder, ".resync-0123456789abcdef.tmp").write_bytes(b"half")
        return None


def test_a_process_that_was_killed_while_it_wrote_leaves_nothing_behind(library: Library) -> None:
    put(library, "a")
    library.pool = Dying(library.pool, lambda: None)  # type: ignore[assignment]
    assert scan(library).warnings == ()
    beside = {path.name for path in (library.root / "a").iterdir()}
    assert beside == {"a.epub", "a.epub.metadata.json", "a.metadata.json"}


@dataclass
class Weighing(Beside):
    """Notes how many bytes each task has."""

    weights: list[int] = field(default_factory=list)

    def do(self, task: Task[T]) -> T | None:
        self.weights.append(len(packed(task)))
        return self.pool.do(task)


def test_no_process_is_given_much_to_write_at_a_time(library: Library) -> None:
    names, sizes = "abcdefgh", [400_000] * 6 + [1_200_000] * 2
    (library.root / "shelf").mkdir()
    for name, size in zip(names, sizes, strict=True):
        image = jpeg(2, 3) + name.encode() * size
        (library.root / "shelf" / f"{name}.epub").write_bytes(epub(name, cover=image))
    library.pool = weighing = Weighing(library.pool, lambda: None)  # type: ignore[assignment]
    report = scan(library)
    assert (report.imported, report.warnings) == (8, ())
    assert 400_000 < max(weighing.weights) < 1_100_000
    covers = [library.root / "shelf" / f"{name}.epub.cover.jpg" for name in names]
    assert [path.stat().st_size - size for path, size in zip(covers, sizes, strict=True)] == [
        len(jpeg(2, 3))
    ] * 8


def test_a_batch_is_one_transaction(library: Library) -> None:
    put(library, *"abcdefgh")
    commits: list[str] = []
    library.conn.set_trace_callback(lambda sql: commits.append(sql) if sql == "commit" else None)
    assert scan(library).imported == 8
    assert len(commits) == 2  # the books, and the job that is done


@pytest.mark.parametrize("table", ["books", "files", "authors", "resync_runs", "resync_pending", "chapters"])
def test_what_fails_at_the_end_of_a_batch_is_found_and_left_out(library: Library, table: str) -> None:
    put(library, *"abcd")
    scan(library)
    assert library.conn.execute("select count(*) from resync_runs").fetchone()[0] == 4
    place = {
        "books": "new.title = 'bad'",
        "authors": "(select title from books where id = new.book_id) = 'bad'",
    }
    place["files"] = "new.name = 'bad'"
    place["chapters"] = "new.title = 'bad'"
    place["resync_runs"] = "(select title from books where id = new.target_pk) = 'bad'"
    place["resync_pending"] = "new.path like '%/bad.%'"
    library.conn.execute(
        f"create trigger no before insert on {table} when {place[table]} begin select raise(abort, 'no'); end"
    )
    put(library, "e", "f", "g")
    toc = nav_document('<ol><li><a href="x">bad</a></li></ol>')
    put(library, "bad", data=build_epub(title="bad", nav=toc))
    report = scan(library)
    assert (report.imported, report.failed) == (3, 1)
    assert [f.error for f in report.files if f.status == "error"] == ["no"]
    titles = sorted("abcdefg")
    assert sorted(b["title"] for b in library.rows("books")) == titles
    assert sorted(row[0] for row in library.conn.execute("select title from books_fts")) == titles
    assert len(library.rows("files")) == len(library.rows("authors")) == len(library.rows("resync_runs")) == 7
    assert not (library.root / "bad" / "bad.metadata.json").exists()


def test_ctrl_c_in_the_middle_keeps_what_was_done(library: Library) -> None:
    put(library, *(f"book {number}" for number in range(12)))
    report = scan(library, stop_at=5)
    assert report.cancelled
    assert report.imported == len(library.rows("books")) == len(library.rows("books_fts")) == 5
    assert scan(library).imported == 7


def test_ids_are_those_that_sqlite_would_give(tmp_path: Path) -> None:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("create table used (id integer primary key autoincrement, t text)")
    conn.execute("create table plain (id integer primary key, t text)")
    for table in ("used", "plain"):
        conn.execute(f"insert into {table} (id) values (3), (7)")
        conn.execute(f"delete from {table} where id = 7")
    rows = WaitingRows(conn)
    assert [rows.insert("used", {"t": "a"}), rows.insert("used", {"t": "b"})] == [8, 9]
    assert rows.insert("plain", {"t": "a\udcff"}) == 4
    rows.flush()
    assert conn.execute("select cast(t as blob) from plain where id = 4").fetchone()[0] == b"a\xff"
    assert [row[0] for row in conn.execute("select id from used")] == [3, 8, 9]
    conn.close()
