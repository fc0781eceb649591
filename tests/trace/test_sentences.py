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
            RefusalRecord(1, 0, 5, "server", Machine.SESSION, "b@r", SessionEvent.SPOKE, EXPIRED, Rule.TOK_4, "late"),
            "server: session b@r refuses spoke while expired (R-TOK-4, late)",
        ),
        (
            RefusalRecord(1, 0, 5, "bob", Machine.SESSION, "b@r", SessionEvent.SPOKE, EXPIRED, None, "paused"),
            "bob: session b@r refuses spoke while expired (paused)",
        ),
        (
            PacketRecord(1, 0, 5, "bob", Kind.SEND, "udp", "bob>server", "bob.say#1", 44, PacketKind.SAY, "", None),
            "bob: sends say to server (udp, 44 bytes)",
        ),
        (
            PacketRecord(1, 0, 5, "server", Kind.ARRIVE, "tcp", "bob>server", "x", 0, PacketKind.CLOSE, "", Rule.TCP_3),
            "server: receives close from bob (tcp, 0 bytes, R-TCP-3)",
        ),
        (
            PacketRecord(1, 0, 5, "network", Kind.DROP, "udp", "bob>server", "x", 1, PacketKind.SAY, "loss", None),
            "network: drops say from bob to server (udp, 1 byte, loss)",
        ),
        (TimerRecord(1, 0, 5, "server", Deadline.IDLE, Rule.IDLE_1), "server: idle deadline reached (R-IDLE-1)"),
        (FaultRecord(1, 0, 5, "network", "cut", "bob>server"), "network: fault: cut (bob>server)"),
        (FaultRecord(1, 0, 5, "server", "start", ""), "server: fault: start"),
        (ShowRecord(1, 0, 5, "bob", PacketKind.RELAY, "alice", "hi", None), "bob: shows 'hi' from alice"),
        (ShowRecord(1, 0, 5, "bob", Notice.JOINED, "carol", "", None), "bob: shows the notice joined about carol"),
        (ShowRecord(1, 0, 5, "bob", Notice.SHUTDOWN, "", "", Rule.END_1), "bob: shows the notice shutdown (R-END-1)"),
    ],
)
def test_each_kind_of_record_is_a_sentence(record: Record, said: str) -> None:
    assert sentence(record) == said


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.kind}")
def test_a_sentence_is_one_harmless_line(record: Record) -> None:
    assert not any(character in sentence(record) for character in "\n\x07\u2028")


def test_a_long_text_is_cut() -> None:
    record = ShowRecord(1, 0, 5, "bob", PacketKind.RELAY, "alice", "x" * (TEXT_CHARACTERS_SHOWN_MAX + 1), None)
    assert sentence(record) == f"bob: shows '{'x' * TEXT_CHARACTERS_SHOWN_MAX}…' from alice"


def test_a_timed_sentence_begins_with_its_seconds() -> None:
    assert timed_sentence(FaultRecord(1, 0, 61_000_005, "server", "start", "")) == "61.000005  server: fault: start"
