"""Probes of load: every relay is counted, one too many is broken, and those that are missing leave it open."""

from __future__ import annotations

from typing import Any

import pytest

from judge.memory_ground import MemoryGround, found, outcomes, play, stage_on
from planting import Planted, gives
from tcrp.engine.outputs import Relay, StreamId
from tcrp.engine.server import Outputs
from tcrp.judge import load
from tcrp.judge.load import PROBES
from tcrp.judge.record import CannotTest
from tcrp.judge.verdicts import Outcome
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.names import PacketKind, Rule

BY_NAME = {each.name: each for each in PROBES}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with fewer people."""
    monkeypatch.setattr(load, "MEMBERS", 30)
    monkeypatch.setattr(load, "ROOMS", 3)
    monkeypatch.setattr(load, "ROOM_MEMBERS", 4)


def roomy(make_engine: EngineFactory = Planted, **settings: Any) -> MemoryGround:
    generous: dict[str, Any] = {"idle_timeout": 60_000_000, "texts_per_second_max": 100, **settings}
    return MemoryGround(make_engine, **generous)


def test_every_member_is_reached_by_every_text() -> None:
    findings = found(BY_NAME["a thousand members"], roomy())
    assert outcomes(findings) == {Rule.LIM_1: Outcome.HOLDS, Rule.REL_1: Outcome.HOLDS}
    assert findings[-1].said == "30 members of one room, 10 texts a second: all 580 relays arrived"
    [finding] = found(BY_NAME["many rooms"], roomy())
    assert finding.said == "3 rooms of 4 members at 2 texts a second each: all 144 relays arrived"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"members_max": 29}, "after 29 members: room_full"),
        ({"sessions_per_ip_max": 20}, "after 20 members: too_many_requests"),
    ],
)
def test_a_server_may_refuse_the_rest_for_their_number(settings: dict[str, Any], said: str) -> None:
    findings = found(BY_NAME["a thousand members"], roomy(**settings))
    assert (findings[0].outcome, findings[0].said) == (Outcome.HOLDS, said)
    assert findings[-1].outcome is Outcome.HOLDS


def test_a_server_that_refuses_the_rest_for_something_else_is_found() -> None:
    class RefusesSome(Planted):
        def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
            return super().receive_stream(stream, data.replace(b"g20", b"\x1b20"), now_us)

    findings = found(BY_NAME["a thousand members"], roomy(RefusesSome))
    assert outcomes(findings) == {Rule.LIM_1: Outcome.BROKEN}
    assert "members, the next is neither granted nor refused for it: it was refused (bad_request)" in findings[0].said


def one_relay(*, copies: int) -> EngineFactory:
    """Of one text's relay one copy is sent so often."""
    changed: list[bytes] = []

    def change(_: Planted, outputs: Outputs) -> Outputs:
        result: Outputs = []
        for each in outputs:
            if isinstance(each, Relay) and each.what is PacketKind.RELAY and b"load" in each.data and not changed:
                changed.append(each.data)
                result.append(each._replace(targets=[*each.targets[1:], *[each.targets[0]] * copies]))
            else:
                result.append(each)
        return result

    return gives(change)


@pytest.mark.parametrize(("copies", "outcome"), [(0, Outcome.NOT_TESTED), (1, Outcome.HOLDS), (2, Outcome.BROKEN)])
def test_one_relay_too_many_is_broken_and_one_too_few_leaves_it_open(copies: int, outcome: Outcome) -> None:
    [finding] = found(BY_NAME["many rooms"], roomy(one_relay(copies=copies)))
    assert (finding.outcome, finding.inconclusive) == (outcome, copies == 0)


def test_where_nothing_arrives_nothing_is_judged() -> None:
    ground = roomy()
    ground.loses = lambda _number, direction: direction == "down"
    with pytest.raises(CannotTest, match="no relay arrived"):
        play(BY_NAME["many rooms"].story(stage_on(ground)))  # type: ignore[arg-type]
