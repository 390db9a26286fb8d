"""Writing covers and sidecars of several folders, in this process or in a worker's.

Knows no rows; that a file is to be written was decided before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .files import replace_files
from .model import Limits
from .model.portable import portable
from .workers.task import Read, Task

Contents = Mapping[str, Mapping[str, bytes]]
"""What to write: folder, as it is here -> base name -> bytes."""

_MOST_BYTES = 1024**2  # of one part: several are in memory at once


@portable
@dataclass(frozen=True, slots=True)
class FolderWriting(Task[list[str]]):
    """Files to write; returns a sentence for each that could not be written.

    Where every call of the system lets another thread go on, writing a thousand small files slows that one
    down; in a process of its own it does not.
    """

    contents: Contents
    roots: tuple[str, ...]
    mtime_ns: int | None
    bounds: Limits

    @property
    def limits(self) -> Limits:
        return self.bounds

    def do(self, read: Read) -> list[str]:
        return self.run()

    def run(self) -> list[str]:
        return [
            error.message
            for folder, files in self.contents.items()
            for error in replace_files(folder, files, self.roots, mtime_ns=self.mtime_ns).values()
        ]

    def parts(self) -> Iterator[FolderWriting]:
        """Yield the same in parts of a few folders."""
        contents: dict[str, Mapping[str, bytes]] = {}
        size = 0
        for folder, files in self.contents.items():
            contents[folder] = files
            size += sum(map(len, files.values()))
            if size > _MOST_BYTES:
                yield FolderWriting(contents, self.roots, self.mtime_ns, self.bounds)
                contents, size = {}, 0
        if contents:
            yield FolderWriting(contents, self.roots, self.mtime_ns, self.bounds)
