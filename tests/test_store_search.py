from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from datasette_shisho_resync.fields import GENRE, PERSON, PUBLISHER, SERIES, TAG, Entity
from datasette_shisho_resync.store.schema import SEARCH_TABLES, LibrarySchema, create_library, library_schema
from datasette_shisho_resync.store.search import (
    index_book,
    index_entity,
    index_series,
    insert_books,
    insert_entity,
    unindex_book,
    unindex_entity,
)

BOOK = 5
NAMED = (PERSON, GENRE, TAG, PUBLISHER, SERIES)


def add(conn: sqlite3.Connection, table: str, **columns: object) -> None:
    marks = ", ".join("cast(? as text)" if isinstance(value, bytes) else "?" for value in columns.values())
    conn.execute(f"insert into {table} ({', '.join(columns)}) values ({marks})", tuple(columns.values()))


def add_book(conn: sqlite3.Connection, pk: int, title: str, filepath: object, **more: object) -> None:
    sources = dict.fromkeys(("title_source", "sort_title", "sort_title_source", "author_source"), "")
    add(conn, "books", id=pk, library_id=1, title=title, filepath=filepath, **sources, **more)


def add_named(conn: sqlite3.Connection, entity: Entity, pk: int, name: str) -> None:
    more = {
        "persons": {"sort_name": f"{name}, sorted", "sort_name_source": ""},
        "series": {"name_source": "", "sort_name": "", "sort_name_source": "", "description": "Long"},
    }.get(entity.table, {})
    add(conn, entity.table, id=pk, library_id=1, name=name, **more)


def add_alias(conn: sqlite3.Connection, entity: Entity, pk: int, name: str) -> None:
    add(conn, entity.alias_table, library_id=1, name=name, **{entity.id_column: pk})


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """A library with one book that has some of everything; nothing of it is indexed."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_library(connection)
    add_book(connection, BOOK, "Good Omens", "/lib/Pratchett & Gaiman/Good Omens", subtitle="A Novel")
    for pk, name in enumerate(("Terry Pratchett", "Neil Gaiman", "Martin Jarvis"), 1):
        add_named(connection, PERSON, pk, name)
    for name in ("Pterry", "Neil Gaiman"):
        add_alias(connection, PERSON, 1, name)
    for order, person in enumerate((2, 1, 2), 1):
        add(connection, "authors", book_id=BOOK, person_id=person, sort_order=order, role=None)
    add(connection, "files", id=1, library_id=1, book_id=BOOK, filepath="/lib/x/b.m4b", file_type="m4b")
    add(connection, "files", id=2, library_id=1, book_id=BOOK, filepath="/lib/x/a.epub", file_type="epub")
    add(connection, "narrators", file_id=1, person_id=3, sort_order=1)
    add_named(connection, SERIES, 1, "Omens")
    add_alias(connection, SERIES, 1, "Presages")
    add(connection, "book_series", book_id=BOOK, series_id=1, sort_order=1)
    yield connection
    connection.close()


def rows(conn: sqlite3.Connection, table: str = "books_fts") -> list[tuple[object, ...]]:
    columns = ", ".join(SEARCH_TABLES[table])
    return conn.execute(f"select rowid, {columns} from {table} order by rowid").fetchall()


EXPECTED = (
    BOOK,
    1,
    "Good Omens",
    "/lib/Pratchett & Gaiman/Good Omens",
    "A Novel",
    "Neil Gaiman Terry Pratchett Pterry",
    "/lib/x/a.epub /lib/x/b.m4b",
    "Martin Jarvis",
    "Omens Presages",
)


def insert_book(conn: sqlite3.Connection, schema: LibrarySchema, pk: int) -> None:
    insert_books(conn, schema, (pk,))


def occupy_rowid(conn: sqlite3.Connection, rowid: int = BOOK) -> None:
    """Give a book's row id to another book's search row, as it is in a library that Shisho made."""
    conn.execute("insert into books_fts (rowid, book_id, title) values (?, 999, 'Another')", (rowid,))


def index_like_shisho(conn: sqlite3.Connection, rowid: int, pk: int = BOOK) -> None:
    """Write the book's search row at a row id that has nothing to do with its id."""
    schema = library_schema(conn)
    insert_book(conn, schema, pk)
    columns = ", ".join(SEARCH_TABLES["books_fts"])
    row = conn.execute(f"select {columns} from books_fts where rowid = ?", (pk,)).fetchone()
    conn.execute("delete from books_fts where rowid = ?", (pk,))
    marks = ", ".join("?" * (len(row) + 1))
    conn.execute(f"insert into books_fts (rowid, {columns}) values ({marks})", (rowid, *row))
    if rowid != pk:
        occupy_rowid(conn, pk)


@pytest.mark.parametrize("write", [index_book, insert_book])
def test_a_books_row_holds_everything_to_find_it_by(conn: sqlite3.Connection, write: object) -> None:
    write(conn, library_schema(conn), BOOK)  # type: ignore[operator]
    assert rows(conn) == [(BOOK, *EXPECTED)]


def test_a_second_run_writes_nothing(conn: sqlite3.Connection) -> None:
    schema = library_schema(conn)
    assert index_book(conn, schema, BOOK)
    assert index_series(conn, schema, 1)
    before = conn.total_changes
    assert not index_book(conn, schema, BOOK)
    assert not index_series(conn, schema, 1)
    assert conn.total_changes == before


@pytest.mark.parametrize(
    "change",
    [
        "select 1",
        "update books set title = 'Bad Omens' where id = 5",
        "update books set filepath = '/lib/elsewhere' where id = 5",
        "update books set title = 'Bad', filepath = '/new' where id = 5",
        "update books set title = '', filepath = '\"*' where id = 5",
        "update files set filepath = '/lib/y' || id",
        "delete from authors",
    ],
)
@pytest.mark.parametrize("rowid", [BOOK, 41])
def test_a_row_is_found_whatever_changed_and_written_once(
    conn: sqlite3.Connection, change: str, rowid: int
) -> None:
    index_like_shisho(conn, rowid)
    add_book(conn, 6, "Good Omens", "/lib/Pratchett & Gaiman/Good Omens/Extras")
    insert_book(conn, library_schema(conn), 6)
    conn.execute(change)
    schema = library_schema(conn)
    assert index_book(conn, schema, BOOK) == (change != "select 1")
    title, path = conn.execute("select title, filepath from books where id = ?", (BOOK,)).fetchone()
    found = conn.execute("select rowid, title, filepath from books_fts where book_id = ?", (BOOK,)).fetchall()
    assert found == [(rowid, title, path)]
    assert not index_book(conn, schema, BOOK)


def test_a_row_takes_its_own_row_id_when_that_is_free(conn: sqlite3.Connection) -> None:
    index_like_shisho(conn, 41)
    conn.execute("delete from books_fts where rowid = ?", (BOOK,))
    conn.execute("update books set title = 'Bad Omens'")
    assert index_book(conn, library_schema(conn), BOOK)
    assert [row[0] for row in rows(conn)] == [BOOK]


def test_a_new_row_leaves_another_books_row_alone(conn: sqlite3.Connection) -> None:
    occupy_rowid(conn)
    insert_book(conn, library_schema(conn), BOOK)
    assert [row[1] for row in rows(conn)] == [999, BOOK]
    assert not index_book(conn, library_schema(conn), BOOK)


def test_rows_written_together_take_no_place_from_each_other(conn: sqlite3.Connection) -> None:
    for pk in (6, 7):
        add_book(conn, pk, f"Book {pk}", f"/lib/{pk}")
    occupy_rowid(conn, 6)
    insert_books(conn, library_schema(conn), (BOOK, 6, 7, 999_999))
    placed = conn.execute("select book_id, rowid from books_fts where book_id <> 999 order by 1").fetchall()
    assert [tuple(row) for row in placed] == [(BOOK, BOOK), (6, 8), (7, 7)]


def test_ids_stored_as_text_are_found(conn: sqlite3.Connection) -> None:
    conn.execute("insert into books_fts (rowid, book_id, title) values (77, ?, 'Old')", (str(BOOK),))
    assert index_book(conn, library_schema(conn), BOOK)
    assert len(rows(conn)) == 1


@pytest.mark.parametrize("rowid", [BOOK, 41])
@pytest.mark.parametrize("book_is_there", [True, False])
@pytest.mark.parametrize("remove", [unindex_book, index_book])
def test_a_removed_books_row_goes(
    conn: sqlite3.Connection, rowid: int, book_is_there: bool, remove: object
) -> None:
    index_like_shisho(conn, rowid)
    if not book_is_there or remove is index_book:
        conn.execute("delete from books")
    schema = library_schema(conn)
    assert remove(conn, schema, BOOK)  # type: ignore[operator]
    assert BOOK not in [row[1] for row in rows(conn)]
    assert not remove(conn, schema, BOOK)  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        '"',
        "*",
        "a AND",
        "col:x",
        "^a",
        "NEAR(",
        "a\x00b",
        "…",
        "e\u0301/\u0301x",
        "日本語 の本",
        "x" * 5000,
        "-",
        "{}",
    ],
)
def test_any_text_can_be_searched_for(conn: sqlite3.Connection, text: str) -> None:
    conn.execute("update books set title = ?, filepath = '/lib/' || ?", (text, text))
    index_like_shisho(conn, 41)
    schema = library_schema(conn)
    assert not index_book(conn, schema, BOOK)
    conn.execute("update books set subtitle = 'Other'")
    assert index_book(conn, schema, BOOK)
    assert [row[0] for row in rows(conn)] == [BOOK, 41]


@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_paths_that_are_not_utf_8_keep_their_bytes(conn: sqlite3.Connection, errors: str) -> None:
    conn.text_factory = lambda data: data.decode("utf-8", errors)
    path = b"/lib/caf\xe9/x"
    conn.execute("update books set filepath = cast(? as text)", (path,))
    conn.execute("update files set filepath = cast(? as text) where id = 2", (path + b".epub",))
    schema = library_schema(conn)
    assert index_book(conn, schema, BOOK)
    assert conn.execute("select cast(filepath as blob) from books_fts").fetchone() == (path,)
    assert not index_book(conn, schema, BOOK)


@pytest.mark.parametrize("entity", NAMED, ids=lambda e: e.table)
def test_a_named_row_is_found_by_its_aliases(conn: sqlite3.Connection, entity: Entity) -> None:
    schema = library_schema(conn)
    add_named(conn, entity, 9, "Real Name")
    insert_entity(conn, schema, entity, 9)
    add_alias(conn, entity, 9, "Pen Name")
    assert index_entity(conn, schema, entity, 9)
    assert not index_entity(conn, schema, entity, 9)
    table = entity.search_table
    found = f"select {entity.id_column}, name from {table} where {table} match 'pen'"
    assert conn.execute(found).fetchall() == [(9, "Real Name Pen Name")]


@pytest.mark.parametrize("entity", NAMED, ids=lambda e: e.table)
@pytest.mark.parametrize("row_is_there", [True, False])
def test_a_removed_named_row_goes(conn: sqlite3.Connection, entity: Entity, row_is_there: bool) -> None:
    schema = library_schema(conn)
    add_named(conn, entity, 9, "Real Name")
    index_entity(conn, schema, entity, 9)
    if not row_is_there:
        conn.execute(f"delete from {entity.table} where id = 9")
    assert unindex_entity(conn, schema, entity, 9)
    assert rows(conn, entity.search_table) == []


def test_a_person_is_found_by_sort_name_too(conn: sqlite3.Connection) -> None:
    index_entity(conn, library_schema(conn), PERSON, 1)
    expected = (1, 1, 1, "Terry Pratchett Pterry Neil Gaiman", "Terry Pratchett, sorted")
    assert rows(conn, "persons_fts") == [expected]


def test_a_series_row_tells_of_its_books(conn: sqlite3.Connection) -> None:
    add_book(conn, 6, "More Omens", "/lib/6")
    add(conn, "book_series", book_id=6, series_id=1, sort_order=1)
    add(conn, "authors", book_id=6, person_id=3, sort_order=1)
    assert index_series(conn, library_schema(conn), 1)
    authors = "Neil Gaiman Terry Pratchett Martin Jarvis"
    assert rows(conn, "series_fts") == [
        (1, 1, 1, "Omens Presages", "Long", "Good Omens More Omens", authors),
    ]
    conn.execute("delete from book_series where book_id = ?", (BOOK,))
    assert index_series(conn, library_schema(conn), 1)
    assert rows(conn, "series_fts")[0][5:] == ("More Omens", "Martin Jarvis")


@pytest.mark.parametrize("table", ["persons_fts", "books_fts"])
def test_full_text_tables_that_are_missing_are_left_out(conn: sqlite3.Connection, table: str) -> None:
    conn.execute(f"drop table {table}")
    schema = library_schema(conn)
    for write in (index_book, insert_book, unindex_book):
        write(conn, schema, BOOK)
    for write_entity in (index_entity, insert_entity, unindex_entity):
        write_entity(conn, schema, PERSON, 1)


def test_an_older_library_is_indexed_by_what_it_has(conn: sqlite3.Connection) -> None:
    for table in ("person_aliases", "narrators", "book_series", "series", "books_fts"):
        conn.execute(f"drop table {table}")
    conn.execute("alter table books drop column subtitle")
    conn.execute("create virtual table books_fts using fts5(book_id unindexed, title, authors, subtitle)")
    schema = library_schema(conn)
    assert index_book(conn, schema, BOOK)
    row = conn.execute("select * from books_fts").fetchone()
    assert row == (BOOK, "Good Omens", "Neil Gaiman Terry Pratchett", "")
    assert not index_book(conn, schema, BOOK)
    assert not index_series(conn, schema, 1)


def test_a_matched_row_is_found_without_reading_the_table(conn: sqlite3.Connection) -> None:
    """Counts SQLite's steps: reading the 3,000 rows before it takes more than one for each."""
    schema = library_schema(conn)
    index_like_shisho(conn, 9000)
    few = count_steps(conn, schema)
    conn.executemany(
        "insert into books_fts (rowid, title, filepath) values (?, 'Good Book', '/lib/Pratchett/' || ?)",
        [(1000 + n, n) for n in range(3000)],
    )
    assert count_steps(conn, schema) < few + 3000


def count_steps(conn: sqlite3.Connection, schema: LibrarySchema) -> int:
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    conn.set_progress_handler(tick, 1)
    assert not index_book(conn, schema, BOOK)
    conn.set_progress_handler(None, 0)
    return count
