"""Where machines take steps: by their tables alone, and observed as far as the engine was asked for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from tcrp.engine.outbox import Outbox
from tcrp.engine.outputs import (
    CloseStream,
    Detail,
    Dropped,
    Forgotten,
    Observation,
    Refused,
    ServerOutput,
    Stepped,
    TimerFired,
    Withheld,
)
from tcrp.spec.names import Deadline, Machine, PacketKind, RoomEvent, RoomState, Rule, SessionEvent, SessionState
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION, IllegalEvent, Table

TABLES: list[Table[Any, Any]] = [SESSION, ROOM, HANDSHAKE]
WITH_ROW = [(table, *pair) for table in TABLES for pair in table.rows]
WITHOUT_ROW = [(table, *pair) for table in TABLES for pair in table.refused()]


class Thing:
    """Something that has a machine."""

    def __init__(self, state: StrEnum, subject: str = "subject", id: str = "id") -> None:
        self.state = state
        self.subject = subject
        self.id = id
        self.listener = None


def called(value: object) -> str:
    return str(value.machine) if isinstance(value, Table) else str(value)


@pytest.mark.parametrize("detail", Detail)
@pytest.mark.parametrize(("table", "state", "event"), WITHOUT_ROW, ids=called)
def test_a_pair_without_a_row_raises_and_moves_nothing(
    table: Table[Any, Any], state: StrEnum, event: StrEnum, detail: Detail
) -> None:
    outbox: Outbox[ServerOutput] = Outbox(detail)
    thing = Thing(state)
    with pytest.raises(IllegalEvent) as raised:
        outbox.step(table, (thing,), event)
    assert (raised.value.machine, raised.value.state, raised.value.event) == (table.machine, state, event)
    assert thing.state is state
    assert outbox.take() == []


@pytest.mark.parametrize("detail", Detail)
@pytest.mark.parametrize(("table", "state", "event"), WITH_ROW, ids=called)
def test_a_row_is_followed_and_observed_as_far_as_asked(
    table: Table[Any, Any], state: StrEnum, event: StrEnum, detail: Detail
) -> None:
    outbox: Outbox[ServerOutput] = Outbox(detail)
    thing, row = Thing(state), table.rows[state, event]
    outbox.step(table, (thing,), event)
    assert thing.state is row.to
    is_observed = {
        Detail.NOTHING: False,
        Detail.CHANGES: row.to is not state or table.machine is not Machine.SESSION,
        Detail.EVERYTHING: True,
    }[detail]
    step = Stepped(table.machine, "subject", "id", event, state, row.to, row.rule, "")
    assert outbox.take() == ([step] if is_observed else [])


def test_a_step_may_have_a_rule_and_a_reason_of_its_own() -> None:
    outbox: Outbox[ServerOutput] = Outbox(Detail.EVERYTHING)
    outbox.step(ROOM, (Thing(RoomState.VACANT),), RoomEvent.CREATED, Rule.LIM_1, "because")
    [step] = outbox.take()
    assert isinstance(step, Stepped)
    assert (step.rule, step.why) == (Rule.LIM_1, "because")


def test_several_move_together_in_their_order() -> None:
    outbox: Outbox[ServerOutput] = Outbox(Detail.EVERYTHING)
    members = [Thing(SessionState.IN_ROOM, subject, f"{subject}@lobby") for subject in "cab"]
    outbox.step(SESSION, members, SessionEvent.ROOM_CLOSED)
    assert [each.subject for each in outbox.take() if isinstance(each, Stepped)] == ["c", "a", "b"]
    assert {each.state for each in members} == {SessionState.EXPIRED}


@pytest.mark.parametrize("detail", Detail)
def test_everything_else_is_observed_unless_nothing_is(detail: Detail) -> None:
    outbox: Outbox[ServerOutput] = Outbox(detail)
    others: list[Observation] = [
        Withheld(("bob",), "too long", Rule.UDP_2),
        TimerFired(Deadline.LINGER, b"lobby"),
        Forgotten(b"lobby"),
    ]
    outbox.refuse(Machine.ROOM, "lobby", RoomEvent.JOINED, RoomState.CLOSING, "it is closing", Rule.TCP_2)
    outbox.drop(7, "no such token", Rule.TOK_2)
    for each in others:
        outbox.observe(each)
    expected = [
        Refused(Machine.ROOM, "lobby", RoomEvent.JOINED, RoomState.CLOSING, "it is closing", Rule.TCP_2),
        Dropped(PacketKind.DATAGRAM, 7, "no such token", Rule.TOK_2),
        *others,
    ]
    outputs = outbox.take()
    assert outputs == (expected if detail else [])
    assert [type(each) for each in outputs] == [type(each) for each in expected if detail]


@pytest.mark.parametrize("detail", Detail)
def test_effects_are_always_put_out_and_once(detail: Detail) -> None:
    outbox: Outbox[ServerOutput] = Outbox(detail)
    outbox.pending.append(CloseStream(1))
    assert outbox.take() == [CloseStream(1)]
    assert outbox.take() == []


def test_a_step_is_taken_again_only_from_the_state_in_which_it_stays() -> None:
    outbox: Outbox[ServerOutput] = Outbox(Detail.CHANGES)
    room = Thing(RoomState.OPEN)
    assert not outbox.step_again(None, room)
    outbox.step(ROOM, (room,), RoomEvent.RELAYED)
    step = outbox.latest_step()
    assert step is not None
    outbox.take()
    assert outbox.latest_step() is None
    assert outbox.step_again(step, room)
    assert outbox.take() == [step]
    assert not outbox.step_again(step, Thing(RoomState.CLOSING))
    assert not outbox.step_again(step._replace(to=RoomState.CLOSED), room)
    assert outbox.take() == []


@pytest.mark.parametrize("detail", Detail)
@pytest.mark.parametrize(("table", "state", "event"), [*WITH_ROW, *WITHOUT_ROW], ids=called)
def test_a_loop_is_unseen_where_a_step_would_change_and_say_nothing(
    table: Table[Any, Any], state: StrEnum, event: StrEnum, detail: Detail
) -> None:
    outbox: Outbox[ServerOutput] = Outbox(detail)
    if table.machine is Machine.SESSION:
        row, is_observed = table.rows.get((state, event)), detail is Detail.EVERYTHING
        assert outbox.is_unseen_loop(table, state, event) == (row is not None and row.to is state and not is_observed)


def test_the_latest_step_is_the_last_output_if_that_is_a_step() -> None:
    outbox: Outbox[ServerOutput] = Outbox(Detail.EVERYTHING)
    outbox.step(ROOM, (Thing(RoomState.OPEN, id="one"),), RoomEvent.RELAYED)
    outbox.step(ROOM, (Thing(RoomState.OPEN, id="two"),), RoomEvent.RELAYED)
    step = outbox.latest_step()
    assert step is not None
    assert step.id == "two"
    outbox.pending.append(CloseStream(1))
    assert outbox.latest_step() is None
