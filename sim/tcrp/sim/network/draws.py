"""Keyed random draws: each is a function of seed, purpose, link and the packet's name, and of nothing else.

There is no stream of random numbers, so adding or removing a step of a scenario does not change the
draws of the others. Integers only, so that one seed gives one trace on every machine.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Final

from mypy_extensions import i64

from tcrp.sim.scenario.model import Delay, Exponential

BITS = 64
MASK: Final = (1 << BITS) - 1
HALF: Final = 1 << 32
PPM: Final = 1_000_000
# Compiled code holds 64 bits in a signed machine word, where an overflow drops what is above them. Python's integers
# are cut to 64 bits by hand. Constants are written as such words, and a shift to the right drops copies of the sign.
GOLDEN: Final[i64] = 0x9E3779B97F4A7C15 - (1 << 64)  # 2**64 divided by the golden ratio: spreads small numbers
FIRST_FACTOR: Final[i64] = 0xBF58476D1CE4E5B9 - (1 << 64)  # of `mix`
SECOND_FACTOR: Final[i64] = 0x94D049BB133111EB - (1 << 64)
LOW_32: Final[i64] = (1 << 32) - 1
LOW_33: Final[i64] = (1 << 33) - 1
LOW_34: Final[i64] = (1 << 34) - 1
LOW_37: Final[i64] = (1 << 37) - 1


def _word() -> int:
    is_compiled = not __file__.endswith(".py")
    return -1 if is_compiled else MASK


WORD: i64 = _word()
"""All 64 bits: what to cut an integer to."""


def key_of(*words: str | int) -> int:
    """A 64-bit key for `words`."""
    text = "\x1f".join(map(str, words))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def word_of(key: int) -> i64:
    """64 bits as compiled code holds them."""
    return key - (1 << BITS) if key >> BITS - 1 else key


def key_of_word(word: i64) -> int:
    """64 bits as an integer that is not negative."""
    return int(word) & MASK


def mix_word(x: i64) -> i64:
    """64 bits, each of which depends on all 64 of `x` (the finalizer of SplitMix64, by Stafford)."""
    x &= WORD
    x = (x ^ (x >> 30 & LOW_34)) * FIRST_FACTOR & WORD
    x = (x ^ (x >> 27 & LOW_37)) * SECOND_FACTOR & WORD
    return x ^ (x >> 31 & LOW_33)


def mix(x: int) -> int:
    """The same for an integer, whose lowest 64 bits count."""
    return key_of_word(mix_word(word_of(x & MASK)))


def loss_threshold(ppm: int) -> int:
    """The threshold for 32 drawn bits: a smaller draw means loss."""
    return ppm * HALF // PPM


def delay_us(delay: Delay, bits: int) -> int:
    """The delay in microseconds for 32 drawn bits."""
    if isinstance(delay, Exponential):
        return delay.least_us + (delay.mean_us * _minus_ln(bits) >> _LN_BITS)
    return delay.least_us + ((delay.most_us - delay.least_us + 1) * bits >> 32)


# --- the negative natural logarithm of a drawn share, without floats ---------------------------------

_LN_BITS = 20  # fractional bits of the result
_TABLE_BITS = 10
_LN_2 = 0xB17217F7D1CF79AB  # ln 2 in 64 fractional bits


def _minus_ln(bits: int) -> int:
    """-ln((bits + 1) / 2**32) with 20 fractional bits: 0 for the largest, about 22.2 for 0."""
    share = bits + 1
    shift = 32 - (share.bit_length() - 1)  # share = 2**(32 - shift) * (1 + fraction)
    fraction = (share << shift) - HALF
    at, rest = fraction >> (32 - _TABLE_BITS), fraction & ((1 << (32 - _TABLE_BITS)) - 1)
    table = _log2_table()
    log2 = table[at] + ((table[at + 1] - table[at]) * rest >> (32 - _TABLE_BITS))
    return ((shift << 32) - log2) * _LN_2 >> (32 + 64 - _LN_BITS)


@cache
def _log2_table() -> tuple[int, ...]:
    """log2(1 + i / 1024) with 32 fractional bits, for i = 0 … 1024, by repeated squaring."""
    return tuple(_log2((1 << 62) + (i << (62 - _TABLE_BITS))) for i in range((1 << _TABLE_BITS) + 1))


def _log2(x: int) -> int:
    """log2 of `x` / 2**62, for 1 <= x / 2**62 <= 2, with 32 fractional bits."""
    result = 0
    if x >> 63:
        return HALF
    for _ in range(32):
        x = x * x >> 62
        result <<= 1
        if x >> 63:
            x >>= 1
            result |= 1
    return result
