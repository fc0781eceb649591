"""What a run has shown so far, kept for those who will judge it. Keeps only what some expectation asks for."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from tcrp.sim.hosts.server import SERVER
from tcrp.sim.scenario.model import (
    Counters,
    Expectation,
    MachineIs,
    NeverSees,
    Packets,
    Records,
    Refused,
    Sees,
    SeesCount,
    SeesExactly,
    StateClaim,
    StateExpected,
    Told,
    UserIs,
)
from tcrp.spec.frozen import Frozen
from tcrp.spec.names import HandshakeEvent, HandshakeState, Machine, RoomState, SessionState
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord

DOWN = "down"
"""Where a server that has crashed stands in place of a state: it has no view of its own."""


@dataclass(frozen=True, slots=True)
class Change(Frozen):
    """A machine has entered a state."""

    t_us: int
    n: int
    to: str


@dataclass(frozen=True, slots=True)
class SeenRelay(Frozen):
    """A relay that a user has seen."""

    t_us: int
    n: int
    name: str
    text: str


class History:
    """A listener of the trace."""

    def __init__(self, expectations: Iterable[Expectation], servers: Container[str] = (SERVER,)) -> None:
        self._servers = servers
        self._at: dict[StateClaim, str] = {}  # by claim about a server's machine: the server that had it last
        self._now = (0, 0)  # time and number of the latest record
        claims = [each.claim for each in expectations]
        self.changes: dict[StateClaim, list[Change]] = {}  # keyed by the claim without its state
        self.screens: dict[str, list[SeenRelay]] = {}
        self.told: dict[str, list[tuple[int, int, str]]] = {}
        self.refusals: dict[str, list[tuple[int, int, str]]] = {}
        self.matches: dict[Records, list[tuple[int, int]]] = {}
        self.nearest: dict[Records, tuple[int, Record]] = {}
        self.packets: dict[Packets, list[tuple[int, int, int]]] = {}  # time, record, size
        self.counters: list[tuple[int, Mapping[str, int]]] = []
        self.asks_for_counters = any(isinstance(claim, Counters) for claim in claims)
        for claim in claims:
            match claim:
                case StateExpected(state):
                    self.changes[subject_of(state)] = []
                case Sees(user) | SeesExactly(user) | NeverSees(user) | SeesCount(user):
                    self.screens[user] = []
                case Told(user):
                    self.told[user] = []
                case Refused(user):
                    self.refusals[user] = []
                case Records():
                    self.matches[claim] = []
                case Packets():
                    self.packets[claim] = []
                case Counters():
                    pass

    def hear(self, record: Record) -> None:
        """Keep what is asked for."""
        match record:
            case StepRecord():
                self._now = record.t_us, record.n
                if record.from_ != record.to:
                    for subject, changes in self.changes.items():
                        if _is_about(subject, record, self._servers):
                            self._at[subject] = record.actor
                            changes.append(Change(record.t_us, record.n, record.to))
                if record.machine is Machine.HANDSHAKE and record.actor in self._servers and record.id in self.refusals:
                    refused = record.event == HandshakeEvent.REFUSED
                    if refused or record.event == HandshakeEvent.ACCEPTED:
                        why = record.why.partition(":")[0] if refused else ""
                        self.refusals[record.id].append((record.t_us, record.n, why))
                self._match(record, "step")
            case RefusalRecord():
                self._match(record, "refuse")
            case PacketRecord() if record.kind is Kind.DROP:
                self._match(record, "drop")
            case PacketRecord() if record.kind is Kind.SEND:
                for claim, sent in self.packets.items():
                    if _is_such_a_packet(claim, record):
                        sent.append((record.t_us, record.n, record.bytes))
            case ShowRecord():
                if record.what == "relay":
                    if record.actor in self.screens:
                        seen = SeenRelay(record.t_us, record.n, record.name, record.text)
                        self.screens[record.actor].append(seen)
                elif record.actor in self.told:
                    self.told[record.actor].append((record.t_us, record.n, record.what))
            case FaultRecord(what="crash" | "start"):
                self._restart(record)

    def _restart(self, record: FaultRecord) -> None:
        """A host that crashes loses every machine; a server that starts knows none of the machines before."""
        self._now = record.t_us, record.n
        is_server = record.actor in self._servers
        for subject, changes in self.changes.items():
            if isinstance(subject, UserIs):
                is_meant = record.actor == subject.user
            elif self._servers == (SERVER,):
                is_meant = is_server
            else:  # of several, the one that had it; who goes on with it is told by `moved_to`
                is_meant = record.actor == self._at.get(subject) and record.what == "crash"
            if is_meant:
                is_down = is_server and record.what == "crash"
                changes.append(Change(record.t_us, record.n, DOWN if is_down else first_state(subject)))

    def moved_to(self, server: str, states: Iterable[tuple[Machine, str, str]]) -> None:
        """These machines of servers, by kind and id, go on at this one from these states."""
        for machine, id, state in states:
            for subject, changes in self.changes.items():
                if isinstance(subject, MachineIs) and (subject.machine, subject.id) == (machine, id):
                    self._at[subject] = server
                    changes.append(Change(*self._now, state))

    def moved_from(self, server: str, machines: Iterable[tuple[Machine, str]]) -> None:
        """These are not at this server any more: until they go on elsewhere, no server has a view of them."""
        for machine, id in machines:
            for subject, changes in self.changes.items():
                if isinstance(subject, MachineIs) and (subject.machine, subject.id) == (machine, id):
                    changes.append(Change(*self._now, DOWN))

    def sample(self, now_us: int, counters: Mapping[str, int]) -> None:
        """Keep the server's counters as they are now, if they have changed."""
        if not self.counters or self.counters[-1][1] != counters:
            self.counters.append((now_us, dict(counters)))

    def _match(self, record: StepRecord | RefusalRecord | PacketRecord, kind: str) -> None:
        for claim, times in self.matches.items():
            if claim.kind != kind:
                continue
            wrong = sum(_field(record, key) != value for key, value in claim.fields)
            if claim.kind != "drop" and not any(key == "actor" for key, _ in claim.fields):
                wrong += record.actor not in self._servers
            if not wrong:
                times.append((record.t_us, record.n))
            elif claim not in self.nearest or wrong <= self.nearest[claim][0]:  # of equally near ones, the last
                self.nearest[claim] = wrong, record


def subject_of(claim: StateClaim) -> StateClaim:
    """The claim about the same machine with one state for all, so that claims share what is kept."""
    match claim:
        case UserIs(user, _):
            return UserIs(user, SessionState.ANONYMOUS)
        case MachineIs(Machine.SESSION, id, _):
            return MachineIs(Machine.SESSION, id, SessionState.ANONYMOUS)
        case MachineIs(Machine.ROOM, id, _):
            return MachineIs(Machine.ROOM, id, RoomState.VACANT)
        case MachineIs(_, id, _):
            return MachineIs(Machine.HANDSHAKE, id, HandshakeState.IDLE)


def first_state(claim: StateClaim) -> str:
    """The state before anything has happened."""
    subject = subject_of(claim)
    return str(subject.state)


def _is_about(subject: StateClaim, record: StepRecord, servers: Container[str]) -> bool:
    match subject:
        case UserIs(user, _):
            return record.actor == user and record.machine is Machine.SESSION
        case MachineIs(machine, id, _):
            return record.actor in servers and record.machine is machine and record.id == id


def _field(record: Record, key: str) -> str:
    value = getattr(record, "from_" if key == "from" else key, "")
    return "" if value is None else str(value)


def _is_such_a_packet(claim: Packets, record: PacketRecord) -> bool:
    source, _, target = record.link.partition(">")
    return (
        (claim.what is None or claim.what == record.what)
        and (claim.source is None or claim.source == source)
        and (claim.target is None or claim.target == target)
    )
