"""Exchanging users in a state: names, addresses and tokens move together, and twice is as if never."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tcrp.engine.outputs import Address
from tcrp.interleavings.parts import Flight
from tcrp.interleavings.server_part import token_of
from tcrp.interleavings.symmetry import Renaming
from tcrp.spec.names import PacketKind

USERS: Any = [
    SimpleNamespace(id=name, address=Address(ip, 40000))
    for name, ip in (("alice", "10.0.0.1"), ("bob__", "10.0.0.2"), ("carol", "10.0.0.3"))
]
BOB, CAROL = 1, 2
EXCHANGE = Renaming(USERS, {BOB: CAROL, CAROL: BOB})


def flight(party: int) -> Flight:
    user = USERS[party]
    return Flight(True, party, PacketKind.SAY, b"lobby" + token_of(f"{user.id}#1") + b"hi", user.address)


def test_names_addresses_and_tokens_are_exchanged_wherever_they_stand() -> None:
    assert EXCHANGE.of("bob__@lobby tells carol") == "carol@lobby tells bob__"
    assert EXCHANGE.of((b"bob__", ("10.0.0.3", 7))) == (b"carol", ("10.0.0.2", 7))
    assert EXCHANGE.of(token_of("carol#16")) == token_of("bob__#16")
    assert EXCHANGE.of(Address("10.0.0.2", 5)) == Address("10.0.0.3", 5)


def test_a_datagram_under_way_is_that_of_the_other_user() -> None:
    assert EXCHANGE.of(flight(BOB)) == flight(CAROL)


@pytest.mark.parametrize("value", ["alice", b"alice", "10.0.0.1", "10.0.0.20", 3, None, token_of("alice#1")])
def test_what_is_of_nobody_exchanged_stays(value: object) -> None:
    """10.0.0.20 is not bob's 10.0.0.2 with a zero."""
    assert EXCHANGE.of(value) == value


def test_exchanging_twice_changes_nothing() -> None:
    for value in (flight(BOB), flight(CAROL), "bob__ and carol", ("10.0.0.2", b"10.0.0.3")):
        assert EXCHANGE.of(EXCHANGE.of(value)) == value
