"""The network measured against theory: what a network with these settings does, with bounds of four deviations.

Everything is sent through a `World`, as in a run. Seeds are fixed, so a bound holds always or never; a fault of
the network moves a figure by far more than its bound. `KS_MAX` is the bound of Kolmogorov and Smirnov for the
largest distance between two distributions, times the root of the number, at a level of one in a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import pytest

from tcrp.engine.outputs import Address
from tcrp.sim.network.draws import key_of, mix
from tcrp.sim.network.links import SLOT_US, DropReason, Link, Network
from tcrp.sim.network.packets import Origin, Packet
from tcrp.sim.network.world import World
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import (
    Burst,
    Delay,
    Exponential,
    LinkId,
    LinkSettings,
    Loss,
    NetworkSettings,
    Reorder,
    Span,
)
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import PacketKind

N = 20_000
KS_MAX = 1.95
EVERY_US = 1_000_000
SPAN = Span(1000, 50_999)
SOURCE, TARGET = Address("10.0.0.1", 40_001), Address("10.0.0.2", 40_002)


class Sent(NamedTuple):
    """How long a datagram and its copies took; empty if it was lost."""

    original_us: int | None
    copies_us: list[int]


class Receiver:
    id = "alice"

    def __init__(self, world: World) -> None:
        self.world = world
        self.arrived: dict[int, list[tuple[int, bool]]] = {}

    def receive_datagram(self, packet: Packet) -> None:
        number = int.from_bytes(packet.data, "big")
        took_us = self.world.now_us - number * EVERY_US
        self.arrived.setdefault(number, []).append((took_us, packet.note == "duplicate"))


def sends(settings: LinkSettings, seed: int = 1, *, user: str = "bob", siblings: bool = False) -> list[Sent]:
    """What becomes of N datagrams, one a second; `siblings`: they have one cause, else each has its own."""
    world = World(Network(NetworkSettings(settings), seed), None)
    receiver = Receiver(world)
    world.open_socket(TARGET, receiver)
    link = world.network.between(user, "alice")
    one = Origin("bob.say", seed)

    def send(number: int) -> None:
        cause = one if siblings else Origin(f"bob.say@{number}s", seed)
        world.send_datagram(link, PacketKind.SAY, number.to_bytes(4, "big"), SOURCE, TARGET, cause)

    for number in range(N):
        world.at(number * EVERY_US, send, number)
    while world.events:
        world.step()
    got = [receiver.arrived.get(number, []) for number in range(N)]
    return [Sent(next((us for us, copy in each if not copy), None), [us for us, copy in each if copy]) for each in got]


def is_share(number: int, of: int, share: float) -> bool:
    """Whether a count is one that a binomial distribution has: within four deviations."""
    return abs(number - of * share) < 4 * math.sqrt(of * share * (1 - share))


def distance(drawn: Sequence[float], cumulative: Callable[[float], float]) -> float:
    """Kolmogorov's and Smirnov's statistic, times the root of the number."""
    n = len(drawn)
    ranked = [cumulative(each) for each in sorted(drawn)]
    return max(max((i + 1) / n - each, each - i / n) for i, each in enumerate(ranked)) * math.sqrt(n)


def uniform(us: float) -> float:
    return min(max((us - SPAN.least_us + 0.5) / (SPAN.most_us - SPAN.least_us + 1), 0.0), 1.0)


def correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's correlation times the root of the number: a normal draw where there is none."""
    n = len(pairs)
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    mx, my = sum(xs) / n, sum(ys) / n
    covariance = sum((x - mx) * (y - my) for x, y in pairs)
    return covariance / math.sqrt(sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys)) * math.sqrt(n)


def delays(sent: Sequence[Sent]) -> list[int]:
    return [each.original_us for each in sent if each.original_us is not None]


# --- one draw --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [10_000, 200_000, 500_000, 900_000])
def test_the_share_that_is_lost_is_the_one_that_was_asked_for(ppm: int) -> None:
    assert is_share(sum(each.original_us is None for each in sends(LinkSettings(loss=Loss(ppm)))), N, ppm / 1_000_000)


def test_the_shares_that_are_duplicated_and_reordered_are_those_that_were_asked_for() -> None:
    sent = sends(LinkSettings(delay=Span(100, 100), duplicate_ppm=30_000, reorder=Reorder(70_000, 5000)))
    duplicated = [each for each in sent if each.copies_us]
    reordered = [each for each in sent if each.original_us == 5100]
    assert is_share(len(duplicated), N, 0.03)
    assert is_share(len(reordered), N, 0.07)
    assert is_share(sum(each.original_us == 5100 for each in duplicated), len(duplicated), 0.07)
    assert all(each.copies_us in ([], [100]) for each in sent)


@pytest.mark.parametrize(
    ("delay", "cumulative"),
    [
        (SPAN, uniform),
        (Exponential(20_000, 5000), lambda us: 1 - math.exp(-max(us - 5000 + 0.5, 0) / 20_000)),
    ],
)
def test_delays_are_distributed_as_they_are_called(delay: Delay, cumulative: Callable[[float], float]) -> None:
    for seed in (1, 2):
        assert distance(delays(sends(LinkSettings(delay=delay), seed)), cumulative) < KS_MAX


# --- draws do not depend on each other -------------------------------------------------------------


def test_what_is_not_lost_is_delayed_as_if_nothing_were() -> None:
    """Loss and delay that shared their bits would let the long delays through, or the short ones."""
    for ppm in (300_000, 700_000):
        assert distance(delays(sends(LinkSettings(delay=SPAN, loss=Loss(ppm)))), uniform) < KS_MAX


def test_whether_a_datagram_is_duplicated_depends_neither_on_its_loss_nor_on_its_delay() -> None:
    sent = sends(LinkSettings(delay=SPAN, loss=Loss(400_000), duplicate_ppm=300_000))
    arrived = [each for each in sent if each.original_us is not None]
    assert not any(each.copies_us for each in sent if each.original_us is None)  # what is lost has no copy
    assert is_share(len(arrived), N, 0.6)
    assert is_share(sum(bool(each.copies_us) for each in arrived), len(arrived), 0.3)
    for is_double in (True, False):
        assert distance(delays([each for each in arrived if bool(each.copies_us) is is_double]), uniform) < KS_MAX


def test_a_duplicate_has_a_delay_of_its_own() -> None:
    sent = [each for each in sends(LinkSettings(delay=SPAN, duplicate_ppm=500_000)) if each.copies_us]
    pairs = [(float(each.original_us or 0), float(each.copies_us[0])) for each in sent]
    assert distance([copy for _, copy in pairs], uniform) < KS_MAX
    assert abs(correlation(pairs)) < 4
    assert sum(copy < original for original, copy in pairs) > len(pairs) * 0.45  # it may arrive first


@pytest.mark.parametrize("siblings", [True, False])
@pytest.mark.parametrize("apart", [1, 2, 7])
def test_a_datagram_does_not_depend_on_the_one_before(apart: int, siblings: bool) -> None:
    sent = sends(LinkSettings(delay=SPAN, loss=Loss(500_000)), siblings=siblings)
    pairs = list(zip(sent, sent[apart:], strict=False))
    lost = sum(a.original_us is None and b.original_us is None for a, b in pairs)
    assert abs(lost - len(pairs) / 4) < 4 * math.sqrt(len(pairs) * (0.25 - 0.0625 + 2 * (0.125 - 0.0625)))
    both = [(float(a.original_us), float(b.original_us)) for a, b in pairs
            if a.original_us is not None and b.original_us is not None]  # fmt: skip
    assert abs(correlation(both)) < 4


@pytest.mark.parametrize("other", [{"seed": 2}, {"user": "carol"}])
def test_links_and_seeds_do_not_depend_on_each_other(other: dict[str, object]) -> None:
    settings = LinkSettings(delay=SPAN, loss=Loss(500_000))
    pairs = list(zip(sends(settings), sends(settings, **other), strict=True))  # type: ignore[arg-type]
    assert is_share(sum(a.original_us is None and b.original_us is None for a, b in pairs), N, 0.25)
    both = [(float(a.original_us), float(b.original_us)) for a, b in pairs
            if a.original_us is not None and b.original_us is not None]  # fmt: skip
    assert abs(correlation(both)) < 4


# --- burst loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("enter_ppm", "leave_ppm"), [(50_000, 200_000), (10_000, 100_000), (300_000, 300_000)])
def test_bursts_have_the_stationary_loss_and_the_mean_length_of_gilbert_and_elliott(
    enter_ppm: int, leave_ppm: int
) -> None:
    slots = 200_000
    link = Link("bob", "server", 5, LinkSettings(loss=Loss(1_000_000, Burst(enter_ppm, leave_ppm))))
    bad = [link.refuses(0, 1, slot * SLOT_US) is DropReason.LOSS for slot in range(slots)]
    enter, leave = enter_ppm / 1_000_000, leave_ppm / 1_000_000
    share = enter / (enter + leave)
    memory = 1 - enter - leave  # the correlation of neighbouring slots
    deviation = math.sqrt(share * (1 - share) / slots * (1 + memory) / (1 - memory))
    assert abs(sum(bad) / slots - share) < 4 * deviation
    bursts = sum(now and not before for before, now in zip([False, *bad], bad, strict=False))
    length = sum(bad) / bursts
    # Geometric. Each block of 1024 slots begins anew, which adds or cuts less than one burst in a hundred.
    assert abs(length - 1 / leave) < 4 * math.sqrt((1 - leave) / leave**2 / bursts) + 0.01 / leave


def test_within_a_bad_spell_the_share_is_lost_and_nothing_outside_of_it() -> None:
    link = Link("bob", "server", 5, LinkSettings(loss=Loss(500_000, Burst(50_000, 50_000))))
    whole = Link("bob", "server", 5, LinkSettings(loss=Loss(1_000_000, Burst(50_000, 50_000))))
    in_bad = lost_in_bad = 0
    for slot in range(50_000):
        is_bad = whole.refuses(0, 1, slot * SLOT_US) is not None
        is_lost = link.refuses(mix(slot), 1, slot * SLOT_US) is not None
        in_bad += is_bad
        lost_in_bad += is_lost
        assert is_bad or not is_lost
    assert is_share(lost_in_bad, in_bad, 0.5)


# --- rate and queue --------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_bps", [64_000, 1_000_000, 7_777_777, 1_000_000_000])
def test_a_rate_and_its_queue_are_a_bucket_that_leaks_at_that_rate(rate_bps: int) -> None:
    """The bucket is reckoned with fractions. It leaks `rate_bps`; what would overflow it is dropped."""
    queue_bytes = 5000
    link = Link("bob", "server", 0, LinkSettings(rate_bps=rate_bps, queue_bytes=queue_bytes))
    level, last_us, now_us = Fraction(0), 0, 0  # bytes in the bucket
    fates: dict[bool, int] = {True: 0, False: 0}
    mean_us = 700 * 8 * 1_000_000 // rate_bps + 1
    for number in range(5000):
        drawn = key_of("theory", rate_bps, number)
        now_us += drawn % (2 * mean_us)
        size = (drawn >> 32) % 1401
        level = max(level - Fraction((now_us - last_us) * rate_bps, 8_000_000), Fraction(0))
        last_us = now_us
        fits = level == 0 or math.ceil(level) + size <= queue_bytes
        assert (link.refuses(1 << 63, size, now_us) is None) is fits
        level += size if fits else 0
        assert link.transit_us(0, now_us) == math.ceil(level * 8_000_000 / rate_bps)
        fates[fits] += 1
    assert fates[True] > 100


# --- what stops a link, and what a crash closes ----------------------------------------------------


@pytest.mark.parametrize(("cut_us", "heal_us", "arrives"), [(10, 99, True), (10, 101, False), (99, 101, False),
                                                           (101, 200, True)])  # fmt: skip
def test_a_cut_is_judged_when_the_datagram_would_arrive(cut_us: int, heal_us: int, arrives: bool) -> None:
    world = World(Network(NetworkSettings(LinkSettings(delay=Span(100, 100)))), None)
    receiver = Receiver(world)
    world.open_socket(TARGET, receiver)
    faults: list[int] = []
    link = LinkId("bob", "alice")
    world.send_datagram(world.network.between("bob", "alice"), PacketKind.SAY, b"\0", SOURCE, TARGET, Origin("a", 1))
    world.at(cut_us, lambda _: faults.append(world.network.cut([link])), None)
    world.at(heal_us, lambda _: faults.extend([] if world.network.heal([link]) else [0]), None)
    while world.events:
        world.step()
    assert bool(receiver.arrived) is arrives


def test_a_stall_holds_tcp_and_not_udp_and_a_crash_closes_tcp() -> None:
    story = """
claim: a stall holds TCP up and lets UDP pass; a crash closes TCP
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, network: {stall: [all, server], for: 3s}}
  - {at: 2500ms, alice: {say: "through"}}
  - {at: 2500ms, carol: {join: lobby}}
  - {at: 10s, network: {stall: [all, server], for: 1s}}
  - {at: 9985ms, dave: {join: lobby}}
  - {at: 10500ms, server: crash}
expect:
  - {bob: {sees: "through"}, by: 2600ms}
  - {carol: {state: anonymous}, at: 4900ms}
  - {carol: {state: in-room}, between: [5s, 5200ms]}
  - {step: {actor: dave, machine: handshake, event: abandoned}, between: [11s, 11200ms]}
"""
    assert [miss.nearest for miss in Run(read_scenario_text(story)).go().misses] == []
