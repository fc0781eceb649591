"""A share of a breadth-first search through an `ArrayModel`: levels, and what is known, as NumPy arrays.

The way of working is that of `PackedPartition`; each operation is on tens of thousands of states at once. Needs NumPy
(the extra `explore`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tcrp.explore.model import ArrayModel
from tcrp.explore.partition import Admitted, Expanded, Found, Report

States: TypeAlias = npt.NDArray[np.uint64]

CHUNK = 1 << 14
"""States that are expanded at once: enough to make the calls cheap, few enough to stay in a processor's cache."""
ADMITTED = 1 << 17  # states that are looked for at once
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio: multiplying by it spreads numbers evenly
_FIRST_BITS = 12
_LATELY_BITS = 20
_FULL = 2  # a table has at least so many places for each state


class KnownStates:
    """A set of states: a hash table with open addressing, in which many are looked for at once."""

    def __init__(self) -> None:
        self._bits = _FIRST_BITS
        self._places: States = np.zeros(1 << self._bits, np.uint64)  # state + 1; 0: free
        self._count = 0

    def __contains__(self, state: int) -> bool:
        return bool(np.any(self._places == state + 1))

    def add(self, states: States) -> States:
        """Those that were not known, each once."""
        while _FULL * (self._count + len(states)) > len(self._places):
            known = self._places[self._places != 0]
            self._bits += 1
            self._places = np.zeros(1 << self._bits, np.uint64)
            for at in range(0, len(known), CHUNK):  # in pieces, as each step of it makes arrays as long
                self._insert(known[at : at + CHUNK])
        new = self._insert(states + np.uint64(1))
        self._count += len(new)
        return new - np.uint64(1)

    def _insert(self, keys: States) -> States:
        places, last = self._places, len(self._places) - 1
        at = ((keys * _MIX) >> np.uint64(64 - self._bits)).view(np.int64)
        new = [keys[:0]]
        while len(keys):
            held = places[at]
            left = np.flatnonzero(held != keys)
            keys, at, held = keys[left], at[left], held[left]
            free = np.flatnonzero(held == 0)
            if len(free):
                places[at[free]] = keys[free]  # of several for one place the last stays
                new.append(places[np.unique(at[free])])
                left = np.flatnonzero(places[at] != keys)
                keys, at = keys[left], at[left]
            at = (at + 1) & last
        return np.concatenate(new)


class Lately:
    """States that came lately: a table in which a later one takes the place of an earlier one."""

    def __init__(self) -> None:
        self._places: States = np.zeros(1 << _LATELY_BITS, np.uint64)  # state + 1; 0: free

    def add(self, states: States) -> States:
        """Those of them that are not among the latest."""
        keys = states + np.uint64(1)
        at = ((keys * _MIX) >> np.uint64(64 - _LATELY_BITS)).view(np.int64)
        is_new = self._places[at] != keys
        keys, at = keys[is_new], at[is_new]
        self._places[at] = keys  # of several for one place the last stays
        return np.concatenate([self._places[np.unique(at)], keys[self._places[at] != keys]]) - np.uint64(1)


class ArrayPartition:
    """A partition of an `ArrayModel`."""

    def __init__(self, model: ArrayModel, index: int, partitions: int) -> None:
        self._model = model
        self._index = index
        self._partitions = partitions
        self._known = KnownStates()
        self._levels: list[States] = []
        self._frontier = _states([])
        self._expanded = 0  # of the frontier, in this level
        self._next: list[States] = []
        self._lately_sent = Lately()
        self._report = Report()

    def start(self) -> Report:
        """Take the initial states that fall to this partition as the first frontier."""
        self._report = Report()
        self._admit(self._mine(_states(self._model.initial)))
        self.end_level()
        return self._report

    def begin_level(self) -> int:
        """How many states the frontier has."""
        return len(self._frontier) - self._expanded

    def expand(self, seconds: float) -> Expanded:
        """The successors of as many states of the frontier as so much time allows, by owner; this one's stay here."""
        ends = perf_counter() + seconds
        report = self._report = Report()
        found: list[list[States]] = [[] for _ in range(self._partitions)]
        while self._expanded < len(self._frontier):
            at, self._expanded = self._expanded, min(self._expanded + CHUNK, len(self._frontier))
            successors = self._model.expand(self._frontier[at : self._expanded])
            report.generated += len(successors)
            self._distribute(successors, found)
            if perf_counter() >= ends:
                break
        shares = [(b"".join(share.tobytes() for share in states), b"") for states in found]
        return Expanded(report, shares, len(self._frontier) - self._expanded)

    def _distribute(self, successors: States, found: list[list[States]]) -> None:
        """Admit those that are owned here, and add the others to what their owners are to be told."""
        if self._partitions == 1:
            self._admit(successors)
            return
        owners = _owners(successors, self._partitions)
        for index, states in enumerate(found):
            share = successors[owners == index]
            if index == self._index:
                self._admit(share)
            else:
                states.append(self._lately_sent.add(share))

    def admit(self, finder: int, found: Found, learned: bytes) -> Admitted:
        """Take over new states that another partition has found."""
        self._report = Report()
        states = np.frombuffer(found[0], np.uint64)
        for at in range(0, len(states), ADMITTED):
            self._admit(states[at : at + ADMITTED])
        return Admitted(finder, b"", self._report)

    def keep(self, is_new: Sequence[bytes]) -> Report:
        """Nothing is left to do: owners keep the states themselves."""
        return Report()

    def end_level(self) -> int:
        """Go on to the next frontier; how many states it has."""
        self._frontier, self._next, self._expanded = np.concatenate([_states([]), *self._next]), [], 0
        self._levels.append(self._frontier)
        return len(self._frontier)

    def _admit(self, states: States) -> None:
        """Put those that are new into the next frontier, and judge them."""
        fresh, report = self._known.add(states), self._report
        if not len(fresh):
            return
        self._next.append(fresh)
        report.new += len(fresh)
        for name, holds in self._model.always.items():
            report.violations += [(name, int(state)) for state in fresh[~holds(fresh)]]
        report.met.update(name for name, is_met in self._model.sometimes.items() if is_met(fresh).any())

    def _mine(self, states: States) -> States:
        mine: States = states[_owners(states, self._partitions) == self._index]
        return mine

    def parent(self, fingerprint: int, depth: int) -> int | None:
        """The smallest state of this partition's level before `depth` from which a step leads to that state."""
        if depth == 0:
            return fingerprint if fingerprint in self._known else None
        before, goal = self._levels[depth - 1], np.uint64(fingerprint)
        leads = [
            int(each) for at in range(0, len(before), CHUNK) for each in self._leading(before[at : at + CHUNK], goal)
        ]
        return min(leads) if leads else None

    def _leading(self, states: States, goal: np.uint64) -> States:
        """Those from which a step leads there: halves are tried until single states are left."""
        successors: States = self._model.expand(states)
        if goal not in successors:
            return states[:0]
        if len(states) == 1:
            return states
        half = len(states) // 2
        return np.concatenate([self._leading(states[:half], goal), self._leading(states[half:], goal)])

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
        """Such models have nothing to say."""

    def save(self) -> tuple[list[bytes], bytes]:
        """Its part of each level, the last of which may not have ended, and what is to be expanded."""
        levels = [*self._levels, np.concatenate([_states([]), *self._next])]
        return [level.tobytes() for level in levels], self._frontier[self._expanded :].tobytes()

    def load(self, saved: Iterable[tuple[list[bytes], bytes]]) -> None:
        """Go on from what all partitions of an earlier search saved."""
        shares = list(saved)
        for parts in zip(*(levels for levels, _ in shares), strict=True):
            self._levels.append(self._known.add(self._owned(parts)))
        self._next = [self._levels.pop()]
        self._frontier = self._owned([frontier for _, frontier in shares])

    def _owned(self, parts: Iterable[bytes]) -> States:
        return np.concatenate([self._mine(np.frombuffer(part, np.uint64)) for part in parts])


def _states(values: Sequence[int]) -> States:
    return np.array(values, dtype=np.uint64)


def _owners(states: States, partitions: int) -> npt.NDArray[np.uint64]:
    """By other bits of the product than those that place a state in the table."""
    return ((states * _MIX) >> np.uint64(16)) % np.uint64(partitions)
