"""`datasette shisho explain`: why a row's fields are what they are."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from ..comparison import comparison_key
from ..decide import Candidate, Decision, effective_source
from ..explain import explain
from ..model import FileStatus, Identities, Plan
from ..resync import Ask, Planned
from ..value_text import row_name, value_text
from ..values import is_empty
from .command import FAILED, Command
from .options import Common, chosen_target, common, target_options
from .output import file_error, say, shortened, table, write_json
from .plan_text import value_columns
from .session import open_session

_EXAMPLE = """\b
Example:
  datasette shisho explain library.db --book 12
"""


@click.command(cls=Command, epilog=_EXAMPLE, short_help="Why a row's fields are what they are.")
@common
@target_options
def command(common: Common, book_id: int | None, file_id: int | None) -> None:
    """Show what each source says about a row of DATABASE, and which value wins. Writes nothing."""
    target = chosen_target(book_id, file_id)
    if target is None:
        raise click.UsageError("Give one of --book and --file.")
    with open_session(common, writes=False) as session:
        planned = session.service.planned(Ask(target))
    if common.as_json:
        write_json(explain(planned))
    else:
        say(*table(_rows(planned, value_columns())))
        say(*_troubles(planned.plan), err=True)
    if any(f.status.is_failed for f in planned.plan.files):
        raise click.exceptions.Exit(FAILED)


def _rows(planned: Planned, most: int) -> Iterator[tuple[str, ...]]:
    """Yield the stored value of each field that has any to tell of, with the sources that say the same,
    and below it what the others say."""
    yield "row", "field", "value", "source", "", "said by"
    for decision in planned.decisions:
        stored, source = decision.stored.value, effective_source(decision.stored)
        if not decision.candidates and is_empty(stored):
            continue
        others = _others(decision, planned.snapshot.identities)
        yield (
            row_name(decision.table, decision.pk),
            decision.field.name,
            shortened(value_text(stored), most),
            source or "",
            f"stored: {decision.reason.value}",
            ", ".join(dict.fromkeys(c.source for c in decision.candidates if c not in others)),
        )
        for candidate in others:
            said = "would win" if decision.changes and candidate is decision.winner else "offered"
            text = shortened(value_text(candidate.value), most)
            yield "", "", text, candidate.source, said, os.path.basename(candidate.path or "")


def _others(decision: Decision, identities: Identities) -> list[Candidate]:
    """Return the candidates that say something else than what is stored."""
    stored = comparison_key(decision.field, decision.stored.value, identities)
    return [c for c in decision.candidates if comparison_key(decision.field, c.value, identities) != stored]


def _troubles(plan: Plan) -> Iterator[str]:
    yield from (f"Warning: {warning}" for warning in plan.warnings)
    for file in plan.files:
        if file.status is FileStatus.MISSING:
            yield f"Warning: {file.path}: no such file; a run removes its record"
        elif file.status.is_failed:
            yield f"Error: {file_error(file.path, file.error)}"
