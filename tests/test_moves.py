"""Files that changed places among known ones: each record follows its bytes, or stays where it was."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from builders.cbz import build_cbz, comic_info_xml
from builders.epub import build_epub
from builders.images import jpeg
from builders.m4b import build_m4b
from builders.pdf import build_pdf
from library import BY, Library, epub

from datasette_shisho_resync.library_scan import Progress, ScanOptions, ScanReport, scan_library
from datasette_shisho_resync.model import Mode
from datasette_shisho_resync.store.opening import copy_in_memory
from datasette_shisho_resync.store.schema import open_library


def scan(library: Library, **options: object) -> ScanReport:
    """Scan with pruning; a dry run before it must have told the same."""
    wanted = {"prune": True, **options}
    dry = ScanOptions((str(library.root),), dry_run=True, **wanted)  # type: ignore[arg-type]
    copy = copy_in_memory(library.path)
    try:
        told = scan_library(copy, "library.db", dry, library.settings, library.pool, BY, lambda _: None)
    finally:
        copy.close()
    real = ScanOptions((str(library.root),), **wanted)  # type: ignore[arg-type]
    report = scan_into(library, real)
    assert statuses(told) == statuses(report)
    return report


def scan_into(library: Library, options: ScanOptions) -> ScanReport:
    return scan_library(
        library.conn, "library.db", options, library.settings, library.pool, BY, lambda _: None
    )


def statuses(report: ScanReport) -> list[tuple[str, str]]:
    return sorted((file.path, file.status) for file in report.files)


def put(library: Library, name: str, data: bytes) -> Path:
    path = library.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    library.write(path, data)
    return path


def by_title(library: Library) -> dict[str, tuple[str, str | None, tuple[str, ...]]]:
    """Return the books: title -> (path, subtitle, paths of the files), paths below the library's root."""

    def below(path: str) -> str:
        return os.path.relpath(path, library.root)

    return {
        book["title"]: (
            below(book["filepath"]),
            book["subtitle"],
            tuple(below(f["filepath"]) for f in library.rows("files", f"book_id = {book['id']}")),
        )
        for book in library.rows("books")
    }


def places(library: Library) -> dict[str, str]:
    """Return the paths of the books by title."""
    return {title: place for title, (place, _, _) in by_title(library).items()}


def belongings(library: Library) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Return the subtitle and the paths of the files of each book by title."""
    return {title: (subtitle, files) for title, (_, subtitle, files) in by_title(library).items()}


def mark_by_hand(library: Library) -> None:
    """Give every book a subtitle that tells which one it was."""
    for book in library.rows("books"):
        library.edit("books", book["id"], subtitle=f"Mine: {book['title']}", subtitle_source="manual")
        library.scan(pk=book["id"])
    library.service.close()


def ids(library: Library) -> list[tuple[int, int]]:
    return [(row["id"], row["book_id"]) for row in library.rows("files")]


def shift(*names: Path) -> None:
    """Rename each file to the next name; the last name is free."""
    for old, new in reversed(list(pairwise(names))):
        old.rename(new)


def swap(one: Path, two: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def assert_settled(library: Library) -> None:
    """The next scan finds nothing to do, in the database and beside the files."""
    library.service.close()
    before = library.dump(), {p: p.read_bytes() for p in library.root.rglob("*") if p.is_file()}
    report = scan(library)
    assert (report.job_id, report.files) == (None, ())
    assert (library.dump(), {p: p.read_bytes() for p in library.root.rglob("*") if p.is_file()}) == before


@pytest.fixture
def numbered(library: Library) -> Library:
    """Three numbered books in one folder, each with a subtitle by hand, and the files that are to be."""
    for number, title in enumerate(("One", "Two's", "Three"), 1):
        put(library, f"A/b{number}.epub", epub(title, cover=jpeg(20, 20 + len(title))))
    scan(library)
    mark_by_hand(library)
    return library


def test_the_records_of_renumbered_files_follow_them(numbered: Library) -> None:
    before = ids(numbered)
    folder = numbered.root / "A"
    shift(*(folder / f"b{number}.epub" for number in (1, 2, 3, 4)))
    report = scan(numbered)
    assert (report.moved, len(report.files), report.unchanged) == (3, 3, 0)
    assert ids(numbered) == before
    assert belongings(numbered) == {
        "One": ("Mine: One", ("A/b2.epub",)),
        "Two's": ("Mine: Two's", ("A/b3.epub",)),
        "Three": ("Mine: Three", ("A/b4.epub",)),
    }
    assert_settled(numbered)


def test_a_renumbering_is_undone_with_its_job(numbered: Library) -> None:
    before = numbered.content()
    shift(*(numbered.root / f"A/b{number}.epub" for number in (1, 2, 3, 4)))
    job_id = scan(numbered).job_id
    assert job_id is not None
    numbered.service.undo_job(job_id, BY)
    assert numbered.content() == before


@pytest.mark.parametrize("mode", [Mode.SCAN, Mode.REFRESH])
def test_the_records_of_two_files_that_changed_names_follow_them(numbered: Library, mode: Mode) -> None:
    before, content = ids(numbered), numbered.content()
    swap(numbered.root / "A/b1.epub", numbered.root / "A/b3.epub")
    report = scan(numbered, mode=mode)
    assert (report.moved, report.imported, report.removed, report.unchanged) == (2, 0, 0, 1)
    assert ids(numbered) == before
    assert belongings(numbered) == {
        "One": ("Mine: One", ("A/b3.epub",)),
        "Two's": ("Mine: Two's", ("A/b2.epub",)),
        "Three": ("Mine: Three", ("A/b1.epub",)),
    }
    assert_settled(numbered)
    assert report.job_id is not None
    numbered.service.undo_job(report.job_id, BY)
    assert numbered.content() == content


def title_beside(library: Library, path: Path | str) -> object:
    """Return what the sidecar of the book at a file says that its title is."""
    return library.sidecar(os.path.splitext(path)[0] + ".metadata.json")["title"]


def test_covers_and_sidecars_are_right_also_where_only_the_files_changed_names(numbered: Library) -> None:
    swap(numbered.root / "A/b1.epub", numbered.root / "A/b2.epub")
    scan(numbered)
    for book in numbered.rows("books"):
        (file,) = numbered.rows("files", f"book_id = {book['id']}")
        cover = numbered.root / "A" / file["cover_image_filename"]
        assert cover.read_bytes() == jpeg(20, 20 + len(book["title"]))
        assert title_beside(numbered, file["filepath"]) == book["title"]
    assert_settled(numbered)


def test_sidecars_are_right_again_after_names_were_changed_back(numbered: Library) -> None:
    one, two = numbered.root / "A/b1.epub", numbered.root / "A/b2.epub"
    swap(one, two)
    job_id = scan(numbered).job_id
    assert job_id is not None
    assert (title_beside(numbered, one), title_beside(numbered, two)) == ("Two's", "One")
    numbered.service.undo_job(job_id, BY)
    swap(one, two)
    assert scan(numbered).moved == 0
    assert (title_beside(numbered, one), title_beside(numbered, two)) == ("One", "Two's")
    assert_settled(numbered)


def test_sidecars_that_stayed_in_a_folder_that_was_renamed_too_speak_for_no_other_file(
    numbered: Library,
) -> None:
    before = {row["id"]: (row["name"], row["book_id"]) for row in numbered.rows("files")}
    folder = (numbered.root / "A").rename(numbered.root / "C")
    swap(folder / "b1.epub", folder / "b2.epub")
    report = scan(numbered)
    assert (report.moved, report.warnings) == (3, ())
    assert {row["id"]: (row["name"], row["book_id"]) for row in numbered.rows("files")} == before
    assert [numbered.sidecar(numbered.file_sidecar(pk))["name"] for pk in (1, 2)] == ["One", "Two's"]
    assert_settled(numbered)


def test_a_sidecar_that_another_book_left_in_a_folder_becomes_that_of_the_book_that_moved_there(
    library: Library,
) -> None:
    for title in ("Dune", "Emma"):
        put(library, f"{title}/book.epub", epub(title))
    scan(library)
    (library.root / "Dune" / "book.epub").rename(library.root / "dune, lent.epub")
    scan(library)
    (library.root / "Emma" / "book.epub").rename(library.root / "Dune" / "book.epub")
    assert scan(library).moved == 1
    assert library.sidecar(library.root / "Dune" / "Dune.metadata.json")["title"] == "Emma"
    assert library.sidecar(library.root / "Dune" / "book.epub.metadata.json")["name"] == "Emma"
    assert_settled(library)


def test_an_edit_of_a_sidecar_beside_files_that_changed_names_is_taken_alone(numbered: Library) -> None:
    swap(numbered.root / "A/b1.epub", numbered.root / "A/b2.epub")
    scan(numbered)
    numbered.edit_sidecar(numbered.root / "A/b1.metadata.json", description="By hand.")
    scan(numbered)
    described = [(b["title"], b["subtitle"]) for b in numbered.rows("books", "description is not null")]
    assert described == [("Two's", "Mine: Two's")]


@pytest.fixture
def folders(library: Library) -> Library:
    """Two folders of one book each, in which everything is called the same, and a third."""
    for name in ("Dune", "Emma"):
        put(library, f"{name}/book.epub", epub(name, cover=jpeg(20, 20 + len(library.rows("books")))))
        put(
            library,
            f"{name}/book.m4b",
            build_m4b(title=name, artist="Ann Author", description=f"{name} heard"),
        )
        put(library, f"{name}/notes.txt", f"notes of {name}".encode() * (1 + (name == "Emma")))
    put(library, "Third/third.epub", epub("Third"))
    scan(library)
    mark_by_hand(library)
    return library


def test_two_folders_that_changed_names_take_all_their_records_along(folders: Library) -> None:
    before, content = ids(folders), folders.content()
    swap(folders.root / "Dune", folders.root / "Emma")
    for folder, old in (("Dune", "Emma"), ("Emma", "Dune")):
        (folders.root / folder / f"{old}.metadata.json").rename(
            folders.root / folder / f"{folder}.metadata.json"
        )
    report = scan(folders)
    assert (report.moved, len(report.files), report.unchanged) == (6, 6, 1)
    assert ids(folders) == before
    names = ("book.epub", "book.m4b", "notes.txt")
    assert by_title(folders) == {
        "Dune": ("Emma", "Mine: Dune", tuple(f"Emma/{name}" for name in names)),
        "Emma": ("Dune", "Mine: Emma", tuple(f"Dune/{name}" for name in names)),
        "Third": ("Third", "Mine: Third", ("Third/third.epub",)),
    }
    found = dict(folders.conn.execute("select title, filepath from books_fts"))
    assert found == {b["title"]: b["filepath"] for b in folders.rows("books")}
    assert_settled(folders)
    assert report.job_id is not None
    folders.service.undo_job(report.job_id, BY)
    assert folders.content() == content


def test_folders_that_moved_on_take_their_records_along(folders: Library) -> None:
    before = ids(folders)
    (folders.root / "Third").rename(folders.root / "Last")
    (folders.root / "Emma").rename(folders.root / "Third")
    (folders.root / "Dune").rename(folders.root / "Emma")
    report = scan(folders)
    assert (report.moved, report.imported, report.removed) == (7, 0, 0)
    assert ids(folders) == before
    assert places(folders) == {
        "Dune": "Emma",
        "Emma": "Third",
        "Third": "Last",
    }
    assert_settled(folders)


def test_the_books_of_a_folder_keep_their_own_paths_in_it_wherever_it_goes(numbered: Library) -> None:
    before = places(numbered)
    (numbered.root / "A").rename(numbered.root / "C")
    put(numbered, "Emma/emma.epub", epub("Emma"))
    scan(numbered)
    assert places(numbered) == {
        **{title: f"C{place[1:]}" for title, place in before.items()},
        "Emma": "Emma",
    }
    content = numbered.content()
    swap(numbered.root / "C", numbered.root / "Emma")
    job_id = scan(numbered).job_id
    assert places(numbered) == {
        **{title: f"Emma{place[1:]}" for title, place in before.items()},
        "Emma": "C",
    }
    assert_settled(numbered)
    assert job_id is not None
    numbered.service.undo_job(job_id, BY)
    assert numbered.content() == content


@pytest.mark.parametrize("goal", ["C", "B/A", "A2/A"])
def test_so_does_a_book_in_several_formats(library: Library, goal: str) -> None:
    for name in ("One.epub", "One.cbz", "One.m4b", "Two.epub"):
        data = {
            "cbz": build_cbz(comic_info=comic_info_xml("<Title>One</Title>")),
            "m4b": build_m4b(title="One"),
        }
        put(library, f"B/{name}", data.get(name[4:]) or build_epub(title=name[:3], creators=()))
    scan(library)
    before = places(library)
    aside = (library.root / "B").rename(library.root / "aside")
    (library.root / goal).parent.mkdir(parents=True, exist_ok=True)
    aside.rename(library.root / goal)
    assert scan(library).moved == 4
    assert places(library) == {title: f"{goal}{place[1:]}" for title, place in before.items()}
    assert_settled(library)


def test_a_new_first_file_before_renumbered_ones_gets_a_record_of_its_own(numbered: Library) -> None:
    folder = numbered.root / "A"
    shift(*(folder / f"b{number}.epub" for number in (1, 2, 3, 4)))
    for sidecar in folder.glob("*.json"):
        sidecar.unlink()
    put(numbered, "A/b1.epub", epub("Zero"))
    report = scan(numbered)
    assert (report.moved, report.imported, report.removed) == (3, 1, 0)
    assert belongings(numbered) == {
        "Zero": (None, ("A/b1.epub",)),
        "One": ("Mine: One", ("A/b2.epub",)),
        "Two's": ("Mine: Two's", ("A/b3.epub",)),
        "Three": ("Mine: Three", ("A/b4.epub",)),
    }
    assert_settled(numbered)


def keep_a_copy(one: Path, _: Path) -> None:
    one.rename(one.with_name("b1 before.epub"))


def copy_over(one: Path, two: Path) -> None:
    shutil.copy2(two, one)


def edit_in_place(one: Path, _: Path) -> None:
    one.unlink()


def replace_by(one: Path, two: Path) -> None:
    two.rename(one)


@pytest.mark.parametrize("change", [keep_a_copy, edit_in_place, copy_over, replace_by])
def test_a_file_that_was_edited_or_replaced_stays_the_row_at_its_path(
    numbered: Library, change: Callable[[Path, Path], None]
) -> None:
    one, two = numbered.root / "A/b1.epub", numbered.root / "A/b2.epub"
    (row,) = numbered.rows("files", f"filepath = '{one}'")
    change(one, two)
    if not one.exists():
        put(numbered, "A/b1.epub", epub("One, revised"))
    report = scan(numbered, prune=False)
    assert (report.moved, report.updated) == (0, 1)
    assert numbered.file(row["id"])["filepath"] == row["filepath"]
    assert numbered.book(row["book_id"])["subtitle"] == "Mine: One"


def test_a_book_that_was_deleted_for_the_next_one_stops_those_that_moved_up(numbered: Library) -> None:
    """The record of the first keeps its path, so that no other can have it."""
    folder = numbered.root / "A"
    (folder / "b1.epub").unlink()
    (folder / "b2.epub").rename(folder / "b1.epub")
    (folder / "b3.epub").rename(folder / "b2.epub")
    report = scan(numbered, prune=False)
    assert (report.moved, report.updated, report.missing) == (0, 2, 1)


def test_a_file_renamed_in_a_folder_of_several_books_leaves_its_book_where_it_is(numbered: Library) -> None:
    before = places(numbered)
    (numbered.root / "A/b2.epub").rename(numbered.root / "A/b9.epub")
    assert scan(numbered).moved == 1
    assert places(numbered) == before


@pytest.mark.parametrize(("is_right", "moved"), [(True, 2), (False, 0)])
def test_a_fingerprint_must_agree_where_there_is_one(
    numbered: Library, *, is_right: bool, moved: int
) -> None:
    paths = numbered.root / "A/b1.epub", numbered.root / "A/b2.epub"
    for path in paths:
        (row,) = numbered.rows("files", f"filepath = '{path}'")
        value = hashlib.sha256(path.read_bytes() if is_right else b"").hexdigest()
        numbered.add("file_fingerprints", file_id=row["id"], algorithm="sha256", value=value)
    swap(*paths)
    assert scan(numbered).moved == moved


def test_of_files_that_look_alike_none_is_taken_for_another(library: Library) -> None:
    paths = [put(library, f"A/b{number}.epub", epub(f"Book {number}")) for number in range(4)]
    os.utime(paths[1], ns=(os.stat(paths[0]).st_mtime_ns,) * 2)
    assert os.path.getsize(paths[0]) == os.path.getsize(paths[1])
    scan(library)
    swap(paths[0], paths[2])
    swap(paths[1], paths[3])
    assert scan(library).moved == 0


def scan_part(library: Library, name: str) -> ScanReport:
    options = ScanOptions((str(library.root / name),), prune=True)
    return scan_into(library, options)


@pytest.fixture
def parts(library: Library) -> Library:
    """Two folders of a library that are scanned one by one."""
    put(library, "Unread/Dune/dune.epub", epub("Dune"))
    put(library, "Unread/Dune/map.txt", b"a map")
    put(library, "Unread/Emma/emma.epub", epub("Emma"))
    put(library, "Unread/Ivanhoe/ivanhoe.epub", epub("Ivanhoe"))
    put(library, "Read/Ulysses/ulysses.epub", epub("Ulysses"))
    scan(library)
    mark_by_hand(library)
    return library


def test_a_file_that_moved_to_the_part_that_is_scanned_keeps_its_record(parts: Library) -> None:
    before, content = ids(parts), parts.content()
    (parts.root / "Unread/Dune").rename(parts.root / "Read/Dune")
    report = scan_part(parts, "Read")
    assert (report.moved, report.imported, report.removed) == (2, 0, 0)
    assert ids(parts) == before
    assert by_title(parts)["Dune"] == (
        "Read/Dune",
        "Mine: Dune",
        ("Read/Dune/dune.epub", "Read/Dune/map.txt"),
    )
    assert scan_part(parts, "Unread").files == ()
    assert_settled(parts)
    assert report.job_id is not None
    parts.service.undo_job(report.job_id, BY)
    assert parts.content() == content


def copy_there(library: Library) -> None:
    shutil.copytree(library.root / "Unread/Dune", library.root / "Read/Dune")


def move_from_a_disk_that_went_away(library: Library) -> None:
    copy_there(library)
    shutil.rmtree(library.root / "Unread")
    (library.root / "Unread").mkdir()


def move_to_two_places(library: Library) -> None:
    copy_there(library)
    (library.root / "Unread/Dune").rename(library.root / "Read/Dune again")


@pytest.mark.parametrize("change", [copy_there, move_from_a_disk_that_went_away, move_to_two_places])
def test_a_file_that_may_be_a_copy_of_one_elsewhere_is_another(
    parts: Library, change: Callable[[Library], None]
) -> None:
    change(parts)
    report = scan_part(parts, "Read")
    assert (report.moved, report.removed) == (0, 0)
    assert report.imported > 0


@pytest.fixture
def alone(library: Library) -> Library:
    """Two folders of one file each, and a file in none."""
    for name in ("Dune/dune.epub", "Emma/emma.epub", "flat.epub"):
        put(library, name, epub(Path(name).stem.title()))
    scan(library)
    mark_by_hand(library)
    return library


@pytest.mark.parametrize("goal", ["dune.epub", "Emma/dune.epub"])
def test_a_folder_whose_book_left_is_free_for_another_book(alone: Library, goal: str) -> None:
    (alone.root / "Dune/dune.epub").rename(alone.root / goal)
    assert scan(alone).moved == 1
    assert by_title(alone)["Dune"][0] == goal
    assert_settled(alone)
    (alone.root / "Dune/Dune.metadata.json").unlink()
    put(alone, "Dune/other.epub", epub("Other"))
    assert scan(alone).imported == 1
    assert by_title(alone)["Dune"][2] == (goal,)
    assert by_title(alone)["Other"] == ("Dune", None, ("Dune/other.epub",))


def test_a_supplement_that_went_along_is_no_place_for_a_book(alone: Library) -> None:
    for name, data in (("third.epub", epub("Third")), ("notes.txt", b"notes")):
        put(alone, f"Third/{name}", data)
    scan(alone)
    for name in ("third.epub", "notes.txt"):
        (alone.root / "Third" / name).rename(alone.root / "Emma" / name)
    assert scan(alone).moved == 2
    assert by_title(alone)["Third"][0] == "Emma/third.epub"
    assert_settled(alone)


@pytest.mark.parametrize("book_too", [False, True])
def test_a_supplement_whose_name_changed_its_case_keeps_its_record(alone: Library, book_too: bool) -> None:
    for name, data in (("notes.pdf", build_pdf(title="Notes")), ("read.txt", b"read"), ("map.txt", b"map")):
        put(alone, f"Dune/{name}", data)
    scan(alone)
    supplements = alone.rows("files", "file_role = 'supplement'")
    folder = alone.root / "Dune"
    for old, new in (("notes.pdf", "Notes.PDF"), ("read.txt", "READ.txt")):
        (folder / old).rename(folder / new)
    if book_too:
        (folder / "dune.epub").rename(folder / "Dune.epub")
    report = scan(alone)
    assert (report.moved, report.failed, report.removed) == (3 if book_too else 2, 0, 0)
    told = {
        row["id"]: os.path.basename(row["filepath"]) for row in alone.rows("files", "file_role <> 'main'")
    }
    assert sorted(told) == [row["id"] for row in supplements]
    assert sorted(told.values()) == ["Notes.PDF", "READ.txt", "map.txt"]
    assert_settled(alone)


def test_books_of_folders_and_of_none_follow_files_that_changed_places(alone: Library) -> None:
    places = [alone.root / name for name in ("Dune/dune.epub", "Emma/emma.epub", "flat.epub")]
    aside = alone.root / "aside"
    places[2].rename(aside)
    shift(*places)
    aside.rename(places[0])
    before, report = alone.content(), scan(alone)
    assert report.moved == 3
    assert {title: (place, files) for title, (place, _, files) in by_title(alone).items()} == {
        "Flat": ("Dune", ("Dune/dune.epub",)),
        "Dune": ("Emma", ("Emma/emma.epub",)),
        "Emma": ("flat.epub", ("flat.epub",)),
    }
    assert_settled(alone)
    assert report.job_id is not None
    alone.service.undo_job(report.job_id, BY)
    assert alone.content() == before


@pytest.mark.parametrize(
    ("change", "moved", "books"),
    [
        ("delete from files where id = 1", ["C/b2.epub", "C/b3.epub"], 4),
        ("update files set filepath = '{goal}' where id = 2", ["C/b3.epub"], 3),
        ("update files set filepath = '{goal}' where id = 1", ["C/b1.epub", "C/b2.epub", "C/b3.epub"], 3),
    ],
)
def test_a_row_that_another_program_changed_while_the_folders_were_looked_at_moves_not(
    numbered: Library, change: str, moved: list[str], books: int
) -> None:
    folder = (numbered.root / "A").rename(numbered.root / "C")
    goal = folder / "b1.epub"

    def progress(told: Progress) -> None:
        if told == Progress("Looking", 3):
            with closing(open_library(numbered.path)) as conn:
                conn.execute(change.format(goal=goal))

    options = ScanOptions((str(numbered.root),))
    report = scan_library(
        numbered.conn, "library.db", options, numbered.settings, numbered.pool, BY, progress
    )
    assert sorted(str(Path(f.path).relative_to(numbered.root)) for f in report.files) == moved
    numbered.service.close()
    scan(numbered)
    assert len(numbered.rows("books")) == books
    assert_settled(numbered)
