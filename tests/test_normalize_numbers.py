from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_vectors import load

from datasette_shisho_resync.normalize.numbers import (
    format_number,
    is_valid_group,
    padded_number,
    parse_number_range,
)


@pytest.mark.parametrize(("text", "expected"), load("series_number"))
def test_a_number_or_range_is_read(text: str, expected: dict[str, float] | None) -> None:
    assert parse_number_range(text) == ((expected["start"], expected["end"]) if expected else None)


@pytest.mark.parametrize("text", ["", "1e2", "1.", "9" * 400, "1" * 1_000_000, "-", "1-", "1\xa0-\xa03"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse_number_range(text) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (1.1, "1.1"),
        (-1.5, "-1.5"),
        (0.0, "0"),
        (-0.0, "0"),
        (100.0, "100"),
        (0.00001, "0.00001"),
        (1e21, "1000000000000000000000"),
        (7, "7"),
    ],
)
def test_a_number_is_written_as_the_shortest_decimal(number: float, text: str) -> None:
    assert format_number(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(1.0, "001"), (1.1, "001.1"), (-1.0, "-001"), (-1.5, "-001.5"), (0.5, "000.5"), (1234.0, "1234")],
)
def test_padding_counts_integer_digits_only(number: float, text: str) -> None:
    assert padded_number(number) == text


@pytest.mark.parametrize(
    ("group", "valid"),
    [
        ((None, None, None), True),
        ((1.0, None, None), True),
        ((1, 2, "volume"), True),
        ((-2.0, -1.0, "chapter"), True),
        ((1.0, 1.0, None), False),
        ((2.0, 1.0, None), False),
        ((None, 2.0, None), False),
        ((None, None, "volume"), False),
        ((1.0, None, "issue"), False),
        ((math.nan, None, None), False),
        ((math.inf, None, None), False),
        ((1.0, math.inf, None), False),
        ((True, None, None), False),
        (("1", None, None), False),
        ((10**400, None, None), False),
        ((1.0, None, ["volume"]), False),
    ],
)
def test_a_number_group_is_stored_whole_or_not_at_all(group: tuple[Any, Any, Any], valid: bool) -> None:
    assert is_valid_group(*group) is valid


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_number_reads_back_as_itself(number: float) -> None:
    assert float(format_number(number)) == number
    assert "e" not in format_number(number)


@given(st.text(max_size=40))
def test_no_text_breaks_the_number_rule(text: str) -> None:
    parse_number_range(text)
