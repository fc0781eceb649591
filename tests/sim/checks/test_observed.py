"""What the checks know of the server: read from the bytes of the wire and from the steps that it observes."""

from __future__ import annotations

import pytest

from observed_by_hand import BOB, OTHER, TOKEN, Server
from tcrp.engine.outputs import Address, Relay, SendDatagram, ServerOutput
from tcrp.sim.checks.observed import notices_to
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.spec.names import PacketKind, RoomState, SessionState

ELSEWHERE = Address("10.1.0.3", 40001)


@pytest.fixture
def server() -> Server:
    return Server()


# --- datagrams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\x05", b"\x05\x20", b"\x05\x20lobby" + TOKEN[:-1], b"\xff\xff" + b"x" * 100])
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
    assert list(server.observed.living_as("bob@lobby")) == [old, new]
    server.steps(old, "superseded", "expired")
    assert (server.observed.hosts["lobby"], server.observed.call.hosts_ended) == (new, [])
    server.steps(new, "left", "expired")
    assert server.observed.call.hosts_ended == [new]


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


def test_a_server_that_crashes_knows_nothing(server: Server) -> None:
    server.enters(server.grants(TOKEN))
    server.room("lobby", "created", "vacant", "open")
    server.observed.forget()
    assert server.hears(forged_datagram("lobby", TOKEN, b"hi")).entry is None
    assert (server.observed.rooms, server.observed.hosts, server.observed.tokens) == ({}, {}, {})
    again = server.grants(OTHER)
    assert again.state is SessionState.TOKENED
    assert server.hears(forged_datagram("lobby", OTHER, b"hi")).others == []


def test_notices_to_are_single_datagrams_of_that_kind() -> None:
    outputs: list[ServerOutput] = [
        SendDatagram(b"n", BOB, PacketKind.NOTICE),
        SendDatagram(b"n", ELSEWHERE, PacketKind.KEEP_ALIVE_ANSWER),
        Relay(b"n", [ELSEWHERE], PacketKind.NOTICE),
    ]
    assert notices_to(outputs) == {BOB}
