"""Answers for actors who may resync a table and not view it: what happened, without the values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import Target
from .access import TABLES


def without_values(answer: Mapping[str, Any], target: Target, visible: frozenset[str]) -> dict[str, Any]:
    """Return an answer or plan without the rows and values of tables that are not `visible`."""
    if visible.issuperset(TABLES):
        return dict(answer)
    told = dict(answer)
    if "rows" in told and target.table not in visible:
        told["rows"] = []
    for part in ("changes", "kept"):
        if part in told:
            told[part] = [_told(change, visible) for change in told[part]]
    return told


def _told(change: Mapping[str, Any], visible: frozenset[str]) -> dict[str, Any]:
    """Rows that hang on a book or a file are seen by those who may see both."""
    if change["table"] in visible:
        return dict(change)
    return {**change, "old": None, "new": None}
