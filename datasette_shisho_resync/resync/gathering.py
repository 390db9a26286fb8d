"""What a run must know before it decides: the rows, then the files, then whether missing ones are gone.

Each function either asks the database or the disk, so that a shell can run them where they belong.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..candidates import is_unchanged
from ..errors import Conflict, FileRefused, ResyncError, RootUnavailable, UnreadableFile
from ..files import RootEvidence, judge_missing, shared_roots, shown
from ..model import (
    Brief,
    FileReading,
    FileRow,
    FileStat,
    FileStatus,
    Mode,
    ReadRequest,
    SidecarReading,
    Target,
)
from ..model.portable import portable
from ..parsers.sidecar import book_sidecar_path, file_sidecar_path
from ..settings import Settings
from ..store.evidence import KnownBelow, known_below
from ..store.schema import exact_text
from ..store.snapshot import known_sidecars, load_brief
from ..store.times import from_stored

_MAIN_TYPES = frozenset({"epub", "cbz", "m4b", "pdf"})


class Reader(Protocol):
    """Whoever reads files: a `workers.WorkerPool`."""

    def read(self, request: ReadRequest) -> FileReading: ...

    def submit(self, request: ReadRequest) -> Future[FileReading]: ...


@portable
@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants done. `fields` None means all; `digest` is the plan that must still hold.

    `explains`: tell of all that is offered, also of what can't count.
    """

    target: Target
    mode: Mode = Mode.SCAN
    fields: tuple[str, ...] | None = None
    digest: str | None = None
    confirm_missing: bool = False
    explains: bool = False


@portable
@dataclass(frozen=True, slots=True)
class Gathered:
    """The rows as they were when reading began, and what was found on disk.

    `readings` holds every file that was looked at, paths in stored form. `gone` are the ids of files
    that count as missing; `promoted` is the supplement that becomes the main file. `refusal` is the
    error to report when no file could be read.
    """

    brief: Brief
    readings: Mapping[int, FileReading]
    gone: frozenset[int] = frozenset()
    promoted: int | None = None
    refusal: ResyncError | None = None

    @property
    def sidecars(self) -> Mapping[str, SidecarReading]:
        """The sidecars that are on disk, by path."""
        readings = self.readings.values()
        found = (s for r in readings for s in (r.sidecar, r.book_sidecar) if s is not None)
        return {s.path: s for s in found}

    @property
    def book_sidecar(self) -> SidecarReading | None:
        found = (r.book_sidecar for r in self.readings.values() if r.book_sidecar is not None)
        return next(found, None)

    def new_stat(self, file: FileRow) -> FileStat | None:
        """Return the size and time of a file that was read, if its row has others."""
        reading = self.readings.get(file.id)
        if reading is None or is_unchanged(reading.stat, file.size_bytes, from_stored(file.modified_at)):
            return None
        return reading.stat

    def is_same_ground(self, brief: Brief) -> bool:
        """Tell whether rows that decide what is read are still what they were."""
        return _ground(self.brief) == _ground(brief)

    def has_older_sidecar(self, seen: Collection[tuple[str, str]]) -> bool:
        """Tell whether one that was known when it was read is not any more: another run replaced it."""
        known = self.brief.known_sidecars
        return any(
            (s.path, s.sha256) in known and (s.path, s.sha256) not in seen for s in self.sidecars.values()
        )


def _ground(brief: Brief) -> object:
    files = tuple((f.id, f.path, f.role, f.file_type, f.cover_name) for f in brief.files)
    return brief.book, files, brief.roots


def find_brief(conn: sqlite3.Connection, target: Target) -> Brief:
    """Load the rows a run is about. Raises `UnknownRow`."""
    with exact_text(conn):
        brief = load_brief(conn, target)
        return replace(brief, known_sidecars=known_sidecars(conn, _sidecar_paths(brief)))


def _sidecar_paths(brief: Brief) -> list[str]:
    """Return where sidecars of the book may be, whether or not its folder exists; in stored form."""
    mains = [f.path for f in brief.files if f.is_main]
    paths = [file_sidecar_path(path) for path in mains]
    if brief.book is not None and mains:
        paths.extend(book_sidecar_path(brief.book.path, mains[0], exists) for exists in (True, False))
    return paths


@dataclass(slots=True)
class Gathering:
    """Reads the files of one run; `database` runs a function with a connection, wherever that lives."""

    ask: Ask
    brief: Brief
    settings: Settings
    reader: Reader
    database: Callable[[Callable[[sqlite3.Connection], KnownBelow]], KnownBelow]
    readings: dict[int, FileReading] = field(default_factory=dict)
    errors: list[ResyncError] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)

    def requests(self) -> list[ReadRequest]:
        """Return what will be read first."""
        return self._requests(self._wanted())

    def _requests(self, files: Sequence[FileRow]) -> list[ReadRequest]:
        ask = self.ask
        return read_requests(ask.mode, self.brief, files, self.settings, every_cover=ask.explains)

    def run(self) -> Gathered:
        self._read(self._wanted())
        is_bare = all(f.id in self.gone for f in self.brief.files if f.is_main)
        promoted = self._promotable() if self.gone and is_bare else None
        return Gathered(
            self.brief,
            self.readings,
            frozenset(self.gone),
            promoted.id if promoted else None,
            self._refusal(),
        )

    def _wanted(self) -> list[FileRow]:
        """Return the files to read: the one asked for, or all main files of the book."""
        target, brief = self.ask.target, self.brief
        if target.table == "books":
            return [f for f in brief.files if f.is_main]
        file = brief.file(target.pk)
        if self.ask.mode is Mode.RESET and file.is_main:
            return [f for f in brief.files if f.is_main]
        return [file]

    def _read(self, files: Sequence[FileRow]) -> None:
        requests = self._requests(files)
        if len(requests) == 1:  # the usual case: no other thread need wake up for it
            self._note(files[0], requests[0], self.reader.read(requests[0]))
            return
        futures = [self.reader.submit(request) for request in requests]
        for file, request, future in zip(files, requests, futures, strict=True):
            self._note(file, request, future.result())

    def _note(self, file: FileRow, request: ReadRequest, reading: FileReading) -> None:
        reading = in_stored_form(reading, file.path, self.settings)
        if reading.status is FileStatus.MISSING and self._is_asked_for(file):
            try:
                self._judge(file, request)
                self.gone.add(file.id)
            except (Conflict, FileRefused) as error:
                self.errors.append(error)
                is_refused = isinstance(error, FileRefused)
                status = FileStatus.REFUSED if is_refused else FileStatus.UNAVAILABLE
                reading = replace(reading, status=status, error=error.message)
        elif reading.status is not FileStatus.OK and self._is_asked_for(file):
            self.errors.append(_error_of(reading))
        self.readings[file.id] = reading

    def _is_asked_for(self, file: FileRow) -> bool:
        """Tell whether the run is about this file; the reset of another one only reads it."""
        return self.ask.target.table == "books" or self.ask.target.pk == file.id

    def _judge(self, file: FileRow, request: ReadRequest) -> None:
        """Return if the file is really gone; raise `Conflict` if its disk may not be there."""
        evidence = self._evidence(file)
        try:
            judge_missing(request.path, evidence, confirm_missing=self.ask.confirm_missing)
        except RootUnavailable as error:
            raise RootUnavailable(error.message, error.root, (f"files/{file.id}",)) from error

    def _evidence(self, file: FileRow) -> RootEvidence:
        path_map = self.settings.path_map
        root = own_root(self.brief.roots, file.path)
        if root is None:
            raise FileRefused(shown(file.path), "lies outside the paths of its library")
        known = self.database(lambda conn: known_below(conn, self.brief.library_id, root, file))
        return RootEvidence(
            path_map.here(root),
            tuple(path_map.here(p) for p in known.files),
            lambda folder: known.books.get(path_map.stored(folder), 0),
            path_map.is_mapped(root),
        )

    def _promotable(self) -> FileRow | None:
        """Return the first supplement that can be parsed; it is read as the main file.

        One of a supported type that can't be parsed now is taken if there is no other: unreadable is
        not missing, and without a main file the book would go.
        """
        damaged: FileRow | None = None
        for file in self.brief.files:
            if file.is_main or file.id in self.readings:
                continue
            [request] = self._requests([replace(file, role="main")])
            reading = self.reader.read(request)
            if reading.status is FileStatus.OK:
                self.readings[file.id] = in_stored_form(reading, file.path, self.settings)
                return file
            if reading.status is not FileStatus.MISSING and file.file_type in _MAIN_TYPES:
                damaged = damaged or file
        return damaged

    def _refusal(self) -> ResyncError | None:
        """Return the error to report when nothing that was asked for could be read, or is gone."""
        if self.gone or not self.errors:
            return None
        asked = [r for f, r in self.readings.items() if self._is_asked_for(self.brief.file(f))]
        if any(r.status is FileStatus.OK for r in asked):
            return None
        roots = [e for e in self.errors if isinstance(e, RootUnavailable)]
        if roots:
            spared = tuple(name for e in roots for name in e.would_remove)
            return RootUnavailable(roots[0].message, roots[0].root, spared)
        return max(self.errors, key=lambda e: (e.status == 409, e.status == 403))


def _error_of(reading: FileReading) -> ResyncError:
    kind = FileRefused if reading.status is FileStatus.REFUSED else UnreadableFile
    return kind(shown(reading.path), _reason(reading) or "could not be read")


def _reason(reading: FileReading) -> str:
    """Return what is wrong with a file, without its name."""
    return (reading.error or "").removeprefix(f"{shown(reading.path)}: ")


def own_root(roots: Sequence[str], path: str) -> str | None:
    """Return the library path that holds a file: the longest of those that do."""
    holding = [r for r in (root.rstrip("/") for root in roots) if path.startswith(r + "/")]
    return max(holding, key=len, default=None)


def read_requests(
    mode: Mode, brief: Brief, files: Sequence[FileRow], settings: Settings, *, every_cover: bool = False
) -> list[ReadRequest]:
    """Return what a worker shall read for each file; the book's sidecar goes with every main one, as any
    of them may turn out to be unreadable. `every_cover`: also one that a scan leaves alone."""
    path_map = settings.path_map
    roots = readable_roots(brief.roots, settings)
    first_main = next((f for f in brief.files if f.is_main), None)
    known = frozenset(sha256 for _, sha256 in brief.known_sidecars)
    requests = []
    for file in files:
        here = path_map.here(file.path)
        book_sidecar = None
        if brief.book is not None and file.is_main and first_main is not None:
            book_sidecar = _book_sidecar_here(brief.book.path, first_main.path, settings)
        known_ns = from_stored(file.modified_at)
        requests.append(
            ReadRequest(
                here,
                roots,
                settings.limits,
                parse=file.is_main,
                image_name=file.cover_name,
                sidecar_path=file_sidecar_path(here) if file.is_main else None,
                book_sidecar_path=book_sidecar,
                known=FileStat(file.size_bytes, known_ns) if known_ns is not None else None,
                cover_if_changed=mode is Mode.SCAN and file.cover_name is not None and not every_cover,
                with_cover=settings.write_covers and file.is_main,
                known_sidecars=known,
            )
        )
    return requests


def readable_roots(library_roots: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Return the folders, as they are here, that hold this library's files and may be read."""
    here = tuple(settings.path_map.here(root) for root in library_roots)
    return here if settings.roots is None else shared_roots(here, settings.roots)


def _book_sidecar_here(book_path: str, first_main_path: str, settings: Settings) -> str:
    folder = settings.path_map.here(book_path)
    main = settings.path_map.here(first_main_path)
    return book_sidecar_path(folder, main, os.path.isdir(folder))


def in_stored_form(reading: FileReading, path: str, settings: Settings) -> FileReading:
    """Return a reading with its paths as the database has them."""

    def stored(sidecar: SidecarReading | None) -> SidecarReading | None:
        if sidecar is None:
            return None
        return replace(sidecar, path=settings.path_map.stored(sidecar.path))

    if path == reading.path and reading.sidecar is None and reading.book_sidecar is None:
        return reading
    return replace(
        reading,
        path=path,
        error=reading.error and f"{shown(path)}: {_reason(reading)}",
        sidecar=stored(reading.sidecar),
        book_sidecar=stored(reading.book_sidecar),
    )
