"""Ends of sessions and rooms that are wrong by the least, each found, and the last that is right."""

from __future__ import annotations

import pytest

from planting import Planted, gives, moves_timers, violation_of, with_limits
from tcrp.engine.outputs import Address, Relay, SendDatagram
from tcrp.engine.server import Outputs
from tcrp.sim.checks.termination import LATE_US
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Deadline, PacketKind, Property

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
BOB = Address("10.1.0.2", 40001)
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
