"""What is to be looked at: a trace, or a scenario that is run for it; of a failure's bundle, its scenario."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tcrp.cli.exits import UsageError
from tcrp.cli.failure_artifacts import SCENARIO, TRACE
from tcrp.cli.trace_headers import scenario_header
from tcrp.sim.network.packets import Packet
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario
from tcrp.trace.header import Header
from tcrp.trace.reader import TraceError, read_trace
from tcrp.trace.records import Record
from tcrp.view.pcapng import Payload

SUFFIXES = (".yaml", ".yml")


@dataclass(slots=True)
class Played:
    """A run and everything that happened in it. `payloads` are by the number of the record that a packet was sent."""

    scenario: Scenario
    seed: int
    verdict: Verdict
    header: Header
    records: list[Record]
    payloads: dict[int, Payload] = field(default_factory=dict)


def find_source(name: str) -> Path:
    """The file that `name` stands for: of a bundle its scenario, or else its trace. Raises `UsageError`."""
    path = Path(name)
    if path.is_dir():
        for inside in (SCENARIO, TRACE):
            if (path / inside).is_file():
                return path / inside
        raise UsageError(f"{name}: no bundle of a failure: there is neither {SCENARIO} nor {TRACE} in this folder")
    if not path.exists():
        raise UsageError(f"{name}: there is no such file or folder")
    return path


def is_scenario(path: Path) -> bool:
    """Whether a file is a scenario by its name; any other is taken for a trace."""
    return path.suffix in SUFFIXES


def read_scenario_file(path: Path) -> Scenario:
    """The scenario in a file. Raises `UsageError`."""
    try:
        return read_scenario(path)
    except ScenarioError as error:
        raise UsageError(str(error)) from None


def play_for_a_look(scenario: Scenario, seed: int | None, *, keeps_payloads: bool = False) -> Played:
    """Run a scenario and keep its records. Raises `OurFault`."""
    from tcrp.cli.runs import play

    records: list[Record] = []
    payloads: dict[int, Payload] = {}

    def keep(packet: Packet) -> None:
        payloads[packet.record] = Payload(packet.data, packet.source, packet.target)

    run = Run(scenario, seed=seed, listeners=[records.append])
    if keeps_payloads:
        run.world.on_send = keep
    verdict = play(run)
    return Played(scenario, run.seed, verdict, scenario_header(scenario, run.seed), records, payloads)


def open_trace_file(path: Path) -> tuple[Header, Iterable[Record]]:
    """The header and records of a trace. Raises `UsageError`; the records raise `TraceError`."""
    try:
        return read_trace(path)
    except TraceError as error:
        raise UsageError(str(error)) from None
