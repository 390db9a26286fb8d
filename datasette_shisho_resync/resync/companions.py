"""Covers and sidecars of a run: decided inside its transaction, written after the commit.

A row in `resync_pending` stands for each file until it is written, so that a crash in between is
made good by the next run. Nothing is written but whole files, and no file is ever deleted.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..candidates import is_of_program
from ..errors import ResyncError
from ..files import can_come_later, read_companion
from ..model import (
    Brief,
    Change,
    CoverImage,
    SidecarReading,
    Snapshot,
)
from ..model.portable import portable
from ..settings import Settings
from ..sources import EXISTING_COVER
from ..store.pending import COVER, SIDECAR, Coming, PendingKey, add_pending, add_seen, note_sidecars
from ..store.waiting import WaitingRows
from ..writing import FolderWriting
from .gathering import readable_roots


@portable
@dataclass(frozen=True, slots=True)
class Companion:
    """A file to write: `path` in stored form; `old` is what it holds now, None when it is not there; `sha256`
    that of `data`. `made_ns` becomes the file's time: before the time at which a sidecar is noted as seen, so
    that a later one tells of somebody's edit."""

    path: str
    kind: str
    data: bytes
    old: bytes | None
    sha256: str
    made_ns: int = field(default_factory=time.time_ns, compare=False)

    @property
    def old_sha256(self) -> str | None:
        return None if self.old is None else sha256_of(self.old)

    def without_image(self) -> Companion:
        """Return a cover without its bytes, which the history keeps: `with_image` gets them back."""
        return replace(self, data=b"", old=None) if self.kind == COVER else self

    def with_image(self, load: Callable[[str], bytes | None]) -> Companion:
        return self if self.data else replace(self, data=load(self.sha256) or b"")


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def covers_to_write(
    changes: Sequence[Change],
    brief: Brief,
    cover_names: dict[int, str],
    settings: Settings,
    coming: Coming,
) -> list[Companion]:
    """Return the images that cover changes bring from inside a media file, without those that are there
    and over which nobody has yet to write."""
    covers = []
    for change in changes:
        if change.field != "cover" or not isinstance(change.new, CoverImage) or not change.new.data:
            continue
        path = os.path.join(os.path.dirname(brief.file(change.pk).path), cover_names[change.pk])
        old = present_bytes(path, brief.roots, settings)
        if old != change.new.data or coming(path):
            covers.append(Companion(path, COVER, change.new.data, old, change.new.sha256))
    return covers


def present_bytes(path: str, roots: Sequence[str], settings: Settings) -> bytes | None:
    here = settings.path_map.here(path)
    try:
        allowed = readable_roots(roots, settings)
        return read_companion(here, allowed, settings.limits.max_cover_bytes, "max_cover_bytes")
    except ResyncError:
        return None


def record_companions(
    conn: sqlite3.Connection, run_id: int, companions: Sequence[Companion], coming: Coming
) -> list[PendingKey]:
    """Note files as pending for a run; returns the rows' keys, first one for each file in the order given."""
    rows = WaitingRows(conn)
    # What another program has yet to write may come after this, and is then to be replaced by it.
    late = [(c, sha256) for c in companions for sha256 in sorted(coming(c.path) - {c.sha256})]
    pending = note_companions(rows, run_id, companions)
    pending += add_pending(rows, run_id, [(c.path, c.kind, c.sha256, sha256) for c, sha256 in late])
    rows.flush()
    return pending


def note_companions(rows: WaitingRows, run_id: int, companions: Sequence[Companion]) -> list[PendingKey]:
    """Do the same with rows that wait."""
    return add_pending(rows, run_id, [(c.path, c.kind, c.sha256, c.old_sha256) for c in companions])


def note_seen(
    conn: sqlite3.Connection,
    found: Iterable[SidecarReading],
    written: Iterable[Companion],
    seen: frozenset[tuple[str, str]],
    coming: Coming,
) -> None:
    """Remember the sidecars as read and as they will be, so that neither counts as news again. What is
    replaced stays `seen`: it is still there when its folder can't be written. What another program has yet
    to write there counts as seen too: it may come later than this."""
    hashes: dict[str, set[str]] = {}
    for sidecar in found:
        if sidecar.error is not None:
            continue
        hashes.setdefault(sidecar.path, set()).add(sidecar.sha256)
    sidecars = {c.path: c for c in written if c.kind == SIDECAR}
    for path, companion in sidecars.items():
        contents = hashes.setdefault(path, set())
        contents.add(companion.sha256)
        contents |= coming(path)
        replaced = companion.old_sha256
        if replaced is not None and (path, replaced) in seen:
            contents.add(replaced)
    for path, contents in hashes.items():
        if path in sidecars or not all((path, sha256) in seen for sha256 in contents):
            note_sidecars(conn, path, sorted(contents), is_written=path in sidecars)


def note_covers(
    conn: sqlite3.Connection, changes: Sequence[Change], snapshot: Snapshot, cover_names: dict[int, str]
) -> None:
    """Remember the covers that a run writes, and those that it replaces if no person put them there; one at
    their place that is neither was put there by a person."""
    seen: list[tuple[str, str]] = []
    for change in changes:
        if change.field != "cover" or change.new_source == EXISTING_COVER:
            continue
        row = snapshot.brief.file(change.pk)
        if isinstance(change.new, CoverImage):
            written = replace(row, cover_name=cover_names[change.pk])
            seen.append((written.cover_path, change.new.sha256))
        replaced = snapshot.files[change.pk]["cover"]
        image = replaced.value
        if isinstance(image, CoverImage) and is_of_program(replaced, row, snapshot.seen_sidecars):
            seen.append((row.cover_path, image.sha256))
    add_seen(conn, seen)


def write_companions(companions: Sequence[Companion], roots: Sequence[str], settings: Settings) -> list[str]:
    """Write the files; returns a sentence for each that could not be written."""
    return writing_of(companions, roots, settings).run()


def writing_of(companions: Sequence[Companion], roots: Sequence[str], settings: Settings) -> FolderWriting:
    """Return the work of writing the files."""
    folders: dict[str, dict[str, bytes]] = {}
    for companion in companions:
        folder, name = os.path.split(settings.path_map.here(companion.path))
        folders.setdefault(folder, {})[name] = companion.data
    made_ns = min((c.made_ns for c in companions), default=None)
    return FolderWriting(folders, readable_roots(roots, settings), made_ns, settings.limits)


def settled(
    companions: Sequence[Companion],
    pending: Sequence[PendingKey],
    roots: Sequence[str],
    settings: Settings,
    warnings: Sequence[str],
) -> list[PendingKey]:
    """Return the pending rows that nobody need come back to: one for each file, but for covers that could not
    be written, and sidecars for which there is just no room or no disk."""
    if not warnings:
        return list(pending[: len(companions)])
    return [
        key
        for key, c in zip(pending, companions, strict=False)
        if present_bytes(c.path, roots, settings) == c.data or not is_awaited(c.path, c.kind, settings)
    ]


def is_awaited(path: str, kind: str, settings: Settings) -> bool:
    """Tell whether to come back to a file, stored path, that could not be written. A sidecar that is refused
    for good is written by any later run that changes its row."""
    return kind == COVER or can_come_later(settings.path_map.here(path))
