"""How often a scan has Python look for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 20_000  # more than a batch of books leaves at a time


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let a batch's objects go before they are looked at: they are in no cycle, and looking at each of them
    up to three times takes a twentieth of a scan."""
    former = gc.get_threshold()
    gc.set_threshold(_OBJECTS, *former[1:])
    try:
        yield
    finally:
        gc.set_threshold(*former)
