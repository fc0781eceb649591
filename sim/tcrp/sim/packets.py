"""What travels in a simulation, and the names that its fate is drawn by.

A packet's name is its chain of causes: the script step that began it (who, what, which occurrence),
then the k-th packet of that kind from that cause. The 64-bit `key` is the same chain, mixed, with
the seed at its root; the name itself is only put together when a trace wants it.
"""

from __future__ import annotations

from tcrp.engine.effects import Address
from tcrp.engine.trace import Cause
from tcrp.sim.draws import GOLDEN, key_of, mix
from tcrp.sim.ways import Way
from tcrp.spec.names import What


class Origin(Cause):
    """The beginning of a chain: a step of the script."""

    __slots__ = ("counts", "key", "name")

    def __init__(self, name: str, seed: int) -> None:
        super().__init__()
        self.name = name
        self.key = key_of(seed, name)
        self.counts: dict[tuple[What, Way], int] | None = None

    @property
    def packet(self) -> str:  # type: ignore[override]
        return self.name


class Packet(Cause):
    """A datagram, or a piece of a TCP stream, on its way from `source` to `target`."""

    __slots__ = ("_name", "counts", "data", "key", "note", "nth", "parent", "proto", "source", "target", "way", "what")

    def __init__(
        self, parent: Origin | Packet, way: Way, what: What, data: bytes, source: Address, target: Address,
        proto: str = "udp", nth: int = 1,
    ) -> None:  # fmt: skip
        self.record = 0
        self.parent = parent
        self.way = way
        self.what = what
        self.data = data
        self.source = source
        self.target = target
        self.proto = proto
        self.nth = nth
        self.key: int = mix(parent.key + way.stems[what] + nth * GOLDEN)
        self.counts: dict[tuple[What, Way], int] | None = None
        self.note = ""  # what the network has done to it, for the trace
        self._name = ""

    @property
    def packet(self) -> str:  # type: ignore[override]
        """The chain of causes, as a trace writes it."""
        if not self._name:
            to = f":{self.way.target}" if self.what in (What.RELAY, What.NOTICE) else ""
            nth = f"#{self.nth}" if self.nth > 1 else ""
            self._name = f"{self.parent.packet}/{self.what}{to}{nth}"
        return self._name

    @property
    def link(self) -> str:  # type: ignore[override]
        """`from>to`."""
        return self.way.name


def next_of_kind(parent: Origin | Packet, what: What, way: Way) -> int:
    """Which packet of that kind on that link from that cause the next one is, from 1."""
    counts = parent.counts
    if counts is None:
        counts = parent.counts = {}
    nth = counts[what, way] = counts.get((what, way), 0) + 1
    return nth
