"""A client's handshake: replies in any pieces, replies that are none, and a server that says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from changed_dialects import changed
from conversation import SECOND
from tcrp.engine.client import ClientConfig, ClientEngine
from tcrp.engine.codec import codec
from tcrp.engine.frames import write_frame
from tcrp.engine.outputs import CloseStream, SendFrame
from tcrp.spec.names import HandshakeState, Operation, Reason, SessionState


def client(operation: Operation, name: str = "bob", *, dialect: str = "text", **wishes: Any) -> ClientEngine:
    """A client that wants to be in the lobby."""
    return ClientEngine(ClientConfig(codec(dialect), operation, "lobby", name, **wishes))


def test_a_client_gives_up_a_handshake_that_takes_too_long() -> None:
    engine = client(Operation.JOIN)
    engine.start(0)
    engine.stream_opened(1, 0)
    engine.handle_timeout(10 * SECOND - 1)
    assert engine.handshake is HandshakeState.REQUESTED
    assert any(isinstance(effect, CloseStream) for effect in engine.handle_timeout(10 * SECOND))
    assert engine.handshake is HandshakeState.ABANDONED


def test_a_server_that_closes_early_abandons_the_handshake() -> None:
    engine = client(Operation.JOIN)
    [frame] = engine.stream_opened(1, 0)
    assert isinstance(frame, SendFrame)
    assert frame.data == write_frame(5, 2, 0, b"lobby", b"bob")
    engine.stream_closed(0)
    assert engine.handshake is HandshakeState.ABANDONED


@pytest.mark.parametrize("size", [1, 3, 32])
def test_replies_may_be_cut_anywhere(size: int) -> None:
    engine = client(Operation.CREATE, dialect="json-name")
    engine.stream_opened(1, 0)
    data = codec("json-name").write_answer(Operation.CREATE, b"lobby")
    data += codec("json-name").write_completion(Operation.CREATE, b"lobby", "bob", b"token_1")
    for start in range(0, len(data), size):
        engine.receive_stream(data[start : start + size], 0)
    assert engine.token == b"token_1"
    assert engine.session is SessionState.IN_ROOM


@pytest.mark.parametrize("frame", [write_frame(5, 1, 2, b"lobby", b""), write_frame(5, 1, 2, b"lobby", b"x" * 256)])
def test_a_completion_without_a_token_is_none(frame: bytes) -> None:
    engine = client(Operation.CREATE)
    engine.stream_opened(1, 0)
    engine.receive_stream(frame, 0)
    assert engine.session is SessionState.ANONYMOUS
    assert engine.handshake is HandshakeState.REFUSED


def asking(dialect: str = "text") -> ClientEngine:
    """A client whose request is out."""
    engine = client(Operation.JOIN, dialect=dialect)
    engine.start(0)
    engine.stream_opened(1, 0)
    return engine


def test_an_answer_is_a_step_of_its_own_and_a_second_one_ends_the_handshake() -> None:
    answer = codec("text").write_answer(Operation.JOIN, b"lobby")
    engine = asking()
    engine.receive_stream(answer, 0)
    assert engine.handshake is HandshakeState.ACCEPTED
    outputs = engine.receive_stream(answer, 0)
    assert engine.handshake is HandshakeState.ABANDONED
    assert [type(each) for each in outputs] == [CloseStream]


def test_a_reply_that_nobody_can_read_ends_the_handshake_at_once() -> None:
    engine = asking("json")
    outputs = engine.receive_stream(b"HTTP/1.1 400 Bad Request\r\n\r\n".ljust(64), 0)
    assert engine.handshake is HandshakeState.ABANDONED
    assert [type(each) for each in outputs] == [CloseStream]


def test_half_a_reply_is_waited_for_until_the_handshake_timeout() -> None:
    engine = asking()
    deadline_us = engine.next_deadline_us()
    engine.receive_stream(codec("text").write_answer(Operation.JOIN, b"lobby")[:20], 0)
    assert engine.next_deadline_us() == deadline_us
    assert engine.handshake is HandshakeState.REQUESTED


def test_a_connection_that_is_gone_ends_the_handshake_and_is_not_closed_again() -> None:
    engine = asking()
    assert engine.stream_closed(0) == []
    assert engine.handshake is HandshakeState.ABANDONED


def test_a_connection_that_opens_after_the_attempt_was_given_up_carries_no_request() -> None:
    engine = client(Operation.JOIN)
    engine.start(0)
    engine.handle_timeout(10 * SECOND)
    assert engine.handshake is HandshakeState.ABANDONED
    assert engine.stream_opened(1, 11 * SECOND) == []


def test_nothing_is_kept_of_what_comes_behind_the_completion() -> None:
    engine, speaks = asking(), codec("text")
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"0" * 32), 0)
    assert engine.receive_stream(b"x" * 1000, 1) == []
    assert engine.freeze().buffer == b""


def test_the_usual_words_of_a_refusal_in_two_frames_are_those_of_the_first() -> None:
    words = 'message = "{reason}" }\n'
    speaks = changed("json-endpoint", (words, words + "\n[refusal.then]\nstate = 2\npayload = { over = 1 }\n"))
    engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob"))
    engine.start(0)
    engine.stream_opened(1, 0)
    first, _ = speaks.write_refusal(speaks.dialect.operations[Operation.JOIN], b"lobby", Reason.NO_SUCH_ROOM)
    engine.receive_stream(first, 0)
    assert (engine.handshake, engine.reason, engine.said) == (HandshakeState.REFUSED, Reason.NO_SUCH_ROOM, "")
