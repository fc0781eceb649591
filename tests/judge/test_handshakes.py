"""Probes of the handshake at the bounds of what they judge: the last that is good, and the first that is broken."""

from __future__ import annotations

import pytest

from judge.memory_ground import MemoryGround, broken, found, outcomes
from planting import Planted, gives
from tcrp.engine.outputs import CloseStream, SendFrame, StreamId
from tcrp.engine.server import Outputs, ServerConfig, ServerEngine
from tcrp.judge.handshakes import PROBES
from tcrp.judge.probe import Probe
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Outcome
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import PacketKind, Rule

BY_NAME = {each.name: each for each in PROBES}


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("probe", PROBES, ids=lambda each: each.name)
def test_our_server_breaks_nothing_in_any_dialect(probe: Probe, dialect: str) -> None:
    findings = found(probe, MemoryGround(dialects=[dialect]), dialect)
    assert broken(findings) == {}
    assert {each.rule for each in findings} <= set(probe.rules)
    assert findings
    assert not any(each.inconclusive for each in findings)


@pytest.mark.parametrize("probe", PROBES, ids=lambda each: each.name)
def test_a_server_that_never_answers_holds_no_rule(probe: Probe) -> None:
    findings = found(probe, MemoryGround(gives(lambda _engine, _outputs: [])))
    assert Outcome.HOLDS not in outcomes(findings).values()
    assert outcomes(findings).keys() == set(probe.rules)


# --- timeouts and connections ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connections_max", "verdict"), [(3, Outcome.HOLDS), (2, Outcome.BROKEN)], ids=["one is left", "none is left"]
)
def test_two_idle_connections_must_leave_room_for_a_request(connections_max: int, verdict: Outcome) -> None:
    findings = found(BY_NAME["idle connection"], MemoryGround(connections_max=connections_max))
    assert outcomes(findings) == {Rule.TCP_5: verdict}


@pytest.mark.parametrize(
    ("timeout_us", "is_given", "verdict"),
    [
        (5 * SECOND_US, True, Outcome.HOLDS),
        (7 * SECOND_US, True, Outcome.BROKEN),
        (7 * SECOND_US, False, Outcome.NOT_TESTED),
    ],
)
def test_what_outlives_the_patience_is_broken_only_if_the_user_gave_it(
    timeout_us: int, is_given: bool, verdict: Outcome
) -> None:
    waits = Waits(patience_us=6 * SECOND_US, patience_is_given=is_given)
    findings = found(BY_NAME["unfinished requests"], MemoryGround(handshake_timeout=timeout_us), waits=waits)
    assert outcomes(findings) == {Rule.TCP_5: verdict}
    assert not any(each.inconclusive for each in findings)


class ClosesAfterHalf(Planted):
    """Takes a request only if its first piece is at least that long."""

    least = 0

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
        if len(data) < self.least:
            return [*super().stream_closed(stream, now_us), CloseStream(stream)]
        return super().receive_stream(stream, data, now_us)


def closes_after(least: int) -> EngineFactory:
    return type("ClosesAfter", (ClosesAfterHalf,), {"least": least})


@pytest.mark.parametrize(
    ("least", "way"), [(33, "inside the header"), (8, "inside the header"), (3, "inside the payload")]
)
def test_a_server_that_takes_one_piece_for_one_request_is_found(least: int, way: str) -> None:
    said = broken(found(BY_NAME["requests in pieces"], MemoryGround(closes_after(least))))
    assert list(said) == [Rule.TCP_2]
    assert way in said[Rule.TCP_2] or "behind the header" in said[Rule.TCP_2]


# --- answers ---------------------------------------------------------------------------------------


def other_refusals(was: int, becomes: int) -> EngineFactory:
    """One status of a refusal in `text` is another."""

    def changed(_: Planted, outputs: Outputs) -> Outputs:
        return [
            each._replace(data=each.data[:-1] + bytes((becomes,)))
            if isinstance(each, SendFrame) and each.what is PacketKind.REFUSAL and each.data[-1] == was
            else each
            for each in outputs
        ]

    return gives(changed)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (2, 1, "cat asks to join a room that does not exist; no_such_room is due, but the reason given is room_exists"),
        (1, 5, "cat asks to create a room that exists; room_exists is due, but the reason given is room_full"),
    ],
)
def test_a_refusal_for_another_reason_is_found(was: int, becomes: int, said: str) -> None:
    findings = found(BY_NAME["refusals"], MemoryGround(other_refusals(was, becomes)))
    assert broken(findings) == {Rule.TCP_2: said}


def test_a_dialect_whose_refusals_say_no_reason_is_not_asked_for_one() -> None:
    findings = found(BY_NAME["refusals"], MemoryGround(dialects=["json-name"]), "json-name")
    assert [each.said for each in findings if each.rule is Rule.TCP_2] == [
        "no_such_room is refused",
        "room_exists is refused",
    ]


# --- tokens ----------------------------------------------------------------------------------------


def tokens(*given: bytes) -> EngineFactory:
    """Makes engines that grant these, one after the other; then the last again and again."""
    left = list(given)

    def make_engine(config: ServerConfig, **kwargs: object) -> ServerEngine:
        kwargs["new_token"] = lambda: left.pop(0) if len(left) > 1 else left[0]
        return ServerEngine(config, **kwargs)  # type: ignore[arg-type]

    return make_engine


MIXED = [bytes((97 + (7 * number * (at + 3) + at * at) % 26) for at in range(16)) for number in range(1, 20)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (MIXED, ""),
        ([each[:8] for each in MIXED], ""),
        ([each[:7] for each in MIXED], "a token is 7 bytes long: it can be guessed"),
        ([b"%016d" % number for number in range(20)], "tokens follow each other"),
        ([b"id-%d-%s" % (number, MIXED[number]) for number in range(19)], ""),
    ],
    ids=["mixed", "8 bytes", "7 bytes", "counted", "counted, and mixed"],
)
def test_tokens_are_long_and_in_no_sequence(given: list[bytes], said: str) -> None:
    found_broken = broken(found(BY_NAME["tokens"], MemoryGround(tokens(*given))))
    assert said in found_broken.get(Rule.TOK_1, "")
    assert (found_broken == {}) == (not said)


# --- names, takeovers, addresses -------------------------------------------------------------------


def test_a_name_that_is_given_to_another_address_is_found_and_without_one_nothing_is_said() -> None:
    ground = MemoryGround()
    ground.other_ip = None
    findings = found(BY_NAME["takeover"], ground)
    assert [(each.outcome, each.inconclusive) for each in findings] == [(Outcome.NOT_TESTED, False)]
    assert "no second address" in findings[0].said


@pytest.mark.parametrize(("takeover", "said"), [("token", "the old session ends"), ("off", "allows no takeovers")])
def test_a_takeover_by_token_may_be_allowed_or_not(takeover: str, said: str) -> None:
    [finding] = found(BY_NAME["takeover"], MemoryGround(dialects=["json"], takeover=takeover), "json")
    assert finding.outcome is Outcome.HOLDS
    assert said in finding.said


class TakesAnyPort(Planted):
    """Takes port 80 for one that it would take."""

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
        return super().receive_stream(stream, data.replace(b"low\x00\x50", b"low\x1f\x90"), now_us)


def test_a_port_below_1024_is_to_be_refused() -> None:
    ground = MemoryGround(TakesAnyPort, dialects=["name-port"])
    said = broken(found(BY_NAME["address in a request"], ground, "name-port"))
    assert said == {Rule.ADDR_1: "a request that names port 80 is granted: relays could be sent to a service"}
