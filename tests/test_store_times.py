from __future__ import annotations

import time
from datetime import date

import pytest

from datasette_shisho_resync.store.times import date_to_stored, from_stored, now, stored_date, to_stored

SECOND = 1_000_000_000
T = 1_768_864_609  # 2026-01-19 23:16:49 UTC


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (T * SECOND + 123_456_000, "2026-01-19 23:16:49.123456+00:00"),
        (T * SECOND + 123_450_000, "2026-01-19 23:16:49.12345+00:00"),
        (T * SECOND + 100_000_000, "2026-01-19 23:16:49.1+00:00"),
        (T * SECOND + 1_999, "2026-01-19 23:16:49.000001+00:00"),
        (T * SECOND + 999, "2026-01-19 23:16:49+00:00"),
        (T * SECOND, "2026-01-19 23:16:49+00:00"),
        (1_768_867_200 * SECOND, "2026-01-20 00:00:00+00:00"),
        (0, "1970-01-01 00:00:00+00:00"),
        (-SECOND // 2, "1969-12-31 23:59:59.5+00:00"),
    ],
)
def test_an_instant_is_written_as_shisho_does(ns: int, text: str) -> None:
    assert to_stored(ns) == text


@pytest.mark.parametrize(
    ("ns", "start"), [(2**80, "9999-12-31 23:59:59.999999"), (-(2**80), "0001-01-01 00:00:00")]
)
def test_an_instant_beyond_the_calendar_becomes_the_nearest_one_inside(ns: int, start: str) -> None:
    assert to_stored(ns) == start + "+00:00"


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-01-19 23:16:49.123456+00:00", T * SECOND + 123_456_000),
        ("2026-01-19 23:16:49.123456789+00:00", T * SECOND + 123_456_789),
        ("2026-01-19 23:16:49.1234567899+00:00", T * SECOND + 123_456_789),
        ("2026-01-19 23:16:49+00:00", T * SECOND),
        ("2026-01-19 23:16:49", T * SECOND),
        ("2026-01-19 23:16:49.5", T * SECOND + SECOND // 2),
        ("2026-01-20 01:16:49+02", T * SECOND),
        ("2026-01-19 17:46:49-05:30", T * SECOND),
        ("2026-01-20 01:16:50+02:00:01", T * SECOND),
        ("2026-01-19T23:16:49Z", T * SECOND),
        ("2026-01-20T00:16:49.25+01:00", T * SECOND + SECOND // 4),
        ("2026-01-20", 1_768_867_200 * SECOND),
        ("0001-01-01 00:00:00+00:00", -62_135_596_800 * SECOND),
        ("00:00:01", (-62_135_596_800 - 366 * 86_400 + 1) * SECOND),
        ("23:00:00+00", (-62_135_596_800 - 365 * 86_400 - 3600) * SECOND),
    ],
)
def test_every_form_that_a_library_may_hold_is_read(text: str, ns: int) -> None:
    assert from_stored(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", " ", "yesterday", "2026", "2026-02-30", "2026-13-01 00:00:00", "2026-01-20 "),
        *("2026-01-20 24:00:00", "2026-01-20 10:60:00", "2026-01-20 10:00", "2026-01-20 10:00:00+0200"),
        *("0000-01-01 00:00:00", "٢٠٢٦-01-20", "2026-01-20\n"),
    ],
)
def test_what_is_no_time_is_none(text: str | None) -> None:
    assert from_stored(text) is None
    assert stored_date(text) is None


def test_a_number_in_a_time_column_is_no_time() -> None:
    assert from_stored(2026) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2020-01-01 00:00:00+00:00", date(2020, 1, 1)),
        ("2020-01-01 00:30:00+02:00", date(2019, 12, 31)),
        ("2019-12-31 23:30:00-02:00", date(2020, 1, 1)),
        ("2020-02-29", date(2020, 2, 29)),
        ("1815-06-18 00:00:00+00:00", date(1815, 6, 18)),
        ("9999-12-31 23:00:00-02:00", None),
        ("12:00:00", None),
    ],
)
def test_a_stored_date_is_the_day_in_utc(text: str, day: date | None) -> None:
    assert stored_date(text) == day


@pytest.mark.parametrize("day", [date(2020, 2, 29), date(812, 1, 3), date.min, date.max])
def test_a_date_comes_back_as_it_was_stored(day: date) -> None:
    assert stored_date(date_to_stored(day)) == day


def test_a_date_is_stored_as_midnight() -> None:
    assert date_to_stored(date(812, 1, 3)) == "0812-01-03 00:00:00+00:00"


def test_now_is_the_present_to_the_microsecond() -> None:
    before = time.time_ns() // 1000 * 1000
    read = from_stored(now())
    assert read is not None
    assert before <= read <= time.time_ns()
