"""Who is where: rooms and sessions from their beginning to the end of their linger.

Knows when a session may begin, enter and end, who is told, and what is remembered afterwards.
Knows neither frames nor datagram headers: `handshake_server` reads requests, `server` reads datagrams.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeVar

from tcrp.engine.codec import Codec
from tcrp.engine.notices import write_farewell, write_notice
from tcrp.engine.outputs import Address, Relay, SendDatagram, ServerEffect
from tcrp.engine.rooms import Ended, Room, Session, Window
from tcrp.engine.timers import Timers
from tcrp.spec.limits import (
    ANSWER_ENDED_EVERY_US,
    ANSWER_ENDED_FACTOR_MAX,
    MINUTE_US,
    NOTICE_AGAIN_AFTER_US,
    SHUTDOWN_LINGER_US,
    TAKEOVERS_A_MINUTE_MAX,
    Limits,
    Takeover,
)
from tcrp.spec.names import (
    Counter,
    Deadline,
    Machine,
    Notice,
    PacketKind,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import Tables
from tcrp.trace.records import Cause, Recorder

K = TypeVar("K")

TOLD_TO_OTHERS = (SessionEvent.LEFT, SessionEvent.IDLED, SessionEvent.REMOVED)


class SessionRegistry:
    """Rooms and sessions. Effects are appended to `out`, which the engine hands over after each call."""

    def __init__(
        self, limits: Limits, new_token: Callable[[], bytes], tables: Tables, recorder: Recorder | None
    ) -> None:
        self.limits = limits
        self.tables = tables
        self.recorder = recorder
        self.cause = Cause()  # of the call that is being served
        self.out: list[ServerEffect] = []
        self.rooms: dict[bytes, Room] = {}
        self.sessions: dict[bytes, Session] = {}
        self.ended: dict[bytes, Ended] = {}
        self.sessions_per_ip: dict[str, int] = {}
        self.unentered_rooms_per_ip: dict[str, int] = {}
        self.sessions_at: dict[Address, int] = {}  # living sessions by where their relays go
        self.timers = Timers()
        self.counts = dict.fromkeys(Counter, 0)
        self.counts_by_rule: dict[Rule, int] = {}
        self.is_stopping = False
        self._new_token = new_token
        self._silences: list[tuple[int, int, Session]] = []  # lazy: see look_at_silence
        self._sequence = 0

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on; every silence is looked at when the new ones say."""
        self.limits = limits
        for session in self.sessions.values():
            limit_us = limits.token_timeout if session.state is SessionState.TOKENED else limits.idle_timeout
            self._watch_silence(session, session.last_heard_us + limit_us)

    # --- a session begins ------------------------------------------------------------------------

    def grant(self, room: Room, name: str, codec: Codec, ip: str, now_us: int) -> Session:
        """A new session in `room`, tokened; in a new room it is the host (R-ROOM-1).

        It takes the place of a session of the same name, if there is one.
        """
        session = Session(self._unused_token(), name, room, codec, ip, now_us, self.cause)
        session.supersedes = room.members.get(name)
        self.sessions[session.token] = session
        self.sessions_per_ip[ip] = self.sessions_per_ip.get(ip, 0) + 1
        room.members[name] = session
        self.counts[Counter.SESSIONS] += 1
        self._step(session, SessionEvent.GRANTED)
        if room.state is RoomState.VACANT:
            room.host = session
            self.rooms[room.name_bytes] = room
            self.unentered_rooms_per_ip[ip] = self.unentered_rooms_per_ip.get(ip, 0) + 1
            self.counts[Counter.ROOMS] += 1
            self._step_room(room, RoomEvent.CREATED)
        else:
            self._step_room(room, RoomEvent.JOINED)
        self._watch_silence(session, now_us + self.limits.token_timeout)
        return session

    def confirm(self, session: Session, now_us: int) -> None:
        """The token is handed over: whoever the session supersedes ends now (R-NAME-2)."""
        old, session.supersedes = session.supersedes, None
        if old is None or old.state is SessionState.EXPIRED:
            return
        room = session.room
        room.takeovers.setdefault(session.name, Window(TAKEOVERS_A_MINUTE_MAX, MINUTE_US)).count(now_us)
        if room.host is old:
            room.host = session
        self.end(old, SessionEvent.SUPERSEDED, Notice.SUPERSEDED, now_us)

    def undo(self, session: Session, now_us: int) -> None:
        """The token was never handed over: as if it had not been granted."""
        if session.state is SessionState.EXPIRED:
            return
        old, session.supersedes = session.supersedes, None
        self._forget_session(session, SessionEvent.LEFT)
        room = session.room
        if old is not None and old.state is not SessionState.EXPIRED:
            room.members[old.name] = old
        else:
            del room.members[session.name]
        if room.host is session:
            self.close_room(room, RoomEvent.HOST_GONE, Notice.ROOM_CLOSED, now_us)
        else:
            self._step_room(room, RoomEvent.LEFT)

    def may_take_over(self, old: Session, ip: str, now_us: int) -> bool:
        """Whether a newcomer of the same name may supersede `old`, his password aside (R-NAME-2)."""
        window = old.room.takeovers.get(old.name)
        return (
            self.limits.takeover is Takeover.SAME_ADDRESS
            and ip == old.ip
            and now_us - old.last_heard_us >= self.limits.takeover_after
            and not (window is not None and window.is_full(now_us))
        )

    # --- a session lives -------------------------------------------------------------------------

    def enter(self, session: Session, address: Address, now_us: int, *, is_announced: bool = True) -> None:
        """The session's delivery address is known: it hears relays from now on."""
        self._step(session, SessionEvent.ENTERED)
        session.last_heard_us = now_us
        self._set_address(session, address)
        room = session.room
        room.add(session)
        if room.host is session and not room.host_has_entered:
            self._host_is_waited_for_no_more(room)
        self._watch_silence(session, now_us + self.limits.idle_timeout)
        if is_announced:
            self.tell_others(session, Notice.JOINED)

    def move(self, session: Session, address: Address) -> None:
        """Relays follow the last valid datagram (R-TOK-3)."""
        self._release_address(session)
        self._set_address(session, address)

    # --- a session ends --------------------------------------------------------------------------

    def end(self, session: Session, event: SessionEvent, notice: Notice | None, now_us: int) -> None:
        """End a session and tell whoever is to be told. `notice` None: it left of its own will (R-EXIT-1)."""
        room = session.room
        was_host = room.host is session
        was_heard = session.state is SessionState.IN_ROOM
        self._forget_session(session, event)
        if room.members.get(session.name) is session:
            del room.members[session.name]
        host = session.name if room.host is None else room.host.name
        if notice is None:
            farewell = write_farewell(session.codec, is_host=was_host, name=session.name, room=room.name)
            if farewell is not None and session.address is not None:
                self._send_notice(farewell, session.address)
        self._remember(session, notice, host, now_us)
        if was_host:
            self.close_room(room, RoomEvent.HOST_GONE, Notice.ROOM_CLOSED, now_us)
            return
        self._step_room(room, RoomEvent.LEFT)
        if was_heard and room.state is RoomState.OPEN and event in TOLD_TO_OTHERS:
            self.tell_others(session, Notice.LEFT)

    def close_room(self, room: Room, event: RoomEvent, notice: Notice, now_us: int) -> None:
        """Close a room: every session in it ends and is told; its name lingers (R-ROOM-2)."""
        self._step_room(room, event)
        host, room.host = room.host, None
        host_name = host.name if host is not None else ""
        told = [member for member in room.members.values() if member is not host]
        told += [member.supersedes for member in told if member.supersedes is not None]
        if host is not None and host.state is not SessionState.EXPIRED:
            told.insert(0, host)
        for member in told:
            if member.state is not SessionState.EXPIRED:
                self._end_with_room(member, notice, host_name, now_us)
        linger_us = SHUTDOWN_LINGER_US if event is RoomEvent.SHUTDOWN else self.limits.linger
        if not room.host_has_entered:
            self._host_is_waited_for_no_more(room)
            if not told:
                linger_us = 0  # R-LIM-2: nobody was in it who must not hang
        if linger_us:
            room.linger = self.timers.arm(now_us + linger_us, Deadline.LINGER, self._drain, room, self.cause)
        else:
            self._drain(room, now_us)

    def shutdown(self, now_us: int) -> None:
        """Close every room and take nothing new; what is closing already lingers no longer than the rest."""
        self.is_stopping = True
        for room in list(self.rooms.values()):
            if room.state is RoomState.OPEN:
                self.close_room(room, RoomEvent.SHUTDOWN, Notice.SHUTDOWN, now_us)
            elif room.linger is not None and room.linger.when_us > now_us + SHUTDOWN_LINGER_US:
                self.timers.cancel(room.linger)
                when_us = now_us + SHUTDOWN_LINGER_US
                room.linger = self.timers.arm(when_us, Deadline.LINGER, self._drain, room, self.cause)

    def _end_with_room(self, member: Session, notice: Notice, host: str, now_us: int) -> None:
        self._forget_session(member, SessionEvent.ROOM_CLOSED)
        if member.room.members.get(member.name) is member:
            del member.room.members[member.name]
        self._remember(member, notice, host, now_us)
        self._step_room(member.room, RoomEvent.LEFT)

    def _drain(self, room: Room, now_us: int) -> None:
        """The linger is over: nothing is left behind (R-ROOM-3)."""
        for ended in list(room.ended.values()):
            self._forget(ended, now_us)
        del self.rooms[room.name_bytes]
        self.counts[Counter.ROOMS] -= 1
        self._step_room(room, RoomEvent.DRAINED)

    # --- telling ---------------------------------------------------------------------------------

    def tell_others(self, session: Session, notice: Notice) -> None:
        """Tell everyone else in the room, in each dialect that has a sentence for it."""
        room = session.room
        host = room.host.name if room.host is not None else ""
        for codec, group in room.fanout_groups.items():
            data = write_notice(codec, notice, name=session.name, room=room.name, host=host)
            targets = [member.address for member in group if member is not session and member.address is not None]
            if data is not None and targets:
                self.counts[Counter.NOTICES] += len(targets)
                self.out.append(Relay(data, targets, PacketKind.NOTICE, self.cause))

    def answer_ended(self, ended: Ended, source: Address, size: int, now_us: int) -> None:
        """An ended token spoke: tell it why, but never be an amplifier (R-END-1)."""
        own = source.ip == ended.ip
        if ended.codec.dialect.port_fixed and ended.address is not None:
            source = ended.address  # it hears nowhere else
        if (
            not own
            or ended.sentence is None
            or len(ended.sentence) > size * ANSWER_ENDED_FACTOR_MAX
            or self.sessions_at.get(source)
            or (ended.answered_us is not None and now_us - ended.answered_us < ANSWER_ENDED_EVERY_US)
        ):
            return
        ended.answered_us = now_us
        self._send_notice(ended.sentence, source)

    def _remember(self, session: Session, notice: Notice | None, host: str, now_us: int) -> None:
        sentence = None
        if notice is not None:
            sentence = write_notice(session.codec, notice, name=session.name, room=session.room.name, host=host)
        ended = Ended(session, notice, sentence, now_us, self.cause)
        if self.limits.linger:
            self.ended[ended.token] = session.room.ended[ended.token] = ended
            ended.forget = self.timers.arm(
                now_us + self.limits.linger, Deadline.FORGET, self._forget, ended, self.cause
            )
        self._tell(ended, now_us)

    def _tell(self, ended: Ended, now_us: int) -> None:
        """Tell it now, and say when again."""
        if ended.sentence is None or ended.address is None:
            return
        if not self.sessions_at.get(ended.address):
            self._send_notice(ended.sentence, ended.address)
        ended.times_told += 1
        if ended.times_told < len(NOTICE_AGAIN_AFTER_US) and ended.forget is not None:
            when_us = ended.ended_us + NOTICE_AGAIN_AFTER_US[ended.times_told]
            if when_us < ended.forget.when_us:
                ended.tell = self.timers.arm(when_us, Deadline.NOTICE, self._tell, ended, ended.cause)

    def _forget(self, ended: Ended, _now_us: int) -> None:
        self.timers.cancel(ended.tell)
        self.timers.cancel(ended.forget)
        del self.ended[ended.token]
        del ended.room.ended[ended.token]

    def _send_notice(self, data: bytes, address: Address) -> None:
        self.counts[Counter.NOTICES] += 1
        self.out.append(SendDatagram(data, address, PacketKind.NOTICE, self.cause))

    # --- silence ---------------------------------------------------------------------------------

    def _watch_silence(self, session: Session, when_us: int) -> None:
        """Look at the session's silence at `when_us`, unless that is done earlier anyway."""
        if not session.alarm_us or when_us < session.alarm_us:
            session.alarm_us = when_us
            self._sequence += 1
            heappush(self._silences, (when_us, self._sequence, session))

    def next_silence_us(self) -> int | None:
        """When somebody's silence is to be looked at, or None."""
        heap = self._silences
        while heap and (heap[0][2].state is SessionState.EXPIRED or heap[0][0] != heap[0][2].alarm_us):
            heappop(heap)
        return heap[0][0] if heap else None

    def expire_idle(self, now_us: int) -> bool:
        """Look at one silence that is due (R-IDLE-1, R-TOK-5). False: none is.

        A datagram touches only `last_heard_us`; the heap learns of it here. So speaking costs no heap work.
        """
        when_us = self.next_silence_us()
        if when_us is None or when_us > now_us:
            return False
        session = heappop(self._silences)[2]
        session.alarm_us = 0
        is_tokened = session.state is SessionState.TOKENED
        limit_us = self.limits.token_timeout if is_tokened else self.limits.idle_timeout
        if session.last_heard_us + limit_us > now_us:
            self._watch_silence(session, session.last_heard_us + limit_us)
            return True
        self.cause = session.cause
        if self.recorder is not None:
            self.recorder.timer(Deadline.UNUSED if is_tokened else Deadline.IDLE, self.cause)
        self.end(session, SessionEvent.IDLED, Notice.IDLED, now_us)
        return True

    # --- small steps -----------------------------------------------------------------------------

    def count_rule(self, rule: Rule, amount: int = 1) -> None:
        """Something was refused, dropped or withheld by `rule`."""
        self.counts_by_rule[rule] = self.counts_by_rule.get(rule, 0) + amount

    def _step(self, session: Session, event: SessionEvent) -> None:
        row = self.tables.session.rows[session.state, event]
        if self.recorder is not None:
            self.recorder.step(
                Machine.SESSION, session.id, event, session.state, row.to, row.rule, self.cause,
                token=session.trace_token() if self.recorder.names_tokens else "", key=session.token,
            )  # fmt: skip
        session.state = row.to

    def _step_room(self, room: Room, event: RoomEvent) -> None:
        row = self.tables.room.rows[room.state, event]
        if self.recorder is not None:
            self.recorder.step(Machine.ROOM, room.name, event, room.state, row.to, row.rule, self.cause)
        room.state = row.to

    def _forget_session(self, session: Session, event: SessionEvent) -> None:
        self._step(session, event)
        del self.sessions[session.token]
        self.counts[Counter.SESSIONS] -= 1
        _decrement(self.sessions_per_ip, session.ip)
        session.room.remove(session)
        self._release_address(session)

    def _set_address(self, session: Session, address: Address) -> None:
        # The IP address is the session's own; sharing its text matters where there are many.
        session.address = address = Address(session.ip, address.port)
        self.sessions_at[address] = self.sessions_at.get(address, 0) + 1

    def _release_address(self, session: Session) -> None:
        if session.address is not None:
            _decrement(self.sessions_at, session.address)

    def _host_is_waited_for_no_more(self, room: Room) -> None:
        room.host_has_entered = True
        _decrement(self.unentered_rooms_per_ip, room.owner_ip)

    def _unused_token(self) -> bytes:
        token = self._new_token()
        while token in self.sessions or token in self.ended:
            token = self._new_token()
        return token


def _decrement(counts: dict[K, int], key: K) -> None:
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1
