"""Every dialect that comes with the protocol, and forms that only files of users have, between our two engines."""

from __future__ import annotations

import pytest

from conversation import Chat, counted_tokens
from tcrp.engine.client import ClientConfig, ClientEngine
from tcrp.engine.codec import Codec, codec, codec_of
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, CloseStream, Detail, SendFrame, Stepped
from tcrp.engine.server import Outputs as ServerOutputs
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.spec.dialects import SHIPPED, parse, path_of
from tcrp.spec.limits import QUIET_US, Limits
from tcrp.spec.names import HandshakeState, Operation, Rule, SessionState

TOKEN = b"0123456789abcdef0123456789abcdef"
PEER = Address("10.0.0.1", 40_001)


@pytest.mark.parametrize("name", SHIPPED)
def test_two_users_of_a_dialect_meet_talk_and_part(name: str) -> None:
    chat = Chat(only=name)
    alice = chat.user("alice", name).creates("room1")
    bob = chat.user("bob", name).joins("room1")
    chat.passes(1)  # with a pause before the completion, and the end of the connection behind it
    assert (alice.state, bob.state) == (SessionState.IN_ROOM, SessionState.IN_ROOM)
    alice.says("hello")
    bob.says("hi")
    assert bob.sees("hello")
    assert alice.sees("hi")
    assert all(data for _, _, data in chat.sent)  # nobody asked for answers to keep-alives
    assert chat.user("carol", name).joins("attic").engine.handshake is HandshakeState.REFUSED  # type: ignore[union-attr]
    bob.leaves()
    alice.leaves()
    chat.passes(1000)  # where leaving has no word, silence ends a session
    assert not chat.server.registry.rooms


def changed(old: str, new: str, *, of: str, also: tuple[str, str] = ("", "")) -> Codec:
    """A dialect of which these words are others."""
    text = path_of(of).read_text(encoding="utf-8")
    for before, after in ((old, new), also):
        assert before in text
        text = text.replace(before, after) if before else text
    return codec_of(parse(text.replace(f'name = "{of}"', 'name = "mine"'), "mine.toml"))


OPEN_REQUEST = changed(
    '"len(room): u1", "operation: u1", "state: u1 = 0", "len(name): u29", "room", "name"',
    '"len(room): u1", "operation: u1", "room", "name"', of="colon-fields",
)  # fmt: skip
"""Nothing tells where a request ends but the silence behind it, or the end of what the peer sends."""


def server(*speaks: Codec) -> ServerEngine:
    return ServerEngine(ServerConfig(Limits(), (ListenerConfig(speaks),)), new_token=counted_tokens())


def sent(outputs: ServerOutputs) -> list[bytes]:
    return [each.data for each in outputs if isinstance(each, SendFrame)]


def test_a_greeting_is_the_first_that_a_connection_hears_and_only_where_a_dialect_has_one() -> None:
    for name, greeting in (("colon-fields", [b"\0"]), ("text", [])):
        assert sent(server(codec(name)).stream_opened("peer", PEER, 0)) == greeting


def test_a_request_without_an_end_is_whole_when_its_peer_is_silent() -> None:
    engine = server(OPEN_REQUEST)
    engine.stream_opened("peer", PEER, 0)
    assert sent(engine.receive_stream("peer", b"\x05\x01room1al", 1_000)) == []
    assert sent(engine.receive_stream("peer", b"ice", 100_000)) == []  # which is heard, so silence begins anew
    assert engine.next_deadline_us() == 100_000 + QUIET_US
    assert sent(engine.handle_timeout(100_000 + QUIET_US - 1)) == []
    assert sent(engine.handle_timeout(100_000 + QUIET_US)) == [b"\1"]
    assert [each.name for each in engine.registry.sessions.values()] == ["alice"]


def test_a_request_without_an_end_is_whole_when_its_peer_has_half_closed() -> None:
    engine = server(OPEN_REQUEST)
    engine.stream_opened("peer", PEER, 0)
    engine.receive_stream("peer", b"\x05\x01room1alice", 0)
    assert sent(engine.stream_ended("peer", 0)) == [b"\1"]
    assert [each.name for each in engine.registry.sessions.values()] == ["alice"]


@pytest.mark.parametrize("request_so_far", [b"", b"\x05\x01roo"])
def test_a_peer_that_half_closes_before_its_request_is_whole_is_closed(request_so_far: bytes) -> None:
    engine = server(OPEN_REQUEST)
    engine.stream_opened("peer", PEER, 0)
    engine.receive_stream("peer", request_so_far, 0)
    assert CloseStream("peer") in engine.stream_ended("peer", 0)
    assert engine.freeze().handshakes == ()


@pytest.mark.parametrize("speaks", [(codec("text"), OPEN_REQUEST), (OPEN_REQUEST, codec("text"))])
def test_a_request_without_an_end_is_whole_when_its_peer_is_silent_whatever_else_is_spoken_there(
    speaks: tuple[Codec, Codec],
) -> None:
    engine = server(*speaks)
    engine.stream_opened("peer", PEER, 0)
    assert sent(engine.receive_stream("peer", b"\x05\x01room1alice", 0)) == []
    engine.handle_timeout(QUIET_US)
    assert [each.name for each in engine.registry.sessions.values()] == ["alice"]


@pytest.mark.parametrize(("operation", "rooms"), [(Operation.CREATE, ["room1"]), (Operation.JOIN, [])])
def test_the_silence_behind_an_answered_request_means_nothing_to_another_that_stands_behind_it(
    operation: Operation, rooms: list[str]
) -> None:
    text = codec("text")
    engine = server(text, OPEN_REQUEST)
    first = text.write_request(operation, b"room1", "alice", "", "", 0)
    second = text.write_request(Operation.CREATE, b"room2", "alice", "", "", 0)
    assert first is not None
    assert second is not None
    engine.stream_opened("peer", PEER, 0)
    engine.receive_stream("peer", first[:10], 0)  # which could be all of a request without an end
    assert engine.next_deadline_us() == QUIET_US
    engine.receive_stream("peer", first[10:] + second, 1)
    engine.handle_timeout(QUIET_US)
    assert [room.name for room in engine.registry.rooms.values()] == rooms


def test_the_silence_behind_a_request_that_was_refused_means_nothing() -> None:
    engine = server(OPEN_REQUEST)
    engine.stream_opened("peer", PEER, 0)
    engine.receive_stream("peer", b"\x05\x02room1alice", 0)
    engine.stream_ended("peer", 0)
    assert sent(engine.handle_timeout(QUIET_US)) == []
    assert engine.freeze().rooms == ()


def test_a_completion_waits_for_the_pause_of_its_dialect() -> None:
    engine = server(codec("colon-fields"))
    engine.stream_opened("peer", PEER, 0)
    request = codec("colon-fields").write_request(Operation.CREATE, b"room1", "alice", "", "", 0)
    assert sent(engine.receive_stream("peer", request, 0)) == [b"\1"]
    assert sent(engine.handle_timeout(49_999)) == []
    assert sent(engine.handle_timeout(50_000)) == [b"\2%032x" % 1]


@pytest.mark.parametrize(("port", "learned"), [(40_001, 40_001), (1023, None), (0, None)])
def test_a_port_is_learned_from_the_connection_only_where_a_dialect_says_so_and_if_it_may_be_one(
    port: int, learned: int | None
) -> None:
    """Also beside dialects that learn it elsewhere, for whose servers it is not part of the state."""
    both = tuple(map(codec, ("state-one", "text")))
    engine = ServerEngine(ServerConfig(Limits(), (ListenerConfig(both),)), new_token=lambda: TOKEN)
    engine.stream_opened("peer", Address("10.0.0.1", port), 0)
    engine.receive_stream("peer", both[0].write_request(Operation.CREATE, b"room1", "alice", "", "", 0), 0)
    [handshake] = engine.freeze().handshakes
    assert (handshake.peer_port, handshake.port) == (port, learned)
    alone = server(codec("text"))
    alone.stream_opened("peer", Address("10.0.0.1", port), 0)
    alone.receive_stream("peer", both[1].write_request(Operation.CREATE, b"room1", "alice", "", "", 0), 0)
    [handshake] = alone.freeze().handshakes
    assert (handshake.peer_port, handshake.port) == (0, None)


def test_a_completion_says_who_the_host_is_and_how_many_are_in_the_room() -> None:
    speaks = changed(
        'fields = ["hex 02", "token"]', 'fields = ["hex 02", "members: u2", "len(host): u1", "host", "token"]',
        of="colon-fields", also=('pause = "50ms"', ""),
    )  # fmt: skip
    engine = server(speaks)
    said = []
    for operation, name in ((Operation.CREATE, "alice"), (Operation.JOIN, "bob")):
        engine.stream_opened(name, PEER, 0)
        outputs = engine.receive_stream(name, speaks.write_request(operation, b"room1", name, "", "", 0), 0)
        said += sent(outputs + engine.handle_timeout(0))
    assert said == [b"\1", b"\2\0\1\5alice%032x" % 1, b"\1", b"\2\0\2\5alice%032x" % 2]


def test_a_completion_of_a_session_that_has_ended_meanwhile_says_that_nobody_is_there() -> None:
    speaks = changed(
        'fields = ["hex 02", "token"]', 'fields = ["hex 02", "members: u2", "len(host): u1", "host", "token"]',
        of="colon-fields",
    )  # fmt: skip
    engine = server(speaks)
    engine.stream_opened("peer", PEER, 0)
    engine.receive_stream("peer", speaks.write_request(Operation.CREATE, b"room1", "alice", "", "", 0), 0)
    engine.remove("alice", "room1", 0)
    assert sent(engine.handle_timeout(50_000)) in ([], [b"\2\0\0\0%032x" % 1])


def test_names_that_a_dialect_cannot_carry_are_refused() -> None:
    """Its datagrams are fields between colons, so that no name has one."""
    speaks = codec("colon-fields")
    for room, name in ((b"a:room", "alice"), (b"room1", "al:ice")):
        engine = server(speaks)
        engine.stream_opened("peer", PEER, 0)
        data = bytes((len(room), 1, 0)) + len(name).to_bytes(29, "big") + room + name.encode()
        assert b"".join(sent(engine.receive_stream("peer", data, 0))) == b""
        assert engine.freeze().rooms == ()


# --- the client ----------------------------------------------------------------------------------


def asking(speaks: Codec) -> ClientEngine:
    engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob"))
    engine.start(0)
    engine.stream_opened(1, 0)
    return engine


def test_a_client_reads_a_reply_behind_its_greeting_and_none_before_the_greeting() -> None:
    engine = asking(codec("colon-fields"))
    engine.receive_stream(b"\0", 0)
    assert engine.handshake is HandshakeState.REQUESTED
    engine.receive_stream(b"\1", 0)
    assert engine.handshake is HandshakeState.ACCEPTED
    engine.receive_stream(b"\2" + TOKEN, 0)
    engine.stream_closed(0)
    assert (engine.handshake, engine.token) == (HandshakeState.COMPLETED, TOKEN)


def test_a_client_gives_up_at_bytes_that_are_no_greeting() -> None:
    engine = asking(codec("colon-fields"))
    engine.receive_stream(b"\1", 0)
    assert engine.handshake is HandshakeState.ABANDONED


def test_a_token_without_an_end_is_whole_after_a_silence() -> None:
    """Where the server goes on holding the connection; the silence begins with the latest bytes."""
    engine = asking(codec("colon-fields"))
    engine.receive_stream(b"\0\1\2" + TOKEN[:20], 1_000)
    assert engine.handshake is HandshakeState.ACCEPTED
    engine.receive_stream(TOKEN[20:], 50_000)
    assert engine.next_deadline_us() == 50_000 + QUIET_US
    engine.handle_timeout(50_000 + QUIET_US)
    assert (engine.handshake, engine.token) == (HandshakeState.COMPLETED, TOKEN)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (b"", HandshakeState.REFUSED),
        (b"\0", HandshakeState.REFUSED),  # the greeting alone
        (b"\1", HandshakeState.ABANDONED),
    ],
)
def test_an_end_without_a_word_is_the_refusal_of_a_dialect_that_has_no_other(said: bytes, state: object) -> None:
    engine = asking(codec("colon-fields"))
    engine.receive_stream(said, 0)
    engine.stream_closed(0)
    assert engine.handshake is state


# --- what a connection's state and steps tell ----------------------------------------------------


def test_half_a_request_whose_length_is_told_waits_for_no_silence() -> None:
    engine = server(codec("text"))
    engine.stream_opened("peer", PEER, 0)
    engine.receive_stream("peer", b"\x05\x01", 1_000)
    assert engine.next_deadline_us() == Limits().handshake_timeout


def test_nothing_is_kept_of_a_question_for_the_rooms() -> None:
    speaks = codec("name-port-list")
    engine = server(speaks)
    engine.stream_opened("peer", PEER, 0)
    assert sent(engine.receive_stream("peer", speaks.write_list_request(), 0))
    assert [each.buffer for each in engine.freeze().handshakes] == [b""]


@pytest.mark.parametrize(("most", "rule"), [(64, Rule.LIM_1), (4096, Rule.TCP_2)])
def test_a_request_that_is_too_long_is_refused_for_its_length_and_another_for_what_it_says(
    most: int, rule: Rule
) -> None:
    config = ServerConfig(Limits().with_settings({"request_bytes_max": most}), (ListenerConfig((codec("json"),)),))
    engine = ServerEngine(config, new_token=counted_tokens(), detail=Detail.EVERYTHING)
    engine.stream_opened("peer", PEER, 0)
    request = codec("json").write_request(Operation.JOIN, b"lobby", "bob", "", "", 0).ljust(200, b"}")
    outputs = engine.receive_stream("peer", request[:31] + b"\xa0" + request[32:], 0)
    [refused] = [each for each in outputs if isinstance(each, Stepped) and each.to == HandshakeState.REFUSED]
    assert refused.rule is rule


def test_a_port_in_a_request_is_not_taken_where_datagrams_tell_it() -> None:
    measured = '"len(room): u1", "operation: u1", "state: u1 = 0", "len(name): u29", "room", "name"'
    speaks = changed(measured, measured + ', "port: u2"', of="colon-fields")
    engine = server(speaks)
    engine.stream_opened("peer", PEER, 0)
    engine.receive_stream("peer", speaks.write_request(Operation.CREATE, b"room1", "alice", "", "", 40_001), 0)
    [handshake] = engine.freeze().handshakes
    assert (handshake.user_name, handshake.port) == ("alice", None)
