"""Ends of sessions and rooms that are wrong by the least, each found, and the last that is right."""

from __future__ import annotations

import pytest

from observed_by_hand import BOB, OTHER, TOKEN, Server, frozen_ended, frozen_room
from planting import Planted, gives, moves_timers, violation_of, with_limits
from tcrp.engine.outputs import Address, CloseStream, Relay, SendDatagram, ServerOutput
from tcrp.engine.server import Outputs
from tcrp.engine.state import ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.sim.checks.observed import Known, SessionRecord
from tcrp.sim.checks.termination import LATE_US, TerminationChecks
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.limits import NOTICE_AGAIN_AFTER_US, SECOND_US, SHUTDOWN_LINGER_US, Limits
from tcrp.spec.names import Deadline, PacketKind, Property, SessionState

REMOVED = """
claim: bob is removed and speaks all the same
users:
  alice: {dialect: text, address: 10.1.0.1}
  bob: {dialect: text, address: 10.1.0.2}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 3s, server: {remove: {user: bob, room: lobby}}}
  - {at: 4200ms, bob: {datagram: {token_of: bob, room: lobby, text: "hello?"}}}
"""
SPOKEN = 2 + len("lobby") + 32 + len("hello?")  # bytes
CLOSES = """
claim: the host leaves
server: {linger: 2s}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 3s, alice: leave}
until: 20s
"""


def answers(*effects: SendDatagram | Relay) -> EngineFactory:
    """The words of an ended token are answered with these."""

    class Answers(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            outputs = super().receive_datagram(data, source, now_us, listener)
            if not data.endswith(b"hello?"):
                return outputs
            kept = [each for each in outputs if not isinstance(each, SendDatagram)]
            return [*kept, *effects]

    return Answers


def notice(size: int, address: Address = BOB, listener: int = 0) -> SendDatagram:
    return SendDatagram(b"n" * size, address, PacketKind.NOTICE, listener)


@pytest.mark.parametrize(
    ("answer", "is_found"),
    [
        (notice(3 * SPOKEN), False),
        (notice(3 * SPOKEN + 1), True),
        (notice(1, Address("10.1.0.2", 1024)), False),  # its own IP address, whatever the port
        (notice(1, Address("10.1.0.3", 40001)), True),
        (notice(1, Address("10.1.0.1", 40001)), True),
    ],
)
def test_an_answer_to_an_ended_token_is_at_most_three_times_as_long_and_to_its_own_ip(
    answer: SendDatagram, is_found: bool
) -> None:
    assert (violation_of(REMOVED, Property.NO_AMPLIFICATION, answers(answer)) is not None) is is_found


@pytest.mark.parametrize(("apart_ms", "is_found"), [(1000, False), (999, True)])
def test_ended_tokens_are_answered_at_most_once_a_second(apart_ms: int, is_found: bool) -> None:
    again = f'  - {{at: {4200 + apart_ms}ms, bob: {{datagram: {{token_of: bob, room: lobby, text: "hello?"}}}}}}\n'
    violation = violation_of(REMOVED + again, Property.NO_AMPLIFICATION, answers(notice(1)))
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("port", "is_found"), [(40001, True), (40002, False)])
def test_an_answer_to_an_address_where_a_living_session_receives_is_found(port: int, is_found: bool) -> None:
    neighbours = REMOVED.replace("10.1.0.2", "10.1.0.1")  # alice receives at port 40001
    answer = answers(notice(1, Address("10.1.0.1", port)))
    assert (violation_of(neighbours, Property.NO_AMPLIFICATION, answer) is not None) is is_found


@pytest.mark.parametrize(
    ("answer", "is_found"),
    [
        (notice(1), False),
        (SendDatagram(b"n", BOB, PacketKind.KEEP_ALIVE_ANSWER), True),
        (Relay(b"n", [BOB], PacketKind.NOTICE), True),
    ],
)
def test_an_ended_token_gets_a_notice_and_nothing_else(answer: SendDatagram | Relay, is_found: bool) -> None:
    assert (violation_of(REMOVED, Property.REJECTED_CHANGES_NOTHING, answers(answer)) is not None) is is_found


def test_the_third_malformed_datagram_in_a_row_may_move_its_owners_session() -> None:
    malformed = REMOVED[: REMOVED.index("  - {at: 3s")]
    malformed += '  - {every: 1s, times: 3, at: 3s, bob: {datagram: {token_of: bob, room: attic, text: "x"}}}\n'
    malformed += "expect: [{session: bob@lobby, state: expired, at: 6s}]\n"
    assert violation_of(malformed, Property.REJECTED_CHANGES_NOTHING) is None


@pytest.mark.parametrize(("token_of", "is_found"), [("alice", True), ("bob", False)])
def test_a_datagram_from_elsewhere_may_not_even_be_answered(token_of: str, is_found: bool) -> None:
    """By bob with alice's token, which counts from her address only; by bob with his own, which has ended."""
    elsewhere = REMOVED.replace("token_of: bob", f"token_of: {token_of}")
    violation = violation_of(elsewhere, Property.REJECTED_CHANGES_NOTHING, answers(notice(1)))
    assert (violation is not None) is is_found


# --- being told ----------------------------------------------------------------------------------


def told_at(address: Address) -> EngineFactory:
    """Notices go to another address."""

    def elsewhere(_: Planted, outputs: Outputs) -> Outputs:
        return [
            each._replace(address=address)
            if isinstance(each, SendDatagram) and each.what is PacketKind.NOTICE
            else each
            for each in outputs
        ]

    return gives(elsewhere)


@pytest.mark.parametrize("property", [Property.ENDED_ARE_TOLD, Property.ENDED_ARE_TOLD_AGAIN])
@pytest.mark.parametrize(("port", "is_found"), [(40001, False), (40002, True)])
def test_a_reason_that_is_sent_to_another_port_is_found(property: Property, port: int, is_found: bool) -> None:
    violation = violation_of(REMOVED, property, told_at(Address("10.1.0.2", port)))
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("by_us", "is_found"), [(LATE_US, False), (LATE_US + 1, True)])
def test_a_reason_may_be_sent_again_a_second_late_and_no_more(by_us: int, is_found: bool) -> None:
    quiet = REMOVED[: REMOVED.index("  - {at: 4200ms")] + "until: 10s\n"
    violation = violation_of(quiet, Property.ENDED_ARE_TOLD_AGAIN, moves_timers(Deadline.NOTICE, by_us))
    assert (violation is not None) is is_found


# --- rooms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("linger_us", "is_found"), [(2 * SECOND_US, False), (2 * SECOND_US - 1, True)])
def test_a_name_that_is_free_a_microsecond_early_is_found(linger_us: int, is_found: bool) -> None:
    violation = violation_of(CLOSES, Property.NAMES_LINGER, with_limits(linger=linger_us))
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("by_us", "is_found"), [(0, False), (-1, True)])
def test_a_server_that_stops_may_free_names_after_half_a_second(by_us: int, is_found: bool) -> None:
    stops = CLOSES.replace("alice: leave", "server: shutdown")
    violation = violation_of(stops, Property.NAMES_LINGER, moves_timers(Deadline.LINGER, by_us))
    assert (violation is not None) is is_found


def test_a_room_whose_host_has_not_entered_may_be_free_at_once() -> None:
    """Its name goes without linger (R-LIM-2); that of bob's room is too early, and found."""
    left = """
claim: alice never enters
server: {token_timeout: 2s}
users: {alice: {dialect: text}}
script:
  - {at: 0s, network: {set: {loss: 100%}, from: alice, to: server}}
  - {at: 0s, alice: {create: attic}}
  - {at: 1s, bob: {create: lobby}}
  - {at: 5s, bob: leave}
until: 20s
"""
    violation = violation_of(left, Property.NAMES_LINGER, moves_timers(Deadline.LINGER, -1))
    assert violation is not None
    assert "lobby" in violation.what


# --- call by call --------------------------------------------------------------------------------

AGAIN_US = NOTICE_AGAIN_AFTER_US[1:]
AT_BOB = SendDatagram(b"bye", BOB, PacketKind.NOTICE)


class Judged(Server):
    """The checks of endings, told by hand what a server is given, does and puts out."""

    def __init__(self, dialect: str = "text", *, linger_us: int = 5 * SECOND_US) -> None:
        super().__init__(dialect, limits=Limits(linger=linger_us), known=Known())
        self.host = self.run.server
        self.checks = TerminationChecks(self.results, self.observed, self.bounds)

    def ends(self, *outputs: ServerOutput, local_us: int = 0, event: str = "removed") -> SessionRecord:
        """Bob, who is in the room, ends, and the server puts this out."""
        entry = self.enters(self.grants(TOKEN))
        entry.address = BOB
        self.wakes(local_us)
        self.steps(entry, event, "expired")
        self.puts_out(*outputs)
        return entry

    def puts_out(self, *outputs: ServerOutput) -> None:
        self.checks.judge(self.host, list(outputs))

    def is_overdue(self, local_us: int) -> bool:
        """Whether something is overdue when the server is next given something."""
        self.run.world.now_us = local_us
        self.checks.judge_overdue(self.host)
        return self.found is not None

    def judged_again(self) -> int:
        return self.results.judged[Property.ENDED_ARE_TOLD_AGAIN]


@pytest.mark.parametrize("number", range(len(AGAIN_US)))
def test_each_time_that_an_ended_session_is_to_be_told_again_has_a_second(number: int) -> None:
    server = Judged()
    server.ends(AT_BOB)
    for after_us in AGAIN_US[:number]:
        server.wakes(after_us)
        server.puts_out(AT_BOB)
    assert server.judged_again() == number
    assert not server.is_overdue(AGAIN_US[number] + LATE_US)
    assert server.is_overdue(AGAIN_US[number] + LATE_US + 1)
    assert server.found == "bob@lobby was not told again"


def test_who_was_told_as_often_as_is_due_is_overdue_no_more() -> None:
    server = Judged()
    server.ends(AT_BOB)
    for after_us in AGAIN_US:
        server.wakes(after_us)
        server.puts_out(AT_BOB)
    assert server.judged_again() == len(AGAIN_US)
    assert not server.is_overdue(60 * SECOND_US)


def test_to_be_told_later_is_to_be_told_all_the_times_that_were_due() -> None:
    server = Judged()
    entry = server.ends(AT_BOB)
    server.wakes(AGAIN_US[0] - 1)
    server.puts_out(AT_BOB)
    assert (server.judged_again(), entry.tell_us) == (0, list(AGAIN_US))  # too early to count
    server.wakes(AGAIN_US[1])
    server.puts_out(AT_BOB)
    assert (server.judged_again(), entry.tell_us) == (1, list(AGAIN_US[2:]))


@pytest.mark.parametrize(
    ("linger_us", "times"), [(AGAIN_US[0], 0), (AGAIN_US[0] + 1, 1), (AGAIN_US[2], 2), (AGAIN_US[2] + 1, 3)]
)
def test_nobody_is_to_be_told_again_once_the_token_is_forgotten(linger_us: int, times: int) -> None:
    server = Judged(linger_us=linger_us)
    entry = server.ends(AT_BOB, local_us=7)
    assert entry.tell_us == [7 + after_us for after_us in AGAIN_US[:times]]
    assert server.is_overdue(60 * SECOND_US) is bool(times)


def test_of_a_request_by_hand_nobody_knows_how_often_it_is_to_be_told() -> None:
    server = Judged()
    entry = server.enters(server.grants(TOKEN, user="nobody"))
    entry.address = BOB
    server.wakes(0)
    server.steps(entry, "removed", "expired")
    server.puts_out(AT_BOB)
    assert (server.found, server.is_overdue(60 * SECOND_US)) == (None, False)


@pytest.mark.parametrize("why", ["another receives there", "its relays stay elsewhere", "it was frozen"])
def test_who_cannot_be_told_again_is_not_missed(why: str) -> None:
    server = Judged()
    entry = server.ends(AT_BOB)
    if why == "another receives there":
        server.enters(server.grants(OTHER, "ann@lobby", user="ann")).address = BOB
    elif why == "its relays stay elsewhere":
        entry.fixed = True
    else:
        server.host.is_catching_up = True
    assert not server.is_overdue(AGAIN_US[0] + LATE_US + 1)
    server.host.is_catching_up = False
    assert server.is_overdue(AGAIN_US[0] + LATE_US + 1) is (why == "it was frozen")


@pytest.mark.parametrize(
    ("why", "is_found"),
    [("", True), ("another receives there", False), ("its relays stay elsewhere", False), ("it has left", False)],
)
def test_who_ends_is_told_why_unless_it_cannot_be_told_or_knows(why: str, is_found: bool) -> None:
    server = Judged()
    entry = server.enters(server.grants(TOKEN))
    entry.address, entry.fixed = BOB, why == "its relays stay elsewhere"
    if why == "another receives there":
        server.enters(server.grants(OTHER, "ann@lobby", user="ann")).address = BOB
    server.wakes(0)
    server.steps(entry, "left" if why == "it has left" else "removed", "expired")
    server.puts_out()
    assert server.found == ("bob@lobby has ended and was not told" if is_found else None)
    server.wakes(AGAIN_US[0])
    server.puts_out()
    assert server.judged_again() == (1 if why in ("another receives there", "its relays stay elsewhere") else 0)


@pytest.mark.parametrize("way", ["crash", "give away", "close"])
def test_nobody_is_to_be_told_again_by_a_server_that_no_longer_has_the_room(way: str) -> None:
    server = Judged()
    server.ends(AT_BOB)
    eve = server.enters(server.grants(OTHER, "eve@attic", user="ann"))
    eve.address = BOB._replace(port=9)
    server.wakes(0)
    server.steps(eve, "removed", "expired")
    server.puts_out(AT_BOB._replace(address=eve.address))
    if way == "crash":
        server.checks.forget()
    elif way == "give away":
        server.checks.give_away("lobby")
    else:
        server.wakes(1)
        server.room("lobby", "created", "vacant", "open")
        server.room("lobby", "drained", "open", "closed")
        server.puts_out()
    assert server.is_overdue(60 * SECOND_US) is (way != "crash")
    assert server.found == (None if way == "crash" else "eve@attic was not told again")


# --- rooms that come from another server ----------------------------------------------------------


def adopts(server: Judged, *, times_told: int = 1, due: bool = True, ended_ago_us: int = 0) -> SessionRecord:
    """At 100 s, a room comes in which bob has ended."""
    entry = server.enters(server.grants(TOKEN))
    server.steps(entry, "removed", "expired")
    timers = (TimerEntry(5, Deadline.NOTICE if due else Deadline.LINGER, TOKEN),)
    ended = frozen_ended(TOKEN, times_told=times_told, ended_ago_us=ended_ago_us)
    state = ServerState(rooms=(frozen_room(),), ended=(ended,), timers=timers)
    local_us = 100 * SECOND_US
    server.observed.forget()
    server.observed.adopt(state, local_us, 5 * SECOND_US)
    server.checks.adopt(state, server.observed.ended, local_us)
    return server.observed.ended[TOKEN]


@pytest.mark.parametrize("times_told", [1, 2, 3, 4])
def test_who_comes_with_a_room_is_still_to_be_told_as_often_as_was_left(times_told: int) -> None:
    server = Judged()
    entry = adopts(server, times_told=times_told)
    assert entry.tell_us == [100 * SECOND_US + after_us for after_us in NOTICE_AGAIN_AFTER_US[times_told:]]
    assert server.is_overdue(200 * SECOND_US) is (times_told < 4)


def test_what_was_due_on_the_way_is_due_when_the_room_comes() -> None:
    entry = adopts(Judged(), ended_ago_us=SECOND_US)
    assert entry.tell_us == [100 * SECOND_US, 100 * SECOND_US + 500_000, 100 * SECOND_US + 2_500_000]


def test_who_has_no_deadline_to_be_told_is_not_missed() -> None:
    server = Judged()
    assert adopts(server, due=False).tell_us == []
    assert not server.is_overdue(200 * SECOND_US)


@pytest.mark.parametrize(("linger_us", "times"), [(AGAIN_US[0], 0), (AGAIN_US[0] + 1, 1)])
def test_a_token_that_came_and_is_forgotten_soon_is_told_no_later(linger_us: int, times: int) -> None:
    server = Judged(linger_us=linger_us)
    assert len(adopts(server).tell_us) == times
    assert server.is_overdue(200 * SECOND_US) is bool(times)


# --- closed rooms, call by call -------------------------------------------------------------------


class HoldsARoom(Planted):
    """Its state still has a room that it says is closed."""

    def freeze(self) -> ServerState:
        return ServerState(rooms=(frozen_room(),))


@pytest.mark.parametrize("holds", ["nothing", "a room", "a session", "a session of another room"])
def test_a_room_that_is_closed_leaves_nothing_behind(holds: str) -> None:
    server = Judged()
    if holds == "a room":
        server.host._make_engine = HoldsARoom
        server.host.start_engine()
    elif holds == "a session":
        server.grants(TOKEN)
    elif holds == "a session of another room":
        server.grants(TOKEN, "bob@attic")
    server.wakes()
    server.room("lobby", "created", "vacant", "open")
    server.room("lobby", "drained", "open", "closed")
    server.puts_out()
    left = {"a room": ["the room b'lobby'"], "a session": ["session bob@lobby"]}.get(holds)
    assert server.found == (f"room lobby is closed but leaves {left}" if left else None)
    assert "lobby" not in server.observed.tokens


@pytest.mark.parametrize("state", ["open", "closing"])
def test_a_room_does_not_stay_open_without_its_host(state: str) -> None:
    server = Judged()
    host = server.creates(TOKEN, "bob@lobby")
    server.wakes()
    server.steps(host, "left", "expired")
    if state == "closing":
        server.room("lobby", "host_gone", "open", "closing")
    server.puts_out()
    assert server.found == ("room lobby is open after its host bob@lobby has ended" if state == "open" else None)


@pytest.mark.parametrize(
    ("after_us", "is_stopping", "has_entered", "is_found"),
    [
        (5 * SECOND_US, False, True, False),
        (5 * SECOND_US - 1, False, True, True),
        (5 * SECOND_US - 1, False, False, False),
        (SHUTDOWN_LINGER_US, True, True, False),
        (SHUTDOWN_LINGER_US - 1, True, True, True),
    ],
)
def test_a_name_lingers_if_the_host_had_entered(
    after_us: int, is_stopping: bool, has_entered: bool, is_found: bool
) -> None:
    server = Judged()
    host = server.creates(TOKEN, "bob@lobby")
    if has_entered:
        server.enters(host)
    server.wakes(7)
    server.steps(host, "left", "expired")
    server.room("lobby", "host_gone", "open", "closing")
    server.host.is_stopping = is_stopping
    server.wakes(7 + after_us)
    server.room("lobby", "drained", "closing", "closed")
    server.puts_out()
    assert server.found == (f"lobby was free again after {after_us} us" if is_found else None)


@pytest.mark.parametrize(("linger_us", "is_found"), [(300_000, False), (300_001, True)])
def test_a_server_that_stops_lingers_no_longer_than_it_would_otherwise(linger_us: int, is_found: bool) -> None:
    server = Judged(linger_us=linger_us)
    host = server.enters(server.creates(TOKEN, "bob@lobby"))
    server.wakes(0)
    server.steps(host, "left", "expired")
    server.room("lobby", "host_gone", "open", "closing")
    server.host.is_stopping = True
    server.wakes(300_000)
    server.room("lobby", "drained", "closing", "closed")
    server.puts_out()
    assert (server.found is not None) is is_found


def test_a_room_whose_host_nobody_knows_or_that_was_never_closing_need_not_linger() -> None:
    server = Judged()
    server.wakes(0)
    server.room("attic", "created", "vacant", "open")
    server.room("attic", "host_gone", "open", "closing")
    server.room("attic", "drained", "closing", "closed")
    server.enters(server.creates(TOKEN, "bob@lobby"))
    server.steps(server.observed.living[TOKEN], "left", "expired")
    server.room("lobby", "drained", "open", "closed")
    server.puts_out()
    assert server.found is None


# --- datagrams that are not heard, call by call ---------------------------------------------------


def test_an_ended_token_may_be_answered_again_a_second_later_and_not_sooner() -> None:
    server = Judged()
    server.ends(AT_BOB, local_us=SECOND_US)
    words = forged_datagram("lobby", TOKEN, b"hello")
    for at_us in (3_000_000, 4_000_000, 5_000_000):
        server.hears(words, local_us=at_us)
        server.puts_out(AT_BOB)
        assert server.found is None
    server.hears(words, local_us=5_999_999)
    server.puts_out(AT_BOB)
    assert server.found == f"an ended token of bob@lobby was answered with 3 bytes for {len(words)}"


@pytest.mark.parametrize("listener", [0, 1])
def test_an_ended_token_is_answered_by_its_own_listener(listener: int) -> None:
    server = Judged()
    server.ends(AT_BOB)
    server.hears(forged_datagram("lobby", TOKEN, b"hello"))
    server.puts_out(AT_BOB._replace(listener=listener))
    assert (server.found is not None) is bool(listener)


@pytest.mark.parametrize(
    ("token", "steps", "outputs", "is_found"),
    [
        (OTHER, 0, [], False),
        (OTHER, 1, [], True),
        (OTHER, 0, [AT_BOB], True),
        (TOKEN, 1, [AT_BOB, CloseStream("a#1")], False),  # the third in a row: its owner is removed
        (TOKEN, 0, [AT_BOB, CloseStream("a#1")], True),
    ],
)
def test_what_is_not_heard_has_no_effect_but_an_answer_to_its_own_token(
    token: bytes, steps: int, outputs: list[ServerOutput], is_found: bool
) -> None:
    server = Judged()
    server.ends(AT_BOB)
    server.hears(forged_datagram("lobby", token, b"hello")).steps = steps
    server.puts_out(*outputs)
    assert (server.found is not None) is is_found


def test_what_comes_on_tcp_or_is_a_text_or_a_deadline_is_not_judged_as_unheard() -> None:
    server = Judged()
    entry = server.enters(server.grants(TOKEN))
    server.hears_on(server.connection())
    server.puts_out(CloseStream("ann#1"))
    server.wakes()
    server.puts_out(CloseStream("ann#1"))
    server.hears(forged_datagram("lobby", TOKEN, b"hi"))
    assert entry.state is SessionState.IN_ROOM
    server.puts_out(CloseStream("ann#1"))
    assert (server.found, server.results.judged[Property.REJECTED_CHANGES_NOTHING]) == (None, 0)
