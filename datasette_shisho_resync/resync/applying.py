"""Applies a run inside one transaction of the caller: load, decide, compare the digest, write, record.

What is to be written to disk is returned, for after the commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import StalePlan
from ..fields import SERIES
from ..files import cover_name
from ..model import (
    TABLES,
    Brief,
    CoverImage,
    FileRow,
    Mode,
    Outcome,
    Plan,
    Reason,
    SidecarReading,
    Snapshot,
    Target,
)
from ..model.portable import portable
from ..settings import Settings
from ..sources import EXISTING_COVER, MANUAL
from ..store.apply import Writing, apply_changes, apply_removals, keep_stat, row_images
from ..store.entities import EntityRows
from ..store.history import Entry, RunHeader, record_run
from ..store.pending import PendingKey, what_is_to_come
from ..store.removal import gone_rows
from ..store.review import recompute_review
from ..store.schema import LibrarySchema, create_history, exact_text, library_schema
from ..store.search import index_all_series, index_book, unindex_book
from ..store.snapshot import load_brief, series_of_book
from ..store.times import now
from ..store.waiting import WaitingRows
from .companions import Companion, covers_to_write, note_covers, note_seen, record_companions
from .gathering import Ask, Gathered
from .planning import Planned, effective_rows, plan_run
from .sidecar_drafts import (
    draft_sidecars,
    replaced_entries,
    sidecar_path_of_book,
    sidecars_on_disk,
    sidecars_to_write,
)


@portable
@dataclass(frozen=True, slots=True)
class By:
    """Who asks: `via` is `web`, `api`, `cli` or `job`."""

    via: str
    actor: str | None = None
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """A run that the caller has to commit; then `companions` are to be written, which `pending` notes."""

    outcome: Outcome
    companions: tuple[Companion, ...] = ()
    pending: tuple[PendingKey, ...] = ()
    roots: tuple[str, ...] = ()


class GroundMoved(StalePlan):
    """The rows that decide what is read changed after the files were read: gather again."""


TRIES = 5  # how often files are read again when their rows moved meanwhile


def kept_moving() -> StalePlan:
    """Return what to say of a run whose ground moved every time."""
    return StalePlan("The rows kept changing while their files were read.", None)


def require_plan(ask: Ask, plan: Plan) -> None:
    """Raise `StalePlan`, with the plan as it is now, unless it is the one that was asked for, if any."""
    if ask.digest is not None and ask.digest != plan.digest:
        raise StalePlan("Something changed since this plan was made.", plan)


def preview(
    conn: sqlite3.Connection, schema: LibrarySchema, ask: Ask, gathered: Gathered, settings: Settings
) -> Outcome:
    """Plan a run and write nothing."""
    with exact_text(conn):
        plan = plan_run(conn, schema, ask, gathered, settings).plan
        return _outcome(conn, ask.target, gathered.brief, plan, run_id=None, dry_run=True)


def apply_run(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    ask: Ask,
    gathered: Gathered,
    settings: Settings,
    by: By,
) -> Applied:
    """Plan again on the rows as they are now, and write. The caller holds the write transaction.

    Raises `StalePlan` with the present plan when `ask.digest` no longer holds, `GroundMoved` when the
    files must be read again, and whatever `plan_run` raises; then nothing was written.
    """
    started_at = now()
    with exact_text(conn):
        brief = load_brief(conn, ask.target)
        if not gathered.is_same_ground(brief):
            raise GroundMoved("The rows changed while their files were read.", None)
        planned = plan_run(conn, schema, ask, replace(gathered, brief=brief), settings)
        if gathered.has_older_sidecar(planned.snapshot.seen_sidecars):
            raise GroundMoved("A sidecar was replaced while the files were read.", None)
        gathered = replace(gathered, brief=brief)
        require_plan(ask, planned.plan)
        if ask.fields is not None:  # such a run removes nothing, so nothing takes its place
            gathered = replace(gathered, promoted=None)
        if planned.plan.changes and not schema.has_history:
            create_history(conn)
            schema = library_schema(conn)
        return _write(conn, schema, ask, gathered, settings, by, planned, started_at)


def _write(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    ask: Ask,
    gathered: Gathered,
    settings: Settings,
    by: By,
    planned: Planned,
    started_at: str,
) -> Applied:
    plan, brief = planned.plan, gathered.brief
    removed = gone_rows(planned.doomed)
    remaining = tuple(effective_rows(gathered, removed))
    book = brief.book if brief.book and ("books", brief.book.id) not in removed else None
    changed = {(c.table, c.pk, c.field) for c in plan.changes}
    left = replace(brief, book=book, files=tuple(_files_left(gathered, removed)))
    drafts = draft_sidecars(
        conn,
        schema,
        replace(planned.snapshot, brief=left),
        remaining,
        _sidecars(gathered, left, settings),
        changed,
        settings,
    )
    if ask.fields is not None:  # an edit of another field is still to be used
        drafts = [d for d in drafts if not d.is_news(planned.snapshot.seen_sidecars)]
    cover_names = _cover_names(plan, brief, gathered)
    coming = what_is_to_come(conn)
    covers = covers_to_write(plan.changes, brief, cover_names, settings, coming)
    entries = _write_rows(conn, schema, gathered, planned, cover_names, started_at)
    if ask.fields is None:  # else the file's news in other fields would never be read again
        _keep_stats(conn, schema, gathered, remaining)
    if book is not None:
        is_news = index_book(conn, schema, book.id) or _is_title_by_hand(planned.snapshot)
        if is_news and not _touches_series(plan):
            index_all_series(conn, schema, series_ids(conn, schema, brief))
        recompute_review(conn, schema, [f.id for f in brief.files if ("files", f.id) not in removed])
    sidecars = sidecars_to_write(drafts, coming)
    companions = (*covers, *sidecars)
    if schema.has_history:
        # Only a whole scan has used, or refused, what the sidecars say.
        is_used = ask.mode is Mode.SCAN and ask.fields is None
        found = gathered.sidecars.values() if is_used else ()
        note_seen(conn, found, companions, planned.snapshot.seen_sidecars, coming)
        note_covers(conn, plan.changes, planned.snapshot, cover_names)
    run_id, pending = None, list[PendingKey]()
    if plan.changes:
        entries += replaced_entries(conn, companions, drafts, book, planned.snapshot.seen_sidecars)
        run_id = _record(conn, ask, plan, by, entries, started_at)
        pending = record_companions(conn, run_id, companions, coming)
    outcome = _outcome(conn, ask.target, brief, plan, run_id=run_id, dry_run=False)
    return Applied(outcome, companions, tuple(pending), brief.roots)


def _write_rows(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    gathered: Gathered,
    planned: Planned,
    cover_names: dict[int, str],
    timestamp: str,
) -> list[Entry]:
    """Change and remove rows, keep the series' search rows right; returns the history entries."""
    if not planned.plan.changes:
        return []
    brief, snapshot = gathered.brief, planned.snapshot
    entities = EntityRows.of(conn, schema, brief.library_id, timestamp, snapshot.identities)
    writing = Writing(conn, schema, entities, timestamp, cover_names, WaitingRows(conn))
    series_before = series_ids(conn, schema, brief)
    if brief.book is not None and any(d.table == "books" and d.column is None for d in planned.doomed):
        unindex_book(conn, schema, brief.book.id)
    entries = apply_changes(writing, snapshot, planned.plan.changes)
    entries += apply_removals(conn, planned.doomed)
    if _touches_series(planned.plan):
        made = {entry.pk for entry in entities.created if entry.table == SERIES.table}
        index_all_series(conn, schema, series_before | series_ids(conn, schema, brief), made)
    return [*entities.created, *entities.improved, *entries]


def _files_left(gathered: Gathered, removed: Collection[tuple[str, int]]) -> Iterator[FileRow]:
    """Yield the book's files as they will be, read or not."""
    for file in gathered.brief.files:
        if ("files", file.id) not in removed:
            yield replace(file, role="main") if file.id == gathered.promoted else file


def _sidecars(gathered: Gathered, left: Brief, settings: Settings) -> Mapping[str, SidecarReading]:
    """Return the sidecars on disk, with the one that is the book's now that its first file went."""
    if left.book is None or (len(left.files) == len(gathered.brief.files) and gathered.promoted is None):
        return gathered.sidecars
    place = sidecar_path_of_book(left, settings)
    return {**dict(sidecars_on_disk({place} - set(gathered.sidecars), left, settings)), **gathered.sidecars}


def _cover_names(plan: Plan, brief: Brief, gathered: Gathered) -> dict[int, str]:
    """Return the base name of each changed cover: the image that is there, or one for the new bytes."""
    names = {}
    for change in plan.changes:
        if change.field != "cover" or not isinstance(change.new, CoverImage):
            continue
        if change.new_source == EXISTING_COVER:
            name = gathered.readings[change.pk].image_name
        else:
            name = cover_name(brief.file(change.pk).path, change.new.mime)
        if name is not None:
            names[change.pk] = name
    return names


def series_ids(conn: sqlite3.Connection, schema: LibrarySchema, brief: Brief | None) -> set[int]:
    """Return the series of the book that a run is about; none where there is no book."""
    return series_of_book(conn, schema, brief.book.id) if brief and brief.book else set()


def _is_title_by_hand(snapshot: Snapshot) -> bool:
    """Tell whether an edit may have made the book's search row right and left those of its series."""
    title = snapshot.book.get("title")
    return title is not None and title.source == MANUAL


def _touches_series(plan: Plan) -> bool:
    """Series' search rows tell their books' titles and authors."""
    return any(
        c.table == "books" and (c.field in ("title", "authors", "series") or c.reason is Reason.REMOVED)
        for c in plan.changes
    )


def _keep_stats(
    conn: sqlite3.Connection, schema: LibrarySchema, gathered: Gathered, files: Sequence[FileRow]
) -> None:
    for file in files:
        stat = gathered.new_stat(file)
        if stat is not None:
            keep_stat(conn, schema, file.id, stat)


def _record(
    conn: sqlite3.Connection, ask: Ask, plan: Plan, by: By, entries: Sequence[Entry], started_at: str
) -> int:
    failed = sum(f.status.is_failed for f in plan.files)
    header = RunHeader(
        ask.target,
        ask.mode.value,
        plan.digest,
        by.via,
        by.actor,
        by.job_id,
        started_at,
        kept=len(plan.kept),
        failed=failed,
    )
    removed = sum(c.table in TABLES for c in plan.removals)
    changed = sum(c.reason is not Reason.REMOVED for c in plan.changes)
    return record_run(conn, header, entries, changed=changed, removed=removed)


def _outcome(
    conn: sqlite3.Connection, target: Target, brief: Brief, plan: Plan, *, run_id: int | None, dry_run: bool
) -> Outcome:
    book_deleted = brief.book is not None and plan.removes(Target("books", brief.book.id))
    return Outcome(
        plan,
        dry_run,
        run_id,
        deleted=plan.removes(target),
        book_deleted=book_deleted,
        rows=row_images(conn, target),
        warnings=plan.warnings,
    )
