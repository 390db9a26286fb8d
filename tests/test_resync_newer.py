"""Libraries as Shisho makes them since September 2026: a book has a source for its series."""

from __future__ import annotations

from pathlib import Path

import pytest
from library import Library, changed, epub, kept

from datasette_shisho_resync.model import Mode
from datasette_shisho_resync.store.schema import library_schema
from datasette_shisho_resync.store.selection import count_manual


def renew(library: Library) -> None:
    """Do with the tables what Shisho's migrations of autumn 2026 do."""
    for sql in (
        "alter table files add column scan_error text",
        "alter table books add column author_source_nullable text",
        "update books set author_source_nullable = author_source",
        "alter table books drop column author_source",
        "alter table books rename column author_source_nullable to author_source",
        "alter table books add column series_source text",
        """
        update books set series_source = (
            select series.name_source
            from book_series as link join series on series.id = link.series_id
            where link.book_id = books.id
            order by link.sort_order limit 1
        )
        """,
    ):
        library.conn.execute(sql)
    library.reopen()


@pytest.fixture
def newer(library: Library) -> Library:
    renew(library)
    library.add_file(library.add_book(), "a.epub", epub("Dune", series="S", number=1))
    return library


@pytest.mark.parametrize("mode", list(Mode))
def test_a_run_gives_the_series_of_a_book_their_source(newer: Library, mode: Mode) -> None:
    before = newer.content(with_derived=False)
    run = newer.run(mode)
    assert (newer.series(), newer.book()["series_source"]) == ([("S", 1.0)], "epub_metadata")
    assert not newer.run(mode).changed
    newer.undo(run.run_id)
    assert newer.content(with_derived=False) == before


def test_a_new_book_is_imported_with_the_source_of_its_series(newer: Library) -> None:
    newer.scan()
    (newer.root / "New").mkdir()
    newer.write(newer.root / "New" / "b.epub", epub("New", series="S", number=2))
    assert newer.scan_all().imported == 1
    assert [b["series_source"] for b in newer.rows("books")] == ["epub_metadata"] * 2


@pytest.mark.parametrize(
    ("book_source", "name_source", "stays"),
    [("manual", "epub_metadata", True), ("epub_metadata", "manual", False), (None, "manual", False)],
)
def test_the_source_of_the_books_series_counts_and_not_that_of_their_names(
    newer: Library, book_source: str | None, name_source: str, stays: bool
) -> None:
    newer.scan()
    newer.edit("books", series_source=book_source)
    newer.edit("series", name_source=name_source)
    newer.rewrite(1, epub("Dune", series="S", number=2))
    run = newer.scan()
    assert ("series" in kept(run), newer.series()) == (stays, [("S", 1.0 if stays else 2.0)])
    assert newer.rows("series")[0]["name_source"] == name_source
    assert newer.refresh().changed is stays
    assert (newer.series(), newer.book()["series_source"]) == ([("S", 2.0)], "epub_metadata")


def test_reset_clears_the_series_with_their_source(newer: Library) -> None:
    newer.scan()
    newer.rewrite(1, epub("Dune"))
    assert changed(newer.reset())["series"].new is None
    assert (newer.series(), newer.book()["series_source"]) == ([], None)


def test_series_that_a_person_took_away_stay_away(newer: Library) -> None:
    newer.edit("books", series_source="manual")
    newer.scan()
    assert newer.series() == []


def test_what_was_set_by_hand_before_the_library_was_renewed_stays(library: Library) -> None:
    library.add_file(library.add_book(), "a.epub", epub("Dune", series="S", number=1))
    library.scan()
    library.add("resync_manual", table_name="books", row_pk=1, field="series")
    renew(library)
    library.rewrite(1, epub("Dune", series="S", number=2))
    library.scan()
    assert library.series() == [("S", 1.0)]


@pytest.mark.parametrize("source", [None, "epub_metadata", "manual"])
def test_a_series_that_is_twice_known_to_be_manual_counts_once(newer: Library, source: str | None) -> None:
    newer.scan()
    newer.add("resync_manual", table_name="books", row_pk=1, field="series")
    newer.edit("books", series_source=source, title_source="manual")
    assert count_manual(newer.conn, library_schema(newer.conn), "books", [1]) == 2


def test_a_run_of_before_the_library_was_renewed_is_undone(library: Library) -> None:
    library.add_file(library.add_book(), "a.epub", epub("Dune", series="S", number=1))
    library.scan()
    library.rewrite(1, epub("Dune", series="S", number=2))
    run = library.scan()
    renew(library)
    library.undo(run.run_id)
    assert (library.series(), library.book()["series_source"]) == ([("S", 1.0)], "epub_metadata")


def test_a_value_of_a_format_that_only_shisho_reads_gives_way_to_no_file_name(library: Library) -> None:
    library.add_book("Shelf", title="The Real Title", title_source="mobi_metadata")
    library.write(library.root / "Shelf" / "b.epub", epub(""))
    library.scan_all()
    assert (library.book()["title"], Path(library.file()["filepath"]).name) == ("The Real Title", "b.epub")
