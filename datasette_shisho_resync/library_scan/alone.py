"""One job a database at a time, and what is said of jobs whose process died."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import JobRunning, ReadOnlyDatabase
from ..files import JobLock, shown, take_job_lock
from ..resync import Service
from ..store.jobs import interrupt_jobs, running_job

_PATIENCE_SECONDS = 1.0  # somebody who only looks holds the lock for a moment


@contextmanager
def only_job(service: Service) -> Iterator[None]:
    """Be the one job of the database, which no job that died is said to run on.

    Raises JobRunning, ReadOnlyDatabase.
    """
    path = path_of(service.conn)
    if not path:  # in memory: nobody else can reach it
        yield
        return
    lock = _taken(path, _PATIENCE_SECONDS)
    if lock is None:
        raise _running(service)
    try:
        _mark(service)
        yield
    finally:
        lock.release()


def mark_dead_jobs(service: Service) -> None:
    """Mark jobs as interrupted that are said to run though no process works on them."""
    if not _says_running(service):
        return
    lock = _taken(path_of(service.conn), 0.0)
    if lock is None:
        return
    try:
        _mark(service)
    finally:
        lock.release()


def path_of(conn: sqlite3.Connection) -> str:
    """Return the file of a connection's database, empty for one in memory."""
    path: str = conn.execute("pragma database_list").fetchone()[2]
    return path


def _taken(path: str, wait_seconds: float) -> JobLock | None:
    try:
        return take_job_lock(path, wait_seconds)
    except OSError as error:
        folder = shown(os.path.dirname(path))
        raise ReadOnlyDatabase(f"{folder}: the folder of the database can't be written.") from error


def _says_running(service: Service) -> bool:
    return running_job(service.conn, service.schema) is not None


def _mark(service: Service) -> None:
    if _says_running(service):
        service.transaction(lambda: interrupt_jobs(service.conn))


def _running(service: Service) -> JobRunning:
    job = running_job(service.conn, service.schema)
    name = "A scan" if job is None else f"Job {job}"
    return JobRunning(f"{name} is running on this database: one job at a time.", job)
