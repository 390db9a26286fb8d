"""A library scan: survey, moves, then read in worker processes and write in batches with one writer.

Every book is all-or-nothing; a batch of books is one transaction.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ..candidates import identity_of
from ..errors import ResyncError, UnreadableFile
from ..files import open_confined, shown
from ..model import (
    BookRow,
    FileReading,
    FileStatus,
    Mode,
    Plan,
    ReadRequest,
    Reason,
    Target,
)
from ..parsers.sidecar import book_sidecar_path, file_sidecar_path
from ..resync import Ask, By, Gathered, Service, apply_run, find_brief
from ..resync.applying import Applied
from ..resync.gathering import in_stored_form, read_requests, readable_roots
from ..settings import Settings
from ..store.apply import keep_stat
from ..store.history import Entry, RunHeader, finish_job, record_run, start_job
from ..store.library import (
    KnownFile,
    LibraryRow,
    add_path,
    choose_library,
    find_book,
    fingerprint,
    has_path,
    holds,
    is_own_library,
    load_libraries,
    main_paths,
    make_library,
    path_of_book,
    set_path,
)
from ..store.schema import create_history, exact_text
from ..store.search import index_book
from ..store.times import now, to_stored
from ..workers import WorkerPool
from .grouping import organized_path, part_keys
from .importing import Imported, Importer, NewBook, NewFile
from .options import Grouping, Progress, ScannedFile, ScanOptions, ScanReport
from .survey import ImportUnit, Survey, as_supplement, roots_to_walk, survey
from .walk import FoundFile

_BATCH_BOOKS = 100
_BATCH_COVER_BYTES = 64 * 1024**2


@dataclass(slots=True)
class Update:
    """A known book whose files are read again."""

    book_id: int
    gathered: Gathered
    changed: tuple[KnownFile, ...]


Unit = ImportUnit | Update


@dataclass(slots=True)
class Scan:
    """One scan. `service` holds the connection; nothing is written before `run`."""

    service: Service
    pool: WorkerPool
    options: ScanOptions
    by: By
    progress: Callable[[Progress], None]
    file_types: frozenset[str]
    library: LibraryRow = field(default_factory=lambda: LibraryRow(0, "", ()))
    grouping: Grouping = Grouping.FOLDER
    counts: Counter[str] = field(default_factory=Counter)
    files: list[ScannedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    job_id: int | None = None
    total: int = 0
    done: int = 0
    _importer: Importer | None = None
    _batch: list[Imported | Applied] = field(default_factory=list)
    _batch_bytes: int = 0
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _writing: list[tuple[Imported | Applied, Future[list[str]]]] = field(default_factory=list)

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
        with exact_text(self.conn), self.service.translated():
            self._choose_library()
            found = self._survey()
            try:
                self._work(found)
            except KeyboardInterrupt:
                cancelled = True
            self._finish_job(cancelled)
        return self._report(time.monotonic() - started, cancelled)

    # --- before reading -----------------------------------------------------------------------

    def _choose_library(self) -> None:
        stored = [self.settings.path_map.stored(p) for p in self.options.paths]
        self.library = choose_library(load_libraries(self.conn), self.options.library, stored)
        fresh = [p for p in stored if not any(holds(root, p) for root in self.library.paths)]
        own = Grouping.AUTO if is_own_library(self.conn) else Grouping.FOLDER
        self.grouping = self.options.grouping or own
        if fresh or not self.library.id:
            self.service.transaction(lambda: self._add_paths(fresh))

    def _add_paths(self, fresh: Sequence[str]) -> None:
        library_id = self.library.id or make_library(self.conn, self.service.schema, self.library.name)
        for path in dict.fromkeys(fresh):
            if not any(holds(other, path) for other in fresh if other != path):
                add_path(self.conn, library_id, path)
        self.library = next(lib for lib in load_libraries(self.conn) if lib.id == library_id)

    def _survey(self) -> Survey:
        path_map = self.settings.path_map
        pairs = roots_to_walk(self.library, self.options.paths, path_map)
        seen = 0

        def walked(media: int) -> None:
            nonlocal seen
            seen += media
            self.progress(Progress("Looking", seen))

        try:
            return survey(
                self.conn,
                self.library,
                pairs,
                self.file_types,
                path_map,
                self.options.mode,
                self.grouping,
                walked,
            )
        except OSError as error:
            path = str(error.filename)
            raise UnreadableFile(shown(path), str(error.strerror)) from error

    # --- the work -----------------------------------------------------------------------------

    def _work(self, found: Survey) -> None:
        self.files.extend(found.errors)
        self.counts["failed"] += len(found.errors)
        self.counts["unchanged"] += found.unchanged
        moves = self._matched_moves(found)
        if moves or found.units or found.updates or found.retouched:
            self.service.transaction(self._start_job)
        if moves:
            self.service.transaction(lambda: self._move(moves))
        if found.retouched:
            self.service.transaction(lambda: self._retouch(found))
        self._read_and_write(found)
        self._vanished(found)

    def _start_job(self) -> None:
        if not self.service.schema.has_history:
            create_history(self.conn)
        self.job_id = start_job(self.conn, "scan", self.options.mode.value, self.by.actor)
        self.by = replace(self.by, job_id=self.job_id)

    def _retouch(self, found: Survey) -> None:
        """Keep changed supplements' size and time; they are not read."""
        for row, file in found.retouched:
            keep_stat(self.conn, self.service.schema, row.id, file.stat)

    def _read_and_write(self, found: Survey) -> None:
        self.total = sum(len(u.files) for u in found.units) + sum(map(len, found.updates.values()))
        self._importer = Importer(self.conn, self.service.schema, self.library, self.settings, self.by)
        try:
            for unit, readings in self._read_units(found):
                self._write_unit(unit, readings)
                if len(self._batch) >= _BATCH_BOOKS or self._batch_bytes > _BATCH_COVER_BYTES:
                    self._commit()
            self._commit()
            self._await_writing()
        except KeyboardInterrupt:
            self._commit()  # every book before is whole
            self._await_writing()
            raise
        except BaseException:
            if self.conn.in_transaction:
                self.conn.execute("rollback")
            raise
        finally:
            self._writer.shutdown()

    def _read_units(self, found: Survey) -> Iterator[tuple[Unit, dict[str, FileReading]]]:
        """Yield each unit when all its files are read. Readings are keyed by path, as it is here."""
        waiting: dict[int, tuple[Unit, set[str], dict[str, FileReading]]] = {}
        owner: dict[str, int] = {}
        unread: list[Unit] = []  # supplements alone, which nobody reads

        def requests() -> Iterator[ReadRequest]:
            for number, unit in enumerate(self._units(found)):
                made = list(self._requests(unit))
                if not made:
                    unread.append(unit)
                    continue
                waiting[number] = (unit, {r.path for r in made}, {})
                for request in made:
                    owner[request.path] = number
                    yield request

        for request, reading in self.pool.map_unordered(requests()):
            number = owner.pop(request.path)
            unit, missing, readings = waiting[number]
            readings[request.path] = reading
            missing.discard(request.path)
            if not missing:
                del waiting[number]
                yield unit, readings
        yield from ((unit, {}) for unit in unread)

    def _units(self, found: Survey) -> Iterator[Unit]:
        for book_id, changed in found.updates.items():
            brief = find_brief(self.conn, Target("books", book_id))
            yield Update(book_id, Gathered(brief, {}), tuple(changed))
        yield from found.units

    def _requests(self, unit: Unit) -> Iterator[ReadRequest]:
        if isinstance(unit, Update):
            brief = unit.gathered.brief
            mains = [f for f in brief.files if f.is_main]
            yield from read_requests(self.options.mode, brief, mains, self.settings)
            return
        roots = readable_roots(self.library.paths, self.settings)
        for number, file in enumerate(unit.files):
            # The folder's sidecar speaks for a folder that is one book; else a book's lies at its file.
            book_path = unit.folder.path if not unit.is_split else os.path.splitext(file.path)[0]
            has_book = unit.is_split or number == 0
            yield ReadRequest(
                file.path,
                roots,
                self.settings.limits,
                sidecar_path=file_sidecar_path(file.path),
                book_sidecar_path=book_sidecar_path(book_path, file.path, not unit.is_split)
                if has_book
                else None,
                with_cover=self.settings.write_covers,
            )

    # --- writing ------------------------------------------------------------------------------

    def _write_unit(self, unit: Unit, readings: Mapping[str, FileReading]) -> None:
        """Write one unit whole or not at all."""
        assert self._importer is not None
        if not self.conn.in_transaction:
            self.conn.execute("begin immediate")
            self.service.forget_written()
        self.conn.execute("savepoint unit")
        noted, batch, counts = len(self.files), len(self._batch), self.counts.copy()
        saved = self._importer.saved()
        try:
            if isinstance(unit, Update):
                self._update(unit, readings)
            else:
                self._import(unit, readings)
        except BaseException as error:
            self.conn.execute("rollback to unit")
            self._importer.restore(saved)
            del self.files[noted:], self._batch[batch:]
            self.counts = counts
            if not isinstance(error, (ResyncError, sqlite3.IntegrityError)):
                raise
            self._note_failed(unit, error)
        self.conn.execute("release unit")
        self.done += len(unit.files) if isinstance(unit, ImportUnit) else len(unit.changed)
        self.progress(Progress("Reading", self.done, self.total, self.counts["failed"]))

    def _note_failed(self, unit: Unit, error: Exception) -> None:
        reason = error.message if isinstance(error, ResyncError) else str(error)
        paths = [f.path for f in (unit.files if isinstance(unit, ImportUnit) else unit.changed)]
        for path in paths:
            self._note(ScannedFile(self.settings.path_map.stored(path), "error", error=reason))

    def _note(self, file: ScannedFile) -> None:
        self.files.append(file)
        self.counts["failed" if file.status == "error" else file.status] += 1

    def _import(self, unit: ImportUnit, readings: Mapping[str, FileReading]) -> None:
        assert self._importer is not None
        for book in self._books(unit, readings):
            imported = self._importer.import_book(book)
            self._remember(imported)
            for path, file_id in imported.file_ids.items():
                is_supplement = any(s.path == path for s in book.supplements)
                status = "supplement" if is_supplement else "imported"
                self._note(ScannedFile(path, status, file_id, imported.book_id))

    def _remember(self, done: Imported | Applied) -> None:
        self._batch.append(done)
        self._batch_bytes += sum(len(c.data) for c in done.companions)

    def _books(self, unit: ImportUnit, readings: Mapping[str, FileReading]) -> Iterator[NewBook]:
        """Group a unit's readable files into books, and note the others."""
        files = []
        for found in unit.files:
            reading = readings[found.path]
            path = self.settings.path_map.stored(found.path)
            if reading.status is not FileStatus.OK:
                self._note(ScannedFile(path, "error", error=reading.error))
                continue
            self.warnings.extend(reading.warnings)
            files.append(NewFile(found, path, in_stored_form(reading, path, self.settings)))
        if not unit.is_split:
            yield from self._folder_book(unit, files)
            return
        groups: dict[str, list[NewFile]] = {}
        for file, book_path in self._book_paths(unit, files):
            groups.setdefault(book_path, []).append(file)
        for book_path, members in groups.items():
            ordered = tuple(sorted(members, key=lambda f: (f.found.file_type, f.path)))
            named = [s for s in unit.supplements if self._is_named_after(s, ordered)]
            supplements = tuple(as_supplement(s, self.settings.path_map) for s in named)
            yield NewBook(book_path, ordered, supplements, root_level=True)

    def _folder_book(self, unit: ImportUnit, files: Sequence[NewFile]) -> Iterator[NewBook]:
        """A folder that is one book; where nothing of it is known or read, its supplements wait."""
        path_map = self.settings.path_map
        path = path_map.stored(unit.folder.path)
        if not files and find_book(self.conn, self.library.id, path) is None:
            return
        supplements = [as_supplement(s, path_map) for s in unit.supplements]
        known = self._known_paths([s.path for s in supplements])
        yield NewBook(
            path,
            tuple(sorted(files, key=lambda f: (f.found.file_type, f.path))),
            tuple(s for s in supplements if s.path not in known),
            root_level=False,
        )

    def _known_paths(self, paths: Sequence[str]) -> set[str]:
        return {p for p in paths if has_path(self.conn, "files", self.library.id, p)}

    def _book_paths(self, unit: ImportUnit, files: Sequence[NewFile]) -> Iterator[tuple[NewFile, str]]:
        """Return each file's book path in a folder that does not stand for one book."""
        folder = self.settings.path_map.stored(unit.folder.path)
        place = BookRow(0, self.library.id, folder)
        parts = part_keys(
            {
                f.found.name: f.reading.parsed.title if f.reading.parsed else None
                for f in files
                if f.found.file_type == "m4b"
            }
        )
        for file in files:
            row = file.row(self.library.id)
            title, author, series = identity_of(file.reading, row, place, root_level=True)
            title = parts.get(file.found.name, title)
            yield file, organized_path(folder, title, author, series, row.file_type)

    def _is_named_after(self, file: FoundFile, mains: Sequence[NewFile]) -> bool:
        stems = [os.path.splitext(f.found.name)[0] for f in mains]
        path = self.settings.path_map.stored(file.path)
        return any(file.name.startswith(stem) for stem in stems) and not self._known_paths([path])

    def _update(self, unit: Update, readings: Mapping[str, FileReading]) -> None:
        """Resync one book with what was read; a file that vanished meanwhile is left for later."""
        brief = unit.gathered.brief
        here = {f.id: readings[self.settings.path_map.here(f.path)] for f in brief.files if f.is_main}
        present = {
            f.id: in_stored_form(here[f.id], f.path, self.settings)
            for f in brief.files
            if f.id in here and here[f.id].status is not FileStatus.MISSING
        }
        failed = {i: r for i, r in present.items() if r.status is not FileStatus.OK}
        if len(failed) < len(present):
            gathered = Gathered(brief, present)
            ask = Ask(Target("books", unit.book_id), self.options.mode)
            applied = apply_run(self.conn, self.service.schema, ask, gathered, self.settings, self.by)
            self._remember(applied)
            self.warnings.extend(applied.outcome.warnings)
            changed = _changed_files(applied.outcome.plan, self.options.mode, unit)
        for row in unit.changed:
            if row.id in failed:
                self._note(ScannedFile(row.path, "error", row.id, row.book_id, failed[row.id].error))
            elif row.id in present:
                if row.id in changed:
                    self._note(ScannedFile(row.path, "updated", row.id, row.book_id))
                else:
                    self.counts["unchanged"] += 1

    def _commit(self) -> None:
        """End a batch; its covers and sidecars are written while the next one is made."""
        if self.conn.in_transaction:
            assert self._importer is not None
            self._importer.finish()
            self.conn.execute("commit")
        self._await_writing()
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._writing = [(done, self._writer.submit(self._write, done)) for done in batch]

    def _write(self, done: Imported | Applied) -> list[str]:
        return self.service.write(done.companions, self.library.paths)

    def _await_writing(self) -> None:
        for done, future in self._writing:
            self.warnings.extend(future.result())
            self.service.written.extend(done.pending)
        self._writing = []

    # --- moved and vanished files -------------------------------------------------------------

    def _matched_moves(self, found: Survey) -> list[tuple[KnownFile, FoundFile]]:
        """Match vanished rows with new files that have their bytes: by fingerprint, else by size, time and
        type where only one file on either side has them.

        Differs from Shisho: it knows fingerprints only, and so no move before its hashing is done.
        """
        if not found.vanished or not found.units:
            return []
        gone: dict[tuple[int, str], list[KnownFile]] = {}
        for row in found.vanished:
            if row.role == "main" and row.size_bytes > 0:
                gone.setdefault((row.size_bytes, row.file_type), []).append(row)
        arrived: dict[tuple[int, str], list[FoundFile]] = {}
        for file in found.new_files:
            key = (file.stat.size_bytes, file.file_type)
            if key in gone:
                arrived.setdefault(key, []).append(file)
        moves = [pair for key, files in arrived.items() for pair in self._pairs(gone[key], files)]
        _take_out(found, moves)
        return moves

    def _pairs(
        self, rows: Sequence[KnownFile], files: Sequence[FoundFile]
    ) -> Iterator[tuple[KnownFile, FoundFile]]:
        left = list(files)
        for row in rows:
            stored = fingerprint(self.conn, row.id)
            if stored is not None:
                match = [f for f in left if self._sha256(f.path) == stored][:1]
            else:
                times = [f for f in left if to_stored(f.stat.mtime_ns) == row.modified_at]
                rivals = [r for r in rows if r.modified_at == row.modified_at]
                match = times if len(times) == len(rivals) == 1 else []
            for file in match:
                left.remove(file)
                yield row, file

    def _sha256(self, path: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with open_confined(path, readable_roots(self.library.paths, self.settings)) as file:
                while block := file.read(1024**2):
                    digest.update(block)
        except (OSError, ResyncError):
            return None
        return digest.hexdigest()

    def _move(self, moves: Sequence[tuple[KnownFile, FoundFile]]) -> None:
        for row, file in moves:
            path = self.settings.path_map.stored(file.path)
            set_path(self.conn, "files", row.id, path)
            entries = [Entry("files", row.id, "filepath", row.path, None, path, None, Reason.NEW_VALUE.value)]
            entries.extend(self._move_book(row, path))
            index_book(self.conn, self.service.schema, row.book_id)
            header = RunHeader(
                Target("files", row.id),
                self.options.mode.value,
                "",
                self.by.via,
                self.by.actor,
                self.job_id,
                now(),
            )
            record_run(self.conn, header, entries, changed=len(entries), removed=0)
            self._note(ScannedFile(path, "moved", row.id, row.book_id))

    def _move_book(self, row: KnownFile, path: str) -> Iterator[Entry]:
        """Let the book's path follow: the file's own path, or the folder that all main files now share."""
        old = path_of_book(self.conn, row.book_id)
        folders = {os.path.dirname(p) for p in main_paths(self.conn, row.book_id)}
        new = None
        if old == row.path:
            new = path
        elif len(folders) == 1 and not folders & {p.rstrip("/") for p in self.library.paths}:
            new = folders.pop()
        if old is None or new is None or new == old or has_path(self.conn, "books", self.library.id, new):
            return
        set_path(self.conn, "books", row.book_id, new)
        yield Entry("books", row.book_id, "filepath", old, None, new, None, Reason.NEW_VALUE.value)

    def _vanished(self, found: Survey) -> None:
        """Drop the records of vanished files if asked to; each is judged, and removed by a run of its own."""
        if not self.options.prune:
            self.counts["missing"] += len(found.vanished)
            return
        for row in found.vanished:
            try:
                outcome = self.service.run(Ask(Target("files", row.id), Mode.SCAN), self.by)
            except ResyncError as error:
                self._note(ScannedFile(row.path, "error", row.id, row.book_id, error.message))
                continue
            if outcome.deleted:
                self._note(ScannedFile(row.path, "removed", row.id, row.book_id))

    # --- the end ------------------------------------------------------------------------------

    def _finish_job(self, cancelled: bool) -> None:
        if self.job_id is None:
            return
        state = "cancelled" if cancelled else "done"
        errors = [
            {"table": "files", "pk": f.file_id, "path": shown(f.path), "error": f.error}
            for f in self.files
            if f.status == "error"
        ]
        counts = {
            "total": self.total,
            "done": self.done,
            "imported": self.counts["imported"],
            "changed": self.counts["updated"],
            "unchanged": self.counts["unchanged"],
            "moved": self.counts["moved"],
            "removed": self.counts["removed"],
            "failed": self.counts["failed"],
        }
        job_id = self.job_id
        self.service.transaction(lambda: self._close_job(job_id, state, counts, errors))

    def _close_job(
        self, job_id: int, state: str, counts: Mapping[str, int], errors: Sequence[object]
    ) -> None:
        self.service.forget_written()
        finish_job(self.conn, job_id, state, counts, errors)

    def _report(self, seconds: float, cancelled: bool) -> ScanReport:
        return ScanReport(
            self.library.name,
            imported=self.counts["imported"],
            updated=self.counts["updated"],
            unchanged=self.counts["unchanged"],
            moved=self.counts["moved"],
            removed=self.counts["removed"],
            missing=self.counts["missing"],
            failed=self.counts["failed"],
            seconds=seconds,
            cancelled=cancelled,
            job_id=self.job_id,
            files=tuple(self.files),
            warnings=tuple(dict.fromkeys(self.warnings)),
        )


def _changed_files(plan: Plan, mode: Mode, unit: Update) -> set[int]:
    """Return the files that count as updated: in scan those that changed on disk, else those whose record
    or book the plan changes."""
    if mode is Mode.SCAN:
        return {row.id for row in unit.changed}
    changed = {c.pk for c in plan.changes if c.table == "files"}
    return {row.id for row in unit.changed} if any(c.table == "books" for c in plan.changes) else changed


def _take_out(found: Survey, moves: Sequence[tuple[KnownFile, FoundFile]]) -> None:
    rows, files = {row.id for row, _ in moves}, {file.path for _, file in moves}
    found.vanished = [row for row in found.vanished if row.id not in rows]
    found.units = [replace(u, files=tuple(f for f in u.files if f.path not in files)) for u in found.units]


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

    Raises ResyncError when nothing could be done at all; what fails for one file is in the report.
    """
    service = Service(conn, database, settings, pool, writes_files=not options.dry_run)
    scan = Scan(service, pool, options, by, progress, pool.file_types)
    return scan.run()
