"""Scan: what a file says counts where nobody better has spoken."""

from __future__ import annotations

import pytest
from library import Library, changed, epub, error_of, kept

from datasette_shisho_resync.errors import BadRequest, FileRefused, StalePlan, UnknownRow, UnreadableFile
from datasette_shisho_resync.model import Reason


def test_a_first_scan_takes_what_the_file_says(book: Library) -> None:
    book.rewrite(1, epub("Dune", ["Frank Herbert"], genres=["SF"], series="Dune", number=1, language="en"))
    outcome = book.scan()
    assert outcome.changed
    assert (book.book()["title"], book.book()["title_source"]) == ("Dune", "epub_metadata")
    assert (book.authors(), book.genres(), book.series()) == (["Frank Herbert"], ["SF"], [("Dune", 1.0)])
    assert book.file()["language"] == "en"
