"""`datasette shisho history`: what was run, and forgetting it."""

from __future__ import annotations

import time
from typing import Any

import click

from ..json_output import sendable
from ..model import Target
from ..resync import Service, find_brief
from ..store.history import forget_runs, list_runs
from ..store.times import to_stored
from ..value_text import counted, row_name
from .command import Command
from .options import Common, chosen_target, common, target_options
from .output import say, table, write_json
from .session import open_session

_MOST_RUNS = 1000
_DAY_NS = 86_400 * 10**9
_COLUMNS = (
    "finished_at",
    "actor",
    "via",
    "mode",
    "changed",
    "removed",
    "failed",
    "job_id",
    "undo_of",
    "undone_by",
)
_SECOND = len("2026-01-19 23:16:49")  # what a person needs of a time
_EXAMPLE = """\b
Example:
  datasette shisho history library.db --book 12
  datasette shisho history library.db --prune 365
"""


@click.command(cls=Command, epilog=_EXAMPLE, short_help="List what was run, or forget it.")
@common
@target_options
@click.option(
    "--prune",
    "days",
    type=click.IntRange(0, 36_500),
    metavar="DAYS",
    help="Forget the runs that are older; they can't be undone any more.",
)
def command(common: Common, book_id: int | None, file_id: int | None, days: int | None) -> None:
    """List the runs recorded in DATABASE, newest first, at most 1,000."""
    target = chosen_target(book_id, file_id)
    if target is not None and days is not None:
        raise click.UsageError("--prune forgets runs of the whole library: leave out --book and --file.")
    with open_session(common, writes=days is not None) as session:
        forgotten = None if days is None else _forget(session.service, days)
        runs = _runs(session.service, target)
    is_truncated = len(runs) > _MOST_RUNS
    del runs[_MOST_RUNS:]
    if common.as_json:
        pruned = {} if forgotten is None else {"forgotten": forgotten}
        write_json({"ok": True, **pruned, "runs": sendable(runs), "truncated": is_truncated})
        return
    if forgotten is not None:
        say(f"{counted(forgotten, 'run')} forgotten.")
    say(*(_lines(runs) if runs else ["No runs."]))
    if is_truncated:
        say(f"These are the newest {_MOST_RUNS:,} runs; older ones are left out.", err=True)


def _forget(service: Service, days: int) -> int:
    before = to_stored(time.time_ns() - days * _DAY_NS)
    if not service.schema.has_history:
        return 0
    return service.transaction(lambda: forget_runs(service.conn, before))


def _runs(service: Service, target: Target | None) -> list[dict[str, Any]]:
    """Return the runs of a row, also of one that was removed, and one more than are listed.

    Raises UnknownRow if there never was such a row.
    """
    runs = list_runs(service.conn, target, limit=_MOST_RUNS + 1) if service.schema.has_history else []
    if target is not None and not runs:
        find_brief(service.conn, target)
    return runs


def _lines(runs: list[dict[str, Any]]) -> list[str]:
    rows: list[tuple[str, ...]] = [("run", "row", *_COLUMNS)]
    for run in runs:
        cells = ("-" if run[name] is None else str(run[name])[:_SECOND] for name in _COLUMNS)
        rows.append((str(run["id"]), row_name(run["target_table"], run["target_pk"]), *cells))
    return table(rows)
