"""Settings: the defaults, and both sides of every bound."""

from __future__ import annotations

import pytest

from tcrp.spec.limits import SETTINGS, Limits, Takeover, Unit

AGREED = {
    "rooms_max": 10_000,
    "members_max": 1000,
    "sessions_max": 300_000,
    "sessions_per_ip_max": 10_000,
    "connections_max": 4096,
    "connections_per_ip_max": 256,
    "request_bytes_max": 4096,
    "unentered_rooms_per_ip_max": 10,
    "idle_timeout": 300_000_000,
    "token_timeout": 30_000_000,
    "handshake_timeout": 10_000_000,
    "linger": 5_000_000,
    "takeover_after": 3_000_000,
    "texts_per_second_max": 20,
    "password_tries_max": 5,
    "takeover": Takeover.SAME_ADDRESS,
}
NUMBERS = [name for name, setting in SETTINGS.items() if setting.unit is not Unit.CHOICE]


def test_the_defaults_are_the_agreed_ones() -> None:
    assert {name: getattr(Limits(), name) for name in SETTINGS} == AGREED


@pytest.mark.parametrize("name", NUMBERS)
def test_a_bound_is_allowed_and_the_next_value_is_not(name: str) -> None:
    setting = SETTINGS[name]
    for bound, beyond in ((setting.least, setting.least - 1), (setting.most, setting.most + 1)):
        assert getattr(Limits().with_settings({name: bound}), name) == bound
        with pytest.raises(ValueError, match=f"{name} is {beyond}; allowed are {setting.least} to {setting.most}"):
            Limits().with_settings({name: beyond})


@pytest.mark.parametrize("value", ["5", 5.0, True, None])
def test_only_a_whole_number_is_a_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"rooms_max is .*; a whole number is expected"):
        Limits().with_settings({"rooms_max": value})


def test_an_unknown_setting_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="there is no setting named 'room_max'"):
        Limits().with_settings({"room_max": 1})


def test_takeover_is_one_of_two_words() -> None:
    assert Limits().with_settings({"takeover": "off"}).takeover is Takeover.OFF
    with pytest.raises(ValueError, match="same_addres"):
        Limits().with_settings({"takeover": "same_addres"})
