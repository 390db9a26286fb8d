"""The tables of a library of our own, as Shisho's migrations leave them (spec 1.2, 1.7).

Left out: what a resync never touches (users, jobs, lists, devices, plugins).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from ..times import now

_ID = "id integer primary key autoincrement"
_CREATED = "created_at timestamptz not null default current_timestamp"
_TIMES = f"{_CREATED},\n    updated_at timestamptz not null default current_timestamp"
_LIBRARY = "library_id integer not null references libraries (id) on delete cascade"
_BOOK = "book_id integer not null references books (id) on delete cascade"
_FILE = "file_id integer not null references files (id) on delete cascade"


def _owner(table: str, column: str) -> str:
    return f"{column} integer not null references {table} (id) on delete cascade"


def _term_columns() -> str:
    return f"""
    {_ID},
    {_TIMES},
    {_LIBRARY},
    name text not null
"""


def _alias_columns(table: str, column: str) -> str:
    return f"""
    {_ID},
    {_CREATED},
    {_owner(table, column)},
    name text not null,
    {_LIBRARY}
"""


def _link_columns(owner: str, table: str, column: str, *more: str) -> str:
    rows = (_ID, owner, _owner(table, column), *more)
    return "\n    " + ",\n    ".join(rows) + "\n"


LIBRARY_TABLES: Mapping[str, str] = {
    "libraries": f"""
    {_ID},
    {_TIMES},
    name text not null,
    organize_file_structure boolean not null default true,
    cover_aspect_ratio text not null,
    download_format_preference text not null default 'original'
""",
    # The type of library_id is Shisho's, though it holds the integer of libraries.id.
    "library_paths": f"""
    {_ID},
    {_TIMES},
    library_id text not null references libraries (id) on delete cascade,
    filepath text not null
""",
    "persons": f"""
    {_ID},
    {_TIMES},
    {_LIBRARY},
    name text not null,
    sort_name text not null,
    sort_name_source text not null
""",
    "series": f"""
    {_ID},
    {_TIMES},
    {_LIBRARY},
    name text not null,
    name_source text not null,
    sort_name text not null,
    sort_name_source text not null,
    description text,
    cover_image_filename text
""",
    "genres": _term_columns(),
    "tags": _term_columns(),
    "publishers": f"""
    {_ID},
    {_TIMES},
    {_LIBRARY},
    name text not null,
    parent_id integer references publishers (id) on delete set null
""",
    "books": f"""
    {_ID},
    {_TIMES},
    {_LIBRARY},
    filepath text not null,
    title text not null,
    title_source text not null,
    sort_title text not null,
    sort_title_source text not null,
    subtitle text,
    subtitle_source text,
    description text,
    description_source text,
    author_source text not null,
    genre_source text,
    tag_source text
""",
    # library_id has no foreign key in Shisho's final schema either.
    "files": f"""
    {_ID},
    {_TIMES},
    library_id integer not null,
    {_BOOK},
    filepath text not null,
    file_type text not null,
    file_role text not null default 'main',
    filesize_bytes integer not null default 0,
    file_modified_at timestamptz,
    cover_image_filename text,
    cover_mime_type text,
    cover_source text,
    cover_page integer,
    name text,
    name_source text,
    page_count integer,
    audiobook_duration_seconds real,
    audiobook_bitrate_bps integer,
    audiobook_codec text,
    narrator_source text,
    identifier_source text,
    chapter_source text,
    url text,
    url_source text,
    release_date timestamptz,
    release_date_source text,
    publisher_id integer references publishers (id) on delete set null,
    publisher_source text,
    language text,
    language_source text,
    abridged boolean,
    abridged_source text,
    review_override text,
    review_overridden_at timestamptz,
    reviewed boolean,
    is_preferred_cover boolean not null default false
""",
    "authors": _link_columns(_BOOK, "persons", "person_id", "sort_order integer not null", "role text"),
    "narrators": _link_columns(_FILE, "persons", "person_id", "sort_order integer not null"),
    "book_series": _link_columns(
        _BOOK,
        "series",
        "series_id",
        "series_number real",
        "series_number_end real",
        "series_number_unit text",
        "sort_order integer not null",
    ),
    "book_genres": _link_columns(_BOOK, "genres", "genre_id"),
    "book_tags": _link_columns(_BOOK, "tags", "tag_id"),
    "file_identifiers": f"""
    {_ID},
    {_TIMES},
    {_FILE},
    type text not null,
    value text not null,
    source text not null
""",
    "chapters": f"""
    {_ID},
    {_TIMES},
    {_FILE},
    parent_id integer references chapters (id) on delete cascade,
    sort_order integer not null,
    title text not null,
    start_page integer,
    start_timestamp_ms integer,
    href text
""",
    "file_fingerprints": f"""
    {_ID},
    {_CREATED},
    {_FILE},
    algorithm text not null,
    value text not null
""",
    "person_aliases": _alias_columns("persons", "person_id"),
    "series_aliases": _alias_columns("series", "series_id"),
    "genre_aliases": _alias_columns("genres", "genre_id"),
    "tag_aliases": _alias_columns("tags", "tag_id"),
    "publisher_aliases": _alias_columns("publishers", "publisher_id"),
    "app_settings": """
    key text primary key,
    value text not null,
    updated_at timestamptz not null default current_timestamp
""",
}

_NAMED = tuple(
    (f"{table}_name_library_id", table, "name collate nocase, library_id")
    for table in (
        *("persons", "series", "genres", "tags", "publishers"),
        *("person_aliases", "series_aliases", "genre_aliases", "tag_aliases", "publisher_aliases"),
    )
)
_UNIQUE_INDEXES = (
    ("books_filepath_library_id", "books", "filepath, library_id"),
    ("files_filepath_library_id", "files", "filepath, library_id"),
    ("authors_book_id_person_id_role", "authors", "book_id, person_id, role"),
    ("narrators_file_id_person_id", "narrators", "file_id, person_id"),
    ("book_series_book_id_series_id", "book_series", "book_id, series_id"),
    ("book_genres_book_id_genre_id", "book_genres", "book_id, genre_id"),
    ("book_tags_book_id_tag_id", "book_tags", "book_id, tag_id"),
    ("file_identifiers_file_id_type", "file_identifiers", "file_id, type"),
    ("chapters_file_id_parent_id_sort_order", "chapters", "file_id, parent_id, sort_order"),
    ("file_fingerprints_file_id_algorithm", "file_fingerprints", "file_id, algorithm"),
    *_NAMED,
)
_INDEXES = (
    ("library_paths_library_id", "library_paths", "library_id"),
    ("books_library_id", "books", "library_id"),
    ("files_book_id", "files", "book_id"),
    ("files_library_id", "files", "library_id"),
    ("files_publisher_id", "files", "publisher_id"),
    ("files_file_type_book_id", "files", "file_type, book_id"),
    ("files_language", "files", "language collate nocase"),
    ("files_book_id_reviewed", "files", "book_id, reviewed"),
    ("file_identifiers_value", "file_identifiers", "value"),
    ("file_fingerprints_algorithm_value", "file_fingerprints", "algorithm, value"),
    # From here on ours: without them, finding orphans and an entity's books reads whole tables.
    ("authors_person_id", "authors", "person_id"),
    ("narrators_person_id", "narrators", "person_id"),
    ("book_series_series_id", "book_series", "series_id"),
    ("book_genres_genre_id", "book_genres", "genre_id"),
    ("book_tags_tag_id", "book_tags", "tag_id"),
    ("chapters_parent_id", "chapters", "parent_id"),
    ("publishers_parent_id", "publishers", "parent_id"),
    ("person_aliases_person_id", "person_aliases", "person_id"),
    ("series_aliases_series_id", "series_aliases", "series_id"),
    ("genre_aliases_genre_id", "genre_aliases", "genre_id"),
    ("tag_aliases_tag_id", "tag_aliases", "tag_id"),
    ("publisher_aliases_publisher_id", "publisher_aliases", "publisher_id"),
)
_PARTIAL = {
    "files_language": "language is not null",
    "chapters_parent_id": "parent_id is not null",
    "files_book_id_reviewed": "file_role = 'main'",
}

SEARCH_TABLES: Mapping[str, tuple[str, ...]] = {
    "books_fts": (
        *("book_id", "library_id", "title", "filepath", "subtitle"),
        *("authors", "filenames", "narrators", "series_names"),
    ),
    "series_fts": ("series_id", "library_id", "name", "description", "book_titles", "book_authors"),
    "persons_fts": ("person_id", "library_id", "name", "sort_name"),
    "genres_fts": ("genre_id", "library_id", "name"),
    "tags_fts": ("tag_id", "library_id", "name"),
    "publishers_fts": ("publisher_id", "library_id", "name"),
}

DEFAULT_REVIEW_CRITERIA: Mapping[str, tuple[str, ...]] = {
    "audio_fields": ("narrators",),
    "book_fields": ("authors", "description", "cover", "genres"),
}


def create_library(conn: sqlite3.Connection) -> None:
    """Create every table, index and search table of a library in an empty database.

    Runs in the transaction of its caller, statement by statement.
    """
    for statement in _statements():
        conn.execute(statement)
    conn.execute(
        """
        insert into app_settings (key, value, updated_at)
        values ('review_criteria', ?, ?)
        """,
        (json.dumps(DEFAULT_REVIEW_CRITERIA, separators=(",", ":")), now()),
    )


def _statements() -> tuple[str, ...]:
    return (
        *(f"create table {name} ({columns})" for name, columns in LIBRARY_TABLES.items()),
        *(_index_statement("unique index ux", *index) for index in _UNIQUE_INDEXES),
        *(_index_statement("index ix", *index) for index in _INDEXES),
        *(_search_statement(name, columns) for name, columns in SEARCH_TABLES.items()),
    )


def _index_statement(kind: str, name: str, table: str, columns: str) -> str:
    condition = f" where {_PARTIAL[name]}" if name in _PARTIAL else ""
    return f"create {kind}_{name} on {table} ({columns}){condition}"


def _search_statement(name: str, columns: tuple[str, ...]) -> str:
    shown = ", ".join(f"{column} unindexed" if column.endswith("_id") else column for column in columns)
    return f"create virtual table {name} using fts5({shown}, tokenize='unicode61', prefix='2,3')"
