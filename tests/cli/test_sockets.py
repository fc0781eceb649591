"""`chat-sim run --sockets`: the same steps as simulated, or a reported difference."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tcrp.cli.sim import main
from tcrp.cli.sockets import STALL_SECONDS, TRIES, Comparison, SimulatedRun, Stall, compare_undisturbed
from tcrp.live.compare import Difference, MachineName

SCENARIOS = Path(__file__).parents[2] / "sim" / "scenarios"
SUPPORTED = 22
"""At least so many of the project's scenarios run on sockets within half a minute."""

SCENARIO = """
claim: bob hears alice
users: {bob: {dialect: text}, carol: {dialect: json-port}, dave: {dialect: json-endpoint}, twin: {name: bob}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 100ms, bob: {join: lobby}}
  - {at: 100ms, carol: {join: lobby}}
  - {at: 100ms, dave: {join: lobby}}
  - {at: 500ms, alice: {say: hello}}
  - {at: 600ms, server: STEP}
  - {at: 900ms, bob: {say: hi}}
until: 1800ms
expect:
  - {bob: {sees: [hello]}}
"""


def test_every_supported_scenario_takes_the_same_steps_on_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    result = main(["run", "--sockets", "--patience", "33s", str(SCENARIOS)])
    shown = capsys.readouterr().out
    assert result == 0, shown
    same = next(line for line in shown.splitlines() if "take the same steps on sockets" in line)
    count, _, rest = same.partition(" ")
    assert int(count) >= SUPPORTED
    assert rest.startswith("take the same steps on sockets, 0 do not")


@pytest.mark.parametrize(
    "step",
    [
        "{pause: 200ms}",
        "{crash: {restart: 200ms}}",
        "shutdown",
        "{remove: {user: carol, room: lobby}}",
        "{close_room: lobby}",
    ],
)
def test_server_actions_apply_to_its_process(tmp_path: Path, capsys: pytest.CaptureFixture[str], step: str) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO.replace("STEP", step))
    assert main(["run", "--sockets", str(file)]) == 0, capsys.readouterr().out


REMOVALS = """
claim: a member is removed on command, a paused server obeys later, and a server that is down does not
users: {bob: {dialect: text}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 100ms, bob: {join: lobby}}
  - {at: 200ms, alice: {say: hello}}
  - {at: 500ms, server: {pause: 300ms}}
  - {at: 600ms, server: {remove: {user: bob, room: lobby}}}
  - {at: 1200ms, server: {remove: {user: bob, room: lobby}}}
  - {at: 1500ms, server: crash}
  - {at: 1600ms, server: {remove: {user: alice, room: lobby}}}
until: 2s
expect:
  - {bob: {told: removed}, between: [800ms, 1s]}
  - {alice: {state: in-room}}
"""


def test_a_server_process_removes_a_member(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(REMOVALS)
    assert main(["run", "--sockets", str(file)]) == 0, capsys.readouterr().out


OVERLAPPING_CUTS = """
claim: a cut ends at its own time, and another on the same links goes on
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 200ms, bob: {join: lobby}}
  - {at: 1s, network: {cut: {from: server, to: bob}, for: 2s}}
  - {at: 1200ms, network: {cut: {from: server, to: bob}, for: 300ms}}
  - {at: 2s, alice: {say: lost}}
  - {at: 3500ms, alice: {say: heard}}
until: 4s
expect:
  - {bob: {sees_exactly: [heard]}}
"""


def test_overlapping_cuts_end_at_their_own_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(OVERLAPPING_CUTS)
    assert main(["run", "--sockets", str(file)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{at: 700ms, bob: {clock: {skew: 1s}}}", "it sets a user's clock"),
        ("{at: 100ms, twin: {join: lobby}}", "two users request the same name at the same time"),
    ],
)
def test_an_unsupported_step_is_reported_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, why: str
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO.replace("{at: 600ms, server: STEP}", line))
    assert main(["run", "--sockets", str(file)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"chat-sim: {file}: cannot run on sockets: ")
    assert why in complaint


def test_a_scenario_longer_than_the_patience_is_reported_with_its_duration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO.replace("server: STEP", "alice: keep_alive"))
    assert main(["run", "--sockets", "--patience", "500ms", str(file)]) == 2
    assert "it takes 1 s of real time; use --patience 1s" in capsys.readouterr().err


def test_options_of_simulated_runs_are_rejected_with_sockets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--sockets", "--trace", str(tmp_path / "t"), str(SCENARIOS / "the-story.yaml")]) == 2
    assert "--trace, --html, --format and --strict do not work with --sockets" in capsys.readouterr().err
    assert main(["run", "--sockets", "--patience", "soon", str(SCENARIOS / "the-story.yaml")]) == 2
    assert "--patience: a duration such as" in capsys.readouterr().err


A_DIFFERENCE = Difference(MachineName("server", "room", "lobby", 1), 1, "created", None)


def runs_of(*names: str) -> list[SimulatedRun]:
    scenario: Any = None
    return [SimulatedRun(Path(name), scenario, 0, {}, 0) for name in names]


def test_what_differs_while_the_machine_stalls_is_run_again_and_nothing_else() -> None:
    ran: list[list[str]] = []

    async def compare(runs: list[SimulatedRun]) -> list[Comparison]:
        ran.append([run.file.name for run in runs])
        differing = [[A_DIFFERENCE] if run.file.name == "b" and len(ran) < 2 else [] for run in runs]
        return [Comparison(run.file, {}, each, STALL_SECONDS) for run, each in zip(runs, differing, strict=True)]

    found = asyncio.run(compare_undisturbed(runs_of("a", "b"), compare))
    assert ran == [["a", "b"], ["b"]]
    assert [(each.file.name, each.differences, each.stalls) for each in found] == [
        ("a", [], []),
        ("b", [], [STALL_SECONDS]),
    ]


@pytest.mark.parametrize(("stall", "tries"), [(STALL_SECONDS - 0.01, 1), (STALL_SECONDS, TRIES)])
def test_what_differs_always_or_undisturbed_differs(stall: float, tries: int) -> None:
    ran = 0

    async def compare(runs: list[SimulatedRun]) -> list[Comparison]:
        nonlocal ran
        ran += 1
        return [Comparison(run.file, {}, [A_DIFFERENCE], stall) for run in runs]

    [found] = asyncio.run(compare_undisturbed(runs_of("a"), compare))
    assert (found.differences, ran) == ([A_DIFFERENCE], tries)


def test_what_differs_after_a_late_restart_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tcrp.live.server.RESTART_SECONDS", 0.0)
    monkeypatch.setattr("tcrp.cli.sockets.STALL_SECONDS", 0.2)
    monkeypatch.setattr("tcrp.cli.sockets.differences", lambda *_: [A_DIFFERENCE])
    monkeypatch.setattr("tcrp.cli.sockets.TRIES", 1)
    file = tmp_path / "scenario.yaml"
    script = "[{at: 0s, server: {crash: {restart: 1ms}}}, {at: 2s, alice: {create: lobby}}]"
    file.write_text(f"claim: a\nscript: {script}\n")
    assert main(["run", "--sockets", str(file)]) == 1
    assert "but the machine held everything up for " in capsys.readouterr().out


def test_a_stall_is_measured() -> None:
    async def stalls() -> float:
        with (stall := Stall()):
            await asyncio.sleep(0)
            time.sleep(0.3)  # holds up the whole program, as a machine may
            await asyncio.sleep(0.1)
        return stall.seconds

    assert asyncio.run(stalls()) > 0.2
