"""The partitions of a search: each state is kept once, by one of them, whoever finds it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tcrp.explore.model import Model
from tcrp.explore.partition import Report, StatePartition, canonical, owner, steps_of

EDGE = 40
NO_TIME = 0.0  # for a slice: it is as small as can be
A_MINUTE = 60.0


def square() -> Model[tuple[int, int]]:
    """A walk from one corner to the opposite one: most states are found from two others."""

    def successors(at: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int]]]:
        x, y = at
        if x < EDGE:
            yield "right", (x + 1, y)
        if y < EDGE:
            yield "up", (x, y + 1)

    return Model("square", ((0, 0),), successors, lambda at: at[0] * 1000 + at[1])


def a_level(partitions: list[StatePartition[Any]]) -> list[Report]:
    """What a search asks of partitions in one level."""
    reports = []
    while sum(each.begin_level() for each in partitions):  # of all: it puts their states in order
        answers = [each.expand(NO_TIME) for each in partitions]
        reports += [each.report for each in answers]
        for finder, answer in enumerate(answers):
            admitted = [
                each.admit(finder, its, b"" if index == finder else answer.learned)
                for index, (each, its) in enumerate(zip(partitions, answer.found, strict=True))
            ]
            reports.append(partitions[finder].keep([each.is_new for each in admitted]))
    for each in partitions:
        each.end_level()
    return reports


def explored(count: int, model: Model[Any]) -> tuple[list[StatePartition[Any]], list[int]]:
    """All levels, and how many states each has."""
    partitions = [StatePartition(model, index, count) for index in range(count)]
    levels = [sum(each.start().new for each in partitions)]
    while levels[-1]:
        levels.append(sum(report.new for report in a_level(partitions)))
    return partitions, levels


@pytest.mark.parametrize("count", [1, 2, 3])
def test_together_they_keep_each_state_once(count: int) -> None:
    _, levels = explored(count, square())
    assert levels == [min(n, 2 * EDGE - n) + 1 for n in range(2 * EDGE + 1)] + [0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_its_owner_knows_the_smallest_of_the_states_before_a_state(count: int) -> None:
    partitions, _ = explored(count, square())
    for mark, parent in [(5, 4), (5000, 4000), (5005, 4005), (40040, 39040)]:
        known = [each.parent(mark, 0) for each in partitions]
        assert known == [parent if owner(mark, count) == index else None for index in range(count)]


def test_states_that_are_given_away_are_expanded_by_the_taker() -> None:
    partitions = [StatePartition(square(), index, 2) for index in range(2)]
    for each in partitions:
        each.start()
    for _ in range(10):
        a_level(partitions)
    before = [each.begin_level() for each in partitions]
    left, share = partitions[0].give(2)
    assert left == before[0] - 2
    assert partitions[1].take(share) == before[1] + 2
    assert [each.begin_level() for each in partitions] == [before[0] - 2, before[1] + 2]
    assert sum(report.new for report in a_level(partitions)) == 12


@pytest.mark.parametrize("count", [1, 3])
def test_what_some_saved_others_go_on_from_however_many_they_are(count: int) -> None:
    saving = [StatePartition(square(), index, 2) for index in range(2)]
    for each in saving:
        each.start()
    for _ in range(10):
        a_level(saving)
    saved = [each.save() for each in saving]
    loading = [StatePartition(square(), index, count) for index in range(count)]
    for each in loading:
        each.load(saved)
    assert sum(each.begin_level() for each in loading) == 11
    assert sum(report.new for report in a_level(loading)) == 12
    assert {each.parent(5005, 10) for each in loading} == {4005, None} if count > 1 else {4005}


def test_a_slice_ends_when_its_time_is_over() -> None:
    wide: Model[int] = Model("wide", tuple(range(100)), lambda n: [("on", n + 1000), ("off", n + 2000)], lambda n: n)
    partition = StatePartition(wide, 0, 1)
    partition.start()
    assert partition.begin_level() == 100
    slices = [partition.expand(seconds) for seconds in (NO_TIME, A_MINUTE)]
    assert [(each.left, each.report.generated) for each in slices] == [(99, 2), (0, 198)]


MANY = 256


class Learner:
    """A model that finds out squares, each at some cost."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.new: dict[int, int] = {}
        self.calls: list[int] = []

    def square(self, n: int) -> int:
        if n not in self.known:
            self.calls.append(n)
            self.known[n] = self.new[n] = n * n
        return self.known[n]

    def learned(self) -> dict[int, int]:
        new, self.new = self.new, {}
        return new

    def model(self) -> Model[tuple[int, int]]:
        """Many states for each square that has to be known."""
        return Model(
            "squares",
            tuple((n, which) for n in range(8) for which in range(MANY)),
            lambda at: [("on", (at[0], at[1] + MANY + self.square(at[0])))] if at[1] < MANY else [],
            lambda at: at[0] * 100_000 + at[1],
            near=lambda at: at[0],
            learned=self.learned,
            learn=self.known.update,
        )


def test_what_one_partition_has_learned_the_others_need_not_find_out() -> None:
    learners = [Learner(), Learner()]
    partitions = [StatePartition(each.model(), index, 2) for index, each in enumerate(learners)]
    for each in partitions:
        each.start()
    assert sum(report.new for report in a_level(partitions)) == 8 * MANY
    assert sorted(learners[0].calls + learners[1].calls) == list(range(8))
    assert learners[0].known == learners[1].known
    assert learners[0].calls
    assert learners[1].calls


def test_a_taken_state_is_made_of_what_the_taker_has() -> None:
    """An equal object that is the very one that is looked for is found sooner."""
    names = {name: name for name in ("a room", "another room")}
    rooms: Model[str] = Model(
        "rooms", tuple(names), lambda _: [], len, intern=lambda states: [names[each] for each in states]
    )  # fmt: skip
    giver, taker = StatePartition(rooms, 0, 1), StatePartition(rooms, 1, 2)
    giver.start()
    giver.begin_level()
    left, (marks, states) = giver.give(2)
    assert left == 0
    assert taker.take((marks, [f"{each} ".rstrip() for each in states])) == 2
    _, (_, own) = taker.give(2)
    assert sorted(own) == sorted(names)
    assert all(each is names[each] for each in own)


def test_a_local_step_is_taken_alone_and_a_representative_stands_for_its_like() -> None:
    model = square()
    assert [step for step, _ in steps_of(model, (0, 0))] == ["right", "up"]
    assert [step for step, _ in steps_of(replace(model, is_local=lambda step: step == "up"), (0, 0))] == ["up"]
    folded = replace(model, representative=lambda at: (min(at), max(at)))
    assert canonical(folded, (7, 3)) == canonical(folded, (3, 7)) == ((3, 7), 3007)


def test_a_found_state_is_told_to_its_owner_with_the_state_before_it() -> None:
    partition = StatePartition(square(), 0, 2)
    partition.start()
    partition.begin_level()
    found = partition.expand(A_MINUTE).found
    assert [[list(array("Q", each)) for each in its] for its in found] == [[[1000], [0]], [[1], [0]]]
