"""Sessions, connections and clients that live too long or too short by the least, and the last that is right."""

from __future__ import annotations

import pytest

from planting import Planted, moves_timers, violation_of, with_limits
from tcrp.engine.outputs import Address
from tcrp.engine.server import Outputs
from tcrp.sim.checks.results import Violation
from tcrp.sim.checks.termination import LATE_US
from tcrp.sim.checks.timeouts_and_liveness import ARRIVES_US
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SECOND_US, Takeover
from tcrp.spec.names import Deadline, Property

IDLE_US, TOKEN_US, HANDSHAKE_US = 60 * SECOND_US, 20 * SECOND_US, 10 * SECOND_US
SILENT = """
claim: alice falls silent, bob never enters, and a peer says half a request
server: {idle_timeout: 60s, token_timeout: 20s, handshake_timeout: 10s}
users: {alice: {dialect: json-port}, bob: {dialect: text}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, network: {set: {loss: 100%}, from: bob, to: server}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, peer: {stream: {hex: "05"}}}
until: 100s
"""
COMES_BACK = """
claim: a double joins under the name of another
server: {takeover: same_address, takeover_after: 5s}
network: {default: {delay: 0s}}
users:
  bob: {dialect: json-port, address: 10.1.0.1}
  double: {dialect: json-port, name: bob, address: 10.1.0.1}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, bob: {say: "hi"}}
  - {at: %s, double: {join: lobby}}
"""
UNHEARD = """
claim: nothing that bob says is heard
server: {token_timeout: 60s}
network: {default: {delay: 0s}}
users: {bob: {dialect: text, address: 10.1.0.1}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 30s, bob: {say: "hi"}}
until: %dus
"""
CLOSING = """
claim: a room closes
server: {linger: 2s}
network: {default: {delay: 0s}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 3s, alice: leave}
until: %dus
"""


@pytest.mark.parametrize(("by_us", "is_found"), [(0, False), (-1, True)])
@pytest.mark.parametrize("setting", ["idle_timeout", "token_timeout"])
def test_who_is_idled_a_microsecond_early_is_found(setting: str, by_us: int, is_found: bool) -> None:
    timeout_us = {"idle_timeout": IDLE_US, "token_timeout": TOKEN_US}[setting] + by_us
    violation = violation_of(SILENT, Property.ONLY_THE_SILENT_IDLE, with_limits(**{setting: timeout_us}))
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("by_us", "is_found"), [(LATE_US, False), (LATE_US + 1, True)])
@pytest.mark.parametrize("setting", ["idle_timeout", "token_timeout"])
def test_who_is_idled_more_than_a_second_late_is_found(setting: str, by_us: int, is_found: bool) -> None:
    """Though nothing else happens until then."""
    timeout_us = {"idle_timeout": IDLE_US, "token_timeout": TOKEN_US}[setting] + by_us
    violation = violation_of(SILENT, Property.LIVE_SESSION_HAS_A_DEADLINE, with_limits(**{setting: timeout_us}))
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("by_us", "is_found"), [(LATE_US, False), (LATE_US + 1, True)])
def test_a_connection_that_is_closed_more_than_a_second_late_is_found(by_us: int, is_found: bool) -> None:
    late = with_limits(handshake_timeout=HANDSHAKE_US + by_us)
    assert (violation_of(SILENT, Property.HANDSHAKE_ENDS, late) is not None) is is_found


@pytest.mark.parametrize(
    ("property", "settings"),
    [
        (Property.LIVE_SESSION_HAS_A_DEADLINE, {"idle_timeout": 3600 * SECOND_US}),
        (Property.HANDSHAKE_ENDS, {"handshake_timeout": 3600 * SECOND_US}),
    ],
)
def test_what_is_overdue_when_a_run_ends_is_found(property: Property, settings: dict[str, int]) -> None:
    assert violation_of(SILENT, property, with_limits(**settings)) is not None


def test_a_server_that_was_paused_may_be_late() -> None:
    paused = SILENT.replace("until", "  - {at: 3s, server: {pause: 70s}}\nuntil")
    verdict = Run(read_scenario_text(paused)).go()
    assert verdict.violation is None
    assert verdict.judged[Property.ONLY_THE_SILENT_IDLE] == 2


# --- takeover ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "is_found"), [("7s", False), ("6999999us", True)])
def test_a_name_is_taken_over_after_the_holders_silence_and_no_earlier(at: str, is_found: bool) -> None:
    early = with_limits(takeover_after=SECOND_US)
    violation = violation_of(COMES_BACK % at, Property.TAKEOVER_IS_BY_OWNER, early)
    assert (violation is not None) is is_found


@pytest.mark.parametrize("takeover", ["token", "off"])
def test_silence_alone_is_no_claim_to_a_name(takeover: str) -> None:
    only_proof = COMES_BACK.replace("same_address", takeover) % "50s"
    lenient = with_limits(takeover=Takeover.SAME_ADDRESS)
    violation = violation_of(only_proof, Property.TAKEOVER_IS_BY_OWNER, lenient)
    assert violation is not None
    assert "10.1.0.1" in violation.what


# --- the end of a run ----------------------------------------------------------------------------


class DoesNotHearBob(Planted):
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        return [] if source.ip.startswith("10.1.") else super().receive_datagram(data, source, now_us, listener)


def unheard(text: str) -> Violation | None:
    """What the run of a server that does not hear bob breaks; his arrival need not have been judged."""
    left_out = set(Property) - {Property.SPEAKERS_ARRIVE}
    return Run(read_scenario_text(text), make_engine=DoesNotHearBob, leave_out=left_out).go().violation


@pytest.mark.parametrize(("until_us", "is_found"), [(30 * SECOND_US + ARRIVES_US, True), (31_999_999, False)])
def test_a_speaker_has_two_seconds_to_arrive(until_us: int, is_found: bool) -> None:
    assert (unheard(UNHEARD % until_us) is not None) is is_found


@pytest.mark.parametrize(
    "fault",
    [
        "{at: 30500ms, network: {set: {delay: 1ms}, from: bob, to: server}}",
        "{at: 10s, network: {set: {loss: 1%}, from: bob, to: server}}",
        "{at: 29s, bob: {move: {address: 10.1.0.2}}}",
    ],
    ids=["a fault since", "a link that may lose it", "another address"],
)
def test_a_speaker_need_not_arrive_if_the_network_explains_it(fault: str) -> None:
    explained = (UNHEARD % (50 * SECOND_US)).replace("until", f"  - {fault}\nuntil")
    assert unheard(explained) is None


@pytest.mark.parametrize(
    ("after_us", "is_found"), [(2 * SECOND_US + LATE_US, False), (2 * SECOND_US + LATE_US + 1, True)]
)
def test_a_room_may_be_closing_a_second_longer_than_its_linger(after_us: int, is_found: bool) -> None:
    never = moves_timers(Deadline.LINGER, 3600 * SECOND_US)
    violation = violation_of(CLOSING % (3 * SECOND_US + after_us), Property.CLOSING_ROOMS_CLOSE, never)
    assert (violation is not None) is is_found
