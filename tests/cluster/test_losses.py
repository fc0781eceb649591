"""What survives when a process, its lease, a message or the bucket is lost for a while or for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster_world import FOUND_OUT, LEASE, SECOND, Cluster, Process, two_talk
from tcrp.cluster import keys
from tcrp.cluster.keys import OWNER, STATE, OwnerValue, key_of
from tcrp.cluster.messages import Kind, Message, write
from tcrp.cluster.outputs import Answer, ClusterStepped, Entry, Get, Happened, NodeOutput, Put, What
from tcrp.engine.outputs import Relay, SendFrame, Stepped
from tcrp.spec.cluster_names import ClusterMachine, LeaseState, OwnershipState
from tcrp.spec.names import Machine, Operation

CREATE, JOIN = Operation.CREATE, Operation.JOIN


def test_a_room_goes_on_elsewhere_within_the_lease_when_its_owner_crashes() -> None:
    world, _, bob = two_talk()
    carol = world.user("carol", "c").joins()
    world.nodes["a"].crash()
    world.passes(FOUND_OUT)
    assert world.owner_of("lobby") in (["b"], ["c"])
    assert [each.why for each in world.told(What.ROOM_RECOVERED)] == [""]
    bob.says("still here")
    assert carol.sees[-1] == "bob: still here"
    assert world.user("dave", "c").joins().token


def test_what_clients_send_while_a_room_has_no_owner_is_relayed_afterwards() -> None:
    world, _, bob = two_talk()
    carol = world.user("carol", "c").joins()
    world.nodes["a"].crash()
    world.passes(FOUND_OUT - 0.3)
    world.nodes["b"].node.lease.tick(world.now_us)
    bob.says("anyone?")
    world.passes(0.5)
    assert [each for each in carol.sees if "anyone" in each] in ([], ["bob: anyone?"])


def test_a_process_that_was_stopped_for_longer_than_its_lease_relays_nothing_on_its_own() -> None:
    world, alice, bob = two_talk()
    carol = world.user("carol", "c").joins()
    a = world.nodes["a"]
    a.stop()
    world.passes(FOUND_OUT)
    assert len(world.owner_of("lobby")) == 1
    bob.says("while it slept")
    alice.says("queued")  # in its socket
    assert a.missed
    a.go_on()
    assert world.owner_of("lobby") != ["a"], "it finds out before it looks at what waits"
    assert a.node.lease.state is not LeaseState.HELD
    world.passes(1)
    assert [each for each in carol.sees if "alice" in each and "queued" in each] == ["alice: queued"]
    assert len(world.owner_of("lobby")) == 1
    alice.says("back")
    assert (carol.sees[-1], bob.sees[-1]) == ("alice: back", "alice: back")
    assert "Server shutdown" not in [*alice.sees, "チャットルームが閉じられました"][:-1]


def test_an_output_of_an_owner_that_has_been_replaced_is_dropped() -> None:
    world, _, _ = two_talk()
    b = world.nodes["b"]
    at = b.node.ownership.rooms[b"lobby"]
    what = ("relay", 0, [["10.0.0.2", 40002]], True)
    sender = world.nodes["a"].node.lease.address
    stale = Message(Kind.SEND, b"lobby", at.fence - 1, sender, what, b"stale")
    assert b.node.receive_message(write(stale), world.now_us) == [Happened(What.STALE_OWNER, sender, "lobby")]
    fresh = stale._replace(fence=at.fence)
    assert [each for each in b.node.receive_message(write(fresh), world.now_us) if isinstance(each, Relay)]


def test_the_bucket_may_be_away_for_less_than_a_lease() -> None:
    world, alice, bob = two_talk()
    world.fails()
    world.passes(LEASE / 2)
    bob.says("meanwhile")
    world.is_back()
    world.passes(LEASE * 2)
    bob.says("after")
    assert alice.sees[-2:] == ["bob: meanwhile", "bob: after"]
    assert world.owner_of("lobby") == ["a"]
    assert not world.told(What.MEMBERS_TOLD)


def test_a_bucket_that_is_back_is_asked_at_once_though_an_answer_is_still_due() -> None:
    world = Cluster("a")
    a = world.nodes["a"]
    world.passes(LEASE)
    world.is_up = False
    world.passes(LEASE / 3 + 0.01)
    assert a.node.lease.state is LeaseState.RENEWING
    assert not [each for each in a.node.handle_timeout(world.now_us) if isinstance(each, Put)]
    assert [each.key for each in a.node.connected(True, world.now_us) if isinstance(each, Put)] == ["node.a"]


def test_members_are_told_when_the_bucket_is_away_for_longer_and_the_room_is_free_afterwards() -> None:
    world, alice, bob = two_talk()
    world.fails()
    world.passes(LEASE + 0.1)
    assert world.owner_of("lobby") == []
    assert bob.sees[-1] == "Server shutdown"
    assert alice.sees[-1] == "サーバーが停止しました"
    refused = world.user("dave", "c").asks(CREATE, "attic").heard
    assert refused[-1] == 7  # too_many_requests
    world.is_back()
    world.passes(LEASE * 2 + 1)
    assert not world.owner_of("lobby") or not world.nodes[world.owner_of("lobby")[0]].node.registry.sessions
    world.passes(world.limits.linger / SECOND + 3)
    assert world.user("dave", "c").creates().token


def test_members_are_told_as_soon_as_the_lease_is_over_where_the_bucket_is_known_to_be_away() -> None:
    world, _, bob = two_talk()
    world.fails()
    for name in ("a", "c"):
        world.nodes[name].crash()
    until_us = world.nodes["b"].node.lease.until_us
    world.passes((until_us - world.now_us) / SECOND - 0.001)
    assert "Server shutdown" not in bob.sees
    world.passes(0.001)
    assert bob.sees.count("Server shutdown") == 1


def test_members_are_told_half_a_lease_later_where_the_bucket_seems_to_be_in_reach() -> None:
    world, _, bob = two_talk()
    b = world.nodes["b"]
    b.is_cut = True
    until_us = b.node.lease.until_us
    world.passes((until_us - world.now_us) / SECOND + LEASE / 2 - 0.001)
    assert "Server shutdown" not in bob.sees
    world.passes(0.001)
    assert bob.sees.count("Server shutdown") == 1


def test_a_process_that_has_told_its_members_rests_until_it_asks_the_bucket_again() -> None:
    world, _, _ = two_talk()
    b = world.nodes["b"]
    world.fails()
    world.passes(LEASE + 0.1)
    assert world.told(What.MEMBERS_TOLD)
    deadline_us = b.node.next_deadline_us()
    assert deadline_us is not None
    assert deadline_us > world.now_us


def test_a_bucket_that_is_out_of_reach_is_asked_nothing_at_that_moment() -> None:
    world, _, _ = two_talk()
    outputs = world.nodes["a"].node.connected(False, world.now_us)
    assert not [each for each in outputs if isinstance(each, Put)]


def test_a_request_that_was_refused_while_it_was_cut_off_is_not_served_afterwards() -> None:
    world, _, _ = two_talk()
    b = world.nodes["b"]
    b.is_cut = True
    world.passes(LEASE)
    assert not b.node.lease.holds(world.now_us)
    refused = world.user("dave", "b").asks(JOIN, "lobby")
    attic = world.user("erin", "b").asks(CREATE, "attic")
    assert [each.heard[-1] for each in (refused, attic)] == [7, 7]  # too_many_requests
    b.comes_back()
    world.passes(LEASE * 2)
    assert world.owner_of("attic") == []
    assert world.user("dave", "c").joins().token


def test_what_waits_for_an_owner_is_relayed_once_though_the_room_moves_later() -> None:
    world, alice, bob = two_talk()
    world.nodes["b"].forgets_the_others()
    bob.says("is anybody there?")
    world.passes(LEASE)
    a = world.nodes["a"]
    a.does(a.node.hand_over(world.now_us))
    world.passes(LEASE)
    assert world.owner_of("lobby") != ["a"]
    assert alice.sees.count("bob: is anybody there?") == 1


def test_the_rooms_of_a_process_that_leaves_without_giving_them_away_go_on_at_once() -> None:
    world, alice, bob = two_talk()
    a = world.nodes["a"]
    a.does(a.node.release(world.now_us))
    a.crash()
    world.passes(0.1)
    assert world.owner_of("lobby") in (["b"], ["c"])
    assert alice.token
    carol = world.user("carol", "c").joins()
    bob.says("here")
    assert carol.sees[-1] == "bob: here"


def test_a_request_for_a_room_without_an_owner_waits_while_its_gateway_is_cut_off() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a, b, bob = world.nodes["a"], world.nodes["b"], world.user("bob", "b").joins()
    a.does(a.node.release(world.now_us))
    a.crash()
    world.fails()
    world.passes(0.1)
    dave = world.user("dave", "b").asks(JOIN, "lobby")
    bob.says("anybody?")
    assert dave.heard == b""
    world.passes(LEASE + 0.5)
    assert not b.node.lease.holds(world.now_us)
    world.is_back()
    world.passes(LEASE)
    assert world.owner_of("lobby") == ["b"]
    assert dave.has_token


def test_a_stream_whose_owner_was_lost_is_closed_though_its_room_came_here_and_is_gone() -> None:
    world = Cluster("a", "b")
    world.user("alice", "a").creates()
    a, b, dave = world.nodes["a"], world.nodes["b"], world.user("dave", "b")
    a.is_cut = True
    stream = dave.sends(JOIN, "lobby")
    a.crash()
    world.passes(FOUND_OUT + 0.5)
    assert world.owner_of("lobby") == ["b"]
    b.does(b.node.receive_stream(stream, b"hello?", world.now_us))
    closed = b.node.close_room("lobby", world.now_us)
    assert closed is not None
    b.does(closed)
    world.passes(world.limits.linger / SECOND + 1)
    assert b.node.elsewhere() == {}
    assert world.owner_of("lobby") == []
    b.does(b.node.receive_stream(stream, b"anybody?", world.now_us))
    world.passes(world.limits.handshake_timeout / SECOND)
    assert (dave.heard, dave.is_closed) == (b"", True)


@pytest.mark.parametrize("first", ["a datagram", "a request", "an answer", "news", "a hand-over", "a stranger's key"])
def test_a_process_that_goes_on_after_its_lease_owns_nothing_whatever_it_learns_first(first: str) -> None:
    world, alice, _ = two_talk()
    a = world.nodes["a"]
    late_us, dave = a.node.lease.until_us, world.user("dave", "a")
    a.does(a.node.stream_opened(7, dave.address, world.now_us))
    data = alice.speaks.datagram.write(b"lobby", alice.token, "alice", "late")
    request = dave.speaks.write_request(JOIN, b"lobby", "dave", "", "127.0.0.1", 5000)
    inputs: dict[str, Callable[[int], list[NodeOutput]]] = {
        "a datagram": lambda now_us: a.node.receive_datagram(data, alice.address, now_us),
        "a request": lambda now_us: a.node.receive_stream(7, request, now_us),
        "an answer": lambda now_us: a.node.bucket_answered(10**6, Answer(1), now_us),
        "news": lambda now_us: a.node.bucket_changed(Entry("owner.00", None, world.revision), now_us),
        "a hand-over": a.node.hand_over,
        "a stranger's key": lambda now_us: a.node.bucket_changed(Entry("other", b"", world.revision), now_us),
    }
    assert a.node.ownership.owns(b"lobby")
    outputs = inputs[first](late_us)
    assert not a.node.ownership.owns(b"lobby")
    assert not [
        each for each in outputs if isinstance(each, Relay) or (isinstance(each, Put) and "node" not in each.key)
    ]
    assert not [each for each in outputs if isinstance(each, SendFrame) and b"life" in each.data]


def test_a_snapshot_of_another_version_closes_the_room_and_its_members_are_told() -> None:
    world, _, bob = two_talk()
    world.nodes["a"].crash()
    key = f"state.{b'lobby'.hex()}"
    value, revision = world.keys[key]
    world.keys[key] = b"f" * 16 + value[16:], revision
    world.passes(FOUND_OUT + 1)
    assert "another version" in world.told(What.ROOM_NOT_RECOVERED)[0].why
    assert bob.sees[-1] == "Server shutdown"
    assert not [each for each in world.keys if each.startswith(("owner", "state"))]


def test_two_processes_of_one_name_do_not_both_own() -> None:
    world, _, _ = two_talk()
    first = world.nodes.pop("a")
    world.begin("a")
    second = world.nodes["a"]
    world.nodes["a, the first"] = first
    first.name = "a, the first"
    world.passes(LEASE * 3)
    assert first.node.lease.holds(world.now_us)
    assert not second.node.lease.holds(world.now_us)
    assert [each.subject for each in world.told(What.NAME_IN_USE)] == ["a"]


def test_a_process_of_another_version_is_not_spoken_to() -> None:
    world, _, _ = two_talk()
    stranger = world.begin("d", kin="other")
    world.passes(1)
    assert [(by, each.subject) for by, each in world.happened if each.what is What.STRANGER] == [
        ("d", "a"), ("d", "b"), ("d", "c"), ("a", "d"), ("b", "d"), ("c", "d"),
    ]  # fmt: skip
    assert not stranger.node.lease.seen
    assert world.user("dave", "d").asks(JOIN, "lobby").heard[-1] == 2  # no_such_room: not of its cluster


def test_a_room_keeps_the_state_that_each_process_sees() -> None:
    world, _, _ = two_talk()
    seen = [world.nodes[name].node.ownership.rooms[b"lobby"].state for name in ("a", "b", "c")]
    assert seen == [OwnershipState.OWNED, OwnershipState.ELSEWHERE, OwnershipState.ELSEWHERE]


def test_a_connection_whose_owner_never_answers_is_closed() -> None:
    world, _, _ = two_talk()
    world.nodes["a"].is_cut = True  # for less than its lease
    dave = world.user("dave", "b").asks(JOIN, "lobby")
    assert (dave.heard, dave.is_closed) == (b"", False)
    world.passes(world.limits.handshake_timeout / SECOND + LEASE)
    assert dave.is_closed


def test_what_waits_for_an_owner_goes_on_when_the_owner_is_seen_after_its_room() -> None:
    world, alice, bob = two_talk()
    world.nodes["b"].forgets_the_others()
    bob.says("is anybody there?")
    assert "bob: is anybody there?" not in alice.sees
    world.passes(LEASE / 2)
    assert alice.sees[-1] == "bob: is anybody there?"


def test_a_request_that_comes_before_the_first_lease_waits_for_it() -> None:
    world = Cluster()
    world.begin("a")
    alice = world.user("alice", "a")
    assert not world.nodes["a"].node.lease.holds(world.now_us)
    assert alice.asks(CREATE, "lobby").heard[34:]  # a token, and no refusal
    assert world.owner_of("lobby") == ["a"]


@pytest.mark.parametrize(("operation", "room"), [(JOIN, "lobby"), (CREATE, "attic")])
def test_a_request_that_breaks_off_before_the_first_lease_is_forgotten(operation: Operation, room: str) -> None:
    world, _, _ = two_talk()
    world.begin("d")
    dave = world.user("dave", "d")
    dave.breaks_off(dave.sends(operation, room))
    world.passes(0.1)
    assert world.nodes["d"].node.lease.holds(world.now_us)
    assert dave.heard == b""
    assert world.owner_of("attic") == []
    assert world.user("dave", "c").joins().token


def starts_late(world: Cluster, name: str) -> tuple[Process, int]:
    """A process begins that the bucket has not answered yet, and what it has asked."""
    world.is_up = False
    process = world.begin(name)
    world.is_up = True
    world.passes(0.001)
    [ask] = [each.ask for each in process.node.connected(True, world.now_us) if isinstance(each, Put)]
    return process, ask


def test_what_waits_for_the_first_lease_goes_on_with_the_answer_that_grants_it() -> None:
    world = Cluster()
    a, ask = starts_late(world, "a")
    world.user("alice", "a").sends(CREATE, "lobby")
    outputs = a.node.bucket_answered(ask, Answer(1), world.now_us)
    assert [each.key for each in outputs if isinstance(each, Put)] == ["node.a", f"owner.{b'lobby'.hex()}"]


def test_a_room_that_a_process_was_given_before_it_knew_its_lease_is_fetched_as_soon_as_it_knows() -> None:
    world = Cluster()
    a, ask = starts_late(world, "a")
    key = key_of(OWNER, b"lobby")
    value = keys.write(OwnerValue(a.node.lease.kin, a.node.lease.address, 0, is_listed=True, is_given=True))
    assert not [each for each in a.node.bucket_changed(Entry(key, value, 5), world.now_us) if isinstance(each, Get)]
    outputs = a.node.bucket_answered(ask, Answer(6), world.now_us)
    assert [each.key for each in outputs if isinstance(each, Get)] == [key_of(STATE, b"lobby")]


def test_a_process_that_was_not_started_asks_the_bucket_nothing() -> None:
    world = Cluster("a")
    new = Process(world, "b", "life9", "")
    outputs = [
        each
        for key, (value, revision) in world.keys.items()
        for each in new.node.bucket_changed(Entry(key, value, revision), world.now_us)
    ]
    assert outputs == [Happened(What.NODE_JOINED, "a")]


def test_that_a_room_is_owned_is_told_before_what_comes_of_it() -> None:
    world = Cluster("a")
    a, alice = world.nodes["a"], world.user("alice", "a")
    request = alice.speaks.write_request(CREATE, b"lobby", "alice", "", "127.0.0.1", 5000)
    a.does(a.node.stream_opened(7, alice.address, world.now_us))
    asked = [each for each in a.node.receive_stream(7, request, world.now_us) if isinstance(each, Put)]
    told = a.node.bucket_answered(asked[0].ask, Answer(world.revision + 1), world.now_us)
    steps = [each.machine for each in told if isinstance(each, ClusterStepped | Stepped)]
    assert steps[0] is ClusterMachine.OWNERSHIP
    assert Machine.ROOM in steps


def test_who_holds_no_lease_makes_no_room_though_it_is_told_that_there_is_none() -> None:
    world = Cluster("a", "b")
    a = world.nodes["a"]
    a.is_cut = True
    bob = world.user("bob", "a").asks(JOIN, "attic")
    alice = world.user("alice", "a").asks(CREATE, "attic")
    assert alice.heard == bob.heard == b""  # both wait for what the bucket says of the room
    world.passes(FOUND_OUT)
    assert not a.node.lease.holds(world.now_us)
    asked = a.node.ownership.rooms[b"attic"].asked
    assert asked is not None
    a.does(a.node.bucket_answered(asked[1], Answer(None), world.now_us))
    assert [(each.heard[-1], each.is_finished, each.token) for each in (alice, bob)] == 2 * [
        (7, True, b"")
    ]  # too_many_requests
    assert a.node.ownership.rooms == {}


def test_a_request_that_breaks_off_while_it_waits_is_not_refused_when_the_lease_is_over() -> None:
    world = Cluster("a", "b")
    a, alice = world.nodes["a"], world.user("alice", "a")
    a.is_cut = True
    world.user("bob", "a").asks(JOIN, "attic")
    stream = alice.sends(CREATE, "attic")
    world.passes(FOUND_OUT)
    alice.breaks_off(stream)
    asked = a.node.ownership.rooms[b"attic"].asked
    assert asked is not None
    a.does(a.node.bucket_answered(asked[1], Answer(None), world.now_us))
    assert alice.heard == b""


def test_an_open_connection_goes_with_its_room_and_stays_with_its_gateway() -> None:
    world, _, _ = two_talk()
    a, b = world.nodes["a"], world.nodes["b"]
    carol, dave = world.user("carol", "a"), world.user("dave", "b")
    streams = []
    for each, process in ((carol, a), (dave, b)):
        streams.append((process, stream := 7000 + each.address.port, each))
        process.streams[stream] = each
        data = each.speaks.write_request(JOIN, b"lobby", each.name, "", "127.0.0.1", 5000)
        process.does(process.node.stream_opened(stream, each.address, world.now_us))
        process.does(process.node.receive_stream(stream, data, world.now_us))
    world.passes(0.1)
    a.does(a.node.hand_over(world.now_us))
    world.passes(0.1)
    assert world.owner_of("lobby") != ["a"]
    for process, stream, each in streams:
        assert (each.is_finished, each.is_closed) == (True, False)
        process.does(process.node.stream_ended(stream, world.now_us))
        world.passes(0.1)
        assert each.is_closed, each.name


def test_an_open_connection_is_served_again_by_the_process_that_had_lost_its_lease() -> None:
    world = Cluster("a")
    world.user("alice", "a").creates()
    a, carol = world.nodes["a"], world.user("carol", "a")
    a.streams[7] = carol
    data = carol.speaks.write_request(JOIN, b"lobby", "carol", "", "127.0.0.1", 5000)
    a.does(a.node.stream_opened(7, carol.address, world.now_us))
    a.does(a.node.receive_stream(7, data, world.now_us))
    world.passes(0.1)
    assert (carol.is_finished, carol.is_closed) == (True, False)
    a.is_cut = True
    world.passes(LEASE * 1.2)
    assert world.owner_of("lobby") == []
    a.comes_back()
    a.does(a.node.connected(True, world.now_us))
    world.passes(LEASE * 2)
    assert world.owner_of("lobby") == ["a"]
    a.does(a.node.stream_ended(7, world.now_us))
    assert carol.is_closed
