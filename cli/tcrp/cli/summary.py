"""What happened in a run, in plain sentences: who came, said what to whom, and left; what went wrong or was lost.

Each sentence is about one thing that a person did or that happened to somebody. Keep-alives and retransmissions are
counted at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeGuard

from tcrp.cli.rows import FORGED, KEEP_ALIVE, RETRANSMISSION, Row, fold
from tcrp.engine.text import shown
from tcrp.sim.fate import texts_said
from tcrp.sim.scenario.model import Scenario
from tcrp.spec.cluster_names import ClusterMachine, LeaseState, OwnershipState
from tcrp.spec.names import (
    ClientFinding,
    HandshakeEvent,
    Machine,
    PacketKind,
    RoomEvent,
    RoomState,
    SessionEvent,
    SessionState,
)
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord

ENDS = {
    SessionEvent.LEFT: "leaves", SessionEvent.IDLED: "has been silent for too long and is no longer in",
    SessionEvent.REMOVED: "is removed from", SessionEvent.SUPERSEDED: "is superseded by a new session in",
    SessionEvent.ROOM_CLOSED: "is told of the end of",
}  # fmt: skip
FAULTS = {
    "cut": "cuts", "heal": "heals", "hold": "holds", "release": "releases", "go on": "goes on with", "stall": "stalls",
    "reset": "resets", "set": "changes", "crash": "crashes:", "start": "starts again", "pause": "stands still",
    "resume": "goes on", "steal_token": "steals the token", "clock": "has a wrong clock:", "move": "moves:",
}  # fmt: skip
PLURALS = {KEEP_ALIVE: "keep-alives", RETRANSMISSION: "retransmissions"}


def summary(records: list[Record], scenario: Scenario) -> Iterator[str]:
    """The sentences, each behind its time, and last the counts."""
    fates = _Fates(records, {root: text for _, root, text in texts_said(scenario)}, scenario.servers or ("server",))
    repeats: Counter[str] = Counter()
    floods: dict[str, list[int]] = defaultdict(list)  # by step, the records of what it sends
    rows = list(fold(records))
    for row in rows:
        if (step := _flooding(row)) is not None:
            floods[step] += [record.n for record in row.records]
    for row in rows:
        if (step := _flooding(row)) is not None:
            if sent := floods.pop(step, []):  # one sentence for all
                first = row.records[0]
                yield shown(f"{first.t_us / 1_000_000:10.3f} s  {first.actor} begins a flood: {fates.of_flood(sent)}.")
            continue
        for each in (row, *row.followed):
            repeats[row.kind] += sum(_is_send(record) for record in each.records) * (row.kind in PLURALS)
        for record in row.records:
            if (what := _sentence(record, row, fates)) is not None:
                yield shown(f"{record.t_us / 1_000_000:10.3f} s  {what}.")
    counts = [f"{_plural(repeats[kind], kind)}" for kind in PLURALS if repeats[kind]]
    if counts:
        yield f"{'':14}Not told above: {' and '.join(counts)}."


def _plural(count: int, kind: str) -> str:
    return f"{count} {kind if count == 1 else PLURALS[kind]}"


class _Fates:
    """What became of each packet that a user has sent: by the number of the record of its sending."""

    def __init__(self, records: Iterable[Record], said: Mapping[str, str], servers: Collection[str]) -> None:
        self.servers = servers
        self._said = said  # the texts of the script, by the names of their packets' roots
        self.readers: dict[int, list[str]] = defaultdict(list)
        self.losses: dict[int, list[str]] = defaultdict(list)
        roots: dict[int, int] = {}
        for record in records:
            is_first = _is_send(record) and record.actor not in servers and _is_text(record)
            root = roots[record.n] = record.n if is_first else roots.get(record.cause, 0)
            match record:
                case ShowRecord(what=PacketKind.RELAY):
                    self.readers[root].append(record.actor)
                case PacketRecord(kind=Kind.DROP) if record.what == PacketKind.RELAY:
                    self.losses[root].append(f"{record.link.partition('>')[2]} does not: {record.why}")
                case PacketRecord(kind=Kind.DROP):
                    self.losses[root].append(f"{_the(record.actor)} drops it: {record.why}")

    def text(self, sent: PacketRecord) -> str | None:
        """What the packet says, if the script says so."""
        return self._said.get(sent.packet.partition("/")[0])

    def of(self, n: int) -> str:
        """Who reads it, and who does not, and why."""
        readers = list(dict.fromkeys(self.readers[n]))
        read = f"{_and(readers)} read{'s' if len(readers) == 1 else ''} it" if readers else "nobody reads it"
        return "; ".join([read, *dict.fromkeys(self.losses[n])])

    def of_flood(self, sent: list[int]) -> str:
        """How many forged datagrams were dropped, and why."""
        why = Counter(each for n in sent for each in self.losses[n])
        reasons = "; ".join(f"{each} (×{times})" for each, times in why.items())
        return f"{len(sent)} forged datagrams" + (f"; {reasons}" if reasons else "")


def _flooding(row: Row) -> str | None:
    """The step that floods, if the row is a datagram of it."""
    is_flood = (
        row.kind == FORGED and row.origin is not None and row.origin.forged == "flood" and _is_send(row.records[0])
    )
    return row.origin.packet.packet.partition("/")[0] if is_flood and row.origin is not None else None


def _sentence(record: Record, row: Row, fates: _Fates) -> str | None:
    match record:
        case PacketRecord(kind=Kind.SEND) if row.kind == FORGED and row.origin is not None:
            return f"{record.actor} sends a forged {record.what} ({row.origin.forged}): {fates.of(record.n)}"
        case StepRecord(machine=ClusterMachine.OWNERSHIP, to=OwnershipState.OWNED):
            return f"{record.actor} owns {record.id} ({record.rule})"
        case StepRecord(machine=ClusterMachine.LEASE, to=LeaseState.LOST):
            return f"{record.actor} has lost its lease, and owns nothing ({record.rule})"
        case StepRecord(machine=Machine.ROOM) if record.actor in fates.servers and record.from_ != record.to:
            return _of_room(record)
        case StepRecord(machine=Machine.SESSION) if record.actor in fates.servers and record.from_ != record.to:
            return _of_session(record)
        case StepRecord(machine=Machine.HANDSHAKE, event=HandshakeEvent.REFUSED) if record.actor in fates.servers:
            return f"{_the(record.actor)} refuses {record.id}: {record.why}"
        case StepRecord(event=SessionEvent.SPOKE) if record.actor not in fates.servers:
            return next((_said(each, fates) for part in row.followed for each in part.records if _is_text(each)), None)
        case RefusalRecord() if record.actor not in fates.servers:
            return f"{record.actor} cannot do this: {record.event} ({record.why})"
        case FaultRecord():
            where = record.why.replace(">", " to ")
            return f"{_the(record.actor)} {FAULTS.get(record.what, record.what)} {where}".rstrip()
        case ShowRecord(what=ClientFinding.SERVER_SILENT):
            return f"{record.actor} notices that the server is silent"
        case _:
            return None


def _of_room(step: StepRecord) -> str:
    match step.to:
        case RoomState.OPEN:
            return f"the room {step.id} is created"
        case RoomState.CLOSING:
            why = "its host has gone" if step.event == RoomEvent.HOST_GONE else step.event
            return f"the room {step.id} closes: {why}"
        case _:
            return f"the name {step.id} is free again"


def _of_session(step: StepRecord) -> str | None:
    who, _, room = step.id.rpartition("@")
    if step.to == SessionState.IN_ROOM:
        return f"{who} enters {room}"
    if step.to != SessionState.EXPIRED:
        return None
    known = {str(event): words for event, words in ENDS.items()}
    return f"{who} {known[step.event]} {room}" if step.event in known else f"{who}@{room} ends: {step.event}"


def _said(sent: PacketRecord, fates: _Fates) -> str:
    text = fates.text(sent)
    return f"{sent.actor} says {'something' if text is None else repr(text)}: {fates.of(sent.n)}"


def _is_send(record: Record) -> bool:
    return isinstance(record, PacketRecord) and record.kind is Kind.SEND


def _is_text(record: Record) -> TypeGuard[PacketRecord]:
    return isinstance(record, PacketRecord) and record.what in (PacketKind.SAY, PacketKind.DATAGRAM)


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _the(actor: str) -> str:
    return f"the {actor}" if actor in ("server", "network") else actor
