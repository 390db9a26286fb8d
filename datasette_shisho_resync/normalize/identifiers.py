"""Identifiers of a publication: which kind a text is, and its one stored form."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..model import Identifier

ISBN_10, ISBN_13, ASIN, UUID = "isbn_10", "isbn_13", "asin", "uuid"

_BY_SCHEME = {
    "ASIN": ASIN,
    "MOBI-ASIN": ASIN,
    "AMAZON": ASIN,
    "GOODREADS": "goodreads",
    "GOOGLE": "google",
    "UUID": UUID,
}
_URN = re.compile(r"urn:(?:asin|uuid):\s*", re.IGNORECASE)
_URN_ASIN = re.compile(r"urn:asin:\s*[A-Z0-9]{10}", re.IGNORECASE)
_AMAZON_NUMBER = re.compile(r"B0[A-Z0-9]{8}", re.IGNORECASE | re.ASCII)
_UUID = re.compile(
    r"(?:urn:uuid:\s*)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII
)

_DASHES = r"\-\u2010-\u2015"
_ISBN_LABEL = re.compile(r"(?:urn:isbn:|isbn)\s*", re.IGNORECASE | re.ASCII)
_ISBN_BARE = re.compile(rf"[0-9Xx\s{_DASHES}]+")
_ISBN_LABELLED = re.compile(rf"[0-9Xx\s{_DASHES}:.()]+")
_BINDING = re.compile(r"\([^()0-9]*\)$")  # "(pbk.)"
_NOT_ISBN = re.compile(r"[^0-9X]")


def identifier(value: str, scheme: str = "") -> Identifier | None:
    """Tell what kind of identifier `value` is and normalise it; None when that is unknown.

    Source: spec 6.3, design 9.
    """
    value, scheme = value.strip(), scheme.strip().upper()
    prefix, _, rest = value.partition(":")
    if not scheme and _type_by_scheme(prefix.upper()):
        # Differs from Shisho: EPUB 3 has no place for the scheme, so calibre writes `goodreads:12`.
        value, scheme = rest.strip(), prefix.upper()
    if not value:
        return None
    if scheme == "ISBN":
        return _isbn(value, declared=True)
    type = _type_by_scheme(scheme) or _type_by_value(value)
    # Differs from Shisho: of a book that Amazon does not sell, calibre makes up a UUID for its number there.
    if type == ASIN and _UUID.fullmatch(value):
        return None
    if type is None:
        return _isbn(value, declared=False)
    normalised = normalize_identifier(type, value)
    return Identifier(type, normalised) if normalised else None


def normalize_identifier(type: str, value: str) -> str:
    """Return the form in which an identifier of this type is stored and compared."""
    type, value = type.strip(), value.strip()
    if type in (ISBN_10, ISBN_13):
        return _isbn_characters(value)
    if type == ASIN:
        return _URN.sub("", value, count=1).upper()
    if type == UUID:
        return _URN.sub("", value, count=1).lower()
    return value


def merged_identifiers(items: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Keep one of each type: the last one, at the place of the first."""
    by_type: dict[str, Identifier] = {}
    for item in items:
        by_type[item.type] = item
    return tuple(by_type.values())


def is_isbn_10(text: str) -> bool:
    """Check length, characters and check digit."""
    text = text.upper()
    if not re.fullmatch(r"[0-9]{9}[0-9X]", text):
        return False
    digits = [10 if c == "X" else int(c) for c in text]
    return sum(weight * digit for weight, digit in zip(range(10, 0, -1), digits, strict=True)) % 11 == 0


def is_isbn_13(text: str) -> bool:
    """Check length, characters and check digit; any prefix will do."""
    if not re.fullmatch(r"[0-9]{13}", text):
        return False
    digits = [int(c) for c in text]
    return (sum(digits[0::2]) + 3 * sum(digits[1::2])) % 10 == 0


def _type_by_scheme(scheme: str) -> str | None:
    return ASIN if scheme.startswith("AMAZON_") else _BY_SCHEME.get(scheme)


def _type_by_value(value: str) -> str | None:
    # Differs from Shisho: a UUID or a URN, in any case, is not searched for ISBN digits.
    if _UUID.fullmatch(value):
        return UUID
    return ASIN if _URN_ASIN.fullmatch(value) or _AMAZON_NUMBER.fullmatch(value) else None


def _isbn(value: str, *, declared: bool) -> Identifier | None:
    label = _ISBN_LABEL.match(value)
    number = value[label.end() :] if label else value
    if declared or label:
        number = _BINDING.sub("", number)
    # Differs from Shisho: digits inside other text are no ISBN.
    if not (_ISBN_LABELLED if declared or label else _ISBN_BARE).fullmatch(number):
        return None
    characters = _isbn_characters(value)
    if is_isbn_13(characters):
        return Identifier(ISBN_13, characters)
    return Identifier(ISBN_10, characters) if is_isbn_10(characters) else None


def _isbn_characters(value: str) -> str:
    label = _ISBN_LABEL.match(value)
    characters = _NOT_ISBN.sub("", value[label.end() if label else 0 :].upper())
    # Differs from Shisho: the 13 of `ISBN-13: 978...` is not part of the number.
    for length in ("10", "13"):
        if label and characters.startswith(length) and len(characters) == int(length) + 2:
            return characters[2:]
    return characters
