"""What the reference server does with rooms where no random input leads: the engine does the same."""

from __future__ import annotations

from typing import Any

from both_servers import SECOND, BothServers
from conversation import counted_tokens
from tcrp.engine.outputs import SendDatagram, ServerOutput, Stepped
from tcrp.spec.limits import SHUTDOWN_LINGER_US
from tcrp.spec.names import Operation, PacketKind, RoomEvent, SessionEvent


def told(outputs: list[ServerOutput]) -> list[str]:
    """The addresses that notices go to."""
    return [str(each.address.ip) for each in outputs if isinstance(each, SendDatagram) and each.address is not None
            and each.what is PacketKind.NOTICE]  # fmt: skip


def events(outputs: list[ServerOutput]) -> list[str]:
    return [each.event for each in outputs if isinstance(each, Stepped)]


class Lobby(BothServers):
    """A room in which alice, the host, and bob are."""

    def __init__(self, *dialects: str, **settings: Any) -> None:
        super().__init__(*(dialects or ("json",)), **settings)
        tokens = counted_tokens()
        self.alice, self.bob = tokens(), tokens()
        self.asks("alice", Operation.CREATE, "lobby", "alice")
        self.wakes()
        self.speaks(self.alice, "lobby", b"")
        self.asks("bob", Operation.JOIN, "lobby", "bob", ip="10.0.0.2")
        self.wakes()
        self.speaks(self.bob, "lobby", b"", ip="10.0.0.2")


def test_a_shutdown_closes_every_open_room_and_tells_everyone() -> None:
    both = Lobby(linger=5 * SECOND)
    both.asks("carol", Operation.CREATE, "attic", "carol", ip="10.0.0.3")
    both.wakes()
    outputs = both.give("shutdown", both.now_us)
    assert events(outputs).count(RoomEvent.SHUTDOWN) == 2
    assert told(outputs) == ["10.0.0.1", "10.0.0.2"]
    both.now_us += SHUTDOWN_LINGER_US - 1
    both.wakes()
    assert both.reference.rooms.by_name.keys() == {"lobby", "attic"}
    both.now_us += 1
    assert events(both.wakes()) == [RoomEvent.DRAINED] * 2
    assert not both.reference.rooms.by_name


def test_a_room_that_closes_already_is_closed_half_a_second_after_a_shutdown_and_not_later() -> None:
    for after_us, left_us in ((1 * SECOND, SHUTDOWN_LINGER_US), (5 * SECOND - 1000, 1000)):
        both = Lobby(linger=5 * SECOND)
        both.give("close_room", "lobby", both.now_us)
        both.now_us += after_us
        both.wakes()
        assert RoomEvent.SHUTDOWN not in events(both.give("shutdown", both.now_us))
        both.now_us += left_us - 1
        both.wakes()
        assert both.reference.rooms.by_name.keys() == {"lobby"}
        both.now_us += 1
        assert RoomEvent.DRAINED in events(both.wakes())


def test_an_ended_session_is_not_told_at_an_address_that_is_anothers_by_now() -> None:
    both = Lobby(linger=5 * SECOND)
    both.give("remove", "bob", "lobby", both.now_us)
    both.asks("carol", Operation.JOIN, "lobby", "carol", ip="10.0.0.2")
    both.wakes()
    both.speaks(b"%032x" % 3, "lobby", b"", ip="10.0.0.2")  # from bob's port
    both.now_us += 1 * SECOND
    assert told(both.wakes()) == []
    assert told(both.speaks(both.bob, "lobby", b"hi there, everybody", ip="10.0.0.2")) == []
    assert told(both.speaks(both.bob, "lobby", b"hi there, everybody", ip="10.0.0.2", port=40_009)) == ["10.0.0.2"]


def test_a_session_whose_name_is_taken_over_is_told_that_and_not_who_has_come() -> None:
    both = Lobby("json", "json-port", takeover="same_address", takeover_after=1 * SECOND)
    both.now_us = 2 * SECOND
    both.opens("bob again", ip="10.0.0.2")
    request = both.codecs[1].write_request(Operation.JOIN, b"lobby", "bob", "", "10.0.0.2", 40_003)
    outputs = both.sends("bob again", request)  # which names the port, so that it enters at once
    assert told(outputs) == ["10.0.0.1", "10.0.0.2"]  # alice of bob who has come, and bob of his end
    assert events(outputs)[-1] == SessionEvent.SUPERSEDED


def test_a_room_to_which_nobody_ever_came_is_gone_with_its_host() -> None:
    both = BothServers("json", linger=5 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    assert RoomEvent.DRAINED in events(both.give("stream_closed", "alice", both.now_us))
    assert not both.reference.rooms.by_name


def test_of_the_silent_a_late_server_ends_the_oldest_session_first() -> None:
    both = BothServers("json", idle_timeout=100 * SECOND, token_timeout=5 * SECOND, linger=0)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    tokens = counted_tokens()
    both.speaks(tokens(), "lobby", b"")
    for number, name in enumerate(("bob", "carol", "dave"), 2):
        both.asks(name, Operation.JOIN, "lobby", name, ip=f"10.0.0.{number}")
        both.wakes()
    both.now_us = 200 * SECOND
    ended = [each.subject for each in both.wakes() if isinstance(each, Stepped) and each.event == SessionEvent.IDLED]
    assert ended == [b"%032x" % number for number in (2, 3, 4, 1)]
