"""Numbers and dates as people write them."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.exchange.written import (
    date_readings,
    header_zone,
    in_zone,
    lacks_century,
    number_readings,
    split_time,
)


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1.234,56", None, "1234.56"),
        ("1,234.56", "1234.56", None),
        ("1.234", "1.234", "1234"),
        ("1,234", "1234", "1.234"),
        ("0.123", "0.123", None),
        ("12.0", "12.0", None),
        ("12,5", None, "12.5"),
        ("1.234.567", None, "1234567"),
        ("1'234.50", "1234.50", None),
        ("1 234,5", None, "1234.5"),
        ("1\u202f234,5", None, "1234.5"),
        ("1,23,456.78", "123456.78", None),
        ("€ 500", "500", "500"),
        ("500 EUR", "500", "500"),
        ("-$5", "-5", "-5"),
        ("\u22125", "-5", "-5"),
        ("１２３", "123", "123"),
        ("12,34.5", None, None),
        ("1.2.3", None, None),
        ("(5)", None, None),
        ("50%", None, None),
        ("EUR 5 EUR", None, None),
        ("five", None, None),
        ("", None, None),
    ],
)
def test_numbers(text, point, comma):
    expected = {mark: Decimal(value) for mark, value in ((".", point), (",", comma)) if value is not None}
    assert number_readings(text).by_mark == expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12))
def test_a_grouped_number_is_read_by_its_own_convention_and_never_as_another_number(number):
    english = f"{number:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    assert set(number_readings(english).by_mark.values()) == {number}
    assert set(number_readings(german).by_mark.values()) == {number}


FIRST_OF_FEBRUARY = date(2020, 2, 1)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2020-02-01", {FIRST_OF_FEBRUARY}),
        ("2020/2/1", {FIRST_OF_FEBRUARY}),
        ("20200201", {FIRST_OF_FEBRUARY}),
        ("2020年2月1日", {FIRST_OF_FEBRUARY}),
        ("01.02.2020", {FIRST_OF_FEBRUARY}),
        ("1 Feb 2020", {FIRST_OF_FEBRUARY}),
        ("February 1st, 2020", {FIRST_OF_FEBRUARY}),
        ("1. Februar 2020", {FIRST_OF_FEBRUARY}),
        ("1/2/2020", {FIRST_OF_FEBRUARY, date(2020, 1, 2)}),
        ("2/2/2020", {date(2020, 2, 2)}),
        ("31/12/1980", {date(1980, 12, 31)}),
        ("12/31/1980", {date(1980, 12, 31)}),
        ("31.12.80", set()),
        ("2020-02-30", set()),
        ("31/31/1980", set()),
        ("soon", set()),
    ],
)
def test_dates(text, days):
    assert set(date_readings(text).values()) == days


@pytest.mark.parametrize(
    ("text", "day", "clock", "zone"),
    [
        ("2024-05-06 07:08", "2024-05-06", time(7, 8), None),
        ("2021-05-06T07:08:09.000Z", "2021-05-06", time(7, 8, 9), UTC),
        ("5/6/2024 7:08 PM", "5/6/2024", time(19, 8), None),
        ("5/6/2024, 12:08 am", "5/6/2024", time(0, 8), None),
        ("06.05.2024 07:08 Uhr", "06.05.2024", time(7, 8), None),
        ("2024-05-06 07:08:09+0200", "2024-05-06", time(7, 8, 9), timezone(timedelta(hours=2))),
    ],
)
def test_times(text, day, clock, zone):
    moment = split_time(text)
    assert moment is not None
    assert (moment.day, moment.time, moment.zone) == (day, clock, zone)


@pytest.mark.parametrize("text", ["2024-05-06", "25:00", "2024-05-06 25:00", "2024-05-06 13:00 PM", "7:08"])
def test_what_is_no_date_with_a_time(text):
    assert split_time(text) is None


def test_a_header_can_say_the_zone_of_its_column():
    assert header_zone("Last Activity Date (GMT+2)") == timezone(timedelta(hours=2))
    assert header_zone("At (UTC-03:30)") == timezone(-timedelta(hours=3, minutes=30))
    assert header_zone("At (UTC)") == UTC
    assert header_zone("At") is header_zone("At (GMT+99)") is None


@pytest.mark.parametrize(("month", "day", "why"), [(3, 31, "skipped"), (10, 27, "twice")])
def test_times_around_a_change_of_clocks_are_not_guessed(month, day, why):
    zone = ZoneInfo("Europe/Berlin")
    with pytest.raises(ValueError, match=why):
        in_zone(datetime(2024, month, day, 2, 30), zone)  # noqa: DTZ001 - that is what it is about
    assert in_zone(datetime(2024, month, day, 4), zone).utcoffset() is not None  # noqa: DTZ001


@given(st.text(max_size=70))
def test_no_text_is_too_strange(text):
    number_readings(text)
    date_readings(text)
    split_time(text)
    header_zone(text)


@pytest.mark.parametrize("text", ["05.07.90", "7/5/90", "90-07-05", "5 May 80", "5-May-80", "May 5, '80", "24-05-06"])
def test_of_a_year_of_two_digits_no_century_is_guessed(text):
    assert date_readings(text) == {}
    assert lacks_century(text)


@pytest.mark.parametrize("text", ["05.07.1990", "1990-07-05", "soon", "5.7.", "12:30:45", "1980", "May 80", "1.234.56"])
def test_what_has_a_century_or_is_no_date_lacks_none(text):
    assert not lacks_century(text)
