from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from datasette_shisho_resync.store.review import recompute_review
from datasette_shisho_resync.store.schema import create_library, library_schema

EPUB, M4B, SUPPLEMENT = 1, 2, 3
LINKS = {
    "authors": "insert into authors (book_id, person_id, sort_order) values (1, 1, 1)",
    "series": "insert into book_series (book_id, series_id, sort_order) values (1, 1, 1)",
    "genres": "insert into book_genres (book_id, genre_id) values (1, 1)",
    "tags": "insert into book_tags (book_id, tag_id) values (1, 1)",
    "narrators": "insert into narrators (file_id, person_id, sort_order) values (1, 1, 1)",
    "identifiers": "insert into file_identifiers (file_id, type, value, source) values (1, 'asin', 'B0', '')",
    "chapters": "insert into chapters (file_id, sort_order, title) values (1, 0, 'One')",
    "description": "update books set description = 'Text'",
    "subtitle": "update books set subtitle = 'Text'",
    "language": "update files set language = 'en'",
    "url": "update files set url = 'https://example.org'",
    "cover": "update files set cover_image_filename = 'a.epub.cover.jpg'",
    "publisher": "update files set publisher_id = 1",
    "release_date": "update files set release_date = '2020-01-01 00:00:00+00:00'",
    "abridged": "update files set abridged = 0",
}


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_library(connection)
    connection.execute(
        """
        insert into books (
            id, library_id, filepath, title, title_source, sort_title, sort_title_source, author_source
        )
        values (1, 1, '/b', 'Title', '', 'Title', '', '')
        """
    )
    connection.executemany(
        """
        insert into files (id, library_id, book_id, filepath, file_type, file_role, updated_at)
        values (?, 1, 1, ?, ?, ?, 'then')
        """,
        [
            (EPUB, "/b/a.epub", "epub", "main"),
            (M4B, "/b/a.m4b", "m4b", "main"),
            (SUPPLEMENT, "/b/notes.pdf", "pdf", "supplement"),
        ],
    )
    yield connection
    connection.close()


def reviewed(conn: sqlite3.Connection) -> dict[int, int | None]:
    recompute_review(conn, library_schema(conn), (EPUB, M4B, SUPPLEMENT))
    return dict(conn.execute("select id, reviewed from files"))


def set_criteria(conn: sqlite3.Connection, value: str) -> None:
    conn.execute("update app_settings set value = ? where key = 'review_criteria'", (value,))


def meet(conn: sqlite3.Connection, *names: str) -> None:
    for name in names:
        conn.execute(LINKS[name])


@pytest.mark.parametrize("name", LINKS)
def test_a_criterion_is_met_when_its_field_has_something(conn: sqlite3.Connection, name: str) -> None:
    set_criteria(conn, json.dumps({"book_fields": [name], "audio_fields": []}))
    assert reviewed(conn)[EPUB] == 0
    meet(conn, name)
    assert reviewed(conn)[EPUB] == 1


@pytest.mark.parametrize(
    "emptied",
    [
        "update books set description = ''",
        "update files set cover_image_filename = ''",
        "delete from authors",
        "delete from book_genres",
    ],
)
def test_every_criterion_must_be_met(conn: sqlite3.Connection, emptied: str) -> None:
    meet(conn, "authors", "description", "cover", "genres")
    assert reviewed(conn)[EPUB] == 1
    conn.execute(emptied)
    assert reviewed(conn)[EPUB] == 0


def test_an_audiobook_has_criteria_of_its_own(conn: sqlite3.Connection) -> None:
    meet(conn, "authors", "description", "cover", "genres")
    assert reviewed(conn) == {EPUB: 1, M4B: 0, SUPPLEMENT: None}
    conn.execute("insert into narrators (file_id, person_id, sort_order) values (?, 1, 1)", (M4B,))
    assert reviewed(conn) == {EPUB: 1, M4B: 1, SUPPLEMENT: None}


def test_a_person_has_the_last_word(conn: sqlite3.Connection) -> None:
    meet(conn, "authors", "description", "cover", "genres")
    conn.execute("update files set review_override = 'unreviewed' where id = ?", (EPUB,))
    conn.execute("update files set review_override = 'reviewed' where id = ?", (M4B,))
    assert reviewed(conn) == {EPUB: 0, M4B: 1, SUPPLEMENT: None}


def test_a_supplement_is_neither_reviewed_nor_not(conn: sqlite3.Connection) -> None:
    conn.execute("update files set reviewed = 1, review_override = 'reviewed'")
    assert reviewed(conn)[SUPPLEMENT] is None


@pytest.mark.parametrize(
    "value",
    [
        *("", "{", "null", "[]", "3", "{}", "[" * 100_000),
        *('{"book_fields": null}', '{"book_fields": "authors"}', '{"audio_fields": []}'),
    ],
)
def test_criteria_that_are_missing_or_broken_are_the_default(conn: sqlite3.Connection, value: str) -> None:
    set_criteria(conn, value)
    assert reviewed(conn)[EPUB] == 0
    meet(conn, "authors", "description", "cover", "genres")
    assert reviewed(conn)[EPUB] == 1


@pytest.mark.parametrize("drop", ["delete from app_settings", "drop table app_settings"])
def test_a_library_without_criteria_has_the_default(conn: sqlite3.Connection, drop: str) -> None:
    conn.execute(drop)
    meet(conn, "authors", "description", "cover", "genres")
    assert reviewed(conn) == {EPUB: 1, M4B: 0, SUPPLEMENT: None}


@pytest.mark.parametrize("fields", [["title"], ["shoe size"], [None], [{}], ["authors", "shoe size"]])
def test_an_unknown_criterion_is_never_met(conn: sqlite3.Connection, fields: list[object]) -> None:
    meet(conn, *LINKS)
    set_criteria(conn, json.dumps({"book_fields": fields}))
    assert reviewed(conn)[EPUB] == 0


def test_no_criteria_are_met_by_everything(conn: sqlite3.Connection) -> None:
    set_criteria(conn, '{"book_fields": [], "audio_fields": []}')
    assert reviewed(conn) == {EPUB: 1, M4B: 1, SUPPLEMENT: None}


def test_a_criterion_whose_column_is_missing_is_never_met(conn: sqlite3.Connection) -> None:
    set_criteria(conn, '{"book_fields": ["abridged"]}')
    conn.execute("alter table files drop column abridged")
    assert reviewed(conn)[EPUB] == 0


def test_only_what_differs_is_written_and_never_the_time(conn: sqlite3.Connection) -> None:
    reviewed(conn)
    before = conn.total_changes
    meet(conn, "description")
    reviewed(conn)
    assert conn.total_changes == before + 1
    assert conn.execute("select distinct updated_at from files").fetchall() == [("then",)]


def test_only_the_named_files_are_judged(conn: sqlite3.Connection) -> None:
    recompute_review(conn, library_schema(conn), [EPUB])
    recompute_review(conn, library_schema(conn), [])
    assert dict(conn.execute("select id, reviewed from files")) == {EPUB: 0, M4B: None, SUPPLEMENT: None}


@pytest.mark.parametrize("column", ["reviewed", "review_override"])
def test_an_older_library_has_no_review_state(conn: sqlite3.Connection, column: str) -> None:
    conn.execute("drop index ix_files_book_id_reviewed")
    conn.execute(f"alter table files drop column {column}")
    recompute_review(conn, library_schema(conn), [EPUB])


def test_a_file_is_found_by_its_id(conn: sqlite3.Connection) -> None:
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    recompute_review(conn, library_schema(conn), [EPUB])
    conn.set_trace_callback(None)
    (judged,) = (s for s in statements if "json_each" in s)
    plan = [row[3] for row in conn.execute(f"explain query plan {judged}")]
    assert not [step for step in plan if step.startswith("SCAN") and "json_each" not in step]
