"""Our own tables beside a library's: runs, their changes, and what a run has still to write (design 5.1)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

_RUN = "run_id integer not null references resync_runs (id) on delete cascade"

HISTORY_TABLES: Mapping[str, str] = {
    "resync_jobs": """
    id integer primary key autoincrement,
    kind text not null,
    state text not null,
    mode text,
    actor text,
    started_at text not null,
    finished_at text,
    total integer not null default 0,
    done integer not null default 0,
    imported integer not null default 0,
    changed integer not null default 0,
    unchanged integer not null default 0,
    moved integer not null default 0,
    removed integer not null default 0,
    failed integer not null default 0,
    skipped integer not null default 0,
    errors text not null default '[]'
""",
    "resync_runs": """
    id integer primary key autoincrement,
    job_id integer references resync_jobs (id) on delete set null,
    started_at text not null,
    finished_at text,
    actor text,
    via text not null,
    target_table text not null,
    target_pk integer not null,
    mode text not null,
    plan text,
    changed integer not null default 0,
    kept integer not null default 0,
    removed integer not null default 0,
    failed integer not null default 0,
    undo_of integer references resync_runs (id) on delete set null,
    undone_by integer references resync_runs (id) on delete set null
""",
    # The values have no type: a number stays a number, a text a text.
    "resync_changes": f"""
    id integer primary key,
    {_RUN},
    table_name text not null,
    row_pk integer not null,
    field text not null,
    old_value,
    old_source text,
    new_value,
    new_source text,
    reason text not null
""",
    "resync_manual": """
    table_name text not null,
    row_pk integer not null,
    field text not null,
    primary key (table_name, row_pk, field)
""",
    "resync_sidecars": """
    path text not null,
    sha256 text not null,
    seen_at text not null,
    primary key (path, sha256)
""",
    "resync_pending": f"""
    id integer primary key,
    {_RUN},
    path text not null,
    kind text not null check (kind in ('cover', 'sidecar')),
    sha256 text not null,
    old_sha256 text
""",
    "resync_blobs": """
    sha256 text primary key,
    data blob not null
""",
}

# Columns that came later: a history of an earlier version has them from its next job on.
_LATER = (("resync_jobs", "would_remove", "integer not null default 0"),)

REMOVED_FILE = "table_name = 'files' and field = 'row' and json_valid(old_value)"
FORMER_BOOK = "cast(json_extract(old_value, '$.book_id') as integer)"
"""Of a change: that a file's row went, and of which book. Worded as the index is, which else is not used."""

_INDEXES: Mapping[str, str] = {
    "ix_resync_runs_target_table_target_pk": "resync_runs (target_table, target_pk)",
    "ix_resync_runs_job_id": "resync_runs (job_id)",
    # A run's page counts the runs that point to it.
    "ix_resync_runs_undo_of": "resync_runs (undo_of) where undo_of is not null",
    "ix_resync_runs_undone_by": "resync_runs (undone_by) where undone_by is not null",
    "ix_resync_pending_path": "resync_pending (path)",
    "ix_resync_changes_run_id": "resync_changes (run_id)",
    "ix_resync_changes_files": "resync_changes (row_pk) where table_name = 'files'",
    "ix_resync_changes_removed_files": f"resync_changes ({FORMER_BOOK}) where {REMOVED_FILE}",
}


def create_history(conn: sqlite3.Connection) -> None:
    """Create those of our tables and columns that are missing, in the transaction of the caller."""
    for name, columns in HISTORY_TABLES.items():
        conn.execute(f"create table if not exists {name} ({columns})")
    for table, column, definition in _LATER:
        if not conn.execute("select 1 from pragma_table_info(?) where name = ?", (table, column)).fetchone():
            conn.execute(f"alter table {table} add column {column} {definition}")
    for name, columns in _INDEXES.items():
        conn.execute(f"create index if not exists {name} on {columns}")
