"""Bytes on disk -> `ParsedFile`. Parsers know nothing of SQLite, fields or priorities.

Only errors of `errors.MediaError` leave a parser; optional metadata that is broken becomes a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from ..model import Limits, ParsedFile

Parser = Callable[[BinaryIO, str, Limits], ParsedFile]
"""Takes an open file, its path for messages, and the limits."""
