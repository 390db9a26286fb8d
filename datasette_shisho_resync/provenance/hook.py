"""The hook `write_wrapper`: which databases are tracked, and one `Tracking` for each of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from ..settings import PLUGIN
from .tracking import Tracking

# A Database has one write connection as long as it lives, and a connection can't be asked what we made on it.
_trackings: WeakKeyDictionary[object, Tracking | None] = WeakKeyDictionary()


class Host(Protocol):
    """What this needs of a Datasette."""

    @property
    def databases(self) -> Mapping[str, Any]: ...

    def plugin_config(self, plugin_name: str, database: str | None = None) -> Mapping[str, Any] | None: ...


def tracked_write(host: Host, database: str) -> Callable[[sqlite3.Connection], Iterator[None]] | None:
    """Return the wrapper of a write; None where edits are not tracked, as in Datasette's own database."""
    opened = host.databases.get(database)
    if opened is None:
        return None
    if opened not in _trackings:
        # Datasette 1.0a41 forgets the common settings for a database that is configured in any other way.
        config = host.plugin_config(PLUGIN, database=database) or host.plugin_config(PLUGIN) or {}
        _trackings[opened] = Tracking() if config.get("track_manual_edits", True) else None
    tracking = _trackings[opened]
    return tracking.watching if tracking else None
