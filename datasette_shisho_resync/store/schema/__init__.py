"""The shape of a library database: its tables, ours beside them, and the connections to it.

Knows names and types only; what the rows mean is for the other modules of `store`.
"""

from __future__ import annotations

from .connection import (
    exact_text,
    insert_rows,
    is_empty,
    many_rows,
    open_library,
    open_to_read,
    quoted,
    rare_checkpoints,
    shown_cell,
    sql_text,
    stored_id,
    stored_text,
    translate,
)
from .history_tables import HISTORY_TABLES, create_history
from .introspection import KnownSchema, LibrarySchema, library_schema
from .library_tables import DEFAULT_REVIEW_CRITERIA, LIBRARY_TABLES, SEARCH_TABLES, create_library
from .references import KNOWN_CHILDREN, Reference

__all__ = [
    "DEFAULT_REVIEW_CRITERIA",
    "HISTORY_TABLES",
    "KNOWN_CHILDREN",
    "LIBRARY_TABLES",
    "SEARCH_TABLES",
    "KnownSchema",
    "LibrarySchema",
    "Reference",
    "create_history",
    "create_library",
    "exact_text",
    "insert_rows",
    "is_empty",
    "library_schema",
    "many_rows",
    "open_library",
    "open_to_read",
    "quoted",
    "rare_checkpoints",
    "shown_cell",
    "sql_text",
    "stored_id",
    "stored_text",
    "translate",
]
