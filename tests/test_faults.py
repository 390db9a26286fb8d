"""The world goes wrong around a library: full disks, read-only media, locks, dead roots, other writers."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from builders.images import png
from click.testing import CliRunner
from datasette.cli import cli
from library import BY, Library, epub
from reader import Reader
from web import ROOT, Client, served

from datasette_shisho_resync.errors import (
    DatabaseBusy,
    MediaError,
    NotALibrary,
    ResyncError,
    RootUnavailable,
    StalePlan,
)
from datasette_shisho_resync.library_scan import Progress, ScanOptions, batch, scan_library
from datasette_shisho_resync.model import Mode, Target
from datasette_shisho_resync.resync import Ask, Service
from datasette_shisho_resync.store.history import forget_runs
from datasette_shisho_resync.store.schema import create_library, open_library
from datasette_shisho_resync.web import state
from datasette_shisho_resync.workers import WorkerPool

NOBODY = 65534


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody whom permissions bind."""
    former = os.geteuid()
    if former == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(former)


@contextmanager
def read_only(*paths: Path) -> Iterator[None]:
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with without_privileges():
            yield
    finally:
        for path in paths:
            with suppress(FileNotFoundError):
                path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, as that of the test may not be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_a_library_on_read_only_media_can_be_read_but_not_written(
    open_folder: Path, journal_mode: str
) -> None:
    path = open_folder / "library.db"
    with closing(open_library(str(path), create=True)) as conn:
        conn.execute(f"pragma journal_mode = {journal_mode}")
        create_library(conn)
        conn.execute("insert into libraries (name, cover_aspect_ratio) values ('Books', 'book')")
    with read_only(open_folder, path), closing(open_library(str(path))) as conn:
        assert conn.execute("select name from libraries").fetchone()[0] == "Books"
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            conn.execute("delete from libraries")


def test_what_is_still_in_the_log_of_a_library_is_never_left_out(open_folder: Path, tmp_path: Path) -> None:
    with closing(open_library(str(tmp_path / "library.db"), create=True)) as writer:
        create_library(writer)
        writer.execute("pragma wal_checkpoint(truncate)")
        writer.execute("insert into libraries (name, cover_aspect_ratio) values ('Books', 'book')")
        copies = [str(shutil.copy(tmp_path / f"library.db{part}", open_folder)) for part in ("", "-wal")]
    with read_only(open_folder, *map(Path, copies)), pytest.raises(NotALibrary, match="can't be opened"):
        open_library(copies[0])


# --- disks ------------------------------------------------------------------------------------


@pytest.fixture
def new_edition(book: Library) -> Library:
    """A scanned book whose file changed since."""
    book.scan()
    book.service.close()
    book.rewrite(
        1, epub("New " * 999, ["Ann", "Bob"], genres=["SF"], description="x" * 50_000, cover=png(9, 9))
    )
    return book


def test_a_full_disk_leaves_every_row_and_file_as_it_was(new_edition: Library) -> None:
    pages = new_edition.conn.execute("pragma page_count").fetchone()[0]
    new_edition.conn.execute(f"pragma max_page_count = {pages}")
    before, names = new_edition.dump(), sorted((new_edition.root / "Shelf").iterdir())
    with pytest.raises(ResyncError, match="no room left on the disk"):
        new_edition.refresh()
    assert (new_edition.dump(), sorted((new_edition.root / "Shelf").iterdir())) == (before, names)
    new_edition.conn.execute(f"pragma max_page_count = {10 * pages}")
    assert new_edition.refresh().plan.changes


@contextmanager
def files_below(most_bytes: int) -> Iterator[None]:
    """Let the system refuse to make a file larger: what it says is what it says of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, former)


@pytest.fixture
def large_cover(book: Library, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a cover that is new in book 1, and for which `files_below` leaves no room; a server
    comes back to it at once."""
    monkeypatch.setattr(state, "_AGAIN_SECONDS", 0.0)
    book.rewrite(1, epub("New", cover=png(9, 9, "red") + bytes(5 * 1024**2)))
    book.add_witness()
    return book.root / "Shelf" / "a.epub.cover.png"


@pytest.mark.asyncio
async def test_a_server_comes_back_to_a_cover_that_found_no_room(book: Library, large_cover: Path) -> None:
    client = Client(served(book))
    with files_below(4 * 1024**2):
        await client.resync()
    assert not large_cover.exists()
    await client.resync(pk=2)
    assert large_cover.exists()


@pytest.mark.asyncio
async def test_a_server_comes_back_to_what_a_job_could_not_write(book: Library, large_cover: Path) -> None:
    client = Client(served(book))
    await client.resync(pk=2)
    with files_below(4 * 1024**2):
        job = (await client.ds.client.post("/library/books/-/resync?id=1", actor=ROOT, json={})).json()["job"]
        while not book.rows("resync_jobs", f"id = {job} and state = 'done'"):
            await asyncio.sleep(0.05)
    assert not large_cover.exists()
    for _ in range(100):  # the server need not know yet that the job is over
        await client.resync(pk=2)
        if large_cover.exists():
            return
        await asyncio.sleep(0.05)
    pytest.fail("the cover is not there")


def test_a_cover_that_finds_no_room_leaves_the_old_one_and_comes_later(book: Library) -> None:
    book.rewrite(1, epub("Old", cover=png(9, 9)))
    book.scan()
    cover = book.root / "Shelf" / "a.epub.cover.png"
    old, large = cover.read_bytes(), png(9, 9, "red") + os.urandom(8 * 1024**2)
    book.rewrite(1, epub("New", cover=large))
    with files_below(4 * 1024**2):
        outcome = book.scan()
    assert any("cover.png" in warning for warning in outcome.warnings)
    assert (cover.read_bytes(), book.book()["title"]) == (old, "New")
    assert not list(book.root.rglob("*.tmp"))
    book.service.close()
    book.service.recover(BY)
    assert cover.read_bytes() == large


def test_a_cover_that_found_no_room_comes_also_after_the_history_was_forgotten(book: Library) -> None:
    book.rewrite(1, epub("New", cover=png(9, 9) + bytes(5 * 1024**2)))
    with files_below(4 * 1024**2):
        run = book.scan().run_id
    book.service.close()
    forget_runs(book.conn, "9999")
    assert [row["id"] for row in book.rows("resync_runs")] == [run]
    book.service.recover(BY)
    assert (book.root / "Shelf" / "a.epub.cover.png").exists()
    assert forget_runs(book.conn, "9999") == 1


@pytest.mark.parametrize("way", ["undo", "refresh"])
def test_a_cover_that_found_no_room_does_not_come_after_the_old_one_was_wanted_again(
    book: Library, way: str
) -> None:
    first = epub("Old", cover=png(9, 9))
    book.rewrite(1, first)
    book.scan()
    cover = book.root / "Shelf" / "a.epub.cover.png"
    old = cover.read_bytes()
    book.rewrite(1, epub("New", cover=png(9, 9, "red") + bytes(5 * 1024**2)))
    with files_below(4 * 1024**2):
        run = book.scan()
    if way == "undo":
        book.service.undo(run.run_id or 0, BY)
    else:
        book.rewrite(1, first)
        book.refresh()
    book.service.close()
    book.service.recover(BY)
    assert (cover.read_bytes(), book.rows("resync_pending")) == (old, [])


@contextmanager
def unmounted_at_commit(library: Library, mount: Path) -> Iterator[None]:
    """Take a disk away between a run's commit and its files, and give it back in the end."""
    away = library.folder / "away"
    library.conn.set_trace_callback(lambda sql: sql == "commit" and mount.rename(away))
    try:
        yield
    finally:
        library.conn.set_trace_callback(None)
        library.service.close()
        with suppress(FileNotFoundError):
            mount.rmdir()
        away.rename(mount)


@pytest.mark.parametrize("has_mount_point", [False, True])
def test_what_finds_its_disk_away_comes_when_it_is_back(book: Library, has_mount_point: bool) -> None:
    book.scan()
    book.rewrite(1, epub("New", cover=png(9, 9, "red")))
    shelf = book.root / "Shelf"
    with unmounted_at_commit(book, shelf):
        assert len(book.scan().warnings) == 3
        book.conn.set_trace_callback(None)
        if has_mount_point:
            shelf.mkdir()
        book.service.recover(BY)
        assert not list(book.root.glob("Shelf/*"))
    assert book.sidecar()["title"] != "New"
    book.service.recover(BY)
    assert (book.sidecar()["title"], book.sidecar(book.file_sidecar())["name"]) == ("New", "New")
    assert (book.root / "Shelf" / "a.epub.cover.png").read_bytes() == png(9, 9, "red")
    assert book.rows("resync_pending") == []


def test_no_sidecar_is_written_where_a_disk_is_not_mounted(book: Library) -> None:
    book.add_file(book.add_book("Shelf/Two", filepath=os.fsencode(book.root / "Shelf/Two")), "b.epub", epub())
    other = book.root / "Other"
    other.mkdir()
    book.write(other / "c.epub", epub("New"))
    book.add_file(1, "../Other/c.epub")
    book.edit("files", 3, filepath=str(other / "c.epub"))
    shelf = book.root / "Shelf"
    shutil.rmtree(shelf)
    shelf.mkdir()
    outcome = book.scan()
    assert (book.book()["title"], [f.status.value for f in outcome.plan.files]) == (
        "New",
        ["unavailable", "ok"],
    )
    assert list(shelf.iterdir()) == []


def test_what_was_to_be_written_where_the_book_is_no_more_is_given_up(book: Library) -> None:
    book.scan()
    book.rewrite(1, epub("New", cover=png(9, 9)))
    with unmounted_at_commit(book, book.root):
        book.scan()
    (book.root / "Shelf").rename(book.root / "Other")
    book.scan_all()
    book.service.recover(BY)
    assert book.rows("resync_pending") == []


def test_a_sidecar_of_an_undo_that_found_no_disk_does_not_come_after_a_later_run(book: Library) -> None:
    book.scan()
    book.edit_sidecar(book.book_sidecar(), title="Edited")
    book.rewrite(1, epub("New"))
    run = book.refresh()
    wanted = book.book_sidecar().read_bytes()
    with unmounted_at_commit(book, book.root):
        book.service.undo(run.run_id or 0, BY)
    book.refresh()
    book.service.recover(BY)
    assert book.book_sidecar().read_bytes() == wanted


def test_of_two_covers_that_found_no_room_the_later_one_comes(book: Library) -> None:
    book.rewrite(1, epub("Old", cover=png(9, 9)))
    book.scan()
    images = [png(9, 9, color) + bytes(5 * 1024**2) for color in ("red", "blue")]
    with files_below(4 * 1024**2):
        for image in images:
            book.rewrite(1, epub("New", cover=image))
            book.scan()
    book.service.close()
    book.service.recover(BY)
    assert (book.root / "Shelf" / "a.epub.cover.png").read_bytes() == images[1]


def test_read_only_media_are_read_and_only_warned_of(open_folder: Path, worker_pool: WorkerPool) -> None:
    library = Library(open_folder / "made", worker_pool)
    library.add_file(library.add_book(), "a.epub", epub("New", cover=png(9, 9)))
    shelf = library.root / "Shelf"
    names = sorted(shelf.iterdir())
    library.folder.chmod(0o777)
    for part in library.folder.glob("library.db*"):
        part.chmod(0o666)
    with read_only(shelf):
        outcome = library.scan()
    assert library.book()["title"] == "New"
    assert len([w for w in outcome.warnings if "permission denied" in w]) == 3
    assert sorted(shelf.iterdir()) == names
    library.close()


# --- roots ------------------------------------------------------------------------------------


def unmounted(library: Library) -> None:
    library.root.rename(library.folder / "elsewhere")


def emptied(library: Library) -> None:
    unmounted(library)
    library.root.mkdir()


def swapped(library: Library) -> None:
    emptied(library)
    (library.root / "Somebody else").mkdir()
    (library.root / "Somebody else" / "other.epub").write_bytes(epub("Other"))


def replaced_by_a_file(library: Library) -> None:
    unmounted(library)
    library.root.write_bytes(b"")


def linked_in_a_circle(library: Library) -> None:
    unmounted(library)
    library.root.symlink_to(library.root)


DEAD = (unmounted, emptied, swapped, replaced_by_a_file, linked_in_a_circle)


@pytest.mark.parametrize("die", DEAD)
def test_on_a_dead_root_nothing_is_missing(book: Library, die: Any) -> None:
    book.scan()
    book.add_witness()
    die(book)
    before = book.dump()
    for mode in Mode:
        with pytest.raises((RootUnavailable, MediaError)):
            book.run(mode)
    with suppress(ResyncError):
        assert book.scan_all(prune=True).removed == 0
    assert [row["id"] for row in book.rows("files")] == [row[0][1] for row in before["files"]] + [
        row["id"] for row in book.rows("files", "filepath like '%Somebody else%'")
    ]


@pytest.mark.parametrize("die", DEAD)
def test_one_dead_root_of_several_takes_nothing_along_and_the_others_work(book: Library, die: Any) -> None:
    book.scan()
    book.add_witness()
    other = book.folder / "other disk"
    other.mkdir()
    book.add("library_paths", library_id="1", filepath=str(other))
    second = book.add(
        "books",
        title="S",
        sort_title="S",
        filepath=str(other),
        library_id=1,
        title_source="filepath",
        sort_title_source="filepath",
        author_source="filepath",
    )
    for name in ("gone", "there"):
        book.write(other / f"{name}.epub", epub(name))
        book.add(
            "files",
            library_id=1,
            book_id=second,
            filepath=str(other / f"{name}.epub"),
            file_type="epub",
            file_role="main",
            filesize_bytes=1,
        )
    die(book)
    (other / "gone.epub").unlink()
    with pytest.raises((RootUnavailable, MediaError)):
        book.scan(pk=1)
    assert book.scan(pk=second).plan.removals
    assert [row["filepath"] for row in book.rows("files", f"book_id = {second}")] == [
        str(other / "there.epub")
    ]
    assert len(book.rows("files", "book_id = 1")) == 1


# --- what is not "no such file" ----------------------------------------------------------------


@pytest.mark.parametrize("call", ["lstat", "open"])
@pytest.mark.parametrize(
    "code", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOTDIR, errno.ELOOP, errno.ENOMEM]
)
def test_trouble_with_a_file_is_never_taken_for_its_absence(
    book: Library, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    book.scan()
    book.add_witness()
    path, real = str(book.file_path()), getattr(os, call)

    def failing(name: Any, *args: Any, **kwargs: Any) -> Any:
        if name == path:
            raise OSError(code, os.strerror(code), name)
        return real(name, *args, **kwargs)

    book.service.reader = Reader()
    before = book.dump()
    monkeypatch.setattr(os, call, failing)
    for mode in Mode:
        for confirm_missing in (False, True):
            with pytest.raises(MediaError, match=os.strerror(code).lower()):
                book.run(mode, confirm_missing=confirm_missing)
    assert book.dump() == before


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOTDIR, errno.ELOOP])
def test_trouble_with_the_root_is_never_taken_for_a_files_absence(
    book: Library, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    book.scan()
    book.add_witness()
    book.remove(1)
    before, real = book.dump(), os.scandir

    def failing(name: Any) -> Any:
        if name == str(book.root):
            raise OSError(code, os.strerror(code), name)
        return real(name)

    monkeypatch.setattr(os, "scandir", failing)
    for confirm_missing in (False, True):
        with pytest.raises(RootUnavailable, match=os.strerror(code).lower()):
            book.scan(confirm_missing=confirm_missing)
    assert book.dump() == before


# --- other writers -----------------------------------------------------------------------------

HOLDER = """
import sqlite3, sys, time
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("begin immediate")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
conn.execute("commit")
"""
SHISHO = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("writing", flush=True)
for _ in range(int(sys.argv[2])):
    conn.execute("begin immediate")
    conn.execute("update books set subtitle = coalesce(subtitle, '') || 'x', subtitle_source = 'manual'")
    conn.execute("insert into tags (library_id, name) select 1, 'tag ' || count(*) from tags")
    conn.execute("commit")
"""


def another_process(program: str, *arguments: object) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline()
    return started


def test_a_run_waits_for_another_process_that_writes(new_edition: Library) -> None:
    with another_process(HOLDER, new_edition.path, 0.5):
        assert new_edition.scan().plan.changes


def test_a_scan_that_has_begun_to_write_waits_longer_than_a_run(
    book: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_BATCH_BOOKS", 1)
    book.add_file(book.add_book("Two"), "b.epub", epub("Two"))
    book.conn.execute("pragma busy_timeout = 50")
    holders = []

    def hold(told: Progress) -> None:
        if told.stage == "Reading" and told.done == 1:
            holders.append(another_process(HOLDER, book.path, 1))

    options = ScanOptions((str(book.root),))
    assert scan_library(book.conn, "library.db", options, book.settings, book.pool, BY, hold).updated == 2
    holders[0].communicate()


def test_a_scan_does_not_wait_long_to_begin(book: Library) -> None:
    book.conn.execute("pragma busy_timeout = 50")
    before = book.dump()
    with another_process(HOLDER, book.path, 60) as holder:
        with pytest.raises(DatabaseBusy):
            book.scan_all()
        holder.kill()
    assert book.dump() == before


def test_a_run_that_waits_too_long_changes_nothing(new_edition: Library) -> None:
    new_edition.conn.execute("pragma busy_timeout = 50")
    before = new_edition.dump()
    with another_process(HOLDER, new_edition.path, 60) as holder:
        with pytest.raises(DatabaseBusy, match="another program is writing"):
            new_edition.scan()
        holder.kill()
    assert new_edition.dump() == before


def test_nothing_is_lost_while_a_shisho_writes(book: Library) -> None:
    with another_process(SHISHO, book.path, 300) as shisho:
        runs = 0
        while shisho.poll() is None or runs < 3:
            book.rewrite(1, epub(f"Title {runs}", ["Ann", f"Author {runs}"], tags=f"tag {runs}, own {runs}"))
            assert book.scan().run_id is not None
            runs += 1
    assert shisho.returncode == 0
    assert book.book()["subtitle"] == "x" * 300
    assert book.book()["title"] == f"Title {runs - 1}"
    assert len({row["name"] for row in book.rows("tags")}) == len(book.rows("tags"))
    assert book.conn.execute("pragma foreign_key_check").fetchall() == []


class SlowService(Service):
    """Another program that has not written its files yet when `meanwhile` happens."""

    meanwhile: ClassVar[Callable[[], object]]

    def _finish(self, done: Any) -> list[str]:
        type(self).meanwhile()
        return super()._finish(done)


@pytest.fixture
def overtaken(book: Library) -> Library:
    """A book that another program scanned, and that was scanned again before that one wrote its files."""
    book.rewrite(1, epub("First", cover=png(9, 9)))
    book.scan()

    def meanwhile() -> None:
        book.rewrite(1, epub("Third", cover=png(9, 9, "blue")))
        book.scan()
        book.service.close()

    book.rewrite(1, epub("Second", cover=png(9, 9, "red")))
    run_slowly(book, meanwhile)
    return book


def run_slowly(book: Library, meanwhile: Callable[[], object]) -> None:
    """Scan the book by another program, with `meanwhile` between its commit and its files."""
    SlowService.meanwhile = meanwhile
    with closing(open_library(book.path)) as conn:
        slow = SlowService(conn, "library.db", book.settings, book.pool)
        slow.run(Ask(Target("books", 1)), BY)
        slow.close()


def test_what_another_program_writes_late_is_no_edit_of_a_sidecar(overtaken: Library) -> None:
    overtaken.scan()
    assert (overtaken.book()["title"], overtaken.book()["title_source"]) == ("Third", "epub_metadata")


def test_what_another_program_writes_late_is_replaced_by_whoever_comes_next(overtaken: Library) -> None:
    overtaken.service.recover(BY)
    assert (overtaken.sidecar()["title"], overtaken.sidecar(overtaken.file_sidecar())["name"]) == (
        "Third",
        "Third",
    )
    assert (overtaken.root / "Shelf" / "a.epub.cover.png").read_bytes() == png(9, 9, "blue")
    assert overtaken.rows("resync_pending") == []


@pytest.mark.asyncio
async def test_a_server_does_not_wait_for_ever_for_another_program(
    book: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_AGAIN_SECONDS", 0.0)
    client = Client(served(book))
    await client.resync()
    other = {"run_id": 1, "path": str(book.book_sidecar()), "kind": "sidecar"}
    book.add("resync_pending", **other, sha256="other", old_sha256="what was there")
    for title in ("First", "Second", "Third"):
        book.rewrite(1, epub(title))
        await client.resync()
    assert len(book.rows("resync_pending")) <= 3


@pytest.fixture(params=["undo", "refresh"])
def taken_back(book: Library, request: pytest.FixtureRequest) -> Library:
    """A book that another program scanned, and of which that was taken back before it wrote its files."""
    first = epub("First", cover=png(9, 9))
    book.rewrite(1, first)
    book.scan()

    def meanwhile() -> None:
        if request.param == "undo":
            book.undo(2)
        else:
            book.rewrite(1, first)
            book.refresh()
        book.service.close()

    book.rewrite(1, epub("Second", cover=png(9, 9, "red")))
    run_slowly(book, meanwhile)
    return book


def test_sidecars_that_another_program_writes_late_are_replaced_also_where_they_said_so_before(
    taken_back: Library,
) -> None:
    assert taken_back.sidecar()["title"] == "Second"
    taken_back.service.recover(BY)
    assert (taken_back.sidecar()["title"], taken_back.sidecar(taken_back.file_sidecar())["name"]) == (
        "First",
        "First",
    )
    assert taken_back.rows("resync_pending") == []


@pytest.mark.parametrize("taken_back", ["undo"], indirect=True)
def test_a_cover_that_another_program_writes_late_is_replaced_also_after_its_run_was_undone(
    taken_back: Library,
) -> None:
    cover = taken_back.root / "Shelf" / "a.epub.cover.png"
    assert cover.read_bytes() == png(9, 9, "red")
    taken_back.service.recover(BY)
    assert cover.read_bytes() == png(9, 9)


@pytest.mark.parametrize("edit", ["a row", "the file", "its sidecar", "a new file", "a list"])
def test_what_changed_between_preview_and_apply_refuses_the_plan(new_edition: Library, edit: str) -> None:
    book = new_edition
    digest = book.preview(Mode.REFRESH).plan.digest
    if edit == "a row":
        book.edit("books", title="Mine", title_source="manual")
    elif edit == "the file":
        book.rewrite(1, epub("Newer"))
    elif edit == "its sidecar":
        digest = book.preview().plan.digest
        book.edit_sidecar(book.book_sidecar(), title="Edited")
    elif edit == "a new file":
        book.add_file(1, "b.epub", epub("Other"))
    else:
        book.conn.execute("delete from authors")
    before = book.dump()
    with pytest.raises(StalePlan) as caught:
        book.run(Mode.SCAN if edit == "its sidecar" else Mode.REFRESH, digest=digest)
    assert caught.value.status == 409
    assert caught.value.plan.digest != digest
    assert book.dump() == before


def test_of_two_people_at_one_book_the_second_is_told(new_edition: Library) -> None:
    book = new_edition
    with closing(open_library(book.path)) as conn:
        second = Service(conn, "library.db", book.settings, book.pool)
        ask = Ask(Target("books", 1), Mode.REFRESH)
        digests = [service.preview(ask).plan.digest for service in (book.service, second)]
        assert digests[0] == digests[1]
        book.refresh(digest=digests[0])
        before = book.dump()
        with pytest.raises(StalePlan):
            second.run(Ask(Target("books", 1), Mode.REFRESH, digest=digests[1]), BY)
        assert book.dump() == before


@pytest.mark.parametrize("is_new", [True, False])
def test_a_scan_of_a_folder_that_may_not_be_read_leaves_nothing_behind(
    open_folder: Path, is_new: bool
) -> None:
    database, closed, media = (open_folder / name for name in ("library.db", "closed", "media"))
    open_folder.chmod(0o777)
    media.mkdir()
    closed.mkdir(mode=0)
    with without_privileges():
        if not is_new:
            assert CliRunner().invoke(cli, ["shisho", "scan", str(database), str(media)]).exit_code == 0
        before = {path: path.read_bytes() for path in open_folder.iterdir() if path.is_file()}
        told = CliRunner().invoke(cli, ["shisho", "scan", str(database), str(media), str(closed)])
    assert (told.exit_code, told.stderr) == (1, f"Error: {closed}: Permission denied\n")
    assert {path: path.read_bytes() for path in open_folder.iterdir() if path.is_file()} == before
    assert bool(before) is not is_new


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "it is a folder"),
        ("closed.db", "it may not be read"),
        ("closed/library.db", "it may not be read"),
    ],
)
def test_a_database_that_can_not_be_opened_says_why(
    open_folder: Path, name: str, reason: str, create: bool
) -> None:
    (open_folder / "folder").mkdir()
    (open_folder / "closed.db").touch(mode=0)
    (open_folder / "closed").mkdir(mode=0)
    with without_privileges(), pytest.raises(NotALibrary) as caught:
        open_library(str(open_folder / name), create=create)
    assert caught.value.message == f"{open_folder / name}: {reason}."
