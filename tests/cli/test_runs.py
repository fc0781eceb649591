"""Runs of one scenario and of several: what is printed, what is kept, and with which exit code they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, OurFault, UsageError
from tcrp.cli.runs import play, run_one, run_several
from tcrp.cli.steps import View
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario

Said = pytest.CaptureFixture[str]
QUIET = View("quiet", 400, (), (), True)
HELD = "claim: x\nscript:\n  - {at: 0s, alice: {create: lobby}}\nexpect: [{server: {rooms: 1}}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(HELD)
    (tmp_path / "b.yaml").write_text(HELD.replace("rooms: 1", "rooms: 2"))
    (tmp_path / "c.yaml").write_text("claim: x\nscirpt: []\n")
    (tmp_path / "d.yaml").write_text(HELD.partition("expect")[0])
    return tmp_path


@pytest.mark.parametrize(
    ("names", "is_strict", "code", "counts"),
    [
        ("a", False, HOLDS, "1 hold, 0 do not, 0 cannot be run"),
        ("ad", False, HOLDS, "2 hold, 0 do not, 0 cannot be run"),
        ("ad", True, DOES_NOT_HOLD, "1 hold, 1 do not, 0 cannot be run"),
        ("ab", False, DOES_NOT_HOLD, "1 hold, 1 do not, 0 cannot be run"),
        ("abc", False, CANNOT, "1 hold, 1 do not, 1 cannot be run"),
    ],
)
def test_the_worst_of_several_decides_and_each_is_counted(
    names: str, is_strict: bool, code: int, counts: str, folder: Path, capsys: Said
) -> None:
    files = [folder / f"{name}.yaml" for name in names]
    assert run_several(files, None, folder, QUIET, pages=folder, is_strict=is_strict) == code
    said = capsys.readouterr()
    assert counts in said.out
    assert (str(folder / "c.yaml:2:1") in said.err) == ("c" in names)
    assert ("1 of them claims nothing" in said.out) == ("d" in names)
    for ending in ("jsonl", "html"):
        assert sorted(each.stem for each in folder.glob(f"*.{ending}")) == [name for name in names if name != "c"]


def test_the_same_seed_gives_the_same_digest_of_all_and_another_order_another(folder: Path, capsys: Said) -> None:
    digests = []
    for names, seed in (("ad", 1), ("ad", 1), ("da", 1)):
        run_several([folder / f"{name}.yaml" for name in names], seed, None, QUIET)
        digests.append(capsys.readouterr().out.splitlines()[-1])
    assert digests[0] == digests[1]
    assert all(each.startswith("digest") for each in digests)


def test_a_user_who_is_not_in_the_scenario_is_named_with_those_who_are(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"--only: nobody is called 'alcie'; there are .*; did you mean 'alice'"):
        run_one(folder / "a.yaml", None, None, View("table", 400, ("alcie",), (), True))


def test_a_fault_of_ours_says_when_and_how_to_see_it_again_and_one_of_the_disk_is_none(folder: Path) -> None:
    def raising(error: Exception) -> Run:
        def listen(_record: object) -> None:
            raise error

        return Run(read_scenario(folder / "a.yaml"), seed=7, listeners=[listen])

    with pytest.raises(OurFault) as raised:
        play(raising(ZeroDivisionError("by hand")))
    said = str(raised.value)
    assert said.startswith(f"{folder / 'a.yaml'}: tcrp itself has failed at 0")
    assert "ZeroDivisionError in test_runs.listen: by hand" in said
    assert f"replay: chat-sim run {folder / 'a.yaml'} --seed 7" in said
    with pytest.raises(OSError, match="disk"):
        play(raising(OSError("the disk is full")))
