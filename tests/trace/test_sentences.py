"""A record as one plain sentence, whatever stands in it."""

from __future__ import annotations

import pytest

from tcrp.spec.names import Deadline, Machine, Notice, PacketKind, Rule, SessionEvent, SessionState
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, RefusalRecord, ShowRecord, TimerRecord
from tcrp.trace.sentences import TEXT_CHARACTERS_SHOWN_MAX, sentence, timed_sentence
from trace_samples import RECORDS, step

IN_ROOM, EXPIRED = SessionState.IN_ROOM, SessionState.EXPIRED


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            step(Machine.SESSION, "bob@lobby", SessionEvent.IDLED, IN_ROOM, EXPIRED, Rule.IDLE_1),
            "server: session bob@lobby in-room -> expired (idled, R-IDLE-1)",
        ),
        (
            step(Machine.SESSION, "bob@lobby", SessionEvent.SPOKE, IN_ROOM, IN_ROOM, Rule.IDLE_1, why="again"),
            "server: session bob@lobby stays in-room (spoke, R-IDLE-1, again)",
        ),
        (
            RefusalRecord(
                actor="server",
                cause=0,
                event=SessionEvent.SPOKE,
                from_=EXPIRED,
                id="b@r",
                machine=Machine.SESSION,
                n=1,
                rule=Rule.TOK_4,
                t_us=5,
                why="late",
            ),
            "server: session b@r refuses spoke while expired (R-TOK-4, late)",
        ),
        (
            RefusalRecord(
                actor="bob",
                cause=0,
                event=SessionEvent.SPOKE,
                from_=EXPIRED,
                id="b@r",
                machine=Machine.SESSION,
                n=1,
                t_us=5,
                why="paused",
            ),
            "bob: session b@r refuses spoke while expired (paused)",
        ),
        (
            PacketRecord(
                actor="bob",
                bytes=44,
                cause=0,
                kind=Kind.SEND,
                link="bob>server",
                n=1,
                packet="bob.say#1",
                proto="udp",
                t_us=5,
                what=PacketKind.SAY,
            ),
            "bob: sends say to server (udp, 44 bytes)",
        ),
        (
            PacketRecord(
                actor="server",
                bytes=0,
                cause=0,
                kind=Kind.ARRIVE,
                link="bob>server",
                n=1,
                packet="x",
                proto="tcp",
                rule=Rule.TCP_3,
                t_us=5,
                what=PacketKind.CLOSE,
            ),
            "server: receives close from bob (tcp, 0 bytes, R-TCP-3)",
        ),
        (
            PacketRecord(
                actor="network",
                bytes=1,
                cause=0,
                kind=Kind.DROP,
                link="bob>server",
                n=1,
                packet="x",
                proto="udp",
                t_us=5,
                what=PacketKind.SAY,
                why="loss",
            ),
            "network: drops say from bob to server (udp, 1 byte, loss)",
        ),
        (
            TimerRecord(actor="server", cause=0, n=1, rule=Rule.IDLE_1, t_us=5, what=Deadline.IDLE),
            "server: idle deadline reached (R-IDLE-1)",
        ),
        (
            FaultRecord(actor="network", cause=0, n=1, t_us=5, what="cut", why="bob>server"),
            "network: fault: cut (bob>server)",
        ),
        (FaultRecord(actor="server", cause=0, n=1, t_us=5, what="start", why=""), "server: fault: start"),
        (
            ShowRecord(actor="bob", cause=0, n=1, name="alice", t_us=5, text="hi", what=PacketKind.RELAY),
            "bob: shows 'hi' from alice",
        ),
        (
            ShowRecord(actor="bob", cause=0, n=1, name="carol", t_us=5, text="", what=Notice.JOINED),
            "bob: shows the notice joined about carol",
        ),
        (
            ShowRecord(actor="bob", cause=0, n=1, name="", rule=Rule.END_1, t_us=5, text="", what=Notice.SHUTDOWN),
            "bob: shows the notice shutdown (R-END-1)",
        ),
    ],
)
def test_each_kind_of_record_is_a_sentence(record: Record, said: str) -> None:
    assert sentence(record) == said


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.kind}")
def test_a_sentence_is_one_harmless_line(record: Record) -> None:
    assert not any(character in sentence(record) for character in "\n\x07\u2028")


def test_a_long_text_is_cut() -> None:
    record = ShowRecord(
        actor="bob",
        cause=0,
        n=1,
        name="alice",
        t_us=5,
        text="x" * (TEXT_CHARACTERS_SHOWN_MAX + 1),
        what=PacketKind.RELAY,
    )
    assert sentence(record) == f"bob: shows '{'x' * TEXT_CHARACTERS_SHOWN_MAX}…' from alice"


def test_a_timed_sentence_begins_with_its_seconds() -> None:
    assert (
        timed_sentence(FaultRecord(actor="server", cause=0, n=1, t_us=61_000_005, what="start", why=""))
        == "61.000005  server: fault: start"
    )
