"""What a person can edit, derived from the field table: how to read it, and what follows from an edit.

Makes SQL and runs none. No trigger names a column in an expression or another table: SQLite checks every
trigger when a table is altered, and would refuse to drop a column or rename a table that one of ours needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..fields import Entity, Field, Kind, Level
from ..sources import MANUAL
from ..store.apply import cover_columns
from ..store.schema import LibrarySchema, quoted
from .consequence import GIVEN, Consequence
from .sort_texts import follow_name, follow_title

INSERTED = "after insert"
REPLACED = "before insert"  # `insert or replace` is no update: this is where the old row is still there
UPDATED = "before update"
DELETED = "before delete"

_ROW_SOURCES = (
    ("persons", "sort_name_source", ("sort_name",)),
    ("series", "name_source", ("name",)),
    ("series", "sort_name_source", ("sort_name",)),
    ("file_identifiers", "source", ("type", "value")),
)
"""Sources beside those of the field table: table, source column, the columns it tells of."""

_NOT_CONTENT = frozenset({"id", "created_at", "updated_at", "source"})


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """One piece of metadata. `state_sql` takes the id of its row and gives its source first, then its value.

    `edited` and `gone`: what follows when a person changed the value, and when the row is no more; `changed`:
    what follows from the new value then, whatever source it was given.
    """

    state_sql: str
    edited: tuple[Consequence, ...] = ()
    gone: tuple[Consequence, ...] = ()
    changed: tuple[Consequence, ...] = ()


@dataclass(frozen=True, slots=True)
class Touch:
    """A kind of statement that may change something; `keys` are the ids of the watched rows."""

    table: str
    moment: str
    keys: tuple[str, ...]


def watches(schema: LibrarySchema) -> dict[Touch, tuple[Watch, ...]]:
    """Return what to look at before each kind of statement, as far as this library has the columns."""
    found: dict[Touch, tuple[Watch, ...]] = {}
    for touch, watch in _all_watches(schema):
        found[touch] = (*found.get(touch, ()), watch)
    return found


def _all_watches(schema: LibrarySchema) -> Iterator[tuple[Touch, Watch]]:
    for field in schema.fields:
        yield from _list_field(schema, field) if field.is_list else _scalar_field(schema, field)
    for table, source, columns in _ROW_SOURCES:
        if schema.has(table, "id", source, *columns):
            yield from _row(table, source, columns, _set_manual(table, source, f"id {GIVEN}"))
    for entity in schema.entities:
        yield from _named_row(schema, entity)
    if schema.has_history:
        for level in Level:
            yield Touch(level.value, DELETED, ("old.id",)), _marks_of_row(level)


def _scalar_field(schema: LibrarySchema, field: Field) -> Iterator[tuple[Touch, Watch]]:
    assert field.column is not None
    columns = cover_columns() if field.kind is Kind.COVER else (field.column,)
    present = tuple(column for column in columns if schema.has(field.level.value, column))
    changed = follow_title(schema) if field.name == "title" else ()
    edited = _make_manual(schema, field, f"id {GIVEN}")
    return _row(field.level.value, schema.source_column(field), present, edited, changed)


def _row(
    table: str,
    source: str | None,
    columns: tuple[str, ...],
    edited: Consequence,
    changed: tuple[Consequence, ...] = (),
) -> Iterator[tuple[Touch, Watch]]:
    """Watch columns of a row that share a source."""
    state = f"select {source or 'null'}, {', '.join(columns)} from {table} where id = ?"
    watch = Watch(state, (edited,), changed=changed)
    updated = (*columns, source) if source else columns
    yield Touch(table, f"{UPDATED} of {', '.join(updated)}", ("old.id",)), watch
    yield from _birth(table, watch)


def _birth(table: str, watch: Watch) -> Iterator[tuple[Touch, Watch]]:
    yield Touch(table, REPLACED, ("new.id",)), watch
    yield Touch(table, INSERTED, ("new.id",)), watch


def _list_field(schema: LibrarySchema, field: Field) -> Iterator[tuple[Touch, Watch]]:
    assert field.link_table is not None
    table, link, owner = field.level.value, field.link_table, field.owner_column
    content = sorted(schema.columns[link] - _NOT_CONTENT - {owner})
    own_source = schema.source_column(field)
    source = f"owner.{own_source}" if own_source else "null"
    watch = Watch(
        f"""
        select {", ".join((source, *(f"link.{quoted(column)}" for column in content)))}
        from {table} as owner
        left join {link} as link on link.{owner} = owner.id
        where owner.id = ?
        order by {", ".join(str(number) for number in range(1, len(content) + 2))}
        """,
        edited=(_make_manual(schema, field, f"id {GIVEN}"),),
    )
    yield Touch(link, REPLACED, (f"new.{owner}",)), watch
    yield Touch(link, UPDATED, (f"old.{owner}", f"new.{owner}")), watch
    yield Touch(link, DELETED, (f"old.{owner}",)), watch
    if own_source:
        yield Touch(table, f"{UPDATED} of {own_source}", ("old.id",)), watch
    yield from _birth(table, watch)


def _named_row(schema: LibrarySchema, entity: Entity) -> Iterator[tuple[Touch, Watch]]:
    """Renaming or deleting a person or a genre edits what names it.

    A series has a source for its name, so that renaming one is no edit of its books.
    """
    fields = (field for field in schema.fields if field.entity == entity)
    naming = tuple(_make_manual(schema, field, _names(field)) for field in fields)
    has_source = schema.has(entity.table, "name_source")
    watch = Watch(
        f"select null, name from {entity.table} where id = ?",
        edited=() if has_source else naming,
        gone=naming,
        changed=follow_name(schema, entity.table),
    )
    yield Touch(entity.table, f"{UPDATED} of name", ("old.id",)), watch
    yield Touch(entity.table, DELETED, ("old.id",)), watch
    yield from _birth(entity.table, watch)


def _names(field: Field) -> str:
    """Return the condition for books or files whose field names one of the given rows."""
    if field.link_table is None:
        return f"{field.column} {GIVEN}"
    assert field.entity is not None
    return (
        f"id in (select {field.owner_column} from {field.link_table} where {field.entity.id_column} {GIVEN})"
    )


def _marks_of_row(level: Level) -> Watch:
    forget = f"delete from resync_manual where table_name = '{level.value}' and row_pk {GIVEN}"
    return Watch(f"select id from {level.value} where id = ?", gone=(Consequence(forget),))


def _make_manual(schema: LibrarySchema, field: Field, condition: str) -> Consequence:
    table, source = field.level.value, schema.source_column(field)
    if source:
        return _set_manual(table, source, condition)
    return Consequence(
        f"""
        insert or ignore into resync_manual (table_name, row_pk, field)
        select '{table}', id, '{field.name}'
        from {table}
        where {condition}
        """,
        is_mark=True,
    )


def _set_manual(table: str, source: str, condition: str) -> Consequence:
    return Consequence(
        f"""
        update {table}
        set {source} = '{MANUAL}'
        where {condition} and {source} is not '{MANUAL}'
        """
    )
