"""A dissector for Wireshark: the protocol's words and the dialects' fields as Lua tables, before a reader of them.

The reader is `wireshark.lua`; it knows how fields are read, no dialect. What it shows with a rule's id is in `EXPERTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tcrp.spec.dialects import AUTO, NAMES, SHIPPED, Dialect, Telling, dialect
from tcrp.spec.fields import Constant, Filler, Group, Item, Json, Message, Number, Order, Role, Text, json_role, size_of
from tcrp.spec.limits import (
    CLIENT_DATAGRAM_BYTES_MAX,
    NAME_BYTES_MAX,
    PORT_MAX,
    PORT_MIN,
    SERVER_DATAGRAM_BYTES_MAX,
)
from tcrp.spec.names import Notice, Operation, Rule
from tcrp.spec.rules import SENTENCES

TCP_PORT, UDP_PORT = 9002, 9003
STATES = {0: "request", 1: "answer", 2: "completion"}
FRAME_BYTES_MAX = 1 << 20
"""Of a frame that no dialect reads, how long it may say that it is."""
ENDING = (Notice.ROOM_CLOSED, Notice.IDLED, Notice.REMOVED, Notice.SUPERSEDED, Notice.SHUTDOWN, Notice.QUIT)


class Expert(NamedTuple):
    """Something that the dissector points out, by the rule that is about it."""

    id: str
    rule: Rule
    severity: str


EXPERTS = (
    Expert("frame", Rule.TCP_5, "warn"),
    Expert("request", Rule.TCP_2, "warn"),
    Expert("refused", Rule.TCP_2, "note"),
    Expert("port", Rule.ADDR_1, "warn"),
    Expert("name", Rule.NAME_1, "warn"),
    Expert("datagram", Rule.UDP_3, "warn"),
    Expert("token", Rule.TOK_2, "note"),
    Expert("holder", Rule.TOK_3, "warn"),
    Expert("room", Rule.IDLE_2, "warn"),
    Expert("client_bytes", Rule.UDP_1, "error"),
    Expert("server_bytes", Rule.UDP_2, "error"),
    Expert("keep_alive", Rule.IDLE_1, "chat"),
    Expert("leave", Rule.EXIT_1, "chat"),
    Expert("ended", Rule.END_1, "chat"),
)


class Raw(str):
    """Lua that stands for itself."""


def wireshark(dialects: Sequence[Dialect] | None = None) -> str:
    """The dissector of these dialects; by default, of all that come with the protocol."""
    known = [dialect(name) for name in SHIPPED] if dialects is None else dialects
    auto = AUTO if dialects is None else [each.name for each in known]
    numbers: set[str] = {"len_room", "len_payload", "operation", "state", "port"}
    for items in _all_items(known):
        numbers |= {_label(item) for item in _flat(items) if isinstance(item, Number)}
    header = (Number("room", 1, measures="room"), Number("operation", 1), Number("state", 1),
              Number("payload", 29, measures="payload"))  # fmt: skip
    tables: dict[str, Any] = {
        "DEFAULT_TCP_PORT": str(TCP_PORT),
        "DEFAULT_UDP_PORT": str(UDP_PORT),
        "NAME_BYTES_MAX": NAME_BYTES_MAX,
        "PORT_MIN": PORT_MIN,
        "PORT_MAX": PORT_MAX,
        "CLIENT_DATAGRAM_BYTES_MAX": CLIENT_DATAGRAM_BYTES_MAX,
        "SERVER_DATAGRAM_BYTES_MAX": SERVER_DATAGRAM_BYTES_MAX,
        "FRAME_BYTES_MAX": FRAME_BYTES_MAX,
        "OPERATIONS": {1: "create", 2: "join"},
        "STATES": STATES,
        "RULES": {str(rule): SENTENCES[rule] for rule in Rule},
        "EXPERTS": [{"id": each.id, "rule": str(each.rule), "severity": each.severity} for each in EXPERTS],
        "ENDS": {str(notice): True for notice in ENDING},
        "NUMBER_FIELDS": sorted(numbers),
        "TEXT_FIELDS": [str(role) for role in Role if str(role) not in numbers],
        "PADDED": {pad: Raw(f"{_lua(_escaped(pad))} .. '+$'") for pad in _pads(known)},
        "COMMON_HEADER": [_item(each) for each in header],
        "TRAILER_BYTES": 2,
        "TRAILER": [_item(Number("port", 2))],
        "DIALECTS": [_dialect(each, is_auto=each.name in auto) for each in known],
    }
    lua = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
    return lua.replace("--@tables", "\n".join(f"local {name} = {_lua(value)}" for name, value in tables.items()))


# --- dialects ----------------------------------------------------------------------------------------


def _dialect(each: Dialect, *, is_auto: bool) -> dict[str, Any]:
    requests = [
        {"operation": str(operation), "items": _message(message, each, operation), "plain": not _has_json(message)}
        for operation, message in each.request.items()
    ]
    if each.list_request is not None:
        listing = _message(each.list_request, each, Operation.LIST)
        requests.insert(0, {"operation": str(Operation.LIST), "items": listing, "plain": True})
    return {
        "name": each.name,
        "auto": is_auto or None,
        "ours": each.name in NAMES or None,
        "requests": requests,
        "replies": list(_replies(each)),
        "datagram": _message(each.datagram),
        "relay": _message(each.relay),
        "enter_word": each.enter_word or None,
        "leave_words": list(each.leave_words),
        "notices": list(_notices(each)),
    }


def _notices(each: Dialect) -> Iterable[dict[str, Any]]:
    """The forms of notices, each with the sentences that are told in it."""
    forms: dict[str, dict[str, Any]] = {}
    for notice, telling in _tellings(each):
        form = forms.setdefault(repr(telling.form), {"items": _message(telling.form), "sentences": []})
        form["sentences"] += [{"notice": str(notice), "pattern": _pattern(each)} for each in telling.sentences]
    return forms.values()


def _tellings(each: Dialect) -> Iterable[tuple[Notice, Telling]]:
    yield from each.notices.items()
    if each.host_quit is not None:
        yield Notice.QUIT, each.host_quit


def _replies(each: Dialect) -> Iterable[dict[str, Any]]:
    if each.greeting is not None:
        yield {"message": "greeting", "items": _message(each.greeting)}
    for kind, messages in (("answer", each.answer), ("completion", each.completion)):
        for operation, message in (messages or {}).items():
            yield {"message": kind, "operation": str(operation), "items": _message(message, each, operation)}
    frames: dict[str, dict[str, Any]] = {}  # most reasons of a dialect have one form
    for reason, refusal in each.refusals.items():
        for message in filter(None, (refusal.frame, refusal.then)):
            found = frames.setdefault(repr(message), {"message": "refusal", "reasons": [], "items": _message(message)})
            found["reasons"].append({"reason": str(reason), "status": refusal.status, "word": refusal.word})
    yield from frames.values()
    if each.list_reply is not None:
        yield {"message": "listing", "operation": str(Operation.LIST), "items": _message(each.list_reply)}


def _message(message: Message, each: Dialect | None = None, operation: Operation | None = None) -> list[Any]:
    code = each.operations.get(operation) if each is not None and operation is not None else None
    return [_item(item, code) for item in message.items]


def _item(item: Item, operation: int | None = None) -> dict[str, Any]:
    size = size_of(item)
    match item:
        case Constant():
            return {"kind": "constant", "bytes": item.data, "size": size}
        case Number():
            is_operation = item.label == Role.OPERATION and operation is not None
            return {
                "kind": "number",
                "label": _label(item),
                "width": item.width,
                "order": str(item.order) if item.order is not Order.BIG else None,
                "measures": item.measures or None,
                "plus": item.plus,
                "role": None if item.measures else item.label,
                "values": [operation] if is_operation else list(item.values) or None,
                "any": item.takes_any or None,
                "size": size,
            }
        case Text():
            return {
                "kind": "text",
                "role": str(item.role),
                "encoding": str(item.encoding),
                "width": item.width or None,
                "pad": item.pad if item.width else None,
                "delimiter": item.until or None,
                "measured": item.is_measured or None,
                "size": size,
            }
        case Json():
            return {"kind": "json", "template": _template(item.template), "measured": item.is_measured or None}
        case Filler():
            return {"kind": "filler", "width": item.width or None, "size": size}
        case Group():
            inner = [_item(each, operation) for each in item.items]
            return {"kind": "group", "label": item.label, "items": inner, "size": size}


def _template(template: Any) -> dict[str, Any]:
    match template:
        case Mapping():
            return {"object": {key: _template(value) for key, value in template.items()}}
        case list():
            return {"array": [_template(value) for value in template]}
    found = json_role(template)
    if found is not None:
        return {"role": str(found[0]), "maybe": found[1] or None}
    return {"value": template}


def _label(number: Number) -> str:
    return f"len_{number.measures}" if number.measures else number.label


def _has_json(message: Message) -> bool:
    return any(isinstance(item, Json) or (isinstance(item, Text) and item.encoding == "json")
               for item in _flat(message.items))  # fmt: skip


def _flat(items: Iterable[Item]) -> Iterable[Item]:
    for item in items:
        yield item
        if isinstance(item, Group):
            yield from _flat(item.items)


def _all_items(dialects: Iterable[Dialect]) -> Iterable[Sequence[Item]]:
    for each in dialects:
        messages = [*each.request.values(), *(each.answer or {}).values(), *each.completion.values(), each.datagram]
        messages += [each.relay, *(telling.form for telling in each.notices.values())]
        messages += [frame for refusal in each.refusals.values() for frame in (refusal.frame, refusal.then) if frame]
        messages += [some for some in (each.greeting, each.list_request, each.list_reply) if some is not None]
        yield from (message.items for message in messages)


def _pads(dialects: Iterable[Dialect]) -> list[bytes]:
    return sorted({item.pad for items in _all_items(dialects) for item in _flat(items) if isinstance(item, Text)})


# --- Lua -----------------------------------------------------------------------------------------------


def _pattern(sentence: str) -> str:
    """A pattern of Lua for a sentence of a notice, in which `{name}` stands for anything."""
    pieces = re.split(r"\{\w+\}", sentence)
    return f"^{'.+'.join(_escaped(piece.encode()).decode() for piece in pieces)}$"


def _escaped(data: bytes) -> bytes:
    """The bytes as a pattern that only they match."""
    return re.sub(rb"([^\w\s\x80-\xff\x00])", rb"%\1", data)


def _lua(value: Any, indent: str = "") -> str:
    deeper = indent + "  "
    match value:
        case Raw():
            return str(value)
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _quoted(value.encode())
        case bytes():
            return _quoted(value)
        case Mapping():
            entries = [
                f"[{_lua(key)}] = {_lua(inner, deeper)}" if not _is_word(key) else f"{key} = {_lua(inner, deeper)}"
                for key, inner in value.items()
                if inner is not None
            ]
        case _:
            entries = [_lua(inner, deeper) for inner in value]
    one_line = f"{{ {', '.join(entries)} }}" if entries else "{}"
    if len(one_line) + len(indent) <= 120 and "\n" not in one_line:
        return one_line
    return "{\n" + "".join(f"{deeper}{entry},\n" for entry in entries) + indent + "}"


_RESERVED = frozenset({"and", "end", "in", "or", "not", "then", "repeat", "until", "nil", "true", "false"})


def _is_word(key: object) -> bool:
    return isinstance(key, str) and re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) is not None and key not in _RESERVED


def _quoted(data: bytes) -> str:
    """A string of Lua. What is not printable ASCII or UTF-8 text is written as `\\ddd`."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        return '"' + "".join(_character(c) if c.isascii() else f"\\{ord(c):03d}" for c in text) + '"'
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return f"\\{ord(character):03d}" if ord(character) < 32 or ord(character) == 127 else character
