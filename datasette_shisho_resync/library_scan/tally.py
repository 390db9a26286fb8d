"""What a scan has done so far, file by file; it can go back to where it was. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..files import shown
from .options import ScannedFile


@dataclass(frozen=True, slots=True)
class Mark:
    """A state of a tally."""

    files: int
    warnings: int
    counts: Counter[str]


@dataclass(slots=True)
class Tally:
    """`counts` are of files, by what became of them."""

    files: list[ScannedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, file: ScannedFile) -> None:
        self.files.append(file)
        self.counts["failed" if file.status == "error" else file.status] += 1

    def mark(self) -> Mark:
        return Mark(len(self.files), len(self.warnings), self.counts.copy())

    def rewind(self, mark: Mark) -> None:
        del self.files[mark.files :], self.warnings[mark.warnings :]
        self.counts = mark.counts.copy()

    def errors(self) -> list[dict[str, object]]:
        """Return the files that failed, as the job's row keeps them."""
        return [
            {"table": "files", "pk": f.file_id, "path": shown(f.path), "error": f.error}
            for f in self.files
            if f.status == "error"
        ]

    def job_counts(self) -> Mapping[str, int]:
        """Return the columns of the job's row, but for how far it came."""
        names = ("imported", "unchanged", "moved", "removed", "failed")
        return {"changed": self.counts["updated"], **{name: self.counts[name] for name in names}}
