"""The script: who does what, and when. Puts each step into the world and takes it at its moment."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_never

from tcrp.sim.hosts.server import SERVER
from tcrp.sim.network.packets import Origin
from tcrp.sim.network.tcp import Tcp
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import (
    At,
    Cut,
    Heal,
    Hold,
    In,
    LinkId,
    MachineIs,
    NetworkAction,
    Release,
    Replay,
    Reset,
    Scenario,
    ServerAction,
    SetFate,
    SetLinks,
    Stall,
    StateClaim,
    Step,
    UserAction,
    UserIs,
    When,
)
from tcrp.sim.scenario.verbs import filled
from tcrp.spec.names import Machine, SessionState
from tcrp.trace.records import Record, StepRecord

if TYPE_CHECKING:
    from tcrp.sim.cluster.bucket import Bucket

NETWORK = "network"


@dataclass(slots=True)
class ScheduledStep:
    """A step and how often it has been taken."""

    number: int  # its place in the script: the order of equal moments
    step: Step
    taken: int = 0
    origin: Origin | None = None

    @property
    def times(self) -> int:
        return self.step.when.times if isinstance(self.step.when, At) else 1


def origin_name(step: Step, taken: int) -> str:
    """The name of the chain that begins when a step is taken for the `taken`-th time, from 1."""
    repeats = isinstance(step.when, At) and step.when.times > 1
    return f"{step.id}.{taken}" if repeats else step.id


def claim_met_by(claim: StateClaim, record: Record, servers: Container[str] = (SERVER,)) -> bool:
    """Whether `record` makes `claim` true."""
    if not isinstance(record, StepRecord) or record.to != claim.state:
        return False
    match claim:
        case UserIs(user, _):
            return record.actor == user and record.machine is Machine.SESSION
        case MachineIs(machine, id, _):
            return record.actor in servers and record.machine is machine and record.id == id


class PlaysUser(Protocol):
    """Who takes a user's steps."""

    keeps_sent: bool

    def act(self, action: UserAction, origin: Origin, *, allow_invalid: bool = False) -> None: ...


class PlaysServer(Protocol):
    """Who takes the steps of a server, or of the bucket of a cluster."""

    def act(self, action: ServerAction, origin: Origin) -> None: ...


class ScriptRunner:
    """Takes the steps of a scenario's script."""

    def __init__(
        self, scenario: Scenario, world: World, tcp: Tcp, users: Mapping[str, PlaysUser],
        servers: Mapping[str, PlaysServer], seed: int, bucket: Bucket | None = None,
    ) -> None:  # fmt: skip
        self._world = world
        self._tcp = tcp
        self._users = users
        self._servers = servers
        self._machines: dict[str, PlaysServer] = {**servers}
        if bucket is not None:
            self._machines[bucket.id] = bucket
        self._seed = seed
        self._scheduled_steps = [ScheduledStep(number, step) for number, step in enumerate(scenario.script, start=1)]
        self._rows: dict[int, list[ScheduledStep]] = {}
        for scheduled in self._scheduled_steps:
            self._rows.setdefault(scheduled.step.row, []).append(scheduled)
        self._left_in_row = {
            row: sum(scheduled.times for scheduled in scheduled_steps) for row, scheduled_steps in self._rows.items()
        }
        for step in scenario.script:
            if isinstance(step.action, Replay):
                users[step.action.victim].keeps_sent = True
        self._waiting: dict[StateClaim, list[ScheduledStep]] = {}
        self.met: list[StateClaim] = []  # what has come true and was waited for
        for scheduled in self._scheduled_steps:
            self._schedule_first(scheduled)

    def _schedule_first(self, scheduled: ScheduledStep) -> None:
        match scheduled.step.when:
            case At(at_us):
                self._world.at(at_us, self._take, scheduled, order=scheduled.number)
            case In(after_us) if scheduled.step.row == 0:
                self._world.at(after_us, self._take, scheduled, order=scheduled.number)
            case In():
                pass  # when the row before is done
            case When(claim):
                self._waiting.setdefault(claim, []).append(scheduled)
                if isinstance(claim, UserIs) and claim.state is SessionState.ANONYMOUS:
                    self.met.append(claim)  # as everyone is at first
            case _:
                assert_never(scheduled.step.when)

    # --- waiting for states ----------------------------------------------------------------------

    def hear(self, record: Record) -> None:
        """A listener of the trace: notes which states have come true."""
        if isinstance(record, StepRecord):
            for claim in self._waiting:
                if claim_met_by(claim, record, self._servers):
                    self.met.append(claim)

    @property
    def is_waiting(self) -> bool:
        """Whether a step still waits for a state."""
        return bool(self._waiting)

    def take_what_was_waited_for(self) -> None:
        """Take the steps whose states have come true during the last event."""
        while self.met:
            for scheduled in self._waiting.pop(self.met.pop(0), []):
                self._take(scheduled)

    def never_taken(self) -> list[Step]:
        """Steps that waited for a state which never came, or for a packet that was never sent."""
        waiting = [scheduled.step for scheduled_steps in self._waiting.values() for scheduled in scheduled_steps]
        decided = [each.step for each in self._scheduled_steps if isinstance(each.step.action, SetFate)]
        return waiting + [step for step in decided if step.action not in self._world.decided and step not in waiting]

    # --- taking a step ---------------------------------------------------------------------------

    def _take(self, scheduled: ScheduledStep) -> None:
        scheduled.taken += 1
        step = scheduled.step
        self._do(step, Origin(origin_name(step, scheduled.taken), self._seed), scheduled.taken)
        when = step.when
        if isinstance(when, At) and scheduled.taken < when.times:
            self._world.at(when.at_us + scheduled.taken * when.every_us, self._take, scheduled, order=scheduled.number)
        self._left_in_row[step.row] -= 1
        if not self._left_in_row[step.row]:
            for follower in self._rows.get(step.row + 1, []):
                if isinstance(follower.step.when, In):
                    when_us = self._world.now_us + follower.step.when.after_us
                    self._world.at(when_us, self._take, follower, order=follower.number)

    def _do(self, step: Step, origin: Origin, repetition: int) -> None:
        action = filled(step.action, repetition)
        if isinstance(action, NetworkAction):
            self._do_to_network(action, origin)
        elif (machine := self._machines.get(step.actor)) is not None:
            assert isinstance(action, ServerAction), "the reader knows the servers' verbs"
            machine.act(action, origin)
        else:
            assert isinstance(action, UserAction), "the reader knows the users' verbs"
            self._users[step.actor].act(action, origin, allow_invalid=step.allow_invalid)

    def _do_to_network(self, action: NetworkAction, origin: Origin) -> None:
        world = self._world
        if isinstance(action, SetFate):
            world.fates[action.packet] = action  # recorded with the packet, if there is one
            return
        what = _names(action.links)
        match action:
            case SetLinks(links, settings):
                world.record_fault(NETWORK, "set", what, origin)
                world.network.set(links, settings)
            case Cut(links, for_us):
                world.record_fault(NETWORK, "cut", what, origin)
                fault = world.network.cut(links)
                if for_us is not None:
                    world.at(world.now_us + for_us, self._end, (fault, "heal", what, origin))
            case Heal(links):
                world.record_fault(NETWORK, "heal", what, origin)
                self._tcp.heal(world.network.heal(links))
            case Hold(links):
                world.record_fault(NETWORK, "hold", what, origin)
                world.network.hold(links)
            case Release(links):
                world.record_fault(NETWORK, "release", what, origin)
                freed = world.network.release(links)
                world.release(freed)
                self._tcp.heal(freed)
            case Stall(links, for_us):
                world.record_fault(NETWORK, "stall", what, origin)
                fault = world.network.stall(links)
                world.at(world.now_us + for_us, self._end, (fault, "go on", what, origin))
            case Reset(links):
                world.record_fault(NETWORK, "reset", what, origin)
                self._tcp.reset(links, origin)
            case _:
                assert_never(action)

    def _end(self, ended: tuple[int, str, str, Origin]) -> None:
        """The time of a cut or stall is over, if it was not undone before. Others on the same links go on."""
        fault, word, links, origin = ended
        network = self._world.network
        if network.is_in_force(fault):
            self._world.record_fault(NETWORK, word, links, origin)
            self._tcp.heal(network.end(fault))


def _names(links: tuple[LinkId, ...]) -> str:
    return ", ".join(f"{link.source}>{link.target}" for link in links)
