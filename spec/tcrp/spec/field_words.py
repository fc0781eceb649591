"""Fields in words, for documents and for `chat-sim dialect`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from tcrp.spec.fields import (
    Constant,
    Encoding,
    Filler,
    Group,
    Item,
    Json,
    JsonTemplate,
    Message,
    Number,
    Order,
    Role,
    Text,
    json_role,
    word_for,
)


def payload_of(message: Message) -> tuple[Item, ...]:
    """The fields of a message's payload; all of them where it has none of a given length."""
    return next(
        (each.items for each in message.items if isinstance(each, Group) and each.label == "payload"), message.items
    )


def payload_in_words(message: Message) -> str:
    """What a message says, without the frame around it: ``len(name)(1), name, text``."""
    return ", ".join(_joined(list(payload_of(message)))) or "nothing"


def room_in_words(message: Message) -> str:
    """How a message treats the room's name."""
    labels = {item.measures if isinstance(item, Number) else getattr(item, "role", "") for item in message.items}
    has_room = any(isinstance(item, Text) and item.role is Role.ROOM for item in message.items)
    return "echoed" if has_room else "length only" if "room" in labels else "absent"


def _joined(items: list[Item]) -> Iterator[str]:
    """Each field; constants and delimiters between texts as one text with `{role}` in it."""
    pattern = ""
    for index, item in enumerate(items):
        piece = _piece(item, is_open_end=index == len(items) - 1)
        if piece is not None:
            pattern += piece
            continue
        if pattern:
            yield _code(pattern)
            pattern = ""
        yield in_words(item)
    if pattern:
        yield (
            _code(pattern)
            if any(isinstance(item, Constant) or getattr(item, "until", b"") for item in items)
            else pattern[1:-1]
        )


def _piece(item: Item, *, is_open_end: bool) -> str | None:
    """A field as part of a text."""
    match item:
        case Constant(data=data) if _prints(data):
            return data.decode()
        case Text(encoding=Encoding.UTF8 | Encoding.DIGITS, width=0, until=until) if until and _prints(until):
            return f"{{{item.role}}}{until.decode()}"
        case Text(encoding=Encoding.UTF8, width=0, until=b"", is_measured=False) if is_open_end:
            return f"{{{item.role}}}"
    return None


def _prints(data: bytes) -> bool:
    try:
        return data.decode().isprintable()
    except UnicodeDecodeError:
        return False


def in_words(item: Item) -> str:
    """One field."""
    match item:
        case Constant():
            return _code(item.data.hex(" "))
        case Number():
            form = f"digits {item.width}" if item.order is Order.DIGITS else f"{item.width}"
            order = ", little-endian" if item.order is Order.LITTLE and item.width > 1 else ""
            return f"{word_for(item)}({form}{order}){number_says(item)}"
        case Text():
            form = "" if item.encoding in (Encoding.UTF8, Encoding.RAW) else f" as {item.encoding}"
            if item.width:
                form += f"({item.width}, padded with {item.pad.hex()})"
            if item.until:
                form += f" until {_code(item.until.decode() if _prints(item.until) else item.until.hex(' '))}"
            if item.separator:
                form += f" separated by {_code(item.separator.decode(errors='replace'))}"
            return f"{item.role}{form}"
        case Filler():
            return f"{item.label}({item.width or 'rest'})"
        case Json():
            return _code(json_in_words(item.template))
        case Group():
            return ", ".join(_joined(list(item.items))) or "nothing"


def number_says(number: Number) -> str:
    """How much more than what it measures a number says, or which values: ` + 2`, ` = 0 or any`."""
    plus = f" {'+' if number.plus > 0 else '-'} {abs(number.plus)}" if number.plus else ""
    value = f" = {' or '.join(map(str, number.values))}" if number.values else ""
    return f"{plus}{value}{' or any' if number.takes_any else ''}"


def json_in_words(template: JsonTemplate) -> str:
    """A template as JSON with its roles bare: `{"port": port}`."""
    role = json_role(template)
    if role is not None:
        return f"{role[0]}{'?' if role[1] else ''}"
    match template:
        case Mapping():
            return "{" + ", ".join(f'"{key}": {json_in_words(value)}' for key, value in template.items()) + "}"
        case list():
            return "[" + ", ".join(json_in_words(value) for value in template) + "]"
    return json.dumps(template, ensure_ascii=False)


def _code(text: str) -> str:
    return f"`{text}`"


def lines_in_code(texts: Iterable[str]) -> str:
    """Texts as code, each line of them in Markdown on a line of its own."""
    return "<br>".join(_code(line) for text in texts for line in text.split("\n"))
