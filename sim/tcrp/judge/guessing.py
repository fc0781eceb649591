"""Guesses the dialect of a server that speaks none of those known, message by message, and describes it as a file.

Requests and datagrams are tried, in the forms of all known dialects and in some others; replies and relays are read
as they come. What cannot be guessed stays as it is in the dialect from which the description starts.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tcrp.engine.codec import Codec, codec_of
from tcrp.engine.frames import HEADER_BYTES
from tcrp.engine.self_check import faults
from tcrp.engine.templates import CannotWrite
from tcrp.judge.ground import Ground, Unreached
from tcrp.judge.record import Waits
from tcrp.judge.stage import Stage, User
from tcrp.spec.dialects import SHIPPED, DialectError, parse, path_of
from tcrp.spec.fields import Message
from tcrp.spec.names import Operation

SPEAKER, HEARER = "annika", "bobby"
BASE = "text"
FIRST_ROOM = 10_000
"""Above the numbers of rooms that discovery has used."""
REPLY_BYTES_MAX = 64 * 1024
TOKEN_BYTES_MIN = 4
"""What is shorter, and differs between two replies, may be anything."""
REQUESTS = (
    '{ name = "{name}" }', '{ user = "{name}" }', '{ username = "{name}" }', '{ user_name = "{name}" }',
    '{ username = "{name}", port = "{port}" }', '{ username = "{name}", udp_port = "{port}" }',
    '{ username = "{name}", room = "{room}" }', '{ room_name = "{room}", user_name = "{name}" }',
)  # fmt: skip
"""Payloads that are tried besides those of known dialects."""
DATAGRAMS = (
    '["len(room): u1", "len(token): u1", "token", "room", "text"]',
    '["len(token): u1", "len(room): u1", "token", "room", "text"]',
    '["len(token): u1", "token", "text"]',
    '["len(room): u2", "len(token): u2", "room", "token", "text"]',
    '[{ room = "{room}", token = "{token}", message = "{text}" }]',
    '[{ room_name = "{room}", token = "{token}", message = "{text}" }]',
    '[{ token = "{token}", message = "{text}" }]',
)
"""The same for datagrams."""


class Guess(NamedTuple):
    """A description of what was seen, that can be read, and a sentence for each message."""

    toml: str
    fields: tuple[tuple[str, str], ...]


class Replies(NamedTuple):
    """What two replies, to a create and to a join, have in common: tables of a description, and both tokens."""

    tables: dict[str, str]
    said: str
    tokens: tuple[bytes, bytes]


async def guess(ground: Ground, waits: Waits, known: str | None) -> Guess | None:
    """Describe a server. `known`: a dialect whose requests and replies it is known to take and give."""
    numbers = itertools.count(FIRST_ROOM)
    candidates = [(toml_of(known), f"as in {known}")] if known is not None else list(_requests())
    for toml, label in candidates:
        stage = Stage(ground, codec_of(parse(toml, "guess")), waits, "guess", numbers)
        try:
            found = await _replies(stage)
            if found is None:
                continue
            _, replies = found
            described = toml if known is not None else with_tables(toml, replies.tables)
            if described is None:
                continue
            guessed, how = await _datagram(stage, described)
            return Guess(guessed, (("request", label), ("reply", replies.said), *how))
        finally:
            stage.close()
    return None


def toml_of(name: str) -> str:
    """The file of a known dialect."""
    return path_of(name).read_text(encoding="utf-8")


def _requests() -> Iterator[tuple[str, str]]:
    """Descriptions whose requests may be the server's, and what they are."""
    seen = list[Message]()
    for name in SHIPPED:
        toml = toml_of(name)
        request = codec_of(parse(toml, name)).dialect.request[Operation.CREATE]
        if request not in seen:
            seen.append(request)
            yield toml, f"as in {name}"
    for payload in REQUESTS:
        described = with_tables(toml_of(BASE), {"request": f"state = 0\npayload = {payload}"})
        if described is not None:
            yield described, f"the payload is {payload}"


# --- replies -----------------------------------------------------------------------------------------


async def _replies(stage: Stage) -> tuple[list[User], Replies] | None:
    """Two users who are granted a token, if the replies can be read as that."""
    users = [stage.user(SPEAKER), stage.user(HEARER)]
    room, raw = stage.new_room(), list[bytes]()
    for user, operation in zip(users, (Operation.CREATE, Operation.JOIN), strict=True):
        reply = await _ask(stage, user, operation, room)
        if not reply:
            return None
        raw.append(reply)
    replies = read_replies((raw[0], raw[1]), room.encode(), (SPEAKER, HEARER))
    if replies is None:
        return None
    for user, token in zip(users, replies.tokens, strict=True):
        user.takes(room, token)
    return users, replies


async def _ask(stage: Stage, user: User, operation: Operation, room: str) -> bytes:
    """All that the server says to a request, until it is silent or closes."""
    data = stage.codec.write_request(operation, room.encode(), user.name, "", user.ip, user.port.number)
    try:
        stream = await stage.connect(user.ip)
    except Unreached:
        return b""
    heard = b""
    if await stream.send(data):
        while len(heard) < REPLY_BYTES_MAX:
            more = await stream.receive(stage.waits.relay_us)
            if not isinstance(more, bytes):
                break
            heard += more
    stream.close()
    return heard


class Frame(NamedTuple):
    """A message in the common frame."""

    head: bytes
    has_room: bool
    payload: bytes


def read_replies(raw: tuple[bytes, bytes], room: bytes, names: tuple[str, str]) -> Replies | None:
    """What two replies say, as far as it can be told from their difference."""
    frames = [_frames(each, room) for each in raw]
    if frames[0] is None or frames[1] is None or not 0 < len(frames[0]) == len(frames[1]) <= 2:
        found = _token(raw, room, names)
        if found is None:
            return None
        fields, tokens = found
        return Replies({"answer": "", "completion": f"fields = {fields}"}, f"a token without a frame: {fields}", tokens)
    tables, said = {"answer": ""}, []
    *answers, last = zip(*frames, strict=True)
    for create, join in answers:
        tables["answer"] = f"{_head(create, room)}payload = {_constant(create.payload)}"
        if create.payload != join.payload:
            tables["answer.join"] = f"payload = {_constant(join.payload)}"
        said.append(f"an answer, state {create.head[2]}, {create.payload[:40]!r}")
    found = _token((last[0].payload, last[1].payload), room, names)
    if found is None:
        return None
    fields, tokens = found
    tables["completion"] = f"{_head(last[0], room)}payload = {fields}"
    said.append(f"a completion, state {last[0].head[2]}, {fields}")
    return Replies(tables, "; ".join(said), tokens)


def _frames(data: bytes, room: bytes) -> list[Frame] | None:
    """The messages in the common frame of which the bytes consist, or None."""
    found = []
    while data:
        size = int.from_bytes(data[3:HEADER_BYTES], "big")
        if len(data) < HEADER_BYTES + size or data[0] not in (0, len(room)):
            return None
        has_room = data[0] > 0 and data[HEADER_BYTES:].startswith(room)
        start = HEADER_BYTES + (len(room) if has_room else 0)
        if len(data) < start + size:
            return None
        found.append(Frame(data[:HEADER_BYTES], has_room, data[start : start + size]))
        data = data[start + size :]
    return found


def _head(frame: Frame, room: bytes) -> str:
    """The frame of a message, and its state, as lines of a description."""
    code = '"operation: u1"' if frame.head[1] in (1, 2) else f'"code: u1 = {frame.head[1]} or any"'
    length = '"len(room): u1"' if frame.head[0] == len(room) else '"room_length: u1 = 0 or any"'
    behind = '"room", "payload"' if frame.has_room else '"payload"'
    return f'frame = [{length}, {code}, "state: u1", "len(payload): u29", {behind}]\nstate = {frame.head[2]}\n'


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _constant(payload: bytes) -> str:
    """A payload that says the same to everybody, as fields."""
    value = _json(payload)
    if isinstance(value, dict) and all(isinstance(each, str | int | bool) for each in value.values()):
        return _object({key: json.dumps(each, ensure_ascii=False) for key, each in value.items()})
    text = payload.decode(errors="replace")
    if payload and text.isprintable() and not set(text) & set("'{}\ufffd"):
        return "[" + json.dumps("'" + text + "'", ensure_ascii=False) + "]"
    return f'["hex {payload.hex()}"]' if payload else "[]"


def _object(members: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {each}" for key, each in members.items()) + " }"


def _token(
    payloads: tuple[bytes, bytes], room: bytes, names: tuple[str, str]
) -> tuple[str, tuple[bytes, bytes]] | None:
    """Where the token stands in two payloads, as fields, and both tokens: it is what differs."""
    first, second = map(_json, payloads)
    if isinstance(first, dict) and isinstance(second, dict):
        return _token_in_json(first, second, room.decode(), names)
    if isinstance(first, str) and isinstance(second, str) and first != second:
        return '["token: json"]', (first.encode(), second.encode())
    before = re.sub(rb"[0-9A-Za-z+/=_-]*\Z", b"", _common(payloads))
    tokens = payloads[0][len(before) :], payloads[1][len(before) :]
    if tokens[0] == tokens[1] or not all(TOKEN_BYTES_MIN <= len(each) < 256 for each in tokens):
        return None
    if not before:
        return '["token"]', tokens
    text = before.decode(errors="replace")
    is_text = text.isprintable() and not set(text) & set("'{}\ufffd")
    constant = json.dumps(f"'{text}'") if is_text else f'"hex {before.hex()}"'
    return f'[{constant}, "token"]', tokens


def _common(payloads: tuple[bytes, bytes]) -> bytes:
    """The beginning that both have."""
    at = next((at for at, (a, b) in enumerate(zip(*payloads, strict=False)) if a != b), min(map(len, payloads)))
    return payloads[0][:at]


def _token_in_json(
    first: dict[str, Any], second: dict[str, Any], room: str, names: tuple[str, str]
) -> tuple[str, tuple[bytes, bytes]] | None:
    differ = [
        key for key, value in first.items()
        if isinstance(value, str) and isinstance(second.get(key), str) and second[key] != value
        and len(value) >= TOKEN_BYTES_MIN and value != names[0]
    ]  # fmt: skip
    key = next((each for each in differ if "token" in each.lower()), next(iter(differ), None))
    if key is None:
        return None
    members = {}
    for each, value in first.items():
        if each == key:
            members[each] = '"{token}"'
        elif value == names[0]:
            members[each] = '"{name}"'
        elif value == room:
            members[each] = '"{room}"'
        elif isinstance(value, str | int | bool):
            members[each] = json.dumps(value, ensure_ascii=False)
    return _object(members), (first[key].encode(), second[key].encode())


# --- datagrams ---------------------------------------------------------------------------------------


async def _datagram(stage: Stage, toml: str) -> tuple[str, list[tuple[str, str]]]:
    """The description with the form of datagrams by which one user reaches the other, and that of the relay; and
    what they are.
    """
    tried = 0
    for fields in dict.fromkeys([*_datagram_fields(), *DATAGRAMS]):
        described = with_tables(toml, {"datagram": f"fields = {fields}"})
        if described is None:
            continue
        codec = codec_of(parse(described, "guess"))
        text = stage.text("hello")
        tried += 1
        found = await _replies(stage)  # the tokens of the last form may have ended
        if found is None:
            continue
        users = found[0]
        if await _reaches(stage, codec, users, text):
            relay = next(each.data for each in users[1].heard if text.encode() in each.data)
            seen = relay_fields(relay, SPEAKER, text)
            how = f"{relay!r}" + (f": its fields are {seen}" if seen else ", which is not guessed")
            return with_relay(described, relay, SPEAKER, text), [("datagram", f"fields {fields}"), ("relay", how)]
    return toml, [("datagram", f"no text of the one reaches the other, in any of {tried} forms")]


def _datagram_fields() -> Iterator[str]:
    """The forms of known dialects."""
    for name in SHIPPED:
        found = re.search(r"^\[datagram\]\nfields = (\[.*\])$", toml_of(name), flags=re.MULTILINE)
        if found is not None and "@" not in found[1]:
            yield found[1]


async def _reaches(stage: Stage, codec: Codec, users: Sequence[User], text: str) -> bool:
    speaker, hearer = users
    try:
        entering, said = (
            codec.datagram.write(user.room.encode(), user.token, user.name, each)
            for user, each in ((hearer, codec.dialect.enter_word), (speaker, text))
        )
    except CannotWrite:
        return False
    hearer.send(entering, "enters")
    await stage.ground.sleep(stage.waits.quiet_us // 2)
    speaker.send(said)
    return await hearer.hears(text)


# --- descriptions ------------------------------------------------------------------------------------


def with_tables(toml: str, tables: dict[str, str]) -> str | None:
    """The description with these tables in place of its own; one that is empty is left out. None: it cannot be read."""
    for name in dict.fromkeys(each.partition(".")[0] for each in tables):
        own = re.compile(rf"^\[{name}(?:\.\w+)?\]\n(?:(?!\[).*\n?)*", flags=re.MULTILINE)
        toml = own.sub("", toml)
    written = [f"[{name}]\n{body.strip()}\n" for name, body in tables.items() if body]
    result = "\n".join([toml.rstrip() + "\n", *written])
    return result if is_readable(result) else None


def is_readable(toml: str) -> bool:
    """Whether `chat-sim dialect check` has nothing to say about a description."""
    try:
        return not any(True for _ in faults(codec_of(parse(toml, "guess"))))
    except DialectError:
        return False


def with_relay(toml: str, relay: bytes, name: str, text: str) -> str:
    """The description with a relay of `text` by `name` as it was seen, if its form can be guessed."""
    fields = relay_fields(relay, name, text)
    described = None if fields is None else with_tables(
        toml, {"relay": f"fields = {json.dumps(fields, ensure_ascii=False)}"}
    )  # fmt: skip
    return toml if described is None else described


def relay_fields(relay: bytes, name: str, text: str) -> list[str] | None:
    """The fields of a relay of `text` by `name`, as a description writes them, or None."""
    if relay == bytes((len(name),)) + f"{name}{text}".encode():
        return ["len(name): u1", "name", "text"]
    try:
        said = relay.decode()
    except UnicodeDecodeError:
        return None
    before, found, behind = said.partition(text)
    if not found or behind or "'" in before or "{" in before or not before.isprintable():
        return None
    return [f"'{before.replace(name, '{name}')}{{text}}'"]
