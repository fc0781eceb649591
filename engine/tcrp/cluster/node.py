"""One process of a cluster: an engine for the rooms that it owns, and a gateway for its clients in all others.

Takes what a server's engine takes, and also messages of other processes and what the bucket says. Puts out what an
engine puts out, for its own clients only, and what is asked of the cluster's driver. Touches no socket and no clock.

The engine has all rooms of the process. `Gateway` has its own clients while other processes have their rooms, `Guests`
the clients of other processes in rooms that are here, `RoomsHere` these rooms; which they are, `Lease` and `Ownership`
say.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcrp.cluster import messages, snapshots
from tcrp.cluster.early import EarlyMessages
from tcrp.cluster.gateway import Gateway
from tcrp.cluster.guests import Guests
from tcrp.cluster.keys import FORM, NODE, OWNER
from tcrp.cluster.lease import Lease
from tcrp.cluster.messages import TO_OWNER, Kind, Message
from tcrp.cluster.outputs import Answer, Entry, Happened, NodeOutput, SendMessage, What
from tcrp.cluster.ownership import Ownership, RoomAt
from tcrp.cluster.rooms import RoomsHere
from tcrp.engine.outputs import (
    Address,
    Detail,
    Elsewhere,
    ServerOutput,
    StreamId,
)
from tcrp.engine.registry import SessionRegistry
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.spec.cluster_names import LEASE_US, LeaseState, OwnershipState
from tcrp.spec.limits import Limits

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
        kin = f"{snapshots.version()}.{FORM}/{config.kin}"
        self.lease = Lease(config.name, config.life, kin, config.lease_us, lambda: next(asks))
        self.ownership = Ownership(self.lease, self, lambda: next(asks))
        own = len(config.server.listeners)
        self._outputs: list[NodeOutput] = []
        self.gateway = Gateway(own, self._outputs)
        self.guests = Guests(self.engine, config.server.listeners, self.lease, self.ownership.fence_of, self._outputs)
        self.rooms = RoomsHere(
            self.engine, own, self.lease, self.ownership, self.gateway, self.guests, self._held, self._outputs
        )
        self._is_connected = True
        self._cut_off_us: int | None = None  # since when it holds no lease
        self._is_told = False
        self._has_held = False  # the lease, until now
        self._is_new = True  # it has never held one
        self._early_requests: list[Elsewhere] = []  # requests that came before its first lease
        self._early_messages = EarlyMessages(config.lease_us)

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
        self.gateway.opened(stream)
        self.rooms.pass_on(self.engine.stream_opened(stream, peer, now_us, listener, name=name), now_us)
        return self._take()

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> list[NodeOutput]:
        """Bytes of one of its own clients."""
        self._to_stream(Kind.DATA, stream, data, now_us, lambda: self.engine.receive_stream(stream, data, now_us))
        return self._take()

    def stream_ended(self, stream: StreamId, now_us: int) -> list[NodeOutput]:
        """One of its own clients has half-closed."""
        self._to_stream(Kind.END, stream, b"", now_us, lambda: self.engine.stream_ended(stream, now_us))
        return self._take()

    def stream_closed(self, stream: StreamId, now_us: int) -> list[NodeOutput]:
        """The connection of one of its own clients is gone."""
        self._to_stream(Kind.GONE, stream, b"", now_us, lambda: self.engine.stream_closed(stream, now_us))
        self.gateway.take_back(stream)
        self.gateway.closed(stream)
        return self._take()

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> list[NodeOutput]:
        """A datagram of one of its own clients, for whichever room (R-OWN-5)."""
        self._look_at_lease(now_us)
        head = self.engine.head_of(data, listener)
        room = b""
        if head is not None:
            known = self.gateway.room_of_session(head[1], source)
            room = known if known is not None else head[0] or b""
        at = self.ownership.rooms.get(room)
        if at is None or at.state is OwnershipState.OWNED:
            self.rooms.pass_on(self.engine.receive_datagram(data, source, now_us, listener), now_us, room)
            if at is not None:
                self.ownership.changed(room, now_us, at_once=False)
        else:
            what = (listener, source.ip, source.port)
            self._to_owner(Message(Kind.DATAGRAM, room, at.fence, self.lease.address, what, data), now_us)
        return self._take()

    def handle_timeout(self, now_us: int) -> list[NodeOutput]:
        """Do all that is due."""
        self._look_at_lease(now_us)
        self.lease.tick(now_us)
        self.rooms.pass_on(self.engine.handle_timeout(now_us), now_us)
        self.ownership.tick(now_us)
        self._tell_cut_off(now_us)
        self.gateway.close_given_up(now_us)
        return self._take()

    def next_deadline_us(self) -> int | None:
        """When `handle_timeout` is to be called next."""
        times = [each.next_us() for each in (self.lease, self.ownership, self.gateway)]
        times.append(self.engine.next_deadline_us())
        if self._cut_off_us is not None and not self._is_told:
            times.append(self._tell_us())
        return min((each for each in times if each is not None), default=None)

    def shutdown(self, now_us: int) -> list[NodeOutput]:
        """Close the rooms that are here. To be called after `hand_over`, for those that nobody took."""
        for at in self.ownership.owned():
            if at.state is OwnershipState.HANDING_OVER:  # too late: its snapshot is there for others
                self.ownership.rooms.pop(at.name)
        self.rooms.pass_on(self.engine.shutdown(now_us), now_us)
        return self._take()

    def remove(self, user: str, room: str, now_us: int) -> list[NodeOutput] | None:
        """End a member's session in a room that is here."""
        return self._command(room, self.engine.remove(user, room, now_us), now_us)

    def close_room(self, room: str, now_us: int) -> list[NodeOutput] | None:
        """End a room that is here."""
        return self._command(room, self.engine.close_room(room, now_us), now_us)

    def _command(self, room: str, outputs: list[ServerOutput] | None, now_us: int) -> list[NodeOutput] | None:
        if outputs is None:
            return None
        self.rooms.pass_on(outputs, now_us, room.encode())
        return self._take()

    # --- what a process of a cluster has besides -------------------------------------------------

    def start(self, now_us: int) -> list[NodeOutput]:
        """Join the cluster. To be called when all of the bucket's keys have been shown."""
        return self.handle_timeout(now_us)

    def hand_over(self, now_us: int) -> list[NodeOutput]:
        """Give away every room that is here. Done when `has_rooms` is false, or `shutdown` closes what is left."""
        self._look_at_lease(now_us)
        self.ownership.hand_over(now_us)
        return self._take()

    def release(self, now_us: int) -> list[NodeOutput]:
        """Leave the cluster."""
        self.lease.release()
        return self._take()

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
        self._hear_early(now_us)
        return self._take()

    def bucket_changed(self, entry: Entry, now_us: int) -> list[NodeOutput]:
        """A key of a process or of a room is as this says."""
        self._look_at_lease(now_us)
        if entry.key.startswith(NODE):
            news = self.lease.saw(entry, now_us)
            if news.lost:
                self.ownership.node_lost(news.lost, now_us)
            if news.joined:
                self.rooms.remind(news.joined)
                self.ownership.node_joined(news.joined, now_us)
            if news.renewed:
                self.ownership.node_renewed(now_us)
        elif entry.key.startswith(OWNER):
            self.ownership.saw(entry, now_us)
        self._hear_early(now_us)
        return self._take()

    def receive_message(self, data: bytes, now_us: int) -> list[NodeOutput]:
        """A message of another process. What is none is dropped, and what comes from a stranger (R-OWN-9).

        A process is a stranger until its lease is shown. One that has just begun, or come back, may send messages
        that are here before that: they wait for it, at most as long as a lease.
        """
        self._look_at_lease(now_us)
        message = messages.read(data)
        if message is not None and self.lease.is_alive(message.sender):
            self._hear(message, now_us)
        elif message is not None and not self._early_messages.keep(message, now_us):
            self._outputs.append(Happened(What.INPUTS_LOST, message.room.decode("utf-8", "replace")))
        return self._take()

    def _hear_early(self, now_us: int) -> None:
        for message in self._early_messages.take(self.lease.is_alive, now_us):
            self._hear(message, now_us)

    def _hear(self, message: Message, now_us: int) -> None:
        try:
            if message.kind in TO_OWNER:
                self._serve(message, now_us)
            else:
                self._deliver(message)
        except (ValueError, TypeError, IndexError, AttributeError, KeyError):  # its `what` is none of its kind
            self._outputs.append(Happened(What.STRANGER, message.sender, "a message that cannot be read"))

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
                self.ownership.lease_held(now_us)
                self._forward_waiting(now_us)
            early, self._early_requests = self._early_requests, []
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
            self.gateway.tell_all()

    # --- rooms: what `Ownership` asks of its holder ----------------------------------------------

    def save(self, room: bytes, fence: int) -> bytes:
        """The state of a room that is here."""
        return self.rooms.save(room, fence)

    def load(self, room: bytes, saved: bytes, now_us: int) -> str:
        """Go on with a room."""
        return self.rooms.load(room, saved, now_us)

    def drop(self, room: bytes, now_us: int) -> None:
        """Hold nothing of a room any more."""
        self.rooms.drop(room, now_us)

    def settled(self, at: RoomAt, now_us: int) -> None:
        """The room is owned, or known to be nobody's."""
        self._take_pending()  # that it is so comes before what comes of it
        held, at.held = at.held, []
        waiting = list(at.waiting)
        at.waiting.clear()
        if at.state is not OwnershipState.UNOWNED:
            me = self.lease.address
            told = self.gateway.take_told(at.name)
            waiting += [Message(Kind.TOLD, at.name, 0, me, (token.decode("latin-1"),)) for token in told]
        if at.state is OwnershipState.UNOWNED and any(creates for _, creates in held):
            if self.lease.holds(now_us):
                at.held = held
                self.ownership.want(at, now_us)
            else:
                for stream, _ in held:
                    self._refuse(stream, now_us)
            return
        for stream, _ in held:
            if stream not in self.engine.handshake_server.handshakes:
                continue  # it was closed meanwhile
            if at.state is OwnershipState.ELSEWHERE:
                self._take_away(stream, at, now_us)
            else:
                self.rooms.pass_on(self.engine.resume_request(stream, now_us), now_us, at.name)
        for message in waiting:
            if at.state is not OwnershipState.UNOWNED:
                self._serve(message, now_us)
        if at.state is OwnershipState.OWNED and at.name not in self.registry.rooms:
            self.ownership.closed(at.name)  # its creation was refused, or abandoned

    def vacated(self, room: bytes) -> None:
        """A room is gone from the cluster."""
        self.gateway.vacated(room)

    # --- from own clients to owners --------------------------------------------------------------

    def _to_stream(
        self, kind: Kind, stream: StreamId, data: bytes, now_us: int, own: Callable[[], list[ServerOutput]]
    ) -> None:
        self._look_at_lease(now_us)
        room = self.gateway.room_of(stream)
        if room is None:
            self.rooms.pass_on(own(), now_us)
        else:
            self._to_owner(Message(kind, room, 0, self.lease.address, (stream,), data), now_us)

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
            self._early_requests.append(output)
            return
        if not self.lease.holds(now_us):
            self._refuse(output.stream, now_us)
            return
        at = self.ownership.at(output.room)
        if at.state is OwnershipState.ELSEWHERE and self.lease.is_alive(at.owner):
            self._take_away(output.stream, at, now_us)
            return
        at.held.append((output.stream, output.creates))
        if at.state is OwnershipState.UNOWNED and at.asked is None:
            if output.creates:
                at.is_listed = output.is_listed
                self.ownership.want(at, now_us)
            else:
                self.ownership.look_up(at, now_us)

    def _refuse(self, stream: StreamId, now_us: int) -> None:
        if stream in self.engine.handshake_server.handshakes:
            refused = self.engine.resume_request(stream, now_us, refused="the cluster is out of reach")
            self.rooms.pass_on(refused, now_us)

    def _take_away(self, stream: StreamId, at: RoomAt, now_us: int) -> None:
        handshake = self.engine.handshake_server.handshakes[stream]
        what = [stream, handshake.ip, handshake.peer_port, handshake.listener, self.gateway.take_answered(stream)]
        data, has_ended, outputs = self.engine.take_request_away(stream)
        self.rooms.pass_on(outputs, now_us)
        self.rooms.give_away(stream, at.name, now_us)
        for kind, body in ((Kind.OPEN, data), *(((Kind.END, b""),) if has_ended else ())):
            args = tuple(what) if kind is Kind.OPEN else (stream,)
            self._to_owner(Message(kind, at.name, at.fence, self.lease.address, args, body), now_us)

    # --- for clients of other processes ----------------------------------------------------------

    def _serve(self, message: Message, now_us: int) -> None:
        """What a client of some gateway does in a room that is here, or was."""
        if not self.ownership.owns(message.room):
            at = self.ownership.rooms.get(message.room)
            if at is None or at.state is OwnershipState.UNOWNED:
                self.guests.answer_no_room(message)
            elif message.hops < HOPS_MAX or at.state is not OwnershipState.ELSEWHERE:
                self._to_owner(message, now_us)
            return
        if message.kind is Kind.OPEN and message.sender == self.lease.address:  # its room has come here meanwhile
            if not self.gateway.is_open(message.what[0]):
                return  # nobody waits for an answer any more
            self.gateway.take_back(message.what[0])
        outputs = self.guests.serve(message, now_us)
        if message.kind is Kind.DATAGRAM:
            self.ownership.changed(message.room, now_us, at_once=False)
        self.rooms.pass_on(outputs, now_us, message.room)

    # --- for own clients, from owners ------------------------------------------------------------

    def _deliver(self, message: Message) -> None:
        """What the owner of a room puts out for a client here (R-OWN-4)."""
        at = self.ownership.rooms.get(message.room)
        if at is not None and message.fence < at.fence:
            self._outputs.append(Happened(What.STALE_OWNER, message.sender, message.room.decode("utf-8", "replace")))
            return
        self.gateway.deliver(message)

    # --- the outputs of a call -------------------------------------------------------------------

    def _take(self) -> list[NodeOutput]:
        """All of them, with what the lease and the rooms ask for."""
        self._take_pending()
        outputs = self._outputs.copy()
        self._outputs.clear()
        return outputs

    def _take_pending(self) -> None:
        if self.lease.pending:
            self._outputs += self.lease.pending
            self.lease.pending.clear()
