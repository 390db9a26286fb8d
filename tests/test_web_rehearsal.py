"""Runs by JSON that a worker process tries first: those with nothing to write end there, others as ever."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from builders.extensions import EXTENSIONS
from datasette import hookimpl
from datasette.database import Database
from datasette.plugins import pm
from library import Library, epub
from web import EDITOR, ROOT, Client, served

from datasette_shisho_resync.errors import UnreadableFile
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import Limits, Mode, ReadRequest, Target
from datasette_shisho_resync.reading import read_file
from datasette_shisho_resync.rehearsal import Rehearsal, Settled, _library
from datasette_shisho_resync.resync import Ask, By
from datasette_shisho_resync.store.schema import HISTORY_TABLES
from datasette_shisho_resync.web.library import Early, WebLibrary, library_of
from datasette_shisho_resync.web.state import Writes, state_of
from datasette_shisho_resync.workers import WorkerPool
from datasette_shisho_resync.workers.extensions import Extensions

pytestmark = pytest.mark.asyncio

BOTH = {"id": ["root", "ed"]}
BY = By("api")
GRANTS = {"resync-row": BOTH, "update-row": BOTH}
SECRET = "A title that nobody may learn"


@pytest.fixture
def client(book: Library) -> Client:
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"], series="Dune", number=1.5))
    return Client(served(book, permissions=GRANTS))


async def visited(client: Client, **asked: Any) -> Any:
    """Run until there is nothing to write, so that the next run is that of a known visitor."""
    for _ in range(2):
        assert (await client.resync(**asked)).status_code == 200
    answer = await client.resync(**asked)
    assert answer.json()["changed"] is False
    return answer


def shelf(client: Client) -> WebLibrary:
    library = library_of(client.ds, "library")
    assert library is not None
    return library


async def gathered(library: WebLibrary, ask: Ask) -> Early:
    """Rehearse a run that has something to write."""
    early = await library.rehearse(ask, BY)
    assert isinstance(early, Early)
    return early


@contextmanager
def own_pool(client: Client, workers: int = 1, limits: Limits | None = None) -> Iterator[WorkerPool]:
    """Let a Datasette that has started use worker processes of its own, with the parsers of tests."""
    extensions = Extensions({**default_extensions().parsers, **EXTENSIONS.parsers})
    with WorkerPool(workers, limits or Limits(), extensions) as pool:
        state = state_of(client.ds)
        state._pool, lent = pool, state._pool
        try:
            yield pool
        finally:
            state._pool = lent


@dataclass(frozen=True)
class Slow:
    """Book 2, of which a read takes until it may go on."""

    reads: Path

    async def is_being_read(self) -> None:
        for _ in range(2_000):
            if self.reads.exists():
                return
            await asyncio.sleep(0.01)
        raise TimeoutError

    def go_on(self) -> None:
        self.reads.with_suffix(".seen").touch()

    def hold_up(self) -> None:
        self.reads.with_suffix(".seen").unlink()
        self.reads.unlink()


@pytest.fixture
def slow(book: Library) -> Slow:
    made = Slow(book.folder / "reads")
    book.add_file(book.add_book("Slow"), "a.awaited", os.fsencode(made.reads))
    return made


@contextmanager
def writing(book: Library) -> Iterator[None]:
    """Be somebody who writes, and lets nobody else do so."""
    book.conn.execute("begin immediate")
    try:
        yield
    finally:
        book.conn.execute("rollback")


# --- runs without anything to write -------------------------------------------------------------------


@pytest.mark.parametrize("table", ["books", "files"])
@pytest.mark.parametrize("mode", ["scan", "refresh", "reset"])
async def test_a_run_without_changes_waits_for_no_writer(
    client: Client, book: Library, table: str, mode: str
) -> None:
    await visited(client, table=table, mode=mode)
    before = book.dump()
    with writing(book):
        answer = await client.resync(table, mode=mode)
    assert (answer.json()["changed"], answer.json()["run"]) == (False, None)
    assert book.dump() == before


async def test_it_answers_what_a_dry_run_does(client: Client, book: Library) -> None:
    book.edit("books", subtitle="Kept", subtitle_source="manual")
    done = (await visited(client)).json()
    assert done == {**(await client.resync(dry_run=True)).json(), "dry_run": False}
    assert any(kept["field"] == "title" for kept in done["kept"])


async def test_values_that_json_can_not_hold_are_answered_alike(client: Client, book: Library) -> None:
    await visited(client)
    book.conn.execute("update files set url = cast(x'ff61' as text), url_source = 'manual'")
    book.conn.execute("update books set description = x'00ff', description_source = 'manual'")
    book.conn.execute("update files set cover_page = 9e999")
    for table in ("books", "files"):
        done = (await visited(client, table=table)).json()
        assert done == {**(await client.resync(table, dry_run=True)).json(), "dry_run": False}


async def test_who_may_not_view_files_is_told_no_path(client: Client, book: Library) -> None:
    client.ds.config["databases"] = {"library": {"tables": {"files": {"allow": {"id": "root"}}}}}
    answer = await visited(client, actor=EDITOR)
    assert answer.json()["files"] == [{"id": 1, "path": None, "status": "ok", "error": None}]
    assert str(book.file_path()) not in answer.text


async def test_runs_that_wait_for_a_process_keep_out_nobody_who_has_one(
    client: Client, book: Library
) -> None:
    await visited(client)
    library = shelf(client)
    ask, go_on = Ask(Target("books", 1)), threading.Event()
    with WorkerPool(1, Limits(), default_extensions()) as pool, ThreadPoolExecutor(1) as threads:
        library.state._pool, library.state._threads = pool, threads
        blocked = asyncio.ensure_future(library.in_thread(go_on.wait))
        waiting = asyncio.ensure_future(library.rehearse(ask, BY))  # no process runs yet
        await asyncio.sleep(0)
        pool.read(ReadRequest(str(book.file_path()), (str(book.root),), Limits()))
        having = asyncio.ensure_future(library.rehearse(ask, BY))
        await asyncio.sleep(0)
        go_on.set()
        done = await asyncio.wait_for(asyncio.gather(blocked, waiting, having), 20)
    assert [type(result) for result in done[1:]] == [Settled, Settled]


# --- who waits ------------------------------------------------------------------------------------------


async def test_a_run_is_answered_though_all_threads_wait_for_workers(client: Client) -> None:
    await visited(client)
    ready = threading.Event()
    with own_pool(client):
        await visited(client)
        waiting = [state_of(client.ds).threads.submit(ready.wait) for _ in range(20)]
        try:
            answer = await asyncio.wait_for(client.resync(), 10)
        finally:
            ready.set()
    assert answer.json()["changed"] is False
    assert all(future.result() for future in waiting)


async def test_many_runs_at_once_share_one_worker(client: Client) -> None:
    await visited(client)
    with own_pool(client):
        await visited(client)
        asked = [client.resync(dry_run=number % 3 == 0) for number in range(40)]
        answers = await asyncio.wait_for(asyncio.gather(*asked), 30)
    assert {answer.status_code for answer in answers} == {200}


async def test_who_goes_away_keeps_no_worker(client: Client) -> None:
    await visited(client)
    with own_pool(client) as pool:
        await visited(client)
        ready = threading.Event()
        for threads in (state_of(client.ds).threads, pool._crew.finishers):
            for _ in range(8):
                threads.submit(ready.wait)
        asked = asyncio.ensure_future(client.resync())
        await asyncio.sleep(0.2)
        asked.cancel()
        await asyncio.wait([asked])
        ready.set()
        assert (await asyncio.wait_for(client.resync(), 10)).status_code == 200


async def test_a_large_body_is_not_sent_to_a_worker_that_may_have_stopped(client: Client) -> None:
    await visited(client)
    with own_pool(client) as pool:
        await visited(client)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        going_on = threading.Timer(1.5, os.kill, (pid, signal.SIGCONT))
        going_on.start()
        asked = asyncio.ensure_future(client.resync(plan="x" * 500_000))
        began = time.monotonic()
        while going_on.is_alive():
            await asyncio.sleep(0.01)
            assert time.monotonic() - began < 1
            began = time.monotonic()
        assert (await asked).status_code == 409


# --- who may --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_changed", [True, False])
async def test_nobody_lives_on_a_former_permission(client: Client, book: Library, is_changed: bool) -> None:
    book.rewrite(1, epub(SECRET))
    await visited(client, actor=EDITOR)
    if is_changed:
        book.rewrite(1, epub(SECRET, ["Another"]))
    client.ds.config["permissions"]["resync-row"] = {"id": "root"}
    before = book.dump()
    answer = await client.resync(actor=EDITOR)
    assert (answer.status_code, SECRET in answer.text) == (403, False)
    assert book.dump() == before


async def test_nothing_is_read_for_a_stranger_before_they_may(client: Client) -> None:
    await visited(client)
    library = shelf(client)
    with WorkerPool(1, Limits(), default_extensions()) as library.state._pool:
        for actor in (None, {"id": "upd"}):
            assert (await client.resync(actor=actor)).status_code == 403
        assert not library.state.pool.pids
        assert (await client.resync()).status_code == 200
        assert library.state.pool.pids


async def test_a_known_visitor_finds_no_closed_library(book: Library) -> None:
    book.add("libraries", name="Closed", cover_aspect_ratio="book")
    closed = book.add_book("Closed", library_id=2)
    book.add("library_paths", library_id=2, filepath=str(book.root / "Closed"))
    book.add_file(closed, "b.epub", epub(SECRET))
    book.edit("files", 2, library_id=2)
    client = Client(served(book, {"library_access": {"Closed": {"id": "root"}}}, GRANTS))
    await visited(client, pk=closed)
    await visited(client, actor=EDITOR)
    answer = await client.resync(pk=closed, actor=EDITOR)
    assert (answer.status_code, SECRET in answer.text) == (403, False)
    assert (await client.resync(pk=99, actor=EDITOR)).status_code == 403


async def test_no_file_of_a_closed_library_is_read(book: Library) -> None:
    book.add("libraries", name="Closed", cover_aspect_ratio="book")
    closed = book.add_book("Closed", library_id=2)
    book.add("library_paths", library_id=2, filepath=str(book.root / "Closed"))
    book.add_file(closed, "b.sleeping", b"60")
    book.edit("files", 2, library_id=2)
    client = Client(served(book, {"library_access": {"Closed": {"id": "root"}}}, GRANTS))
    await visited(client, actor=EDITOR)
    with own_pool(client):
        answer = await asyncio.wait_for(client.resync(pk=closed, actor=EDITOR), 10)
    assert answer.status_code == 403


# --- runs that a worker can't settle ------------------------------------------------------------------------


async def test_what_another_run_wrote_meanwhile_is_not_overwritten_with_older(
    client: Client, book: Library
) -> None:
    await visited(client)
    for number in range(10):
        book.rewrite(1, epub(f"Title {number}"))
        answers = await asyncio.gather(*(client.resync() for _ in range(3)), client.resync("files"))
        assert [a.status_code for a in answers] == [200] * 4
        assert book.book()["title"] == f"Title {number}"
        assert sum(a.json()["changed"] for a in answers) == 1


async def test_what_was_read_before_another_run_wrote_is_read_again(client: Client, book: Library) -> None:
    await visited(client)
    library = shelf(client)
    ask = Ask(Target("books", 1))
    book.rewrite(1, epub("Older"))
    early = await gathered(library, ask)
    book.rewrite(1, epub("Newer"))
    await client.resync()
    brief = await library.brief(ask.target)
    outcome = await library.run(ask, brief, BY, None, early)
    assert (outcome.changed, book.book()["title"]) == (False, "Newer")


async def test_what_was_read_of_rows_that_moved_is_read_again(client: Client, book: Library) -> None:
    await visited(client)
    library = shelf(client)
    ask = Ask(Target("books", 1))
    book.rewrite(1, epub("Newer"))
    early, brief = await gathered(library, ask), await library.brief(ask.target)
    moved = book.file_path().with_name("moved.epub")
    book.file_path().rename(moved)
    book.edit("files", filepath=str(moved))  # by somebody whose writes we do not count
    outcome = await library.run(ask, brief, BY, None, early)
    assert (outcome.changed, book.book()["title"]) == (True, "Newer")


async def test_what_a_crash_left_of_another_book_is_written_first(client: Client, book: Library) -> None:
    book.add_witness()
    await visited(client)
    await client.resync(pk=2)
    book.book_sidecar(2).unlink()
    book.conn.execute("update resync_pending set old_sha256 = null")
    again = Client(served(book))
    assert (await again.resync()).json()["changed"] is False
    assert book.sidecar(book.book_sidecar(2))["title"] == "Witness"


async def test_a_sidecar_that_another_run_has_still_to_write_is_no_edit(
    client: Client, book: Library
) -> None:
    await visited(client)
    library = shelf(client)
    scan, go_on = Ask(Target("books", 1)), threading.Event()
    refresh, brief = replace(scan, mode=Mode.REFRESH), await library.brief(scan.target)
    book.rewrite(1, epub("Newer"))
    first = await gathered(library, refresh)
    with ThreadPoolExecutor(1) as threads:
        library.state._threads = threads
        blocked = asyncio.ensure_future(library.in_thread(go_on.wait))
        run = asyncio.ensure_future(library.run(refresh, brief, BY, None, first))
        for _ in range(1_000):  # until it is committed
            if book.book()["title"] == "Newer":
                break
            await asyncio.sleep(0.01)
        assert book.sidecar()["title"] == "Dune"  # the thread that writes it is busy
        second = await library.rehearse(scan, BY)
        go_on.set()
        await asyncio.gather(blocked, run)
    assert isinstance(second, Settled)
    assert (json.loads(second.answer)["changed"], book.book()["title"]) == (False, "Newer")


async def test_what_was_read_before_a_run_that_nobody_waits_for_any_more_is_read_again(
    client: Client, book: Library
) -> None:
    await visited(client)
    library = shelf(client)
    ask = Ask(Target("books", 1))
    book.rewrite(1, epub("Older"))
    early = await gathered(library, ask)
    book.rewrite(1, epub("Newer"))
    with writing(book):
        given_up = asyncio.ensure_future(client.resync())
        await asyncio.sleep(0.5)
        given_up.cancel()
        await asyncio.wait([given_up])
        asked = asyncio.ensure_future(library.run(ask, await library.brief(ask.target), BY, None, early))
        await asyncio.sleep(0.2)
    await asked
    assert book.book()["title"] == book.sidecar()["title"] == "Newer"


async def test_what_was_read_before_an_undo_is_read_again(client: Client, book: Library) -> None:
    await visited(client)
    book.edit_sidecar(book.book_sidecar(), title="Edited")
    book.rewrite(1, epub("Newer", ["Frank Herbert"]))
    run = (await client.resync(mode="refresh")).json()["run"]
    library = shelf(client)
    ask = Ask(Target("books", 1))
    book.rewrite(1, epub("Newest", ["Frank Herbert"]))
    early = await gathered(library, ask)
    assert (await client.ds.client.post(f"/library/resync_runs/{run}/-/undo", actor=ROOT, json={})).is_success
    assert book.sidecar()["title"] == "Edited"
    await library.run(ask, await library.brief(ask.target), BY, None, early)
    assert book.book()["title"] == "Edited"


async def test_what_was_read_is_not_read_again_because_another_row_was_written(
    client: Client, book: Library, slow: Slow
) -> None:
    await visited(client)
    with own_pool(client, 2):
        await visited(client)
        asked = asyncio.ensure_future(client.resync(pk=2))
        await slow.is_being_read()
        book.rewrite(1, epub("Another"))
        assert (await client.resync()).json()["changed"] is True
        assert not asked.done()
        slow.go_on()
        assert (await asked).json()["changed"] is True
    assert slow.reads.read_bytes() == b"."


async def test_rows_of_which_too_many_were_written_to_know_them_count_as_written() -> None:
    writes = Writes()
    for pk in range(2_500):
        writes.note(("library", "books", pk))
    before = writes.count
    assert writes.has_since(0, ("library", "books", 1))
    assert not writes.has_since(before, ("library", "books", 1))
    assert not writes.has_since(2_400, ("library", "books", 2_300))
    assert writes.has_since(2_400, ("library", "books", 2_450))
    writes.note(None)
    assert writes.has_since(before, ("other", "files", 1))


async def test_a_sidecar_is_written_though_no_row_changes(client: Client, book: Library) -> None:
    await visited(client)
    book.book_sidecar().unlink()
    for table in HISTORY_TABLES:  # which would have to be written too
        book.conn.execute(f"drop table {table}")
    assert (await client.resync()).json()["changed"] is False
    assert book.sidecar()["title"] == "Dune"


@pytest.mark.parametrize("name", ["a.sleeping", "a.crashing", "a.exiting"])
async def test_a_file_that_ends_its_worker_is_named_and_not_read_again(book: Library, name: str) -> None:
    book.add_file(book.add_book("Bad"), name, b"9")
    client = Client(served(book, {"parse_seconds": 0.5}))
    await client.resync()
    library = shelf(client)
    ask, before = Ask(Target("books", 2)), book.dump()
    library.state.pool.close()
    with WorkerPool(1, Limits(parse_seconds=0.5), EXTENSIONS) as library.state._pool:
        answer = await client.resync(pk=2)
        early, brief = await gathered(library, ask), await library.brief(ask.target)
    assert (answer.status_code, name in answer.text) == (422, True)
    with pytest.raises(UnreadableFile, match=name):  # though nobody can read anything by now
        await library.run(ask, brief, BY, None, early)
    assert book.dump() == before


async def test_what_only_a_worker_can_load_is_the_error_of_its_file(client: Client, book: Library) -> None:
    book.add_file(book.add_book("Foreign"), "a.foreign", b"text")
    await visited(client)
    with own_pool(client):
        answer = await client.resync(pk=2)
    assert (answer.status_code, "a.foreign: the parser returned" in answer.text) == (422, True)


async def test_missing_files_and_unknown_rows_are_found_out_as_usual(client: Client, book: Library) -> None:
    await visited(client)
    assert (await client.resync(pk=7)).status_code == 404
    os.rename(book.root, book.root.with_name("unmounted"))
    assert (await client.resync()).status_code == 409
    os.rename(book.root.with_name("unmounted"), book.root)
    book.add_witness()
    book.remove(1)
    assert (await client.resync()).json()["book_deleted"] is True


class Impatient:
    """A plugin that lets Datasette wait less for a database than the five seconds of Python."""

    @hookimpl  # type: ignore[untyped-decorator]
    def prepare_connection(self, conn: sqlite3.Connection) -> None:
        conn.execute("pragma busy_timeout = 200")


@pytest.fixture
def impatient() -> Iterator[None]:
    plugin = Impatient()
    pm.register(plugin)
    yield
    pm.unregister(plugin)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_lets_nobody_read_is_busy(client: Client, book: Library) -> None:
    book.conn.execute("pragma journal_mode = delete")
    await visited(client)
    book.conn.execute("begin exclusive")
    try:
        assert (await client.resync()).status_code == 503
    finally:
        book.conn.execute("rollback")
    assert (await client.resync()).status_code == 200


async def test_reading_a_file_holds_up_nobody_who_writes(client: Client, book: Library, slow: Slow) -> None:
    book.conn.execute("pragma journal_mode = delete")
    await visited(client)
    with own_pool(client):
        await visited(client)
        asked = asyncio.ensure_future(client.resync(pk=2))
        await slow.is_being_read()
        book.conn.execute("pragma busy_timeout = 0")
        book.edit("books", 1, subtitle="Written meanwhile")
        assert not asked.done()
        slow.go_on()
        assert (await asked).json()["changed"] is True


async def test_what_changed_while_a_file_was_read_is_answered(
    client: Client, book: Library, slow: Slow
) -> None:
    await visited(client)
    with own_pool(client):
        slow.go_on()
        await visited(client, pk=2)
        await visited(client, pk=2)
        slow.hold_up()
        asked = asyncio.ensure_future(client.resync(pk=2, mode="refresh"))
        await slow.is_being_read()
        book.edit("books", 2, subtitle="Written meanwhile")
        assert not asked.done()
        slow.go_on()
        answer = (await asked).json()
    assert (answer["changed"], answer["rows"][0]["subtitle"]) == (False, "Written meanwhile")


async def test_the_schema_is_looked_at_once(book: Library) -> None:
    for _ in range(2):
        book.scan()
    book.configure(roots=(str(book.root),))
    read = partial(read_file, extensions=default_extensions())
    rehearsal = Rehearsal(book.path, Ask(Target("books", 1)), book.settings, BY)
    conn, _ = _library(book.path)
    asked: list[str] = []
    conn.set_trace_callback(asked.append)
    assert [type(rehearsal.do(read)) for _ in range(3)] == [Settled] * 3
    conn.set_trace_callback(None)
    assert sum("pragma_table_info" in sql for sql in asked) == 1


async def test_a_changed_schema_is_noticed(client: Client, book: Library) -> None:
    await visited(client)
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"], series="Dune", number=1.5, language="fr"))
    book.conn.execute("alter table files rename column language to lost")
    assert "language" not in (await visited(client)).text.replace("language_", "")
    book.conn.execute("alter table books rename column title_source to also_lost")
    answer = await client.resync()
    assert (answer.status_code, "books.title_source" in answer.text) == (422, True)


async def test_a_library_path_added_later_says_what_to_do(client: Client, book: Library) -> None:
    await visited(client)
    book.add("library_paths", library_id="1", filepath=str(book.folder))
    (book.folder / "new.epub").write_bytes(epub("New"))
    book.edit("files", filepath=str(book.folder / "new.epub"))
    answer = await client.resync()
    assert (answer.status_code, "restart, or set roots" in answer.text) == (403, True)


async def test_a_database_that_took_the_place_of_another_is_run(client: Client, book: Library) -> None:
    await visited(client)
    copy = f"{book.path}.copy"
    with closing(sqlite3.connect(copy)) as other:
        book.conn.backup(other)
        other.execute("update books set title = 'Another', title_source = 'manual'")
        other.commit()
    client.ds.remove_database("library")
    for ending in ("-wal", "-shm"):
        Path(f"{book.path}{ending}").unlink(missing_ok=True)
    os.replace(copy, book.path)
    client.ds.add_database(Database(client.ds, path=book.path, is_mutable=True), "library")
    assert (await client.resync()).json()["rows"][0]["title"] == "Another"


async def test_a_library_in_memory_is_run_as_ever(book: Library) -> None:
    ds = served(book, {"roots": [str(book.root)]})
    await ds.invoke_startup()

    def copy(conn: sqlite3.Connection) -> None:
        with closing(sqlite3.connect(book.path)) as original:
            original.backup(conn)

    await ds.add_memory_database("shelf").execute_write_fn(copy, transaction=False)
    answers = [(await Client(ds, "shelf").resync()).json()["changed"] for _ in range(3)]
    assert answers == [True, False, False]
