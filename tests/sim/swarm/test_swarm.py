"""Random scenarios: they meet what they must meet, find planted bugs, and are shrunk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import pytest

import planted_bugs as bugs
from planting import Planted
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import Scenario, SetLimits, Shutdown, Step
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.writer import write_scenario
from tcrp.sim.swarm.actions import MALLORY
from tcrp.sim.swarm.batch import run_batch, scenario_of
from tcrp.sim.swarm.dice import Dice
from tcrp.sim.swarm.failures import TIMED_OUT, Failure, failure_of
from tcrp.sim.swarm.generator import DIALECTS, Knobs, generate
from tcrp.sim.swarm.requests import draw_request
from tcrp.sim.swarm.shrink import Shrinker
from tcrp.sim.swarm.sometimes import SOMETIMES, Sometimes
from tcrp.spec.limits import Limits

RUNS_MAX = 1000
STEPS_MAX = 6


# Not those that are made for one story: a token of carol's, a token that is granted again, one datagram by hand, a
# limit that its stories do not reach.
FOUND = [
    bugs.row_leads_elsewhere, bugs.RelaysToNonMembers, bugs.RelaysBeforeTheTokenIsChecked, bugs.EchoesTheSender,
    bugs.ForgetsAMember, bugs.RelaysTwice, bugs.RelaysLater, bugs.NamesAnother, bugs.SpeaksLikeItself,
    bugs.SendsTextsOnTcp, bugs.AnswersUnknownTokens, bugs.OmitsIdleNotices, bugs.Amplifies, bugs.RemembersTooLong,
    bugs.room_outlives_its_host, bugs.never_idles, bugs.never_times_out_handshakes, bugs.PadsRelays, bugs.NeverDrains,
    bugs.SendsNoticesOnce, bugs.frees_names_early, bugs.lets_anyone_take_over, bugs.TokensOutliveTheirRoom,
    bugs.NeverResetsTheIdleClock, bugs.NeverHalfCloses, bugs.ClosesStreamsEarly, bugs.DoesNotHearEnterWords,
]  # fmt: skip


def first_failure(make_engine: Callable[..., Any]) -> tuple[Scenario, Failure]:
    for seed in range(RUNS_MAX):
        scenario = generate(seed)
        failure, _ = failure_of(scenario, make_engine=make_engine)
        if failure is not None:
            return scenario, failure
    raise AssertionError(f"{RUNS_MAX} runs found nothing")


@pytest.mark.parametrize("bug", FOUND, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found_and_shrunk_to_a_handful_of_steps(bug: Any) -> None:
    scenario, found = first_failure(bug)
    shrunk = Shrinker(found, bug).shrink(scenario)
    assert 1 <= len(shrunk.script) <= STEPS_MAX
    again = read_scenario_text(write_scenario(shrunk), "again.yaml")
    failure, _ = failure_of(again, make_engine=bug)
    assert failure is not None
    assert failure.kind == found.kind
    assert failure_of(again)[0] is None  # without the bug it holds


def test_the_engine_fails_in_none_of_300_scenarios() -> None:
    tally = run_batch(range(50_000, 50_300))
    assert (tally.runs, tally.failures) == (300, [])


def test_a_fault_of_our_own_code_is_a_failure_with_the_place_where_it_is() -> None:
    class Faulty(Planted):
        def receive_datagram(self, *args: Any) -> Any:
            raise ZeroDivisionError("by hand")

    scenario, failure = first_failure(Faulty)
    assert failure.kind == "ZeroDivisionError in test_swarm.receive_datagram"
    assert len(Shrinker(failure, Faulty).shrink(scenario).script) <= 2


def test_a_scenario_that_never_ends_is_a_failure_too_and_is_shrunk() -> None:
    class Hangs(Planted):
        def shutdown(self, now_us: int) -> Any:
            while True:
                now_us += 1

    scenario = next(each for each in map(generate, range(RUNS_MAX)) if any(_is_shutdown(step) for step in each.script))
    failure, verdict = failure_of(scenario, make_engine=Hangs, seconds_max=0.2)
    assert verdict is None
    assert failure is not None
    assert failure.kind == TIMED_OUT
    assert "0.2 s" in failure.what
    shrunk = Shrinker(failure, Hangs, seconds_max=0.2).shrink(scenario)
    assert [step.action for step in shrunk.script] == [Shutdown()]
    assert failure_of(scenario)[0] is None  # and the timer is off again


def test_a_scenario_that_never_ends_is_stopped_in_another_thread_too() -> None:
    class Hangs(Planted):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            while True:
                pass

    with ThreadPoolExecutor(1) as pool:
        failure, _ = pool.submit(failure_of, generate(0), make_engine=Hangs, seconds_max=0.2).result()
        assert failure is not None
        assert failure.kind == TIMED_OUT
        assert pool.submit(failure_of, generate(0)).result()[0] is None


def test_of_settings_that_change_only_those_that_matter_are_left() -> None:
    class Faulty(Planted):
        def set_limits(self, limits: Limits) -> None:
            if limits.members_max != self.config.limits.members_max:
                raise ZeroDivisionError("by hand")
            self.engine.set_limits(limits)

    scenario, kind = first_failure(Faulty)
    shrunk = Shrinker(kind, Faulty).shrink(scenario)
    [step] = shrunk.script
    assert isinstance(step.action, SetLimits)
    assert [name for name, _ in step.action.settings] == ["members_max"]


def _is_shutdown(step: Step) -> bool:
    return isinstance(step.action, Shutdown)


def test_everything_that_a_swarm_must_meet_has_a_claim() -> None:
    assert set(SOMETIMES) == set(Sometimes)


def test_users_of_a_swarm_speak_every_dialect_in_one_room_and_share_names_addresses_and_dialects() -> None:
    scenarios = [generate(seed) for seed in range(200)]
    everyone = [[user for user in each.users if not user.attacker] for each in scenarios]
    assert any({user.dialect for user in users} == set(DIALECTS) for users in everyone)
    twins = [
        (one.dialect == other.dialect, one.address)
        for users in everyone
        for one, other in combinations(users, 2)
        if one.name == other.name and (one.address or "10.0.0.1") == other.address
    ]
    assert {is_alike for is_alike, _ in twins} == {True, False}
    assert any(":" in (user.address or "") for users in everyone for user in users)


def test_requests_by_hand_stand_on_each_side_of_the_bounds() -> None:
    sizes = {len(draw_request(Dice("sizes", seed), "lobby", 120)) for seed in range(300)}
    assert {119, 120, 121} <= sizes
    names = {draw_request(Dice("names", seed), "lobby", 4096) for seed in range(600)}
    assert any(b"a" * 255 in each and b"a" * 256 not in each for each in names)
    assert any(b"a" * 256 in each for each in names)


def test_one_seed_gives_one_scenario_which_survives_writing_and_reading() -> None:
    for seed in range(30):
        assert generate(seed) == generate(seed)
        again = read_scenario_text(write_scenario(generate(seed)), "again.yaml")
        assert Run(again).go().digest == Run(generate(seed)).go().digest
    assert len({write_scenario(generate(seed)) for seed in range(30)}) == 30


def test_knobs_are_obeyed() -> None:
    for seed in range(20):
        scenario = generate(seed, Knobs(users=2, steps=7, attackers=True, faults_of_server=False))
        assert {user.id for user in scenario.users} == {"ann", "bob", MALLORY}
        assert not any(step.actor == "server" for step in scenario.script)


ON_A_BAD_LINE = """
claim: bob hears alice on a bad line
network: {default: {delay: 5ms..20ms, loss: 20%}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 1s, carol: {join: lobby}}
  - {every: 1s, times: 3, at: 3s, carol: {say: "y"}}
  - {at: 5s, alice: {say: "hello?"}}
  - {at: 6s, alice: {say: "still there?"}}
expect:
  - {carol: {state: in-room}}
  - {bob: {sees: ["hello?"]}}
"""


def test_a_swarm_of_a_file_judges_its_claim_and_shrinks_what_is_unmet_for_the_same_reason() -> None:
    scenario = read_scenario_text(ON_A_BAD_LINE, "line.yaml")
    tally = run_batch(range(30), scenarios=[scenario])
    held, runs = tally.held["line.yaml"]
    assert (runs, held) == (30, 30 - len(tally.failures))
    assert held == sum(Run(scenario, seed=seed).go().holds for seed in range(30))
    assert 0 < held < 30
    seed, failure = next(each for each in tally.failures if "the relay to bob was dropped" in each[1].what)
    assert failure.kind == 'unmet: {bob: {sees: ["hello?"]}}'
    shrunk = Shrinker(failure).shrink(scenario_of(seed, Knobs(), [scenario]))
    assert [step.actor for step in shrunk.script] == ["alice", "bob", "alice"]
    assert [each.text for each in shrunk.expect] == ['{bob: {sees: ["hello?"]}}']
    again, _ = failure_of(read_scenario_text(write_scenario(shrunk)))
    assert again is not None
    assert again.how == failure.how == "'hello?' was said by alice at N s; the relay to bob was dropped at N s: loss"


def test_a_step_that_waits_for_ever_is_a_failure_of_the_claim_too() -> None:
    waits = "claim: a\nscript:\n  - {at: 0s, alice: {create: lobby}}\n  - {when: {bob: in-room}, bob: leave}\n"
    failure, verdict = failure_of(read_scenario_text(waits))
    assert verdict is not None
    assert failure is not None
    assert failure.kind.startswith("never taken: bob.leave")
