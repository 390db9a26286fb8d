"""What a person can edit, derived from the field table: how to read it, and what follows from an edit.

Makes SQL and runs none. No trigger names a column in an expression or another table: SQLite checks every
trigger when a table is altered, and would refuse to drop a column or to rename a table that one of ours needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..fields import Entity, Field, Kind, Level
from ..sources import MANUAL
from ..store.apply import cover_columns
from ..store.schema import LibrarySchema, quoted

_ROW_SOURCES = (
    ("persons", "sort_name_source", ("sort_name",)),
    ("series", "name_source", ("name",)),
    ("series", "sort_name_source", ("sort_name",)),
    ("file_identifiers", "source", ("type", "value")),
)
"""Sources beside those of the field table: table, source column, the columns it tells of."""

_BOOKKEEPING = frozenset({"id", "created_at", "updated_at", "source"})


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """One piece of metadata. All statements take the id of its row, `state_sql` gives the source first.

    `edited` and `gone`: the statements to run when its value changed, or when its row is no more.
    """

    state_sql: str
    edited: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def needs_history(self) -> bool:
        return any("resync_manual" in statement for statement in self.edited + self.gone)


@dataclass(frozen=True, slots=True)
class Touch:
    """A kind of statement that may change something; `keys` are the ids of the watched rows."""

    table: str
    moment: str
    keys: tuple[str, ...]


INSERTED = "after insert"
_REPLACED = "before insert"  # `insert or replace` is no update: this is where the old row is still there
_DELETED = "before delete"


def watches(schema: LibrarySchema) -> dict[Touch, tuple[Watch, ...]]:
    """Return what to look at before each kind of statement, as far as this library has the columns."""
    found: dict[Touch, tuple[Watch, ...]] = {}
    for touch, watch in _all_watches(schema):
        found[touch] = (*found.get(touch, ()), watch)
    return found


def _all_watches(schema: LibrarySchema) -> Iterator[tuple[Touch, Watch]]:
    for field in schema.fields:
        yield from _list_field(schema, field) if field.link_table else _scalar_field(schema, field)
    for table, source, columns in _ROW_SOURCES:
        if schema.has(table, "id", source, *columns):
            watch = _row_watch(table, source, columns, _set_manual(table, source, "id = ?"))
            yield from _touches_of_row(table, (*columns, source), watch)
    for entity in schema.entities:
        yield from _named_rows(schema, entity)
    for level in Level:
        yield Touch(level.value, _DELETED, ("old.id",)), _marks_of_row(level)


def _scalar_field(schema: LibrarySchema, field: Field) -> Iterator[tuple[Touch, Watch]]:
    assert field.column is not None
    table = field.level.value
    candidates = cover_columns() if field.kind is Kind.COVER else (field.column,)
    columns = tuple(column for column in candidates if schema.has(table, column))
    watch = _row_watch(table, field.source_column, columns, _make_manual(field, "id = ?"))
    own_source = (field.source_column,) if field.source_column else ()
    yield from _touches_of_row(table, (*columns, *own_source), watch)


def _list_field(schema: LibrarySchema, field: Field) -> Iterator[tuple[Touch, Watch]]:
    assert field.link_table is not None
    table, link, owner = field.level.value, field.link_table, field.owner_column
    columns = sorted(schema.columns[link] - _BOOKKEEPING - {owner})
    values = "".join(f", link.{quoted(column)}" for column in columns)
    order = f"order by {', '.join(str(2 + i) for i in range(len(columns)))}" if columns else ""
    watch = Watch(
        f"""
        select {f"owner.{field.source_column}" if field.source_column else "null"}{values}
        from {table} as owner
        left join {link} as link on link.{owner} = owner.id
        where owner.id = ?
        {order}
        """,
        edited=(_make_manual(field, "id = ?"),),
    )
    yield Touch(link, _REPLACED, (f"new.{owner}",)), watch
    yield Touch(link, "before update", (f"old.{owner}", f"new.{owner}")), watch
    yield Touch(link, _DELETED, (f"old.{owner}",)), watch
    yield from _touches_of_row(table, (), watch)


def _named_rows(schema: LibrarySchema, entity: Entity) -> Iterator[tuple[Touch, Watch]]:
    """Renaming or deleting a person or a genre changes the lists that it is in.

    A series has a source for its name, so renaming one is no edit of its books.
    """
    of_owners = tuple(
        _make_manual(field, _owners(field)) for field in schema.fields if field.entity == entity
    )
    has_own_source = schema.has(entity.table, "name_source")
    watch = Watch(
        f"select null, name from {entity.table} where id = ?",
        edited=() if has_own_source else of_owners,
        gone=of_owners,
    )
    yield from _touches_of_row(entity.table, ("name",), watch)
    yield Touch(entity.table, _DELETED, ("old.id",)), watch


def _owners(field: Field) -> str:
    assert field.entity is not None
    if field.link_table is None:
        return f"{field.column} = ?"
    return f"id in (select {field.owner_column} from {field.link_table} where {field.entity.id_column} = ?)"


def _row_watch(table: str, source: str | None, columns: tuple[str, ...], edited: str) -> Watch:
    return Watch(
        f"select {source or 'null'}, {', '.join(columns)} from {table} where id = ?", edited=(edited,)
    )


def _touches_of_row(table: str, columns: tuple[str, ...], watch: Watch) -> Iterator[tuple[Touch, Watch]]:
    """Yield the touches of a watched row; `columns` are those that an update must name to count."""
    if columns:
        yield Touch(table, f"before update of {', '.join(columns)}", ("old.id",)), watch
    yield Touch(table, _REPLACED, ("new.id",)), watch
    yield Touch(table, INSERTED, ("new.id",)), watch


def _marks_of_row(level: Level) -> Watch:
    return Watch(
        f"select null from {level.value} where id = ?",
        gone=(f"delete from resync_manual where table_name = '{level.value}' and row_pk = ?",),
    )


def _make_manual(field: Field, condition: str) -> str:
    table = field.level.value
    if field.source_column:
        return _set_manual(table, field.source_column, condition)
    return f"""
        insert or ignore into resync_manual (table_name, row_pk, field)
        select '{table}', id, '{field.name}'
        from {table}
        where {condition}
    """


def _set_manual(table: str, source: str, condition: str) -> str:
    return f"""
        update {table}
        set {source} = '{MANUAL}'
        where {condition} and {source} is not '{MANUAL}'
    """
