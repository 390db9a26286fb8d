"""The lock of a database's one job: an empty file beside the database, held by whoever works on it.

The system lets go of it when the process ends, however it ends; then the file stays for the next one.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass

_SUFFIX = "-resync-job"
_RETRY_SECONDS = 0.02
_FLAGS = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # waits for no pipe


@dataclass(frozen=True, slots=True)
class JobLock:
    """Held until `release`. Good between threads too, for each has a descriptor of its own."""

    path: str
    descriptor: int

    def release(self) -> None:
        with suppress(OSError):
            os.unlink(self.path)
        os.close(self.descriptor)


def take_job_lock(database: str, wait_seconds: float = 0.0) -> JobLock | None:
    """Return the lock of a database's file, None when another job has it. Raises OSError."""
    path = os.path.realpath(database) + _SUFFIX
    deadline = time.monotonic() + wait_seconds
    while True:
        lock = _try_to_lock(path)
        if lock is not None or time.monotonic() >= deadline:
            return lock
        time.sleep(_RETRY_SECONDS)


def _try_to_lock(path: str) -> JobLock | None:
    descriptor = os.open(path, _FLAGS, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it may have deleted the file meanwhile; then others lock a new one of that name.
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            return JobLock(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
