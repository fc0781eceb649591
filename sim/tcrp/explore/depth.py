"""Depth-first search: goes on from the newest state, and so finds a long way into trouble early, if not a short one."""

from __future__ import annotations

from time import monotonic
from typing import Any

from tcrp.explore.model import Bounds, Exploration, Model, Progress, S, Violation
from tcrp.explore.partition import canonical, steps_of
from tcrp.explore.search import follow

LOOK_AT_THE_CLOCK_EVERY = 1024


def depth_first(model: Model[S], bounds: Bounds = Bounds()) -> Exploration[S]:  # noqa: B008 - it is frozen
    """Visit every state, up to the bounds; stop at the first that breaks a property.

    Goes on from each state itself, and not from the one that stands for it. Where `representative` gives the same
    state for all that are alike, that makes no difference. Where it only mostly does, fewer states are visited than
    by a breadth-first search, but still one of each kind. With a bound on depth, a state that is first reached by a
    long way hides what lies beyond it: the result says that it is not exhausted.
    """
    result: Exploration[Any] = Exploration(model.name, Progress(), levels=[])
    parents: dict[int, int] = {}
    pending: list[tuple[int, int, S]] = []  # fingerprint, depth, state
    progress, began = result.progress, monotonic()

    def visit(mark: int, parent: int, depth: int, kept: S, state: S) -> None:
        parents[mark] = parent
        pending.append((mark, depth, state))
        progress.distinct += 1
        progress.depth = max(progress.depth, depth)
        for name, is_met in model.sometimes.items():
            if name not in result.met and is_met(kept):
                result.met[name] = depth
        for name, holds in model.always.items():
            if not holds(kept):
                result.violations.append(Violation(name, follow(model, _marks(parents, mark))))

    for state in model.initial:
        kept, mark = canonical(model, state)
        if mark not in parents:
            visit(mark, mark, 0, kept, state)
    expanded = 0
    while pending and not result.violations:
        if bounds.states is not None and progress.distinct >= bounds.states:
            result.cut = "states"
            break
        expanded += 1
        if bounds.seconds is not None and expanded % LOOK_AT_THE_CLOCK_EVERY == 0:
            if monotonic() - began >= bounds.seconds:
                result.cut = "time"
                break
        parent, depth, state = pending.pop()
        if bounds.depth is not None and depth >= bounds.depth:
            result.cut = "depth"
            continue
        for _, successor in steps_of(model, state):
            progress.generated += 1
            kept, mark = canonical(model, successor)
            if mark not in parents:
                visit(mark, parent, depth + 1, kept, successor)
                if result.violations:
                    break
    progress.frontier, progress.seconds = len(pending), monotonic() - began
    return result


def _marks(parents: dict[int, int], mark: int) -> list[int]:
    marks = [mark]
    while parents[marks[-1]] != marks[-1]:
        marks.append(parents[marks[-1]])
    marks.reverse()
    return marks
