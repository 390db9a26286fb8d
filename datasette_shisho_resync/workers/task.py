"""Work for a worker process that is more than reading one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from ..model import FileReading, Limits, ReadRequest

T = TypeVar("T")
Read = Callable[[ReadRequest], FileReading]


class Task(ABC, Generic[T]):
    """Is pickled there, what it returns is pickled back; `limits.parse_seconds` is all the time it has."""

    __slots__ = ()

    @property
    @abstractmethod
    def limits(self) -> Limits: ...

    @abstractmethod
    def do(self, read: Read) -> T:
        """Do it, in the worker process; `read` reads a file within its limits."""
