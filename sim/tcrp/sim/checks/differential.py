"""Gives each input of the server's engine to the reference server too, and compares what both put out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Dropped,
    FinishStream,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    Withheld,
)
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.hosts.server import EngineCall, ServerHost, token_of
from tcrp.sim.reference.server import ReferenceServer
from tcrp.spec.names import HandshakeEvent, Machine, PacketKind, Property, Rule
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION

RULES: dict[str, Rule] = {
    PacketKind.ANSWER: Rule.TCP_2,
    PacketKind.COMPLETION: Rule.TCP_1,
    PacketKind.REFUSAL: Rule.TCP_2,
    PacketKind.LISTING: Rule.TCP_2,
    PacketKind.RELAY: Rule.REL_1,
    PacketKind.NOTICE: Rule.END_1,
    PacketKind.KEEP_ALIVE_ANSWER: Rule.IDLE_1,
}
"""The rule that asks for what is sent."""
TABLES_BY_NAME = {str(table.machine): table for table in (SESSION, ROOM, HANDSHAKE)}


SESSIONS_MAX = 200
"""In a crowd of more than so many sessions the engine is compared no further: the reference looks through all."""


class Differential:
    """Runs a reference server beside the server's engine, unless the property is left out."""

    def __init__(self, results: CheckResults, *, is_left_out: bool = False) -> None:
        self._results = results
        self._reference: ReferenceServer | None = None
        self._call = EngineCall("", ())
        self._tokens = 0
        self._has_begun = False
        self._is_left_out = is_left_out

    @property
    def reference(self) -> ReferenceServer | None:
        """The server beside the engine, if it has been called since it started."""
        return self._reference

    def resume(self, reference: ReferenceServer | None) -> None:
        """Go on beside a server that is in the same state as `reference`."""
        self._reference = reference
        self._has_begun = True

    def forget(self) -> None:
        """The server has lost all that it knew."""
        self._reference = None
        self._has_begun = False

    def before_call(self, host: ServerHost, call: EngineCall) -> None:
        """What the engine is about to be given."""
        self._call = call
        if not self._has_begun and not self._is_left_out:
            self._has_begun = True
            listeners = [[each.dialect for each in listener.dialects] for listener in host.listeners]
            self._reference = ReferenceServer(host.limits, listeners, lambda: self._next_token(host.seed))

    def after_call(self, host: ServerHost, outputs: Sequence[ServerOutput]) -> None:
        """Give it to the reference server as well, and compare."""
        reference = self._reference
        if reference is None:
            return
        expected = getattr(reference, self._call.method)(*self._call.arguments) or []
        found = difference(outputs, expected) or self._late(host, reference)
        judge = self._results.judge
        if found is None:
            judge(Property.MATCHES_REFERENCE, True, "")
        else:
            judge(Property.MATCHES_REFERENCE, False, "{}: {}", self._input(), found)
        if self._tokens > SESSIONS_MAX and len(reference.rooms.sessions()) > SESSIONS_MAX:
            self._reference = None

    def _next_token(self, seed: int) -> bytes:
        self._tokens += 1
        return token_of(seed, self._tokens)

    @staticmethod
    def _late(host: ServerHost, reference: ReferenceServer) -> str | None:
        """The engine may be woken for nothing, but never too late."""
        due_us, engine = reference.next_deadline_us(), host.engine
        if due_us is None or engine is None:
            return None
        woken_us = engine.next_deadline_us()
        if woken_us is not None and woken_us <= due_us:
            return None
        return f"something is due at {due_us} us, but the engine asks to be woken at {woken_us}"

    def _input(self) -> str:
        arguments = ", ".join(_words_of(each) for each in self._call.arguments)
        return f"{self._call.method}({arguments})"


class _Item(NamedTuple):
    """One thing that a server has put out: to whom or of whose machine, and what."""

    of: str
    kind: str
    what: Any
    more: Any = None


def difference(outputs: Sequence[ServerOutput], expected: Sequence[ServerOutput]) -> str | None:
    """The first difference between what the engine and the reference have put out, in words."""
    if _are_the_same(outputs, expected):
        return None
    for ours, theirs in zip(_items(outputs), _items(expected), strict=True):
        if ours != theirs:
            pairs = zip(ours, theirs, strict=False)
            at = next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs)))
            rule = _rule((theirs[at:] or ours[at:])[0])
            return f"{rule}: the reference gives {_words(theirs[at:])}, the engine {_words(ours[at:])}"
    return None


def _are_the_same(outputs: Sequence[ServerOutput], expected: Sequence[ServerOutput]) -> bool:
    """Whether they are so in every word. What is only sent may be sent to its receivers in any order."""
    if not outputs and not expected:
        return True
    ours, theirs = _compared(outputs), _compared(expected)
    if len(ours) != len(theirs) or any(type(one) is not type(other) for one, other in zip(ours, theirs, strict=True)):
        return False
    if ours != theirs and all(type(each) is SendDatagram for each in ours):
        ours.sort(key=_receiver)
        theirs.sort(key=_receiver)
    return ours == theirs


def _compared(outputs: Sequence[ServerOutput]) -> list[ServerOutput]:
    """Each datagram of a fan-out by itself, and no steps that leave a machine where it is: the reference tells none."""
    compared: list[ServerOutput] = []
    for each in outputs:
        if isinstance(each, Relay):
            data, targets, what, listener = each
            compared += [SendDatagram(data, address, what, listener) for address in targets]
        elif not (isinstance(each, Stepped) and each.from_ is each.to):
            compared.append(each)
    return compared


_receiver = itemgetter(SendDatagram._fields.index("address"), SendDatagram._fields.index("listener"))


def _items(outputs: Sequence[ServerOutput]) -> tuple[list[_Item], list[_Item]]:
    """What is sent, in the order of each receiver; and what is observed, in the order of each machine."""
    sent: list[_Item] = []
    observed: list[_Item] = []
    for output in outputs:
        match output:
            case SendFrame(stream, data, what):
                sent.append(_Item(str(stream), what, data))
            case FinishStream(stream):
                sent.append(_Item(str(stream), "half-close", b""))
            case CloseStream(stream):
                sent.append(_Item(str(stream), "close", b""))
            case SendDatagram(data, address, what, listener):
                sent.append(_Item(_reached(address, listener), what, data))
            case Relay(data, targets, what, listener):
                sent += [_Item(_reached(address, listener), what, data) for address in targets]
            case Dropped(_, size, _, rule):
                observed.append(_Item(f"{size} bytes", "drop", rule))
            case Withheld(names, _, rule):
                observed += [_Item(name, "withheld relay", rule) for name in names]
            case Stepped() if output.from_ is not output.to:
                observed.append(_step(output))
    sent.sort(key=lambda item: item.of)
    observed.sort(key=lambda item: item.of)
    return sent, observed


def _reached(address: Address | None, listener: int) -> str:
    return f"{_words_of(address)} by listener {listener}" if listener else _words_of(address)


def _step(step: Stepped) -> _Item:
    refused = step.machine is Machine.HANDSHAKE and step.event == HandshakeEvent.REFUSED
    why = (step.why.partition(":")[0], step.rule) if refused else None
    return _Item(f"{step.machine} {_words_of(step.subject)}", step.event, step.to, why)


def _rule(item: _Item) -> Rule:
    """The rule that asks for it."""
    if isinstance(item.what, Rule):
        return item.what
    if isinstance(item.more, tuple):
        return Rule(item.more[1])
    if isinstance(item.what, bytes):
        return RULES.get(item.kind, Rule.TCP_3)
    table = TABLES_BY_NAME[item.of.partition(" ")[0]]
    return next(row.rule for (_, event), row in table.rows.items() if event == item.kind)


def _words(items: Sequence[_Item]) -> str:
    return "; ".join(_words_of_item(item) for item in items) or "nothing more"


def _words_of_item(item: _Item) -> str:
    if isinstance(item.what, Rule):
        return f"{item.kind} of {item.of} by {item.what}"
    if isinstance(item.what, bytes):
        return f"{item.kind} {_words_of(item.what) if item.what else ''} to {item.of}".replace("  ", " ")
    why = f" for {item.more[0]} by {item.more[1]}" if isinstance(item.more, tuple) else ""
    return f"{item.of} {item.kind} to {item.what}{why}"


def _words_of(value: object) -> str:
    if isinstance(value, bytes):
        try:
            words = repr(value.decode())
        except UnicodeDecodeError:
            words = repr(value)
        return re.sub(r"(\\x00){4,}", lambda zeros: f"({len(zeros[0]) // 4} zeros)", words)
    return f"{value.ip} port {value.port}" if isinstance(value, Address) else str(value)
