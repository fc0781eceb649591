"""One share of a breadth-first search: the states whose fingerprints fall to it, and a share of the frontier.

A level is worked off in slices: `expand` finds successors and sorts them by owner, each owner's `admit` tells new ones
from known ones, `keep` puts the new ones into the next frontier; `end_level` goes on to that. Between the calls
fingerprints travel, and what models have learned: a state stays where it was found, unless a partition with little
left to expand asks for it (`give`, `take`). What is found does not depend on how many partitions there are, nor on the
order in which owners are asked.
"""

from __future__ import annotations

import pickle
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Generic, NamedTuple, Protocol

from tcrp.explore.frontier import Frontier
from tcrp.explore.known import KnownFingerprints
from tcrp.explore.model import Model, S, Step

Found = tuple[bytes, bytes]
"""Fingerprints of successors and of the states they came from, each as 64-bit integers."""


@dataclass(slots=True)
class Report:
    """What a call added."""

    new: int = 0
    generated: int = 0
    violations: list[tuple[str, int]] = field(default_factory=list)  # property, fingerprint
    met: set[str] = field(default_factory=set)


class Expanded(NamedTuple):
    """What a partition found in one slice, by owner, how much of its frontier is left, what its model learned."""

    report: Report
    found: list[Found]
    left: int
    learned: bytes = b""


class Admitted(NamedTuple):
    """Whose slice it was, and a byte for each of its states, 1 where that partition is to keep it."""

    finder: int
    is_new: bytes
    report: Report


class Given(NamedTuple):
    """A part of a frontier that another partition is to take, and how much is left of it."""

    left: int
    share: Any


class Saved(NamedTuple):
    """What a partition knows: its part of each level, the last of which may not have ended, and its states, packed."""

    levels: list[Found]
    frontier: Any
    next: Any


class Partition(Protocol):
    """The contract that a search needs. Partition `i` of `n` owns what `i == owner(fingerprint, n)` says."""

    def start(self) -> Report: ...
    def begin_level(self) -> int: ...
    def expand(self, seconds: float) -> Expanded: ...
    def admit(self, finder: int, found: Found, learned: bytes) -> Admitted: ...
    def keep(self, is_new: Sequence[bytes]) -> Report: ...
    def end_level(self) -> int: ...
    def parent(self, fingerprint: int, depth: int) -> int | None: ...
    def give(self, count: int) -> Given | None: ...
    def take(self, share: Any) -> int: ...
    def learned(self) -> bytes: ...
    def learn(self, learned: bytes) -> None: ...
    def save(self) -> Any: ...
    def load(self, saved: Iterable[Any]) -> None: ...
    def notes(self) -> Any: ...


def owner(fingerprint: int, partitions: int) -> int:
    """Which partition knows whether the state is new."""
    return fingerprint % partitions


class StatePartition(Generic[S]):
    """A partition of a `Model`. It keeps of each known state its fingerprint and that of the state before it."""

    def __init__(self, model: Model[S], index: int, partitions: int) -> None:
        self._model = model
        self._index = index
        self._partitions = partitions
        self._known = KnownFingerprints()  # that are owned here
        self._frontier: Frontier[S] = Frontier(model.near)
        self._next: Frontier[S] = Frontier(model.near)
        # Of each slice that is not yet kept, by owner: fingerprint, parent, state.
        self._found: deque[list[dict[int, tuple[int, S]]]] = deque()

    def start(self) -> Report:
        """Take the initial states that fall to this partition as the first frontier."""
        report = Report()
        for state in self._model.initial:
            kept, mark = canonical(self._model, state)
            if (
                owner(mark, self._partitions) == self._index
                and self._known.add(array("Q", [mark]), array("Q", [mark]))[0]
            ):
                self._next.add(mark, kept)
                self._judge(mark, kept, report)
        report.new = self.end_level()
        return report

    def begin_level(self) -> int:
        """Put the frontier in order. How many states it has."""
        self._frontier.begin(self._index, self._partitions)
        return len(self._frontier)

    def expand(self, seconds: float) -> Expanded:
        """The successors of as many states of the frontier as so much time allows, by owner."""
        ends = perf_counter() + seconds
        model, partitions = self._model, self._partitions
        found: list[dict[int, tuple[int, S]]] = [{} for _ in range(partitions)]
        generated = 0
        for parent, state in self._frontier.take():
            for _, successor in steps_of(model, state):
                generated += 1
                kept, mark = canonical(model, successor)
                mine = found[mark % partitions]
                known = mine.get(mark)
                # The smallest parent, so that the path does not depend on which partition was first.
                if known is None or parent < known[0]:
                    mine[mark] = (parent, kept)
            if perf_counter() >= ends:
                break
        self._found.append(found)
        return Expanded(
            Report(generated=generated),
            [
                (array("Q", each).tobytes(), array("Q", [parent for parent, _ in each.values()]).tobytes())
                for each in found
            ],
            len(self._frontier),
            self.learned() if partitions > 1 else b"",
        )

    def admit(self, finder: int, found: Found, learned: bytes) -> Admitted:
        """Tell new states from known ones: those that a partition found in one slice and that are owned here."""
        self.learn(learned)
        return Admitted(finder, bytes(self._known.add(*map(_integers, found))), Report())

    def keep(self, is_new: Sequence[bytes]) -> Report:
        """Put the states of a slice that their owners called new into the next frontier, and judge them."""
        report = Report()
        for found, its in zip(self._found.popleft(), is_new, strict=True):
            for (mark, (_, state)), is_its in zip(found.items(), its, strict=True):
                if is_its:
                    report.new += 1
                    self._next.add(mark, state)
                    self._judge(mark, state, report)
        return report

    def end_level(self) -> int:
        """Go on to the next frontier; how many states it has."""
        self._frontier, self._next = self._next, Frontier(self._model.near)
        self._known.end_level()
        return len(self._frontier)

    def parent(self, fingerprint: int, depth: int) -> int | None:
        """The state from which an owned one was first reached."""
        return self._known.parent(fingerprint)

    def give(self, count: int) -> Given:
        """Part with so many states of the frontier, so that another partition has something to do in this level."""
        given = self._frontier.take_last(count)
        share = array("Q", [mark for mark, _ in given]).tobytes(), [state for _, state in given]
        return Given(len(self._frontier), share)

    def take(self, share: tuple[bytes, list[S]]) -> int:
        """Work on a part of another's frontier. How many states the frontier has then.

        Only after each `admit` that carried what the giver's model had learned when it found them.
        """
        marks, states = share
        interned = states if self._model.intern is None else self._model.intern(states)
        self._frontier.extend(zip(_integers(marks), interned, strict=True))
        return self.begin_level()

    def learned(self) -> bytes:
        """What the model has found out since this was last asked, pickled; nothing: b''."""
        learned = self._model.learned() if self._model.learned is not None else None
        return b"" if learned is None else pickle.dumps(learned, pickle.HIGHEST_PROTOCOL)

    def learn(self, learned: bytes) -> None:
        """Take over what another process has learned."""
        if learned and self._model.learn is not None:
            self._model.learn(pickle.loads(learned))  # noqa: S301 - a process of this search wrote it

    def save(self) -> Saved:
        """All that it knows, to go on from, in the midst of a level too."""
        levels = [self._known.level(at) for at in range(self._known.levels + 1)]
        return Saved(
            [(marks.tobytes(), parents.tobytes()) for marks, parents in levels],
            self._packed(list(self._frontier.all())),
            self._packed(list(self._next.all())),
        )

    def load(self, saved: Iterable[Saved]) -> None:
        """Go on from what all partitions of an earlier search saved, however many they were."""
        shares = list(saved)
        depths = len(shares[0].levels)
        for depth in range(depths):
            for share in shares:
                marks, parents = map(_integers, share.levels[depth])
                mine = [at for at, mark in enumerate(marks) if owner(mark, self._partitions) == self._index]
                self._known.add(array("Q", [marks[at] for at in mine]), array("Q", [parents[at] for at in mine]))
            if depth < depths - 1:
                self._known.end_level()
        for share in shares:
            for states, packed in ((self._frontier, share.frontier), (self._next, share.next)):
                unpacked = self._unpacked(packed)
                states.extend(each for each in unpacked if owner(each[0], self._partitions) == self._index)

    def notes(self) -> Any:
        """What the model wants to say at the end."""
        return self._model.notes() if self._model.notes is not None else None

    def _packed(self, frontier: list[tuple[int, S]]) -> Any:
        """States that mean the same in another process, with their fingerprints."""
        states: Any = [state for _, state in frontier]
        if self._model.pack is not None:
            states = self._model.pack(states)
        return array("Q", [mark for mark, _ in frontier]).tobytes(), states

    def _unpacked(self, packed: Any) -> list[tuple[int, S]]:
        marks, states = packed
        return list(
            zip(_integers(marks), states if self._model.unpack is None else self._model.unpack(states), strict=True)
        )

    def _judge(self, mark: int, state: S, report: Report) -> None:
        model = self._model
        report.violations += [(name, mark) for name, holds in model.always.items() if not holds(state)]
        report.met.update(name for name, is_met in model.sometimes.items() if is_met(state))


def steps_of(model: Model[S], state: S) -> Iterable[tuple[Step, S]]:
    """The steps to take from a state: all, or one that the others can wait for (partial-order reduction)."""
    if model.is_local is None:
        return model.successors(state)
    steps = list(model.successors(state))
    local = next((each for each in steps if model.is_local(each[0])), None)
    return steps if local is None else [local]


def canonical(model: Model[S], state: S) -> tuple[S, int]:
    """The state that stands for this one, and its fingerprint."""
    if model.representative is not None:
        state = model.representative(state)
    return state, model.fingerprint(state)


def _integers(data: bytes) -> array[int]:
    return array("Q", data)
