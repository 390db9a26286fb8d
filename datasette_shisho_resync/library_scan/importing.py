"""Makes a book of files that no row knows: rows, lists, search rows, history, companions.

Works inside the caller's transaction, and inserts what can wait at its end.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..candidates import Circumstances, book_sidecar_layer, but_for_later, file_layers, is_part
from ..decide import Decision, Record, as_change, decide_record
from ..fields import Kind, Level
from ..files import cover_name, shown
from ..model import (
    EMPTY,
    ROW,
    BookRow,
    CoverImage,
    FileRow,
    Identities,
    Layer,
    Mode,
    SidecarReading,
    Snapshot,
    Stored,
    Target,
    folded,
)
from ..model.portable import portable
from ..parsers.sidecar import SIDECAR_SUFFIX
from ..resync.companions import Companion, note_companions
from ..resync.planning import names_in
from ..resync.sidecar_drafts import sidecars_to_write
from ..settings import Settings
from ..sources import EXISTING_COVER, FILEPATH
from ..store.apply import Writing, apply_changes, insert_list, scalar_columns
from ..store.entities import EntityRows
from ..store.history import Entry, RunHeader, add_header
from ..store.library import LibraryRow, file_ids, paths_called
from ..store.pending import PendingKey, nothing_comes, what_is_to_come
from ..store.schema import LibrarySchema
from ..store.snapshot import add_names, load_snapshot, series_of_book
from ..store.times import now, to_stored
from .job import Job
from .known import KnownLibrary
from .made_book import MadeBook, MadeFile, covers_of, drafts_of
from .new_book import NewBook, NewFile, Supplement
from .unfinished import Unfinished

_MOST_WAITING_ROWS = 50_000


@portable
@dataclass(frozen=True, slots=True)
class Imported:
    """The ids of an imported book's rows, by path, and the files to write after the commit."""

    book_id: int
    file_ids: Mapping[str, int]
    companions: tuple[Companion, ...]
    pending: tuple[PendingKey, ...]


@dataclass(slots=True)
class Importer:
    """Imports books into one library; lives for one scan."""

    known: KnownLibrary
    schema: LibrarySchema
    settings: Settings
    job: Job
    created: list[Entry] = field(default_factory=list)
    _unfinished: Unfinished = field(default_factory=Unfinished)

    @property
    def conn(self) -> sqlite3.Connection:
        return self.known.conn

    @property
    def library(self) -> LibraryRow:
        return self.known.library

    @property
    def _identities(self) -> Identities:
        return Identities(self.known.names)

    def finish(self) -> None:
        """Insert what waits, then the search rows, the last thing before a commit: a savepoint after a
        full-text write would flush its whole index."""
        self.known.insert_waiting()
        waiting, self._unfinished = self._unfinished, Unfinished()
        waiting.finish(self.conn, self.schema)

    def forget(self) -> None:
        """Know nothing of what was rolled back."""
        self.known.forget()
        self._unfinished = Unfinished()

    def import_book(self, book: NewBook) -> Imported:
        """Write a book, or add its files to the book that its path already has."""
        self.created = []
        timestamp = now()
        there = self._present(book)
        present = there.brief.files if there else ()
        together = (*(f.row(self.library.id) for f in book.files), *present)
        layers = {f.path: self._layers(f, book, together, there) for f in book.files}
        book_layers = [layer for f in book.files for layer in layers[f.path]]
        seen = there.seen_sidecars if there else frozenset()
        book_layers.extend(book_sidecar_layer(self._sidecar_of(book, there), seen))
        add_names(self.conn, self.schema, self.library.id, self.known.names, names_in(book_layers))
        entities = EntityRows(
            self.conn,
            self.schema,
            self.library.id,
            timestamp,
            self.known.names,
            is_complete=True,
            index_later=True,
        )
        writing = Writing(self.conn, self.schema, entities, timestamp, {}, self.known.rows)
        made = (
            self._updated_book(writing, there, book_layers)
            if there is not None
            else self._new_book(writing, book.path, book_layers)
        )
        files = [self._make_file(writing, f, made.id, layers[f.path]) for f in book.files]
        supplements = {s.path: self._make_supplement(writing, s, made.id) for s in book.supplements}
        self._unfinished.entities.extend((e.table, e.pk) for e in entities.created)
        self._note_unfinished(made)
        companions = self._companions(book, made, files)
        run_id = add_header(self.known.rows, self._header(made.id, timestamp), changed=len(files), removed=0)
        entries = (*self.created, *entities.created, *entities.improved, *made.entries)
        self._unfinished.history.extend([(run_id, entry) for entry in entries])
        pending = note_companions(self.known.rows, run_id, companions)
        if self.known.rows.count > _MOST_WAITING_ROWS:
            self.known.insert_waiting()
        return Imported(made.id, {f.file.path: f.id for f in files} | supplements, companions, tuple(pending))

    def _header(self, book_id: int, timestamp: str) -> RunHeader:
        by = self.job.by
        return RunHeader(
            Target("books", book_id), Mode.SCAN.value, "", by.via, by.actor, by.job_id, timestamp
        )

    def _present(self, book: NewBook) -> Snapshot | None:
        """Return what the library has of a book already."""
        book_id = self.known.book_at(book.path)
        if book_id is None:
            return None
        sidecars = {f.reading.book_sidecar.path for f in book.files if f.reading.book_sidecar}
        snapshot = load_snapshot(self.conn, self.schema, self.known.brief(book_id), (), tuple(sidecars))
        self.known.names.update(snapshot.identities.rows)
        return snapshot

    def _sidecar_of(self, book: NewBook, there: Snapshot | None) -> SidecarReading | None:
        """Return the book's sidecar, unless it is that of a book whose file is called the same but for its
        type: two such books have one place for it."""
        sidecar = next((f.reading.book_sidecar for f in book.files if f.reading.book_sidecar), None)
        if sidecar is None:
            return None
        stem, here = sidecar.path.removesuffix(SIDECAR_SUFFIX), self.settings.path_map.here
        book_id = there.brief.target.pk if there else None
        namesakes = paths_called(self.conn, self.library.id, stem)
        is_taken = any(pk != book_id and os.path.exists(here(path)) for path, pk in namesakes)
        return None if is_taken else sidecar

    def _layers(
        self, file: NewFile, book: NewBook, together: Sequence[FileRow], there: Snapshot | None
    ) -> tuple[Layer, ...]:
        row = file.row(self.library.id)
        circumstances = Circumstances(
            Mode.SCAN,
            importing=True,
            cover_mimes=file.reading.cover_mimes,
            is_part=is_part(row, together),
        )
        layers = file_layers(
            file.reading,
            row,
            BookRow(0, self.library.id, book.path),
            EMPTY,
            frozenset(),
            circumstances,
            shown_path=shown(file.path),
            root_level=book.root_level,
        )
        if there is None:
            return layers
        files = there.brief.files
        return tuple(but_for_later(layer, row.file_type, files, there.book) for layer in layers)

    def _empty(self, level: Level, layers: Iterable[Layer]) -> Mapping[str, Stored]:
        """Return the fields of a row to be made about which anything was said."""
        offered = {"title", "sort_title"}.union(*(layer.values for layer in layers))
        return {f.name: EMPTY for f in self.schema.fields if f.level is level and f.name in offered}

    def _new_book(self, writing: Writing, path: str, layers: Sequence[Layer]) -> MadeBook:
        record = Record("books", 0, self._empty(Level.BOOK, layers), tuple(layers))
        decisions = decide_record(record, Mode.SCAN, self._identities)
        columns = {
            "created_at": writing.timestamp,
            "updated_at": writing.timestamp,
            "library_id": self.library.id,
            "filepath": path,
            "author_source": FILEPATH,
            **_decided_columns(writing, decisions),
        }
        book_id = self.known.add_book(columns)
        _insert_lists(writing, decisions, book_id)
        self._note_created("books", book_id)
        return MadeBook(book_id, True, {d.field.name: d.value for d in decisions})

    def _updated_book(self, writing: Writing, there: Snapshot, layers: Sequence[Layer]) -> MadeBook:
        """Let new files speak about a book that is there, as a scan would."""
        book_id = there.brief.target.pk
        self._unfinished.series |= series_of_book(self.conn, self.schema, book_id)
        record = Record("books", book_id, there.book, tuple(layers))
        decisions = decide_record(record, Mode.SCAN, self._identities)
        entries = apply_changes(writing, there, [as_change(d) for d in decisions if d.changes])
        return MadeBook(book_id, False, {d.field.name: d.value for d in decisions}, tuple(entries))

    def _make_file(
        self, writing: Writing, file: NewFile, book_id: int, layers: tuple[Layer, ...]
    ) -> MadeFile:
        record = Record("files", 0, self._empty(Level.FILE, layers), layers)
        decisions = decide_record(record, Mode.SCAN, self._identities)
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
            **_decided_columns(replace(writing, cover_names={0: cover}) if cover else writing, decisions),
        }
        file_id = self._insert_file(columns)
        _insert_lists(writing, decisions, file_id)
        self._unfinished.files.append(file_id)
        return MadeFile(file_id, file, cover, {d.field.name: d.value for d in decisions})

    def _insert_file(self, columns: Mapping[str, Any]) -> int:
        present = self.schema.columns["files"]
        file_id = self.known.add_file({c: v for c, v in columns.items() if c in present})
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
        return self._insert_file(columns)

    def _note_created(self, table: str, pk: int) -> None:
        self.created.append(Entry(table, pk, ROW, None, None, {"id": pk}, None, "new_value"))

    def _note_unfinished(self, made: MadeBook) -> None:
        self._unfinished.books.setdefault(made.id, made.is_new)
        for entry in made.values.get("series") or ():  # type: ignore[union-attr]
            self._unfinished.series.add(self.known.names["series", folded(entry.name)].id)  # type: ignore[union-attr]
        if not made.is_new:
            self._unfinished.files.extend(file_ids(self.conn, made.id))

    def _companions(self, book: NewBook, made: MadeBook, files: Sequence[MadeFile]) -> tuple[Companion, ...]:
        """Return the covers and sidecars to write, and remember them as they will be."""
        covers = covers_of(files)
        self._unfinished.seen.extend([(c.path, c.sha256) for c in covers])
        if not self.settings.write_sidecars or not files:
            return covers
        drafts = drafts_of(book, made, files, self._first_main(made, files), self._identities)
        # The sidecar of a known book may be of an update in the same batch, and is still to be written.
        written = sidecars_to_write(drafts, what_is_to_come(self.conn) if not made.is_new else nothing_comes)
        seen = [(d.path, d.found.sha256) for d in drafts if d.found and d.found.error is None]
        self._unfinished.seen.extend([*seen, *((c.path, c.sha256) for c in written)])
        return (*covers, *written)

    def _first_main(self, made: MadeBook, files: Sequence[MadeFile]) -> str:
        """Return the file at which the sidecar of a book without a folder lies."""
        if made.is_new:
            return files[0].file.path
        return next(f.path for f in self.known.brief(made.id).files if f.is_main)


def _insert_lists(writing: Writing, decisions: Iterable[Decision], pk: int) -> None:
    for decision in decisions:
        if decision.changes and decision.field.is_list:
            insert_list(writing, decision.field, pk, decision.value, decision.source)


def _decided_columns(writing: Writing, decisions: Iterable[Decision]) -> dict[str, Any]:
    """Return the columns and source columns of a row to be inserted."""
    columns: dict[str, Any] = {}
    for decision in decisions:
        if not decision.changes:
            continue
        if not decision.field.is_list:
            columns.update(scalar_columns(writing, decision.field, 0, decision.value)[1])
        if source := writing.schema.source_column(decision.field):
            columns[source] = decision.source
    return columns
