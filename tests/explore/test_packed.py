"""Partitions of packed models: the states themselves travel, each to its owner."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest

import tcrp.explore.packed as packed
from tcrp.explore.model import PackedModel
from tcrp.explore.packed import PackedPartition, mixed

TOP = 300
NO_TIME = 0.0  # for a slice: it is as small as can be


def walk() -> PackedModel:
    """Numbers that grow by one, two or three: most are found three times. Sevens are met, and 299 is not allowed."""

    def expand(states: Sequence[int]) -> list[int]:
        return [state + by for state in states for by in (1, 2, 3) if state + by <= TOP]

    return PackedModel(
        "walk", (0,), expand, lambda before, after: f"+{after - before}",
        always={"not 299": lambda state: state != 299}, sometimes={"a seven": lambda state: state % 7 == 0},
    )  # fmt: skip


def a_level(partitions: list[PackedPartition]) -> tuple[int, int]:
    """How many states are new, and how many were generated."""
    reports = []
    while sum(each.begin_level() for each in partitions):
        answers = [each.expand(NO_TIME) for each in partitions]
        reports += [each.report for each in answers]
        for finder, answer in enumerate(answers):
            reports += [each.admit(finder, answer.found[at], b"").report for at, each in enumerate(partitions)]
    for each in partitions:
        each.end_level()
    return sum(each.new for each in reports), sum(each.generated for each in reports)


def started(count: int) -> list[PackedPartition]:
    partitions = [PackedPartition(walk(), index, count) for index in range(count)]
    assert sum(each.start().new for each in partitions) == 1
    return partitions


@pytest.mark.parametrize("count", [1, 2, 3])
def test_together_they_find_each_number_once(count: int) -> None:
    partitions = started(count)
    levels = [a_level(partitions) for _ in range(5)]
    assert levels == [(3, 3), (3, 9), (3, 9), (3, 9), (3, 9)]


def test_slices_of_a_level_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "CHUNK", 2)
    partitions = started(2)
    assert [a_level(partitions) for _ in range(3)] == [(3, 3), (3, 9), (3, 9)]


def test_in_a_level_an_owner_is_told_of_a_state_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "CHUNK", 1)
    walker, other = PackedPartition(walk(), 0, 2), 1
    walker.load([([b""], array("Q", range(10)).tobytes())])  # those of them that it owns
    told: list[int] = []
    while walker.begin_level():
        told += array("Q", walker.expand(NO_TIME).found[other][0])
    assert len(told) > 3
    assert sorted(told) == sorted(set(told))
    assert all(mixed(state) % 2 == other for state in told)


def test_properties_are_judged_where_a_state_is_new() -> None:
    [partition] = started(1)
    violations, met = [], set()
    while partition.begin_level():
        while partition.begin_level():
            report = partition.expand(NO_TIME).report
            violations += report.violations
            met |= report.met
        partition.end_level()
    assert violations == [("not 299", 299)]
    assert met == {"a seven"}
    assert partition.parent(299, 100) == 296
    assert partition.parent(0, 0) == 0


@pytest.mark.parametrize("count", [1, 3])
def test_what_some_saved_others_go_on_from(count: int) -> None:
    saving = started(2)
    for _ in range(4):
        a_level(saving)
    saved = [each.save() for each in saving]
    loading = [PackedPartition(walk(), index, count) for index in range(count)]
    for each in loading:
        each.load(saved)
    assert sum(each.begin_level() for each in loading) == 3
    assert a_level(loading) == (3, 9)


def test_the_owner_of_a_state_works_on_it() -> None:
    [partition] = started(1)
    given: object = partition.give(5)  # type: ignore[func-returns-value]
    assert given is None
    assert partition.take(None) == partition.begin_level() == 1


def test_a_slice_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "CHUNK", 2)
    walker = PackedPartition(walk(), 0, 1)
    walker.load([([b""], array("Q", range(10)).tobytes())])
    assert (walker.begin_level(), walker.expand(NO_TIME).left, walker.expand(60.0).left) == (10, 8, 0)
