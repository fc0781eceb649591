"""The states that a partition is about to expand, those that are near each other together."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeAlias

from tcrp.explore.model import S

Bucket: TypeAlias = "tuple[array[int], list[S]]"
"""Fingerprints, and as many states."""


class Frontier(Generic[S]):
    """States in buckets by `near`. Those taken leave it, so that their memory is free."""

    def __init__(self, near: Callable[[S], int] | None) -> None:
        self._near = near
        self._buckets: dict[int, Bucket[S]] = {}
        self._size = 0
        self._order: list[int] = []  # of the buckets that are left; the last comes first

    def __len__(self) -> int:
        return self._size

    def add(self, mark: int, state: S) -> None:
        """Add a state."""
        key = 0 if self._near is None else self._near(state)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = (array("Q"), [])
        bucket[0].append(mark)
        bucket[1].append(state)
        self._size += 1

    def extend(self, states: Iterable[tuple[int, S]]) -> None:
        """Add states with their fingerprints."""
        for mark, state in states:
            self.add(mark, state)

    def begin(self, index: int, partitions: int) -> None:
        """Put the buckets in order. Each partition begins at another, so that they are not near each other."""
        keys = sorted(self._buckets)
        first = len(keys) * index // partitions
        self._order = [*keys[first:], *keys[:first]]
        self._order.reverse()

    def take(self) -> Iterator[tuple[int, S]]:
        """Remove and give the first in the order, and the next, for as long as somebody asks."""
        while self._order:
            key = self._order[-1]
            marks, states = self._buckets[key]
            while states:
                self._size -= 1
                yield marks.pop(), states.pop()
            del self._buckets[key]
            self._order.pop()

    def take_last(self, count: int) -> list[tuple[int, S]]:
        """Remove and give the last ones in the order: so many, or all."""
        taken: list[tuple[int, S]] = []
        while self._order and len(taken) < count:
            key = self._order[0]
            marks, states = self._buckets[key]
            at = max(0, len(taken) + len(states) - count)
            taken += zip(marks[at:], states[at:], strict=True)
            del marks[at:], states[at:]
            if not states:
                del self._buckets[key]
                self._order.pop(0)
        self._size -= len(taken)
        return taken

    def all(self) -> Iterator[tuple[int, S]]:
        """All of them. They stay."""
        for marks, states in self._buckets.values():
            yield from zip(marks, states, strict=True)
