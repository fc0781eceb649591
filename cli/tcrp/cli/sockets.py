"""`chat-sim run --sockets`: runs scenarios in the simulator and on sockets, and compares the steps."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from tcrp.cli.console import console_for, print_table
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, complain
from tcrp.cli.report import print_verdict
from tcrp.cli.runs import play
from tcrp.live.compare import Collector, Difference, Moves, differences
from tcrp.live.playback import SLACK_SECONDS, Playback
from tcrp.live.server import ServerFailed
from tcrp.live.socket_support import PATIENCE_US, too_long, unsupported
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario

PROGRAM = "chat-sim"
BATCH = 20
"""Scenarios run at the same time on sockets: they spend most of the time waiting."""
DIFFERENCES_SHOWN = 5
PROGRESS_SECONDS = 0.2
STALL_SECONDS = 0.1
"""A program that the machine holds up for so long takes its steps too late: what differs then says nothing."""
TRIES = 3
BEAT_SECONDS = 0.02


class SimulatedRun(NamedTuple):
    """A scenario and its simulated run."""

    file: Path
    scenario: Scenario
    seed: int
    moves: Moves
    ends_us: int


class Comparison:
    """The comparison of a scenario's two runs."""

    def __init__(self, file: Path, moves: Moves, differences: list[Difference], stall_seconds: float = 0.0) -> None:
        self.file = file
        self.stall_seconds = stall_seconds  # the longest for which the machine held everything up meanwhile
        self.stalls: list[float] = []  # of earlier tries, which differed
        self.machines = len(moves)
        self.steps = sum(map(len, moves.values()))
        self.differences = differences


def run_on_sockets(files: list[Path], seed: int | None, patience_us: int | None) -> int:
    """Run each scenario in the simulator and on sockets; report whether each machine took the same steps."""
    runs: list[SimulatedRun] = []
    unfit: list[tuple[Path, str]] = []
    comparisons: list[Comparison] = []
    failed: ScenarioError | ServerFailed | Verdict | None
    with _progress() as progress:
        failed = _simulate(files, seed, PATIENCE_US if patience_us is None else patience_us, runs, unfit, progress)
        if failed is None and runs:
            try:
                comparisons = asyncio.run(_compare_all(runs, progress))
            except ServerFailed as error:
                failed = error
    if isinstance(failed, Verdict):
        print_verdict(console_for(), failed)
        return DOES_NOT_HOLD
    if failed is not None:
        complain(PROGRAM, str(failed))
        return CANNOT
    if not runs:
        for file, why in unfit:
            complain(PROGRAM, f"{file}: cannot run on sockets: {why}")
        return CANNOT
    return _report(comparisons, unfit)


def _simulate(
    files: list[Path],
    seed: int | None,
    patience_us: int,
    runs: list[SimulatedRun],
    unfit: list[tuple[Path, str]],
    progress: Progress,
) -> ScenarioError | Verdict | None:
    """Simulate each scenario that sockets support; add it to the `runs`, or to the `unfit` with the reason.

    Stops at the first that cannot be read or does not hold, and returns why.
    """
    task = progress.add_task("", total=len(files), left="")
    for number, file in enumerate(files):
        progress.update(task, description=f"simulated: {file.stem}", left=f"{number} of {len(files)}")
        try:
            scenario = read_scenario(file)
        except ScenarioError as error:
            return error
        progress.advance(task)
        if (why := unsupported(scenario)) is not None:
            unfit.append((file, why))
            continue
        collector = Collector()
        verdict = play(Run(scenario, seed=seed, listeners=[collector.hear]))
        if not verdict.holds:
            return verdict
        if (why := too_long(verdict, patience_us)) is not None:
            unfit.append((file, why))
        else:
            runs.append(SimulatedRun(file, scenario, verdict.seed, collector.moves, verdict.ended_us))
    progress.remove_task(task)
    return None


async def _compare_all(runs: list[SimulatedRun], progress: Progress) -> list[Comparison]:
    """Repeat the runs on sockets, in batches, the longest first so that runs of similar length share a batch."""
    in_order = sorted(runs, key=lambda run: -run.ends_us)
    batches = [in_order[first : first + BATCH] for first in range(0, len(in_order), BATCH)]
    seconds = [batch[0].ends_us / 1_000_000 + SLACK_SECONDS for batch in batches]
    comparisons: list[Comparison] = []
    task = progress.add_task("", total=sum(seconds), left=f"about {sum(seconds):.0f} s")
    for number, batch in enumerate(batches):
        what = batch[0].file.stem if len(runs) == 1 else f"{len(comparisons)} of {len(runs)} scenarios"
        progress.update(task, completed=sum(seconds[:number]), description=f"on sockets: {what}")
        clock = asyncio.create_task(_advance(progress, task, seconds[number]))
        try:
            comparisons += await compare_undisturbed(batch, _compare_batch)
        finally:
            clock.cancel()
            with suppress(asyncio.CancelledError):
                await clock
    return sorted(comparisons, key=lambda each: each.file)


async def compare_undisturbed(
    batch: list[SimulatedRun], compare: Callable[[list[SimulatedRun]], Awaitable[list[Comparison]]]
) -> list[Comparison]:
    """Compare all runs of a batch; again those that differed while the machine held everything up, if it did."""
    found: dict[Path, Comparison] = {}
    left = batch
    for _ in range(TRIES):
        for each in await compare(left):
            if (earlier := found.get(each.file)) is not None:
                each.stalls = [*earlier.stalls, earlier.stall_seconds]
            found[each.file] = each
        left = [run for run in left if found[run.file].differences and found[run.file].stall_seconds >= STALL_SECONDS]
        if not left:
            break
    return list(found.values())


async def _advance(progress: Progress, task: TaskID, seconds: float) -> None:
    """Let the progress of one batch go on with the clock, as its runs do."""
    began = last = time.monotonic()
    while last - began < seconds:
        await asyncio.sleep(PROGRESS_SECONDS)
        now = min(time.monotonic(), began + seconds)
        progress.advance(task, now - last)
        last = now


def _progress() -> Progress:
    console = console_for("stderr")
    text, left = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[left]}", markup=False)
    bar = BarColumn(20)
    return Progress(text, bar, left, console=console, transient=True, disable=not console.is_terminal)


async def _compare_batch(runs: list[SimulatedRun]) -> list[Comparison]:
    with tempfile.TemporaryDirectory(prefix="tcrp-") as folder:
        playbacks: list[Playback] = []
        stall = Stall()
        try:
            # All servers are up before any script begins: starting one would disturb the times of the others.
            for number, run in enumerate(runs):
                own = Path(folder) / str(number)
                own.mkdir()
                playbacks.append(Playback(run.scenario, run.seed, run.ends_us, own))
                await playbacks[-1].open()
            with stall:
                moves = await asyncio.gather(*(each.run() for each in playbacks))
        finally:
            for each in playbacks:
                await each.close()
    return [
        Comparison(run.file, run.moves, differences(run.moves, on_sockets), max(stall.seconds, each.late_seconds))
        for run, each, on_sockets in zip(runs, playbacks, moves, strict=True)
    ]


class Stall:
    """Measures how late this program is at most, which sleeps for moments. A context, in an event loop."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._measure())

    def __exit__(self, *_: object) -> None:
        assert self._task is not None, "it was entered"
        self._task.cancel()

    async def _measure(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
            self.seconds = max(self.seconds, time.monotonic() - before - BEAT_SECONDS)


def _report(comparisons: list[Comparison], unfit: list[tuple[Path, str]]) -> int:
    console = console_for()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name, justify in (("", "left"), ("scenario", "left"), ("machines", "right"), ("steps", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for each in comparisons:
        sign = Text("✗", "red") if each.differences else Text("✔", "green")
        table.add_row(sign, each.file.stem, str(each.machines), str(each.steps))
    print_table(console, table)
    for each in comparisons:
        for difference in each.differences[:DIFFERENCES_SHOWN]:
            console.print(Text(f"{each.file}: {difference.machine}, step {difference.number}", "red"))
            console.print(Text(f"    simulated:  {difference.simulated or 'no more steps'}"))
            console.print(Text(f"    on sockets: {difference.on_sockets or 'no more steps'}"))
        if each.differences and each.stall_seconds >= STALL_SECONDS:
            held_up = f"    but the machine held everything up for {each.stall_seconds:.1f} s, in each of {TRIES} tries"
            console.print(Text(held_up))
        elif each.stalls:
            times = " and ".join(f"{seconds:.1f} s" for seconds in each.stalls)
            again = f"- {each.file.stem}: run again: it differed while the machine held everything up for {times}"
            console.print(Text(again, "dim"))
    for file, why in unfit:
        console.print(Text(f"- {file.stem}: not run: {why}", "dim"))
    same = sum(not each.differences for each in comparisons)
    console.print(f"{same} take the same steps on sockets, {len(comparisons) - same} do not, {len(unfit)} were not run")
    return HOLDS if same == len(comparisons) else DOES_NOT_HOLD
