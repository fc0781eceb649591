"""The tables, compared with the machines that they were read from and with the agreed protocol."""

from __future__ import annotations

from typing import Any

import pytest
from statemachine.exceptions import TransitionNotAllowed
from statemachine.states import States

from tcrp.spec.handshake import HandshakeMachine
from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.names import Machine, RoomEvent, RoomState, Rule
from tcrp.spec.room import RoomMachine
from tcrp.spec.session import SessionMachine
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION, IllegalEvent, SpecError, Table, read

# Written out by hand: state --events--> state. A row that changes in a machine must change here too.
AGREED = {
    Machine.SESSION: """
        anonymous granted tokened
        tokened   entered in-room
        tokened   left,idled,removed,superseded,room_closed expired
        in-room   left,idled,removed,superseded,room_closed expired
        in-room   spoke,relayed in-room
    """,
    Machine.ROOM: """
        vacant  created open
        open    host_gone,shutdown closing
        closing drained closed
        open    joined,relayed,left open
        closing left closing
    """,
    Machine.HANDSHAKE: """
        idle      requested requested
        requested accepted  accepted
        accepted  completed completed
        requested listed    completed
        idle      refused   refused
        requested refused   refused
        idle      abandoned abandoned
        requested abandoned abandoned
        accepted  abandoned abandoned
    """,
}
WRITTEN: list[tuple[Table[Any, Any], type[ProtocolMachine]]] = [
    (SESSION, SessionMachine),
    (ROOM, RoomMachine),
    (HANDSHAKE, HandshakeMachine),
]
CELLS = [
    pytest.param(table, machine, state, event, id=f"{table.machine}-{state}-{event}")
    for table, machine in WRITTEN
    for state in table.states
    for event in table.events
]


@pytest.mark.parametrize("table", [SESSION, ROOM, HANDSHAKE], ids=lambda table: str(table.machine))
def test_a_table_is_what_was_agreed(table: Table[Any, Any]) -> None:
    agreed = {}
    for line in AGREED[table.machine].strip().splitlines():
        state, events, to = line.split()
        agreed.update({(state, event): to for event in events.split(",")})
    assert {(str(state), str(event)): str(row.to) for (state, event), row in table.rows.items()} == agreed


@pytest.mark.parametrize(("table", "machine", "state", "event"), CELLS)
def test_machine_and_table_agree_in_every_cell(
    table: Table[Any, Any], machine: type[ProtocolMachine], state: Any, event: Any
) -> None:
    running = machine(start_value=state)
    row = table.rows.get((state, event))
    if row is None:
        with pytest.raises(TransitionNotAllowed):
            running.send(event)
        assert running.current_state_value is state
    else:
        running.send(event)
        assert running.current_state_value is row.to


@pytest.mark.parametrize(("table", "machine"), WRITTEN, ids=lambda each: getattr(each, "machine", ""))
def test_initial_and_final_states_are_the_machines(table: Table[Any, Any], machine: type[ProtocolMachine]) -> None:
    assert machine().current_state_value is table.initial
    assert {state.value for state in machine.states if state.final} == table.final
    assert not any(state in table.final for state, _ in table.rows)


def test_rows_and_refused_pairs_are_all_pairs() -> None:
    for table, _ in WRITTEN:
        refused = set(table.refused())
        assert refused.isdisjoint(table.rows)
        assert len(refused) + len(table.rows) == sum(1 for _ in table.states) * sum(1 for _ in table.events)


class Door(ProtocolMachine):
    """A machine for these tests only."""

    states_ = States.from_enum(RoomState, initial=RoomState.VACANT, final=RoomState.CLOSED, use_enum_instance=True)
    created = states_.VACANT.to(states_.OPEN)
    shutdown = states_.OPEN.to(states_.CLOSING)
    drained = states_.CLOSING.to(states_.CLOSED)


DOOR_RULES = {
    (RoomState.VACANT, RoomEvent.CREATED): Rule.ROOM_1,
    (RoomState.OPEN, RoomEvent.SHUTDOWN): Rule.END_1,
    (RoomState.CLOSING, RoomEvent.DRAINED): Rule.ROOM_3,
}


def test_a_transition_without_a_rule_is_a_spec_error() -> None:
    rules = {pair: rule for pair, rule in DOOR_RULES.items() if rule is not Rule.END_1}
    with pytest.raises(SpecError, match="no rule is given for shutdown in open"):
        read(Machine.ROOM, Door, RoomState, RoomEvent, rules)


def test_a_rule_without_a_transition_is_a_spec_error() -> None:
    rules = DOOR_RULES | {(RoomState.OPEN, RoomEvent.JOINED): Rule.TCP_4}
    with pytest.raises(SpecError, match="transitions that do not exist"):
        read(Machine.ROOM, Door, RoomState, RoomEvent, rules)


def test_an_event_without_a_transition_is_a_spec_error() -> None:
    with pytest.raises(
        SpecError, match=r"events that no transition takes: \['host_gone', 'joined', 'left', 'relayed'\]"
    ):
        read(Machine.ROOM, Door, RoomState, RoomEvent, DOOR_RULES)


class Fork(ProtocolMachine):
    """A machine that only these tests know: one event leads to two states."""

    states_ = States.from_enum(RoomState, initial=RoomState.VACANT, final=RoomState.CLOSED, use_enum_instance=True)
    created = states_.VACANT.to(states_.OPEN)
    shutdown = states_.OPEN.to(states_.CLOSING) | states_.OPEN.to(states_.CLOSED)
    drained = states_.CLOSING.to(states_.CLOSED)


def test_an_event_that_leads_to_two_states_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match=r"^room: shutdown leads to two states from open$"):
        read(Machine.ROOM, Fork, RoomState, RoomEvent, DOOR_RULES)


@pytest.mark.parametrize("table", [SESSION, ROOM, HANDSHAKE], ids=lambda table: str(table.machine))
def test_a_table_takes_exactly_the_pairs_that_have_a_row(table: Table[Any, Any]) -> None:
    taken = {(state, event) for state in table.states for event in table.events if table.takes(state, event)}
    assert taken == set(table.rows)
    assert taken.isdisjoint(table.refused())


def test_an_illegal_event_says_and_carries_where_it_was_taken() -> None:
    error = IllegalEvent(Machine.ROOM, RoomState.CLOSED, RoomEvent.JOINED)
    assert str(error) == "room: joined is not possible in the state closed"
    assert (error.machine, error.state, error.event) == (Machine.ROOM, RoomState.CLOSED, RoomEvent.JOINED)
