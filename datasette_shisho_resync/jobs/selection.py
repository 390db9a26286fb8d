"""Which rows a query string selects: those that Datasette's own table page shows, on all its pages."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from datasette import Forbidden, Request
from datasette.utils import filters_should_redirect, path_with_added_args, sqlite_timelimit
from datasette.views.base import DatasetteError

from ..errors import BadRequest
from ..store.schema import LibrarySchema
from ..store.selection import count_selected, selected_ids
from ..web.library import WebLibrary

if TYPE_CHECKING:
    from datasette.app import Datasette

T = TypeVar("T")
MODE = "_mode"  # an argument that begins with _ is no filter
_NO_FILTERS = (MODE, "_next", "_size")


@dataclass(frozen=True)
class Selection:
    """The rows of `table`, by id, that the filters `query` select."""

    table: str
    query: str
    pks: tuple[int, ...]

    @cached_property
    def digest(self) -> str:
        """Tell this set of rows from any other."""
        return hashlib.sha256(json.dumps(self.pks).encode()).hexdigest()


async def select_rows(library: WebLibrary, request: Request, table: str) -> Selection:
    """Raises BadRequest for a filter that is wrong or takes too long, Forbidden for a forbidden one."""
    pks = await _evaluate(library, request, table, selected_ids, library.datasette.sql_time_limit_ms)
    return Selection(table, filters_of(request), pks)


async def count_rows(library: WebLibrary, request: Request, table: str, limit_ms: int) -> int:
    """Return how many rows are selected. Raises as `select_rows`."""
    return await _evaluate(library, request, table, count_selected, limit_ms)


def filters_of(request: Request) -> str:
    """Return the query string without what is ours and without the page of the table."""
    pairs = parse_qsl(request.query_string, keep_blank_values=True)
    return urlencode([(key, value) for key, value in pairs if key not in _NO_FILTERS])


async def _evaluate(
    library: WebLibrary,
    request: Request,
    table: str,
    query: Callable[[sqlite3.Connection, str, list[str], Mapping[str, Any]], T],
    limit_ms: int,
) -> T:
    where, params = await _clauses(library.datasette, _as_shown(request), library.name, table)

    def evaluate_selection(conn: sqlite3.Connection, schema: LibrarySchema) -> T:
        try:
            with sqlite_timelimit(conn, limit_ms):
                return query(conn, table, where, params)
        except sqlite3.Error as error:
            library.require_same_file()
            reason = "it takes too long" if "interrupted" in str(error) else str(error)
            raise BadRequest(f"The filter can't be used: {reason}.") from error

    return await library.read(evaluate_selection)


def _as_shown(request: Request) -> Request:
    """Return the request that the table page would redirect to: its form for a filter says it another way."""
    redirect = filters_should_redirect(request.args)
    if not redirect:
        return request
    query = urlsplit(path_with_added_args(request, redirect)).query
    return Request({**request.scope, "query_string": query.encode("latin-1")}, request.receive)


async def _clauses(
    datasette: Datasette, request: Request, database: str, table: str
) -> tuple[list[str], dict[str, Any]]:
    # Datasette has no public function for this, and a second copy of its rules would drift.
    from datasette.views.table import _table_filters

    try:
        _, where, params, _, _ = await _table_filters(datasette, request, database, table)
    except DatasetteError as error:
        if error.status == 403:
            raise Forbidden(str(error.message)) from error
        raise BadRequest(str(error.message)) from error
    except (ValueError, KeyError, TypeError) as error:  # a _through that is not what it should be
        raise BadRequest("The filter can't be used.") from error
    return where, params
