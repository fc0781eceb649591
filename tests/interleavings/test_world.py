"""The chat world: every order of events, within bounds."""

from __future__ import annotations

import pickle
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from planted_bugs import (
    ForgetsAMember,
    NeverDrains,
    NeverHalfCloses,
    NeverResetsTheIdleClock,
    RelaysTwice,
    SendsNoticesOnce,
    row_leads_elsewhere,
)
from tcrp.engine.server import ServerEngine
from tcrp.explore.model import Bounds, Exploration, Model
from tcrp.explore.search import breadth_first
from tcrp.interleavings.program import NotExplored, program_of
from tcrp.interleavings.steps import State
from tcrp.interleavings.world import World
from tcrp.interleavings.world_model import MakeModel, model_of, notes_of
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import Property


def world(explore: str, rest: str = "", **options: Any) -> World:
    return World(program_of(read_scenario_text(f"claim: a\nexplore: {explore}\n{rest}")), **options)


def explored(made: World) -> Exploration[State]:
    return breadth_first(partial(model_of, made))


def test_two_users_are_explored_to_the_end_and_nothing_is_broken() -> None:
    result = explored(world("{users: 2, texts: 1}"))
    assert result.is_exhausted
    assert result.violations == []
    assert result.progress.distinct > 1000


WITHOUT: dict[str, dict[str, Any]] = {
    "symmetry": {"is_symmetric": False},
    "steps taken alone": {"takes_alone": False},
    "both": {"is_symmetric": False, "takes_alone": False},
}


@cache
def reduced(explore: str) -> tuple[World, Exploration[State]]:
    less = world(explore)
    return less, explored(less)


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize(
    "explore",
    [
        "{users: 3, texts: 0, repeats: 0}",
        "{users: 2, texts: 1}",
        "{users: 2, texts: 0, drops: 1}",
        "{users: 1, texts: 1, drops: 1, duplicates: 1}",
        "{users: 1, texts: 1, races: 2}",
        "{users: 2, texts: 0, crashes: 1}",
        "{users: 1, texts: 1, attacker: true}",
    ],
)
def test_without_each_reduction_and_without_both_all_verdicts_are_the_same(explore: str, without: str) -> None:
    whole, (less, fewer) = world(explore, **WITHOUT[without]), reduced(explore)
    all_states = explored(whole)
    assert all_states.violations == fewer.violations == []
    assert all_states.is_exhausted
    assert whole.server.seen == less.server.seen
    assert whole.known.shown == less.known.shown
    assert notes_of(whole).judged == notes_of(less).judged
    has_guests = "users: 3" in explore
    makes_a_difference = has_guests if without == "symmetry" else True
    assert (fewer.progress.distinct < all_states.progress.distinct) is makes_a_difference


@pytest.mark.parametrize(
    ("explore", "bug", "without"),
    [
        ("{users: 2, texts: 1}", ForgetsAMember, "steps taken alone"),
        ("{users: 2, texts: 1}", NeverHalfCloses, "steps taken alone"),
        ("{users: 2, texts: 1}", NeverResetsTheIdleClock, "steps taken alone"),
        ("{users: 2, texts: 1}", row_leads_elsewhere, "steps taken alone"),
        ("{users: 3, texts: 1, repeats: 0}", RelaysTwice, "steps taken alone"),
        ("{users: 3, texts: 1, repeats: 0}", RelaysTwice, "symmetry"),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_without_each_reduction_a_bug_breaks_the_same_property(explore: str, bug: Any, without: str) -> None:
    whole, less = world(explore, make_engine=bug, **WITHOUT[without]), world(explore, make_engine=bug)
    broken = [each.what_is_broken(explored(each).violations[0].path.end) for each in (whole, less)]
    assert broken[0] is not None
    assert broken[1] is not None
    assert broken[0].property is broken[1].property


def test_losses_duplicates_crashes_races_and_an_attacker_break_nothing() -> None:
    for explore in (
        "{users: 1, texts: 1, drops: 1, duplicates: 1}",
        "{users: 2, texts: 0, drops: 1}",
        "{users: 1, texts: 1, crashes: 1}",
        "{users: 1, texts: 1, races: 2}",
        "{users: 2, texts: 0, races: 1}",
        "{users: 1, texts: 1, attacker: true}",
    ):
        result = explored(world(explore))
        assert result.violations == [], explore
        assert result.is_exhausted


@pytest.mark.parametrize(
    ("bug", "property"),
    [
        (ForgetsAMember, Property.RELAY_TO_EVERY_MEMBER),
        (NeverHalfCloses, Property.STREAMS_HALF_CLOSE),
        (NeverDrains, Property.MATCHES_REFERENCE),
        (SendsNoticesOnce, Property.MATCHES_REFERENCE),
        (NeverResetsTheIdleClock, Property.MATCHES_REFERENCE),
        (row_leads_elsewhere, Property.TABLE_STEPS),
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_a_planted_bug_is_found(bug: Any, property: Property) -> None:
    made = world("{users: 2, texts: 1}", make_engine=bug)
    [violation] = explored(made).violations
    broken = made.what_is_broken(violation.path.end)
    assert broken is not None
    assert broken.property is property


def test_a_bug_that_needs_three_users_is_hidden_from_two() -> None:
    assert explored(world("{users: 2, texts: 1}", make_engine=RelaysTwice)).violations == []


def test_of_a_script_only_the_order_of_each_users_steps_counts() -> None:
    steps = ("at: 0s, alice: {create: lobby}", "at: 9s, bob: {join: lobby}", "at: 1s, bob: {say: hi}")
    rest = "script:\n" + "".join(f"  - {{{each}}}\n" for each in steps)
    made = world("{drops: 1}", rest)
    result = explored(made)
    assert result.violations == []
    assert ("alice", "bob: hi") in made.known.shown


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ("script: [{at: 0s, alice: {pause: 1s}}]", "alice's pause is not explored"),
        ("script: [{at: 0s, network: {heal: [all, server]}}]", "network's heal is not explored"),
        ("users: {alice: {}}", "without a script"),
        ("server: {takeover: same_address}", "same_address"),
        ("server: {texts_per_second_max: 2}", "texts_per_second_max"),
        ("users: {alice: {keeps_alive: true}}\nscript: [{at: 0s, alice: {create: lobby}}]", "keeps_alive"),
    ],
)
def test_what_is_not_explored_is_said(rest: str, word: str) -> None:
    with pytest.raises(NotExplored, match=word):
        program_of(read_scenario_text(f"claim: a\nexplore: {{}}\n{rest}"))


def test_a_model_is_made_alike_in_every_process() -> None:
    one, other = world("{users: 2, texts: 1}"), world("{users: 2, texts: 1}")
    assert one.start() == other.start()
    make = partial(World, one.program)
    assert make().start() == one.start()


TWO_USERS = partial(MakeModel, program_of(read_scenario_text("claim: a\nexplore: {users: 2, texts: 1, drops: 1}\n")))
"""Takes an engine, and gives what makes the model."""


@pytest.mark.parametrize("make_engine", [ServerEngine, ForgetsAMember])
def test_several_processes_find_what_one_finds(make_engine: Any) -> None:
    """Of the engine, of one that is broken: states, the shortest way, and what engines have shown."""
    one = breadth_first(TWO_USERS(make_engine))
    three = breadth_first(TWO_USERS(make_engine), jobs=3, together=True)
    assert three.progress.processes == 3
    assert (three.levels, three.progress.generated) == (one.levels, one.progress.generated)
    assert [each.path.steps for each in three.violations] == [each.path.steps for each in one.violations]
    assert bool(one.violations) == (make_engine is ForgetsAMember)
    notes = [[note for note in result.notes if note is not None] for result in (one, three)]
    for part in ("seen", "shown", "judged"):
        whole, parts = ([getattr(note, part) for note in its] for its in notes)
        assert frozenset().union(*whole) == frozenset().union(*parts)


def elsewhere(value: Any) -> Any:
    """As another process gets it: equal, of other objects."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301


def learned_there(found: Model[State], states: list[State]) -> tuple[Model[State], list[State]]:
    there = TWO_USERS()()
    assert found.learned is not None
    assert there.learn is not None
    assert there.intern is not None
    there.learn(elsewhere(found.learned()))
    return there, there.intern(elsewhere(states))


def unpacked_there(found: Model[State], states: list[State]) -> tuple[Model[State], list[State]]:
    there = TWO_USERS()()
    assert found.pack is not None
    assert there.unpack is not None
    return there, there.unpack(elsewhere(found.pack(states)))


@pytest.mark.parametrize("brought", [learned_there, unpacked_there])
def test_a_state_of_another_process_means_the_same_and_is_made_of_the_numbers_known_here(brought: Any) -> None:
    here = TWO_USERS()()
    states = [*here.initial]
    for _ in range(5):
        states = [after for each in states for _, after in here.successors(each)]
    there, own = brought(here, states)
    assert own == states
    objects: dict[tuple[int, int], int] = {}  # of a server, of each user, of datagrams
    for each in own:
        for place, number in enumerate(each[1:]):
            assert objects.setdefault((min(place, 3), number), number) is number
    assert [there.fingerprint(each) for each in own] == [here.fingerprint(each) for each in states]
    assert [there.successors(each) for each in own] == [here.successors(each) for each in states]


@pytest.mark.parametrize("depth", [3, 12])
def test_several_processes_go_on_from_what_one_has_kept(depth: int, tmp_path: Path) -> None:
    """All of them know its parts then, though only one has found them."""
    file = tmp_path / "kept"
    whole = breadth_first(TWO_USERS())
    breadth_first(TWO_USERS(), Bounds(depth=depth), checkpoint=file)
    rest = breadth_first(TWO_USERS(), jobs=2, checkpoint=file, resume=True)
    assert rest.progress.processes == 2
    assert (rest.levels, rest.progress.generated) == (whole.levels, whole.progress.generated)
    assert rest.is_exhausted
