"""A proxy between one user and a server, for TCP and UDP, which delays, drops or holds packets.

An `Impairment` decides about each packet; the proxy does not know the protocol. The server sees
each user at a loopback address, `own_ip`, which the user can change.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from tcrp.engine.outputs import Address
from tcrp.net.client import PORT_TRIES, RESET

CHUNK = 65536


class Impairment(Protocol):
    """Decides about packets. `up` is towards the server."""

    def datagram(self, size: int, *, up: bool) -> float | None:
        """The delay of the next datagram, of `size` bytes, in seconds, or None if it is lost."""

    def segment(self, *, up: bool) -> float | None:
        """The delay of a stream's next bytes in seconds, or None if they must wait; the proxy then asks again."""


class Proxy:
    """A proxy for one user. After `await open()` the client uses `tcp_port` and `udp_port` of `ip`.

    `client` returns the address at which the user's client receives, once there is one; `suits`
    returns whether a port may be the user's own.
    """

    def __init__(
        self,
        ip: str,
        own_ip: str,
        server_tcp: Address,
        server_udp: Address,
        impairment: Impairment,
        client: Callable[[], Address | None],
        suits: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.ip = ip
        self.own_ip = own_ip
        self.connections: list[Address] = []  # as the server sees them, in order
        self._server_tcp = server_tcp
        self._server_udp = server_udp
        self._impairment = impairment
        self.tcp_port = 0  # for requests
        self._listener: asyncio.Server | None = None
        self._front: socket.socket | None = None
        self._back: socket.socket | None = None
        self._client = client
        self._suits = suits
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open both sides."""
        await self.accept()
        self._front = self._bound(self.ip, self._from_client)
        self._back = self._bound(self.own_ip, self._from_server)

    def _bound(self, ip: str, receive: Callable[[], None]) -> socket.socket:
        bound = _udp(ip)
        for _ in range(PORT_TRIES):
            if self._suits(bound.getsockname()[1]):
                break
            bound.close()
            bound = _udp(ip)
        asyncio.get_running_loop().add_reader(bound.fileno(), receive)
        return bound

    async def accept(self) -> None:
        """Accept connections, like a running server."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, self.ip, self.tcp_port)
            self.tcp_port = int(self._listener.sockets[0].getsockname()[1])

    def refuse(self) -> None:
        """Refuse connections, like the host of a server that is not running."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @property
    def udp_port(self) -> int:
        """The port for datagrams of the client."""
        assert self._front is not None, "the proxy is open"
        return int(self._front.getsockname()[1])

    @property
    def own_port(self) -> int:
        """The user's UDP port, as the server sees it."""
        assert self._back is not None, "the proxy is open"
        return int(self._back.getsockname()[1])

    def move(self, own_ip: str) -> None:
        """Give the user another address, as the server sees it. Datagrams to the old address are lost."""
        assert self._back is not None, "the proxy is open"
        asyncio.get_running_loop().remove_reader(self._back.fileno())
        self._back.close()
        self.own_ip = own_ip
        self._back = self._bound(own_ip, self._from_server)

    def go_to(self, server_tcp: Address, server_udp: Address) -> None:
        """Carry what is new to another address of the server."""
        self._server_tcp, self._server_udp = server_tcp, server_udp

    async def close(self) -> None:
        """Close everything at once."""
        loop = asyncio.get_running_loop()
        for each in (self._front, self._back):
            if each is not None:
                loop.remove_reader(each.fileno())
                each.close()
        self._front = self._back = None
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- datagrams -------------------------------------------------------------------------------

    def send_up(self, data: bytes) -> None:
        """Send a datagram to the server, as if the user had sent it."""
        seconds = self._impairment.datagram(len(data), up=True)
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if self._back is not None:
            _send(self._back, data, self._server_udp)

    def _from_client(self) -> None:
        assert self._front is not None, "only an open socket is read"
        try:
            data = self._front.recv(CHUNK)
        except OSError:
            return
        self.send_up(data)

    def _from_server(self) -> None:
        assert self._back is not None, "only an open socket is read"
        try:
            data = self._back.recv(CHUNK)
        except OSError:
            return  # an ICMP error: an earlier datagram had no receiver
        seconds = self._impairment.datagram(len(data), up=False)
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        client = self._client()
        if self._front is not None and client is not None:
            _send(self._front, data, client)

    # --- streams ---------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._wait(up=True)
        back_reader, back_writer = await asyncio.open_connection(*self._server_tcp, local_addr=(self.own_ip, 0))
        try:
            name = back_writer.get_extra_info("sockname")
            self.connections.append(Address(name[0], name[1]))
            await self._wait(up=False)  # a connection takes one transit from the server before the client can send
            up = asyncio.create_task(self._pump(reader, back_writer, up=True))
            down = asyncio.create_task(self._pump(back_reader, writer, up=False))
            try:
                await asyncio.gather(up, down)
            except OSError:  # one side was reset, so reset the other
                for task in (up, down):
                    task.cancel()
                _reset(back_writer)
                raise
        finally:
            back_writer.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        """Copy one direction, in order, to its end."""
        while data := await reader.read(CHUNK):
            await self._wait(up=up)
            writer.write(data)
            await writer.drain()
        await self._wait(up=up)
        if writer.can_write_eof():
            writer.write_eof()

    async def _wait(self, *, up: bool) -> None:
        while (seconds := self._impairment.segment(up=up)) is None:
            await asyncio.sleep(0.01)  # until the link is open again
        await asyncio.sleep(seconds)


def _udp(ip: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setblocking(False)
    bound.bind((ip, 0))
    return bound


def _send(through: socket.socket, data: bytes, target: tuple[str, int]) -> None:
    try:
        through.sendto(data, target)
    except OSError:
        return  # what cannot be sent is lost, as in a network


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that its peer sees a reset."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:  # else it is closed already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
