"""A UDP socket in an event loop: non-blocking, drained up to a bound, one fan-out per message.

Not asyncio's datagram transport: it allocates a large buffer for every read and takes one datagram
in each turn of the loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable

from tcrp.engine.outputs import Address
from tcrp.net.addresses import address_of, sockaddr_of
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX

DRAIN_MAX = 128
"""How many datagrams are taken in one turn of the loop, so that TCP and timers have theirs."""

BUFFER_BYTES = 8 << 20
"""What is asked of the system for each direction; it may give less."""


class UdpSocket:
    """One bound socket. `receive(data, source)` is called for each datagram, cut one byte over its limit.

    `unsent` counts datagrams that the system did not take: its buffer was full, or it knew no way.
    """

    def __init__(self, bound: socket.socket, receive: Callable[[bytes, Address], None]) -> None:
        self.unsent = 0
        self._socket = bound
        self._receive = receive
        self._is_ipv6 = bound.family == socket.AF_INET6
        self._buffer = bytearray(CLIENT_DATAGRAM_BYTES_MAX + 1)
        self._view = memoryview(self._buffer)
        bound.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        asyncio.get_running_loop().add_reader(bound.fileno(), self.drain)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return address_of(self._socket.getsockname())

    def send(self, data: bytes, targets: Iterable[Address]) -> None:
        """Send one datagram to each target. What cannot be sent now is lost, and counted."""
        sendto = self._socket.sendto
        for target in targets:
            try:
                sendto(data, sockaddr_of(target) if self._is_ipv6 else target)
            except OSError:
                self.unsent += 1

    def close(self) -> None:
        """Stop receiving and sending."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def drain(self) -> bool:
        """Receive what waits, `DRAIN_MAX` datagrams at most. Returns whether nothing is left."""
        recvfrom_into, buffer, view = self._socket.recvfrom_into, self._buffer, self._view
        for _ in range(DRAIN_MAX):
            try:
                size, source = recvfrom_into(buffer)
            except BlockingIOError:
                return True
            except OSError:
                continue  # the report of an earlier datagram that went nowhere
            self._receive(bytes(view[:size]), address_of(source) if self._is_ipv6 else Address(source[0], source[1]))
        return False
