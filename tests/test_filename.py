from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_vectors import load

from datasette_shisho_resync.files import is_companion
from datasette_shisho_resync.model import ParsedFile, SeriesEntry
from datasette_shisho_resync.normalize.titles import series_from_title
from datasette_shisho_resync.parsers.filename import (
    is_excluded_supplement,
    is_supplement_name,
    parse_path,
)


def parse_case(case: dict[str, Any]) -> ParsedFile:
    return parse_path(case["path"], root_level=case["root_level"], file_type=case["file_type"])


def names(parsed: ParsedFile) -> list[str]:
    return [author.name for author in parsed.authors]


def expected_series(expected: dict[str, Any]) -> SeriesEntry | None:
    if not expected["series"]:
        return None
    group = [expected[f"series_number{part}"] for part in ("", "_end", "_unit")]
    return SeriesEntry(expected["series"], *group)


@pytest.mark.parametrize(
    ("case", "expected"), [row for row in load("filepath") if not row[0]["embedded_title"]]
)
def test_a_path_tells_what_shisho_reads_from_it(case: dict[str, Any], expected: dict[str, Any]) -> None:
    parsed = parse_case(case)
    series = expected_series(expected)
    assert parsed.source == "filepath"
    assert (parsed.title, names(parsed)) == (expected["title"], expected["authors"])
    assert parsed.narrators == tuple(expected["narrators"])
    assert parsed.series == ((series,) if series else ())


@pytest.mark.parametrize(("case", "expected"), [row for row in load("filepath") if row[0]["embedded_title"]])
def test_a_path_is_read_whole_whatever_the_file_says(case: dict[str, Any], expected: dict[str, Any]) -> None:
    parsed = parse_case(case)
    assert parsed.title
    assert parsed.title in case["path"]
    assert names(parsed) == expected["authors"]
    if case["file_type"] == "cbz":
        assert series_from_title(case["embedded_title"]) == expected_series(expected)


@pytest.mark.parametrize(
    ("path", "root_level", "title", "authors", "narrators"),
    [
        ("/lib/[Author] Title (1) {Narrator}.m4b", True, "Title (1)", ["Author"], ["Narrator"]),
        ("/lib/[].epub", True, "[]", [], []),
        ("/lib/.epub", True, ".epub", [], []),
        ("x.epub", False, "x", [], []),
        ("/lib/[A One, B Two; C Three] Book/x.epub", False, "Book", ["A One", "B Two", "C Three"], []),
        ("/lib/Brandon Sanderson/Mistborn/Mistborn.epub", False, "Mistborn", [], []),
        ("/lib/[Open Title.epub", True, "[Open Title", [], []),
        ("/lib/D/x {A; B}.m4b", False, "D", [], ["A", "B"]),
        ("/lib/Caf\udce9 {Zo\udceb}.m4b", True, "Café", [], ["Zoë"]),
        ("/lib/A\nB\x07.epub", True, "A\nB", [], []),
    ],
)
def test_brackets_hold_authors_and_braces_narrators(
    path: str, root_level: bool, title: str, authors: list[str], narrators: list[str]
) -> None:
    parsed = parse_path(path, root_level=root_level, file_type=path.rpartition(".")[2])
    assert (parsed.title, names(parsed), list(parsed.narrators)) == (title, authors, narrators)
    assert parsed.series == ()


@pytest.mark.parametrize(
    ("path", "title", "series"),
    [
        ("/lib/One Piece vol. 1-3.cbz", "One Piece v001-003", SeriesEntry("One Piece", 1, 3, "volume")),
        ("/lib/Comic v02 (2020) (Digital).cbz", "Comic v002", SeriesEntry("Comic", 2, None, "volume")),
        ("/lib/[Author] Title 1.cbz", "Title v001", SeriesEntry("Title", 1, None, "volume")),
        ("/lib/Mach 5.cbz", "Mach v005", SeriesEntry("Mach", 5, None, "volume")),
    ],
)
def test_a_comic_takes_its_series_from_the_normalised_title(
    path: str, title: str, series: SeriesEntry
) -> None:
    parsed = parse_path(path, root_level=True, file_type="cbz")
    assert (parsed.title, parsed.series) == (title, (series,))


PREDICATES = {
    "pdf_supplement_name": is_supplement_name,
    "excluded_supplement": is_excluded_supplement,
    "own_special_file": is_companion,
}


@pytest.mark.parametrize(("case", "expected"), load("supplements"))
def test_files_beside_a_book_are_told_by_name(case: dict[str, str], expected: bool) -> None:
    assert PREDICATES[case["function"]](case["filename"]) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [(" Liner Notes .pdf", True), ("notes.epub", False), ("notes", False), ("my notes.pdf", False)],
)
def test_a_supplement_name_is_the_whole_name_of_a_pdf(name: str, expected: bool) -> None:
    assert is_supplement_name(name) is expected


PATH = st.lists(st.sampled_from([*"/.[]{}() #12;,", "v", "cbz", "A", "é", "\udce9", "\0"]), max_size=40).map(
    "".join
)


@given(st.one_of(st.text(max_size=60), PATH), st.booleans(), st.sampled_from(["cbz", "epub", "m4b", "pdf"]))
def test_any_path_can_be_read(path: str, root_level: bool, file_type: str) -> None:
    parsed = parse_path(path, root_level=root_level, file_type=file_type)
    for text in (parsed.title or "", *names(parsed), *parsed.narrators):
        assert text == text.strip()
        text.encode()
    is_supplement_name(path)
    is_excluded_supplement(path)
