"""Who waits for ever: dead ends and fair cycles, and which cycles are not fair."""

from __future__ import annotations

from typing import Any

from tcrp.explore.fingerprints import fingerprint
from tcrp.explore.liveness import check_liveness, graph_of
from tcrp.explore.model import Bounds, Liveness, Model

Edges = dict[str, list[tuple[str, str]]]


def model(edges: Edges, pending: str, **liveness: Any) -> Model[str]:
    """States by letter; whoever is in a state of `pending` waits."""
    return Model(
        "letters", ("a",), lambda state: edges.get(state, []), fingerprint,
        liveness={"ends": Liveness(lambda state: state in pending, **liveness)},
    )  # fmt: skip


def ends(edges: Edges, pending: str, **liveness: Any) -> tuple[str, str] | None:
    """The states of the way into waiting for ever, and those around the cycle; None: nobody waits for ever."""
    made = model(edges, pending, **liveness)
    found = check_liveness(made, graph_of(made))
    if not found:
        return None
    path, cycle = found[0].path, found[0].cycle
    return path.start + "".join(state for _, state in path.steps), "".join(state for _, state in cycle)


def test_waiting_in_a_state_without_steps_is_waiting_for_ever() -> None:
    assert ends({"a": [("go", "b")]}, "b") == ("ab", "")
    assert ends({"a": [("go", "b")]}, "a") is None


def test_waiting_around_a_cycle_is_waiting_for_ever_unless_a_step_out_of_it_stays_possible() -> None:
    around = {"a": [("go", "b")], "b": [("on", "c")], "c": [("back", "b")]}
    assert ends(around, "bc") == ("ab", "cb")
    out = {**around, "b": [("on", "c"), ("out", "d")], "c": [("back", "b"), ("out", "d")]}
    assert ends(out, "bc") is None
    sometimes_out = {**around, "b": [("on", "c"), ("out", "d")]}
    assert ends(sometimes_out, "bc") == ("ab", "cb")


def test_a_step_that_may_be_put_off_for_ever_helps_nobody() -> None:
    edges = {"a": [("go", "b")], "b": [("luck", "c")]}
    assert ends(edges, "b", fairness=lambda step: None if step == "luck" else step) == ("ab", "")
    assert ends(edges, "b") is None


def test_a_fair_cycle_takes_each_step_that_is_possible_all_around() -> None:
    edges = {"a": [("x", "b"), ("y", "a")], "b": [("x", "a"), ("y", "c")], "c": [("y", "a"), ("x", "c")]}
    found = check_liveness(model(edges, "abc"), graph_of(model(edges, "abc")))
    assert {step for step, _ in found[0].cycle} >= {"x", "y"}
    assert found[0].cycle[-1][1] == found[0].path.end


def test_a_step_onto_itself_is_a_cycle() -> None:
    assert ends({"a": [("stay", "a")]}, "a") == ("a", "a")
    assert ends({"a": [("stay", "a"), ("go", "b")]}, "a") is None


def test_a_graph_that_was_cut_is_not_whole() -> None:
    endless: Model[int] = Model("numbers", (0,), lambda n: [("+1", n + 1)], fingerprint)
    graph = graph_of(endless, Bounds(states=10))
    assert not graph.is_whole
    assert len(graph.steps) == len(graph.states)
