"""What the plugin keeps for one Datasette instance: settings, roots, workers, locks, known schemas.

Made when Datasette starts and closed with it. Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from datasette.plugins import pm

from ..errors import NotALibrary, ResyncError
from ..hooks import load_extensions
from ..library_scan.process import JobProcess
from ..resync.roots import with_default_roots
from ..settings import PLUGIN, Settings, require_settings_at_top, settings_from
from ..store.pending import PendingKey
from ..store.schema import KnownSchema, LibrarySchema, library_schema
from ..workers import WorkerPool

if TYPE_CHECKING:
    from datasette.app import Datasette
    from datasette.database import Database

_ATTRIBUTE = "_shisho_resync"
_STOP_SECONDS = 5.0  # for a job to end where it is
_KNOWN_SECONDS = 60.0
_MOST_VISITORS = 1_000
_MOST_ROWS = 1_000
_AGAIN_SECONDS = 60.0  # before what could not be written is tried again
_AGAIN_TIMES = 20  # at least as many times as long as trying took: a disk may stay away
_THREADS = 8  # each waits for a worker process or writes a sidecar; none computes


class Visitors:
    """Who ran something a moment ago: (database, table, actor).

    They may most probably do it again, so that their files are read while Datasette is asked whether they
    still may. Others wait for the answer, lest they keep the worker processes busy.
    """

    def __init__(self) -> None:
        self._seen_at: dict[tuple[str, str, str], float] = {}

    def is_known(self, visitor: tuple[str, str, str]) -> bool:
        return time.monotonic() - self._seen_at.get(visitor, -inf) < _KNOWN_SECONDS

    def note(self, visitor: tuple[str, str, str]) -> None:
        if len(self._seen_at) >= _MOST_VISITORS:
            self._seen_at.clear()
        self._seen_at[visitor] = time.monotonic()


Row = tuple[str, str, int]  # (database, table, id)


class Writes:
    """Which rows, as their locks name them, were written last; `count` tells one moment from another."""

    def __init__(self) -> None:
        self.count = 0
        self._all = 0  # when any row may have been written, for all that is known
        self._last: dict[Row, int] = {}

    def note(self, row: Row | None) -> None:
        """Note that a row was written, files and all; None for any row."""
        self.count += 1
        if row is None or len(self._last) >= _MOST_ROWS:
            self._last.clear()
            self._all = self.count
        else:
            self._last[row] = self.count

    def has_since(self, count: int, row: Row) -> bool:
        return max(self._last.get(row, 0), self._all) > count


@dataclass(slots=True)
class Opened:
    """What is known of one database as long as Datasette has it open, whatever has its name later.

    `file`: what its path led to at first, as `file_at` tells; `written`: pending rows whose files are there;
    `recover_at`: when to look, on the clock of `time.monotonic`, for what is still to be written.
    """

    file: tuple[int, int] | None
    schema: KnownSchema = field(default_factory=KnownSchema)
    written: set[PendingKey] = field(default_factory=set)
    recover_at: float = -inf

    @property
    def is_recovered(self) -> bool:
        return time.monotonic() < self.recover_at

    def look_again(self, tried_seconds: float = 0.0) -> None:
        """Look in a while for what is still to be written; trying to write it took so long."""
        seconds = max(_AGAIN_SECONDS, _AGAIN_TIMES * tried_seconds)
        self.recover_at = min(self.recover_at, time.monotonic() + seconds)


def file_at(path: str | None) -> tuple[int, int] | None:
    """Return which file is at a path; None where there is none, or no path."""
    try:
        found = os.stat(path or "")
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(slots=True)
class WebState:
    """`roots` are the library paths that each database had when Datasette started; `others` are those
    databases that were no libraries then."""

    settings: Settings
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: frozenset[str] = frozenset()
    addresses: dict[str, str] = field(default_factory=dict)  # of our script and style sheet
    jobs: dict[str, JobProcess] = field(default_factory=dict)  # the last one of each database
    starting: set[JobProcess] = field(default_factory=set)
    writes: Writes = field(default_factory=Writes)
    visitors: Visitors = field(default_factory=Visitors)
    questions: set[tuple[str, str]] = field(default_factory=set)  # (database, name) of our stored queries
    _locks: WeakValueDictionary[tuple[str, str, int], asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )
    _opened: WeakKeyDictionary[Database, Opened] = field(default_factory=WeakKeyDictionary)
    _pool: WorkerPool | None = None
    _threads: ThreadPoolExecutor | None = None

    def settings_for(self, database: str) -> Settings:
        """Return the settings; without `roots`, a database that came later may read nothing."""
        if self.settings.roots is not None:
            return self.settings
        return replace(self.settings, roots=self.roots.get(database, ()))

    @property
    def pool(self) -> WorkerPool:
        """The worker processes, kept from their first use on."""
        if self._pool is None:
            self._pool = WorkerPool(self.settings.workers, self.settings.limits, load_extensions(pm))
        return self._pool

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Threads of our own: Datasette's few are for its pages."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="shisho-web")
        return self._threads

    def lock(self, database: str, table: str, pk: int) -> asyncio.Lock:
        """Return the row's lock; it is forgotten when nobody holds it."""
        return self._locks.setdefault((database, table, pk), asyncio.Lock())

    def opened(self, db: Database) -> Opened:
        if db not in self._opened:
            self._opened[db] = Opened(file_at(db.path))
        return self._opened[db]

    def schema(self, db: Database, conn: sqlite3.Connection) -> LibrarySchema:
        """Return the library's tables, looked at again when they changed. Raises NotALibrary."""
        schema = self.opened(db).schema(conn)
        schema.require(db.name)
        return schema

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)


async def start(datasette: Datasette) -> None:
    """Read the settings and the library paths of now. Raises StartupError."""
    from datasette.utils import StartupError

    from .library import WebLibrary

    try:
        require_settings_at_top(datasette.config)
        settings = settings_from(datasette.plugin_config(PLUGIN))
        load_extensions(pm)
    except ResyncError as error:
        raise StartupError(f"{PLUGIN}: {error.message}") from error
    found = {name: await _roots(db, settings) for name, db in datasette.databases.items()}
    roots = {name: paths for name, paths in found.items() if paths is not None}
    state = WebState(settings, roots, frozenset(found) - frozenset(roots))
    setattr(datasette, _ATTRIBUTE, state)
    for db in datasette.databases.values():
        state.opened(db)
    for name in roots:
        with suppress(ResyncError):  # then the next look at a job finds it
            await WebLibrary(datasette, datasette.get_database(name), state).mark_dead_jobs()


async def _roots(db: Database, settings: Settings) -> tuple[str, ...] | None:
    def library_roots(conn: sqlite3.Connection) -> tuple[str, ...]:
        library_schema(conn).require(db.name)
        return with_default_roots(replace(settings, roots=None), conn, ()).roots or ()

    try:
        roots: tuple[str, ...] = await db.execute_fn(library_roots)
    except (NotALibrary, sqlite3.Error):
        return None
    return roots


def state_of(datasette: Datasette) -> WebState:
    state = started_state(datasette)
    if state is None:
        raise ResyncError("The plugin was not started.")
    return state


def started_state(datasette: Datasette) -> WebState | None:
    """Return the state; None while Datasette still starts."""
    state: Any = getattr(datasette, _ATTRIBUTE, None)
    return state if isinstance(state, WebState) else None


async def stop(datasette: Datasette) -> None:
    """End jobs and worker processes, and leave no pending row behind."""
    from .library import WebLibrary

    state = started_state(datasette)
    if state is None:
        return
    for process in [*state.starting, *state.jobs.values()]:
        await asyncio.to_thread(process.stop, _STOP_SECONDS)
    for db in datasette.databases.values():
        if state.opened(db).written:
            await WebLibrary(datasette, db, state).forget_written()
    state.close()
