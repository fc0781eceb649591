"""A monitor that knows a server by its state alone judges the next call as one does that has seen the whole run."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pytest

from observed_by_hand import OTHER, TOKEN, Server, frozen_ended, frozen_handshake, frozen_room, frozen_session
from planted_bugs import PLANTED, SCENARIO, EngineMaker
from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address, CloseStream, ServerOutput, Stepped
from tcrp.engine.server import ServerEngine
from tcrp.engine.state import ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.interleavings.reference_state import Frozen, freeze_reference, thaw_reference
from tcrp.sim.checks.differential import Differential
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.checks.resumed import resumed, step_record
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.sim.hosts.server import EngineCall, ServerHost, token_of
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.reference.server import ReferenceServer
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SECOND_US, Limits
from tcrp.spec.names import (
    Deadline,
    Machine,
    Operation,
    PacketKind,
    Property,
    RoomState,
    Rule,
    SessionState,
)  # fmt: skip

ELSEWHERE = Address("10.1.0.3", 40001)

NEEDS_HISTORY = {
    Property.TOKENS_UNIQUE: "a token that nobody remembers any more is in no state",
    Property.ENDED_ARE_TOLD_AGAIN: "who is to be told again is known by the engine's deadlines",
    Property.NAMES_LINGER: "since when a room closes is known by the engine's deadlines",
    Property.HANDSHAKE_ENDS: "since when a connection is open is known by the engine's deadlines",
    Property.ONLY_THE_SILENT_IDLE: "since when a session is silent is known by the engine's state",
    Property.CLOSING_ROOMS_CLOSE: "it is judged at the end of a run",
    Property.DATAGRAMS_FIT: "it is judged by the records of packets",
}
"""What only one who has seen the whole run can judge. The reference server, which has deadlines of its own, does."""
OF_PACKETS = {Property.DATAGRAMS_FIT, Property.STREAMS_KEEP_ORDER}
OF_THE_END = {Property.NO_CLIENT_WAITS_FOR_EVER, Property.LIVE_SESSION_HAS_A_DEADLINE}


class Resumes:
    """Watches a run beside its monitor: judges each call, or the one that breaks, by the states before it alone."""

    def __init__(self, run: Run, left_out: frozenset[Property], *, each_call: bool) -> None:
        self.run = run
        self.left_out = left_out
        self.each_call = each_call
        self.judged = dict.fromkeys(Property, 0)
        self.broken: list[Property] = []
        self.beside = Differential(CheckResults(run.world, frozenset(Property)))  # for its reference server
        self.moment_us = 0  # of the latest call
        self.before: tuple[Any, ...] | None = None
        run.server.observer = self

    def before_call(
        self, host: ServerHost, packet: Packet | None, connection: Connection | None, call: EngineCall
    ) -> None:
        reference, engine = self.beside.reference, host.engine
        if reference is None or engine is None:
            self.before = None
        else:
            states = engine.freeze(), freeze_reference(reference), dict(host._connections), self.moment_us
            self.before = (*states, packet, connection, call)
        self.beside.before_call(host, call)
        self.run.monitor.before_call(host, packet, connection, call)
        self.moment_us = host.local_us()

    def after_call(self, host: ServerHost, outputs: list[ServerOutput]) -> None:
        self.beside.after_call(host, outputs)
        self.run.monitor.after_call(host, outputs)
        if self.before is not None and (self.each_call or self.run.monitor.results.violation is not None):
            self.judge(host, outputs, *self.before)

    def judge(
        self, host: ServerHost, outputs: list[ServerOutput], state: ServerState, reference: Frozen,
        connections: dict[str, Connection], moment_us: int, packet: Packet | None, connection: Connection | None,
        call: EngineCall,
    ) -> None:  # fmt: skip
        listeners = [[each.dialect for each in listener.dialects] for listener in host.listeners]
        thawed = thaw_reference(reference, host.limits, listeners, lambda: token_of(host.seed, host._tokens))
        monitor = resumed(
            self.run.hosts, host.limits, self.left_out, Shadows(0), state=state, reference=thawed, holder=self.holder,
            connection_of=lambda stream: connections[str(stream)], now_us=moment_us,
        )  # fmt: skip
        monitor.before_call(host, packet, connection, call)
        for output in outputs:
            if isinstance(output, Stepped):
                monitor.hear(step_record(output))
        monitor.after_call(host, outputs)
        if monitor.results.violation is not None:
            self.broken.append(monitor.results.violation.property)
        for property, count in monitor.results.judged.items():
            self.judged[property] += count

    def server_crashed(self) -> None:
        self.beside.forget()
        self.run.monitor.server_crashed()

    def holder(self, token: Hashable) -> str:
        users = self.run.hosts.users.values()
        return next((user.id for user in users if user.engine is not None and user.engine.token == token), "")


def watched(make_engine: EngineMaker, left_out: frozenset[Property] = frozenset()) -> tuple[Verdict, Resumes]:
    run = Run(read_scenario_text(SCENARIO), make_engine=make_engine, leave_out=left_out)
    watch = Resumes(run, left_out, each_call=make_engine is ServerEngine)
    return run.go(), watch


def test_a_server_that_keeps_the_rules_is_never_accused() -> None:
    verdict, watch = watched(ServerEngine)
    assert (verdict.violation, watch.broken) == (None, [])
    unjudged = {property for property, count in verdict.judged.items() if count and not watch.judged[property]}
    assert unjudged == OF_PACKETS | OF_THE_END


@pytest.mark.parametrize(("property", "bug"), PLANTED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_planted_bug_is_found_in_the_same_call_unless_it_takes_history(property: Property, bug: EngineMaker) -> None:
    verdict, watch = watched(bug, frozenset(Property) - {property})
    assert verdict.violation is not None
    assert watch.broken == ([] if property in NEEDS_HISTORY else [property])


# --- what is put together from a state ------------------------------------------------------------

NOW_US = 100 * SECOND_US


class Gone(Server):
    """A state of a server with which a monitor goes on at 100 s: bob's client has the token, nobody's has the other."""

    def __init__(
        self, state: ServerState, *, limits: Limits | None = None, reference: ReferenceServer | None = None
    ) -> None:
        super().__init__(limits=limits)
        self.host = self.run.server
        self.host.limits = self.bounds.now
        self.connections = {id: self.connection(id) for id in ("a#1", "a#2")}
        self.shadows = Shadows()
        self.monitor = resumed(
            self.run.hosts, self.bounds.now, frozenset({Property.MATCHES_REFERENCE}), self.shadows, state=state,
            reference=reference, holder=lambda token: "bob" if token == TOKEN else "",
            connection_of=lambda stream: self.connections[str(stream)], now_us=NOW_US,
        )  # fmt: skip
        self.results, self.observed = self.monitor.results, self.monitor._model

    def steps_on(
        self, token: bytes, id: str, event: str, from_: str, to: str, machine: Machine = Machine.SESSION
    ) -> bool:
        """Whether that is a step from where the machine stands, as the trace has it."""
        self.monitor.hear(step_record(Stepped(machine, token, id, event, from_, to, Rule.TOK_1, "")))
        return self.found is None

    def call(
        self, at_us: int, *outputs: ServerOutput, connection: Connection | None = None, what: PacketKind | None = None
    ) -> str | None:
        """The server is woken, or hears something on a connection. Returns what was wrong at first."""
        self.run.world.now_us = at_us
        packet = self.piece(connection, what) if connection is not None and what is not None else None
        self.monitor.before_call(self.host, packet, connection, EngineCall("handle_timeout", ()))
        self.monitor.after_call(self.host, list(outputs))
        return self.found


def test_living_sessions_go_on_as_they_are() -> None:
    silent = frozen_session(TOKEN, silent_us=7, address=ELSEWHERE, listener=1, ip="10.1.0.7")
    granted = frozen_session(OTHER, "ann", state=SessionState.TOKENED, address=None)
    gone = Gone(ServerState(sessions=(silent, granted)))
    bob, ann = gone.observed.living[TOKEN], gone.observed.living[OTHER]
    assert (bob.id, bob.name, bob.room, bob.ip, bob.user) == ("bob@lobby", "bob", "lobby", "10.1.0.7", "bob")
    assert (bob.state, bob.last_heard_us, bob.address, bob.listener) == (SessionState.IN_ROOM, NOW_US - 7, ELSEWHERE, 1)
    assert (bob.has_entered, bob.has_spoken, bob.told_at_most) == (True, True, 4)
    assert (ann.user, ann.state, ann.last_heard_us, ann.address) == ("", SessionState.TOKENED, NOW_US, None)
    assert (ann.has_entered, ann.has_spoken, ann.told_at_most) == (False, True, 1)
    assert gone.observed.tokens == {"lobby": {TOKEN, OTHER}}
    call = gone.hears(forged_datagram("lobby", OTHER, b"hi"))
    assert (call.entry, call.others) == (ann, [bob])
    assert gone.hears(forged_datagram("lobby", TOKEN, b"hi"), ELSEWHERE).others == []
    assert gone.steps_on(TOKEN, "bob@lobby", "relayed", "in-room", "in-room")
    assert gone.steps_on(OTHER, "ann@lobby", "entered", "tokened", "in-room")
    assert not gone.steps_on(TOKEN, "bob@lobby", "entered", "tokened", "in-room")


def test_a_dialect_that_fixes_the_port_does_so_after_a_state_too() -> None:
    gone = Gone(ServerState(sessions=(frozen_session(TOKEN),)))
    fixed = gone.run.hosts.users["bob"].codec.dialect.port_fixed
    assert gone.observed.living[TOKEN].fixed is fixed is False
    assert gone.observed.living[TOKEN].asked_from is None


@pytest.mark.parametrize(("state", "timeout_us"), [(SessionState.IN_ROOM, 9), (SessionState.TOKENED, 5)])
def test_a_session_is_overdue_by_its_silence_before_the_state(state: SessionState, timeout_us: int) -> None:
    limits = Limits(idle_timeout=9 * SECOND_US, token_timeout=5 * SECOND_US)
    gone = Gone(ServerState(sessions=(frozen_session(TOKEN, state=state, silent_us=SECOND_US),)), limits=limits)
    late_us = NOW_US + timeout_us * SECOND_US  # a second late
    assert gone.call(late_us) is None
    assert gone.call(late_us + 1) == "bob@lobby is silent for too long and lives"


def test_an_ended_token_goes_on_as_it_is() -> None:
    ended = frozen_ended(TOKEN, address=ELSEWHERE, listener=1, answered_ago_us=4)
    gone = Gone(ServerState(ended=(ended, frozen_ended(OTHER, "ann", address=None))))
    bob, ann = gone.observed.ended[TOKEN], gone.observed.ended[OTHER]
    assert (bob.id, bob.state, bob.user, bob.address) == ("bob@lobby", SessionState.EXPIRED, "bob", ELSEWHERE)
    assert (bob.has_entered, bob.answered_us, bob.listener, bob.tell_us) == (True, NOW_US - 4, 1, [])
    assert (ann.has_entered, ann.answered_us, ann.address) == (False, None, None)
    assert (gone.observed.living, gone.observed.tokens) == ({}, {"lobby": {TOKEN, OTHER}})
    assert gone.call(2 * NOW_US) is None  # no deadline says that it is to be told again


@pytest.mark.parametrize(
    ("times_told", "linger_us", "tell_us"),
    [
        (1, 5 * SECOND_US, [500_000, 1_500_000, 3_500_000]),
        (2, 5 * SECOND_US, [1_500_000, 3_500_000]),
        (1, 1_500_000, [500_000]),
        (1, 1_500_001, [500_000, 1_500_000]),
    ],
)
def test_an_ended_token_is_told_again_as_often_as_was_left(times_told: int, linger_us: int, tell_us: list[int]) -> None:
    ended = frozen_ended(TOKEN, times_told=times_told, ended_ago_us=3)
    state = ServerState(ended=(ended,), timers=(TimerEntry(1, Deadline.NOTICE, TOKEN),))
    gone = Gone(state, limits=Limits(linger=linger_us))
    assert gone.observed.ended[TOKEN].tell_us == [NOW_US - 3 + after_us for after_us in tell_us]
    assert gone.call(2 * NOW_US) == "bob@lobby was not told again"


def reference_with_a_host(token: bytes) -> ReferenceServer:
    """A second server in whose room lobby ann is the host."""
    reference = ReferenceServer(Limits(), [[codec("text").dialect]], lambda: token)
    request = codec("text").write_request(Operation.CREATE, b"lobby", "ann", "", "10.0.0.1", 40001)
    reference.stream_opened("a#1", Address("10.0.0.1", 1), 0)
    reference.receive_stream("a#1", request, 0)
    while not reference.rooms.by_name:
        due_us = reference.next_deadline_us()
        assert due_us is not None
        reference.handle_timeout(due_us)
    return reference


@pytest.mark.parametrize(
    ("host", "by_reference", "expected"),
    [
        (TOKEN, None, "living"), (TOKEN, OTHER, "living"), (OTHER, None, "ended"), (None, OTHER, "ended"),
        (None, TOKEN, "living"), (None, None, None), (b"x" * 32, None, None),
    ],
)  # fmt: skip
def test_a_rooms_host_is_known_by_the_state_or_by_the_reference(
    host: bytes | None, by_reference: bytes | None, expected: str | None
) -> None:
    reference = reference_with_a_host(by_reference) if by_reference is not None else None
    state = ServerState((frozen_session(TOKEN),), (frozen_room(host=host),), (frozen_ended(OTHER, "ann"),))
    gone = Gone(state, reference=reference)
    observed = gone.observed
    hosts = {"living": observed.living[TOKEN], "ended": observed.ended[OTHER], None: None}
    assert observed.hosts == {"lobby": hosts[expected]}
    assert (observed.rooms, observed.closing_us) == ({"lobby": RoomState.OPEN}, {})
    assert gone.monitor._differential.reference is reference
    assert gone.steps_on(b"lobby", "lobby", "relayed", "open", "open", Machine.ROOM)
    assert not gone.steps_on(b"lobby", "lobby", "drained", "closing", "closed", Machine.ROOM)


@pytest.mark.parametrize(("timers", "ago_us"), [((2, b"lobby"), 3), ((2, b"attic"), 5)])
def test_since_when_a_room_closes_is_known_by_its_deadline(timers: tuple[int, bytes], ago_us: int) -> None:
    left, room = timers
    lingers = TimerEntry(left * SECOND_US, Deadline.LINGER, room)
    state = ServerState(rooms=(frozen_room(state=RoomState.CLOSING),), timers=(lingers,))
    gone = Gone(state, limits=Limits(linger=5 * SECOND_US))
    assert gone.observed.closing_us == {"lobby": NOW_US - ago_us * SECOND_US}


def test_connections_go_on_with_what_was_said_on_them() -> None:
    streams = frozen_handshake("a#1", "10.1.0.1"), frozen_handshake("a#2", "10.1.0.1", peer_ended=True)
    timers = (
        TimerEntry(4 * SECOND_US, Deadline.HANDSHAKE, "a#1"),
        TimerEntry(9 * SECOND_US, Deadline.HANDSHAKE, "a#2"),
    )
    state = ServerState(handshakes=(replace(streams[0], buffer=b"half"), streams[1]), timers=timers)
    gone = Gone(state, limits=Limits(handshake_timeout=10 * SECOND_US, connections_max=2))
    assert gone.monitor._liveness._sent == {"a#1": b"half", "a#2": b""}
    assert gone.steps_on(b"", "a#1", "refused", "requested", "refused", Machine.HANDSHAKE) is False  # not its number
    gone = Gone(state, limits=Limits(handshake_timeout=10 * SECOND_US, connections_max=2))
    refused = Stepped(Machine.HANDSHAKE, "a#1", "a#1", "refused", "requested", "refused", Rule.TCP_2, "")
    gone.monitor.hear(step_record(refused))
    assert gone.found is None
    assert gone.call(NOW_US + 5 * SECOND_US) is None
    assert gone.call(NOW_US + 5 * SECOND_US + 1) == f"a connection is {11 * SECOND_US + 1} us old"


def test_a_connection_without_a_deadline_is_as_old_as_it_may_be() -> None:
    limits = Limits(handshake_timeout=10 * SECOND_US)
    gone = Gone(ServerState(handshakes=(frozen_handshake("a#1", "10.1.0.1"),)), limits=limits)
    assert gone.call(NOW_US + SECOND_US) is None
    assert gone.call(NOW_US + SECOND_US + 1) is not None


@pytest.mark.parametrize("peer_ended", [False, True])
def test_a_connection_may_be_closed_if_its_peer_had_ended_it_and_counts_until_then(peer_ended: bool) -> None:
    handshake = frozen_handshake("a#1", "10.1.0.1", peer_ended=peer_ended)
    gone = Gone(ServerState(handshakes=(handshake,)), limits=Limits(connections_max=1))
    closed = gone.call(NOW_US, CloseStream("a#1"), connection=gone.connections["a#1"], what=PacketKind.STREAM)
    assert (closed is None) is peer_ended
    gone = Gone(ServerState(handshakes=(handshake,)), limits=Limits(connections_max=1))
    opened = gone.call(NOW_US, connection=gone.connections["a#2"], what=PacketKind.OPEN)
    assert opened == "there are 2 connections, but at most 1"


def test_the_step_of_a_server_is_heard_as_its_trace_would_tell_it() -> None:
    step = Stepped(Machine.SESSION, TOKEN, "bob@lobby", "left", "in-room", "expired", Rule.EXIT_1, "why", 1)
    record = step_record(step)
    assert (record.actor, record.machine, record.id, record.event) == ("server", Machine.SESSION, "bob@lobby", "left")
    assert (record.from_, record.to, record.rule, record.why) == ("in-room", "expired", Rule.EXIT_1, "why")
    assert record.instance == step_record(step._replace(id="another")).instance
    assert record.instance != step_record(step._replace(subject=OTHER)).instance
    assert (record.n, record.cause, record.t_us, record.token) == (0, 0, 0, "")
