"""Datasette plugin: make a Shisho library and its media files agree again. Hook implementations only.

Worker processes import this package too, so what a hook needs is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click
    from datasette import Event
    from datasette.app import Datasette

    from .parsers import Parser

hookimpl = pluggy.HookimplMarker("datasette")


@hookimpl
def register_commands(cli: click.Group) -> None:
    from .cli import shisho

    cli.add_command(shisho)


@hookimpl(trylast=True)
def shisho_parsers() -> Mapping[str, Parser]:
    from .hooks import builtin_parsers

    return builtin_parsers()


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    from .jobs.routes import job_routes
    from .web.routes import routes

    return [*routes(), *job_routes()]


@hookimpl
def register_actions() -> list[Any]:
    from .web.access import actions

    return actions()


@hookimpl
def register_events() -> list[type]:
    from .web.events import ResyncRowEvent, UndoResyncEvent

    return [ResyncRowEvent, UndoResyncEvent]


@hookimpl
def permission_resources_sql(datasette: Datasette, actor: Any, action: str) -> Any:
    from .web.guards import protect_history

    return protect_history(datasette, actor, action)


@hookimpl
def asgi_wrapper(datasette: Datasette) -> Any:
    from .web.guards import noting_place

    return noting_place(datasette)


@hookimpl
def startup(datasette: Datasette) -> Any:
    from .web.starting import start_all

    return lambda: start_all(datasette)


@hookimpl
def shutdown(datasette: Datasette) -> Any:
    from .web.state import stop

    return lambda: stop(datasette)


@hookimpl(tryfirst=True)
def write_wrapper(datasette: Datasette, database: str) -> Any:
    from .provenance import tracked_write

    return tracked_write(datasette, database)


@hookimpl
def track_event(datasette: Datasette, event: Event) -> Any:
    from .web.look import follow_alteration

    return follow_alteration(datasette, event)


@hookimpl
def row_actions(datasette: Datasette, actor: Any, database: str, table: str, row: Any) -> Any:
    from .web.actions import row_items

    return lambda: row_items(datasette, actor, database, table, row)


@hookimpl
def table_actions(datasette: Datasette, actor: Any, database: str, table: str, request: Any) -> Any:
    from .jobs.actions import table_items

    return lambda: table_items(datasette, actor, database, table, request)


@hookimpl
def render_cell(datasette: Datasette, database: str, table: str, column: str, row: Any, value: Any) -> Any:
    from .jobs.cells import errors_cell

    return errors_cell(datasette, database, table, column, row, value)


@hookimpl
def top_row(datasette: Datasette, request: Any, database: str, table: str, row: Any) -> Any:
    from .web.actions import row_panel

    return lambda: row_panel(datasette, request, database, table, row)


@hookimpl
def top_homepage(datasette: Datasette, request: Any) -> Any:
    from .web.doors import homepage_doors

    return lambda: homepage_doors(datasette, request)


@hookimpl
def top_database(datasette: Datasette, request: Any, database: str) -> Any:
    from .web.doors import database_doors

    return lambda: database_doors(datasette, request, database)


@hookimpl
def extra_template_vars(datasette: Datasette, request: Any, database: str, table: str, view_name: str) -> Any:
    from .web.searching import search_variables
    from .web.shelf import shelf_variables

    shelf = shelf_variables(datasette, request, database, table, view_name)
    return {**shelf, **search_variables(request, table, view_name)}


@hookimpl(trylast=True)
def filters_from_request(datasette: Datasette, request: Any, database: str, table: str) -> Any:
    from .web.searching import search_filter

    return lambda: search_filter(datasette, request, database, table)


@hookimpl
def extra_js_urls(datasette: Datasette, request: Any, database: str, table: str, view_name: str) -> Any:
    from .web.actions import scripts

    return lambda: scripts(datasette, request, database, table, view_name)


@hookimpl
def extra_css_urls(datasette: Datasette, template: str, table: str, view_name: str) -> Any:
    from .web.actions import styles

    return styles(datasette, template, table, view_name)
