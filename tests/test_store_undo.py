from __future__ import annotations

import pytest
from library import Library

from datasette_shisho_resync.errors import Conflict
from datasette_shisho_resync.model import Target
from datasette_shisho_resync.store.history import Entry, Run, as_cell, from_cell
from datasette_shisho_resync.store.schema import library_schema
from datasette_shisho_resync.store.undo import Undo


def undo_of(library: Library, *entries: Entry, target: Target | None = None) -> Undo:
    run = Run(1, target or Target("books", 1), "scan", None, entries)
    return Undo(library.conn, library_schema(library.conn), run, "now")


@pytest.fixture
def bare(library: Library) -> Library:
    library.with_history()
    library.add_file(library.add_book(), "a.epub")
    return library


@pytest.mark.parametrize(
    "value",
    [{"a": [1, None]}, [{"title": "\udcff"}], {"blob": b"\x00\xff"}, [], {}],
)
def test_structures_survive_a_cell(value: object) -> None:
    assert from_cell(as_cell(value)) == value


def test_what_is_no_value_at_all_cannot_be_kept() -> None:
    with pytest.raises(TypeError):
        as_cell([object()])


def test_a_scalar_goes_back_with_its_source(bare: Library) -> None:
    bare.edit("books", title="New", title_source="epub_metadata")
    entry = Entry("books", 1, "title", "Old", "user", "New", "epub_metadata", "new_value")
    undo = undo_of(bare, entry)
    undo.check()
    undo.apply()
    assert (bare.book()["title"], bare.book()["title_source"]) == ("Old", "user")
    assert undo.entries == [Entry("books", 1, "title", "New", "epub_metadata", "Old", "user", "new_value")]


def test_a_moved_path_goes_back_byte_for_byte(bare: Library) -> None:
    path = bare.file()["filepath"]
    undo_of(bare, Entry("files", 1, "filepath", b"/old \xff", None, path, None, "new_value")).apply()
    assert bare.file()["filepath"] == "/old \udcff"


def test_an_import_is_undone_with_what_hangs_on_it(bare: Library) -> None:
    person = bare.add("persons", library_id=1, name="P", sort_name="P", sort_name_source="filepath")
    bare.add("authors", book_id=1, person_id=person, sort_order=1)
    made = [
        Entry(table, 1, "row", None, None, '{"id": 1}', None, "new_value")
        for table in ("books", "files", "persons")
    ]
    undo = undo_of(bare, *made)
    undo.check()
    undo.apply()
    assert (bare.rows("books"), bare.rows("files"), bare.rows("authors"), bare.rows("persons")) == (
        [],
        [],
        [],
        [],
    )


def test_what_an_import_made_and_is_gone_is_no_obstacle(bare: Library) -> None:
    undo = undo_of(bare, Entry("files", 9, "row", None, None, '{"id": 9}', None, "new_value"))
    undo.check()
    undo.apply()
    assert undo.entries == []


@pytest.mark.parametrize(
    "entry",
    [
        Entry("books", 2, "title", "x", None, "y", None, ""),
        Entry("files", 1, "title", "x", None, "y", None, ""),
        Entry("books", 1, "password", "x", None, "y", None, ""),
        Entry("libraries", 1, "row", '{"id": 1}', None, None, None, ""),
        Entry("files", 1, "file_role", "owner", None, "main", None, ""),
        Entry("series", 1, "name_source", "manual", None, "x", None, ""),
        Entry("publishers", 1, "row", '{"id": 2}', None, None, None, ""),
    ],
    ids=str,
)
def test_what_no_run_writes_is_refused(bare: Library, entry: Entry) -> None:
    with pytest.raises(Conflict, match="which no run writes"):
        undo_of(bare, entry).check()


def test_a_field_that_this_library_lacks_is_refused(bare: Library) -> None:
    bare.conn.execute("drop table book_tags")
    with pytest.raises(Conflict, match="which no run writes"):
        undo_of(bare, Entry("books", 1, "tags", "[]", None, "[]", None, "")).check()


def test_a_list_of_another_record_is_refused(bare: Library) -> None:
    rows = '[{"id": 1, "book_id": 2, "genre_id": 1}]'
    bare.add("genres", library_id=1, name="G")
    with pytest.raises(Conflict, match="of another record"):
        undo_of(bare, Entry("books", 1, "genres", rows, None, "[]", None, "")).apply()
