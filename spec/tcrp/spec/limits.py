"""Every limit and timeout of the protocol, under the one name it has everywhere.

The same name is the key in a TOML file, the command-line option and the scenario's key. Fixed
sizes that a peer can rely on (they are part of the bytes) are constants, not settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from tcrp.spec.durations import parse_duration, write_duration

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US

CLIENT_DATAGRAM_BYTES_MAX = 4096  # R-UDP-1
SERVER_DATAGRAM_BYTES_MAX = 4094  # R-UDP-2
NAME_BYTES_MAX = 255  # R-NAME-1
TOKEN_BYTES_MAX = 255  # R-TOK-1
TOKEN_BYTES = 32  # R-TOK-1: ours, hexadecimal digits
PORT_MIN = 1024  # R-ADDR-1
PORT_MAX = 65535

ENTER_AGAIN_AFTER_US = (0, 200_000, 600_000, 1_400_000)  # R-UDP-4
ENTER_EVERY_US = 5 * SECOND_US  # R-UDP-4
ENTER_UNTIL_US = 25 * SECOND_US  # R-UDP-4
NOTICE_AGAIN_AFTER_US = (0, 500_000, 1_500_000, 3_500_000)  # R-END-1
ANSWER_ENDED_EVERY_US = SECOND_US  # R-END-1
ANSWER_ENDED_FACTOR_MAX = 3  # R-END-1
LEAVE_AGAIN_AFTER_US = (0, 200_000, 600_000)  # R-EXIT-1
EARLY_DATAGRAMS_MAX = 16  # section 1: datagrams that overtake the completion
REJECTED_IN_A_ROW_MAX = 3  # R-IDLE-2
TAKEOVERS_A_MINUTE_MAX = 3  # R-NAME-2
SHUTDOWN_LINGER_US = 500_000  # section 1


class Unit(StrEnum):
    """The unit of a setting's value."""

    COUNT = "count"
    BYTES = "bytes"
    DURATION = "duration"  # held in microseconds, written with a unit: 300s
    CHOICE = "choice"


class Takeover(StrEnum):
    """Who may take over a name that is in use (R-NAME-2)."""

    SAME_ADDRESS = "same_address"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Setting:
    """The purpose and allowed values of a setting. `least` and `most` are inclusive, in the field's unit."""

    unit: Unit
    help: str
    least: int = 1
    most: int = 2**31
    choices: tuple[str, ...] = ()


def _count(default: int, help: str, *, most: int = 10_000_000) -> Any:
    return field(default=default, metadata={"setting": Setting(Unit.COUNT, help, 1, most)})


def _seconds(default: int, help: str, *, least_us: int = 1000) -> Any:
    setting = Setting(Unit.DURATION, help, least_us, 365 * 24 * 60 * MINUTE_US)
    return field(default=default * SECOND_US, metadata={"setting": setting})


@dataclass(frozen=True, slots=True)
class Limits:
    """A server's settings. Durations are microseconds. Raises `ValueError` for a value out of bounds."""

    rooms_max: int = _count(10_000, "rooms that are not closed")
    members_max: int = _count(1000, "members of one room, its host included")
    sessions_max: int = _count(300_000, "living sessions")
    sessions_per_ip_max: int = _count(10_000, "living sessions of one IP address")
    connections_max: int = _count(4096, "open TCP connections")
    connections_per_ip_max: int = _count(256, "open TCP connections of one IP address")
    request_bytes_max: int = field(
        default=4096,
        metadata={"setting": Setting(Unit.BYTES, "bytes of one request, its header included", 64, 2**24)},
    )
    unentered_rooms_per_ip_max: int = _count(10, "rooms of one IP address whose host has not entered")
    idle_timeout: int = _seconds(300, "silence after which a session ends")
    token_timeout: int = _seconds(30, "time within which a token must be used")
    handshake_timeout: int = _seconds(10, "time within which a handshake must end")
    linger: int = _seconds(5, "how long an ended room's name and ended tokens are remembered", least_us=0)
    takeover_after: int = _seconds(3, "silence after which a name may be taken over", least_us=0)
    texts_per_second_max: int = _count(20, "texts of one user a second; empty ones are free")
    password_tries_max: int = _count(5, "wrong passwords a minute, per room and address")
    takeover: Takeover = field(
        default=Takeover.SAME_ADDRESS,
        metadata={"setting": Setting(Unit.CHOICE, "who may take over a silent name", choices=tuple(Takeover))},
    )

    def __post_init__(self) -> None:
        for name, setting in SETTINGS.items():
            value = getattr(self, name)
            if setting.choices:
                if value not in setting.choices:
                    raise ValueError(f"{name} is {value!r}; allowed are {', '.join(setting.choices)}")
            elif type(value) is not int:
                raise ValueError(f"{name} is {value!r}; a whole number is expected")
            elif not setting.least <= value <= setting.most:
                raise ValueError(f"{name} is {value}; allowed are {setting.least} to {setting.most}")

    def with_settings(self, settings: Mapping[str, Any]) -> Limits:
        """A copy with some settings changed. Raises `ValueError` for an unknown name or a value out of bounds."""
        if unknown := settings.keys() - SETTINGS.keys():
            raise ValueError(f"there is no setting named {sorted(unknown)[0]!r}")
        changes = dict(settings)
        if "takeover" in changes:
            changes["takeover"] = Takeover(changes["takeover"])
        return replace(self, **changes)


SETTINGS: Mapping[str, Setting] = {each.name: each.metadata["setting"] for each in fields(Limits)}
"""Every setting by name, in the order of the documents."""


def parse_setting(name: str, value: object) -> int | str:
    """The value of the setting `name` as it is written: `300s`, `20`, `off`, or a whole number.

    Raises `ValueError` naming the setting, the value and what is allowed.
    """
    setting = SETTINGS[name]
    if setting.unit is Unit.CHOICE:
        if value not in setting.choices:
            raise ValueError(f"{name} is {value!r}; allowed are {', '.join(setting.choices)}")
        return str(value)
    if setting.unit is Unit.DURATION:
        allowed = f"allowed are {write_duration(setting.least)} to {write_duration(setting.most)}"
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}; a duration with its unit is expected, such as 300s")
        try:
            number = parse_duration(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    else:
        allowed = f"allowed are {setting.least} to {setting.most}"
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if type(value) is not int:
            raise ValueError(f"{name} is {value!r}; a whole number is expected; {allowed}")
        number = value
    if not setting.least <= number <= setting.most:
        raise ValueError(f"{name} is {value}; {allowed}")
    return number


def write_setting(name: str, limits: Limits) -> str:
    """The value of a setting in its written form, such as `300s`."""
    value = getattr(limits, name)
    return write_duration(value) if SETTINGS[name].unit is Unit.DURATION else str(value)
