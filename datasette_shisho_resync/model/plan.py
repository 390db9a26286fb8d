"""A plan: what a run would change, keep and remove, as one value that is shown, then applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .library import Target
from .metadata import Mode, Reason, Value
from .portable import portable
from .reading import FileStat, FileStatus

ROW = "row"  # the field name of a change that removes a whole row
ROLE = "file_role"  # that of the change that makes a supplement the book's main file


@dataclass(frozen=True, slots=True)
class RowImage:
    """A complete row of any table: (column, value) pairs in the table's order."""

    columns: tuple[tuple[str, Any], ...]

    def __getitem__(self, column: str) -> Any:
        return dict(self.columns)[column]


@portable
@dataclass(frozen=True, slots=True)
class Change:
    """One field's old and new value with their sources. A removed row is the field `row`, in `old`; a row
    that stays and loses its reference to a removed one has the reference's column as its field."""

    table: str
    pk: int
    field: str
    old: Value | RowImage
    old_source: str | None
    new: Value
    new_source: str | None
    reason: Reason


@portable
@dataclass(frozen=True, slots=True)
class FileState:
    """How a run found one file; `path` in stored form."""

    id: int
    path: str
    status: FileStatus
    error: str | None = None
    stat: FileStat | None = None


@portable
@dataclass(frozen=True, slots=True)
class Plan:
    """`kept` are `Change`s that will not happen: `new` is the candidate, `reason` why it stays out.

    `digest` covers everything that was decided, before the run was limited to named fields.
    """

    target: Target
    mode: Mode
    changes: tuple[Change, ...]
    kept: tuple[Change, ...]
    files: tuple[FileState, ...]
    warnings: tuple[str, ...]
    digest: str

    @property
    def removals(self) -> tuple[Change, ...]:
        """The rows that go."""
        return tuple(c for c in self.changes if c.reason is Reason.REMOVED and c.field == ROW)

    @property
    def let_go(self) -> tuple[Change, ...]:
        """The references to rows that go, in rows that stay."""
        return tuple(c for c in self.changes if c.reason is Reason.REMOVED and c.field != ROW)

    def removes(self, target: Target) -> bool:
        return any((c.table, c.pk) == (target.table, target.pk) for c in self.removals)


@portable
@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. `run_id` is None for a dry run and when nothing changed."""

    plan: Plan
    dry_run: bool
    run_id: int | None
    deleted: bool
    book_deleted: bool
    rows: tuple[RowImage, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.plan.changes)
