"""The disk: which paths may be opened, how companions are written, what proves a root alive.

Knows paths and bytes only, never SQLite, formats or fields. Paths are `str` as `os.fsdecode`
makes them: a byte that is not UTF-8 is a surrogate escape.
"""

from .confine import CompanionFolder, open_confined, read_companion, resolve_confined
from .guard import RootEvidence, judge_missing, similar_sibling
from .lock import JobLock, take_job_lock
from .mapping import PathMap, checked_roots, respelled, shared_roots
from .names import COVER_MIMES, cover_name, cover_names, is_companion, name_key, shown
from .write import can_come_later, remove_stale_files, replace_files, writable_cover_mimes

__all__ = [
    "COVER_MIMES",
    "CompanionFolder",
    "JobLock",
    "PathMap",
    "RootEvidence",
    "can_come_later",
    "checked_roots",
    "cover_name",
    "cover_names",
    "is_companion",
    "judge_missing",
    "name_key",
    "open_confined",
    "read_companion",
    "remove_stale_files",
    "replace_files",
    "resolve_confined",
    "respelled",
    "shared_roots",
    "shown",
    "similar_sibling",
    "take_job_lock",
    "writable_cover_mimes",
]
