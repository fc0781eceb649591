"""What the server's engine, by its own observations, holds: which session has which token, in which room, last
heard when.

Kept from the bytes that cross the wire and from the steps that the engine observes. Judges nothing: the checks
compare the engine's outputs with it. What it must hold by the rules, `tcrp.sim.reference` says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

from tcrp.engine.codec import learns_port
from tcrp.engine.outputs import Address, SendDatagram, ServerOutput, Stepped, StreamId
from tcrp.engine.state import FrozenEnded, FrozenSession, ServerState
from tcrp.sim.hosts.server import ServerHost
from tcrp.sim.hosts.user import Hosts, UserHost
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Deadline, PacketKind, RoomEvent, RoomState, SessionEvent, SessionState


@dataclass(slots=True)
class SessionRecord:
    """A session in the ledger. Moments are microseconds of the server's own clock."""

    token: Hashable
    id: str
    name: str
    room: str
    ip: str
    user: str  # whose client holds it; empty if none does
    state: SessionState
    last_heard_us: int
    listener: int
    came_us: int = 0  # when its room came from another server, whose timeouts may be longer
    told_at_most: int = 1  # times: those of its user's dialect; of a request by hand nobody knows the dialect
    address: Address | None = None
    asked_from: Address | None = None  # where relays go at first, if its request or its trailer said so
    fixed: bool = False  # its relays stay where its request said, whatever its socket
    has_entered: bool = False
    has_spoken: bool = False
    answered_us: int | None = None
    tell_us: list[int] = field(default_factory=list)  # when it is to be told again

    def held_by(self, user: UserHost, address: Address) -> None:
        """Take what follows from the dialect of the user whose client holds it and asked for it from `address`."""
        self.fixed = user.codec.dialect.port_fixed
        self.told_at_most = user.codec.dialect.notice_repeat
        if not learns_port(user.codec, LearnedFrom.DATAGRAM):
            self.asked_from = address


@dataclass(slots=True)
class Call:
    """What the server is given in one call, and what its machines have done in it so far."""

    packet: Packet | None = None
    connection: Connection | None = None
    stream: StreamId = ""  # as the engine calls the connection
    local_us: int = 0
    entry: SessionRecord | None = None  # whose token the packet carries
    is_near: bool = False  # the token, living or ended, comes from its own address, by its own listener
    is_valid: bool = False  # and it lives, and carries a text
    was_in_room: bool = False  # before the call
    others: list[SessionRecord] = field(default_factory=list)  # in-room in the speaker's room before the call
    steps: int = 0
    granted: list[SessionRecord] = field(default_factory=list)
    relayed: bool = False  # a text was taken, to be relayed
    told: list[SessionRecord] = field(default_factory=list)  # who ended other than by leaving
    closed: list[str] = field(default_factory=list)
    hosts_ended: list[SessionRecord] = field(default_factory=list)
    withheld: int = 0


@dataclass(slots=True)
class Known:
    """What was observed of sessions and rooms at whichever server of a cluster, for the one that goes on with them."""

    sessions: dict[Hashable, SessionRecord] = field(default_factory=dict)
    hosts: dict[str, SessionRecord | None] = field(default_factory=dict)  # by room


class ObservedServer:
    """What the server holds at this step of the run, as it observes it."""

    def __init__(self, hosts: Hosts, *, server: ServerHost | None = None, known: Known | None = None) -> None:
        self.call = Call()
        self._server = server or hosts.server
        self._known = known  # in a cluster: what its servers take over from each other
        self.living: dict[Hashable, SessionRecord] = {}
        # The same by room and by IP address: a look at all of thousands for each that joins took a quarter of a run.
        self.living_in: defaultdict[str, dict[Hashable, SessionRecord]] = defaultdict(dict)
        self.living_from: defaultdict[str, dict[Hashable, SessionRecord]] = defaultdict(dict)
        self.ended: dict[Hashable, SessionRecord] = {}
        self.rooms: dict[str, RoomState] = {}
        self.hosts: dict[str, SessionRecord | None] = {}
        self.closing_us: dict[str, int] = {}  # since when each closing room closes
        self.tokens: dict[str, set[Hashable]] = {}  # of all sessions that each room ever had
        self._town = hosts
        self._members: dict[str, dict[Hashable, SessionRecord]] = {}
        self._last_granted: SessionRecord | None = None

    def forget(self) -> None:
        """The server has lost all that it knew."""
        self.living.clear()
        self.living_in.clear()
        self.living_from.clear()
        self.ended.clear()
        self.rooms.clear()
        self.hosts.clear()
        self.closing_us.clear()
        self.tokens.clear()
        self._members.clear()

    def forget_room(self, room: str) -> None:
        """A room is closed."""
        self.hosts.pop(room, None)
        self.closing_us.pop(room, None)
        self.tokens.pop(room, None)
        self._members.pop(room, None)
        self.living_in.pop(room, None)

    def user_of(self, entry: SessionRecord) -> UserHost | None:
        """Whose client holds the session."""
        return self._town.users.get(entry.user)

    # --- steps of the server ---------------------------------------------------------------------

    def grant(self, step: Stepped) -> SessionRecord:
        """A session begins."""
        connection = self.call.connection
        user = self._town.users.get(connection.client.id) if connection is not None else None
        if user is not None and connection is not None and not user.drives(connection):
            user = None  # a request that was made by hand, in whatever dialect
        name, room = self._parts_of(step.id, user)
        entry = SessionRecord(
            token=step.subject,
            id=step.id,
            name=name,
            room=room,
            ip=connection.client_address.ip if connection is not None else "",
            user=user.id if user is not None else "",
            state=SessionState.TOKENED,
            last_heard_us=self.call.local_us,
            listener=step.listener or 0,
        )
        if user is not None and connection is not None:
            entry.held_by(user, connection.client_address)
        self._last_granted = entry
        self.begin(entry)
        if self._known is not None:
            self._known.sessions[step.subject] = entry
        self.tokens.setdefault(room, set()).add(step.subject)
        self.call.granted.append(entry)
        return entry

    def _parts_of(self, id: str, user: UserHost | None) -> tuple[str, str]:
        """The name and the room of a session's id. Both may hold an `@`: only the user and the rooms tell."""
        if user is not None and id.startswith(f"{user.name}@"):
            return user.name, id[len(user.name) + 1 :]
        places = [at for at, letter in enumerate(id) if letter == "@"]
        at = next((at for at in places if id[at + 1 :] in self.rooms), places[0])
        return id[:at], id[at + 1 :]

    def step(self, entry: SessionRecord, record: Stepped) -> None:
        """A living session moves."""
        entry.state = SessionState(record.to)
        if record.event == SessionEvent.ENTERED:
            entry.has_entered = True
            entry.last_heard_us = self.call.local_us  # by whatever told its port
            if entry.address is None:
                entry.address = entry.asked_from
            self._members.setdefault(entry.room, {})[entry.token] = entry
        if entry.state is SessionState.EXPIRED:
            self._end(entry, record)

    def begin(self, entry: SessionRecord) -> None:
        """The session lives from now on."""
        for those in (self.living, self.living_in[entry.room], self.living_from[entry.ip]):
            those[entry.token] = entry

    def _no_more(self, entry: SessionRecord) -> None:
        for those in (self.living, self.living_in[entry.room], self.living_from[entry.ip]):
            those.pop(entry.token, None)

    def _end(self, entry: SessionRecord, record: Stepped) -> None:
        self._no_more(entry)
        self.ended[entry.token] = entry
        self._members.get(entry.room, {}).pop(entry.token, None)
        if record.event != SessionEvent.LEFT and entry.address is not None:
            self.call.told.append(entry)
        if self.hosts.get(entry.room) is entry:
            if record.event == SessionEvent.SUPERSEDED:
                successor = self.hosts[entry.room] = next(self.living_as(entry), None)
                if successor is not None:  # the room's host has entered once: it is waited for no more
                    successor.has_entered |= entry.has_entered
                if self._known is not None:
                    self._known.hosts[entry.room] = successor
            else:
                self.call.hosts_ended.append(entry)

    def living_as(self, entry: SessionRecord) -> Iterator[SessionRecord]:
        """Living sessions of its name in its room: more than one while a takeover is under way."""
        return (each for each in self.living_in[entry.room].values() if each.id == entry.id)

    def adopt(self, state: ServerState, local_us: int, linger_us: int) -> list[SessionRecord]:
        """The server goes on with rooms of another. Returns the living sessions and those that have ended."""
        known = self._known
        assert known is not None, "a server of a cluster"
        entries = []
        all_of_them: list[FrozenSession | FrozenEnded] = [*state.sessions, *state.ended]
        for each in all_of_them:
            # A copy: while two servers hold themselves to be its owner, each has its own view.
            entry = known.sessions[each.token] = replace(known.sessions[each.token], tell_us=[], came_us=local_us)
            entry.listener, entry.address = each.listener, each.address
            self.tokens.setdefault(entry.room, set()).add(entry.token)
            if isinstance(each, FrozenSession):
                entry.state, entry.last_heard_us = each.state, local_us - each.silent_us
                entry.has_entered |= each.state is SessionState.IN_ROOM
                self.begin(entry)
                if each.state is SessionState.IN_ROOM:
                    self._members.setdefault(entry.room, {})[entry.token] = entry
            else:
                entry.state = SessionState.EXPIRED
                ago_us = each.answered_ago_us
                entry.answered_us = local_us - ago_us if ago_us is not None else None
                self.ended[entry.token] = entry
            entries.append(entry)
        lefts_us = {each.subject: each.when_us for each in state.timers if each.kind is Deadline.LINGER}
        for room in state.rooms:
            name = room.name.decode()
            self.rooms[name] = room.state
            host = self.living.get(room.host) if room.host is not None else known.hosts.get(name)
            if host is not None:  # a snapshot may be older than its host's first datagram
                host = host if host.token in self.living else replace(host)
                host.has_entered = room.host_has_entered
            self.hosts[name] = host
            if room.state is RoomState.CLOSING:
                self.closing_us[name] = local_us - (linger_us - lefts_us.get(room.name, 0))
        return entries

    def give_away(self, room: str) -> None:
        """Another server goes on with a room, or nobody knows yet who."""
        assert self._known is not None, "a server of a cluster"
        for entry in list(self.living_in[room].values()):
            self._no_more(entry)
        for token in [token for token, entry in self.ended.items() if entry.room == room]:
            del self.ended[token]
        self._known.hosts[room] = self.hosts.get(room)
        self.rooms.pop(room, None)
        self.forget_room(room)

    def step_room(self, record: Stepped) -> None:
        """A room moves."""
        self.rooms[record.id] = RoomState(record.to)
        if record.event == RoomEvent.CREATED:
            self.hosts[record.id] = self._last_granted
            if self._known is not None:
                self._known.hosts[record.id] = self._last_granted
        elif record.from_ == RoomState.OPEN and record.to == RoomState.CLOSING:
            self.closing_us[record.id] = self.call.local_us
        if record.to == RoomState.CLOSED:
            self.call.closed.append(record.id)
            del self.rooms[record.id]

    # --- what the server is given ----------------------------------------------------------------

    def begin_call(
        self, packet: Packet | None, connection: Connection | None, local_us: int, stream: StreamId | None = None
    ) -> Call:
        """The server is given a packet, or woken. Reads a datagram as the protocol does (R-UDP-1).

        `stream` is how the engine calls the connection, if not by its own name.
        """
        if stream is None:
            stream = connection.stream if connection is not None else ""
        call = self.call = Call(packet, connection, stream, local_us)
        if packet is None or connection is not None:
            return call
        data = packet.data
        if len(data) < 2 or len(data) < 2 + data[0] + data[1]:
            return call
        token_at, text_at = 2 + data[0], 2 + data[0] + data[1]
        room, token, text = data[2:token_at], data[token_at:text_at], data[text_at:]
        call.entry = entry = self.living.get(token) or self.ended.get(token)
        if entry is None:
            return call
        call.is_near = packet.source.ip == entry.ip and packet.target == self._server.udp_at(entry.listener)
        if token not in self.living:
            return call
        is_theirs = call.is_near and room == entry.room.encode()
        call.is_valid = is_theirs and len(data) <= CLIENT_DATAGRAM_BYTES_MAX and self._is_text(entry, text)
        call.was_in_room = entry.state is SessionState.IN_ROOM
        if call.is_valid:
            entry.last_heard_us = call.local_us
            if not entry.fixed:
                entry.address = packet.source
        call.others = [member for member in self._members.get(entry.room, {}).values() if member is not entry]
        return call

    def _is_text(self, entry: SessionRecord, data: bytes) -> bool:
        """Whether this is a text in the dialect of the session's user."""
        user = self.user_of(entry)
        if user is not None:
            return user.codec.read_text(data) is not None
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
        return True


def notices_to(outputs: list[ServerOutput]) -> set[Address | None]:
    """Whom single notices are sent to."""
    return {
        effect.address for effect in outputs if isinstance(effect, SendDatagram) and effect.what is PacketKind.NOTICE
    }
