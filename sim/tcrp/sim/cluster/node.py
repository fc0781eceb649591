"""One server of a simulated cluster: drives the same `ClusterNode` that real sockets drive.

To its users it is a server. Messages to other nodes are datagrams over the links between them, which keep their
order as NATS does; with the bucket it speaks over TCP, by `BucketClient`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, assert_never, cast

from tcrp.cluster import messages
from tcrp.cluster.messages import TO_OWNER, Kind, Message
from tcrp.cluster.node import ClusterNode, NodeConfig
from tcrp.cluster.outputs import (
    ClusterOutput,
    ClusterStepped,
    Delete,
    Get,
    Happened,
    NodeOutput,
    Put,
    SendMessage,
    What,
)
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, Forgotten, Relay, ServerOutput, Stepped, StreamId
from tcrp.engine.peers import unmap_ipv4
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.sim.checks.monitor import PropertyMonitor
from tcrp.sim.cluster.bucket import Bucket
from tcrp.sim.cluster.bucket_client import BucketClient
from tcrp.sim.cluster.checks import ClusterChecks
from tcrp.sim.cluster.watched import WatchedEngine
from tcrp.sim.hosts.server import EngineCall, ServerHost
from tcrp.sim.network.packets import Chain, Origin, Packet, next_of_kind
from tcrp.sim.network.tcp import Connection, Tcp
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import Clock, HandOver, ServerAction, Shutdown
from tcrp.spec.cluster_names import ClusterMachine, LeaseState, OwnershipState
from tcrp.spec.limits import SHUTDOWN_LINGER_US, Limits
from tcrp.spec.names import Counter, Machine, PacketKind, RoomEvent, SessionState

NODE_PORT = 4222
MachineState = tuple[Machine, str, str]
"""A machine by kind and id, and its state."""
HAND_OVER_US = 5_000_000
"""So long a server that is told to stop waits for others to take its rooms."""


class Rooms(Protocol):
    """Is told where rooms are: which machines go on at a server, and which do not any more."""

    def moved_to(self, server: str, states: Iterable[MachineState]) -> None: ...
    def moved_from(self, server: str, machines: Iterable[tuple[Machine, str]]) -> None: ...


class NodeHost(ServerHost):
    """A server of a cluster. `number` gives its IP address, `make_node` is `ClusterNode` or what a test puts there.

    `others` are all servers of the cluster by name, this one among them, and `connections` all TCP connections of
    their clients, by server, life and number: streams of other servers' clients are called so.
    """

    def __init__(
        self, world: World, tcp: Tcp, bucket: Bucket, limits: Limits, seed: int, *, id: str, number: int,
        lease_us: int, others: dict[str, NodeHost], connections: dict[tuple[str, str, int], Connection],
        listeners: Iterable[ListenerConfig] = (ListenerConfig(),), names: Iterable[str] = (),
        make_node: type[ClusterNode] = ClusterNode,
    ) -> None:  # fmt: skip
        self.happened: list[Happened] = []
        self._may_start = False  # others, users and checks are there
        self.checks: ClusterChecks | None = None
        self.monitor: PropertyMonitor | None = None  # of the engine inside
        self.rooms: list[Rooms] = []
        self._others, self._all_connections = others, connections
        self._lease_us = lease_us
        self._make_node = make_node
        # Of the running life, as `node.engine`, which is annotated as a `ServerEngine`: compiled code would look.
        self._inner: ServerEngine | WatchedEngine
        self._lives = 0
        self._streams = 0
        self._leaves_us: int | None = None  # when it leaves, if it was told to
        self._packet: Packet | None = None  # a client's that it was given
        self._left: dict[bytes, tuple[list[bytes], list[MachineState]]] = {}  # rooms: tokens and machines
        self._came: dict[bytes, tuple[list[bytes], list[MachineState]]] = {}
        self._fences: dict[bytes, int] = {}  # of rooms that went on here: a call may relay and then end the room
        self._origin = Origin(f"{id}.node", seed)  # of what nobody but the node itself has brought about
        self._arrives_us: dict[str, int] = {}  # of the latest message, by node
        self.ip = f"10.255.255.{number}"
        self._bucket = BucketClient(self, tcp, bucket, Address(self.ip, NODE_PORT))
        super().__init__(
            world, limits, seed, make_engine=self._new_node, id=id, ip=self.ip, listeners=tuple(listeners),
            names=tuple(names),
        )  # fmt: skip
        world.open_socket(Address(self.ip, NODE_PORT), self)

    @property
    def node(self) -> ClusterNode:
        """What it drives. Not to be asked for while it is down."""
        assert isinstance(self.engine, ClusterNode), "it is up"
        return self.engine

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence, and the renewal of its lease, is waited for."""
        if self.engine is None:
            return True
        node = self.node
        if not self._inner.is_quiescent or node.lease.state not in (LeaseState.HELD, LeaseState.RENEWING):
            return False
        return all(
            at.asked is None and at.save_us is None and not (at.waiting or at.held) and self._is_at(at.state, at.owner)
            for at in node.ownership.rooms.values()
        )

    def _is_at(self, state: OwnershipState, owner: str) -> bool:
        """Whether a room is where this node believes it to be."""
        if state is OwnershipState.ELSEWHERE:
            other = self._others[owner.partition(".")[0]]
            return other.engine is not None and other.node.lease.address == owner
        return state in (OwnershipState.OWNED, OwnershipState.UNOWNED)

    def owns(self, room: str) -> bool:
        """Whether it runs, and holds itself to be the owner of a room."""
        return not self.is_paused and self.engine is not None and self.node.ownership.owns(room.encode())

    def frozen(self) -> ServerState:
        return self._inner.freeze() if self.engine is not None else ServerState()

    def counters(self) -> dict[str, int]:
        if self.engine is None:
            return {}
        registry = self.node.registry  # rooms come and go without a step
        return {**super().counters(), Counter.ROOMS: len(registry.rooms), Counter.SESSIONS: len(registry.sessions)}

    def udp_at(self, listener: int) -> Address:
        name, number = self.node.guests.gateway_of(listener)
        return self._others[name].udp[number]

    def _new_node(self, config: ServerConfig, **options: Any) -> Any:
        self._lives += 1
        node = NodeConfig(config, self.id, self._life, lease_us=self._lease_us)
        return self._make_node(node, make_engine=self._new_engine, **options)

    @property
    def _life(self) -> str:
        return f"life{self._lives}"

    def _new_engine(self, config: ServerConfig, **options: Any) -> Any:
        engine = ServerEngine(config, **options)
        self._inner = engine if self.monitor is None else WatchedEngine(engine, self, self, self.monitor)
        return self._inner

    def begin(self) -> None:
        """All that it needs is there."""
        self._may_start = True
        self.start_engine()

    def start_engine(self) -> None:
        """A new node, which joins the cluster when the bucket has shown its keys."""
        if not self._may_start:
            return
        super().start_engine()
        self.is_stopping, self._leaves_us = False, None
        self.recorder.cause = self._origin
        self._bucket.connect(self._origin)

    def _new_token(self) -> bytes:
        token = super()._new_token()
        return token[:30] + f"{int(self.ip.rpartition('.')[2]):02x}".encode()  # unlike those of other nodes

    # --- what arrives ----------------------------------------------------------------------------

    def receive_datagram(self, packet: Packet) -> None:
        if packet.target.port != NODE_PORT:
            self._packet = packet
            if not self.is_paused and self.engine is not None:
                self._counters.datagrams(1)
            super().receive_datagram(packet)
            self._packet = None
        elif self.is_paused:
            self.hold(self.receive_datagram, packet)
        elif self.engine is None:
            self.world.drop(packet, "server down")
        else:
            self._receive_message(packet)

    def _receive_message(self, packet: Packet) -> None:
        to, _, data = packet.data.partition(b"\n")
        if to.decode() != self.node.lease.address:
            self.world.drop(packet, "earlier life")
            return
        self.recorder.cause = packet
        outputs = self.node.receive_message(data, self.local_us())
        message = messages.read(data)
        if self.checks is not None and message is not None and message.kind is Kind.SEND:
            if any(isinstance(each, Relay) and each.what is PacketKind.RELAY for each in outputs):
                self.checks.sends_out(self.id, message.room, message.fence)
        if any(isinstance(each, Happened) and each.what is What.STALE_OWNER for each in outputs):
            self.world.drop(packet, "stale owner")
        self._perform(outputs)

    def connection_event(self, connection: Connection, packet: Packet) -> None:
        if connection.client is self:
            self._bucket.hear(connection, packet)
            return
        if not connection.stream.isdigit():
            self._streams += 1
            connection.stream = str(self._streams)  # a node's streams are numbers: they stand in snapshots
            self._all_connections[self.id, self._life, self._streams] = connection
        super().connection_event(connection, packet)

    def _stream_call(self, connection: Connection, packet: Packet) -> EngineCall:
        method, (stream, *others) = super()._stream_call(connection, packet)
        return EngineCall(method, (int(stream), *others))

    def handle_timeout(self, local_us: int) -> None:
        self._origin.record = 0
        self.recorder.cause = self._origin
        super().handle_timeout(local_us)

    def waiting_cause(self) -> Chain:
        """The cause of what comes of waiting."""
        self._origin.record = 0
        return self._origin

    # --- as the inputs of the engine inside ------------------------------------------------------

    def datagram(self, data: bytes, source: Address, listener: int) -> Packet:
        """The packet that a client has sent with these bytes, to whichever server."""
        packet: Chain = self._packet or self.recorder.cause
        for _ in range(2):  # itself, or what has brought about a message
            if isinstance(packet, Packet) and packet.data == data and self._shown(packet.source) == source:
                return packet
            packet = packet.parent if isinstance(packet, Packet) else packet
        target, source = self.udp_at(listener), Address(unmap_ipv4(source.ip), source.port)
        link = self.world.network.between(self.world.owner_of(source), self.world.owner_of(target))
        return Packet(self.recorder.cause, link, PacketKind.DATAGRAM, data, source, target)

    def connection_of(self, stream: StreamId) -> Connection | None:
        """The connection that an engine's stream is, here or at another server."""
        if isinstance(stream, tuple):
            name, life, _ = stream[0].split(".")
            return self._all_connections.get((name, life, stream[1]))
        return self._all_connections.get((self.id, self._life, cast(int, stream)))

    def piece(self, connection: Connection, what: PacketKind, data: bytes) -> Packet:
        """A piece of a stream, as its own server was given it."""
        return Packet(
            self.recorder.cause, connection.up.link, what, data, connection.client_address, Address(self.ip, 0), "tcp"
        )

    def leaves(self, room: bytes) -> None:
        """The engine is about to hold nothing of a room any more."""
        self._left[room] = self.tokens_in(room), self.states_in(room)

    def comes(self, room: bytes) -> None:
        """The engine goes on with a room."""
        self._came[room] = self.tokens_in(room), self.states_in(room)
        self._fences[room] = self.node.ownership.rooms[room].fence

    # --- what the script does to it --------------------------------------------------------------

    def act(self, action: ServerAction, origin: Origin) -> None:
        if self.is_paused and isinstance(action, HandOver):
            self.hold(self._act_later, (action, origin))
            return
        match action:
            case Clock(skew_us, drift_ppm):
                self.disturb_clock(skew_us, drift_ppm, origin)
            case HandOver():
                self.hand_over(origin)
            case Shutdown() if not self.is_paused:
                self._stop(origin)
            case _:
                super().act(action, origin)

    def hand_over(self, origin: Origin) -> None:
        """Give all rooms away, as a server does that is told to stop. It goes on as a gateway."""
        if self.engine is None:
            return
        self.world.record_fault(self.id, "hand_over", "", origin)
        self.recorder.cause = origin
        self._perform(self.node.hand_over(self.local_us()))

    def _stop(self, origin: Origin) -> None:
        """As on SIGTERM: give all rooms away, close those that nobody takes, leave the cluster, and be gone."""
        if self.engine is None or self._leaves_us is not None:
            return
        self.world.record_fault(self.id, "shutdown", "", origin)
        self._leaves_us = self.world.now_us + HAND_OVER_US
        self.recorder.cause = origin
        self._perform(self.node.hand_over(self.local_us()))
        self.world.at(self._leaves_us, self._leave_if_told, (self._lives, origin))
        self._leave_if_done()

    def _leave_if_told(self, told: tuple[int, Chain]) -> None:
        """Nobody takes its rooms."""
        life, cause = told
        if self.engine is None or life != self._lives or self.is_stopping:
            return
        if self.is_paused:
            self.hold(self._leave_if_told, told)
            return
        self.recorder.cause = cause
        self._leave()

    def _leave_if_done(self) -> None:
        if self._leaves_us is not None and not self.is_stopping and not self.node.ownership.handing_over():
            self._leave()

    def _leave(self) -> None:
        cause = self.recorder.cause
        self.is_stopping = True
        self._perform(self.node.shutdown(self.local_us()))
        if self.engine is not None:
            linger_us = SHUTDOWN_LINGER_US if self._inner.has_rooms else 0
            self.world.at(self.world.now_us + linger_us, self._be_gone, (self._lives, cause))

    def _be_gone(self, life: tuple[int, Chain]) -> None:
        if self.engine is None or life[0] != self._lives:
            return
        if self.is_paused:
            self.hold(self._be_gone, life)
            return
        self.recorder.cause = life[1]
        self._perform(self.node.release(self.local_us()))
        self._crash(None, self.recorder.cause, "it has stopped")

    def crash(self, origin: Origin) -> None:
        """Lose everything, until `start`."""
        self._crash(None, origin)

    def start(self, origin: Origin) -> None:
        """Start again after a crash."""
        self._start(origin)

    def _crash(self, restart_us: int | None, origin: Chain, why: str = "all state lost") -> None:
        if self.engine is not None:
            self._bucket.close(origin)
            for at in self.node.ownership.owned():
                if self.checks is not None:
                    self.checks.is_lost(at.name)
            if self.monitor is not None:
                self.monitor.server_crashed()
        super()._crash(restart_us, origin, why)

    # --- what the node wants done ----------------------------------------------------------------

    def perform(self, outputs: list[NodeOutput], cause: Chain) -> None:
        """Carry out what a node puts out for what the bucket has said."""
        self.recorder.cause = cause
        self._perform(outputs)

    def _perform(self, outputs: list[NodeOutput]) -> None:  # type: ignore[override]
        of_a_server: list[ServerOutput] = []
        for output in outputs:
            if not isinstance(output, ClusterOutput):
                of_a_server.append(self._judged(output) if type(output) is Stepped else output)
                if isinstance(output, Forgotten):
                    super()._perform(of_a_server)
                    of_a_server = []
                    self.recorder.forget(output.subject)
                continue
            if of_a_server:  # in the order of the node: what follows has these steps as its cause
                super()._perform(of_a_server)
                of_a_server = []
            match output:
                case Put(ask, key, value, revision):
                    self._bucket.ask(self.recorder.cause, "put", ask, key, value, revision)
                case Get(ask, key):
                    self._bucket.ask(self.recorder.cause, "get", ask, key)
                case Delete(key, revision):
                    self._bucket.ask(self.recorder.cause, "delete", key, revision)
                case SendMessage(to, data):
                    self._send_message(to, data)
                case Happened():
                    self.happened.append(output)
                case ClusterStepped():
                    self._note(output)
                case _:
                    assert_never(output)
        super()._perform(of_a_server)
        if self._leaves_us is not None and self.engine is not None:
            self._leave_if_done()

    def _note(self, step: ClusterStepped) -> None:
        machine, subject, event, from_, to, rule = step
        id = subject.partition(".")[0] if machine is ClusterMachine.LEASE else subject
        self.recorder.move(machine, id, event, from_, to, rule)
        if machine is not ClusterMachine.OWNERSHIP:
            return
        room = subject.encode()
        if to == OwnershipState.OWNED:
            tokens, machines = self._came.pop(room, ([], []))
            for each in self.rooms:
                each.moved_to(self.id, machines)
            if self.checks is not None:
                self.checks.goes_on(self.id, room, tokens)
        elif from_ in (OwnershipState.OWNED, OwnershipState.HANDING_OVER):
            tokens, machines = self._left.pop(room, ([], []))
            for each in self.rooms:
                each.moved_from(self.id, [(machine, name) for machine, name, _ in machines])
            if self.checks is not None and to == OwnershipState.HANDING_OVER:
                self.checks.hands_over(room, tokens)
            elif self.checks is not None and to in (OwnershipState.ORPHANED, OwnershipState.UNOWNED):
                self.checks.is_lost(room)

    def _judged(self, step: Stepped) -> Stepped:
        """The step, with the user's name where it is of a handshake that came here with its room."""
        if step.machine is Machine.HANDSHAKE:
            connection = self.connection_of(step.subject)
            return step._replace(id=connection.client.id) if connection is not None else step
        assert isinstance(step.subject, bytes), "sessions and rooms have names"
        if self.checks is not None and step.machine is Machine.ROOM and step.event == RoomEvent.RELAYED:
            at = self.node.ownership.rooms.get(step.subject)
            self.checks.relays(self.id, step.subject, self._fences[step.subject] if at is None else at.fence)
        elif self.checks is not None and step.machine is Machine.SESSION and step.to == SessionState.EXPIRED:
            self.checks.ended(step.subject)
        return step

    def tokens_in(self, room: bytes) -> list[bytes]:
        """The tokens of the living sessions of a room that is here."""
        sessions = self.node.registry.sessions.items()
        return [token for token, session in sessions if session.room.name_bytes == room]

    def states_in(self, room: bytes) -> list[MachineState]:
        """The machines of a room that is here, by kind and id, and their states."""
        registry = self.node.registry
        if room not in registry.rooms:
            return []
        states: list[MachineState] = [(Machine.ROOM, room.decode(), str(registry.rooms[room].state))]
        for session in registry.sessions.values():
            if session.room.name_bytes == room:
                states.append((Machine.SESSION, f"{session.name}@{room.decode()}", str(session.state)))
        tokens = set(self.tokens_in(room))
        for stream, handshake in self._inner.handshake_server.handshakes.items():
            if handshake.session in tokens and (connection := self.connection_of(stream)) is not None:
                states.append((Machine.HANDSHAKE, connection.client.id, str(handshake.state)))
        return states

    def _send_message(self, to: str, data: bytes) -> None:
        name, world, parent = to.partition(".")[0], self.world, self.recorder.cause
        message: Message | None = messages.read(data)
        kind = PacketKind.FORWARD if message is not None and message.kind in TO_OWNER else PacketKind.OUTPUT
        link = world.network.between(self.id, name)
        packet = Packet(parent, link, kind, to.encode() + b"\n" + data, Address(self.ip, NODE_PORT),
                        Address(self._others[name].ip, NODE_PORT), nth=next_of_kind(parent, kind, link))  # fmt: skip
        self._arrives_us[name] = world.send_in_order(packet, self._arrives_us.get(name, 0))
