"""Messages as compiled templates: from values to bytes and from bytes to values.

A `Template` is made once from the fields of a message (`tcrp.spec.fields`). Reading is total: any bytes are read, or
are partial, or are none of this message; it takes time in proportion to their number. Text fields are read as bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from tcrp.engine import json_templates
from tcrp.spec.fields import (
    Constant,
    Encoding,
    Filler,
    Group,
    Item,
    Json,
    Message,
    Number,
    Order,
    Role,
    Text,
    roles_of,
    size_of,
    word_for,
)
from tcrp.spec.frozen import Frozen

Values = Mapping[str, Any]
"""What a message says, by role: text as `str` or `bytes`, numbers as `int`."""

SPAN = "payload"
"""Under this key a reading has the bytes of the group of that name."""
EXTRA = "extra"
"""Under this key, the members of a JSON object that are nobody's but were allowed."""


class CannotWrite(ValueError):
    """A value does not fit where the template puts it."""


class Read(NamedTuple):
    """A whole message: how many bytes it has, and what it says."""

    size: int
    values: dict[str, Any]


class Partial(NamedTuple):
    """The beginning of a message. `is_open`: it may be whole already, which only silence or its end tells."""

    has_head: bool
    is_open: bool = False


class Mismatch(NamedTuple):
    """Bytes of another message: what stands where `label` should."""

    label: str
    value: Any = ""
    is_too_long: bool = False
    operation: int = 0  # as far as it was read

    @property
    def why(self) -> str:
        """As a phrase: `state 7`."""
        return "too long" if self.is_too_long else f"{self.label} {self.value}".strip()


class Strictness(Enum):
    """How JSON is compared with its template."""

    SHAPE = False, json_templates.Compare.NONE  # its keys exactly, whatever its constants
    EXACT = False, json_templates.Compare.ALL
    NUMBERS = True, json_templates.Compare.NUMBERS  # at least its keys
    WORDS = True, json_templates.Compare.ALL  # at least its keys
    LOOSE = True, json_templates.Compare.NONE  # at least the keys of its roles


class _Short(Exception):
    """More bytes are needed."""

    def __init__(self, is_open: bool = False) -> None:
        self.is_open = is_open


class _No(Exception):
    """The bytes are none of this message."""

    def __init__(self, label: str, value: object = "", is_too_long: bool = False) -> None:
        self.mismatch = Mismatch(label, value, is_too_long)


class _State:
    """What the steps of one reading share."""

    __slots__ = ("is_over", "lengths", "limit", "values")

    def __init__(self, limit: int, is_over: bool) -> None:
        self.values: dict[str, Any] = {}
        self.lengths: dict[str, int] = {}
        self.limit = limit
        self.is_over = is_over


class _Draft:
    """A message that is being written: its pieces, the sizes of fields, and the numbers that wait for sizes."""

    __slots__ = ("numbers", "pieces", "sizes")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.sizes: dict[str, int] = {}
        self.numbers: list[tuple[int, Number]] = []

    def add(self, label: str, data: bytes) -> None:
        """A field whose size may be measured."""
        self.pieces.append(data)
        self.sizes[label] = len(data)

    def put_off(self, number: Number) -> None:
        """A number that is written when all sizes are known."""
        self.numbers.append((len(self.pieces), number))
        self.pieces.append(bytes(number.width))


_Writer = Callable[[Values, _Draft], None]
"""Writes one field."""

_Step = Callable[[bytes, int, int, _State], int]
"""Reads one field at a place in a region that has an end. Returns where the next field is."""


@dataclass(frozen=True, slots=True, eq=False)
class Template(Frozen):
    """One kind of message of one dialect."""

    message: Message
    steps: tuple[_Step, ...]
    writers: tuple[_Writer, ...]
    roles: frozenset[Role]

    def read(self, data: bytes, *, limit: int = sys.maxsize, is_over: bool = True) -> Read | Partial | Mismatch:
        """The message at the beginning of `data`. `is_over`: nothing comes behind it.

        `limit`: the most that its lengths may claim together with its fixed head.
        """
        head, size = self.message.head_bytes, len(data)
        if size < head or (not size and self.message.is_stream and not is_over):
            return Mismatch("", "too short") if is_over else Partial(False)
        state = _State(limit - head, is_over)
        at = 0
        try:
            for step in self.steps:
                at = step(data, at, size, state)
        except _Short as short:
            return Partial(head > 0, short.is_open)
        except _No as no:
            operation = state.values.get("operation", 0)
            return no.mismatch._replace(operation=operation if type(operation) is int else 0)
        if at < size and not self.message.is_stream:
            return Mismatch("", "too long")
        return Read(at, state.values)

    def write(self, values: Values) -> bytes:
        """The message that says `values`. Raises `CannotWrite`."""
        draft = _Draft()
        for each in self.writers:
            each(values, draft)
        pieces = draft.pieces
        for index, number in draft.numbers:
            size = draft.sizes.get(number.measures)
            if size is None:  # a length that is given although what it measures is absent
                size = len(_bytes_of(values.get(number.measures, b"")))
            pieces[index] = _number_bytes(number, size + number.plus)
        return b"".join(pieces)


def compile_message(
    message: Message,
    strictness: Strictness = Strictness.EXACT,
    *,
    extras: frozenset[str] = frozenset(),
    operations: frozenset[int] = frozenset(),
) -> Template:
    """The template of a message. `extras`: members that a JSON object may have besides its own.

    `operations`: where given, the only ones that are read.
    """
    steps = _steps(message.items, _Context(message, strictness, extras, operations), is_top=True)
    writers = tuple(map(_writer, message.items))
    return Template(message, tuple(steps), writers, frozenset(roles_of(message)))


class _Context(NamedTuple):
    """What the steps of one template depend on."""

    message: Message
    strictness: Strictness
    extras: frozenset[str]
    operations: frozenset[int]


# --- writing ------------------------------------------------------------------------------------------


def _writer(item: Item) -> _Writer:
    """Writes one field."""
    match item:
        case Constant():
            data = item.data
            return lambda _, draft: draft.pieces.append(data)
        case Number() if item.measures:
            return lambda _, draft: draft.put_off(item)
        case Number() if item.values:
            data = _number_bytes(item, item.values[0])
            return lambda _, draft: draft.pieces.append(data)
        case Number():
            return lambda values, draft: draft.pieces.append(_number_bytes(item, _value(item.label, values)))
        case Text():
            role = str(item.role)
            return lambda values, draft: draft.add(role, _text_bytes(item, values))
        case Filler():
            data = item.pad * item.width
            return lambda _, draft: draft.add(item.label, data)
        case Json():
            fill = json_templates.compile_fill(item.template)
            return lambda values, draft: draft.add("json", json_templates.write(fill(values), values.get(EXTRA)))
        case Group():
            return _group_writer(item.label, tuple(map(_writer, item.items)))


def _group_writer(label: str, writers: tuple[_Writer, ...]) -> _Writer:
    def write(values: Values, draft: _Draft) -> None:
        first = len(draft.pieces)
        for each in writers:
            each(values, draft)
        draft.sizes[label] = sum(map(len, draft.pieces[first:]))

    return write


def _value(label: str, values: Values) -> int:
    value = values.get(label)
    if not isinstance(value, int):
        raise CannotWrite(f"{label} is not known")
    return value


def _bytes_of(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogatepass") if value is not None else b""


def _number_bytes(number: Number, value: int) -> bytes:
    word = word_for(number)
    if number.order is Order.DIGITS:
        digits = str(value).encode()
        if value < 0 or len(digits) > number.width:
            raise CannotWrite(f"{word}: {value} does not fit in {number.width} digits")
        return digits.ljust(number.width, number.pad)
    try:
        return value.to_bytes(number.width, "little" if number.order is Order.LITTLE else "big")
    except OverflowError:
        raise CannotWrite(f"{word}: {value} does not fit in {number.width} bytes") from None


def _text_bytes(item: Text, values: Values) -> bytes:
    role = item.role
    if role is Role.ANY:
        value: object = b""
    elif role not in values:
        raise CannotWrite(f"{role} is not known")
    else:
        value = values[role]
    match item.encoding:
        case Encoding.JSON:
            data = json_templates.write(json_templates.as_json(value))
        case Encoding.HEX:
            data = _bytes_of(value).hex().encode()
        case Encoding.IPV4:
            data = _ipv4(str(value))
        case _:
            data = _bytes_of(value)
    if item.width:
        if len(data) > item.width or (item.encoding is not Encoding.IPV4 and data.endswith(item.pad)):
            raise CannotWrite(f"{role}: {len(data)} bytes do not fit in {item.width}")
        return data.ljust(item.width, item.pad)
    if item.until:
        if item.until in data or (data + item.until).find(item.until) != len(data):
            raise CannotWrite(f"{role}: {data!r} holds what ends it, {item.until!r}")
        return data + item.until
    return data


def _ipv4(ip: str) -> bytes:
    pieces = ip.split(".")
    if len(pieces) != 4 or not all(piece.isascii() and piece.isdigit() and int(piece) < 256 for piece in pieces):
        raise CannotWrite(f"{ip} is no IPv4 address")
    return bytes(map(int, pieces))


# --- reading ------------------------------------------------------------------------------------------


def _steps(items: tuple[Item, ...], context: _Context, *, is_top: bool) -> list[_Step]:
    """The steps of a region. At the top of a stream bytes may be missing; elsewhere its end is known."""
    waits = is_top and context.message.is_stream
    steps: list[_Step] = []
    behind = sum(size_of(each) or 0 for each in items)
    for item in items:
        behind -= size_of(item) or 0
        match item:
            case Constant():
                steps.append(_constant(item, waits))
            case Number():
                steps.append(_number(item, context, waits))
            case Text():
                steps.append(_text(item, waits, behind))
            case Filler():
                steps.append(_filler(item, waits, behind))
            case Json():
                steps.append(_json(item, context, waits, behind))
            case Group():
                inner = _steps(item.items, context, is_top=False)
                steps.append(_group(item, waits, tuple(inner)))
    return steps


def _overrun(waits: bool, state: _State, label: str) -> Exception:
    return _Short() if waits and not state.is_over else _No(label, "too short")


def _constant(item: Constant, waits: bool) -> _Step:
    constant, size = item.data, len(item.data)

    def step(data: bytes, at: int, end: int, state: _State) -> int:
        found = data[at : min(at + size, end)]
        if found != constant:
            if constant.startswith(found):
                raise _overrun(waits, state, item.label)
            raise _No(item.label, found)
        return at + size

    return step


def _number(item: Number, context: _Context, waits: bool) -> _Step:
    width, order, pad = item.width, item.order, item.pad
    byteorder = "little" if order is Order.LITTLE else "big"
    is_absent = bool(item.measures) and not _has(context.message.items, item.measures)
    values, label = frozenset(item.values), item.label
    key = str(item.role) if item.role is not None else ""

    def step(data: bytes, at: int, end: int, state: _State) -> int:
        stop = at + width
        if stop > end:
            raise _overrun(waits, state, label)
        if order is Order.DIGITS:
            digits = data[at:stop].rstrip(pad)
            if not digits.isdigit():
                raise _No(label, digits)
            value = int(digits)
        else:
            value = int.from_bytes(data[at:stop], byteorder)  # type: ignore[arg-type]
        if key:
            state.values[key] = value
            if key == Role.OPERATION and context.operations and value not in context.operations:
                raise _No(label, value)
        elif values:
            if value not in values and not item.takes_any:
                raise _No(label, value)
        elif not is_absent:
            size = value - item.plus
            if size < 0:
                raise _No(f"len({item.measures})", value)
            state.lengths[item.measures] = size
            if sum(state.lengths.values()) > state.limit:
                raise _No(f"len({item.measures})", value, is_too_long=True)
        return stop

    return step


def _has(items: tuple[Item, ...], label: str) -> bool:
    for item in items:
        match item:
            case Text() if item.role == label:
                return True
            case Json() if label == "json":
                return True
            case Group() if item.label == label or _has(item.items, label):
                return True
    return False


def _text(item: Text, waits: bool, behind: int) -> _Step:
    role = str(item.role)
    until, width, pad, is_measured = item.until, item.width, item.pad, item.is_measured
    keeps = item.role is not Role.ANY

    def step(data: bytes, at: int, end: int, state: _State) -> int:
        if until:
            stop = data.find(until, at, end)
            if stop < 0:
                raise _overrun(waits, state, role)
            following = stop + len(until)
        else:
            if width:
                stop = at + width
            elif is_measured:
                stop = at + state.lengths[role]
            else:
                if waits and not state.is_over:
                    raise _Short(is_open=end - behind > at)
                stop = end - behind
            if stop > end or stop < at:
                raise _overrun(waits, state, role)
            following = stop
        found = data[at:stop]
        if width and item.encoding is not Encoding.IPV4:
            found = found.rstrip(pad)
        if keeps:
            state.values[role] = _decoded(item, found)
        return following

    return step


def _decoded(item: Text, found: bytes) -> object:
    match item.encoding:
        case Encoding.HEX:
            try:
                return bytes.fromhex(found.decode("ascii"))
            except ValueError:
                raise _No(item.role, found) from None
        case Encoding.DIGITS:
            if not found.isdigit() or len(found) > 10:
                raise _No(item.role, found)
            return int(found)
        case Encoding.IPV4:
            return ".".join(map(str, found)).encode()
        case Encoding.JSON:
            try:
                value = json_templates.read(found)
            except json_templates.NotJson:
                raise _No(item.role, found) from None
            if type(value) is str:
                return value.encode()
            if type(value) is int and item.role in (Role.PORT, Role.STATUS, Role.MEMBERS, Role.OPERATION):
                return value
            raise _No(item.role, found)
    return found


def _filler(item: Filler, waits: bool, behind: int) -> _Step:
    def step(_: bytes, at: int, end: int, state: _State) -> int:
        if not item.width and waits and not state.is_over:
            raise _Short(is_open=True)
        stop = at + item.width if item.width else end - behind
        if stop > end or stop < at:
            raise _overrun(waits, state, item.label)
        return stop

    return step


def _json(item: Json, context: _Context, waits: bool, behind: int) -> _Step:
    loose, compare = context.strictness.value
    match = json_templates.compile_find(item.template, loose=loose, compare=compare)
    extras = context.extras

    def step(data: bytes, at: int, end: int, state: _State) -> int:
        stop = at + state.lengths["json"] if item.is_measured else end - behind
        if stop > end or stop < at:
            raise _overrun(waits, state, "json")
        try:
            if waits and not item.is_measured and not state.is_over:
                value, stop = json_templates.read_first(data, at)
            else:
                value = json_templates.read(data[at:stop])
        except json_templates.Unfinished:
            raise _Short from None
        except json_templates.NotJson:
            raise _No("json", data[at:stop][:80]) from None
        if extras and isinstance(value, dict):
            state.values[EXTRA] = {key: value.pop(key) for key in extras if key in value}
        if not match(value, state.values):
            raise _No("json", data[at:stop][:80])
        return stop

    return step


def _group(item: Group, waits: bool, steps: tuple[_Step, ...]) -> _Step:
    label, fixed = item.label, size_of(item)

    def step(data: bytes, at: int, end: int, state: _State) -> int:
        size = state.lengths[label]
        if fixed is not None and size != fixed:
            raise _No(label, f"{size} bytes")
        stop = at + size
        if stop > end:
            raise _overrun(waits, state, label)
        for each in steps:
            at = each(data, at, stop, state)
        if at != stop:
            raise _No(label, "too long")
        if label == SPAN:
            state.values[SPAN] = data[stop - size : stop]
        return stop

    return step
