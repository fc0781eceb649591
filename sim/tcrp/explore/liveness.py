"""Liveness: whether somebody may wait for ever. Looks for dead ends and for fair cycles, in the whole graph.

Symmetry and partial-order reduction are not used: which of several equal parts waits would be lost, and so would the
steps that a cycle leaves out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic

from tcrp.explore.model import Bounds, Liveness, Model, Path, S, Step, Violation

Edge = tuple[Step, int]
"""A step, and the number of the state to which it leads."""


@dataclass(slots=True)
class Graph(Generic[S]):
    """All states within reach, in the order of finding, and the steps between them by their numbers."""

    states: list[S] = field(default_factory=list)
    steps: list[list[Edge]] = field(default_factory=list)
    parents: list[tuple[int, Step | None]] = field(default_factory=list)
    is_whole: bool = True

    def path(self, number: int) -> Path[S]:
        """A shortest way to a state."""
        back: list[tuple[Step, S]] = []
        while True:
            parent, step = self.parents[number]
            if step is None:
                return Path(self.states[number], tuple(reversed(back)))
            back.append((step, self.states[number]))
            number = parent


def graph_of(model: Model[S], bounds: Bounds = Bounds()) -> Graph[S]:  # noqa: B008 - it is frozen
    """Every state within reach and every step, up to `bounds.states`."""
    graph: Graph[S] = Graph()
    numbers: dict[int, int] = {}

    def number(state: S, parent: int, step: Step | None) -> int:
        mark = model.fingerprint(state)
        if mark not in numbers:
            numbers[mark] = len(graph.states)
            graph.states.append(state)
            graph.parents.append((parent, step))
        return numbers[mark]

    for state in model.initial:
        number(state, 0, None)
    at = 0
    while at < len(graph.states):
        if bounds.states is not None and at >= bounds.states:
            graph.is_whole = False
            graph.steps += [[]] * (len(graph.states) - at)
            break
        graph.steps.append([(step, number(to, at, step)) for step, to in model.successors(graph.states[at])])
        at += 1
    return graph


def check_liveness(model: Model[S], graph: Graph[S]) -> list[Violation[S]]:
    """Of each liveness property the earliest dead end or fair cycle in which somebody waits for ever.

    A graph that is not whole can show that a property fails, and not that it holds.
    """
    violations = []
    for name, liveness in model.liveness.items():
        pending = [liveness.pending(state) for state in graph.states]
        fair = ((min(part), _fair_cycle(graph, liveness, part)) for part in _components(graph, pending))
        cycles = {first: cycle for first, cycle in fair if cycle is not None}
        if cycles:
            first = min(cycles)
            cycle = tuple((step, graph.states[to]) for step, to in cycles[first])
            violations.append(Violation(name, graph.path(first), cycle))
    return violations


def _fair_cycle(graph: Graph[S], liveness: Liveness[S], component: list[int]) -> list[Edge] | None:
    """A fair cycle through a strongly connected part, from its smallest number and back; None: there is none.

    Without steps it stands for staying in that state, which is fair where no step has to be taken.
    """
    inside = set(component)
    possible: dict[int, set[Hashable]] = {}
    for number in component:
        keys = (liveness.fairness(step) for step, _ in graph.steps[number])
        possible[number] = {key for key in keys if key is not None}
    always_possible = set.intersection(*possible.values())
    first = at = min(component)
    cycle: list[Edge] = []
    # Each step that is possible all around must be taken somewhere inside.
    for key in sorted(always_possible, key=str):
        taken = next(
            (
                (number, edge)
                for number in component
                for edge in graph.steps[number]
                if edge[1] in inside and liveness.fairness(edge[0]) == key
            ),
            None,
        )
        if taken is None:
            return None
        number, edge = taken
        cycle += [*_way(graph, inside, at, number), edge]
        at = edge[1]
    # Each other step must be impossible somewhere: go there.
    for key in sorted(set().union(*possible.values()) - always_possible, key=str):
        number = next(number for number in component if key not in possible[number])
        cycle += _way(graph, inside, at, number)
        at = number
    return cycle + _way(graph, inside, at, first)


def _way(graph: Graph[S], inside: set[int], start: int, goal: int) -> list[Edge]:
    """A shortest way inside a strongly connected part."""
    came_by: dict[int, tuple[int, Edge]] = {}
    queue = [start]
    for number in queue:
        if goal in came_by or start == goal:
            break
        for edge in graph.steps[number]:
            if edge[1] in inside and edge[1] not in came_by:
                came_by[edge[1]] = (number, edge)
                queue.append(edge[1])
    way: list[Edge] = []
    while goal != start:
        goal, edge = came_by[goal]
        way.append(edge)
    way.reverse()
    return way


def _components(graph: Graph[S], pending: list[bool]) -> Iterator[list[int]]:
    """The strongly connected parts among the states in which somebody waits (Tarjan's algorithm, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root, waits in enumerate(pending):
        if not waits or root in order:
            continue
        work = [(root, iter(graph.steps[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            number, steps = work[-1]
            to = next((to for _, to in steps if pending[to] and (to not in order or to in on_stack)), None)
            if to is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[number])
                if low[number] == order[number]:
                    component = [stack.pop()]
                    while component[-1] != number:
                        component.append(stack.pop())
                    on_stack.difference_update(component)
                    yield component
            elif to in order:
                low[number] = min(low[number], order[to])
            else:
                order[to] = low[to] = len(order)
                stack.append(to)
                on_stack.add(to)
                work.append((to, iter(graph.steps[to])))
