"""`datasette shisho scan`: folders become a library, or a library is brought up to date."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import click

from ..errors import MassRemoval, UnreadableFile
from ..files import PathMap, checked_roots, shown
from ..json_output import sendable
from ..library_scan import Grouping, ScanOptions, ScanReport, scan_library
from ..model import Mode
from ..resync import By
from ..settings import Settings
from ..site import TEMPLATES
from ..store.opening import copy_in_memory, open_or_create
from ..value_text import counted
from . import confirmation
from .command import FAILED, Command
from .options import ANY_PATH, Common, common, mode_option, yes_option
from .output import file_error, say, write_json
from .program import program
from .progress import ProgressLine
from .session import session_on

_COUNTS = ("imported", "updated", "unchanged", "moved", "removed", "failed")
_EXAMPLE = """\b
Example:
  datasette shisho scan library.db ~/Books
  datasette shisho scan library.db /mnt/nas/comics --library Comics --prune
"""


@click.command(cls=Command, epilog=_EXAMPLE, short_help="Bring a whole library up to date, or make one.")
@common
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=ANY_PATH)
@click.option("--library", metavar="NAME", help="The library that these folders belong to.")
@mode_option
@click.option("--dry-run", is_flag=True, help="Tell what would happen and write nothing.")
@click.option(
    "--workers", type=click.IntRange(1, 256), metavar="N", help="Processes that read files; else one a core."
)
@click.option("--prune", is_flag=True, help="Remove the records of files that are gone.")
@click.option(
    "--confirm-removals",
    type=click.IntRange(1),
    metavar="N",
    help="N records may go; asked for when --prune would remove more than a tenth of a library.",
)
@click.option(
    "--group",
    type=click.Choice([grouping.value for grouping in Grouping]),
    help="folder: a folder is one book; auto: a folder may hold several.",
)
@yes_option
def command(
    common: Common,
    paths: tuple[str, ...],
    library: str | None,
    mode: Mode,
    dry_run: bool,
    workers: int | None,
    prune: bool,
    confirm_removals: int | None,
    group: str | None,
    yes: bool,
) -> None:
    """Import new files below each PATH into DATABASE, which is made when there is none, and read
    changed ones again."""
    asks = confirmation.must_ask(mode, yes=yes, dry_run=dry_run)
    settings = common.settings()
    if workers is not None or "workers" not in common.block():
        settings = replace(settings, workers=workers or os.cpu_count() or settings.workers)
    options = ScanOptions(
        paths=_folders(paths, settings.path_map),
        library=library,
        mode=mode,
        prune=prune,
        grouping=Grouping(group) if group else None,
        dry_run=dry_run,
        confirm_removals=confirm_removals,
    )
    if asks:
        _ask(run_scan(common, settings, replace(options, dry_run=True)), mode)
    report = _confirmed_scan(common, settings, options)
    if common.as_json:
        write_json(report_to_json(report, dry_run=dry_run))
    else:
        _report(report, common, dry_run=dry_run)
    if report.failed or report.cancelled:
        raise click.exceptions.Exit(FAILED)


def _ask(rehearsal: ScanReport, mode: Mode) -> None:
    """Show what a dry run found, and ask. Raises Abort, also when the dry run was stopped."""
    if rehearsal.cancelled:
        raise click.Abort
    say(*_listed(rehearsal), *_summary(rehearsal), err=True)
    confirmation.ask(f"{mode.value.capitalize()} these files?")


def _folders(paths: tuple[str, ...], path_map: PathMap) -> tuple[str, ...]:
    """Return the folders as absolute paths here, also those that were named as the database has them.

    Raises UnreadableFile, and BadRequest for a system folder.
    """
    here = [_place(path, path_map) for path in paths]
    for path in here:
        try:
            os.scandir(path).close()
        except OSError as error:
            raise UnreadableFile(shown(path), str(error.strerror)) from error
    return checked_roots(map(os.path.abspath, here))


def _place(path: str, path_map: PathMap) -> str:
    stored = os.path.abspath(path)
    is_here = path_map.stored(stored) != stored or not path_map.is_mapped(stored)
    return path if is_here else path_map.here(stored)


def _confirmed_scan(common: Common, settings: Settings, options: ScanOptions) -> ScanReport:
    """Scan; where much would be removed, ask first. Raises MassRemoval where nobody could answer."""
    try:
        return run_scan(common, settings, options)
    except MassRemoval as error:
        if not confirmation.can_ask():
            advice = f"If they shall go, say --confirm-removals {error.count}."
            raise MassRemoval(f"{error.message} {advice}", error.count, error.known) from error
        say(error.message, err=True)
        confirmation.ask(f"Remove {counted(error.count, 'record')}?")
        return run_scan(common, settings, replace(options, confirm_removals=error.count))


def run_scan(common: Common, settings: Settings, options: ScanOptions) -> ScanReport:
    """Scan; a dry run works on a copy of the database in memory."""
    conn = copy_in_memory(common.database) if options.dry_run else open_or_create(common.database)
    with (
        closing(conn),
        session_on(conn, common, settings, writes=not options.dry_run, more_roots=options.paths) as session,
        ProgressLine() as progress,
    ):
        return scan_library(
            conn, shown(common.database), options, session.settings, session.pool, By("cli"), progress
        )


def report_to_json(report: ScanReport, *, dry_run: bool) -> dict[str, Any]:
    """Return the answer of design 5.4."""
    answer = {
        "ok": True,
        "dry_run": dry_run,
        "library": report.library,
        **{name: getattr(report, name) for name in _COUNTS},
        "missing": report.missing,
        "cancelled": report.cancelled,
        "job": None if dry_run else report.job_id,
        "seconds": round(report.seconds, 3),
        "files": [asdict(file) for file in report.files],
        "warnings": report.warnings,
    }
    return {key: sendable(value) for key, value in answer.items()}


def _listed(report: ScanReport) -> Iterator[str]:
    """Yield what a dry run would do with each file that it would touch."""
    for file in report.files:
        if file.status != "error":
            yield f"{file.status}: {file.path}"


def _report(report: ScanReport, common: Common, *, dry_run: bool) -> None:
    say(*(f"Warning: {warning}" for warning in report.warnings), err=True)
    errors = (file_error(file.path, file.error) for file in report.files if file.status == "error")
    say(*(f"Error: {error}" for error in errors), err=True)
    say(*(_listed(report) if dry_run else ()), *_summary(report))
    if dry_run:
        say("Dry run: nothing was written.")
    elif report.job_id is not None:
        say(*_advice(report, shlex.quote(common.database)))


def _advice(report: ScanReport, database: str) -> Iterator[str]:
    """Yield what to do next: after the first scan how to look at the library, too."""
    if report.job_id == 1:
        look = f"--root --template-dir {shlex.quote(str(TEMPLATES))}"
        yield f"To look at it: {program()} {database} {look}"
    if report.imported or report.updated or report.moved or report.removed:
        yield f"To undo all of it: {program()} shisho undo {database} --job {report.job_id}"


def _summary(report: ScanReport) -> Iterator[str]:
    counts = ", ".join(f"{getattr(report, name):,} {name}" for name in _COUNTS)
    yield f"{report.library}: {counts}"
    total = sum(getattr(report, name) for name in _COUNTS)
    rate = f", {total / report.seconds:,.0f} a second" if report.seconds > 0 else ""
    yield f"{counted(total, 'file')} in {report.seconds:,.1f} seconds{rate}"
    if report.cancelled:
        yield f"Stopped after {counted(total, 'file')}: what was done stays, another scan does the rest."
    if report.missing and not total:
        yield f"None of the {counted(report.missing, 'known file')} was found. Is their disk mounted?"
    elif report.missing:
        yield f"{counted(report.missing, 'known file')} not found; --prune removes such records."
