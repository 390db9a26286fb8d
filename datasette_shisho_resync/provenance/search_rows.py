"""Makes the search rows right of what a write of somebody else's touched.

Learns from `store` which rows those are; knows nothing of sources, nor of what an edit is.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from ..store.schema import LibrarySchema
from ..store.search import Place, index_columns, index_row, locate_row
from ..store.search_content import BOOKS, OF_BOOKS, SearchTable
from ..store.search_origins import SERIES_ROWS, Origin, ids_of, search_origins, search_tables
from ..store.snapshot import series_of_book
from .watches import DELETED, INSERTED, REPLACED, UPDATED, Touch

MOST_SECONDS = 0.5
"""How much longer a write may take for its search rows: one costs some 0.2 ms, and everybody's next write
waits. No number of rows, because one that was not right before may have to be looked for in all of them."""

_LEAST_ROWS = 10  # are always made right: an ordinary edit counts on it, however busy the machine

_NOT_RIGHT = "The search rows of what was edited in this write are not brought up to date"
_LEFT = "Some search rows of what was edited in this write wait for a run of ours: there are too many"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Due:
    """What to make right of a search row, None for all of it, and where the row was, if it is known."""

    columns: set[str] | None = field(default_factory=set)
    place: Place | None = None

    def add(self, columns: Iterable[str] | None) -> None:
        if columns is None:
            self.columns = None
        elif self.columns is not None:
            self.columns.update(columns)


@dataclass(frozen=True, slots=True)
class _Own:
    """Rows that have a search row each; `columns`: what of it changes, None for all; `moves`: it may not be
    found any more by what will be stored."""

    search: SearchTable
    columns: tuple[str, ...] | None
    moves: bool
    key: ClassVar[str] = "id"


_Group = list[_Own | Origin]


class SearchRows:
    """The search rows that a write has to do with, from its first touch until they are right.

    `touches`: what needs a trigger, which calls `note` with the number of its touch.
    """

    def __init__(self, schema: LibrarySchema | None = None) -> None:
        self._schema = schema
        self._tables = search_tables(schema) if schema else ()
        groups = _groups(schema, self._tables) if schema else {}
        self.touches, self._groups = tuple(groups), tuple(groups.values())
        self._own: dict[tuple[SearchTable, int], _Due] = {}
        self._keys: dict[Origin, set[int]] = {}
        self._seconds_left = MOST_SECONDS

    def __bool__(self) -> bool:
        return bool(self._own or self._keys)

    def clear(self) -> None:
        self._own.clear()
        self._keys.clear()
        self._seconds_left = MOST_SECONDS

    def note(self, conn: sqlite3.Connection, number: int, key: object) -> None:
        """Note whose search rows a statement is about to make wrong. Called by triggers: it may only read."""
        touch = self.touches[number]
        for told in self._groups[number]:
            pk = _replaced(conn, touch.table, told.key, key) if touch.moment == REPLACED else key
            if not isinstance(pk, int):
                continue
            if isinstance(told, _Own):
                self._note_own(conn, told, pk, is_new=touch.moment == INSERTED)
            else:
                self._keys.setdefault(told, set()).add(pk)

    def _note_own(self, conn: sqlite3.Connection, own: _Own, pk: int, *, is_new: bool) -> None:
        due = self._own.get((own.search, pk))
        if due is None:
            due = self._own[own.search, pk] = _Due(place=Place() if is_new else None)
        due.add(own.columns)
        if own.moves and due.place is None:
            with self._until() as until:
                is_time_left = time.monotonic() < until - MOST_SECONDS / 2  # the rest is for writing
                if is_time_left or len(self._own) <= _LEAST_ROWS:
                    due.place = self._located(conn, own.search, pk)

    def _located(self, conn: sqlite3.Connection, table: SearchTable, pk: int) -> Place | None:
        assert self._schema is not None
        try:
            return locate_row(conn, self._schema, table, pk)
        except Exception:  # from here it would make the statement of somebody else fail
            return None

    def settle(self, conn: sqlite3.Connection) -> None:
        """Make them right, all or none, inside the transaction of the write."""
        conn.execute("savepoint resync_search")
        try:
            with self._until() as until:
                self._index(conn, until)
            # Here FTS5 writes what it held back: later, a damaged table would make the commit fail.
            conn.execute("savepoint resync_search_written")
        except Exception:  # whatever it is, the write of somebody else succeeds
            conn.execute("rollback to resync_search")
            _log.warning(_NOT_RIGHT, exc_info=True)
        conn.execute("release resync_search")

    def _index(self, conn: sqlite3.Connection, until: float) -> None:
        assert self._schema is not None
        due, done = self._due(conn), 0
        for table in self._tables:
            for pk, row in due[table].items():
                if done >= _LEAST_ROWS and time.monotonic() > until:
                    _log.warning(_LEFT)
                    return
                done += 1
                is_written = _index_due(conn, self._schema, table, pk, row)
                if is_written and table is BOOKS and SERIES_ROWS in due:
                    self._add_series(conn, due[SERIES_ROWS], pk, row.columns)

    def _add_series(
        self, conn: sqlite3.Connection, due: dict[int, _Due], book_id: int, of_book: Collection[str] | None
    ) -> None:
        """Add what a book's series tell of it: its authors, or a book that came or went.

        Not its title alone: with a second search row, the most ordinary edit would cost 1.2 x of one
        without the plugin. A run on a book with a title by hand looks after its series.
        """
        assert self._schema is not None
        if of_book is None or "authors" in of_book:
            for series_id in series_of_book(conn, self._schema, book_id):
                due.setdefault(series_id, _Due()).add(OF_BOOKS)

    def _due(self, conn: sqlite3.Connection) -> dict[SearchTable, dict[int, _Due]]:
        due: dict[SearchTable, dict[int, _Due]] = {table: {} for table in self._tables}
        for (table, pk), row in self._own.items():
            due[table][pk] = row
        for origin, keys in self._keys.items():
            for pk in ids_of(conn, origin, keys):
                due[origin.search].setdefault(pk, _Due()).add((origin.column,))
        return due

    @contextmanager
    def _until(self) -> Iterator[float]:
        """Give the time at which a write has had its seconds."""
        until = time.monotonic() + self._seconds_left
        try:
            yield until
        finally:
            self._seconds_left = until - time.monotonic()


def _index_due(
    conn: sqlite3.Connection, schema: LibrarySchema, table: SearchTable, pk: int, due: _Due
) -> bool:
    if due.columns is None:
        return index_row(conn, schema, table, pk, due.place)
    return index_columns(conn, schema, table, pk, due.columns, due.place)


def _groups(schema: LibrarySchema, tables: Iterable[SearchTable]) -> dict[Touch, _Group]:
    groups: dict[Touch, _Group] = {}
    for table in tables:
        for touch, own in _own_touches(schema, table):
            groups.setdefault(touch, []).append(own)
    for origin in search_origins(schema):
        for touch in _touches(schema, origin):
            groups.setdefault(touch, []).append(origin)
    return groups


def _own_touches(schema: LibrarySchema, table: SearchTable) -> Iterator[tuple[Touch, _Own]]:
    """Yield them with all that a row tells: one may follow from the other, as a sort name from a name."""
    told = tuple(column for column in table.columns if schema.has(table.source, column))
    yield Touch(table.source, f"{UPDATED} of {told[0]}", ("old.id",)), _Own(table, told, moves=True)
    if told[1:]:
        others = Touch(table.source, f"{UPDATED} of {', '.join(told[1:])}", ("old.id",))
        yield others, _Own(table, told, moves=False)
    yield Touch(table.source, f"{UPDATED} of id", ("old.id", "new.id")), _Own(table, None, moves=True)
    yield Touch(table.source, DELETED, ("old.id",)), _Own(table, None, moves=True)
    yield Touch(table.source, REPLACED, ("new.id",)), _Own(table, None, moves=True)
    yield Touch(table.source, INSERTED, ("new.id",)), _Own(table, None, moves=False)


def _touches(schema: LibrarySchema, origin: Origin) -> Iterator[Touch]:
    table, key = origin.table, origin.key
    told = [column for column in origin.columns if schema.has(table, column)]
    yield Touch(table, f"{UPDATED} of {', '.join((key, *told))}", (f"old.{key}", f"new.{key}"))
    yield Touch(table, DELETED, (f"old.{key}",))
    if schema.has(table, "id"):
        yield Touch(table, REPLACED, ("new.id",))
    if key != "id":  # else nothing points to it yet
        yield Touch(table, INSERTED, (f"new.{key}",))


def _replaced(conn: sqlite3.Connection, table: str, key: str, pk: object) -> object:
    """Return the key of the row that an insert replaces, if there is one."""
    try:
        row = conn.execute(f"select {key} from {table} where id = ?", (pk,)).fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row else None
