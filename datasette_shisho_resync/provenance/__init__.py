"""Marks what people change through Datasette as `manual`, in the same transaction (design 6).

Temporary triggers on Datasette's write connection tell which rows a write is about to touch; what they held
before and hold after it decides. Sort texts and search rows follow the edit too. Knows nothing of files,
plans or how a run writes: that is `our_own_write`.
"""

from __future__ import annotations

from .hook import tracked_write
from .tracking import our_own_write

__all__ = ["our_own_write", "tracked_write"]
