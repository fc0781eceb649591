"""The header of a simulated run's trace, from its scenario."""

from __future__ import annotations

import platform

from tcrp.cli.version import tcrp_version
from tcrp.sim.scenario.model import Scenario
from tcrp.trace.header import CastMember, Header, Mode, written_limits


def versions() -> dict[str, str]:
    """What a trace says it was written with."""
    return {"python": platform.python_version(), "tcrp": tcrp_version()}


def scenario_header(scenario: Scenario, seed: int, name: str | None = None) -> Header:
    """The header of a run of `scenario` with `seed`; `name` is the scenario's file, if not the one it was read from."""
    return Header(
        mode=Mode.SIMULATED,
        scenario=scenario.path if name is None else name,
        seed=seed,
        versions=versions(),
        cast={user.id: CastMember(user.name, user.dialect, user.address) for user in scenario.users},
        limits=written_limits(scenario.limits),
        dialects=tuple(sorted({user.dialect for user in scenario.users})),
    )
