"""`chat-sim spec --format tla`: two files that go together, and bounds that the small chat has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli import tla
from tcrp.cli.exits import OutputLost, UsageError
from tcrp.cli.tla import print_tla, write_tla
from tcrp.interleavings.tla import MODULE

Said = pytest.CaptureFixture[str]
SMALL = "claim: x\nexplore: {users: 1, texts: 1}\n"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"


def test_what_is_printed_is_a_module_with_the_configuration_behind_its_end(capsys: Said) -> None:
    print_tla(None)
    module, _, rest = capsys.readouterr().out.partition("\n====")
    assert f"MODULE {MODULE}" in module.splitlines()[0]
    assert f"{MODULE}.cfg:\n\n" in rest
    assert "SPECIFICATION" in rest


def test_what_is_written_is_what_is_printed_and_says_how_many_states_there_are(
    scenario: Path, tmp_path: Path, capsys: Said
) -> None:
    print_tla(scenario)
    printed = capsys.readouterr().out
    write_tla(tmp_path / "new" / "folder", scenario)
    said = capsys.readouterr().out
    for ending in ("tla", "cfg"):
        assert (tmp_path / "new" / "folder" / f"{MODULE}.{ending}").read_text(encoding="utf-8").strip() in printed
    assert "the explorer counts " in said
    assert f"compare: cd {tmp_path / 'new' / 'folder'} && java " in said


def test_a_count_that_takes_too_long_is_said_to_be_no_end(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    scenario.write_text("claim: x\nexplore: {users: 3, texts: 3, drops: 2}\n")
    monkeypatch.setattr(tla, "COUNTS_FOR_SECONDS", 0.01)
    write_tla(tmp_path, scenario)
    assert "not exhausted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("claim: x\nscript:\n  - {at: 0s, alice: {create: lobby}}\n", "has no section explore:"),
        (
            "claim: x\nexplore: {users: 1, texts: 1, crashes: 1}\n",
            "has users, texts, drops and duplicates, and not cra",
        ),
        ("claim: x\nexplore: {usres: 1}\n", "unknown key 'usres'"),
    ],
)
def test_bounds_that_the_small_chat_does_not_have_are_refused(source: str, said: str, scenario: Path) -> None:
    scenario.write_text(source)
    with pytest.raises(UsageError, match=said):
        print_tla(scenario)


def test_a_folder_that_cannot_be_written_is_lost_output(scenario: Path) -> None:
    with pytest.raises(OutputLost, match="cannot be written: "):
        write_tla(scenario, None)
