"""How this program was called, for advice that can be typed as it is printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

_NAME = "datasette"


def program() -> str:
    """Return `datasette`, or the path of one that the shell would not find by that name."""
    called = sys.argv[0]
    if os.path.basename(called) != _NAME or _is_same_file(called, shutil.which(_NAME)):
        return _NAME
    return shlex.quote(called)


def _is_same_file(path: str, other: str | None) -> bool:
    try:
        return other is not None and os.path.samefile(path, other)
    except OSError:
        return False
