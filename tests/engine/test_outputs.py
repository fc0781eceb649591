"""Outputs as values: how much is observed, by which listener, and the rule of a text that was changed."""

from __future__ import annotations

from tcrp.engine.outputs import Address, Detail, Dropped, Relay, SendDatagram, TextReceived, Withheld
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
