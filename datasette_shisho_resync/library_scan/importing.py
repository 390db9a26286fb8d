"""Makes a book of files that no row knows: rows, lists, search rows, history, companions.

One book is written whole or not at all, inside the caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..candidates import Circumstances, book_sidecar_layer, file_layers
from ..decide import Decision, Record, as_change, decide_record
from ..fields import Kind, Level
from ..files import cover_name, shown
from ..model import (
    EMPTY,
    BookRow,
    Brief,
    CoverImage,
    FileReading,
    FileRow,
    Identities,
    Identity,
    Layer,
    Mode,
    Stored,
    Target,
    Value,
    folded,
)
from ..parsers.sidecar import (
    book_sidecar_path,
    file_sidecar_path,
    render_book_sidecar,
    render_file_sidecar,
)
from ..resync.applying import By
from ..resync.companions import (
    Companion,
    SidecarDraft,
    record_companions,
    sidecars_to_write,
)
from ..resync.planning import names_in
from ..settings import Settings
from ..sidecar_content import book_sidecar, file_sidecar
from ..sources import EXISTING_COVER, FILEPATH
from ..store.apply import Writing, apply_changes, insert_list, scalar_columns
from ..store.entities import EntityRows, index_created
from ..store.history import Entry, RunHeader, record_entries, record_header
from ..store.library import LibraryRow, file_ids, find_book, insert, path_of_book
from ..store.pending import COVER, add_sidecars
from ..store.review import recompute_review
from ..store.schema import LibrarySchema
from ..store.search import index_book, index_series, insert_book
from ..store.snapshot import add_names, brief_of_book, load_snapshot
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


@dataclass(frozen=True, slots=True)
class MadeBook:
    """A book's row after the import: its fields, and the history of what changed if it was there before."""

    id: int
    is_new: bool
    values: Mapping[str, Value]
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file's row after the import: its fields, and the base name of its cover image."""

    id: int
    file: NewFile
    cover_name: str | None
    values: Mapping[str, Value]

    @property
    def cover_page(self) -> int | None:
        cover = self.values.get("cover")
        return cover.page if isinstance(cover, CoverImage) else None


@dataclass(slots=True)
class Unfinished:
    """What the books since the last commit still need: search rows of named rows (table, id), of books
    (with whether they are new) and of series; the review state of files; history and known sidecars."""

    entities: list[tuple[str, int]] = field(default_factory=list)
    books: dict[int, bool] = field(default_factory=dict)
    series: set[int] = field(default_factory=set)
    files: list[int] = field(default_factory=list)
    history: list[tuple[int, Entry]] = field(default_factory=list)
    sidecars: list[tuple[str, str]] = field(default_factory=list)

    def copy(self) -> Unfinished:
        return Unfinished(
            list(self.entities),
            dict(self.books),
            set(self.series),
            list(self.files),
            list(self.history),
            list(self.sidecars),
        )


@dataclass(slots=True)
class Importer:
    """Imports books into one library; lives for one scan."""

    conn: sqlite3.Connection
    schema: LibrarySchema
    library: LibraryRow
    settings: Settings
    by: By
    created: list[Entry] = field(default_factory=list)
    _known: dict[tuple[str, str], Identity] = field(default_factory=dict)
    _writable: dict[str, bool] = field(default_factory=dict)
    _unfinished: Unfinished = field(default_factory=lambda: Unfinished())

    def finish(self) -> None:
        """Write the search rows and the review state of the books since the last commit, the last thing
        before the next one: a savepoint after a full-text write would flush its whole index.

        Nothing that was known of named rows is trusted afterwards.
        """
        waiting, self._unfinished = self._unfinished, Unfinished()
        self._known.clear()
        index_created(self.conn, self.schema, waiting.entities)
        for book_id, is_new in waiting.books.items():
            write = insert_book if is_new else index_book
            write(self.conn, self.schema, book_id)
        for series_id in sorted(waiting.series):
            index_series(self.conn, self.schema, series_id)
        recompute_review(self.conn, self.schema, waiting.files)
        record_entries(self.conn, waiting.history)
        add_sidecars(self.conn, waiting.sidecars)

    def saved(self) -> Unfinished:
        """Return what `restore` needs after a rollback to this point."""
        return self._unfinished.copy()

    def restore(self, saved: Unfinished) -> None:
        self._known.clear()
        self._unfinished = saved

    def import_book(self, book: NewBook) -> Imported:
        """Write a book, or add its files to the book that its path already has."""
        self.created = []
        timestamp = now()
        layers = {f.path: self._layers(f, book) for f in book.files}
        sidecar = next((f.reading.book_sidecar for f in book.files if f.reading.book_sidecar), None)
        book_layers = [layer for f in book.files for layer in layers[f.path]]
        book_layers.extend(book_sidecar_layer(sidecar, frozenset()))
        every = (*book_layers, *(layer for group in layers.values() for layer in group))
        add_names(self.conn, self.schema, self.library.id, self._known, names_in(every))
        entities = EntityRows(
            self.conn,
            self.schema,
            self.library.id,
            timestamp,
            self._known,
            is_complete=True,
            index_later=True,
        )
        writing = Writing(self.conn, self.schema, entities, timestamp, {})
        book_id = find_book(self.conn, self.library.id, book.path)
        made = (
            self._made_book(writing, book, book_layers)
            if book_id is None
            else self._updated_book(writing, book_id, book_layers)
        )
        files = [self._made_file(writing, f, made.id, layers[f.path]) for f in book.files]
        supplements = {s.path: self._make_supplement(writing, s, made.id) for s in book.supplements}
        self._unfinished.entities.extend((e.table, e.pk) for e in entities.created)
        self._note_unfinished(made)
        companions = self._companions(book, made, files)
        entries = [*self.created, *entities.created, *entities.improved, *made.entries]
        run_id = record_header(self.conn, self._header(made.id, timestamp), changed=len(files), removed=0)
        self._unfinished.history.extend((run_id, entry) for entry in entries)
        pending = record_companions(self.conn, run_id, companions)
        file_ids = {f.file.path: f.id for f in files} | supplements
        return Imported(made.id, file_ids, companions, tuple(pending))

    def _header(self, book_id: int, timestamp: str) -> RunHeader:
        return RunHeader(
            Target("books", book_id),
            Mode.SCAN.value,
            "",
            self.by.via,
            self.by.actor,
            self.by.job_id,
            timestamp,
        )

    def _layers(self, file: NewFile, book: NewBook) -> tuple[Layer, ...]:
        circumstances = Circumstances(
            Mode.SCAN, importing=True, write_covers=self.settings.write_covers and self._is_writable(file)
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

    def _is_writable(self, file: NewFile) -> bool:
        folder = os.path.dirname(file.found.path)
        if folder not in self._writable:
            self._writable = {folder: os.access(folder, os.W_OK)}  # files come folder by folder
        return self._writable[folder]

    def _empty(self, level: Level, layers: Iterable[Layer]) -> Mapping[str, Stored]:
        """Return the fields of a row to be made about which anything was said."""
        offered = {"title", "sort_title"}.union(*(layer.values for layer in layers))
        return {f.name: EMPTY for f in self.schema.fields if f.level is level and f.name in offered}

    def _made_book(self, writing: Writing, book: NewBook, layers: Sequence[Layer]) -> MadeBook:
        record = Record("books", 0, self._empty(Level.BOOK, layers), tuple(layers))
        decisions = decide_record(record, Mode.SCAN, Identities(self._known))
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
        return MadeBook(book_id, True, {d.field.name: d.value for d in decisions})

    def _updated_book(self, writing: Writing, book_id: int, layers: Sequence[Layer]) -> MadeBook:
        """Let new files speak about a book that is there, as a scan would."""
        brief = self._brief(book_id)
        snapshot = load_snapshot(self.conn, self.schema, brief, (), ())
        self._known.update(snapshot.identities.rows)
        record = Record("books", book_id, snapshot.book, tuple(layers))
        decisions = decide_record(record, Mode.SCAN, Identities(self._known))
        entries = apply_changes(writing, snapshot, [as_change(d) for d in decisions if d.changes])
        return MadeBook(book_id, False, {d.field.name: d.value for d in decisions}, tuple(entries))

    def _made_file(
        self, writing: Writing, file: NewFile, book_id: int, layers: tuple[Layer, ...]
    ) -> MadeFile:
        record = Record("files", 0, self._empty(Level.FILE, layers), layers)
        decisions = decide_record(record, Mode.SCAN, Identities(self._known))
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
        self._unfinished.files.append(file_id)
        return MadeFile(file_id, file, cover, {d.field.name: d.value for d in decisions})

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

    def _note_unfinished(self, made: MadeBook) -> None:
        self._unfinished.books.setdefault(made.id, made.is_new)
        for entry in made.values.get("series") or ():  # type: ignore[union-attr]
            self._unfinished.series.add(self._known["series", folded(entry.name)].id)  # type: ignore[union-attr]
        if not made.is_new:
            self._unfinished.files.extend(file_ids(self.conn, made.id))

    def _brief(self, book_id: int) -> Brief:
        book = BookRow(book_id, self.library.id, path_of_book(self.conn, book_id) or "")
        return brief_of_book(self.conn, Target("books", book_id), book)

    def _companions(self, book: NewBook, made: MadeBook, files: Sequence[MadeFile]) -> tuple[Companion, ...]:
        """Return the covers and sidecars to write, and remember the sidecars as they will be."""
        covers = tuple(cover for f in files if (cover := _cover_of(f)) is not None)
        if not self.settings.write_sidecars:
            return covers
        drafts = [_draft(path, render, book) for path, render in self._sidecars(book, made, files)]
        written = sidecars_to_write(drafts, has_changes=True)
        seen = [(d.path, d.found.sha256) for d in drafts if d.found is not None]
        self._unfinished.sidecars.extend([*seen, *((c.path, c.sha256) for c in written)])
        return (*covers, *written)

    def _sidecars(
        self, book: NewBook, made: MadeBook, files: Sequence[MadeFile]
    ) -> Iterator[tuple[str, Callable[[], bytes]]]:
        known = Identities(self._known)
        for f in files:
            page = f.cover_page
            yield (
                file_sidecar_path(f.file.path),
                lambda f=f, page=page: render_file_sidecar(file_sidecar(f.values, page, known)),  # type: ignore[misc]
            )
        if files:
            place = book_sidecar_path(book.path, self._first_main(made, files), not book.root_level)
            yield place, lambda: render_book_sidecar(book_sidecar(made.values, known))

    def _first_main(self, made: MadeBook, files: Sequence[MadeFile]) -> str:
        """Return the file at which the sidecar of a book without a folder lies."""
        if made.is_new:
            return files[0].file.path
        return next(f.path for f in self._brief(made.id).files if f.is_main)


def _draft(path: str, render: Callable[[], bytes], book: NewBook) -> SidecarDraft:
    found = (s for f in book.files for s in (f.reading.sidecar, f.reading.book_sidecar))
    return SidecarDraft(path, render, next((s for s in found if s is not None and s.path == path), None))


def _cover_of(file: MadeFile) -> Companion | None:
    """Return the image from inside the file, unless one lay beside it and was taken."""
    cover = file.values.get("cover")
    if file.cover_name is None or not isinstance(cover, CoverImage) or not cover.data:
        return None
    path = os.path.join(os.path.dirname(file.file.path), file.cover_name)
    return Companion(path, COVER, cover.data, None)


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
