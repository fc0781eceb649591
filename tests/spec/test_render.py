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
