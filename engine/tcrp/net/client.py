"""The client's driver: one user's one attempt to be in one room, on real sockets.

Knows asyncio and sockets, not the protocol. A TCP connection fetches the token and is closed; a UDP
socket that is connected to the server carries the talk, so that nobody else can speak to it, and a
server that is not there any more is noticed.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from tcrp.engine.client import ClientEngine, Effects
from tcrp.engine.codec import Codec, port_is_clear
from tcrp.engine.notices import ENDINGS
from tcrp.engine.outputs import Address, CloseStream, NoticeReceived, SendDatagram, SendFrame, TextReceived
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Notice, Operation, Reason, Rule, SessionState
from tcrp.trace.records import Cause, Recorder

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
LIVING = (SessionState.TOKENED, SessionState.IN_ROOM)
KEEP_ALIVES_PER_IDLE_TIMEOUT = 5
"""How often a silent client says that it is there while the server would wait for it: four may be lost."""
QUIET_KEEP_ALIVES = 2
"""After so many keep-alives without a word from the server it is asked whether it still knows this client."""
PROBE_SECONDS = (0.0, 0.1, 0.2)
"""When it is told once more that the client is there, before it is asked: one datagram may be lost."""
PROBES_UNANSWERED_MAX = 2
OUR_TOKEN = re.compile(rb"[0-9a-f]{32}")  # R-TOK-1; other servers may mind being asked

PORT_TRIES = 64
"""How often another port is asked for, where a dialect needs one that cannot be mistaken for text."""
PACE_OF_THE_LIMIT = 0.75
"""The share of `texts_per_second_max` that is used, because a network may push texts together."""


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
    """There is no server, or none that answers. `why` is one of the sentences above, or the system's own."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"no chat server at {where}: {why}")
        self.where = where
        self.why = why


class RequestRefused(Exception):
    """The server said no. `reason` is None where it gave none that is known."""

    def __init__(self, reason: Reason | None) -> None:
        super().__init__(str(reason) if reason is not None else "refused without a known reason")
        self.reason = reason


class Client:
    """One attempt. `await enter()`, then `await say(...)` and `leave()`, and at last `await close()`.

    `hear` is called with each text and notice, `ended` once when the session is over: by its own
    leaving, by silence, by a notice, because the server is gone (`is_gone`), or because it was started
    anew and knows nobody (`is_forgotten`). `source` is the local
    IP address, or empty for whichever leads to the server. Without `keeps_alive` it speaks only when
    told to. Requests name the own address, unless `announced_ip` and `announced_port` say otherwise.
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
        limits: Limits | None = None,
        keeps_alive: bool = True,
        source: str = "",
        announced_ip: str = "",
        announced_port: int = 0,
        hear: Callable[[TextReceived | NoticeReceived], None] = lambda _: None,
        ended: Callable[[], None] = lambda: None,
        recorder: Recorder | None = None,
        started_us: int | None = None,
    ) -> None:
        self.server = server
        self.codec = codec
        self.operation = operation
        self.room = room
        self.name = name
        self.is_gone = False
        self.is_forgotten = False
        self.address: Address | None = None  # where it receives datagrams, once that is known
        self.told: Notice | None = None  # why the session ended, if the server said so
        self._password = password
        self._limits = limits or Limits()
        self._keep_alive_us = self._limits.idle_timeout // KEEP_ALIVES_PER_IDLE_TIMEOUT if keeps_alive else None
        self._source = source
        self._announced_ip = announced_ip
        self._announced_port = announced_port
        self._hear = hear
        self._ended = ended
        self._recorder = recorder
        self._started_us = time.monotonic_ns() // 1000 if started_us is None else started_us
        self._engine: ClientEngine | None = None
        self._tcp: asyncio.Transport | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._granted: asyncio.Future[None] | None = None
        self._settled = asyncio.Event()
        self._has_ended = False
        self._has_left = False
        self._next_text_us = 0
        self._heard_us = 0
        self._probing: asyncio.Task[None] | None = None
        self._unanswered = 0

    # --- beginning -------------------------------------------------------------------------------

    async def enter(self) -> None:
        """Ask for the token and enter. Raises `Unreachable`, `RequestRefused`, or `ValueError` for a name too long."""
        at = self.server
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(at.host, at.tcp_port, type=socket.SOCK_STREAM)
        except OSError:
            raise Unreachable(at.host, NO_HOST) from None
        failure: Unreachable | None = None
        for family, _, _, _, address in found:
            try:
                await self._attempt(socket.AddressFamily(family), str(address[0]))
                return
            except Unreachable as error:
                failure = failure or error
        raise failure or Unreachable(at.host, NO_HOST)

    async def _attempt(self, family: socket.AddressFamily, ip: str) -> None:
        loop = asyncio.get_running_loop()
        where = f"[{ip}]:{self.server.tcp_port}" if ":" in ip else f"{ip}:{self.server.tcp_port}"
        engine, own_ip = await self._begin(family, ip)
        self._granted = loop.create_future()
        engine.start(self.now_us())
        self._rearm()
        try:
            async with asyncio.timeout(self._limits.handshake_timeout / 1_000_000):
                await loop.create_connection(lambda: _Stream(self), ip, self.server.tcp_port, local_addr=(own_ip, 0))
                await self._granted
        except OSError as error:  # a TimeoutError too
            await self._give_up(engine)
            raise Unreachable(where, NO_ANSWER if isinstance(error, TimeoutError) else system_word(error)) from None
        except (Unreachable, RequestRefused, asyncio.CancelledError):
            await self._give_up(engine)
            raise

    async def _begin(self, family: socket.AddressFamily, ip: str) -> tuple[ClientEngine, str]:
        """The UDP socket and the engine, which is told of it. Returns the engine and the own IP address."""
        own_ip, own_port = await self._open_udp(family, ip)
        self._engine = ClientEngine(
            self.codec,
            self.operation,
            self.room,
            self.name,
            password=self._password,
            ip=self._announced_ip or own_ip,
            udp_port=self._announced_port or own_port,
            limits=self._limits,
            recorder=self._recorder,
        )
        return self._engine, own_ip

    async def break_off(self, *, says_part: bool) -> None:
        """Connect and break the connection off at once, or behind a part of the request: for stories of failure."""
        loop = asyncio.get_running_loop()
        engine, own_ip = await self._begin(socket.AF_INET, self.server.host)
        transport, _ = await loop.create_connection(
            asyncio.Protocol, self.server.host, self.server.tcp_port, local_addr=(own_ip, 0)
        )
        effects = engine.stream_opened("tcp", self.now_us()) if says_part else []
        effects += engine.abandon(self.now_us())
        for effect in effects:
            if isinstance(effect, SendFrame):
                transport.write(effect.data[:-1])
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
        await self.close()

    async def _open_udp(self, family: socket.AddressFamily, ip: str) -> Address:
        """A UDP socket connected to the server. Returns its own address."""
        loop = asyncio.get_running_loop()
        udp = self._connected_udp(family, ip)
        for _ in range(PORT_TRIES):
            if port_is_clear(self.codec, udp.getsockname()[1]):
                break
            udp.close()
            udp = self._connected_udp(family, ip)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
        name = udp.getsockname()
        self.address = Address(str(name[0]), int(name[1]))
        return self.address

    def _connected_udp(self, family: socket.AddressFamily, ip: str) -> socket.socket:
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.setblocking(False)
        try:
            udp.bind((self._source, 0))  # an empty source is whichever leads to the server
            udp.connect((ip, self.server.udp_port))
        except OSError as error:
            udp.close()
            raise Unreachable(ip, system_word(error)) from None
        return udp

    async def _give_up(self, engine: ClientEngine) -> None:
        self._granted = None  # nobody waits for it any more
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
    def engine(self) -> ClientEngine:
        """The engine that is driven."""
        assert self._engine is not None, "the client has been told to enter"
        return self._engine

    async def say(self, text: str) -> None:
        """Say `text`, not sooner than the server's limit on texts wants.

        Raises `NotNow` when not in a room, `ValueError` if the text is too long for one datagram.
        """
        while (wait_us := self._next_text_us - self.now_us()) > 0:
            await asyncio.sleep(wait_us / 1_000_000)
        self.say_now(text)
        pace = self._limits.texts_per_second_max * PACE_OF_THE_LIMIT
        self._next_text_us = self.now_us() + round(1_000_000 / pace)

    def say_now(self, text: str) -> None:
        """Say `text` whatever the server's limit; an empty one is a keep-alive. Raises as `say` does."""
        self.engine.cause = Cause()
        self._perform(self.engine.say(text, self.now_us()))

    def leave(self) -> None:
        """Leave the room. Raises `NotNow`."""
        self.engine.cause = Cause()
        effects = self.engine.leave(self.now_us())
        self._has_left = True
        self._perform(effects)

    @property
    def is_over(self) -> bool:
        """Whether the session has ended, as far as this client knows."""
        return self._has_ended

    def send_raw(self, data: bytes) -> None:
        """Send a datagram that was made by hand."""
        if self._udp is not None:
            self._udp.sendto(data)

    def seconds_left(self) -> float | None:
        """How much longer it may be silent before it is gone, or None when it is not in a room."""
        engine = self._engine
        if engine is None or engine.session not in LIVING:
            return None
        return (engine.spoke_us + engine.idle_timeout_us - self.now_us()) / 1_000_000

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
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
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
        if self._recorder is not None:
            self._recorder.trace.now_us = now_us
        return now_us

    def _rearm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        engine = self.engine
        moments = [engine.next_deadline_us()]
        if self._keep_alive_us is not None and engine.session is SessionState.IN_ROOM:
            moments.append(engine.spoke_us + self._keep_alive_us)
        next_us = min((each for each in moments if each is not None), default=None)
        if next_us is not None:
            seconds = max(next_us - self.now_us(), 0) / 1_000_000
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        engine, now_us = self.engine, self.now_us()
        effects = engine.handle_timeout(now_us)
        if (
            self._keep_alive_us is not None
            and engine.session is SessionState.IN_ROOM
            and now_us >= engine.spoke_us + self._keep_alive_us
        ):
            engine.cause = Cause()
            effects += engine.say("", now_us)
            if now_us - self._heard_us >= QUIET_KEEP_ALIVES * self._keep_alive_us and OUR_TOKEN.fullmatch(engine.token):
                self._probe()
        self._perform(effects)

    # --- a server that is quiet ------------------------------------------------------------------

    def _probe(self) -> None:
        """Nothing was heard for long. Is the room quiet, or was the server started anew, and drops all we say?"""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._ask_whether_it_knows_us())

    async def _ask_whether_it_knows_us(self) -> None:
        """Ask to join as whom it should know: a server that does refuses, because the name is taken (R-TCP-2).

        No datagram tells: one with a token that nobody holds is answered with nothing (R-UDP-3).
        """
        for seconds in PROBE_SECONDS:
            await asyncio.sleep(seconds)
            if self.state is not SessionState.IN_ROOM:
                return
            self.say_now("")  # who has just spoken is not superseded (R-NAME-2)
        double = Client(
            self.server,
            self.codec,
            Operation.JOIN,
            self.room,
            self.name,
            password=self._password,
            limits=self._limits,
            keeps_alive=False,
            source=self._source,
        )
        try:
            await double.enter()
        except Unreachable:
            self._unanswered += 1
            if self._unanswered >= PROBES_UNANSWERED_MAX:
                self.datagram_refused()
        except RequestRefused as refused:
            self._unanswered = 0
            self._heard_us = self.now_us()
            if refused.reason is Reason.NO_SUCH_ROOM:
                self._forgotten()
        else:  # it has let a second one in, or somebody else has made the room anew
            double.leave()
            await double.settle()
            self._forgotten()
        finally:
            await double.close()

    def _forgotten(self) -> None:
        if self.state in LIVING:
            self.is_forgotten = True
            self._tell_ended()

    # --- what comes in ---------------------------------------------------------------------------

    def opened(self, transport: asyncio.Transport) -> None:
        """The TCP connection is there."""
        self._tcp = transport
        self.engine.cause = Cause()
        self._perform(self.engine.stream_opened("tcp", self.now_us()))

    def received(self, data: bytes) -> None:
        """The server has sent bytes over TCP."""
        self.engine.cause = Cause()
        self._perform(self.engine.receive_stream(data, self.now_us()))

    def lost(self) -> None:
        """The TCP connection has ended, or the server sends nothing more."""
        self.engine.cause = Cause()
        self._perform(self.engine.stream_closed(self.now_us()))

    def receive_datagram(self, data: bytes) -> None:
        """The server has sent a datagram."""
        self._heard_us = self.now_us()
        self.engine.cause = Cause()
        self._perform(self.engine.receive_datagram(data, self.now_us()))

    def datagram_refused(self) -> None:
        """The server's machine says that nobody listens there: the server has ended, and with it what it knew."""
        if self.engine.session in LIVING and not self.is_gone:
            self.is_gone = True
            self._tell_ended()

    # --- what goes out ---------------------------------------------------------------------------

    def _perform(self, effects: Effects) -> None:
        engine = self.engine
        for effect in effects:
            match effect:
                case TextReceived():
                    self._record_shown(effect, "relay", effect.name, effect.text)
                    self._hear(effect)
                case NoticeReceived():
                    self._record_shown(effect, effect.notice, effect.name, "")
                    if effect.notice not in ENDINGS:
                        self._hear(effect)
                    elif not self._has_left:  # a leaver need not be told that he is gone
                        self.told = effect.notice
                        self._hear(effect)
                case SendDatagram(data):
                    self.send_raw(data)
                case SendFrame(_, data):
                    assert self._tcp is not None, "frames are sent on an open connection"
                    self._tcp.write(data)
                case CloseStream():
                    if self._tcp is not None:
                        self._tcp.close()
                case _:
                    assert_never(effect)
        self._look_at_handshake(engine)
        if engine.session is SessionState.EXPIRED:
            self._tell_ended()
        if engine.is_quiescent:
            self._settled.set()
        if self._udp is not None:
            self._rearm()

    def _record_shown(self, effect: TextReceived | NoticeReceived, what: str, name: str, text: str) -> None:
        if self._recorder is not None:
            rule = Rule.SHOW_1 if isinstance(effect, TextReceived) and effect.changed else None
            self._recorder.shown(str(what), name, text, rule, effect.cause)

    def _look_at_handshake(self, engine: ClientEngine) -> None:
        if self._granted is None or self._granted.done():
            return
        if engine.handshake is HandshakeState.COMPLETED:
            self._heard_us = self.now_us()
            self._granted.set_result(None)
        elif engine.handshake is HandshakeState.REFUSED or engine.reason is not None:
            self._granted.set_exception(RequestRefused(engine.reason))
        elif engine.handshake is HandshakeState.ABANDONED:
            self._granted.set_exception(Unreachable(f"{self.server.host}:{self.server.tcp_port}", BROKEN_OFF))

    def _tell_ended(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._ended()


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
        self._client.receive_datagram(data)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, ConnectionRefusedError):
            self._client.datagram_refused()
