"""The trace: one record for everything that happens, one JSON object a line (`tcrp-trace/1`).

Knows the format, who writes and in which order; not what the records mean. The same writer serves
simulated time and real sockets. Lines are put together by hand because a run writes millions of
them (and those of the commonest kinds by `join`, which takes enums as the strings that they are, and a
third less time than formatting): keys are sorted as they are written here, and tests read every kind
back (`tcrp.trace.reader`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import StrEnum
from json.encoder import encode_basestring as _quote  # what json.dumps(ensure_ascii=False) does to a string
from typing import NamedTuple

from tcrp.spec.cluster_names import AnyMachine, AnyRule
from tcrp.spec.names import Machine, Rule

SCHEMA = "tcrp-trace/1"
new_record = tuple.__new__
"""Makes a record of a class from the tuple of all its fields: a third of the time that a call of the class takes.

For the kinds of which a run makes most.
"""


class Kind(StrEnum):
    STEP = "step"
    REFUSE = "refuse"
    SEND = "send"
    ARRIVE = "arrive"
    DROP = "drop"
    TIMER = "timer"
    FAULT = "fault"
    SHOW = "show"


class StepRecord(NamedTuple):
    """A state machine has taken a step."""

    n: int
    """Its number, from 1."""
    cause: int
    """The number of the record that it follows from, or 0: a step of the script, or something from outside."""
    t_us: int
    """Its time: since the start of the run, or on sockets since the start of the program."""
    actor: str
    """`server`, `network`, or the id of a user; in a cluster the name of a server, or `bucket`."""
    machine: AnyMachine
    """Which of the three machines; of a server in a cluster also its `lease`, and the `ownership` of a room."""
    id: str
    """Of a session `bob@lobby`, of a room and its ownership its name, of a handshake the user's id, of a lease the
    server's address in the cluster."""
    event: str
    """What the machine was told."""
    from_: str
    """The state before."""
    to: str
    """The state after; it may be the same."""
    rule: AnyRule
    """The rule of the protocol that this follows."""
    why: str
    """Why the event was this one, such as the reason of a refusal."""
    token: str
    """Of a server's session: the first 8 hexadecimal digits of its token's SHA-256. No trace holds a token."""
    instance: int
    """Tells apart machines of one id, such as a user's connections; from 1."""
    kind: Kind = Kind.STEP
    """What kind of record it is, which says what other keys it has."""
    listener: str = ""
    """The listener of a server that has several, by which a session or handshake came."""

    def line(self) -> str:
        n, cause, t_us, actor, machine, id, event, from_, to, rule, why, token, instance, _, listener = self
        return "".join((
            '{"actor":', _quote(actor), ',"cause":', str(cause), ',"event":"', event, '","from":"', from_,
            '","id":', _quote(id), ',"instance":', str(instance), ',"kind":"step"',
            f',"listener":{_quote(listener)},"machine":"' if listener else ',"machine":"', machine,
            '","n":', str(n),
            ',"rule":"', rule, '","t_us":', str(t_us), ',"to":"', to, f'","token":"{token}"' if token else '"',
            f',"why":{_quote(why)}}}' if why else "}",
        ))  # fmt: skip


class RefusalRecord(NamedTuple):
    """A machine, or a user, was offered what it does not take."""

    n: int
    cause: int
    t_us: int
    actor: str
    machine: Machine
    id: str
    event: str
    """What it was told and did not take."""
    from_: str
    """The state that it stays in."""
    rule: Rule | None
    why: str
    """The reason."""
    kind: Kind = Kind.REFUSE

    def line(self) -> str:
        rule = f',"rule":"{self.rule}"' if self.rule else ""
        return (
            f'{{"actor":{_quote(self.actor)},"cause":{self.cause},"event":"{self.event}","from":"{self.from_}",'
            f'"id":{_quote(self.id)},"kind":"refuse","machine":"{self.machine}","n":{self.n}{rule},'
            f'"t_us":{self.t_us},"why":{_quote(self.why)}}}'
        )


class PacketRecord(NamedTuple):
    """A packet was sent, arrived, or was dropped."""

    n: int
    cause: int
    t_us: int
    actor: str
    kind: Kind
    proto: str
    """The transport."""
    link: str
    """`from>to`."""
    packet: str
    """The name of the packet; all its copies have it."""
    bytes: int
    """Of its payload."""
    what: str
    """What kind of packet it is."""
    why: str
    """Why it was dropped; of an arrival `duplicate` or `corrupted`."""
    rule: Rule | None
    listener: str = ""
    """The listener of a server that has several, if the server dropped it."""

    def line(self) -> str:
        n, cause, t_us, actor, kind, proto, link, packet, size, what, why, rule, listener = self
        return "".join((
            '{"actor":', _quote(actor), ',"bytes":', str(size), ',"cause":', str(cause), ',"kind":"', kind,
            '","link":', _quote(link), f',"listener":{_quote(listener)}' if listener else "",
            ',"n":', str(n), ',"packet":', _quote(packet), ',"proto":"', proto,
            f'","rule":"{rule}","t_us":' if rule else '","t_us":', str(t_us), ',"what":"', what,
            f'","why":{_quote(why)}}}' if why else '"}',
        ))  # fmt: skip


class TimerRecord(NamedTuple):
    """A deadline of an engine was reached."""

    n: int
    cause: int
    t_us: int
    actor: str
    what: str
    """Which deadline."""
    rule: Rule
    """The rule that sets the deadline."""
    kind: Kind = Kind.TIMER

    def line(self) -> str:
        return (
            f'{{"actor":{_quote(self.actor)},"cause":{self.cause},"kind":"timer","n":{self.n},'
            f'"rule":"{self.rule}","t_us":{self.t_us},"what":"{self.what}"}}'
        )


class FaultRecord(NamedTuple):
    """Something went wrong on purpose: a cut, a crash, a pause, a clock that jumps."""

    n: int
    cause: int
    t_us: int
    actor: str
    what: str
    """Which fault begins or ends."""
    why: str
    """On which links, for how long, with which settings; may be empty."""
    kind: Kind = Kind.FAULT

    def line(self) -> str:
        return (
            f'{{"actor":{_quote(self.actor)},"cause":{self.cause},"kind":"fault","n":{self.n},'
            f'"t_us":{self.t_us},"what":{_quote(self.what)},"why":{_quote(self.why)}}}'
        )


class ShowRecord(NamedTuple):
    """A text or a notice has reached a user's screen."""

    n: int
    cause: int
    t_us: int
    actor: str
    what: str
    """`relay` for a text, else the name of the notice, or of what the client found out by itself."""
    name: str
    """Whom it is from, or about."""
    text: str
    """What was said; empty for a notice."""
    rule: Rule | None
    kind: Kind = Kind.SHOW

    def line(self) -> str:
        n, cause, t_us, actor, what, name, text, rule, _ = self
        return "".join((
            '{"actor":', _quote(actor), ',"cause":', str(cause), ',"kind":"show","n":', str(n), ',"name":',
            _quote(name), f',"rule":"{rule}","t_us":' if rule else ',"t_us":', str(t_us), ',"text":', _quote(text),
            ',"what":"', what, '"}',
        ))  # fmt: skip


Record = StepRecord | RefusalRecord | PacketRecord | TimerRecord | FaultRecord | ShowRecord


class Trace:
    """Numbers records and hands each one to its listeners, in order."""

    __slots__ = ("listeners", "n", "now_us")

    def __init__(self) -> None:
        self.n = 0
        self.now_us = 0
        self.listeners: list[Callable[[Record], None]] = []

    def add(self, record: Record) -> int:
        """Hand `record`, made with `n + 1`, to the listeners. Returns its number."""
        n = self.n = self.n + 1
        assert record[0] == n, "records are numbered in the order in which they are added"
        for listener in self.listeners:
            listener(record)
        return n


class Digest:
    """The SHA-256 of every line after the header. A listener."""

    __slots__ = ("_hash", "_lines")

    LINES_AT_ONCE = 256  # many short lines cost the hash more than one long one

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._lines: list[str] = []

    def __call__(self, record: Record) -> None:
        self._lines.append(record.line())
        if len(self._lines) == self.LINES_AT_ONCE:
            self._flush()

    def hexdigest(self) -> str:
        """The digest of all records so far."""
        if self._lines:
            self._flush()
        return self._hash.hexdigest()

    def _flush(self) -> None:
        self._lines.append("")
        self._hash.update("\n".join(self._lines).encode())
        self._lines.clear()


def token_in_trace(token: bytes) -> str:
    """How a token appears in a trace: the first 8 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(token).hexdigest()[:8]
