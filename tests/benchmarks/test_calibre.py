"""A first scan against `calibredb add`, where calibre is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import media
import pytest
from comparing import measured, seconds
from pytest_benchmark.fixture import BenchmarkFixture
from test_scan import scan

from datasette_shisho_resync.workers import WorkerPool

_LEAST = 20.0
_BOOKS = 200


@pytest.mark.skipif(shutil.which("calibredb") is None, reason="calibre is not installed")
def test_a_first_scan_against_calibre(
    tmp_path: Path, worker_pool: WorkerPool, benchmark: BenchmarkFixture
) -> None:
    folder, calibre = tmp_path / "media", tmp_path / "calibre"
    for number in range(_BOOKS):
        place = folder / f"Book {number}"
        place.mkdir(parents=True)
        (place / f"book {number}.epub").write_bytes(media.epub(number))
    calibre.mkdir()
    command = ["calibredb", "add", "--with-library", str(calibre), "-r", str(folder)]
    environment = {**os.environ, "CALIBRE_CONFIG_DIRECTORY": str(tmp_path / "config")}
    floor = seconds(lambda: subprocess.run(command, env=environment, check=True, capture_output=True))
    assert len(list(calibre.rglob("*.epub"))) == _BOOKS
    database = tmp_path / "library.db"
    report, scan_seconds = measured(benchmark, scan, database, folder, worker_pool, rounds=1)
    assert report.imported == _BOOKS
    ratio = floor / scan_seconds
    benchmark.extra_info.update(floor_seconds=floor, ratio=round(ratio, 1))
    print(f"\n{ratio:.0f} x as fast as calibredb, which took {floor:.1f} s for {_BOOKS} books")
    assert ratio >= _LEAST
