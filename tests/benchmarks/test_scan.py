"""A library scan against walking and parsing alone, and of a library in which nothing changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from comparing import Comparison, measured
from library import BY
from pytest_benchmark.fixture import BenchmarkFixture

from datasette_shisho_resync.library_scan import ScanOptions, ScanReport, scan_library
from datasette_shisho_resync.library_scan.walk import walk
from datasette_shisho_resync.model import FileStatus, ReadRequest
from datasette_shisho_resync.settings import Settings
from datasette_shisho_resync.store.schema import create_library, open_library
from datasette_shisho_resync.workers import WorkerPool

_FILES = 2_000
_MOST = 1 / 0.5
_FILES_A_SECOND = 20_000


def scan(database: Path, folder: Path, pool: WorkerPool) -> ScanReport:
    conn = open_library(str(database), create=True)
    try:
        if conn.execute("select 1 from sqlite_master").fetchone() is None:
            conn.execute("begin")
            create_library(conn)
            conn.execute("commit")
        options = ScanOptions((str(folder),))
        return scan_library(conn, database.name, options, Settings(), pool, BY, lambda _: None)
    finally:
        conn.close()


def parse_all(folder: Path, pool: WorkerPool) -> None:
    root = str(folder)

    def requests() -> Iterator[ReadRequest]:
        for found in walk(root, root, pool.file_types, lambda path, error: None):
            yield from (ReadRequest(file.path, (root,)) for file in found.media)

    readings = [reading for _, reading in pool.map_unordered(requests())]
    assert [r.status for r in readings] == [FileStatus.OK] * _FILES


def test_a_first_scan(
    mixed_folder: Path, tmp_path: Path, worker_pool: WorkerPool, comparison: Comparison
) -> None:
    numbers = count()

    def prepare() -> tuple[Path]:
        """A scan leaves covers and sidecars, so that each needs a folder of its own.

        None is removed before the end: ext4 without a journal looks for some minutes at each inode that
        was freed before it takes one for a new file, which makes that ten times as slow.
        """
        place = tmp_path / str(next(numbers))
        shutil.copytree(mixed_folder, place / "media")
        os.sync()  # else writing them goes on while we measure
        return (place,)

    def first_scan(place: Path) -> None:
        assert scan(place / "library.db", place / "media", worker_pool).imported == _FILES

    def floor(place: Path) -> None:
        parse_all(place / "media", worker_pool)

    assert comparison.ratio(first_scan, floor, rounds=5, prepare=prepare) <= _MOST


def test_a_scan_of_what_did_not_change(
    mixed_folder: Path, tmp_path: Path, worker_pool: WorkerPool, benchmark: BenchmarkFixture
) -> None:
    folder, database = tmp_path / "media", tmp_path / "library.db"
    shutil.copytree(mixed_folder, folder)
    scan(database, folder, worker_pool)
    watcher = sqlite3.connect(database)
    version = watcher.execute("pragma data_version").fetchone()
    report, median = measured(benchmark, scan, database, folder, worker_pool, rounds=15, warmup_rounds=1)
    assert report.unchanged == _FILES
    assert watcher.execute("pragma data_version").fetchone() == version
    watcher.close()
    rate = _FILES / median
    benchmark.extra_info["files_a_second"] = round(rate)
    print(f"\n{rate:,.0f} files a second")
    assert rate >= _FILES_A_SECOND


@pytest.fixture(autouse=True)
def warm_pool(worker_pool: WorkerPool, tmp_path: Path) -> None:
    """Start both workers before anything is measured."""
    requests = [ReadRequest(str(tmp_path / str(number)), (str(tmp_path),)) for number in range(8)]
    list(worker_pool.map_unordered(requests, batch_size=1))
