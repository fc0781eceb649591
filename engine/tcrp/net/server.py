"""The server's driver: carries the engine's effects out with real sockets, and time and bytes in.

Knows asyncio and sockets, not the protocol. One server is one engine in one loop, and for each of its listeners a TCP
and a UDP socket.
"""

from __future__ import annotations

import asyncio
import time
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Detail,
    Dropped,
    Elsewhere,
    FinishStream,
    Observation,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    StreamId,
    Subject,
    Withheld,
)
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.net.addresses import address_of
from tcrp.net.ports import CannotBind, Place, Ports
from tcrp.net.tokens import system_token
from tcrp.net.udp import BUFFER_BYTES, DRAIN_MAX, Batch
from tcrp.spec.limits import Limits
from tcrp.spec.names import Counter, PacketKind, RoomEvent, SessionEvent
from tcrp.trace.counters import Counters, summed
from tcrp.trace.recorder import Cause, Recorder
from tcrp.trace.trace import Trace

if typing.TYPE_CHECKING:
    from prometheus_client.core import Metric

# Of an enum's members those that every text looks up: before Python 3.12 each look-up is slow.
_RELAY = PacketKind.RELAY
_RELAYED = RoomEvent.RELAYED
_ENTERED = SessionEvent.ENTERED
_RELAYS, _NOTICES, _TEXTS = Counter.RELAYS, Counter.NOTICES, Counter.TEXTS
_WITH_LISTENER = (Stepped, SendDatagram, Dropped, Withheld)  # a union would be made anew for each output
UNREAD_SECONDS = 5
"""How long a closed connection may hold what its peer does not read."""
FROZEN_US = 100_000
"""An alarm that rings so late belongs to a process that was stopped, or whose machine was busy elsewhere."""
AGAIN_US = 1_000
"""So much later an alarm rings again for a deadline that was there when it last rang."""
TURNS_MAX = 2 * BUFFER_BYTES // 768 // DRAIN_MAX
"""For how many turns of the loop timeouts wait for a socket that is never empty.

As many as empty a full buffer: Linux doubles what it is asked for, and charges 768 bytes for a small datagram.
"""


class Observer(typing.Protocol):
    """Is told how long things took, in seconds."""

    def handshake_took(self, seconds: float) -> None:
        """From the opening of a connection to the token."""

    def relay_took(self, seconds: float) -> None:
        """From a datagram to the last of the relays that it became."""


class Server:
    """A chat server on real sockets. `trace` None: no trace is kept. `names` are those of its listeners, if any.

    `start()` raises `CannotBind` if a socket cannot be had. `await stop()` tells every room and
    takes as long as the protocol's shutdown, half a second. Without `records_chat` the trace holds only
    what begins and ends, and not each text.
    `entered` is told of each session that enters, and from where, `heard` of each datagram whose text is relayed, with
    the number of the first record that followed from it. `exhausted` is told when the system has
    no room for another connection. Listeners of the trace and `entered` must not block. If one raises, that
    is reported to the event loop as a defect, and every other effect is carried out all the same.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        listeners: Sequence[ListenerConfig] = (ListenerConfig(),),
        names: Sequence[str] = (),
        trace: Trace | None = None,
        records_chat: bool = True,
        observer: Observer | None = None,
        entered: Callable[[Stepped, Address | None], None] | None = None,
        exhausted: Callable[[OSError], None] = lambda _: None,
        heard: Callable[[int, bytes], None] | None = None,
    ) -> None:
        self._heard = heard
        self._entered = entered
        self._trace = trace
        self._exhausted = exhausted
        self._observer = observer
        self.names = tuple(names)
        self._recorder = Recorder(trace, "server", Cause(), remembers=records_chat, listeners=self.names)
        self._records_chat = records_chat
        self.counters_by_listener = [Counters() for _ in listeners]
        detail = Detail.EVERYTHING if records_chat else Detail.CHANGES
        self.engine = self._make_engine(ServerConfig(limits, tuple(listeners)), detail)
        self._started_us = time.monotonic_ns() // 1000
        self._connections: dict[StreamId, Connection] = {}
        self._streams = 0
        self._relaying_since_us: list[int] = []  # when the texts arrived whose relays wait for `_flush`
        self._ports: list[Ports] = []  # by listener; none while it is not started
        self._alarm: asyncio.Handle | None = None
        self._alarm_us = 0
        self._woken_us = -1

    def _make_engine(self, config: ServerConfig, detail: Detail) -> ServerEngine:
        return ServerEngine(config, new_token=system_token, detail=detail)

    # --- beginning and end -----------------------------------------------------------------------

    def start(self, places: Sequence[Place]) -> None:
        """Open the sockets of every listener, each at its place; or none, if one cannot be had."""
        ports: list[Ports] = []
        for number, place in enumerate(places):
            try:
                ports.append(Ports(place))
            except CannotBind as error:
                error.listener = number
                for each in ports:
                    each.close()
                raise
        self._ports = ports
        for number, each in enumerate(ports):
            each.open(partial(Connection, self, number), partial(self._receive_batch, number), self._exhausted)

    @property
    def addresses(self) -> list[tuple[Address, Address]]:
        """Where each listener takes requests, and where it receives chat traffic."""
        return [(each.tcp_address, each.udp_address) for each in self._ports]

    @property
    def counters(self) -> Counters:
        """What was counted, by all listeners together."""
        return summed(self.counters_by_listener)

    def further_metrics(self) -> Iterable[Metric]:
        """What a server of another kind has to show besides; called by the metrics' thread."""
        return ()

    @property
    def unsent(self) -> list[int]:
        """Datagrams that the system did not take, by listener."""
        return [each.udp.unsent for each in self._ports] or [0] * len(self.counters_by_listener)

    @property
    def buffer_bytes(self) -> list[tuple[int, int]]:
        """What the system gave each listener's UDP socket for receiving and for sending."""
        return [each.udp.buffer_bytes for each in self._ports]

    async def stop(self) -> None:
        """Close every room, tell everybody, and then close the sockets."""
        if not self._ports:
            return
        self.perform(self.engine.shutdown(self.now_us()))
        while self.engine.has_rooms:
            deadline_us = self.engine.next_deadline_us()
            assert deadline_us is not None, "a room that closes has a linger"
            await asyncio.sleep(max(deadline_us - self.now_us(), 0) / 1_000_000)
            self._wake()
        for each in self._ports:
            each.stop_accepting()
        if self._alarm is not None:
            self._alarm.cancel()
        for connection in list(self._connections.values()):
            connection.abort()
        for each in self._ports:
            each.close()
        self._ports = []

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on."""
        self.engine.set_limits(limits)
        self._rearm()

    def elsewhere(self) -> Mapping[str, str]:
        """The rooms of a cluster that are at other servers, and these servers' names, if any has them."""
        return {}

    def where(self) -> dict[str, str]:
        """What an operator is told of a room that is here, besides."""
        return {}

    def came_by(self, listener: int) -> dict[str, str]:
        """What an operator is told of the way of a session's datagrams."""
        return {"listener": self.names[listener]} if self.names else {}

    def remove(self, user: str, room: str) -> bool:
        """End a member's session. False: there is no such member."""
        return self._command(self.engine.remove(user, room, self.now_us()))

    def close_room(self, room: str) -> bool:
        """End a room. False: there is no such open room."""
        return self._command(self.engine.close_room(room, self.now_us()))

    def _command(self, outputs: list[ServerOutput] | None) -> bool:
        if outputs is None:
            return False
        self._begin_cause()
        self.perform(outputs)
        return True

    # --- time ------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """Microseconds since the server was made, by a clock that does not go back."""
        now_us = time.monotonic_ns() // 1000 - self._started_us
        if self._trace is not None:
            self._trace.now_us = now_us
        return now_us

    def _rearm(self) -> None:
        """See to it that the engine is woken at its next deadline."""
        deadline_us = self.engine.next_deadline_us()
        if deadline_us is None or (self._alarm is not None and self._alarm_us <= deadline_us):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm_us = deadline_us
        # A process of a cluster has a past deadline for as long as an answer of the bucket is overdue.
        least_us = AGAIN_US if deadline_us <= self._woken_us else 0
        self._alarm = loop.call_later(max(deadline_us - self.now_us(), least_us) / 1_000_000, self._ring)

    def _ring(self, turn: int = 0) -> None:
        """The alarm. What was sent before it is heard before it: nobody is silent whose datagram waits.

        One turn of the loop takes some datagrams, so that TCP has its turns too.
        """
        assert self._ports, "closing the sockets cancels the alarm"
        is_drained = False not in [each.udp.drain() for each in self._ports]  # every one is
        # A loop that was frozen runs its timers at once. Two turns later it has looked at its other sockets.
        was_frozen = turn < 2 and self.now_us() - self._alarm_us >= FROZEN_US
        if (is_drained and not was_frozen) or turn >= TURNS_MAX:
            self._wake()
        else:
            self._alarm = asyncio.get_running_loop().call_soon(self._ring, turn + 1)

    def _wake(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._woken_us = self.now_us()
        self.perform(self.engine.handle_timeout(self._woken_us))

    # --- what comes in ---------------------------------------------------------------------------

    def _begin_cause(self) -> None:
        """What comes next is a chain of its own, if the recorder follows chains."""
        if self._records_chat:
            self._recorder.cause = Cause()

    def _receive_batch(self, listener: int, batch: Batch) -> None:
        """Datagrams have arrived. Each is dealt with before the next; their relays may leave together."""
        self.counters_by_listener[listener].datagrams(len(batch))
        receive, carry_out, now_us, records_chat = (
            self.engine.receive_datagram, self._carry_out, self.now_us, self._records_chat,
        )  # fmt: skip
        follows = self._observer is not None or self._heard is not None
        for data, source in batch:
            try:
                if records_chat:
                    self._begin_cause()
                first = self._trace.n + 1 if follows and self._trace is not None else 0
                since_us = now_us()
                is_relayed = carry_out(receive(data, source, since_us, listener), listener)
                if follows and is_relayed:
                    self._follow(since_us, first, data)
            except Exception as error:  # a defect; the datagrams behind it are other peers'
                context = {"message": "a datagram was not dealt with", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
        self._flush()
        self._rearm()

    def _follow(self, since_us: int, first: int, data: bytes) -> None:
        """A text was relayed, for those who want to know."""
        if self._observer is not None:
            self._relaying_since_us.append(since_us)
        if self._heard is not None:
            self._heard(first, data)

    def _flush(self) -> None:
        """Hand over to the system what the sockets keep."""
        for each in self._ports:
            each.udp.flush()
        if self._observer is not None and self._relaying_since_us:
            now_us = self.now_us()
            for since_us in self._relaying_since_us:
                self._observer.relay_took((now_us - since_us) / 1_000_000)
            self._relaying_since_us.clear()

    def opened(self, connection: Connection, peer: Address) -> StreamId:
        """A peer has connected. Returns the name of its stream."""
        self._streams += 1
        stream = self._streams
        self._connections[stream] = connection
        self._begin_cause()
        self._recorder.adopt(stream)
        self.counters_by_listener[connection.listener].stream_opened()
        name, listener = f"{peer.ip}:{peer.port}", connection.listener
        self.perform(self.engine.stream_opened(stream, peer, self.now_us(), listener, name=name))
        return stream

    def received(self, stream: StreamId, data: bytes) -> None:
        """A peer has sent bytes."""
        self._begin_cause()
        self.perform(self.engine.receive_stream(stream, data, self.now_us()))

    def ended(self, stream: StreamId) -> None:
        """A peer has half-closed."""
        self._begin_cause()
        self.perform(self.engine.stream_ended(stream, self.now_us()))

    def lost(self, stream: StreamId) -> None:
        """A connection is gone."""
        connection = self._connections.pop(stream, None)
        if connection is not None:
            self.counters_by_listener[connection.listener].stream_lost()
        if self._ports:
            self._begin_cause()
            self.perform(self.engine.stream_closed(stream, self.now_us()))

    # --- what goes out ---------------------------------------------------------------------------

    def perform(self, outputs: Sequence[ServerOutput], listener: int = 0) -> None:
        """Carry out the effects, count, and write down what was observed.

        For `listener`, by which the input came, counts what names none itself.
        """
        self._carry_out(outputs, listener)
        self._flush()
        self._rearm()

    def _carry_out(self, outputs: Sequence[ServerOutput], listener: int) -> bool:
        """The same, but datagrams may wait for `_flush`. Returns whether a text was relayed."""
        ports, counters, is_relayed = self._ports, self.counters_by_listener, False
        assert ports, "effects are carried out while the sockets are open"
        for output in outputs:
            if isinstance(output, Relay):  # the commonest first, and no match: a text and its relays
                data, targets, what, through = output
                ports[through].udp.send(data, targets)
                if what is _RELAY:
                    is_relayed = True
                    counters[through].counts[_RELAYS] += len(targets)
                else:
                    counters[through].counts[_NOTICES] += len(targets)
            elif isinstance(output, Stepped) and output.event is _RELAYED and not self._records_chat:
                counters[listener].counts[_TEXTS] += 1
            else:
                counters[self._listener_of(output, listener)].add(output)
                self._perform_rarer(output)
        return is_relayed

    def _listener_of(self, output: ServerOutput, listener: int) -> int:
        """For which listener an output counts."""
        if isinstance(output, CloseStream):
            return self._connections[output.stream].listener
        if isinstance(output, _WITH_LISTENER) and output.listener is not None:
            return output.listener
        return listener

    def _perform_rarer(self, output: ServerOutput) -> None:
        if isinstance(output, Stepped):  # the commonest of them
            self._observe(output)
            return
        match output:
            case SendDatagram(data, address, _, listener):
                assert address is not None, "a server's datagram has an address"
                self._ports[listener].udp.send(data, (address,))
            case SendFrame(stream, data, what):
                self._connections[stream].write(data)
                if self._observer is not None and what is PacketKind.COMPLETION:
                    self._observer.handshake_took((self.now_us() - self._connections[stream].opened_us) / 1_000_000)
            case FinishStream(stream):
                self._connections[stream].finish()
            case CloseStream(stream):
                self._connections.pop(stream).close()
            case Relay() | Elsewhere():
                raise AssertionError("relays are sent above, and all rooms are here")
            case _:
                self._observe(output)

    def _observe(self, observation: Observation) -> None:
        """Write down what was observed; without the chat, only machines that change their state."""
        try:
            if isinstance(observation, Stepped) and observation.event is _ENTERED and self._entered is not None:
                self._entered(observation, self._address_of(observation.subject))
            if self._trace is None:
                return
            if self._records_chat or not isinstance(observation, Stepped) or observation.from_ is not observation.to:
                self._recorder.observe(observation)
        except Exception as error:  # a listener has a defect; peers wait for the other effects all the same
            context = {"message": "a listener of the trace failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _address_of(self, token: Subject) -> Address | None:
        """Where a session's relays go, or went if it has ended in the same call."""
        assert isinstance(token, bytes), "sessions are named by their tokens"
        registry = self.engine.registry
        found = registry.sessions.get(token) or registry.ended.get(token)
        return found.address if found is not None else None


class Connection(asyncio.Protocol):
    """One TCP connection. Its peer's slowness is its own: nothing waits for it."""

    def __init__(self, server: Server, listener: int = 0) -> None:
        self.listener = listener
        self.opened_us = server.now_us()
        self._server = server
        self._stream: StreamId | None = None
        self._transport: asyncio.Transport | None = None

    # --- from the loop ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: before 3.12 the selector transport is no asyncio.Transport for every loop.
        self._transport = transport  # type: ignore[assignment]
        name = transport.get_extra_info("peername")
        if name is None:  # it is gone already
            transport.close()
            return
        self._stream = self._server.opened(self, address_of(name))

    def data_received(self, data: bytes) -> None:
        if self._stream is not None:
            self._server.received(self._stream, data)

    def eof_received(self) -> bool:
        if self._stream is not None:
            self._server.ended(self._stream)
        return True  # the engine says when it is closed

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stream is not None:
            self._server.lost(self._stream)

    # --- from the server -------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """One frame, in one write."""
        if self._transport is not None:
            self._transport.write(data)

    def finish(self) -> None:
        """Half-close, behind what is still to be written."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Close, behind what is still to be written; a peer that does not read it has a while."""
        if self._transport is None:
            return
        unread = self._transport.get_write_buffer_size()
        self._transport.close()
        if unread:
            asyncio.get_running_loop().call_later(UNREAD_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
