from __future__ import annotations

from builders.cbz import build_cbz, comic_info_xml
from library import Library, changed, epub, error_of

from datasette_shisho_resync.errors import UnreadableFile
from datasette_shisho_resync.model import Mode, Reason


def test_reset_clears_what_the_file_does_not_say(book: Library) -> None:
    book.scan()
    book.edit("books", subtitle="Mine", subtitle_source="manual")
    book.edit("files", url="https://example.org", url_source="manual")
    changes = changed(book.reset())
    assert changes["subtitle"].reason is changes["url"].reason is Reason.CLEARED
    row, file = book.book(), book.file()
    assert (row["subtitle"], row["subtitle_source"], file["url"], file["url_source"]) == (None,) * 4


def test_reset_asks_the_path_where_the_file_is_silent(library: Library) -> None:
    library.add_file(library.add_book("[Ann Author] Named"), "x.epub", epub(None, []))
    library.edit("books", title="Mine", title_source="manual")
    library.reset()
    row = library.book()
    assert (row["title"], row["title_source"], library.authors()) == ("Named", "filepath", ["Ann Author"])
    assert (row["author_source"], library.file()["name"]) == ("filepath", "Named")


def test_reset_reads_a_comics_series_from_its_title(library: Library) -> None:
    library.add_file(library.add_book("Saga #7"), "x.cbz", build_cbz(comic_info=comic_info_xml("")))
    library.reset()
    assert (library.book()["title"], library.series()) == ("Saga v007", [("Saga", 7.0)])


def test_reset_of_authors_leaves_a_source(library: Library) -> None:
    library.add_file(library.add_book("Named"), "x.epub", epub(authors=["Ann"]))
    library.scan()
    library.rewrite(1, epub(authors=[]))
    library.reset()
    assert (library.authors(), library.book()["author_source"]) == ([], "filepath")


def test_a_second_reset_changes_nothing(book: Library) -> None:
    book.rewrite(1, epub(None, series="S", number=1, genres=["SF"]))
    book.reset()
    assert not book.reset().changed


def test_reset_with_nothing_readable_changes_nothing(book: Library) -> None:
    book.scan()
    book.rewrite(1, b"no zip")
    before = book.dump()
    assert isinstance(error_of(book, Mode.RESET), UnreadableFile)
    assert book.dump() == before


def test_reset_of_one_file_decides_the_book_from_all(book: Library) -> None:
    book.rewrite(1, epub("First", subtitle="Only here"))
    book.add_file(1, "b.epub", epub("Second"))
    book.edit("files", 1, url="u", url_source="manual")
    book.edit("files", 2, url="u", url_source="manual")
    book.reset("files", 1)
    assert book.book()["title"] == "Second"
    assert [row["url"] for row in book.rows("files")] == [None, "u"]


def test_reset_of_an_unreadable_file_is_an_error_though_another_is_sound(book: Library) -> None:
    book.add_file(1, "b.epub", b"no zip")
    assert isinstance(error_of(book, Mode.RESET, "files", 2), UnreadableFile)


def test_reset_of_one_file_removes_no_other(book: Library) -> None:
    book.add_file(1, "gone.epub")
    book.reset("files", 1)
    assert len(book.rows("files")) == 2


def test_reset_of_a_supplement_leaves_the_book_alone(book: Library) -> None:
    book.scan()
    file_id = book.add_file(1, "map.pdf", b"x", role="supplement", cover_image_filename="c.png", url="u")
    before = book.book()
    book.reset("files", file_id)
    assert book.book() == before
    assert (book.file(file_id)["url"], book.file(file_id)["cover_image_filename"]) == (None, "c.png")
