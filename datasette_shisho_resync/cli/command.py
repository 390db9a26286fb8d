"""A command that ends in one sentence or one JSON object, whatever goes wrong, and the exit code for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import click

from ..errors import ResyncError, RootUnavailable
from ..files import shown
from ..json_output import error_to_json, message_to_json
from ..store.schema import translate
from .output import say, write_json

FAILED = 1
USAGE = 2


class UnforeseenError(ResyncError):
    """What we did not think of; the shell's last word instead of a traceback."""

    status = 500


class Command(click.Command):
    """Exit code 0: done; 1: some or all failed; 2: asked in a way that makes no sense."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        as_json = "--json" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if as_json:
                _finish_with(message_to_json(error.format_message(), 400), USAGE)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        as_json = bool(ctx.params.get("as_json"))
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except click.UsageError as error:
            if as_json:
                _finish_with(message_to_json(error.format_message(), 400), USAGE)
            raise
        except (click.Abort, KeyboardInterrupt):
            if as_json:
                _finish_with(message_to_json("Stopped.", 400), FAILED)
            raise
        except Exception as error:  # the shell's one catch-all
            ours = as_ours(error, str(ctx.params.get("database", ctx.info_name)))
            if as_json:
                _finish_with(error_to_json(ours), ours.exit_code)
            _explain_to_person(ours)
            raise click.exceptions.Exit(ours.exit_code) from error


def as_ours(error: Exception, database: str) -> ResyncError:
    """Return an error of ours that names a path and the reason."""
    if isinstance(error, ResyncError):
        return error
    if isinstance(error, sqlite3.Error):
        return translate(error, shown(database))
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return ResyncError(f"{shown(str(error.filename or database))}: {reason}")
    if isinstance(error, MemoryError):
        return UnforeseenError(f"{shown(database)}: there is not enough memory.")
    return UnforeseenError(f"{shown(database)}: unexpected {type(error).__name__}: {error}")


def _finish_with(answer: Mapping[str, Any], exit_code: int) -> None:
    write_json(answer)
    raise click.exceptions.Exit(exit_code)


def _explain_to_person(error: ResyncError) -> None:
    say(f"Error: {error.message}", err=True)
    if isinstance(error, RootUnavailable) and error.would_remove:
        say(f"Nothing was removed; it would have been {', '.join(error.would_remove)}.", err=True)
