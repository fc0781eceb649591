"""A client's engine: one attempt to be in one room, from its request to the end of its session.

Runs the handshake and session machines from the client's own point of view. Touches no socket, no
clock and no screen: bytes, commands and time go in, effects come out. A server's bytes never raise.
"""

from __future__ import annotations

from tcrp.engine.codec import Accepted, Codec, Completed, Denied, Told, Unread
from tcrp.engine.notices import ENDINGS
from tcrp.engine.outputs import (
    ClientEffect,
    CloseStream,
    NoticeReceived,
    SendDatagram,
    SendFrame,
    StreamId,
    TextReceived,
)
from tcrp.engine.reading import hear
from tcrp.engine.text import shown
from tcrp.engine.timers import Timer, Timers
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import (
    CLIENT_DATAGRAM_BYTES_MAX,
    EARLY_DATAGRAMS_MAX,
    ENTER_AGAIN_AFTER_US,
    ENTER_EVERY_US,
    ENTER_UNTIL_US,
    LEAVE_AGAIN_AFTER_US,
    NAME_BYTES_MAX,
    Limits,
)
from tcrp.spec.names import (
    Deadline,
    HandshakeEvent,
    HandshakeState,
    Machine,
    Notice,
    Operation,
    PacketKind,
    Reason,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import TABLES, Tables
from tcrp.trace.records import Cause, Recorder

Effects = list[ClientEffect]

_REPLY_BUFFER_BYTES_MAX = 256 * 1024
# Of an enum's members those that every relay looks up: before Python 3.12 each look-up is slow.
_SESSION = Machine.SESSION
_IN_ROOM = SessionState.IN_ROOM
_RELAYED = SessionEvent.RELAYED
_SPOKE = SessionEvent.SPOKE


def enter_moments_us() -> tuple[int, ...]:
    """When, after the completion, a client says that it is there (R-UDP-4)."""
    moments = list(ENTER_AGAIN_AFTER_US)
    while moments[-1] + ENTER_EVERY_US <= ENTER_UNTIL_US:
        moments.append(moments[-1] + ENTER_EVERY_US)
    return tuple(moments)


_ENTER_MOMENTS_US = enter_moments_us()


class NotNow(Exception):
    """A command that the session's state does not take. Carries the event that was refused."""

    def __init__(self, event: SessionEvent, state: SessionState) -> None:
        super().__init__(f"{event} is not possible while the session is {state}")
        self.event = event
        self.state = state


class ClientEngine:
    """One user's one attempt. Moments are microseconds of one clock that does not go backwards.

    `ip` and `udp_port` are where the client receives, for dialects whose request says so. Raises
    `ValueError` for a room name of more bytes than a header can tell.
    """

    def __init__(
        self,
        codec: Codec,
        operation: Operation,
        room: str,
        name: str,
        *,
        password: str = "",
        ip: str = "127.0.0.1",
        udp_port: int = 0,
        limits: Limits | None = None,
        recorder: Recorder | None = None,
        tables: Tables = TABLES,
    ) -> None:
        self.codec = codec
        self.operation = operation
        self.room = room
        self.name = name
        self.handshake = HandshakeState.IDLE
        self.session = SessionState.ANONYMOUS
        self.token = b""
        self.reason: Reason | None = None  # why the request was refused, in our words
        self.cause = Cause()
        self._limits = limits or Limits()
        self._recorder = recorder
        self._tables = tables
        self._password = password
        self._ip = ip
        self._udp_port = udp_port
        self._room_bytes = room.encode()
        if len(self._room_bytes) > NAME_BYTES_MAX:
            raise ValueError(f"room name is {len(self._room_bytes)} bytes, at most {NAME_BYTES_MAX} fit")
        self._timers = Timers()
        self._handshake_timer: Timer | None = None
        self._enter_timer: Timer | None = None
        self._idle_timer: Timer | None = None
        self._stream: StreamId | None = None
        self._buffer = bytearray()
        self._early: list[bytes] = []
        self._prefix = b""  # of every datagram: room_len token_len room token
        self._enters_done = 0
        self._granted_us = 0
        self._spoke_us = 0
        self._has_heard = False
        self._has_been_told = False
        self._ended_us = 0
        self._out: Effects = []

    @property
    def id(self) -> str:
        """How traces call the session."""
        return f"{self.name}@{self.room}"

    # --- TCP -------------------------------------------------------------------------------------

    def start(self, now_us: int) -> None:
        """The attempt begins: a connection is being opened. It is given up after `handshake_timeout`."""
        self._handshake_timer = self._timers.arm(
            now_us + self._limits.handshake_timeout, Deadline.HANDSHAKE, self._give_up, None, self.cause
        )

    def stream_opened(self, stream: StreamId, now_us: int) -> Effects:
        """The connection is there: the request goes out."""
        self._stream = stream
        if self.handshake is HandshakeState.IDLE:
            self._step_handshake(HandshakeEvent.REQUESTED)
            data = self.codec.write_request(
                self.operation, self._room_bytes, self.name, self._password, self._ip, self._udp_port
            )
            self._out.append(SendFrame(stream, data, PacketKind.REQUEST, self.cause))
        return self._effects()

    def receive_stream(self, data: bytes, now_us: int) -> Effects:
        """Bytes of the server, cut anywhere."""
        if self.handshake not in (HandshakeState.REQUESTED, HandshakeState.ACCEPTED):
            return self._effects()
        self._buffer += data
        while self.handshake in (HandshakeState.REQUESTED, HandshakeState.ACCEPTED):
            frame = self.codec.read_frame(self._buffer)
            if frame is None:
                if len(self._buffer) > _REPLY_BUFFER_BYTES_MAX:
                    self._abandon()
                break
            if isinstance(frame, Unread):
                self._abandon()
                break
            del self._buffer[: frame.size]
            match self.codec.read_reply(frame):
                case Accepted():
                    if self.handshake is HandshakeState.ACCEPTED:
                        self._abandon()
                    else:
                        self._step_handshake(HandshakeEvent.ACCEPTED)
                case Completed(token):
                    self._complete(token, now_us)
                case Denied(reason, said):
                    self._denied(reason, said)
        return self._effects()

    def stream_closed(self, now_us: int) -> Effects:
        """The connection has ended, by the server or by the network."""
        self._stream = None
        if self.handshake in (HandshakeState.IDLE, HandshakeState.REQUESTED, HandshakeState.ACCEPTED):
            self._abandon()
        return self._effects()

    # --- UDP -------------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, now_us: int) -> Effects:
        """A datagram of the server."""
        if self.session is _IN_ROOM:
            if not self._has_heard:
                self._has_heard = True
                self._timers.cancel(self._enter_timer)
            self._read(data, now_us)
        elif self.session is SessionState.EXPIRED:
            self._read_after_the_end(data)
        elif len(self._early) < EARLY_DATAGRAMS_MAX:  # it has overtaken the completion
            self._early.append(data)
        elif self._recorder is not None:
            self._recorder.drop(
                PacketKind.DATAGRAM, len(data), "too many before the completion", Rule.LIM_1, self.cause
            )
        effects, self._out = self._out, []
        return effects

    # --- commands --------------------------------------------------------------------------------

    def takes(self, event: SessionEvent) -> bool:
        """Whether the session would take `event` now."""
        return (self.session, event) in self._tables.session.rows

    def say(self, text: str, now_us: int) -> Effects:
        """Say `text` to the room; an empty one is a keep-alive.

        Raises `NotNow` when not in the room, `ValueError` if the datagram would be too long (R-UDP-1).
        """
        if not self.takes(_SPOKE):
            raise NotNow(_SPOKE, self.session)
        data = self._prefix + self.codec.write_text(self.name, text)
        if len(data) > CLIENT_DATAGRAM_BYTES_MAX:
            raise ValueError(f"the datagram is {len(data)} bytes, at most {CLIENT_DATAGRAM_BYTES_MAX} may be sent")
        self._step(_SPOKE)
        self._send(data, PacketKind.SAY if text else PacketKind.KEEP_ALIVE, now_us)
        return self._effects()

    def leave(self, now_us: int) -> Effects:
        """Leave the room, with the dialect's word if it has one (R-EXIT-1). Raises `NotNow`."""
        if not self.takes(SessionEvent.LEFT):
            raise NotNow(SessionEvent.LEFT, self.session)
        self._end(SessionEvent.LEFT, now_us)
        if self.codec.leave_words:
            self._say_leave(0, now_us)
        return self._effects()

    def abandon(self, now_us: int) -> Effects:
        """Give up a handshake that is under way."""
        if self.handshake in (HandshakeState.IDLE, HandshakeState.REQUESTED, HandshakeState.ACCEPTED):
            self._abandon()
        return self._effects()

    # --- time ------------------------------------------------------------------------------------

    def handle_timeout(self, now_us: int) -> Effects:
        """Do all that is due. To be called at `next_deadline_us()` or later; earlier does no harm."""
        while (timer := self._timers.pop_due(now_us)) is not None:
            self.cause = timer.cause
            timer.action(timer.subject, now_us)
        return self._effects()

    def next_deadline_us(self) -> int | None:
        """When `handle_timeout` is to be called next, or None."""
        return self._timers.next_us()

    @property
    def spoke_us(self) -> int:
        """When it last sent a datagram: its silence ends the session `idle_timeout` later (R-IDLE-1)."""
        return self._spoke_us

    @property
    def idle_timeout_us(self) -> int:
        """How long it may be silent, as far as this client knows."""
        return self._limits.idle_timeout

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but its own silence is waited for."""
        silence = self._idle_timer is not None and self._idle_timer.live
        return len(self._timers) == (1 if silence else 0)

    # --- the handshake ---------------------------------------------------------------------------

    def _complete(self, token: bytes, now_us: int) -> None:
        if self.handshake is HandshakeState.REQUESTED:
            self._step_handshake(HandshakeEvent.ACCEPTED)
        self._step_handshake(HandshakeEvent.COMPLETED)
        self._end_handshake()
        self.token = token
        self._prefix = bytes((len(self._room_bytes), len(token))) + self._room_bytes + token
        self._granted_us = self._spoke_us = now_us
        self._step(SessionEvent.GRANTED)
        self._idle_timer = self._timers.arm(
            now_us + self._limits.idle_timeout, Deadline.IDLE, self._look_at_silence, None, self.cause
        )
        if self.codec.dialect.learned_from is LearnedFrom.REQUEST:
            self._step(SessionEvent.ENTERED)
        else:
            self._say_enter(None, now_us)
        early, self._early = self._early, []
        for data in early:
            self._has_heard = True
            if self.session is _IN_ROOM:
                self._read(data, now_us)
            else:
                self._read_after_the_end(data)
        if early:
            self._timers.cancel(self._enter_timer)

    def _denied(self, reason: Reason | None, said: str) -> None:
        self.reason = reason
        if self.handshake is HandshakeState.REQUESTED:
            self._step_handshake(HandshakeEvent.REFUSED, why=str(reason) if reason else shown(said)[:200])
        else:
            self._step_handshake(HandshakeEvent.ABANDONED, why=str(reason) if reason else shown(said)[:200])
        self._end_handshake()

    def _abandon(self) -> None:
        self._step_handshake(HandshakeEvent.ABANDONED)
        self._end_handshake()

    def _give_up(self, _subject: object, _now_us: int) -> None:
        self._note_timer(Deadline.HANDSHAKE)
        self._abandon()

    def _end_handshake(self) -> None:
        self._timers.cancel(self._handshake_timer)
        self._buffer.clear()
        if self._stream is not None:
            self._out.append(CloseStream(self._stream, self.cause))

    # --- entering, speaking, leaving -------------------------------------------------------------

    def _say_enter(self, _subject: object, now_us: int) -> None:
        """Say that it is there, and say when again."""
        if self.session is SessionState.TOKENED:
            self._step(SessionEvent.ENTERED)
        else:
            self._note_timer(Deadline.ENTER)
            self._step(_SPOKE)
        word = self.codec.dialect.enter_word
        self._send(self._prefix + self.codec.write_text(self.name, word), PacketKind.ENTER, now_us)
        self._enters_done += 1
        if self._enters_done < len(_ENTER_MOMENTS_US):
            when_us = self._granted_us + _ENTER_MOMENTS_US[self._enters_done]
            self._enter_timer = self._timers.arm(when_us, Deadline.ENTER, self._say_enter, None, self.cause)

    def _say_leave(self, times_said: int, now_us: int) -> None:
        if times_said:
            self._note_timer(Deadline.LEAVE)
        word = self.codec.dialect.leave_words[0]
        self._send(self._prefix + self.codec.write_text(self.name, word), PacketKind.LEAVE, now_us)
        if self.codec.dialect.leave_repeats and times_said + 1 < len(LEAVE_AGAIN_AFTER_US):
            when_us = self._ended_us + LEAVE_AGAIN_AFTER_US[times_said + 1]
            self._timers.arm(when_us, Deadline.LEAVE, self._say_leave, times_said + 1, self.cause)

    def _send(self, data: bytes, what: PacketKind, now_us: int) -> None:
        self._spoke_us = now_us
        self._out.append(SendDatagram(data, None, what, self.cause))

    # --- what the server says --------------------------------------------------------------------

    def _read(self, data: bytes, now_us: int) -> None:
        heard = hear(self.codec, self.room, data)
        if heard is None:
            if self._recorder is not None:
                self._recorder.drop(PacketKind.DATAGRAM, len(data), "not of this dialect", Rule.UDP_3, self.cause)
        elif isinstance(heard, Told):
            event = self._tell(heard)
            if event is not None:
                self._has_been_told = True
                self._end(event, now_us)
        else:
            self._step(_RELAYED)
            self._out.append(TextReceived(*heard, self.cause))

    def _read_after_the_end(self, data: bytes) -> None:
        """Only why it ended still matters, and only once."""
        heard = hear(self.codec, self.room, data)
        if isinstance(heard, Told) and self._meaning(heard.notice, heard.name) is not None:
            if not self._has_been_told:
                self._has_been_told = True
                self._tell(heard)
        elif self._recorder is not None:
            self._recorder.drop(PacketKind.DATAGRAM, len(data), "the session has ended", Rule.TOK_2, self.cause)

    def _tell(self, told: Told) -> SessionEvent | None:
        """Pass a notice on. Returns what it means for this session."""
        event = self._meaning(told.notice, told.name)
        notice = Notice.IDLED if event is SessionEvent.IDLED else told.notice
        self._out.append(NoticeReceived(notice, shown(told.name), self.cause))
        return event

    def _meaning(self, notice: Notice, name: str) -> SessionEvent | None:
        """What a notice means for this session; a leaving of one's own name is one's own end (idled)."""
        if notice is Notice.LEFT and name == self.name:
            return SessionEvent.IDLED
        return ENDINGS.get(notice)

    # --- its own end -----------------------------------------------------------------------------

    def _look_at_silence(self, _subject: object, now_us: int) -> None:
        """Speaking touches only `_spoke_us`; the timer learns of it here."""
        deadline_us = self._spoke_us + self._limits.idle_timeout
        if deadline_us > now_us:
            self._idle_timer = self._timers.arm(deadline_us, Deadline.IDLE, self._look_at_silence, None, self.cause)
            return
        self._note_timer(Deadline.IDLE)
        self._end(SessionEvent.IDLED, now_us)

    def _end(self, event: SessionEvent, now_us: int) -> None:
        self._step(event)
        self._ended_us = now_us
        self._timers.cancel(self._enter_timer)
        self._timers.cancel(self._idle_timer)

    # --- small steps -----------------------------------------------------------------------------

    def _note_timer(self, what: Deadline) -> None:
        if self._recorder is not None:
            self._recorder.timer(what, self.cause)

    def _step(self, event: SessionEvent) -> None:
        row = self._tables.session.rows[self.session, event]
        if self._recorder is not None:
            self._recorder.step(_SESSION, self.id, event, self.session, row.to, row.rule, self.cause)
        self.session = row.to

    def _step_handshake(self, event: HandshakeEvent, *, why: str = "") -> None:
        row = self._tables.handshake.rows[self.handshake, event]
        if self._recorder is not None:
            self._recorder.step(
                Machine.HANDSHAKE, self.name, event, self.handshake, row.to, row.rule, self.cause, why=why
            )
        self.handshake = row.to

    def _effects(self) -> Effects:
        effects, self._out = self._out, []
        return effects
