"""Scenarios as tests for pytest: `*.scenario.yaml` anywhere, and every `*.yaml` in a folder `sim/scenarios`.

Comes with the installed package. `--tcrp-seed N` draws everything from another seed, `--tcrp-strict` fails
scenarios that claim nothing; node ids, selection and JUnit reports are pytest's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tcrp.sim.run import Verdict

ENDING = ".scenario.yaml"
FOLDER = ("sim", "scenarios")


class DoesNotHold(Exception):
    """A scenario's claim does not hold, or there is none. `str()` says what came nearest, and how to replay it."""

    def __init__(self, verdict: Verdict) -> None:
        from tcrp.sim.evaluate import seconds
        from tcrp.sim.fate import fate_of
        from tcrp.sim.run import records_of

        lines = [f"does not hold: {verdict.scenario.claim}"]
        if verdict.holds:
            lines = [f"claims nothing, for there is no `expect:`: {verdict.scenario.claim}"]
            lines += [f"at {seconds(each.t_us)} {each.actor} could not do: {each.event} ({each.why})"
                      for each in verdict.refused_steps]  # fmt: skip
            lines += [f"at {seconds(each.t_us)} the request of {each.actor} was refused ({each.why})"
                      for each in verdict.refused_requests]  # fmt: skip
        if verdict.violation is not None:
            lines.append(f"property {verdict.violation.property}: {verdict.violation.what}")
        path = verdict.scenario.path
        never = "waited for a state or packet that never came"
        lines += [f"{path}:{step.place.line}: {never}" for step in verdict.never_taken]
        records = records_of(verdict) if verdict.misses else []
        for miss in verdict.misses:
            lines.append(f"{path}:{miss.expectation.place.line}: expected {miss.expectation.text}")
            lines.append(f"    nearest: {miss.nearest}")
            if (fate := fate_of(miss, verdict.scenario, records)) is not None:
                lines.append(f"    fate: {fate.what}")
        lines.append(f"replay: chat-sim run {path} --seed {verdict.seed}")
        super().__init__("\n".join(lines))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of this plugin."""
    group = parser.getgroup("tcrp", "scenarios of tcrp")
    group.addoption("--tcrp-seed", type=int, default=None, help="run scenarios with this seed, not their own")
    group.addoption("--tcrp-strict", action="store_true", help="fail scenarios that claim nothing (no `expect:`)")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Scenario files are collected."""
    in_folder = file_path.suffix == ".yaml" and FOLDER in zip(file_path.parts, file_path.parts[1:], strict=False)
    if file_path.name.endswith(ENDING) or in_folder:
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """A file with one scenario."""

    def collect(self) -> Iterator[ScenarioItem]:
        yield ScenarioItem.from_parent(self, name=self.path.name.removesuffix(".yaml").removesuffix(".scenario"))


class ScenarioItem(pytest.Item):
    """One scenario, run once."""

    def runtest(self) -> None:
        from tcrp.sim.run import Run  # a session without scenarios needs no simulator
        from tcrp.sim.scenario.reader import read_scenario

        verdict = Run(read_scenario(self.path), seed=self.config.getoption("--tcrp-seed")).go()
        if not verdict.holds or (verdict.claims_nothing and self.config.getoption("--tcrp-strict")):
            raise DoesNotHold(verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from tcrp.sim.scenario.errors import ScenarioError

        if isinstance(excinfo.value, DoesNotHold | ScenarioError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name
