"""Records for the tests of traces: one of each kind, with every field that may be left out, and without."""

from __future__ import annotations

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
    return StepRecord(1, 0, 5, actor, machine, id, event, from_, to, rule, why, token, 2)


RECORDS: list[Record] = [
    step(Machine.SESSION, ODD, SessionEvent.GRANTED, SessionState.ANONYMOUS, SessionState.TOKENED, Rule.TOK_1,
         actor=ODD, why=ODD, token="0123abcd"),
    step(Machine.ROOM, "lobby", RoomEvent.CREATED, RoomState.VACANT, RoomState.OPEN, Rule.ROOM_1),
    step(Machine.HANDSHAKE, "bob", HandshakeEvent.LISTED, HandshakeState.REQUESTED, HandshakeState.COMPLETED,
         Rule.TCP_2),
    RefusalRecord(1, 0, 5, ODD, Machine.SESSION, ODD, SessionEvent.SPOKE, SessionState.EXPIRED, Rule.TOK_4, ODD),
    RefusalRecord(1, 0, 5, "bob", Machine.SESSION, "bob", SessionEvent.SPOKE, SessionState.ANONYMOUS, None, "early"),
    PacketRecord(1, 0, 5, ODD, Kind.DROP, "udp", ODD, ODD, 7, PacketKind.SAY, ODD, Rule.TOK_3),
    PacketRecord(1, 0, 5, "bob", Kind.SEND, "tcp", "bob>server", "bob.join#1/open", 0, PacketKind.OPEN, "", None),
    PacketRecord(1, 0, 5, "server", Kind.ARRIVE, "tcp", "bob>server", "bob.join#1/open", 0, PacketKind.OPEN, "", None),
    TimerRecord(1, 0, 5, ODD, Deadline.IDLE, Rule.IDLE_1),
    FaultRecord(1, 0, 5, ODD, ODD, ODD),
    ShowRecord(1, 0, 5, ODD, PacketKind.RELAY, ODD, ODD, Rule.SHOW_1),
    ShowRecord(1, 0, 5, "bob", Notice.ROOM_CLOSED, "", "", None),
]  # fmt: skip


def numbered(records: list[Record]) -> list[Record]:
    """The records as one trace: numbered from 1, each the cause of the next."""
    return [record._replace(n=n, cause=n - 1) for n, record in enumerate(records, 1)]
