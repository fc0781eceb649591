"""The records of a trace: one for everything that happens, one JSON object a line (`tcrp-trace/1`).

A record is a struct of msgspec, which writes the fields in the order of their declaration: that of the
alphabet. `tcrp.trace.reader` reads the lines back.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import msgspec

from tcrp.spec.cluster_names import AnyMachine, AnyRule
from tcrp.spec.names import Machine, Rule

SCHEMA = "tcrp-trace/1"
WRITER = msgspec.json.Encoder()
"""Writes records as JSON."""


class Kind(StrEnum):
    STEP = "step"
    REFUSE = "refuse"
    SEND = "send"
    ARRIVE = "arrive"
    DROP = "drop"
    TIMER = "timer"
    FAULT = "fault"
    SHOW = "show"


class _Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename={"from_": "from"}):
    """What records share. A field with a default is left out of the line while it holds that.

    `gc=False`: texts, numbers and enums make no cycles.
    """

    def line(self) -> str:
        """The record as it is written, without a newline."""
        return WRITER.encode(self).decode()


def _always(kind: Kind) -> Any:
    """The kind of all records of a class. By a factory, because a plain default would be left out of the line."""
    return msgspec.field(default_factory=lambda: kind)


class StepRecord(_Record, frozen=True, kw_only=True):
    """A state machine has taken a step."""

    actor: str
    """`server`, `network`, or the id of a user; in a cluster the name of a server, or `bucket`."""
    cause: int
    """The number of the record that it follows from, or 0: a step of the script, or something from outside."""
    event: str
    """What the machine was told."""
    from_: str
    """The state before."""
    id: str
    """Of a session `bob@lobby`, of a room and its ownership its name, of a handshake the user's id, of a lease the
    server's address in the cluster."""
    instance: int
    """Tells apart machines of one id, such as a user's connections; from 1."""
    kind: Kind = _always(Kind.STEP)
    """What kind of record it is, which says what other keys it has."""
    listener: str = ""
    """The listener of a server that has several, by which a session or handshake came."""
    machine: AnyMachine
    """Which of the three machines; of a server in a cluster also its `lease`, and the `ownership` of a room."""
    n: int
    """Its number, from 1."""
    rule: AnyRule
    """The rule of the protocol that this follows."""
    t_us: int
    """Its time: since the start of the run, or on sockets since the start of the program."""
    to: str
    """The state after; it may be the same."""
    token: str = ""
    """Of a server's session: the first 8 hexadecimal digits of its token's SHA-256. No trace holds a token."""
    why: str = ""
    """Why the event was this one, such as the reason of a refusal."""


class RefusalRecord(_Record, frozen=True, kw_only=True):
    """A machine, or a user, was offered what it does not take."""

    actor: str
    cause: int
    event: str
    """What it was told and did not take."""
    from_: str
    """The state that it stays in."""
    id: str
    kind: Kind = _always(Kind.REFUSE)
    machine: Machine
    n: int
    rule: Rule | None = None
    t_us: int
    why: str
    """The reason."""


class PacketRecord(_Record, frozen=True, kw_only=True):
    """A packet was sent, arrived, or was dropped."""

    actor: str
    bytes: int
    """Of its payload."""
    cause: int
    kind: Kind
    link: str
    """`from>to`."""
    listener: str = ""
    """The listener of a server that has several, if the server dropped it."""
    n: int
    packet: str
    """The name of the packet; all its copies have it."""
    proto: str
    """The transport."""
    rule: Rule | None = None
    t_us: int
    what: str
    """What kind of packet it is."""
    why: str = ""
    """Why it was dropped; of an arrival `duplicate` or `corrupted`."""


class TimerRecord(_Record, frozen=True, kw_only=True):
    """A deadline of an engine was reached."""

    actor: str
    cause: int
    kind: Kind = _always(Kind.TIMER)
    n: int
    rule: Rule
    """The rule that sets the deadline."""
    t_us: int
    what: str
    """Which deadline."""


class FaultRecord(_Record, frozen=True, kw_only=True):
    """Something went wrong on purpose: a cut, a crash, a pause, a clock that jumps."""

    actor: str
    cause: int
    kind: Kind = _always(Kind.FAULT)
    n: int
    t_us: int
    what: str
    """Which fault begins or ends."""
    why: str
    """On which links, for how long, with which settings; may be empty."""


class ShowRecord(_Record, frozen=True, kw_only=True):
    """A text or a notice has reached a user's screen."""

    actor: str
    cause: int
    kind: Kind = _always(Kind.SHOW)
    n: int
    name: str
    """Whom it is from, or about."""
    rule: Rule | None = None
    t_us: int
    text: str
    """What was said; empty for a notice."""
    what: str
    """`relay` for a text, else the name of the notice, or of what the client found out by itself."""


Record = StepRecord | RefusalRecord | PacketRecord | TimerRecord | FaultRecord | ShowRecord


def token_in_trace(token: bytes) -> str:
    """How a token appears in a trace: the first 8 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(token).hexdigest()[:8]
