"""The client's driver: one user's one attempt to be in one room, on real sockets.

Knows asyncio and sockets, not the protocol. A TCP connection fetches the token and is closed; a UDP
socket that is connected to the server carries the chat, so that no other host can send to it, and a
server that is not there any more is noticed. Where a dialect's servers send from any of their ports, the
socket is not connected: what comes from another IP address is dropped here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tcrp.engine.client import ClientConfig, ClientEngine, Outputs
from tcrp.engine.codec import Codec, learns_port
from tcrp.engine.liveness import learned_keep_alive_us
from tcrp.engine.notices import ENDINGS
from tcrp.engine.outputs import (
    OBSERVATIONS,
    Address,
    CloseStream,
    Detail,
    NoticeReceived,
    SendDatagram,
    SendFrame,
    ServerSilent,
    TextReceived,
    WordsReceived,
)
from tcrp.engine.recognition import port_is_clear
from tcrp.spec.dialects import LearnedFrom, RelayFrom
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Machine, Notice, Operation, Reason, SessionState
from tcrp.trace.recorder import Cause, Instances, Recorder
from tcrp.trace.trace import Trace

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
PORT_TRIES = 64
"""How often another port is asked for, where not every one suits a dialect."""


@dataclass(frozen=True, slots=True)
class ServerAt:
    """Where a server is."""

    host: str = "127.0.0.1"
    tcp_port: int = 9002
    udp_port: int = 9003


NO_HOST = "this name is no known host"
NO_ANSWER = "it does not answer"
BROKEN_OFF = "it broke the connection off, or speaks another dialect"


class Unreachable(Exception):
    """There is no server, or none that answers. `why` is one of the sentences above, or the system's own.

    `said` are the words of one that answered in no reply of the dialect.
    """

    def __init__(self, where: str, why: str, said: str = "") -> None:
        super().__init__(f"no chat server at {where}: {why}" + (f"; it says: {said}" if said else ""))
        self.where = where
        self.why = why
        self.said = said


class RequestRefused(Exception):
    """The server said no. `reason` is None where it gave none that is known; `said` are words of its own."""

    def __init__(self, reason: Reason | None, said: str = "") -> None:
        why = str(reason) if reason is not None else "refused without a known reason"
        super().__init__(why + (f"; the server says: {said}" if said else ""))
        self.reason = reason
        self.said = said


class Loss(StrEnum):
    """Why a session ended of which the server said nothing."""

    SERVER_GONE = "server_gone"  # no program receives on its UDP port any more, or none ever did
    SERVER_SILENT = "server_silent"  # it answers no more: it was restarted, or the network is broken
    OWN_SILENCE = "own_silence"  # the client said nothing for the idle timeout


class Client:
    """One attempt. `await enter()`, then `await say(...)` and `leave()`, and at last `await close()`.

    `hear` is called with each text and notice, and with words of the server that are neither; `ended` once
    when the session is over; `why` then says whether by a notice or by a loss that nobody told it of.
    `source` is the local IP address, or empty for the one that leads to the server.
    Without `keeps_alive` it speaks only when told to;
    `keep_alive_us` is the interval, by default what fits the idle timeout.
    Requests name the own address, unless `announced_ip` and `announced_port` say otherwise. A trace
    names it `actor`, and numbers its machines by `instances`.
    """

    def __init__(
        self,
        server: ServerAt,
        codec: Codec,
        operation: Operation,
        room: str,
        name: str,
        *,
        password: str = "",
        resume_token: bytes = b"",
        limits: Limits | None = None,
        keeps_alive: bool = True,
        keep_alive_us: int | None = None,
        source: str = "",
        announced_ip: str = "",
        announced_port: int = 0,
        hear: Callable[[TextReceived | NoticeReceived | WordsReceived], None] = lambda _: None,
        ended: Callable[[], None] = lambda: None,
        trace: Trace | None = None,
        actor: str = "",
        instances: Instances | None = None,
        started_us: int | None = None,
    ) -> None:
        self.server = server
        self.codec = codec
        self.operation = operation
        self.room = room
        self.name = name
        self.is_gone = False
        self.is_unheard = False
        self.address: Address | None = None  # where it receives datagrams, once that is known
        self.told: Notice | None = None  # why the session ended, if the server said so
        self.next_keep_alive_us = keep_alive_us  # for the next attempt: shorter after an unexpected expiry
        self._password = password
        self._resume_token = resume_token
        self._limits = limits or Limits()
        self.keeps_alive = keeps_alive
        self._keep_alive_us = keep_alive_us
        self._source = source
        self._announced_ip = announced_ip
        self._announced_port = announced_port
        self._hear = hear
        self._ended = ended
        self._trace = trace
        self._recorder = Recorder(trace, actor or name, Cause(), instances=instances)
        self._started_us = time.monotonic_ns() // 1000 if started_us is None else started_us
        self._engine: ClientEngine | None = None
        self._tcp: asyncio.Transport | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._udp_to: tuple[Any, ...] | None = None  # where datagrams go, if the socket is not connected
        self._alarm: asyncio.TimerHandle | None = None
        self._granted: asyncio.Future[None] | None = None
        self._settled = asyncio.Event()
        self._first_sign = asyncio.Event()
        self._has_ended = False
        self._has_left = False
        self._sent = asyncio.Event()

    # --- beginning -------------------------------------------------------------------------------

    async def enter(self) -> None:
        """Ask for the token and enter.

        Raises `Unreachable`, `RequestRefused`, or `ValueError` for a name that cannot be sent.
        """
        at = self.server
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(at.host, at.tcp_port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # UnicodeError: a part of the name is empty or too long
            raise Unreachable(at.host, NO_HOST) from None
        failure: Unreachable | None = None
        for family, _, _, _, address in found:
            try:
                await self._attempt(socket.AddressFamily(family), address)
                return
            except Unreachable as error:
                failure = failure or error
        raise failure or Unreachable(at.host, NO_HOST)

    async def _attempt(self, family: socket.AddressFamily, address: tuple[Any, ...]) -> None:
        """Try one of the server's addresses, as the system resolved it: an IPv6 one may have a scope."""
        loop = asyncio.get_running_loop()
        ip = _scoped_ip(address)
        where = _where(ip, self.server.tcp_port)
        engine, own = await self._begin(family, address)
        self._granted = loop.create_future()
        self._recorder.adopt(Machine.HANDSHAKE)
        engine.start(self.now_us())
        self._rearm()
        try:
            async with asyncio.timeout(self._limits.handshake_timeout / 1_000_000):
                await loop.create_connection(lambda: _Stream(self), ip, self.server.tcp_port, local_addr=own)
                await self._granted
        except OSError as error:  # a TimeoutError too
            await self._give_up(engine)
            raise Unreachable(where, NO_ANSWER if isinstance(error, TimeoutError) else system_word(error)) from None
        except (Unreachable, RequestRefused, asyncio.CancelledError):
            await self._give_up(engine)
            raise

    async def _begin(
        self, family: socket.AddressFamily, address: tuple[Any, ...]
    ) -> tuple[ClientEngine, tuple[str, int]]:
        """The UDP socket and the engine, which is told of it. Returns the engine, and from where to connect."""
        own_ip, own_port = await self._open_udp(family, address)
        config = ClientConfig(
            self.codec,
            self.operation,
            self.room,
            self.name,
            password=self._password,
            resume_token=self._resume_token,
            ip=self._announced_ip or own_ip.partition("%")[0],  # a scope means something on its own machine only
            udp_port=self._announced_port or own_port,
            limits=self._limits,
            keeps_alive=self.keeps_alive,
            keep_alive_us=self._keep_alive_us,
            paces=self.keeps_alive,
        )
        detail = Detail.EVERYTHING if self._trace is not None else Detail.NOTHING
        self._engine = ClientEngine(config, detail=detail)
        # Where a server takes the port of the connection for that of the datagrams, they are one.
        is_same = learns_port(self.codec, LearnedFrom.CONNECTION)
        return self._engine, (own_ip, own_port if is_same else 0)

    async def break_off(self, *, says_part: bool) -> None:
        """Connect and break the connection off at once, or behind a part of the request: for scenarios of failure."""
        loop = asyncio.get_running_loop()
        engine, own = await self._begin(socket.AF_INET, (self.server.host, 0))
        transport, _ = await loop.create_connection(
            asyncio.Protocol, self.server.host, self.server.tcp_port, local_addr=own
        )
        outputs = engine.stream_opened("tcp", self.now_us()) if says_part else []
        outputs += engine.abandon(self.now_us())
        for output in outputs:
            if isinstance(output, SendFrame):
                transport.write(output.data[:-1])
            elif isinstance(output, OBSERVATIONS):
                self._recorder.observe(output)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
        await self.close()

    async def _open_udp(self, family: socket.AddressFamily, address: tuple[Any, ...]) -> Address:
        """A UDP socket that hears nobody but the server. Returns its own address."""
        loop = asyncio.get_running_loop()
        to = (address[0], self.server.udp_port, *address[2:])
        udp = self._connected_udp(family, to)
        for _ in range(PORT_TRIES):
            if self._suits(udp):
                break
            udp.close()
            udp = self._connected_udp(family, to)
        if self.codec.dialect.relay_from is RelayFrom.ANY_PORT:
            name = udp.getsockname()
            udp.close()  # it was connected to learn which own address leads to the server
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.bind(name)
            self._udp_to = to
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
        name = udp.getsockname()
        self.address = Address(_scoped_ip(name), int(name[1]))
        return self.address

    def _suits(self, udp: socket.socket) -> bool:
        """Whether its port cannot be mistaken for text, and is free for the connection where that is to have it too."""
        name = udp.getsockname()
        if learns_port(self.codec, LearnedFrom.CONNECTION):
            with socket.socket(udp.family, socket.SOCK_STREAM) as tcp:
                try:
                    tcp.bind(name)
                except OSError:
                    return False
        return port_is_clear(self.codec, name[1])

    def _connected_udp(self, family: socket.AddressFamily, to: tuple[Any, ...]) -> socket.socket:
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.setblocking(False)
        try:
            udp.bind((self._source, 0))  # an empty source is whichever leads to the server
            udp.connect(to)
        except OSError as error:
            udp.close()
            raise Unreachable(str(to[0]), system_word(error)) from None
        return udp

    async def _give_up(self, engine: ClientEngine) -> None:
        self._granted = None  # it is awaited no longer
        self._perform(engine.abandon(self.now_us()))
        await self.close()

    # --- its life --------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """Of the session, as this client knows it."""
        return self._engine.session if self._engine is not None else SessionState.ANONYMOUS

    @property
    def handshake(self) -> HandshakeState:
        """Of the connection, as this client knows it."""
        return self._engine.handshake if self._engine is not None else HandshakeState.IDLE

    @property
    def has_token(self) -> bool:
        """Whether it has been given a token, living or not."""
        return self._engine is not None and bool(self._engine.token)

    @property
    def has_heard(self) -> bool:
        """Whether anything has come from the server since it entered."""
        return self._engine is not None and self._engine.has_heard

    async def first_sign(self) -> None:
        """Wait until anything has come from the server since it entered, or the session is over."""
        await self._first_sign.wait()

    @property
    def unheard(self) -> tuple[str, ...]:
        """What was said since the server's last sign of life, and was perhaps heard by nobody."""
        return self._engine.unheard if self._engine is not None else ()

    @property
    def why(self) -> Notice | Loss | None:
        """Why the session is over; None while it is not, and after its own leaving."""
        if self.told is not None or self._has_left or not self._has_ended:
            return self.told
        if self.is_gone:
            return Loss.SERVER_GONE
        return Loss.SERVER_SILENT if self.is_unheard else Loss.OWN_SILENCE

    @property
    def engine(self) -> ClientEngine:
        """The engine that is driven."""
        assert self._engine is not None, "the client has been told to enter"
        return self._engine

    async def say(self, text: str) -> None:
        """Say `text`, and wait until it is sent: not sooner than the server's limit on texts wants.

        Raises `IllegalEvent` when not in a room, `ValueError` if the text is too long for one datagram.
        """
        self.say_now(text)
        while self.engine.queued and not self._has_ended:
            self._sent.clear()
            await self._sent.wait()

    def say_now(self, text: str) -> None:
        """Say `text`, or queue it; an empty one is a keep-alive. Raises as `say` does."""
        self._recorder.cause = Cause()
        self._perform(self.engine.say(text, self.now_us()))

    def leave(self) -> None:
        """Leave the room. Raises `IllegalEvent`."""
        self._recorder.cause = Cause()
        outputs = self.engine.leave(self.now_us())
        self._has_left = True
        self._perform(outputs)

    @property
    def is_living(self) -> bool:
        """Whether it holds a token that, as far as it knows, has not ended."""
        return self._engine is not None and self._engine.is_living

    @property
    def is_under_way(self) -> bool:
        """Whether its request may still be granted."""
        return self._engine is None or self._engine.is_under_way

    @property
    def is_over(self) -> bool:
        """Whether the session has ended, as far as this client knows."""
        return self._has_ended

    def send_raw(self, data: bytes) -> None:
        """Send a datagram that was made by hand."""
        if self._udp is not None:
            self._udp.sendto(data, self._udp_to)

    def seconds_left(self) -> float | None:
        """How much longer it may be silent before it is gone, or None when it is not in a room."""
        engine = self._engine
        if engine is None or not engine.is_living:
            return None
        return (engine.idles_us - self.now_us()) / 1_000_000

    async def settle(self) -> None:
        """Wait until all is sent that the engine still wants to send, such as a leaving that is said thrice."""
        while self._engine is not None and not self._engine.is_quiescent:
            self._settled.clear()
            await self._settled.wait()

    async def close(self) -> None:
        """Close both sockets at once. Nothing more is said."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._tcp is not None:
            self._tcp.abort()
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        await asyncio.sleep(0)  # the transports close their sockets in the loop's next turn

    # --- time ------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Microseconds since the client was made, by a clock that does not go back."""
        now_us = time.monotonic_ns() // 1000 - self._started_us
        if self._trace is not None:
            self._trace.now_us = now_us
        return now_us

    def _rearm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        next_us = self.engine.next_deadline_us()
        if next_us is not None:
            seconds = max(next_us - self.now_us(), 0) / 1_000_000
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._perform(self.engine.handle_timeout(self.now_us()))

    # --- what comes in ---------------------------------------------------------------------------

    def opened(self, transport: asyncio.Transport) -> None:
        """The TCP connection is there."""
        self._tcp = transport
        self._recorder.cause = Cause()
        self._perform(self.engine.stream_opened("tcp", self.now_us()))

    def received(self, data: bytes) -> None:
        """The server has sent bytes over TCP."""
        self._recorder.cause = Cause()
        self._perform(self.engine.receive_stream(data, self.now_us()))

    def lost(self) -> None:
        """The TCP connection has ended, or the server sends nothing more."""
        self._recorder.cause = Cause()
        self._perform(self.engine.stream_closed(self.now_us()))

    def receive_datagram(self, data: bytes, source: tuple[Any, ...]) -> None:
        """A datagram has come: the server's, unless the socket is not connected."""
        if self._udp_to is not None and _plain_ip(source) != _plain_ip(self._udp_to):
            return
        self._recorder.cause = Cause()
        self._perform(self.engine.receive_datagram(data, self.now_us()))

    def datagram_refused(self) -> None:
        """ICMP port unreachable: the server process has ended, and with it its state."""
        if self.engine.is_living and not self.is_gone:
            self.is_gone = True
            self._tell_ended()

    # --- what goes out ---------------------------------------------------------------------------

    def _perform(self, outputs: Outputs) -> None:
        engine = self.engine
        for output in outputs:
            match output:
                case TextReceived():
                    self._recorder.show(output)
                    self._hear(output)
                case WordsReceived():  # a trace has its drop
                    self._hear(output)
                case NoticeReceived():
                    self._recorder.show(output)
                    if output.notice not in ENDINGS:
                        self._hear(output)
                    elif not self._has_left:  # a leaver need not be told that the session is over
                        self.told = output.notice
                        self._learn_keep_alive(engine)
                        self._hear(output)
                case SendDatagram(data):
                    self.send_raw(data)
                case SendFrame(_, data):
                    assert self._tcp is not None, "frames are sent on an open connection"
                    self._tcp.write(data)
                case CloseStream():
                    if self._tcp is not None:
                        self._tcp.close()
                case ServerSilent():
                    self._recorder.show(output)
                    self.is_unheard = True
                    self._tell_ended()
                case _:
                    self._recorder.observe(output)
        self._look_at_handshake(engine)
        if engine.session is SessionState.EXPIRED:
            self._tell_ended()
        if engine.has_heard:
            self._first_sign.set()
        if engine.is_quiescent:
            self._settled.set()
        if not engine.queued:
            self._sent.set()
        if self._udp is not None:
            self._rearm()

    def _learn_keep_alive(self, engine: ClientEngine) -> None:
        """The server ended the session for a silence that the client thought it would tolerate."""
        if self.keeps_alive and self.told is Notice.IDLED:
            self.next_keep_alive_us = learned_keep_alive_us(engine.keep_alive_us, self.now_us() - engine.spoke_us)

    def _look_at_handshake(self, engine: ClientEngine) -> None:
        if self._granted is None or self._granted.done():
            return
        if engine.handshake is HandshakeState.COMPLETED:
            self._granted.set_result(None)
        elif engine.handshake is HandshakeState.REFUSED or engine.reason is not None:
            self._granted.set_exception(RequestRefused(engine.reason, engine.said))
        elif engine.handshake is HandshakeState.ABANDONED:
            where = _where(self.server.host, self.server.tcp_port)
            self._granted.set_exception(Unreachable(where, BROKEN_OFF, engine.said))

    def _tell_ended(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._sent.set()
            self._first_sign.set()
            self._ended()


def _scoped_ip(address: tuple[Any, ...]) -> str:
    """The IP of a socket's address; a link-local one with its interface, without which it means nothing."""
    ip = str(address[0])
    scope = address[3] if len(address) > 3 else 0
    return f"{ip}%{socket.if_indextoname(scope)}" if scope and "%" not in ip else ip


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain_ip(address: tuple[Any, ...]) -> str:
    return str(address[0]).partition("%")[0]


def system_word(error: OSError) -> str:
    """What the system calls an error; the event loop puts sentences of its own in its place."""
    return os.strerror(error.errno) if error.errno else str(error)


class _Stream(asyncio.Protocol):
    """The TCP connection."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: before 3.12 the selector transport is no asyncio.Transport for every loop.
        self._client.opened(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self._client.received(data)

    def eof_received(self) -> bool:
        self._client.lost()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.lost()


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP socket."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self._client.receive_datagram(data, addr)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, ConnectionRefusedError):
            self._client.datagram_refused()
