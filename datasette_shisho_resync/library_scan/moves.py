"""Files that lie elsewhere than their rows say: found by their bytes, and the rows brought after them.

Source: spec 9. Differs from Shisho: it knows fingerprints only, and so no move before its hashing is done.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..errors import ResyncError
from ..files import cover_names, name_key, open_confined
from ..model import Mode, Reason, Target
from ..parsers.sidecar import SIDECAR_SUFFIX, file_sidecar_path
from ..resync import By
from ..resync.gathering import readable_roots
from ..settings import Settings
from ..store.history import Entry, RunHeader, record_run
from ..store.library import (
    KnownFile,
    LibraryRow,
    fingerprint,
    has_path,
    holds,
    main_paths,
    path_of_book,
    set_path,
)
from ..store.pending import SIDECAR, UNREAD, add_pending, also_seen_at
from ..store.schema import LibrarySchema
from ..store.search import index_book
from ..store.times import now, to_stored
from ..store.waiting import WaitingRows
from .options import ScannedFile
from .survey import Survey
from .walk import FoundFile

_BLOCK_BYTES = 1024**2

Move = tuple[KnownFile, FoundFile]


@dataclass(frozen=True, slots=True)
class Mover:
    """Matches and moves within one library. `pending` are rows that stand until the books were read again."""

    conn: sqlite3.Connection
    library: LibraryRow
    settings: Settings
    pending: list[int] = field(default_factory=list)

    def taken_from(self, found: Survey) -> list[Move]:
        """Match vanished rows with new files that have their bytes, and take both out of the survey.

        By fingerprint, else by size, time and type where only one file on either side has them, else by a
        path that differs only in case or Unicode form. Supplements follow the folder of their book.
        """
        if not found.vanished or not found.units:
            return []
        gone: dict[tuple[int, str], list[KnownFile]] = {}
        for row in found.vanished:
            if row.role == "main" and row.size_bytes > 0:
                gone.setdefault((row.size_bytes, row.file_type), []).append(row)
        arrived: dict[tuple[int, str], list[FoundFile]] = {}
        for file in found.new_files:
            key = (file.size_bytes, file.file_type)
            if key in gone:
                arrived.setdefault(key, []).append(file)
        moves = [pair for key, files in arrived.items() for pair in self._pairs(gone[key], files)]
        moves.extend(self._respelled(found, moves))
        moves.extend(self._followers(found, moves))
        _take_out(found, moves)
        return moves

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

    def _respelled(self, found: Survey, moves: Sequence[Move]) -> list[Move]:
        """Match what is left by its path, as the root guard does: the bytes may be others."""
        stored, rows, files = self.settings.path_map.stored, _taken_rows(moves), _taken_files(moves)
        gone: dict[str, list[KnownFile]] = {}
        for row in found.vanished:
            if row.role == "main" and row.id not in rows:
                gone.setdefault(name_key(row.path), []).append(row)
        arrived: dict[str, list[FoundFile]] = {}
        for file in found.new_files if gone else ():
            if file.path not in files:
                arrived.setdefault(name_key(stored(file.path)), []).append(file)
        pairs = ((known, arrived.get(key, ())) for key, known in gone.items())
        return [(known[0], new[0]) for known, new in pairs if len(known) == len(new) == 1]

    def _followers(self, found: Survey, moves: Sequence[Move]) -> list[Move]:
        """Match vanished supplements with the files that lie where their book's folder is now.

        Differs from Shisho: it leaves their rows behind, and makes new ones.
        """
        stored = self.settings.path_map.stored
        arrived = {stored(f.path): f for unit in found.units for f in unit.supplements}
        followers = []
        for book_id, old, new in dict.fromkeys(_moved_folder(row, stored(f.path)) for row, f in moves):
            for row in found.vanished:
                if row.role == "main" or row.book_id != book_id or not row.path.startswith(old + "/"):
                    continue
                path = new + row.path[len(old) :]
                file = arrived.get(path)
                if file is None or file.size_bytes != row.size_bytes:
                    continue
                if not has_path(self.conn, "files", self.library.id, path):
                    followers.append((row, arrived.pop(path)))
        return followers

    def _sha256(self, path: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with open_confined(path, readable_roots(self.library.paths, self.settings)) as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
        except (OSError, ResyncError):
            return None
        return digest.hexdigest()

    def move(self, row: KnownFile, file: FoundFile, schema: LibrarySchema, mode: Mode, by: By) -> ScannedFile:
        """Give a file's row its new path, and its book's if that follows, as a run of its own."""
        path = self.settings.path_map.stored(file.path)
        set_path(self.conn, "files", row.id, path)
        also_seen_at(self.conn, list(_moved_companions(row.path, path)))
        entries = [Entry("files", row.id, "filepath", row.path, None, path, None, Reason.NEW_VALUE.value)]
        entries.extend(self._move_book(row, path))
        index_book(self.conn, schema, row.book_id)
        target = Target("files", row.id)
        header = RunHeader(target, mode.value, "", by.via, by.actor, by.job_id, now())
        run_id = record_run(self.conn, header, entries, changed=len(entries), removed=0)
        if row.role == "main":
            self._await_reading(run_id, path)
        return ScannedFile(path, "moved", row.id, row.book_id)

    def _await_reading(self, run_id: int, path: str) -> None:
        rows = WaitingRows(self.conn)
        self.pending.extend(add_pending(rows, run_id, [(file_sidecar_path(path), SIDECAR, UNREAD, None)]))
        rows.flush()

    def _move_book(self, row: KnownFile, path: str) -> Iterator[Entry]:
        """Let the book's path follow: the file's own path, or the folder that all main files now share."""
        old = path_of_book(self.conn, row.book_id)
        new = self._place_of_book(row, path, old) if old is not None else None
        if new is None or new == old or has_path(self.conn, "books", self.library.id, new):
            return
        set_path(self.conn, "books", row.book_id, new)
        yield Entry("books", row.book_id, "filepath", old, None, new, None, Reason.NEW_VALUE.value)

    def _place_of_book(self, row: KnownFile, path: str, old: str) -> str | None:
        if old == row.path:
            return path
        mains = main_paths(self.conn, row.book_id)
        _, was, now = _moved_folder(row, path)
        shared = {os.path.dirname(p) for p in mains}
        if len(shared) > 1 and holds(was, old):  # a book of disc folders
            shared = {now + old[len(was) :]}
        place = shared.pop()
        is_shared = not shared and all(holds(place, p) for p in mains)
        return place if is_shared and place not in {p.rstrip("/") for p in self.library.paths} else None


def _moved_folder(row: KnownFile, path: str) -> tuple[int, str, str]:
    """Return a moved file's book, and the folder that moved: as it was, and as it is."""
    old, new = os.path.dirname(row.path), os.path.dirname(path)
    while old != new and os.path.basename(old) == os.path.basename(new):
        old, new = os.path.dirname(old), os.path.dirname(new)
    return row.book_id, old, new


def _moved_companions(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield where the covers and sidecars of a file were, and where they are if they went along: no news
    there.

    The book's sidecar stays where it was when other files of the book did.
    """
    yield old + SIDECAR_SUFFIX, new + SIDECAR_SUFFIX
    old_folder, new_folder = os.path.dirname(old), os.path.dirname(new)
    for cover, moved in zip(cover_names(old), cover_names(new), strict=True):
        yield os.path.join(old_folder, cover), os.path.join(new_folder, moved)
    for name in (os.path.splitext(os.path.basename(old))[0], os.path.basename(old_folder)):
        sidecar = name + SIDECAR_SUFFIX
        yield os.path.join(old_folder, sidecar), os.path.join(new_folder, sidecar)


def _take_out(found: Survey, moves: Sequence[Move]) -> None:
    rows, files = _taken_rows(moves), _taken_files(moves)
    found.vanished = [row for row in found.vanished if row.id not in rows]
    found.units = [
        replace(
            unit,
            files=tuple(f for f in unit.files if f.path not in files),
            supplements=tuple(f for f in unit.supplements if f.path not in files),
        )
        for unit in found.units
    ]


def _taken_rows(moves: Sequence[Move]) -> set[int]:
    return {row.id for row, _ in moves}


def _taken_files(moves: Sequence[Move]) -> set[str]:
    return {file.path for _, file in moves}
