from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from datasette_shisho_resync.store.removal import doomed_rows, is_used, remove_rows, restore_row
from datasette_shisho_resync.store.schema.references import load_references

SCHEMA = """
create table books (id integer primary key, title text);
create table files (id integer primary key, book_id integer);
create table "Odd ""Name" (book integer references Books (id) on delete cascade, note text);
create table chapters (
    id integer primary key, file_id integer references files, parent_id integer references chapters (id)
);
create table loans (id integer primary key, book integer references books on delete set null);
insert into books values (1, 'One'), (2, 'Two');
insert into files values (1, 1), (2, 1), (3, 2);
insert into "Odd ""Name" values (1, 'hangs'), (2, 'stays');
insert into chapters values (1, 1, null), (2, 1, 1), (3, 3, null);
insert into loans values (1, 1), (2, 2);
"""


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.row_factory = sqlite3.Row
        conn.executescript(SCHEMA)
        yield conn


def everything(conn: sqlite3.Connection) -> list[str]:
    return list(conn.iterdump())


def test_references_are_those_declared_and_those_known_of_old(conn: sqlite3.Connection) -> None:
    found = {(r.parent, r.child, r.column, r.owns) for r in load_references(conn)}
    assert found == {
        ("books", "files", "book_id", True),  # known, though not declared
        ("books", 'Odd "Name', "book", True),
        ("files", "chapters", "file_id", True),
        ("chapters", "chapters", "parent_id", True),
        ("books", "loans", "book", False),
    }


def test_children_go_before_their_parents(conn: sqlite3.Connection) -> None:
    doomed = [(d.table, d.pk, d.column) for d in doomed_rows(conn, load_references(conn), [("books", 1)])]
    assert doomed.index(("chapters", 2, None)) < doomed.index(("chapters", 1, None))
    assert doomed.index(("chapters", 1, None)) < doomed.index(("files", 1, None))
    assert doomed[-1] == ("books", 1, None)
    assert ("loans", 1, "book") in doomed
    assert len(doomed) == len(set(doomed)) == 7


def test_what_hangs_on_many_rows_is_asked_for_together(conn: sqlite3.Connection) -> None:
    """A Shisho library has no index on the parents of chapters."""
    conn.execute("delete from chapters")
    conn.executemany(
        "insert into chapters values (?, 1, ?)", [(n, n - 1 if n % 5 else None) for n in range(1, 99)]
    )
    asked: list[str] = []
    conn.set_trace_callback(lambda sql: asked.append(sql) if '"parent_id" in' in sql else None)
    doomed = [
        row.pk for row in doomed_rows(conn, load_references(conn), [("files", 1)]) if row.table == "chapters"
    ]
    assert sorted(doomed) == list(range(1, 99))
    assert all(doomed.index(n) < doomed.index(n - 1) for n in doomed if n % 5 and n > 1)
    assert len(asked) == 1


@pytest.mark.parametrize("foreign_keys", ["on", "off"])
def test_rows_are_removed_and_come_back(conn: sqlite3.Connection, foreign_keys: str) -> None:
    conn.execute(f"pragma foreign_keys = {foreign_keys}")
    before = everything(conn)
    doomed = doomed_rows(conn, load_references(conn), [("books", 1)])
    remove_rows(conn, doomed)
    assert [row[0] for row in conn.execute("select id from files")] == [3]
    assert [tuple(row) for row in conn.execute("select * from loans")] == [(1, None), (2, 2)]
    for row in reversed([d for d in doomed if d.column is None]):
        restore_row(conn, row.table, row.pk, row.image.columns)
    conn.execute("update loans set book = 1 where id = 1")
    assert everything(conn) == before


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("book integer references books, lang text, primary key (lang, book)) without rowid", "1, 'en'"),
        ("id text primary key, book integer references books)", "'a', 1"),
        ("book integer references books, twice generated always as (book * 2) virtual)", "1"),
        ("book integer references books, twice generated always as (book * 2) stored)", "1"),
    ],
    ids=["without rowids", "text ids", "computed", "computed and stored"],
)  # fmt: skip
def test_rows_of_odd_tables_are_removed_and_come_back(
    conn: sqlite3.Connection, columns: str, row: str
) -> None:
    conn.execute(f"create table notes ({columns}")
    conn.execute(f"insert into notes values ({row})")
    before = everything(conn)
    doomed = doomed_rows(conn, load_references(conn), [("books", 1)])
    remove_rows(conn, doomed)
    assert conn.execute("select count(*) from notes").fetchone()[0] == 0
    for d in reversed(doomed):
        if d.column is None:
            restore_row(conn, d.table, d.pk, d.image.columns)
    conn.execute("update loans set book = 1 where id = 1")
    assert everything(conn) == before


def test_a_row_that_is_gone_takes_nothing_along(conn: sqlite3.Connection) -> None:
    assert doomed_rows(conn, load_references(conn), [("books", 99)]) == ()


def test_rows_that_point_to_each_other_go_once(conn: sqlite3.Connection) -> None:
    conn.execute("update chapters set parent_id = 2 where id = 1")
    doomed = doomed_rows(conn, load_references(conn), [("files", 1), ("files", 1)])
    assert sorted((d.table, d.pk) for d in doomed) == [("chapters", 1), ("chapters", 2), ("files", 1)]


def test_odd_text_and_bytes_come_back_as_they_were(conn: sqlite3.Connection) -> None:
    conn.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    conn.execute("update books set title = cast(x'ff41' as text)")
    conn.execute("""update "Odd ""Name" set note = x'00ff'""")
    query = (
        """select typeof(title), hex(title), typeof(note), hex(note) from books join "Odd ""Name" on id = 1"""
    )
    before = [tuple(row) for row in conn.execute(query)]
    doomed = doomed_rows(conn, load_references(conn), [("books", 1)])
    remove_rows(conn, doomed)
    for row in reversed([d for d in doomed if d.column is None]):
        restore_row(conn, row.table, row.pk, row.image.columns)
    assert sorted(tuple(row) for row in conn.execute(query)) == sorted(before)


@pytest.mark.parametrize(("pk", "expected"), [(1, True), (9, False)])
def test_a_row_is_used_while_others_point_to_it(conn: sqlite3.Connection, pk: int, expected: bool) -> None:
    assert is_used(conn, load_references(conn), "books", pk) is expected
