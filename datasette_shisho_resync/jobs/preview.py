"""What a job would do, as far as a page can wait for it: the first rows in full, all rows by number."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..errors import ResyncError, UnknownRow
from ..model import Brief, Mode, Outcome, Target
from ..resync import Ask
from ..store.selection import count_manual
from ..web.access import Actor, may_touch
from ..web.library import WebLibrary
from ..web.pages import is_lost
from ..web.redaction import without_path
from .asking import JobWish
from .selection import Selection

_SAMPLE_ROWS = 10
_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One of the first rows: what would change, or why nothing can."""

    target: Target
    brief: Brief | None = None
    outcome: Outcome | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class JobPreview:
    """`lost` values that a person set would be overwritten, at most; `is_exact`: just so many."""

    rows: tuple[SampleRow, ...]
    lost: int
    is_exact: bool

    @property
    def changing(self) -> int:
        return sum(row.outcome is not None and row.outcome.changed for row in self.rows)


async def preview_job(
    library: WebLibrary, actor: Actor, selection: Selection, wish: JobWish, visible: frozenset[str]
) -> JobPreview:
    """Plan the first rows, one after another, for a few seconds at most."""
    deadline = time.monotonic() + _SECONDS
    rows: list[SampleRow] = []
    for pk in selection.pks[:_SAMPLE_ROWS]:
        if time.monotonic() > deadline:
            break
        ask = Ask(Target(selection.table, pk), wish.mode, wish.fields)
        rows.append(await _sample(library, actor, ask, visible))
    if len(rows) == len(selection.pks):
        return JobPreview(tuple(rows), _lost(rows), True)
    if wish.mode is Mode.SCAN:  # which keeps them: nobody asks how many of a whole library they are
        return JobPreview(tuple(rows), 0, False)
    lost = await library.read(lambda conn, schema: count_manual(conn, schema, selection.table, selection.pks))
    return JobPreview(tuple(rows), lost, False)


async def _sample(library: WebLibrary, actor: Actor, ask: Ask, visible: frozenset[str]) -> SampleRow:
    try:
        brief = await library.brief(ask.target)
        if not may_touch(library.settings, actor, brief.library_id, brief.library_name):
            return SampleRow(ask.target, error="its library is not open to you: it will be skipped")
        return SampleRow(ask.target, brief, await library.preview(ask, brief))
    except UnknownRow:
        return SampleRow(ask.target, error="it is not there any more")
    except ResyncError as error:
        return SampleRow(ask.target, error=without_path(error, visible).message)


def _lost(rows: list[SampleRow]) -> int:
    """Count what a person set and a plan overwrites; a book's value once, whichever of its files say so."""
    changes = [c for row in rows if row.outcome is not None for c in row.outcome.plan.changes]
    return len({(c.table, c.pk, c.field) for c in changes if is_lost(c)})
