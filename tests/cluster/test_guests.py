"""Clients of other processes, as an owner serves them: their listeners and streams, and messages to their gateways."""

from __future__ import annotations

import itertools

import pytest

from tcrp.cluster import messages
from tcrp.cluster.guests import Guests
from tcrp.cluster.lease import Lease, Seen
from tcrp.cluster.messages import TARGETS_MAX, Kind, Message
from tcrp.cluster.outputs import NodeOutput, SendMessage
from tcrp.engine.codec import codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, CloseStream, FinishStream, Relay, SendDatagram, SendFrame
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.spec.limits import Limits
from tcrp.spec.names import PacketKind

B = "b.life2.1"
REQUEST = bytes((5, 1, 0)) + (3).to_bytes(29, "big") + b"lobby" + b"bob"


class Owner:
    """The process a with two listeners, which sees the process b."""

    def __init__(self) -> None:
        tokens = itertools.count(1)
        listeners = (ListenerConfig(), ListenerConfig((codec("text"),)))
        config = ServerConfig(Limits(), listeners)
        self.engine = ServerEngine(config, new_token=lambda: b"%032x" % next(tokens))
        self.lease = Lease("a", "life1", "kin", 1000, lambda: 0)
        self.lease.seen["b"] = Seen(B, 1000, 1, is_renewed=True)
        self.outputs: list[NodeOutput] = []
        self.guests = Guests(self.engine, listeners, self.lease, len, self.outputs)

    def serves(self, kind: Kind, *what: object, body: bytes = b"", sender: str = B) -> list[object]:
        return [*self.guests.serve(Message(kind, b"lobby", 1, sender, what, body), 0), *self.engine.handle_timeout(0)]

    def sent(self) -> list[Message]:
        """The messages since the last call; all are to b."""
        read = [messages.read(each.data) for each in self.outputs if isinstance(each, SendMessage) and each.to == B]
        assert len(read) == len(self.outputs)
        self.outputs.clear()
        return [each for each in read if each is not None]


@pytest.fixture
def owner() -> Owner:
    return Owner()


def test_each_process_has_its_listeners_behind_those_before_it(owner: Owner) -> None:
    guests = owner.guests
    assert [guests.listener_at(name, number) for name in ("a", "c", "b") for number in (0, 1)] == [0, 1, 2, 3, 4, 5]
    assert [guests.gateway_of(each) for each in range(6)] == [(name, number) for name in "acb" for number in (0, 1)]
    for wrong in (-1, 2):
        with pytest.raises(ValueError, match=f"there is no listener {wrong}"):
            guests.listener_at("b", wrong)


def test_a_stream_of_another_process_is_served_and_answered_by_its_gateway(owner: Owner) -> None:
    answers = owner.serves(Kind.OPEN, 7, "10.0.0.9", 5000, 1, 0, body=REQUEST)
    frames = [each for each in answers if isinstance(each, SendFrame | FinishStream)]
    assert {each.stream for each in frames} == {(B, 7)}
    assert owner.guests.room_of((B, 7)) == b"lobby"
    assert [owner.engine.registry.sessions[each].name for each in owner.guests.sessions_of("b")] == ["bob"]
    assert owner.guests.sessions_of("c") == []
    for each in frames:
        assert not owner.guests.skips(each)
        owner.guests.send_to_stream(each, b"")
    owner.guests.send_to_stream(CloseStream((B, 7)), b"")
    sent = owner.sent()
    assert [each.kind for each in sent] == [Kind.FRAME, Kind.FRAME, Kind.FINISH, Kind.CLOSE]
    assert {(each.room, each.fence, each.sender, each.what[0]) for each in sent} == {
        (b"lobby", 5, owner.lease.address, 7)
    }
    assert owner.guests.room_of((B, 7)) is None
    with pytest.raises(ValueError, match="is open"):
        owner.serves(Kind.OPEN, 7, "10.0.0.9", 5000, 1, 0, body=REQUEST)


def test_an_answer_that_the_gateway_has_sent_is_not_sent_again(owner: Owner) -> None:
    owner.serves(Kind.OPEN, 7, "10.0.0.9", 5000, 0, 1, body=REQUEST[:20])
    answer = SendFrame((B, 7), b"yes", PacketKind.ANSWER)
    assert not owner.guests.skips(answer._replace(what=PacketKind.COMPLETION))
    assert [owner.guests.skips(answer) for _ in range(3)] == [True, False, False]
    assert not owner.guests.skips(answer._replace(stream=(B, 8)))
    owner.serves(Kind.OPEN, 9, "10.0.0.9", 5000, 0, 1, body=REQUEST[:20])
    assert not owner.guests.skips(CloseStream((B, 9)))
    assert not owner.guests.skips(answer._replace(stream=(B, 9)))


def test_an_own_clients_stream_whose_room_has_come_here_keeps_its_name(owner: Owner) -> None:
    outputs = owner.serves(Kind.OPEN, 7, "10.0.0.9", 5000, 0, 0, body=REQUEST, sender=owner.lease.address)
    assert {each.stream for each in outputs if isinstance(each, SendFrame)} == {7}
    assert [each.listener for each in owner.engine.registry.sessions.values()] == [0]


def test_a_large_fan_out_takes_several_messages_and_a_gateway_that_is_gone_none(owner: Owner) -> None:
    listener = owner.guests.listener_at("b", 1)
    targets = [Address("10.0.0.9", port) for port in range(TARGETS_MAX + 1)]
    owner.guests.send_datagrams(Relay(b"hi", targets, PacketKind.RELAY, listener), b"lobby")
    assert [(each.what[:2], len(each.what[2]), each.what[3]) for each in owner.sent()] == [
        ((PacketKind.RELAY, 1), TARGETS_MAX, True),
        ((PacketKind.RELAY, 1), 1, True),
    ]
    notice = SendDatagram(b"bye", targets[3], PacketKind.NOTICE, listener)
    owner.guests.send_datagrams(notice, b"lobby")
    assert [each.what for each in owner.sent()] == [(PacketKind.NOTICE, 1, [["10.0.0.9", 3]], False)]
    del owner.lease.seen["b"]
    owner.guests.send_datagrams(notice, b"lobby")
    owner.guests.remember("b", b"lobby", ("t", 0, None), b"")
    owner.guests.forget("b", b"lobby", b"t")
    assert owner.sent() == []


def test_whose_room_is_gone_is_closed_unless_it_is_a_datagram_or_its_own(owner: Owner) -> None:
    for kind, sender, is_closed in (
        (Kind.DATAGRAM, B, False),
        (Kind.OPEN, owner.lease.address, False),
        (Kind.OPEN, B, True),
    ):
        owner.guests.answer_no_room(Message(kind, b"lobby", 1, sender, (7, "10.0.0.9", 5000, 1, 0)))
        assert [(each.kind, each.what) for each in owner.sent()] == ([(Kind.CLOSE, (7,))] if is_closed else [])


def test_a_room_that_is_dropped_takes_its_streams_along(owner: Owner) -> None:
    owner.guests.adopt((B, 7), b"lobby")
    owner.guests.adopt((B, 8), b"attic")
    owner.guests.drop(b"lobby")
    assert [owner.guests.room_of((B, each)) for each in (7, 8)] == [None, b"attic"]


def test_a_stream_of_another_process_is_read_to_its_end_wherever_it_is_cut(owner: Owner) -> None:
    begun = owner.serves(Kind.OPEN, 7, "10.0.0.9", 5000, 1, 0, body=REQUEST[:20])
    assert not any(isinstance(each, SendFrame) for each in begun)
    answers = owner.serves(Kind.DATA, 7, body=REQUEST[20:])
    assert {each.stream for each in answers if isinstance(each, SendFrame)} == {(B, 7)}
    assert CloseStream((B, 7)) in owner.serves(Kind.END, 7)
    [session] = owner.engine.registry.sessions.values()
    assert (session.name, session.listener) == ("bob", 3)


def test_a_client_that_hangs_up_at_its_gateway_is_gone_at_the_owner(owner: Owner) -> None:
    owner.serves(Kind.OPEN, 7, "10.0.0.9", 5000, 1, 0, body=REQUEST[:20])
    owner.serves(Kind.GONE, 7)
    assert (B, 7) not in owner.engine.handshake_server.handshakes
    rest = owner.serves(Kind.DATA, 7, body=REQUEST[20:])
    assert not any(isinstance(each, SendFrame) for each in rest)
    assert not owner.engine.registry.sessions


def test_who_was_told_that_its_room_ended_leaves_it_and_nobody_else_does(owner: Owner) -> None:
    owner.serves(Kind.OPEN, 7, "10.0.0.9", 5000, 1, 0, body=REQUEST)
    [token] = owner.engine.registry.sessions
    entering = codec("text").datagram.write(b"lobby", token, "bob", "")
    owner.serves(Kind.DATAGRAM, 1, "10.0.0.9", 5000, body=entering)
    assert owner.serves(Kind.TOLD, "nobody's") == []
    owner.guests.serve(Message(Kind.TOLD, b"attic", 1, B, (token.decode(),)), 0)
    assert token in owner.engine.registry.sessions
    assert owner.serves(Kind.TOLD, token.decode())
    assert token not in owner.engine.registry.sessions
