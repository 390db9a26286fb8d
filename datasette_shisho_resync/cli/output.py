"""What reaches a terminal or a pipe: lines for people, made harmless, and JSON."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from ..files import shown

_SEPARATOR = "  "


def say(*lines: str, err: bool = False) -> None:
    """Print lines; text from files in them can move no cursor and set no colour."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for line in lines:
        click.echo(shown(line).encode(encoding, "backslashreplace").decode(encoding), err=err)


def write_json(answer: Mapping[str, Any]) -> None:
    """Print an answer in ASCII, which is safe for every terminal and encoding."""
    click.echo(json.dumps(answer, indent=2))


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as aligned lines."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*cells, strict=True)]
    lines = (_SEPARATOR.join(map(_padded, row, widths)) for row in cells)
    return [line.rstrip() for line in lines]


def file_error(path: str, error: str | None) -> str:
    """Return why a file failed, with its path once."""
    path, error = shown(path), error or "could not be read"
    return error if error.startswith(path) else f"{path}: {error}"


def shortened(text: str, most: int) -> str:
    """Return one line of at most `most` columns."""
    plain = shown(" ".join(text[: 4 * most].split()))
    if display_width(plain) <= most and len(text) <= 4 * most:
        return plain
    while display_width(plain) >= most:
        plain = plain[:-1]
    return plain + "…"


def display_width(text: str) -> int:
    """Return how many columns a terminal needs: none for combining marks, two for wide letters."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - display_width(cell))
