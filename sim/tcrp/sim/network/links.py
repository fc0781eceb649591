"""The links of the network, with their current settings: one `Link` per direction between two actors.

Decides about loss, delay and damage of packets; does not know their contents. Every draw is a function
of the packet's key, so adding or removing packets does not change the draws of others. A queue draws
nothing: its drops and delays follow from its contents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from functools import cache, lru_cache
from typing import Any

from mypy_extensions import i64

from tcrp.sim.network.draws import HALF, PPM, delay_us, key_of, loss_threshold, mix, word_of
from tcrp.sim.scenario.model import CALM, Burst, LinkId, LinkPatch, LinkSettings, NetworkSettings, Span

EVERYONE = "all"
SLOT_US = 10_000
"""A link with burst loss changes between good and bad only at the start of a slot."""
BYTE = 8 * 1_000_000
"""What a byte adds to the microseconds times bits a second for which a link is busy: whole numbers at every rate."""
BLOCK_SLOTS = 1024
"""At the start of each block of slots the state is drawn anew, so that it depends on the slot number alone."""

# Mixed into a packet's key for draws other than loss and delay.
_EXTRA, _BIT, _SEGMENT = (key_of("draw", what) for what in ("extra", "bit", "segment"))
_DRAW_BITS = 21  # three draws with a resolution of 1 ppm fit into 64 bits
_DRAW = (1 << _DRAW_BITS) - 1
DUPLICATED, REORDERED, CORRUPTED = 1, 2, 4


@lru_cache(4096)
def _link_key(source: str, target: str) -> int:
    return key_of("link", source, target)


@cache
def _draw_threshold(ppm: int) -> int:
    """The threshold for a draw of 21 bits: a smaller draw means yes."""
    return ppm * (1 << _DRAW_BITS) // PPM


class GilbertElliott:
    """Burst loss (Gilbert and Elliott): the good or bad state of a link, by seed, link and slot number alone."""

    __slots__ = ("_block", "_burst", "_is_bad", "_key", "_slot")

    def __init__(self, burst: Burst, key: int) -> None:
        self._burst = burst
        self._key = key
        self._block = -1
        self._slot = -1
        self._is_bad = False

    def is_bad(self, now_us: int) -> bool:
        """Whether the link is bad at `now_us`, which must not decrease between calls."""
        slot = now_us // SLOT_US
        block = slot // BLOCK_SLOTS
        if block != self._block:
            self._block = block
            self._slot = block * BLOCK_SLOTS
            burst = self._burst
            whole = burst.enter_ppm + burst.leave_ppm
            share = loss_threshold(burst.enter_ppm * 1_000_000 // whole) if whole else 0
            self._is_bad = self._draw() < share
        while self._slot < slot:
            self._slot += 1
            bound = self._burst.leave_ppm if self._is_bad else self._burst.enter_ppm
            if self._draw() < loss_threshold(bound):
                self._is_bad = not self._is_bad
        return self._is_bad

    def _draw(self) -> int:
        return mix(self._key + self._slot) >> 32


class DropReason(Enum):
    """Why a link drops a datagram."""

    LOSS = "loss"
    MTU = "mtu"
    QUEUE = "queue"


class Link:
    """One direction between two actors, with its current settings."""

    __slots__ = (
        "_corrupt",
        "_duplicate",
        "_free",
        "_gilbert_elliott",
        "_has_extras",
        "_least_us",
        "_loss",
        "_mtu_bytes",
        "_queue_bytes",
        "_rate_bps",
        "_reorder",
        "_seed",
        "_span_us",
        "cuts_streams",
        "has_fates",
        "is_cut",
        "is_held",
        "is_plain",
        "is_stalled",
        "key",
        "name",
        "parked",
        "settings",
        "source",
        "target",
        "word",
    )  # fmt: skip

    def __init__(self, source: str, target: str, seed: int = 0, settings: LinkSettings = CALM) -> None:
        self.source = source
        self.target = target
        self.name = f"{source}>{target}"
        self.key = _link_key(source, target)
        self.word: i64 = word_of(self.key)
        self.is_cut = False
        self.is_held = False
        self.is_stalled = False
        self.has_fates = False  # the script has decided about a packet of this link
        self.parked: list[Any] = []  # held datagrams
        self._seed = seed
        self._free = 0  # when a link with a limited rate will have sent its queue: microseconds times its rate
        self._rate_bps = 0
        self.apply(settings)

    def apply(self, settings: LinkSettings) -> None:
        """Bring complete `settings` into force."""
        self.settings = settings
        self._loss = loss_threshold(settings.loss.share_ppm)
        burst = settings.loss.burst
        self._gilbert_elliott = GilbertElliott(burst, mix(self.key ^ self._seed)) if burst is not None else None
        self._duplicate = _draw_threshold(settings.duplicate_ppm)
        self._reorder = _draw_threshold(settings.reorder.share_ppm)
        self._corrupt = _draw_threshold(settings.corrupt_ppm)
        self.cuts_streams = settings.segment is not None  # TCP data arrives in pieces
        self._has_extras = bool(self._duplicate or self._reorder or self._corrupt)
        before_bps, self._rate_bps = self._rate_bps, settings.rate_bps or 0
        if before_bps != self._rate_bps:  # what waits keeps its moment
            self._free = -(-self._free // before_bps) * self._rate_bps if before_bps else 0
        self._mtu_bytes = settings.mtu_bytes or 0
        self._queue_bytes = settings.queue_bytes
        if isinstance(settings.delay, Span):
            self._least_us = settings.delay.least_us
            self._span_us = settings.delay.most_us - settings.delay.least_us + 1
        else:
            self._span_us = 0
        # Most links only have delay and independent loss, which `plainly_us` handles in one step.
        self.is_plain = not (burst or self._has_extras or settings.mtu_bytes or settings.rate_bps)

    @property
    def is_calm(self) -> bool:
        """Whether every datagram arrives unchanged within a second."""
        is_short = 0 < self._span_us <= 1_000_000 - self._least_us
        return is_short and self.is_plain and not (self._loss or self.is_cut or self.is_held or self.has_fates)

    @property
    def stops_streams(self) -> bool:
        """Whether TCP data is held up on this link."""
        return self.is_cut or self.is_held or self.is_stalled

    def plainly_us(self, high: int, low: int) -> int | None:
        """The transit time on a plain link of a packet with these halves of its key, or None if it is lost."""
        if high < self._loss:
            return None
        if self._span_us:
            return self._least_us + (self._span_us * low >> 32)
        return self.delay_us(low)

    def loses(self, key: int) -> bool:
        """Whether a packet with this key is lost: compares the upper 32 bits with the threshold."""
        return key >> 32 < self._loss

    def delay_us(self, key: int) -> int:
        """The delay of a packet with this key, from the lower 32 bits."""
        if self._span_us:
            return self._least_us + (self._span_us * (key & (HALF - 1)) >> 32)
        return delay_us(self.settings.delay, key & (HALF - 1))

    # --- links that are not plain ----------------------------------------------------------------

    def refuses(self, key: int, size: int, now_us: int) -> DropReason | None:
        """Why a datagram of `size` bytes is dropped, or None. One that is not dropped occupies a link with a rate."""
        if size > self._mtu_bytes and self._mtu_bytes:
            return DropReason.MTU
        if self.loses(key) and (self._gilbert_elliott is None or self._gilbert_elliott.is_bad(now_us)):
            return DropReason.LOSS
        if self._rate_bps:
            waiting = max(self._free - now_us * self._rate_bps, 0)
            # On an idle link nothing waits: a datagram is sent at once, however small the queue is.
            if waiting and -(-waiting // BYTE) + size > self._queue_bytes:
                return DropReason.QUEUE
            self._free = now_us * self._rate_bps + waiting + size * BYTE
        return None

    def extras(self, key: int) -> int:
        """What else happens to a datagram: a bit set of DUPLICATED, REORDERED and CORRUPTED, from one draw."""
        if not self._has_extras:
            return 0
        drawn = mix(key ^ _EXTRA)
        return (
            ((drawn & _DRAW) < self._duplicate)
            | ((drawn >> _DRAW_BITS & _DRAW) < self._reorder) << 1
            | ((drawn >> 2 * _DRAW_BITS & _DRAW) < self._corrupt) << 2
        )

    def transit_us(self, key: int, now_us: int, extras: int = 0) -> int:
        """The transit time of a datagram: waiting in the queue, delay, and the extra delay of REORDERED."""
        waits_us = max(-(-self._free // self._rate_bps) - now_us, 0) if self._rate_bps else 0
        if extras & REORDERED:
            waits_us += self.settings.reorder.by_us
        return waits_us + self.delay_us(key)

    @staticmethod
    def corrupted(key: int, data: bytes) -> bytes:
        """The datagram with one bit flipped; an empty one unchanged."""
        if not data:
            return data
        bit = (mix(key ^ _BIT) >> 32) * len(data) * 8 >> 32
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        return bytes(flipped)

    def segments(self, key: int, data: bytes) -> list[bytes]:
        """`data` as TCP cuts it into segments."""
        span = self.settings.segment
        if span is None or len(data) <= 1:
            return [data]
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            size = span.least + ((span.most - span.least + 1) * (mix(key ^ _SEGMENT ^ at) & (HALF - 1)) >> 32)
            pieces.append(data[at : at + size])
            at += size
        return pieces


class Network:
    """All links. Each is created when first used."""

    def __init__(self, network: NetworkSettings, seed: int = 0) -> None:
        self._seed = key_of(seed, "burst")
        self._default = network.default
        self._changes: list[tuple[LinkId, LinkPatch]] = [(rule.link, rule.settings) for rule in network.links]
        self._marks: dict[str, list[tuple[LinkId, int]]] = {"is_cut": [], "is_held": [], "is_stalled": []}
        self._faults = 0  # how many cuts, holds and stalls there were: each has its number
        self._links: dict[tuple[str, str], Link] = {}

    def between(self, source: str, target: str) -> Link:
        """The link from `source` to `target`."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[source, target] = Link(source, target, self._seed, self._default)
            if self._changes or any(self._marks.values()):
                self._refresh(link)
        return link

    def set(self, links: Iterable[LinkId], settings: LinkPatch) -> None:
        """Change settings of links; those that are None stay as they are."""
        self._changes += [(link, settings) for link in links]
        self._refresh_all()

    def cut(self, links: Iterable[LinkId]) -> int:
        """Cut links: datagrams are lost, TCP data waits. Returns the number of this fault, for `end`."""
        return self._mark("is_cut", links)

    def heal(self, links: Iterable[LinkId]) -> list[Link]:
        """Undo cuts. Returns the links that are open again."""
        return self._unmark("is_cut", links)

    def hold(self, links: Iterable[LinkId]) -> int:
        """Hold links: nothing arrives until `release`, and nothing is lost. Returns the number of this fault."""
        return self._mark("is_held", links)

    def release(self, links: Iterable[LinkId]) -> list[Link]:
        """Undo holds. Returns the links that are open again."""
        return self._unmark("is_held", links)

    def stall(self, links: Iterable[LinkId]) -> int:
        """Stall links: TCP data waits, datagrams pass. Returns the number of this fault, for `end`."""
        return self._mark("is_stalled", links)

    def end(self, fault: int) -> list[Link]:
        """One fault is over, others on the same links are not. Returns the links that no such fault stops any more."""
        freed: list[Link] = []
        for mark in self._marks:
            freed += self._keep(mark, lambda _, number: number != fault)
        return freed

    def is_in_force(self, fault: int) -> bool:
        """Whether a fault has neither ended nor been undone on all its links."""
        return any(number == fault for marks in self._marks.values() for _, number in marks)

    def _mark(self, mark: str, links: Iterable[LinkId]) -> int:
        self._faults += 1
        self._marks[mark] += [(link, self._faults) for link in links]
        self._refresh_all()
        return self._faults

    def _unmark(self, mark: str, links: Iterable[LinkId]) -> list[Link]:
        undone = list(links)
        return self._keep(mark, lambda marked, _: not any(_covers(link, marked) for link in undone))

    def _keep(self, mark: str, stays: Callable[[LinkId, int], bool]) -> list[Link]:
        before = [link for link in self._links.values() if getattr(link, mark)]
        self._marks[mark] = [(link, number) for link, number in self._marks[mark] if stays(link, number)]
        self._refresh_all()
        return [link for link in before if not getattr(link, mark)]

    def _refresh_all(self) -> None:
        for link in self._links.values():
            self._refresh(link)

    def _refresh(self, link: Link) -> None:
        settings = self._default
        for id, change in self._changes:
            if covers_link(id, link):
                settings = settings.patched(change)
        if settings != link.settings:
            link.apply(settings)
        for mark, marked in self._marks.items():
            setattr(link, mark, any(covers_link(id, link) for id, _ in marked))


def covers_link(id: LinkId, link: Link) -> bool:
    """Whether `id`, in which `all` stands for every actor, includes `link`."""
    return id.source in (EVERYONE, link.source) and id.target in (EVERYONE, link.target)


def _covers(wide: LinkId, narrow: LinkId) -> bool:
    return wide.source in (EVERYONE, narrow.source) and wide.target in (EVERYONE, narrow.target)
