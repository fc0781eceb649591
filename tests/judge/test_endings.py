"""Probes of endings at the bounds of what they judge."""

from __future__ import annotations

from typing import Any

import pytest

from judge.memory_ground import SHORT, MemoryGround, broken, found, outcomes
from planting import Planted, gives, moves_timers
from tcrp.engine.outputs import Address, Relay, SendDatagram
from tcrp.engine.server import Outputs
from tcrp.judge.endings import PROBES
from tcrp.judge.probe import Probe
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Outcome
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Deadline, PacketKind, Rule

BY_NAME = {each.name: each for each in PROBES}


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("probe", PROBES, ids=lambda each: each.name)
def test_our_server_breaks_nothing_in_any_dialect(probe: Probe, dialect: str) -> None:
    findings = found(probe, MemoryGround(dialects=[dialect]), dialect)
    assert broken(findings) == {}
    assert findings
    assert {each.rule for each in findings} <= set(probe.rules)
    assert not any(each.inconclusive for each in findings)


def patience(us: int, *, is_given: bool = True) -> Waits:
    return Waits(patience_us=us, patience_is_given=is_given)


@pytest.mark.parametrize(
    ("probe", "setting", "rule"),
    [
        ("silence", "idle_timeout", Rule.IDLE_1),
        ("unused token", "token_timeout", Rule.TOK_5),
        ("closed room", "linger", Rule.ROOM_3),
    ],
)
def test_what_does_not_end_is_broken_if_the_user_gave_the_patience_and_else_open(
    probe: str, setting: str, rule: Rule
) -> None:
    long: dict[str, Any] = {**SHORT, setting: 30 * SECOND_US}
    ends: dict[str, Any] = {**SHORT, setting: 3 * SECOND_US}
    for settings, waits, outcome in (
        (ends, patience(6 * SECOND_US), Outcome.HOLDS),
        (long, patience(6 * SECOND_US), Outcome.BROKEN),
        (long, patience(6 * SECOND_US, is_given=False), Outcome.NOT_TESTED),
        (long, patience(40 * SECOND_US), Outcome.HOLDS),
    ):
        findings = found(BY_NAME[probe], MemoryGround(**settings), waits=waits)
        assert outcomes(findings)[rule] is outcome, (settings, waits)


class IdlesAnyone(Planted):
    """Ends sessions for silence that keep alive: an empty text does not count as speaking."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        is_empty = len(data) == 2 + data[0] + data[1]
        is_entered = source in self.entered
        self.entered.add(source)
        return [] if is_empty and is_entered else super().receive_datagram(data, source, now_us, listener)

    def __init__(self, *given: object, **named: object) -> None:
        self.entered: set[Address] = set()
        super().__init__(*given, **named)  # type: ignore[arg-type]


def test_who_only_keeps_alive_must_not_be_ended_as_silent() -> None:
    said = broken(found(BY_NAME["silence"], MemoryGround(IdlesAnyone)))
    assert said == {Rule.IDLE_1: "cat sends keep-alives every 0.3 s, and is ended as silent"}


def notices(kept: int) -> EngineFactory:
    """Of the notices to one address only so many are sent."""

    def fewer(engine: Planted, outputs: Outputs) -> Outputs:
        counts = vars(engine).setdefault("counts", {})
        result: Outputs = []
        for each in outputs:
            if isinstance(each, SendDatagram) and each.what is PacketKind.NOTICE:
                counts[each.address] = counts.get(each.address, 0) + 1
                if counts[each.address] > kept:
                    continue
            result.append(each)
        return result

    return gives(fewer)


@pytest.mark.parametrize(
    ("kept", "outcome"), [(0, Outcome.NOT_TESTED), (1, Outcome.BROKEN), (2, Outcome.HOLDS), (4, Outcome.HOLDS)]
)
def test_the_end_of_a_room_is_to_be_told_twice_at_least(kept: int, outcome: Outcome) -> None:
    findings = found(BY_NAME["told again"], MemoryGround(notices(kept)))
    assert outcomes(findings) == {Rule.END_1: outcome}


@pytest.mark.parametrize(
    ("late_us", "outcome"), [(1_000_000, Outcome.HOLDS), (2_500_000, Outcome.HOLDS), (60_000_000, Outcome.BROKEN)]
)
def test_a_repetition_may_be_late(late_us: int, outcome: Outcome) -> None:
    ground = MemoryGround(moves_timers(Deadline.NOTICE, late_us), linger=9 * SECOND_US)
    assert outcomes(found(BY_NAME["told again"], ground)) == {Rule.END_1: outcome}


@pytest.mark.parametrize(("times", "outcome"), [(3, Outcome.HOLDS), (4, Outcome.BROKEN)])
def test_an_ended_token_is_answered_with_at_most_three_times_its_bytes(times: int, outcome: Outcome) -> None:
    class Amplifies(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            outputs = super().receive_datagram(data, source, now_us, listener)
            if not data.endswith(b"hello"):
                return outputs
            return [SendDatagram(b"n" * len(data) * times, source, PacketKind.NOTICE)]

    assert outcomes(found(BY_NAME["told again"], MemoryGround(Amplifies))) == {Rule.END_1: outcome}


def test_a_leave_word_that_is_relayed_is_no_leaving() -> None:
    class RelaysIt(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            if not data.endswith(b"exit"):
                return super().receive_datagram(data, source, now_us, listener)
            others = [each.address for each in self.engine.freeze().sessions if each.address not in (None, source)]
            return [Relay(b"bob: exit", [each for each in others if each is not None], PacketKind.RELAY)]

    said = broken(found(BY_NAME["leaving"], MemoryGround(RelaysIt)))
    assert list(said) == [Rule.EXIT_1]
    findings = found(BY_NAME["host leaves"], MemoryGround(RelaysIt))
    assert {each.inconclusive for each in findings} == {True}
    assert "leave word is relayed as a text (see R-EXIT-1)" in findings[0].said


def test_a_guest_who_is_not_told_of_the_end_waits_for_ever() -> None:
    findings = found(BY_NAME["host leaves"], MemoryGround(notices(0)))
    assert outcomes(findings) == {Rule.ROOM_2: Outcome.HOLDS, Rule.END_1: Outcome.BROKEN}
    assert "bob and cat were not told" in broken(findings)[Rule.END_1]
