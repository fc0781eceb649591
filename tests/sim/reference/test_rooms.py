"""What the reference server does with rooms where no random input leads: the engine does the same."""

from __future__ import annotations

from typing import Any

from both_servers import SECOND, BothServers
from conversation import counted_tokens
from tcrp.engine.outputs import Dropped, SendDatagram, ServerOutput, Stepped
from tcrp.spec.limits import SHUTDOWN_LINGER_US
from tcrp.spec.names import Operation, PacketKind, RoomEvent, Rule, SessionEvent


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


def test_of_those_silent_since_one_moment_the_one_granted_first_is_ended_first_whatever_its_room() -> None:
    both = BothServers("json", idle_timeout=100 * SECOND, token_timeout=5 * SECOND, linger=0)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.speaks(b"%032x" % 1, "lobby", b"")
    both.asks("bob", Operation.CREATE, "attic", "bob", ip="10.0.0.2")
    both.asks("carol", Operation.JOIN, "lobby", "carol", ip="10.0.0.3")
    both.wakes()
    both.now_us = 6 * SECOND
    ended = [each.subject for each in both.wakes() if isinstance(each, Stepped) and each.event == SessionEvent.IDLED]
    assert ended == [b"%032x" % 2, b"%032x" % 3]


def test_a_session_that_is_removed_before_its_completion_does_not_enter_with_it() -> None:
    both = BothServers("json-endpoint")
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.asks("bob", Operation.JOIN, "lobby", "bob", ip="10.0.0.2", port=40_002)
    both.give("remove", "bob", "lobby", both.now_us)
    assert SessionEvent.ENTERED not in events(both.wakes())


def test_a_room_counts_as_waiting_until_its_host_has_entered_whoever_else_has() -> None:
    both = BothServers("json", unentered_rooms_per_ip_max=1)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.asks("bob", Operation.JOIN, "lobby", "bob", ip="10.0.0.2")
    both.wakes()
    both.speaks(b"%032x" % 2, "lobby", b"", ip="10.0.0.2")

    def is_refused(stream: str) -> bool:
        return "refused" in events(both.asks(stream, Operation.CREATE, stream, "alice"))

    assert is_refused("attic")
    both.speaks(b"%032x" % 1, "lobby", b"")
    assert not is_refused("cellar")


def rule_of_drop(outputs: list[ServerOutput]) -> list[Rule]:
    return [each.rule for each in outputs if isinstance(each, Dropped)]


def test_a_session_that_was_never_handed_over_is_not_remembered() -> None:
    both = Lobby(linger=5 * SECOND)
    both.asks("carol", Operation.JOIN, "lobby", "carol", ip="10.0.0.3")
    both.give("stream_closed", "carol", both.now_us)
    assert rule_of_drop(both.speaks(b"%032x" % 3, "lobby", b"hi", ip="10.0.0.3")) == [Rule.TOK_2]
    both.give("remove", "bob", "lobby", both.now_us)
    assert rule_of_drop(both.speaks(both.bob, "lobby", b"hi", ip="10.0.0.2")) == [Rule.TOK_4]


def test_without_a_linger_nobody_is_remembered_but_for_half_a_second_at_a_shutdown() -> None:
    both = Lobby(linger=0)
    both.give("remove", "bob", "lobby", both.now_us)
    assert rule_of_drop(both.speaks(both.bob, "lobby", b"hi", ip="10.0.0.2")) == [Rule.TOK_2]
    both.give("shutdown", both.now_us)
    assert rule_of_drop(both.speaks(both.alice, "lobby", b"hi")) == [Rule.TOK_4]


def test_who_has_ended_is_answered_with_at_most_three_times_what_it_sends() -> None:
    room = "x" * 205
    both = BothServers("json-address", linger=5 * SECOND)
    both.asks("alice", Operation.CREATE, room, "alice")
    [*_, notice] = [each for each in both.give("close_room", room, 0) if isinstance(each, SendDatagram)]
    least, rest = divmod(len(notice.data), 3)
    assert rest == 0

    def is_answered(size: int) -> bool:
        return told(both.speaks(b"%032x" % 1, "", b"x" * (size - 2 - 32))) != []

    assert not is_answered(least - 1)
    assert is_answered(least)  # though it sent something a moment ago that was too short
    assert not is_answered(least)  # as it was answered a moment ago
