"""A second server, written from the rules alone, for a reader to hold beside them: each rule's id stands where
it is carried out.

It shares with the engine names, limits, dialects' tables and the types of outputs, and no code. It is slow on
purpose: it keeps lists, and looks through all of them for what is due. Steps by which a machine stays in its
state are not observed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from tcrp.engine.outputs import Address, Dropped, SendDatagram, ServerOutput, StreamId, Withheld
from tcrp.sim.reference import wire
from tcrp.sim.reference.handshakes import Handshakes
from tcrp.sim.reference.rooms import Rooms, others
from tcrp.sim.reference.state import Session, plain
from tcrp.spec.dialects import Dialect
from tcrp.spec.limits import (
    ANSWER_ENDED_EVERY_US,
    ANSWER_ENDED_FACTOR_MAX,
    CLIENT_DATAGRAM_BYTES_MAX,
    REJECTED_IN_A_ROW_MAX,
    SECOND_US,
    SERVER_DATAGRAM_BYTES_MAX,
    Limits,
)
from tcrp.spec.names import HandshakeState, PacketKind, RoomState, Rule, SessionEvent, SessionState


class Due(NamedTuple):
    """Something to be done at a moment. A server that is late ends the silent last, the oldest session first."""

    when_us: int
    act: Callable[[], object]
    is_silence: bool = False
    number: int = 0


class ReferenceServer:
    """Takes what `ServerEngine` takes, and puts out what it should.

    `listeners` are the dialects that each listener recognises, in order; none: `auto`.
    """

    def __init__(self, limits: Limits, listeners: Sequence[Sequence[Dialect]], new_token: Callable[[], bytes]) -> None:
        self.rooms = Rooms(limits, new_token)
        self.handshakes = Handshakes(self.rooms, listeners)

    # --- inputs ------------------------------------------------------------------------------------

    def stream_opened(self, stream: StreamId, peer: Address, now_us: int, listener: int = 0) -> list[ServerOutput]:
        """A peer has connected to a listener."""
        self.handshakes.opened(stream, peer, listener, now_us)
        return self._outputs()

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> list[ServerOutput]:
        """Bytes have arrived on a connection."""
        self.handshakes.received(stream, data, now_us)
        return self._outputs()

    def stream_ended(self, stream: StreamId, now_us: int) -> list[ServerOutput]:
        """The peer sends no more."""
        self.handshakes.ended(stream, now_us)
        return self._outputs()

    def stream_closed(self, stream: StreamId, now_us: int) -> list[ServerOutput]:
        """The connection is lost."""
        self.handshakes.closed(stream, now_us)
        return self._outputs()

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> list[ServerOutput]:
        """A datagram of a client, or of anybody, by a listener."""
        self._hear(data, plain(source), listener, now_us)
        return self._outputs()

    def handle_timeout(self, now_us: int) -> list[ServerOutput]:
        """Do what is due by now, in the order in which it became due."""
        while due := [each for each in self._all_due(now_us) if each.when_us <= now_us]:
            min(due, key=lambda each: (each.is_silence, each.when_us, each.number)).act()
        return self._outputs()

    def next_deadline_us(self) -> int | None:
        """When something is due next."""
        return min((each.when_us for each in self._all_due(0)), default=None)

    def deadlines_us(self) -> list[int]:
        """When everything is due that time alone brings about, in order."""
        return sorted(each.when_us for each in self._all_due(0))

    def shutdown(self, now_us: int) -> list[ServerOutput]:
        """The operator stops the server."""
        self.rooms.shutdown(now_us)
        return self._outputs()

    def remove(self, user: str, room: str, now_us: int) -> list[ServerOutput] | None:
        """The operator removes a user from a room. None if there is no such session."""
        session = next((each for each in self.rooms.sessions() if (each.name, each.room.name) == (user, room)), None)
        if session is None:
            return None
        self.rooms.end(session, SessionEvent.REMOVED, now_us)
        return self._outputs()

    def close_room(self, room: str, now_us: int) -> list[ServerOutput] | None:
        """The operator closes a room by removing its host (R-ROOM-2). None if no such room is open."""
        found = self.rooms.by_name.get(room)
        if found is None or found.host is None or found.state is not RoomState.OPEN:
            return None
        self.rooms.end(found.host, SessionEvent.REMOVED, now_us)
        return self._outputs()

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on. Silences are measured anew; what else is under way keeps its deadline."""
        self.rooms.limits = limits

    def _outputs(self) -> list[ServerOutput]:
        outputs, self.rooms.outputs = self.rooms.outputs, []
        return outputs

    # --- deadlines ---------------------------------------------------------------------------------

    def _all_due(self, now_us: int) -> Iterator[Due]:
        """Everything that will be due. If it is due at `now_us`, this is how it is done."""
        rooms, handshakes = self.rooms, self.handshakes
        for connection in handshakes.connections.values():
            if connection.state is HandshakeState.ACCEPTED:
                yield Due(connection.accepted_us, partial(handshakes.complete, connection, now_us))
            yield Due(connection.ends_us, partial(handshakes.time_out, connection, now_us))
        for room in rooms.by_name.values():
            for session in room.ended:
                if session.tell_us:
                    yield Due(session.tell_us[0], partial(self._tell_again, session))
                yield Due(session.forgotten_us, partial(room.ended.remove, session))
            if room.state is RoomState.CLOSING:
                yield Due(room.drained_us, partial(rooms.drain, room))
            for session in room.sessions:  # R-TOK-5, R-IDLE-1
                has_entered = session.state is SessionState.IN_ROOM
                patience_us = rooms.limits.idle_timeout if has_entered else rooms.limits.token_timeout
                end = partial(rooms.end, session, SessionEvent.IDLED, now_us)
                yield Due(session.last_heard_us + patience_us, end, True, session.number)

    def _tell_again(self, session: Session) -> None:
        """R-END-1: and again after 0.5, 1.5 and 3.5 s."""
        session.tell_us.pop(0)
        self.rooms.tell(session)

    # --- datagrams ---------------------------------------------------------------------------------

    def _hear(self, data: bytes, source: Address, listener: int, now_us: int) -> None:
        """R-UDP-1: `room_len(1) token_len(1) room token text`. R-UDP-3: nothing else changes anything."""
        size = len(data)
        text_at = 2 + data[0] + data[1] if size >= 2 else 2
        token = data[2 + data[0] : text_at] if size >= 2 else b""
        holders = (each for each in self.rooms.sessions() if each.token == token)
        session = next(filter(self.handshakes.has_handed_over, holders), None)
        if size < text_at:
            self._drop(size, Rule.UDP_1)
        elif session is None:
            self._hear_no_session(size, token, source, listener, now_us)
        elif source.ip != session.ip or listener != session.listener:  # R-TOK-3
            self._drop(size, Rule.TOK_3)
        elif size > CLIENT_DATAGRAM_BYTES_MAX:
            self._reject(session, size, Rule.UDP_1, now_us)
        elif data[2 : 2 + data[0]] != session.room.name.encode():  # R-TOK-1: a token is bound to one room
            self._reject(session, size, Rule.IDLE_2, now_us)
        elif (text := wire.read_text(session.dialect, data[text_at:])) is None:
            self._reject(session, size, Rule.UDP_3, now_us)
        else:
            self._hear_text(session, text, size, source, now_us)

    def _hear_text(self, session: Session, text: str, size: int, source: Address, now_us: int) -> None:
        """R-IDLE-1: any valid datagram is speaking."""
        session.rejected = 0  # R-IDLE-2: the count begins anew
        session.last_heard_us = now_us
        if session.state is SessionState.TOKENED:
            self.rooms.enter(session, source, now_us)
        elif not session.dialect.port_fixed:  # R-TOK-3: relays follow
            session.address = source
        if not text:  # R-IDLE-1: a keep-alive
            if session.answers_keep_alive:
                self.rooms.outputs.append(
                    SendDatagram(b"", session.address, PacketKind.KEEP_ALIVE_ANSWER, session.listener)
                )
        elif text in session.dialect.leave_words:  # R-EXIT-1
            self.rooms.end(session, SessionEvent.LEFT, now_us)
        elif text != session.dialect.enter_word:  # R-UDP-4: sent again and again, and no text
            self._relay(session, text, size, now_us)

    def _relay(self, session: Session, text: str, size: int, now_us: int) -> None:
        """R-REL-1, R-REL-2: at once, and so in the order of arrival."""
        session.texts_us = [each for each in session.texts_us if now_us - each < SECOND_US]
        if len(session.texts_us) >= self.rooms.limits.texts_per_second_max:  # R-LIM-1
            self._drop(size, Rule.LIM_1)
            return
        session.texts_us.append(now_us)
        members = others(session)
        spoken = {member.dialect.name: member.dialect for member in members}
        relays = {name: self._relay_in(dialect, session, text) for name, dialect in spoken.items()}
        for member in members:
            relay = relays[member.dialect.name]
            if isinstance(relay, Rule):
                self.rooms.outputs.append(Withheld((member.name,), "", relay))
            else:
                self.rooms.outputs.append(SendDatagram(relay, member.address, PacketKind.RELAY, member.listener))

    def _relay_in(self, spoken: Dialect, session: Session, text: str) -> bytes | Rule:
        """What members of one dialect are sent, or the rule by which it is withheld from them."""
        data = wire.relay(spoken, session.name, text)  # R-REL-3: as the server knows the name
        if data is None or len(data) > SERVER_DATAGRAM_BYTES_MAX:
            return Rule.UDP_2
        return Rule.REL_3 if wire.reads_as_notice(spoken, data, session.room.name) else data

    def _hear_no_session(self, size: int, token: bytes, source: Address, listener: int, now_us: int) -> None:
        """R-TOK-2, R-TOK-4: no living session has this token. R-END-1: one that has ended is told why."""
        remembered = [session for room in self.rooms.by_name.values() for session in room.ended]
        session = next((each for each in remembered if each.token == token), None)
        has_left = session is not None and session.notice is None  # R-EXIT-1: the leave word may come again
        self._drop(size, Rule.TOK_2 if session is None else Rule.EXIT_1 if has_left else Rule.TOK_4)
        if session is None or source.ip != session.ip or listener != session.listener:
            return
        if session.answered_us is not None and now_us - session.answered_us < ANSWER_ENDED_EVERY_US:
            return
        address = session.address if session.dialect.port_fixed else source
        if self.rooms.tell(session, address or source, ANSWER_ENDED_FACTOR_MAX * size):
            session.answered_us = now_us

    def _reject(self, session: Session, size: int, rule: Rule, now_us: int) -> None:
        """R-IDLE-2: three rejected datagrams in a row end a session."""
        self._drop(size, rule)
        session.rejected += 1
        if session.rejected == REJECTED_IN_A_ROW_MAX:
            self.rooms.end(session, SessionEvent.REMOVED, now_us)

    def _drop(self, size: int, rule: Rule) -> None:
        self.rooms.outputs.append(Dropped(PacketKind.DATAGRAM, size, "", rule))
