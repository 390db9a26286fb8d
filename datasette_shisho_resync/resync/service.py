"""The service on one SQLite connection: preview, run, explain, undo. Shared by the command line and,
step by step, by the web.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from ..errors import UnknownRow
from ..model import Outcome
from ..settings import Settings
from ..store.history import load_blob
from ..store.jobs import runs_of_job
from ..store.pending import PendingKey, remove_pending
from ..store.schema import KnownSchema, LibrarySchema, translate
from ..store.search import index_all_series
from .applying import TRIES, Applied, By, GroundMoved, apply_run, kept_moving, preview
from .companions import Companion, settled, write_companions
from .gathering import Ask, Gathered, Gathering, Reader, find_brief
from .planning import Planned, plan_run
from .recovery import recover
from .undoing import Undone, undo_run

T = TypeVar("T")


@dataclass(slots=True)
class Service:
    """Runs on one connection of its own. `database` is the name that errors show.

    >>> with WorkerPool(...) as pool:
    ...     service = Service(open_library("library.db"), "library.db", Settings(), pool)
    ...     service.run(Ask(Target("books", 1)), By("cli"))
    """

    conn: sqlite3.Connection
    database: str
    settings: Settings
    reader: Reader
    writes_files: bool = True  # False in a dry run on a copy of the database
    patience_seconds: float = 0.0  # with others that write, beyond what SQLite waits, once something is done
    written: list[PendingKey] = field(default_factory=list)  # pending rows whose files are there
    _known_schema: KnownSchema = field(default_factory=KnownSchema)
    _has_written: bool = False

    @property
    def schema(self) -> LibrarySchema:
        """The library's tables. Raises `NotALibrary`."""
        schema = self._known_schema(self.conn)
        schema.require(self.database)
        return schema

    def gather(self, ask: Ask) -> Gathered:
        """Read the rows and the files of a run."""
        with self.translated():
            brief = find_brief(self.conn, ask.target)
            return Gathering(ask, brief, self.settings, self.reader, lambda query: query(self.conn)).run()

    def preview(self, ask: Ask) -> Outcome:
        """Return what a run would do; nothing is written."""
        with self.translated():
            return preview(self.conn, self.schema, ask, self.gather(ask), self.settings)

    def planned(self, ask: Ask) -> Planned:
        """Return every decision, for `explain`."""
        with self.translated():
            ask = replace(ask, explains=True)
            return plan_run(self.conn, self.schema, ask, self.gather(ask), self.settings)

    def run(self, ask: Ask, by: By, check: Callable[[Gathered], None] = lambda gathered: None) -> Outcome:
        """Do a run: one transaction, then the files. Raises what `apply_run` raises.

        `check` sees what was found before it is applied, and may raise.
        """
        for _ in range(TRIES):
            gathered = self.gather(ask)
            check(gathered)
            try:
                applied = self.transaction(partial(self._apply, ask, gathered, by))
            except GroundMoved:
                continue
            warnings = self._finish(applied)
            return replace(applied.outcome, warnings=(*applied.outcome.warnings, *warnings))
        raise kept_moving()

    def _apply(self, ask: Ask, gathered: Gathered, by: By) -> Applied:
        self.forget_written()
        return apply_run(self.conn, self.schema, ask, gathered, self.settings, by)

    def undo(self, run_id: int, by: By) -> Undone:
        """Undo a run. Raises `UnknownRow`, `Conflict`, `UndoConflict`."""

        def undo() -> Undone:
            self.forget_written()
            return undo_run(self.conn, self.schema, run_id, self.settings, by)

        undone = self.transaction(undo)
        warnings = self._finish(undone)
        return replace(undone, warnings=(*undone.warnings, *warnings))

    def undo_job(self, job_id: int, by: By) -> tuple[Undone, ...]:
        """Undo every run of a job, newest first, in one transaction: all of them or none.

        The covers that come back are not all in memory at once; what is returned has no companions.
        Raises as `undo`.
        """

        def undo_all() -> tuple[Undone, ...]:
            if not self.schema.has_history:
                raise UnknownRow(f"There is no job {job_id}.")
            self.forget_written()
            runs, series = runs_of_job(self.conn, job_id), set[int]()
            undone = tuple(self._undo_lightly(r, by, series, is_last=r == runs[-1]) for r in runs)
            index_all_series(self.conn, self.schema, series)
            return undone

        return tuple(self._finish_lightly(undone) for undone in self.transaction(undo_all))

    def _undo_lightly(self, run_id: int, by: By, series_left: set[int], *, is_last: bool) -> Undone:
        schema, settings = self.schema, self.settings
        undone = undo_run(self.conn, schema, run_id, settings, by, is_last=is_last, series_left=series_left)
        return replace(undone, companions=tuple(c.without_image() for c in undone.companions))

    def _finish_lightly(self, undone: Undone) -> Undone:
        load = partial(load_blob, self.conn)
        pairs = [(c.with_image(load), p) for c, p in zip(undone.companions, undone.pending, strict=False)]
        whole = [(c, p) for c, p in pairs if c.data]  # else somebody pruned the history meanwhile
        companions, pending = (tuple(part) for part in zip(*whole, strict=True)) if whole else ((), ())
        warnings = self._finish(replace(undone, companions=companions, pending=pending))
        return replace(undone, companions=(), warnings=(*undone.warnings, *warnings))

    def _finish(self, done: Applied | Undone) -> list[str]:
        """Write the files of a committed run."""
        warnings = self.write(done.companions, done.roots)
        self.written.extend(settled(done.companions, done.pending, done.roots, self.settings, warnings))
        return warnings

    def write(self, companions: Sequence[Companion], roots: Sequence[str]) -> list[str]:
        """Write covers and sidecars; returns a sentence for each that could not be written."""
        return write_companions(companions, roots, self.settings) if self.writes_files else []

    def forget_written(self) -> None:
        """Drop the pending rows whose files are there; the caller holds the transaction."""
        if self.written:
            remove_pending(self.conn, self.written)
            self.written.clear()

    def recover(self, by: By) -> None:
        """Do what an interrupted run has still to do."""
        with self.translated():
            if self.schema.has_history:
                recover(self, by)

    def close(self) -> None:
        """Leave no pending row behind; the connection stays the caller's."""
        if self.written:
            self.transaction(self.forget_written)

    def transaction(self, work: Callable[[], T]) -> T:
        """Run `work` in one write transaction: committed as a whole, or rolled back."""
        with self.translated():
            self.begin()
            try:
                result = work()
                self.conn.execute("commit")
            except BaseException:
                if self.conn.in_transaction:
                    self.conn.execute("rollback")
                raise
            return result

    def begin(self) -> None:
        """Begin a write transaction, as soon as nobody else writes. Raises `sqlite3.Error`."""
        self._known_schema(self.conn)  # which keeps nothing that it sees within a transaction
        deadline = time.monotonic() + (self.patience_seconds if self._has_written else 0.0)
        while True:
            try:
                self.conn.execute("begin immediate")
                self._has_written = True
                return
            except sqlite3.OperationalError as error:
                if "is locked" not in str(error) or time.monotonic() >= deadline:
                    raise

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn SQLite's errors into ours, with the database's name."""
        try:
            yield
        except sqlite3.Error as error:
            raise translate(error, self.database) from error
