"""A run whose packets can be given other fates: it is run again from the beginning, and differs from there on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from msgspec.structs import replace

from tcrp.cli.exits import UsageError
from tcrp.cli.sources import find_source, is_scenario, play_for_a_look, read_scenario_file
from tcrp.sim.run import Verdict
from tcrp.sim.scenario.model import At, Place, Scenario, SetFate, Step
from tcrp.sim.scenario.steps import numbered
from tcrp.sim.scenario.writer import write_scenario
from tcrp.sim.script import NETWORK
from tcrp.trace.plural import counted
from tcrp.trace.reader import TraceError
from tcrp.view.index import TraceIndex


@dataclass(frozen=True, slots=True)
class Opened:
    """A trace to step through. One that a scenario was run for can be run again with other fates of packets."""

    index: TraceIndex
    scenario: Scenario | None = None
    seed: int | None = None
    verdict: Verdict | None = None
    fates: tuple[SetFate, ...] = ()

    @property
    def violations(self) -> dict[int, str]:
        """What is wrong, by the record that shows it."""
        if self.verdict is None:
            return {}
        found = {miss.n: f"expected {miss.expectation.text}: {miss.nearest}" for miss in self.verdict.misses if miss.n}
        if (violation := self.verdict.violation) is not None:
            found[violation.n] = f"{violation.property}: {violation.what}"
        return found

    @property
    def misses(self) -> list[str]:
        """What is wrong of which no record shows anything."""
        if self.verdict is None:
            return []
        found = [f"expected {miss.expectation.text}: {miss.nearest}" for miss in self.verdict.misses if not miss.n]
        return found + [f"never taken: {step.id}" for step in self.verdict.never_taken]


def open_source(name: str, seed: int | None) -> Opened:
    """What a scenario, bundle or trace holds. Raises `UsageError`."""
    path = find_source(name)
    if is_scenario(path):
        return run_with_fates(read_scenario_file(path), seed, ())
    if seed is not None:
        raise UsageError("--seed is for scenarios; a trace is of one run")
    return Opened(_index_of_file(path))


def _index_of_file(path: Path) -> TraceIndex:
    with path.open("rb") as file:
        try:
            data: bytes | mmap = mmap(file.fileno(), 0, access=ACCESS_READ)
        except (ValueError, OSError):  # empty, or no file that can be mapped
            data = file.read()
    try:
        index = TraceIndex(data, str(path))
    except TraceError as error:
        raise UsageError(f"{error}\nchat-sim step takes a trace, a scenario (*.yaml) or a bundle of a swarm") from None
    if not len(index):
        raise UsageError(f"{path}: the trace holds no record")
    return index


def run_with_fates(scenario: Scenario, seed: int | None, fates: Sequence[SetFate]) -> Opened:
    """The run of a scenario in which these packets have these fates. Raises `OurFault`."""
    played = play_for_a_look(with_fates(scenario, fates), seed)
    lines = [played.header.line(), *(record.line() for record in played.records), ""]
    index = TraceIndex("\n".join(lines).encode("utf-8", "replace"), scenario.path)
    if not len(index):
        raise UsageError(f"{scenario.path}: nothing happens in this scenario")
    return Opened(index, scenario, played.seed, played.verdict, tuple(fates))


def with_fates(scenario: Scenario, fates: Sequence[SetFate]) -> Scenario:
    """The scenario with a step of the network before all others for each packet that has a fate."""
    place = Place(1, 1)
    added = [Step("", row, NETWORK, fate, At(0), place) for row, fate in enumerate(fates)]
    rows = [*range(len(added)), *(step.row + len(added) for step in scenario.script)]
    return replace(scenario, script=numbered([*added, *scenario.script], rows))


def save(opened: Opened, path: Path) -> None:
    """Write the scenario with its fates to a new file. Raises `OSError`."""
    assert opened.scenario is not None, "there are fates only where there is a scenario"
    scenario = with_fates(opened.scenario, opened.fates)
    if opened.seed is not None:
        scenario = replace(scenario, seed=opened.seed)
    with path.open("x", encoding="utf-8") as file:
        file.write(
            write_scenario(
                scenario, [f"{opened.scenario.path} with other fates of {counted(len(opened.fates), 'packet')}"]
            )
        )
