"""The server's engine: bytes and time go in, outputs come out.

Touches no socket, no clock, no source of chance and no log. The same object serves real sockets
and simulated ones. A peer's bytes never raise; they are counted, and traced with their rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tcrp.engine.codec import Codec
from tcrp.engine.datagrams import Head
from tcrp.engine.handshakes import Beside, HandshakeServer
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outbox import Outbox
from tcrp.engine.outputs import (
    Address,
    Detail,
    Relay,
    SendDatagram,
    ServerOutput,
    StreamId,
    Subject,
    TimerFired,
    Withheld,
)
from tcrp.engine.peers import unmap_ipv4
from tcrp.engine.recognition import Recogniser
from tcrp.engine.registry import SessionRegistry
from tcrp.engine.rooms import FanoutGroup, Session, Window
from tcrp.engine.state import ServerState, forget_room, freeze, freeze_room, thaw
from tcrp.spec.frozen import Frozen
from tcrp.spec.limits import (
    CLIENT_DATAGRAM_BYTES_MAX,
    REJECTED_IN_A_ROW_MAX,
    SECOND_US,
    SERVER_DATAGRAM_BYTES_MAX,
    Limits,
)
from tcrp.spec.names import (
    Deadline,
    Machine,
    Notice,
    PacketKind,
    RoomEvent,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import TABLES, Tables

Outputs = list[ServerOutput]

# Of an enum's members those that every relay looks up: before Python 3.12 each look-up is slow.
_ENTERED = SessionEvent.ENTERED
_SPOKE = SessionEvent.SPOKE
_RELAYED = SessionEvent.RELAYED
_RELAY = PacketKind.RELAY
_KEEP_ALIVE_ANSWER = PacketKind.KEEP_ALIVE_ANSWER


@dataclass(frozen=True, slots=True)
class ServerConfig(Frozen):
    """How a server is set. Members of one room may come by any of its listeners; one there is at least.

    `tables` are the protocol's; tests run engines on changed ones.
    """

    limits: Limits = field(default_factory=Limits)
    listeners: tuple[ListenerConfig, ...] = (ListenerConfig(),)
    tables: Tables = TABLES


class ServerEngine:
    """One server. All moments are microseconds of one clock that does not go backwards.

    `new_token` gives 32 lowercase hexadecimal digits and is the only source of chance (R-TOK-1).
    `detail` says how much is observed. With `state`, which an engine of the same configuration has
    frozen, it goes on from there; `now_us` is the moment at which it does. `beside` are the rooms of other servers
    that share one space of names with this one.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        new_token: Callable[[], bytes],
        state: ServerState | None = None,
        now_us: int = 0,
        detail: Detail = Detail.NOTHING,
        beside: Beside | None = None,
    ) -> None:
        self._outbox: Outbox[ServerOutput] = Outbox(detail)
        self.registry = SessionRegistry(config.limits, new_token, config.tables, self._outbox)
        self.handshake_server = HandshakeServer(self.registry, config.listeners, beside)
        self._heads: list[Head] = []
        self._read_heads()
        self._tables = config.tables
        self._now_us = now_us
        self._fire: dict[Deadline, Callable[[Subject, int], None]] = {
            Deadline.HANDSHAKE: self.handshake_server.time_out,
            Deadline.COMPLETION: self.handshake_server.complete,
            Deadline.QUIET: self.handshake_server.fell_silent,
            Deadline.NOTICE: lambda token, now_us: self.registry.tell(self.registry.ended[token], now_us),  # type: ignore[index]
            Deadline.FORGET: lambda token, _: self.registry.forget(self.registry.ended[token]),  # type: ignore[index]
            Deadline.LINGER: lambda room, _: self.registry.drain(self.registry.rooms[room]),  # type: ignore[index]
        }
        if state is not None:
            thaw(state, self.registry, self.handshake_server, now_us)

    def freeze(self) -> ServerState:
        """The state after the latest call, as a value: ids and plain data, times counted from that call.

        States that behave in the same way from here on are equal and hash equal.
        """
        return freeze(self.registry, self.handshake_server, self._now_us)

    # --- several servers that share one space of names -------------------------------------------

    def add_listeners(self, listeners: Sequence[ListenerConfig]) -> None:
        """More listeners, behind those that there are: another server's, whose clients it speaks for."""
        server = self.handshake_server
        server.listeners += tuple(listeners)
        server.recognisers += [Recogniser(each.codecs) for each in listeners]
        self._read_heads()

    def head_of(self, data: bytes, listener: int) -> tuple[bytes | None, bytes] | None:
        """The room, if it is said, and the token of a datagram; None: it is of no form."""
        found = self._heads[listener](data)
        return found[:2] if found is not None else None

    def resume_request(self, stream: StreamId, now_us: int, *, refused: str = "") -> Outputs:
        """Decide a request here that was `Elsewhere`; or refuse it (too_many_requests), because of `refused`."""
        self._tick(now_us)
        self.handshake_server.resume(stream, now_us, refused=refused)
        return self._outbox.take()

    def take_request_away(self, stream: StreamId) -> tuple[bytes, bool, Outputs]:
        """Forget a stream whose request was `Elsewhere`: its bytes, and whether the peer has half-closed."""
        data, has_ended = self.handshake_server.take_away(stream)
        return data, has_ended, self._outbox.take()

    def freeze_room(self, room: bytes) -> ServerState:
        """What `freeze` gives, of one room that there is: its sessions, ended tokens, deadlines and open handshakes."""
        return freeze_room(self.registry, self.handshake_server, self.registry.rooms[room], self._now_us)

    def adopt(self, state: ServerState, now_us: int) -> None:
        """Go on with the rooms of `state` from now on, besides those that are here. None of them is here."""
        self._tick(now_us)
        thaw(state, self.registry, self.handshake_server, now_us)

    def forget_room(self, room: bytes) -> Outputs:
        """Hold nothing of a room any more, and tell nobody: another server goes on with it."""
        forget_room(self.registry, self.handshake_server, self.registry.rooms[room])
        return self._outbox.take()

    # --- TCP -------------------------------------------------------------------------------------

    def stream_opened(
        self, stream: StreamId, peer: Address, now_us: int, listener: int = 0, *, name: str = ""
    ) -> Outputs:
        """A peer has connected, to the listener of that number. `name` is how observations call its handshake."""
        self._tick(now_us)
        self.handshake_server.opened(stream, peer, name or str(stream), listener, now_us)
        return self._outbox.take()

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
        """Bytes have arrived on a stream, cut anywhere."""
        self._tick(now_us)
        self.handshake_server.receive(stream, data, now_us)
        return self._outbox.take()

    def stream_ended(self, stream: StreamId, now_us: int) -> Outputs:
        """The peer has half-closed: it sends nothing more, but may still read."""
        self._tick(now_us)
        self.handshake_server.ended(stream, now_us)
        return self._outbox.take()

    def stream_closed(self, stream: StreamId, now_us: int) -> Outputs:
        """The connection is gone, both ways: reset, or closed by the peer's machine."""
        self._tick(now_us)
        self.handshake_server.closed(stream, now_us)
        return self._outbox.take()

    # --- UDP -------------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        """One datagram has arrived by a listener, usually `room_len(1) token_len(1) room token text` (R-UDP-1).

        Each is dealt with before the next, so one sender's texts leave as they came (R-REL-2).
        """
        assert now_us >= self._now_us, "time does not go backwards"
        self._now_us = now_us
        size = len(data)
        found = self._heads[listener](data)
        if found is None:
            self._outbox.drop(size, "too short", Rule.UDP_1, listener)
            return self._outbox.take()
        room, token, text_at = found
        session = self.registry.sessions.get(token)
        if session is not None and session.supersedes is not None:
            session = None  # its token is not handed over yet: nobody holds it
        if source[0] != (session.ip if session is not None else ""):
            source = Address(unmap_ipv4(source[0]), source[1])
        if session is None:
            self._hear_no_session(token, source, listener, size, now_us)
        elif source[0] != session.ip:
            self._outbox.drop(size, "from another address", Rule.TOK_3, listener)
        elif listener != session.listener:
            self._outbox.drop(size, "by another listener", Rule.TOK_3, listener)
        elif size > CLIENT_DATAGRAM_BYTES_MAX:
            self._count_rejected(session, size, "over 4096 bytes", Rule.UDP_1, now_us)
        elif room != session.room.name_bytes and room is not None:
            self._count_rejected(session, size, "wrong room", Rule.IDLE_2, now_us)
        elif (text := session.codec.read_text(data, text_at)) is None:
            self._count_rejected(session, size, "not a text", Rule.UDP_3, now_us)
        else:
            self._hear(session, text, source, size, now_us)
        return self._outbox.take()

    def _read_heads(self) -> None:
        heads = [each.heads for each in self.handshake_server.recognisers]
        self._heads = [each[0] if len(each) == 1 else self._any_of(each) for each in heads]

    def _any_of(self, heads: Sequence[Head]) -> Head:
        """Reads a datagram in the form in which its token is known, else in the first that fits."""

        def read(data: bytes) -> tuple[bytes | None, bytes, int] | None:
            first = None
            for head in heads:
                found = head(data)
                if found is None:
                    continue
                holder = self.registry.sessions.get(found[1]) or self.registry.ended.get(found[1])
                if holder is not None and holder.codec.head is head:
                    return found
                first = first or found
            return first

        return read

    # --- time and commands -----------------------------------------------------------------------

    def handle_timeout(self, now_us: int) -> Outputs:
        """Do all that is due. To be called at `next_deadline_us()` or later; earlier does no harm."""
        self._tick(now_us)
        registry = self.registry
        while (timer := registry.timers.pop_due(now_us)) is not None:
            self._outbox.observe(TimerFired(timer.kind, timer.subject))
            self._fire[timer.kind](timer.subject, now_us)
        while registry.expire_idle(now_us):
            pass
        return self._outbox.take()

    def next_deadline_us(self) -> int | None:
        """When `handle_timeout` is to be called next, or None: nothing is waited for."""
        timer_us, silence_us = self.registry.timers.next_us(), self.registry.next_silence_us()
        if timer_us is None or silence_us is None:
            return silence_us if timer_us is None else timer_us
        return min(timer_us, silence_us)

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence is waited for: no handshake, notice or linger is under way."""
        return not self.registry.timers

    @property
    def has_rooms(self) -> bool:
        """Whether there is a room that is not closed."""
        return bool(self.registry.rooms)

    def shutdown(self, now_us: int) -> Outputs:
        """Close every room and take nothing new. Done when `has_rooms` is false."""
        self._tick(now_us)
        self.registry.shutdown(now_us)
        return self._outbox.take()

    def remove(self, user: str, room: str, now_us: int) -> Outputs | None:
        """End a member's session (removed). None: there is no such member."""
        self._tick(now_us)
        found = self.registry.rooms.get(room.encode())
        session = found.members.get(user) if found is not None else None
        if session is None:
            return None
        session = self.registry.superseded_by(session) or session  # who holds the name until the token is handed over
        self.registry.end(session, SessionEvent.REMOVED, Notice.REMOVED, now_us)
        return self._outbox.take()

    def close_room(self, room: str, now_us: int) -> Outputs | None:
        """End a room: its host is removed, which closes it (R-ROOM-2). None: there is no such open room."""
        self._tick(now_us)
        found = self.registry.rooms.get(room.encode())
        if found is None or found.host is None:
            return None
        self.registry.end(found.host, SessionEvent.REMOVED, Notice.REMOVED, now_us)
        return self._outbox.take()

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on. Silences are measured anew; what is under way otherwise keeps its deadline."""
        self.registry.set_limits(limits)
        self.handshake_server.count_peers()

    # --- the path of one datagram ----------------------------------------------------------------

    def _hear(self, session: Session, text: str, source: Address, size: int, now_us: int) -> None:
        """A valid datagram: its sender has spoken (R-IDLE-1)."""
        registry, outbox = self.registry, self._outbox
        if (session.state, _ENTERED) in self._tables.session.rows:
            registry.enter(session, source, now_us)
        elif source != session.address and not session.codec.dialect.port_fixed:
            registry.move(session, source)
        session.last_heard_us = now_us
        session.rejected_in_a_row = 0
        if text in session.codec.leave_words:
            registry.end(session, SessionEvent.LEFT, None, now_us)
            return
        outbox.step(self._tables.session, (session,), _SPOKE)
        if not text or text == session.codec.dialect.enter_word:
            if session.asks_for_answers:
                outbox.pending.append(SendDatagram(b"", session.address, _KEEP_ALIVE_ANSWER, session.listener))
            return
        texts = session.texts
        if texts is None:
            texts = session.texts = Window(registry.limits.texts_per_second_max, SECOND_US)
        if texts.is_full(now_us):
            outbox.drop(size, "texts_per_second_max", Rule.LIM_1, session.listener)
            return
        texts.count(now_us)
        self._relay(session, text)

    def _relay(self, session: Session, text: str) -> None:
        """One text to every other member who is in-room (R-REL-1), in each dialect's own form."""
        room, outbox = session.room, self._outbox
        if not outbox.step_again(room.relayed, room):
            outbox.step(self._tables.room, (room,), RoomEvent.RELAYED)
            if outbox.detail:
                room.relayed = outbox.latest_step()
        for (codec, listener), group in room.fanout_groups.items():
            first = group.another_than(session)
            if first is None:
                continue
            data = codec.write_relay(session.name, text, room.name_bytes, first.token)
            if data is None or len(data) > SERVER_DATAGRAM_BYTES_MAX:
                self._withhold(group, session, listener, "too long", Rule.UDP_2)
            elif room.notice_reader(codec).is_forged_by(data):
                self._withhold(group, session, listener, "reads as a notice", Rule.REL_3)
            else:
                if not outbox.is_unseen_loop(self._tables.session, first.state, _RELAYED):
                    outbox.step(self._tables.session, group.all_but(session), _RELAYED)
                if codec.relays_to_each:
                    self._relay_to_each(codec, session, text, group, listener)
                    continue
                outbox.pending.append(Relay(data, group.addresses_without(session), _RELAY, listener))

    def _relay_to_each(self, codec: Codec, session: Session, text: str, group: FanoutGroup, listener: int) -> None:
        """A relay that holds its receiver's token: bytes of their own for each, of one length."""
        for member in group.all_but(session):
            data = codec.write_relay(session.name, text, session.room.name_bytes, member.token)
            assert data is not None, "it fits: tokens are of one length"
            self._outbox.pending.append(Relay(data, [member.address], _RELAY, listener))  # type: ignore[list-item]

    def _withhold(self, group: FanoutGroup, sender: Session, listener: int, why: str, rule: Rule) -> None:
        names = tuple(member.name for member in group.all_but(sender))
        self._outbox.observe(Withheld(names, why, rule, listener))

    def _hear_no_session(self, token: bytes, source: Address, listener: int, size: int, now_us: int) -> None:
        """The token holds nothing: unknown, or ended and perhaps remembered (R-TOK-4)."""
        ended = self.registry.ended.get(token)
        if ended is None:
            self._outbox.drop(size, "no such token", Rule.TOK_2, listener)
            return
        why = "the token has ended"
        self._outbox.refuse(Machine.SESSION, ended.id, _SPOKE, SessionState.EXPIRED, why, Rule.TOK_4)
        has_left = ended.sentence is None  # and has sent its leave word again, in case the first was lost
        self._outbox.drop(size, why, Rule.EXIT_1 if has_left else Rule.TOK_4, listener)
        self.registry.answer_ended(ended, source, listener, size, now_us)

    def _count_rejected(self, session: Session, size: int, why: str, rule: Rule, now_us: int) -> None:
        """A datagram that its living token's owner should not have sent (R-IDLE-2)."""
        self._outbox.drop(size, why, rule, session.listener)
        session.rejected_in_a_row += 1
        if session.rejected_in_a_row == REJECTED_IN_A_ROW_MAX:
            self.registry.end(session, SessionEvent.REMOVED, Notice.REMOVED, now_us)

    def _tick(self, now_us: int) -> None:
        assert now_us >= self._now_us, "time does not go backwards"
        self._now_us = now_us
