"""Whether a recorded run may be undone: is its history ours, and is everything as the run left it?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ...comparison import comparison_key
from ...errors import Conflict, UndoConflict
from ...fields import BY_NAME, ENTITY_BY_TABLE, Field, Kind
from ...model import ROLE, ROW, TABLES, Identities
from ...sources import MANUAL
from ..apply import MARK
from ..history import Entry, Run
from ..removal import row_image
from ..schema import LibrarySchema, quoted
from ..snapshot import load_list, value_of_rows
from .cells import FILE_FIELDS, NAME_SOURCE, PATH, image_of, is_removal, plain, rows_of

_OTHER_COLUMNS = (("series", NAME_SOURCE), ("files", PATH), ("books", PATH))
_ROLES = ("main", "supplement")


@dataclass(slots=True)
class UndoCheck:
    """The history of one run against the rows as they are now. A run may have thousands of entries, so
    what they share is worked out once."""

    conn: sqlite3.Connection
    schema: LibrarySchema
    run: Run
    row_tables: frozenset[str] = frozenset()
    book_ids: frozenset[int] = frozenset()
    removed: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    run_rows: dict[tuple[str, str, Any], bool] = field(default_factory=dict)

    def check(self) -> None:
        """Raises `UndoConflict` naming what was changed since, `Conflict` for history that is not ours."""
        if self.run.undone_by is not None:
            raise Conflict(f"Run {self.run.id} was undone before, by run {self.run.undone_by}.")
        self._prepare()
        if not self.book_ids:
            self._refuse_without(f"{self.run.target.table}.{self.run.target.pk}")
        for entry in self.run.entries:
            self._require_ours(entry)
        for owner in self._lost_owners():
            self._refuse_without(owner)
        changed = tuple(name for entry in self.run.entries for name in self._changed_since(entry))
        if changed:
            names = ", ".join(changed)
            raise UndoConflict(f"Run {self.run.id} can't be undone: changed since: {names}.", changed)

    def _prepare(self) -> None:
        for entry in self.run.entries:
            if is_removal(entry):
                self.removed.setdefault(entry.table, []).append(image_of(entry.old))
        self.row_tables = frozenset(self._row_tables())
        self.book_ids = frozenset(self._book_ids())

    def _refuse_without(self, name: str) -> NoReturn:
        raise UndoConflict(f"Run {self.run.id} can't be undone: {name} was removed since.", (name,))

    def _lost_owners(self) -> Iterator[str]:
        """Yield books and files that rows to be put back hang on, and that went since by another run."""
        owners = {
            (r.parent, r.parent_column, image[r.column]): None
            for r in self.schema.references
            for image in self.removed.get(r.child, ())
            if r.parent in TABLES and r.owns and image.get(r.column) is not None
        }
        for table, column, value in owners:
            # As text: in older libraries `files.book_id` is one.
            if any(str(image.get(column)) == str(value) for image in self.removed.get(table, ())):
                continue
            sql = f"select 1 from {quoted(table)} where {quoted(column)} = ?"
            if self.conn.execute(sql, (value,)).fetchone() is None:
                yield f"{table}.{value}"

    def _require_ours(self, entry: Entry) -> None:
        is_named = isinstance(entry.table, str) and isinstance(entry.field, str)
        if not is_named or not self._is_known(entry) or not self._belongs(entry):
            raise Conflict(
                f"Run {self.run.id} can't be undone: its history names "
                f"{entry.table}.{entry.field} of row {entry.pk}, which no run writes."
            )

    def _is_known(self, entry: Entry) -> bool:
        name = entry.field.removesuffix(MARK)
        if name in BY_NAME:
            return BY_NAME[name].level.value == entry.table and BY_NAME[name] in self.schema.fields
        if entry.field == ROW:
            return entry.table in self.row_tables
        if entry.field in FILE_FIELDS:
            return entry.table == "books"
        if entry.field == ROLE:
            return entry.table == "files" and entry.old in _ROLES
        if (entry.table, entry.field) in _OTHER_COLUMNS:
            return True
        return any(
            (r.child, r.column, r.owns) == (entry.table, entry.field, False) and r.parent in TABLES
            for r in self.schema.references
        )

    def _row_tables(self) -> set[str]:
        """Return the tables whose rows a run may remove or make: all that hang on books, and named rows."""
        tables = set(TABLES)
        grown = True
        while grown:
            below = {r.child for r in self.schema.references if r.parent in tables and r.owns}
            grown = not below <= tables
            tables |= below
        return {t for t in tables if not t.startswith("resync_")} | set(ENTITY_BY_TABLE)

    def _belongs(self, entry: Entry) -> bool:
        """Tell whether an entry's row is the run's book, one of its files, or hangs on them."""
        if entry.table == "series" and entry.field == NAME_SOURCE:
            return entry.pk in self._series_ids() or self._may_be_of_whole_book(entry.pk)
        if entry.table in ENTITY_BY_TABLE:
            return entry.old is None or image_of(entry.old).get("id") == entry.pk
        if entry.field == ROW:
            row = self._row_of(entry)
            is_itself = entry.table not in TABLES or (row or {}).get("id", entry.pk) == entry.pk
            return row is None or (is_itself and self._hangs(entry.table, row))
        if entry.table in TABLES:
            is_gone = entry.table == "files" and row_image(self.conn, entry.table, entry.pk) is None
            return is_gone or self._is_run_row(entry.table, "id", entry.pk)  # gone is reported later
        value = image_of(entry.old if entry.old is not None else entry.new).get(entry.field)
        return any(
            self._is_run_row(r.parent, r.parent_column, value)
            for r in self.schema.references
            if (r.child, r.column) == (entry.table, entry.field)
        )

    def _row_of(self, entry: Entry) -> Mapping[str, Any] | None:
        """Return the row that an entry removed or made; None when what it made is gone."""
        if entry.old is not None:
            return image_of(entry.old)
        image = row_image(self.conn, entry.table, entry.pk)
        return dict(image.columns) if image else None

    def _series_ids(self) -> set[int]:
        cells = (c for e in self.run.entries if e.field == "series" for c in (e.old, e.new))
        return {row["series_id"] for cell in cells for row in rows_of(BY_NAME["series"], cell)}

    def _may_be_of_whole_book(self, series_id: Any) -> bool:
        """Tell whether the run made, or brought back, a book of the series' library: that notes no lists."""
        series = row_image(self.conn, "series", series_id)
        books = [self._row_of(e) for e in self.run.entries if (e.table, e.field) == ("books", ROW)]
        return any(not book or not series or book["library_id"] == series["library_id"] for book in books)

    def _hangs(self, table: str, row: Mapping[str, Any]) -> bool:
        """Tell whether a row belongs to the run's book: itself, or by what it points to."""
        if table == "books":
            return self._is_run_row(table, "id", row.get("id"))
        owning = [
            r for r in self.schema.references if r.child == table and r.owns and row.get(r.column) is not None
        ]
        direct = [r for r in owning if r.parent in TABLES]
        found = [self._is_run_row(r.parent, r.parent_column, row[r.column]) for r in direct or owning]
        return bool(found) and (all(found) if direct else any(found))

    def _is_run_row(self, table: str, column: str, value: Any) -> bool:
        """Tell whether the row of this value is there, or was removed by the run, and hangs on its book."""
        if isinstance(value, (dict, list)):
            return False
        if (table, column) == ("books", "id"):
            return _as_id(value) in self.book_ids
        value = _as_id(value)
        key = (table, column, value)
        if key not in self.run_rows:
            self.run_rows[key] = False  # until it is known, for rows that point to each other
            rows = [row for row in self.removed.get(table, ()) if _as_id(row.get(column)) == value]
            present = self.conn.execute(f"select * from {quoted(table)} where {quoted(column)} = ?", (value,))
            rows.extend(dict(zip(row.keys(), row, strict=True)) for row in present)
            self.run_rows[key] = any(self._hangs(table, row) for row in rows)
        return self.run_rows[key]

    def _book_ids(self) -> set[int]:
        target = self.run.target
        if target.table == "books":
            return {target.pk}
        row = self.conn.execute("select book_id from files where id = ?", (target.pk,)).fetchone()
        if row is not None:
            return {int(row[0])}
        removed = self.removed.get("files", ())
        found = (_as_id(row.get("book_id")) for row in removed if row.get("id") == target.pk)
        return {book_id for book_id in found if isinstance(book_id, int)}

    def _changed_since(self, entry: Entry) -> Iterator[str]:
        name = f"{entry.table}.{entry.pk}.{entry.field}"
        if entry.field == ROW:
            if entry.new is None and row_image(self.conn, entry.table, entry.pk) is not None:
                yield name
            elif entry.old is None:
                yield from self._edited_since(entry)
        elif entry.field in BY_NAME:
            if not self._is_as_left(BY_NAME[entry.field], entry):
                yield name
        elif entry.field in (ROLE, PATH):
            row = row_image(self.conn, entry.table, entry.pk)
            if row is None or row[entry.field] != plain(entry.new):
                yield name

    def _edited_since(self, entry: Entry) -> Iterator[str]:
        """Yield the fields of a book or file that the run made and that a person has set since."""
        row = row_image(self.conn, entry.table, entry.pk)
        if row is None or entry.table not in TABLES:
            return
        made = image_of(entry.new)
        for known in self.schema.fields:
            column = self.schema.source_column(known)
            if known.level.value == entry.table and column and row[column] == MANUAL != made.get(column):
                yield f"{entry.table}.{entry.pk}.{known.name}"

    def _is_as_left(self, field: Field, entry: Entry) -> bool:
        row = row_image(self.conn, entry.table, entry.pk)
        if row is None:
            return False
        source = self.schema.source_column(field)
        if source and row[source] != entry.new_source:
            return False
        if field.is_list:
            present = load_list(self.conn, field, entry.pk)[0]
            left = value_of_rows(field, rows_of(field, entry.new))
            return _key(field, present) == _key(field, left)
        if field.kind is Kind.PUBLISHER:
            return bool(row["publisher_id"] == image_of(entry.new).get("id"))
        if field.kind is Kind.COVER:
            return bool(row["cover_image_filename"] == image_of(entry.new).get("filename"))
        assert field.column is not None
        return bool(row[field.column] == plain(entry.new))


def _key(field: Field, value: Any) -> object:
    return comparison_key(field, value, Identities())


def _as_id(value: Any) -> Any:
    """Return an id as a number: older libraries hold some of them as text (spec 1.1)."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
