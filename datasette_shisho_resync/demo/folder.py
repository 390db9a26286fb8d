"""The folder of the sample library: made, completed, and removed without touching what is not ours.

A list in it names every file that we wrote. Nothing else is ever deleted, and nothing is overwritten
but what the list names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadRequest, ResyncError
from ..files import is_companion, shown
from .shelf import STUDY, corrected, path_of, shelf

DATABASE = "library.db"
_BOOKS = "books"
_LIST = ".shisho-demo.json"
_DATABASE_FILES = (DATABASE, *(f"{DATABASE}-{part}" for part in ("wal", "shm", "journal")))


@dataclass(frozen=True, slots=True)
class Removed:
    """Counts of files deleted, and what was left: files of others, and ours that somebody changed."""

    files: int
    kept: tuple[str, ...]


@dataclass(slots=True)
class _Made:
    """`media`: SHA-256 of each file by path below the folder; `companions`: covers and sidecars that the
    scan wrote; `owns_folder`: whether there was no such folder before."""

    owns_folder: bool = True
    media: dict[str, str] = field(default_factory=dict)
    companions: list[str] = field(default_factory=list)


class DemoFolder:
    """One folder; raises BadRequest for one that holds something else, ResyncError when the disk refuses."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    @property
    def database(self) -> str:
        return os.path.join(self.path, DATABASE)

    @property
    def books(self) -> str:
        return os.path.join(self.path, _BOOKS)

    @property
    def is_made(self) -> bool:
        return os.path.isfile(self._at(_LIST))

    def complete(self) -> int:
        """Write the files that are not there, and return how many that were."""
        with _told(self.path):
            made = self._load() if self.is_made else self._begin()
            missing = {
                path: make for path, make in self._shelf().items() if not os.path.lexists(self._at(path))
            }
            contents = {path: make() for path, make in missing.items()}
            made.media.update({path: _digest(content) for path, content in contents.items()})
            self._save(made)  # before the files, so that an interrupted start can be removed
            for path, content in contents.items():
                self._write(path, content)
            return len(contents)

    def companions(self) -> frozenset[str]:
        """Return the covers and sidecars that there are, whoever wrote them."""
        with _told(self.path):
            return frozenset(path for path in self._present() if is_companion(os.path.basename(path)))

    def note_companions(self, before: frozenset[str]) -> None:
        """Remember the covers and sidecars beside our files that the scan wrote: those that were not there
        `before`. It rewrites the edited sidecar too."""
        with _told(self.path):
            made = self._load()
            folders = {os.path.dirname(path) for path in made.media}
            ours = {path for path in self.companions() - before if os.path.dirname(path) in folders}
            ours |= before & {*made.companions, *made.media}
            made.companions = sorted(ours)
            made.media = {path: digest for path, digest in made.media.items() if path not in made.companions}
            self._save(made)

    def publish_correction(self) -> None:
        """Replace one book by its corrected edition, as if it came out after the scan."""
        with _told(self.path):
            made, path, content = self._load(), f"{_BOOKS}/{path_of(STUDY)}", corrected()
            if not self._is_unchanged(path, made.media[path]):
                return
            made.media[path] = _digest(content)
            self._save(made)
            with open(self._confined(path), "wb") as file:
                file.write(content)

    def remove(self) -> Removed:
        """Delete what we made; raises BadRequest where there is no sample library."""
        if not self.is_made:
            raise BadRequest(f"{shown(self.path)} holds no sample library: nothing was removed.")
        with _told(self.path):
            made = self._load()
            ours = [path for path, digest in made.media.items() if self._is_unchanged(path, digest)]
            ours += [path for path in (*made.companions, *_DATABASE_FILES) if self._is_file(path)]
            for path in ours:
                os.unlink(self._confined(path))
            os.unlink(self._at(_LIST))
            for folder in self._folders_of(made):
                _remove_if_empty(folder)
            kept = tuple(self._present())
            if made.owns_folder:
                _remove_if_empty(self.path)
            return Removed(len(ours), kept)

    # --- the list -----------------------------------------------------------------------------

    def _begin(self) -> _Made:
        """Start in a folder that is new or empty. Raises BadRequest."""
        owns_folder = not os.path.lexists(self.path)
        if not owns_folder and (not os.path.isdir(self.path) or os.listdir(self.path)):
            reason = "is not empty" if os.path.isdir(self.path) else "is no folder"
            raise BadRequest(f"{shown(self.path)} {reason}: name a new folder for the sample library.")
        os.makedirs(self.path, exist_ok=True)
        return _Made(owns_folder)

    def _load(self) -> _Made:
        """Raises BadRequest for a list that we did not write."""
        try:
            with open(self._at(_LIST), encoding="utf-8") as file:
                made = _made_from(json.load(file))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadRequest(f"{shown(self._at(_LIST))}: it is damaged; nothing was changed.") from error
        for path in (*made.media, *made.companions):
            self._confined(path)
        return made

    def _save(self, made: _Made) -> None:
        content = {"owns_folder": made.owns_folder, "media": made.media, "companions": made.companions}
        with open(self._at(_LIST), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)

    # --- paths --------------------------------------------------------------------------------

    def _shelf(self) -> Mapping[str, Callable[[], bytes]]:
        return {f"{_BOOKS}/{path}": make for path, make in shelf().items()}

    def _at(self, path: str) -> str:
        return os.path.join(self.path, path)

    def _confined(self, path: str) -> str:
        """Return the whole path of a listed one. Raises BadRequest when it leads elsewhere."""
        whole = self._at(path)
        folder = os.path.dirname(os.path.relpath(whole, self.path))
        real = os.path.join(os.path.realpath(self.path), folder).rstrip("/")
        if os.path.normpath(path) != path or path.startswith(("/", "..")) or not _is_same(whole, real):
            raise BadRequest(f"{shown(whole)}: it leads out of the sample library; nothing was changed.")
        return whole

    def _write(self, path: str, content: bytes) -> None:
        os.makedirs(os.path.dirname(self._at(path)), exist_ok=True)
        with open(self._confined(path), "xb") as file:
            file.write(content)

    def _is_unchanged(self, path: str, digest: str) -> bool:
        if not self._is_file(path):
            return False
        with open(self._at(path), "rb") as file:
            return _digest(file.read()) == digest

    def _is_file(self, path: str) -> bool:
        whole = self._confined(path)
        return os.path.isfile(whole) and not os.path.islink(whole)

    def _present(self) -> Iterator[str]:
        """Yield every file that there is, our list aside."""
        for folder, _, names in os.walk(self.path):
            paths = (os.path.relpath(os.path.join(folder, name), self.path) for name in sorted(names))
            yield from (path for path in paths if path != _LIST)

    def _folders_of(self, made: _Made) -> list[str]:
        """Return the folders that we needed, the deepest first."""
        folders = set[str]()
        for path in made.media:
            while path := os.path.dirname(path):
                folders.add(self._at(path))
        return sorted(folders, key=len, reverse=True)


def _made_from(content: Any) -> _Made:
    media = {str(path): str(digest) for path, digest in content["media"].items()}
    companions = [str(path) for path in content["companions"]]
    if not all(is_companion(os.path.basename(path)) for path in companions):
        raise ValueError
    return _Made(bool(content["owns_folder"]), media, companions)


def _is_same(path: str, real_folder: str) -> bool:
    """Tell whether no folder on the way to a path is a link."""
    return os.path.realpath(os.path.dirname(path)) == real_folder


def _remove_if_empty(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        return


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell what the system refuses as an error of ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ResyncError(f"{shown(str(error.filename or path))}: {reason}") from error
