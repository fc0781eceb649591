"""The handshake machine: one TCP connection, which ends in one token, one list of rooms or one refusal."""

from __future__ import annotations

from statemachine.states import States

from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.names import HandshakeEvent as Event
from tcrp.spec.names import HandshakeState as State
from tcrp.spec.names import Rule


class HandshakeMachine(ProtocolMachine):
    """idle → requested → accepted → completed, or refused, or abandoned.

    The server's machine is `requested` from the first complete header, the client's from the sending
    of its request. With a one-frame dialect `accepted` and `completed` happen in one step.
    """

    states_ = States.from_enum(
        State,
        initial=State.IDLE,
        final=[State.COMPLETED, State.REFUSED, State.ABANDONED],
        use_enum_instance=True,
    )

    requested = states_.IDLE.to(states_.REQUESTED)
    accepted = states_.REQUESTED.to(states_.ACCEPTED)
    completed = states_.ACCEPTED.to(states_.COMPLETED)
    listed = states_.REQUESTED.to(states_.COMPLETED)
    refused = states_.IDLE.to(states_.REFUSED) | states_.REQUESTED.to(states_.REFUSED)
    abandoned = (
        states_.IDLE.to(states_.ABANDONED)
        | states_.REQUESTED.to(states_.ABANDONED)
        | states_.ACCEPTED.to(states_.ABANDONED)
    )


RULES = {
    (State.IDLE, Event.REQUESTED): Rule.TCP_2,
    (State.REQUESTED, Event.ACCEPTED): Rule.TCP_2,
    (State.ACCEPTED, Event.COMPLETED): Rule.TCP_1,
    (State.REQUESTED, Event.LISTED): Rule.TCP_2,
    (State.IDLE, Event.REFUSED): Rule.TCP_2,
    (State.REQUESTED, Event.REFUSED): Rule.TCP_2,
    (State.IDLE, Event.ABANDONED): Rule.TCP_5,
    (State.REQUESTED, Event.ABANDONED): Rule.TCP_5,
    (State.ACCEPTED, Event.ABANDONED): Rule.TCP_5,
}
