"""Whether a dialect reads what it writes: every kind of message is written with examples and read back.

What a list of fields cannot mean is refused when the file is read; this finds what only whole messages show: a refusal
that reads as a token, a notice that no datagram can hold, a text that every member would take for a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from tcrp.engine.codec import Codec
from tcrp.engine.meanings import Accepted, Asked, Completed, Denied, Reply
from tcrp.engine.notices import ENDINGS, NoticeReader, write_notice
from tcrp.engine.templates import CannotWrite
from tcrp.spec.fields import Role, roles_of
from tcrp.spec.limits import NAME_BYTES_MAX, SERVER_DATAGRAM_BYTES_MAX, TOKEN_BYTES
from tcrp.spec.names import Operation, Reason

ROOM, NAME, HOST, PASSWORD, PORT, IP = b"room1", "alice", "bob", "secret", 50000, "192.0.2.1"
TOKEN = b"0123456789abcdef" * (TOKEN_BYTES // 16)
TEXTS = ("hello", "a: b", "日本語", "")
OPERATIONS = (Operation.CREATE, Operation.JOIN)


class Fault(NamedTuple):
    """What is wrong with the message of this key of the file: `refusal.bad_request`."""

    key: str
    what: str


class Ends(NamedTuple):
    """What writes and what reads: a codec, a member's reader of notices, and what tells of a notice."""

    codec: Any  # `Codec`, `NoticeReader`, or what does the same but for one thing: their faults are to be found
    reader: Any
    tell: Callable[..., bytes | None]


def faults(speaks: Codec) -> Iterator[Fault]:
    """All that is wrong with a dialect."""
    return faults_between(ends_of(speaks))


def ends_of(speaks: Codec) -> Ends:
    """Both ends of a dialect, in one room."""
    return Ends(speaks, NoticeReader(speaks, ROOM.decode()), partial(write_notice, speaks))


def faults_between(ends: Ends) -> Iterator[Fault]:
    """All that one end writes and the other does not read as it was meant."""
    for key, look in _LOOKS.items():
        try:
            yield from look(ends)
        except CannotWrite as error:
            yield Fault(key, f"a message cannot be written even for {NAME} in {ROOM.decode()}: {error}")


def _requests(ends: Ends) -> Iterator[Fault]:
    speaks = ends.codec
    carries = roles_of(speaks.dialect.request[Operation.CREATE])
    for operation in OPERATIONS:
        data = speaks.write_request(operation, ROOM, NAME, PASSWORD, IP, PORT)
        asked = speaks.read_request(data, is_over=True)
        if not isinstance(asked, Asked) or asked.request is None or asked.size != len(data):
            yield Fault("request", f"what is written to {operation} is not read back: {data[:60]!r}")
        elif asked.operation is not operation:
            yield Fault("request", f"what is written to {operation} is read as to {asked.operation}")
        elif (asked.room, asked.request.name) != (ROOM, NAME.encode()):
            yield Fault("request", f"{NAME} in room1 is read as {asked.request.name!r} in {asked.room!r}")
        elif Role.PORT in carries and asked.request.port != PORT:
            yield Fault("request", f"port {PORT} is read as {asked.request.port}")
        elif Role.PASSWORD in carries and asked.request.password != PASSWORD:
            yield Fault("request", f"the password {PASSWORD!r} is read as {asked.request.password!r}")


def _answers(ends: Ends) -> Iterator[Fault]:
    speaks = ends.codec
    for operation in OPERATIONS:
        answer = speaks.write_answer(operation, ROOM, NAME)
        if not answer:
            continue  # the dialect has none
        read = speaks.read_reply(answer, operation, is_over=True, is_accepted=False)
        if not isinstance(read, Reply) or not isinstance(read.says, Accepted):
            yield Fault(f"answer.{operation}", f"it is read as {_kind(read)}: {answer[:60]!r}")


def _completions(ends: Ends) -> Iterator[Fault]:
    speaks = ends.codec
    for operation in OPERATIONS:
        completion = speaks.write_completion(operation, ROOM, NAME, TOKEN, host=HOST, members=2)
        read = speaks.read_reply(completion, operation, is_over=True)
        if not isinstance(read, Reply) or not isinstance(read.says, Completed):
            yield Fault(f"completion.{operation}", f"it is read as {_kind(read)}: {completion[:60]!r}")
        elif read.says.token != TOKEN:
            yield Fault(f"completion.{operation}", f"the token {TOKEN.decode()} is read as {read.says.token!r}")


def _refusals(ends: Ends) -> Iterator[Fault]:
    speaks = ends.codec
    code = speaks.dialect.operations[Operation.JOIN]
    for reason in Reason:
        [data, *_] = speaks.write_refusal(code, ROOM, reason)
        if not data:
            continue  # the end of the stream says it
        read = speaks.read_reply(data, Operation.JOIN, is_over=True, is_accepted=False)
        if not isinstance(read, Reply) or not isinstance(read.says, Denied):
            yield Fault(f"refusal.{reason}", f"it is read as {_kind(read)}: {data[:60]!r}")
        elif read.says.reason not in (reason, None):
            yield Fault(f"refusal.{reason}", f"it is read as the refusal for {read.says.reason}")


def _kind(read: object) -> str:
    if not isinstance(read, Reply):
        return "nothing"
    return {Accepted: "an answer", Completed: "a completion", Denied: "a refusal"}[type(read.says)]


def _datagrams(ends: Ends) -> Iterator[Fault]:
    speaks = ends.codec
    words = [*speaks.dialect.leave_words, *([speaks.dialect.enter_word] if speaks.dialect.enter_word else [])]
    for text in (*TEXTS, *words):
        data = speaks.datagram.write(ROOM, TOKEN, NAME, text)
        head = speaks.head(data)
        if head is None or head[1] != TOKEN or head[0] not in (ROOM, None):
            yield Fault("datagram", f"room and token are not read back from {data[:80]!r}")
        elif speaks.read_text(data, head[2]) != text:
            yield Fault("datagram", f"the text {text!r} is read as {speaks.read_text(data, head[2])!r}")


def _relays(ends: Ends) -> Iterator[Fault]:
    speaks = ends.codec
    for text in TEXTS[:3]:
        data = speaks.write_relay(NAME, text, ROOM, TOKEN)
        if data is None:
            yield Fault("relay", f"{text!r} of {NAME} cannot be written")
            continue
        read = speaks.read_relay(data)
        if read is None or (read.name, read.text) != (NAME, text):
            yield Fault("relay", f"{text!r} of {NAME} is read as {read and tuple(read)}: {data[:60]!r}")
        if ends.reader.is_forged_by(data):
            yield Fault("relay", f"the text {text!r} reads as a notice, so that members would never be sent it")


def _notices(ends: Ends) -> Iterator[Fault]:
    tellings, room, longest = ends.codec.dialect.notices, ROOM.decode(), "x" * NAME_BYTES_MAX
    for notice, telling in tellings.items():
        data = ends.tell(notice, name=NAME, room=room, host=HOST, token=TOKEN)
        told = ends.reader.read(data) if data is not None else None
        sharing = {each for each, other in tellings.items() if set(other.sentences) & set(telling.sentences)}
        if told is None or told.notice not in sharing:
            yield Fault(
                f"notices.{notice}", f"it is read as {told.notice if told else 'nothing'}: {(data or b'')[:60]!r}"
            )
        data = ends.tell(notice, name=longest, room=longest, host=longest, token=TOKEN)
        if notice in ENDINGS and (data is None or len(data) > SERVER_DATAGRAM_BYTES_MAX):
            yield Fault(f"notices.{notice}", f"it cannot be told where names have {NAME_BYTES_MAX} bytes")


_LOOKS = {
    "request": _requests,
    "answer": _answers,
    "completion": _completions,
    "refusal": _refusals,
    "datagram": _datagrams,
    "relay": _relays,
    "notices": _notices,
}
"""What looks at the messages of each key."""
