"""A server of which a test says, call by call, what it is given and which steps it takes: no engine is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tcrp.engine.outputs import Address, Stepped, StreamId
from tcrp.engine.state import FrozenEnded, FrozenHandshake, FrozenRoom, FrozenSession
from tcrp.sim.checks.bounds import Bounds
from tcrp.sim.checks.observed import Call, Known, ObservedServer, SessionRecord
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.network.packets import Origin, Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Machine, Operation, PacketKind, RoomState, Rule, SessionState

BOB = Address("10.1.0.2", 40001)
TOKEN, OTHER = b"t" * 32, b"o" * 32


class Server:
    """What is observed of a server with two listeners, in whose lobby bob is."""

    def __init__(self, dialect: str = "text", *, limits: Limits | None = None, known: Known | None = None) -> None:
        self.run = Run(
            read_scenario_text(
                "claim: a\nserver: {listeners: {one: auto, two: auto}}\n"
                f"users: {{bob: {{dialect: {dialect}, address: 10.1.0.2, listener: one}}, ann: {{listener: one}}}}\n"
                "script:\n  - {at: 0s, bob: {create: lobby}}\n  - {at: 0s, ann: {join: lobby}}\n"
            )
        )
        self.observed = ObservedServer(self.run.hosts, known=known)
        self.results = CheckResults(self.run.world, frozenset())
        self.bounds = Bounds(limits if limits is not None else Limits())

    @property
    def found(self) -> str | None:
        """What was wrong at first."""
        violation = self.results.violation
        return violation.what if violation is not None else None

    # --- what it is given ------------------------------------------------------------------------

    def connection(self, stream: str = "ann#1", ip: str = "", *, user: str = "ann") -> Connection:
        """A connection of a user's client, at its address or from another IP."""
        client = self.run.hosts.users[user]
        address = Address(ip, 1) if ip else client.address
        return Connection(self.run.tcp, stream, client, self.run.server, address, Origin("o", 0), 0)

    def hears_on(
        self, connection: Connection, what: PacketKind = PacketKind.REQUEST, data: bytes = b"", *, local_us: int = 5,
        stream: StreamId | None = None,
    ) -> Call:  # fmt: skip
        """A piece of a stream, or what opens or ends it."""
        return self.observed.begin_call(self.piece(connection, what, data), connection, local_us, stream)

    @staticmethod
    def piece(connection: Connection, what: PacketKind, data: bytes = b"") -> Packet:
        address = connection.client_address
        return Packet(Origin("o", 0), connection.up.link, what, data, address, address, proto="tcp")

    def hears(self, data: bytes, source: Address = BOB, *, listener: int = 0, local_us: int = 9) -> Call:
        """A datagram."""
        return self.observed.begin_call(self.datagram(data, source, listener=listener), None, local_us)

    def datagram(
        self, data: bytes, source: Address = BOB, *, listener: int = 0, what: PacketKind = PacketKind.SAY
    ) -> Packet:
        link = self.run.world.network.between("bob", "server")
        return Packet(Origin("o", 0), link, what, data, source, self.run.server.udp[listener])

    def wakes(self, local_us: int = 9) -> Call:
        """A deadline is over."""
        return self.observed.begin_call(None, None, local_us)

    # --- what its machines do --------------------------------------------------------------------

    def grants(self, token: bytes, id: str = "bob@lobby", *, user: str = "bob", ip: str = "") -> SessionRecord:
        """A request of a user who has an engine is granted; of somebody else, if there is no such user."""
        client = user if user in self.run.hosts.users else "ann"
        connection = self.connection(f"{client}#1", ip, user=client)
        if user not in self.run.hosts.users:
            self.run.hosts.users[client]._raw[connection.stream] = b""
        self.hears_on(connection)
        return self.observed.grant(self.session(token, id, "granted", "tokened"))

    def enters(self, entry: SessionRecord) -> SessionRecord:
        self.steps(entry, "entered", "in-room")
        return entry

    def steps(self, entry: SessionRecord, event: str, to: str) -> None:
        self.observed.step(entry, self.session(entry.token, entry.id, event, to))

    def room(self, id: str, event: str, from_: str, to: str) -> None:
        self.observed.step_room(Stepped(Machine.ROOM, id.encode(), id, event, from_, to, Rule.ROOM_1, ""))

    def creates(self, token: bytes, id: str, *, user: str = "bob", ip: str = "") -> SessionRecord:
        """The session is granted for a room that it makes, whose host it is."""
        entry = self.grants(token, id, user=user, ip=ip)
        self.room(entry.room, "created", "vacant", "open")
        return entry

    @staticmethod
    def session(token: Any, id: str, event: str, to: str, from_: str = "") -> Stepped:
        return Stepped(Machine.SESSION, token, id, event, from_, to, Rule.TOK_1, "")


def frozen_handshake(stream: str, ip: str, *, peer_ended: bool = False) -> FrozenHandshake:
    """A connection in the state of a server: half a request has been heard."""
    return FrozenHandshake(
        stream, stream, ip, 1, HandshakeState.REQUESTED, b"", Operation.CREATE, b"lobby", "ann", "text", 1,
        asks_for_timeout=False, session=None, is_finished=False, peer_ended=peer_ended, listener=0,
    )  # fmt: skip


def frozen_session(token: bytes, name: str = "bob", room: bytes = b"lobby", **changes: Any) -> FrozenSession:
    """A session in the state of a server, of somebody who is in the room."""
    session = FrozenSession(
        token, name, room, "text", BOB.ip, SessionState.IN_ROOM, BOB, silent_us=0, rejected_in_a_row=0, texts=(),
        supersedes=None, asks_for_answers=False, listener=0,
    )  # fmt: skip
    return replace(session, **changes)


def frozen_ended(token: bytes, name: str = "bob", room: bytes = b"lobby", **changes: Any) -> FrozenEnded:
    """A token in the state of a server that has just ended and was told so once."""
    ended = FrozenEnded(
        token, name, room, "text", BOB.ip, BOB, b"bye", ended_ago_us=0, answered_ago_us=None, times_told=1, listener=0
    )
    return replace(ended, **changes)


def frozen_room(name: bytes = b"lobby", **changes: Any) -> FrozenRoom:
    """A room in the state of a server that is open and whose host nobody knows."""
    room = FrozenRoom(
        name, "", BOB.ip, RoomState.OPEN, host=None, host_has_entered=False, members=(), fanout_groups=(),
        takeovers=(), wrong_passwords=(),
    )  # fmt: skip
    return replace(room, **changes)
