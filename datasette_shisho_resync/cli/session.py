"""An open library with everything a command needs: settings, roots, workers, the service."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from datasette.plugins import pm

from ..errors import BadRequest
from ..files import checked_roots, shown
from ..hooks import load_extensions
from ..resync import Service
from ..settings import Settings
from ..store.schema import LibrarySchema, create_library, is_empty, library_schema, open_library, translate
from ..store.schema.connection import decode_exactly
from ..store.snapshot import library_paths
from ..workers import WorkerPool
from .options import Common


@contextmanager
def open_session(common: Common, *, writes: bool) -> Iterator[Service]:
    """Open an existing library. With `writes`, what an interrupted run left undone is done first.

    Raises NotALibrary, DatabaseBusy, BadRequest.
    """
    settings = common.settings()
    with closing(open_library(common.database)) as conn, service_on(conn, common, settings) as service:
        with_checked_schema(service)
        service.settings = with_default_roots(settings, conn, ())
        if not writes:
            yield service
            return
        service.recover()
        try:
            yield service
        finally:
            service.close()


@contextmanager
def service_on(conn: sqlite3.Connection, common: Common, settings: Settings) -> Iterator[Service]:
    """Put a service with its workers on a connection; the workers start when they are needed."""
    with WorkerPool(settings.workers, settings.limits, load_extensions(pm)) as pool:
        yield Service(conn, shown(common.database), settings, pool)


def with_checked_schema(service: Service) -> LibrarySchema:
    """Return the library's tables. Raises NotALibrary that says what is missing."""
    with service.translated():
        return service.schema


def with_default_roots(settings: Settings, conn: sqlite3.Connection, more: Iterable[str]) -> Settings:
    """Fill in the roots of design 5.5: the library paths of now and `more`, unless some are set.

    A library path that may not be a root is left out: its files will be refused, one by one.
    """
    if settings.roots is not None:
        return settings
    here = [settings.path_map.here(path) for path in library_paths(conn)]
    return replace(settings, roots=checked_roots([*filter(_may_be_root, here), *more]))


def _may_be_root(path: str) -> bool:
    try:
        checked_roots([path])
    except BadRequest:
        return False
    return True


def open_or_create(database: str) -> sqlite3.Connection:
    """Open a library, or make a new one where there is none. Raises NotALibrary and others."""
    conn = open_library(database, create=True)
    try:
        _create_when_empty(conn)
    except sqlite3.Error as error:
        conn.close()
        raise translate(error, shown(database)) from error
    return conn


def copy_in_memory(database: str) -> sqlite3.Connection:
    """Return a copy of the library to try things on; a new one where there is none."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.row_factory = sqlite3.Row
    conn.text_factory = decode_exactly
    if os.path.exists(database) and (os.path.isdir(database) or os.path.getsize(database)):
        with closing(open_library(database)) as original:
            original.backup(conn)
    _create_when_empty(conn)
    return conn


def _create_when_empty(conn: sqlite3.Connection) -> None:
    if not is_empty(conn):
        return
    conn.execute("begin immediate")
    try:
        if is_empty(conn):  # nobody else was faster
            create_library(conn)
        conn.execute("commit")
    except BaseException:
        conn.execute("rollback")
        raise


__all__ = ["copy_in_memory", "library_schema", "open_or_create", "open_session", "service_on"]
