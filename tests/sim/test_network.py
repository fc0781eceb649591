"""Draws, links and clocks: keyed, exact, and the same for ever."""

from __future__ import annotations

import itertools
import math

import pytest

from tcrp.engine.trace import Kind, Record
from tcrp.engine.trace import Packet as PacketRecord
from tcrp.sim.clock import HostClock
from tcrp.sim.draws import delay_us, key_of, loss_threshold, mix
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import (
    CALM,
    Burst,
    Exponential,
    Link,
    LinkRule,
    LinkSettings,
    Loss,
    Network,
    Place,
    Reorder,
    Span,
)  # fmt: skip
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.server_host import SERVER
from tcrp.sim.ways import DOUBLED, SLOT_US, SPOILED, Fate, Mood, Way, Ways

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
    way = Way("bob", "server")
    way.apply(LinkSettings(delay=Span(0, 0), loss=Loss(ppm)).over(CALM))
    lost = sum(way.loses(key) for key in KEYS) / MANY
    assert abs(lost - share) < 0.005
    assert loss_threshold(1_000_000) == 1 << 32


def test_settings_of_links_lie_over_the_default_and_later_ones_over_earlier_ones() -> None:
    network = Network(
        LinkSettings(Span(10, 10)).over(CALM),
        (
            LinkRule(Link("bob", "server"), LinkSettings(loss=Loss(1_000_000)), HERE),
            LinkRule(Link("all", "server"), LinkSettings(delay=Span(30, 30)), HERE),
        ),
    )
    ways = Ways(network)
    bob, carol, back = ways.between("bob", "server"), ways.between("carol", "server"), ways.between("server", "bob")
    assert [way.delay_us(0) for way in (bob, carol, back)] == [30, 30, 10]
    assert [way.loses(1 << 63) for way in (bob, carol, back)] == [True, False, False]
    ways.set([Link("bob", "server")], LinkSettings(delay=Span(5, 5)))
    assert (bob.delay_us(0), bob.loses(1 << 63), carol.delay_us(0)) == (5, True, 30)


def test_cuts_are_healed_by_the_same_or_a_wider_form() -> None:
    ways = Ways(Network())
    up, down = ways.between("bob", "server"), ways.between("server", "bob")
    ways.cut([Link("bob", "server")])
    assert (up.is_cut, down.is_cut) == (True, False)
    ways.cut([Link("all", "server")])
    assert ways.heal([Link("bob", "server")]) == []  # everyone's is still cut
    assert ways.heal([Link("all", "server")]) == [up]
    assert ways.between("late", "server").is_cut is False


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


def rough(**settings: object) -> Way:
    way = Way("bob", "server", seed=7)
    way.apply(LinkSettings(**settings).over(CALM))  # type: ignore[arg-type]
    return way


def test_losses_in_bursts_come_together_and_make_their_share() -> None:
    way = rough(loss=Loss(1_000_000, Burst(20_000, 300_000)))
    lost = [way.refuses(key, 100, slot * SLOT_US) is Fate.LOSS for slot, key in enumerate(KEYS)]
    assert abs(sum(lost) / MANY - 0.02 / 0.32) < 0.01
    runs = [len(list(group)) for is_lost, group in itertools.groupby(lost) if is_lost]
    assert abs(sum(runs) / len(runs) - 1 / 0.3) < 0.3  # a bad mood lasts 1 / leave slots
    assert max(runs) > 8


def test_a_links_mood_depends_on_the_slot_and_on_nothing_that_was_sent() -> None:
    every, some = (Mood(Burst(50_000, 200_000), 99) for _ in range(2))
    moods = [every.is_bad(slot * SLOT_US) for slot in range(5000)]
    assert [some.is_bad(slot * SLOT_US + 3) for slot in range(0, 5000, 37)] == moods[::37]
    assert 0 < sum(moods) < 5000
    other = Mood(Burst(50_000, 200_000), 98)
    assert [other.is_bad(slot * SLOT_US) for slot in range(5000)] != moods


def test_shares_are_doubled_held_back_and_spoiled_each_by_its_own_draw() -> None:
    way = rough(duplicate_ppm=30_000, reorder=Reorder(40_000, 50_000), corrupt_ppm=50_000)
    data = bytes(100)
    doubled = {key for key in KEYS if way.extras(key) & DOUBLED}
    late = {key for key in KEYS if way.takes_us(key, 0, way.extras(key)) == 50_000}
    spoiled = {key for key in KEYS if way.extras(key) & SPOILED}
    for some, share in ((doubled, 0.03), (late, 0.04), (spoiled, 0.05)):
        assert abs(len(some) / MANY - share) < 0.006
    assert len(doubled & late) < 60 > len(late & spoiled)  # as many as chance has: no draw stands for two
    for key in spoiled:
        assert sum(byte.bit_count() for byte in way.spoiled(key, data)) == 1
    assert len({way.spoiled(key, data) for key in spoiled}) > 400  # of 800 bits
    assert rough(corrupt_ppm=1_000_000).extras(KEYS[0]) == SPOILED


def test_what_is_larger_than_the_mtu_does_not_fit() -> None:
    way = rough(mtu_bytes=500)
    assert [way.refuses(1 << 63, size, 0) for size in (500, 501)] == [None, Fate.MTU]


def test_a_rate_spreads_datagrams_and_its_queue_drops_the_tail() -> None:
    way = rough(rate_bps=8000, queue_bytes=2500)  # 1000 bytes a second
    took = []
    for _ in range(3):
        assert way.refuses(0, 1000, 0) in (None, Fate.QUEUE)
        took.append(way.takes_us(0, 0))
    assert took == [1_000_000, 2_000_000, 2_000_000]  # the third found 2000 bytes waiting, and had no room
    assert way.refuses(0, 1000, 1_000_000) is None  # a second later there is
    assert way.takes_us(0, 1_000_000) == 2_000_000


def test_a_stream_is_cut_into_pieces_of_the_sizes_asked_for() -> None:
    way = rough(segment=Span(1, 64))
    data = bytes(range(256)) * 20
    pieces = way.segments(12345, data)
    assert b"".join(pieces) == data
    assert {len(piece) for piece in pieces[:-1]} <= set(range(1, 65))
    assert len({len(piece) for piece in pieces}) > 20
    assert way.segments(12345, data) == pieces != way.segments(54321, data)
    assert rough(segment=Span(1, 1)).segments(1, b"abc") == [b"a", b"b", b"c"]


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
