"""The steps of machines in two runs, and the first in which they differ."""

from __future__ import annotations

from msgspec.structs import replace

import made_records as made
from tcrp.live.compare import Collector, Difference, MachineName, differences
from tcrp.spec.names import (
    HandshakeEvent,
    HandshakeState,
    Machine,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)
from trace_samples import step


def test_a_difference_names_the_machine_and_its_first_different_step() -> None:
    bob = MachineName("server", "session", "bob@lobby", 1)
    again = MachineName("server", "session", "bob@lobby", 2)
    here = {bob: ["granted: a → t", "left: t → e"], again: ["granted: a → t"]}
    assert differences(here, here) == []
    assert differences(here, {bob: ["granted: a → t", "idled: t → e"]}) == [
        Difference(bob, 2, "left: t → e", "idled: t → e"),
        Difference(again, 1, "granted: a → t", None),
    ]


def test_machines_of_a_later_process_are_counted_separately() -> None:
    collector = Collector({"127.0.0.1:5": "bob"}.get)  # type: ignore[arg-type]
    requested = step(
        Machine.HANDSHAKE, "127.0.0.1:5", HandshakeEvent.REQUESTED, HandshakeState.IDLE, HandshakeState.REQUESTED,
        Rule.TCP_2,
    )  # fmt: skip
    collector.read([requested, made.fault(n=2, t_us=5, what="crash")], 0)
    collector.read([requested], 1)
    assert [str(name) for name in collector.moves] == ["server: handshake bob", "server: handshake bob (2)"]


def test_two_sessions_of_one_name_are_told_apart_and_a_room_that_is_opened_again_goes_on() -> None:
    granted = step(
        Machine.SESSION, "bob@lobby", SessionEvent.GRANTED, SessionState.ANONYMOUS, SessionState.TOKENED, Rule.TOK_1
    )
    created = step(Machine.ROOM, "lobby", RoomEvent.CREATED, RoomState.VACANT, RoomState.OPEN, Rule.ROOM_1)
    simulated, on_sockets = Collector(), Collector()
    for instance in (1, 2):
        simulated.hear(replace(granted, instance=instance))
        simulated.hear(replace(created, instance=instance))
    on_sockets.read([replace(granted, token="a"), created, replace(granted, token="b"), created], 0)
    assert simulated.moves == on_sockets.moves
    assert [str(name) for name in simulated.moves] == [
        "server: session bob@lobby", "server: room lobby", "server: session bob@lobby (2)",
    ]  # fmt: skip


def test_a_run_that_took_more_steps_differs_in_the_first_of_them() -> None:
    room = MachineName("server", "room", "lobby", 1)
    assert differences({room: ["a"]}, {room: ["a", "b"]}) == [Difference(room, 2, None, "b")]
    assert differences({}, {room: ["a"]}) == [Difference(room, 1, None, "a")]
    assert differences({}, {}) == []
