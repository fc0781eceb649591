"""The rooms that a process owns: where their outputs go, what gateways remember of them, and how they are gone on with.

Told by clusters in memory, in which a owns the lobby.
"""

from __future__ import annotations

import pytest

from cluster_world import LEASE_US, SECOND, Cluster, User
from tcrp.cluster import messages
from tcrp.cluster.messages import Kind, Message
from tcrp.cluster.outputs import NodeOutput, SendMessage, What
from tcrp.engine.outputs import Dropped, Stepped
from tcrp.spec.names import Operation

CREATE, JOIN = Operation.CREATE, Operation.JOIN
LEASE = LEASE_US / SECOND
FOUND_OUT = LEASE * 1.01 + 0.2
TOLD = "Server shutdown"


def a_room(**limits: object) -> tuple[Cluster, User, User]:
    world = Cluster("a", "b", "c", **limits)
    return world, world.user("alice", "a").creates(), world.user("bob", "b").joins()


def connects(user: User) -> int:
    """It joins the lobby, and its connection stays open. Returns the stream."""
    process, stream = user.world.nodes[user.at], user.address.port
    process.streams[stream] = user
    data = user.speaks.write_request(JOIN, b"lobby", user.name, "", "127.0.0.1", stream)
    process.does(process.node.stream_opened(stream, user.address, user.world.now_us))
    process.does(process.node.receive_stream(stream, data, user.world.now_us))
    user.world.passes(0.05)
    assert (b"life" in user.heard, user.is_closed) == (True, False), "it has a token, with a process's life in it"
    return stream


def sent(outputs: list[NodeOutput]) -> list[Message]:
    """The messages to other processes."""
    read = [messages.read(each.data) for each in outputs if isinstance(each, SendMessage)]
    return [each for each in read if each is not None]


# --- outputs -------------------------------------------------------------------------------------


def test_what_a_timer_repeats_is_of_the_room_of_its_session() -> None:
    world, _, bob = a_room()
    world.user("carol", "a").creates("attic")
    erin = world.user("erin", "b").joins("attic")
    a = world.nodes["a"]
    a.does(a.node.remove("bob", "lobby", world.now_us) or [])
    due_us = world.now_us + SECOND // 2
    erin.says("meanwhile")
    repeated = sent(a.node.handle_timeout(due_us))
    assert [(each.kind, each.room) for each in repeated] == [(Kind.SEND, b"lobby")]
    assert repeated[0].what[2] == [[bob.address.ip, bob.address.port]]


def test_records_name_the_listeners_that_a_process_has_whoevers_client_it_is() -> None:
    world, _, bob = a_room()
    a, b = world.nodes["a"].node, world.nodes["b"].node
    at = (0, bob.address.ip, bob.address.port)
    left = bob.speaks.datagram.write(b"lobby", bob.token, "bob", "/exit")
    seen = [
        each.listener
        for data in (b"", left)
        for each in a.receive_message(
            messages.write(Message(Kind.DATAGRAM, b"lobby", 1, b.lease.address, at, data)), world.now_us
        )
        if isinstance(each, Stepped | Dropped) and each.listener is not None
    ]
    assert len(seen) > 1
    assert set(seen) == {0}


def test_who_names_a_wrong_room_is_put_out_whatever_its_gateway_is() -> None:
    world, _, bob = a_room()
    carol = world.user("carol", "a").joins()
    for each in (bob, carol):
        each.room = "attic"
        each.sees.clear()
        for _ in range(3):
            each.says("hello?")
    assert bob.sees
    assert bob.sees == carol.sees


def test_a_room_that_is_closing_is_listed_no_more() -> None:
    world, alice, _ = a_room()
    b = world.nodes["b"].node
    assert list(b.listed()) == [b"lobby"]
    alice.says("/exit")
    assert list(b.listed()) == []
    assert b.elsewhere() == {"lobby": "a"}


# --- what gateways remember ----------------------------------------------------------------------


@pytest.mark.parametrize("at", ["a", "b"])
def test_who_has_left_is_not_told_that_the_cluster_is_out_of_reach(at: str) -> None:
    world, _, bob = a_room()
    carol = world.user("carol", at).joins()
    carol.says("/exit")
    world.passes(world.limits.linger / SECOND + 1)
    world.fails()
    world.passes(LEASE + 0.1)
    assert TOLD in bob.sees
    assert TOLD not in carol.sees


def test_who_has_moved_is_told_where_it_is_now() -> None:
    world, _, bob = a_room()
    moved = world.user("bob", "b", ip=bob.address.ip)
    moved.room, moved.token = bob.room, bob.token
    moved.says("from here on")
    world.fails()
    world.passes(LEASE + 0.1)
    assert (TOLD in moved.sees, TOLD in bob.sees) == (True, False)


def test_a_gateway_that_came_back_while_a_room_had_no_owner_is_told_of_its_clients_by_the_next_one() -> None:
    world, _, _ = a_room()
    carol = world.user("carol", "c").joins()
    world.nodes["a"].crash()
    world.nodes["c"].crash()
    world.passes(LEASE / 2)
    world.begin("c")
    world.passes(FOUND_OUT * 3)
    assert world.told(What.ROOM_RECOVERED)
    carol.sees.clear()
    world.fails()
    world.passes(LEASE + 0.1)
    assert carol.sees == [TOLD]


# --- how a room is gone on with ------------------------------------------------------------------


def test_of_a_room_in_which_nobody_is_yet_nothing_is_saved_that_could_go_on() -> None:
    world, _, _ = a_room()
    saved = world.nodes["a"].node.save(b"attic", 7)
    assert world.nodes["b"].node.load(b"attic", saved, world.now_us) == "nothing was saved"


def test_a_connection_that_broke_off_while_its_room_had_no_owner_is_over() -> None:
    world = Cluster("a", "b", connections_per_ip_max=1)
    world.user("alice", "a").creates()
    b, dave = world.nodes["b"], world.user("dave", "b", ip="10.1.0.1")
    stream = connects(dave)
    world.nodes["a"].crash()
    b.does(b.node.stream_closed(stream, world.now_us))
    world.passes(FOUND_OUT + 0.5)
    assert world.owner_of("lobby") == ["b"]
    connects(world.user("erin", "b", ip="10.1.0.1"))
    assert not dave.is_closed, "it is gone, and not closed once more"


def test_a_connection_whose_room_comes_to_its_own_gateway_goes_on_and_is_closed_once() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a, b, dave = world.nodes["a"], world.nodes["b"], world.user("dave", "b")
    stream = connects(dave)
    a.does(a.node.hand_over(world.now_us))
    world.passes(0.1)
    assert world.owner_of("lobby") == ["b"]
    b.does(b.node.stream_ended(stream, world.now_us))
    assert dave.is_closed
    b.streams[stream], dave.is_closed = dave, False  # another connection may have its number
    world.passes(world.limits.handshake_timeout / SECOND + LEASE * 2)
    assert not dave.is_closed


def test_an_owner_has_the_whole_time_of_a_handshake_for_a_connection_at_another_gateway() -> None:
    world, _, _ = a_room()
    dave = world.user("dave", "b")
    connects(dave)
    world.passes(world.limits.handshake_timeout / SECOND - 0.1)
    assert not dave.is_closed
    world.passes(0.1)
    assert dave.is_closed


def test_a_connection_of_which_an_owner_says_nothing_is_closed_a_lease_after_the_time_of_a_handshake() -> None:
    world, _, _ = a_room()
    world.nodes["a"].is_cut = True
    dave = world.user("dave", "b").asks(JOIN, "lobby")
    world.passes((world.limits.handshake_timeout + LEASE_US) / SECOND - 0.051)
    assert not dave.is_closed
    world.passes(0.002)
    assert dave.is_closed


def test_a_room_goes_on_with_who_was_there_and_takes_new_members_at_every_process() -> None:
    world, alice, bob = a_room()
    for _ in range(2):  # from one to the next, and perhaps back
        [owner] = world.owner_of("lobby")
        process = world.nodes[owner]
        process.does(process.node.hand_over(world.now_us))
        world.passes(0.2)
        assert world.owner_of("lobby") != [owner]
        bob.says("still here")
        assert alice.sees[-1] == "bob: still here"
    late = [world.user(f"late {at}", at).joins() for at in world.nodes]
    alice.says("welcome")
    assert [each.sees[-1] for each in (bob, *late)] == ["alice: welcome"] * 4


def test_who_leaves_after_a_handover_is_forgotten_by_its_gateway() -> None:
    world, _, bob = a_room()
    a = world.nodes["a"]
    a.does(a.node.hand_over(world.now_us))
    world.passes(0.2)
    bob.says("/exit")
    world.passes(world.limits.linger / SECOND + 1)
    world.fails()
    world.passes(LEASE + 0.1)
    assert TOLD not in bob.sees
