"""The mutation tester on a tiny module: what its tests notice is killed, the rest survives and is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tools.mutants.__main__ import sample
from tools.mutants.mutations import mutants_of
from tools.mutants.targets import SOURCE_ROOTS

ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join(str(ROOT / each) for each in ("spec", "engine", "sim", "cli"))
ON_SOURCES = {**os.environ, "PYTHONPATH": SOURCES}  # the tool changes sources, whichever build is installed
MODULE = '''"""A module that only these tests know."""


def is_small(number: int) -> bool:
    return number < 10


def wait(turns: int) -> None:
    while turns > 0:
        turns -= 1
'''
TESTS = """
import tiny


def test_small_numbers_are_small() -> None:
    assert tiny.is_small(3) is True
    assert tiny.is_small(30) is False
    tiny.wait(2)
"""


def said(
    mutants: int, *, tests: int = 0, swarm: int = 0, timeouts: int = 0, neither: int = 0, explained: int = 0,
    seen: int = 0, module: str = "tiny",
) -> str:  # fmt: skip
    """The line in which the tool sums up a module."""
    return (
        f"{module}: {mutants} mutants, caught by tests {tests}, by swarm {swarm} ({timeouts} by timeout), "
        f"by neither {neither}: {explained} explained, {seen} seen in traces"
    )


class Tool:
    """The program, run over the tiny module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = folder / "tiny.py"
        self.tests = folder / "test_tiny.py"
        self.explained = folder / "explained.md"
        self.module.write_text(MODULE)
        self.tests.write_text(TESTS)

    def runs(self, *options: str) -> tuple[int, list[str], str]:
        """The exit code, the lines on stdout, and stderr."""
        command = [
            sys.executable, "-m", "tools.mutants", str(self.module), "--tests", str(self.tests),
            "--explained", str(self.explained), *options,
        ]  # fmt: skip
        done = subprocess.run(
            command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120, env=ON_SOURCES
        )
        return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


def without_the_loop(tool: Tool) -> None:
    """A mutant that loops takes the timeout, which one test is enough to wait for."""
    tool.module.write_text(MODULE.partition("\n\ndef wait")[0])
    tool.tests.write_text(TESTS.replace("    tiny.wait(2)\n", ""))


def test_a_bound_that_no_test_stands_on_survives_and_is_named(tool: Tool) -> None:
    without_the_loop(tool)
    code, lines, _ = tool.runs()
    assert code == 1
    assert lines[0] == said(5, tests=2, neither=3)
    assert sorted(line.partition("#")[2][3:] for line in lines[1:]) == [
        "`return number < 10` → `return number < 11`",
        "`return number < 10` → `return number < 9`",
        "`return number < 10` → `return number <= 10`",
    ]
    assert all(line.startswith(f"  {tool.module}:5 #") for line in lines[1:])


def test_a_test_at_both_sides_of_the_bound_kills_them(tool: Tool) -> None:
    without_the_loop(tool)
    tool.tests.write_text(
        tool.tests.read_text().replace("is_small(3)", "is_small(9)").replace("small(30)", "small(10)")
    )
    code, lines, _ = tool.runs("--jobs", "2")
    assert (code, lines) == (0, [said(5, tests=5)])


def test_a_mutant_that_loops_is_killed_by_the_timeout(tool: Tool) -> None:
    tool.module.write_text('"""Tiny."""\n\n\ndef wait(turns: int) -> None:\n    while turns > 0:\n        turns -= 1\n')
    tool.tests.write_text("import tiny\n\n\ndef test_it_ends() -> None:\n    tiny.wait(2)\n")
    _, lines, _ = tool.runs("--jobs", "8", "--timeout", "2")
    assert lines[0] == said(9, tests=3, timeouts=3, neither=6)  # no `turns -= 1`, `+=`, and `-= 0`
    [loops] = [each.number for each in mutants_of(tool.module.read_text()) if each.new == "turns += 1"]
    code, lines, _ = tool.runs("--only", str(loops), "--timeout", "2")
    assert code == 0
    assert lines[-1].startswith("killed by the timeout: it took longer than ")


def test_an_explained_survivor_is_counted_apart(tool: Tool) -> None:
    without_the_loop(tool)
    tool.explained.write_text(
        "\n".join(f"- tiny: `return number < 10` → `return number {new}`: no." for new in ("< 11", "< 9", "<= 10"))
    )
    code, lines, _ = tool.runs()
    assert (code, lines) == (0, [said(5, tests=2, neither=3, explained=3)])


def test_what_was_killed_is_not_tried_again_and_what_survived_is_when_the_tests_change(tool: Tool) -> None:
    without_the_loop(tool)
    kept = tool.folder / "kept.jsonl"
    tool.runs("--resume", str(kept))
    first = [json.loads(line) for line in kept.read_text().splitlines()]
    assert sorted(each["outcome"] for each in first) == ["killed"] * 2 + ["survived"] * 3
    tool.runs("--resume", str(kept))
    assert len(kept.read_text().splitlines()) == 5
    tool.tests.write_text(
        tool.tests.read_text().replace("is_small(3)", "is_small(9)").replace("small(30)", "small(10)")
    )
    code, _, _ = tool.runs("--resume", str(kept))
    assert code == 0
    assert len(kept.read_text().splitlines()) == 8


def test_tests_may_be_a_folder_and_what_has_none_is_named(tool: Tool) -> None:
    without_the_loop(tool)
    by_file = tool.runs()
    tool.tests = tool.folder
    assert tool.runs() == by_file
    tool.tests = tool.folder / "missing"
    said = f"mutants: {tool.tests} is no file of tests, and no folder that has some\n"
    assert tool.runs() == (2, [], said)


def test_tests_that_fail_on_the_unchanged_module_judge_nothing(tool: Tool) -> None:
    tool.tests.write_text("import tiny\n\n\ndef test_wrong() -> None:\n    assert tiny.is_small(30)\n")
    code, lines, errors = tool.runs()
    assert (code, lines) == (2, [])
    assert "on the unchanged module its tests fail: " in errors


def tries(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The program on modules of the project."""
    command = [sys.executable, "-m", "tools.mutants", *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300, env=ON_SOURCES)


def test_a_swarm_catches_what_no_test_is_asked_about_and_says_what_it_only_sees(tmp_path: Path) -> None:
    """One text after another has its number; a sample of the module's mutants, by a swarm of few scenarios."""
    kept = tmp_path / "kept.jsonl"
    none = tmp_path / "explained.md"
    none.touch()
    asked = ["engine.timers", "--by", "swarm", "--swarm", "5", "--sample", "6", "--seed", "3", "--resume", str(kept)]
    asked += ["--explained", str(none)]
    done = tries(*asked)
    entries = [json.loads(line) for line in kept.read_text().splitlines()]
    assert {each["by"] for each in entries} == {"swarm"}
    outcomes = [each["outcome"] for each in entries]
    caught, neither = outcomes.count("killed") + outcomes.count("timeout"), outcomes.count("survived")
    assert caught >= 2
    assert neither >= 1
    assert done.stdout.splitlines()[0] == said(
        6, swarm=caught, timeouts=outcomes.count("timeout"), neither=6 - caught, seen=6 - caught - neither,
        module="engine.timers",
    )  # fmt: skip
    assert tries(*asked).stdout == done.stdout
    assert len(kept.read_text().splitlines()) == 6


def test_the_swarm_is_asked_about_what_the_tests_let_through(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    tries(
        "engine.timers", "--swarm", "5", "--sample", "4", "--tests", "tests/tools/test_architecture.py",
        "--resume", str(kept),
    )  # fmt: skip
    entries = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [each["by"] for each in entries] == ["tests"] * 4 + ["swarm"] * 4
    assert "killed" in {each["outcome"] for each in entries[4:]}


def test_a_sample_is_chosen_by_its_seed_and_keeps_the_lines_that_stay() -> None:
    all_of_tiny = {"tiny": mutants_of(MODULE)}
    chosen = sample(all_of_tiny, 4, 0)["tiny"]
    assert len(chosen) == 4
    assert [each.change for each in sample(all_of_tiny, 4, 0)["tiny"]] == [each.change for each in chosen]
    assert any(sample(all_of_tiny, 4, seed)["tiny"] != chosen for seed in range(1, 5))
    later = {"tiny": mutants_of(MODULE.replace('"""A', 'NEW = True\n\n"""A'))}
    kept = {each.change for each in sample(later, 4, 0)["tiny"]} & {each.change for each in chosen}
    assert len(kept) >= 3


def test_a_word_that_names_no_module_is_said() -> None:
    done = tries("engine.nonsense")
    assert done.returncode == 2
    assert done.stderr == "mutants: engine.nonsense is no module, package or file; name it as engine.codec\n"


def test_every_explained_survivor_is_still_a_line_of_its_module() -> None:
    """The document against the code: an explanation of a line that is gone would excuse nothing, or another line."""
    entry = re.compile(r"^- ([a-z_.]+): `(.*)` → `(.*)`: \S.*\.$")
    explained = [line for line in (ROOT / "docs" / "mutants.md").read_text().splitlines() if line.startswith("- ")]
    assert explained
    for line in explained:
        found = entry.match(line)
        assert found, line
        inner = Path("tcrp", *found[1].split(".")).with_suffix(".py")
        [source] = [(ROOT / root / inner).read_text() for root in SOURCE_ROOTS if (ROOT / root / inner).exists()]
        lines = [each.strip() for each in source.splitlines()]
        assert found[2] in lines, line
        assert found[2] != found[3], line
