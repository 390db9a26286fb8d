"""Rows outside the folders that a scan looks at, whose files may have moved into them. Writes nothing.

Differs from Shisho: it always scans a whole library.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import ResyncError
from ..model import Target
from ..resync import Ask, Service
from ..store.library import KnownFile, LibraryRow, files_of_books, files_of_sizes, holds
from ..store.times import to_stored
from .survey import Survey


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The rows of one library that are not below `starts` (stored paths)."""

    service: Service
    library: LibraryRow
    starts: tuple[str, ...]

    def gone_mains(self, found: Survey) -> Iterator[KnownFile]:
        """Yield main files that are proved gone, and of which a new file has the size, time and type."""
        if self._is_nowhere():
            return
        new = {(f.size_bytes, f.file_type, to_stored(f.mtime_ns)) for f in found.new_files if f.size_bytes}
        if not new:
            return
        for row in files_of_sizes(self.service.conn, self.library.id, {size for size, _, _ in new}):
            is_alike = row.role == "main" and (row.size_bytes, row.file_type, row.modified_at) in new
            if is_alike and self._is_absent(row) and self._is_gone(row):
                yield row

    def absent_supplements(self, books: Iterable[int]) -> Iterator[KnownFile]:
        if self._is_nowhere():
            return
        for row in files_of_books(self.service.conn, self.library.id, set(books)):
            if row.role != "main" and self._is_absent(row):
                yield row

    def _is_nowhere(self) -> bool:
        return all(self._is_below(path) for path in self.library.paths)

    def _is_below(self, path: str) -> bool:
        return any(holds(start, path) for start in self.starts)

    def _is_absent(self, row: KnownFile) -> bool:
        return not self._is_below(row.path) and not os.path.lexists(
            self.service.settings.path_map.here(row.path)
        )

    def _is_gone(self, row: KnownFile) -> bool:
        try:
            return row.id in self.service.gather(Ask(Target("files", row.id))).gone
        except ResyncError:
            return False
