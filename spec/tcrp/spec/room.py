"""The room machine: from the creation of a room to the end of its linger."""

from __future__ import annotations

from statemachine.states import States

from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.names import RoomEvent as Event
from tcrp.spec.names import RoomState as State
from tcrp.spec.names import Rule


class RoomMachine(ProtocolMachine):
    """vacant → open → closing → closed.

    `closing` lasts for the linger time: the name stays taken and ended tokens are remembered. The end
    of the host is `host_gone`, the end of any other member is `left`.
    """

    states_ = States.from_enum(State, initial=State.VACANT, final=State.CLOSED, use_enum_instance=True)

    created = states_.VACANT.to(states_.OPEN)
    joined = states_.OPEN.to.itself(internal=True)
    relayed = states_.OPEN.to.itself(internal=True)
    left = states_.OPEN.to.itself(internal=True) | states_.CLOSING.to.itself(internal=True)
    host_gone = states_.OPEN.to(states_.CLOSING)
    shutdown = states_.OPEN.to(states_.CLOSING)
    drained = states_.CLOSING.to(states_.CLOSED)


RULES = {
    (State.VACANT, Event.CREATED): Rule.ROOM_1,
    (State.OPEN, Event.JOINED): Rule.TCP_4,
    (State.OPEN, Event.RELAYED): Rule.REL_1,
    (State.OPEN, Event.LEFT): Rule.EXIT_1,
    (State.OPEN, Event.HOST_GONE): Rule.ROOM_2,
    (State.OPEN, Event.SHUTDOWN): Rule.END_1,
    (State.CLOSING, Event.LEFT): Rule.ROOM_2,
    (State.CLOSING, Event.DRAINED): Rule.ROOM_3,
}
