"""Runs one scenario of a swarm and says whether it failed.

It fails if a property does not hold, if an expectation is unmet, if a step waits for a state that never comes,
if our own code raises, or if the run does not end in time. Random scenarios have no expectations.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tcrp.engine.server import ServerEngine
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.fate import fate_of
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.swarm.cpu_time import RunTimedOut, within
from tcrp.spec.names import Property
from tcrp.trace.records import Record

if TYPE_CHECKING:
    from tcrp.cluster.node import ClusterNode

SCENARIO_SECONDS_MAX = 60.0
"""CPU time after which a run is stopped and counted as a failure: thousands of times what most take."""

TIMED_OUT = "timed out"
"""The kind of a failure whose run was stopped."""


NUMBER = re.compile(r"\d+(\.\d+)?")
BROKEN_RULE = re.compile(r": (R-[A-Z]+-\d): the reference gives ")


UNMET = "unmet: "
"""The kind of a failure of the claim begins with this; then comes the expectation as written."""


class Failure(NamedTuple):
    """What went wrong. `kind` is the property's name, or what our code raised and where: one kind, one fault.

    `how` tells failures of one kind apart that have different reasons: the fate of what an expectation waited for,
    without its numbers; of a difference from the reference server the rule.
    """

    kind: str
    what: str
    how: str = ""


def failure_of(
    scenario: Scenario,
    *,
    make_engine: EngineFactory = ServerEngine,
    make_node: type[ClusterNode] | None = None,
    listeners: Iterable[Callable[[Record], None]] = (),
    shadows: Shadows | None = None,
    leave_out: Iterable[Property] = (),
    seconds_max: float = SCENARIO_SECONDS_MAX,
) -> tuple[Failure | None, Verdict | None]:
    """Run a scenario. Returns its failure, if it failed, and its verdict, if the run ended."""
    records: list[Record] = []
    keeps = [records.append] if scenario.expect else []
    try:
        with within(seconds_max):
            listeners = [*listeners, *keeps]
            run = Run(
                scenario,
                make_engine=make_engine,
                make_node=make_node,
                listeners=listeners,
                shadows=shadows,
                leave_out=leave_out,
            )
            verdict = run.go()
    except RunTimedOut:
        return Failure(TIMED_OUT, f"the run did not end within {seconds_max:g} s of CPU time"), None
    except Exception as error:  # any exception is a fault of our own code, which a swarm is to find
        return failure_by(error), None
    return _failure_of_verdict(verdict, records), verdict


def failure_by(error: Exception) -> Failure:
    """The failure that our own code raised this."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    kind = f"{type(error).__name__} in {Path(frame.filename).stem}.{frame.name}"
    return Failure(kind, str(error) or kind)


def _failure_of_verdict(verdict: Verdict, records: list[Record]) -> Failure | None:
    violation = verdict.violation
    if violation is not None:
        is_of_reference = violation.property is Property.MATCHES_REFERENCE
        rule = BROKEN_RULE.search(violation.what) if is_of_reference else None
        return Failure(str(violation.property), violation.what, rule[1] if rule is not None else "")
    if verdict.misses:
        miss = verdict.misses[0]
        fate = fate_of(miss, verdict.scenario, records)
        what = f"{miss.nearest}; {fate.what}" if fate is not None else miss.nearest
        how = NUMBER.sub("N", fate.what if fate is not None else miss.nearest)
        return Failure(f"{UNMET}{miss.expectation.text}", what, how)
    if verdict.never_taken:
        step = verdict.never_taken[0]
        return Failure(f"never taken: {step.id}", "it waited for a state or packet that never occurred")
    return None
