"""The pages in a real browser: one-click scan, confirm page, undo, keyboard, and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import browser as browser
from chromium import page_of_root
from library import Library, epub
from serving import serving

from datasette_shisho_resync.site import TEMPLATES

STATUS = ".row-mutation-status"
SCAN = "a[role=menuitem]:has-text('Scan for new metadata')"


@pytest.fixture
def shelf(book: Library) -> Library:
    """A library with two scanned books; the file of the first has changed since."""
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"]))
    book.scan()
    book.add_file(book.add_book("Emma"), "emma.epub", epub("Emma", ["Jane Austen"]))
    book.scan(pk=2)
    book.rewrite(1, epub("Dune Messiah", ["Frank Herbert"], genres=["Classics"]))
    return book


@pytest.fixture
def address(shelf: Library) -> Iterator[str]:
    """Serve the library with a real `datasette serve`."""
    with serving(shelf.path) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with page_of_root(browser, address) as opened:
        yield opened


@pytest.fixture
def plain_page(browser: Any, address: str) -> Iterator[Any]:
    """A page without JavaScript."""
    with page_of_root(browser, address, java_script_enabled=False) as opened:
        yield opened


def wait_for_status(page: Any, text: str) -> None:
    page.wait_for_selector(f"{STATUS}:has-text({text!r})")


def test_scan_is_one_click_and_the_row_is_redrawn_in_place(page: Any, shelf: Library) -> None:
    page.goto("/library/books/1")
    page.evaluate("window.isSamePage = true")
    page.click(".page-action-menu summary")
    page.click(SCAN)
    wait_for_status(page, "Metadata scanned. Changed: title, sort title")
    assert "Dune Messiah" in page.inner_text(".rows-and-columns")
    assert page.evaluate("window.isSamePage") is True
    assert page.get_attribute(STATUS, "role") == "status"
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert "Last run" in page.inner_text("#shisho-panel")
    assert shelf.book()["title"] == "Dune Messiah"
    assert shelf.rows("resync_runs")[-1]["via"] == "web"


def test_scan_from_the_table_redraws_the_row_and_keeps_the_focus(page: Any, shelf: Library) -> None:
    page.goto("/library/books?_sort=id")
    page.click("tr[data-row='1'] [data-shisho-scan]")
    wait_for_status(page, "Row 1: Metadata scanned")
    assert "Dune Messiah" in page.inner_text("tr[data-row='1']")
    assert page.evaluate("document.activeElement.closest('tr').dataset.row") == "1"
    assert page.evaluate("document.activeElement.dataset.shishoScan") == ""
    page.click("tr[data-row='1'] [data-shisho-scan]")
    wait_for_status(page, "nothing to change")


def test_what_a_scan_says_is_seen_from_the_last_row_of_a_long_table(page: Any, shelf: Library) -> None:
    for number in range(60):
        shelf.add_book(f"Book {number}")
    page.goto("/library/books?_sort_desc=id")
    page.click("tr[data-row='1'] [data-shisho-scan]")
    wait_for_status(page, "Row 1: Metadata scanned")
    assert page.evaluate("scrollY") > 500
    place = page.evaluate(f"document.querySelector('{STATUS}').getBoundingClientRect().toJSON()")
    assert 0 <= place["top"] < place["bottom"] <= page.viewport_size["height"]


def test_a_row_that_no_longer_fits_the_filter_goes(page: Any) -> None:
    page.goto("/library/books?title=Dune")
    page.click("tr[data-row='1'] [data-shisho-scan]")
    wait_for_status(page, "Metadata scanned")
    assert page.query_selector("tr[data-row='1']") is None
    assert page.evaluate(f"document.activeElement.matches('{STATUS}')")


def test_a_row_that_was_edited_keeps_its_button(page: Any, shelf: Library) -> None:
    page.goto("/library/books?_sort=id")
    page.click("tr[data-row='1'] [data-row-action=edit]")
    page.fill("dialog[open] [name=subtitle]", "Edited")
    page.click("dialog[open] button:has-text('Save')")
    page.wait_for_selector("tr[data-row='1']:has-text('Edited')")
    page.click("tr[data-row='1'] [data-shisho-scan]")
    wait_for_status(page, "Row 1: Metadata scanned")
    assert shelf.book()["subtitle_source"] == "manual"


def test_a_book_removed_from_the_table_leaves_no_message_behind(page: Any, shelf: Library) -> None:
    shelf.remove(1)
    page.goto("/library/books?_sort=id")
    page.click("tr[data-row='1'] [data-shisho-scan]")
    wait_for_status(page, "Book removed")
    page.goto("/library/books")
    assert "Book removed" not in page.inner_text("body")


def test_a_book_that_is_gone_leads_to_its_table(page: Any, shelf: Library) -> None:
    shelf.remove(1)
    page.goto("/library/books/1")
    page.click(".page-action-menu summary")
    page.click(SCAN)
    page.wait_for_url(re.compile("/library/books$"))
    assert "Book removed (no longer exists on disk)" in page.inner_text("body")


def test_an_error_is_said_aloud_and_nothing_changes(page: Any, shelf: Library) -> None:
    shelf.rewrite(1, b"no zip")
    page.goto("/library/books/1")
    page.click(".page-action-menu summary")
    page.click(SCAN)
    page.wait_for_selector(f"{STATUS}[role=alert]:has-text('a.epub')")
    assert shelf.book()["title"] == "Dune"


def test_a_scan_that_doubts_the_disk_leads_to_where_a_removal_is_confirmed(page: Any, shelf: Library) -> None:
    for pk in (1, 2):
        shelf.remove(pk)
    page.goto("/library/books/1")
    page.click(".page-action-menu summary")
    page.click(SCAN)
    page.click(f"{STATUS} >> text=Is it really gone?")
    assert "file 1." in page.inner_text("section.content")
    page.click("text=look at what would be removed")
    page.click("input[type=submit]")
    page.wait_for_url(re.compile("/library/books$"))
    assert [row["id"] for row in shelf.rows("books")] == [2]


def test_the_keyboard_alone_scans(page: Any, shelf: Library) -> None:
    page.goto("/library/books/1")
    page.focus(".page-action-menu summary")
    page.keyboard.press("Enter")
    labels = []
    for _ in range(6):
        labels.append(page.evaluate("document.activeElement.textContent.trim().split('\\n')[0]"))
        if labels[-1] == "Scan for new metadata":
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for_status(page, "Metadata scanned")
    assert shelf.book()["title"] == "Dune Messiah"


def test_refresh_applies_what_is_chosen_on_the_confirm_page(page: Any, shelf: Library) -> None:
    shelf.edit("books", title="Mine", title_source="manual")
    page.goto("/library/books/1")
    page.click(".page-action-menu summary")
    page.click("text=Refresh all metadata...")
    assert "will be lost" in page.inner_text(".shisho-notice-lost")
    page.uncheck("input[name=fields][value=title]")
    assert page.locator("input[name=fields][value=sort_title]").count() == 0  # it goes with the title
    page.click("input[type=submit][value=Refresh]")
    assert "Metadata refreshed" in page.inner_text("body")
    assert (shelf.book()["title"], shelf.genres()) == ("Mine", ["Classics"])


def test_undo_brings_everything_back(page: Any, shelf: Library) -> None:
    shelf.scan()
    page.goto("/library/resync_runs/3")
    page.click(".page-action-menu summary")
    page.click("a[role=menuitem]:has-text('Undo this run')")
    page.click("input[type=submit][value=Undo]")
    assert "Run 3 undone" in page.inner_text("body")
    assert (shelf.book()["title"], shelf.genres()) == ("Dune", ["SF"])


def test_without_javascript_the_links_lead_to_forms_that_work(plain_page: Any, shelf: Library) -> None:
    plain_page.goto("/library/books/1")
    plain_page.click(".page-action-menu summary")
    plain_page.click(SCAN)
    plain_page.click("input[type=submit][value=Scan]")
    assert "Metadata scanned" in plain_page.inner_text("body")
    assert shelf.book()["title"] == "Dune Messiah"


@pytest.mark.parametrize("name", ["resync?mode=refresh", "resync?mode=reset", "explain"])
def test_pages_fit_a_phone(page: Any, shelf: Library, name: str) -> None:
    long_word = "Donaudampfschifffahrtsgesellschaft" * 3
    shelf.edit("books", description=f"{long_word} and more words. " * 20, description_source="manual")
    shelf.rewrite(1, epub(long_word, [long_word], genres=["Classics"], description="Words. " * 200))
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"/library/books/1/-/{name}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cells = page.query_selector_all(".shisho-changes tbody:first-of-type tr:first-child td")
    assert all(cell.bounding_box()["width"] > 250 for cell in cells)


@pytest.mark.parametrize("path", ["books/-/resync?_mode=refresh", "-/resync/jobs/1"])
def test_pages_of_jobs_fit_a_phone(page: Any, shelf: Library, path: str) -> None:
    shelf.add("resync_jobs", kind="books", state="done", started_at="2026-01-01 00:00:00+00:00", total=3)
    shelf.edit("books", title="Donaudampfschifffahrtsgesellschaft " * 3, title_source="manual")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"/library/{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_very_long_title_makes_no_card_taller_than_others(browser: Any, shelf: Library) -> None:
    shelf.edit("books", title="W" * 300)
    with (
        serving(shelf.path, "--template-dir", str(TEMPLATES)) as port,
        page_of_root(browser, f"http://127.0.0.1:{port}") as page,
    ):
        page.goto("/library/books")
        heights = [card.bounding_box()["height"] for card in page.locator(".shisho-card-link").all()]
    assert max(heights) < 1.3 * min(heights)


def test_no_text_of_a_book_is_run(page: Any, shelf: Library) -> None:
    hostile = "<img src=x onerror='window.hacked=true'>"
    shelf.edit("books", title=hostile, title_source="manual", subtitle=hostile)
    for path in ("books/1", "books/1/-/resync?mode=refresh", "books/1/-/explain", "resync_runs/1/-/undo"):
        page.goto(f"/library/{path}")
        assert page.evaluate("window.hacked") is None


def start_job(page: Any, table: str, action: str) -> None:
    page.goto(f"/library/{table}")
    page.click(".page-action-menu summary")
    page.click(f"a[role=menuitem]:has-text({action!r})")
    page.click(f"input[type=submit][value^={action[:4]!r}]")
    page.wait_for_url(re.compile("/library/-/resync/jobs/[0-9]+$"))


def test_a_job_on_filtered_rows_shows_its_end_by_itself(page: Any, shelf: Library) -> None:
    shelf.add_file(shelf.add_book("Broken"), "broken.epub", b"no zip")
    start_job(page, "books?id__lt=4", "Scan these 3 rows...")
    page.wait_for_selector("#shisho-job[data-state=done]")
    assert page.inner_text("[data-count=changed]") == "1"
    assert page.inner_text(".shisho-errors a") == "book 3"
    assert page.query_selector("input[name=cancel]") is None
    assert shelf.book()["title"] == "Dune Messiah"


def test_a_job_can_be_watched_and_cancelled(page: Any, shelf: Library) -> None:
    for number in range(400):
        shelf.add_file(shelf.add_book(f"Shelf {number}"), f"{number}.epub", epub(f"Book {number}"))
    start_job(page, "books", "Refresh these 402 rows...")
    page.wait_for_function("document.querySelector('#shisho-progress').value > 0")
    assert page.get_attribute("#shisho-job-status", "role") == "status"
    page.click("input[name=cancel]")
    page.wait_for_selector("#shisho-job[data-state=cancelled]")
    assert 0 < page.evaluate("document.querySelector('#shisho-progress').value") < 402


def test_without_javascript_the_page_of_a_job_reloads_itself(plain_page: Any, shelf: Library) -> None:
    start_job(plain_page, "books", "Scan these 2 rows...")
    plain_page.wait_for_selector("#shisho-job[data-state=done]")
    assert shelf.book()["title"] == "Dune Messiah"
