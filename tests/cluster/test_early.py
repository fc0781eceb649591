"""Messages that overtake the lease of their sender wait for it, for a bounded time and in a bounded number."""

from __future__ import annotations

from cluster_world import Cluster
from tcrp.cluster.early import EARLY_MAX, Early
from tcrp.cluster.messages import Kind, Message
from tcrp.cluster.outputs import Entry
from tcrp.spec.limits import TOKEN_BYTES
from tcrp.spec.names import Operation


def message(sender: str, number: int = 0) -> Message:
    return Message(Kind.DATAGRAM, b"lobby", 1, sender, (number,))


def test_each_sender_has_its_messages_once_and_in_their_order() -> None:
    early = Early(1000)
    for number, sender in enumerate(["b.1.1", "c.1.1", "b.1.1"]):
        early.keep(message(sender, number), number)
    assert early.take("d.1.1", 3) == []
    assert early.take("b.1.1", 3) == [message("b.1.1", 0), message("b.1.1", 2)]
    assert early.take("b.1.1", 3) == []
    assert early.take("c.1.1", 3) == [message("c.1.1", 1)]


def test_a_message_waits_no_longer_than_it_may() -> None:
    early = Early(1000)
    early.keep(message("b.1.1", 1), 0)
    early.keep(message("b.1.1", 2), 1)
    assert early.take("b.1.1", 1001) == [message("b.1.1", 2)]


def test_the_oldest_give_way_also_after_some_were_taken() -> None:
    early = Early(1000)
    early.keep(message("c.1.1"), 0)
    early.take("c.1.1", 0)
    for number in range(EARLY_MAX + 2):
        early.keep(message("b.1.1", number), 0)
    assert early.take("b.1.1", 0) == [message("b.1.1", number) for number in range(2, EARLY_MAX + 2)]


def test_a_request_by_a_process_whose_lease_is_shown_late_is_answered() -> None:
    """As when NATS is back: its watchers begin anew, and messages need none."""
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a = world.nodes["a"]
    del a.node.lease.seen["b"]
    bob = world.user("bob", "b").asks(Operation.JOIN, "lobby")
    assert bob.heard == b""
    value, revision = world.keys["node.b"]
    a.does(a.node.bucket_changed(Entry("node.b", value, revision), world.now_us))
    world.passes(0.01)
    assert bob.is_finished
    assert bob.heard[-TOKEN_BYTES:] in a.node.registry.sessions
