"""What the messages of a dialect say, whatever bytes they are in."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from tcrp.spec.names import Notice, Operation, Reason


class Request(NamedTuple):
    """What a request says. `port` is None where the dialect learns it otherwise.

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


class Asked(NamedTuple):
    """A whole request. `code` is the peer's own number for the operation; `payload` what is read in a dialect."""

    size: int
    operation: Operation
    code: int
    room: bytes
    payload: bytes
    request: Request | None = None  # None: not in this dialect


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


class Reply(NamedTuple):
    """One message of a server over TCP, as a client reads it."""

    size: int
    says: Accepted | Completed | Denied
    payload: bytes = b""


class Relayed(NamedTuple):
    """A text of another member. `name` is empty where the form names nobody."""

    name: str
    text: str


class Told(NamedTuple):
    """A notice. `name` is the member it speaks of, where it names one."""

    notice: Notice
    name: str


class Unread(NamedTuple):
    """Bytes that are nothing of this dialect."""

    text: str


class Member(Protocol):
    """Who is sent a notice."""

    token: bytes
    address: Any
