"""What a run would remove, spelled out: books, files, and every row that hangs on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ..fields import BOOK_FIELDS, FILE_FIELDS
from ..json_output import sendable
from ..model import TABLES, Change, RowImage
from ..store.schema import LibrarySchema
from ..store.snapshot import list_rows
from ..value_text import row_name
from .history import row_text
from .library import WebLibrary
from .redaction import is_visible

Names = Mapping[tuple[str, int], str]
_FIELDS = {"books": BOOK_FIELDS, "files": FILE_FIELDS}


async def names_of(library: WebLibrary, removals: Sequence[Change]) -> Names:
    """Return what the link rows among removed ones stand for: (table, id) -> name of a person, genre ..."""
    if not removals:
        return {}

    def load_names(conn: sqlite3.Connection, schema: LibrarySchema) -> Names:
        return {
            (str(field.link_table), row["id"]): row["entity_name"]
            for change in removals
            for field in _FIELDS.get(change.table, ())
            if field.entity is not None and field.is_list and field in schema.fields
            for row in list_rows(conn, field, change.pk)
        }

    return await library.read(load_names)


def standing(table: str) -> int:
    """Return where rows of a table stand in a list of rows: books and files first."""
    return TABLES.index(table) if table in TABLES else len(TABLES)


def removal_groups(removals: Sequence[Change], names: Names, visible: frozenset[str]) -> list[dict[str, Any]]:
    """Return the rows by table, books and files first, each with what it is called if it is visible."""
    ordered = sorted(removals, key=lambda c: (standing(c.table), c.table, c.pk))
    groups = []
    for table, group in groupby(ordered, key=lambda c: c.table):
        is_shown = is_visible(table, visible)
        rows = [{"name": row_name(c.table, c.pk), "text": _text(c, names) if is_shown else ""} for c in group]
        groups.append({"table": table, "is_main": table in TABLES, "rows": rows})
    return groups


def _text(change: Change, names: Names) -> str:
    if not isinstance(change.old, RowImage):
        return ""
    name = names.get((change.table, change.pk))
    if name is not None:
        return str(sendable(name))
    row = dict(change.old.columns)
    text, path = row_text(row), sendable(row.get("filepath"))
    return f"{text} — {path}" if path and path != text else text
