"""Finds files that lie elsewhere than their rows say, by their bytes. Writes nothing.

Source: spec 9. Differs from Shisho: it knows fingerprints only, and so no move before its hashing is done.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ResyncError
from ..files import name_key, open_confined
from ..resync import Service
from ..resync.gathering import readable_roots
from ..settings import Settings
from ..store.library import KnownFile, LibraryRow, fingerprint, has_file
from ..store.times import to_stored
from .elsewhere import Elsewhere
from .exchanges import Move, exchanged, moved_folder, without_copies
from .survey import Survey, is_same
from .walk import FoundFile

_BLOCK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Matcher:
    """Matches the rows of one library with files."""

    service: Service
    library: LibraryRow

    @property
    def conn(self) -> sqlite3.Connection:
        return self.service.conn

    @property
    def settings(self) -> Settings:
        return self.service.settings

    def taken_from(self, found: Survey) -> list[Move]:
        """Match vanished rows with new files that have their bytes, and take both out of the survey.

        By fingerprint, else by size, time and type where only one file on either side has them, else by a
        path that differs only in case or Unicode form. Known files that took each other's places are matched
        by size, time and type too. Supplements follow the folder of their book.
        """
        elsewhere = Elsewhere(self.service, self.library, tuple(found.starts))
        moves = list(self._arrived(found, [*found.vanished, *elsewhere.gone_mains(found)]))
        moves.extend(self._exchanged(found, moves) if found.replaced else ())
        moves.extend(self._respelled(found, moves))
        if moves:
            left = [*found.vanished, *elsewhere.absent_supplements(row.book_id for row, _ in moves)]
            moves.extend(self._followers(found, left, moves))
            _take_out(found, moves)
        return moves

    def _arrived(self, found: Survey, vanished: Sequence[KnownFile]) -> Iterator[Move]:
        gone: dict[tuple[int, str], list[KnownFile]] = {}
        for row in vanished:
            if row.role == "main" and row.size_bytes > 0:
                gone.setdefault((row.size_bytes, row.file_type), []).append(row)
        arrived: dict[tuple[int, str], list[FoundFile]] = {}
        for file in found.new_files if gone else ():
            key = (file.size_bytes, file.file_type)
            if key in gone:
                arrived.setdefault(key, []).append(file)
        for key, files in arrived.items():
            yield from self._pairs(gone[key], files)

    def _pairs(self, rows: Sequence[KnownFile], files: Sequence[FoundFile]) -> Iterator[Move]:
        left = list(files)
        for row in rows:
            stored = fingerprint(self.conn, row.id)
            if stored is not None:
                match = [f for f in left if self._sha256(f.path) == stored][:1]
            else:
                times = [f for f in left if to_stored(f.mtime_ns) == row.modified_at]
                rivals = [r for r in rows if r.modified_at == row.modified_at]
                match = times if len(times) == len(rivals) == 1 else []
            for file in match:
                left.remove(file)
                yield row, file

    def _exchanged(self, found: Survey, moves: Sequence[Move]) -> list[Move]:
        rows, files = _taken_rows(moves), _taken_files(moves)
        pairs = exchanged(
            (row for row in found.vanished if row.role == "main" and row.id not in rows),
            found.replaced,
            (file for file in found.new_files if file.path not in files),
        )
        sound = [(row, file) for row, file in pairs if self._may_be(row, file)]
        return without_copies(sound, found.replaced)

    def _may_be(self, row: KnownFile, file: FoundFile) -> bool:
        stored = fingerprint(self.conn, row.id)
        return stored is None or stored == self._sha256(file.path)

    def _respelled(self, found: Survey, moves: Sequence[Move]) -> list[Move]:
        """Match what is left by its path, as the root guard does: the bytes may be others."""
        rows, files = _taken_rows(moves), _taken_files(moves)
        gone: dict[str, list[KnownFile]] = {}
        for row in found.vanished:
            if row.id not in rows:
                gone.setdefault(name_key(row.path), []).append(row)
        arrived: dict[str, list[FoundFile]] = {}
        for key, file in self._spelled_like(gone, found) if gone else ():
            if file.path not in files:
                arrived.setdefault(key, []).append(file)
        pairs = ((known, arrived.get(key, ())) for key, known in gone.items())
        return [(known[0], new[0]) for known, new in pairs if len(known) == len(new) == 1]

    def _spelled_like(
        self, gone: Mapping[str, Sequence[KnownFile]], found: Survey
    ) -> Iterator[tuple[str, FoundFile]]:
        """Yield files that no row knows, with how their paths compare: they may be ones that vanished."""
        stored = self.settings.path_map.stored
        yield from ((name_key(stored(file.path)), file) for file in found.new_files)
        supplements = {key for key, rows in gone.items() if any(row.role != "main" for row in rows)}
        for folder in found.folders if supplements else ():
            for file in folder.others:
                path = stored(file.path)
                key = name_key(path)
                if key in supplements and not has_file(self.conn, self.library.id, path):
                    yield key, file

    def _followers(self, found: Survey, vanished: Sequence[KnownFile], moves: Sequence[Move]) -> list[Move]:
        """Match supplements that vanished, or whose place another file took, with the files that lie where
        their book's folder is now.

        Differs from Shisho: it leaves their rows behind, and makes new ones.
        """
        stored, here = self.settings.path_map.stored, self.settings.path_map.here
        away = [row for row in (*vanished, *(row for row, _ in found.retouched)) if row.role != "main"]
        wanted: dict[str, list[KnownFile]] = {}
        for row, path in _places_to_follow(away, [(row, stored(file.path)) for row, file in moves]):
            wanted.setdefault(here(path), []).append(row)
        taken = _taken_files(moves)
        replaced, places = {r.id for r, _ in found.retouched}, {f.path for _, f in found.retouched}
        pairs: list[Move] = []
        for file in found.files_at(wanted):
            is_known = has_file(self.conn, self.library.id, stored(file.path))
            if file.path in taken or (is_known and file.path not in places):
                continue
            alike = (row for row in wanted[file.path] if row.size_bytes == file.size_bytes)
            fitting = [row for row in alike if row.id not in replaced or is_same(file, row)]
            pairs.extend((row, file) for row in fitting[:1])
        return without_copies(pairs, found.retouched)

    def _sha256(self, path: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with open_confined(path, readable_roots(self.library.paths, self.settings)) as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
        except (OSError, ResyncError):
            return None
        return digest.hexdigest()


def _places_to_follow(
    away: Sequence[KnownFile], moves: Sequence[tuple[KnownFile, str]]
) -> Iterator[tuple[KnownFile, str]]:
    """Yield supplements that are not where they were, and where they are if their books took them."""
    rows: dict[int, list[KnownFile]] = {}
    for row in away:
        rows.setdefault(row.book_id, []).append(row)
    for book_id, old, new in dict.fromkeys(moved_folder(row, path) for row, path in moves):
        for row in rows.get(book_id, ()):
            if row.path.startswith(old + "/"):
                yield row, new + row.path[len(old) :]


def _take_out(found: Survey, moves: Sequence[Move]) -> None:
    rows = _taken_rows(moves)
    found.vanished = [row for row in found.vanished if row.id not in rows]
    found.retouched = [(row, file) for row, file in found.retouched if row.id not in rows]
    for row, _ in moves:  # its cover may have stayed behind, its sidecar may have been edited
        changed = found.updates.setdefault(row.book_id, [])
        changed[:] = [other for other in changed if other.id not in rows]


def _taken_rows(moves: Sequence[Move]) -> set[int]:
    return {row.id for row, _ in moves}


def _taken_files(moves: Sequence[Move]) -> set[str]:
    return {file.path for _, file in moves}
