"""A level that partitions work off on their own: what is found does not depend on who answers first."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from tcrp.explore import level
from tcrp.explore.level import OPEN_SLICES, QUEUED_SLICES_MAX, Level
from tcrp.explore.model import Model
from tcrp.explore.partition import Report, StatePartition, owner

WIDTH = 600


def mark(n: int) -> int:
    """A fingerprint: spread, as a set of them wants it."""
    return n * 0x9E3779B97F4A7C15 % (1 << 64)


def sums() -> Model[int]:
    """Numbers, and then their sums with some others: most are found many times, by each partition."""
    return Model(
        "sums", tuple(range(WIDTH)),
        lambda n: [("on", WIDTH + (n + by) % WIDTH) for by in (0, 1, 7, 100)] if n < WIDTH else [], mark,
    )  # fmt: skip


class ChanceTeam:
    """Partitions of which any may be the next to answer. `keeps_states`: they part with none."""

    def __init__(self, jobs: int, seed: int, *, keeps_states: bool = False) -> None:
        self.jobs = jobs
        self._keeps_states = keeps_states
        self.parts = [StatePartition(sums(), index, jobs) for index in range(jobs)]
        self.calls: list[tuple[int, str]] = []
        self._waiting: list[deque[tuple[str, tuple[Any, ...]]]] = [deque() for _ in range(jobs)]
        self._chance = random.Random(seed)  # noqa: S311 - it is no secret

    def ask(self, call: str) -> list[Any]:
        return [getattr(each, call)() for each in self.parts]

    def submit(self, index: int, call: str, *arguments: Any) -> None:
        self._waiting[index].append((call, arguments))

    def waiting(self, index: int) -> list[str]:
        return [call for call, _ in self._waiting[index]]

    def answers(self) -> Iterator[tuple[int, str, Any]]:
        while busy := [index for index, waiting in enumerate(self._waiting) if waiting]:
            index = self._chance.choice(busy)
            call, arguments = self._waiting[index].popleft()
            self.calls.append((index, call))
            if call == "give" and self._keeps_states:
                yield index, call, None
            else:
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


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one state each: some have nothing for other owners, and need no answer, before those of earlier ones come."""
    monkeypatch.setattr(level, "SLICE_SECONDS", 0.0)


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_what_is_found_does_not_depend_on_the_order_of_answers(jobs: int) -> None:
    for seed in range(5):
        team, reports, why = worked_off(jobs, seed)
        assert (why, sum(each.new for each in reports)) == ("", WIDTH)
        assert sum(each.generated for each in reports) == 4 * WIDTH
        assert sum(team.ask("end_level")) == WIDTH
        for found in (WIDTH, WIDTH + 200, 2 * WIDTH - 1):
            before = min(mark((found - by) % WIDTH) for by in (0, 1, 7, 100))
            assert team.parts[owner(mark(found), jobs)].parent(mark(found), 1) == before


def under_way(calls: list[str], submitted: str, answered: str) -> int:
    """The most that were submitted and not answered."""
    counts = [calls[:at].count(submitted) - calls[:at].count(answered) for at in range(len(calls) + 1)]
    return max(counts)


def test_no_partition_waits_for_another_before_its_next_slice() -> None:
    team, _, _ = worked_off(2, seed=1)
    for index in range(2):
        calls = [call for at, call in team.calls if at == index]
        assert calls.count("expand") == calls.count("keep") > 1
        assert 1 < under_way(calls, "expand", "keep") <= OPEN_SLICES + QUEUED_SLICES_MAX


def test_another_process_has_its_next_slice_before_it_ends_one() -> None:
    team = ChanceTeam(2, seed=1)
    team.ask("start")
    Level(team, lambda _: None, lambda: "")._submit_work()
    assert [team.waiting(index) for index in range(2)] == [["expand"], ["expand"] * QUEUED_SLICES_MAX]


def give_all_to_the_first(parts: list[StatePartition[int]]) -> None:
    """As if only the first had found the states of this level."""
    first, *others = parts
    for each in parts:
        each.start()
        each.begin_level()
    for each in others:
        left, share = StatePartition.give(each, WIDTH)
        assert left == 0
        first.take(share)
    assert [each.begin_level() for each in parts] == [WIDTH] + [0] * len(others)


@pytest.mark.parametrize("jobs", [2, 3])
def test_one_that_has_nothing_left_takes_a_part_of_anothers(jobs: int) -> None:
    team = ChanceTeam(jobs, seed=4)
    reports: list[Report] = []
    give_all_to_the_first(team.parts)
    assert Level(team, reports.append, lambda: "").work_off() == ""
    assert (sum(each.new for each in reports), sum(each.generated for each in reports)) == (WIDTH, 4 * WIDTH)
    slices = [sum(call == (index, "expand") for call in team.calls) for index in range(jobs)]
    assert min(slices) > WIDTH // jobs // 2, "each has its share of the work"
    calls = [call for _, call in team.calls]
    assert calls.count("give") == calls.count("take") >= jobs - 1


def test_partitions_that_keep_their_states_are_not_asked_for_some_again() -> None:
    team = ChanceTeam(2, seed=5, keeps_states=True)
    reports: list[Report] = []
    give_all_to_the_first(team.parts)
    Level(team, reports.append, lambda: "").work_off()
    assert sum(each.new for each in reports) == WIDTH
    assert [call for _, call in team.calls if call in ("give", "take")] == ["give"]


@pytest.mark.parametrize("seed", range(20))
def test_states_that_are_handed_over_when_a_level_is_cut_are_not_lost(seed: int) -> None:
    team = ChanceTeam(3, seed)
    reports: list[Report] = []
    give_all_to_the_first(team.parts)

    def cut() -> str:
        """When some that were asked for are under way."""
        calls = [call for _, call in team.calls]
        is_under_way = calls.count("give") > calls.count("take") or any("give" in team.waiting(at) for at in range(3))
        return "handing over" if is_under_way and calls.count("keep") > 3 * seed else ""

    assert Level(team, reports.append, cut).work_off() == "handing over"
    left = sum(team.ask("begin_level"))
    assert 0 < left < WIDTH
    assert sum(each.generated for each in reports) == 4 * (WIDTH - left)
    assert Level(team, reports.append, lambda: "").work_off() == ""
    assert sum(each.new for each in reports) == WIDTH


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
