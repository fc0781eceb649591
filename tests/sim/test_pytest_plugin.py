"""Scenarios as tests in somebody else's project, and for Hypothesis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import HealthCheck, find, given, settings

from tcrp.sim.run import Run
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.strategies import scenarios

HOLDS = (
    "claim: alice is alone\nscript:\n  - {at: 0s, alice: {create: lobby}}\nexpect:\n  - {room: lobby, state: open}\n"
)
FAILS = HOLDS.replace("state: open", "state: closed")
BROKEN = HOLDS.replace("claim", "clam")


def project(folder: Path, *options: str) -> tuple[int, str]:
    """Run pytest over a project of its own."""
    (folder / "sim" / "scenarios").mkdir(parents=True, exist_ok=True)
    (folder / "good.scenario.yaml").write_text(HOLDS)
    (folder / "other.yaml").write_text(FAILS)  # no scenario, by its name
    (folder / "bad.scenario.yaml").write_text(FAILS)
    (folder / "sim" / "scenarios" / "broken.yaml").write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_scenarios_are_collected_and_fail_with_what_came_nearest(tmp_path: Path) -> None:
    code, shown = project(tmp_path, "-v", "--junitxml=report.xml")
    assert code == 1
    assert "good.scenario.yaml::good PASSED" in shown
    assert "bad.scenario.yaml::bad FAILED" in shown
    assert "sim/scenarios/broken.yaml::broken FAILED" in shown
    assert "nearest: it was open" in shown
    assert "broken.yaml:1:1: unknown key 'clam'" in shown
    assert "Traceback" not in shown
    assert "other.yaml" not in shown
    cases = ElementTree.parse(tmp_path / "report.xml").getroot().iter("testcase")  # noqa: S314 (our own file)
    assert {case.get("name") for case in cases} == {"good", "bad", "broken"}


def test_another_seed_can_be_asked_for(tmp_path: Path) -> None:
    code, shown = project(tmp_path, "--tcrp-seed=42", "bad.scenario.yaml")
    assert code == 1
    assert "--seed 42" in shown


def test_a_scenario_that_claims_nothing_fails_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "empty.scenario.yaml").write_text(
        "claim: bob is heard\nscript:\n  - {at: 0s, bob: {join: lobby}}\n  - {at: 1s, bob: {say: x}}\n"
    )
    assert project(tmp_path, "empty.scenario.yaml")[0] == 0
    code, shown = project(tmp_path, "--tcrp-strict", "empty.scenario.yaml", "good.scenario.yaml")
    assert code == 1
    assert "claims nothing, for there is no `expect:`: bob is heard" in shown
    assert "at 1 s bob could not do: spoke" in shown
    assert "the request of bob was refused (no_such_room)" in shown
    assert "1 failed, 1 passed" in shown


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(steps_max=15))
def test_scenarios_of_the_strategy_break_no_property(scenario: Scenario) -> None:
    assert Run(scenario).go().violation is None


def test_scenarios_of_the_strategy_shrink() -> None:
    smallest = find(
        scenarios(), lambda scenario: len(scenario.script) >= 3,
        settings=settings(max_examples=200, deadline=None, database=None, derandomize=True),
    )  # fmt: skip
    assert len(smallest.script) == 3
    assert len(smallest.users) == 1
