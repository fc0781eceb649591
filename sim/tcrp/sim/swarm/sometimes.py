"""What a run has met of the things that a swarm must meet. A listener of the trace."""

from __future__ import annotations

from collections.abc import Hashable

from tcrp.sim.hosts.server import SERVER
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import (
    HandshakeEvent,
    HandshakeState,
    Machine,
    PacketKind,
    RoomEvent,
    Rule,
    SessionEvent,
    SessionState,
    Sometimes,
)
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, StepRecord

REPLAY = ".replay#"
"""In the name of each packet that a step `replay` has sent."""


class SometimesCoverage:
    """How often each was met."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(Sometimes, 0)
        self._granted_us: dict[Hashable, int] = {}  # by token
        self._spoke_us: dict[Hashable, int] = {}

    def hear(self, record: Record) -> None:
        """Count what a record shows."""
        match record:
            case PacketRecord():
                self._see_packet(record)
            case StepRecord() if record.actor == SERVER:
                self._see_step(record)
            case RefusalRecord(rule=Rule.TOK_4):
                self.counts[Sometimes.ENDED_TOKEN_SPOKE] += 1
            case FaultRecord(what="crash") if record.actor == SERVER:
                self.counts[Sometimes.CRASHED] += 1

    def _see_packet(self, packet: PacketRecord) -> None:
        counts = self.counts
        if packet.kind is Kind.ARRIVE:
            counts[Sometimes.DUPLICATE_ARRIVED] += packet.why == "duplicate"
            counts[Sometimes.CORRUPTED_ARRIVED] += packet.why == "corrupted"
            counts[Sometimes.TOKEN_REPLAYED] += REPLAY in packet.packet
        elif packet.kind is Kind.DROP:
            counts[Sometimes.TOKEN_FROM_ELSEWHERE] += packet.rule is Rule.TOK_3
            counts[Sometimes.TOO_LONG_FOR_ONE] += packet.rule is Rule.UDP_2
            counts[Sometimes.READ_AS_A_NOTICE] += packet.rule is Rule.REL_3
            counts[Sometimes.QUEUE_OVERFLOWED] += packet.why == "queue"
            if packet.why in ("loss", "cut"):
                counts[Sometimes.NOTICE_LOST] += packet.what == PacketKind.NOTICE
                counts[Sometimes.ENTER_LOST] += packet.what == PacketKind.ENTER

    def _see_step(self, step: StepRecord) -> None:
        counts = self.counts
        match step.machine, step.event:
            case Machine.SESSION, SessionEvent.GRANTED:
                self._granted_us[(step.id, step.instance)] = step.t_us
            case Machine.SESSION, SessionEvent.ENTERED:
                counts[Sometimes.ENTERED_LATE] += (
                    step.t_us - self._granted_us.get((step.id, step.instance), step.t_us) >= SECOND_US
                )
            case Machine.SESSION, SessionEvent.SPOKE:
                self._spoke_us[(step.id, step.instance)] = step.t_us
            case Machine.SESSION, SessionEvent.SUPERSEDED:
                counts[Sometimes.NAME_TAKEN_OVER] += 1
            case Machine.SESSION, SessionEvent.REMOVED:
                counts[Sometimes.SENDER_REMOVED] += step.rule is Rule.IDLE_2
            case Machine.SESSION, SessionEvent.IDLED:
                counts[Sometimes.FELL_SILENT] += step.from_ == SessionState.IN_ROOM
            case Machine.SESSION, SessionEvent.ROOM_CLOSED:
                counts[Sometimes.GUEST_LOST_ITS_ROOM] += step.from_ == SessionState.IN_ROOM
                spoke_us = self._spoke_us.get((step.id, step.instance), -SECOND_US)
                counts[Sometimes.SPEAKER_LOST_ITS_ROOM] += 0 <= step.t_us - spoke_us < SECOND_US
            case Machine.ROOM, RoomEvent.SHUTDOWN:
                counts[Sometimes.SHUT_DOWN] += 1
            case Machine.HANDSHAKE, HandshakeEvent.ABANDONED:
                counts[Sometimes.GRANT_UNDONE] += step.from_ == HandshakeState.ACCEPTED
            case Machine.HANDSHAKE, HandshakeEvent.REFUSED:
                counts[Sometimes.LOCKED_OUT] += "password_tries_max" in step.why

    def add(self, other: SometimesCoverage) -> None:
        """Count what another has met too."""
        for each, times in other.counts.items():
            self.counts[each] += times

    def missing(self) -> list[Sometimes]:
        """What was never met."""
        return [each for each, times in self.counts.items() if not times]
