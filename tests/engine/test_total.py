"""No bytes of a peer ever raise, and what is not taken changes nothing for the others."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation import Chat
from example_counts import examples
from tcrp.engine.client import ClientConfig, ClientEngine
from tcrp.engine.codec import codec
from tcrp.engine.frames import write_frame
from tcrp.engine.outputs import Address
from tcrp.spec.dialects import SHIPPED
from tcrp.spec.names import Counter, Operation, SessionState

ordinary = settings(max_examples=examples(1000), deadline=None, suppress_health_check=[HealthCheck.too_slow])

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["username", "user_name", "password", "udp_port", "user_address", "x"]), inner
        )
    ),
    max_leaves=8,
)
json_bytes = jsons.map(lambda value: __import__("json").dumps(value).encode())
odd = st.sampled_from(
    [b"[" * 4000, b'{"username": "a", "username": "b"}', b'"\\ud800"', b'{"token": "\\udfff"}', b"1e999", b"NaN",
     b"9" * 4000, b"\xff" * 64, b"", b"\0" * 300, b'{"status": 202, "message": "x", "token": ""}']
)  # fmt: skip
payloads = st.binary(max_size=80) | json_bytes | odd | st.text(max_size=20).map(str.encode)
frames = st.builds(
    lambda room, operation, state, payload: write_frame(len(room), operation, state, room, payload),
    st.binary(max_size=20) | st.just(b"lobby"),
    st.integers(0, 3) | st.integers(0, 255),
    st.integers(0, 3) | st.integers(0, 255),
    payloads,
)
headers = st.builds(
    lambda room, operation, state, size: bytes((room, operation, state)) + size.to_bytes(29, "big"),
    st.integers(0, 255), st.integers(0, 3), st.integers(0, 2), st.integers(0, 2**232 - 1),
)  # fmt: skip
streams = st.lists(st.binary(max_size=64) | frames | headers, min_size=1, max_size=4).map(b"".join)
cuts = st.lists(st.integers(1, 40), max_size=8)
# Not st.binary(min_size=4000): Hypothesis takes 40 ms to draw each of them.
long_datagrams = st.builds(lambda data, size: (data * size)[:size], st.binary(min_size=1), st.integers(4000, 5000))


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` cut at these sizes, the rest whole."""
    result = []
    for size in sizes:
        result.append(data[:size])
        data = data[size:]
    return [*result, data]


def standing(chat: Chat) -> list[tuple[str, bytes, SessionState, int]]:
    """What a bystander's session looks like."""
    sessions = chat.server.freeze().sessions
    return [(each.name, each.room, each.state, each.rejected_in_a_row) for each in sessions]


@ordinary
@given(st.sampled_from([None, *SHIPPED]), streams, cuts)
def test_any_bytes_on_tcp_are_answered_or_dropped(dialect: str | None, data: bytes, sizes: list[int]) -> None:
    chat = Chat(only=dialect)
    chat.user("alice", dialect or "json").creates("attic")
    before = standing(chat)
    peer = chat.peer()
    for piece in pieces(data, sizes):
        peer.sends(piece)
    assert [each for each in standing(chat) if each[:2] == ("alice", b"attic")] == before
    peer.half_closes()
    chat.passes(10)
    assert chat.count(Counter.CONNECTIONS) == 0
    assert chat.steps("handshake", peer.stream)[-1] in ("refused", "completed", "abandoned", "listed")


@ordinary
@given(st.sampled_from(SHIPPED), st.binary(max_size=80) | long_datagrams, st.integers(0, 3))
def test_any_datagram_is_taken_or_counted(dialect: str, data: bytes, where: int) -> None:
    chat = Chat(only=dialect)
    alice = chat.user("alice", dialect).creates("lobby")
    bob = chat.user("bob", dialect).joins("lobby")
    chat.passes(0.1)  # the pause that some dialects make between answer and completion
    header = bytes((5, len(bob.client.token))) + b"lobby" + bob.client.token
    # Not header[:-1] + data: data may begin with the very digit that is missing.
    sent = [data, header + data, header[:1] + data, header[:-1] + b"x" + data][where]
    source = bob.address if where else Address("10.7.7.7", 7)
    before, taken = standing(chat)[:1], chat.count(Counter.REJECTED_DATAGRAMS)
    chat.datagram(sent, source)
    assert standing(chat)[:1] == before
    assert alice.state is SessionState.IN_ROOM
    if where != 1:
        assert chat.count(Counter.REJECTED_DATAGRAMS) == taken + 1
        assert alice.sees()


@ordinary
@given(st.sampled_from(SHIPPED), st.sampled_from(list(Operation)[:2]), streams, cuts)
def test_a_client_takes_any_reply(dialect: str, operation: Operation, data: bytes, sizes: list[int]) -> None:
    engine = ClientEngine(ClientConfig(codec(dialect), operation, "lobby", "bob", udp_port=5000))
    engine.start(0)
    engine.stream_opened(1, 0)
    for piece in pieces(data, sizes):
        engine.receive_stream(piece, 0)
    engine.receive_datagram(b"alice: hi", 0)
    engine.stream_closed(0)
    assert engine.handshake in ("completed", "refused", "abandoned")
    assert (engine.session is SessionState.ANONYMOUS) == (not engine.token)


@ordinary
@given(st.sampled_from(SHIPPED), st.lists(payloads, max_size=4), st.booleans())
def test_a_client_takes_any_datagram_in_every_state(dialect: str, datagrams: list[bytes], leaves: bool) -> None:
    speaks = codec(dialect)
    engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob", udp_port=5000))
    engine.stream_opened(1, 0)
    for data in datagrams:
        engine.receive_datagram(data, 0)
    engine.receive_stream(speaks.write_greeting(), 0)
    if speaks.dialect.answer is not None:
        engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"t0ken"), 0)
    engine.stream_closed(0)  # which ends a completion whose end nothing tells
    for data in datagrams:
        engine.receive_datagram(data, 0)
    if leaves and engine.session is SessionState.IN_ROOM:
        engine.leave(0)
        assert engine.session is SessionState.EXPIRED
    for data in datagrams:
        engine.receive_datagram(data, 0)
    assert engine.session in (SessionState.IN_ROOM, SessionState.EXPIRED)


@ordinary
@given(st.sampled_from(SHIPPED), st.text(max_size=40), st.text(min_size=1, max_size=10))
def test_a_text_and_a_name_come_back_as_they_went(dialect: str, text: str, name: str) -> None:
    """A relay that is written is read as the same name and text, unless its form cannot hold it."""
    speaks = codec(dialect)
    try:
        name.encode(), text.encode()
    except UnicodeEncodeError:
        return
    if any(character in name for character in ':[]"') or speaks.write_relay(name, text) is None:
        return
    assert speaks.read_text(speaks.write_text(name, text)) == text
    relay = speaks.write_relay(name, text)
    assert relay is not None
    read = speaks.read_relay(relay)
    assert read is not None
    assert tuple(read) == (name, text)
