"""Scenarios for Hypothesis: `@given(scenarios())` in your tests. Needs Hypothesis, which tcrp does not install."""

from __future__ import annotations

from hypothesis import strategies as st

from tcrp.sim.scenario.model import Scenario
from tcrp.sim.swarm.generator import NAMES, Knobs, generate

SEED_MAX = 2**32 - 1


def scenarios(*, steps_max: int = 40, users_max: int = len(NAMES)) -> st.SearchStrategy[Scenario]:
    """Random scenarios, as in a swarm. They shrink to fewer users, fewer steps and fewer kinds of faults."""
    knobs = st.builds(
        Knobs,
        users=st.integers(1, users_max),
        steps=st.integers(1, steps_max),
        faults_of_users=st.booleans(),
        faults_of_server=st.booleans(),
        faults_of_network=st.booleans(),
        attackers=st.booleans(),
        heals=st.booleans(),
    )
    return st.builds(generate, st.integers(0, SEED_MAX), knobs)
