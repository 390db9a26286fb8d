"""`datasette shisho demo`: a sample library to try everything on, made, served and removed again."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import click

from ..demo import DATABASE, DemoFolder
from ..files import shown
from ..library_scan import ScanOptions, ScanReport
from ..value_text import counted
from .command import Command
from .demo_server import DemoServer
from .options import Common
from .output import say, write_json
from .program import program
from .scan import run_scan

_DEFAULT = "shisho-demo"
_EXAMPLE = f"""\b
Example:
  datasette shisho demo
  datasette shisho demo /tmp/books --port 8010
  datasette shisho demo --no-serve
  datasette shisho demo --remove

DIR is made, or must be empty; without it, {_DEFAULT} in the current folder. Run it again to go on where
you were. --remove deletes the files that this command wrote and nobody changed since, their covers and
sidecars, and the database; everything else in DIR stays, and is named.
"""


@click.command(cls=Command, epilog=_EXAMPLE, short_help="Make a sample library and open it.")
@click.argument("folder", metavar="[DIR]", default=_DEFAULT, type=click.Path())
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port of the server; else 8001 or the next free one."
)
@click.option("--no-serve", is_flag=True, help="Make and scan it, and open no server.")
@click.option("--remove", is_flag=True, help="Remove the sample library again.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(folder: str, port: int | None, no_serve: bool, remove: bool, as_json: bool) -> None:
    """Write a small library of real EPUB, M4B, CBZ and PDF files to DIR, scan it, and open Datasette on it
    with a link that signs you in."""
    demo = DemoFolder(folder)
    if remove:
        _remove(demo, as_json=as_json)
        return
    began = time.monotonic()
    report = _make(demo)
    answer = _answer(demo, report, time.monotonic() - began)
    with suppress(KeyboardInterrupt):  # Ctrl-C is how a server ends
        asyncio.run(
            _serve(demo, answer, port, as_json=as_json, is_new=report is not None, serves=not no_serve)
        )


def _remove(demo: DemoFolder, *, as_json: bool) -> None:
    removed = demo.remove()
    if as_json:
        kept = [shown(path) for path in removed.kept]
        write_json({"ok": True, "folder": shown(demo.path), "removed": removed.files, "kept": kept})
        return
    say(f"Removed {counted(removed.files, 'file')} of the sample library in {demo.path}.")
    say(*(f"Kept, because it is not ours or was changed: {path}" for path in removed.kept))


def _make(demo: DemoFolder) -> ScanReport | None:
    """Write what is missing and scan it; None when everything was there."""
    if not demo.complete():
        return None
    before = demo.companions()
    common = Common(demo.database)
    options = ScanOptions(paths=(demo.books,), library="Sample library")
    report = run_scan(common, common.settings(), options)
    demo.note_companions(before)
    return report


def _answer(demo: DemoFolder, report: ScanReport | None, seconds: float) -> dict[str, Any]:
    return {
        "ok": True,
        "folder": shown(demo.path),
        "database": shown(demo.database),
        "imported": report.imported if report else 0,
        "failed": report.failed if report else 0,
        "seconds": round(seconds, 3),
        "url": None,
        "sign_in_url": None,
    }


async def _serve(
    demo: DemoFolder,
    answer: dict[str, Any],
    port: int | None,
    *,
    as_json: bool,
    is_new: bool,
    serves: bool,
) -> None:
    """Add what only Datasette can, tell what there is, and serve until Ctrl-C."""
    async with DemoServer(demo.database) as server:
        if is_new:
            await server.edit_by_hand()
            demo.publish_correction()
        if serves:
            server.listen(port)
            answer |= {"url": server.url, "sign_in_url": server.sign_in_url}
        if as_json:
            write_json(answer)
        else:
            say(*_made(answer), *(_to_try(answer) if serves else _how_to_open(demo)))
        if serves:
            await server.run()


def _made(answer: Mapping[str, Any]) -> Iterator[str]:
    if answer["imported"] or answer["failed"]:
        yield (
            f"Sample library in {answer['folder']}: {counted(answer['imported'], 'file')} imported, "
            f"{answer['failed']} could not be read (on purpose), in {answer['seconds']:.1f} seconds."
        )
    else:
        yield f"Sample library in {answer['folder']}: as you left it."


def _how_to_open(demo: DemoFolder) -> Iterator[str]:
    yield f"Open it with: {program()} shisho demo {shlex.quote(shown(demo.path))}"


def _to_try(answer: Mapping[str, Any]) -> Iterator[str]:
    books = f"{answer['url']}{DATABASE.removesuffix('.db')}/books"
    yield from (
        "",
        f"  Sign in with this link: {answer['sign_in_url']}",
        "",
        "What to try then:",
        f"  1. Look at the books: {books}",
        f"  2. A better edition came out: {books}?title=A+Study+in+Scarlet",
        "     Open the book, choose Scan for new metadata, and see its description arrive.",
        f"  3. Somebody wrote a description by hand: {books}?title=Pride+and+Prejudice",
        "     Scan keeps it. Refresh all metadata... shows what would be lost before anything is.",
        "  4. Undo this run, on the page of any run, puts everything back.",
        f"  5. What only SQL can tell: {answer['url']}{DATABASE.removesuffix('.db')}/manual_values",
        "",
        f"Ctrl-C ends it. To remove it: {program()} shisho demo {shlex.quote(answer['folder'])} --remove",
    )
