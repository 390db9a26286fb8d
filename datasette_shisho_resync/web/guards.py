"""The history is ours: who may look at the `resync_` tables, and that nobody writes them by hand.

Undo believes what they say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from datasette.permissions import PermissionSQL
from datasette.resources import TableResource

from ..store.schema import HISTORY_TABLES
from .access import RESYNC, TABLES, VIEW, Actor
from .state import started_state

if TYPE_CHECKING:
    from datasette.app import Datasette

_WRITES = frozenset({"insert-row", "update-row", "delete-row", "alter-table", "drop-table", RESYNC})
_DENY_SQL = """
    select d.value as parent, t.value as child, 0 as allow, :shisho_reason as reason
    from json_each(:shisho_databases) as d, json_each(:shisho_tables) as t
"""


async def protect_history(datasette: Datasette, actor: Actor, action: str) -> PermissionSQL | None:
    """Deny every write to our tables, and looking at them to those who may not resync."""
    if action in _WRITES:
        return _denial(list(datasette.databases), "the history is written by runs alone")
    if action == VIEW:
        closed = [name for name in _libraries(datasette) if not await _may_look(datasette, actor, name)]
        return _denial(closed, "the history needs resync-row on books or files") if closed else None
    return None


def _libraries(datasette: Datasette) -> list[str]:
    """Return the databases that may hold a history; to ask about others would cost every page."""
    state = started_state(datasette)
    return [name for name in datasette.databases if state is None or name not in state.others]


def _denial(databases: list[str], reason: str) -> PermissionSQL:
    return PermissionSQL(
        sql=_DENY_SQL,
        params={
            "shisho_reason": reason,
            "shisho_databases": json.dumps(databases),
            "shisho_tables": json.dumps(list(HISTORY_TABLES)),
        },
    )


async def _may_look(datasette: Datasette, actor: Actor, database: str) -> bool:
    """Tell whether the actor may see what runs did; with closed libraries among them, only root may."""
    if datasette.root_enabled and actor and actor.get("id") == "root":
        return True  # asked for nearly every page, so without a look at the rules
    state = started_state(datasette)
    if state is None or state.settings.library_access:
        return False
    for table in TABLES:
        resource = TableResource(database=database, table=table)
        if await datasette.allowed(action=RESYNC, resource=resource, actor=actor):
            return True
    return False
