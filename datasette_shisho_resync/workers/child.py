"""What runs in a worker process: reads files and does tasks until its parent goes away.

Imports as little as it can; Datasette never. The messages: first `WorkerSettings`, answered with b"";
then tuples of `ReadRequest`, each request answered with a pickled `FileReading`, or with
`POSTPONED` for all that remain of the tuple; or of one `Task`, answered with what that returns, `UNDONE`
when it failed.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..model import FileReading, Limits, ReadRequest
from ..reading import explained, failed, read_file
from .channel import Channel
from .extensions import Extensions
from .task import Task

POSTPONED = b""
UNDONE = pickle.dumps(None)
_BATCH_BYTES = 4 * 1024**2
_OTHER_BYTES = 64 * 1024**2
_ORPHAN_SECONDS = 2.0
_NICENESS = 5


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    extensions: Extensions
    memory_bytes: int
    has_low_priority: bool


def main(lifeline: int) -> None:
    """Serve the parent, which talks over standard input and holds the other end of `lifeline`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    channel = Channel(_take_standard_input())
    _end_with_parent(lifeline)
    settings: WorkerSettings = pickle.loads(channel.receive())
    _confine(settings)
    channel.send(b"")
    gc.freeze()
    with suppress(EOFError, OSError):
        while True:
            _answer(channel, pickle.loads(channel.receive()), settings.extensions)


def _take_standard_input() -> int:
    """Move the connection away from where a parser might read it."""
    descriptor = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return descriptor


def _end_with_parent(lifeline: int) -> None:
    """Let the kernel end this process when the parent's end of the pipe closes, even amid a parse.

    PR_SET_PDEATHSIG would do so as soon as the *thread* that started the worker ends.
    """
    if sys.platform == "linux":  # where SIGIO is not ignored by default
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)


def _confine(settings: WorkerSettings) -> None:
    if settings.has_low_priority:
        os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = settings.memory_bytes if hard == resource.RLIM_INFINITY else min(settings.memory_bytes, hard)
    with suppress(ValueError, OSError):  # not every system can limit the address space
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _answer(channel: Channel, requests: tuple[ReadRequest | Task[Any], ...], extensions: Extensions) -> None:
    sent_bytes = 0
    for request in requests:
        if sent_bytes > _BATCH_BYTES:  # so that large covers do not pile up in the parent
            channel.send(POSTPONED)
            return
        # Should the parent die or stall while a parser hangs, nobody else would end this process.
        signal.setitimer(signal.ITIMER_REAL, request.limits.parse_seconds + _ORPHAN_SECONDS)
        message = _message(request, extensions)
        signal.setitimer(signal.ITIMER_REAL, 0)
        channel.send(message)
        sent_bytes += len(message)


def _message(request: ReadRequest | Task[Any], extensions: Extensions) -> bytes:
    if isinstance(request, Task):
        return _task_message(request, extensions)
    reading = _read(request, extensions)
    try:
        message = pickle.dumps(reading, pickle.HIGHEST_PROTOCOL)
    except MemoryError as error:
        return _failure(request, reading, explained(error, request.limits))
    except Exception:
        return _failure(request, reading, "the parser returned what cannot be passed on")
    if len(message) > _most_bytes(request.limits):
        return _failure(request, reading, "has more metadata than can be handled")
    return message


def _task_message(task: Task[Any], extensions: Extensions) -> bytes:
    """Return what the task returned; nothing when it failed, or said more than can be handled."""
    try:
        message = pickle.dumps(task.do(partial(_read, extensions=extensions)), pickle.HIGHEST_PROTOCOL)
    except Exception:  # the shell around every task
        return UNDONE
    return message if len(message) <= _most_bytes(task.limits) else UNDONE


def _read(request: ReadRequest, extensions: Extensions) -> FileReading:
    with bounded_memory(request.limits.parse_memory_bytes):
        return read_file(request, extensions)


def _most_bytes(limits: Limits) -> int:
    return limits.max_cover_bytes + 2 * limits.max_sidecar_bytes + _OTHER_BYTES


@contextmanager
def bounded_memory(most_bytes: int) -> Iterator[None]:
    """Let this process have so much more memory than it has now; code and shared libraries don't count."""
    former = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(ValueError, OSError):  # not every system can limit or tell it
        _, hard = former
        limit = _data_bytes() + most_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, former)


def _data_bytes() -> int:
    """Raises OSError without /proc."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * resource.getpagesize()


def _failure(request: ReadRequest, reading: FileReading, reason: str) -> bytes:
    return pickle.dumps(replace(failed(request, reason), stat=reading.stat), pickle.HIGHEST_PROTOCOL)
