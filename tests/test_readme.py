"""The README keeps its word: its commands and requests run, and it explains every name of the contract."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
import yaml
from builders.epub import build_epub
from datasette.app import Datasette
from library import Library
from serving import SECRET, serving
from terminal import on_terminal
from web import Plain

from datasette_shisho_resync import hooks
from datasette_shisho_resync.cli import shisho
from datasette_shisho_resync.fields import FIELDS
from datasette_shisho_resync.model import Limits, Mode, Reason
from datasette_shisho_resync.settings import PLUGIN, Settings, settings_from

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"\n(?=[-|]|\d+\. )|\n\s*\n")  # where a paragraph, a list's item or a table's row begins
_LEAST_WORDS = 3  # beside a name that is explained


def blocks(language: str) -> list[str]:
    return [text for name, text in _FENCE.findall(README) if name == language]


def shell_lines(beginning: str) -> list[str]:
    """Return the lines of shell blocks that begin so, without comments, continued lines joined."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+# .*", "", line) for line in lines if line.startswith(beginning)]


COMMANDS = [line for line in shell_lines("datasette shisho ") if line.split()[2] != "demo"]
REQUESTS = shell_lines("curl ")
PASSAGES = _ITEM.split(_FENCE.sub("", README))


def is_explained(name: str) -> bool:
    """Tell whether a passage has the name as code, and words beside it."""
    for passage in PASSAGES:
        code = re.findall(r"`([^`]+)`", passage)
        words = re.findall(r"[a-z]{2,}", re.sub(r"`[^`]+`", "", passage))
        if len(words) >= _LEAST_WORDS and any(name in re.split(r"[^\w-]+", part) for part in code):
            return True
    return False


def options() -> set[str]:
    context = click.Context(shisho)
    commands = [shisho.get_command(context, name) for name in shisho.list_commands(context)]
    return {o for c in commands if c for p in c.params for o in p.opts if o.startswith("--")}


@pytest.mark.parametrize(
    "name",
    [
        *shisho.list_commands(click.Context(shisho)),
        *sorted(options()),
        *sorted({f.name for kind in (Settings, Limits) for f in fields(kind)} - {"limits"}),
        *sorted(name for name in vars(hooks) if name.startswith("shisho_")),
        *("resync-row", "update-row", "view-table", "undo-resync"),
        *(mode.value for mode in Mode),
        *(reason.value for reason in Reason),
        *(field.name for field in FIELDS),
        *(f"resync_{name}" for name in ("runs",)),
    ],
)
def test_every_name_of_the_contract_is_explained(name: str) -> None:
    assert is_explained(name)


def test_a_name_that_nobody_explains_is_noticed() -> None:
    assert not is_explained("max_nonsense_bytes")


def test_every_block_of_settings_is_valid() -> None:
    found = [yaml.safe_load(text).get("plugins", {}).get(PLUGIN) for text in blocks("yaml")]
    assert [settings_from(block) for block in found if block]


@pytest.mark.asyncio
async def test_the_block_for_a_shisho_library_closes_its_other_tables(library: Library) -> None:
    [config] = [block for block in map(yaml.safe_load, blocks("yaml")) if "allow_sql" in str(block)]
    library.conn.execute("create table users (id integer primary key, password_hash text)")
    ds = Plain([library.path], config=config)
    for table, status in (("users", 403), ("books", 200), ("files", 200), ("libraries", 403)):
        assert (await ds.client.get(f"/library/{table}")).status_code == status
    assert (await ds.client.get("/library/-/query?sql=select+1")).status_code == 403


# --- what runs --------------------------------------------------------------------------------------


def test_no_command_is_overlooked() -> None:
    assert {line.split()[2] for line in COMMANDS} | {"demo"} == set(
        shisho.list_commands(click.Context(shisho))
    )
    assert REQUESTS


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with some books, and the command of this environment."""
    home = tmp_path_factory.mktemp("home")
    for number in range(1, 15):
        folder = home / "Books" / f"Book {number:02}"
        folder.mkdir(parents=True)
        build_epub(folder / "book.epub", title=f"Book {number}")
    for title in ("Dune", "Children of Dune"):  # two, for the run that is undone may be the import of one
        build_epub(home / "Books" / f"{title.lower()}.epub", title=title)
    (home / "bin").mkdir()
    datasette = home / "bin" / "datasette"
    datasette.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m datasette "$@"\n')
    datasette.chmod(0o755)
    return home


def run(line: str, home: Path) -> tuple[int, str, str]:
    """Run a line in a shell on a terminal where somebody says yes; returns its code, stdout and screen."""
    environment = {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    return on_terminal(["sh", "-c", line], b"y\n", environment, folder=home)


@pytest.fixture(scope="module")
def first(home: Path) -> tuple[int, str, str]:
    """What the first command did, which makes the library."""
    return run(COMMANDS[0], home)


@pytest.fixture(scope="module")
def scanned(home: Path, first: tuple[int, str, str]) -> Path:
    """The library that the first command made, kept for the requests."""
    (home / "served").mkdir()
    return Path(shutil.copy(home / "library.db", home / "served" / "library.db"))


@pytest.fixture(scope="module")
def ran(home: Path, first: tuple[int, str, str], scanned: Path) -> dict[str, tuple[int, str, str]]:
    """What each command did, one after another as they stand there."""
    return {COMMANDS[0]: first, **{line: run(line, home) for line in COMMANDS[1:]}}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_runs(line: str, ran: dict[str, tuple[int, str, str]]) -> None:
    code, stdout, said = ran[line]
    assert code == 0, stdout + said


@pytest.fixture(scope="module")
def answers(home: Path, scanned: Path) -> Iterator[dict[str, tuple[int, str, str]]]:
    """What a real server answered to each request, one after another as they stand there."""
    token = Datasette([], secret=SECRET).sign({"a": "root", "t": int(time.time())}, "token")
    with serving(scanned) as port:
        here = {"http://localhost:8001": f"http://127.0.0.1:{port}", "TOKEN": f"dstok_{token}"}
        told = {}
        for line in REQUESTS:
            request = re.sub("|".join(here), lambda match: here[match[0]], line)
            told[line] = run(f"{request} --silent --show-error", home)
        yield told


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("line", REQUESTS)
def test_a_request_of_the_readme_is_answered(line: str, answers: dict[str, tuple[int, str, str]]) -> None:
    code, stdout, said = answers[line]
    assert code == 0, said
    assert json.loads(stdout)["ok"] is True, stdout
