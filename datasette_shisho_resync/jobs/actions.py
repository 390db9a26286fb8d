"""The actions of the tables of books and files: a job on the rows that the page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datasette import Forbidden

from ..errors import ResyncError
from ..model import TABLES, Mode
from ..web.access import Actor, rights_on
from ..web.library import library_of
from ..web.words import mode_in_words, rows_label
from .pages import rows_url
from .selection import count_rows, filters_of

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

_COUNT_MS = 50  # a table's page waits no longer for the number in a label


async def table_items(
    datasette: Datasette, actor: Actor, database: str, table: str, request: Request
) -> list[dict[str, Any]]:
    """Return the actions that the actor may take; they are links to a page that asks, and work without
    JavaScript."""
    library = library_of(datasette, database)
    if library is None or table not in TABLES or not library.db.is_mutable or library.db.path is None:
        return []
    rights = await rights_on(datasette, actor, database, table)
    if not (rights.resync and rights.view):
        return []
    try:
        count = await count_rows(library, request, table, _COUNT_MS)
    except (ResyncError, Forbidden):
        count = None
    if count == 0:
        return []
    return [
        {
            "href": rows_url(library, filters_of(request), table, mode),
            "label": f"{rows_label(mode, count)}...",
            "description": f"Reads their files again and {mode_in_words(mode)}.",
        }
        for mode in Mode
    ]
