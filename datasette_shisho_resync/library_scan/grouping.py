"""Which book a file belongs to. Pure: names and what was parsed in, the book's path out.

Source: spec 9.3. Differs from Shisho: a folder with several main files of one type can be several books.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from ..model import SeriesEntry
from ..normalize.titles import organized_folder_name, without_extension, without_part_number


def is_split(file_types: Iterable[str]) -> bool:
    """Tell whether a folder with main files of these types holds several books."""
    types = list(file_types)
    return len(set(types)) < len(types)


def organized_path(
    folder: str, title: str, author: str | None, series: SeriesEntry | None, file_type: str
) -> str:
    """Return the book path for a file that does not have its folder to itself; it may not exist."""
    return os.path.join(folder, organized_folder_name(title, author, series, file_type))


def telling_title(title: str | None, album: str | None) -> str | None:
    """Return a part's title, or that of the whole where its own only counts: `Chapter 1`."""
    return title if title and _without_part(title) else album or title


def part_keys(titles: Mapping[str, str | None]) -> Mapping[str, str]:
    """Return, of the M4B files of one folder (name -> embedded title), those that are parts of one book.

    Parts differ in a number alone, in their names and, where they have them, in their titles.
    Returns: file name -> name of the book.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name, title in titles.items():
        stem = without_extension(name)
        key = (_without_part(stem), _without_part(title) if title else "")
        if key[0] != stem.strip().lower() and (key[0] or _counts(stem.strip())):
            groups.setdefault(key, []).append(name)
    parts = {}
    for names in groups.values():
        if len(names) > 1:
            book = without_part_number(without_extension(names[0]))
            parts.update(dict.fromkeys(names, book or without_extension(names[0])))
    return parts


def _counts(stem: str) -> bool:
    """Tell `01` and `Part 1`, which count, from `1984`, which is a title."""
    return not stem.isdecimal() or len(stem) < 3 or stem[0] == "0"


def sort_stem(name: str) -> str:
    """Return a key that keeps the formats and the parts of one book together."""
    return _without_part(without_extension(name))


def _without_part(text: str) -> str:
    return without_part_number(text).lower()
