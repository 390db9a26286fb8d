"""The world goes wrong around a library: full disks, read-only media, locks, dead roots, other writers."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from datasette_shisho_resync.errors import NotALibrary
from datasette_shisho_resync.store.schema import create_library, open_library

NOBODY = 65534


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody whom permissions bind."""
    former = os.geteuid()
    if former == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(former)


@contextmanager
def read_only(*paths: Path) -> Iterator[None]:
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with without_privileges():
            yield
    finally:
        for path in paths:
            with suppress(FileNotFoundError):
                path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, as that of the test may not be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_a_library_on_read_only_media_can_be_read_but_not_written(
    open_folder: Path, journal_mode: str
) -> None:
    path = open_folder / "library.db"
    with closing(open_library(str(path), create=True)) as conn:
        conn.execute(f"pragma journal_mode = {journal_mode}")
        create_library(conn)
        conn.execute("insert into libraries (name, cover_aspect_ratio) values ('Books', 'book')")
    with read_only(open_folder, path), closing(open_library(str(path))) as conn:
        assert conn.execute("select name from libraries").fetchone()[0] == "Books"
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            conn.execute("delete from libraries")


def test_what_is_still_in_the_log_of_a_library_is_never_left_out(open_folder: Path, tmp_path: Path) -> None:
    with closing(open_library(str(tmp_path / "library.db"), create=True)) as writer:
        create_library(writer)
        writer.execute("pragma wal_checkpoint(truncate)")
        writer.execute("insert into libraries (name, cover_aspect_ratio) values ('Books', 'book')")
        copies = [shutil.copy(tmp_path / f"library.db{part}", open_folder) for part in ("", "-wal")]
    with read_only(open_folder, *map(Path, copies)), pytest.raises(NotALibrary, match="can't be opened"):
        open_library(copies[0])
