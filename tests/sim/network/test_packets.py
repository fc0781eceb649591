"""Packets: named by their chain of causes, and drawn by the same chain."""

from __future__ import annotations

import pytest

from tcrp.engine.outputs import Address
from tcrp.sim.network.draws import GOLDEN, key_of, mix
from tcrp.sim.network.links import Link
from tcrp.sim.network.packets import Chain, Origin, Packet, chain_of, next_of_kind
from tcrp.spec.names import PacketKind
from tcrp.trace.records import Cause

HERE, THERE = Address("10.0.0.1", 1), Address("10.0.0.2", 2)
UP, DOWN = Link("bob", "server"), Link("server", "alice")


def packet(parent: Chain, link: Link, what: PacketKind, nth: int = 1) -> Packet:
    return Packet(parent, link, what, b"data", HERE, THERE, nth=nth)


def test_a_packets_name_is_its_chain_of_causes() -> None:
    say = packet(Origin("bob.say#1", 7), UP, PacketKind.SAY)
    assert say.packet == "bob.say#1/say"
    assert packet(say, DOWN, PacketKind.RELAY).packet == "bob.say#1/say/relay:alice"
    assert packet(say, DOWN, PacketKind.NOTICE, 3).packet == "bob.say#1/say/notice:alice#3"
    assert packet(say, UP, PacketKind.SAY, 2).packet == "bob.say#1/say/say#2"
    assert say.packet is say.packet  # put together once
    assert say.link_name == "bob>server"


def test_a_packets_key_is_the_same_chain_mixed_with_the_seed_at_its_root() -> None:
    origin = Origin("bob.say#1", 7)
    assert origin.key == key_of(7, "bob.say#1")
    assert origin.packet == "bob.say#1"
    for nth in (1, 2, 70_000):
        key = mix(origin.key + UP.key + key_of("what", "say") + nth * GOLDEN)
        assert packet(origin, UP, PacketKind.SAY, nth).key == key


def test_no_two_packets_share_a_key_where_anything_differs() -> None:
    keys = {
        packet(Origin(name, seed), link, what, nth).key
        for name in ("bob.say#1", "bob.say#2")
        for seed in (0, 1)
        for link in (UP, DOWN)
        for what in (PacketKind.SAY, PacketKind.RELAY)
        for nth in (1, 2)
    }
    assert len(keys) == 32
    assert all(0 <= key < 1 << 64 for key in keys)


def test_packets_of_a_kind_are_counted_for_each_link_from_1() -> None:
    origin = Origin("bob.say#1", 7)
    counted = [
        next_of_kind(origin, PacketKind.SAY, UP),
        next_of_kind(origin, PacketKind.SAY, UP),
        next_of_kind(origin, PacketKind.SAY, DOWN),
        next_of_kind(origin, PacketKind.ENTER, UP),
        next_of_kind(origin, PacketKind.SAY, UP),
    ]
    assert counted == [1, 2, 1, 1, 3]
    assert next_of_kind(Origin("bob.say#1", 7), PacketKind.SAY, UP) == 1
    assert next_of_kind(packet(origin, UP, PacketKind.SAY), PacketKind.SAY, UP) == 1


def test_a_new_packet_is_a_datagram_of_no_record_and_no_note() -> None:
    fresh = Packet(Origin("x", 0), UP, PacketKind.SAY, b"data", HERE, THERE)
    assert (fresh.record, fresh.proto, fresh.note, fresh.nth) == (0, "udp", "", 1)


def test_engines_hand_back_the_causes_that_they_were_given() -> None:
    origin = Origin("x", 0)
    assert chain_of(origin) is origin
    with pytest.raises(AssertionError):
        chain_of(Cause())
