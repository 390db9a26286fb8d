"""Makes the README's screenshots: `python tests/screenshots.py` serves the sample library and looks at it."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from chromium import CHROMIUM, page_of_root
from PIL import Image
from playwright.sync_api import sync_playwright
from serving import serving

from datasette_shisho_resync.demo import DATABASE
from datasette_shisho_resync.site import METADATA, TEMPLATES

FOLDER = Path(__file__).parent.parent / "docs"
SCREEN = {"width": 1120, "height": 540}
_MARGIN = 16
_QUALITY = 90


def main() -> None:
    demo = Path(tempfile.gettempdir(), "shisho-demo")  # a short path: it is in the picture
    command = [sys.executable, "-m", "datasette", "shisho", "demo", str(demo)]
    subprocess.run([*command, "--no-serve"], check=True)
    look = ("--metadata", str(METADATA), "--template-dir", str(TEMPLATES))
    with serving(demo / DATABASE, *look) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with page_of_root(browser, f"http://127.0.0.1:{port}", viewport=SCREEN) as page:
            _look_at(page)
        browser.close()
    (demo / "serve.log").unlink()  # else the folder stays
    subprocess.run([*command, "--remove"], check=True)


def _look_at(page: Any) -> None:
    page.goto("/library/books")
    page.wait_for_load_state("networkidle")
    for cover in page.locator("img.shisho-card-cover").all():  # they are loaded when they are near
        cover.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    page.evaluate("window.scrollTo(0, 0)")
    shelf = page.locator("ul.shisho-shelf").bounding_box()
    area = {
        "x": 0,
        "y": shelf["y"] - _MARGIN,
        "width": SCREEN["width"],
        "height": shelf["height"] + 2 * _MARGIN,
    }
    _save("shelf.jpg", page.screenshot(full_page=True, clip=area))
    page.goto("/library/books?title=Pride+and+Prejudice")
    pk = page.locator("tr[data-row]").get_attribute("data-row")
    page.goto(f"/library/books/{pk}/-/resync?mode=refresh")
    _save("confirm.jpg", page.screenshot())


def _save(name: str, picture: bytes) -> None:
    FOLDER.mkdir(exist_ok=True)
    Image.open(io.BytesIO(picture)).convert("RGB").save(FOLDER / name, quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
