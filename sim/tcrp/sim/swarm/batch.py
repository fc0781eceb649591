"""Runs a batch of scenarios one after another, and counts what they covered and which failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tcrp.engine.server import ServerEngine
from tcrp.sim.checks.shadow import Answers, Shadows
from tcrp.sim.coverage import Coverage
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.swarm.failures import Failure, failure_of
from tcrp.sim.swarm.generator import Knobs, generate
from tcrp.sim.swarm.sometimes import SometimesCoverage
from tcrp.spec.names import Property

if TYPE_CHECKING:
    from tcrp.cluster.node import ClusterNode

SHADOW_EVERY = 10
"""One run in ten has the library's machines as shadows; the others are compared with the answers recorded so far."""


@dataclass(slots=True)
class Tally:
    """The totals of a number of runs. `failures` are pairs of seed and failure."""

    runs: int = 0
    records: int = 0
    judged: dict[Property, int] = field(default_factory=lambda: dict.fromkeys(Property, 0))
    coverage: Coverage = field(default_factory=Coverage)
    sometimes: SometimesCoverage = field(default_factory=SometimesCoverage)
    failures: list[tuple[int, Failure]] = field(default_factory=list)
    held: dict[str, list[int]] = field(default_factory=dict)  # by a named scenario's path: seeds that held, and all

    def add(self, other: Tally) -> None:
        """Add the counts of another tally to this one."""
        self.runs += other.runs
        self.records += other.records
        for property, times in other.judged.items():
            self.judged[property] += times
        self.coverage.add(other.coverage)
        self.sometimes.add(other.sometimes)
        self.failures += other.failures
        for path, counts in other.held.items():
            self.count_held(path, *counts)

    def count_held(self, path: str, held: int, runs: int) -> None:
        """Add to the number of seeds with which the claim of a named scenario holds."""
        before = self.held.setdefault(path, [0, 0])
        before[0], before[1] = before[0] + held, before[1] + runs

    def unmet(self) -> list[str]:
        """What a swarm must have met but these runs have not, and the properties that were never checked."""
        return [*self.sometimes.missing(), *(property for property, times in self.judged.items() if not times)]


def scenario_of(seed: int, knobs: Knobs, scenarios: Sequence[Scenario]) -> Scenario:
    """The scenario of a seed: a random one, or one of `scenarios` under this seed."""
    if not scenarios:
        return generate(seed, knobs)
    return replace(scenarios[seed % len(scenarios)], seed=seed)


def run_batch(
    seeds: Iterable[int],
    knobs: Knobs = Knobs(),  # noqa: B008 (frozen)
    scenarios: Sequence[Scenario] = (),
    make_engine: EngineFactory = ServerEngine,
    reference_every: int = 1,
    *,
    make_node: type[ClusterNode] | None = None,
) -> Tally:
    """Run the scenarios of these seeds, one in `reference_every` beside the reference server."""
    tally = Tally()
    answers: Answers = {}
    for seed in seeds:
        listeners = [tally.coverage.hear, tally.sometimes.hear]
        shadows = Shadows() if seed % SHADOW_EVERY == 0 else Shadows(0, answers)
        scenario = scenario_of(seed, knobs, scenarios)
        left_out = () if seed % reference_every == 0 else (Property.MATCHES_REFERENCE,)
        failure, verdict = failure_of(
            scenario,
            make_engine=make_engine,
            make_node=make_node,
            listeners=listeners,
            shadows=shadows,
            leave_out=left_out,
        )
        tally.runs += 1
        if scenarios:
            tally.count_held(scenario.path, int(failure is None), 1)
        if failure is not None:
            tally.failures.append((seed, failure))
        if verdict is not None:
            tally.records += verdict.records
            tally.coverage.add_judged(verdict)
            for property, times in verdict.judged.items():
                tally.judged[property] += times
    return tally
