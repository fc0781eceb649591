"""Dialects as data: reads the TOML file of a dialect into a checked, frozen `Dialect`.

Knows the format of the file, not the bytes: `tcrp.engine.codec` makes those. A ninth dialect is
another file; nothing else changes.

In a JSON template the string `{role}` stands for a value of that role, of any JSON type; inside a
longer string it is replaced by text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tcrp.spec.names import Notice, Reason, Rule

JsonTemplate = Mapping[str, Any] | list[Any] | str | int | float | bool | None

NAMES = ("text", "json", "json-address", "json-port", "json-endpoint", "json-name", "name-port", "name-port-list")
"""The dialects that come with the protocol, in the order of the documents."""

STATUS: Mapping[Reason, int] = MappingProxyType(
    {
        Reason.ROOM_EXISTS: 1,
        Reason.NO_SUCH_ROOM: 2,
        Reason.WRONG_PASSWORD: 3,
        Reason.BAD_REQUEST: 4,
        Reason.ROOM_FULL: 5,
        Reason.NAME_TAKEN: 6,
        Reason.TOO_MANY_REQUESTS: 7,
    }
)
"""The status byte of a refusal. Done is 0."""


class DialectError(Exception):
    """A dialect's file is invalid. The message names the file and the key."""


class RequestForm(StrEnum):
    NAME = "name"
    NAME_PORT = "name-port"
    JSON = "json"


class ReplyForm(StrEnum):
    BYTE = "byte"
    WORD = "word"
    TOKEN = "token"
    JSON = "json"


class RoomIn(StrEnum):
    """How the room is written in a reply."""

    ECHOED = "echoed"  # length and bytes
    LENGTH_ONLY = "length-only"  # length given, bytes absent
    EMPTY = "empty"  # length 0


class LearnedFrom(StrEnum):
    """Where the server learns the UDP port to send to."""

    REQUEST = "request"
    TRAILER = "trailer"  # or the first datagram, whichever is first
    DATAGRAM = "datagram"


class RelayFrom(StrEnum):
    """From which of its UDP ports a server sends relays and notices."""

    SAME_PORT = "same-port"  # the one that clients send to
    ANY_PORT = "any-port"  # perhaps another one for each member; the IP address is the same


@dataclass(frozen=True, slots=True)
class Reply:
    """The payload of one frame. `word` and `json` belong to the forms of that name."""

    form: ReplyForm
    word: str = ""
    json: JsonTemplate = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The frame of a refusal. `completion` is a second frame, in state 2, that some dialects send after it."""

    state: int
    room: RoomIn
    reply: Reply
    status: int
    completion: Reply | None = None


@dataclass(frozen=True, slots=True)
class RelayForm:
    """A relay to a member: `prefix`, then either `json`, or `head` (behind its length, if asked for) and text."""

    prefix: bytes
    head: str
    length_byte: bool
    json: JsonTemplate


class Match(StrEnum):
    """How clients of a dialect compare a datagram with a phrase that ends them."""

    WHOLE = "whole"
    PREFIX = "prefix"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Endings:
    """What else than a whole notice makes clients of a dialect end (R-REL-3)."""

    match: Match = Match.WHOLE
    phrases: tuple[str, ...] = ()

    def end(self, data: bytes) -> bool:
        """Whether such a client ends when it receives `data`."""
        if not self.phrases:
            return False
        said = data.decode(errors="replace")
        match self.match:
            case Match.WHOLE:
                return said in self.phrases
            case Match.PREFIX:
                return said.startswith(self.phrases)
            case Match.CONTAINS:
                return any(phrase in said for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Everything in which one dialect differs from the others."""

    name: str
    sentence: str
    request_form: RequestForm
    request_json: JsonTemplate
    lists: bool
    frames: int
    room: RoomIn
    answer: Reply
    created: Reply
    joined: Reply
    refusals: Mapping[Reason, Refusal]
    learned_from: LearnedFrom
    port_fixed: bool
    relay_from: RelayFrom
    text_json: JsonTemplate
    relay: RelayForm
    leave_words: tuple[str, ...]
    leave_repeats: bool
    enter_word: str
    notices: Mapping[Notice, str]
    host_quit: str | None
    notice_prefix: bytes
    notice_json: JsonTemplate
    endings: Endings


@cache
def dialect(name: str) -> Dialect:
    """One of the dialects that come with the protocol. Raises `KeyError` for another name."""
    if name not in NAMES:
        raise KeyError(name)
    path = Path(__file__).parent / "dialects" / f"{name}.toml"
    return parse(path.read_text(encoding="utf-8"), path.name)


def parse(toml: str, source: str) -> Dialect:
    """Read the text of a dialect's file. Raises `DialectError` naming `source` and the key at fault."""
    try:
        tables = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise DialectError(f"{source}: {error}") from None
    top = _Table(tables, source, "")
    request = top.table("request")
    replies = top.table("replies")
    port = top.table("port")
    text = top.table("text")
    words = top.table("words")
    notice = top.table("notice", optional=True)
    frames = replies.integer("frames", 1, 2)
    room = RoomIn(replies.choice("room", RoomIn))
    completion = top.table("completion")
    form = ReplyForm(completion.choice("form", ReplyForm))
    common = completion.json("json", None)
    created, joined = (Reply(form, json=completion.json(key, common)) for key in ("created", "joined"))
    completion.done()
    sentences, host_quit = _notices(top.table("notices"))
    endings = _endings(top.table("endings", optional=True))
    result = Dialect(
        name=top.string("name"),
        sentence=top.string("sentence"),
        request_form=RequestForm(request.choice("form", RequestForm)),
        request_json=request.json("json", None),
        lists=request.boolean("lists"),
        frames=frames,
        room=room,
        answer=_answer(top.table("answer", optional=frames == 1)),
        created=created,
        joined=joined,
        refusals=MappingProxyType(_refusals(top.table("refusal"), room)),
        learned_from=LearnedFrom(port.choice("learned_from", LearnedFrom)),
        port_fixed=port.boolean("fixed"),
        relay_from=RelayFrom(port.choice("relay_from", RelayFrom, RelayFrom.SAME_PORT)),
        text_json=text.json("json", None) if text.choice("form", ("plain", "json")) == "json" else None,
        relay=_relay(top.table("relay")),
        leave_words=words.strings("leave"),
        leave_repeats=words.boolean("leave_repeats"),
        enter_word=words.string("enter", ""),
        notices=MappingProxyType(sentences),
        host_quit=host_quit,
        notice_prefix=notice.hex("prefix"),
        notice_json=notice.json("json", None),
        endings=endings,
    )
    for table in (request, replies, port, text, words, notice, top):
        table.done()
    if (result.request_form is RequestForm.JSON) != (result.request_json is not None):
        raise DialectError(f"{source}: request.json goes with request.form = 'json'")
    if result.learned_from is LearnedFrom.REQUEST and not _can_carry_a_port(result):
        raise DialectError(f"{source}: port.learned_from is 'request', but the request carries no port")
    return result


def _can_carry_a_port(dialect: Dialect) -> bool:
    return dialect.request_form is RequestForm.NAME_PORT or "port" in set(roles(dialect.request_json))


def roles(template: JsonTemplate) -> Iterator[str]:
    """The roles that stand alone in a template, in its order: `{"port": "{port}"}` has `port`."""
    match template:
        case str() if template.startswith("{") and template.endswith("}"):
            yield template[1:-1]
        case Mapping():
            for value in template.values():
                yield from roles(value)
        case list():
            for value in template:
                yield from roles(value)


def _answer(table: _Table) -> Reply:
    if not table.content:
        return Reply(ReplyForm.BYTE)
    reply = Reply(
        ReplyForm(table.choice("form", ReplyForm)), word=table.string("word", ""), json=table.json("json", None)
    )
    table.done()
    return reply


def _relay(table: _Table) -> RelayForm:
    json = table.json("json", None)
    form = RelayForm(
        prefix=table.hex("prefix"),
        head=table.string("head", "" if json is not None else None),
        length_byte=table.boolean("length_byte"),
        json=json,
    )
    table.done()
    return form


def _refusals(table: _Table, room_in_replies: RoomIn) -> dict[Reason, Refusal]:
    form = ReplyForm(table.choice("form", ReplyForm))
    state = table.integer("state", 0, 3, 1)
    room = RoomIn(table.choice("room", RoomIn, room_in_replies))
    json = table.json("json", None)
    words = table.table("words", optional=True)
    statuses = table.table("status", optional=True)
    completion = table.json("completion", None)
    second = None if completion is None else Reply(ReplyForm.JSON, json=completion)
    result = {}
    for reason in Reason:
        own = table.table(reason, optional=True)
        word = words.string(reason) if form is ReplyForm.WORD else ""
        status = statuses.integer(reason, 0, 999) if statuses.content else STATUS[reason]
        result[reason] = Refusal(
            state=own.integer("state", 0, 3, state),
            room=room,
            reply=Reply(form, word=word, json=own.json("json", json)),
            status=status,
            completion=second,
        )
        own.done()
    for each in (words, statuses, table):
        each.done()
    return result


def _endings(table: _Table) -> Endings:
    if not table.content:
        return Endings()
    endings = Endings(Match(table.choice("match", Match)), table.strings("phrases"))
    table.done()
    return endings


def _notices(table: _Table) -> tuple[dict[Notice, str], str | None]:
    host_quit = table.string("host_quit", "") or None
    sentences = {notice: table.string(notice) for notice in Notice if notice in table.content}
    for notice in (Notice.ROOM_CLOSED, Notice.IDLED, Notice.REMOVED, Notice.SUPERSEDED, Notice.SHUTDOWN):
        if notice not in sentences:
            raise DialectError(
                f"{table.source}: notices.{notice} is missing: every session must be told why it ended ({Rule.END_1})"
            )
    table.done()
    return sentences, host_quit


class _Table:
    """A TOML table that records which keys were read, so that unknown ones can be reported."""

    def __init__(self, content: Mapping[str, Any], source: str, path: str) -> None:
        self.content = content
        self.source = source
        self.path = path
        self.asked: set[str] = set()

    def table(self, key: str, *, optional: bool = False) -> _Table:
        value = self._take(key, dict, {} if optional else None)
        return _Table(value, self.source, f"{self.path}{key}.")

    def string(self, key: str, default: str | None = None) -> str:
        return str(self._take(key, str, default))

    def strings(self, key: str) -> tuple[str, ...]:
        values = self._take(key, list, None)
        if not all(isinstance(value, str) and value for value in values):
            raise self._error(key, "a list of non-empty strings is expected")
        return tuple(values)

    def boolean(self, key: str) -> bool:
        return bool(self._take(key, bool, False))

    def integer(self, key: str, least: int, most: int, default: int | None = None) -> int:
        value = int(self._take(key, int, default))
        if not least <= value <= most:
            raise self._error(key, f"{value} is not between {least} and {most}")
        return value

    def choice(self, key: str, choices: Any, default: str | None = None) -> str:
        value = self.string(key, default)
        allowed = [str(choice) for choice in choices]
        if value not in allowed:
            raise self._error(key, f"{value!r} is none of {', '.join(allowed)}")
        return value

    def hex(self, key: str) -> bytes:
        try:
            return bytes.fromhex(self.string(key, ""))
        except ValueError:
            raise self._error(key, "hexadecimal digits are expected") from None

    def json(self, key: str, default: JsonTemplate) -> JsonTemplate:
        self.asked.add(key)
        value: JsonTemplate = self.content.get(key, default)
        return value

    def done(self) -> None:
        if unknown := [key for key in self.content if key not in self.asked]:
            raise self._error(unknown[0], "unknown key")

    def _take(self, key: str, kind: type, default: Any) -> Any:
        self.asked.add(key)
        value = self.content.get(key, default)
        if value is None:
            raise self._error(key, "missing")
        if not isinstance(value, kind):
            raise self._error(key, f"{value!r} is not a {kind.__name__}")
        return value

    def _error(self, key: str, fault: str) -> DialectError:
        return DialectError(f"{self.source}: {self.path}{key}: {fault}")
