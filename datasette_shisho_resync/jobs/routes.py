"""The URLs of jobs and what each method does there (design 5.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datasette import Response
from datasette.utils import tilde_decode

from ..errors import BadRequest, MassRemoval, StalePlan
from ..json_output import job_undone_to_json
from ..model import TABLES, Mode
from ..store.jobs import JobRecord
from ..value_text import counted
from ..web.access import RESYNC, VIEW, require, visible_tables
from ..web.addresses import job_url
from ..web.asking import require_empty
from ..web.library import WebLibrary
from ..web.redaction import errors_for
from ..web.serving import Call, serve
from .access import find_job
from .asking import JobWish, job_wish_from_form, job_wish_from_json, job_wish_from_mode
from .pages import confirm_job_page, job_page, job_to_json, preview_to_json, undo_job_page
from .preview import preview_job
from .records import present_job
from .running import cancel_job, start_job
from .selection import MODE, Selection, select_rows
from .undoing import may_undo_jobs, require_undoable, runs_to_undo, undo_job

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

_DATABASE = r"^/(?P<database>[^\/\.]+)"
_JOB = _DATABASE + r"/-/resync/jobs/(?P<job>[0-9]{1,18})"
_CHANGED = "Other rows are selected now than you saw. Look again."


def job_routes() -> list[tuple[str, Callable[..., Awaitable[Response]]]]:
    """Return (pattern, view) pairs, anchored so that none takes a page of Datasette's."""
    return [
        (rf"{_DATABASE}/(?P<table>{'|'.join(TABLES)})/-/resync$", rows),
        (f"{_JOB}$", job),
        (f"{_JOB}/cancel$", cancel),
        (f"{_JOB}/undo$", undo),
    ]


async def rows(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"GET": _show_rows, "POST": _post_rows})


async def job(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"GET": _show_job})


async def cancel(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"POST": _cancel})


async def undo(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"GET": _show_undo, "POST": _post_undo})


# --- rows -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that a URL selects, for an actor who may resync and see them."""

    library: WebLibrary
    selection: Selection


async def _selected(call: Call) -> Rows:
    """Raises Forbidden, BadRequest. The filters tell about values, so `view-table` is needed too."""
    library = await call.library()
    table = tilde_decode(call.request.url_vars["table"])
    await require(call.datasette, call.actor, library.name, table, RESYNC, VIEW)
    return Rows(library, await select_rows(library, call.request, table))


async def _show_rows(call: Call) -> Response:
    found = await _selected(call)
    wish = _wish_of_query(call.request)
    if call.is_json:
        visible = await visible_tables(call.datasette, call.actor, found.library.name)
        preview = await preview_job(found.library, call.actor, found.selection, wish, visible)
        return call.answer(preview_to_json(found.selection, wish, preview))
    return await _confirm(call, found, wish)


def _wish_of_query(request: Request) -> JobWish:
    """Raises BadRequest for the `mode` of a single row: here it would be a filter that selects nothing."""
    if "mode" in request.args and MODE not in request.args:
        raise BadRequest(f"Ask for the mode with {MODE}=: what does not begin with _ is a filter.")
    return job_wish_from_mode(request.args.get(MODE))


async def _confirm(
    call: Call,
    found: Rows,
    wish: JobWish,
    *,
    notice: str | None = None,
    loss: MassRemoval | None = None,
    status: int = 200,
) -> Response:
    library = found.library
    visible = await visible_tables(call.datasette, call.actor, library.name)
    preview = await preview_job(library, call.actor, found.selection, wish, visible)
    context = confirm_job_page(library, found.selection, wish, preview, visible, notice, loss)
    return await call.page("shisho_resync_rows.html", context, status)


async def _post_rows(call: Call) -> Response:
    found = await _selected(call)
    found.library.require_mutable()
    return await (_post_json(call, found) if call.is_json else _post_form(call, found))


async def _post_json(call: Call, found: Rows) -> Response:
    wish = job_wish_from_json(call.body)
    if wish.selection not in (None, found.selection.digest):
        raise StalePlan(_CHANGED, None)
    job_id = await _start(call, found, wish)
    url = job_url(call.datasette, found.library.name, job_id)
    return call.answer({"ok": True, "job": job_id, "url": url}, 202)


async def _post_form(call: Call, found: Rows) -> Response:
    wish = job_wish_from_form(call.body)
    if wish.selection is None and wish.mode is not Mode.SCAN:
        return await _confirm(call, found, wish, notice="Look at what will change first.", status=409)
    if wish.selection not in (None, found.selection.digest):
        return await _confirm(call, found, wish, notice=_CHANGED, status=409)
    try:
        job_id = await _start(call, found, wish)
    except MassRemoval as error:
        return await _confirm(call, found, wish, loss=error, status=409)
    return Response.redirect(job_url(call.datasette, found.library.name, job_id), status=303)


async def _start(call: Call, found: Rows, wish: JobWish) -> int:
    if not found.selection.pks:
        raise BadRequest("The filters select no rows.")
    return await start_job(found.library, call.actor, call.actor_id, found.selection, wish)


# --- a job ------------------------------------------------------------------------------------


async def _found_job(call: Call) -> tuple[WebLibrary, JobRecord]:
    """Return the job of the URL, with as much of its errors as the actor may see."""
    library = await call.library()
    record = await find_job(call, library, int(call.request.url_vars["job"]))
    return library, await _seen(call, library, record)


async def _seen(call: Call, library: WebLibrary, record: JobRecord) -> JobRecord:
    visible = await visible_tables(call.datasette, call.actor, library.name)
    return replace(record, errors=errors_for(record.errors, visible))


async def _show_job(call: Call) -> Response:
    library, record = await _found_job(call)
    if call.is_json:
        return call.answer(job_to_json(record))
    process = library.state.jobs.get(library.name)
    can_cancel = process is not None and process.job == record.id
    can_undo = not record.is_running and library.db.is_mutable and await may_undo_jobs(call, library)
    runs = await runs_to_undo(library, record) if can_undo else 0
    return await call.page("shisho_resync_job.html", job_page(library, record, runs, can_cancel=can_cancel))


async def _cancel(call: Call) -> Response:
    library, record = await _found_job(call)
    library.require_mutable()
    if call.is_json:
        require_empty(call.body)
    await cancel_job(library, record)
    if call.is_json:
        return call.answer(job_to_json(await _seen(call, library, await present_job(library, record.id))))
    return Response.redirect(job_url(call.datasette, library.name, record.id), status=303)


async def _show_undo(call: Call) -> Response:
    library, record = await _found_job(call)
    runs = await require_undoable(call, library, record)
    if call.is_json:
        return call.answer({"ok": True, "job": record.id, "runs": runs})
    return await call.page("shisho_resync_job_undo.html", undo_job_page(library, record, runs))


async def _post_undo(call: Call) -> Response:
    library, record = await _found_job(call)
    if call.is_json:
        require_empty(call.body)
    undone = await undo_job(call, library, record)
    if call.is_json:
        return call.answer(job_undone_to_json(record.id, undone))
    warnings = [warning for one in undone for warning in one.warnings]
    call.flash(f"{counted(len(undone), 'run')} of job {record.id} undone", warnings)
    return Response.redirect(job_url(call.datasette, library.name, record.id), status=303)
