"""What a server's operators count: sums over what its engine puts out, kept by its driver."""

from __future__ import annotations

from collections.abc import Iterable

from tcrp.engine.outputs import CloseStream, Dropped, Relay, SendDatagram, ServerOutput, Stepped, Withheld
from tcrp.spec.names import (
    Counter,
    HandshakeEvent,
    Machine,
    PacketKind,
    Reason,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)

LIMITING = (Reason.TOO_MANY_REQUESTS, Reason.ROOM_FULL)
"""Refusals for these reasons are those of a limit."""


class Counters:
    """The counts of one server, and what was refused, dropped or withheld by the rule that asks for it."""

    __slots__ = ("by_rule", "counts")

    def __init__(self) -> None:
        self.counts: dict[Counter, int] = dict.fromkeys(Counter, 0)
        self.by_rule: dict[Rule, int] = {}

    def add(self, output: ServerOutput) -> None:
        """Count one output."""
        kind = type(output)  # not isinstance: this is asked of millions
        counts = self.counts
        if kind is Relay:
            assert isinstance(output, Relay), "for the type checker"
            counts[Counter.RELAYS if output.what is PacketKind.RELAY else Counter.NOTICES] += len(output.targets)
        elif kind is Stepped:
            self._count_step(output)  # type: ignore[arg-type]
        elif kind is SendDatagram:
            assert isinstance(output, SendDatagram), "for the type checker"
            counts[Counter.NOTICES] += output.what is PacketKind.NOTICE
        elif kind is Dropped:
            assert isinstance(output, Dropped), "for the type checker"
            counts[Counter.LIMITED if output.rule is Rule.LIM_1 else Counter.REJECTED_DATAGRAMS] += 1
            self._count_rule(output.rule, 1)
        elif kind is Withheld:
            assert isinstance(output, Withheld), "for the type checker"
            counts[Counter.WITHHELD_RELAYS] += len(output.names)
            self._count_rule(output.rule, len(output.names))
        elif kind is CloseStream:
            counts[Counter.CONNECTIONS] -= 1

    def stream_opened(self) -> None:
        """A peer has connected."""
        self.counts[Counter.CONNECTIONS] += 1

    def stream_lost(self) -> None:
        """A connection is gone that the engine has not closed."""
        self.counts[Counter.CONNECTIONS] -= 1

    def datagrams(self, count: int) -> None:
        """So many datagrams have arrived."""
        self.counts[Counter.DATAGRAMS] += count

    def _count_step(self, step: Stepped) -> None:
        counts, machine, event = self.counts, step.machine, step.event
        if machine is Machine.ROOM:
            counts[Counter.TEXTS] += event is RoomEvent.RELAYED
            counts[Counter.ROOMS] += (event is RoomEvent.CREATED) - (step.to is RoomState.CLOSED)
        elif machine is Machine.SESSION:
            if step.from_ is not step.to:
                counts[Counter.SESSIONS] += (event is SessionEvent.GRANTED) - (step.to is SessionState.EXPIRED)
        elif event is HandshakeEvent.REQUESTED:
            counts[Counter.REQUESTS] += 1
        elif event is HandshakeEvent.ABANDONED:
            counts[Counter.ABANDONED_REQUESTS] += 1
        elif event is HandshakeEvent.REFUSED:
            counts[Counter.REFUSED_REQUESTS] += 1
            reason = step.why.partition(":")[0]
            counts[Counter.LIMITED] += reason in LIMITING or step.rule is Rule.LIM_1
            self._count_rule(step.rule, 1)

    def _count_rule(self, rule: Rule, amount: int) -> None:
        self.by_rule[rule] = self.by_rule.get(rule, 0) + amount


def summed(counters: Iterable[Counters]) -> Counters:
    """What was counted in several places, together."""
    total = Counters()
    for each in counters:
        for counter, count in each.counts.items():
            total.counts[counter] += count
        for rule, count in dict(each.by_rule).items():  # it may grow meanwhile
            total.by_rule[rule] = total.by_rule.get(rule, 0) + count
    return total
