"""What a swarm must meet at least once, and a listener of the trace that counts what a run has met."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from enum import StrEnum
from types import MappingProxyType

from tcrp.sim.hosts.server import SERVER
from tcrp.spec.cluster_names import ClusterMachine, OwnershipEvent, OwnershipState, OwnRule
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
    TOKEN_BY_ANOTHER_LISTENER = "a-token-came-by-another-listener"
    LISTENERS_MET = "members-of-two-listeners-met"
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
    SPOKE_TOO_OFTEN = "a-user-spoke-too-often"
    TOO_LONG = "a-datagram-was-too-long"
    TAKEN_OVER_EARLY = "a-member-that-had-not-entered-was-taken-over"
    ROOMS_LISTED = "the-rooms-were-listed"
    LIMITS_CHANGED = "limits-changed"
    CAME_BACK = "a-user-came-back-to-an-address"
    WRONG_PASSWORD = "a-password-was-wrong"
    NAME_TAKEN = "a-name-was-taken"
    INVALID_NAME = "a-name-was-invalid"
    INVALID_PORT = "a-port-was-too-low"
    ROOM_FULL = "a-room-was-full"
    REQUEST_TOO_LONG = "a-request-was-too-long"
    TOO_MANY_ROOMS = "there-were-too-many-rooms"
    TOO_MANY_ROOMS_OF_ONE_IP = "there-were-too-many-rooms-of-one-address"
    TOO_MANY_SESSIONS = "there-were-too-many-sessions"
    TOO_MANY_OF_ONE_IP = "there-were-too-many-sessions-of-one-address"
    TOO_MANY_UNENTERED = "there-were-too-many-rooms-without-their-host"
    TOO_MANY_CONNECTIONS = "there-were-too-many-connections"
    ASKED_WHILE_STOPPING = "a-stopping-server-was-asked"
    HANDED_OVER = "a-room-was-handed-over"
    RECOVERED = "a-lost-servers-room-was-taken-over"


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
        Sometimes.TOKEN_BY_ANOTHER_LISTENER: Claim(
            "A living token came by a listener that had not granted it.", (Rule.TOK_3,)
        ),
        Sometimes.LISTENERS_MET: Claim("A text was relayed to a member of another listener.", (Rule.REL_1,)),
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
        Sometimes.SPOKE_TOO_OFTEN: Claim("A text was dropped because its user had sent too many.", (Rule.LIM_1,)),
        Sometimes.TOO_LONG: Claim("A datagram of more than 4096 bytes came with a living token.", (Rule.UDP_1,)),
        Sometimes.TAKEN_OVER_EARLY: Claim("A name was taken over whose holder had not entered.", (Rule.NAME_2,)),
        Sometimes.ROOMS_LISTED: Claim("Somebody asked which rooms are open, and was told.", (Rule.TCP_2,)),
        Sometimes.LIMITS_CHANGED: Claim("A server was given other limits while it ran.", (Rule.LIM_1,)),
        Sometimes.CAME_BACK: Claim("A user moved back to an IP address that it had left.", (Rule.TOK_3,)),
        Sometimes.WRONG_PASSWORD: Claim("A request with a wrong password was refused.", (Rule.PASS_1,)),
        Sometimes.NAME_TAKEN: Claim("A request was refused because its name was taken.", (Rule.NAME_2,)),
        Sometimes.INVALID_NAME: Claim("A room's or user's name was none.", (Rule.NAME_1,)),
        Sometimes.INVALID_PORT: Claim("A request named a port below 1024.", (Rule.ADDR_1,)),
        Sometimes.ROOM_FULL: Claim("A room had as many members as it may.", (Rule.LIM_1,)),
        Sometimes.REQUEST_TOO_LONG: Claim("A request was longer than one may be.", (Rule.LIM_1,)),
        Sometimes.TOO_MANY_ROOMS: Claim("A server had as many rooms as it may.", (Rule.LIM_1,)),
        Sometimes.TOO_MANY_ROOMS_OF_ONE_IP: Claim("An address had as many rooms as it may.", (Rule.LIM_1,)),
        Sometimes.TOO_MANY_SESSIONS: Claim("A server had as many sessions as it may.", (Rule.LIM_1,)),
        Sometimes.TOO_MANY_OF_ONE_IP: Claim("An address had as many sessions as it may.", (Rule.LIM_1,)),
        Sometimes.TOO_MANY_UNENTERED: Claim(
            "An address had as many rooms whose host has not entered as it may.", (Rule.LIM_2,)
        ),
        Sometimes.TOO_MANY_CONNECTIONS: Claim("A connection was one too many.", (Rule.LIM_1,)),
        Sometimes.ASKED_WHILE_STOPPING: Claim("A request came while the server was shutting down.", (Rule.END_1,)),
        Sometimes.HANDED_OVER: Claim("A server of a cluster gave a room to another one.", (OwnRule.OWN_7,)),
        Sometimes.RECOVERED: Claim("A server of a cluster went on with a room whose owner was lost.", (OwnRule.OWN_3,)),
    }
)
"""What each of them means, and the rules that it tests. No rules: a fault of the network or of a host."""

REFUSALS: tuple[tuple[str, Sometimes], ...] = (
    (": password_tries_max", Sometimes.LOCKED_OUT),
    ("wrong_password", Sometimes.WRONG_PASSWORD),
    ("name_taken", Sometimes.NAME_TAKEN),
    (" name is ", Sometimes.INVALID_NAME),
    (" name holds ", Sometimes.INVALID_NAME),
    (": port ", Sometimes.INVALID_PORT),
    (": members_max", Sometimes.ROOM_FULL),
    (": request too long", Sometimes.REQUEST_TOO_LONG),
    (": rooms_max", Sometimes.TOO_MANY_ROOMS),
    (": rooms_per_ip_max", Sometimes.TOO_MANY_ROOMS_OF_ONE_IP),
    (": sessions_max", Sometimes.TOO_MANY_SESSIONS),
    (": sessions_per_ip_max", Sometimes.TOO_MANY_OF_ONE_IP),
    (": unentered_rooms_per_ip_max", Sometimes.TOO_MANY_UNENTERED),
    (": the server is stopping", Sometimes.ASKED_WHILE_STOPPING),
)
"""What stands in the reason of a refused request, and what has then been met."""

REPLAY = ".replay@"
"""In the name of each packet that a step `replay` has sent."""


class SometimesCoverage:
    """How often each was met."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(Sometimes, 0)
        self._granted_us: dict[Hashable, int] = {}  # by token
        self._spoke_us: dict[Hashable, int] = {}
        self._left_ips: dict[str, set[str]] = {}  # by user
        self._speaks_by = ""  # the listener of the latest that spoke

    def hear(self, record: Record) -> None:
        """Count what a record shows."""
        if type(record) is PacketRecord and record.kind is Kind.SEND:  # a packet that is sent shows nothing yet
            return
        match record:
            case PacketRecord():
                self._see_packet(record)
            case StepRecord() if record.actor == SERVER:
                self._see_step(record)
            case StepRecord(machine=ClusterMachine.OWNERSHIP, from_=OwnershipState.HANDING_OVER):
                self.counts[Sometimes.HANDED_OVER] += record.event == OwnershipEvent.SEEN
            case StepRecord(machine=ClusterMachine.OWNERSHIP, from_=OwnershipState.ORPHANED):
                self.counts[Sometimes.RECOVERED] += record.event == OwnershipEvent.WANTED
            case RefusalRecord(rule=Rule.TOK_4):
                self.counts[Sometimes.ENDED_TOKEN_SPOKE] += 1
            case FaultRecord():
                self._see_fault(record)

    def _see_fault(self, fault: FaultRecord) -> None:
        counts = self.counts
        if fault.actor == SERVER:
            counts[Sometimes.CRASHED] += fault.what == "crash"
            counts[Sometimes.LIMITS_CHANGED] += fault.what == "set_limits"
        elif fault.what == "move":
            old, new = (where.rpartition(":")[0] for where in fault.why.split(" to "))
            left = self._left_ips.setdefault(fault.actor, set())
            counts[Sometimes.CAME_BACK] += new in left and new != old
            left.add(old)

    def _see_packet(self, packet: PacketRecord) -> None:
        counts = self.counts
        if packet.kind is Kind.ARRIVE:
            counts[Sometimes.DUPLICATE_ARRIVED] += packet.why == "duplicate"
            counts[Sometimes.CORRUPTED_ARRIVED] += packet.why == "corrupted"
            counts[Sometimes.TOKEN_REPLAYED] += REPLAY in packet.packet
        elif packet.kind is Kind.DROP:
            counts[Sometimes.TOKEN_FROM_ELSEWHERE] += packet.why == "from another address"
            counts[Sometimes.TOKEN_BY_ANOTHER_LISTENER] += packet.why == "by another listener"
            counts[Sometimes.TOO_LONG_FOR_ONE] += packet.rule is Rule.UDP_2
            counts[Sometimes.READ_AS_A_NOTICE] += packet.rule is Rule.REL_3
            counts[Sometimes.QUEUE_OVERFLOWED] += packet.why == "queue"
            counts[Sometimes.SPOKE_TOO_OFTEN] += packet.why == "texts_per_second_max"
            counts[Sometimes.TOO_LONG] += packet.why == "over 4096 bytes"
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
                self._speaks_by = step.listener
            case Machine.SESSION, SessionEvent.RELAYED:
                counts[Sometimes.LISTENERS_MET] += step.listener != self._speaks_by
            case Machine.SESSION, SessionEvent.SUPERSEDED:
                counts[Sometimes.NAME_TAKEN_OVER] += 1
                counts[Sometimes.TAKEN_OVER_EARLY] += step.from_ == SessionState.TOKENED
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
            case Machine.HANDSHAKE, HandshakeEvent.LISTED:
                counts[Sometimes.ROOMS_LISTED] += 1
            case Machine.HANDSHAKE, HandshakeEvent.REFUSED:
                counts[Sometimes.TOO_MANY_CONNECTIONS] += step.from_ == HandshakeState.IDLE and "_many_" in step.why
                for words, met in REFUSALS:
                    counts[met] += words in step.why

    def add(self, other: SometimesCoverage) -> None:
        """Count what another has met too."""
        for each, times in other.counts.items():
            self.counts[each] += times

    def missing(self) -> list[Sometimes]:
        """What was never met."""
        return [each for each, times in self.counts.items() if not times]
