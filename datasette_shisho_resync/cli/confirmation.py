"""Who has to say yes before something is overwritten, and how they are asked."""

from __future__ import annotations

import sys

import click

from ..model import Mode


def must_ask(mode: Mode, *, yes: bool, dry_run: bool) -> bool:
    """Tell whether to show the plan and ask. Raises UsageError where nobody could answer."""
    if mode is Mode.SCAN or yes or dry_run:
        return False
    if not can_ask():
        raise click.UsageError(
            f"--mode {mode.value} overwrites what people set: "
            "without a terminal to ask, say --yes, or look with --dry-run."
        )
    return True


def can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> None:
    """Ask on stderr. Raises Abort unless the answer is yes."""
    click.confirm(question, err=True, abort=True)
