"""The history is ours: who may look at the `resync_` tables and ask our queries, and that nobody writes
the tables by hand.

Undo believes what they say.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import product
from typing import TYPE_CHECKING, Any

from datasette.permissions import PermissionSQL
from datasette.resources import TableResource

from ..model import TABLES
from ..store.schema import HISTORY_TABLES
from .access import RESYNC, VIEW, Actor, may_view, visible_tables
from .questions import closed_questions
from .state import started_state

if TYPE_CHECKING:
    from datasette.app import Datasette

App = Callable[[Any, Any, Any], Awaitable[None]]

VIEW_QUERY = "view-query"
_WRITES = frozenset({"insert-row", "update-row", "delete-row", "alter-table", "drop-table", RESYNC})
_NEEDED = "the history needs resync-row on books or files, and view-table on both"
_DENY_SQL = """
    select json_extract(value, '$[0]') as parent, json_extract(value, '$[1]') as child, 0 as allow,
        :shisho_reason as reason
    from json_each(:shisho_denied)
"""


# Whether the question is asked for a page about books or files, which shows no table of ours.
_among_books: ContextVar[bool] = ContextVar("shisho_among_books", default=False)


def noting_place(datasette: Datasette) -> Callable[[App], App]:
    """Note which requests are about books and files, as most are: they need not ask about the history."""

    def noting(app: App) -> App:
        async def noted(scope: Any, receive: Any, send: Any) -> None:
            with _asked(among_books=_is_among_books(datasette, scope.get("path", ""))):
                await app(scope, receive, send)

        return noted

    return noting


def _is_among_books(datasette: Datasette, path: str) -> bool:
    base = str(datasette.setting("base_url"))
    parts = path[len(base) :].split("/") if path.startswith(base) else []
    return len(parts) > 1 and parts[1].partition(".")[0] in TABLES


@contextmanager
def _asked(*, among_books: bool) -> Iterator[None]:
    token = _among_books.set(among_books)
    try:
        yield
    finally:
        _among_books.reset(token)


async def may_see_history(datasette: Datasette, actor: Actor, database: str) -> bool:
    """Tell, on the page of a book or file too, whether the actor may look at the runs."""
    with _asked(among_books=False):
        return await may_view(datasette, actor, database, "resync_runs")


async def protect_history(datasette: Datasette, actor: Actor, action: str) -> PermissionSQL | None:
    """Deny every write to our tables, and looking at them to those who may not resync or not see books;
    and our queries to those who may not view what they read.

    What may be looked at takes several questions to find out. Where none of our tables is shown they are
    simply denied.
    """
    if action in _WRITES:
        return _denial(_history(datasette.databases), "the history is written by runs alone")
    if action == VIEW_QUERY:
        return _denial(await closed_questions(datasette, actor), "it reads a table that is closed")
    if action != VIEW:
        return None
    if _among_books.get():
        return _denial(_history(datasette.databases), "this page shows no history")
    with _asked(among_books=True):
        closed = [name for name in datasette.databases if not await may_look(datasette, actor, name)]
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
