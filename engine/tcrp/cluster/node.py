"""One process of a cluster: an engine for the rooms that it owns, and a gateway for its clients in all others.

Takes what a server's engine takes, and also messages of other processes and what the bucket says. Puts out what an
engine puts out, for its own clients only, and what is asked of the cluster's driver. Touches no socket and no clock.

The engine has all rooms of the process. For each other process it has that one's listeners too, behind its own; a
stream of another process is called (address, number). That is all that it knows of a cluster.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tcrp.cluster import messages, snapshots
from tcrp.cluster.lease import NODE, Lease
from tcrp.cluster.messages import TARGETS_MAX, TO_OWNER, Kind, Message
from tcrp.cluster.outputs import Answer, Entry, Happened, NodeOutput, SendMessage, What
from tcrp.cluster.ownership import OWNER, Ownership, RoomAt
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.notices import write_notice
from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Detail,
    Dropped,
    Elsewhere,
    FinishStream,
    Forgotten,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    StreamId,
    Subject,
    TimerFired,
    Withheld,
)
from tcrp.engine.registry import SessionRegistry
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.spec.cluster_names import LEASE_US, LeaseState, OwnershipState
from tcrp.spec.limits import Limits
from tcrp.spec.names import Machine, Notice, PacketKind, RoomState, SessionEvent, SessionState

HOPS_MAX = 3
"""So often a message is sent, where its room has moved on."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """`name` is the process's place in the cluster, `life` a word that no other process of that name has ever had.

    `kin` says what processes must have in common to speak with each other.
    """

    server: ServerConfig
    name: str
    life: str
    kin: str = ""
    lease_us: int = LEASE_US


@dataclass(slots=True)
class Remembered:
    """A session of a client of this gateway: its room, and what it is told if the cluster is out of reach."""

    room: bytes
    words: bytes
    address: Address | None
    listener: int


class ClusterNode:
    """A `ServerEngine` to its driver, with more inputs and outputs.

    `connected(False)` says that the bucket is out of reach, `bucket_changed` shows a key of `live` (processes and
    rooms) as it is and whenever it changes, in the order of revisions.
    """

    def __init__(
        self, config: NodeConfig, *, new_token: Callable[[], bytes], detail: Detail = Detail.CHANGES,
        make_engine: Callable[..., ServerEngine] = ServerEngine,
    ) -> None:  # fmt: skip
        assert detail, "a process follows its engine by what it observes"
        self.engine = make_engine(config.server, new_token=new_token, detail=detail, beside=self)
        asks = itertools.count(1)
        kin = f"{snapshots.version()}/{config.kin}"
        self.lease = Lease(config.name, config.life, kin, config.lease_us, lambda: next(asks))
        self.ownership = Ownership(self.lease, self, lambda: next(asks))
        self.sessions: dict[bytes, Remembered] = {}  # of this gateway's clients, by token
        self._listeners = config.server.listeners
        self._slots: dict[str, int] = {config.name: 0}  # by process: which listeners of the engine are its
        self._names = [config.name]
        self._open: set[StreamId] = set()  # of its own clients
        self._streams: dict[StreamId, bytes] = {}  # own ones that other processes serve: their rooms
        self._given_up_us: dict[StreamId, int] = {}  # when they are closed, if no owner does it
        self._guests: dict[StreamId, bytes] = {}  # others' that are served here
        self._sent: dict[StreamId, int] = {}  # answers that were sent to own streams
        self._skip: dict[StreamId, int] = {}  # answers that their gateways have sent to others'
        self._rooms_of: dict[bytes, bytes] = {}  # of the tokens that are here
        self._room = b""  # whose outputs are being passed on
        self._outputs: list[NodeOutput] = []
        self._is_connected = True
        self._cut_off_us: int | None = None  # since when it holds no lease
        self._is_told = False
        self._has_held = False  # the lease, until now
        self._is_new = True  # it has never held one
        self._early: list[Elsewhere] = []  # requests that came before its first lease
        self._told: dict[bytes, list[bytes]] = {}  # whose sessions are over here and perhaps not at the room's owner

    # --- what an engine has ----------------------------------------------------------------------

    @property
    def registry(self) -> SessionRegistry:
        """What is here."""
        return self.engine.registry

    @property
    def has_rooms(self) -> bool:
        """Whether a room is here, or on its way to another process."""
        return self.engine.has_rooms or bool(self.ownership.owned())

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on."""
        self.engine.set_limits(limits)

    def stream_opened(
        self, stream: StreamId, peer: Address, now_us: int, listener: int = 0, *, name: str = ""
    ) -> list[NodeOutput]:
        """One of its own clients has connected."""
        self._open.add(stream)
        self._pass_on(self.engine.stream_opened(stream, peer, now_us, listener, name=name), now_us)
        return self._take(now_us)

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> list[NodeOutput]:
        """Bytes of one of its own clients."""
        self._to_stream(Kind.DATA, stream, data, now_us, lambda: self.engine.receive_stream(stream, data, now_us))
        return self._take(now_us)

    def stream_ended(self, stream: StreamId, now_us: int) -> list[NodeOutput]:
        """One of its own clients has half-closed."""
        self._to_stream(Kind.END, stream, b"", now_us, lambda: self.engine.stream_ended(stream, now_us))
        return self._take(now_us)

    def stream_closed(self, stream: StreamId, now_us: int) -> list[NodeOutput]:
        """The connection of one of its own clients is gone."""
        self._to_stream(Kind.GONE, stream, b"", now_us, lambda: self.engine.stream_closed(stream, now_us))
        self._forget_stream(stream)
        self._open.discard(stream)
        self._sent.pop(stream, None)
        return self._take(now_us)

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> list[NodeOutput]:
        """A datagram of one of its own clients, for whichever room (R-OWN-5)."""
        self._look_at_lease(now_us)
        head = self.engine.head_of(data, listener)
        room = b""
        if head is not None:
            session = self.sessions.get(head[1])
            if session is not None:
                room = session.room
                if session.address is not None and source.ip == session.address.ip and source != session.address:
                    session.address = source
            else:
                room = head[0] or b""
        at = self.ownership.rooms.get(room)
        if at is None or at.state is OwnershipState.OWNED:
            self._room = room
            self._pass_on(self.engine.receive_datagram(data, source, now_us, listener), now_us)
            if at is not None:
                self.ownership.changed(room, now_us, at_once=False)
        else:
            what = (listener, source.ip, source.port)
            self._to_owner(Message(Kind.DATAGRAM, room, at.fence, self.lease.address, what, data), now_us)
        return self._take(now_us)

    def handle_timeout(self, now_us: int) -> list[NodeOutput]:
        """Do all that is due."""
        self._look_at_lease(now_us)
        self.lease.tick(now_us)
        self._pass_on(self.engine.handle_timeout(now_us), now_us)
        self.ownership.tick(now_us)
        self._tell_cut_off(now_us)
        self._close_given_up(now_us)
        return self._take(now_us)

    def next_deadline_us(self) -> int | None:
        """When `handle_timeout` is to be called next."""
        times = [self.engine.next_deadline_us(), self.lease.next_us(), self.ownership.next_us()]
        times.append(next(iter(self._given_up_us.values()), None))
        if self._cut_off_us is not None and not self._is_told:
            times.append(self._tell_us())
        return min((each for each in times if each is not None), default=None)

    def shutdown(self, now_us: int) -> list[NodeOutput]:
        """Close the rooms that are here. To be called after `hand_over`, for those that nobody took."""
        for at in self.ownership.owned():
            if at.state is OwnershipState.HANDING_OVER:  # too late: its snapshot is there for others
                self.ownership.rooms.pop(at.name)
        self._pass_on(self.engine.shutdown(now_us), now_us)
        return self._take(now_us)

    def remove(self, user: str, room: str, now_us: int) -> list[NodeOutput] | None:
        """End a member's session in a room that is here."""
        return self._command(room, self.engine.remove(user, room, now_us), now_us)

    def close_room(self, room: str, now_us: int) -> list[NodeOutput] | None:
        """End a room that is here."""
        return self._command(room, self.engine.close_room(room, now_us), now_us)

    def _command(self, room: str, outputs: list[ServerOutput] | None, now_us: int) -> list[NodeOutput] | None:
        if outputs is None:
            return None
        self._room = room.encode()
        self._pass_on(outputs, now_us)
        return self._take(now_us)

    # --- what a process of a cluster has besides -------------------------------------------------

    def start(self, now_us: int) -> list[NodeOutput]:
        """Join the cluster. To be called when all of the bucket's keys have been shown."""
        return self.handle_timeout(now_us)

    def hand_over(self, now_us: int) -> list[NodeOutput]:
        """Give away every room that is here. Done when `has_rooms` is false, or `shutdown` closes what is left."""
        self._look_at_lease(now_us)
        self.ownership.hand_over(now_us)
        return self._take(now_us)

    def release(self, now_us: int) -> list[NodeOutput]:
        """Leave the cluster."""
        self.lease.release()
        return self._take(now_us)

    def connected(self, is_connected: bool, now_us: int) -> list[NodeOutput]:
        """Whether the bucket can be reached, as far as the driver knows."""
        self._is_connected = is_connected
        if is_connected:
            self.lease.ask_again(now_us)
        return self.handle_timeout(now_us)

    def bucket_answered(self, ask: int, answer: Answer, now_us: int) -> list[NodeOutput]:
        """The bucket has answered a `Put` or `Get`. What ended in an error is not answered."""
        self._look_at_lease(now_us)
        if self.lease.answered(ask, answer, now_us):
            self._follow_lease(now_us)
            for address in self.lease.take_lost():
                self.ownership.node_lost(address, now_us)
        else:
            self.ownership.answered(ask, answer, now_us)
        return self._take(now_us)

    def bucket_changed(self, entry: Entry, now_us: int) -> list[NodeOutput]:
        """A key of a process or of a room is as this says."""
        self._look_at_lease(now_us)
        if entry.key.startswith(NODE):
            news = self.lease.saw(entry, now_us)
            if news is not None:
                lost, joined = news
                if lost:
                    self.ownership.node_lost(lost, now_us)
                if joined:
                    self._remind(joined)
                    self.ownership.node_joined(joined, now_us)
        elif entry.key.startswith(OWNER):
            self.ownership.saw(entry, now_us)
        return self._take(now_us)

    def receive_message(self, data: bytes, now_us: int) -> list[NodeOutput]:
        """A message of another process. What is none, or comes from a stranger, is dropped (R-OWN-9)."""
        self._look_at_lease(now_us)
        message = messages.read(data)
        if message is not None and self.lease.is_alive(message.sender):
            try:
                if message.kind in TO_OWNER:
                    self._serve(message, now_us)
                else:
                    self._deliver(message)
            except (ValueError, TypeError, IndexError, AttributeError, KeyError):  # its `what` is none of its kind
                self._outputs.append(Happened(What.STRANGER, message.sender, "a message that cannot be read"))
        return self._take(now_us)

    # --- as the engine's neighbours --------------------------------------------------------------

    def serves(self, room: bytes) -> bool:
        """Whether requests for this room are to be decided here."""
        return self.ownership.owns(room)

    def listed(self) -> Iterable[bytes]:
        """The rooms of others that are open and have no password."""
        return [
            each.name
            for each in self.ownership.rooms.values()
            if each.is_listed and each.owner and each.name not in self.registry.rooms
        ]

    # --- what an operator asks -------------------------------------------------------------------

    def elsewhere(self) -> dict[str, str]:
        """The rooms of the cluster that are not here, and the names of the processes that have them.

        No name: at the moment none has it, because the one that had it is lost, or gives it away.
        """
        return {
            at.name.decode("utf-8", "replace"): at.owner.partition(".")[0]
            if at.state is OwnershipState.ELSEWHERE
            else ""
            for at in self.ownership.rooms.values()
            if at.owner and at.state not in (OwnershipState.UNOWNED, OwnershipState.OWNED)
        }

    def gateway_of(self, listener: int) -> tuple[str, int]:
        """By which process a session's client comes, and by which of that one's listeners."""
        slot, number = divmod(listener, len(self._listeners))
        return self._names[slot], number

    # --- the lease -------------------------------------------------------------------------------

    def _look_at_lease(self, now_us: int) -> None:
        """Before anything else: a process that was stopped for a while owns nothing any more (R-OWN-2)."""
        lease = self.lease
        if lease.state in (LeaseState.HELD, LeaseState.RENEWING) and now_us >= lease.until_us:
            lease.tick(now_us)
        self._follow_lease(now_us)

    def _follow_lease(self, now_us: int) -> None:
        if self._is_member:
            had_held, self._has_held = self._has_held, True
            self._cut_off_us, self._is_told, self._is_new = None, False, False
            if not had_held:
                self._forward_waiting(now_us)
            early, self._early = self._early, []
            for output in early:
                if output.stream in self.engine.handshake_server.handshakes:
                    self._held(output, now_us)
        elif self._has_held and self.lease.state is not LeaseState.RELEASED:
            self._cut_off_us, self._has_held = now_us, False
            self.ownership.lease_lost(now_us)

    @property
    def _is_member(self) -> bool:
        """Whether others listen to it: they drop what comes from a process whose lease is over (R-OWN-9)."""
        return self.lease.state in (LeaseState.HELD, LeaseState.RENEWING)

    def _forward_waiting(self, now_us: int) -> None:
        """It is a member again: what clients did meanwhile goes to the owners."""
        for at in list(self.ownership.rooms.values()):
            if at.state is OwnershipState.ELSEWHERE and at.waiting:
                self.settled(at, now_us)

    def _tell_us(self) -> int:
        """When the members are told: at once, or, where the bucket seems to be in reach, after a while."""
        assert self._cut_off_us is not None, "it is cut off"
        return self._cut_off_us + (self.lease.lease_us // 2 if self._is_connected else 0)

    def _tell_cut_off(self, now_us: int) -> None:
        """The cluster is out of reach for longer than a lease: the members here are told (R-OWN-8)."""
        if self._cut_off_us is not None and not self._is_told and now_us >= self._tell_us():
            self._is_told = True
            self._tell(list(self.sessions), "")

    def _tell(self, tokens: Sequence[bytes], room: str) -> None:
        told = 0
        for token in tokens:
            session = self.sessions.pop(token)
            self._told.setdefault(session.room, []).append(token)
            if session.address is not None and session.words:
                told += 1
                self._outputs.append(SendDatagram(session.words, session.address, PacketKind.NOTICE, session.listener))
        if told:
            self._outputs.append(Happened(What.MEMBERS_TOLD, room, str(told)))

    # --- rooms: what `Ownership` asks of its holder ----------------------------------------------

    def save(self, room: bytes, fence: int) -> bytes:
        """The state of a room that is here."""
        state = self.engine.freeze_room(room) if room in self.registry.rooms else ServerState()
        return snapshots.write(state, fence, self.gateway_of, self.lease.address)

    def load(self, room: bytes, saved: bytes, now_us: int) -> str:
        """Go on with a room."""
        try:
            state = snapshots.read(saved, self._listener_at, self.lease.address)
        except snapshots.NotRead as error:
            return str(error)
        if not state.rooms:
            return "nothing was saved"
        self.engine.adopt(state, now_us)
        self._rooms_of.update(dict.fromkeys([each.token for each in state.sessions], room))
        self._rooms_of.update(dict.fromkeys([each.token for each in state.ended], room))
        for handshake in state.handshakes:
            if isinstance(handshake.stream, tuple):
                self._guests[handshake.stream] = room
            else:
                self._forget_stream(handshake.stream)
        for each in state.sessions:
            self._send_remember(each.token)
        for handshake in state.handshakes:  # closed since the snapshot, which does not know it
            if not isinstance(handshake.stream, tuple) and handshake.stream not in self._open:
                self._pass_on(self.engine.stream_closed(handshake.stream, now_us), now_us)
        return ""

    def drop(self, room: bytes, now_us: int) -> None:
        """Hold nothing of a room any more."""
        if room in self.registry.rooms:
            for handshake in self.engine.freeze_room(room).handshakes:
                if not isinstance(handshake.stream, tuple):  # the next owner speaks to it by this gateway
                    self._take_over(handshake.stream, room, now_us)
            self._outputs += self.engine.forget_room(room)
            for token in [token for token, at in self._rooms_of.items() if at == room]:
                del self._rooms_of[token]
        for stream in [stream for stream, at in self._guests.items() if at == room]:
            del self._guests[stream]

    def settled(self, at: RoomAt, now_us: int) -> None:
        """The room is owned, or known to be nobody's."""
        self._take_pending()  # that it is so comes before what comes of it
        held, at.held = at.held, []
        waiting = list(at.waiting)
        at.waiting.clear()
        if at.state is not OwnershipState.UNOWNED:
            me = self.lease.address
            told = self._told.pop(at.name, [])
            waiting += [Message(Kind.TOLD, at.name, 0, me, (token.decode("latin-1"),)) for token in told]
        if at.state is OwnershipState.UNOWNED and any(creates for _, creates in held):
            at.held = held
            self._want(at, now_us)
            return
        for stream, _ in held:
            if stream not in self.engine.handshake_server.handshakes:
                continue  # it was closed meanwhile
            if at.state is OwnershipState.ELSEWHERE:
                self._take_away(stream, at, now_us)
            else:
                self._room = at.name
                self._pass_on(self.engine.resume_request(stream, now_us), now_us)
        for message in waiting:
            if at.state is not OwnershipState.UNOWNED:
                self._serve(message, now_us)
        if at.state is OwnershipState.OWNED and at.name not in self.registry.rooms:
            self.ownership.closed(at.name)  # its creation was refused, or abandoned

    def vacated(self, room: bytes) -> None:
        """A room is gone; who is still remembered was not told by its owner (R-OWN-8)."""
        here = [token for token, each in self.sessions.items() if each.room == room]
        self._tell(here, room.decode("utf-8", "replace"))
        self._told.pop(room, None)
        for stream in [stream for stream, at in self._streams.items() if at == room]:
            self._forget_stream(stream)
            self._close(stream)

    # --- from own clients to owners --------------------------------------------------------------

    def _to_stream(
        self, kind: Kind, stream: StreamId, data: bytes, now_us: int, own: Callable[[], list[ServerOutput]]
    ) -> None:
        self._look_at_lease(now_us)
        room = self._streams.get(stream)
        if room is None:
            self._pass_on(own(), now_us)
        else:
            self._to_owner(Message(kind, room, 0, self.lease.address, (stream,), data), now_us)

    def _take_over(self, stream: StreamId, room: bytes, now_us: int) -> None:
        """An own client's stream is served by another process from now on."""
        self._streams[stream] = room
        # An owner closes it after this time at the latest; its own clock began later.
        self._given_up_us[stream] = now_us + self.registry.limits.handshake_timeout + self.lease.lease_us

    def _forget_stream(self, stream: StreamId) -> None:
        self._streams.pop(stream, None)
        self._given_up_us.pop(stream, None)

    def _close(self, stream: StreamId) -> None:
        """One of its own clients' streams is over."""
        self._open.discard(stream)
        self._outputs.append(CloseStream(stream))

    def _close_given_up(self, now_us: int) -> None:
        """No owner has closed these streams: it was lost, or what it said."""
        while (first := next(iter(self._given_up_us.items()), None)) is not None and first[1] <= now_us:
            self._forget_stream(first[0])
            self._close(first[0])

    def _to_owner(self, message: Message, now_us: int) -> None:
        """Send it to the owner of its room, or keep it until there is one."""
        at = self.ownership.rooms.get(message.room)
        if at is None:
            return
        if at.state is OwnershipState.OWNED:
            self._serve(message, now_us)
        elif at.state is OwnershipState.ELSEWHERE and self.lease.is_alive(at.owner) and self._is_member:
            self._outputs.append(SendMessage(at.owner, messages.write(message._replace(hops=message.hops + 1))))
        else:
            if len(at.waiting) == at.waiting.maxlen:
                self._outputs.append(Happened(What.INPUTS_LOST, at.name.decode("utf-8", "replace")))
            at.waiting.append(message)

    def _held(self, output: Elsewhere, now_us: int) -> None:
        """A request for a room that is not here."""
        if not self.lease.holds(now_us) and self._is_new:
            self._early.append(output)
            return
        if not self.lease.holds(now_us):
            refused = self.engine.resume_request(output.stream, now_us, refused="the cluster is out of reach")
            self._pass_on(refused, now_us)
            return
        at = self.ownership.at(output.room)
        if at.state is OwnershipState.ELSEWHERE and self.lease.is_alive(at.owner):
            self._take_away(output.stream, at, now_us)
            return
        at.held.append((output.stream, output.creates))
        if at.state is OwnershipState.UNOWNED and at.asked is None:
            if output.creates:
                at.is_listed = output.is_listed
                self._want(at, now_us)
            else:
                self.ownership.look_up(at, now_us)

    def _want(self, at: RoomAt, now_us: int) -> None:
        self.ownership.want(at, now_us)

    def _take_away(self, stream: StreamId, at: RoomAt, now_us: int) -> None:
        handshake = self.engine.handshake_server.handshakes[stream]
        what = [stream, handshake.ip, handshake.peer_port, handshake.listener, self._sent.pop(stream, 0)]
        data, has_ended, outputs = self.engine.take_request_away(stream)
        self._pass_on(outputs, now_us)
        self._take_over(stream, at.name, now_us)
        for kind, body in ((Kind.OPEN, data), *(((Kind.END, b""),) if has_ended else ())):
            args = tuple(what) if kind is Kind.OPEN else (stream,)
            self._to_owner(Message(kind, at.name, at.fence, self.lease.address, args, body), now_us)

    # --- for clients of other processes ----------------------------------------------------------

    def _serve(self, message: Message, now_us: int) -> None:
        """What a client of some gateway does in a room that is here, or was."""
        if not self.ownership.owns(message.room):
            at = self.ownership.rooms.get(message.room)
            if at is None or at.state is OwnershipState.UNOWNED:
                self._answer_no_room(message)
            elif message.hops < HOPS_MAX or at.state is not OwnershipState.ELSEWHERE:
                self._to_owner(message, now_us)
            return
        engine, sender = self.engine, message.sender
        self._room = message.room
        if message.kind is Kind.DATAGRAM:
            listener, ip, port = message.what
            at_listener = self._listener_at(sender.partition(".")[0], listener)
            outputs = engine.receive_datagram(message.body, Address(ip, port), now_us, at_listener)
            self.ownership.changed(message.room, now_us, at_once=False)
            self._pass_on(outputs, now_us)
            return
        if message.kind is Kind.TOLD:
            session = self.registry.sessions.get(message.what[0].encode())
            if session is not None and session.room.name_bytes == message.room:
                self._pass_on(engine.remove(session.name, session.room.name, now_us) or [], now_us)
            return
        stream = message.what[0] if sender == self.lease.address else (sender, message.what[0])
        match message.kind:
            case Kind.OPEN if stream in engine.handshake_server.handshakes:
                raise ValueError(f"the stream {stream} is open")
            case Kind.OPEN:
                _, ip, port, listener, sent = message.what
                self._guests[stream] = message.room
                self._skip[stream] = sent
                at_listener = self._listener_at(sender.partition(".")[0], listener)
                if stream == message.what[0]:  # its own client's, whose room has come here meanwhile
                    self._forget_stream(stream)
                opened = engine.stream_opened(stream, Address(ip, port), now_us, at_listener, name=f"{ip}:{port}")
                self._pass_on(opened, now_us)
                self._pass_on(engine.receive_stream(stream, message.body, now_us), now_us)
            case Kind.DATA:
                self._pass_on(engine.receive_stream(stream, message.body, now_us), now_us)
            case Kind.END:
                self._pass_on(engine.stream_ended(stream, now_us), now_us)
            case _:
                self._pass_on(engine.stream_closed(stream, now_us), now_us)

    def _answer_no_room(self, message: Message) -> None:
        """A stream's room is gone: its gateway closes it."""
        if message.kind is not Kind.DATAGRAM and message.sender != self.lease.address:
            self._send(message.sender, Kind.CLOSE, message.room, (message.what[0],))

    # --- for own clients, from owners ------------------------------------------------------------

    def _deliver(self, message: Message) -> None:
        """What the owner of a room puts out for a client here (R-OWN-4)."""
        at = self.ownership.rooms.get(message.room)
        if at is not None and message.fence < at.fence:
            self._outputs.append(Happened(What.STALE_OWNER, message.sender, message.room.decode("utf-8", "replace")))
            return
        what = message.what
        if message.kind in (Kind.FRAME, Kind.FINISH, Kind.CLOSE):
            stream = what[0]
            if self._streams.get(stream) != message.room:
                return
            if message.kind is Kind.FRAME:
                self._outputs.append(SendFrame(stream, message.body, PacketKind(what[1])))
            elif message.kind is Kind.FINISH:
                self._outputs.append(FinishStream(stream))
            else:
                self._forget_stream(stream)
                self._close(stream)
        elif message.kind is Kind.SEND:
            kind, listener, targets = PacketKind(what[0]), what[1], [Address(ip, port) for ip, port in what[2]]
            if not 0 <= listener < len(self._listeners):
                raise ValueError(f"there is no listener {listener}")
            if kind in (PacketKind.RELAY, PacketKind.NOTICE) and what[3]:
                self._outputs.append(Relay(message.body, targets, kind, listener))
            else:
                self._outputs += [SendDatagram(message.body, each, kind, listener) for each in targets]
        elif message.kind is Kind.REMEMBER:
            token, listener, address = what
            where = Address(*address) if address is not None else None
            self.sessions[token.encode()] = Remembered(message.room, message.body, where, listener)
        else:
            self.sessions.pop(what[0].encode(), None)

    # --- what the engine puts out ----------------------------------------------------------------

    def _pass_on(self, outputs: Iterable[ServerOutput], now_us: int) -> None:
        """To own clients as it is, to those of other processes as messages."""
        own = len(self._listeners)
        for output in outputs:
            if isinstance(output, Relay):
                if output.listener < own:
                    self._outputs.append(output)
                else:
                    self._send_datagrams(output.data, output.targets, output.what, output.listener, is_relay=True)
            elif isinstance(output, SendDatagram):
                if output.listener < own:
                    self._outputs.append(output)
                elif output.address is not None:
                    self._send_datagrams(output.data, [output.address], output.what, output.listener, is_relay=False)
            elif isinstance(output, SendFrame | FinishStream | CloseStream):
                self._pass_to_stream(output)
            elif isinstance(output, Elsewhere):
                self._held(output, now_us)
            else:
                self._observe(output, now_us)

    def _send_datagrams(
        self, data: bytes, targets: Sequence[Address], what: PacketKind, listener: int, *, is_relay: bool
    ) -> None:
        name, number = self.gateway_of(listener)
        gateway = self.lease.seen.get(name)
        if gateway is None:
            return  # its clients are out of reach, until it is back under its name
        for start in range(0, len(targets), TARGETS_MAX):
            some = targets[start : start + TARGETS_MAX]
            self._send(gateway.address, Kind.SEND, self._room, (what, number, some, is_relay), data)

    def _pass_to_stream(self, output: SendFrame | FinishStream | CloseStream) -> None:
        stream = output.stream
        is_answer = isinstance(output, SendFrame) and output.what is PacketKind.ANSWER
        if is_answer and self._skip.get(stream):
            self._skip[stream] -= 1
            return
        if isinstance(output, CloseStream):
            self._sent.pop(stream, None)
            self._skip.pop(stream, None)
        if not isinstance(stream, tuple):
            if is_answer:
                self._sent[stream] = self._sent.get(stream, 0) + 1
            if isinstance(output, CloseStream):
                self._open.discard(stream)
            self._outputs.append(output)
            return
        gateway, number = stream
        room = self._guests.get(stream, self._room)
        match output:
            case SendFrame(_, data, what):
                self._send(gateway, Kind.FRAME, room, (number, what), data)
            case FinishStream():
                self._send(gateway, Kind.FINISH, room, (number,))
            case CloseStream():
                self._guests.pop(stream, None)
                self._send(gateway, Kind.CLOSE, room, (number,))

    def _observe(self, output: ServerOutput, now_us: int = 0) -> None:
        """Follow the engine: which tokens are whose, and when a room is to be saved."""
        own = len(self._listeners)
        if isinstance(output, Stepped | Dropped | Withheld) and output.listener is not None and output.listener >= own:
            self._outputs.append(output._replace(listener=output.listener % own))
        else:
            self._outputs.append(output)
        if isinstance(output, TimerFired):
            self._room = self._room_of(output.subject) or self._room
        elif isinstance(output, Forgotten):
            if not isinstance(output.subject, bytes):
                return
            self._rooms_of.pop(output.subject, None)
            if self.ownership.owns(output.subject):
                self.ownership.closed(output.subject)
        elif isinstance(output, Stepped) and output.from_ is not output.to and output.machine is Machine.SESSION:
            assert isinstance(output.subject, bytes), "sessions are named by their tokens"
            self._session_stepped(output.subject, output)
            self.ownership.changed(self._room_of(output.subject), now_us, at_once=True)
        elif isinstance(output, Stepped) and output.machine is Machine.ROOM and output.to == RoomState.CLOSING:
            assert isinstance(output.subject, bytes), "rooms are named by their names"
            if self.ownership.owns(output.subject):
                self.ownership.list_no_more(output.subject, now_us)

    def _session_stepped(self, token: bytes, step: Stepped) -> None:
        session = self.registry.sessions.get(token)
        if step.event == SessionEvent.GRANTED and session is not None:
            self._rooms_of[token] = session.room.name_bytes
        if step.to == SessionState.EXPIRED:
            self._send_forget(token, step.listener or 0)
        elif session is not None:
            self._send_remember(token)

    def _room_of(self, subject: Subject) -> bytes:
        if isinstance(subject, bytes):
            return self._rooms_of.get(subject) or (subject if subject in self.registry.rooms else b"")
        return self._guests.get(subject, b"")

    # --- what gateways remember ------------------------------------------------------------------

    def _send_remember(self, token: bytes) -> None:
        session = self.registry.sessions.get(token)
        if session is None:
            return
        room = session.room
        host = room.host.name if room.host is not None else session.name
        words = write_notice(
            session.codec, Notice.SHUTDOWN, name=session.name, room=room.name, host=host, token=session.token
        )
        name, listener = self.gateway_of(session.listener)
        if name == self.lease.name:
            self.sessions[token] = Remembered(room.name_bytes, words or b"", session.address, listener)
        elif name in self.lease.seen:
            what = (token.decode("latin-1"), listener, session.address)
            self._send(self.lease.seen[name].address, Kind.REMEMBER, room.name_bytes, what, words or b"")

    def _send_forget(self, token: bytes, listener: int) -> None:
        name, _ = self.gateway_of(listener)
        if name == self.lease.name:
            self.sessions.pop(token, None)
        elif name in self.lease.seen:
            room = self._rooms_of.get(token, b"")
            self._send(self.lease.seen[name].address, Kind.FORGET, room, (token.decode("latin-1"),))

    def _remind(self, address: str) -> None:
        """A gateway has begun: it knows nothing of its clients who are in rooms here."""
        name = address.partition(".")[0]
        slot = self._slots.get(name)
        if slot is None:
            return
        own = len(self._listeners)
        for token, session in self.registry.sessions.items():
            if session.listener // own == slot:
                self._send_remember(token)

    # --- small steps -----------------------------------------------------------------------------

    def _send(self, to: str, kind: Kind, room: bytes, what: tuple[object, ...], body: bytes = b"") -> None:
        at = self.ownership.rooms.get(room)
        fence = at.fence if at is not None else 0
        self._outputs.append(
            SendMessage(to, messages.write(Message(kind, room, fence, self.lease.address, what, body)))
        )

    def _listener_at(self, name: str, listener: int) -> int:
        """The engine's number of a process's listener, which it is given now if it has none."""
        own: Sequence[ListenerConfig] = self._listeners
        if not 0 <= listener < len(own):
            raise ValueError(f"there is no listener {listener}")
        if name not in self._slots:
            self._slots[name] = len(self._names)
            self._names.append(name)
            self.engine.add_listeners(own)
        return self._slots[name] * len(own) + listener

    def _take(self, now_us: int) -> list[NodeOutput]:
        """The outputs of a call, and what the lease and the rooms ask for."""
        self._take_pending()
        outputs, self._outputs = self._outputs, []
        return outputs

    def _take_pending(self) -> None:
        if self.lease.pending:
            self._outputs += self.lease.pending
            self.lease.pending.clear()
