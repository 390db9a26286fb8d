"""Known files whose places hold others now: renumbered ones and swapped ones, told by size, time and type.

Pure. Differs from Shisho: it takes what lies at a known path for an edit of what was there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..store.library import KnownFile
from ..store.times import from_stored
from .survey import Pair, is_same
from .walk import FoundFile

_SECOND = 1_000_000_000

Move = Pair
"""A row and the file that it becomes that of."""
_Key = tuple[int, str, int]


def exchanged(
    vanished: Iterable[KnownFile], replaced: Sequence[Pair], new: Iterable[FoundFile]
) -> list[Move]:
    """Match rows with the files that their bytes seem to be, where one row and one file alone look so.

    `replaced`: rows with what lies at their paths now, which has another size or time.
    """
    rows: dict[_Key, list[KnownFile]] = {}
    for row in (*vanished, *(row for row, _ in replaced)):
        modified_ns = from_stored(row.modified_at)
        if row.size_bytes > 0 and modified_ns is not None:
            rows.setdefault((row.size_bytes, row.file_type, modified_ns // _SECOND), []).append(row)
    files: dict[_Key, list[FoundFile]] = {}
    for file in (*new, *(file for _, file in replaced)):
        key = (file.size_bytes, file.file_type, file.mtime_ns // _SECOND)
        if key in rows:
            files.setdefault(key, []).append(file)
    pairs = (
        (known[0], files[key][0]) for key, known in rows.items() if len(known) == len(files.get(key, ())) == 1
    )
    return [(row, file) for row, file in pairs if is_same(file, row)]


def without_copies(moves: Iterable[Move], replaced: Iterable[Pair]) -> list[Move]:
    """Leave out what may not be: a row can go to a known path only when that one's row goes too, and leaves
    a path that holds an unknown file only for a known path.

    So a book that was edited stays at its path, though a copy of what it was lies beside it.
    """
    pairs = {row.id: (row, file) for row, file in moves}
    place = {row.id: file.path for row, file in replaced}
    holder = {path: pk for pk, path in place.items()}
    comer = {file.path: pk for pk, (_, file) in pairs.items()}

    def may_go(pk: int) -> bool:
        goal = pairs[pk][1].path
        if goal in holder:
            return holder[goal] in pairs
        return pk not in place or place[pk] in comer

    waiting = list(pairs)
    while waiting:
        pk = waiting.pop()
        if pk not in pairs or may_go(pk):
            continue
        goal = pairs.pop(pk)[1].path
        del comer[goal]
        waiting.extend(
            other for other in (holder.get(goal), comer.get(place.get(pk, ""))) if other is not None
        )
    return list(pairs.values())


def in_order(goals: Mapping[int, tuple[str, str]]) -> Iterator[tuple[int, str, str]]:
    """Yield (row, from, to) for rows with their (old, new) paths so that no two ever have one path: the last
    of a chain goes first, and one of a ring steps aside and goes twice."""
    holder = {old: pk for pk, (old, _) in goals.items()}
    left = dict(goals)
    for first in goals:
        chain: list[int] = []
        pk: int | None = first
        while pk is not None and pk in left:
            chain.append(pk)
            pk = holder.get(left.pop(pk)[1])
        place = {first: goals[first][0]}
        if chain and pk == first:
            place[first] += f".{first}.moving"
            yield first, goals[first][0], place[first]
        yield from ((pk, place.get(pk, goals[pk][0]), goals[pk][1]) for pk in reversed(chain))


def moved_folder(row: KnownFile, path: str) -> tuple[int, str, str]:
    """Return a moved file's book, and the folder that moved: as it was, and as it is."""
    old, new = os.path.dirname(row.path), os.path.dirname(path)
    while old != new and os.path.basename(old) == os.path.basename(new):
        old, new = os.path.dirname(old), os.path.dirname(new)
    return row.book_id, old, new
