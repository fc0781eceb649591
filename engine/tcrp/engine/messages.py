"""What the codec asks of a dialect's messages before it compiles them. Knows fields, no bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from tcrp.engine.templates import SPAN, Strictness, Template, compile_message
from tcrp.spec.dialects import ByOperation
from tcrp.spec.field_words import payload_of
from tcrp.spec.fields import (
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
    numbers,
    roles_of,
)
from tcrp.spec.limits import SECOND_US, SETTINGS
from tcrp.spec.names import Operation


def unwrapped(message: Message) -> Message:
    """The message with any payload at all; the same one where it has no payload of a given length."""
    items = tuple(
        replace(item, items=(Filler("payload", 0),)) if isinstance(item, Group) and item.label == SPAN else item
        for item in message.items
    )
    return message if items == message.items else replace(message, items=items)


def with_a_name(message: Message) -> Message:
    """A relay that names nobody, with the sender's name in its text: `name: text` (R-REL-3)."""
    if Role.NAME in roles_of(message) or message.items[-1:] != (Text(Role.TEXT),):
        return message
    return replace(message, items=(*message.items[:-1], Text(Role.NAME, until=b": "), Text(Role.TEXT)))


def json_object(message: Message) -> Mapping[str, Any] | None:
    """The template of a payload that is one JSON object."""
    payload = payload_of(message)
    template: JsonTemplate = payload[0].template if len(payload) == 1 and isinstance(payload[0], Json) else None
    return template if isinstance(template, Mapping) else None


def request_keys(message: Message) -> tuple[frozenset[str], frozenset[str]] | None:
    """The keys that a request's JSON object must have, and those that it may have. None: it is no object."""
    template = json_object(message)
    if template is None:
        return None
    optional = {key for key, part in template.items() if isinstance(part, str) and part.endswith("?}")}
    return frozenset(template.keys() - optional), frozenset(template)


def is_json(message: Message) -> bool:
    """Whether its payload is JSON and nothing else."""
    payload = payload_of(message)
    return json_object(message) is not None or (
        len(payload) == 1 and isinstance(payload[0], Text) and payload[0].encoding is Encoding.JSON
    )


def is_tight(item: Item) -> bool:
    """Whether a field may have no place for a name of 255 bytes."""
    match item:
        case Number():
            return bool(item.measures) and (item.order is Order.DIGITS or item.plus > 0)
        case Text():
            return bool(item.width or item.until) and item.role not in (Role.TOKEN, Role.TEXT)
        case Group():
            return len(item.items) > 1 or any(map(is_tight, item.items))
    return False


def rooms_field(message: Message) -> Text:
    """The field of a listing that holds the names."""
    fields = [*message.items, *payload_of(message)]
    return next(each for each in fields if isinstance(each, Text) and each.role is Role.ROOMS)


def has_status_bytes(message: Message) -> bool:
    return any(number.label == Role.STATUS for number in numbers(message.items))


def with_any_value(item: Item) -> Item:
    return replace(item, takes_any=True) if isinstance(item, Number) and item.values else item


def compiled_refusal(message: Message) -> Template:
    """Where neither word nor status tells the reason, its numbers do."""
    says = roles_of(message).keys() & {Role.REASON, Role.STATUS}
    return compile_message(message, Strictness.LOOSE if says else Strictness.NUMBERS)


def payload_alone(requests: ByOperation, extras: frozenset[str]) -> Template | None:
    """The payload of requests, where it can be read without its frame, whatever is asked for: faster than the whole."""
    message = requests[Operation.CREATE]
    *_, last = message.items
    if requests[Operation.JOIN] is not message or not isinstance(last, Group) or last.label != SPAN:
        return None
    if any(isinstance(item, Group) or getattr(item, "is_measured", False) for item in last.items):
        return None
    payload = compile_message(Message(last.items, is_stream=False), Strictness.SHAPE, extras=extras)
    return None if payload.roles & {Role.ROOM, Role.OPERATION} else payload


def by_operation(messages: ByOperation, strictness: Strictness, **more: frozenset[Any]) -> dict[Operation, Template]:
    return {operation: compile_message(each, strictness, **more) for operation, each in messages.items()}


def distinct(messages: Iterable[Message]) -> list[Message]:
    result: list[Message] = []
    for each in messages:
        if each not in result:
            result.append(each)
    return result


def timeout(seconds: object) -> int | None:
    """How much silence the server tolerates, where the completion says a number of seconds that makes sense."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    setting = SETTINGS["idle_timeout"]
    return round(seconds * SECOND_US) if setting.least <= seconds * SECOND_US <= setting.most else None
