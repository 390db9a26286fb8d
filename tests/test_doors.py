"""The links at the top of Datasette's first page and of a library's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from library import Library, epub
from web import ROOT, Plain, looked_at, page

pytestmark = pytest.mark.asyncio
READER = {"id": "reader"}


@pytest.fixture
def scanned(library: Library) -> Library:
    library.add_file(library.add_book("Dune"), "dune.epub", epub("Dune"))
    library.scan()
    return library


def doors(html: str) -> list[tuple[str, str]]:
    """Return address and label of each link."""
    found = re.findall(r'<p class="shisho-doors">(.*?)</p>', html, re.S)
    return [link for part in found for link in re.findall(r'<a href="([^"]*)">([^<]*)</a>', part)]


@pytest.mark.parametrize("path", ["/", "/library"])
async def test_the_first_pages_lead_to_books_files_and_what_was_run(scanned: Library, path: str) -> None:
    assert doors(await page(looked_at(scanned), path)) == [
        ("/library/books", "Books"),
        ("/library/files", "Files"),
        ("/library/resync_runs", "Runs"),
        ("/library/resync_jobs", "Jobs"),
    ]


async def test_only_what_may_be_viewed_has_a_link(scanned: Library) -> None:
    ds = looked_at(scanned, tables={"files": {"allow": ROOT}})
    assert doors(await page(ds, "/", READER)) == [("/library/books", "Books")]


async def test_a_library_that_no_run_changed_has_no_runs_to_look_at(library: Library) -> None:
    assert [label for _, label in doors(await page(looked_at(library), "/library"))] == ["Books", "Files"]


async def test_with_several_libraries_each_is_named(scanned: Library) -> None:
    other = str(Path(scanned.path).with_name("other.db"))
    scanned.conn.execute("vacuum into ?", (other,))
    html = await page(Plain([scanned.path, other]), "/", READER)
    assert re.findall(r'<p class="shisho-doors">(\w+): ', html) == ["library", "other"]


async def test_another_database_has_no_links(scanned: Library) -> None:
    ds = looked_at(scanned)
    ds.add_memory_database("memory")
    assert doors(await page(ds, "/memory")) == []
