from __future__ import annotations

from datetime import date

import pytest

from datasette_shisho_resync.comparison import comparison_key, prepared
from datasette_shisho_resync.fields import BY_NAME
from datasette_shisho_resync.model import (
    Author,
    Chapter,
    CoverImage,
    Identifier,
    Identities,
    Identity,
    SeriesEntry,
    Value,
)

PEN = Identity(7, "Real Name")
ROWS = Identities(
    {
        ("persons", "real name"): PEN,
        ("persons", "pen name"): PEN,
        ("genres", "fiction"): Identity(3, "Fiction"),
        ("genres", "novel"): Identity(3, "Fiction"),
        ("series", "saga"): Identity(4, "Saga"),
        ("publishers", "press"): Identity(5, "Press"),
    }
)


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("title", "", None),
        ("genres", (), None),
        ("authors", (Author("pen name"),), (Author("Real Name"),)),
        ("authors", (Author("A", "", "hint"),), (Author("a", None),)),
        ("narrators", ("Pen Name",), ("REAL NAME",)),
        ("genres", ("Novel", "X"), ("x", "Fiction")),
        ("series", (SeriesEntry("SAGA", 1),), (SeriesEntry("Saga", 1.0),)),
        ("publisher", " press", "Press"),
        (
            "identifiers",
            (Identifier("asin", "b01"), Identifier("x", "1")),
            (Identifier("x", "1"), Identifier("asin", "B01")),
        ),
        ("cover", CoverImage("aa", "image/png", 1, 1), CoverImage("aa", "image/jpeg", 2, 2)),
        ("release_date", date(2020, 1, 1), date(2020, 1, 1)),
    ],
)
def test_values_that_mean_the_same_are_equal(field: str, one: Value, other: Value) -> None:
    assert comparison_key(BY_NAME[field], one, ROWS) == comparison_key(BY_NAME[field], other, ROWS)


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("title", "a", "A"),
        ("abridged", False, None),
        ("authors", (Author("A"), Author("B")), (Author("B"), Author("A"))),
        ("authors", (Author("A"),), (Author("A", "editor"),)),
        ("narrators", ("A", "B"), ("B", "A")),
        ("genres", ("Éa",), ("éa",)),
        ("series", (SeriesEntry("S", 1),), (SeriesEntry("S", 1, None, "volume"),)),
        ("series", (SeriesEntry("S"), SeriesEntry("T")), (SeriesEntry("T"), SeriesEntry("S"))),
        ("chapters", (Chapter("A"),), (Chapter("A", children=(Chapter("B"),)),)),
        ("cover", CoverImage("aa", "image/png", 1, 1), CoverImage("bb", "image/png", 1, 1)),
    ],
)
def test_values_that_differ_are_seen(field: str, one: Value, other: Value) -> None:
    assert comparison_key(BY_NAME[field], one, ROWS) != comparison_key(BY_NAME[field], other, ROWS)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("authors", (Author("pen name"), Author("Real Name"), Author("Real Name", "editor")),
         (Author("Real Name"), Author("Real Name", "editor"))),
        ("narrators", ("New", "new", "Pen Name"), ("New", "Real Name")),
        ("genres", ("novel", "FICTION", " Other "), ("Fiction", "Other")),
        ("publisher", "PRESS", "Press"),
        ("identifiers", (Identifier("asin", "b1"), Identifier("asin", "b2")), (Identifier("asin", "B2"),)),
        ("subtitle", "as it is ", "as it is "),
    ],
)  # fmt: skip
def test_a_candidate_is_prepared_as_it_would_be_stored(field: str, value: Value, expected: Value) -> None:
    assert prepared(BY_NAME[field], value, None, ROWS, keep_numbers=True) == expected


SAGA = SeriesEntry("Saga", 2.0, 3.0, "volume")


@pytest.mark.parametrize(
    ("offered", "keep_numbers", "expected"),
    [
        (SeriesEntry("saga"), True, SAGA),
        (SeriesEntry("saga"), False, SeriesEntry("Saga")),
        (SeriesEntry("saga", 5.0), True, SeriesEntry("Saga", 5.0)),
        (SeriesEntry("saga", 5.0, 4.0), False, SAGA),
        (SeriesEntry("saga", None, None, "volume"), False, SAGA),
        (SeriesEntry("other", 5.0, 4.0), True, SeriesEntry("other")),
        (SeriesEntry("other", float("nan")), True, SeriesEntry("other")),
    ],
)
def test_a_group_of_numbers_is_kept_whole(
    offered: SeriesEntry, keep_numbers: bool, expected: SeriesEntry
) -> None:
    found = prepared(BY_NAME["series"], (offered,), (SAGA,), ROWS, keep_numbers=keep_numbers)
    assert found == (expected,)


def test_a_series_named_twice_is_stored_once() -> None:
    both = (SeriesEntry("saga", 1.0), SeriesEntry("Saga", 2.0))
    assert prepared(BY_NAME["series"], both, (), ROWS, keep_numbers=False) == (SeriesEntry("Saga", 1.0),)
