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
from .apply import MARK, mark, mark_entry, unmark
from .entities import forget_entity
from .history import Entry, Run, from_cell
from .removal import Reference, doomed_rows, is_used, references, remove_rows, restore_row, row_image
from .schema import LibrarySchema, quoted, sql_text
from .search import index_entity
from .snapshot import load_list, value_of_rows

ROW, ROLE, NAME_SOURCE, PATH = "row", "file_role", "name_source", "filepath"
FILE_FIELDS = ("cover_file", "sidecar_file")
_OTHER_COLUMNS = (("files", ROLE), ("series", NAME_SOURCE), ("files", PATH), ("books", PATH))
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
        for entry in self.run.entries:
            self._require_ours(entry)
        changed = tuple(name for entry in self.run.entries for name in self._changed_since(entry))
        if changed:
            names = ", ".join(changed)
            raise UndoConflict(f"Run {self.run.id} can't be undone: changed since: {names}.", changed)

    def apply(self) -> None:
        """Restore rows, then fields, then drop what the run made and nothing else uses."""
        for entry in reversed(self.run.entries):
            if entry.field == ROW and entry.new is None:
                self._restore(entry)
        for entry in reversed(self.run.entries):
            if entry.field != ROW and entry.field not in FILE_FIELDS:
                self._revert(entry)
        for entry in reversed(self.run.entries):
            if entry.field == ROW and entry.old is None:
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
        """Tell whether an entry's book or file is the run's own."""
        if entry.table not in ("books", "files"):
            return True
        book_ids = self._book_ids()
        if entry.table == "books":
            return entry.pk in book_ids
        row = self.conn.execute("select book_id from files where id = ?", (entry.pk,)).fetchone()
        if row is not None:
            return int(row[0]) in book_ids
        return any(e.table == "files" and e.pk == entry.pk and e.field == ROW for e in self.run.entries)

    def _book_ids(self) -> set[int]:
        target = self.run.target
        if target.table == "books":
            return {target.pk}
        row = self.conn.execute("select book_id from files where id = ?", (target.pk,)).fetchone()
        if row is not None:
            return {int(row[0])}
        return {
            int(_structure(e.old)["book_id"])
            for e in self.run.entries
            if e.table == "files" and e.field == ROW and e.pk == target.pk and e.old is not None
        }

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
            left = value_of_rows(field, _structure(entry.new) or [])
            return _key(field, present) == _key(field, left)
        if field.kind is Kind.PUBLISHER:
            return bool(row["publisher_id"] == (_structure(entry.new) or {}).get("id"))
        if field.kind is Kind.COVER:
            return bool(row["cover_image_filename"] == (_structure(entry.new) or {}).get("filename"))
        assert field.column is not None
        return bool(row[field.column] == _plain(entry.new))

    # --- putting back -------------------------------------------------------------------------

    def _restore(self, entry: Entry) -> None:
        columns = list(_structure(entry.old).items())
        try:
            restore_row(self.conn, entry.table, entry.pk, columns)
        except sqlite3.Error as error:
            name = f"{entry.table}.{entry.pk}.{entry.field}"
            raise UndoConflict(
                f"Run {self.run.id} can't be undone: {name} has no place any more ({error}).", (name,)
            ) from error
        if entry.table in _ENTITIES:
            index_entity(self.conn, self.schema, _ENTITIES[entry.table], entry.pk)
        self.entries.append(Entry(entry.table, entry.pk, ROW, None, None, dict(columns), None, "new_value"))

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
            self._set(entry, entry.table, entry.field, _structure(entry.old)[entry.field])

    def _set(self, entry: Entry, table: str, column: str, value: Any) -> None:
        placeholder = "cast(? as text)" if isinstance(value, str) else "?"
        bound = sql_text(value) if isinstance(value, str) else value
        self.conn.execute(
            f"update {quoted(table)} set {quoted(column)} = {placeholder} where rowid = ?", (bound, entry.pk)
        )
        self.entries.append(Entry(table, entry.pk, entry.field, entry.new, None, value, None, entry.reason))

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
            restored = _structure(entry.old) or []
            self._replace_rows(field, entry.pk, restored)
        elif field.kind is Kind.PUBLISHER:
            present, restored = _structure(entry.new), _structure(entry.old)
            columns["publisher_id"] = restored["id"] if restored else None
            self._require_entities(field, [restored] if restored else [])
        elif field.kind is Kind.COVER:
            present, restored = _structure(entry.new), _structure(entry.old)
            columns |= {
                "cover_image_filename": (restored or {}).get("filename"),
                "cover_mime_type": (restored or {}).get("mime"),
                "cover_page": (restored or {}).get("page"),
            }
        elif field.column:
            columns[field.column] = restored
        assignments = ", ".join(
            f"{c} = cast(? as text)" if _is_odd(v) else f"{c} = ?" for c, v in columns.items()
        )
        values = [sql_text(v) if isinstance(v, str) else v for v in columns.values()]
        self.conn.execute(f"update {entry.table} set {assignments} where id = ?", (*values, entry.pk))
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
            restore_row(self.conn, field.link_table, row["id"], columns)

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


def _plain(cell: Any) -> Any:
    return cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else cell


def _is_odd(value: Any) -> bool:
    return isinstance(value, str) and isinstance(sql_text(value), bytes)
