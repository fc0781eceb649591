"""The explorer visits every state once, whatever the way: against published counts, a plain count, and itself."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.models import Channel, array_channel, channel, two_phase_commit

from tcrp.explore import arrays, level, packed
from tcrp.explore.arrays import KnownStates, Lately
from tcrp.explore.checkpoint import CheckpointError
from tcrp.explore.depth import depth_first
from tcrp.explore.fingerprints import collision_odds, fingerprint
from tcrp.explore.model import ArrayModel, Bounds, Exploration, Model, PackedModel
from tcrp.explore.search import breadth_first
from tcrp.explore.team import WorkerError

SMALL = {"copies": 2, "losses": 2, "duplicates": 1}


def figures(result: Exploration[Any]) -> tuple[Any, ...]:
    """All that must not depend on how the search was run."""
    violations = [(each.property, each.path.end, len(each.path.steps)) for each in result.violations]
    return result.progress.distinct, result.progress.generated, result.levels, result.met, result.cut, violations


# --- counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("managers", "states"), [(3, 288), (5, 8832)])
def test_two_phase_commit_has_as_many_states_as_published(managers: int, states: int) -> None:
    result = breadth_first(partial(two_phase_commit, managers))
    assert result.is_exhausted
    assert (result.progress.distinct, result.violations) == (states, [])
    assert sorted(result.met) == ["all aborted", "all committed"]


def test_two_phase_commit_of_five_is_reduced_to_665_states_as_stateright_does_it() -> None:
    """Its example sorts by state alone and searches depth first: what that leaves depends on the order."""
    assert depth_first(two_phase_commit(5, "by-state")).progress.distinct == 665


def test_with_a_state_for_each_orbit_any_search_finds_the_number_of_orbits() -> None:
    orbits = {_orbit(state) for state in _all_states(two_phase_commit(5))}
    assert breadth_first(partial(two_phase_commit, 5, "orbits")).progress.distinct == len(orbits) == 314
    assert depth_first(two_phase_commit(5, "orbits")).progress.distinct == 314


@pytest.mark.parametrize("property", ["consistent", "none committed", "few aborted"])
def test_with_and_without_symmetry_the_verdicts_are_the_same(property: str) -> None:
    always = {
        "consistent": lambda state: not {2, 3} <= set(state[0]),
        "none committed": lambda state: 2 not in state[0],
        "few aborted": lambda state: state[0].count(3) < 2,
    }

    def make(representative: str) -> Model[Any]:
        model = two_phase_commit(4, representative)
        return replace(model, always={property: always[property]})

    whole, less = breadth_first(partial(make, "")), breadth_first(partial(make, "orbits"))
    assert less.progress.distinct < whole.progress.distinct
    assert less.met == whole.met
    lengths = [[(each.property, len(each.path.steps)) for each in result.violations] for result in (whole, less)]
    assert lengths[0] == lengths[1]
    assert bool(lengths[0]) == (property != "consistent")


def test_the_channels_states_are_as_many_as_a_plain_count_finds() -> None:
    for texts, limits in ((1, SMALL), (2, SMALL), (3, SMALL), (2, {"copies": 3, "losses": 1, "duplicates": 2})):
        result = breadth_first(channel(texts, **limits))
        assert result.progress.distinct == len(_count_by_hand(texts, **limits))
        assert result.violations == []
        assert "done" in result.met
        assert figures(breadth_first(array_channel(texts, **limits))) == figures(result)


@pytest.mark.parametrize(
    "make",
    [partial(two_phase_commit, 5), channel(2, **SMALL), array_channel(2, **SMALL)],
    ids=["states", "packed", "arrays"],
)
def test_results_do_not_depend_on_the_number_of_jobs(make: Any) -> None:
    alone = figures(breadth_first(make))
    assert figures(breadth_first(make, jobs=2, together=True)) == alone
    assert figures(breadth_first(make, jobs=3, together=True)) == alone


@pytest.mark.parametrize("jobs", [1, 2])
def test_processor_time_is_told_and_no_process_took_longer_than_the_search(jobs: int) -> None:
    progress = breadth_first(channel(2, **SMALL), jobs=jobs, together=True).progress
    assert progress.processes == jobs
    assert progress.processor_seconds > 0
    assert progress.processor_seconds < progress.seconds + 0.5


# --- violations ------------------------------------------------------------------------------------


def staircase(top: int, limit: int = 3) -> Model[int]:
    """Numbers that grow by one or two. None should reach `limit`."""
    return Model(
        name=f"staircase to {top}",
        initial=(0,),
        successors=lambda n: [(f"+{by}", n + by) for by in (1, 2) if n + by <= top],
        fingerprint=fingerprint,
        always={f"below {limit}": lambda n: n < limit},
    )


def packed_staircase(top: int, limit: int = 3) -> PackedModel:
    return PackedModel(
        name=f"packed staircase to {top}",
        initial=(0,),
        expand=lambda states: [n + by for n in states for by in (1, 2) if n + by <= top],
        explain=lambda before, after: f"+{after - before}",
        always={f"below {limit}": lambda n: n < limit},
    )


def array_staircase(top: int, limit: int = 3) -> ArrayModel:
    return ArrayModel(
        name=f"staircase to {top} in arrays",
        initial=(0,),
        expand=lambda states: np.concatenate([states[states + by <= top] + by for by in (1, 2)]),
        explain=lambda before, after: f"+{after - before}",
        always={f"below {limit}": lambda states: states < limit},
    )


@pytest.mark.parametrize("make", [staircase, packed_staircase, array_staircase])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_violation_comes_with_a_shortest_way_there(make: Any, jobs: int) -> None:
    result = breadth_first(partial(make, 100, 7), jobs=jobs, together=True)
    violation = result.violations[0]
    assert violation.property == "below 7"
    assert len(violation.path.steps) == 4
    at = violation.path.start
    for step, state in violation.path.steps:
        assert step == f"+{state - at}"
        at = state
    assert at >= 7


def fan(width: int) -> Model[int]:
    """Many states at once, of which some break the property: the smallest is not the first that is found."""
    return Model(
        name="fan",
        initial=tuple(range(1, width)),
        successors=lambda n: [("on", n * 7919 % 1_000_003 + 1_000_003)] if n < 1_000_003 else [],
        fingerprint=lambda n: (n << 24) + n,  # in the order of the states, and spread
        always={"no seven at the end": lambda n: n < 1_000_003 or n % 10 != 7},
    )


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_of_the_states_of_a_level_that_break_a_property_it_is_the_smallest(jobs: int) -> None:
    """Whatever slices the level was expanded in."""
    [violation] = breadth_first(partial(fan, 4000), jobs=jobs, together=True).violations
    ends = [n * 7919 % 1_000_003 + 1_000_003 for n in range(1, 4000)]
    assert violation.path.end == min(each for each in ends if each % 10 == 7)


def test_a_depth_first_search_finds_the_violation_too_by_some_way() -> None:
    violation = depth_first(staircase(100, 7)).violations[0]
    assert violation.path.end >= 7
    assert len(violation.path.steps) >= 4


def test_with_symmetry_the_way_leads_through_states_that_follow_each_other() -> None:
    result = breadth_first(_broken_commit)
    violation = result.violations[0]
    model, at = _broken_commit(), violation.path.start
    for step, state in violation.path.steps:
        assert (step, state) in list(model.successors(at))
        at = state
    assert not model.always["none committed"](at)


def _broken_commit() -> Model[Any]:
    return replace(two_phase_commit(3, "orbits"), always={"none committed": lambda state: 2 not in state[0]})


# --- bounds, checkpoints, errors -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "cut"),
    [(Bounds(depth=5), "depth"), (Bounds(states=500), "states"), (Bounds(seconds=0.0), "time")],
)
def test_a_search_that_is_cut_says_so_and_goes_on_from_its_checkpoint(tmp_path: Path, bounds: Bounds, cut: str) -> None:
    file = tmp_path / "search"
    whole = breadth_first(partial(two_phase_commit, 5))
    part = breadth_first(partial(two_phase_commit, 5), bounds, checkpoint=file)
    assert (part.cut, part.is_exhausted) == (cut, False)
    assert part.progress.distinct < whole.progress.distinct
    for jobs in (1, 2):
        rest = breadth_first(partial(two_phase_commit, 5), jobs=jobs, checkpoint=file, resume=True, together=True)
        assert figures(rest) == figures(whole)


@pytest.mark.parametrize("make", [channel(2, **SMALL), array_channel(2, **SMALL)], ids=["packed", "arrays"])
def test_a_packed_search_goes_on_from_its_checkpoint(make: Any, tmp_path: Path) -> None:
    file = tmp_path / "search"
    breadth_first(make, Bounds(depth=4), checkpoint=file)
    rest = breadth_first(make, jobs=2, checkpoint=file, resume=True, together=True)
    assert figures(rest) == figures(breadth_first(make))


class Interrupts:
    """Interrupts a search each time that it is asked so often: in the midst of a level too."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


@pytest.mark.parametrize(
    ("make", "slices"),
    [(partial(two_phase_commit, 5), 150), (channel(2, **SMALL), 5), (array_channel(2, **SMALL), 5)],
    ids=["states", "packed", "arrays"],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_search_goes_on_from_the_midst_of_a_level(
    make: Any, slices: int, jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level, "SLICE_SECONDS", 0.0)
    for module in (packed, arrays):
        monkeypatch.setattr(module, "CHUNK", 16)
    file, searches = tmp_path / "search", 0
    while True:
        result = breadth_first(
            make, jobs=1 + searches % jobs, checkpoint=file, resume=file.exists(), is_interrupted=Interrupts(slices),
            together=True,
        )  # fmt: skip
        searches += 1
        if result.is_exhausted:
            break
    assert searches > 5
    monkeypatch.undo()
    assert figures(result) == figures(breadth_first(make))


def test_the_time_of_a_search_that_goes_on_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "search"
    one = breadth_first(partial(two_phase_commit, 5), Bounds(seconds=0.0), checkpoint=file)
    assert one.cut == "time"
    rest = breadth_first(partial(two_phase_commit, 5), Bounds(seconds=600.0), checkpoint=file, resume=True)
    assert rest.is_exhausted
    assert rest.progress.seconds > one.progress.seconds


def noting(name: str) -> Model[int]:
    return replace(staircase(30, 99), notes=lambda: name)


def test_what_processes_said_before_a_checkpoint_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "search"
    breadth_first(partial(noting, "before"), Bounds(depth=3), checkpoint=file)
    assert breadth_first(partial(noting, "after"), checkpoint=file, resume=True).notes == ["before", "after"]


def test_states_that_fall_on_one_place_of_the_table_are_all_kept_once() -> None:
    known = KnownStates()
    states = np.array([*range(0, 3000, 3), *range(0, 3000, 2), 5, 5], dtype=np.uint64)
    expected = {*range(0, 3000, 3), *range(0, 3000, 2), 5}
    fresh = known.add(states)
    assert sorted(map(int, fresh)) == sorted(expected)
    assert len(known.add(states)) == 0
    more = known.add(np.arange(100_000, dtype=np.uint64))  # the table grows
    assert set(map(int, more)) == set(range(100_000)) - expected
    assert all(each in known for each in (0, 5, 99_999))
    assert 100_000 not in known


def test_of_states_that_came_lately_each_is_let_through_at_least_once() -> None:
    lately, passed = Lately(), set()
    chance = np.random.default_rng(1)
    for _ in range(40):
        states = chance.integers(0, 1_000_000, 50_000).astype(np.uint64)  # many fall on one place of its table
        new = set(map(int, lately.add(states)))
        assert new <= set(map(int, states))
        passed |= new
        assert set(map(int, states)) <= passed
    assert len(lately.add(np.array([7, 7], dtype=np.uint64))) <= 1
    assert len(lately.add(np.array([7], dtype=np.uint64))) == 0


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "search"
    with pytest.raises(CheckpointError, match=r"No such file"):
        breadth_first(partial(staircase, 9, 99), checkpoint=file, resume=True)
    file.write_text("no checkpoint")
    with pytest.raises(CheckpointError, match=r"is not a checkpoint"):
        breadth_first(partial(staircase, 9, 99), checkpoint=file, resume=True)
    file.unlink()
    breadth_first(partial(staircase, 9, 99), Bounds(depth=2), checkpoint=file)
    with pytest.raises(CheckpointError, match=r"another search: staircase to 9. This one is staircase to 8"):
        breadth_first(partial(staircase, 8, 99), checkpoint=file, resume=True)


def test_ctrl_c_gives_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level, "SLICE_SECONDS", 0.0)

    def interrupt(progress: Any) -> None:
        if progress.distinct > 100:
            raise KeyboardInterrupt

    result = breadth_first(partial(two_phase_commit, 5), on_progress=interrupt)
    assert result.cut == "interrupted"
    assert 100 < result.progress.distinct < 8832


def fails() -> Model[int]:
    def successors(n: int) -> list[tuple[str, int]]:
        if n == 3:
            raise ZeroDivisionError("three")
        return [("+1", n + 1)]

    return Model("fails", (0,), successors, fingerprint)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_model_that_raises_ends_the_search_with_what_it_said(jobs: int) -> None:
    with pytest.raises(WorkerError, match="ZeroDivisionError: three"):
        breadth_first(fails, jobs=jobs, together=True)


def test_the_odds_of_a_collision_are_those_of_birthdays() -> None:
    assert collision_odds(1) == 0
    assert collision_odds(2**32) == pytest.approx(1 - 2.718281828459045**-0.5, rel=1e-6)
    assert collision_odds(10**6) == pytest.approx(2.7e-8, rel=0.01)


# --- counted by other means --------------------------------------------------------------------------


def _all_states(model: Model[Any]) -> set[Any]:
    found = set(model.initial)
    pending = list(found)
    while pending:
        after = {state for _, state in model.successors(pending.pop())} - found
        found |= after
        pending += after
    return found


def _orbit(state: Any) -> Any:
    managers, manager, known, sent, commit, abort = state
    return tuple(sorted(zip(managers, known, sent, strict=True))), manager, commit, abort


def _count_by_hand(texts: int, *, copies: int, losses: int, duplicates: int) -> set[Any]:
    """The channel once more, with lists instead of bits, depth first."""
    start = ((0,) * texts, (0,) * texts, 0, 0, losses, duplicates)
    found, pending = {start}, [start]
    while pending:
        data, acks, acknowledged, received, lose, double = pending.pop()
        after = []
        if acknowledged < texts and data[acknowledged] < copies:
            after.append((_more(data, acknowledged, 1), acks, acknowledged, received, lose, double))
        for text in range(texts):
            if data[text]:
                room = acks[text] < copies
                acked = _more(acks, text, 1) if room else acks
                after.append((_more(data, text, -1), acked, acknowledged, received + (received == text), lose, double))
                if lose:
                    after.append((_more(data, text, -1), acks, acknowledged, received, lose - 1, double))
                if double and data[text] < copies:
                    after.append((_more(data, text, 1), acks, acknowledged, received, lose, double - 1))
            if acks[text]:
                told = acknowledged + (acknowledged == text)
                after.append((data, _more(acks, text, -1), told, received, lose, double))
                if lose:
                    after.append((data, _more(acks, text, -1), acknowledged, received, lose - 1, double))
                if double and acks[text] < copies:
                    after.append((data, _more(acks, text, 1), acknowledged, received, lose, double - 1))
        for state in after:
            if state not in found:
                found.add(state)
                pending.append(state)
    return found


def _more(counts: tuple[int, ...], at: int, by: int) -> tuple[int, ...]:
    return (*counts[:at], counts[at] + by, *counts[at + 1 :])


def test_a_channel_that_does_not_fit_into_its_bits_is_refused() -> None:
    with pytest.raises(AssertionError, match="does not fit"):
        Channel(8)
