"""The row that tells of a scan or of a job on rows, in the caller's transaction or in one of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
        job_id = self.id
        if job_id is not None:
            self.service.transaction(lambda: self._note(job_id, counts, errors))

    def _note(self, job_id: int, counts: Mapping[str, int], errors: Sequence[object]) -> None:
        self.service.forget_written()
        note_progress(self.service.conn, job_id, counts, errors)

    def finish(self, state: str, counts: Mapping[str, int], errors: Sequence[object]) -> None:
        """Close the row, if there is one."""
        job_id = self.id
        if job_id is not None:
            self.service.transaction(lambda: self._close(job_id, state, counts, errors))

    def _close(self, job_id: int, state: str, counts: Mapping[str, int], errors: Sequence[object]) -> None:
        self.service.forget_written()
        finish_job(self.service.conn, job_id, state, counts, errors)
