"""The engine and the reference server beside each other, for tests that tell them what a random input rarely is."""

from __future__ import annotations

from typing import Any

from conversation import counted_tokens
from tcrp.engine.codec import Codec, codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, Detail, ServerOutput, StreamId
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.sim.checks.differential import difference
from tcrp.sim.reference.server import ReferenceServer
from tcrp.spec.limits import Limits
from tcrp.spec.names import Operation

SECOND = 1_000_000


class BothServers:
    """What is given to one is given to the other, and both have to put out the same. Settings are given by name."""

    def __init__(self, *dialects: str | Codec, **settings: Any) -> None:
        self.now_us = 0
        self.codecs = tuple(codec(each) if isinstance(each, str) else each for each in dialects)
        limits = Limits().with_settings(settings)
        listeners = (ListenerConfig(self.codecs),)
        self.engine = ServerEngine(ServerConfig(limits, listeners), new_token=counted_tokens(), detail=Detail.CHANGES)
        dialects_of = [[each.dialect for each in listener.dialects] for listener in listeners]
        self.reference = ReferenceServer(limits, dialects_of, counted_tokens())

    def give(self, method: str, *arguments: Any) -> list[ServerOutput]:
        """What both put out."""
        outputs, expected = (getattr(each, method)(*arguments) or [] for each in (self.engine, self.reference))
        assert difference(outputs, expected) is None
        return list(expected)

    def address(self, ip: str = "10.0.0.1", port: int = 40_001) -> Address:
        """A client's."""
        return Address(ip, port)

    def opens(self, stream: StreamId, ip: str = "10.0.0.1") -> list[ServerOutput]:
        """A peer connects."""
        return self.give("stream_opened", stream, Address(ip, 50_000), self.now_us)

    def sends(self, stream: StreamId, data: bytes) -> list[ServerOutput]:
        """Bytes arrive on a connection."""
        return self.give("receive_stream", stream, data, self.now_us)

    def asks(
        self, stream: StreamId, operation: Operation, room: str, name: str, ip: str = "10.0.0.1", **more: Any
    ) -> list[ServerOutput]:
        """A peer connects and asks, in the first dialect."""
        self.opens(stream, ip)
        return self.sends(stream, self.request(operation, room, name, **more))

    def request(
        self, operation: Operation, room: str, name: str, *, password: str = "", port: int = 40_001, **more: Any
    ) -> bytes:
        """The bytes of a request in the first dialect."""
        return self.codecs[0].write_request(operation, room.encode(), name, password, "10.0.0.1", port, **more)

    def speaks(
        self, token: bytes, room: str, text: bytes, ip: str = "10.0.0.1", port: int = 40_001
    ) -> list[ServerOutput]:
        """A datagram arrives."""
        data = bytes((len(room.encode()), len(token))) + room.encode() + token + text
        return self.give("receive_datagram", data, Address(ip, port), self.now_us)

    def wakes(self) -> list[ServerOutput]:
        """Both are woken now, whatever is due."""
        return self.give("handle_timeout", self.now_us)
