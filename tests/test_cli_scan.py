from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from builders.epub import build_epub
from click.testing import CliRunner, Result
from datasette.cli import cli

from datasette_shisho_resync.site import TEMPLATES

pytestmark = pytest.mark.usefixtures("lent_workers")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["shisho", "scan", *map(str, arguments)], catch_exceptions=False)


def answer(*arguments: object, exit_code: int = 0) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as conn:
        return [tuple(row) for row in conn.execute(sql)]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A folder with two books, not yet in a library."""
    folder = tmp_path / "media"
    for name in ("One", "Two"):
        (folder / name).mkdir(parents=True)
        build_epub(folder / name / f"{name}.epub", title=name)
    return folder


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_a_scan_makes_the_database_and_imports_what_is_there(database: Path, media: Path) -> None:
    said = answer(database, media, "--workers", 1)

    assert {k: said[k] for k in ("ok", "library", "imported", "updated", "unchanged", "failed")} == {
        "ok": True,
        "library": "Library",
        "imported": 2,
        "updated": 0,
        "unchanged": 0,
        "failed": 0,
    }
    assert sorted((Path(f["path"]).name, f["status"]) for f in said["files"]) == [
        ("One.epub", "imported"),
        ("Two.epub", "imported"),
    ]
    assert rows(database, "select title from books order by title") == [("One",), ("Two",)]
    assert rows(database, "select filepath from library_paths") == [(str(media),)]


def test_a_second_scan_finds_everything_unchanged(database: Path, media: Path) -> None:
    call(database, media)

    said = answer(database, media)

    assert (said["imported"], said["unchanged"], said["files"], said["job"]) == (0, 2, [], None)


def test_people_get_the_counts_and_the_way_back(database: Path, media: Path) -> None:
    result = call(database, media)

    assert result.stdout.startswith(
        "Library: 2 imported, 0 updated, 0 unchanged, 0 moved, 0 removed, 0 failed\n2 files in "
    )
    assert result.stdout.endswith(f"To undo all of it: datasette shisho undo {database} --job 1\n")
    assert result.stderr == ""


def test_the_first_scan_says_how_to_look_at_the_library(database: Path, media: Path) -> None:
    advice = f"To look at it: datasette {database} --root --template-dir {TEMPLATES}\n"
    assert advice in call(database, media).stdout
    (media / "Later").mkdir()
    build_epub(media / "Later" / "later.epub", title="Later")
    again = call(database, media).stdout
    assert "1 imported" in again
    assert advice not in again


def test_a_dry_run_tells_the_same_and_writes_nothing(database: Path, media: Path) -> None:
    before = everything_below(media.parent)

    said = answer(database, media, "--dry-run")

    assert (said["dry_run"], said["imported"], said["job"]) == (True, 2, None)
    assert everything_below(media.parent) == before
    real = answer(database, media)
    assert sorted(f["path"] for f in real["files"]) == sorted(f["path"] for f in said["files"])


def test_a_dry_run_leaves_a_library_that_is_there_as_it_is(database: Path, media: Path) -> None:
    call(database, media)
    (media / "Three").mkdir()
    build_epub(media / "Three" / "three.epub", title="Three")
    before = everything_below(media.parent)

    told = call(database, media, "--dry-run")

    assert "1 imported, 0 updated, 2 unchanged" in told.stdout
    assert told.stdout.endswith("Dry run: nothing was written.\n")
    assert rows(database, "select count(*) from books") == [(2,)]
    assert everything_below(media.parent) == before


def test_a_file_that_can_not_be_read_is_named_and_fails_the_command(database: Path, media: Path) -> None:
    broken = media / "Two" / "Two.epub"
    broken.write_bytes(b"no zip archive")

    told = call(database, media)
    said = answer(database, media, exit_code=1)

    assert told.exit_code == 1
    assert told.stderr.startswith(f"Error: {broken}: ")
    assert told.stderr.count(str(broken)) == 1
    assert (said["ok"], said["failed"]) == (True, 1)
    assert [(f["path"], f["status"]) for f in said["files"]] == [(str(broken), "error")]


def test_vanished_files_stay_until_they_are_pruned(database: Path, media: Path) -> None:
    call(database, media)
    (media / "Two" / "Two.epub").unlink()

    told = call(database, media)
    assert "1 known file not found; --prune removes such records.\n" in told.stdout
    assert rows(database, "select count(*) from books") == [(2,)]

    said = answer(database, media, "--prune")
    assert (said["removed"], said["missing"]) == (1, 0)
    assert rows(database, "select title from books") == [("One",)]


def test_a_disk_that_is_not_mounted_is_no_reason_to_prune(database: Path, media: Path) -> None:
    call(database, media)
    (aside := media.with_name("aside")).mkdir()
    for folder in media.iterdir():
        folder.rename(aside / folder.name)
    told = call(database, media)
    assert "None of the 2 known files was found. Is their disk mounted?\n" in told.stdout
    assert "prune" not in told.stdout


@pytest.fixture
def thinned(database: Path, media: Path) -> Path:
    """A scanned folder of which six books are gone."""
    for number in range(6):
        (media / str(number)).mkdir()
        build_epub(media / str(number) / "book.epub", title=f"Book {number}")
    call(database, media)
    for number in range(6):
        (media / str(number) / "book.epub").unlink()
    return media


def test_a_prune_that_would_take_much_asks_for_its_number(database: Path, thinned: Path) -> None:
    told = call(database, thinned, "--prune")
    said = answer(database, thinned, "--prune", exit_code=1)

    assert told.exit_code == 1
    assert told.stderr == (
        "Error: 6 records of the 8 files that 'Library' knows would be removed, because the "
        "files are gone. If they shall go, say --confirm-removals 6.\n"
    )
    assert (said["status"], said["would_remove"], said["confirm"]) == (409, 6, {"confirm_removals": 6})
    assert rows(database, "select count(*) from files") == [(8,)]
    assert answer(database, thinned, "--prune", "--confirm-removals", 6)["removed"] == 6


def test_a_dry_run_tells_of_the_number_to_confirm(database: Path, thinned: Path) -> None:
    said = answer(database, thinned, "--prune", "--dry-run")

    assert (said["removed"], said["warnings"][0][-25:]) == (6, "needs --confirm-removals 6."[-25:])


def test_refresh_overwrites_what_a_person_set(database: Path, media: Path) -> None:
    call(database, media)
    with closing(sqlite3.connect(database)) as conn, conn:
        conn.execute("update books set title = 'Mine', title_source = 'manual' where id = 1")

    said = answer(database, media, "--mode", "refresh", "--yes")

    assert said["updated"] == 1
    assert rows(database, "select title from books order by title") == [("One",), ("Two",)]


def test_the_library_is_named_and_one_folder_is_one_book(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "media" / "Both"
    folder.mkdir(parents=True)
    for name in ("One", "Two"):
        build_epub(folder / f"{name}.epub", title=name)

    said = answer(database, tmp_path / "media", "--library", "Shelf", "--group", "folder")

    assert said["library"] == "Shelf"
    assert rows(database, "select name from libraries") == [("Shelf",)]
    assert rows(database, "select count(*) from books") == [(1,)]


def test_a_relative_folder_is_stored_absolute(
    database: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(media)

    call(database, ".")

    assert rows(database, "select filepath from library_paths") == [(str(media),)]


def test_paths_are_stored_in_the_form_of_the_path_map(database: Path, media: Path) -> None:
    call(database, media, "--path-map", f"/books={media}")

    assert rows(database, "select filepath from library_paths") == [("/books",)]
    assert rows(database, "select min(filepath) from files") == [("/books/One/One.epub",)]


def test_a_folder_may_be_named_as_the_database_has_it(database: Path, media: Path) -> None:
    call(database, media, "--path-map", f"/books={media}")

    told = call(database, "/books/One", "--path-map", f"/books={media}", "--json")

    assert (told.exit_code, json.loads(told.stdout)["unchanged"]) == (0, 1)


def test_what_was_not_done_needs_no_undo(database: Path, media: Path) -> None:
    call(database, media)
    (media / "broken.epub").write_text("no archive")

    told = call(database, media)

    assert (told.exit_code, told.stdout.splitlines()[2:]) == (1, [])


@pytest.mark.parametrize(
    ("path", "reason"),
    [("nothing", "No such file or directory"), ("media/One/One.epub", "Not a directory")],
)
def test_only_folders_can_be_scanned(
    database: Path, media: Path, monkeypatch: pytest.MonkeyPatch, path: str, reason: str
) -> None:
    monkeypatch.chdir(media.parent)

    told = call(database, path)

    assert (told.exit_code, told.stderr) == (1, f"Error: {path}: {reason}\n")
    assert not database.exists()


def test_another_database_is_left_alone(tmp_path: Path, media: Path) -> None:
    database = tmp_path / "other.db"
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("create table recipes (id integer)")

    for options in ((), ("--dry-run",)):
        told = call(database, media, *options)
        assert told.exit_code == 1
        assert f"{database}: it is not a Shisho library, it lacks books, files" in told.stderr
    assert rows(database, "select name from sqlite_master") == [("recipes",)]


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_an_empty_file_is_a_database_to_be(database: Path, media: Path, options: tuple[str, ...]) -> None:
    database.touch()

    assert answer(database, media, *options)["imported"] == 2
    assert (database.stat().st_size == 0) is bool(options)


def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes(database: Path, media: Path) -> None:
    broken = os.fsencode(media) + b"/caf\xe9.epub"
    with open(broken, "wb") as file:
        file.write(b"no zip archive")

    said = answer(database, media, exit_code=1)

    assert [f["path"] for f in said["files"] if f["status"] == "error"] == [f"{media}/caf\\xe9.epub"]
