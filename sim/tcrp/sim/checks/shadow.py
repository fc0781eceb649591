"""The machines as they are written, run beside the tables that the engines run.

Every session, room and handshake of a run has a machine of its own beside it. To ask a machine costs a hundred times
what a look-up in a table does, and its answer depends on its state alone. So an event that leaves the state as it was
is offered to each machine once; and those that get no machine, because there are `machines_max` already, are compared
with what machines have answered before in the same state. Most runs of a swarm have no machines at all, for speed.
"""

from __future__ import annotations

from statemachine.exceptions import TransitionNotAllowed

from tcrp.spec.cluster_names import AnyMachine, ClusterMachine
from tcrp.spec.handshake import HandshakeMachine
from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.names import Machine
from tcrp.spec.ownership import LeaseMachine, OwnershipMachine
from tcrp.spec.room import RoomMachine
from tcrp.spec.session import SessionMachine
from tcrp.trace.records import Record, StepRecord

MACHINES_MAX = 1000
"""How many machines a run has at most."""

WRITTEN: dict[AnyMachine, type[ProtocolMachine]] = {
    Machine.SESSION: SessionMachine,
    Machine.ROOM: RoomMachine,
    Machine.HANDSHAKE: HandshakeMachine,
    ClusterMachine.LEASE: LeaseMachine,
    ClusterMachine.OWNERSHIP: OwnershipMachine,
}
STATES = {machine: {str(state.value): state.value for state in written.states} for machine, written in WRITTEN.items()}
FINAL = {machine: frozenset(str(state.value) for state in written.final_states) for machine, written in WRITTEN.items()}

Who = tuple[str, AnyMachine, str, int]
Answers = dict[tuple[AnyMachine, str, str], str | None]


class Shadow:
    """What stands beside one session, room or handshake: where its machine is, and the machine itself."""

    __slots__ = ("asked", "machine", "state")

    def __init__(self, machine: ProtocolMachine | None, state: str) -> None:
        self.machine = machine
        self.state = state
        self.asked: set[str] = set()


class Shadows:
    """A listener of the trace. `disagreement` is the first step that a machine would not have taken.

    At most `machines_max` machines stand beside the run. `answers` may be shared by many runs: machines
    do not change.
    """

    def __init__(self, machines_max: int = MACHINES_MAX, answers: Answers | None = None) -> None:
        self.disagreement: str | None = None
        self._shadows: dict[Who, Shadow] = {}
        self._machines = 0
        self._machines_max = machines_max
        self._answers: Answers = {} if answers is None else answers

    def __call__(self, record: Record) -> None:
        if isinstance(record, StepRecord):
            self.step((record.actor, record.machine, record.id, record.instance), record)

    def step(self, who: Who, record: StepRecord) -> None:
        """The machine beside `who` takes the step as well."""
        if self.disagreement is not None:
            return
        shadow = self._shadows.get(who) or self.begin(who)
        if shadow.state != record.from_:
            self._disagree(record, f"the machine is {shadow.state}")
            return
        if record.event in shadow.asked:
            return  # it would answer the same
        to = self._ask(shadow, record)
        if to is None:
            self._disagree(record, "the machine refuses it")
        elif to != record.to:
            self._disagree(record, f"the machine goes to {to}")
        elif to in FINAL[record.machine]:
            self._machines -= shadow.machine is not None
            del self._shadows[who]
        elif to == shadow.state:
            shadow.asked.add(record.event)
        else:
            shadow.state = to
            shadow.asked.clear()

    def has_stayed(self, who: Who, state: str, event: str) -> bool:
        """Whether the machine beside `who` has answered before that the event leaves it in this state."""
        shadow = self._shadows.get(who)
        return shadow is not None and shadow.state == state and event in shadow.asked

    def forget(self, actor: str) -> None:
        """The actor has lost all its state."""
        for who in [who for who in self._shadows if who[0] == actor]:
            self._machines -= self._shadows[who].machine is not None
            del self._shadows[who]

    def end(self, who: Who) -> None:
        """The machine goes on elsewhere."""
        shadow = self._shadows.pop(who, None)
        self._machines -= shadow is not None and shadow.machine is not None

    def begin(self, who: Who, state: str | None = None) -> Shadow:
        """A machine begins beside `who`, in its first state or, if it comes from another server, in this one."""
        written = WRITTEN[who[1]]
        machine = None
        if self._machines < self._machines_max:
            machine = written() if state is None else written(start_value=STATES[who[1]][state])
            self._machines += 1
        if state is None:
            state = str(written.initial_state.value)
        shadow = self._shadows[who] = Shadow(machine, state)
        return shadow

    def _ask(self, shadow: Shadow, record: StepRecord) -> str | None:
        """Where the machine goes, or None if it refuses."""
        question = (record.machine, str(shadow.state), str(record.event))
        machine = shadow.machine
        if machine is None:
            if question in self._answers:
                return self._answers[question]
            machine = WRITTEN[record.machine](start_value=STATES[record.machine][shadow.state])
        try:
            machine.send(record.event)
            answer: str | None = str(machine.current_state_value)
        except TransitionNotAllowed:
            answer = None
        self._answers[question] = answer
        return answer

    def _disagree(self, record: StepRecord, why: str) -> None:
        self.disagreement = (
            f"step {record.n}: {record.actor}'s {record.machine} {record.id}: {record.event} "
            f"took it from {record.from_} to {record.to}, but {why}"
        )
