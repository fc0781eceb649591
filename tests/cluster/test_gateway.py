"""A gateway by itself: streams that others serve, sessions that are remembered, and what owners' messages do."""

from __future__ import annotations

import pytest

from tcrp.cluster.gateway import Gateway, Remembered
from tcrp.cluster.messages import Kind, Message
from tcrp.cluster.outputs import Happened, NodeOutput, What
from tcrp.engine.outputs import Address, CloseStream, FinishStream, Relay, SendDatagram, SendFrame
from tcrp.spec.names import PacketKind

HERE, MOVED, ELSEWHERE = Address("10.0.0.1", 5000), Address("10.0.0.1", 5001), Address("10.0.0.2", 5000)


@pytest.fixture
def outputs() -> list[NodeOutput]:
    return []


@pytest.fixture
def gateway(outputs: list[NodeOutput]) -> Gateway:
    """One client with the stream 7, which the owner of the lobby serves until 1000."""
    gateway = Gateway(2, outputs)
    gateway.opened(7)
    gateway.give_away(7, b"lobby", 1000)
    return gateway


def from_owner(kind: Kind, *what: object, room: bytes = b"lobby", body: bytes = b"") -> Message:
    return Message(kind, room, 1, "a.life1.1", what, body)


def test_an_owner_speaks_on_the_streams_of_its_room_alone(gateway: Gateway, outputs: list[NodeOutput]) -> None:
    for room in (b"attic", b"lobby"):
        gateway.deliver(from_owner(Kind.FRAME, 7, PacketKind.ANSWER, room=room, body=b"yes"))
        gateway.deliver(from_owner(Kind.FINISH, 7, room=room))
        gateway.deliver(from_owner(Kind.CLOSE, 7, room=room))
    assert outputs == [SendFrame(7, b"yes", PacketKind.ANSWER), FinishStream(7), CloseStream(7)]
    assert (gateway.room_of(7), gateway.is_open(7), gateway.next_us()) == (None, False, None)


def test_a_stream_that_no_owner_closes_is_closed_when_its_time_is_over(
    gateway: Gateway, outputs: list[NodeOutput]
) -> None:
    gateway.opened(8)
    gateway.give_away(8, b"lobby", 2000)
    gateway.close_given_up(999)
    assert (outputs, gateway.next_us()) == ([], 1000)
    gateway.close_given_up(1000)
    assert (outputs, gateway.next_us()) == ([CloseStream(7)], 2000)
    gateway.take_back(8)
    gateway.close_given_up(3000)
    assert (outputs, gateway.is_open(8)) == ([CloseStream(7)], True)


def test_answers_are_counted_until_a_stream_is_given_away_or_closed(gateway: Gateway) -> None:
    gateway.answered(8)
    gateway.answered(8)
    assert (gateway.take_answered(8), gateway.take_answered(8)) == (2, 0)
    gateway.answered(8)
    gateway.closed(8)
    assert gateway.take_answered(8) == 0


def test_what_goes_to_many_is_a_relay_and_everything_else_single_datagrams(
    gateway: Gateway, outputs: list[NodeOutput]
) -> None:
    both = [list(HERE), list(ELSEWHERE)]
    gateway.deliver(from_owner(Kind.SEND, PacketKind.RELAY, 1, both, True, body=b"hi"))
    assert outputs == [Relay(b"hi", [HERE, ELSEWHERE], PacketKind.RELAY, 1)]
    outputs.clear()
    gateway.deliver(from_owner(Kind.SEND, PacketKind.NOTICE, 0, both, False, body=b"bye"))
    assert outputs == [SendDatagram(b"bye", each, PacketKind.NOTICE, 0) for each in (HERE, ELSEWHERE)]
    for listener in (-1, 2):
        with pytest.raises(ValueError, match=f"there is no listener {listener}"):
            gateway.deliver(from_owner(Kind.SEND, PacketKind.RELAY, listener, both, True))


def test_members_are_told_once_where_they_are_now(gateway: Gateway, outputs: list[NodeOutput]) -> None:
    gateway.deliver(from_owner(Kind.REMEMBER, "t1", 1, list(HERE), body=b"Server shutdown"))
    gateway.deliver(from_owner(Kind.REMEMBER, "t2", 0, None, body=b"Server shutdown"))
    gateway.deliver(from_owner(Kind.REMEMBER, "t3", 0, list(HERE)))
    gateway.deliver(from_owner(Kind.FORGET, "t3"))
    assert gateway.room_of_session(b"t1", MOVED) == b"lobby"
    assert gateway.room_of_session(b"t1", ELSEWHERE) == b"lobby"  # not of its holder: relays stay where they go
    assert gateway.room_of_session(b"t3", HERE) is None
    gateway.tell_all()
    assert outputs == [
        SendDatagram(b"Server shutdown", MOVED, PacketKind.NOTICE, 1),
        Happened(What.MEMBERS_TOLD, "", "1"),
    ]
    assert gateway.take_told(b"lobby") == [b"t1", b"t2"]
    assert gateway.take_told(b"lobby") == []
    gateway.tell_all()
    assert len(outputs) == 2


def test_a_room_that_is_gone_leaves_nothing(gateway: Gateway, outputs: list[NodeOutput]) -> None:
    gateway.sessions[b"t1"] = Remembered(b"lobby", b"Room closed", HERE, 0)
    gateway.sessions[b"t2"] = Remembered(b"attic", b"Room closed", ELSEWHERE, 0)
    gateway.vacated(b"lobby")
    assert outputs == [
        SendDatagram(b"Room closed", HERE, PacketKind.NOTICE, 0),
        Happened(What.MEMBERS_TOLD, "lobby", "1"),
        CloseStream(7),
    ]
    assert (list(gateway.sessions), gateway.take_told(b"lobby"), gateway.next_us()) == ([b"t2"], [], None)


def test_a_room_that_is_gone_closes_no_stream_of_another(gateway: Gateway, outputs: list[NodeOutput]) -> None:
    gateway.opened(8)
    gateway.give_away(8, b"attic", 1000)
    gateway.vacated(b"cellar")
    assert outputs == []
    gateway.vacated(b"attic")
    assert outputs == [CloseStream(8)]
    assert (gateway.room_of(7), gateway.room_of(8), gateway.next_us()) == (b"lobby", None, 1000)
