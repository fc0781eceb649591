"""Reads each machine once into a frozen table, which is what the engines run.

The protocol is written as machines; the tables exist because a lookup takes well under a microsecond.
Tests compare machine and table over every cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from tcrp.spec import handshake, room, session
from tcrp.spec.machine import ProtocolMachine
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

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class SpecError(Exception):
    """The machines, the names and the rules contradict each other: the specification is wrong."""


class IllegalEvent(Exception):
    """A machine was to take an event for which its table has no row: a fault of its driver.

    Carries the machine, its state and the event.
    """

    def __init__(self, machine: Machine, state: StrEnum, event: StrEnum | str) -> None:
        super().__init__(f"{machine}: {event} is not possible in the state {state}")
        self.machine = machine
        self.state = state
        self.event = event


@dataclass(frozen=True, slots=True)
class Row(Generic[S]):
    """The target state of one event in one state, and the rule that demands it."""

    to: S
    rule: Rule


@dataclass(frozen=True, slots=True)
class Table(Generic[S, E]):
    """A machine as data. A (state, event) pair without a row is refused."""

    machine: Any  # its name; compiled code would look whether it is a `Machine`, which those of clusters are not
    states: type[S]
    events: type[E]
    initial: S
    final: frozenset[S]
    rows: Mapping[tuple[S, E], Row[S]]

    def takes(self, state: S, event: E) -> bool:
        """Whether the machine takes `event` in `state`."""
        return (state, event) in self.rows

    def refused(self) -> Iterator[tuple[S, E]]:
        """The (state, event) pairs without a row, in the order of the names."""
        return ((state, event) for state in self.states for event in self.events if (state, event) not in self.rows)


def read(
    machine: Machine,
    written: type[ProtocolMachine],
    states: type[S],
    events: type[E],
    rules: Mapping[tuple[S, E], Rule],
) -> Table[S, E]:
    """Read the class `written` into a table. Raises `SpecError` where class, names and rules disagree."""
    rows: dict[tuple[S, E], Row[S]] = {}
    for state in written.states:
        # list(): the library's list of transitions has a truth value of its own.
        for transition in list(state.transitions):
            # .events, not .event: a transition shared by several events joins their names.
            for event in transition.events:
                pair = (states(state.value), events(event.id))
                if pair in rows:
                    raise SpecError(f"{machine}: {pair[1]} leads to two states from {pair[0]}")
                if pair not in rules:
                    raise SpecError(f"{machine}: no rule is given for {pair[1]} in {pair[0]}")
                rows[pair] = Row(to=states(transition.target.value), rule=rules[pair])
    if unused := rules.keys() - rows.keys():
        raise SpecError(f"{machine}: rules for transitions that do not exist: {sorted(unused)}")
    if unwritten := {event.value for event in events} - {event for _, event in rows}:
        raise SpecError(f"{machine}: events that no transition takes: {sorted(unwritten)}")
    return Table(
        machine=machine,
        states=states,
        events=events,
        initial=states(written.initial_state.value),
        final=frozenset(states(state.value) for state in written.final_states),
        rows=MappingProxyType(rows),
    )


SESSION: Table[SessionState, SessionEvent] = read(
    Machine.SESSION, session.SessionMachine, SessionState, SessionEvent, session.RULES
)
ROOM: Table[RoomState, RoomEvent] = read(Machine.ROOM, room.RoomMachine, RoomState, RoomEvent, room.RULES)
HANDSHAKE: Table[HandshakeState, HandshakeEvent] = read(
    Machine.HANDSHAKE, handshake.HandshakeMachine, HandshakeState, HandshakeEvent, handshake.RULES
)


@dataclass(frozen=True, slots=True)
class Tables:
    """The three tables that an engine runs. Tests pass changed ones."""

    session: Table[SessionState, SessionEvent]
    room: Table[RoomState, RoomEvent]
    handshake: Table[HandshakeState, HandshakeEvent]


TABLES = Tables(SESSION, ROOM, HANDSHAKE)
