"""Running one story of a swarm, and what a failure is: a property that does not hold, or a fault of our own code."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tcrp.engine.server import ServerEngine
from tcrp.engine.trace import Record
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.server_host import EngineFactory
from tcrp.sim.shadow import Shadows


class Failure(NamedTuple):
    """What went wrong. `kind` is the property's name, or what our code raised and where: one kind, one fault."""

    kind: str
    what: str


def failure_of(
    scenario: Scenario,
    *,
    make_engine: EngineFactory = ServerEngine,
    listeners: Iterable[Callable[[Record], None]] = (),
    shadows: Shadows | None = None,
) -> tuple[Failure | None, Verdict | None]:
    """Run a story. Gives how it failed, if it did, and its verdict, if it came to one."""
    try:
        verdict = Run(scenario, make_engine=make_engine, listeners=listeners, shadows=shadows).go()
    except Exception as error:  # our own code's fault, whatever it is: that is what a swarm looks for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} in {Path(frame.filename).stem}.{frame.name}"
        return Failure(kind, str(error) or kind), None
    violation = verdict.violation
    return (Failure(str(violation.property), violation.what) if violation is not None else None), verdict
