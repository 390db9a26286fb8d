"""Brings the rows of files and books after their files, which lie elsewhere now.

Source: spec 9.4.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..files import cover_names
from ..model import Mode, Reason, Target
from ..parsers.sidecar import SIDECAR_SUFFIX, file_sidecar_path
from ..resync import By
from ..settings import Settings
from ..store.history import Entry, RunHeader, record_run
from ..store.library import KnownFile, LibraryRow, find_at, holds, main_paths, path_of, set_path
from ..store.pending import SIDECAR, UNREAD, PendingKey, add_pending, also_seen_at
from ..store.schema import LibrarySchema
from ..store.search import index_book
from ..store.times import now
from ..store.waiting import WaitingRows
from .exchanges import Move, in_order, moved_folder
from .options import ScannedFile


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves within one library, each step a run of its own. `pending` are rows that stand until the books
    were read again."""

    conn: sqlite3.Connection
    schema: LibrarySchema
    library: LibraryRow
    settings: Settings
    mode: Mode
    by: By
    pending: list[PendingKey] = field(default_factory=list)
    _crossed: dict[int, tuple[KnownFile, str]] = field(default_factory=dict)  # books in each other's way
    _shared: set[str] = field(default_factory=set)  # folders into which files of several books move
    _settled: set[int] = field(default_factory=set)  # books that have their place in such a folder

    def move_all(self, moves: Sequence[Move]) -> Iterator[ScannedFile]:
        """Give the files' rows their new paths, and their books theirs if those follow."""
        goals = {row.id: (row, self.settings.path_map.stored(file.path)) for row, file in moves}
        while outdated := [pk for pk, (row, path) in goals.items() if self._is_outdated(row, path, goals)]:
            for pk in outdated:
                del goals[pk]
        self._shared.update(_shared_folders(goals.values()))
        for pk, old, new in in_order({pk: (row.path, path) for pk, (row, path) in goals.items()}):
            row, path = goals[pk]
            if new == path:
                yield self._move(row, old, path)
            else:
                self._record(Target("files", pk), [self._set_path("files", pk, old, new)])
        self._uncross()

    def _is_outdated(self, row: KnownFile, path: str, going: Container[int]) -> bool:
        """Tell whether somebody else changed the row since the survey, or gave its place away: left for the
        next scan."""
        present = path_of(self.conn, "files", row.id)
        return present not in (row.path, path) or self._is_held("files", path, going)

    def _move(self, row: KnownFile, old: str, path: str) -> ScannedFile:
        entries = [self._set_path("files", row.id, old, path)]
        if row.role == "main":
            entries.extend(self._move_book(row, path))
        stayed = os.path.join(os.path.dirname(row.path), os.path.basename(path))
        for place in dict.fromkeys((row.path, stayed)):
            also_seen_at(self.conn, list(_moved_companions(place, path)))
        index_book(self.conn, self.schema, row.book_id)
        run_id = self._record(Target("files", row.id), entries)
        if row.role == "main":
            self._await_reading(run_id, path)
        return ScannedFile(path, "moved", row.id, row.book_id)

    def _set_path(self, table: str, pk: int, old: str, new: str) -> Entry:
        set_path(self.conn, table, pk, new)
        return Entry(table, pk, "filepath", old, None, new, None, Reason.NEW_VALUE.value)

    def _record(self, target: Target, entries: Sequence[Entry]) -> int:
        by = self.by
        header = RunHeader(target, self.mode.value, "", by.via, by.actor, by.job_id, now())
        return record_run(self.conn, header, entries, changed=len(entries), removed=0)

    def _await_reading(self, run_id: int, path: str) -> None:
        rows = WaitingRows(self.conn)
        self.pending.extend(add_pending(rows, run_id, [(file_sidecar_path(path), SIDECAR, UNREAD, None)]))
        rows.flush()

    # --- books --------------------------------------------------------------------------------

    def _move_book(self, row: KnownFile, path: str) -> Iterator[Entry]:
        """Let the book's path follow, unless another book has the place, which may still go."""
        if row.book_id in self._settled:
            return
        old, new = self._places_of_book(row, path)
        if new is None or new == old:
            return
        if find_at(self.conn, "books", self.library.id, new) is not None:
            self._crossed[row.book_id] = row, path
            return
        if os.path.dirname(path) in self._shared:
            self._settled.add(row.book_id)
        yield self._set_path("books", row.book_id, old, new)

    def _uncross(self) -> None:
        """Let the books follow whose places others had that went too."""
        goals: dict[int, tuple[str, str]] = {}
        for book_id, (row, path) in self._crossed.items():
            old, new = self._places_of_book(row, path)
            if new in {goal for _, goal in goals.values()}:
                new = self._last_resort(row, path, old)
            if new is not None and new != old:
                goals[book_id] = old, new
        while stuck := [pk for pk, (_, new) in goals.items() if self._is_held("books", new, goals)]:
            for pk in stuck:
                (row, path), (old, held) = self._crossed[pk], goals.pop(pk)
                new = self._last_resort(row, path, old)
                if new is not None and new != held:
                    goals[pk] = old, new
        for pk, old, new in in_order(goals):
            entry = self._set_path("books", pk, old, new)
            index_book(self.conn, self.schema, pk)
            self._record(Target("books", pk), [entry])

    def _is_held(self, table: str, path: str, going: Container[int]) -> bool:
        """Tell whether a row has this path that is not `going`."""
        holder = find_at(self.conn, table, self.library.id, path)
        return holder is not None and holder not in going

    def _places_of_book(self, row: KnownFile, path: str) -> tuple[str, str | None]:
        """Return a book's path, and what it should be: the file's own path, or the folder that all main
        files now share."""
        old = path_of(self.conn, "books", row.book_id)
        return ("", None) if old is None else (old, self._place_of_book(row, path, old))

    def _place_of_book(self, row: KnownFile, path: str, old: str) -> str | None:
        if old == row.path:
            return path
        _, was, now = moved_folder(row, path)
        if was == now:  # it was only renamed: its folder may hold other books
            return None
        if os.path.dirname(path) in self._shared and holds(was, old):
            return now + old[len(was) :]
        mains = main_paths(self.conn, row.book_id)
        shared = {os.path.dirname(p) for p in mains}
        if len(shared) > 1 and holds(was, old):  # a book of disc folders
            shared = {now + old[len(was) :]}
        place = shared.pop()
        is_shared = not shared and all(holds(place, p) for p in mains)
        if is_shared and place not in {p.rstrip("/") for p in self.library.paths}:
            return place
        return self._last_resort(row, path, old)

    def _last_resort(self, row: KnownFile, path: str, old: str) -> str | None:
        """Return the path of the file itself for a book of which nothing is left in the folder that it stood
        for: whatever comes into that one is another book.

        Differs from Shisho: it lets a file that moved to a library folder keep its book's old one.
        """
        is_left = any(holds(old, p) for p in main_paths(self.conn, row.book_id))
        return path if holds(old, row.path) and not is_left else None


def _shared_folders(goals: Iterable[tuple[KnownFile, str]]) -> Iterator[str]:
    owners: dict[str, int] = {}
    for row, path in goals:
        folder = os.path.dirname(path)
        if row.role == "main" and owners.setdefault(folder, row.book_id) != row.book_id:
            yield folder


def _moved_companions(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield where the covers and sidecars of a file were, or those at its new name in its old folder, and
    where they are if they went along: no news there.

    The book's sidecar stays where it was when other files of the book did.
    """
    yield old + SIDECAR_SUFFIX, new + SIDECAR_SUFFIX
    old_folder, new_folder = os.path.dirname(old), os.path.dirname(new)
    for cover, moved in zip(cover_names(old), cover_names(new), strict=True):
        yield os.path.join(old_folder, cover), os.path.join(new_folder, moved)
    for name in (os.path.splitext(os.path.basename(old))[0], os.path.basename(old_folder)):
        sidecar = name + SIDECAR_SUFFIX
        yield os.path.join(old_folder, sidecar), os.path.join(new_folder, sidecar)
