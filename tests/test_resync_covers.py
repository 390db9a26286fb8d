from __future__ import annotations

from pathlib import Path

import pytest
from builders.cbz import build_cbz
from builders.images import jpeg, png
from builders.pdf import add_image, written
from library import Library, changed, epub, kept
from pypdf import PdfWriter

from datasette_shisho_resync.model import CoverImage, Mode, Reason, Target
from datasette_shisho_resync.resync import Ask
from datasette_shisho_resync.store.history import forget_runs

RED, BLUE, GREEN = (png(4, 6, color) for color in ("red", "blue", "green"))


@pytest.fixture
def covered(book: Library) -> Library:
    """Book 1 was scanned; its cover is red and came from the file."""
    book.rewrite(1, epub(cover=RED))
    book.scan()
    return book


def image(library: Library) -> bytes:
    """Return the cover that the row names."""
    return library.file_path().with_name(library.file()["cover_image_filename"]).read_bytes()


def test_the_first_scan_extracts_the_cover(covered: Library) -> None:
    file = covered.file()
    assert image(covered) == RED
    assert (file["cover_image_filename"], file["cover_mime_type"]) == ("a.epub.cover.png", "image/png")
    assert file["cover_source"] == "epub_metadata"


def test_a_changed_file_brings_its_new_cover(covered: Library) -> None:
    covered.rewrite(1, epub(cover=BLUE))
    assert changed(covered.scan())["cover"].reason is Reason.NEW_VALUE
    assert image(covered) == BLUE
    assert not covered.scan().changed


def test_a_cover_of_another_format_gets_another_name(covered: Library) -> None:
    covered.rewrite(1, epub(cover=jpeg(4, 6)))
    covered.scan()
    assert covered.file()["cover_image_filename"] == "a.epub.cover.jpg"
    assert covered.file()["cover_mime_type"] == "image/jpeg"


@pytest.mark.parametrize("source", ["manual", "existing_cover", "sidecar", "plugin:x"])
def test_a_cover_that_did_not_come_from_the_file_stays_in_scan(covered: Library, source: str) -> None:
    covered.write(covered.root / "Shelf" / "a.epub.cover.png", GREEN)
    covered.edit("files", cover_source=source)
    covered.rewrite(1, epub(cover=BLUE))
    assert "cover" not in changed(covered.scan())
    assert image(covered) == GREEN


def test_an_unchanged_file_leaves_an_image_that_somebody_replaced(covered: Library) -> None:
    covered.write(covered.root / "Shelf" / "a.epub.cover.png", GREEN)
    assert not covered.scan().changed


@pytest.fixture
def overwritten(covered: Library) -> Library:
    """Somebody put a green image in the place of the red one, then a new edition with a blue one came."""
    covered.write(covered.root / "Shelf" / "a.epub.cover.png", GREEN)
    covered.rewrite(1, epub("New Edition", cover=BLUE))
    return covered


def test_an_image_put_in_the_place_of_a_written_cover_stays_in_scan_and_is_told_of(
    overwritten: Library,
) -> None:
    outcome = overwritten.scan()
    assert list(changed(outcome)) == ["title", "sort_title", "name"]
    assert image(overwritten) == GREEN
    assert ["a.epub.cover.png was replaced by hand" in w for w in outcome.warnings] == [True]
    again = overwritten.scan()
    assert not again.changed
    assert again.warnings == ()


@pytest.mark.parametrize("mode", [Mode.REFRESH, Mode.RESET])
def test_what_overwrites_such_an_image_shows_it_and_undo_brings_it_back_to_stay(
    overwritten: Library, mode: Mode
) -> None:
    assert "cover" in changed(overwritten.preview(mode))
    run = overwritten.run(mode)
    assert image(overwritten) == BLUE
    overwritten.undo(run.run_id)
    overwritten.rewrite(1, epub(cover=RED))
    overwritten.scan()
    assert image(overwritten) == GREEN


def test_after_a_refresh_the_cover_follows_the_file_again(overwritten: Library) -> None:
    overwritten.refresh()
    overwritten.rewrite(1, epub(cover=jpeg(4, 6)))
    overwritten.scan()
    assert image(overwritten) == jpeg(4, 6)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_cover_that_undo_brought_back_follows_the_file(covered: Library, mode: Mode) -> None:
    covered.rewrite(1, epub(cover=BLUE))
    covered.undo(covered.run(mode).run_id)
    covered.rewrite(1, epub(cover=GREEN))
    covered.scan()
    assert image(covered) == GREEN


@pytest.mark.parametrize("mode", list(Mode))
def test_a_cover_that_another_program_wrote_follows_the_file_also_after_an_undo(
    covered: Library, mode: Mode
) -> None:
    covered.conn.execute("delete from resync_sidecars")  # as in a library of Shisho's
    covered.rewrite(1, epub(cover=BLUE))
    run = covered.run(mode)
    assert image(covered) == BLUE
    covered.undo(run.run_id)
    covered.rewrite(1, epub(cover=GREEN))
    covered.scan()
    assert image(covered) == GREEN


def test_the_history_may_be_forgotten_before_an_image_is_replaced(overwritten: Library) -> None:
    forget_runs(overwritten.conn, "9999")
    overwritten.scan()
    assert image(overwritten) == GREEN


@pytest.mark.parametrize("write_sidecars", [False, True])
def test_the_cover_of_an_imported_book_may_be_replaced_by_hand(
    library: Library, write_sidecars: bool
) -> None:
    library.configure(write_sidecars=write_sidecars)
    media = library.root / "Shelf" / "a.epub"
    media.parent.mkdir()
    library.write(media, epub(cover=RED))
    library.scan_all()
    library.write(media.with_name("a.epub.cover.png"), GREEN)
    library.rewrite(1, epub("New Edition", cover=BLUE))
    library.scan_all()
    assert (library.book()["title"], image(library)) == ("New Edition", GREEN)


@pytest.mark.parametrize(("by_hand", "last"), [(True, GREEN), (False, BLUE)])
def test_a_cover_is_known_where_its_folder_moved(covered: Library, by_hand: bool, last: bytes) -> None:
    if by_hand:
        covered.write(covered.root / "Shelf" / "a.epub.cover.png", GREEN)
    (covered.root / "Shelf").rename(covered.root / "Moved")
    covered.scan_all()
    covered.rewrite(1, epub(cover=BLUE))
    covered.scan()
    assert covered.file_path().parent.name == "Moved"
    assert image(covered) == last


def test_refresh_replaces_a_cover_that_a_person_chose(covered: Library) -> None:
    covered.write(covered.root / "Shelf" / "a.epub.cover.png", GREEN)
    covered.edit("files", cover_source="manual")
    change = changed(covered.refresh())["cover"]
    assert (change.reason, change.old_source) == (Reason.FORCED, "manual")
    assert image(covered) == RED
    assert not covered.refresh().changed


@pytest.mark.parametrize("mode", [Mode.REFRESH, Mode.RESET])
def test_undo_brings_the_old_image_back_and_undo_of_that_the_new_one(covered: Library, mode: Mode) -> None:
    covered.rewrite(1, epub(cover=BLUE))
    run = covered.run(mode)
    undone = covered.undo(run.run_id)
    assert image(covered) == RED
    covered.undo(undone.run_id)
    assert image(covered) == BLUE


def test_an_image_that_was_changed_since_stays_with_a_warning(covered: Library) -> None:
    covered.rewrite(1, epub(cover=BLUE))
    run = covered.scan()
    covered.write(covered.root / "Shelf" / "a.epub.cover.png", GREEN)
    undone = covered.undo(run.run_id)
    assert image(covered) == GREEN
    assert len(undone.warnings) == 1


def test_undo_of_the_first_cover_leaves_the_image(book: Library) -> None:
    book.rewrite(1, epub(cover=RED))
    book.undo(book.scan().run_id)
    assert book.file()["cover_image_filename"] is None
    assert (book.root / "Shelf" / "a.epub.cover.png").read_bytes() == RED


def test_an_image_beside_the_file_is_adopted(book: Library) -> None:
    book.rewrite(1, epub(cover=RED))
    book.write(book.root / "Shelf" / "a.epub.cover.jpeg", jpeg(4, 6))
    assert changed(book.scan())["cover"].new_source == "existing_cover"
    assert (image(book), book.file()["cover_mime_type"]) == (jpeg(4, 6), "image/jpeg")


def test_reset_takes_the_image_beside_a_file_that_has_none(book: Library) -> None:
    book.write(book.root / "Shelf" / "a.epub.cover.png", GREEN)
    book.edit("files", cover_image_filename="other.png", cover_source="manual")
    book.reset()
    assert (image(book), book.file()["cover_source"]) == (GREEN, "existing_cover")


def test_reset_without_any_image_clears_the_cover(book: Library) -> None:
    book.edit("files", cover_image_filename="gone.png", cover_source="manual")
    book.reset()
    assert (book.file()["cover_image_filename"], book.file()["cover_source"]) == (None, None)


def test_a_cover_whose_image_is_gone_is_extracted_again(covered: Library) -> None:
    (covered.root / "Shelf" / "a.epub.cover.png").unlink()
    covered.scan()
    assert image(covered) == RED


def test_no_cover_is_written_where_that_is_not_wanted(book: Library) -> None:
    book.configure(write_covers=False)
    book.rewrite(1, epub(cover=RED))
    assert "cover" not in changed(book.scan())
    assert not (book.root / "Shelf" / "a.epub.cover.png").exists()


@pytest.mark.parametrize("is_imported", [False, True])
def test_a_file_whose_name_leaves_no_room_for_that_of_a_cover_gets_none(
    library: Library, is_imported: bool
) -> None:
    book_id = library.add_book()
    name = f"{'long' * 62}.epub"
    if is_imported:
        library.write(library.root / "Shelf" / name, epub(cover=RED))
        library.scan_all()
    else:
        library.add_file(book_id, name, epub(cover=RED))
        library.scan()
    assert library.file()["cover_image_filename"] is None
    assert not library.scan().changed
    assert library.rows("resync_pending") == []


@pytest.mark.parametrize("target", [None, "theirs.png", "/etc/hostname"])
@pytest.mark.parametrize("mode", list(Mode))
def test_what_lies_in_the_place_of_a_cover_and_is_no_image_file_of_its_own_stays(
    covered: Library, mode: Mode, target: str | None
) -> None:
    place = covered.root / "Shelf" / "a.epub.cover.png"
    place.rename(place.with_name("theirs.png"))
    place.mkdir() if target is None else place.symlink_to(target)
    covered.rewrite(1, epub(cover=BLUE))
    told = f"{covered.file_path()}: its cover can't be written beside it."
    assert covered.run(mode).warnings.count(told) == 1
    assert not covered.run(mode).changed
    assert place.is_dir() if target is None else place.readlink() == Path(target)
    assert covered.rows("resync_pending") == []


def test_refresh_without_a_cover_in_the_file_keeps_the_image(covered: Library) -> None:
    covered.edit("files", cover_source="manual")
    covered.rewrite(1, epub())
    assert kept(covered.refresh())["cover"].reason is Reason.EMPTY_CANDIDATE
    assert image(covered) == RED


def test_a_book_with_a_cover_is_reviewed_when_its_criteria_are_met(book: Library) -> None:
    book.rewrite(1, epub(cover=RED, genres=["SF"], description="Words"))
    run = book.scan()
    assert book.file()["reviewed"] == 1
    book.undo(run.run_id)
    assert book.file()["reviewed"] == 0


def paged(kind: str, colors: tuple[str, ...]) -> bytes:
    """A comic or a PDF with one picture a page."""
    pages = [jpeg(40, 60, color) for color in colors]
    if kind == "cbz":
        return build_cbz(pages={f"{number}.jpg": page for number, page in enumerate(pages)})
    writer = PdfWriter()
    for page in pages:
        add_image(writer, writer.add_blank_page(40, 60), page)
    return written(writer)


@pytest.mark.parametrize("kind", ["cbz", "pdf"])
def test_a_page_that_a_sidecar_names_is_the_cover(library: Library, kind: str) -> None:
    library.add_file(library.add_book(), f"a.{kind}", paged(kind, ("red", "blue")))
    library.scan()
    assert library.sidecar(library.file_sidecar())["cover_page"] == 0
    library.edit_sidecar(library.file_sidecar(), cover_page=1)
    outcome = library.scan()
    assert changed(outcome)["cover"].new_source == "sidecar"
    file = library.file()
    assert (image(library), file["cover_source"], file["cover_page"]) == (jpeg(40, 60, "blue"), "sidecar", 1)
    assert library.sidecar(library.file_sidecar())["cover_page"] == 1
    assert not library.scan().changed
    library.rewrite(1, paged(kind, ("green", "yellow")))
    assert "cover" not in changed(library.scan())
    library.refresh()
    assert (image(library), library.file()["cover_page"]) == (jpeg(40, 60, "green"), 0)


def test_undo_brings_back_the_page_before_the_sidecars(library: Library) -> None:
    library.add_file(library.add_book(), "a.cbz", paged("cbz", ("red", "blue")))
    library.scan()
    before = library.content()
    library.edit_sidecar(library.file_sidecar(), cover_page=1)
    library.undo(library.scan().run_id)
    assert library.content() == before
    assert image(library) == jpeg(40, 60, "red")


@pytest.mark.parametrize(
    ("page", "reason"), [(7, "has no page 7"), (-1, "is no number"), ("1", "is no number")]
)
def test_a_page_that_is_not_there_is_a_warning(library: Library, page: object, reason: str) -> None:
    library.add_file(library.add_book(), "a.cbz", paged("cbz", ("red", "blue")))
    library.scan()
    library.edit_sidecar(library.file_sidecar(), cover_page=page)
    outcome = library.scan()
    assert "cover" not in changed(outcome)
    assert any("cover_page" in w and reason in w for w in outcome.warnings)


def test_the_page_of_the_cover_that_there_is_makes_no_sidecar_its_source(library: Library) -> None:
    file_id = library.add_file(library.add_book(), "a.cbz", paged("cbz", ("red", "blue")))
    library.file_sidecar(file_id).write_text('{"version": 1, "cover_page": 0}')
    library.scan()
    assert library.file()["cover_source"] == "cbz_metadata"


@pytest.mark.parametrize(("page", "color", "source"), [(0, "red", "cbz_metadata"), (1, "blue", "sidecar")])
def test_a_new_comic_has_the_page_that_its_sidecar_names(
    library: Library, page: int, color: str, source: str
) -> None:
    folder = library.root / "Saga"
    folder.mkdir()
    library.write(folder / "a.cbz", paged("cbz", ("red", "blue")))
    (folder / "a.cbz.metadata.json").write_text(f'{{"version": 1, "cover_page": {page}}}')
    library.scan_all()
    assert (image(library), library.file()["cover_source"]) == (jpeg(40, 60, color), source)


def test_a_cover_that_a_person_chose_stays_whatever_page_a_sidecar_names(library: Library) -> None:
    library.add_file(library.add_book(), "a.cbz", paged("cbz", ("red", "blue")))
    library.scan()
    library.edit("files", cover_source="manual")
    library.edit_sidecar(library.file_sidecar(), cover_page=1)
    assert "cover" in kept(library.scan())
    assert image(library) == jpeg(40, 60, "red")


def test_the_image_beside_a_new_comic_counts_for_the_page_that_its_cover_is(library: Library) -> None:
    folder = library.root / "Saga"
    folder.mkdir()
    library.write(folder / "a.cbz", paged("cbz", ("red", "blue")))
    (folder / "a.cbz.metadata.json").write_text('{"version": 1, "cover_page": 0}')  # as Shisho leaves both
    (folder / "a.cbz.cover.jpg").write_bytes(jpeg(39, 60, "red"))
    library.scan_all()
    assert (image(library), library.file()["cover_source"]) == (jpeg(39, 60, "red"), "existing_cover")


@pytest.mark.parametrize(
    ("source", "in_file", "beside", "reason"),
    [
        ("epub_metadata", RED, RED, Reason.SAME),
        ("manual", RED, RED, Reason.SAME),
        ("manual", BLUE, RED, Reason.LOWER_PRIORITY),
        ("existing_cover", BLUE, RED, Reason.LOWER_PRIORITY),
        ("epub_metadata", BLUE, GREEN, Reason.LOWER_PRIORITY),
    ],
)
def test_the_cover_in_a_file_is_explained_also_where_a_scan_leaves_it_alone(
    covered: Library, source: str, in_file: bytes, beside: bytes, reason: Reason
) -> None:
    covered.edit("files", cover_source=source)
    covered.write(covered.root / "Shelf" / "a.epub.cover.png", beside)
    if in_file != RED:
        covered.rewrite(1, epub(cover=in_file))
    planned = covered.service.planned(Ask(Target("files", 1)))
    [cover] = [d for d in planned.decisions if d.field.name == "cover"]
    [offered] = cover.candidates
    assert isinstance(offered.value, CoverImage)
    assert (offered.source, offered.value.data) == ("epub_metadata", in_file)
    assert (cover.changes, cover.reason) == (False, reason)
