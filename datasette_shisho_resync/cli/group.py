"""The group of commands, each loaded when it is asked for. Imports nothing but click."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = ("scan", "resync", "explain", "history", "undo", "demo")
"""Modules of this package, each with a `command` of the same name."""


class Commands(click.Group):
    """Finds its commands in the modules that `COMMANDS` names, and those that were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(f".{cmd_name}", __package__).command
        return command


@click.group(cls=Commands)
def shisho() -> None:
    """Make a Shisho library and its ebooks, audiobooks and comics agree again."""
