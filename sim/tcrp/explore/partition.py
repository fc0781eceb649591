"""One share of a breadth-first search: the states whose fingerprints fall to it, and a share of the frontier.

A level is worked off in slices of three calls of each partition: `expand` finds successors and sorts them by owner,
`admit` tells new ones from known ones, `keep` puts the new ones into the next frontier; `end_level` goes on to that.
Between the calls only fingerprints travel: a state stays where it was found. What is found does not depend on how
many partitions there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from tcrp.explore.model import Model, S, Step

Found = tuple[bytes, bytes]
"""Fingerprints of successors and of the states they came from, each as 64-bit integers."""


SLICE = 2048
"""States that are expanded between two looks at the clock."""


@dataclass(slots=True)
class Report:
    """What a partition found in one slice. `left`: states of this level that are still to be expanded."""

    new: int = 0
    generated: int = 0
    left: int = 0
    violations: list[tuple[str, int]] = field(default_factory=list)  # property, fingerprint
    met: set[str] = field(default_factory=set)


class Partition(Protocol):
    """The contract that a search needs. Partition `i` of `n` owns what `i == owner(fingerprint, n)` says."""

    def start(self) -> Report: ...
    def expand(self) -> list[Found]: ...
    def admit(self, found: Sequence[Found]) -> list[bytes]: ...
    def keep(self, marks: Sequence[bytes]) -> Report: ...
    def end_level(self) -> int: ...
    def parent(self, fingerprint: int, depth: int) -> int | None: ...
    def frontier_size(self) -> int: ...
    def give(self, count: int) -> Any: ...
    def take(self, share: Any) -> None: ...
    def save(self) -> Any: ...
    def load(self, saved: Iterable[Any]) -> None: ...
    def notes(self) -> Any: ...


def owner(fingerprint: int, partitions: int) -> int:
    """Which partition knows whether the state is new."""
    return fingerprint % partitions


class StatePartition(Generic[S]):
    """A partition of a `Model`. It keeps of each known state its fingerprint and that of the state before it: the
    latter by level, in arrays that are looked through when a way is wanted.
    """

    def __init__(self, model: Model[S], index: int, partitions: int) -> None:
        self._model = model
        self._index = index
        self._partitions = partitions
        self._known: set[int] = set()  # that are owned here
        self._level: dict[int, int] = {}  # those of them that this level found, with the state before each
        self._history: list[tuple[array[int], array[int]]] = []  # by level: the same of those before
        self._frontier: list[tuple[int, S]] = []
        self._expanded = 0  # of the frontier, in this level
        self._next: list[tuple[int, S]] = []
        self._found: list[dict[int, tuple[int, S]]] = []  # by owner: fingerprint, parent, state
        self._generated = 0

    def start(self) -> Report:
        """Take the initial states that fall to this partition as the first frontier."""
        report = Report()
        for state in self._model.initial:
            kept, mark = canonical(self._model, state)
            if owner(mark, self._partitions) == self._index and mark not in self._known:
                self._known.add(mark)
                self._level[mark] = mark
                self._frontier.append((mark, kept))
                self._judge(mark, kept, report)
        report.new = report.left = len(self._frontier)
        self._keep_level()
        return report

    def expand(self) -> list[Found]:
        """The successors of the next slice of the frontier, by owner."""
        model, partitions = self._model, self._partitions
        found: list[dict[int, tuple[int, S]]] = [{} for _ in range(partitions)]
        generated = 0
        for parent, state in self._frontier[self._expanded : self._expanded + SLICE]:
            for _, successor in steps_of(model, state):
                generated += 1
                kept, mark = canonical(model, successor)
                mine = found[mark % partitions]
                known = mine.get(mark)
                # The smallest parent, so that the path does not depend on which partition was first.
                if known is None or parent < known[0]:
                    mine[mark] = (parent, kept)
        self._expanded = min(self._expanded + SLICE, len(self._frontier))
        self._found, self._generated = found, generated
        return [
            (array("Q", each).tobytes(), array("Q", [parent for parent, _ in each.values()]).tobytes())
            for each in found
        ]

    def admit(self, found: Sequence[Found]) -> list[bytes]:
        """For what each partition found: a byte for each state, 1 where that partition is to keep it."""
        known, level = self._known, self._level
        marks = []
        for fingerprints, came_from in found:
            kept = bytearray(len(fingerprints) // 8)
            for place, (mark, parent) in enumerate(zip(_integers(fingerprints), _integers(came_from), strict=True)):
                if mark not in known:
                    known.add(mark)
                    level[mark] = parent
                    kept[place] = 1
                elif mark in level and parent < level[mark]:
                    level[mark] = parent
            marks.append(bytes(kept))
        return marks

    def keep(self, marks: Sequence[bytes]) -> Report:
        """Put the states that their owners called new into the next frontier, and judge them."""
        report = Report(generated=self._generated, left=len(self._frontier) - self._expanded)
        for found, kept in zip(self._found, marks, strict=True):
            for (mark, (_, state)), is_new in zip(found.items(), kept, strict=True):
                if is_new:
                    report.new += 1
                    self._next.append((mark, state))
                    self._judge(mark, state, report)
        self._found = []
        return report

    def end_level(self) -> int:
        """Go on to the next frontier; how many states it has."""
        self._frontier, self._next, self._expanded = self._next, [], 0
        self._keep_level()
        return len(self._frontier)

    def _keep_level(self) -> None:
        self._history.append((array("Q", self._level.keys()), array("Q", self._level.values())))
        self._level = {}

    def parent(self, fingerprint: int, depth: int) -> int | None:
        """The state from which an owned one was first reached."""
        if depth >= len(self._history):
            return self._level.get(fingerprint)
        marks, parents = self._history[depth]
        return parents[marks.index(fingerprint)] if fingerprint in marks else None

    def frontier_size(self) -> int:
        """How many states it is about to expand."""
        return len(self._frontier)

    def give(self, count: int) -> Any:
        """Part with some of the frontier, so that another partition has as much to do."""
        given, self._frontier = self._frontier[:count], self._frontier[count:]
        return self._packed(given)

    def take(self, share: Any) -> None:
        """Work on a part of another's frontier."""
        self._frontier.extend(self._unpacked(share))

    def save(self) -> tuple[list[Found], Any]:
        """All that it knows, to go on from."""
        levels = [(marks.tobytes(), parents.tobytes()) for marks, parents in self._history]
        return levels, self._packed(self._frontier)

    def load(self, saved: Iterable[tuple[list[Found], Any]]) -> None:
        """Go on from what all partitions of an earlier search saved, however many they were."""
        for levels, frontier in saved:
            for depth, (fingerprints, came_from) in enumerate(levels):
                if depth == len(self._history):
                    self._history.append((array("Q"), array("Q")))
                marks, parents = self._history[depth]
                for mark, parent in zip(_integers(fingerprints), _integers(came_from), strict=True):
                    if owner(mark, self._partitions) == self._index:
                        self._known.add(mark)
                        marks.append(mark)
                        parents.append(parent)
            self._frontier += [
                each for each in self._unpacked(frontier) if owner(each[0], self._partitions) == self._index
            ]

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
