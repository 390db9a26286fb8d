"""Find-or-create of persons, series, genres, tags and publishers (spec section 8)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..fields import ENTITY_BY_TABLE, PERSON, SERIES, Entity
from ..model import ROW, Identities, Identity, folded
from ..normalize.names import sort_name
from ..normalize.titles import sort_title
from ..sources import FILEPATH, rank
from .history import Entry
from .schema import LibrarySchema
from .search import insert_entity, unindex_entity
from .snapshot import find_entity


@dataclass(slots=True)
class EntityRows:
    """The named rows of one library during one transaction.

    `created` and `improved` are history entries: rows that were made, and series whose source rose.
    `is_complete`: every name that will be asked for and is not in `known` has no row. `index_later`:
    the caller writes the search rows of what was created.
    """

    conn: sqlite3.Connection
    schema: LibrarySchema
    library_id: int
    timestamp: str
    known: dict[tuple[str, str], Identity]
    is_complete: bool = False
    index_later: bool = False
    created: list[Entry] = field(default_factory=list)
    improved: list[Entry] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        conn: sqlite3.Connection,
        schema: LibrarySchema,
        library_id: int,
        timestamp: str,
        known: Identities,
    ) -> EntityRows:
        return cls(conn, schema, library_id, timestamp, dict(known.rows))

    def id_of(self, table: str, name: str, source: str | None, *, sort_hint: str | None = None) -> int:
        """Return the row that a name means, made when there is none; a series' source only rises."""
        key = (table, folded(name))
        identity = self.known.get(key)
        if identity is None and not self.is_complete:
            identity = find_entity(self.conn, self.schema, self.library_id, table, name.strip())
        if identity is None:
            identity = self._create(ENTITY_BY_TABLE[table], name.strip(), source, sort_hint)
        elif table == "series" and rank(source) < rank(identity.source):
            identity = self._improve(identity, source)
        self.known[key] = identity
        return identity.id

    def _create(self, entity: Entity, name: str, source: str | None, sort_hint: str | None) -> Identity:
        columns: dict[str, object] = {
            "created_at": self.timestamp,
            "updated_at": self.timestamp,
            "library_id": self.library_id,
            "name": name,
        }
        if entity is PERSON:
            columns["sort_name"] = sort_hint or sort_name(name)
            columns["sort_name_source"] = FILEPATH
        elif entity is SERIES:
            columns["name_source"] = source or FILEPATH
            columns["sort_name"] = sort_title(name)
            columns["sort_name_source"] = FILEPATH
        marks = ", ".join("?" * len(columns))
        row_id = self.conn.execute(
            f"insert into {entity.table} ({', '.join(columns)}) values ({marks})", tuple(columns.values())
        ).lastrowid
        assert row_id is not None
        if (
            entity is not SERIES and not self.index_later
        ):  # a series' row tells of its books, and is written with them
            insert_entity(self.conn, self.schema, entity, row_id)
        self.created.append(
            Entry(entity.table, row_id, ROW, None, None, {"id": row_id, "name": name}, source, "new_value")
        )
        name_source = source if entity is SERIES else None
        return Identity(row_id, name, name_source, str(columns.get("sort_name", "")) or None)

    def _improve(self, identity: Identity, source: str | None) -> Identity:
        self.conn.execute(
            "update series set name_source = ?, updated_at = ? where id = ?",
            (source, self.timestamp, identity.id),
        )
        self.improved.append(
            Entry(
                "series",
                identity.id,
                "name_source",
                identity.source,
                identity.source,
                source,
                source,
                "better_source",
            )
        )
        return Identity(identity.id, identity.name, source, identity.sort_name)


def forget_entity(conn: sqlite3.Connection, schema: LibrarySchema, table: str, pk: int) -> None:
    """Remove a named row and its full-text row."""
    entity = ENTITY_BY_TABLE[table]
    unindex_entity(conn, schema, entity, pk)
    conn.execute(f"delete from {entity.table} where id = ?", (pk,))


def index_created(
    conn: sqlite3.Connection, schema: LibrarySchema, created: Iterable[tuple[str, int]]
) -> None:
    """Write the search rows of named rows, (table, id), that were made without; series aside."""
    for table, pk in created:
        if table != SERIES.table:
            insert_entity(conn, schema, ENTITY_BY_TABLE[table], pk)
