"""The sockets of one listener: a TCP port for requests and a UDP port for chat traffic, bound together."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import NamedTuple

from tcrp.engine.outputs import Address
from tcrp.net.addresses import address_of, sockaddr_of
from tcrp.net.listener import Listener
from tcrp.net.udp import Batch, UdpSocket, open_udp

BACKLOG = 1024
ANY = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


class Place(NamedTuple):
    """Where a listener is to be: an IP address of either version and two ports; 0 lets the system choose."""

    host: str
    tcp_port: int
    udp_port: int


class CannotBind(Exception):
    """A socket cannot be bound. `transport` is `tcp` or `udp`, `listener` the number of its listener."""

    def __init__(self, transport: str, host: str, port: int, error: OSError) -> None:
        super().__init__(f"{transport.upper()} {host}:{port}: {error.strerror or error}")
        self.transport = transport
        self.port = port
        self.is_other_taken = False  # another program has the other port too
        self.errno = error.errno
        self.listener = 0


class Ports:
    """Both sockets of a listener. Made, they are bound, and nobody else gets them; opened, they receive by `udp`."""

    udp: UdpSocket

    def __init__(self, place: Place) -> None:
        """Raises `CannotBind`."""
        host, tcp_port, udp_port = place
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._tcp = _bound("tcp", family, host, tcp_port)
        except CannotBind as error:
            error.is_other_taken = _is_taken("udp", family, host, udp_port)
            raise
        try:
            self._bound_udp = _bound("udp", family, host, udp_port)
        except CannotBind:
            self._tcp.close()
            raise
        self._listener: Listener | None = None

    def open(
        self,
        make_protocol: Callable[[], asyncio.Protocol],
        receive: Callable[[Batch], None],
        exhausted: Callable[[OSError], None],
    ) -> None:
        """Take connections and datagrams from now on."""
        self.udp = open_udp(self._bound_udp, receive)
        self._listener = Listener(self._tcp, BACKLOG, make_protocol, exhausted)

    @property
    def tcp_address(self) -> Address:
        """Where requests are taken."""
        return address_of(self._tcp.getsockname())

    @property
    def udp_address(self) -> Address:
        """Where chat traffic is received."""
        return address_of(self._bound_udp.getsockname())

    def stop_accepting(self) -> None:
        """Take no more connections."""
        if self._listener is not None:
            self._listener.close()

    def close(self) -> None:
        """Close what is open."""
        if self._listener is not None:  # which has the TCP socket, and is closed with `stop_accepting`
            self.udp.close()
        else:
            self._tcp.close()
            self._bound_udp.close()


def overlapping(places: list[Place]) -> tuple[int, int, str] | None:
    """The first two places of which a socket would be the same, and its transport."""
    for second, other in enumerate(places):
        for first, one in enumerate(places[:second]):
            if one.host == other.host or one.host in ANY or other.host in ANY:
                if one.tcp_port and one.tcp_port == other.tcp_port:
                    return first, second, "tcp"
                if one.udp_port and one.udp_port == other.udp_port:
                    return first, second, "udp"
    return None


def _bound(transport: str, family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    """A socket bound to an address. Raises `CannotBind`."""
    bound = socket.socket(family, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
    try:
        if transport == "tcp":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # `::` serves IPv4 too
        bound.bind(sockaddr_of(Address(host, port)) if family == socket.AF_INET6 else (host, port))
    except OSError as error:
        bound.close()
        raise CannotBind(transport, host, port, error) from None
    return bound


def _is_taken(transport: str, family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        _bound(transport, family, host, port).close()
    except CannotBind as error:
        return error.errno == errno.EADDRINUSE
    return False
