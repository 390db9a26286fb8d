"""Runs as Datasette shows them: who may undo one, and what it would bring back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from datasette import Forbidden

from ..decide import ROW
from ..errors import UnknownRow
from ..json_output import sendable
from ..store.history import Entry, Run
from .access import TABLES, Actor, find_allowed, require_every_library, rights_on
from .library import WebLibrary


async def may_undo(library: WebLibrary, actor: Actor, run_id: Callable[[], Awaitable[int]]) -> Run:
    """Return the run for an actor who may undo it. Raises Forbidden, UnknownRow."""
    may = {t: (await rights_on(library.datasette, actor, library.name, t)).resync for t in TABLES}
    if not any(may.values()):
        raise Forbidden("Permission denied: need resync-row")
    try:
        run = await library.recorded_run(await run_id())
    except UnknownRow:
        await require_every_library(library, actor)
        raise
    if not may.get(run.target.table):
        raise Forbidden("Permission denied: need resync-row")
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
            "old": sendable(entry.new),
            "old_source": entry.new_source,
            "new": sendable(entry.old),
            "new_source": entry.old_source,
            "reason": entry.reason,
        }
        for entry in reversed(run.entries)
    ]


def entry_text(entry: Entry, value: Any) -> str:
    """Return a history cell in a few words: lists by their names, rows by what they are called."""
    if value is None:
        return ""
    data = _structure(value)
    if isinstance(data, list):
        return "; ".join(_named(item) for item in data)
    if isinstance(data, dict) and entry.field != ROW:
        return _named(data)
    if isinstance(data, dict):
        return row_text(data)
    return str(sendable(value))


def row_text(row: dict[str, Any]) -> str:
    """Return what a row is called: its title, name, path or value."""
    found = (row.get(k) for k in ("title", "name", "filepath", "value", "entity_name"))
    return str(sendable(next((v for v in found if v), "")))


def _structure(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _named(item: Any) -> str:
    if not isinstance(item, dict):
        return str(sendable(item))
    found = (item.get(k) for k in ("entity_name", "name", "title", "value", "filename"))
    return str(sendable(next((v for v in found if v), "")))
