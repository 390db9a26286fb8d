"""What core's pages show of ours: row actions, the panel on the row page, script and style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ResyncError
from ..model import TABLES, Mode, Target
from .access import Actor, may_touch, rights_on
from .addresses import job_url, static_url
from .library import WebLibrary, library_of
from .panel import panel_of
from .state import started_state
from .words import EXPLAIN, LABELS, UNDO

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

_DESCRIPTIONS = {
    Mode.SCAN: "Read the files again and take what is new; what a person set stays.",
    Mode.REFRESH: "Take everything that the files say; you see what changes first.",
    Mode.RESET: "Empty every field, then read the files; you see what changes first.",
}
_NEEDS_A_LOOK = "..."


async def row_items(
    datasette: Datasette, actor: Actor, database: str, table: str, row: Any
) -> list[dict[str, Any]]:
    """Return the row's actions that the actor may take; they are links, and work without JavaScript."""
    library = library_of(datasette, database)
    if library is None:
        return []
    if table == "resync_jobs":
        href = job_url(datasette, database, row["id"])
        return [_item(href, "Show this job", "How far it is, what failed, and a button to stop it.")]
    if table == "resync_runs":
        return await _run_items(library, actor, row)
    if table not in TABLES:
        return []
    rights = await rights_on(datasette, actor, database, table)
    if not (rights.resync and rights.view and await _is_open(library, actor, table, row)):
        return []
    base = f"{datasette.urls.row(database, table, str(row['id']))}/-"
    items = []
    if library.db.is_mutable:
        for mode, label in LABELS.items():
            text = label if mode is Mode.SCAN else f"{label}{_NEEDS_A_LOOK}"
            items.append(_item(f"{base}/resync?mode={mode.value}", text, _DESCRIPTIONS[mode]))
    items.append(
        _item(f"{base}/explain", EXPLAIN, "What each source says about every field, and which wins.")
    )
    return items


def _item(href: str, label: str, description: str) -> dict[str, Any]:
    return {"href": href, "label": label, "description": description}


async def _run_items(library: WebLibrary, actor: Actor, row: Any) -> list[dict[str, Any]]:
    if row["undone_by"] is not None or row["target_table"] not in TABLES or not library.db.is_mutable:
        return []
    rights = await rights_on(library.datasette, actor, library.name, row["target_table"])
    if not (rights.resync and rights.view):
        return []
    href = f"{library.datasette.urls.row(library.name, 'resync_runs', str(row['id']))}/-/undo"
    return [_item(href, UNDO, "Put back every value that this run changed, and every row that it removed.")]


async def _is_open(library: WebLibrary, actor: Actor, table: str, row: Any) -> bool:
    """Tell whether the row is of a library that the actor may touch."""
    if not library.settings.library_access:
        return True
    try:
        brief = await library.brief(Target(table, row["id"]))
    except ResyncError:
        return False
    return may_touch(library.settings, actor, brief.library_id, brief.library_name)


async def row_panel(
    datasette: Datasette, request: Request, database: str, table: str, row: Any
) -> str | None:
    """Return the panel of a book or file: cover, files, where each field comes from, the last run."""
    library = library_of(datasette, database)
    if library is None or table not in TABLES:
        return None
    rights = await rights_on(datasette, request.actor, database, table)
    if not rights.resync or not await _is_open(library, request.actor, table, row):
        return None
    try:
        context = await panel_of(library, request.actor, Target(table, row["id"]))
    except ResyncError:
        return None
    return str(await datasette.render_template("shisho_resync_panel.html", context, request=request))


async def scripts(
    datasette: Datasette, request: Request | None, database: str | None, table: str | None, view: str | None
) -> list[dict[str, Any]]:
    """Return the module that scans with one click, on pages where the actor may."""
    if request is None or database is None or table not in TABLES or view not in ("row", "table"):
        return []
    library = library_of(datasette, database)
    if library is None or not library.db.is_mutable:
        return []
    rights = await rights_on(datasette, request.actor, database, table)
    if not (rights.resync and rights.view):
        return []
    return [{"url": static_url(datasette, library.state, "shisho_resync.js"), "module": True}]


def styles(
    datasette: Datasette, template: str | None, table: str | None, view: str | None
) -> list[dict[str, Any]]:
    """Return the style sheet for pages of ours and for those with something of ours on them."""
    is_ours = (template or "").startswith("shisho_resync_")
    if not is_ours and not (table in TABLES and view in ("row", "table")):
        return []
    state = started_state(datasette)
    return [{"url": static_url(datasette, state, "shisho_resync.css")}] if state else []
