"""The diagrams of the machines draw every row of their tables."""

from __future__ import annotations

import pytest

from tcrp.spec.render import TABLES, AnyTable, dot, mermaid


@pytest.mark.parametrize("table", TABLES.values(), ids=map(str, TABLES))
def test_diagrams_draw_every_row(table: AnyTable) -> None:
    for (state, event), row in table.rows.items():
        source, target = str(state).replace("-", "_"), str(row.to).replace("-", "_")
        drawn = [line for line in mermaid(table).splitlines() if line.strip().startswith(f"{source} --> {target} :")]
        assert len(drawn) == 1
        assert str(event) in drawn[0].partition(" : ")[2].split(", ")
        arrows = [line for line in dot(table).splitlines() if f'"{state}" -> "{row.to}"' in line]
        assert len(arrows) == 1
        assert str(event) in arrows[0].partition('label="')[2].rstrip('"];').split("\\n")


@pytest.mark.parametrize("table", TABLES.values(), ids=map(str, TABLES))
def test_diagrams_show_where_a_machine_begins_and_ends_and_name_its_states(table: AnyTable) -> None:
    lines = [line.strip() for line in mermaid(table).splitlines()]
    assert [line for line in lines if line.startswith("[*]")] == [f"[*] --> {_word(table.initial)}"]
    finals = [f"{_word(state)} --> [*]" for state in table.states if state in table.final]
    assert [line for line in lines if line.endswith("--> [*]")] == finals
    names = {f"{_word(state)} : {state}" for state in table.states if "-" in state}
    assert {line for line in lines if "-->" not in line and " : " in line} == names
    drawn = [line.strip() for line in dot(table).splitlines()]
    assert [line for line in drawn if line.startswith('"" ->')] == [f'"" -> "{table.initial}";']
    doubled = [f'"{state}" [peripheries=2];' for state in table.states if state in table.final]
    assert [line for line in drawn if "peripheries" in line] == doubled


def _word(state: str) -> str:
    """A state as Mermaid takes it."""
    return state.replace("-", "_")
