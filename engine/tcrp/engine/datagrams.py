"""The datagrams of a dialect, compiled for the path that every text takes.

A client's datagram is read in two steps: its head says room and token, which name the session; the rest is read as the
session's dialect has it. The forms that most dialects use have functions of their own, all others their template.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

from tcrp.engine import json_templates
from tcrp.engine.templates import Read, Template, compile_message
from tcrp.spec.fields import (
    Constant,
    Encoding,
    Group,
    Item,
    Json,
    JsonTemplate,
    Message,
    Number,
    Role,
    Text,
    json_roles,
)

Head = Callable[[bytes], "tuple[bytes | None, bytes, int] | None"]
"""Reads a client's datagram as far as its token: the room (None: it names none), the token, where the rest begins."""


class ReadText(Protocol):
    """Reads the rest of a client's datagram, from a place on: its text, or None."""

    def __call__(self, data: bytes, at: int = 0, /) -> str | None: ...


ReadRelay = Callable[[bytes], "tuple[str, str] | None"]
"""Reads a relay: whose text (empty: nobody is named), and the text."""

NAMES_MAX = 65_536  # heads of relays that are remembered for each dialect, of those who speak

COMMON_HEAD: tuple[Item, ...] = (
    Number("", 1, measures="room"),
    Number("", 1, measures="token"),
    Text(Role.ROOM, is_measured=True),
    Text(Role.TOKEN, is_measured=True),
)
"""`room_len(1) token_len(1) room token` (R-UDP-1)."""

PLAIN: tuple[Item, ...] = (Text(Role.TEXT),)


class Datagram:
    """A client's datagram in one dialect."""

    __slots__ = ("_is_common", "_rest", "_whole", "head", "is_plain", "read_text")

    def __init__(self, message: Message) -> None:
        split = _split(message.items)
        head, rest = message.items[:split], message.items[split:]
        self.is_plain = rest == PLAIN
        self._is_common = head == COMMON_HEAD and self.is_plain
        self._whole = compile_message(message)
        self._rest = compile_message(Message(rest, is_stream=False))
        self.head: Head = _head(head) if split else _whole_head(self._whole)
        self.read_text: ReadText = _read_plain if self.is_plain else _text_reader(self._rest)

    def write(self, room: bytes, token: bytes, name: str, text: str) -> bytes:
        """The whole datagram. Raises `CannotWrite`."""
        if self._is_common and len(room) < 256 and len(token) < 256:
            return bytes((len(room), len(token))) + room + token + text.encode()
        return self._whole.write({"room": room, "token": token, "name": name, "text": text})

    def write_text(self, name: str, text: str) -> bytes:
        """What stands behind the token, where that is written alone. Raises `CannotWrite` elsewhere."""
        return text.encode() if self.is_plain else self._rest.write({"name": name, "text": text})


def _split(items: Sequence[Item]) -> int:
    """How many fields say room and token, if what follows can be read without them. 0: it cannot."""
    roles = [item.role if isinstance(item, Text) else None for item in items]
    if Role.TOKEN not in roles:
        return 0  # it stands within JSON or a group
    ends = roles.index(Role.TOKEN) + 1
    if Role.ROOM in roles:
        ends = max(ends, roles.index(Role.ROOM) + 1)
    head = items[:ends]
    measured = {item.measures for item in head if isinstance(item, Number)}
    behind = {word for item in items[ends:] for word in _words(item)}
    is_simple = all(isinstance(item, Constant | Number | Text) for item in head)
    has_end = all(item.width or item.until or item.is_measured for item in head if isinstance(item, Text))
    return ends if is_simple and has_end and not behind & {*measured, "room"} else 0


def _words(item: Item) -> set[str]:
    match item:
        case Text():
            return {str(item.role)}
        case Json():
            return {"json", *(str(role) for role, _ in json_roles(item.template))}
        case Group():
            return {item.label}.union(*map(_words, item.items))
    return set()


# --- reading a client's datagram ----------------------------------------------------------------------


@cache
def _head(items: tuple[Item, ...]) -> Head:
    """One function for each form: a server looks a datagram up once for each form that its members may use."""
    if items == COMMON_HEAD:
        return _common_head
    template = compile_message(Message(items, is_stream=True))

    def head(data: bytes) -> tuple[bytes | None, bytes, int] | None:
        read = template.read(data)
        return (read.values.get("room"), read.values["token"], read.size) if isinstance(read, Read) else None

    return head


def _common_head(data: bytes) -> tuple[bytes | None, bytes, int] | None:
    if len(data) < 2:
        return None
    token_at = 2 + data[0]
    at = token_at + data[1]
    return (data[2:token_at], data[token_at:at], at) if len(data) >= at else None


def _whole_head(template: Template) -> Head:
    def head(data: bytes) -> tuple[bytes | None, bytes, int] | None:
        read = template.read(data)
        if not isinstance(read, Read):
            return None
        room, token = _as_bytes(read.values.get("room")), _as_bytes(read.values["token"])
        return (room, token, 0) if token is not None and (room is not None or "room" not in read.values) else None

    return head


def _as_bytes(value: object) -> bytes | None:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None


def _read_plain(data: bytes, at: int = 0) -> str | None:
    try:
        return data[at:].decode()
    except UnicodeDecodeError:
        return None


def _text_reader(template: Template) -> ReadText:
    match template.message.items:
        case (Json(template=json_template),):
            return _json_text_reader(json_template)

    def read_text(data: bytes, at: int = 0) -> str | None:
        read = template.read(data[at:])
        return string(read.values["text"]) if isinstance(read, Read) else None

    return read_text


def _json_text_reader(template: JsonTemplate) -> ReadText:
    match = json_templates.compile_find(template, loose=False, compare=json_templates.Compare.ALL)

    def read_text(data: bytes, at: int = 0) -> str | None:
        if len(data) == at:  # an empty text is a keep-alive in every dialect
            return ""
        found: dict[str, Any] = {}
        try:
            is_text = match(json_templates.read(data[at:]), found)
        except json_templates.NotJson:
            return None
        return string(found.get("text")) if is_text else None

    return read_text


def string(value: Any) -> str | None:
    """A field's value as text; None where it is none."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else None


# --- relays -------------------------------------------------------------------------------------------


def relay_head(message: Message) -> Template | None:
    """What stands before the text of a relay, where the text stands last and ends with the datagram."""
    if message.items[-1:] != PLAIN:
        return None
    return compile_message(Message(message.items[:-1], is_stream=False))


def json_relay(message: Message) -> Callable[[str, str], bytes] | None:
    """Writes a relay that is a JSON object behind constant bytes, of name and text alone."""
    match message.items:
        case (Json(template=template),):
            prefix = b""
        case (Constant(data=prefix), Json(template=template)):
            pass
        case _:
            return None
    if not {role for role, _ in json_roles(template)} <= {Role.NAME, Role.TEXT}:
        return None
    fill = json_templates.compile_fill(template)
    return lambda name, text: prefix + json_templates.write(fill({"name": name, "text": text}))


def relay_reader(template: Template) -> ReadRelay:
    """Reads relays of this form."""
    match template.message.items:
        case (Constant(data=before), Text(role=Role.NAME, encoding=Encoding.UTF8, until=until), Text(Role.TEXT)) if (
            until
        ):
            return _named_reader(before, until.decode()) if _is_text(until) else _relay_reader(template)
        case (Text(role=Role.NAME, encoding=Encoding.UTF8, until=until), Text(Role.TEXT)) if until:
            return _named_reader(b"", until.decode()) if _is_text(until) else _relay_reader(template)
        case (Number(width=1, plus=0, measures="name"), Text(role=Role.NAME, encoding=Encoding.UTF8), Text(Role.TEXT)):
            return _measured_reader("", "")
        case (
            Number(width=1, plus=0),
            Group(
                items=(Constant(data=before), Text(role=Role.NAME, encoding=Encoding.UTF8), Constant(data=after)),
            ),
            Text(Role.TEXT),
        ) if _is_text(before) and _is_text(after):
            return _measured_reader(before.decode(), after.decode())
        case (Json(template=json_template),):
            return _json_reader(b"", json_template)
        case (Constant(data=before), Json(template=json_template)):
            return _json_reader(before, json_template)
    return _relay_reader(template)


def _is_text(data: bytes) -> bool:
    return string(data) is not None


def _named_reader(before: bytes, until: str) -> ReadRelay:
    skipped = len(before)

    def read_relay(data: bytes) -> tuple[str, str] | None:
        if not data.startswith(before):
            return None
        try:
            name, found, text = data[skipped:].decode().partition(until)
        except UnicodeDecodeError:
            return None
        return (name, text) if found and name else None

    return read_relay


def _json_reader(before: bytes, template: JsonTemplate) -> ReadRelay:
    match = json_templates.compile_find(template, loose=False, compare=json_templates.Compare.ALL)
    skipped, names = len(before), Role.NAME in {role for role, _ in json_roles(template)}

    def read_relay(data: bytes) -> tuple[str, str] | None:
        if not data.startswith(before):
            return None
        found: dict[str, Any] = {}
        try:
            is_relay = match(json_templates.read(data[skipped:]), found)
        except json_templates.NotJson:
            return None
        if not is_relay:
            return None
        name, text = string(found.get("name", "")), string(found.get("text"))
        return None if text is None or (names and not name) else (name or "", text)

    return read_relay


def _measured_reader(before: str, after: str) -> ReadRelay:
    skipped, least = len(before), len(before) + len(after)

    def read_relay(data: bytes) -> tuple[str, str] | None:
        if not data or len(data) <= data[0]:
            return None
        text_at = 1 + data[0]
        try:
            head, text = data[1:text_at].decode(), data[text_at:].decode()
        except UnicodeDecodeError:
            return None
        if len(head) <= least or not (head.startswith(before) and head.endswith(after)):
            return None
        return head[skipped : len(head) - least + skipped], text

    return read_relay


def _relay_reader(template: Template) -> ReadRelay:
    names = Role.NAME in template.roles

    def read_relay(data: bytes) -> tuple[str, str] | None:
        read = template.read(data)
        if not isinstance(read, Read):
            return None
        name, text = string(read.values.get("name", "")), string(read.values["text"])
        return None if text is None or (names and not name) else (name or "", text)

    return read_relay
