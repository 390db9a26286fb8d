"""Finds what lies below the folders of a library. Lists and stats; opens no file.

Source: spec 9.1. Differs from Shisho: an extension counts in any case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from ..files import is_companion, shown
from ..model import FileStat
from ..parsers.filename import is_disc_folder
from ..parsers.sidecar import SIDECAR_SUFFIX
from .grouping import is_split

OnError = Callable[[str, OSError], None]

_name_of = attrgetter("name")
_APPLE_DOUBLE = "._"  # what macOS leaves beside each file on foreign disks: never media


class FoundFile(NamedTuple):
    """A file below a library folder; `path` as it is here, `file_type` its lower-case extension.

    A tuple, as a scan makes one for each file of a library: a frozen dataclass takes several times as long.
    """

    path: str
    name: str
    file_type: str
    size_bytes: int
    mtime_ns: int

    @property
    def stat(self) -> FileStat:
        return FileStat(self.size_bytes, self.mtime_ns)


@dataclass(slots=True)
class Folder:
    """One folder: the library folder it lies in, its media files in order, and all other files but covers."""

    root: str
    path: str
    media: list[FoundFile] = field(default_factory=list)
    others: list[FoundFile] = field(default_factory=list)
    has_discs: bool = False

    @property
    def is_root(self) -> bool:
        return self.path == self.root


def walk(
    root: str,
    start: str,
    file_types: Collection[str],
    on_error: OnError,
    *,
    join_discs: bool = False,
) -> Iterator[Folder]:
    """Yield `start` and every folder below it in lexical order; linked folders are not followed.

    `join_discs`: folders for the discs of one audiobook belong to the folder that they lie in.

    `on_error` is told of each folder or file that can't be looked at. Raises OSError when `start`
    itself can't be read.
    """
    waiting = [start]
    while waiting:
        path = waiting.pop()
        folder = Folder(root, path)
        try:
            below = _fill(folder, file_types, on_error)
        except OSError as error:
            if path == start:
                raise
            on_error(path, error)
            continue
        if join_discs and below and not folder.is_root and not is_split(f.file_type for f in folder.media):
            below = _without_discs(folder, below, file_types, on_error)
        waiting.extend(reversed(below))
        yield folder


def _fill(folder: Folder, file_types: Collection[str], on_error: OnError) -> list[str]:
    """List one folder; returns the folders in it."""
    with os.scandir(folder.path) as listing:
        entries = sorted(listing, key=_name_of)
    below = []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            below.append(entry.path)
            continue
        name = entry.name
        file_type = name.rpartition(".")[2].lower() if "." in name[1:] else ""
        is_media = file_type in file_types and not name.startswith(_APPLE_DOUBLE)
        if not is_media and not name.endswith(SIDECAR_SUFFIX) and is_companion(name):
            continue
        try:
            info = entry.stat()
        except OSError as error:  # a dead link, or a file that went while we looked
            if is_media:
                on_error(entry.path, error)
            continue
        found = FoundFile(entry.path, name, file_type, info.st_size, info.st_mtime_ns)
        (folder.media if is_media else folder.others).append(found)
    return below


def _without_discs(
    folder: Folder, below: list[str], file_types: Collection[str], on_error: OnError
) -> list[str]:
    """Take the files of disc folders into `folder`; returns the folders that are left."""
    # Differs from Shisho: it makes a book of each disc.
    left = []
    for path in below:
        errors: list[tuple[str, OSError]] = []
        disc = _disc(folder.root, path, file_types, errors)
        if disc is None:
            left.append(path)  # it is looked at again, on its own
            continue
        for error in errors:
            on_error(*error)
        folder.media += disc.media
        folder.others += disc.others
        folder.has_discs = True
    return left


def _disc(
    root: str, path: str, file_types: Collection[str], errors: list[tuple[str, OSError]]
) -> Folder | None:
    """List a folder that holds one disc of an audiobook and no folders; None for any other."""
    if not is_disc_folder(path.rpartition("/")[2]):
        return None
    folder = Folder(root, path)
    try:
        below = _fill(folder, file_types, lambda *error: errors.append(error))
    except OSError:
        return None
    is_sound = bool(folder.media) and all(f.file_type == "m4b" for f in folder.media)
    return folder if is_sound and not below else None


def describe(path: str, error: OSError) -> str:
    return f"{shown(path)}: {error.strerror or error}"
