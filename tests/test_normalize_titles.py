from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_vectors import load
from vector_differences import ours

from datasette_shisho_resync.model import SeriesEntry
from datasette_shisho_resync.normalize.titles import (
    comic_display_name,
    m4b_grouping,
    normalize_comic_title,
    organized_folder_name,
    series_from_title,
    sort_title,
    title_of_whole,
    without_part_number,
)


def series_of(case: dict[str, Any]) -> SeriesEntry | None:
    name = case.get("series") or case.get("title", "")
    if "series" not in case and "number" not in case:
        return None
    return SeriesEntry(name, case.get("number"), case.get("end"), case.get("unit"))


@pytest.mark.parametrize(("title", "expected"), load("sort_title"))
def test_a_leading_article_goes_to_the_end(title: str, expected: str) -> None:
    assert sort_title(title) == expected


@pytest.mark.parametrize(
    ("case", "expected"), [row for row in load("title_number") if row[0]["file_type"] == "cbz"]
)
def test_a_trailing_number_is_normalised(case: dict[str, str], expected: dict[str, str]) -> None:
    recorded = (expected["title"], expected["unit"] or None)
    assert normalize_comic_title(case["title"]) == ours("title_number", case["title"], recorded)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Monarch 3", ("Monarch v003", "volume")),
        ("Evol. 3", ("Evol. v003", "volume")),
        ("one_piece_ch05", ("one_piece_ c005", "chapter")),
        ("One Piece-Chapter5", ("One Piece- c005", "chapter")),
        ("Batman Vol. 2 #5", ("Batman Vol. 2 v005", "volume")),
        ("X-Men 92 5", ("X-Men 92 v005", "volume")),
        ("Saga 1 - 3 - 5", ("Saga 1 - 3 - 5", None)),
        ("Diary 2020-05-01", ("Diary 2020-05-01", None)),
        ("Vitamin C 5", ("Vitamin c005", "chapter")),
        ("Chapter 5", ("Chapter 5", None)),
        ("#5", ("#5", None)),
        ("  Saga 4  ", ("Saga v004", "volume")),
        ("  Saga  ", ("  Saga  ", None)),
        ("", ("", None)),
        ("Saga v001", ("Saga v001", "volume")),
        (" 1" * 30_000, (" 1" * 30_000, None)),
    ],
)
def test_only_a_number_at_the_end_of_words_counts(title: str, expected: tuple[str, str | None]) -> None:
    assert normalize_comic_title(title) == expected


@pytest.mark.parametrize(("case", "expected"), load("series_from_title"))
def test_a_normalised_title_names_its_series(case: dict[str, str], expected: dict[str, Any] | None) -> None:
    assert series_from_title(case["title"]) == (
        SeriesEntry(expected["series"], expected["number"], expected["end"], expected["unit"])
        if expected
        else None
    )


@pytest.mark.parametrize(("text", "expected"), load("m4b_grouping"))
def test_a_grouping_names_its_series(text: str, expected: dict[str, Any]) -> None:
    name = expected["series"]
    assert m4b_grouping(text) == (SeriesEntry(name, expected["number"], expected["end"]) if name else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Series - Vol3", SeriesEntry("Series", 3.0)),
        ("Series (1-1)", SeriesEntry("Series")),
        ("Series, BOOK 2", None),
        ("C# in Depth", None),
        ("Fiction", None),
        ("a" + " " * 60_000 + "b", None),
    ],
)
def test_a_grouping_without_number_pattern_is_no_series(text: str, expected: SeriesEntry | None) -> None:
    assert m4b_grouping(text) == expected


@pytest.mark.parametrize(("case", "expected"), load("cbz_name"))
def test_a_comic_is_shown_by_title_series_or_file_name(case: dict[str, Any], expected: str) -> None:
    series = series_of(case) if "series" in case else None
    assert comic_display_name(case.get("title"), series, case["filename"]) == expected


@pytest.mark.parametrize(
    ("title", "series", "expected"),
    [
        (None, SeriesEntry("S", 1.1), "S v001.1"),
        (None, SeriesEntry("S", -1.5), "S v-001.5"),
        (None, SeriesEntry("S"), "S"),
        ("[Group] T", SeriesEntry("S", 2.0, None, "chapter"), "S c002"),
        ("[Group] T", None, "File v003"),
        ("odd ] [ T", None, "odd ] [ T"),
    ],
)
def test_a_display_name_has_no_float_noise_or_brackets(
    title: str | None, series: SeriesEntry | None, expected: str
) -> None:
    assert comic_display_name(title, series, "[Group] File #3 (2020).cbz") == expected


@pytest.mark.parametrize(("case", "expected"), load("organized_folder"))
def test_a_folder_is_named_by_author_and_title(case: dict[str, Any], expected: str) -> None:
    author = next(iter(case.get("authors", ())), None)
    assert organized_folder_name(case["title"], author, series_of(case), case["file_type"]) == expected


@pytest.mark.parametrize(
    ("title", "author", "expected"),
    [
        ("..", None, "Unknown"),
        ("???", "A", "[A] Unknown"),
        ("a/../b", "x\0/y", "[xy] a..b"),
        ("é" * 150, None, "é" * 100),
        ("a\ud800\n  b", None, "a b"),
    ],
)
def test_a_folder_name_is_safe_in_any_file_system(title: str, author: str | None, expected: str) -> None:
    assert organized_folder_name(title, author, None, "epub") == expected


@given(st.text(max_size=60))
def test_a_title_without_article_sorts_as_itself(title: str) -> None:
    once = sort_title(title)
    if not once.lower().startswith(("the ", "a ", "an ")):
        assert sort_title(once) == once


COMIC_TITLE = st.lists(
    st.sampled_from([*"  -+.#0123[]()", "v", "c", "ch", "vol", "Saga", "–"]), max_size=30
).map("".join)


@given(st.one_of(st.text(max_size=60), COMIC_TITLE))
def test_a_normalised_title_stays_and_names_its_series(title: str) -> None:
    once, unit = normalize_comic_title(title)
    assert normalize_comic_title(once) == (once, unit)
    series = series_from_title(once)
    assert unit is None or (series is not None and series.unit == unit)


@given(st.one_of(st.text(max_size=60), COMIC_TITLE), st.none() | st.text(max_size=20))
def test_no_text_breaks_the_title_rules(text: str, author: str | None) -> None:
    m4b_grouping(text)
    folder = organized_folder_name(text, author, series_from_title(text), "cbz")
    assert "/" not in folder
    assert folder not in ("", ".", "..")
    comic_display_name(text, None, text)
    comic_display_name(None, None, text)


@pytest.mark.parametrize(
    ("title", "file_name", "expected"),
    [
        ("Dune, Part 2", "x.m4b", "Dune"),
        ("Dune (2 of 3)", "x.m4b", "Dune"),
        ("Dune [Disc 1]", "x.m4b", "Dune"),
        ("Dune CD1", "x.m4b", "Dune"),
        ("Dune_Part_01", "x.m4b", "Dune"),
        ("Dune_2", "Dune_2.m4b", "Dune"),
        ("Fahrenheit451", "451.m4b", "Fahrenheit451"),
        ("Dune: Chapter 04", "x.m4b", "Dune"),
        ("Dune 2", "Dune 2.m4b", "Dune"),
        ("Dune 2", "02 - Dune.m4b", "Dune"),
        ("Catch 22", "Catch 22 - 1.m4b", "Catch 22"),
        ("Dune", "Dune 2.m4b", "Dune"),
        ("Chapter 4", "04.m4b", None),
        ("Track 1/12", "a.m4b", None),
        ("7", "07.m4b", None),
        ("1984", "1.m4b", "1984"),
        ("x" * 2_000 + " 1", "1.m4b", "x" * 2_000 + " 1"),
    ],
)
def test_a_part_names_the_whole_without_its_number(title: str, file_name: str, expected: str | None) -> None:
    assert title_of_whole(title, file_name) == expected


def test_no_title_makes_the_parts_slow() -> None:
    started = time.process_time()
    for title in (" " * 60_000 + "x", "- " * 30_000, "1 " * 30_000, "." * 1_000, "- " * 499 + "x"):
        assert without_part_number(title) == title.strip()
        assert title_of_whole(title, title) == title
    assert time.process_time() - started < 2  # cubic time would be a minute
