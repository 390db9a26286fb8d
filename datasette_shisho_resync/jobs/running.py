"""Starts a job in its process, tells Datasette's listeners what it changes, and ends it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from functools import partial

from datasette.plugins import pm

from ..errors import Conflict
from ..hooks import load_extensions
from ..library_scan.child import JobOrder
from ..library_scan.done import RowDone
from ..library_scan.process import JobProcess
from ..library_scan.rows import RowsOrder
from ..resync import By
from ..store.jobs import JobRecord
from ..web.access import Actor, open_libraries
from ..web.library import WebLibrary
from ..web.telling import tell_resync
from .asking import JobWish
from .selection import Selection

_CANCEL_SECONDS = 2.0  # how long an answer waits for a job to end


async def start_job(
    library: WebLibrary, actor: Actor, actor_id: str | None, selection: Selection, wish: JobWish
) -> int:
    """Return the id of the job when it runs. Raises Conflict, ReadOnlyDatabase, DatabaseBusy."""
    library.require_writable()
    path = library.file
    libraries = await open_libraries(library, actor)
    order = JobOrder(
        path,
        library.name,
        library.settings,
        load_extensions(pm).as_references(),
        RowsOrder(
            selection.table,
            selection.pks,
            wish.mode,
            wish.fields,
            libraries,
            wish.confirm_removals,
            roots_are_found=library.state.settings.roots is None,
        ),
        By("job", actor_id),
    )
    return await asyncio.shield(_begin(library, actor, order))


async def _begin(library: WebLibrary, actor: Actor, order: JobOrder) -> int:
    process = await library.in_thread(JobProcess, order)
    library.state.starting.add(process)
    try:
        job_id: int = await library.in_thread(process.begin)
    finally:
        library.state.starting.discard(process)
    library.state.jobs[library.name] = process
    follow = partial(_follow, process, asyncio.get_running_loop(), library, actor)
    threading.Thread(target=follow, name=f"shisho-job-{job_id}", daemon=True).start()
    return job_id


def _follow(process: JobProcess, loop: asyncio.AbstractEventLoop, library: WebLibrary, actor: Actor) -> None:
    for done in process.follow():
        with suppress(RuntimeError):  # the loop was closed: nobody listens any more
            loop.call_soon_threadsafe(_tell, library, actor, done)
    process.close()
    library.opened.look_again()  # there may be files that the job could not write


_tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps no hold of a task


def _tell(library: WebLibrary, actor: Actor, done: RowDone) -> None:
    task = asyncio.ensure_future(tell_resync(library, actor, done))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def cancel_job(library: WebLibrary, record: JobRecord) -> None:
    """Have a job end where it is; one that is over stays as it is. Raises Conflict for another program's."""
    if not record.is_running:
        return
    process = library.state.jobs.get(library.name)
    if process is None or process.job != record.id:
        raise Conflict(f"Job {record.id} is run by another program: stop it there.")
    process.cancel()
    await library.in_thread(process.wait, _CANCEL_SECONDS)
