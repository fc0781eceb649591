"""`chat-sim spec`: the machines as they are in their tables, in each form."""

from __future__ import annotations

import re

import pytest

from tcrp.cli.machines import print_dissector, print_machines
from tcrp.cli.step_text import STATES
from tcrp.spec.names import Machine
from tcrp.spec.render import TABLES

Said = pytest.CaptureFixture[str]


@pytest.mark.parametrize("machine", Machine)
def test_a_table_has_every_row_and_says_how_many_pairs_are_refused(machine: Machine, capsys: Said) -> None:
    table = TABLES[machine]
    print_machines(machine, "table")
    title, head, *rows, last = capsys.readouterr().out.splitlines()
    assert (title, head.split()) == (machine, ["from", "event", "to", "rule"])
    assert [row.split() for row in rows] == [
        [state, event, row.to, row.rule] for (state, event), row in table.rows.items()
    ]
    cells = len(set(STATES[machine])) * len({event for _, event in [*table.rows, *table.refused()]})
    assert f"initial {table.initial}, final " in last
    assert f"the other {cells - len(table.rows)} pairs of state and event are refused" in last


@pytest.mark.parametrize(("form", "begins"), [("mermaid", "stateDiagram-v2"), ("dot", "digraph ")])
def test_a_diagram_can_be_piped_into_its_program(form: str, begins: str, capsys: Said) -> None:
    print_machines("room", form)
    shown = capsys.readouterr().out
    assert shown.startswith(begins)
    assert len(re.findall("^(digraph|stateDiagram)", shown, re.MULTILINE)) == 1
    print_machines(None, form)
    shown = capsys.readouterr().out
    assert len(re.findall("^(digraph|stateDiagram)", shown, re.MULTILINE)) == len(Machine)
    assert shown.count("\n\n" + begins) >= len(Machine) - 1  # a blank line parts them


def test_a_machine_that_does_not_exist_is_not_printed() -> None:
    with pytest.raises(ValueError, match="'rooms' is not a valid Machine"):
        print_machines("rooms", "table")


def test_the_dissector_is_a_whole_lua_file(capsys: Said) -> None:
    print_dissector()
    shown = capsys.readouterr().out
    assert "DissectorTable.get" in shown
    assert shown.endswith("\n")
    assert not shown.endswith("\n\n")
