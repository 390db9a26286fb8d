"""Does a piece of a parser's work in a process of its own, which may use little time and memory.

For libraries in C that neither can be interrupted nor survive a failed allocation. Knows no format.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, NoReturn, TypeVar

from ..errors import LimitExceeded, MediaError, UnreadableFile
from ..model import Limits

T = TypeVar("T")


def apart(work: Callable[[], T], file: BinaryIO, name: str, limits: Limits) -> T:
    """Return what `work` returns, which reads `file` and must be small enough to be passed on.

    Raises: MediaError, also where the work takes longer than `cover_seconds` of computing or more than
    `cover_memory_bytes`.
    """
    with _kept_position(file):
        receiving, sending = os.pipe()
        with warnings.catch_warnings():  # of threads, which a worker process has none of
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _serve(work, sending, name, limits)
        os.close(sending)
        with os.fdopen(receiving, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
    if status != 0:
        raise _ended(os.WTERMSIG(status), name, limits)  # 0 when it came to an end by itself
    result: T | MediaError = pickle.loads(answer)
    if isinstance(result, MediaError):
        raise result
    return result


@contextmanager
def _kept_position(file: BinaryIO) -> Iterator[None]:
    """Put the position of an open file back: a child that reads moves it for its parent too."""
    try:
        descriptor = file.fileno()
    except (OSError, ValueError):  # bytes in memory
        yield
        return
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    yield
    os.lseek(descriptor, position, os.SEEK_SET)


def _serve(work: Callable[[], Any], sending: int, name: str, limits: Limits) -> NoReturn:
    status = os.EX_SOFTWARE  # as long as the answer is not whole
    try:
        _confine(limits)
        try:
            result = work()
        except MediaError as error:
            result = error
        except MemoryError:
            result = _too_large(name, limits)
        with os.fdopen(sending, "wb") as pipe:
            pickle.dump(result, pipe, pickle.HIGHEST_PROTOCOL)
        status = os.EX_OK
    finally:
        os._exit(status)


def _confine(limits: Limits) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, limits.cover_seconds)
    signal.setitimer(signal.ITIMER_REAL, limits.parse_seconds)  # where it waits for a disk
    with suppress(ValueError, OSError):  # not every system can limit the address space
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        _, data_hard = resource.getrlimit(resource.RLIMIT_DATA)  # the file's own limit is another
        resource.setrlimit(resource.RLIMIT_DATA, (data_hard, data_hard))
        limit = _address_bytes() + limits.cover_memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def _address_bytes() -> int:
    """Return how large this process is now, as its limit counts. Raises OSError without /proc."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _ended(by_signal: int, name: str, limits: Limits) -> MediaError:
    if by_signal in (signal.SIGPROF, signal.SIGALRM):
        return LimitExceeded(name, f"its cover takes longer than cover_seconds ({limits.cover_seconds:g} s)")
    if by_signal == signal.SIGKILL:
        return UnreadableFile(name, "its cover could not be made: the system ended the process")
    return _too_large(name, limits)  # how a library in C ends without memory


def _too_large(name: str, limits: Limits) -> LimitExceeded:
    limit = limits.cover_memory_bytes
    return LimitExceeded(name, f"its cover needs more memory than cover_memory_bytes ({limit:,} bytes)")
