"""Times as a Shisho library stores them: UTC text. Knows neither tables nor connections (spec 1.1)."""

from __future__ import annotations

import re
import time
from datetime import date, datetime, timedelta
from functools import lru_cache

_SECOND = 1_000_000_000
_DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1)  # without a zone: half the time to add to and to print
_EPOCH_ORDINAL = _EPOCH.toordinal()
_YEAR_ZERO_ORDINAL = date(1, 1, 1).toordinal() - 366  # where a time without a date belongs

_STORED = re.compile(
    r"""
    (?: (?P<date> \d{4}-\d\d-\d\d ) (?: [ T] (?=\d) | $ ) )?
    (?:
        (?P<hour> [01]\d | 2[0-3] ) : (?P<minute> [0-5]\d ) : (?P<second> [0-5]\d )
        (?: \. (?P<fraction> \d+ ) )?
        (?: Z | (?P<sign> [+-] ) (?P<zone> \d\d (?: :[0-5]\d ){0,2} ) )?
    )?
    """,
    re.VERBOSE | re.ASCII,
)


def to_stored(ns: int) -> str:
    """Write an instant, in nanoseconds since 1970, as Shisho does: `2026-01-19 23:16:49.1234+00:00`.

    Cut to microseconds; an instant outside the years 1 to 9999 becomes the nearest one inside.
    """
    second, rest = divmod(ns, _SECOND)
    whole = _whole_second(second)
    if whole is None:
        return "0001-01-01 00:00:00+00:00" if ns < 0 else "9999-12-31 23:59:59.999999+00:00"
    fraction = f".{rest // 1000:06}".rstrip("0") if rest >= 1000 else ""
    return f"{whole}{fraction}+00:00"


@lru_cache(maxsize=4096)  # files that were copied together have few seconds between them
def _whole_second(second: int) -> str | None:
    try:
        return str(_EPOCH + timedelta(0, second))
    except OverflowError:
        return None


def now() -> str:
    """Write the present instant as Shisho does."""
    return to_stored(time.time_ns())


def from_stored(text: str | None) -> int | None:
    """Read an instant in any form that a library may hold; a missing zone means UTC.

    Returns: nanoseconds since 1970, None for NULL or what is no time; without a date it lies in the year 0.
    """
    match = _STORED.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        return None
    ordinal = _ordinal(match["date"])
    if ordinal is None:
        return None
    second = (ordinal - _EPOCH_ORDINAL) * _DAY_SECONDS
    if match["hour"]:
        second += int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"])
    return (second - _offset_seconds(match)) * _SECOND + int((match["fraction"] or "")[:9].ljust(9, "0"))


def _ordinal(text: str | None) -> int | None:
    if text is None:
        return _YEAR_ZERO_ORDINAL
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        return None


def _offset_seconds(match: re.Match[str]) -> int:
    if not match["zone"]:
        return 0
    units = [int(part) for part in match["zone"].split(":")]
    offset = sum(unit * size for unit, size in zip(units, (3600, 60, 1), strict=False))
    return -offset if match["sign"] == "-" else offset


def stored_date(text: str | None) -> date | None:
    """Read the UTC date of a stored time; None where it has none."""
    ns = from_stored(text)
    if ns is None:
        return None
    ordinal = ns // (_DAY_SECONDS * _SECOND) + _EPOCH_ORDINAL
    return date.fromordinal(ordinal) if date.min.toordinal() <= ordinal <= date.max.toordinal() else None


def date_to_stored(day: date) -> str:
    """Write a date as the midnight in UTC that Shisho stores for it."""
    return f"{day.isoformat()} 00:00:00+00:00"
