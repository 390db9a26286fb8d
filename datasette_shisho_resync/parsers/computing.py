"""Bounds how long a parser computes where a foreign library may be led to work for ever. Knows no format."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..errors import LimitExceeded
from ..model import Limits


class _OverdueError(BaseException):
    """No Exception, so that a library that survives every error lets it through."""


@contextmanager
def bounded_computing(name: str, limits: Limits) -> Iterator[None]:
    """Raise LimitExceeded when the work takes longer than `pdf_seconds` of computing; waiting for a disk is
    none. Only the main thread can be interrupted, which is the one that reads in a worker process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGPROF, _interrupt)
    try:
        signal.setitimer(signal.ITIMER_PROF, limits.pdf_seconds)
        yield
    except _OverdueError:
        reason = f"reading it takes longer than pdf_seconds ({limits.pdf_seconds:g} s)"
        raise LimitExceeded(name, reason) from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _OverdueError
