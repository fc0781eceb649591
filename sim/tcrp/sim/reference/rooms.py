"""Rooms and sessions of the reference server: how a session begins, enters and ends, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable

from tcrp.engine.outputs import Address, SendDatagram, ServerOutput, Stepped
from tcrp.sim.reference import wire
from tcrp.sim.reference.state import Room, Session
from tcrp.spec.dialects import Dialect
from tcrp.spec.limits import NOTICE_AGAIN_AFTER_US, SHUTDOWN_LINGER_US, Limits
from tcrp.spec.names import Machine, Notice, PacketKind, RoomEvent, RoomState, Rule, SessionEvent, SessionState

REASONS = {
    SessionEvent.IDLED: Notice.IDLED,
    SessionEvent.REMOVED: Notice.REMOVED,
    SessionEvent.SUPERSEDED: Notice.SUPERSEDED,
}
"""What a session is told that ends by itself. One that leaves is not told why (R-END-1)."""


class Rooms:
    """All rooms with their sessions, and the outputs of the call under way."""

    def __init__(self, limits: Limits, new_token: Callable[[], bytes]) -> None:
        self.limits = limits
        self.by_name: dict[str, Room] = {}
        self.outputs: list[ServerOutput] = []
        self.is_stopping = False
        self._new_token = new_token
        self.granted = 0  # sessions so far, by which they are numbered

    def sessions(self) -> list[Session]:
        """Every living session."""
        return [session for room in self.by_name.values() for session in room.sessions]

    # --- a session's life --------------------------------------------------------------------------

    def create(self, name: str, password: str, ip: str) -> Room:
        """R-TCP-4: the name is taken from now on, until the room is closed."""
        room = self.by_name[name] = Room(name, password, ip)
        self._step(Machine.ROOM, room.name.encode(), RoomEvent.CREATED, RoomState.VACANT, RoomState.OPEN)
        return room

    def grant(self, room: Room, name: str, ip: str, dialect: Dialect, listener: int, now_us: int) -> Session:
        """R-TOK-1: a token for one user, one room, one IP address. R-ROOM-1: the first one is the host's."""
        session = Session(self._new_token(), name, room, ip, dialect, now_us, self.granted, listener)
        self.granted += 1
        room.sessions.append(session)
        if room.host is None:
            room.host = session
        self._step_session(session, SessionEvent.GRANTED, SessionState.ANONYMOUS)
        return session

    def enter(self, session: Session, address: Address, now_us: int) -> None:
        """A session's address is known. What comes later than its first address is no entering."""
        if session.state is not SessionState.TOKENED:
            return
        session.address, session.last_heard_us = address, now_us
        session.state = SessionState.IN_ROOM
        self._step_session(session, SessionEvent.ENTERED, SessionState.TOKENED)
        if session.room.host is session:
            session.room.host_has_entered = True
        self._announce(session, Notice.JOINED)

    def end(self, session: Session, event: SessionEvent, now_us: int) -> None:
        """A session ends. It is told why (R-END-1), the others are told of it, and a host's room closes (R-ROOM-2)."""
        room, had_entered = session.room, session.state is SessionState.IN_ROOM
        self._expire(session, event, REASONS.get(event), now_us)
        if event is SessionEvent.LEFT and had_entered:
            self._say_goodbye(session)
        self.tell(session)
        if room.host is session:
            self._close(room, now_us, RoomEvent.HOST_GONE, Notice.ROOM_CLOSED, self.limits.linger)
        elif had_entered and event is not SessionEvent.SUPERSEDED:
            self._announce(session, Notice.LEFT)

    def undo(self, session: Session, now_us: int) -> None:
        """Its token was never handed over: as if it had not been granted, and nobody is told."""
        room = session.room
        self._expire(session, SessionEvent.LEFT, None, now_us)
        room.ended = [each for each in room.ended if each is not session]
        if room.host is session:
            self._close(room, now_us, RoomEvent.HOST_GONE, Notice.ROOM_CLOSED, self.limits.linger)

    def _expire(self, session: Session, event: SessionEvent, notice: Notice | None, now_us: int) -> None:
        before, session.state = session.state, SessionState.EXPIRED
        room = session.room
        room.sessions.remove(session)
        linger_us = max(self.limits.linger, SHUTDOWN_LINGER_US) if self.is_stopping else self.limits.linger
        session.notice, session.forgotten_us = notice, now_us + linger_us
        if linger_us:  # R-TOK-4, R-END-1: remembered for linger
            room.ended.append(session)
        if notice is not None and session.address is not None:
            again = [now_us + after_us for after_us in NOTICE_AGAIN_AFTER_US[1 : session.dialect.notice_repeat]]
            session.tell_us = [when_us for when_us in again if when_us < session.forgotten_us]
        self._step_session(session, event, before)

    # --- a room's end ------------------------------------------------------------------------------

    def _close(self, room: Room, now_us: int, event: RoomEvent, notice: Notice, linger_us: int) -> None:
        """R-ROOM-2: every session in the room ends and is told. Its name stays taken for the linger."""
        room.state = RoomState.CLOSING
        self._step(Machine.ROOM, room.name.encode(), event, RoomState.OPEN, RoomState.CLOSING)
        ended = list(room.sessions)
        room.drained_us = now_us + linger_us
        for session in ended:
            self._expire(session, SessionEvent.ROOM_CLOSED, notice, now_us)
        for session in ended:
            self.tell(session)
        was_nobodys = not room.host_has_entered and not ended  # R-LIM-2
        if linger_us == 0 or was_nobodys:
            self.drain(room)

    def drain(self, room: Room) -> None:
        """R-ROOM-3: a closed room leaves nothing behind."""
        room.state = RoomState.CLOSED
        del self.by_name[room.name]
        self._step(Machine.ROOM, room.name.encode(), RoomEvent.DRAINED, RoomState.CLOSING, RoomState.CLOSED)

    def shutdown(self, now_us: int) -> None:
        """Close every room, and take nothing new; closing takes half a second at most from now on (R-END-1)."""
        self.is_stopping = True
        for room in list(self.by_name.values()):
            if room.state is RoomState.OPEN:
                self._close(room, now_us, RoomEvent.SHUTDOWN, Notice.SHUTDOWN, SHUTDOWN_LINGER_US)
            else:
                room.drained_us = min(room.drained_us, now_us + SHUTDOWN_LINGER_US)

    # --- notices -----------------------------------------------------------------------------------

    def tell(self, session: Session, address: Address | None = None, bytes_max: int | None = None) -> bool:
        """R-END-1: tell an ended session why, unless its address is another's by now. Whether it was told."""
        address = address or session.address
        if session.notice is None or address is None:
            return False
        if any(each.address == address for each in self.sessions()):
            return False
        data = wire.notice(session.dialect, session.notice, session.name, session.room.name, _host_of(session.room))
        assert data is not None, "every dialect has a sentence for every ending"
        if bytes_max is not None and len(data) > bytes_max:
            return False
        self.outputs.append(SendDatagram(data, address, PacketKind.NOTICE, session.listener))
        return True

    def _say_goodbye(self, session: Session) -> None:
        """A session that leaves is told where its dialect has a sentence for it; a host's may be another."""
        spoken, room = session.dialect, session.room
        telling = spoken.host_quit if room.host is session else spoken.notices.get(Notice.QUIT)
        if telling is not None:
            data = wire.sentence(telling, session.name, room.name, session.name)
            self.outputs.append(SendDatagram(data, session.address, PacketKind.NOTICE, session.listener))

    def _announce(self, session: Session, kind: Notice) -> None:
        """Tell the others of a session that has entered or gone (R-EXIT-1)."""
        room = session.room
        for member in others(session):
            if member.name == session.name:  # R-NAME-2: whom it supersedes is told only that
                continue
            data = wire.notice(member.dialect, kind, session.name, room.name, _host_of(room))
            if data is not None and not wire.ends(member.dialect, data):  # R-REL-3
                self.outputs.append(SendDatagram(data, member.address, PacketKind.NOTICE, member.listener))

    # --- steps -------------------------------------------------------------------------------------

    def _step_session(self, session: Session, event: SessionEvent, before: SessionState) -> None:
        self._step(Machine.SESSION, session.token, event, before, session.state)

    def _step(self, machine: Machine, subject: bytes, event: str, before: str, after: str) -> None:
        self.outputs.append(Stepped(machine, subject, "", event, before, after, Rule.TOK_1, ""))


def others(session: Session) -> list[Session]:
    """The other sessions that are in the room (R-TOK-2, R-REL-1)."""
    return [each for each in session.room.sessions if each is not session and each.state is SessionState.IN_ROOM]


def _host_of(room: Room) -> str:
    assert room.host is not None, "a room has a host"
    return room.host.name
