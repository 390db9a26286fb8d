"""Commands run on a terminal, where somebody types."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import pytest


class Shown(NamedTuple):
    """What a command did: its exit code, its standard output, and what stood on the screen."""

    exit_code: int
    stdout: str
    screen: str


def on_terminal(
    command: Sequence[str],
    keys: bytes,
    environment: Mapping[str, str],
    *,
    folder: Path | None = None,
    seconds: float | None = None,
) -> Shown:
    """Run a command whose stdin and stderr are a terminal; `environment` is added to ours."""
    ours, theirs = pty.openpty()
    os.write(ours, keys)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=seconds,
    )
    os.close(theirs)
    return Shown(done.returncode, done.stdout.decode(), _screen(ours))


def called_on_terminal(
    group: click.Group, arguments: Sequence[str], keys: bytes, environment: Mapping[str, str]
) -> Shown:
    """Do the same in this process, in less time."""
    ours, theirs = pty.openpty()
    os.write(ours, keys)
    stdout = io.StringIO()
    with (
        open(theirs) as keyboard,
        open(os.dup(theirs), "w", buffering=1) as screen,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        for name, stream in (("stdin", keyboard), ("stdout", stdout), ("stderr", screen)):
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            group.main(arguments)
    assert isinstance(ended.value.code, int)
    return Shown(ended.value.code, stdout.getvalue(), _screen(ours))


def _screen(ours: int) -> str:
    """Return all that was written to a terminal of which the other end is closed."""
    said = b""
    while True:
        try:
            said += os.read(ours, 65_536)
        except OSError:  # the last one has closed its end
            break
    os.close(ours)
    return said.decode()
