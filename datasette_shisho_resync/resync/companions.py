"""Covers and sidecars of a run: decided inside its transaction, written after the commit.

A row in `resync_pending` stands for each file until it is written, so that a crash in between is
made good by the next run. Nothing is written but whole files, and no file is ever deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from ..candidates import sidecar_content
from ..errors import ResyncError
from ..files import read_companion, replace_files
from ..model import (
    BookRow,
    Brief,
    Change,
    CoverImage,
    FileRow,
    Reason,
    SidecarReading,
    Snapshot,
    Stored,
    Value,
)
from ..parsers.sidecar import (
    book_sidecar_path,
    file_sidecar_path,
    parse_sidecar,
    render_book_sidecar,
    render_file_sidecar,
)
from ..settings import Settings
from ..store.history import Entry, keep_blob
from ..store.pending import COVER, SIDECAR, add_pending, note_sidecars
from ..store.schema import LibrarySchema
from ..store.sidecars import load_book_sidecar, load_file_sidecar
from ..store.waiting import WaitingRows
from ..values import is_empty
from .gathering import readable_roots


@dataclass(frozen=True)
class Companion:
    """A file to write: `path` in stored form; `old` is what it holds now, None when it is not there;
    `known_sha256` that of `data` where somebody knows it already. `made_ns` becomes the file's time: before
    the time at which a sidecar is noted as seen, so that a later one tells of somebody's edit."""

    path: str
    kind: str
    data: bytes
    old: bytes | None
    known_sha256: str | None = None
    made_ns: int = field(default_factory=time.time_ns, compare=False)

    @cached_property
    def sha256(self) -> str:
        return self.known_sha256 or sha256_of(self.data)

    @cached_property
    def old_sha256(self) -> str | None:
        return None if self.old is None else sha256_of(self.old)

    def without_image(self) -> Companion:
        """Return a cover without its bytes, which the history keeps: `with_image` gets them back."""
        return replace(self, data=b"", old=None, known_sha256=self.sha256) if self.kind == COVER else self

    def with_image(self, load: Callable[[str], bytes | None]) -> Companion:
        return self if self.data else replace(self, data=load(self.sha256) or b"")


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class SidecarDraft:
    """A sidecar of the run: where it is, how to render it, what is there, whether the run changes its
    row, and the values that the row's fields had before, by name."""

    path: str
    render: Callable[[], bytes]
    found: SidecarReading | None
    is_changed: bool = True
    before: Mapping[str, Value] = field(default_factory=dict)

    def is_news(self, seen: Collection[tuple[str, str]]) -> bool:
        """Tell whether somebody edited it since it was last seen."""
        return self.found is not None and (self.path, self.found.sha256) not in seen and self.is_edited()

    def is_edited(self) -> bool:
        """Tell whether what is there says something else than the row did."""
        content = sidecar_content(self.found) if self.found is not None else None
        return any(
            not is_empty(value := getattr(content, name, None)) and not _says(value, before)
            for name, before in self.before.items()
        )


def _says(value: Value, before: Value) -> bool:
    """Compare a sidecar's value with a stored one; genres and tags have no order."""
    if isinstance(value, tuple) and isinstance(before, tuple) and all(isinstance(v, str) for v in value):
        return sorted(map(str, value)) == sorted(map(str, before))
    return value == before


def draft_sidecars(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    snapshot: Snapshot,
    files: Sequence[FileRow],
    found: Mapping[str, SidecarReading],
    changed: Collection[tuple[str, int]],
    settings: Settings,
) -> list[SidecarDraft]:
    """Return the sidecars of the book and of these main files; `snapshot` is the state before the run.

    `found`: those that are on disk, by their path in stored form. `changed`: the rows, (table, id), that
    the run changes.
    """
    book = snapshot.brief.book
    mains = [f for f in files if f.is_main]
    if not settings.write_sidecars or book is None or not mains:
        return []
    drafts = []
    for file in mains:
        path, key = file_sidecar_path(file.path), ("files", file.id)
        render = partial(_render_file, conn, schema, file.id)
        before = _values(snapshot.files.get(file.id, {}))
        drafts.append(SidecarDraft(path, render, found.get(path), key in changed, before))
    path = sidecar_path_of_book(snapshot.brief, settings)
    render = partial(_render_book, conn, schema, book.id)
    is_changed = ("books", book.id) in changed
    drafts.append(SidecarDraft(path, render, found.get(path), is_changed, _values(snapshot.book)))
    return drafts


def _values(record: Mapping[str, Stored]) -> dict[str, Value]:
    return {name: stored.value for name, stored in record.items()}


def _render_book(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int) -> bytes:
    return render_book_sidecar(load_book_sidecar(conn, schema, book_id))


def _render_file(conn: sqlite3.Connection, schema: LibrarySchema, file_id: int) -> bytes:
    return render_file_sidecar(load_file_sidecar(conn, schema, file_id))


def sidecar_path_of_book(brief: Brief, settings: Settings) -> str:
    """Return where the book's sidecar is, in stored form (spec 7)."""
    assert brief.book is not None
    first = next((f for f in brief.files if f.is_main), brief.files[0])
    is_folder = os.path.isdir(settings.path_map.here(brief.book.path))
    return book_sidecar_path(brief.book.path, first.path, is_folder)


def sidecars_on_disk(
    paths: Iterable[str], brief: Brief, settings: Settings
) -> Iterator[tuple[str, SidecarReading]]:
    """Yield those of the sidecars (stored paths) that are there."""
    for path in paths:
        data = present_bytes(path, brief.roots, settings)
        if data is not None:
            yield path, parse_sidecar(data, path, settings.limits)


def sidecars_to_write(drafts: Iterable[SidecarDraft]) -> list[Companion]:
    """Return the sidecars whose content would differ; of rows without changes only those not there.

    Differs from Shisho: one with invalid JSON is never overwritten, and keys we do not know stay.
    """
    written = []
    for draft in drafts:
        if draft.found is not None and (draft.found.error is not None or not draft.is_changed):
            continue
        data = draft.render()
        if draft.found is None:
            written.append(Companion(draft.path, SIDECAR, data, None))
            continue
        data = _with_foreign_keys(data, draft.found.data)
        if _content(data) != _content(draft.found.data):
            written.append(Companion(draft.path, SIDECAR, data, draft.found.data))
    return written


def _content(data: bytes) -> Any:
    """Return what a sidecar says, whatever its layout; None for what is not JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _with_foreign_keys(data: bytes, old: bytes) -> bytes:
    """Return our rendering with the top-level keys of the old content that no sidecar of ours has."""
    present, ours = json.loads(old), json.loads(data)
    foreign = {k: v for k, v in present.items() if k not in _OUR_KEYS}
    if not foreign:
        return data
    return json.dumps({**ours, **foreign}, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")


_OUR_KEYS = frozenset(
    {"version", "cover_page", "title", "sort_title", "subtitle", "description", "authors", "series"}
    | {"genres", "tags", "name", "narrators", "publisher", "url", "release_date", "identifiers"}
    | {"chapters", "language", "abridged"}
)


def covers_to_write(
    changes: Sequence[Change], brief: Brief, cover_names: dict[int, str], settings: Settings
) -> list[Companion]:
    """Return the images that cover changes bring from inside a media file."""
    covers = []
    for change in changes:
        if change.field != "cover" or not isinstance(change.new, CoverImage) or not change.new.data:
            continue
        path = os.path.join(os.path.dirname(brief.file(change.pk).path), cover_names[change.pk])
        old = present_bytes(path, brief.roots, settings)
        if old != change.new.data:
            covers.append(Companion(path, COVER, change.new.data, old, change.new.sha256))
    return covers


def present_bytes(path: str, roots: Sequence[str], settings: Settings) -> bytes | None:
    here = settings.path_map.here(path)
    try:
        allowed = readable_roots(roots, settings)
        return read_companion(here, allowed, settings.limits.max_cover_bytes, "max_cover_bytes")
    except ResyncError:
        return None


def record_companions(conn: sqlite3.Connection, run_id: int, companions: Sequence[Companion]) -> list[int]:
    """Note files as pending for a run; returns the rows' ids in the order given."""
    rows = WaitingRows(conn)
    pending = note_companions(rows, run_id, companions)
    rows.flush()
    return pending


def note_companions(rows: WaitingRows, run_id: int, companions: Sequence[Companion]) -> list[int]:
    """Do the same with rows that wait."""
    return add_pending(rows, run_id, [(c.path, c.kind, c.sha256, c.old_sha256) for c in companions])


def replaced_entries(
    conn: sqlite3.Connection,
    companions: Sequence[Companion],
    drafts: Sequence[SidecarDraft],
    book: BookRow | None,
) -> list[Entry]:
    """Keep the replaced bytes that the rows could not bring back; returns their history entries.

    The field is `cover_file` or `sidecar_file`, the row the run's book.
    """
    if book is None:
        return []
    by_path = {d.path: d for d in drafts}
    entries = []
    for companion in companions:
        draft = by_path.get(companion.path)
        if companion.old is None or (draft is not None and not draft.is_edited()):
            continue
        old = {"path": companion.path, "sha256": keep_blob(conn, companion.old)}
        new = {"path": companion.path, "sha256": companion.sha256}
        name = f"{companion.kind}_file"
        entries.append(Entry("books", book.id, name, old, None, new, None, Reason.NEW_VALUE.value))
    return entries


def note_seen(
    conn: sqlite3.Connection,
    found: Iterable[SidecarReading],
    written: Iterable[Companion],
    seen: frozenset[tuple[str, str]] = frozenset(),
) -> None:
    """Remember the sidecars as read and as they will be, so that neither counts as news again."""
    hashes: dict[str, set[str]] = {}
    for sidecar in found:
        if sidecar.error is not None:
            continue
        hashes.setdefault(sidecar.path, set()).add(sidecar.sha256)
    sidecars = {c.path: c.sha256 for c in written if c.kind == SIDECAR}
    for path, sha256 in sidecars.items():
        hashes.setdefault(path, set()).add(sha256)
    for path, contents in hashes.items():
        if path in sidecars or not all((path, sha256) in seen for sha256 in contents):
            note_sidecars(conn, path, sorted(contents), is_written=path in sidecars)


def write_companions(companions: Sequence[Companion], roots: Sequence[str], settings: Settings) -> list[str]:
    """Write the files; returns a sentence for each that could not be written."""
    allowed = readable_roots(roots, settings)
    folders: dict[str, dict[str, bytes]] = {}
    for companion in companions:
        folder, name = os.path.split(settings.path_map.here(companion.path))
        folders.setdefault(folder, {})[name] = companion.data
    made_ns = min((c.made_ns for c in companions), default=None)
    return [
        error.message
        for folder, contents in folders.items()
        for error in replace_files(folder, contents, allowed, mtime_ns=made_ns).values()
    ]


def settled(
    companions: Sequence[Companion],
    pending: Sequence[int],
    roots: Sequence[str],
    settings: Settings,
    warnings: Sequence[str],
) -> list[int]:
    """Return the pending rows that nobody need come back to: all, but those of covers that could not be
    written (a sidecar is written again by any later run that changes its row)."""
    if not warnings:
        return list(pending)
    return [
        row_id
        for row_id, c in zip(pending, companions, strict=False)
        if c.kind != COVER or present_bytes(c.path, roots, settings) == c.data
    ]
