from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_vectors import load
from stdnum import ean, isbn
from vector_differences import ours

from datasette_shisho_resync.model import Identifier
from datasette_shisho_resync.normalize.identifiers import (
    identifier,
    is_isbn_10,
    is_isbn_13,
    merged_identifiers,
    normalize_identifier,
)

UUID = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"


def name_of(case: dict[str, str]) -> str:
    return f"{case['function']} {case['value']}"


def vectors(function: str) -> list[tuple[Any, Any]]:
    return [(case, expected) for case, expected in load("identifiers") if case["function"] == function]


@pytest.mark.parametrize(("case", "expected"), vectors("detect"))
def test_the_type_is_told_from_scheme_and_value(case: dict[str, str], expected: str) -> None:
    found = identifier(case["value"], case["scheme"])
    assert (found.type if found else "") == ours("identifiers", name_of(case), expected)


@pytest.mark.parametrize(("case", "expected"), vectors("normalize"))
def test_a_value_has_one_stored_form(case: dict[str, str], expected: str) -> None:
    assert normalize_identifier(case["type"], case["value"]) == ours("identifiers", name_of(case), expected)
    assert normalize_identifier(case["type"], expected) == expected


@pytest.mark.parametrize(("case", "expected"), vectors("isbn10"))
def test_an_isbn_10_has_a_check_digit(case: dict[str, str], expected: bool) -> None:
    assert is_isbn_10(case["value"]) is expected


@pytest.mark.parametrize(("case", "expected"), vectors("isbn13"))
def test_an_isbn_13_has_a_check_digit(case: dict[str, str], expected: bool) -> None:
    assert is_isbn_13(case["value"]) is expected


@pytest.mark.parametrize(
    ("value", "scheme", "expected"),
    [
        ("urn:isbn:9780316769488", "", ("isbn_13", "9780316769488")),
        ("URN:ISBN:0-316-76948-7", "", ("isbn_10", "0316769487")),
        ("urn:isbn:9780316769488", "ISBN", ("isbn_13", "9780316769488")),
        ("isbn:9780316769488", "", ("isbn_13", "9780316769488")),
        ("ISBN-13: 978-0-316-76948-8", "", ("isbn_13", "9780316769488")),
        ("ISBN13 9780316769488", "", ("isbn_13", "9780316769488")),
        ("ISBN (10): 0-8044-2957-x", "", ("isbn_10", "080442957X")),
        ("ISBN-10 0316769487", "ISBN", ("isbn_10", "0316769487")),
        ("978‑0‑316‑76948‑8", "", ("isbn_13", "9780316769488")),
        ("9780316769488 (pbk.)", "ISBN", ("isbn_13", "9780316769488")),
        ("9780316769488", "isbn-13", ("isbn_13", "9780316769488")),
        ("ref-9780316769488-v2", "", None),
        ("ref-9780316769488-v2", "ISBN", None),
        ("https://example.org/9780316769488", "", None),
        ("٩٧٨٠٣١٦٧٦٩٤٨٨", "", None),
        ("urn:asin:b08n5wrwnw", "", ("asin", "B08N5WRWNW")),
        ("URN:ASIN:B08N5WRWNW", "ASIN", ("asin", "B08N5WRWNW")),
        ("b08n5wrwnw", "", ("asin", "B08N5WRWNW")),
        ("1234567890", "amazon_de", ("asin", "1234567890")),
        (UUID, "MOBI-ASIN", None),
        (f"mobi-asin:{UUID}", "", None),
        (f"urn:uuid:{UUID}", "", ("uuid", UUID)),
        (f"URN:UUID:{UUID.upper()}", "uuid", ("uuid", UUID)),
        ("00000000-0000-0000-0000-978031676948", "", ("uuid", "00000000-0000-0000-0000-978031676948")),
        ("urn:uuid:nonsense", "", None),
        ("urn:uuid:", "UUID", None),
        (" 12345 ", "Goodreads", ("goodreads", "12345")),
        ("zyTCAlFPjgYC", "google", ("google", "zyTCAlFPjgYC")),
        ("goodreads:12345", "", ("goodreads", "12345")),
        ("Mobi-ASIN: b08n5wrwnw", "", ("asin", "B08N5WRWNW")),
        ("amazon_de:b08n5wrwnw", "", ("asin", "B08N5WRWNW")),
        (f"uuid:{UUID.upper()}", "", ("uuid", UUID)),
        ("goodreads:12345", "DOI", None),
        ("calibre:12345", "", None),
        ("google:", "", None),
        ("   ", "ASIN", None),
        ("1" + " " * 60_000 + "y", "ISBN", None),
    ],
)
def test_labels_urns_and_schemes_are_understood(
    value: str, scheme: str, expected: tuple[str, str] | None
) -> None:
    assert identifier(value, scheme) == (Identifier(*expected) if expected else None)


def test_the_last_of_a_type_wins_at_the_place_of_the_first() -> None:
    items = [Identifier("asin", "A"), Identifier("uuid", "U"), Identifier("asin", "B")]
    assert merged_identifiers(items) == (Identifier("asin", "B"), Identifier("uuid", "U"))
    assert merged_identifiers([]) == ()


@given(st.text(max_size=60), st.sampled_from(["", "ISBN", "ASIN", "UUID", "AMAZON_", "other"]))
def test_a_stored_value_normalises_to_itself(value: str, scheme: str) -> None:
    found = identifier(value, scheme)
    assert found is None or normalize_identifier(found.type, found.value) == found.value


@given(st.text(alphabet="0123456789xX-– isbnuur:.()", max_size=40))
def test_what_counts_as_isbn_has_a_right_check_digit(value: str) -> None:
    found = identifier(value)
    assert found is None or is_isbn_10(found.value) or is_isbn_13(found.value)


@given(
    st.from_regex(r"97[89][0-9]{10}|[0-9]{9}[0-9X]", fullmatch=True)
    | st.sampled_from(["9780316769488", "0316769487", "080442957X", "9791090636071"])
)
def test_isbns_are_judged_as_a_library_for_them_does(number: str) -> None:
    assert (is_isbn_10(number) or is_isbn_13(number)) is isbn.is_valid(number)


@given(st.from_regex(r"97[89][0-9]{9}|[0-9]{9}", fullmatch=True))
def test_an_isbn_with_the_librarys_check_digit_is_one(body: str) -> None:
    digit = ean.calc_check_digit(body) if len(body) == 12 else isbn._calc_isbn10_check_digit(body)
    assert is_isbn_13(body + digit) or is_isbn_10(body + digit)
