"""Shisho's words for what can be done and what was done. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..fields import BY_NAME
from ..files import shown
from ..model import Brief, Mode, Outcome, Reason
from ..resync import Undone
from ..value_text import DONE, GONE, counted, row_name

LABELS: Mapping[Mode, str] = {
    Mode.SCAN: "Scan for new metadata",
    Mode.REFRESH: "Refresh all metadata",
    Mode.RESET: "Reset to file metadata",
}
BUTTONS: Mapping[Mode, str] = {Mode.SCAN: "Scan", Mode.REFRESH: "Refresh", Mode.RESET: "Reset"}
EXPLAIN = "Why these values?"
UNDO = "Undo this run"
_EXPLAINED: Mapping[Mode, str] = {
    Mode.SCAN: "takes what is new or better in the files; what a person set stays",
    Mode.REFRESH: "takes everything that the files say, also over what a person set",
    Mode.RESET: "empties every field and fills it again from the files alone",
}
_REASONS: Mapping[Reason, str] = {
    Reason.NEW_VALUE: "the file says something new",
    Reason.BETTER_SOURCE: "from a better source",
    Reason.FORCED: "overwritten, because you ask for it",
    Reason.SOURCE_CORRECTED: "same value; only its source is corrected",
    Reason.DERIVED: "follows from another change",
    Reason.CLEARED: "no file says anything",
    Reason.REMOVED: "removed",
    Reason.LOWER_PRIORITY: "the present value has a better source",
    Reason.SAME: "already the same",
    Reason.EMPTY_CANDIDATE: "the files say nothing about it",
    Reason.NOT_SELECTED: "not selected",
    Reason.SIDECAR_ECHO: "the sidecar holds no news",
}
_SOURCES: Mapping[str, str] = {
    "manual": "set by a person",
    "sidecar": "sidecar",
    "epub_metadata": "EPUB",
    "cbz_metadata": "CBZ",
    "m4b_metadata": "M4B",
    "pdf_metadata": "PDF",
    "mobi_metadata": "MOBI",
    "file_metadata": "file",
    "existing_cover": "image beside the file",
    "filepath": "file name",
}
_STATES: Mapping[str, str] = {
    "running": "Running",
    "done": "Done",
    "cancelled": "Cancelled: what was done stays",
    "failed": "Failed: what was done stays",
    "interrupted": "Interrupted: its process ended; what was done stays",
}


def rows_label(mode: Mode, count: int | None) -> str:
    """Return what a job on so many rows is called."""
    if count is None:
        return f"{BUTTONS[mode]} these rows"
    return f"{BUTTONS[mode]} {'this' if count == 1 else 'these'} {counted(count, 'row')}"


def state_in_words(state: str) -> str:
    return _STATES.get(state, shown(state))


def row_title(brief: Brief) -> str:
    """Return what people call the row: a book's title, a file's name; without one, its id."""
    target = brief.target
    if target.table == "files":
        title = brief.file(target.pk).path.rpartition("/")[2]
    else:
        title = brief.book.title if brief.book else ""
    return shown(title.strip()) or row_name(target.table, target.pk)


def mode_in_words(mode: Mode) -> str:
    """Return what a mode does, to follow its label."""
    return _EXPLAINED[mode]


def reason_in_words(reason: Reason) -> str:
    return _REASONS[reason]


def source_in_words(source: str | None) -> str:
    if not source:
        return ""
    if source.startswith("plugin:"):
        return f"plugin {shown(source[len('plugin:') :])}"
    return _SOURCES.get(source, shown(source))


def resync_message(outcome: Outcome) -> str:
    """Return what a run did, as Shisho says it, and which fields that was about."""
    if outcome.book_deleted:
        return f"Book {GONE}"
    if outcome.deleted or any(c.table == "files" for c in outcome.plan.removals):
        return f"File {GONE}"
    done = DONE[outcome.plan.mode]
    if not outcome.changed:
        return f"{done}: nothing to change"
    fields = dict.fromkeys(c.field.replace("_", " ") for c in outcome.plan.changes if c.field in BY_NAME)
    return f"{done}. Changed: {', '.join(fields)}" if fields else done


def undo_message(undone: Undone) -> str:
    return f"Run {undone.undo_of} undone"
