"""Durations and settings in their written form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcrp.spec.durations import LONGEST_US, parse_duration, write_duration
from tcrp.spec.limits import SETTINGS, Limits, parse_setting, write_setting


@pytest.mark.parametrize(
    ("text", "us"),
    [("0s", 0), ("1us", 1), ("1.5ms", 1500), ("300s", 300_000_000), ("2m", 120_000_000), ("1h", 3_600_000_000)],
)
def test_durations_carry_units(text: str, us: int) -> None:
    assert parse_duration(text) == us


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-1s", "a duration such as 10ms or 1.5s is expected"),
        ("1 s", "a duration such as"),
        ("1.5us", "1.5us is finer than a microsecond"),
        ("9999h", "9999h is longer than a year"),
    ],
)
def test_an_invalid_duration_is_an_error_that_says_what_is_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_duration(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("300", "; a unit is missing: 300s, 300ms?"), ("1.5", "; a unit is missing: 1.5s, 1.5ms?"), ("1.5.2", ""),
     ("fast", ""), ("5 s", "; did you mean 5s?"),
     ("2min", "; did you mean 2m?"), ("", ""), ("1.1234567s", ""), ("5d", ""), ("٣s", "")],
)  # fmt: skip
def test_a_number_without_a_unit_is_asked_for_its_unit(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_duration(text)
    assert str(error.value) == (f"a duration such as 10ms or 1.5s is expected (us ms s m h), not {text!r}{hint}")


def test_a_year_is_a_duration_and_a_microsecond_more_is_not() -> None:
    assert parse_duration("8760h") == LONGEST_US == 365 * 86_400 * 1_000_000
    with pytest.raises(ValueError, match=r"^31536000.000001s is longer than a year$"):
        parse_duration("31536000.000001s")


@pytest.mark.parametrize(
    ("us", "text"), [(0, "0s"), (1, "1us"), (999, "999us"), (1000, "1ms"), (1500, "1500us"), (60_000_000, "60s")]
)
def test_a_duration_is_written_with_the_largest_unit_that_needs_no_fraction(us: int, text: str) -> None:
    assert write_duration(us) == text


@given(st.integers(0, LONGEST_US))
def test_a_written_duration_reads_back(us: int) -> None:
    assert parse_duration(write_duration(us)) == us


@pytest.mark.parametrize("name", SETTINGS)
def test_every_written_setting_reads_back(name: str) -> None:
    assert parse_setting(name, write_setting(name, Limits())) == getattr(Limits(), name)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("idle_timeout", 300, "idle_timeout is 300; a duration with its unit is expected, such as 300s"),
        ("idle_timeout", "0s", "idle_timeout is 0s; allowed are 1ms to 31536000s"),
        ("rooms_max", "0", "rooms_max is 0; allowed are 1 to 10000000"),
        ("rooms_max", "many", "rooms_max is 'many'; a whole number is expected"),
        ("rooms_max", True, "rooms_max is True; a whole number is expected"),
        ("takeover", "on", "takeover is 'on'; allowed are token, same_address, off"),
    ],
)
def test_an_invalid_setting_is_an_error_with_name_value_and_what_is_allowed(
    name: str, value: object, said: str
) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_setting(name, value)
    assert said in str(error.value)
