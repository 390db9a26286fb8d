"""The triggers on one write connection, and the journal of what a write touches.

Learns what to watch from `watches`; knows nothing of what it means, and nothing of Datasette.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..sources import MANUAL
from ..store.schema import create_history, library_schema
from .consequence import Consequence
from .search_rows import SearchRows
from .sort_texts import add_sort_functions
from .watches import INSERTED, Touch, Watch, watches

_PREFIX = "resync_touch"
_OURS_SQL = "select name from sqlite_temp_master where type = 'trigger' and name glob ?"

_NOT_MARKED = "What was edited in this write is not marked as manual"
_NOT_SORTED = "The sort titles and names of what was edited in this write do not follow it"

_log = logging.getLogger(__name__)
_here = threading.local()

_Due = dict[Consequence, list[int]]
State = list[tuple[object, ...]] | None
"""The rows that make up a value; none when its row is not there, None when it can't be read any more."""


@contextmanager
def our_own_write() -> Iterator[None]:
    """Let what this thread writes count as ours, not as a person's edit. Enter it on the writing thread."""
    former = getattr(_here, "is_ours", False)
    _here.is_ours = True
    try:
        yield
    finally:
        _here.is_ours = former


class Tracking:
    """The tracking of edits on the one write connection of a database.

    `watching` wraps a write. A write that succeeds without it succeeds with it.
    """

    def __init__(self) -> None:
        self._versions = (-1, -1)  # of the schema in the file, and of the temporary one with our triggers
        self._groups: tuple[tuple[Watch, ...], ...] = ()  # the triggers call them by number
        self._search = SearchRows()
        self._conn: sqlite3.Connection | None = None  # while a write goes on
        self._before: dict[tuple[Watch, int], State] = {}

    def watching(self, conn: sqlite3.Connection) -> Iterator[None]:
        """Yield once, around a write; then make manual what it edited, in the same transaction."""
        self._prepare(conn)
        self._conn = conn
        try:
            yield
        except Exception:
            if not conn.in_transaction:  # else all of it is about to be rolled back
                self._settle_alone(conn)
            raise
        else:
            if conn.in_transaction:
                self._settle(conn)
            else:
                self._settle_alone(conn)
        finally:
            self._conn = None
            self._before.clear()
            self._search.clear()

    def _prepare(self, conn: sqlite3.Connection) -> None:
        """Make the triggers when the schema changed or they are gone: with their table, or by a rollback."""
        try:
            versions = _schema_versions(conn)
            if versions == self._versions or self._is_installed(conn, versions[0]):
                self._versions = versions
            else:
                self._install(conn, versions[0])
        except sqlite3.Error:
            _log.warning(_NOT_MARKED, exc_info=True)

    def _is_installed(self, conn: sqlite3.Connection, version: int) -> bool:
        """Tell whether only other temporary things came or went.

        The version is in the names, because a rollback may bring the triggers of an older schema back.
        """
        found = conn.execute(_OURS_SQL, (f"{_PREFIX}_{version}_*",)).fetchall()
        return version == self._versions[0] and len(found) == len(self._groups) + len(self._search.touches)

    def _install(self, conn: sqlite3.Connection, version: int) -> None:
        for row in conn.execute(_OURS_SQL, (f"{_PREFIX}_*",)).fetchall():
            conn.execute(f"drop trigger temp.{row[0]}")
        schema = library_schema(conn)
        found = {} if schema.missing else watches(schema)
        self._groups = tuple(found.values())
        self._search = SearchRows(None if schema.missing else schema)
        if found:
            conn.create_function("resync_touch", 2, self._touch)
            conn.create_function("resync_inserted", 2, self._inserted)
            conn.create_function("resync_search", 2, self._note)
            add_sort_functions(conn)
        triggers = (
            *((touch, _function(touch), group) for group, touch in enumerate(found)),
            *((touch, "resync_search", number) for number, touch in enumerate(self._search.touches)),
        )
        for place, (touch, function, number) in enumerate(triggers):
            conn.execute(_trigger_sql(f"{_PREFIX}_{version}_{place}", touch, function, number))
        self._versions = _schema_versions(conn)

    def _touch(self, group: int, pk: object) -> None:
        """Note what is stored, the first time in a write. Called by triggers: it may read, but not write."""
        if self._conn is None or getattr(_here, "is_ours", False) or not isinstance(pk, int):
            return
        for watch in self._groups[group]:
            if (watch, pk) not in self._before:
                self._before[watch, pk] = _state(self._conn, watch, pk)

    def _inserted(self, group: int, pk: object) -> None:
        """Note that a row is new; one that replaced another was noted before."""
        if self._conn is None or getattr(_here, "is_ours", False) or not isinstance(pk, int):
            return
        for watch in self._groups[group]:
            self._before.setdefault((watch, pk), [])

    def _note(self, number: int, key: object) -> None:
        if self._conn is not None and not getattr(_here, "is_ours", False):
            self._search.note(self._conn, number, key)

    def _settle_alone(self, conn: sqlite3.Connection) -> None:
        """Settle a write that had no transaction, or committed by itself. What it wrote stays in any case."""
        if not self._before and not self._search:
            return
        try:
            with conn:
                conn.execute("begin immediate")
                self._settle(conn)
        except sqlite3.Error:
            _log.warning(_NOT_MARKED, exc_info=True)

    def _settle(self, conn: sqlite3.Connection) -> None:
        self._conn = None  # what is written from here on is no edit
        due: _Due = {}
        derived: _Due = {}  # after it: what was set by hand does not follow
        for (watch, pk), before in self._before.items():
            after = _state(conn, watch, pk)
            for consequence in _consequences(watch, before, after):
                due.setdefault(consequence, []).append(pk)
            for consequence in watch.changed if before and after and _differ(before, after) else ():
                derived.setdefault(consequence, []).append(pk)
        if len(due) > 1 or any(consequence.is_mark for consequence in due):
            _carry_out(conn, due)
        else:
            _one_by_one(conn, due, _NOT_MARKED)
        _one_by_one(conn, derived, _NOT_SORTED)
        if self._search:
            self._search.settle(conn)


def _carry_out(conn: sqlite3.Connection, due: _Due) -> None:
    """Run the statements, all or none: a trigger of somebody else may refuse them."""
    conn.execute("savepoint resync_manual")
    try:
        if any(consequence.is_mark for consequence in due):
            create_history(conn)
        for consequence, pks in due.items():
            conn.execute(consequence.sql, (json.dumps(pks),))
    except sqlite3.Error:
        conn.execute("rollback to resync_manual")
        _log.warning(_NOT_MARKED, exc_info=True)
    conn.execute("release resync_manual")


def _one_by_one(conn: sqlite3.Connection, due: _Due, warning: str) -> None:
    """Run the statements, each of which may be refused alone: a savepoint would cost as much as one."""
    for consequence, pks in due.items():
        try:
            conn.execute(consequence.sql, (json.dumps(pks),))
        except sqlite3.Error:
            _log.warning(warning, exc_info=True)


def _schema_versions(conn: sqlite3.Connection) -> tuple[int, int]:
    main, temporary = (
        conn.execute(f"pragma {name}.schema_version").fetchone()[0] for name in ("main", "temp")
    )
    return main, temporary


def _function(touch: Touch) -> str:
    return "resync_inserted" if touch.moment == INSERTED else "resync_touch"


def _trigger_sql(name: str, touch: Touch, function: str, number: int) -> str:
    calls = " ".join(f"select {function}({number}, {key});" for key in touch.keys)
    return f"create temp trigger {name} {touch.moment} on main.{touch.table} begin {calls} end"


def _state(conn: sqlite3.Connection, watch: Watch, pk: int) -> State:
    try:
        return [tuple(row) for row in conn.execute(watch.state_sql, (pk,)).fetchall()]
    except sqlite3.Error:
        return None


def _consequences(watch: Watch, before: State, after: State) -> tuple[Consequence, ...]:
    """A row that is new is believed as it is, and so is a source that was set along with the value.

    Nor does anything follow where the source is manual already.
    """
    if not before or after is None:
        return ()
    if not after:
        return watch.gone
    source = after[0][0]
    return watch.edited if source != MANUAL and source == before[0][0] and _differ(before, after) else ()


def _differ(before: list[tuple[object, ...]], after: list[tuple[object, ...]]) -> bool:
    return [row[1:] for row in before] != [row[1:] for row in after]
