"""What the checks know of the server: read from the bytes of the wire and from the steps that it observes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from observed_by_hand import BOB, OTHER, TOKEN, Server, frozen_ended, frozen_room, frozen_session
from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address, Relay, SendDatagram, ServerOutput
from tcrp.engine.state import ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.sim.checks.observed import Known, SessionRecord, notices_to
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.spec.names import Deadline, PacketKind, RoomState, SessionState

ELSEWHERE = Address("10.1.0.3", 40001)
THIRD = b"d" * 32


@pytest.fixture
def server() -> Server:
    return Server()


# --- datagrams -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"\x05", b"\x05\x20", b"\x05\x20lobby" + TOKEN[:-1], b"\x05\x21lobby" + TOKEN, b"\xff\xff" + b"x" * 100],
)
def test_a_datagram_that_is_cut_off_is_nobodys(server: Server, data: bytes) -> None:
    server.enters(server.grants(TOKEN))
    call = server.hears(data)
    assert (call.entry, call.is_near, call.is_valid) == (None, False, False)


@pytest.mark.parametrize(
    ("size", "is_valid"), [(2 + 5 + 32, True), (4096, True), (4097, False)], ids=["no text", "all fits", "one more"]
)
def test_a_text_may_be_empty_and_a_datagram_4096_bytes(server: Server, size: int, is_valid: bool) -> None:
    entry = server.enters(server.grants(TOKEN))
    call = server.hears(forged_datagram("lobby", TOKEN, b"x" * (size - 39)))
    assert call.is_near
    assert (call.is_valid, entry.last_heard_us) == (is_valid, 9 if is_valid else 5)


def test_a_room_may_have_a_longer_name_than_a_token(server: Server) -> None:
    room = "l" * 40
    entry = server.enters(server.grants(TOKEN, f"bob@{room}"))
    assert server.hears(forged_datagram(room, TOKEN, b"")).entry is entry


@pytest.mark.parametrize(
    ("room", "token", "source", "listener", "what"),
    [
        ("lobby", TOKEN, BOB, 0, (True, True)),
        ("lobby", TOKEN, Address(BOB.ip, 1), 0, (True, True)),
        ("attic", TOKEN, BOB, 0, (True, False)),
        ("lobby", TOKEN, ELSEWHERE, 0, (False, False)),
        ("lobby", TOKEN, BOB, 1, (False, False)),
        ("lobby", OTHER, BOB, 0, (False, False)),
    ],
)
def test_a_token_counts_in_its_room_from_its_ip_by_its_listener(
    server: Server, room: str, token: bytes, source: Address, listener: int, what: tuple[bool, bool]
) -> None:
    entry = server.enters(server.grants(TOKEN))
    call = server.hears(forged_datagram(room, token, b"hi"), source, listener=listener)
    assert (call.is_near, call.is_valid) == what
    assert (entry.address == source) is call.is_valid


@pytest.mark.parametrize(
    ("dialect", "body", "is_valid"),
    [
        ("text", b"\xff", False),
        ("text", b"{", True),
        ("json-endpoint", b"{", False),
        ("json-endpoint", b'{"sender": "", "message": "hi"}', True),
    ],
)
def test_a_text_is_read_in_the_dialect_of_its_user(dialect: str, body: bytes, is_valid: bool) -> None:
    server = Server(dialect)
    server.enters(server.grants(TOKEN))
    assert server.hears(forged_datagram("lobby", TOKEN, body)).is_valid is is_valid


def test_a_session_that_no_client_holds_says_any_utf8(server: Server) -> None:
    entry = server.grants(TOKEN, user="nobody")
    source = Address(entry.ip, 1)
    assert server.hears(forged_datagram("lobby", TOKEN, b"{"), source).is_valid
    assert not server.hears(forged_datagram("lobby", TOKEN, b"\xff"), source).is_valid


@pytest.mark.parametrize(("dialect", "moves"), [("text", True), ("json-port", False)])
def test_relays_follow_the_token_except_where_its_dialect_fixes_the_port(dialect: str, moves: bool) -> None:
    server = Server(dialect)
    entry = server.enters(server.grants(TOKEN))
    before = entry.address
    server.hears(forged_datagram("lobby", TOKEN, b"hi"), Address(BOB.ip, 5))
    assert (entry.address == Address(BOB.ip, 5)) is moves
    assert moves or before == entry.address == BOB


def test_others_are_those_in_the_room_before_the_call(server: Server) -> None:
    bob, ann = server.grants(TOKEN), server.grants(OTHER, "ann@lobby", user="ann")
    server.enters(bob)
    assert server.hears(forged_datagram("lobby", TOKEN, b"hi")).others == []
    server.enters(ann)
    assert server.hears(forged_datagram("lobby", TOKEN, b"hi")).others == [ann]
    server.steps(ann, "idled", "expired")
    assert server.hears(forged_datagram("lobby", TOKEN, b"hi")).others == []


# --- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "user", "parts"),
    [
        ("bob@lobby", "bob", ("bob", "lobby")),
        ("bob@a@b", "bob", ("bob", "a@b")),
        ("x@y@lobby", "nobody", ("x@y", "lobby")),  # there is a room lobby
        ("x@y@z", "nobody", ("x", "y@z")),
    ],
)
def test_names_and_rooms_may_hold_an_at_sign(server: Server, id: str, user: str, parts: tuple[str, str]) -> None:
    server.grants(OTHER)
    server.room("lobby", "created", "vacant", "open")
    entry = server.grants(TOKEN, id, user=user)
    assert (entry.name, entry.room) == parts


def test_a_users_name_may_hold_an_at_sign(server: Server) -> None:
    server.run.hosts.users["bob"].name = "b@b"
    entry = server.grants(TOKEN, "b@b@c@d")
    assert (entry.name, entry.room) == ("b@b", "c@d")


def test_who_is_granted_in_a_call_is_known_by_it(server: Server) -> None:
    entry = server.grants(TOKEN)
    assert (server.observed.call.granted, server.wakes().granted) == ([entry], [])


def test_a_session_that_begins_on_no_connection_is_nobodys(server: Server) -> None:
    server.wakes(6)
    entry = server.observed.grant(server.session(TOKEN, "bob@lobby", "granted", "tokened"))
    assert (entry.user, entry.ip, entry.last_heard_us) == ("", "", 6)


@pytest.mark.parametrize(("event", "is_told"), [("left", False), ("idled", True), ("removed", True)])
def test_who_ends_is_to_be_told_unless_by_leaving(server: Server, event: str, is_told: bool) -> None:
    entry = server.enters(server.grants(TOKEN))
    call = server.hears(forged_datagram("lobby", TOKEN, b"hi"))
    server.steps(entry, event, "expired")
    assert (entry in call.told) is is_told
    assert (TOKEN in server.observed.living, server.observed.ended[TOKEN]) == (False, entry)
    assert server.hears(forged_datagram("lobby", TOKEN, b"hi")).is_near
    assert not server.observed.call.is_valid


def test_who_has_no_address_yet_cannot_be_told(server: Server) -> None:
    entry = server.grants(TOKEN)
    server.steps(entry, "idled", "expired")
    assert server.observed.call.told == []


def test_a_host_who_is_superseded_hands_the_room_on(server: Server) -> None:
    old = server.enters(server.grants(TOKEN))
    server.room("lobby", "created", "vacant", "open")
    new = server.grants(OTHER)
    server.grants(THIRD, "ann@lobby", user="ann")
    assert list(server.observed.living_as(old)) == [old, new]
    server.steps(old, "superseded", "expired")
    assert (server.observed.hosts["lobby"], server.observed.call.hosts_ended) == (new, [])
    server.steps(new, "left", "expired")
    assert server.observed.call.hosts_ended == [new]


@pytest.mark.parametrize(("dialect", "address"), [("text", None), ("json-endpoint", BOB), ("json-port", BOB)])
def test_relays_go_at_first_where_the_request_said_if_it_said_so(dialect: str, address: Address | None) -> None:
    server = Server(dialect)
    entry = server.grants(TOKEN)
    assert (entry.asked_from, entry.address) == (address, None)
    assert entry.told_at_most == codec(dialect).dialect.notice_repeat
    assert entry.fixed is codec(dialect).dialect.port_fixed
    server.enters(entry)
    assert entry.address == address


def test_of_a_request_by_hand_nothing_follows_from_the_users_dialect() -> None:
    server = Server("json-port")
    entry = server.grants(TOKEN, user="nobody")
    assert (entry.user, entry.fixed, entry.told_at_most, entry.asked_from) == ("", False, 1, None)
    assert server.observed.user_of(entry) is None


def test_a_datagram_tells_where_relays_go_before_the_request_does() -> None:
    server = Server("json-endpoint")
    entry = server.grants(TOKEN)
    server.hears(forged_datagram("lobby", TOKEN, b'{"sender": "", "message": "hi"}'), Address(BOB.ip, 7))
    assert entry.address == Address(BOB.ip, 7)
    assert server.enters(entry).address == Address(BOB.ip, 7)


def test_to_enter_is_to_be_heard() -> None:
    server = Server("json-endpoint")
    entry = server.grants(TOKEN)
    assert (entry.last_heard_us, entry.has_entered) == (5, False)
    server.wakes(30)
    server.enters(entry)
    assert (entry.last_heard_us, entry.has_entered) == (30, True)


@pytest.mark.parametrize("has_entered", [False, True])
def test_a_host_who_has_entered_once_is_waited_for_no_more(has_entered: bool) -> None:
    known = Known()
    server = Server(known=known)
    old = server.creates(TOKEN, "bob@lobby")
    if has_entered:
        server.enters(old)
    assert known.hosts == {"lobby": old}
    new = server.grants(OTHER)
    server.steps(old, "superseded", "expired")
    assert (new.has_entered, known.hosts) == (has_entered, {"lobby": new})


def test_a_connection_is_called_by_its_own_name_or_as_the_engine_calls_it(server: Server) -> None:
    connection = server.connection("ann#3")
    assert server.hears_on(connection).stream == "ann#3"
    assert server.hears_on(connection, stream=("a", 1)).stream == ("a", 1)
    assert server.hears(b"").stream == server.wakes().stream == ""


def test_a_call_begins_with_nothing_done(server: Server) -> None:
    entry = server.grants(TOKEN)
    call = server.hears(b"")
    assert (call.entry, call.was_in_room, call.steps, call.relayed, call.withheld) == (None, False, 0, False, 0)
    assert not entry.has_spoken


def test_who_speaks_before_entering_is_no_member_yet(server: Server) -> None:
    entry = server.grants(TOKEN)
    call = server.hears(forged_datagram("lobby", TOKEN, b"hi"))
    assert (call.entry, call.is_valid, call.was_in_room) == (entry, True, False)
    server.enters(entry)
    assert server.hears(forged_datagram("lobby", TOKEN, b"hi")).was_in_room


def test_only_the_host_ends_as_the_host(server: Server) -> None:
    host = server.creates(TOKEN, "bob@lobby")
    guest = server.grants(OTHER, "ann@lobby", user="ann")
    server.steps(guest, "superseded", "expired")
    assert (server.observed.hosts, server.observed.call.hosts_ended) == ({"lobby": host}, [])


def test_a_host_who_is_superseded_by_nobody_leaves_the_room_without_one(server: Server) -> None:
    server.steps(server.creates(TOKEN, "bob@lobby"), "superseded", "expired")
    assert (server.observed.hosts, server.observed.call.hosts_ended) == ({"lobby": None}, [])


# --- rooms ---------------------------------------------------------------------------------------


def test_a_room_is_known_until_it_is_closed_and_since_when_it_closes(server: Server) -> None:
    server.grants(TOKEN)
    server.room("lobby", "created", "vacant", "open")
    server.hears(b"", local_us=77)
    server.room("lobby", "host_gone", "open", "closing")
    server.hears(b"", local_us=88)
    server.room("lobby", "left", "closing", "closing")
    assert (server.observed.rooms, server.observed.closing_us) == ({"lobby": RoomState.CLOSING}, {"lobby": 77})
    server.room("lobby", "drained", "closing", "closed")
    assert (server.observed.rooms, server.observed.call.closed) == ({}, ["lobby"])
    assert server.observed.tokens == {"lobby": {TOKEN}}
    server.observed.forget_room("lobby")
    assert (server.observed.tokens, server.observed.closing_us, server.observed.hosts) == ({}, {}, {})
    assert "lobby" not in server.observed.living_in


def test_a_room_that_is_made_before_anyone_was_granted_has_no_host(server: Server) -> None:
    server.room("lobby", "created", "vacant", "open")
    assert server.observed.hosts == {"lobby": None}


def test_a_server_that_crashes_knows_nothing(server: Server) -> None:
    server.enters(server.grants(TOKEN))
    server.room("lobby", "created", "vacant", "open")
    server.room("lobby", "host_gone", "open", "closing")
    server.steps(server.enters(server.grants(THIRD, "eve@lobby")), "left", "expired")
    server.observed.forget()
    assert server.hears(forged_datagram("lobby", THIRD, b"hi")).entry is None
    assert (server.observed.living_in, server.observed.living_from) == ({}, {})
    assert server.observed.closing_us == {}
    assert server.hears(forged_datagram("lobby", TOKEN, b"hi")).entry is None
    assert (server.observed.rooms, server.observed.hosts, server.observed.tokens) == ({}, {}, {})
    again = server.grants(OTHER)
    assert again.state is SessionState.TOKENED
    assert server.hears(forged_datagram("lobby", OTHER, b"hi")).others == []


def test_a_room_that_is_closed_at_once_was_never_closing(server: Server) -> None:
    server.creates(TOKEN, "bob@lobby")
    server.room("lobby", "drained", "open", "closed")
    assert (server.observed.rooms, server.observed.closing_us) == ({}, {})


# --- in a cluster --------------------------------------------------------------------------------


class Two:
    """Two servers that share what they know of lobby: bob has made it at the first, carol is in it, dave has ended."""

    def __init__(self) -> None:
        self.known = Known()
        self.first, self.second = Server(known=self.known), Server(known=self.known)
        self.bob = self.first.enters(self.first.creates(TOKEN, "bob@lobby"))
        self.carol = self.first.grants(OTHER, "carol@lobby", user="ann")
        self.dave = self.first.enters(self.first.grants(THIRD, "dave@lobby", user="nobody"))
        self.first.steps(self.dave, "removed", "expired")

    def state(self, **changes: Any) -> ServerState:
        room = frozen_room(**{"host": TOKEN, "host_has_entered": True, **changes})
        sessions = (
            frozen_session(TOKEN, silent_us=7, address=ELSEWHERE, listener=1),
            frozen_session(OTHER, "carol", state=SessionState.TOKENED, address=None),
        )
        ended = (frozen_ended(THIRD, "dave", answered_ago_us=4),)
        return ServerState(sessions, (room,), ended)

    def moves(self, state: ServerState | None = None) -> list[SessionRecord]:
        return self.second.observed.adopt(state or self.state(), 100, 50)


def test_a_server_that_goes_on_with_a_room_knows_of_its_sessions_what_the_other_knew() -> None:
    two = Two()
    bob, carol, dave = two.moves()
    observed = two.second.observed
    for new, old in ((bob, two.bob), (carol, two.carol), (dave, two.dave)):
        assert new is not old
        assert (new.id, new.name, new.room, new.ip, new.user) == (old.id, old.name, old.room, old.ip, old.user)
        assert (new.came_us, new.tell_us) == (100, [])
        assert two.known.sessions[new.token] is new
    assert (observed.living, observed.ended) == ({TOKEN: bob, OTHER: carol}, {THIRD: dave})
    assert (bob.state, carol.state) == (SessionState.IN_ROOM, SessionState.TOKENED)
    assert (bob.address, bob.listener, bob.last_heard_us) == (ELSEWHERE, 1, 93)
    assert (carol.address, carol.listener, carol.last_heard_us) == (None, 0, 100)
    assert (dave.state, dave.address, dave.answered_us) == (SessionState.EXPIRED, BOB, 96)
    assert observed.tokens == {"lobby": {TOKEN, OTHER, THIRD}}
    assert (observed.rooms, observed.hosts, observed.closing_us) == ({"lobby": RoomState.OPEN}, {"lobby": bob}, {})
    call = two.second.hears(forged_datagram("lobby", OTHER, b"hi"), Address(carol.ip, 1))
    assert (call.entry, call.others) == (carol, [bob])
    call = two.second.hears(forged_datagram("lobby", TOKEN, b"hi"))
    assert (call.entry, call.others) == (bob, [])  # only who is in the room is a member


def test_two_servers_with_one_room_have_each_their_own_view() -> None:
    two = Two()
    two.dave.tell_us.append(3)
    bob, _, dave = two.moves()
    two.second.steps(bob, "left", "expired")
    dave.tell_us.append(9)
    assert two.bob.state is SessionState.IN_ROOM
    assert TOKEN in two.first.observed.living
    assert two.dave.tell_us == [3]


@pytest.mark.parametrize(
    ("before", "frozen", "after"),
    [
        (True, SessionState.TOKENED, True),
        (False, SessionState.IN_ROOM, True),
        (False, SessionState.TOKENED, False),
    ],
)
def test_who_has_entered_once_has_entered(before: bool, frozen: SessionState, after: bool) -> None:
    two = Two()
    two.carol.has_entered = before
    state = two.state()
    session = replace(state.sessions[1], state=frozen)
    _, carol, _ = two.moves(replace(state, sessions=(state.sessions[0], session)))
    assert carol.has_entered is after


def test_a_token_that_was_not_answered_yet_is_not_answered_after_a_move() -> None:
    two = Two()
    two.dave.answered_us = 3
    *_, dave = two.moves(replace(two.state(), ended=(frozen_ended(THIRD, "dave"),)))
    assert dave.answered_us is None


def test_who_has_ended_at_the_other_server_alone_has_ended() -> None:
    two = Two()
    (carol,) = two.moves(ServerState(ended=(frozen_ended(OTHER, "carol"),)))
    assert (carol.state, two.carol.state) == (SessionState.EXPIRED, SessionState.TOKENED)


def test_a_host_may_have_entered_after_the_snapshot_was_made() -> None:
    two = Two()
    bob, *_ = two.moves(two.state(host_has_entered=False))
    assert two.second.observed.hosts == {"lobby": bob}
    assert (bob.has_entered, two.bob.has_entered) == (False, True)


@pytest.mark.parametrize("has_entered", [False, True])
def test_the_host_of_a_room_whose_session_has_ended_is_known_from_the_other_server(has_entered: bool) -> None:
    two = Two()
    two.bob.has_entered = not has_entered
    two.moves(ServerState(rooms=(frozen_room(host_has_entered=has_entered),)))
    host = two.second.observed.hosts["lobby"]
    assert host is not None
    assert host is not two.bob
    assert (host.token, host.has_entered, two.bob.has_entered) == (TOKEN, has_entered, not has_entered)


def test_a_room_whose_host_no_server_knows_has_none() -> None:
    server = Server(known=Known())
    server.observed.adopt(ServerState(rooms=(frozen_room(b"attic"),)), 100, 50)
    assert server.observed.hosts == {"attic": None}


@pytest.mark.parametrize(("timers", "since_us"), [([(30, b"lobby")], 80), ([(30, b"attic")], 50), ([], 50)])
def test_since_when_a_room_closes_follows_from_what_is_left_of_its_linger(
    timers: list[tuple[int, bytes]], since_us: int
) -> None:
    two = Two()
    lingers = tuple(TimerEntry(left_us, Deadline.LINGER, room) for left_us, room in timers)
    other = TimerEntry(9, Deadline.NOTICE, b"lobby")
    two.moves(ServerState(rooms=(frozen_room(state=RoomState.CLOSING),), timers=(*lingers, other)))
    assert two.second.observed.closing_us == {"lobby": since_us}


def test_a_server_that_gives_a_room_away_knows_nothing_of_it_and_all_of_the_others() -> None:
    two = Two()
    two.known.hosts.clear()
    observed = two.first.observed
    eve = two.first.enters(two.first.creates(b"e" * 32, "eve@attic", user="nobody"))
    fay = two.first.grants(b"f" * 32, "fay@attic", user="nobody")
    two.first.steps(fay, "left", "expired")
    observed.give_away("lobby")
    assert two.known.hosts == {"attic": eve, "lobby": two.bob}
    assert (observed.living, observed.ended) == ({eve.token: eve}, {fay.token: fay})
    assert (observed.rooms, observed.hosts) == ({"attic": RoomState.OPEN}, {"attic": eve})
    assert observed.tokens == {"attic": {eve.token, fay.token}}
    back = two.first.grants(TOKEN, "bob@lobby")
    assert two.first.hears(forged_datagram("lobby", TOKEN, b"hi")).entry is back
    assert two.first.observed.call.others == []


def test_notices_to_are_single_datagrams_of_that_kind() -> None:
    outputs: list[ServerOutput] = [
        SendDatagram(b"n", BOB, PacketKind.NOTICE),
        SendDatagram(b"n", ELSEWHERE, PacketKind.KEEP_ALIVE_ANSWER),
        Relay(b"n", [ELSEWHERE], PacketKind.NOTICE),
    ]
    assert notices_to(outputs) == {BOB}
