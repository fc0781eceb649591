"""A user's machine: drives the client's engine, and does what the script says, rightly or wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import shake_128
from typing import assert_never

from tcrp.engine.client import ClientConfig, ClientEngine, Outputs
from tcrp.engine.codec import Codec
from tcrp.engine.outputs import (
    OBSERVATIONS,
    Address,
    CloseStream,
    Detail,
    NoticeReceived,
    SendDatagram,
    SendFrame,
    ServerSilent,
    Stepped,
    TextReceived,
    WordsReceived,
)
from tcrp.engine.peers import unmap_ipv4
from tcrp.sim.hosts.forged import body_of, forged_datagram
from tcrp.sim.hosts.host import Host
from tcrp.sim.hosts.server import ServerHost
from tcrp.sim.network.draws import mix
from tcrp.sim.network.packets import Chain, Origin, Packet
from tcrp.sim.network.tcp import Connection, Tcp
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import (
    Abandon,
    Clock,
    Crash,
    Create,
    Datagram,
    Flood,
    Join,
    KeepAlive,
    Leave,
    Move,
    Pause,
    Replay,
    Say,
    Spoof,
    StealToken,
    Stream,
    UseListener,
    UserAction,
    UseServer,
)
from tcrp.spec.limits import SECOND_US, Limits
from tcrp.spec.names import (
    Machine,
    Operation,
    PacketKind,
    SessionEvent,
    SessionState,
)
from tcrp.trace.recorder import Instances, Recorder

FIRST_PORT = 40001


class Hosts:
    """What users share: the network, the server, each other, and the ports of their addresses."""

    def __init__(self, world: World, tcp: Tcp, servers: Sequence[ServerHost], limits: Limits) -> None:
        self.world = world
        self.tcp = tcp
        self.servers: dict[str, ServerHost] = {each.id: each for each in servers}
        self.server = server = servers[0]  # the only one, unless they are a cluster
        self.limits = limits
        self.listeners = {name: number for number, name in enumerate(server.names)}
        self.users: dict[str, UserHost] = {}
        self._ports: dict[str, int] = {}

    def new_address(self, ip: str) -> Address:
        """An address that was not used before. One that is IPv4-mapped is so to the server's eyes only."""
        plain = unmap_ipv4(ip)
        if plain != ip:
            for server in self.servers.values():
                server.mapped.add(plain)
        ip = plain
        port = self._ports[ip] = self._ports.get(ip, FIRST_PORT - 1) + 1
        return Address(ip, port)


class UserHost(Host):
    """One user. `name` is the name in the chat, `id` the name in the scenario."""

    def __init__(
        self, hosts: Hosts, id: str, name: str, codec: Codec, ip: str, *, keeps_alive: bool = False, listener: int = 0,
        server: ServerHost | None = None,
    ) -> None:  # fmt: skip
        super().__init__(hosts.world, id)
        self.hosts = hosts
        self.server = server or hosts.server  # to which it speaks
        self.name = name
        self.codec = codec
        self.keeps_alive = keeps_alive
        self.listener = listener  # of the server
        self._instances = Instances()
        self.engine: ClientEngine | None = None
        self.recorder: Recorder[Chain] = self._new_recorder()  # of the latest engine
        self._former: list[tuple[ClientEngine, Recorder[Chain]]] = []  # sessions that have ended but still say so
        self.address = hosts.new_address(ip)
        self._connection: Connection | None = None
        self._raw: dict[str, bytes] = {}  # bytes for connections that no engine drives
        self._cut_short: Abandon | None = None
        self.keeps_sent = False  # a step `replay` needs it
        self.sent: list[bytes] = []
        self._victim: UserHost | None = None
        self._stolen: tuple[str, bytes] | None = None  # room and token
        self._kept_token = b""  # the latest of former clients: it may be written down somewhere
        self.world.open_socket(self.address, self)

    @property
    def state(self) -> SessionState:
        """Of the latest session, as the user knows it."""
        return self.engine.session if self.engine is not None else SessionState.ANONYMOUS

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but its own silence is waited for."""
        return all(engine.is_quiescent for engine, _ in self._engines())

    def drives(self, connection: Connection) -> bool:
        """Whether its engine speaks on the connection, and not the script by hand."""
        return connection.stream not in self._raw

    # --- what arrives ----------------------------------------------------------------------------

    def receive_datagram(self, packet: Packet) -> None:
        if self.is_paused:
            self.hold(self.receive_datagram, packet)
            return
        engine = self.engine
        if engine is None:
            self.world.drop(packet, "no session")
            return
        self.recorder.cause = packet
        # Nothing that a client hears brings a deadline forward, so there is no need to rearm.
        self._carry_out(engine.receive_datagram(packet.data, self.local_us()), self.recorder)

    def connection_event(self, connection: Connection, packet: Packet) -> None:
        if self.is_paused:
            self.hold(self._connection_event_later, (connection, packet))
            return
        if connection.stream in self._raw:
            self._raw_event(connection, packet)
            return
        engine = self.engine
        if engine is None or connection is not self._connection:
            return
        self.recorder.cause = packet
        if self._cut_short is not None:
            self._break_off(connection, engine, packet)
        elif packet.what is PacketKind.OPENED:
            self._perform(engine.stream_opened(connection.stream, self.local_us()))
        elif packet.what in (PacketKind.CLOSE, PacketKind.RESET):
            if not connection.client_is_done:
                connection.client_is_done = True
                if packet.what is PacketKind.CLOSE:
                    connection.send_up(PacketKind.CLOSE, b"", packet)
            self._perform(engine.stream_closed(self.local_us()))
        else:
            self._perform(engine.receive_stream(packet.data, self.local_us()))

    def _connection_event_later(self, event: tuple[Connection, Packet]) -> None:
        self.connection_event(*event)

    def _raw_event(self, connection: Connection, packet: Packet) -> None:
        """A connection without an engine: says its bytes, then listens until the server has had enough."""
        if packet.what is PacketKind.OPENED:
            if data := self._raw[connection.stream]:
                connection.send_up(PacketKind.STREAM, data, packet)
        elif packet.what in (PacketKind.CLOSE, PacketKind.RESET):
            connection.client_is_done = True
            if packet.what is PacketKind.CLOSE:
                connection.send_up(PacketKind.CLOSE, b"", packet)

    def _engines(self) -> list[tuple[ClientEngine, Recorder[Chain]]]:
        return self._former if self.engine is None else [(self.engine, self.recorder), *self._former]

    def _new_recorder(self) -> Recorder[Chain]:
        return Recorder(self.world.trace, self.id, Chain(), instances=self._instances)

    def next_deadline_us(self) -> int | None:
        if not self._former:
            return self.engine.next_deadline_us() if self.engine is not None else None
        return min((us for each, _ in self._engines() if (us := each.next_deadline_us()) is not None), default=None)

    def handle_timeout(self, local_us: int) -> None:
        for engine, recorder in self._engines():
            self._carry_out(engine.handle_timeout(local_us), recorder)
        if self._former:
            self._former = [each for each in self._former if not each[0].is_quiescent]
        self.rearm()

    # --- what the engine wants done --------------------------------------------------------------

    def _perform(self, outputs: Outputs) -> None:
        self._carry_out(outputs, self.recorder)
        self.rearm()

    def _carry_out(self, outputs: Outputs, recorder: Recorder[Chain]) -> None:
        for output in outputs:
            kind = type(output)  # the commonest first, and no match: this is asked of millions
            if kind is Stepped:
                recorder.observe(output)  # type: ignore[arg-type]
            elif kind is TextReceived or kind is NoticeReceived:
                if recorder.trace is not None:
                    recorder.show(output)  # type: ignore[arg-type]
            elif isinstance(output, SendDatagram):
                self._send(output.data, output.what, recorder.cause)
            elif isinstance(output, SendFrame):
                assert self._connection is not None, "frames are sent on an open connection"
                self._connection.send_up(output.what, output.data, recorder.cause)
            elif isinstance(output, CloseStream):
                self._close(recorder.cause)
            elif isinstance(output, ServerSilent):
                recorder.show(output)
            elif kind is not WordsReceived:  # the trace has its drop
                assert isinstance(output, OBSERVATIONS), "effects are carried out above"
                recorder.observe(output)

    def _close(self, cause: Chain) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.client_is_done:
            connection.client_is_done = True
            connection.send_up(PacketKind.CLOSE, b"", cause)

    def _send(self, data: bytes, what: PacketKind, cause: Chain) -> None:
        if self.keeps_sent:
            self.sent.append(data)
        link = self.world.network.between(self.id, self.server.id)
        self.world.send_datagram(link, what, data, self.address, self.server.udp[self.listener], cause)

    # --- what the script has the user do ---------------------------------------------------------

    def act(self, action: UserAction, origin: Origin, *, allow_invalid: bool = False) -> None:
        """Take a step of the script; one that cannot be taken is written down as refused."""
        if self.is_paused:
            event = {Create: SessionEvent.GRANTED, Join: SessionEvent.GRANTED, Leave: SessionEvent.LEFT}
            self._refuse(event.get(type(action), SessionEvent.SPOKE), origin, "paused")
            return
        match action:
            case Create() | Join():
                self._join(action, origin)
            case Say(text):
                self._say(text, origin, allow_invalid=allow_invalid)
            case KeepAlive():
                self._say("", origin)
            case Leave():
                self._leave(origin)
            case Move(address):
                self._move(address, origin)
            case UseListener(listener):
                self.listener = self.hosts.listeners[listener]
            case UseServer(server):
                self.server = self.hosts.servers[server]
            case Pause(for_us):
                self.pause(for_us, origin)
            case Crash():
                self._crash(origin)
            case Clock(skew_us, drift_ppm):
                self.disturb_clock(skew_us, drift_ppm, origin)
            case Datagram():
                self._send_made(action, origin)
            case Stream(data):
                connection = self.hosts.tcp.connect(self, self.server, self.address, origin, self.listener)
                self._raw[connection.stream] = data
            case Abandon():
                self._abandon(action, origin)
            case StealToken(victim):
                self._steal(self.hosts.users[victim], origin)
            case Spoof(victim, text):
                self._spoof(self.hosts.users[victim], text, origin)
            case Replay():
                self._replay(action, origin)
            case Flood():
                self._flood((action, self.world.now_us, 0, origin))
            case _:
                assert_never(action)

    @property
    def latest_token(self) -> bytes:
        """The token that the user's client holds or last held; empty if there was none."""
        return self.engine.token if self.engine is not None and self.engine.token else self._kept_token

    def _join(self, request: Create | Join, origin: Origin) -> bool:
        engine = self.engine
        if engine is not None:
            if engine.is_living:
                self._refuse(SessionEvent.GRANTED, origin, "in a room already")
                return False
            if engine.is_under_way:
                self._refuse(SessionEvent.GRANTED, origin, "joining already")
                return False
        try:
            config = ClientConfig(
                self.codec,
                Operation.CREATE if isinstance(request, Create) else Operation.JOIN,
                request.room,
                self.name,
                password=request.password,
                resume_token=self.hosts.users[request.resume].latest_token if request.resume is not None else b"",
                ip=self.address.ip,
                udp_port=self.address.port,
                limits=self.hosts.limits,
                keeps_alive=self.keeps_alive,
            )
        except ValueError as error:
            self._refuse(SessionEvent.GRANTED, origin, str(error))
            return False
        self._kept_token = self.latest_token
        if self.engine is not None and not self.engine.is_quiescent:
            self._former.append((self.engine, self.recorder))
        detail = Detail.EVERYTHING if self.world.trace is not None else Detail.CHANGES
        self.engine, self.recorder = ClientEngine(config, detail=detail), self._new_recorder()
        self.recorder.cause = origin
        self.recorder.adopt(Machine.HANDSHAKE)
        self.engine.start(self.local_us())
        self._connection = self.hosts.tcp.connect(self, self.server, self.address, origin, self.listener)
        self.rearm()
        return True

    def _say(self, text: str, origin: Origin, *, allow_invalid: bool = False) -> None:
        if self._victim is not None and self._stolen is not None:
            self._send_with(
                *self._stolen, self._victim.codec.write_text(self._victim.name, text), PacketKind.SAY, origin
            )
            return
        engine = self.engine
        if engine is None or not engine.takes(SessionEvent.SPOKE):
            self._refuse(SessionEvent.SPOKE, origin, f"not in a room: {self.state}")
            return
        self.recorder.cause = origin
        try:
            outputs = engine.say(text, self.local_us())
        except ValueError as error:
            if not allow_invalid:
                self._refuse(SessionEvent.SPOKE, origin, str(error))
                return
            self._send_with(
                engine.room, engine.token, self.codec.write_text(self.name, text), PacketKind.DATAGRAM, origin
            )
            return
        self._perform(outputs)

    def _leave(self, origin: Origin) -> None:
        if self._victim is not None and self._stolen is not None:
            words = self._victim.codec.dialect.leave_words
            if words:
                self._send_with(
                    *self._stolen, self._victim.codec.write_text(self.name, words[0]), PacketKind.LEAVE, origin
                )
            return
        engine = self.engine
        if engine is None or not engine.takes(SessionEvent.LEFT):
            self._refuse(SessionEvent.LEFT, origin, f"not in a room: {self.state}")
            return
        self.recorder.cause = origin
        self._perform(engine.leave(self.local_us()))

    def _abandon(self, action: Abandon, origin: Origin) -> None:
        if self._join(action.request, origin):
            self._cut_short = action

    def _break_off(self, connection: Connection, engine: ClientEngine, packet: Packet) -> None:
        """Connected: send as much as the script says, and break the connection off right behind it."""
        action, self._cut_short = self._cut_short, None
        assert action is not None, "only a handshake that is to be abandoned is broken off"
        local_us = self.local_us()
        if action.after == "idle":
            outputs = engine.abandon(local_us)
        else:
            outputs = engine.stream_opened(connection.stream, local_us)
            outputs += engine.abandon(local_us)
        for output in outputs:
            if isinstance(output, SendFrame):
                data = output.data if action.after == "accepted" else output.data[:-1]
                connection.send_up(output.what, data, packet)
            elif isinstance(output, OBSERVATIONS):
                self.recorder.observe(output)
        connection.client_is_done = True
        connection.send_up(PacketKind.RESET, b"", packet)
        self._connection = None
        self.rearm()

    # --- faults of a user's machine --------------------------------------------------------------

    def _move(self, ip: str | None, origin: Origin) -> None:
        old = self.address
        del self.world.sockets[old]
        self.address = self.hosts.new_address(ip or old.ip)
        self.world.open_socket(self.address, self)
        self.world.record_fault(
            self.id, "move", f"{old.ip}:{old.port} to {self.address.ip}:{self.address.port}", origin
        )

    def _crash(self, origin: Origin) -> None:
        self.world.record_fault(self.id, "crash", "all state lost", origin)
        connection, self._connection = self._connection, None
        if connection is not None and not connection.client_is_done:
            connection.client_is_done = True
            connection.send_up(PacketKind.RESET, b"", origin)
        self._kept_token = self.latest_token
        self.engine = None
        self._former.clear()
        self._cut_short = None
        self.disarm()
        self.forget_held()
        del self.world.sockets[self.address]
        self.address = self.hosts.new_address(self.address.ip)
        self.world.open_socket(self.address, self)

    # --- what no honest client sends -------------------------------------------------------------

    def _send_made(self, made: Datagram, origin: Origin) -> None:
        if made.token_of is None and made.data is not None:
            self._send(made.data, PacketKind.DATAGRAM, origin)
            return
        holder = self.hosts.users[made.token_of] if made.token_of is not None else self
        held = self._stolen if holder is self and self._stolen is not None else _session_of(holder)
        if held is None:
            self._refuse(SessionEvent.SPOKE, origin, f"{holder.id} has no token")
            return
        room, token = held
        body = body_of(made, holder.codec, holder.name)
        self._send_with(made.room if made.room is not None else room, token, body, PacketKind.DATAGRAM, origin)

    def _send_with(self, room: str, token: bytes, body: bytes, what: PacketKind, origin: Origin) -> None:
        self._send(forged_datagram(room, token, body), what, origin)

    def _steal(self, victim: UserHost, origin: Origin) -> None:
        stolen = _session_of(victim)
        if stolen is None:
            self._refuse(SessionEvent.SPOKE, origin, f"{victim.id} has no token to steal")
            return
        self._victim, self._stolen = victim, stolen
        self.world.record_fault(self.id, "steal_token", f"of {victim.id}", origin)

    def _spoof(self, victim: UserHost, text: str, origin: Origin) -> None:
        session = self._stolen if self._victim is victim else None
        if session is None:
            held = _session_of(victim)
            if held is None:
                self._refuse(SessionEvent.SPOKE, origin, f"{victim.id} is in no room")
                return
            guess = mix(origin.key)
            session = held[0], f"{guess:016x}{mix(guess):016x}".encode()
        room, token = session
        data = forged_datagram(room, token, victim.codec.write_text(victim.name, text))
        link = self.world.network.between(self.id, victim.server.id)
        target = victim.server.udp[victim.listener]
        self.world.send_datagram(link, PacketKind.SAY, data, victim.address, target, origin)

    def _replay(self, action: Replay, origin: Origin) -> None:
        victim = self.hosts.users[action.victim]
        if len(victim.sent) < action.nth:
            self._refuse(SessionEvent.SPOKE, origin, f"{victim.id} has sent {len(victim.sent)} datagrams")
            return
        source = victim.address if action.is_spoofed else self.address
        link = self.world.network.between(self.id, victim.server.id)
        target = victim.server.udp[victim.listener]
        self.world.send_datagram(link, PacketKind.DATAGRAM, victim.sent[action.nth - 1], source, target, origin)

    def _flood(self, flood: tuple[Flood, int, int, Origin]) -> None:
        """One datagram of random bytes now, and the next in a while: as many as the rate says, whatever it is."""
        action, began_us, number, origin = flood
        now_us = self.world.now_us
        if now_us >= began_us + action.for_us:
            return
        data = shake_128((origin.key ^ now_us).to_bytes(8, "big")).digest(action.size)
        self._send(data, PacketKind.DATAGRAM, origin)
        next_us = began_us + (number + 1) * SECOND_US // action.per_second
        self.world.at(next_us, self._flood, (action, began_us, number + 1, origin))

    def _refuse(self, event: SessionEvent, origin: Origin, why: str) -> None:
        room = self.engine.room if self.engine is not None else ""
        before, self.recorder.cause = self.recorder.cause, origin
        self.recorder.refuse(Machine.SESSION, f"{self.name}@{room}" if room else self.name, event, self.state, why)
        self.recorder.cause = before


def _session_of(user: UserHost) -> tuple[str, bytes] | None:
    """The room and token that a user holds, living or not."""
    engine = user.engine
    return (engine.room, engine.token) if engine is not None and engine.token else None
