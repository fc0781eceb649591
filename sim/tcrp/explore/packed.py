"""A share of a breadth-first search through a `PackedModel`: whole levels as sets of integers.

The states themselves travel, so an owner needs no answer about them. Known states cost a set's entry; a level is kept
as an array, in which the way to a state is looked for backwards when it is wanted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter

from tcrp.explore.model import PackedModel
from tcrp.explore.partition import Admitted, Expanded, Found, Report

CHUNK = 1 << 16
"""States that are expanded at once: enough to make the calls cheap, few enough to stay in a processor's cache."""


class PackedPartition:
    """A partition of a `PackedModel`."""

    def __init__(self, model: PackedModel, index: int, partitions: int) -> None:
        self._model = model
        self._index = index
        self._partitions = partitions
        self._known: set[int] = set()
        self._levels: list[array[int]] = []
        self._frontier = array("Q")
        self._expanded = 0  # of the frontier, in this level
        self._sent: set[int] = set()  # states of others, that owners were told of in this level

    def start(self) -> Report:
        """Take the initial states that fall to this partition as the first frontier."""
        mine = {state for state in self._model.initial if mixed(state) % self._partitions == self._index}
        self._levels.append(array("Q"))
        report = self._admit(mine)
        self.end_level()
        return report

    def begin_level(self) -> int:
        """How many states the frontier has."""
        return len(self._frontier) - self._expanded

    def expand(self, seconds: float) -> Expanded:
        """The successors of as many states of the frontier as so much time allows, by owner; this one's stay here."""
        ends = perf_counter() + seconds
        states: set[int] = set()  # most are found many times
        generated = 0
        while self._expanded < len(self._frontier):
            at, self._expanded = self._expanded, min(self._expanded + CHUNK, len(self._frontier))
            # A list: an array makes its numbers anew each time that it is gone through.
            successors = self._model.expand(self._frontier[at : self._expanded].tolist())
            generated += len(successors)
            states.update(successors)
            if perf_counter() >= ends:
                break
        found = [b""] * self._partitions
        if self._partitions > 1:
            states -= self._known
            states -= self._sent
            for index in range(self._partitions):
                if index != self._index:
                    theirs = {state for state in states if (state ^ (state >> 17)) % self._partitions == index}
                    states -= theirs
                    self._sent |= theirs
                    found[index] = array("Q", theirs).tobytes()
        report = self._admit(states)
        report.generated = generated
        return Expanded(report, [(each, b"") for each in found], len(self._frontier) - self._expanded)

    def admit(self, finder: int, found: Found, learned: bytes) -> Admitted:
        """Take over new states that another partition has found."""
        return Admitted(finder, b"", self._admit(set(array("Q", found[0]))))

    def keep(self, is_new: Sequence[bytes]) -> Report:
        """Nothing is left to do: owners keep the states themselves."""
        return Report()

    def end_level(self) -> int:
        """Go on to the next frontier; how many states it has."""
        self._frontier, self._expanded = self._levels[-1], 0
        self._sent = set()
        self._levels.append(array("Q"))
        return len(self._frontier)

    def _admit(self, states: set[int]) -> Report:
        """Put those that are new into the next frontier, and judge them."""
        model = self._model
        fresh = states.difference(self._known)
        self._known |= fresh
        self._levels[-1].extend(fresh)
        report = Report(new=len(fresh))
        for name, holds in model.always.items():
            report.violations += [(name, state) for state in fresh if not holds(state)]
        report.met = {name for name, is_met in model.sometimes.items() if any(map(is_met, fresh))}
        return report

    def parent(self, fingerprint: int, depth: int) -> int | None:
        """The smallest state of this partition's level before `depth` from which a step leads to that state."""
        if depth == 0:
            return fingerprint if fingerprint in self._known else None
        before = self._levels[depth - 1]
        for at in range(0, len(before), CHUNK):
            chunk = before[at : at + CHUNK].tolist()
            if fingerprint in set(self._model.expand(chunk)):
                return min(state for state in chunk if fingerprint in self._model.expand([state]))
        return None

    def give(self, count: int) -> None:
        """Nothing: the owner of a state works on it, and owners have equal shares."""

    def take(self, share: None) -> int:
        """See `give`."""
        return self.begin_level()

    def learned(self) -> bytes:
        """Such models learn nothing."""
        return b""

    def learn(self, learned: bytes) -> None:
        """See `learned`."""

    def notes(self) -> None:
        """Packed models have nothing to say."""

    def save(self) -> tuple[list[bytes], bytes]:
        """Its part of each level, the last of which may not have ended, and what is to be expanded."""
        return [level.tobytes() for level in self._levels], self._frontier[self._expanded :].tobytes()

    def load(self, saved: Iterable[tuple[list[bytes], bytes]]) -> None:
        """Go on from what all partitions of an earlier search saved."""
        for levels, frontier in saved:
            for depth, data in enumerate(levels):
                if depth == len(self._levels):
                    self._levels.append(array("Q"))
                self._levels[depth].extend(self._owned(data))
            self._frontier.extend(self._owned(frontier))
        for level in self._levels:
            self._known.update(level)

    def _owned(self, data: bytes) -> Iterator[int]:
        return (state for state in array("Q", data) if mixed(state) % self._partitions == self._index)


def mixed(state: int) -> int:
    """A number whose remainder spreads states evenly: the low bits of a packed state are one of its fields."""
    return state ^ (state >> 17)
