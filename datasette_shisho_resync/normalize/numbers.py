"""Series numbers: reading a number or a range, and writing one back. Knows nothing of titles."""

from __future__ import annotations

import math
import re
from decimal import Decimal

VOLUME, CHAPTER = "volume", "chapter"
UNITS = (VOLUME, CHAPTER)

_MAX_LENGTH = 100
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_BLANKS = r"[ \t\n\f\r]*"
_RANGE = re.compile(rf"({_NUMBER})(?:{_BLANKS}[-–—]{_BLANKS}({_NUMBER}))?")


def parse_number_range(text: str) -> tuple[float, float | None] | None:
    """Read `A` or `A-B` with B greater than A; None for anything else.

    Source: spec 6.2.
    """
    text = text.strip()
    match = _RANGE.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if not match:
        return None
    number = float(match[1])
    number_end = float(match[2]) if match[2] else None
    return (number, number_end) if is_valid_group(number, number_end, None) else None


def format_number(n: float) -> str:
    """Write the shortest decimal that reads back as `n`, never with an exponent."""
    text = format(Decimal(repr(float(n))), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def padded_number(n: float) -> str:
    """Write `n` with three integer digits at least: `001`, `001.5`, `-001`."""
    # Differs from Shisho: its display names have a second formatter, with float noise.
    text = format_number(n)
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    integer, point, fraction = digits.partition(".")
    return f"{sign}{integer.zfill(3)}{point}{fraction}"


def is_valid_group(number: object, number_end: object, unit: object) -> bool:
    """Tell whether the three values may be stored together; all None is valid.

    Source: spec 2.5.
    """
    if unit is not None and unit not in UNITS:
        return False
    if number is None:
        return number_end is None and unit is None
    start, end = _finite(number), _finite(number_end)
    if start is None:
        return False
    return number_end is None or (end is not None and end > start)


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
