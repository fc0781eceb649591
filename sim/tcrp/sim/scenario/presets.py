"""Networks that people know, by name: link settings for each direction.

The first five are what such places are like, not measurements of one. The `soak` rows are rates, losses,
delays and shares that arrive late, from hard to odd, for running long.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tcrp.sim.scenario.model import Burst, Exponential, LinkPatch, Loss, Reorder, Span

MS = 1000
PERCENT = 10_000  # parts per million
KBIT, MBIT = 1_000, 1_000_000
KIB = 1024


def _soak(rate_bps: int, loss: int, delay_ms: int, late: int, by_ms: int) -> LinkPatch:
    return LinkPatch(
        delay=Span(delay_ms * MS, delay_ms * MS),
        loss=Loss(loss * PERCENT),
        reorder=Reorder(late * PERCENT, by_ms * MS),
        rate_bps=rate_bps,
        queue_bytes=64 * KIB,
    )


PRESETS: Mapping[str, LinkPatch] = MappingProxyType(
    {
        "lan": LinkPatch(delay=Span(100, 500), loss=Loss(0)),
        "wifi": LinkPatch(
            delay=Exponential(3 * MS, 1 * MS),
            loss=Loss(50 * PERCENT, Burst(PERCENT // 2, 30 * PERCENT)),
            duplicate_ppm=PERCENT // 100,
            reorder=Reorder(PERCENT // 10, 5 * MS),
            mtu_bytes=1472,
            rate_bps=50 * MBIT,
            queue_bytes=256 * KIB,
        ),
        "mobile": LinkPatch(
            delay=Exponential(30 * MS, 40 * MS),
            loss=Loss(60 * PERCENT, Burst(PERCENT, 20 * PERCENT)),
            reorder=Reorder(PERCENT, 20 * MS),
            mtu_bytes=1400,
            rate_bps=5 * MBIT,
            queue_bytes=256 * KIB,
        ),
        "satellite": LinkPatch(
            delay=Span(270 * MS, 300 * MS), loss=Loss(PERCENT // 2), rate_bps=10 * MBIT, queue_bytes=512 * KIB
        ),
        "hotel": LinkPatch(
            delay=Exponential(60 * MS, 20 * MS),
            loss=Loss(80 * PERCENT, Burst(3 * PERCENT, 15 * PERCENT)),
            duplicate_ppm=PERCENT // 2,
            reorder=Reorder(2 * PERCENT, 40 * MS),
            corrupt_ppm=PERCENT // 10,
            mtu_bytes=1200,
            rate_bps=1 * MBIT,
            queue_bytes=32 * KIB,
        ),
        "soak-512k": _soak(512 * KBIT, 20, 100, 4, 50),
        "soak-1m": _soak(1 * MBIT, 10, 50, 2, 50),
        "soak-8m": _soak(8 * MBIT, 5, 10, 1, 10),
        "soak-8m-far": _soak(8 * MBIT, 20, 100, 4, 10),
        "soak-8m-near": _soak(8 * MBIT, 2, 5, 2, 1),
        "soak-16m": _soak(16 * MBIT, 0, 50, 30, 40),
    }
)
