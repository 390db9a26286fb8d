"""What a file's path alone says about it. Looks at names, never at the disk."""

from __future__ import annotations

import os.path
import re

from ..model import Author, ParsedFile, SeriesEntry
from ..normalize.names import split_names
from ..normalize.text import clean
from ..normalize.titles import (
    normalize_comic_title,
    series_from_title,
    without_bracketed,
    without_extension,
    without_people,
)
from ..sources import FILEPATH

_SUPPLEMENT_NAMES = frozenset(
    {
        "supplement", "supplemental", "bonus", "bonus material", "bonus content", "companion", "notes",
        "liner notes", "errata", "booklet", "digital booklet", "appendix", "map", "maps", "insert", "guide",
        "reference", "cheat sheet", "cheatsheet", "cribsheet", "pamphlet", "extras",
    }
)  # fmt: skip
_EXCLUDED_NAMES = frozenset({"Thumbs.db", "desktop.ini"})
_DISC_FOLDER = re.compile(
    r"(?:^|[\s._-])(?:cd|disc|disk|part|teil)[\s._#-]*[0-9]{1,2}(?:\s?of\s?[0-9]{1,2})?\s*$", re.IGNORECASE
)
_UNDECODED_BYTE = re.compile("[\udc80-\udcff]")


def parse_path(path: str, *, root_level: bool, file_type: str, book_folder: str | None = None) -> ParsedFile:
    """Read title, authors, narrators and, for a comic, the series from a path.

    `root_level`: the file lies in a library path itself, so its folder says nothing. `book_folder`: the
    book's, by default the one that the file lies in.
    Source: spec 5.
    """
    path = _shown(path)
    base_name = without_extension(os.path.basename(path)) or os.path.basename(path)
    folder = "" if root_level else os.path.basename(_shown(book_folder or os.path.dirname(path)))
    named = folder or base_name
    title = clean(_title(named, base_name, file_type))
    return ParsedFile(
        source=FILEPATH,
        title=title,
        authors=tuple(Author(name) for name in _bracketed_names(named, "[", "]")),
        narrators=_bracketed_names(base_name, "{", "}") or _bracketed_names(folder, "{", "}"),
        series=_comic_series(title) if file_type == "cbz" else (),
    )


def is_disc_folder(name: str) -> bool:
    """Tell whether a folder of this name holds one disc of an audiobook, not a book: `CD1`, `Dune Disc 2`."""
    return _DISC_FOLDER.search(name) is not None


def is_in_book_folder(path: str, book_path: str) -> bool:
    """Tell whether a file lies in its book's folder or in one for a disc of it."""
    folder = os.path.dirname(path)
    if folder == book_path:
        return True
    return os.path.dirname(folder) == book_path and is_disc_folder(os.path.basename(folder))


def is_supplement_name(file_name: str) -> bool:
    """Tell whether a PDF of this name accompanies another book in its folder (spec 9.3)."""
    name, _, extension = file_name.rpartition(".")
    return extension.lower() == "pdf" and name.strip().lower() in _SUPPLEMENT_NAMES


def is_excluded_supplement(file_name: str) -> bool:
    """Tell whether a file is hidden or litter of an operating system, thus no supplement."""
    return file_name.startswith(".") or file_name in _EXCLUDED_NAMES


def _title(named: str, base_name: str, file_type: str) -> str:
    title = without_people(named)
    if file_type != "cbz":
        return title or base_name
    title = " ".join(without_bracketed(title, "(", ")").split())
    return normalize_comic_title(title or base_name)[0]


def _comic_series(title: str | None) -> tuple[SeriesEntry, ...]:
    series = series_from_title(title or "")
    return (series,) if series else ()


def _bracketed_names(text: str, opening: str, closing: str) -> tuple[str, ...]:
    inside, found, _ = text.partition(opening)[2].partition(closing)
    names = split_names(inside) if found else ()
    return tuple(name for part in names if (name := clean(part)))


def _shown(path: str) -> str:
    return _UNDECODED_BYTE.sub(_latin_1, path)


def _latin_1(byte: re.Match[str]) -> str:
    """Show a byte of a name that is not UTF-8 as the character it most often stands for."""
    return chr(ord(byte[0]) - 0xDC00)
