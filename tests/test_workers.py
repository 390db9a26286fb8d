from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from builders import extensions
from builders.extensions import EXTENSIONS
from builders.tasks import Broken, Counting, Reading

from datasette_shisho_resync.errors import BadRequest, ResyncError
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import FileReading, FileStatus, Limits, ParsedFile, ReadRequest
from datasette_shisho_resync.workers import WorkerPool
from datasette_shisho_resync.workers.child import WorkerSettings
from datasette_shisho_resync.workers.extensions import Extensions
from datasette_shisho_resync.workers.process import Worker, WorkerError

DEFAULTS = Limits()
IMPATIENT = Limits(parse_seconds=0.4)


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2, Limits(), EXTENSIONS) as pool:
        yield pool


@pytest.fixture
def fresh() -> Iterator[WorkerPool]:
    """A pool of one process, which has not begun."""
    with WorkerPool(1, Limits(), EXTENSIONS) as pool:
        yield pool


@pytest.fixture(scope="module")
def single() -> Iterator[WorkerPool]:
    """A pool of one process, which other tests have used or ended."""
    with WorkerPool(1, Limits(), EXTENSIONS) as pool:
        yield pool


def asked(folder: Path, name: str, content: str = "text", limits: Limits = DEFAULTS) -> ReadRequest:
    (folder / name).write_text(content)
    return ReadRequest(str(folder / name), (str(folder),), limits)


def title(reading: FileReading) -> str | None:
    assert reading.parsed is not None, reading.error
    return reading.parsed.title


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition: object, seconds: float = 5.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def test_a_file_is_read_in_another_process(pool: WorkerPool, tmp_path: Path) -> None:
    pid = title(pool.read(asked(tmp_path, "a.pid")))
    assert pid in {str(pid) for pid in pool.pids}
    assert pid != str(os.getpid())


def test_no_process_runs_before_the_first_file(pool: WorkerPool) -> None:
    assert not pool.pids


def test_processes_are_kept(single: WorkerPool, tmp_path: Path) -> None:
    request = asked(tmp_path, "a.pid")
    assert len({title(single.read(request)) for _ in range(5)}) == 1


def test_a_worker_imports_neither_datasette_nor_a_pool(fresh: WorkerPool, tmp_path: Path) -> None:
    parsed = fresh.read(asked(tmp_path, "a.modules")).parsed
    assert parsed is not None
    loaded = set(parsed.tags)
    assert "datasette_shisho_resync.reading" in loaded
    assert not loaded & {"datasette", "sqlite3", "asyncio", "lxml", "datasette_shisho_resync.workers.pool"}


def test_what_a_parser_prints_reaches_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with WorkerPool(1, Limits(), EXTENSIONS) as pool:
        reading = pool.read(asked(tmp_path, "a.printing"))
    assert title(reading) == "read 0 from standard input"
    assert capfd.readouterr() == ("", "")


def test_a_parse_that_takes_too_long_is_ended_and_named(single: WorkerPool, tmp_path: Path) -> None:
    single.read(asked(tmp_path, "first.text"))
    (before,) = single.pids
    began = time.monotonic()
    reading = single.read(asked(tmp_path, "a.sleeping", "60", IMPATIENT))
    assert time.monotonic() - began < 2
    assert reading.status is FileStatus.ERROR
    assert reading.error == f"{tmp_path}/a.sleeping: took longer than parse_seconds (0.4 s)"
    assert not is_running(before)
    assert title(single.read(asked(tmp_path, "b.text", "still here"))) == "still here"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.exiting", "could not be read, the worker process ended with exit code 3"),
        ("a.crashing", "could not be read, the worker process ended by signal 11"),
        ("a.leaving", "could not be read (SystemExit)"),
        ("a.raising", "could not be read (KeyError)"),
        ("a.recursing", "could not be read (RecursionError)"),
        ("a.unpicklable", "the parser returned what cannot be passed on"),
        ("a.dict", "the parser returned a dict instead of a ParsedFile"),
        ("a.opening", "could not be read (no such file or directory)"),
        ("a.unknown", "no parser for .unknown files"),
    ],
)
def test_a_broken_parse_is_the_error_of_its_file_alone(
    single: WorkerPool, tmp_path: Path, name: str, reason: str
) -> None:
    reading = single.read(asked(tmp_path, name, "secret content"))
    assert reading.status is FileStatus.ERROR
    assert reading.error == f"{tmp_path}/{name}: {reason}"
    assert title(single.read(asked(tmp_path, "b.text", "still here"))) == "still here"


def test_memory_is_limited(tmp_path: Path) -> None:
    limits = Limits(parse_memory_bytes=256 * 1024**2)
    with WorkerPool(1, limits, EXTENSIONS) as pool:
        reading = pool.read(asked(tmp_path, "a.greedy", limits=limits))
        assert title(pool.read(asked(tmp_path, "b.text", "still here"))) == "still here"
    reason = "needs more memory than parse_memory_bytes (268,435,456 bytes)"
    assert (reading.status, reading.error) == (FileStatus.ERROR, f"{tmp_path}/a.greedy: {reason}")


def test_memory_is_limited_for_each_file_anew(single: WorkerPool, tmp_path: Path) -> None:
    limits = Limits(parse_memory_bytes=64 * 1024**2)
    for _ in range(3):
        assert single.read(asked(tmp_path, "a.greedy", limits=limits)).status is FileStatus.ERROR
    roomy = Limits(parse_memory_bytes=400 * 1024**2)
    assert title(single.read(asked(tmp_path, "a.hoarding", limits=roomy))) == "300 MiB"


def test_what_a_process_may_have_in_all_is_limited_too(tmp_path: Path) -> None:
    limits = Limits(worker_memory_bytes=256 * 1024**2, parse_memory_bytes=1024**3)
    with WorkerPool(1, limits, EXTENSIONS) as pool:
        reading = pool.read(asked(tmp_path, "a.hoarding", limits=limits))
    reason = "needs more memory than worker_memory_bytes (268,435,456 bytes)"
    assert reading.error == f"{tmp_path}/a.hoarding: {reason}"


def test_a_large_result_arrives_whole(single: WorkerPool, tmp_path: Path) -> None:
    parsed = single.read(asked(tmp_path, "a.covered", str(20 * 1024**2))).parsed
    assert parsed is not None
    assert parsed.load_cover is None
    assert parsed.cover is not None
    assert parsed.cover.data == b"x" * (20 * 1024**2)


def test_paths_that_are_not_utf8_travel_unchanged(single: WorkerPool, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.text"
    with open(path, "w") as file:
        file.write("text")
    request = ReadRequest(os.fsdecode(path), (str(tmp_path),))
    reading = single.read(request)
    assert (reading.path, title(reading)) == (request.path, "text")


def test_many_files_come_back_with_their_requests(pool: WorkerPool, tmp_path: Path) -> None:
    requests = [asked(tmp_path, f"{number}.text", f"Title {number}") for number in range(100)]
    found = {request.path: title(reading) for request, reading in pool.map_unordered(requests)}
    assert found == {str(tmp_path / f"{number}.text"): f"Title {number}" for number in range(100)}


def test_nothing_to_read_yields_nothing(pool: WorkerPool) -> None:
    assert list(pool.map_unordered([])) == []
    assert not pool.pids


def test_requests_are_taken_in_the_calling_thread_and_not_far_ahead(pool: WorkerPool, tmp_path: Path) -> None:
    request = asked(tmp_path, "a.text")
    taken: list[int] = []

    def requests() -> Iterator[ReadRequest]:
        for _ in range(1000):
            taken.append(threading.get_ident())
            yield request

    results = pool.map_unordered(requests(), batch_size=4)
    for _ in range(10):
        next(results)
    assert set(taken) == {threading.get_ident()}
    assert len(taken) <= 10 + 5 * 4
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["bad.exiting", "bad.crashing", "bad.sleeping", "bad.raising"])
def test_in_a_batch_only_the_file_at_fault_fails(single: WorkerPool, tmp_path: Path, name: str) -> None:
    requests = [asked(tmp_path, f"{number}.text", str(number)) for number in range(12)]
    requests.insert(9, asked(tmp_path, name, "60", IMPATIENT))
    readings = [reading for _, reading in single.map_unordered(requests, batch_size=8)]
    assert len(readings) == 13
    assert [Path(r.path).name for r in readings if r.status is not FileStatus.OK] == [name]


def test_large_results_end_a_batch_early(tmp_path: Path) -> None:
    requests = [asked(tmp_path, f"{number}.covered", str(3 * 1024**2)) for number in range(4)]
    worker = Worker(WorkerSettings(EXTENSIONS.as_references(), 1024**3, False))
    try:
        readings, can_go_on = worker.read(requests)
    finally:
        worker.close()
    assert [reading.path for reading in readings] == [request.path for request in requests[:2]]
    assert can_go_on


def test_files_of_a_batch_that_ended_early_are_read_later(single: WorkerPool, tmp_path: Path) -> None:
    requests = [asked(tmp_path, f"{number}.covered", str(3 * 1024**2)) for number in range(9)]
    found = [r.path for r, reading in single.map_unordered(requests, batch_size=8) if title(reading)]
    assert sorted(found) == sorted(request.path for request in requests)


def test_a_worker_that_was_killed_while_idle_is_replaced(single: WorkerPool, tmp_path: Path) -> None:
    request = asked(tmp_path, "a.text")
    single.read(request)
    (pid,) = single.pids
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not is_running(pid))
    assert title(single.read(request)) == "text"
    assert single.pids != {pid}


def test_many_threads_share_few_workers(pool: WorkerPool, tmp_path: Path) -> None:
    requests = [asked(tmp_path, f"{number}.text", str(number)) for number in range(40)]
    titles: list[str | None] = []
    threads = [
        threading.Thread(target=lambda part=part: titles.extend(title(pool.read(r)) for r in part))
        for part in (requests[n::8] for n in range(8))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(titles, key=str) == sorted(map(str, range(40)))
    assert len(pool.pids) <= 2


def test_a_worker_outlives_the_thread_that_started_it(fresh: WorkerPool, tmp_path: Path) -> None:
    request = asked(tmp_path, "a.pid")
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(title(fresh.read(request))))
    thread.start()
    thread.join()
    time.sleep(0.05)
    assert title(fresh.read(request)) == found[0]


def test_an_event_loop_can_wait_for_a_file(pool: WorkerPool, tmp_path: Path) -> None:
    requests = [asked(tmp_path, f"{number}.text", str(number)) for number in range(5)]

    async def read_all() -> list[FileReading]:
        return await asyncio.gather(*(asyncio.wrap_future(pool.submit(r)) for r in requests))

    assert [title(reading) for reading in asyncio.run(read_all())] == list("01234")


@pytest.mark.parametrize("has_low_priority", [False, True])
def test_only_background_work_runs_at_lower_priority(tmp_path: Path, has_low_priority: bool) -> None:
    with WorkerPool(1, Limits(), EXTENSIONS, low_priority=has_low_priority) as pool:
        parsed = pool.read(asked(tmp_path, "a.pid")).parsed
    assert parsed is not None
    assert parsed.page_count == min(19, os.nice(0) + (5 if has_low_priority else 0))


def test_closing_ends_all_processes_also_those_at_work(tmp_path: Path) -> None:
    pool = WorkerPool(2, Limits(), EXTENSIONS)
    pool.read(asked(tmp_path, "a.text"))
    busy = [pool.submit(asked(tmp_path, f"{number}.sleeping", "60")) for number in range(3)]
    assert wait_until(lambda: len(pool.pids) == 2)
    pids = pool.pids
    pool.close()
    assert not any(map(is_running, pids))
    assert not pool.pids
    for future in busy:
        assert future.cancelled() or isinstance(future.exception(), ResyncError)
    with pytest.raises(ResyncError, match="closed"):
        pool.read(asked(tmp_path, "a.text"))
    with pytest.raises(ResyncError, match="closed"):
        pool.submit(asked(tmp_path, "a.text"))
    pool.close()


def test_closing_ends_a_walk_over_many_files(pool: WorkerPool, tmp_path: Path) -> None:
    requests = [asked(tmp_path, f"{number}.text") for number in range(100)]
    results = pool.map_unordered(requests, batch_size=2)
    next(results)
    pool.close()
    with pytest.raises(ResyncError, match="closed"):
        list(results)


def test_a_forgotten_pool_leaves_no_process(tmp_path: Path) -> None:
    pool = WorkerPool(1, Limits(), EXTENSIONS)
    pool.read(asked(tmp_path, "a.text"))
    (pid,) = pool.pids
    del pool
    gc.collect()
    assert not is_running(pid)


def run_program(program: str) -> tuple[int, ...]:
    """Run a program in a process of its own; return the numbers that it prints."""
    folders = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": folders},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=20,
    )
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize(
    ("end", "name"),
    [("kill", "idle.text"), ("kill", "busy.sleeping"), ("exit", "idle.text"), ("raise", "busy.sleeping")],
)
def test_workers_end_with_their_parent(tmp_path: Path, end: str, name: str) -> None:
    request = asked(tmp_path, name, "60")
    program = f"""
        import os, signal, sys, threading, time
        from builders.extensions import EXTENSIONS
        from datasette_shisho_resync.model import Limits, ReadRequest
        from datasette_shisho_resync.workers import WorkerPool
        pool = WorkerPool(1, Limits(parse_seconds=30), EXTENSIONS)
        request = ReadRequest({request.path!r}, {request.roots!r})
        threading.Thread(target=pool.read, args=(request,), daemon=True).start()
        while not pool.pids:
            time.sleep(0.01)
        time.sleep(0.3)
        print(*pool.pids, flush=True)
        if {end!r} == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if {end!r} == "raise":
            raise KeyboardInterrupt
    """
    (pid,) = run_program(program)
    assert wait_until(lambda: not is_running(pid), 10)


def test_a_fork_of_the_parent_does_not_end_its_workers(tmp_path: Path) -> None:
    request = asked(tmp_path, "a.pid")
    program = f"""
        import os, sys
        from builders.extensions import EXTENSIONS
        from datasette_shisho_resync.model import Limits, ReadRequest
        from datasette_shisho_resync.workers import WorkerPool
        pool = WorkerPool(1, Limits(), EXTENSIONS)
        request = ReadRequest({request.path!r}, {request.roots!r})
        before = pool.read(request).parsed.title
        if os.fork() == 0:
            sys.exit()
        os.wait()
        print(before, pool.read(request).parsed.title)
    """
    before, after = run_program(program)
    assert before == after


def test_a_parser_from_a_lone_file_is_loaded_from_there(tmp_path: Path) -> None:
    plugin = tmp_path / "json.py"  # the name of a module that every worker has
    plugin.write_text(
        "from datasette_shisho_resync.model import ParsedFile\n"
        "def parse(file, name, limits):\n    return ParsedFile('file_metadata', title='from a file')\n"
    )
    namespace = {"__name__": "json.py", "__file__": str(plugin)}
    exec(compile(plugin.read_text(), plugin, "exec"), namespace)  # as Datasette loads --plugins-dir
    with WorkerPool(1, Limits(), Extensions({"lone": namespace["parse"]})) as pool:  # type: ignore[dict-item]
        assert title(pool.read(asked(tmp_path, "a.lone"))) == "from a file"


def test_a_parser_that_cannot_be_loaded_is_the_error_of_its_files(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    namespace = {"__name__": "plugin.py", "__file__": str(plugin)}
    exec("def parse(file, name, limits): ...", namespace)
    plugin.write_text("import a_library_that_is_not_installed")
    with WorkerPool(1, Limits(), Extensions({"lone": namespace["parse"]})) as pool:  # type: ignore[dict-item]
        reading = pool.read(asked(tmp_path, "a.lone"))
    assert reading.error is not None
    assert "No module named 'a_library_that_is_not_installed'" in reading.error


def _enclosing(parsed: ParsedFile) -> object:
    def enrich(parsed: ParsedFile) -> dict[str, object]:
        return {}

    return enrich


@pytest.mark.parametrize(
    ("offered", "named"),
    [
        (Extensions({"xyz": lambda file, name, limits: ParsedFile("file_metadata")}), "parser for .xyz"),
        (Extensions({"xyz": functools.partial(extensions.parse_text)}), "parser for .xyz"),
        (Extensions({}, (("moods", _enclosing(ParsedFile(""))),)), "enricher moods"),  # type: ignore[arg-type]
    ],
)
def test_a_function_without_a_place_is_refused_at_once(offered: Extensions, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        WorkerPool(1, Limits(), offered)


def test_a_pool_needs_a_worker() -> None:
    with pytest.raises(BadRequest, match="workers"):
        WorkerPool(0, Limits(), default_extensions())


# --- tasks ------------------------------------------------------------------------------------


def test_a_task_reads_within_the_limits_of_a_file(single: WorkerPool, tmp_path: Path) -> None:
    single.read(asked(tmp_path, "first.text"))
    readings = [single.begin(Reading(asked(tmp_path, name))).result(20) for name in ("a.pid", "a.hoarding")]
    assert [None if reading is None else reading.error for reading in readings] == [
        None,
        f"{tmp_path}/a.hoarding: needs more memory than parse_memory_bytes (142,606,336 bytes)",
    ]
    assert readings[0] is not None
    assert title(readings[0]) in {str(pid) for pid in single.pids}


@pytest.mark.parametrize("how", ["raises", "unpicklable", "not loadable", "huge"])
def test_a_task_that_fails_returns_nothing(fresh: WorkerPool, how: str) -> None:
    assert fresh.begin(Broken(how, DEFAULTS)).result(20) is None
    assert fresh.begin(Broken(how, DEFAULTS)).result(20) is None  # by a process that is there


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("sleeps", "took longer than parse_seconds (0.4 s)"),
        ("crashes", "could not be read, the worker process ended by signal 11"),
        ("exits", "could not be read, the worker process ended with exit code 3"),
    ],
)
def test_a_task_that_ends_its_process_says_so(
    fresh: WorkerPool, tmp_path: Path, how: str, reason: str
) -> None:
    for _ in range(2):
        with pytest.raises(WorkerError) as caught:
            fresh.begin(Broken(how, IMPATIENT)).result(20)
        assert str(caught.value) == reason
        assert title(fresh.read(asked(tmp_path, "b.text", "still here"))) == "still here"


def test_a_task_of_a_closed_pool_is_refused(fresh: WorkerPool, tmp_path: Path) -> None:
    fresh.read(asked(tmp_path, "first.text"))
    begun, waiting = fresh.begin(Broken("sleeps", DEFAULTS)), fresh.begin(Broken("sleeps", DEFAULTS))
    fresh.close()
    for future in (begun, waiting):
        with pytest.raises((ResyncError, CancelledError)):
            future.result(20)
    with pytest.raises(ResyncError):
        fresh.begin(Broken("raises", DEFAULTS))


def test_a_task_of_any_size_can_be_waited_for(single: WorkerPool) -> None:
    assert single.do(Counting(b"x" * 3_000_000, DEFAULTS)) == 3_000_000


@pytest.mark.parametrize("how", ["raises", "crashes", "sleeps"])
def test_a_task_that_was_not_done_returns_nothing(fresh: WorkerPool, how: str) -> None:
    assert fresh.do(Broken(how, IMPATIENT)) is None
    fresh.close()
    assert fresh.do(Broken(how, IMPATIENT)) is None


def test_a_process_that_was_stopped_holds_up_nobody(fresh: WorkerPool, tmp_path: Path) -> None:
    fresh.read(asked(tmp_path, "first.text"))
    [pid] = fresh.pids
    os.kill(pid, signal.SIGSTOP)
    assert fresh.do(Counting(b"x" * 3_000_000, IMPATIENT)) is None
    assert title(fresh.read(asked(tmp_path, "b.text", "still here"))) == "still here"
