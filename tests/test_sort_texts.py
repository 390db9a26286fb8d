"""Sort titles and sort names follow what a person edits through Datasette, as a scan would have it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from library import Library, changed, epub
from test_provenance import Site, opened
from test_search_rows import make_shelf, wrong_rows


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return make_shelf(tmp_path / "shelf.db", shisho=False)


async def edit(site: Site, table: str, columns: Mapping[str, str]) -> None:
    await site.post(f"{table}/1/-/update", {"update": dict(columns)})


def sorted_by(site: Site, table: str) -> tuple[object, ...]:
    column = "sort_title" if table == "books" else "sort_name"
    return site.query(f"select {column}, {column}_source from {table} where id = 1")[0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("table", "columns", "expected"),
    [
        ("books", {"title": "The New"}, ("New, The", "filepath")),
        ("books", {"title": "The New", "title_source": "plugin:x"}, ("New, The", "plugin:x")),
        ("books", {"title": "The New", "sort_title": "Mine"}, ("Mine", "manual")),
        ("books", {"title": "The New", "sort_title_source": "manual"}, ("T", "manual")),
        ("books", {"title": "T"}, ("T", "epub_metadata")),
        ("books", {"title": " "}, ("T", "epub_metadata")),
        ("books", {"subtitle": "The New"}, ("T", "epub_metadata")),
        ("persons", {"name": "Ann Other"}, ("Other, Ann", "filepath")),
        ("persons", {"name": "Ann Other", "sort_name": "Mine"}, ("Mine", "manual")),
        ("series", {"name": "The New"}, ("New, The", "filepath")),
        ("series", {"name": "The New", "sort_name_source": "manual"}, ("Name 1", "manual")),
    ],
)
async def test_a_sort_text_follows_an_edit_unless_a_person_set_it(
    shelf: Path, table: str, columns: Mapping[str, str], expected: tuple[str, str]
) -> None:
    async with opened(shelf) as site:
        await edit(site, table, columns)
    assert sorted_by(site, table) == expected
    assert wrong_rows(shelf) <= {("series_fts", 1)}


@pytest.mark.asyncio
async def test_a_sort_text_set_by_hand_before_stays(shelf: Path) -> None:
    async with opened(shelf) as site:
        for table, column in (("books", "sort_title"), ("persons", "sort_name"), ("series", "sort_name")):
            await edit(site, table, {column: "Mine"})
            await edit(site, table, {"title" if table == "books" else "name": "The New"})
            assert sorted_by(site, table) == ("Mine", "manual")


@pytest.mark.asyncio
async def test_a_new_book_keeps_the_sort_title_that_it_was_given(shelf: Path) -> None:
    sources = dict.fromkeys(("title_source", "sort_title_source", "author_source"), "x")
    row = {"library_id": 1, "filepath": "/b/9", "title": "The New", "sort_title": "Other", **sources}
    async with opened(shelf) as site:
        await site.post("books/-/insert", {"row": row})
        assert site.value("books", "sort_title", 3) == "Other"
        await site.post("books/-/upsert", {"rows": [{**row, "id": 3, "title": "The Newer"}]})
    assert site.value("books", "sort_title", 3) == "Newer, The"


@pytest.mark.asyncio
async def test_a_title_that_is_no_text_is_marked_and_sorted(shelf: Path) -> None:
    async with opened(shelf) as site:
        database = site.datasette.get_database("shelf")
        await database.execute_write("update books set title = cast(x'54686520ff' as text) where id = 1")
        await database.execute_write("update books set title = x'54686520fe' where id = 2")
    read = "select cast(sort_title as blob), typeof(sort_title), title_source from books order by id"
    assert site.query(read) == [(b"\xff, The", "text", "manual"), (b"\xfe, The", "text", "manual")]


@pytest.mark.asyncio
async def test_a_sort_title_that_may_not_follow_keeps_nothing_else_from_it(
    shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(shelf)) as conn:
        conn.execute(
            "create trigger frozen before update of sort_title on books begin select raise(abort, 'no'); end"
        )
    async with opened(shelf) as site:
        await site.update("books", title="New")
    assert site.query("select title, title_source, sort_title from books where id = 1") == [
        ("New", "manual", "T")
    ]
    assert "do not follow" in caplog.text
    assert wrong_rows(shelf) == {("series_fts", 1)}


@pytest.mark.asyncio
@pytest.mark.parametrize("source", [{}, {"title_source": "plugin:x"}])
async def test_a_scan_right_after_an_edit_has_nothing_to_change(
    library: Library, source: Mapping[str, str]
) -> None:
    library.add_file(library.add_book(), "a.epub", epub("A Book", ("Ann Author",), series="Saga", number=1.0))
    library.scan()
    assignments = ", ".join(f"{column} = '{value}'" for column, value in source.items())
    async with opened(Path(library.path)) as site:
        database = site.datasette.get_database("library")
        await database.execute_write(f"update books set title = 'The New'{', ' * bool(source)}{assignments}")
        await database.execute_write("update persons set name = 'Anna Author'")
        await database.execute_write("update series set name = 'The Saga'")
    assert library.book()["sort_title"] == "New, The"
    assert not {"title", "sort_title"} & set(changed(library.scan()))
