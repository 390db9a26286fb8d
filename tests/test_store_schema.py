from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datasette_shisho_resync.errors import (
    DatabaseBusy,
    NotALibrary,
    ReadOnlyDatabase,
    ResyncError,
    StorageFailed,
)
from datasette_shisho_resync.fields import ENTITIES, FIELDS, GENRE
from datasette_shisho_resync.store.schema import (
    HISTORY_TABLES,
    LIBRARY_TABLES,
    SEARCH_TABLES,
    KnownSchema,
    create_history,
    create_library,
    exact_text,
    insert_rows,
    is_empty,
    library_schema,
    many_rows,
    open_library,
    open_to_read,
    quoted,
    sql_text,
    translate,
)
from datasette_shisho_resync.store.times import from_stored


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_library(connection)
    yield connection
    connection.close()


def make_library(path: Path) -> None:
    connection = open_library(str(path), create=True)
    create_library(connection)
    connection.close()


def test_a_new_library_has_every_table_and_is_one(conn: sqlite3.Connection) -> None:
    schema = library_schema(conn)
    schema.require("other.db")
    assert set(schema.columns) == {*LIBRARY_TABLES, *SEARCH_TABLES}
    assert schema.fields == FIELDS
    assert schema.entities == schema.aliased == ENTITIES
    assert not schema.has_history


def test_creating_a_library_leaves_the_callers_transaction_open() -> None:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("begin")
    create_library(conn)
    create_history(conn)
    conn.execute("rollback")
    assert is_empty(conn)
    conn.close()


@pytest.mark.parametrize(
    ("table", "column", "expected"),
    [
        ("books", "id", ("integer", 0, None, 1)),
        ("books", "created_at", ("timestamptz", 1, "current_timestamp", 0)),
        ("books", "author_source", ("text", 1, None, 0)),
        ("books", "subtitle", ("text", 0, None, 0)),
        ("library_paths", "library_id", ("text", 1, None, 0)),
        ("libraries", "organize_file_structure", ("boolean", 1, "true", 0)),
        ("libraries", "download_format_preference", ("text", 1, "'original'", 0)),
        ("files", "file_role", ("text", 1, "'main'", 0)),
        ("files", "filesize_bytes", ("integer", 1, "0", 0)),
        ("files", "release_date", ("timestamptz", 0, None, 0)),
        ("files", "audiobook_duration_seconds", ("real", 0, None, 0)),
        ("files", "is_preferred_cover", ("boolean", 1, "false", 0)),
        ("book_series", "series_number", ("real", 0, None, 0)),
        ("authors", "role", ("text", 0, None, 0)),
        ("app_settings", "key", ("text", 0, None, 1)),
    ],
)
def test_columns_are_shishos(
    conn: sqlite3.Connection, table: str, column: str, expected: tuple[object, ...]
) -> None:
    row = conn.execute(
        'select lower(type), "notnull", lower(dflt_value), pk from pragma_table_info(?) where name = ?',
        (table, column),
    ).fetchone()
    assert row == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("books", {("library_id", "libraries", "CASCADE")}),
        ("files", {("book_id", "books", "CASCADE"), ("publisher_id", "publishers", "SET NULL")}),
        ("library_paths", {("library_id", "libraries", "CASCADE")}),
        ("publishers", {("library_id", "libraries", "CASCADE"), ("parent_id", "publishers", "SET NULL")}),
        ("chapters", {("file_id", "files", "CASCADE"), ("parent_id", "chapters", "CASCADE")}),
        ("narrators", {("file_id", "files", "CASCADE"), ("person_id", "persons", "CASCADE")}),
        ("genre_aliases", {("genre_id", "genres", "CASCADE"), ("library_id", "libraries", "CASCADE")}),
    ],
)
def test_foreign_keys_are_shishos(
    conn: sqlite3.Connection, table: str, expected: set[tuple[str, str, str]]
) -> None:
    rows = conn.execute('select "from", "table", on_delete from pragma_foreign_key_list(?)', (table,))
    assert set(rows) == expected


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("persons", "library_id, name, sort_name, sort_name_source"),
        ("series_aliases", "library_id, name, series_id, created_at"),
    ],
)
def test_names_are_unique_in_a_library_whatever_their_case(
    conn: sqlite3.Connection, table: str, columns: str
) -> None:
    insert = f"insert into {table} ({columns}) values (?, ?, 1, 1)"
    conn.execute(insert, (1, "Ann"))
    conn.execute(insert, (2, "ANN"))
    with pytest.raises(sqlite3.IntegrityError):
        conn.execute(insert, (1, "ANN"))


@pytest.mark.parametrize(
    ("table", "columns", "values"),
    [
        (
            "books",
            "library_id, filepath, title, title_source, sort_title, sort_title_source, author_source",
            "1, '/b', 't', '', 't', '', ''",
        ),
        ("files", "library_id, book_id, filepath, file_type", "1, 1, '/f', 'epub'"),
        ("file_identifiers", "file_id, type, value, source", "1, 'asin', 'B0', ''"),
        ("book_tags", "book_id, tag_id", "1, 1"),
        ("file_fingerprints", "file_id, algorithm, value", "1, 'sha256', 'ab'"),
        ("authors", "book_id, person_id, sort_order, role", "1, 1, 1, 'writer'"),
    ],
)
def test_rows_that_must_be_unique_are(
    conn: sqlite3.Connection, table: str, columns: str, values: str
) -> None:
    conn.execute(f"insert into {table} ({columns}) values ({values})")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        conn.execute(f"insert into {table} ({columns}) values ({values})")


@pytest.mark.parametrize(
    "query",
    [
        "select 1 from authors where person_id = 1",
        "select 1 from narrators where person_id = 1",
        "select 1 from book_series where series_id = 1",
        "select 1 from book_genres where genre_id = 1",
        "select 1 from book_tags where tag_id = 1",
        "select 1 from files where publisher_id = 1",
        "select 1 from publishers where parent_id = 1",
        "select 1 from person_aliases where person_id = 1",
        "select 1 from chapters where parent_id = 1",
        "select 1 from files where book_id = 1",
        "select 1 from files where filepath = 'x'",
        "select 1 from persons where name = 'x' collate nocase and library_id = 1",
    ],
)
def test_no_look_up_reads_a_whole_table(conn: sqlite3.Connection, query: str) -> None:
    (plan,) = conn.execute(f"explain query plan {query}").fetchall()
    assert plan[3].startswith("SEARCH")


def test_the_full_text_tables_keep_ids_out_of_the_index(conn: sqlite3.Connection) -> None:
    conn.execute("insert into genres_fts (genre_id, library_id, name) values (77, 88, 'Über Öl')")
    found = "select genre_id from genres_fts where genres_fts match ?"
    assert conn.execute(found, ("ube* ol",)).fetchall() == [(77,)]
    assert conn.execute(found, ("77 or 88",)).fetchall() == []


def test_review_criteria_are_seeded(conn: sqlite3.Connection) -> None:
    key, value, updated_at = conn.execute("select * from app_settings").fetchone()
    assert key == "review_criteria"
    assert value == '{"audio_fields":["narrators"],"book_fields":["authors","description","cover","genres"]}'
    assert from_stored(updated_at) is not None
    assert updated_at.endswith("+00:00")


def test_history_can_be_created_again(conn: sqlite3.Connection) -> None:
    create_history(conn)
    create_history(conn)
    assert library_schema(conn).has_history
    assert set(library_schema(conn).columns) >= set(HISTORY_TABLES)


@pytest.mark.parametrize("value", [7, 7.5, "7", b"\xff", None])
def test_history_keeps_the_type_of_a_value(conn: sqlite3.Connection, value: object) -> None:
    create_history(conn)
    conn.execute(
        """
        insert into resync_changes (run_id, table_name, row_pk, field, old_value, new_value, reason)
        values (1, 'files', 1, 'page_count', ?, ?, 'forced')
        """,
        (value, value),
    )
    row = conn.execute("select old_value, new_value from resync_changes").fetchone()
    assert repr(row) == repr((value, value))


def test_an_older_library_works_without_the_fields_it_lacks(conn: sqlite3.Connection) -> None:
    conn.execute("drop index ix_files_language")
    conn.execute("alter table files drop column language")
    conn.execute("alter table files drop column abridged_source")
    for table in ("chapters", "tags", "genre_aliases", "publishers_fts"):
        conn.execute(f"drop table {table}")
    schema = library_schema(conn)
    schema.require("other.db")
    gone = {f.name for f in FIELDS} - {f.name for f in schema.fields}
    assert gone == {"language", "abridged", "chapters", "tags"}
    assert GENRE in schema.entities
    assert GENRE not in schema.aliased
    assert not schema.has("publishers_fts")
    assert not schema.has("files", "language")


def test_another_database_is_no_library_and_the_message_says_why() -> None:
    conn = sqlite3.connect(":memory:")
    conn.execute("create table books (id integer primary key, title text)")
    schema = library_schema(conn)
    conn.close()
    with pytest.raises(NotALibrary) as caught:
        schema.require("other.db")
    assert caught.value.message == (
        "other.db: it is not a Shisho library, it lacks books.library_id, books.filepath, "
        "books.title_source, files, libraries, library_paths."
    )


def test_a_library_of_our_own_is_made_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "new #1 %41?.db"
    make_library(path)
    conn = open_library(str(path))
    assert conn.execute("pragma journal_mode").fetchone()[0] == "wal"
    assert conn.isolation_level is None
    assert conn.execute("select 1 as one").fetchone()["one"] == 1
    conn.close()


def test_an_existing_library_keeps_its_journal_mode(tmp_path: Path) -> None:
    path = tmp_path / "lib.db"
    plain = sqlite3.connect(path)
    create_library(plain)
    plain.commit()
    plain.close()
    conn = open_library(str(path), create=True)
    assert conn.execute("pragma journal_mode").fetchone()[0] == "delete"
    assert not is_empty(conn)
    conn.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no such database"),
        (b"", "the database is empty"),
        (b"PK\x03\x04" * 500, "it is not a SQLite database"),
    ],
)
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "lib.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotALibrary, match=reason) as caught:
        open_library(str(path))
    assert str(path) in caught.value.message


def test_a_library_is_made_in_a_folder_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "none" / "lib.db"
    with pytest.raises(NotALibrary, match=r"there is no folder .*/none"):
        open_library(str(path), create=True)
    assert not path.parent.exists()


def test_a_locked_database_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "lib.db"
    plain = sqlite3.connect(path, isolation_level=None)
    create_library(plain)
    plain.execute("begin exclusive")
    with pytest.raises(DatabaseBusy, match="another program"):
        open_library(str(path), timeout_seconds=0)
    plain.close()


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("database is locked", DatabaseBusy),
        ("database table is locked: books", DatabaseBusy),
        ("interrupted", DatabaseBusy),
        ("attempt to write a readonly database", ReadOnlyDatabase),
        ("file is not a database", NotALibrary),
        ("database disk image is malformed", NotALibrary),
        ("no such column: title_source", NotALibrary),
        ("database or disk is full", StorageFailed),
        ("something new", ResyncError),
    ],
)
def test_errors_of_sqlite_become_ours(message: str, kind: type[ResyncError]) -> None:
    error = translate(sqlite3.OperationalError(message), "shisho")
    assert type(error) is kind
    assert error.message.startswith("shisho: ")


def test_exact_text_keeps_every_byte_and_goes_again(conn: sqlite3.Connection) -> None:
    conn.text_factory = lambda data: data.decode("utf-8", "replace")
    conn.execute(
        "insert into library_paths (library_id, filepath) values (1, cast(? as text))", (b"/a\xff\xc3\xa9",)
    )
    select = "select filepath from library_paths"
    with exact_text(conn):
        assert conn.execute(select).fetchone() == ("/a\udcffé",)
    assert conn.execute(select).fetchone() == ("/a\ufffdé",)


@pytest.mark.parametrize("count", [0, 1, 332, 333, 334, 1000])
def test_rows_are_inserted_many_at_once_and_none_is_left_out(conn: sqlite3.Connection, count: int) -> None:
    conn.execute("create table t (a integer, b text, c text)")
    rows = [(number, f"b{number}", f"c{number}") for number in range(count)]
    insert_rows(conn, "insert into t (a, b, c)", "(?, cast(? as text), ?)", rows)
    assert [tuple(row) for row in conn.execute("select a, b, c from t order by rowid")] == rows


@pytest.mark.parametrize("paths", [(), (b"/a", "/é".encode()), (b"/a", b"/b\xff", b"/c"), (b"/b\xff",)])
def test_many_rows_have_exact_text_too(conn: sqlite3.Connection, paths: tuple[bytes, ...]) -> None:
    former = conn.text_factory = lambda data: data.decode("utf-8", "replace")
    conn.row_factory = sqlite3.Row
    for path in paths:
        conn.execute("insert into library_paths (library_id, filepath) values (1, cast(? as text))", (path,))
    rows = many_rows(conn, "select id, filepath from library_paths where id > ? order by id", (0,))
    assert rows == [(i, os.fsdecode(path)) for i, path in enumerate(paths, 1)]
    assert conn.text_factory is former
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        many_rows(conn, "select * from nowhere", ())
    assert conn.text_factory is former


def test_a_library_opened_to_read_is_never_written_nor_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "library.db")
    make_library(tmp_path / "library.db")
    with closing(open_library(path)) as writer:
        writer.execute("pragma journal_mode = delete")
        with closing(open_to_read(path)) as reader:
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.execute("delete from libraries")
            writer.execute("begin exclusive")
            began = time.monotonic()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                reader.execute("select * from libraries")
            assert time.monotonic() - began < 2


def test_a_schema_is_looked_at_again_when_it_changed(conn: sqlite3.Connection) -> None:
    known = KnownSchema()
    first = known(conn)
    assert known(conn) is first
    conn.execute("begin")
    conn.execute("alter table books drop column subtitle_source")
    assert not known(conn).has("books", "subtitle_source")
    conn.execute("rollback")
    conn.execute("alter table books drop column genre_source")  # the number that was rolled back
    assert known(conn).has("books", "subtitle_source")
    assert not known(conn).has("books", "genre_source")


@pytest.mark.parametrize("value", ["", "plain", "é 本", "/a\udcff", "é\udce9\udcffx"])
def test_any_path_is_stored_byte_for_byte(conn: sqlite3.Connection, value: str) -> None:
    stored = conn.execute("select cast(cast(? as text) as blob)", (sql_text(value),)).fetchone()[0]
    assert stored == value.encode("utf-8", "surrogateescape")


def test_a_surrogate_that_is_no_byte_does_not_stop_a_write(conn: sqlite3.Connection) -> None:
    assert conn.execute("select cast(? as text)", (sql_text("a\ud800b"),)).fetchone() == ("a?b",)


@pytest.mark.parametrize("name", ["order", 'a"b', "drop table x; --", "é"])
def test_any_name_can_be_quoted(conn: sqlite3.Connection, name: str) -> None:
    conn.execute(f"create table {quoted(name)} ({quoted(name)})")
    assert conn.execute("select name from sqlite_master where name = ?", (name,)).fetchone() == (name,)
