"""What a run changed, as little of it as listeners need. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import TABLES, Mode, Outcome, Target


@dataclass(frozen=True, slots=True)
class RowDone:
    """A run that changed something; `rows` are the books and files, (table, id), that are still there."""

    target: Target
    mode: Mode
    run_id: int
    rows: tuple[tuple[str, int], ...]


def row_done(outcome: Outcome) -> RowDone | None:
    """Return what a run changed, None when it recorded nothing."""
    if outcome.run_id is None:
        return None
    gone = {(c.table, c.pk) for c in outcome.plan.removals}
    rows = dict.fromkeys((c.table, c.pk) for c in outcome.plan.changes if c.table in TABLES)
    remaining = tuple(row for row in rows if row not in gone)
    return RowDone(outcome.plan.target, outcome.plan.mode, outcome.run_id, remaining)
