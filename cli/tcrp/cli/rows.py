"""The rows of a run's table: which records share one, what kind each is, and which are folded or left out.

A packet is known by where it comes from: a timer that sends again what was sent before, or a step of the script
that makes it by hand. Arrivals and deadlines are no rows, because the rows around them imply them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tcrp.spec.cluster_names import ClusterMachine, LeaseState
from tcrp.spec.names import Deadline, PacketKind, SessionEvent
from tcrp.trace.records import (
    FaultRecord,
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
    TimerRecord,
)

KEEP_ALIVE, RETRANSMISSION, FORGED, ENTER = "keep-alive", "retransmission", "forged", "enter again"
KINDS = {
    KEEP_ALIVE: "keep-alives, and the repeated `enter` that makes a user known",
    RETRANSMISSION: "leave words and notices that are sent again, and their effect, which is none",
    FORGED: "packets made by hand",
    "handshake": "steps of handshakes", "session": "steps of sessions", "room": "steps of rooms",
    "lease": "steps of leases, without renewals", "ownership": "whose the rooms of a cluster are",
    "packet": "other packets that are sent", "drop": "packets that are dropped", "shown": "what users see",
    "fault": "faults",
}  # fmt: skip
"""What rows can be, by the word for `--hide`."""
PLUMBING = (PacketKind.OPEN, PacketKind.OPENED, PacketKind.CLOSE, PacketKind.ASK, PacketKind.SHOWN)
KEEPING_ALIVE = (PacketKind.KEEP_ALIVE, PacketKind.KEEP_ALIVE_ANSWER, PacketKind.ENTER)
SENT_AGAIN = (Deadline.LEAVE, Deadline.NOTICE)
FORGING = ("spoof", "replay", "flood", "datagram", "stream")
"""The verbs of scenarios that make packets by hand."""
STOLEN = "stolen token"


class Origin(NamedTuple):
    """Where a packet comes from: the deadline at which it was sent, and the verb that forged it, if so."""

    packet: PacketRecord
    deadline: str = ""
    forged: str = ""

    @property
    def is_again(self) -> bool:
        return self.deadline in SENT_AGAIN or self.packet.why == "duplicate"


@dataclass(slots=True)
class Row:
    """One row: the records folded into it, and the rows of their immediate effects.

    `repeats` are the sends of the rows that are folded into this one, and `until_us` is when the last of them was.
    """

    records: list[Record]
    ids: list[str] = field(default_factory=list)
    followed: list[Row] = field(default_factory=list)
    kind: str = ""
    origin: Origin | None = None  # of the packet that it sends, or whose arrival it is the effect of
    repeats: Counter[tuple[str, str]] = field(default_factory=Counter)  # by actor, and what it is
    until_us: int = 0

    @property
    def actor(self) -> str:
        return self.records[0].actor


def fold(records: Iterable[Record]) -> Iterator[Row]:
    """The rows, in order. Records of one time, actor and kind share a row, which also has the packets and
    texts that a step sends or shows.
    """
    row: Row | None = None
    origins = _Origins()
    for record in records:
        origin = origins.learn(record)
        label = _label(record)
        if label is None or (row is not None and _joins(row, record, label, origin)):
            continue
        if row is not None:
            yield _classified(row)
        row = Row([record], [label], origin=origin)
    if row is not None:
        yield _classified(row)


def fold_repeats(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with keep-alives, retransmissions and floods in one row each, as long as nothing else happens."""
    first: Row | None = None
    for row in rows:
        sends: Counter[tuple[str, str]] = _sends(row) if _is_repeat(row) else Counter()
        if first is not None and first.kind == row.kind and _is_repeat(row) and (first.repeats or not sends):
            if sends:
                first.repeats += sends
                first.until_us = row.records[0].t_us
            continue
        if first is not None and not (first.kind == row.kind == KEEP_ALIVE) and _is_worth_a_row(first):
            yield first
        first = row
        first.repeats, first.until_us = sends, row.records[0].t_us
    if first is not None and _is_worth_a_row(first):
        yield first


def _is_repeat(row: Row) -> bool:
    is_flood = row.kind == FORGED and row.origin is not None and row.origin.forged == "flood"
    return row.kind in (KEEP_ALIVE, RETRANSMISSION) or is_flood


def _is_worth_a_row(row: Row) -> bool:
    """The arrival of a keep-alive is not: the row of its sending has counted it."""
    return row.kind != KEEP_ALIVE or bool(row.repeats)


def _sends(row: Row) -> Counter[tuple[str, str]]:
    """Who sends what is repeated: nobody, where the row is an effect of its arrival."""
    records = [record for each in (row, *row.followed) for record in each.records]
    sent = [each for each in records if isinstance(each, PacketRecord) and each.kind is Kind.SEND]
    if row.kind == RETRANSMISSION:
        return Counter((each.actor, f"{each.what} from {each.link.replace('>', ' to ')}") for each in sent)
    if row.kind == FORGED:
        return Counter((each.actor, each.actor) for each in sent)
    kept = [each for each in sent if each.what != PacketKind.KEEP_ALIVE_ANSWER]
    return Counter((each.actor, ENTER if each.what == PacketKind.ENTER else KEEP_ALIVE) for each in kept)


class _Origins:
    """Where the packets of a run come from, and which record is an effect of the arrival of which."""

    def __init__(self) -> None:
        self._deadlines: dict[int, str] = {}  # by the records that follow from a timer
        self._sent: dict[str, Origin] = {}
        self._arrived: dict[int, Origin] = {}  # by the records that follow from an arrival

    def learn(self, record: Record) -> Origin | None:
        """The origin of the packet that a record sends, drops or is an effect of."""
        n, cause = record.n, record.cause
        match record:
            case TimerRecord():
                self._deadlines[n] = record.what
                return None
            case PacketRecord(kind=Kind.SEND):
                origin = Origin(record, self._deadlines.get(cause, ""), _verb(record))
                self._sent[record.packet] = origin
                return origin
            case PacketRecord(kind=Kind.ARRIVE):
                sent = self._sent.get(record.packet, Origin(record))
                self._arrived[n] = sent._replace(packet=record)
                return None
            case PacketRecord():
                return self._arrived.get(cause) or self._sent.get(record.packet)
            case StepRecord() | RefusalRecord():
                if cause in self._deadlines and record.event == SessionEvent.SPOKE:
                    self._deadlines[n] = self._deadlines[cause]
                if (arrived := self._arrived.get(cause)) is not None:
                    self._arrived[n] = arrived
                return arrived
            case _:
                return None


def _verb(sent: PacketRecord) -> str:
    """The verb that has made a packet by hand. A packet of a step is named `actor.verb@time…/…`.

    What is said or left without a session of one's own, which would take a step, is so with a stolen token.
    """
    verb = sent.packet.removeprefix(f"{sent.actor}.").partition("@")[0]
    if verb in ("say", "leave") and sent.cause == 0 and sent.what in (PacketKind.SAY, PacketKind.LEAVE):
        return STOLEN
    return verb if verb in FORGING else ""


def _classified(row: Row) -> Row:
    record, origin = row.records[0], row.origin
    sent = next((each for each in (row, *row.followed) if _is_send(each.records[0])), None)
    kind = origin.packet.what if origin is not None else ""
    if isinstance(record, StepRecord) and record.event == SessionEvent.SPOKE and record.from_ == record.to:
        if sent is not None and isinstance(first := sent.records[0], PacketRecord) and first.what in KEEPING_ALIVE:
            kind = first.what
        row.kind = KEEP_ALIVE if kind in KEEPING_ALIVE else ""
    elif isinstance(record, RefusalRecord) or _is_send(record):
        row.kind = RETRANSMISSION if origin is not None and origin.is_again else ""
        if _is_send(record) and kind == PacketKind.KEEP_ALIVE:
            row.kind = KEEP_ALIVE
    if not row.kind and origin is not None and origin.forged and isinstance(record, PacketRecord):
        row.kind = FORGED
    row.kind = row.kind or _plain_kind(record)
    if row.kind == KEEP_ALIVE:
        for each in row.followed:
            each.kind = KEEP_ALIVE
    return row


def _plain_kind(record: Record) -> str:
    match record:
        case StepRecord() | RefusalRecord():
            return str(record.machine)
        case PacketRecord():
            return "packet" if record.kind is Kind.SEND else "drop"
        case ShowRecord():
            return "shown"
        case _:
            return "fault"


def _is_send(record: Record) -> bool:
    return isinstance(record, PacketRecord) and record.kind is Kind.SEND


def _joins(row: Row, record: Record, label: str, origin: Origin | None) -> bool:
    """Fold `record` into `row` if it belongs there. Returns whether it does."""
    last = row.followed[-1] if row.followed else row
    if (key := _fold_key(record)) is not None and key == _fold_key(last.records[0]):
        last.records.append(record)
        last.ids.append(label)
        return True
    first = row.records[0]
    follows = isinstance(record, PacketRecord | ShowRecord) and isinstance(first, StepRecord | RefusalRecord)
    if follows and record.actor == first.actor and record.t_us == first.t_us:
        row.followed.append(Row([record], [label], origin=origin))
        return True
    return False


def _label(record: Record) -> str | None:
    """What distinguishes a record from others in the same row; None leaves the record out."""
    match record:
        case PacketRecord(kind=Kind.SEND) if record.what in PLUMBING:
            return None
        case PacketRecord(kind=Kind.SEND) | PacketRecord(kind=Kind.DROP):
            source, _, target = record.link.partition(">")
            return source if record.kind is Kind.DROP and target == record.actor else target
        case StepRecord(machine=ClusterMachine.LEASE) if LeaseState.RENEWING in (record.from_, record.to):
            return None if record.to != LeaseState.LOST else record.id
        case StepRecord() | RefusalRecord():
            return record.id
        case ShowRecord():
            return record.actor
        case FaultRecord():
            return record.actor
        case _:
            return None


def _fold_key(record: Record) -> object:
    match record:
        case PacketRecord():
            return record.t_us, record.actor, record.kind, record.what, record.why, record.rule, record.bytes
        case StepRecord():
            return record.t_us, record.actor, record.machine, record.event, record.from_, record.to
        case _:
            return None
