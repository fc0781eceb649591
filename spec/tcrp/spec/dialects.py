"""Dialects as data: reads the TOML file of a dialect into a checked, frozen `Dialect`.

Every kind of message is a list of fields (`tcrp.spec.fields`), which says both how it is written and how it is read.
Knows the format of the file, not the bytes: `tcrp.engine.codec` makes those. A further dialect is another file; nothing
else changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct

from tcrp.spec.dialect_file import DialectError, Source, Table
from tcrp.spec.dialect_keys import ENDING, FORMAT, STATUS, After, LearnedFrom, Match, RelayFrom
from tcrp.spec.fields import (
    PARTS_DEEP_MAX,
    FieldError,
    Group,
    Item,
    Message,
    Role,
    message,
    near,
    numbers,
    read_item,
    roles_of,
    unclosed,
)
from tcrp.spec.names import Notice, Operation, Reason, Rule

__all__ = [
    "AUTO", "FORMAT", "FURTHER", "NAMES", "SHIPPED", "STATUS", "Dialect", "DialectError", "LearnedFrom", "Match",
    "RelayFrom", "dialect", "parse",
]  # fmt: skip

NAMES = ("text", "json", "json-address", "json-port", "json-endpoint", "json-name", "name-port", "name-port-list")
"""The dialects that come with the protocol, in the order of the documents."""

FURTHER = (
    "bare-token", "colon-fields", "name-password-prefix", "null-password", "other-header-a", "room-user-token-lengths",
    "state-length31", "state-one", "two-byte-reply-padded-token", "typed-lengths",
)  # fmt: skip
"""Those of further captured programs (`spec/vectors/wire/`): shipped, but no part of the protocol's page."""

SHIPPED = (*NAMES, *FURTHER)
"""All that have a file here."""

AUTO = NAMES[:-1]
"""Those that a server recognises by their requests unless told otherwise, in this order."""


class Refusal(Struct, frozen=True):
    """How one reason is refused. `then` follows the first frame in some dialects."""

    frame: Message
    status: int
    word: str
    then: Message | None = None


class Telling(Struct, frozen=True):
    """How a notice is told: in these sentences (the first is written, all are read), as this message."""

    sentences: tuple[str, ...]
    form: Message


class Endings(Struct, frozen=True):
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


ByOperation = Mapping[Operation, Message]
Case = TypeVar("Case", Operation, Reason)
"""What a kind of message has several forms for."""


class Dialect(Struct, frozen=True):
    """Everything in which one dialect differs from the others."""

    name: str
    sentence: str
    operations: Mapping[Operation, int]
    greeting: Message | None
    request: ByOperation
    answer: ByOperation | None
    completion: ByOperation
    refusals: Mapping[Reason, Refusal]
    answers_head: bool
    answer_is_exact: bool
    pause_us: int
    datagram: Message
    relay: Message
    list_request: Message | None
    list_reply: Message | None
    learned_from: LearnedFrom
    port_fixed: bool
    relay_from: RelayFrom
    leave_words: tuple[str, ...]
    leave_repeats: bool
    enter_word: str
    notices: Mapping[Notice, Telling]
    host_quit: Telling | None
    notice_repeat: int
    endings: Endings

    @property
    def lists(self) -> bool:
        """Whether a client can ask for the open rooms."""
        return self.list_request is not None


ALLOWED: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "greeting": frozenset({Role.ANY}),
        "request": frozenset(
            {Role.ROOM, Role.NAME, Role.PASSWORD, Role.PORT, Role.IP, Role.OPERATION, Role.TOKEN, Role.ANY}
        ),
        "answer": frozenset({Role.ROOM, Role.NAME, Role.OPERATION, Role.ANY}),
        "completion": frozenset({Role.ROOM, Role.NAME, Role.OPERATION, Role.TOKEN, Role.HOST, Role.MEMBERS, Role.ANY}),
        "refusal": frozenset({Role.ROOM, Role.OPERATION, Role.STATUS, Role.REASON, Role.ANY}),
        "list.request": frozenset({Role.ROOM, Role.OPERATION, Role.ANY}),
        "list.reply": frozenset({Role.ROOM, Role.OPERATION, Role.ROOMS, Role.ANY}),
        "datagram": frozenset({Role.ROOM, Role.TOKEN, Role.NAME, Role.TEXT, Role.ANY}),
        "relay": frozenset({Role.ROOM, Role.TOKEN, Role.NAME, Role.TEXT, Role.ANY}),
        "notice": frozenset({Role.ROOM, Role.TOKEN, Role.NAME, Role.SENTENCE, Role.ANY}),
    }
)
"""What each kind of message can say."""

NEEDED: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "request": frozenset({Role.ROOM, Role.NAME}),
        "completion": frozenset({Role.TOKEN}),
        "datagram": frozenset({Role.TOKEN, Role.TEXT}),
        "relay": frozenset({Role.TEXT}),
        "notice": frozenset({Role.SENTENCE}),
        "list.reply": frozenset({Role.ROOMS}),
    }
)
"""What each must say: a datagram without a token, say, could be anybody's."""


@cache
def dialect(name: str) -> Dialect:
    """One of the dialects that are shipped. Raises `KeyError` for another name."""
    if name not in SHIPPED:
        raise KeyError(name)
    path = path_of(name)
    return parse(path.read_text(encoding="utf-8"), path.name)


def path_of(name: str) -> Path:
    """Where the file of a shipped dialect is."""
    return Path(__file__).parent / "dialects" / f"{name}.toml"


def parse(toml: str, source: str) -> Dialect:
    """Read the text of a dialect's file. Raises `DialectError` naming `source`, the line and the key at fault."""
    return _Reader(Source(toml, source)).dialect()


class _Reader:
    """Reads one file."""

    def __init__(self, source: Source) -> None:
        self.top = Table(source, source.content)
        self.parts: Mapping[str, Any] = {}
        self.done_status = 0

    def dialect(self) -> Dialect:
        top = self.top
        if "format" not in top.content:
            raise top.error("format", f"missing; write format = {FORMAT!r} (docs/dialects.md)")
        if (found := top.string("format")) != FORMAT:
            raise top.error("format", f"{found!r} is not {FORMAT!r}, which this program reads (docs/dialects.md)")
        top.check_keys()
        name, sentence = top.string("name"), top.string("sentence")
        parts = top.table("parts")
        self.parts = parts.content
        for part in parts.content:
            self._lines(parts, part, parts.value(part), ())
        frame = self._optional_lines("frame", None)
        replies = self._optional_lines("reply_frame", frame)
        operations = self._operations()
        statuses = top.closed_table("status")
        self.done_status = statuses.integer("done")
        words = top.closed_table("words")
        answer_table = top.table("answer")
        pause_us = answer_table.duration_us("pause")
        answer_is_exact = answer_table.boolean("exact")
        answers_head = answer_table.string("after") == After.HEAD
        has_answer = "answer" in top.content
        refusal = top.table("refusal")
        port, leave, enter, listing = (top.closed_table(key) for key in ("port", "leave", "enter", "list"))
        notices, tellings, host_quit = self._notices()
        result = Dialect(
            name=name,
            sentence=sentence,
            operations=MappingProxyType(operations),
            greeting=self._message("greeting", top.table("greeting"), None) if "greeting" in top.content else None,
            request=self._by_operation("request", top.table("request"), frame),
            answer=self._by_operation("answer", answer_table, replies) if has_answer else None,
            completion=self._by_operation("completion", top.table("completion"), replies),
            refusals=MappingProxyType(self._refusals(refusal, replies, statuses, words)),
            answers_head=answers_head,
            answer_is_exact=answer_is_exact,
            pause_us=pause_us,
            datagram=self._message("datagram", top.table("datagram"), None),
            relay=self._message("relay", top.table("relay"), None),
            list_request=self._listing(listing, "request", frame),
            list_reply=self._listing(listing, "reply", replies),
            learned_from=LearnedFrom(port.string("learned_from")),
            port_fixed=port.boolean("fixed"),
            relay_from=RelayFrom(port.string("relay_from")),
            leave_words=leave.strings("words"),
            leave_repeats=leave.boolean("repeats"),
            enter_word=enter.string("word"),
            notices=MappingProxyType(tellings),
            host_quit=host_quit,
            notice_repeat=notices.integer("repeat"),
            endings=_endings(top.closed_table("endings")),
        )
        self._check(result, port)
        return result

    def _check(self, result: Dialect, port: Table) -> None:
        carries = roles_of(result.request[Operation.CREATE])
        if result.learned_from is LearnedFrom.REQUEST and Role.PORT not in carries:
            raise port.error("learned_from", "'request', but the request carries no port")
        if result.answers_head and any(roles_of(each) for each in (result.answer or {}).values()):
            raise self.top.error("answer.after", "an answer to the head can say nothing of the request")
        same = result.request[Operation.CREATE] == result.request[Operation.JOIN]
        if same and Role.OPERATION not in carries:
            raise self.top.error("request", "nothing tells creating from joining: it has no operation")
        if result.operations[Operation.CREATE] == result.operations[Operation.JOIN]:
            raise self.top.error("operations.join", "the same as create")

    # --- messages --------------------------------------------------------------------------------

    def _message(self, kind: str, table: Table, frame: Sequence[Item] | None, *, needed: bool = True) -> Message:
        """The message of a table: its `fields`, or its `payload` within its `frame`."""
        own = table.value("frame")
        payload = table.value("payload")
        fields = table.value("fields")
        if fields is not None:
            if own is not None or payload is not None:
                raise table.error("fields", "fields describe the whole message; frame and payload do not go with them")
            items = self._lines(table, "fields", fields, ())
        elif own is None and frame is None:
            others = table.not_asked()  # without fields, none of them can be a number's
            raise table.unknown(others[0]) if others else table.error("fields", "missing")
        else:
            if payload is None:
                raise table.error("payload", "missing: fields, or a payload within the frame")
            inner = self._lines(table, "payload", payload, ())
            lines = self._lines(table, "frame", own, ()) if own is not None else frame or ()
            items = [_with_payload(item, inner) for item in lines]
        labels = {number.label for number in numbers(items) if not number.measures}
        others = table.not_asked()
        if unknown := [key for key in others if key not in labels]:
            raise table.unknown(unknown[0], labels)
        values = {key: self._values(table, key) for key in others}
        try:
            made = message(
                items,
                {"status": (self.done_status,), **values} if kind != "refusal" else values,
                is_stream=kind not in ("datagram", "relay", "notice"),
            )
        except FieldError as error:
            raise table.error("fields" if fields is not None else "", str(error)) from None
        self._check_roles(kind, table, made, needed=needed)
        return made

    @staticmethod
    def _check_roles(kind: str, table: Table, made: Message, *, needed: bool) -> None:
        found = roles_of(made)
        for role in found:
            if role not in ALLOWED[kind]:
                raise table.error("", f"{role} has no meaning in a {kind}{near(role, ALLOWED[kind])}")
        if needed:
            for role in sorted(NEEDED.get(kind, frozenset())):
                if role not in found:
                    raise table.error("", f"no {role}: a {kind} without it cannot be served")

    def _by_operation(self, kind: str, table: Table, frame: Sequence[Item] | None) -> ByOperation:
        """One message for creating and one for joining; `[kind.create]` and `[kind.join]` say in what they differ."""
        own = {each: table.table(each) for each in (Operation.CREATE, Operation.JOIN)}
        result = self._each(kind, table, own, frame)
        if result[Operation.JOIN] == result[Operation.CREATE]:
            result[Operation.JOIN] = result[Operation.CREATE]
        return MappingProxyType(result)

    def _refusals(
        self, table: Table, frame: Sequence[Item] | None, statuses: Table, words: Table
    ) -> dict[Reason, Refusal]:
        own = {reason: table.table(reason) for reason in Reason}
        then = table.table("then")
        second = self._message("refusal", then, frame) if then.content else None
        return {
            reason: Refusal(made, statuses.integer(reason), words.string(reason), second)
            for reason, made in self._each("refusal", table, own, frame).items()
        }

    def _each(
        self, kind: str, table: Table, own: Mapping[Case, Table], frame: Sequence[Item] | None
    ) -> dict[Case, Message]:
        """The message of every case; those whose own tables are empty share one."""
        common = {key: value for key, value in table.content.items() if key not in table.asked}
        result: dict[Case, Message] = {}
        shared: Message | None = None
        for case, special in own.items():
            if special.content:
                result[case] = self._message(kind, _specialised(table, common, special), frame)
            else:
                if shared is None:
                    shared = self._message(kind, Table(table.source, common, table.path), frame)
                result[case] = shared
        return result

    def _listing(self, table: Table, key: str, frame: Sequence[Item] | None) -> Message | None:
        if not table.content:
            return None
        made = self._message(f"list.{key}", table.table(key), frame)
        if key == "request" and made.is_open:
            raise table.error(key, "its end is open: a server could not tell whether it is whole")
        return made

    def _values(self, table: Table, key: str) -> Sequence[int]:
        value = table.value(key)
        values = value if isinstance(value, list) else [value]
        if not values or not all(type(each) is int for each in values):
            raise table.error(key, "a number, or a list of numbers, is expected")
        return values

    # --- lists of fields -------------------------------------------------------------------------

    def _optional_lines(self, key: str, default: Sequence[Item] | None) -> Sequence[Item] | None:
        value = self.top.value(key)
        return default if value is None else self._lines(self.top, key, value, ())

    def _lines(self, table: Table, key: str, value: object, within: tuple[str, ...]) -> list[Item]:
        """The fields of a list, or of a single entry; `@part` stands for those of a part."""
        lines = value if isinstance(value, list) else [value]
        items: list[Item] = []
        for line in lines:
            if isinstance(line, str) and line.startswith("@"):
                items += self._part(table, key, line, within)
                continue
            try:
                items += read_item(line, {"payload": ()})
            except FieldError as error:
                raise table.error(key, str(error), line) from None
        return items

    def _part(self, table: Table, key: str, line: str, within: tuple[str, ...]) -> list[Item]:
        part = line[1:]
        if part in within or len(within) >= PARTS_DEEP_MAX:
            raise table.error(key, f"parts that contain each other: {' in '.join((part, *reversed(within)))}", line)
        if part not in self.parts:
            raise table.error(key, f"there is no part {part!r}{near(part, self.parts)}", line)
        return self._lines(table, key, self.parts[part], (*within, part))

    # --- the rest --------------------------------------------------------------------------------

    def _operations(self) -> dict[Operation, int]:
        table = self.top.closed_table("operations")
        return {each: table.integer(each) for each in Operation}

    def _notices(self) -> tuple[Table, dict[Notice, Telling], Telling | None]:
        has_form = "notice" in self.top.content
        plain = Table(self.top.source, {"fields": ["sentence"]}, "notice.")
        form = self._message("notice", self.top.table("notice") if has_form else plain, None)
        table = self.top.closed_table("notices")
        tellings = {notice: self._telling(table, notice, form) for notice in Notice if notice in table.content}
        for notice in ENDING:
            if notice not in tellings:
                fault = f"missing: every session must be told why it ended ({Rule.END_1})"
                raise table.error(notice, fault)
        quits = table.content.get("host_quit")
        return table, tellings, self._telling(table, "host_quit", form) if quits else None

    def _telling(self, table: Table, key: str, form: Message) -> Telling:
        value = table.value(key)
        if isinstance(value, Mapping):
            own = Table(table.source, value, f"{table.path}{key}.")
            return Telling(("",), self._message("notice", own, None, needed=False))
        sentences = [value] if isinstance(value, str) else value
        if (
            not isinstance(sentences, list)
            or not sentences
            or not all(isinstance(each, str) and each for each in sentences)
        ):
            raise table.error(key, "a sentence, a list of sentences, or {fields = [...]} is expected")
        for each in sentences:
            _check_sentence(table, key, each)
        return Telling(tuple(sentences), form)


def _check_sentence(table: Table, key: str, sentence: str) -> None:
    known = ("name", "room", "host", "any")
    for piece in sentence.split("{")[1:]:
        word, brace, _ = piece.partition("}")
        if brace and word.isidentifier() and word not in known:
            raise table.error(key, f"{{{word}}} is no part of a notice{near(word, known)}", sentence)
    if word := unclosed(sentence, known):
        raise table.error(key, f"{{{word} has no '}}'", sentence)


def _specialised(table: Table, common: Mapping[str, Any], special: Table) -> Table:
    """A special case with what it takes over: fields of its own replace frame and payload, and the reverse."""
    own = special.content
    dropped = {"frame", "payload"} if "fields" in own else {"fields"} if {"frame", "payload"} & set(own) else set()
    taken = {key: value for key, value in common.items() if key not in dropped}
    return Table(table.source, {**taken, **own}, special.path)


def _with_payload(item: Item, payload: Sequence[Item]) -> Item:
    return Group("payload", tuple(payload)) if isinstance(item, Group) and item.label == "payload" else item


def _endings(table: Table) -> Endings:
    if not table.content:
        return Endings()
    return Endings(Match(table.string("match")), table.strings("phrases"))
