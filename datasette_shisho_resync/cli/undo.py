"""`datasette shisho undo`: one run, or every run of a job."""

from __future__ import annotations

import click

from ..json_output import job_undone_to_json, undone_to_json
from ..model import ROW, TABLES
from ..resync import By, Undone
from ..store.history import Entry
from ..value_text import counted, row_name
from .command import Command
from .options import Common, checked_id, common
from .output import say, write_json
from .session import open_session

_EXAMPLE = """\b
Example:
  datasette shisho undo library.db 41
  datasette shisho undo library.db --job 3
"""


@click.command(cls=Command, epilog=_EXAMPLE, short_help="Put back what a run or a job changed.")
@common
@click.argument("run_id", type=int, callback=checked_id, metavar="RUN", required=False)
@click.option(
    "--job", "job_id", type=int, callback=checked_id, metavar="ID", help="Undo every run of this scan or job."
)
def command(common: Common, run_id: int | None, job_id: int | None) -> None:
    """Put back what RUN changed in DATABASE; refused when something was changed since."""
    if (run_id is None) == (job_id is None):
        raise click.UsageError("Give a RUN or --job.")
    with open_session(common, writes=True) as session:
        if run_id is not None:
            _report_run(session.service.undo(run_id, By("cli")), common)
        elif job_id is not None:
            _report_job(job_id, session.service.undo_job(job_id, By("cli")), common)


def _report_job(job_id: int, undone: tuple[Undone, ...], common: Common) -> None:
    if common.as_json:
        write_json(job_undone_to_json(job_id, undone))
        return
    for one in undone:
        _warn(one)
    say(f"{counted(len(undone), 'run')} of job {job_id} undone.")


def _report_run(undone: Undone, common: Common) -> None:
    if common.as_json:
        write_json(undone_to_json(undone))
    else:
        _describe(undone)


def _describe(undone: Undone) -> None:
    fields = dict.fromkeys(e.field for e in undone.entries if e.field != ROW)
    rows = [f"{row_name(e.table, e.pk)} is back" for e in undone.entries if e.field == ROW and _is_main(e)]
    what = ", ".join([*rows, *fields])
    say(f"Run {undone.undo_of} undone by run {undone.run_id}{': ' if what else ''}{what}.")
    _warn(undone)


def _warn(undone: Undone) -> None:
    say(*(f"Warning: {warning}" for warning in undone.warnings), err=True)


def _is_main(entry: Entry) -> bool:
    """Tell whether a row that came back is one that people speak of."""
    return entry.table in TABLES and entry.new is not None
