from __future__ import annotations

import os
from concurrent.futures import Future

import pytest
from builders.cbz import build_cbz, comic_info_xml
from builders.images import png
from builders.m4b import build_m4b
from library import Library, changed, epub, error_of, kept

from datasette_shisho_resync.errors import (
    BadRequest,
    FileRefused,
    NotALibrary,
    StalePlan,
    UnknownRow,
    UnreadableFile,
)
from datasette_shisho_resync.fields import BY_NAME
from datasette_shisho_resync.files import PathMap
from datasette_shisho_resync.model import FileReading, Mode, ReadRequest, Reason, Target
from datasette_shisho_resync.resync import Ask
from datasette_shisho_resync.store.times import to_stored


def test_a_first_scan_takes_what_the_file_says(book: Library) -> None:
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"], series="Dune", number=1, language="en"))
    outcome = book.scan()
    assert outcome.changed
    assert (book.book()["title"], book.book()["title_source"]) == ("Dune", "epub_metadata")
    assert (book.authors(), book.genres(), book.series()) == (["Frank Herbert"], ["SF"], [("Dune", 1.0)])
    assert book.file()["language"] == "en"


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (
            build_cbz(comic_info=comic_info_xml("<Title>Saga 3</Title>")),
            "a.cbz",
            ("Saga v003", "cbz_metadata"),
        ),
        (build_m4b(title="Heard", narrator="Ned"), "a.m4b", ("Heard", "m4b_metadata")),
    ],
)
def test_every_format_is_scanned(library: Library, data: bytes, name: str, expected: tuple[str, str]) -> None:
    library.add_file(library.add_book(), name, data)
    library.scan()
    assert (library.book()["title"], library.book()["title_source"]) == expected


def test_a_second_scan_writes_nothing_at_all(book: Library) -> None:
    book.rewrite(1, epub(genres=["SF"], series="S", description="Words"))
    book.scan()
    book.service.close()
    book.conn.execute("update books set updated_at = '2020-01-01'")
    before, written = book.dump(), book.conn.total_changes
    version = book.conn.execute("pragma data_version").fetchone()[0]
    outcome = book.scan()
    assert (outcome.run_id, outcome.changed) == (None, False)
    assert (book.dump(), book.conn.total_changes) == (before, written)
    assert book.conn.execute("pragma data_version").fetchone()[0] == version


def test_a_book_that_needs_nothing_gets_no_history_tables(book: Library) -> None:
    book.configure(write_sidecars=False)
    book.rewrite(1, epub("A Book", []))
    book.edit(
        "books",
        title="A Book",
        title_source="epub_metadata",
        sort_title="Book, A",
        sort_title_source="epub_metadata",
    )
    book.edit("files", name="A Book", name_source="epub_metadata")
    assert not book.scan().changed
    assert book.rows("sqlite_master", "name like 'resync%'") == []


def test_a_manual_scalar_and_a_manual_list_stay(book: Library) -> None:
    book.scan()
    book.edit("books", title="Mine", title_source="manual", author_source="manual")
    book.rewrite(1, epub("Theirs", ["Else"]))
    outcome = book.scan()
    assert (book.book()["title"], book.authors()) == ("Mine", ["Ann Author"])
    assert kept(outcome)["title"].reason is kept(outcome)["authors"].reason is Reason.LOWER_PRIORITY
    assert kept(outcome)["title"].new == "Theirs"


def test_what_a_person_emptied_stays_empty(book: Library) -> None:
    book.rewrite(1, epub(description="Words", genres=["SF"]))
    book.edit("books", description_source="manual", genre_source="manual")
    book.scan()
    assert (book.book()["description"], book.genres()) == (None, [])


def test_a_sort_title_follows_a_title_that_a_person_set(book: Library) -> None:
    book.scan()
    book.edit("books", title="The Mine", title_source="manual")
    outcome = book.scan()
    assert changed(outcome)["sort_title"].reason is Reason.DERIVED
    assert (book.book()["sort_title"], book.book()["sort_title_source"]) == ("Mine, The", "filepath")


def test_a_sort_title_that_a_person_set_stays(book: Library) -> None:
    book.edit("books", sort_title="Zzz", sort_title_source="manual")
    book.scan()
    assert book.book()["sort_title"] == "Zzz"


def test_a_mark_protects_what_has_no_source_column(book: Library) -> None:
    book.scan()
    book.add("resync_manual", table_name="books", row_pk=1, field="series")
    book.rewrite(1, epub(series="Theirs"))
    assert kept(book.scan())["series"].old_source == "manual"
    assert book.series() == []


@pytest.mark.parametrize(
    "genres", [["Fiction", "fiction"], ["Fiction", "Fiction"], ["Fiction", "Novel"]], ids=str
)
def test_genres_that_mean_one_row_are_stored_once(book: Library, genres: list[str]) -> None:
    genre = book.add("genres", library_id=1, name="Fiction")
    book.add("genre_aliases", genre_id=genre, name="Novel", library_id=1)
    book.rewrite(1, epub(genres=genres))
    book.scan()
    assert book.genres() == ["Fiction"]
    assert not book.scan().changed


def test_a_narrator_named_twice_is_stored_once(library: Library) -> None:
    library.add_file(library.add_book(), "a.m4b", build_m4b(title="T", narrator="Ned; ned; Ida"))
    library.scan()
    assert library.names("narrators", "persons", "person_id") == ["Ned", "Ida"]


def test_a_change_of_role_alone_is_seen(library: Library) -> None:
    library.add_file(
        library.add_book(), "a.cbz", build_cbz(comic_info=comic_info_xml("<Writer>Ann</Writer>"))
    )
    library.scan()
    library.rewrite(1, build_cbz(comic_info=comic_info_xml("<Editor>Ann</Editor>")))
    assert changed(library.scan()).keys() == {"authors"}
    assert [row["role"] for row in library.rows("authors")] == ["editor"]


def test_an_author_under_an_alias_is_not_written_again(book: Library) -> None:
    person = book.add("persons", library_id=1, name="Real Name", sort_name="x", sort_name_source="filepath")
    book.add("person_aliases", person_id=person, name="Pen Name", library_id=1)
    book.rewrite(1, epub(authors=["pen name"]))
    book.scan()
    assert book.authors() == ["Real Name"]
    assert not book.scan().changed


def test_the_same_series_without_a_number_keeps_its_number(book: Library) -> None:
    book.rewrite(1, epub(series="S", number=3))
    book.scan()
    book.rewrite(1, epub(series="s"))
    assert not book.scan().changed
    assert book.series() == [("S", 3.0)]


def test_one_series_of_the_file_replaces_two(book: Library) -> None:
    book.rewrite(1, epub(series="S"))
    book.scan()
    other = book.add(
        "series", library_id=1, name="T", name_source="filepath", sort_name="T", sort_name_source=""
    )
    book.add("book_series", book_id=1, series_id=other, sort_order=2)
    assert changed(book.scan())["series"].reason is Reason.NEW_VALUE
    assert book.series() == [("S", None)]


def test_a_series_name_that_a_person_set_protects_its_number(book: Library) -> None:
    book.rewrite(1, epub(series="S", number=1))
    book.scan()
    book.edit("series", name_source="manual")
    book.rewrite(1, epub(series="S", number=2))
    assert kept(book.scan())["series"].reason is Reason.LOWER_PRIORITY
    assert book.series() == [("S", 1.0)]


def test_the_source_of_a_series_is_only_ever_improved(book: Library) -> None:
    series = book.add(
        "series", library_id=1, name="S", name_source="filepath", sort_name="S", sort_name_source="filepath"
    )
    book.rewrite(1, epub(series="S"))
    book.scan()
    assert book.rows("series")[0]["name_source"] == "epub_metadata"
    book.edit("series", series, name_source="manual")
    for mode in (Mode.SCAN, Mode.REFRESH, Mode.REFRESH):
        assert "series" not in changed(book.run(mode))
    assert book.rows("series")[0]["name_source"] == "manual"


def test_the_later_file_of_a_book_wins_and_stays(book: Library) -> None:
    book.rewrite(1, epub("First", subtitle="Only here", language="en"))
    book.add_file(1, "b.epub", epub("Second"))
    book.add_file(
        1, "c.cbz", build_cbz(comic_info=comic_info_xml("<Title>Comic</Title><Summary>S</Summary>"))
    )
    book.scan()
    assert book.book()["title"] == "Second"
    assert book.book()["description"] == "S"
    assert [f["name"] for f in book.rows("files")] == ["First", "Second", "Comic"]
    assert not book.scan().changed


def test_one_unreadable_file_does_not_stop_the_other(book: Library) -> None:
    book.add_file(1, "b.epub", b"no zip")
    outcome = book.scan()
    assert [(f.id, f.status.value) for f in outcome.plan.files] == [(1, "ok"), (2, "error")]
    assert outcome.plan.files[1].error is not None
    assert book.book()["title_source"] == "epub_metadata"
    assert book.rows("resync_runs")[0]["failed"] == 1


def test_an_unreadable_first_file_does_not_cost_the_book_its_sidecar(book: Library) -> None:
    book.add_file(1, "b.epub", epub("Second"))
    book.book_sidecar().write_text('{"title": "Edited"}')
    book.rewrite(1, b"no zip")
    book.scan()
    assert book.book()["title"] == "Edited"


def test_all_unreadable_changes_nothing(book: Library) -> None:
    book.rewrite(1, b"no zip")
    book.add_file(1, "b.epub", b"no zip either")
    before = book.dump()
    error = error_of(book)
    assert isinstance(error, UnreadableFile)
    assert (error.status, "a.epub" in error.message) == (422, True)
    assert book.dump() == before


def test_a_run_on_a_supplement_touches_its_own_row_alone(book: Library) -> None:
    book.add_file(1, "map.pdf", b"not even a PDF", role="supplement")
    outcome = book.scan("files", 2)
    assert {(c.table, c.pk, c.field) for c in outcome.plan.changes} == {("files", 2, "name")}
    assert (book.file(2)["name"], book.file(2)["name_source"]) == ("map", "filepath")


def test_named_fields_limit_a_run(book: Library) -> None:
    book.rewrite(1, epub("Dune", description="Words"))
    outcome = book.scan(fields=("description",))
    assert changed(outcome).keys() == {"description"}
    assert kept(outcome)["title"].reason is Reason.NOT_SELECTED
    assert book.book()["title_source"] == "filepath"


def test_a_limited_run_does_not_pass_the_file_off_as_read(book: Library) -> None:
    book.scan(fields=("description",))
    assert book.file()["file_modified_at"] is None


def test_a_sort_title_is_left_out_with_its_title(book: Library) -> None:
    book.rewrite(1, epub("The Dune"))
    assert not book.scan(fields=("sort_title",)).changed


@pytest.mark.parametrize("mode", [Mode.SCAN, Mode.REFRESH])
def test_a_sort_title_follows_a_title_that_is_named_alone(book: Library, mode: Mode) -> None:
    book.rewrite(1, epub("The Dune", description="Words"))
    assert changed(book.run(mode, fields=("title",))).keys() == {"title", "sort_title"}
    assert (book.book()["title"], book.book()["sort_title"]) == ("The Dune", "Dune, The")
    assert not book.run(mode, fields=("title",)).changed


def test_a_persons_sort_title_goes_only_where_it_is_named(book: Library) -> None:
    book.edit("books", sort_title="Mine", sort_title_source="manual")
    assert changed(book.refresh(fields=("title",))).keys() == {"title"}
    assert changed(book.refresh(fields=("sort_title",))).keys() == {"sort_title"}


def test_an_unknown_field_is_a_bad_request(book: Library) -> None:
    assert isinstance(error_of(book, fields=("colour",)), BadRequest)


@pytest.mark.parametrize("table", ["books", "files"])
def test_an_unknown_row_is_reported(book: Library, table: str) -> None:
    assert isinstance(error_of(book, Mode.SCAN, table, 99), UnknownRow)


def test_a_preview_is_the_run(book: Library) -> None:
    before = book.dump()
    preview = book.preview()
    assert (preview.dry_run, preview.run_id) == (True, None)
    assert book.dump() == before
    run = book.scan(digest=preview.plan.digest)
    assert (run.plan, run.dry_run) == (preview.plan, False)


@pytest.mark.parametrize("what", ["row", "file", "list"])
def test_a_plan_that_no_longer_holds_is_refused(book: Library, what: str) -> None:
    book.scan()
    digest = book.preview().plan.digest
    assert book.preview().plan.digest == digest
    if what == "row":
        book.edit("books", subtitle="New", subtitle_source="manual")
    elif what == "list":
        book.edit("authors", role="editor")
    else:
        book.rewrite(1, epub())
    before = book.dump()
    error = error_of(book, digest=digest)
    assert isinstance(error, StalePlan)
    assert error.plan.digest != digest
    assert book.dump() == before


def test_a_run_is_recorded(book: Library) -> None:
    book.edit("books", title="x")
    outcome = book.scan()
    run = book.rows("resync_runs")[0]
    assert (run["id"], run["via"], run["target_table"], run["target_pk"]) == (
        outcome.run_id,
        "cli",
        "books",
        1,
    )
    assert (run["mode"], run["plan"], run["changed"]) == (
        "scan",
        outcome.plan.digest,
        len(outcome.plan.changes),
    )
    title = next(c for c in book.rows("resync_changes") if c["field"] == "title")
    assert (title["old_value"], title["old_source"], title["reason"]) == ("x", "filepath", "better_source")


def test_size_and_time_are_kept_true_and_a_stale_fingerprint_goes(book: Library) -> None:
    book.scan()
    book.add("file_fingerprints", file_id=1, algorithm="sha256", value="00")
    book.scan()
    assert len(book.rows("file_fingerprints")) == 1
    book.rewrite(1, epub())
    outcome = book.scan()
    stat = book.file_path().stat()
    assert outcome.run_id is None
    assert book.rows("file_fingerprints") == []
    assert book.file()["file_modified_at"] == to_stored(stat.st_mtime_ns)


def test_a_file_outside_its_library_is_refused_and_stays(book: Library) -> None:
    outside = book.folder / "outside.epub"
    book.write(outside, epub())
    book.edit("files", filepath=str(outside))
    error = error_of(book)
    assert isinstance(error, FileRefused)
    assert book.rows("files")


def test_a_path_that_is_not_utf_8_is_read_and_covered(book: Library) -> None:
    file_id = book.add_file(1, b"caf\xe9.epub", epub("Odd", cover=png(4, 6)))
    book.scan("files", file_id)
    name = book.file(file_id)["cover_image_filename"]
    assert os.fsencode(name) == b"caf\xe9.epub.cover.png"
    assert (book.file_path(file_id).parent / name).exists()
    assert not book.scan("files", file_id).changed


def test_paths_are_mapped_and_stay_stored_as_they_are(book: Library) -> None:
    book.conn.execute("update library_paths set filepath = '/media'")
    book.conn.execute("update books set filepath = '/media/Shelf'")
    book.conn.execute("update files set filepath = '/media/Shelf/a.epub'")
    book.configure(path_map=PathMap({"/media": str(book.root)}))
    book.scan()
    assert book.book()["title_source"] == "epub_metadata"
    assert (book.root / "Shelf" / "Shelf.metadata.json").exists()
    assert book.rows("resync_sidecars")[0]["path"].startswith("/media/Shelf/")
    assert not book.scan().changed


def test_what_is_wrong_with_a_mapped_file_is_told_with_its_stored_path(book: Library) -> None:
    book.add_file(1, "broken.epub", b"no archive")
    book.conn.execute("update library_paths set filepath = '/media'")
    for table in ("books", "files"):
        book.conn.execute(f"update {table} set filepath = replace(filepath, ?, '/media')", (str(book.root),))
    book.configure(path_map=PathMap({"/media": str(book.root)}))
    wrong = "/media/Shelf/broken.epub: not a ZIP archive, or a truncated one"
    assert [file.error for file in book.scan().plan.files] == [None, wrong]
    assert error_of(book, Mode.SCAN, "files", 2).message == wrong


def test_a_database_that_is_no_library_is_refused(book: Library) -> None:
    book.conn.execute("drop table library_paths")
    assert isinstance(error_of(book), NotALibrary)


class ChangesMeanwhile:
    """A reader beside which somebody changes a row, `times` times."""

    def __init__(self, library: Library, times: int) -> None:
        self.library, self.times = library, times

    def read(self, request: ReadRequest) -> FileReading:
        return self.submit(request).result()

    def submit(self, request: ReadRequest) -> Future[FileReading]:
        if self.times:
            self.times -= 1
            role = "supplement" if self.times % 2 == 0 else "main"
            self.library.edit("files", 2, file_role=role)
        return self.library.pool.submit(request)


def test_files_are_read_again_when_their_rows_changed_meanwhile(book: Library) -> None:
    book.add_file(1, "b.epub", epub("Second"))
    book.service.reader = ChangesMeanwhile(book, 1)
    book.scan()
    assert book.book()["title"] == "A Book"


def test_rows_that_never_rest_are_reported(book: Library) -> None:
    book.add_file(1, "b.epub", epub("Second"))
    book.service.reader = ChangesMeanwhile(book, 99)
    assert isinstance(error_of(book, Mode.SCAN, "files", 1), StalePlan)


def test_a_file_without_a_book_is_read_for_itself(book: Library) -> None:
    book.conn.execute("delete from books")
    book.rewrite(1, epub("Stray", language="en", cover=png(2, 3)))
    outcome = book.scan("files", 1)
    assert (book.file()["name"], book.file()["language"]) == ("Stray", "en")
    assert {c.table for c in outcome.plan.changes} == {"files"}
    before = book.content(with_derived=False)
    book.rewrite(1, epub("Other"))
    book.undo(book.reset("files", 1).run_id)
    assert book.content(with_derived=False) == before


def test_search_rows_follow_a_run(book: Library) -> None:
    book.rewrite(1, epub("One", ["Ann"], series="Old", genres=["SF"]))
    book.scan()
    book.rewrite(1, epub("Two", ["Bob"], series="New", genres=["Fun"]))
    book.scan()
    [row] = book.rows("books_fts")
    assert (row["title"], row["authors"], row["series_names"]) == ("Two", "Bob", "New")
    titles = {row["name"]: (row["book_titles"], row["book_authors"]) for row in book.rows("series_fts")}
    assert titles == {"Old": ("", ""), "New": ("Two", "Bob")}
    assert [row["name"] for row in book.rows("persons_fts")] == ["Ann", "Bob"]
    assert {row["name"] for row in book.rows("genres_fts")} == {"SF", "Fun"}


def test_search_rows_are_made_right_without_a_run(book: Library) -> None:
    book.scan()
    book.edit("books", title="A Book", title_source="manual")
    book.conn.execute("delete from books_fts")
    assert book.scan().run_id is None
    assert book.rows("books_fts")[0]["title"] == "A Book"


def test_a_database_that_cannot_be_written_is_reported(book: Library) -> None:
    book.conn.execute("pragma query_only = on")
    assert error_of(book).status == 403
    assert book.preview().changed
    book.conn.execute("pragma query_only = off")


def test_every_decision_is_there_to_be_explained(book: Library) -> None:
    planned = book.service.planned(Ask(Target("books", 1)))
    assert {d.field.name for d in planned.decisions} == set(BY_NAME)


def test_search_rows_of_a_series_follow_a_title_that_somebody_edited(book: Library) -> None:
    book.rewrite(1, epub("Dune", series="Dunes", number=1))
    book.scan()
    book.edit("books", title="Edited", title_source="manual")
    book.edit("books", sort_title="Edited", sort_title_source="manual")
    assert not book.scan().changed
    assert "Edited" in book.rows("series_fts")[0]["book_titles"]


def test_the_tables_are_looked_at_once_for_many_runs(book: Library) -> None:
    statements: list[str] = []
    book.with_history()
    book.scan()
    book.conn.set_trace_callback(statements.append)
    book.scan()
    book.conn.set_trace_callback(None)
    assert statements
    assert [sql for sql in statements if "sqlite_master" in sql] == []
