"""A library scan: survey, moves, then read in worker processes and write in batches with one writer."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ..errors import MassRemoval, ResyncError, UnknownRow, UnreadableFile
from ..files import shown
from ..model import Mode, Target
from ..resync import Ask, By, Service
from ..resync.left_behind import rewrite_sidecars
from ..settings import Settings
from ..store.apply import keep_stat
from ..store.library import (
    KnownFile,
    LibraryRow,
    bookless_files,
    count_files,
    count_with_books,
    is_own_library,
)
from ..store.pending import PendingKey, touch_sidecars
from ..store.schema import exact_text, rare_checkpoints
from ..value_text import counted
from ..workers import WorkerPool
from .alone import only_job
from .batch import BatchWriter
from .choosing import Chooser
from .exchanges import Move
from .garbage import rare_collections
from .import_units import ImportUnit, make_units
from .importing import Importer
from .job import Job
from .known import KnownLibrary
from .loss import files_to_go, is_much, require_confirmed
from .matches import Matcher
from .moves import Mover
from .options import Grouping, Progress, ScannedFile, ScanOptions, ScanReport
from .survey import Survey, Surveyor, roots_to_walk
from .tally import Tally
from .units import Unit, UnitReader

_MOST_NAMED = 10
_PATIENCE_SECONDS = 60.0  # for another program that writes: a scan of hours does not end for a few seconds


@dataclass(slots=True)
class Scan:
    """One scan. `service` holds the connection; nothing is written before `run`."""

    service: Service
    pool: WorkerPool
    options: ScanOptions
    job: Job
    progress: Callable[[Progress], None]
    file_types: frozenset[str]
    library: LibraryRow = field(default_factory=lambda: LibraryRow(0, "", ()))
    grouping: Grouping = Grouping.FOLDER
    tally: Tally = field(default_factory=Tally)
    total: int = 0
    done: int = 0

    @property
    def conn(self) -> sqlite3.Connection:
        return self.service.conn

    @property
    def settings(self) -> Settings:
        return self.service.settings

    def run(self) -> ScanReport:
        """Do the whole scan. Raises ResyncError before anything was read; Ctrl-C is reported."""
        started = time.monotonic()
        cancelled = False
        with (
            self.service.translated(),
            exact_text(self.conn),
            rare_checkpoints(self.conn),
            rare_collections(),
        ):
            self._choose_library()
            found = self._survey()
            try:
                self._work(found)
            except KeyboardInterrupt:
                cancelled = True
            except BaseException:
                # What broke the scan off is to be told, not that its row can't be written either.
                with suppress(ResyncError, sqlite3.Error):
                    self._finish_job("failed")
                raise
            self._finish_job("cancelled" if cancelled else "done")
        return self._report(time.monotonic() - started, cancelled)

    # --- before reading -----------------------------------------------------------------------

    def _choose_library(self) -> None:
        self.library, paths = Chooser(self.service).choose(self.options.paths, self.options.library)
        self.options = replace(self.options, paths=paths)
        own = Grouping.AUTO if is_own_library(self.conn) else Grouping.FOLDER
        self.grouping = self.options.grouping or own

    def _survey(self) -> Survey:
        path_map = self.settings.path_map
        pairs = roots_to_walk(self.library, self.options.paths, path_map)
        seen = 0

        def walked(media: int) -> None:
            nonlocal seen
            seen += media
            self.progress(Progress("Looking", seen))

        try:
            return Surveyor(
                self.conn,
                self.library,
                self.file_types,
                path_map,
                self.options.mode,
                join_discs=self.grouping is Grouping.AUTO,
            ).survey(pairs, walked)
        except OSError as error:
            path = str(error.filename)
            raise UnreadableFile(shown(path), str(error.strerror)) from error

    # --- the work -----------------------------------------------------------------------------

    def _work(self, found: Survey) -> None:
        self.tally.files.extend(found.errors)
        self.tally.counts["failed"] += len(found.errors)
        self.tally.counts["unchanged"] += found.unchanged
        moves = Matcher(self.service, self.library).taken_from(found)
        units = make_units(found, self.grouping, moves)
        if self.options.prune:
            self._guard_against_loss(found.vanished)
        moved = self.service.transaction(lambda: self._move(moves)) if moves else []
        if found.retouched:
            self.service.transaction(lambda: self._retouch(found))
        gone = self._gone(found) if self.options.prune else []
        self._read_and_write(found, units)
        books = dict.fromkeys(row.book_id for row, _ in moves)
        self.tally.warnings.extend(rewrite_sidecars(self.service, books))
        self.service.written.extend(moved)
        if found.edited:
            self.service.transaction(lambda: touch_sidecars(self.conn, found.edited, found.started_ns))
        self.tally.counts["missing"] += 0 if self.options.prune else len(found.vanished)
        self._prune(gone)
        self._warn_of_bookless()

    def _guard_against_loss(self, vanished: Sequence[KnownFile]) -> None:
        """Raise MassRemoval, before anything is written, when much would go unconfirmed; a dry run warns."""
        most = count_with_books(self.conn, [row.id for row in vanished])
        if not is_much(most, count_files(self.conn, self.library.id)):
            return
        going = ((self.library.id, self._files_to_go(row)) for row in vanished)
        try:
            require_confirmed(self.service, going, self.options.confirm_removals)
        except MassRemoval as error:
            if not self.options.dry_run:
                raise
            self.tally.warnings.append(f"{error.message} It needs --confirm-removals {error.count}.")

    def _files_to_go(self, row: KnownFile) -> frozenset[int]:
        try:
            return files_to_go(self.service.gather(Ask(Target("files", row.id))))
        except ResyncError:
            return frozenset()  # it stays, and is reported when its turn comes

    def _move(self, moves: Sequence[Move]) -> list[PendingKey]:
        """Returns the pending rows of the books that are to be read again."""
        self.job.start()
        service = self.service
        mover = Mover(self.conn, service.schema, self.library, self.settings, self.options.mode, self.job.by)
        for moved in mover.move_all(moves):
            self.tally.note(moved)
        return mover.pending

    def _retouch(self, found: Survey) -> None:
        """Keep changed supplements' size and time; they are not read."""
        self.job.start()
        for row, file in found.retouched:
            keep_stat(self.conn, self.service.schema, row.id, file.stat)

    def _read_and_write(self, found: Survey, units: Sequence[ImportUnit]) -> None:
        self.total = sum(len(u.files) for u in units) + sum(map(len, found.updates.values()))
        schema, mode = self.service.schema, self.options.mode
        reader = UnitReader(self.conn, self.library, self.settings, mode, self.pool, self._note_bookless)
        known = KnownLibrary(self.conn, self.library, found.data_version, found.had_books)
        importer = Importer(known, schema, self.settings, self.job)
        writer = BatchWriter(self.service, reader, importer, self.job, self.tally, mode)
        try:
            for unit, readings in reader.read(units, found.updates):
                writer.write(unit, readings)
                self._count(unit)
            writer.finish()
        except KeyboardInterrupt:
            writer.finish()  # every book before is whole
            raise
        finally:
            writer.close()

    def _warn_of_bookless(self) -> None:
        """Say why files that lie there are in no book."""
        ids = bookless_files(self.conn, self.library.id)
        if ids:
            named = ", ".join(map(str, ids[:_MOST_NAMED])) + (", ..." if len(ids) > _MOST_NAMED else "")
            self.tally.warnings.append(
                f"In no book, because it was deleted: {counted(len(ids), 'file')} (id {named}). "
                "Delete the row too, and the next scan imports the file again."
            )

    def _note_bookless(self, rows: Sequence[KnownFile]) -> None:
        """A book can be deleted in Datasette while its files' rows stay."""
        for row in rows:
            reason = f"its book {row.book_id} was deleted: delete file {row.id} too, and it is imported again"
            self.tally.note(ScannedFile(row.path, "error", row.id, row.book_id, reason))

    def _count(self, unit: Unit) -> None:
        self.done += len(unit.files) if isinstance(unit, ImportUnit) else len(unit.changed)
        self.progress(Progress("Reading", self.done, self.total, self.tally.counts["failed"]))

    def _gone(self, found: Survey) -> list[KnownFile]:
        """Judge vanished files before new ones get records, which don't prove that this is their disk."""
        gone = []
        for row in found.vanished:
            try:
                if self.service.preview(Ask(Target("files", row.id), Mode.SCAN)).deleted:
                    gone.append(row)
            except ResyncError as error:
                self._note_spared(row, error)
        return gone

    def _prune(self, gone: Sequence[KnownFile]) -> None:
        """Drop the records of files that are gone, each by a run of its own, which judges it again."""
        for row in gone:
            try:
                self.service.transaction(self.job.start)
                is_gone = self.service.run(Ask(Target("files", row.id), Mode.SCAN), self.job.by).deleted
            except UnknownRow:
                is_gone = True  # with its book
            except ResyncError as error:
                self._note_spared(row, error)
                continue
            if is_gone:
                self.tally.note(ScannedFile(row.path, "removed", row.id, row.book_id))

    def _note_spared(self, row: KnownFile, error: ResyncError) -> None:
        self.tally.note(ScannedFile(row.path, "error", row.id, row.book_id, error.message))

    # --- the end ------------------------------------------------------------------------------

    def _finish_job(self, state: str) -> None:
        counts = {"total": self.total, "done": self.done, **self.tally.job_counts()}
        self.job.finish(state, counts, self.tally.errors())

    def _report(self, seconds: float, cancelled: bool) -> ScanReport:
        counts = self.tally.counts
        return ScanReport(
            self.library.name,
            imported=counts["imported"],
            updated=counts["updated"],
            unchanged=counts["unchanged"],
            moved=counts["moved"],
            removed=counts["removed"],
            missing=counts["missing"],
            failed=counts["failed"],
            seconds=seconds,
            cancelled=cancelled,
            job_id=self.job.id,
            files=tuple(self.tally.files),
            warnings=tuple(dict.fromkeys(self.tally.warnings)),
        )


def scan_library(
    conn: sqlite3.Connection,
    database: str,
    options: ScanOptions,
    settings: Settings,
    pool: WorkerPool,
    by: By,
    progress: Callable[[Progress], None],
) -> ScanReport:
    """Bring a library up to date with its folders.

    Raises JobRunning, or another ResyncError when nothing could be done at all; what fails for one file
    is in the report.
    """
    service = Service(
        conn, database, settings, pool, writes_files=not options.dry_run, patience_seconds=_PATIENCE_SECONDS
    )
    scan = Scan(service, pool, options, Job(service, options.mode, by), progress, pool.file_types)
    with service.translated(), only_job(service):
        return scan.run()
