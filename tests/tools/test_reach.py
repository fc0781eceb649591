"""A mutant meets only the tests that reach its line, quickest first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.mutants.reach import Reach, spans

ROOT = Path(__file__).parents[2]
MODULE = '''"""Two functions; one keeps its answers."""

from functools import cache


def is_small(number: int) -> bool:
    return number < 10


@cache
def doubled(number: int) -> int:
    return number + number
'''
TESTS = """
from pathlib import Path

import pair


def says(name: str) -> None:
    with Path(__file__).with_name("said").open("a") as file:
        file.write(name)


def test_small() -> None:
    says("s")
    assert pair.is_small(9)
    assert not pair.is_small(10)


def test_one_that_looks_at_little() -> None:
    says("a")
    assert pair.doubled(3) is not None


def test_one_that_finds_the_answer_kept() -> None:
    says("b")
    assert pair.doubled(3) == 6
"""


def test_a_mutant_meets_the_tests_that_reach_its_line_also_by_what_is_kept(tmp_path: Path) -> None:
    """All three run twice on the unchanged module; then one meets 5 mutants of a comparison, the others 2 of a sum."""
    (tmp_path / "pair.py").write_text(MODULE)
    (tmp_path / "test_pair.py").write_text(TESTS)
    command = [sys.executable, "-m", "tools.mutants", str(tmp_path / "pair.py"), "--tests"]
    done = subprocess.run(
        [*command, str(tmp_path / "test_pair.py")], check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.startswith("pair: 7 mutants, caught by tests 7, "), done.stdout + done.stderr
    said = (tmp_path / "said").read_text()
    assert said.count("s") == 2 + 5
    assert said.count("b") >= 2 + 1  # the one with no answer is caught by whichever of the two is quicker


def test_the_quickest_test_is_first_and_a_line_that_is_run_on_import_is_everyones() -> None:
    reach = Reach(
        {},
        {"slow": 2.0, "quick": 0.1},
        {"m.py": {"": frozenset({1}), "slow": frozenset({5}), "quick": frozenset({7})}},
    )
    module = Path("m.py")
    assert reach.chosen(module, [5]) == ["slow"]
    assert reach.chosen(module, range(5, 8)) == ["quick", "slow"]
    assert reach.chosen(module, [1]) == ["quick", "slow"]
    assert reach.chosen(module, [9]) == []


def test_a_statement_over_several_lines_is_one_and_a_branch_is_another() -> None:
    source = "if (\n    a\n    and b\n):\n    c(\n        1,\n    )\nelse:\n    d()\n"
    assert [spans(source)[line] for line in (2, 3, 6, 9)] == [range(1, 5), range(1, 5), range(5, 8), range(9, 10)]
