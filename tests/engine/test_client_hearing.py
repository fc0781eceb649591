"""What a client makes of what it hears, and of silence: echoes of its own texts, other dialects, deadlines, its end."""

from __future__ import annotations

from typing import Any

import pytest

from conversation import SECOND
from tcrp.engine.client import ClientConfig, ClientEngine
from tcrp.engine.codec import codec
from tcrp.engine.liveness import keep_alive_us
from tcrp.engine.outputs import (
    Detail,
    Dropped,
    NoticeReceived,
    SendDatagram,
    ServerSilent,
    Stepped,
    TextReceived,
    TimerFired,
    WordsReceived,
)
from tcrp.spec.limits import QUIET_US, Limits
from tcrp.spec.names import Deadline, Machine, Notice, Operation, PacketKind, Rule, SessionEvent, SessionState

IDLE_US = Limits().idle_timeout
INTERVAL_US = keep_alive_us(IDLE_US)
NAMELESS = "state-one"  # its relays are the members' own datagrams, and name nobody
FROM_NOBODY = b"\0\0"


def in_room(dialect: str = "text", **wishes: Any) -> ClientEngine:
    """Bob, who has just entered and been spoken to, so that he need not enter again."""
    speaks = codec(dialect)
    config = ClientConfig(speaks, Operation.JOIN, "lobby", "bob", udp_port=5000, **wishes)
    engine = ClientEngine(config, detail=Detail.EVERYTHING)
    engine.start(0)
    engine.stream_opened(1, 0)
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"0" * 32), 0)
    engine.handle_timeout(QUIET_US)
    assert engine.session is SessionState.IN_ROOM
    engine.receive_datagram(speaks.write_relay("ann", "welcome") or b"", QUIET_US)
    return engine


def texts(outputs: list[Any]) -> list[tuple[str, str]]:
    return [(each.name, each.text) for each in outputs if isinstance(each, TextReceived)]


def fired(outputs: list[Any]) -> list[Deadline]:
    return [each.deadline for each in outputs if isinstance(each, TimerFired)]


def keep_alives(outputs: list[Any]) -> int:
    return sum(isinstance(each, SendDatagram) and each.what is PacketKind.KEEP_ALIVE for each in outputs)


# --- texts -----------------------------------------------------------------------------------------


def test_a_text_of_others_is_shown_and_is_a_step() -> None:
    outputs = in_room().receive_datagram(b"ann: hi", SECOND)
    assert texts(outputs) == [("ann", "hi")]
    assert [(each.machine, each.event) for each in outputs if isinstance(each, Stepped)] == [
        (Machine.SESSION, SessionEvent.RELAYED)
    ]


@pytest.mark.parametrize("relayed", [b"ann: ", b"bob: hi", b"bob: never said"])
def test_keep_alives_of_others_and_whatever_bears_the_own_name_are_not_shown(relayed: bytes) -> None:
    assert texts(in_room(keeps_alive=True).receive_datagram(relayed, SECOND)) == []


def test_where_relays_name_nobody_an_echo_is_what_was_said_since_the_server_last_spoke() -> None:
    engine = in_room(NAMELESS, keeps_alive=True)
    assert texts(engine.receive_datagram(FROM_NOBODY + b"hi", SECOND)) == [("", "hi")]
    engine.say("hi", SECOND)
    assert texts(engine.receive_datagram(FROM_NOBODY + b"hi", SECOND)) == []
    assert texts(engine.receive_datagram(FROM_NOBODY + b"hi", SECOND)) == [("", "hi")]


def test_a_text_that_names_another_is_no_echo_though_the_same_was_said() -> None:
    engine = in_room(keeps_alive=True)
    engine.say("hi", SECOND)
    assert texts(engine.receive_datagram(b"ann: hi", SECOND)) == [("ann", "hi")]


def test_a_datagram_of_another_dialect_is_dropped_by_its_rule_and_its_words_are_shown() -> None:
    engine = in_room()
    for data, words in ((b"Welcome, all of you", ["Welcome, all of you"]), (b"\xff\xfe", [])):
        outputs: list[Any] = engine.receive_datagram(data, SECOND)
        assert [(each.size, each.rule) for each in outputs if isinstance(each, Dropped)] == [(len(data), Rule.UDP_3)]
        assert [each.text for each in outputs if isinstance(each, WordsReceived)] == words
        assert len(outputs) == 1 + len(words)
    assert engine.session is SessionState.IN_ROOM


def test_a_leaving_of_the_own_name_is_told_as_having_idled() -> None:
    engine = in_room("json-address")
    told = [engine.receive_datagram(f"{name}がlobbyから退出しました。".encode(), SECOND) for name in ("ann", "bob")]
    assert [(each.notice, each.name) for outputs in told for each in outputs if isinstance(each, NoticeReceived)] == [
        (Notice.LEFT, "ann"),
        (Notice.IDLED, "bob"),
    ]


# --- silence ---------------------------------------------------------------------------------------


def test_a_keep_alive_is_sent_at_the_end_of_its_interval_which_begins_with_every_text() -> None:
    engine = in_room(keeps_alive=True)
    engine.say("hi", SECOND)
    for now_us in (INTERVAL_US, INTERVAL_US + SECOND - 1):
        outputs = engine.handle_timeout(now_us)
        assert (keep_alives(outputs), fired(outputs)) == (0, [])
    assert engine.next_deadline_us() == INTERVAL_US + SECOND
    outputs = engine.handle_timeout(INTERVAL_US + SECOND)
    assert (keep_alives(outputs), fired(outputs)) == (1, [Deadline.KEEP_ALIVE])


def test_that_the_server_is_silent_is_said_at_its_deadline() -> None:
    engine = in_room("json", keeps_alive=True)
    engine.receive_datagram(b"", SECOND)  # it answers
    now_us, outputs = SECOND, list[Any]()
    while not outputs or not any(isinstance(each, ServerSilent) for each in outputs):
        assert now_us < 2 * INTERVAL_US + SECOND
        now_us = engine.next_deadline_us() or 0
        outputs = engine.handle_timeout(now_us)
    assert now_us == 2 * INTERVAL_US + SECOND
    assert [each.last_heard_us for each in outputs if isinstance(each, ServerSilent)] == [SECOND]
    assert len(fired(outputs)) == 1 + keep_alives(outputs)


def test_the_own_silence_ends_the_session_at_its_deadline_which_moves_with_every_text() -> None:
    engine = in_room()
    engine.say("hi", SECOND)
    for now_us in (IDLE_US, IDLE_US + SECOND - 1):
        assert engine.handle_timeout(now_us) == []
    assert engine.next_deadline_us() == IDLE_US + SECOND
    outputs = engine.handle_timeout(IDLE_US + SECOND)
    assert fired(outputs) == [Deadline.IDLE]
    assert [each.event for each in outputs if isinstance(each, Stepped)] == [SessionEvent.IDLED]


# --- the end ---------------------------------------------------------------------------------------


def test_texts_that_still_waited_at_the_end_are_unheard_and_wait_no_more() -> None:
    engine = in_room(paces=True)
    for text in ("one", "two", "three"):
        engine.say(text, SECOND)
    assert engine.unheard == ("two", "three")
    engine.leave(SECOND)
    assert (engine.queued, engine.unheard) == (0, ("two", "three"))


def test_a_client_that_is_frozen_when_it_has_left_says_so_again_at_the_same_moments() -> None:
    engine = in_room()
    engine.leave(7 * SECOND)
    state = engine.freeze()
    assert state.ended_ago_us == 0
    again = ClientEngine(engine.config, state=state, now_us=100 * SECOND)
    assert engine.next_deadline_us() == 7 * SECOND + 200_000
    assert again.next_deadline_us() == 100 * SECOND + 200_000
