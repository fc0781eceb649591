"""The client's own machines: entering, leaving, ending, and a server that says odd things."""

from __future__ import annotations

from typing import Any

import pytest

from conversation import SECOND, Chat, counted_tokens
from tcrp.engine.client import ClientConfig, ClientEngine, enter_moments_us
from tcrp.engine.codec import codec
from tcrp.engine.outputs import TextReceived
from tcrp.spec.limits import Limits
from tcrp.spec.names import Operation, SessionState
from tcrp.spec.table import IllegalEvent


def client(operation: Operation, name: str = "bob", *, dialect: str = "text", **wishes: Any) -> ClientEngine:
    """A client that wants to be in the lobby."""
    return ClientEngine(ClientConfig(codec(dialect), operation, "lobby", name, **wishes))


def completed(name: str = "bob", dialect: str = "text", **settings: object) -> ClientEngine:
    """A client that has its token."""
    engine = client(Operation.JOIN, name, dialect=dialect, udp_port=5000, limits=Limits().with_settings(settings))
    engine.start(0)
    engine.stream_opened(1, 0)
    speaks = codec(dialect)
    if speaks.dialect.answer is not None:
        engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", name, next(iter([counted_tokens()()]))), 0)
    return engine


def test_a_client_says_that_it_is_there_until_25_seconds_or_until_it_hears_something() -> None:
    assert enter_moments_us() == (0, 200_000, 600_000, 1_400_000, 6_400_000, 11_400_000, 16_400_000, 21_400_000)
    chat = Chat()
    alice = chat.user("alice").creates("lobby")
    chat.settles()
    assert tuple(t_us for t_us, _ in alice.sent) == enter_moments_us()
    bob = chat.user("bob").joins("lobby")
    chat.passes(0.3)
    alice.says("welcome")
    chat.settles()
    assert len(bob.sent) == 2


def test_a_client_that_enters_with_its_request_says_nothing() -> None:
    chat = Chat(only="json-address")
    alice = chat.user("alice", "json-address").creates("lobby")
    chat.settles()
    assert alice.sent == []
    assert alice.state is SessionState.IN_ROOM


@pytest.mark.parametrize(("dialect", "words"), [("text", 3), ("json", 3), ("json-address", 1), ("json-endpoint", 0)])
def test_the_leave_word_is_said_as_often_as_the_dialect_wants(dialect: str, words: int) -> None:
    chat = Chat()
    chat.user("alice").creates("lobby")
    bob = chat.user("bob", dialect).joins("lobby")
    chat.passes(30)
    bob.sent.clear()
    start = chat.now_us
    bob.leaves()
    assert bob.state is SessionState.EXPIRED
    chat.settles()
    assert [t_us - start for t_us, _ in bob.sent] == [0, 200_000, 600_000][:words]


def test_commands_that_the_state_does_not_take_raise() -> None:
    engine = client(Operation.JOIN)
    with pytest.raises(IllegalEvent, match="session: spoke is not possible in the state anonymous"):
        engine.say("hi", 0)
    with pytest.raises(IllegalEvent, match="left is not possible"):
        engine.leave(0)
    with pytest.raises(ValueError, match="room name is 256 bytes, at most 255 fit"):
        ClientConfig(codec("text"), Operation.JOIN, "x" * 256, "bob")


@pytest.mark.parametrize(("kept", "shown"), [(16, 16), (17, 16)])
def test_datagrams_that_overtake_the_completion_are_kept_up_to_sixteen(kept: int, shown: int) -> None:
    speaks = codec("text")
    engine = client(Operation.JOIN)
    engine.stream_opened(1, 0)
    for number in range(kept):
        assert engine.receive_datagram(b"alice: %d" % number, 0) == []
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    effects = engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"t"), 0)
    assert [effect.text for effect in effects if isinstance(effect, TextReceived)] == [str(n) for n in range(shown)]


def test_a_client_ends_by_its_own_idle_clock() -> None:
    engine = completed(idle_timeout=30 * SECOND)
    engine.receive_datagram(b"alice: hi", 1)  # stops it from saying that it is there
    engine.handle_timeout(30 * SECOND - 1)
    assert engine.session is SessionState.IN_ROOM
    engine.handle_timeout(30 * SECOND)
    assert engine.session is SessionState.EXPIRED


def test_a_leaving_of_ones_own_name_is_ones_own_end() -> None:
    engine = completed("bob", "json-address")
    engine.receive_datagram("carolがlobbyから退出しました。".encode(), 1)
    assert engine.session is SessionState.IN_ROOM
    engine.receive_datagram("bobがlobbyから退出しました。".encode(), 1)
    assert engine.session is SessionState.EXPIRED


def test_an_ending_is_told_once_and_relays_after_it_are_not_shown() -> None:
    engine = completed()
    first = engine.receive_datagram(b"Room closed", 1)
    assert len(first) == 1
    assert engine.receive_datagram(b"Room closed", 2) == []
    assert engine.receive_datagram(b"alice: still here?", 3) == []


def test_why_it_ended_is_told_after_a_client_has_ended_by_its_own_clock() -> None:
    engine = completed(idle_timeout=30 * SECOND)
    engine.receive_datagram(b"alice: hi", 1)
    engine.handle_timeout(30 * SECOND)
    assert len(engine.receive_datagram(b"Room closed", 31 * SECOND)) == 1
    assert engine.receive_datagram(b"Room closed", 32 * SECOND) == []


def test_what_is_shown_is_harmless() -> None:
    engine = completed()
    [shown] = engine.receive_datagram("alice: \x1b[31mred\n\u202egnp.exe".encode(), 1)
    assert isinstance(shown, TextReceived)
    assert (shown.name, shown.text, shown.changed) == ("alice", "[31mred gnp.exe", True)
