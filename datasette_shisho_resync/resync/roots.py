"""The folders that may be read when no setting names them, and what to do where they do not suffice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from ..errors import BadRequest, FileRefused
from ..files import checked_roots
from ..model import Brief
from ..settings import Settings
from ..store.snapshot import library_paths


def with_default_roots(settings: Settings, conn: sqlite3.Connection, more: Iterable[str]) -> Settings:
    """Fill in the roots, unless some are set: the library paths of now, and `more`.

    A library path that may not be a root is left out: its files will be refused, one by one.
    Raises BadRequest when one of `more` may not be.

    Source: design 5.5.
    """
    if settings.roots is not None:
        return settings
    here = [settings.path_map.here(path) for path in library_paths(conn)]
    return replace(settings, roots=checked_roots([*filter(_may_be_root, here), *more]))


def with_advice(refusal: FileRefused, brief: Brief, settings: Settings) -> FileRefused:
    """Say what to do about a library path that was not there when the roots were found."""
    if {settings.path_map.here(root) for root in brief.roots} <= set(settings.roots or ()):
        return refusal
    advice = "its library path was not known when Datasette started: restart, or set roots"
    return FileRefused(refusal.path, f"{refusal.reason} ({advice})")


def _may_be_root(path: str) -> bool:
    try:
        checked_roots([path])
    except BadRequest:
        return False
    return True
