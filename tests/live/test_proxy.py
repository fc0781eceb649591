"""The network in between: what it delays, loses, holds and breaks off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine

import pytest

from processes import PATIENCE, QUIET
from tcrp.engine.outputs import Address
from tcrp.live.proxy import Proxy


class Impairment:
    """Everything takes `seconds`; what is sent in a direction of `cut` waits or is lost."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cut: set[bool] = set()

    def datagram(self, size: int, *, up: bool) -> float | None:
        return None if up in self.cut else self.seconds

    def segment(self, *, up: bool) -> float | None:
        return None if up in self.cut else self.seconds


class Hosts:
    """A server and a client of raw sockets, and a proxy between them."""

    def __init__(self) -> None:
        self.impairment = Impairment()
        self.tcp, self.udp, self.client = socket.socket(), _udp(), _udp()
        self.tcp.bind(("127.0.0.1", 0))
        self.tcp.listen()
        for each in (self.tcp, self.udp, self.client):
            each.setblocking(False)
        tcp, udp = Address(*self.tcp.getsockname()), Address(*self.udp.getsockname())
        self.proxy = Proxy("127.0.0.1", "127.0.0.8", tcp, udp, self.impairment, self._client_address)

    def _client_address(self) -> Address:
        return Address(*self.client.getsockname())

    def close(self) -> None:
        for each in (self.tcp, self.udp, self.client):
            each.close()


def _udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def run(conversation: Callable[[Hosts], Coroutine[None, None, None]]) -> None:
    async def converse() -> None:
        hosts = Hosts()
        await hosts.proxy.open()
        try:
            await conversation(hosts)
        finally:
            await hosts.proxy.close()
            hosts.close()

    asyncio.run(asyncio.wait_for(converse(), PATIENCE))


async def heard(through: socket.socket) -> tuple[bytes, tuple[str, int]]:
    data, source = await asyncio.get_running_loop().sock_recvfrom(through, 65536)
    return data, source


async def hears_nothing(through: socket.socket) -> bool:
    try:
        await asyncio.wait_for(heard(through), QUIET)
    except TimeoutError:
        return True
    return False


def test_datagrams_come_from_the_users_own_address_and_answers_return_there() -> None:
    async def conversation(hosts: Hosts) -> None:
        hosts.client.sendto(b"up", ("127.0.0.1", hosts.proxy.udp_port))
        assert await heard(hosts.udp) == (b"up", ("127.0.0.8", hosts.proxy.own_port))
        hosts.udp.sendto(b"down", ("127.0.0.8", hosts.proxy.own_port))
        assert (await heard(hosts.client))[0] == b"down"

    run(conversation)


def test_a_user_who_moves_is_seen_at_the_new_address_only() -> None:
    async def conversation(hosts: Hosts) -> None:
        before = hosts.proxy.own_port
        hosts.proxy.move("127.0.0.9")
        hosts.client.sendto(b"here", ("127.0.0.1", hosts.proxy.udp_port))
        assert await heard(hosts.udp) == (b"here", ("127.0.0.9", hosts.proxy.own_port))
        hosts.udp.sendto(b"too late", ("127.0.0.8", before))
        assert await hears_nothing(hosts.client)

    run(conversation)


def test_a_cut_loses_datagrams_one_way_only() -> None:
    async def conversation(hosts: Hosts) -> None:
        hosts.impairment.cut.add(True)
        hosts.client.sendto(b"lost", ("127.0.0.1", hosts.proxy.udp_port))
        assert await hears_nothing(hosts.udp)
        hosts.udp.sendto(b"still", ("127.0.0.8", hosts.proxy.own_port))
        assert (await heard(hosts.client))[0] == b"still"

    run(conversation)


def test_a_stream_waits_for_a_cut_to_heal_and_loses_nothing() -> None:
    async def conversation(hosts: Hosts) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", hosts.proxy.tcp_port)
        accepted, peer = await loop.sock_accept(hosts.tcp)
        assert peer[0] == "127.0.0.8"
        hosts.impairment.cut.add(True)
        writer.write(b"request")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(accepted, 100), QUIET)
        hosts.impairment.cut.clear()
        assert await loop.sock_recv(accepted, 100) == b"request"
        await loop.sock_sendall(accepted, b"answer")
        accepted.close()
        assert await reader.read() == b"answer"
        writer.close()

    run(conversation)


def test_a_proxy_that_is_closed_while_a_connection_is_on_its_way_closes_both_its_ends() -> None:
    async def conversation(hosts: Hosts) -> None:
        loop = asyncio.get_running_loop()
        hosts.impairment.cut.add(False)  # so that its transit from the server does not end
        reader, writer = await asyncio.open_connection("127.0.0.1", hosts.proxy.tcp_port)
        accepted, _ = await loop.sock_accept(hosts.tcp)
        while not hosts.proxy.connections:
            await asyncio.sleep(0)
        await hosts.proxy.close()
        with accepted:
            assert await asyncio.wait_for(loop.sock_recv(accepted, 1), PATIENCE) == b""
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    run(conversation)


def test_a_connection_that_the_server_refuses_or_resets_is_reset_for_the_client() -> None:
    async def conversation(hosts: Hosts) -> None:
        hosts.tcp.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", hosts.proxy.tcp_port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        hosts.proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", hosts.proxy.tcp_port)

    run(conversation)
