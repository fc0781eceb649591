"""What the reference server does where no random input leads: the engine does the same."""

from __future__ import annotations

from both_servers import SECOND, BothServers
from conversation import counted_tokens
from tcrp.engine.outputs import Dropped, SendDatagram, Stepped, Withheld
from tcrp.spec.dialects import NAMES, dialect
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, REJECTED_IN_A_ROW_MAX, SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Operation, PacketKind, Rule, SessionEvent

TOKEN = counted_tokens()()  # the first that is granted


def test_what_is_due_is_told_in_order() -> None:
    both = BothServers("json", token_timeout=7 * SECOND, handshake_timeout=3 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    assert both.reference.deadlines_us() == [3 * SECOND, 7 * SECOND]
    assert both.reference.next_deadline_us() == 3 * SECOND
    both.now_us = 3 * SECOND
    both.wakes()
    assert both.reference.deadlines_us() == [7 * SECOND]
    both.now_us = 7 * SECOND - 1
    assert both.wakes() == []
    both.now_us += 1
    assert SessionEvent.IDLED in [each.event for each in both.wakes() if isinstance(each, Stepped)]


def test_nothing_is_due_where_nothing_has_happened() -> None:
    both = BothServers("json")
    assert both.reference.next_deadline_us() is None
    assert both.reference.deadlines_us() == []


def test_an_empty_text_is_answered_to_a_client_that_asks_for_answers() -> None:
    for asks in (True, False):
        both = BothServers("json")
        both.asks("alice", Operation.CREATE, "lobby", "alice", asks_for_answers=asks)
        both.wakes()
        sent = [each.what for each in both.speaks(TOKEN, "lobby", b"") if isinstance(each, SendDatagram)]
        assert sent == [PacketKind.KEEP_ALIVE_ANSWER] * asks


def test_a_room_that_is_closing_or_unknown_cannot_be_closed_by_the_operator() -> None:
    both = BothServers("json", linger=5 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.speaks(TOKEN, "lobby", b"")
    assert both.reference.close_room("attic", 0) is None
    assert both.give("close_room", "lobby", both.now_us) != []
    assert both.reference.close_room("lobby", 0) is None
    assert both.engine.close_room("lobby", 0) is None


def test_a_datagram_of_the_longest_length_is_heard_and_a_longer_one_is_rejected() -> None:
    for more, rule in ((0, None), (1, Rule.UDP_1)):
        both = BothServers("json")
        both.asks("alice", Operation.CREATE, "lobby", "alice")
        both.wakes()
        room = CLIENT_DATAGRAM_BYTES_MAX - 2 - len("lobby") - len(TOKEN)
        outputs = both.speaks(TOKEN, "lobby", b"x" * (room + more))
        assert [each.rule for each in outputs if isinstance(each, Dropped)] == ([rule] if rule else [])


def test_datagrams_rejected_in_a_row_end_a_session_and_one_that_is_heard_begins_the_count_anew() -> None:
    both = BothServers("json")
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    for _ in range(2):
        for _ in range(REJECTED_IN_A_ROW_MAX - 1):
            both.speaks(TOKEN, "attic", b"hi")
        both.speaks(TOKEN, "lobby", b"")
    assert len(both.reference.rooms.sessions()) == 1
    for _ in range(REJECTED_IN_A_ROW_MAX):
        both.speaks(TOKEN, "attic", b"hi")
    assert both.reference.rooms.sessions() == []


def test_an_empty_datagram_and_one_that_ends_within_its_head_are_none() -> None:
    both = BothServers("json")
    for data in (b"", b"\x05", b"\x05\x20lobby", b"\x05\x20lobby" + TOKEN[:-1]):
        outputs = both.give("receive_datagram", data, both.address(), both.now_us)
        assert [each.rule for each in outputs if isinstance(each, Dropped)] == [Rule.UDP_1]


def test_a_text_that_makes_a_relay_too_long_for_its_receiver_is_withheld() -> None:
    both = BothServers("json")
    tokens = counted_tokens()
    alices, bobs = tokens(), tokens()
    both.asks("alice", Operation.CREATE, "lobby", "a" * 255)
    both.wakes()
    both.speaks(alices, "lobby", b"")
    both.asks("bob", Operation.JOIN, "lobby", "bob", ip="10.0.0.2")
    both.wakes()
    both.speaks(bobs, "lobby", b"", ip="10.0.0.2")
    longest = SERVER_DATAGRAM_BYTES_MAX - len("a" * 255 + ": ")
    for length, kind in ((longest, SendDatagram), (longest + 1, Withheld)):
        both.now_us += SECOND
        outputs = both.speaks(alices, "lobby", b"x" * length)
        assert [type(each) for each in outputs if isinstance(each, Withheld | SendDatagram)] == [kind]


def test_texts_beyond_so_many_a_second_are_dropped_until_a_second_has_gone_by() -> None:
    both = BothServers("json", texts_per_second_max=2)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.speaks(TOKEN, "lobby", b"")

    def is_dropped(after_us: int) -> bool:
        both.now_us += after_us
        return any(isinstance(each, Dropped) for each in both.speaks(TOKEN, "lobby", b"hi"))

    assert [is_dropped(each) for each in (0, 10, 10, SECOND - 21, 1, 9, 1)] == [
        False, False, True, True, False, True, False,
    ]  # fmt: skip


def test_who_has_ended_is_answered_once_a_second() -> None:
    both = BothServers("json", linger=5 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.speaks(TOKEN, "lobby", b"")
    both.give("close_room", "lobby", both.now_us)

    def is_answered(after_us: int) -> bool:
        both.now_us += after_us
        outputs = both.speaks(TOKEN, "lobby", b"hi")
        return any(isinstance(each, SendDatagram) and each.what is PacketKind.NOTICE for each in outputs)

    assert [is_answered(each) for each in (1, SECOND - 1, 1)] == [True, False, True]


def test_who_has_ended_is_told_at_the_port_of_its_request_where_that_is_fixed() -> None:
    both = BothServers("json-port", linger=5 * SECOND)
    assert both.codecs[0].dialect.port_fixed
    both.asks("alice", Operation.CREATE, "lobby", "alice", port=40_001)
    both.give("close_room", "lobby", both.now_us)
    outputs = both.speaks(TOKEN, "lobby", b"hi", port=40_009)
    assert [each.address for each in outputs if isinstance(each, SendDatagram)] == [both.address(port=40_001)]


def test_the_word_by_which_a_client_enters_is_never_a_text() -> None:
    with_one = [name for name in NAMES if dialect(name).enter_word]
    assert with_one
    for name in with_one:
        both = BothServers(name)
        tokens = counted_tokens()
        both.asks("alice", Operation.CREATE, "lobby", "alice")
        both.wakes()
        both.asks("bob", Operation.JOIN, "lobby", "bob", ip="10.0.0.2", port=40_002)
        both.wakes()
        alices, bobs = tokens(), tokens()
        word = str(dialect(name).enter_word).encode()
        both.speaks(bobs, "lobby", word, ip="10.0.0.2", port=40_002)
        for _ in range(2):
            outputs = both.speaks(alices, "lobby", word)
            assert PacketKind.RELAY not in [each.what for each in outputs if isinstance(each, SendDatagram)]
        outputs = both.speaks(alices, "lobby", b"hi")
        assert PacketKind.RELAY in [each.what for each in outputs if isinstance(each, SendDatagram)]
