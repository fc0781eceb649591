"""A dialect's bytes, both sides of it: requests, replies, texts, relays and notices.

Compiled from the fields of `tcrp.spec.dialects`; nothing here asks for a dialect by name. Reading is total: bytes that
mean nothing give None or `Mismatch`, never an exception.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final

from tcrp.engine.datagrams import NAMES_MAX, Datagram, json_relay, relay_head, relay_reader, string
from tcrp.engine.meanings import Asked, Member, Relayed, Reply, Request, Unread
from tcrp.engine.messages import (
    by_operation,
    compiled_refusal,
    distinct,
    is_json,
    is_tight,
    json_object,
    payload_alone,
    request_keys,
    rooms_field,
    unwrapped,
    with_a_name,
)
from tcrp.engine.replies import IDLE_TIMEOUT, REPLY_BYTES_MAX, REPLY_PAYLOAD_BYTES_MAX, ReplyReader
from tcrp.engine.templates import (
    EXTRA,
    SPAN,
    CannotWrite,
    Mismatch,
    Partial,
    Read,
    Strictness,
    Template,
    compile_message,
)
from tcrp.engine.text import shown
from tcrp.spec.dialects import Dialect, LearnedFrom, Telling, dialect
from tcrp.spec.fields import (
    Message,
    Role,
    Text,
    roles_of,
)
from tcrp.spec.limits import PORT_MAX, PORT_MIN, SECOND_US, TOKEN_BYTES
from tcrp.spec.names import Notice, Operation, Reason

PORT_BYTES = 2
ANSWER_KEEP_ALIVE: Final = "answer_keep_alive"
"""The member of a JSON request by which a client asks for answers to its keep-alives."""
RESUME_TOKEN: Final = "resume_token"  # noqa: S105 - a member's name
"""The member of a JSON request by which a user proves that the name in use is theirs (R-NAME-2)."""
TELL_TIMEOUT: Final = "tell_timeout"
"""The member of a JSON request by which a client asks how much silence the server tolerates."""
EXTRA_MEMBERS: Final = frozenset((ANSWER_KEEP_ALIVE, RESUME_TOKEN, TELL_TIMEOUT))
"""What a JSON request of any dialect may hold besides its own members."""


class Codec:
    """The bytes of one dialect. Compared by identity: one codec, one form of relay."""

    def __init__(self, data: Dialect) -> None:
        own, create = data.operations, data.request[Operation.CREATE]
        self.dialect = data
        self.leave_words = frozenset(data.leave_words)
        self.takes_password = Role.PASSWORD in roles_of(create)
        self.speaks_json = is_json(create)
        self.request_keys = request_keys(create)
        self.asks_for_answers = self.request_keys is not None
        """Whether its request can ask for answers to keep-alives."""
        self.codes = {own[Operation.CREATE]: Operation.CREATE, own[Operation.JOIN]: Operation.JOIN}
        known = frozenset(self.codes)
        self._requests = by_operation(data.request, Strictness.SHAPE, extras=EXTRA_MEMBERS, operations=known)
        self._outer = [
            compile_message(each, operations=known) for each in distinct(map(unwrapped, data.request.values()))
        ]
        self.frames = [each.message for each in self._outer]
        self._payload = payload_alone(data.request, EXTRA_MEMBERS)
        strictness = Strictness.WORDS if data.answer_is_exact else Strictness.NUMBERS
        self._answers = by_operation(data.answer or {}, strictness)
        self._completions = by_operation(data.completion, Strictness.LOOSE, extras=frozenset((IDLE_TIMEOUT,)))
        self.tells_timeout = self.asks_for_answers and all(
            json_object(each) is not None for each in data.completion.values()
        )
        """Whether a server can be asked how much silence it tolerates: request and completions are JSON objects."""
        refusals = data.refusals.items()
        self._refusals = _compiled({why: each.frame for why, each in refusals}, compiled_refusal)
        self.refuses_silently = any(not each.message.items for each in self._refusals.values())
        """Whether a refusal may be the mere end of the stream."""
        self._thens = _compiled({why: each.then for why, each in refusals if each.then is not None}, compile_message)
        self._greeting = compile_message(data.greeting) if data.greeting is not None else None
        self._list_request = compile_message(data.list_request) if data.list_request is not None else None
        self._list_reply = compile_message(data.list_reply) if data.list_reply is not None else None
        self.datagram = Datagram(data.datagram)
        self._reply_reader = ReplyReader(data, self._answers, self._completions, self._refusals, self._takes_token)
        self.head = self.datagram.head
        self.read_text = self.datagram.read_text
        self.write_text = self.datagram.write_text
        self.plain_text = self.datagram.is_plain
        bounded = [*(data.answer or {}).values(), *data.completion.values(), data.datagram]
        self._is_tight = any(is_tight(item) for message in bounded for item in message.items)
        relay = with_a_name(data.relay)
        self._relay = compile_message(relay)
        self._read_relay = relay_reader(self._relay)
        self._read_nameless = relay_reader(compile_message(data.relay)) if relay is not data.relay else None
        self._relay_head = relay_head(relay)
        self._json_relay = json_relay(relay)
        self._written_head = lru_cache(NAMES_MAX)(self._write_head)
        self.relays_to_each = Role.TOKEN in self._relay.roles
        """Whether a relay holds its receiver's token, so that each member is sent bytes of their own."""
        tellings = [*data.notices.values(), *([data.host_quit] if data.host_quit is not None else [])]
        self._notices = {id(each.form): compile_message(each.form) for each in tellings}

    # --- requests --------------------------------------------------------------------------------

    def write_request(
        self,
        operation: Operation,
        room: bytes,
        name: str,
        password: str,
        ip: str,
        port: int,
        *,
        asks_for_answers: bool = False,
        resume_token: bytes = b"",
        asks_for_timeout: bool = False,
    ) -> bytes:
        """A client's whole request. What the dialect has no place for is left out. Raises `CannotWrite`."""
        extra: dict[str, Any] = {}
        if resume_token and resume_token.isascii():  # ours are; a foreign server asks for none
            extra[RESUME_TOKEN] = resume_token.decode("ascii")
        if asks_for_answers:
            extra[ANSWER_KEEP_ALIVE] = True
        if asks_for_timeout:
            extra[TELL_TIMEOUT] = True
        values = {
            "operation": self.dialect.operations[operation], "room": room, "name": name, "password": password, "ip": ip,
            "port": port, "token": resume_token, EXTRA: extra,
        }  # fmt: skip
        return self._requests[operation].write(values)

    def read_request(
        self, data: bytes, *, limit: int = sys.maxsize, is_over: bool = False
    ) -> Asked | Partial | Mismatch:
        """A whole request; its `request` is None where only its frame is of this dialect. Names are not judged yet."""
        frame = self.read_frame(data, limit=limit, is_over=is_over)
        return self.read_framed(data, frame, limit) if isinstance(frame, Read) else frame

    def read_frame(self, data: bytes, *, limit: int, is_over: bool) -> Read | Partial | Mismatch:
        """A request as far as its frame goes, whatever its payload says."""
        result: Partial | Mismatch | None = None
        for template in self._outer:
            read = template.read(data, limit=limit, is_over=is_over)
            if isinstance(read, Read):
                return read
            if result is None or isinstance(read, Partial):
                result = read
        assert result is not None, "there is a form of request"
        return result

    def read_framed(self, data: bytes, outer: Read, limit: int) -> Asked:
        """What a request says whose frame has been read."""
        size, frame = outer
        code = frame.get("operation", 0)
        request = None
        operation = self.codes.get(code, Operation.JOIN)
        if self._payload is not None:
            inner = self._payload.read(frame[SPAN])
            if isinstance(inner, Read):
                request = self._request({**frame, **inner.values})
        else:
            for each, template in self._requests.items():
                if Role.OPERATION in template.roles and operation is not each:
                    continue
                read = template.read(data[:size], limit=limit)
                if isinstance(read, Read) and read.size == size:
                    operation, code = each, read.values.get("operation", self.dialect.operations[each])
                    request, frame = self._request(read.values), {**read.values, **frame}
                    break
        room = frame.get("room", b"")
        room = room.encode() if isinstance(room, str) else room
        if not isinstance(room, bytes):
            room, request = b"", None
        return Asked(size, operation, code, room, frame.get(SPAN, data[:size]), request)

    @staticmethod
    def _request(values: Mapping[str, Any]) -> Request | None:
        name, password, port = string(values["name"]), string(values.get("password", "")), values.get("port")
        if isinstance(values["name"], bytes):
            raw: bytes = values["name"]
        elif name is not None:
            raw = name.encode()
        else:
            return None
        if password is None or ("port" in values and type(port) is not int):
            return None
        extra = values.get(EXTRA, {})
        proof = extra.get(RESUME_TOKEN, values.get("token"))
        return Request(
            raw,
            password,
            port,
            asks_for_answers=extra.get(ANSWER_KEEP_ALIVE) is True,
            resume_token=proof.encode() if isinstance(proof, str) else proof if isinstance(proof, bytes) else b"",
            asks_for_timeout=extra.get(TELL_TIMEOUT) is True,
        )

    def carries(self, room: bytes, name: str) -> bool:
        """Whether replies and datagrams of this dialect can hold these names."""
        if not self._is_tight:
            return True
        token = b"0" * TOKEN_BYTES
        try:
            for operation in self._completions:
                self.write_answer(operation, room, name)
                self.write_completion(operation, room, name, token)
            self.datagram.write(room, token, name, "")
        except CannotWrite:
            return False
        return True

    # --- replies ---------------------------------------------------------------------------------

    def write_greeting(self) -> bytes:
        """What the server says first, before it has heard anything; often nothing."""
        return self._greeting.write({}) if self._greeting is not None else b""

    def write_answer(self, operation: Operation, room: bytes, name: str = "") -> bytes:
        """The message that says: accepted, the completion follows. Nothing where the dialect has none."""
        if not self._answers:
            return b""
        values = {"operation": self.dialect.operations[operation], "room": room, "name": name}
        return self._answers[operation].write(values)

    def write_completion(
        self,
        operation: Operation,
        room: bytes,
        name: str,
        token: bytes,
        *,
        idle_timeout_us: int | None = None,
        host: str = "",
        members: int = 0,
    ) -> bytes:
        """The message that hands over the token, and the timeout if that is given and the form is a JSON object."""
        values = {
            "operation": self.dialect.operations[operation], "room": room, "name": name, "token": token, "host": host,
            "members": members,
        }  # fmt: skip
        if idle_timeout_us is not None:
            seconds, rest = divmod(idle_timeout_us, SECOND_US)
            values[EXTRA] = {IDLE_TIMEOUT: idle_timeout_us / SECOND_US if rest else seconds}
        return self._completions[operation].write(values)

    def write_refusal(self, operation: int, room: bytes, reason: Reason) -> list[bytes]:
        """The one or two messages that say no. `operation` is the peer's own number, whatever it is."""
        refusal = self.dialect.refusals[reason]
        values = {"operation": operation, "room": room, "reason": refusal.word, "status": refusal.status}
        templates = [self._refusals[reason], *([self._thens[reason]] if reason in self._thens else [])]
        try:
            return [template.write(values) for template in templates]
        except CannotWrite:  # a number or a name of another dialect
            known = {**values, "operation": self.dialect.operations[Operation.JOIN], "room": b""}
            return [template.write(known) for template in templates]

    def write_listing(self, rooms: Sequence[bytes]) -> bytes:
        """The names of rooms; as many as fit."""
        assert self._list_reply is not None, "this dialect lists"
        separator = rooms_field(self._list_reply.message).separator
        payload = bytearray()
        for room in rooms:
            if len(payload) + len(separator) + len(room) > REPLY_PAYLOAD_BYTES_MAX:
                break
            payload += (separator if payload else b"") + room
        code = self.dialect.operations[Operation.LIST]
        return self._list_reply.write({"operation": code, "room": b"", "rooms": bytes(payload)})

    @property
    def list_separator(self) -> bytes:
        """What no listed name may hold."""
        assert self._list_reply is not None, "this dialect lists"
        return rooms_field(self._list_reply.message).separator

    def write_list_request(self) -> bytes:
        """A client's question for the open rooms, for dialects that list them."""
        assert self._list_request is not None, "this dialect lists"
        return self._list_request.write({"operation": self.dialect.operations[Operation.LIST], "room": b""})

    def read_list_request(self, data: bytes, *, limit: int = sys.maxsize) -> int | None:
        """How many bytes of `data` ask for the open rooms; None where it does not, or not yet."""
        if self._list_request is None:
            return None
        read = self._list_request.read(data, limit=limit, is_over=False)
        if not isinstance(read, Read):
            return None
        code = self.dialect.operations[Operation.LIST]
        return read.size if read.values.get("operation", code) == code and not read.values.get("room") else None

    def read_listing(self, data: bytes) -> list[str] | Partial | Unread:
        """The names in a listing."""
        assert self._list_reply is not None, "this dialect lists"
        read = self._list_reply.read(data, limit=REPLY_BYTES_MAX, is_over=False)
        if isinstance(read, Partial):
            return read
        names = string(read.values["rooms"]) if isinstance(read, Read) else None
        if names is None:
            return Unread("no list of rooms")
        return [shown(name) for name in names.split(self.list_separator.decode())] if names else []

    def read_greeting(self, data: bytes) -> int | Partial | Unread:
        """How long the server's greeting is."""
        read = self._greeting.read(data, is_over=False) if self._greeting is not None else Read(0, {})
        return read.size if isinstance(read, Read) else read if isinstance(read, Partial) else Unread("no greeting")

    def read_reply(
        self, data: bytes | bytearray, operation: Operation, *, is_over: bool = False, is_accepted: bool = True
    ) -> Reply | Partial | Unread:
        """The first message of a server's reply to a request for `operation`. `is_accepted`: an answer came before."""
        return self._reply_reader.read(bytes(data), operation, is_over=is_over, is_accepted=is_accepted)

    def _takes_token(self, token: bytes) -> bool:
        """Whether the client's datagrams have room for it: a length of one byte, say, has not for every token."""
        try:
            self.datagram.write(b"room", token, "name", "")
        except CannotWrite:
            return False
        return True

    # --- relays and notices ----------------------------------------------------------------------

    def write_relay(self, name: str, text: str, room: bytes = b"", token: bytes = b"") -> bytes | None:
        """A text as it reaches a member, or None where it does not fit this form (R-UDP-2).

        `token` is the receiver's own, in forms that `relays_to_each`.
        """
        if self._json_relay is not None:
            return self._json_relay(name, text)
        if self._relay_head is not None and not self.relays_to_each:
            head = self._written_head(name, room)
            return None if head is None else head + text.encode()
        try:
            return self._relay.write({"name": name, "text": text, "room": room, "token": token})
        except CannotWrite:
            return None

    def _write_head(self, name: str, room: bytes) -> bytes | None:
        assert self._relay_head is not None, "it is asked for only then"
        try:
            return self._relay_head.write({"name": name, "room": room, "token": b""})
        except CannotWrite:
            return None

    def read_relay(self, data: bytes) -> Relayed | None:
        """Who says what, or None where this is no relay of this dialect."""
        read = self._read_relay(data)
        if read is None and self._read_nameless is not None:
            read = self._read_nameless(data)
        return None if read is None else Relayed(*read)

    def write_notice(
        self, telling: Telling, sentence: str, *, name: str = "", room: bytes = b"", token: bytes = b""
    ) -> bytes | None:
        """A filled-in sentence as it reaches a member, or None where it does not fit. `token` is the receiver's."""
        try:
            return self._notices[id(telling.form)].write(
                {"sentence": sentence, "name": name, "room": room, "token": token}
            )
        except CannotWrite:
            return None

    def audiences(self, members: Sequence[Member], notice: Notice) -> list[tuple[bytes, list[Any]]]:
        """Who is sent the same bytes by a notice: all of them, or each alone where it holds its receiver's token."""
        telling = self.dialect.notices.get(notice)
        if telling is None or not members:
            return []
        if Role.TOKEN in self._notices[id(telling.form)].roles:
            return [(member.token, [member.address]) for member in members]
        return [(b"", [member.address for member in members])]

    def sentence_reader(self, telling: Telling) -> Callable[[bytes], str | None]:
        """Reads the sentence that bytes would be if they were this notice; "" where the form itself is the notice."""
        template = self._notices[id(telling.form)]
        if template.message.items == _SENTENCE:
            return string

        def read_sentence(data: bytes) -> str | None:
            read = template.read(data)
            return string(read.values.get("sentence", "")) if isinstance(read, Read) else None

        return read_sentence


_SENTENCE = (Text(Role.SENTENCE),)


def _compiled(messages: Mapping[Reason, Message], compile_one: Callable[[Message], Template]) -> dict[Reason, Template]:
    """The template of each reason's message. Reasons that share a message share its template.

    The very same message: those with JSON in them cannot be hashed.
    """
    templates = {key: compile_one(each) for key, each in {id(each): each for each in messages.values()}.items()}
    return {why: templates[id(each)] for why, each in messages.items()}


# --- dialects -----------------------------------------------------------------------------------------


def codec_of(data: Dialect) -> Codec:
    """The codec of a dialect, however it was described."""
    return Codec(data)


@cache
def codec(name: str) -> Codec:
    """The one codec of a dialect that comes with the protocol. Raises `KeyError` for another name."""
    return codec_of(dialect(name))


def port_fault(port: int) -> str | None:
    """Why a client may not be sent relays at `port`, or None (R-ADDR-1)."""
    if PORT_MIN <= port <= PORT_MAX:
        return None
    return f"is {port}, allowed are {PORT_MIN} to {PORT_MAX}"


def learns_port(codec: Codec, source: LearnedFrom) -> bool:
    """Whether this dialect tells the port by `source`."""
    return codec.dialect.learned_from is source
