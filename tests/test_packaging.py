"""The package as people install it: an sdist, the wheel built from it, and the demo run from the wheel.

They need a package index, so only `.ci/run` asks for them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from serving import serving_demo

pytestmark = pytest.mark.network
CHECKOUT = Path(__file__).parent.parent
BOOKS, FILES = 12, 13
_NOT_IN_GIT = (
    *(".git", ".venv", ".*_cache", ".hypothesis", ".benchmarks", ".coverage", "__pycache__"),
    *("*.egg-info", "build", "dist", "shisho-demo", "*.db*"),
)


def run(*command: object, cwd: Path) -> str:
    """Run a program that sees nothing of this checkout; returns what it says."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds, its symbolic links too."""
    folder = tmp_path_factory.mktemp("packaging") / "checkout"
    ignored = shutil.ignore_patterns(*_NOT_IN_GIT)
    return Path(shutil.copytree(CHECKOUT, folder, symlinks=True, ignore=ignored))


@pytest.fixture(scope="module")
def built(checkout: Path) -> Path:
    """A folder with the sdist and the wheel."""
    run(sys.executable, "-m", "build", "--outdir", "../built", ".", cwd=checkout)
    return checkout.parent / "built"


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The programs of a fresh virtual environment with the wheel and what it says it needs."""
    [wheel] = built.glob("*.whl")
    run(sys.executable, "-m", "venv", "fresh", cwd=built.parent)
    run("fresh/bin/python", "-m", "pip", "install", "-q", wheel, cwd=built.parent)
    return built.parent / "fresh" / "bin"


def test_the_sdist_has_every_file_of_a_checkout(checkout: Path, built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {member.name.partition("/")[2] for member in archive if member.isfile()}
    kept = {str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()}
    assert {path for path in kept - packed if ".egg-info/" not in path} == {".gitignore"}
    assert {"metadata.yml", "templates/_table.html"} <= packed


def test_the_demo_runs_from_the_wheel(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    with serving_demo(tmp_path / "demo", installed / "python") as told:
        opener = build_opener(HTTPCookieProcessor())
        opener.open(told["sign_in_url"], timeout=20).close()
        with opener.open(f"{told['url']}library/books", timeout=20) as answer:
            page = answer.read().decode()
    assert (told["imported"], page.count('class="shisho-card"')) == (FILES, BOOKS)


def test_a_checkout_is_a_configuration_directory(installed: Path, checkout: Path, tmp_path: Path) -> None:
    told = run(installed / "datasette", "shisho", "demo", "demo", "--no-serve", "--json", cwd=tmp_path)
    assert json.loads(told)["imported"] == FILES
    shutil.copy(tmp_path / "demo" / "library.db", checkout)
    page = run(installed / "datasette", ".", "--get", "/library/books", cwd=checkout)
    assert "Title by which books are sorted" in page
    assert page.count('class="shisho-card"') == BOOKS
