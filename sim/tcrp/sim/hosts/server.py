"""The server's machine: drives the same engine that real sockets drive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, assert_never

from tcrp.engine.codec import Codec
from tcrp.engine.outputs import Address, CloseStream, FinishStream, Relay, SendDatagram, SendFrame, ServerEffect
from tcrp.engine.server import ServerEngine
from tcrp.sim.hosts.host import Host
from tcrp.sim.network.draws import key_of, mix
from tcrp.sim.network.packets import Chain, Origin, Packet, chain_of
from tcrp.sim.network.tcp import Connection
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import Crash, Pause, Remove, ServerAction, Shutdown, Start
from tcrp.spec.limits import Limits
from tcrp.spec.names import Counter, Machine, PacketKind, SessionEvent, SessionState
from tcrp.trace.records import Cause, Recorder

SERVER = "server"
UDP_ADDRESS = Address("10.255.255.254", 9003)

EngineFactory = Callable[..., ServerEngine]


class EngineObserver(Protocol):
    """Whoever watches what the server is given and what it makes of it."""

    def before_call(self, host: ServerHost, packet: Packet | None, connection: Connection | None) -> None: ...
    def after_call(self, host: ServerHost, effects: list[ServerEffect]) -> None: ...
    def server_crashed(self) -> None: ...


class ServerHost(Host):
    """One server, which may crash and start again. `make_engine` is `ServerEngine`, or what a test puts there."""

    def __init__(
        self, world: World, limits: Limits, seed: int, *, only: Codec | None, make_engine: EngineFactory = ServerEngine
    ) -> None:  # fmt: skip
        super().__init__(world, SERVER)
        self.limits = limits
        self.engine: ServerEngine | None = None
        self.observer: EngineObserver | None = None
        self._only = only
        self._seed = seed
        self._make_engine = make_engine
        self._tokens = 0
        self.is_stopping = False  # it has been told to shut down
        self._connections: dict[str, Connection] = {}
        world.open_socket(UDP_ADDRESS, self)
        self.start_engine()

    def start_engine(self) -> None:
        """A new engine, which knows nothing of an earlier one."""
        trace = self.world.trace
        recorder = Recorder(trace, SERVER) if trace is not None else None
        self.engine = self._make_engine(self.limits, self._new_token, only=self._only, recorder=recorder)

    def _new_token(self) -> bytes:
        """In a simulation tokens come from the seed; on sockets from the system."""
        self._tokens += 1
        high = key_of(self._seed, "token", self._tokens)
        return f"{high:016x}{mix(high):016x}".encode()

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence is waited for."""
        return self.engine is None or self.engine.is_quiescent

    def counters(self) -> dict[str, int]:
        """What the engine has counted; nothing while it is down."""
        if self.engine is None:
            return {str(counter): 0 for counter in Counter}
        return {str(counter): count for counter, count in self.engine.counters().items()}

    # --- what arrives ----------------------------------------------------------------------------

    def receive_datagram(self, packet: Packet) -> None:
        if self.is_paused:
            self.hold(self.receive_datagram, packet)
            return
        engine = self.engine
        if engine is None:
            self.world.drop(packet, "server down")
            return
        engine.cause = packet
        if self.observer is not None:
            self.observer.before_call(self, packet, None)
        self._perform(engine.receive_datagram(packet.data, packet.source, self.local_us()))

    def connection_event(self, connection: Connection, packet: Packet) -> None:
        if self.is_paused:
            self.hold(self._connection_event_later, (connection, packet))
            return
        engine, local_us = self.engine, self.local_us()
        if engine is None:
            connection.server_is_done = True
            connection.send_down(PacketKind.RESET, b"", packet)
            return
        engine.cause = packet
        if self.observer is not None:
            self.observer.before_call(self, packet, connection)
        stream = connection.stream
        if packet.what is PacketKind.OPEN:
            self._connections[stream] = connection
            connection.send_down(PacketKind.OPENED, b"", packet)
            name = connection.client.id
            effects = engine.stream_opened(stream, connection.client_address, local_us, name=name)
        elif packet.what is PacketKind.CLOSE:
            effects = engine.stream_ended(stream, local_us)
        elif packet.what is PacketKind.RESET:
            connection.server_is_done = True
            self._connections.pop(stream, None)
            effects = engine.stream_closed(stream, local_us)
        else:
            effects = engine.receive_stream(stream, packet.data, local_us)
        self._perform(effects)

    def _connection_event_later(self, event: tuple[Connection, Packet]) -> None:
        self.connection_event(*event)

    def next_deadline_us(self) -> int | None:
        return self.engine.next_deadline_us() if self.engine is not None else None

    def handle_timeout(self, local_us: int) -> None:
        if self.engine is not None:
            if self.observer is not None:
                self.observer.before_call(self, None, None)
            self._perform(self.engine.handle_timeout(local_us))

    # --- what the engine wants done --------------------------------------------------------------

    def _perform(self, effects: list[ServerEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Relay):  # the commonest first, and no match: this is asked of millions
                self.world.fan_out(SERVER, UDP_ADDRESS, effect, chain_of(effect.cause))
            elif isinstance(effect, SendDatagram):
                assert effect.address is not None, "a server's datagram has an address"
                link = self.world.link_to(SERVER, effect.address)
                self.world.send_datagram(
                    link, effect.what, effect.data, UDP_ADDRESS, effect.address, chain_of(effect.cause)
                )
            elif isinstance(effect, SendFrame):
                self._connections[str(effect.stream)].send_down(effect.what, effect.data, chain_of(effect.cause))
            elif isinstance(effect, FinishStream):
                self._connections[str(effect.stream)].send_down(PacketKind.CLOSE, b"", chain_of(effect.cause))
            elif isinstance(effect, CloseStream):
                self._close(self._connections.pop(str(effect.stream)), chain_of(effect.cause))
            else:
                assert_never(effect)
        if self.observer is not None:
            self.observer.after_call(self, effects)
        self.rearm()

    @staticmethod
    def _close(connection: Connection, cause: Chain) -> None:
        connection.server_is_done = True
        if not connection.client_is_done:
            connection.send_down(PacketKind.CLOSE, b"", cause)

    # --- what the script does to it --------------------------------------------------------------

    def act(self, action: ServerAction, origin: Origin) -> None:
        """Take a step of the script. A process that is paused heeds commands when it goes on."""
        if self.is_paused and isinstance(action, Shutdown | Remove):
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
                self._command(origin, lambda engine: engine.shutdown(self.local_us()))
            case Remove(user, room):
                if not self._command(origin, lambda engine: engine.remove(user, room, self.local_us())):
                    self._refuse(f"{user}@{room}", origin)
            case _:
                assert_never(action)

    def _act_later(self, step: tuple[ServerAction, Origin]) -> None:
        self.act(*step)

    def _command(self, origin: Origin, command: Callable[[ServerEngine], Any]) -> bool:
        engine = self.engine
        if engine is None:
            return False
        engine.cause = origin
        if self.observer is not None:
            self.observer.before_call(self, None, None)
        effects = command(engine)
        if effects is None:
            return False
        self._perform(effects)
        return True

    def _refuse(self, id: str, cause: Cause) -> None:
        if self.world.trace is not None:
            Recorder(self.world.trace, SERVER).refuse(
                Machine.SESSION, id, SessionEvent.REMOVED, SessionState.EXPIRED, cause, why="no such session"
            )

    def _crash(self, restart_us: int | None, origin: Origin) -> None:
        self.world.record_fault(SERVER, "crash", "all state lost", origin)
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

    def _start(self, origin: Origin) -> None:
        if self.engine is None:
            self.world.record_fault(SERVER, "start", "", origin)
            self.start_engine()
