"""Records for the tests of traces: one of each kind, with every field that may be left out, and without."""

from __future__ import annotations

from msgspec.structs import replace

import made_records as made
from tcrp.spec.names import (
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
from tcrp.trace.records import (
    Kind,
    Record,
    StepRecord,
)

ODD = 'a "quoted" \\ 日本\n\x07\u2028'


def step(
    machine: Machine, id: str, event: str, from_: str, to: str, rule: Rule, *, actor: str = "server", why: str = "",
    token: str = "",
) -> StepRecord:  # fmt: skip
    """A step with the number 1, to be numbered by `numbered`."""
    return made.step(
        actor=actor,
        event=event,
        from_=from_,
        id=id,
        instance=2,
        machine=machine,
        rule=rule,
        t_us=5,
        to=to,
        token=token,
        why=why,
    )


RECORDS: list[Record] = [
    step(
        Machine.SESSION,
        ODD,
        SessionEvent.GRANTED,
        SessionState.ANONYMOUS,
        SessionState.TOKENED,
        Rule.TOK_1,
        actor=ODD,
        why=ODD,
        token="0123abcd",
    ),
    step(Machine.ROOM, "lobby", RoomEvent.CREATED, RoomState.VACANT, RoomState.OPEN, Rule.ROOM_1),
    step(
        Machine.HANDSHAKE, "bob", HandshakeEvent.LISTED, HandshakeState.REQUESTED, HandshakeState.COMPLETED, Rule.TCP_2
    ),
    made.refusal(
        actor=ODD, event=SessionEvent.SPOKE, from_=SessionState.EXPIRED, id=ODD, rule=Rule.TOK_4, t_us=5, why=ODD
    ),
    made.refusal(actor="bob", event=SessionEvent.SPOKE, from_=SessionState.ANONYMOUS, id="bob", t_us=5, why="early"),
    made.packet(
        actor=ODD, bytes=7, kind=Kind.DROP, link=ODD, packet=ODD, rule=Rule.TOK_3, t_us=5, what=PacketKind.SAY, why=ODD
    ),
    made.packet(actor="bob", link="bob>server", packet="bob.join#1/open", proto="tcp", t_us=5, what=PacketKind.OPEN),
    made.packet(
        kind=Kind.ARRIVE, link="bob>server", packet="bob.join#1/open", proto="tcp", t_us=5, what=PacketKind.OPEN
    ),
    made.timer(actor=ODD, rule=Rule.IDLE_1, t_us=5, what=Deadline.IDLE),
    made.fault(actor=ODD, t_us=5, what=ODD, why=ODD),
    made.show(actor=ODD, name=ODD, rule=Rule.SHOW_1, t_us=5, text=ODD, what=PacketKind.RELAY),
    made.show(actor="bob", t_us=5, what=Notice.ROOM_CLOSED),
]


def numbered(records: list[Record]) -> list[Record]:
    """The records as one trace: numbered from 1, each the cause of the next."""
    return [replace(record, n=n, cause=n - 1) for n, record in enumerate(records, 1)]
