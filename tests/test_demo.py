"""The sample library: real files, a folder that is safe to remove, and a server on it."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from datasette.cli import cli
from ebooklib import epub
from mutagen.mp4 import MP4
from PIL import Image
from serving import serving_demo

from datasette_shisho_resync.demo import BROKEN, DATABASE, DemoFolder
from datasette_shisho_resync.demo.shelf import TIME_MACHINE, path_of, shelf
from datasette_shisho_resync.errors import BadRequest

pytestmark = pytest.mark.usefixtures("lent_workers")
MEDIA = tuple(shelf())
AUDIOBOOK = path_of(TIME_MACHINE, "m4b")
EDITED = "Jules Verne/Around the World in Eighty Days/Around the World in Eighty Days.metadata.json"


@cache
def medium(path: str) -> bytes:
    return shelf()[path]()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["shisho", "demo", *map(str, arguments)], catch_exceptions=False)


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample library that nobody changes."""
    folder = tmp_path_factory.mktemp("made") / "demo"
    assert call(folder, "--no-serve").exit_code == 0
    return folder


@pytest.fixture
def demo(made: Path, tmp_path: Path) -> Path:
    """A sample library of one's own."""
    folder: Path = shutil.copytree(made, tmp_path / "demo")
    return folder


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / DATABASE)) as conn:
        return conn.execute(sql).fetchall()


# --- the files --------------------------------------------------------------------------------


def test_making_the_files_twice_gives_the_same_bytes() -> None:
    again = {path: make() for path, make in shelf().items() if not path.endswith(".pdf")}
    assert again == {path: medium(path) for path in MEDIA if not path.endswith(".pdf")}


@pytest.mark.parametrize("path", [p for p in MEDIA if p.endswith(".epub") and p != BROKEN])
def test_another_reader_opens_every_epub(path: str, tmp_path: Path) -> None:
    file = tmp_path / "a.epub"
    file.write_bytes(medium(path))
    book = epub.read_epub(file, {"ignore_ncx": True})
    assert Path(path).stem == book.get_metadata("DC", "title")[0][0]
    assert len(book.spine) == len(book.toc) > 0


def test_another_reader_opens_the_audiobook() -> None:
    movie: Any = MP4(io.BytesIO(medium(AUDIOBOOK)))  # type: ignore[no-untyped-call]
    assert movie.info.codec == "mp4a.40.2"
    assert movie.info.length == pytest.approx(600, abs=0.1)
    assert movie.tags["\xa9nam"] == ["The Time Machine"]
    assert Image.open(io.BytesIO(movie.tags["covr"][0])).size == (600, 900)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="there is no ffprobe")
def test_ffprobe_finds_no_fault_with_the_audiobook(tmp_path: Path) -> None:
    file = tmp_path / "a.m4b"
    file.write_bytes(medium(AUDIOBOOK))
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_chapters", "-show_streams", str(file)]
    found = subprocess.run(command, capture_output=True, check=True)
    assert found.stderr == b""
    told = json.loads(found.stdout)
    assert [c["tags"]["title"] for c in told["chapters"]][:2] == ["Introduction", "The Machine"]
    assert {s["codec_name"] for s in told["streams"]} >= {"aac", "mjpeg"}


def test_the_broken_file_is_broken() -> None:
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(medium(BROKEN)))


# --- the library ------------------------------------------------------------------------------


def test_the_library_has_one_of_everything(made: Path) -> None:
    types = dict(rows(made, "select file_type, count(*) from files where file_role = 'main' group by 1"))
    assert types == {"cbz": 2, "epub": 9, "m4b": 1, "pdf": 1}
    assert rows(made, "select file_type from files where file_role = 'supplement'") == [("pdf",)]
    assert rows(made, "select count(*) from files group by book_id having count(*) > 1") == [(2,), (2,)]
    assert rows(made, "select title from books where subtitle_source = 'sidecar'") == [
        ("Around the World in Eighty Days",)
    ]
    assert rows(made, "select count(*) from book_series") == [(6,)]
    assert rows(made, "select count(*) from chapters") != [(0,)]
    assert rows(made, "select failed from resync_jobs") == [(1,)]


def test_every_book_but_one_has_a_cover(made: Path) -> None:
    sql = """
        select b.title from books as b
        where not exists (select 1 from files as f where f.book_id = b.id and f.cover_image_filename <> '')
    """
    assert rows(made, sql) == [("The Yellow Wallpaper",)]


def test_two_values_were_set_by_hand_through_datasette(made: Path) -> None:
    sql = "select title from books where title_source = 'manual' or description_source = 'manual' order by 1"
    assert rows(made, sql) == [("Moby-Dick; or, The Whale",), ("Pride and Prejudice",)]


def test_a_scan_of_the_corrected_book_brings_its_description(demo: Path) -> None:
    [(pk,)] = rows(demo, "select id from books where title = 'A Study in Scarlet'")
    config = ["--root", str(made_books(demo)), "--path-map", f"{stored_books(demo)}={made_books(demo)}"]
    arguments = ["shisho", "resync", str(demo / DATABASE), "--book", str(pk), "--json", *config]
    answer = json.loads(CliRunner().invoke(cli, arguments).stdout)
    assert {c["field"] for c in answer["changes"]} == {"description", "genres"}


def made_books(folder: Path) -> Path:
    return folder / "books"


def stored_books(folder: Path) -> str:
    return str(rows(folder, "select filepath from library_paths")[0][0])


def test_a_second_run_changes_nothing(demo: Path) -> None:
    before = {path: (demo / path).read_bytes() for path in tree(demo)}
    result = call(demo, "--no-serve")
    assert (result.exit_code, "as you left it" in result.output) == (0, True)
    after = {path: (demo / path).read_bytes() for path in tree(demo)}
    touched_by_sqlite = {DATABASE, f"{DATABASE}-shm", f"{DATABASE}-wal"}
    assert {p for p in before if before[p] != after.get(p)} <= touched_by_sqlite


def test_a_second_run_puts_back_a_file_that_is_gone(demo: Path) -> None:
    folder = DemoFolder(str(demo))
    assert folder.complete() == 0
    Path(folder.books, AUDIOBOOK).unlink()
    assert folder.complete() == 1
    assert Path(folder.books, AUDIOBOOK).read_bytes() == medium(AUDIOBOOK)


def test_the_answer_is_json_when_asked_for(tmp_path: Path) -> None:
    result = call(tmp_path / "demo", "--no-serve", "--json")
    answer = json.loads(result.stdout)
    assert (answer["ok"], answer["imported"], answer["failed"], answer["url"]) == (True, 13, 1, None)
    removed = json.loads(call(tmp_path / "demo", "--remove", "--json").stdout)
    assert (removed["ok"], removed["kept"]) == (True, [])


# --- removing it ------------------------------------------------------------------------------


def test_removing_leaves_nothing_behind(demo: Path) -> None:
    assert call(demo, "--remove").exit_code == 0
    assert not demo.exists()


def test_an_empty_folder_that_was_there_stays(tmp_path: Path) -> None:
    folder = DemoFolder(str(tmp_path))
    assert folder.complete() == len(MEDIA)
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_files_of_others_stay_and_are_named(demo: Path) -> None:
    others = {"letter.txt", "books/mine.epub", f"books/{TIME_MACHINE.author}/photo.cover.jpg"}
    for name in others:
        (demo / name).write_text("mine")
    result = call(demo, "--remove")
    assert tree(demo) == others
    assert all(name in result.output for name in others)


def test_covers_and_sidecars_of_ones_own_stay_after_a_second_run(demo: Path) -> None:
    folder = Path("books") / Path(path_of(TIME_MACHINE)).parent
    (demo / "books" / "Mine").mkdir()
    shutil.copy(demo / "books" / path_of(TIME_MACHINE), demo / "books" / "Mine" / "mine.epub")
    others = {"books/Mine/mine.epub", "books/Mine/mine.epub.cover.jpg", f"{folder}/photo.cover.jpg"}
    sidecar = "books/Mine/mine.epub.metadata.json"
    for name in others - {"books/Mine/mine.epub"}:
        (demo / name).write_bytes(b"mine")
    (demo / sidecar).write_text('{"version": 1}')
    (demo / "books" / AUDIOBOOK).unlink()
    assert call(demo, "--no-serve").exit_code == 0
    call(demo, "--remove")
    assert others | {sidecar} <= tree(demo)
    assert not any(name.endswith(".m4b") for name in tree(demo))


def test_a_file_that_somebody_replaced_stays(demo: Path) -> None:
    mine = demo / "books" / AUDIOBOOK
    mine.write_bytes(b"my own recording")
    call(demo, "--remove")
    assert tree(demo) == {f"books/{AUDIOBOOK}"}


def test_an_edited_sidecar_of_the_sample_goes(demo: Path) -> None:
    (demo / "books" / EDITED).write_text('{"version": 1}')
    call(demo, "--remove")
    assert not demo.exists()


def test_a_link_is_not_followed(demo: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.m4b"
    precious.write_bytes(medium(AUDIOBOOK))
    (demo / "books" / AUDIOBOOK).unlink()
    (demo / "books" / AUDIOBOOK).symlink_to(precious)
    call(demo, "--remove")
    assert precious.read_bytes() == medium(AUDIOBOOK)


def test_a_folder_that_became_a_link_stops_everything(demo: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(demo / "books", elsewhere)
    (demo / "books").symlink_to(elsewhere)
    before = tree(elsewhere)
    assert "leads out of the sample library" in call(demo, "--remove").output
    assert tree(elsewhere) == before


@pytest.mark.parametrize("path", ["../victim.txt", "/etc/passwd", "books/../../victim.txt", "./books/x"])
def test_a_forged_list_removes_nothing_outside(demo: Path, tmp_path: Path, path: str) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    listed = json.loads((demo / ".shisho-demo.json").read_text())
    digest = "b3f9d0fcc3f4a5b4ad5c7a36ac4a9a1c1d1c7c5ab4d5b5c0d2c2c6f4f5f1f2f3"
    (demo / ".shisho-demo.json").write_text(json.dumps({**listed, "media": {path: digest}}))
    result = call(demo, "--remove")
    assert (result.exit_code, victim.read_text()) == (2, "precious")
    assert (demo / DATABASE).exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"media": {}}', '{"media": [], "companions": [], "owns_folder": 1}']
)
def test_a_damaged_list_removes_nothing(demo: Path, content: str) -> None:
    (demo / ".shisho-demo.json").write_text(content)
    before = tree(demo)
    result = call(demo, "--remove")
    assert (result.exit_code, "damaged" in result.output, tree(demo)) == (2, True, before)


def test_a_list_names_no_database_of_others_as_a_companion(demo: Path) -> None:
    (demo / "other.db").write_text("precious")
    listed = json.loads((demo / ".shisho-demo.json").read_text())
    (demo / ".shisho-demo.json").write_text(json.dumps({**listed, "companions": ["other.db"]}))
    assert call(demo, "--remove").exit_code == 2
    assert (demo / "other.db").exists()


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    result = call(tmp_path, "--no-serve")
    assert (result.exit_code, "is not empty" in result.output, tree(tmp_path)) == (2, True, {"letter.txt"})


def test_a_file_is_no_folder_for_it(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(BadRequest, match="is no folder"):
        DemoFolder(str(tmp_path / "letter.txt")).complete()


def test_what_is_no_sample_library_is_not_removed(tmp_path: Path) -> None:
    result = call(tmp_path, "--remove")
    assert (result.exit_code, "holds no sample library" in result.output) == (2, True)


# --- the server -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `demo --json` says of the server that it started."""
    with serving_demo(shutil.copytree(made, tmp_path_factory.mktemp("served") / "demo")) as told:
        yield told


def test_the_link_signs_in(server: dict[str, Any]) -> None:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(server["sign_in_url"], timeout=20).close()
    with opener.open(f"{server['url']}-/actor.json", timeout=20) as answer:
        assert json.load(answer)["actor"]["id"] == "root"


def test_a_port_that_is_taken_is_said(demo: Path, server: dict[str, Any]) -> None:
    port = server["url"].rstrip("/").rpartition(":")[2]
    result = call(demo, "--port", port)
    assert (result.exit_code, f"Port {port} is taken" in result.output) == (1, True)
