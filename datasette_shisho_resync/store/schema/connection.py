"""Connections to a library: opening one, exact text, and SQLite's errors in our words.

Knows nothing of tables but whether there are any.
"""

from __future__ import annotations

import functools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote

from ...errors import DatabaseBusy, NotALibrary, ReadOnlyDatabase, ResyncError, StorageFailed

_CACHE_KIB = 32 * 1024
_MOST_VALUES = 999  # of one statement, in any SQLite
_RARE_CHECKPOINT_PAGES = 16_384
_CACHED_STATEMENTS = 512

decode_exactly = functools.partial(str, encoding="utf-8", errors="surrogateescape")
"""Turns SQLite's bytes into text and keeps those that are not UTF-8 as surrogates."""

_TRANSLATIONS: tuple[tuple[str, type[ResyncError], str], ...] = (
    ("is locked", DatabaseBusy, "another program is writing to it; try again"),
    ("interrupted", DatabaseBusy, "the work on it was interrupted; try again"),
    ("readonly", ReadOnlyDatabase, "it can't be written"),
    ("not a database", NotALibrary, "it is not a SQLite database"),
    ("malformed", NotALibrary, "it is damaged"),
    ("no such table", NotALibrary, "a table of a Shisho library is missing"),
    ("no such column", NotALibrary, "a column of a Shisho library is missing"),
    ("no column named", NotALibrary, "a column of a Shisho library is missing"),
    ("unable to open", NotALibrary, "it can't be opened; SQLite must be able to keep its log beside it"),
    ("is full", StorageFailed, "there is no room left on the disk"),
    ("disk I/O", StorageFailed, "its disk is full or fails"),
)


def open_library(path: str, *, create: bool = False, timeout_seconds: float = 5.0) -> sqlite3.Connection:
    """Open a library for reading and writing, without implicit transactions and with exact text.

    With `create`, a missing or empty file is fine too: it becomes a database without tables, in WAL mode, for
    `create_library`. An existing one keeps its journal mode; foreign keys stay off, as SQLite has it. One on
    read-only media can be read, and raises ReadOnlyDatabase when it shall be written.

    Raises: NotALibrary for what is missing, empty or no database; DatabaseBusy.
    """
    if not create and _is_missing(path):
        raise NotALibrary(f"{path}: there is no such database.")
    folder = os.path.dirname(path)
    if create and folder and not os.path.isdir(folder):
        raise NotALibrary(f"{path}: there is no folder {folder}.")
    try:
        return _connected(path, "rwc" if create else "rw", create, timeout_seconds)
    except sqlite3.Error as error:
        if not _is_at_rest(path):
            raise _refusal(error, path) from error
    try:
        return _connected(path, "ro&immutable=1", False, timeout_seconds)
    except sqlite3.Error as error:
        raise _refusal(error, path) from error


def open_to_read(path: str) -> sqlite3.Connection:
    """Open a library that others write. A query that would have to wait for them fails at once instead.

    Raises NotALibrary, DatabaseBusy.
    """
    try:
        return _connected(path, "ro", False, 0.0)
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _connected(path: str, mode: str, create: bool, timeout_seconds: float) -> sqlite3.Connection:
    conn = sqlite3.connect(
        f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={mode}",
        uri=True,
        timeout=timeout_seconds,
        isolation_level=None,
        cached_statements=_CACHED_STATEMENTS,
    )
    with ExitStack() as on_failure:
        on_failure.callback(conn.close)
        _prepare(conn, path, create)
        on_failure.pop_all()
    return conn


def _is_at_rest(path: str) -> bool:
    """Tell whether all of a database is in its one file and nobody here can add to it: SQLite wants to keep
    the log of one in WAL mode beside it even to read, but need not."""
    folder = os.path.dirname(os.path.abspath(path))
    return os.path.isfile(path) and not os.path.exists(f"{path}-wal") and not _may(folder, os.W_OK)


def _refusal(error: sqlite3.Error, path: str) -> ResyncError:
    """Return what is wrong with the file, for which SQLite has one word, else what SQLite says."""
    if os.path.isdir(path):
        return NotALibrary(f"{path}: it is a folder.")
    if not _is_missing(path) and not _may(path, os.R_OK):
        return NotALibrary(f"{path}: it may not be read.")
    return translate(error, path)


def _may(path: str, right: int) -> bool:
    return os.access(path, right, effective_ids=os.access in os.supports_effective_ids)


def _is_missing(path: str) -> bool:
    """Tell whether there is no such file; one in a folder that nobody here may enter could be there."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def _prepare(conn: sqlite3.Connection, path: str, create: bool) -> None:
    conn.row_factory = sqlite3.Row
    conn.text_factory = decode_exactly
    conn.execute(f"pragma cache_size = -{_CACHE_KIB}")
    if is_empty(conn):
        if not create:
            raise NotALibrary(f"{path}: the database is empty.")
        conn.execute("pragma journal_mode = wal")
    journal_mode = conn.execute("pragma journal_mode").fetchone()[0]
    if journal_mode == "wal":
        conn.execute("pragma synchronous = normal")


def is_empty(conn: sqlite3.Connection) -> bool:
    """Tell whether the database has nothing in it, so that `create_library` may be called."""
    return conn.execute("select 1 from main.sqlite_master limit 1").fetchone() is None


def translate(error: sqlite3.Error, database: str) -> ResyncError:
    """Put an error of SQLite into our words; `database` is its name or path as shown to people."""
    text = str(error)
    for fragment, kind, reason in _TRANSLATIONS:
        if fragment in text:
            detail = f" ({text})" if fragment.startswith("no ") else ""
            return kind(f"{database}: {reason}{detail}.")
    return ResyncError(f"{database}: {text}.")


@contextmanager
def exact_text(conn: sqlite3.Connection) -> Iterator[None]:
    """Read text byte for byte for a while, whatever the connection did before: Datasette's replace bytes."""
    former = conn.text_factory
    conn.text_factory = decode_exactly
    try:
        yield
    finally:
        conn.text_factory = former


def many_rows(conn: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return all rows of a query, with exact text, in half the time of `exact_text` if all of it is UTF-8."""
    former = conn.text_factory
    cursor = conn.cursor()
    cursor.row_factory = None
    try:
        conn.text_factory = str
        return cursor.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        conn.text_factory = decode_exactly
        return cursor.execute(sql, parameters).fetchall()
    finally:
        conn.text_factory = former


def insert_rows(conn: sqlite3.Connection, insert: str, marks: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows by `insert`, a statement up to its `values`, with `marks` for each: many at once, which
    takes half the time of one by one, and lets another thread in between less often."""
    together = max(1, _MOST_VALUES // marks.count("?"))
    end = len(rows) // together * together
    for start in range(0, end, together):
        values = [value for row in rows[start : start + together] for value in row]
        conn.execute(f"{insert} values {', '.join([marks] * together)}", values)
    conn.executemany(f"{insert} values {marks}", rows[end:])


@contextmanager
def rare_checkpoints(conn: sqlite3.Connection) -> Iterator[None]:
    """Let the write-ahead log grow for a while: each checkpoint waits until the disk has all that was
    written, which in a scan are also thousands of covers and sidecars."""
    former = conn.execute("pragma wal_autocheckpoint").fetchone()[0]
    conn.execute(f"pragma wal_autocheckpoint = {_RARE_CHECKPOINT_PAGES}")
    try:
        yield
    finally:
        conn.execute(f"pragma wal_autocheckpoint = {former}")


def sql_text(value: str | bytes) -> str | bytes:
    """Prepare a text for `cast(? as text)`: bytes when it holds surrogates, which can't be bound as text."""
    if isinstance(value, bytes) or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return _encoded(value)
    return value


def _encoded(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return value.encode("utf-8", "replace")


def stored_text(value: Any) -> str:
    """Return the text of a cell that should hold text: SQLite lets any column hold bytes."""
    return decode_exactly(value) if isinstance(value, bytes) else str(value)


def shown_cell(value: Any) -> Any:
    """Return a cell for comparing and showing: bytes, which can only be a mistake, as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


_MOST_DIGITS = 19  # of an id that SQLite surely holds


def stored_id(value: Any, table: str, column: str) -> int:
    """Return the id in a cell that should hold one, as a number or, in older libraries, as text.

    Nothing is rounded or trimmed: a row is found again only by what SQLite takes for equal.

    Raises `NotALibrary`.
    """
    if isinstance(value, int):
        return value
    is_short = isinstance(value, str) and len(value) < _MOST_DIGITS
    if is_short and value.isdecimal() and str(int(value)) == value:
        return int(value)
    raise NotALibrary(f"A row of {table} holds no id in the column {column}.")


def quoted(identifier: str) -> str:
    """Quote a table's or column's name for use in SQL."""
    return '"' + identifier.replace('"', '""') + '"'
