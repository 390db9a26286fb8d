"""Sort titles and sort names that follow a text which a person edited, by the rules of a run (design 6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ..decide import derived_source
from ..fields import PERSON
from ..normalize.names import sort_name
from ..normalize.titles import sort_title
from ..sources import FILEPATH, MANUAL
from ..store.schema import LibrarySchema, sql_text, stored_text
from .consequence import GIVEN, Consequence


def add_sort_functions(conn: sqlite3.Connection) -> None:
    """Give a connection the functions that `follow_title` and `follow_name` call."""
    conn.create_function("resync_sort_title", 1, _sorted(sort_title))
    conn.create_function("resync_sort_name", 1, _sorted(sort_name))
    conn.create_function("resync_derived_source", 1, derived_source)


def follow_title(schema: LibrarySchema) -> tuple[Consequence, ...]:
    """Return what makes books' sort titles follow their titles, as a scan after the edit would."""
    return _follow(
        schema, "books", "sort_title", "resync_sort_title", "title", "resync_derived_source(title_source)"
    )


def follow_name(schema: LibrarySchema, table: str) -> tuple[Consequence, ...]:
    """Return what makes the sort names of persons or series follow their names, as if they were new."""
    function = "resync_sort_name" if table == PERSON.table else "resync_sort_title"
    return _follow(schema, table, "sort_name", function, "name", f"'{FILEPATH}'")


def _follow(
    schema: LibrarySchema, table: str, column: str, function: str, text: str, source: str
) -> tuple[Consequence, ...]:
    if not schema.has(table, column, f"{column}_source"):
        return ()
    derived = f"cast({function}(cast({text} as blob)) as text)"  # blobs: a text may be no UTF-8
    return (
        Consequence(
            f"""
            update {table}
            set {column} = {derived}, {column}_source = {source}
            where id {GIVEN}
            and {column}_source is not '{MANUAL}'
            and {derived} not in ('', coalesce({column}, ''))
            """
        ),
    )


def _sorted(rule: Callable[[str], str]) -> Callable[[bytes | None], str | bytes]:
    return lambda text: sql_text(rule(stored_text(text or "")))
