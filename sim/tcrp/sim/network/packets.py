"""Packets of the simulation, and the names from which their draws are keyed.

A packet's name is its chain of causes: the script step at its root (actor, action, occurrence), then
for each link of the chain the kind and number of the packet. The 64-bit `key` is a hash of the same
chain and the seed; the name is only built when a trace needs it.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcrp.engine.outputs import Address
from tcrp.sim.network.draws import GOLDEN, key_of, key_of_word, mix_word, word_of
from tcrp.sim.network.links import Link
from tcrp.spec.names import PacketKind
from tcrp.trace.recorder import Cause

_WHAT_WORDS: dict[PacketKind, i64] = {what: word_of(key_of("what", what)) for what in PacketKind}


class Chain(Cause):
    """A named cause: a step of the script, or a packet that it caused."""

    __slots__ = ("counts", "word")

    word: i64  # its key, from which every draw about it is made
    counts: dict[tuple[PacketKind, Link], int] | None  # packets that it caused

    @property
    def key(self) -> int:
        """Its 64 bits, as an integer that is not negative."""
        return key_of_word(self.word)


class Origin(Chain):
    """The root of a chain: a step of the script."""

    __slots__ = ("name",)

    def __init__(self, name: str, seed: int) -> None:
        super().__init__()
        self.name = name
        self.word = word_of(key_of(seed, name))
        self.counts = None

    @property
    def packet(self) -> str:
        return self.name


class Packet(Chain):
    """A datagram, or a piece of a TCP stream, from `source` to `target`."""

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
        self.word = mix_word(parent.word + link.word + _WHAT_WORDS[what] + nth * GOLDEN)
        self.counts = None
        self.note = ""  # what the network did to it, for the trace
        self._name = ""

    @property
    def packet(self) -> str:
        """The chain of causes as written in a trace."""
        if not self._name:
            to = f":{self.link.target}" if self.what in (PacketKind.RELAY, PacketKind.NOTICE) else ""
            nth = f"#{self.nth}" if self.nth > 1 else ""
            self._name = f"{self.parent.packet}/{self.what}{to}{nth}"
        return self._name

    @property
    def link_name(self) -> str:
        """`from>to`."""
        return self.link.name


def next_of_kind(parent: Chain, what: PacketKind, link: Link) -> int:
    """The number, from 1, of the next packet with this cause, kind and link."""
    counts = parent.counts
    if counts is None:
        counts = parent.counts = {}
    nth = counts[what, link] = counts.get((what, link), 0) + 1
    return nth
