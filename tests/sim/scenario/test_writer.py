"""What is written reads back as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tcrp.sim.scenario.model import Place, Scenario
from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.sim.scenario.writer import write_scenario

SCENARIOS = sorted((Path(__file__).parents[3] / "sim" / "scenarios").glob("*.yaml"))
HERE = Place(0, 0)


def without_places(scenario: Scenario) -> Scenario:
    """What a story says, wherever it stands; a crowd's members are users like others by then."""
    return replace(
        scenario,
        path="",
        expect=tuple(replace(each, place=HERE, text="") for each in scenario.expect),
        users=tuple(replace(user, crowd=None, number=0) for user in scenario.users),
        network=replace(scenario.network, links=tuple(replace(rule, place=HERE) for rule in scenario.network.links)),
        script=tuple(replace(step, place=HERE, row=0) for step in scenario.script),
    )


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_a_scenario_that_is_written_reads_back_as_it_was(file: Path) -> None:
    scenario = read_scenario(file)
    if any(user.crowd for user in scenario.users):
        scenario = replace(scenario, script=scenario.script[:50])
    again = read_scenario_text(write_scenario(scenario, ["a comment"]), "again.yaml")
    assert without_places(again) == without_places(scenario)
