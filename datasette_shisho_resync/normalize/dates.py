"""Dates as media files write them -> `date`. Formats that only one parser knows live there."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:"
    r"(?P<compact_month>[0-9]{2})(?P<compact_day>[0-9]{2})"
    r"|-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})(?P<time>T.*)?)?"
    r")?"
)
_TIME = re.compile(
    r"T(?P<hours>[01][0-9]|2[0-3]):(?P<minutes>[0-5][0-9]):[0-5][0-9](?:[.,][0-9]+)?"
    r"(?:Z|(?P<sign>[+-])(?P<zone_hours>[01][0-9]|2[0-3]):(?P<zone_minutes>[0-5][0-9]))"
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


def parse_date(text: str | None) -> date | None:
    """Read `YYYY`, `YYYY-MM`, `YYYYMMDD`, `YYYY-MM-DD`, or that with a time and a zone.

    Returns the date in UTC; the first of the month or year where parts are not given.
    Source: spec 4, dates.
    """
    # Differs from Shisho: blanks around it, `YYYY-MM` and `YYYYMMDD` are understood.
    match = _DATE.fullmatch((text or "").strip())
    if not match:
        return None
    month = match["month"] or match["compact_month"] or "1"
    day = match["day"] or match["compact_day"] or "1"
    try:
        found = datetime(int(match["year"]), int(month), int(day))
        return _in_utc(found, match["time"]) if match["time"] else found.date()
    except (ValueError, OverflowError):
        return None


def comic_date(year: str | None, month: str | None, day: str | None) -> date | None:
    """Build a date from ComicInfo's three texts; a day that the month lacks rolls on.

    Source: spec 4.2, release date.
    """
    # Differs from Shisho: blanks around a number are trimmed.
    whole_year = _integer(year)
    if whole_year is None or not 1 <= whole_year <= 9999:
        return None
    first = date(whole_year, _within(month, 12), 1)
    return first + timedelta(days=_within(day, 31) - 1)


def _in_utc(day: datetime, time: str) -> date | None:
    match = _TIME.fullmatch(time)
    if not match:
        return None
    moment = day + timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
    if match["sign"]:
        offset = timedelta(hours=int(match["zone_hours"]), minutes=int(match["zone_minutes"]))
        moment += offset if match["sign"] == "-" else -offset
    return moment.date()


def _integer(text: str | None) -> int | None:
    match = _INTEGER.fullmatch((text or "").strip())
    return int(match[0]) if match else None


def _within(text: str | None, highest: int) -> int:
    value = _integer(text)
    return value if value is not None and 1 <= value <= highest else 1
