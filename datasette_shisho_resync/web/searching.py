"""Search in a library: Shisho's search tables name their rows by an id column, never by row id.

Datasette's own search compares row ids, which in these tables belong to whatever was indexed last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasette.filters import FilterArguments
from datasette.resources import TableResource

from ..errors import ResyncError
from ..store.browsing import search_clause, search_table_of
from .access import VIEW
from .library import library_of

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

_PARAMETER = "shisho_search"


async def search_filter(
    datasette: Datasette, request: Request, database: str, table: str
) -> FilterArguments | None:
    """Offer search on a table of a library, and apply it; None where there is none or core has its own."""
    search_table = search_table_of(table)
    if search_table is None or not await _is_ours(datasette, database, table, search_table):
        return None
    words = request.args.get("_search") or ""
    if not words:
        return FilterArguments([], extra_context={"supports_search": True})
    await datasette.ensure_permission(
        action=VIEW, resource=TableResource(database=database, table=search_table), actor=request.actor
    )
    is_raw = request.args.get("_searchmode") == "raw"
    return FilterArguments(
        [search_clause(table, _PARAMETER, is_raw=is_raw)],
        params={_PARAMETER: words},
        human_descriptions=[f'search matches "{words}"'],
        extra_context={"supports_search": True, "search": words},
    )


async def _is_ours(datasette: Datasette, database: str, table: str, search_table: str) -> bool:
    library = library_of(datasette, database)
    if library is None or (await datasette.table_config(database, table)).get("fts_table"):
        return False
    try:
        has_table = (await library.schema()).has(search_table)
    except ResyncError:
        return False
    return has_table and await library.db.fts_table(table) is None


def search_variables(request: Request | None, table: str | None, view: str | None) -> dict[str, str]:
    """Return what the search field shows: the words asked for, which core's page forgets."""
    if request is None or view != "table" or table is None or search_table_of(table) is None:
        return {}
    return {"search": request.args.get("_search") or ""}
