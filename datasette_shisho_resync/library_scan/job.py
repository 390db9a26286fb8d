"""The row that tells of a scan or of a job on rows, in the caller's transaction or in one of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..model import Mode
from ..resync import By, Service
from ..store.jobs import finish_job, note_progress, start_job
from ..store.schema import create_history


@dataclass(slots=True)
class Job:
    """`id` is None until there is a row; `by` names it in the history of what is done. `kind`: `scan`, or
    the table whose rows are resynced."""

    service: Service
    mode: Mode
    by: By
    kind: str = "scan"
    id: int | None = None

    def start(self) -> bool:
        """Make the row in the caller's transaction, unless it is there; returns whether it was made."""
        if self.id is not None:
            return False
        conn = self.service.conn
        create_history(conn)  # of an earlier version, it may lack columns
        self.id = start_job(conn, self.kind, self.mode.value, self.by.actor)
        self.by = replace(self.by, job_id=self.id)
        return True

    def forget(self) -> None:
        """Know nothing of a row whose transaction was rolled back."""
        self.id = None
        self.by = replace(self.by, job_id=None)

    def note(self, counts: Mapping[str, int], errors: Sequence[object]) -> None:
        """Say in the row how far it is, if there is one."""
        self._write(partial(note_progress, counts=counts, errors=errors))

    def finish(self, state: str, counts: Mapping[str, int], errors: Sequence[object]) -> None:
        """Close the row, if there is one."""
        self._write(partial(finish_job, state=state, counts=counts, errors=errors))

    def _write(self, write: Callable[[sqlite3.Connection, int], None]) -> None:
        service, job_id = self.service, self.id
        if job_id is None:
            return

        def work() -> None:
            service.forget_written()
            write(service.conn, job_id)

        service.transaction(work)
