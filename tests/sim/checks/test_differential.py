"""The engine against the reference server: small mistakes that no other property sees, and what a report says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from planting import Planted
from tcrp.engine.codec import codec
from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Dropped,
    FinishStream,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    Withheld,
)
from tcrp.engine.server import Outputs, ServerConfig, ServerEngine
from tcrp.sim.checks.differential import SESSIONS_MAX, Differential, difference
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.hosts.server import EngineCall
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.swarm.batch import run_batch
from tcrp.sim.swarm.failures import failure_of
from tcrp.spec.names import (
    HandshakeEvent,
    HandshakeState,
    Machine,
    Operation,
    PacketKind,
    Property,
    RoomEvent,
    RoomState,
    Rule,
)

SCENARIO = """
claim: users of several dialects talk, leave and fall silent; some requests are refused
server: {idle_timeout: 20s, texts_per_second_max: 3, members_max: 4, password_tries_max: 2}
users:
  bob: {dialect: text}
  cem: {dialect: json-port}
  dora: {dialect: json-endpoint}
  mallory: {attacker: true}
script:
  - {at: 0s, alice: {create: {room: lobby, password: sesame}}}
  - {at: 1s, zoe: {create: attic}}
  - {at: 2s, bob: {join: attic}}
  - {at: 2s, cem: {join: attic}}
  - {at: 3s, dora: {join: attic}}
  - {at: 4s, erin: {join: attic}}
  - {every: 100ms, times: 5, at: 5s, bob: {say: "text {n}"}}
  - {at: 6s, mallory: {join: {room: lobby, password: wrong}}}
  - {at: 7s, mallory: {join: {room: lobby, password: wrong}}}
  - {at: 8s, mallory: {join: {room: lobby, password: wrong}}}
  - {at: 9s, bob: {datagram: {token_of: bob, room: other, text: "astray"}}}
  - {at: 10s, dora: {say: "bye"}}
  - {at: 11s, bob: leave}
  - {at: 12s, bob: {datagram: {token_of: bob, room: attic, text: "still me"}}}
  - {every: 5s, times: 8, at: 13s, zoe: {say: "tick"}}
  - {at: 55s, zoe: leave}
"""
Change = Callable[[Outputs], Outputs]


def changed(change: Change, config: Callable[[ServerConfig], ServerConfig] = lambda config: config) -> Any:
    """An engine's maker: what the engine puts out is changed, or how it is set."""

    class Changed:
        def __init__(self, own: ServerConfig, **options: Any) -> None:
            self._engine = ServerEngine(config(own), **options)

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._engine, name)
            if name in ("next_deadline_us", "is_quiescent", "freeze"):
                return found

            def call(*arguments: Any, **named: Any) -> Any:
                outputs = found(*arguments, **named)
                return outputs if outputs is None else change(outputs)

            return call if callable(found) else found

    return Changed


def run(make_engine: Any, leave_out: tuple[Property, ...] = ()) -> Verdict:
    return Run(read_scenario_text(SCENARIO), make_engine=make_engine, leave_out=leave_out).go()


def drops_texts_unreported(outputs: Outputs) -> Outputs:
    said = any(isinstance(each, Relay) and b"text 2" in each.data for each in outputs)
    return [each for each in outputs if not isinstance(each, Relay)] if said else outputs


def changes_the_text(outputs: Outputs) -> Outputs:
    return [
        each._replace(data=each.data.replace(b"bye", b"bya")) if isinstance(each, Relay) else each for each in outputs
    ]


def omits_the_notice_of_a_leave(outputs: Outputs) -> Outputs:
    left = any(isinstance(each, Stepped) and each.event == RoomEvent.LEFT for each in outputs)
    return [each for each in outputs if not (left and isinstance(each, Relay) and each.what is PacketKind.NOTICE)]


def relays_to_another_port(outputs: Outputs) -> Outputs:
    def moved(address: Address) -> Address:
        return Address(address.ip, address.port + 1)

    return [each._replace(targets=[*map(moved, each.targets)]) if isinstance(each, Relay) else each for each in outputs]


def refuses_with_another_reason(outputs: Outputs) -> Outputs:
    def other(each: ServerOutput) -> ServerOutput:
        if isinstance(each, SendFrame) and each.what is PacketKind.REFUSAL and each.data.endswith(b"\3"):
            return each._replace(data=each.data[:-1] + b"\2")
        return each

    return [*map(other, outputs)]


def tells_a_wrong_reason(outputs: Outputs) -> Outputs:
    def other(each: ServerOutput) -> ServerOutput:
        if isinstance(each, SendDatagram) and each.data.startswith("しばらく".encode()):
            return each._replace(data="サーバーが停止しました".encode())
        return each

    return [*map(other, outputs)]


def lets_one_more_try(config: ServerConfig) -> ServerConfig:
    return replace(config, limits=config.limits.with_settings({"password_tries_max": 3}))


def as_they_are(outputs: Outputs) -> Outputs:
    return outputs


BUGS = {
    "R-REL-1": changed(drops_texts_unreported),
    "R-REL-3": changed(changes_the_text),
    "R-EXIT-1": changed(omits_the_notice_of_a_leave),
    "R-TOK-3": changed(relays_to_another_port),
    "R-TCP-2": changed(refuses_with_another_reason),
    "R-END-1": changed(tells_a_wrong_reason),
    "R-PASS-1": changed(as_they_are, lets_one_more_try),
}
"""A small mistake against each of these rules, which no other property sees."""


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_small_mistake_is_caught_by_the_reference_alone(bug: Any) -> None:
    violation = run(bug).violation
    assert violation is not None
    assert violation.property is Property.MATCHES_REFERENCE
    assert run(bug, (Property.MATCHES_REFERENCE,)).violation is None


def test_an_engine_that_follows_the_rules_differs_in_no_call() -> None:
    verdict = run(ServerEngine)
    assert verdict.violation is None
    assert verdict.judged[Property.MATCHES_REFERENCE] > 50


def test_a_report_names_the_input_the_rule_and_both_outputs() -> None:
    violation = run(changed(refuses_with_another_reason)).violation
    assert violation is not None
    assert violation.what.startswith("receive_stream(mallory#1, ")
    assert "(29 zeros)" in violation.what
    assert "R-TCP-2: the reference gives refusal " in violation.what
    assert violation.what.endswith("\\x02' to mallory#1; half-close to mallory#1")


def test_a_failure_of_a_swarm_is_told_apart_by_the_rule() -> None:
    failure, _ = failure_of(read_scenario_text(SCENARIO), make_engine=changed(refuses_with_another_reason))
    assert failure is not None
    assert (failure.kind, failure.how) == ("matches-reference", "R-TCP-2")


def test_a_fast_swarm_compares_one_run_in_so_many() -> None:
    often, seldom = (run_batch(range(8), reference_every=every).judged for every in (1, 4))
    assert 0 < seldom[Property.MATCHES_REFERENCE] < often[Property.MATCHES_REFERENCE]
    assert seldom[Property.LIMITS_HOLD] == often[Property.LIMITS_HOLD]


def test_an_engine_that_would_be_woken_too_late_is_caught() -> None:
    class Sleeps(Planted):
        def next_deadline_us(self) -> int | None:
            when_us = super().next_deadline_us()
            return None if when_us is None else when_us + 1

    violation = run(Sleeps).violation
    assert violation is not None
    assert "but the engine asks to be woken at" in violation.what


def test_a_server_that_crashed_is_compared_with_a_reference_that_knows_nothing_either() -> None:
    story = SCENARIO + "  - {at: 14s, server: {crash: {restart: 1s}}}\n"
    verdict = Run(read_scenario_text(story)).go()
    assert verdict.violation is None
    assert run(ServerEngine).judged[Property.MATCHES_REFERENCE] != verdict.judged[Property.MATCHES_REFERENCE]
    until_the_crash = Run(read_scenario_text(story + "until: 14s\n")).go()
    judged = [each.judged[Property.MATCHES_REFERENCE] for each in (until_the_crash, verdict)]
    assert judged[1] > judged[0] + 5  # and goes on being compared


LISTENERS = """
claim: members of two listeners talk
server: {listeners: {main: auto, old: text}}
users:
  bob: {dialect: text, listener: old}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, alice: {say: "hello"}}
  - {at: 3s, bob: {use_listener: main}}
  - {at: 4s, bob: {say: "by the other ports"}}
"""


def sends_by_the_first_listener(outputs: Outputs) -> Outputs:
    return [each._replace(listener=0) if isinstance(each, Relay | SendDatagram) else each for each in outputs]


class HearsByAnyListener(Planted):
    """A token holds whichever listener it comes in by."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        session = self.engine.registry.sessions.get(data[2 + data[0] : 2 + data[0] + data[1]])
        return super().receive_datagram(data, source, now_us, listener if session is None else session.listener)


@pytest.mark.parametrize(
    ("engine", "broken"),
    [
        (changed(sends_by_the_first_listener), Property.MATCHES_REFERENCE),
        (HearsByAnyListener, Property.RELAY_NEEDS_A_LIVING_TOKEN),
        (ServerEngine, None),
    ],
)
def test_a_listener_that_is_not_the_sessions_is_found(engine: Any, broken: Property | None) -> None:
    found = Run(read_scenario_text(LISTENERS), make_engine=engine).go().violation
    assert (found.property if found is not None else None) is broken


# --- what is compared, output by output ----------------------------------------------------------

FRAME = SendFrame("peer", b"hello", PacketKind.ANSWER)
NEAR, FAR = Address("10.0.0.1", 40_001), Address("10.0.0.2", 40_002)


def room_step(event: RoomEvent, from_: RoomState, to: RoomState) -> Stepped:
    return Stepped(Machine.ROOM, b"lobby", "lobby", event, from_, to, Rule.ROOM_1, "")


def refusal_step(rule: Rule, why: str) -> Stepped:
    states = HandshakeState.REQUESTED, HandshakeState.REFUSED
    return Stepped(Machine.HANDSHAKE, "peer", "peer", HandshakeEvent.REFUSED, *states, rule, why=why)


CLOSES = room_step(RoomEvent.HOST_GONE, RoomState.OPEN, RoomState.CLOSING)
TELLS = SendDatagram(b"bye", NEAR, PacketKind.NOTICE)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([], [CloseStream("peer")], "R-TCP-3: the reference gives close to peer, the engine nothing more"),
        ([CloseStream("peer")], [], "R-TCP-3: the reference gives nothing more, the engine close to peer"),
        ([FinishStream("peer")], [CloseStream("peer")], "the reference gives close to peer, the engine half-close to"),
        ([FRAME], [FRAME._replace(data=b"hallo")], "R-TCP-2: the reference gives answer 'hallo' to peer"),
        ([FRAME, CloseStream("peer")], [FRAME, FinishStream("peer")], "R-TCP-3: the reference gives half-close"),
        ([TELLS], [TELLS._replace(listener=1)], "R-END-1: the reference gives notice 'bye' to 10.0.0.1 port 40001 by"),
        ([], [CLOSES], "R-ROOM-2: the reference gives room 'lobby' host_gone to closing, the engine"),
        (
            [Dropped(PacketKind.SAY, 9, "odd", Rule.TOK_2)], [Dropped(PacketKind.SAY, 9, "odd", Rule.TOK_3)],
            "R-TOK-3: the reference gives drop of 9 bytes by R-TOK-3, the engine drop of 9 bytes by R-TOK-2",
        ),
        (
            [refusal_step(Rule.LIM_1, "room_full")], [refusal_step(Rule.PASS_1, "wrong_password: of lobby")],
            "R-PASS-1: the reference gives handshake peer refused to refused for wrong_password by R-PASS-1",
        ),
        ([Withheld(("bob",), "", Rule.UDP_3)], [], "the reference gives nothing more, the engine withheld relay"),
    ],
)  # fmt: skip
def test_one_output_that_differs_is_told_with_its_rule(
    ours: list[ServerOutput], theirs: list[ServerOutput], words: str
) -> None:
    assert words in (difference(ours, theirs) or "")


def test_a_listener_is_named_unless_it_is_the_first() -> None:
    assert difference([TELLS], [TELLS._replace(listener=1)]) == (
        "R-END-1: the reference gives notice 'bye' to 10.0.0.1 port 40001 by listener 1, "
        "the engine notice 'bye' to 10.0.0.1 port 40001"
    )


@pytest.mark.parametrize("changes", [{"data": b"ho"}, {"targets": [FAR]}, {"targets": [NEAR, FAR]}, {"listener": 1}])
def test_a_relay_that_differs_from_a_relay_is_told(changes: dict[str, Any]) -> None:
    relay = Relay(b"hi", [NEAR], PacketKind.RELAY)
    assert (difference([relay], [relay._replace(**changes)]) or "").startswith("R-REL-1: ")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([], []),
        ([FRAME, CLOSES], [FRAME, CLOSES]),
        # A machine that stays where it is, of which the reference tells nothing.
        ([room_step(RoomEvent.JOINED, RoomState.OPEN, RoomState.OPEN)], []),
        # A fan-out in any order of its receivers, and in one relay or in several.
        ([Relay(b"hi", [NEAR, FAR], PacketKind.RELAY)], [Relay(b"hi", [FAR, NEAR], PacketKind.RELAY)]),
        (
            [Relay(b"hi", [NEAR, FAR], PacketKind.RELAY)],
            [SendDatagram(b"hi", FAR, PacketKind.RELAY), SendDatagram(b"hi", NEAR, PacketKind.RELAY)],
        ),
        # Why a request was refused is told up to its first colon.
        ([refusal_step(Rule.PASS_1, "wrong: b")], [refusal_step(Rule.PASS_1, "wrong: a")]),
    ],
)
def test_what_may_differ_does_not(ours: list[ServerOutput], theirs: list[ServerOutput]) -> None:
    assert difference(ours, theirs) is None


# --- the reference server beside the engine -------------------------------------------------------


class Beside:
    """A server's engine and what compares it, called by hand."""

    def __init__(self, *, is_left_out: bool = False) -> None:
        run = Run(read_scenario_text("claim: a\nscript:\n  - {at: 0s, ann: {create: lobby}}\n"))
        self.host = run.server
        self.results = CheckResults(run.world, frozenset())
        self.differential = Differential(self.results, is_left_out=is_left_out)

    def opens(self, stream: str, *, says: int = 0) -> None:
        """A connection is opened; the engine is said to have put out so many frames."""
        call = EngineCall("stream_opened", (stream, Address("10.0.0.1", 1), 0))
        self.differential.before_call(self.host, call)
        self.differential.after_call(self.host, [SendFrame(stream, b"x", PacketKind.ANSWER)] * says)

    def gives(self, method: str, *arguments: Any) -> None:
        """The engine is really given something."""
        self.differential.before_call(self.host, EngineCall(method, arguments))
        self.differential.after_call(self.host, getattr(self.host.engine, method)(*arguments) or [])

    def creates(self, number: int) -> None:
        """Somebody makes a room of its own, and is in it."""
        ip, room, stream = f"10.0.{number >> 8}.{number & 255}", f"r{number}", f"a#{number}"
        request = codec("text").write_request(Operation.CREATE, room.encode(), "ann", "", ip, 40001)
        self.gives("stream_opened", stream, Address(ip, 1), 0)
        self.gives("receive_stream", stream, request, 0)
        engine = self.host.engine
        assert engine is not None
        if engine.next_deadline_us() == 0:
            self.gives("handle_timeout", 0)
        self.gives("stream_ended", stream, 0)

    def crashes(self) -> None:
        self.host.start_engine()
        self.differential.forget()

    @property
    def judged(self) -> int:
        return self.results.judged[Property.MATCHES_REFERENCE]


def test_a_reference_begins_with_the_first_call_and_again_after_a_crash() -> None:
    beside = Beside()
    assert beside.differential.reference is None
    beside.opens("a#1")
    first = beside.differential.reference
    assert first is not None
    beside.opens("a#2")
    assert beside.differential.reference is first
    beside.differential.forget()
    assert beside.differential.reference is None
    beside.opens("a#1")
    assert beside.differential.reference not in (None, first)
    assert beside.judged == 3


def test_a_comparison_that_is_resumed_goes_on_beside_the_server_that_it_is_given() -> None:
    other, beside = Beside(), Beside()
    other.opens("a#1")
    beside.differential.resume(other.differential.reference)
    beside.opens("a#2")
    assert beside.differential.reference is other.differential.reference
    alone = Beside()
    alone.differential.resume(None)
    alone.opens("a#2")
    assert (alone.differential.reference, alone.judged) == (None, 0)


def test_a_property_that_is_left_out_costs_no_reference() -> None:
    beside = Beside(is_left_out=True)
    beside.opens("a#1", says=1)
    assert (beside.differential.reference, beside.judged) == (None, 0)


def test_a_call_in_which_the_engine_puts_out_more_is_found_and_named() -> None:
    beside = Beside()
    beside.opens("a#1", says=1)
    violation = beside.results.violation
    assert violation is not None
    assert violation.what == (
        "stream_opened(a#1, 10.0.0.1 port 1, 0): "
        "R-TCP-2: the reference gives nothing more, the engine answer 'x' to a#1"
    )


def test_a_crowd_is_compared_only_while_it_is_small() -> None:
    """Sessions before a crash count no more, though their tokens do."""
    beside = Beside()
    for number in range(SESSIONS_MAX - 20):
        beside.creates(number)
    beside.crashes()
    for number in range(SESSIONS_MAX):
        beside.creates(number)
    reference = beside.differential.reference
    assert reference is not None
    assert len(reference.rooms.sessions()) == SESSIONS_MAX
    assert beside.results.violation is None
    beside.creates(SESSIONS_MAX)
    assert beside.differential.reference is None
    judged = beside.judged
    beside.opens("b#1", says=1)
    assert (beside.judged, beside.results.violation) == (judged, None)
