"""What tests put in place of a server's engine: one that is ours but for what a bug changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tcrp.engine.outputs import Address, Detail, StreamId
from tcrp.engine.server import Outputs, ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.spec.limits import Limits


class Planted:
    """Stands before a server's engine and hands everything on. A bug changes what comes in, goes out or is held."""

    def __init__(
        self,
        config: ServerConfig,
        *,
        new_token: Callable[[], bytes],
        state: ServerState | None = None,
        now_us: int = 0,
        detail: Detail = Detail.NOTHING,
    ) -> None:
        self.config = config
        self.new_token = new_token
        self.detail = detail
        self.now_us = now_us  # of the latest call
        self.engine = ServerEngine(config, new_token=new_token, state=state, now_us=now_us, detail=detail)

    def becomes(self, state: ServerState) -> None:
        """From here on the engine holds `state`, as of the latest call."""
        self.engine = ServerEngine(
            self.config, new_token=self.new_token, state=state, now_us=self.now_us, detail=self.detail
        )

    def gives(self, outputs: Outputs) -> Outputs:
        """What is put out in place of `outputs`. For a bug to change."""
        return outputs

    # --- everything that an engine can be asked --------------------------------------------------

    def stream_opened(
        self, stream: StreamId, peer: Address, now_us: int, listener: int = 0, *, name: str = ""
    ) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.stream_opened(stream, peer, now_us, listener, name=name))

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.receive_stream(stream, data, now_us))

    def stream_ended(self, stream: StreamId, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.stream_ended(stream, now_us))

    def stream_closed(self, stream: StreamId, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.stream_closed(stream, now_us))

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.receive_datagram(data, source, now_us, listener))

    def handle_timeout(self, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.handle_timeout(now_us))

    def shutdown(self, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.shutdown(now_us))

    def remove(self, user: str, room: str, now_us: int) -> Outputs | None:
        self.now_us = now_us
        outputs = self.engine.remove(user, room, now_us)
        return None if outputs is None else self.gives(outputs)

    def close_room(self, room: str, now_us: int) -> Outputs | None:
        self.now_us = now_us
        outputs = self.engine.close_room(room, now_us)
        return None if outputs is None else self.gives(outputs)

    def set_limits(self, limits: Limits) -> None:
        self.config = replace(self.config, limits=limits)
        self.engine.set_limits(limits)

    def freeze(self) -> ServerState:
        return self.engine.freeze()

    def next_deadline_us(self) -> int | None:
        return self.engine.next_deadline_us()

    @property
    def is_quiescent(self) -> bool:
        return self.engine.is_quiescent

    @property
    def has_rooms(self) -> bool:
        return self.engine.has_rooms
