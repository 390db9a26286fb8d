"""Commands run on a terminal, where somebody types."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


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
    said = b""
    while True:
        try:
            said += os.read(ours, 65_536)
        except OSError:  # the last one has closed its end
            break
    os.close(ours)
    return Shown(done.returncode, done.stdout.decode(), said.decode())
