"""`chat-sim swarm --coverage`: which branches of the server's engine the scenarios took."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tcrp.cli.branches import EXCEPTIONS, Branches, branches_of, measured_batch, percent
from tcrp.cli.sim import main
from tcrp.cli.version import COMPILED, PURE, tcrp_build
from tcrp.sim.swarm.batch import Tally

pytest.importorskip("coverage")
measures = pytest.mark.skipif(
    tcrp_build() == COMPILED, reason="coverage.py sees no branches of compiled code, and the program says so"
)
ENGINE = Path(__file__).parents[2] / "engine"
FEW = ["swarm", "--coverage", "--runs", "10", "--seed", "7"]


def report(capsys: pytest.CaptureFixture[str], jobs: int) -> list[str]:
    """The lines about branches."""
    assert main([*FEW, "--jobs", str(jobs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return lines[lines.index("✔ none failed") + 1 :]


@measures
def test_the_branches_that_were_not_taken_are_named_however_many_processes_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = report(capsys, 2)
    assert lines[0].startswith("engine.server: ")
    assert any(re.fullmatch(r"    never: line \d+ (to line \d+|out of the function): .+", line) for line in lines)
    assert "    never: ServerEngine.receive_datagram was never called" not in lines
    taken = re.fullmatch(r"branches of the server's engine: (\d+\.\d) %", lines[-1])
    assert taken is not None
    assert 50 < float(taken[1]) < 100
    assert report(capsys, 1) == lines


@measures
def test_a_function_that_no_scenario_called_is_named() -> None:
    never = "HandshakeServer.opened was never called"
    _, arcs = measured_batch(range(1))
    for taken, is_missed in ((arcs, False), ({}, True)):
        handshakes = next(each for each in branches_of(taken) if each.module == "engine.handshakes")
        assert (never in handshakes.missed) == is_missed


def test_the_share_is_of_all_modules_together() -> None:
    assert percent([Branches("a", 30, ("x", "y")), Branches("b", 10, ())]) == 95
    assert percent([]) == 100


@measures
def test_enough_random_scenarios_must_take_nearly_every_branch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcrp.cli.swarm.ENOUGH_RUNS", 10)
    monkeypatch.setattr(Tally, "unmet", lambda _: [])
    assert main([*FEW, "--jobs", "1"]) == 1
    monkeypatch.setattr("tcrp.cli.branches.PERCENT_MIN", 50)
    assert main([*FEW, "--jobs", "1"]) == 0


def test_without_coverage_py_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tcrp.cli.branches.tcrp_build", lambda: PURE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(FEW) == 2
    assert "pip install coverage" in capsys.readouterr().err


def test_of_a_compiled_engine_it_is_said_that_nothing_is_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tcrp.cli.branches.tcrp_build", lambda: COMPILED)
    assert main(FEW) == 2
    assert "--coverage sees no branches of compiled code" in capsys.readouterr().err


def test_each_exception_is_a_function_or_a_line_of_its_module_and_has_a_reason() -> None:
    for (module, what), reason in EXCEPTIONS.items():
        source = (ENGINE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        lines = [line.strip() for line in source.splitlines()]
        is_function = any(line.startswith(f"def {what.rpartition('.')[2]}(") for line in lines)
        assert is_function or what in lines, what
        assert reason
