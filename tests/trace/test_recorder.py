"""From what an engine observed to records: numbered, linked to their causes, and without secrets."""

from __future__ import annotations

from typing import Any

import pytest

from tcrp.engine.outputs import (
    Address,
    Dropped,
    Forgotten,
    NoticeReceived,
    Refused,
    Stepped,
    TextReceived,
    TimerFired,
    Withheld,
)
from tcrp.sim.network.links import Link
from tcrp.sim.network.packets import Origin, Packet
from tcrp.spec.names import (
    DEADLINE_RULES,
    Deadline,
    HandshakeEvent,
    HandshakeState,
    Machine,
    Notice,
    PacketKind,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.trace.recorder import Cause, Instances, Recorder
from tcrp.trace.records import (
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
    TimerRecord,
    token_in_trace,
)
from tcrp.trace.trace import Trace

TOKEN = b"0123456789abcdef0123456789abcdef"
OTHER = b"f" * 32


def from_packet(record: int) -> Packet:
    """A chain of events that a packet of bob's began."""
    at = Address("10.0.0.1", 1)
    packet = Packet(Origin("bob.say#1", 0), Link("bob", "server"), PacketKind.SAY, b"", at, at)
    packet.record = record
    return packet


def recording(actor: str = "server", **wishes: Any) -> tuple[Recorder[Cause], list[Record], Trace]:
    records: list[Record] = []
    trace = Trace()
    trace.listeners.append(records.append)
    return Recorder(trace, actor, Cause(), **wishes), records, trace


def session(event: SessionEvent, from_: SessionState, to: SessionState, token: object = TOKEN) -> Stepped:
    return Stepped(Machine.SESSION, token, "bob@lobby", event, from_, to, Rule.TOK_1, "")


def room(event: RoomEvent, from_: RoomState, to: RoomState) -> Stepped:
    return Stepped(Machine.ROOM, b"lobby", "lobby", event, from_, to, Rule.ROOM_1, "")


GRANTED = session(SessionEvent.GRANTED, SessionState.ANONYMOUS, SessionState.TOKENED)
ENTERED = session(SessionEvent.ENTERED, SessionState.TOKENED, SessionState.IN_ROOM)
SPOKE = session(SessionEvent.SPOKE, SessionState.IN_ROOM, SessionState.IN_ROOM)
RELAYED = session(SessionEvent.RELAYED, SessionState.IN_ROOM, SessionState.IN_ROOM)
IDLED = session(SessionEvent.IDLED, SessionState.IN_ROOM, SessionState.EXPIRED)


def test_what_follows_in_one_call_has_what_came_before_as_its_cause() -> None:
    recorder, records, trace = recording()
    trace.n, trace.now_us = 10, 77
    recorder.cause = Cause(10)
    for step in (GRANTED, room(RoomEvent.CREATED, RoomState.VACANT, RoomState.OPEN)):
        recorder.observe(step)
    assert [(each.n, each.cause, each.t_us) for each in records] == [(11, 10, 77), (12, 11, 77)]


def test_members_hear_a_text_beside_each_other() -> None:
    recorder, records, _ = recording()
    recorder.observe(room(RoomEvent.RELAYED, RoomState.OPEN, RoomState.OPEN))
    recorder.observe(RELAYED)
    recorder.observe(RELAYED._replace(subject=OTHER))
    assert [each.cause for each in records] == [0, 1, 1]


def test_a_deadline_follows_from_the_latest_change_of_its_subject() -> None:
    recorder, records, trace = recording()
    for step, cause in ((GRANTED, Cause(0)), (ENTERED, Cause(0)), (SPOKE, Cause(0))):
        recorder.cause = cause
        recorder.observe(step)
    entered = records[1]
    recorder.cause = Cause(0)
    recorder.observe(TimerFired(Deadline.IDLE, TOKEN))
    recorder.observe(IDLED)
    fired, idled = records[3:]
    assert isinstance(fired, TimerRecord)
    assert (fired.cause, fired.what, fired.rule) == (entered.n, "idle", DEADLINE_RULES[Deadline.IDLE])
    assert idled.cause == fired.n
    assert trace.n == 5


def test_a_subject_may_begin_before_any_step_and_is_forgotten_at_its_end() -> None:
    recorder, records, trace = recording()
    trace.n = 5
    recorder.cause = opened = Cause(5)
    recorder.adopt("stream")
    recorder.cause = Cause(0)
    recorder.observe(TimerFired(Deadline.HANDSHAKE, "stream"))
    assert records[-1].cause == 5
    assert recorder.cause is opened
    recorder.observe(Forgotten("stream"))
    recorder.cause = Cause(3)
    recorder.observe(TimerFired(Deadline.HANDSHAKE, "stream"))
    assert records[-1].cause == 3


def test_machines_of_one_id_are_numbered_as_they_begin() -> None:
    recorder, records, _ = recording()
    requested = Stepped(
        Machine.HANDSHAKE, "s1", "bob", HandshakeEvent.REQUESTED, HandshakeState.IDLE, HandshakeState.REQUESTED,
        Rule.TCP_2, "",
    )  # fmt: skip
    refused = requested._replace(
        event=HandshakeEvent.REFUSED, from_=HandshakeState.REQUESTED, to=HandshakeState.REFUSED
    )
    for step in (
        requested, requested._replace(subject="s2"), refused, refused._replace(subject="s2"), requested,
        requested._replace(subject="s3", id="carol"), GRANTED, GRANTED._replace(subject=OTHER), IDLED,
    ):  # fmt: skip
        recorder.observe(step)
    instances = [(each.id, each.instance) for each in records if isinstance(each, StepRecord)]
    assert instances == [
        ("bob", 1), ("bob", 2), ("bob", 1), ("bob", 2), ("bob", 3), ("carol", 1), ("bob@lobby", 1), ("bob@lobby", 2),
        ("bob@lobby", 1),
    ]  # fmt: skip


def test_engines_of_one_actor_may_share_their_numbers() -> None:
    instances = Instances()
    recorders = [recording("bob", instances=instances) for _ in range(2)]
    for recorder, _, _ in recorders:
        recorder.observe(GRANTED._replace(subject=Machine.SESSION))
    assert [records[0].instance for _, records, _ in recorders if isinstance(records[0], StepRecord)] == [1, 2]


def test_a_servers_token_stands_hashed_in_its_sessions_steps_and_nowhere_else() -> None:
    recorder, records, _ = recording()
    recorder.observe(GRANTED)
    recorder.observe(room(RoomEvent.CREATED, RoomState.VACANT, RoomState.OPEN))
    recorder.observe(TimerFired(Deadline.IDLE, TOKEN))
    recorder.observe(Forgotten(TOKEN))
    assert [each.token for each in records if isinstance(each, StepRecord)] == [token_in_trace(TOKEN), ""]
    assert not any(TOKEN.decode() in each.line() for each in records)
    of_client, shown, _ = recording("bob")
    of_client.observe(GRANTED._replace(subject=Machine.SESSION))
    assert isinstance(shown[0], StepRecord)
    assert shown[0].token == ""


def test_a_recorder_that_keeps_nothing_writes_all_the_same() -> None:
    recorder, records, _ = recording(remembers=False)
    recorder.adopt("stream")
    for step in (GRANTED, GRANTED._replace(subject=OTHER)):
        recorder.observe(step)
    recorder.cause = Cause(0)
    recorder.observe(TimerFired(Deadline.IDLE, TOKEN))
    assert recorder.causes == {}
    assert [each.instance for each in records if isinstance(each, StepRecord)] == [1, 1]
    assert [each.token for each in records if isinstance(each, StepRecord)] == ["", ""]
    assert records[-1].cause == 0


def test_drops_name_the_packet_and_withheld_relays_each_member() -> None:
    recorder, records, trace = recording()
    trace.n = 4
    recorder.cause = from_packet(4)
    recorder.observe(Dropped(PacketKind.DATAGRAM, 9, "wrong room", Rule.IDLE_2))
    recorder.observe(Withheld(("carol", "dave"), "too long", Rule.UDP_2))
    told = [
        (each.kind, each.cause, each.link, each.packet, each.bytes, each.what, each.why, each.rule)
        for each in records
        if isinstance(each, PacketRecord)
    ]
    assert told == [
        (Kind.DROP, 4, "bob>server", "bob.say#1/say", 9, "datagram", "wrong room", Rule.IDLE_2),
        (Kind.DROP, 4, "server>carol", "", 0, "relay", "too long", Rule.UDP_2),
        (Kind.DROP, 4, "server>dave", "", 0, "relay", "too long", Rule.UDP_2),
    ]


def test_refusals_of_an_engine_and_of_a_driver() -> None:
    recorder, records, _ = recording("bob")
    recorder.observe(
        Refused(Machine.ROOM, "lobby", RoomEvent.JOINED, RoomState.CLOSING, "the room is closing", Rule.TCP_2)
    )
    recorder.refuse(Machine.SESSION, "bob", SessionEvent.SPOKE, SessionState.ANONYMOUS, "not in a room")
    assert [(each.event, each.rule) for each in records if isinstance(each, RefusalRecord)] == [
        ("joined", Rule.TCP_2), ("spoke", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (TextReceived("alice", "hi", False), ("relay", "alice", "hi", None)),
        (TextReceived("alice", "hi", True), ("relay", "alice", "hi", Rule.SHOW_1)),
        (NoticeReceived(Notice.LEFT, "carol"), ("left", "carol", "", None)),
    ],
)
def test_what_reaches_a_screen(effect: TextReceived | NoticeReceived, expected: tuple[Any, ...]) -> None:
    recorder, records, _ = recording("bob")
    recorder.show(effect)
    [shown] = records
    assert isinstance(shown, ShowRecord)
    assert (shown.what, shown.name, shown.text, shown.rule) == expected


def test_without_a_trace_only_causes_are_kept() -> None:
    recorder: Recorder[Cause] = Recorder(None, "server", Cause())
    recorder.cause = entered = Cause()
    recorder.observe(ENTERED)
    recorder.cause = Cause()
    recorder.observe(SPOKE)
    recorder.observe(Dropped(PacketKind.DATAGRAM, 9, "wrong room", Rule.IDLE_2))
    recorder.observe(TimerFired(Deadline.IDLE, TOKEN))
    assert recorder.cause is entered
    recorder.observe(Forgotten(TOKEN))
    assert recorder.causes == {}
