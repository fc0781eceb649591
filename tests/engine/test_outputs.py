"""Outputs as values: how much is observed, by which listener, and the rule of a text that was changed."""

from __future__ import annotations

import pytest

from tcrp.engine.outputs import Address, Addresses, AllBut, Detail, Dropped, Relay, SendDatagram, TextReceived, Withheld
from tcrp.spec.names import PacketKind, Rule


def test_more_detail_is_greater_and_none_is_false() -> None:
    assert not Detail.NOTHING
    assert Detail.NOTHING < Detail.CHANGES < Detail.EVERYTHING


def test_a_server_with_one_listener_need_not_say_which() -> None:
    address = Address("10.0.0.1", 40000)
    outputs = (
        SendDatagram(b"", address, PacketKind.NOTICE),
        Relay(b"", [address], PacketKind.RELAY),
        Dropped(PacketKind.DATAGRAM, 1, "too short", Rule.UDP_1),
        Withheld(("bob",), "too long", Rule.UDP_2),
    )
    assert [each.listener for each in outputs] == [0, 0, 0, 0]


def test_only_a_text_from_which_something_was_taken_has_a_rule() -> None:
    assert TextReceived("bob", "hi", changed=True).rule is Rule.SHOW_1
    assert TextReceived("bob", "hi", changed=False).rule is None


@pytest.mark.parametrize(("place", "left"), [(-1, [0, 1, 2]), (0, [1, 2]), (1, [0, 2]), (2, [0, 1])])
def test_all_but_one_is_a_sequence_like_the_list_of_the_others(place: int, left: list[int]) -> None:
    addresses = Addresses([Address("10.0.0.1", 40000 + number) for number in range(3)])
    others = AllBut(addresses, place)
    listed = [addresses.all[number] for number in left]
    assert [*others] == listed
    assert (len(others), others[0], others[1:]) == (len(listed), listed[0], listed[1:])
    assert others == listed
    assert others == AllBut(Addresses(listed), -1)
    assert hash(others) == hash(AllBut(Addresses(listed), -1))
    assert others != listed[1:]
    assert repr(others) == repr(listed)


def test_a_driver_finds_nothing_of_its_own_at_new_addresses() -> None:
    assert Addresses([Address("10.0.0.1", 40000)]).packed is None
