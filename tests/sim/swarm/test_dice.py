"""Draws are within their bounds, reach both, and are those of their seed."""

from __future__ import annotations

from collections import Counter

import pytest

from tcrp.sim.swarm.dice import Dice


@pytest.mark.parametrize("bound", [1, 2, 7])
def test_below_reaches_every_number_below_the_bound_evenly(bound: int) -> None:
    dice = Dice("below", bound)
    counts = Counter(dice.below(bound) for _ in range(1000 * bound))
    assert counts.keys() == set(range(bound))
    assert all(850 < count < 1150 for count in counts.values())


def test_between_reaches_both_its_ends() -> None:
    dice = Dice("between")
    assert {dice.between(3, 5) for _ in range(100)} == {3, 4, 5}
    assert {dice.between(4, 4) for _ in range(10)} == {4}


def test_a_chance_of_0_never_comes_and_one_of_100_always() -> None:
    dice = Dice("chance")
    assert not any(dice.chance(0) for _ in range(1000))
    assert all(dice.chance(100) for _ in range(1000))
    assert 220 < sum(dice.chance(25) for _ in range(1000)) < 280


def test_each_seed_has_draws_of_its_own() -> None:
    def drawn(*seed: str | int) -> list[int]:
        dice = Dice(*seed)
        return [dice.below(1000) for _ in range(5)]

    assert drawn("a", 1) == drawn("a", 1)
    assert len({tuple(drawn(*seed)) for seed in (("a", 1), ("a", 2), ("b", 1), ("a",), (1, "a"))}) == 5


def test_nothing_cannot_be_drawn_from() -> None:
    with pytest.raises(ZeroDivisionError):
        Dice(0).one_of(())
