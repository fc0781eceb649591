"""What `chat-sim judge` takes and says, besides which packet breaks a rule: that is `tests/judge/test_recorded.py`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from judge.film import Film, opening
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS
from tcrp.cli.judge import SHOWN
from tcrp.cli.sim import main

Said = pytest.CaptureFixture[str]
CUT = Path(__file__).parents[2] / "examples" / "cut.yaml"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("judged") / "trace.jsonl"
    assert main(["run", str(CUT), "--format", "quiet", "--trace", str(path)]) == HOLDS
    return path


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return opening().written(tmp_path / "capture.pcap")


def judge(*words: object) -> int:
    return main(["judge", *map(str, words)])


def echoing(times: int) -> Film:
    """A server that sends so many texts back to their sender."""
    film = opening()
    for number in range(times):
        film.says("ann", str(number))
        for who in ("ann", "bob", "cat"):
            film.hears(who, f"ann: {number}")
    return film


@pytest.mark.parametrize("of", ["trace", "capture"])
def test_a_pipe_is_judged_as_the_file_in_it(
    of: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: Said
) -> None:
    file: Path = request.getfixturevalue(of)
    capsys.readouterr()
    assert judge(file) == HOLDS
    said = capsys.readouterr()
    assert said.out.endswith(
        {"trace": "each a row of its machine's table\n", "capture": "no packet breaks a rule\n"}[of]
    )
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cp", str(file), str(tmp_path / "pipe")]):
        assert judge(tmp_path / "pipe") == HOLDS
    assert capsys.readouterr() == said


def test_a_mistake_in_a_pipe_is_named_by_the_pipe(trace: Path, tmp_path: Path, capsys: Said) -> None:
    cut, pipe = tmp_path / "cut", tmp_path / "pipe"
    cut.write_bytes(trace.read_bytes()[:-1])
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", str(cut), str(pipe)]):
        assert judge(pipe) == CANNOT
    assert capsys.readouterr().err.startswith(f"chat-sim: {pipe}:")


def test_a_folder_or_a_header_alone_cannot_be_judged(trace: Path, tmp_path: Path, capsys: Said) -> None:
    assert judge(tmp_path) == CANNOT
    assert capsys.readouterr().err == f"chat-sim judge: {tmp_path}: cannot be read: Is a directory\n"
    header = tmp_path / "header.jsonl"
    header.write_bytes(trace.read_bytes().partition(b"\n")[0] + b"\n")
    assert judge(header) == CANNOT
    assert capsys.readouterr().err == f"chat-sim judge: {header}: the trace holds no step of a machine\n"


def test_a_capture_that_begins_behind_the_requests_is_not_said_to_hold(tmp_path: Path, capsys: Said) -> None:
    film = Film()
    film.says("ann", "hi")
    path = film.written(tmp_path / "late.pcap")
    assert judge(path) == CANNOT
    assert "no token is granted in 1 packet. Either the capture begins behind" in capsys.readouterr().err


@pytest.mark.parametrize("more", [0, 1])
def test_only_the_first_breaks_are_told_in_full_and_the_others_counted(more: int, tmp_path: Path, capsys: Said) -> None:
    assert judge(echoing(SHOWN + more).written(tmp_path / "wrong.pcap")) == DOES_NOT_HOLD
    said = capsys.readouterr().out
    assert said.count(": R-REL-1\n") == SHOWN
    assert ("and 1 more packet; what follows the first" in said) == bool(more)


def test_a_dialect_that_does_not_exist_is_a_mistake(capture: Path, capsys: Said) -> None:
    assert judge(capture, "--dialect", "txet") == CANNOT
    assert "did you mean text?" in capsys.readouterr().err


def test_another_dialect_than_the_captured_one_grants_no_token(capture: Path, capsys: Said) -> None:
    assert judge(capture, "--dialect", "text") == HOLDS
    assert judge(capture, "--dialect", "json") == CANNOT
    assert "try --dialect" in capsys.readouterr().err
