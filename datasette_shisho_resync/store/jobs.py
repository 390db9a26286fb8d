"""The rows of `resync_jobs`: how far a job is, which one runs, what can be undone of it, and those whose
process is no more."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import Conflict, UnknownRow
from .schema import LibrarySchema
from .times import now

RUNNING, INTERRUPTED = "running", "interrupted"
_COUNTS = ("total", "done", "imported", "changed", "unchanged", "moved", "removed", "failed", "skipped")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as its row tells of it; `kind` is `scan`, or the table whose rows are resynced. `counts` by
    column; `errors` as `{"table", "pk", "path", "error"}`, the first ones only; `would_remove`: the files
    whose records it left, because they were too many."""

    id: int
    kind: str
    state: str
    mode: str | None
    actor: str | None
    started_at: str
    finished_at: str | None
    would_remove: int
    errors: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]

    @property
    def is_running(self) -> bool:
        return self.state == RUNNING


def load_job(conn: sqlite3.Connection, job_id: int) -> JobRecord:
    """Raises `UnknownRow`."""
    row = conn.execute("select * from resync_jobs where id = ?", (job_id,)).fetchone()
    if row is None:
        raise UnknownRow(f"There is no job {job_id}.")
    told: dict[str, Any] = dict(row)
    return JobRecord(
        id=told["id"],
        kind=str(told["kind"]),
        state=str(told["state"]),
        mode=_text(told["mode"]),
        actor=told["actor"],
        started_at=str(told["started_at"]),
        finished_at=_text(told["finished_at"]),
        would_remove=_number(told.get("would_remove")),  # an earlier version had no such column
        errors=_errors(told["errors"]),
        counts={name: _number(told[name]) for name in _COUNTS},
    )


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell)


def _number(cell: Any) -> int:
    """Return a count; none for a cell that no job wrote."""
    return cell if isinstance(cell, int) else 0


def _errors(cell: Any) -> tuple[Mapping[str, Any], ...]:
    try:
        found = json.loads(cell)
    except (TypeError, ValueError):
        return ()
    return tuple(error for error in found if isinstance(error, dict)) if isinstance(found, list) else ()


def running_job(conn: sqlite3.Connection, schema: LibrarySchema) -> int | None:
    """Return the newest job that says it runs; whether its process lives is not known here."""
    if not schema.has_history:
        return None
    row = conn.execute(
        "select id from resync_jobs where state = ? order by id desc limit 1", (RUNNING,)
    ).fetchone()
    return row[0] if row else None


def interrupt_jobs(conn: sqlite3.Connection) -> None:
    """Mark the jobs that say they run; for whoever knows that none of them can."""
    conn.execute(
        "update resync_jobs set state = ?, finished_at = ? where state = ?", (INTERRUPTED, now(), RUNNING)
    )


def start_job(conn: sqlite3.Connection, kind: str, mode: str, actor: str | None = None) -> int:
    """Make a job's row; returns its id."""
    job_id = conn.execute(
        """
        insert into resync_jobs (kind, state, mode, actor, started_at)
        values (?, ?, ?, ?, ?)
        """,
        (kind, RUNNING, mode, actor, now()),
    ).lastrowid
    assert job_id is not None
    return job_id


def note_progress(
    conn: sqlite3.Connection, job_id: int, counts: Mapping[str, int], errors: Sequence[Any]
) -> None:
    """Say in a job's row how far it is; `counts` are columns."""
    _update(conn, job_id, {**counts, "errors": json.dumps(errors)})


def finish_job(
    conn: sqlite3.Connection, job_id: int, state: str, counts: Mapping[str, int], errors: Sequence[Any]
) -> None:
    """Close a job's row; `counts` are columns."""
    _update(conn, job_id, {**counts, "errors": json.dumps(errors), "state": state, "finished_at": now()})


def _update(conn: sqlite3.Connection, job_id: int, columns: Mapping[str, Any]) -> None:
    assignments = ", ".join(f"{name} = ?" for name in columns)
    conn.execute(f"update resync_jobs set {assignments} where id = ?", (*columns.values(), job_id))


_UNDOABLE = "from resync_runs where job_id = ? and undone_by is null and undo_of is null"


def count_undoable(conn: sqlite3.Connection, job_id: int) -> int:
    """Return how many runs of a job are not undone."""
    count: int = conn.execute(f"select count(*) {_UNDOABLE}", (job_id,)).fetchone()[0]
    return count


def runs_of_job(conn: sqlite3.Connection, job_id: int) -> list[int]:
    """Return a job's runs that are not undone, newest first. Raises `UnknownRow`, `Conflict` for none."""
    if conn.execute("select 1 from resync_jobs where id = ?", (job_id,)).fetchone() is None:
        raise UnknownRow(f"There is no job {job_id}.")
    rows = conn.execute(f"select id {_UNDOABLE} order by id desc", (job_id,)).fetchall()
    if not rows:
        raise nothing_to_undo(job_id)
    return [r[0] for r in rows]


def nothing_to_undo(job_id: int) -> Conflict:
    return Conflict(f"Job {job_id} has nothing to undo.")
