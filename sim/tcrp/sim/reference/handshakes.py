"""The TCP side of the reference server: reads requests, decides them in the order of R-TCP-2, and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tcrp.engine.outputs import Address, CloseStream, FinishStream, SendDatagram, SendFrame, Stepped, StreamId
from tcrp.sim.reference import wire
from tcrp.sim.reference.rooms import Rooms
from tcrp.sim.reference.state import Connection, Room, Session, group_of, plain
from tcrp.spec.dialects import Dialect, LearnedFrom
from tcrp.spec.limits import MINUTE_US, PORT_MIN, SECOND_US, TAKEOVERS_A_MINUTE_MAX
from tcrp.spec.names import (
    HandshakeEvent,
    HandshakeState,
    Machine,
    PacketKind,
    Reason,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)


class No(NamedTuple):
    """A request is refused for `reason`, which follows from `rule`."""

    reason: Reason
    rule: Rule = Rule.TCP_2


class Yes(NamedTuple):
    """A request is granted a place in a room, a new one if None; perhaps that of another session."""

    room: Room | None
    supersedes: Session | None = None


class Handshakes:
    """All connections. Each listener has the dialects that it recognises, in order; none: `auto`."""

    def __init__(self, rooms: Rooms, listeners: Sequence[Sequence[Dialect]]) -> None:
        self.connections: dict[StreamId, Connection] = {}
        self._rooms = rooms
        self._listeners = listeners

    # --- what happens to a connection --------------------------------------------------------------

    def opened(self, stream: StreamId, peer: Address, listener: int, now_us: int) -> None:
        """A peer has connected. R-LIM-1: one connection too many is closed without a word."""
        limits = self._rooms.limits
        connection = Connection(stream, plain(peer).ip, listener, now_us + limits.handshake_timeout)
        of_group = sum(self._group(each.ip) == self._group(connection.ip) for each in self.connections.values())
        is_over = len(self.connections) >= limits.connections_max or of_group >= limits.connections_per_ip_max
        if is_over or self._rooms.is_stopping:
            self._step_to_refused(connection, No(Reason.TOO_MANY_REQUESTS, Rule.LIM_1))
            self._rooms.outputs.append(CloseStream(stream))
        else:
            self.connections[stream] = connection

    def received(self, stream: StreamId, data: bytes, now_us: int) -> None:
        """Bytes of a peer. Requests may be cut anywhere; after the last frame bytes are discarded (R-TCP-3)."""
        connection = self.connections.get(stream)
        if connection is None:
            return
        connection.data += data
        if connection.state in (HandshakeState.IDLE, HandshakeState.REQUESTED):
            self._read_request(connection, now_us)
        elif connection.state is HandshakeState.COMPLETED:
            self._read_trailer(connection, now_us)

    def ended(self, stream: StreamId, now_us: int) -> None:
        """The peer sends no more. It may still read: what is accepted is completed (R-TCP-3)."""
        connection = self.connections.get(stream)
        if connection is not None:
            connection.peer_ended = True
            if connection.state is not HandshakeState.ACCEPTED:
                self._abandon(connection, now_us)
                self._close(connection)

    def closed(self, stream: StreamId, now_us: int) -> None:
        """The connection is lost."""
        connection = self.connections.pop(stream, None)
        if connection is not None:
            self._abandon(connection, now_us)

    def time_out(self, connection: Connection, now_us: int) -> None:
        """R-TCP-5: half a request, rubbish, or nothing. R-TCP-3: a peer that does not close."""
        if connection.state is HandshakeState.ACCEPTED:  # the server is late, not the peer
            self.complete(connection, now_us)
        self._abandon(connection, now_us)
        if connection.stream in self.connections:
            self._close(connection)

    def _abandon(self, connection: Connection, now_us: int) -> None:
        """A peer that goes before its completion has been granted nothing (chapter 1)."""
        if connection.state in (HandshakeState.IDLE, HandshakeState.REQUESTED, HandshakeState.ACCEPTED):
            self._step(connection, HandshakeEvent.ABANDONED, HandshakeState.ABANDONED)
            session = connection.session
            if session is not None and session.state is not SessionState.EXPIRED:
                self._rooms.undo(session, now_us)

    def _close(self, connection: Connection) -> None:
        del self.connections[connection.stream]
        self._rooms.outputs.append(CloseStream(connection.stream))

    def _finish(self, connection: Connection) -> None:
        """R-TCP-3: after the last frame the server half-closes, and waits for the peer's end."""
        if connection.peer_ended:
            self._close(connection)
        else:
            self._rooms.outputs.append(FinishStream(connection.stream))

    # --- reading -----------------------------------------------------------------------------------

    def _read_request(self, connection: Connection, now_us: int) -> None:
        """Chapters 3 and 4: a request in a dialect that the listener takes."""
        limits, data = self._rooms.limits, connection.data
        dialects = self._listeners[connection.listener] or wire.AUTOMATIC
        lists = next(
            (each for each in dialects if wire.asks_for_list(each, data, limits.request_bytes_max) is not None), None
        )
        try:
            request = wire.read_request(data, dialects, limits.request_bytes_max) if lists is None else None
        except wire.Wrong as wrong:
            no = No(Reason.BAD_REQUEST, Rule.LIM_1 if wrong.too_long else Rule.TCP_2)  # R-LIM-1
            self._refuse(connection, dialects[0], no, b"", wrong.operation)
            return
        if connection.state is HandshakeState.IDLE and wire.has_begun(dialects, data):
            self._step(connection, HandshakeEvent.REQUESTED, HandshakeState.REQUESTED)
            if self._answers_head(connection):
                self._send(connection, wire.answer(dialects[0], b"", 0), PacketKind.ANSWER)
        if lists is not None:
            self._list(connection, lists)
        if request is None:
            return
        connection.data = request.rest
        decision = self._decide(request, connection.ip, now_us)
        if isinstance(decision, No):
            self._refuse(connection, request.dialect, decision, request.room, request.code)
        else:
            self._accept(connection, request, decision, now_us)

    def _read_trailer(self, connection: Connection, now_us: int) -> None:
        """Chapter 4: two more bytes are the UDP port; one below 1024 says nothing (R-ADDR-1)."""
        session, data = connection.session, connection.data
        if session is not None and session.dialect.learned_from is LearnedFrom.TRAILER and len(data) >= 2:
            port = int.from_bytes(data[:2], "big")
            if port >= PORT_MIN and session.state is SessionState.TOKENED:
                address = Address(session.ip, port)
                self._rooms.enter(session, address, now_us)
                if session.answers_keep_alive:  # R-IDLE-1
                    self._rooms.outputs.append(
                        SendDatagram(b"", address, PacketKind.KEEP_ALIVE_ANSWER, session.listener)
                    )

    # --- deciding ----------------------------------------------------------------------------------

    def _decide(self, request: wire.Request, ip: str, now_us: int) -> Yes | No:
        """R-TCP-2: the reasons for a refusal, tested in their order."""
        name, creates = wire.room_name(request.room), request.creates
        if request.fault is Rule.TCP_2:
            return No(Reason.BAD_REQUEST)
        if name is None or request.fault is not None:  # R-NAME-1, R-ADDR-1
            return No(Reason.BAD_REQUEST, Rule.NAME_1 if name is None else request.fault or Rule.NAME_1)
        room = self._rooms.by_name.get(name)
        too_many = self._too_many(ip, creates)
        if too_many is not None:
            return No(Reason.TOO_MANY_REQUESTS, too_many)
        is_open = room is not None and room.state is RoomState.OPEN
        # R-NAME-2: who creates a room whose host they are asks for the host's place.
        is_hosts = room is not None and room.host is not None and room.host.name == request.name
        if creates and room is not None and not (is_open and is_hosts):  # a closing room counts as existing
            return No(Reason.ROOM_EXISTS, Rule.TCP_4)
        if not creates and not is_open:  # and as missing
            return No(Reason.NO_SUCH_ROOM)
        if room is None:
            return Yes(None)
        holders = [each for each in room.sessions if each.name == request.name]
        # R-NAME-1: a name is unique in its room. Of a takeover under way both sessions live.
        may_take_over = len(holders) == 1 and self._may_take_over(request, holders[0], ip, now_us)
        if creates and not may_take_over:
            return No(Reason.ROOM_EXISTS, Rule.TCP_4)
        wrong = Reason.ROOM_EXISTS if creates else Reason.WRONG_PASSWORD
        if room.password and not request.password:  # R-PASS-1: to give none is not a try
            return No(wrong, Rule.PASS_1)
        if room.password and (reason := self._try(room, request.password, ip, wrong, now_us)):
            return No(reason, Rule.PASS_1)
        if holders:
            return Yes(room, supersedes=holders[0]) if may_take_over else No(Reason.NAME_TAKEN, Rule.NAME_2)
        if len({each.name for each in room.sessions}) >= self._rooms.limits.members_max:
            return No(Reason.ROOM_FULL, Rule.LIM_1)
        return Yes(room)

    def _too_many(self, ip: str, creates: bool) -> Rule | None:
        """R-LIM-1, R-LIM-2: what there is too much of already."""
        limits, group = self._rooms.limits, self._group(ip)
        sessions = self._rooms.sessions()
        if self._rooms.is_stopping or len(sessions) >= limits.sessions_max:
            return Rule.LIM_1
        if sum(self._group(each.ip) == group for each in sessions) >= limits.sessions_per_ip_max:
            return Rule.LIM_1
        if not creates:
            return None
        mine = [each for each in self._rooms.by_name.values() if self._group(each.creator) == group]
        if len(self._rooms.by_name) >= limits.rooms_max or len(mine) >= limits.rooms_per_ip_max:
            return Rule.LIM_1
        waiting = sum(each.state is RoomState.OPEN and not each.host_has_entered for each in mine)
        return Rule.LIM_2 if waiting >= limits.unentered_rooms_per_ip_max else None

    def _try(self, room: Room, password: str, ip: str, wrong: Reason, now_us: int) -> Reason | None:
        """R-PASS-1: why the password is refused. After the last wrong one of a minute, one a second is looked at."""
        tries, most = room.wrong_tries_us.setdefault(self._group(ip), []), self._rooms.limits.password_tries_max
        tries[:] = [each for each in tries if now_us - each < MINUTE_US]
        is_locked = len(tries) >= most
        if is_locked and now_us - tries[-1] < SECOND_US:
            return Reason.TOO_MANY_REQUESTS
        if password == room.password:
            return None
        if is_locked:
            tries[-1] = now_us
            return Reason.TOO_MANY_REQUESTS
        tries.append(now_us)
        if len(tries) == most:
            tries[:] = [now_us] * most
        return wrong

    def _may_take_over(self, request: wire.Request, holder: Session, ip: str, now_us: int) -> bool:
        """R-NAME-2: whether the request may have a name that is in use. Its password is right."""
        limits = self._rooms.limits
        is_near = holder.ip == ip  # R-TOK-3
        owns = is_near and request.resume_token == holder.token
        is_silent = is_near and now_us - holder.last_heard_us >= limits.takeover_after
        may = {"token": owns, "same_address": owns or is_silent, "off": False}[str(limits.takeover)]
        pending = [each.session for each in self.connections.values() if each.state is HandshakeState.ACCEPTED]
        recent = sum(now_us - each < MINUTE_US for each in holder.room.takeovers_us.get(holder.name, []))
        return may and holder not in pending and recent < TAKEOVERS_A_MINUTE_MAX

    # --- answering ---------------------------------------------------------------------------------

    def _list(self, connection: Connection, spoken: Dialect) -> None:
        """Chapter 4: the open rooms without password whose names hold no comma, as many as fit."""
        names = b""
        for room in self._rooms.by_name.values():
            name = room.name.encode()
            if room.state is RoomState.OPEN and not room.password and b"," not in name:
                longer = names + b"," + name if names else name
                if len(longer) > wire.LISTING_BYTES_MAX:
                    break
                names = longer
        self._step(connection, HandshakeEvent.LISTED, HandshakeState.COMPLETED)
        self._send(connection, wire.listing(spoken, names), PacketKind.LISTING)
        self._finish(connection)

    def _refuse(self, connection: Connection, spoken: Dialect, no: No, room: bytes, operation: int) -> None:
        self._step_to_refused(connection, no)
        for data in wire.refusal(spoken, no.reason, room, operation):
            self._send(connection, data, PacketKind.REFUSAL)
        self._finish(connection)

    def _accept(self, connection: Connection, request: wire.Request, yes: Yes, now_us: int) -> None:
        """Grant a token. With two frames the completion is a step of its own."""
        assert request.name is not None, "a bad request is refused"
        place = yes.room or self._rooms.create(request.room.decode(), request.password, connection.ip)
        session = self._rooms.grant(place, request.name, connection.ip, request.dialect, connection.listener, now_us)
        session.answers_keep_alive = request.answer_keep_alive
        connection.accepted_us, connection.request = now_us, request
        connection.session, connection.supersedes = session, yes.supersedes
        self._step(connection, HandshakeEvent.ACCEPTED, HandshakeState.ACCEPTED)
        data = wire.answer(request.dialect, request.room, request.code)
        if not data:
            self.complete(connection, now_us)
        elif not self._answers_head(connection):
            self._send(connection, data, PacketKind.ANSWER)

    def _answers_head(self, connection: Connection) -> bool:
        """R-TCP-2: a listener of one dialect may answer a request's head."""
        dialects = self._listeners[connection.listener] or wire.AUTOMATIC
        return len(dialects) == 1 and dialects[0].answers_head

    def complete(self, connection: Connection, now_us: int) -> None:
        """Hand over the token (R-TCP-1), half-close (R-TCP-3), and let the session enter if its port is known."""
        session, request, rooms = connection.session, connection.request, self._rooms
        assert session is not None, "it was accepted"
        assert request is not None, "it was accepted"
        self._step(connection, HandshakeEvent.COMPLETED, HandshakeState.COMPLETED)
        room, timeout_us = session.room, rooms.limits.idle_timeout
        data = wire.completion(request, room.name, session.token, timeout_us)
        self._send(connection, data, PacketKind.COMPLETION)
        self._finish(connection)
        old = connection.supersedes
        if old is not None and old.state is SessionState.EXPIRED:
            old = None
        if old is not None and room.host is old:  # R-NAME-2: the new one inherits being host
            room.host = session
        if request.dialect.learned_from is LearnedFrom.REQUEST and request.port is not None:  # R-ADDR-1
            rooms.enter(session, Address(session.ip, request.port), now_us)
        if old is not None:
            room.takeovers_us.setdefault(session.name, []).append(now_us)
            rooms.end(old, SessionEvent.SUPERSEDED, now_us)
        self._read_trailer(connection, now_us)

    def has_handed_over(self, session: Session) -> bool:
        """R-TOK-2: before its peer is sent it, nobody holds a session's token."""
        mine = (each for each in self.connections.values() if each.session is session)
        return all(each.state is not HandshakeState.ACCEPTED for each in mine)

    # --- what is put out ---------------------------------------------------------------------------

    def _group(self, ip: str) -> str:
        return group_of(ip, self._rooms.limits)

    def _send(self, connection: Connection, data: bytes, what: PacketKind) -> None:
        self._rooms.outputs.append(SendFrame(connection.stream, data, what))

    def _step_to_refused(self, connection: Connection, no: No) -> None:
        self._step(connection, HandshakeEvent.REFUSED, HandshakeState.REFUSED, no.reason, no.rule)

    def _step(
        self, connection: Connection, event: HandshakeEvent, to: HandshakeState, why: str = "", rule: Rule = Rule.TCP_2
    ) -> None:
        from_, connection.state = connection.state, to
        self._rooms.outputs.append(Stepped(Machine.HANDSHAKE, connection.stream, "", event, from_, to, rule, why))
