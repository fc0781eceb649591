"""Links and the network of them: what becomes of a packet, against theory where chance decides.

Keys and seeds are fixed, so a bound that holds once holds always; bounds are four standard deviations or wider.
"""

from __future__ import annotations

import itertools
import math

import pytest

from tcrp.sim.network.draws import delay_us, key_of, mix
from tcrp.sim.network.links import (
    BLOCK_SLOTS,
    CORRUPTED,
    DUPLICATED,
    REORDERED,
    SLOT_US,
    DropReason,
    GilbertElliott,
    Link,
    Network,
    covers_link,
)
from tcrp.sim.scenario.model import (
    CALM,
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

MANY = 20_000
KEYS = [mix(number) for number in range(MANY)]
HERE = Place(1, 1)
KEPT = (1 << 64) - 1  # a key that no share below 100 % loses
SECOND_US = 1_000_000


def link_with(**settings: object) -> Link:
    link = Link("bob", "server", seed=7)
    link.apply(LinkSettings(**settings))  # type: ignore[arg-type]
    return link


# --- delay and loss --------------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [0, 20_000, 500_000, 1_000_000])
def test_as_many_are_lost_as_the_share_says(ppm: int) -> None:
    link = link_with(delay=Span(0, 0), loss=Loss(ppm))
    share = ppm / 1_000_000
    lost = sum(link.loses(key) for key in KEYS)
    assert abs(lost - MANY * share) <= 4 * math.sqrt(MANY * share * (1 - share))
    assert [link.plainly_us(key >> 32, key & 0xFFFFFFFF) is None for key in KEYS] == [link.loses(key) for key in KEYS]


def test_the_upper_bits_of_a_key_decide_about_loss_and_the_lower_about_delay() -> None:
    link = link_with(delay=Span(10, 13), loss=Loss(500_000))
    half = 1 << 31
    assert [link.plainly_us(upper, 0) for upper in (half - 1, half)] == [None, 10]
    assert [link.loses(upper << 32) for upper in (half - 1, half)] == [True, False]
    assert link.plainly_us(half, 0xFFFFFFFF) == link.delay_us(0xFFFFFFFF) == 13


@pytest.mark.parametrize("delay", [Span(5000, 50_000), Exponential(20_000, 5000)])
def test_a_links_delay_is_the_one_that_its_settings_draw(delay: Span | Exponential) -> None:
    link = link_with(delay=delay)
    for key in KEYS[:500]:
        assert link.delay_us(key) == link.plainly_us(key >> 32, key & 0xFFFFFFFF) == delay_us(delay, key & 0xFFFFFFFF)


def test_every_lower_bit_counts_for_the_delay() -> None:
    link = link_with(delay=Span(0, (1 << 32) - 1))
    assert [link.delay_us(bits) for bits in (0, 1, 2, (1 << 32) - 1)] == [0, 1, 2, (1 << 32) - 1]
    assert [link.plainly_us(0, bits) for bits in (0, 1, 2, (1 << 32) - 1)] == [0, 1, 2, (1 << 32) - 1]
    assert link_with(delay=Exponential(20_000)).delay_us(1) == delay_us(Exponential(20_000), 1)


def test_delay_and_loss_change_with_the_settings() -> None:
    link = link_with(delay=Exponential(20_000), loss=Loss(1_000_000))
    link.apply(LinkSettings(delay=Span(30, 30)))
    assert (link.plainly_us(0, 0), link.delay_us(0)) == (30, 30)
    link.apply(LinkSettings(delay=Exponential(20_000, 7)))
    assert link.delay_us(0xFFFFFFFF) == 7


# --- bursts ----------------------------------------------------------------------------------------

BURST = Burst(20_000, 300_000)


def test_a_link_is_bad_for_its_share_of_the_time_and_its_bursts_and_gaps_have_their_means() -> None:
    """The Gilbert-Elliott model: enter / (enter + leave) of all slots are bad, a burst lasts 1 / leave slots on
    average and a gap 1 / enter, both distributed geometrically.
    """
    enter, leave = 0.02, 0.3
    model = GilbertElliott(BURST, 99)
    bad = [model.is_bad(slot * SLOT_US) for slot in range(200_000)]
    bursts, gaps = (
        [len(list(group)) for is_bad, group in itertools.groupby(bad) if is_bad is wanted] for wanted in (True, False)
    )
    stationary = enter / (enter + leave)
    correlation = (2 - enter - leave) / (enter + leave)  # how much more the share varies than that of a fair coin
    assert abs(sum(bad) / len(bad) - stationary) < 4 * math.sqrt(stationary * (1 - stationary) * correlation / len(bad))
    for runs, change in ((bursts, leave), (gaps, enter)):
        deviation = math.sqrt(1 - change) / change
        assert abs(sum(runs) / len(runs) - 1 / change) < 4 * deviation / math.sqrt(len(runs))
    assert abs(bursts.count(1) / len(bursts) - leave) < 4 * math.sqrt(leave * (1 - leave) / len(bursts))


def test_a_links_state_depends_on_the_slot_and_on_nothing_that_was_sent() -> None:
    every, some = (GilbertElliott(Burst(50_000, 200_000), 99) for _ in range(2))
    states = [every.is_bad(slot * SLOT_US) for slot in range(5000)]
    assert [some.is_bad(slot * SLOT_US + SLOT_US - 1) for slot in range(0, 5000, 37)] == states[::37]
    for slot in (1, BLOCK_SLOTS - 1, BLOCK_SLOTS, BLOCK_SLOTS + 1, 3 * BLOCK_SLOTS, 4999):
        assert GilbertElliott(Burst(50_000, 200_000), 99).is_bad(slot * SLOT_US) is states[slot]
    assert 0 < sum(states) < 5000
    other = GilbertElliott(Burst(50_000, 200_000), 98)
    assert [other.is_bad(slot * SLOT_US) for slot in range(5000)] != states


def test_states_of_links_are_these() -> None:
    """Pinned: a change here changes traces."""
    assert (SLOT_US, BLOCK_SLOTS) == (10_000, 1024)
    model = GilbertElliott(Burst(50_000, 200_000), 99)
    states = "".join("x" if model.is_bad(slot * SLOT_US) else "." for slot in range(3000))
    assert key_of(states) == 16973590773379769945


@pytest.mark.parametrize(
    ("burst", "key", "is_bad"),
    [
        (Burst(2, 1), 833321, False),  # draws between 666,666 and 666,667 millionths
        (Burst(2, 1), 6784602059722225328, False),  # draws 666,666 millionths, and a draw on the bound is not below it
        (Burst(1, 1), 13160566746663713959, True),  # draws 499,999 millionths
        (Burst(0, 0), 0, False),  # draws 0
    ],
)
def test_the_stationary_share_is_drawn_to_a_millionth(burst: Burst, key: int, is_bad: bool) -> None:
    assert GilbertElliott(burst, key).is_bad(0) is is_bad


def test_a_draw_on_the_bound_does_not_change_the_state() -> None:
    """This key's second draw is 300,000 millionths, to the bit."""
    model = GilbertElliott(Burst(300_000, 300_000), 12345701934709707881)
    assert [model.is_bad(0), model.is_bad(SLOT_US)] == [False, False]


def test_a_link_that_is_first_asked_about_in_a_later_block_is_as_it_would_have_been() -> None:
    for key in range(100):
        walked = GilbertElliott(BURST, mix(key))
        states = [walked.is_bad(slot * SLOT_US) for slot in range(BLOCK_SLOTS + 3)]
        assert GilbertElliott(BURST, mix(key)).is_bad((BLOCK_SLOTS + 2) * SLOT_US) is states[-1]


def test_a_link_without_a_seed_has_the_seed_0() -> None:
    bursts = LinkSettings(loss=Loss(1_000_000, Burst(500_000, 500_000)))
    plain, seeded = Link("bob", "server", settings=bursts), Link("bob", "server", 0, bursts)
    lost = [[link.refuses(0, 1, slot * SLOT_US) for slot in range(64)] for link in (plain, seeded)]
    assert lost[0] == lost[1]


def test_the_beginnings_of_blocks_are_bad_as_often_as_all_slots() -> None:
    """A block's first state is drawn from the stationary share, not taken from the block before."""
    share = 0.02 / 0.32
    bad = sum(GilbertElliott(BURST, mix(key)).is_bad(5 * BLOCK_SLOTS * SLOT_US) for key in range(4000))
    assert abs(bad - 4000 * share) < 4 * math.sqrt(4000 * share * (1 - share))


@pytest.mark.parametrize(
    ("burst", "share"), [(Burst(0, 0), 0), (Burst(0, 1), 0), (Burst(1, 0), 1), (Burst(1_000_000, 1_000_000), 0.5)]
)
def test_bursts_that_never_begin_never_end_or_alternate(burst: Burst, share: float) -> None:
    model = GilbertElliott(burst, 99)
    bad = [model.is_bad(slot * SLOT_US) for slot in range(BLOCK_SLOTS)]
    assert sum(bad) == share * BLOCK_SLOTS
    if share == 0.5:
        assert all(one is not other for one, other in itertools.pairwise(bad))


def test_a_bad_slot_loses_its_share_and_a_calm_one_nothing() -> None:
    link = link_with(loss=Loss(500_000, BURST))
    model = GilbertElliott(BURST, mix(link.key ^ 7))
    for slot, key in enumerate(KEYS[:2000]):
        lost = link.refuses(key, 100, slot * SLOT_US) is DropReason.LOSS
        assert lost is (model.is_bad(slot * SLOT_US) and key >> 63 == 0)


# --- size, rate and queue --------------------------------------------------------------------------


def test_what_is_larger_than_the_mtu_does_not_fit_and_no_mtu_fits_all() -> None:
    assert [link_with(mtu_bytes=500).refuses(KEPT, size, 0) for size in (500, 501)] == [None, DropReason.MTU]
    assert link_with().refuses(KEPT, 1 << 20, 0) is None
    assert link_with(mtu_bytes=500, loss=Loss(1_000_000)).refuses(0, 501, 0) is DropReason.MTU


def test_a_rate_spreads_datagrams_and_its_queue_drops_the_tail() -> None:
    link = link_with(rate_bps=8000, queue_bytes=2500)  # 1000 bytes a second
    took = []
    for _ in range(3):
        assert link.refuses(KEPT, 1000, 0) in (None, DropReason.QUEUE)
        took.append(link.transit_us(0, 0))
    assert took == [SECOND_US, 2 * SECOND_US, 2 * SECOND_US]  # the third found 2000 bytes waiting, and had no room
    assert link.refuses(KEPT, 1000, SECOND_US) is None  # a second later there is
    assert link.transit_us(0, SECOND_US) == 2 * SECOND_US


def test_a_queue_is_full_with_its_last_byte() -> None:
    for size, fate in ((500, None), (501, DropReason.QUEUE)):
        link = link_with(rate_bps=8000, queue_bytes=1500)
        assert link.refuses(KEPT, 1000, 0) is None
        assert link.refuses(KEPT, size, 0) is fate


def test_a_rate_and_its_queue_are_exact_over_long_waits() -> None:
    link = link_with(rate_bps=8_000_000, queue_bytes=8_000_001)  # a byte a microsecond
    assert link.refuses(KEPT, 8_000_000, 0) is None
    assert link.transit_us(0, 0) == 8_000_000
    assert link.refuses(KEPT, 1, 0) is None
    assert link.refuses(KEPT, 1, 0) is DropReason.QUEUE


def test_a_link_without_a_queue_takes_nothing_that_has_to_wait() -> None:
    link = link_with(rate_bps=8000, queue_bytes=0)
    assert [link.refuses(KEPT, 1, now_us) for now_us in (0, 999, 1000, 5000)] == [
        None,
        DropReason.QUEUE,
        None,
        None,
    ]


def test_a_link_without_a_rate_has_no_queue_that_could_be_full() -> None:
    link = link_with(queue_bytes=1000)
    assert [link.refuses(KEPT, 1000, 0) for _ in range(3)] == [None, None, None]


def test_a_link_that_was_idle_sends_at_once() -> None:
    link = link_with(rate_bps=8_000_000, queue_bytes=2500, delay=Span(30, 30))
    assert link.refuses(KEPT, 1000, 0) is None
    assert link.transit_us(0, 0) == 1000 + 30
    assert link.refuses(KEPT, 1000, 10_000) is None
    assert link.transit_us(0, 10_000) == 1000 + 30
    assert link.transit_us(0, 50_000) == 30


def test_what_is_lost_or_dropped_takes_no_time_of_the_link() -> None:
    link = link_with(rate_bps=8000, queue_bytes=1000, loss=Loss(500_000))
    assert link.refuses(0, 1000, 0) is DropReason.LOSS
    assert link.transit_us(0, 0) == 0
    assert link.refuses(KEPT, 1, 0) is None
    assert link.refuses(KEPT, 1000, 0) is DropReason.QUEUE
    assert link.transit_us(0, 0) == 1000


def test_a_datagram_larger_than_the_queue_is_sent_on_an_idle_link() -> None:
    link = link_with(rate_bps=8_000_000, queue_bytes=100)
    assert [link.refuses(KEPT, 1000, now_us) for now_us in (0, 999, 1000)] == [None, DropReason.QUEUE, None]


@pytest.mark.parametrize("rate_bps", [1_000_000_000, 3_000_000, 999_999_999])
def test_a_rate_is_exact_below_a_microsecond(rate_bps: int) -> None:
    """A byte takes 8 ns at 1 Gbit/s: what is cut off of each datagram would make the link endless."""
    link = link_with(rate_bps=rate_bps, queue_bytes=10_000_000)
    for _ in range(1000):
        assert link.refuses(KEPT, 100, 0) is None
    assert link.transit_us(0, 0) == -(-1000 * 100 * 8 * 1_000_000 // rate_bps)


def test_what_waits_keeps_its_moment_when_the_rate_changes() -> None:
    link = link_with(rate_bps=8000)
    assert link.refuses(KEPT, 1000, 0) is None
    link.apply(LinkSettings(rate_bps=8_000_000, queue_bytes=2_000_000))
    assert link.transit_us(0, 0) == SECOND_US
    assert link.refuses(KEPT, 1000, 0) is None
    assert link.transit_us(0, 0) == SECOND_US + 1000


def test_a_change_that_leaves_the_rate_leaves_what_waits_to_the_fraction_of_a_microsecond() -> None:
    link = link_with(rate_bps=3_000_000)  # a byte takes 2 and 2/3 microseconds
    for mtu_bytes in (500, 600, 700):
        assert link.refuses(KEPT, 1, 0) is None
        link.apply(LinkSettings(rate_bps=3_000_000, mtu_bytes=mtu_bytes))
    assert link.transit_us(0, 0) == 8


# --- what else happens -----------------------------------------------------------------------------


def test_shares_are_duplicated_reordered_and_corrupted_each_by_its_own_draw() -> None:
    shares = {DUPLICATED: 0.03, REORDERED: 0.04, CORRUPTED: 0.05}
    link = link_with(duplicate_ppm=30_000, reorder=Reorder(40_000, 50_000), corrupt_ppm=50_000)
    happened = {what: {key for key in KEYS if link.extras(key) & what} for what in shares}
    for what, share in shares.items():
        assert abs(len(happened[what]) - MANY * share) < 4 * math.sqrt(MANY * share * (1 - share))
    for one, other in itertools.combinations(shares, 2):
        both = len(happened[one] & happened[other])  # as many as chance has: no draw stands for two
        expected = MANY * shares[one] * shares[other]
        assert abs(both - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize(
    ("what", "below", "at"),
    [(DUPLICATED, 2498044, 316114), (REORDERED, 3615677, 799062), (CORRUPTED, 3964801, 1723310)],
)
def test_a_draw_below_the_bound_happens_and_one_on_it_does_not(what: int, below: int, at: int) -> None:
    """5 % of 21 bits are 104,857: these keys draw 104,856 and 104,857."""
    link = link_with(duplicate_ppm=50_000, reorder=Reorder(50_000, 1), corrupt_ppm=50_000)
    assert link.extras(below) & what == what
    assert link.extras(at) & what == 0


@pytest.mark.parametrize(
    ("settings", "extras"),
    [
        ({"duplicate_ppm": 1_000_000}, DUPLICATED),
        ({"reorder": Reorder(1_000_000, 50)}, REORDERED),
        ({"corrupt_ppm": 1_000_000}, CORRUPTED),
        ({}, 0),
        ({"mtu_bytes": 500}, 0),
    ],
)
def test_a_share_of_100_percent_always_happens_and_nothing_else_does(settings: dict[str, object], extras: int) -> None:
    link = link_with(**settings)
    assert {link.extras(key) for key in KEYS[:300]} == {extras}


def test_a_reordered_datagram_is_held_back_behind_its_delay() -> None:
    link = link_with(delay=Span(30, 30), reorder=Reorder(10_000, 50_000))
    assert [link.transit_us(0, 0, extras) for extras in (0, REORDERED, DUPLICATED | CORRUPTED)] == [30, 50_030, 30]
    assert link.transit_us(0, 0) == 30


def test_a_corrupted_datagram_differs_in_one_bit_anywhere() -> None:
    data = bytes(100)
    flipped = [int.from_bytes(Link.corrupted(key, data), "big") for key in KEYS]
    assert all(each.bit_count() == 1 for each in flipped)
    assert len(set(flipped)) == 800  # every bit, for some key
    counts = [flipped.count(1 << bit) for bit in (0, 7, 400, 799)]
    assert all(abs(count - MANY / 800) < 4 * math.sqrt(MANY / 800) for count in counts)
    assert Link.corrupted(KEYS[1], b"") == b""
    assert Link.corrupted(KEYS[1], b"abc") == Link.corrupted(KEYS[1], b"abc")


def test_draws_beyond_loss_and_delay_are_these() -> None:
    """Pinned: a change here changes traces."""
    link = link_with(duplicate_ppm=100_000, reorder=Reorder(100_000, 1), corrupt_ppm=100_000, segment=ByteSpan(1, 9))
    assert [key for key in range(60) if link.extras(key)] == [
        0,
        3,
        5,
        13,
        16,
        18,
        25,
        26,
        31,
        32,
        33,
        34,
        38,
        39,
        51,
        54,
    ]
    assert [Link.corrupted(key, bytes(4)).hex() for key in range(3)] == ["10000000", "01000000", "00000200"]
    assert [len(piece) for piece in link.segments(5, bytes(30))] == [3, 4, 6, 9, 5, 2, 1]


# --- streams ---------------------------------------------------------------------------------------


def test_a_stream_is_cut_into_pieces_of_the_sizes_asked_for() -> None:
    link = link_with(segment=ByteSpan(1, 64))
    assert link.cuts_streams is True
    data = bytes(range(256)) * 20
    pieces = link.segments(12345, data)
    assert b"".join(pieces) == data
    assert {len(piece) for piece in pieces[:-1]} <= set(range(1, 65))
    assert len({len(piece) for piece in pieces}) > 20
    assert link.segments(12345, data) == pieces != link.segments(54321, data)
    assert link_with(segment=ByteSpan(1, 1)).segments(1, b"abc") == [b"a", b"b", b"c"]
    assert link_with(segment=ByteSpan(2, 2)).segments(1, b"abc") == [b"ab", b"c"]


def test_every_lower_bit_counts_for_the_size_of_a_piece() -> None:
    whole = bytes(65_507)
    assert (
        len(link_with(segment=ByteSpan(1, 65_507)).segments(173_122, whole)[0]) == 48_321
    )  # but for its last bit 48,320


def test_a_stream_is_whole_where_no_sizes_are_asked_for_or_nothing_can_be_cut() -> None:
    assert link_with().segments(1, b"abc") == [b"abc"]
    assert link_with().cuts_streams is False
    assert link_with(segment=ByteSpan(1, 1)).segments(1, b"a") == [b"a"]
    assert link_with(segment=ByteSpan(1, 1)).segments(1, b"") == [b""]
    assert link_with(segment=ByteSpan(1, 1)).segments(1, b"ab") == [b"a", b"b"]


@pytest.mark.parametrize("mark", ["is_cut", "is_held", "is_stalled"])
def test_a_cut_a_hold_and_a_stall_each_stop_streams(mark: str) -> None:
    link = link_with()
    assert link.stops_streams is False
    setattr(link, mark, True)
    assert link.stops_streams is True


# --- which links are plain, and which calm ---------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": Loss(10, Burst(1, 1))},
        {"duplicate_ppm": 100},
        {"reorder": Reorder(100, 1)},
        {"corrupt_ppm": 100},
        {"mtu_bytes": 500},
        {"rate_bps": 1000, "queue_bytes": 10},
    ],
)
def test_a_link_on_which_more_goes_wrong_is_neither_plain_nor_calm(settings: dict[str, object]) -> None:
    link = link_with(**settings)
    assert (link.is_plain, link.is_calm) == (False, False)
    link.apply(CALM)
    assert (link.is_plain, link.is_calm) == (True, True)


@pytest.mark.parametrize(
    ("settings", "calm"),
    [
        ({"delay": Span(0, 999_999)}, True),
        ({"delay": Span(0, 1_000_000)}, False),
        ({"delay": Span(1_000_000, 1_000_000)}, False),
        ({"delay": Span(999_999, 999_999)}, True),
        ({"delay": Exponential(10)}, False),
        ({"loss": Loss(1)}, False),
        ({"segment": ByteSpan(1, 9)}, True),
    ],
)
def test_a_calm_link_delivers_within_a_second(settings: dict[str, object], calm: bool) -> None:
    link = link_with(**settings)
    assert (link.is_plain, link.is_calm) == (True, calm)


@pytest.mark.parametrize(("mark", "calm"), [("is_cut", False), ("is_held", False), ("is_stalled", True)])
def test_a_cut_or_held_link_is_not_calm(mark: str, calm: bool) -> None:
    link = link_with()
    setattr(link, mark, True)
    assert link.is_calm is calm


# --- the network -----------------------------------------------------------------------------------

BOB_UP = LinkId("bob", "server")
ALL_UP = LinkId("all", "server")


def test_settings_of_links_lie_over_the_default_and_later_ones_over_earlier_ones() -> None:
    settings = NetworkSettings(
        LinkSettings(Span(10, 10)),
        (
            LinkRule(BOB_UP, LinkPatch(loss=Loss(1_000_000)), HERE),
            LinkRule(ALL_UP, LinkPatch(delay=Span(30, 30)), HERE),
        ),
    )
    network = Network(settings)
    bob, carol, back = (network.between(*ends) for ends in (("bob", "server"), ("carol", "server"), ("server", "bob")))
    assert [link.delay_us(0) for link in (bob, carol, back)] == [30, 30, 10]
    assert [link.loses(1 << 63) for link in (bob, carol, back)] == [True, False, False]
    network.set([BOB_UP], LinkPatch(delay=Span(5, 5)))
    assert (bob.delay_us(0), bob.loses(1 << 63), carol.delay_us(0)) == (5, True, 30)
    network.set([LinkId("carol", "server"), LinkId("server", "bob")], LinkPatch(delay=Span(6, 6)))
    assert [link.delay_us(0) for link in (bob, carol, back)] == [5, 6, 6]


def test_a_link_is_one_for_each_direction_with_its_name_and_key() -> None:
    network = Network(NetworkSettings())
    up, down = network.between("bob", "server"), network.between("server", "bob")
    assert network.between("bob", "server") is up is not down
    assert (up.name, up.source, up.target, up.key) == ("bob>server", "bob", "server", key_of("link", "bob", "server"))
    assert up.key != down.key


def test_bursts_of_links_and_seeds_differ() -> None:
    settings = NetworkSettings(LinkSettings(loss=Loss(1_000_000, BURST)))

    def losses(seed: int, user: str) -> list[bool]:
        link = Network(settings, seed).between(user, "server")
        return [link.refuses(0, 1, slot * SLOT_US) is not None for slot in range(1000)]

    assert losses(1, "bob") == losses(1, "bob")
    plain = Network(settings).between("bob", "server")
    assert [plain.refuses(0, 1, slot * SLOT_US) is not None for slot in range(1000)] == losses(0, "bob")
    assert losses(1, "bob") != losses(2, "bob")
    assert losses(1, "bob") != losses(1, "carol")


@pytest.mark.parametrize(
    ("mark", "on", "off"),
    [("is_cut", "cut", "heal"), ("is_held", "hold", "release")],
)
def test_marks_are_taken_back_by_the_same_or_a_wider_form(mark: str, on: str, off: str) -> None:
    network = Network(NetworkSettings())
    up, down = network.between("bob", "server"), network.between("server", "bob")
    getattr(network, on)([BOB_UP])
    getattr(network, on)([BOB_UP])  # twice is once
    assert (getattr(up, mark), getattr(down, mark)) == (True, False)
    assert [name for name in ("is_cut", "is_held", "is_stalled") if getattr(up, name)] == [mark]
    assert getattr(network, off)([BOB_UP]) == [up]
    getattr(network, on)([BOB_UP])
    getattr(network, on)([ALL_UP])
    assert getattr(network.between("late", "server"), mark) is True
    assert getattr(network, off)([BOB_UP]) == []  # everyone's is still there
    assert getattr(up, mark) is True
    assert getattr(network, off)([ALL_UP]) == [up, network.between("late", "server")]
    assert getattr(network.between("later", "server"), mark) is False
    assert getattr(network, off)([ALL_UP]) == []


@pytest.mark.parametrize(("mark", "on"), [("is_cut", "cut"), ("is_held", "hold"), ("is_stalled", "stall")])
def test_of_faults_that_overlap_each_ends_by_itself(mark: str, on: str) -> None:
    network = Network(NetworkSettings())
    up = network.between("bob", "server")
    long, short, wide = (getattr(network, on)([id]) for id in (BOB_UP, BOB_UP, ALL_UP))
    assert [name for name in ("is_cut", "is_held", "is_stalled") if getattr(up, name)] == [mark]
    assert network.end(short) == []
    assert [network.is_in_force(each) for each in (long, short, wide)] == [True, False, True]
    assert network.end(wide) == []
    assert getattr(up, mark) is True
    assert network.end(long) == [up]
    assert getattr(up, mark) is False
    assert network.end(long) == []


def test_a_wider_heal_frees_what_was_cut_by_name_and_leaves_other_directions() -> None:
    network = Network(NetworkSettings())
    up, down = network.between("bob", "server"), network.between("server", "bob")
    network.cut([BOB_UP, LinkId("server", "bob")])
    assert network.heal([ALL_UP]) == [up]
    assert down.is_cut is True
    assert network.heal([LinkId("all", "all")]) == [down]
    network.cut([BOB_UP, LinkId("server", "bob")])
    assert network.heal([BOB_UP, LinkId("server", "bob")]) == [up, down]


@pytest.mark.parametrize(
    ("source", "target", "covers"),
    [("bob", "server", True), ("all", "server", True), ("bob", "all", True), ("all", "all", True),
     ("carol", "server", False), ("bob", "carol", False), ("server", "bob", False), ("all", "bob", False)],
)  # fmt: skip
def test_all_stands_for_everyone(source: str, target: str, covers: bool) -> None:
    assert covers_link(LinkId(source, target), Link("bob", "server")) is covers
