"""The protocol's own properties, checked at every step of every run.

Keeps a ledger of its own, from the trace and from the bytes that the server is given: who holds a
token, in which room, heard when. The server's engine is believed nothing; what it does is compared
with the ledger. `tcrp.spec.properties` says what each property claims.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from tcrp.engine.codec import learns_port
from tcrp.engine.effects import Address, Relay, SendDatagram, SendFrame, ServerEffect
from tcrp.engine.hearing import notice_reader
from tcrp.engine.trace import Fault, Kind, Record, Step
from tcrp.engine.trace import Packet as PacketRecord
from tcrp.sim.packets import Packet
from tcrp.sim.server_host import SERVER, ServerHost
from tcrp.sim.shadow import Shadows
from tcrp.sim.tcp import Connection
from tcrp.sim.user_host import UNDER_WAY, Town, UserHost
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import (
    ANSWER_ENDED_EVERY_US,
    ANSWER_ENDED_FACTOR_MAX,
    CLIENT_DATAGRAM_BYTES_MAX,
    NOTICE_AGAIN_AFTER_US,
    SECOND_US,
    SERVER_DATAGRAM_BYTES_MAX,
    SHUTDOWN_LINGER_US,
    Limits,
    Takeover,
)
from tcrp.spec.names import (
    Counter,
    Machine,
    Property,
    RoomEvent,
    RoomState,
    SessionEvent,
    SessionState,
    What,
)
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION

WHERE_TO: dict[Machine, tuple[str, dict[tuple[str, str], str], frozenset[str]]] = {
    table.machine: (
        str(table.initial),
        {(str(state), str(event)): str(row.to) for (state, event), row in table.rows.items()},
        frozenset(map(str, table.final)),
    )
    for table in (SESSION, ROOM, HANDSHAKE)
}
TCP_OF_THE_SERVER = frozenset((What.ANSWER, What.COMPLETION, What.REFUSAL, What.LISTING))
SPEAKING = frozenset((What.SAY, What.ENTER, What.KEEP_ALIVE))
BY_CLIENT_ENGINES = SPEAKING | {What.LEAVE}
LATE_US = SECOND_US  # a deadline counts as missed when it is this far behind
ARRIVES_US = 2 * SECOND_US  # a datagram over a calm link has long arrived by then
_SEND, _DROP = Kind.SEND, Kind.DROP  # before Python 3.12 to look up an enum's member is slow


@dataclass(slots=True)
class Entry:
    """A session in the ledger."""

    token: Hashable
    id: str
    name: str
    room: str
    ip: str
    user: str
    state: SessionState
    heard_us: int
    address: Address | None = None
    asked_from: Address | None = None  # where relays go at first, if its request said so
    fixed: bool = False
    has_entered: bool = False
    has_spoken: bool = False
    answered_us: int | None = None
    tell_us: list[int] = field(default_factory=list)  # when it is to be told again


@dataclass(slots=True)
class Turn:
    """What the server is given in one call, and what its machines have done in it so far."""

    packet: Packet | None = None
    connection: Connection | None = None
    local_us: int = 0
    entry: Entry | None = None  # whose token the packet carries
    is_valid: bool = False  # the token lives and comes from its own address
    others: list[Entry] = field(default_factory=list)  # in-room in the speaker's room before the call
    steps: int = 0
    told: list[Entry] = field(default_factory=list)  # who ended other than by leaving
    closed: list[str] = field(default_factory=list)
    hosts_ended: list[Entry] = field(default_factory=list)
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class Violation:
    """A property that did not hold."""

    property: Property
    what: str
    n: int  # of the trace's latest record
    t_us: int


class Watch:
    """Watches one run. `violation` is the first property that did not hold; `judged` counts real judgements."""

    def __init__(self, town: Town, limits: Limits, left_out: frozenset[Property], shadows: Shadows) -> None:
        self.violation: Violation | None = None
        self.judged: dict[Property, int] = dict.fromkeys(Property, 0)
        self.shadows = shadows
        self._town = town
        self._limits = limits
        self._left_out = left_out
        self._n = 0
        self._turn = Turn()
        self._living: dict[Hashable, Entry] = {}
        self._ended: dict[Hashable, Entry] = {}
        self._rooms: dict[str, RoomState] = {}
        self._hosts: dict[str, Entry | None] = {}
        self._last_granted: Entry | None = None
        self._members: dict[str, dict[Hashable, Entry]] = {}
        self._stands: dict[tuple[str, Machine, str, Hashable], str] = {}
        self._deadlines: list[tuple[int, int, Entry]] = []
        self._pushed = 0
        self._connections: deque[tuple[int, Connection]] = deque()  # when the server heard of each
        self._closing_us: dict[str, int] = {}  # since when each closing room closes
        self._untold: list[Entry] = []  # who is to be told again
        self._last_fault_us = 0
        self._spoke_us: dict[str, int] = {}  # when each user's client last sent a datagram

    # --- the trace -------------------------------------------------------------------------------

    def hear(self, record: Record) -> None:
        """A listener of the trace."""
        self._n = record.n
        kind = type(record)  # not isinstance: this is asked of millions
        if kind is Step:
            assert isinstance(record, Step), "for the type checker"
            self._judge_step(record)
            self.shadows(record)
            if record.actor == SERVER:
                self._turn.steps += 1
                self._keep(record)
        elif kind is PacketRecord:
            assert isinstance(record, PacketRecord), "for the type checker"
            if record.kind is _SEND and record.proto == "udp":
                self._judge_size(record)
            elif record.kind is _DROP and record.actor == SERVER and record.what == What.RELAY:
                self._turn.withheld += 1
        elif kind is Fault:
            self._last_fault_us = record.t_us

    def _judge_step(self, record: Step) -> None:
        who = (record.actor, record.machine, record.id, record.key)
        initial, rows, final = WHERE_TO[record.machine]
        stood = self._stands.get(who, initial)
        self._judge(
            Property.TABLE_STEPS,
            stood == record.from_ and rows.get((record.from_, record.event)) == record.to,
            record,
            "{0.actor}'s {0.machine} {0.id}, which was {1}, took {0.event} from {0.from_} to {0.to}",
            stood,
        )
        if record.to in final:
            self._stands.pop(who, None)
            if record.machine is Machine.SESSION and record.actor == SERVER:
                self._stands[who] = record.to  # a token that has ended stays ended
        else:
            self._stands[who] = record.to
        if self.shadows.disagreement is not None:
            self._judge(Property.SHADOW_AGREES, False, record, "{1}", self.shadows.disagreement)
        else:
            self.judged[Property.SHADOW_AGREES] += 1

    def _judge_size(self, record: PacketRecord) -> None:
        """What engines send fits; what a script makes by hand need not."""
        is_servers = record.actor == SERVER
        if is_servers or record.what in BY_CLIENT_ENGINES:
            most = SERVER_DATAGRAM_BYTES_MAX if is_servers else CLIENT_DATAGRAM_BYTES_MAX
            self._judge(Property.DATAGRAMS_FIT, record.bytes <= most, record, "{0.what} of {0.bytes} bytes was sent")
            if record.what in SPEAKING:
                self._spoke_us[record.actor] = record.t_us

    def _keep(self, record: Step) -> None:
        """Bring the ledger up to date with a step of the server."""
        if record.machine is Machine.ROOM:
            self._rooms[record.id] = RoomState(record.to)
            if record.event == RoomEvent.CREATED:
                self._hosts[record.id] = self._last_granted
            elif record.from_ == RoomState.OPEN and record.to == RoomState.CLOSING:
                self._closing_us[record.id] = self._turn.local_us
            if record.to == RoomState.CLOSED:
                self._turn.closed.append(record.id)
                del self._rooms[record.id]
        elif record.machine is Machine.SESSION:
            if record.event == SessionEvent.GRANTED:
                self._keep_granted(record)
            elif entry := self._living.get(record.key):
                entry.state = SessionState(record.to)
                if record.event == SessionEvent.ENTERED:
                    entry.has_entered = True
                    if entry.address is None:
                        entry.address = entry.asked_from
                    self._members.setdefault(entry.room, {})[entry.token] = entry
                    self._expect_silence(entry)
                if record.event == SessionEvent.IDLED:
                    self._judge_silence(entry, record)
                if entry.state is SessionState.EXPIRED:
                    self._keep_ended(entry, record)
            elif record.key in self._ended:
                self._judge(Property.TOKEN_ENDS_FOR_GOOD, False, record, "an ended token of {0.id} took {0.event}")

    def _keep_granted(self, record: Step) -> None:
        known = record.key in self._living or record.key in self._ended
        self._judge(Property.TOKENS_UNIQUE, not known, record, "a token of {0.id} was granted before")
        connection = self._turn.connection
        name, _, room = record.id.partition("@")
        entry = Entry(
            token=record.key,
            id=record.id,
            name=name,
            room=room,
            ip=connection.client_address.ip if connection is not None else "",
            user=connection.client.id if connection is not None else "",
            state=SessionState.TOKENED,
            heard_us=self._turn.local_us,
        )
        host = self._town.users.get(entry.user)
        entry.fixed = host is not None and host.codec.dialect.port_fixed
        if host is not None and connection is not None and learns_port(host.codec, LearnedFrom.REQUEST):
            entry.asked_from = connection.client_address
        self._judge_takeover(entry, record)
        self._living[record.key] = self._last_granted = entry
        self._expect_silence(entry)

    def _judge_silence(self, entry: Entry, record: Step) -> None:
        is_tokened = record.from_ == SessionState.TOKENED
        least_us = self._limits.token_timeout if is_tokened else self._limits.idle_timeout
        silent_us = self._turn.local_us - entry.heard_us
        self._judge(
            Property.ONLY_THE_SILENT_IDLE, silent_us >= least_us, record, "{0.id} idled after {1} us of silence",
            silent_us,
        )  # fmt: skip

    def _judge_takeover(self, entry: Entry, record: Step) -> None:
        for old in [each for each in self._living.values() if each.id == entry.id]:
            silent_us = self._turn.local_us - old.heard_us
            may = (
                self._limits.takeover is Takeover.SAME_ADDRESS
                and entry.ip == old.ip
                and silent_us >= self._limits.takeover_after
            )
            self._judge(
                Property.TAKEOVER_NEEDS_SILENCE, may, record,
                "{0.id}, last heard {1} us ago at {2}, was granted to {3}", silent_us, old.ip, entry.ip,
            )  # fmt: skip

    def _keep_ended(self, entry: Entry, record: Step) -> None:
        del self._living[entry.token]
        self._ended[entry.token] = entry
        self._members.get(entry.room, {}).pop(entry.token, None)
        self.judged[Property.TOKEN_ENDS_FOR_GOOD] += 1
        if record.event != SessionEvent.LEFT and entry.address is not None:
            self._turn.told.append(entry)
            ended_us, linger_us = self._turn.local_us, self._limits.linger
            entry.tell_us = [ended_us + after for after in NOTICE_AGAIN_AFTER_US if 0 < after < linger_us]
            if entry.tell_us:
                self._untold.append(entry)
        if self._hosts.get(entry.room) is entry:
            if record.event == SessionEvent.SUPERSEDED:
                heir = [each for each in self._living.values() if each.id == entry.id]
                self._hosts[entry.room] = heir[0] if heir else None
            else:
                self._turn.hosts_ended.append(entry)

    # --- what the server is given ----------------------------------------------------------------

    def server_hears(self, host: ServerHost, packet: Packet | None, connection: Connection | None) -> None:
        turn = self._turn = Turn(packet, connection, host.local_us())
        if connection is not None and packet is not None and packet.what is What.OPEN:
            self._connections.append((turn.local_us, connection))
        if packet is None or connection is not None:
            return
        data = packet.data
        if len(data) < 2 or len(data) < 2 + data[0] + data[1]:
            return
        room, token = data[2 : 2 + data[0]], data[2 + data[0] : 2 + data[0] + data[1]]
        turn.entry = entry = self._living.get(token)
        if entry is None:
            turn.entry = self._ended.get(token)
            return
        owner_is_near = packet.source.ip == entry.ip and room == entry.room.encode()
        turn.is_valid = (
            owner_is_near
            and len(data) <= CLIENT_DATAGRAM_BYTES_MAX
            and self._is_text(entry, data[2 + data[0] + data[1] :])
        )
        if turn.is_valid:
            entry.heard_us = turn.local_us
            if not entry.fixed:
                entry.address = packet.source
        members = self._members.get(entry.room, {})
        turn.others = [member for member in members.values() if member is not entry]

    def _is_text(self, entry: Entry, data: bytes) -> bool:
        """Whether this is a text in the dialect of the session's user."""
        user = self._town.users.get(entry.user)
        if user is not None:
            return user.codec.read_text(data) is not None
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
        return True

    # --- what it made of it ----------------------------------------------------------------------

    def server_did(self, host: ServerHost, effects: list[ServerEffect]) -> None:
        turn = self._turn
        relays = [effect for effect in effects if isinstance(effect, Relay) and effect.what is What.RELAY]
        if relays or turn.withheld:
            self._judge_relays(relays)
        if turn.packet is not None and turn.connection is None:
            frames = [effect for effect in effects if isinstance(effect, SendFrame)]
            self._judge(Property.NO_TALK_ON_TCP, not frames, None, "a datagram caused bytes on TCP")
            if not turn.is_valid:
                self._judge_rejected(effects)
        for effect in effects:
            if isinstance(effect, SendFrame):
                fits = effect.what in TCP_OF_THE_SERVER
                self._judge(Property.NO_TALK_ON_TCP, fits, None, "the server sent {1} on TCP", effect.what)
        if turn.told:
            self._judge_told(effects)
        self._judge_rooms(host)
        if self._untold and not host.is_catching_up:
            self._judge_told_again(effects)
        self._judge_limits(host)
        self._judge_deadlines(host)

    def server_crashed(self) -> None:
        self.shadows.forget(SERVER)
        self._living.clear()
        self._ended.clear()
        self._rooms.clear()
        self._hosts.clear()
        self._members.clear()
        for who in [who for who in self._stands if who[0] == SERVER]:
            del self._stands[who]
        self._deadlines.clear()
        self._connections.clear()
        self._closing_us.clear()
        self._untold.clear()

    def _judge_relays(self, relays: list[Relay]) -> None:
        turn = self._turn
        speaker, packet = turn.entry, turn.packet
        lives = speaker is not None and turn.is_valid and packet is not None
        self._judge(
            Property.RELAY_NEEDS_A_LIVING_TOKEN, lives, None, "a relay was sent, but no living token had spoken"
        )
        if not lives or speaker is None or packet is None:
            return
        targets = [target for relay in relays for target in relay.targets]
        if speaker.has_spoken:  # a first text cannot be out of order
            in_turn = all(relay.cause is packet for relay in relays)
            self._judge(Property.RELAYS_IN_ORDER, in_turn, None, "a text of {1} was relayed out of turn", speaker.id)
        speaker.has_spoken = True
        strangers = [target for target in targets if not self._is_member(target)]
        self._judge(
            Property.RELAY_TO_MEMBERS_ONLY, not strangers, None, "a text in {1} went to the stranger {2}",
            speaker.room, strangers[:1],
        )  # fmt: skip
        to_sender = not speaker.fixed and packet.source in targets and not any(
            other.address == packet.source for other in turn.others
        )  # fmt: skip
        self._judge(Property.RELAY_NOT_TO_ITS_SENDER, not to_sender, None, "{1} was sent its own text", speaker.id)
        once = len(set(targets)) == len(targets) or self._sits_as_often(targets)
        self._judge(Property.RELAY_AT_MOST_ONCE, once, None, "a text of {1} went to one member twice", speaker.id)
        self._judge(
            Property.RELAY_TO_EVERY_MEMBER,
            len(targets) + turn.withheld == len(turn.others),
            None,
            "a text of {1} went to {2} members, {3} were withheld, but {4} others are in the room",
            speaker.id, len(targets), turn.withheld, len(turn.others),
        )  # fmt: skip
        for relay in relays:
            self._judge_wording(relay, speaker)

    def _is_member(self, target: Address) -> bool:
        """Whether somebody else in the speaker's room receives at the target's IP address."""
        return any(member.ip == target.ip for member in self._turn.others)

    def _sits_as_often(self, targets: list[Address]) -> bool:
        """Whether several members receive wherever one text goes several times: neighbours may share a token."""
        unknown = sum(other.address is None or other.fixed for other in self._turn.others)
        for target in set(targets):
            there = sum(other.address == target and not other.fixed for other in self._turn.others)
            if targets.count(target) > there + unknown:
                return False
        return True

    def _judge_wording(self, relay: Relay, speaker: Entry) -> None:
        if not relay.targets:
            return
        # The session's dialect counts, whoever's socket its relays have followed its token to.
        users = [self._town.users.get(each.user) for each in self._turn.others if each.address == relay.targets[0]]
        host = self._town.world.sockets.get(relay.targets[0])
        codecs = [user.codec for user in users if user is not None]
        if not codecs and isinstance(host, UserHost):
            codecs = [host.codec]
        if not codecs:
            return
        named = [codec for codec in codecs if (read := codec.read_relay(relay.data)) and read.name == speaker.name]
        codec = (named or codecs)[0]
        read = codec.read_relay(relay.data)
        self._judge(
            Property.RELAY_NAMES_ITS_SENDER, bool(named), None, "a text of {1} is read as {2}", speaker.id, read
        )
        told = notice_reader(codec, speaker.room).read(relay.data)
        self._judge(Property.NO_FORGED_NOTICE, told is None, None, "a text of {1} is read as {2}", speaker.id, told)

    def _judge_rejected(self, effects: list[ServerEffect]) -> None:
        """The token does not hold, or what it carries is no text: nothing moves but the count of R-IDLE-2."""
        turn = self._turn
        packet, entry = turn.packet, turn.entry
        assert packet is not None, "a datagram was heard"
        if entry is None or packet.source.ip != entry.ip:
            quiet = not effects and not turn.steps
            self._judge(Property.REJECTED_CHANGES_NOTHING, quiet, None, "a datagram without a token had an effect")
            return
        if turn.steps:
            return  # the owner's third in a row: removed, by R-IDLE-2
        answers = [effect for effect in effects if isinstance(effect, SendDatagram)]
        self._judge(
            Property.REJECTED_CHANGES_NOTHING,
            len(answers) == len(effects) and all(answer.what is What.NOTICE for answer in answers),
            None,
            "an ended token had an effect: {1}",
            effects,
        )
        for answer in answers:
            small = len(answer.data) <= ANSWER_ENDED_FACTOR_MAX * len(packet.data)
            seldom = entry.answered_us is None or turn.local_us - entry.answered_us >= ANSWER_ENDED_EVERY_US
            own = answer.address is not None and answer.address.ip == entry.ip
            free = not any(each.address == answer.address for each in self._living.values())
            entry.answered_us = turn.local_us
            self._judge(
                Property.NO_AMPLIFICATION, small and seldom and own and free, None,
                "an ended token of {1} was answered with {2} bytes for {3}",
                entry.id, len(answer.data), len(packet.data),
            )  # fmt: skip

    def _judge_told(self, effects: list[ServerEffect]) -> None:
        sent = {effect.address for effect in effects if isinstance(effect, SendDatagram) and effect.what is What.NOTICE}
        taken = {entry.address for entry in self._living.values()}
        for entry in self._turn.told:
            told = entry.address in sent or entry.address in taken or entry.fixed
            self._judge(Property.ENDED_ARE_TOLD, told, None, "{1} has ended and was not told", entry.id)

    def _judge_told_again(self, effects: list[ServerEffect]) -> None:
        now_us = self._turn.local_us
        due = [entry for entry in self._untold if entry.tell_us[0] <= now_us]
        if not due:
            return
        sent = {effect.address for effect in effects if isinstance(effect, SendDatagram) and effect.what is What.NOTICE}
        taken = {entry.address for entry in self._living.values()}
        for entry in due:
            if entry.address in sent or entry.address in taken or entry.fixed:
                self.judged[Property.ENDED_ARE_TOLD_AGAIN] += 1
                entry.tell_us = [when_us for when_us in entry.tell_us if when_us > now_us]
            else:
                late_us = now_us - entry.tell_us[0]
                self._judge(Property.ENDED_ARE_TOLD_AGAIN, late_us <= LATE_US, None, "{1} was not told again", entry.id)
        self._untold = [entry for entry in self._untold if entry.tell_us]

    def _judge_rooms(self, host: ServerHost) -> None:
        turn = self._turn
        for room in turn.closed:
            self._judge_linger(room, host)
            self._untold = [entry for entry in self._untold if entry.room != room]
            held = host.engine.holdings(room) if host.engine is not None else []
            held += [f"session {entry.id}" for entry in self._living.values() if entry.room == room]
            self._hosts.pop(room, None)
            self._members.pop(room, None)
            self._judge(
                Property.CLOSED_ROOM_LEAVES_NOTHING, not held, None, "room {1} is closed but leaves {2}", room, held
            )
        for entry in turn.hosts_ended:
            is_open = self._rooms.get(entry.room) is RoomState.OPEN
            self._judge(
                Property.HOST_ENDS_THE_ROOM, not is_open, None, "room {1} is open after its host {2} has ended",
                entry.room, entry.id,
            )  # fmt: skip

    def _judge_linger(self, room: str, host: ServerHost) -> None:
        since_us, owner = self._closing_us.pop(room, None), self._hosts.get(room)
        if since_us is None or owner is None or not owner.has_entered:
            return  # without linger, by R-LIM-2
        least_us = min(self._limits.linger, SHUTDOWN_LINGER_US) if host.is_stopping else self._limits.linger
        lingered_us = self._turn.local_us - since_us
        self._judge(
            Property.NAMES_LINGER, lingered_us >= least_us, None, "{1} was free again after {2} us", room, lingered_us
        )

    def _judge_limits(self, host: ServerHost) -> None:
        if host.engine is None:
            return
        counters, limits = host.engine.counters(), self._limits
        for counter, most in (
            (Counter.ROOMS, limits.rooms_max),
            (Counter.SESSIONS, limits.sessions_max),
            (Counter.CONNECTIONS, limits.connections_max),
        ):
            self._judge(Property.LIMITS_HOLD, counters[counter] <= most, None, "{1} are more than {2}", counter, most)

    def _judge_deadlines(self, host: ServerHost) -> None:
        if host.is_catching_up:
            return
        now_us = self._turn.local_us
        heap = self._deadlines
        while heap and heap[0][0] + LATE_US < now_us:
            entry = heappop(heap)[2]
            if entry.state is SessionState.EXPIRED or entry.token not in self._living:
                continue
            deadline_us = entry.heard_us + self._timeout_us(entry)
            late = deadline_us + LATE_US < now_us
            self._judge(
                Property.LIVE_SESSION_HAS_A_DEADLINE, not late, None, "{1} is silent for too long and lives", entry.id
            )
            if not late:
                self._expect_silence(entry)
        connections = self._connections
        while connections and connections[0][1].server_is_done:
            connections.popleft()
        if connections:  # in the order of their opening
            age_us = now_us - connections[0][0]
            ends = age_us <= 2 * self._limits.handshake_timeout + LATE_US
            self._judge(Property.HANDSHAKE_ENDS, ends, None, "a connection is {1} us old", age_us)

    # --- the end of a story ----------------------------------------------------------------------

    def finish(self, server: ServerHost) -> None:
        """The story is over: is anybody left waiting for what will never come?"""
        for user in self._town.users.values():
            engine = user.engine
            if engine is None or user.is_paused or user.is_catching_up:
                continue
            deadline_us = engine.next_deadline_us()
            is_overdue = deadline_us is not None and deadline_us + LATE_US < user.local_us()
            waits = engine.handshake in UNDER_WAY or engine.session in (SessionState.TOKENED, SessionState.IN_ROOM)
            hopes = not waits or engine.session is SessionState.EXPIRED or (deadline_us is not None and not is_overdue)
            self._judge(Property.NO_CLIENT_WAITS_FOR_EVER, hopes, None, "{1} waits for what will not come", user.id)
        if server.engine is None or server.is_paused or server.is_catching_up:
            return
        self._judge_arrivals(server)
        now_us, linger_us = server.local_us(), max(self._limits.linger, SHUTDOWN_LINGER_US)
        for room, state in self._rooms.items():
            if state is RoomState.CLOSING:
                closes = now_us - self._closing_us[room] <= linger_us + LATE_US
                self._judge(Property.CLOSING_ROOMS_CLOSE, closes, None, "{1} is closing for ever", room)

    def _judge_arrivals(self, server: ServerHost) -> None:
        world = self._town.world
        for entry in self._living.values():
            user = self._town.users.get(entry.user)
            spoke_us = self._spoke_us.get(entry.user)
            if user is None or user.engine is None or user.engine.token != entry.token or spoke_us is None:
                continue
            has_had_time = self._last_fault_us <= spoke_us <= world.now_us - ARRIVES_US
            if has_had_time and user.address.ip == entry.ip and world.ways.between(user.id, server.id).is_calm:
                arrived = entry.state is SessionState.IN_ROOM
                self._judge(Property.SPEAKERS_ARRIVE, arrived, None, "{1} speaks, and is not in-room", entry.id)

    # --- helpers ---------------------------------------------------------------------------------

    def _timeout_us(self, entry: Entry) -> int:
        return self._limits.token_timeout if entry.state is SessionState.TOKENED else self._limits.idle_timeout

    def _expect_silence(self, entry: Entry) -> None:
        self._pushed += 1
        heappush(self._deadlines, (entry.heard_us + self._timeout_us(entry), self._pushed, entry))

    def _judge(self, property: Property, holds: bool, record: Record | None, what: str, *values: object) -> None:
        self.judged[property] += 1
        if not holds and self.violation is None and property not in self._left_out:
            self.violation = Violation(property, what.format(record, *values), self._n, self._town.world.now_us)
