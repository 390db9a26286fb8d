"""A job as it is now, whatever became of its process."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from ..errors import ResyncError, UnknownRow
from ..store.jobs import INTERRUPTED, JobRecord, load_job
from ..store.schema import LibrarySchema
from ..web.library import WebLibrary


async def present_job(library: WebLibrary, job_id: int) -> JobRecord:
    """Return a job as it is now, if that can be told: else as its row says. Raises UnknownRow."""

    def load(conn: sqlite3.Connection, schema: LibrarySchema) -> JobRecord:
        if not schema.has_history:
            raise UnknownRow(f"There is no job {job_id}.")
        return load_job(conn, job_id)

    record = await library.read(load)
    if record.is_running:
        try:
            await library.mark_dead_jobs()
        except ResyncError:  # nothing can be written: the disk is full, or gone
            return _as_known(library, record)
        record = await library.read(load)
    return record


def _as_known(library: WebLibrary, record: JobRecord) -> JobRecord:
    """Return a job that says it runs, interrupted if it was ours and its process is no more."""
    process = library.state.jobs.get(library.name)
    is_dead = process is not None and process.job == record.id and not process.is_alive
    return replace(record, state=INTERRUPTED) if is_dead else record
