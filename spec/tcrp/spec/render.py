"""The machines as diagrams: Mermaid and Graphviz.

Drawn from the tables, not from the machines: the machines' library leaves out transitions that stay
where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tcrp.spec.names import Machine
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION, Table

AnyTable = Table[Any, Any]
TABLES: Mapping[Machine, AnyTable] = {table.machine: table for table in (SESSION, ROOM, HANDSHAKE)}


def _edges(table: AnyTable) -> dict[tuple[str, str], list[str]]:
    """Events by where they lead from and to, in the order of the machine."""
    edges: dict[tuple[str, str], list[str]] = {}
    for (state, event), row in table.rows.items():
        edges.setdefault((str(state), str(row.to)), []).append(str(event))
    return edges


def mermaid(table: AnyTable) -> str:
    """The machine as a Mermaid state diagram."""
    names = {str(state): str(state).replace("-", "_") for state in table.states}
    lines = ["stateDiagram-v2", "    direction LR"]
    lines += [f"    {name} : {state}" for state, name in names.items() if name != state]
    lines.append(f"    [*] --> {names[str(table.initial)]}")
    for (source, target), events in _edges(table).items():
        lines.append(f"    {names[source]} --> {names[target]} : {', '.join(events)}")
    lines += [f"    {names[str(state)]} --> [*]" for state in table.states if state in table.final]
    return "\n".join(lines)


def dot(table: AnyTable) -> str:
    """The machine as a Graphviz graph."""
    lines = [
        f"digraph {table.machine} {{",
        "    rankdir=LR;",
        "    node [shape=box, style=rounded];",
        '    "" [shape=point];',
    ]
    for state in table.states:
        if state in table.final:
            lines.append(f'    "{state}" [peripheries=2];')
    lines.append(f'    "" -> "{table.initial}";')
    for (source, target), events in _edges(table).items():
        label = "\\n".join(events)
        lines.append(f'    "{source}" -> "{target}" [label="{label}"];')
    return "\n".join([*lines, "}"])
