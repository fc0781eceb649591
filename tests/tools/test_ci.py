"""The workflow that runs the gate is one, and what it and the gate run exists."""

from __future__ import annotations

import os
import re
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


def of_the_project() -> list[str]:
    """Those that are not of the system."""
    return [command for command in commands() if not command.startswith("apt-get ")]


def targets_of_the_gate() -> list[str]:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.startswith("make ")]


def test_the_workflow_is_one() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_it_runs_the_gate_and_tries_the_compiled_wheel_with_all_tests() -> None:
    assert of_the_project() == [".ci/run", "make check-wheel-compiled test-compiled"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_tests_of_both_builds_have_the_same_programs() -> None:
    needed = re.findall(r'missing="\$missing (\S+)"', (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    [installed] = [each for each in commands() if "apt-get install" in each]
    assert needed
    assert set(needed) <= set(installed.split())


@pytest.mark.parametrize("command", [*of_the_project()[1:], *targets_of_the_gate()])
def test_each_target_that_is_made_exists(command: str) -> None:
    made = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
