"""What `make bench` needs of other folders is there, also outside of pytest, which has paths of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_of_bench_can_be_imported(name: str) -> None:
    subprocess.run([sys.executable, "-c", f"import bench.{name}"], cwd=ROOT, check=True)


def test_the_swarms_know_the_planted_bugs() -> None:
    program = "from bench.swarm import planted; assert len(planted().FOUND) > 10"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
