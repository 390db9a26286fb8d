"""Which book a file belongs to. Pure: names and what was parsed in, the book's path out.

Source: spec 9.3. Differs from Shisho: a folder with several main files of one type can be several books.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..model import Identifier, ParsedFile, SeriesEntry, folded
from ..normalize.titles import (
    organized_folder_name,
    without_extension,
    without_part_number,
    without_people,
)


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


def name_of_parts(shared_name: str, title: str | None) -> str:
    """Return what the parts of one book say that it is called; empty where names and titles only count.

    `shared_name`: as `part_keys` returns it; `title`: of one of them.
    """
    name = without_people(shared_name)
    if without_part_number(name) or not _counts(name):
        return name
    return without_part_number(title or "")


@dataclass(frozen=True, slots=True)
class AlbumKey:
    """What the tracks of one audiobook have in common; `album` and `author` as they are compared."""

    album: str
    author: str
    series: tuple[SeriesEntry, ...] = ()
    identifiers: tuple[Identifier, ...] = ()


def album_parts(files: Mapping[str, ParsedFile], known: Collection[tuple[str, str]]) -> Mapping[str, str]:
    """Return, of the M4B files of one folder, those that are the tracks of one book, whatever their titles.

    Where the tracks don't count, or each file has identifiers or a number in a series of its own, the album
    is no book. `known`: album and author of books of several files, which a single track joins.
    Returns: file name -> album.
    """
    groups: dict[AlbumKey, dict[str, ParsedFile]] = {}
    for name, parsed in files.items():
        if parsed.album and parsed.track:
            author = parsed.authors[0].name if parsed.authors else ""
            key = AlbumKey(folded(parsed.album), folded(author), parsed.series, parsed.identifiers)
            groups.setdefault(key, {})[name] = parsed
    parts: dict[str, str] = {}
    for key, group in groups.items():
        tracks = {parsed.track for parsed in group.values()}
        if (len(group) > 1 or (key.album, key.author) in known) and len(tracks) == len(group):
            parts.update(dict.fromkeys(group, next(p.album for p in group.values() if p.album)))
    return parts


def _counts(stem: str) -> bool:
    """Tell `01` and `Part 1`, which count, from `1984`, which is a title."""
    return not stem.isdecimal() or len(stem) < 3 or stem[0] == "0"


def sort_stem(name: str) -> str:
    """Return a key that keeps the formats and the parts of one book together."""
    return _without_part(without_extension(name))


def _without_part(text: str) -> str:
    return without_part_number(text).lower()
