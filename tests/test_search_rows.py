"""Search rows follow what a person edits through Datasette, in the same write."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from library import Library, epub
from test_provenance import PLUGIN, Site, fill, insert, opened, sources

from datasette_shisho_resync.fields import ENTITIES
from datasette_shisho_resync.provenance import our_own_write
from datasette_shisho_resync.store.schema import SEARCH_TABLES, create_library, library_schema, open_library
from datasette_shisho_resync.store.search import index_row
from datasette_shisho_resync.store.search_content import BOOKS, BY_ENTITY

TABLES = (BOOKS, *BY_ENTITY.values())
IN_THE_WAY = 900  # ids of search rows that stand where others would


def index_all(conn: sqlite3.Connection) -> set[tuple[str, int]]:
    """Make every search row right; returns those that were not: (table, id)."""
    schema = library_schema(conn)
    wrong: set[tuple[str, int]] = set()
    for table in TABLES:
        ids = conn.execute(f"select id from {table.source} union select {table.id_column} from {table.name}")
        wrong.update((table.name, pk) for (pk,) in ids.fetchall() if index_row(conn, schema, table, pk))
    return wrong


def wrong_rows(path: Path) -> set[tuple[str, int]]:
    """Return the search rows, as (table, id), that do not say what they should, or are twice there."""
    with closing(sqlite3.connect(path)) as conn:
        twice = {
            (table.name, row[0])
            for table in TABLES
            for row in conn.execute(
                f"select {table.id_column} from {table.name} group by 1 having count(*) > 1"
            )
        }
        return {row for row in twice | index_all(conn) if row[1] < IN_THE_WAY}


def found(site: Site, words: str, table: str = "books_fts") -> list[int]:
    column = SEARCH_TABLES[table][0]
    return [row[0] for row in site.query(f"select {column} from {table} where {table} match '{words}'")]


def like_shisho(conn: sqlite3.Connection) -> None:
    """Give the search rows row ids that have nothing to do with the ids."""
    for table in TABLES:
        columns = ", ".join(SEARCH_TABLES[table.name])
        rows = conn.execute(f"select rowid + 100, {columns} from {table.name}").fetchall()
        conn.execute(f"delete from {table.name}")
        marks = ", ".join("?" * (len(SEARCH_TABLES[table.name]) + 1))
        conn.executemany(f"insert into {table.name} (rowid, {columns}) values ({marks})", map(tuple, rows))
        in_the_way = [(number, IN_THE_WAY + number) for number in (1, 2, 9)]
        conn.executemany(f"insert into {table.name} (rowid, {table.id_column}) values (?, ?)", in_the_way)


def make_shelf(path: Path, *, shisho: bool) -> Path:
    conn = open_library(str(path), create=True)
    conn.execute("pragma journal_mode = delete")
    conn.execute("begin")
    create_library(conn)
    fill(conn)
    conn.execute("update books set title = 'Title ' || id || 'th', filepath = '/b/book' || id")
    insert(conn, "authors", {"book_id": 2, "person_id": 1, "sort_order": 1})
    insert(conn, "narrators", {"file_id": 2, "person_id": 2, "sort_order": 1})
    insert(conn, "book_series", {"book_id": 2, "series_id": 1, "sort_order": 1})
    for entity in ENTITIES:
        insert(conn, entity.alias_table, {entity.id_column: 1, "name": "Alias", "library_id": 1})
    index_all(conn)
    if shisho:
        like_shisho(conn)
    conn.execute("commit")
    conn.close()
    return path


@pytest.fixture(params=[False, True], ids=["ours", "shisho"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A library with search rows, at row ids as we choose or as Shisho leaves them."""
    return make_shelf(tmp_path / "shelf.db", shisho=request.param)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return make_shelf(tmp_path / "shelf.db", shisho=False)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "statements",
    [
        ("update books set subtitle = 'Of old'",),
        ("update books set filepath = '/elsewhere' where id = 1",),
        ("update books set filepath = '/else', title = title where id = 1",),
        ("update books set id = 7 where id = 2",),
        ("update files set filepath = '/b/other.epub'  || id",),
        ("update files set book_id = 2 where id = 1",),
        ("update files set file_type = 'aaa' where id = 1",),
        ("delete from files where id = 1",),
        ("update authors set person_id = 2 where id = 1",),
        ("update authors set book_id = 2, role = 'x' where id = 1",),
        ("insert into authors (book_id, person_id, sort_order) values (1, 2, 0)",),
        ("insert or replace into authors (id, book_id, person_id, sort_order) values (1, 2, 2, 7)",),
        ("delete from authors",),
        ("update narrators set file_id = 2, person_id = 1 where id = 1",),
        ("delete from narrators where id = 1",),
        ("update book_series set series_id = 2 where id = 1",),
        ("delete from book_series where book_id = 1",),
        ("insert or replace into book_series (id, book_id, series_id, sort_order) values (1, 1, 2, 1)",),
        ("update persons set name = 'Renamed', sort_name = 'Named, Re' where id = 1",),
        ("update persons set sort_name = 'Sorted' where id = 1",),
        ("delete from persons where id = 1",),
        ("insert or replace into persons values (1, '', '', 1, 'Another', 'Another', '')",),
        ("update series set name = 'Renamed', description = 'Long' where id = 1",),
        ("delete from series where id = 1",),
        ("update genres set name = 'Renamed' where id = 1", "update tags set name = 'Re' where id = 2"),
        ("delete from genres where id = 2", "delete from publishers"),
        ("update person_aliases set name = 'Changed'", "delete from series_aliases"),
        ("update person_aliases set person_id = 2", "update series_aliases set series_id = 2"),
        ("insert into genres (library_id, name) values (1, 'Fresh')",),
        ("delete from books where id = 2",),
        ("delete from book_series where book_id = 2", "delete from books where id = 2"),
        (
            "delete from books where id = 1",
            "insert into books (id, library_id, filepath, title, title_source,"
            " sort_title, sort_title_source, author_source) values (1, 1, '/n', 'New', '', 'New', '', '')",
        ),
        ("delete from books",),
        ("update books set title_source = 'plugin:x', subtitle = 'S', filepath = '/x/' || id",),
    ],
    ids=lambda statements: "; ".join(statements)[:70],
)
async def test_search_rows_follow_an_edit_in_the_same_write(shelf: Path, statements: Sequence[str]) -> None:
    def write(conn: sqlite3.Connection) -> None:
        for statement in statements:
            conn.execute(statement)

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert wrong_rows(shelf) == set()


async def run(site: Site, *statements: str) -> None:
    def write(conn: sqlite3.Connection) -> None:
        for statement in statements:
            conn.execute(statement)

    await site.datasette.get_database("shelf").execute_write_fn(write)


# --- ways to write --------------------------------------------------------------------------------

NEW_BOOK = {
    **sources("books"),
    "library_id": 1,
    "filepath": "/b/9",
    "title": "Ninth",
    "sort_title": "Ninth",
}


@pytest.mark.asyncio
async def test_a_corrected_title_is_found_at_once(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("books", title="Corrected")
        assert found(site, "corrected") == [1]
        assert found(site, "1th") == []
        await site.update("books", title="Right", title_source="manual")  # as it was already
        assert found(site, "right") == [1]
        await site.update("books", title="Told", title_source="plugin:x")
        assert found(site, "told") == [1]
    assert wrong_rows(shelf) == {("series_fts", 1)}


@pytest.mark.asyncio
async def test_rows_follow_each_of_datasettes_ways_to_write(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.post("books/-/insert", {"rows": [NEW_BOOK, {**NEW_BOOK, "id": 12, "filepath": "/b/12"}]})
        await site.post("books/-/upsert", {"rows": [{**NEW_BOOK, "id": 12, "filepath": "/b/twelfth"}]})
        await site.post("persons/-/insert", {"rows": [{**PERSON, "id": 1}], "replace": True})
        await site.sql("update books set filepath = '/x/' || id where id > :least", least=1)
        await site.post("books/1/-/delete", {})
        await site.post("genres/1/-/delete", {})
        db = site.datasette.get_database("shelf")
        await db.execute_write_many("update genres set name = ? where id = ?", [("Many", 2)])
        await db.execute_write_script("update files set filepath = '/y/' || id; delete from tags;")
        await db.execute_write_fn(commits_by_itself, transaction=False)
        assert found(site, "somebody") == [2]
        assert found(site, "twelfth") == []
        assert sorted(found(site, "x")) == [2, 3, 12]
        assert found(site, "somebody", "persons_fts") == [1]
        assert found(site, "committed", "series_fts") == [2]
    assert wrong_rows(shelf) == set()


PERSON = {"library_id": 1, "name": "Somebody", "sort_name": "Somebody", "sort_name_source": ""}


def commits_by_itself(conn: sqlite3.Connection) -> None:
    with conn:
        conn.execute("update series set name = 'Committed' where id = 2")


@pytest.mark.asyncio
async def test_rows_follow_what_was_committed_before_a_failure_and_nothing_that_was_undone(
    shelf: Path,
) -> None:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("savepoint inner")
        conn.execute("update series set name = 'Undone' where id = 1")
        conn.execute("delete from books where id = 2")
        conn.execute("rollback to inner")
        conn.execute("update genres set name = 'Kept' where id = 1")
        conn.commit()
        raise ValueError("too late")

    def fail(conn: sqlite3.Connection) -> None:
        conn.execute("update genres set name = 'Lost' where id = 1")
        raise ValueError("no")

    async with opened(shelf) as site:
        for function in (write, fail):
            with pytest.raises(ValueError, match=r"too late|no"):
                await site.datasette.get_database("shelf").execute_write_fn(function)
        assert found(site, "kept", "genres_fts") == [1]
    assert wrong_rows(shelf) == set()


@pytest.mark.asyncio
async def test_rows_follow_with_foreign_keys_on(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("pragma foreign_keys = on")
        with conn:
            conn.execute("delete from persons where id = 1")
            conn.execute("delete from series where id = 1")
            conn.execute("delete from books where id = 2")
        conn.execute("pragma foreign_keys = off")

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write, transaction=False)
    assert wrong_rows(shelf) == set()


@pytest.mark.asyncio
async def test_our_own_writes_leave_the_search_rows_to_themselves(ours: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        with our_own_write():
            conn.execute("update genres set name = 'New' where id = 1")

    async with opened(ours) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert wrong_rows(ours) == {("genres_fts", 1)}


@pytest.mark.asyncio
async def test_the_setting_turns_it_off(ours: Path) -> None:
    config = {"plugins": {PLUGIN: {"track_manual_edits": False}}}
    async with opened(ours, config=config) as site:
        await site.update("books", title="New")
    assert wrong_rows(ours) == {("books_fts", 1), ("series_fts", 1)}


# --- what it costs --------------------------------------------------------------------------------


async def traced(site: Site, *statements: str) -> list[str]:
    """Return all that a write made SQLite do."""
    seen: list[str] = []

    def write(conn: sqlite3.Connection) -> None:
        conn.set_trace_callback(seen.append)
        for statement in statements:
            conn.execute(statement)

    db = site.datasette.get_database("shelf")
    await db.execute_write_fn(write)
    await db.execute_write_fn(lambda conn: conn.set_trace_callback(None))
    return seen


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "statement",
    [
        "update books set description = 'New', sort_title = 'New'",
        "update files set language = 'en', name = 'New', page_count = 3",
        "update authors set role = 'x'",
        "update series set cover_image_filename = 'x'",
        "update chapters set title = 'New'",
    ],
)
async def test_an_edit_that_no_search_row_tells_of_looks_at_none(ours: Path, statement: str) -> None:
    async with opened(ours) as site:
        assert not [sql for sql in await traced(site, statement) if "_fts" in sql or "resync_search" in sql]


@pytest.mark.asyncio
async def test_an_edit_that_changes_nothing_writes_no_search_row(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("books", title="New")
        seen = await traced(
            site, "update books set title = 'New' where id = 1", "update genres set name = name"
        )
        assert not [sql for sql in seen if "_data" in sql or sql.startswith(("insert into", "delete from"))]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "statement",
    [
        "update books set filepath = '/x', title = 'New', subtitle = 'New' where id = 1",
        "update persons set name = 'New', sort_name = 'New' where id = 1",
        "update genres set name = 'New' where id = 1",
        "delete from books where id = 1",
        "delete from series where id = 1",
        "insert into books (id, library_id, filepath, title, title_source, sort_title, sort_title_source,"
        " author_source) values (9, 1, '/n', 'New', '', 'New', '', '')",
        "insert into tags (library_id, name) values (1, 'New')",
    ],
)
async def test_no_search_table_is_read_whole(shelf: Path, statement: str) -> None:
    async with opened(shelf) as site:
        seen = await traced(site, statement)
    looked = [sql for sql in seen if sql.startswith("select rowid") and "_fts" in sql]
    assert [sql for sql in looked if "rowid = " not in sql and " match " not in sql] == []
    assert wrong_rows(shelf) == set() if "books set" not in statement else True


@pytest.mark.asyncio
async def test_a_person_of_very_many_books_holds_nobody_up(
    ours: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(ours)) as conn, conn:
        rows = [(number, f"/many/{number}", f"Book {number}") for number in range(100, 30_100)]
        conn.executemany(
            "insert into books (id, library_id, filepath, title, title_source, sort_title, sort_title_source,"
            " author_source) values (?, 1, ?, ?, '', '', '', '')",
            rows,
        )
        conn.executemany(
            "insert into authors (book_id, person_id, sort_order) values (?, 2, 1)", [row[:1] for row in rows]
        )
    async with opened(ours) as site:
        started = time.monotonic()
        await site.update("persons", pk=2, name="Renamed")
        assert time.monotonic() - started < 10
        assert found(site, "renamed", "persons_fts") == [2]
        assert 0 < len(found(site, "renamed")) < 30_000
        assert site.value("persons", "name", 2) == "Renamed"
    assert "wait for a run" in caplog.text


# --- databases of other kinds ---------------------------------------------------------------------


def alter(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for statement in statements:
            conn.execute(statement)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "statements",
    [
        tuple(f"drop table {name}" for name in SEARCH_TABLES),
        ("drop table books_fts",),
        ("drop table series_fts", "drop table publishers", "drop table publisher_aliases"),
        ("drop table books_fts", "create table books_fts (title text)"),
        ("drop table books_fts", "create virtual table books_fts using fts5(title, content='')"),
        (
            "drop table books_fts",
            "create virtual table books_fts using fts5(book_id, title, content='books')",
        ),
        ("drop table books_fts", "create virtual table books_fts using fts5(book_id unindexed, title)"),
        ("drop table person_aliases", "drop table narrators"),
        ("drop index ix_book_series_series_id", "alter table book_series rename column book_id to book"),
        ("alter table books drop column subtitle", "alter table persons drop column sort_name"),
        ("alter table files rename column id to number",),
    ],
    ids=lambda statements: "; ".join(statements)[:70],
)
async def test_edits_of_an_altered_library_work_as_without_the_plugin(
    ours: Path, statements: Sequence[str]
) -> None:
    alter(ours, *statements)
    edits = (
        "update books set title = 'New', filepath = '/x' where id = 1",
        "update persons set name = 'New' where id = 1",
        "update series set name = 'New' where id = 1",
        "delete from books where id = 2",
        "delete from authors",
    )
    async with opened(ours) as site:
        for edit in edits:
            await run(site, edit)
        await run(site, *edits)
    assert site.query("select id, title from books") == [(1, "New")]
    assert site.query("select name from series where id = 1") == [("New",)]


@pytest.mark.asyncio
@pytest.mark.parametrize("also", ["drop table books_fts", "alter table books drop column subtitle"])
async def test_a_schema_changed_within_the_write_does_not_break_it(
    ours: Path, also: str, caplog: pytest.LogCaptureFixture
) -> None:
    edits = ("update books set title = 'New' where id = 1", "update files set filepath = '/x/' || id")
    async with opened(ours) as site:
        await run(site, *edits, also)
        assert site.value("books", "title_source") == "manual"
        await run(site, "update books set title = 'Newer' where id = 1", "delete from books where id = 2")
    assert site.query("select title from books") == [("Newer",)]
    assert "not brought up to date" in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "damage",
    ["delete from books_fts_data", "drop table books_fts_data", "delete from books_fts_content"],
)
async def test_a_damaged_search_table_breaks_no_edit(
    ours: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(ours) as site:
        await run(site, "update books set subtitle = 'Before' where id = 1")
        await run(site, damage)
        for title in ("New", "Newer"):
            await run(site, f"update books set title = '{title}' where id = 1")
        await run(site, "update files set filepath = '/x/' || id", "delete from books where id = 2")
        assert site.query("select title, title_source from books") == [("Newer", "manual")]
    assert "not brought up to date" in caplog.text


@pytest.mark.asyncio
async def test_rows_that_hold_anything_can_be_edited(shelf: Path) -> None:
    async with opened(shelf) as site:
        await run(
            site,
            "update books set title = x'ff00', filepath = x'fe', library_id = 'none' where id = 1",
            "update persons set name = x'c3', sort_name = x'' where id = 1",
            "update series set name = 12, description = 1.5 where id = 1",
            "update files set filepath = x'fd', file_type = x'00' where id = 1",
            "update genres set name = '\"*(' where id = 1",
        )
        await run(site, "delete from books where id = 1", "delete from persons", "delete from series")
    assert wrong_rows(shelf) == set()


@pytest.mark.asyncio
async def test_rows_follow_after_the_library_was_altered(ours: Path) -> None:
    async with opened(ours) as site:
        await run(site, "update genres set name = 'A' where id = 1", "alter table books add column x text")
        await run(site, "update books set filepath = '/new' where id = 1")
        await run(site, "drop table books_fts")
        await run(site, "update books set filepath = '/newer' where id = 1")
        await run(site, "create virtual table books_fts using fts5(book_id unindexed, title, filepath)")
        await run(site, "update books set filepath = '/newest' where id = 1")
        assert found(site, "newest") == [1]


# --- with runs of ours ----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_run_looks_after_the_series_of_a_title_by_hand(library: Library) -> None:
    library.add_file(library.add_book(), "a.epub", epub(series="Saga", number=1.0))
    library.scan()
    async with opened(Path(library.path)) as site:
        await site.datasette.get_database("library").execute_write("update books set title = 'By Hand'")
        assert found(site, "hand") == [1]
        assert found(site, "hand", "series_fts") == []
        library.scan()
        assert found(site, "hand", "series_fts") == [1]
    assert wrong_rows(Path(library.path)) == set()
