"""Addresses as the system writes them and as the engine does: one text for a peer, over TCP and over UDP.

A link-local IPv6 address is one only with its scope, the interface behind which it is: `fe80::1%2`. An
IPv4-mapped one is its IPv4 address (R-TOK-3).
"""

from __future__ import annotations

from typing import Any

from tcrp.engine.outputs import Address
from tcrp.engine.peers import unmap_ipv4


def address_of(sockaddr: tuple[Any, ...]) -> Address:
    """The peer of `accept`, `recvfrom` or `getsockname`, of either version of IP."""
    ip, port = sockaddr[:2]
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    # Some event loops write the scope into the address as well, by the name of its interface.
    return Address(f"{ip.partition('%')[0]}%{scope}" if scope else unmap_ipv4(ip), port)


def sockaddr_of(address: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    """What an IPv6 socket takes for an address of either version."""
    ip, _, scope = address.ip.partition("%")
    if ":" not in ip:
        return f"::ffff:{ip}", address.port
    return ip, address.port, 0, int(scope or 0)
