"""Puts back what a recorded run changed. Trusts nothing that it reads from the history.

Source: design 5.1 and section 6 "Undo".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..comparison import comparison_key
from ..errors import Conflict, UndoConflict
from ..fields import BY_NAME, ENTITIES, Field, Kind, Level
from ..model import Identities
from .apply import MARK, cover_columns, mark, mark_entry, set_columns, unmark
from .entities import forget_entity
from .history import Entry, Run, from_cell
from .removal import Reference, doomed_rows, is_used, references, remove_rows, restore_row, row_image
from .schema import LibrarySchema, quoted, sql_text
from .search import index_entity
from .snapshot import load_list, value_of_rows

ROW, ROLE, NAME_SOURCE, PATH = "row", "file_role", "name_source", "filepath"
FILE_FIELDS = ("cover_file", "sidecar_file")
_OTHER_COLUMNS = (("files", ROLE), ("series", NAME_SOURCE), ("files", PATH), ("books", PATH))
_ROLES = ("main", "supplement")
_ENTITIES = {entity.table: entity for entity in ENTITIES}


@dataclass(slots=True)
class Undo:
    """One undo inside the caller's transaction; `entries` is the history of what it did itself."""

    conn: sqlite3.Connection
    schema: LibrarySchema
    run: Run
    timestamp: str
    entries: list[Entry] = field(default_factory=list)
    references: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        self.references = references(self.conn)

    def check(self) -> None:
        """Raises `UndoConflict` naming what was changed since, `Conflict` for history that is not ours."""
        if self.run.undone_by is not None:
            raise Conflict(f"Run {self.run.id} was undone before, by run {self.run.undone_by}.")
        if not self._book_ids():
            name = f"{self.run.target.table}.{self.run.target.pk}"
            raise UndoConflict(f"Run {self.run.id} can't be undone: {name} was removed since.", (name,))
        for entry in self.run.entries:
            self._require_ours(entry)
        changed = tuple(name for entry in self.run.entries for name in self._changed_since(entry))
        if changed:
            names = ", ".join(changed)
            raise UndoConflict(f"Run {self.run.id} can't be undone: changed since: {names}.", changed)

    def apply(self) -> None:
        """Restore rows, then fields, then drop what the run made and nothing else uses."""
        self.conn.execute("pragma defer_foreign_keys = on")  # a chapter may come before its parent
        for entry in reversed(self.run.entries):
            if entry.field == ROW and entry.new is None:
                self._restore(entry)
        for entry in reversed(self.run.entries):
            if entry.field != ROW and entry.field not in FILE_FIELDS:
                self._revert(entry)
        made = [e for e in reversed(self.run.entries) if e.field == ROW and e.old is None]
        for entry in sorted(made, key=lambda e: e.table in _ENTITIES):  # these when nothing uses them
            self._drop(entry)

    # --- what may be undone -------------------------------------------------------------------

    def _require_ours(self, entry: Entry) -> None:
        if not self._is_known(entry) or not self._belongs(entry):
            raise Conflict(
                f"Run {self.run.id} can't be undone: its history names "
                f"{entry.table}.{entry.field} of row {entry.pk}, which no run writes."
            )

    def _is_known(self, entry: Entry) -> bool:
        name = entry.field.removesuffix(MARK)
        if name in BY_NAME:
            return BY_NAME[name].level.value == entry.table and BY_NAME[name] in self.schema.fields
        if entry.field == ROW:
            return entry.table in self._row_tables()
        if entry.field in FILE_FIELDS:
            return entry.table == "books"
        if entry.field == ROLE:
            return entry.table == "files" and entry.old in _ROLES
        if (entry.table, entry.field) in _OTHER_COLUMNS:
            return True
        return any(
            (r.child, r.column, r.owns) == (entry.table, entry.field, False)
            and r.parent in ("books", "files")
            for r in self.references
        )

    def _row_tables(self) -> set[str]:
        """Return the tables whose rows a run may remove or make: all that hang on books, and named rows."""
        tables = {"books", "files"}
        grown = True
        while grown:
            below = {r.child for r in self.references if r.parent in tables and r.owns}
            grown = not below <= tables
            tables |= below
        return {t for t in tables if not t.startswith("resync_")} | set(_ENTITIES)

    def _belongs(self, entry: Entry) -> bool:
        """Tell whether an entry's row is the run's book, one of its files, or hangs on them."""
        if entry.table == "series" and entry.field == NAME_SOURCE:
            return entry.pk in self._series_ids()
        if entry.table in _ENTITIES:
            return entry.old is None or _image(entry.old).get("id") == entry.pk
        if entry.field == ROW:
            row = self._row_of(entry)
            return row is None or (
                row.get("id", entry.pk) == entry.pk and self._hangs(entry.table, row, set())
            )
        if entry.table in ("books", "files"):
            is_gone = entry.table == "files" and row_image(self.conn, entry.table, entry.pk) is None
            return is_gone or self._is_run_row(entry.table, "id", entry.pk, set())  # gone is reported later
        value = _image(entry.old if entry.old is not None else entry.new).get(entry.field)
        return any(
            self._is_run_row(r.parent, r.parent_column, value, set())
            for r in self.references
            if (r.child, r.column) == (entry.table, entry.field)
        )

    def _row_of(self, entry: Entry) -> Mapping[str, Any] | None:
        """Return the row that an entry removed or made; None when what it made is gone."""
        if entry.old is not None:
            return _image(entry.old)
        image = row_image(self.conn, entry.table, entry.pk)
        return dict(image.columns) if image else None

    def _series_ids(self) -> set[int]:
        cells = (c for e in self.run.entries if e.field == "series" for c in (e.old, e.new))
        return {row["series_id"] for cell in cells for row in _rows(BY_NAME["series"], cell)}

    def _hangs(self, table: str, row: Mapping[str, Any], seen: set[object]) -> bool:
        """Tell whether a row belongs to the run's book: itself, or by what it points to."""
        if table == "books":
            return row.get("id") in self._book_ids()
        owning = [r for r in self.references if r.child == table and r.owns and row.get(r.column) is not None]
        direct = [r for r in owning if r.parent in ("books", "files")]
        found = [self._is_run_row(r.parent, r.parent_column, row[r.column], seen) for r in direct or owning]
        return bool(found) and (all(found) if direct else any(found))

    def _is_run_row(self, table: str, column: str, value: Any, seen: set[object]) -> bool:
        """Tell whether the row of this value is there, or was removed by the run, and hangs on its book."""
        if (table, column) == ("books", "id"):
            return value in self._book_ids()
        if (table, column, value) in seen:
            return False
        seen.add((table, column, value))
        removed = [_image(e.old) for e in self.run.entries if e.table == table and _is_removal(e)]
        rows = [row for row in removed if row.get(column) == value]
        present = self.conn.execute(f"select * from {quoted(table)} where {quoted(column)} = ?", (value,))
        rows.extend(dict(zip(row.keys(), row, strict=True)) for row in present)
        return any(self._hangs(table, row, seen) for row in rows)

    def _book_ids(self) -> set[int]:
        target = self.run.target
        if target.table == "books":
            return {target.pk}
        row = self.conn.execute("select book_id from files where id = ?", (target.pk,)).fetchone()
        if row is not None:
            return {int(row[0])}
        removed = [_image(e.old) for e in self.run.entries if e.table == "files" and _is_removal(e)]
        return {int(row["book_id"]) for row in removed if row.get("id") == target.pk}

    # --- what was changed since ---------------------------------------------------------------

    def _changed_since(self, entry: Entry) -> Iterator[str]:
        name = f"{entry.table}.{entry.pk}.{entry.field}"
        if entry.field == ROW:
            if entry.new is None and row_image(self.conn, entry.table, entry.pk) is not None:
                yield name
        elif entry.field in BY_NAME:
            if not self._is_as_left(BY_NAME[entry.field], entry):
                yield name
        elif entry.field in (ROLE, PATH):
            row = row_image(self.conn, entry.table, entry.pk)
            if row is None or row[entry.field] != _plain(entry.new):
                yield name

    def _is_as_left(self, field: Field, entry: Entry) -> bool:
        row = row_image(self.conn, entry.table, entry.pk)
        if row is None:
            return False
        if field.source_column and row[field.source_column] != entry.new_source:
            return False
        if field.is_list:
            present = load_list(self.conn, field, entry.pk)[0]
            left = value_of_rows(field, _rows(field, entry.new))
            return _key(field, present) == _key(field, left)
        if field.kind is Kind.PUBLISHER:
            return bool(row["publisher_id"] == _image(entry.new).get("id"))
        if field.kind is Kind.COVER:
            return bool(row["cover_image_filename"] == _image(entry.new).get("filename"))
        assert field.column is not None
        return bool(row[field.column] == _plain(entry.new))

    # --- putting back -------------------------------------------------------------------------

    def _restore(self, entry: Entry) -> None:
        columns = list(_image(entry.old).items())
        self._insert(entry.table, entry.pk, columns)
        if entry.table in _ENTITIES:
            index_entity(self.conn, self.schema, _ENTITIES[entry.table], entry.pk)
        self.entries.append(Entry(entry.table, entry.pk, ROW, None, None, dict(columns), None, "new_value"))

    def _insert(self, table: str, pk: int, columns: Sequence[tuple[str, Any]]) -> None:
        try:
            restore_row(self.conn, table, pk, columns)
        except sqlite3.Error as error:
            name = f"{table}.{pk}"
            raise UndoConflict(
                f"Run {self.run.id} can't be undone: {name} has no place any more ({error}).", (name,)
            ) from error

    def _drop(self, entry: Entry) -> None:
        image = row_image(self.conn, entry.table, entry.pk)
        if image is None:
            return
        if entry.table in _ENTITIES:
            if is_used(self.conn, entry.table, entry.pk):
                return
            forget_entity(self.conn, self.schema, entry.table, entry.pk)
            self._note_removed(entry.table, entry.pk, ROW, dict(image.columns))
            return
        doomed = doomed_rows(self.conn, [(entry.table, entry.pk)])
        remove_rows(self.conn, doomed)
        for d in doomed:
            self._note_removed(d.table, d.pk, d.column or ROW, dict(d.image.columns))

    def _note_removed(self, table: str, pk: int, name: str, image: Mapping[str, Any]) -> None:
        self.entries.append(Entry(table, pk, name, image, None, None, None, "removed"))

    def _revert(self, entry: Entry) -> None:
        if entry.field in BY_NAME:
            self._revert_field(BY_NAME[entry.field], entry)
        elif entry.field.endswith(MARK):
            self._revert_mark(entry)
        elif entry.field in (NAME_SOURCE, ROLE, PATH):
            self._set(entry, entry.table, entry.field, _plain(entry.old))
        else:
            self._set_reference(entry)

    def _set(self, entry: Entry, table: str, column: str, value: Any) -> None:
        placeholder = "cast(? as text)" if isinstance(value, str) else "?"
        bound = sql_text(value) if isinstance(value, str) else value
        self.conn.execute(
            f"update {quoted(table)} set {quoted(column)} = {placeholder} where rowid = ?", (bound, entry.pk)
        )
        self.entries.append(Entry(table, entry.pk, entry.field, entry.new, None, value, None, entry.reason))

    def _set_reference(self, entry: Entry) -> None:
        """Point a row that stayed at its book or file again, or no longer."""
        value = _image(entry.old).get(entry.field)
        self.conn.execute(
            f"update {quoted(entry.table)} set {quoted(entry.field)} = ? where rowid = ?", (value, entry.pk)
        )
        self.entries.append(
            Entry(entry.table, entry.pk, entry.field, entry.new, None, entry.old, None, entry.reason)
        )

    def _revert_mark(self, entry: Entry) -> None:
        level, name = Level(entry.table), entry.field.removesuffix(MARK)
        change = mark if entry.old else unmark
        change(self.conn, level, entry.pk, name)
        self.entries.append(mark_entry(entry.table, entry.pk, name, was=entry.new, now=entry.old))

    def _revert_field(self, field: Field, entry: Entry) -> None:
        columns: dict[str, Any] = {"updated_at": self.timestamp}
        if field.source_column:
            columns[field.source_column] = entry.old_source
        present: Any = _plain(entry.new)
        restored: Any = _plain(entry.old)
        if field.is_list:
            present = load_list(self.conn, field, entry.pk)[1]
            restored = _rows(field, entry.old)
            self._replace_rows(field, entry.pk, restored)
        elif field.kind is Kind.PUBLISHER:
            present, restored = _structure(entry.new), _structure(entry.old)
            columns["publisher_id"] = _image(entry.old).get("id")
            is_known = restored and restored.get("name") is not None  # else it pointed nowhere before, too
            self._require_entities(field, [restored] if is_known else [])
        elif field.kind is Kind.COVER:
            present, restored = _structure(entry.new), _structure(entry.old)
            columns |= cover_columns(**_image(entry.old))
        elif field.column:
            columns[field.column] = restored
        set_columns(self.conn, self.schema, entry.table, entry.pk, columns)
        self.entries.append(
            Entry(
                entry.table,
                entry.pk,
                field.name,
                present,
                entry.new_source,
                restored,
                entry.old_source,
                entry.reason,
            )
        )

    def _replace_rows(self, field: Field, owner_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace a list's rows by those kept, ids included; only columns of the link table are taken."""
        assert field.link_table is not None
        self.conn.execute(f"delete from {field.link_table} where {field.owner_column} = ?", (owner_id,))
        self._require_entities(field, rows)
        known = self.schema.columns[field.link_table]
        for row in rows:
            columns = [(c, v) for c, v in row.items() if c in known]
            if dict(columns).get(field.owner_column) != owner_id:
                raise Conflict(
                    f"Run {self.run.id} can't be undone: its history names a row of another record."
                )
            self._insert(field.link_table, row["id"], columns)

    def _require_entities(self, field: Field, rows: Sequence[Mapping[str, Any]]) -> None:
        """Raise `UndoConflict` when a person, genre ... that the kept rows point to is gone."""
        if field.entity is None:
            return
        for row in rows:
            pk = row[field.entity.id_column] if field.is_list else row["id"]
            found = self.conn.execute(f"select 1 from {field.entity.table} where id = ?", (pk,)).fetchone()
            if found is None:
                name = f"{field.entity.table}.{pk}"
                raise UndoConflict(f"Run {self.run.id} can't be undone: {name} was removed since.", (name,))


def _key(field: Field, value: Any) -> object:
    return comparison_key(field, value, Identities())


def _structure(cell: Any) -> Any:
    """Return the structure in a history cell; None for NULL. Raises `Conflict` on anything else."""
    if cell is None or isinstance(cell, (dict, list)):
        return cell
    try:
        return from_cell(cell)
    except (TypeError, ValueError, RecursionError) as error:
        raise Conflict("The history holds a value that no run writes.") from error


def _image(cell: Any) -> dict[str, Any]:
    """Return the row or the parts in a history cell; empty for NULL. Raises `Conflict` on anything else."""
    found = _structure(cell)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Conflict("The history holds a value that no run writes.")
    return found


def _rows(field: Field, cell: Any) -> list[dict[str, Any]]:
    """Return the rows behind a list field in a history cell. Raises `Conflict` on anything else."""
    found = _structure(cell) or []
    needed = {"id", field.owner_column, *((field.entity.id_column,) if field.entity else ())}
    if not isinstance(found, list) or not all(isinstance(r, dict) and needed <= set(r) for r in found):
        raise Conflict("The history holds a value that no run writes.")
    return found


def _is_removal(entry: Entry) -> bool:
    return entry.field == ROW and entry.old is not None


def _plain(cell: Any) -> Any:
    return cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else cell
