"""Puts back what a recorded run changed. Trusts nothing that it reads from the history.

Source: design 5.1 and section 6 "Undo".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ...errors import Conflict, UndoConflict
from ...fields import BY_NAME, ENTITY_BY_TABLE, Entity, Field, Kind, Level
from ...model import ROLE, ROW
from ..apply import MARK, cover_columns, mark, mark_entry, set_columns, unmark
from ..entities import forget_entity
from ..history import Entry, Run, made_by_undone_runs
from ..removal import (
    ENTITY_OF,
    LIBRARY_ROWS,
    NAMED,
    bound,
    doomed_rows,
    find_let_go,
    is_used,
    kept_images,
    placeholder,
    remove_rows,
    restore_row,
    row_image,
)
from ..schema import LibrarySchema, Reference, quoted
from ..search import index_entity
from ..snapshot import find_entity, load_list
from .cells import FILE_FIELDS, NAME_SOURCE, PATH, image_of, plain, rows_of, structure
from .checking import UndoCheck

_TAKEN = "UNIQUE constraint failed: "


@dataclass(slots=True)
class Undo:
    """One undo inside the caller's transaction; `entries` is the history of what it did itself."""

    conn: sqlite3.Connection
    schema: LibrarySchema
    run: Run
    timestamp: str
    entries: list[Entry] = field(default_factory=list)
    _coming: set[tuple[str, str, Any]] = field(default_factory=set)  # (table, column, value) of removed rows

    def check(self) -> None:
        """Raises `UndoConflict` naming what was changed since, `Conflict` for history that is not ours."""
        UndoCheck(self.conn, self.schema, self.run).check()

    def apply(self, *, with_leftovers: bool = True) -> None:
        """Restore rows, then fields, then drop what the run made and nothing else uses; with what runs of
        its job made that were undone while it was used."""
        self.conn.execute("pragma defer_foreign_keys = on")  # a chapter may come before its parent
        removed = [e for e in reversed(self.run.entries) if e.field == ROW and e.new is None]
        self._expect(removed)
        for entry in removed:
            self._restore(entry)
        for entry in removed:
            self._restore_named(entry)
        for entry in reversed(self.run.entries):
            if entry.field != ROW and entry.field not in FILE_FIELDS:
                self._revert(entry)
        made = [e for e in self.run.entries if e.field == ROW and e.old is None]
        if with_leftovers:
            made += [
                e for table in ENTITY_BY_TABLE for e in made_by_undone_runs(self.conn, self.run.id, table)
            ]
        for entry in sorted(made, key=lambda e: e.table in ENTITY_BY_TABLE):  # these when nothing uses them
            self._drop(entry)

    def _restore(self, entry: Entry) -> None:
        image = image_of(entry.old)
        if entry.table in ENTITY_OF:
            image = {name: value for name, value in image.items() if name != NAMED}
        placed = self._placed(entry.table, image)
        if placed is not None:
            self._bring_back(entry.table, entry.pk, placed)

    def _expect(self, removed: Sequence[Entry]) -> None:
        """Note the rows that come back, to which others of them may point."""
        pointed_to = {(r.parent, r.parent_column) for r in self.schema.references}
        for entry in removed:
            image, entity = image_of(entry.old), ENTITY_OF.get(entry.table)
            self._coming |= {(entry.table, c, v) for c, v in image.items() if (entry.table, c) in pointed_to}
            if entity is not None and NAMED in image:
                self._coming.add((entity.table, "id", image[entity.id_column]))

    def _placed(self, table: str, image: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return a removed row of another's table without what it pointed to and is gone since; None when it
        would have gone with that. The library's own rows come back as they were."""
        placed = dict(image)
        for r in self.schema.references if table not in LIBRARY_ROWS else ():
            value = placed.get(r.column) if r.child == table else None
            if value is None or self._is_there(r, value):
                continue
            if r.owns:
                self._coming -= {(table, column, value) for column, value in image.items()}
                return None
            placed[r.column] = None
        return placed

    def _is_there(self, to: Reference, value: Any) -> bool:
        if (to.parent, to.parent_column, value) in self._coming:
            return True
        sql = f"select 1 from {quoted(to.parent)} where {quoted(to.parent_column)} = ?"
        return self.conn.execute(sql, (value,)).fetchone() is not None

    def _bring_back(self, table: str, pk: int, image: Mapping[str, Any]) -> None:
        self._insert(table, pk, list(image.items()))
        if table in ENTITY_BY_TABLE:
            index_entity(self.conn, self.schema, ENTITY_BY_TABLE[table], pk)
        self.entries.append(Entry(table, pk, ROW, None, None, dict(image), None, "new_value"))

    def _restore_named(self, entry: Entry) -> None:
        """Bring back the person, genre ... that a restored row points to, where it is gone since; where
        another row has its name now, that one is meant."""
        entity, image = ENTITY_OF.get(entry.table), image_of(entry.old)
        if entity is None or NAMED not in image:
            return
        named = {c: v for c, v in image_of(image[NAMED]).items() if c in self.schema.columns[entity.table]}
        pk = named.get("id")
        if not isinstance(pk, int) or pk != image.get(entity.id_column):
            raise Conflict("The history holds a value that no run writes.")
        if row_image(self.conn, entity.table, pk) is not None:
            return
        namesake = self._namesake(entity, named)
        if namesake is None:
            self._bring_back(entity.table, pk, named)
        else:
            self._point(entry, entity.id_column, namesake)

    def _namesake(self, entity: Entity, named: Mapping[str, Any]) -> int | None:
        library_id, name = named.get("library_id"), named.get("name")
        if not isinstance(library_id, int) or not isinstance(name, str):
            raise Conflict("The history holds a value that no run writes.")
        found = find_entity(self.conn, self.schema, library_id, entity.table, name)
        return found.id if found else None

    def _point(self, entry: Entry, column: str, pk: int) -> None:
        with self._taking_place(entry.table, entry.pk):
            self.conn.execute(
                f"update {quoted(entry.table)} set {quoted(column)} = ? where rowid = ?", (pk, entry.pk)
            )

    def _insert(self, table: str, pk: int, columns: Sequence[tuple[str, Any]]) -> None:
        with self._taking_place(table, pk):
            restore_row(self.conn, table, pk, columns)

    @contextmanager
    def _taking_place(self, table: str, pk: int) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = f"{table}.{pk}"
            raise UndoConflict(
                f"Run {self.run.id} can't be undone: {name} has no place any more: {_reason(error)}.", (name,)
            ) from error

    def _drop(self, entry: Entry) -> None:
        image = row_image(self.conn, entry.table, entry.pk)
        if image is None:
            return
        if entry.table in ENTITY_BY_TABLE:
            if is_used(self.conn, self.schema.references, entry.table, entry.pk):
                return
            forget_entity(self.conn, self.schema, entry.table, entry.pk)
            self._note_removed(entry.table, entry.pk, ROW, dict(image.columns))
            return
        doomed = doomed_rows(self.conn, self.schema.references, [(entry.table, entry.pk)])
        images = kept_images(self.conn, doomed)
        remove_rows(self.conn, doomed)
        for d, kept in zip(doomed, images, strict=True):
            self._note_removed(d.table, d.pk, d.column or ROW, kept)

    def _note_removed(self, table: str, pk: int, name: str, image: Mapping[str, Any]) -> None:
        self.entries.append(Entry(table, pk, name, image, None, None, None, "removed"))

    def _revert(self, entry: Entry) -> None:
        if entry.field in BY_NAME:
            self._revert_field(BY_NAME[entry.field], entry)
        elif entry.field.endswith(MARK):
            self._revert_mark(entry)
        elif entry.field in (NAME_SOURCE, ROLE, PATH):
            self._set(entry, entry.table, entry.field, plain(entry.old))
        else:
            self._set_reference(entry)

    def _set(self, entry: Entry, table: str, column: str, value: Any) -> None:
        if column == NAME_SOURCE and not self._holds(table, entry.pk, column, entry.new):
            return  # a series belongs to many books: what came after counts
        with self._taking_place(table, entry.pk):
            self.conn.execute(
                f"update {quoted(table)} set {quoted(column)} = {placeholder(value)} where rowid = ?",
                (bound(value), entry.pk),
            )
        self.entries.append(Entry(table, entry.pk, entry.field, entry.new, None, value, None, entry.reason))

    def _holds(self, table: str, pk: int, column: str, value: Any) -> bool:
        row = row_image(self.conn, table, pk)
        return row is not None and bool(row[column] == value)

    def _set_reference(self, entry: Entry) -> None:
        """Point a row that stayed at its book or file again, or no longer."""
        old, new = image_of(entry.old), image_of(entry.new)
        kept = {**new, **old, entry.field: new.get(entry.field)}
        pk = find_let_go(self.conn, entry.table, entry.pk, tuple(kept.items()))
        if pk is None:
            return  # somebody gave it another place since
        self.conn.execute(
            f"update {quoted(entry.table)} set {quoted(entry.field)} = ? where rowid = ?",
            (old.get(entry.field), pk),
        )
        self.entries.append(
            Entry(entry.table, pk, entry.field, entry.new, None, entry.old, None, entry.reason)
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
        present: Any = plain(entry.new)
        restored: Any = plain(entry.old)
        if field.is_list:
            present = load_list(self.conn, field, entry.pk)[1]
            restored = rows_of(field, entry.old)
            self._replace_rows(field, entry.pk, restored)
        elif field.kind is Kind.PUBLISHER:
            present, restored = structure(entry.new), structure(entry.old)
            columns["publisher_id"] = image_of(entry.old).get("id")
            is_known = restored and restored.get("name") is not None  # else it pointed nowhere before, too
            self._require_entities(field, [restored] if is_known else [])
        elif field.kind is Kind.COVER:
            present, restored = structure(entry.new), structure(entry.old)
            columns |= cover_columns(**image_of(entry.old))
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


def _reason(error: sqlite3.Error) -> str:
    """Say what stands in the way of a row, in words for a person."""
    text = str(error)
    if not text.startswith(_TAKEN):
        return f"the database refuses it ({text})"
    columns = [column.rpartition(".")[2] for column in text.removeprefix(_TAKEN).split(", ")]
    return f"another row has the same {' and '.join(columns)}"
