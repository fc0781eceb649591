"""States of the abstract world as tuples of numbers, steps between them, and how what a step sends may fare.

A state: what is left of the budgets, the server, each user, and the datagrams under way in order.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from tcrp.spec.names import PacketKind

State = tuple[int, ...]
MASK = (1 << 64) - 1
BROKEN = -1  # in place of the budgets: what follows in the state says which property does not hold
DROPS, DUPLICATES, RACES, CRASHES, TEXTS, ATTACKS = (1 << 4 * at for at in range(6))  # what one of each is in a budget
ATTACKS_MAX = 2
IN_FLIGHT = -1  # the rank of packets under way: they come before every deadline
NOTHING = 9  # the rank of no deadline at all
ALL_RACES, ALL_CRASHES, ALL_ATTACKS = 15 * RACES, 15 * CRASHES, 15 * ATTACKS
FORGED = "forged"


class Step(NamedTuple):
    """What happens between two states. `what`: a datagram's number, a stream, a deadline or a wish."""

    kind: str
    who: int
    what: Any
    is_race: bool = False


class Move(NamedTuple):
    """A step and what it leads to: the number of the part that takes it, and what is sent."""

    step: Step
    to: int
    sent: State = ()
    broken: int = 0  # the number of a property that does not hold
    pieces: tuple[tuple[str, PacketKind | None, bytes], ...] = ()  # for streams
    if_lost: int = 0  # in place of `to`, where what is sent is lost


DUE = 0  # in place of a datagram's number
CRASH, END = Step("crash", -1, None), Step("end", -1, None)


@lru_cache(100_000)
def fates(new: State, drops: int, duplicates: int) -> list[tuple[int, State]]:
    """How what is sent may fare: what of the budgets that takes, and what is under way then."""
    ways: dict[tuple[int, State], None] = {}
    for fates in product((1, 0, 2), repeat=len(new)):
        lost, doubled = fates.count(0), fates.count(2)
        if lost <= drops and doubled <= duplicates:
            kept = tuple(number for number, times in zip(new, fates, strict=True) for _ in range(times))
            ways[lost * DROPS + doubled * DUPLICATES, kept] = None
    return list(ways)
