"""The server's engine: bytes and time go in, effects come out.

Touches no socket, no clock, no source of chance and no log. The same object serves real sockets
and simulated ones. A peer's bytes never raise; they are counted, and traced with their rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tcrp.engine.codec import Codec
from tcrp.engine.handshakes import HandshakeServer
from tcrp.engine.outputs import Address, Relay, ServerEffect, StreamId
from tcrp.engine.registry import SessionRegistry
from tcrp.engine.rooms import Session, Window, unmap_ipv4
from tcrp.spec.limits import (
    CLIENT_DATAGRAM_BYTES_MAX,
    REJECTED_IN_A_ROW_MAX,
    SECOND_US,
    SERVER_DATAGRAM_BYTES_MAX,
    Limits,
)
from tcrp.spec.names import (
    Counter,
    Machine,
    Notice,
    PacketKind,
    RoomEvent,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import TABLES, Tables
from tcrp.trace.records import Cause, Recorder

Effects = list[ServerEffect]

# Of an enum's members those that every relay looks up: before Python 3.12 each look-up is slow.
_SESSION = Machine.SESSION
_TOKENED = SessionState.TOKENED
_IN_ROOM = SessionState.IN_ROOM
_SPOKE = SessionEvent.SPOKE
_RELAYED = SessionEvent.RELAYED


class ServerEngine:
    """One server. All moments are microseconds of one clock that does not go backwards.

    `new_token` gives 32 lowercase hexadecimal digits and is the only source of chance (R-TOK-1).
    `only` is the one dialect that is spoken; None recognises each request. Before each call the
    driver may set `cause` to whatever brought the call about; effects carry it. `records_talk` False
    keeps every datagram's own records out of the trace: what begins and ends is then all it holds.
    """

    def __init__(
        self,
        limits: Limits,
        new_token: Callable[[], bytes],
        *,
        only: Codec | None = None,
        recorder: Recorder | None = None,
        records_talk: bool = True,
        tables: Tables = TABLES,
    ) -> None:
        self.registry = SessionRegistry(limits, new_token, tables, recorder)
        self.handshake_server = HandshakeServer(self.registry, only)
        self._recorder = recorder if records_talk else None
        self._tables = tables
        self._now_us = 0

    @property
    def cause(self) -> Cause:
        """What brought the next call about."""
        return self.registry.cause

    @cause.setter
    def cause(self, cause: Cause) -> None:
        self.registry.cause = cause

    # --- TCP -------------------------------------------------------------------------------------

    def stream_opened(self, stream: StreamId, peer: Address, now_us: int, *, name: str = "") -> Effects:
        """A peer has connected. `name` is how traces call its handshake."""
        self._tick(now_us)
        self.handshake_server.opened(stream, peer, name or str(stream), now_us)
        return self._effects()

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Effects:
        """Bytes have arrived on a stream, cut anywhere."""
        self._tick(now_us)
        self.handshake_server.receive(stream, data, now_us)
        return self._effects()

    def stream_ended(self, stream: StreamId, now_us: int) -> Effects:
        """The peer has half-closed: it sends nothing more, but may still read."""
        self._tick(now_us)
        self.handshake_server.ended(stream, now_us)
        return self._effects()

    def stream_closed(self, stream: StreamId, now_us: int) -> Effects:
        """The connection is gone, both ways: reset, or closed by the peer's machine."""
        self._tick(now_us)
        self.handshake_server.closed(stream, now_us)
        return self._effects()

    # --- UDP -------------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now_us: int) -> Effects:
        """One datagram has arrived. `room_len(1) token_len(1) room token text` (R-UDP-1).

        Each is dealt with before the next, so one sender's texts leave as they came (R-REL-2).
        """
        self._tick(now_us)
        registry = self.registry
        registry.counts[Counter.DATAGRAMS] += 1
        size = len(data)
        token_at = 2 + data[0] if size >= 2 else 2
        text_at = token_at + data[1] if size >= 2 else 2
        if size < text_at:
            self._reject(size, "too short", Rule.UDP_1)
            return self._effects()
        session = registry.sessions.get(data[token_at:text_at])
        if source[0] != (session.ip if session is not None else ""):
            source = Address(unmap_ipv4(source[0]), source[1])
        if session is None:
            self._hear_no_session(data[token_at:text_at], source, size, now_us)
        elif source[0] != session.ip:
            self._reject(size, "from another address", Rule.TOK_3)
        elif size > CLIENT_DATAGRAM_BYTES_MAX:
            self._count_rejected(session, size, "over 4096 bytes", Rule.UDP_1, now_us)
        elif data[2:token_at] != session.room.name_bytes:
            self._count_rejected(session, size, "wrong room", Rule.IDLE_2, now_us)
        elif (text := session.codec.read_text(data[text_at:])) is None:
            self._count_rejected(session, size, "not a text", Rule.UDP_3, now_us)
        else:
            self._hear(session, text, source, size, now_us)
        return self._effects()

    # --- time and commands -----------------------------------------------------------------------

    def handle_timeout(self, now_us: int) -> Effects:
        """Do all that is due. To be called at `next_deadline_us()` or later; earlier does no harm."""
        self._tick(now_us)
        registry = self.registry
        while (timer := registry.timers.pop_due(now_us)) is not None:
            registry.cause = timer.cause
            if self._recorder is not None:
                self._recorder.timer(timer.what, timer.cause)
            timer.action(timer.subject, now_us)
        while registry.expire_idle(now_us):
            pass
        return self._effects()

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

    def shutdown(self, now_us: int) -> Effects:
        """Close every room and take nothing new. Done when `is_quiescent`."""
        self._tick(now_us)
        self.registry.shutdown(now_us)
        return self._effects()

    def remove(self, user: str, room: str, now_us: int) -> Effects | None:
        """End a member's session (removed). None: there is no such member."""
        self._tick(now_us)
        found = self.registry.rooms.get(room.encode())
        session = found.members.get(user) if found is not None else None
        if session is None:
            return None
        self.registry.end(session, SessionEvent.REMOVED, Notice.REMOVED, now_us)
        return self._effects()

    def set_limits(self, limits: Limits) -> None:
        """Other limits from now on. Silences are measured anew; what is under way otherwise keeps its deadline."""
        self.registry.set_limits(limits)

    def counters(self) -> Mapping[Counter, int]:
        """What there is and what was counted."""
        return self.registry.counts

    def counts_by_rule(self) -> Mapping[Rule, int]:
        """What was refused, dropped or withheld, by the rule that asks for it."""
        return self.registry.counts_by_rule

    def holdings(self, room: str) -> list[str]:
        """What is still held of a room, as phrases: nothing, once it is closed (R-ROOM-3). Looks at everything."""
        registry, name = self.registry, room.encode()
        held = [f"the room {room}"] if name in registry.rooms else []
        held += [f"the session {each.id}" for each in registry.sessions.values() if each.room.name_bytes == name]
        held += [f"the ended token of {each.id}" for each in registry.ended.values() if each.room.name_bytes == name]
        return held

    # --- the path of one datagram ----------------------------------------------------------------

    def _hear(self, session: Session, text: str, source: Address, size: int, now_us: int) -> None:
        """A valid datagram: its sender has spoken (R-IDLE-1)."""
        registry = self.registry
        if session.state is _TOKENED:
            registry.enter(session, source, now_us)
        elif source != session.address and not session.codec.dialect.port_fixed:
            registry.move(session, source)
        session.last_heard_us = now_us
        session.rejected_in_a_row = 0
        if text in session.codec.leave_words:
            registry.end(session, SessionEvent.LEFT, None, now_us)
            return
        row = self._tables.session.rows[session.state, _SPOKE]
        if self._recorder is not None:
            self._recorder.step(
                Machine.SESSION, session.id, _SPOKE, session.state, row.to, row.rule, registry.cause,
                token=session.trace_token(), key=session.token,
            )  # fmt: skip
        session.state = row.to
        if not text or text == session.codec.dialect.enter_word:
            return
        registry.counts[Counter.TEXTS] += 1
        texts = session.texts
        if texts is None or texts.most != registry.limits.texts_per_second_max:
            texts = session.texts = Window(registry.limits.texts_per_second_max, SECOND_US)
        if texts.is_full(now_us):
            registry.counts[Counter.LIMITED] += 1
            self._drop(size, "texts_per_second_max", Rule.LIM_1)
            return
        texts.count(now_us)
        self._relay(session, text)

    def _relay(self, session: Session, text: str) -> None:
        """One text to every other member who is in-room (R-REL-1), in each dialect's own form."""
        registry, room, recorder = self.registry, session.room, self._recorder
        row = self._tables.room.rows[room.state, RoomEvent.RELAYED]
        if recorder is not None:
            recorder.step(Machine.ROOM, room.name, RoomEvent.RELAYED, room.state, row.to, row.rule, registry.cause)
        room.state = row.to
        for codec, group in room.fanout_groups.items():
            members = [member for member in group if member is not session]
            if not members:
                continue
            data = codec.write_relay(session.name, text)
            if data is None or len(data) > SERVER_DATAGRAM_BYTES_MAX:
                self._withhold(members, "too long", Rule.UDP_2)
            elif room.notice_reader(codec).read(data) is not None:
                self._withhold(members, "reads as a notice", Rule.REL_3)
            else:
                self._deliver(members, data)

    def _deliver(self, members: list[Session], data: bytes) -> None:
        registry, recorder = self.registry, self._recorder
        row = self._tables.session.rows[_IN_ROOM, _RELAYED]  # of all of them: they are in-room
        targets: list[Address] = []
        for member in members:
            assert member.address is not None, "whoever is in-room has an address"
            targets.append(member.address)
            member.state = row.to
            if recorder is not None:
                recorder.step(
                    _SESSION, member.id, _RELAYED, _IN_ROOM, row.to, row.rule, registry.cause,
                    token=member.trace_token(), key=member.token, aside=True,
                )  # fmt: skip
        registry.counts[Counter.RELAYS] += len(targets)
        registry.out.append(Relay(data, targets, PacketKind.RELAY, registry.cause))

    def _withhold(self, members: list[Session], why: str, rule: Rule) -> None:
        self.registry.counts[Counter.WITHHELD_RELAYS] += len(members)
        self.registry.count_rule(rule, len(members))
        if self._recorder is not None:
            for member in members:
                self._recorder.drop(PacketKind.RELAY, 0, why, rule, self.registry.cause, to=member.name)

    def _hear_no_session(self, token: bytes, source: Address, size: int, now_us: int) -> None:
        """The token holds nothing: unknown, or ended and perhaps remembered (R-TOK-4)."""
        ended = self.registry.ended.get(token)
        if ended is None:
            self._reject(size, "no such token", Rule.TOK_2)
            return
        if self._recorder is not None:
            self._recorder.refuse(
                Machine.SESSION, ended.id, _SPOKE, SessionState.EXPIRED, self.registry.cause,
                why="the token has ended", rule=Rule.TOK_4,
            )  # fmt: skip
        self._reject(size, "the token has ended", Rule.TOK_4)
        self.registry.answer_ended(ended, source, size, now_us)

    def _count_rejected(self, session: Session, size: int, why: str, rule: Rule, now_us: int) -> None:
        """A datagram that its living token's owner should not have sent (R-IDLE-2)."""
        self._reject(size, why, rule)
        session.rejected_in_a_row += 1
        if session.rejected_in_a_row == REJECTED_IN_A_ROW_MAX:
            self.registry.end(session, SessionEvent.REMOVED, Notice.REMOVED, now_us)

    def _reject(self, size: int, why: str, rule: Rule) -> None:
        self.registry.counts[Counter.REJECTED_DATAGRAMS] += 1
        self._drop(size, why, rule)

    def _drop(self, size: int, why: str, rule: Rule) -> None:
        self.registry.count_rule(rule)
        if self._recorder is not None:
            self._recorder.drop(PacketKind.DATAGRAM, size, why, rule, self.registry.cause)

    # --- small steps -----------------------------------------------------------------------------

    def _tick(self, now_us: int) -> None:
        assert now_us >= self._now_us, "time does not go backwards"
        self._now_us = now_us

    def _effects(self) -> Effects:
        effects, self.registry.out = self.registry.out, []
        return effects
