"""The lock of a database's one job: an empty file beside the database, held by whoever works on it.

The system lets go of it when the process ends, however it ends. The file stays: to delete it would
let two processes hold two files of one name.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass

_SUFFIX = "-resync-job"
_RETRY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class JobLock:
    """Held until `release`. Good between threads too, for each has a descriptor of its own."""

    descriptor: int

    def release(self) -> None:
        os.close(self.descriptor)


def take_job_lock(database: str, wait_seconds: float = 0.0) -> JobLock | None:
    """Return the lock of a database's file, None when another job has it. Raises OSError."""
    path = os.path.realpath(database) + _SUFFIX
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_RETRY_SECONDS)
                continue
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return JobLock(descriptor)
