"""What the reference server does with connections where no random input leads: the engine does the same."""

from __future__ import annotations

import pytest

from both_servers import SECOND, BothServers
from conversation import counted_tokens
from tcrp.engine.outputs import CloseStream, Dropped, FinishStream, SendDatagram, SendFrame, ServerOutput, Stepped
from tcrp.sim.reference.wire import LISTING_BYTES_MAX
from tcrp.spec.limits import NAME_BYTES_MAX, TAKEOVERS_A_MINUTE_MAX, Takeover
from tcrp.spec.names import Operation, PacketKind, Reason, Rule, SessionEvent, SessionState

TOKEN = counted_tokens()()  # the first that is granted


def frames(outputs: list[ServerOutput]) -> list[str]:
    """What is sent on connections, and how they end."""
    found: list[str] = []
    for each in outputs:
        match each:
            case SendFrame(_, _, what):
                found.append(str(what))
            case FinishStream():
                found.append("half-close")
            case CloseStream():
                found.append("close")
    return found


def test_bytes_on_a_connection_that_is_closed_are_nothing() -> None:
    both = BothServers("json")
    both.opens("alice")
    both.give("stream_closed", "alice", both.now_us)
    assert both.sends("alice", both.request(Operation.CREATE, "lobby", "alice")) == []
    assert both.give("stream_ended", "alice", both.now_us) == []
    assert both.give("stream_closed", "alice", both.now_us) == []


def test_a_peer_that_sends_no_more_still_gets_its_completion_and_is_then_closed() -> None:
    both = BothServers("json")
    assert frames(both.asks("alice", Operation.CREATE, "lobby", "alice")) == [PacketKind.ANSWER]
    assert both.give("stream_ended", "alice", both.now_us) == []
    assert frames(both.wakes()) == [PacketKind.COMPLETION, "close"]
    assert both.sends("alice", b"more") == []


def test_a_peer_that_goes_between_answer_and_completion_has_been_granted_nothing() -> None:
    both = BothServers("json")
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.give("stream_closed", "alice", both.now_us)
    assert frames(both.wakes()) == []
    assert frames(both.asks("bob", Operation.CREATE, "lobby", "bob")) == [PacketKind.ANSWER]  # the name is free again


@pytest.mark.parametrize("dialect", ["json", "name-port"])
def test_a_token_holds_only_when_it_is_handed_over(dialect: str) -> None:
    """Whoever guesses it before has nothing, and disturbs nothing."""
    both = BothServers(dialect)
    assert frames(both.asks("alice", Operation.CREATE, "lobby", "alice")) == [PacketKind.ANSWER]
    [early] = both.speaks(TOKEN, "lobby", b"hi", port=40_002)
    assert isinstance(early, Dropped)
    assert early.rule is Rule.TOK_2
    assert frames(both.wakes()) == [PacketKind.COMPLETION, "half-close"]
    both.give("stream_ended", "alice", both.now_us)
    both.asks("bob", Operation.JOIN, "lobby", "bob")  # whose token is not handed over, which is nothing to alice's
    both.speaks(TOKEN, "lobby", b"hi")
    session = both.engine.freeze().sessions[0]
    assert (session.state, session.address) == (SessionState.IN_ROOM, both.address())


def test_who_guesses_the_token_of_a_takeover_early_ends_nobody() -> None:
    both = BothServers("json", takeover=Takeover.SAME_ADDRESS, takeover_after=SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.speaks(TOKEN, "lobby", b"hi")
    both.now_us = 2 * SECOND
    both.asks("alice again", Operation.JOIN, "lobby", "alice")
    both.speaks(f"{2:032x}".encode(), "lobby", b"hi")
    assert both.give("stream_closed", "alice again", both.now_us) != []
    assert both.speaks(TOKEN, "lobby", b"still here") == []
    assert [each.token for each in both.engine.freeze().sessions] == [TOKEN]


def test_a_request_that_a_late_server_accepts_behind_its_timeout_is_completed() -> None:
    both = BothServers("json", handshake_timeout=2 * SECOND)
    both.opens("alice")
    both.now_us = 3 * SECOND
    assert frames(both.sends("alice", both.request(Operation.CREATE, "lobby", "alice"))) == [PacketKind.ANSWER]
    assert frames(both.wakes()) == [PacketKind.COMPLETION, "half-close", "close"]


def test_a_late_completion_closes_a_connection_once_whose_peer_sends_no_more() -> None:
    both = BothServers("json", handshake_timeout=2 * SECOND)
    both.opens("alice")
    both.now_us = 3 * SECOND
    both.sends("alice", both.request(Operation.CREATE, "lobby", "alice"))
    both.give("stream_ended", "alice", both.now_us)
    assert frames(both.wakes()) == [PacketKind.COMPLETION, "close"]


def test_a_port_behind_the_request_is_answered_where_the_client_asks_for_answers() -> None:
    both = BothServers("json")
    both.opens("alice")
    request = both.request(Operation.CREATE, "lobby", "alice", asks_for_answers=True)
    both.sends("alice", request + (40_001).to_bytes(2, "big"))
    entered = [each.what for each in both.wakes() if isinstance(each, SendDatagram)]
    assert entered == [PacketKind.KEEP_ALIVE_ANSWER]


@pytest.mark.parametrize(
    ("trailer", "port"),
    [
        (b"", None),
        (b"\x9c", None),
        (b"\x03\xff", None),
        (b"\x04\x00", 1024),
        (b"\x9cA", 40_001),
        (b"\x9cA\x00", 40_001),
    ],
)  # fmt: skip
def test_a_port_behind_the_request_is_two_bytes_and_at_least_1024(trailer: bytes, port: int | None) -> None:
    both = BothServers("json")
    both.opens("alice")
    both.sends("alice", both.request(Operation.CREATE, "lobby", "alice") + trailer)
    both.wakes()
    [session] = both.reference.rooms.sessions()
    assert (session.address.port if session.address is not None else None) == port


def test_who_creates_a_room_again_with_a_wrong_password_is_told_that_it_exists() -> None:
    both = BothServers("json", takeover="same_address", takeover_after=1 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice", password="sesame")
    both.wakes()
    both.now_us = 2 * SECOND
    outputs = both.asks("alice again", Operation.CREATE, "lobby", "alice", password="wrong")
    assert [each.why for each in outputs if isinstance(each, Stepped) and each.why] == [Reason.ROOM_EXISTS]


class Door:
    """A room with a password, and who tries to join it."""

    def __init__(self, tries: int) -> None:
        self.both = BothServers("json", password_tries_max=tries, idle_timeout=300 * SECOND)
        self.both.asks("alice", Operation.CREATE, "lobby", "alice", password="sesame")
        self.both.wakes()
        self.both.speaks(TOKEN, "lobby", b"")

    def answers(self, password: str, after_us: int) -> str:
        """What is said to a password so long after the one before."""
        both = self.both
        both.now_us += after_us
        stream = f"at {both.now_us}"
        outputs = both.asks(stream, Operation.JOIN, "lobby", "bob", password=password)
        both.give("stream_closed", stream, both.now_us)
        both.wakes()
        return next((each.why for each in outputs if isinstance(each, Stepped) and each.why), "accepted")


def test_after_the_last_wrong_password_of_a_minute_one_a_second_is_looked_at() -> None:
    door = Door(tries=2)
    assert door.answers("wrong", 1) == Reason.WRONG_PASSWORD
    assert door.answers("wrong", 1) == Reason.WRONG_PASSWORD
    assert door.answers("sesame", 1) == Reason.TOO_MANY_REQUESTS
    assert door.answers("wrong", SECOND) == Reason.TOO_MANY_REQUESTS
    assert door.answers("sesame", SECOND - 1) == Reason.TOO_MANY_REQUESTS
    assert door.answers("sesame", 1) == "accepted"
    assert door.answers("wrong", 57 * SECOND) == Reason.TOO_MANY_REQUESTS
    assert door.answers("wrong", 60 * SECOND) == Reason.WRONG_PASSWORD


def test_a_lock_out_lasts_a_minute_from_the_last_wrong_password_and_no_longer() -> None:
    door = Door(tries=2)
    assert door.answers("wrong", 1) == Reason.WRONG_PASSWORD
    assert door.answers("wrong", 30 * SECOND) == Reason.WRONG_PASSWORD
    assert door.answers("wrong", 31 * SECOND) == Reason.TOO_MANY_REQUESTS  # the first is older than a minute
    door = Door(tries=1)
    assert door.answers("wrong", 1) == Reason.WRONG_PASSWORD
    assert door.answers("wrong", 60 * SECOND) == Reason.WRONG_PASSWORD


def test_who_takes_over_the_hosts_name_is_the_host_and_the_old_session_is_told() -> None:
    both = BothServers("json", takeover="same_address", takeover_after=1 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.speaks(TOKEN, "lobby", b"")
    both.now_us = 2 * SECOND
    both.asks("alice again", Operation.CREATE, "lobby", "alice")
    outputs = both.wakes()
    assert [each.event for each in outputs if isinstance(each, Stepped)][-1] == SessionEvent.SUPERSEDED
    both.give("close_room", "lobby", both.now_us)
    assert [str(each.name) for each in both.reference.rooms.sessions()] == []


def bob_takes_over_his_name() -> BothServers:
    """In alice's lobby; the new token is not handed over yet."""
    both = BothServers("json", takeover="same_address", takeover_after=1 * SECOND)
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.asks("bob", Operation.JOIN, "lobby", "bob")
    both.wakes()
    both.now_us = 2 * SECOND
    both.asks("bob again", Operation.JOIN, "lobby", "bob")
    return both


def test_who_takes_over_a_guests_name_is_a_guest() -> None:
    both = bob_takes_over_his_name()
    both.wakes()
    both.give("remove", "alice", "lobby", both.now_us)
    assert [str(each.name) for each in both.reference.rooms.sessions()] == []  # the host's end closes the room


@pytest.mark.parametrize("start_us", [0, 100 * SECOND])
def test_a_name_changes_hands_so_often_in_a_minute_and_no_more(start_us: int) -> None:
    both = BothServers("json", takeover="same_address", takeover_after=1 * SECOND)
    both.now_us = start_us
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()

    def takes_over() -> bool:
        both.now_us += SECOND
        outputs = both.asks(f"at {both.now_us}", Operation.CREATE, "lobby", "alice")
        both.wakes()
        return not any(isinstance(each, Stepped) and each.why for each in outputs)

    assert [takes_over() for _ in range(TAKEOVERS_A_MINUTE_MAX + 1)] == [True] * TAKEOVERS_A_MINUTE_MAX + [False]
    both.now_us += 60 * SECOND - TAKEOVERS_A_MINUTE_MAX * SECOND - 1 * SECOND
    assert takes_over()


def test_a_session_that_ends_while_its_name_is_taken_over_is_not_superseded_too() -> None:
    both = bob_takes_over_his_name()
    both.give("remove", "bob", "lobby", both.now_us)
    outputs = both.wakes()
    assert frames(outputs) == [PacketKind.COMPLETION, "half-close"]
    assert SessionEvent.SUPERSEDED not in [each.event for each in outputs if isinstance(each, Stepped)]


def listed_rooms(names: list[str]) -> bytes:
    """The list of rooms of these names."""
    many = 2 * len(names)
    both = BothServers(
        "name-port-list", rooms_max=many, rooms_per_ip_max=many, sessions_max=many, sessions_per_ip_max=many,
        unentered_rooms_per_ip_max=many, connections_max=many, connections_per_ip_max=many,
    )  # fmt: skip
    for name in names:
        both.asks(f"user of {name}", Operation.CREATE, name, "alice")
        both.wakes()
    asks_for_list = bytes((0, both.codecs[0].dialect.operations[Operation.LIST], 0)) + bytes(29)
    both.opens("reader")
    return b"".join(each.data for each in both.sends("reader", asks_for_list) if isinstance(each, SendFrame))


def test_a_list_names_the_open_rooms_without_password_whose_name_holds_no_comma() -> None:
    both = BothServers("name-port-list", "json")
    takes_passwords = both.codecs[1]
    for name, password in (("open", ""), ("closing", ""), ("secret", "sesame"), ("one,two", "")):
        both.opens(name)
        both.sends(
            name, takes_passwords.write_request(Operation.CREATE, name.encode(), "ann", password, "10.0.0.1", 40_001)
        )
        both.wakes()
    both.give("close_room", "closing", both.now_us)
    asks_for_list = bytes((0, both.codecs[0].dialect.operations[Operation.LIST], 0)) + bytes(29)
    both.opens("reader")
    [listing] = [each.data for each in both.sends("reader", asks_for_list) if isinstance(each, SendFrame)]
    assert both.codecs[0].read_listing(listing) == ["open"]


def test_a_list_of_rooms_ends_where_the_next_name_would_not_fit() -> None:
    rooms = LISTING_BYTES_MAX // (NAME_BYTES_MAX + 1) + 1
    assert listed_rooms([f"{number:0{NAME_BYTES_MAX}}" for number in range(rooms)]).count(b",") == rooms - 2


def test_a_list_of_rooms_may_be_of_exactly_the_length_that_is_allowed() -> None:
    lengths = [NAME_BYTES_MAX] * 2 + [NAME_BYTES_MAX - 1] * 255
    names = [f"{number:0{length}}" for number, length in enumerate(lengths)]
    assert len(",".join(names)) == LISTING_BYTES_MAX
    assert listed_rooms(names).endswith(",".join(names).encode())
