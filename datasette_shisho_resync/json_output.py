"""What a run, an undo and an error say as JSON (design 5.2), for the command line and the web alike. Pure.

Answers hold stored paths; what no JSON could carry is spelled out: a byte that is not UTF-8 as `\\xNN`,
a blob as Datasette writes it.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .decide import change_to_json
from .errors import JobRunning, MassRemoval, ResyncError, RootUnavailable, StalePlan, UndoConflict
from .files import shown
from .model import Outcome, Plan
from .resync import Undone
from .store.history import Entry

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Return the answer to a run or a dry run."""
    return {key: sendable(value) for key, value in _answer(outcome).items()}


def encoded_outcome(outcome: Outcome) -> bytes:
    """Return the answer to a run as JSON, quickly where no value needs another form to be sent."""
    try:
        return json.dumps(_answer(outcome), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError):
        return json.dumps(outcome_to_json(outcome)).encode()


def _answer(outcome: Outcome) -> dict[str, Any]:
    return {
        "ok": True,
        "mode": outcome.plan.mode.value,
        "dry_run": outcome.dry_run,
        "plan": outcome.plan.digest,
        "changed": outcome.changed,
        "deleted": outcome.deleted,
        "book_deleted": outcome.book_deleted,
        "rows": [dict(row.columns) for row in outcome.rows],
        **_plan_parts(outcome.plan),
        "warnings": outcome.warnings,
        "run": outcome.run_id,
    }


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as the body of a conflict shows it."""
    answer = {
        "mode": plan.mode.value,
        "plan": plan.digest,
        "changed": bool(plan.changes),
        **_plan_parts(plan),
        "warnings": plan.warnings,
    }
    return {key: sendable(value) for key, value in answer.items()}


def _plan_parts(plan: Plan) -> dict[str, Any]:
    return {
        "changes": [change_to_json(change) for change in plan.changes],
        "kept": [change_to_json(change) for change in plan.kept],
        "files": [
            {"id": f.id, "path": f.path, "status": f.status.value, "error": f.error} for f in plan.files
        ],
    }


def undone_to_json(undone: Undone) -> dict[str, Any]:
    """Return the answer to an undo; `changes` are the fields and rows as they were put back."""
    answer = {
        "ok": True,
        "run": undone.run_id,
        "undo_of": undone.undo_of,
        "table": undone.target.table,
        "pk": undone.target.pk,
        "changes": [_entry_to_json(entry) for entry in undone.entries],
        "warnings": undone.warnings,
    }
    return {key: sendable(value) for key, value in answer.items()}


def job_undone_to_json(job_id: int, undone: Iterable[Undone]) -> dict[str, Any]:
    """Return the answer to the undo of a whole job."""
    return {"ok": True, "job": job_id, "undone": [undone_to_json(one) for one in undone]}


def _entry_to_json(entry: Entry) -> dict[str, Any]:
    return {
        "table": entry.table,
        "pk": entry.pk,
        "field": entry.field,
        "old": entry.old,
        "old_source": entry.old_source,
        "new": entry.new,
        "new_source": entry.new_source,
        "reason": entry.reason,
    }


def error_to_json(error: ResyncError) -> dict[str, Any]:
    """Return an error in Datasette's own shape, with what this error knows beside its sentence."""
    answer = {**message_to_json(error.message, error.status), **_details(error)}
    return {key: sendable(value) for key, value in answer.items()}


def message_to_json(message: str, status: int) -> dict[str, Any]:
    return {"ok": False, "error": message, "errors": [message], "status": status}


def _details(error: ResyncError) -> dict[str, Any]:
    if isinstance(error, RootUnavailable):
        return {"root": error.root, "would_remove": error.would_remove}
    if isinstance(error, JobRunning):
        return {"job": error.job}
    if isinstance(error, MassRemoval):
        return {
            "would_remove": error.count,
            "known": error.known,
            "confirm": {"confirm_removals": error.count},
        }
    if isinstance(error, StalePlan) and isinstance(error.plan, Plan):
        return {"plan": plan_to_json(error.plan)}
    if isinstance(error, UndoConflict):
        return {"fields": error.fields}
    return {}


def sendable(value: Any) -> Any:
    """Return a value of rows and answers as any JSON encoder and any client can take it."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub(lambda found: shown(found[0]), value)
    if isinstance(value, Mapping):
        return {sendable(key): sendable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [sendable(entry) for entry in value]
    if isinstance(value, bytes):
        return {"$base64": True, "encoded": base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
