"""A proxy's share of a scenario's network: what is lost and what waits, in which direction."""

from __future__ import annotations

import pytest

from tcrp.live.impairment import UserImpairment
from tcrp.sim.network.links import Network
from tcrp.sim.scenario.model import LinkId, LinkPatch, LinkSettings, Loss, NetworkSettings, Span

UP, DOWN = LinkId("bob", "server"), LinkId("server", "bob")


def network(**settings: object) -> Network:
    return Network(NetworkSettings(default=LinkSettings(**settings)))  # type: ignore[arg-type]


def test_a_calm_network_delays_nothing() -> None:
    bob = UserImpairment(network(), "bob", 0)
    assert [bob.datagram(65_507, up=True), bob.datagram(0, up=False), bob.segment(up=True)] == [0, 0, 0]


@pytest.mark.parametrize(("cut", "is_up"), [(UP, True), (DOWN, False)])
def test_a_cut_stops_one_direction_of_one_user(cut: LinkId, is_up: bool) -> None:
    all_links = network()
    bob, carol = (UserImpairment(all_links, name, 0) for name in ("bob", "carol"))
    all_links.cut([cut])
    assert bob.datagram(1, up=is_up) is bob.segment(up=is_up) is None
    assert bob.datagram(1, up=not is_up) == bob.segment(up=not is_up) == 0
    assert carol.datagram(1, up=is_up) == 0
    all_links.heal([cut])
    assert bob.datagram(1, up=is_up) == 0


def test_a_datagram_of_the_mtu_passes_and_a_larger_one_does_not_and_streams_have_none() -> None:
    bob = UserImpairment(network(mtu_bytes=100), "bob", 0)
    assert bob.datagram(100, up=True) == 0
    assert bob.datagram(101, up=True) is None
    assert bob.segment(up=True) == 0


def test_a_link_that_loses_everything_loses_no_bytes_of_a_stream() -> None:
    bob = UserImpairment(network(loss=Loss(1_000_000)), "bob", 0)
    assert [bob.datagram(1, up=True) for _ in range(100)] == [None] * 100
    assert bob.segment(up=True) == 0


def test_delays_are_seconds_within_the_span_that_differ_by_packet_seed_user_and_direction() -> None:
    def delays(user: str, seed: int, *, up: bool = True) -> list[float | None]:
        one = UserImpairment(network(delay=Span(5_000, 20_000)), user, seed)
        return [one.datagram(1, up=up) for _ in range(50)]

    bob = delays("bob", 0)
    assert all(each is not None and 0.005 <= each <= 0.020 for each in bob)
    assert len(set(bob)) > 40
    assert bob == delays("bob", 0)
    assert bob not in (delays("bob", 1), delays("carol", 0), delays("bob", 0, up=False))


def test_settings_that_the_script_changes_hold_from_then_on() -> None:
    all_links = network()
    bob = UserImpairment(all_links, "bob", 0)
    assert bob.datagram(1, up=False) == 0
    all_links.set([DOWN], LinkPatch(delay=Span(7_000, 7_000)))
    assert (bob.datagram(1, up=False), bob.datagram(1, up=True)) == (0.007, 0)
