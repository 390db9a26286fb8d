"""Puts decisions together: the plan as a value, its digest, its JSON, and its limits. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ..fields import BY_NAME
from ..model import (
    ROLE,
    Change,
    FileState,
    Mode,
    Plan,
    Reason,
    RowImage,
    Target,
)
from ..sources import MANUAL
from ..values import is_empty, to_json
from .decisions import Decision, as_change


def make_plan(
    target: Target,
    mode: Mode,
    decisions: Iterable[Decision],
    other_changes: Sequence[Change],
    files: Sequence[FileState],
    warnings: Sequence[str],
) -> Plan:
    """Put decisions and row changes (removals, a promoted supplement) together, with their digest."""
    changes, kept = list(other_changes), []
    for decision in decisions:
        if decision.changes:
            changes.append(as_change(decision))
        elif not is_empty(decision.stored.value) or decision.candidates:
            kept.append(as_change(decision))
    plan = Plan(target, mode, tuple(changes), tuple(kept), tuple(files), tuple(warnings), "")
    return replace(plan, digest=_digest(plan))


def _digest(plan: Plan) -> str:
    content = [
        plan.target.table,
        plan.target.pk,
        plan.mode.value,
        [_told(change) for change in plan.changes],
        [_told(kept) for kept in plan.kept],
        [[f.id, f.path, f.status.value, f.stat and [f.stat.size_bytes, f.stat.mtime_ns]] for f in plan.files],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _told(change: Change) -> list[object]:
    """Return what tells a change from others; of a value that is there already, once."""
    new = None if change.reason is Reason.SAME else to_json(change.new)
    return [
        change.table,
        change.pk,
        change.field,
        _old_to_json(change),
        change.old_source,
        new,
        change.new_source,
        change.reason.value,
    ]


def change_to_json(change: Change) -> dict[str, object]:
    """Return a change in the shape of design 5.2."""
    return {
        "table": change.table,
        "pk": change.pk,
        "field": change.field,
        "old": _old_to_json(change),
        "old_source": change.old_source,
        "new": to_json(change.new),
        "new_source": change.new_source,
        "reason": change.reason.value,
    }


def _old_to_json(change: Change) -> object:
    return _row_to_json(change.old) if isinstance(change.old, RowImage) else to_json(change.old)


def _row_to_json(row: RowImage) -> dict[str, object]:
    """Return a row with its bytes in Datasette's form."""
    return {
        name: {"$base64": True, "encoded": base64.b64encode(value).decode()}
        if isinstance(value, bytes)
        else value
        for name, value in row.columns
    }


def chosen_with(change: Change, plan: Plan) -> str:
    """Return the field with which a change comes along or is left out: its own, but for a sort title that
    of the title which it follows, unless a person set it."""
    follows = change.field == "sort_title" and change.old_source != MANUAL
    return "title" if follows and any(c.field == "title" for c in plan.changes) else change.field


def limited(plan: Plan, names: Collection[str] | None) -> Plan:
    """Return the plan limited to the named fields; what is left out is kept as `not_selected`.

    A limited plan removes no row, so it takes nothing from a supplement that would become the main
    file either. The digest stays that of the whole plan.
    """
    if names is None:
        return plan
    promotes = any(c.field == ROLE for c in plan.changes)

    def is_selected(change: Change) -> bool:
        return not promotes and chosen_with(change, plan) in names

    selected = tuple(c for c in plan.changes if is_selected(c))
    left_out = tuple(
        replace(c, reason=Reason.NOT_SELECTED)
        for c in plan.changes
        if not is_selected(c) and c.field in BY_NAME
    )
    return replace(plan, changes=selected, kept=plan.kept + left_out)
