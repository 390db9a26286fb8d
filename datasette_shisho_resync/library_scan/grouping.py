"""Which book a file belongs to. Pure: names and what was parsed in, the book's path out.

Source: spec 9.3. Differs from Shisho: a folder with several main files of one type can be several books.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from ..model import SeriesEntry
from ..normalize.titles import organized_folder_name, without_extension

_PART = re.compile(
    r"[\s._-]*[(\[]?\b(?:part|pt|disc|disk|cd|track|teil)?[\s._#-]*\d+(?:\s*(?:of|/)\s*\d+)?[)\]]?\s*$",
    re.IGNORECASE,
)
_LEADING_NUMBER = re.compile(r"^\s*\d+[\s._-]+")


def is_split(file_types: Iterable[str]) -> bool:
    """Tell whether a folder with main files of these types holds several books."""
    return any(count > 1 for count in Counter(file_types).values())


def organized_path(
    folder: str, title: str, author: str | None, series: SeriesEntry | None, file_type: str
) -> str:
    """Return the book path for a file that does not have its folder to itself; it may not exist."""
    return os.path.join(folder, organized_folder_name(title, author, series, file_type))


def part_keys(titles: Mapping[str, str | None]) -> Mapping[str, str]:
    """Return, of the M4B files of one folder (name -> embedded title), those that are parts of one book.

    Parts differ in a number alone, in their names and, where they have them, in their titles.
    Returns: file name -> name of the book.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name, title in titles.items():
        stem = without_extension(name)
        key = (_without_part(stem), _without_part(title) if title else "")
        # "01" counts, "1984" is a title.
        if key[0] != stem.strip().lower() and (key[0] or len(stem.strip()) < 3 or stem.strip()[0] == "0"):
            groups.setdefault(key, []).append(name)
    parts = {}
    for names in groups.values():
        if len(names) > 1:
            book = _PART.sub("", _LEADING_NUMBER.sub("", without_extension(names[0]))).strip()
            parts.update(dict.fromkeys(names, book or without_extension(names[0])))
    return parts


def sort_stem(name: str) -> str:
    """Return a key that keeps the formats and the parts of one book together."""
    return _without_part(without_extension(name))


def _without_part(text: str) -> str:
    return _PART.sub("", _LEADING_NUMBER.sub("", text)).strip().lower()
