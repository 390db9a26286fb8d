"""The process of a job, as seen by whoever ordered it."""

from __future__ import annotations

import pickle
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress

from ..errors import ResyncError
from ..workers.channel import Channel
from ..workers.process import python_command
from .child import CANCEL, Begun, JobOrder, Refused
from .done import RowDone

_START_SECONDS = 120.0
_NICENESS = 5  # from the first moment on: a start is the most work at once
_PROGRAM = (
    f"import os, sys; os.nice({_NICENESS}); sys.path[:] = sys.argv[1:]; "
    f"from {__package__}.child import main; main()"
)


class JobProcess:
    """A child process that does one order. `begin`, then `follow`, are for one thread; the rest for any."""

    def __init__(self, order: JobOrder) -> None:
        """Raises ResyncError when no process can be started."""
        self._here, there = socket.socketpair()
        try:
            with there:
                self._process = _start(there)
        except OSError as error:
            self._here.close()
            raise ResyncError(f"The job could not be started: {error.strerror}.") from error
        self._channel = Channel(self._here.fileno())
        self._closing = threading.Lock()
        self._is_closed = False
        self.job: int | None = None
        with suppress(OSError):  # the end is noticed when it should answer
            self._channel.send(pickle.dumps(order, pickle.HIGHEST_PROTOCOL))

    def begin(self) -> int:
        """Return the job's id as soon as it runs. Raises the ResyncError that it is refused with."""
        try:
            message = pickle.loads(self._channel.receive(_START_SECONDS))
        except (EOFError, OSError) as error:  # TimeoutError is one
            self.stop(0.0)
            self.close()
            raise ResyncError("The job could not be started: its process ended.") from error
        if isinstance(message, Refused):
            self.stop(_START_SECONDS)
            self.close()
            raise message.error
        assert isinstance(message, Begun)
        self.job = message.job
        return message.job

    def follow(self) -> Iterator[RowDone]:
        """Yield what the job changes, until its process has ended."""
        with suppress(EOFError, OSError):
            while True:
                message = pickle.loads(self._channel.receive())
                if isinstance(message, RowDone):
                    yield message
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def cancel(self) -> None:
        """Ask the job to end where it is; what was done stays."""
        with self._closing, suppress(OSError):
            if not self._is_closed:
                self._channel.send(CANCEL)

    def wait(self, seconds: float) -> bool:
        """Return whether the process ended within this time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, seconds: float) -> None:
        """End the process: in its own way within `seconds`, else at once."""
        with suppress(OSError):
            self._here.shutdown(socket.SHUT_WR)
        if not self.wait(seconds):
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Give back what the ended process held here."""
        with self._closing:
            self._is_closed = True
            self._here.close()


def _start(connection: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        python_command(_PROGRAM),
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
    )
