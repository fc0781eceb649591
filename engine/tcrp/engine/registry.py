"""Who is where: rooms and sessions from their beginning to the end of their linger.

Knows when a session may begin, enter and end, who is told, and what is remembered afterwards.
Knows neither frames nor datagram headers: `handshake_server` reads requests, `server` reads datagrams.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from hmac import compare_digest

from tcrp.engine.codec import Codec
from tcrp.engine.notices import write_farewell, write_notice
from tcrp.engine.outbox import Outbox
from tcrp.engine.outputs import Address, Forgotten, Relay, SendDatagram, ServerOutput, TimerFired
from tcrp.engine.peers import PeerCounts
from tcrp.engine.rooms import Ended, Room, Session, latest
from tcrp.engine.timers import Timers, is_mostly_stale
from tcrp.spec.limits import (
    ANSWER_ENDED_EVERY_US,
    ANSWER_ENDED_FACTOR_MAX,
    NOTICE_AGAIN_AFTER_US,
    SHUTDOWN_LINGER_US,
    TAKEOVERS_A_MINUTE_MAX,
    Limits,
    Takeover,
)
from tcrp.spec.names import (
    Deadline,
    Notice,
    PacketKind,
    RoomEvent,
    SessionEvent,
)
from tcrp.spec.table import Tables

TOLD_TO_OTHERS = (SessionEvent.LEFT, SessionEvent.IDLED, SessionEvent.REMOVED)


class SessionRegistry:
    """Rooms and sessions. What is to be done goes to `outbox`, which the engine hands over after each call."""

    def __init__(
        self, limits: Limits, new_token: Callable[[], bytes], tables: Tables, outbox: Outbox[ServerOutput]
    ) -> None:
        self.limits = limits
        self.tables = tables
        self.outbox = outbox
        self.rooms: dict[bytes, Room] = {}
        self.sessions: dict[bytes, Session] = {}
        self.ended: dict[bytes, Ended] = {}
        self.sessions_at: dict[Address, int] = {}  # living sessions by where their relays go
        self.timers = Timers()
        self.is_stopping = False
        self.granted = 0  # sessions so far
        self._new_token = new_token
        self._silences: list[tuple[int, int, Session]] = []  # lazy: see expire_idle
        self.count_peers()

    def count_peers(self) -> None:
        """Count anew whose the sessions and rooms are."""
        prefix, rooms = self.limits.ipv6_prefix, self.rooms.values()
        self.sessions_per_ip = PeerCounts(prefix, (each.ip for each in self.sessions.values()))
        self.rooms_per_ip = PeerCounts(prefix, (room.owner_ip for room in rooms))
        self.unentered_rooms_per_ip = PeerCounts(prefix, (room.owner_ip for room in rooms if not room.host_has_entered))

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on; every silence is looked at when the new ones say."""
        self.limits = limits
        self.count_peers()
        for session in self.sessions.values():
            self.expect_speech(session)
            if session.texts is not None:
                session.texts = session.texts.with_most(limits.texts_per_second_max)
        for room in self.rooms.values():
            for peer, tries in room.wrong_passwords.items():
                room.wrong_passwords[peer] = tries.with_most(limits.password_tries_max)

    def expect_speech(self, session: Session) -> None:
        """Look at the session's silence when it would have lasted too long."""
        self._watch_silence(session, session.last_heard_us + self._silence_max_us(session))

    def _silence_max_us(self, session: Session) -> int:
        is_tokened = self.tables.session.takes(session.state, SessionEvent.ENTERED)
        return self.limits.token_timeout if is_tokened else self.limits.idle_timeout

    # --- a session begins ------------------------------------------------------------------------

    def grant(self, room: Room, name: str, codec: Codec, ip: str, listener: int, now_us: int) -> Session:
        """A new session in `room`, tokened; in a new room it is the host (R-ROOM-1).

        It takes the place of a session of the same name, if there is one.
        """
        session = Session(self._unused_token(), name, room, codec, ip, now_us, self.granted, listener)
        self.granted += 1
        old = room.members.get(name)
        session.supersedes = old.token if old is not None else b""
        self.sessions[session.token] = session
        self.sessions_per_ip.add(ip)
        room.members[name] = session
        self._step(session, SessionEvent.GRANTED)
        if self.tables.room.takes(room.state, RoomEvent.CREATED):
            room.host = session
            self.rooms[room.name_bytes] = room
            self.rooms_per_ip.add(ip)
            self.unentered_rooms_per_ip.add(ip)
            self._step_room(room, RoomEvent.CREATED)
        else:
            self._step_room(room, RoomEvent.JOINED)
        self._watch_silence(session, now_us + self.limits.token_timeout)
        return session

    def superseded_by(self, session: Session) -> Session | None:
        """The living session whose place `session` is about to take."""
        return self.sessions.get(session.supersedes) if session.supersedes else None

    def hand_over(self, session: Session, address: Address | None, now_us: int) -> None:
        """The token is handed over: the session enters if its address is known; what it supersedes ends (R-NAME-2)."""
        old, session.supersedes = self.superseded_by(session), None
        if old is not None:
            session.room.remove(old)  # it hears nothing more, least of all that somebody of its name has joined
            if session.room.host is old:
                session.room.host = session
        if address is not None:
            self.enter(session, address, now_us)
        if old is not None:
            latest(session.room.takeovers, session.name, TAKEOVERS_A_MINUTE_MAX, now_us).count(now_us)
            self.end(old, SessionEvent.SUPERSEDED, Notice.SUPERSEDED, now_us)

    def undo(self, session: Session, now_us: int) -> None:
        """The token was never handed over: as if it had not been granted."""
        old, session.supersedes = self.superseded_by(session), None
        self._forget_session(session, SessionEvent.LEFT)  # it has no address yet
        self.outbox.observe(Forgotten(session.token))
        room = session.room
        if old is not None:
            room.members[old.name] = old
        else:
            del room.members[session.name]
        if room.host is session:
            self.close_room(room, RoomEvent.HOST_GONE, Notice.ROOM_CLOSED, now_us)
        else:
            self._step_room(room, RoomEvent.LEFT)

    def may_take_over(self, old: Session, proof: bytes, ip: str, now_us: int) -> bool:
        """Whether a request with the same name may supersede `old`; the password is checked elsewhere (R-NAME-2).

        `proof` is the token that the request carries. One whose token is not handed over yet is not superseded.
        """
        takeover, window = self.limits.takeover, old.room.takeovers.get(old.name)
        if takeover is Takeover.OFF or ip != old.ip or old.supersedes is not None:
            return False
        if window is not None and window.is_full(now_us):
            return False
        silent_us = now_us - old.last_heard_us
        by_silence = takeover is Takeover.SAME_ADDRESS and silent_us >= self.limits.takeover_after
        return by_silence or compare_digest(proof, old.token)

    # --- a session lives -------------------------------------------------------------------------

    def enter(self, session: Session, address: Address, now_us: int) -> None:
        """The session's delivery address is known: it hears relays from now on."""
        self._step(session, SessionEvent.ENTERED)
        session.last_heard_us = now_us
        self.set_address(session, address)
        room = session.room
        room.add(session)
        if room.host is session and not room.host_has_entered:
            self._host_is_waited_for_no_more(room)
        self._watch_silence(session, now_us + self.limits.idle_timeout)
        self.tell_others(session, Notice.JOINED)

    def move(self, session: Session, address: Address) -> None:
        """Relays follow the last valid datagram (R-TOK-3)."""
        self._release_address(session)
        self.set_address(session, address)
        session.room.move(session)

    # --- a session ends --------------------------------------------------------------------------

    def end(self, session: Session, event: SessionEvent, notice: Notice | None, now_us: int, *, why: str = "") -> None:
        """End a session and tell those who are to be told. `notice` None: it left of its own will (R-EXIT-1)."""
        room = session.room
        was_host = room.host is session
        was_relayed_to = self.tables.session.takes(session.state, SessionEvent.RELAYED)
        self._forget_session(session, event, why)
        self._release_address(session)
        if room.members.get(session.name) is session:
            del room.members[session.name]
        host = session.name if room.host is None else room.host.name
        if notice is None:
            farewell = write_farewell(
                session.codec, is_host=was_host, name=session.name, room=room.name, token=session.token
            )
            if farewell is not None and session.address is not None:
                self._send_notice(farewell, session.address, session.listener)
        self._remember(session, notice, host, now_us)
        if was_host:
            self.close_room(room, RoomEvent.HOST_GONE, Notice.ROOM_CLOSED, now_us)
            return
        self._step_room(room, RoomEvent.LEFT)
        if was_relayed_to and event in TOLD_TO_OTHERS and self.tables.room.takes(room.state, RoomEvent.RELAYED):
            self.tell_others(session, Notice.LEFT)

    def close_room(self, room: Room, event: RoomEvent, notice: Notice, now_us: int) -> None:
        """Close a room: every session in it ends and is told; its name lingers (R-ROOM-2)."""
        self._step_room(room, event)
        host, room.host = room.host, None
        assert host is not None, "a room that is not closed has a host"
        told = [member for member in room.members.values() if member is not host]
        told += [old for member in told if (old := self.superseded_by(member)) not in (None, host)]
        told = [member for member in [host, *told] if member.token in self.sessions]
        for member in told:
            self._release_address(member)  # they end together: none keeps another at its address from being told
        for member in told:
            self._end_with_room(member, notice, host.name, now_us)
        linger_us = SHUTDOWN_LINGER_US if event is RoomEvent.SHUTDOWN else self.limits.linger
        if not room.host_has_entered:
            self._host_is_waited_for_no_more(room)
            if not told:
                linger_us = 0  # R-LIM-2: it had no other member to be told
        if linger_us:
            self.timers.arm(Deadline.LINGER, room.name_bytes, now_us + linger_us)
        else:
            self.drain(room)

    def shutdown(self, now_us: int) -> None:
        """Close every room and take nothing new; what is closing already lingers no longer than the rest."""
        self.is_stopping = True
        for room in list(self.rooms.values()):
            when_us = now_us + SHUTDOWN_LINGER_US
            if self.tables.room.takes(room.state, RoomEvent.SHUTDOWN):
                self.close_room(room, RoomEvent.SHUTDOWN, Notice.SHUTDOWN, now_us)
            elif (self.timers.when_us(Deadline.LINGER, room.name_bytes) or 0) > when_us:
                self.timers.arm(Deadline.LINGER, room.name_bytes, when_us)

    def _end_with_room(self, member: Session, notice: Notice, host: str, now_us: int) -> None:
        self._forget_session(member, SessionEvent.ROOM_CLOSED)
        if member.room.members.get(member.name) is member:
            del member.room.members[member.name]
        self._remember(member, notice, host, now_us)
        self._step_room(member.room, RoomEvent.LEFT)

    def drain(self, room: Room) -> None:
        """The linger is over: nothing is left behind (R-ROOM-3)."""
        for token in sorted(room.ended):
            self.forget(room.ended[token])
        del self.rooms[room.name_bytes]
        self.rooms_per_ip.remove(room.owner_ip)
        self._step_room(room, RoomEvent.DRAINED)
        self.outbox.observe(Forgotten(room.name_bytes))

    # --- telling ---------------------------------------------------------------------------------

    def tell_others(self, session: Session, notice: Notice) -> None:
        """Tell everyone else in the room, in each dialect that has a sentence for it."""
        room = session.room
        host = room.host.name if room.host is not None else ""
        for (codec, listener), group in room.fanout_groups.items():
            if codec.dialect.notices.get(notice) is None:
                continue
            for token, targets in codec.audiences(group.all_but(session), notice):
                data = write_notice(codec, notice, name=session.name, room=room.name, host=host, token=token)
                if data is not None and not codec.dialect.endings.end(data):  # by a name in it (R-REL-3)
                    self.outbox.pending.append(Relay(data, targets, PacketKind.NOTICE, listener))

    def answer_ended(self, ended: Ended, source: Address, listener: int, size: int, now_us: int) -> None:
        """An ended token spoke: tell it why, but never be an amplifier (R-END-1)."""
        own = source.ip == ended.ip and listener == ended.listener
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
        self._send_notice(ended.sentence, source, listener)

    def _remember(self, session: Session, notice: Notice | None, host: str, now_us: int) -> None:
        sentence = None
        if notice is not None:
            sentence = write_notice(
                session.codec, notice, name=session.name, room=session.room.name, host=host, token=session.token
            )
        ended = Ended(
            session.token, session.name, session.room, session.codec, session.ip, session.address, sentence,
            session.listener, now_us,
        )  # fmt: skip
        linger_us = max(self.limits.linger, SHUTDOWN_LINGER_US if self.is_stopping else 0)
        if linger_us:
            self.ended[ended.token] = session.room.ended[ended.token] = ended
            self.timers.arm(Deadline.FORGET, ended.token, now_us + linger_us)
        self.tell(ended, now_us)
        if not linger_us:
            self.outbox.observe(Forgotten(ended.token))

    def tell(self, ended: Ended, now_us: int) -> None:
        """Tell it now, and say when again."""
        if ended.sentence is None or ended.address is None:
            return
        if not self.sessions_at.get(ended.address):
            self._send_notice(ended.sentence, ended.address, ended.listener)
        ended.times_told += 1
        forget_us = self.timers.when_us(Deadline.FORGET, ended.token)
        if ended.times_told < ended.codec.dialect.notice_repeat and forget_us is not None:
            when_us = ended.ended_us + NOTICE_AGAIN_AFTER_US[ended.times_told]
            if when_us < forget_us:
                self.timers.arm(Deadline.NOTICE, ended.token, when_us)

    def forget(self, ended: Ended) -> None:
        """The ended token is remembered no longer."""
        self.timers.cancel(Deadline.NOTICE, ended.token)
        self.timers.cancel(Deadline.FORGET, ended.token)
        del self.ended[ended.token]
        del ended.room.ended[ended.token]
        self.outbox.observe(Forgotten(ended.token))

    def _send_notice(self, data: bytes, address: Address, listener: int) -> None:
        self.outbox.pending.append(SendDatagram(data, address, PacketKind.NOTICE, listener))

    # --- silence ---------------------------------------------------------------------------------

    def _watch_silence(self, session: Session, when_us: int) -> None:
        """Look at the session's silence at `when_us`, unless that is done earlier anyway."""
        if not session.alarm_us or when_us < session.alarm_us:
            session.alarm_us = when_us
            heappush(self._silences, (when_us, session.number, session))
            self._compact_silences()

    def _compact_silences(self) -> None:
        """Drop what stands in the heap for nothing once that is the most of it: ended sessions among it."""
        if is_mostly_stale(len(self._silences), len(self.sessions)):
            self._silences = [(each.alarm_us, each.number, each) for each in self.sessions.values()]
            heapify(self._silences)

    def next_silence_us(self) -> int | None:
        """When the next session may have been silent for too long, or None."""
        heap = self._silences
        # `is not`: a token may be granted again once it is forgotten.
        while heap and (self.sessions.get(heap[0][2].token) is not heap[0][2] or heap[0][0] != heap[0][2].alarm_us):
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
        is_tokened = self.tables.session.takes(session.state, SessionEvent.ENTERED)
        if session.last_heard_us + self._silence_max_us(session) > when_us:  # its turn comes among the others
            self.expect_speech(session)
            return True
        self.outbox.observe(TimerFired(Deadline.UNUSED if is_tokened else Deadline.IDLE, session.token))
        why = f"granted in {session.codec.dialect.name}, silent since: wrong dialect?" if is_tokened else ""
        self.end(session, SessionEvent.IDLED, Notice.IDLED, now_us, why=why)
        return True

    # --- a room comes from another server, or goes there -----------------------------------------

    def count_room(self, room: Room) -> None:
        """A room is here now."""
        self.rooms_per_ip.add(room.owner_ip)
        if not room.host_has_entered:
            self.unentered_rooms_per_ip.add(room.owner_ip)

    def take_out_room(self, room: Room) -> None:
        """A room without sessions and ended tokens is here no more."""
        del self.rooms[room.name_bytes]
        self.timers.cancel(Deadline.LINGER, room.name_bytes)
        self.rooms_per_ip.remove(room.owner_ip)
        if not room.host_has_entered:
            self.unentered_rooms_per_ip.remove(room.owner_ip)

    def take_out(self, session: Session) -> None:
        """A session is here no more, which is no step of it."""
        del self.sessions[session.token]
        self.sessions_per_ip.remove(session.ip)
        self._release_address(session)
        self.outbox.observe(Forgotten(session.token))
        self._compact_silences()

    # --- small steps -----------------------------------------------------------------------------

    def _step(self, session: Session, event: SessionEvent) -> None:
        self.outbox.step(self.tables.session, (session,), event)

    def _step_room(self, room: Room, event: RoomEvent) -> None:
        self.outbox.step(self.tables.room, (room,), event)

    def _forget_session(self, session: Session, event: SessionEvent, why: str = "") -> None:
        self.outbox.step(self.tables.session, (session,), event, why=why)
        del self.sessions[session.token]
        self.sessions_per_ip.remove(session.ip)
        session.room.remove(session)
        self._compact_silences()

    def set_address(self, session: Session, address: Address) -> None:
        # The IP address is the session's own; sharing its text matters where there are many.
        session.address = address = Address(session.ip, address.port)
        self.sessions_at[address] = self.sessions_at.get(address, 0) + 1

    def _release_address(self, session: Session) -> None:
        address = session.address
        if address is not None:
            self.sessions_at[address] -= 1
            if not self.sessions_at[address]:
                del self.sessions_at[address]

    def _host_is_waited_for_no_more(self, room: Room) -> None:
        room.host_has_entered = True
        self.unentered_rooms_per_ip.remove(room.owner_ip)

    def _unused_token(self) -> bytes:
        token = self._new_token()
        while token in self.sessions or token in self.ended:
            token = self._new_token()
        return token
