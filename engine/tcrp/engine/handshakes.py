"""The TCP side of a server (R-TCP-1): one handshake per connection, which yields one token or one refusal.

Reads requests as they come in pieces, decides them in the order of R-TCP-2, and answers. What a
granted session then does is the registry's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hmac import compare_digest
from typing import Any, Protocol

from tcrp.engine.codec import PORT_BYTES, Codec, learns_port, port_fault
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.meanings import Asked, Request
from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Elsewhere,
    FinishStream,
    Forgotten,
    SendDatagram,
    SendFrame,
    StreamId,
)
from tcrp.engine.peers import PeerCounts, peer_of, unmap_ipv4
from tcrp.engine.recognition import Recognised, Recogniser
from tcrp.engine.registry import SessionRegistry
from tcrp.engine.rooms import Room, Session, latest
from tcrp.engine.templates import Mismatch, Partial
from tcrp.engine.text import room_name_fault, user_name_fault
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import QUIET_US, SECOND_US
from tcrp.spec.names import (
    Deadline,
    HandshakeEvent,
    HandshakeState,
    Machine,
    Operation,
    PacketKind,
    Reason,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
)


class Beside(Protocol):
    """The rooms of other servers, for a server that shares one space of names with them."""

    def serves(self, room: bytes) -> bool:
        """Whether requests for this room are to be decided here."""

    def listed(self) -> Iterable[bytes]:
        """The rooms of others that a list of open rooms names."""


class Handshake:
    """One connection. `name` is how traces call it."""

    __slots__ = (
        "asks_for_timeout", "buffer", "code", "codec", "held", "held_data", "ip", "is_finished", "listener", "name",
        "operation", "peer_ended", "peer_port", "port", "room_name", "session", "state", "stream", "user_name",
    )  # fmt: skip

    def __init__(self, stream: StreamId, name: str, ip: str, peer_port: int, listener: int) -> None:
        self.stream = stream
        self.listener = listener
        self.name = name
        self.ip = ip
        self.peer_port = peer_port  # of the TCP connection
        self.state = HandshakeState.IDLE
        self.buffer = bytearray()
        self.code = 0  # the peer's own number for the operation
        self.operation = Operation.JOIN
        self.room_name = b""  # once the whole request is there
        self.user_name = ""
        self.codec: Codec | None = None
        self.asks_for_timeout = False
        self.port: int | None = None  # of the request, where the dialect learns it there
        self.session: bytes | None = None  # the token that it was granted
        self.is_finished = False  # the last frame is out; what still comes is a trailer or nothing
        self.peer_ended = False
        self.held: tuple[Codec, Asked] | None = None  # a request that waits, for a room of another server
        self.held_data = b""  # its bytes

    @property
    def subject(self) -> StreamId:
        """How observations name it."""
        return self.stream

    @property
    def id(self) -> str:
        """How people call it."""
        return self.name


class Rejection(Exception):
    """A request is refused for `reason`, which follows from `rule`. Never leaves this module."""

    def __init__(self, reason: Reason, rule: Rule, why: str = "") -> None:
        self.reason = reason
        self.rule = rule
        self.why = why


class HandshakeServer:
    """All connections of a server, whichever listener they came in by."""

    def __init__(
        self, registry: SessionRegistry, listeners: Sequence[ListenerConfig], beside: Beside | None = None
    ) -> None:
        self.registry = registry
        self.beside = beside
        self.listeners = tuple(listeners)
        self.recognisers = [Recogniser(each.codecs) for each in listeners]
        self.learns_from_connections = any(
            learns_port(each, LearnedFrom.CONNECTION) for listener in listeners for each in listener.codecs
        )
        self.handshakes: dict[StreamId, Handshake] = {}
        self.count_peers()

    def count_peers(self) -> None:
        """Count anew whose connections are open."""
        self.per_ip = PeerCounts(self.registry.limits.ipv6_prefix, (each.ip for each in self.handshakes.values()))

    # --- what happens to a connection ------------------------------------------------------------

    def opened(self, stream: StreamId, peer: Address, name: str, listener: int, now_us: int) -> None:
        """A peer has connected."""
        assert stream not in self.handshakes, f"stream {stream!r} is open already"
        registry, limits = self.registry, self.registry.limits
        ip = unmap_ipv4(peer.ip)
        handshake = Handshake(stream, name, ip, peer.port if self.learns_from_connections else 0, listener)
        total, own = len(self.handshakes), self.per_ip.of(ip)
        if registry.is_stopping or total >= limits.connections_max or own >= limits.connections_per_ip_max:
            self._step(handshake, HandshakeEvent.REFUSED, Rule.LIM_1, Reason.TOO_MANY_REQUESTS)
            registry.outbox.pending.append(CloseStream(stream))
            registry.outbox.observe(Forgotten(stream))
            return
        self.handshakes[stream] = handshake
        self.per_ip.add(ip)
        registry.timers.arm(Deadline.HANDSHAKE, stream, now_us + limits.handshake_timeout)
        if greeting := self.recognisers[listener].codecs[0].write_greeting():
            self._send(handshake, greeting, PacketKind.ANSWER)

    def receive(self, stream: StreamId, data: bytes, now_us: int) -> None:
        """Bytes of a peer, cut anywhere. Those of an unknown stream are ignored."""
        handshake = self.handshakes.get(stream)
        if handshake is None:
            return
        if handshake.is_finished:
            self._read_trailer(handshake, data, now_us)
            return
        # A trailer may come with the request's last bytes.
        room_left = self.registry.limits.request_bytes_max + PORT_BYTES - len(handshake.buffer)
        handshake.buffer += data[: max(room_left, 0)]
        self._take_request(handshake, now_us, is_over=False)

    def ended(self, stream: StreamId, now_us: int) -> None:
        """The peer sends nothing more, but may still read."""
        handshake = self.handshakes.get(stream)
        if handshake is None:
            return
        handshake.peer_ended = True
        if handshake.held is not None:
            return
        if handshake.is_finished:
            self._close(handshake)
        elif not self._is_accepted(handshake):  # else the completion is on its way
            self._take_request(handshake, now_us, is_over=True)
            if handshake.stream in self.handshakes and not handshake.is_finished and not self._is_accepted(handshake):
                self._abandon(handshake, now_us)
                self._close(handshake)

    def closed(self, stream: StreamId, now_us: int) -> None:
        """The connection is gone, both ways."""
        handshake = self.handshakes.get(stream)
        if handshake is None:
            return
        if not handshake.is_finished:
            self._abandon(handshake, now_us)
        self._remove(handshake)

    def time_out(self, stream: StreamId, now_us: int) -> None:
        """Half a request, rubbish or nothing for too long (R-TCP-5), or a peer that never closes."""
        handshake = self.handshakes[stream]
        if self._is_accepted(handshake):  # a server that was held up: its peer was not slow
            self._complete(handshake, now_us)
        elif not handshake.is_finished:
            self._abandon(handshake, now_us)
        if stream in self.handshakes:
            self._close(handshake)

    def complete(self, stream: StreamId, now_us: int) -> None:
        """The answer is out, and the completion's turn has come."""
        self._complete(self.handshakes[stream], now_us)

    def fell_silent(self, stream: StreamId, now_us: int) -> None:
        """A request whose end nothing tells is as long as it is."""
        self._take_request(self.handshakes[stream], now_us, is_over=True)

    # --- requests for rooms of other servers -----------------------------------------------------

    def resume(self, stream: StreamId, now_us: int, *, refused: str = "") -> None:
        """A request that waits is decided here after all, or refused for the reason of that name."""
        handshake = self.handshakes[stream]
        assert handshake.held is not None, f"the request of {stream!r} waits"
        try:
            if refused:
                raise Rejection(Reason.TOO_MANY_REQUESTS, Rule.LIM_1, refused)
            self._serve(handshake, *handshake.held, now_us)
        except Rejection as rejection:
            self._refuse(handshake, rejection)
        handshake.held = None

    def take_away(self, stream: StreamId) -> tuple[bytes, bool]:
        """A request that waits goes to another server: its bytes, and whether its peer has half-closed."""
        handshake = self.handshakes[stream]
        assert handshake.held is not None, f"the request of {stream!r} waits"
        self._remove(handshake)
        return handshake.held_data + handshake.buffer, handshake.peer_ended

    def _abandon(self, handshake: Handshake, now_us: int) -> None:
        self._step(handshake, HandshakeEvent.ABANDONED)
        session = self._session_of(handshake)
        if session is not None:
            self.registry.undo(session, now_us)

    def _close(self, handshake: Handshake) -> None:
        self._remove(handshake)
        self.registry.outbox.pending.append(CloseStream(handshake.stream))

    def forget(self, handshake: Handshake) -> None:
        """Hold nothing of a connection any more; it stays open."""
        self._remove(handshake)

    def _remove(self, handshake: Handshake) -> None:
        del self.handshakes[handshake.stream]
        for kind in (Deadline.HANDSHAKE, Deadline.COMPLETION, Deadline.QUIET):
            self.registry.timers.cancel(kind, handshake.stream)
        self.registry.outbox.observe(Forgotten(handshake.stream))
        self.per_ip.remove(handshake.ip)

    # --- reading a request -----------------------------------------------------------------------

    def _take_request(self, handshake: Handshake, now_us: int, *, is_over: bool) -> None:
        try:
            self._read_request(handshake, now_us, is_over)
        except Rejection as rejection:
            self._refuse(handshake, rejection)

    def _read_request(self, handshake: Handshake, now_us: int, is_over: bool) -> None:
        if self._is_accepted(handshake) or handshake.held is not None:
            return  # the bytes wait for the completion: they are a trailer, or nothing
        data, limit = bytes(handshake.buffer), self.registry.limits.request_bytes_max
        recogniser = self.recognisers[handshake.listener]
        for each in recogniser.lists:
            if (size := each.read_list_request(data, limit=limit)) is not None:
                self._begin(handshake)
                handshake.buffer = handshake.buffer[size:]
                self._list(handshake, each)
                return
        read = recogniser.read(data, limit=limit, is_over=is_over)
        match read:
            case Partial(has_head, is_open):
                if has_head:
                    self._begin(handshake)
                if is_open:
                    self.registry.timers.arm(Deadline.QUIET, handshake.stream, now_us + QUIET_US)
            case Mismatch(is_too_long=is_too_long):
                if is_over:
                    return  # half a request, or nothing
                handshake.code = read.operation
                if is_too_long:
                    raise Rejection(Reason.BAD_REQUEST, Rule.LIM_1, "request too long")
                raise Rejection(Reason.BAD_REQUEST, Rule.TCP_2, read.why)
            case Recognised(speaks, asked):
                self._begin(handshake)
                handshake.code, handshake.operation, handshake.room_name = asked.code, asked.operation, asked.room
                handshake.buffer = handshake.buffer[asked.size :]
                handshake.held_data = data[: asked.size]
                self._serve(handshake, speaks, asked, now_us)

    def _begin(self, handshake: Handshake) -> None:
        """A request has begun: its fixed head is there."""
        if self.registry.tables.handshake.takes(handshake.state, HandshakeEvent.REQUESTED):
            self._step(handshake, HandshakeEvent.REQUESTED)
            if self._answers_head(handshake):  # its client sends the rest only then
                [speaks] = self.recognisers[handshake.listener].codecs
                self._send(handshake, speaks.write_answer(handshake.operation, b""), PacketKind.ANSWER)

    def _answers_head(self, handshake: Handshake) -> bool:
        """Whether its listener has one dialect, whose answer does not wait for the whole request."""
        codecs = self.recognisers[handshake.listener].codecs
        return len(codecs) == 1 and codecs[0].dialect.answers_head

    def _serve(self, handshake: Handshake, speaks: Codec | None, asked: Asked, now_us: int) -> None:
        if speaks is None:
            raise Rejection(Reason.BAD_REQUEST, Rule.TCP_2, "no dialect recognised")
        handshake.codec, request = speaks, asked.request  # from here on it is answered in this dialect
        if request is None:
            raise Rejection(Reason.BAD_REQUEST, Rule.TCP_2, f"not in the dialect {speaks.dialect.name}")
        name = self._judge_request(asked.room, request)
        if not speaks.carries(asked.room, name):
            raise Rejection(Reason.BAD_REQUEST, Rule.NAME_1, f"names that do not fit in {speaks.dialect.name}")
        handshake.user_name = name
        if self.beside is not None and handshake.held is None and not self.beside.serves(asked.room):
            handshake.held = speaks, asked
            creates = handshake.operation is Operation.CREATE
            self.registry.outbox.pending.append(Elsewhere(handshake.stream, asked.room, creates, not request.password))
            return
        self._judge_load(handshake)
        room = self._find_room(handshake, asked.room, name, request, now_us)
        handshake.asks_for_timeout = request.asks_for_timeout
        self._accept(handshake, room, name, request, now_us)

    @staticmethod
    def _judge_request(room_name: bytes, request: Request) -> str:
        if fault := room_name_fault(room_name):
            raise Rejection(Reason.BAD_REQUEST, Rule.NAME_1, f"room name {fault}")
        if fault := user_name_fault(request.name):
            raise Rejection(Reason.BAD_REQUEST, Rule.NAME_1, f"user name {fault}")
        if request.port is not None and (fault := port_fault(request.port)):
            raise Rejection(Reason.BAD_REQUEST, Rule.ADDR_1, f"port {fault}")
        return request.name.decode()

    # --- deciding it, in the order of R-TCP-2 ----------------------------------------------------

    def _judge_load(self, handshake: Handshake) -> None:
        registry, limits, ip = self.registry, self.registry.limits, handshake.ip
        too_many = ""
        rule = Rule.LIM_1
        if registry.is_stopping:
            too_many = "the server is stopping"
        elif len(registry.sessions) >= limits.sessions_max:
            too_many = "sessions_max"
        elif registry.sessions_per_ip.of(ip) >= limits.sessions_per_ip_max:
            too_many = "sessions_per_ip_max"
        elif handshake.operation is not Operation.CREATE:
            pass  # it makes no room
        elif len(registry.rooms) >= limits.rooms_max:
            too_many = "rooms_max"
        elif registry.rooms_per_ip.of(ip) >= limits.rooms_per_ip_max:
            too_many = "rooms_per_ip_max"
        elif registry.unentered_rooms_per_ip.of(ip) >= limits.unentered_rooms_per_ip_max:
            too_many, rule = "unentered_rooms_per_ip_max", Rule.LIM_2
        if too_many:
            raise Rejection(Reason.TOO_MANY_REQUESTS, rule, too_many)

    def _find_room(self, handshake: Handshake, room_name: bytes, name: str, request: Request, now_us: int) -> Room:
        """The room to be granted a place in: a new one, or one whose conditions are met. Raises `Rejection`."""
        registry, ip = self.registry, handshake.ip
        room = registry.rooms.get(room_name)
        if handshake.operation is Operation.CREATE:
            if room is None:
                return Room(room_name, request.password, ip)
            is_hosts = room.host is not None and room.host.name == name
            if not is_hosts or not registry.may_take_over(room.members[name], request.resume_token, ip, now_us):
                self._refuse_room(room_name, room.state, RoomEvent.CREATED, Rule.TCP_4)
                raise Rejection(Reason.ROOM_EXISTS, Rule.TCP_4)
            if not self._password_holds(handshake, room, request, now_us):
                raise Rejection(Reason.ROOM_EXISTS, Rule.PASS_1)
            return room
        if room is None or not registry.tables.room.takes(room.state, RoomEvent.JOINED):
            state = room.state if room is not None else RoomState.VACANT
            self._refuse_room(room_name, state, RoomEvent.JOINED, Rule.TCP_2)
            raise Rejection(Reason.NO_SUCH_ROOM, Rule.TCP_2)
        if not self._password_holds(handshake, room, request, now_us):
            raise Rejection(Reason.WRONG_PASSWORD, Rule.PASS_1)
        holder = room.members.get(name)
        if holder is not None:
            if not registry.may_take_over(holder, request.resume_token, ip, now_us):
                raise Rejection(Reason.NAME_TAKEN, Rule.NAME_2)
        elif len(room.members) >= registry.limits.members_max:
            raise Rejection(Reason.ROOM_FULL, Rule.LIM_1, "members_max")
        return room

    def _refuse_room(self, name: bytes, state: RoomState, event: RoomEvent, rule: Rule) -> None:
        """A room was offered what it does not take as it is."""
        self.registry.outbox.refuse(Machine.ROOM, name.decode(), event, state, f"the room is {state}", rule)

    def _password_holds(self, handshake: Handshake, room: Room, request: Request, now_us: int) -> bool:
        """Whether the password is right; a wrong one is counted. Raises `Rejection` where none is looked at (R-PASS-1).

        During a lock-out one a second still is: it slows a program that guesses, and lets in who knows the password.
        """
        if not room.password:
            return True
        if not request.password:  # which is no try
            return False
        limits = self.registry.limits
        peer = peer_of(handshake.ip, limits.ipv6_prefix)
        tries = room.wrong_passwords.get(peer)
        is_locked = tries is not None and tries.is_full(now_us)
        if tries is not None and is_locked and now_us - tries.latest_us < SECOND_US:
            raise Rejection(Reason.TOO_MANY_REQUESTS, Rule.PASS_1, "password_tries_max")
        if compare_digest(room.password.encode(), request.password.encode()):
            return True
        tries = latest(room.wrong_passwords, peer, limits.password_tries_max, now_us)
        if is_locked:
            tries.latest_us = now_us
            raise Rejection(Reason.TOO_MANY_REQUESTS, Rule.PASS_1, "password_tries_max")
        tries.count(now_us)
        if tries.is_full(now_us):
            tries.fill(now_us)  # for a minute from now on
        return False

    # --- answering -------------------------------------------------------------------------------

    def _accept(self, handshake: Handshake, room: Room, name: str, request: Request, now_us: int) -> None:
        assert handshake.codec is not None, "a request that is accepted has been read"
        registry, speaks = self.registry, handshake.codec
        session = registry.grant(room, name, speaks, handshake.ip, handshake.listener, now_us)
        session.asks_for_answers = request.asks_for_answers
        handshake.session = session.token
        if request.port is not None and learns_port(speaks, LearnedFrom.REQUEST):
            handshake.port = request.port
        elif learns_port(speaks, LearnedFrom.CONNECTION) and port_fault(handshake.peer_port) is None:
            handshake.port = handshake.peer_port
        self._step(handshake, HandshakeEvent.ACCEPTED)
        answer = speaks.write_answer(handshake.operation, room.name_bytes, name)
        if not answer:
            self._complete(handshake, now_us)
            return
        if not self._answers_head(handshake):
            self._send(handshake, answer, PacketKind.ANSWER)
        # The completion is a step of its own, in the same moment or after the dialect's pause: a peer that is found
        # gone while the answer is written has not been handed its token.
        registry.timers.arm(Deadline.COMPLETION, handshake.stream, now_us + speaks.dialect.pause_us)

    def _complete(self, handshake: Handshake, now_us: int) -> None:
        session = self._session_of(handshake)
        token, speaks = handshake.session, handshake.codec
        assert speaks is not None, "what is completed has been read"
        assert token is not None, "what is completed has been accepted"
        registry = self.registry
        self._step(handshake, HandshakeEvent.COMPLETED)
        frame = speaks.write_completion(
            handshake.operation, handshake.room_name, handshake.user_name, token,
            idle_timeout_us=registry.limits.idle_timeout if handshake.asks_for_timeout else None,
            **self._of_room(session),
        )  # fmt: skip
        self._send(handshake, frame, PacketKind.COMPLETION)
        if session is not None:  # nobody has held its token, so that it has not entered
            # Of the request only the port is taken (R-ADDR-1).
            address = Address(handshake.ip, handshake.port) if handshake.port is not None else None
            registry.hand_over(session, address, now_us)
        self._finish(handshake)
        early, handshake.buffer = bytes(handshake.buffer), bytearray()
        if early:
            self._read_trailer(handshake, early, now_us)

    @staticmethod
    def _of_room(session: Session | None) -> dict[str, Any]:
        """What a completion may say of the room."""
        room = session.room if session is not None else None
        host = room.host.name if room is not None and room.host is not None else ""
        return {"host": host, "members": len(room.members) if room is not None else 0}

    def _list(self, handshake: Handshake, speaks: Codec) -> None:
        rooms = self.registry.rooms.values()
        names = [
            room.name_bytes
            for room in rooms
            if self.registry.tables.room.takes(room.state, RoomEvent.JOINED)
            and not room.password
            and speaks.list_separator not in room.name_bytes
        ]
        if self.beside is not None:
            names += [each for each in self.beside.listed() if speaks.list_separator not in each]
        self._step(handshake, HandshakeEvent.LISTED)
        self._send(handshake, speaks.write_listing(names), PacketKind.LISTING)
        self._finish(handshake)

    def _refuse(self, handshake: Handshake, rejection: Rejection) -> None:
        why = f"{rejection.reason}: {rejection.why}" if rejection.why else str(rejection.reason)
        self._step(handshake, HandshakeEvent.REFUSED, rejection.rule, why)
        speaks = handshake.codec or self.recognisers[handshake.listener].codecs[0]
        for data in speaks.write_refusal(handshake.code, handshake.room_name, rejection.reason):
            self._send(handshake, data, PacketKind.REFUSAL)
        self._finish(handshake)

    def _finish(self, handshake: Handshake) -> None:
        """The last frame is out (R-TCP-3)."""
        handshake.is_finished = True
        self.registry.timers.cancel(Deadline.QUIET, handshake.stream)
        if handshake.peer_ended:
            self._close(handshake)
        else:
            self.registry.outbox.pending.append(FinishStream(handshake.stream))

    def _read_trailer(self, handshake: Handshake, data: bytes, now_us: int) -> None:
        session = self._session_of(handshake)
        if session is None or not learns_port(session.codec, LearnedFrom.TRAILER) or not self._awaits_address(session):
            return
        handshake.buffer += data[: PORT_BYTES - len(handshake.buffer)]
        port = int.from_bytes(handshake.buffer, "big")
        if len(handshake.buffer) == PORT_BYTES and port_fault(port) is None:
            address = Address(handshake.ip, port)
            self.registry.enter(session, address, now_us)
            if session.asks_for_answers:  # so that it knows that datagrams arrive, and need not ask
                answer = SendDatagram(b"", address, PacketKind.KEEP_ALIVE_ANSWER, session.listener)
                self.registry.outbox.pending.append(answer)

    # --- small steps -----------------------------------------------------------------------------

    def _session_of(self, handshake: Handshake) -> Session | None:
        """The living session that the handshake was granted."""
        return self.registry.sessions.get(handshake.session) if handshake.session is not None else None

    def _awaits_address(self, session: Session) -> bool:
        return self.registry.tables.session.takes(session.state, SessionEvent.ENTERED)

    def _is_accepted(self, handshake: Handshake) -> bool:
        """Whether its completion is the next that it sends."""
        return self.registry.tables.handshake.takes(handshake.state, HandshakeEvent.COMPLETED)

    def _send(self, handshake: Handshake, data: bytes, what: PacketKind) -> None:
        self.registry.outbox.pending.append(SendFrame(handshake.stream, data, what))

    def _step(self, handshake: Handshake, event: HandshakeEvent, rule: Rule | None = None, why: str = "") -> None:
        self.registry.outbox.step(self.registry.tables.handshake, (handshake,), event, rule, why)
