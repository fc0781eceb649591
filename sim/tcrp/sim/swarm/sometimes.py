"""What a swarm must meet at least once, and a listener of the trace that counts what a run has met."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from enum import StrEnum
from types import MappingProxyType

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
)
from tcrp.spec.properties import Claim
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, StepRecord


class Sometimes(StrEnum):
    """What a swarm must meet at least once. It fails if it does not: it would not have tested that case."""

    DUPLICATE_ARRIVED = "a-duplicate-arrived"
    CORRUPTED_ARRIVED = "a-corrupted-datagram-arrived"
    NOTICE_LOST = "a-notice-was-lost"
    ENTER_LOST = "an-enter-was-lost"
    ENDED_TOKEN_SPOKE = "an-ended-token-spoke"
    TOKEN_FROM_ELSEWHERE = "a-token-came-from-elsewhere"
    TOKEN_REPLAYED = "a-token-was-replayed"
    ENTERED_LATE = "a-member-entered-late"
    NAME_TAKEN_OVER = "a-name-was-taken-over"
    GRANT_UNDONE = "a-grant-was-undone"
    GUEST_LOST_ITS_ROOM = "a-guest-lost-its-room"
    SPEAKER_LOST_ITS_ROOM = "a-room-closed-under-a-speaking-guest"
    SENDER_REMOVED = "a-sender-was-removed"
    SHUT_DOWN = "a-server-was-shut-down"
    CRASHED = "a-server-crashed"
    LOCKED_OUT = "an-address-was-locked-out"
    FELL_SILENT = "a-member-fell-silent"
    QUEUE_OVERFLOWED = "a-queue-overflowed"
    TOO_LONG_FOR_ONE = "a-relay-was-too-long-for-one-form"
    READ_AS_A_NOTICE = "a-text-read-as-a-notice"


SOMETIMES: Mapping[Sometimes, Claim] = MappingProxyType(
    {
        Sometimes.DUPLICATE_ARRIVED: Claim(
            "The second copy of a datagram that the network duplicated arrived.", (Rule.REL_1,)
        ),
        Sometimes.CORRUPTED_ARRIVED: Claim("A datagram arrived with a bit flipped.", (Rule.UDP_3,)),
        Sometimes.NOTICE_LOST: Claim("A notice was lost on its way.", (Rule.END_1,)),
        Sometimes.ENTER_LOST: Claim("A datagram by which a client enters was lost.", (Rule.UDP_4,)),
        Sometimes.ENDED_TOKEN_SPOKE: Claim("A token that has ended was used again.", (Rule.TOK_4,)),
        Sometimes.TOKEN_FROM_ELSEWHERE: Claim("A living token came from another IP address.", (Rule.TOK_3,)),
        Sometimes.TOKEN_REPLAYED: Claim("A recorded datagram arrived again.", (Rule.TOK_3,)),
        Sometimes.ENTERED_LATE: Claim("A member entered a second or more after its token was granted.", (Rule.UDP_4,)),
        Sometimes.NAME_TAKEN_OVER: Claim("The name of a silent member was taken over.", (Rule.NAME_2,)),
        Sometimes.GRANT_UNDONE: Claim("A connection broke between answer and completion.", (Rule.TCP_2,)),
        Sometimes.GUEST_LOST_ITS_ROOM: Claim("A room closed under a guest who was in it.", (Rule.ROOM_2,)),
        Sometimes.SPEAKER_LOST_ITS_ROOM: Claim(
            "A room closed under a guest who had spoken within the second before.", (Rule.ROOM_2,)
        ),
        Sometimes.SENDER_REMOVED: Claim("Three rejected datagrams in a row ended their sender.", (Rule.IDLE_2,)),
        Sometimes.SHUT_DOWN: Claim("A server was shut down with a room open.", (Rule.END_1,)),
        Sometimes.CRASHED: Claim("A server crashed and lost its state.", ()),
        Sometimes.LOCKED_OUT: Claim("Too many wrong passwords locked an address out.", (Rule.PASS_1,)),
        Sometimes.FELL_SILENT: Claim("A member was silent for too long.", (Rule.IDLE_1,)),
        Sometimes.QUEUE_OVERFLOWED: Claim("A link of limited rate dropped a packet because its queue was full.", ()),
        Sometimes.TOO_LONG_FOR_ONE: Claim("A text was too long for one member's form of relay.", (Rule.UDP_2,)),
        Sometimes.READ_AS_A_NOTICE: Claim(
            "A text was withheld because it would have been read as a notice.", (Rule.REL_3,)
        ),
    }
)
"""What each of them means, and the rules that it tests. No rules: a fault of the network or of a host."""

REPLAY = ".replay@"
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
