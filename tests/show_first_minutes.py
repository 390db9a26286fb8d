"""What a newcomer's first minutes take: `python tests/show_first_minutes.py [--no-tests]`.

From an empty folder: the checkout is copied, the README's first command makes a virtual environment and the
sample library, Chromium signs in, looks at the shelf of covers and scans a book, and the README's last
command runs the tests. Each step is printed with its time.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chromium import CHROMIUM
from playwright.sync_api import sync_playwright

CHECKOUT = Path(__file__).parent.parent
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q ."
DEMO = ".venv/bin/datasette shisho demo"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/python -m pytest -q"
BOOK = "A Study in Scarlet"
_LINK = re.compile(r"Sign in with this link: (\S+)")
_NOT_COPIED = (".git", ".venv", "*.db", "shisho-demo", "__pycache__", ".*_cache", "build", "*.egg-info")


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as empty:
        checkout = Path(empty, "datasette-shisho-resync")
        with _step("copy the checkout, as a clone does"):
            shutil.copytree(CHECKOUT, checkout, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        _show_command_one(checkout)
        if not options.no_tests:
            with _step(TESTS):
                _run(TESTS, checkout)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--no-tests", action="store_true", help="leave out the last step, the tests")
    return parser.parse_args()


def _show_command_one(checkout: Path) -> None:
    began = time.monotonic()
    with _step(INSTALL):
        _run(INSTALL, checkout)
    with _demo(checkout) as link, sync_playwright() as playwright:
        with _step("open Chromium"):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
        _look_and_scan(page, link)
        print(f"{time.monotonic() - began:7.1f} s  TOGETHER, from the first command to the first resync")
        browser.close()


@contextmanager
def _demo(checkout: Path) -> Iterator[str]:
    """Make and serve the sample library; yields the link that signs in."""
    command = DEMO.split()
    with _step(f"{DEMO}, until it says what to try"):
        server = subprocess.Popen(
            [*command, "--port", "0"],
            cwd=checkout,
            env=_environment(),
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_interruptible,
        )
        assert server.stdout is not None
        link = next((found[1] for line in server.stdout if (found := _LINK.search(line))), None)
    try:
        if link is None:
            sys.exit("The demo ended without a link to sign in with.")
        yield link
    finally:
        with _step("Ctrl-C"):
            server.send_signal(signal.SIGINT)
            server.wait(30)
    with _step(f"{DEMO} --remove"):
        _run(f"{DEMO} --remove", checkout)


def _look_and_scan(page: Any, link: str) -> None:
    with _step("sign in, and follow the link to the books"):
        page.goto(link)
        page.click("text=Books")
        page.wait_for_selector("ul.shisho-shelf img")
    with _step(f"open {BOOK!r} and scan it: its description arrives"):
        page.click(f".shisho-card-link:has-text({BOOK!r})")
        page.click(".page-action-menu summary")
        page.click("text=Scan for new metadata")
        page.wait_for_selector(".row-mutation-status:has-text('Changed: description')")


def _run(command: str, folder: Path) -> None:
    subprocess.run(["sh", "-c", command], cwd=folder, env=_environment(), check=True)


def _environment() -> Mapping[str, str]:
    """Return the surroundings of somebody who has nothing of ours installed."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def _interruptible() -> None:
    # A shell makes what it runs in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _step(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)


if __name__ == "__main__":
    main()
