"""What a library scan is asked, how it tells its progress, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..model import Mode
from ..model.portable import portable


class Grouping(str, Enum):
    """How files become books: Shisho's rule makes a folder one book; `auto` splits a folder that holds
    several main files of one type."""

    FOLDER = "folder"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """`paths` are absolute folders, as they are here. `library` None: the one that has these paths,
    else the only one, else `Library`. `grouping` None: auto in a library of our own, else folder. A dry run
    gets a connection to a copy of the database, and writes no file.
    """

    paths: tuple[str, ...]
    library: str | None = None
    mode: Mode = Mode.SCAN
    prune: bool = False
    grouping: Grouping | None = None
    dry_run: bool = False
    confirm_removals: int | None = None  # so many records may go, however small the library is


@dataclass(frozen=True, slots=True)
class Progress:
    """`stage` is a word for a person; `total` None while it is not known."""

    stage: str
    done: int
    total: int | None = None
    failed: int = 0


@portable
@dataclass(frozen=True, slots=True)
class ScannedFile:
    """`status`: imported, updated, moved, removed, supplement or error; `path` in stored form."""

    path: str
    status: str
    file_id: int | None = None
    book_id: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ScanReport:
    """Counts are of files. `missing` are known files that are not there and were left alone.
    `cancelled`: stopped by Ctrl-C; what was done stays."""

    library: str
    imported: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    missing: int = 0
    failed: int = 0
    seconds: float = 0.0
    cancelled: bool = False
    job_id: int | None = None
    files: tuple[ScannedFile, ...] = ()
    warnings: tuple[str, ...] = ()
