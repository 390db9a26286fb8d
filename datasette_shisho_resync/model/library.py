"""What the database holds, as values: the rows a run is about, and their fields.

Paths are in stored form; undecodable bytes are surrogate escapes, as in `os.fsdecode`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..errors import UnknownRow
from .metadata import Value
from .portable import portable

TABLES = ("books", "files")
"""The tables whose rows a run may be about."""


@dataclass(frozen=True, slots=True)
class Target:
    """The row that a run is about: `table` is one of TABLES."""

    table: str
    pk: int


@portable
@dataclass(frozen=True, slots=True)
class BookRow:
    id: int
    library_id: int
    path: str
    title: str = field(default="", compare=False)  # for messages; the snapshot has the field


@portable
@dataclass(frozen=True, slots=True)
class FileRow:
    """`modified_at` is the stored text of the last scan's mtime."""

    id: int
    book_id: int
    library_id: int
    path: str
    file_type: str
    role: str
    size_bytes: int
    modified_at: str | None = None
    cover_name: str | None = None

    @property
    def is_main(self) -> bool:
        return self.role == "main"

    @property
    def cover_path(self) -> str:
        """Where the cover lies that the row names."""
        return f"{self.path.rpartition('/')[0]}/{self.cover_name or ''}"


@portable
@dataclass(frozen=True, slots=True)
class Brief:
    """What must be known before anything is read from disk.

    `files` are all files of the book, in `file_type`, then id order. `roots` are the library's paths.
    `book` is None when a file's row points to no book. `known_sidecars`: the contents,
    (path, SHA-256), that its sidecars had when we last read or wrote them.
    """

    target: Target
    book: BookRow | None
    files: tuple[FileRow, ...]
    roots: tuple[str, ...]
    library_id: int
    library_name: str
    known_sidecars: frozenset[tuple[str, str]] = frozenset()

    def file(self, file_id: int) -> FileRow:
        """Raises `UnknownRow` for a file that another program moved or removed while the rows were read."""
        found = next((f for f in self.files if f.id == file_id), None)
        if found is None:
            raise UnknownRow(f"There is no file {file_id}.")
        return found


@portable
@dataclass(frozen=True, slots=True)
class Identity:
    """The row that a name means in this library: its id, its spelling, a series' `name_source`, and the
    sort name of a person or series."""

    id: int
    name: str
    source: str | None = None
    sort_name: str | None = None


@lru_cache(128)  # of one file's names each is asked for half a dozen times; each may be 64 KiB long
def folded(name: str) -> str:
    """Return the key under which SQLite's NOCASE sees two names as one: ASCII letters only."""
    stripped = name.strip()
    return stripped.lower() if stripped.isascii() else stripped.translate(_ASCII_LOWER)


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Identities:
    """Which row each name means, for all names that a plan may meet: (table, folded name) -> row."""

    rows: Mapping[tuple[str, str], Identity] = field(default_factory=dict)

    def find(self, table: str, name: str) -> Identity | None:
        return self.rows.get((table, folded(name)))

    def key(self, table: str, name: str) -> int | str:
        """Return the row's id, or the folded name of a row that does not exist yet."""
        identity = self.find(table, name)
        return identity.id if identity else folded(name)

    def sort_name(self, table: str, name: str) -> str | None:
        identity = self.find(table, name)
        return identity.sort_name if identity else None

    def spelling(self, table: str, name: str) -> str:
        """Return the name as it will be stored: an existing row keeps its own spelling."""
        identity = self.find(table, name)
        return identity.name if identity else name.strip()


@portable
@dataclass(frozen=True, slots=True)
class Stored:
    """A field as the database has it.

    `source` is None where the column is NULL or absent. `marked` tells that a person's edit of a
    field without a source column was noted. `raw` is what history needs to put the value back.
    `shares_source`: `source` is that of a row to which other books may point too.
    """

    value: Value
    source: str | None = None
    marked: bool = False
    raw: Any = field(default=None, compare=False, repr=False)
    shares_source: bool = False


EMPTY = Stored(None)


@portable
@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state that a plan starts from: the brief, and every field of the book and of its files.

    `seen_sidecars`: as in the brief, and the covers, (path, SHA-256), that runs wrote where one is at stake.
    """

    brief: Brief
    book: Mapping[str, Stored]
    files: Mapping[int, Mapping[str, Stored]]
    identities: Identities
    seen_sidecars: frozenset[tuple[str, str]] = frozenset()
