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
from .model import FileReading, Limits, ReadRequest
from .model.portable import portable
from .reading import failed
from .resync import Ask, By, Gathered, Gathering, apply_run, find_brief
from .settings import Settings
from .store.evidence import KnownBelow
from .store.schema import KnownSchema, LibrarySchema, open_to_read
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
    """A run on the database at a path; returns `Gathered` when there is more to do, None when not tried."""

    path: str
    ask: Ask
    settings: Settings
    by: By

    @property
    def limits(self) -> Limits:
        return self.settings.limits

    def do(self, read: Read) -> Settled | Gathered | None:
        try:
            conn, known_schema = _library(self.path)
            schema = known_schema(conn)
            schema.require(self.path)
            conn.execute("begin")
        except (ResyncError, sqlite3.Error, OSError):
            return None
        try:
            return self._tried(conn, schema, read)
        except (ResyncError, sqlite3.Error, _TooMuchError):
            return None
        finally:
            conn.rollback()

    def _tried(
        self, conn: sqlite3.Connection, schema: LibrarySchema, read: Read
    ) -> Settled | Gathered | None:
        brief = find_brief(conn, self.ask.target)
        gathering = Gathering(self.ask, brief, self.settings, _OneFile(read), _no_database)
        gathered = gathering.run()
        try:
            applied = apply_run(conn, schema, self.ask, gathered, self.settings, self.by)
        except (ResyncError, sqlite3.Error):
            return gathered
        if applied.companions:
            return gathered
        return Settled(brief.library_id, brief.library_name, encoded_outcome(applied.outcome))


class _TooMuchError(Exception):
    """More files are to be read than one, or one that is missing is to be judged."""


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
