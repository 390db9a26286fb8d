"""A run by JSON begins in a worker process, and mostly ends there: see `rehearsal`.

Datasette is asked at the same time whether the actor may run anything, if they did so a moment ago.
"""

from __future__ import annotations

import asyncio
import json

from datasette import Response
from datasette.utils import tilde_decode

from ..errors import ResyncError
from ..model import TABLES, Target
from ..rehearsal import Settled
from .access import RESYNC, open_libraries, require, require_library, visible_beside
from .asking import wish_from_json
from .library import Early, WebLibrary
from .redaction import without_values
from .serving import Call


async def rehearse(call: Call, row_id: int | None) -> Response | Early | None:
    """Return the answer to the run, what was gathered for it, or None for one that must be done as usual.

    Raises Forbidden, whatever else came of it.
    """
    try:
        wish = wish_from_json(call.body)
    except ResyncError:
        return None  # it is said to who may run something here
    if wish.dry_run or row_id is None:
        return None
    library, target = await call.library(), Target(tilde_decode(call.request.url_vars["table"]), row_id)
    visitors, visitor = library.state.visitors, (library.name, target.table, repr(call.actor))
    if not visitors.is_known(visitor):
        await require(call.datasette, call.actor, library.name, target.table, RESYNC)
    asked = asyncio.ensure_future(_ask(call, library, target))
    try:
        opened = await open_libraries(library, call.actor)
        rehearsed = await library.rehearse(wish.ask(target), call.by, opened)
    finally:
        visible = await asked
    visitors.note(visitor)
    if rehearsed is None:
        return None
    require_library(library.settings, call.actor, rehearsed.library_id, rehearsed.library_name)
    if not isinstance(rehearsed, Settled):
        return rehearsed
    if visible.issuperset(TABLES):
        return call.encoded_answer(rehearsed.answer)
    return call.answer(without_values(json.loads(rehearsed.answer), target, visible))


async def _ask(call: Call, library: WebLibrary, target: Target) -> frozenset[str]:
    """Return what an actor sees who may run something on the table. Raises Forbidden."""
    await require(call.datasette, call.actor, library.name, target.table, RESYNC)
    return await visible_beside(library, call.actor, target)
