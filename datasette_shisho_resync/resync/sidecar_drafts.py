"""The sidecars of a run: how each would be rendered, what is there, and whether somebody edited that."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from ..candidates import sidecar_content
from ..model import BookRow, Brief, FileRow, Identities, Reason, SidecarReading, Snapshot, Stored, Value
from ..model.portable import portable
from ..parsers.sidecar import (
    SIDECAR_FIELDS,
    book_sidecar_path,
    file_sidecar_path,
    parse_sidecar,
    render_book_sidecar,
    render_file_sidecar,
)
from ..settings import Settings
from ..sidecar_content import sidecar_of_book, sidecar_of_file, values_of
from ..store.history import Entry, keep_blob
from ..store.library import holds
from ..store.pending import SIDECAR, Coming, nothing_comes
from ..store.schema import LibrarySchema
from ..store.sidecars import load_book_sidecar, load_file_sidecar
from ..values import is_empty
from .companions import Companion, present_bytes, sha256_of


@portable
@dataclass(frozen=True, slots=True)
class SidecarDraft:
    """A sidecar of the run: where it is, how to render it, what is there, whether the run changes its
    row, the values that the row's fields had before, by name, and how they would have been rendered."""

    path: str
    render: Callable[[], bytes]
    found: SidecarReading | None
    is_changed: bool = True
    before: Mapping[str, Value] = field(default_factory=dict)
    render_before: Callable[[], bytes | None] = lambda: None

    def is_as_rendered(self) -> bool:
        """Tell whether what is there is just what we would have written before the run."""
        return self.found is not None and self.found.data == self.render_before()

    def is_news(self, seen: Collection[tuple[str, str]]) -> bool:
        """Tell whether somebody edited it since it was last seen."""
        return self.found is not None and (self.path, self.found.sha256) not in seen and self.is_edited()

    def is_edited(self) -> bool:
        """Tell whether what is there says something else than the row did."""
        if self.is_as_rendered():
            return False
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
    changed: Collection[tuple[str, int, str]],
    settings: Settings,
) -> list[SidecarDraft]:
    """Return the sidecars of the book and of these main files; `snapshot` is the state before the run.

    `found`: those that are on disk, by their path in stored form. `changed`: the fields, (table, id, name),
    that the run changes.
    """
    book = snapshot.brief.book
    mains = [f for f in files if f.is_main]
    if not settings.write_sidecars or book is None or not mains:
        return []
    known = snapshot.identities
    drafts = []
    for file in mains:
        path, record = file_sidecar_path(file.path), snapshot.files.get(file.id, {})
        names = {name for table, pk, name in changed if (table, pk) == ("files", file.id)}
        render = partial(_render_file, conn, schema, file.id, _lists(record, names), known)
        before = cache(partial(_rendered_file, record, known))
        drafts.append(SidecarDraft(path, render, found.get(path), bool(names), values_of(record), before))
    path, record = sidecar_path_of_book(snapshot.brief, settings), snapshot.book
    if path not in found and not any(holds(os.path.dirname(path), f.path) for f in mains):
        return drafts  # the disk may be away on which it is
    names = {name for table, pk, name in changed if (table, pk) == ("books", book.id)}
    render = partial(_render_book, conn, schema, book.id, _lists(record, names), known)
    before = cache(partial(_rendered_book, record, known))
    drafts.append(SidecarDraft(path, render, found.get(path), bool(names), values_of(record), before))
    return drafts


def _lists(record: Mapping[str, Stored], changed: Collection[str]) -> dict[str, Stored]:
    """Return the lists that the run leaves as they are: they may be long."""
    return {n: s for n, s in record.items() if isinstance(s.value, tuple) and n not in changed}


def _render_book(conn: sqlite3.Connection, schema: LibrarySchema, book_id: int, *known: Any) -> bytes:
    return render_book_sidecar(load_book_sidecar(conn, schema, book_id, *known))


def _render_file(conn: sqlite3.Connection, schema: LibrarySchema, file_id: int, *known: Any) -> bytes:
    return render_file_sidecar(load_file_sidecar(conn, schema, file_id, *known))


def _rendered_book(record: Mapping[str, Stored], known: Identities) -> bytes:
    return render_book_sidecar(sidecar_of_book(record, known))


def _rendered_file(record: Mapping[str, Stored], known: Identities) -> bytes:
    return render_file_sidecar(sidecar_of_file(record, known))


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


def sidecars_to_write(drafts: Iterable[SidecarDraft], coming: Coming = nothing_comes) -> list[Companion]:
    """Return the sidecars whose content would differ; of rows without changes only those not there.

    One to which an earlier run has yet to write, as `coming` tells, is written in any case.

    Differs from Shisho: one with invalid JSON is never overwritten, and keys we do not know stay.
    """
    written = []
    for draft in drafts:
        if draft.found is not None and (draft.found.error is not None or not draft.is_changed):
            continue
        old = draft.found.data if draft.found is not None else None
        data = draft.render()
        if old is not None and not draft.is_as_rendered():
            data = in_place_of(old, data)
        if data != old or coming(draft.path):
            written.append(Companion(draft.path, SIDECAR, data, old, sha256_of(data)))
    return written


def in_place_of(old: bytes, data: bytes) -> bytes:
    """Return what replaces a sidecar: our rendering with the keys that are not ours, or, where that says
    nothing else, the old one."""
    data = _with_foreign_keys(data, old)
    return old if _content(data) == _content(old) else data


def _content(data: bytes) -> Any:
    """Return what a sidecar says, whatever its layout; None for what is not JSON, as an empty one."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _with_foreign_keys(data: bytes, old: bytes) -> bytes:
    """Return our rendering with the top-level keys of the old content that no sidecar of ours has."""
    present, ours = _content(old) or {}, json.loads(data)
    foreign = {k: v for k, v in present.items() if k not in _OUR_KEYS}
    if not foreign:
        return data
    return json.dumps({**ours, **foreign}, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")


_OUR_KEYS = frozenset({"version", "sort_title", "cover_page", *SIDECAR_FIELDS})


def replaced_entries(
    conn: sqlite3.Connection,
    companions: Sequence[Companion],
    drafts: Sequence[SidecarDraft],
    book: BookRow | None,
    seen: Collection[tuple[str, str]],
) -> list[Entry]:
    """Keep the replaced bytes that the rows could not bring back; returns their history entries.

    The field is `cover_file` or `sidecar_file`, the row the run's book; `is_seen` the sidecars that nobody
    had edited.
    """
    if book is None:
        return []
    by_path = {d.path: d for d in drafts}
    entries = []
    for companion in companions:
        draft = by_path.get(companion.path)
        if companion.old in (None, companion.data) or (draft is not None and not draft.is_edited()):
            continue
        kept = keep_blob(conn, companion.old)
        is_seen = {"is_seen": True} if (companion.path, kept) in seen else {}
        old = {"path": companion.path, "sha256": kept, **is_seen}
        new = {"path": companion.path, "sha256": companion.sha256}
        name = f"{companion.kind}_file"
        entries.append(Entry("books", book.id, name, old, None, new, None, Reason.NEW_VALUE.value))
    return entries
