"""Why each field is what it is: the decisions of a plan as JSON (design 5.2). Pure."""

from __future__ import annotations

from typing import Any

from .decide import Candidate, Decision, effective_source
from .json_output import sendable
from .resync import Planned
from .values import to_json


def explain(planned: Planned) -> dict[str, Any]:
    """Return every field with all that was offered for it.

    `winner` is the source of the value that a run would leave there: a candidate's, or the stored one.
    """
    return {"ok": True, "fields": [sendable(_field_to_json(d)) for d in planned.decisions]}


def _field_to_json(decision: Decision) -> dict[str, Any]:
    return {
        "table": decision.table,
        "pk": decision.pk,
        "field": decision.field.name,
        "stored": to_json(decision.stored.value),
        "source": effective_source(decision.stored),
        "winner": decision.source,
        "reason": decision.reason.value,
        "candidates": [_candidate_to_json(c) for c in decision.candidates],
    }


def _candidate_to_json(candidate: Candidate) -> dict[str, Any]:
    return {"value": to_json(candidate.value), "source": candidate.source, "path": candidate.path}
