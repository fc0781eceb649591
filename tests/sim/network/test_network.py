"""Draws, links and clocks: keyed, exact, and the same for ever."""

from __future__ import annotations

import itertools
import math

import pytest

from tcrp.sim.hosts.server import SERVER
from tcrp.sim.network.clock import HostClock
from tcrp.sim.network.draws import delay_us, key_of, loss_threshold, mix
from tcrp.sim.network.links import CORRUPTED, DUPLICATED, SLOT_US, DropReason, GilbertElliott, Link, Network
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import (
    Burst,
    ByteSpan,
    Exponential,
    LinkId,
    LinkPatch,
    LinkRule,
    LinkSettings,
    Loss,
    NetworkSettings,
    Place,
    Reorder,
    Span,
)  # fmt: skip
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.records import Kind, PacketRecord, Record

MANY = 20_000
KEYS = [mix(number) for number in range(MANY)]
HERE = Place(1, 1)


def test_draws_are_these_numbers_and_no_others() -> None:
    """Pinned: a change here changes every trace there is."""
    assert key_of(7, "bob.say#1") == 6899825663265663247
    assert [mix(number) for number in (0, 1, 2**64 - 1)] == [0, 6238072747940578789, 13029008266876403067]
    assert [delay_us(Exponential(20_000, 5000), bits) for bits in (0, 1, 2**31, 2**32 - 1)] == [
        448614,
        434751,
        18862,
        5000,
    ]


def test_a_span_is_drawn_evenly_and_both_ends_are_possible() -> None:
    drawn = [delay_us(Span(10, 13), key & 0xFFFFFFFF) for key in KEYS]
    assert all(abs(drawn.count(each) / MANY - 0.25) < 0.02 for each in (10, 11, 12, 13))
    assert set(drawn) == {10, 11, 12, 13}


def test_an_exponential_delay_has_its_mean_its_least_and_its_tail() -> None:
    drawn = sorted(delay_us(Exponential(20_000, 5000), key & 0xFFFFFFFF) for key in KEYS)
    assert drawn[0] >= 5000
    assert abs(sum(drawn) / MANY - 25_000) < 500
    assert abs(drawn[MANY // 2] - (5000 + 20_000 * math.log(2))) < 500
    assert drawn[-1] > 5000 + 20_000 * 7


@pytest.mark.parametrize(("ppm", "share"), [(0, 0.0), (20_000, 0.02), (500_000, 0.5), (1_000_000, 1.0)])
def test_a_share_is_lost(ppm: int, share: float) -> None:
    link = Link("bob", "server")
    link.apply(LinkSettings(loss=Loss(ppm)))
    lost = sum(link.loses(key) for key in KEYS) / MANY
    assert abs(lost - share) < 0.005
    assert loss_threshold(1_000_000) == 1 << 32


def test_settings_of_links_lie_over_the_default_and_later_ones_over_earlier_ones() -> None:
    settings = NetworkSettings(
        LinkSettings(Span(10, 10)),
        (
            LinkRule(LinkId("bob", "server"), LinkPatch(loss=Loss(1_000_000)), HERE),
            LinkRule(LinkId("all", "server"), LinkPatch(delay=Span(30, 30)), HERE),
        ),
    )
    network = Network(settings)
    bob, carol, back = (
        network.between("bob", "server"),
        network.between("carol", "server"),
        network.between("server", "bob"),
    )
    assert [link.delay_us(0) for link in (bob, carol, back)] == [30, 30, 10]
    assert [link.loses(1 << 63) for link in (bob, carol, back)] == [True, False, False]
    network.set([LinkId("bob", "server")], LinkPatch(delay=Span(5, 5)))
    assert (bob.delay_us(0), bob.loses(1 << 63), carol.delay_us(0)) == (5, True, 30)


def test_cuts_are_healed_by_the_same_or_a_wider_form() -> None:
    network = Network(NetworkSettings())
    up, down = network.between("bob", "server"), network.between("server", "bob")
    network.cut([LinkId("bob", "server")])
    assert (up.is_cut, down.is_cut) == (True, False)
    network.cut([LinkId("all", "server")])
    assert network.heal([LinkId("bob", "server")]) == []  # everyone's is still cut
    assert network.heal([LinkId("all", "server")]) == [up]
    assert network.between("late", "server").is_cut is False


def test_a_clock_may_be_ahead_and_drift_but_never_goes_back() -> None:
    clock = HostClock()
    assert clock.local_us(1_000_000) == 1_000_000
    clock.disturb(1_000_000, 2_000_000, 100)
    assert clock.local_us(1_000_000) == 3_000_000
    assert clock.local_us(11_000_000) == 13_001_000
    clock.disturb(11_000_000, -5_000_000, 0)
    assert clock.local_us(12_000_000) == 13_001_000
    assert clock.local_us(17_000_000) == 14_001_000


@pytest.mark.parametrize("drift", [0, 100, -100, 499_999, -499_999])
def test_a_deadline_is_reached_when_the_clock_shows_it_and_not_before(drift: int) -> None:
    clock = HostClock()
    clock.disturb(123, 456, drift)
    for deadline in range(600, 5_000_000, 77_777):
        when = clock.world_us(deadline)
        fresh = HostClock()
        fresh.disturb(123, 456, drift)
        assert fresh.local_us(when - 1) < deadline <= fresh.local_us(when)


# --- links on which more goes wrong ----------------------------------------------------------------


def rough(**settings: object) -> Link:
    link = Link("bob", "server", seed=7)
    link.apply(LinkSettings(**settings))  # type: ignore[arg-type]
    return link


def test_losses_in_bursts_come_together_and_make_their_share() -> None:
    link = rough(loss=Loss(1_000_000, Burst(20_000, 300_000)))
    lost = [link.refuses(key, 100, slot * SLOT_US) is DropReason.LOSS for slot, key in enumerate(KEYS)]
    assert abs(sum(lost) / MANY - 0.02 / 0.32) < 0.01
    runs = [len(list(group)) for is_lost, group in itertools.groupby(lost) if is_lost]
    assert abs(sum(runs) / len(runs) - 1 / 0.3) < 0.3  # a bad mood lasts 1 / leave slots
    assert max(runs) > 8


def test_a_links_mood_depends_on_the_slot_and_on_nothing_that_was_sent() -> None:
    every, some = (GilbertElliott(Burst(50_000, 200_000), 99) for _ in range(2))
    moods = [every.is_bad(slot * SLOT_US) for slot in range(5000)]
    assert [some.is_bad(slot * SLOT_US + 3) for slot in range(0, 5000, 37)] == moods[::37]
    assert 0 < sum(moods) < 5000
    other = GilbertElliott(Burst(50_000, 200_000), 98)
    assert [other.is_bad(slot * SLOT_US) for slot in range(5000)] != moods


def test_shares_are_doubled_held_back_and_spoiled_each_by_its_own_draw() -> None:
    link = rough(duplicate_ppm=30_000, reorder=Reorder(40_000, 50_000), corrupt_ppm=50_000)
    data = bytes(100)
    doubled = {key for key in KEYS if link.extras(key) & DUPLICATED}
    late = {key for key in KEYS if link.transit_us(key, 0, link.extras(key)) == 50_000}
    corrupted = {key for key in KEYS if link.extras(key) & CORRUPTED}
    for some, share in ((doubled, 0.03), (late, 0.04), (corrupted, 0.05)):
        assert abs(len(some) / MANY - share) < 0.006
    assert len(doubled & late) < 60 > len(late & corrupted)  # as many as chance has: no draw stands for two
    for key in corrupted:
        assert sum(byte.bit_count() for byte in link.corrupted(key, data)) == 1
    assert len({link.corrupted(key, data) for key in corrupted}) > 400  # of 800 bits
    assert rough(corrupt_ppm=1_000_000).extras(KEYS[0]) == CORRUPTED


def test_what_is_larger_than_the_mtu_does_not_fit() -> None:
    link = rough(mtu_bytes=500)
    assert [link.refuses(1 << 63, size, 0) for size in (500, 501)] == [None, DropReason.MTU]


def test_a_rate_spreads_datagrams_and_its_queue_drops_the_tail() -> None:
    link = rough(rate_bps=8000, queue_bytes=2500)  # 1000 bytes a second
    took = []
    for _ in range(3):
        assert link.refuses(0, 1000, 0) in (None, DropReason.QUEUE)
        took.append(link.transit_us(0, 0))
    assert took == [1_000_000, 2_000_000, 2_000_000]  # the third found 2000 bytes waiting, and had no room
    assert link.refuses(0, 1000, 1_000_000) is None  # a second later there is
    assert link.transit_us(0, 1_000_000) == 2_000_000


def test_a_stream_is_cut_into_pieces_of_the_sizes_asked_for() -> None:
    link = rough(segment=ByteSpan(1, 64))
    data = bytes(range(256)) * 20
    pieces = link.segments(12345, data)
    assert b"".join(pieces) == data
    assert {len(piece) for piece in pieces[:-1]} <= set(range(1, 65))
    assert len({len(piece) for piece in pieces}) > 20
    assert link.segments(12345, data) == pieces != link.segments(54321, data)
    assert rough(segment=ByteSpan(1, 1)).segments(1, b"abc") == [b"a", b"b", b"c"]


STORY = """
claim: a noisy story
users: {{bob: {{dialect: text}}, mallory: {{attacker: true}}}}
network: {{default: {{delay: 5ms..50ms, loss: 20%, duplicate: 10%, corrupt: 5%, reorder: 20%, segment: 1..9}}}}
script:
  - {{at: 0s, alice: {{create: lobby}}}}
  - {{at: 1s, bob: {{join: lobby}}}}
  - {{every: 100ms, times: 40, at: 2s, alice: {{say: "text {{n}}"}}}}
{extra}
until: 20s
"""


def packets(extra: str) -> dict[str, tuple[str, int]]:
    """What became of each packet, by its name: arrived or dropped, and when."""
    found: dict[str, tuple[str, int]] = {}

    def hear(record: Record) -> None:
        if isinstance(record, PacketRecord) and record.kind in (Kind.ARRIVE, Kind.DROP) and record.actor != SERVER:
            found[f"{record.kind} {record.packet} {record.link}"] = record.why, record.t_us

    def arrivals(record: Record) -> None:
        if isinstance(record, PacketRecord) and record.kind is Kind.ARRIVE:
            found[f"arrive {record.packet} {record.link}"] = record.why, record.t_us

    Run(read_scenario_text(STORY.format(extra=extra), "x.yaml"), listeners=[hear, arrivals]).go()
    return found


def test_taking_a_step_out_leaves_the_fate_of_every_packet_that_it_did_not_cause() -> None:
    with_it = packets('  - {at: 2050ms, bob: {say: "in between"}}')
    without = packets("")
    assert len(without) > 150
    assert without.items() <= with_it.items()
    extra = with_it.keys() - without.keys()
    assert extra
    assert all("bob.say#1" in name for name in extra)
