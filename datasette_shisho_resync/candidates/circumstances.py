"""What decides which layers count."""

from __future__ import annotations

from dataclasses import dataclass

from ..files import COVER_MIMES
from ..model import Mode
from ..model.portable import portable


@portable
@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides which layers count, beside the mode.

    `importing`: the record is new, so its path may speak. `unchanged`: size and time are those of
    the last scan. `cover_mimes`: those of which a cover could be written, since a plan never promises
    what can't be kept. `is_part`: the book has several audiobook files, of which this is one.
    """

    mode: Mode
    importing: bool = False
    unchanged: bool = False
    cover_mimes: frozenset[str] = frozenset(COVER_MIMES.values())
    is_part: bool = False

    @property
    def path_speaks(self) -> bool:
        return self.importing or self.mode is Mode.RESET

    @property
    def sidecars_count(self) -> bool:
        return self.mode is Mode.SCAN
