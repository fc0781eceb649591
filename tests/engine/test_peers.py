"""Which addresses count as one peer."""

from __future__ import annotations

import pytest

from tcrp.engine.peers import PeerCounts, peer_of, unmap_ipv4


@pytest.mark.parametrize(
    ("ip", "plain"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:a00:1", "10.0.0.1"),
        ("::ffff:10.0.0.1%eth0", "10.0.0.1"),
        ("::10.0.0.1", "::10.0.0.1"),  # compatible, which is not mapped
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:no", "::ffff:no"),
        ("", ""),
    ],
)
def test_a_mapped_ipv4_address_is_its_ipv4_address(ip: str, plain: str) -> None:
    assert unmap_ipv4(ip) == plain


@pytest.mark.parametrize(
    ("ip", "prefix", "peer"),
    [
        ("10.0.0.1", 64, "10.0.0.1"),
        ("2001:db8:0:1:2:3:4:5", 64, "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", 64, "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", 64, "2001:db8:0:2::/64"),
        ("2001:db8::1", 128, "2001:db8::1/128"),
        ("fe80::1%eth0", 64, "fe80::/64%eth0"),
        ("fe80::1%eth1", 64, "fe80::/64%eth1"),
        ("not:an:address", 64, "not:an:address"),
    ],
)
def test_an_ipv6_network_and_its_scope_are_one_peer(ip: str, prefix: int, peer: str) -> None:
    assert peer_of(ip, prefix) == peer


def test_what_a_peer_has_is_counted_over_its_addresses_and_forgotten_at_none() -> None:
    counts = PeerCounts(64, ["2001:db8::1", "2001:db8::2", "10.0.0.1"])
    assert (counts.of("2001:db8::9"), counts.of("10.0.0.1"), counts.of("10.0.0.2")) == (2, 1, 0)
    counts.remove("2001:db8::3")
    counts.remove("2001:db8::3")
    assert counts.of("2001:db8::1") == 0
    with pytest.raises(KeyError):
        counts.remove("2001:db8::1")
