"""Who may: the permission `resync-row`, `view-table`, and the allow blocks of single libraries.

Checked before anything tells whether a row exists.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasette import Forbidden
from datasette.permissions import Action
from datasette.resources import TableResource
from datasette.utils import actor_matches_allow

from ..errors import ResyncError, UnknownRow
from ..model import TABLES, Brief, Target
from ..settings import Settings
from ..store.library import load_libraries
from .library import WebLibrary

if TYPE_CHECKING:
    from datasette.app import Datasette

_log = logging.getLogger(__name__)

Actor = Mapping[str, Any] | None

RESYNC, VIEW = "resync-row", "view-table"
_FEW = 5
_MOST_TABLES = 1_000


def actions() -> list[Action]:
    """Return the one permission of ours."""
    return [
        Action(
            name=RESYNC,
            description="Read the files of books and files again, and change their records",
            resource_class=TableResource,
            also_requires="update-row",
        )
    ]


@dataclass(frozen=True, slots=True)
class Rights:
    """What an actor may do with a table."""

    resync: bool
    view: bool


async def rights_on(datasette: Datasette, actor: Actor, database: str, table: str) -> Rights:
    allowed = await datasette.allowed_many(
        actions=[RESYNC, VIEW], resource=TableResource(database=database, table=table), actor=actor
    )
    return Rights(allowed[RESYNC], allowed[VIEW])


async def require(datasette: Datasette, actor: Actor, database: str, table: str, *actions: str) -> None:
    """Raises Forbidden, which names the first action that the actor may not do.

    Whether the table may be viewed is asked in the same breath: every answer depends on it, and Datasette
    remembers it for the request.
    """
    allowed = await datasette.allowed_many(
        actions=tuple(dict.fromkeys((*actions, VIEW))),
        resource=TableResource(database=database, table=table),
        actor=actor,
    )
    for action in actions:
        if not allowed[action]:
            raise Forbidden(f"Permission denied: need {action}")


async def resyncable_tables(datasette: Datasette, actor: Actor, database: str) -> frozenset[str]:
    """Return those of books and files that the actor may resync. Raises Forbidden when it is neither."""
    rights = {table: await rights_on(datasette, actor, database, table) for table in TABLES}
    found = frozenset(table for table, right in rights.items() if right.resync)
    if not found:
        raise Forbidden(f"Permission denied: need {RESYNC}")
    return found


async def may_view(datasette: Datasette, actor: Actor, database: str, table: str) -> bool:
    resource = TableResource(database=database, table=table)
    return bool(await datasette.allowed(action=VIEW, resource=resource, actor=actor))


async def visible_tables(
    datasette: Datasette, actor: Actor, database: str, tables: Iterable[str] = TABLES
) -> frozenset[str]:
    """Return those of the tables that the actor may view."""
    asked = list(tables)
    if len(asked) > _FEW:  # one look at all the rules costs as much as a few questions
        page = await datasette.allowed_resources(VIEW, actor, parent=database, limit=_MOST_TABLES)
        return frozenset(asked) & frozenset(resource.child for resource in page.resources)
    allowed = await asyncio.gather(*(may_view(datasette, actor, database, table) for table in asked))
    return frozenset(table for table, may in zip(asked, allowed, strict=True) if may)


async def visible_beside(
    library: WebLibrary, actor: Actor, target: Target, others: Iterable[str] = ()
) -> frozenset[str]:
    """Return which of books, files and `others` the actor may view; none without the target's own."""
    found = await visible_tables(library.datasette, actor, library.name, (*TABLES, *others))
    return found if target.table in found else frozenset()


async def find_allowed(library: WebLibrary, actor: Actor, target: Target) -> Brief:
    """Return the rows of a target that the actor may touch. Raises Forbidden, UnknownRow."""
    try:
        brief = await library.brief(target)
    except UnknownRow:
        await require_every_library(library, actor)
        raise
    require_library(library.settings, actor, brief.library_id, brief.library_name)
    return brief


def require_library(settings: Settings, actor: Actor, library_id: int, name: str) -> None:
    """Raises Forbidden."""
    if not may_touch(settings, actor, library_id, name):
        raise Forbidden("Permission denied: this library is not open to you")


def may_touch(settings: Settings, actor: Actor, library_id: int, name: str) -> bool:
    """Tell whether every allow block for the library, by name or by id, matches the actor."""
    blocks = [
        settings.library_access[key] for key in (name, str(library_id)) if key in settings.library_access
    ]
    return all(actor_matches_allow(actor, block) for block in blocks)


async def open_libraries(library: WebLibrary, actor: Actor) -> frozenset[int] | None:
    """Return the ids of the libraries that the actor may touch, None for all."""
    if not library.settings.library_access:
        return None
    found = await library.read(lambda conn, schema: load_libraries(conn))
    return frozenset(row.id for row in found if may_touch(library.settings, actor, row.id, row.name))


async def tell_unknown_libraries(libraries: Iterable[WebLibrary], settings: Settings) -> None:
    """Say in the log which allow blocks close nothing, as one of a misspelt name."""
    unknown = dict.fromkeys(settings.library_access)
    for library in libraries if unknown else ():
        with suppress(ResyncError):
            for row in await library.read(lambda conn, schema: load_libraries(conn)):
                unknown.pop(row.name, None)
                unknown.pop(str(row.id), None)
    for name in unknown:
        _log.warning("library_access: there is no library %r here, so that nothing is closed by this", name)


async def require_every_library(library: WebLibrary, actor: Actor) -> None:
    """Raises Forbidden for an actor who must not learn that a row does not exist."""
    if not library.settings.library_access:
        return
    for row in await library.read(lambda conn, schema: load_libraries(conn)):
        require_library(library.settings, actor, row.id, row.name)
