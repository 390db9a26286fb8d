"""The ways in, at the top of Datasette's first page and of each library's: books, files, what was run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ResyncError
from .access import Actor, may_view, visible_tables
from .library import WebLibrary, libraries_of, library_of

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

_DOORS = {"books": "Books", "files": "Files"}
_HISTORY_DOORS = {"resync_runs": "Runs", "resync_jobs": "Jobs"}


async def homepage_doors(datasette: Datasette, request: Request) -> str | None:
    return await _doors(datasette, request, libraries_of(datasette))


async def database_doors(datasette: Datasette, request: Request, database: str) -> str | None:
    library = library_of(datasette, database)
    return await _doors(datasette, request, [library] if library else [])


async def _doors(datasette: Datasette, request: Request, libraries: list[WebLibrary]) -> str | None:
    rows = [
        {"name": library.name, "links": links}
        for library in libraries
        if (links := await _links(library, request.actor))
    ]
    if not rows:
        return None
    return str(await datasette.render_template("_shisho_resync_doors.html", {"rows": rows}, request=request))


async def _links(library: WebLibrary, actor: Actor) -> list[dict[str, Any]]:
    """Return the tables that the actor may view; none in a database that is no library any more."""
    try:
        schema = await library.schema()
    except ResyncError:
        return []
    visible = await visible_tables(library.datasette, actor, library.name, _DOORS)
    doors = {table: label for table, label in _DOORS.items() if table in visible}
    if schema.has_history and await may_view(library.datasette, actor, library.name, "resync_runs"):
        doors |= _HISTORY_DOORS
    urls = library.datasette.urls
    return [{"url": urls.table(library.name, table), "label": label} for table, label in doors.items()]
