"""The bytes of the protocol for the reference server: what a request says, what replies, relays and notices look like.

Written from the rules and the dialects' tables alone. Knows no sessions and no rooms.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tcrp.spec.dialects import AUTO, Dialect, Telling, dialect
from tcrp.spec.fields import Constant, Encoding, Filler, Group, Item, Json, JsonTemplate, Message, Number, Order, Text
from tcrp.spec.frozen import Frozen
from tcrp.spec.limits import NAME_BYTES_MAX, PORT_MAX, PORT_MIN
from tcrp.spec.names import Notice, Operation, Reason, Rule

EXTRA_MEMBERS = ("answer_keep_alive", "tell_timeout", "resume_token")
OUR_NAME = "システム"
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)  # fillers, a joiner, variation selectors
LISTING_BYTES_MAX = 64 * 1024
WITHOUT_WIDTH = (Json, Group)
OF_OWN_WIDTH = (Constant, Number)  # whatever another field says about their length
AUTOMATIC = tuple(map(dialect, AUTO))


# --- names (R-NAME-1) ------------------------------------------------------------------------------


def room_name(data: bytes) -> str | None:
    """R-NAME-1: UTF-8 of 1 to 255 bytes, NFC, no control, bidi, format or line separating characters."""
    try:
        name = data.decode()
    except UnicodeDecodeError:
        return None
    invisible = any(unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") or UNSEEN.fullmatch(each) for each in name)
    fits = 1 <= len(data) <= NAME_BYTES_MAX
    return name if fits and not invisible and unicodedata.is_normalized("NFC", name) else None


def user_name(data: bytes) -> str | None:
    """R-NAME-1: a user's name also holds none of `:` `[` `]`, and is not the server's own."""
    name = room_name(data)
    return None if name is None or name == OUR_NAME or any(each in name for each in ":[]") else name


# --- templates ---------------------------------------------------------------------------------------


def fill_text(template: str, values: Mapping[str, Any]) -> str:
    """Replace each `{role}` once: a name that holds `{room}` stays as it is."""
    return re.sub(r"\{(\w+)\??\}", lambda match: str(values.get(match[1], match[0])), template)


def fill_json(template: JsonTemplate, values: Mapping[str, Any]) -> Any:
    """A template's JSON value. A string that is one `{role}` becomes the value itself."""
    if isinstance(template, str):
        role = re.fullmatch(r"\{(\w+)\??\}", template)
        return values[role[1]] if role is not None and role[1] in values else fill_text(template, values)
    if isinstance(template, Mapping):
        return {key: fill_json(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [fill_json(value, values) for value in template]
    return template


def read_json(data: bytes) -> Any:
    """Raises `ValueError` for what is no JSON, for a key given twice and for a lone surrogate."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


# --- fields ------------------------------------------------------------------------------------------


class Short(Exception):
    """More bytes are needed."""


class Wrong(Exception):
    """The bytes are none of the message. `operation`: as far as it was read."""

    def __init__(self, *, too_long: bool = False, operation: int = 0) -> None:
        self.too_long = too_long
        self.operation = operation


def width(item: Item) -> int | None:
    """How many bytes a field always has."""
    if isinstance(item, Constant):
        return len(item.data)
    return None if isinstance(item, WITHOUT_WIDTH) else item.width or None


def write(items: tuple[Item, ...], values: Mapping[str, Any]) -> bytes:
    """The bytes of fields. Raises `ValueError` for a value that does not fit."""
    return b"".join(_written(item, items, values) for item in items)


def _written(item: Item, all_items: tuple[Item, ...], values: Mapping[str, Any]) -> bytes:
    if isinstance(item, Constant):
        return item.data
    if isinstance(item, Filler):
        return item.pad * item.width
    if isinstance(item, Group):
        return write(item.items, values)
    if isinstance(item, Json):
        value = fill_json(item.template, values)
        return json.dumps({**value, **values.get("extra", {})} if isinstance(value, dict) else value).encode()
    if isinstance(item, Number):
        if item.measures:
            number = _length(item.measures, all_items, values) + item.plus
        else:
            number = item.values[0] if item.values else values[item.label]
        if item.order is Order.DIGITS:
            return str(number).encode().ljust(item.width, item.pad)
        if number >= 256**item.width:
            raise ValueError(f"{number} does not fit")
        return int(number).to_bytes(item.width, "big" if item.order is Order.BIG else "little")
    value = values[item.role]
    data = json.dumps(value).encode() if item.encoding is Encoding.JSON else _raw(value)
    if item.until and item.until in data:
        raise ValueError(f"{data!r} holds {item.until!r}")
    return data.ljust(item.width, item.pad) + item.until


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _length(label: str, items: tuple[Item, ...], values: Mapping[str, Any]) -> int:
    """How long a field is; one that the message leaves out is as long as its value."""
    for item in items:
        if label in (getattr(item, "label", None), getattr(item, "role", None)) and not isinstance(item, Number):
            return len(_written(item, items, values))
    return len(_raw(values[label]))


def take(
    items: tuple[Item, ...], data: bytes, found: dict[str, Any], *, limit: int | None = None, lengths: Any = None
) -> bytes:
    """Take the fields from the front of `data`; what is left. Raises `Short` or `Wrong`.

    With a limit the fields stand in a stream: more may come, but lengths may not claim more than the limit.
    """
    lengths = {} if lengths is None else lengths
    for index, item in enumerate(items):
        if isinstance(item, Text) and item.until:
            piece, delimiter, rest = data.partition(item.until)
            if not delimiter:
                raise Wrong if limit is None else Short
            data = rest
        else:
            size = width(item) if isinstance(item, OF_OWN_WIDTH) else lengths.get(_label(item), width(item))
            if size is None:  # all that the fields behind leave
                size = len(data) - sum(width(each) or 0 for each in items[index + 1 :])
            if not 0 <= size <= len(data):
                raise Wrong if limit is None else Short
            piece, data = data[:size], data[size:]
        _understand(item, piece, found, lengths, limit)
    return data


def _label(item: Item) -> str:
    if isinstance(item, Text):
        return item.role
    return "json" if isinstance(item, Json) else item.label


def _understand(item: Item, piece: bytes, found: dict[str, Any], lengths: dict[str, int], limit: int | None) -> None:
    if isinstance(item, Constant):
        _insist(piece == item.data)
    elif isinstance(item, Number):
        _insist(item.order is not Order.DIGITS or piece.rstrip(item.pad).isdigit())
        is_digits = item.order is Order.DIGITS
        big = "big" if item.order is Order.BIG else "little"
        number = int(piece.rstrip(item.pad)) if is_digits else int.from_bytes(piece, big)  # type: ignore[arg-type]
        if item.measures:
            lengths[item.measures] = number - item.plus
            _insist(number >= item.plus)
            if limit is not None and sum(lengths.values()) > limit:
                raise Wrong(too_long=True)
        elif item.values:
            _insist(item.takes_any or number in item.values)
        else:
            found[item.label] = number
    elif isinstance(item, Group):
        found["payload"] = piece
        _insist(not take(item.items, piece, found, lengths=lengths))
    elif isinstance(item, Filler):
        found[item.label] = piece
    elif isinstance(item, Json):
        found["json"] = _json(piece)
    elif isinstance(item, Text):
        found[item.role] = (
            _json(piece) if item.encoding is Encoding.JSON else piece.rstrip(item.pad) if item.width else piece
        )


def _json(data: bytes) -> Any:
    try:
        return read_json(data)
    except ValueError:
        raise Wrong from None


def _insist(is_so: bool) -> None:
    if not is_so:
        raise Wrong


def shape(template: JsonTemplate, value: Any, found: dict[str, Any]) -> bool:
    """Put the values of a template's roles into `found`. Whether the value has the template's shape."""
    role = re.fullmatch(r"\{(\w+)(\??)\}", template) if isinstance(template, str) else None
    if role is not None:
        if value is not None or not role[2]:
            found[role[1]] = value
        return True
    if isinstance(template, Mapping):
        if not isinstance(value, dict) or not value.keys() <= template.keys():
            return False
        return all(
            shape(part, value[key], found) if key in value else str(part).endswith("?}")
            for key, part in template.items()
        )
    if isinstance(template, list):
        return (
            isinstance(value, list)
            and len(value) == len(template)
            and all(shape(part, each, found) for part, each in zip(template, value, strict=True))
        )
    return bool(template == value)


# --- requests ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request(Frozen):
    """What a request says, in which dialect. `fault` is the rule that a bad request breaks (R-TCP-2)."""

    dialect: Dialect
    rest: bytes
    creates: bool
    code: int
    room: bytes
    name: str | None
    fault: Rule | None = None
    password: str = ""
    port: int | None = None
    answer_keep_alive: bool = False
    tell_timeout: bool = False
    resume_token: bytes | None = None


@dataclass(frozen=True, slots=True)
class Frame(Frozen):
    """A request of which the payload is not looked at yet."""

    spoken: Dialect
    rest: bytes
    code: int
    room: bytes
    payload: bytes


def has_begun(dialects: Sequence[Dialect], data: bytes) -> bool:
    """Whether the fields of fixed size at the beginning of a request are there, in some dialect."""
    return any(len(data) >= _head(each) > 0 for each in dialects)


def _head(spoken: Dialect) -> int:
    return spoken.request[Operation.CREATE].head_bytes


def read_request(data: bytes, dialects: Sequence[Dialect], limit: int) -> Request | None:
    """A request in one of these dialects. None: more bytes are needed. Raises `Wrong`: it is none of any.

    What no dialect takes is answered as in the first.
    """
    frames, waits, wrong = [], False, None
    for each in dialects:
        try:
            frames.append(_read_frame(each, data, limit))
        except Short:
            waits = True
        except Wrong as error:
            wrong = wrong or error
    # Where only one dialect is spoken, there is nothing to be recognised.
    chosen = frames[0] if frames and len(dialects) == 1 else _recognise(frames)
    if chosen is not None:
        return _read_in(chosen)
    if waits:
        return None
    if frames:
        first = frames[0]
        return Request(first.spoken, first.rest, False, first.code, first.room, None, Rule.TCP_2)
    assert wrong is not None, "nothing else is left"
    raise wrong


def _read_frame(spoken: Dialect, data: bytes, limit: int) -> Frame:
    if len(data) < _head(spoken):
        raise Short
    found: dict[str, Any] = {}
    items = tuple(Filler("payload", 0) if isinstance(item, Group) else item for item in _request_items(spoken))
    try:
        rest = take(items, data, found, limit=limit - _head(spoken))
        _insist(found["operation"] in [spoken.operations[each] for each in (Operation.CREATE, Operation.JOIN)])
    except (Wrong, Short) as error:
        known = [spoken.operations[each] for each in (Operation.CREATE, Operation.JOIN)]
        is_known = found.get("operation", known[0]) in known
        if isinstance(error, Short) and is_known:
            raise
        too_long = is_known and isinstance(error, Wrong) and error.too_long
        raise Wrong(too_long=too_long, operation=found.get("operation", 0)) from None
    return Frame(spoken, rest, found["operation"], found["room"], found["payload"])


def _request_items(spoken: Dialect) -> tuple[Item, ...]:
    return spoken.request[Operation.CREATE].items


def _payload_items(spoken: Dialect) -> tuple[Item, ...]:
    return next(item.items for item in _request_items(spoken) if isinstance(item, Group))


def _recognise(frames: list[Frame]) -> Frame | None:
    """Chapter 4, recognition."""
    for each in frames:
        is_json = each.payload[:1] in (b"{", b'"') and any(_is_json(other.spoken) for other in frames)
        if is_json and _has_keys(_payload_items(each.spoken), each.payload):
            return each
        read = _read_in(each) if not is_json else None
        if read is not None and read.fault is not Rule.TCP_2 and read.fault is not Rule.NAME_1:
            return each
    return None


def _is_json(spoken: Dialect) -> bool:
    [item, *more] = _payload_items(spoken)
    return not more and (isinstance(item, Json) or (isinstance(item, Text) and item.encoding is Encoding.JSON))


def _has_keys(items: tuple[Item, ...], payload: bytes) -> bool:
    """JSON is known by its keys."""
    try:
        value = read_json(payload)
    except ValueError:
        return False
    match items:
        case (Json(template=template),) if isinstance(template, Mapping) and isinstance(value, dict):
            keys = value.keys() - set(EXTRA_MEMBERS)
            return {key for key, part in template.items() if not str(part).endswith("?}")} <= keys <= template.keys()
        case (Text(encoding=Encoding.JSON),):
            return isinstance(value, str)
    return False


def _read_in(frame: Frame) -> Request:
    spoken, found = frame.spoken, dict[str, Any]()
    creates = frame.code == spoken.operations[Operation.CREATE]
    start = (spoken, frame.rest, creates, frame.code, frame.room)
    try:
        _insist(not take(_payload_items(spoken), frame.payload, found))
        value = found.pop("json", None)
        extra = {key: value.pop(key, None) for key in EXTRA_MEMBERS} if isinstance(value, dict) else {}
        templates = [item.template for item in _payload_items(spoken) if isinstance(item, Json)]
        _insist(all(shape(template, value, found) for template in templates))
    except Wrong:
        return Request(*start, None, Rule.TCP_2)
    name, password, port = found["name"], found.get("password", ""), found.get("port")
    is_good = isinstance(name, str | bytes) and isinstance(password, str)
    if not is_good or ("port" in found and type(port) is not int):
        return Request(*start, None, Rule.TCP_2)
    token = extra.get("resume_token")
    fault = None
    raw = name.encode() if isinstance(name, str) else name
    if user_name(raw) is None:
        fault = Rule.NAME_1
    elif port is not None and not PORT_MIN <= port <= PORT_MAX:  # R-ADDR-1
        fault = Rule.ADDR_1
    return Request(
        *start, user_name(raw), fault, password, port,
        answer_keep_alive=extra.get("answer_keep_alive") is True,
        tell_timeout=extra.get("tell_timeout") is True,
        resume_token=token.encode() if isinstance(token, str) else None,
    )  # fmt: skip


def asks_for_list(spoken: Dialect, data: bytes, limit: int) -> int | None:
    """How long a request for the open rooms is; None where `data` is none."""
    if spoken.list_request is None:
        return None
    found: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    try:
        rest = take(spoken.list_request.items, data, found, limit=limit - _head(spoken), lengths=lengths)
    except (Wrong, Short):
        return None
    return len(data) - len(rest) if found["operation"] == spoken.operations[Operation.LIST] else None


# --- replies -----------------------------------------------------------------------------------------


def answer(spoken: Dialect, room: bytes, operation: int) -> bytes:
    """The message that says that a request is accepted; nothing where the dialect has none."""
    if spoken.answer is None:
        return b""
    return write(_of(spoken, spoken.answer, operation), {"room": room, "operation": operation})


def completion(request: Request, room: str, token: bytes, timeout_us: int) -> bytes:
    """The message that hands over the token."""
    values: dict[str, Any] = {
        "token": token.decode(), "name": request.name, "room": room, "operation": request.code
    }  # fmt: skip
    if request.tell_timeout:
        seconds, rest = divmod(timeout_us, 1_000_000)
        values["extra"] = {"idle_timeout": timeout_us / 1_000_000 if rest else seconds}
    return write(_of(request.dialect, request.dialect.completion, request.code), values)


def _of(spoken: Dialect, messages: Mapping[Operation, Message], code: int) -> tuple[Item, ...]:
    is_create = code == spoken.operations[Operation.CREATE]
    return messages[Operation.CREATE if is_create else Operation.JOIN].items


def refusal(spoken: Dialect, reason: Reason, room: bytes, operation: int) -> Iterator[bytes]:
    """The messages of a refusal: one, or in some dialects an empty completion after it."""
    form = spoken.refusals[reason]
    values = {"status": form.status, "reason": form.word, "room": room, "operation": operation}
    yield write(form.frame.items, values)
    if form.then is not None:
        yield write(form.then.items, values)


def listing(spoken: Dialect, names: bytes) -> bytes:
    """The names of the open rooms."""
    assert spoken.list_reply is not None, "it is asked for only then"
    values = {"room": b"", "operation": spoken.operations[Operation.LIST], "rooms": names}
    return write(spoken.list_reply.items, values)


# --- datagrams ---------------------------------------------------------------------------------------


def read_text(spoken: Dialect, data: bytes) -> str | None:
    """The text of a client's datagram behind its token, or None if its dialect cannot read it."""
    items = spoken.datagram.items[4:]  # behind two lengths, the room and the token
    found: dict[str, Any] = {}
    is_json = any(isinstance(item, Json) for item in items)
    if is_json and not data:  # an empty text is a keep-alive in every dialect
        return ""
    try:
        _insist(not take(items, data, found))
    except Wrong:
        return None
    if is_json and not all(shape(item.template, found["json"], found) for item in items if isinstance(item, Json)):
        return None
    text = found["text"]
    try:
        return text.decode() if isinstance(text, bytes) else text if isinstance(text, str) else None
    except UnicodeDecodeError:
        return None


def relay(spoken: Dialect, name: str, text: str) -> bytes | None:
    """A text as a member of this dialect is sent it; None if the sender's name is too long for its form."""
    try:
        return write(spoken.relay.items, {"name": name, "text": text})
    except ValueError:
        return None


def notice(spoken: Dialect, kind: Notice, name: str, room: str, host: str) -> bytes | None:
    """What a member of this dialect is told; None if its dialect has no sentence for it."""
    telling = spoken.notices.get(kind)
    return None if telling is None else sentence(telling, name, room, host)


def sentence(telling: Telling, name: str, room: str, host: str) -> bytes:
    """A sentence of the server in the form of this dialect."""
    text = fill_text(telling.sentences[0], {"name": name, "room": room, "host": host})
    return write(telling.form.items, {"sentence": text, "name": name, "room": room})


def reads_as_notice(spoken: Dialect, data: bytes, room: str) -> bool:
    """R-REL-3: whether a client of this dialect would take these bytes for a notice of the server."""
    if ends(spoken, data):
        return True
    for telling in [*spoken.notices.values(), *([spoken.host_quit] if spoken.host_quit else [])]:
        found: dict[str, Any] = {}
        try:
            _insist(not take(telling.form.items, data, found))
            templates = [item.template for item in telling.form.items if isinstance(item, Json)]
            _insist(all(shape(template, found["json"], found) for template in templates))
            said = found["sentence"]
            text = said.decode() if isinstance(said, bytes) else str(said)
        except (Wrong, UnicodeDecodeError):
            continue
        if any(_is_sentence(template, text, room) for template in telling.sentences):
            return True
    return False


def ends(spoken: Dialect, data: bytes) -> bool:
    """R-REL-3: whether the bytes hold a phrase by which other programs of this dialect know that they are to end."""
    text, phrases = data.decode(errors="replace"), spoken.endings.phrases
    match str(spoken.endings.match):
        case "whole":
            return text in phrases
        case "prefix":
            return any(map(text.startswith, phrases))
        case _:
            return any(phrase in text for phrase in phrases)


def _is_sentence(template: str, text: str, room: str) -> bool:
    """Whether the text is the template's sentence about this room and anybody."""
    return _about(template, room).fullmatch(text) is not None


@lru_cache(1000)
def _about(template: str, room: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{room\}", re.escape(room))
    return re.compile(pattern.replace(r"\{name\}", ".+").replace(r"\{host\}", ".+"), re.DOTALL)
