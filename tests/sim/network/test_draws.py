"""Keyed chance: exact, the same on every machine, and distributed as theory says.

The keys are fixed, so a bound that holds once holds always; bounds are four standard deviations or wider.
"""

from __future__ import annotations

import math

import pytest

from tcrp.sim.network.draws import _log2_table, delay_us, key_of, key_of_word, loss_threshold, mix, word_of
from tcrp.sim.scenario.model import Exponential, Span

MANY = 40_000
KEYS = [mix(number) for number in range(MANY)]
LOW_BITS = (1 << 32) - 1


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


def test_a_thousand_exponential_delays_are_these() -> None:
    """Pinned to the microsecond: a rounding that changes is another trace."""
    drawn = [delay_us(Exponential(10_000_000_000, 0), key & LOW_BITS) for key in KEYS[:1000]]
    assert key_of(*drawn) == 9915431780815998380


def test_the_table_of_logarithms_is_right_to_its_last_bit() -> None:
    table = _log2_table()
    assert (table[0], table[512], table[1024]) == (0, math.floor(math.log2(1.5) * (1 << 32)), 1 << 32)
    for at, entry in enumerate(table):
        assert -2 < entry - math.log2(1 + at / 1024) * (1 << 32) < 1


def test_words_that_are_cut_elsewhere_are_another_key() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("a", "b", "c")}) == 4
    assert key_of(7, "x") == key_of("7", "x")
    assert all(0 <= key_of(word) < 1 << 64 for word in ("", "a", "日本"))


def test_only_the_lowest_64_bits_are_mixed() -> None:
    assert mix((1 << 64) + 5) == mix(5)
    assert all(0 <= key < 1 << 64 for key in KEYS)


def test_a_key_is_held_in_a_signed_word_of_64_bits_and_comes_back_from_it() -> None:
    assert [word_of(key) for key in (0, 2**63 - 1, 2**63, 2**64 - 1)] == [0, 2**63 - 1, -(2**63), -1]
    assert all(key_of_word(word_of(key)) == key for key in KEYS)


def test_one_bit_changed_changes_half_of_the_mixed_bits() -> None:
    """Avalanche: each of the 64 bits of the input reaches about 32 bits of the output."""
    for bit in range(64):
        changed = [(mix(number) ^ mix(number ^ 1 << bit)).bit_count() for number in KEYS[:200]]
        assert abs(sum(changed) / 200 - 32) < 4 * 4 / math.sqrt(200)  # a binomial's deviation is 4


@pytest.mark.parametrize("bit", range(0, 64, 7))
def test_each_mixed_bit_is_set_in_half_of_all_keys(bit: int) -> None:
    share = sum(key >> bit & 1 for key in KEYS) / MANY
    assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(MANY)


# --- loss ------------------------------------------------------------------------------------------


def test_a_share_of_a_million_is_a_bound_for_32_bits() -> None:
    assert [loss_threshold(ppm) for ppm in (0, 1, 500_000, 1_000_000)] == [0, 4294, 1 << 31, 1 << 32]


@pytest.mark.parametrize("ppm", [1000, 20_000, 300_000, 990_000])
def test_as_many_are_lost_as_a_binomial_has(ppm: int) -> None:
    share = ppm / 1_000_000
    lost = sum(key >> 32 < loss_threshold(ppm) for key in KEYS)
    assert abs(lost - MANY * share) < 4 * math.sqrt(MANY * share * (1 - share))


# --- delay -----------------------------------------------------------------------------------------


def test_both_ends_of_a_span_are_drawn_and_nothing_beyond_them() -> None:
    assert [delay_us(Span(10, 13), bits) for bits in (0, (1 << 30) - 1, 1 << 30, LOW_BITS)] == [10, 10, 11, 13]
    assert delay_us(Span(7, 7), LOW_BITS) == 7


def test_a_span_is_drawn_evenly() -> None:
    drawn = [delay_us(Span(10, 13), key & LOW_BITS) for key in KEYS]
    for each in (10, 11, 12, 13):
        assert abs(drawn.count(each) - MANY / 4) < 4 * math.sqrt(MANY * 3 / 16)
    assert set(drawn) == {10, 11, 12, 13}


@pytest.mark.parametrize("share", [1, 2, 3, 1000, 12345, 1 << 20, (1 << 31) + 1, (1 << 32) - 1, 1 << 32])
def test_the_logarithm_without_floats_is_the_logarithm(share: int) -> None:
    """With a mean of a second, the delay is -ln(share) in microseconds: it is right to 3 of them."""
    assert abs(delay_us(Exponential(1_000_000, 0), share - 1) - -math.log(share / (1 << 32)) * 1_000_000) < 3


def test_the_logarithm_is_right_everywhere() -> None:
    errors = [
        delay_us(Exponential(1_000_000, 0), key & LOW_BITS) + math.log(((key & LOW_BITS) + 1) / (1 << 32)) * 1_000_000
        for key in KEYS
    ]
    assert -3 < min(errors) <= max(errors) < 3


def test_a_longer_delay_belongs_to_smaller_bits() -> None:
    drawn = [delay_us(Exponential(1_000_000, 0), bits) for bits in range(0, 1 << 32, (1 << 32) // 4999)]
    assert drawn == sorted(drawn, reverse=True)


def test_an_exponential_delay_has_its_mean_its_deviation_its_median_and_its_tail() -> None:
    drawn = sorted(delay_us(Exponential(20_000, 5000), key & LOW_BITS) - 5000 for key in KEYS)
    mean = sum(drawn) / MANY
    assert abs(mean - 20_000) < 4 * 20_000 / math.sqrt(MANY)
    deviation = math.sqrt(sum((each - mean) ** 2 for each in drawn) / MANY)
    assert abs(deviation - 20_000) < 4 * 20_000 * math.sqrt(2 / MANY)  # its own deviation: sqrt(8 / 4n)
    assert abs(drawn[MANY // 2] - 20_000 * math.log(2)) < 4 * 20_000 / math.sqrt(MANY)
    assert drawn[0] >= 0
    beyond = sum(each > 3 * 20_000 for each in drawn) / MANY
    assert abs(beyond - math.exp(-3)) < 4 * math.sqrt(math.exp(-3) / MANY)
