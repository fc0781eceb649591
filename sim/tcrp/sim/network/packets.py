"""What travels in a simulation, and the names that its fate is drawn by.

A packet's name is its chain of causes: the script step that began it (who, what, which occurrence),
then the k-th packet of that kind from that cause. The 64-bit `key` is the same chain, mixed, with
the seed at its root; the name itself is only put together when a trace wants it.
"""

from __future__ import annotations

from tcrp.engine.outputs import Address
from tcrp.sim.network.draws import FIRST_FACTOR, GOLDEN, MASK, SECOND_FACTOR, key_of
from tcrp.sim.network.links import Link
from tcrp.spec.names import PacketKind
from tcrp.trace.recorder import Cause

_WHAT_KEYS = {what: key_of("what", what) for what in PacketKind}


class Chain(Cause):
    """A cause that has a name: a step of the script, or a packet that came of one."""

    __slots__ = ("counts", "key")

    key: int
    counts: dict[tuple[PacketKind, Link], int] | None  # packets that came of it


class Origin(Chain):
    """The beginning of a chain: a step of the script."""

    __slots__ = ("name",)

    def __init__(self, name: str, seed: int) -> None:
        super().__init__()
        self.name = name
        self.key = key_of(seed, name)
        self.counts = None

    @property
    def packet(self) -> str:  # type: ignore[override]
        return self.name


class Packet(Chain):
    """A datagram, or a piece of a TCP stream, on its way from `source` to `target`."""

    __slots__ = ("_name", "data", "link", "note", "nth", "parent", "proto", "source", "target", "what")

    def __init__(
        self, parent: Chain, link: Link, what: PacketKind, data: bytes, source: Address, target: Address,
        proto: str = "udp", nth: int = 1,
    ) -> None:  # fmt: skip
        self.record = 0
        self.parent = parent
        self.link = link
        self.what = what
        self.data = data
        self.source = source
        self.target = target
        self.proto = proto
        self.nth = nth
        x = parent.key + link.key + _WHAT_KEYS[what] + nth * GOLDEN & MASK  # and now `mix`, without the call
        x = (x ^ (x >> 30)) * FIRST_FACTOR & MASK
        x = (x ^ (x >> 27)) * SECOND_FACTOR & MASK
        self.key = x ^ (x >> 31)
        self.counts = None
        self.note = ""  # what the network has done to it, for the trace
        self._name = ""

    @property
    def packet(self) -> str:  # type: ignore[override]
        """The chain of causes, as a trace writes it."""
        if not self._name:
            to = f":{self.link.target}" if self.what in (PacketKind.RELAY, PacketKind.NOTICE) else ""
            nth = f"#{self.nth}" if self.nth > 1 else ""
            self._name = f"{self.parent.packet}/{self.what}{to}{nth}"
        return self._name

    @property
    def link_name(self) -> str:  # type: ignore[override]
        """`from>to`."""
        return self.link.name


def next_of_kind(parent: Chain, what: PacketKind, link: Link) -> int:
    """Which packet of that kind on that link from that cause the next one is, from 1."""
    counts = parent.counts
    if counts is None:
        counts = parent.counts = {}
    nth = counts[what, link] = counts.get((what, link), 0) + 1
    return nth
