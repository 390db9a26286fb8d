"""What follows from an edit: a statement of the same transaction. Runs none."""

from __future__ import annotations

from dataclasses import dataclass

GIVEN = "in (select value from json_each(?))"


@dataclass(frozen=True, slots=True)
class Consequence:
    """A statement that takes a JSON list of ids; `is_mark`: it writes to `resync_manual`."""

    sql: str
    is_mark: bool = False
