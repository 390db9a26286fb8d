"""The history is ours: who may look at the `resync_` tables and ask our queries, and that nobody writes
the tables by hand.

Undo believes what they say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextvars import ContextVar
from itertools import product
from typing import TYPE_CHECKING

from datasette.permissions import PermissionSQL
from datasette.resources import TableResource

from ..model import TABLES
from ..store.schema import HISTORY_TABLES
from .access import RESYNC, VIEW, Actor, visible_tables
from .questions import closed_questions
from .state import started_state

if TYPE_CHECKING:
    from datasette.app import Datasette

VIEW_QUERY = "view-query"
_WRITES = frozenset({"insert-row", "update-row", "delete-row", "alter-table", "drop-table", RESYNC})
_NEEDED = "the history needs resync-row on books or files, and view-table on both"
_DENY_SQL = """
    select json_extract(value, '$[0]') as parent, json_extract(value, '$[1]') as child, 0 as allow,
        :shisho_reason as reason
    from json_each(:shisho_denied)
"""


# Set while we ask about books and files ourselves, for that question leads here again.
_is_asking: ContextVar[bool] = ContextVar("shisho_is_asking", default=False)


async def protect_history(datasette: Datasette, actor: Actor, action: str) -> PermissionSQL | None:
    """Deny every write to our tables, and looking at them to those who may not resync or not see books;
    and our queries to those who may not view what they read.
    """
    if action in _WRITES:
        return _denial(_history(datasette.databases), "the history is written by runs alone")
    if action == VIEW_QUERY:
        return _denial(await closed_questions(datasette, actor), "it reads a table that is closed")
    if action != VIEW:
        return None
    if _is_asking.get():
        return _denial(_history(datasette.databases), _NEEDED)
    token = _is_asking.set(True)
    try:
        closed = [name for name in datasette.databases if not await may_look(datasette, actor, name)]
    finally:
        _is_asking.reset(token)
    return _denial(_history(closed), _NEEDED)


def _history(databases: Iterable[str]) -> list[tuple[str, str]]:
    return list(product(databases, HISTORY_TABLES))


def _denial(pairs: list[tuple[str, str]], reason: str) -> PermissionSQL | None:
    """Deny these (database, table or query) pairs."""
    if not pairs:
        return None
    return PermissionSQL(sql=_DENY_SQL, params={"shisho_reason": reason, "shisho_denied": json.dumps(pairs)})


async def may_look(datasette: Datasette, actor: Actor, database: str) -> bool:
    """Tell whether the actor may see what runs did; with closed libraries among them, only root may.

    So it is with a database that was no library, or could not be read, when Datasette started: to ask about
    each such one would cost every page.
    """
    if datasette.root_enabled and actor and actor.get("id") == "root" and "_r" not in actor:
        return True  # asked for nearly every page, so without a look at the rules
    state = started_state(datasette)
    if state is None or state.settings.library_access or database in state.others:
        return False
    for table in TABLES:
        resource = TableResource(database=database, table=table)
        if await datasette.allowed(action=RESYNC, resource=resource, actor=actor):
            return await visible_tables(datasette, actor, database) == set(TABLES)
    return False
