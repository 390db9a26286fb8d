"""Tasks for worker processes: one that says what reads a file there, and those that go wrong."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from datasette_shisho_resync.model import FileReading, Limits, ReadRequest
from datasette_shisho_resync.workers.task import Read, Task


@dataclass(frozen=True, slots=True)
class Reading(Task[FileReading]):
    """Reads one file, as any task can."""

    request: ReadRequest

    @property
    def limits(self) -> Limits:
        return self.request.limits

    def do(self, read: Read) -> FileReading:
        return read(self.request)


class NotLoadable:
    """Can be passed on, and not be taken."""

    def __reduce__(self) -> tuple[object, ...]:
        return int, ("no number",)


@dataclass(frozen=True, slots=True)
class Broken(Task[object]):
    how: str
    limits: Limits

    def do(self, read: Read) -> object:
        if self.how == "raises":
            raise KeyError(self.how)
        if self.how == "sleeps":
            time.sleep(60)
        if self.how == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "exits":
            os._exit(3)
        results = {"unpicklable": lambda: None, "not loadable": NotLoadable(), "huge": b"x" * 120 * 1024**2}
        return results[self.how]


@dataclass(frozen=True, slots=True)
class Counting(Task[int]):
    """Tells how many bytes it was given."""

    data: bytes
    limits: Limits

    def do(self, read: Read) -> int:
        return len(self.data)
