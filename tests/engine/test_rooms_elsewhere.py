"""A server's engine that shares one space of rooms with others: requests that wait, go elsewhere, or come back."""

from __future__ import annotations

import pytest

from tcrp.engine.codec import codec
from tcrp.engine.frames import write_request
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.meanings import Denied, Reply
from tcrp.engine.outputs import Address, CloseStream, Detail, Elsewhere, FinishStream, SendFrame
from tcrp.engine.server import Outputs, ServerConfig, ServerEngine
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Operation, Reason

TOKEN = b"0123456789abcdef0123456789abcdef"
PEER = Address("10.0.0.1", 50_000)
JSON = codec("json")


class Others:
    """What other servers have: every room but `own`."""

    own = (b"here",)

    def serves(self, room: bytes) -> bool:
        return room in self.own

    def listed(self) -> list[bytes]:
        return [b"there", b"there,too"]


def asking(operation: Operation, room: bytes, password: str = "") -> bytes:
    return JSON.write_request(operation, room, "alice", password, "", 0)


def waiting(data: bytes, *more: bytes) -> tuple[ServerEngine, Outputs]:
    """An engine, and what it puts out at a request and what comes behind it."""
    listener = ListenerConfig((JSON, codec("name-port-list")))
    engine = ServerEngine(
        ServerConfig(Limits(), (listener,)), new_token=lambda: TOKEN, beside=Others(), detail=Detail.EVERYTHING
    )
    engine.stream_opened("peer", PEER, 0)
    outputs = engine.receive_stream("peer", data, 0)
    for each in more:
        outputs += engine.receive_stream("peer", each, 0)
    return engine, outputs


def frames(outputs: Outputs) -> list[bytes]:
    return [each.data for each in outputs if isinstance(each, SendFrame)]


@pytest.mark.parametrize("operation", [Operation.CREATE, Operation.JOIN])
@pytest.mark.parametrize("password", ["", "sesame"])
def test_a_request_for_a_room_of_others_waits_and_says_what_it_asks(operation: Operation, password: str) -> None:
    engine, outputs = waiting(asking(operation, b"there", password))
    elsewhere = [each for each in outputs if isinstance(each, Elsewhere)]
    assert elsewhere == [Elsewhere("peer", b"there", operation is Operation.CREATE, not password)]
    assert frames(outputs) == []
    assert engine.handshake_server.handshakes["peer"].state is HandshakeState.REQUESTED


def test_a_request_for_its_own_room_is_decided_at_once() -> None:
    engine, outputs = waiting(asking(Operation.CREATE, b"here"))
    assert not [each for each in outputs if isinstance(each, Elsewhere)]
    assert len(frames(outputs + engine.handle_timeout(0))) == 2
    assert list(engine.registry.rooms) == [b"here"]


def test_a_request_that_waits_is_decided_here_after_all() -> None:
    """What came behind it while it waited is not asked again."""
    engine, outputs = waiting(asking(Operation.CREATE, b"there"), asking(Operation.CREATE, b"here"))
    assert len([each for each in outputs if isinstance(each, Elsewhere)]) == 1
    outputs = engine.resume_request("peer", 0) + engine.handle_timeout(0)
    assert len(frames(outputs)) == 2
    assert [each.room.name_bytes for each in engine.registry.sessions.values()] == [b"there"]
    assert CloseStream("peer") in engine.stream_ended("peer", 0)  # it waits no longer


def test_a_request_that_waits_is_refused_for_the_reason_that_is_given() -> None:
    engine, _ = waiting(asking(Operation.CREATE, b"there"))
    outputs = engine.resume_request("peer", 0, refused="no leases")
    reply = JSON.read_reply(b"".join(frames(outputs)), Operation.CREATE, is_over=True)
    assert isinstance(reply, Reply)
    assert isinstance(reply.says, Denied)
    assert reply.says.reason is Reason.TOO_MANY_REQUESTS
    assert "no leases" in repr(outputs)
    assert not engine.registry.rooms


def test_a_request_that_waits_and_is_resumed_without_a_reason_is_judged_as_any_other() -> None:
    engine, _ = waiting(asking(Operation.JOIN, b"there"))
    outputs = engine.resume_request("peer", 0)
    reply = JSON.read_reply(b"".join(frames(outputs)), Operation.JOIN, is_over=True)
    assert isinstance(reply, Reply)
    assert isinstance(reply.says, Denied)
    assert reply.says.reason is Reason.NO_SUCH_ROOM


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_request_that_is_taken_away_is_what_came_with_what_came_behind_it(is_ended: bool) -> None:
    request = asking(Operation.CREATE, b"there")
    engine, _ = waiting(request + b"\x9c", b"\x41")
    if is_ended:
        outputs = engine.stream_ended("peer", 0)
        assert not [each for each in outputs if isinstance(each, CloseStream | FinishStream)]
    taken = engine.take_request_away("peer")
    assert (taken[0], taken[1]) == (request + b"\x9c\x41", is_ended)
    assert engine.handshake_server.handshakes == {}
    assert engine.handshake_server.per_ip.of("10.0.0.1") == 0
    assert engine.next_deadline_us() is None


def test_the_rooms_of_others_are_listed_behind_its_own_unless_their_names_look_like_two() -> None:
    speaks = codec("name-port-list")
    engine, _ = waiting(asking(Operation.CREATE, b"here"))
    engine.handle_timeout(0)
    engine.stream_opened("lists", PEER, 0)
    asked = speaks.write_list_request()
    listing = b"".join(frames(engine.receive_stream("lists", asked, 0)))
    assert speaks.read_listing(listing) == ["here", "there"]


def test_a_list_that_is_asked_for_is_no_request_for_a_room() -> None:
    engine, outputs = waiting(write_request(Operation.JOIN, b"there", b"alice\x9c\x41"))
    assert [each.room for each in outputs if isinstance(each, Elsewhere)] == [b"there"]
    assert engine.freeze().handshakes[0].user_name == "alice"
