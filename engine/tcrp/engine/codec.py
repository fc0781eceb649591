"""A dialect's bytes, both sides of it: requests, replies, texts, relays and notices.

Made from the data of `tcrp.spec.dialects`; nothing here asks for a dialect by name. Reading is
total: bytes that mean nothing give None, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from tcrp.engine import json_templates
from tcrp.engine.frames import (
    CODES,
    HEADER_BYTES,
    STATE_ANSWER,
    STATE_COMPLETION,
    read_header,
    write_frame,
    write_request,
)
from tcrp.engine.text import shown, user_name_fault
from tcrp.spec.dialects import (
    NAMES,
    Dialect,
    LearnedFrom,
    Refusal,
    RelayForm,
    Reply,
    ReplyForm,
    RequestForm,
    RoomIn,
    dialect,
    roles,
)
from tcrp.spec.limits import NAME_BYTES_MAX, PORT_MAX, PORT_MIN, SECOND_US, SETTINGS, TOKEN_BYTES_MAX
from tcrp.spec.names import Notice, Operation, Reason

PORT_BYTES = 2
ANSWER_KEEP_ALIVE: Final = "answer_keep_alive"
"""The member of a JSON request by which a client asks for answers to its keep-alives."""
RESUME_TOKEN: Final = "resume_token"  # noqa: S105 - a member's name
"""The member of a JSON request by which a user proves that the name in use is theirs (R-NAME-2)."""
TELL_TIMEOUT: Final = "tell_timeout"
"""The member of a JSON request by which a client asks how much silence the server bears."""
IDLE_TIMEOUT: Final = "idle_timeout"
"""The member of a JSON completion that says so, in seconds."""
EXTRA_MEMBERS: Final = frozenset((ANSWER_KEEP_ALIVE, RESUME_TOKEN, TELL_TIMEOUT))
"""What a JSON request of any dialect may hold besides its own members."""
REPLY_PAYLOAD_BYTES_MAX: Final = 64 * 1024


class Request(NamedTuple):
    """What a request's payload says. `port` is None where the dialect learns it otherwise.

    Only a JSON request can say the rest. `asks_for_answers`: the client wants its keep-alives answered.
    `resume_token`: the token by which the name's holder is known, or empty. `asks_for_timeout`: its completion is to
    say `idle_timeout`.
    """

    name: bytes
    password: str
    port: int | None
    asks_for_answers: bool = False
    resume_token: bytes = b""
    asks_for_timeout: bool = False


class Frame(NamedTuple):
    """One frame of a reply, as a client reads it."""

    size: int
    operation: int
    state: int
    payload: bytes


class Accepted(NamedTuple):
    """The server's answer: the completion follows."""


class Completed(NamedTuple):
    """The completion, with the token; and how much silence the server tolerates, where it tells."""

    token: bytes
    idle_timeout_us: int | None = None


class Denied(NamedTuple):
    """The request is refused. `reason` is None where the server's word is none of ours."""

    reason: Reason | None
    said: str


class Relayed(NamedTuple):
    """A text of another member."""

    name: str
    text: str


class Told(NamedTuple):
    """A notice. `name` is the member it speaks of, where it names one."""

    notice: Notice
    name: str


class Unread(NamedTuple):
    """A datagram that is neither a relay nor a notice of this dialect."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """The bytes of one dialect. Compared by identity: one codec, one form of relay."""

    dialect: Dialect
    leave_words: frozenset[str]
    speaks_json: bool
    takes_password: bool
    plain_text: bool

    @property
    def tells_timeout(self) -> bool:
        """Whether a server can be asked how much silence it tolerates: request and completions are JSON objects."""
        replies = (self.dialect.created.json, self.dialect.joined.json)
        return self.asks_for_answers and all(isinstance(reply, Mapping) for reply in replies)

    @property
    def asks_for_answers(self) -> bool:
        """Whether its request can ask for answers to keep-alives."""
        return self.dialect.request_form is RequestForm.JSON and isinstance(self.dialect.request_json, Mapping)

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
        """A client's whole request frame. What the dialect has no place for is left out."""
        match self.dialect.request_form:
            case RequestForm.NAME:
                payload = name.encode()
            case RequestForm.NAME_PORT:
                payload = name.encode() + port.to_bytes(PORT_BYTES, "big")
            case RequestForm.JSON:
                values: json_templates.Values = {"name": name, "password": password, "ip": ip, "port": port}
                value = json_templates.fill(self.dialect.request_json, values)
                if isinstance(value, dict):
                    if resume_token and resume_token.isascii():  # ours are; a foreign server asks for none
                        value[RESUME_TOKEN] = resume_token.decode("ascii")
                    if asks_for_answers:
                        value[ANSWER_KEEP_ALIVE] = True
                    if asks_for_timeout:
                        value[TELL_TIMEOUT] = True
                payload = json.dumps(value).encode()
        return write_request(operation, room, payload)

    def read_request(self, payload: bytes) -> Request | None:
        """What a request says, or None where it is none of this dialect. The name is not judged yet."""
        match self.dialect.request_form:
            case RequestForm.NAME:
                return Request(payload, "", None)
            case RequestForm.NAME_PORT:
                if len(payload) < PORT_BYTES:
                    return None
                return Request(payload[:-PORT_BYTES], "", int.from_bytes(payload[-PORT_BYTES:], "big"))
            case RequestForm.JSON:
                try:
                    value = json_templates.read(payload)
                except json_templates.NotJson:
                    return None
                extra = {key: value.pop(key, None) for key in EXTRA_MEMBERS} if isinstance(value, dict) else {}
                found = json_templates.find(self.dialect.request_json, value, optional=frozenset({"password"}))
        if found is None:
            return None
        name, password, port = found["name"], found.get("password", ""), found.get("port")
        if not isinstance(name, str) or not isinstance(password, str):
            return None
        if "port" in found and type(port) is not int:
            return None
        proof = extra.get(RESUME_TOKEN)
        return Request(
            name.encode(),
            password,
            port,
            asks_for_answers=extra.get(ANSWER_KEEP_ALIVE) is True,
            resume_token=proof.encode() if isinstance(proof, str) else b"",
            asks_for_timeout=extra.get(TELL_TIMEOUT) is True,
        )

    # --- replies ---------------------------------------------------------------------------------

    def write_answer(self, operation: Operation, room: bytes) -> bytes:
        """The frame that says: accepted, the completion follows."""
        return self._reply(self.dialect.answer, operation, STATE_ANSWER, room, self.dialect.room, {"status": 0})

    def write_completion(
        self, operation: Operation, room: bytes, name: str, token: bytes, *, idle_timeout_us: int | None = None
    ) -> bytes:
        """The frame that hands over the token, and the timeout if that is given and the form is a JSON object."""
        reply = self._completion(operation)
        values = {"token": token.decode("ascii"), "name": name, "room": room.decode()}
        payload = self._payload(reply, values)
        if idle_timeout_us is not None and isinstance(reply.json, Mapping):
            seconds, rest = divmod(idle_timeout_us, SECOND_US)
            told = idle_timeout_us / SECOND_US if rest else seconds
            payload = json.dumps({**json_templates.read(payload), IDLE_TIMEOUT: told}).encode()
        return self._frame(payload, CODES[operation], STATE_COMPLETION, room, self.dialect.room)

    def write_refusal(self, operation: int, room: bytes, reason: Reason) -> list[bytes]:
        """The one or two frames that say no. `operation` is the peer's own byte, whatever it is."""
        refusal = self.dialect.refusals[reason]
        values: json_templates.Values = {"reason": str(reason), "status": refusal.status}
        frames = [self._frame(self._payload(refusal.reply, values), operation, refusal.state, room, refusal.room)]
        if refusal.completion is not None:
            payload = self._payload(refusal.completion, values)
            frames.append(self._frame(payload, operation, STATE_COMPLETION, room, refusal.room))
        return frames

    def write_listing(self, rooms: Sequence[bytes]) -> bytes:
        """The names of rooms, joined by commas; as many as fit."""
        payload = bytearray()
        for room in rooms:
            if len(payload) + 1 + len(room) > REPLY_PAYLOAD_BYTES_MAX:
                break
            payload += (b"," if payload else b"") + room
        return write_frame(0, CODES[Operation.LIST], STATE_ANSWER, b"", bytes(payload))

    @staticmethod
    def write_list_request() -> bytes:
        """A client's question for the open rooms, for dialects that list them."""
        return write_request(Operation.LIST, b"", b"")

    def read_listing(self, frame: Frame) -> list[str] | None:
        """The names in a listing; None where the frame is none."""
        if frame.state != STATE_ANSWER:
            return None
        try:
            names = frame.payload.decode()
        except UnicodeDecodeError:
            return None
        return [shown(name) for name in names.split(",")] if names else []

    def read_frame(self, data: bytes | bytearray) -> Frame | Unread | None:
        """The first frame of a reply; None while it is not whole; `Unread` if it can never be one."""
        header = read_header(data)
        if header is None:
            return None
        if header.payload_bytes > REPLY_PAYLOAD_BYTES_MAX:
            return Unread(f"a reply of {header.payload_bytes} bytes")
        start = HEADER_BYTES
        if self._room_in_reply(header.state, header.payload_bytes) is RoomIn.ECHOED:
            start += header.room_bytes
        size = start + header.payload_bytes
        if len(data) < size:
            return None
        return Frame(size, header.operation, header.state, bytes(data[start:size]))

    def read_reply(self, frame: Frame) -> Accepted | Completed | Denied:
        """What a frame of the server says to its client."""
        if frame.state == STATE_COMPLETION:
            token = self._read_token(frame)
            return (
                Completed(token, self._read_timeout(frame)) if token else Denied(None, "the completion holds no token")
            )
        if frame.state == STATE_ANSWER and self.dialect.frames == 2 and self._is_accepting(frame.payload):
            return Accepted()
        return self._read_refusal(frame)

    # --- texts and relays ------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> bytes:
        """A client's text, as it stands behind the token."""
        if self.plain_text:
            return text.encode()
        return json_templates.write(self.dialect.text_json, {"name": name, "text": text})

    def read_text(self, data: bytes) -> str | None:
        """The text behind the token, or None where it is none of this dialect."""
        try:
            if self.plain_text:
                return data.decode()
            if not data:  # an empty text is a keep-alive in every dialect
                return ""
            found = json_templates.find(self.dialect.text_json, json_templates.read(data), optional=frozenset({"name"}))
        except ValueError:
            return None
        text = found.get("text") if found else None
        return text if isinstance(text, str) else None

    def write_relay(self, name: str, text: str) -> bytes | None:
        """A text as it reaches a member, or None where the name does not fit this form (R-UDP-2)."""
        form = self.dialect.relay
        if form.json is not None:
            return form.prefix + json_templates.write(form.json, {"name": name, "text": text})
        head = form.head.replace("{name}", name).encode()
        if form.length_byte:
            if len(head) > NAME_BYTES_MAX:
                return None
            head = bytes((len(head),)) + head
        return form.prefix + head + text.encode()

    def read_relay(self, data: bytes) -> Relayed | None:
        """Who says what, or None where this is no relay of this dialect."""
        form = self.dialect.relay
        if not data.startswith(form.prefix):
            return None
        body = data[len(form.prefix) :]
        if form.json is not None:
            return _read_json_relay(form, body)
        return _read_headed_relay(form, body)

    # --- notices ---------------------------------------------------------------------------------

    def write_notice(self, sentence: str) -> bytes:
        """A filled-in sentence as it reaches a member."""
        if self.dialect.notice_json is None:
            return self.dialect.notice_prefix + sentence.encode()
        return self.dialect.notice_prefix + json_templates.write(self.dialect.notice_json, {"sentence": sentence})

    def read_sentence(self, data: bytes) -> str | None:
        """The sentence that `data` would be if it were a notice."""
        prefix = self.dialect.notice_prefix
        try:
            if self.dialect.notice_json is None:
                return data[len(prefix) :].decode() if data.startswith(prefix) else None
            value = json_templates.read(data[len(prefix) :]) if data.startswith(prefix) else None
        except ValueError:
            return None
        found = json_templates.find(self.dialect.notice_json, value)
        if found is None or not _constants_agree(self.dialect.notice_json, value):
            return None
        sentence = found.get("sentence")
        return sentence if isinstance(sentence, str) else None

    # --- helpers ---------------------------------------------------------------------------------

    def _reply(
        self,
        reply: Reply,
        operation: Operation,
        state: int,
        room: bytes,
        room_in: RoomIn,
        values: json_templates.Values,
    ) -> bytes:
        return self._frame(self._payload(reply, values), CODES[operation], state, room, room_in)

    @staticmethod
    def _frame(payload: bytes, operation: int, state: int, room: bytes, room_in: RoomIn) -> bytes:
        length = 0 if room_in is RoomIn.EMPTY else len(room)
        return write_frame(length, operation, state, room if room_in is RoomIn.ECHOED else b"", payload)

    @staticmethod
    def _payload(reply: Reply, values: json_templates.Values) -> bytes:
        match reply.form:
            case ReplyForm.BYTE:
                return bytes((int(values["status"]),))
            case ReplyForm.WORD:
                return reply.word.encode()
            case ReplyForm.TOKEN:
                return str(values["token"]).encode()
            case ReplyForm.JSON:
                return json_templates.write(reply.json, values)

    def _room_in_reply(self, state: int, payload_bytes: int) -> RoomIn:
        """Where refusals and answers treat the room differently, their lengths tell them apart."""
        refusal = self.dialect.refusals[Reason.BAD_REQUEST]
        if state != refusal.state or refusal.room is self.dialect.room:
            return self.dialect.room
        answer = self._payload(self.dialect.answer, {"status": 0})
        return self.dialect.room if payload_bytes == len(answer) else refusal.room

    def _is_accepting(self, payload: bytes) -> bool:
        answer = self.dialect.answer
        if answer.form is not ReplyForm.JSON:
            return payload == self._payload(answer, {"status": 0})
        try:
            value = json_templates.read(payload)
        except json_templates.NotJson:
            return False
        return _constants_agree(answer.json, value)

    def _completion(self, operation: Operation) -> Reply:
        return self.dialect.created if operation is Operation.CREATE else self.dialect.joined

    def _read_token(self, frame: Frame) -> bytes | None:
        is_create = frame.operation == CODES[Operation.CREATE]
        reply = self._completion(Operation.CREATE if is_create else Operation.JOIN)
        if reply.form is not ReplyForm.JSON:
            token = frame.payload
        else:
            try:
                found = json_templates.find(reply.json, json_templates.read(frame.payload), loose=True) or {}
            except json_templates.NotJson:
                return None
            word = found.get("token")
            token = word.encode() if isinstance(word, str) else b""
        return token if 0 < len(token) <= TOKEN_BYTES_MAX else None

    @staticmethod
    def _read_timeout(frame: Frame) -> int | None:
        """How much silence the server tolerates, where the completion says a number of seconds that makes sense."""
        try:
            value = json_templates.read(frame.payload)
        except json_templates.NotJson:
            return None
        seconds = value.get(IDLE_TIMEOUT) if isinstance(value, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            return None
        setting = SETTINGS["idle_timeout"]
        return round(seconds * SECOND_US) if setting.least <= seconds * SECOND_US <= setting.most else None

    def _read_refusal(self, frame: Frame) -> Denied:
        said = frame.payload.decode(errors="replace")
        refusals = self.dialect.refusals
        form = refusals[Reason.BAD_REQUEST].reply.form
        if form is ReplyForm.BYTE:
            codes = {refusal.status: reason for reason, refusal in refusals.items()}
            return Denied(codes.get(frame.payload[0]) if len(frame.payload) == 1 else None, frame.payload.hex())
        if form is ReplyForm.WORD:
            words = {refusal.reply.word: reason for reason, refusal in refusals.items()}
            return Denied(words.get(said), said)
        try:
            value = json_templates.read(frame.payload)
        except json_templates.NotJson:
            return Denied(None, said)
        return Denied(_reason_in_json(refusals, value), said)


def _reason_in_json(refusals: Mapping[Reason, Refusal], value: object) -> Reason | None:
    """The reason by its word, else by a status that only one reason has."""
    by_status: list[Reason] = []
    for reason, refusal in refusals.items():
        found = json_templates.find(refusal.reply.json, value, loose=True)
        if found is None:
            continue
        if found.get("reason") == reason:
            return reason
        if found.get("status") == refusal.status:
            by_status.append(reason)
    return by_status[0] if len(by_status) == 1 else None


def _constants_agree(template: object, value: object) -> bool:
    """Whether the numbers and empty strings that a template fixes stand in `value` too."""
    if not isinstance(template, dict) or not isinstance(value, dict):
        return False
    fixed = {key: part for key, part in template.items() if isinstance(part, int) or part == ""}
    return all(key in value and value[key] == part for key, part in fixed.items())


def _read_headed_relay(form: RelayForm, body: bytes) -> Relayed | None:
    before, _, after = form.head.partition("{name}")
    try:
        if form.length_byte:
            if not body or len(body) < 1 + body[0]:
                return None
            head, text = body[1 : 1 + body[0]].decode(), body[1 + body[0] :].decode()
            if len(head) <= len(before) + len(after) or not (head.startswith(before) and head.endswith(after)):
                return None
            return Relayed(head[len(before) : len(head) - len(after)], text)
        whole = body.decode()
    except UnicodeDecodeError:
        return None
    if not whole.startswith(before):
        return None
    name, found, text = whole[len(before) :].partition(after)
    return Relayed(name, text) if found and name else None


def _read_json_relay(form: RelayForm, body: bytes) -> Relayed | None:
    try:
        found = json_templates.find(form.json, json_templates.read(body))
    except json_templates.NotJson:
        return None
    name, text = (found.get("name"), found.get("text")) if found else (None, None)
    return Relayed(name, text) if isinstance(name, str) and name and isinstance(text, str) else None


def codec_of(data: Dialect) -> Codec:
    """The codec of a dialect, however it was described."""
    return Codec(
        dialect=data,
        leave_words=frozenset(data.leave_words),
        speaks_json=data.request_form is RequestForm.JSON,
        takes_password="password" in set(roles(data.request_json)),
        plain_text=data.text_json is None,
    )


@cache
def codec(name: str) -> Codec:
    """The one codec of a dialect that comes with the protocol. Raises `KeyError` for another name."""
    return codec_of(dialect(name))


@cache
def _auto() -> tuple[Codec, ...]:
    """What is recognised where nothing else is said: a dialect that lists is another's twin, and has to be named."""
    return tuple(each for each in map(codec, NAMES) if not each.dialect.lists)


def recognise(payload: bytes, among: Sequence[Codec] = ()) -> tuple[Codec, Request | None] | None:
    """Which dialect a request is in, and what it says; None where no dialect is recognised (section 4).

    `among` are the dialects that are looked for, in their order; none: those of `auto`. A single one is taken
    without a look. JSON is known by its keys, any other by its user name. What stands under the keys may still be
    no request.
    """
    if len(among) == 1:
        return among[0], among[0].read_request(payload)
    among = among or _auto()
    if payload[:1] in (b"{", b'"') and any(each.speaks_json for each in among):
        try:
            value = json_templates.read(payload)
        except json_templates.NotJson:
            return None
        known = (each for each in among if each.speaks_json and _has_keys_of(each, value))
        return next(((each, each.read_request(payload)) for each in known), None)
    for each in among:
        request = each.read_request(payload) if not each.speaks_json else None
        if request is not None and user_name_fault(request.name) is None:
            return each, request
    return None


def _has_keys_of(codec: Codec, value: object) -> bool:
    """Whether a JSON value is of the kind, and has the keys, that a request of this dialect has."""
    template = codec.dialect.request_json
    if not isinstance(template, Mapping) or not isinstance(value, dict):
        return isinstance(template, str) and isinstance(value, str)
    keys = value.keys() - EXTRA_MEMBERS
    return {key for key, role in template.items() if role != "{password}"} <= keys <= template.keys()


def port_fault(port: int) -> str | None:
    """Why a client may not be sent relays at `port`, or None (R-ADDR-1)."""
    if PORT_MIN <= port <= PORT_MAX:
        return None
    return f"is {port}, allowed are {PORT_MIN} to {PORT_MAX}"


def port_is_clear(codec: Codec, port: int) -> bool:
    """Whether a request that ends with `port` cannot be taken for a plain user name (section 4, recognition)."""
    if codec.dialect.request_form is not RequestForm.NAME_PORT:
        return True
    try:
        port.to_bytes(PORT_BYTES, "big").decode()
    except UnicodeDecodeError:
        return True
    return False


def learns_port(codec: Codec, source: LearnedFrom) -> bool:
    """Whether this dialect tells the port by `source`."""
    return codec.dialect.learned_from is source
