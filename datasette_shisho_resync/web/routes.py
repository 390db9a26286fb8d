"""The URLs of ours and what each method does there (design 5.2)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from datasette import Forbidden, Response
from datasette.utils import tilde_decode

from ..errors import BadRequest, FileError, StalePlan, UnknownRow
from ..explain import explain
from ..json_output import encoded_outcome, error_to_json, outcome_to_json, undone_to_json
from ..library_scan.done import row_done
from ..model import TABLES, Brief, Mode, Outcome, Plan, Target
from ..resync import Ask
from ..resync.applying import require_plan
from ..resync.planning import check_fields
from ..store.history import Run
from .access import (
    RESYNC,
    VIEW,
    Actor,
    find_allowed,
    require,
    require_every_library,
    visible_beside,
    visible_tables,
)
from .asking import Wish, require_empty, wish_from_form, wish_from_json, wish_from_query
from .covers import cover_response
from .history import may_undo, run_entries
from .library import Early, WebLibrary
from .pages import confirm_page, explain_page, undo_page
from .redaction import tables_of, warnings_for, without_candidate_paths, without_path, without_values
from .rehearsing import rehearse
from .removals import names_of
from .serving import Call, serve
from .telling import tell_resync, tell_undo
from .words import resync_message, undo_message

if TYPE_CHECKING:
    from datasette import Request
    from datasette.app import Datasette

_ROW = r"^/(?P<database>[^\/\.]+)/(?P<table>{tables})/(?P<pks>[^/]+?)/-/{name}$"
_ID = re.compile(r"-?[0-9]{1,19}")
_LARGEST_ID = 2**63 - 1


def routes() -> list[tuple[str, Callable[..., Awaitable[Response]]]]:
    """Return (pattern, view) pairs, anchored so that none takes a page of Datasette's."""
    both = "|".join(TABLES)
    return [
        (_ROW.format(tables=both, name="resync"), resync),
        (_ROW.format(tables=both, name="explain"), explained),
        (_ROW.format(tables="files", name="cover"), cover),
        (_ROW.format(tables="resync_runs", name="undo"), undo),
    ]


async def resync(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"GET": _show_plan, "POST": _post_resync})


async def explained(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"GET": _show_explanation})


async def cover(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"GET": _show_cover})


async def undo(datasette: Datasette, request: Request) -> Response:
    return await serve(datasette, request, {"GET": _show_undo, "POST": _post_undo})


@dataclass(frozen=True, slots=True)
class Place:
    """The row that a URL names, for an actor who may be here."""

    library: WebLibrary
    target: Target
    brief: Brief

    async def visible(self, actor: Actor, others: Iterable[str] = ()) -> frozenset[str]:
        """Return which of books, files and `others` the actor may view; none without the target's own."""
        return await visible_beside(self.library, actor, self.target, others)


async def _place(call: Call, *actions: str, brief: Brief | None = None) -> Place:
    """Find the row of the URL; `brief` if known. Raises Forbidden rather than tell whether it exists."""
    library = await call.library()
    table = tilde_decode(call.request.url_vars["table"])
    asked = asyncio.ensure_future(require(call.datasette, call.actor, library.name, table, *actions))
    try:
        target = Target(table, await _row_id(call, library))
        return Place(library, target, brief or await find_allowed(library, call.actor, target))
    finally:
        await asked  # its Forbidden takes the place of whatever was found


async def _row_id(call: Call, library: WebLibrary) -> int:
    """Return the id in the URL. Raises BadRequest for a compound key, UnknownRow for what is no id."""
    text = call.request.url_vars["pks"]
    if "," in text:
        raise BadRequest("URL row identifier does not match the primary key for this table")
    row_id = _plain_id(call)
    if row_id is not None:
        return row_id
    await require_every_library(library, call.actor)
    raise UnknownRow("There is no such row.")


def _plain_id(call: Call) -> int | None:
    decoded = tilde_decode(call.request.url_vars["pks"])
    is_id = _ID.fullmatch(decoded) and abs(int(decoded)) <= _LARGEST_ID
    return int(decoded) if is_id else None


@asynccontextmanager
async def _without_paths(call: Call, place: Place) -> AsyncIterator[None]:
    """Let no error tell where a file is to who may not view it."""
    try:
        yield
    except FileError as error:
        raise without_path(error, await place.visible(call.actor)) from error


# --- resync -----------------------------------------------------------------------------------


async def _show_plan(call: Call) -> Response:
    place = await _place(call, RESYNC, VIEW)
    wish = wish_from_query({key: call.request.args.get(key) for key in call.request.args})
    async with _without_paths(call, place):
        outcome = await place.library.preview(wish.ask(place.target), place.brief)
    if call.is_json:
        visible = await place.visible(call.actor, tables_of(outcome.plan.changes))
        return call.answer(without_values(outcome_to_json(outcome), place.target, visible))
    return await _confirm(call, place, wish, outcome.plan)


async def _confirm(
    call: Call, place: Place, wish: Wish, plan: Plan, *, notice: str | None = None, status: int = 200
) -> Response:
    visible = await place.visible(call.actor, tables_of(plan.changes))
    names = await names_of(place.library, plan.removals)
    context = confirm_page(place.library, place.brief, wish, plan, visible, names, notice)
    return await call.page("shisho_resync_confirm.html", context, status)


async def _post_resync(call: Call) -> Response:
    if call.is_json:
        return await _post_json(call)
    return await _post_form(call)


async def _post_json(call: Call) -> Response:
    """Run for a client that speaks JSON; what has nothing to write is done by a worker process alone."""
    early = await rehearse(call, _plain_id(call))
    if isinstance(early, Response):
        return early
    place = await _place(call, RESYNC, brief=early.gathered.brief if early else None)
    wish = wish_from_json(call.body)
    if wish.dry_run:
        await require(call.datasette, call.actor, place.library.name, place.target.table, VIEW)
    # Asked while a worker reads the file.
    asked = asyncio.ensure_future(place.visible(call.actor))
    try:
        outcome = await (_preview(place, wish) if wish.dry_run else _run(call, place, wish, early))
    except StalePlan as error:
        answer = error_to_json(error)
        if isinstance(error.plan, Plan):
            visible = await place.visible(call.actor, tables_of(error.plan.changes))
            answer["plan"] = without_values(answer["plan"], place.target, visible)
        return call.answer(answer, error.status)
    except FileError as error:
        raise without_path(error, await asked) from error
    finally:
        await asked
    if call.request.args.get("_message") and outcome.deleted:
        call.flash(resync_message(outcome))
    hung = tables_of(outcome.plan.changes)
    visible = await (place.visible(call.actor, hung) if hung else asked)
    if visible.issuperset({*TABLES, *hung}):
        return call.encoded_answer(encoded_outcome(outcome))
    return call.answer(without_values(outcome_to_json(outcome), place.target, visible))


async def _preview(place: Place, wish: Wish) -> Outcome:
    """Return what a run would do. Raises StalePlan when the digest given no longer holds."""
    ask = wish.ask(place.target)
    outcome = await place.library.preview(ask, place.brief)
    require_plan(ask, outcome.plan)
    return outcome


async def _run(call: Call, place: Place, wish: Wish, early: Early | None = None) -> Outcome:
    check_fields(wish.fields)
    outcome = await place.library.run(wish.ask(place.target), place.brief, call.by, call.request, early)
    await tell_resync(place.library, call.actor, row_done(outcome))
    return outcome


async def _post_form(call: Call) -> Response:
    place = await _place(call, RESYNC, VIEW)
    place.library.require_mutable()
    wish = wish_from_form(call.body)
    if wish.mode is not Mode.SCAN and wish.digest is None:
        return await _confirm_again(call, place, wish, "Look at what will change first.")
    if wish.fields == ():
        return await _confirm_again(call, place, wish, "Choose at least one field.", status=400)
    try:
        async with _without_paths(call, place):
            outcome = await _run(call, place, wish)
    except StalePlan as error:
        return await _confirm_again(call, place, wish, f"{error.message} This is the plan as it is now.")
    call.flash(resync_message(outcome), warnings_for(outcome.warnings, await place.visible(call.actor)))
    return _redirect(_url_after(place, outcome))


async def _confirm_again(call: Call, place: Place, wish: Wish, notice: str, *, status: int = 409) -> Response:
    whole = replace(wish, digest=None, fields=None)
    async with _without_paths(call, place):
        outcome = await place.library.preview(whole.ask(place.target), place.brief)
    return await _confirm(call, place, wish, outcome.plan, notice=notice, status=status)


def _url_after(place: Place, outcome: Outcome) -> str:
    """Return the row's page, or its table's when it is gone: never an address from outside."""
    urls, target = place.library.datasette.urls, place.target
    if outcome.deleted:
        return str(urls.table(place.library.name, target.table))
    return str(urls.row(place.library.name, target.table, str(target.pk)))


def _redirect(url: str) -> Response:
    return Response.redirect(url, status=303)


# --- explain and cover ------------------------------------------------------------------------


async def _show_explanation(call: Call) -> Response:
    place = await _place(call, RESYNC, VIEW)
    async with _without_paths(call, place):
        planned = await place.library.planned(Ask(place.target), place.brief)
    visible = await place.visible(call.actor)
    if call.is_json:
        return call.answer(_visible_fields(explain(planned), visible))
    context = explain_page(place.library, place.brief, planned.decisions, planned.plan, visible)
    return await call.page("shisho_resync_explain.html", context)


def _visible_fields(answer: Mapping[str, Any], visible: frozenset[str]) -> dict[str, Any]:
    fields = [field for field in answer["fields"] if field["table"] in visible]
    if "files" not in visible:
        fields = [without_candidate_paths(field) for field in fields]
    return {**answer, "fields": fields}


async def _show_cover(call: Call) -> Response:
    place = await _place(call, VIEW)
    return await cover_response(place.library, place.brief)


# --- undo -------------------------------------------------------------------------------------


async def _undoable(call: Call) -> tuple[WebLibrary, Run]:
    """Find the run of the URL for an actor who may undo it."""
    library = await call.library()
    return library, await may_undo(library, call.actor, lambda: _row_id(call, library))


async def _show_undo(call: Call) -> Response:
    library, run = await _undoable(call)
    visible = await _visible_of(call, library, run)
    if not visible.issuperset(TABLES):  # a run on either writes both
        raise Forbidden("Permission denied: need view-table")
    await library.check_undo(run.id)
    if call.is_json:
        answer = {"ok": True, "undo_of": run.id, "changes": run_entries(run)}
        return call.answer(without_values(answer, run.target, visible))
    brief = await library.present_brief(run.target)
    return await call.page("shisho_resync_undo.html", undo_page(library, run, brief, visible))


async def _visible_of(call: Call, library: WebLibrary, run: Run) -> frozenset[str]:
    """Return which of the tables that a run wrote the actor may view."""
    tables = {*TABLES, *(entry.table for entry in run.entries)}
    return await visible_tables(call.datasette, call.actor, library.name, tables)


async def _post_undo(call: Call) -> Response:
    library, run = await _undoable(call)
    library.require_mutable()
    if call.is_json:
        require_empty(call.body)
    undone = await library.undo(run, call.by, call.request)
    await tell_undo(library, call.actor, undone)
    if call.is_json:
        visible = await _visible_of(call, library, run)
        return call.answer(without_values(undone_to_json(undone), run.target, visible))
    call.flash(undo_message(undone), warnings_for(undone.warnings, await _visible_of(call, library, run)))
    urls = call.datasette.urls
    if await library.present_brief(run.target):
        return _redirect(str(urls.row(library.name, run.target.table, str(run.target.pk))))
    return _redirect(str(urls.table(library.name, run.target.table)))
