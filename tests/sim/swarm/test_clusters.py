"""Random clusters: what is drawn can be written and read, planted bugs are found, and what is found gets shorter."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tcrp.cluster.messages import Message
from tcrp.cluster.node import ClusterNode, NodeConfig
from tcrp.cluster.outputs import Answer, NodeOutput
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.writer import write_scenario
from tcrp.sim.swarm.failures import failure_of
from tcrp.sim.swarm.generator import Knobs, generate
from tcrp.sim.swarm.shrink import Shrinker
from tcrp.sim.swarm.sometimes import Sometimes, SometimesCoverage

CALM = Knobs(
    servers=3, users=3, steps=4, horizon_us=5_000_000, attackers=False, faults_of_users=False, faults_of_server=False,
    faults_of_network=False, heals=False,
)  # fmt: skip
"""Nothing goes wrong but with servers."""
UNTIL_US = 26_000_000


class LosesHandOver(ClusterNode):
    """An owner that gives its rooms away and names nobody."""

    def __init__(self, config: NodeConfig, **options: object) -> None:
        super().__init__(config, **options)  # type: ignore[arg-type]
        self.ownership._name_successor = lambda *_: None  # type: ignore[method-assign]


class TakesStale(ClusterNode):
    """A gateway that does not look at the fencing number."""

    def _deliver(self, message: Message) -> None:
        at = self.ownership.rooms.get(message.room)
        super()._deliver(message._replace(fence=max(message.fence, at.fence if at is not None else 0)))


class CountsTooLong(ClusterNode):
    """An owner whose clock is slow: it counts its lease for twice as long as the others do."""

    def bucket_answered(self, ask: int, answer: Answer, now_us: int) -> list[NodeOutput]:
        before_us = self.lease.until_us
        outputs = super().bucket_answered(ask, answer, now_us)
        if self.lease.until_us != before_us:
            self.lease.until_us += self.lease.lease_us
        return outputs


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_cluster_is_written_and_read_back(seed: int) -> None:
    scenario = generate(seed, Knobs(servers=2 + seed % 2))
    assert len(scenario.servers) == 2 + seed % 2
    written = write_scenario(scenario)
    assert write_scenario(read_scenario_text(written)) == written


def test_few_scenarios_have_several_servers_and_those_of_one_are_as_they_were() -> None:
    drawn = [generate(seed) for seed in range(300)]
    assert 1 <= sum(bool(each.servers) for each in drawn) <= 20
    assert all(each == generate(seed, Knobs(servers=1)) for seed, each in enumerate(drawn) if not each.servers)


@pytest.mark.parametrize(
    ("seed", "bug", "kind"),
    [
        (26, LosesHandOver, "handover-loses-no-session"),
        (11, CountsTooLong, "one-owner-relays"),
        (26, TakesStale, "no-stale-output"),
    ],
)
def test_a_planted_bug_is_found(seed: int, bug: type[ClusterNode], kind: str) -> None:
    scenario = replace(generate(seed, CALM), until_us=UNTIL_US)
    assert failure_of(scenario)[0] is None
    failure, _ = failure_of(scenario, make_node=bug)
    assert failure is not None
    assert failure.kind == kind


def test_a_lost_handover_is_shrunk_to_a_scenario_that_replays() -> None:
    scenario = replace(generate(26, CALM), until_us=UNTIL_US)
    failure, _ = failure_of(scenario, make_node=LosesHandOver)
    assert failure is not None
    shrunk = Shrinker(failure, runs_max=5, make_node=LosesHandOver).shrink(scenario)
    assert len(shrunk.script) < len(scenario.script)
    again = Run(read_scenario_text(write_scenario(shrunk)), make_node=LosesHandOver).go()
    assert again.violation is not None
    assert again.violation.property == failure.kind


@pytest.mark.parametrize(("seed", "met"), [(193, {Sometimes.HANDED_OVER}), (746, {Sometimes.RECOVERED}), (277, set())])
def test_a_swarm_counts_the_rooms_that_go_on_elsewhere(seed: int, met: set[Sometimes]) -> None:
    coverage = SometimesCoverage()
    run = Run(generate(seed))
    assert run.trace is not None, "it keeps one"
    run.trace.listeners.append(coverage.hear)
    run.go()
    assert {each for each in (Sometimes.HANDED_OVER, Sometimes.RECOVERED) if coverage.counts[each]} == met


class NeverDone(ClusterNode):
    """A server that wants to be called for what it has just done."""

    def next_deadline_us(self) -> int | None:
        return 0


def test_a_server_that_is_woken_for_nothing_ends_the_run() -> None:
    with pytest.raises(AssertionError, match="is woken for something that it does not do"):
        Run(generate(0, CALM), make_node=NeverDone).go()
