"""The diagrams of the three machines: where each state stands, drawn from the tables.

States stand from left to right by their longest way from the beginning, the final ones last, one below the other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tcrp.spec.names import Machine
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION, Table

TABLES: tuple[Table[Any, Any], ...] = (SESSION, ROOM, HANDSHAKE)


@dataclass(frozen=True, slots=True)
class Node:
    """A state: how many steps it is from the beginning, and its row; the first is the way that most things take."""

    state: str
    step: int
    row: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """The events that lead from one state to another, or back to it."""

    source: str
    target: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagram:
    machine: Machine
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def diagram(table: Table[Any, Any]) -> Diagram:
    """The diagram of a machine."""
    edges: defaultdict[tuple[StrEnum, StrEnum], list[str]] = defaultdict(list)
    for (state, event), row in table.rows.items():
        edges[state, row.to].append(str(event))
    steps = {table.initial: 0}
    for _ in table.states:  # as often as a way can be long
        for source, target in edges:
            if source != target and source in steps:
                steps[target] = max(steps.get(target, 0), steps[source] + 1)
    last = max(steps.values())
    by_step: defaultdict[int, list[StrEnum]] = defaultdict(list)
    for state in table.states:
        by_step[last if state in table.final else steps[state]].append(state)
    nodes = tuple(
        Node(str(state), step, row, state in table.final)
        for step, states in sorted(by_step.items())
        for row, state in enumerate(states)
    )
    return Diagram(table.machine, nodes, tuple(Edge(str(a), str(b), tuple(events)) for (a, b), events in edges.items()))


def diagrams() -> list[Diagram]:
    """All three: session, room, handshake."""
    return [diagram(table) for table in TABLES]
