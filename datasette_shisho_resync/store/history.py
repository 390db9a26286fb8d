"""Writes and reads what was done: runs, their changes, and the bytes that undo needs.

A change's old and new value are kept as the columns hold them; lists and rows as JSON, complete
enough to put them back with their ids. Undecodable bytes survive as escaped surrogates.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UnknownRow
from ..model import Target
from ..model.portable import portable
from .schema import insert_rows, quoted, sql_text
from .schema.history_tables import FORMER_BOOK, REMOVED_FILE
from .times import now
from .waiting import WaitingRows

FILE_FIELDS = ("cover_file", "sidecar_file")
"""The fields of changes whose values tell of a replaced file: its path, and the SHA-256 of what it held."""

_BYTES = "$hex"

# The changes are read once, and not for each of the blobs.
_FORGET_BLOBS = f"""
    with told (value) as (
        select old_value from resync_changes where field in {FILE_FIELDS}
        union all
        select new_value from resync_changes where field in {FILE_FIELDS}
    ),
    needed (sha256) as (
        select json_extract(value, '$.sha256') from told where json_valid(value)
    )
    delete from resync_blobs
    where sha256 not in (select sha256 from needed where sha256 is not null)
"""


@portable
@dataclass(frozen=True, slots=True)
class Entry:
    """One line of history: a field of a row, or with field `row` a whole row that came or went."""

    table: str
    pk: int
    field: str
    old: Any
    old_source: str | None
    new: Any
    new_source: str | None
    reason: str


@portable
@dataclass(frozen=True, slots=True)
class RunHeader:
    """Who ran what on which row; `via` is `web`, `api`, `cli` or `job`."""

    target: Target
    mode: str
    plan: str
    via: str
    actor: str | None
    job_id: int | None
    started_at: str
    kept: int = 0
    failed: int = 0
    undo_of: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded run as undo needs it."""

    id: int
    target: Target
    mode: str
    undone_by: int | None
    entries: tuple[Entry, ...]
    undo_of: int | None = None


def record_run(
    conn: sqlite3.Connection, header: RunHeader, entries: Sequence[Entry], *, changed: int, removed: int
) -> int:
    """Write a run and its entries; returns its id."""
    rows = WaitingRows(conn)
    run_id = add_header(rows, header, changed=changed, removed=removed)
    rows.flush()
    record_entries(conn, [(run_id, e) for e in entries])
    return run_id


def add_header(rows: WaitingRows, header: RunHeader, *, changed: int, removed: int) -> int:
    """Add a run without entries to rows that wait; returns its id."""
    return rows.insert(
        "resync_runs",
        {
            "job_id": header.job_id,
            "started_at": header.started_at,
            "finished_at": now(),
            "actor": header.actor,
            "via": header.via,
            "target_table": header.target.table,
            "target_pk": header.target.pk,
            "mode": header.mode,
            "plan": header.plan,
            "changed": changed,
            "kept": header.kept,
            "removed": removed,
            "failed": header.failed,
            "undo_of": header.undo_of,
        },
    )


def record_entries(conn: sqlite3.Connection, entries: Sequence[tuple[int, Entry]]) -> None:
    """Write the entries, (run id, entry), of runs."""
    insert_rows(
        conn,
        """
        insert into resync_changes (
            run_id, table_name, row_pk, field, old_value, old_source, new_value, new_source, reason
        )
        """,
        "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                run,
                e.table,
                e.pk,
                e.field,
                as_cell(e.old),
                e.old_source,
                as_cell(e.new),
                e.new_source,
                e.reason,
            )
            for run, e in entries
        ],
    )


def as_cell(value: Any) -> Any:
    """Return what a history cell holds: structures as JSON, undecodable text as its bytes."""
    if isinstance(value, (dict, list, tuple)):
        return _encode(value)
    return sql_text(value) if isinstance(value, str) else value


def _encoded(value: object) -> object:
    if isinstance(value, bytes):
        return {_BYTES: value.hex()}
    raise TypeError(type(value).__name__)


_encode = json.JSONEncoder(default=_encoded, separators=(",", ":")).encode


def from_cell(text: str) -> Any:
    """Return the structure that a history cell holds. Raises `ValueError` on anything else."""
    return json.loads(text, object_hook=_decoded)


def _decoded(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value[_BYTES]) if set(value) == {_BYTES} else value


def load_run(conn: sqlite3.Connection, run_id: int) -> Run:
    """Raises `UnknownRow`."""
    row = conn.execute(
        "select id, target_table, target_pk, mode, undone_by, undo_of from resync_runs where id = ?",
        (run_id,),
    ).fetchone()
    if row is None:
        raise UnknownRow(f"There is no run {run_id}.")
    entries = conn.execute(
        """
        select table_name, row_pk, field, old_value, old_source, new_value, new_source, reason
        from resync_changes
        where run_id = ?
        order by id
        """,
        (run_id,),
    )
    target, changes = Target(row[1], row[2]), tuple(Entry(*e) for e in entries)
    return Run(row[0], target, str(row[3]), row[4], changes, row[5])


def made_by_undone_runs(conn: sqlite3.Connection, run_id: int, table: str) -> tuple[Entry, ...]:
    """Return the rows of a table that undone runs of the same job made, and that are still there."""
    entries = conn.execute(
        f"""
        select table_name, row_pk, field, old_value, old_source, new_value, new_source, reason
        from resync_runs as undone
        join resync_changes on run_id = undone.id
        where undone.job_id = (select job_id from resync_runs where id = ?)
            and undone.undone_by is not null
            and table_name = ? and field = 'row' and old_value is null
            and exists (select 1 from {quoted(table)} where id = row_pk)
        order by resync_changes.id
        """,
        (run_id, table),
    )
    return tuple(Entry(*e) for e in entries)


def is_changed_since(conn: sqlite3.Connection, run_id: int, file_id: int, field: str) -> bool:
    """Tell whether a later run changed a field of a file."""
    later = conn.execute(
        """
        select 1
        from resync_changes
        where table_name = 'files' and row_pk = ? and field = ? and run_id > ?
        """,
        (file_id, field, run_id),
    )
    return later.fetchone() is not None


def mark_undone(conn: sqlite3.Connection, run_id: int, undone_by: int) -> None:
    conn.execute("update resync_runs set undone_by = ? where id = ?", (undone_by, run_id))


def keep_blob(conn: sqlite3.Connection, data: bytes) -> str:
    """Keep bytes once; returns their SHA-256."""
    digest = hashlib.sha256(data).hexdigest()
    conn.execute("insert or ignore into resync_blobs (sha256, data) values (?, ?)", (digest, data))
    return digest


def load_blob(conn: sqlite3.Connection, sha256: str) -> bytes | None:
    row = conn.execute("select data from resync_blobs where sha256 = ?", (sha256,)).fetchone()
    return bytes(row[0]) if row else None


_RUNS_ON: Mapping[str, str] = {
    "books": f"""
        select id
        from resync_runs
        where target_table = 'books' and target_pk = :pk
        union all
        select id
        from resync_runs
        where target_table = 'files' and target_pk in (
            select id
            from files
            where book_id = :pk
            union all
            select row_pk
            from resync_changes
            where {REMOVED_FILE} and {FORMER_BOOK} = :pk
        )
    """,
    "files": """
        select id
        from resync_runs
        where target_table = 'files' and target_pk = :pk
        union all
        select run_id
        from resync_changes
        where table_name = 'files' and row_pk = :pk
    """,
}


def list_runs(conn: sqlite3.Connection, target: Target | None, *, limit: int) -> list[dict[str, Any]]:
    """Return runs, newest first; of a book those on any file that is or was its, of a file all that
    changed it."""
    where = f"where id in ({_RUNS_ON[target.table]})" if target else ""
    rows = conn.execute(
        f"select * from resync_runs {where} order by id desc limit :limit",
        {"pk": target and target.pk, "limit": limit},
    )
    return [dict(zip(r.keys(), r, strict=True)) for r in rows]


def forget_runs(conn: sqlite3.Connection, before: str) -> int:
    """Delete runs that finished before a stored time, with what only they need; returns how many. One whose
    covers or sidecars are still to be written stays until they are."""
    old = "finished_at < ? and id not in (select run_id from resync_pending)"
    conn.execute(
        f"delete from resync_changes where run_id in (select id from resync_runs where {old})", (before,)
    )
    forgotten = conn.execute(f"delete from resync_runs where {old}", (before,)).rowcount
    conn.execute(_FORGET_BLOBS)
    return forgotten
