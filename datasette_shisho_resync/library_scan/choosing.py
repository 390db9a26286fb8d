"""Chooses the library of a scan, and gives it the folders that it does not have yet."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import BadRequest
from ..files import respelled, shown
from ..resync import Service
from ..store.library import (
    LibraryRow,
    add_path,
    choose_library,
    holds,
    is_own_library,
    known_files,
    load_libraries,
    make_library,
    remove_path,
)


@dataclass(frozen=True, slots=True)
class Chooser:
    """Finds or makes the library to which folders belong."""

    service: Service

    @property
    def conn(self) -> sqlite3.Connection:
        return self.service.conn

    def choose(self, paths: Sequence[str], name: str | None) -> tuple[LibraryRow, tuple[str, ...]]:
        """Return the library, and the folders as they are here, spelled as the library has them.

        Raises BadRequest.
        """
        libraries = load_libraries(self.conn)
        known = [self._here(path) for library in libraries for path in library.paths]
        here = tuple(respelled(path, known) for path in paths)
        stored = [self.service.settings.path_map.stored(path) for path in here]
        library = choose_library(libraries, name, stored)
        fresh = [p for p in stored if not any(holds(root, p) for root in library.paths)]
        covered = list(self._covered(libraries, fresh))
        self._require_strange(library, fresh)
        if fresh or not library.id:
            library = self.service.transaction(lambda: self._with_paths(library, fresh, covered))
        return library, here

    def _covered(
        self, libraries: Sequence[LibraryRow], fresh: Sequence[str]
    ) -> Iterator[tuple[LibraryRow, str]]:
        """Yield the known folders that lie in new ones."""
        for new in fresh:
            for library in libraries:
                yield from ((library, old) for old in library.paths if self._covers(new, old))

    def _covers(self, new: str, old: str) -> bool:
        return holds(os.path.realpath(self._here(new)), os.path.realpath(self._here(old)))

    def _here(self, stored: str) -> str:
        return self.service.settings.path_map.here(stored).rstrip("/")

    def _require_strange(self, library: LibraryRow, fresh: Sequence[str]) -> None:
        """Raises BadRequest where a new folder seems to be one of the library's that are not here: a scan
        would import it again. Shisho's may lie elsewhere in its container."""
        gone = [path for path in library.paths if not os.path.isdir(self._here(path))]
        if not fresh or not gone:
            return
        pairs = ((old, new) for old in gone for new in fresh if self._has_files_of(library, old, new))
        old, new = next(pairs, (None, fresh[0]))
        if old is None and (is_own_library(self.conn) or len(gone) < len(library.paths)):
            return
        name = shown(old or gone[0])
        mapped = shlex.quote(f"{name}={shown(new)}")
        raise BadRequest(
            f"The library {library.name!r} has the folder {name}, which does not exist here. "
            f"If that is {shown(new)}, say so with path_map (--path-map {mapped})."
        )

    def _has_files_of(self, library: LibraryRow, old: str, new: str) -> bool:
        """Tell whether any file of a folder lies at its place in another one, as large as it was."""
        here, start = self._here(new), len(old.rstrip("/"))
        rows = known_files(self.conn, library.id, old)
        return any(_size(here + row.path[start:]) == row.size_bytes for row in rows)

    def _with_paths(
        self, library: LibraryRow, fresh: Sequence[str], covered: Sequence[tuple[LibraryRow, str]]
    ) -> LibraryRow:
        """Add folders to the library; in one of our own they take the place of those that lie in them."""
        for other, path in covered:
            if other.id != library.id or not is_own_library(self.conn):
                name = shown(path)
                raise BadRequest(f"The library {other.name!r} has the folder {name}, which lies in this one.")
            remove_path(self.conn, other.id, path)
        library_id = library.id or make_library(self.conn, self.service.schema, library.name)
        for path in dict.fromkeys(fresh):
            if not any(holds(other, path) for other in fresh if other != path):
                add_path(self.conn, library_id, path)
        return next(lib for lib in load_libraries(self.conn) if lib.id == library_id)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
