"""Rows that wait to be inserted together: a statement for many rows costs a fraction of one for each.

Ids are given when a row is added, and are those that SQLite would give. Knows no meaning of any table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .schema import insert_rows, sql_text

_FIRST = {"books": 0, "files": 1}  # what the other tables' rows refer to
_LAST = 2

_Kind = tuple[str, tuple[str, ...], tuple[int, ...]]  # table, columns, places of undecodable text


@dataclass(slots=True)
class WaitingRows:
    """Rows to be inserted by `flush`, inside the caller's transaction.

    Until then nobody else may insert into the tables whose ids are given here.
    """

    conn: sqlite3.Connection
    count: int = 0
    _rows: dict[_Kind, list[Sequence[Any]]] = field(default_factory=dict)
    _last_ids: dict[str, int] = field(default_factory=dict)

    def insert(self, table: str, columns: Mapping[str, Any]) -> int:
        """Add a row, and return its id; undecodable text goes in byte for byte."""
        row_id = self.next_id(table)
        values = [row_id, *columns.values()]
        encoded = () if "".join([v for v in values if type(v) is str]).isascii() else _encode(values)
        self._rows.setdefault((table, ("id", *columns), encoded), []).append(values)
        self.count += 1
        return row_id

    def add(self, table: str, columns: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows of values that can be bound as they are."""
        waiting = self._rows.setdefault((table, columns, ()), [])
        before = len(waiting)
        waiting.extend(rows)
        self.count += len(waiting) - before

    def next_id(self, table: str) -> int:
        """Return the id of the next row of a table; every row of it must then get one."""
        if table not in self._last_ids:
            self._last_ids[table] = _last_id(self.conn, table)
        self._last_ids[table] += 1
        return self._last_ids[table]

    def flush(self) -> None:
        """Insert what waits, parents first. Raises `sqlite3.IntegrityError`."""
        waiting = sorted(self._rows.items(), key=lambda item: _FIRST.get(item[0][0], _LAST))
        self.forget()
        for (table, columns, encoded), rows in waiting:
            insert_rows(
                self.conn, f"insert into {table} ({', '.join(columns)})", _marks(columns, encoded), rows
            )

    def forget(self) -> None:
        """Drop what waits, after a rollback."""
        self._rows, self._last_ids, self.count = {}, {}, 0


def _last_id(conn: sqlite3.Connection, table: str) -> int:
    """Return the highest id that a table has or, where SQLite uses none twice, ever had."""
    highest: int = conn.execute(f"select coalesce(max(id), 0) from {table}").fetchone()[0]
    if conn.execute("select 1 from sqlite_master where name = 'sqlite_sequence'").fetchone() is None:
        return highest
    used = conn.execute("select seq from sqlite_sequence where name = ?", (table,)).fetchone()
    return max(highest, used[0] or 0) if used else highest


def _encode(values: list[Any]) -> tuple[int, ...]:
    """Turn undecodable texts into their bytes; returns where they are."""
    places = []
    for place, value in enumerate(values):
        if isinstance(value, str) and (text := sql_text(value)) is not value:
            values[place] = text
            places.append(place)
    return tuple(places)


def _marks(columns: Sequence[str], encoded: Sequence[int]) -> str:
    marks = ("cast(? as text)" if place in encoded else "?" for place in range(len(columns)))
    return f"({', '.join(marks)})"
