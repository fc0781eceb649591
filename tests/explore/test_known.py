"""Known fingerprints: what a set and a dictionary would say, in less memory."""

from __future__ import annotations

import random
from array import array

from tcrp.explore.known import KnownFingerprints


def added(known: KnownFingerprints, *pairs: tuple[int, int]) -> list[int]:
    marks, parents = zip(*pairs, strict=True)
    return list(known.add(array("Q", marks), array("Q", parents)))


def test_each_is_new_once() -> None:
    known = KnownFingerprints()
    assert added(known, (7, 1), (8, 1), (7, 1)) == [1, 1, 0]
    assert added(known, (9, 1), (8, 1)) == [1, 0]
    assert len(known) == 3


def test_in_its_level_a_state_keeps_the_smallest_parent_and_later_none_takes_its_place() -> None:
    known = KnownFingerprints()
    added(known, (7, 5), (7, 3), (7, 4))
    assert known.parent(7) == 3
    known.end_level()
    added(known, (7, 1))
    assert known.parent(7) == 3
    assert known.parent(8) is None


def test_levels_keep_what_was_added_in_them() -> None:
    known = KnownFingerprints()
    added(known, (1, 1))
    known.end_level()
    added(known, (2, 1), (3, 1), (1, 0))
    known.end_level()
    known.end_level()
    levels = [tuple(map(list, known.level(at))) for at in range(known.levels)]
    assert levels == [([1], [1]), ([2, 3], [1, 1]), ([], [])]


def test_fingerprints_that_fall_to_the_same_place_are_told_apart() -> None:
    """The bits that choose a place are equal, and all of them are: nothing but the search from place to place helps."""
    known = KnownFingerprints()
    alike = [number << 60 | number for number in range(16)] + [(1 << 64) - 1 - number for number in range(16)]
    assert added(known, *((each, each) for each in alike)) == [1] * len(alike)
    assert added(known, *((each, each) for each in alike)) == [0] * len(alike)
    assert [known.parent(each) for each in alike] == alike


def test_many_are_found_again_after_the_index_has_grown() -> None:
    draw = random.Random(1)  # noqa: S311 - the same each time
    parents: dict[int, int] = {}
    known = KnownFingerprints()
    for _ in range(20):
        some = [draw.getrandbits(64) for _ in range(2000)] + draw.sample(sorted(parents), min(len(parents), 500))
        fresh = [each not in parents for each in some]
        assert list(map(bool, added(known, *((each, each ^ 1) for each in some)))) == fresh
        parents.update((each, each ^ 1) for each in some)
    assert len(known) == len(parents) == 40_000
    assert all(known.parent(mark) == parent for mark, parent in parents.items())
