"""Libraries that older versions of Shisho made, and rows that somebody's own program wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.images import png
from library import Library, changed, epub

from datasette_shisho_resync.model import Mode
from datasette_shisho_resync.workers import WorkerPool

MISSING_COLUMNS = {
    "files": (
        "language", "language_source", "abridged", "abridged_source", "file_modified_at",
        "is_preferred_cover", "review_override", "review_overridden_at", "reviewed", "cover_page",
    ),
    "book_series": ("series_number_end", "series_number_unit"),
}  # fmt: skip
MISSING_TABLES = (
    "person_aliases", "series_aliases", "genre_aliases", "tag_aliases", "publisher_aliases", "app_settings",
    "file_fingerprints", "chapters", "books_fts", "series_fts", "persons_fts", "genres_fts", "tags_fts",
    "publishers_fts",
)  # fmt: skip


@pytest.fixture
def older(tmp_path: Path, worker_pool: WorkerPool) -> Iterator[Library]:
    library = Library(tmp_path, worker_pool)
    for index in ("ix_files_language", "ix_files_book_id_reviewed"):
        library.conn.execute(f"drop index {index}")
    for table in MISSING_TABLES:
        library.conn.execute(f"drop table {table}")
    for table, columns in MISSING_COLUMNS.items():
        for column in columns:
            library.conn.execute(f"alter table {table} drop column {column}")
    library.add_file(
        library.add_book(), "a.epub", epub("Dune", series="S", number=1, cover=png(2, 3), language="en")
    )
    yield library
    library.close()


@pytest.mark.parametrize("mode", list(Mode))
def test_an_older_library_is_resynced_without_what_it_lacks(older: Library, mode: Mode) -> None:
    before = older.content()
    run = older.run(mode)
    assert (older.book()["title"], older.series()) == ("Dune", [("S", 1.0)])
    assert not changed(run).keys() & {"language", "abridged", "chapters"}
    assert not older.run(mode).changed
    older.undo(run.run_id)
    assert older.content() == before


def test_a_scan_calls_no_file_updated_of_which_nothing_changed(older: Library) -> None:
    older.scan_all()
    assert (older.scan_all().updated, older.scan_all().unchanged) == (0, 1)
    older.rewrite(1, older.file_path().read_bytes() + b"\0")
    assert [older.scan_all().updated for _ in range(2)] == [1, 0]


def test_a_book_of_an_older_library_goes_with_its_file(older: Library) -> None:
    older.scan()
    older.remove(1)
    assert older.scan(confirm_missing=True).book_deleted


ODD_VALUES = {
    "books": [
        {"title": b"\xff title", "title_source": ""},
        {"sort_title": "", "sort_title_source": "user"},
        {"subtitle": b"\x00\xff", "subtitle_source": "manual"},
        {"description": 12, "genre_source": "nonsense", "tag_source": ""},
        {"author_source": ""},
    ],
    "files": [
        {"release_date": "soon", "release_date_source": "manual"},
        {"audiobook_duration_seconds": "long", "page_count": -1, "audiobook_bitrate_bps": 1.5},
        {"abridged": "yes", "language": "", "url": b"u"},
        {"publisher_id": 99, "publisher_source": "manual"},
        {"cover_image_filename": "../../etc/passwd", "cover_page": "two"},
        {"cover_image_filename": "", "cover_source": "user"},
        {"file_modified_at": "never", "filesize_bytes": "big", "reviewed": "maybe"},
        {"file_modified_at": 5},
    ],
}


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    ("table", "columns"),
    [(table, columns) for table, rows in ODD_VALUES.items() for columns in rows],
    ids=str,
)
def test_odd_stored_values_stop_no_run(
    book: Library, mode: Mode, table: str, columns: dict[str, object]
) -> None:
    for column, value in columns.items():
        mark = "cast(? as text)" if isinstance(value, bytes) else "?"
        book.conn.execute(f"update {table} set {column} = {mark}", (value,))
    run = book.run(mode)
    assert run.changed
    assert not book.run(mode).changed
    book.undo(run.run_id)


def test_an_odd_series_number_is_shown_and_replaced(book: Library) -> None:
    series = book.add("series", library_id=1, name="S", name_source="", sort_name="S", sort_name_source="")
    book.add("book_series", book_id=1, series_id=series, sort_order=1, series_number="first")
    book.rewrite(1, epub(series="S", number=2))
    assert changed(book.scan())["series"].old[0].number == "first"  # type: ignore[union-attr,index]
    assert book.series() == [("S", 2.0)]


def test_a_removal_is_undone_where_ids_are_text(book: Library) -> None:
    book.add_witness()
    book.scan()
    schema = book.conn.execute("select sql from sqlite_master where name = 'files'").fetchone()[0]
    texts = schema.replace("library_id integer", "library_id text").replace("book_id integer", "book_id text")
    book.conn.execute("pragma writable_schema = on")
    book.conn.execute("update sqlite_master set sql = ? where name = 'files'", (texts,))
    book.conn.execute("pragma writable_schema = reset")
    book.conn.execute(
        "update files set library_id = cast(library_id as text), book_id = cast(book_id as text)"
    )
    before = book.content(with_derived=False)
    book.remove(1)
    outcome = book.scan()
    assert outcome.book_deleted
    book.undo(outcome.run_id)
    assert book.content(with_derived=False) == before
