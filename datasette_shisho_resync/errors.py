"""Every error this package raises on purpose. A leaf: it imports nothing of ours.

ResyncError                 status 400, exit code 1
├── BadRequest              400   unknown mode or field; exit code 2
├── UnknownRow              404   no such book, file or run
├── NotALibrary             422   the database lacks Shisho's tables or columns
├── ReadOnlyDatabase        403   the database can't be written
├── DatabaseBusy            503   somebody else holds the write lock
├── StorageFailed           503   the disk under the database is full, or fails
├── FileError                     names the file and the reason
│   ├── FileRefused         403   outside the roots, a link out of them, not a regular file
│   └── MediaError          422
│       ├── UnsupportedFile       no parser for this extension
│       ├── UnreadableFile        damaged, encrypted, or the system refused to read it
│       └── LimitExceeded         larger than a setting allows
└── Conflict                409
    ├── RootUnavailable           the disk is not there, so nothing counts as missing
    ├── JobRunning                a database has one job at a time
    ├── MassRemoval               so many records would go that somebody has to name the number
    ├── StalePlan                 something changed between preview and apply
    └── UndoConflict              fields were changed since the run
"""

from __future__ import annotations

from typing import Any


class ResyncError(Exception):
    """Base of every error of ours: one sentence for a person, an HTTP status and an exit code."""

    status = 400
    exit_code = 1

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        return self.message


class BadRequest(ResyncError):
    exit_code = 2


class UnknownRow(ResyncError):
    status = 404


class NotALibrary(ResyncError):
    status = 422


class ReadOnlyDatabase(ResyncError):
    status = 403


class DatabaseBusy(ResyncError):
    status = 503


class StorageFailed(ResyncError):
    status = 503


class FileError(ResyncError):
    """A file and what is wrong with it; `path` is in its shown form."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    @property
    def message(self) -> str:
        return f"{self.path}: {self.reason}"


class FileRefused(FileError):
    status = 403


class MediaError(FileError):
    status = 422


class UnsupportedFile(MediaError):
    pass


class UnreadableFile(MediaError):
    pass


class LimitExceeded(MediaError):
    pass


class Conflict(ResyncError):
    status = 409


class RootUnavailable(Conflict):
    """`root` is the library path that gives no proof of life; `would_remove` names the rows spared."""

    def __init__(self, message: str, root: str, would_remove: tuple[str, ...] = ()) -> None:
        super().__init__(message, root, would_remove)
        self.root = root
        self.would_remove = would_remove


class JobRunning(Conflict):
    """`job` is the id of the one that runs, None while it has written nothing yet."""

    def __init__(self, message: str, job: int | None) -> None:
        super().__init__(message, job)
        self.job = job


class MassRemoval(Conflict):
    """`count` records of files would go, of `known` that their library has."""

    def __init__(self, message: str, count: int, known: int) -> None:
        super().__init__(message, count, known)
        self.count = count
        self.known = known


class StalePlan(Conflict):
    """`plan` is the plan as it would be now (a `model.Plan`)."""

    def __init__(self, message: str, plan: Any) -> None:
        super().__init__(message, plan)
        self.plan = plan


class UndoConflict(Conflict):
    """`fields` names what was changed since, as `table.pk.field`."""

    def __init__(self, message: str, fields: tuple[str, ...]) -> None:
        super().__init__(message, fields)
        self.fields = fields
