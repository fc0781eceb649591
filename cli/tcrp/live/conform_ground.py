"""The ground of a judgement: real sockets and the monotonic clock. Knows bytes, not the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from tcrp.judge.ground import End, Unreached
from tcrp.live.waiting import Waiters

CHUNK = 65536
HEARD_MAX = 100_000
"""Datagrams that one socket keeps."""
PORT_TRIES = 64
RECEIVE_BUFFER = 1 << 20


class LiveStream:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> bool:
        """Send bytes in one write. False: the connection is broken."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            return False
        return not self._writer.transport.is_closing()

    async def receive(self, within_us: int) -> bytes | End | None:
        """The next bytes, or how the connection ended, or None if nothing came in time."""
        try:
            data = await asyncio.wait_for(self._reader.read(CHUNK), within_us / 1_000_000)
        except TimeoutError:
            return None
        except OSError:
            return End.RESET
        if data:
            return data
        return End.RESET if self._is_broken() else End.CLOSED

    def _is_broken(self) -> bool:
        """Whether the peer has reset the connection after its end: the reader has seen the end only."""
        raw = self._writer.get_extra_info("socket")
        error = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if raw is not None and raw.fileno() >= 0 else 0
        return bool(error) or self._reader.exception() is not None

    def finish(self) -> None:
        """Half-close."""
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    def close(self) -> None:
        """Close."""
        self._writer.close()


class LivePort:
    """A UDP socket that exchanges datagrams with the server alone."""

    def __init__(self, bound: socket.socket, server: tuple[str, int], *, any_port: bool) -> None:
        self._socket = bound
        self._server = server
        self._parts = 1 if any_port else 2  # of an address that must agree
        name = bound.getsockname()
        self.ip, self.number = str(name[0]), int(name[1])
        self.heard: list[tuple[int, bytes]] = []
        self._waiters = Waiters()
        asyncio.get_running_loop().add_reader(bound.fileno(), self._receive)

    def _receive(self) -> None:
        while True:
            try:
                data, source = self._socket.recvfrom(CHUNK)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error of an earlier datagram
            if source[: self._parts] == self._server[: self._parts] and len(self.heard) < HEARD_MAX:
                self.heard.append((now_us(), data))
        self._waiters.changed()

    def send(self, data: bytes) -> None:
        """Send a datagram to the server."""
        with contextlib.suppress(OSError):  # what cannot be sent is lost, as in a network
            self._socket.sendto(data, self._server)

    async def wait(self, until: Callable[[], bool], within_us: int) -> bool:
        """Wait until the condition holds, which is asked again after each arrival. False: it never did in time."""
        return await self._waiters.wait(until, within_us)

    def close(self) -> None:
        """Close."""
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()


class LiveGround:
    """Sockets to one server, whose address is `host`. On a loopback there is a second address to send from.

    `any_port`: the server may send from other UDP ports than the one that it receives at.
    """

    def __init__(self, host: str, tcp_port: int, udp_port: int, *, any_port: bool = False) -> None:
        self._any_port = any_port
        address = ipaddress.ip_address(host)
        self._family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        self._tcp = host, tcp_port
        self._udp = host, udp_port
        self.ip = own_ip(host, udp_port)
        self.other_ip = (
            "127.0.0.2" if address.version == 4 and address.is_loopback and _has_address("127.0.0.2") else None
        )
        self.nonce = secrets.token_hex(3)

    def now_us(self) -> int:
        """Microseconds of the monotonic clock."""
        return now_us()

    async def sleep(self, us: int) -> None:
        """Wait."""
        await asyncio.sleep(us / 1_000_000)

    async def connect(self, ip: str, within_us: int) -> LiveStream:
        """A connection from `ip`. Raises `Unreached`."""
        opening = asyncio.open_connection(*self._tcp, local_addr=(ip, 0), limit=CHUNK)
        try:
            reader, writer = await asyncio.wait_for(opening, within_us / 1_000_000)
        except TimeoutError:
            raise Unreached(f"not accepted within {within_us / 1_000_000:g} s") from None
        except OSError as error:
            raise Unreached(os.strerror(error.errno) if error.errno else str(error)) from None
        return LiveStream(reader, writer)

    def port(self, ip: str, suits: Callable[[int], bool] = lambda _: True, number: int = 0) -> LivePort:
        """A new UDP socket at `ip`, with this port number, or with one that suits if there is one."""
        for left in reversed(range(PORT_TRIES)):
            bound = socket.socket(self._family, socket.SOCK_DGRAM)
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            bound.bind((ip, number))
            if number or not left or suits(bound.getsockname()[1]):
                break
            bound.close()
        return LivePort(bound, self._udp, any_port=self._any_port)

    async def together(self, tasks: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time, until all have ended."""
        await asyncio.gather(*tasks)

    async def bounded(self, task: Awaitable[None], within_us: int) -> bool:
        """Run this, but no longer. False: it was stopped."""
        try:
            await asyncio.wait_for(task, within_us / 1_000_000)
        except TimeoutError:
            return False
        return True


def now_us() -> int:
    """Microseconds, by a clock that does not go back."""
    return time.monotonic_ns() // 1000


def own_ip(host: str, port: int) -> str:
    """The address of this machine that a peer at `host` sees. Raises `OSError` if there is no way to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        return str(probe.getsockname()[0])


def _has_address(ip: str) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False  # outside Linux the loopback has one address only
    return True
