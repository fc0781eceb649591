"""Breadth-first search: every state within reach, level by level, so that the first way to one is a shortest one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path as FilePath
from time import monotonic, process_time
from typing import Any

from tcrp.explore.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tcrp.explore.level import Level
from tcrp.explore.model import ArrayModel, Bounds, Exploration, Model, PackedModel, Path, Progress, Violation
from tcrp.explore.partition import Report, canonical
from tcrp.explore.team import MakeModel, Team

OnProgress = Callable[[Progress], None]
CHECKPOINT_EVERY_SECONDS = 60.0
SPREAD_FROM = 1000  # states to expand: fewer are expanded sooner by one process


def breadth_first(
    make_model: MakeModel,
    bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
    *,
    jobs: int = 1,
    on_progress: OnProgress = lambda _: None,
    checkpoint: FilePath | None = None,
    resume: bool = False,
    is_interrupted: Callable[[], bool] = lambda: False,
    together: bool = False,
) -> Exploration[Any]:
    """Visit every state, up to the bounds. Ends with the level in which a property is first seen not to hold.

    The results are the same for every number of `jobs`: processes that share the work, from when all have started and
    there is enough of it; `together`: from the beginning. With `checkpoint`, what is known is written there once a
    minute and at the end of a search that was cut; `resume` goes on from it. Ctrl-C cuts the search like a bound;
    so does `is_interrupted`, which is asked between slices, in good order.
    Raises `CheckpointError` for a file that does not fit, `WorkerError` for a model that raised, and `HelperLost`.
    """
    with Team(make_model, jobs) as team:
        search = _Search(make_model(), team, bounds, on_progress, checkpoint, is_interrupted, together)
        try:
            search.run(resume)
            search.result.notes = search.notes()
        except KeyboardInterrupt:
            search.result.cut = "interrupted"
        return search.result


class _Search:
    def __init__(
        self,
        model: Model[Any] | PackedModel | ArrayModel,
        team: Team,
        bounds: Bounds,
        on_progress: OnProgress,
        checkpoint: FilePath | None,
        is_interrupted: Callable[[], bool],
        together: bool,
    ) -> None:
        self.result: Exploration[Any] = Exploration(model.name, Progress())
        self._model = model
        self._team = team
        self._bounds = bounds
        self._on_progress = on_progress
        self._checkpoint = checkpoint
        self._is_interrupted = is_interrupted
        self._together = together
        self._earlier: list[Any] = []  # notes
        self._broken: dict[str, int] = {}  # by property the smallest state in this level that breaks it
        self._began = self._saved = self._started = monotonic()  # `_began`: as if all was one search
        self._processor_began = process_time()

    def run(self, resume: bool) -> None:
        """Level after level, until nothing is left, a bound is reached, or a property does not hold."""
        result, team = self.result, self._team
        if resume and self._checkpoint is not None:
            frontier = self._resume(self._checkpoint)
        else:
            result.levels = [0]
            for report in team.ask("start"):
                self._take_in(report, depth=0)
            self._find_ways(depth=0)
            frontier = result.progress.frontier = result.levels[0]
        while frontier and not result.violations:
            result.cut = self._bound_reached()
            if result.cut:
                self._tell()
                self._save()
                return
            if self._together or frontier >= SPREAD_FROM:
                team.spread(waits=self._together)
            result.progress.processes = team.jobs
            result.cut = self._level()
            self._find_ways(result.progress.depth + 1)
            if result.cut:
                if not result.violations:
                    self._save()
                return
            sizes = team.ask("end_level")
            frontier = sum(sizes)
            if frontier:
                result.progress.depth += 1
            else:
                result.levels.pop()
            result.progress.frontier = frontier
            self._tell()
            if monotonic() - self._saved > CHECKPOINT_EVERY_SECONDS:
                self._save()
        self._tell()

    def notes(self) -> list[Any]:
        """What each process says, those of an earlier search too."""
        return [*self._earlier, *self._team.ask("notes")]

    # --- one level -------------------------------------------------------------------------------

    def _level(self) -> str:
        """Expand the whole frontier, or say what cut it."""
        depth = self.result.progress.depth + 1
        if len(self.result.levels) == depth:  # else an earlier search began it
            self.result.levels.append(0)
        return Level(self._team, lambda report: self._take_in(report, depth), self._cut_within_level).work_off()

    def _cut_within_level(self) -> str:
        self._tell()
        if self._bounds.seconds is not None and monotonic() - self._started >= self._bounds.seconds:
            return "time"
        return "interrupted" if self._is_interrupted() else ""

    def _take_in(self, report: Report, depth: int) -> None:
        result = self.result
        result.progress.distinct += report.new
        result.progress.generated += report.generated
        result.levels[depth] += report.new
        for name in sorted(report.met):
            result.met.setdefault(name, depth)
        for name, mark in report.violations:
            self._broken[name] = min(mark, self._broken.get(name, mark))

    def _find_ways(self, depth: int) -> None:
        """Of each property that a level breaks the violation with the smallest fingerprint, whoever found it when."""
        self.result.violations += [Violation(name, self._path(mark, depth)) for name, mark in self._broken.items()]
        self._broken.clear()

    # --- the way to a state ----------------------------------------------------------------------

    def _path(self, mark: int, depth: int) -> Path[Any]:
        """A shortest way to the state with this fingerprint."""
        marks = [mark]
        for at in range(depth, 0, -1):
            parents = [each for each in self._team.ask("parent", marks[-1], at) if each is not None]
            marks.append(min(parents))
        marks.reverse()
        model = self._model
        if isinstance(model, PackedModel | ArrayModel):
            return Path(marks[0], tuple((model.explain(a, b), b) for a, b in pairwise(marks)))
        return follow(model, marks)

    # --- bounds and checkpoints ------------------------------------------------------------------

    def _bound_reached(self) -> str:
        bounds, progress = self._bounds, self.result.progress
        if bounds.depth is not None and progress.depth >= bounds.depth:
            return "depth"
        if bounds.states is not None and progress.distinct >= bounds.states:
            return "states"
        if bounds.seconds is not None and monotonic() - self._started >= bounds.seconds:
            return "time"
        return "interrupted" if self._is_interrupted() else ""

    def _tell(self) -> None:
        now = monotonic()
        self.result.progress.seconds = now - self._began
        self.result.progress.processor_seconds = process_time() - self._processor_began + self._team.more_seconds
        self.result.progress.memory_bytes = self._team.memory_bytes()
        self._on_progress(replace(self.result.progress))

    def _save(self) -> None:
        if self._checkpoint is not None:
            result = self.result
            saved = Checkpoint(
                result.model, list(result.levels), dict(result.met), result.progress, self._team.ask("save"),
                self.notes(),
            )  # fmt: skip
            write_checkpoint(self._checkpoint, saved)
            self._saved = monotonic()

    def _resume(self, file: FilePath) -> int:
        saved = read_checkpoint(file, self._model.name)
        self._team.load(saved.partitions)
        self.result.levels, self.result.met = saved.levels, saved.met
        self.result.progress = replace(saved.progress, processes=self._team.jobs)
        self._earlier = saved.notes
        self._began -= saved.progress.seconds
        self._processor_began -= saved.progress.processor_seconds
        return saved.progress.frontier


def follow(model: Model[Any], marks: list[int]) -> Path[Any]:
    """The path through the states with these fingerprints."""
    state = next(each for each in model.initial if canonical(model, each)[1] == marks[0])
    start, steps = state, []
    for mark in marks[1:]:
        step, state = next(each for each in model.successors(state) if canonical(model, each[1])[1] == mark)
        steps.append((step, state))
    return Path(start, tuple(steps))
