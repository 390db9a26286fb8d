"""Undo of a run or a job: one transaction, recorded as a run itself, sidecars and covers with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..errors import UnknownRow
from ..files import shown
from ..model import ROW, TABLES, Brief, Mode, Target
from ..parsers.sidecar import file_sidecar_path
from ..settings import Settings
from ..store.history import Entry, Run, RunHeader, from_cell, load_blob, load_run, mark_undone, record_run
from ..store.pending import SIDECAR, Coming, PendingKey, note_sidecars, what_is_to_come
from ..store.review import recompute_review
from ..store.schema import LibrarySchema, exact_text
from ..store.search import index_all_series, index_book, unindex_book
from ..store.snapshot import load_brief, load_snapshot
from ..store.times import now
from ..store.undo import FILE_FIELDS, PATH, Undo
from .applying import By, series_ids
from .companions import Companion, note_seen, present_bytes, record_companions, sha256_of
from .sidecar_drafts import (
    draft_sidecars,
    replaced_entries,
    sidecar_path_of_book,
    sidecars_on_disk,
    sidecars_to_write,
)


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did; `companions` are to be written after the commit, as for `Applied`."""

    run_id: int
    undo_of: int
    target: Target
    entries: tuple[Entry, ...]
    companions: tuple[Companion, ...] = ()
    pending: tuple[PendingKey, ...] = ()
    roots: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load_undo(conn: sqlite3.Connection, schema: LibrarySchema, run_id: int) -> Run:
    """Return a run that can be undone now. Raises `UnknownRow`, `Conflict`, `UndoConflict`."""
    if not schema.has_history:
        raise UnknownRow(f"There is no run {run_id}.")
    with exact_text(conn):
        run = load_run(conn, run_id)
        Undo(conn, schema, run, now()).check()
        return run


def undo_run(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    run_id: int,
    settings: Settings,
    by: By,
    *,
    is_last: bool = True,
    series_left: set[int] | None = None,
) -> Undone:
    """Undo a run; the caller holds the write transaction. Raises as `load_undo`; then nothing was written.

    `is_last`: no other run of its job is undone right after it. `series_left` takes the series whose search
    rows the caller writes at the end: those of a long series hold all its books.
    """
    run = load_undo(conn, schema, run_id)
    started_at = now()
    with exact_text(conn):
        before = _brief(conn, run)
        undo = Undo(conn, schema, run, started_at)
        if before is not None and before.book is not None and _made(run, "books", before.book.id):
            unindex_book(conn, schema, before.book.id)
        series = series_ids(conn, schema, before)
        undo.apply(with_leftovers=is_last)
        brief = _brief(conn, run)
        series |= series_ids(conn, schema, brief)
        _index(conn, schema, brief)
        if series_left is None:
            index_all_series(conn, schema, series)
        else:
            series_left |= series
        changed = set(_changed_fields(undo.entries, brief))
        coming = what_is_to_come(conn)
        companions, replaced, warnings = _companions(conn, schema, run, brief, changed, settings, coming)
        undo.entries.extend(replaced)
        header = RunHeader(run.target, run.mode, "", by.via, by.actor, by.job_id, started_at, undo_of=run.id)
        removed = sum(e.field == ROW and e.new is None and e.table in TABLES for e in undo.entries)
        new_id = record_run(conn, header, undo.entries, changed=len(undo.entries) - removed, removed=removed)
        mark_undone(conn, run.id, new_id)
        pending = record_companions(conn, new_id, companions, coming)
        roots = (brief or before).roots if brief or before else ()  # type: ignore[union-attr]
        return Undone(
            new_id,
            run.id,
            run.target,
            tuple(undo.entries),
            tuple(companions),
            tuple(pending),
            roots,
            tuple(warnings),
        )


def _brief(conn: sqlite3.Connection, run: Run) -> Brief | None:
    """Return what a run is about, of a file that is not there the book that it was in."""
    for target in (run.target, *_books_of_files(run)):
        with suppress(UnknownRow):
            return load_brief(conn, target)
    return None


def _books_of_files(run: Run) -> Iterator[Target]:
    """Yield the books of the files whose rows came or went."""
    for entry in run.entries:
        if (entry.table, entry.field) == ("files", ROW):
            row = from_cell(entry.new if entry.old is None else entry.old)
            if isinstance(row.get("book_id"), int):
                yield Target("books", row["book_id"])


def _changed_fields(entries: Iterable[Entry], brief: Brief | None) -> Iterator[tuple[str, int, str]]:
    """Yield what an undo changes; with a file, the sidecar of its book may have another place."""
    for entry in entries:
        yield entry.table, entry.pk, entry.field
        if entry.field == PATH and brief is not None and brief.book is not None:
            yield "books", brief.book.id, PATH


def _made(run: Run, table: str, pk: int) -> bool:
    return any((e.table, e.pk, e.field) == (table, pk, ROW) and e.old is None for e in run.entries)


def _index(conn: sqlite3.Connection, schema: LibrarySchema, after: Brief | None) -> None:
    """Make the search row of the book and the review state of its files right."""
    if after is not None and after.book is not None:
        index_book(conn, schema, after.book.id)
        recompute_review(conn, schema, [f.id for f in after.files])


def _companions(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    run: Run,
    brief: Brief | None,
    changed: Collection[tuple[str, int, str]],
    settings: Settings,
    coming: Coming,
) -> tuple[list[Companion], list[Entry], list[str]]:
    """Return the covers and sidecars to put back and the sidecars to write anew, history entries of what
    they replace, and warnings."""
    if brief is None or brief.book is None:
        return [], [], []
    restored, warnings = _restored_files(conn, run, brief, settings, coming)
    taken = {c.path for c in restored}
    mains = [f for f in brief.files if f.is_main]
    paths = [file_sidecar_path(f.path) for f in mains]
    if mains:
        paths.append(sidecar_path_of_book(brief, settings))
    found = dict(sidecars_on_disk(paths, brief, settings))
    state = load_snapshot(conn, schema, brief, [f.id for f in mains], list(found))
    drafts = draft_sidecars(conn, schema, state, mains, found, changed, settings)
    drafts = [d for d in drafts if d.path not in taken and d.found is not None]
    edited = [d for d in drafts if d.is_changed and d.is_news(state.seen_sidecars)]
    warnings += [f"{shown(d.path)} was edited since and stays as it is" for d in edited]
    written = sidecars_to_write((d for d in drafts if d not in edited), coming)
    note_seen(conn, (), written, state.seen_sidecars, coming)
    if run.mode != Mode.SCAN.value:  # these ignored the edits that come back, so they are still news
        ours = {from_cell(e.old)["path"] for e in run.entries if e.field in FILE_FIELDS and _was_seen(e)}
        for c in (c for c in restored if c.kind == SIDECAR):
            no_news = {c.old_sha256, c.sha256} if c.path in ours else {c.old_sha256}
            note_sidecars(conn, c.path, sorted(filter(None, no_news)))
    companions = [*restored, *written]
    return companions, replaced_entries(conn, companions, drafts, brief.book, state.seen_sidecars), warnings


def _was_seen(entry: Entry) -> bool:
    return entry.old is not None and bool(from_cell(entry.old).get("is_seen"))


def _restored_files(
    conn: sqlite3.Connection, run: Run, brief: Brief, settings: Settings, coming: Coming
) -> tuple[list[Companion], list[str]]:
    """Return the replaced files whose place still holds what the run wrote, or may yet."""
    restored, warnings = [], []
    for entry in run.entries:
        if entry.field not in FILE_FIELDS or entry.old is None:
            continue
        old, new = from_cell(entry.old), from_cell(entry.new)
        data, present = load_blob(conn, old["sha256"]), present_bytes(old["path"], brief.roots, settings)
        holds = None if present is None else sha256_of(present)
        if holds == old["sha256"] and not coming(old["path"]):
            continue
        if data is None or holds not in (old["sha256"], new["sha256"]):
            warnings.append(f"{json.dumps(old['path'])} was changed since and stays as it is")
            continue
        restored.append(
            Companion(old["path"], entry.field.removesuffix("_file"), data, present, old["sha256"])
        )
    return restored, warnings
