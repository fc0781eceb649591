"""Records for the tests of traces: one of each kind, with every field that may be left out, and without."""

from __future__ import annotations

from msgspec.structs import replace

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
    FaultRecord,
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
    TimerRecord,
)

ODD = 'a "quoted" \\ 日本\n\x07\u2028'


def step(
    machine: Machine, id: str, event: str, from_: str, to: str, rule: Rule, *, actor: str = "server", why: str = "",
    token: str = "",
) -> StepRecord:  # fmt: skip
    """A step with the number 1, to be numbered by `numbered`."""
    return StepRecord(
        actor=actor,
        cause=0,
        event=event,
        from_=from_,
        id=id,
        instance=2,
        machine=machine,
        n=1,
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
    RefusalRecord(
        actor=ODD,
        cause=0,
        event=SessionEvent.SPOKE,
        from_=SessionState.EXPIRED,
        id=ODD,
        machine=Machine.SESSION,
        n=1,
        rule=Rule.TOK_4,
        t_us=5,
        why=ODD,
    ),
    RefusalRecord(
        actor="bob",
        cause=0,
        event=SessionEvent.SPOKE,
        from_=SessionState.ANONYMOUS,
        id="bob",
        machine=Machine.SESSION,
        n=1,
        t_us=5,
        why="early",
    ),
    PacketRecord(
        actor=ODD,
        bytes=7,
        cause=0,
        kind=Kind.DROP,
        link=ODD,
        n=1,
        packet=ODD,
        proto="udp",
        rule=Rule.TOK_3,
        t_us=5,
        what=PacketKind.SAY,
        why=ODD,
    ),
    PacketRecord(
        actor="bob",
        bytes=0,
        cause=0,
        kind=Kind.SEND,
        link="bob>server",
        n=1,
        packet="bob.join#1/open",
        proto="tcp",
        t_us=5,
        what=PacketKind.OPEN,
    ),
    PacketRecord(
        actor="server",
        bytes=0,
        cause=0,
        kind=Kind.ARRIVE,
        link="bob>server",
        n=1,
        packet="bob.join#1/open",
        proto="tcp",
        t_us=5,
        what=PacketKind.OPEN,
    ),
    TimerRecord(actor=ODD, cause=0, n=1, rule=Rule.IDLE_1, t_us=5, what=Deadline.IDLE),
    FaultRecord(actor=ODD, cause=0, n=1, t_us=5, what=ODD, why=ODD),
    ShowRecord(actor=ODD, cause=0, n=1, name=ODD, rule=Rule.SHOW_1, t_us=5, text=ODD, what=PacketKind.RELAY),
    ShowRecord(actor="bob", cause=0, n=1, name="", t_us=5, text="", what=Notice.ROOM_CLOSED),
]


def numbered(records: list[Record]) -> list[Record]:
    """The records as one trace: numbered from 1, each the cause of the next."""
    return [replace(record, n=n, cause=n - 1) for n, record in enumerate(records, 1)]
