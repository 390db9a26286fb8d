"""A PDF -> `ParsedFile`. Knows nothing of fields and priorities."""

from __future__ import annotations

from typing import BinaryIO

from ...model import Limits, ParsedFile
from ..computing import bounded_computing


def parse_pdf(file: BinaryIO, name: str, limits: Limits) -> ParsedFile:
    """Read a PDF's metadata, page count and outline.

    Raises: UnreadableFile, LimitExceeded.
    Source: spec 4.4.
    """
    # pypdf takes 200 ms to import, which only a process that meets a PDF should pay.
    from .reading import read_pdf

    with bounded_computing(name, limits):
        return read_pdf(file, name, limits)
