"""Kinds of values. Each declares how it is read, its JSON Schema, and how it is written: nothing else does.

Single values: durations, delays, shares, counts, texts, names, bytes. Exact: no floats anywhere.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Quoted

from tcrp.engine.text import room_name_fault, user_name_fault
from tcrp.sim.scenario.errors import nearest
from tcrp.sim.scenario.model import Amount, ByteSpan
from tcrp.sim.scenario.nodes import Value
from tcrp.spec.durations import PATTERN, parse_duration, write_duration
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, TOKEN_BYTES

if TYPE_CHECKING:
    from tcrp.sim.scenario.cast import Cast

Schema = dict[str, Any]
T = TypeVar("T")
K = TypeVar("K", bound="Kind[Any]")

DATAGRAM_BYTES_MAX = 65507  # the largest UDP datagram
PER_SECOND_MAX = 1_000_000
TEXT_BYTES_MAX = CLIENT_DATAGRAM_BYTES_MAX - 2 - TOKEN_BYTES
STRING: Schema = {"type": "string"}


@dataclass(slots=True)
class Scene:
    """What the meaning of a value may depend on: the users, and the row in which it stands."""

    cast: Cast
    allow_invalid: bool = False
    number: int = 0  # of the acting user in its crowd, for `{i}`; 0: it is in none
    beside: dict[str, Value] = field(default_factory=dict)  # words beside a verb, until a field takes them
    source: str = ""  # the whole file
    until_us: int | None = None


class Kind(Generic[T]):
    """A kind of value. One with a `name` is defined once, in the schema and in the document."""

    name: str = ""
    meaning: str = ""
    example: str = ""
    has_placeholders: bool = False  # `{i}` and `{n}` in it are replaced by numbers

    def read(self, value: Value, scene: Scene) -> T:
        """The value that stands there. Raises `ScenarioError`."""
        raise NotImplementedError

    def shape(self) -> Schema:
        """The JSON Schema of what may stand there."""
        raise NotImplementedError

    def write(self, value: T) -> Any:
        """What stands in a file for `value`: strings, numbers, lists and dictionaries."""
        return value

    def holds(self, value: object) -> bool:
        """Whether `value` is of this kind, where a field can be written in several ways."""
        return value is not None

    def fill(self, value: T, placeholder: str, number: int) -> T:
        """`value` with `number` in place of each `placeholder`."""
        return value

    def schema(self) -> Schema:
        """The shape, or a reference to its definition."""
        return {"$ref": f"#/$defs/{self.name}"} if self.name else self.shape()


DEFINED: dict[str, Kind[Any]] = {}
"""The kinds that have a name, in the order of the document."""


def define(name: str, kind: K, meaning: str, example: str) -> K:
    """Give `kind` a name, under which the schema and the document define it."""
    kind.name, kind.meaning, kind.example = name, meaning, example
    DEFINED[name] = kind
    return kind


# --- general kinds -----------------------------------------------------------------------------


class Word(Kind[T]):
    """One of some words: a mapping's keys, which stand for its values, or members of an enumeration."""

    def __init__(self, words: Mapping[str, T] | Iterable[T]) -> None:
        self.values = words if isinstance(words, Mapping) else {str(word): word for word in words}

    def read(self, value: Value, scene: Scene) -> T:
        return self.values[value.word(self.values)]

    def shape(self) -> Schema:
        return {"enum": list(self.values)}

    def write(self, value: T) -> Any:
        return next(word for word, each in self.values.items() if each == value)

    def holds(self, value: object) -> bool:
        return value in self.values.values()


class Simple(Kind[T]):
    """A single value, which functions read and write."""

    def __init__(
        self,
        look_up: Callable[[Value, Scene], T],
        shape: Schema = STRING,
        write: Callable[[T], Any] = lambda value: value,
        name: str = "",
    ) -> None:
        self.look_up, self.fixed_shape, self.written, self.name = look_up, shape, write, name

    def read(self, value: Value, scene: Scene) -> T:
        return self.look_up(value, scene)

    def shape(self) -> Schema:
        return self.fixed_shape

    def write(self, value: T) -> Any:
        return self.written(value)


class ListOf(Kind[tuple[T, ...]]):
    """A list; with `or_one` a single member may stand there without brackets. `item` names members in errors."""

    def __init__(self, kind: Kind[T], *, or_one: bool = False, item: str = "") -> None:
        self.kind, self.or_one, self.item = kind, or_one, item

    def read(self, value: Value, scene: Scene) -> tuple[T, ...]:
        items = value.items() if value.is_list or not self.or_one else [value]
        for each in items:
            each.name = self.item or value.name
        return tuple(self.kind.read(each, scene) for each in items)

    def shape(self) -> Schema:
        items = {"type": "array", "items": self.kind.schema()}
        return {"anyOf": [self.kind.schema(), items]} if self.or_one else items

    def write(self, value: tuple[T, ...]) -> Any:
        return [self.kind.write(each) for each in value]


TRUTH = Simple(lambda value, _: value.boolean(), {"type": "boolean"})


def whole(least: int, most: int) -> Kind[int]:
    """A whole number between bounds, both inclusive."""
    shape = {"type": "integer", "minimum": least, "maximum": most}
    return Simple(lambda value, _: value.integer(least, most), shape)


def sentence(if_empty: str) -> Kind[str]:
    """A text for people. `if_empty` is the error where there is nothing in it."""

    def read(value: Value, _scene: Scene) -> str:
        text = " ".join(value.string("a guest who leaves is not relayed to").split())
        return text or value.fail(f"{value.name}: {if_empty}")

    return Simple(read, {"type": "string", "minLength": 1})


# --- quantities --------------------------------------------------------------------------------


def quantity(pattern: str, expected: str, parse: Callable[[re.Match[str]], T], write: Callable[[T], Any]) -> Simple[T]:
    """A number with its unit, as a pattern. `parse` raises `ValueError` with what is wrong."""
    compiled = re.compile(pattern, re.ASCII)

    def read(value: Value, _scene: Scene) -> T:
        match = compiled.fullmatch(value.scalar())
        try:
            return parse(match or value.fail(f"{value.name}: {expected} is expected, not {value.scalar()!r}"))
        except ValueError as error:
            value.fail(f"{value.name}: {error}")

    return Simple(read, {"type": "string", "pattern": f"^{pattern}$"}, write)


def duration_us(value: Value, text: str) -> int:
    """The microseconds of `text`. Fails at `value`."""
    try:
        return parse_duration(text)
    except ValueError as error:
        value.fail(f"{value.name}: {error}")


def _skew_us(value: Value, _scene: Scene) -> int:
    text = value.scalar()
    return -duration_us(value, text[1:]) if text.startswith("-") else duration_us(value, text)


def _share_ppm(match: re.Match[str]) -> int:
    ppm = Decimal(match[1]) * 10_000
    if ppm > 1_000_000:
        raise ValueError(f"{match[0]} is more than everything; allowed are 0% to 100%")
    return int(ppm)


def _write_share(ppm: int) -> str:
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"


def _amount(match: re.Match[str]) -> Amount:
    least, most = int(match[1]), int(match[2] or match[1])
    if most < least:
        raise ValueError(f"{match[0]} ends before it begins")
    return Amount(least, most)


def _write_amount(value: Amount | ByteSpan) -> Any:
    return value.least if value.least == value.most else f"{value.least}..{value.most}"


def _segment(value: Value, scene: Scene) -> ByteSpan:
    sizes = AMOUNT.read(value, scene)
    if sizes.least < 1 or sizes.most is None or sizes.most > DATAGRAM_BYTES_MAX:
        value.fail(f"{value.name}: pieces of 1 to {DATAGRAM_BYTES_MAX} bytes are possible, such as 1..64")
    return ByteSpan(sizes.least, sizes.most)


def _rate_bps(match: re.Match[str]) -> int:
    exact = Decimal(match[1]) * {"bit": 1, "kbit": 1000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}[match[2]]
    if exact < 1 or exact != int(exact):
        raise ValueError(f"a rate such as 512kbit/s or 8Mbit/s is expected, at least 1bit/s, not {match[0]!r}")
    return int(exact)


def _per_second(match: re.Match[str]) -> int:
    if not 1 <= int(match[1]) <= PER_SECOND_MAX:
        raise ValueError(f"a rate such as 1000/s is expected, 1/s to {PER_SECOND_MAX}/s, not {match[0]!r}")
    return int(match[1])


def _drift_ppm(match: re.Match[str]) -> int:
    if abs(int(match[1])) > 500_000:
        raise ValueError(f"a drift such as 50ppm is expected, at most 500000ppm, not {match[0]!r}")
    return int(match[1])


# --- texts and names ---------------------------------------------------------------------------


class Filled(Simple[str]):
    """A string in which `{i}` is the number in the crowd and `{n}` the repetition."""

    has_placeholders = True

    def read(self, value: Value, scene: Scene) -> str:
        return self.fill(super().read(value, scene), "{i}", scene.number)

    def fill(self, value: str, placeholder: str, number: int) -> str:
        return value.replace(placeholder, str(number)) if number else value

    def holds(self, value: object) -> bool:
        return isinstance(value, str)


class RoomName(Filled):
    """A room's name (R-NAME-1), which expectations can then name."""

    def read(self, value: Value, scene: Scene) -> str:
        room = super().read(value, scene)
        scene.cast.rooms.add(room)
        return room


def _room(value: Value, scene: Scene) -> str:
    room = value.string('"lobby"')
    fault = room_name_fault(_encoded(value, room))
    if fault and not scene.allow_invalid:
        value.fail(f"{value.name}: the room name {fault} (R-NAME-1); allow_invalid: true in the step lets it through")
    return room


def _shown_text(value: Value, _scene: Scene) -> str:
    """A text, or `{repeat: "x", bytes: N}`."""
    if not value.is_mapping:
        return value.string('"hello"')
    parts = value.mapping(("repeat", "bytes"), required=("repeat", "bytes"))
    unit = parts["repeat"].string('"x"')
    size = len(_encoded(parts["repeat"], unit))
    if not size:
        parts["repeat"].fail("repeat: at least one character is expected")
    total = parts["bytes"].integer(1, DATAGRAM_BYTES_MAX)
    if total % size:
        parts["bytes"].fail(f"bytes: {total} is no multiple of the {size} bytes of {unit!r}")
    return unit * (total // size)


def _sent_text(value: Value, scene: Scene) -> str:
    text = _shown_text(value, scene)
    length = len(_encoded(value, text))
    if length > TEXT_BYTES_MAX and not scene.allow_invalid:
        value.fail(
            f"{value.name}: the text is {length} bytes, at most {TEXT_BYTES_MAX} fit with room and token in a "
            f"datagram of {CLIENT_DATAGRAM_BYTES_MAX} (R-UDP-1); allow_invalid: true in the step lets it through"
        )
    return text


def _hex(value: Value, _scene: Scene) -> bytes:
    text = value.string('"0500"')
    try:
        return bytes.fromhex(text)
    except ValueError:
        digits = text.replace(" ", "")
        what = "an odd number of digits" if len(digits) % 2 else f"{text!r}"
        value.fail(f"{value.name}: pairs of hexadecimal digits are expected, not {what}")


def _ip(value: Value, _scene: Scene) -> str:
    text = value.string("10.0.0.7")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        value.fail(f"{value.name}: {text!r} is no IP address, such as 10.0.0.7")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return f"::ffff:{mapped}" if mapped is not None else str(address)  # str() writes it so from Python 3.13 on


def _listener(value: Value, scene: Scene) -> str:
    if not scene.cast.listeners:
        value.fail(f"{value.name}: the server has one listener; several are declared with server: {{listeners: …}}")
    return value.word(scene.cast.listeners)


def _server_name(value: Value, scene: Scene) -> str:
    if not scene.cast.servers:
        value.fail(f"{value.name}: there is one server; several are declared with servers: {{a: {{}}, b: {{}}}}")
    return value.word(scene.cast.servers)


def _user_name(value: Value, scene: Scene) -> str:
    name = value.string('"bob"')
    check_user_name(value, name, allow_invalid=scene.allow_invalid)
    return name


def _chat_name(value: Value, scene: Scene) -> str:
    name, names = value.string("bob"), scene.cast.chat_names()
    name = name.replace("{i}", str(scene.number)) if scene.number else name
    if name not in names:
        value.fail(f"no user is named {name!r} in the chat{nearest(name, names)}")
    return name


def check_user_name(value: Value, text: str, *, allow_invalid: bool) -> None:
    """Fail at `value` if `text` is no user name."""
    fault = user_name_fault(_encoded(value, text))
    if fault and not allow_invalid:
        value.fail(f"the user name {text!r} {fault} (R-NAME-1); allow_invalid: true lets it through")


def _encoded(value: Value, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        value.fail(f"{value.name}: half of a surrogate pair is no text")


def mapping_of(properties: Schema, required: Iterable[str] = ()) -> Schema:
    """The JSON Schema of a mapping with these keys and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


DURATION = define("duration", Simple(lambda value, _: duration_us(value, value.scalar()),
                  {"type": "string", "pattern": f"^{PATTERN.pattern}$"}, write_duration),
                  "A time span with its unit: us, ms, s, m or h.", "1.5s")  # fmt: skip
SKEW = define("signed_duration", Simple(_skew_us, {"type": "string", "pattern": f"^-?{PATTERN.pattern}$"},
              lambda us: ("-" if us < 0 else "") + write_duration(abs(us))),
              "A time span that may be negative.", "-2s")  # fmt: skip
SHARE = define("share", quantity(r"(\d{1,3}(?:\.\d{1,4})?)%", "a share such as 2% or 0.5%", _share_ppm, _write_share),
               "A part of everything, with up to four digits after the point.", "2.5%")  # fmt: skip
COUNT = quantity(r"(\d{1,18})(?:\.\.(\d{1,18}))?", "a count such as 3 or 1..5", _amount, _write_amount)
AMOUNT = define("amount", Simple(COUNT.read, {"anyOf": [{"type": "integer", "minimum": 0}, COUNT.shape()]},
                                 _write_amount), "A number, or a range with both ends included.", "1..5")  # fmt: skip
SEGMENT = Simple(_segment, AMOUNT.schema(), _write_amount)
RATE = define("rate", quantity(r"(\d{1,9}(?:\.\d{1,3})?)(bit|kbit|Mbit|Gbit)/s", "a rate such as 512kbit/s or 8Mbit/s",
                               _rate_bps, lambda bps: f"{bps}bit/s"),
              "Bits a second: bit/s, kbit/s, Mbit/s or Gbit/s.", "1.5Mbit/s")  # fmt: skip
PER_SECOND = define("frequency", quantity(r"(\d{1,7})/s", "a rate such as 1000/s", _per_second,
                                          lambda per_second: f"{per_second}/s"),
                    f"How often a second, at most {PER_SECOND_MAX}/s.", "1000/s")  # fmt: skip
DRIFT = define("drift", quantity(r"(-?\d{1,6})ppm", "a drift such as 50ppm", _drift_ppm, lambda ppm: f"{ppm}ppm"),
               "How much faster a clock runs, in parts per million.", "-200ppm")  # fmt: skip
HEX = define("hex", Simple(_hex, {"type": "string", "pattern": r"^([0-9a-fA-F]{2}|\s)*$"},
                           lambda data: Quoted(data.hex())),
             "Bytes in hexadecimal digits; spaces may stand between them.", '"05 00"')  # fmt: skip

_REPEATED: Schema = {
    "repeat": {**STRING, "description": "The string that is repeated."},
    "bytes": {**whole(1, DATAGRAM_BYTES_MAX).shape(), "description": "The size of the whole text."},
}
_TEXT: Schema = {"oneOf": [STRING, mapping_of(_REPEATED, _REPEATED)]}
TEXT = define("text", Filled(_sent_text, _TEXT, Quoted), "A text, or one string repeated up to a size. `{i}` in it is "
              "the user's number in its crowd, `{n}` the repetition of the step, from 1.",
              '{repeat: "x", bytes: 4053}')  # fmt: skip
SHOWN_TEXT = Filled(_shown_text, _TEXT, Quoted, "text")
PASSWORD = Simple(_sent_text, _TEXT, Quoted, "text")
ROOM = define("room", RoomName(_room, write=Quoted), "A room's name, with `{i}` and `{n}` as in a text.", '"lobby"')
FREE_ROOM = Filled(lambda value, _: value.string('"lobby"'), write=Quoted, name="room")  # it may be a wrong one
KNOWN_ROOM = Simple(lambda value, scene: scene.cast.room(value), write=Quoted, name="room")
IP = define(
    "ip", Simple(_ip, write=lambda ip: Quoted(ip) if ":" in ip else ip), "An IP address of either version.", "10.0.0.7"
)
USER = define("user", Simple(lambda value, scene: scene.cast.user(value)), "A user, by the word that the script uses.",
              "bob")  # fmt: skip
LISTENER = define("listener", Simple(_listener),
                  "A listener of the server, by its name.", "old")  # fmt: skip
SERVER_NAME = define("server_name", Simple(_server_name), "A server of a cluster, by its name.", "b")
USER_NAME = define("name", Simple(_user_name, write=Quoted), "A user's name in the chat.", '"bob"')
CHAT_NAME = Simple(_chat_name, write=Quoted, name="name")
SESSION_ID = define("session_id", Simple(lambda value, scene: scene.cast.session_id(value), write=Quoted),
                    "A session of the server: the user's name in the chat, and a room.", "bob@lobby")  # fmt: skip
ACTOR = define("actor", Simple(lambda value, scene: value.word((*scene.cast.machines, "network", *scene.cast.users))),
               "`server`, `network` or a user; in a cluster the name of a server, or `bucket`.", "server")  # fmt: skip
PACKET_END = Simple(lambda value, scene: value.word((*scene.cast.machines, *scene.cast.users)), name="actor")
PACKET_NAME = define("packet", Simple(lambda value, _: value.string('"bob.say@2s~8ba0/say"'), write=Quoted),
                     "A packet, as traces name it: the step that led to it, and each packet since.",
                     '"bob.say@2s~8ba0/say/relay:alice"')  # fmt: skip
END = define("end", Simple(lambda value, _: value.string("alice")),
             "An end of a link: `server`, a user, a crowd, or `all` for everyone; in a cluster a server, or `bucket`.",
             "server")  # fmt: skip
WRITTEN = Simple(lambda value, _: value.string())
