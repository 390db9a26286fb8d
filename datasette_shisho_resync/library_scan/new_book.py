"""What a scan has found to be a book that no row knows. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import FileReading, FileRow
from ..model.portable import portable
from .walk import FoundFile


@portable
@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to import: as found, its path in stored form, and what was read (paths in stored form)."""

    found: FoundFile
    path: str
    reading: FileReading

    def row(self, library_id: int) -> FileRow:
        return FileRow(0, 0, library_id, self.path, self.found.file_type, "main", 0)


@portable
@dataclass(frozen=True, slots=True)
class Supplement:
    """A file that accompanies a book; `path` in stored form."""

    path: str
    file_type: str
    size_bytes: int


@portable
@dataclass(frozen=True, slots=True)
class NewBook:
    """Files that form one book at `path` (stored form). `root_level`: their folder says nothing of it."""

    path: str
    files: tuple[NewFile, ...]
    supplements: tuple[Supplement, ...]
    root_level: bool
