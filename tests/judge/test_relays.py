"""Probes of chat traffic at the bounds of what they judge; what is lost is held against nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from judge.memory_ground import MemoryGround, broken, found, outcomes
from planting import Planted, gives
from tcrp.engine.outputs import Address, Relay, SendDatagram
from tcrp.engine.server import Outputs
from tcrp.judge.probe import Probe
from tcrp.judge.relays import PROBES
from tcrp.judge.verdicts import Outcome
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.dialects import NAMES
from tcrp.spec.names import PacketKind, Rule

BY_NAME = {each.name: each for each in PROBES}


def relays_become(change: Callable[[Relay], list[Relay]]) -> EngineFactory:
    def changed(_: Planted, outputs: Outputs) -> Outputs:
        result: Outputs = []
        for each in outputs:
            result += change(each) if isinstance(each, Relay) and each.what is PacketKind.RELAY else [each]
        return result

    return gives(changed)


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("probe", PROBES, ids=lambda each: each.name)
def test_our_server_breaks_nothing_in_any_dialect(probe: Probe, dialect: str) -> None:
    findings = found(probe, MemoryGround(dialects=[dialect]), dialect)
    assert broken(findings) == {}
    assert findings
    assert {each.rule for each in findings} <= set(probe.rules)
    assert not any(each.inconclusive for each in findings)


@pytest.mark.parametrize("probe", PROBES, ids=lambda each: each.name)
def test_on_a_link_that_loses_everything_only_that_nothing_arrives_is_said(probe: Probe) -> None:
    ground = MemoryGround()
    ground.loses = lambda _number, _direction: True
    findings = found(probe, ground)
    assert broken(findings).keys() <= {Rule.REL_1}
    assert Outcome.HOLDS not in outcomes(findings).values()


def test_a_few_lost_relays_leave_the_rule_open() -> None:
    ground = MemoryGround()
    ground.loses = lambda number, direction: direction == "down" and 24 <= number < 27
    findings = found(BY_NAME["relays"], ground)
    [rel_1] = [each for each in findings if each.rule is Rule.REL_1]
    assert (rel_1.outcome, rel_1.inconclusive) == (Outcome.NOT_TESTED, True)
    assert "of 8 relays" in rel_1.said


def last_two_exchanged() -> EngineFactory:
    held: list[Relay] = []

    def change(relay: Relay) -> list[Relay]:
        if b"number 6" in relay.data:
            held.append(relay)
            return []
        return [relay, *held] if b"number 7" in relay.data else [relay]

    return relays_become(change)


def test_two_texts_that_change_places_are_found() -> None:
    said = broken(found(BY_NAME["order"], MemoryGround(last_two_exchanged())))
    assert list(said) == [Rule.REL_2]


def test_a_text_that_does_not_arrive_is_no_disorder() -> None:
    gone = relays_become(lambda relay: [] if b"number 6" in relay.data else [relay])
    [finding] = found(BY_NAME["order"], MemoryGround(gone))
    assert (finding.outcome, finding.inconclusive) == (Outcome.NOT_TESTED, True)
    assert "1 of 8 relays" in finding.said


# --- sizes -----------------------------------------------------------------------------------------


LARGEST = 4096 - len(b"..judge-0-1") - 32 + len(b"ann: ")
"""The relay of the largest datagram of ann in `text`, in bytes."""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda relay: [relay] if len(relay.data) <= LARGEST else [], ""),
        (lambda relay: [relay] if len(relay.data) < LARGEST else [], "is not relayed"),
        (lambda relay: [relay._replace(data=relay.data[: LARGEST - 1])], "arrives cut"),
    ],
    ids=["all that fits", "one byte less", "cut by one byte"],
)
def test_the_largest_datagram_is_relayed_whole(change: Callable[[Relay], list[Relay]], said: str) -> None:
    found_broken = broken(found(BY_NAME["largest datagram"], MemoryGround(relays_become(change))))
    assert said in found_broken.get(Rule.UDP_1, "")
    assert (found_broken == {}) == (not said)


class RelaysTooLong(Planted):
    """Relays what the engine withholds, because it is too long: cut to so many bytes."""

    most = 0

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        outputs = super().receive_datagram(data, source, now_us, listener)
        if b"too long" not in data or len(data) < 4000:
            return outputs
        targets = [each.address for each in self.engine.freeze().sessions if each.address not in (None, source)]
        text = data[data.index(b"too long") :]
        name = b"ann" + b"n" * 200 + b": "
        relay = Relay((name + text)[: self.most], [each for each in targets if each is not None], PacketKind.RELAY)
        return [*outputs, relay]


@pytest.mark.parametrize(
    ("most", "outcome"),
    [(4095, Outcome.BROKEN), (4094, Outcome.BROKEN), (4086, Outcome.BROKEN), (4085, Outcome.NOT_TESTED)],
    ids=["too long", "cut to the limit", "cut a character below it", "cut elsewhere"],
)
def test_a_relay_that_is_too_long_is_neither_sent_nor_cut(most: int, outcome: Outcome) -> None:
    engine = type("Cuts", (RelaysTooLong,), {"most": most})
    assert outcomes(found(BY_NAME["long relay"], MemoryGround(engine))) == {Rule.UDP_2: outcome}


# --- tokens, keep-alives ---------------------------------------------------------------------------


def test_without_a_second_address_a_token_is_only_tried_from_another_port() -> None:
    ground = MemoryGround()
    ground.other_ip = None
    [finding] = found(BY_NAME["other address"], ground)
    assert (finding.outcome, finding.inconclusive) == (Outcome.NOT_TESTED, False)


class StaysAtTheFirstPort(Planted):
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        first = self.first.setdefault(data[11:43], source)
        return super().receive_datagram(data, Address(source.ip, first.port), now_us, listener)

    def __init__(self, *given: object, **named: object) -> None:
        self.first: dict[bytes, Address] = {}
        super().__init__(*given, **named)  # type: ignore[arg-type]


@pytest.mark.parametrize(("dialect", "is_found"), [("text", True), ("json-port", False)])
def test_relays_follow_to_another_port_except_where_the_dialect_fixes_it(dialect: str, is_found: bool) -> None:
    said = broken(found(BY_NAME["other address"], MemoryGround(StaysAtTheFirstPort, dialects=[dialect]), dialect))
    assert (Rule.TOK_3 in said) is is_found


@pytest.mark.parametrize("data", [b"", b"still here"])
def test_a_keep_alive_that_nobody_asked_an_answer_for_is_not_answered(data: bytes) -> None:
    class Answers(Planted):
        def receive_datagram(self, heard: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            outputs = super().receive_datagram(heard, source, now_us, listener)
            is_empty = len(heard) == 2 + heard[0] + heard[1]
            return [*outputs, SendDatagram(data, source, PacketKind.KEEP_ALIVE_ANSWER)] if is_empty else outputs

    said = broken(found(BY_NAME["keep-alive"], MemoryGround(Answers)))
    assert list(said) == [Rule.IDLE_1]
