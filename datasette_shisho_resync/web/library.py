"""One library database inside Datasette: what of a run writes, each step in the thread where it belongs.

Everything is written by one `execute_write_fn`. A run that may have nothing to write is first tried by a
worker process, on a connection of its own. Nothing here waits on the event loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, TypeVar

from ..errors import ReadOnlyDatabase, ResyncError
from ..library_scan.alone import mark_dead_jobs
from ..model import Brief, Outcome, Target
from ..provenance import our_own_write
from ..rehearsal import FailedReader, Rehearsal, Settled
from ..resync import Applied, Ask, By, Gathered, Service, Undone, apply_run, undo_run
from ..resync.applying import TRIES, GroundMoved, kept_moving
from ..resync.companions import settled, write_companions
from ..store.history import Run
from ..store.jobs import running_job
from ..store.pending import load_pending, remove_pending
from ..store.schema import LibrarySchema, open_library, translate
from ..workers.process import WorkerError
from .reader import LibraryReader
from .state import Row, started_state

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Early:
    """What was gathered before it was the run's turn: good while nothing is written to its row.

    `writes` is the count of `WebState.writes` before the first row or file was read.
    """

    gathered: Gathered
    writes: int

    @property
    def library_id(self) -> int:
        return self.gathered.brief.library_id

    @property
    def library_name(self) -> str:
        return self.gathered.brief.library_name


@dataclass(frozen=True, slots=True)
class WebLibrary(LibraryReader):
    """A database of a Datasette instance, also to be written."""

    def require_mutable(self) -> None:
        """Raises ReadOnlyDatabase."""
        if not self.db.is_mutable:
            raise ReadOnlyDatabase(f"{self.name}: the database is served as immutable; it can't be changed.")

    def require_writable(self) -> None:
        """Raises ReadOnlyDatabase, Conflict."""
        self.require_mutable()
        self.require_same_file()

    async def rehearse(
        self, ask: Ask, by: By, libraries: frozenset[int] | None = None
    ) -> Settled | Early | None:
        """Let a worker process try a run, of these libraries, that may have nothing to write.

        Returns `Early` when it has something to write or to refuse, None when it could not be tried. Raises
        UnknownRow when a file ended its process and its row went meanwhile.
        """
        is_ready = self.db.is_mutable and self.db.path is not None and self.opened.is_recovered
        if not is_ready or self.was_replaced:
            return None
        rehearsal = Rehearsal(str(self.db.path), ask, self.settings, by, libraries)
        writes = self.state.writes.count
        try:
            # What a process began must be seen through, also for a client that goes away.
            done = await asyncio.shield(asyncio.wrap_future(self.state.pool.begin(rehearsal)))
        except WorkerError as error:
            done = await self._gather(ask, await self.brief(ask.target), FailedReader(str(error)))
        return Early(self._advised(done), writes) if isinstance(done, Gathered) else done

    async def run(
        self, ask: Ask, brief: Brief, by: By, request: Request, early: Early | None = None
    ) -> Outcome:
        """Do a run; no other run of the row at the same time.

        Raises ReadOnlyDatabase, Conflict, and what `apply_run` raises.
        """
        self.require_writable()
        await self._recover()
        # A client that goes away must not come between the commit and its files, nor let the next run begin.
        return await asyncio.shield(self._run_in_turn(ask, brief, by, request, early))

    async def _run_in_turn(
        self, ask: Ask, brief: Brief, by: By, request: Request, early: Early | None
    ) -> Outcome:
        row, writes = self._row(ask.target, brief), self.state.writes
        async with self.state.lock(*row):
            is_good = early is not None and not writes.has_since(early.writes, row)
            gathered = early.gathered if early and is_good else None
            try:
                for _ in range(TRIES):
                    gathered = gathered or await self._gather(ask, brief)
                    try:
                        return await self._apply(ask, gathered, by, request)
                    except GroundMoved:
                        gathered = None
                        library_id, brief = brief.library_id, await self.brief(ask.target)
                        if brief.library_id != library_id:
                            break
            finally:
                writes.note(row)
        raise kept_moving()

    async def _apply(self, ask: Ask, gathered: Gathered, by: By, request: Request) -> Outcome:
        def apply_resync(conn: sqlite3.Connection, schema: LibrarySchema) -> Applied:
            return apply_run(conn, schema, ask, gathered, self.settings, by)

        applied = await self._write(apply_resync, request)
        warnings = await self._finish(applied)
        return replace(applied.outcome, warnings=(*applied.outcome.warnings, *warnings))

    async def undo(self, run: Run, by: By, request: Request) -> Undone:
        """Undo a run; no other run of its row at the same time.

        Raises ReadOnlyDatabase, UnknownRow, Conflict, UndoConflict.
        """
        self.require_writable()
        await self._recover()
        return await asyncio.shield(self._undo_in_turn(run, by, request))

    async def _undo_in_turn(self, run: Run, by: By, request: Request) -> Undone:
        def apply_undo(conn: sqlite3.Connection, schema: LibrarySchema) -> Undone:
            return undo_run(conn, schema, run.id, self.settings, by)

        async with self.state.lock(*self._row(run.target, await self.present_brief(run.target))):
            try:
                undone = await self._write(apply_undo, request)
                return replace(undone, warnings=(*undone.warnings, *await self._finish(undone)))
            finally:
                self.state.writes.note(None)

    def _row(self, target: Target, brief: Brief | None) -> Row:
        """Return the row whose lock a run holds: that of the book, if it has one."""
        if brief is not None and brief.book is not None:
            return self.name, "books", brief.book.id
        return self.name, target.table, target.pk

    async def forget_written(self) -> None:
        """Drop the pending rows whose files are there; a failure leaves them to the next start."""

        def forget_pending(conn: sqlite3.Connection, schema: LibrarySchema) -> None:
            return None

        with suppress(ResyncError):
            await self._write(forget_pending, None)

    async def _write(
        self, work: Callable[[sqlite3.Connection, LibrarySchema], T], request: Request | None
    ) -> T:
        """Run `work` in one write transaction, the pending rows of runs before removed with it."""
        keys = frozenset(self.opened.written)

        def write_library(conn: sqlite3.Connection) -> T:
            with our_own_write():
                schema = self.state.schema(self.db, conn)
                if keys and schema.has_history:  # somebody may have dropped it
                    remove_pending(conn, keys)
                return work(conn, schema)

        try:
            result: T = await self.db.execute_write_fn(write_library, request=request)
        except sqlite3.Error as error:
            raise translate(error, self.name) from error
        if keys:
            self.opened.written -= keys
        return result

    async def _finish(self, done: Applied | Undone) -> list[str]:
        """Write the files of a committed run; returns a sentence for each that could not be written."""
        if not done.companions:
            return []
        warnings = await self.in_thread(write_companions, done.companions, done.roots, self.settings)
        keys = settled(done.companions, done.pending, done.roots, self.settings, warnings)
        self.opened.written.update(keys)
        if len(keys) < len(done.pending):
            self.opened.look_again()
        return warnings

    async def _recover(self) -> None:
        """Write what runs that were interrupted, or found no room or no disk, have still to write."""
        opened = self.opened
        if opened.is_recovered or self.db.path is None:
            return
        async with self.state.lock(self.name, "resync_pending", 0):
            if opened.is_recovered:
                return
            begun_at = time.monotonic()
            if is_left := await self.read(self._has_pending):
                await self.in_thread(self.with_service, lambda service: service.recover(By("web")))
                is_left = await self.read(self._has_pending)
            opened.recover_at = inf
            if is_left:
                opened.look_again(time.monotonic() - begun_at)

    def _has_pending(self, conn: sqlite3.Connection, schema: LibrarySchema) -> bool:
        return schema.has_history and any(p.key not in self.opened.written for p in load_pending(conn))

    async def mark_dead_jobs(self) -> None:
        """Say of jobs whose process is no more that they were interrupted."""
        if self.db.is_mutable and self.db.path is not None and await self.read(running_job) is not None:
            await self.in_thread(self.with_service, mark_dead_jobs)

    def with_service(self, work: Callable[[Service], T]) -> T:
        """Run `work`, in a thread of ours, on a connection of its own."""
        with closing(open_library(self.file)) as conn:
            return work(Service(conn, self.name, self.settings, self.state.pool))


def library_of(datasette: Datasette, database: str) -> WebLibrary | None:
    """Return the database if it may be a library."""
    state = started_state(datasette)
    if state is None or database in state.others:
        return None
    return WebLibrary(datasette, datasette.get_database(database), state)


def libraries_of(datasette: Datasette) -> list[WebLibrary]:
    """Return the databases that were libraries when Datasette started."""
    state = started_state(datasette)
    names = state.roots if state is not None else ()
    found = (library_of(datasette, name) for name in names if name in datasette.databases)
    return [library for library in found if library is not None]
