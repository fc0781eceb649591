"""Running one story of a swarm, and what a failure is.

A property that does not hold, a fault of our own code, or a story that does not come to its end.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from tcrp.engine.server import ServerEngine
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.model import Scenario
from tcrp.trace.records import Record

STORY_SECONDS_MAX = 60.0
"""Of processor time, after which a story counts as one that never ends: thousands of times what most take."""


NEVER_ENDS = "never ends"


class NeverEnds(Exception):
    """A story has taken too long."""


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
    seconds_max: float = STORY_SECONDS_MAX,
) -> tuple[Failure | None, Verdict | None]:
    """Run a story. Gives how it failed, if it did, and its verdict, if it came to one."""
    try:
        with _within(seconds_max):
            verdict = Run(scenario, make_engine=make_engine, listeners=listeners, shadows=shadows).go()
    except NeverEnds:
        return Failure(NEVER_ENDS, f"the story has not come to its end in {seconds_max:g} s"), None
    except Exception as error:  # our own code's fault, whatever it is: that is what a swarm looks for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} in {Path(frame.filename).stem}.{frame.name}"
        return Failure(kind, str(error) or kind), None
    violation = verdict.violation
    return (Failure(str(violation.property), violation.what) if violation is not None else None), verdict


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Break off what takes longer, where that can be done: in a main thread, on a system with such alarms."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _break_off)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _break_off(_signal: int, _frame: FrameType | None) -> None:
    raise NeverEnds
