"""Work for a worker process that is more than reading one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from ..model import FileReading, Limits, ReadRequest

T = TypeVar("T")
Read = Callable[[ReadRequest], FileReading]


class Task(ABC, Generic[T]):
    """Is pickled, as is what it returns; it has `limits.parse_seconds` for all that it does."""

    __slots__ = ()

    @property
    @abstractmethod
    def limits(self) -> Limits: ...

    @abstractmethod
    def do(self, read: Read) -> T:
        """Do it, in the worker process; `read` reads a file within its limits. Whatever it raises, nothing is
        returned."""
