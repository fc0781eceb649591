"""The session machine: one user's life in one room, from request to expiry."""

from __future__ import annotations

from statemachine.states import States

from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.names import Rule
from tcrp.spec.names import SessionEvent as Event
from tcrp.spec.names import SessionState as State


class SessionMachine(ProtocolMachine):
    """anonymous → tokened → in-room → expired.

    The server runs one for each session; the client runs its own, as far as it can see.
    """

    states_ = States.from_enum(State, initial=State.ANONYMOUS, final=State.EXPIRED, use_enum_instance=True)

    granted = states_.ANONYMOUS.to(states_.TOKENED)
    entered = states_.TOKENED.to(states_.IN_ROOM)
    spoke = states_.IN_ROOM.to.itself(internal=True)
    relayed = states_.IN_ROOM.to.itself(internal=True)
    left = states_.TOKENED.to(states_.EXPIRED) | states_.IN_ROOM.to(states_.EXPIRED)
    idled = states_.TOKENED.to(states_.EXPIRED) | states_.IN_ROOM.to(states_.EXPIRED)
    removed = states_.TOKENED.to(states_.EXPIRED) | states_.IN_ROOM.to(states_.EXPIRED)
    superseded = states_.TOKENED.to(states_.EXPIRED) | states_.IN_ROOM.to(states_.EXPIRED)
    room_closed = states_.TOKENED.to(states_.EXPIRED) | states_.IN_ROOM.to(states_.EXPIRED)


RULES = {
    (State.ANONYMOUS, Event.GRANTED): Rule.TOK_1,
    (State.TOKENED, Event.ENTERED): Rule.TOK_2,
    (State.IN_ROOM, Event.SPOKE): Rule.IDLE_1,
    (State.IN_ROOM, Event.RELAYED): Rule.REL_1,
    (State.TOKENED, Event.LEFT): Rule.EXIT_1,
    (State.IN_ROOM, Event.LEFT): Rule.EXIT_1,
    (State.TOKENED, Event.IDLED): Rule.TOK_5,
    (State.IN_ROOM, Event.IDLED): Rule.IDLE_1,
    (State.TOKENED, Event.REMOVED): Rule.IDLE_2,
    (State.IN_ROOM, Event.REMOVED): Rule.IDLE_2,
    (State.TOKENED, Event.SUPERSEDED): Rule.NAME_2,
    (State.IN_ROOM, Event.SUPERSEDED): Rule.NAME_2,
    (State.TOKENED, Event.ROOM_CLOSED): Rule.ROOM_2,
    (State.IN_ROOM, Event.ROOM_CLOSED): Rule.ROOM_2,
}
