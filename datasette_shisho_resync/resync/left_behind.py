"""Sidecars that stayed where they were when other files came there: each is made that of the file beside
which it lies now."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from ..errors import UnknownRow
from ..model import Brief, Target
from ..parsers.sidecar import file_sidecar_path
from ..store.pending import add_seen
from ..store.snapshot import load_snapshot
from .companions import Companion
from .gathering import find_brief
from .sidecar_drafts import draft_sidecars, sidecar_path_of_book, sidecars_on_disk, sidecars_to_write

if TYPE_CHECKING:
    from .service import Service


def rewrite_sidecars(service: Service, books: Iterable[int]) -> list[str]:
    """Write the sidecars of these books that are there without news and say something else than the rows.

    Returns a sentence for each that could not be written.
    """
    warnings = []
    for book_id in books:
        try:
            brief = find_brief(service.conn, Target("books", book_id))
        except UnknownRow:
            continue
        stale = _stale_sidecars(service, brief)
        if stale:
            seen = [(sidecar.path, sidecar.sha256) for sidecar in stale]
            service.transaction(partial(add_seen, service.conn, seen))
            warnings.extend(service.write(stale, brief.roots))
    return warnings


def _stale_sidecars(service: Service, brief: Brief) -> list[Companion]:
    conn, schema, settings = service.conn, service.schema, service.settings
    mains = [f for f in brief.files if f.is_main]
    if brief.book is None or not mains:
        return []
    paths = [*(file_sidecar_path(f.path) for f in mains), sidecar_path_of_book(brief, settings)]
    found = dict(sidecars_on_disk(paths, brief, settings))
    state = load_snapshot(conn, schema, brief, [f.id for f in mains], list(found))
    moved = {("books", brief.book.id, "filepath"), *(("files", f.id, "filepath") for f in mains)}
    drafts = draft_sidecars(conn, schema, state, mains, found, moved, settings)
    return sidecars_to_write(d for d in drafts if d.found and not d.is_news(state.seen_sidecars))
