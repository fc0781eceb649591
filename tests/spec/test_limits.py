"""Settings: the defaults, and both sides of every bound."""

from __future__ import annotations

import re

import pytest

from tcrp.spec import limits
from tcrp.spec.limits import CONSTANTS, SETTINGS, Limits, Takeover, Unit

AGREED = {
    "rooms_max": 10_000,
    "rooms_per_ip_max": 1000,
    "ipv6_prefix": 64,
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
    "takeover_after": 60_000_000,
    "texts_per_second_max": 20,
    "password_tries_max": 5,
    "takeover": Takeover.TOKEN,
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


def test_takeover_is_one_of_three_words() -> None:
    assert Limits().with_settings({"takeover": "off"}).takeover is Takeover.OFF
    with pytest.raises(ValueError, match="same_addres"):
        Limits().with_settings({"takeover": "same_addres"})


def test_every_constant_has_its_rule() -> None:
    units = {"SECOND_US", "MINUTE_US"}
    written = [name for name, value in vars(limits).items() if name.isupper() and isinstance(value, int | tuple)]
    assert [name for name in written if name not in units] == list(CONSTANTS)


def test_the_sizes_and_times_that_peers_rely_on_are_the_agreed_ones() -> None:
    """By hand, from the rules: R-UDP-1, R-UDP-2, R-NAME-1, R-TOK-1, R-ADDR-1, R-UDP-4, R-END-1, R-EXIT-1, R-IDLE-2."""
    assert (limits.CLIENT_DATAGRAM_BYTES_MAX, limits.SERVER_DATAGRAM_BYTES_MAX) == (4096, 4094)
    assert (limits.NAME_BYTES_MAX, limits.TOKEN_BYTES_MAX, limits.TOKEN_BYTES) == (255, 1024, 32)
    assert (limits.PORT_MIN, limits.PORT_MAX) == (1024, 65_535)
    assert limits.ENTER_AGAIN_AFTER_US == (0, 200_000, 600_000, 1_400_000)
    assert (limits.ENTER_EVERY_US, limits.ENTER_UNTIL_US) == (5_000_000, 25_000_000)
    assert limits.NOTICE_AGAIN_AFTER_US == (0, 500_000, 1_500_000, 3_500_000)
    assert (limits.ANSWER_ENDED_EVERY_US, limits.ANSWER_ENDED_FACTOR_MAX) == (1_000_000, 3)
    assert limits.LEAVE_AGAIN_AFTER_US == (0, 200_000, 600_000)
    assert (limits.EARLY_DATAGRAMS_MAX, limits.REJECTED_IN_A_ROW_MAX) == (16, 3)
    assert (limits.TAKEOVERS_A_MINUTE_MAX, limits.SHUTDOWN_LINGER_US) == (3, 500_000)
    assert limits.QUIET_US == 200_000


def test_the_bounds_of_particular_settings_are_the_agreed_ones() -> None:
    bounds = {
        "ipv6_prefix": (1, 128),
        "request_bytes_max": (64, 16_777_216),
        "takeover_after": (1_000_000, SETTINGS["idle_timeout"].most),
    }
    assert {name: (SETTINGS[name].least, SETTINGS[name].most) for name in bounds} == bounds
    assert SETTINGS["linger"].least == 0


def test_limits_out_of_bounds_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="members_max is 0; allowed are 1 to "):
        Limits(members_max=0)


def test_a_choice_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"^takeover is 'on'; allowed are "):
        Limits().with_settings({"takeover": "on"})


@pytest.mark.parametrize("name", NUMBERS)
def test_the_bounds_of_a_setting_may_be_written_and_nothing_beyond_them(name: str) -> None:
    setting = SETTINGS[name]
    is_duration = setting.unit is Unit.DURATION
    for value, fits in (
        (setting.least, True), (setting.most, True), (setting.least - 1, False), (setting.most + 1, False),
    ):  # fmt: skip
        written = f"{value}us" if is_duration else str(value)
        if fits:
            assert limits.parse_setting(name, written) == value
        else:
            with pytest.raises(ValueError, match=rf"^{name}"):
                limits.parse_setting(name, written)


@pytest.mark.parametrize("number", ["-1", "0", "9" * 19, "9" * 20, "9" * 5000])
def test_a_whole_number_out_of_bounds_is_said_to_be_so_however_long(number: str) -> None:
    with pytest.raises(ValueError, match=f"^rooms_max is {number}; allowed are 1 to "):
        limits.parse_setting("rooms_max", number)


@pytest.mark.parametrize("word", ["", "-", "1.5", "+1", "1_000", "١", "many"])
def test_what_is_no_whole_number_is_said_to_be_none(word: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"rooms_max is {word!r}; a whole number is expected; allowed are ")):
        limits.parse_setting("rooms_max", word)


def test_a_duration_that_is_none_is_told_with_its_settings_name() -> None:
    with pytest.raises(ValueError, match=r"^idle_timeout: a duration such as 10ms or 1.5s is expected"):
        limits.parse_setting("idle_timeout", "soon")
