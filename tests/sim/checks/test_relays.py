"""Relays that are wrong by the least, each found by its property, and what comes nearest to each and is right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from planting import Planted, gives, violation_of
from tcrp.engine.outputs import Address, Relay, Withheld
from tcrp.engine.server import Outputs
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.names import PacketKind, Property

SCENARIO = """
claim: three users talk
users:
  alice: {dialect: text, address: 10.1.0.1}
  bob: {dialect: text, address: 10.1.0.2}
  carol: {dialect: text, address: 10.1.0.3}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, carol: {join: lobby}}
  - {at: 3s, bob: {say: "one"}}
  - {at: 4s, bob: {say: "two"}}
"""
ALICE, CAROL = Address("10.1.0.1", 40001), Address("10.1.0.3", 40001)
Change = Callable[[Relay], Relay]


def relays_become(change: Change, *, text: bytes = b": two") -> EngineFactory:
    """Changes the relay of one text."""

    def changed(_: Planted, outputs: Outputs) -> Outputs:
        return [
            change(each)
            if isinstance(each, Relay) and each.what is PacketKind.RELAY and each.data.endswith(text)
            else each
            for each in outputs
        ]

    return gives(changed)


def to(*targets: Address) -> Change:
    return lambda relay: relay._replace(targets=list(targets))


def says(data: str) -> Change:
    return lambda relay: relay._replace(data=data.encode())


WRONG: list[tuple[Property, Change]] = [
    (Property.RELAY_TO_MEMBERS_ONLY, to(ALICE, Address("10.1.0.4", 40001))),
    (Property.RELAY_NOT_TO_ITS_SENDER, to(ALICE, Address("10.1.0.2", 40001))),
    (Property.RELAY_AT_MOST_ONCE, to(ALICE, ALICE)),
    (Property.RELAY_TO_EVERY_MEMBER, to(ALICE)),
    (Property.RELAY_TO_EVERY_MEMBER, to(ALICE, CAROL, CAROL)),
    (Property.RELAYS_IN_ORDER, says("bob: one")),
    (Property.RELAYS_IN_ORDER, says("bob: tw")),
    (Property.RELAY_NAMES_ITS_SENDER, says("carol: two")),
    (Property.RELAY_NAMES_ITS_SENDER, says("two")),
    (Property.NO_FORGED_NOTICE, says("Room closed")),
    (Property.NO_FORGED_NOTICE, says("alice left the room")),
]
RIGHT: list[tuple[Property, Change]] = [
    (Property.RELAY_TO_MEMBERS_ONLY, to(ALICE, Address("10.1.0.3", 1))),  # a member's port may change
    (Property.RELAY_NOT_TO_ITS_SENDER, to(ALICE, Address("10.1.0.2", 40002))),  # another socket at the sender's IP
    (Property.RELAY_AT_MOST_ONCE, to(CAROL, ALICE)),
    (Property.RELAY_TO_EVERY_MEMBER, to(CAROL, ALICE)),
    (Property.RELAYS_IN_ORDER, says("carol: two")),  # its name is judged apart
    (Property.RELAY_NAMES_ITS_SENDER, says("bob: one")),
    (Property.NO_FORGED_NOTICE, says("Room closed.")),
]


@pytest.mark.parametrize(("property", "change"), WRONG, ids=lambda each: str(each) if isinstance(each, str) else "")
def test_a_relay_that_is_wrong_is_found(property: Property, change: Change) -> None:
    violation = violation_of(SCENARIO, property, relays_become(change))
    assert violation is not None
    assert violation.property is property
    assert violation.t_us // 1_000_000 == 4


@pytest.mark.parametrize(("property", "change"), RIGHT, ids=lambda each: str(each) if isinstance(each, str) else "")
def test_what_comes_near_is_not_accused(property: Property, change: Change) -> None:
    assert violation_of(SCENARIO, property, relays_become(change)) is None


def test_a_first_text_cannot_be_out_of_order() -> None:
    first = relays_become(says("bob: two"), text=b": one")
    assert violation_of(SCENARIO, Property.RELAYS_IN_ORDER, first) is None


@pytest.mark.parametrize(("ip", "is_found"), [("10.1.0.2", False), ("10.1.0.9", True)])
def test_a_relay_for_a_token_from_another_ip_is_found_and_from_another_port_is_not(ip: str, is_found: bool) -> None:
    class TakesAnyAddress(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            source = Address("10.1.0.2", source.port) if b"three" in data else source
            return super().receive_datagram(data, source, now_us, listener)

    spoken_for = SCENARIO.replace("script:", f"  mallory: {{attacker: true, address: {ip}}}\nscript:")
    spoken_for += '  - {at: 5s, mallory: {datagram: {token_of: bob, room: lobby, text: "three"}}}\n'
    violation = violation_of(spoken_for, Property.RELAY_NEEDS_A_LIVING_TOKEN, TakesAnyAddress)
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("says_so", "is_found"), [(True, False), (False, True)])
def test_whom_a_text_is_withheld_from_counts_only_if_the_server_says_so(says_so: bool, is_found: bool) -> None:
    """Between quotes, the name is longer than carol's dialect can say."""

    def unsaid(_: Planted, outputs: Outputs) -> Outputs:
        return [each for each in outputs if says_so or not isinstance(each, Withheld)]

    long = SCENARIO.replace("carol: {dialect: text", "carol: {dialect: json-name")
    long = long.replace("bob: {dialect: text", f"bob: {{dialect: text, name: {'b' * 254}")
    violation = violation_of(long, Property.RELAY_TO_EVERY_MEMBER, gives(unsaid))
    assert (violation is not None) is is_found
