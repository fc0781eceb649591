"""Planted bugs: a server that breaks the protocol is caught, by the property that it breaks and by no luck.

Each bug is an engine that differs from ours in one thing. The property that is to catch it is left
out once: then the run must not be stopped by it, so no test here passes for another reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from tcrp.engine.client import ClientEngine
from tcrp.engine.outputs import Address, Relay, SendDatagram, SendFrame
from tcrp.engine.rooms import Ended, Session
from tcrp.engine.server import Effects, ServerEngine
from tcrp.engine.timers import Timer, Timers
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import Limits
from tcrp.spec.names import (
    Deadline,
    HandshakeEvent,
    HandshakeState,
    Notice,
    PacketKind,
    Property,
    RoomState,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import TABLES, Row, Table
from tcrp.trace.records import Cause

STORY = """
claim: four users talk, one leaves, a thief tries, one falls silent, the host goes
server: {idle_timeout: 60s, rooms_max: 2}
users:
  mallory: {attacker: true}
  double: {name: bob}
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
  - {every: 20s, times: 4, at: 20s, alice: {say: "tick"}}
  - {every: 20s, times: 4, at: 21s, bob: {say: "tock"}}
  - {at: 105s, late: {join: lobby}}
  - {at: 110s, alice: leave}
  - {at: 111s, bob: {datagram: {token_of: bob, room: lobby, text: "hello?"}}}
"""


def run(make_engine: EngineFactory, leave_out: tuple[Property, ...] = ()) -> Verdict:
    return Run(read_scenario_text(STORY), make_engine=make_engine, leave_out=leave_out).go()


def changed(table: Table[Any, Any], pair: tuple[Any, Any], to: Any) -> Table[Any, Any]:
    """The table with one row that leads elsewhere."""
    row = Row(to, table.rows[pair].rule)
    return replace(table, rows=MappingProxyType({**table.rows, pair: row}))


# --- the bugs ------------------------------------------------------------------------------------


def row_leads_elsewhere(*args: Any, **kwargs: Any) -> ServerEngine:
    pair = (HandshakeState.ACCEPTED, HandshakeEvent.COMPLETED)
    table = changed(TABLES.handshake, pair, HandshakeState.REFUSED)
    return ServerEngine(*args, **kwargs, tables=replace(TABLES, handshake=table))


class RelaysToStrangers(ServerEngine):
    def _deliver(self, members: list[Session], data: bytes) -> None:
        super()._deliver(members, data)
        relay = self.registry.out[-1]
        assert isinstance(relay, Relay)
        self.registry.out[-1] = relay._replace(targets=[*relay.targets[1:], Address("10.8.8.8", 8888)])


class RelaysBeforeTheTokenIsChecked(ServerEngine):
    def receive_datagram(self, data: bytes, source: Address, now_us: int) -> Effects:
        session = next((each for each in self.registry.sessions.values() if each.token in data), None)
        if session is not None and source.ip != session.ip:
            source = Address(session.ip, source.port)
        return super().receive_datagram(data, source, now_us)


class EchoesTheSender(ServerEngine):
    def _deliver(self, members: list[Session], data: bytes) -> None:
        speaker = [each for each in members[0].room.members.values() if each not in members]
        super()._deliver(members[1:] + speaker, data)


class ForgetsAMember(ServerEngine):
    def _deliver(self, members: list[Session], data: bytes) -> None:
        super()._deliver(members[1:], data)


class RelaysTwice(ServerEngine):
    def _deliver(self, members: list[Session], data: bytes) -> None:
        super()._deliver([*members[:-1], members[0]] if len(members) > 1 else members, data)


class RelaysLater(ServerEngine):
    kept: Relay | None = None

    def receive_datagram(self, data: bytes, source: Address, now_us: int) -> Effects:
        effects = super().receive_datagram(data, source, now_us)
        relays = [effect for effect in effects if isinstance(effect, Relay) and effect.what is PacketKind.RELAY]
        if not relays:
            return effects
        others = [effect for effect in effects if effect not in relays]
        held, self.kept = self.kept, relays[0]
        return [*others, held or relays[0]]


class NamesAnother(ServerEngine):
    def _relay(self, session: Session, text: str) -> None:
        name, session.name = session.name, "somebody"
        super()._relay(session, text)
        session.name = name


class SpeaksLikeItself(ServerEngine):
    """Relays every text as the notice that its receiver ends on."""

    def _deliver(self, members: list[Session], data: bytes) -> None:
        super()._deliver(members, "チャットルームが閉じられました".encode())


class TalksOnTcp(ServerEngine):
    def _deliver(self, members: list[Session], data: bytes) -> None:
        super()._deliver(members, data)
        for stream in self.handshake_server.handshakes:
            self.registry.out.append(SendFrame(stream, data, PacketKind.ANSWER, self.cause))


class TokensLive(ServerEngine):
    """A token that has ended works again."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int) -> Effects:
        for ended in list(self.registry.ended.values()):
            if ended.token in data and ended.room.state is RoomState.OPEN and b"still me" in data:
                session = Session(ended.token, "carol", ended.room, ended.codec, ended.ip, now_us, self.cause)
                session.state, session.address = SessionState.IN_ROOM, source
                self.registry.sessions[ended.token] = ended.room.members["carol"] = session
                self.registry.sessions_per_ip[ended.ip] = 1
                self.registry.sessions_at[source] = 1
        return super().receive_datagram(data, source, now_us)


def grants_a_token_again(limits: Any, new_token: Callable[[], bytes], **kwargs: Any) -> ServerEngine:
    granted: list[bytes] = []

    def token() -> bytes:
        free = [each for each in granted if each not in engine.registry.sessions]
        granted.append(free[0] if free else new_token())
        return granted[-1]

    engine = ServerEngine(limits, token, **kwargs)
    return engine


class AnswersStrangers(ServerEngine):
    def receive_datagram(self, data: bytes, source: Address, now_us: int) -> Effects:
        effects = super().receive_datagram(data, source, now_us)
        return effects or [SendDatagram(b"who are you?", source, PacketKind.NOTICE, self.cause)]


class ClosesQuietly(ServerEngine):
    """Whoever falls silent is not told."""

    def handle_timeout(self, now_us: int) -> Effects:
        return [each for each in super().handle_timeout(now_us) if getattr(each, "what", None) is not PacketKind.NOTICE]


class Amplifies(ServerEngine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

        def answer(ended: Ended, source: Address, _size: int, _now_us: int) -> None:
            self.registry._send_notice((ended.sentence or b"?") * 20, source)

        self.registry.answer_ended = answer  # type: ignore[method-assign, assignment]


class RemembersTooLong(ServerEngine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry._forget = lambda _ended, _now_us: None  # type: ignore[method-assign, assignment]


class RoomOutlivesItsHost(ServerEngine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry.close_room = lambda *_: None  # type: ignore[method-assign]


class NeverIdles(ServerEngine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry.next_silence_us = lambda: None  # type: ignore[method-assign]


class WaitsForEver(ServerEngine):
    def stream_opened(self, stream: Any, peer: Address, now_us: int, *, name: str = "") -> Effects:
        effects = super().stream_opened(stream, peer, now_us, name=name)
        if name == "silent":
            self.registry.timers.cancel(self.handshake_server.handshakes[stream].timer)
        return effects


def takes_too_many(limits: Limits, new_token: Any, **kwargs: Any) -> ServerEngine:
    return ServerEngine(limits.with_settings({"rooms_max": 3}), new_token, **kwargs)


class PadsRelays(ServerEngine):
    def _deliver(self, members: list[Session], data: bytes) -> None:
        super()._deliver(members, data + b" " * 4090)


class MovesAMachineForAnyone(ServerEngine):
    """A datagram without a token removes somebody."""

    def receive_datagram(self, data: bytes, source: Address, now_us: int) -> Effects:
        if data == b"\x00\x01\xff":
            session = next(iter(self.registry.sessions.values()))
            self.registry.end(session, SessionEvent.REMOVED, Notice.REMOVED, now_us)
        return super().receive_datagram(data, source, now_us)


class Sleepy(Timers):
    """Timers that never arm the end of a linger."""

    def arm(self, when_us: int, what: Deadline, action: Any, subject: Any, cause: Cause) -> Timer:
        timer = super().arm(when_us, what, action, subject, cause)
        if what in (Deadline.LINGER, Deadline.FORGET, Deadline.NOTICE):
            self.cancel(timer)
        return timer


class ClosesForEver(ServerEngine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry.timers = Sleepy()


class Forgetful(Timers):
    """Timers that never arm the second telling of an end."""

    def arm(self, when_us: int, what: Deadline, action: Any, subject: Any, cause: Cause) -> Timer:
        timer = super().arm(when_us, what, action, subject, cause)
        if what is Deadline.NOTICE:
            self.cancel(timer)
        return timer


class TellsOnce(ServerEngine):
    """Whoever has ended is told at once, and never again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry.timers = Forgetful()


class Hasty(Timers):
    """Timers for which a linger is over a second before it is."""

    def arm(self, when_us: int, what: Deadline, action: Any, subject: Any, cause: Cause) -> Timer:
        early_us = 1_000_000 if what is Deadline.LINGER else 0
        return super().arm(when_us - early_us, what, action, subject, cause)


class FreesNamesEarly(ServerEngine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry.timers = Hasty()


class LetsAnyoneTakeOver(ServerEngine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry.may_take_over = lambda *_: True  # type: ignore[method-assign]


class TokensOutliveTheirRoom(ServerEngine):
    """Whoever came last is left out when a room closes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        end = self.registry._end_with_room

        def end_all_but_the_last(member: Session, notice: Notice, host: str, now_us: int) -> None:
            if member is not list(member.room.members.values())[-1]:
                end(member, notice, host, now_us)

        self.registry._end_with_room = end_all_but_the_last  # type: ignore[method-assign]


class NeverResetsTheIdleClock(ServerEngine):
    def _hear(self, session: Session, text: str, source: Address, size: int, now_us: int) -> None:
        before_us, was_tokened = session.last_heard_us, session.state is SessionState.TOKENED
        super()._hear(session, text, source, size, now_us)
        if not was_tokened:
            session.last_heard_us = before_us


class DoesNotHearEnterWords(ServerEngine):
    """Who has said only that he is there is not there."""

    def _hear(self, session: Session, text: str, source: Address, size: int, now_us: int) -> None:
        if session.state is SessionState.TOKENED and text in ("", session.codec.dialect.enter_word):
            return
        super()._hear(session, text, source, size, now_us)


PLANTED = [
    (Property.TABLE_STEPS, row_leads_elsewhere),
    (Property.SHADOW_AGREES, row_leads_elsewhere),
    (Property.RELAY_TO_MEMBERS_ONLY, RelaysToStrangers),
    (Property.RELAY_NEEDS_A_LIVING_TOKEN, RelaysBeforeTheTokenIsChecked),
    (Property.RELAY_NOT_TO_ITS_SENDER, EchoesTheSender),
    (Property.RELAY_TO_EVERY_MEMBER, ForgetsAMember),
    (Property.RELAY_AT_MOST_ONCE, RelaysTwice),
    (Property.RELAYS_IN_ORDER, RelaysLater),
    (Property.RELAY_NAMES_ITS_SENDER, NamesAnother),
    (Property.NO_FORGED_NOTICE, SpeaksLikeItself),
    (Property.NO_TALK_ON_TCP, TalksOnTcp),
    (Property.TOKEN_ENDS_FOR_GOOD, TokensLive),
    (Property.TOKENS_UNIQUE, grants_a_token_again),
    (Property.REJECTED_CHANGES_NOTHING, AnswersStrangers),
    (Property.REJECTED_CHANGES_NOTHING, MovesAMachineForAnyone),
    (Property.ENDED_ARE_TOLD, ClosesQuietly),
    (Property.ENDED_ARE_TOLD_AGAIN, TellsOnce),
    (Property.NO_AMPLIFICATION, Amplifies),
    (Property.NAMES_LINGER, FreesNamesEarly),
    (Property.TAKEOVER_NEEDS_SILENCE, LetsAnyoneTakeOver),
    (Property.CLOSED_ROOM_LEAVES_NOTHING, RemembersTooLong),
    (Property.CLOSED_ROOM_LEAVES_NOTHING, TokensOutliveTheirRoom),
    (Property.HOST_ENDS_THE_ROOM, RoomOutlivesItsHost),
    (Property.LIVE_SESSION_HAS_A_DEADLINE, NeverIdles),
    (Property.ONLY_THE_SILENT_IDLE, NeverResetsTheIdleClock),
    (Property.HANDSHAKE_ENDS, WaitsForEver),
    (Property.LIMITS_HOLD, takes_too_many),
    (Property.DATAGRAMS_FIT, PadsRelays),
    (Property.CLOSING_ROOMS_CLOSE, ClosesForEver),
]


def test_every_property_has_a_bug_that_only_it_must_catch() -> None:
    with_a_story_of_their_own = {Property.NO_CLIENT_WAITS_FOR_EVER, Property.SPEAKERS_ARRIVE}
    assert {property for property, _ in PLANTED} | with_a_story_of_their_own == set(Property)


def test_a_speaker_who_never_arrives_is_caught_once_the_network_is_well() -> None:
    def told(loss_ends_at: str) -> Verdict:
        text = (
            "claim: a\nscript:\n  - {at: 0s, host: {create: lobby}}\n  - {at: 1s, bob: {join: lobby}}\n"
            "  - {at: 1s, network: {set: {loss: 100%}, from: bob, to: server}}\n"
            f"  - {{at: {loss_ends_at}, network: {{set: {{loss: 0%}}, from: bob, to: server}}}}\nuntil: 20s\n"
        )
        return Run(read_scenario_text(text), make_engine=DoesNotHearEnterWords).go()

    violation = told("3s").violation
    assert violation is not None
    assert violation.property is Property.SPEAKERS_ARRIVE
    assert told("19s").violation is None  # so soon after the last fault nobody can tell


def test_a_client_that_waits_for_ever_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    story = read_scenario_text(
        "claim: a\nscript:\n  - {at: 0s, network: {stall: [bob, server], for: 60s}}\n  - {at: 1s, bob: {join: lobby}}\n"
        "until: 50s\n"
    )
    assert Run(story).go().violation is None

    def without_a_deadline(engine: ClientEngine, now_us: int) -> None:
        assert engine.next_deadline_us() is None, f"nothing is armed at {now_us}"

    monkeypatch.setattr(ClientEngine, "start", without_a_deadline)
    violation = Run(story).go().violation
    assert violation is not None
    assert violation.property is Property.NO_CLIENT_WAITS_FOR_EVER


def test_without_a_bug_the_story_holds() -> None:
    assert run(ServerEngine).holds


@pytest.mark.parametrize(("property", "bug"), PLANTED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_planted_bug_is_caught_by_its_property_and_only_while_that_is_checked(
    property: Property, bug: EngineFactory
) -> None:
    caught: list[Property] = []
    while property not in caught:  # what other properties say of the same bug is not asked here
        violation = run(bug, tuple(caught)).violation
        assert violation is not None, f"{property} does not see it; {caught} do"
        caught.append(violation.property)
    violation = run(bug, tuple(caught)).violation
    assert violation is None or violation.property is not property
