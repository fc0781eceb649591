"""What there is to draw of a trace: lifelines, machines and the states they are in, packets, faults, causes.

All viewers share this model. It knows records and the names of the protocol, not how anything is drawn. It is
built one record at a time, so that it can follow a trace that is still written, and can begin in the middle: the
records before the range that is wanted bring the machines into their states, and are not kept.

A packet belongs to the record of its sending, which is the cause of its arrival or loss. A fault ends with the record
that ends it: that is its effect, or names the same links or actor.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter

from tcrp.spec.cluster_names import AnyMachine, ClusterMachine, OwnershipState
from tcrp.spec.names import Machine, PacketKind
from tcrp.spec.ownership import LEASE, OWNERSHIP
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.causes import chain_of_causes
from tcrp.trace.header import Header, Mode
from tcrp.trace.records import (
    FaultRecord,
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
)

SERVER, NETWORK, EVERYBODY, BUCKET = "server", "network", "all", "bucket"
CAUSES_MAX = 1000
ARRIVAL_DISTANCE_MAX = 8
"""How many records may lie between the arrival of a packet and its being dropped."""
ENDED_BY = {
    "heal": "cut", "release": "hold", "go on": "stall", "resume": "pause", "start": "crash",
    "bucket back": "bucket lost",
}  # fmt: skip
"""Which fault each of these records ends."""
CRASH = "crash"
HAD = (OwnershipState.OWNED, OwnershipState.HANDING_OVER)
LASTING = frozenset(ENDED_BY.values())
ROUTINE = frozenset(
    (
        PacketKind.OPEN,
        PacketKind.OPENED,
        PacketKind.CLOSE,
        PacketKind.KEEP_ALIVE,
        PacketKind.KEEP_ALIVE_ANSWER,
        PacketKind.ASK,
        PacketKind.SHOWN,
    )
)
"""Packets of which a reader who looks for something else need not hear, as long as they arrive."""
TALK = frozenset((PacketKind.SAY, PacketKind.RELAY))
FINAL: dict[AnyMachine, frozenset[str]] = {
    table.machine: frozenset(map(str, table.final)) for table in (SESSION, ROOM, HANDSHAKE, LEASE, OWNERSHIP)
}


class Role(StrEnum):
    """Whose lifeline it is."""

    USER = "user"
    SERVER = "server"
    MEMBER = "member"  # somebody of whom only the server tells


@dataclass(frozen=True, slots=True)
class Lifeline:
    """Somebody in the picture. `id` is the actor in the trace; of a member, the id of the session."""

    index: int
    id: str
    name: str
    role: Role
    dialect: str = ""


@dataclass(slots=True)
class Band:
    """How long a machine is in one state. `to_n` 0: until the end of the trace; no state: it was lost in a crash."""

    state: str
    from_n: int
    from_us: int
    to_n: int = 0
    to_us: int = 0


@dataclass(slots=True)
class Track:
    """One machine. Machines of one kind on one lifeline that live at the same time differ in `column`."""

    index: int
    lifeline: int
    machine: AnyMachine
    id: str
    instance: int
    column: int
    bands: list[Band] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The state that the machine is in now."""
        return self.bands[-1].state

    def band_before(self, n: int) -> Band | None:
        """The band that has begun before record `n`; None if the machine has not."""
        place = bisect_left(self.bands, n, key=attrgetter("from_n"))
        return self.bands[place - 1] if place else None

    def state_at(self, n: int) -> str | None:
        """The state after record `n`; None if the machine has not begun, or was lost."""
        band = self.band_before(n + 1)
        return None if band is None or not band.state else band.state


class Fate(StrEnum):
    """What became of a packet."""

    IN_FLIGHT = "in flight"
    ARRIVED = "arrived"
    LOST = "lost"  # the network dropped it
    REJECTED = "rejected"  # it arrived, and its receiver dropped it
    WITHHELD = "withheld"  # the server did not send it


@dataclass(slots=True)
class Packet:
    """A packet on its way. `sent_n` 0: its sending is not in the trace; `end_n` 0: neither is its end.

    `end_n` is the record of its arrival or loss, `rejected_n` the one with which its receiver dropped it.
    `source` and `target` are lifelines, -1 where the trace does not say.
    """

    index: int
    source: int
    target: int
    proto: str
    what: str
    bytes: int
    sent_n: int
    sent_us: int
    end_n: int = 0
    end_us: int = 0
    rejected_n: int = 0
    fate: Fate = Fate.IN_FLIGHT
    why: str = ""
    root: str = ""  # the name of the chain of packets that it belongs to, where it is part of the talk
    is_repeated: bool = False  # not the first `enter` of a client

    @property
    def is_routine(self) -> bool:
        """Whether it keeps something alive, or opens or closes a connection."""
        return (self.what in ROUTINE or self.is_repeated) and self.fate in (Fate.ARRIVED, Fate.IN_FLIGHT)


@dataclass(slots=True)
class Fault:
    """Something that went wrong on purpose. One that is over at once has `to_n` equal to `from_n`; 0: it lasts.

    A fault of links is one of each user at their ends: `lifeline` is the user's, `links` are those of this user.
    """

    what: str
    why: str
    lifeline: int
    links: tuple[str, ...]
    from_n: int
    from_us: int
    to_n: int = 0
    to_us: int = 0


class Picture:
    """A trace as it is drawn. `add` its records in order; those before number `first` or after `last` are not kept.

    Of the machines that live, of faults and of lifelines everything is known, wherever the range begins.
    """

    def __init__(self, header: Header, *, first: int = 1, last: int | None = None) -> None:
        self.header = header
        self.first = first
        self.last = last
        self.records: list[Record] = []
        self.lifelines: list[Lifeline] = []
        self.tracks: list[Track] = []
        self.packets: list[Packet] = []
        self.faults: list[Fault] = []
        self.shows: list[ShowRecord] = []
        self.refusals: list[RefusalRecord] = []
        self.texts: dict[str, str] = {}  # by the name of a chain of packets, what they say
        self.said: dict[int, str] = {}  # by a record of a server's own trace, the text that it is about
        self.losses: list[tuple[int, int]] = []  # machines that were lost in a crash, and its record
        self.n = 0  # the latest record, kept or not
        self.now_us = 0
        self.ended_us = 0  # of the latest record that is kept
        self.packet_of: dict[int, int] = {}  # by record, the place of the packet in `packets`
        self.track_of: dict[int, int] = {}  # by the record of a step or refusal
        self._effects: defaultdict[int, list[int]] = defaultdict(list)
        self._came: dict[str, int] = {}  # by actor, its first record
        self._lifelines: dict[str, int] = {}
        self._members: dict[str, int] = {}
        self._living: dict[tuple[int, AnyMachine, str, int], int] = {}
        self._latest: dict[tuple[int, AnyMachine, str], int] = {}
        self._down: dict[str, Fault] = {}
        self._free_tracks: list[int] = []
        self._free_lifelines: list[int] = []
        self._columns: dict[tuple[int, AnyMachine], list[bool]] = {}
        self._going_on: list[Fault] = []
        self._is_seen_by_server = header.mode is Mode.SOCKETS and not header.cast
        for id, member in header.cast.items():
            self._add_lifeline(id, member.name, Role.USER, member.dialect)
        self._servers = (*header.servers, BUCKET) if header.servers else (SERVER,)
        if header.mode is not Mode.SOCKETS:
            for server in self._servers:
                self._add_lifeline(server, server, Role.SERVER)

    # --- building --------------------------------------------------------------------------------

    def add(self, record: Record) -> None:
        """Take the next record of the trace."""
        n = self.n = record.n
        self.now_us = record.t_us
        if record.actor not in self._came:
            self._came[record.actor] = n
        if record.actor in self._down and isinstance(record, StepRecord):
            fault = self._down.pop(record.actor)  # a user who has crashed is back with the first step
            fault.to_n, fault.to_us = n, record.t_us
            self._going_on.remove(fault)
        is_kept = self._is_kept(n)
        if is_kept:
            self.records.append(record)
            self.ended_us = record.t_us
            self._effects[record.cause].append(n)
        match record:
            case StepRecord():
                self._add_step(record)
            case PacketRecord() if is_kept:
                self._add_packet(record)
            case FaultRecord():
                self._add_fault(record)
            case RefusalRecord() if is_kept:
                lifeline = self._lifeline_of_machine(record)
                self.refusals.append(record)
                if (track := self._latest.get((lifeline, record.machine, record.id))) is not None:
                    self.track_of[n] = track
            case ShowRecord() if is_kept:
                self.lifeline(record.actor)
                self.shows.append(record)
                self._learn_text(record)
            case _:
                pass

    def _is_kept(self, n: int) -> bool:
        return n >= self.first and (self.last is None or n <= self.last)

    def _add_step(self, step: StepRecord) -> None:
        lifeline = self._lifeline_of_machine(step)
        key = (lifeline, step.machine, step.id, step.instance)
        index = self._living.get(key)
        if index is None:
            taken = self._columns.setdefault((lifeline, step.machine), [])
            column = taken.index(False) if False in taken else len(taken)
            taken[column:] = [True, *taken[column + 1 :]]
            track = Track(len(self.tracks), lifeline, step.machine, step.id, step.instance, column)
            if self._free_tracks:
                track.index = self._free_tracks.pop()
                self.tracks[track.index] = track
            else:
                self.tracks.append(track)
            index = self._living[key] = self._latest[key[:3]] = track.index
            track.bands.append(Band(step.to, step.n, step.t_us))
        track = self.tracks[index]
        if self._is_kept(step.n):
            self.track_of[step.n] = index
        if step.to != track.state:
            band = track.bands[-1]
            band.to_n, band.to_us = step.n, step.t_us
            track.bands.append(Band(step.to, step.n, step.t_us))
        if step.machine is ClusterMachine.OWNERSHIP and step.from_ in HAD:
            self._lose_machines(lifeline, step, step.id)  # the room goes on elsewhere, or will
        if step.to in FINAL[step.machine] and step.from_ != step.to:
            del self._living[key]
            self._columns[lifeline, step.machine][track.column] = False
            if step.n < self.first:
                self._forget(track)

    def _forget(self, track: Track) -> None:
        """A machine that has ended before the range: however long the trace is, those that live are few."""
        self._free_tracks.append(track.index)
        del self._latest[track.lifeline, track.machine, track.id]
        if self.lifelines[track.lifeline].role is Role.MEMBER:
            del self._members[track.id]
            self._free_lifelines.append(track.lifeline)

    def _add_packet(self, record: PacketRecord) -> None:
        source_id, _, target_id = record.link.partition(">")
        source, target = self._end(source_id), self._end(target_id)
        if record.kind is Kind.SEND:
            self._note_packet(record, source, target, sent=record)
        elif record.kind is Kind.ARRIVE or record.actor == NETWORK:
            sent = self._packet(record.cause)
            if sent is None or sent.end_n or sent.target != target:  # a copy, or its sending is not in the range
                cause = self.record(record.cause)
                was_sent = isinstance(cause, PacketRecord) and cause.kind is Kind.SEND
                sent = self._note_packet(record, source, target, sent=cause if was_sent else None)
            sent.end_n, sent.end_us, sent.why = record.n, record.t_us, record.why
            sent.fate = Fate.ARRIVED if record.kind is Kind.ARRIVE else Fate.LOST
            self.packet_of[record.n] = sent.index
        else:
            self._drop_at_host(record, source, target)

    def _drop_at_host(self, record: PacketRecord, source: int, target: int) -> None:
        """The host that had received a packet drops it, or the one that was to send it does not."""
        n = record.cause
        for _ in range(ARRIVAL_DISTANCE_MAX):
            packet = self._packet(n)
            if packet is not None and packet.end_n == n and source == packet.source:
                packet.fate, packet.rejected_n, packet.why = Fate.REJECTED, record.n, record.why
                self.packet_of[record.n] = packet.index
                return
            cause = self.record(n)
            if cause is None:
                break
            n = cause.cause
        packet = self._note_packet(record, source, target, sent=None)
        packet.end_n, packet.end_us, packet.why = record.n, record.t_us, record.why
        packet.fate = Fate.WITHHELD if record.link.startswith(f"{record.actor}>") else Fate.REJECTED

    def _note_packet(self, record: PacketRecord, source: int, target: int, sent: Record | None) -> Packet:
        sent_n, sent_us = (sent.n, sent.t_us) if sent is not None else (0, record.t_us)
        index = self.packet_of[record.n] = len(self.packets)
        packet = Packet(index, source, target, record.proto, record.what, record.bytes, sent_n, sent_us)
        if record.what in TALK:
            packet.root = record.packet.partition("/")[0]
        packet.is_repeated = record.what == PacketKind.ENTER and "#" in record.packet.rpartition("/")[2]
        self.packets.append(packet)
        return packet

    def _packet(self, n: int) -> Packet | None:
        place = self.packet_of.get(n)
        return None if place is None else self.packets[place]

    def _add_fault(self, record: FaultRecord) -> None:
        if (ends := ENDED_BY.get(record.what)) is not None:
            self._end_faults(ends, record)
            return
        lasts = record.what in LASTING
        for lifeline, links in self._places(record).items():
            fault = Fault(record.what, record.why, lifeline, links, record.n, record.t_us)
            if not lasts:
                fault.to_n, fault.to_us = record.n, record.t_us
            else:
                self._going_on.append(fault)
            self.faults.append(fault)
            if record.what == CRASH:
                self._lose_machines(lifeline, record)
                if record.actor not in self._servers:
                    self._down[record.actor] = fault

    def _lose_machines(self, lifeline: int, record: FaultRecord | StepRecord, room: str | None = None) -> None:
        """Who crashes loses all state, who gives a room away that of the room: machines are gone, without a step."""
        for key in [key for key in self._living if key[0] == lifeline and _is_in(room, key[1], key[2])]:
            track = self.tracks[self._living.pop(key)]
            band = track.bands[-1]
            band.to_n, band.to_us = record.n, record.t_us
            track.bands.append(Band("", record.n, record.t_us))
            self._columns[lifeline, track.machine][track.column] = False
            self.losses.append((track.index, record.n))

    def _places(self, record: FaultRecord) -> dict[int, tuple[str, ...]]:
        """Where a fault is: the lifelines, each with its links."""
        if record.actor != NETWORK:
            return {self.lifeline(record.actor): ()}
        places: defaultdict[int, tuple[str, ...]] = defaultdict(tuple)
        for link in record.why.split(", "):
            ends = [each for each in link.split(">") if each not in self._servers]
            for end in ends or dict.fromkeys(link.split(">")):
                users = [line.id for line in self.lifelines if line.role is Role.USER] if end == EVERYBODY else [end]
                for user in users:
                    places[self.lifeline(user)] += (link.replace(EVERYBODY, user) if end == EVERYBODY else link,)
        return dict(places)

    def _end_faults(self, what: str, record: FaultRecord) -> None:
        going_on = [fault for fault in self._going_on if fault.what == what]
        ended = [fault for fault in going_on if fault.from_n == record.cause]
        if not ended:
            places = self._places(record)
            ended = [f for f in going_on if f.lifeline in places and set(f.links) <= set(places[f.lifeline])]
        for fault in ended:
            fault.to_n, fault.to_us = record.n, record.t_us
            self._going_on.remove(fault)

    def _learn_text(self, show: ShowRecord) -> None:
        """What somebody reads is what the packets of the chain say that brought it."""
        n = show.cause
        for _ in range(ARRIVAL_DISTANCE_MAX):
            if (packet := self._packet(n)) is not None:
                if packet.root and show.what == PacketKind.RELAY:
                    self.texts.setdefault(packet.root, show.text)
                return
            cause = self.record(n)
            n = 0 if cause is None else cause.cause

    # --- lifelines -------------------------------------------------------------------------------

    def lifeline(self, id: str) -> int:
        """The place of an actor's lifeline, which it is given if it has none. The network has none: -1."""
        if id == NETWORK:
            return -1
        index = self._lifelines.get(id)
        if index is None:
            index = self._add_lifeline(id, id, Role.SERVER if id in self._servers else Role.USER)
        return index

    def _end(self, id: str) -> int:
        """The lifeline at an end of a link, which may not be named."""
        return self.lifeline(id) if id else -1

    def _lifeline_of_machine(self, record: StepRecord | RefusalRecord) -> int:
        if not self._is_seen_by_server or record.actor != SERVER or record.machine is not Machine.SESSION:
            return self.lifeline(record.actor)
        self.lifeline(SERVER)
        index = self._members.get(record.id)
        if index is None:
            is_new = not self._free_lifelines
            index = self._members[record.id] = len(self.lifelines) if is_new else self._free_lifelines.pop()
            self.lifelines[index : index + 1] = [Lifeline(index, record.id, record.id.rpartition("@")[0], Role.MEMBER)]
        return index

    def _add_lifeline(self, id: str, name: str, role: Role, dialect: str = "") -> int:
        index = self._lifelines[id] = len(self.lifelines)
        self.lifelines.append(Lifeline(index, id, name, role, dialect))
        return index

    @property
    def order(self) -> list[int]:
        """The lifelines from left to right: users as they come, and the server between them, so that few arrows
        cross a lifeline.
        """
        seen = (line for line in self.lifelines if line.index not in self._free_lifelines)
        come = sorted(seen, key=lambda line: self._came.get(line.id, self.n + 1))
        servers = [line.index for line in come if line.role is Role.SERVER]
        others = [line.index for line in come if line.role is not Role.SERVER]
        if any(line.role is Role.MEMBER for line in self.lifelines):
            return servers + others
        half = (len(others) + 1) // 2
        return others[:half] + servers + others[half:]

    # --- asking ----------------------------------------------------------------------------------

    def record(self, n: int) -> Record | None:
        """Record number `n`, if it is kept."""
        place = n - self.first
        return self.records[place] if 0 <= place < len(self.records) else None

    def causes(self, n: int, most: int = CAUSES_MAX) -> list[int]:
        """The chain of causes that ends with record `n`, which is the last."""

        def cause_of(n: int) -> int:
            record = self.record(n)
            return 0 if record is None else record.cause

        return [each for each in chain_of_causes(n, cause_of, most) if self.record(each) is not None]

    def effects(self, n: int) -> Sequence[int]:
        """The records whose cause is record `n`."""
        return self._effects.get(n, ())


def _is_in(room: str | None, machine: AnyMachine, id: str) -> bool:
    """Whether a machine is of a room; None: of whichever."""
    if room is None:
        return True
    return id == room if machine is Machine.ROOM else machine is Machine.SESSION and id.endswith(f"@{room}")


def picture_of(header: Header, records: Iterable[Record], *, first: int = 1, last: int | None = None) -> Picture:
    """The picture of a trace, as `tcrp.trace.reader.read_trace` gives it. Raises what reading raises."""
    picture = Picture(header, first=first, last=last)
    for record in records:
        picture.add(record)
        if record.n == last:
            break
    return picture
