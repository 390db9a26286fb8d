"""The stored queries of a library: what they tell, and whom they tell it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from library import Library, add_three_books, epub
from web import EDITOR, GRANTS, ROOT, Plain, looked_at, page

from datasette_shisho_resync.model import Mode
from datasette_shisho_resync.store.questions import questions
from datasette_shisho_resync.store.schema import library_schema

pytestmark = pytest.mark.asyncio


@pytest.fixture
def shelf(library: Library) -> Library:
    """Three scanned books: one with everything, one bare, one with two files."""
    add_three_books(library)
    return library


async def asked(ds: Datasette, name: str, actor: Mapping[str, Any] | None = ROOT) -> list[dict[str, Any]]:
    response = await ds.client.get(f"/library/{name}.json?_shape=array", actor=actor)
    assert response.status_code == 200, response.text
    answer: list[dict[str, Any]] = response.json()
    return answer


async def test_manual_values_are_listed_with_their_book(shelf: Library) -> None:
    shelf.edit("books", 1, subtitle="Mine", subtitle_source="manual", genre_source="manual")
    shelf.edit("files", 3, language="en", language_source="manual")
    shelf.edit("series", 1, name_source="manual")
    shelf.conn.execute("insert into resync_manual values ('files', 4, 'page_count')")
    shelf.edit("files", 4, page_count=77)
    told = [
        (r["table"], r["id"], r["book"], r["field"], r["value"])
        for r in await asked(looked_at(shelf), "manual_values")
    ]
    assert told == [
        ("books", 1, "Dune", "Genres", "SF"),
        ("books", 1, "Dune", "Series", "Dune"),
        ("books", 1, "Dune", "Subtitle", "Mine"),
        ("files", 3, "Emma", "Language", "en"),
        ("files", 4, "Emma", "Pages", "77"),
    ]


async def test_series_set_by_hand_are_listed_where_books_have_a_source_for_them(shelf: Library) -> None:
    shelf.conn.execute("alter table books add column series_source text")
    shelf.edit("series", 1, name_source="manual")
    shelf.edit("books", 2, series_source="manual")
    shelf.conn.execute("insert into resync_manual values ('books', 2, 'series'), ('books', 3, 'series')")
    told = [(r["id"], r["field"], r["value"]) for r in await asked(looked_at(shelf), "manual_values")]
    assert sorted(told) == [(2, "Series", None), (3, "Series", None)]
    counted = await asked(looked_at(shelf), "fields_by_source")
    assert [r["values"] for r in counted if (r["field"], r["source"]) == ("Series", "manual")] == [1]


async def test_manual_values_are_what_a_refresh_would_overwrite(shelf: Library) -> None:
    shelf.edit(
        "books", 1, title="Mine", title_source="manual", description="Mine", description_source="manual"
    )
    told = {row["field"] for row in await asked(looked_at(shelf), "manual_values")}
    plan = shelf.preview(Mode.REFRESH).plan
    lost = {c.field for c in plan.changes if c.old_source == "manual"}
    assert ({"Title", "Description"}, {"title", "description"}) == (told, lost)


async def test_fields_are_counted_by_source(shelf: Library) -> None:
    shelf.edit("books", 2, title_source="manual")
    told = {
        (r["table"], r["field"], r["source"]): r["values"]
        for r in await asked(looked_at(shelf), "fields_by_source")
    }
    assert told["books", "Title", "filepath"] == 2
    assert told["books", "Title", "manual"] == 1
    assert told["files", "Cover", "epub_metadata"] == 1
    assert ("books", "Subtitle", "epub_metadata") not in told


async def test_a_book_without_authors_has_no_source_of_them_to_count(shelf: Library) -> None:
    with shelf.conn:
        shelf.conn.execute("delete from authors")
        shelf.conn.execute("update books set author_source = iif(id = 2, 'manual', 'filepath')")
    told = [
        (r["source"], r["values"])
        for r in await asked(looked_at(shelf), "fields_by_source")
        if r["field"] == "Authors"
    ]
    assert told == [("manual", 1)]


async def test_the_entries_of_a_list_are_told_in_their_order(shelf: Library) -> None:
    for names in (["Zoe", "Ann"], ["Mia", "Zoe", "Ann"]):
        shelf.rewrite(1, epub("Dune", names, genres=["Space", "Desert"]))
        shelf.refresh()
    shelf.edit("books", 1, author_source="manual", genre_source="manual")
    told = {r["field"]: r["value"] for r in await asked(looked_at(shelf), "manual_values")}
    assert told == {"Authors": "Mia, Zoe, Ann", "Genres": "Desert, Space"}


async def test_runs_of_the_last_day_name_their_book(shelf: Library) -> None:
    shelf.rewrite(1, epub("Dune Messiah", ["Frank Herbert"]))
    shelf.scan("files", 1)
    shelf.conn.execute("update resync_runs set started_at = '2001-01-01 00:00:00+00:00' where id = 2")
    told = await asked(looked_at(shelf), "runs_of_the_last_day")
    assert [(r["run"], r["book"]) for r in told] == [(4, "Dune Messiah"), (3, "Emma"), (1, "Dune Messiah")]


async def test_files_that_failed_are_told_with_the_reason(shelf: Library) -> None:
    shelf.conn.execute(
        "insert into resync_jobs (kind, state, started_at, finished_at, errors)"
        """ values ('scan', 'done', 'x', 'y', '[{"path": "/b/x.epub", "error": "/b/x.epub: no ZIP"}]')"""
    )
    [row] = await asked(looked_at(shelf), "files_that_failed")
    assert (row["path"], row["error"]) == ("/b/x.epub", "no ZIP")


async def test_books_without_cover_are_those_with_none_in_any_file(shelf: Library) -> None:
    shelf.edit("files", 4, cover_image_filename="b.epub.cover.jpg")
    assert [row["title"] for row in await asked(looked_at(shelf), "books_without_cover")] == ["Bare"]


async def test_overwritten_manual_values_are_told_until_undone(shelf: Library) -> None:
    shelf.edit("books", 1, title="Mine", title_source="manual")
    run = shelf.refresh().run_id
    ds = looked_at(shelf)
    told = await asked(ds, "overwritten_manual_values")
    assert ("title", "Mine", "Dune") in [(r["field"], r["was"], r["became"]) for r in told]
    shelf.undo(run)
    assert await asked(ds, "overwritten_manual_values") == []


HISTORY_QUERIES = ("runs_of_the_last_day", "files_that_failed", "overwritten_manual_values", "manual_values")


@pytest.mark.parametrize("name", HISTORY_QUERIES)
@pytest.mark.parametrize("actor", [None, {"id": "upd"}])
async def test_the_history_leaks_through_no_query(
    shelf: Library, name: str, actor: Mapping[str, Any] | None
) -> None:
    ds = looked_at(shelf, permissions=GRANTS)
    assert (await ds.client.get(f"/library/{name}.json", actor=actor)).status_code == 403
    assert f"/library/{name}" not in await page(ds, "/library", actor)
    assert (await ds.client.get(f"/library/{name}.json", actor=EDITOR)).status_code == 200


async def test_with_closed_libraries_the_history_is_root_s(shelf: Library) -> None:
    ds = looked_at(shelf, permissions=GRANTS, settings={"library_access": {"Books": {"id": "ed"}}})
    for name in HISTORY_QUERIES:
        assert (await ds.client.get(f"/library/{name}.json", actor=EDITOR)).status_code == 403
        assert (await ds.client.get(f"/library/{name}.json", actor=ROOT)).status_code == 200


async def test_a_query_over_a_closed_table_is_closed(shelf: Library) -> None:
    ds = looked_at(shelf, tables={"files": {"allow": {"id": "root"}}})
    assert (await ds.client.get("/library/books_without_cover.json", actor=EDITOR)).status_code == 403
    assert (await ds.client.get("/library/books_without_cover.json", actor=ROOT)).status_code == 200


async def test_everybody_who_sees_the_tables_may_ask_without_the_right_to_any_sql(shelf: Library) -> None:
    ds = looked_at(shelf, database={"allow_sql": False})
    assert (await ds.client.get("/library/books_without_cover.json")).status_code == 200


async def test_before_the_first_run_nobody_is_offered_the_history(library: Library) -> None:
    library.add_book()
    html = await page(looked_at(library), "/library")
    assert "/library/books_without_cover" in html
    assert "/library/runs_of_the_last_day" not in html


async def test_a_query_of_the_same_name_is_left_alone(shelf: Library) -> None:
    mine = {"queries": {"manual_values": {"sql": "select 1 as mine"}}}
    assert await asked(looked_at(shelf, database=mine), "manual_values") == [{"mine": 1}]


async def test_a_query_of_the_same_name_is_for_whom_its_owner_says(shelf: Library) -> None:
    mine = {"queries": {"manual_values": {"sql": "select 1 as mine"}}}
    assert await asked(looked_at(shelf, database=mine), "manual_values", None) == [{"mine": 1}]


async def test_a_library_that_can_not_be_looked_at_has_no_open_query(shelf: Library) -> None:
    ds = looked_at(shelf, permissions=GRANTS)
    await ds.invoke_startup()
    shelf.conn.execute("alter table library_paths rename to elsewhere")
    for name in HISTORY_QUERIES:
        assert (await ds.client.get(f"/library/{name}.json")).status_code == 403


async def test_no_query_stays_behind_for_what_is_no_library_any_more(shelf: Library, tmp_path: Path) -> None:
    internal = str(tmp_path / "internal.db")
    before = Plain([shelf.path], internal=internal)
    await before.invoke_startup()
    assert await before.get_query("library", "overwritten_manual_values") is not None
    before.close()
    shelf.conn.execute("alter table library_paths rename to elsewhere")
    after = Plain([shelf.path], internal=internal)
    await after.invoke_startup()
    assert await after.get_query("library", "overwritten_manual_values") is None
    assert (await after.client.get("/library/overwritten_manual_values.json")).status_code == 404


async def test_every_question_reads_just_the_tables_that_it_names(shelf: Library) -> None:
    for question in questions(library_schema(shelf.conn)):
        read: set[str] = set()

        def note(
            action: int, table: str | None, column: Any, database: Any, trigger: Any, read: set[str] = read
        ) -> int:
            if action == sqlite3.SQLITE_READ and table and table not in {"json_each", "sqlite_master"}:
                read.add(table)
            return sqlite3.SQLITE_OK

        with closing(sqlite3.connect(shelf.path)) as conn:  # Python 3.10 can't take an authorizer away
            conn.set_authorizer(note)
            conn.execute(question.sql).fetchall()
        assert read == question.tables, question.name
