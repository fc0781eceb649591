"""The engine inside a server of a simulated cluster, with a monitor of the protocol's properties beside it.

To the node it is the engine. Each call that brings something about is shown to the monitor with its outputs, before
the node passes these on: so every engine of a cluster is checked as the one of a single server is, for the clients of
all gateways. What comes by another gateway has no packet of its own here: one is made that is as the client's was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tcrp.engine.handshakes import HandshakeServer
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, ServerOutput, StreamId
from tcrp.engine.registry import SessionRegistry
from tcrp.engine.server import ServerEngine
from tcrp.engine.state import ServerState
from tcrp.sim.checks.monitor import PropertyMonitor
from tcrp.sim.hosts.server import EngineCall, ServerHost
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection
from tcrp.spec.limits import Limits
from tcrp.spec.names import PacketKind


class Inputs(Protocol):
    """Who drives the node: what it was given, of which the engine's input is a part."""

    def datagram(self, data: bytes, source: Address, listener: int) -> Packet: ...
    def connection_of(self, stream: StreamId) -> Connection | None: ...
    def piece(self, connection: Connection, what: PacketKind, data: bytes) -> Packet: ...
    def leaves(self, room: bytes) -> None: ...
    def comes(self, room: bytes) -> None: ...


class WatchedEngine:
    """Has what a node asks of a `ServerEngine`."""

    def __init__(self, engine: ServerEngine, host: ServerHost, inputs: Inputs, monitor: PropertyMonitor) -> None:
        self._engine = engine
        self._host = host
        self._inputs = inputs
        self._monitor = monitor

    # --- what is only asked ----------------------------------------------------------------------

    @property
    def registry(self) -> SessionRegistry:
        return self._engine.registry

    @property
    def handshake_server(self) -> HandshakeServer:
        return self._engine.handshake_server

    @property
    def has_rooms(self) -> bool:
        return self._engine.has_rooms

    @property
    def is_quiescent(self) -> bool:
        return self._engine.is_quiescent

    def next_deadline_us(self) -> int | None:
        return self._engine.next_deadline_us()

    def head_of(self, data: bytes, listener: int) -> tuple[bytes | None, bytes] | None:
        return self._engine.head_of(data, listener)

    def freeze(self) -> ServerState:
        return self._engine.freeze()

    def freeze_room(self, room: bytes) -> ServerState:
        return self._engine.freeze_room(room)

    def add_listeners(self, listeners: Sequence[ListenerConfig]) -> None:
        self._engine.add_listeners(listeners)

    def set_limits(self, limits: Limits) -> None:
        self._engine.set_limits(limits)

    # --- rooms that come and go ------------------------------------------------------------------

    def adopt(self, state: ServerState, now_us: int) -> None:
        self._engine.adopt(state, now_us)
        self._monitor.adopt(state, self._host)
        for room in state.rooms:
            self._inputs.comes(room.name)

    def forget_room(self, room: bytes) -> list[ServerOutput]:
        self._inputs.leaves(room)
        self._monitor.forget_room(room.decode(), self._engine.freeze_room(room).handshakes)
        return self._engine.forget_room(room)

    def take_request_away(self, stream: StreamId) -> tuple[bytes, bool, list[ServerOutput]]:
        self._monitor.forget_stream(stream)
        return self._engine.take_request_away(stream)

    # --- calls -----------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> list[ServerOutput]:
        self._before(None, self._inputs.datagram(data, source, listener), "receive_datagram", data, source, now_us)
        return self._after(self._engine.receive_datagram(data, source, now_us, listener))

    def stream_opened(
        self, stream: StreamId, peer: Address, now_us: int, listener: int = 0, *, name: str = ""
    ) -> list[ServerOutput]:
        self._before_stream(stream, PacketKind.OPEN, b"", "stream_opened", peer, now_us)
        return self._after(self._engine.stream_opened(stream, peer, now_us, listener, name=name))

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> list[ServerOutput]:
        self._before_stream(stream, PacketKind.STREAM, data, "receive_stream", data, now_us)
        return self._after(self._engine.receive_stream(stream, data, now_us))

    def stream_ended(self, stream: StreamId, now_us: int) -> list[ServerOutput]:
        self._before_stream(stream, PacketKind.CLOSE, b"", "stream_ended", now_us)
        return self._after(self._engine.stream_ended(stream, now_us))

    def stream_closed(self, stream: StreamId, now_us: int) -> list[ServerOutput]:
        self._before_stream(stream, PacketKind.RESET, b"", "stream_closed", now_us)
        return self._after(self._engine.stream_closed(stream, now_us))

    def resume_request(self, stream: StreamId, now_us: int, *, refused: str = "") -> list[ServerOutput]:
        self._before_stream(stream, PacketKind.STREAM, b"", "resume_request", now_us)
        return self._after(self._engine.resume_request(stream, now_us, refused=refused))

    def handle_timeout(self, now_us: int) -> list[ServerOutput]:
        self._before(None, None, "handle_timeout", now_us)
        return self._after(self._engine.handle_timeout(now_us))

    def shutdown(self, now_us: int) -> list[ServerOutput]:
        self._before(None, None, "shutdown", now_us)
        return self._after(self._engine.shutdown(now_us))

    def remove(self, user: str, room: str, now_us: int) -> list[ServerOutput] | None:
        self._before(None, None, "remove", user, room, now_us)
        return self._after_command(self._engine.remove(user, room, now_us))

    def close_room(self, room: str, now_us: int) -> list[ServerOutput] | None:
        self._before(None, None, "close_room", room, now_us)
        return self._after_command(self._engine.close_room(room, now_us))

    def _before_stream(self, stream: StreamId, what: PacketKind, data: bytes, method: str, *arguments: Any) -> None:
        connection = self._inputs.connection_of(stream)
        packet = self._inputs.piece(connection, what, data) if connection is not None else None
        self._before(connection, packet, method, stream, *arguments, stream=stream)

    def _before(
        self, connection: Connection | None, packet: Packet | None, method: str, *arguments: Any,
        stream: StreamId | None = None,
    ) -> None:  # fmt: skip
        self._monitor.before_call(self._host, packet, connection, EngineCall(method, arguments), stream)

    def _after(self, outputs: list[ServerOutput]) -> list[ServerOutput]:
        self._monitor.after_call(self._host, outputs)
        return outputs

    def _after_command(self, outputs: list[ServerOutput] | None) -> list[ServerOutput] | None:
        self._monitor.after_call(self._host, outputs or [])
        return outputs
