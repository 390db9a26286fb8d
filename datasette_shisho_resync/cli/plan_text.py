"""A plan as a person reads it: what changes, from what to what, why; what stays; how the files were."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ..model import (
    TABLES,
    Change,
    FileState,
    Outcome,
    Plan,
    Reason,
    RowImage,
    Value,
)
from ..value_text import DONE, GONE, NOTHING, counted, row_name, value_text
from .output import shortened, table

_FALLBACK_COLUMNS = 120
_LEAST_CELL = 20
_NOT_VALUES = 46  # columns of a line that its two values leave to the rest


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan as lines of text."""
    yield from _change_lines(plan.changes)
    yield from _removal_lines(plan.removals)
    yield from _let_go_lines(plan.let_go)
    yield from _kept_lines(plan.kept)
    yield from _file_lines(plan.files)


def result_line(outcome: Outcome) -> str:
    """Return what a run did, or would do, in one sentence."""
    changes = counted(len(outcome.plan.changes), "change")
    if outcome.deleted or outcome.book_deleted:
        what = "Book" if outcome.book_deleted else "File"
        said = f"{what} {'to be ' if outcome.dry_run else ''}{GONE}"
    elif not outcome.changed:
        said = "Nothing to change"
    else:
        said = f"{changes} to make" if outcome.dry_run else f"{DONE[outcome.plan.mode]}: {changes}"
    if outcome.dry_run:
        return f"{said}. Dry run: nothing was written."
    return f"{said}." if outcome.run_id is None else f"{said} (run {outcome.run_id})."


def with_source(value: Value | RowImage, source: str | None, most: int) -> str:
    """Return a value with where it came from, in at most `most` columns."""
    text = value_text(value)
    suffix = "" if source is None or text == NOTHING else f" ({source})"
    return shortened(text, max(_LEAST_CELL, most - len(suffix))) + suffix


def value_columns() -> int:
    """Return how wide the values in a line may be together on this terminal."""
    return max(_LEAST_CELL, shutil.get_terminal_size((_FALLBACK_COLUMNS, 24)).columns - _NOT_VALUES)


def _change_lines(changes: Iterable[Change]) -> Iterator[str]:
    fields = [c for c in changes if c.reason is not Reason.REMOVED]
    if not fields:
        return
    old_width, new_width = value_columns() * 2 // 5, value_columns() * 3 // 5
    rows = [("row", "field", "old (source)", "->", "new (source)", "reason")]
    for change in fields:
        rows.append(
            (
                row_name(change.table, change.pk),
                change.field,
                with_source(change.old, change.old_source, old_width),
                "->",
                with_source(change.new, change.new_source, new_width),
                change.reason.value,
            )
        )
    yield from table(rows)


def _removal_lines(removals: Sequence[Change]) -> Iterator[str]:
    """Name the books and files that go; what hangs on them is counted."""
    for change in removals:
        if change.table in TABLES and isinstance(change.old, RowImage):
            row = dict(change.old.columns)
            yield f"removes {row_name(change.table, change.pk)}: {row.get('filepath')}"
    counts = Counter(c.table for c in removals if c.table not in TABLES)
    if counts:
        hanging = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
        yield f"and with them rows: {hanging}"


def _let_go_lines(let_go: Sequence[Change]) -> Iterator[str]:
    """Count the references that become empty, in rows that stay."""
    for (table_name, column), count in sorted(Counter((c.table, c.field) for c in let_go).items()):
        yield f"and empties {column} in {counted(count, 'row')} of {table_name}"


def _kept_lines(kept: Iterable[Change]) -> Iterator[str]:
    def reason(change: Change) -> str:
        return change.reason.value

    for word, group in groupby(sorted(kept, key=reason), reason):
        yield f"kept, {word}: {', '.join(map(_kept_text, group))}"


def _kept_text(change: Change) -> str:
    """Return a kept field; where something else was offered, who keeps it from whom."""
    if change.reason is not Reason.LOWER_PRIORITY:
        return change.field
    return f"{change.field} ({change.old_source or 'stored'} before {change.new_source})"


def _file_lines(files: Sequence[FileState]) -> Iterator[str]:
    for file in files:
        failed = f" ({file.error})" if file.error else ""
        yield f"file {file.id}: {file.status.value}: {file.path}{failed}"
