"""`chat-sim show --format pcapng` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from captures import tshark
from tcrp.cli.exits import CANNOT, HOLDS, OUTPUT_LOST
from tcrp.cli.sim import main

ROOT = Path(__file__).parents[2]
CUT = str(ROOT / "examples" / "cut.yaml")


def show(*words: object) -> int:
    return main(["show", "--format", "pcapng", *map(str, words)])


def test_a_scenario_its_trace_and_a_bundle_become_captures(tmp_path: Path) -> None:
    output = tmp_path / "run.pcapng"
    assert show(CUT, "-o", output) == HOLDS
    whole = tshark(output, "-Y", "udp")
    assert main(["run", CUT, "--format", "quiet", "--trace", str(tmp_path / "trace.jsonl")]) == HOLDS
    assert show(tmp_path / "trace.jsonl", "-o", output) == HOLDS
    assert len(tshark(output, "-Y", "udp")) == len(whole)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "scenario.yaml").write_bytes(Path(CUT).read_bytes())
    assert show(tmp_path / "bundle", "-o", output) == HOLDS
    assert tshark(output, "-Y", "udp") == whole


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([CUT], CANNOT, "binary file: name it with -o FILE"),
        (["absent.yaml", "-o", "x"], CANNOT, "absent.yaml: there is no such file or folder"),
        (["{tmp}", "-o", "x"], CANNOT, "neither scenario.yaml nor trace.jsonl"),
        (["{tmp}/steps.jsonl", "-o", "{tmp}/x"], CANNOT, "there is no packet in this trace"),
        (["{tmp}/cut.jsonl", "-o", "{tmp}/x"], CANNOT, "cut.jsonl:2:2: the last line is cut off"),
        (["{tmp}/steps.jsonl", "--seed", "1", "-o", "{tmp}/x"], CANNOT, "--seed is for scenarios"),
        (["{tmp}/bad.yaml", "-o", "{tmp}/x"], CANNOT, "bad.yaml:1:1"),
        ([CUT, "-o", "{tmp}/absent/x"], OUTPUT_LOST, "absent/x: cannot be written: No such file or directory"),
    ],
)
def test_mistakes_are_explained(
    words: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = '{"mode":"sockets","schema":"tcrp-trace/1"}\n'
    (tmp_path / "steps.jsonl").write_text(header, encoding="utf-8")
    (tmp_path / "cut.jsonl").write_text(header + "{", encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("claims: x\n", encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    named = [word.replace("{tmp}", str(folder if word == "{tmp}" else tmp_path)) for word in words]
    assert show(*named) == code
    assert message in capsys.readouterr().err
