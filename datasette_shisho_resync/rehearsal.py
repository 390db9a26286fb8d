"""A run tried in a worker process, on a connection that can't write: if it has nothing to write, that was it.

So the process that serves pages need neither read nor plan, and most runs change nothing. What a worker
can't settle is done by the shell in its own way, which also finds the words for what is wrong.
"""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache

from .errors import ResyncError
from .json_output import encoded_outcome
from .model import Brief, FileReading, Limits, ReadRequest
from .model.portable import portable
from .reading import failed
from .resync import Ask, By, Gathered, Gathering, apply_run, find_brief
from .settings import Settings
from .store.evidence import KnownBelow
from .store.schema import KnownSchema, open_to_read
from .workers.task import Read, Task

_DATABASES = 4  # that a worker keeps open


@portable
@dataclass(frozen=True, slots=True)
class Settled:
    """A run that had nothing to write: its answer as JSON, and the library that the row belongs to."""

    library_id: int
    library_name: str
    answer: bytes


@portable
@dataclass(frozen=True, slots=True)
class Rehearsal(Task["Settled | Gathered | None"]):
    """A run on the database at a path; returns `Gathered` when there is more to do, None when not tried.

    `libraries` are the ids of those whose files may be read, None for all.
    """

    path: str
    ask: Ask
    settings: Settings
    by: By
    libraries: frozenset[int] | None = None

    @property
    def limits(self) -> Limits:
        return self.settings.limits

    def do(self, read: Read) -> Settled | Gathered | None:
        try:
            conn, known_schema = _library(self.path)
            gathered = self._gather(find_brief(conn, self.ask.target), read)
        except (ResyncError, sqlite3.Error, OSError, _TooMuchError):
            return None
        if self.ask.fields is None and _has_new_stat(gathered):
            return gathered
        try:
            schema = known_schema(conn)  # which remembers nothing of what it sees in a transaction
            schema.require(self.path)
            conn.execute("begin")  # no sooner: a slow file would hold up who writes
            applied = apply_run(conn, schema, self.ask, gathered, self.settings, self.by)
        except (ResyncError, sqlite3.Error):
            return gathered
        finally:
            conn.rollback()
        if applied.companions:
            return gathered
        brief = gathered.brief
        return Settled(brief.library_id, brief.library_name, encoded_outcome(applied.outcome))

    def _gather(self, brief: Brief, read: Read) -> Gathered:
        if self.libraries is not None and brief.library_id not in self.libraries:
            raise _TooMuchError
        return Gathering(self.ask, brief, self.settings, _OneFile(read), _no_database).run()


def _has_new_stat(gathered: Gathered) -> bool:
    """Tell whether a file has another size or time than its row says, so that there is something to write."""
    return any(file.modified_at and gathered.new_stat(file) for file in gathered.brief.files)


class _TooMuchError(Exception):
    """More files are to be read than one, or none may be, or one that is missing is to be judged."""


@dataclass(frozen=True, slots=True)
class _OneFile:
    """Reads the only file of a run, in this process."""

    reader: Read

    def read(self, request: ReadRequest) -> FileReading:
        return self.reader(request)

    def submit(self, request: ReadRequest) -> Future[FileReading]:
        raise _TooMuchError


@dataclass(frozen=True, slots=True)
class FailedReader:
    """Says of every file what went wrong when a worker process read it."""

    reason: str

    def read(self, request: ReadRequest) -> FileReading:
        return failed(request, self.reason)

    def submit(self, request: ReadRequest) -> Future[FileReading]:
        future: Future[FileReading] = Future()
        future.set_result(self.read(request))
        return future


def _no_database(query: object) -> KnownBelow:
    raise _TooMuchError


def _library(path: str) -> tuple[sqlite3.Connection, KnownSchema]:
    stat = os.stat(path)
    return _opened(path, stat.st_dev, stat.st_ino)


@lru_cache(_DATABASES)
def _opened(path: str, device: int, inode: int) -> tuple[sqlite3.Connection, KnownSchema]:
    """Open the file that is there now: another may have taken its place."""
    return open_to_read(path), KnownSchema()
