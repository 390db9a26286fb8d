from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasette_shisho_resync.normalize.dates import comic_date, parse_date


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-02-29", date(2020, 2, 29)),
        ("2020", date(2020, 1, 1)),
        ("2020-05", date(2020, 5, 1)),
        ("20200517", date(2020, 5, 17)),
        (" 2020-05-17\n", date(2020, 5, 17)),
        ("2020-05-17T10:00:00Z", date(2020, 5, 17)),
        ("2020-05-17T10:00:00.123456Z", date(2020, 5, 17)),
        ("2020-01-01T00:30:00+02:00", date(2019, 12, 31)),
        ("2019-12-31T23:30:00-02:00", date(2020, 1, 1)),
        ("0101-01-01T00:00:00+00:00", date(101, 1, 1)),
        ("0001", date(1, 1, 1)),
        ("9999-12-31", date(9999, 12, 31)),
        ("9999-12-31T23:00:00-05:00", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("0000", None),
        ("2021-02-29", None),
        ("2020-13", None),
        ("2020-05-17 10:00:00Z", date(2020, 5, 17)),
        ("2020-05-17T10:00:00+0000", date(2020, 5, 17)),
        ("2020-05-17T23:30:00-0200", date(2020, 5, 18)),
        ("2020-05-17T23:30:00-02", date(2020, 5, 18)),
        ("2020-05-17 23:30:00 -0200", date(2020, 5, 18)),
        ("2020-05-17T10:00:00", date(2020, 5, 17)),
        ("2020-05-17 10:00", date(2020, 5, 17)),
        ("2020-05-17 10:00:00 UTC", date(2020, 5, 17)),
        ("2020-5-7", date(2020, 5, 7)),
        ("2020/05/17", date(2020, 5, 17)),
        ("2020.05.17", date(2020, 5, 17)),
        ("2020/05.17", None),
        ("24-Mar-2015", date(2015, 3, 24)),
        ("24-MAR-2015", date(2015, 3, 24)),
        ("4 Sept. 2015", date(2015, 9, 4)),
        ("4th September 2015", date(2015, 9, 4)),
        ("March 24, 2015", date(2015, 3, 24)),
        ("Mar 24 2015", date(2015, 3, 24)),
        ("May 2020", date(2020, 5, 1)),
        ("31 February 2020", None),
        ("March 24", None),
        ("Marching 2020", None),
        ("03/04/2015", None),
        ("24.03.2015", None),
        ("2004-2005", None),
        ("1" * 60, None),
        ("2020-05-17T24:00:00Z", None),
        ("2020-05-17Tgarbage", None),
        ("2020-05-17\nT10:00:00Z", None),
        ("２０２０", None),
        ("12345", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_read_where_it_can_be_meant_in_one_way(text: str | None, expected: date | None) -> None:
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    ("year", "month", "day", "expected"),
    [
        ("2019", "5", "17", date(2019, 5, 17)),
        (" 2019 ", "\t05", "17 ", date(2019, 5, 17)),
        ("2019", None, None, date(2019, 1, 1)),
        ("2019", "13", "32", date(2019, 1, 1)),
        ("2019", "-1", "-1", date(2019, 1, 1)),
        ("2019", "2", "30", date(2019, 3, 2)),
        ("2020", "2", "30", date(2020, 3, 1)),
        ("9999", "12", "31", date(9999, 12, 31)),
        ("9999", "11", "31", date(9999, 12, 1)),
        (None, "5", "17", None),
        ("", "5", "17", None),
        ("-1", "5", "17", None),
        ("0", "5", "17", None),
        ("10000", "5", "17", None),
        ("9" * 5_000, "5", "17", None),
        ("2019.5", None, None, None),
    ],
)
def test_a_comic_date_needs_a_year_and_rolls_over(
    year: str | None, month: str | None, day: str | None, expected: date | None
) -> None:
    assert comic_date(year, month, day) == expected


@given(st.dates())
def test_an_iso_date_reads_as_itself(day: date) -> None:
    assert parse_date(day.isoformat()) == day
    assert comic_date(str(day.year), str(day.month), str(day.day)) == day


@given(
    st.dates(min_value=date(1000, 1, 1)), st.sampled_from(["%d-%b-%Y", "%d %B %Y", "%B %d, %Y", "%Y/%m/%d"])
)
def test_a_date_in_words_reads_as_itself(day: date, form: str) -> None:
    assert parse_date(day.strftime(form)) == day


TIMES = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:00{}{:02}:30".format,
    st.integers(0, 9999),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 24),
    st.integers(0, 60),
    st.sampled_from("+-"),
    st.integers(0, 24),
)


@given(st.one_of(st.text(max_size=40), TIMES))
def test_no_text_breaks_the_date_rules(text: str) -> None:
    parse_date(text)
    comic_date(text, text, text)
