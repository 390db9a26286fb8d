"""The triggers on one write connection, and the journal of what a write touches.

Learns what to watch from `watches`; knows nothing of what it means, and nothing of Datasette.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..store.schema import create_history, library_schema
from .watches import INSERTED, Touch, Watch, watches

_PREFIX = "resync_touch"
_FORGET_SQL = f"select name from sqlite_temp_master where type = 'trigger' and name glob '{_PREFIX}_*'"
_COUNT_SQL = "select count(*) from sqlite_temp_master where type = 'trigger' and name glob ?"

_log = logging.getLogger(__name__)
_here = threading.local()

State = list[tuple[object, ...]]


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

    `watching` wraps a write. Nothing in here may make a write fail that would succeed without it.
    """

    def __init__(self) -> None:
        self._schema_version = -1
        self._has_history = False
        self._groups: tuple[tuple[Watch, ...], ...] = ()  # the triggers call them by number
        self._conn: sqlite3.Connection | None = None  # that of the write that is going on
        self._before: dict[tuple[Watch, object], State] = {}

    def watching(self, conn: sqlite3.Connection) -> Iterator[None]:
        """Yield once, around a write; then make manual what it edited, in the same transaction."""
        self._prepare(conn)
        self._conn = conn
        try:
            yield
        except Exception:
            # In a transaction everything is about to be rolled back; without one the edits are there to stay.
            if not conn.in_transaction:
                self._settle_alone(conn)
            raise
        else:
            self._settle(conn) if conn.in_transaction else self._settle_alone(conn)
        finally:
            self._conn = None
            self._before.clear()

    # --- triggers -----------------------------------------------------------------------------

    def _prepare(self, conn: sqlite3.Connection) -> None:
        """Make the triggers when the schema changed or they are gone: with a table, or by a rollback."""
        try:
            version = conn.execute("pragma main.schema_version").fetchone()[0]
            if version != self._schema_version or not self._is_installed(conn):
                self._install(conn, version)
        except sqlite3.Error:
            _log.warning("Edits are not tracked in this write", exc_info=True)

    def _is_installed(self, conn: sqlite3.Connection) -> bool:
        if not self._groups:
            return True
        found = conn.execute(_COUNT_SQL, (f"{_PREFIX}_{self._schema_version}_*",)).fetchone()[0]
        return bool(found == len(self._groups))

    def _install(self, conn: sqlite3.Connection, version: int) -> None:
        for row in conn.execute(_FORGET_SQL).fetchall():
            conn.execute(f"drop trigger temp.{row[0]}")
        schema = library_schema(conn)
        found = {} if schema.missing else watches(schema)
        self._schema_version, self._has_history = version, schema.has_history
        self._groups = tuple(found.values())
        if found:
            conn.create_function("resync_touch", 2, self._touch)
            conn.create_function("resync_inserted", 2, self._inserted)
        for number, touch in enumerate(found):
            conn.execute(_trigger_sql(f"{_PREFIX}_{version}_{number}", number, touch))

    # --- journal ------------------------------------------------------------------------------

    def _touch(self, group: int, pk: object) -> None:
        """Note what is stored, once a write. Called by the triggers, so it may read but must not write."""
        if self._conn is None or getattr(_here, "is_ours", False):
            return
        for watch in self._groups[group]:
            if (watch, pk) not in self._before:
                self._before[watch, pk] = _state(self._conn, watch, pk)

    def _inserted(self, group: int, pk: object) -> None:
        """Note a row that is new; one that replaced another was noted before."""
        if self._conn is None or getattr(_here, "is_ours", False):
            return
        for watch in self._groups[group]:
            self._before.setdefault((watch, pk), [])

    # --- what follows -------------------------------------------------------------------------

    def _settle_alone(self, conn: sqlite3.Connection) -> None:
        """Settle a write that had no transaction, in one of its own."""
        if self._before:
            with conn:
                conn.execute("begin immediate")
                self._settle(conn)

    def _settle(self, conn: sqlite3.Connection) -> None:
        touched = tuple(self._before.items())
        self._conn = None  # what is written from here on is no edit
        for (watch, pk), before in touched:
            statements = _consequences(watch, before, _state(conn, watch, pk))
            if statements and watch.needs_history and not self._has_history:
                create_history(conn)
                self._has_history = True
            for statement in statements:
                conn.execute(statement, (pk,))


def _trigger_sql(name: str, group: int, touch: Touch) -> str:
    function = "resync_inserted" if touch.moment == INSERTED else "resync_touch"
    calls = " ".join(f"select {function}({group}, {key});" for key in touch.keys)
    return f"create temp trigger {name} {touch.moment} on main.{touch.table} begin {calls} end"


def _state(conn: sqlite3.Connection, watch: Watch, pk: object) -> State:
    """Return the rows that make up a value; none when the row is not there, or its columns no longer."""
    try:
        return [tuple(row) for row in conn.execute(watch.state_sql, (pk,)).fetchall()]
    except sqlite3.Error:
        return []


def _consequences(watch: Watch, before: State, after: State) -> tuple[str, ...]:
    """A row that is new is believed, and so is a source that was set along with the value."""
    if not before:
        return ()
    if not after:
        return watch.gone
    is_edited = [row[1:] for row in before] != [row[1:] for row in after]
    return watch.edited if is_edited and before[0][0] == after[0][0] else ()
