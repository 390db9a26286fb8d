"""Writes units in batches, one transaction each: a unit is whole or not there at all.

What goes wrong in a batch is found by doing it again unit by unit, for the rows of a whole batch are
inserted together. Covers and sidecars are written by a thread while the next batch is made.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from ..candidates import is_unchanged
from ..errors import ResyncError
from ..model import FileReading, FileStat, FileStatus, Mode, Plan
from ..resync import Ask, Gathered, Service, apply_run
from ..resync.applying import Applied, GroundMoved
from ..resync.companions import settled, writing_of
from ..resync.gathering import in_stored_form
from ..resync.planning import warnings_of
from ..store.library import KnownFile
from ..store.pending import PendingKey
from ..store.times import from_stored
from .books import BookFinder
from .import_units import ImportUnit
from .importing import Imported, Importer
from .job import Job
from .new_book import NewFile
from .options import ScannedFile
from .tally import Mark, Tally
from .units import Readings, Unit, UnitReader, Update

_BATCH_BOOKS = 100
_BATCH_COVER_BYTES = 64 * 1024**2
_BATCH_SECONDS = 1.0  # others that want to write wait for a batch to end
_PAUSE_SECONDS = 0.1  # as often SQLite looks whether it may write
_FAILURES = (ResyncError, sqlite3.IntegrityError)


@dataclass(slots=True)
class BatchWriter:
    """Writes what was read. `close` it in any case."""

    service: Service
    reader: UnitReader
    importer: Importer
    job: Job
    tally: Tally
    mode: Mode
    _units: list[tuple[Unit, Readings]] = field(default_factory=list)  # those of this batch
    _done: list[Imported | Applied] = field(default_factory=list)
    _cover_bytes: int = 0
    _begun_at: float = 0.0
    _is_whole: bool = True
    _mark: Mark | None = None  # the tally before this batch
    _changes_before: int = 0
    _forgotten: list[PendingKey] = field(default_factory=list)
    _has_new_job: bool = False
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _writing: Future[tuple[list[str], list[PendingKey]]] | None = None

    @property
    def conn(self) -> sqlite3.Connection:
        return self.service.conn

    def write(self, unit: Unit, readings: Readings) -> None:
        """Write one unit, and the batch when it is full. What can't be written is in the tally."""
        if self._mark is None:
            self._mark = self.tally.mark()
        self._is_whole = False
        try:
            self._write(unit, readings)
        except _FAILURES:
            self._units.append((unit, readings))
            self._write_one_by_one()
        else:
            self._units.append((unit, readings))
        self._is_whole = True
        self._cover_bytes += sum(map(_cover_bytes, readings.values()))
        if len(self._done) >= _BATCH_BOOKS or self._cover_bytes > _BATCH_COVER_BYTES:
            self.commit()
        elif self.conn.in_transaction and time.monotonic() - self._begun_at > _BATCH_SECONDS:
            self.commit()
            time.sleep(_PAUSE_SECONDS)

    def commit(self) -> None:
        """End a batch, if there is one."""
        self._is_whole = False
        try:
            self._commit()
        except _FAILURES:
            self._write_one_by_one()
            self._commit()
        self._is_whole = True

    def finish(self) -> None:
        """Commit what is whole, also after an interruption, and wait until all files are written."""
        if not self._is_whole and self.conn.in_transaction:
            self._write_one_by_one()
        self.commit()
        self._await_writing()

    def close(self) -> None:
        """Leave no transaction open."""
        if self.conn.in_transaction:
            self.conn.execute("rollback")
        self._thread.shutdown()

    # --- one unit -----------------------------------------------------------------------------

    def _write(self, unit: Unit, readings: Readings) -> None:
        if not isinstance(unit, Update):
            self._import(unit, readings)
            return
        try:
            self._update(unit, readings)
        except GroundMoved:
            self._update(*self.reader.again(unit))

    def _import(self, unit: ImportUnit, readings: Readings) -> None:
        finder = BookFinder(self.importer.known, self.service.settings.path_map)
        for book in finder.books(unit, self._new_files(unit, readings)):
            self._begin()
            imported = self.importer.import_book(book)
            self._done.append(imported)
            supplements = {s.path for s in book.supplements}
            for path, file_id in imported.file_ids.items():
                status = "supplement" if path in supplements else "imported"
                self.tally.note(ScannedFile(path, status, file_id, imported.book_id))

    def _new_files(self, unit: ImportUnit, readings: Readings) -> list[NewFile]:
        """Return what could be read, and note the rest."""
        files = []
        for found in unit.files:
            path = self.service.settings.path_map.stored(found.path)
            reading = in_stored_form(readings[found.path], path, self.service.settings)
            if reading.status is not FileStatus.OK:
                self.tally.note(ScannedFile(path, "error", error=reading.error))
                continue
            self._begin()
            if not self.importer.known.is_news(path):
                self.tally.counts["unchanged"] += 1  # another scan was faster
                continue
            self.tally.warnings.extend(warnings_of([reading]))
            files.append(NewFile(found, path, reading))
        return files

    def _update(self, unit: Update, readings: Readings) -> None:
        """Resync one book with what was read; a file that vanished meanwhile is left for later."""
        brief, settings = unit.brief, self.service.settings
        here = {f.id: readings[settings.path_map.here(f.path)] for f in brief.files if f.is_main}
        present = {
            f.id: in_stored_form(here[f.id], f.path, settings)
            for f in brief.files
            if f.id in here and here[f.id].status is not FileStatus.MISSING
        }
        failed = {i: r for i, r in present.items() if r.status is not FileStatus.OK}
        changed: set[int] = set()
        if len(failed) < len(present):
            changed = self._resync(unit, Gathered(brief, present))
        for row in unit.changed:
            if row.id in failed:
                self.tally.note(ScannedFile(row.path, "error", row.id, row.book_id, failed[row.id].error))
            elif row.id in changed:
                self.tally.note(ScannedFile(row.path, "updated", row.id, row.book_id))
            else:
                self.tally.counts["unchanged" if row.id in present else "missing"] += 1

    def _resync(self, unit: Update, gathered: Gathered) -> set[int]:
        """Returns the files that count as updated."""
        self._begin()
        self.importer.known.flush()
        ask = Ask(unit.brief.target, self.mode)
        service = self.service
        applied = apply_run(self.conn, service.schema, ask, gathered, service.settings, self.job.by)
        self._done.append(applied)
        self.tally.warnings.extend(applied.outcome.warnings)
        return _changed_files(applied.outcome.plan, self.mode, unit)

    # --- transactions -------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start a batch's transaction with the first thing that may be written."""
        if self.conn.in_transaction:
            return
        self.service.begin()
        self._begun_at = time.monotonic()
        self.importer.known.begin()
        self._forgotten = list(self.service.written)
        self.service.forget_written()
        self._has_new_job = self.job.start()
        self._changes_before = self.conn.total_changes

    def _commit(self) -> None:
        if self.conn.in_transaction:
            self.importer.finish()
            if self._has_new_job and self.conn.total_changes == self._changes_before:
                self._roll_back()  # the books are as they should be, and a job that did nothing is no news
            else:
                self.conn.execute("commit")
        self._has_new_job = False
        self._units, self._mark, self._cover_bytes = [], None, 0
        self._await_writing()
        if self._done:
            done, self._done = self._done, []
            self._writing = self._thread.submit(self._write_files, done)

    def _roll_back(self) -> None:
        self.conn.execute("rollback")
        self.importer.forget()
        self.service.written.extend(self._forgotten)
        if self._has_new_job:
            self.job.forget()

    def _write_one_by_one(self) -> None:
        """Write the units of this batch again, each on its own, so that what fails takes nothing with it."""
        if self.conn.in_transaction:
            self._roll_back()
        assert self._mark is not None
        self.tally.rewind(self._mark)
        self._done.clear()
        self._begin()
        for unit, readings in self._units:
            self._write_alone(unit, readings)

    def _write_alone(self, unit: Unit, readings: Readings) -> None:
        mark, done = self.tally.mark(), len(self._done)
        self.conn.execute("savepoint unit")
        try:
            self._write(unit, readings)
            self.importer.finish()
        except _FAILURES as error:
            self.conn.execute("rollback to unit")
            self.importer.forget()
            self.tally.rewind(mark)
            del self._done[done:]
            self._note_failed(unit, error)
        self.conn.execute("release unit")

    def _note_failed(self, unit: Unit, error: Exception) -> None:
        reason = error.message if isinstance(error, ResyncError) else str(error)
        paths = [f.path for f in (unit.files if isinstance(unit, ImportUnit) else unit.changed)]
        for path in paths:
            self.tally.note(ScannedFile(self.service.settings.path_map.stored(path), "error", error=reason))

    # --- files --------------------------------------------------------------------------------

    def _write_files(self, done: Sequence[Imported | Applied]) -> tuple[list[str], list[PendingKey]]:
        """Returns a sentence for each file that could not be written, and the pending rows that are done."""
        roots, settings = self.importer.library.paths, self.service.settings
        failed: list[str] = []
        if self.service.writes_files:
            writing = writing_of([c for d in done for c in d.companions], roots, settings)
            for part in writing.parts():
                told = self.reader.pool.do(part) if part.is_light else part.run()
                failed.extend(part.again() if told is None else told)
        keys = [key for d in done for key in settled(d.companions, d.pending, roots, settings, failed)]
        return failed, keys

    def _await_writing(self) -> None:
        if self._writing is not None:
            warnings, keys = self._writing.result()
            self.tally.warnings.extend(warnings)
            self.service.written.extend(keys)
            self._writing = None


def _cover_bytes(reading: FileReading) -> int:
    embedded = reading.parsed.cover if reading.parsed else None
    return sum(len(image.data) for image in (embedded, reading.image) if image is not None)


def _changed_files(plan: Plan, mode: Mode, unit: Update) -> set[int]:
    """Return the files that count as updated: those whose record or book the plan changes, in scan also
    those that changed on disk."""
    if any(c.table == "books" for c in plan.changes):
        return {row.id for row in unit.changed}
    changed = {c.pk for c in plan.changes if c.table == "files"}
    if mode is Mode.SCAN:
        stats = {f.id: f.stat for f in plan.files}
        changed |= {row.id for row in unit.changed if _is_changed(row, stats.get(row.id))}
    return changed


def _is_changed(row: KnownFile, stat: FileStat | None) -> bool:
    if row.modified_at is None:  # an older library notes no times
        return stat is not None and stat.size_bytes != row.size_bytes
    return not is_unchanged(stat, row.size_bytes, from_stored(row.modified_at))
