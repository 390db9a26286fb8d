from __future__ import annotations

from library import Library, changed, epub, kept

from datasette_shisho_resync.model import Mode, Reason


def test_refresh_overwrites_what_a_person_set_and_lists_it(book: Library) -> None:
    book.scan()
    book.edit("books", title="Mine", title_source="manual", author_source="manual")
    book.rewrite(1, epub("Theirs", ["Else"]))
    changes = changed(book.refresh())
    assert (changes["title"].reason, changes["title"].old_source) == (Reason.FORCED, "manual")
    assert (changes["authors"].reason, changes["authors"].old_source) == (Reason.FORCED, "manual")
    assert (book.book()["title"], book.authors()) == ("Theirs", ["Else"])


def test_refresh_corrects_the_source_of_an_equal_value(book: Library) -> None:
    book.edit("books", title="A Book", title_source="manual")
    change = changed(book.refresh())["title"]
    assert (change.reason, change.old_source) == (Reason.SOURCE_CORRECTED, "manual")
    assert book.book()["title_source"] == "epub_metadata"


def test_refresh_never_clears(book: Library) -> None:
    book.edit("books", subtitle="Mine", subtitle_source="manual")
    assert kept(book.refresh())["subtitle"].reason is Reason.EMPTY_CANDIDATE
    assert book.book()["subtitle"] == "Mine"


def test_refresh_clears_the_number_of_the_same_series(book: Library) -> None:
    book.rewrite(1, epub(series="S", number=3))
    book.scan()
    book.rewrite(1, epub(series="S"))
    book.refresh()
    assert book.series() == [("S", None)]


def test_refresh_ignores_an_edited_sidecar_and_warns_of_it(book: Library) -> None:
    book.scan()
    book.edit_sidecar(book.book_sidecar(), title="Edited")
    book.rewrite(1, epub("New"))
    preview, run = book.preview(Mode.REFRESH), book.refresh()
    assert book.book()["title"] == "New"
    assert preview.plan.warnings == run.plan.warnings
    assert ["title" in w and "undo brings it back" in w for w in run.warnings] == [True]
    assert book.sidecar()["title"] == "New"


def test_a_second_refresh_changes_nothing(book: Library) -> None:
    book.rewrite(1, epub(series="S", number=1, genres=["SF"], description="W", publisher="P"))
    book.refresh()
    assert not book.refresh().changed


def test_refresh_takes_a_mark_away_and_undo_brings_it_back(book: Library) -> None:
    book.with_history()
    book.add("resync_manual", table_name="books", row_pk=1, field="series")
    book.rewrite(1, epub(series="S"))
    run = book.refresh()
    assert book.rows("resync_manual") == []
    book.undo(run.run_id)
    assert [row["field"] for row in book.rows("resync_manual")] == ["series"]
    assert book.series() == []
