"""The work of a scan in units, each read in worker processes and handed on when all its files are read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from ..errors import UnknownRow
from ..model import Brief, FileReading, Mode, ReadRequest, Target
from ..parsers.sidecar import book_sidecar_path, file_sidecar_path
from ..resync import find_brief
from ..resync.gathering import read_requests, readable_roots
from ..settings import Settings
from ..store.library import KnownFile, LibraryRow
from ..workers import WorkerPool
from .import_units import ImportUnit


@dataclass(frozen=True, slots=True)
class Update:
    """A known book whose files are read again."""

    brief: Brief
    changed: tuple[KnownFile, ...]


Unit = ImportUnit | Update
Readings = Mapping[str, FileReading]  # by path, as it is here


@dataclass(frozen=True, slots=True)
class UnitReader:
    """Reads the units of a survey, known books first; `bookless` is told of files whose book has no row."""

    conn: sqlite3.Connection
    library: LibraryRow
    settings: Settings
    mode: Mode
    pool: WorkerPool
    bookless: Callable[[Sequence[KnownFile]], None]

    def read(
        self, units: Iterable[ImportUnit], updates: Mapping[int, Sequence[KnownFile]]
    ) -> Iterator[tuple[Unit, Readings]]:
        """Yield each unit as it gets ready; `updates` are the changed files of books."""
        waiting: dict[int, tuple[Unit, set[str], dict[str, FileReading]]] = {}
        owner: dict[str, int] = {}
        unread: list[Unit] = []  # supplements alone, which nobody reads

        def requests() -> Iterator[ReadRequest]:
            work: Iterator[Unit] = chain(self._updates(updates), units)
            for number, unit in enumerate(work):
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

    def again(self, unit: Update) -> tuple[Update, Readings]:
        """Read a book again whose rows were changed by another run. Raises UnknownRow."""
        unit = self._update(unit.brief.target.pk, unit.changed)
        return unit, {request.path: self.pool.read(request) for request in self._requests(unit)}

    def _updates(self, updates: Mapping[int, Sequence[KnownFile]]) -> Iterator[Update]:
        for book_id, changed in updates.items():
            try:
                update = self._update(book_id, changed)
            except UnknownRow:
                self.bookless(changed)
                continue
            yield update

    def _update(self, book_id: int, changed: Sequence[KnownFile]) -> Update:
        return Update(find_brief(self.conn, Target("books", book_id)), tuple(changed))

    def _requests(self, unit: Unit) -> Iterator[ReadRequest]:
        if isinstance(unit, Update):
            mains = [f for f in unit.brief.files if f.is_main]
            yield from read_requests(self.mode, unit.brief, mains, self.settings)
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
