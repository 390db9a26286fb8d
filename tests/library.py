"""A small real library for tests: media on disk, a database beside them, the service on both.

Fixtures: `library` is an empty one; `book` has one book with one EPUB, not yet scanned.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders.epub import build_epub
from builders.images import jpeg

from datasette_shisho_resync.cli import session
from datasette_shisho_resync.errors import ResyncError
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.library_scan import ScanOptions, ScanReport, scan_library
from datasette_shisho_resync.model import Change, Limits, Mode, Outcome, Target
from datasette_shisho_resync.resync import Ask, By, Service, Undone
from datasette_shisho_resync.settings import Settings
from datasette_shisho_resync.store.schema import create_history, create_library, open_library
from datasette_shisho_resync.workers import WorkerPool
from datasette_shisho_resync.workers.extensions import Extensions

BY = By("cli")
_FIRST_MTIME = 1_700_000_000
Dump = dict[str, list[tuple[Any, ...]]]


def epub(
    title: str | None = "A Book",
    authors: Sequence[str] = ("Ann Author",),
    *,
    genres: Sequence[str] = (),
    tags: str = "",
    series: str | None = None,
    number: float | None = None,
    metadata_xml: str = "",
    cover: bytes | None = None,
    **texts: str,
) -> bytes:
    """Return an EPUB with this metadata; `texts` are further Dublin Core elements, as `language="en"`."""
    xml = metadata_xml
    xml += "".join(f"<dc:subject>{genre}</dc:subject>" for genre in genres)
    xml += "".join(f"<dc:{name}>{text}</dc:{name}>" for name, text in texts.items())
    calibre = {"tags": tags or None, "series": series, "series_index": number}
    xml += "".join(f'<meta name="calibre:{k}" content="{v}"/>' for k, v in calibre.items() if v is not None)
    return build_epub(title=title, creators=authors, metadata_xml=xml, cover=cover)


@cache
def _new_library() -> bytes:
    """Return the database of a library without rows, which takes longer to make than to copy."""
    with TemporaryDirectory() as folder:
        path = os.path.join(folder, "library.db")
        with closing(open_library(path, create=True)) as conn:
            conn.execute("begin")
            create_library(conn)
            conn.execute("commit")
        return Path(path).read_bytes()


@dataclass
class Library:
    """One library in `folder`: its files below `root`, its rows in `conn`."""

    folder: Path
    pool: WorkerPool
    settings: Settings = field(default_factory=Settings)
    _clock: int = _FIRST_MTIME

    def __post_init__(self) -> None:
        self.root = self.folder / "library"
        self.root.mkdir(parents=True)
        self.path = str(self.folder / "library.db")
        Path(self.path).write_bytes(_new_library())
        self.conn = open_library(self.path)
        self.add("libraries", name="Books", cover_aspect_ratio="book")
        self.add("library_paths", library_id="1", filepath=str(self.root))
        self.service = Service(self.conn, "library.db", self.settings, self.pool)

    def configure(self, **settings: Any) -> None:
        self.service.settings = self.settings = replace(self.settings, **settings)

    def close(self) -> None:
        self.service.close()
        self.conn.close()

    def reopen(self) -> None:
        """Open the database anew, after its file or whoever writes to it was another."""
        self.conn.close()
        self.conn = open_library(self.path)
        self.service = Service(self.conn, "library.db", self.settings, self.pool)

    # --- rows ---------------------------------------------------------------------------------

    def add(self, table: str, **columns: object) -> int:
        """Insert a row; bytes become text as they are."""
        marks = ", ".join("cast(? as text)" if isinstance(v, bytes) else "?" for v in columns.values())
        row_id = self.conn.execute(
            f"insert into {table} ({', '.join(columns)}) values ({marks})", tuple(columns.values())
        ).lastrowid
        assert row_id is not None
        return row_id

    def add_book(self, name: str = "Shelf", **columns: object) -> int:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        defaults = {"title": name, "sort_title": name, "filepath": os.fsencode(folder), "library_id": 1}
        sources = dict.fromkeys(("title_source", "sort_title_source", "author_source"), "filepath")
        return self.add("books", **{**defaults, **sources, **columns})

    def add_file(
        self,
        book_id: int,
        name: str | bytes,
        data: bytes | None = None,
        *,
        role: str = "main",
        **columns: Any,
    ) -> int:
        """Insert a file's row, and write it below its book's folder unless `data` is None."""
        path = os.path.join(os.fsencode(self.book(book_id)["filepath"]), os.fsencode(name))
        if data is not None:
            self.write(path, data)
        file_type = os.path.splitext(path)[1][1:].decode().lower()
        return self.add(
            "files",
            library_id=1,
            book_id=book_id,
            filepath=path,
            file_type=file_type,
            file_role=role,
            **columns,
        )

    def write(self, path: str | bytes | Path, data: bytes) -> None:
        """Write a file of which nobody can say that its time did not change."""
        self._clock += 60
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (self._clock, self._clock))

    def rewrite(self, file_id: int, data: bytes) -> None:
        self.write(self.file_path(file_id), data)

    def remove(self, file_id: int) -> None:
        self.file_path(file_id).unlink()

    def add_witness(self) -> int:
        """Add another book whose file is there, so that the root is proved alive."""
        book_id = self.add_book("Witness")
        self.add_file(book_id, "witness.epub", epub("Witness"))
        return book_id

    def rows(self, table: str, where: str = "1") -> list[dict[str, Any]]:
        name = table.replace('"', '""')
        return [
            dict(row) for row in self.conn.execute(f'select * from "{name}" where {where} order by rowid')
        ]

    def book(self, book_id: int = 1) -> dict[str, Any]:
        return self.rows("books", f"id = {book_id}")[0]

    def file(self, file_id: int = 1) -> dict[str, Any]:
        return self.rows("files", f"id = {file_id}")[0]

    def file_path(self, file_id: int = 1) -> Path:
        return Path(self.file(file_id)["filepath"])

    def edit(self, table: str, pk: int = 1, **columns: object) -> None:
        assignments = ", ".join(f"{column} = ?" for column in columns)
        self.conn.execute(f"update {table} set {assignments} where id = ?", (*columns.values(), pk))

    def names(self, link: str, entity: str, id_column: str) -> list[str]:
        rows = self.conn.execute(
            f"select e.name from {link} as l join {entity} as e on e.id = l.{id_column} order by l.rowid"
        )
        return [row[0] for row in rows]

    def authors(self) -> list[str]:
        return self.names("authors", "persons", "person_id")

    def genres(self) -> list[str]:
        return sorted(self.names("book_genres", "genres", "genre_id"))

    def series(self) -> list[tuple[str, float | None]]:
        rows = self.conn.execute(
            "select name, series_number from book_series as l join series on series.id = series_id"
            " order by l.sort_order"
        )
        return [tuple(row) for row in rows]

    def dump(self) -> Dump:
        """Return every row of every table."""
        return {name: [tuple(row.items()) for row in self.rows(name)] for name in self._tables()}

    def content(self, *, with_derived: bool = True) -> Dump:
        """Return the library's own rows without times and bookkeeping.

        Derived are search rows and review state, which a run makes right even if nobody did before.
        """
        left_out = {"updated_at", "filesize_bytes", "file_modified_at"}
        left_out |= set() if with_derived else {"reviewed"}
        return {
            name: [tuple((k, v) for k, v in row.items() if k not in left_out) for row in self.rows(name)]
            for name in self._tables()
            if not name.startswith("resync_") and (with_derived or not name.endswith("_fts"))
        }

    def _tables(self) -> list[str]:
        names = self.conn.execute("select name from sqlite_master where type = 'table' order by name")
        return [row[0] for row in names if "_fts_" not in row[0] and not row[0].startswith("sqlite_")]

    # --- runs ---------------------------------------------------------------------------------

    def run(self, mode: Mode = Mode.SCAN, table: str = "books", pk: int = 1, **ask: Any) -> Outcome:
        return self.service.run(Ask(Target(table, pk), mode, **ask), BY)

    def scan(self, table: str = "books", pk: int = 1, **ask: Any) -> Outcome:
        return self.run(Mode.SCAN, table, pk, **ask)

    def refresh(self, table: str = "books", pk: int = 1, **ask: Any) -> Outcome:
        return self.run(Mode.REFRESH, table, pk, **ask)

    def reset(self, table: str = "books", pk: int = 1, **ask: Any) -> Outcome:
        return self.run(Mode.RESET, table, pk, **ask)

    def preview(self, mode: Mode = Mode.SCAN, table: str = "books", pk: int = 1, **ask: Any) -> Outcome:
        return self.service.preview(Ask(Target(table, pk), mode, **ask))

    def undo(self, run_id: int | None) -> Undone:
        assert run_id is not None
        return self.service.undo(run_id, BY)

    def with_history(self) -> None:
        create_history(self.conn)

    def scan_all(self, *, prune: bool = False) -> ScanReport:
        options = ScanOptions((str(self.root),), prune=prune)
        return scan_library(self.conn, "library.db", options, self.settings, self.pool, BY, lambda told: None)

    def sidecar(self, path: Path | str | None = None) -> dict[str, Any]:
        """Return a sidecar's content; by default that of the first book."""
        found: dict[str, Any] = json.loads(Path(path or self.book_sidecar()).read_text())
        return found

    def book_sidecar(self, book_id: int = 1) -> Path:
        folder = Path(self.book(book_id)["filepath"])
        return folder / f"{folder.name}.metadata.json"

    def file_sidecar(self, file_id: int = 1) -> Path:
        return Path(f"{self.file_path(file_id)}.metadata.json")

    def edit_sidecar(self, path: Path, **values: object) -> None:
        path.write_text(json.dumps({**self.sidecar(path), **values}))


def changed(outcome: Outcome) -> dict[str, Change]:
    """Return the changes of one book or file by field."""
    return {change.field: change for change in outcome.plan.changes}


def kept(outcome: Outcome) -> dict[str, Change]:
    return {change.field: change for change in outcome.plan.kept}


def error_of(library: Library, *args: Any, **ask: Any) -> ResyncError:
    with pytest.raises(ResyncError) as caught:
        library.run(*args, **ask)
    return caught.value


@pytest.fixture(scope="session")
def worker_pool() -> Iterator[WorkerPool]:
    with WorkerPool(2, Limits(), default_extensions()) as pool:
        yield pool


@pytest.fixture(scope="module")
def lent_workers(worker_pool: WorkerPool) -> Iterator[None]:
    """Let the commands of a module read with the worker processes of all tests, unless they need others."""

    def lent(count: int, limits: Limits, extensions: Extensions) -> AbstractContextManager[WorkerPool]:
        own = WorkerPool(count, limits, extensions)
        is_usual = limits == Limits() and extensions == default_extensions()
        return nullcontext(worker_pool) if is_usual else own

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "WorkerPool", lent)
        yield


@pytest.fixture
def library(tmp_path: Path, worker_pool: WorkerPool) -> Iterator[Library]:
    made = Library(tmp_path, worker_pool)
    yield made
    made.close()


@pytest.fixture
def book(library: Library) -> Library:
    """A library with book 1, whose file 1 is an EPUB."""
    library.add_file(library.add_book(), "a.epub", epub())
    return library


def add_three_books(library: Library) -> None:
    """Add and scan a book with everything, a bare one, and one with two files."""
    cover = jpeg(200, 300)
    dune = epub(
        "Dune", ["Frank Herbert"], genres=["SF"], series="Dune", number=1, cover=cover, description="Sand."
    )
    library.add_file(library.add_book("Dune"), "dune.epub", dune)
    library.add_file(library.add_book("Bare"), "bare.epub", epub("Bare", []))
    emma = library.add_book("Emma")
    library.add_file(emma, "a.epub", epub("Emma", ["Jane Austen"], description="Matches."))
    library.add_file(emma, "b.epub", epub("Emma", ["Jane Austen"]))
    for pk in (1, 2, 3):
        library.scan(pk=pk)


def fails(conn: sqlite3.Connection, table: str, event: str, condition: str = "1") -> None:
    """Make one kind of statement fail."""
    conn.execute(
        f"create trigger failing before {event} on {table} when {condition} "
        "begin select raise(abort, 'no more room'); end"
    )
