"""Partial-order reduction: the same verdicts with fewer states where the claim of local steps is true, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tcrp.explore.fingerprints import fingerprint
from tcrp.explore.liveness import graph_of
from tcrp.explore.model import Model
from tcrp.explore.reduction import check
from tcrp.explore.search import breadth_first

Workers = tuple[int, tuple[int, ...]]
"""How much is in the shared box, and how far each worker is: 0 and 1 prepare, 2 puts, 3 is done."""


def is_preparing(step: Any) -> bool:
    return bool(step[0] == "prepare")


def workers(count: int, limit: int, *, reduced: bool = True) -> Model[Workers]:
    """Each worker takes two steps by itself, and then puts something into a box that all share."""

    def successors(state: Workers) -> Iterator[tuple[Any, Workers]]:
        box, at = state
        for each, where in enumerate(at):
            if where < 3:
                kind = "put" if where == 2 else "prepare"
                yield (kind, each, where), (box + (kind == "put"), (*at[:each], where + 1, *at[each + 1 :]))

    return Model(
        name=f"{count} workers",
        initial=((0, (0,) * count),),
        successors=successors,
        fingerprint=fingerprint,
        always={"box": lambda state: state[0] < limit},
        is_local=is_preparing if reduced else None,
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_the_verdict_is_the_same_with_fewer_states(limit: int) -> None:
    whole = breadth_first(partial(workers, 3, limit, reduced=False))
    less = breadth_first(partial(workers, 3, limit))
    assert [each.property for each in less.violations] == [each.property for each in whole.violations]
    if limit == 9:
        assert less.progress.distinct < whole.progress.distinct / 2


def test_a_true_claim_is_found_true() -> None:
    model = workers(3, 9)
    assert check(model, graph_of(model)) == []


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        (lambda _: True, "is seen by box"),
        (lambda step: step[0] == "put", "is seen by box"),
    ],
)
def test_a_step_that_a_property_sees_is_not_local(claims: Any, said: str) -> None:
    model = replace(workers(2, 1), is_local=claims)
    assert any(said in each for each in check(model, graph_of(model)))


def test_steps_that_prevent_each_other_or_do_not_commute_are_not_local() -> None:
    taken: Model[str] = Model(
        "one of two", ("",), lambda state: [("x", "x"), ("y", "y")] if not state else [], fingerprint,
        is_local=lambda step: step == "x",
    )  # fmt: skip
    assert check(taken, graph_of(taken)) == ["x and y prevent each other"]
    ordered: Model[str] = Model(
        "in order", ("",), lambda state: [(c, state + c) for c in "xy" if c not in state], fingerprint,
        is_local=lambda step: step == "x",
    )  # fmt: skip
    assert check(ordered, graph_of(ordered)) == ["x and y do not commute"]


def test_local_steps_that_go_round_are_not_local() -> None:
    """The others would wait for ever."""
    round_and_round: Model[int] = Model(
        "round", (0,), lambda n: [("turn", (n + 1) % 3)], fingerprint, is_local=lambda _: True
    )
    assert check(round_and_round, graph_of(round_and_round)) == ["a cycle consists of local steps alone"]
