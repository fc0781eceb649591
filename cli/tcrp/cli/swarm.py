"""`chat-sim swarm` and `shrink`: random scenarios on every core, with progress and a report."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import signal
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from tcrp.cli import branches
from tcrp.cli.console import console_for
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, INTERRUPTED, OutputLost, UsageError, complain
from tcrp.cli.failure_artifacts import PAGE, SHRUNK, shrink_into, write_bundle
from tcrp.cli.swarm_workers import LocalWorkers, Result, Workers, WorkersLost
from tcrp.engine.server import ServerEngine
from tcrp.live.extras import missing
from tcrp.sim.coverage import REFUSED, ROWS, SHOWN_OTHERWISE
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario
from tcrp.sim.swarm.batch import Tally, run_batch, scenario_of
from tcrp.sim.swarm.clusters import NAMES as SERVERS
from tcrp.sim.swarm.failures import UNMET, Failure, failure_of
from tcrp.sim.swarm.generator import HORIZON_US_MIN, NAMES, STEPS_MAX, Knobs
from tcrp.spec.durations import parse_duration
from tcrp.spec.names import Property, Rule
from tcrp.trace.plural import counted

PROGRAM = "chat-sim"
BATCH = 20
"""How many scenarios a process runs before it reports back."""
PROGRESS_EVERY_SECONDS = 60
"""How often progress is printed where there is no terminal for a progress bar."""
FOLDER_NAME_MAX = 80
"""How many characters of a failure's kind name the folder of its bundle."""
ENOUGH_RUNS = 2500
"""A swarm of at least this many random scenarios fails if it did not meet everything that it must meet."""


@dataclass(frozen=True, slots=True)
class Swarm:
    """What to run. Exactly one of `runs` and `seconds` is given."""

    runs: int | None
    seconds: float | None
    jobs: int
    seed: int
    folder: Path
    knobs: Knobs
    scenarios: tuple[Scenario, ...]
    make_engine: EngineFactory = ServerEngine
    measures_branches: bool = False
    reference_every: int = 1  # one run in so many is compared with the reference server
    results: Path | None = None
    dask: str | None = None  # the address of a scheduler, whose workers then run the scenarios


MOST = {"users": len(NAMES), "steps": STEPS_MAX, "servers": len(SERVERS)}


def read_knobs(file: str | None) -> Knobs:
    """The knobs of a TOML file. Raises `UsageError`."""
    if file is None:
        return Knobs()
    try:
        table = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot read the file: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: cannot read the file: {error}") from None
    known = {each.name: each for each in fields(Knobs)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        key = "horizon_us" if name == "horizon" else name
        if key not in known:
            allowed = ", ".join(each.removesuffix("_us") for each in known)
            raise UsageError(f"{file}: there is no knob {name!r}; allowed are {allowed}")
        values[key] = _knob(file, name, value)
    return Knobs(**values)


def _knob(file: str, name: str, value: object) -> int | bool:
    if name == "horizon":
        try:
            horizon_us = parse_duration(str(value))
        except ValueError as error:
            raise UsageError(f"{file}: horizon: {error}") from None
        if horizon_us < HORIZON_US_MIN:
            raise UsageError(f"{file}: horizon is {value!r}; at least 1ms is expected")
        return horizon_us
    if name in MOST:
        most = MOST[name]
        if type(value) is not int or not 1 <= value <= most:
            raise UsageError(f"{file}: {name} is {value!r}; allowed are 1 to {most}")
        return value
    if not isinstance(value, bool):
        raise UsageError(f"{file}: {name} is {value!r}; allowed are true, false")
    return value


def run_swarm(swarm: Swarm) -> int:
    """Run scenarios until there were enough, or until Ctrl-C; report the results. Returns the exit code."""
    if swarm.measures_branches:
        branches.check_installed()
    began = time.monotonic()
    tally = Tally()
    arcs: branches.Arcs = {}
    kinds: dict[str, Path] = {}
    with interrupts() as interrupted, _workers(swarm) as workers:
        batches = _Batches(swarm, workers, interrupted)
        for part, taken in batches:
            tally.add(part)
            for file, steps in taken.items():
                arcs.setdefault(file, set()).update(steps)
            for seed, failure in part.failures:
                if failure.kind not in kinds:
                    kinds[failure.kind] = _keep(swarm, seed, failure)
    seconds = time.monotonic() - began
    is_whole = not interrupted.is_set() and not batches.lost
    _report(swarm, tally, kinds, seconds, workers.names(), is_whole=is_whole)
    if swarm.results is not None:
        _write_results(swarm.results, swarm, tally, seconds)
    if interrupted.is_set():
        complain(PROGRAM, "interrupted")
        return INTERRUPTED
    if batches.lost:
        complain(PROGRAM, batches.lost)
        return DOES_NOT_HOLD if tally.failures else CANNOT
    took_enough = not swarm.measures_branches or _report_branches(arcs) >= branches.PERCENT_MIN
    met_enough = not tally.unmet() and took_enough
    return DOES_NOT_HOLD if tally.failures or (_must_meet_all(swarm, tally) and not met_enough) else HOLDS


def _must_meet_all(swarm: Swarm, tally: Tally) -> bool:
    """Whether there were enough runs, and neither scenarios nor knobs restrict what they can meet."""
    return tally.runs >= ENOUGH_RUNS and not swarm.scenarios and swarm.knobs == Knobs()


def _keep(swarm: Swarm, seed: int, failure: Failure) -> Path:
    """Write the bundle of the first failure of its kind."""
    scenario = scenario_of(seed, swarm.knobs, swarm.scenarios)
    folder = swarm.folder / f"{re.sub(r'[^a-z0-9]+', '-', failure.kind.lower()).strip('-')[:FOLDER_NAME_MAX]}-{seed}"
    try:
        write_bundle(folder, scenario, failure, swarm.make_engine)
    except OSError as error:
        raise OutputLost(f"{folder}: the failure cannot be written: {error.strerror}") from None
    return folder


@contextmanager
def interrupts() -> Iterator[Event]:
    """An event that Ctrl-C sets. No exception is raised: inside the pool's locks that could leave it hanging.

    A second Ctrl-C kills the runs in progress and exits at once.
    """
    interrupted = Event()

    def note(_signal: int, _frame: FrameType | None) -> None:
        if interrupted.is_set():
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(INTERRUPTED)
        interrupted.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _workers(swarm: Swarm) -> Workers:
    """Where its batches run. Raises `UsageError`."""
    run = branches.measured_batch if swarm.measures_branches else _unmeasured_batch
    run_seeds = partial(_run_seeds, run, (swarm.knobs, swarm.scenarios, swarm.make_engine, swarm.reference_every))
    if swarm.dask is None:
        return LocalWorkers(swarm.jobs, run_seeds)
    try:
        from tcrp.cli.dask_workers import DaskWorkers
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(("dask", "distributed")):
            raise
        raise UsageError(missing("--dask", "distributed", "dask")) from None
    return DaskWorkers(swarm.dask, run_seeds, partial(complain, PROGRAM))


def _run_seeds(run: Callable[..., Result], how: tuple[Any, ...], seeds: range) -> Result:
    return run(seeds, *how)


def _unmeasured_batch(*arguments: Any) -> Result:
    return run_batch(*arguments), {}


class _Batches:
    """The results of a swarm's batches in the order of their seeds, whatever the order in which they end: so the
    failures are the same, and in the same order, however many workers there are.
    """

    def __init__(self, swarm: Swarm, workers: Workers, interrupted: Event) -> None:
        self.lost = ""  # why no more could be run
        self._swarm = swarm
        self._workers = workers
        self._interrupted = interrupted
        self._early: dict[int, Result] = {}  # by first seed: those that ended before one with lower seeds
        self._due = swarm.seed
        self._covered = Tally()
        self._kinds: set[str] = set()

    def __iter__(self) -> Iterator[Result]:
        """Until there were enough runs, or Ctrl-C, or no worker is left."""
        try:
            for seeds, result in self._as_they_end():
                self._early[seeds.start] = result
                while self._due in self._early:
                    yield self._early.pop(self._due)
                    self._due += BATCH
        except WorkersLost as lost:
            self.lost = str(lost)
        for _, result in sorted(self._early.items()):
            yield result

    def _as_they_end(self) -> Iterator[tuple[range, Result]]:
        swarm, workers = self._swarm, self._workers
        batches, under_way = self._seeds(), 0
        with _progress() as progress:
            task = progress.add_task("", total=swarm.runs if swarm.runs is not None else swarm.seconds)
            began = printed = time.monotonic()
            while not self._interrupted.is_set():
                for seeds in itertools.islice(batches, max(0, workers.wanted())):
                    workers.submit(seeds)
                    under_way += 1
                if not under_way:
                    return
                for seeds, result in workers.finished():
                    under_way -= 1
                    self._count(result[0], progress)
                    yield seeds, result
                spent = time.monotonic() - began
                completed = self._covered.runs if swarm.runs is not None else spent
                progress.update(task, completed=completed, description=self._so_far(spent))
                if progress.disable and time.monotonic() >= printed + PROGRESS_EVERY_SECONDS and self._covered.runs:
                    printed = time.monotonic()
                    progress.console.print(self._so_far(spent))

    def _seeds(self) -> Iterator[range]:
        swarm, began = self._swarm, time.monotonic()
        last = None if swarm.runs is None else swarm.seed + swarm.runs
        for start in itertools.count(swarm.seed, BATCH):
            is_late = swarm.seconds is not None and time.monotonic() >= began + swarm.seconds
            if is_late or (last is not None and start >= last):
                return
            yield range(start, start + BATCH if last is None else min(start + BATCH, last))

    def _count(self, part: Tally, progress: Progress) -> None:
        self._covered.add(part)
        for seed, failure in part.failures:
            if failure.kind not in self._kinds:
                self._kinds.add(failure.kind)
                progress.console.print(Text(f"✗ seed {seed}: {failure.kind}", "red"))

    def _so_far(self, spent: float) -> str:
        rows = len(ROWS) - len(self._covered.coverage.missing_rows())
        return (
            f"{counted(self._covered.runs, 'scenario')}, {self._covered.records / max(spent, 1e-9):,.0f} events/s, "
            f"rows {rows}/{len(ROWS)}, {len(self._covered.failures)} failed"
        )


def _progress() -> Progress:
    console = console_for("stderr")
    return Progress(
        TextColumn("{task.description}", justify="left"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _report(swarm: Swarm, tally: Tally, kinds: dict[str, Path], seconds: float, where: str, *, is_whole: bool) -> None:
    console = console_for()
    coverage = tally.coverage
    rows = len(ROWS) - len(coverage.missing_rows())
    refused = sum(1 for pair in REFUSED if coverage.refused[pair])
    rules = len(Rule) - len(coverage.missing_rules())
    rate = tally.records / max(seconds, 1e-9)
    console.print(
        f"{counted(tally.runs, 'scenario')} from seed {swarm.seed} in {seconds:,.1f} s on {where}: "
        f"{counted(tally.records, 'event')}, {rate:,.0f} events/s"
    )
    judged = sum(1 for times in tally.judged.values() if times)
    shown_otherwise = len([rule for rule in coverage.missing_rules() if rule in SHOWN_OTHERWISE])
    console.print(
        f"rows {rows} of {len(ROWS)}, refused pairs {refused} of {len(REFUSED)}, rules {rules + shown_otherwise} "
        f"of {len(Rule)}, properties {judged} of {len(Property)}"
    )
    if is_whole and not swarm.scenarios and (missing := tally.unmet()):
        style = "red" if _must_meet_all(swarm, tally) else ""
        console.print(Text(f"never met: {', '.join(missing)}", style))
        if swarm.knobs != Knobs():
            console.print(Text("! the file of --vary may exclude these; a swarm without it has to meet them", "yellow"))
        elif tally.runs < ENOUGH_RUNS:
            console.print(Text(f"This is no failure: only a swarm of {ENOUGH_RUNS} or more has to meet them.", "dim"))
    for path, (held, runs) in tally.held.items():
        style = "green" if held == runs else "red"
        console.print(Text(f"{path}: the claim holds with {held} of {counted(runs, 'seed')}", style))
    for kind, folder in kinds.items():
        times = sum(failure.kind == kind for _, failure in tally.failures)
        first = next(failure for _, failure in tally.failures if failure.kind == kind)
        console.print(Text(f"✗ {kind}, {counted(times, 'time')}", "red"))
        if kind.startswith(UNMET):
            console.print(Text(f"    first: {first.what}"))
        console.print(f"    page: {folder / PAGE}")
        console.print(f"    replay: chat-sim run {folder / SHRUNK}")
    if not kinds:
        console.print(Text("✔ none failed" if is_whole else "✔ none of these failed", "green"))


def _write_results(path: Path, swarm: Swarm, tally: Tally, seconds: float) -> None:
    from tcrp.cli.results import Results, write_results

    coverage = tally.coverage
    write_results(
        path,
        Results(
            title=f"{counted(tally.runs, 'scenario')} from seed {swarm.seed}",
            kind="swarm",
            seconds=round(seconds, 3),
            runs=tally.runs,
            records=tally.records,
            failures=tuple(f"seed {seed}: {failure.kind}: {failure.what}" for seed, failure in tally.failures),
            figures=(("events", round(tally.records / max(seconds, 1e-9)), "per second"),),
            rows={" ".join(map(str, pair)): times for pair, times in coverage.rows.items()},
            refused={" ".join(map(str, pair)): times for pair, times in coverage.refused.items()},
            rules={str(rule): times for rule, times in coverage.rules.items()},
        ),
    )


def _report_branches(arcs: branches.Arcs) -> float:
    """Print which branches of the engine were taken. Returns the share that was, in percent."""
    console = console_for()
    modules = branches.branches_of(arcs)
    for module in modules:
        console.print(str(module))
        for each in module.missed:
            console.print(Text(f"    never: {each}"))
    share = branches.percent(modules)
    console.print(f"branches of the server's engine: {share:.1f} %")
    return share


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- shrink ----------------------------------------------------------------------------------------


def shrink(files: Sequence[Path]) -> int:
    """Shrink failing scenarios, each into a `shrunk.yaml` beside it."""
    result = HOLDS
    console = console_for()
    for file in files:
        try:
            scenario = read_scenario(file)
        except ScenarioError as error:
            complain(PROGRAM, str(error))
            return CANNOT
        failure, _ = failure_of(scenario)
        if failure is None:
            complain(PROGRAM, f"{file}: does not fail, so there is nothing to shrink")
            result = CANNOT
            continue
        try:
            shrunk = shrink_into(file.parent, scenario, failure)
        except OSError as error:
            raise OutputLost(f"{file.parent / SHRUNK}: cannot be written: {error.strerror}") from None
        console.print(f"{failure.kind}: {counted(len(scenario.script), 'step')} before, {len(shrunk.script)} now")
        console.print(f"    page: {file.parent / PAGE}")
        console.print(f"    replay: chat-sim run {file.parent / SHRUNK}")
    return result
