"""Our pages under axe-core and on small screens: light and dark, phone and desktop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import browser as browser
from chromium import page_of_root
from serving import serving

from datasette_shisho_resync.demo import DATABASE
from datasette_shisho_resync.site import METADATA, TEMPLATES

axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")

SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}
OURS = "section.content"
PAGES = {
    "shelf": ("/library/books", ".shisho-shelf"),
    "panel": ("/library/books/6", "#shisho-panel"),
    "panel of a file": ("/library/files/1", "#shisho-panel"),
    "scan": ("/library/books/1/-/resync?mode=scan", OURS),
    "refresh": ("/library/books/6/-/resync?mode=refresh", OURS),
    "reset": ("/library/books/7/-/resync?mode=reset", OURS),
    "explain": ("/library/books/7/-/explain", OURS),
    "undo": ("/library/resync_runs/9/-/undo", OURS),
    "error": ("/library/books/999/-/resync", OURS),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The sample library, served with its templates."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    # A process of its own: Playwright has the event loop of this one.
    command = [sys.executable, "-m", "datasette", "shisho", "demo", str(folder), "--no-serve"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    look = ("--metadata", str(METADATA), "--template-dir", str(TEMPLATES))
    with serving(folder / DATABASE, *look) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module", params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=list(SCREENS))
def page(request: pytest.FixtureRequest, browser: Any, address: str, scheme: str) -> Iterator[Any]:
    with page_of_root(browser, address, viewport=SCREENS[request.param], color_scheme=scheme) as opened:
        yield opened


@pytest.mark.parametrize(("path", "part"), PAGES.values(), ids=PAGES)
def test_axe_finds_no_fault(page: Any, path: str, part: str) -> None:
    page.goto(path)
    assert page.locator(part).count() == 1
    found = axe_module.Axe().run(page, context=part)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("path", [path for path, _ in PAGES.values()], ids=PAGES)
def test_a_page_is_as_wide_as_the_screen(page: Any, path: str) -> None:
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_every_cover_is_shown(page: Any) -> None:
    page.goto("/library/books")
    for cover in page.locator("img.shisho-card-cover").all():
        cover.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    widths = page.eval_on_selector_all("img.shisho-card-cover", "all => all.map(i => i.naturalWidth)")
    assert widths == [600] * 11
