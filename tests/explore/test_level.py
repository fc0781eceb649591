"""A level that partitions work off on their own: what is found does not depend on who answers first."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from tcrp.explore import partition as partitions
from tcrp.explore.level import OPEN_SLICES, Level
from tcrp.explore.model import Model
from tcrp.explore.partition import Report, StatePartition, owner

WIDTH = 3000


def mark(n: int) -> int:
    """A fingerprint: spread, as a set of them wants it."""
    return n * 0x9E3779B97F4A7C15 % (1 << 64)


def sums() -> Model[int]:
    """Numbers, and then their sums with some others: most are found many times, by each partition."""
    return Model(
        "sums", tuple(range(WIDTH)),
        lambda n: [("on", WIDTH + (n + by) % WIDTH) for by in (0, 1, 7, 500)] if n < WIDTH else [], mark,
    )  # fmt: skip


class ChanceTeam:
    """Partitions of which any may be the next to answer."""

    def __init__(self, jobs: int, seed: int) -> None:
        self.jobs = jobs
        self.parts = [StatePartition(sums(), index, jobs) for index in range(jobs)]
        self.calls: list[tuple[int, str]] = []
        self._waiting: list[deque[tuple[str, tuple[Any, ...]]]] = [deque() for _ in range(jobs)]
        self._chance = random.Random(seed)  # noqa: S311 - it is no secret

    def ask(self, call: str) -> list[Any]:
        return [getattr(each, call)() for each in self.parts]

    def submit(self, index: int, call: str, *arguments: Any) -> None:
        self._waiting[index].append((call, arguments))

    def is_idle(self, index: int) -> bool:
        return not self._waiting[index]

    def answers(self) -> Iterator[tuple[int, str, Any]]:
        while busy := [index for index, waiting in enumerate(self._waiting) if waiting]:
            index = self._chance.choice(busy)
            call, arguments = self._waiting[index].popleft()
            self.calls.append((index, call))
            yield index, call, getattr(self.parts[index], call)(*arguments)


def worked_off(jobs: int, seed: int, cut_after: int = 10**9) -> tuple[ChanceTeam, list[Report], str]:
    """The first level of `sums`, cut when so many slices have been kept."""
    team = ChanceTeam(jobs, seed)
    reports: list[Report] = []
    team.ask("start")

    def cut() -> str:
        return "enough" if sum(call == "keep" for _, call in team.calls) >= cut_after else ""

    why = Level(team, reports.append, cut).work_off()
    return team, reports, why


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_what_is_found_does_not_depend_on_the_order_of_answers(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "SMALL_SLICE", 100)
    for seed in range(10):
        team, reports, why = worked_off(jobs, seed)
        assert (why, sum(each.new for each in reports)) == ("", WIDTH)
        assert sum(each.generated for each in reports) == 4 * WIDTH
        assert sum(team.ask("end_level")) == WIDTH
        for found in (WIDTH, WIDTH + 600, 2 * WIDTH - 1):
            before = min(mark((found - by) % WIDTH) for by in (0, 1, 7, 500))
            assert team.parts[owner(mark(found), jobs)].parent(mark(found), 1) == before


def test_no_partition_waits_for_another_before_its_next_slice() -> None:
    team, _, _ = worked_off(2, seed=1)
    for index in range(2):
        calls = [call for at, call in team.calls if at == index]
        assert calls.count("expand") == calls.count("keep") > 1
        opened = [calls[:at].count("expand") - calls[:at].count("keep") for at in range(len(calls) + 1)]
        assert 1 < max(opened) <= OPEN_SLICES


def test_a_level_that_is_cut_is_left_in_good_order() -> None:
    team, reports, why = worked_off(2, seed=2, cut_after=3)
    assert why == "enough"
    assert 0 < sum(each.new for each in reports) < WIDTH
    saved = team.ask("save")
    rest = ChanceTeam(3, seed=3)
    for each in rest.parts:
        each.load(saved)
    assert Level(rest, reports.append, lambda: "").work_off() == ""
    assert sum(each.new for each in reports) == WIDTH
