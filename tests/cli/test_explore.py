"""`chat-sim explore`: what it says, and its exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tcrp.cli.explore import _rate
from tcrp.cli.sim import main
from tcrp.explore.model import Progress
from tcrp.explore.team import HelperLost, WorkerError

TINY = "claim: one user is alone\nexplore: {users: 1, texts: 1, drops: 1}\n"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def test_an_exhausted_search_says_what_is_proved(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", str(tiny), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 user, 1 text, 1 drop; each repeated message up to 1 time again" in said
    assert "exhausted: " in said
    assert "properties hold in every state within these bounds" in said
    assert "session expired: granted" in said  # never offered


def test_the_verdict_stands_below_the_list_that_is_longer_than_a_terminal(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", str(tiny), "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [verdict] = [at for at, line in enumerate(lines) if "exhausted: " in line]
    assert all("session" not in line for line in lines[verdict:])


def test_the_search_of_another_scenario_is_named_by_its_claim_and_bounds(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    assert main(["explore", str(tiny), "--jobs", "1", "--depth", "3", "--resume", str(kept)]) == 0
    tiny.write_text(tiny.read_text().replace("drops: 1", "drops: 2"))
    capsys.readouterr()
    assert main(["explore", str(tiny), "--jobs", "1", "--resume", str(kept)]) == 2
    said = capsys.readouterr().err
    assert "belongs to another search" in said
    assert "drops 1" in said
    assert "drops 2" in said


def test_a_search_that_is_cut_says_that_it_is_not_exhausted(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for bound in (["--depth", "5"], ["--states", "5"], ["--for", "1us"]):
        assert main(["explore", str(tiny), "--jobs", "1", *bound]) == 0
        said = capsys.readouterr().out
        assert f"not exhausted: {'the time of --for' if '--for' in bound else bound[0]}" in said
        assert "nothing is proved of the others" in said


def test_a_rate_is_told_of_a_search_that_took_a_time(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", str(tiny), "--jobs", "1", "--depth", "1"]) == 0
    assert "steps/s" not in capsys.readouterr().out
    assert _rate(Progress(generated=300, seconds=1.5)) == "200 steps/s, "


@pytest.mark.parametrize("command", ["explore", "swarm"])
def test_so_many_processes_that_the_machine_would_stand_still_are_a_mistake(
    command: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *([str(tiny)] if command == "explore" else []), "--jobs", "99999999"]) == 2
    assert "--jobs 99999999: at most " in capsys.readouterr().err


def test_a_search_goes_on_where_it_was_cut(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    assert main(["explore", str(tiny), "--jobs", "1"]) == 0
    whole = capsys.readouterr().out.splitlines()[1].partition(" deep")[0]
    assert main(["explore", str(tiny), "--jobs", "1", "--depth", "9", "--resume", str(kept)]) == 0
    assert f"--resume {kept}" in capsys.readouterr().out
    assert main(["explore", str(tiny), "--jobs", "1", "--resume", str(kept)]) == 0
    assert capsys.readouterr().out.splitlines()[1].partition(" deep")[0] == whole


def test_two_processes_find_what_one_finds(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They go on from a checkpoint: a search that is over before a process has started needs one only."""
    found = []
    for jobs in (1, 2):
        kept = tmp_path / f"kept by {jobs}"
        assert main(["explore", str(tiny), "--jobs", "1", "--depth", "3", "--resume", str(kept)]) == 0
        capsys.readouterr()
        assert main(["explore", str(tiny), "--jobs", str(jobs), "--resume", str(kept)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert f" on {jobs} process" in lines[1]
        found.append((lines[1].partition(" deep")[0], lines[2:]))
    assert found[0] == found[1]


def gone(*_: object, **__: object) -> None:
    raise HelperLost("a process that explored is gone (exit code -9)")


def broken(*_: object, **__: object) -> None:
    raise WorkerError("Traceback of a partition")


@pytest.mark.parametrize(
    ("raises", "code", "said"),
    [(gone, 74, "is gone (exit code -9); kept has what was known"), (broken, 70, "Traceback of a partition")],
)
def test_what_ends_a_search_is_said(
    raises: Any, code: int, said: str, tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    monkeypatch.setattr("tcrp.cli.explore.explore", raises)
    assert main(["explore", str(tiny), "--jobs", "1", "--resume", "kept"]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claim: a\n", "no section explore:"),
        ("claim: a\nexplore: {drops: 16}\n", "drops is 16; allowed are 0 to 15"),
        ("claim: a\nexplore: {}\nscript: [{at: 0s, bob: crash}]\n", "bob's crash is not explored"),
    ],
)
def test_what_cannot_be_explored_is_said(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(text)
    assert main(["explore", str(file), "--jobs", "1"]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_a_wrong_time_and_a_foreign_checkpoint_are_mistakes(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("not one")
    for arguments, said in (
        ([str(tmp_path)], "is a folder; name one scenario"),
        ([str(tiny), "--for", "9"], "--for: "),
        ([str(tiny), "--jobs", "1", "--resume", str(foreign)], "is not a checkpoint"),
        ([str(tiny), "--jobs", "1", "--resume", str(tmp_path / "none" / "kept")], "there is no folder"),
    ):
        assert main(["explore", *arguments]) == 2
        assert said in capsys.readouterr().err
