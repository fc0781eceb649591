"""The server's machine: drives the same engine that real sockets drive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, assert_never

from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import (
    OBSERVATIONS,
    Address,
    CloseStream,
    Detail,
    FinishStream,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    StreamId,
)
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.sim.hosts.host import Host
from tcrp.sim.network.draws import key_of, mix
from tcrp.sim.network.packets import Chain, Origin, Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import (
    Clock,
    CloseRoom,
    Crash,
    HandOver,
    Pause,
    Remove,
    ServerAction,
    SetLimits,
    Shutdown,
    Start,
)
from tcrp.sim.scenario.settings import write_settings
from tcrp.spec.limits import Limits
from tcrp.spec.names import Machine, PacketKind, RoomEvent, RoomState, SessionEvent, SessionState
from tcrp.trace.counters import Counters
from tcrp.trace.recorder import Instances, Recorder

SERVER = "server"
IP = "10.255.255.254"
FIRST_UDP_PORT = 9003


class Engine(Protocol):
    """A server's engine: ours, or what a test puts in its place."""

    @property
    def is_quiescent(self) -> bool: ...
    def stream_opened(
        self, stream: StreamId, peer: Address, now_us: int, listener: int = 0, *, name: str = ""
    ) -> list[ServerOutput]: ...
    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> list[ServerOutput]: ...
    def stream_ended(self, stream: StreamId, now_us: int) -> list[ServerOutput]: ...
    def stream_closed(self, stream: StreamId, now_us: int) -> list[ServerOutput]: ...
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> list[ServerOutput]: ...
    def handle_timeout(self, now_us: int) -> list[ServerOutput]: ...
    def next_deadline_us(self) -> int | None: ...
    def freeze(self) -> ServerState: ...


EngineFactory = Callable[..., Engine]


class EngineCall(NamedTuple):
    """An input of the server's engine: the method's name and its arguments."""

    method: str
    arguments: tuple[Any, ...]


class EngineObserver(Protocol):
    """Is told of each call of the server's engine, before and after it."""

    def before_call(
        self, host: ServerHost, packet: Packet | None, connection: Connection | None, call: EngineCall
    ) -> None: ...
    def after_call(self, host: ServerHost, outputs: list[ServerOutput]) -> None: ...
    def server_crashed(self) -> None: ...


def token_of(seed: int, number: int) -> bytes:
    """In a simulation tokens come from the seed; on sockets from the system."""
    high = key_of(seed, "token", number)
    return f"{high:016x}{mix(high):016x}".encode()


class ServerHost(Host):
    """One server, which may crash and start again. `make_engine` is `ServerEngine`, or what a test puts there."""

    def __init__(
        self,
        world: World,
        limits: Limits,
        seed: int,
        *,
        listeners: Sequence[ListenerConfig] = (ListenerConfig(),),
        names: Sequence[str] = (),
        make_engine: EngineFactory = ServerEngine,
        id: str = SERVER,
        ip: str = IP,
    ) -> None:
        super().__init__(world, id)
        self.limits = limits
        self.engine: Engine | None = None
        self.observer: EngineObserver | None = None
        self.counts = False  # whether its counters are needed
        self.listeners = tuple(listeners)
        self.names = names  # of the listeners, if there are several
        self.udp = [Address(ip, FIRST_UDP_PORT + 2 * number) for number in range(len(self.listeners))]  # by listener
        self.seed = seed
        self._make_engine = make_engine
        self._tokens = 0
        self._instances = Instances()
        self.is_stopping = False  # it has been told to shut down
        self.mapped: set[str] = set()  # IPv4 addresses that its sockets show IPv4-mapped, as dual-stack sockets do
        self._connections: dict[str, Connection] = {}
        for address in self.udp:
            world.open_socket(address, self)
        self.start_engine()

    def start_engine(self) -> None:
        """A new engine, which knows nothing of an earlier one."""
        trace = self.world.trace
        self.recorder = Recorder(
            trace, self.id, Chain(), instances=self._instances, listeners=self.names, is_server=True
        )
        self._counters = Counters()
        config = ServerConfig(self.limits, self.listeners)
        detail = Detail.EVERYTHING if trace is not None else Detail.CHANGES
        self.engine = self._make_engine(config, new_token=self._new_token, detail=detail)

    def _new_token(self) -> bytes:
        self._tokens += 1
        return token_of(self.seed, self._tokens)

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence is waited for."""
        return self.engine is None or self.engine.is_quiescent

    def frozen(self) -> ServerState:
        """All that its engine knows."""
        return self.engine.freeze() if self.engine is not None else ServerState()

    def udp_at(self, listener: int) -> Address:
        """Where clients of a listener of its engine speak to."""
        return self.udp[listener]

    def counters(self) -> dict[str, int]:
        """What the engine has counted; empty while there is none."""
        if self.engine is None:
            return {}
        return {str(counter): count for counter, count in self._counters.counts.items()}

    # --- what arrives ----------------------------------------------------------------------------

    def receive_datagram(self, packet: Packet) -> None:
        if self.is_paused:
            self.hold(self.receive_datagram, packet)
            return
        engine = self.engine
        if engine is None:
            self.world.drop(packet, "server down")
            return
        self.recorder.cause = packet
        source, local_us = self._shown(packet.source), self.local_us()
        listener = self.udp.index(packet.target) if len(self.udp) > 1 else 0
        if self.observer is not None:
            self._counters.datagrams(1)
            call = EngineCall("receive_datagram", (packet.data, source, local_us, listener))
            self.observer.before_call(self, packet, None, call)
        self._perform(engine.receive_datagram(packet.data, source, local_us, listener))

    def connection_event(self, connection: Connection, packet: Packet) -> None:
        engine = self.engine
        if engine is None:
            connection.server_is_done = True
            connection.send_down(PacketKind.RESET, b"", packet)
            return
        stream = connection.stream
        if packet.what is PacketKind.OPEN and stream not in self._connections:
            # The kernel completes it, whether the process is frozen or not.
            self._connections[stream] = connection
            connection.send_down(PacketKind.OPENED, b"", packet)
        if self.is_paused:
            self.hold(self._connection_event_later, (connection, packet))
            return
        self.recorder.cause = packet
        call = self._stream_call(connection, packet)
        if self.observer is not None:
            self.observer.before_call(self, packet, connection, call)
        if packet.what is PacketKind.OPEN:
            name = connection.client.id
            self.recorder.adopt(stream)
            self._counters.stream_opened()
            outputs = engine.stream_opened(*call.arguments, name=name)
        elif packet.what is PacketKind.CLOSE:
            outputs = engine.stream_ended(*call.arguments)
        elif packet.what is PacketKind.RESET:
            connection.server_is_done = True
            if self._connections.pop(stream, None) is not None:
                self._counters.stream_lost()
            outputs = engine.stream_closed(*call.arguments)
        else:
            outputs = engine.receive_stream(*call.arguments)
        self._perform(outputs)

    def _stream_call(self, connection: Connection, packet: Packet) -> EngineCall:
        stream, local_us = connection.stream, self.local_us()
        match packet.what:
            case PacketKind.OPEN:
                address = self._shown(connection.client_address)
                return EngineCall("stream_opened", (stream, address, local_us, connection.listener))
            case PacketKind.CLOSE:
                return EngineCall("stream_ended", (stream, local_us))
            case PacketKind.RESET:
                return EngineCall("stream_closed", (stream, local_us))
            case _:
                return EngineCall("receive_stream", (stream, packet.data, local_us))

    def _shown(self, address: Address) -> Address:
        """A peer's address as the server's sockets show it."""
        if self.mapped and address.ip in self.mapped:
            return Address(f"::ffff:{address.ip}", address.port)
        return address

    def _connection_event_later(self, event: tuple[Connection, Packet]) -> None:
        self.connection_event(*event)

    def next_deadline_us(self) -> int | None:
        return self.engine.next_deadline_us() if self.engine is not None else None

    def handle_timeout(self, local_us: int) -> None:
        if self.engine is not None:
            if self.observer is not None:
                self.observer.before_call(self, None, None, EngineCall("handle_timeout", (local_us,)))
            self._perform(self.engine.handle_timeout(local_us))

    # --- what the engine wants done --------------------------------------------------------------

    def _perform(self, outputs: list[ServerOutput]) -> None:
        recorder, counts = self.recorder, self.counts
        for output in outputs:
            if counts:
                self._counters.add(output)
            kind = type(output)  # the commonest first, and no match: this is asked of millions
            if kind is Stepped:
                recorder.observe(output)  # type: ignore[arg-type]
            elif kind is Relay:
                self.world.fan_out(self.id, self.udp[output.listener], output, recorder.cause)  # type: ignore[index, union-attr, arg-type]
            elif isinstance(output, SendDatagram):
                assert output.address is not None, "a server's datagram has an address"
                link = self.world.link_to(self.id, output.address)
                source = self.udp[output.listener]
                self.world.send_datagram(link, output.what, output.data, source, output.address, recorder.cause)
            elif isinstance(output, SendFrame):
                self._connections[str(output.stream)].send_down(output.what, output.data, recorder.cause)
            elif isinstance(output, FinishStream):
                self._connections[str(output.stream)].send_down(PacketKind.CLOSE, b"", recorder.cause)
            elif isinstance(output, CloseStream):
                self._close(self._connections.pop(str(output.stream)), recorder.cause)
            else:
                assert isinstance(output, OBSERVATIONS), "effects are carried out above"
                recorder.observe(output)
        if self.observer is not None:
            self.observer.after_call(self, outputs)
        self.rearm()

    @staticmethod
    def _close(connection: Connection, cause: Chain) -> None:
        connection.server_is_done = True
        if not connection.client_is_done:
            connection.send_down(PacketKind.CLOSE, b"", cause)

    # --- what the script does to it --------------------------------------------------------------

    def act(self, action: ServerAction, origin: Origin) -> None:
        """Take a step of the script. A process that is paused heeds commands when it goes on."""
        if self.is_paused and isinstance(action, Shutdown | Remove | CloseRoom | SetLimits):
            self.hold(self._act_later, (action, origin))
            return
        match action:
            case Crash(restart_us):
                self._crash(restart_us, origin)
            case Start():
                self._start(origin)
            case Pause(for_us):
                self.pause(for_us, origin)
            case Shutdown():
                self.is_stopping = self.engine is not None
                self._command(origin, EngineCall("shutdown", (self.local_us(),)))
            case Remove(user, room):
                if not self._command(origin, EngineCall("remove", (user, room, self.local_us()))):
                    self._refuse(Machine.SESSION, f"{user}@{room}", SessionEvent.REMOVED, SessionState.EXPIRED, origin)
            case CloseRoom(room):
                if not self._command(origin, EngineCall("close_room", (room, self.local_us()))):
                    self._refuse(Machine.ROOM, room, RoomEvent.HOST_GONE, RoomState.VACANT, origin)
            case SetLimits(settings):
                self._set_limits(dict(settings), origin)
            case Clock() | HandOver():
                raise AssertionError("the reader knows the verbs of clusters")
            case _:
                assert_never(action)

    def _act_later(self, step: tuple[ServerAction, Origin]) -> None:
        self.act(*step)

    def _command(self, origin: Origin, call: EngineCall) -> bool:
        engine = self.engine
        if engine is None:
            return False
        self.recorder.cause = origin
        if self.observer is not None:
            self.observer.before_call(self, None, None, call)
        outputs: list[ServerOutput] | None = getattr(engine, call.method)(*call.arguments)
        self._perform(outputs or [])
        return outputs is not None

    def _set_limits(self, settings: dict[str, int | str], origin: Origin) -> None:
        """As a server does that is told to read its settings again; one that starts later has them too."""
        changed = ", ".join(f"{name} {value}" for name, value in write_settings(settings).items())
        self.world.record_fault(self.id, "set_limits", changed, origin)
        self.limits = self.limits.with_settings(settings)
        self._command(origin, EngineCall("set_limits", (self.limits,)))

    def _refuse(self, machine: Machine, id: str, event: str, state: str, origin: Origin) -> None:
        self.recorder.cause = origin
        self.recorder.refuse(machine, id, event, state, f"no such {machine}")

    def _crash(self, restart_us: int | None, origin: Chain, why: str = "all state lost") -> None:
        self.world.record_fault(self.id, "crash", why, origin)
        self.engine = None
        self.is_stopping = False
        self.disarm()
        self.forget_held()
        for connection in self._connections.values():
            connection.server_is_done = True
            connection.send_down(PacketKind.RESET, b"", origin)
        self._connections.clear()
        if self.observer is not None:
            self.observer.server_crashed()
        if restart_us is not None:
            self.world.at(self.world.now_us + restart_us, self._start, origin)

    def _start(self, origin: Chain) -> None:
        if self.engine is None:
            self.world.record_fault(self.id, "start", "", origin)
            self.start_engine()
