"""`chat-sim spec --format tla`: the TLA+ module and its configuration, printed or written."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tcrp.cli.exits import OutputLost, UsageError
from tcrp.explore.model import Bounds
from tcrp.explore.search import breadth_first
from tcrp.interleavings.small_world import SmallBounds, small_world
from tcrp.interleavings.tla import MODULE, configuration, module
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.reader import read_scenario

COUNTS_FOR_SECONDS = 10
"""How long the explorer counts states, to compare TLC's number with."""


def print_tla(scenario: Path | None) -> None:
    """The module, and behind its end, where TLA+ reads nothing, the configuration."""
    bounds = _bounds(scenario)
    print(module())
    print(f"{MODULE}.cfg:\n\n{configuration(bounds)}", end="")


def write_tla(folder: Path, scenario: Path | None) -> None:
    """Write both files, and say how to check them. Raises `OutputLost`."""
    bounds = _bounds(scenario)
    files = {f"{MODULE}.tla": module(), f"{MODULE}.cfg": configuration(bounds)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputLost(f"{folder}: cannot be written: {error.strerror}") from None
    result = breadth_first(partial(small_world, bounds), Bounds(seconds=COUNTS_FOR_SECONDS))
    count = f"{result.progress.distinct:,} distinct states"
    print(f"written: {' and '.join(str(folder / name) for name in files)}")
    print(f"the explorer counts {count}" if result.is_exhausted else f"there are more than {count}: not exhausted")
    print(f"compare: cd {folder} && java -cp tla2tools.jar tlc2.TLC -deadlock {MODULE}")


def _bounds(file: Path | None) -> SmallBounds:
    """The bounds of a scenario. Raises `UsageError` where the small world has no such thing."""
    if file is None:
        return SmallBounds()
    try:
        scenario = read_scenario(file)
    except ScenarioError as error:
        raise UsageError(str(error)) from None
    explore = scenario.explore
    if explore is None:
        raise UsageError(f"{file}: has no section explore:, which gives the bounds")
    beyond = {"a script": scenario.script, "races": explore.races, "crashes": explore.crashes,
              "an attacker": explore.attacker, "repeats": explore.repeats is not None}  # fmt: skip
    if has := [what for what, there in beyond.items() if there]:
        raise UsageError(f"{file}: the small chat in TLA+ has users, texts, drops and duplicates, and not {has[0]}")
    return SmallBounds(explore.users, explore.texts, explore.drops, explore.duplicates)
