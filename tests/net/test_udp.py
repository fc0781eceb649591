"""The server's UDP socket in an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from processes import PATIENCE
from tcrp.engine.outputs import Address
from tcrp.net.udp import DRAIN_MAX, UdpSocket
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX

Received = list[tuple[bytes, Address]]


class HalfBlocked(socket.socket):
    """A socket whose send buffer is full for every other datagram."""

    sends = 0

    def sendto(self, *arguments: object) -> int:
        self.sends += 1
        if self.sends % 2:
            raise BlockingIOError
        return super().sendto(*arguments)  # type: ignore[call-overload,no-any-return]


def bound(family: socket.AddressFamily = socket.AF_INET, kind: type[socket.socket] = socket.socket) -> socket.socket:
    made = kind(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(("::" if family == socket.AF_INET6 else "127.0.0.1", 0))
    return made


class Reporting(socket.socket):
    """A socket that reports an earlier datagram's failure before each datagram that it has."""

    reads = 0

    def recvfrom_into(self, *arguments: Any) -> Any:
        self.reads += 1
        if self.reads % 2:
            raise ConnectionRefusedError
        return super().recvfrom_into(*arguments)


def ignore(data: bytes, source: Address) -> None:
    """Discard what arrives."""


def in_loop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_full_send_buffer_loses_relays_which_are_counted() -> None:
    async def exchange() -> None:
        with bound() as listener:
            udp = UdpSocket(bound(kind=HalfBlocked), ignore)
            target = Address(*listener.getsockname())
            udp.send(b"relay", [target] * 10)
            listener.settimeout(PATIENCE)
            assert [listener.recv(10) for _ in range(5)] == [b"relay"] * 5
            assert udp.unsent == 5
            udp.close()

    in_loop(exchange)


def test_an_error_of_the_socket_is_passed_over_and_later_datagrams_are_received() -> None:
    async def exchange() -> None:
        received: Received = []
        udp = UdpSocket(bound(kind=Reporting), lambda data, source: received.append((data, source)))
        with bound() as sender:
            for number in range(5):
                sender.sendto(str(number).encode(), udp.address)
            assert udp.drain()
        assert [data for data, _ in received] == [b"0", b"1", b"2", b"3", b"4"]
        udp.close()

    in_loop(exchange)


def test_draining_says_whether_something_is_left() -> None:
    async def exchange() -> None:
        received: Received = []
        udp = UdpSocket(bound(), lambda data, source: received.append((data, source)))
        with bound() as sender:
            for _ in range(DRAIN_MAX + 1):
                sender.sendto(b"x", udp.address)
            assert (udp.drain(), len(received)) == (False, DRAIN_MAX)
            assert (udp.drain(), len(received)) == (True, DRAIN_MAX + 1)
        udp.close()

    in_loop(exchange)


def test_a_flood_is_received_in_bounded_turns() -> None:
    async def exchange() -> None:
        received: Received = []
        udp = UdpSocket(bound(), lambda data, source: received.append((data, source)))
        with bound() as sender:
            for number in range(3 * DRAIN_MAX):
                sender.sendto(str(number).encode(), udp.address)
            turns: list[int] = []
            while len(received) < 3 * DRAIN_MAX:
                await asyncio.sleep(0)
                turns.append(len(received))
            assert max(b - a for a, b in zip([0, *turns], turns, strict=False)) == DRAIN_MAX
            assert [data for data, _ in received] == [str(number).encode() for number in range(3 * DRAIN_MAX)]
        udp.close()

    in_loop(exchange)


@pytest.mark.parametrize("size", [0, 1, CLIENT_DATAGRAM_BYTES_MAX, CLIENT_DATAGRAM_BYTES_MAX + 1, 65_507])
def test_a_datagram_is_received_up_to_one_byte_over_the_limit(size: int) -> None:
    async def exchange() -> None:
        received: Received = []
        udp = UdpSocket(bound(), lambda data, source: received.append((data, source)))
        with bound() as sender:
            sender.sendto(b"x" * size, udp.address)
            await until(lambda: bool(received))
            assert len(received[0][0]) == min(size, CLIENT_DATAGRAM_BYTES_MAX + 1)
            assert received[0][1] == sender.getsockname()
        udp.close()

    in_loop(exchange)


def test_ipv4_addresses_on_an_ipv6_socket_stay_ipv4_in_both_directions() -> None:
    async def exchange() -> None:
        received: Received = []
        udp = UdpSocket(bound(socket.AF_INET6), lambda data, source: received.append((data, source)))
        with bound() as sender:
            sender.settimeout(PATIENCE)
            sender.sendto(b"over four", ("127.0.0.1", udp.address.port))
            await until(lambda: bool(received))
            assert received == [(b"over four", Address(*sender.getsockname()))]
            udp.send(b"and back", [received[0][1]])
            assert sender.recv(20) == b"and back"
        udp.close()

    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    in_loop(exchange)
