"""TCP in the simulation: data is never lost, duplicated or reordered, but can be delayed, cut into pieces or reset."""

from __future__ import annotations

from typing import Protocol

from tcrp.engine.outputs import Address
from tcrp.sim.network.links import Link, covers_link
from tcrp.sim.network.packets import Chain, Origin, Packet, next_of_kind
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import DROP, LinkId
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import PacketKind
from tcrp.trace.records import Kind

SWEEP_LEAST = 64
"""Finished connections are removed when there are this many, and then whenever the number has doubled."""


FIRST_TCP_PORT = 9002
"""Of the server's first listener; the next has 9004, and so on."""
RESENT_AFTER_US = SECOND_US
"""When a piece is sent again that the script drops: TCP's first timeout (RFC 6298)."""


class StreamHost(Protocol):
    """One end of a connection."""

    id: str

    def connection_event(self, connection: Connection, packet: Packet) -> None: ...


class StreamObserver(Protocol):
    """Is told what each end sends, and what the other end reads of it."""

    def sent(self, pipe: Pipe, what: PacketKind, data: bytes) -> None: ...
    def read(self, connection: Connection, pipe: Pipe, packet: Packet) -> None: ...
    def forget(self, connection: Connection) -> None: ...


class Pipe:
    """One direction of a connection: bytes in order."""

    __slots__ = ("arrives_us", "early", "link", "parked", "read", "sent")

    def __init__(self, link: Link) -> None:
        self.link = link
        self.sent = 0  # pieces, numbered from 1
        self.read = 0  # the number of the latest piece that its reader was given
        self.early: dict[int, Packet] = {}  # pieces that wait for one before them, which a cut, hold or stall delayed
        self.arrives_us = 0  # arrival of the latest piece: none may overtake it
        self.parked: list[tuple[int, Packet]] = []  # held up by a cut, hold or stall: (number, packet)


class Connection:
    """A connection between a user and the server. `stream` is its id at the server's engine."""

    __slots__ = (
        "_tcp", "client", "client_address", "client_is_done", "down", "listener", "origin", "server", "server_is_done",
        "stream", "up",
    )  # fmt: skip

    def __init__(
        self,
        tcp: Tcp,
        stream: str,
        client: StreamHost,
        server: StreamHost,
        address: Address,
        origin: Chain,
        listener: int,
    ) -> None:
        network = tcp.world.network
        self._tcp = tcp
        self.stream = stream
        self.client = client
        self.server = server
        self.client_address = address
        self.listener = listener
        self.origin = origin
        self.up = Pipe(network.between(client.id, server.id))
        self.down = Pipe(network.between(server.id, client.id))
        self.client_is_done = False
        self.server_is_done = False

    @property
    def is_done(self) -> bool:
        """Whether both ends have stopped reading."""
        return self.client_is_done and self.server_is_done

    def send_up(self, what: PacketKind, data: bytes, cause: Chain) -> None:
        """Send data from the client to the server."""
        self._tcp.send(self, self.up, what, data, cause)

    def send_down(self, what: PacketKind, data: bytes, cause: Chain) -> None:
        """Send data from the server to the client."""
        self._tcp.send(self, self.down, what, data, cause)


class Tcp:
    """All connections of a simulation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.observer: StreamObserver | None = None
        self._connections: list[Connection] = []
        self._sweep_at = SWEEP_LEAST
        self._opened: dict[str, int] = {}

    def connect(
        self, client: StreamHost, server: StreamHost, address: Address, origin: Chain, listener: int = 0
    ) -> Connection:
        """Open a connection to a listener of the server.

        The server learns of it when `open` arrives, the client when `opened` arrives.
        """
        number = self._opened[client.id] = self._opened.get(client.id, 0) + 1
        connection = Connection(self, f"{client.id}#{number}", client, server, address, origin, listener)
        self._connections.append(connection)
        if len(self._connections) >= self._sweep_at:
            if self.observer is not None:
                for each in self._connections:
                    if each.is_done:
                        self.observer.forget(each)
            self._connections = [each for each in self._connections if not each.is_done]
            self._sweep_at = max(SWEEP_LEAST, 2 * len(self._connections))
        connection.send_up(PacketKind.OPEN, b"", origin)
        return connection

    def send(self, connection: Connection, pipe: Pipe, what: PacketKind, data: bytes, cause: Chain) -> None:
        """Send data behind all that was sent before, cut into segments if the link does that."""
        if self.observer is not None:
            self.observer.sent(pipe, what, data)
        nth = next_of_kind(cause, what, pipe.link)
        whole = self._packet(connection, pipe, what, data, cause, nth)
        pieces = pipe.link.segments(whole.key, data) if pipe.link.cuts_streams else ()
        if len(pieces) <= 1:
            self._send_piece(connection, pipe, whole, cause)
            return
        for piece in pieces:
            self._send_piece(connection, pipe, self._packet(connection, pipe, what, piece, cause, nth), cause)
            nth = next_of_kind(cause, what, pipe.link)

    @staticmethod
    def _packet(connection: Connection, pipe: Pipe, what: PacketKind, data: bytes, cause: Chain, nth: int) -> Packet:
        client = connection.client_address
        server = Address(client.ip, FIRST_TCP_PORT + 2 * connection.listener)  # of the server's, only the port is known
        source, target = (client, server) if pipe is connection.up else (server, client)
        return Packet(cause, pipe.link, what, data, source, target, proto="tcp", nth=nth)

    def _send_piece(self, connection: Connection, pipe: Pipe, packet: Packet, cause: Chain) -> None:
        world = self.world
        if world.trace is not None:
            world.record_packet(Kind.SEND, packet, pipe.link.source, cause.record)
        pipe.sent += 1
        if pipe.link.stops_streams or pipe.parked:
            pipe.parked.append((pipe.sent, packet))
        else:
            self._schedule(connection, pipe, pipe.sent, packet)

    def heal(self, network: list[Link]) -> None:
        """Deliver what these links held up, in order. Called when they are open again."""
        for connection in self._connections:
            for pipe in (connection.up, connection.down):
                if pipe.link in network and pipe.parked and not pipe.link.stops_streams:
                    parked, pipe.parked = sorted(pipe.parked, key=lambda each: each[0]), []
                    for number, packet in parked:
                        self._schedule(connection, pipe, number, packet)

    def reset(self, links: tuple[LinkId, ...], origin: Origin) -> None:
        """Reset every connection on these links, at both ends at once."""
        for connection in list(self._connections):
            if connection.is_done or not any(covers_link(link, connection.up.link) for link in links):
                continue
            for is_done, host, pipe in (
                (connection.server_is_done, connection.server, connection.up),
                (connection.client_is_done, connection.client, connection.down),
            ):
                if not is_done:
                    packet = self._packet(connection, pipe, PacketKind.RESET, b"", origin, 1)
                    packet.record = origin.record
                    host.connection_event(connection, packet)

    def _schedule(self, connection: Connection, pipe: Pipe, number: int, packet: Packet) -> None:
        world = self.world
        transit_us = pipe.link.delay_us(packet.key)
        if world.fates and (fate := world.fates.get(packet.packet)) is not None:
            world.record_fate(packet, fate)
            if fate.arrives_us:
                transit_us = fate.arrives_us[0]
            else:
                transit_us += RESENT_AFTER_US if fate.fate == DROP or fate.arrives_us == () else fate.delay_us or 0
        pipe.arrives_us = max(pipe.arrives_us, world.now_us + transit_us)
        world.at(pipe.arrives_us, self._arrive, (connection, pipe, number, packet))

    def _arrive(self, arrival: tuple[Connection, Pipe, int, Packet]) -> None:
        connection, pipe, number, packet = arrival
        if pipe.link.stops_streams:
            pipe.parked.append((number, packet))
            return
        pipe.early[number] = packet
        while (in_turn := pipe.early.pop(pipe.read + 1, None)) is not None:
            pipe.read += 1
            self._deliver(connection, pipe, in_turn)

    def _deliver(self, connection: Connection, pipe: Pipe, packet: Packet) -> None:
        world = self.world
        is_up = pipe is connection.up
        if world.trace is not None:
            world.record_packet(Kind.ARRIVE, packet, pipe.link.target, packet.record)
        if connection.server_is_done if is_up else connection.client_is_done:
            return  # this end has stopped reading
        if self.observer is not None:
            self.observer.read(connection, pipe, packet)
        (connection.server if is_up else connection.client).connection_event(connection, packet)
