"""Rows that hang on a book or file: found through the schema's foreign keys, removed children first.

Foreign keys may be off on a connection, so nothing here relies on cascades.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..fields import FIELDS
from ..model import RowImage
from .schema import KNOWN_CHILDREN, Reference, quoted, sql_text

LIBRARY_ROWS = frozenset({"books", *(child for _, child, _ in KNOWN_CHILDREN)})
"""The tables whose rows are a book; all others that hang on books are somebody else's."""

NAMED = "named"
_GIVEN = "in (select value from json_each(?))"
ENTITY_OF = {f.link_table or f.level.value: f.entity for f in FIELDS if f.entity is not None}
"""The kind of named row that the rows of a table point to."""


@dataclass(frozen=True, slots=True)
class DoomedRow:
    """A row that goes, by its rowid; or with `column` a reference of a row that stays and becomes NULL: then
    `image` is that reference, and the whole row where VACUUM may give it another rowid.

    `keys` are the primary key of a table without rowids; then `pk` is a number made of their values.
    """

    table: str
    pk: int
    image: RowImage
    column: str | None = None
    keys: tuple[str, ...] = ()


def doomed_rows(
    conn: sqlite3.Connection, references: tuple[Reference, ...], roots: Sequence[tuple[str, int]]
) -> tuple[DoomedRow, ...]:
    """Return everything that goes with the given (table, id) rows, children before parents."""
    if not roots:
        return ()
    images = ((table, pk, row_image(conn, table, pk)) for table, pk in roots)
    rows = [DoomedRow(table, pk, image) for table, pk, image in images if image is not None]
    ordered = list(_Going(conn, references).with_children(rows))
    going = gone_rows(ordered)
    return tuple(row for row in ordered if row.column is None or (row.table, row.pk) not in going)


def gone_rows(doomed: Iterable[DoomedRow]) -> set[tuple[str, int]]:
    """Return the rows, (table, id), that go: not those that stay and only lose a reference."""
    return {(row.table, row.pk) for row in doomed if row.column is None}


@dataclass(slots=True)
class _Going:
    """The rows that go, children before parents.

    What hangs on rows is asked for many of them at once: not every reference has an index, and without one
    each question reads the whole table.
    """

    conn: sqlite3.Connection
    known: tuple[Reference, ...]
    _seen: set[tuple[str, int, str | None]] = field(default_factory=set)
    _found: dict[tuple[Reference, Any], list[DoomedRow]] = field(default_factory=dict)

    def with_children(self, rows: Sequence[DoomedRow]) -> Iterator[DoomedRow]:
        self._find_below(rows)
        for row in rows:
            if (row.table, row.pk, row.column) in self._seen:
                continue
            self._seen.add((row.table, row.pk, row.column))
            for reference, value in self._pointed_to(row):
                yield from self.with_children(self._found[reference, value])
            yield row

    def _pointed_to(self, row: DoomedRow) -> Iterator[tuple[Reference, Any]]:
        """Yield the references to a row that goes whole, each with the value that points to it."""
        for reference in self.known if row.column is None else ():
            if reference.parent == row.table:
                yield reference, row.image[reference.parent_column]

    def _find_below(self, rows: Sequence[DoomedRow]) -> None:
        wanted: dict[Reference, list[Any]] = {}
        for reference, value in (pair for row in rows for pair in self._pointed_to(row)):
            if (reference, value) not in self._found:
                self._found[reference, value] = []
                wanted.setdefault(reference, []).append(value)
        for reference, values in wanted.items():
            ids = [value for value in values if isinstance(value, int)]
            if ids:
                for pk, child in _children(self.conn, reference, _GIVEN, json.dumps(ids)):
                    self._found[reference, pk].append(child)
            for value in (value for value in values if not isinstance(value, int)):
                self._found[reference, value] = [c for _, c in _children(self.conn, reference, "= ?", value)]


def _children(
    conn: sqlite3.Connection, reference: Reference, condition: str, parameter: Any
) -> Iterator[tuple[int, DoomedRow]]:
    """Yield the rows that point to others by a reference, each with what it holds there as a number."""
    table, column = reference.child, None if reference.owns else reference.column
    keys = _keys(conn, table)
    pointer, (first, order) = quoted(reference.column), ("null", "1") if keys else ("rowid", "rowid desc")
    found = f"""
        select cast({pointer} as integer), {first}, *
        from {quoted(table)}
        where {pointer} {condition}
        order by {order}
    """
    for row in conn.execute(found, (parameter,)).fetchall():
        image = RowImage(tuple(zip(row.keys(), row, strict=True))[2:])
        pk = _number([image[key] for key in keys]) if keys else row[1]
        kept = image if column is None else _letting_go(conn, table, column, image)
        if column is None or not keys:  # where such a row lets go it could not be found again
            yield row[0], DoomedRow(table, pk, kept, column, keys)


def _letting_go(conn: sqlite3.Connection, table: str, column: str, image: RowImage) -> RowImage:
    keys = conn.execute("select lower(type) from pragma_table_info(?) where pk", (table,)).fetchall()
    if [key[0] for key in keys] == ["integer"]:
        return RowImage(((column, image[column]),))
    computed = _computed_columns(conn, table)
    return RowImage(tuple((name, value) for name, value in image.columns if name not in computed))


def find_let_go(
    conn: sqlite3.Connection, table: str, pk: int, columns: Sequence[tuple[str, Any]]
) -> int | None:
    """Return the rowid of the row with these values: `pk`, or where they are of a whole row any such one."""
    conditions = " and ".join(f"{quoted(name)} is {placeholder(value)}" for name, value in columns)
    which = "and rowid = ?" if len(columns) == 1 else "order by rowid = ? desc"
    values = [*(bound(value) for _, value in columns), pk]
    row = conn.execute(f"select rowid from {quoted(table)} where {conditions} {which}", values).fetchone()
    return row[0] if row else None


def placeholder(value: Any) -> str:
    """Return what stands for a value in a statement that `bound` is given to."""
    return "cast(? as text)" if isinstance(value, str) else "?"


def bound(value: Any) -> Any:
    """Return a cell's value as it can be bound: undecodable text as its bytes."""
    return sql_text(value) if isinstance(value, str) else value


def _keys(conn: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """Return the primary key of a table without rowids; nothing for all others."""
    if _has_rowids(conn, table):
        return ()
    rows = conn.execute("select name from pragma_table_info(?) where pk order by pk", (table,))
    return tuple(row[0] for row in rows)


def _has_rowids(conn: sqlite3.Connection, table: str) -> bool:
    try:
        conn.execute(f"select rowid from {quoted(table)} limit 0")
    except sqlite3.OperationalError:
        return False
    return True


def _number(values: Sequence[Any]) -> int:
    return int.from_bytes(hashlib.sha256(repr(values).encode(errors="replace")).digest()[:7], "big")


def row_image(conn: sqlite3.Connection, table: str, pk: int) -> RowImage | None:
    """Return a row by its rowid; None where there is none, also of a table without rowids."""
    try:
        row = conn.execute(f"select * from {quoted(table)} where rowid = ?", (pk,)).fetchone()
    except sqlite3.OperationalError:
        if _has_rowids(conn, table):
            raise
        return None
    return RowImage(tuple(zip(row.keys(), row, strict=True))) if row else None


def kept_images(conn: sqlite3.Connection, rows: Sequence[DoomedRow]) -> list[dict[str, Any]]:
    """Return what the history keeps of rows that go: each whole, and as `NAMED` the person, genre ... that it
    points to, which may be gone too when it comes back: Shisho's scans drop what nothing uses."""
    return [_with_named(conn, row) for row in rows]


def _with_named(conn: sqlite3.Connection, row: DoomedRow) -> dict[str, Any]:
    kept = dict(row.image.columns)
    entity = ENTITY_OF.get(row.table)
    if entity is None or row.column is not None or not isinstance(kept.get(entity.id_column), int):
        return kept
    named = row_image(conn, entity.table, kept[entity.id_column])
    return {**kept, NAMED: dict(named.columns)} if named else kept


def remove_rows(conn: sqlite3.Connection, rows: Sequence[DoomedRow]) -> None:
    for row in rows:
        where, values = "rowid = ?", [row.pk]
        if row.keys:
            where = " and ".join(f"{quoted(key)} = ?" for key in row.keys)
            values = [row.image[key] for key in row.keys]
        if row.column is not None:
            conn.execute(f"update {quoted(row.table)} set {quoted(row.column)} = null where {where}", values)
        else:
            conn.execute(f"delete from {quoted(row.table)} where {where}", values)


def restore_row(conn: sqlite3.Connection, table: str, pk: int, columns: Sequence[tuple[str, Any]]) -> None:
    """Insert a removed row again with its id. Raises `sqlite3.IntegrityError` where it collides."""
    computed = _computed_columns(conn, table)
    columns = [(name, value) for name, value in columns if name not in computed]
    names = [quoted(name) for name, _ in columns]
    marks = [placeholder(value) for _, value in columns]
    values = [bound(value) for _, value in columns]
    if "id" not in dict(columns) and _has_rowids(conn, table):
        names, marks, values = ["rowid", *names], ["?", *marks], [pk, *values]
    conn.execute(
        f"insert into {quoted(table)} ({', '.join(names)}) values ({', '.join(marks)})",
        values,
    )


def _computed_columns(conn: sqlite3.Connection, table: str) -> frozenset[str]:
    rows = conn.execute("select name from pragma_table_xinfo(?) where hidden in (2, 3)", (table,))
    return frozenset(row[0] for row in rows)


def is_used(conn: sqlite3.Connection, references: tuple[Reference, ...], table: str, pk: int) -> bool:
    """Tell whether any row of any table still points to this one (full-text rows aside)."""
    for reference in references:
        if reference.parent != table or reference.parent_column != "id":
            continue
        found = conn.execute(
            f"select 1 from {quoted(reference.child)} where {quoted(reference.column)} = ? limit 1", (pk,)
        ).fetchone()
        if found:
            return True
    return False
