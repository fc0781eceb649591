"""The fingerprints that a partition knows, each with that of the state before it, in the order of finding.

A set of Python's integers takes about 90 bytes for each. These are two arrays and an index to them with open
addressing: 16 bytes, and 6 to 12 for the index.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_FREE = 0xFFFFFFFF
_FIRST_PLACES = 1 << 12
_SKIPPED_BITS = 16  # of a fingerprint: the lowest say which partition owns it


class KnownFingerprints:
    """A set to which levels are added. At most 2**32 - 1 fingerprints."""

    def __init__(self) -> None:
        self._marks = array("Q")
        self._parents = array("Q")
        self._levels: list[int] = []  # how many were known at the end of each
        self._places = _free_places(_FIRST_PLACES)  # where in the arrays

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def levels(self) -> int:
        """How many levels have ended."""
        return len(self._levels)

    def add(self, marks: array[int], parents: array[int]) -> bytearray:
        """Add those that are new: a byte for each, 1 where it was. One of this level keeps the smallest parent."""
        self._make_room(len(marks))
        known, befores, places = self._marks, self._parents, self._places
        last, count = len(places) - 1, len(known)
        level_began = self._levels[-1] if self._levels else 0
        is_new = bytearray(len(marks))
        for at, mark in enumerate(marks):
            place = mark >> _SKIPPED_BITS & last
            number = places[place]
            while number != _FREE and known[number] != mark:
                place = place + 1 & last
                number = places[place]
            if number == _FREE:
                places[place] = count
                count += 1
                known.append(mark)
                befores.append(parents[at])
                is_new[at] = 1
            elif number >= level_began and parents[at] < befores[number]:
                befores[number] = parents[at]
        return is_new

    def end_level(self) -> None:
        """What is added from now on belongs to the next level."""
        self._levels.append(len(self._marks))

    def parent(self, mark: int) -> int | None:
        """The state from which it was first reached; None: it is not known here."""
        last = len(self._places) - 1
        place = mark >> _SKIPPED_BITS & last
        while self._places[place] != _FREE:
            if self._marks[self._places[place]] == mark:
                return self._parents[self._places[place]]
            place = place + 1 & last
        return None

    def level(self, at: int) -> tuple[array[int], array[int]]:
        """The fingerprints that a level added, the one that has not ended too, and those of the states before them."""
        begin, end = ([0, *self._levels][at], [*self._levels, len(self._marks)][at])
        return self._marks[begin:end], self._parents[begin:end]

    def _make_room(self, more: int) -> None:
        """Enlarge the index so that at least a third of it stays free."""
        size = len(self._places)
        while 3 * (len(self._marks) + more) > 2 * size:
            size *= 2
        if size > len(self._places):
            self._places = _free_places(size)
            _index(self._places, self._marks)


def _free_places(size: int) -> array[int]:
    return array("I", [_FREE]) * size


def _index(places: array[int], marks: Iterable[int]) -> None:
    last = len(places) - 1
    for number, mark in enumerate(marks):
        place = mark >> _SKIPPED_BITS & last
        while places[place] != _FREE:
            place = place + 1 & last
        places[place] = number
