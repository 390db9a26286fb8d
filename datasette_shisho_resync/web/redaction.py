"""Answers for actors who may resync a table and not view it: what happened, without the values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import FileError, ResyncError
from ..model import TABLES, Change, Plan, Target


def without_values(answer: Mapping[str, Any], target: Target, visible: frozenset[str]) -> dict[str, Any]:
    """Return an answer or plan without the rows, values and paths of tables that are not `visible`."""
    told = dict(answer)
    if "rows" in told and target.table not in visible:
        told["rows"] = []
    for part in ("changes", "kept"):
        if part in told:
            told[part] = [_told(change, visible) for change in told[part]]
    if "warnings" in told:
        told["warnings"] = list(warnings_for(told["warnings"], visible))
    if "files" in told and "files" not in visible:
        told["files"] = [{**file, "path": None, "error": None} for file in told["files"]]
    return told


def _told(change: Mapping[str, Any], visible: frozenset[str]) -> dict[str, Any]:
    if is_visible(change["table"], visible):
        return dict(change)
    return {**change, "old": None, "new": None}


def is_visible(table: str, visible: frozenset[str]) -> bool:
    """Tell whether rows of the table may be shown: those that hang on a book or file to who sees both."""
    return table in visible and (table in TABLES or visible.issuperset(TABLES))


def warnings_for(warnings: Iterable[str], visible: frozenset[str]) -> tuple[str, ...]:
    """Return the warnings, which name files and quote values, for those who may view both."""
    return tuple(warnings) if visible.issuperset(TABLES) else ()


def plan_for(plan: Plan, visible: frozenset[str]) -> Plan:
    """Return a plan without what it tells of files to who may not view them; changes stay."""
    files = plan.files
    if "files" not in visible:
        files = tuple(replace(file, path="", error=None) for file in files)
    return replace(plan, files=files, warnings=warnings_for(plan.warnings, visible))


def without_candidate_paths(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return a field of an explanation without the files that its candidates come from."""
    return {**field, "candidates": [{**candidate, "path": None} for candidate in field["candidates"]]}


def errors_for(errors: Iterable[Any], visible: frozenset[str]) -> tuple[Any, ...]:
    """Return a job's errors, which name files, without that for who may not view them."""
    if "files" in visible:
        return tuple(errors)
    return tuple({**error, "path": None, "error": "a file could not be read"} for error in errors)


def without_path(error: ResyncError, visible: frozenset[str]) -> ResyncError:
    """Return an error that does not tell where the file is to who may not view it."""
    if isinstance(error, FileError) and "files" not in visible:
        return type(error)("a file", error.reason)
    return error


def tables_of(changes: Iterable[Change]) -> set[str]:
    """Return the tables beside books and files whose rows are among the changes."""
    return {change.table for change in changes} - set(TABLES)
