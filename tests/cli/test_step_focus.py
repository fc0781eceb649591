"""Whose machines are shown for each record, also in traces of servers, which know no ids of users."""

from __future__ import annotations

import made_records as made
from tcrp.cli.step_focus import Focus
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
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.records import Record, StepRecord
from tcrp.view.index import TraceIndex
from trace_samples import numbered

CAST = {"bob": CastMember("Bobby", "text"), "cat": CastMember("cat", "text")}


def step(machine: Machine, id: str, actor: str = "server") -> StepRecord:
    events = {
        Machine.SESSION: (SessionEvent.SPOKE, SessionState.IN_ROOM),
        Machine.ROOM: (RoomEvent.RELAYED, RoomState.OPEN),
        Machine.HANDSHAKE: (HandshakeEvent.REQUESTED, HandshakeState.REQUESTED),
    }
    event, state = events[machine]
    return made.step(
        actor=actor, event=event, from_=state, id=id, machine=machine, n=0, rule=Rule.REL_1, t_us=5, to=state
    )


def focuses(*records: Record, cast: dict[str, CastMember] = CAST) -> list[tuple[str, str]]:
    """The user and room for each of these records, looked at one after another."""
    trace = numbered(list(records))
    lines = [Header(Mode.SIMULATED, cast=cast).line(), *(each.line() for each in trace), ""]
    index = TraceIndex("\n".join(lines).encode(), "x")
    focus = Focus()
    return [focus.of(index, each, "", "") for each in trace]


def test_a_record_is_about_the_user_of_its_machine_or_packet() -> None:
    assert focuses(
        step(Machine.HANDSHAKE, "cat", actor="cat"),
        step(Machine.SESSION, "Bobby@lobby"),
        made.packet(bytes=1, link="server>cat", n=0, packet="p", t_us=5, what="relay"),
    ) == [("cat", ""), ("bob", "lobby"), ("cat", "")]


def test_what_is_about_nobody_leaves_the_focus_where_it_was() -> None:
    assert (
        focuses(
            step(Machine.SESSION, "Bobby@lobby"),
            made.fault(actor="network", n=0, t_us=5, what="cut", why="all>server"),
            made.timer(n=0, rule=Rule.ROOM_3, t_us=5, what="linger"),
            step(Machine.ROOM, "lobby"),
        )
        == [("bob", "lobby")] * 4
    )


def test_a_room_is_shown_with_who_acted_there_last() -> None:
    assert focuses(
        step(Machine.SESSION, "Bobby@lobby"),
        step(Machine.SESSION, "cat@attic"),
        step(Machine.ROOM, "lobby"),
    )[2] == ("bob", "lobby")


def test_a_servers_trace_knows_names_only() -> None:
    found = focuses(
        step(Machine.HANDSHAKE, "127.0.0.1:5000"),
        step(Machine.SESSION, "ann@lobby"),
        step(Machine.HANDSHAKE, "127.0.0.1:5001"),
        step(Machine.ROOM, "lobby"),
        cast={},
    )
    assert found == [("127.0.0.1:5000", ""), ("ann", "lobby"), ("127.0.0.1:5001", ""), ("ann", "lobby")]


def test_a_user_who_comes_back_into_focus_has_the_room_of_the_latest_session() -> None:
    packet = made.packet(actor="bob", bytes=1, link="bob>server", n=0, packet="p", t_us=5, what="say")
    assert focuses(
        step(Machine.SESSION, "Bobby@lobby"),
        step(Machine.SESSION, "Bobby@attic"),
        step(Machine.HANDSHAKE, "cat"),
        packet,
    )[3] == ("bob", "attic")
