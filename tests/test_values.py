from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasette_shisho_resync.fields import BY_NAME
from datasette_shisho_resync.model import (
    Author,
    Chapter,
    CoverImage,
    Identifier,
    Limits,
    SeriesEntry,
    Value,
)
from datasette_shisho_resync.values import MAX_DEPTH, from_json, is_empty, to_json

LIMITS = Limits()
COVER = CoverImage("ab" * 32, "image/png", 10, 20, page=3, data=b"x")

SHAPES: list[tuple[str, Value, Any]] = [
    ("title", "Dune", "Dune"),
    ("abridged", False, False),
    ("page_count", 0, 0),
    ("audiobook_duration_seconds", 12.5, 12.5),
    ("release_date", date(2015, 8, 4), "2015-08-04"),
    ("genres", ("Fantasy", "Horror"), ["Fantasy", "Horror"]),
    (
        "authors",
        (Author("A"), Author("B", "editor")),
        [{"name": "A", "role": None}, {"name": "B", "role": "editor"}],
    ),
    (
        "series",
        (SeriesEntry("S", 1.0, 2.5, "volume"), SeriesEntry("T")),
        [
            {"name": "S", "number": 1, "number_end": 2.5, "unit": "volume"},
            {"name": "T", "number": None, "number_end": None, "unit": None},
        ],
    ),
    ("identifiers", (Identifier("asin", "B00H25FCSQ"),), [{"type": "asin", "value": "B00H25FCSQ"}]),
    (
        "chapters",
        (Chapter("One", start_page=0, children=(Chapter("1.1", href="a#b"),)), Chapter("Two")),
        [{"title": "One", "start_page": 0, "children": [{"title": "1.1", "href": "a#b"}]}, {"title": "Two"}],
    ),
    ("chapters", (Chapter("One", start_timestamp_ms=0),), [{"title": "One", "start_timestamp_ms": 0}]),
    ("cover", COVER, {"sha256": "ab" * 32, "mime": "image/png", "width": 10, "height": 20}),
    ("publisher", None, None),
]


@pytest.mark.parametrize(("field_name", "value", "expected"), SHAPES)
def test_a_value_has_the_shape_of_the_public_contract(field_name: str, value: Value, expected: Any) -> None:
    assert to_json(value) == expected
    assert json.loads(json.dumps(to_json(value))) == expected


@pytest.mark.parametrize(("field_name", "value", "data"), SHAPES)
def test_a_value_is_read_back_from_its_shape(field_name: str, value: Value, data: Any) -> None:
    assert from_json(field_name, data, LIMITS) == value


def test_whole_series_numbers_are_written_without_a_fraction() -> None:
    written = json.dumps(to_json((SeriesEntry("S", 1.0, 1e300),)))

    assert '"number": 1,' in written
    assert '"number_end": 1e+300' in written


@pytest.mark.parametrize("name", BY_NAME)
def test_every_field_can_be_read_and_null_is_empty(name: str) -> None:
    assert is_empty(from_json(name, None, LIMITS))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, True),
        ("", True),
        ((), True),
        (False, False),
        (0, False),
        (0.0, False),
        ("x", False),
        (("x",), False),
        (COVER, False),
    ],
)
def test_false_and_zero_are_values(value: Value, expected: bool) -> None:
    assert is_empty(value) is expected


@pytest.mark.parametrize(
    ("field_name", "data", "expected"),
    [
        ("title", "  Dune\0 ", "Dune"),
        ("title", " \t", None),
        ("title", "a\ud800b", "ab"),
        ("language", "eng", "en"),
        ("language", "und", None),
        ("genres", ["Fantasy", " "], ("Fantasy",)),
        ("narrators", ["Ann", {"name": "Bo", "sort_order": 2}], ("Ann", "Bo")),
        ("authors", ["Ann", {"name": "", "role": "editor"}], (Author("Ann"),)),
        ("series", ["Saga", {"name": " ", "number": 1}], (SeriesEntry("Saga"),)),
        ("series", [{"name": "Saga", "number": 2, "number_end": 3}], (SeriesEntry("Saga", 2.0, 3.0),)),
        (
            "identifiers",
            [{"type": "isbn_13", "value": "978-0-316-22929-6"}, {"type": "asin", "value": " "}],
            (Identifier("isbn_13", "9780316229296"),),
        ),
        (
            "identifiers",
            [
                {"type": "asin", "value": "b000000001"},
                {"type": "uuid", "value": "X"},
                {"type": "asin", "value": "b000000002"},
            ],
            (Identifier("asin", "B000000002"), Identifier("uuid", "x")),
        ),
        ("chapters", [{"title": None, "href": "a"}], (Chapter("", href="a"),)),
        ("release_date", date(2020, 1, 2), date(2020, 1, 2)),
        ("authors", (Author("Ann", "writer"),), (Author("Ann", "writer"),)),
        ("cover", COVER, COVER),
    ],
)
def test_data_are_normalised(field_name: str, data: object, expected: Value) -> None:
    assert from_json(field_name, data, LIMITS) == expected


def test_a_number_may_be_as_large_as_a_column_of_numbers_holds() -> None:
    entry = SeriesEntry("S", 1e22, 1.7e308)
    assert from_json("series", to_json((entry,)), Limits()) == (entry,)


def test_a_sort_name_is_kept_as_a_hint() -> None:
    value = from_json("authors", [{"name": "Ann Le", "sort_name": "Le, Ann"}], LIMITS)

    assert isinstance(value, tuple)
    assert isinstance(value[0], Author)
    assert value[0].sort_name == "Le, Ann"


def nested(depth: int) -> list[dict[str, Any]]:
    chapters: list[dict[str, Any]] = [{"title": "deepest"}]
    for _ in range(depth - 1):
        chapters = [{"title": "above", "children": chapters}]
    return chapters


@pytest.mark.parametrize(
    ("field_name", "data", "reason"),
    [
        ("title", 5, "title must be text"),
        ("title", ["x"], "title must be text"),
        ("nonsense", "x", "nonsense is not a field"),
        ("abridged", "yes", "abridged must be true or false"),
        ("page_count", True, "page_count must be a whole number"),
        ("page_count", -1, "page_count must be a whole number"),
        ("page_count", 10**30, "page_count must be a whole number"),
        ("audiobook_duration_seconds", float("nan"), "audiobook_duration_seconds is out of range"),
        ("audiobook_duration_seconds", "1", "audiobook_duration_seconds must be a number"),
        ("release_date", "soon", "release_date is not a date"),
        ("language", "no such language!", "language is not a language tag"),
        ("genres", "Fantasy", "genres must be a list"),
        ("genres", [5], "genres has an entry that is neither a name nor an object with a name"),
        ("tags", [{"tag": "x"}], "tags has an entry that is neither a name nor an object with a name"),
        ("series", [{"number": 1}], "series has an entry that is neither a name nor an object with a name"),
        ("genres", ["x"] * 2001, "genres has more than max_list_entries"),
        ("authors", [{"name": 5}], "authors has an entry whose name must be text"),
        ("authors", [{"name": "A", "role": "hero"}], "authors has an entry with an unknown role"),
        ("series", [{"name": "S"}, {"name": "T", "number": 2, "number_end": 1}], "series has a number, end"),
        (
            "series",
            [{"name": "S", "number": float("inf")}],
            "series has an entry whose number is out of range",
        ),
        ("series", [{"name": "S", "number": True}], "series has an entry whose number must be a number"),
        ("series", [{"name": "S", "unit": "volume"}], "series has a number, end"),
        ("identifiers", ["9780316229296"], "identifiers has an entry that is not an object"),
        ("chapters", {"title": "x"}, "chapters must be a list"),
        ("chapters", [{"title": "x", "href": "a", "start_page": 1}], "chapters has an entry with more than"),
        (
            "chapters",
            [{"title": "x", "start_page": -1}],
            "chapters has an entry whose start_page must be a whole number",
        ),
        ("chapters", [{"title": "x"}] * 20_001, "chapters has more than max_chapters"),
        ("chapters", nested(MAX_DEPTH + 1), "chapters is nested more than 100 deep"),
        ("cover", {"sha256": "x"}, "cover must have"),
    ],
)
def test_data_of_another_shape_are_refused_with_the_field_named(
    field_name: str, data: object, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        from_json(field_name, data, LIMITS)


def test_chapters_may_be_nested_a_hundred_deep_and_nested_ones_count() -> None:
    assert to_json(from_json("chapters", nested(MAX_DEPTH), LIMITS)) == nested(MAX_DEPTH)
    with pytest.raises(ValueError, match=r"max_chapters \(3\)"):
        from_json("chapters", nested(4), Limits(max_chapters=3))


def test_a_description_may_be_longer_than_other_text() -> None:
    limits = Limits(max_scalar_bytes=4, max_description_bytes=8)

    assert from_json("title", "123456789", limits) == "1234"
    assert from_json("description", "123456789", limits) == "12345678"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "role", "number", "title", "children"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(sorted(BY_NAME)), JSON)
def test_any_json_gives_a_value_that_survives_the_round_trip_or_a_value_error(name: str, data: Any) -> None:
    try:
        value = from_json(name, data, LIMITS)
    except ValueError:
        return
    assert from_json(name, json.loads(json.dumps(to_json(value))), LIMITS) == value
