"""One worker process, as seen by its parent. Knows no pool and no scheduling."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from ..model import FileReading, Limits, ReadRequest
from ..reading import failed
from .channel import Channel
from .child import POSTPONED, WorkerSettings
from .task import Task

T = TypeVar("T")

_MOST_BYTES_AT_ONCE = 32 * 1024  # that a connection takes, whether or not the process does
_START_SECONDS = 60.0
_STOP_SECONDS = 2.0
_PROGRAM = (
    f"import sys; sys.path[:] = sys.argv[2:]; from {__package__}.child import main; main(int(sys.argv[1]))"
)


class WorkerError(Exception):
    """The process could not be started, or came to its end; the text says how."""


class Worker:
    """A child process and the connection to it; used by one thread at a time, but for `kill`."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Start the process, without waiting until it is ready. Raises WorkerError."""
        try:
            here, there = socket.socketpair()
            lifeline, self._lifeline = os.pipe()
        except OSError as error:
            raise WorkerError(f"no worker process could be started ({error.strerror})") from error
        try:
            with there:
                self._process = _start(there, lifeline)
        except OSError as error:
            here.close()
            os.close(self._lifeline)
            raise WorkerError(f"no worker process could be started ({error.strerror})") from error
        finally:
            os.close(lifeline)
        os.set_blocking(here.fileno(), False)
        self._channel = Channel(here.detach())
        self._is_ready = False
        with suppress(OSError):  # the end is noticed at the first answer
            self._channel.send(pickle.dumps(settings, pickle.HIGHEST_PROTOCOL))

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_usable(self) -> bool:
        """Tell whether the process lives and waits for work."""
        return not self._is_ready or self._channel.is_quiet()

    def read(self, requests: Sequence[ReadRequest]) -> tuple[list[FileReading], bool]:
        """Return the readings of the first one or more requests, and whether the worker can go on.

        Fewer than asked: the rest was postponed, or must be read by another worker.

        Raises WorkerError when the process ended before the first answer.
        """
        readings: list[FileReading] = []
        try:
            message = pickle.dumps(tuple(requests), pickle.HIGHEST_PROTOCOL)
            self._channel.send(message, requests[0].limits.parse_seconds)
            self._await_ready()
            for request in requests:
                message = self._channel.receive(request.limits.parse_seconds)
                if message == POSTPONED:
                    break
                readings.append(_reading(request, message))
        except TimeoutError:
            overdue = requests[len(readings)]
            readings.append(failed(overdue, _overdue(overdue.limits)))
            return readings, False
        except (EOFError, OSError) as error:
            if readings:
                return readings, False
            code = self._exit_code()
            if code == -signal.SIGALRM:
                return [failed(requests[0], _overdue(requests[0].limits))], False
            raise WorkerError(self._ended(code)) from error
        return readings, True

    def begin(self, message: bytes, timeout_seconds: float) -> None:
        """Send a packed task to the process; that it has ended, or takes nothing, is noticed by `finish`."""
        with suppress(OSError):
            self._channel.send(message, timeout_seconds)

    def finish(self, task: Task[T]) -> T | None:
        """Return what the task returned that was begun, None when it failed or that cannot be passed on.

        Raises WorkerError, in words that fit a file, when the process ended before that or has to be ended.
        """
        try:
            self._await_ready()
            message = self._channel.receive(task.limits.parse_seconds)
        except TimeoutError as error:
            raise WorkerError(_overdue(task.limits)) from error
        except (EOFError, OSError) as error:
            code = self._exit_code()
            is_overdue = code == -signal.SIGALRM
            reason = _overdue(task.limits) if is_overdue else f"could not be read, {self._ended(code)}"
            raise WorkerError(reason) from error
        try:
            done: T | None = pickle.loads(message)
        except Exception:  # as in `_reading`
            return None
        return done

    def kill(self) -> None:
        """End the process and wait for it; may be called from any thread and more than once."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # a process that waits for a dead disk ends later
            self._process.wait(_STOP_SECONDS)

    def close(self) -> None:
        """End the process and give back what it held here; for the owning thread, once."""
        self.kill()
        self._channel.close()
        os.close(self._lifeline)

    def _await_ready(self) -> None:
        if self._is_ready:
            return
        try:
            self._channel.receive(_START_SECONDS)
        except TimeoutError as error:
            raise WorkerError("the worker process did not start in time") from error
        self._is_ready = True

    def _exit_code(self) -> int:
        """Return how the process ended, of which only the end of its messages is known yet."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_STOP_SECONDS)
        self.kill()
        return -signal.SIGKILL

    def _ended(self, code: int) -> str:
        verb = "ended" if self._is_ready else "could not start and ended"
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"the worker process {verb} {how}"


def python_command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program in a Python like this one; what follows its arguments is where
    modules are found here. Raises OSError."""
    if not sys.executable:
        raise OSError(0, "the Python interpreter is not known")
    options = ["-X", "utf8"] if sys.flags.utf8_mode else []  # file names must be decoded there as here
    paths = [path for path in sys.path if isinstance(path, str)]
    return [sys.executable, *options, "-c", program, *arguments, *paths]


def _start(connection: socket.socket, lifeline: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        python_command(_PROGRAM, str(lifeline)),
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(lifeline,),
    )


def _reading(request: ReadRequest, message: bytes) -> FileReading:
    try:
        reading: FileReading = pickle.loads(message)
    except Exception:  # a parser of another plugin may return classes that are not known here
        return failed(request, "the parser returned what cannot be passed on")
    return reading


def packed(task: Task[Any]) -> bytes:
    """Return a task as it is sent."""
    return pickle.dumps((task,), pickle.HIGHEST_PROTOCOL)


def is_taken_at_once(message: bytes) -> bool:
    """Tell whether a message is so small that who sends it need not wait for the process."""
    return len(message) <= _MOST_BYTES_AT_ONCE


def _overdue(limits: Limits) -> str:
    return f"took longer than parse_seconds ({limits.parse_seconds:g} s)"
