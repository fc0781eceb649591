"""The trace: one record for everything that happens, one JSON object a line (`tcrp-trace/1`).

Knows the format, who writes and in which order; not what the records mean. The same writer serves
simulated time and real sockets. Lines are put together by hand because a run writes millions of
them (and those of the commonest kinds by `join`, which takes enums as the strings that they are, and a
third less time than formatting): keys are sorted as they are written here, and tests read every kind
back (`tcrp.trace.reader`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from enum import StrEnum
from json.encoder import encode_basestring as _quote  # what json.dumps(ensure_ascii=False) does to a string
from typing import NamedTuple

from tcrp.spec.names import DEADLINE_RULES, Deadline, Machine, Rule

SCHEMA = "tcrp-trace/1"


class Kind(StrEnum):
    STEP = "step"
    REFUSE = "refuse"
    SEND = "send"
    ARRIVE = "arrive"
    DROP = "drop"
    TIMER = "timer"
    FAULT = "fault"
    SHOW = "show"


class Cause:
    """What brought something about: the number of the latest record of a chain of events.

    Drivers may keep more in a subclass; engines hand it on and look no further. `packet` and `link_name`
    name the packet that began the chain, where one did.
    """

    __slots__ = ("record",)

    packet = ""
    link_name = ""

    def __init__(self, record: int = 0) -> None:
        self.record = record


class StepRecord(NamedTuple):
    """A machine moved."""

    n: int
    cause: int
    t_us: int
    actor: str
    machine: Machine
    id: str
    event: str
    from_: str
    to: str
    rule: Rule
    why: str
    token: str
    key: Hashable  # tells apart machines of one id, such as a user's connections; not written
    kind: Kind = Kind.STEP

    def line(self) -> str:
        n, cause, t_us, actor, machine, id, event, from_, to, rule, why, token, _, _ = self
        return "".join((
            '{"actor":', _quote(actor), ',"cause":', str(cause), ',"event":"', event, '","from":"', from_,
            '","id":', _quote(id), ',"kind":"step","machine":"', machine, '","n":', str(n), ',"rule":"', rule,
            '","t_us":', str(t_us), ',"to":"', to, f'","token":"{token}"' if token else '"',
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
    from_: str
    rule: Rule | None
    why: str
    kind: Kind = Kind.REFUSE

    def line(self) -> str:
        rule = f',"rule":"{self.rule}"' if self.rule else ""
        return (
            f'{{"actor":{_quote(self.actor)},"cause":{self.cause},"event":"{self.event}","from":"{self.from_}",'
            f'"id":{_quote(self.id)},"kind":"refuse","machine":"{self.machine}","n":{self.n}{rule},'
            f'"t_us":{self.t_us},"why":{_quote(self.why)}}}'
        )


class PacketRecord(NamedTuple):
    """A packet was sent, arrived, or was dropped. `link` is `from>to`; bytes are of its payload."""

    n: int
    cause: int
    t_us: int
    actor: str
    kind: Kind
    proto: str
    link: str
    packet: str
    bytes: int
    what: str
    why: str
    rule: Rule | None

    def line(self) -> str:
        n, cause, t_us, actor, kind, proto, link, packet, size, what, why, rule = self
        return "".join((
            '{"actor":', _quote(actor), ',"bytes":', str(size), ',"cause":', str(cause), ',"kind":"', kind,
            '","link":', _quote(link), ',"n":', str(n), ',"packet":', _quote(packet), ',"proto":"', proto,
            f'","rule":"{rule}","t_us":' if rule else '","t_us":', str(t_us), ',"what":"', what,
            f'","why":{_quote(why)}}}' if why else '"}',
        ))  # fmt: skip


class TimerRecord(NamedTuple):
    """A deadline of an engine was reached, by the rule that set it."""

    n: int
    cause: int
    t_us: int
    actor: str
    what: str
    rule: Rule
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
    why: str
    kind: Kind = Kind.FAULT

    def line(self) -> str:
        return (
            f'{{"actor":{_quote(self.actor)},"cause":{self.cause},"kind":"fault","n":{self.n},'
            f'"t_us":{self.t_us},"what":{_quote(self.what)},"why":{_quote(self.why)}}}'
        )


class ShowRecord(NamedTuple):
    """A text or a notice reached a user's screen. `what` is `relay` or the notice's name."""

    n: int
    cause: int
    t_us: int
    actor: str
    what: str
    name: str
    text: str
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


class Recorder:
    """Writes what one actor's machines do. Engines call it; whoever drives them gives it to them.

    `key` tells this actor's machines apart from earlier ones of the same id. With `names_tokens`
    false records say nothing of tokens, which then need not be hashed and remembered.
    """

    __slots__ = ("actor", "key", "names_tokens", "trace")

    def __init__(self, trace: Trace, actor: str, key: Hashable = None, *, names_tokens: bool = True) -> None:
        self.trace = trace
        self.actor = actor
        self.key = key
        self.names_tokens = names_tokens

    def step(
        self, machine: Machine, id: str, event: str, from_: str, to: str, rule: Rule, cause: Cause,
        *, why: str = "", token: str = "", key: Hashable = None, aside: bool = False,
    ) -> None:  # fmt: skip
        """A machine moved. What follows from it has it as its cause, unless it happened `aside`."""
        trace = self.trace
        n = trace.add(
            StepRecord(
                trace.n + 1, cause.record, trace.now_us, self.actor, machine, id, event, from_, to, rule, why, token,
                self.key if key is None else key,
            )
        )  # fmt: skip
        if not aside:
            cause.record = n

    def refuse(
        self, machine: Machine, id: str, event: str, from_: str, cause: Cause, *, why: str, rule: Rule | None = None
    ) -> None:
        """A machine was offered what it does not take."""
        trace = self.trace
        trace.add(
            RefusalRecord(trace.n + 1, cause.record, trace.now_us, self.actor, machine, id, event, from_, rule, why)
        )

    def timer(self, what: Deadline, cause: Cause) -> None:
        """A deadline was reached; what follows has it as its cause."""
        trace = self.trace
        cause.record = trace.add(
            TimerRecord(trace.n + 1, cause.record, trace.now_us, self.actor, what, DEADLINE_RULES[what])
        )

    def shown(self, what: str, name: str, text: str, rule: Rule | None, cause: Cause) -> None:
        """A text or a notice has reached this actor's screen."""
        trace = self.trace
        trace.add(ShowRecord(trace.n + 1, cause.record, trace.now_us, self.actor, what, name, text, rule))

    def drop(self, what: str, size: int, why: str, rule: Rule, cause: Cause, to: str = "") -> None:
        """The datagram of `cause` was not taken, or one was not sent to the member `to`."""
        trace = self.trace
        link, packet = (f"{self.actor}>{to}", "") if to else (cause.link_name, cause.packet)
        trace.add(
            PacketRecord(
                trace.n + 1, cause.record, trace.now_us, self.actor, Kind.DROP, "udp", link, packet, size, what, why,
                rule,
            )
        )  # fmt: skip


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
