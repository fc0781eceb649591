"""A bad link between many users and a server on the loopback: each datagram is lost with some probability, and every
tenth relay for certain, so that texts are among what is lost.

Each user keeps its IP address; connections are carried whole, as TCP does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket

from tcrp.engine.outputs import Address
from tcrp.live.proxy import Proxy
from tcrp.net.udp import DRAIN_MAX

CHUNK = 65536
RELAY = b": "
"""Between the name and the text of a relay, in most dialects."""
RELAYS_FOR_EACH_LOST = 10


class Loss:
    """Loses datagrams; what arrives takes no time."""

    def __init__(self, probability: float, seed: int) -> None:
        self.probability = probability
        self.lost = 0
        self._random = random.Random(seed)  # noqa: S311 (a link needs no secrets)

    def datagram(self, size: int, *, up: bool) -> float | None:
        """The delay of a datagram, or None if it is lost."""
        if self._random.random() >= self.probability:
            return 0.0
        self.lost += 1
        return None

    def segment(self, *, up: bool) -> float | None:
        """TCP loses nothing."""
        return 0.0


class BadLink:
    """One of our proxies for each user: whoever sends the first datagram from an address gets one of their own."""

    def __init__(self, server_tcp: int, server_udp: int, loss: Loss) -> None:
        self.loss = loss
        self._relays = 0
        self._server = Address("127.0.0.1", server_tcp), Address("127.0.0.1", server_udp)
        self._proxies: dict[tuple[str, int], Proxy] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._carrying: set[asyncio.Task[None]] = set()  # the loop itself would forget one that only waits
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener: asyncio.Server | None = None

    async def open(self) -> tuple[int, int]:
        """The TCP and UDP port of this end."""
        self._front.setblocking(False)
        self._front.bind(("127.0.0.1", 0))
        asyncio.get_running_loop().add_reader(self._front.fileno(), self._receive)
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self._listener.sockets[0].getsockname()[1], self._front.getsockname()[1]

    def _receive(self) -> None:
        for _ in range(DRAIN_MAX):
            try:
                data, source = self._front.recvfrom(CHUNK)
            except OSError:
                return
            if (proxy := self._proxies.get(source)) is not None:
                proxy.send_up(data)
                continue
            task = asyncio.get_running_loop().create_task(self._welcome(data, source))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _welcome(self, data: bytes, source: tuple[str, int]) -> None:
        proxy = Proxy("127.0.0.1", source[0], *self._server, self.loss, lambda: Address(*source))
        await proxy.open()
        # What the server sends goes out by the socket that the user knows as the server's.
        proxy._deliver = lambda data: self._down(data, source)  # type: ignore[method-assign]
        kept = self._proxies.setdefault(source, proxy)
        kept.send_up(data)
        if kept is not proxy:
            await proxy.close()

    def _down(self, data: bytes, source: tuple[str, int]) -> None:
        self._relays += RELAY in data
        if RELAY in data and self._relays % RELAYS_FOR_EACH_LOST == 0:
            self.loss.lost += 1
            return
        with contextlib.suppress(OSError):
            self._front.sendto(data, source)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, ip, back_writer = asyncio.current_task(), writer.get_extra_info("peername")[0], None
        assert task is not None, "a coroutine runs in a task"
        self._carrying.add(task)
        try:
            back_reader, back_writer = await asyncio.open_connection(*self._server[0], local_addr=(ip, 0))
            await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))
        except OSError:
            for each in (back_writer, writer):
                if each is not None:
                    each.transport.abort()
        finally:
            for each in (back_writer, writer):
                if each is not None:
                    each.close()
            self._carrying.discard(task)

    async def close(self) -> None:
        """Close everything."""
        asyncio.get_running_loop().remove_reader(self._front.fileno())
        assert self._listener is not None
        self._listener.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        for proxy in self._proxies.values():
            await proxy.close()
        self._front.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
