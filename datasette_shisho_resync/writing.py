"""Writing covers and sidecars of several folders, in this process or in a worker's.

Knows no rows; that a file is to be written was decided before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .files import remove_stale_files, replace_files
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

    def again(self) -> list[str]:
        """Do the same after a process that may have ended in the middle of it."""
        for folder in self.contents:
            remove_stale_files(folder, self.roots)
        return self.run()

    def parts(self) -> Iterator[FolderWriting]:
        """Yield the same in parts of a few files, or of one that is large."""
        contents: dict[str, dict[str, bytes]] = {}
        size = 0
        for folder, name, data in self._files():
            if contents and size + len(data) > _MOST_BYTES:
                yield replace(self, contents=contents)
                contents, size = {}, 0
            contents.setdefault(folder, {})[name] = data
            size += len(data)
        if contents:
            yield replace(self, contents=contents)

    @property
    def is_light(self) -> bool:
        """Tell whether it takes less to send the bytes to another process than to write them here: a large
        file takes as few calls of the system as a small one."""
        return sum(len(data) for _, _, data in self._files()) <= _MOST_BYTES

    def _files(self) -> Iterator[tuple[str, str, bytes]]:
        return ((folder, *file) for folder, files in self.contents.items() for file in files.items())
