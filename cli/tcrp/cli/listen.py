"""Several listeners of a server, as `[[listen]]` tables of the configuration and as `--listen` options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tcrp.cli.exits import UsageError
from tcrp.spec.limits import PORT_MAX

KEYS = ("tcp", "udp", "address", "dialect", "name")
EXAMPLE = "tcp=8000,udp=8001,dialect=name-port"
LISTENERS_MAX = 64
NAME_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """One listener. `dialects` are names or paths, not yet read; `auto` stands alone."""

    name: str
    address: str
    tcp: int
    udp: int
    dialects: tuple[str, ...]

    def table(self) -> dict[str, str | int | list[str]]:
        """Its keys and values in the configuration."""
        dialect = self.dialects[0] if len(self.dialects) == 1 else list(self.dialects)
        return {"name": self.name, "tcp": self.tcp, "udp": self.udp, "address": self.address, "dialect": dialect}


@dataclass(frozen=True, slots=True)
class Given:
    """What was given for one listener, and where: `chat.toml: listen 2: `."""

    values: Mapping[str, object]
    where: str


def from_options(words: Sequence[str]) -> list[Given]:
    """What `--listen` options say: `tcp=9002,udp=9003,dialect=auto`; several dialects are given one by one."""
    found = []
    for word in words:
        where = f"--listen {word}: "
        values: dict[str, Any] = {}
        for part in word.split(","):
            key, equals, value = part.partition("=")
            if not equals:
                raise UsageError(f"{where}{part!r} is not key=value; expected is such as {EXAMPLE}")
            if key == "dialect":
                values.setdefault(key, []).append(value)
            elif key in values:
                raise UsageError(f"{where}{key} stands there twice")
            else:
                values[key] = value
        found.append(Given(values, where))
    return found


def from_tables(value: object, config: str) -> list[Given]:
    """What the `[[listen]]` tables of a file say."""
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise UsageError(f"{config}: listen is {value!r}; tables are expected, each under a line [[listen]]")
    return [Given(each, f"{config}: listen {number}: ") for number, each in enumerate(value, 1)]


def read_listeners(given: Sequence[Given], address: str, dialect: str) -> tuple[ListenSettings, ...]:
    """The listeners. `address` and `dialect` are those of listeners that say nothing else. Raises `UsageError`."""
    if len(given) > LISTENERS_MAX:
        raise UsageError(f"there are {len(given)} listeners, at most {LISTENERS_MAX} are possible")
    listeners: list[ListenSettings] = []
    for number, each in enumerate(given, 1):
        try:
            listeners.append(_read(each.values, number, address, dialect, {other.name for other in listeners}))
        except ValueError as error:
            raise UsageError(f"{each.where}{error}") from None
    return tuple(listeners)


def _read(values: Mapping[str, object], number: int, address: str, dialect: str, names: set[str]) -> ListenSettings:
    for key in values:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(KEYS)}"
            raise ValueError(f"there is no key {key!r}; {hint}")
    for key in ("tcp", "udp"):
        if key not in values:
            raise ValueError(f"{key} is missing; a listener has both ports, such as {EXAMPLE}")
    tcp, udp = parse_port("tcp", values["tcp"]), parse_port("udp", values["udp"])
    own_address = parse_text("address", values.get("address", address))
    name = values.get("name")
    if name is None:
        name = str(tcp) if tcp else f"listener-{number}"
        name = f"{own_address}:{tcp}" if name in names else name
    name = parse_text("name", name)
    if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise ValueError(f"name is {name!r}; allowed are 1 to {NAME_CHARACTERS_MAX} printable characters")
    if name in names:
        raise ValueError(f"name is {name!r}, which an earlier listener has; give each another name")
    return ListenSettings(name, own_address, tcp, udp, _dialects(values.get("dialect", dialect)))


def _dialects(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, list) else [value]
    dialects = tuple(parse_text("dialect", word) for word in words)
    if not dialects:
        raise ValueError('dialect is []; at least one is expected, or "auto"')
    if len(dialects) > 1 and "auto" in dialects:
        raise ValueError("dialect lists auto beside others; auto stands alone, or name each dialect")
    if twice := next((word for at, word in enumerate(dialects) if word in dialects[:at]), None):
        raise ValueError(f"dialect lists {twice!r} twice")
    return dialects


def parse_port(key: str, value: object) -> int:
    """A port, also one in digits. Raises `ValueError`."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if type(value) is not int or not 0 <= value <= PORT_MAX:
        raise ValueError(f"{key} is {value!r}; allowed are 0 to {PORT_MAX}")
    return value


def parse_text(key: str, value: object) -> str:
    """Text that is not empty. Raises `ValueError`."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is {value!r}; a string is expected")
    return value
