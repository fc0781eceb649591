"""`chat-sim` as a process: its output and its exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from planting import Planted
from tcrp.cli.console import COLOURS
from tcrp.cli.exits import OUTPUT_LOST
from tcrp.cli.sim import main
from tcrp.engine.server import Outputs
from tcrp.sim.run import Run
from tcrp.spec.limits import SETTINGS
from tcrp.trace.header import CastMember
from tcrp.trace.reader import read_trace

ROOT = Path(__file__).parents[2]
STORY = ROOT / "sim" / "scenarios" / "the-story.yaml"
FAILING = """\
claim: nobody leaves
script:
  - {at: 0s, a: {create: r}}
  - {at: 1s, a: leave}
expect:
  - {a: {state: in-room}}
"""


def chat_sim(
    *words: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run chat-sim with the Python and the sources of the tests."""
    roots = os.pathsep.join(str(ROOT / folder) for folder in ("spec", "engine", "sim", "cli"))
    return subprocess.run(
        [sys.executable, "-m", "tcrp.cli.sim", *map(str, words)],
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=False, cwd=cwd,
        env={**os.environ, "PYTHONPATH": roots, "PYTHONIOENCODING": "utf-8", **(env or {})},
    )  # fmt: skip


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    path = tmp_path / "it fails.yaml"
    path.write_text(FAILING, encoding="utf-8")
    return path


def test_the_story_holds_step_by_step_and_its_digest_is_the_last_line() -> None:
    ran = chat_sim("run", STORY)
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert re.fullmatch(r"digest sha256:[0-9a-f]{64}", lines[-1])
    assert any(line.startswith("✔ holds") for line in lines)
    assert lines[0].split() == [
        "time",
        "actor",
        "machine",
        "from",
        "→",
        "to",
        "event",
        "rule",
        "sent",
        "·",
        "shown",
        "·",
        "dropped",
    ]
    steps = [re.split(r" {2,}", line.strip()) for line in lines]
    assert any(step[1:6] == ["server", "room lobby", "open → closing", "host_gone", "R-ROOM-2"] for step in steps)
    assert "\x1b" not in ran.stdout, "a pipe gets no colours"


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_the_digest_does_not_depend_on_the_hash_seed(hash_seed: str) -> None:
    ran = chat_sim("run", "--format", "quiet", STORY, env={"PYTHONHASHSEED": hash_seed})
    pinned = (ROOT / "tests" / "sim" / "the-story.digest").read_text(encoding="ascii").strip()
    assert ran.stdout.splitlines()[-1] == f"digest sha256:{pinned}"


def test_a_claim_that_does_not_hold_gives_exit_code_1_the_nearest_miss_and_a_replay_command(
    failing: Path,
) -> None:
    ran = chat_sim("run", "--format", "quiet", failing, "--seed", 4)
    assert ran.returncode == 1
    assert "✗ does not hold  nobody leaves" in ran.stdout
    assert f"{failing}:6: expected {{a: {{state: in-room}}}}" in ran.stdout
    assert "nearest: it was expired since 1 s; it had been in-room at 0.04 s" in ran.stdout
    assert "session a@r in-room -> expired (left, R-EXIT-1)" in ran.stdout
    assert f"replay: chat-sim run '{failing}' --seed 4" in ran.stdout


def test_the_digest_is_of_the_lines_of_the_trace(tmp_path: Path) -> None:
    import hashlib

    ran = chat_sim("run", "--format", "quiet", STORY, "--trace", tmp_path / "t.jsonl")
    header, *lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(header)["schema"] == "tcrp-trace/1"
    assert json.loads(header)["mode"] == "simulated"
    read, _ = read_trace(tmp_path / "t.jsonl")
    assert read.cast["alice"] == CastMember("alice", read.cast["alice"].dialect)
    assert read.dialects == tuple(sorted({member.dialect for member in read.cast.values()}))
    assert read.limits.keys() == SETTINGS.keys()
    assert [json.loads(line)["n"] for line in lines] == list(range(1, len(lines) + 1))
    digest = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert ran.stdout.splitlines()[-1] == f"digest sha256:{digest}"


def test_jsonl_on_stdout_is_the_trace_and_nothing_else(tmp_path: Path) -> None:
    ran = chat_sim("run", "--format", "jsonl", STORY, "--trace", tmp_path / "t.jsonl")
    assert ran.stdout == (tmp_path / "t.jsonl").read_text(encoding="utf-8")
    assert "holds" in ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claim: [", "x.yaml:1:9: this is not valid YAML"),
        ("claim: a\nscript:\n  - {at: 0s, alice: {sya: hi}}", "x.yaml:3:22: alice: unknown verb 'sya'"),
        ("claim: a\nuntil: -5s", "x.yaml:2:8: until: a duration such as 10ms"),
    ],
)
def test_an_unreadable_scenario_gives_exit_code_2_and_one_line_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    for command in ("run", "check-syntax"):
        ran = chat_sim(command, "x.yaml", cwd=tmp_path)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith(f"chat-sim: {said}")
        assert ran.stderr.count("\n") == 1
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml: there is no such file or folder"),
        (("run", "."), ".: there is no scenario (*.yaml) in this folder"),
        (("run", str(STORY), "--rows", "1"), "'1' is neither a number of at least 2 nor 'all'"),
        (("run", str(STORY), "--seed", "x"), "invalid int value: 'x'"),
        (("spec", "door"), "invalid choice: 'door' (choose from "),
        (("runn", "first.yaml"), "invalid choice: 'runn'; did you mean run?\n"),
        (("spec", "sesion"), "invalid choice: 'sesion'; did you mean session?\n"),
        ((), "required: COMMAND"),
    ],
)
def test_wrong_arguments_give_exit_code_2_and_no_stack_trace(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ran = chat_sim(*words, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_full_disk_is_an_error_without_a_stack_trace() -> None:
    for trace, why in (("/dev/full", "No space left on device"), ("no/such/folder/t", "No such file or directory")):
        ran = chat_sim("run", "--format", "quiet", STORY, "--trace", trace)
        assert (ran.returncode, ran.stderr) == (OUTPUT_LOST, f"chat-sim: {trace}: cannot write the trace: {why}\n")


def test_a_folder_is_run_file_by_file_with_a_summary(tmp_path: Path, failing: Path) -> None:
    (tmp_path / "good.yaml").write_text(FAILING.replace("in-room}}", "expired}}"), encoding="utf-8")
    ran = chat_sim("run", tmp_path, "--trace", tmp_path / "traces")
    assert ran.returncode == 1
    assert "1 hold, 1 do not, 0 cannot be run" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("digest sha256:")
    assert sorted(path.name for path in (tmp_path / "traces").iterdir()) == ["good.jsonl", "it fails.jsonl"]
    failing.write_text("claim: [", encoding="utf-8")
    ran = chat_sim("run", tmp_path)
    assert ran.returncode == 2
    assert "1 hold, 0 do not, 1 cannot be run" in ran.stdout


@pytest.mark.parametrize("format", ["table", "mermaid", "dot"])
def test_spec_prints_the_machines(format: str) -> None:
    ran = chat_sim("spec", "--format", format)
    assert ran.returncode == 0
    for word in ("superseded", "host_gone", "abandoned"):
        assert word in ran.stdout


def test_coverage_reports_what_is_missing() -> None:
    ran = chat_sim("coverage", STORY)
    assert ran.returncode == 1
    assert re.search(r"rows \d+ of 31, rules \d+ of 31, refused pairs \d+ of 69", ran.stdout)
    assert "no scenario exercises R-NAME-2" in ran.stdout


def test_of_many_rows_the_middle_is_left_out_unless_all_are_requested() -> None:
    few, every = chat_sim("run", STORY, "--rows", 10).stdout, chat_sim("run", STORY, "--rows", "all").stdout
    assert "more rows (--rows all shows them)" in few
    assert len(few.splitlines()) < 20 < len(every.splitlines())


def test_colours_are_for_terminals_and_not_with_no_color() -> None:
    """On a pseudo-terminal."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system")
    roots = os.pathsep.join(str(ROOT / folder) for folder in ("spec", "engine", "sim", "cli"))
    seen = {}
    for no_color in ("", "1"):
        master, slave = pty.openpty()
        env = {**os.environ, "PYTHONPATH": roots, "TERM": "xterm-256color", "COLUMNS": "150"}
        env.pop("NO_COLOR", None)
        if no_color:
            env["NO_COLOR"] = no_color
        process = subprocess.Popen(
            [sys.executable, "-m", "tcrp.cli.sim", "run", str(STORY), "--rows", "20"], stdout=slave, env=env
        )
        os.close(slave)
        output = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            output += piece
        os.close(master)
        assert process.wait(timeout=30) == 0
        seen[no_color] = output.decode()
    assert f"\x1b[38;5;{COLOURS['cyan']}m" in seen[""], "sessions are cyan"
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", seen["1"])
    assert "session alice@lobby" in seen["1"]


def test_strict_fails_a_scenario_that_claims_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("claim: nothing\nscript:\n  - {at: 0s, bob: {join: lobby}}\n")
    assert main(["run", "--format", "quiet", str(file)]) == 0
    assert "the request of bob was refused (no_such_room)" in capsys.readouterr().out
    assert main(["run", "--format", "quiet", "--strict", str(file)]) == 1
    assert main(["run", str(tmp_path)]) == 0
    assert "1 of them claims nothing" in capsys.readouterr().out
    assert main(["run", "--strict", str(tmp_path)]) == 1


def test_a_fault_of_our_own_code_is_told_in_a_sentence_with_an_exit_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Faulty(Planted):
        def shutdown(self, now_us: int) -> Outputs:
            raise KeyError("closing, relayed", now_us)

    def run(*given: Any, **options: Any) -> Run:
        return Run(*given, **{**options, "make_engine": Faulty})

    monkeypatch.setattr("tcrp.cli.runs.Run", run)
    monkeypatch.setattr("tcrp.sim.swarm.failures.Run", run)
    file = tmp_path / "story.yaml"
    file.write_text("claim: a\nscript:\n  - {at: 0s, a: {create: r}}\n  - {at: 2s, server: shutdown}\n")
    for arguments in ([str(file)], ["--format", "quiet", str(tmp_path)]):
        assert main(["run", "--seed", "7", *arguments]) == 70
        said = capsys.readouterr()
        assert f"chat-sim: {file}: tcrp itself has failed at 2 s: KeyError in test_sim.shutdown: " in said.err
        assert f"replay: chat-sim run {file} --seed 7" in said.err
        assert "Traceback" not in said.err
    assert main(["shrink", str(file)]) == 0
    shrunk = (tmp_path / "shrunk.yaml").read_text()
    assert "breaks KeyError in test_sim.shutdown" in shrunk
    assert "create" not in shrunk
