"""A job on selected rows: each is resynced by a run and a transaction of its own.

Rows whose files are gone wait until all others are done, so that what would be lost is known as one number.
Knows nothing of processes; who may touch which library is told by the order.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import DatabaseBusy, FileError, FileRefused, MassRemoval, ResyncError, UnknownRow
from ..files import shown
from ..model import Mode, Outcome, ReadRequest, Target
from ..resync import Ask, Gathered, Gathering, Service, find_brief
from ..resync.roots import with_advice
from .job import Job
from .loss import files_to_go, require_confirmed
from .reading_ahead import ReadingAhead

T = TypeVar("T")
_ROWS_AHEAD = 4
_MOST_ERRORS = 1000  # kept in the job's row; the count goes on
_TELL_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0  # for another program that holds the write lock
_PAUSE_SECONDS = 0.005  # lets others write: SQLite gives its lock to whoever asks when it is free


@dataclass(frozen=True, slots=True)
class RowsOrder:
    """What to do with which rows. `libraries`: the ids of those that may be touched, None for all;
    `confirm_removals`: so many records of files may go; `roots_are_found`: nobody set the roots."""

    table: str
    pks: Sequence[int]
    mode: Mode = Mode.SCAN
    fields: tuple[str, ...] | None = None
    libraries: frozenset[int] | None = None
    confirm_removals: int | None = None
    roots_are_found: bool = False

    def ask(self, pk: int) -> Ask:
        return Ask(Target(self.table, pk), self.mode, self.fields)

    def may_touch(self, library_id: int) -> bool:
        return self.libraries is None or library_id in self.libraries


class _ClosedError(Exception):
    """The row's library is not open to who asks."""


class _GoneError(Exception):
    """The run would remove records."""


@dataclass(slots=True)
class RowsJob:
    """`stopped` returns the state to end in as soon as somebody wants that; `told` gets each run that
    changed something. The service must read through `ahead`."""

    service: Service
    ahead: ReadingAhead
    order: RowsOrder
    job: Job
    stopped: Callable[[], str | None] = lambda: None
    told: Callable[[Outcome], None] = lambda outcome: None
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[dict[str, Any]] = field(default_factory=list)
    doomed: dict[int, tuple[int, frozenset[int]]] = field(default_factory=dict)  # row -> library, what goes
    would_remove: int = 0
    _told_at: float = 0.0

    def start(self) -> int:
        """Make the job's row; returns its id."""
        self.service.transaction(self.job.start)
        assert self.job.id is not None
        self.counts["total"] = len(self.order.pks)
        self._note_progress()
        return self.job.id

    def run(self) -> str:
        """Do all that was ordered; returns the state in which the job ends."""
        state = "failed"
        try:
            state = self._rows(self.order.pks, self._require_present) or self._removals() or "done"
        finally:
            self._patiently(lambda: self.job.finish(state, self._columns(), self.errors))
        return state

    # --- rows ---------------------------------------------------------------------------------

    def _rows(self, pks: Iterable[int], check: Callable[[Gathered], None]) -> str | None:
        """Returns the state to end in if somebody stopped it."""
        for pk in self._with_files_ahead(pks):
            state = self.stopped()
            if state is not None:
                return state
            self._row(pk, check)
            time.sleep(_PAUSE_SECONDS)
            if time.monotonic() - self._told_at > _TELL_SECONDS:
                self._note_progress()
        return None

    def _with_files_ahead(self, pks: Iterable[int]) -> Iterator[int]:
        """Yield each row when the files of a few more are being read."""
        begun: deque[tuple[int, list[ReadRequest]]] = deque()
        for pk in pks:
            begun.append((pk, self._begin(pk)))
            if len(begun) > _ROWS_AHEAD:
                yield begun[0][0]
                self.ahead.forget(begun.popleft()[1])
        while begun:
            yield begun[0][0]
            self.ahead.forget(begun.popleft()[1])

    def _begin(self, pk: int) -> list[ReadRequest]:
        service, ask = self.service, self.order.ask(pk)
        try:
            brief = find_brief(service.conn, ask.target)
        except UnknownRow:
            return []
        if not self.order.may_touch(brief.library_id):
            return []
        gathering = Gathering(ask, brief, service.settings, service.reader, lambda query: query(service.conn))
        requests = gathering.requests()
        self.ahead.begin(requests)
        return requests

    def _row(self, pk: int, check: Callable[[Gathered], None]) -> None:
        try:
            self._note(self._patiently(lambda: self.service.run(self.order.ask(pk), self.job.by, check)))
        except _GoneError:
            return  # its turn comes
        except (_ClosedError, UnknownRow):
            self.counts["skipped"] += 1
        except FileError as error:
            self._fail(self.order.table, pk, error.path, error.reason)
            self.counts["failed"] += 1
        except ResyncError as error:
            self._fail(self.order.table, pk, None, error.message)
            self.counts["failed"] += 1
        self.counts["done"] += 1

    def _patiently(self, work: Callable[[], T]) -> T:
        """Try again while another program holds the write lock, each time as long as SQLite waits."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return work()
            except DatabaseBusy:
                if time.monotonic() > deadline or self.stopped() is not None:
                    raise

    def _note(self, outcome: Outcome) -> None:
        broken = [f for f in outcome.plan.files if f.status.is_failed]
        for file in broken:
            self._fail("files", file.id, shown(file.path), file.error or "could not be read")
        self.counts["failed"] += bool(broken)
        if not outcome.changed:
            self.counts["unchanged"] += not broken
            return
        self.counts["removed" if outcome.deleted else "changed"] += 1
        self.told(outcome)

    def _fail(self, table: str, pk: int, path: str | None, reason: str) -> None:
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append({"table": table, "pk": pk, "path": path, "error": reason})

    # --- what may be done with a row ----------------------------------------------------------

    def _require_open(self, gathered: Gathered) -> None:
        if not self.order.may_touch(gathered.brief.library_id):
            raise _ClosedError
        if isinstance(gathered.refusal, FileRefused) and self.order.roots_are_found:
            raise with_advice(gathered.refusal, gathered.brief, self.service.settings)

    def _require_present(self, gathered: Gathered) -> None:
        self._require_open(gathered)
        going = files_to_go(gathered)
        if going and self.order.fields is None:  # a run limited to fields removes nothing
            self.doomed[gathered.brief.target.pk] = (gathered.brief.library_id, going)
            raise _GoneError

    # --- removals -----------------------------------------------------------------------------

    def _removals(self) -> str | None:
        """Remove what waited, unless it is much and nobody confirmed it."""
        try:
            require_confirmed(self.service, self.doomed.values(), self.order.confirm_removals)
        except MassRemoval as error:
            self.would_remove = error.count
            self.counts["skipped"] += len(self.doomed)
            self.counts["done"] += len(self.doomed)
            return None
        return self._rows(list(self.doomed), self._require_open)

    # --- the job's row ------------------------------------------------------------------------

    def _columns(self) -> dict[str, int]:
        names = ("total", "done", "changed", "unchanged", "removed", "failed", "skipped")
        return {**{name: self.counts[name] for name in names}, "would_remove": self.would_remove}

    def _note_progress(self) -> None:
        self._told_at = time.monotonic()
        with suppress(DatabaseBusy):  # the next time, then
            self.job.note(self._columns(), self.errors)
