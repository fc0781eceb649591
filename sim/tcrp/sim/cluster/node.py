"""One server of a simulated cluster: drives the same `ClusterNode` that real sockets drive.

To its users it is a server. Messages to other nodes are datagrams over the links between them, which keep their
order as NATS does; with the bucket it speaks over TCP.
"""

from __future__ import annotations

from typing import Any

from tcrp.cluster import messages
from tcrp.cluster.messages import Kind
from tcrp.cluster.node import ClusterNode, NodeConfig
from tcrp.cluster.outputs import Answer, ClusterStepped, Delete, Entry, Get, Happened, NodeOutput, Put, SendMessage
from tcrp.engine.outputs import Address, Relay, Stepped
from tcrp.engine.server import ServerConfig
from tcrp.sim.cluster.bucket import Bucket, Lines, line
from tcrp.sim.cluster.checks import ClusterChecks
from tcrp.sim.hosts.server import EngineCall, ServerHost
from tcrp.sim.network.packets import Chain, Origin, Packet, next_of_kind
from tcrp.sim.network.tcp import Connection, Tcp
from tcrp.sim.network.world import World
from tcrp.spec.cluster_names import OwnershipState
from tcrp.spec.limits import Limits
from tcrp.spec.names import Machine, PacketKind, RoomEvent, SessionState

NODE_PORT = 4222
AGAIN_US = 1000


class NodeHost(ServerHost):
    """A server of a cluster. `number` gives its IP address, `make_node` is `ClusterNode` or what a test puts there."""

    def __init__(
        self, world: World, tcp: Tcp, bucket: Bucket, limits: Limits, seed: int, *, id: str, number: int,
        lease_us: int, checks: ClusterChecks, make_node: type[ClusterNode] = ClusterNode,
    ) -> None:  # fmt: skip
        self.happened: list[Happened] = []
        self._tcp, self._bucket, self._checks = tcp, bucket, checks
        self._lease_us = lease_us
        self._make_node = make_node
        self._lives = 0
        self._streams = 0
        self._woke_us = -1
        self._origin = Origin(f"{id}.node", seed)  # of what nobody but the node itself has brought about
        self._arrives_us: dict[str, int] = {}  # of the latest message, by node
        self.ip = f"10.255.255.{number}"
        super().__init__(world, limits, seed, make_engine=self._new_node, id=id, ip=self.ip)
        world.open_socket(Address(self.ip, NODE_PORT), self)

    @property
    def node(self) -> ClusterNode:
        """What it drives. Not to be asked for while it is down."""
        assert isinstance(self.engine, ClusterNode), "it is up"
        return self.engine

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence is waited for: leases are renewed for ever."""
        return self.engine is None

    def owns(self, room: str) -> bool:
        """Whether it runs, and holds itself to be the owner of a room."""
        return not self.is_paused and self.engine is not None and self.node.ownership.owns(room.encode())

    def _new_node(self, config: ServerConfig, **options: Any) -> Any:
        self._lives += 1
        return self._make_node(NodeConfig(config, self.id, f"life{self._lives}", lease_us=self._lease_us), **options)

    def start_engine(self) -> None:
        """A new node, which joins the cluster when the bucket has shown its keys."""
        super().start_engine()
        self.recorder.cause = self._origin
        self._lines = Lines()
        self._up = self._tcp.connect(self, self._bucket, Address(self.ip, NODE_PORT), self._origin)

    def _new_token(self) -> bytes:
        token = super()._new_token()
        return token[:30] + f"{int(self.ip.rpartition('.')[2]):02x}".encode()  # unlike those of other nodes

    # --- what arrives ----------------------------------------------------------------------------

    def receive_datagram(self, packet: Packet) -> None:
        if packet.target.port != NODE_PORT:
            super().receive_datagram(packet)
        elif self.is_paused:
            self.hold(self.receive_datagram, packet)
        elif self.engine is None:
            self.world.drop(packet, "server down")
        else:
            to, _, data = packet.data.partition(b"\n")
            if to.decode() != self.node.lease.address:
                self.world.drop(packet, "an earlier life is meant")
                return
            self.recorder.cause = packet
            outputs = self.node.receive_message(data, self.local_us())
            message = messages.read(data)
            if message is not None and message.kind is Kind.SEND and any(_is_relay(each) for each in outputs):
                self._checks.sends_out(self.id, message.room, message.fence)
            self._perform(outputs)

    def connection_event(self, connection: Connection, packet: Packet) -> None:
        if connection.client is self:
            if connection is self._up:
                self._hear_bucket(packet)
            return
        if packet.what is PacketKind.OPEN and not connection.stream.isdigit():
            self._streams += 1
            connection.stream = str(self._streams)  # a node's streams are numbers: they stand in snapshots
        super().connection_event(connection, packet)

    def _stream_call(self, connection: Connection, packet: Packet) -> EngineCall:
        method, (stream, *others) = super()._stream_call(connection, packet)
        return EngineCall(method, (int(stream), *others))

    def _hear_bucket(self, packet: Packet) -> None:
        if self.is_paused:
            self.hold(self._hear_bucket, packet)
            return
        for verb, *what in self._lines.read(packet.data):
            self.recorder.cause = packet
            now_us = self.local_us()
            if verb == "entry":
                key, value, revision = what
                entry = Entry(key, value.encode("latin-1") if value is not None else None, revision)
                self._perform(self.node.bucket_changed(entry, now_us))
            elif verb == "answer":
                ask, revision, value = what
                answer = Answer(revision, value.encode("latin-1"))
                self._perform(self.node.bucket_answered(ask, answer, now_us))
            else:
                self._perform(self.node.start(now_us))

    def next_deadline_us(self) -> int | None:
        deadline_us = super().next_deadline_us()
        # What is due and was just done waits for an answer: it is looked at again a little later.
        return deadline_us if deadline_us is None or deadline_us > self._woke_us else self._woke_us + AGAIN_US

    def handle_timeout(self, local_us: int) -> None:
        self._woke_us = local_us
        self._origin.record = 0
        self.recorder.cause = self._origin
        super().handle_timeout(local_us)

    # --- what the script does to it --------------------------------------------------------------

    def hand_over(self, origin: Origin) -> None:
        """Give all rooms away, as a server does that is told to stop. It goes on as a gateway."""
        self.world.record_fault(self.id, "hand_over", "", origin)
        for at in self.node.ownership.owned():
            if at.state is OwnershipState.OWNED:
                self._checks.hands_over(at.name, self._tokens_in(at.name))
        self.recorder.cause = origin
        self._perform(self.node.hand_over(self.local_us()))

    def crash(self, origin: Origin) -> None:
        """Lose everything, until `start`."""
        self._up.client_is_done = True
        self._up.send_up(PacketKind.RESET, b"", origin)
        self._crash(None, origin)

    def start(self, origin: Origin) -> None:
        """Start again after a crash."""
        self._start(origin)

    # --- what the node wants done ----------------------------------------------------------------

    def _perform(self, outputs: list[NodeOutput]) -> None:  # type: ignore[override]
        of_a_server = []
        for output in outputs:
            match output:
                case Put(ask, key, value, revision):
                    self._ask("put", ask, key, value, revision)
                case Get(ask, key):
                    self._ask("get", ask, key)
                case Delete(key, revision):
                    self._ask("delete", key, revision)
                case SendMessage(to, data):
                    self._send_message(to, data)
                case Happened():
                    self.happened.append(output)
                case ClusterStepped():
                    self._note(output)
                case _:
                    if type(output) is Stepped:
                        self._judge(output)
                    of_a_server.append(output)
        super()._perform(of_a_server)

    def _note(self, step: ClusterStepped) -> None:
        self.world.record_fault(self.id, step.event, f"{step.machine} {step.subject}: {step.from_} to {step.to}",
                                Chain(self.recorder.cause.record))  # fmt: skip
        if step.to == OwnershipState.OWNED:
            room = step.subject.encode()
            self._checks.goes_on(self.id, room, self._tokens_in(room))

    def _judge(self, step: Stepped) -> None:
        assert isinstance(step.subject, bytes) or step.machine is Machine.HANDSHAKE, "sessions and rooms have names"
        if step.machine is Machine.ROOM and step.event == RoomEvent.RELAYED:
            room = step.subject
            self._checks.relays(self.id, room, self.node.ownership.rooms[room].fence)  # type: ignore[index, arg-type]
        elif step.machine is Machine.SESSION and step.to == SessionState.EXPIRED:
            self._checks.ended(step.subject)  # type: ignore[arg-type]

    def _tokens_in(self, room: bytes) -> list[bytes]:
        sessions = self.node.registry.sessions.items()
        return [token for token, session in sessions if session.room.name_bytes == room]

    def _ask(self, *what: Any) -> None:
        self._up.send_up(PacketKind.STREAM, line(*what), self.recorder.cause)

    def _send_message(self, to: str, data: bytes) -> None:
        name, world, parent = to.partition(".")[0], self.world, self.recorder.cause
        link, kind = world.network.between(self.id, name), PacketKind.DATAGRAM
        target = world.address_of(name, NODE_PORT)
        packet = Packet(parent, link, kind, to.encode() + b"\n" + data, Address(self.ip, NODE_PORT), target,
                        nth=next_of_kind(parent, kind, link))  # fmt: skip
        arrives_us = max(world.now_us + link.delay_us(packet.key), self._arrives_us.get(name, 0))
        if world.send_at(packet, arrives_us):
            self._arrives_us[name] = arrives_us


def _is_relay(output: NodeOutput) -> bool:
    return isinstance(output, Relay) and output.what is PacketKind.RELAY
