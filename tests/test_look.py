"""How a library looks in Datasette: titles, sorting, search, and the shelf of covers."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from datasette.app import Datasette
from datasette.utils import parse_metadata
from library import Library, add_three_books
from web import EDITOR, ROOT, Plain, looked_at, page

from datasette_shisho_resync.site import METADATA, TEMPLATES
from datasette_shisho_resync.store.schema import (
    HISTORY_TABLES,
    LIBRARY_TABLES,
    SEARCH_TABLES,
)

pytestmark = pytest.mark.asyncio
CHECKOUT = Path(__file__).parent.parent
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
def shelf(library: Library) -> Library:
    """Three scanned books: one with everything, one bare, one with two files. Search has other row ids."""
    add_three_books(library)
    scramble(library.conn)
    return library


def scramble(conn: sqlite3.Connection) -> None:
    """Give the rows of the search table row ids that belong to other books, as in a Shisho database."""
    rows = [tuple(row) for row in conn.execute("select * from books_fts order by book_id desc")]
    conn.execute("delete from books_fts")
    for row in rows:
        conn.execute(f"insert into books_fts values ({', '.join('?' * len(row))})", row)
    assert [tuple(r) for r in conn.execute("select rowid, book_id from books_fts where book_id = 1")] == [
        (3, 1)
    ]


async def found(ds: Datasette, words: str, **more: str) -> list[str]:
    params = {"_search": words, "_shape": "array", "_sort": "id", **more}
    response = await ds.client.get("/library/books.json", params=params, actor=ROOT)
    assert response.status_code == 200, response.text
    return [book["title"] for book in response.json()]


def cards(html: str) -> list[str]:
    return re.findall(r'<li class="shisho-card">.*?</li>', html, re.S)


# --- titles, explanations, sorting, facets ----------------------------------------------------


async def test_the_top_of_the_checkout_is_a_configuration_directory() -> None:
    assert (CHECKOUT / "metadata.yml").read_text() == METADATA.read_text()
    assert (CHECKOUT / "templates" / "_table.html").read_text() == (TEMPLATES / "_table.html").read_text()


async def test_metadata_names_only_tables_and_columns_that_exist() -> None:
    tables = {**LIBRARY_TABLES, **HISTORY_TABLES}
    said = parse_metadata(METADATA.read_text())["databases"]["library"]["tables"]
    for table, block in said.items():
        if table == "sqlite_sequence":  # SQLite makes it for every table that counts its ids
            continue
        assert table in tables or table in SEARCH_TABLES
        named = [*block.get("columns", {}), *block.get("facets", [])]
        named += [block[key] for key in ("label_column", "sort", "sort_desc") if key in block]
        for column in named:
            assert re.search(rf"^\s*{column} ", tables[table], re.M), f"{table}.{column}"


async def test_metadata_grants_nothing_and_configures_no_plugin() -> None:
    text = METADATA.read_text()
    assert not re.search(r"^\s*(permissions|allow|allow_sql|plugins):", text, re.M)


@pytest.mark.parametrize("name", ["library", "my.books~2"])
async def test_a_library_of_any_name_has_titles_and_explanations(shelf: Library, name: str) -> None:
    ds = Plain([])
    ds.root_enabled = True
    from datasette.database import Database

    ds.add_database(Database(ds, path=shelf.path, is_mutable=True), name=name)
    html = await page(ds, str(ds.urls.table(name, "books")))
    assert re.search(r"<h1>\s*Books", html)
    assert "Title by which books are sorted" in html
    assert "sorted by id descending" in html
    assert 'name="_search"' in html


async def test_names_stand_where_ids_point(shelf: Library) -> None:
    html = await page(looked_at(shelf), "/library/files?_labels=on")
    assert re.search(r'<a href="/library/books/1">Dune</a>', html)


async def test_tables_that_only_the_machine_reads_are_hidden(shelf: Library) -> None:
    ds = looked_at(shelf)
    answer = (await ds.client.get("/library.json", actor=ROOT)).json()
    shown = {table["name"] for table in answer["tables"] if not table["hidden"]}
    assert {"books", "files", "resync_runs"} <= shown
    assert not {"books_fts", "resync_blobs", "app_settings"} & shown


async def test_what_a_person_configured_comes_first(shelf: Library) -> None:
    metadata = {"databases": {"library": {"tables": {"books": {"title": "My shelf", "sort": "title"}}}}}
    html = await page(looked_at(shelf, metadata=metadata), "/library/books")
    assert re.search(r"<h1>\s*My shelf", html)
    assert "sorted by title" in html
    assert "One row a book" in html


async def test_a_configured_list_of_sortable_columns_is_no_error(shelf: Library) -> None:
    ds = looked_at(shelf, tables={"books": {"sortable_columns": ["title"]}})
    assert "sorted by" not in await page(ds, "/library/books")


async def test_other_plugins_keep_their_settings(shelf: Library) -> None:
    ds = Plain([shelf.path], config={"plugins": {"datasette-other": {"colour": "red"}}})
    await ds.invoke_startup()
    assert ds.plugin_config("datasette-other", database="library") == {"colour": "red"}
    assert ds.plugin_config("datasette-other", database="library", table="books") == {"colour": "red"}


async def test_a_large_table_has_no_facets_that_nobody_asked_for(shelf: Library) -> None:
    assert "facet-title_source" in await page(looked_at(shelf), "/library/books")
    shelf.add_book("Last", id=50_001)
    assert "facet-title_source" not in await page(looked_at(shelf), "/library/books")
    asked = looked_at(shelf, tables={"books": {"facets": ["title_source"]}})
    assert "facet-title_source" in await page(asked, "/library/books")


@pytest.mark.parametrize(
    ("table", "operation"),
    [
        ("books", {"op": "drop_column", "args": {"name": "description_source"}}),
        ("persons", {"op": "rename_column", "args": {"name": "sort_name", "to": "by"}}),
    ],
)
async def test_a_column_that_goes_while_datasette_runs_leaves_the_look(
    shelf: Library, table: str, operation: dict[str, object]
) -> None:
    ds = looked_at(shelf, tables={"books": {"facets": ["title_source", "description_source"]}})
    await page(ds, f"/library/{table}")
    alter = {"operations": [operation]}
    altered = await ds.client.post(f"/library/{table}/-/alter", json=alter, actor=ROOT)
    assert altered.status_code == 200, altered.text
    await page(ds, f"/library/{table}")
    assert ds.config["databases"]["library"]["tables"]["books"]["facets"][0] == "title_source"


async def test_a_database_that_is_no_library_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("create table books (id integer primary key, title text)")
    ds = Plain([str(path)], template_dir=str(TEMPLATES))
    html = await page(ds, "/other/books")
    assert re.search(r"<h1>\s*books", html)
    assert 'name="_search"' not in html
    assert (await ds.client.get("/other/manual_values")).status_code == 404


async def test_an_older_library_is_shown_without_what_it_lacks(shelf: Library) -> None:
    shelf.conn.execute("drop index ix_files_language")
    shelf.conn.execute("alter table files drop column language")
    shelf.conn.execute("alter table books drop column description_source")
    ds = looked_at(shelf)
    await page(ds, "/library/files")
    assert len(cards(await page(ds, "/library/books"))) == 3
    assert (await ds.client.get("/library/manual_values.json", actor=ROOT)).status_code == 200


# --- search -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "titles"),
    [("dune", ["Dune"]), ("austen", ["Emma"]), ("nobody", []), ("emma OR dune", []), ("'emma", ["Emma"])],
)
async def test_search_finds_books_by_their_id(shelf: Library, words: str, titles: list[str]) -> None:
    assert await found(looked_at(shelf), words) == titles


async def test_raw_search_takes_operators(shelf: Library) -> None:
    assert await found(looked_at(shelf), "emma OR dune", _searchmode="raw") == ["Dune", "Emma"]


async def test_search_meets_filters_and_shows_its_words(shelf: Library) -> None:
    ds = looked_at(shelf)
    assert await found(ds, "dune", title="Emma") == []
    html = await page(ds, "/library/books?_search=dune")
    assert re.search(r'<input id="_search"[^>]*value="dune"', html)
    assert "search matches &#34;dune&#34;" in html


async def test_persons_and_series_are_searched_too(shelf: Library) -> None:
    ds = looked_at(shelf)
    for table, name in (("persons", "Frank Herbert"), ("series", "Dune")):
        answer = await ds.client.get(f"/library/{table}.json?_search={name}&_shape=array", actor=ROOT)
        assert [row["name"] for row in answer.json()] == [name]


async def test_search_needs_the_permission_to_view_what_is_searched(shelf: Library) -> None:
    ds = looked_at(shelf, tables={"books_fts": {"allow": {"id": "root"}}})
    assert (await ds.client.get("/library/books.json?_search=dune", actor=EDITOR)).status_code == 403
    assert (await ds.client.get("/library/books.json", actor=EDITOR)).status_code == 200


async def test_a_search_table_of_ones_own_is_left_to_datasette(shelf: Library) -> None:
    shelf.conn.execute("create virtual table mine using fts5(title, content='books', content_rowid='id')")
    shelf.conn.execute("insert into mine(mine) values ('rebuild')")
    ds = looked_at(shelf, tables={"books": {"fts_table": "mine", "fts_pk": "id"}})
    assert await found(ds, "emma") == ["Emma"]
    assert await found(ds, "austen") == []


async def test_a_library_without_search_tables_offers_none(shelf: Library) -> None:
    shelf.conn.execute("drop table books_fts")
    assert 'name="_search"' not in await page(looked_at(shelf), "/library/books")


# --- the shelf --------------------------------------------------------------------------------


async def test_a_card_tells_author_series_formats_and_origins(shelf: Library) -> None:
    shelf.edit("books", 1, subtitle="Mine", subtitle_source="manual")
    bare, dune = cards(await page(looked_at(shelf), "/library/books?_sort=title&title__in=Dune,Bare"))
    assert 'href="/library/books/1"' in dune
    assert 'src="/library/files/1/-/cover?v=' in dune
    for text in ("Frank Herbert", "Dune #1", ">EPUB<", "1 by a person", "from the files"):
        assert text in dune
    assert "no cover" in bare
    assert "no description" in bare
    assert "no cover" not in dune


async def test_a_description_that_a_person_emptied_is_none(shelf: Library) -> None:
    shelf.edit("books", 1, description="", description_source="manual")
    [dune] = cards(await page(looked_at(shelf), "/library/books?title=Dune"))
    assert "no description" in dune
    assert "by a person" not in dune


async def test_the_bar_shows_each_origin_by_its_share(shelf: Library) -> None:
    shelf.edit("books", 1, subtitle="Mine", subtitle_source="manual")
    [dune] = cards(await page(looked_at(shelf), "/library/books?title=Dune"))
    total = int(re.findall(r'viewBox="0 0 (\d+) 1"', dune)[0])
    widths = dict(re.findall(r'shisho-origin-(\w+)" x="\d+" y="0" width="(\d+)"', dune))
    assert widths["manual"] == "1"
    assert sum(map(int, widths.values())) == total


async def test_cards_stand_in_the_order_of_the_rows(shelf: Library) -> None:
    html = await page(looked_at(shelf), "/library/books?_sort_desc=title")
    assert [re.findall(r"/library/books/(\d)", card)[0] for card in cards(html)] == ["3", "1", "2"]


async def test_the_number_of_queries_does_not_grow_with_the_books(shelf: Library) -> None:
    async def queries(path: str) -> int:
        statements: list[str] = []
        ds = looked_at(shelf)
        await ds.invoke_startup()
        await page(ds, path)

        count = ds.setting("num_sql_threads")
        all_here = threading.Barrier(count)

        def watch(conn: sqlite3.Connection) -> None:
            all_here.wait(20)  # so that each thread watches a connection of its own
            conn.set_trace_callback(statements.append)

        await asyncio.gather(*(ds.get_database("library").execute_fn(watch) for _ in range(count)))
        await page(ds, path)
        return len([s for s in statements if "json_each" in s])

    assert await queries("/library/books?id=1") == await queries("/library/books") == 4


async def test_text_of_a_book_is_escaped(shelf: Library) -> None:
    shelf.edit("books", 1, title=HOSTILE)
    shelf.edit("persons", 1, name=HOSTILE)
    shelf.edit("series", 1, name=HOSTILE)
    shelf.edit("files", 1, file_type=HOSTILE, cover_image_filename="../x.jpg")
    html = await page(looked_at(shelf), "/library/books?id=1")
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in cards(html)[0]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("books", ["library_id", "title", "title_source", "description"]),
        ("files", ["file_type", "cover_image_filename", "name_source", "updated_at"]),
        ("book_series", ["series_number", "sort_order"]),
        ("series", ["name"]),
    ],
)
async def test_a_cell_of_a_wrong_type_keeps_no_shelf_from_showing(
    shelf: Library, table: str, columns: list[str]
) -> None:
    ds = looked_at(shelf)
    for cell in (b"\xff\x00", "two", 1.5):
        shelf.conn.execute(f"update {table} set {' = ?, '.join(columns)} = ?", [cell] * len(columns))
        assert "shisho-shelf" in await page(ds, "/library/books")


async def test_our_templates_have_no_inline_script_or_style() -> None:
    package = METADATA.parent.parent
    for file in [*(package / "templates").glob("*.html"), *TEMPLATES.glob("*.html")]:
        text = file.read_text()
        assert not re.search(r"<script(?![^>]* src=)|<style|\s(?:on\w+|style)=", text), file


async def test_other_tables_rows_and_fragments_have_no_shelf(shelf: Library) -> None:
    ds = looked_at(shelf)
    for path in ("/library/files", "/library/books/1", "/library/books/-/fragment?_row=1"):
        assert "shisho-shelf" not in await page(ds, path)


async def test_without_the_templates_there_is_no_shelf(shelf: Library) -> None:
    assert "shisho-shelf" not in await page(looked_at(shelf, template_dir=None), "/library/books")


@pytest.mark.parametrize(
    ("table", "hidden"),
    [
        ("files", ["/-/cover", "EPUB", "from the files</span> 9"]),
        ("persons", ["Frank Herbert"]),
        ("authors", ["Frank Herbert"]),
        ("series", ["Dune #1"]),
        ("book_series", ["Dune #1"]),
    ],
)
async def test_a_card_shows_nothing_of_tables_that_are_closed(
    shelf: Library, table: str, hidden: list[str]
) -> None:
    ds = looked_at(shelf, tables={table: {"allow": {"id": "root"}}})
    [card] = cards(await page(ds, "/library/books?title=Dune", EDITOR))
    assert not [text for text in hidden if text in card]
    assert "Dune" in card


async def test_covers_of_closed_libraries_are_left_out(shelf: Library) -> None:
    ds = looked_at(shelf, settings={"library_access": {"Books": {"id": "root"}}})
    assert "/-/cover" in await page(ds, "/library/books")
    assert "/-/cover" not in await page(ds, "/library/books", EDITOR)
