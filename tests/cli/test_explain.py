"""`chat-sim explain`: every name that a trace or report shows."""

from __future__ import annotations

import pytest

from tcrp.cli.sim import main
from tcrp.sim.scenario.expectations import DROP_REASONS
from tcrp.spec.names import Property, Reason, Rule
from tcrp.spec.rules import SENTENCES


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["R-TOK-4"], "R-TOK-4  A token that has ended never works again.\n"),
        (["r-tok-4"], "\n  properties\n    token-ends-for-good\n"),
        (["R-ROOM-1"], "\n  steps\n    room: vacant --created--> open\n"),
        (["R-ADDR-1"], "\n    PORT_MIN = 1024: lowest UDP port that a client may name\n"),
        (["R-UDP-4"], "\n    entering-survives-loss\n"),
        (["limits-hold"], "limits-hold  A property of every run: Rooms, members, "),
        (["limits-hold"], "\n  follows from\n    R-LIM-1  Everything has a limit;"),
        (["no", "such", "token"], "no such token  Why a packet was dropped. "),
        (["name_taken"], "name_taken  Why a request was refused. Somebody in the room has this name.\n"),
        (["cut", "loss"], "loss  Why a packet was dropped. The network lost it"),
    ],
)
def test_it_says_what_a_name_means_and_where_it_is(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *words]) == 0
    assert said in capsys.readouterr().out


def test_without_a_name_it_lists_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    starts = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    for name in (*Rule, *Property, *DROP_REASONS, *Reason):
        assert name in starts
    assert len(SENTENCES) == len(Rule)


def test_what_nobody_knows_is_an_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "R-TOK-9"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("chat-sim: 'R-TOK-9' is no rule, property or reason")
    assert "did you mean 'R-TOK-" in said
    assert said.endswith("'?\n")
    assert main(["explain", "zzz"]) == 2
    assert capsys.readouterr().err.endswith("; chat-sim explain lists all of them\n")
