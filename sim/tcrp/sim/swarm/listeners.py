"""Draws the server's listeners of a random scenario, and which of them each user takes."""

from __future__ import annotations

from msgspec.structs import replace

from tcrp.sim.scenario.model import Listener, User
from tcrp.sim.swarm.dice import Dice
from tcrp.spec.dialects import NAMES

PERCENT = 20
STRAYS_PERCENT = 5
"""Of users so many ask a listener that need not take their dialect."""


def draw_listeners(dice: Dice) -> tuple[Listener, ...]:
    """Mostly one. Of several the first takes what recognition can tell apart, the others a few dialects each."""
    if not dice.chance(PERCENT):
        return (Listener(),)
    others = [Listener(f"l{number}", _some(dice)) for number in range(2, 2 + dice.between(1, 3))]
    return (Listener("l1"), *others)


def _some(dice: Dice) -> tuple[str, ...]:
    if dice.chance(20):
        return ()
    return tuple(dict.fromkeys(dice.one_of(NAMES) for _ in range(dice.between(1, 3))))


def with_listeners(dice: Dice, users: tuple[User, ...], listeners: tuple[Listener, ...]) -> tuple[User, ...]:
    """The users, each with a listener that takes its dialect, the first as often as any other."""
    return tuple(replace(user, listener=_of(dice, user, listeners)) for user in users)


def _of(dice: Dice, user: User, listeners: tuple[Listener, ...]) -> str:
    fitting = [each for each in listeners if not each.dialects or user.dialect in each.dialects]
    return dice.one_of(listeners if dice.chance(STRAYS_PERCENT) else fitting).name
