"""Pseudo-random draws of the generator of scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tcrp.sim.network.draws import key_of, mix

T = TypeVar("T")


class Dice:
    """Draws from a seed, one after another."""

    def __init__(self, *seed: str | int) -> None:
        self._key = key_of(*seed)
        self._drawn = 0

    def below(self, bound: int) -> int:
        """0 to `bound - 1`, uniformly."""
        self._drawn += 1
        return (mix(self._key + self._drawn) >> 16) % bound

    def between(self, least: int, most: int) -> int:
        """`least` to `most`, both inclusive."""
        return least + self.below(most - least + 1)

    def one_of(self, things: Sequence[T]) -> T:
        """One of `things`, uniformly."""
        return things[self.below(len(things))]

    def chance(self, percent: int) -> bool:
        """True with this probability."""
        return self.below(100) < percent
