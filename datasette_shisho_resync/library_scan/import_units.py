"""Makes the work of a scan from what a survey found: files that are read and imported together.

Pure: reads no directory, no row and no file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..files import PathMap, is_companion
from ..model.portable import portable
from ..parsers.filename import is_excluded_supplement, is_supplement_name
from .exchanges import Move
from .grouping import is_split, sort_stem
from .new_book import Supplement
from .options import Grouping
from .survey import Survey
from .walk import Folder, FoundFile

_MOST_FILES_A_UNIT = 64


@portable
@dataclass(frozen=True, slots=True)
class ImportUnit:
    """New files of one folder that are read and imported together, and files that may accompany them;
    there may be only the latter."""

    folder: Folder
    files: tuple[FoundFile, ...]
    is_split: bool
    supplements: tuple[FoundFile, ...] = ()


def make_units(found: Survey, grouping: Grouping, moves: Sequence[Move]) -> list[ImportUnit]:
    """Make units of the files that no row knows: not of those to which rows move, but of those at whose
    paths rows were that move away."""
    taken, gone = {file.path for _, file in moves}, {row.id for row, _ in moves}
    left = {file.path for row, file in found.replaced if row.id in gone} - taken
    arrived = dict(found.arrived)
    for folder in found.folders if left else ():
        if files := [f for f in folder.media if f.path in left]:
            _, new = arrived.get(folder.path, (folder, []))
            arrived[folder.path] = folder, [*new, *files]
    units = [unit for folder, new in arrived.values() for unit in _units(folder, new, grouping)]
    extras = _supplements(found.folders) if units else {}
    return [_completed(unit, extras, taken) for unit in units]


def _completed(
    unit: ImportUnit, extras: Mapping[str, Sequence[FoundFile]], taken: Collection[str]
) -> ImportUnit:
    files, supplements = (
        tuple(f for f in some if f.path not in taken)
        for some in (unit.files, (*unit.supplements, *extras.get(unit.folder.path, ())))
    )
    return replace(unit, files=files, supplements=supplements)


def _units(folder: Folder, new: Sequence[FoundFile], grouping: Grouping) -> Iterator[ImportUnit]:
    """Cut a folder's new files into units; files with one name and different types stay together."""
    mains = [f.file_type for f in folder.media if not is_supplement_name(f.name)]
    is_whole = grouping is Grouping.FOLDER or folder.has_discs
    split = folder.is_root or (is_split(mains) and not is_whole)
    if not split:
        extra = tuple(f for f in new if mains and is_supplement_name(f.name))
        yield ImportUnit(folder, tuple(f for f in new if f not in extra), False, extra)
        return
    chunk: list[FoundFile] = []
    last = None
    # Units of one size: a track left alone could not tell that it is one of many.
    most = math.ceil(len(new) / math.ceil(len(new) / _MOST_FILES_A_UNIT))
    for file in sorted(new, key=lambda f: (sort_stem(f.name), f.file_type, f.name)):
        stem = sort_stem(file.name)
        if len(chunk) >= most and stem != last:
            yield ImportUnit(folder, tuple(chunk), is_split=True)
            chunk = []
        chunk.append(file)
        last = stem
    yield ImportUnit(folder, tuple(chunk), is_split=True)


def _supplements(folders: Iterable[Folder]) -> Mapping[str, Sequence[FoundFile]]:
    """Return the files that may accompany the books of each folder (spec 9.3 item 10).

    A folder without media of its own belongs to the nearest one above that has some.
    """
    owners: dict[str, str] = {}
    extras: dict[str, list[FoundFile]] = {}
    for folder in folders:  # parents come before their children
        owner = folder.path if folder.media else owners.get(os.path.dirname(folder.path), "")
        owners[folder.path] = "" if folder.is_root else owner
        place = folder.path if folder.is_root else owner
        extras.setdefault(place, []).extend(f for f in folder.others if _may_accompany(f))
    return extras


def _may_accompany(file: FoundFile) -> bool:
    return not is_companion(file.name) and not is_excluded_supplement(file.name) and file.size_bytes > 0


def as_supplement(file: FoundFile, path_map: PathMap) -> Supplement:
    return Supplement(path_map.stored(file.path), file.file_type, file.size_bytes)
