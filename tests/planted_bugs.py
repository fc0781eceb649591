"""Planted bugs: servers that break the protocol, each with the property that it breaks.

Each bug is our engine with one thing changed at its boundary: its inputs, its outputs, its tables or
limits, or its state between two calls. Nothing inside the engine is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from planting import Planted
from tcrp.engine.codec import codec
from tcrp.engine.outputs import (
    OBSERVATIONS,
    Address,
    CloseStream,
    Dropped,
    FinishStream,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
)
from tcrp.engine.server import Outputs, ServerConfig, ServerEngine
from tcrp.engine.state import FrozenSession, ServerState
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SECOND_US, Takeover
from tcrp.spec.names import (
    Deadline,
    HandshakeEvent,
    HandshakeState,
    PacketKind,
    Property,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import TABLES, Row, Table

HOUR_US = 3600 * SECOND_US
SCENARIO = """
claim: four users talk, one leaves, a thief tries, one falls silent, the host goes
server: {idle_timeout: 60s, rooms_max: 2}
users:
  mallory: {attacker: true}
  bob: {address: 10.1.0.1}
  double: {name: bob, address: 10.1.0.1}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 1s, carol: {join: lobby}}
  - {at: 1s, dave: {join: lobby}}
  - {at: 1s, zoe: {create: attic}}
  - {at: 1400ms, yan: {create: cellar}}
  - {at: 1500ms, silent: {stream: {hex: "00"}}}
  - {every: 1s, times: 4, at: 4s, bob: {say: "text {n}"}}
  - {at: 9s, carol: leave}
  - {at: 10s, carol: {datagram: {token_of: carol, room: lobby, text: "still me"}}}
  - {at: 11s, mallory: {steal_token: bob}}
  - {at: 12s, mallory: {say: "I am bob"}}
  - {at: 13s, mallory: {datagram: {hex: "0001ff"}}}
  - {at: 14s, bob: {datagram: {token_of: bob, room: lobby, text: "by hand"}}}
  - {at: 15s, erin: {join: lobby}}
  - {at: 16s, double: {join: lobby}}
  - {at: 18s, bob: keep_alive}
  - {every: 20s, times: 4, at: 20s, alice: {say: "tick"}}
  - {every: 20s, times: 4, at: 21s, bob: {say: "tock"}}
  - {at: 105s, late: {join: lobby}}
  - {at: 110s, alice: leave}
  - {at: 111s, bob: {datagram: {token_of: bob, room: lobby, text: "hello?"}}}
"""

EngineMaker = Callable[..., Any]
"""What makes an engine, or what behaves like one, from what `ServerEngine` is made from."""


def run(make_engine: EngineMaker, leave_out: tuple[Property, ...] = ()) -> Verdict:
    return Run(read_scenario_text(SCENARIO), make_engine=make_engine, leave_out=leave_out).go()


# --- what bugs have in common --------------------------------------------------------------------


class ChangesRelays(Planted):
    """Something is wrong with every relay."""

    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        """What is put out in its place."""
        raise AssertionError("every bug says this")

    def gives(self, outputs: Outputs) -> Outputs:
        result: Outputs = []
        for output in outputs:
            is_relay = isinstance(output, Relay) and output.what is PacketKind.RELAY
            result += self.relay(output, outputs) if is_relay else [output]  # type: ignore[arg-type]
        return result


class LosesTimers(Planted):
    """Deadlines of these kinds are never armed."""

    lost: tuple[Deadline, ...] = ()

    def gives(self, outputs: Outputs) -> Outputs:
        state = self.engine.freeze()
        kept = tuple(each for each in state.timers if each.kind not in self.lost)
        if kept != state.timers:
            self.becomes(replace(state, timers=kept))
        return outputs


def session_of(state: ServerState, data: bytes) -> FrozenSession | None:
    """The living session whose token a datagram carries, in whatever place."""
    return next((each for each in state.sessions if each.token in data), None)


def changed(table: Table[Any, Any], pair: tuple[Any, Any], to: Any, rule: Rule) -> Table[Any, Any]:
    """The table with one row that leads elsewhere, or that it does not have."""
    return replace(table, rows=MappingProxyType({**table.rows, pair: Row(to, rule)}))


def with_settings(config: ServerConfig, **settings: Any) -> ServerConfig:
    """The configuration with other limits."""
    return replace(config, limits=config.limits.with_settings(settings))


# --- bugs of tables, limits and tokens -----------------------------------------------------------


def row_leads_elsewhere(config: ServerConfig, **kwargs: Any) -> ServerEngine:
    pair = (HandshakeState.ACCEPTED, HandshakeEvent.COMPLETED)
    table = changed(TABLES.handshake, pair, HandshakeState.REFUSED, Rule.TCP_2)
    return ServerEngine(replace(config, tables=replace(TABLES, handshake=table)), **kwargs)


def room_outlives_its_host(config: ServerConfig, **kwargs: Any) -> ServerEngine:
    table = changed(TABLES.room, (RoomState.OPEN, RoomEvent.HOST_GONE), RoomState.OPEN, Rule.ROOM_2)
    table = changed(table, (RoomState.OPEN, RoomEvent.DRAINED), RoomState.CLOSED, Rule.ROOM_3)
    return ServerEngine(replace(config, tables=replace(TABLES, room=table)), **kwargs)


def never_idles(config: ServerConfig, **kwargs: Any) -> ServerEngine:
    return ServerEngine(with_settings(config, idle_timeout=HOUR_US, token_timeout=HOUR_US), **kwargs)


def never_times_out_handshakes(config: ServerConfig, **kwargs: Any) -> ServerEngine:
    return ServerEngine(with_settings(config, handshake_timeout=HOUR_US), **kwargs)


def takes_too_many(config: ServerConfig, **kwargs: Any) -> ServerEngine:
    return ServerEngine(with_settings(config, rooms_max=config.limits.rooms_max + 1), **kwargs)


def frees_names_early(config: ServerConfig, **kwargs: Any) -> ServerEngine:
    return ServerEngine(with_settings(config, linger=max(config.limits.linger - SECOND_US, 0)), **kwargs)


def lets_anyone_take_over(config: ServerConfig, **kwargs: Any) -> ServerEngine:
    settings = {"takeover": Takeover.SAME_ADDRESS, "takeover_after": SECOND_US}
    return ServerEngine(with_settings(config, **settings), **kwargs)


class GrantsATokenAgain(Planted):
    """A token that nobody holds any more is handed out again."""

    def __init__(self, config: ServerConfig, *, new_token: Callable[[], bytes], **kwargs: Any) -> None:
        self.granted: list[bytes] = []
        self.held: set[bytes] = set()
        self.fresh = new_token
        super().__init__(config, new_token=self.token, **kwargs)

    def token(self) -> bytes:
        free = [each for each in self.granted if each not in self.held]
        self.granted.append(free[0] if free else self.fresh())
        return self.granted[-1]

    def gives(self, outputs: Outputs) -> Outputs:
        state = self.engine.freeze()
        self.held = {each.token for each in state.sessions} | {each.token for each in state.ended}
        return outputs


# --- bugs of outputs -----------------------------------------------------------------------------


class RelaysToNonMembers(ChangesRelays):
    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        return [relay._replace(targets=[*relay.targets[1:], Address("10.8.8.8", 8888)])]


class EchoesTheSender(Planted):
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        return [
            output._replace(targets=[*output.targets[1:], source])
            if isinstance(output, Relay) and output.what is PacketKind.RELAY
            else output
            for output in super().receive_datagram(data, source, now_us, listener)
        ]


class ForgetsAMember(ChangesRelays):
    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        return [relay._replace(targets=relay.targets[1:])]


class RelaysTwice(ChangesRelays):
    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        targets = relay.targets
        return [relay._replace(targets=[*targets[:-1], targets[0]])] if len(targets) > 1 else [relay]


class RelaysLater(ChangesRelays):
    """A text goes out in place of the one after it."""

    kept: Relay | None = None

    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        held, self.kept = self.kept, relay
        return [held or relay]


class NamesAnother(ChangesRelays):
    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        [speaker] = [each.id for each in outputs if isinstance(each, Stepped) and each.event is SessionEvent.SPOKE]
        name = speaker.partition("@")[0].encode()
        return [relay._replace(data=relay.data.replace(name, b"somebody"))]


class SpeaksLikeItself(ChangesRelays):
    """Relays every text as the notice that its receiver ends on."""

    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        return [relay._replace(data="チャットルームが閉じられました".encode())]


class PadsRelays(ChangesRelays):
    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        return [relay._replace(data=relay.data + b" " * 4090)]


class SendsTextsOnTcp(ChangesRelays):
    def relay(self, relay: Relay, outputs: Outputs) -> Outputs:
        streams = [each.stream for each in self.engine.freeze().handshakes]
        return [relay, *(SendFrame(stream, relay.data, PacketKind.ANSWER) for stream in streams)]


class AnswersUnknownTokens(Planted):
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        outputs = super().receive_datagram(data, source, now_us, listener)
        if all(isinstance(output, OBSERVATIONS) for output in outputs):
            outputs.append(SendDatagram(b"who are you?", source, PacketKind.NOTICE))
        return outputs


class AnswersKeepAlivesUnasked(Planted):
    """A keep-alive is answered though nobody asked for answers."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        outputs = super().receive_datagram(data, source, now_us, listener)
        if len(data) >= 2 and len(data) == 2 + data[0] + data[1]:
            outputs.append(SendDatagram(b"still here", source, PacketKind.KEEP_ALIVE_ANSWER))
        return outputs


class OmitsIdleNotices(Planted):
    """A session that has idled is not told of it."""

    def handle_timeout(self, now_us: int) -> Outputs:
        outputs = super().handle_timeout(now_us)
        return [each for each in outputs if getattr(each, "what", None) is not PacketKind.NOTICE]


class Amplifies(Planted):
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        outputs = super().receive_datagram(data, source, now_us, listener)
        if not any(isinstance(output, Dropped) and output.rule is Rule.TOK_4 for output in outputs):
            return outputs
        observations = [output for output in outputs if isinstance(output, OBSERVATIONS)]
        return [*observations, SendDatagram(b"this has ended " * 40, source, PacketKind.NOTICE)]


class NeverHalfCloses(Planted):
    def gives(self, outputs: Outputs) -> Outputs:
        return [output for output in outputs if not isinstance(output, FinishStream)]


class ClosesStreamsEarly(Planted):
    """Closes a stream where it should half-close it."""

    def gives(self, outputs: Outputs) -> Outputs:
        result: Outputs = []
        for output in outputs:
            if isinstance(output, FinishStream):
                forgotten = self.engine.stream_closed(output.stream, self.now_us)
                result += [CloseStream(output.stream), *forgotten]
            else:
                result.append(output)
        return result


# --- bugs of inputs ------------------------------------------------------------------------------


class RelaysBeforeTheTokenIsChecked(Planted):
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        session = session_of(self.engine.freeze(), data)
        if session is not None and source.ip != session.ip:
            source = Address(session.ip, source.port)
        return super().receive_datagram(data, source, now_us, listener)


class MovesAMachineForAnyone(Planted):
    """A datagram without a token removes somebody."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        removed: list[ServerOutput] = []
        if data == b"\x00\x01\xff":
            session = self.engine.freeze().sessions[0]
            removed = self.remove(session.name, session.room.decode(), now_us) or []
        return [*removed, *super().receive_datagram(data, source, now_us, listener)]


class DoesNotHearEnterWords(Planted):
    """A user whose first datagram is an enter word is not taken to have entered."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        session = session_of(self.engine.freeze(), data)
        if session is not None and session.state is SessionState.TOKENED:
            speaks = codec(session.dialect)
            if speaks.read_text(data[2 + data[0] + data[1] :]) in ("", speaks.dialect.enter_word):
                return []
        return super().receive_datagram(data, source, now_us, listener)


# --- bugs of what is held ------------------------------------------------------------------------


class AcceptsEndedTokens(Planted):
    """A token that has ended works again."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        state = self.engine.freeze()
        again = [each for each in state.ended if each.token in data and b"still me" in data]
        for ended in again:
            session = FrozenSession(
                ended.token, ended.name, ended.room, ended.dialect, ended.ip, SessionState.IN_ROOM, source,
                silent_us=0, rejected_in_a_row=0, texts=(), supersedes=None, asks_for_answers=False,
                listener=ended.listener,
            )  # fmt: skip
            rooms = tuple(
                replace(each, members=(*each.members, (ended.name, ended.token))) if each.name == ended.room else each
                for each in state.rooms
            )
            self.becomes(replace(state, sessions=(*state.sessions, session), rooms=rooms))
        return super().receive_datagram(data, source, now_us, listener)


class RemembersTooLong(Planted):
    """A room that is closed is held all the same, with the tokens that ended in it."""

    def handle_timeout(self, now_us: int) -> Outputs:
        before = self.engine.freeze()
        outputs = super().handle_timeout(now_us)
        closed = {each.subject for each in outputs if isinstance(each, Stepped) and each.to is RoomState.CLOSED}
        if closed:
            after = self.engine.freeze()
            rooms = [
                replace(each, state=RoomState.CLOSING, host=None, host_has_entered=True, members=(), fanout_groups=())
                for each in before.rooms
                if each.name in closed
            ]
            ended = [each for each in before.ended if each.room in closed]
            self.becomes(replace(after, rooms=(*after.rooms, *rooms), ended=(*after.ended, *ended)))
        return outputs


class TokensOutliveTheirRoom(Planted):
    """The last member to join is left out when a room closes."""

    before = ServerState()

    def gives(self, outputs: Outputs) -> Outputs:
        before, self.before = self.before, self.engine.freeze()
        gone = [
            each.subject for each in outputs if isinstance(each, Stepped) and each.event is SessionEvent.ROOM_CLOSED
        ]
        last = next((each for each in reversed(before.sessions) if each.token in gone), None)
        after = self.before
        if last is None or last.room not in {each.name for each in after.rooms}:
            return outputs
        rooms = tuple(
            replace(each, members=(*each.members, (last.name, last.token))) if each.name == last.room else each
            for each in after.rooms
        )
        self.becomes(
            replace(
                after,
                sessions=(*after.sessions, last),
                rooms=rooms,
                ended=tuple(each for each in after.ended if each.token != last.token),
                timers=tuple(each for each in after.timers if each.subject != last.token),
            )
        )
        self.before = self.engine.freeze()
        return [
            each
            for each in outputs
            if getattr(each, "subject", None) != last.token
            and not (isinstance(each, SendDatagram) and each.address == last.address)
        ]


class NeverResetsTheIdleClock(Planted):
    """A text does not set back the deadline of a session that has entered."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        before, passed_us = self.engine.freeze(), now_us - self.now_us
        silent = {each.token: each.silent_us for each in before.sessions if each.state is SessionState.IN_ROOM}
        outputs = super().receive_datagram(data, source, now_us, listener)
        after = self.engine.freeze()
        sessions = tuple(
            replace(each, silent_us=silent[each.token] + passed_us) if each.token in silent else each
            for each in after.sessions
        )
        if sessions != after.sessions:
            self.becomes(replace(after, sessions=sessions))
        return outputs


class NeverDrains(LosesTimers):
    """The end of a linger is never armed."""

    lost = (Deadline.LINGER, Deadline.FORGET, Deadline.NOTICE)


class SendsNoticesOnce(LosesTimers):
    """The notice of an ended session is sent once and not repeated."""

    lost = (Deadline.NOTICE,)


PLANTED: list[tuple[Property, EngineMaker]] = [
    (Property.TABLE_STEPS, row_leads_elsewhere),
    (Property.SHADOW_AGREES, row_leads_elsewhere),
    (Property.RELAY_TO_MEMBERS_ONLY, RelaysToNonMembers),
    (Property.RELAY_NEEDS_A_LIVING_TOKEN, RelaysBeforeTheTokenIsChecked),
    (Property.RELAY_NOT_TO_ITS_SENDER, EchoesTheSender),
    (Property.RELAY_TO_EVERY_MEMBER, ForgetsAMember),
    (Property.RELAY_AT_MOST_ONCE, RelaysTwice),
    (Property.RELAYS_IN_ORDER, RelaysLater),
    (Property.RELAY_NAMES_ITS_SENDER, NamesAnother),
    (Property.NO_FORGED_NOTICE, SpeaksLikeItself),
    (Property.NO_TALK_ON_TCP, SendsTextsOnTcp),
    (Property.TOKEN_ENDS_FOR_GOOD, AcceptsEndedTokens),
    (Property.TOKENS_UNIQUE, GrantsATokenAgain),
    (Property.REJECTED_CHANGES_NOTHING, AnswersUnknownTokens),
    (Property.REJECTED_CHANGES_NOTHING, MovesAMachineForAnyone),
    (Property.KEEP_ALIVE_CHANGES_NOTHING, AnswersKeepAlivesUnasked),
    (Property.ENDED_ARE_TOLD, OmitsIdleNotices),
    (Property.ENDED_ARE_TOLD_AGAIN, SendsNoticesOnce),
    (Property.NO_AMPLIFICATION, Amplifies),
    (Property.NAMES_LINGER, frees_names_early),
    (Property.TAKEOVER_IS_BY_OWNER, lets_anyone_take_over),
    (Property.CLOSED_ROOM_LEAVES_NOTHING, RemembersTooLong),
    (Property.CLOSED_ROOM_LEAVES_NOTHING, TokensOutliveTheirRoom),
    (Property.HOST_ENDS_THE_ROOM, room_outlives_its_host),
    (Property.LIVE_SESSION_HAS_A_DEADLINE, never_idles),
    (Property.ONLY_THE_SILENT_IDLE, NeverResetsTheIdleClock),
    (Property.HANDSHAKE_ENDS, never_times_out_handshakes),
    (Property.STREAMS_HALF_CLOSE, NeverHalfCloses),
    (Property.STREAMS_HALF_CLOSE, ClosesStreamsEarly),
    (Property.LIMITS_HOLD, takes_too_many),
    (Property.DATAGRAMS_FIT, PadsRelays),
    (Property.CLOSING_ROOMS_CLOSE, NeverDrains),
]
