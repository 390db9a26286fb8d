"""Is a file gone, or is its disk not there? Judges one missing file; knows no database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from ..errors import Conflict, FileRefused, RootUnavailable
from .confine import reason_of, require_path
from .names import is_below, is_companion, name_key, shown

MAX_KNOWN_FILES = 100
"""How many other files are tried before a root counts as not proved alive."""


@dataclass(frozen=True, slots=True)
class RootEvidence:
    """What the library knows below one of its paths; all paths as they are here.

    `known_files` are other files below the root; `books_below` tells of how many books the
    library knows files below a folder. `mapped`: an entry of `path_map` covers the root.
    """

    root: str
    known_files: tuple[str, ...]
    books_below: Callable[[str], int]
    mapped: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", os.path.normpath(self.root))


def judge_missing(path: str, evidence: RootEvidence, *, confirm_missing: bool) -> None:
    """Return when the file counts as missing.

    `confirm_missing` stands in for proof that the root is alive, and for nothing else.
    Raises Conflict when the file is there under a name of other case or Unicode form, RootUnavailable
    (with the root) when the system reports anything but "no such file" or proof is lacking.
    """
    require_path(path)
    if not is_below(os.path.normpath(path), evidence.root):
        raise FileRefused(shown(path), f"lies outside {shown(evidence.root)}")
    try:
        _require_gone(path)
        doubt = _doubt_of_root(evidence)
        if doubt is None:
            _require_no_sibling(path, evidence)
            doubt = _doubt_of_others(path, evidence) or _doubt_of_folders(path, evidence)
    except OSError as error:
        raise RootUnavailable(_trouble(path, error), evidence.root) from error
    if doubt is not None and not confirm_missing:
        raise RootUnavailable(doubt, evidence.root)


def similar_sibling(path: str) -> str | None:
    """Return what is there in place of a path that is not, if only case or Unicode form differ.

    The folders on the way may differ too. Raises OSError for a folder that can't be read.
    """
    folder, missing = os.path.dirname(path), [os.path.basename(path)]
    while folder and not os.path.lexists(folder):
        missing.insert(0, os.path.basename(folder))
        folder = os.path.dirname(folder)
    return next(_similar(folder, missing), None)


def _similar(folder: str, names: list[str]) -> Iterator[str]:
    wanted = name_key(names[0])
    for name in sorted(os.listdir(folder)):
        if name_key(name) != wanted:
            continue
        found = os.path.join(folder, name)
        if len(names) == 1:
            yield found
        elif os.path.isdir(found):
            yield from _similar(found, names[1:])


def _require_gone(path: str) -> None:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return
    raise Conflict(f"{shown(path)} is not missing.")


def _require_no_sibling(path: str, evidence: RootEvidence) -> None:
    sibling = similar_sibling(path)
    if sibling is not None and sibling not in evidence.known_files:
        raise Conflict(
            f"{shown(path)} is not missing: {shown(sibling)} differs only in case or Unicode form."
        )


def _doubt_of_root(evidence: RootEvidence) -> str | None:
    root = shown(evidence.root)
    try:
        visible = _has_content(evidence.root, _is_aside)
    except FileNotFoundError:
        hint = "Is its disk mounted?" if evidence.mapped else "If it is elsewhere here, set path_map."
        return f"The library folder {root} does not exist. {hint}"
    if not visible:
        return f"The library folder {root} is empty. Is its disk mounted?"
    return None


def _doubt_of_others(path: str, evidence: RootEvidence) -> str | None:
    others = (known for known in evidence.known_files if known != path)
    tried = list(islice(others, MAX_KNOWN_FILES))
    if not tried:
        return f"The library knows no other file in {shown(evidence.root)} that could prove it is there."
    if not any(os.path.isfile(known) for known in tried):
        return f"No other known file in {shown(evidence.root)} is there either. Is its disk mounted?"
    return None


def _doubt_of_folders(path: str, evidence: RootEvidence) -> str | None:
    folder = os.path.dirname(path)
    while folder != evidence.root and is_below(folder, evidence.root):
        if (
            os.path.lexists(folder)
            and not _has_content(folder, _is_aside_or_companion)
            and evidence.books_below(folder) >= 2
        ):
            return f"{shown(folder)} is empty, though it should hold several books. Is its disk mounted?"
        folder = os.path.dirname(folder)
    return None


def _has_content(folder: str, is_ignored: Callable[[str], bool]) -> bool:
    with os.scandir(folder) as entries:
        return any(not is_ignored(entry.name) for entry in entries)


def _is_aside(name: str) -> bool:
    return name.startswith(".") or name == "lost+found"


def _is_aside_or_companion(name: str) -> bool:
    return _is_aside(name) or is_companion(name)


def _trouble(path: str, error: OSError) -> str:
    where = error.filename if isinstance(error.filename, str) else path
    return f"Whether {shown(path)} is missing can't be told: {shown(where)}: {reason_of(error)}."
