"""Whether a model's claim that some steps are local is true, as far as it can be seen on its states.

Partial-order reduction is sound for steps of which `Model.is_local` tells the truth. `check` visits states without
the reduction and looks at each such step beside each other one.
"""

from __future__ import annotations

from tcrp.explore.liveness import Graph
from tcrp.explore.model import Model, S


def check(model: Model[S], graph: Graph[S]) -> list[str]:
    """What contradicts the claim, each as a sentence; empty: nothing does, in any state of the graph."""
    is_local = model.is_local
    if is_local is None:
        return []
    faults = []
    for state, steps in zip(graph.states, graph.steps, strict=True):
        for step, number in steps:
            if not is_local(step):
                continue
            after = graph.states[number]
            seen = [name for name, holds in {**model.always, **model.sometimes}.items() if holds(state) != holds(after)]
            faults += [f"{step} is seen by {name}" for name in seen]
            for other, other_number in steps:
                if other == step:
                    continue
                one_way = {other: graph.states[to] for other, to in graph.steps[number]}.get(other)
                other_way = {each: graph.states[to] for each, to in graph.steps[other_number]}.get(step)
                if one_way is None or other_way is None:
                    faults.append(f"{step} and {other} prevent each other")
                elif model.fingerprint(one_way) != model.fingerprint(other_way):
                    faults.append(f"{step} and {other} do not commute")
    if _has_local_cycle(graph, model):
        faults.append("a cycle consists of local steps alone")
    return sorted(set(faults))


def _has_local_cycle(graph: Graph[S], model: Model[S]) -> bool:
    """Whether states can be taken away until none is left of which no local step leads to one that is left."""
    assert model.is_local is not None, "asked of models with local steps only"
    leads = [[to for step, to in steps if model.is_local(step)] for steps in graph.steps]
    entering = [0] * len(leads)
    for targets in leads:
        for to in targets:
            entering[to] += 1
    free = [number for number, count in enumerate(entering) if count == 0]
    for number in free:
        for to in leads[number]:
            entering[to] -= 1
            if entering[to] == 0:
                free.append(to)
    return len(free) < len(leads)
