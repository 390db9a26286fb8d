"""Edits made through Datasette become manual; values that say where they are from are believed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from library import Library, changed, epub
from web import Plain

from datasette_shisho_resync.fields import FIELDS, Field, Kind
from datasette_shisho_resync.provenance import our_own_write, tracked_write
from datasette_shisho_resync.store.schema import create_library, open_library

EPUB = "epub_metadata"
ROOT = {"id": "root"}
PLUGIN = "datasette-shisho-resync"

NEW_VALUES: dict[Kind, Any] = {
    Kind.TEXT: "New",
    Kind.DATE: "2020-01-01 00:00:00+00:00",
    Kind.BOOLEAN: 1,
    Kind.INTEGER: 7,
    Kind.REAL: 1.5,
    Kind.PUBLISHER: 2,
    Kind.COVER: "other.jpg",
}
SCALARS = [field for field in FIELDS if not field.is_list]
LISTS = [field for field in FIELDS if field.is_list]
LINKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # A row that is there, and one to add; `update` below takes what differs.
    "authors": ({"person_id": 1, "sort_order": 1}, {"person_id": 2, "sort_order": 2}),
    "narrators": ({"person_id": 1, "sort_order": 1}, {"person_id": 2, "sort_order": 2}),
    "book_series": ({"series_id": 1, "sort_order": 1}, {"series_id": 2, "sort_order": 2}),
    "book_genres": ({"genre_id": 1}, {"genre_id": 2}),
    "book_tags": ({"tag_id": 1}, {"tag_id": 2}),
    "file_identifiers": (
        {"type": "isbn_13", "value": "9780306406157", "source": EPUB},
        {"type": "asin", "value": "B000000000", "source": EPUB},
    ),
    "chapters": ({"title": "One", "sort_order": 0}, {"title": "Two", "sort_order": 1}),
}


def fill(conn: sqlite3.Connection) -> None:
    """Two books with a file each; the first has a row in every list."""

    def add(table: str, **columns: object) -> None:
        insert(conn, table, columns)

    add("libraries", name="Books", cover_aspect_ratio="book")
    for number in (1, 2):
        name = f"Name {number}"
        add("persons", library_id=1, name=name, sort_name=name, sort_name_source="filepath")
        add(
            "series",
            library_id=1,
            name=name,
            name_source=EPUB,
            sort_name=name,
            sort_name_source="filepath",
        )
        for table in ("genres", "tags", "publishers"):
            add(table, library_id=1, name=name)
        add("books", **sources("books"), library_id=1, filepath=f"/b/{number}", title="T", sort_title="T")
        file: dict[str, Any] = {"book_id": number, "filepath": f"/b/{number}/a", "file_type": "epub"}
        file |= {"publisher_id": 1, "page_count": 3, "cover_image_filename": "a.jpg", "cover_page": 0}
        add("files", **sources("files"), library_id=1, **file)
    for field in LISTS:
        assert field.link_table is not None
        add(field.link_table, **{field.owner_column: 1}, **LINKS[field.link_table][0])


def insert(conn: sqlite3.Connection, table: str, columns: Mapping[str, object]) -> int | None:
    marks = ", ".join("?" * len(columns))
    statement = f"insert into {table} ({', '.join(columns)}) values ({marks})"
    return conn.execute(statement, tuple(columns.values())).lastrowid


def sources(table: str) -> dict[str, object]:
    fields = (f for f in FIELDS if f.level.value == table and not f.shares_source)
    return {f.source_column: EPUB for f in fields if f.source_column}


@dataclass
class Site:
    """A Datasette with one library, and what is in its file."""

    datasette: Datasette
    path: Path

    async def post(self, path: str, body: object, *, ok: bool = True) -> dict[str, Any]:
        response = await self.datasette.client.post(f"/shelf/{path}", json=body, actor=ROOT)
        assert (response.status_code in (200, 201)) is ok, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def update(self, table: str, pk: int = 1, **columns: object) -> dict[str, Any]:
        return await self.post(f"{table}/{pk}/-/update", {"update": columns, "return": True})

    async def sql(self, sql: str, *, ok: bool = True, **params: object) -> dict[str, Any]:
        return await self.post("-/execute-write", {"sql": sql, "params": params}, ok=ok)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.path) as conn:
            found = conn.execute(sql).fetchall()
        conn.close()
        return found

    def value(self, table: str, column: str, pk: int = 1) -> Any:
        return self.query(f"select {column} from {table} where id = {pk}")[0][0]

    def marks(self) -> set[tuple[str, int, str]]:
        if not self.has_history():
            return set()
        return set(self.query("select table_name, row_pk, field from resync_manual"))

    def has_history(self) -> bool:
        return bool(self.query("select 1 from sqlite_master where name = 'resync_manual'"))

    def manual(self) -> set[str]:
        """Return all that is manual, as `table.pk.source column` or, for marks, `table.pk.field`."""
        found = {f"{table}.{pk}.{field}" for table, pk, field in self.marks()}
        for table in ("books", "files", "series", "persons", "file_identifiers"):
            columns = [row[0] for row in self.query(f"select name from pragma_table_info('{table}')")]
            each = (
                f"select id, '{column}' from {table} where {column} = 'manual'"
                for column in columns
                if column == "source" or column.endswith("_source")
            )
            rows = self.query(" union all ".join(each))
            found.update(f"{table}.{pk}.{column}" for pk, column in rows)
        return found

    async def triggers(self) -> int:
        db = self.datasette.get_database("shelf")

        def count(conn: sqlite3.Connection) -> int:
            found: int = conn.execute("select count(*) from sqlite_temp_master").fetchone()[0]
            return found

        return await db.execute_write_fn(count)  # type: ignore[no-any-return]


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Site]:
    datasette = Plain([str(path)], **options)
    datasette.root_enabled = True
    await datasette.invoke_startup()
    try:
        yield Site(datasette, path)
    finally:
        datasette.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a filled library."""
    path = tmp_path_factory.mktemp("template") / "shelf.db"
    conn = open_library(str(path), create=True)
    conn.execute("pragma journal_mode = delete")
    conn.execute("begin")
    create_library(conn)
    fill(conn)
    conn.execute("commit")
    conn.close()
    return path.read_bytes()


@pytest.fixture
def shelf(tmp_path: Path, template: bytes) -> Path:
    path = tmp_path / "shelf.db"
    path.write_bytes(template)
    return path


def manual_name(field: Field) -> str:
    source = None if field.shares_source else field.source_column
    return f"{field.level.value}.1.{source or field.name}"


# --- scalars --------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("field", SCALARS, ids=lambda field: field.name)
async def test_a_changed_value_becomes_manual(shelf: Path, field: Field) -> None:
    async with opened(shelf) as site:
        await site.update(field.level.value, **{str(field.column): NEW_VALUES[field.kind]})
    assert site.manual() == {manual_name(field)}
    assert site.value(field.level.value, str(field.column)) == NEW_VALUES[field.kind]


@pytest.mark.asyncio
async def test_the_row_that_an_update_returns_has_its_new_source(shelf: Path) -> None:
    async with opened(shelf) as site:
        answer = await site.update("books", title="New")
    assert answer["rows"][0]["title_source"] == "manual"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("books", {"title": "T"}),
        ("books", {"filepath": "/elsewhere"}),
        ("books", {"title": "New", "title_source": "plugin:x"}),
        ("books", {"title_source": "sidecar"}),
        ("files", {"page_count": 3}),
        ("files", {"reviewed": 1}),
        ("files", {"cover_image_filename": "b.jpg", "cover_source": "plugin:x"}),
        ("series", {"description": "About it"}),
        ("authors", {"sort_order": 1}),
    ],
)
async def test_what_is_no_edit_or_names_its_source_stays_as_it_is(
    shelf: Path, table: str, columns: dict[str, Any]
) -> None:
    async with opened(shelf) as site:
        await site.update(table, **columns)
    assert site.manual() == set()


@pytest.mark.asyncio
async def test_another_page_as_cover_is_a_manual_cover(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("files", cover_page=4)
    assert site.manual() == {"files.1.cover_source"}


@pytest.mark.asyncio
async def test_a_value_that_a_person_empties_is_manual(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("files", page_count=None, publisher_id=None)
    assert site.manual() == {"files.1.page_count", "files.1.publisher_source"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("table", "columns", "expected"),
    [
        ("series", {"name": "New"}, {"series.1.name_source"}),
        ("series", {"sort_name": "New"}, {"series.1.sort_name_source"}),
        ("persons", {"sort_name": "New"}, {"persons.1.sort_name_source"}),
        ("persons", {"name": "New"}, {"books.1.author_source", "files.1.narrator_source"}),
        ("genres", {"name": "New"}, {"books.1.genre_source"}),
        ("tags", {"name": "New"}, {"books.1.tag_source"}),
        ("publishers", {"name": "New"}, {"files.1.publisher_source", "files.2.publisher_source"}),
    ],
)
async def test_a_renamed_entity_is_an_edit_of_what_names_it(
    shelf: Path, table: str, columns: dict[str, Any], expected: set[str]
) -> None:
    async with opened(shelf) as site:
        await site.update(table, **columns)
    assert site.manual() == expected


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("persons", {"books.1.author_source", "files.1.narrator_source"}),
        ("series", {"books.1.series"}),
        ("genres", {"books.1.genre_source"}),
    ],
)
async def test_a_deleted_entity_is_an_edit_of_what_named_it(
    shelf: Path, table: str, expected: set[str]
) -> None:
    async with opened(shelf) as site:
        await site.post(f"{table}/1/-/delete", {})
    assert site.manual() == expected


# --- lists ----------------------------------------------------------------------------------------


async def insert_link(site: Site, link: str, owner: str, columns: dict[str, Any]) -> None:
    await site.post(f"{link}/-/insert", {"row": {owner: 1, **columns}})


async def update_link(site: Site, link: str, owner: str, columns: dict[str, Any]) -> None:
    await site.update(link, **{name: value for name, value in columns.items() if name != "source"})


async def delete_link(site: Site, link: str, owner: str, columns: dict[str, Any]) -> None:
    await site.post(f"{link}/1/-/delete", {})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("change", "also"),
    [(insert_link, set()), (update_link, {"file_identifiers.1.source"}), (delete_link, set())],
)
async def test_a_changed_list_becomes_manual(shelf: Path, change: Any, also: set[str]) -> None:
    expected: set[str] = set()
    async with opened(shelf) as site:
        for field in LISTS:
            link = str(field.link_table)
            await change(site, link, field.owner_column, LINKS[link][1])
            expected.add(manual_name(field))
            assert site.manual() - also == expected
    assert also <= site.manual()


@pytest.mark.asyncio
async def test_a_row_moved_to_another_book_edits_both(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("authors", book_id=2)
    assert site.manual() == {"books.1.author_source", "books.2.author_source"}


@pytest.mark.asyncio
@pytest.mark.parametrize("source_first", [True, False])
async def test_a_list_written_together_with_another_source_is_believed(
    shelf: Path, source_first: bool
) -> None:
    steps = [
        "update books set author_source = 'plugin:x' where id = 1",
        "insert into authors (book_id, person_id, sort_order) values (1, 2, 2)",
    ]

    def write(conn: sqlite3.Connection) -> None:
        for step in steps if source_first else reversed(steps):
            conn.execute(step)

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert site.value("books", "author_source") == "plugin:x"


@pytest.mark.asyncio
async def test_a_list_replaced_by_an_equal_one_is_no_edit(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("delete from book_genres")
        conn.execute("insert into book_genres (book_id, genre_id) values (1, 1)")

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert site.manual() == set()


# --- ways to write --------------------------------------------------------------------------------

NEW_TITLE = {"id": 1, "title": "New"}
REQUIRED = {
    "library_id": 1,
    "filepath": "/b/1",
    "sort_title": "T",
    "title_source": EPUB,
    "sort_title_source": EPUB,
    "author_source": EPUB,
}


@pytest.mark.asyncio
async def test_upsert_is_an_edit(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.post("books/-/upsert", {"rows": [{**REQUIRED, **NEW_TITLE}]})
    assert site.manual() == {"books.1.title_source"}


@pytest.mark.asyncio
async def test_upsert_does_not_mark_columns_that_it_leaves_alone(shelf: Path) -> None:
    row = {"id": 1, "library_id": 1, "book_id": 1, "filepath": "/b/1/a", "file_type": "epub", "url": "x:y"}
    async with opened(shelf) as site:
        await site.post("files/-/upsert", {"rows": [row]})
    assert site.manual() == {"files.1.url_source"}
    assert site.value("files", "page_count") == 3


@pytest.mark.asyncio
async def test_insert_with_replace_is_an_edit_of_what_differs(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.post("books/-/insert", {"rows": [{**REQUIRED, **NEW_TITLE}], "replace": True})
    assert site.manual() == {"books.1.title_source"}


@pytest.mark.asyncio
async def test_insert_with_replace_that_names_another_source_is_believed(shelf: Path) -> None:
    row = {**REQUIRED, **NEW_TITLE, "title_source": "sidecar"}
    async with opened(shelf) as site:
        await site.post("books/-/insert", {"rows": [row], "replace": True})
    assert site.manual() == set()
    assert site.value("books", "title_source") == "sidecar"


@pytest.mark.asyncio
async def test_an_ignored_insert_is_no_edit(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.post("books/-/insert", {"rows": [{**REQUIRED, **NEW_TITLE}], "ignore": True})
    assert site.manual() == set()


@pytest.mark.asyncio
@pytest.mark.parametrize("given_id", [{}, {"id": 9}])
async def test_a_new_row_stays_as_given(shelf: Path, given_id: dict[str, int]) -> None:
    """Also what the same write changes in it and adds to its lists."""
    row = {**REQUIRED, "filepath": "/b/9", "title": "Nine", **given_id}

    def write(conn: sqlite3.Connection) -> None:
        pk = insert(conn, "books", row)
        conn.execute("update books set subtitle = 'Sub' where id = ?", (pk,))
        insert(conn, "authors", {"book_id": pk, "person_id": 1, "sort_order": 1})

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert site.manual() == set()
    assert len(site.query("select 1 from books")) == 3


@pytest.mark.asyncio
async def test_sql_by_hand_is_an_edit_of_each_row_that_it_changes(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.sql("update books set title = 'New', subtitle = :sub where id = 2", sub="Sub")
        await site.sql("update or replace files set page_count = 9")
        await site.sql("update or abort files set page_count = 10")
    assert site.manual() == {
        "books.2.title_source",
        "books.2.subtitle_source",
        "files.1.page_count",
        "files.2.page_count",
    }


@pytest.mark.asyncio
@pytest.mark.parametrize("threads", [0, 3])
async def test_other_plugins_writes_are_edits(shelf: Path, threads: int) -> None:
    async with opened(shelf, settings={"num_sql_threads": threads}) as site:
        db = site.datasette.get_database("shelf")
        await db.execute_write("update books set title = 'New' where id = ?", [1])
        await db.execute_write_fn(commits_by_itself, transaction=False)
        await db.execute_write_many("update books set subtitle = ? where id = ?", [("a", 1), ("b", 2)])
        await db.execute_write_script("update files set url = 'x:y' where id = 1; vacuum;")
        assert not await db.execute_write_fn(is_in_transaction, transaction=False)
    assert site.manual() == {
        "books.1.title_source",
        "books.1.subtitle_source",
        "books.2.subtitle_source",
        "files.1.page_count",
        "files.1.url_source",
    }


def commits_by_itself(conn: sqlite3.Connection) -> None:
    with conn:
        conn.execute("update files set page_count = 8 where id = 1")


def is_in_transaction(conn: sqlite3.Connection) -> bool:
    return conn.in_transaction


@pytest.mark.asyncio
async def test_an_edit_that_was_committed_on_the_way_is_marked(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("update books set title = 'New' where id = 1")
        conn.commit()
        raise ValueError("too late")

    async with opened(shelf) as site:
        with pytest.raises(ValueError, match="too late"):
            await site.datasette.get_database("shelf").execute_write_fn(write)
    assert site.manual() == {"books.1.title_source"}


@pytest.mark.asyncio
async def test_vacuum_and_writes_without_transaction_work(shelf: Path) -> None:
    async with opened(shelf) as site:
        db = site.datasette.get_database("shelf")
        await db.execute_write("vacuum", transaction=False)
        await site.update("books", title="New")
        await db.execute_write("vacuum", transaction=False)
        await site.update("books", subtitle="New")
    assert site.manual() == {"books.1.title_source", "books.1.subtitle_source"}


@pytest.mark.asyncio
async def test_an_isolated_connection_is_left_alone(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        with conn:
            conn.execute("update books set title = 'New'")

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_isolated_fn(write)
    assert site.manual() == set()


@pytest.mark.asyncio
async def test_deleting_a_book_with_all_it_has_leaves_no_mark(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("files", page_count=9)
        await site.post("book_series/1/-/delete", {})
        assert site.marks() == {("files", 1, "page_count"), ("books", 1, "series")}
        await site.post("files/1/-/delete", {})
        await site.post("books/1/-/delete", {})
    assert site.manual() == set()


@pytest.mark.asyncio
async def test_deleting_with_foreign_keys_on_leaves_no_mark(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("pragma foreign_keys = on")
        with conn:
            conn.execute("delete from books where id = 1")
        conn.execute("pragma foreign_keys = off")

    async with opened(shelf) as site:
        await site.update("files", page_count=9)
        await site.datasette.get_database("shelf").execute_write_fn(write, transaction=False)
    assert site.manual() == set()
    assert site.query("select 1 from chapters") == []


@pytest.mark.asyncio
async def test_deleting_many_orphans_asks_for_their_owners_once(shelf: Path) -> None:
    with sqlite3.connect(shelf) as conn:
        conn.execute("drop index ix_authors_person_id")
        conn.executemany(
            "insert into persons (library_id, name, sort_name, sort_name_source) values (1, ?, '', '')",
            [(f"Nobody {number}",) for number in range(2000)],
        )
    conn.close()
    statements: list[str] = []

    def write(conn: sqlite3.Connection) -> None:
        conn.set_trace_callback(statements.append)
        conn.execute("delete from persons where name like 'Nobody%'")

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert site.manual() == set()
    assert sum("set author_source" in statement for statement in statements) == 1


# --- failing writes -------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_failing_write_leaves_no_mark_and_the_next_one_is_tracked(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("update books set title = 'New', subtitle = 'New'")
        conn.execute("update files set page_count = 9")
        raise ValueError("no")

    async with opened(shelf) as site:
        db = site.datasette.get_database("shelf")
        for _ in range(2):  # the first one takes the triggers with it, the second finds them
            with pytest.raises(ValueError, match="no"):
                await db.execute_write_fn(write)
            assert site.manual() == set()
            assert not site.has_history()
            await site.triggers()
        await site.update("books", title="New")
    assert site.manual() == {"books.1.title_source"}


@pytest.mark.asyncio
async def test_a_rollback_that_brings_triggers_of_an_older_schema_back_is_noticed(shelf: Path) -> None:
    async with opened(shelf) as site:
        db = site.datasette.get_database("shelf")
        await db.execute_write("alter table files rename column url to link")
        with pytest.raises(sqlite3.IntegrityError):
            await db.execute_write("update books set title = null")
        await db.execute_write("alter table files rename column link to url")
        with pytest.raises(sqlite3.IntegrityError):
            await db.execute_write("update books set title = null")
        await site.update("files", url="x:y")
    assert site.manual() == {"files.1.url_source"}


@pytest.mark.asyncio
async def test_an_edit_that_cannot_be_marked_is_stored_all_the_same(
    shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(shelf) as conn:
        conn.execute(
            "create trigger frozen before update of title_source on books "
            "begin select raise(abort, 'no'); end"
        )
    conn.close()
    async with opened(shelf) as site:
        await site.update("books", title="New")
        await site.update("books", subtitle="New")
    assert site.value("books", "title") == "New"
    assert site.manual() == {"books.1.subtitle_source"}
    assert "not marked as manual" in caplog.text


# --- changed schemas ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_edits_are_tracked_after_the_table_was_altered(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("books", subtitle="New")
        operations = [{"op": "add_column", "args": {"name": "shelf_mark", "type": "text"}}]
        await site.post("books/-/alter", {"operations": operations})
        await site.update("books", title="New")
        await site.post(
            "books/-/alter", {"operations": [{"op": "drop_column", "args": {"name": "shelf_mark"}}]}
        )
        await site.update("books", pk=2, title="New")
        await site.post("authors/-/insert", {"row": {"book_id": 2, "person_id": 2, "sort_order": 1}})
    assert site.manual() == {
        "books.1.subtitle_source",
        "books.1.title_source",
        "books.2.title_source",
        "books.2.author_source",
    }


@pytest.mark.asyncio
async def test_edits_are_tracked_after_a_table_was_made_anew_by_hand(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("books", subtitle="New")
        db = site.datasette.get_database("shelf")
        columns = ", ".join(row[0] for row in site.query("select name from pragma_table_info('books')"))
        for statement in (
            f"create table copy as select {columns} from books",
            "drop table books",
            "alter table copy rename to books",
        ):
            await db.execute_write(statement)
        await site.sql("update books set title = 'New' where id = 1")
    assert site.manual() == {"books.1.subtitle_source", "books.1.title_source"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "statement",
    [
        "alter table books drop column subtitle",
        "alter table books drop column subtitle_source",
        "alter table books rename column subtitle to second_title",
        "alter table files drop column page_count",
        "alter table series drop column name_source",
        "alter table chapters rename to sections",
        "drop table file_identifiers",
        "drop table persons",
    ],
)
async def test_raw_statements_that_change_the_schema_work(shelf: Path, statement: str) -> None:
    async with opened(shelf) as site:
        await site.update("genres", name="New")
        await site.sql(statement)
        await site.update("books", title="New")
        await site.update("series", sort_name="New")
        await site.post("books/2/-/delete", {})
        await site.post("books/-/insert", {"row": {**REQUIRED, "title": "Nine"}}, ok=False)
        await site.post("books/-/insert", {"row": {**REQUIRED, "title": "Nine", "filepath": "/b/9"}})
    assert {"books.1.genre_source", "books.1.title_source"} <= site.manual()


@pytest.mark.asyncio
async def test_a_schema_changed_within_a_write_does_not_break_it(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("update books set title = 'New', subtitle = 'New' where id = 1")
        conn.execute("alter table books drop column subtitle")
        insert(conn, "books", {**REQUIRED, "title": "Nine", "filepath": "/b/9"})
        conn.execute("drop table authors")

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert site.manual() == {"books.1.title_source"}


@pytest.mark.asyncio
async def test_an_older_library_is_tracked_as_far_as_it_has_the_columns(shelf: Path) -> None:
    with sqlite3.connect(shelf) as conn:
        conn.execute("drop index ix_files_language")
        for column in ("language_source", "abridged", "abridged_source", "cover_page"):
            conn.execute(f"alter table files drop column {column}")
        for table in ("chapters", "file_identifiers", "publishers"):
            conn.execute(f"drop table {table}")
    conn.close()
    async with opened(shelf) as site:
        await site.update("files", name="New", language="en", cover_image_filename="b.jpg", publisher_id=None)
        await site.post("files/2/-/delete", {})
    assert site.manual() == {"files.1.name_source", "files.1.cover_source"}


# --- where nothing is tracked ---------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("block", [{}, {"databases": {"shelf": {"allow": True}}}])
async def test_the_setting_turns_it_off(shelf: Path, block: Mapping[str, Any]) -> None:
    config = {"plugins": {PLUGIN: {"track_manual_edits": False}}, **block}
    async with opened(shelf, config=config) as site:
        await site.update("books", title="New")
        assert await site.triggers() == 0
    assert site.manual() == set()


@pytest.mark.asyncio
async def test_datasettes_own_database_is_left_alone(shelf: Path) -> None:
    async with opened(shelf) as site:
        assert tracked_write(site.datasette, "shelf")
        assert tracked_write(site.datasette, "__INTERNAL__") is None


@pytest.mark.asyncio
async def test_a_database_that_is_no_library_gets_no_triggers(tmp_path: Path) -> None:
    path = tmp_path / "shelf.db"
    with sqlite3.connect(path) as conn:
        conn.execute("create table books (id integer primary key, title text, title_source text)")
        conn.execute("insert into books values (1, 'T', 'x')")
    conn.close()
    async with opened(path) as site:
        await site.update("books", title="New")
        assert await site.triggers() == 0
    assert site.query("select * from books") == [(1, "New", "x")]
    assert not site.has_history()


@pytest.mark.asyncio
async def test_our_tables_are_made_only_for_an_edit_that_needs_them(shelf: Path) -> None:
    async with opened(shelf) as site:
        await site.update("books", title="New")
        await site.post("files/2/-/delete", {})
        assert not site.has_history()
        await site.update("files", page_count=9)
        assert site.has_history()


@pytest.mark.asyncio
async def test_our_own_writes_are_no_edits(shelf: Path) -> None:
    def write(conn: sqlite3.Connection) -> None:
        with our_own_write():
            with our_own_write():
                conn.execute("update books set title = 'New' where id = 1")
            conn.execute("delete from authors")
            conn.execute("update files set page_count = 9")
        conn.execute("update books set subtitle = 'New' where id = 1")

    async with opened(shelf) as site:
        await site.datasette.get_database("shelf").execute_write_fn(write)
    assert site.manual() == {"books.1.subtitle_source"}


def test_our_own_write_ends_when_it_fails(shelf: Path) -> None:
    with pytest.raises(ValueError, match="no"), our_own_write():
        raise ValueError("no")
    conn = open_library(str(shelf))  # no triggers and no functions here: it must work all the same
    with our_own_write():
        conn.execute("update books set title = 'New'")
    conn.close()


@pytest.mark.asyncio
async def test_triggers_are_made_once_for_a_schema(shelf: Path) -> None:
    async with opened(shelf) as site:
        made: list[str] = []

        def listen(conn: sqlite3.Connection) -> None:
            conn.set_trace_callback(lambda sql: made.append(sql) if "trigger" in sql.lower() else None)

        db = site.datasette.get_database("shelf")
        await db.execute_write_fn(listen)
        for title in ("a", "b", "c"):
            await site.update("books", title=title)
        assert not [sql for sql in made if sql.lower().startswith(("create", "drop"))]
        await db.execute_write("alter table books add column shelf_mark text")
        await site.update("books", title="d")
        assert [sql for sql in made if sql.lower().startswith("create temp trigger")]


# --- with a scan ----------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_was_edited_in_datasette_survives_a_scan(book: Library) -> None:
    book.scan()
    book.rewrite(1, epub("Other", ("Otto Other",), series="Saga", number=2.0, description="About"))
    async with opened(Path(book.path)) as site:
        database = site.datasette.get_database("library")
        await database.execute_write("update books set title = 'Mine' where id = 1")
        await database.execute_write("update persons set name = 'Anne Author' where name = 'Ann Author'")
    after = changed(book.scan())
    assert book.book()["title"] == "Mine"
    assert book.authors() == ["Anne Author"]
    assert {"description", "series"} <= set(after)
    assert not {"title", "authors"} & set(after)


@pytest.mark.asyncio
async def test_a_series_removed_in_datasette_stays_away_in_a_scan(library: Library) -> None:
    library.add_file(library.add_book(), "a.epub", epub(series="Saga", number=1.0))
    library.scan()
    assert library.series() == [("Saga", 1.0)]
    async with opened(Path(library.path)) as site:
        await site.datasette.get_database("library").execute_write("delete from book_series")
    library.scan()
    assert library.series() == []
    library.refresh()
    assert library.series() == [("Saga", 1.0)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("edit", "source"),
    [
        ("update book_series set series_number = 7", "manual"),
        ("delete from series", "manual"),
        ("update series set name = 'Other'", "epub_metadata"),
        ("update book_series set series_number = 7, sort_order = 1 where 0", "epub_metadata"),
    ],
)
async def test_edited_series_of_a_book_get_their_source_where_the_library_has_one(
    library: Library, edit: str, source: str
) -> None:
    library.conn.execute("alter table books add column series_source text")
    library.reopen()
    library.add_file(library.add_book(), "a.epub", epub(series="Saga", number=1.0))
    library.scan()
    async with opened(Path(library.path)) as site:
        await site.datasette.get_database("library").execute_write(edit)
    assert (library.book()["series_source"], library.rows("resync_manual")) == (source, [])
