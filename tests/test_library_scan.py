"""A folder becomes a library: grouping, supplements, changes, moves, vanished files, interruption."""

from __future__ import annotations

import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders.cbz import build_cbz, comic_info_xml
from builders.extensions import enrich_with_genres, parse_text
from builders.images import jpeg
from builders.m4b import build_m4b
from builders.pdf import build_pdf
from library import BY, Library, epub

from datasette_shisho_resync.demo.mp4 import item
from datasette_shisho_resync.errors import BadRequest, JobRunning, MassRemoval, UndoConflict
from datasette_shisho_resync.files import PathMap
from datasette_shisho_resync.hooks import default_extensions
from datasette_shisho_resync.library_scan import Grouping, Progress, ScanOptions, ScanReport, scan_library
from datasette_shisho_resync.library_scan.loss import is_much
from datasette_shisho_resync.model import Limits, Mode, Target
from datasette_shisho_resync.store.schema import create_library, open_library
from datasette_shisho_resync.workers import WorkerPool
from datasette_shisho_resync.workers.extensions import Extensions


def scan(
    library: Library, *, progress: Callable[[Progress], None] = lambda _: None, **options: object
) -> ScanReport:
    wanted = ScanOptions((str(library.root),), **options)  # type: ignore[arg-type]
    return scan_library(library.conn, "library.db", wanted, library.settings, library.pool, BY, progress)


def put(library: Library, name: str, data: bytes) -> Path:
    path = library.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    library.write(path, data)
    return path


def books(library: Library) -> dict[str, list[str]]:
    """Return title -> base names of the book's files."""
    rows = library.conn.execute(
        "select title, filepath_of from (select b.title, b.id, f.filepath as filepath_of from books b"
        " join files f on f.book_id = b.id) order by title, filepath_of"
    )
    found: dict[str, list[str]] = {}
    for title, path in rows:
        found.setdefault(title, []).append(os.path.basename(path))
    return found


def test_every_field_of_a_new_file_is_stored_with_its_source(library: Library) -> None:
    put(
        library,
        "Dune/dune.epub",
        epub("Dune", ("Frank Herbert",), genres=("Sci-Fi",), series="Dune", number=1),
    )
    assert scan(library).imported == 1
    book = library.book()
    assert (book["title"], book["title_source"], book["author_source"]) == (
        "Dune",
        "epub_metadata",
        "epub_metadata",
    )
    assert library.authors() == ["Frank Herbert"]
    assert library.genres() == ["Sci-Fi"]
    assert library.series() == [("Dune", 1.0)]
    assert library.file()["filesize_bytes"] == os.path.getsize(library.file_path())


def test_a_resync_right_after_the_import_changes_nothing(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("The Dune", genres=("a", "A", "b"), cover=jpeg(20, 30)))
    put(
        library,
        "Saga #7/x.cbz",
        build_cbz(comic_info=comic_info_xml("<Series>Saga</Series><Number>7</Number>")),
    )
    put(
        library,
        "Talk/t.m4b",
        build_m4b(title="Talk", artist="A", narrator="N", quicktime_chapters=[(0, "One")]),
    )
    scan(library)
    for book in library.rows("books"):
        assert library.run(pk=book["id"]).plan.changes == (), book["title"]


def test_a_second_scan_writes_nothing(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "broken.epub", b"no archive")
    scan(library)
    before, written = library.dump(), library.conn.total_changes
    report = scan(library)
    assert (report.imported, report.updated, report.unchanged, report.failed) == (0, 0, 1, 1)
    assert library.dump() == before
    assert library.conn.total_changes == written


def test_without_metadata_the_path_speaks(library: Library) -> None:
    put(library, "[Ann One, Bob Two] The Title {Cy Three}/x.epub", epub(None, ()))
    scan(library)
    assert library.book()["title"] == "The Title"
    assert library.book()["title_source"] == "filepath"
    assert library.authors() == ["Ann One", "Bob Two"]


def test_a_folder_is_one_book_in_its_formats(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "Dune/dune.m4b", build_m4b(title="Dune", artist="Ann Author"))
    scan(library)
    assert books(library) == {"Dune": ["dune.epub", "dune.m4b"]}
    assert library.book()["title_source"] == "m4b_metadata"  # equal rank: the later file


def test_files_in_the_library_folder_join_by_title_and_author(library: Library) -> None:
    put(library, "a.epub", epub("Dune", ("Frank Herbert",)))
    put(library, "b.m4b", build_m4b(title="Dune", artist="Frank Herbert"))
    put(library, "c.epub", epub("Emma", ("Jane Austen",)))
    scan(library)
    assert books(library) == {"Dune": ["a.epub", "b.m4b"], "Emma": ["c.epub"]}


@pytest.mark.parametrize(("grouping", "count"), [(Grouping.AUTO, 2), (Grouping.FOLDER, 1), (None, 2)])
def test_a_folder_with_two_books_is_split_unless_shishos_rule_is_wanted(
    library: Library, grouping: Grouping | None, count: int
) -> None:
    put(library, "Shelf/a.epub", epub("Dune"))
    put(library, "Shelf/b.epub", epub("Emma"))
    scan(library, grouping=grouping)
    assert len(library.rows("books")) == count


def test_a_database_of_a_shisho_follows_its_rule(library: Library) -> None:
    library.conn.execute("create table bun_migrations (id integer)")
    put(library, "Shelf/a.epub", epub("Dune"))
    put(library, "Shelf/b.epub", epub("Emma"))
    scan(library)
    assert len(library.rows("books")) == 1


def test_the_numbered_parts_of_an_audiobook_stay_together(library: Library) -> None:
    for number in (1, 2, 10):
        put(library, f"Shelf/Dune part {number}.m4b", build_m4b(title=f"Dune part {number}", artist="F"))
    put(library, "Shelf/Emma.m4b", build_m4b(title="Emma", artist="J"))
    scan(library)
    assert sorted(map(len, books(library).values())) == [1, 3]


def numbered(number: int, **tags: str) -> bytes:
    """One part: its title is its own, its album the book's."""
    album = tags.pop("album", None)
    extra = item("©alb", album) if album else b""
    return build_m4b(title=tags.pop("title", f"Chapter {number}"), artist="F", extra_ilst=extra)


@pytest.mark.parametrize("grouping", list(Grouping))
def test_parts_name_their_book_by_the_album(library: Library, grouping: Grouping) -> None:
    for number in (1, 2):
        put(library, f"Folder/Part {number}.m4b", numbered(number, album="Dune"))
    scan(library, grouping=grouping)
    assert [(b["title"], b["sort_title"], b["title_source"]) for b in library.rows("books")] == [
        ("Dune", "Dune", "m4b_metadata")
    ]
    assert [f["name"] for f in library.rows("files")] == ["Chapter 1", "Chapter 2"]
    assert not library.scan().changed
    assert not library.scan("files", 2).changed


@pytest.mark.parametrize("grouping", list(Grouping))
def test_parts_without_an_album_name_it_without_their_number(library: Library, grouping: Grouping) -> None:
    for number in (1, 2):
        put(library, f"Folder/Dune_{number:02}.m4b", numbered(number, title=f"Dune, Part {number}"))
    scan(library, grouping=grouping)
    assert list(books(library)) == ["Dune"]


@pytest.mark.parametrize("grouping", list(Grouping))
@pytest.mark.parametrize("name", ["{:02}", "Track {}", "[G] Part {}"])
def test_parts_that_only_count_are_called_like_their_folder(
    library: Library, grouping: Grouping, name: str
) -> None:
    for number in (1, 2):
        put(library, f"[F] Dune/{name.format(number)}.m4b", numbered(number))
    put(library, "[F] Dune/notes.txt", b"text")
    scan(library, grouping=grouping)
    assert [(b["title"], b["title_source"]) for b in library.rows("books")] == [("Dune", "filepath")]
    assert len(library.rows("files")) == 3
    library.reset()
    assert library.book()["title"] == "Dune"
    put(library, f"[F] Dune/{name.format(3)}.m4b", numbered(3))
    scan(library, grouping=grouping)
    assert len(books(library)["Dune"]) == 4


def test_parts_that_only_count_join_no_other_audiobook(library: Library) -> None:
    put(library, "Shelf/Emma.m4b", build_m4b(title="Emma"))
    scan(library)
    for number in (1, 2):
        put(library, f"Shelf/{number:02}.m4b", numbered(number))
    scan(library)
    assert sorted(map(len, books(library).values())) == [1, 2]


def test_parts_that_only_count_do_not_make_the_library_folder_a_book(library: Library) -> None:
    for number in (1, 2):
        put(library, f"{number:02}.m4b", numbered(number))
    scan(library)
    assert [Path(b["filepath"]) for b in library.rows("books")] == [library.root / "[F] 01"]


def test_parts_in_the_library_folder_join_the_book_of_their_name(library: Library) -> None:
    put(library, "[F] Dune.epub", epub(None, ()))
    for number in (1, 2):
        put(library, f"[F] Dune {{N}} Part {number}.m4b", build_m4b())
    scan(library)
    assert [(b["title"], Path(b["filepath"]).name) for b in library.rows("books")] == [("Dune", "[F] Dune")]


def test_a_book_is_called_like_the_whole_as_soon_as_a_second_part_comes(library: Library) -> None:
    put(library, "Folder/Dune 1.m4b", numbered(1, title="Dune, Part 1"))
    scan(library)
    assert list(books(library)) == ["Dune, Part 1"]
    put(library, "Folder/Dune 2.m4b", numbered(2, title="Dune, Part 2"))
    scan(library)
    assert list(books(library).items()) == [("Dune", ["Dune 1.m4b", "Dune 2.m4b"])]


def test_the_discs_of_an_audiobook_are_one_book(library: Library) -> None:
    for disc in ("CD1", "CD 2", "Dune - Disc 3 of 3"):
        for number in (1, 2):
            put(library, f"[F] Dune/{disc}/{number:02}.m4b", numbered(number))
    put(library, "[F] Dune/cover notes.txt", b"text")
    scan(library)
    [book] = library.rows("books")
    assert (book["title"], Path(book["filepath"]).name) == ("Dune", "[F] Dune")
    assert library.authors() == ["F"]
    assert [f["file_role"] for f in library.rows("files")] == ["main"] * 6 + ["supplement"]
    assert not library.scan().changed
    library.reset()
    assert (library.book()["title"], library.book()["title_source"]) == ("Dune", "filepath")
    put(library, "[F] Dune/CD4/01.m4b", numbered(7))
    assert (scan(library).imported, len(library.rows("books"))) == (1, 1)


@pytest.mark.parametrize(
    ("names", "grouping"),
    [
        (["Dune/CD1/a.m4b", "Dune/CD2/a.m4b"], Grouping.FOLDER),  # Shisho's rule
        (["CD1/a.m4b", "CD2/a.m4b"], Grouping.AUTO),  # in the library folder itself
        (["Dune/CD1/a.epub", "Dune/CD2/a.epub"], Grouping.AUTO),
        (["Dune/CD1/a.m4b", "Dune/Extras/a.m4b"], Grouping.AUTO),
        (["Dune/CD1/a.m4b", "Dune/CD2/more/a.m4b"], Grouping.AUTO),
    ],
)
def test_other_folders_are_books_of_their_own(library: Library, names: list[str], grouping: Grouping) -> None:
    for name in names:
        title = os.path.dirname(name)
        put(library, name, epub(title) if name.endswith("epub") else build_m4b(title=title))
    scan(library, grouping=grouping)
    assert len(library.rows("books")) == 2


def test_disc_folders_beside_several_books_stay_apart(library: Library) -> None:
    for name in ("a", "b"):
        put(library, f"Shelf/{name}.epub", epub(name))
    for disc in (1, 2):
        put(library, f"Shelf/CD{disc}/x.m4b", build_m4b(title=f"Disc {disc}"))
    scan(library)
    assert len(library.rows("books")) == 4


def test_equal_names_of_different_books_are_no_parts(library: Library) -> None:
    put(library, "Shelf/Cycle 1.m4b", build_m4b(title="The Beginning", artist="F"))
    put(library, "Shelf/Cycle 2.m4b", build_m4b(title="The End", artist="F"))
    scan(library)
    assert sorted(books(library)) == ["The Beginning", "The End"]


def track(title: str, number: int, *, album: str = "The Saga", disc: int = 1, **tags: str) -> bytes:
    """One track of an album, called as its creator liked."""
    extra = item("©alb", album) + item("trkn", struct.pack(">4H", 0, number, 0, 0), kind=0)
    extra += item("disk", struct.pack(">3H", 0, disc, 2), kind=0)
    asin = {("com.apple.iTunes", "ASIN"): tags.pop("asin", "")}
    return build_m4b(title=title, artist=tags.get("artist", "F"), extra_ilst=extra, freeform=asin)


def test_the_tracks_of_one_album_are_one_book_whatever_they_are_called(library: Library) -> None:
    put(library, "Shelf/01 Prologue.m4b", track("Prologue", 1))
    put(library, "Shelf/02 The Storm.m4b", track("The Storm", 2))
    put(library, "Shelf/Once more.m4b", track("Prologue", 1, disc=2))
    put(library, "Shelf/Emma.m4b", track("Emma", 1, album="Emma"))
    scan(library)
    told = ["01 Prologue.m4b", "02 The Storm.m4b", "Once more.m4b"]
    assert books(library) == {"Emma": ["Emma.m4b"], "The Saga": told}
    assert not library.scan().changed
    put(library, "Shelf/03 Epilogue.m4b", track("Epilogue", 3))
    scan(library)
    assert len(books(library)["The Saga"]) == 4


def test_many_tracks_of_one_album_are_one_book(library: Library) -> None:
    for number in range(1, 66):  # more than are imported together
        put(library, f"Shelf/{number:02} {chr(64 + number)}.m4b", track(chr(64 + number), number))
    scan(library)
    assert [len(names) for names in books(library).values()] == [65]


@pytest.mark.parametrize(
    "second",
    [
        track("The Storm", 1),  # each the first of its own: the album is the series
        track("The Storm", 2, asin="B00ABCDEFG"),
        track("The Storm", 2, artist="Another"),
        track("The Storm", 2, album="Another"),
        track("The Storm", 0),
    ],
)
def test_an_album_without_counting_tracks_is_no_book(library: Library, second: bytes) -> None:
    put(library, "Shelf/01 Prologue.m4b", track("Prologue", 1))
    put(library, "Shelf/02 The Storm.m4b", second)
    scan(library)
    assert sorted(books(library)) == ["Prologue", "The Storm"]


def test_other_files_of_a_book_are_supplements(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "Dune/extra/map.png", b"x")
    put(library, "Dune/notes.pdf", b"%PDF no more")
    put(library, "Dune/.hidden", b"x")
    put(library, "Dune/empty.txt", b"")
    put(library, "Dune/dune.epub.cover.txt", b"x")
    scan(library)
    roles = {os.path.basename(f["filepath"]): f["file_role"] for f in library.rows("files")}
    assert roles == {"dune.epub": "main", "map.png": "supplement", "notes.pdf": "supplement"}


def test_a_supplement_belongs_to_the_nearest_book_above(library: Library) -> None:
    put(library, "Author/stray.epub", epub("Stray"))
    put(library, "Author/Dune/dune.epub", epub("Dune"))
    put(library, "Author/Dune/scans/1.txt", b"x")
    scan(library)
    assert {t: sorted(names) for t, names in books(library).items()} == {
        "Dune": ["1.txt", "dune.epub"],
        "Stray": ["stray.epub"],
    }


def test_upper_case_extensions_count(library: Library) -> None:
    put(library, "Dune/DUNE.EPUB", epub("Dune"))
    assert scan(library).imported == 1
    assert library.file()["file_type"] == "epub"


def test_a_changed_file_is_read_again_and_the_rest_is_not(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    library.rewrite(1, epub("Dune, revised"))
    report = scan(library)
    assert (report.updated, report.unchanged) == (1, 1)
    assert library.book()["title"] == "Dune, revised"


def test_a_manual_value_survives_the_scan_of_a_changed_file(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    library.edit("books", title="Mine", title_source="manual")
    library.rewrite(1, epub("Dune, revised"))
    scan(library)
    assert library.book()["title"] == "Mine"
    assert scan(library, mode=Mode.REFRESH).updated == 1
    assert library.book()["title"] == "Dune, revised"


def test_a_moved_file_keeps_its_record(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    library.edit("books", title="Mine", title_source="manual")
    (library.root / "Herbert").mkdir()
    shutil.move(path.parent, library.root / "Herbert" / "Dune")
    report = scan(library)
    assert (report.moved, report.imported, report.missing) == (1, 0, 0)
    assert library.file()["filepath"] == str(library.root / "Herbert/Dune/dune.epub")
    assert library.book()["filepath"] == str(library.root / "Herbert/Dune")
    assert library.book()["title"] == "Mine"


def test_a_moved_file_gets_its_cover_and_the_edits_of_its_sidecar_at_once(library: Library) -> None:
    cover = jpeg(20, 30)
    path = put(library, "Dune/dune.epub", epub("Dune", cover=cover))
    scan(library)
    library.edit_sidecar(library.file_sidecar(), url="https://mine.example/")
    new = library.root / "Herbert"
    new.mkdir()
    path.rename(new / "arrakis.epub")
    library.file_sidecar().rename(new / "arrakis.epub.metadata.json")
    report = scan(library)
    assert (report.moved, report.updated, report.unchanged) == (1, 0, 0)
    assert library.file()["cover_image_filename"] == "arrakis.epub.cover.jpg"
    assert (new / "arrakis.epub.cover.jpg").read_bytes() == cover
    assert library.file()["url"] == "https://mine.example/"
    library.service.close()
    before, files = library.dump(), sorted(library.root.rglob("*"))
    scan(library)
    assert (library.dump(), sorted(library.root.rglob("*"))) == (before, files)


def test_a_move_can_be_undone(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    before = library.content()
    os.rename(path, library.root / "Dune" / "other.epub")
    job_id = scan(library).job_id
    assert job_id is not None
    library.service.undo_job(job_id, BY)
    assert library.content() == before


def test_undo_of_a_scan_writes_the_search_row_of_a_series_once(library: Library) -> None:
    put(library, "0/0.epub", epub("Book 0", series="Long", number=1))
    scan(library)
    before = library.content()
    for number in range(1, 6):
        put(library, f"{number}/{number}.epub", epub(f"Book {number}", series="Long", number=number))
    job_id = scan(library).job_id
    written: list[str] = []
    library.conn.set_trace_callback(lambda sql: written.append(sql) if "into series_fts" in sql else None)
    assert job_id is not None
    library.service.undo_job(job_id, BY)
    library.conn.set_trace_callback(None)
    assert library.content() == before
    assert len(written) == 1


def test_undo_of_a_move_is_refused_in_words_where_another_file_took_the_place(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    path.rename(library.root / "Dune/moved.epub")
    move = scan(library)
    put(library, "Dune/dune.epub", epub("Another"))
    scan(library)
    before = library.dump()
    assert move.job_id is not None
    with pytest.raises(UndoConflict, match=r"files\.1 has no place any more: another row has the same file"):
        library.service.undo_job(move.job_id, BY)
    assert library.dump() == before


@pytest.mark.parametrize("new_name", ["moving.epub", "Moving.epub"])
def test_the_sidecars_of_a_moved_folder_are_no_news(library: Library, new_name: str) -> None:
    path = put(library, f"Moving/{new_name}", epub("A"))
    scan(library)
    library.service.close()
    path.parent.rename(library.root / "Moved")
    assert scan(library).moved == 1
    library.service.close()
    before, files = library.dump(), sorted((library.root / "Moved").iterdir())
    assert scan(library).unchanged == 1
    assert (library.dump(), sorted((library.root / "Moved").iterdir())) == (before, files)


def test_the_sidecar_of_a_book_from_whose_folder_one_file_was_moved_is_no_news(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune", ["Frank Herbert"]))
    path = put(library, "Dune/dune.m4b", build_m4b(title="Dune", artist="Frank Herbert"))
    scan(library)
    (library.root / "Heard").mkdir()
    path.rename(library.root / "Heard" / "dune.m4b")
    assert scan(library).moved == 1
    library.service.close()
    before, files = library.dump(), sorted(library.root.rglob("*"))
    assert scan(library).unchanged == 2
    assert (library.dump(), sorted(library.root.rglob("*"))) == (before, files)


def test_files_that_look_alike_are_not_taken_for_moved(library: Library) -> None:
    data = epub("Dune")
    one, two = put(library, "A/dune.epub", data), put(library, "B/dune.epub", data)
    os.utime(two, ns=(os.stat(one).st_mtime_ns,) * 2)
    scan(library)
    shutil.move(one, library.root / "C.epub")
    shutil.move(two, library.root / "D.epub")
    assert scan(library).moved == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [("Dune/dune.epub", "dune/Dune.epub"), ("Cafe\u0301/a.epub", "Caf\u00e9/a.epub")],
)
def test_a_file_that_was_copied_under_another_spelling_keeps_its_record(
    library: Library, old: str, new: str
) -> None:
    path = put(library, old, epub("A"))
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    library.edit("books", pk=library.rows("files", f"filepath = '{path}'")[0]["book_id"], subtitle="Mine")
    before = {row["id"] for row in library.rows("files")}
    shutil.rmtree(path.parent)
    copied = put(library, new, epub("A, corrected"))
    assert (report := scan(library, prune=True)).moved == 1
    assert (report.imported, report.failed) == (0, 0)
    assert {row["id"] for row in library.rows("files")} == before
    (book,) = library.rows("books", "subtitle = 'Mine'")
    assert (book["title"], book["filepath"]) == ("A, corrected", str(copied.parent))
    assert library.rows("files", f"filepath = '{copied}'")[0]["filesize_bytes"] == copied.stat().st_size
    assert scan(library, prune=True).unchanged == 2


def test_of_several_files_of_one_spelling_none_is_taken_for_another(library: Library) -> None:
    old = put(library, "A/dune.epub", epub("One"))
    scan(library)
    old.unlink()
    for name in ("Dune.epub", "DUNE.epub"):
        put(library, f"A/{name}", epub(name))
    report = scan(library)
    assert (report.moved, report.imported, report.missing) == (0, 2, 1)


def test_a_file_that_vanishes_before_it_is_read_is_counted_as_missing(library: Library) -> None:
    put(library, "a/a.epub", epub("A"))
    put(library, "b/b.epub", epub("B"))
    scan(library)
    path = put(library, "a/a.epub", epub("New A"))
    put(library, "b/b.epub", epub("New B"))

    def vanish(told: Progress) -> None:
        if told == Progress("Looking", 2):
            path.unlink()

    report = scan(library, progress=vanish)
    assert (report.updated, report.missing, report.failed) == (1, 1, 0)


def test_vanished_files_stay_until_they_are_pruned(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    path.unlink()
    assert scan(library).missing == 1
    assert len(library.rows("files")) == 2
    assert scan(library, prune=True).removed == 1
    assert [b["title"] for b in library.rows("books")] == ["Emma"]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_pruned_book_takes_its_supplements_along_and_nothing_fails(
    library: Library, *, dry_run: bool
) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    supplement = put(library, "Dune/map.txt", b"Arrakis")
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    shutil.rmtree(supplement.parent)
    report = scan(library, prune=True, dry_run=dry_run)
    assert (report.removed, report.failed) == (2, 0)
    assert {(os.path.basename(f.path), f.status) for f in report.files} == {
        ("dune.epub", "removed"),
        ("map.txt", "removed"),
    }


@pytest.fixture
def thinned(library: Library) -> Library:
    """A library that knew twenty files, of which six are gone."""
    for number in range(20):
        put(library, f"{number}/{number}.epub", epub(f"Book {number}"))
    scan(library)
    for number in range(6):
        (library.root / f"{number}/{number}.epub").unlink()
    return library


@pytest.mark.parametrize("confirmed", [None, 5])
def test_a_prune_that_would_take_much_stops_before_anything_is_written(
    thinned: Library, confirmed: int | None
) -> None:
    put(thinned, "new/new.epub", epub("New"))
    before = thinned.dump()
    with pytest.raises(MassRemoval, match="6 records of the 20 files") as caught:
        scan(thinned, prune=True, confirm_removals=confirmed)
    assert (caught.value.count, caught.value.known) == (6, 20)
    assert thinned.dump() == before


def test_a_prune_that_was_confirmed_by_its_number_removes(thinned: Library) -> None:
    assert scan(thinned, prune=True, confirm_removals=6).removed == 6


@pytest.fixture
def accompanied(library: Library) -> Library:
    """Five books of two files and a supplement each, of which only the latter are left, and twenty others."""
    for number in range(5):
        put(library, f"{number}/one.epub", epub(f"Book {number}"))
        put(library, f"{number}/one.m4b", build_m4b(title=f"Book {number}", artist="Ann Author"))
        put(library, f"{number}/map.txt", b"a map")
    for number in range(20):
        put(library, f"other {number}/one.epub", epub(f"Other {number}"))
    scan(library)
    for path in library.root.glob("?/one.*"):
        path.unlink()
    return library


def test_the_number_to_confirm_counts_what_goes_with_the_last_file_of_a_book(accompanied: Library) -> None:
    with pytest.raises(MassRemoval, match="15 records of the 35 files"):
        scan(accompanied, prune=True, confirm_removals=14)
    before = len(accompanied.rows("files"))
    scan(accompanied, prune=True, confirm_removals=15)
    assert len(accompanied.rows("files")) == before - 15


def test_few_files_that_take_much_along_need_a_number(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    for number in range(5):
        put(library, f"Dune/map {number}.txt", b"a map")
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    path.unlink()
    with pytest.raises(MassRemoval, match="6 records of the 7 files"):
        scan(library, prune=True)


def test_the_prune_of_few_records_needs_no_number(thinned: Library) -> None:
    put(thinned, "5/5.epub", epub("Book 5"))
    assert scan(thinned, prune=True).removed == 5


@pytest.mark.parametrize(
    ("count", "known", "much"),
    [(5, 6, False), (6, 6, True), (6, 59, True), (6, 60, False), (100, 1000, False), (101, 1000, True)],
)
def test_more_than_five_and_more_than_a_tenth_is_much(count: int, known: int, much: bool) -> None:
    assert is_much(count, known) is much


def test_an_empty_mount_removes_nothing(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    shutil.rmtree(library.root)
    library.root.mkdir()
    report = scan(library, prune=True)
    assert (report.removed, report.failed) == (0, 2)
    assert len(library.rows("files")) == 2


def test_undo_of_a_scan_removes_what_it_made_and_no_file(library: Library) -> None:
    before = library.content()
    path = put(library, "Dune/dune.epub", epub("Dune", genres=("Sci-Fi",), series="Dune", publisher="Ace"))
    job_id = scan(library).job_id
    assert job_id is not None
    library.service.undo_job(job_id, BY)
    assert library.content() == before
    assert path.exists()


def test_undo_of_an_import_that_vouched_for_a_known_series_puts_the_source_of_its_name_back(
    library: Library,
) -> None:
    put(library, "Saga #1/a.cbz", build_cbz())
    scan(library)
    assert [s["name_source"] for s in library.rows("series")] == ["filepath"]
    put(
        library,
        "Second/b.cbz",
        build_cbz(comic_info=comic_info_xml("<Series>Saga</Series><Number>2</Number>")),
    )
    second = scan(library)
    assert [s["name_source"] for s in library.rows("series")] == ["cbz_metadata"]
    assert second.job_id is not None
    (undone,) = library.service.undo_job(second.job_id, BY)
    assert [s["name_source"] for s in library.rows("series")] == ["filepath"]
    assert len(library.rows("books")) == 1
    library.undo(undone.run_id)
    assert [s["name_source"] for s in library.rows("series")] == ["cbz_metadata"]
    assert len(library.rows("books")) == 2


def test_a_file_added_to_a_known_book_speaks_for_it(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    library.edit("books", title="Mine", title_source="manual")
    put(library, "Dune/dune.m4b", build_m4b(title="Dune (unabridged)", artist="Frank Herbert"))
    assert scan(library).imported == 1
    assert len(library.rows("books")) == 1
    assert library.book()["title"] == "Mine"
    assert library.authors() == ["Frank Herbert"]


def test_covers_and_sidecars_are_written_and_an_image_that_is_there_is_taken(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune", cover=jpeg(20, 30)))
    put(library, "Emma/emma.epub.cover.png", jpeg(5, 5))
    put(library, "Emma/emma.epub", epub("Emma", cover=jpeg(20, 30)))
    scan(library)
    assert (library.root / "Dune/dune.epub.cover.jpg").read_bytes() == jpeg(20, 30)
    assert (library.root / "Dune/Dune.metadata.json").exists()
    assert (library.root / "Dune/dune.epub.metadata.json").exists()
    names = {f["cover_image_filename"]: f["cover_source"] for f in library.rows("files")}
    assert names == {"dune.epub.cover.jpg": "epub_metadata", "emma.epub.cover.png": "existing_cover"}


def test_new_files_that_say_an_alias_get_the_row_that_it_means(library: Library) -> None:
    said = epub(
        "Dune",
        ["Alias"],
        genres=["alias", "Other"],
        tags="Alias",
        series="Alias",
        number=2,
        publisher="Alias",
    )
    put(library, "Known/emma.epub", epub("Emma"))
    scan(library)
    sources = {"sort_name": "Name", "sort_name_source": "filepath"}
    rows = {"persons": sources, "series": {**sources, "name_source": "filepath"}}
    tables = {
        "persons": "person",
        "series": "series",
        "genres": "genre",
        "tags": "tag",
        "publishers": "publisher",
    }
    for table, one in tables.items():
        pk = library.add(table, library_id=1, name="Name", **rows.get(table, {}))
        library.add(f"{one}_aliases", **{f"{one}_id": pk}, name="Alias", library_id=1)
    put(library, "Known/emma.m4b", build_m4b(title="Emma", artist="Alias"))
    put(library, "New/dune.epub", said)
    report = scan(library)
    assert [(f.status, f.error) for f in report.files] == [("imported", None)] * 2
    assert {table: [r["name"] for r in library.rows(table, "name like '%a%'")] for table in tables} == {
        "persons": ["Ann Author", "Name"], "series": ["Name"], "genres": ["Name"], "tags": ["Name"],
        "publishers": ["Name"],
    }  # fmt: skip
    assert not library.scan(pk=library.rows("books", "title = 'Dune'")[0]["id"]).changed


def test_supplements_move_with_the_folder_of_their_book(library: Library) -> None:
    put(library, "Dune/CD1/01.m4b", numbered(1))
    put(library, "Dune/CD2/01.m4b", numbered(2, title="Chapter 2, Sand"))
    put(library, "Dune/notes.pdf", build_pdf())
    put(library, "Dune/art/map.txt", b"a map")
    put(library, "Dune/gone.txt", b"text")
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    before = {row["id"]: row["filepath"] for row in library.rows("files")}
    (library.root / "Dune/gone.txt").write_bytes(b"another text")
    (library.root / "Dune").rename(library.root / "Arrakis")
    report = scan(library)
    after = {row["id"]: row["filepath"] for row in library.rows("files")}
    stayed = {pk for pk, path in before.items() if path.endswith(("gone.txt", "emma.epub"))}
    assert (report.moved, report.missing) == (4, 1)
    assert {pk: after[pk] for pk in before} == {
        pk: path if pk in stayed else path.replace("/Dune/", "/Arrakis/") for pk, path in before.items()
    }
    assert len(after) == len(before) + 1  # the text that has other bytes is another one
    assert library.book(library.rows("files", "filepath like '%01.m4b'")[0]["book_id"])["filepath"] == str(
        library.root / "Arrakis"
    )
    assert library.rows("books_fts", "filenames match 'arrakis'")
    assert scan(library).job_id is None
    for run in reversed(library.rows("resync_runs", "target_table = 'files'")):
        library.undo(run["id"])
    assert {row["id"]: row["filepath"] for row in library.rows("files") if row["id"] in before} == before


def test_a_supplement_that_is_known_is_not_taken_for_one_that_moved(library: Library) -> None:
    for name in ("Dune", "Emma"):
        put(library, f"{name}/{name}.epub", epub(name))
        put(library, f"{name}/notes.txt", b"text")
    scan(library)
    (library.root / "Dune/Dune.epub").rename(library.root / "Emma/Dune.epub")
    put(library, "Emma/Third.epub", epub("Third"))  # has the folder looked through
    (library.root / "Dune/notes.txt").unlink()
    report = scan(library)
    assert (report.moved, report.missing, report.failed) == (1, 1, 0)


def test_a_cover_that_was_renamed_with_its_file_still_comes_from_it(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune", cover=jpeg(20, 30)))
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    for path in [*(library.root / "Dune").glob("dune.epub*")]:
        path.rename(path.with_name(path.name.replace("dune", "Arrakis")))
    assert scan(library).moved == 1
    row = library.rows("files", "cover_source is not null")[0]
    assert (row["cover_image_filename"], row["cover_source"]) == ("Arrakis.epub.cover.jpg", "epub_metadata")
    put(library, "Dune/Arrakis.epub", epub("Dune", cover=jpeg(50, 60)))
    scan(library)
    assert (library.root / "Dune/Arrakis.epub.cover.jpg").read_bytes() == jpeg(50, 60)


def test_a_sidecar_of_a_former_library_outranks_the_file(library: Library) -> None:
    put(library, "Dune/Dune.metadata.json", b'{"version": 1, "title": "From the sidecar"}')
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    assert (library.book()["title"], library.book()["title_source"]) == ("From the sidecar", "sidecar")


def test_names_are_shared_whatever_their_case(library: Library) -> None:
    put(library, "A/a.epub", epub("A", ("Ann Author",), genres=("Fiction",)))
    put(library, "B/b.epub", epub("B", ("ANN AUTHOR",), genres=("fiction", "Fiction")))
    scan(library)
    assert len(library.rows("persons")) == 1
    assert len(library.rows("genres")) == 1


def test_one_book_that_can_not_be_written_does_not_stop_the_others(library: Library) -> None:
    library.conn.execute(
        "create trigger no before insert on authors "
        "when (select title from books where id = new.book_id) = 'B' begin select raise(abort, 'no'); end"
    )
    for name in "abc":
        put(library, f"{name}/{name}.epub", epub(name.upper()))
    report = scan(library)
    assert (report.imported, report.failed) == (2, 1)
    titles = {b["title"] for b in library.rows("books")}
    assert len(titles) == 2
    assert {r[0] for r in library.conn.execute("select title from books_fts")} == titles


def test_ctrl_c_leaves_whole_books_and_says_how_far_it_came(library: Library) -> None:
    for number in range(30):
        put(library, f"{number}/{number}.epub", epub(f"Book {number}"))

    def interrupt(progress: Progress) -> None:
        if progress.stage == "Reading" and progress.done == 10:
            raise KeyboardInterrupt

    report = scan(library, progress=interrupt)
    done = len(library.rows("books"))
    assert report.cancelled
    assert report.imported == done == len(library.rows("books_fts")) == len(library.authors())
    assert 9 <= done < 30
    assert [j["state"] for j in library.rows("resync_jobs")] == ["cancelled"]
    assert scan(library).imported == 30 - done


def test_a_folder_of_a_library_is_not_added_again(library: Library) -> None:
    put(library, "Sub/Dune/dune.epub", epub("Dune"))
    options = ScanOptions((str(library.root / "Sub"),))
    scan_library(library.conn, "library.db", options, library.settings, library.pool, BY, lambda _: None)
    assert len(library.rows("library_paths")) == 1
    assert len(library.rows("files")) == 1


def test_folders_of_two_libraries_are_not_mixed(library: Library) -> None:
    other = library.folder / "other"
    other.mkdir()
    library.add("libraries", name="Other", cover_aspect_ratio="book")
    library.add("library_paths", library_id="2", filepath=str(other))
    options = ScanOptions((str(library.root), str(other)))
    with pytest.raises(BadRequest):
        scan_library(library.conn, "x", options, library.settings, library.pool, BY, lambda _: None)


def test_linked_folders_are_not_followed_and_links_out_are_refused(library: Library) -> None:
    outside = library.folder / "outside"
    outside.mkdir()
    (outside / "secret.epub").write_bytes(epub("Secret"))
    os.symlink(outside, library.root / "linked")
    os.symlink(outside / "secret.epub", library.root / "link.epub")
    report = scan(library)
    assert (report.imported, report.failed) == (0, 1)


def test_a_name_that_is_not_utf_8_is_stored_byte_for_byte(library: Library) -> None:
    folder = os.path.join(os.fsencode(library.root), b"caf\xe9")
    os.mkdir(folder)
    library.write(os.path.join(folder, b"\xff.epub"), epub("Odd"))
    assert scan(library).imported == 1
    stored = library.conn.execute("select cast(filepath as blob) from files").fetchone()[0]
    assert stored == os.path.join(folder, b"\xff.epub")
    assert scan(library).unchanged == 1
    assert library.run(table="files", pk=1).plan.changes == ()


def test_search_finds_a_book_by_the_row_id_of_its_search_row(library: Library) -> None:
    put(library, "a/a.epub", epub("Dune", ("Frank Herbert",)))
    put(library, "b/b.epub", epub("Emma", ("Jane Austen",)))
    scan(library)
    rows = library.conn.execute(
        "select title from books where id in (select rowid from books_fts where books_fts match 'austen')"
    )
    assert [r[0] for r in rows] == ["Emma"]


def test_two_fresh_scans_give_one_library(library: Library, tmp_path: Path) -> None:
    for name in "abcdefgh":
        put(library, f"{name}/{name}.epub", epub(name, (f"Author {name}", "ann", "Ann"), genres=("X", "x")))
    scan(library, grouping=Grouping.FOLDER)
    for path in library.root.rglob("*.metadata.json"):
        path.unlink()
    again = open_library(str(tmp_path / "again.db"), create=True)
    again.execute("begin")
    create_library(again)
    again.execute("commit")
    options = ScanOptions((str(library.root),), library="Books")
    scan_library(again, "again.db", options, library.settings, library.pool, BY, lambda _: None)
    one = [tuple(r) for r in library.conn.execute("select title, sort_title from books order by title")]
    assert [tuple(r) for r in again.execute("select title, sort_title from books order by title")] == one
    again.close()


def test_the_target_of_an_import_run_is_the_book(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    [run] = library.rows("resync_runs")
    assert Target(run["target_table"], run["target_pk"]) == Target("books", 1)


def test_an_edited_sidecar_is_taken_though_the_file_did_not_change(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    library.edit_sidecar(library.book_sidecar(), title="Edited")
    library.edit_sidecar(library.file_sidecar(2), language="de")
    report = scan(library)
    assert (report.updated, report.unchanged) == (2, 0)
    assert (library.book(1)["title"], library.book(1)["title_source"]) == ("Edited", "sidecar")
    assert library.file(2)["language"] == "de"


def test_a_sidecar_that_was_deleted_and_written_anew_is_no_news(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    library.file_sidecar().unlink()
    library.scan()
    library.service.close()
    before = library.dump()
    assert scan(library).unchanged == 1
    assert library.dump() == before


def test_a_sidecar_like_that_of_a_file_imported_before_is_no_news(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    job_id = scan(library).job_id
    library.service.undo_job(job_id or 0, BY)
    path.with_name("dune.epub.metadata.json").unlink()
    assert scan(library).imported == 1
    library.service.close()
    before = library.dump()
    assert scan(library).unchanged == 1
    assert library.dump() == before


def test_a_sidecar_that_was_only_touched_is_looked_at_once(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    os.utime(library.book_sidecar())
    assert scan(library).unchanged == 1
    written = library.conn.total_changes
    assert scan(library).unchanged == 1
    assert library.conn.total_changes == written


def test_a_sidecar_with_broken_json_does_not_stop_the_scan(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    library.book_sidecar().write_text("{ no")
    report = scan(library)
    assert (report.unchanged, report.failed) == (1, 0)
    assert any("Dune.metadata.json" in warning for warning in report.warnings)
    assert library.book_sidecar().read_text() == "{ no"


def test_an_import_tells_what_it_left_out_of_a_file_and_of_its_sidecars(library: Library) -> None:
    path = put(library, "Dune/dune.cbz", build_cbz(comic_info="<ComicInfo><Title>Dune"))
    path.with_name("Dune.metadata.json").write_text('{"version": 1, "title": 17}')
    path.with_name("dune.cbz.metadata.json").write_text('{"version": 1, "publisher": 5}')
    of_file, of_sidecar, of_book = scan(library).warnings
    assert of_file.startswith(f"{path}: ComicInfo")
    assert "publisher must be text" in of_sidecar
    assert "title must be text" in of_book


def test_a_book_imported_beside_a_sidecar_with_broken_json_can_be_changed(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    sidecar = path.with_name("Dune.metadata.json")
    sidecar.write_text("{ no")
    assert any("Dune.metadata.json" in warning for warning in scan(library).warnings)
    library.rewrite(1, epub("Dune Messiah"))
    assert library.refresh().run_id is not None
    assert library.book()["title"] == "Dune Messiah"
    assert sidecar.read_text() == "{ no"


def test_undo_of_an_import_spares_a_book_that_a_person_edited_since(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    job_id = scan(library).job_id
    assert job_id is not None
    library.edit("books", title="Mine", title_source="manual")
    before = library.dump()
    with pytest.raises(UndoConflict, match=r"books\.1\.title"):
        library.service.undo_job(job_id, BY)
    assert library.dump() == before


def test_pruned_records_belong_to_the_scans_job(library: Library) -> None:
    path = put(library, "Dune/dune.epub", epub("Dune"))
    put(library, "Emma/emma.epub", epub("Emma"))
    scan(library)
    before = library.content()
    path.unlink()
    job_id = scan(library, prune=True).job_id
    assert job_id is not None
    library.service.undo_job(job_id, BY)
    assert library.content() == before


def test_a_library_without_modification_times_can_be_scanned(library: Library) -> None:
    library.conn.execute("alter table files drop column file_modified_at")
    put(library, "Dune/dune.epub", epub("Dune"))
    assert scan(library).imported == 1
    assert scan(library).failed == 0


def test_a_scan_that_breaks_off_says_so_in_its_job(library: Library) -> None:
    for number in range(130):
        put(library, f"{number}/{number}.epub", epub(f"Book {number}"))

    def fail(progress: Progress) -> None:
        if progress.stage == "Reading" and progress.done == 120:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        scan(library, progress=fail)
    assert [j["state"] for j in library.rows("resync_jobs")] == ["failed"]
    assert len(library.rows("books")) == len(library.rows("books_fts"))


def test_a_job_whose_process_died_is_interrupted_at_the_next_start(library: Library) -> None:
    library.with_history()
    library.add("resync_jobs", kind="scan", state="running", started_at="2026-01-01 00:00:00+00:00")
    scan(library)
    [job] = library.rows("resync_jobs")
    assert (job["state"], bool(job["finished_at"])) == ("interrupted", True)


def test_one_job_runs_on_a_database_at_a_time(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    refusals = []

    def scan_too(progress: Progress) -> None:
        library.conn.execute("commit")
        with pytest.raises(JobRunning, match="Job 1 is running") as caught:
            scan(library)
        refusals.append(caught.value.job)
        library.conn.execute("begin immediate")

    def when_reading(progress: Progress) -> None:
        if progress.stage == "Reading":
            scan_too(progress)

    scan(library, progress=when_reading)
    assert refusals == [1]
    assert [j["state"] for j in library.rows("resync_jobs")] == ["done"]


def test_a_file_that_is_all_extension_is_no_book(library: Library) -> None:
    put(library, ".epub", b"")
    assert scan(library).failed == 0


def test_a_library_needs_a_name(library: Library) -> None:
    options = ScanOptions((str(library.root),), library=" ")
    with pytest.raises(BadRequest):
        scan_library(library.conn, "x", options, library.settings, library.pool, BY, lambda _: None)


def test_numbers_alone_are_parts_only_if_they_count(library: Library) -> None:
    for name in ("1984", "2001", "451"):
        put(library, f"Shelf/{name}.m4b", build_m4b())
    for name in ("01", "02"):
        put(library, f"Parts/{name}.m4b", build_m4b())
    scan(library)
    assert sorted(map(len, books(library).values())) == [1, 1, 1, 2]


def test_a_format_added_later_joins_its_book_in_a_folder_of_several(library: Library) -> None:
    put(library, "Shelf/a.epub", epub("Dune"))
    scan(library)
    put(library, "Shelf/b.epub", epub("Emma"))
    scan(library)
    put(library, "Shelf/a.m4b", build_m4b(title="Dune", artist="Ann Author"))
    scan(library)
    assert books(library) == {"Dune": ["a.epub", "a.m4b"], "Emma": ["b.epub"]}


def test_a_format_added_later_takes_its_book_out_of_a_series_in_search_too(library: Library) -> None:
    put(library, "Dune/a.epub", epub("Dune", series="Saga", number=1))
    scan(library)
    put(library, "Dune/b.epub", epub("Arrakis", series="Other"))
    scan(library, grouping=Grouping.FOLDER)
    titles = {r["name"]: r["book_titles"] for r in library.rows("series_fts")}
    assert titles == {"Saga": "", "Other": "Arrakis"}


@pytest.mark.parametrize(("is_there", "title"), [(True, "Emma"), (False, "Dune")])
def test_a_book_does_not_take_the_sidecar_of_another_that_is_called_the_same_but_for_its_type(
    library: Library, is_there: bool, title: str
) -> None:
    put(library, "a.epub", epub("Dune"))
    scan(library)
    if not is_there:
        (library.root / "a.epub").unlink()
    put(library, "a.cbz", build_cbz(comic_info=comic_info_xml("<Title>Emma</Title>")))
    scan(library)
    assert [b["title"] for b in library.rows("books")] == ["Dune", title]


def test_a_format_added_later_does_not_outdo_one_that_comes_after_it(library: Library) -> None:
    put(library, "Dune/dune.m4b", build_m4b(title="As heard", artist="Ann Author"))
    scan(library)
    put(library, "Dune/dune.epub", epub("As read", language="en", description="Sand."))
    scan(library)
    assert (library.book()["title"], library.book()["description"]) == ("As heard", "Sand.")
    assert library.run().plan.changes == ()


@pytest.mark.parametrize(
    ("there", "added", "title"),
    [("a.text", "b.pdf", "there"), ("a.pdf", "b.text", "added"), ("a.early", "b.pdf", "added")],
)
def test_which_format_counts_does_not_depend_on_which_came_first(
    library: Library, there: str, added: str, title: str
) -> None:
    parsers = {**default_extensions().parsers, "text": parse_text, "early": parse_text}
    with WorkerPool(1, Limits(), Extensions(parsers, (("genres", enrich_with_genres),))) as pool:
        library.pool = library.service.reader = pool
        for name, said in ((there, "there"), (added, "added")):
            put(library, f"Book/{name}", build_pdf(title=said) if name.endswith("pdf") else said.encode())
            scan(library)
        assert library.book()["title"] == title
        assert library.genres() == [f"About {title}", "Space opera"]
        assert library.run().plan.changes == ()


def test_a_sidecar_that_was_seen_is_no_news_when_a_format_is_added(library: Library) -> None:
    library.configure(write_sidecars=False)
    put(library, "Dune/Dune.metadata.json", b'{"version": 1, "title": "Dune"}')
    put(library, "Dune/a.epub", epub("Dune"))
    scan(library)
    put(library, "Dune/a.epub", epub("Newer"))
    scan(library)
    put(library, "Dune/b.pdf", build_pdf())
    scan(library)
    assert (library.book()["title"], len(library.rows("files"))) == ("Newer", 2)


def test_a_part_added_later_joins_the_parts_before_it(library: Library) -> None:
    for number in (1, 2):
        put(library, f"Shelf/Dune part {number}.m4b", build_m4b(title=f"Dune part {number}", artist="F"))
    scan(library)
    put(library, "Shelf/Dune part 3.m4b", build_m4b(title="Dune part 3", artist="F"))
    scan(library)
    assert list(map(len, books(library).values())) == [3]


@pytest.mark.parametrize("album", [None, "Dune"])
def test_a_part_whose_title_only_counts_joins_a_book_that_is_called_otherwise(
    library: Library, album: str | None
) -> None:
    def part(number: int) -> None:
        put(library, f"Shelf/Dune {number:02}.m4b", numbered(number, **({"album": album} if album else {})))

    part(1)
    part(2)
    scan(library)
    if album:
        library.edit("books", title="Called by hand", title_source="manual")
    part(3)
    scan(library)
    assert list(map(len, books(library).values())) == [3]


def folders(library: Library) -> list[str]:
    return [row["filepath"] for row in library.rows("library_paths")]


def scan_folder(library: Library, folder: Path) -> ScanReport:
    options = ScanOptions((str(folder),))
    return scan_library(library.conn, "x", options, library.settings, library.pool, BY, lambda _: None)


def test_a_shisho_library_whose_folder_is_not_here_is_not_imported_again(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    library.conn.execute("create table bun_migrations (id integer primary key)")
    library.conn.execute("update library_paths set filepath = '/container/books'")
    before = library.dump()
    with pytest.raises(BadRequest, match=f"--path-map /container/books={re.escape(str(library.root))}"):
        scan(library)
    assert library.dump() == before


def test_a_broken_file_is_named_as_the_database_would_have_it(library: Library) -> None:
    put(library, "broken.epub", b"no archive")
    library.conn.execute("update library_paths set filepath = '/books'")
    library.configure(path_map=PathMap({"/books": str(library.root)}))
    [file] = scan(library).files
    assert file.path == "/books/broken.epub"
    assert str(file.error).startswith("/books/broken.epub: ")


def test_a_library_whose_disk_is_away_takes_another_folder(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    library.root.rename(library.folder / "unplugged")
    other = library.folder / "other"
    (other / "Emma").mkdir(parents=True)
    (other / "Emma" / "emma.epub").write_bytes(epub("Emma"))
    assert scan_folder(library, other).imported == 1
    assert {book["title"] for book in library.rows("books")} == {"Dune", "Emma"}


def test_a_library_whose_folder_was_renamed_is_not_imported_again(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    before, renamed = library.dump(), library.folder / "my books"
    library.root.rename(renamed)
    with pytest.raises(BadRequest, match=re.escape(f"--path-map '{library.root}={renamed}'")):
        scan_folder(library, renamed)
    assert library.dump() == before
    library.configure(path_map=PathMap({str(library.root): str(renamed)}))
    assert scan_folder(library, renamed).unchanged == 1


def test_a_folder_of_several_that_was_renamed_is_not_imported_again(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    second, renamed = library.folder / "second", library.folder / "renamed"
    (second / "Emma").mkdir(parents=True)
    (second / "Emma" / "emma.epub").write_bytes(epub("Emma"))
    assert scan_folder(library, second).imported == 1
    second.rename(renamed)
    before = library.dump()
    with pytest.raises(BadRequest, match=re.escape(f"--path-map {second}={renamed}")):
        scan_folder(library, renamed)
    assert library.dump() == before
    (renamed / "Emma" / "emma.epub").write_bytes(epub("Quite another book that is called the same"))
    assert scan_folder(library, renamed).imported == 1


def test_a_link_to_a_folder_of_the_library_is_that_folder(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    link = library.folder / "link"
    link.symlink_to(library.root)
    before = folders(library)
    assert scan_folder(library, link).unchanged == 1
    assert scan_folder(library, link / "Dune").unchanged == 1
    assert folders(library) == before


def test_a_folder_of_the_library_is_that_folder_also_where_it_is_mounted_a_second_time(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    mounted, real = library.folder / "mounted", os.stat
    shutil.copytree(library.root, mounted)

    def as_mounted(path: Any, **how: Any) -> os.stat_result:
        return real(library.root if path == str(mounted) else path, **how)

    monkeypatch.setattr(os, "stat", as_mounted)
    before = folders(library)
    assert scan_folder(library, mounted).unchanged == 1
    assert scan_folder(library, mounted / "Dune").unchanged == 1
    assert folders(library) == before


def test_a_library_behind_a_link_is_found_at_the_place_itself(library: Library) -> None:
    link = library.folder / "link"
    link.symlink_to(library.root)
    library.edit("library_paths", filepath=str(link))
    put(library, "Dune/dune.epub", epub("Dune"))
    assert scan_folder(library, library.root).imported == 1
    assert library.file()["filepath"] == str(link / "Dune/dune.epub")
    assert folders(library) == [str(link)]


def test_a_folder_takes_the_place_of_those_that_lie_in_it(library: Library) -> None:
    put(library, "Dune/dune.epub", epub("Dune"))
    scan(library)
    assert scan_folder(library, library.folder).unchanged == 1
    assert folders(library) == [str(library.folder)]


@pytest.mark.parametrize("owner", ["Shisho", "another library"])
def test_a_folder_around_that_of_another_owner_is_refused(library: Library, owner: str) -> None:
    scan(library)
    if owner == "another library":
        library.add("libraries", name="Library", cover_aspect_ratio="book")
    else:
        library.conn.execute("create table bun_migrations (id integer primary key)")
    before = library.dump()
    with pytest.raises(BadRequest, match="lies in this one"):
        scan_folder(library, library.folder)
    assert library.dump() == before


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (1, "job"), ("job",)])
def test_nothing_that_a_scan_made_is_left_when_all_of_it_is_undone(
    library: Library, order: tuple[object, ...]
) -> None:
    before = library.content()
    for name in ("a", "b"):
        put(library, f"{name}/{name}.epub", epub(name, ["P"], series="S", number=1, genres=["G"]))
    job_id = scan(library).job_id
    for step in order:
        if step == "job":
            library.service.undo_job(job_id or 0, BY)
        else:
            library.undo(int(str(step)))
    assert library.content() == before


def test_a_file_without_its_book_is_named_also_if_it_did_not_change(library: Library) -> None:
    for name in ("A", "B"):
        put(library, f"{name}/{name}.epub", epub(name))
    scan(library)
    library.conn.execute("delete from books where title = 'A'")
    (gone,) = [f["id"] for f in library.rows("files") if "A.epub" in f["filepath"]]
    report = scan(library)
    assert (report.failed, report.unchanged) == (0, 2)
    (warning,) = report.warnings
    assert f"1 file (id {gone})" in warning
    library.conn.execute("delete from files where id = ?", (gone,))
    report = scan(library)
    assert (report.imported, report.warnings, sorted(books(library))) == (1, (), ["A", "B"])


@pytest.mark.parametrize("mode", [Mode.SCAN, Mode.REFRESH])
def test_a_file_whose_book_was_deleted_holds_up_no_other(library: Library, mode: Mode) -> None:
    old, other = put(library, "A/a.epub", epub("A")), put(library, "B/b.epub", epub("B"))
    scan(library)
    library.conn.execute("delete from books where title = 'A'")
    old.write_bytes(epub("New A", genres=["G"]))
    other.write_bytes(epub("New B", genres=["G"]))
    report = scan(library, mode=mode)
    assert (report.failed, report.updated, list(books(library))) == (1, 1, ["New B"])
    assert "was deleted" in str(next(f.error for f in report.files if f.status == "error"))
