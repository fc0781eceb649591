"""Walks the machines along a recorded reality: packets of a capture, or the steps of a trace.

From the packets alone it reconstructs connections, sessions and rooms, and says which packet breaks a rule. What it
cannot know (limits, timeouts, what happened before the capture began) is never held against a server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tcrp.engine.codec import PORT_BYTES, Codec, learns_port
from tcrp.engine.meanings import Accepted, Completed, Denied, Relayed, Told, Unread
from tcrp.engine.notices import ENDINGS, NoticeReader
from tcrp.engine.recognition import Recognised, Recogniser
from tcrp.engine.templates import Mismatch, Partial
from tcrp.spec.cluster_names import AnyMachine, AnyRule, ClusterMachine
from tcrp.spec.dialects import LearnedFrom, RelayFrom
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, SECOND_US, SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Notice, Operation, Rule, SessionEvent, SessionState
from tcrp.spec.ownership import LEASE, OWNERSHIP
from tcrp.spec.render import TABLES
from tcrp.spec.table import SESSION, Table
from tcrp.trace.records import Record, StepRecord

REQUEST_BYTES_MAX = 1 << 20
TEXT_US = 30 * SECOND_US
"""How long a text may be on its way."""
RELAYED_US = 2 * SECOND_US
"""How long after a text a member may not have been sent it."""
PRESENT_US = 10 * SECOND_US
"""Who has spoken so recently is there, whatever the server's timeouts are."""
FAST = 10
"""A sender of more texts a second may be over a limit of the server."""
TOLD_US = 2 * SECOND_US
"""How long after the end of a room its members may not have been told."""


class Packet(NamedTuple):
    """One packet between a client and the server. `number` and `at_us` are the capture's."""

    number: int
    at_us: int
    is_tcp: bool
    to_server: bool
    client: tuple[str, int]
    data: bytes
    sequence: int = 0  # TCP
    opens: bool = False
    ends: bool = False


class Break(NamedTuple):
    """A packet, or a record of a trace, that breaks a rule."""

    number: int
    rule: AnyRule
    said: str


@dataclass(slots=True)
class Session:
    """One user's life in one room, as the wire shows it."""

    name: str
    room: str
    token: bytes
    ip: str
    codec: Codec
    reader: NoticeReader
    is_host: bool
    address: tuple[str, int] | None = None
    state: SessionState = SessionState.TOKENED
    ended_us: int = 0
    ended_by: SessionEvent | None = None
    heard_us: int | None = None  # when its latest valid datagram came
    is_told: bool = False
    latest: dict[bytes, int] = field(default_factory=dict)  # sender -> number of its latest text that arrived


@dataclass(slots=True)
class Text:
    """A text that a client has sent."""

    number: int
    at_us: int
    text: str
    sender: Session | None
    fault: tuple[Rule, str] | None  # why it must not be relayed
    room: str
    reached: set[bytes] = field(default_factory=set)
    due: tuple[Session, ...] = ()  # who was there, and must be sent it


class Half:
    """One direction of a connection, put in order."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._next: int | None = None
        self._early: dict[int, bytes] = {}

    def take(self, packet: Packet) -> None:
        """Add a segment; what came before or is repeated counts once."""
        start = packet.sequence + 1 if packet.opens else packet.sequence
        if self._next is None or packet.opens:
            self._next = start
        if packet.data:
            self._early[start] = max(self._early.get(start, b""), packet.data, key=len)
        while True:
            found = next((at for at in self._early if _behind(self._next, at) >= 0), None)
            if found is None:
                return
            piece = self._early.pop(found)[_behind(self._next, found) :]
            self.data += piece
            self._next = (self._next + len(piece)) % 2**32


def _behind(here: int, there: int) -> int:
    """How far `here` is behind `there` in the numbers of TCP, which wrap; negative if it is before it."""
    return (here - there + 2**31) % 2**32 - 2**31


@dataclass(slots=True)
class Connection:
    """A connection, its request and what the server has said."""

    up: Half = field(default_factory=Half)
    down: Half = field(default_factory=Half)
    recognised: Recognised | None = None
    is_read: bool = False  # the request, or what can be none
    is_over: bool = False  # granted or refused
    granted: Session | None = None


class Recorded:
    """Follows a server packet by packet. `breaks` are the packets that break a rule, in their order."""

    def __init__(self, codecs: Sequence[Codec]) -> None:
        self.breaks: list[Break] = []
        self.sessions: dict[bytes, Session] = {}
        self.requests = self.texts_seen = self.relays = self.notices = 0
        self._recogniser = Recogniser(codecs)
        self._connections: dict[tuple[str, int], Connection] = {}
        self._texts: list[Text] = []
        self._due: deque[Text] = deque()  # those of which it is not known yet whether they reach everybody
        self._rooms: dict[str, bool] = {}  # rooms created in this recording: whether they are open
        self._closed_us: dict[str, tuple[int, int]] = {}  # when rooms ended, and by which packet

    def take(self, packet: Packet) -> None:
        """The next packet."""
        self._look_for_the_untold(packet.at_us)
        self._look_for_the_unrelayed(packet.at_us)
        if packet.is_tcp:
            self._take_segment(packet)
        elif packet.to_server:
            self._take_text(packet)
        else:
            self._take_datagram(packet)

    def _breaks(self, packet: Packet, rule: Rule, said: str) -> None:
        self.breaks.append(Break(packet.number, rule, said))

    # --- requests ---------------------------------------------------------------------------------

    def _take_segment(self, packet: Packet) -> None:
        if packet.opens and packet.to_server:
            self._connections[packet.client] = Connection()
        connection = self._connections.get(packet.client)
        if connection is None:
            return  # it began before the recording
        (connection.up if packet.to_server else connection.down).take(packet)
        if not connection.is_read:
            read = self._recogniser.read(bytes(connection.up.data), limit=REQUEST_BYTES_MAX, is_over=packet.ends)
            connection.is_read = not isinstance(read, Partial)
            connection.recognised = read if isinstance(read, Recognised) else None
            self.requests += connection.is_read and not isinstance(read, Mismatch)
        if not packet.to_server:
            self._read_replies(packet, connection)
        self._read_trailer(packet, connection)

    def _read_replies(self, packet: Packet, connection: Connection) -> None:
        read = connection.recognised
        if read is None or read.codec is None or read.asked.request is None:
            return
        data = connection.down.data
        while data and not connection.is_over:
            reply = read.codec.read_reply(bytes(data), read.asked.operation)
            if isinstance(reply, Partial | Unread):
                return
            del data[: reply.size]
            match reply.says:
                case Accepted():
                    continue
                case Completed(token):
                    connection.granted = self._grant(packet, read.codec, read, token)
                case Denied():
                    data.clear()  # some dialects say it in two frames
            connection.is_over = True
        if data:
            self._breaks(packet, Rule.TCP_1, f"{len(data)} bytes over TCP behind the last frame: {bytes(data[:40])!r}")
            data.clear()

    def _read_trailer(self, packet: Packet, connection: Connection) -> None:
        """The port that a client tells behind its request, where its dialect has that."""
        session, read = connection.granted, connection.recognised
        if session is None or read is None or session.state is not SessionState.TOKENED:
            return
        behind = connection.up.data[read.asked.size :][:PORT_BYTES]
        if learns_port(session.codec, LearnedFrom.TRAILER) and len(behind) == PORT_BYTES:
            session.address = packet.client[0], int.from_bytes(behind, "big")
            session.state = SESSION.rows[session.state, SessionEvent.ENTERED].to

    def _grant(self, packet: Packet, speaks: Codec, read: Recognised, token: bytes) -> Session:
        request, room = read.asked.request, read.asked.room.decode(errors="replace")
        assert request is not None, "only what was read is granted"
        is_create = read.asked.operation is Operation.CREATE
        who = f"{request.name.decode(errors='replace')} at {packet.client[0]}"
        if token in self.sessions:
            self._breaks(packet, Rule.TOK_1, f"the token of {who} was granted before, to {self.sessions[token].name}")
        if is_create and self._rooms.get(room) and not request.resume_token and self._members(room):
            self._breaks(packet, Rule.TCP_4, f"{who} is granted room {room!r}, which is open")
        if not is_create and self._rooms.get(room) is False:
            self._breaks(packet, Rule.ROOM_2, f"{who} is granted room {room!r}, whose host has left")
        if is_create:
            self._rooms[room] = True
            self._closed_us.pop(room, None)
        name = request.name.decode(errors="replace")
        for old in self._members(room):
            if old.name == name:  # taken over
                self._end(old, SessionEvent.SUPERSEDED, packet)
        session = Session(name, room, token, packet.client[0], speaks, NoticeReader(speaks, room), is_create)
        if request.port is not None:
            session.address = packet.client[0], request.port
            session.state = SessionState.IN_ROOM
        self.sessions[token] = session
        return session

    def _members(self, room: str) -> list[Session]:
        return [each for each in self.sessions.values() if each.room == room and each.state is not SessionState.EXPIRED]

    # --- what clients send ------------------------------------------------------------------------

    def _take_text(self, packet: Packet) -> None:
        for head in self._recogniser.heads:
            found = head(packet.data)
            if found is not None and found[1] in self.sessions:
                break
        else:
            self._texts.append(self._text_of_nobody(packet))
            return
        _, token, at = found
        session = self.sessions[token]
        text = session.codec.read_text(packet.data, at)
        fault: tuple[Rule, str] | None = None
        if session.ip != packet.client[0]:
            fault = Rule.TOK_3, f"sent from {packet.client[0]} with the token of {session.name} at {session.ip}"
        elif session.state is SessionState.EXPIRED:
            ago_ms = (packet.at_us - session.ended_us) / 1000
            fault = Rule.TOK_4, f"sent by {session.name} {ago_ms:.0f} ms after that session ended ({session.ended_by})"
        elif text is not None:
            if session.state is SessionState.TOKENED:
                session.state = SESSION.rows[session.state, SessionEvent.ENTERED].to
            session.heard_us = packet.at_us
            if not session.codec.dialect.port_fixed:
                session.address = packet.client
            if text in session.codec.leave_words:
                self._end(session, SessionEvent.LEFT, packet)
                fault = Rule.EXIT_1, f"the leave word of {session.name}"
        self.texts_seen += 1
        if text:
            said = Text(packet.number, packet.at_us, text, session, fault, session.room)
            self._texts.append(said)
            is_entering = text == session.codec.dialect.enter_word
            if fault is None and not is_entering and len(packet.data) <= CLIENT_DATAGRAM_BYTES_MAX:
                said.due = self._receivers(said, session)
            if said.due:
                self._due.append(said)

    def _receivers(self, text: Text, sender: Session) -> tuple[Session, ...]:
        """Who must be sent a text: those of its room who surely are there, and to whom its relay may go."""
        if text.room not in self._rooms:
            return ()
        recent = [each for each in self._texts[-FAST - 1 :] if each.sender is sender]
        if len(recent) > FAST and text.at_us - recent[0].at_us < SECOND_US:
            return ()
        return tuple(each for each in self._members(text.room) if each is not sender and _may_hear(each, text, sender))

    def _look_for_the_unrelayed(self, now_us: int) -> None:
        """Texts that were not relayed to everybody in time."""
        while self._due and now_us - self._due[0].at_us >= RELAYED_US:
            text = self._due.popleft()
            sender = text.sender
            assert sender is not None, "what is due has a sender"
            missed = [each for each in text.due if each.token not in text.reached and not _left_before(each, text)]
            if missed:
                said = (
                    f"text of {sender.name} in {text.room!r}, and {RELAYED_US / SECOND_US:g} s later it is not "
                    f"relayed to {', '.join(each.name for each in missed)}, though present"
                )
                self.breaks.append(Break(text.number, Rule.REL_1, said))

    def _text_of_nobody(self, packet: Packet) -> Text:
        """A text with a token that no one was granted: a fault only if all of the room is in the recording."""
        room, _, at = self._recogniser.heads[0](packet.data) or (None, b"", len(packet.data))
        fault = None
        if self._rooms.get((room or b"").decode(errors="replace")) is not None:
            where = f"{packet.client[0]}:{packet.client[1]}"
            fault = Rule.TOK_2, f"sent from {where} with a token that nobody was granted"
        return Text(packet.number, packet.at_us, packet.data[at:].decode(errors="replace"), None, fault, "")

    def _end(self, session: Session, event: SessionEvent, packet: Packet) -> None:
        if session.state is SessionState.EXPIRED:
            return
        session.state = SESSION.rows[session.state, event].to
        session.ended_us, session.ended_by = packet.at_us, event
        if session.is_host and event is not SessionEvent.SUPERSEDED and self._rooms.get(session.room):
            self._rooms[session.room] = False
            self._closed_us[session.room] = packet.at_us, packet.number
            for member in self._members(session.room):
                self._end(member, SessionEvent.ROOM_CLOSED, packet)

    def _look_for_the_untold(self, now_us: int) -> None:
        """Members whose room has closed and who were not told in time."""
        for room, (closed_us, number) in list(self._closed_us.items()):
            if now_us - closed_us < TOLD_US:
                continue
            del self._closed_us[room]
            untold = [
                each
                for each in self.sessions.values()
                if each.room == room and each.ended_by is SessionEvent.ROOM_CLOSED and each.address and not each.is_told
            ]
            if untold:
                said = f"the host of {room!r} leaves, and {TOLD_US / SECOND_US:g} s later {untold[0].name} is not told"
                self.breaks.append(Break(number, Rule.END_1, said))

    # --- what the server sends --------------------------------------------------------------------

    def _take_datagram(self, packet: Packet) -> None:
        where = f"{packet.client[0]}:{packet.client[1]}"
        if len(packet.data) > SERVER_DATAGRAM_BYTES_MAX:
            self._breaks(packet, Rule.UDP_2, f"{len(packet.data)} bytes to {where}")
        at_address = [each for each in self.sessions.values() if each.address == packet.client]
        receivers = sorted(at_address, key=lambda each: each.state is SessionState.EXPIRED)  # those who live first
        for receiver in receivers:
            told = receiver.reader.read(packet.data)
            if told is not None:
                self._take_notice(packet, receiver, told)
                return
        text = self._text_in(packet.data, receivers)
        if text is not None:
            self._take_relay(packet, text, receivers, where)

    def _take_notice(self, packet: Packet, receiver: Session, told: Told) -> None:
        self.notices += 1
        is_own = told.notice is Notice.LEFT and told.name == receiver.name
        if told.notice in ENDINGS or is_own:
            receiver.is_told = True
            self._end(receiver, ENDINGS.get(told.notice, SessionEvent.IDLED), packet)
        elif told.notice is Notice.LEFT:  # by leaving, or by silence
            for member in self._members(receiver.room):
                if member.name == told.name:
                    self._end(member, SessionEvent.IDLED, packet)

    def _text_in(self, data: bytes, receivers: Sequence[Session]) -> tuple[Text, str | None] | None:
        """The latest text that a datagram relays, as a receiver reads it, and by which name."""
        for receiver in receivers:
            relayed: Relayed | None = receiver.codec.read_relay(data)
            if relayed is not None:
                same = [each for each in self._texts if each.text == relayed.text]
                ours = [each for each in same if each.room == receiver.room] or same
                fresh = [each for each in ours if receiver.token not in each.reached] or ours[-1:]
                fresh.sort(key=lambda each: each.fault is not None)  # of equal texts, one that may be relayed
                if fresh:
                    return fresh[0], relayed.name
        named = [each for each in self._texts if len(each.text) > 2 and each.text.encode() in data]
        return (named[-1], None) if named else None

    def _take_relay(
        self, packet: Packet, found: tuple[Text, str | None], receivers: Sequence[Session], where: str
    ) -> None:
        self.relays += 1
        text, name = found
        relay = f"relay to {where} of the text of packet {text.number}"
        if packet.at_us - text.at_us > TEXT_US:
            return None
        if text.fault is not None and (text.fault[0] is not Rule.EXIT_1 or name is not None):
            rule, why = text.fault
            return self._breaks(packet, rule, f"{relay}, {why}")
        if text.sender is None or text.room not in self._rooms:
            return None  # who else is in that room, only what came before the recording would tell
        if not receivers:
            return self._breaks(packet, Rule.REL_1, f"{relay}, where nobody of the room is")
        inside = [each for each in receivers if each.room == text.room]
        if not inside:
            return self._breaks(packet, Rule.REL_1, f"{relay}, where {receivers[0].name} is, in another room")
        receiver = inside[0]
        if receiver.state is SessionState.EXPIRED:
            after_ms = (packet.at_us - receiver.ended_us) / 1000
            if text.at_us > receiver.ended_us:
                return self._breaks(packet, Rule.TOK_4, f"{relay}, {after_ms:.0f} ms after its session expired")
            return None  # it was on its way
        if receiver is text.sender:
            return self._breaks(packet, Rule.REL_1, f"{relay}, back to its sender")
        if receiver.token in text.reached:
            return self._breaks(packet, Rule.REL_1, f"{relay}, a second time")
        text.reached.add(receiver.token)
        before = receiver.latest.get(text.sender.token, 0)
        if before > text.number:
            return self._breaks(packet, Rule.REL_2, f"{relay}, behind that of packet {before}, which was sent later")
        receiver.latest[text.sender.token] = text.number
        if name is not None and name != text.sender.name:
            self._breaks(packet, Rule.REL_3, f"{relay} names {name!r}; it was sent by {text.sender.name}")
        return None


def _may_hear(member: Session, text: Text, sender: Session) -> bool:
    """Whether a member is there, and its dialect has a form for the text that it does not read as a notice."""
    is_there = member.heard_us is not None and text.at_us - member.heard_us <= PRESENT_US and member.address is not None
    if not is_there or member.codec.dialect.relay_from is RelayFrom.ANY_PORT:
        return False  # relays from other ports may not be in the recording
    relay = member.codec.write_relay(sender.name, text.text, text.room.encode(), member.token)
    return relay is not None and len(relay) <= SERVER_DATAGRAM_BYTES_MAX and not member.reader.is_forged_by(relay)


def _left_before(member: Session, text: Text) -> bool:
    """Whether a member had ended before the text could have been relayed to it."""
    return member.state is SessionState.EXPIRED and member.ended_us - text.at_us < RELAYED_US


ALL_TABLES: dict[AnyMachine, Table[Any, Any]] = {table.machine: table for table in (*TABLES.values(), LEASE, OWNERSHIP)}


def first_break_in_trace(records: Iterable[Record]) -> tuple[Break | None, int]:
    """The first step that is no row of its machine's table, or does not begin where its machine was; and how many
    steps were read.
    """
    states: dict[tuple[str, str, str, int], str] = {}
    adopted: set[tuple[str, str]] = set()  # by server of a cluster: the rooms with which it goes on
    count = 0
    for step in _steps(records):
        count += 1
        table = ALL_TABLES[step.machine]
        who = f"{step.machine} {step.id} of {step.actor}"
        key = step.actor, str(step.machine), step.id, step.instance
        room = step.id.rpartition("@")[2]
        if step.machine is ClusterMachine.OWNERSHIP:
            adopted.add((step.actor, step.id))
            for each in [each for each in states if each[0] == step.actor and each[2].rpartition("@")[2] == step.id]:
                if each[1] != ClusterMachine.OWNERSHIP:
                    del states[each]
        state = states.get(key, step.from_ if (step.actor, room) in adopted else str(table.initial))
        if step.from_ != state:
            return Break(step.n, step.rule, f"{who} steps from {step.from_}, but it was {state}"), count
        row = table.rows.get((step.from_, step.event))  # names of the trace: they are equal to the table's
        if row is None:
            return Break(step.n, step.rule, f"{who} takes {step.event} in {step.from_}, which it refuses"), count
        if row.to != step.to:
            return Break(step.n, row.rule, f"{who} steps by {step.event} to {step.to}, where {row.to} is due"), count
        states[key] = step.to
    return None, count


def _steps(records: Iterable[Record]) -> Iterator[StepRecord]:
    return (each for each in records if isinstance(each, StepRecord))
