"""Undo of a whole job: who may, how much of it there is, and doing it in one transaction."""

from __future__ import annotations

import asyncio
from contextlib import closing

from datasette import Forbidden

from ..errors import Conflict
from ..model import TABLES
from ..resync import Service, Undone
from ..store.jobs import JobRecord, count_undoable, nothing_to_undo
from ..web.access import rights_on
from ..web.guards import may_look
from ..web.library import WebLibrary
from ..web.serving import Call
from ..web.telling import tell_undo

MOST_RUNS = 200  # all or none means that nobody else can write meanwhile


async def may_undo_jobs(call: Call, library: WebLibrary) -> bool:
    """Tell whether the actor may: a job's runs are about both tables, and maybe about every library."""
    for table in TABLES:
        rights = await rights_on(call.datasette, call.actor, library.name, table)
        if not (rights.resync and rights.view):
            return False
    return await may_look(call.datasette, call.actor, library.name)


async def runs_to_undo(library: WebLibrary, record: JobRecord) -> int:
    return await library.read(lambda conn, schema: count_undoable(conn, record.id))


async def require_undoable(call: Call, library: WebLibrary, record: JobRecord) -> int:
    """Return how many runs an undo would put back. Raises Forbidden, Conflict."""
    if not await may_undo_jobs(call, library):
        raise Forbidden("Permission denied: need resync-row and view-table on books and files")
    if record.is_running:
        raise Conflict(f"Job {record.id} is still running: stop it first.")
    count = await runs_to_undo(library, record)
    if not count:
        raise nothing_to_undo(record.id)
    if count > MOST_RUNS:
        command = f"datasette shisho undo DATABASE --job {record.id}"
        raise Conflict(f"Job {record.id} made {count:,} runs: undo so many with the command {command!r}.")
    return count


async def undo_job(call: Call, library: WebLibrary, record: JobRecord) -> tuple[Undone, ...]:
    """Undo every run of a job, or none. Raises as `require_undoable`, ReadOnlyDatabase and UndoConflict."""
    library.require_writable()
    await require_undoable(call, library, record)

    def undo(service: Service) -> tuple[Undone, ...]:
        with closing(service):
            return service.undo_job(record.id, call.by)

    undone: tuple[Undone, ...] = await asyncio.shield(library.in_thread(library.with_service, undo))
    library.opened.look_again()  # there may be files that it could not write
    for one in undone:
        await tell_undo(library, call.actor, one)
    return undone
