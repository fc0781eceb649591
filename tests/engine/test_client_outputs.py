"""What a client's engine puts out: of early and late datagrams, at its pace, and in the words of a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conversation import SECOND
from tcrp.engine.client import ClientConfig, ClientEngine
from tcrp.engine.codec import codec, codec_of
from tcrp.engine.outputs import (
    Detail,
    Dropped,
    NoticeReceived,
    SendDatagram,
    SendFrame,
    Stepped,
    TextReceived,
    TimerFired,
)
from tcrp.spec.dialects import SHIPPED, LearnedFrom, parse, path_of
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, QUIET_US, Limits
from tcrp.spec.names import (
    Deadline,
    HandshakeState,
    Notice,
    Operation,
    PacketKind,
    Reason,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import IllegalEvent


def asking(dialect: str = "text", **wishes: Any) -> ClientEngine:
    """A client whose request is out."""
    config = ClientConfig(codec(dialect), Operation.JOIN, "lobby", "bob", udp_port=5000, **wishes)
    engine = ClientEngine(config, detail=Detail.EVERYTHING)
    engine.start(0)
    engine.stream_opened(1, 0)
    return engine


def grants(engine: ClientEngine) -> list[Any]:
    """What the engine puts out when it is given its token."""
    speaks = codec("text")
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    return engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"0" * 32), 0)


def completed(**wishes: Any) -> ClientEngine:
    engine = asking(**wishes)
    grants(engine)
    return engine


def sent(outputs: list[Any], kind: PacketKind) -> int:
    """How many datagrams of this kind there are."""
    return sum(isinstance(each, SendDatagram) and each.what is kind for each in outputs)


def granted_late(*early: bytes) -> tuple[ClientEngine, list[Any]]:
    """A client whose server's datagrams overtook the completion, and what it put out at the completion."""
    engine = asking()
    for data in early:
        engine.receive_datagram(data, 0)
    return engine, grants(engine)


def test_whoever_heard_something_before_its_completion_need_not_enter_again() -> None:
    engine, outputs = granted_late(b"alice: hi")
    assert [each.text for each in outputs if isinstance(each, TextReceived)] == ["hi"]
    assert engine.has_heard
    assert sent(outputs, PacketKind.ENTER) == 1
    assert sent(engine.handle_timeout(30 * SECOND), PacketKind.ENTER) == 0
    silent, outputs = granted_late()
    assert not silent.has_heard
    assert sent(outputs + silent.handle_timeout(200_000), PacketKind.ENTER) == 2


def test_of_early_datagrams_one_that_ends_the_session_is_the_last_that_is_shown() -> None:
    closed = b"Room closed"
    engine, outputs = granted_late(closed, b"alice: hi", closed)
    assert engine.session is SessionState.EXPIRED
    assert [each.notice for each in outputs if isinstance(each, NoticeReceived)] == [Notice.ROOM_CLOSED]
    assert not [each for each in outputs if isinstance(each, TextReceived)]
    dropped = [each for each in outputs if isinstance(each, Dropped)]
    assert [(each.why, each.rule) for each in dropped] == [("the session has ended", Rule.TOK_2)]


def test_an_early_datagram_too_many_is_dropped_with_its_rule() -> None:
    engine = asking()
    outputs = [each for _ in range(17) for each in engine.receive_datagram(b"alice: hi", 0)]
    dropped = [each for each in outputs if isinstance(each, Dropped)]
    assert [(each.size, each.rule) for each in dropped] == [(9, Rule.LIM_1)]


def test_what_comes_after_the_end_is_dropped_unless_it_is_why() -> None:
    engine = completed()
    engine.leave(0)
    assert [each.why for each in engine.receive_datagram(b"alice: hi", 0) if isinstance(each, Dropped)] == [
        "the session has ended"
    ]


def test_a_text_that_just_fits_is_sent_and_one_byte_more_is_the_callers_fault() -> None:
    engine = completed()
    room = CLIENT_DATAGRAM_BYTES_MAX - len(b"\5\x20lobby") - 32
    assert sent(engine.say("x" * room, 0), PacketKind.SAY) == 1
    with pytest.raises(ValueError, match=f"the datagram is {CLIENT_DATAGRAM_BYTES_MAX + 1} bytes"):
        engine.say("x" * (room + 1), 0)


def test_what_is_sent_is_called_a_text_or_a_keep_alive() -> None:
    engine = completed()
    assert sent(engine.say("", 0), PacketKind.KEEP_ALIVE) == 1
    assert sent(engine.say("hi", 0), PacketKind.SAY) == 1


@pytest.mark.parametrize("most", [1, 3])
def test_a_paced_client_sends_at_three_quarters_of_the_rate(most: int) -> None:
    """The first at once; a text that is queued behind another moves no turn."""
    limits = Limits().with_settings({"texts_per_second_max": most})
    engine = completed(limits=limits, paces=True)
    engine.receive_datagram(b"alice: hi", 0)  # so that it does not say again that it is there
    turn_us = 100 * SECOND // (most * 75)
    assert sent(engine.say("one", 0), PacketKind.SAY) == 1
    for text, now_us in (("two", 1), ("three", turn_us // 2), ("four", turn_us - 1)):
        assert sent(engine.say(text, now_us), PacketKind.SAY) == 0
    assert engine.next_deadline_us() == turn_us
    assert sent(engine.handle_timeout(turn_us - 1), PacketKind.SAY) == 0
    assert sent(engine.handle_timeout(turn_us), PacketKind.SAY) == 1
    assert engine.next_deadline_us() == 2 * turn_us
    assert engine.queued == 2


def test_saying_again_that_it_is_there_is_a_deadline_and_a_step_that_speaks() -> None:
    outputs = completed().handle_timeout(200_000)
    assert [each.deadline for each in outputs if isinstance(each, TimerFired)] == [Deadline.ENTER]
    assert [each.event for each in outputs if isinstance(each, Stepped)] == [SessionEvent.SPOKE]


BARE_SENTENCES = Path(__file__).parents[1] / "interop" / "dialects" / "bare-sentences.toml"


@pytest.mark.parametrize("dialect", [*SHIPPED, BARE_SENTENCES], ids=lambda each: Path(each).stem)
def test_the_usual_words_of_a_refusal_are_no_news_to_its_user(dialect: str | Path) -> None:
    speaks = codec(dialect) if isinstance(dialect, str) else codec_of(parse(dialect.read_text("utf-8"), str(dialect)))
    engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob"), detail=Detail.EVERYTHING)
    engine.start(0)
    outputs: list[Any] = engine.stream_opened(1, 0)
    if speaks.dialect.greeting is not None:
        engine.receive_stream(speaks.write_greeting(), 0)
    for frame in speaks.write_refusal(speaks.dialect.operations[Operation.JOIN], b"lobby", Reason.NO_SUCH_ROOM):
        outputs += engine.receive_stream(frame, 0)
    outputs += engine.stream_closed(0)
    assert engine.handshake is HandshakeState.REFUSED
    if engine.reason is not None:
        assert (engine.reason, engine.said) == (Reason.NO_SUCH_ROOM, "")
        assert [each.why for each in outputs if isinstance(each, Stepped)][-1] == "no_such_room"


def test_a_reason_that_no_reply_of_the_dialect_gives_is_shown_in_its_own_words() -> None:
    speaks = codec("bare-token")
    assert speaks.refuses_silently
    engine = asking("bare-token")
    outputs = engine.stream_closed(0)
    assert (engine.handshake, engine.reason, engine.said) == (HandshakeState.REFUSED, None, "")
    assert [each.why for each in outputs if isinstance(each, Stepped)] == [""]


def test_what_is_no_reply_but_perhaps_a_sentence_is_kept_and_parts_of_frames_are_not() -> None:
    for data, said in ((b"Too many users, come back later", "Too many users, come back later"), (b"\5\0\0lobby", "")):
        engine = asking("text")
        engine.receive_stream(data.ljust(40, b"!") if said else data, 0)
        engine.stream_closed(0)
        assert engine.handshake is HandshakeState.ABANDONED
        assert engine.said.rstrip("!") == said


def test_giving_up_is_a_deadline_and_a_step() -> None:
    outputs = asking().handle_timeout(10 * SECOND)
    assert [each.deadline for each in outputs if isinstance(each, TimerFired)] == [Deadline.HANDSHAKE]


def test_giving_up_twice_or_after_the_token_is_no_step() -> None:
    engine = asking()
    assert [each for each in engine.abandon(0) if isinstance(each, Stepped)]
    assert engine.abandon(0) == []
    assert completed().abandon(0) == []


# --- bounds, deadlines and what is kept ----------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "state"), [(256 * 1024, HandshakeState.ACCEPTED), (256 * 1024 + 1, HandshakeState.ABANDONED)]
)
def test_a_reply_without_an_end_is_read_up_to_256_kib(size: int, state: HandshakeState) -> None:
    engine = asking("colon-fields")
    engine.receive_stream(b"\0\1", 0)
    engine.receive_stream(b"\2".ljust(size, b"x"), 0)
    assert engine.handshake is state


def test_whoever_has_heard_something_says_so() -> None:
    engine = completed()
    assert not engine.has_heard
    engine.receive_datagram(b"alice: hi", 0)
    assert engine.has_heard


def test_a_text_that_is_said_after_the_end_is_the_callers_fault_also_where_it_would_wait() -> None:
    engine = completed(paces=True)
    engine.say("one", 0)
    engine.leave(0)
    with pytest.raises(IllegalEvent, match="spoke is not possible in the state expired"):
        engine.say("two", 1)


def test_the_first_text_that_waits_sets_the_deadline() -> None:
    engine = completed(paces=True)
    engine.receive_datagram(b"alice: hi", 0)
    turn_us = 100 * SECOND // (Limits().texts_per_second_max * 75)
    engine.say("one", 0)
    engine.say("two", 0)
    assert engine.next_deadline_us() == turn_us


def test_a_text_is_a_step_that_speaks() -> None:
    assert [each.event for each in completed().say("hi", 0) if isinstance(each, Stepped)] == [SessionEvent.SPOKE]


@pytest.mark.parametrize("dialect", SHIPPED)
def test_a_trailer_follows_the_completion_only_where_a_dialect_has_one(dialect: str) -> None:
    speaks, engine = codec(dialect), asking(dialect)
    data = speaks.write_greeting() if speaks.dialect.greeting is not None else b""
    data += speaks.write_answer(Operation.JOIN, b"lobby")
    data += speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"0" * 32)
    outputs: list[Any] = engine.receive_stream(data, 0) + engine.handle_timeout(QUIET_US)
    assert engine.session is SessionState.IN_ROOM
    trailers = [each.data for each in outputs if isinstance(each, SendFrame) and each.what is PacketKind.TRAILER]
    assert trailers == ([b"\x13\x88"] if speaks.dialect.learned_from is LearnedFrom.TRAILER else [])


def test_no_trailer_is_sent_on_a_connection_that_has_ended_with_its_completion() -> None:
    text = path_of("colon-fields").read_text(encoding="utf-8").replace('"datagram"\n', '"trailer"\n')
    speaks = codec_of(parse(text.replace("colon-fields", "mine"), "mine.toml"))
    engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob", udp_port=5000))
    engine.start(0)
    engine.stream_opened(1, 0)
    engine.receive_stream(b"\0\1\2" + b"0" * 32, 0)
    outputs = engine.stream_closed(0)
    assert engine.session is SessionState.IN_ROOM
    assert not [each for each in outputs if isinstance(each, SendFrame)]


def test_silence_is_counted_from_the_token() -> None:
    engine = asking("json-address")
    speaks = codec("json-address")
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 5 * SECOND)
    engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"0" * 32), 5 * SECOND)
    assert engine.next_deadline_us() == 5 * SECOND + Limits().idle_timeout


def test_a_refusal_after_the_answer_gives_up_what_was_accepted() -> None:
    speaks = codec("text")
    engine = asking("text")
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    for frame in speaks.write_refusal(2, b"lobby", Reason.NO_SUCH_ROOM):
        engine.receive_stream(frame, 0)
    assert engine.handshake is HandshakeState.ABANDONED


def test_words_of_a_refusal_that_are_not_the_usual_ones_are_kept_for_the_user() -> None:
    speaks = codec("json-endpoint")
    operation = speaks.dialect.operations[Operation.JOIN]
    [usual] = speaks.write_refusal(operation, b"lobby", Reason.NO_SUCH_ROOM)
    engine = asking("json-endpoint")
    engine.receive_stream(usual.replace(b"no_such_room", b"no room here"), 0)
    assert (engine.handshake, engine.reason) == (HandshakeState.REFUSED, Reason.NO_SUCH_ROOM)
    assert engine.said == "no room here"


def test_a_silence_behind_a_reply_is_a_deadline_only_until_the_reply_is_read() -> None:
    engine = asking("colon-fields")
    engine.receive_stream(b"\0\1\2" + b"0" * 32, 0)
    outputs = engine.handle_timeout(QUIET_US)
    assert [each.deadline for each in outputs if isinstance(each, TimerFired)][:1] == [Deadline.QUIET]
    engine = asking("colon-fields")
    engine.receive_stream(b"\0\1\2" + b"0" * 32, 0)
    engine.stream_closed(0)
    assert engine.session is SessionState.IN_ROOM
    fired = [each.deadline for each in engine.handle_timeout(QUIET_US) if isinstance(each, TimerFired)]
    assert Deadline.QUIET not in fired


def test_nothing_is_kept_of_a_reply_once_the_handshake_is_over() -> None:
    engine = asking("text")
    engine.receive_stream(b"no reply of this dialect at all, but a sentence", 0)
    engine.stream_closed(0)
    assert engine.said == "no reply of this dialect at all, but a sentence"
    assert engine.freeze().buffer == b""


def test_the_last_text_that_waited_leaves_no_deadline() -> None:
    engine = completed(paces=True)
    engine.receive_datagram(b"alice: hi", 0)
    turn_us = 100 * SECOND // (Limits().texts_per_second_max * 75)
    engine.say("one", 0)
    engine.say("two", 0)
    outputs = engine.handle_timeout(turn_us)
    assert [each.deadline for each in outputs if isinstance(each, TimerFired)] == [Deadline.PACE]
    assert engine.handle_timeout(2 * turn_us) == []


@pytest.mark.parametrize("dialect", SHIPPED)
def test_leaving_is_said_with_the_first_leave_word_of_the_dialect(dialect: str) -> None:
    speaks, engine = codec(dialect), asking(dialect)
    data = speaks.write_greeting() if speaks.dialect.greeting is not None else b""
    data += speaks.write_answer(Operation.JOIN, b"lobby")
    engine.receive_stream(data + speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"0" * 32), 0)
    engine.handle_timeout(QUIET_US)
    left: list[Any] = engine.leave(QUIET_US)
    words = [speaks.datagram.write(b"lobby", b"0" * 32, "bob", word) for word in speaks.dialect.leave_words[:1]]
    assert [each.data for each in left if isinstance(each, SendDatagram)] == words
    when_us = engine.next_deadline_us()
    if when_us is not None:
        again: list[Any] = engine.handle_timeout(when_us)
        assert [each.deadline for each in again if isinstance(each, TimerFired)] == [Deadline.LEAVE]
        assert [each.data for each in again if isinstance(each, SendDatagram)] == words
