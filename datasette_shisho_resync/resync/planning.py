"""From what was gathered to a plan: load the fields, lay the layers, decide. Reads only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..candidates import (
    Circumstances,
    book_sidecar_layer,
    file_layers,
    is_part,
    is_replaced_by_hand,
    is_unchanged,
    sidecar_content,
    stored_cover,
    supplement_layers,
)
from ..comparison import comparison_key, prepared
from ..decide import Decision, Record, decide_record, limited, make_plan
from ..errors import BadRequest
from ..fields import BY_NAME
from ..files import shown
from ..model import (
    EMPTY,
    ROLE,
    ROW,
    BookRow,
    Change,
    FileReading,
    FileRow,
    FileState,
    FileStatus,
    Layer,
    Mode,
    Plan,
    Reason,
    Snapshot,
    Stored,
    Value,
)
from ..parsers.filename import is_in_book_folder
from ..settings import Settings
from ..sources import is_embedded
from ..store.removal import DoomedRow, doomed_rows, gone_rows
from ..store.schema import LibrarySchema
from ..store.snapshot import load_snapshot, resolve_names
from ..store.times import from_stored
from ..values import is_empty
from .gathering import Ask, Gathered


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what applying it needs: the state it starts from, each decision, the rows that go."""

    plan: Plan
    snapshot: Snapshot
    decisions: tuple[Decision, ...]
    doomed: tuple[DoomedRow, ...]


def plan_run(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    ask: Ask,
    gathered: Gathered,
    settings: Settings,
) -> Planned:
    """Raises the error to report when no file could be read, and `BadRequest` for an unknown field."""
    check_fields(ask.fields)
    if gathered.refusal is not None:
        raise gathered.refusal
    doomed = _doomed(conn, schema, gathered)
    snapshot, decisions = _decided(conn, schema, ask, gathered, doomed)
    changes = [
        Change(d.table, d.pk, d.column or ROW, d.image, None, None, None, Reason.REMOVED) for d in doomed
    ]
    if gathered.promoted is not None:
        changes.append(
            Change("files", gathered.promoted, ROLE, "supplement", None, "main", None, Reason.DERIVED)
        )
    whole = make_plan(ask.target, ask.mode, decisions, changes, _file_states(gathered), ())
    plan = limited(whole, ask.fields)
    warnings = [*warnings_of(gathered.readings.values())]
    if ask.mode is Mode.SCAN and (ask.fields is None or "cover" in ask.fields):
        warnings.extend(_kept_images(gathered, snapshot))
    if settings.write_sidecars and plan.changes and ask.fields is None:
        warnings.extend(_unused_edits(plan, decisions, gathered, snapshot))
    plan = replace(plan, warnings=tuple(dict.fromkeys(warnings)))
    return Planned(plan, snapshot, decisions, doomed if ask.fields is None else ())


def check_fields(names: Sequence[str] | None) -> None:
    unknown = [n for n in names or () if n not in BY_NAME]
    if unknown:
        raise BadRequest(f"Unknown field {unknown[0]!r}; fields are {', '.join(BY_NAME)}.")


def _doomed(conn: sqlite3.Connection, schema: LibrarySchema, gathered: Gathered) -> tuple[DoomedRow, ...]:
    """Return the rows that go: vanished files, and the book with its last main file or without files."""
    brief = gathered.brief
    if brief.book is not None:
        left = [f for f in brief.files if f.is_main and f.id not in gathered.gone]
        lost_its_last = bool(gathered.gone) and not left and gathered.promoted is None
        if not brief.files or lost_its_last:
            return doomed_rows(conn, schema.references, [("books", brief.book.id)])
    return doomed_rows(conn, schema.references, [("files", file_id) for file_id in sorted(gathered.gone)])


def _decided(
    conn: sqlite3.Connection,
    schema: LibrarySchema,
    ask: Ask,
    gathered: Gathered,
    doomed: Sequence[DoomedRow],
) -> tuple[Snapshot, tuple[Decision, ...]]:
    """Load what the run may change and decide each field of what stays."""
    brief = gathered.brief
    gone = gone_rows(doomed)
    files = tuple(effective_rows(gathered, gone))
    paths = [*gathered.sidecars, *_covers_at_stake(files, gathered)]
    with_book = brief.book if brief.book and ("books", brief.book.id) not in gone else None
    bare = load_snapshot(conn, schema, replace(brief, book=with_book), [f.id for f in files], paths)
    covered = {f.id: _with_cover(bare.files[f.id], gathered.readings[f.id], f) for f in files}
    layers = {f.id: _layers(f, gathered, covered[f.id], bare, ask.mode) for f in files}
    book_layers = _book_layers(files, layers, gathered, bare, ask.mode)
    speaking = (
        la for group in (*layers.values(), book_layers) for la in group if ask.explains or not la.echo
    )
    offered = names_in(speaking)
    identities = resolve_names(conn, schema, brief.library_id, bare.identities, offered)
    snapshot = replace(bare, files=covered, identities=identities)
    decisions: list[Decision] = []
    if with_book is not None and any(f.is_main for f in files) and not _has_lost_its_file(ask, gathered):
        record = Record("books", with_book.id, snapshot.book, book_layers)
        decisions.extend(decide_record(record, ask.mode, identities, with_echoes=ask.explains))
    for file in files:
        if ask.target.table == "books" or file.id in (ask.target.pk, gathered.promoted):
            record = Record("files", file.id, covered[file.id], layers[file.id])
            decisions.extend(decide_record(record, ask.mode, identities, with_echoes=ask.explains))
    return snapshot, tuple(decisions)


def _has_lost_its_file(ask: Ask, gathered: Gathered) -> bool:
    """Tell whether a run on one file found it gone, so that it has nothing to say about the book."""
    return ask.target.table == "files" and ask.target.pk in gathered.gone and gathered.promoted is None


def effective_rows(gathered: Gathered, gone: Collection[tuple[str, int]]) -> Iterator[FileRow]:
    """Yield the files that were read and stay, a promoted supplement as the main file it becomes."""
    for file in gathered.brief.files:
        reading = gathered.readings.get(file.id)
        if reading is None or reading.status is not FileStatus.OK or ("files", file.id) in gone:
            continue
        yield replace(file, role="main") if file.id == gathered.promoted else file


def _with_cover(stored: Mapping[str, Stored], reading: FileReading, file: FileRow) -> Mapping[str, Stored]:
    if "cover" not in stored:
        return stored
    if not file.is_main:  # a supplement is not read, so nothing is known of its cover
        return {name: value for name, value in stored.items() if name != "cover"}
    return {**stored, "cover": stored_cover(stored["cover"], reading, file)}


def _covers_at_stake(files: Iterable[FileRow], gathered: Gathered) -> Iterator[str]:
    """Yield where the covers are in whose place another one could be written."""
    for file in files:
        reading = gathered.readings[file.id]
        if file.cover_name and reading.image_name == file.cover_name and reading.cover_mimes:
            yield file.cover_path


def _layers(
    file: FileRow,
    gathered: Gathered,
    stored: Mapping[str, Stored],
    snapshot: Snapshot,
    mode: Mode,
) -> tuple[Layer, ...]:
    reading, book = gathered.readings[file.id], gathered.brief.book
    folder = os.path.dirname(file.path)
    if not file.is_main:
        return supplement_layers(file, shown_path=shown(file.path))
    circumstances = Circumstances(
        mode,
        unchanged=is_unchanged(reading.stat, file.size_bytes, from_stored(file.modified_at)),
        cover_mimes=reading.cover_mimes,
        is_part=is_part(file, (f for f in gathered.brief.files if f.id not in gathered.gone)),
    )
    return file_layers(
        reading,
        file,
        book or BookRow(file.book_id, file.library_id, folder),
        stored.get("cover", EMPTY),
        snapshot.seen_sidecars,
        circumstances,
        shown_path=shown(file.path),
        root_level=book is not None and not is_in_book_folder(file.path, book.path),
    )


def _book_layers(
    files: Sequence[FileRow],
    layers: Mapping[int, tuple[Layer, ...]],
    gathered: Gathered,
    snapshot: Snapshot,
    mode: Mode,
) -> tuple[Layer, ...]:
    """Return what speaks about the book: every main file in order, and the book's sidecar."""
    found = [layer for f in files if f.is_main for layer in layers[f.id]]
    if mode is Mode.SCAN:
        found.extend(book_sidecar_layer(gathered.book_sidecar, snapshot.seen_sidecars))
    return tuple(found)


def names_in(layers: Iterable[Layer]) -> Iterator[tuple[str, str]]:
    """Yield the (entity table, name) pairs that layers bring."""
    for layer in layers:
        for name, value in layer.values.items():
            entity = BY_NAME[name].entity
            if entity is None or value is None:
                continue
            for item in value if isinstance(value, tuple) else (value,):
                yield entity.table, str(getattr(item, "name", item))


def _file_states(gathered: Gathered) -> tuple[FileState, ...]:
    states = []
    for file in gathered.brief.files:
        reading = gathered.readings.get(file.id)
        if reading is not None:
            states.append(FileState(file.id, file.path, reading.status, reading.error, reading.stat))
    return tuple(states)


def warnings_of(readings: Iterable[FileReading]) -> Iterator[str]:
    """Yield what was broken and dropped in files and their sidecars; of a book's sidecar with each file."""
    for reading in readings:
        yield from reading.warnings
        for said in (reading, reading.sidecar, reading.book_sidecar):
            if said is not None and said.error is None and said.parsed is not None:
                yield from (f"{shown(said.path)}: {w}" for w in said.parsed.warnings)


def _kept_images(gathered: Gathered, snapshot: Snapshot) -> Iterator[str]:
    """Warn of each image that keeps a changed file's new cover away."""
    for file_id, stored in snapshot.files.items():
        parsed, cover = gathered.readings[file_id].parsed, stored.get("cover", EMPTY)
        if parsed is None or parsed.cover in (None, cover.value) or not is_embedded(cover.source):
            continue
        row = gathered.brief.file(file_id)
        if is_replaced_by_hand(cover, row, snapshot.seen_sidecars):
            place = shown(row.cover_path)
            yield f"{place} was replaced by hand and stays; refresh takes the cover in the file"


def _unused_edits(
    plan: Plan, decisions: Iterable[Decision], gathered: Gathered, snapshot: Snapshot
) -> Iterator[str]:
    """Warn of each edit in a sidecar that the run does not use and overwrites."""
    written = {(c.table, c.pk, c.field) for c in plan.changes}
    rows = {(c.table, c.pk) for c in plan.changes}
    lost: dict[str, list[str]] = {}
    for decision in decisions:
        edit = _edit_of(decision, gathered, snapshot)
        if edit is None or (decision.table, decision.pk) not in rows:
            continue
        path, said = edit
        value = prepared(decision.field, said, decision.stored.value, snapshot.identities, keep_numbers=True)
        is_written = (decision.table, decision.pk, decision.field.name) in written
        left = decision.value if is_written else decision.stored.value
        edited, *others = (
            comparison_key(decision.field, v, snapshot.identities)
            for v in (value, left, decision.stored.value)
        )
        if edited not in others:
            lost.setdefault(path, []).append(decision.field.name)
    for path, names in lost.items():
        yield (
            f"{shown(path)}: its edit of {', '.join(names)} was not used and is overwritten; "
            "undo brings it back"
        )


def _edit_of(decision: Decision, gathered: Gathered, snapshot: Snapshot) -> tuple[str, Value] | None:
    """Return the sidecar that speaks about a field and was not seen before, and what it says."""
    is_book = decision.table == "books"
    sidecar = gathered.book_sidecar if is_book else gathered.readings[decision.pk].sidecar
    if sidecar is None or (sidecar.path, sidecar.sha256) in snapshot.seen_sidecars:
        return None
    value = getattr(sidecar_content(sidecar), decision.field.name, None)
    return None if is_empty(value) else (sidecar.path, value)
