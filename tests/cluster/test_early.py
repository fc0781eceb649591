"""Messages that overtake the lease of their sender wait for it, for a bounded time and in a bounded number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster_world import Cluster
from tcrp.cluster.early import EARLY_MESSAGES_MAX, EarlyMessages
from tcrp.cluster.messages import Kind, Message, write
from tcrp.cluster.outputs import Entry, Happened, What
from tcrp.spec.limits import TOKEN_BYTES
from tcrp.spec.names import Operation


def message(sender: str, number: int = 0) -> Message:
    return Message(Kind.DATAGRAM, b"lobby", 1, sender, (number,))


def of(*senders: str) -> Callable[[str], bool]:
    return senders.__contains__


def test_each_sender_has_its_messages_once_and_in_their_order() -> None:
    early = EarlyMessages(1000)
    for number, sender in enumerate(["b.1.1", "c.1.1", "b.1.1"]):
        assert early.keep(message(sender, number), number)
    assert early.take(of("d.1.1"), 3) == []
    assert early.take(of("b.1.1"), 3) == [message("b.1.1", 0), message("b.1.1", 2)]
    assert early.take(of("b.1.1"), 3) == []
    assert early.take(of("c.1.1", "b.1.1"), 3) == [message("c.1.1", 1)]


def test_a_message_waits_no_longer_than_it_may() -> None:
    early = EarlyMessages(1000)
    early.keep(message("b.1.1", 1), 0)
    early.keep(message("b.1.1", 2), 1)
    assert early.take(of("b.1.1"), 1001) == [message("b.1.1", 2)]


def test_there_is_room_for_so_many_and_again_when_they_are_too_old() -> None:
    early = EarlyMessages(1000)
    for number in range(EARLY_MESSAGES_MAX):
        assert early.keep(message("b.1.1", number), 0)
    assert not early.keep(message("b.1.1", -1), 1000)
    assert early.keep(message("b.1.1", -2), 1001)
    assert early.take(of("b.1.1"), 1001) == [message("b.1.1", -2)]


def test_what_there_is_no_room_for_is_spoken_of() -> None:
    world = Cluster("a")
    a = world.nodes["a"]
    for number in range(EARLY_MESSAGES_MAX):
        assert a.node.receive_message(write(message("b.1.1", number)), world.now_us) == []
    said = a.node.receive_message(write(message("b.1.1", -1)), world.now_us)
    assert said == [Happened(What.INPUTS_LOST, "lobby")]


@pytest.mark.parametrize("by", ["being shown", "being looked up"])
def test_a_request_by_a_process_whose_lease_is_known_late_is_answered(by: str) -> None:
    """As when NATS is back: its watchers begin anew, and messages need none."""
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a = world.nodes["a"]
    del a.node.lease.seen["b"]
    bob = world.user("bob", "b").asks(Operation.JOIN, "lobby")
    assert bob.heard == b""
    value, revision = world.keys["node.b"]
    if by == "being shown":
        a.does(a.node.bucket_changed(Entry("node.b", value, revision), world.now_us))
    else:
        a.node.lease.suspect(world.nodes["b"].node.lease.address, world.now_us)
        a.does(a.node.handle_timeout(world.now_us))
    world.passes(0.01)
    assert bob.is_finished
    assert bob.heard[-TOKEN_BYTES:] in a.node.registry.sessions
