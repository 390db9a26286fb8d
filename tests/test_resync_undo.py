from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from builders.images import jpeg, png
from library import BY, Library, epub

from datasette_shisho_resync.errors import Conflict, UndoConflict, UnknownRow
from datasette_shisho_resync.model import Limits, Mode
from datasette_shisho_resync.store.jobs import finish_job, start_job

NAMED = ("persons", "series", "genres", "tags", "publishers")
FULL = {"genres": ["SF", "Fun"], "tags": "x,y", "description": "Words", "publisher": "P", "language": "en"}


def full(title: str = "Dune", **more: Any) -> bytes:
    return epub(title, ["Ann", "Bob"], **{"series": "S", "number": 2, "cover": png(3, 4), **FULL, **more})


@pytest.mark.parametrize("mode", list(Mode))
def test_undo_restores_every_row(book: Library, mode: Mode) -> None:
    book.edit("books", subtitle="Mine", subtitle_source="manual", title_source="manual")
    book.scan()
    book.rewrite(1, full())
    before = book.content()
    undone = book.undo(book.run(mode).run_id)
    assert book.content() == before
    assert [row["undone_by"] for row in book.rows("resync_runs")] == [None, undone.run_id, None]


def test_undo_of_an_undo_restores_every_row_too(book: Library) -> None:
    book.rewrite(1, full())
    book.scan()
    book.rewrite(1, full("Other", genres=["New"], series="T"))
    run = book.scan()
    after = book.content()
    undone = book.undo(run.run_id)
    book.undo(undone.run_id)
    assert book.content() == after


def test_undo_of_a_removal_restores_every_row(book: Library) -> None:
    book.rewrite(1, full())
    book.scan()
    book.add_witness()
    book.remove(1)
    before = book.content()
    run = book.scan()
    undone = book.undo(run.run_id)
    assert book.content() == before
    assert undone.target == run.plan.target
    book.undo(undone.run_id)
    assert book.rows("series_fts")[0]["book_titles"] == ""


@pytest.mark.parametrize("foreign_keys", ["on", "off"])
def test_undo_of_a_removal_brings_back_what_the_book_named_and_a_shisho_dropped_since(
    book: Library, foreign_keys: str
) -> None:
    book.conn.execute(f"pragma foreign_keys = {foreign_keys}")
    book.rewrite(1, full())
    book.scan()
    book.edit("persons", sort_name="Mine", sort_name_source="manual")
    book.add_witness()
    book.remove(1)
    before = book.content(with_derived=False)
    run = book.scan()
    for table in NAMED:
        book.conn.execute(f"delete from {table}")
        book.conn.execute(f"delete from {table}_fts")
    undone = book.undo(run.run_id)
    assert book.content(with_derived=False) == before
    assert [row["name"] for row in book.rows("persons_fts")] == ["Ann", "Bob"]
    book.undo(undone.run_id)
    assert not any(book.rows(table) for table in NAMED)


def test_a_name_that_was_made_anew_since_a_removal_is_meant_by_its_undo(book: Library) -> None:
    book.rewrite(1, full())
    book.scan()
    book.add_witness()
    book.remove(1)
    run = book.scan()
    book.conn.execute("delete from persons where name = 'Ann'")
    anew = book.add("persons", library_id=1, name="ann", sort_name="ann", sort_name_source="filepath")
    book.undo(run.run_id)
    assert [row["person_id"] for row in book.rows("authors")] == [anew, 2]
    assert book.authors() == ["ann", "Bob"]


@pytest.mark.parametrize("foreign_keys", ["on", "off"])
def test_undo_brings_nested_chapters_back(book: Library, foreign_keys: str) -> None:
    book.conn.execute(f"pragma foreign_keys = {foreign_keys}")
    book.edit("files", chapter_source="epub_metadata")
    book.scan()
    book.add("chapters", id=7, file_id=1, sort_order=1, title="Part")
    book.add("chapters", id=5, file_id=1, sort_order=0, title="In it", parent_id=7, href="a")
    before = book.content()
    run = book.reset()
    assert book.rows("chapters") == []
    book.undo(run.run_id)
    assert book.content() == before


def test_what_a_run_made_stays_while_others_use_it(book: Library) -> None:
    book.rewrite(1, epub(authors=["Ann"], genres=["SF"]))
    run = book.scan()
    other = book.add_book("Other")
    genre = book.rows("genres")[0]["id"]
    book.add("book_genres", book_id=other, genre_id=genre)
    book.undo(run.run_id)
    assert ([g["name"] for g in book.rows("genres")], book.rows("persons")) == (["SF"], [])
    assert book.rows("persons_fts") == []


def test_a_series_that_loses_the_book_forgets_its_title(book: Library) -> None:
    book.rewrite(1, epub("One", series="Old"))
    book.scan()
    book.rewrite(1, epub("One", series="New"))
    run = book.scan()
    other = book.add_book("Other")
    new = book.rows("series", "name = 'New'")[0]["id"]
    book.add("book_series", book_id=other, series_id=new, sort_order=1)
    book.undo(run.run_id)
    titles = {row["name"]: row["book_titles"] for row in book.rows("series_fts")}
    assert titles == {"Old": "One", "New": "Other"}


def test_undo_twice_is_refused(book: Library) -> None:
    run = book.scan()
    book.undo(run.run_id)
    with pytest.raises(Conflict, match="undone before"):
        book.undo(run.run_id)


@pytest.mark.parametrize("run_id", [1, 99])
def test_an_unknown_run_is_reported(book: Library, run_id: int) -> None:
    if run_id == 99:
        book.scan()
    with pytest.raises(UnknownRow):
        book.undo(run_id)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("update books set title = 'Mine'", "books.1.title"),
        ("update books set title_source = 'manual'", "books.1.title"),
        ("delete from book_genres", "books.1.genres"),
        ("update authors set role = 'editor'", "books.1.authors"),
        ("update files set publisher_id = null", "files.1.publisher"),
        ("update files set cover_image_filename = 'x.png'", "files.1.cover"),
        ("update book_series set series_number = 9", "books.1.series"),
        ("delete from files", "files.1.publisher"),
    ],
)
def test_fields_changed_since_are_named_and_nothing_is_undone(book: Library, change: str, name: str) -> None:
    book.rewrite(1, full())
    run = book.scan()
    book.conn.execute(change)
    before = book.dump()
    with pytest.raises(UndoConflict) as caught:
        book.undo(run.run_id)
    assert name in caught.value.fields
    assert book.dump() == before


@pytest.mark.parametrize("table", ["books", "files"])
def test_a_row_that_is_gone_is_named(book: Library, table: str) -> None:
    run = book.scan(table)
    book.conn.execute(f"delete from {table}")
    with pytest.raises(UndoConflict) as caught:
        book.undo(run.run_id)
    assert caught.value.fields[0].startswith(f"{table}.1")


def test_a_role_changed_since_is_named(book: Library) -> None:
    book.add_witness()
    book.remove(1)
    file_id = book.add_file(1, "notes.epub", epub(), role="supplement")
    run = book.scan()
    book.edit("files", file_id, file_role="other")
    with pytest.raises(UndoConflict) as caught:
        book.undo(run.run_id)
    assert caught.value.fields == (f"files.{file_id}.file_role",)


def test_a_person_that_is_gone_cannot_come_back_with_a_list(book: Library) -> None:
    book.scan()
    book.rewrite(1, epub(authors=["Else"]))
    run = book.scan()
    book.conn.execute("delete from persons where name = 'Ann Author'")
    with pytest.raises(UndoConflict) as caught:
        book.undo(run.run_id)
    assert caught.value.fields == ("persons.1",)


def test_a_row_whose_place_is_taken_is_named(book: Library) -> None:
    book.scan()
    book.add_witness()
    book.remove(1)
    run = book.scan()
    path = book.root / "Shelf"
    book.add_book("Shelf", id=50, filepath=str(path))
    with pytest.raises(UndoConflict, match="has no place any more"):
        book.undo(run.run_id)


def forge(library: Library, of: str, /, **columns: object) -> None:
    """Change one line of the history, as somebody with the database file could."""
    assignments = ", ".join(f"{column} = ?" for column in columns)
    library.conn.execute(f"update resync_changes set {assignments} where field = ?", (*columns.values(), of))


def row(table: str, **columns: object) -> dict[str, object]:
    return {"table_name": table, "field": "row", "old_value": json.dumps(columns), "new_value": None}


@pytest.mark.parametrize(
    "forged",
    [
        {"table_name": "libraries"},
        {"table_name": "files"},
        {"field": "id"},
        {"field": "library_id"},
        {"row_pk": 2},
        {"table_name": "files", "field": "name", "row_pk": 2},
        {"table_name": "files", "field": "file_role", "old_value": "master", "row_pk": 1},
        {"table_name": "series", "field": "name_source", "old_value": "manual"},
        {"table_name": "resync_runs", "field": "row"},
        {"table_name": "sqlite_master", "field": "row"},
        {"field": "title.mark", "table_name": "files"},
        {"table_name": "files", "field": "sidecar_file"},
        row("authors", id=9, book_id=2, person_id=1, sort_order=1) | {"row_pk": 9},
        row("chapters", id=9, file_id=2, parent_id=None, sort_order=1, title="x") | {"row_pk": 9},
        row("chapters", id=9, file_id=None, parent_id=9, sort_order=1, title="x") | {"row_pk": 9},
        row("files", id=9, book_id=2) | {"row_pk": 9},
        row("persons", id=8, name="x") | {"row_pk": 9},
        row("books", id=2) | {"row_pk": 2},
        row("books", id=2),
        {"table_name": "book_genres", "field": "row", "row_pk": 77, "old_value": None, "new_value": "{}"},
        {"table_name": "authors", "field": "row", "old_value": "[]", "new_value": None},
        {"table_name": "authors", "field": "row", "old_value": "no json", "new_value": None},
        {"table_name": "authors", "field": "row", "old_value": "[" * 100_000, "new_value": None},
        {"table_name": "authors", "field": "row", "old_value": '{"a":' * 100_000, "new_value": None},
        {"table_name": b"authors", "field": b"row", "old_value": b"\xff", "new_value": None},
        row(
            "authors",
            id=9,
            book_id=1,
            person_id=1,
            sort_order=5,
            **{'x") values (1); drop table books; --': 1},
        ),
        row("authors", id=[9], book_id={"a": 1}, person_id=1, sort_order=5),
        row("authors", id=9, book_id=1, person_id=1, sort_order=5, named={"id": 2}),
        row("authors", id=9, book_id=1, person_id=77, sort_order=5, named={"id": 77, "name": 5}),
        row("authors", id=9, book_id=1, person_id=77, sort_order=5, named=5),
        {"row_pk": "x"},
    ],
    ids=lambda forged: str(forged)[:80],
)
def test_history_that_no_run_writes_is_refused(book: Library, forged: dict[str, object]) -> None:
    book.add_witness()
    book.conn.execute("insert into genres (library_id, name) values (1, 'Theirs')")
    book.add("book_genres", id=77, book_id=2, genre_id=1)
    run = book.scan()
    forge(book, "title", **forged)
    before = book.dump()
    with pytest.raises(Conflict):
        book.undo(run.run_id)
    assert book.dump() == before


@pytest.mark.parametrize(
    "rows",
    ["[5]", '[{"id": 1}]', '[{"id": 9, "book_id": 2, "person_id": 1, "sort_order": 1}]', "5 5"],
)
def test_lists_that_no_run_writes_are_refused(book: Library, rows: str) -> None:
    book.add_witness()
    run = book.scan()
    forge(book, "authors", old_value=rows)
    before = book.dump()
    with pytest.raises(Conflict):
        book.undo(run.run_id)
    assert book.dump() == before


def test_a_reference_to_the_book_of_another_is_refused(book: Library) -> None:
    book.conn.execute("create table loans (id integer primary key, book references books on delete set null)")
    book.conn.execute("insert into loans values (1, 1)")
    book.scan()
    book.add_witness()
    book.remove(1)
    run = book.scan()
    forge(book, "book", old_value='{"book": 2}')
    with pytest.raises(Conflict, match="which no run writes"):
        book.undo(run.run_id)


def test_undo_of_a_job_undoes_all_its_runs_or_none(book: Library) -> None:
    book.with_history()
    job = start_job(book.conn, "scan", "scan")
    before = book.content(with_derived=False)
    for title in ("One", "Two"):
        book.rewrite(1, epub(title))
        book.scan()
    book.conn.execute("update resync_runs set job_id = ?", (job,))
    finish_job(book.conn, job, "done", {"changed": 2}, [])
    assert [u.undo_of for u in book.service.undo_job(job, BY)] == [2, 1]
    assert book.content(with_derived=False) == before
    with pytest.raises(UnknownRow):
        book.service.undo_job(job + 1, BY)


def test_a_moved_series_source_comes_back(book: Library) -> None:
    book.add(
        "series", library_id=1, name="S", name_source="filepath", sort_name="S", sort_name_source="filepath"
    )
    book.rewrite(1, epub(series="S"))
    before = book.content(with_derived=False)
    book.undo(book.scan().run_id)
    assert book.content(with_derived=False) == before


def test_undo_of_one_files_removal_leaves_the_other(book: Library) -> None:
    book.add_file(1, "b.epub", epub("Second"))
    book.scan()
    book.remove(1)
    before = book.content()
    run = book.scan("files", 1)
    assert (run.deleted, run.book_deleted) == (True, False)
    book.undo(run.run_id)
    assert book.content() == before


@pytest.mark.parametrize("foreign_keys", ["on", "off"])
def test_a_file_comes_back_only_to_a_book_that_is_there(book: Library, foreign_keys: str) -> None:
    book.add_file(1, "b.epub", epub())
    book.scan()
    book.add_witness()
    before = book.content()
    runs = []
    for pk in (1, 2):
        book.remove(pk)
        runs.append(book.scan("files", pk).run_id)
    assert 1 not in [b["id"] for b in book.rows("books")]
    book.conn.execute(f"pragma foreign_keys = {foreign_keys}")
    gone = book.dump()
    with pytest.raises(UndoConflict, match=r"books\.1 was removed since"):
        book.undo(runs[0])
    assert book.dump() == gone
    book.undo(runs[1])
    book.undo(runs[0])
    assert book.content() == before


def test_a_removed_book_comes_back_without_pointing_to_what_went_since(book: Library) -> None:
    book.scan()
    book.add_witness()
    for sql in (
        "create table lists (id integer primary key, name text)",
        """create table list_books (
            id integer primary key,
            list_id integer references lists (id) on delete cascade,
            book_id integer references books (id) on delete cascade
        )""",
        "create table remarks (list_book_id integer references list_books (id) on delete cascade, text text)",
        """create table shown (
            book_id integer references books (id) on delete cascade,
            list_id integer references lists (id) on delete set null
        )""",
        "insert into lists values (1, 'kept'), (2, 'dropped')",
        "insert into list_books values (1, 1, 1), (2, 2, 1)",
        "insert into remarks values (1, 'kept'), (2, 'dropped')",
        "insert into shown values (1, 1), (1, 2)",
    ):
        book.conn.execute(sql)
    book.remove(1)
    removal = book.scan()
    book.conn.execute("delete from lists where id = 2")
    undone = book.undo(removal.run_id)
    assert book.conn.execute("pragma foreign_key_check").fetchall() == []
    assert [row["list_id"] for row in book.rows("list_books")] == [1]
    assert [row["text"] for row in book.rows("remarks")] == ["kept"]
    assert [row["list_id"] for row in book.rows("shown")] == [1, None]
    book.undo(undone.run_id)
    assert [book.rows(table) for table in ("list_books", "remarks", "shown")] == [[], [], []]


def test_a_series_source_that_rose_since_stays(book: Library) -> None:
    book.add(
        "series", library_id=1, name="S", name_source="filepath", sort_name="S", sort_name_source="filepath"
    )
    book.rewrite(1, epub(series="S"))
    run = book.scan()
    book.edit("series", name_source="manual")
    book.undo(run.run_id)
    assert book.rows("series")[0]["name_source"] == "manual"


def test_a_row_that_let_go_and_found_another_place_keeps_it(book: Library) -> None:
    book.conn.execute("create table loans (id integer primary key, book references books on delete set null)")
    book.conn.execute("insert into loans values (1, 1), (2, 1)")
    book.scan()
    book.add_witness()
    book.remove(1)
    run = book.scan()
    book.conn.execute("update loans set book = 2 where id = 1")
    book.conn.execute("delete from loans where id = 2")
    book.undo(run.run_id)
    assert book.rows("loans") == [{"id": 1, "book": 2}]


def test_a_row_that_let_go_is_found_again_where_a_vacuum_gave_it_another_number(book: Library) -> None:
    book.conn.execute("create table loans (who text, book references books on delete set null)")
    book.conn.execute("insert into loans values ('gone', null), ('Bob', 1), ('Ann', null)")
    book.conn.execute("delete from loans where who = 'gone'")
    book.scan()
    book.add_witness()
    book.remove(1)
    run = book.scan()
    book.conn.execute("vacuum")
    undone = book.undo(run.run_id)
    assert book.rows("loans") == [{"who": "Bob", "book": 1}, {"who": "Ann", "book": None}]
    book.undo(undone.run_id)
    assert book.rows("loans") == [{"who": "Bob", "book": None}, {"who": "Ann", "book": None}]


def test_a_path_that_is_not_utf_8_survives_removal_and_undo(book: Library) -> None:
    file_id = book.add_file(1, b"caf\xe9.epub", full())
    book.scan()
    book.remove(file_id)
    before = book.content()
    run = book.scan()
    assert book.rows("files", f"id = {file_id}") == []
    book.undo(run.run_id)
    assert book.content() == before


def test_what_stands_in_the_way_of_a_removed_book_is_told_in_words(book: Library) -> None:
    book.scan()
    book.add_witness()
    data = book.file_path().read_bytes()
    book.remove(1)
    run = book.scan()
    (book.root / "Shelf" / "a.epub").write_bytes(data)
    assert book.scan_all().imported == 1
    with pytest.raises(UndoConflict, match=r"books\.1 .* another row has the same filepath"):
        book.undo(run.run_id)


def test_rows_without_rowids_that_hang_on_a_removed_book_come_back(book: Library) -> None:
    book.scan()
    book.add_witness()
    book.conn.execute(
        "create table notes (book_id integer references books, lang text, note text,"
        " primary key (lang, book_id)) without rowid"
    )
    book.conn.execute("insert into notes values (1, 'en', 'x'), (1, 'de', 'y'), (2, 'en', 'stays')")
    notes = [tuple(row) for row in book.conn.execute("select * from notes")]
    book.remove(1)
    run = book.scan()
    assert [tuple(row) for row in book.conn.execute("select * from notes")] == [(2, "en", "stays")]
    undone = book.undo(run.run_id)
    assert [tuple(row) for row in book.conn.execute("select * from notes")] == notes
    book.undo(undone.run_id)
    assert [tuple(row) for row in book.conn.execute("select * from notes")] == [(2, "en", "stays")]


def test_undo_of_a_job_holds_no_more_than_a_few_covers(book: Library) -> None:
    book.with_history()
    job = start_job(book.conn, "scan", "scan")
    count, size = 24, 1_000_000
    first, second = (jpeg(200, 300) + bytes([n]) * size for n in (1, 2))
    for number in range(2, count + 1):
        book.add_file(book.add_book(f"Book {number}"), "b.epub", epub(cover=first))
    for cover in (first, second):
        for pk in range(2, count + 1):
            book.rewrite(pk, epub(cover=cover))
            book.refresh(pk=pk)
    book.conn.execute("update resync_runs set job_id = ? where id >= ?", (job, count))
    finish_job(book.conn, job, "done", {"changed": count}, [])
    tracemalloc.start()
    try:
        assert len(book.service.undo_job(job, BY)) == count - 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    covers = [book.file_path(pk).with_name("b.epub.cover.jpg").read_bytes() for pk in range(2, count + 1)]
    assert covers == [first] * (count - 1)
    assert peak < Limits().max_cover_bytes + 8 * size  # reading one takes as much as it may have


def test_search_follows_a_file_that_comes_and_goes_by_undo(library: Library) -> None:
    library.add_witness()
    book_id = library.add_book("Two")
    library.add_file(book_id, "a.epub", epub("Dune"))
    library.add_file(book_id, "b.epub", epub("Dune"))
    library.scan(pk=book_id)
    library.remove(3)
    run_id = library.scan("files", 3).run_id
    for count in (2, 1, 2):
        run_id = library.undo(run_id).run_id
        paths = [file["filepath"] for file in library.rows("files", f"book_id = {book_id}")]
        assert len(paths) == count
        assert library.rows("books_fts", f"book_id = {book_id}")[0]["filenames"] == " ".join(paths)
