"""What the reference server does with connections where no random input leads: the engine does the same."""

from __future__ import annotations

from both_servers import SECOND, BothServers
from tcrp.engine.outputs import CloseStream, FinishStream, SendFrame, ServerOutput, Stepped
from tcrp.spec.limits import NAME_BYTES_MAX
from tcrp.spec.names import Operation, PacketKind, SessionEvent


def frames(outputs: list[ServerOutput]) -> list[str]:
    """What is sent on connections, and how they end."""
    found: list[str] = []
    for each in outputs:
        match each:
            case SendFrame(_, _, what):
                found.append(str(what))
            case FinishStream():
                found.append("half-close")
            case CloseStream():
                found.append("close")
    return found


def test_bytes_on_a_connection_that_is_closed_are_nothing() -> None:
    both = BothServers("json")
    both.opens("alice")
    both.give("stream_closed", "alice", both.now_us)
    assert both.sends("alice", both.request(Operation.CREATE, "lobby", "alice")) == []


def test_a_peer_that_sends_no_more_still_gets_its_completion_and_is_then_closed() -> None:
    both = BothServers("json")
    assert frames(both.asks("alice", Operation.CREATE, "lobby", "alice")) == [PacketKind.ANSWER]
    assert both.give("stream_ended", "alice", both.now_us) == []
    assert frames(both.wakes()) == [PacketKind.COMPLETION, "close"]
    assert both.sends("alice", b"more") == []


def test_a_peer_that_goes_between_answer_and_completion_has_been_granted_nothing() -> None:
    both = BothServers("json")
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.give("stream_closed", "alice", both.now_us)
    assert frames(both.wakes()) == []
    assert frames(both.asks("bob", Operation.CREATE, "lobby", "bob")) == [PacketKind.ANSWER]  # the name is free again


def test_a_request_that_a_late_server_accepts_behind_its_timeout_is_completed() -> None:
    both = BothServers("json", handshake_timeout=2 * SECOND)
    both.opens("alice")
    both.now_us = 3 * SECOND
    assert frames(both.sends("alice", both.request(Operation.CREATE, "lobby", "alice"))) == [PacketKind.ANSWER]
    assert frames(both.wakes()) == [PacketKind.COMPLETION, "half-close", "close"]


def test_a_session_that_ends_while_its_name_is_taken_over_is_not_superseded_too() -> None:
    both = BothServers("json", takeover="same_address", takeover_after=1 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.asks("bob", Operation.JOIN, "lobby", "bob")
    both.wakes()
    both.now_us = 2 * SECOND
    both.asks("bob again", Operation.JOIN, "lobby", "bob")
    both.give("remove", "bob", "lobby", both.now_us)
    outputs = both.wakes()
    assert frames(outputs) == [PacketKind.COMPLETION, "half-close"]
    assert SessionEvent.SUPERSEDED not in [each.event for each in outputs if isinstance(each, Stepped)]


def test_a_list_of_rooms_ends_where_the_next_name_would_not_fit() -> None:
    rooms = 64 * 1024 // (NAME_BYTES_MAX + 1) + 1
    many = 2 * rooms
    both = BothServers(
        "name-port-list", rooms_max=many, rooms_per_ip_max=many, sessions_max=many, sessions_per_ip_max=many,
        unentered_rooms_per_ip_max=many, connections_max=many, connections_per_ip_max=many,
    )  # fmt: skip
    for number in range(rooms):
        both.asks(f"user{number}", Operation.CREATE, f"{number:0{NAME_BYTES_MAX}}", "alice")
        both.wakes()
    asks_for_list = bytes((0, both.codecs[0].dialect.operations[Operation.LIST], 0)) + bytes(29)
    both.opens("reader")
    listed = [each.data for each in both.sends("reader", asks_for_list) if isinstance(each, SendFrame)]
    assert [b"".join(listed).count(b",")] == [rooms - 2]
