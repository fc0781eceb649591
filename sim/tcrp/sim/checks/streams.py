"""Checks TCP itself: what an end of a connection reads is what the other end sent, and then its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from tcrp.sim.checks.results import CheckResults
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection, Pipe
from tcrp.spec.names import PacketKind, Property


@dataclass(slots=True)
class _Stream:
    """One direction of a connection, as it was written and as far as it was read."""

    written: bytearray = field(default_factory=bytearray)
    read: int = 0
    ends_at: int | None = None  # where the writer ended it


class StreamChecks:
    """Compares the bytes of each stream at both ends."""

    def __init__(self, results: CheckResults) -> None:
        self._results = results
        self._streams: dict[Pipe, _Stream] = {}

    def sent(self, pipe: Pipe, what: PacketKind, data: bytes) -> None:
        """One end has sent data, or ended its direction."""
        stream = self._streams.setdefault(pipe, _Stream())
        stream.written += data
        if what is PacketKind.CLOSE and stream.ends_at is None:
            stream.ends_at = len(stream.written)

    def read(self, connection: Connection, pipe: Pipe, packet: Packet) -> None:
        """The other end reads what has arrived. A reset may come at any moment, and ends the stream."""
        stream = self._streams.setdefault(pipe, _Stream())
        begins, stream.read = stream.read, stream.read + len(packet.data)
        if packet.what is PacketKind.CLOSE:
            same = stream.read == stream.ends_at
        else:
            is_before_its_end = stream.ends_at is None or stream.read <= stream.ends_at
            same = is_before_its_end and stream.written[begins : stream.read] == packet.data
        self._results.judge(
            Property.STREAMS_KEEP_ORDER, same, "{} read {} after {} bytes of {}, which are not the bytes sent there",
            packet.link.target, packet.what, begins, connection.stream,
        )  # fmt: skip

    def forget(self, connection: Connection) -> None:
        """Both ends have stopped reading."""
        self._streams.pop(connection.up, None)
        self._streams.pop(connection.down, None)
