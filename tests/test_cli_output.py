from __future__ import annotations

import io
import sys
from datetime import date

import pytest

from datasette_shisho_resync.cli.output import display_width, say, shortened, table
from datasette_shisho_resync.cli.plan_text import value_columns, with_source
from datasette_shisho_resync.cli.progress import progress_text
from datasette_shisho_resync.library_scan import Progress
from datasette_shisho_resync.model import Author, Chapter, CoverImage, Identifier, SeriesEntry, Value
from datasette_shisho_resync.value_text import value_text


def test_a_table_lines_up_also_with_wide_letters() -> None:
    assert table([("a", "日本", "x"), ("bbb", "n\u0303", "y")]) == ["a    日本  x", "bbb  n\u0303     y"]


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("plain", 10, "plain"),
        ("exactly 10", 10, "exactly 10"),
        ("eleven chars", 10, "eleven ch…"),
        ("日本語日本語", 8, "日本語…"),
        ("two\nlines  and\tspaces", 40, "two lines and spaces"),
        ("x" * 1_000_000, 5, "xxxx…"),
        (" " * 100 + "x", 5, "…"),
        ("\x1b[31m", 20, "\\x1b[31m"),
    ],
)
def test_long_text_is_cut_to_its_columns(text: str, most: int, short: str) -> None:
    assert shortened(text, most) == short
    assert display_width(short) <= most


def test_a_terminal_narrower_than_the_other_columns_leaves_room_for_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    most = value_columns()

    assert most > 0  # else nothing is short enough, and cutting would not end
    assert shortened("A long title that is to be cut", most) == "A long title that i…"


def test_what_a_terminal_can_not_show_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stream)

    say("é 日 \udcff \x1b[2J")

    stream.flush()
    assert stream.buffer.getvalue() == b"\xe9 \\u65e5 \\xff \\x1b[2J\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        ((), "-"),
        (False, "no"),
        (0, "0"),
        (date(2020, 1, 2), "2020-01-02"),
        ((Author("Ann"), Author("Bob", "editor")), "Ann; Bob [editor]"),
        ((SeriesEntry("Saga", 3.0, 4.0, "volume"), SeriesEntry("Other")), "Saga volume 3-4; Other"),
        ((Identifier("isbn_13", "9780306406157"),), "isbn_13 9780306406157"),
        ((Chapter("One", children=(Chapter("A"), Chapter("B"))), Chapter("Two")), "4 chapters"),
        (CoverImage("abcdef0123456789", "image/png", 600, 800), "image/png 600x800 abcdef01"),
        (("Fun", "War"), "Fun; War"),
    ],
)
def test_values_are_told_in_a_few_words(value: Value, text: str) -> None:
    assert value_text(value) == text


def test_the_source_stays_when_the_value_is_cut() -> None:
    assert with_source("word " * 100, "epub_metadata", 40) == "word word word word wor… (epub_metadata)"
    assert with_source(None, "manual", 40) == "-"


@pytest.mark.parametrize(
    ("progress", "seconds", "text"),
    [
        (Progress("Looking", 1_200), 0.0, "Looking: 1,200"),
        (Progress("Reading", 50, 200), 10.0, "Reading: 50 of 200, 5 a second, 0:30 left"),
        (Progress("Reading", 0, 200, 3), 10.0, "Reading: 0 of 200, 3 failed"),
        (Progress("Reading", 10, 100_000), 1.0, "Reading: 10 of 100,000, 10 a second, 2:46:39 left"),
        (Progress("Reading", 10, 5), 1.0, "Reading: 10 of 5, 10 a second, 0:00 left"),
    ],
)
def test_progress_tells_rate_and_remaining_time(progress: Progress, seconds: float, text: str) -> None:
    assert progress_text(progress, seconds) == text
