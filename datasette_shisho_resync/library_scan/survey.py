"""Compares what is on disk with what the library knows.

Reads directories and rows; parses nothing and writes nothing.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..candidates import is_unchanged
from ..files import PathMap
from ..model import Mode
from ..parsers.sidecar import SIDECAR_SUFFIX
from ..store.library import KnownFile, LibraryRow, data_version, has_books, known_files
from ..store.pending import seen_sidecars
from ..store.times import from_stored, to_stored
from .options import ScannedFile
from .walk import Folder, FoundFile, describe, walk

Pair = tuple[KnownFile, FoundFile]
"""A row and what lies somewhere now."""


@dataclass(slots=True)
class Survey:
    """What a scan found below `starts` (stored). `arrived` are the new files of each folder, `updates` the
    books with changed files or sidecars, `replaced` the main files of which another size or time is known,
    `retouched` such supplements, `vanished` known files that were not seen, `edited` sidecars that somebody
    wrote since (stored paths). `data_version` is that of the database before it was asked, `had_books` tells
    whether it had any book then."""

    starts: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    arrived: dict[str, tuple[Folder, list[FoundFile]]] = field(default_factory=dict)
    updates: dict[int, list[KnownFile]] = field(default_factory=dict)
    replaced: list[Pair] = field(default_factory=list)
    retouched: list[Pair] = field(default_factory=list)
    vanished: list[KnownFile] = field(default_factory=list)
    errors: list[ScannedFile] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    started_ns: int = field(default_factory=time.time_ns)
    unchanged: int = 0
    data_version: int = -1
    had_books: bool = True

    @property
    def new_files(self) -> Iterator[FoundFile]:
        return (f for _, files in self.arrived.values() for f in files)

    def update(self, row: KnownFile) -> None:
        """Have the book of an unchanged file read again."""
        waiting = self.updates.setdefault(row.book_id, [])
        if row not in waiting:
            waiting.append(row)
            self.unchanged -= 1

    def files_at(self, paths: Collection[str]) -> Iterator[FoundFile]:
        """Yield the files, whatever they are, that lie at these paths."""
        for folder in self.folders if paths else ():
            for files in (folder.media, folder.others):
                yield from (f for f in files if f.path in paths)


def roots_to_walk(library: LibraryRow, paths: Sequence[str], path_map: PathMap) -> list[tuple[str, str]]:
    """Return (library folder, where to start below it) for each path, as they are here, without
    folders that lie in another one."""
    here = [path_map.here(p).rstrip("/") for p in library.paths]
    pairs = []
    for path in sorted(set(paths)):
        holding = [root for root in here if path == root or path.startswith(root + "/")]
        pairs.append((max(holding, key=len) if holding else path, path))
    starts = [p for _, p in pairs]
    return [(r, p) for r, p in pairs if not any(p.startswith(o + "/") for o in starts)]


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Walks folders of a library, with the eyes of a scan in this mode."""

    conn: sqlite3.Connection
    library: LibraryRow
    file_types: Collection[str]
    path_map: PathMap
    mode: Mode
    join_discs: bool

    def survey(self, pairs: Sequence[tuple[str, str]], progress: Callable[[int], None]) -> Survey:
        """Walk the folders of `roots_to_walk` and compare. `progress` hears how many media files each has.

        Raises OSError when a folder of the library can't be read.
        """
        found = Survey(data_version=data_version(self.conn), had_books=has_books(self.conn))
        for root, start in pairs:
            self._below(root, start, found, progress)
        return found

    def _below(self, root: str, start: str, found: Survey, progress: Callable[[int], None]) -> None:
        def note_error(path: str, error: OSError) -> None:
            reason = describe(path, error)
            found.errors.append(ScannedFile(self.path_map.stored(path), "error", error=reason))

        stored = self.path_map.stored(start)
        found.starts.append(stored)
        rows = known_files(self.conn, self.library.id, stored) if self.library.id else ()
        known = {row.path: row for row in rows}
        seen = seen_sidecars(self.conn, stored) if known and self.mode is Mode.SCAN else None
        for folder in walk(root, start, self.file_types, note_error, join_discs=self.join_discs):
            self._compare(folder, known, seen, found)
            progress(len(folder.media))
        failed = {e.path for e in found.errors}
        found.vanished.extend(row for row in known.values() if row.path not in failed)

    def _compare(
        self, folder: Folder, known: dict[str, KnownFile], seen: Mapping[str, int] | None, found: Survey
    ) -> None:
        """Take the rows of a folder's files out of `known`, and note what is not as they say."""
        new, rows = [], []
        for file in folder.media:
            row = known.pop(self.path_map.stored(file.path), None)
            if row is None:
                new.append(file)
            else:
                rows.append(row)
                self._note_known(file, row, found)
        if seen is not None:
            self._note_edited(folder, rows, seen, found)
        if known:
            self._note_others(folder, known, found)
        found.folders.append(folder)
        if new:
            found.arrived[folder.path] = folder, new

    def _note_known(self, file: FoundFile, row: KnownFile, found: Survey) -> None:
        if row.role != "main":
            if not is_same(file, row):
                found.retouched.append((row, file))
            found.unchanged += 1
            return
        if is_same(file, row):
            if self.mode is Mode.SCAN:
                found.unchanged += 1
                return
        else:
            found.replaced.append((row, file))
        found.updates.setdefault(row.book_id, []).append(row)

    def _note_edited(
        self, folder: Folder, rows: Sequence[KnownFile], seen: Mapping[str, int], found: Survey
    ) -> None:
        """Have the books read whose sidecars were edited, or appeared, since they were last seen.

        Differs from Shisho: it reads a sidecar only when it reads the file.
        """
        mains = [row for row in rows if row.role == "main"]
        for file in folder.others if mains else ():
            if not file.name.endswith(SIDECAR_SUFFIX):
                continue
            if file.mtime_ns // 1000 <= seen.get(self.path_map.stored(file.path), -math.inf):
                continue
            found.edited.append(self.path_map.stored(file.path))
            owner = file.name.removesuffix(SIDECAR_SUFFIX)
            for row in mains:
                name = os.path.basename(row.path)
                if owner in (name, os.path.splitext(name)[0], os.path.basename(folder.path)):
                    found.update(row)

    def _note_others(self, folder: Folder, known: dict[str, KnownFile], found: Survey) -> None:
        for file in folder.others:
            row = known.pop(self.path_map.stored(file.path), None)
            if row is not None and not is_same(file, row):
                found.retouched.append((row, file))


def is_same(file: FoundFile, row: KnownFile) -> bool:
    """Tell whether a file has the size and time that a row tells of it."""
    if row.size_bytes != file.size_bytes:
        return False
    if row.modified_at == to_stored(file.mtime_ns):
        return True
    if row.modified_at is None and row.role != "main":
        return True  # Shisho stores no time for a supplement that it discovers
    return is_unchanged(file.stat, row.size_bytes, from_stored(row.modified_at))
