"""Makes a book of files that no row knows: rows, lists, search rows, history, companions.

One book is written whole or not at all, inside the caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..candidates import Circumstances, book_sidecar_layer, file_layers
from ..decide import Decision, Record, as_change, decide_record, stored_or_empty
from ..fields import BY_NAME, Kind, Level
from ..files import cover_name, shown
from ..model import (
    EMPTY,
    BookRow,
    Brief,
    CoverImage,
    FileReading,
    FileRow,
    Identities,
    Layer,
    Mode,
    Stored,
    Target,
)
from ..resync.applying import By
from ..resync.companions import (
    Companion,
    draft_sidecars,
    note_seen,
    record_companions,
    sidecars_to_write,
)
from ..resync.planning import names_in
from ..settings import Settings
from ..sources import EXISTING_COVER, FILEPATH
from ..store.apply import Writing, apply_changes, insert_list, scalar_columns
from ..store.entities import EntityRows
from ..store.history import Entry, RunHeader, record_run
from ..store.library import LibraryRow, find_book, insert
from ..store.pending import COVER
from ..store.review import recompute_review
from ..store.schema import LibrarySchema
from ..store.search import index_book, index_series, insert_book
from ..store.snapshot import brief_of_book, load_snapshot, resolve_names
from ..store.times import now, to_stored
from .walk import FoundFile


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to import: as found, its path in stored form, and what was read (paths in stored form)."""

    found: FoundFile
    path: str
    reading: FileReading

    def row(self, library_id: int) -> FileRow:
        return FileRow(0, 0, library_id, self.path, self.found.file_type, "main", 0)


@dataclass(frozen=True, slots=True)
class Supplement:
    """A file that accompanies a book; `path` in stored form."""

    path: str
    file_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NewBook:
    """Files that form one book at `path` (stored form). `root_level`: their folder says nothing of it."""

    path: str
    files: tuple[NewFile, ...]
    supplements: tuple[Supplement, ...]
    root_level: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """The ids of an imported book's rows, by path, and the files to write after the commit."""

    book_id: int
    file_ids: Mapping[str, int]
    companions: tuple[Companion, ...]
    pending: tuple[int, ...]


@dataclass(slots=True)
class Importer:
    """Imports books into one library; lives for one scan."""

    conn: sqlite3.Connection
    schema: LibrarySchema
    library: LibraryRow
    settings: Settings
    by: By
    created: list[Entry] = field(default_factory=list)

    def import_book(self, book: NewBook) -> Imported:
        """Write a book, or add its files to the book that its path already has."""
        self.created = []
        timestamp = now()
        book_id = find_book(self.conn, self.library.id, book.path)
        layers = {f.path: self._layers(f, book) for f in book.files}
        sidecar = next((f.reading.book_sidecar for f in book.files if f.reading.book_sidecar), None)
        book_layers = [layer for f in book.files for layer in layers[f.path]]
        book_layers.extend(book_sidecar_layer(sidecar, frozenset()))
        known = self._identities((*book_layers, *(la for group in layers.values() for la in group)))
        entities = EntityRows.of(self.conn, self.schema, self.library.id, timestamp, known)
        writing = Writing(self.conn, self.schema, entities, timestamp, {})
        entries: list[Entry] = []
        if book_id is None:
            book_id = self._make_book(writing, book, book_layers, known)
        else:
            entries = self._update_book(writing, book_id, book_layers, known)
        file_ids = {f.path: self._make_file(writing, f, book_id, layers[f.path], known) for f in book.files}
        for supplement in book.supplements:
            file_ids[supplement.path] = self._make_supplement(writing, supplement, book_id)
        self._index(book_id, is_new=not entries and not self._had_files(book_id, file_ids))
        companions = self._companions(book, book_id, file_ids)
        entries = [*self.created, *entities.created, *entities.improved, *entries]
        header = RunHeader(
            Target("books", book_id),
            Mode.SCAN.value,
            "",
            self.by.via,
            self.by.actor,
            self.by.job_id,
            timestamp,
        )
        run_id = record_run(self.conn, header, entries, changed=len(file_ids), removed=0)
        pending = record_companions(self.conn, run_id, companions)
        return Imported(book_id, file_ids, companions, tuple(pending))

    def _layers(self, file: NewFile, book: NewBook) -> tuple[Layer, ...]:
        circumstances = Circumstances(
            Mode.SCAN, importing=True, write_covers=self.settings.write_covers and _is_writable(file)
        )
        return file_layers(
            file.reading,
            file.row(self.library.id),
            BookRow(0, self.library.id, book.path),
            EMPTY,
            frozenset(),
            circumstances,
            shown_path=shown(file.path),
            root_level=book.root_level,
        )

    def _identities(self, layers: Iterable[Layer]) -> Identities:
        return resolve_names(self.conn, self.schema, self.library.id, Identities(), names_in(layers))

    def _empty(self, level: Level) -> Mapping[str, Stored]:
        available = {f.name for f in self.schema.fields}
        return {n: s for n, s in stored_or_empty({}, level).items() if n in available}

    def _make_book(self, writing: Writing, book: NewBook, layers: Sequence[Layer], known: Identities) -> int:
        record = Record("books", 0, self._empty(Level.BOOK), tuple(layers))
        decisions = decide_record(record, Mode.SCAN, known)
        columns = {
            "created_at": writing.timestamp,
            "updated_at": writing.timestamp,
            "library_id": self.library.id,
            "filepath": book.path,
            "author_source": FILEPATH,
            **_decided_columns(writing, decisions),
        }
        book_id = insert(self.conn, "books", columns)
        self._insert_lists(writing, decisions, book_id)
        self._note_created("books", book_id)
        return book_id

    def _update_book(
        self, writing: Writing, book_id: int, layers: Sequence[Layer], known: Identities
    ) -> list[Entry]:
        """Let new files speak about a book that is there, as a scan would."""
        brief = self._brief(book_id)
        snapshot = load_snapshot(self.conn, self.schema, brief, (), ())
        merged = Identities({**known.rows, **snapshot.identities.rows})
        record = Record("books", book_id, snapshot.book, tuple(layers))
        decisions = decide_record(record, Mode.SCAN, merged)
        return apply_changes(writing, snapshot, [as_change(d) for d in decisions if d.changes])

    def _make_file(
        self, writing: Writing, file: NewFile, book_id: int, layers: tuple[Layer, ...], known: Identities
    ) -> int:
        record = Record("files", 0, self._empty(Level.FILE), layers)
        decisions = decide_record(record, Mode.SCAN, known)
        cover = self._cover_name(file, decisions)
        stat = file.reading.stat or file.found.stat
        columns = {
            "created_at": writing.timestamp,
            "updated_at": writing.timestamp,
            "library_id": self.library.id,
            "book_id": book_id,
            "filepath": file.path,
            "file_type": file.found.file_type,
            "file_role": "main",
            "filesize_bytes": stat.size_bytes,
            "file_modified_at": to_stored(stat.mtime_ns),
            **_decided_columns(replace(writing, cover_names={0: cover} if cover else {}), decisions),
        }
        present = {c: v for c, v in columns.items() if self.schema.has("files", c)}
        file_id = insert(self.conn, "files", present)
        self._insert_lists(writing, decisions, file_id)
        self._note_created("files", file_id)
        return file_id

    def _cover_name(self, file: NewFile, decisions: Iterable[Decision]) -> str | None:
        for decision in decisions:
            if decision.field.kind is Kind.COVER and isinstance(decision.value, CoverImage):
                if decision.source == EXISTING_COVER:
                    return file.reading.image_name
                return cover_name(file.path, decision.value.mime)
        return None

    def _make_supplement(self, writing: Writing, supplement: Supplement, book_id: int) -> int:
        columns = {
            "created_at": writing.timestamp,
            "updated_at": writing.timestamp,
            "library_id": self.library.id,
            "book_id": book_id,
            "filepath": supplement.path,
            "file_type": supplement.file_type,
            "file_role": "supplement",
            "filesize_bytes": supplement.size_bytes,
        }
        file_id = insert(self.conn, "files", columns)
        self._note_created("files", file_id)
        return file_id

    def _insert_lists(self, writing: Writing, decisions: Iterable[Decision], pk: int) -> None:
        for decision in decisions:
            if decision.changes and decision.field.is_list:
                insert_list(writing, decision.field, pk, decision.value, decision.source)

    def _note_created(self, table: str, pk: int) -> None:
        self.created.append(Entry(table, pk, "row", None, None, {"id": pk}, None, "new_value"))

    def _had_files(self, book_id: int, file_ids: Mapping[str, int]) -> bool:
        count = self.conn.execute("select count(*) from files where book_id = ?", (book_id,)).fetchone()[0]
        return bool(count > len(file_ids))

    def _index(self, book_id: int, *, is_new: bool) -> None:
        if is_new:
            insert_book(self.conn, self.schema, book_id)
        else:
            index_book(self.conn, self.schema, book_id)
        if BY_NAME["series"] in self.schema.fields:
            rows = self.conn.execute("select series_id from book_series where book_id = ?", (book_id,))
            for (series_id,) in rows.fetchall():
                index_series(self.conn, self.schema, series_id)
        rows = self.conn.execute("select id from files where book_id = ?", (book_id,))
        recompute_review(self.conn, self.schema, [r[0] for r in rows])

    def _brief(self, book_id: int) -> Brief:
        row = self.conn.execute("select filepath from books where id = ?", (book_id,)).fetchone()
        return brief_of_book(self.conn, Target("books", book_id), BookRow(book_id, self.library.id, row[0]))

    def _companions(self, book: NewBook, book_id: int, file_ids: Mapping[str, int]) -> tuple[Companion, ...]:
        brief = self._brief(book_id)
        made = set(file_ids.values())
        files = [f for f in brief.files if f.id in made and f.is_main]
        sidecars = (s for f in book.files for s in (f.reading.sidecar, f.reading.book_sidecar))
        found = {s.path: s for s in sidecars if s is not None}
        drafts = draft_sidecars(self.conn, self.schema, brief, files, found, self.settings, has_changes=True)
        written = sidecars_to_write(drafts, has_changes=True)
        note_seen(self.conn, drafts, written, frozenset())
        return (*self._covers(book, files), *written)

    def _covers(self, book: NewBook, files: Sequence[FileRow]) -> Iterable[Companion]:
        """Yield the images from inside the files; where one lay beside a file already, that was taken."""
        by_path = {f.path: f.reading for f in book.files}
        for row in files:
            reading = by_path[row.path]
            cover = reading.parsed.cover if reading.parsed else None
            if row.cover_name and cover is not None and reading.image is None:
                path = os.path.join(os.path.dirname(row.path), row.cover_name)
                yield Companion(path, COVER, cover.data, None)


def _decided_columns(writing: Writing, decisions: Iterable[Decision]) -> dict[str, Any]:
    """Return the columns and source columns of a row to be inserted."""
    columns: dict[str, Any] = {}
    for decision in decisions:
        if not decision.changes:
            continue
        if not decision.field.is_list:
            columns.update(scalar_columns(writing, decision.field, 0, decision.value)[1])
        if decision.field.source_column:
            columns[decision.field.source_column] = decision.source
    return columns


def _is_writable(file: NewFile) -> bool:
    return os.access(os.path.dirname(file.found.path), os.W_OK)
