"""Kept worker processes that read media files. Knows nothing of databases, fields or Datasette.

The pool is loaded at first use: the child process imports this package too, and must start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pool import WorkerPool

__all__ = ["WorkerPool"]


def __getattr__(name: str) -> Any:
    if name != "WorkerPool":
        raise AttributeError(name)
    from .pool import WorkerPool

    return WorkerPool
