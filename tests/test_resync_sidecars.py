from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from library import BY, Library, changed, epub, kept

from datasette_shisho_resync.model import Mode, Reason, Target
from datasette_shisho_resync.parsers.sidecar import render_book_sidecar, render_file_sidecar
from datasette_shisho_resync.resync import Ask, Gathered
from datasette_shisho_resync.store.sidecars import load_book_sidecar, load_file_sidecar


@pytest.fixture
def scanned(book: Library) -> Library:
    book.scan()
    return book


def test_sidecars_are_written_beside_the_file_and_in_the_folder(scanned: Library) -> None:
    assert scanned.sidecar()["title"] == "A Book"
    assert scanned.sidecar(scanned.file_sidecar())["name"] == "A Book"


def test_our_own_sidecar_never_freezes_a_field(scanned: Library) -> None:
    scanned.rewrite(1, epub("New"))
    outcome = scanned.scan()
    assert (scanned.book()["title"], scanned.book()["title_source"]) == ("New", "epub_metadata")
    assert scanned.sidecar()["title"] == "New"
    assert changed(outcome)["title"].reason is Reason.NEW_VALUE


def test_an_echo_beside_a_changed_value_is_shown_as_such(scanned: Library) -> None:
    scanned.configure(write_sidecars=False)
    scanned.edit("books", subtitle="Mine", subtitle_source="manual")
    scanned.book_sidecar().write_text('{"subtitle": "Seen"}')
    scanned.scan()
    assert kept(scanned.scan())["subtitle"].reason is Reason.SIDECAR_ECHO


@pytest.mark.parametrize("write_sidecars", [True, False])
def test_a_sidecar_of_shisho_never_freezes_a_field(book: Library, write_sidecars: bool) -> None:
    book.configure(write_sidecars=write_sidecars)
    book.book_sidecar().write_text('{"version": 1, "title": "A Book"}')
    for title in ("A Book", "B", "C"):
        book.rewrite(1, epub(title))
        book.scan()
        assert not book.scan().changed
        assert (book.book()["title"], book.book()["title_source"]) == (title, "epub_metadata")


def test_a_sidecar_is_read_again_where_another_run_used_a_newer_one_meanwhile(scanned: Library) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), title="First")
    scanned.scan()

    def meanwhile(gathered: Gathered) -> None:
        if scanned.book()["title"] == "First":
            scanned.edit_sidecar(scanned.book_sidecar(), title="Second")
            scanned.scan()

    scanned.service.run(Ask(Target("books", 1)), BY, meanwhile)
    assert scanned.book()["title"] == "Second"


def test_an_edited_sidecar_wins_over_the_file(scanned: Library) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), title="Edited", authors=[{"name": "Someone"}])
    scanned.edit_sidecar(scanned.file_sidecar(), publisher="Press")
    scanned.rewrite(1, epub("New", publisher="Other"))
    scanned.scan()
    assert (scanned.book()["title"], scanned.book()["title_source"]) == ("Edited", "sidecar")
    assert (scanned.authors(), scanned.rows("publishers")[0]["name"]) == (["Someone"], "Press")
    assert not scanned.scan().changed


@pytest.mark.parametrize(
    ("field", "edit", "stored"),
    [
        ("narrators", [{"name": "Ann"}, {"name": "ann"}], ["Ann"]),
        ("genres", ["Horror", "HORROR"], ["Horror"]),
        (
            "identifiers",
            [{"type": "asin", "value": "b0aaaaaaaa"}, {"type": "asin", "value": "b0bbbbbbbb"}],
            [],
        ),
    ],
)
def test_an_edit_that_names_something_twice_is_used_without_a_warning(
    scanned: Library, field: str, edit: object, stored: list[str]
) -> None:
    place = scanned.book_sidecar() if field == "genres" else scanned.file_sidecar()
    scanned.edit_sidecar(place, **{field: edit})
    assert scanned.scan().warnings == ()
    assert scanned.names("narrators", "persons", "person_id") + scanned.genres() == stored
    assert not scanned.scan().changed


def test_a_sidecar_that_is_edited_again_wins_again(scanned: Library) -> None:
    for title in ("One", "Two"):
        scanned.edit_sidecar(scanned.book_sidecar(), title=title)
        scanned.scan()
        assert scanned.book()["title"] == title


def test_an_edited_sidecar_loses_to_a_person_and_the_edit_is_kept_for_undo(scanned: Library) -> None:
    scanned.edit("books", title="Mine", title_source="manual")
    scanned.edit_sidecar(scanned.book_sidecar(), title="Edited", subtitle="Used")
    edited = scanned.book_sidecar().read_bytes()
    run = scanned.scan()
    assert (scanned.book()["title"], scanned.book()["subtitle"]) == ("Mine", "Used")
    [warning] = run.warnings
    assert "its edit of title was not used" in warning
    assert scanned.sidecar()["title"] == "Mine"
    scanned.undo(run.run_id)
    assert scanned.book_sidecar().read_bytes() == edited


def test_an_edit_that_refresh_ignored_counts_again_after_undo(scanned: Library) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), title="Edited")
    scanned.rewrite(1, epub("New"))
    scanned.undo(scanned.refresh().run_id)
    assert scanned.sidecar()["title"] == "Edited"
    scanned.scan()
    assert scanned.book()["title"] == "Edited"


def test_undo_writes_the_sidecars_again(scanned: Library) -> None:
    scanned.rewrite(1, epub("New"))
    scanned.undo(scanned.scan().run_id)
    assert scanned.sidecar()["title"] == "A Book"
    assert scanned.sidecar(scanned.file_sidecar())["name"] == "A Book"


@pytest.mark.parametrize("content", ["no json", "[]", "[" * 100_000, '{"title": 5'])
def test_a_sidecar_that_is_no_json_is_never_overwritten(scanned: Library, content: str) -> None:
    scanned.book_sidecar().write_text(content)
    scanned.rewrite(1, epub("New"))
    outcome = scanned.scan()
    assert scanned.book_sidecar().read_text() == content
    assert (scanned.book()["title"], len(outcome.warnings)) == ("New", 1)


@pytest.mark.parametrize("content", ["", "\0" * 400])
def test_what_a_power_failure_left_of_a_sidecar_is_no_edit_and_is_replaced(
    scanned: Library, content: str
) -> None:
    scanned.book_sidecar().write_text(content)
    assert not scanned.scan().plan.warnings
    scanned.rewrite(1, epub("New"))
    outcome = scanned.scan()
    assert (scanned.sidecar()["title"], outcome.warnings) == ("New", ())


def test_keys_of_others_stay(scanned: Library) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), my_shelf=[1, 2])
    scanned.rewrite(1, epub("New"))
    scanned.scan()
    assert (scanned.sidecar()["my_shelf"], scanned.sidecar()["title"]) == ([1, 2], "New")


def test_a_value_in_a_sidecar_that_cannot_be_used_is_a_warning(scanned: Library) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), series=[{"name": "S", "number": 3, "number_end": 1}])
    outcome = scanned.scan()
    assert (scanned.series(), len(outcome.warnings)) == ([], 1)


def test_no_sidecar_is_written_where_that_is_not_wanted(book: Library) -> None:
    book.configure(write_sidecars=False)
    book.scan()
    assert list((book.root / "Shelf").iterdir()) == [book.file_path()]


def test_missing_sidecars_are_written_without_a_run(scanned: Library) -> None:
    scanned.book_sidecar().unlink()
    assert scanned.scan().run_id is None
    assert scanned.sidecar()["title"] == "A Book"


def unwritable(path: Path) -> None:
    """Put what no program can replace where a sidecar would be."""
    path.unlink(missing_ok=True)
    path.mkdir()


def test_a_sidecar_that_cannot_be_written_is_a_warning(book: Library) -> None:
    unwritable(book.book_sidecar())
    outcome = book.scan()
    assert outcome.changed
    assert any("Shelf.metadata.json" in warning for warning in outcome.warnings)


def test_a_book_in_the_root_has_its_sidecar_beside_its_file(library: Library) -> None:
    book_id = library.add_book("Made up")
    (library.root / "Made up").rmdir()
    library.write(library.root / "a.epub", epub())
    library.add(
        "files", library_id=1, book_id=book_id, filepath=str(library.root / "a.epub"), file_type="epub"
    )
    library.scan()
    assert library.sidecar(library.root / "a.metadata.json")["title"] == "A Book"
    library.edit_sidecar(library.root / "a.metadata.json", title="Edited")
    assert changed(library.preview(Mode.SCAN))["title"].new == "Edited"


def test_a_run_on_one_file_leaves_the_sidecar_of_another(book: Library) -> None:
    book.add_file(1, "b.epub", epub("Second"))
    book.scan("files", 1)
    assert book.file_sidecar(1).exists()
    assert not book.file_sidecar(2).exists()


def test_a_limited_run_leaves_the_edit_of_another_field_for_later(scanned: Library) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), title="Edited", subtitle="Taken")
    assert scanned.scan(fields=("subtitle",)).warnings == ()
    assert scanned.sidecar()["title"] == "Edited"
    scanned.scan()
    assert (scanned.book()["title"], scanned.book()["title_source"]) == ("Edited", "sidecar")


@pytest.mark.parametrize("mode", [Mode.REFRESH, Mode.RESET])
def test_an_edit_that_a_run_ignored_is_still_news_for_the_next_scan(scanned: Library, mode: Mode) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), subtitle="Mine")
    assert not scanned.run(mode).changed
    scanned.scan()
    assert scanned.book()["subtitle"] == "Mine"


@pytest.mark.parametrize("mode", [Mode.REFRESH, Mode.RESET])
def test_a_sidecar_that_a_run_could_not_replace_is_no_edit(scanned: Library, mode: Mode) -> None:
    old = scanned.book_sidecar().read_bytes()
    scanned.rewrite(1, epub("New"))
    scanned.run(mode)
    scanned.book_sidecar().write_bytes(old)  # as it is in a folder that can't be written
    assert not scanned.scan().changed


@pytest.mark.parametrize("mode", [Mode.REFRESH, Mode.RESET])
def test_an_edit_that_a_run_ignored_and_could_not_replace_is_still_news(scanned: Library, mode: Mode) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), subtitle="Mine")
    edited = scanned.book_sidecar().read_bytes()
    scanned.rewrite(1, epub("New"))
    scanned.run(mode)
    scanned.book_sidecar().write_bytes(edited)
    scanned.scan()
    assert scanned.book()["subtitle"] == "Mine"


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("edit", [{}, {"subtitle": "Mine"}])
def test_a_sidecar_that_an_undo_could_not_replace_is_no_edit(
    scanned: Library, mode: Mode, edit: dict[str, str]
) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), **edit)
    scanned.rewrite(1, epub("New"))
    run_id = scanned.run(mode).run_id
    ours = scanned.book_sidecar().read_bytes()
    scanned.rewrite(1, epub("A Book"))
    scanned.undo(run_id)
    scanned.book_sidecar().write_bytes(ours)
    assert not scanned.scan().changed


@pytest.mark.parametrize("mode", [Mode.REFRESH, Mode.RESET])
def test_a_sidecar_of_ours_that_an_undo_brings_back_is_no_edit(scanned: Library, mode: Mode) -> None:
    scanned.edit("books", title="By hand", title_source="manual")  # which no sidecar says
    scanned.edit("files", url="https://a.example", url_source="manual")
    scanned.rewrite(1, epub("Dune", description="Sand."))
    scanned.undo(scanned.run(mode).run_id)
    scanned.rewrite(1, epub("Dune", description="More sand."))
    assert scanned.scan().warnings == ()


@pytest.mark.parametrize("mode", [Mode.REFRESH, Mode.RESET])
def test_an_edit_that_an_undo_brings_back_is_news_again(scanned: Library, mode: Mode) -> None:
    scanned.edit_sidecar(scanned.book_sidecar(), subtitle="Mine")
    scanned.rewrite(1, epub("Dune", description="Sand."))
    scanned.undo(scanned.run(mode).run_id)
    scanned.scan()
    assert scanned.book()["subtitle"] == "Mine"


def test_undo_leaves_a_sidecar_that_was_edited_since(scanned: Library) -> None:
    scanned.rewrite(1, epub("New"))
    run_id = scanned.scan().run_id
    scanned.edit_sidecar(scanned.book_sidecar(), subtitle="Mine")
    [warning] = scanned.undo(run_id).warnings
    assert "was edited since and stays" in warning
    assert scanned.sidecar()["subtitle"] == "Mine"


def test_undo_leaves_the_sidecars_of_other_files_alone(scanned: Library) -> None:
    other = scanned.add_file(1, "b.epub", epub("Second"))
    scanned.scan()
    scanned.edit_sidecar(scanned.file_sidecar(other), language="de")
    scanned.rewrite(1, epub("New", language="en"))
    scanned.undo(scanned.scan("files", 1).run_id)
    assert scanned.sidecar(scanned.file_sidecar(other))["language"] == "de"


@pytest.mark.parametrize(
    "texts",
    [{"title": "Other"}, {"authors": ["Frank Herbert", "Bob"]}, {"series": "Other"}, {"genres": ["X"]}],
)
def test_a_sidecar_says_what_the_rows_say_whatever_changed(book: Library, texts: dict[str, Any]) -> None:
    said: dict[str, Any] = {
        "title": "Dune",
        "authors": ["Frank Herbert"],
        "series": "Cycle",
        "genres": ["SF"],
    }
    book.rewrite(1, epub(**said, number=1, tags="a, b", language="en"))
    book.scan()
    book.conn.execute("update persons set sort_name = 'Herbert, F.', sort_name_source = 'manual'")
    book.conn.execute("update series set sort_name = 'Cycle, The', sort_name_source = 'manual'")
    book.rewrite(1, epub(**{**said, **texts}, number=1, tags="a, b", language="en"))
    assert book.refresh().plan.changes
    schema = book.service.schema
    assert book.book_sidecar().read_bytes() == render_book_sidecar(load_book_sidecar(book.conn, schema, 1))
    assert book.file_sidecar().read_bytes() == render_file_sidecar(load_file_sidecar(book.conn, schema, 1))
    assert "Herbert, F." in book.book_sidecar().read_text()
