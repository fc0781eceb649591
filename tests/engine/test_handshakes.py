"""The TCP side: requests in pieces, refusals in their order, takeovers, passwords and limits."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from conversation import SECOND, Chat, Peer
from tcrp.engine.codec import codec
from tcrp.engine.frames import HEADER_BYTES, write_frame, write_request
from tcrp.engine.outputs import Address
from tcrp.engine.peers import peer_of, unmap_ipv4
from tcrp.engine.timers import STALE_MAX
from tcrp.spec.dialects import NAMES
from tcrp.spec.names import Counter, HandshakeState, Operation, Reason, SessionState
from tcrp.trace.records import RefusalRecord, StepRecord

CREATE, JOIN = Operation.CREATE, Operation.JOIN


def request(name: str = "dave", room: str = "lobby", operation: Operation = CREATE) -> bytes:
    """A request in the dialect `text`."""
    return write_request(operation, room.encode(), name.encode())


def refusal(reason_byte: int, room: bytes = b"lobby", operation: int = 1) -> bytes:
    return write_frame(len(room), operation, 1, room, bytes((reason_byte,)))


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 1000])
def test_a_request_may_be_cut_anywhere(size: int) -> None:
    chat = Chat()
    peer = chat.peer()
    data = request()
    for start in range(0, len(data), size):
        peer.sends(data[start : start + size])
    assert peer.heard.startswith(write_frame(5, 1, 1, b"lobby", b"\0"))
    assert chat.steps("handshake", peer.stream) == ["requested", "accepted", "completed"]


@pytest.mark.parametrize(
    "data",
    [
        write_frame(5, 9, 0, b"lobby", b"dave"),
        write_frame(5, 0, 0, b"lobby", b"dave"),
        write_frame(5, 1, 1, b"lobby", b"dave"),
        bytes((5, 1, 0)) + b"\xff" * 29,
        bytes((255, 1, 0)) + (4096 - HEADER_BYTES - 255 + 1).to_bytes(29, "big"),
    ],
    ids=["operation 9", "operation 0", "state 1", "2**232 - 1 bytes", "one byte too long"],
)
def test_a_header_that_cannot_be_is_refused_at_once(data: bytes) -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(data)
    assert peer.heard == refusal(4, b"", data[1])
    assert chat.steps("handshake", peer.stream) == ["refused"]
    assert chat.steps("session") == []


def test_a_request_of_just_the_limit_is_read() -> None:
    chat = Chat()
    peer = chat.peer()
    name = b"x" * (4096 - HEADER_BYTES - 5)
    peer.sends(write_request(CREATE, b"lobby", name))
    assert chat.steps("handshake", peer.stream) == ["requested", "refused"]  # read whole, and then too long a name


@pytest.mark.parametrize(
    "payload",
    [
        b"{", b"\xff\xfe\xff", b":::", b'{"username": "a", "username": "b", "password": ""}',
        b'{"username": "\\ud800", "password": ""}',
        b'{"username": NaN, "password": ""}', b"[" * 3000, b'{"username": 5, "password": ""}', b'"' + b"x" * 300 + b'"',
        b'{"user_name": "a", "udp_port": "5000"}', b'{"user_name": "a", "udp_port": true}',
        b'{"user_name": "a", "udp_port": 5000.0}', b'{"user_name": "a", "udp_port": 65536}',
        b'{"user_name": "a", "udp_port": 1023}', b'{"user_name": "a", "user_address": ["10.0.0.1"]}',
        b'{"user_name": "a", "user_address": ["10.0.0.1", 80]}', b'{"who": "a"}', b"{}", b'{"username": "a", "x": 1}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_a_bad_request(payload: bytes) -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(write_request(CREATE, b"lobby", payload))
    assert chat.steps("handshake", peer.stream) == ["requested", "refused"]
    assert chat.count(Counter.REFUSED_REQUESTS) == 1
    assert chat.count(Counter.ROOMS) == 0


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"a:b",
        b"[x]",
        "システム".encode(),
        b"\xff\xfe",
        b"a\x07b",
        "a\u202eb".encode(),
        "e\u0301".encode(),
        b"x" * 256,
    ],
)
def test_user_names_follow_the_rule(name: bytes) -> None:
    chat = Chat(only="text")
    peer = chat.peer()
    peer.sends(write_request(CREATE, b"lobby", name))
    assert peer.heard == refusal(4)
    assert chat.count(Counter.ROOMS) == 0


def test_a_name_that_is_none_but_for_its_last_two_bytes_is_a_name_and_a_port() -> None:
    chat = Chat()
    chat.peer().sends(write_request(CREATE, b"lobby", b"a:b"))
    [session] = chat.server.registry.sessions.values()
    assert (session.name, session.address) == ("a", ("10.9.0.1", int.from_bytes(b":b", "big")))


@pytest.mark.parametrize("port", [1024, 65535])
def test_ports_from_1024_on_are_taken(port: int) -> None:
    chat = Chat()
    payload = json.dumps({"user_name": "a", "user_address": ["10.6.6.6", port]}).encode()
    chat.peer("10.9.0.1").sends(write_request(CREATE, b"lobby", payload))
    [session] = chat.server.registry.sessions.values()
    assert session.address == ("10.9.0.1", port)  # never the address in the request


@pytest.mark.parametrize("room", [b"", b"x" * 255, b"bell\x07", "\u202ex".encode(), b"\xff"])
def test_room_names_follow_the_rule(room: bytes) -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(write_request(CREATE, room, b"dave"))
    good = room == b"x" * 255
    assert chat.count(Counter.ROOMS) == good


# --- half-closing, breaking, waiting --------------------------------------------------------------


def test_a_peer_that_half_closes_behind_its_request_still_gets_its_token() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(request(), wake=False)
    peer.half_closes()
    chat.passes(0)
    assert chat.steps("handshake", peer.stream) == ["requested", "accepted", "completed"]
    assert peer.is_closed
    assert chat.count(Counter.CONNECTIONS) == 0


def test_a_peer_found_gone_before_the_completion_was_granted_nothing() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(request(), wake=False)
    peer.breaks()
    chat.passes(0)
    assert chat.steps("handshake", peer.stream) == ["requested", "accepted", "abandoned"]
    assert chat.steps("session", "dave@lobby") == ["granted", "left"]
    assert chat.steps("room", "lobby") == ["created", "host_gone", "drained"]
    assert chat.server.next_deadline_us() is None
    assert chat.user("erin").creates("lobby").state is SessionState.IN_ROOM


def test_whoever_would_have_superseded_and_is_gone_has_superseded_nobody() -> None:
    chat = Chat()
    alice = chat.user("alice").creates("lobby")
    chat.passes(30)
    peer = chat.peer(alice.address.ip)
    peer.sends(request("alice", operation=JOIN), wake=False)
    peer.breaks()
    bob = chat.user("bob").joins("lobby")
    alice.says("it is still me")
    assert bob.sees("it is still me")
    alice.leaves()
    assert bob.told == ["room_closed"]


@pytest.mark.parametrize("sent", [0, 1, 32, 36])
def test_half_a_request_or_none_is_dropped_at_the_handshake_timeout(sent: int) -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(request()[:sent])
    chat.passes(9.999999)
    assert not peer.is_closed
    chat.passes(0.000001)
    assert peer.is_closed
    assert chat.steps("handshake", peer.stream)[-1] == "abandoned"
    assert chat.count(Counter.CONNECTIONS) == 0


def test_a_peer_that_never_closes_is_closed_in_the_end() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(request())
    chat.passes(10)
    assert chat.count(Counter.CONNECTIONS) == 0
    assert chat.steps("handshake", peer.stream) == ["requested", "accepted", "completed"]


@pytest.mark.parametrize("spoken", [request(), request()[:2] + b"\1"], ids=["completed", "refused"])
def test_whatever_came_of_its_request_a_connection_ends_at_its_own_handshake_timeout(spoken: bytes) -> None:
    chat = Chat()
    peer = chat.peer()
    chat.passes(4)
    peer.sends(spoken.ljust(32, b"\0"))
    chat.passes(5.999999)
    assert chat.count(Counter.CONNECTIONS) == 1
    chat.passes(0.000001)
    assert chat.count(Counter.CONNECTIONS) == 0


@pytest.mark.parametrize("half_closes", [False, True])
def test_a_server_that_is_late_completes_what_it_accepted_before_it_closes(half_closes: bool) -> None:
    chat = Chat()
    peer = chat.peer()
    chat.now_us = 11 * SECOND  # the process was paused: what has arrived is read before timers are
    peer.sends(request(), wake=False)
    if half_closes:
        peer.half_closes()
    chat.settles()
    assert chat.steps("handshake", peer.stream) == ["requested", "accepted", "completed"]
    assert chat.count(Counter.CONNECTIONS) == 0


def test_a_trailer_may_come_in_one_piece_with_the_longest_request() -> None:
    payload = b'{"username": "dave", "password": ""}'
    data = write_request(CREATE, b"lobby", payload)
    chat = Chat(request_bytes_max=len(data))
    chat.peer().sends(data + b"\x90\x48")
    [session] = chat.server.registry.sessions.values()
    assert session.address == ("10.9.0.1", 0x9048)


def test_a_trailer_tells_the_port_and_may_come_in_pieces_or_with_the_request() -> None:
    payload = b'{"username": "%s", "password": ""}'
    for pieces in ([b"", b"\x90", b"\x48"], [b"\x90\x48"], [b"", b"\x90\x48\x11\x11"]):
        chat = Chat()
        peer = chat.peer()
        peer.sends(write_request(CREATE, b"lobby", payload % b"dave") + pieces[0])
        for piece in pieces[1:]:
            peer.sends(piece)
        [session] = chat.server.registry.sessions.values()
        assert session.address == ("10.9.0.1", 0x9048)
        assert session.state is SessionState.IN_ROOM


def test_a_trailer_with_a_low_port_tells_nothing() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(write_request(CREATE, b"lobby", b'{"username": "dave", "password": ""}'))
    peer.sends(b"\x03\xff")
    [session] = chat.server.registry.sessions.values()
    assert session.state is SessionState.TOKENED


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", NAMES)
def test_a_refusal_is_understood_in_every_dialect(dialect: str) -> None:
    chat = Chat(only=dialect, members_max=2, sessions_per_ip_max=1)
    chat.user("alice", dialect).creates("lobby")
    chat.user("bob", dialect).joins("lobby")
    refused = {
        Reason.ROOM_EXISTS: chat.user("carol", dialect).creates("lobby"),
        Reason.NO_SUCH_ROOM: chat.user("dave", dialect).joins("attic"),
        Reason.NAME_TAKEN: chat.user("bob", dialect).joins("lobby"),
        Reason.ROOM_FULL: chat.user("erin", dialect).joins("lobby"),
        Reason.BAD_REQUEST: chat.user("a:b", dialect).joins("lobby"),
        Reason.TOO_MANY_REQUESTS: chat.user("frank", dialect, ip="10.0.0.1").joins("lobby"),
    }
    for reason, user in refused.items():
        assert user.client.handshake is HandshakeState.REFUSED
        assert user.refused is (None if dialect == "json-name" else reason)  # which says only that it failed
    assert chat.count(Counter.SESSIONS) == 2


def test_reasons_are_tested_in_their_order() -> None:
    """One request that is wrong in every way, mended one by one."""
    chat = Chat(members_max=1, sessions_per_ip_max=1)
    chat.user("alice", "json").creates("lobby", "sesame")
    same = chat.user("alice", "json", ip="10.0.0.1")
    elsewhere = chat.user("alice", "json")
    stranger = chat.user("bob", "json")
    assert chat.user("a[", "json", ip="10.0.0.1").joins("lobby").refused is Reason.BAD_REQUEST
    assert same.joins("lobby").refused is Reason.TOO_MANY_REQUESTS
    assert elsewhere.joins("nowhere").refused is Reason.NO_SUCH_ROOM
    assert elsewhere.joins("lobby", "wrong").refused is Reason.WRONG_PASSWORD
    assert elsewhere.joins("lobby", "sesame").refused is Reason.NAME_TAKEN
    assert stranger.joins("lobby", "sesame").refused is Reason.ROOM_FULL


def test_a_refused_request_changes_nothing() -> None:
    chat = Chat()
    chat.user("alice").creates("lobby")
    before, deadline_us = chat.server.freeze(), chat.server.next_deadline_us()
    chat.user("bob").creates("lobby")
    chat.user("carol").joins("attic")
    assert (chat.server.freeze(), chat.server.next_deadline_us()) == (before, deadline_us)


# --- passwords -------------------------------------------------------------------------------------


def test_after_five_wrong_passwords_in_a_minute_a_further_one_is_too_many_for_a_minute() -> None:
    chat = Chat()
    chat.user("alice", "json").creates("vault", "sesame")
    guesser = chat.user("guesser", "json")
    for _ in range(5):
        assert guesser.joins("vault", "guess").refused is Reason.WRONG_PASSWORD
        chat.passes(1)
    assert chat.user("bob", "json").joins("vault", "guess").refused is Reason.WRONG_PASSWORD
    for seconds in (58, 0.9):
        chat.passes(seconds)
        assert guesser.joins("vault", "guess").refused is Reason.TOO_MANY_REQUESTS
        assert guesser.joins("vault").refused is Reason.WRONG_PASSWORD
    chat.passes(0.1)
    for _ in range(4):  # the last that was looked at counts
        assert guesser.joins("vault", "guess").refused is Reason.WRONG_PASSWORD


def test_a_lock_out_looks_at_one_password_a_second_and_so_lets_the_right_one_in() -> None:
    chat = Chat(password_tries_max=2)
    chat.user("alice", "json").creates("vault", "sesame")
    guesser = chat.user("guesser", "json")
    for _ in range(2):
        guesser.joins("vault", "guess")
    neighbour = chat.user("neighbour", "json", ip=guesser.address.ip)
    chat.passes(0.999999)
    assert neighbour.joins("vault", "sesame").refused is Reason.TOO_MANY_REQUESTS  # not looked at
    chat.passes(0.000001)
    assert guesser.joins("vault", "guess").refused is Reason.TOO_MANY_REQUESTS  # looked at
    chat.passes(0.999999)
    assert neighbour.joins("vault", "sesame").refused is Reason.TOO_MANY_REQUESTS
    chat.passes(0.000001)
    assert neighbour.joins("vault", "sesame").state is SessionState.IN_ROOM
    assert guesser.joins("vault", "guess").refused is Reason.TOO_MANY_REQUESTS  # the right one cleared nothing


def test_a_dialect_without_passwords_cannot_join_and_an_open_room_ignores_one() -> None:
    chat = Chat()
    chat.user("alice", "json").creates("vault", "sesame")
    chat.user("carol", "json").creates("lobby")
    assert chat.user("bob", "text").joins("vault").refused is Reason.WRONG_PASSWORD
    assert chat.user("dave", "json").joins("lobby", "whatever").state is SessionState.IN_ROOM


def test_passwords_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr("tcrp.engine.handshakes.compare_digest", compare)
    chat = Chat()
    chat.user("alice", "json").creates("vault", "sesame")
    chat.user("bob", "json").joins("vault", "sesam")
    assert compared == [(b"sesame", b"sesam")]


def test_a_password_stands_in_no_trace() -> None:
    chat = Chat()
    chat.user("alice", "json").creates("vault", "sesame-42")
    chat.user("bob", "json").joins("vault", "wrong-42")
    assert all("-42" not in record.line() for record in chat.records)


# --- takeovers -------------------------------------------------------------------------------------

BY_SILENCE: dict[str, Any] = {"takeover": "same_address", "takeover_after": 3 * SECOND}
ADDRESS_IN_REQUEST = ("json-address", "json-port", "json-endpoint")


@pytest.mark.parametrize("dialect", ["json", *ADDRESS_IN_REQUEST])
def test_the_holders_token_takes_over_the_name_at_once_and_the_room_is_told(dialect: str) -> None:
    chat = Chat(members_max=2)
    alice = chat.user("alice", dialect).creates("lobby")
    bob = chat.user("bob", "json").joins("lobby")
    again = chat.user("alice", dialect, ip=alice.address.ip)
    assert again.joins("lobby", resume=alice.token).state is SessionState.IN_ROOM  # though the room is full
    assert alice.state is SessionState.EXPIRED
    assert bob.told == ["joined"]
    again.leaves()
    assert bob.told[1:] == ["room_closed"] or dialect == "json-endpoint"  # which has no leave word


def test_who_is_superseded_is_told_that_and_not_that_its_name_has_joined() -> None:
    chat = Chat()
    alice, bob = chat.user("alice", "json").creates("lobby"), chat.user("bob", "json").joins("lobby")
    again = chat.user("alice", "json-endpoint", ip=alice.address.ip)  # which enters with its request
    assert again.joins("lobby", resume=alice.token).state is SessionState.IN_ROOM
    assert alice.told == ["joined", "superseded"]  # bob has joined
    assert bob.told == ["joined"]


def test_a_token_proves_nothing_from_elsewhere_nor_once_it_has_ended_nor_for_another_name() -> None:
    chat = Chat()
    alice, bob = chat.user("alice", "json").creates("lobby"), chat.user("bob", "json").joins("lobby")
    assert chat.user("alice", "json").joins("lobby", resume=alice.token).refused is Reason.NAME_TAKEN
    assert chat.user("alice", "json", ip=bob.address.ip).joins("lobby", resume=bob.token).refused is Reason.NAME_TAKEN
    again = chat.user("bob", "json", ip=bob.address.ip)
    assert again.joins("lobby", resume=bob.token).state is SessionState.IN_ROOM
    late = chat.user("bob", "json", ip=bob.address.ip)
    assert late.joins("lobby", resume=bob.token).refused is Reason.NAME_TAKEN


@pytest.mark.parametrize("proof", [b"7", b"null", b'["%032x"]' % 1, b'""', b'"%031x"' % 1])
def test_what_is_no_token_proves_nothing_and_is_no_bad_request(proof: bytes) -> None:
    chat = Chat()
    alice = chat.user("alice", "json").creates("lobby")
    payload = b'{"username": "alice", "password": "", "resume_token": %s}' % proof
    peer = chat.peer(alice.address.ip)
    peer.sends(bytes((5, 2, 0)) + len(payload).to_bytes(29, "big") + b"lobby" + payload)
    assert peer.heard[-1:] == bytes((6,))  # name_taken


def test_silence_takes_over_only_where_the_setting_says_so() -> None:
    for settings, state in (({}, SessionState.ANONYMOUS), (BY_SILENCE, SessionState.IN_ROOM)):
        chat = Chat(**settings)
        alice = chat.user("alice").creates("lobby")
        chat.passes(60)
        assert chat.user("alice", ip=alice.address.ip).joins("lobby").state is state


def test_where_silence_takes_over_the_token_does_too_and_where_nothing_does_it_does_not() -> None:
    for settings, state in ((BY_SILENCE, SessionState.IN_ROOM), ({"takeover": "off"}, SessionState.ANONYMOUS)):
        chat = Chat(**settings)
        alice = chat.user("alice", "json").creates("lobby")
        again = chat.user("alice", "json", ip=alice.address.ip)
        assert again.joins("lobby", resume=alice.token).state is state


def test_a_silent_name_is_taken_over_from_its_own_address_and_the_heir_is_host() -> None:
    chat = Chat(members_max=2, **BY_SILENCE)
    alice = chat.user("alice").creates("lobby")
    bob = chat.user("bob").joins("lobby")
    again = chat.user("alice", ip=alice.address.ip)
    bob.says("who is there?")
    alice.says("I am here")
    chat.passes(2.999999)
    assert again.joins("lobby").refused is Reason.NAME_TAKEN
    chat.passes(0.000001)
    assert chat.user("alice").joins("lobby").refused is Reason.NAME_TAKEN  # from elsewhere
    assert again.joins("lobby").state is SessionState.IN_ROOM  # though the room is full
    assert alice.told == ["superseded"]
    assert bob.told == []  # its dialect has no sentence for that
    again.leaves()
    assert bob.told == ["room_closed"]


def test_creating_the_room_whose_host_one_is_is_joining_it() -> None:
    chat = Chat()
    alice, bob = chat.user("alice", "json").creates("lobby"), chat.user("bob", "json").joins("lobby")
    guest = chat.user("bob", "json", ip=bob.address.ip)
    assert guest.creates("lobby", resume=bob.token).refused is Reason.ROOM_EXISTS  # a guest is no host
    assert chat.user("alice", "json", ip=alice.address.ip).creates("lobby").refused is Reason.ROOM_EXISTS
    again = chat.user("alice", "json", ip=alice.address.ip)
    assert again.creates("lobby", resume=alice.token).state is SessionState.IN_ROOM
    assert chat.steps("room", "lobby") == ["created", "joined", "joined", "left"]


@pytest.mark.parametrize("operation", [CREATE, JOIN])
def test_of_two_who_take_over_a_silent_host_in_one_moment_the_second_is_refused(operation: Operation) -> None:
    chat = Chat(**BY_SILENCE)
    alice = chat.user("alice").creates("lobby")
    chat.passes(30)
    first, second = chat.peer(alice.address.ip), chat.peer(alice.address.ip)
    first.sends(request("alice", operation=operation), wake=False)  # accepted, and not yet completed
    second.sends(request("alice", operation=operation))
    chat.passes(0)
    assert chat.steps("handshake", first.stream) == ["requested", "accepted", "completed"]
    assert chat.steps("handshake", second.stream) == ["requested", "refused"]
    assert alice.told == ["superseded"]


def test_a_takeover_that_is_broken_off_leaves_the_name_to_its_holder_however_long_it_took() -> None:
    """Found by reading: a second takeover of the first, which then broke off, gave the name back to the holder."""
    chat = Chat(**BY_SILENCE)
    alice = chat.user("alice").creates("lobby")
    bob = chat.user("bob").joins("lobby")
    chat.passes(30)
    first, second = chat.peer(alice.address.ip), chat.peer(alice.address.ip)
    first.sends(request("alice"), wake=False)
    chat.now_us += 10 * SECOND  # the server stood still
    second.sends(request("alice"), wake=False)
    first.breaks()
    chat.passes(0)
    assert chat.steps("handshake", second.stream) == ["requested", "refused"]
    alice.says("still here")
    assert bob.screen == [("alice", "still here")]


def test_a_host_who_never_entered_is_inherited_as_a_host_who_is_waited_for() -> None:
    for dialect, may_create in (("text", False), ("json", True), ("json-endpoint", True)):
        chat = Chat(unentered_rooms_per_ip_max=1, **BY_SILENCE)
        ip = chat.user("alice").address.ip
        chat.peer(ip).sends(request("alice", operation=CREATE))
        chat.passes(3)
        again = chat.user("alice", dialect, ip=ip)
        again.is_cut_off = True  # it enters by TCP, or not at all
        again.joins("lobby")
        other = chat.user("alice", ip=ip).creates("annex")
        assert (other.refused is None) == may_create


def test_a_takeover_needs_the_password() -> None:
    chat = Chat()
    alice = chat.user("alice", "json").creates("vault", "sesame")
    again = chat.user("alice", "json", ip=alice.address.ip)
    assert again.joins("vault", "wrong", resume=alice.token).refused is Reason.WRONG_PASSWORD
    assert again.creates("vault", "wrong", resume=alice.token).refused is Reason.ROOM_EXISTS
    assert again.joins("vault", "sesame", resume=alice.token).state is SessionState.IN_ROOM


def test_a_name_is_taken_over_three_times_a_minute_at_most() -> None:
    chat = Chat()
    chat.user("host").creates("lobby")
    bob = chat.user("bob", "json").joins("lobby")
    for _ in range(3):
        again = chat.user("bob", "json", ip=bob.address.ip)
        assert again.joins("lobby", resume=bob.token).state is SessionState.IN_ROOM
        bob = again
    late = chat.user("bob", "json", ip=bob.address.ip)
    assert late.joins("lobby", resume=bob.token).refused is Reason.NAME_TAKEN
    chat.passes(60)
    assert late.joins("lobby", resume=bob.token).state is SessionState.IN_ROOM


def test_a_room_remembers_takeovers_and_wrong_passwords_for_a_minute_only() -> None:
    chat = Chat(password_tries_max=1)
    chat.user("host", "json").creates("vault", "sesame")
    for n in range(30):
        bob = chat.user(f"bob {n}", "json").joins("vault", "sesame")
        again = chat.user(f"bob {n}", "json", ip=bob.address.ip).joins("vault", "sesame", resume=bob.token)
        chat.user("guesser", "json").joins("vault", "wrong")
        again.leaves()
        chat.passes(7)
    room = chat.server.registry.rooms[b"vault"]
    assert max(len(room.takeovers), len(room.wrong_passwords)) <= 60 // 7 + 1


def test_a_join_without_a_password_is_no_try() -> None:
    chat = Chat(password_tries_max=2)
    chat.user("host", "json").creates("vault", "sesame")
    bob = chat.user("bob", "json")
    for _ in range(5):
        assert bob.joins("vault").refused is Reason.WRONG_PASSWORD
    assert bob.joins("vault", "sesame").state is SessionState.IN_ROOM


def test_a_trailer_may_follow_the_longest_request_in_one_segment() -> None:
    for length in (4094, 4095, 4096):
        chat = Chat()
        payload = b'{"username": "alice", "password": "%s"}'
        payload = payload.replace(b"%s", b"x" * (length - 32 - 5 - len(payload) + 2))
        frame = write_request(CREATE, b"lobby", payload)
        assert len(frame) == length
        chat.peer("10.0.0.1").sends(frame + (40001).to_bytes(2, "big"))
        assert chat.server.registry.sessions_at == {Address("10.0.0.1", 40001): 1}


def test_who_is_being_granted_a_name_cannot_be_taken_over_and_may_break_off() -> None:
    """However long the server stood still between the two requests."""
    chat = Chat(**BY_SILENCE)
    chat.user("alice").creates("lobby")
    first, second = chat.peer("10.1.1.1"), chat.peer("10.1.1.1")
    first.sends(request("bob", operation=JOIN), wake=False)
    chat.now_us += 10 * SECOND
    second.sends(request("bob", operation=JOIN), wake=False)
    first.breaks()
    chat.passes(0)
    assert chat.steps("handshake", second.stream) == ["requested", "refused"]
    assert list(chat.server.registry.rooms[b"lobby"].members) == ["alice"]


def test_ended_sessions_do_not_stay_among_the_silences() -> None:
    chat = Chat()
    chat.user("alice").creates("lobby")
    bob = chat.user("bob")
    for _ in range(300):
        bob.joins("lobby").leaves()
    assert len(chat.server.registry._silences) <= 2 * 1 + STALE_MAX


def test_sessions_that_end_with_their_room_do_not_stay_among_the_silences() -> None:
    chat = Chat()
    ann = chat.user("ann").creates("hall")
    alice = chat.user("alice").creates("lobby")
    for number in range(2 * STALE_MAX):
        chat.user(f"guest{number}").joins("lobby")
    alice.leaves()
    assert list(chat.server.registry.sessions) == [ann.token]
    assert len(chat.server.registry._silences) <= 2 * 1 + STALE_MAX


def test_limits_that_change_often_do_not_fill_the_silences() -> None:
    chat = Chat(idle_timeout=1000 * SECOND)
    chat.user("alice").creates("lobby")
    chat.passes(60)  # her token was used in time
    for seconds in range(999, 999 - 3 * STALE_MAX, -1):
        chat.server.set_limits(chat.limits.with_settings({"idle_timeout": seconds * SECOND}))
    assert len(chat.server.registry._silences) <= 2 * 1 + STALE_MAX


def test_silences_are_in_order_after_stale_ones_are_dropped() -> None:
    chat = Chat(idle_timeout=60 * SECOND, token_timeout=60 * SECOND)
    alice = chat.user("alice").creates("lobby")
    chat.passes(25)
    bob = chat.user("bob").joins("lobby")
    chat.passes(30)
    alice.says("still here")
    chat.passes(28)  # alice came first, and her silence is now looked at after bob's
    carol = chat.user("carol")
    for _ in range(2 * STALE_MAX):
        carol.joins("lobby").leaves()
    chat.passes(27)
    assert bob.told[-1] == "idled"
    assert "idled" not in alice.told


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize(("idle_timeout", "told"), [(20 * SECOND, b"20"), (SECOND // 2, b"0.5")])
def test_a_json_completion_tells_the_timeout_to_who_asks_for_it(dialect: str, idle_timeout: int, told: bytes) -> None:
    can_tell = dialect in ADDRESS_IN_REQUEST
    for asks in (False, True):
        chat = Chat(only=dialect, idle_timeout=idle_timeout)
        data = codec(dialect).write_request(CREATE, b"lobby", "ann", "", "10.0.0.1", 40001, asks_for_timeout=asks)
        peer = chat.peer("10.0.0.1")
        peer.sends(data)
        chat.passes(0)
        assert peer.heard.endswith(b', "idle_timeout": ' + told + b"}") is (asks and can_tell)
        assert (b"idle_timeout" in peer.heard) is (asks and can_tell)
        assert chat.steps("handshake", peer.stream)[-1] == "completed"


@pytest.mark.parametrize("member", [b"1", b"null", b'"true"', b"false"])
def test_only_true_asks_for_the_timeout_and_nothing_else_is_a_bad_request(member: bytes) -> None:
    chat = Chat()
    payload = b'{"user_name": "ann", "udp_port": 40001, "tell_timeout": %s}' % member
    peer = chat.peer()
    peer.sends(write_request(CREATE, b"lobby", payload))
    assert b"success" in peer.heard
    assert b"idle_timeout" not in peer.heard


# --- peers -----------------------------------------------------------------------------------------


def test_a_network_of_ipv6_is_one_peer_to_every_limit_per_ip() -> None:
    limits: tuple[dict[str, Any], ...] = (
        {"connections_per_ip_max": 1}, {"sessions_per_ip_max": 1}, {"rooms_per_ip_max": 1},
        {"unentered_rooms_per_ip_max": 1},
    )  # fmt: skip
    for settings in limits:
        for other, is_same_peer in (("2001:db8:0:1:ffff::9", True), ("2001:db8:0:2::1", False), ("10.0.0.1", False)):
            chat = Chat(**settings)
            chat.peer("2001:db8:0:1::1").sends(request("alice"))
            second = chat.peer(other)
            second.sends(request("bob", "attic"))
            assert (chat.steps("handshake", second.stream)[-1] == "refused") is is_same_peer, (settings, other)


def test_tries_of_passwords_are_counted_by_network_too() -> None:
    chat = Chat(password_tries_max=1)
    chat.user("alice", "json").creates("vault", "sesame")
    for ip, reason in (
        ("2001:db8::1", Reason.WRONG_PASSWORD), ("2001:db8::2", Reason.TOO_MANY_REQUESTS),
        ("2001:db8:0:1::2", Reason.WRONG_PASSWORD),
    ):  # fmt: skip
        assert chat.user("bob", "json", ip=ip).joins("vault", "guess").refused is reason


def test_the_length_of_the_prefix_is_a_setting_which_counts_anew_when_it_changes() -> None:
    chat = Chat(sessions_per_ip_max=1, ipv6_prefix=128)
    chat.user("alice", ip="2001:db8::1").creates("lobby")
    bob = chat.user("bob", ip="2001:db8::2").joins("lobby")
    chat.server.set_limits(chat.limits.with_settings({"ipv6_prefix": 48}))
    assert chat.user("carol", ip="2001:db8:0:7::1").joins("lobby").refused is Reason.TOO_MANY_REQUESTS
    bob.leaves()
    assert chat.user("carol", ip="2001:db8:0:7::1").joins("lobby").refused is Reason.TOO_MANY_REQUESTS
    chat.server.set_limits(chat.limits)
    assert chat.user("carol", ip="2001:db8:0:7::1").joins("lobby").refused is None


def test_one_address_cannot_keep_all_rooms_lingering() -> None:
    chat = Chat(rooms_per_ip_max=2, rooms_max=3)
    alice = chat.user("alice")
    for room in ("one", "two"):
        alice.creates(room).leaves()
        chat.passes(1)
    assert alice.creates("three").refused is Reason.TOO_MANY_REQUESTS
    assert chat.user("bob").creates("three").state is SessionState.IN_ROOM
    chat.passes(5)
    assert alice.creates("three").refused is Reason.ROOM_EXISTS
    assert alice.creates("four").state is SessionState.IN_ROOM


def test_a_link_local_address_counts_with_its_scope() -> None:
    chat = Chat()
    alice = chat.user("alice", ip="fe80::1%eth0").creates("lobby")
    bob = chat.user("bob", ip="fe80::1%eth1").joins("lobby")
    assert bob.state is alice.state is SessionState.IN_ROOM
    alice.says("hello")
    assert bob.screen == [("alice", "hello")]
    alice.sends(b"forged", source=bob.address)
    assert bob.screen == [("alice", "hello")]
    assert chat.rules_dropped() == ["R-TOK-3"]


def test_mapped_ipv4_is_ipv4_whatever_its_scope_and_other_addresses_keep_theirs() -> None:
    assert unmap_ipv4("::ffff:10.0.0.1") == unmap_ipv4("::ffff:10.0.0.1%eth0") == "10.0.0.1"
    assert unmap_ipv4("fe80::1%eth0") == "fe80::1%eth0"
    assert peer_of("fe80::1%eth0", 64) == peer_of("fe80::2%eth0", 64) != peer_of("fe80::1%eth1", 64)
    assert peer_of("no address: at all", 64) == "no address: at all"


# --- limits ----------------------------------------------------------------------------------------


def test_connections_over_the_limits_are_closed_at_once() -> None:
    chat = Chat(connections_max=3, connections_per_ip_max=2)
    peers = [chat.peer("10.9.0.1") for _ in range(3)]
    assert [peer.is_closed for peer in peers] == [False, False, True]
    assert [chat.peer("10.9.0.2").is_closed, chat.peer("10.9.0.3").is_closed] == [False, True]
    peers[0].breaks()
    assert not chat.peer("10.9.0.1").is_closed
    assert chat.count(Counter.LIMITED) == 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"rooms_max": 1}, Reason.TOO_MANY_REQUESTS),
        ({"sessions_max": 1}, Reason.TOO_MANY_REQUESTS),
        ({"rooms_max": 2, "sessions_max": 2}, None),
    ],
)
def test_rooms_and_sessions_have_a_limit(settings: dict[str, Any], reason: Reason | None) -> None:
    chat = Chat(**settings)
    chat.user("alice").creates("lobby")
    assert chat.user("bob").creates("attic").refused is reason


def test_rooms_whose_host_has_not_entered_are_few_and_go_without_linger() -> None:
    chat = Chat(unentered_rooms_per_ip_max=2, token_timeout=5 * SECOND)
    for room in ("one", "two"):
        chat.peer("10.9.0.1").sends(request("dave", room))
    late = chat.peer("10.9.0.1")
    late.sends(request("dave", "three"))
    assert late.heard == refusal(7, b"three")
    chat.peer("10.9.0.2").sends(request("dave", "three"))
    assert chat.count(Counter.ROOMS) == 3
    chat.passes(5)
    assert chat.count(Counter.ROOMS) == 0
    for room in ("one", "two"):  # none of them counts any more
        again = chat.peer("10.9.0.1")
        again.sends(request("dave", room))
        assert again.heard.startswith(write_frame(len(room), 1, 1, room.encode(), b"\0"))


def test_an_unentered_room_with_guests_still_lingers_for_them() -> None:
    chat = Chat(token_timeout=5 * SECOND)
    chat.peer("10.9.0.1").sends(request("dave"))
    bob = chat.user("bob").joins("lobby")
    chat.passes(5)
    assert bob.told == ["room_closed"]
    assert chat.count(Counter.ROOMS) == 1
    chat.passes(5)
    assert chat.count(Counter.ROOMS) == 0


def test_a_list_names_open_rooms_without_password_and_comma() -> None:
    chat = Chat(only="name-port-list")
    for number, room in enumerate(("lobby", "a,b", "attic")):
        chat.user(f"host{number}", "name-port-list").creates(room)
    peer = chat.peer()
    peer.sends(write_frame(0, 2, 0, b"", b""))
    assert peer.heard == write_frame(0, 2, 1, b"", b"lobby,attic")
    assert chat.steps("handshake", peer.stream) == ["requested", "listed"]


def test_a_peer_that_half_closes_within_its_request_is_closed_at_once() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(request()[:10])
    peer.half_closes()
    assert peer.is_closed
    assert chat.steps("handshake", peer.stream) == ["abandoned"]


@pytest.mark.parametrize("operation", [CREATE, JOIN])
def test_what_a_room_does_not_take_is_observed_as_its_refusal(operation: Operation) -> None:
    chat = Chat()
    if operation is CREATE:
        chat.user("alice").creates("lobby")
    before = len(chat.records)
    chat.peer().sends(request(operation=operation))
    refused = [record for record in chat.records[before:] if isinstance(record, RefusalRecord)]
    assert [str(record.machine) for record in refused] == ["room"]


def test_a_connection_that_is_gone_is_forgotten() -> None:
    chat = Chat(connections_per_ip_max=1)
    causes = set(chat.recorder.causes)
    first, second = chat.peer(), chat.peer()
    assert second.is_closed
    first.breaks()
    assert set(chat.recorder.causes) == causes


# --- what mutants showed that no test stood on -------------------------------------------------------


def buffered(chat: Chat, peer: Peer) -> int:
    """How many bytes of a peer the server holds."""
    [handshake] = [each for each in chat.server.freeze().handshakes if each.stream == peer.stream]
    return len(handshake.buffer)


def test_no_more_of_a_peer_is_held_than_the_longest_request_and_a_trailer() -> None:
    chat = Chat(request_bytes_max=100)
    peer = chat.peer()
    peer.sends(b"x" * 31)
    peer.sends(write_frame(5, 1, 0, b"lobby", b"")[31:32] + b"y" * 500, wake=False)
    assert buffered(chat, peer) <= 102


def test_a_peer_that_sends_on_before_its_completion_is_not_held_without_bound() -> None:
    chat = Chat(request_bytes_max=100)
    peer = chat.peer()
    for data in (request(), *[b"y" * 60] * 5):
        peer.sends(data, wake=False)
    assert buffered(chat, peer) == 102


def test_a_request_that_is_longer_than_a_new_limit_is_refused_and_nothing_more_is_held_of_it() -> None:
    for limit in (298, 100):  # 300 bytes are then as many as are held at most, and more
        chat = Chat()
        peer = chat.peer()
        peer.sends(write_request(CREATE, b"lobby", b"x" * 400)[:300])
        chat.server.set_limits(chat.limits.with_settings({"request_bytes_max": limit}))
        peer.sends(b"xx")
        assert buffered(chat, peer) == 300
        assert chat.steps("handshake", peer.stream) == ["requested", "refused"]


def test_a_second_request_of_a_connection_is_not_read() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(request(), wake=False)
    peer.sends(request("erin"), wake=False)
    chat.passes(0)
    assert chat.steps("handshake", peer.stream) == ["requested", "accepted", "completed"]
    assert [session.name for session in chat.server.registry.sessions.values()] == ["dave"]


def test_only_a_join_of_no_room_asks_for_the_list() -> None:
    chat = Chat(only="name-port-list")
    peer = chat.peer()
    peer.sends(write_frame(0, 1, 0, b"", b"dave\x9c\x41"))
    assert chat.steps("handshake", peer.stream) == ["requested", "refused"]


def test_a_server_that_is_stopping_grants_nothing_to_who_is_connected() -> None:
    chat = Chat()
    peer = chat.peer()
    chat.do(chat.server.shutdown(chat.now_us))
    peer.sends(request())
    assert peer.heard == refusal(7)
    assert refusals_in_words(chat) == ["too_many_requests: the server is stopping"]
    assert chat.peer().is_closed


def refusals_in_words(chat: Chat) -> list[str]:
    """Why the requests were refused, as a trace says it."""
    return [each.why for each in chat.records if isinstance(each, StepRecord) and each.event == "refused"]


def test_a_trace_says_why_a_request_is_refused() -> None:
    chat = Chat()
    chat.user("alice").creates("lobby")
    chat.peer().sends(request())
    chat.peer().sends(write_frame(5, 9, 0, b"lobby", b""))
    assert refusals_in_words(chat) == ["room_exists", "bad_request: operation 9"]


def test_the_refusal_of_a_room_names_its_state() -> None:
    chat = Chat()
    chat.user("alice").creates("lobby").leaves()
    for room in ("lobby", "attic"):
        chat.peer().sends(request("bob", room, JOIN))
    refused = [each for each in chat.records if isinstance(each, RefusalRecord) and each.machine == "room"]
    assert [(each.id, each.from_) for each in refused] == [("lobby", "closing"), ("attic", "vacant")]


def test_a_session_that_ended_before_its_completion_gets_a_token_that_has_ended() -> None:
    chat = Chat()
    alice = chat.user("alice").creates("lobby")
    peer = chat.peer("10.0.0.9")
    peer.sends(request("bob", operation=JOIN), wake=False)
    alice.leaves()
    chat.passes(0)
    assert chat.steps("handshake", peer.stream) == ["requested", "accepted", "completed"]
    assert chat.steps("session", "bob@lobby") == ["granted", "room_closed"]
    peer.sends(b"\x90\x48")
    assert not chat.server.registry.sessions


JSON_REQUEST = write_request(CREATE, b"lobby", b'{"username": "dave", "password": ""}')


def test_a_trailer_of_a_dialect_that_has_none_tells_nothing() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(request())
    peer.sends(b"\x90\x48")
    [session] = chat.server.registry.sessions.values()
    assert session.state is SessionState.TOKENED


def test_a_trailer_ends_with_its_second_byte_whatever_comes_with_it() -> None:
    chat = Chat()
    peer = chat.peer()
    for data in (JSON_REQUEST, b"\x90", b"\x48\x11"):
        peer.sends(data)
    [session] = chat.server.registry.sessions.values()
    assert session.address == ("10.9.0.1", 0x9048)


def test_a_trailer_moves_nobody_who_has_entered() -> None:
    chat = Chat()
    peer = chat.peer()
    peer.sends(JSON_REQUEST)
    [session] = chat.server.registry.sessions.values()
    chat.datagram(bytes((5, 32)) + b"lobby" + session.token, Address("10.9.0.1", 40000))
    peer.sends(b"\x90\x48")
    assert session.address == ("10.9.0.1", 40000)
    assert chat.steps("session").count("entered") == 1
