"""The machines beside the tables: each disagrees with a step that it would not take, and with no other."""

from __future__ import annotations

import pytest

import made_records as made
from tcrp.sim.checks.shadow import Answers, Shadows
from tcrp.spec.names import Machine, Rule
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.records import StepRecord

TABLES = {table.machine: table for table in (SESSION, ROOM, HANDSHAKE)}
CELLS = [(machine, from_, event, to)
         for machine, table in TABLES.items()
         for from_ in dict.fromkeys(str(state) for state, _ in table.rows)
         for event in dict.fromkeys(str(event) for _, event in table.rows)
         for to in dict.fromkeys(str(row.to) for row in table.rows.values())]  # fmt: skip
GRANTED = ("anonymous", "granted", "tokened")
ENTERED = ("tokened", "entered", "in-room")
SPOKE = ("in-room", "spoke", "in-room")
LEFT = ("in-room", "left", "expired")


def step(
    from_: str, event: str, to: str, *, id: str = "bob@lobby", actor: str = "server", instance: int = 1,
    machine: Machine = Machine.SESSION,
) -> StepRecord:  # fmt: skip
    return made.step(
        actor=actor, event=event, from_=from_, id=id, instance=instance, machine=machine, rule=Rule.TOK_2, to=to
    )


def all_of(shadows: Shadows, *steps: StepRecord) -> str | None:
    for each in steps:
        shadows(each)
    return shadows.disagreement


def walk(machine: Machine, to: str) -> list[tuple[str, str, str]]:
    """The shortest way from the initial state."""
    table = TABLES[machine]
    ways: dict[str, list[tuple[str, str, str]]] = {str(table.initial): []}
    while to not in ways:
        for (state, event), row in table.rows.items():
            if str(state) in ways and str(row.to) not in ways:
                ways[str(row.to)] = [*ways[str(state)], (str(state), str(event), str(row.to))]
    return ways[to]


@pytest.mark.parametrize("machines_max", [0, 1000], ids=["by answers", "by machines"])
def test_every_cell_is_judged_as_the_table_has_it(machines_max: int) -> None:
    """Every step that anyone could claim, from each state by each event to each state."""
    answers: Answers = {}
    for machine, from_, event, to in CELLS:
        table = TABLES[machine]
        is_row = any((str(s), str(e), str(row.to)) == (from_, event, to) for (s, e), row in table.rows.items())
        shadows = Shadows(machines_max, answers)
        way = [step(*each, machine=machine) for each in walk(machine, from_)]
        disagreement = all_of(shadows, *way, step(from_, event, to, machine=machine))
        assert (disagreement is None) is is_row, (machine, from_, event, to)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([ENTERED], "step 1: server's session bob@lobby: entered took it from tokened to in-room, "
                    "but the machine is anonymous"),
        ([GRANTED, ENTERED, ("in-room", "entered", "in-room")], "but the machine refuses it"),
        ([GRANTED, ("tokened", "left", "in-room")], "but the machine goes to expired"),
    ],
)  # fmt: skip
def test_a_disagreement_says_why(steps: list[tuple[str, str, str]], why: str) -> None:
    said = all_of(Shadows(), *(step(*each) for each in steps))
    assert said is not None
    assert said.endswith(why)


def test_the_first_disagreement_stays() -> None:
    shadows = Shadows()
    first = all_of(shadows, step(*ENTERED))
    assert all_of(shadows, step(*GRANTED, id="ann@lobby"), step(*SPOKE, id="ann@lobby")) == first


def test_each_actor_id_and_instance_has_a_machine_of_its_own() -> None:
    others = [{"actor": "bob"}, {"id": "ann@lobby"}, {"instance": 2}]
    assert all_of(Shadows(), step(*GRANTED), *(step(*GRANTED, **each) for each in others)) is None  # type: ignore[arg-type]


def test_what_has_ended_begins_anew_under_the_same_name() -> None:
    life = [step(*each) for each in (GRANTED, ENTERED, SPOKE, LEFT)]
    assert all_of(Shadows(), *life, *life) is None
    assert all_of(Shadows(), *life, step(*SPOKE)) is not None


def test_an_actor_that_crashes_is_forgotten_alone() -> None:
    shadows = Shadows()
    assert all_of(shadows, step(*GRANTED), step(*GRANTED, actor="bob")) is None
    shadows.forget("server")
    assert all_of(shadows, step(*GRANTED)) is None
    assert all_of(shadows, step(*GRANTED, actor="bob")) is not None


@pytest.mark.parametrize("machines_max", [0, 1, 2])
def test_those_beyond_the_most_machines_are_judged_all_the_same(machines_max: int) -> None:
    shadows = Shadows(machines_max)
    for name in ("ann@lobby", "bob@lobby", "cat@lobby"):
        assert all_of(shadows, *(step(*each, id=name) for each in (GRANTED, ENTERED, SPOKE, SPOKE))) is None
    assert len([each for each in shadows._shadows.values() if each.machine is not None]) == machines_max
    assert all_of(shadows, step("in-room", "entered", "in-room", id="cat@lobby")) is not None


def test_a_machine_that_ends_makes_room_for_another() -> None:
    shadows = Shadows(1)
    assert all_of(shadows, *(step(*each) for each in (GRANTED, ENTERED, LEFT)), step(*GRANTED, id="ann@lobby")) is None
    assert [each.machine is not None for each in shadows._shadows.values()] == [True]


# --- which machines there are, and what they have answered ----------------------------------------


def has_machine(shadows: Shadows, id: str, actor: str = "server") -> bool:
    return shadows._shadows[actor, Machine.SESSION, id, 1].machine is not None


def who(id: str, actor: str = "server") -> tuple[str, Machine, str, int]:
    return actor, Machine.SESSION, id, 1


def one_of_two() -> Shadows:
    """Ann's session at the server has the only machine; bob's at another has none."""
    shadows = Shadows(1)
    assert all_of(shadows, step(*GRANTED, id="ann"), step(*GRANTED, id="bob", actor="other")) is None
    assert (has_machine(shadows, "ann"), has_machine(shadows, "bob", "other")) == (True, False)
    return shadows


@pytest.mark.parametrize(("id", "actor", "makes_room"), [("ann", "server", True), ("bob", "other", False)])
@pytest.mark.parametrize("way", ["it ends", "its actor crashes", "it moves away"])
def test_who_had_a_machine_makes_room_for_another(way: str, id: str, actor: str, makes_room: bool) -> None:
    shadows = one_of_two()
    if way == "it ends":
        assert all_of(shadows, *(step(*each, id=id, actor=actor) for each in (ENTERED, LEFT))) is None
    elif way == "its actor crashes":
        shadows.forget(actor)
    else:
        shadows.end(who(id, actor))
    shadows.end(who("nobody"))
    for name in ("cat", "dan"):
        assert all_of(shadows, step(*GRANTED, id=name)) is None
    assert (has_machine(shadows, "cat"), has_machine(shadows, "dan")) == (makes_room, False)


@pytest.mark.parametrize("machines_max", [0, 1])
def test_a_machine_that_comes_from_another_server_goes_on_where_it_was(machines_max: int) -> None:
    for wrong, is_found in (([SPOKE, LEFT], False), ([SPOKE, ("in-room", "entered", "in-room")], True)):
        shadows = Shadows(machines_max)
        begun = shadows.begin(who("bob"), "in-room")
        assert (begun.state, begun.machine is not None) == ("in-room", bool(machines_max))
        assert (all_of(shadows, *(step(*each, id="bob") for each in wrong)) is not None) is is_found


def test_what_leaves_one_state_as_it_is_need_not_leave_another() -> None:
    shadows = Shadows()
    room = [("vacant", "created", "open"), ("open", "relayed", "open"), ("open", "host_gone", "closing")]
    assert all_of(shadows, *(step(*each, machine=Machine.ROOM) for each in room)) is None
    assert all_of(shadows, step("closing", "relayed", "closing", machine=Machine.ROOM)) is not None


def test_a_machine_has_stayed_where_it_was_asked_to() -> None:
    shadows = Shadows()
    all_of(shadows, *(step(*each, id="bob") for each in (GRANTED, ENTERED, SPOKE)))
    _, event, _ = SPOKE
    assert shadows.has_stayed(who("bob"), "in-room", event)
    assert not shadows.has_stayed(who("bob"), "tokened", event)
    assert not shadows.has_stayed(who("bob"), "in-room", "entered")
    assert not shadows.has_stayed(who("ann"), "in-room", event)


def test_those_without_a_machine_answer_as_others_did_in_the_same_state() -> None:
    answers: Answers = {}
    assert all_of(Shadows(0, answers), step(*GRANTED)) is None
    assert answers == {(Machine.SESSION, "anonymous", "granted"): "tokened"}
    answers[Machine.SESSION, "anonymous", "granted"] = "expired"
    said = all_of(Shadows(0, answers), step(*GRANTED))
    assert said is not None
    assert said.endswith("but the machine goes to expired")
    assert all_of(Shadows(1, answers), step(*GRANTED)) is None  # one with a machine asks it


def test_only_steps_are_heard() -> None:
    shadows = Shadows()
    shadows(made.refusal(event="left", from_="open", id="lobby", machine=Machine.ROOM, n=3, rule=Rule.REL_1))
    assert (shadows.disagreement, shadows._shadows) == (None, {})


def test_a_second_disagreement_does_not_hide_the_first() -> None:
    shadows = Shadows()
    first = all_of(shadows, step(*ENTERED))
    assert all_of(shadows, step(*LEFT, id="ann@lobby")) == first
