"""Quick pickling for the values that workers pass on."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


def portable(cls: type[T]) -> type[T]:
    """Let a dataclass of two or more fields be pickled as a call of itself.

    The way of a frozen dataclass with slots asks `dataclasses.fields` for every single value, which took
    most of the time of reading one file's answer.
    """
    values_of = attrgetter(*(f.name for f in fields(cls)))  # type: ignore[arg-type]

    def reduce(self: T) -> tuple[Any, ...]:
        return cls, values_of(self)

    cls.__reduce__ = reduce  # type: ignore[assignment]
    return cls
