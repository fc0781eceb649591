"""What the dialects of further captured programs need of codec, server and client, claim by claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.engine.client import ClientConfig, ClientEngine
from tcrp.engine.codec import codec, codec_of
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.meanings import Accepted, Completed, Denied, Relayed, Reply
from tcrp.engine.outputs import Address, SendFrame
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.spec.dialects import DialectError, parse
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Operation, Reason

ANSWER_FIRST = (Path(__file__).parents[1] / "interop" / "dialects" / "answer-first.toml").read_text(encoding="utf-8")
TOKEN = b"0123456789abcdef0123456789abcdef"


def frames(engine: ServerEngine, data: bytes) -> list[bytes]:
    """What a server sends to a new connection that says this."""
    outputs = engine.stream_opened("peer", Address("10.0.0.1", 4000), 0)
    outputs += engine.receive_stream("peer", data, 0)
    return [each.data for each in outputs if isinstance(each, SendFrame)]


def test_a_head_is_answered_at_once_and_only_once() -> None:
    speaks = codec_of(parse(ANSWER_FIRST, "answer-first.toml"))
    engine = ServerEngine(ServerConfig(Limits(), (ListenerConfig((speaks,)),)), new_token=lambda: TOKEN)
    request = speaks.write_request(Operation.CREATE, b"room1", "alice", "", "", 0)
    assert frames(engine, request[:32]) == [b'{"status": 1}']
    rest = engine.receive_stream("peer", request[32:], 0) + engine.handle_timeout(0)
    assert [each.data for each in rest if isinstance(each, SendFrame)] == [b'{"status": 2, "token": "%s"}' % TOKEN]


def test_a_head_that_may_be_of_another_dialect_is_not_answered() -> None:
    listener = ListenerConfig((codec_of(parse(ANSWER_FIRST, "answer-first.toml")), codec("json")))
    engine = ServerEngine(ServerConfig(Limits(), (listener,)), new_token=lambda: TOKEN)
    assert frames(engine, bytes((5, 1)) + bytes(29) + b"\x05") == []


def test_an_answer_to_the_head_can_say_nothing_of_the_request() -> None:
    changed = ANSWER_FIRST.replace("fields = [{ status = 1 }]", 'fields = [{ status = 1, room = "{room}" }]')
    with pytest.raises(DialectError, match="can say nothing of the request"):
        parse(changed, "mine.toml")


@pytest.mark.parametrize("name", ["state-length31", "state-one"])
def test_a_relay_that_names_nobody_has_the_name_in_its_text(name: str) -> None:
    speaks = codec(name)
    data = speaks.write_relay("alice", "hello", b"room1", TOKEN)
    assert data is not None
    assert data.endswith(b"alice: hello")
    assert speaks.read_relay(data) == Relayed("alice", "hello")
    assert speaks.read_relay(data.replace(b"alice: ", b"")) == Relayed("", "hello")


@pytest.mark.parametrize(
    ("name", "size", "fits"), [("text", 255, True), ("text", 256, False), ("colon-fields", 340, True)]
)
def test_a_token_is_taken_if_datagrams_have_room_for_it(name: str, size: int, fits: bool) -> None:
    speaks = codec(name)
    data = speaks.write_completion(Operation.JOIN, b"room1", "bob", b"t" * size)
    reply = speaks.read_reply(data, Operation.JOIN, is_over=True)
    assert isinstance(reply, Reply)
    assert reply.says == (Completed(b"t" * size) if fits else Denied(None, "the completion holds no token"))


def test_what_could_be_any_token_is_none_before_the_answer() -> None:
    speaks = codec("state-length31")
    words = b"Room Does not Exist"
    refused = b"\x09" + len(words).to_bytes(31, "big") + words
    for is_accepted in (False, True):
        reply = speaks.read_reply(refused, Operation.JOIN, is_over=True, is_accepted=is_accepted)
        assert isinstance(reply, Reply)
        assert reply.says == Denied(Reason.NO_SUCH_ROOM, "Room Does not Exist")
    strange = b"\x07" + len(words).to_bytes(31, "big") + words
    reply = speaks.read_reply(strange, Operation.JOIN, is_over=True, is_accepted=False)
    assert not isinstance(reply, Reply) or not isinstance(reply.says, Completed | Accepted)


def test_the_end_of_the_stream_is_a_refusal_where_a_dialect_has_no_other() -> None:
    for name, state in (("bare-token", HandshakeState.REFUSED), ("text", HandshakeState.ABANDONED)):
        engine = ClientEngine(ClientConfig(codec(name), Operation.JOIN, "lobby", "bob"))
        engine.stream_opened(1, 0)
        engine.stream_closed(0)
        assert engine.handshake is state
