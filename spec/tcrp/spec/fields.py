"""Fields: the lines by which a dialect's file describes the bytes of a message, and what they are read into.

Knows the notation and what makes a list of fields total and unambiguous; makes no bytes (`tcrp.engine.templates` does).
`docs/dialect-format.md` lists the notation. Widths are in bytes: `u1`, `u2`, `u2le`, `u29`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX

JsonTemplate = Mapping[str, Any] | list[Any] | str | int | float | bool | None

WIDTH_MAX = CLIENT_DATAGRAM_BYTES_MAX
PARTS_DEEP_MAX = 8
DIGITS_MAX = 9  # of a number that is no value


class Role(StrEnum):
    """What a field means to the protocol."""

    ROOM = "room"
    NAME = "name"
    TOKEN = "token"  # noqa: S105 - a field's name
    PASSWORD = "password"  # noqa: S105 - a field's name
    TEXT = "text"
    PORT = "port"
    IP = "ip"
    OPERATION = "operation"
    STATUS = "status"
    REASON = "reason"
    SENTENCE = "sentence"
    HOST = "host"
    MEMBERS = "members"  # how many are in the room
    ROOMS = "rooms"  # names of rooms, separated
    ANY = "any"  # of no meaning; written as nothing


ROLES: Mapping[str, Role] = {str(role): role for role in Role}
NUMBERS = frozenset((Role.PORT, Role.STATUS, Role.MEMBERS, Role.OPERATION))


class Encoding(StrEnum):
    """How the value of a text field becomes bytes."""

    UTF8 = "utf8"
    RAW = "raw"  # as UTF-8, but read without asking whether it is
    HEX = "hex"
    DIGITS = "digits"  # a number, in decimal
    JSON = "json"  # a JSON string or number
    IPV4 = "ipv4"  # four bytes


class Order(StrEnum):
    """How a number becomes bytes."""

    BIG = "be"
    LITTLE = "le"
    DIGITS = "digits"  # decimal digits, padded behind


class FieldError(ValueError):
    """A list of fields means nothing, or more than one thing."""


class Constant(Struct, frozen=True):
    """Bytes that always stand there."""

    data: bytes
    label: str = ""


class Number(Struct, frozen=True):
    """A number of a fixed width. It has a role, or measures a field, or is one of `values` (the first is written)."""

    label: str
    width: int
    order: Order = Order.BIG
    pad: bytes = b"\0"
    measures: str = ""
    plus: int = 0  # how much more than the size of what it measures it says
    values: tuple[int, ...] = ()
    takes_any: bool = False  # whatever it says is good when read

    @property
    def role(self) -> Role | None:
        return None if self.measures or self.values else ROLES.get(self.label)


class Text(Struct, frozen=True):
    """A text with a role. At most one of `width`, `until` and `is_measured` is set; with none it is open."""

    role: Role
    encoding: Encoding = Encoding.UTF8
    width: int = 0
    pad: bytes = b"\0"
    until: bytes = b""
    is_measured: bool = False
    separator: bytes = b""  # between the names of rooms


class Filler(Struct, frozen=True):
    """Bytes without a meaning: written as `pad`, ignored when read. Of width 0: whatever is left."""

    label: str
    width: int
    pad: bytes = b"\0"


class Json(Struct, frozen=True):
    """A JSON value by template: `"{role}"` stands for a value, `"{role?}"` for one that may be missing or null."""

    template: JsonTemplate
    is_measured: bool = False


class Group(Struct, frozen=True):
    """Fields under one label, which a number measures."""

    label: str
    items: tuple[Item, ...]


Item = Constant | Number | Text | Filler | Json | Group


class Message(Struct, frozen=True):
    """A whole message, ready to be compiled. `is_stream`: it stands in a TCP stream, where its end is not given."""

    items: tuple[Item, ...]
    is_stream: bool
    head_bytes: int = 0  # the fixed fields at its beginning

    @property
    def is_open(self) -> bool:
        """Whether only silence or the end of the stream ends it."""
        return self.is_stream and any(is_open(item) for item in self.items)


# --- lines --------------------------------------------------------------------------------------------

_LINE = re.compile(r"(?:len\((?P<measured>\w+)\)|(?P<label>[a-z_]\w*))\s*(?::\s*(?P<form>.*))?", re.ASCII | re.DOTALL)
_NUMBER = re.compile(
    r"(?:u(?P<width>\d+)(?P<order>le|be)?|digits\s+(?P<digits>\d+)(?:\s+pad\s+(?P<pad>.+?))?)", re.ASCII
)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_WORDS = ("utf8", "raw", "hex", "digits", "json", "ipv4", "fixed", "pad", "until", "separated", "rest")


def read_item(line: object, splice: Mapping[str, Sequence[Item]]) -> list[Item]:
    """The fields of one entry of a list. `splice` has those that a bare label stands for. Raises `FieldError`."""
    if isinstance(line, Mapping):
        check_roles(line)
        return [Json(line)]
    if not isinstance(line, str):
        raise FieldError(f"{line!r} is no field: a string or a table is expected")
    text = line.strip()
    if text[:1] in ("'", '"'):
        return list(_pattern(text))
    if text == "hex" or text.startswith("hex "):
        return [Constant(_hex(text.removeprefix("hex")))]
    match = _LINE.fullmatch(text)
    if match is None:
        raise FieldError(f"{line!r} is no field; write one as 'room', 'port: u2', 'len(room): u1' or 'hex 00c8'")
    form = (match["form"] or "").strip()
    if match["measured"]:
        return [_length(match["measured"], form)]
    label = match["label"]
    if label in splice and not form:
        return [Group(label, tuple(splice[label]))]
    return [_labelled(label, form)]


def _length(measured: str, form: str) -> Number:
    body, plus = form, 0
    if found := re.fullmatch(r"(.*?)\s*([+-])\s*(\d+)", form):
        body, plus = found[1], _decimal(f"len({measured})", found[3]) * (-1 if found[2] == "-" else 1)
    number = _number("", body)
    if number is None:
        raise FieldError(f"len({measured}): {form!r} is no number; write u1, u2, u2le, u4 or digits 5")
    return replace(number, measures=measured, plus=plus)


def _labelled(label: str, form: str) -> Item:
    role = ROLES.get(label)
    if not form:
        if role is None:
            raise FieldError(f"{label!r} is no field{near(label, [*ROLES, 'payload', 'hex'])}")
        if role in NUMBERS:
            raise FieldError(f"{label} needs a form, as '{label}: u2' or '{label}: digits'")
        return _text(role, "")
    if form[:1] in ("'", '"'):
        return Group(label, tuple(_pattern(form)))
    body, equals, values = form.partition("=")
    number = _number(label, body.strip())
    if number is not None:
        return _with_values(number, values) if equals else number
    if equals:
        raise FieldError(f"{label}: only a number is given a value by '='; write text in quotes, bytes as hex")
    if role is None:
        return _filler(label, form)
    return _text(role, form)


def _with_values(number: Number, values: str) -> Number:
    words = [word.strip() for word in values.split(" or ")]
    takes_any = words[-1] == "any"
    return given(number, [_integer(number.label, word) for word in (words[:-1] if takes_any else words)], takes_any)


def given(number: Number, values: Sequence[int], takes_any: bool = False) -> Number:
    """The number with its values. Raises `FieldError` where one does not fit."""
    most = 10**number.width if number.order is Order.DIGITS else 256**number.width
    for value in values:
        if not 0 <= value < most:
            raise FieldError(f"{number.label}: {value} does not fit in {number.width} bytes")
    if not values:
        raise FieldError(f"{number.label}: a value that is written is missing")
    return replace(number, values=tuple(values), takes_any=takes_any)


def _integer(label: str, word: str) -> int:
    try:
        return int(word, 0)
    except ValueError:
        raise FieldError(f"{label}: {word!r} is no number") from None


def _number(label: str, form: str) -> Number | None:
    match = _NUMBER.fullmatch(form)
    if match is None:
        return None
    width = _width(label or "len", match["width"] or match["digits"])
    if match["digits"]:
        return Number(label, width, Order.DIGITS, _one_byte(label or "len", match["pad"] or "hex 00"))
    return Number(label, width, Order(match["order"] or "be"))


def _width(label: str, digits: str) -> int:
    width = _decimal(label, digits)
    if not 0 < width <= WIDTH_MAX:
        raise FieldError(f"{label}: a width of {width} bytes; 1 to {WIDTH_MAX} are possible")
    return width


def _decimal(label: str, digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise FieldError(f"{label}: a number of {len(digits)} digits; at most {DIGITS_MAX} are possible")
    return int(digits)


def _filler(label: str, form: str) -> Filler:
    if form == "rest":
        return Filler(label, 0)
    found = re.fullmatch(r"fixed\s+(\d+)(?:\s+pad\s+(.+))?", form)
    if found is None:
        if form.partition(" ")[0] == "fixed":
            raise FieldError(f"{label}: {form!r} is no form; write it as 'fixed 3' or \"fixed 3 pad ' '\"")
        raise FieldError(f"{label!r} is no field{near(label, [*ROLES, 'payload'])}")
    return Filler(label, _width(label, found[1]), _one_byte(label, found[2] or "hex 00"))


def _text(role: Role, form: str) -> Text:
    encoding = Encoding.DIGITS if role in NUMBERS else Encoding.UTF8
    text = Text(role, encoding)
    rest = form
    while rest:
        word, _, after = rest.partition(" ")
        after = after.strip()
        match word:
            case "utf8" | "raw" | "hex" | "digits" | "json" | "ipv4":
                text, rest = replace(text, encoding=Encoding(word)), after
            case "fixed":
                number, _, rest = after.partition(" ")
                if not number.isdecimal():
                    raise FieldError(f"{role}: a width is expected behind 'fixed', not {number!r}")
                text = replace(text, width=_width(role, number))
            case "pad":
                text, rest = replace(text, pad=_one_byte(role, after)), ""
            case "until":
                text, rest = replace(text, until=_bytes(role, after)), ""
            case "separated":
                text, rest = replace(text, separator=_bytes(role, after)), ""
            case _:
                raise FieldError(f"{role}: {word!r} is no form{near(word, _WORDS)}")
    if text.encoding is Encoding.IPV4:
        text = replace(text, width=4)
    if (role in NUMBERS) != (text.encoding in (Encoding.DIGITS, Encoding.JSON)) and text.encoding is not Encoding.JSON:
        raise FieldError(f"{role}: {text.encoding} does not suit it")
    if text.width and text.until:
        raise FieldError(f"{role}: a fixed width and a delimiter exclude each other")
    if (role is Role.ROOMS) != bool(text.separator):
        raise FieldError(f"{role}: 'rooms' and 'separated' belong together")
    return text


def _bytes(label: str, form: str) -> bytes:
    if form.startswith("hex "):
        data = _hex(form.removeprefix("hex"))
    else:
        match = _QUOTED.fullmatch(form)
        if match is None:
            raise FieldError(f"{label}: {form!r} is neither quoted text nor hex digits")
        data = (match[1] or match[2] or "").encode()
    if not data:
        raise FieldError(f"{label}: at least one byte is expected")
    return data


def _one_byte(label: str, form: str) -> bytes:
    data = _bytes(label, form)
    if len(data) != 1:
        raise FieldError(f"{label}: one byte is expected behind 'pad', not {len(data)}")
    return data


def _hex(digits: str) -> bytes:
    try:
        data = bytes.fromhex(digits.strip())
    except ValueError:
        raise FieldError(f"{digits.strip()!r} is not made of pairs of hexadecimal digits") from None
    if not data:
        raise FieldError("hexadecimal digits are expected behind 'hex'")
    return data


def _pattern(quoted: str) -> Iterator[Item]:
    match = _QUOTED.fullmatch(quoted)
    if match is None:
        raise FieldError(f"{quoted} is not one text in quotes")
    text = match[1] if match[1] is not None else match[2]
    if not text:
        raise FieldError("a text in quotes is empty")
    if word := unclosed(text, ROLES):
        raise FieldError(f"{{{word} has no '}}'")
    pieces = re.split(r"\{(\w+)\}", text)
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            if piece:
                yield Constant(piece.encode())
        elif piece not in ROLES:
            raise FieldError(f"{{{piece}}} is no field{near(piece, ROLES)}")
        else:
            yield _text(ROLES[piece], "")


def unclosed(text: str, words: Container[str]) -> str:
    """The first of `words` behind a `{` that no `}` closes; empty if there is none."""
    return next((word for word in re.findall(r"\{(\w+)\b(?!\})", text) if word in words), "")


def near(word: str, words: Iterable[str]) -> str:
    """A hint at the nearest of `words`, or at all of them."""
    known = sorted(set(words))
    found = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {found[0]}?" if found else f"; known are {', '.join(known)}"


# --- JSON ---------------------------------------------------------------------------------------------


def json_roles(template: JsonTemplate) -> Iterator[tuple[Role, bool]]:
    """The roles that stand alone in a template, in its order, and whether each may be missing."""
    match template:
        case str():
            if (role := json_role(template)) is not None:
                yield role
        case Mapping():
            for value in template.values():
                yield from json_roles(value)
        case list():
            for value in template:
                yield from json_roles(value)


def json_role(template: object) -> tuple[Role, bool] | None:
    """The role that a string of a template stands for, and whether it may be missing: `"{password?}"`."""
    if not isinstance(template, str) or template[:1] != "{" or template[-1:] != "}":
        return None
    word = template[1:-1]
    role = ROLES.get(word.removesuffix("?"))
    return None if role is None else (role, word.endswith("?"))


def check_roles(template: JsonTemplate) -> None:
    """Raises `FieldError` for a `{role}` that is none."""
    match template:
        case str():
            for word in re.findall(r"\{(\w+)\??\}", template):
                if word not in ROLES:
                    raise FieldError(f"{{{word}}} is no field{near(word, ROLES)}")
        case Mapping():
            for value in template.values():
                check_roles(value)
        case list():
            for value in template:
                check_roles(value)


# --- from fields to a message -------------------------------------------------------------------------


def message(items: Sequence[Item], values: Mapping[str, Sequence[int]], *, is_stream: bool) -> Message:
    """Checks that the fields say one thing, and settles how each one's length is known. Raises `FieldError`."""
    fixed = [_settle_values(item, values) for item in items]
    measured = [number.measures for number in numbers(fixed) if number.measures]
    for label in measured:
        if measured.count(label) > 1:
            raise FieldError(f"{label} is measured twice")
    labels = {*ROLES, "payload", "json", *(group.label for group in _groups(fixed))}
    for label in measured:
        if label not in labels:
            raise FieldError(f"len({label}): there is no {label!r}{near(label, labels)}")
    laid = _lay(fixed, frozenset(measured), set(), is_bounded=not is_stream)
    roles = [role for role in _all_roles(laid) if role is not Role.ANY]
    for role in roles:
        if roles.count(role) > 1:
            raise FieldError(f"{role} stands there twice")
    head = 0
    for item in laid:
        size = size_of(item)
        if size is None or isinstance(item, Group):  # a number says how long it is here
            break
        head += size
    return Message(tuple(laid), is_stream, head)


def roles_of(message: Message) -> dict[Role, bool]:
    """The roles in a message, each with whether it may be missing."""
    return dict(_roles(message.items))


def _settle_values(item: Item, values: Mapping[str, Sequence[int]]) -> Item:
    match item:
        case Group():
            return replace(item, items=tuple(_settle_values(each, values) for each in item.items))
        case Number() if not item.measures and not item.values:
            if item.label in values:
                return given(item, values[item.label])
            if item.label not in ROLES or ROLES[item.label] not in NUMBERS:
                raise FieldError(
                    f"{item.label} has no value; write '{item.label}: u{item.width} = 0' or {item.label} = 0"
                )
    return item


def _lay(items: Sequence[Item], measured: frozenset[str], seen: set[str], *, is_bounded: bool) -> list[Item]:
    """Inline the groups that nothing measures, and find out what ends each field."""
    flat: list[Item] = []
    for item in items:
        inline = isinstance(item, Group) and item.label not in measured
        flat += item.items if inline else [item]  # type: ignore[union-attr]
    if any(isinstance(item, Group) and item.label not in measured for item in flat):
        return _lay(flat, measured, seen, is_bounded=is_bounded)
    result: list[Item] = []
    index = 0
    while index < len(flat):
        item = flat[index]
        following = flat[index + 1 : index + 2]
        match item:
            case Number() if item.measures:
                seen.add(item.measures)
            case Group():
                _check_seen(item.label, seen)
                item = replace(item, items=tuple(_lay(item.items, measured, seen, is_bounded=True)))
            case Text() if item.role in measured:
                _check_seen(item.role, seen)
                if item.width or item.until:
                    raise FieldError(f"{item.role} is measured, and has a width or a delimiter as well")
                item = replace(item, is_measured=True)
            case Json() if "json" in measured:
                _check_seen("json", seen)
                item = replace(item, is_measured=True)
            case Text() if is_open(item) and following and isinstance(following[0], Constant):
                rest = [size_of(each) for each in flat[index + 1 :]]
                if not is_bounded or None in rest:  # else what follows is found from the end
                    item, index = replace(item, until=following[0].data), index + 1
        result.append(item)
        index += 1
    _check_open(result)
    return result


def _check_seen(label: str, seen: set[str]) -> None:
    if label not in seen:
        raise FieldError(f"len({label}) stands behind {label}; it must come first")


def _check_open(items: Sequence[Item]) -> None:
    """At most one field of a region is open, and what follows it has fixed sizes."""
    opened: Item | None = None
    for item in items:
        if opened is not None and is_open(item):
            raise FieldError(f"two fields of open length side by side: {word_for(opened)} and {word_for(item)}")
        if opened is not None and size_of(item) is None:
            raise FieldError(f"{word_for(opened)} is open, and {word_for(item)} behind it has no fixed size")
        if is_open(item):
            opened = item


def is_open(item: Item) -> bool:
    """Whether a field takes what is left."""
    match item:
        case Text():
            return not (item.width or item.until or item.is_measured)
        case Json():
            return not item.is_measured
        case Filler():
            return not item.width
    return False


def size_of(item: Item) -> int | None:
    """The size of a field in bytes, where it is always the same."""
    match item:
        case Constant():
            return len(item.data)
        case Number():
            return item.width
        case Text() | Filler():
            return item.width or None
        case Json():
            return None
        case Group():
            sizes = [size_of(each) for each in item.items]
            return None if None in sizes else sum(size for size in sizes if size is not None)


def word_for(item: Item) -> str:
    """How an error calls a field."""
    match item:
        case Constant():
            return f"hex {item.data.hex()}"
        case Number():
            return f"len({item.measures})" if item.measures else item.label
        case Text():
            return str(item.role)
        case Json():
            return "json"
        case _:
            return item.label


def numbers(items: Iterable[Item]) -> Iterator[Number]:
    """The numbers among fields, those of groups too."""
    for item in items:
        if isinstance(item, Number):
            yield item
        elif isinstance(item, Group):
            yield from numbers(item.items)


def _groups(items: Iterable[Item]) -> Iterator[Group]:
    for item in items:
        if isinstance(item, Group):
            yield item
            yield from _groups(item.items)


def _all_roles(items: Iterable[Item]) -> Iterator[Role]:
    return (role for role, _ in _roles(items))


def _roles(items: Iterable[Item]) -> Iterator[tuple[Role, bool]]:
    for item in items:
        match item:
            case Number() if item.role is not None:
                yield item.role, False
            case Text():
                yield item.role, False
            case Json():
                yield from json_roles(item.template)
            case Group():
                yield from _roles(item.items)
