"""The rooms that a process owns: where their outputs go, what gateways remember of them, and how they are gone on with.

Told by clusters in memory, in which a owns the lobby.
"""

from __future__ import annotations

import pytest

from cluster_world import FOUND_OUT, LEASE, LEASE_US, SECOND, Cluster, User
from tcrp.cluster import keys, messages
from tcrp.cluster.keys import OWNER, STATE, OwnerValue, key_of
from tcrp.cluster.messages import Kind, Message
from tcrp.cluster.outputs import Entry, NodeOutput, SendMessage
from tcrp.engine.codec import codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Dropped, Stepped
from tcrp.spec.names import Operation

CREATE, JOIN = Operation.CREATE, Operation.JOIN
TOLD = "Server shutdown"


def a_room() -> tuple[Cluster, User, User]:
    world = Cluster("a", "b", "c")
    return world, world.user("alice", "a").creates(), world.user("bob", "b").joins()


def connects(user: User) -> int:
    """It joins the lobby, and its connection stays open. Returns the stream."""
    stream = user.sends(JOIN, "lobby")
    user.world.passes(0.05)
    assert (user.has_token, user.is_closed) == (True, False)
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


def test_what_a_timer_repeats_after_a_handover_is_of_the_room_of_its_session() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    carol = world.user("carol", "a").creates("attic")
    world.user("bob", "a").joins()
    a, b = world.nodes["a"], world.nodes["b"]
    due_us = world.now_us + SECOND * 6 // 10
    a.does(a.node.remove("bob", "lobby", world.now_us) or [])
    a.does(a.node.hand_over(world.now_us))
    world.passes(0.1)
    carol.says("meanwhile")
    assert world.owner_of("lobby") == world.owner_of("attic") == ["b"]
    assert [(each.kind, each.room) for each in sent(b.node.handle_timeout(due_us))] == [(Kind.SEND, b"lobby")]


def test_a_text_for_members_elsewhere_is_of_the_room_in_which_it_was_said() -> None:
    world, alice, _ = a_room()
    carol = world.user("carol", "a").creates("attic")
    world.user("erin", "b").joins("attic")
    a = world.nodes["a"].node
    for each in (alice, carol, alice):
        data = each.speaks.datagram.write(each.room.encode(), each.token, each.name, "hi")
        relayed = sent(a.receive_datagram(data, each.address, world.now_us))
        assert [(to.kind, to.room) for to in relayed] == [(Kind.SEND, each.room.encode())]


def test_the_members_at_other_gateways_are_told_by_a_process_that_stops_and_gives_nothing_away() -> None:
    world, _, bob = a_room()
    a = world.nodes["a"]
    a.does(a.node.shutdown(world.now_us))
    world.passes(0.1)
    assert bob.sees[-1] == TOLD


@pytest.mark.parametrize("at", ["a", "b"])
def test_a_server_that_greets_does_so_once_at_every_process(at: str) -> None:
    world = Cluster("a", "b", listener=ListenerConfig((codec("colon-fields"),)))
    world.user("alice", "a", "colon-fields").asks(CREATE, "lobby")
    bob = world.user("bob", at, "colon-fields").asks(JOIN, "lobby")
    world.passes(0.1)
    assert (bob.heard[:3], len(bob.heard), bob.is_finished) == (
        b"\x00\x01\x02",
        35,
        True,
    )  # greeting, answer, completion


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


@pytest.mark.parametrize("before", ["nothing", "a handover", "another room went away"])
def test_that_a_member_has_left_is_saved_at_once_whatever_was_before(before: str) -> None:
    world, _, bob = a_room()
    a, c = world.nodes["a"], world.nodes["c"].node.lease
    world.user("carol", "a").creates("attic")
    if before == "a handover":
        a.does(a.node.hand_over(world.now_us))
    elif before == "another room went away":
        taken = keys.write(OwnerValue(c.kin, c.address, 0, is_listed=True, is_given=False))
        a.does(a.node.bucket_changed(Entry(key_of(OWNER, b"attic"), taken, world.revision + 1), world.now_us))
    world.passes(3)
    saved = world.keys[key_of(STATE, b"lobby")]
    bob.says("/exit")
    assert world.keys[key_of(STATE, b"lobby")] > saved


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


@pytest.mark.parametrize("at", ["a", "b"])
def test_what_members_are_told_names_the_host_in_a_dialect_that_does(at: str) -> None:
    world, _, _ = a_room()
    carol = world.user("carol", at, "json-address").joins()
    world.fails()
    world.passes(LEASE + 0.1)
    assert carol.sees[-1].startswith("aliceがlobbyから退出しました")


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
    world.nodes["c"].crash()
    c = world.begin("c")
    world.passes(LEASE / 2)
    world.nodes["a"].crash()
    while not c.node.lease.holds(world.now_us):
        world.passes(0.01)
    assert world.owner_of("lobby") == []
    world.passes(FOUND_OUT)
    assert len(world.owner_of("lobby")) == 1
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
    a, dave = world.nodes["a"], world.user("dave", "b")
    stream = connects(dave)
    a.does(a.node.hand_over(world.now_us))
    world.passes(0.1)
    assert world.owner_of("lobby") == ["b"]
    assert dave.is_closed_once(stream)


def test_a_connection_whose_room_has_moved_is_closed_in_time_by_the_next_owner() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    carol = world.user("carol", "a").creates("attic")
    a, dave = world.nodes["a"], world.user("dave", "a")
    connects(dave)
    a.does(a.node.hand_over(world.now_us))
    world.passes(0.1)
    assert world.owner_of("lobby") == world.owner_of("attic") == ["b"]
    carol.says("meanwhile")
    world.passes(world.limits.handshake_timeout / SECOND - 0.1)
    assert dave.is_closed


def test_a_connection_whose_room_went_away_and_came_back_is_still_there() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a, dave = world.nodes["a"], world.user("dave", "a")
    stream = connects(dave)
    for process, to in ((a, "b"), (world.nodes["b"], "a")):
        process.does(process.node.hand_over(world.now_us))
        world.passes(0.1)
        assert world.owner_of("lobby") == [to]
    a.does(a.node.stream_ended(stream, world.now_us))
    assert dave.is_closed


def test_a_token_that_was_granted_just_before_the_owner_was_lost_is_good_at_the_next_one() -> None:
    world, _, bob = a_room()
    dave = world.user("dave", "c").asks(JOIN, "lobby")
    world.nodes["a"].crash()
    world.passes(FOUND_OUT)
    assert len(world.owner_of("lobby")) == 1
    dave.token = dave.heard[-32:]
    dave.says("")
    dave.says("hi")
    assert bob.sees[-1] == "dave: hi"


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
