"""`chat-sim explore`: visits every order of events within a scenario's bounds, and says what is proved and what not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from tcrp.cli.console import console_for
from tcrp.cli.exits import DOES_NOT_HOLD, HOLDS, INTERRUPTED, OurFault, OutputLost, UsageError, complain
from tcrp.cli.swarm import PROGRESS_EVERY_SECONDS, interrupts
from tcrp.explore.checkpoint import CheckpointError
from tcrp.explore.model import Bounds, Progress
from tcrp.explore.search import OnProgress
from tcrp.explore.team import HelperLost, WorkerError
from tcrp.interleavings.exploration import Found, explore
from tcrp.interleavings.program import NotExplored
from tcrp.sim.coverage import REFUSED, ROWS, Pair
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.model import Explore, Scenario
from tcrp.sim.scenario.reader import read_scenario
from tcrp.sim.scenario.writer import write_scenario
from tcrp.trace.plural import counted

PROGRAM = "chat-sim"
MEGABYTE = 1_000_000
RATED_FROM_SECONDS = 0.1
CUT = {
    "depth": "--depth was reached",
    "states": "--states was reached",
    "time": "the time of --for was over",
    "interrupted": "it was interrupted",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command was asked for."""

    file: Path
    bounds: Bounds
    jobs: int
    resume: Path | None
    counterexample: Path


def run_explore(options: Options) -> int:
    """Explore, and report. Returns the exit code."""
    try:
        scenario = read_scenario(options.file)
    except ScenarioError as error:
        raise UsageError(str(error)) from None
    if scenario.explore is None:
        raise UsageError(f"{options.file}: has no section explore:, so nothing bounds the search; write for example "
                         "explore: {drops: 1, duplicates: 1}")  # fmt: skip
    checkpoint = options.resume
    if checkpoint is not None and not checkpoint.parent.is_dir():
        raise UsageError(f"{checkpoint}: there is no folder {checkpoint.parent} to keep it in")
    with interrupts() as interrupted, _progress() as on_progress:
        try:
            found = explore(
                scenario, options.bounds, jobs=options.jobs, on_progress=on_progress, checkpoint=checkpoint,
                resume=checkpoint is not None and checkpoint.exists(), is_interrupted=interrupted.is_set,
            )  # fmt: skip
        except (NotExplored, CheckpointError) as error:
            raise UsageError(f"{options.file}: {error}" if isinstance(error, NotExplored) else str(error)) from None
        except WorkerError as error:
            raise OurFault(f"{options.file}: the search raised; the same command shows it again:\n{error}") from None
        except HelperLost as error:
            go_on = f"; {checkpoint} has what was known within the last minute" if checkpoint is not None else ""
            raise OutputLost(f"{error}{go_on}") from None
        except OSError as error:
            raise OutputLost(f"{checkpoint}: cannot be written: {error.strerror}") from None
    _report(scenario, scenario.explore, found, options)
    if found.result.cut == "interrupted":
        complain(PROGRAM, "interrupted")
        return INTERRUPTED
    return DOES_NOT_HOLD if found.broken is not None else HOLDS


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A line that is drawn anew on a terminal, and a line a minute elsewhere."""
    console = console_for("stderr")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        printed = time.monotonic()

        def tell(progress: Progress) -> None:
            nonlocal printed
            words = (
                f"{counted(progress.distinct, 'state')}, depth {progress.depth}, frontier {progress.frontier:,}, "
                f"{_rate(progress)}{progress.memory_bytes / MEGABYTE:,.0f} MB"
            )
            bar.update(task, description=words)
            if not console.is_terminal and time.monotonic() >= printed + PROGRESS_EVERY_SECONDS:
                printed = time.monotonic()
                console.print(words)

        yield tell


def _rate(progress: Progress) -> str:
    """Steps a second in words; nothing of a time that is too short to say."""
    if progress.seconds < RATED_FROM_SECONDS:
        return ""
    return f"{progress.generated / progress.seconds:,.0f} steps/s, "


# --- the report --------------------------------------------------------------------------------------


def _report(scenario: Scenario, bounds: Explore, found: Found, options: Options) -> None:
    console, progress = console_for(), found.result.progress
    console.print(Text(f"{options.file}: {bounds_in_words(scenario, bounds)}"))
    console.print(Text(
        f"{counted(progress.distinct, 'state')}, {counted(progress.generated, 'step')}, at most {progress.depth} deep, "
        f"in {progress.seconds:,.1f} s on {counted(progress.processes, 'process')}: "
        f"{_rate(progress)}{found.calls:,} of them calls of an engine, "
        f"{progress.memory_bytes / MEGABYTE:,.0f} MB"
    ))  # fmt: skip
    reached = len(ROWS) - len(found.rows_unreached), len(REFUSED) - len(found.unreached)
    console.print(
        Text(f"the server took {reached[0]} of {len(ROWS)} rows and refused {reached[1]} of {len(REFUSED)} pairs")
    )
    if found.broken is not None:
        _report_violation(found, options)
    elif found.result.is_exhausted:
        if found.unreached:
            console.print(Text("within these bounds the server's machines were never offered:", "dim"))
        for line in _by_state(found.unreached):
            console.print(Text(f"  {line}", "dim"))
        console.print(
            Text(f"✔ exhausted: {len(found.judged)} properties hold in every state within these bounds", "green")
        )
        console.print(
            Text(f"  that a state was taken for another, and so missed, has a chance of {found.missed_odds:.0e}")
        )
    else:
        why = CUT[found.result.cut]
        console.print(Text(
            f"! not exhausted: {why}. Nothing is broken in the states visited, and nothing is proved of the "
            f"others; {progress.frontier:,} of those found last were still to be followed", "yellow",
        ))  # fmt: skip
        if options.resume is not None and options.resume.exists():
            console.print(f"  go on: chat-sim explore {options.file} --resume {options.resume}")


def _report_violation(found: Found, options: Options) -> None:
    console = console_for()
    assert found.broken is not None, "it is reported"
    assert found.path is not None, "a violation has a path"
    console.print(Text(f"✗ {found.broken.property}: {found.broken.what}", "red"))
    length = counted(len(found.path.steps), "step")
    if found.scenario is None:
        console.print(Text(f"  the way there has {length}, but {found.why}: no clock has this order", "yellow"))
        return
    try:
        options.counterexample.write_text(write_scenario(found.scenario), encoding="utf-8")
    except OSError as error:
        raise OutputLost(f"{options.counterexample}: cannot be written: {error.strerror}") from None
    console.print(f"  the way there has {length}; replay: chat-sim run {options.counterexample}")


def _by_state(pairs: list[Pair]) -> list[str]:
    """Such as `session anonymous: entered, spoke`."""
    events: dict[str, list[str]] = {}
    for machine, state, event in pairs:
        events.setdefault(f"{machine} {state}", []).append(event)
    return [f"{each}: {', '.join(its)}" for each, its in events.items()]


def bounds_in_words(scenario: Scenario, bounds: Explore) -> str:
    """Such as `3 users, 2 texts, at most 2 drops and 1 duplicate`."""
    parts = ["its script"] if scenario.script else [counted(bounds.users, "user"), counted(bounds.texts, "text")]
    budgets = (
        (bounds.drops, "drop"), (bounds.duplicates, "duplicate"), (bounds.races, "race"), (bounds.crashes, "crash"),
    )  # fmt: skip
    parts += [counted(number, word) for number, word in budgets if number]
    parts += ["an attacker"] if bounds.attacker else []
    return f"{', '.join(parts)}; each repeated message up to {counted(bounds.repeats_max, 'time')} again"
