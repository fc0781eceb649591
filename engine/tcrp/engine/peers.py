"""IP addresses as limits and tokens see them: mapped IPv4 is IPv4, and a network of IPv6 is one peer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

IPV6_BITS = 128


def unmap_ipv4(ip: str) -> str:
    """An IPv4-mapped IPv6 address as the IPv4 address that it is; any other as it stands (R-TOK-3)."""
    if ":" not in ip:
        return ip
    from ipaddress import IPv6Address  # kept off the path of IPv4 servers' start-up

    try:
        mapped = IPv6Address(ip.partition("%")[0]).ipv4_mapped
    except ValueError:
        return ip
    return str(mapped) if mapped else ip


@lru_cache(4096)
def peer_of(ip: str, ipv6_prefix: int) -> str:
    """Whom limits per IP count for `ip`: an IPv4 address, or the first bits of an IPv6 one and its scope (R-LIM-1)."""
    if ":" not in ip:
        return ip
    from ipaddress import IPv6Address

    text, percent, scope = ip.partition("%")
    try:
        bits = int(IPv6Address(text))
    except ValueError:
        return ip
    spare = IPV6_BITS - ipv6_prefix
    return f"{IPv6Address(bits >> spare << spare)}/{ipv6_prefix}{percent}{scope}"


class PeerCounts:
    """How many of something each peer has."""

    __slots__ = ("_counts", "_ipv6_prefix")

    def __init__(self, ipv6_prefix: int, ips: Iterable[str] = ()) -> None:
        self._ipv6_prefix = ipv6_prefix
        self._counts: dict[str, int] = {}
        for ip in ips:
            self.add(ip)

    def of(self, ip: str) -> int:
        """How many the peer at `ip` has."""
        return self._counts.get(peer_of(ip, self._ipv6_prefix), 0)

    def add(self, ip: str) -> None:
        """One more."""
        peer = peer_of(ip, self._ipv6_prefix)
        self._counts[peer] = self._counts.get(peer, 0) + 1

    def remove(self, ip: str) -> None:
        """One less."""
        peer = peer_of(ip, self._ipv6_prefix)
        if self._counts[peer] == 1:
            del self._counts[peer]
        else:
            self._counts[peer] -= 1
