"""Who may see a job, and so stop it: who may see the history, and who started it."""

from __future__ import annotations

from datasette import Forbidden

from ..errors import UnknownRow
from ..store.jobs import JobRecord
from ..web.access import require_every_library, resyncable_tables
from ..web.guards import may_see_history
from ..web.library import WebLibrary
from ..web.serving import Call
from .records import present_job


async def find_job(call: Call, library: WebLibrary, job_id: int) -> JobRecord:
    """Return a job for an actor who may see it. Raises Forbidden, UnknownRow."""
    await resyncable_tables(call.datasette, call.actor, library.name)
    try:
        record = await present_job(library, job_id)
    except UnknownRow:
        await require_every_library(library, call.actor)
        raise
    is_own = call.actor_id is not None and call.actor_id == record.actor
    if not is_own and not await may_see_history(call.datasette, call.actor, library.name):
        raise Forbidden("Permission denied: the job may be about libraries that are not open to you")
    return record
