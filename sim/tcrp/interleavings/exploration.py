"""One exploration of a scenario, from its bounds to what was found: for the command, the tests and the proofs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from tcrp.engine.server import ServerEngine
from tcrp.explore.fingerprints import collision_odds
from tcrp.explore.model import Bounds, Exploration, Path
from tcrp.explore.search import OnProgress, breadth_first
from tcrp.interleavings.counterexample import scenario_of
from tcrp.interleavings.parts import Broken
from tcrp.interleavings.program import program_of
from tcrp.interleavings.server_part import Seen
from tcrp.interleavings.steps import State
from tcrp.interleavings.timing import NoTimes
from tcrp.interleavings.world_model import MakeModel, Notes
from tcrp.sim.coverage import REFUSED, ROWS, Pair
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.scenario.model import Scenario
from tcrp.spec.names import Property

ALWAYS_JUDGED = frozenset((Property.NO_CLIENT_WAITS_FOR_EVER, Property.CLOSING_ROOMS_CLOSE))
"""What the world itself judges, where nothing happens any more."""


@dataclass(slots=True)
class Found:
    """What an exploration has found. `scenario` replays the violation; None: no moments fit its path, as `why` says."""

    result: Exploration[Any]
    rows: frozenset[Pair] = frozenset()
    refused: frozenset[Pair] = frozenset()
    judged: frozenset[Property] = frozenset()
    calls: int = 0
    broken: Broken | None = None
    path: Path[State] | None = None
    scenario: Scenario | None = None
    why: str = ""

    @property
    def missed_odds(self) -> float:
        """How likely it is that a state was taken for another."""
        return collision_odds(self.result.progress.distinct)

    @property
    def unreached(self) -> list[Pair]:
        """What the server's machines refuse, and was not offered to them within the bounds."""
        return [each for each in REFUSED if each not in self.refused]

    @property
    def rows_unreached(self) -> list[Pair]:
        """Rows of the machines that the server did not take within the bounds."""
        return [each for each in ROWS if each not in self.rows]


def explore(
    scenario: Scenario,
    bounds: Bounds,
    *,
    jobs: int = 1,
    on_progress: OnProgress = lambda _: None,
    checkpoint: FilePath | None = None,
    resume: bool = False,
    is_interrupted: Callable[[], bool] = lambda: False,
    make_engine: EngineFactory = ServerEngine,
) -> Found:
    """Explore the scenario. Raises `NotExplored`, `CheckpointError` and `WorkerError`."""
    make = MakeModel(program_of(scenario), make_engine)
    result = breadth_first(
        make, bounds, jobs=jobs, on_progress=on_progress, checkpoint=checkpoint, resume=resume,
        is_interrupted=is_interrupted,
    )  # fmt: skip
    found = _of_notes(result)
    world = make.world
    assert world is not None, "the search has made it"
    if result.violations:
        path = found.path = result.violations[0].path
        broken = found.broken = world.what_is_broken(path.end)
        assert broken is not None, "a path to a violation ends in one"
        try:
            found.scenario = scenario_of(world, path, broken, make_engine)
        except NoTimes as error:
            found.why = str(error)
    return found


def _of_notes(result: Exploration[Any]) -> Found:
    notes: list[Notes] = [each for each in result.notes if each is not None]
    seen: set[Seen] = set().union(*(each.seen for each in notes))
    pairs = {kind: frozenset((each.machine, each.state, each.event) for each in seen if each.kind == kind)
             for kind in ("step", "refuse")}  # fmt: skip
    judged = frozenset().union(*(each.judged for each in notes)) | ALWAYS_JUDGED
    return Found(result, pairs["step"], pairs["refuse"], judged, sum(each.calls for each in notes))  # type: ignore[arg-type]
