"""Makes good what a crash after a commit left undone: covers and sidecars to write, moved files to read."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import Conflict, FileError, UnknownRow
from ..files import remove_stale_files
from ..model import Brief, CoverImage, FileRow, FileStatus, ReadRequest, Target
from ..parsers.sidecar import file_sidecar_path, render_book_sidecar, render_file_sidecar
from ..store.history import is_changed_since, list_runs, load_blob, load_run
from ..store.pending import COVER, UNREAD, Pending, load_pending, remove_pending
from ..store.schema import exact_text
from ..store.sidecars import load_book_sidecar, load_file_sidecar
from ..store.snapshot import load_brief
from .applying import By
from .companions import Companion, is_awaited, present_bytes, sha256_of, write_companions
from .gathering import Ask, readable_roots
from .left_behind import rewrite_sidecars
from .sidecar_drafts import in_place_of, sidecar_path_of_book

if TYPE_CHECKING:
    from .service import Service


def recover(service: Service, by: By) -> None:
    """Write each pending file that still holds its old content; one edited since stays as it is. Read the
    books of moved files again, as runs of whoever comes first."""
    with exact_text(service.conn):
        waiting = [p for p in load_pending(service.conn) if p.key not in service.written]
        if not waiting:
            return
        done = [p.key for p in waiting if _make_good(service, p, by)]

        def forget() -> None:
            remove_pending(service.conn, done)
            service.forget_written()

        service.transaction(forget)


def _make_good(service: Service, pending: Pending, by: By) -> bool:
    """Returns whether nobody need come back to it."""
    brief, here = _brief(service.conn, pending), service.settings.path_map.here
    if brief is None or os.path.dirname(pending.path) not in _folders(brief):
        return True
    if not any(os.path.lexists(here(file.path)) for file in brief.files):  # their disk may be away
        return False
    folder = os.path.dirname(here(pending.path))
    remove_stale_files(folder, readable_roots(brief.roots, service.settings))
    if pending.sha256 == UNREAD:
        _read_again(service, brief, by)
        return True
    if pending.kind == COVER and not _is_wanted(service.conn, brief, pending):
        return True
    present = present_bytes(pending.path, brief.roots, service.settings)
    found = None if present is None else sha256_of(present)
    if found == pending.sha256 or found != pending.old_sha256:
        return True
    data = _kept(service.conn, brief, pending) or _made_again(service, brief, pending, present)
    if data is not None and data != present:
        companion = Companion(pending.path, pending.kind, data, present, sha256_of(data))
        failed = write_companions([companion], brief.roots, service.settings)
        return not failed or not is_awaited(pending.path, pending.kind, service.settings)
    return True


def _folders(brief: Brief) -> set[str]:
    """Return where covers and sidecars of the book and its files may lie."""
    folders = {os.path.dirname(file.path) for file in brief.files}
    return folders | {brief.book.path.rstrip("/")} if brief.book and folders else folders


def _is_wanted(conn: sqlite3.Connection, brief: Brief, pending: Pending) -> bool:
    """Tell whether no later run, as one that undid this one, decided about the cover anew."""
    file = _owner(brief, pending.path)
    return file is not None and not is_changed_since(conn, pending.run_id, file.id, "cover")


def _kept(conn: sqlite3.Connection, brief: Brief, pending: Pending) -> bytes | None:
    """Return what the history keeps of a file; none of a sidecar after a later run, of which it tells too."""
    target = Target("books", brief.book.id) if brief.book else brief.target
    newest = [run["id"] for run in list_runs(conn, target, limit=1)]
    return load_blob(conn, pending.sha256) if pending.kind == COVER or newest == [pending.run_id] else None


def _read_again(service: Service, brief: Brief, by: By) -> None:
    """Scan the book as the scan would have that broke off; what can't be read is for the next one to tell."""
    if brief.book is not None:
        with suppress(FileError, Conflict, UnknownRow):
            service.run(Ask(Target("books", brief.book.id)), by)
        rewrite_sidecars(service, [brief.book.id])


def _brief(conn: sqlite3.Connection, pending: Pending) -> Brief | None:
    try:
        return load_brief(conn, load_run(conn, pending.run_id).target)
    except UnknownRow:
        return None


def _made_again(service: Service, brief: Brief, pending: Pending, present: bytes | None) -> bytes | None:
    """Return a sidecar rendered from the rows, or a cover read from its file once more."""
    if pending.kind == COVER:
        return _cover_again(service, brief, pending)
    data = _sidecar_again(service, brief, pending.path)
    return data if data is None or present is None else in_place_of(present, data)


def _sidecar_again(service: Service, brief: Brief, path: str) -> bytes | None:
    conn, schema = service.conn, service.schema
    for file in brief.files:
        if path == file_sidecar_path(file.path):
            return render_file_sidecar(load_file_sidecar(conn, schema, file.id))
    if brief.book is not None and brief.files and path == sidecar_path_of_book(brief, service.settings):
        return render_book_sidecar(load_book_sidecar(conn, schema, brief.book.id))
    return None


def _cover_again(service: Service, brief: Brief, pending: Pending) -> bytes | None:
    file = _owner(brief, pending.path)
    if file is None:
        return None
    request = ReadRequest(
        service.settings.path_map.here(file.path),
        readable_roots(brief.roots, service.settings),
        service.settings.limits,
        with_sidecars=False,
    )
    reading = service.reader.read(request)
    cover = reading.parsed.cover if reading.status is FileStatus.OK and reading.parsed else None
    return cover.data if isinstance(cover, CoverImage) and cover.sha256 == pending.sha256 else None


def _owner(brief: Brief, cover_path: str) -> FileRow | None:
    folder, name = os.path.split(cover_path)
    for file in brief.files:
        if os.path.dirname(file.path) == folder and file.cover_name == name:
            return file
    return None
