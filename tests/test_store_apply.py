from __future__ import annotations

from datetime import date

import pytest
from library import Library, epub

from datasette_shisho_resync.fields import BY_NAME, Level
from datasette_shisho_resync.model import (
    Author,
    Change,
    Chapter,
    CoverImage,
    FileStat,
    Identifier,
    Reason,
    SeriesEntry,
    Target,
    Value,
)
from datasette_shisho_resync.resync import find_brief
from datasette_shisho_resync.store.apply import Writing, apply_changes, keep_stat, row_images
from datasette_shisho_resync.store.entities import EntityRows, forget_entity
from datasette_shisho_resync.store.history import Entry, forget_runs, keep_blob, list_runs, load_blob
from datasette_shisho_resync.store.pending import note_sidecars
from datasette_shisho_resync.store.schema import library_schema
from datasette_shisho_resync.store.snapshot import load_snapshot
from datasette_shisho_resync.store.waiting import WaitingRows

NOW = "2026-01-02 03:04:05+00:00"


@pytest.fixture
def bare(library: Library) -> Library:
    library.add_file(library.add_book(), "a.epub")
    return library


def write(library: Library, field: str, value: Value, source: str | None = "epub_metadata") -> list[Entry]:
    """Apply one change to the book or file with id 1."""
    schema = library_schema(library.conn)
    snapshot = load_snapshot(library.conn, schema, find_brief(library.conn, Target("books", 1)), [1], ())
    entities = EntityRows.of(library.conn, schema, 1, NOW, snapshot.identities)
    writing = Writing(library.conn, schema, entities, NOW, {1: "a.cover.png"}, WaitingRows(library.conn))
    table = BY_NAME[field].level.value
    change = Change(table, 1, field, None, None, value, source, Reason.NEW_VALUE)
    return apply_changes(writing, snapshot, [change])


@pytest.mark.parametrize(
    ("field", "value", "columns"),
    [
        ("title", "New", {"title": "New", "title_source": "epub_metadata"}),
        ("title", "odd \udcff", {"title": "odd \udcff"}),
        ("release_date", date(2020, 2, 3), {"release_date": "2020-02-03 00:00:00+00:00"}),
        ("abridged", False, {"abridged": 0}),
        ("page_count", 7, {"page_count": 7}),
        ("url", None, {"url": None}),
        (
            "cover",
            CoverImage("aa", "image/png", 1, 1, page=2),
            {"cover_image_filename": "a.cover.png", "cover_mime_type": "image/png", "cover_page": 2},
        ),
        ("cover", None, {"cover_image_filename": None, "cover_mime_type": None}),
    ],
)
def test_a_scalar_is_written_with_its_source(
    bare: Library, field: str, value: Value, columns: dict[str, object]
) -> None:
    [entry] = write(bare, field, value)
    row = bare.rows(BY_NAME[field].level.value)[0]
    assert row.items() >= {**columns, "updated_at": NOW}.items()
    assert (entry.table, entry.pk, entry.field) == (BY_NAME[field].level.value, 1, field)


@pytest.mark.parametrize(
    ("field", "value", "columns"),
    [
        ("authors", (Author("A", "editor"), Author("B")), [{"role": "editor"}, {"sort_order": 2}]),
        ("narrators", ("A",), [{"file_id": 1, "sort_order": 1}]),
        ("genres", ("A", "B"), [{"genre_id": 1}, {"genre_id": 2}]),
        ("tags", (), []),
        (
            "series",
            (SeriesEntry("S", 1, 2, "volume"),),
            [{"series_number": 1.0, "series_number_end": 2.0, "series_number_unit": "volume"}],
        ),
        (
            "identifiers",
            (Identifier("asin", "B0"),),
            [{"type": "asin", "value": "B0", "source": "epub_metadata"}],
        ),
        (
            "chapters",
            (Chapter("P", children=(Chapter("C", href="c"),)),),
            [{"sort_order": 0}, {"parent_id": 1, "href": "c"}],
        ),
    ],
)
def test_a_list_is_written_with_its_source(
    bare: Library, field: str, value: Value, columns: list[dict[str, object]]
) -> None:
    row = BY_NAME[field]
    [entry] = write(bare, field, value)
    link = bare.rows(str(row.link_table))
    assert len(link) == len(columns)
    assert all(found.items() >= wanted.items() for found, wanted in zip(link, columns, strict=True))
    assert [kept["id"] for kept in entry.new] == [found["id"] for found in link]
    if row.source_column and not row.shares_source:
        assert bare.rows(row.level.value)[0][row.source_column] == "epub_metadata"


def test_a_publisher_is_made_and_found_again(bare: Library) -> None:
    write(bare, "publisher", "Press")
    write(bare, "publisher", "PRESS")
    assert [(p["id"], p["name"]) for p in bare.rows("publishers")] == [(1, "Press")]
    assert bare.file()["publisher_id"] == 1
    write(bare, "publisher", None, None)
    assert bare.file()["publisher_id"] is None


def entities(library: Library) -> EntityRows:
    return EntityRows(library.conn, library_schema(library.conn), 1, NOW, {})


def test_persons_and_series_get_a_sort_name(bare: Library) -> None:
    rows = entities(bare)
    rows.id_of("persons", " Ann de Author ", "epub_metadata")
    rows.id_of("persons", "Given", "epub_metadata", sort_hint="Hint, Given")
    rows.id_of("series", "The Saga", None)
    assert [p["sort_name"] for p in bare.rows("persons")] == ["Author, Ann de", "Hint, Given"]
    series = bare.rows("series")[0]
    assert (series["sort_name"], series["name_source"]) == ("Saga, The", "filepath")
    assert [entry.table for entry in rows.created] == ["persons", "persons", "series"]


def test_the_source_of_a_series_rises_once(bare: Library) -> None:
    rows = entities(bare)
    for source in ("filepath", "epub_metadata", "epub_metadata", "filepath", "manual"):
        rows.id_of("series", "S", source)
    assert [entry.new for entry in rows.improved] == ["epub_metadata", "manual"]
    assert bare.rows("series")[0]["name_source"] == "manual"


def test_an_entity_goes_with_its_search_row(bare: Library) -> None:
    pk = entities(bare).id_of("genres", "SF", None)
    assert bare.rows("genres_fts")
    forget_entity(bare.conn, library_schema(bare.conn), "genres", pk)
    assert (bare.rows("genres"), bare.rows("genres_fts")) == ([], [])


def test_size_and_time_are_stored_without_touching_updated_at(bare: Library) -> None:
    before = bare.file()["updated_at"]
    keep_stat(bare.conn, library_schema(bare.conn), 1, FileStat(5, 1_700_000_000_500_000_000))
    file = bare.file()
    assert (file["filesize_bytes"], file["updated_at"]) == (5, before)
    assert file["file_modified_at"] == "2023-11-14 22:13:20.5+00:00"


def test_row_images_are_the_row_as_it_is(bare: Library) -> None:
    [image] = row_images(bare.conn, Target("books", 1))
    assert image["title"] == "Shelf"
    assert row_images(bare.conn, Target("books", 9)) == ()


def test_remembering_the_same_sidecar_again_writes_nothing(bare: Library) -> None:
    bare.with_history()
    note_sidecars(bare.conn, "/odd \udcff", ["aa", "bb"])
    written = bare.conn.total_changes
    note_sidecars(bare.conn, "/odd \udcff", ["bb", "aa"])
    assert bare.conn.total_changes == written
    note_sidecars(bare.conn, "/odd \udcff", ["cc"])
    assert [row["sha256"] for row in bare.rows("resync_sidecars")] == ["cc"]


def runs_on(library: Library, target: Target | None) -> list[int]:
    return [run["id"] for run in list_runs(library.conn, target, limit=10)]


def test_runs_of_a_book_include_those_of_its_files(book: Library) -> None:
    book.scan("files", 1)
    assert runs_on(book, Target("books", 1)) == [1]
    assert runs_on(book, Target("books", 2)) == []
    assert runs_on(book, None) == [1]


def test_runs_of_a_book_include_those_of_a_file_that_was_its(book: Library) -> None:
    book.add_file(1, "b.epub", epub())
    book.scan("files", 2)
    book.remove(2)
    book.scan("files", 2)
    assert runs_on(book, Target("books", 1)) == [2, 1]
    book.undo(2)
    assert runs_on(book, Target("books", 1)) == runs_on(book, Target("files", 2)) == [3, 2, 1]


def test_runs_of_a_file_include_those_of_its_book_that_changed_it(book: Library) -> None:
    book.rewrite(1, epub(language="en"))
    book.scan()
    book.edit("books", title="Mine", title_source="sidecar")
    book.refresh()
    assert {c["table_name"] for c in book.rows("resync_changes") if c["run_id"] == 2} == {"books"}
    assert runs_on(book, Target("files", 1)) == [1]


@pytest.mark.parametrize("table", ["books", "files"])
def test_runs_of_a_row_are_found_by_indexes(bare: Library, table: str) -> None:
    bare.with_history()
    traced: list[str] = []
    bare.conn.set_trace_callback(traced.append)
    list_runs(bare.conn, Target(table, 1), limit=10)
    bare.conn.set_trace_callback(None)
    plan = [row[3] for row in bare.conn.execute(f"explain query plan {traced[0]}")]
    assert [step for step in plan if step.startswith("SCAN")] == []


def test_old_runs_are_forgotten_with_what_only_they_need(book: Library) -> None:
    run = book.scan()
    book.service.close()
    kept, orphan = keep_blob(book.conn, b"kept"), keep_blob(book.conn, b"orphan")
    book.add(
        "resync_changes", run_id=run.run_id, table_name="books", row_pk=1, field="cover_file",
        old_value=f'{{"sha256": "{kept}"}}', reason="new_value",
    )  # fmt: skip
    assert forget_runs(book.conn, "2000-01-01") == 0
    assert (load_blob(book.conn, kept), load_blob(book.conn, orphan)) == (b"kept", None)
    assert forget_runs(book.conn, "9999-01-01") == 1
    assert (load_blob(book.conn, kept), book.rows("resync_changes")) == (None, [])


def test_a_mark_belongs_to_one_field(bare: Library) -> None:
    bare.with_history()
    bare.add("resync_manual", table_name="files", row_pk=1, field="page_count")
    bare.add("resync_manual", table_name="books", row_pk=1, field="series")
    entries = write(bare, "page_count", 7)
    assert [entry.field for entry in entries] == ["page_count", "page_count.mark"]
    assert [row["table_name"] for row in bare.rows("resync_manual")] == [Level.BOOK.value]
