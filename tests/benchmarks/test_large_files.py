"""Large files cost what small ones do: only what is needed is read of them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import media
import pytest
from builders.m4b import write_sparse_m4b
from comparing import Comparison

from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.model import FileReading, FileStatus, Limits, ReadRequest
from datasette_shisho_resync.workers import WorkerPool

_MOST = 2.0
_MOST_EXTRA_BYTES = 30 * 1024**2
_EPUB_BYTES = 500 * 1024**2
_M4B_BYTES = 2 * 1024**3
_ZEROS = bytes(1024**2)


class SparseFile(io.FileIO):
    """Leaves a hole where a block of zeros would be written."""

    def write(self, data: Any) -> int:
        if bytes(data) == _ZEROS:
            self.seek(len(_ZEROS), os.SEEK_CUR)
            return len(_ZEROS)
        return super().write(data)


def write_large_epub(path: Path) -> None:
    """Write an ordinary EPUB with a stored entry of 500 MB before all others."""
    with SparseFile(path, "w+") as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open("OEBPS/film.mp4", "w", force_zip64=True) as entry:
            for _ in range(_EPUB_BYTES // len(_ZEROS)):
                entry.write(_ZEROS)
        with zipfile.ZipFile(io.BytesIO(media.epub(0))) as small:
            for name in small.namelist():
                archive.writestr(name, small.read(name), zipfile.ZIP_DEFLATED)


def write_large_m4b(path: Path) -> None:
    write_sparse_m4b(path, media.m4b(3), hole_bytes=_M4B_BYTES)


@pytest.fixture
def lone_worker() -> Iterator[WorkerPool]:
    with WorkerPool(1, Limits(), default_extensions()) as pool:
        yield pool


@pytest.mark.parametrize(
    ("file_type", "small", "write_large"),
    [("epub", lambda: media.epub(0), write_large_epub), ("m4b", lambda: media.m4b(3), write_large_m4b)],
    ids=["a 500 MB EPUB", "a 2 GB M4B"],
)
def test_a_large_file(
    tmp_path: Path,
    lone_worker: WorkerPool,
    comparison: Comparison,
    file_type: str,
    small: Callable[[], bytes],
    write_large: Callable[[Path], None],
) -> None:
    large_path, small_path = tmp_path / f"large.{file_type}", tmp_path / f"small.{file_type}"
    write_large(large_path)
    small_path.write_bytes(small())

    def read(path: Path) -> FileReading:
        return lone_worker.read(ReadRequest(str(path), (str(tmp_path),)))

    assert read(small_path).parsed == read(small_path).parsed
    before = peak_bytes(lone_worker)
    large = read(large_path)
    assert large.status is FileStatus.OK
    assert large.parsed is not None
    assert large.parsed.chapters
    assert peak_bytes(lone_worker) - before <= _MOST_EXTRA_BYTES
    ratio = comparison.ratio(lambda: read(large_path), lambda: read(small_path), rounds=100)
    assert ratio <= _MOST


def peak_bytes(pool: WorkerPool) -> int:
    """Return the most memory that the only worker ever had."""
    (pid,) = pool.pids
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("the system tells no process's peak memory")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
