"""What operators count: sums over an engine's outputs, told as a conversation."""

from __future__ import annotations

import pytest

from conversation import Chat
from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Dropped,
    FinishStream,
    Forgotten,
    Refused,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    TimerFired,
    Withheld,
)
from tcrp.spec.names import (
    Counter,
    Deadline,
    HandshakeEvent,
    HandshakeState,
    Machine,
    PacketKind,
    Reason,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.trace.counters import Counters

HERE = Address("10.0.0.1", 1)
EVENTS = {
    Machine.SESSION: (SessionState.TOKENED, SessionState.IN_ROOM),
    Machine.ROOM: (RoomState.OPEN, RoomState.OPEN),
    Machine.HANDSHAKE: (HandshakeState.REQUESTED, HandshakeState.ACCEPTED),
}


def step(machine: Machine, event: str, *, to: str = "", why: str = "", rule: Rule = Rule.TCP_2) -> Stepped:
    from_, there = EVENTS[machine]
    return Stepped(machine, "subject", "id", event, from_, to or there, rule, why)


def counted(*outputs: ServerOutput) -> tuple[dict[Counter, int], dict[Rule, int]]:
    """What these outputs add, where that is not 0."""
    counters = Counters()
    for output in outputs:
        counters.add(output)
    return {counter: count for counter, count in counters.counts.items() if count}, counters.by_rule


@pytest.mark.parametrize(
    ("output", "counts", "by_rule"),
    [
        (Relay(b"x", [HERE, HERE], PacketKind.RELAY), {Counter.RELAYS: 2}, {}),
        (Relay(b"x", [HERE, HERE], PacketKind.NOTICE), {Counter.NOTICES: 2}, {}),
        (SendDatagram(b"x", HERE, PacketKind.NOTICE), {Counter.NOTICES: 1}, {}),
        (SendDatagram(b"", HERE, PacketKind.KEEP_ALIVE_ANSWER), {}, {}),
        (SendFrame(1, b"x", PacketKind.ANSWER), {}, {}),
        (FinishStream(1), {}, {}),
        (CloseStream(1), {Counter.CONNECTIONS: -1}, {}),
        (Forgotten(1), {}, {}),
        (TimerFired(Deadline.IDLE, b"t"), {}, {}),
        (Refused(Machine.ROOM, "r", RoomEvent.JOINED, RoomState.CLOSING, "", None), {}, {}),
        (
            Dropped(PacketKind.DATAGRAM, 1, "no such token", Rule.TOK_2),
            {Counter.REJECTED_DATAGRAMS: 1}, {Rule.TOK_2: 1},
        ),
        (
            Dropped(PacketKind.DATAGRAM, 1, "texts_per_second_max", Rule.LIM_1),
            {Counter.LIMITED: 1}, {Rule.LIM_1: 1},
        ),
        (Withheld(("a", "b"), "too long", Rule.UDP_2), {Counter.WITHHELD_RELAYS: 2}, {Rule.UDP_2: 2}),
        (step(Machine.ROOM, RoomEvent.RELAYED), {Counter.TEXTS: 1}, {}),
        (step(Machine.ROOM, RoomEvent.CREATED), {Counter.ROOMS: 1}, {}),
        (step(Machine.ROOM, RoomEvent.JOINED), {}, {}),
        (step(Machine.ROOM, RoomEvent.HOST_GONE, to=RoomState.CLOSING), {}, {}),
        (step(Machine.ROOM, RoomEvent.DRAINED, to=RoomState.CLOSED), {Counter.ROOMS: -1}, {}),
        (step(Machine.SESSION, SessionEvent.GRANTED), {Counter.SESSIONS: 1}, {}),
        (step(Machine.SESSION, SessionEvent.ENTERED), {}, {}),
        (step(Machine.SESSION, SessionEvent.IDLED, to=SessionState.EXPIRED), {Counter.SESSIONS: -1}, {}),
        (step(Machine.HANDSHAKE, HandshakeEvent.REQUESTED), {Counter.REQUESTS: 1}, {}),
        (step(Machine.HANDSHAKE, HandshakeEvent.ABANDONED), {Counter.ABANDONED_REQUESTS: 1}, {}),
        (step(Machine.HANDSHAKE, HandshakeEvent.ACCEPTED), {}, {}),
        (
            step(Machine.HANDSHAKE, HandshakeEvent.REFUSED, why=Reason.NAME_TAKEN, rule=Rule.NAME_2),
            {Counter.REFUSED_REQUESTS: 1}, {Rule.NAME_2: 1},
        ),
        (
            step(Machine.HANDSHAKE, HandshakeEvent.REFUSED, why="too_many_requests: rooms_max", rule=Rule.LIM_2),
            {Counter.REFUSED_REQUESTS: 1, Counter.LIMITED: 1}, {Rule.LIM_2: 1},
        ),
        (
            step(Machine.HANDSHAKE, HandshakeEvent.REFUSED, why="bad_request: request too long", rule=Rule.LIM_1),
            {Counter.REFUSED_REQUESTS: 1, Counter.LIMITED: 1}, {Rule.LIM_1: 1},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_each_output_counts_for_what_it_is(
    output: ServerOutput, counts: dict[Counter, int], by_rule: dict[Rule, int]
) -> None:
    assert counted(output) == (counts, by_rule)
    assert counted(output, output) == ({k: 2 * v for k, v in counts.items()}, {k: 2 * v for k, v in by_rule.items()})


def test_what_only_a_driver_knows_is_counted_by_it() -> None:
    counters = Counters()
    for _ in range(3):
        counters.stream_opened()
    counters.stream_lost()
    counters.datagrams(1)
    assert (counters.counts[Counter.CONNECTIONS], counters.counts[Counter.DATAGRAMS]) == (2, 1)
    assert set(counters.counts) == set(Counter)


def test_gauges_are_what_the_server_holds() -> None:
    """At every moment of a conversation, whatever ends in it."""
    chat = Chat(members_max=3, linger=2_000_000)

    def holds() -> None:
        state = chat.server.freeze()
        assert chat.count(Counter.ROOMS) == len(state.rooms)
        assert chat.count(Counter.SESSIONS) == len(state.sessions)
        assert chat.count(Counter.CONNECTIONS) == len(state.handshakes)

    alice = chat.user("alice").creates("lobby")
    bob = chat.user("bob", "json").joins("lobby")
    chat.user("carol").joins("lobby")
    assert chat.user("dave").joins("lobby").refused is Reason.ROOM_FULL
    holds()
    half = chat.peer()
    half.sends(b"\x05")
    holds()
    half.breaks()
    bob.says("hello")
    holds()
    assert (chat.count(Counter.TEXTS), chat.count(Counter.RELAYS)) == (1, 2)
    chat.do(chat.server.remove("carol", "lobby", chat.now_us) or [])
    holds()
    alice.leaves()
    for _ in range(6):
        chat.passes(0.5)
        holds()
    assert chat.count(Counter.ROOMS) == 0
    assert (chat.count(Counter.REQUESTS), chat.count(Counter.REFUSED_REQUESTS)) == (4, 1)
    assert chat.counters.by_rule[Rule.LIM_1] == 1
