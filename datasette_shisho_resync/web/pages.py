"""What the confirm, explain and undo pages show, as plain values for their templates. Pure.

Templates escape everything; nothing here makes HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from ..decide import Decision, as_change, chosen_with, effective_source
from ..fields import BY_NAME
from ..files import shown
from ..json_output import sendable
from ..model import ROLE, ROW, Brief, Change, CoverImage, Mode, Plan, RowImage, Target
from ..sources import MANUAL
from ..store.history import Entry, Run
from ..value_text import row_name
from ..values import is_empty
from .addresses import cover_url
from .asking import Wish
from .display import Cell, Images, list_cells, shown_cell
from .history import entry_cells, row_of
from .library import WebLibrary
from .redaction import is_visible, plan_for
from .removals import Names, removal_groups, standing
from .words import (
    BUTTONS,
    EXPLAIN,
    LABELS,
    UNDO,
    mode_in_words,
    reason_in_words,
    row_title,
    source_in_words,
)


def place_context(library: WebLibrary, target: Target, brief: Brief | None) -> dict[str, Any]:
    """Return what every page says about where it is; `brief` is None for a row that is gone."""
    table, pk = target.table, target.pk
    return {
        "database": library.name,
        "table": table,
        "row_title": row_title(brief) if brief else row_name(table, pk),
        "row_url": library.datasette.urls.row(library.name, table, str(pk)),
        "explain_label": EXPLAIN,
    }


def confirm_page(
    library: WebLibrary,
    brief: Brief,
    wish: Wish,
    plan: Plan,
    visible: frozenset[str],
    names: Names,
    notice: str | None,
) -> dict[str, Any]:
    images = Images()
    rows = [shown_change(library, brief, c, visible, images) for c in plan.changes if is_field(c)]
    kept = [shown_change(library, brief, c, visible, images) for c in plan.kept]
    choices = {c.field: chosen_with(c, plan) for c in plan.changes}
    groups, told = _groups(rows, choices), plan_for(plan, visible)
    return {
        **place_context(library, plan.target, brief),
        "notice": notice,
        "mode": wish.mode.value,
        "label": LABELS[wish.mode],
        "button": BUTTONS[wish.mode],
        "sentence": _sentence(wish.mode, plan.target.table),
        "digest": plan.digest,
        "confirm_missing": wish.confirm_missing,
        "lost_count": sum(row["is_lost"] for row in rows),
        "groups": groups,
        "deselected": wish.deselected,
        "is_whole": bool(plan.removals) or any(c.field == ROLE for c in plan.changes),
        "promoted": [row_name(c.table, c.pk) for c in plan.changes if c.field == ROLE],
        "removals": removal_groups(plan.removals, names, visible),
        "let_go": Counter((c.table, c.field) for c in plan.let_go),
        "kept": kept,
        "files": _files(told),
        "warnings": [sendable(w) for w in told.warnings],
        "has_changes": bool(plan.changes),
        "is_mutable": library.db.is_mutable,
        "modes": [{"mode": m.value, "label": LABELS[m], "is_current": m is wish.mode} for m in Mode],
    }


def _sentence(mode: Mode, table: str) -> str:
    files = "the files of this book" if table == "books" else "this file"
    return f"Reads {files} again and {mode_in_words(mode)}."


def is_field(change: Change) -> bool:
    return change.field in BY_NAME


def shown_change(
    library: WebLibrary, brief: Brief, change: Change, visible: frozenset[str], images: Images
) -> dict[str, Any]:
    field = BY_NAME[change.field]
    is_hidden = change.table not in visible
    old = None if is_hidden or isinstance(change.old, RowImage) else change.old
    new = None if is_hidden else change.new
    old_cell, new_cell = list_cells(old, new) if field.is_list else (shown_cell(old), shown_cell(new))
    return {
        "field": field.name,
        "label": field.label,
        "row": row_name(change.table, change.pk),
        "is_hidden": is_hidden,
        "is_lost": is_lost(change),
        "old": old_cell,
        "old_source": source_in_words(change.old_source),
        "old_cover_url": _cover_url(library, brief, change) if old_cell.kind == "cover" else None,
        "new": images.bounded(new_cell),
        "new_source": source_in_words(change.new_source),
        "reason": reason_in_words(change.reason),
    }


def is_lost(change: Change) -> bool:
    """Tell whether a value that a person set, if only to nothing, goes."""
    return change.old_source == MANUAL and not isinstance(change.old, RowImage)


def _cover_url(library: WebLibrary, brief: Brief, change: Change) -> str | None:
    if brief.file(change.pk).cover_name is None:
        return None
    version = change.old.sha256[:12] if isinstance(change.old, CoverImage) else ""
    return cover_url(library, change.pk, version)


def _groups(rows: Iterable[dict[str, Any]], choices: Mapping[str, str]) -> list[dict[str, Any]]:
    """Put what is chosen together, as the rows of one field; what a person would lose comes first."""
    by_field: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_field.setdefault(choices[row["field"]], []).append(row)
    groups = [
        {
            "field": name,
            "label": BY_NAME[name].label,
            "is_lost": any(r["is_lost"] for r in group),
            "names_row": len({r["row"] for r in group}) > 1,
            "rows": group,
        }
        for name, group in by_field.items()
    ]
    return sorted(groups, key=lambda group: not group["is_lost"])


def _files(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": row_name("files", f.id),
            "path": shown(f.path),
            "status": f.status.value,
            "error": str(sendable(f.error or "")).removeprefix(f"{shown(f.path)}: "),
            "is_failed": f.status.is_failed,
        }
        for f in plan.files
    ]


def explain_page(
    library: WebLibrary, brief: Brief, decisions: Sequence[Decision], plan: Plan, visible: frozenset[str]
) -> dict[str, Any]:
    told = plan_for(plan, visible)
    fields = [d for d in decisions if d.table in visible and (d.candidates or not is_empty(d.stored.value))]
    groups = groupby(fields, key=lambda d: row_name(d.table, d.pk))
    images = Images()
    return {
        **place_context(library, brief.target, brief),
        "label": EXPLAIN,
        "records": [
            {"name": name, "fields": [_explained(library, brief, d, visible, images) for d in group]}
            for name, group in groups
        ],
        "files": _files(told),
        "warnings": [sendable(w) for w in told.warnings],
    }


def _explained(
    library: WebLibrary, brief: Brief, decision: Decision, visible: frozenset[str], images: Images
) -> dict[str, Any]:
    return {
        "label": decision.field.label,
        "stored": shown_cell(decision.stored.value),
        "stored_cover_url": _cover_url(library, brief, as_change(decision))
        if isinstance(decision.stored.value, CoverImage)
        else None,
        "source": source_in_words(effective_source(decision.stored)),
        "reason": _verdict(decision),
        "changes": decision.changes,
        "candidates": [
            {
                "value": images.bounded(shown_cell(c.value)),
                "source": source_in_words(c.source),
                "path": (sendable(c.path) or "") if "files" in visible else "",
                "wins": decision.changes and c is decision.winner,
            }
            for c in decision.candidates
        ],
    }


def _verdict(decision: Decision) -> str:
    words = reason_in_words(decision.reason)
    return f"a scan would change it: {words}" if decision.changes else words


def undo_page(library: WebLibrary, run: Run, brief: Brief | None, visible: frozenset[str]) -> dict[str, Any]:
    """Return what an undo would put back, fields before rows."""
    fields = [e for e in run.entries if e.field in BY_NAME]
    rows = sorted((e for e in run.entries if e.field == ROW), key=lambda e: standing(e.table))
    others = [e for e in run.entries if e not in fields and e not in rows]
    return {
        **place_context(library, run.target, brief),
        "run": run.id,
        "run_url": library.datasette.urls.row(library.name, "resync_runs", str(run.id)),
        "label": UNDO,
        "mode": shown(run.mode),
        "undo_of": run.undo_of,
        "is_mutable": library.db.is_mutable,
        "fields": [_undone_field(e) for e in fields],
        "back": [_undone_row(e, e.old, visible) for e in rows if e.old is not None],
        "gone": [_undone_row(e, e.new, visible) for e in rows if e.old is None],
        "others": [{"row": shown(row_name(e.table, e.pk)), "field": shown(e.field)} for e in others],
    }


def _undone_field(entry: Entry) -> dict[str, Any]:
    then, now = entry_cells(entry)
    return {
        "row": row_name(entry.table, entry.pk),
        "label": BY_NAME[entry.field].label,
        "now": _reversed(now),
        "then": _reversed(then),
        "then_source": source_in_words(entry.old_source),
    }


def _reversed(cell: Cell) -> Cell:
    """Turn the marks of what a run did into those of its undo."""
    marks = {"added": "removed", "removed": "added"}
    return replace(cell, items=tuple(replace(i, mark=marks.get(i.mark, i.mark)) for i in cell.items))


def _undone_row(entry: Entry, image: Any, visible: frozenset[str]) -> Mapping[str, str]:
    text = row_of(image) if is_visible(entry.table, visible) else ""
    return {"name": row_name(entry.table, entry.pk), "text": text}
