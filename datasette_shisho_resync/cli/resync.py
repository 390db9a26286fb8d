"""`datasette shisho resync`: one book or one file."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace

import click

from ..errors import UnknownRow
from ..fields import BY_NAME
from ..files import PathMap, respelled, shown
from ..json_output import outcome_to_json
from ..model import Mode, Outcome, Target
from ..resync import Ask, By, Service
from ..store.library import load_libraries
from ..store.lookup import file_ids_at
from . import confirmation
from .command import FAILED, Command
from .options import ANY_PATH, Common, chosen_target, common, mode_option, target_options, yes_option
from .output import say, write_json
from .plan_text import plan_lines, result_line
from .session import open_session

_EXAMPLE = """\b
Example:
  datasette shisho resync library.db --book 12 --mode refresh --dry-run
"""


@click.command(cls=Command, epilog=_EXAMPLE, short_help="Bring one book or file up to date.")
@common
@target_options
@click.option("--path", type=ANY_PATH, help="The path of the file, as it is here.")
@mode_option
@click.option(
    "--field",
    "fields",
    multiple=True,
    type=click.Choice(list(BY_NAME)),
    metavar="NAME",
    help="Decide only this field; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@click.option("--confirm-missing", is_flag=True, help="What is not on the disk is really gone.")
@yes_option
def command(
    common: Common,
    book_id: int | None,
    file_id: int | None,
    path: str | None,
    mode: Mode,
    fields: tuple[str, ...],
    dry_run: bool,
    confirm_missing: bool,
    yes: bool,
) -> None:
    """Read the files of one row of DATABASE again and bring its record up to date."""
    target = chosen_target(book_id, file_id)
    if (target is None) == (not path):
        raise click.UsageError("Give one of --book, --file and --path.")
    asks = confirmation.must_ask(mode, yes=yes, dry_run=dry_run)
    with open_session(common, writes=not dry_run) as session:
        if target is None:
            target = _file_at(session.conn, str(path), session.settings.path_map)
        wanted = Ask(target, mode, fields or None, None, confirm_missing)
        outcome = _run(session.service, wanted, dry_run=dry_run, asks=asks)
    _report(outcome, common, is_known=asks)


def _file_at(conn: sqlite3.Connection, path: str, path_map: PathMap) -> Target:
    """Return the file with this path. Raises UnknownRow."""
    real = os.path.realpath(path)
    roots = [path_map.here(root) for library in load_libraries(conn) for root in library.paths]
    places = (os.path.abspath(path), real, respelled(real, roots))
    found = file_ids_at(conn, dict.fromkeys(map(path_map.stored, places)))
    if not found:
        raise UnknownRow(f"{shown(path)}: the library has no file with this path.")
    if len(found) > 1:
        ids = ", ".join(map(str, found))
        raise UnknownRow(f"{shown(path)}: several files have this path; choose one with --file: {ids}.")
    return Target("files", found[0])


def _run(service: Service, wanted: Ask, *, dry_run: bool, asks: bool) -> Outcome:
    if dry_run:
        return service.preview(wanted)
    if asks:
        planned = service.preview(wanted)
        say(*plan_lines(planned.plan), err=True)
        if planned.changed:
            confirmation.ask("Apply this plan?")
        wanted = replace(wanted, digest=planned.plan.digest)
    return service.run(wanted, By("cli"))


def _report(outcome: Outcome, common: Common, *, is_known: bool) -> None:
    """Print the answer; a person who was asked has seen the plan."""
    if common.as_json:
        write_json(outcome_to_json(outcome))
    else:
        if not is_known:
            say(*plan_lines(outcome.plan))
        say(*(f"Warning: {warning}" for warning in outcome.warnings), err=True)
        say(result_line(outcome))
    if any(f.status.is_failed for f in outcome.plan.files):
        raise click.exceptions.Exit(FAILED)
