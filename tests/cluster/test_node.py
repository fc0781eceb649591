"""Several servers, one space of room names: who owns a room, what its gateways do, and how it is handed over."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster_world import FOUND_OUT, LEASE, SECOND, Cluster, two_talk
from example_counts import examples
from tcrp.cluster.messages import Kind, Message, write
from tcrp.cluster.node import HOPS_MAX
from tcrp.cluster.outputs import Entry, Happened, SendMessage, What
from tcrp.engine.outputs import Forgotten, Relay
from tcrp.spec.cluster_names import WAITING_MAX, OwnershipState
from tcrp.spec.names import Operation

CREATE, JOIN = Operation.CREATE, Operation.JOIN


def saves(world: Cluster, room: str = "lobby") -> int:
    """The revision of what is saved of a room."""
    return world.keys[f"state.{room.encode().hex()}"][1]


# --- gateways ------------------------------------------------------------------------------------


def test_members_at_different_processes_hear_each_other_each_in_its_dialect() -> None:
    world = Cluster("a", "b", "c")
    alice = world.user("alice", "a", "json-port").creates()
    bob = world.user("bob", "b").joins()
    carol = world.user("carol", "c", "json-name").joins()
    for each in (alice, bob, carol):
        each.sees.clear()
    bob.says("hi")
    carol.says("hello")
    assert alice.sees == ["[bob]: hi", "[carol]: hello"]
    assert bob.sees == ["carol: hello"]
    assert [each[-2:] for each in carol.sees] == ["hi"]
    assert world.owner_of("lobby") == ["a"]


def test_a_request_may_be_cut_anywhere_and_goes_to_the_owner_whole() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    bob = world.user("bob", "b").asks(JOIN, "lobby", cut_at=33)
    assert len(bob.heard) > 32
    assert (bob.is_finished, bob.is_closed) == (True, True)


@pytest.mark.parametrize("dialect", ["text", "json", "json-address", "json-endpoint", "name-port", "name-port-list"])
def test_refusals_are_the_same_at_every_process(dialect: str) -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    heard = [
        [
            world.user(name, at, dialect).asks(operation, room).heard
            for name, operation, room in (("bob", CREATE, "lobby"), ("alice", JOIN, "lobby"), ("bob", JOIN, "attic"))
        ]
        for at in ("a", "b")
    ]
    assert heard[0] == heard[1]
    assert all(heard[0])


def test_a_room_made_this_moment_is_found_by_another_process() -> None:
    world = Cluster("a", "b")
    b = world.nodes["b"]
    world.user("alice", "a").creates()
    b.node.ownership.rooms.clear()  # as if the bucket's news had not come yet
    assert world.user("bob", "b").joins().token


def test_two_who_create_a_room_at_once_get_one_room() -> None:
    world = Cluster("a", "b")
    alice, bob = world.user("alice", "a"), world.user("bob", "b")
    before = world.now_us
    world.later(0, lambda: None)
    for each in (alice, bob):
        process = world.nodes[each.at]
        process.streams[1] = each
        data = each.speaks.write_request(CREATE, b"lobby", each.name, "", "127.0.0.1", 5000)
        process.does(process.node.stream_opened(1, each.address, before))
        process.does(process.node.receive_stream(1, data, before))
    world.passes(0.1)
    assert len(world.owner_of("lobby")) == 1
    assert sorted(b"\x01" in each.heard[-1:] for each in (alice, bob)) == [False, True]  # room_exists is 1


def test_a_list_names_the_open_rooms_of_all_processes() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates("attic")
    world.user("carol", "a", "json").creates("cellar", password="sesame")
    bob = world.user("bob", "b", "name-port-list").creates("lobby")
    for node in ("a", "b"):
        assert sorted([*world.nodes[node].node.listed(), *world.nodes[node].node.registry.rooms]) != []
    assert list(world.nodes["b"].node.listed()) == [b"attic"]
    assert list(world.nodes["a"].node.listed()) == [b"lobby"]
    assert bob.token


def test_a_token_is_worth_nothing_at_another_gateway() -> None:
    _, alice, bob = two_talk()
    alice.sees.clear()
    bob.says("psst", at="c")
    assert alice.sees == []


def test_who_has_ended_and_goes_on_is_told_again_by_the_owner() -> None:
    world, _, bob = two_talk()
    a, b = world.nodes["a"], world.nodes["b"]
    a.does(a.node.remove("bob", "lobby", world.now_us) or [])
    world.passes(4)  # the notice is repeated
    assert bob.token not in b.node.gateway.sessions
    told = bob.sees.count("You were removed")
    assert told > 0
    bob.says("hello?")
    assert bob.sees.count("You were removed") == told + 1


def test_a_stream_that_is_gone_is_forgotten_by_its_gateway() -> None:
    world, _, _ = two_talk()
    b, dave = world.nodes["b"], world.user("dave", "b")
    b.does(b.node.stream_opened(7, dave.address, world.now_us))
    assert b.node.gateway.is_open(7)
    b.does(b.node.stream_closed(7, world.now_us))
    assert not b.node.gateway.is_open(7)


def test_a_room_that_closes_is_gone_everywhere_and_its_name_is_free() -> None:
    world, alice, bob = two_talk()
    alice.says("/exit")
    assert bob.sees[-1] == "Room closed"
    world.passes(world.limits.linger / SECOND + 1)
    assert not [key for key in world.keys if not key.startswith("node.")]
    assert all(not each.node.ownership.rooms and not each.node.gateway.sessions for each in world.nodes.values())
    assert world.user("carol", "c").creates().token
    assert bob.sees.count("Server shutdown") == 0


def test_a_connection_that_breaks_off_is_over_at_the_owner_of_its_room_too() -> None:
    world = Cluster("a", "b", connections_per_ip_max=1)
    world.user("alice", "a").creates()
    for name in ("bob", "carol"):
        user = world.user(name, "b", ip="10.1.0.1")
        stream = user.sends(JOIN, "lobby")
        world.passes(0.1)
        assert (user.has_token, user.is_closed) == (True, False), name
        user.breaks_off(stream)
        world.passes(0.1)


def test_a_connection_that_breaks_off_at_the_owner_itself_is_over() -> None:
    world = Cluster("a", connections_per_ip_max=1)
    for name in ("bob", "carol"):
        user = world.user(name, "a", ip="10.1.0.1")
        stream = user.sends(CREATE, f"{name}'s")
        world.passes(0.1)
        assert user.has_token, name
        user.breaks_off(stream)


def test_a_connection_that_broke_off_is_not_closed_again_later() -> None:
    world, _, _ = two_talk()
    world.nodes["a"].is_cut = True
    dave = world.user("dave", "b")
    dave.breaks_off(dave.sends(JOIN, "lobby"))
    world.passes(world.limits.handshake_timeout / SECOND + LEASE * 2)
    assert not dave.is_closed


def test_a_client_may_half_close_before_the_owner_of_its_room_is_found() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    b, dave = world.nodes["b"], world.user("dave", "b")
    b.node.ownership.rooms.clear()  # as if the bucket's news had not come yet
    stream = dave.sends(JOIN, "lobby")
    b.does(b.node.stream_ended(stream, world.now_us))
    world.passes(0.1)
    assert (dave.has_token, dave.is_closed) == (True, True)


def test_the_records_of_a_gateway_forget_a_stream_whose_request_goes_to_the_owner() -> None:
    world, _, _ = two_talk()
    b, dave = world.nodes["b"].node, world.user("dave", "b")
    request = dave.speaks.write_request(JOIN, b"lobby", "dave", "", "127.0.0.1", 5000)
    b.stream_opened(7, dave.address, world.now_us)
    outputs = b.receive_stream(7, request, world.now_us)
    assert Forgotten(7) in outputs
    assert [each for each in outputs if isinstance(each, SendMessage)]


def test_a_datagram_that_nobody_can_read_is_relayed_to_nobody() -> None:
    world, alice, bob = two_talk()
    b = world.nodes["b"]
    before = list(alice.sees)
    for junk in (b"", b"\xff", b"\x05\xffab"):
        b.does(b.node.receive_datagram(junk, bob.address, world.now_us))
    world.passes(0.1)
    assert alice.sees == before


def test_limits_that_are_loaded_anew_hold_for_the_clients_of_every_gateway() -> None:
    world, _, _ = two_talk()
    world.nodes["a"].node.set_limits(world.limits.with_settings({"members_max": 2}))
    late = [world.user(name, at).asks(JOIN, "lobby") for name, at in (("carol", "a"), ("dave", "c"))]
    assert late[0].heard == late[1].heard
    assert [(each.has_token, each.is_closed) for each in late] == [(False, True)] * 2


def test_who_creates_a_room_while_another_asks_whether_there_is_one_gets_it() -> None:
    world = Cluster("a", "b")
    alice, bob = world.user("alice", "a"), world.user("bob", "a")
    bob.sends(JOIN, "attic")
    alice.sends(CREATE, "attic")
    world.passes(0.1)
    assert world.owner_of("attic") == ["a"]
    assert alice.has_token
    assert bob.is_finished  # it has an answer, whichever


def test_a_request_that_breaks_off_before_the_room_is_made_leaves_its_name_free() -> None:
    world = Cluster("a", "b")
    alice = world.user("alice", "a")
    alice.breaks_off(alice.sends(CREATE, "attic"))
    world.passes(0.1)
    assert alice.heard == b""
    assert not [key for key in world.keys if not key.startswith("node.")]
    assert world.user("bob", "b").creates("attic").token


# --- how often a room is saved -------------------------------------------------------------------


@pytest.mark.parametrize("speaker", ["alice", "bob"])
def test_a_room_is_saved_a_second_after_a_text_and_once_for_all_that_was_said(speaker: str) -> None:
    world, *talking = two_talk()
    world.passes(3)
    before = saves(world)
    [speaks] = [each for each in talking if each.name == speaker]
    for number in range(5):
        speaks.says(str(number))
    world.passes(0.9)
    assert saves(world) == before
    world.passes(0.2)
    after = saves(world)
    assert after > before
    world.passes(3)
    assert saves(world) == after, "nothing happens in it"


@pytest.mark.parametrize("at", ["a", "b"])
def test_a_request_that_is_refused_saves_nothing(at: str) -> None:
    world, _, _ = two_talk()
    world.passes(3)
    before = saves(world)
    refused = world.user("alice", at).asks(JOIN, "lobby")
    world.passes(3)
    assert (refused.has_token, refused.is_closed) == (False, True)
    assert saves(world) == before


# --- a hand-over ---------------------------------------------------------------------------------


def test_a_handover_loses_no_session_and_no_text() -> None:
    world, alice, bob = two_talk()
    carol = world.user("carol", "c").joins()
    a = world.nodes["a"]
    a.does(a.node.hand_over(world.now_us))
    bob.says("on the way")
    world.passes(0.1)
    assert world.owner_of("lobby") in (["b"], ["c"])
    assert not a.node.has_rooms
    bob.says("there")
    alice.says("me too")
    assert carol.sees[-3:] == ["bob: on the way", "bob: there", "alice: me too"]
    assert alice.sees[-2:] == ["bob: on the way", "bob: there"]


def test_the_last_process_closes_its_rooms_and_tells_their_members() -> None:
    world = Cluster("a")
    alice = world.user("alice", "a").creates()
    a = world.nodes["a"]
    a.does(a.node.hand_over(world.now_us))
    a.does(a.node.shutdown(world.now_us))
    assert alice.sees == ["Server shutdown"]
    world.passes(1)
    assert not a.node.has_rooms


def test_a_room_that_nobody_took_in_time_is_left_to_others() -> None:
    world, alice, _ = two_talk()
    a = world.nodes["a"]
    a.does(a.node.hand_over(world.now_us))  # and no time passes
    assert a.node.ownership.rooms[b"lobby"].state is OwnershipState.HANDING_OVER
    assert a.node.has_rooms
    alice.sees.clear()
    a.does(a.node.shutdown(world.now_us))
    assert not a.node.has_rooms
    assert alice.sees == []
    assert f"owner.{b'lobby'.hex()}" in world.keys


def test_a_gateway_that_comes_back_under_its_name_serves_its_clients_again() -> None:
    world, alice, bob = two_talk()
    b = world.nodes["b"]
    b.does(b.node.release(world.now_us))
    b.crash()
    world.passes(0.5)
    alice.says("nobody there")
    world.passes(FOUND_OUT)
    world.begin("b")
    world.passes(0.1)
    alice.says("again")
    bob.says("yes")
    assert bob.sees[-1] == "alice: again"
    assert alice.sees[-1] == "bob: yes"


def test_a_gateway_that_came_back_under_its_name_tells_its_clients_too_that_it_is_cut_off() -> None:
    world, _, bob = two_talk()
    world.nodes["b"].crash()
    world.passes(FOUND_OUT)
    world.begin("b")
    world.passes(LEASE * 2)
    world.fails()
    world.passes(LEASE + 0.1)
    assert bob.sees[-1] == "Server shutdown"


def test_rooms_that_nobody_could_take_go_to_the_first_process_that_comes() -> None:
    world = Cluster("a")
    alice = world.user("alice", "a").creates()
    a = world.nodes["a"]
    a.does(a.node.hand_over(world.now_us))
    world.passes(LEASE * 2)
    assert world.owner_of("lobby") == ["a"]
    world.begin("b")
    world.passes(0.1)
    assert world.owner_of("lobby") == ["b"]
    assert not a.node.has_rooms
    assert "サーバーが停止しました" not in alice.sees


def test_the_rooms_that_the_last_process_closes_are_gone_from_the_bucket() -> None:
    world = Cluster("a")
    world.user("alice", "a").creates()
    a = world.nodes["a"]
    a.does(a.node.shutdown(world.now_us))
    world.passes(1)
    assert list(world.keys) == ["node.a"]


def test_a_process_that_has_left_tells_nobody_that_it_is_cut_off() -> None:
    world, alice, _ = two_talk()
    a = world.nodes["a"]
    a.does(a.node.hand_over(world.now_us))
    world.passes(0.1)
    a.does(a.node.release(world.now_us))
    world.passes(LEASE)
    for _ in range(2):
        a.does(a.node.handle_timeout(world.now_us))
        world.passes(LEASE)
    assert "サーバーが停止しました" not in alice.sees
    assert not world.told(What.MEMBERS_TOLD)


def test_a_request_during_a_handover_to_its_own_gateway_is_answered_and_closed_once() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a, dave = world.nodes["a"], world.user("dave", "b")
    a.does(a.node.hand_over(world.now_us))
    stream = dave.sends(JOIN, "lobby")
    world.passes(0.1)
    assert world.owner_of("lobby") == ["b"]
    assert (dave.has_token, dave.is_finished) == (True, True)
    assert dave.is_closed_once(stream)


def test_a_request_that_breaks_off_during_a_handover_to_its_own_gateway_is_not_served() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a, dave = world.nodes["a"], world.user("dave", "b")
    a.does(a.node.hand_over(world.now_us))
    dave.breaks_off(dave.sends(JOIN, "lobby"))
    world.passes(0.1)
    assert world.owner_of("lobby") == ["b"]
    assert (dave.heard, dave.is_finished) == (b"", False)
    assert world.user("dave", "a").joins().token


# --- what an operator is told --------------------------------------------------------------------


def test_rooms_elsewhere_are_named_with_their_owners_and_without_one_while_there_is_none() -> None:
    world, _, bob = two_talk()
    a, b = world.nodes["a"].node, world.nodes["b"].node
    assert (a.elsewhere(), b.elsewhere()) == ({}, {"lobby": "a"})
    assert [a.guests.gateway_of(each.listener) for each in a.registry.sessions.values()] == [("a", 0), ("b", 0)]
    world.nodes["a"].is_cut = world.nodes["b"].is_cut = True  # the bucket is away
    world.passes(LEASE * 1.1)
    assert (a.elsewhere(), b.elsewhere()["lobby"]) == ({"lobby": ""}, "a")
    world.nodes["c"].crash()
    for name in ("a", "b"):
        world.nodes[name].comes_back()
    world.passes(FOUND_OUT * 2)
    [owner] = world.owner_of("lobby")
    other = "b" if owner == "a" else "a"
    assert (world.nodes[owner].node.elsewhere(), world.nodes[other].node.elsewhere()) == ({}, {"lobby": owner})
    bob.world.user("carol", "b").asks(CREATE, "attic", "secret")
    assert world.nodes["a"].node.elsewhere()["attic"] == "b"


def test_an_operator_removes_members_and_closes_rooms_that_are_here_and_no_others() -> None:
    world, _, bob = two_talk()
    carol = world.user("carol", "c").joins()
    a, b = world.nodes["a"], world.nodes["b"]
    assert b.node.remove("bob", "lobby", world.now_us) is None
    assert b.node.close_room("lobby", world.now_us) is None
    assert a.node.remove("dave", "lobby", world.now_us) is None
    removed = a.node.remove("bob", "lobby", world.now_us)
    assert removed is not None
    a.does(removed)
    world.passes(0.1)
    assert bob.sees[-1] == "You were removed"
    closed = a.node.close_room("lobby", world.now_us)
    assert closed is not None
    a.does(closed)
    world.passes(0.1)
    assert carol.sees[-1] == "Room closed"


# --- what others may send ------------------------------------------------------------------------


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=8,
)


@given(st.sampled_from(Kind), st.lists(JUNK, max_size=6), st.binary(max_size=64), st.integers(0, 2**40))
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_message_of_wrong_content_harms_nobody(kind: Kind, what: list[object], body: bytes, fence: int) -> None:
    world, alice, bob = TALKING
    a = world.nodes["a"]
    sender = world.nodes["b"].node.lease.address
    a.does(a.node.receive_message(write(Message(kind, b"lobby", fence, sender, tuple(what), body)), world.now_us))
    assert world.owner_of("lobby") == ["a"]
    bob.says("still")
    assert alice.sees[-1] == "bob: still"


TALKING = two_talk()


def test_a_message_that_cannot_be_read_is_spoken_of() -> None:
    world, _, _ = two_talk()
    sender = world.nodes["b"].node.lease.address
    said = world.nodes["a"].node.receive_message(write(Message(Kind.DATAGRAM, b"lobby", 1, sender)), world.now_us)
    assert said == [Happened(What.STRANGER, sender, "a message that cannot be read")]


def test_what_is_no_message_harms_nobody_though_a_process_joins_afterwards() -> None:
    world, alice, bob = two_talk()
    a = world.nodes["a"]
    assert a.node.receive_message(b"junk", world.now_us) == []
    world.begin("d")
    world.passes(0.1)
    bob.says("still")
    assert alice.sees[-1] == "bob: still"


def test_a_key_that_is_of_no_process_and_no_room_is_passed_over() -> None:
    world, alice, bob = two_talk()
    a = world.nodes["a"]
    a.does(a.node.bucket_changed(Entry(b"lobby".hex(), None, world.revision + 1), world.now_us))
    bob.says("still")
    assert alice.sees[-1] == "bob: still"


def test_the_stream_of_a_room_that_is_gone_is_closed_at_its_gateway() -> None:
    world, _, _ = two_talk()
    a, b = world.nodes["a"].node, world.nodes["b"].node.lease.address
    opened = Message(Kind.OPEN, b"attic", 1, b, (9, "10.0.0.9", 5000, 0, 0))
    closed = SendMessage(b, write(Message(Kind.CLOSE, b"attic", 0, a.lease.address, (9,))))
    assert a.receive_message(write(opened), world.now_us) == [closed]


def test_a_request_for_a_room_that_has_moved_on_is_served_by_its_owner_alone() -> None:
    world, _, _ = two_talk()
    b, sender = world.nodes["b"].node, world.nodes["c"].node.lease.address
    speaks = world.user("dave", "c").speaks
    request = speaks.write_request(JOIN, b"lobby", "dave", "", "127.0.0.1", 5000)
    opened = Message(Kind.OPEN, b"lobby", 1, sender, (9, "10.0.0.9", 5000, 0, 0), request)
    passed_on = SendMessage(world.nodes["a"].node.lease.address, write(opened._replace(hops=1)))
    assert b.receive_message(write(opened), world.now_us) == [passed_on]
    assert b.receive_message(write(opened._replace(hops=HOPS_MAX)), world.now_us) == []


def test_a_message_for_a_room_that_has_moved_on_is_passed_on_a_few_times() -> None:
    world, _, bob = two_talk()
    b, sender = world.nodes["b"], world.nodes["c"].node.lease.address
    what = (0, bob.address.ip, bob.address.port)
    for hops in range(HOPS_MAX + 1):
        message = Message(Kind.DATAGRAM, b"lobby", 1, sender, what, b"hi", hops)
        sent = [each for each in b.node.receive_message(write(message), world.now_us) if isinstance(each, SendMessage)]
        passed_on = [SendMessage(world.nodes["a"].node.lease.address, write(message._replace(hops=hops + 1)))]
        assert sent == (passed_on if hops < HOPS_MAX else []), hops


def test_of_what_waits_for_an_owner_the_oldest_gives_way_and_that_is_spoken_of() -> None:
    world, _, bob = two_talk()
    b = world.nodes["b"]
    b.forgets_the_others()
    for number in range(WAITING_MAX + 1):
        assert not world.told(What.INPUTS_LOST), number
        data = bob.speaks.datagram.write(b"lobby", bob.token, "bob", str(number))
        b.does(b.node.receive_datagram(data, bob.address, world.now_us))
    assert [each.subject for each in world.told(What.INPUTS_LOST)] == ["lobby"]
    assert str(WAITING_MAX).encode() in b.node.ownership.rooms[b"lobby"].waiting[-1].body


def test_a_process_that_finds_its_lease_over_by_a_message_does_not_serve_it() -> None:
    world, _, bob = two_talk()
    a, b = world.nodes["a"], world.nodes["b"]
    what = (0, bob.address.ip, bob.address.port)
    data = bob.speaks.datagram.write(b"lobby", bob.token, "bob", "late")
    message = Message(Kind.DATAGRAM, b"lobby", 1, b.node.lease.address, what, data)
    late_us = world.now_us + round(FOUND_OUT * SECOND)
    for now_us, is_served in ((world.now_us, True), (late_us, False)):
        outputs = a.node.receive_message(write(message), now_us)
        assert bool([each for each in outputs if isinstance(each, Relay)]) is is_served
    assert not a.node.ownership.owns(b"lobby")


def test_a_process_that_saw_nothing_because_it_was_cut_off_takes_no_room_from_a_living_owner() -> None:
    world, _, _ = two_talk()
    b = world.nodes["b"]
    b.is_cut = True
    world.passes(LEASE * 2)
    b.is_cut = False  # it reaches the bucket; what was shown meanwhile is lost to it
    world.passes(LEASE * 2)
    assert b.node.lease.holds(world.now_us)
    assert world.owner_of("lobby") == ["a"]
    assert not world.told(What.ROOM_RECOVERED)
