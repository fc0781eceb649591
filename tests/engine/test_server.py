"""The rules of talking, told as conversations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conversation import SECOND, Chat, User
from tcrp.engine.codec import codec
from tcrp.engine.frames import write_request
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, Detail, Dropped, Relay, Stepped, TimerFired
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Counter, Deadline, Notice, Operation, PacketKind, Rule, SessionState

LIVING = (SessionState.TOKENED, SessionState.IN_ROOM)
LEAVING = [name for name in NAMES if name != "json-endpoint"]


def three(chat: Chat, dialect: str = "text") -> tuple[User, User, User]:
    """Alice's lobby with bob and carol in it."""
    alice = chat.user("alice", dialect).creates("lobby")
    return alice, chat.user("bob", dialect).joins("lobby"), chat.user("carol", dialect).joins("lobby")


# --- relays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", NAMES)
def test_a_text_reaches_everyone_else_once_and_not_its_sender(dialect: str) -> None:
    chat = Chat(only=dialect)
    alice, bob, carol = three(chat, dialect)
    outside = chat.user("zoe", dialect).creates("attic")
    bob.says("hello")
    assert alice.screen == carol.screen == [("bob", "hello")]
    assert bob.screen == outside.screen == []
    assert chat.count(Counter.RELAYS) == 2


def test_members_of_one_room_speak_different_dialects() -> None:
    chat = Chat()
    speaks = ("json", "text", "json-address", "json-port", "json-endpoint", "json-name", "name-port")
    users = [chat.user(f"user{n}", dialect) for n, dialect in enumerate(speaks)]
    users[0].creates("babel")
    for user in users[1:]:
        user.joins("babel")
    for user in users:
        user.says(f"I am {user.name}")
    for user in users:
        assert user.screen == [(each.name, f"I am {each.name}") for each in users if each is not user]


def test_texts_of_one_sender_keep_their_order() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    for number in range(10):
        bob.says(str(number))
    assert alice.sees(*map(str, range(10)))


def test_an_empty_text_and_an_enter_word_are_not_relayed() -> None:
    chat = Chat(only="json-name")
    alice, bob, _ = three(chat, "json-name")
    bob.says("")
    bob.says("__REGISTER__")
    assert alice.sees()
    assert chat.count(Counter.TEXTS) == 0


def test_a_relay_too_long_for_one_form_reaches_the_others() -> None:
    chat = Chat()
    alice = chat.user("alice").creates("lobby")
    bob = chat.user("bob").joins("lobby")
    erin = chat.user("erin", "json-endpoint").joins("lobby")
    alice.says("日" * 1000)
    assert bob.sees("日" * 1000)
    assert erin.sees()
    assert chat.count(Counter.WITHHELD_RELAYS) == 1
    assert chat.rules_dropped() == ["R-UDP-2"]


@pytest.mark.parametrize(("length", "arrives"), [(4094, True), (4095, False)])
def test_a_relay_is_at_most_4094_bytes(length: int, arrives: bool) -> None:
    chat = Chat()
    chat.user("a").creates("r")
    bob = chat.user("b").joins("r")
    host = next(iter(chat.users.values()))
    name = "n" * 250
    writer = chat.user(name).joins("r")
    writer.says("x" * (length - len(f"{name}: ")))
    assert bool(host.screen) is bool(bob.screen) is arrives


def test_a_name_too_long_for_a_length_byte_is_not_relayed_there() -> None:
    chat = Chat()
    chat.user("a" * 254).creates("r").says("")
    listener = chat.user("bob", "json-name").joins("r")
    other = chat.user("carl").joins("r")
    next(iter(chat.users.values())).says("hi")
    assert listener.sees()
    assert other.sees("hi")


def test_members_cannot_forge_the_leaving_of_another() -> None:
    """In json-address a room's own name can complete the sentence of a leaving."""
    chat = Chat()
    chat.user("alice").creates("x: y")
    bob = chat.user("bob", "json-address").joins("x: y")
    carol = chat.user("carol").joins("x: y")
    forger = chat.user("carolがx").joins("x: y")
    forger.says("yから退出しました。")
    assert bob.sees()
    assert bob.told == []
    assert carol.sees("yから退出しました。")
    assert chat.rules_dropped() == ["R-REL-3"]


def test_over_the_rate_texts_are_dropped_but_still_speaking() -> None:
    chat = Chat(texts_per_second_max=3)
    alice, bob, _ = three(chat)
    for number in range(5):
        bob.says(str(number))
        bob.says("")
    assert alice.sees("0", "1", "2")
    assert chat.count(Counter.LIMITED) == 2
    chat.passes(0.999999)
    bob.says("too soon")
    assert len(alice.screen) == 3
    chat.passes(0.000001)
    bob.says("in time")
    assert alice.screen[-1] == ("bob", "in time")


# --- tokens and addresses ------------------------------------------------------------------------


def test_a_token_holds_only_when_it_is_handed_over() -> None:
    """Whoever guesses it before has nothing, and its session enters once, where its request says."""
    chat = Chat(only="name-port")
    asks = codec("name-port").write_request(Operation.CREATE, b"lobby", "alice", "", "10.0.0.7", 40_007)
    chat.peer("10.0.0.7").sends(asks, wake=False)
    [session] = chat.server.freeze().sessions
    datagram = bytes((5, 32)) + b"lobby" + session.token + b"hi"
    chat.datagram(datagram, Address("10.0.0.7", 40_008))
    assert chat.rules_dropped() == [Rule.TOK_2]
    chat.passes(1)
    assert chat.steps("session") == ["granted", "entered"]
    chat.datagram(datagram, Address("10.0.0.7", 40_007))
    assert chat.rules_dropped() == [Rule.TOK_2]


def test_a_token_counts_only_from_its_own_ip_address() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    bob.sends(b"stolen", source=Address("10.0.0.99", bob.address.port))
    assert alice.sees()
    assert chat.rules_dropped() == ["R-TOK-3"]
    assert bob.state is SessionState.IN_ROOM


def test_an_ipv4_mapped_address_is_its_ipv4_address() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    bob.sends(b"mapped", source=Address(f"::ffff:{bob.address.ip}", bob.address.port))
    assert alice.sees("mapped")


def test_relays_follow_a_port_that_changes() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    moved = Address(bob.address.ip, 61000)
    bob.sends(b"", source=moved)
    alice.says("where are you?")
    assert next(address for _, address, data in chat.sent if b"where" in data) == moved


def test_a_dialect_may_fix_the_port() -> None:
    chat = Chat(only="json-port")
    alice, bob, _ = three(chat, "json-port")
    bob.sends(b"from my other socket", source=Address(bob.address.ip, 61000))
    alice.says("heard you")
    assert alice.sees("from my other socket")
    assert bob.sees("heard you")


@pytest.mark.parametrize("short", [b"", b"\x05", b"\x05\x00"])
def test_a_datagram_too_short_for_its_header_is_counted(short: bytes) -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    before = len(chat.records)
    chat.datagram(short, bob.address)
    chat.datagram(bytes((5, 32)) + b"lobby" + bob.client.token[:31], bob.address)
    assert chat.count(Counter.REJECTED_DATAGRAMS) == 2
    assert {str(record.kind) for record in chat.records[before:]} == {"drop"}
    assert chat.rules_dropped() == [Rule.UDP_1] * 2
    assert alice.sees()


def test_a_token_that_has_ended_never_works_again() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    bob.leaves()
    bob.sends(b"I am back")
    assert alice.sees()
    chat.passes(6)
    bob.sends(b"and now?")
    assert alice.sees()
    assert chat.rules_dropped()[-1] == "R-TOK-2"  # it is not even remembered


def test_an_unused_token_ends() -> None:
    chat = Chat(token_timeout=5 * SECOND)
    chat.user("alice").creates("lobby")
    bob = chat.user("bob")
    bob.is_cut_off = True
    bob.joins("lobby")
    chat.passes(4.999999)
    assert chat.count(Counter.SESSIONS) == 2
    chat.passes(0.000001)
    assert chat.count(Counter.SESSIONS) == 1
    assert chat.steps("session", "bob@lobby") == ["granted", "idled"]


# --- silence and rejection -----------------------------------------------------------------------


def test_silence_ends_a_session_and_a_keep_alive_puts_it_off() -> None:
    chat = Chat(idle_timeout=60 * SECOND)
    alice, bob, carol = three(chat)
    chat.passes(50)  # carol, who has heard nothing, said that she is there until 21.4 s
    alice.says("")
    bob.says("")
    chat.passes(31.399999)
    assert carol.state is SessionState.IN_ROOM
    chat.passes(0.000001)
    assert (alice.state, bob.state, carol.state) == (SessionState.IN_ROOM, SessionState.IN_ROOM, SessionState.EXPIRED)
    assert chat.steps("session", "carol@lobby")[-1] == "idled"
    assert carol.told == ["idled"]
    assert alice.told == ["left"]


def test_an_idle_timeout_shorter_than_the_token_timeout_holds_from_entering() -> None:
    chat = Chat(idle_timeout=2 * SECOND, token_timeout=30 * SECOND)
    alice, bob, _ = three(chat)
    bob.is_cut_off = True
    for _ in range(3):
        chat.passes(1)
        alice.says("")
    assert chat.steps("session", "bob@lobby")[-1] == "idled"


@pytest.mark.parametrize(
    "bad",
    [b"\x05\x20attic%s", b"\x05\x20lobby%s\xff", b"\x05\x20lobby%s" + b"x" * CLIENT_DATAGRAM_BYTES_MAX],
    ids=["wrong room", "not UTF-8", "over 4096 bytes"],
)
def test_three_rejected_datagrams_in_a_row_end_a_session(bad: bytes) -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    bad %= bob.client.token
    for _ in range(2):
        chat.datagram(bad, bob.address)
    bob.says("a good one starts the count anew")
    for _ in range(2):
        chat.datagram(bad, bob.address)
    assert bob.state is SessionState.IN_ROOM
    chat.datagram(bad, Address("10.0.0.99", 1))  # from elsewhere: not counted
    assert bob.state is SessionState.IN_ROOM
    chat.datagram(bad, bob.address)
    assert bob.state is SessionState.EXPIRED
    assert bob.told == ["removed"]
    assert alice.told == ["left"]


def test_4096_bytes_fit() -> None:
    chat = Chat()
    alice, bob, _ = three(chat, "text")
    room_and_token = 2 + len("lobby") + 32
    bob.says("x" * (CLIENT_DATAGRAM_BYTES_MAX - room_and_token))
    assert [len(text) for _, text in alice.screen] == [CLIENT_DATAGRAM_BYTES_MAX - room_and_token]
    with pytest.raises(ValueError, match="the datagram is 4097 bytes, at most 4096"):
        bob.says("x" * (CLIENT_DATAGRAM_BYTES_MAX - room_and_token + 1))


# --- leaving and ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", LEAVING)
def test_a_guest_who_leaves_is_not_relayed_to(dialect: str) -> None:
    chat = Chat(only=dialect)
    alice, bob, carol = three(chat, dialect)
    bob.leaves()
    alice.says("is bob gone?")
    assert bob.sees()
    assert carol.sees("is bob gone?")
    assert chat.steps("session", "bob@lobby")[-1] == "left"


@pytest.mark.parametrize("dialect", NAMES)
def test_when_the_host_goes_the_room_goes_and_everybody_is_told(dialect: str) -> None:
    chat = Chat(only=dialect)
    alice, bob, carol = three(chat, dialect)
    chat.do(chat.server.remove("alice", "lobby", chat.now_us) or [])
    assert chat.count(Counter.SESSIONS) == 0
    assert (alice.state, bob.state, carol.state) == (SessionState.EXPIRED,) * 3
    assert chat.steps("room", "lobby")[-3:] == ["host_gone", "left", "left"]
    chat.settles()
    assert chat.steps("room", "lobby")[-1] == "drained"


def test_notices_of_an_end_come_again_after_half_one_and_a_half_and_three_and_a_half_seconds() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    chat.passes(10)
    start = chat.now_us
    alice.leaves()
    chat.settles()
    moments = [t_us - start for t_us, address, data in chat.sent if address == bob.address and data == b"Room closed"]
    assert moments == [0, 500_000, 1_500_000, 3_500_000]
    assert bob.told == ["room_closed"]


def test_an_ended_token_that_speaks_is_told_why_but_seldom_and_in_few_bytes() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    alice.leaves()
    told = len(chat.sent_to(bob))
    chat.passes(0.1)
    bob.sends(b"hello?")
    assert len(chat.sent_to(bob)) == told + 1
    bob.sends(b"hello??")  # within the same second
    assert len(chat.sent_to(bob)) == told + 1
    chat.passes(0.3)
    elsewhere = Address("10.0.0.99", 7777)
    bob.sends(b"from elsewhere", source=elsewhere)
    assert all(address != elsewhere for _, address, _ in chat.sent)


def test_an_answer_has_at_most_three_times_the_bytes_received() -> None:
    chat = Chat(only="json-address", linger=60 * SECOND)
    chat.user("alice", "json-address").creates("r")
    bob = chat.user("b" * 200, "json-address").joins("r")
    chat.do(chat.server.remove(bob.name, "r", chat.now_us) or [])
    chat.passes(10)
    before = chat.sent_to(bob)
    header = 2 + len("r") + 32
    enough = -(-len(before[-1]) // 3)
    bob.sends(b"x" * (enough - header - 1))
    assert chat.sent_to(bob) == before
    bob.sends(b"x" * (enough - header))
    assert len(chat.sent_to(bob)) == len(before) + 1


def test_no_notice_goes_to_an_address_that_holds_a_living_token() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    alice.leaves()
    before = [data for data in chat.sent_to(bob) if data == b"Room closed"]
    bob.creates("attic")  # from the same socket
    chat.passes(4)
    assert [data for data in chat.sent_to(bob) if data == b"Room closed"] == before
    assert bob.state is SessionState.IN_ROOM


def test_a_closed_room_leaves_nothing_behind() -> None:
    chat = Chat()
    alice, bob, carol = three(chat)
    bob.leaves()
    alice.leaves()
    chat.settles()
    assert chat.server.freeze() == ServerState()
    assert not chat.server.has_rooms
    assert chat.server.next_deadline_us() is None
    assert carol.state is SessionState.EXPIRED


def test_a_closing_room_is_neither_created_nor_joined_and_then_its_name_is_free() -> None:
    chat = Chat()
    alice, _, _ = three(chat)
    alice.leaves()
    assert chat.user("dave").creates("lobby").refused == "room_exists"
    assert chat.user("erin").joins("lobby").refused == "no_such_room"
    chat.passes(5)
    assert chat.user("frank").creates("lobby").state is SessionState.IN_ROOM


@pytest.mark.parametrize("dialect", NAMES)
def test_a_shutdown_is_told_in_every_dialect_and_over_in_half_a_second(dialect: str) -> None:
    chat = Chat(only=dialect)
    users = three(chat, dialect)
    chat.do(chat.server.shutdown(chat.now_us))
    for user in users:
        assert user.state is SessionState.EXPIRED
        assert user.told[-1] in (Notice.SHUTDOWN, Notice.ROOM_CLOSED, Notice.IDLED)
    chat.passes(0.5)
    assert chat.count(Counter.ROOMS) == 0
    assert chat.user("late", dialect).creates("attic").state is SessionState.ANONYMOUS


def test_a_room_that_is_closed_removes_its_host_and_ends_everybody_else_with_it() -> None:
    chat = Chat()
    alice, bob, carol = three(chat)
    assert chat.server.close_room("attic", chat.now_us) is None
    chat.do(chat.server.close_room("lobby", chat.now_us) or [])
    assert (alice.told, bob.told, carol.told) == (["removed"], ["room_closed"], ["room_closed"])
    assert chat.server.close_room("lobby", chat.now_us) is None  # it is closing
    chat.settles()
    assert not chat.server.has_rooms


def test_who_is_removed_is_told_and_who_is_not_there_cannot_be() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    assert chat.server.remove("nobody", "lobby", chat.now_us) is None
    assert chat.server.remove("bob", "attic", chat.now_us) is None
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    assert bob.told == ["removed"]
    assert alice.told == ["left"]


def test_sessions_that_end_together_are_all_told_also_at_one_address() -> None:
    chat = Chat()
    alice = chat.user("alice").creates("lobby")
    bob = chat.user("bob").joins("lobby")
    carol = chat.user("carol", ip=bob.address.ip).joins("lobby")
    carol.sends(b"from bob's port", source=bob.address)
    alice.leaves()
    assert chat.sent_to(bob).count(b"Room closed") == 2


def test_who_holds_a_name_is_removed_although_a_takeover_is_under_way() -> None:
    chat = Chat(takeover="same_address", takeover_after=SECOND)
    alice, bob, _ = three(chat)
    chat.passes(30)
    heir = chat.peer(bob.address.ip)
    heir.sends(write_request(Operation.JOIN, b"lobby", b"bob"), wake=False)  # accepted, and not yet completed
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    assert bob.told == ["removed"]
    chat.settles()
    assert chat.steps("handshake", heir.stream) == ["requested", "accepted", "completed"]
    assert len(chat.server.registry.sessions) == 3  # the heir has joined under a name that is free
    alice.leaves()
    assert not chat.server.registry.sessions


def test_a_shutdown_ends_the_host_once_although_a_takeover_of_it_is_under_way() -> None:
    chat = Chat(takeover="same_address", takeover_after=SECOND)
    alice, bob, _ = three(chat)
    chat.passes(30)
    heir = chat.peer(alice.address.ip)
    heir.sends(write_request(Operation.JOIN, b"lobby", b"alice"), wake=False)  # accepted, and not yet completed
    chat.do(chat.server.shutdown(chat.now_us))
    assert (alice.told, bob.told) == (["shutdown"], ["shutdown"])
    assert not chat.server.registry.sessions
    assert not chat.server.registry.sessions_at


def test_a_grant_that_is_undone_and_each_end_with_the_room_are_steps_of_the_room() -> None:
    chat = Chat()
    alice, _, _ = three(chat)
    guest = chat.peer()
    guest.sends(write_request(Operation.JOIN, b"lobby", b"dave"), wake=False)  # accepted, and not yet completed
    guest.breaks()
    assert chat.steps("room", "lobby").count("left") == 1
    alice.leaves()
    assert chat.steps("room", "lobby").count("left") == 3


def test_a_room_that_is_closing_lingers_no_longer_than_a_shutdown() -> None:
    chat = Chat(linger=20 * SECOND)
    alice, _, _ = three(chat)
    alice.leaves()
    chat.passes(1)
    chat.do(chat.server.shutdown(chat.now_us))
    chat.passes(0.4)
    assert chat.server.has_rooms
    chat.passes(0.2)
    assert not chat.server.has_rooms


@pytest.mark.parametrize(
    "call",
    [
        lambda server: server.handle_timeout(0),
        lambda server: server.stream_opened("s", Address("10.0.0.9", 50000), 0),
        lambda server: server.receive_stream("s", b"", 0),
        lambda server: server.stream_ended("s", 0),
        lambda server: server.stream_closed("s", 0),
        lambda server: server.receive_datagram(b"", Address("10.0.0.9", 50000), 0),
        lambda server: server.shutdown(0),
        lambda server: server.remove("bob", "lobby", 0),
        lambda server: server.close_room("lobby", 0),
        lambda server: server.resume_request("s", 0),
        lambda server: server.adopt(server.freeze(), 0),
    ],
)
def test_time_does_not_go_backwards(call: Callable[[ServerEngine], object]) -> None:
    chats = Chat(), Chat()
    chats[0].server.handle_timeout(SECOND)
    chats[1].server.receive_datagram(b"", Address("10.0.0.9", 50000), SECOND)
    for chat in chats:
        with pytest.raises(AssertionError, match="time does not go backwards"):
            call(chat.server)


def test_no_token_stands_in_a_trace() -> None:
    chat = Chat()
    _, bob, _ = three(chat)
    bob.says("hello")
    bob.leaves()
    lines = "\n".join(record.line() for record in chat.records)
    for user in chat.users.values():
        assert user.client.token.decode() not in lines


def test_what_is_said_is_a_step_of_its_sender_its_room_and_its_receivers_and_of_an_ended_token_a_refusal() -> None:
    chat = Chat()
    alice, bob, _ = three(chat)
    before = len(chat.steps("session")), len(chat.steps("room"))
    alice.says("hi")
    assert sorted(chat.steps("session")[before[0] :]) == ["relayed", "relayed", "spoke"]
    assert chat.steps("room")[before[1] :] == ["relayed"]
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    until = len(chat.records)
    bob.sends(b"hi")
    assert "refuse" in {str(record.kind) for record in chat.records[until:]}


def test_a_text_said_twice_is_observed_twice_in_the_same_way() -> None:
    chat = Chat()
    alice, _, _ = three(chat)
    data = alice.client.codec.datagram.write(b"lobby", alice.client.token, "alice", "hi")
    said = [chat.server.receive_datagram(data, alice.address, chat.now_us) for _ in range(3)]
    assert said[0] == said[1] == said[2]
    assert [each.event for each in said[0] if isinstance(each, Stepped)] == ["spoke", "relayed", "relayed", "relayed"]


def test_what_is_not_taken_and_what_was_waited_for_is_observed() -> None:
    chat = Chat()
    alice, _, _ = three(chat)
    wrong = alice.client.codec.datagram.write(b"attic", alice.client.token, "alice", "hi")
    [dropped] = chat.server.receive_datagram(wrong, alice.address, chat.now_us)
    assert dropped == Dropped(PacketKind.DATAGRAM, len(wrong), "wrong room", Rule.IDLE_2, 0)
    chat.server.stream_opened("slow", Address("10.0.0.9", 50000), chat.now_us)
    fired = chat.server.handle_timeout(chat.now_us + chat.limits.handshake_timeout)
    assert TimerFired(Deadline.HANDSHAKE, "slow") in fired


def test_a_text_is_one_relay_for_all_unless_it_holds_each_receivers_token() -> None:
    for dialect, relays in (("text", 1), ("name-password-prefix", 2)):
        chat = Chat(only=dialect)
        alice, bob, carol = three(chat, dialect)
        data = alice.client.codec.datagram.write(b"lobby", alice.client.token, "alice", "hi")
        sent = [
            each for each in chat.server.receive_datagram(data, alice.address, chat.now_us) if isinstance(each, Relay)
        ]
        assert [target for each in sent for target in each.targets] == [bob.address, carol.address]
        assert len(sent) == relays
        if relays == 2:
            assert [user.client.token in each.data for user, each in zip((bob, carol), sent, strict=True)] == [
                True,
                True,
            ]


# --- several forms of datagrams, several servers -------------------------------------------------

APART = "room-user-token-lengths"  # its datagrams begin with three lengths, those of text with two


def test_a_datagram_is_read_in_the_form_in_which_its_token_is_known() -> None:
    chat = Chat(listeners=(ListenerConfig((codec("text"), codec(APART))),))
    alice, bob = chat.user("alice").creates("lobby"), chat.user("bob", APART).joins("lobby")
    alice.says("hi")
    bob.says("ho")
    assert (alice.screen, bob.screen) == ([("bob", "ho")], [("alice", "hi")])
    for user in (bob, alice):
        chat.do(chat.server.remove(user.name, "lobby", chat.now_us) or [])
        data = user.client.codec.datagram.write(b"lobby", user.client.token, user.name, "hi")
        assert chat.server.head_of(data, 0) == (b"lobby", user.client.token)
        user.sends(b"hi")
    assert chat.rules_dropped() == ["R-TOK-4", "R-TOK-4"]
    until = len(chat.rules_dropped())
    chat.datagram(b"\x01\x01rt", alice.address)
    chat.datagram(b"\x01", alice.address)
    assert chat.rules_dropped()[until:] == ["R-TOK-2", "R-UDP-1"]


def test_a_head_is_read_in_the_form_of_the_listener_also_of_one_that_is_added() -> None:
    server = ServerEngine(ServerConfig(listeners=(ListenerConfig((codec("text"),)),)), new_token=lambda: b"1" * 32)
    server.add_listeners((ListenerConfig((codec(APART),)), ListenerConfig((codec("text"), codec(APART)))))
    by_lengths = {name: codec(name).datagram.write(b"lobby", b"t1", "bob", "hi") for name in ("text", APART)}
    assert server.head_of(by_lengths["text"], 0) == (b"lobby", b"t1")
    assert server.head_of(by_lengths[APART], 1) == (b"lobby", b"t1")
    assert server.head_of(by_lengths["text"], 2) == (b"lobby", b"t1")
    assert server.head_of(b"\x05", 0) is server.head_of(b"\x05\x00", 1) is None
    server.stream_opened("peer", Address("10.0.0.9", 50000), 0, 1)
    server.receive_stream("peer", codec(APART).write_request(Operation.CREATE, b"lobby", "bob", "", "", 0), 0)
    server.handle_timeout(0)
    [session] = server.registry.sessions.values()
    assert (session.codec, session.listener) == (codec(APART), 1)


def test_rooms_that_are_adopted_go_on_as_they_were() -> None:
    chat = Chat()
    three(chat)
    state = chat.server.freeze()
    other = ServerEngine(ServerConfig(chat.limits), new_token=lambda: b"1" * 32)
    other.adopt(state, chat.now_us + 7 * SECOND)
    assert other.freeze() == state


def test_connections_are_counted_anew_when_the_prefix_changes() -> None:
    chat = Chat(connections_per_ip_max=1)
    first = chat.peer("fd00:7::1")
    assert chat.peer("fd00:7::2").is_closed
    chat.server.set_limits(chat.limits.with_settings({"ipv6_prefix": 128, "connections_per_ip_max": 1}))
    assert not chat.peer("fd00:7::2").is_closed
    first.breaks()


@pytest.mark.parametrize(("name", "shown"), [("", "7"), ("bob", "bob")])
def test_a_connection_without_a_name_is_called_by_its_number(name: str, shown: str) -> None:
    server = ServerEngine(ServerConfig(), new_token=lambda: b"1" * 32, detail=Detail.EVERYTHING)
    server.stream_opened(7, Address("10.0.0.9", 50000), 0, name=name)
    [step] = [each for each in server.stream_closed(7, 0) if isinstance(each, Stepped)]
    assert step.id == shown


def test_what_comes_of_a_session_that_has_left_is_its_leave_word_again_and_of_any_other_an_ended_token() -> None:
    chat = Chat()
    _, bob, carol = three(chat)
    bob.leaves()
    chat.passes(1)
    assert chat.rules_dropped() == ["R-EXIT-1", "R-EXIT-1"]
    assert chat.count(Counter.REJECTED_DATAGRAMS) == 2
    chat.do(chat.server.remove("carol", "lobby", chat.now_us) or [])
    carol.sends(b"hi")
    assert chat.rules_dropped()[2:] == ["R-TOK-4"]
