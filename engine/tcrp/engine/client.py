"""A client's engine: one attempt to be in one room, from its request to the end of its session.

Runs the handshake and session machines from the client's own point of view, and does all that a
client does by itself: it enters again, keeps itself alive, paces its texts, notices a silent server
(`liveness`), says that it leaves. Touches no socket, no clock and no screen: bytes, commands and time go in, outputs
come out. A server's bytes never raise.
"""

from __future__ import annotations

from typing import Final

from tcrp.engine.client_handshake import ClientHandshake, ClientMachine
from tcrp.engine.client_state import ClientConfig, ClientState
from tcrp.engine.liveness import Liveness
from tcrp.engine.meanings import Completed, Told
from tcrp.engine.notices import ENDINGS
from tcrp.engine.outbox import Outbox
from tcrp.engine.outputs import (
    ClientOutput,
    Detail,
    NoticeReceived,
    SendDatagram,
    ServerSilent,
    StreamId,
    TextReceived,
    TimerFired,
    WordsReceived,
    new_output,
)
from tcrp.engine.reading import Heard, hear
from tcrp.engine.text import shown, words_of
from tcrp.engine.timers import Timers
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import (
    CLIENT_DATAGRAM_BYTES_MAX,
    EARLY_DATAGRAMS_MAX,
    ENTER_AGAIN_AFTER_US,
    ENTER_EVERY_US,
    ENTER_UNTIL_US,
    LEAVE_AGAIN_AFTER_US,
)
from tcrp.spec.names import (
    Deadline,
    HandshakeState,
    Machine,
    Notice,
    PacketKind,
    Reason,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import IllegalEvent

__all__ = ["ClientConfig", "ClientEngine", "ClientState", "Outputs"]

Outputs = list[ClientOutput]

PACE_PER_CENT: Final = 75
"""The share of `texts_per_second_max` that a paced client uses, because a network may push texts together."""
QUEUED_TEXTS_MAX: Final = 64

# Of an enum's members those that every relay looks up: before Python 3.12 each look-up is slow.
_IN_ROOM = SessionState.IN_ROOM
_EXPIRED = SessionState.EXPIRED
_RELAYED = SessionEvent.RELAYED
_SPOKE = SessionEvent.SPOKE
_SECOND_US = 1_000_000


def enter_moments_us() -> tuple[int, ...]:
    """When, after the completion, a client says that it is there (R-UDP-4)."""
    moments = list(ENTER_AGAIN_AFTER_US)
    while moments[-1] + ENTER_EVERY_US <= ENTER_UNTIL_US:
        moments.append(moments[-1] + ENTER_EVERY_US)
    return tuple(moments)


_ENTER_MOMENTS_US = enter_moments_us()


class ClientEngine:
    """One user's one attempt. Moments are microseconds of one clock that does not go backwards.

    With `state`, which an engine of the same configuration has frozen, it goes on from there; `now_us`
    is the moment at which it does.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        state: ClientState | None = None,
        now_us: int = 0,
        detail: Detail = Detail.NOTHING,
    ) -> None:
        self.config = config
        self.codec = config.codec
        self.room = config.room
        self.name = config.name
        self.token = b""
        self._session = ClientMachine(Machine.SESSION, f"{config.name}@{config.room}", SessionState.ANONYMOUS)
        self._outbox: Outbox[ClientOutput] = Outbox(detail)
        self._limits = config.limits
        self._tables = config.tables
        self._session_table = config.tables.session
        self._session_alone = (self._session,)
        self._room_bytes = config.room.encode()
        self._timers = Timers()
        self._handshake = ClientHandshake(config, self._outbox, self._timers)
        self._early: list[bytes] = []
        self._queued: list[str] = []  # texts that are sent when it is their turn
        self._enters_done = 0
        self._leaves_done = 0
        self._granted_us = now_us
        self._sent_text_us: int | None = None
        self._ended_us = now_us
        self._liveness = Liveness(
            config.limits.idle_timeout,
            config.keep_alive_us,
            can_ask=config.keeps_alive and config.codec.asks_for_answers,
            now_us=now_us,
        )
        self._has_heard = False
        self._has_been_told = False
        self._now_us = now_us
        self._fire = {
            Deadline.HANDSHAKE: self._handshake.give_up,
            Deadline.QUIET: self._take_reply,
            Deadline.ENTER: self._enter_again,
            Deadline.LEAVE: self._leave_again,
            Deadline.IDLE: self._look_at_own_silence,
            Deadline.KEEP_ALIVE: self._keep_alive,
            Deadline.PACE: self._send_queued,
        }
        if state is not None:
            self._thaw(state, now_us)

    # --- what it knows ---------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """How people call the session."""
        return self._session.id

    @property
    def session(self) -> SessionState:
        """Of the session machine."""
        return self._session.state  # type: ignore[return-value]

    @property
    def handshake(self) -> HandshakeState:
        """Of the handshake machine."""
        return self._handshake.state

    @property
    def is_under_way(self) -> bool:
        """Whether the handshake may still end in a token."""
        return self._handshake.is_under_way

    @property
    def reason(self) -> Reason | None:
        """Why the request was refused, in our words."""
        return self._handshake.reason

    @property
    def said(self) -> str:
        """What the server said to it, where that is more (R-SHOW-1)."""
        return self._handshake.said

    @property
    def is_living(self) -> bool:
        """Whether it holds a token that, as far as it knows, has not ended."""
        return self.takes(SessionEvent.LEFT)

    def takes(self, event: SessionEvent) -> bool:
        """Whether the session would take `event` now."""
        return self._tables.session.takes(self.session, event)

    @property
    def queued(self) -> int:
        """How many texts wait for their turn."""
        return len(self._queued)

    @property
    def idles_us(self) -> int:
        """When its silence ends the session, unless it speaks (R-IDLE-1)."""
        return self._liveness.idles_us

    @property
    def spoke_us(self) -> int:
        """When it last spoke."""
        return self._liveness.spoke_us

    @property
    def keep_alive_us(self) -> int:
        """The interval of its keep-alives."""
        return self._liveness.interval_us

    @property
    def asks_for_answers(self) -> bool:
        """Whether it asks its server to answer keep-alives: only then does it notice that the server is silent."""
        return self._liveness.can_ask

    @property
    def has_heard(self) -> bool:
        """Whether any datagram of the server has arrived since it entered."""
        return self._has_heard

    @property
    def unheard(self) -> tuple[str, ...]:
        """The texts that perhaps nobody has heard: said since the server's last sign of life, or never sent."""
        return (*self._liveness.unheard, *self._queued)

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence is waited for."""
        silences = (Deadline.IDLE, Deadline.KEEP_ALIVE)
        own = sum(self._timers.when_us(kind, Machine.SESSION) is not None for kind in silences)
        return len(self._timers) == own

    def freeze(self) -> ClientState:
        """The state after the latest call, as a value."""
        now_us, timers = self._now_us, self._timers
        enters = timers.when_us(Deadline.ENTER, Machine.SESSION) is not None
        leaves = timers.when_us(Deadline.LEAVE, Machine.SESSION) is not None
        waits = now_us < self._turn_us()
        keeps_alive = timers.when_us(Deadline.KEEP_ALIVE, Machine.SESSION) is not None
        return ClientState(
            handshake=self.handshake,
            session=self.session,
            token=self.token,
            reason=self.reason,
            said=self.said,
            stream=self._handshake.stream,
            buffer=bytes(self._handshake.buffer),
            early=tuple(self._early),
            queued=tuple(self._queued),
            enters_done=self._enters_done,
            leaves_done=self._leaves_done,
            granted_ago_us=now_us - self._granted_us if enters else 0,
            sent_text_ago_us=now_us - self._sent_text_us if waits and self._sent_text_us is not None else None,
            ended_ago_us=now_us - self._ended_us if leaves else 0,
            has_heard=self._has_heard,
            has_been_told=self._has_been_told,
            liveness=self._liveness.freeze(now_us, is_living=self.is_living, keeps_alive=keeps_alive),
            timers=timers.freeze(now_us),
        )

    def _thaw(self, state: ClientState, now_us: int) -> None:
        handshake = self._handshake
        handshake.machine.state, self._session.state = state.handshake, state.session
        handshake.reason, handshake.said, handshake.stream = state.reason, state.said, state.stream
        handshake.buffer = bytearray(state.buffer)
        self.token, self._early, self._queued = state.token, list(state.early), list(state.queued)
        self._enters_done, self._leaves_done = state.enters_done, state.leaves_done
        self._granted_us = now_us - state.granted_ago_us
        self._liveness.thaw(state.liveness, now_us)
        self._sent_text_us = now_us - state.sent_text_ago_us if state.sent_text_ago_us is not None else None
        self._ended_us = now_us - state.ended_ago_us
        self._has_heard, self._has_been_told = state.has_heard, state.has_been_told
        self._timers = handshake.timers = Timers(state.timers, now_us)

    # --- TCP -------------------------------------------------------------------------------------

    def start(self, now_us: int) -> None:
        """The attempt begins: a connection is being opened. It is given up after `handshake_timeout`."""
        self._now_us = now_us
        self._handshake.start(now_us)

    def stream_opened(self, stream: StreamId, now_us: int) -> Outputs:
        """The connection is there: the request goes out."""
        self._now_us = now_us
        self._handshake.opened(stream)
        return self._outbox.take()

    def receive_stream(self, data: bytes, now_us: int) -> Outputs:
        """Bytes of the server, cut anywhere."""
        self._now_us = now_us
        self._begin(self._handshake.received(data, now_us), now_us)
        return self._outbox.take()

    def stream_closed(self, now_us: int) -> Outputs:
        """The connection has ended, by the server or by the network."""
        self._now_us = now_us
        self._begin(self._handshake.closed(now_us), now_us)
        return self._outbox.take()

    # --- UDP -------------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, now_us: int) -> Outputs:
        """A datagram of the server."""
        self._now_us = self._liveness.heard_us = now_us
        state = self._session.state
        if state is _IN_ROOM:
            if not self._has_heard:
                self._has_heard = True
                self._timers.cancel(Deadline.ENTER, Machine.SESSION)
            if data:
                self._read(data, now_us)
            else:
                self._liveness.answered(now_us)  # the answer to a keep-alive, which is never shown
        elif state is _EXPIRED:
            self._read_after_the_end(data)
        elif len(self._early) < EARLY_DATAGRAMS_MAX:  # it has overtaken the completion
            self._early.append(data)
        else:
            self._outbox.drop(len(data), "too many before the completion", Rule.LIM_1)
        outbox = self._outbox
        outputs, outbox.pending = outbox.pending, []
        return outputs

    # --- commands --------------------------------------------------------------------------------

    def say(self, text: str, now_us: int) -> Outputs:
        """Say `text` to the room; an empty one is a keep-alive. A paced client may queue it.

        Raises `IllegalEvent` when not in the room, `ValueError` if the datagram would be too long (R-UDP-1)
        or `QUEUED_TEXTS_MAX` texts are queued.
        """
        self._now_us = now_us
        if not self.takes(_SPOKE):
            raise IllegalEvent(Machine.SESSION, self.session, _SPOKE)
        data = self._datagram(text)
        if len(data) > CLIENT_DATAGRAM_BYTES_MAX:
            raise ValueError(f"the datagram is {len(data)} bytes, at most {CLIENT_DATAGRAM_BYTES_MAX} may be sent")
        if text and self.config.paces and (self._queued or now_us < self._turn_us()):
            if len(self._queued) == QUEUED_TEXTS_MAX:
                raise ValueError(f"{QUEUED_TEXTS_MAX} texts are queued already")
            self._queued.append(text)
            if len(self._queued) == 1:
                self._timers.arm(Deadline.PACE, Machine.SESSION, self._turn_us())
        else:
            self._say(text, data, now_us)
        return self._outbox.take()

    def leave(self, now_us: int) -> Outputs:
        """Leave the room, with the dialect's word if it has one (R-EXIT-1). Raises `IllegalEvent`."""
        self._now_us = now_us
        self._end(SessionEvent.LEFT, now_us)
        if self.codec.leave_words:
            self._say_leave(now_us)
        return self._outbox.take()

    def abandon(self, now_us: int) -> Outputs:
        """Give up a handshake that is under way."""
        self._now_us = now_us
        if self.is_under_way:
            self._handshake.abandon()
        return self._outbox.take()

    # --- time ------------------------------------------------------------------------------------

    def handle_timeout(self, now_us: int) -> Outputs:
        """Do all that is due. To be called at `next_deadline_us()` or later; earlier does no harm."""
        self._now_us = now_us
        while (timer := self._timers.pop_due(now_us)) is not None:
            self._fire[timer.kind](now_us)
        return self._outbox.take()

    def next_deadline_us(self) -> int | None:
        """When `handle_timeout` is to be called next, or None."""
        return self._timers.next_us()

    # --- the session begins ------------------------------------------------------------------------

    def _begin(self, completed: Completed | None, now_us: int) -> None:
        """The handshake is completed, if it is: the session is granted, and entered."""
        if completed is None:
            return
        if completed.idle_timeout_us is not None:
            self._liveness.told(completed.idle_timeout_us)
        self.token = completed.token
        self._granted_us = now_us
        self._liveness.began(now_us)
        self._step(SessionEvent.GRANTED)
        self._timers.arm(Deadline.IDLE, Machine.SESSION, self.idles_us)
        if self.config.keeps_alive:
            self._timers.arm(Deadline.KEEP_ALIVE, Machine.SESSION, self._liveness.next_us)
        self._step(SessionEvent.ENTERED)
        learned_from = self.codec.dialect.learned_from
        if learned_from is LearnedFrom.DATAGRAM:
            self._say_enter(now_us)
        elif learned_from is not LearnedFrom.TRAILER and self._liveness.can_ask:  # its first question; else entering is
            self._say("", self._datagram(""), now_us)
        early, self._early = self._early, []
        for data in early:
            self._has_heard = True
            if self._session.state is _IN_ROOM:
                self._read(data, now_us)
            else:
                self._read_after_the_end(data)
        if early:
            self._timers.cancel(Deadline.ENTER, Machine.SESSION)

    def _take_reply(self, now_us: int) -> None:
        self._begin(self._handshake.fell_silent(now_us), now_us)

    # --- entering, speaking, leaving -------------------------------------------------------------

    def _enter_again(self, now_us: int) -> None:
        self._outbox.observe(TimerFired(Deadline.ENTER, Machine.SESSION))
        self._step(_SPOKE)
        self._say_enter(now_us)

    def _say_enter(self, now_us: int) -> None:
        """Say that it is there, and set when it does so again (R-UDP-4)."""
        self._send(self._datagram(self.codec.dialect.enter_word), PacketKind.ENTER, now_us)
        self._enters_done += 1
        if self._enters_done < len(_ENTER_MOMENTS_US):
            when_us = self._granted_us + _ENTER_MOMENTS_US[self._enters_done]
            self._timers.arm(Deadline.ENTER, Machine.SESSION, when_us)

    def _say(self, text: str, data: bytes, now_us: int) -> None:
        self._step(_SPOKE)
        self._send(data, PacketKind.SAY if text else PacketKind.KEEP_ALIVE, now_us)
        if not text:
            self._liveness.asked_us = now_us
            return
        self._sent_text_us = now_us
        if self.config.keeps_alive:
            self._liveness.said(text)

    def _turn_us(self) -> int:
        """When the next text may be sent at the client's pace."""
        if self._sent_text_us is None:
            return self._now_us
        return self._sent_text_us + 100 * _SECOND_US // (self._limits.texts_per_second_max * PACE_PER_CENT)

    def _send_queued(self, now_us: int) -> None:
        self._outbox.observe(TimerFired(Deadline.PACE, Machine.SESSION))
        text = self._queued.pop(0)
        self._say(text, self._datagram(text), now_us)
        if self._queued:
            self._timers.arm(Deadline.PACE, Machine.SESSION, self._turn_us())

    def _leave_again(self, now_us: int) -> None:
        self._outbox.observe(TimerFired(Deadline.LEAVE, Machine.SESSION))
        self._say_leave(now_us)

    def _say_leave(self, now_us: int) -> None:
        self._send(self._datagram(self.codec.dialect.leave_words[0]), PacketKind.LEAVE, now_us)
        self._leaves_done += 1
        if self.codec.dialect.leave_repeats and self._leaves_done < len(LEAVE_AGAIN_AFTER_US):
            self._timers.arm(Deadline.LEAVE, Machine.SESSION, self._ended_us + LEAVE_AGAIN_AFTER_US[self._leaves_done])

    def _datagram(self, text: str) -> bytes:
        """A datagram in the dialect's form, usually `room_len(1) token_len(1) room token text` (R-UDP-1)."""
        return self.codec.datagram.write(self._room_bytes, self.token, self.name, text)

    def _send(self, data: bytes, what: PacketKind, now_us: int) -> None:
        self._liveness.spoke_us = now_us
        self._outbox.pending.append(SendDatagram(data, None, what))

    # --- keeping alive, and a server that is silent ----------------------------------------------

    def _keep_alive(self, now_us: int) -> None:
        """What `Liveness` finds due. Speaking and hearing touch only its moments; the deadline learns of them here."""
        liveness = self._liveness
        if liveness.finds_silence(now_us):
            self._outbox.observe(TimerFired(Deadline.KEEP_ALIVE, Machine.SESSION))
            self._outbox.pending.append(ServerSilent(liveness.heard_us))
        if liveness.must_speak(now_us):
            self._outbox.observe(TimerFired(Deadline.KEEP_ALIVE, Machine.SESSION))
            self._say("", self._datagram(""), now_us)
        self._timers.arm(Deadline.KEEP_ALIVE, Machine.SESSION, liveness.next_us)

    def _look_at_own_silence(self, now_us: int) -> None:
        """Speaking touches only its moment; the deadline learns of it here."""
        if self.idles_us > now_us:
            self._timers.arm(Deadline.IDLE, Machine.SESSION, self.idles_us)
            return
        self._outbox.observe(TimerFired(Deadline.IDLE, Machine.SESSION))
        self._end(SessionEvent.IDLED, now_us)

    # --- what the server says --------------------------------------------------------------------

    def _read(self, data: bytes, now_us: int) -> None:
        heard = hear(self.codec, self.room, data)
        if type(heard) is Heard:  # the commonest
            self._outbox.step(self._session_table, self._session_alone, _RELAYED)
            # Others' keep-alives, and what comes back of the own texts, only foreign servers relay.
            if heard.text and not self._is_own(heard):
                self._outbox.pending.append(new_output(TextReceived, heard))
            if self._liveness.unheard:
                self._liveness.unheard.clear()
        elif heard is None:
            self._outbox.drop(len(data), "not of this dialect", Rule.UDP_3)
            if words := words_of(data.decode(errors="replace")):
                self._outbox.pending.append(WordsReceived(words))
        elif isinstance(heard, Told):
            event = self._pass_on(heard)
            if event is None:
                self._liveness.heard(now_us)
            else:
                self._has_been_told = True
                self._end(event, now_us)

    def _is_own(self, heard: Heard) -> bool:
        """Whether it is the echo of an own text; where relays name nobody, of one said since the server last spoke."""
        if heard.name:
            return heard.name == self.name
        return heard.text in self._liveness.unheard

    def _read_after_the_end(self, data: bytes) -> None:
        """Only why it ended still matters, and only once."""
        heard = hear(self.codec, self.room, data)
        if isinstance(heard, Told) and self._meaning(heard.notice, heard.name) is not None:
            if not self._has_been_told:
                self._has_been_told = True
                self._pass_on(heard)
        else:
            self._outbox.drop(len(data), "the session has ended", Rule.TOK_2)

    def _pass_on(self, told: Told) -> SessionEvent | None:
        """Pass a notice on. Returns what it means for this session."""
        event = self._meaning(told.notice, told.name)
        notice = Notice.IDLED if event is SessionEvent.IDLED else told.notice
        self._outbox.pending.append(NoticeReceived(notice, shown(told.name)))
        return event

    def _meaning(self, notice: Notice, name: str) -> SessionEvent | None:
        """What a notice means for this session; a leaving of one's own name is one's own end (idled)."""
        if notice is Notice.LEFT and name == self.name:
            return SessionEvent.IDLED
        return ENDINGS.get(notice)

    # --- small steps -----------------------------------------------------------------------------

    def _end(self, event: SessionEvent, now_us: int) -> None:
        self._step(event)
        self._ended_us = now_us
        for text in self._queued:
            self._liveness.said(text)
        self._queued.clear()
        for kind in (Deadline.ENTER, Deadline.IDLE, Deadline.KEEP_ALIVE, Deadline.PACE):
            self._timers.cancel(kind, Machine.SESSION)

    def _step(self, event: SessionEvent) -> None:
        self._outbox.step(self._session_table, self._session_alone, event)
