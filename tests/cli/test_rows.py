"""Rows of a run's table: keep-alives and retransmissions folded, forged packets marked, kinds that can be hidden."""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from tcrp.cli.rows import KINDS
from tcrp.cli.sim import main
from tcrp.cli.steps import View, steps_table
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.trace.records import Record

SCENARIOS = Path(__file__).parents[2] / "sim" / "scenarios"
STORY = SCENARIOS / "the-story.yaml"
LEAVING = """\
claim: bob leaves
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, bob: leave}
  - {at: 2200ms, alice: {say: "hello"}}
"""
FORGING = """\
claim: mallory forges
users: {mallory: {attacker: true}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 3s, mallory: {spoof: {as: alice, say: "no token"}}}
  - {at: 4s, mallory: {datagram: {hex: "00"}}}
  - {at: 4500ms, mallory: {steal_token: alice}}
  - {at: 5s, mallory: {spoof: {as: alice, say: "hi"}}}
  - {at: 8s, mallory: {flood: {rate: 100/s, for: 1s, size: 1}}}
"""


@cache
def records_of(scenario: str | Path) -> tuple[Record, ...]:
    records: list[Record] = []
    read = read_scenario_text(scenario) if isinstance(scenario, str) else read_scenario(scenario)
    Run(read, listeners=[records.append]).go()
    return tuple(records)


def lines(scenario: str | Path, view: View | None = None) -> list[str]:
    """The lines of the table, without its head and with single blanks."""
    console = Console(file=io.StringIO(), width=1000, color_system=None)
    console.print(steps_table((view or View("table")).rows(records_of(scenario)), console, None))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()][1:]


def test_an_enter_that_is_sent_again_is_told_from_a_text_that_is_said() -> None:
    entering = LEAVING.replace("script:", "users: {bob: {dialect: text}}\nscript:")
    again = [line for line in lines(entering, View("table", folds=False)) if "enter to server" in line]
    assert again[0].endswith("▸ enter to server (39 B)")
    assert again[1].endswith("↻ enter to server (39 B) again")
    assert any("enter again ×2 until 1.640000: bob" in line for line in lines(entering))  # it is no keep-alive


def test_keep_alives_are_one_row() -> None:
    quiet = "claim: x\nserver: {idle_timeout: 9s}\nuntil: 9s\nusers: {bob: {keeps_alive: true}}\nscript:\n"
    shown = lines(quiet + "  - {at: 0s, bob: {create: lobby}}\n")
    assert [line for line in shown if re.search(r"bob keep-alive ×[2-9] until [3-9]\.\d{6}: bob$", line)]


def test_what_is_sent_again_is_one_row_as_long_as_nothing_else_happens() -> None:
    story = lines(STORY)
    each = lines(STORY, View("table", folds=False))
    assert any(re.search(r"3 actors enter again ×8 until 1\.\d{6}: dave ×3, eve ×3, bob ×2", line) for line in story)
    assert any(re.search(r"eve enter again ×3 until 21\.\d{6}: eve$", line) for line in story)
    assert len(story) < len(each) - 30
    assert not any("×" in line for line in each)


def test_folding_loses_no_row_of_another_kind() -> None:
    hidden = View("table", hidden=("keep-alive", "retransmission"))
    folded = View("table", hidden=("keep-alive", "retransmission"), folds=False)
    assert lines(STORY, hidden) == lines(STORY, folded)
    all_lines = set(lines(STORY))
    assert [line for line in lines(STORY, hidden) if line not in all_lines] == []


def test_a_retransmission_is_marked_as_one_and_not_as_refused() -> None:
    shown = lines(LEAVING, View("table", folds=False))
    assert sum("↻ leave to server" in line and "again" in line for line in shown) == 2
    ignored = [line for line in shown if "↻ leave ignored, a retransmission: the token has ended" in line]
    assert len(ignored) == 2
    assert not any("refused" in line or "dropped" in line for line in shown)
    assert any("retransmission ×" in line and "leave from bob to server" in line for line in lines(STORY)) is False


def test_a_duplicate_of_the_network_is_marked_as_one() -> None:
    shown = lines(SCENARIOS / "a-duplicated-datagram-is-relayed-twice.yaml")
    assert any("↻ leave ignored, a duplicate: the token has ended" in line for line in shown)


def test_a_request_after_the_end_is_still_refused() -> None:
    said = LEAVING.replace('alice: {say: "hello"}', "bob: {datagram: {text: again, room: lobby}}")
    shown = lines(said)
    assert any("forged by bob (datagram) ! refused: the token has ended" in line for line in shown)


def test_forged_packets_look_forged_and_so_does_their_effect() -> None:
    shown = lines(FORGING)
    assert any("mallory ▸ forged (spoof) say to server" in line for line in shown)
    assert any("✗ forged (spoof) datagram from mallory dropped: no such token" in line for line in shown)
    assert any("mallory ▸ forged datagram to server (1 B)" in line for line in shown)
    spoke = [
        line for line in shown if "session alice@lobby in-room spoke" in line and "forged by mallory (spoof)" in line
    ]
    assert len(spoke) == 1


def test_what_is_said_with_a_stolen_token_looks_forged() -> None:
    shown = lines(FORGING + '  - {at: 11s, mallory: {say: "as alice"}}\n')
    assert any("mallory ▸ forged (stolen token) say to server" in line for line in shown)
    assert any("✗ forged (stolen token) datagram from mallory dropped: from another address" in line for line in shown)
    assert not any("forged" in line for line in lines(LEAVING))


def test_a_flood_is_one_row() -> None:
    shown = [line for line in lines(FORGING) if line.startswith(("8.", "9."))]
    assert [line for line in shown if "▸ forged datagram ×100 until 8.990000: mallory" in line]
    assert len(shown) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_hidden(kind: str) -> None:
    view = View("table", hidden=tuple(each for each in KINDS if each != kind))
    hidden = View("table", hidden=(kind,))
    for scenario in (
        LEAVING,
        FORGING,
        STORY,
        SCENARIOS / "a-datagram-over-the-mtu-is-lost-and-the-next-one-arrives.yaml",
    ):
        only, others, both = lines(scenario, view), lines(scenario, hidden), lines(scenario, View("table", folds=False))
        if only and kind not in ("keep-alive", "retransmission", "forged"):
            assert set(only) <= set(both)
            assert not set(only) & set(others)


def test_rows_of_some_actors_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(STORY), "--only", "bob, network", "--rows", "all"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:-4]
    assert rows
    assert {line.split()[1] for line in rows} == {"bob"}


def test_a_crowd_stands_for_its_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "crowd.yaml"
    crowd = "claim: a\nusers: {crowd: {count: 2}}\nscript: [{at: 0s, alice: {create: a}}, {at: 1s, crowd: {join: a}}]\n"
    file.write_text(crowd, encoding="utf-8")
    assert main(["run", str(file), "--only", "crowd", "--hide", "keep-alive"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if re.match(r" *\d+\.\d{6} ", line)]
    assert {row[1] for row in rows} == {"crowd-1", "crowd-2"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--only", "bbo"), "--only: nobody is called 'bbo'; there are server, network, alice"),
        (("--only", "bbo"), "did you mean 'bob'?"),
        (("--hide", "keepalive"), "'keepalive' is no kind of row: keep-alive, retransmission, "),
        (("--hide", "keepalive"), "did you mean 'keep-alive'?"),
    ],
)
def test_a_misspelt_actor_or_kind_is_an_error(
    words: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["run", str(STORY), *words])
    except SystemExit as exit:
        code = int(str(exit.code))
    assert code == 2
    assert said in capsys.readouterr().err


def test_the_document_lists_the_kinds() -> None:
    text = (SCENARIOS.parents[1] / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert "of these kinds: " + ", ".join(f"`{kind}`" for kind in KINDS) + "." in " ".join(text.split())
