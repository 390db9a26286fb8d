"""An open library with everything a command needs: settings, roots, workers, the service."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from datasette.plugins import pm

from ..files import shown
from ..hooks import load_extensions
from ..library_scan.alone import mark_dead_jobs
from ..resync import By, Service
from ..resync.roots import with_default_roots
from ..settings import Settings
from ..store.schema import library_schema, open_library
from ..workers import WorkerPool
from .options import Common


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, its settings with the roots filled in, the workers and the service on them."""

    conn: sqlite3.Connection
    settings: Settings
    pool: WorkerPool
    service: Service


@contextmanager
def open_session(common: Common, *, writes: bool) -> Iterator[Session]:
    """Open an existing library. Raises NotALibrary, DatabaseBusy, BadRequest."""
    settings = common.settings()
    with (
        closing(open_library(common.database)) as conn,
        session_on(conn, common, settings, writes=writes) as session,
    ):
        yield session


@contextmanager
def session_on(
    conn: sqlite3.Connection,
    common: Common,
    settings: Settings,
    *,
    writes: bool,
    more_roots: Iterable[str] = (),
) -> Iterator[Session]:
    """Work on a connection; with `writes`, what an interrupted run left undone is done first."""
    library_schema(conn).require(shown(common.database))
    settings = with_default_roots(settings, conn, more_roots)
    with WorkerPool(settings.workers, settings.limits, load_extensions(pm)) as pool:
        service = Service(conn, shown(common.database), settings, pool)
        session = Session(conn, settings, pool, service)
        if not writes:
            yield session
            return
        service.recover(By("cli"))
        mark_dead_jobs(service)
        try:
            yield session
        finally:
            service.close()
