"""The workflow that runs the gate is one, and what it and the gate run exists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def commands() -> list[str]:
    """What the workflow runs, one job after the other."""
    jobs = YAML(typ="safe").load(WORKFLOW)["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def targets_of_the_gate() -> list[str]:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.startswith("make ")]


def test_the_workflow_is_one() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_it_runs_the_gate_compares_the_traces_of_the_compiled_build_and_tries_its_wheel() -> None:
    assert commands() == [".ci/run", "make check-compiled check-wheel-compiled"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("command", [*commands()[1:], *targets_of_the_gate()])
def test_each_target_that_is_made_exists(command: str) -> None:
    made = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
