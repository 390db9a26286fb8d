"""The words that mean something in a format, for mutations to put where they never were.

They stand in `dictionary`, one a line, with Python's escapes. Nothing there says what a parser does with a
word; a few are whole elements or objects, since a fuzzer would take days to put them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NUMBERS = (-1, 0, 0.5, 1, 2, 3, 7, 10, 99, 255, 256, 1800, 65535, 2**31 - 1, 2**53, 2**63, 10**30, 1e308)
BYTES = (
    "\0", "\1", "\2", "\x10", "\x7f", "\x80", "\xff", "\0\0\0\0", "\0\0\0\1", "\0\0\0\2", "\x7f\xff\xff\xff",
    "\xff\xff\xff\xff", "\0\0\0\0\0\0\0\1", "\xfe\xff", "\xff\xfe", "\xef\xbb\xbf", " ", "\n", "\\",
)  # fmt: skip
_DEEP = "<a>" * 300
_FILES: Mapping[str, tuple[str, ...]] = {
    "archive": ("archive",),
    "epub": ("epub", "epub", "markup", "archive"),
    "cbz": ("cbz", "cbz", "markup", "archive", "image"),
    "m4b": ("m4b",),
    "pdf": ("pdf",),
    "image": ("image",),
    "xml": ("markup", "encodings", "encodings"),
    "sidecar": ("sidecar",),
    "filename": ("filename",),
}


def words_of(kind: str) -> list[str]:
    words = [word for name in _FILES[kind] for word in _words(name)]
    return [*words, _DEEP] if kind == "xml" else words


def _words(name: str) -> list[str]:
    lines = Path(__file__).with_name("dictionary").joinpath(f"{name}.txt").read_text().split("\n")
    return [line.encode("ascii").decode("unicode_escape") for line in lines if line]
