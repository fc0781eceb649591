"""Every limit and timeout of the protocol, under the one name it has everywhere.

The same name is the key in a TOML file and the command-line option. Fixed sizes and times that a
peer can rely on are constants, not settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from tcrp.spec.durations import parse_duration, write_duration
from tcrp.spec.frozen import Frozen
from tcrp.spec.names import Rule

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US

CLIENT_DATAGRAM_BYTES_MAX = 4096
SERVER_DATAGRAM_BYTES_MAX = 4094
NAME_BYTES_MAX = 255
TOKEN_BYTES_MAX = 1024
TOKEN_BYTES = 32
PORT_MIN = 1024
PORT_MAX = 65535

ENTER_AGAIN_AFTER_US = (0, 200_000, 600_000, 1_400_000)
ENTER_EVERY_US = 5 * SECOND_US
ENTER_UNTIL_US = 25 * SECOND_US
NOTICE_AGAIN_AFTER_US = (0, 500_000, 1_500_000, 3_500_000)
ANSWER_ENDED_EVERY_US = SECOND_US
ANSWER_ENDED_FACTOR_MAX = 3
LEAVE_AGAIN_AFTER_US = (0, 200_000, 600_000)
EARLY_DATAGRAMS_MAX = 16
REJECTED_IN_A_ROW_MAX = 3
TAKEOVERS_A_MINUTE_MAX = 3
SHUTDOWN_LINGER_US = 500_000
QUIET_US = 200_000
"""A message over TCP whose end nothing tells ends with this much silence, or with the stream."""


@dataclass(frozen=True, slots=True)
class Constant(Frozen):
    """What a constant fixes, and the rule that it belongs to."""

    rule: Rule
    help: str


CONSTANTS: Mapping[str, Constant] = MappingProxyType(
    {
        "CLIENT_DATAGRAM_BYTES_MAX": Constant(Rule.UDP_1, "bytes of a client's datagram"),
        "SERVER_DATAGRAM_BYTES_MAX": Constant(Rule.UDP_2, "bytes of a server's datagram"),
        "NAME_BYTES_MAX": Constant(Rule.NAME_1, "bytes of a room's or user's name"),
        "TOKEN_BYTES_MAX": Constant(Rule.TOK_1, "bytes of a token that a client takes"),
        "TOKEN_BYTES": Constant(Rule.TOK_1, "bytes of a token that the server grants, hexadecimal digits"),
        "PORT_MIN": Constant(Rule.ADDR_1, "lowest UDP port that a client may name"),
        "PORT_MAX": Constant(Rule.ADDR_1, "highest UDP port"),
        "ENTER_AGAIN_AFTER_US": Constant(Rule.UDP_4, "when a client first sends its enter datagram"),
        "ENTER_EVERY_US": Constant(Rule.UDP_4, "interval of its later enter datagrams"),
        "ENTER_UNTIL_US": Constant(Rule.UDP_4, "when it stops sending them"),
        "NOTICE_AGAIN_AFTER_US": Constant(Rule.END_1, "when an ended session is told why"),
        "ANSWER_ENDED_EVERY_US": Constant(Rule.END_1, "shortest interval of answers to an ended token"),
        "ANSWER_ENDED_FACTOR_MAX": Constant(Rule.END_1, "bytes of answers to an ended token for each byte received"),
        "LEAVE_AGAIN_AFTER_US": Constant(Rule.EXIT_1, "when a client sends its leave word"),
        "EARLY_DATAGRAMS_MAX": Constant(Rule.LIM_1, "datagrams that a client keeps until its completion arrives"),
        "REJECTED_IN_A_ROW_MAX": Constant(Rule.IDLE_2, "rejected datagrams in a row that end a session"),
        "TAKEOVERS_A_MINUTE_MAX": Constant(Rule.NAME_2, "takeovers of one name in a minute"),
        "SHUTDOWN_LINGER_US": Constant(Rule.END_1, "how long a server lingers when it is shut down"),
        "QUIET_US": Constant(Rule.TCP_2, "silence that ends a message over TCP whose end nothing else tells"),
    }
)
"""Every constant by name, in the order of the documents."""


class Unit(StrEnum):
    """The unit of a setting's value."""

    COUNT = "count"
    BYTES = "bytes"
    DURATION = "duration"  # held in microseconds, written with a unit: 300s
    CHOICE = "choice"


class Takeover(StrEnum):
    """Who may take over a name that is in use (R-NAME-2)."""

    TOKEN = "token"  # noqa: S105 - who sends the holder's token
    SAME_ADDRESS = "same_address"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Setting(Frozen):
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
class Limits(Frozen):
    """A server's settings. Durations are microseconds. Raises `ValueError` for a value out of bounds."""

    rooms_max: int = _count(10_000, "rooms that are not closed")
    rooms_per_ip_max: int = _count(1000, "rooms that are not closed, by the IP address that created them")
    members_max: int = _count(1000, "members of one room, its host included")
    sessions_max: int = _count(300_000, "living sessions")
    sessions_per_ip_max: int = _count(10_000, "living sessions of one IP address")
    connections_max: int = _count(4096, "open TCP connections")
    connections_per_ip_max: int = _count(256, "open TCP connections of one IP address")
    ipv6_prefix: int = _count(
        64, "bits of an IPv6 address that limits per IP address look at; IPv4 counts whole", most=128
    )
    request_bytes_max: int = field(
        default=4096,
        metadata={"setting": Setting(Unit.BYTES, "bytes of one request, its header included", 64, 2**24)},
    )
    unentered_rooms_per_ip_max: int = _count(10, "rooms of one IP address whose host has not entered")
    idle_timeout: int = _seconds(300, "silence after which a session ends")
    token_timeout: int = _seconds(30, "time within which a token must be used")
    handshake_timeout: int = _seconds(10, "time within which a handshake must end")
    linger: int = _seconds(5, "how long an ended room's name and ended tokens are remembered", least_us=0)
    takeover_after: int = _seconds(
        60, "with takeover same_address: silence after which a name may be taken over", least_us=SECOND_US
    )
    texts_per_second_max: int = _count(20, "texts of one user a second, empty ones are free; clients assume 20")
    password_tries_max: int = _count(5, "wrong passwords a minute, per room and address")
    takeover: Takeover = field(
        default=Takeover.TOKEN,
        metadata={
            "setting": Setting(
                Unit.CHOICE,
                "who may take over a name: who sends its holder's token; or also anyone at the holder's IP address, "
                "which suits closed networks only; or nobody",
                choices=tuple(Takeover),
            )
        },
    )

    def __post_init__(self) -> None:
        for name in SETTINGS:
            _require(name, getattr(self, name))

    def with_settings(self, settings: Mapping[str, Any]) -> Limits:
        """A copy with some settings changed. Raises `ValueError` for an unknown name or a value out of bounds."""
        if unknown := settings.keys() - SETTINGS.keys():
            raise ValueError(f"there is no setting named {sorted(unknown)[0]!r}")
        changes = dict(settings)
        for name, value in settings.items():
            _require(name, value)  # compiled code looks at types before values, and takes True for 1
        if "takeover" in changes:
            changes["takeover"] = Takeover(changes["takeover"])
        return replace(self, **changes)


def _require(name: str, value: object) -> None:
    setting = SETTINGS[name]
    if setting.choices:
        if value not in setting.choices:
            raise ValueError(f"{name} is {value!r}; allowed are {', '.join(setting.choices)}")
    elif type(value) is not int:
        raise ValueError(f"{name} is {value!r}; a whole number is expected")
    elif not setting.least <= value <= setting.most:
        raise ValueError(f"{name} is {value}; allowed are {setting.least} to {setting.most}")


SETTINGS: Mapping[str, Setting] = {each.name: each.metadata["setting"] for each in fields(Limits)}
"""Every setting by name, in the order of the documents."""


_WHOLE = re.compile("-?[0-9]+")


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
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            if len(value) > 19:  # more digits than any bound has; int() refuses thousands
                raise ValueError(f"{name} is {value}; {allowed}")
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
