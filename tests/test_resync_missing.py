from __future__ import annotations

import pytest
from library import Library, epub, error_of

from datasette_shisho_resync.errors import Conflict, FileRefused, RootUnavailable
from datasette_shisho_resync.model import FileStatus, Mode


@pytest.fixture
def gone(book: Library) -> Library:
    """Book 1 was scanned, and then its only file vanished; book 2 proves the root alive."""
    book.rewrite(1, epub(series="S", genres=["SF"]))
    book.scan()
    book.add_witness()
    book.remove(1)
    return book


def test_a_book_goes_with_its_last_file_and_all_that_hangs_on_it(gone: Library) -> None:
    outcome = gone.scan("files", 1)
    assert (outcome.deleted, outcome.book_deleted) == (True, True)
    assert {c.table for c in outcome.plan.removals} >= {
        "books",
        "files",
        "authors",
        "book_series",
        "book_genres",
    }
    assert [row["title"] for row in gone.rows("books")] == ["Witness"]
    assert (gone.rows("authors"), gone.rows("book_series"), gone.rows("books_fts")) == ([], [], [])
    assert gone.rows("series_fts")[0]["book_titles"] == ""


def test_nothing_is_removed_without_proof_that_the_disk_is_there(book: Library) -> None:
    book.scan()
    book.remove(1)
    before = book.dump()
    error = error_of(book)
    assert isinstance(error, RootUnavailable)
    assert (error.root, error.would_remove) == (str(book.root), ("files/1",))
    assert book.dump() == before
    assert book.scan(confirm_missing=True).book_deleted


def test_an_empty_root_spares_every_file_of_a_book(book: Library) -> None:
    book.add_file(1, "b.epub")
    book.remove(1)
    error = error_of(book)
    assert isinstance(error, RootUnavailable)
    assert error.would_remove == ("files/1", "files/2")


def test_one_file_of_two_goes_and_the_book_stays(gone: Library) -> None:
    file_id = gone.add_file(1, "b.epub", epub("Second"))
    outcome = gone.scan()
    assert (outcome.deleted, outcome.book_deleted) == (False, False)
    assert [row["id"] for row in gone.rows("files", "book_id = 1")] == [file_id]
    assert gone.book()["title"] == "Second"


@pytest.mark.parametrize("mode", list(Mode))
def test_a_run_on_a_vanished_file_says_nothing_about_its_book(gone: Library, mode: Mode) -> None:
    gone.add_file(1, "b.epub", epub("Second"))
    assert gone.run(mode, "files", 1).deleted
    assert gone.book()["title"] == "A Book"


def test_a_supplement_takes_the_place_of_the_main_file(gone: Library) -> None:
    gone.add_file(1, "a.txt", b"text", role="supplement")
    file_id = gone.add_file(1, "notes.epub", epub("Notes"), role="supplement")
    outcome = gone.scan()
    assert not outcome.book_deleted
    assert (gone.file(file_id)["file_role"], gone.file(file_id)["name"]) == ("main", "Notes")
    assert gone.book()["title"] == "Notes"
    assert not gone.scan().changed


def test_a_damaged_supplement_takes_its_place_too(gone: Library) -> None:
    gone.add_file(1, "notes.epub", b"no zip", role="supplement")
    assert not gone.scan().book_deleted
    assert [row["file_role"] for row in gone.rows("files", "book_id = 1")] == ["main"]


@pytest.fixture
def lonely(library: Library) -> Library:
    """Book 1 lies in the library folder itself: its main file 1 is gone, its supplement 2 is there."""
    library.add_book(filepath=str(library.root / "[A] Dune"))
    for name, role in (("dune.epub", "main"), ("dune notes.epub", "supplement")):
        path = library.root / name
        library.write(path, epub("Dune"))
        kind = {"library_id": 1, "book_id": 1, "file_type": "epub", "file_role": role}
        library.add("files", filepath=str(path), **kind)
    library.add_witness()
    library.scan()
    library.remove(1)
    return library


def test_the_sidecar_of_a_book_without_a_folder_lies_at_the_file_that_is_left(lonely: Library) -> None:
    lonely.scan(confirm_missing=True)
    assert lonely.sidecar(lonely.root / "dune notes.metadata.json")["title"] == "Dune"
    assert not lonely.scan().changed


def test_a_sidecar_that_is_there_is_kept_when_the_book_comes_to_its_file(lonely: Library) -> None:
    place = lonely.root / "dune notes.metadata.json"
    place.write_text("{ broken")
    lonely.scan(confirm_missing=True)
    assert place.read_text() == "{ broken"


@pytest.mark.parametrize("data", [None, b"text"])
def test_no_other_supplement_saves_the_book(gone: Library, data: bytes | None) -> None:
    gone.add_file(1, "notes.epub" if data is None else "notes.txt", data, role="supplement")
    assert gone.scan().book_deleted


def test_a_limited_run_removes_and_promotes_nothing(gone: Library) -> None:
    gone.add_file(1, "notes.epub", epub("Notes"), role="supplement")
    before = gone.rows("books"), gone.rows("files")
    assert not gone.scan(fields=("title",)).changed
    assert (gone.rows("books"), gone.rows("files")) == before


def test_a_missing_supplement_goes_alone(gone: Library) -> None:
    gone.write(gone.file_path(1), epub())
    file_id = gone.add_file(1, "map.pdf", role="supplement")
    outcome = gone.scan("files", file_id)
    assert (outcome.deleted, outcome.book_deleted) == (True, False)


def test_a_book_of_supplements_keeps_those_that_are_there(library: Library) -> None:
    library.add_witness()
    book_id = library.add_book("Extras")
    gone = library.add_file(book_id, "a.epub", role="supplement")
    library.add_file(book_id, "b.epub", epub("B"), role="supplement")
    assert not library.scan("files", gone).book_deleted
    assert [row["file_role"] for row in library.rows("files", f"book_id = {book_id}")] == ["main"]


def test_a_book_without_files_is_removed(library: Library) -> None:
    library.add_book()
    assert library.scan().book_deleted


def test_what_other_tables_hang_on_a_book_goes_with_it_or_lets_go(gone: Library) -> None:
    gone.conn.execute(
        "create table List_Books (id integer primary key, book_id references Books (id) on delete cascade)"
    )
    gone.conn.execute(
        "create table notes (id integer primary key, list_id references list_books on delete cascade)"
    )
    gone.conn.execute("create table loans (id integer primary key, book references books on delete set null)")
    gone.conn.execute("insert into list_books values (3, 1)")
    gone.conn.execute("insert into notes values (5, 3)")
    gone.conn.execute("insert into loans values (4, 1)")
    before = gone.content()
    run = gone.scan()
    assert (gone.rows("list_books"), gone.rows("notes"), gone.rows("loans")) == (
        [],
        [],
        [{"id": 4, "book": None}],
    )
    undone = gone.undo(run.run_id)
    assert gone.content() == before
    gone.undo(undone.run_id)
    assert (gone.rows("notes"), gone.rows("loans")) == ([], [{"id": 4, "book": None}])


@pytest.fixture
def pointing(gone: Library) -> Library:
    """`gone`, in a database whose books name their first file, as some Shisho versions have it."""
    gone.conn.execute(
        "alter table books add column primary_file_id integer references files (id) on delete set null"
    )
    gone.conn.execute("update books set primary_file_id = 1 where id = 1")
    gone.reopen()
    return gone


def test_a_book_that_loses_only_its_reference_to_a_file_is_not_removed(pointing: Library) -> None:
    pointing.add_file(1, "b.epub", epub("Second"))
    run = pointing.scan()
    assert (run.deleted, run.book_deleted) == (False, False)
    assert [(c.table, c.pk) for c in run.plan.removals] == [("files", 1)]
    assert [(c.table, c.pk, c.field) for c in run.plan.let_go] == [("books", 1, "primary_file_id")]
    assert pointing.rows("resync_runs", f"id = {run.run_id}")[0]["removed"] == 1
    assert pointing.rows("books_fts", "book_id = 1")[0]["filenames"].endswith("b.epub")
    assert pointing.book()["primary_file_id"] is None
    pointing.undo(run.run_id)
    assert pointing.book()["primary_file_id"] == 1
    assert pointing.rows("files", "id = 1")


def test_a_book_that_names_a_removed_file_takes_what_the_others_say(pointing: Library) -> None:
    pointing.add_file(1, "b.epub", epub("Second"))
    pointing.scan()
    assert pointing.book()["title"] == "Second"
    assert not pointing.scan().changed


def test_a_book_that_goes_lets_go_of_nothing_before(pointing: Library) -> None:
    before = pointing.content()
    run = pointing.scan()
    assert run.book_deleted
    assert run.plan.let_go == ()
    pointing.undo(run.run_id)
    assert pointing.content() == before


@pytest.mark.parametrize("foreign_keys", ["on", "off"])
def test_a_removal_leaves_and_restores_the_same_with_foreign_keys_on_or_off(
    gone: Library, foreign_keys: str
) -> None:
    gone.conn.execute(f"pragma foreign_keys = {foreign_keys}")
    before = gone.content()
    run = gone.scan()
    assert gone.conn.execute("pragma foreign_key_check").fetchall() == []
    assert gone.rows("authors") == []
    gone.undo(run.run_id)
    assert gone.content() == before


def test_unreadable_is_not_missing(gone: Library) -> None:
    gone.file_path(1).mkdir()
    error = error_of(gone)
    assert error.status in (403, 422)
    assert gone.rows("files", "id = 1")


def test_a_missing_file_outside_the_library_is_refused(gone: Library) -> None:
    gone.edit("files", filepath="/nowhere/a.epub")
    assert isinstance(error_of(gone), FileRefused)


def test_a_name_of_other_case_is_not_missing(gone: Library) -> None:
    gone.write(gone.root / "Shelf" / "A.EPUB", epub())
    error = error_of(gone, confirm_missing=True)
    assert isinstance(error, Conflict)
    assert "A.EPUB" in error.message


def test_a_dead_root_is_reported_beside_what_could_be_read(gone: Library) -> None:
    other = gone.folder / "other"
    gone.add("library_paths", library_id="1", filepath=str(other))
    gone.edit("files", filepath=f"{other}/a.epub")
    gone.add_file(1, "b.epub", epub("Second"))
    outcome = gone.scan()
    assert [f.status for f in outcome.plan.files] == [FileStatus.UNAVAILABLE, FileStatus.OK]
    assert len(gone.rows("files", "book_id = 1")) == 2
