"""A frontier gives each state once, those that are near each other one after the other."""

from __future__ import annotations

from itertools import groupby, islice

import pytest

from tcrp.explore.frontier import Frontier


def filled(count: int, index: int = 0, partitions: int = 1) -> Frontier[str]:
    """Texts of three kinds, by turns."""
    frontier: Frontier[str] = Frontier(lambda text: int(text[0]))
    frontier.extend((number, f"{number % 3} {number}") for number in range(count))
    frontier.begin(index, partitions)
    return frontier


def test_each_is_taken_once_with_its_fingerprint_and_leaves() -> None:
    frontier, taken = filled(10), []
    while len(frontier):
        left = len(frontier)
        some = list(islice(frontier.take(), 4))
        assert len(some) == min(4, left) == left - len(frontier)
        taken += some
    assert sorted(taken) == [(number, f"{number % 3} {number}") for number in range(10)]
    assert list(frontier.take()) == []


def test_what_is_near_comes_together() -> None:
    frontier = filled(10)
    kinds = [text[0] for _ in range(5) for _, text in islice(frontier.take(), 2)]
    assert [kind for kind, _ in groupby(kinds)] == ["0", "1", "2"]


@pytest.mark.parametrize("count", range(12))
def test_what_is_taken_last_leaves_what_comes_first(count: int) -> None:
    frontier = filled(10)
    first = next(frontier.take())
    last = frontier.take_last(count)
    assert len(last) == min(count, 9) == 9 - len(frontier)
    rest = list(frontier.take())
    assert sorted([first, *last, *rest]) == [(number, f"{number % 3} {number}") for number in range(10)]
    if last and rest:
        assert {text[0] for _, text in rest} <= set("012"[: 3 - count // 3])


def test_what_is_added_later_to_a_bucket_that_was_emptied_is_taken_too() -> None:
    frontier = filled(3)
    assert len(list(islice(frontier.take(), 1))) == 1
    frontier.extend([(7, "0 again")])
    frontier.begin(0, 1)
    assert sorted(mark for mark, _ in frontier.take()) == [1, 2, 7]


def test_each_partition_begins_elsewhere() -> None:
    firsts = [next(filled(9, index, 3).take())[1][0] for index in range(3)]
    assert firsts == ["0", "1", "2"]


def test_without_a_key_all_are_near() -> None:
    frontier: Frontier[str] = Frontier(None)
    frontier.extend([(1, "a"), (2, "b")])
    assert sorted(frontier.all()) == [(1, "a"), (2, "b")]
    frontier.begin(0, 1)
    assert sorted(frontier.take()) == [(1, "a"), (2, "b")]
    assert len(frontier) == 0
