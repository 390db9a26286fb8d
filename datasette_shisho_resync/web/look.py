"""Gives every library its titles, explanations, sorting and facets, whatever its database is called.

Datasette looks all of this up by the name of the database, and has no hook for it: so it is added once,
when Datasette starts, below everything that the configuration says itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from datasette.utils import parse_metadata

from ..site import METADATA
from ..store.browsing import large_tables
from ..store.schema import LibrarySchema
from ..store.texts import add_texts
from .library import libraries_of, library_of

if TYPE_CHECKING:
    from datasette import Event
    from datasette.app import Datasette

_NAME = "library"  # the database whose block in the file is that of every library
_MOST_FACETED_ROWS = 50_000  # beyond, a facet costs each page the 0.2 s that Datasette grants it
_SETTINGS = ("label_column", "hidden", "facets", "sort", "sort_desc")
_SORTS = frozenset({"sort", "sort_desc"})


async def give_look(datasette: Datasette) -> None:
    """Add what metadata.yml says of a library to each that there is, where nothing else is said."""
    internal = datasette.get_internal_database()
    look = library_look()
    for library in libraries_of(datasette):
        name, tables = library.name, look["tables"]
        _configure(datasette, name, tables, *await library.read(_shape))
        # Not `set_resource_metadata` and its like: they replace what a person said, and take a write each.
        texts, columns = list(_texts(tables)), list(_columns(tables))
        await internal.execute_write_fn(
            partial(add_texts, database=name, description=look["description"], tables=texts, columns=columns)
        )


async def follow_alteration(datasette: Datasette, event: Event) -> None:
    """Take out of a table's look what names a column that is no more: every page of it would be an error."""
    if event.name != "alter-table" or event.database not in datasette.databases:
        return
    tables = (datasette.config or {}).get("databases", {}).get(event.database, {}).get("tables", {})
    configured, said = tables.get(event.table), library_look()["tables"].get(event.table)
    if configured and said and library_of(datasette, event.database):
        columns = await datasette.get_database(event.database).table_columns(event.table)
        _leave_out(configured, {key: said[key] for key in _SETTINGS if key in said}, columns)


def _leave_out(configured: dict[str, Any], said: Mapping[str, Any], columns: list[str]) -> None:
    """Leave out the columns that we said and that are not there; what a person said is theirs to correct."""
    ours = said.get("facets", ())
    if facets := configured.get("facets"):
        configured["facets"] = [name for name in facets if name in columns or name not in ours]
    for key in ("label_column", "sort", "sort_desc"):
        if key in said and configured.get(key) == said[key] and said[key] not in columns:
            del configured[key]


@lru_cache(maxsize=1)
def library_look() -> Mapping[str, Any]:
    metadata: Any = parse_metadata(METADATA.read_text(encoding="utf-8"))
    look: Mapping[str, Any] = metadata["databases"][_NAME]
    return look


def _texts(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for table, said in tables.items():
        yield from ((table, key, said[key]) for key in ("title", "description") if key in said)


def _columns(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for table, said in tables.items():
        for column, text in said.get("columns", {}).items():
            yield table, column, text


def _shape(conn: sqlite3.Connection, schema: LibrarySchema) -> tuple[LibrarySchema, frozenset[str]]:
    """Return the library's tables, and those that are too large for facets that nobody asked for."""
    faceted = [t for t, said in library_look()["tables"].items() if "facets" in said and t in schema.columns]
    return schema, large_tables(conn, faceted, _MOST_FACETED_ROWS)


def _configure(
    datasette: Datasette,
    database: str,
    tables: Mapping[str, Any],
    schema: LibrarySchema,
    large: frozenset[str],
) -> None:
    config = datasette.config = datasette.config or {}
    databases = _below(config, "databases")
    if not databases.get(database) and config.get("plugins"):
        # Else the new block would hide the common settings of every plugin: Datasette 1.0a41 does not
        # fall back to them for a database that is configured in any other way.
        databases[database] = {"plugins": config["plugins"]}
    configured = _below(_below(databases, database), "tables")
    for table, said in tables.items():
        present = _below(configured, table)
        wanted = {key: said[key] for key in _SETTINGS if key in said}
        if table in large:
            wanted.pop("facets", None)
        for key, value in _possible(wanted, present, schema.columns.get(table)).items():
            present.setdefault(key, value)


def _below(config: dict[str, Any], key: str) -> dict[str, Any]:
    if not config.get(key):
        config[key] = {}
    found: dict[str, Any] = config[key]
    return found


def _possible(
    wanted: Mapping[str, Any], present: Mapping[str, Any], columns: frozenset[str] | None
) -> Mapping[str, Any]:
    """Leave out what names a column that an older library has not, or would fight with what is configured."""
    possible = dict(wanted)
    if columns is not None and "facets" in possible:
        possible["facets"] = [column for column in possible["facets"] if column in columns]
    for key in ("label_column", "sort", "sort_desc"):
        if columns is not None and possible.get(key) not in columns:
            possible.pop(key, None)
    if not _SORTS.isdisjoint(present) or "sortable_columns" in present:
        possible = {key: value for key, value in possible.items() if key not in _SORTS}
    return possible
