"""The strict base of the protocol's machines: what is not written down is refused, never ignored."""

from __future__ import annotations

from statemachine import StateMachine


class ProtocolMachine(StateMachine):
    """A machine without methods, guards, actions or delays: states, events, and where they lead.

    A condition is a different event: the engine that drives the machine names what happened, and the
    machine says where that leads. An event that the present state does not take raises
    `TransitionNotAllowed`.
    """

    allow_event_without_transition = False
    catch_errors_as_events = False
