"""The machines as they are written, run beside the tables that the engines run.

A machine remembers nothing but its state, so a transition that leaves the state as it was cannot
answer otherwise the second time: each such event is offered to each machine once.
"""

from __future__ import annotations

from collections.abc import Hashable

from statemachine.exceptions import TransitionNotAllowed

from tcrp.engine.trace import Record, Step
from tcrp.spec.handshake import HandshakeMachine
from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.names import Machine
from tcrp.spec.room import RoomMachine
from tcrp.spec.session import SessionMachine

WRITTEN: dict[Machine, type[ProtocolMachine]] = {
    Machine.SESSION: SessionMachine,
    Machine.ROOM: RoomMachine,
    Machine.HANDSHAKE: HandshakeMachine,
}


class Shadows:
    """A listener of the trace. `disagreement` is the first step that a machine would not have taken."""

    def __init__(self) -> None:
        self.disagreement: str | None = None
        self.steps = 0
        self._machines: dict[tuple[str, Machine, str, Hashable], tuple[ProtocolMachine, set[str]]] = {}

    def __call__(self, record: Record) -> None:
        if not isinstance(record, Step) or self.disagreement is not None:
            return
        self.steps += 1
        who = (record.actor, record.machine, record.id, record.key)
        machine, asked = self._machines.get(who) or (WRITTEN[record.machine](), set())
        stands = machine.current_state_value
        if stands != record.from_:
            self._disagree(record, f"the machine is {stands}")
            return
        if record.event in asked:
            return
        try:
            machine.send(record.event)
        except TransitionNotAllowed:
            self._disagree(record, "the machine refuses it")
            return
        if machine.current_state_value != record.to:
            self._disagree(record, f"the machine goes to {machine.current_state_value}")
        elif machine.is_terminated:
            self._machines.pop(who, None)
        else:
            if record.from_ == record.to:
                asked.add(record.event)
            else:
                asked.clear()
            self._machines[who] = machine, asked

    def forget(self, actor: str) -> None:
        """The actor has lost all its state."""
        for who in [who for who in self._machines if who[0] == actor]:
            del self._machines[who]

    def _disagree(self, record: Step, why: str) -> None:
        self.disagreement = (
            f"step {record.n}: {record.actor}'s {record.machine} {record.id}: {record.event} "
            f"took it from {record.from_} to {record.to}, but {why}"
        )
