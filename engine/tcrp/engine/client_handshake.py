"""A client's handshake: its request, the server's replies, and how it ends. The session begins where it completes.

Runs the handshake machine from the client's own point of view. A server's bytes never raise.
"""

from __future__ import annotations

from typing import Final

from tcrp.engine.client_state import ClientConfig
from tcrp.engine.codec import PORT_BYTES
from tcrp.engine.meanings import Accepted, Completed, Denied, Reply, Unread
from tcrp.engine.outbox import Outbox
from tcrp.engine.outputs import ClientOutput, CloseStream, SendFrame, StreamId, Subject, TimerFired
from tcrp.engine.templates import Partial
from tcrp.engine.text import words_of
from tcrp.engine.timers import Timers
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, QUIET_US
from tcrp.spec.names import Deadline, HandshakeEvent, HandshakeState, Machine, PacketKind, Reason, SessionState

_REPLY_BUFFER_BYTES_MAX: Final = 256 * 1024


class ClientMachine:
    """One of the client's machines: where it stands, and how it is called."""

    __slots__ = ("id", "state", "subject")

    listener = None

    def __init__(self, subject: Machine, id: str, state: HandshakeState | SessionState) -> None:
        self.subject: Subject = subject
        self.id = id
        self.state = state


class ClientHandshake:
    """One attempt to be granted a token. Outputs go to `outbox`; what completes it is returned."""

    def __init__(self, config: ClientConfig, outbox: Outbox[ClientOutput], timers: Timers) -> None:
        self.machine = ClientMachine(Machine.HANDSHAKE, config.name, HandshakeState.IDLE)
        self.reason: Reason | None = None  # why the request was refused, in our words
        self.said = ""  # and what the server said to it, where that is more (R-SHOW-1)
        self.stream: StreamId | None = None
        self.buffer = bytearray()
        self.timers = timers
        self._config = config
        self._codec = config.codec
        self._outbox = outbox
        self._table = config.tables.handshake
        self._room_bytes = config.room.encode()

    @property
    def state(self) -> HandshakeState:
        """Of its machine."""
        return self.machine.state  # type: ignore[return-value]

    @property
    def is_under_way(self) -> bool:
        """Whether it may still end in a token."""
        return self._table.takes(self.state, HandshakeEvent.ABANDONED)

    def start(self, now_us: int) -> None:
        """A connection is being opened. It is given up after `handshake_timeout`."""
        self.timers.arm(Deadline.HANDSHAKE, Machine.HANDSHAKE, now_us + self._config.limits.handshake_timeout)

    def opened(self, stream: StreamId) -> None:
        """The connection is there: the request goes out."""
        self.stream = stream
        if not self._table.takes(self.state, HandshakeEvent.REQUESTED):
            return
        self._step(HandshakeEvent.REQUESTED)
        config = self._config
        data = self._codec.write_request(
            config.operation, self._room_bytes, config.name, config.password, config.ip, config.udp_port,
            asks_for_answers=config.keeps_alive, asks_for_timeout=config.keeps_alive,
            resume_token=config.resume_token,
        )  # fmt: skip
        self._outbox.pending.append(SendFrame(stream, data, PacketKind.REQUEST))

    def received(self, data: bytes, now_us: int) -> Completed | None:
        """Bytes of the server, cut anywhere."""
        if not self._awaits_reply():
            return None
        self.buffer += data
        return self._read_replies(now_us, is_over=False)

    def closed(self, now_us: int) -> Completed | None:
        """The connection has ended, by the server or by the network."""
        self.stream = None
        if self.buffer and self._greeted() == len(self.buffer):
            self.buffer.clear()  # a greeting is no reply
        completed = self._read_replies(now_us, is_over=True) if self.buffer else None
        if self.is_under_way and self._codec.refuses_silently and not self.buffer:
            self._denied(None, "")
        elif self.is_under_way:
            self.abandon()
        return completed

    def fell_silent(self, now_us: int) -> Completed | None:
        """A reply whose end nothing tells is as long as it is."""
        self._outbox.observe(TimerFired(Deadline.QUIET, Machine.HANDSHAKE))
        return self._read_replies(now_us, is_over=True)

    def give_up(self, _now_us: int) -> None:
        """It has taken too long."""
        self._outbox.observe(TimerFired(Deadline.HANDSHAKE, Machine.HANDSHAKE))
        self.abandon()

    def abandon(self) -> None:
        """It ends without a token."""
        said = self.buffer[:CLIENT_DATAGRAM_BYTES_MAX].decode(errors="replace")
        # No reply of the dialect, but perhaps a sentence. What holds zero bytes is a part of some frame.
        self.said = words_of(said) if "\0" not in said else ""
        self._step(HandshakeEvent.ABANDONED)
        self._end()

    # --- replies -----------------------------------------------------------------------------------

    def _awaits_reply(self) -> bool:
        takes, state = self._table.takes, self.state
        return takes(state, HandshakeEvent.ACCEPTED) or takes(state, HandshakeEvent.COMPLETED)

    def _read_replies(self, now_us: int, *, is_over: bool) -> Completed | None:
        """All replies that the buffer holds, until one completes it. `is_over`: nothing comes behind them."""
        while self._awaits_reply():
            data = bytes(self.buffer)
            reply = self._first_reply(data, is_over=is_over)
            if isinstance(reply, Partial):
                if len(data) > _REPLY_BUFFER_BYTES_MAX:
                    self.abandon()
                elif reply.is_open:
                    self.timers.arm(Deadline.QUIET, Machine.HANDSHAKE, now_us + QUIET_US)
                return None
            if isinstance(reply, Unread):
                self.abandon()
                return None
            del self.buffer[: reply.size]
            match reply.says:
                case Accepted():
                    if self._table.takes(self.state, HandshakeEvent.ACCEPTED):
                        self._step(HandshakeEvent.ACCEPTED)
                    else:
                        self.abandon()
                case Completed():
                    self._complete()
                    return reply.says
                case Denied(reason, said):
                    self._denied(reason, said)
        return None

    def _first_reply(self, data: bytes, *, is_over: bool) -> Reply | Partial | Unread:
        """The first reply in `data`; a greeting before it counts as part of it."""
        greeted = self._greeted()
        if not isinstance(greeted, int):
            return greeted
        is_accepted = self.state is HandshakeState.ACCEPTED
        operation = self._config.operation
        reply = self._codec.read_reply(data[greeted:], operation, is_over=is_over, is_accepted=is_accepted)
        return reply._replace(size=greeted + reply.size) if isinstance(reply, Reply) else reply

    def _greeted(self) -> int | Partial | Unread:
        """How long the greeting is that the buffer begins with."""
        is_first = self.state is HandshakeState.REQUESTED
        return self._codec.read_greeting(bytes(self.buffer)) if is_first else 0

    def _complete(self) -> None:
        if self._table.takes(self.state, HandshakeEvent.ACCEPTED):
            self._step(HandshakeEvent.ACCEPTED)
        self._step(HandshakeEvent.COMPLETED)
        if self._codec.dialect.learned_from is LearnedFrom.TRAILER and self.stream is not None:
            trailer = self._config.udp_port.to_bytes(PORT_BYTES, "big")
            self._outbox.pending.append(SendFrame(self.stream, trailer, PacketKind.TRAILER))
        self._end()

    def _denied(self, reason: Reason | None, said: str) -> None:
        self.reason = reason
        self.said = "" if reason is not None and said == self._usual_words(reason) else words_of(said)
        takes_it = self._table.takes(self.state, HandshakeEvent.REFUSED)
        event = HandshakeEvent.REFUSED if takes_it else HandshakeEvent.ABANDONED
        self._step(event, why=str(reason) if reason else self.said)
        self._end()

    def _usual_words(self, reason: Reason) -> str:
        """What a server of the dialect says for `reason`: to its user it is no news."""
        operation = self._config.operation
        data = self._codec.write_refusal(self._codec.dialect.operations[operation], self._room_bytes, reason)[0]
        reply = self._codec.read_reply(data, operation, is_over=True)
        return reply.says.said if isinstance(reply, Reply) and isinstance(reply.says, Denied) else ""

    # --- small steps -------------------------------------------------------------------------------

    def _end(self) -> None:
        self.timers.cancel(Deadline.HANDSHAKE, Machine.HANDSHAKE)
        self.timers.cancel(Deadline.QUIET, Machine.HANDSHAKE)
        self.buffer.clear()
        if self.stream is not None:
            self._outbox.pending.append(CloseStream(self.stream))

    def _step(self, event: HandshakeEvent, *, why: str = "") -> None:
        self._outbox.step(self._table, (self.machine,), event, why=why)
