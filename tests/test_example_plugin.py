"""The example plugin of the README, installed beside this one and run as users do."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from builders.cbz import build_cbz, comic_info_xml

PROJECT = Path(__file__).parent.parent


def readme_block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(
        rf"```{language}\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL
    )
    [block] = [block for block in blocks if containing in block]
    return block


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages that holds the example, as pip lays it out."""
    project = readme_block("toml", "datasette-shelf")
    entry_points = re.findall(
        r'^(\w+) = "(\w+)"$', project.partition("entry-points.datasette]")[2], re.MULTILINE
    )
    [(name, module)] = entry_points
    folder = tmp_path / "site"
    metadata = folder / "datasette_shelf-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: datasette-shelf\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[datasette]\n{name} = {module}\n")
    (folder / f"{module}.py").write_text(readme_block("python", "shisho_enrichers"))
    return folder


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "plain.txt").write_text("A Title\nand what follows")
    (folder / "empty.txt").write_text("\n")
    info = comic_info_xml("<Title>Thick</Title><Publisher>Small Press</Publisher><Tags>dry</Tags>")
    (folder / "thick.cbz").write_bytes(build_cbz(comic_info=info, pages=501))
    (folder / "thin.cbz").write_bytes(build_cbz(comic_info=comic_info_xml("<Title>Thin</Title>")))
    return folder


def shisho(site: Path, *arguments: object) -> Any:
    """Run a command in a process that finds the example among its packages."""
    paths = os.pathsep.join([str(PROJECT), str(site), *sys.path])
    command = [sys.executable, "-m", "datasette", "shisho", *map(str, arguments), "--json"]
    environment = {**os.environ, "PYTHONPATH": paths}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return json.loads(answer.stdout)


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as conn:
        return conn.execute(sql).fetchall()


def test_the_example_adds_a_format_and_a_source(tmp_path: Path, site: Path, media: Path) -> None:
    database = tmp_path / "library.db"
    said = shisho(site, "scan", database, media, "--workers", 1)
    assert (said["imported"], said["failed"]) == (3, 1)
    assert [f["error"] for f in said["files"] if f["error"]] == [
        f"{media}/empty.txt: its first line is empty"
    ]
    assert rows(database, "select title, title_source, tag_source from books order by title") == [
        ("A Title", "file_metadata", None),
        ("Thick", "cbz_metadata", "plugin:shelf"),
        ("Thin", "cbz_metadata", None),
    ]
    assert rows(database, "select name from tags") == [("long",)]
    [(publisher, source)] = rows(
        database,
        "select p.name, f.publisher_source from files f join publishers p on p.id = f.publisher_id",
    )
    assert (publisher, source) == ("The Long Shelf", "plugin:shelf")
    assert rows(database, "select name, name_source from series") == [("Doorstops", "plugin:shelf")]

    [(book_id,)] = rows(database, "select id from books where title = 'Thick'")
    assert shisho(site, "resync", database, "--book", book_id, "--mode", "reset", "--yes")["changed"]
    assert rows(database, "select name from book_tags bt join tags t on t.id = bt.tag_id") == [("dry",)]
    assert shisho(site, "resync", database, "--book", book_id)["changed"]
    assert rows(database, "select name from book_tags bt join tags t on t.id = bt.tag_id") == [("long",)]
