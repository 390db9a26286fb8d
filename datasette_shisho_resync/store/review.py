"""Which files count as reviewed: derived from their metadata by the library's criteria (spec 3.9)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ..fields import BY_NAME, Field, Kind, Level
from .schema import DEFAULT_REVIEW_CRITERIA, LibrarySchema

_CRITERIA = frozenset(
    {
        *("authors", "genres", "tags", "series", "narrators", "identifiers", "chapters"),
        *("description", "subtitle", "language", "url", "cover", "publisher", "release_date", "abridged"),
    }
)
_NEVER, _ALWAYS = "0", "1"


def recompute_review(conn: sqlite3.Connection, schema: LibrarySchema, file_ids: Sequence[int]) -> None:
    """Bring `files.reviewed` up to date; writes, and never `updated_at`, only where it differs."""
    if not file_ids or not schema.has("files", "reviewed", "review_override", "file_role"):
        return
    reviewed = _reviewed_sql(schema, **_load_criteria(conn, schema))
    stale = conn.execute(
        f"""
        select wanted.reviewed, wanted.id
        from (
            select files.id, files.reviewed as stored, {reviewed} as reviewed
            from files
            join books on books.id = files.book_id
            where files.id in (select value from json_each(?))
        ) as wanted
        where wanted.reviewed is not wanted.stored
        """,
        (json.dumps(list(file_ids)),),
    ).fetchall()
    if stale:
        conn.executemany("update files set reviewed = ? where id = ?", [tuple(row) for row in stale])


def _load_criteria(conn: sqlite3.Connection, schema: LibrarySchema) -> Mapping[str, tuple[str, ...]]:
    """Return the names that each list asks for; a list that is missing or none is Shisho's default."""
    row = None
    if schema.has("app_settings", "key", "value"):
        row = conn.execute(
            """
            select value
            from app_settings
            where key = 'review_criteria'
            """
        ).fetchone()
    try:
        chosen = json.loads(row[0]) if row else None
    except (TypeError, ValueError, RecursionError):
        chosen = None
    lists = chosen if isinstance(chosen, dict) else {}
    return {
        name: tuple(map(str, lists[name])) if isinstance(lists.get(name), list) else default
        for name, default in DEFAULT_REVIEW_CRITERIA.items()
    }


@lru_cache(maxsize=16)
def _reviewed_sql(schema: LibrarySchema, book_fields: tuple[str, ...], audio_fields: tuple[str, ...]) -> str:
    book = _all_met_sql(schema, book_fields)
    audio = _all_met_sql(schema, audio_fields)
    return f"""
        case
            when files.file_role <> 'main' then null
            when files.review_override = 'reviewed' then 1
            when files.review_override = 'unreviewed' then 0
            when files.file_type = 'm4b' then {book} and {audio}
            else {book}
        end
    """


def _all_met_sql(schema: LibrarySchema, names: Sequence[str]) -> str:
    if any(name not in _CRITERIA for name in names):
        return _NEVER
    return " and ".join(_met_sql(schema, BY_NAME[name]) for name in dict.fromkeys(names)) or _ALWAYS


def _met_sql(schema: LibrarySchema, field: Field) -> str:
    if field not in schema.fields:
        return _NEVER
    if field.link_table:
        owner = "files.book_id" if field.level is Level.BOOK else "files.id"
        return f"exists (select 1 from {field.link_table} where {field.owner_column} = {owner})"
    column = f"{field.level.value}.{field.column}"
    if field.kind in (Kind.TEXT, Kind.COVER):
        return f"coalesce({column}, '') <> ''"
    return f"{column} is not null"
