"""The compact panel on the page of a book or file. Reads the database alone, no file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..decide import effective_source
from ..fields import BY_NAME
from ..files import shown
from ..json_output import sendable
from ..model import Brief, FileRow, Stored, Target
from ..resync import find_brief
from ..sources import MANUAL
from ..store.history import list_runs
from ..store.schema import LibrarySchema
from ..store.snapshot import load_snapshot
from ..values import is_empty
from .access import Actor, may_view
from .addresses import cover_url
from .covers import cover_mime
from .guards import may_see_history
from .library import WebLibrary
from .pages import place_context
from .words import UNDO, row_title, source_in_words

_MOST_FILES = 20
_MOST_RUNS = 100  # their ids make the address of the history
_TO_THE_MINUTE = 16  # characters of a stored time


async def panel_of(library: WebLibrary, actor: Actor, target: Target) -> dict[str, Any]:
    """Return what the panel shows. Raises UnknownRow."""
    datasette = library.datasette
    may_see_files = target.table == "files" or await may_view(datasette, actor, library.name, "files")
    may_see_book = target.table == "books" or await may_view(datasette, actor, library.name, "books")
    may_see_runs = await may_see_history(datasette, actor, library.name)

    def load_panel(
        conn: sqlite3.Connection, schema: LibrarySchema
    ) -> tuple[Brief, Mapping[str, Stored], list[dict[str, Any]]]:
        brief = find_brief(conn, target)
        file_ids = [target.pk] if target.table == "files" else []
        snapshot = load_snapshot(conn, schema, brief, file_ids, [])
        runs = list_runs(conn, target, limit=_MOST_RUNS) if schema.has_history and may_see_runs else []
        return brief, snapshot.files[target.pk] if file_ids else snapshot.book, runs

    brief, stored, runs = await library.read(load_panel)
    files = [f for f in brief.files if target.table == "books" or f.id == target.pk] if may_see_files else []
    return {
        **place_context(library, target, brief),
        "book": _book(library, brief) if may_see_book and target.table == "files" else None,
        "cover_url": _cover_url(library, files, runs[0]["id"] if runs else 0),
        "files": [_file(library, f) for f in files[:_MOST_FILES]],
        "more_files": max(0, len(files) - _MOST_FILES),
        "sources": _sources(stored),
        "last_run": _run(library, runs[0]) if runs else None,
        "history_url": _history_url(library, runs) if runs else None,
        "explain_url": f"{library.datasette.urls.row(library.name, target.table, str(target.pk))}/-/explain",
        "undo_label": UNDO,
        "is_mutable": library.db.is_mutable,
    }


def _cover_url(library: WebLibrary, files: list[FileRow], version: int) -> str | None:
    shown_file = next((f for f in files if cover_mime(f.cover_name)), None)
    return None if shown_file is None else cover_url(library, shown_file.id, version)


def _book(library: WebLibrary, brief: Brief) -> dict[str, Any] | None:
    if brief.book is None:
        return None
    url = library.datasette.urls.row(library.name, "books", str(brief.book.id))
    return {"url": url, "title": row_title(replace(brief, target=Target("books", brief.book.id)))}


def _file(library: WebLibrary, file: FileRow) -> dict[str, Any]:
    return {
        "url": library.datasette.urls.row(library.name, "files", str(file.id)),
        "path": shown(file.path),
        "base": shown(file.path.rpartition("/")[2]),
        "role": sendable(file.role),
    }


def _sources(stored: Mapping[str, Stored]) -> list[dict[str, str]]:
    """Return the fields by where they come from, in the order of the field table."""
    by_source: dict[str, list[str]] = {}
    for name, value in stored.items():
        source, label = effective_source(value), BY_NAME[name].label
        if is_empty(value.value) and name != "cover":
            if source != MANUAL:
                continue
            label += " (empty)"
        if words := source_in_words(source):
            by_source.setdefault(words, []).append(label)
    return [{"source": str(sendable(s)), "fields": ", ".join(labels)} for s, labels in by_source.items()]


def _run(library: WebLibrary, run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "url": library.datasette.urls.row(library.name, "resync_runs", str(run["id"])),
        "mode": sendable(run["mode"]),
        "at": shown(str(run["finished_at"] or "")[:_TO_THE_MINUTE]),
        "actor": sendable(run["actor"]),
        "is_undone": run["undone_by"] is not None,
        "is_undo": run["undo_of"] is not None,
    }


def _history_url(library: WebLibrary, runs: Sequence[Mapping[str, Any]]) -> str:
    table = library.datasette.urls.table(library.name, "resync_runs")
    return f"{table}?id__in={','.join(str(run['id']) for run in runs)}&_sort_desc=id"
