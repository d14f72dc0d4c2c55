import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.exchange.number_formats import has_time, is_utc, shown_number


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (1067, "00000", "01067"),
        (123456, "00000", None),
        (5550123, "000\\-0000", "555-0123"),
        (2065550123, "(000) 000-0000", "(206) 555-0123"),
        (12345, "0000 0000", "0001 2345"),
        (0.5, "0%", "50%"),
        (0.125, "0.0%", "12.5%"),
        (1234.5, "#,##0.00", "1,234.50"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (1234567, '#,##0.00 "EUR"', "1,234,567.00 EUR"),
        (-5, "0.00;[Red]-0.00", "-5.00"),
        (-5, "00000", "-00005"),
        (12.345, "0.00", None),  # two digits would be lost
        (12, "General", None),
        (12, "@", None),
        (3, "0.00E+00", None),
        (0.5, "# ?/?", None),
        (5550123, "[<=9999999]###-####;(###) ###-####", None),
        (1234567, "#,##0,", None),
        (10**18, "00000", None),
    ],
)
def test_what_a_sheet_shows(value, number_format, shown):
    assert shown_number(value, number_format) == shown


def test_times_and_zones_of_dates():
    assert has_time("yyyy-mm-dd hh:mm")
    assert not has_time('yyyy-mm-dd "Uhr"')
    assert is_utc('yyyy-mm-dd"T"hh:mm:ss"Z"')
    assert not is_utc("yyyy-mm-dd hh:mm")


@given(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.text('0#?.,%;"\\_*[]$€-() Eax', max_size=20)
)
def test_no_format_is_too_strange_and_none_loses_digits(value, number_format):
    shown = shown_number(value, number_format)
    assert shown is None or isinstance(shown, str)


@given(st.integers(0, 10**9 - 1), st.integers(1, 9))
def test_zeros_in_front_change_no_digit(value, places):
    shown = shown_number(value, "0" * places)
    assert (shown or str(value)) == str(value).rjust(places, "0")
