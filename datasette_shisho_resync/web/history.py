"""Runs as Datasette shows them: who may undo one, and what it would bring back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from datasette import Forbidden

from ..errors import UnknownRow
from ..fields import BY_NAME, Field, Kind
from ..json_output import sendable
from ..model import Value
from ..store.history import Entry, Run, from_cell
from ..store.snapshot import value_of_rows
from .access import RESYNC, Actor, find_allowed, require_every_library, resyncable_tables
from .display import Cell, list_cells, shown_cell
from .library import WebLibrary


async def may_undo(library: WebLibrary, actor: Actor, run_id: Callable[[], Awaitable[int]]) -> Run:
    """Return the run for an actor who may undo it. Raises Forbidden, UnknownRow."""
    tables = await resyncable_tables(library.datasette, actor, library.name)
    try:
        run = await library.recorded_run(await run_id())
    except UnknownRow:
        await require_every_library(library, actor)
        raise
    if run.target.table not in tables:
        raise Forbidden(f"Permission denied: need {RESYNC}")
    await _require_library_of(library, actor, run)
    return run


async def _require_library_of(library: WebLibrary, actor: Actor, run: Run) -> None:
    """Judge by the row's library; of a removed row, by the one that the history names."""
    if not library.settings.library_access:
        return
    try:
        await find_allowed(library, actor, run.target)
    except UnknownRow:
        await require_every_library(library, actor)


def run_entries(run: Run) -> list[dict[str, Any]]:
    """Return what the undo of a run would put back, newest first: `old` becomes `new`."""
    return [
        {
            "table": entry.table,
            "pk": entry.pk,
            "field": entry.field,
            "old": sendable(_value(entry, entry.new)),
            "old_source": entry.new_source,
            "new": sendable(_value(entry, entry.old)),
            "new_source": entry.old_source,
            "reason": entry.reason,
        }
        for entry in reversed(run.entries)
    ]


def _value(entry: Entry, cell: Any) -> Any:
    """Return what a history cell holds: of rows, lists and the like their structure, of a scalar itself."""
    field = BY_NAME.get(entry.field)
    is_scalar = field is not None and not field.is_list and field.kind not in (Kind.PUBLISHER, Kind.COVER)
    return cell if is_scalar else _structure(cell)


def entry_cells(entry: Entry) -> tuple[Cell, Cell]:
    """Return a field's value before and after a run, lists with what came and went marked."""
    field = BY_NAME[entry.field]
    if field.is_list:
        return list_cells(_list(field, entry.old), _list(field, entry.new))
    return shown_cell(_cell_text(entry, entry.old)), shown_cell(_cell_text(entry, entry.new))


def _list(field: Field, cell: Any) -> Value:
    """Return the list that a history cell holds; nothing for one that no run wrote."""
    try:
        return value_of_rows(field, from_cell(cell)) if cell else ()
    except (KeyError, TypeError, ValueError):
        return ()


def _cell_text(entry: Entry, cell: Any) -> str | None:
    """Return a scalar as text, of a structure what it is called."""
    if cell is None or cell == "":
        return None
    named = _value(entry, cell)
    return str(sendable(row_text(named) if isinstance(named, dict) else cell)) or None


def row_of(cell: Any) -> str:
    """Return what the row in a history cell is called."""
    row = _structure(cell)
    return row_text(row) if isinstance(row, dict) else ""


def row_text(row: Mapping[str, Any]) -> str:
    """Return what a row is called: its title, name, path or value; of a link, what it links to."""
    named = next((row[k] for k in _CALLED if row.get(k)), None)
    if named is not None:
        return str(sendable(named))
    links = (f"{k[:-3]} {v}" for k, v in row.items() if k.endswith("_id") and k not in _OWNERS)
    return next(links, "")


_CALLED = ("title", "name", "filepath", "value", "filename")
_OWNERS = ("book_id", "file_id", "library_id", "parent_id")


def _structure(cell: Any) -> Any:
    if not isinstance(cell, str) or cell[:1] not in ("[", "{"):
        return cell
    try:
        return from_cell(cell)
    except ValueError:
        return cell
