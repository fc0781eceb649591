"""A server's UDP sockets in an event loop: non-blocking, drained in batches up to a bound.

Not asyncio's datagram transport: it allocates a large buffer for every read and takes one datagram
in each turn of the loop. There are two ways to the system: `PortableSocket`, one call for each datagram, and
`tcrp.net.mmsg`, one for many, where the system has it. `open_udp` chooses.
"""

from __future__ import annotations

import abc
import asyncio
import os
import socket
import sys
from collections.abc import Callable

from tcrp.engine.outputs import Address, Targets
from tcrp.net.addresses import address_of, sockaddr_of
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX

DRAIN_MAX = 128
"""How many datagrams are taken in one turn of the loop, so that TCP and timers have theirs."""

BATCH_MAX = 32
"""How many datagrams are handed on at once. Their relays may leave together."""

BUFFER_BYTES = 8 << 20
"""What is asked of the system for each direction; it may give less."""

PATH_VARIABLE = "TCRP_UDP"
"""The environment variable that forces a way: its value is the `path` of a socket."""

Batch = list[tuple[bytes, Address]]


class UdpSocket(abc.ABC):
    """One bound socket. `receive` is called with the datagrams that came, each cut one byte over its limit.

    `unsent` counts datagrams that the system did not take: its buffer was full, or it knew no way. Each costs
    only itself.
    """

    path: str
    """The way to the system, in a word."""

    def __init__(self, bound: socket.socket, receive: Callable[[Batch], None]) -> None:
        self.unsent = 0
        self._socket = bound
        self._receive = receive
        self._is_ipv6 = bound.family == socket.AF_INET6
        bound.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        asyncio.get_running_loop().add_reader(bound.fileno(), self._drain_some)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return address_of(self._socket.getsockname())

    @property
    def buffer_bytes(self) -> tuple[int, int]:
        """What the system gave for receiving and for sending."""
        # Linux doubles what it is asked for, for its own accounting, and says the doubled size.
        options = (socket.SO_RCVBUF, socket.SO_SNDBUF)
        receive, send = (self._socket.getsockopt(socket.SOL_SOCKET, each) for each in options)
        return (receive // 2, send // 2) if sys.platform.startswith("linux") else (receive, send)

    @abc.abstractmethod
    def send(self, data: bytes, targets: Targets) -> None:
        """Send one datagram to each target, at the next `flush` at the latest. What cannot be sent then is lost."""

    def flush(self) -> None:  # noqa: B027 - a socket that sends at once has nothing to do
        """Hand over to the system what was sent so far, in its order."""

    def close(self) -> None:
        """Stop receiving and sending."""
        self.flush()
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def drain(self) -> bool:
        """Receive what waits, `DRAIN_MAX` datagrams at most. Returns whether nothing is left."""
        return self._drain(is_thorough=True)

    def _drain_some(self) -> None:
        """The socket is readable. What is left is reported again by the loop: no need to ask for it."""
        self._drain(is_thorough=False)

    def _drain(self, *, is_thorough: bool) -> bool:
        for _ in range(DRAIN_MAX // BATCH_MAX):
            batch: Batch = []
            is_empty = self._take(batch)
            if batch:
                self._receive(batch)
            if is_empty or (not is_thorough and len(batch) < BATCH_MAX):
                return is_empty
        return False

    @abc.abstractmethod
    def _take(self, batch: Batch) -> bool:
        """Receive up to `BATCH_MAX` datagrams into `batch`. Returns whether it is known that nothing is left."""


class PortableSocket(UdpSocket):
    """One system call for each datagram, on every system."""

    path = "portable"

    def __init__(self, bound: socket.socket, receive: Callable[[Batch], None]) -> None:
        super().__init__(bound, receive)
        self._buffer = bytearray(CLIENT_DATAGRAM_BYTES_MAX + 1)
        self._view = memoryview(self._buffer)

    def send(self, data: bytes, targets: Targets) -> None:
        """Send it now."""
        sendto = self._socket.sendto
        for target in targets:
            try:
                sendto(data, sockaddr_of(target) if self._is_ipv6 else target)
            except OSError:
                self.unsent += 1

    def _take(self, batch: Batch) -> bool:
        recvfrom_into, buffer, view, is_ipv6 = self._socket.recvfrom_into, self._buffer, self._view, self._is_ipv6
        for _ in range(BATCH_MAX):
            try:
                size, source = recvfrom_into(buffer)
            except BlockingIOError:
                return True
            except OSError:
                continue  # the report of an earlier datagram that went nowhere
            batch.append((bytes(view[:size]), address_of(source) if is_ipv6 else Address(source[0], source[1])))
        return False


def open_udp(bound: socket.socket, receive: Callable[[Batch], None]) -> UdpSocket:
    """The socket with the fastest way to this system, or with the one that `TCRP_UDP` names."""
    return _socket_type()(bound, receive)


def udp_path() -> str:
    """The way that `open_udp` takes."""
    return _socket_type().path


def _socket_type() -> type[UdpSocket]:
    if os.environ.get(PATH_VARIABLE) != PortableSocket.path:
        from tcrp.net import mmsg  # not imported where nothing of it is wanted

        if mmsg.is_here():
            return mmsg.MultiMessageSocket
    return PortableSocket
