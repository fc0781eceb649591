"""The strict base class of the protocol's machines: an event without a transition is refused, never ignored."""

from __future__ import annotations

from statemachine import StateMachine


class ProtocolMachine(StateMachine):
    """A machine of states and transitions only: no methods, guards, actions or delays.

    A condition is a different event: the caller names what happened, and the machine has one target
    state for it. An event that has no transition from the current state raises
    `TransitionNotAllowed`.
    """

    allow_event_without_transition = False
    catch_errors_as_events = False
