"""`chat-sim swarm`, `shrink`, `determinism` and `diff`, as typed on a command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from planting import Planted
from processes import BIN, PATIENCE
from tcrp.cli.exits import OUTPUT_LOST
from tcrp.cli.sim import main
from tcrp.cli.swarm import Swarm, run_swarm
from tcrp.sim.scenario.reader import read_scenario
from tcrp.sim.swarm.generator import Knobs
from tcrp.spec.names import Property

SCENARIOS = Path(__file__).parents[2] / "sim" / "scenarios"
SCENARIO = SCENARIOS / "a-port-that-changes-is-followed.yaml"


def test_a_swarm_reports_what_it_ran_and_covered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["swarm", "--runs", "45", "--jobs", "2", "--bundles", str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("45 scenarios from seed 0 in ")
    assert re.search(r" in [\d.]+ s on 2 processes: [\d,]+ events, [\d,]+ events/s\n", shown)
    assert " of 31, refused pairs " in shown
    assert re.search(rf", properties [1-9]\d* of {len(Property)}\n", shown)
    assert shown.endswith("✔ none failed\n")
    assert not (tmp_path / "b").exists()


def test_a_swarm_that_met_too_little_fails_unless_it_was_restricted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tcrp.cli.swarm.ENOUGH_RUNS", 40)
    calm = tmp_path / "knobs.toml"
    calm.write_text("attackers = false\n")
    few = ["swarm", "--jobs", "1", "--bundles", str(tmp_path / "b"), "--runs"]
    assert main([*few, "39"]) == 0  # too few runs for this to count
    assert main([*few, "40"]) == 1
    shown = capsys.readouterr().out
    assert "never met: a-" in shown
    assert shown.count("This is no failure: only a swarm of 40 or more has to meet them.\n") == 1
    assert shown.count("This is no failure") == 1
    assert main([*few, "40", "--vary", str(calm)]) == 0
    assert "! the file of --vary may exclude these" in capsys.readouterr().out
    assert main([*few, "40", str(SCENARIO)]) == 0


def test_a_swarm_without_a_terminal_prints_its_progress_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    quiet = ["swarm", "--jobs", "1", "--runs", "45", "--bundles", str(tmp_path)]
    assert main(quiet) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("tcrp.cli.swarm.PROGRESS_EVERY_SECONDS", 0)
    assert main(quiet) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"45 scenarios, [\d,]+ events/s, rows \d+/31, 0 failed", last)


def test_a_swarm_runs_clusters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    servers = tmp_path / "knobs.toml"
    servers.write_text('servers = 2\nusers = 2\nsteps = 3\nhorizon = "2s"\n')
    assert main(["swarm", "--jobs", "1", "--runs", "2", "--vary", str(servers), "--bundles", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().out.endswith("✔ none failed\n")


class Faulty(Planted):
    def remove(self, user: str, room: str, now_us: int) -> None:
        raise ZeroDivisionError(f"by hand, of {user}")


def test_a_failure_is_kept_with_its_scenario_trace_and_shrunk_scenario(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    swarm = Swarm(200, None, 2, 0, tmp_path, Knobs(), (), Faulty)
    assert run_swarm(swarm) == 1
    shown = capsys.readouterr().out
    assert "✗ ZeroDivisionError in test_swarm.remove, " in shown
    [bundle] = tmp_path.iterdir()
    assert sorted(each.name for each in bundle.iterdir()) == [
        "README.txt",
        "scenario.yaml",
        "shrunk.html",
        "shrunk.yaml",
        "trace.jsonl",
    ]
    assert json.loads((bundle / "trace.jsonl").read_text().splitlines()[0])["schema"] == "tcrp-trace/1"
    assert "ZeroDivisionError in test_swarm.remove" in (bundle / "shrunk.html").read_text(encoding="utf-8")
    assert f"page: {bundle / 'shrunk.html'}" in "".join(shown.splitlines())
    assert f"replay: chat-sim run {bundle / 'shrunk.yaml'}" in (bundle / "README.txt").read_text()
    assert main(["check-syntax", str(bundle / "scenario.yaml"), str(bundle / "shrunk.yaml")]) == 0
    assert len(read_scenario(bundle / "shrunk.yaml").script) == 1


def test_a_bundle_that_cannot_be_written_has_the_exit_code_of_lost_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("claim: x\nscript: [{at: 0s, alice: {create: lobby}}]\nexpect: [{server: {rooms: 2}}]\n")
    folder = tmp_path / "file" / "bundles"
    assert main(["swarm", "--runs", "1", "--jobs", "1", "--bundles", str(folder), str(wrong)]) == OUTPUT_LOST
    assert "the failure cannot be written: Not a directory" in capsys.readouterr().err


def test_ctrl_c_reports_what_was_done(tmp_path: Path) -> None:
    with subprocess.Popen(
        [BIN / "chat-sim", "swarm", "--for", "60s", "--jobs", "1", "--bundles", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as swarm:  # fmt: skip
        with pytest.raises(subprocess.TimeoutExpired):
            swarm.wait(3)
        swarm.send_signal(signal.SIGINT)
        out, err = swarm.communicate(timeout=PATIENCE)
    assert swarm.returncode == 130
    assert " scenarios from seed 0 in " in out
    assert "never met" not in out
    assert out.endswith("✔ none of these failed\n")
    assert err == "chat-sim: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swarm", "--runs", "1", "--for", "1s"], "either --runs or --for, not both"),
        (["swarm", "--for", "soon"], "--for: a duration such as"),
        (["swarm", "--vary", "none.toml"], "none.toml: cannot read the file"),
        (["shrink", str(SCENARIO)], "does not fail, so there is nothing to shrink"),
        (["shrink", "no-such-bundle"], "no-such-bundle: there is no such file or folder"),
        (["diff", str(SCENARIO), str(SCENARIO)], f"{SCENARIO}: not a trace; chat-sim run {SCENARIO} --trace FILE"),
        (["diff", "none", "none"], "none: cannot be read: No such file or directory"),
    ],
)
def test_a_user_error_is_reported_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("user = 3", "there is no knob 'user'; allowed are users, steps, horizon"),
        ("users = 9", "users is 9; allowed are 1 to 7"),
        ("attackers = 'yes'", "attackers is 'yes'; allowed are true, false"),
        ("horizon = 5", "horizon: a duration such as"),
    ],
)
def test_a_wrong_knob_is_reported_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, toml: str, said: str
) -> None:
    knobs = tmp_path / "knobs.toml"
    knobs.write_text(toml)
    assert main(["swarm", "--vary", str(knobs)]) == 2
    assert said in capsys.readouterr().err


def test_a_swarm_can_run_a_scenario_under_many_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swarm", str(SCENARIO), "--runs", "20", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.startswith("20 scenarios")


def test_a_swarm_of_a_scenario_says_with_how_many_seeds_its_claim_holds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "claim: nobody is heard\nscript:\n  - {at: 0s, alice: {create: lobby}}\n  - {at: 1s, bob: {join: lobby}}\n"
        "  - {at: 2s, bob: {say: x}}\n  - {at: 3s, bob: {say: y}}\nexpect:\n  - {alice: {never_sees: [x]}}\n"
    )
    assert main(["run", "--format", "quiet", str(wrong)]) == 1
    bundles = tmp_path / "b"
    assert main(["swarm", str(wrong), "--runs", "5", "--jobs", "1", "--bundles", str(bundles)]) == 1
    shown = capsys.readouterr().out
    assert f"{wrong}: the claim holds with 0 of 5 seeds\n" in shown
    assert "✗ unmet: {alice: {never_sees: [x]}}, 5 times\n    first: bob's 'x' was seen at " in shown
    [bundle] = bundles.iterdir()
    assert len(read_scenario(bundle / "shrunk.yaml").script) == 3
    assert main(["run", "--format", "quiet", str(bundle / "shrunk.yaml")]) == 1
    (bundle / "shrunk.yaml").unlink()
    assert main(["shrink", str(bundle)]) == 0
    assert len(read_scenario(bundle / "shrunk.yaml").script) == 3


def test_determinism_compares_two_processes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["determinism", str(SCENARIO)]) == 0
    assert capsys.readouterr().out == f"✔ {SCENARIO}\n"


def test_diff_shows_where_two_traces_first_differ_and_why(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    for name, seed in ((a, "1"), (b, "1")):
        main(["run", str(SCENARIO), "--seed", seed, "--trace", name, "--format", "quiet"])
    capsys.readouterr()
    assert main(["diff", a, b]) == 0
    assert capsys.readouterr().out.startswith("the same ")
    lines = Path(b).read_text().splitlines()
    changed = json.loads(lines[40])
    lines[40] = json.dumps({**changed, "t_us": changed["t_us"] + 1})
    Path(b).write_text("\n".join(lines) + "\n")
    assert main(["diff", a, b]) == 1
    shown = capsys.readouterr().out
    assert "the same up to record 39; then they part:" in shown
    assert "they differ in: t_us" in shown
    assert shown.count("what led there in") == 2
    led = [line for line in shown.splitlines() if line.startswith("    ")]
    assert len(led) % 2 == 0
    assert led[: len(led) // 2] == led[len(led) // 2 :]


def test_diff_says_which_trace_ends_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    whole, short = tmp_path / "whole", tmp_path / "short"
    main(["run", str(SCENARIO), "--trace", str(whole), "--format", "quiet"])
    short.write_text("".join(whole.read_text().splitlines(keepends=True)[:11]))
    capsys.readouterr()
    assert main(["diff", str(short), str(whole)]) == 1
    shown = capsys.readouterr().out
    assert "the same up to record 10; then they part:" in shown
    assert "(ends here)" in shown
    assert shown.count("what led there in") == 1


def test_diff_of_a_trace_that_cannot_be_read_says_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    main(["run", str(SCENARIO), "--trace", str(whole), "--format", "quiet"])
    lines = whole.read_text().splitlines(keepends=True)
    cut.write_text("".join(lines)[:-1])
    capsys.readouterr()
    assert main(["diff", str(whole), str(cut)]) == 2
    said = f"chat-sim: {cut}:{len(lines)}:{len(lines[-1])}: the last line is cut off: it does not end with a newline\n"
    assert capsys.readouterr().err == said


def test_diff_reads_pipes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    main(["run", str(SCENARIO), "--trace", str(a), "--format", "quiet"])
    b.write_text(a.read_text().replace('"what":"enter"', '"what":"leave"', 1))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    capsys.readouterr()
    with subprocess.Popen(["cp", str(a), str(pipe)]) as copying:
        assert main(["diff", str(pipe), str(b)]) == 1
    assert copying.returncode == 0
    shown = capsys.readouterr().out
    assert "they differ in: what" in shown
    assert shown.count("what led there in") == 2
