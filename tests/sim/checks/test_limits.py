"""The limits are judged from what crosses the wire: a server that takes one too many of anything is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from observed_by_hand import OTHER, TOKEN, Server, frozen_handshake
from tcrp.engine.outputs import CloseStream, FinishStream, SendFrame, ServerOutput, Stepped, TimerFired
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.sim.checks.limits import LimitChecks
from tcrp.sim.network.tcp import Connection
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SETTINGS, Limits
from tcrp.spec.names import (
    Deadline,
    HandshakeEvent,
    HandshakeState,
    Machine,
    PacketKind,
    Property,
    Rule,
)

ONE_ADDRESS = "users: {a: {address: 10.1.0.1}, b: {address: 10.1.0.1}, c: {address: 10.1.0.1}}"
ENTERING_BY_DATAGRAM = ONE_ADDRESS.replace("}}", ", dialect: text}}").replace("}, ", ", dialect: text}, ")


class Case(NamedTuple):
    """A story that meets a limit exactly once too often."""

    setting: str
    value: int
    users: str
    steps: tuple[str, ...]
    counted: str  # by the check, when the server does not keep to it


CASES = [
    Case(
        "rooms_max", 2, "",
        ("{at: 0s, a: {create: one}}", "{at: 1s, b: {create: two}}", "{at: 2s, c: {create: three}}"),
        "there are 3 rooms, but at most 2",
    ),
    Case(
        "members_max", 2, "",
        ("{at: 0s, a: {create: lobby}}", "{at: 1s, b: {join: lobby}}", "{at: 2s, c: {join: lobby}}"),
        "there are 3 members of lobby, but at most 2",
    ),
    Case(
        "sessions_max", 2, "", ("{at: 0s, a: {create: one}}", "{at: 1s, b: {join: one}}", "{at: 2s, c: {create: two}}"),
        "there are 3 sessions, but at most 2",
    ),
    Case(
        "sessions_per_ip_max", 2, ONE_ADDRESS,
        ("{at: 0s, a: {create: one}}", "{at: 1s, b: {join: one}}", "{at: 2s, c: {join: one}}"),
        "there are 3 sessions of 10.1.0.1, but at most 2",
    ),
    Case(
        "connections_max", 2, "",
        ('{at: 0s, a: {stream: {hex: "00"}}}', '{at: 1s, b: {stream: {hex: "00"}}}', "{at: 2s, c: {create: one}}"),
        "there are 3 connections, but at most 2",
    ),
    Case(
        "connections_per_ip_max", 2, ONE_ADDRESS,
        ('{at: 0s, a: {stream: {hex: "00"}}}', '{at: 1s, b: {stream: {hex: "00"}}}', "{at: 2s, c: {create: one}}"),
        "there are 3 connections of 10.1.0.1, but at most 2",
    ),
    Case(
        "unentered_rooms_per_ip_max", 1, ENTERING_BY_DATAGRAM,
        (
            "{at: 0s, network: {set: {loss: 100%}, from: a, to: server}}",
            "{at: 0s, network: {set: {loss: 100%}, from: b, to: server}}",
            "{at: 1s, a: {create: one}}", "{at: 2s, b: {create: two}}",
        ),
        "there are 2 rooms of 10.1.0.1 whose host has not entered, but at most 1",
    ),
    Case(
        "texts_per_second_max", 2, "",
        (
            "{at: 0s, a: {create: lobby}}", "{at: 1s, b: {join: lobby}}",
            '{every: 100ms, times: 3, at: 5s, b: {say: "text {n}"}}',
        ),
        "there are 3 texts of b@lobby within a second, but at most 2",
    ),
]  # fmt: skip


def without_limit(setting: str) -> Callable[..., ServerEngine]:
    """A server that keeps to every limit but one."""

    def make_engine(config: ServerConfig, **kwargs: Any) -> ServerEngine:
        most = config.limits.with_settings({setting: getattr(Limits(), setting)})
        return ServerEngine(replace(config, limits=most), **kwargs)

    return make_engine


def verdict_of(case: Case, **options: Any) -> Verdict:
    steps = "\n".join(f"  - {step}" for step in case.steps)
    text = f"claim: a limit\nserver: {{{case.setting}: {case.value}}}\n{case.users}\nscript:\n{steps}\n"
    return Run(read_scenario_text(text), **options).go()


def test_each_limit_of_a_count_is_judged() -> None:
    judged_by_the_reference_alone = {"request_bytes_max", "password_tries_max", "rooms_per_ip_max"}
    counts = {name for name in SETTINGS if name.endswith("_max")} - judged_by_the_reference_alone
    assert {case.setting for case in CASES} == counts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.setting)
def test_a_server_that_keeps_to_its_limit_is_not_accused(case: Case) -> None:
    verdict = verdict_of(case)
    assert verdict.violation is None
    assert verdict.judged[Property.LIMITS_HOLD]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.setting)
def test_a_server_without_one_limit_is_caught_by_that_alone(case: Case) -> None:
    violation = verdict_of(case, make_engine=without_limit(case.setting)).violation
    assert violation is not None
    assert (violation.property, violation.what) == (Property.LIMITS_HOLD, case.counted)
    left_out = (Property.LIMITS_HOLD, Property.MATCHES_REFERENCE)
    assert verdict_of(case, make_engine=without_limit(case.setting), leave_out=left_out).violation is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.setting)
def test_as_many_as_the_limit_allows_are_as_many_as_are_taken(case: Case) -> None:
    """Each story goes one above its limit, and no further: with one more allowed nobody is accused."""
    one_more = case._replace(value=case.value + 1)
    assert verdict_of(one_more, make_engine=without_limit(case.setting)).violation is None


def test_what_is_over_is_counted_no_more() -> None:
    """Rooms that are closed, sessions and connections that have ended, texts of more than a second ago."""
    text = """
claim: the same again and again
server: {rooms_max: 1, sessions_max: 2, members_max: 2, connections_max: 1, texts_per_second_max: 1, linger: 1s}
script:
  - {at: 0s, a: {create: one}}
  - {at: 1s, b: {join: one}}
  - {every: 1100ms, times: 3, at: 3s, b: {say: "text {n}"}}
  - {at: 8s, b: leave}
  - {at: 9s, b: {join: one}}
  - {at: 10s, a: leave}
  - {at: 13s, a: {create: two}}
  - {at: 14s, server: {crash: {restart: 10ms}}}
  - {at: 15s, b: {create: three}}
expect:
  - {room: one, state: closed, by: 12s}
  - {room: two, state: open, at: 13500ms}
  - {room: three, state: open}
"""
    verdict = Run(read_scenario_text(text)).go()
    assert verdict.holds, (verdict.misses, verdict.violation)


def test_texts_that_are_exactly_a_second_apart_are_one_a_second() -> None:
    story = """
claim: alice says one text a second
server: {texts_per_second_max: 1}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {every: 1s, times: 5, at: 30s, alice: {say: "text {n}"}}
expect:
  - {bob: {sees: ["text 1", "text 2", "text 3", "text 4", "text 5"]}}
"""
    verdict = Run(read_scenario_text(story)).go()
    assert (verdict.violation, verdict.misses) == (None, ())


# --- call by call --------------------------------------------------------------------------------


class Judged(Server):
    """The checks of limits, told by hand what a server is given and puts out."""

    def __init__(self, **settings: int) -> None:
        super().__init__(limits=Limits().with_settings(settings))
        self.checks = LimitChecks(self.results, self.observed, self.bounds)

    def peer(self, connection: Connection, what: PacketKind, *outputs: ServerOutput) -> None:
        """A peer opens, ends or resets its connection or says something; then the server puts this out."""
        self.hears_on(connection, what)
        self.checks.before_call()
        self.checks.judge(list(outputs))

    def opens(self, stream: str, ip: str) -> Connection:
        connection = self.connection(stream, ip)
        self.peer(connection, PacketKind.OPEN)
        return connection

    def is_granted(self, token: bytes, id: str, ip: str, *, enters: bool = True, creates: bool = False) -> None:
        entry = (self.creates if creates else self.grants)(token, id, user="ann", ip=ip)
        if enters:
            self.enters(entry)
        self.checks.judge([])

    def speaks(self, token: bytes, local_us: int) -> None:
        call = self.wakes(local_us)
        call.entry, call.relayed = self.observed.living[token], True
        self.checks.judge([])


def test_a_server_that_crashed_has_no_connections_and_has_relayed_no_texts() -> None:
    server = Judged(connections_max=1, texts_per_second_max=1)
    ended = server.opens("a#1", "10.1.0.1")
    server.peer(ended, PacketKind.CLOSE)
    server.is_granted(TOKEN, "ann@lobby", "10.1.0.1")
    server.speaks(TOKEN, 100)
    server.checks.forget()
    again = server.opens("a#1", "10.1.0.1")
    server.speaks(TOKEN, 200)
    assert server.found is None
    server.peer(again, PacketKind.STREAM, CloseStream("a#1"))  # it is not the connection whose peer had ended
    assert server.found == "a#1 was closed too early"


@pytest.mark.parametrize("way", ["a crash", "another server takes it over"])
def test_a_connection_that_the_server_has_no_more_counts_no_more(way: str) -> None:
    server = Judged(connections_max=1)
    server.opens("a#1", "10.1.0.1")
    if way == "a crash":
        server.checks.forget()
    else:
        server.checks.forget_stream("a#1")
    server.opens("b#1", "10.1.0.1")
    assert server.found is None
    server.opens("c#1", "10.1.0.1")
    assert server.found is not None


@pytest.mark.parametrize(
    ("what", "counts"), [(PacketKind.RESET, False), (PacketKind.CLOSE, True), (PacketKind.STREAM, True)]
)
def test_a_connection_counts_until_it_is_reset_though_its_peer_has_ended_its_half(
    what: PacketKind, counts: bool
) -> None:
    server = Judged(connections_max=1)
    server.peer(server.opens("a#1", "10.1.0.1"), what)
    server.opens("b#1", "10.1.0.2")
    assert (server.found is not None) is counts


def test_connections_count_for_the_ip_that_has_most_of_them() -> None:
    server = Judged(connections_per_ip_max=2)
    for number, ip in enumerate(("10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.2")):
        server.opens(f"a#{number}", ip)
    assert server.found is None
    server.opens("a#4", "10.1.0.2")
    assert server.found == "there are 3 connections of 10.1.0.2, but at most 2"


def test_members_of_another_room_are_not_counted() -> None:
    server = Judged(members_max=2)
    server.is_granted(TOKEN, "ann@lobby", "10.1.0.1")
    server.is_granted(b"1" * 32, "bob@attic", "10.1.0.1")
    server.is_granted(OTHER, "carol@lobby", "10.1.0.1")
    assert server.found is None
    server.is_granted(b"2" * 32, "dave@lobby", "10.1.0.1")
    assert server.found == "there are 3 members of lobby, but at most 2"


@pytest.mark.parametrize(
    ("ip", "enters", "ends", "counts"),
    [
        ("10.1.0.1", False, False, True),
        ("10.1.0.1", True, False, False),
        ("10.1.0.1", False, True, False),
        ("10.1.0.2", False, False, False),
    ],
    ids=["a host who has not entered", "who has entered", "who has ended", "at another address"],
)
def test_rooms_whose_hosts_live_and_have_not_entered_count_for_their_ip(
    ip: str, enters: bool, ends: bool, counts: bool
) -> None:
    server = Judged(unentered_rooms_per_ip_max=1)
    server.observed.hosts["cellar"] = None  # a room whose host nobody knows
    server.is_granted(TOKEN, "ann@attic", ip, enters=enters, creates=True)
    if ends:
        server.steps(server.observed.living[TOKEN], "idled", "expired")
    server.is_granted(OTHER, "bob@lobby", "10.1.0.1", enters=False, creates=True)
    assert (server.found is not None) is counts


# --- how streams end -----------------------------------------------------------------------------


def handshake_step(from_: HandshakeState, event: HandshakeEvent, to: HandshakeState) -> Stepped:
    return Stepped(Machine.HANDSHAKE, "a#1", "a#1", event, from_, to, Rule.TCP_3, "")


CLOSES = CloseStream("a#1")
LAST = SendFrame("a#1", b"", PacketKind.COMPLETION)
REQUESTED = handshake_step(HandshakeState.IDLE, HandshakeEvent.REQUESTED, HandshakeState.REQUESTED)
REFUSED_AT_ONCE = handshake_step(HandshakeState.IDLE, HandshakeEvent.REFUSED, HandshakeState.REFUSED)
REFUSED = handshake_step(HandshakeState.REQUESTED, HandshakeEvent.REFUSED, HandshakeState.REFUSED)
TOO_EARLY, NOT_HALF_CLOSED = "a#1 was closed too early", "a#1 was not half-closed"


@pytest.mark.parametrize(
    ("what", "outputs", "found"),
    [
        (PacketKind.CLOSE, [CLOSES], None),
        (PacketKind.RESET, [CLOSES], None),
        (PacketKind.STREAM, [CLOSES], TOO_EARLY),
        (PacketKind.STREAM, [TimerFired(Deadline.HANDSHAKE, "a#1"), CLOSES], None),
        (PacketKind.STREAM, [TimerFired(Deadline.LINGER, "a#1"), CLOSES], TOO_EARLY),
        (PacketKind.STREAM, [TimerFired(Deadline.HANDSHAKE, "b#1"), CLOSES], TOO_EARLY),
        (PacketKind.STREAM, [REFUSED_AT_ONCE, CLOSES], None),
        (PacketKind.STREAM, [REQUESTED, CLOSES], TOO_EARLY),
        (PacketKind.STREAM, [REFUSED, CLOSES], TOO_EARLY),
        (PacketKind.STREAM, [LAST], NOT_HALF_CLOSED),
        (PacketKind.STREAM, [LAST, FinishStream("a#1")], None),
        (PacketKind.STREAM, [LAST, FinishStream("b#1")], NOT_HALF_CLOSED),
        (PacketKind.CLOSE, [LAST, CLOSES], None),
        (PacketKind.STREAM, [SendFrame("a#1", b"", PacketKind.ANSWER)], None),
    ],
)
def test_a_stream_is_half_closed_behind_its_last_frame_and_closed_when_its_peer_or_its_time_has_ended(
    what: PacketKind, outputs: list[ServerOutput], found: str | None
) -> None:
    server = Judged()
    server.peer(server.opens("a#1", "10.1.0.1"), what, *outputs)
    assert server.found == found


def test_a_stream_that_is_closed_when_the_server_wakes_is_judged_too() -> None:
    server = Judged()
    server.opens("a#1", "10.1.0.1")
    server.wakes()
    server.checks.judge([CLOSES])
    assert server.found == TOO_EARLY


@pytest.mark.parametrize("by", ["closed", "taken over"])
def test_what_is_over_says_nothing_of_a_later_connection_of_the_same_name(by: str) -> None:
    server = Judged(connections_max=1)
    first = server.opens("a#1", "10.1.0.1")
    server.peer(first, PacketKind.CLOSE, *([CLOSES] if by == "closed" else []))
    if by == "taken over":
        server.checks.forget_stream("a#1")
    again = server.opens("a#1", "10.1.0.1")
    assert server.found is None
    server.peer(again, PacketKind.STREAM, CLOSES)
    assert server.found == TOO_EARLY


# --- rooms that come from another server ----------------------------------------------------------


def test_who_comes_with_a_room_may_stay_above_a_limit_and_nobody_more_may_come() -> None:
    """Three of each came, where two are allowed."""
    server = Judged(rooms_max=2, sessions_max=2, sessions_per_ip_max=2, connections_max=2, connections_per_ip_max=2)
    came = [(letter.encode() * 32, f"{letter}@room-{letter}") for letter in "abc"]
    for token, id in came:
        server.creates(token, id, user="ann", ip="10.1.0.1")
    streams = tuple(frozen_handshake(f"{letter}#1", "10.1.0.1") for letter in "abc")
    server.checks.adopt(ServerState(handshakes=streams))
    server.wakes()
    server.observed.call.granted.append(server.observed.living[came[0][0]])
    server.checks.judge([])
    assert server.found is None


@pytest.mark.parametrize("of", ["rooms", "sessions", "sessions of 10.1.0.1", "connections", "connections of 10.1.0.1"])
@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_one_more_than_came_or_than_is_allowed_is_one_too_many(of: str, before: int) -> None:
    settings = {
        "rooms": {"rooms_max": 2}, "sessions": {"sessions_max": 2}, "sessions of 10.1.0.1": {"sessions_per_ip_max": 2},
        "connections": {"connections_max": 2}, "connections of 10.1.0.1": {"connections_per_ip_max": 2},
    }  # fmt: skip
    server = Judged(**settings[of])
    ip = "10.1.0.1"

    def comes(number: int) -> None:
        token = bytes([number]) * 32
        if not of.startswith("connections"):
            server.creates(token, f"{number}@room-{number}", user="ann", ip=ip)

    for number in range(before):
        comes(number)
    is_of_streams = of.startswith("connections")
    streams = tuple(frozen_handshake(f"{number}#1", ip) for number in range(before if is_of_streams else 0))
    server.checks.adopt(ServerState(handshakes=streams))
    for number in range(before, max(before, 2)):
        server.opens(f"{number}#1", ip) if is_of_streams else comes(number)
        server.checks.judge([])
    assert server.found is None
    most = max(before, 2)
    server.opens("z#1", ip) if is_of_streams else comes(99)
    server.checks.judge([])
    assert server.found == f"there are {most + 1} {of}, but at most {most}"


@pytest.mark.parametrize("peer_ended", [False, True])
def test_a_stream_that_came_may_be_closed_if_its_peer_had_ended_it(peer_ended: bool) -> None:
    server = Judged()
    server.checks.adopt(ServerState(handshakes=(frozen_handshake("a#1", "10.1.0.1", peer_ended=peer_ended),)))
    server.peer(server.connection("a#1", "10.1.0.1"), PacketKind.STREAM, CLOSES)
    assert (server.found is None) is peer_ended
