"""The bytes of the protocol for the reference server: what a request says, what replies, relays and notices look like.

Written from the rules and the dialects' tables alone. Knows no sessions and no rooms.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tcrp.spec.dialects import NAMES, Dialect, JsonTemplate, Reply, ReplyForm, RequestForm, RoomIn, dialect
from tcrp.spec.limits import NAME_BYTES_MAX, PORT_MAX, PORT_MIN
from tcrp.spec.names import Notice, Reason, Rule

HEADER_BYTES = 32
CREATE, JOIN = 1, 2
EXTRA_MEMBERS = ("answer_keep_alive", "tell_timeout", "resume_token")
OUR_NAME = "システム"
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)  # fillers, a joiner, variation selectors
TEXT = dialect("text")
AUTO = tuple(each for each in map(dialect, NAMES) if not each.lists)


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
    return re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), template)


def fill_json(template: JsonTemplate, values: Mapping[str, Any]) -> Any:
    """A template's JSON value. A string that is one `{role}` becomes the value itself."""
    if isinstance(template, str):
        role = re.fullmatch(r"\{(\w+)\}", template)
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


# --- requests ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What a request says, in which dialect. `fault` is the rule that a bad request breaks (R-TCP-2)."""

    dialect: Dialect
    name: str | None
    fault: Rule | None = None
    password: str = ""
    port: int | None = None
    answer_keep_alive: bool = False
    tell_timeout: bool = False
    resume_token: bytes | None = None


def read_request(payload: bytes, listed: Sequence[Dialect]) -> Request:
    """Read a request's payload, in its listener's only dialect or in the one that it is recognised as.

    What no dialect takes is answered in the first.
    """
    among = listed or AUTO
    spoken = among[0] if len(among) == 1 else _recognise(payload, among)
    return Request(among[0], None, Rule.TCP_2) if spoken is None else _read_in(spoken, payload)


def _recognise(payload: bytes, among: Sequence[Dialect]) -> Dialect | None:
    """Chapter 4, recognition."""
    of_json = [each for each in among if each.request_form is RequestForm.JSON]
    if payload[:1] in (b"{", b'"') and of_json:
        return _recognise_json(payload, of_json)
    for each in among:
        name = payload if each.request_form is RequestForm.NAME else payload[:-2]
        if each not in of_json and user_name(name) is not None:
            return each
    return None


def _recognise_json(payload: bytes, among: Sequence[Dialect]) -> Dialect | None:
    """JSON is known by its keys."""
    try:
        value = read_json(payload)
    except ValueError:
        return None
    for each in among:
        template = each.request_json
        if isinstance(template, Mapping) and isinstance(value, dict):
            keys = value.keys() - set(EXTRA_MEMBERS)
            if {key for key, role in template.items() if role != "{password}"} <= keys <= template.keys():
                return each
        elif isinstance(template, str) and isinstance(value, str):
            return each
    return None


def _read_in(spoken: Dialect, payload: bytes) -> Request:
    if spoken.request_form is RequestForm.NAME:
        return _request(spoken, payload)
    if spoken.request_form is RequestForm.NAME_PORT:
        if len(payload) < 2:
            return Request(spoken, None, Rule.TCP_2)
        return _request(spoken, payload[:-2], port=int.from_bytes(payload[-2:], "big"))
    try:
        value = read_json(payload)
    except ValueError:
        return Request(spoken, None, Rule.TCP_2)
    extra = {key: value.pop(key, None) for key in EXTRA_MEMBERS} if isinstance(value, dict) else {}
    found: dict[str, Any] = {}
    is_good = _take(spoken.request_json, value, found)
    name, password, port = found.get("name"), found.get("password", ""), found.get("port")
    is_good = is_good and isinstance(name, str) and isinstance(password, str)
    if not is_good or not isinstance(name, str) or ("port" in found and type(port) is not int):
        return Request(spoken, None, Rule.TCP_2)
    token = extra.get("resume_token")
    return replace(
        _request(spoken, name.encode(), port),
        password=password,
        answer_keep_alive=extra.get("answer_keep_alive") is True,
        tell_timeout=extra.get("tell_timeout") is True,
        resume_token=token.encode() if isinstance(token, str) else None,
    )


def _request(spoken: Dialect, name: bytes, port: int | None = None) -> Request:
    """R-NAME-1. R-ADDR-1: of an address in a request only the port counts, and none below 1024."""
    fault = None
    if user_name(name) is None:
        fault = Rule.NAME_1
    elif port is not None and not PORT_MIN <= port <= PORT_MAX:
        fault = Rule.ADDR_1
    return Request(spoken, user_name(name), fault, port=port)


def _take(
    template: JsonTemplate, value: Any, found: dict[str, Any], optional: tuple[str, ...] = ("{password}",)
) -> bool:
    """Put the values of a template's roles into `found`. Whether the value has the template's shape."""
    if isinstance(template, str):
        found[template.strip("{}")] = value
        return True
    if isinstance(template, Mapping):
        if not isinstance(value, dict) or not value.keys() <= template.keys():
            return False
        present = {key: part for key, part in template.items() if key in value or part not in optional}
        return all(key in value and _take(part, value[key], found) for key, part in present.items())
    assert isinstance(template, list), "a request is made of objects, lists and roles"
    return (
        isinstance(value, list)
        and len(value) == len(template)
        and all(_take(part, each, found) for part, each in zip(template, value, strict=True))
    )


# --- replies -----------------------------------------------------------------------------------------


def frame(room: bytes, form: RoomIn, operation: int, state: int, payload: bytes) -> bytes:
    """A TCP frame of the server (chapter 3)."""
    length = 0 if form is RoomIn.EMPTY else len(room)
    body = room if form is RoomIn.ECHOED else b""
    return bytes((length, operation, state)) + len(payload).to_bytes(29, "big") + body + payload


def answer(spoken: Dialect, room: bytes, operation: int) -> bytes:
    """The frame that says that a request is accepted."""
    reply = spoken.answer
    return frame(room, spoken.room, operation, 1, b"\0" if reply.form is ReplyForm.BYTE else _payload(reply, {}))


def completion(request: Request, room: str, operation: int, token: bytes, timeout_us: int) -> bytes:
    """The frame that hands over the token."""
    spoken = request.dialect
    reply = spoken.created if operation == CREATE else spoken.joined
    if reply.form is ReplyForm.TOKEN:
        return frame(room.encode(), spoken.room, operation, 2, token)
    value = fill_json(reply.json, {"token": token.decode(), "name": request.name, "room": room})
    if request.tell_timeout and isinstance(value, dict):
        seconds, rest = divmod(timeout_us, 1_000_000)
        value["idle_timeout"] = timeout_us / 1_000_000 if rest else seconds
    return frame(room.encode(), spoken.room, operation, 2, json.dumps(value).encode())


def refusal(spoken: Dialect, reason: Reason, room: bytes, operation: int) -> Iterator[bytes]:
    """The frames of a refusal: one, or in some dialects an empty completion after it."""
    form = spoken.refusals[reason]
    values = {"status": form.status, "reason": str(reason)}
    byte = form.reply.form is ReplyForm.BYTE
    payload = bytes((form.status,)) if byte else _payload(form.reply, values)
    yield frame(room, form.room, operation, form.state, payload)
    if form.completion is not None:
        yield frame(room, form.room, operation, 2, _payload(form.completion, values))


def _payload(reply: Reply, values: Mapping[str, Any]) -> bytes:
    if reply.form is ReplyForm.WORD:
        return reply.word.encode()
    return json.dumps(fill_json(reply.json, values)).encode()


# --- datagrams ---------------------------------------------------------------------------------------


def read_text(spoken: Dialect, data: bytes) -> str | None:
    """The text of a client's datagram, or None if its dialect cannot read it."""
    try:
        if spoken.text_json is None or not data:  # an empty text is a keep-alive in every dialect
            return data.decode()
        value, found = read_json(data), dict[str, Any]()
    except ValueError:
        return None
    text = found.get("text") if _take(spoken.text_json, value, found, ("{name}",)) else None
    return text if isinstance(text, str) else None


def relay(spoken: Dialect, name: str, text: str) -> bytes | None:
    """A text as a member of this dialect is sent it; None if the sender's name is too long for its form."""
    form = spoken.relay
    values = {"name": name, "text": text}
    if form.json is not None:
        return form.prefix + json.dumps(fill_json(form.json, values)).encode()
    head = fill_text(form.head, values).encode()
    if form.length_byte:
        if len(head) > 255:
            return None
        head = bytes((len(head),)) + head
    return form.prefix + head + text.encode()


def notice(spoken: Dialect, kind: Notice, name: str, room: str, host: str) -> bytes | None:
    """What a member of this dialect is told; None if its dialect has no sentence for it."""
    template = spoken.notices.get(kind)
    return None if template is None else sentence(spoken, template, name, room, host)


def sentence(spoken: Dialect, template: str, name: str, room: str, host: str) -> bytes:
    """A sentence of the server in the form of this dialect."""
    text = fill_text(template, {"name": name, "room": room, "host": host})
    if spoken.notice_json is None:
        return spoken.notice_prefix + text.encode()
    return spoken.notice_prefix + json.dumps(fill_json(spoken.notice_json, {"sentence": text})).encode()


def reads_as_notice(spoken: Dialect, data: bytes, room: str) -> bool:
    """R-REL-3: whether a client of this dialect would take these bytes for a notice of the server."""
    if not data.startswith(spoken.notice_prefix):
        return False
    if spoken.notice_json is not None:
        return False  # a notice's sender is empty, and no relay's is
    try:
        text = data.removeprefix(spoken.notice_prefix).decode()
    except UnicodeDecodeError:
        return False  # a length byte over 127
    if ends(spoken, data):
        return True
    sentences = [*spoken.notices.values(), *([spoken.host_quit] if spoken.host_quit else [])]
    return any(_is_sentence(template, text, room) for template in sentences)


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
    pattern = re.escape(template).replace(r"\{room\}", re.escape(room))
    pattern = pattern.replace(r"\{name\}", ".+").replace(r"\{host\}", ".+")
    return re.fullmatch(pattern, text, re.DOTALL) is not None
