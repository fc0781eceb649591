"""A record as one plain sentence, whatever stands in it."""

from __future__ import annotations

import pytest

import made_records as made
from tcrp.spec.names import Deadline, Machine, Notice, PacketKind, Rule, SessionEvent, SessionState
from tcrp.trace.records import Kind, Record
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
            made.refusal(event=SessionEvent.SPOKE, from_=EXPIRED, id="b@r", rule=Rule.TOK_4, t_us=5, why="late"),
            "server: session b@r refuses spoke while expired (R-TOK-4, late)",
        ),
        (
            made.refusal(actor="bob", event=SessionEvent.SPOKE, from_=EXPIRED, id="b@r", t_us=5, why="paused"),
            "bob: session b@r refuses spoke while expired (paused)",
        ),
        (
            made.packet(actor="bob", bytes=44, link="bob>server", packet="bob.say#1", t_us=5, what=PacketKind.SAY),
            "bob: sends say to server (udp, 44 bytes)",
        ),
        (
            made.packet(
                kind=Kind.ARRIVE,
                link="bob>server",
                packet="x",
                proto="tcp",
                rule=Rule.TCP_3,
                t_us=5,
                what=PacketKind.CLOSE,
            ),
            "server: receives close from bob (tcp, 0 bytes, R-TCP-3)",
        ),
        (
            made.packet(
                actor="network",
                bytes=1,
                kind=Kind.DROP,
                link="bob>server",
                packet="x",
                t_us=5,
                what=PacketKind.SAY,
                why="loss",
            ),
            "network: drops say from bob to server (udp, 1 byte, loss)",
        ),
        (
            made.timer(rule=Rule.IDLE_1, t_us=5, what=Deadline.IDLE),
            "server: idle deadline reached (R-IDLE-1)",
        ),
        (
            made.fault(actor="network", t_us=5, what="cut", why="bob>server"),
            "network: fault: cut (bob>server)",
        ),
        (made.fault(t_us=5, what="start"), "server: fault: start"),
        (
            made.show(actor="bob", name="alice", t_us=5, text="hi", what=PacketKind.RELAY),
            "bob: shows 'hi' from alice",
        ),
        (
            made.show(actor="bob", name="carol", t_us=5, what=Notice.JOINED),
            "bob: shows the notice joined about carol",
        ),
        (
            made.show(actor="bob", rule=Rule.END_1, t_us=5, what=Notice.SHUTDOWN),
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
    record = made.show(
        actor="bob", name="alice", t_us=5, text="x" * (TEXT_CHARACTERS_SHOWN_MAX + 1), what=PacketKind.RELAY
    )
    assert sentence(record) == f"bob: shows '{'x' * TEXT_CHARACTERS_SHOWN_MAX}…' from alice"


def test_a_timed_sentence_begins_with_its_seconds() -> None:
    assert timed_sentence(made.fault(t_us=61_000_005, what="start")) == "61.000005  server: fault: start"
