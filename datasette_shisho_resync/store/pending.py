"""What a committed run has still to do beside the database, sidecars as last read or written, and every
cover that was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from .lookup import below
from .schema import insert_rows, many_rows, sql_text, stored_text
from .times import from_stored, now, to_stored
from .waiting import WaitingRows

COVER, SIDECAR = "cover", "sidecar"
Coming = Callable[[str], frozenset[str]]
PendingKey = tuple[int, int]  # (id, run id): SQLite gives the id of a row that is gone again
UNREAD = ""  # in the place of a hash: what is beside the file is known when its book was read again


@dataclass(frozen=True, slots=True)
class Pending:
    """A file to be written: `path` in stored form, `sha256` of what it will hold, `old_sha256` of what
    it held when the run was planned (None: nothing)."""

    id: int
    run_id: int
    path: str
    kind: str
    sha256: str
    old_sha256: str | None

    @property
    def key(self) -> PendingKey:
        return self.id, self.run_id


def add_pending(
    rows: WaitingRows, run_id: int, files: Sequence[tuple[str, str, str, str | None]]
) -> list[PendingKey]:
    """Note files, (path, kind, sha256, old_sha256), as still to be written; returns the rows' keys."""
    told = [
        {"run_id": run_id, "path": path, "kind": kind, "sha256": sha256, "old_sha256": old_sha256}
        for path, kind, sha256, old_sha256 in files
    ]
    return [(rows.insert("resync_pending", columns), run_id) for columns in told]


def what_is_to_come(conn: sqlite3.Connection) -> Coming:
    """Return what tells which contents runs that are recorded may yet write to the place of a cover or
    sidecar. It looks once for each: good for one run, until that is recorded."""

    def hashes_to_come(path: str) -> frozenset[str]:
        found = "select sha256 from resync_pending where path = cast(? as text)"
        return frozenset(row[0] for row in conn.execute(found, (sql_text(path),))) - {UNREAD}

    return cache(hashes_to_come)


def nothing_comes(path: str) -> frozenset[str]:
    """Tell that nobody is known to write there."""
    return frozenset()


def load_pending(conn: sqlite3.Connection) -> tuple[Pending, ...]:
    rows = conn.execute("select id, run_id, path, kind, sha256, old_sha256 from resync_pending order by id")
    return tuple(Pending(*row) for row in rows)


def remove_pending(conn: sqlite3.Connection, keys: Iterable[PendingKey]) -> None:
    conn.executemany("delete from resync_pending where id = ? and run_id = ?", keys)


def note_sidecars(
    conn: sqlite3.Connection, path: str, hashes: Sequence[str], *, is_written: bool = False
) -> None:
    """Remember a sidecar's contents as no news; what was remembered of this path before is forgotten.

    Writes nothing when just these are remembered already, unless the file is written anew.
    """
    if not is_written and _hashes_at(conn, path) == set(hashes):
        return
    conn.execute("delete from resync_sidecars where path = cast(? as text)", (sql_text(path),))
    conn.executemany(
        "insert or ignore into resync_sidecars (path, sha256, seen_at) values (cast(? as text), ?, ?)",
        [(sql_text(path), sha256, now()) for sha256 in hashes],
    )


def _hashes_at(conn: sqlite3.Connection, path: str) -> set[str]:
    rows = conn.execute("select sha256 from resync_sidecars where path = cast(? as text)", (sql_text(path),))
    return {row[0] for row in rows}


def add_seen(conn: sqlite3.Connection, seen: Sequence[tuple[str, str]]) -> None:
    """Remember contents, (path, sha256), of covers or of the sidecars of new files, beside those that are
    remembered of these paths, which may be the same."""
    timestamp = now()
    insert_rows(
        conn,
        "insert or replace into resync_sidecars (path, sha256, seen_at)",
        "(cast(? as text), ?, ?)",
        [(sql_text(path), sha256, timestamp) for path, sha256 in seen],
    )


def also_seen_at(conn: sqlite3.Connection, moves: Sequence[tuple[str, str]]) -> None:
    """Remember covers and sidecars also at the paths, (old, new), to which they may have been moved."""
    conn.executemany(
        """
        insert or ignore into resync_sidecars (path, sha256, seen_at)
        select cast(? as text), sha256, seen_at
        from resync_sidecars
        where path = cast(? as text)
        """,
        [(sql_text(new), sql_text(old)) for old, new in moves],
    )


def seen_sidecars(conn: sqlite3.Connection, folder: str) -> dict[str, int] | None:
    """Return when each sidecar below a folder was last seen, in microseconds since 1970; None where nothing
    is remembered."""
    if not conn.execute("select 1 from sqlite_master where name = 'resync_sidecars'").fetchone():
        return None
    rows = many_rows(
        conn,
        """
        select path, max(seen_at)
        from resync_sidecars
        where path > cast(? as text) and path < cast(? as text) and path like '%.json'
        group by path
        """,
        below(folder),
    )
    instants = {text: (from_stored(text) or 0) // 1000 for text in {row[1] for row in rows}}
    return {stored_text(path): instants[seen_at] for path, seen_at in rows}


def touch_sidecars(conn: sqlite3.Connection, paths: Sequence[str], seen_ns: int) -> None:
    """Remember that the known ones of these sidecars were looked at, at this time."""
    conn.executemany(
        "update resync_sidecars set seen_at = ? where path = cast(? as text) and seen_at < ?",
        [(to_stored(seen_ns), sql_text(path), to_stored(seen_ns)) for path in paths],
    )
