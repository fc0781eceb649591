"""The sockets of a judge: how a connection ends, who is heard, and how long is waited."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from processes import PATIENCE
from tcrp.judge.ground import End, Unreached
from tcrp.live import conform_ground
from tcrp.live.conform_ground import PORT_TRIES, LiveGround, LiveStream, own_ip

SECOND_US = 1_000_000


class Hosts:
    """A server of raw sockets, and a judge's ground to it."""

    def __init__(self, *, any_port: bool = False) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp, self.other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for each in (self.udp, self.other):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        self.ground = LiveGround("127.0.0.1", self.tcp.getsockname()[1], self.udp.getsockname()[1], any_port=any_port)

    async def accepts(self) -> tuple[LiveStream, socket.socket]:
        stream = await self.ground.connect("127.0.0.1", SECOND_US)
        connection, _ = self.tcp.accept()
        return stream, connection

    def close(self) -> None:
        for each in (self.tcp, self.udp, self.other):
            each.close()


def plays(conversation: Callable[[Hosts], Awaitable[None]], *, any_port: bool = False) -> None:
    async def run() -> None:
        with closing(Hosts(any_port=any_port)) as hosts:
            await asyncio.wait_for(conversation(hosts), PATIENCE)

    asyncio.run(run())


def test_bytes_silence_an_end_and_a_reset_are_told_apart() -> None:
    async def conversation(hosts: Hosts) -> None:
        stream, connection = await hosts.accepts()
        assert await stream.receive(1000) is None
        connection.sendall(b"hello")
        assert await stream.receive(SECOND_US) == b"hello"
        assert await stream.send(b"hi")
        stream.finish()
        assert connection.recv(10) == b"hi"
        assert connection.recv(10) == b""
        connection.close()
        assert await stream.receive(SECOND_US) is End.CLOSED
        stream.close()
        stream, connection = await hosts.accepts()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        assert await stream.receive(SECOND_US) is End.RESET
        assert not await stream.send(b"hi") or not await stream.send(b"hi")
        stream.close()

    plays(conversation)


def test_a_server_that_is_not_there_is_unreached_with_the_systems_word() -> None:
    async def conversation(hosts: Hosts) -> None:
        hosts.tcp.close()
        with pytest.raises(Unreached, match=r"^Connection refused$"):
            await hosts.ground.connect("127.0.0.1", SECOND_US)

    plays(conversation)


@pytest.mark.parametrize(("any_port", "heard"), [(False, [b"one"]), (True, [b"one", b"two"])])
def test_only_the_server_is_heard_and_its_other_ports_only_where_the_dialect_has_some(
    any_port: bool, heard: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation(hosts: Hosts) -> None:
        port = hosts.ground.port("127.0.0.1")
        hosts.udp.sendto(b"one", (port.ip, port.number))
        hosts.other.sendto(b"two", (port.ip, port.number))
        assert await port.wait(lambda: len(port.heard) == len(heard), SECOND_US)
        await asyncio.sleep(0.02)
        assert sorted(data for _, data in port.heard) == heard
        monkeypatch.setattr(conform_ground, "HEARD_MAX", len(heard) + 1)
        for _ in range(3):
            hosts.udp.sendto(b"more", (port.ip, port.number))
        await port.wait(lambda: len(port.heard) > len(heard) + 1, 50_000)
        assert len(port.heard) == len(heard) + 1
        port.close()
        port.close()  # once more does no harm

    plays(conversation, any_port=any_port)


def test_what_is_sent_arrives_from_the_port_and_a_server_that_is_gone_is_no_fault() -> None:
    async def conversation(hosts: Hosts) -> None:
        port = hosts.ground.port("127.0.0.1")
        port.send(b"hi")
        data, source = await asyncio.get_running_loop().sock_recvfrom(hosts.udp, 100)
        assert (data, source) == (b"hi", (port.ip, port.number))
        hosts.udp.close()
        for _ in range(3):
            port.send(b"hi")
            await asyncio.sleep(0)
        port.send(b"x" * 70_000)  # more than a datagram holds
        port.close()

    plays(conversation)


def test_a_port_that_suits_is_looked_for_only_so_often() -> None:
    async def conversation(hosts: Hosts) -> None:
        tried: list[int] = []

        def suits(number: int) -> bool:
            tried.append(number)
            return len(tried) == 3

        port = hosts.ground.port("127.0.0.1", suits)
        assert port.number == tried[-1]
        assert len(tried) == 3
        with closing(hosts.ground.port("127.0.0.1", lambda _: False)) as last:
            assert last.number > 0
        port.close()

    assert PORT_TRIES > 3
    plays(conversation)


def test_what_takes_too_long_is_stopped() -> None:
    async def conversation(hosts: Hosts) -> None:
        stopped = asyncio.Event()

        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        assert not await hosts.ground.bounded(forever(), 1000)
        assert stopped.is_set()
        assert await hosts.ground.bounded(asyncio.sleep(0), SECOND_US)

    plays(conversation)


def test_the_own_address_is_the_one_that_leads_to_the_server() -> None:
    assert own_ip("127.0.0.3", 9003) == "127.0.0.1" or own_ip("127.0.0.3", 9003) == "127.0.0.3"
    assert own_ip("::1", 9003) == "::1"
    assert LiveGround("::1", 1, 2).other_ip is None
