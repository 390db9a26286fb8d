"""Datasette plugin: make a Shisho library and its media files agree again. Hook implementations only.

Worker processes import this package too, so what a hook needs is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from .parsers import Parser

hookimpl = pluggy.HookimplMarker("datasette")


@hookimpl
def register_commands(cli: click.Group) -> None:
    from .cli import shisho

    cli.add_command(shisho)


@hookimpl(trylast=True)
def shisho_parsers() -> Mapping[str, Parser]:
    from .hooks import builtin_parsers

    return builtin_parsers()
