"""Dates as media files write them -> `date`. Formats that only one parser knows live there."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_MONTHS = {name[:length]: n for n, name in enumerate(_MONTH_NAMES, 1) for length in (3, len(name))}
_MONTHS["sept"] = 9
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_DATES = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        r"(?P<year>\d{4})",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
        r"(?P<year>\d{4})([-/.])(?P<month>\d\d?)(?:\2(?P<day>\d\d?))?",
        rf"(?P<day>\d\d?)(?:st|nd|rd|th)?[-\s]{_MONTH}[-,\s]\s?(?P<year>\d{{4}})",
        rf"{_MONTH}\s(?:(?P<day>\d\d?)(?:st|nd|rd|th)?,?\s)?(?P<year>\d{{4}})",
    )
)
_TIME = re.compile(
    r"(?P<date>.*?\d)[T\s]\s?(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d)(?::[0-5]\d(?:[.,]\d+)?)?"
    r"\s?(?:Z|UTC|GMT|(?P<sign>[+-])(?P<zone_hours>[01]\d|2[0-3]):?(?P<zone_minutes>[0-5]\d)?)?",
    re.ASCII,
)
_MAX_LENGTH = 50
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


def parse_date(text: str | None) -> date | None:
    """Read a date that can be meant in one way only, with or without a time and a zone.

    `YYYY`, `YYYY-MM`, `YYYY-MM-DD` (also with `/` or `.`), `YYYYMMDD`, `24-Mar-2015`, `March 24, 2015`,
    `March 2015`. Returns the date in UTC; the first of the month or year where parts are not given.
    Source: spec 4, dates.
    """
    # Differs from Shisho: it knows ISO forms with all their digits alone. Numbers like 3/4/2015 stay out.
    text = (text or "").strip()
    if len(text) > _MAX_LENGTH:
        return None
    time = _TIME.fullmatch(text)
    match = next((m for form in _DATES if (m := form.fullmatch(time["date"] if time else text))), None)
    if not match:
        return None
    parts = match.groupdict()
    month = parts.get("month") or "1"
    try:
        number = _MONTHS.get(month.lower()) or int(month)
        found = datetime(int(parts["year"]), number, int(parts.get("day") or 1))
        return (found + _offset(time)).date() if time else found.date()
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


def _offset(time: re.Match[str]) -> timedelta:
    """Return what leads from the start of the day to the moment in UTC."""
    since_midnight = timedelta(hours=int(time["hours"]), minutes=int(time["minutes"]))
    zone = timedelta(hours=int(time["zone_hours"] or 0), minutes=int(time["zone_minutes"] or 0))
    return since_midnight + (zone if time["sign"] == "-" else -zone)


def _integer(text: str | None) -> int | None:
    match = _INTEGER.fullmatch((text or "").strip())
    return int(match[0]) if match else None


def _within(text: str | None, highest: int) -> int:
    value = _integer(text)
    return value if value is not None and 1 <= value <= highest else 1
