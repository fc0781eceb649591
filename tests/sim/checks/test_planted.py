"""Planted bugs: a server that breaks the protocol is caught, by the property that it breaks and by no luck.

The property that is to catch a bug is left out once: then the run must not be stopped by it, so no test here passes for
another reason.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from planted_bugs import PLANTED, DoesNotHearEnterWords, EngineMaker, run
from planting import Planted
from tcrp.engine.client import ClientEngine
from tcrp.engine.outputs import Detail
from tcrp.engine.server import ServerEngine
from tcrp.sim.hosts.user import UserHost
from tcrp.sim.network.tcp import Tcp
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Property


def test_every_property_has_a_bug_that_only_it_must_catch() -> None:
    with_a_story_of_their_own = {
        Property.NO_CLIENT_WAITS_FOR_EVER, Property.SPEAKERS_ARRIVE, Property.STREAMS_KEEP_ORDER,
        Property.MATCHES_REFERENCE,
    }  # fmt: skip
    assert {property for property, _ in PLANTED} | with_a_story_of_their_own == set(Property)


def test_a_speaker_who_never_arrives_is_caught_once_the_network_is_well() -> None:
    def verdict_of(loss_ends_at: str) -> Verdict:
        text = (
            "claim: a\nusers: {bob: {dialect: text}}\n"
            "script:\n  - {at: 0s, host: {create: lobby}}\n  - {at: 1s, bob: {join: lobby}}\n"
            "  - {at: 1s, network: {set: {loss: 100%}, from: bob, to: server}}\n"
            f"  - {{at: {loss_ends_at}, network: {{set: {{loss: 0%}}, from: bob, to: server}}}}\nuntil: 20s\n"
        )
        make_engine: EngineMaker = DoesNotHearEnterWords
        left_out = (Property.MATCHES_REFERENCE,)  # it sees at once what this property sees in the end
        return Run(read_scenario_text(text), make_engine=make_engine, leave_out=left_out).go()

    violation = verdict_of("3s").violation
    assert violation is not None
    assert violation.property is Property.SPEAKERS_ARRIVE
    assert verdict_of("19s").violation is None  # so soon after the last fault nobody can tell


def test_a_client_that_waits_for_ever_is_caught() -> None:
    def verdict_of(*, loses_timers: bool, leave_out: tuple[Property, ...] = ()) -> Verdict:
        story = read_scenario_text(
            "claim: a\nscript:\n  - {at: 0s, network: {stall: [bob, server], for: 60s}}\n"
            "  - {at: 1s, bob: {join: lobby}}\nuntil: 50s\n"
        )
        run = Run(story, leave_out=leave_out)
        if loses_timers:
            run.world.at(2 * SECOND_US, lose_timers, run.hosts.users["bob"], foreground=False)
        return run.go()

    def lose_timers(user: UserHost) -> None:
        assert user.engine is not None
        state = user.engine.freeze()
        assert state.timers, "it waits for its handshake to end"
        detail, now_us = Detail.EVERYTHING, user.local_us()
        user.engine = ClientEngine(user.engine.config, state=replace(state, timers=()), now_us=now_us, detail=detail)

    assert verdict_of(loses_timers=False).violation is None
    violation = verdict_of(loses_timers=True).violation
    assert violation is not None
    assert violation.property is Property.NO_CLIENT_WAITS_FOR_EVER
    assert verdict_of(loses_timers=True, leave_out=(Property.NO_CLIENT_WAITS_FOR_EVER,)).violation is None


STALLED = """
claim: a request that was held up arrives as it was sent
seed: %d
network: {default: {delay: 10ms..200ms, segment: 1..4}}
script:
  - {at: 0s, alice: {create: "a long name for a room"}}
  - {at: 300ms, network: {stall: [alice, server], for: 60ms}}
"""


def exchanges_what_waits(run: Run) -> Run:
    """While the stream is held up, the pieces that wait on it change places."""

    def exchange(tcp: Tcp) -> None:
        for connection in tcp._connections:
            pipe = connection.up
            numbers, packets = [each[0] for each in pipe.parked], [each[1] for each in pipe.parked]
            pipe.parked = list(zip(numbers, reversed(packets), strict=True))

    run.world.at(350_000, exchange, run.tcp, foreground=False)
    return run


def test_a_network_that_reorders_a_stream_is_caught() -> None:
    scenarios = [read_scenario_text(STALLED % seed) for seed in range(20)]
    assert [Run(each).go().violation for each in scenarios] == [None] * 20
    verdicts = [exchanges_what_waits(Run(each)).go() for each in scenarios]
    assert {each.violation.property for each in verdicts if each.violation is not None} == {Property.STREAMS_KEEP_ORDER}
    left_out = [
        exchanges_what_waits(Run(each, leave_out=(Property.STREAMS_KEEP_ORDER,))).go().violation for each in scenarios
    ]
    assert not any(each is not None and each.property is Property.STREAMS_KEEP_ORDER for each in left_out)


def test_without_a_bug_the_scenario_holds() -> None:
    assert run(ServerEngine).holds


def test_the_wrapper_of_the_engine_changes_nothing_by_itself() -> None:
    assert run(Planted).digest == run(ServerEngine).digest


@pytest.mark.parametrize(("property", "bug"), PLANTED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_planted_bug_is_caught_by_its_property_and_only_while_that_is_checked(
    property: Property, bug: EngineMaker
) -> None:
    caught: list[Property] = []
    while property not in caught:  # what other properties say of the same bug is not asked here
        violation = run(bug, tuple(caught)).violation
        assert violation is not None, f"{property} does not see it; {caught} do"
        caught.append(violation.property)
    violation = run(bug, tuple(caught)).violation
    assert violation is None or violation.property is not property
