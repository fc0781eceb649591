"""The ground of a judgement of a client: its process under a pseudo-terminal, and real sockets for its server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import ptyprocess
import pyte

from tcrp.judge.client_ground import Address, CannotStart
from tcrp.judge.client_script import fill
from tcrp.judge.ground import End
from tcrp.live.conform_ground import CHUNK, RECEIVE_BUFFER, now_us
from tcrp.live.waiting import Waiters

HOST = "127.0.0.1"
LINES, COLUMNS = 50, 200
OUTPUT_MAX = 1 << 20
RECEIVED_MAX = 1 << 20
DATAGRAMS_MAX = 10_000
DRAIN_MAX = 256
MARK = "TCRP_CONFORM"
"""The environment variable by which what a client has started is known."""
END_SECONDS = 0.2
"""How long a client may take to end when it is asked to, before it is killed."""


class LiveConnection(asyncio.Protocol):
    """A TCP connection that the client has made."""

    def __init__(self, scene: LiveScene) -> None:
        self.source: Address = ("", 0)
        self.received = bytearray()
        self.end: End | None = None
        self._scene = scene

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client has connected."""
        assert isinstance(transport, asyncio.Transport), "a TCP transport"
        self._transport = transport
        self.source = transport.get_extra_info("peername")[:2]
        self._scene.connections.append(self)
        self._scene.changed()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if len(self.received) < RECEIVED_MAX:
            self.received += data
        self._scene.changed()

    def eof_received(self) -> bool:
        """The client has sent all that it will send."""
        self.end = self.end or End.CLOSED
        self._scene.changed()
        return True  # this end stays open

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self.end = self.end or (End.RESET if exc is not None else End.CLOSED)
        self._scene.changed()

    def send(self, data: bytes) -> None:
        """Send bytes in one write."""
        self._transport.write(data)

    @property
    def unsent(self) -> int:
        """How many bytes the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def finish(self) -> None:
        """Half-close."""
        with contextlib.suppress(OSError):
            self._transport.write_eof()

    def close(self) -> None:
        """Close, without waiting for what was not taken."""
        self._transport.abort() if self.unsent else self._transport.close()


class AnsweringScreen(pyte.Screen):
    """A screen that answers what a program asks its terminal: where is the cursor?"""

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        super().__init__(COLUMNS, LINES)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        """Answer the program."""
        self._answer(data.encode())


class LiveScene:
    """One run of the client, and the sockets of the server that it meets."""

    def __init__(self) -> None:
        self.connections: list[LiveConnection] = []
        self.heard: list[tuple[int, Address, bytes]] = []
        self.output = bytearray()
        self.exit_code: int | None = None
        self.is_flooded = False
        self.places: Mapping[str, str] = {}
        self._waiters = Waiters()
        self._process: ptyprocess.PtyProcess | None = None
        self._screen = AnsweringScreen(self.type)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0

    async def open(self, tcp_port: int, udp_port: int) -> None:
        """Open the server's sockets. Raises `CannotStart`."""
        loop = asyncio.get_running_loop()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._udp.setblocking(False)
            self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._udp.bind((HOST, udp_port))
        except OSError as error:
            self._udp.close()
            raise CannotStart(f"UDP port {udp_port} cannot be used: {error.strerror}. Try --udp-port") from None
        try:
            self._server = await loop.create_server(lambda: LiveConnection(self), HOST, tcp_port, reuse_address=True)
        except OSError as error:
            self._udp.close()
            said = error.strerror or str(error)
            raise CannotStart(f"TCP port {tcp_port} cannot be used: {said}. Try --tcp-port") from None
        loop.add_reader(self._udp.fileno(), self._receive)
        tcp, udp = (each.getsockname()[1] for each in (self._server.sockets[0], self._udp))
        self.places = {"host": HOST, "tcp_port": str(tcp), "udp_port": str(udp)}

    def start(self, command: Sequence[str], nonce: str) -> None:
        """Start the client. Raises `CannotStart`."""
        if shutil.which(command[0]) is None:
            raise CannotStart("there is no such command, or it may not be executed")
        environment = {**os.environ, MARK: nonce, "TERM": "xterm", "LINES": str(LINES), "COLUMNS": str(COLUMNS)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: the child only executes
            try:
                self._process = ptyprocess.PtyProcess.spawn(
                    list(command), env=environment, dimensions=(LINES, COLUMNS)
                )  # fmt: skip
            except OSError as error:
                raise CannotStart(f"it cannot be started: {error.strerror or error}") from None
        os.set_blocking(self._process.fd, False)
        asyncio.get_running_loop().add_reader(self._process.fd, self._read)

    def changed(self) -> None:
        """Ask those who wait whether what they wait for has come."""
        self._waiters.changed()

    def _receive(self) -> None:
        for _ in range(DRAIN_MAX):  # what is not kept is taken too: else a full socket would wake the loop for ever
            try:
                data, source = self._udp.recvfrom(CHUNK)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error of an earlier datagram
            if len(self.heard) < DATAGRAMS_MAX:
                self.heard.append((now_us(), source[:2], data))
        self.changed()

    def _read(self) -> None:
        assert self._process is not None, "it is read when it runs"
        try:
            data = os.read(self._process.fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # Linux says so at the end
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._process.fd)
            asyncio.get_running_loop().create_task(self._reap())
            return
        if len(self.output) + len(data) > OUTPUT_MAX:
            self.is_flooded = True
            asyncio.get_running_loop().remove_reader(self._process.fd)
        else:
            self.output += data
            if b"\x1b" in self.output:  # else the screen is what was written
                self._stream.feed(bytes(self.output[self._fed :]))
                self._fed = len(self.output)
        self.changed()

    async def _reap(self) -> None:
        """Its terminal is closed; note how it ended, if it does."""
        for _ in range(100):
            if self._process is None or not self._process.isalive():
                break
            await asyncio.sleep(0.01)
        process = self._process
        if process is not None and not process.isalive():
            self.exit_code = process.exitstatus if process.signalstatus is None else -process.signalstatus
        self.changed()

    @property
    def screen(self) -> str:
        """What stands on the terminal's screen, where that is not just what was written."""
        return "" if not self._fed else "\n".join(line.rstrip() for line in self._screen.display)

    def type(self, data: bytes) -> None:
        """Press keys."""
        if self._process is not None and self.exit_code is None:
            with contextlib.suppress(OSError):  # it has ended, or reads nothing
                os.write(self._process.fd, data)

    def send(self, data: bytes, to: Address) -> None:
        """Send a datagram from the server's UDP port."""
        with contextlib.suppress(OSError):  # what cannot be sent is lost, as in a network
            self._udp.sendto(data, to)

    async def wait(self, until: Callable[[], bool], within_us: int) -> bool:
        """Wait until the condition holds, which is asked again whenever anything happens. False: not in time."""
        return await self._waiters.wait(until, within_us)

    async def close(self) -> None:
        """End the client, with its children, and close the sockets."""
        loop = asyncio.get_running_loop()
        if self._udp.fileno() < 0:
            return  # it is closed
        if (process := self._process) is not None:
            self._process = None
            with contextlib.suppress(OSError, ValueError):
                loop.remove_reader(process.fd)
            await end_session(process)
        for connection in self.connections:
            connection.close()
        self._server.close()
        loop.remove_reader(self._udp.fileno())
        self._udp.close()
        await asyncio.sleep(0)  # asyncio closes a connection's socket in the next turn of the loop


async def end_session(process: ptyprocess.PtyProcess) -> None:
    """End a process that leads a session, and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        for _ in range(int(END_SECONDS / 0.01)):
            if not process.isalive():
                break
            await asyncio.sleep(0.01)
    process.delayafterclose = 0  # else the library sleeps when it is collected
    process.fileobj.close()  # the terminal, and with it whatever still reads from it


def end_strays(nonce: str) -> None:
    """End what clients have started and left behind, in whatever session, where the system lists processes."""
    mark = f"{MARK}={nonce}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


class LiveClientGround:
    """Terminals and sockets on the loopback. Ports that are 0 are free ones, and another for each run."""

    def __init__(self, tcp_port: int = 0, udp_port: int = 0, at_a_time: int = 4) -> None:
        self._ports = tcp_port, udp_port
        self.at_a_time = at_a_time
        self.nonce = secrets.token_hex(3)
        self._turns = asyncio.Semaphore(at_a_time)

    def now_us(self) -> int:
        """Microseconds of the monotonic clock."""
        return now_us()

    async def sleep(self, us: int) -> None:
        """Wait."""
        await asyncio.sleep(us / 1_000_000)

    async def scene(self, command: Sequence[str], values: Mapping[str, str]) -> LiveScene:
        """Start the client; the ports are added to the values of its placeholders. Raises `CannotStart`."""
        scene = LiveScene()
        await scene.open(*self._ports)
        try:
            scene.start([fill(word, {**values, **scene.places}) for word in command], self.nonce)
        except CannotStart:
            await scene.close()
            raise
        return scene

    async def together(self, tasks: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run these, so many at a time as clients may run, until all have ended."""

        async def one(task: Coroutine[Any, Any, None]) -> None:
            try:
                async with self._turns:
                    await task
            finally:
                task.close()  # one that never had its turn: Python would complain of it

        await asyncio.gather(*map(one, tasks))

    async def bounded(self, task: Awaitable[None], within_us: int) -> bool:
        """Run this, but no longer. False: it was stopped."""
        try:
            await asyncio.wait_for(task, within_us / 1_000_000)
        except TimeoutError:
            return False
        return True
