"""Compares what is on disk with what the library knows, and makes the work of a scan from it.

Reads directories and rows; parses nothing and writes nothing.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..candidates import is_unchanged
from ..files import PathMap, is_companion
from ..model import Mode
from ..model.portable import portable
from ..parsers.filename import is_excluded_supplement, is_supplement_name
from ..parsers.sidecar import SIDECAR_SUFFIX
from ..store.library import KnownFile, LibraryRow, data_version, has_books, known_files
from ..store.pending import seen_sidecars
from ..store.times import from_stored, to_stored
from .grouping import is_split, sort_stem
from .new_book import Supplement
from .options import Grouping, ScannedFile
from .walk import Folder, FoundFile, describe, walk

_MOST_FILES_A_UNIT = 64


@portable
@dataclass(frozen=True, slots=True)
class ImportUnit:
    """New files of one folder that are read and imported together, and files that may accompany them;
    there may be only the latter."""

    folder: Folder
    files: tuple[FoundFile, ...]
    is_split: bool
    supplements: tuple[FoundFile, ...] = ()


@dataclass(slots=True)
class Survey:
    """What a scan found below `starts` (stored). `arrived` are the new files of each folder, `units` what is
    to be imported, `updates` the books with changed files or sidecars, `replaced` the main files of which
    another size or time is known, `retouched` such supplements, `vanished` known files that were not seen,
    `edited` sidecars that somebody wrote since (stored paths). `data_version` is that of the database before
    it was asked, `had_books` whether it had any book then."""

    starts: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    arrived: dict[str, tuple[Folder, list[FoundFile]]] = field(default_factory=dict)
    units: list[ImportUnit] = field(default_factory=list)
    updates: dict[int, list[KnownFile]] = field(default_factory=dict)
    replaced: list[tuple[KnownFile, FoundFile]] = field(default_factory=list)
    retouched: list[tuple[KnownFile, FoundFile]] = field(default_factory=list)
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


def survey(
    conn: sqlite3.Connection,
    library: LibraryRow,
    pairs: Sequence[tuple[str, str]],
    file_types: Collection[str],
    path_map: PathMap,
    mode: Mode,
    grouping: Grouping,
    progress: Callable[[int], None],
) -> Survey:
    """Walk the folders and compare. Raises OSError when a folder of the library can't be read."""
    found = Survey(data_version=data_version(conn), had_books=has_books(conn))

    def note_error(path: str, error: OSError) -> None:
        reason = describe(path, error)
        found.errors.append(ScannedFile(path_map.stored(path), "error", error=reason))

    for root, start in pairs:
        stored = path_map.stored(start)
        found.starts.append(stored)
        known = {k.path: k for k in known_files(conn, library.id, stored)} if library.id else {}
        seen = seen_sidecars(conn, stored) if known and mode is Mode.SCAN else None
        for folder in walk(root, start, file_types, note_error, join_discs=grouping is Grouping.AUTO):
            new, rows = [], []
            for file in folder.media:
                row = known.pop(path_map.stored(file.path), None)
                if row is None:
                    new.append(file)
                else:
                    rows.append(row)
                    _note_known(found, file, row, mode)
            if seen is not None:
                _note_edited(found, folder, rows, seen, path_map)
            _note_others(found, folder, known, path_map)
            found.folders.append(folder)
            if new:
                found.arrived[folder.path] = folder, new
            progress(len(folder.media))
        failed = {e.path for e in found.errors}
        found.vanished.extend(k for k in known.values() if k.path not in failed)
    return found


def make_units(found: Survey, grouping: Grouping, moves: Sequence[tuple[KnownFile, FoundFile]]) -> None:
    """Make units of the files that no row knows: not of those to which rows move, but of those at whose
    paths rows were that move away."""
    taken, gone = {file.path for _, file in moves}, {row.id for row, _ in moves}
    left = {file.path for row, file in found.replaced if row.id in gone} - taken
    for folder in found.folders if left else ():
        if files := [f for f in folder.media if f.path in left]:
            found.arrived.setdefault(folder.path, (folder, []))[1].extend(files)
    for folder, new in found.arrived.values():
        found.units.extend(_units(folder, new, grouping))
    _add_supplements(found)
    if taken:
        found.units = [_without(unit, taken) for unit in found.units]


def _without(unit: ImportUnit, taken: Collection[str]) -> ImportUnit:
    files, supplements = (
        tuple(f for f in some if f.path not in taken) for some in (unit.files, unit.supplements)
    )
    return replace(unit, files=files, supplements=supplements)


def _note_known(found: Survey, file: FoundFile, row: KnownFile, mode: Mode) -> None:
    if row.role != "main":
        if not is_same(file, row):
            found.retouched.append((row, file))
        found.unchanged += 1
        return
    if is_same(file, row):
        if mode is Mode.SCAN:
            found.unchanged += 1
            return
    else:
        found.replaced.append((row, file))
    found.updates.setdefault(row.book_id, []).append(row)


def _note_edited(
    found: Survey, folder: Folder, rows: Sequence[KnownFile], seen: Mapping[str, int], path_map: PathMap
) -> None:
    """Have the books read whose sidecars were edited, or appeared, since they were last seen.

    Differs from Shisho: it reads a sidecar only when it reads the file.
    """
    mains = [row for row in rows if row.role == "main"]
    for file in folder.others if mains else ():
        if not file.name.endswith(SIDECAR_SUFFIX):
            continue
        if file.mtime_ns // 1000 <= seen.get(path_map.stored(file.path), -math.inf):
            continue
        found.edited.append(path_map.stored(file.path))
        owner = file.name.removesuffix(SIDECAR_SUFFIX)
        for row in mains:
            name = os.path.basename(row.path)
            if owner in (name, os.path.splitext(name)[0], os.path.basename(folder.path)):
                waiting = found.updates.setdefault(row.book_id, [])
                if row not in waiting:
                    waiting.append(row)
                    found.unchanged -= 1


def _note_others(found: Survey, folder: Folder, known: dict[str, KnownFile], path_map: PathMap) -> None:
    if not known:
        return
    for file in folder.others:
        row = known.pop(path_map.stored(file.path), None)
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


def _units(folder: Folder, new: Sequence[FoundFile], grouping: Grouping) -> Iterator[ImportUnit]:
    """Cut a folder's new files into units; files with one name and different types stay together."""
    if not new:
        return
    mains = [f.file_type for f in folder.media if not is_supplement_name(f.name)]
    is_whole = grouping is Grouping.FOLDER or folder.has_discs
    split = folder.is_root or (is_split(mains) and not is_whole)
    if not split:
        extra = tuple(f for f in new if mains and is_supplement_name(f.name))
        yield ImportUnit(folder, tuple(f for f in new if f not in extra), False, extra)
        return
    chunk: list[FoundFile] = []
    last = None
    # Units of one size: a track left alone could not tell that it is one of many.
    most = math.ceil(len(new) / math.ceil(len(new) / _MOST_FILES_A_UNIT))
    for file in sorted(new, key=lambda f: (sort_stem(f.name), f.file_type, f.name)):
        stem = sort_stem(file.name)
        if len(chunk) >= most and stem != last:
            yield ImportUnit(folder, tuple(chunk), is_split=True)
            chunk = []
        chunk.append(file)
        last = stem
    yield ImportUnit(folder, tuple(chunk), is_split=True)


def _add_supplements(found: Survey) -> None:
    """Give each unit the files that may accompany its books (spec 9.3 item 10).

    A folder without media of its own belongs to the nearest one above that has some.
    """
    if not found.units:
        return
    owners: dict[str, str] = {}
    extras: dict[str, list[FoundFile]] = {}
    for folder in found.folders:  # parents come before their children
        owner = folder.path if folder.media else owners.get(os.path.dirname(folder.path), "")
        owners[folder.path] = "" if folder.is_root else owner
        place = folder.path if folder.is_root else owner
        extras.setdefault(place, []).extend(f for f in folder.others if _may_accompany(f))
    found.units = [
        replace(u, supplements=(*u.supplements, *extras.get(u.folder.path, ()))) for u in found.units
    ]


def _may_accompany(file: FoundFile) -> bool:
    return not is_companion(file.name) and not is_excluded_supplement(file.name) and file.size_bytes > 0


def as_supplement(file: FoundFile, path_map: PathMap) -> Supplement:
    return Supplement(path_map.stored(file.path), file.file_type, file.size_bytes)
