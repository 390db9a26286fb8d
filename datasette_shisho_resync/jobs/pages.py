"""What the pages of a job show, as plain values for their templates, and its status as JSON. Pure."""

from __future__ import annotations

from typing import Any

from datasette.utils import tilde_encode

from ..errors import MassRemoval
from ..files import shown
from ..json_output import sendable
from ..model import TABLES, Mode
from ..store.jobs import JobRecord
from ..value_text import counted, row_name
from ..web.addresses import job_url, static_url
from ..web.display import Images
from ..web.history import row_text
from ..web.library import WebLibrary
from ..web.pages import is_field, is_lost, shown_change
from ..web.words import BUTTONS, LABELS, mode_in_words, rows_label, state_in_words
from .asking import JobWish
from .preview import JobPreview, SampleRow
from .selection import MODE, Selection

_MOST_CHANGES = 6  # of one row of the sample
_COUNTS = ("changed", "unchanged", "removed", "failed", "skipped")
_SCAN_COUNTS = ("imported", "changed", "unchanged", "moved", "removed", "failed")


def rows_url(library: WebLibrary, selection_query: str, table: str, mode: Mode | None = None) -> str:
    """Return where a job on these rows is asked for."""
    pairs = [selection_query] if selection_query else []
    pairs += [f"{MODE}={mode.value}"] if mode else []
    query = f"?{'&'.join(pairs)}" if pairs else ""
    return f"{library.datasette.urls.table(library.name, table)}/-/resync{query}"


# --- before it begins -----------------------------------------------------------------------------


def confirm_job_page(
    library: WebLibrary,
    selection: Selection,
    wish: JobWish,
    preview: JobPreview,
    visible: frozenset[str],
    notice: str | None,
    loss: MassRemoval | None,
) -> dict[str, Any]:
    table, query = selection.table, selection.query
    table_url = str(library.datasette.urls.table(library.name, table))
    count = len(selection.pks)
    images = Images()
    return {
        "database": library.name,
        "table": table,
        "table_url": f"{table_url}?{query}" if query else table_url,
        "action": rows_url(library, query, table),
        "label": rows_label(wish.mode, count),
        "mode": wish.mode.value,
        "button": f"Remove {counted(loss.count, 'record')} and {wish.mode.value}"
        if loss
        else rows_label(wish.mode, count),
        "sentence": f"Reads the files of {counted(count, 'row')} again and {mode_in_words(wish.mode)}.",
        "count": count,
        "selection": selection.digest,
        "confirm_removals": loss.count if loss else None,
        "notice": notice,
        "loss": loss.message if loss else None,
        "lost_count": preview.lost if wish.mode is not Mode.SCAN else 0,
        "is_exact": preview.is_exact,
        "sample": [_sample_row(library, row, visible, images) for row in preview.rows],
        "changing": preview.changing,
        "is_mutable": library.db.is_mutable,
        "modes": [
            {"url": rows_url(library, query, table, m), "label": LABELS[m]}
            for m in Mode
            if m is not wish.mode
        ],
    }


def _sample_row(
    library: WebLibrary, row: SampleRow, visible: frozenset[str], images: Images
) -> dict[str, Any]:
    table, pk = row.target.table, row.target.pk
    plan = row.outcome.plan if row.outcome else None
    fields = [c for c in plan.changes if is_field(c)] if plan else []
    fields.sort(key=lambda change: not is_lost(change))
    some = fields[:_MOST_CHANGES]
    changes = [shown_change(library, row.brief, c, visible, images) for c in some if row.brief]
    return {
        "name": row_name(table, pk),
        "text": row_text(dict(row.outcome.rows[0].columns)) if row.outcome and row.outcome.rows else "",
        "url": library.datasette.urls.row(library.name, table, str(pk)),
        "changes": changes,
        "more": len(fields) - len(changes),
        "removed": counted(len(plan.removals), "record") if plan and plan.removals else None,
        "error": sendable(row.error),
    }


def preview_to_json(selection: Selection, wish: JobWish, preview: JobPreview) -> dict[str, Any]:
    """Return how many rows a job would read and what a person would lose, without a value."""
    return {
        "ok": True,
        "mode": wish.mode.value,
        "total": len(selection.pks),
        "selection": selection.digest,
        "sampled": len(preview.rows),
        "changing": preview.changing,
        "manual_values_lost": preview.lost if wish.mode is not Mode.SCAN else 0,
        "is_exact": preview.is_exact or wish.mode is Mode.SCAN,
    }


# --- while it runs, and afterwards ----------------------------------------------------------------


def job_to_json(record: JobRecord) -> dict[str, Any]:
    """Return the status of design 5.2; `would_remove` only where a job left records that are too many."""
    names = ("total", "done", "changed", "removed", "failed", "skipped")
    answer = {
        "ok": True,
        "job": record.id,
        "state": record.state,
        **{name: record.counts[name] for name in names},
        "errors": record.errors,
    }
    if record.would_remove:
        answer["would_remove"] = record.would_remove
    return {key: sendable(value) for key, value in answer.items()}


def job_page(
    library: WebLibrary, record: JobRecord, undoable_runs: int, *, can_cancel: bool
) -> dict[str, Any]:
    names = _SCAN_COUNTS if record.kind == "scan" else _COUNTS
    total, done = record.counts["total"], record.counts["done"]
    return {
        "database": library.name,
        "url": job_url(library.datasette, library.name, record.id),
        "title": _job_title(record),
        "state": shown(record.state),
        "state_words": shown(state_in_words(record.state)),
        "is_running": record.is_running,
        "can_cancel": can_cancel and record.is_running,
        "total": total,
        "done": done,
        "progress_words": f"{done:,} of {total:,}" if total else "",
        "counts": [{"name": name, "count": record.counts[name]} for name in names],
        "started_by": sendable(record.actor),
        "started_at": shown(record.started_at[:19]),
        "finished_at": shown((record.finished_at or "")[:19]),
        "would_remove": record.would_remove,
        "table_url": library.datasette.urls.table(library.name, record.kind)
        if record.kind != "scan"
        else None,
        "runs_url": _runs_url(library, record),
        "undoable_runs": undoable_runs,
        "errors": [_error(library, error) for error in record.errors],
        "more_errors": max(0, record.counts["failed"] - len(record.errors)),
        "script_url": static_url(library.datasette, library.state, "shisho_resync_job.js"),
    }


def _job_title(record: JobRecord) -> str:
    if record.kind == "scan":
        return f"Job {record.id}: a library scan"
    mode = BUTTONS[Mode(record.mode)] if record.mode in set(Mode) else shown(record.mode or "")
    return f"Job {record.id}: {mode} {counted(record.counts['total'], 'row')} of {record.kind}"


def undo_job_page(library: WebLibrary, record: JobRecord, runs: int) -> dict[str, Any]:
    return {
        "database": library.name,
        "title": _job_title(record),
        "url": job_url(library.datasette, library.name, record.id),
        "runs": runs,
        "is_mutable": library.db.is_mutable,
        "runs_url": _runs_url(library, record),
    }


def _runs_url(library: WebLibrary, record: JobRecord) -> str:
    return f"{library.datasette.urls.table(library.name, 'resync_runs')}?job_id={record.id}"


def _error(library: WebLibrary, error: Any) -> dict[str, Any]:
    table, pk, path = str(error.get("table")), error.get("pk"), error.get("path")
    url = None
    if pk is not None and table in TABLES:
        url = library.datasette.urls.row(library.name, table, tilde_encode(str(pk)))
    return {
        "name": row_name(table, pk) if pk is not None else "",
        "url": url,
        "path": sendable(path) or "",
        "error": str(sendable(error.get("error")) or "").removeprefix(f"{sendable(path)}: "),
    }
