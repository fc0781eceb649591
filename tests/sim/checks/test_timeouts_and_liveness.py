"""Sessions, connections and clients that live too long or too short by the least, and the last that is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from observed_by_hand import OTHER, TOKEN, Server
from planting import Planted, moves_timers, violation_of, with_limits
from tcrp.engine.client import ClientEngine
from tcrp.engine.outputs import Address, StreamId
from tcrp.engine.server import Outputs
from tcrp.engine.timers import TimerEntry
from tcrp.sim.checks.observed import Known, SessionRecord
from tcrp.sim.checks.results import Violation
from tcrp.sim.checks.termination import LATE_US
from tcrp.sim.checks.timeouts_and_liveness import ARRIVES_US, LivenessChecks
from tcrp.sim.hosts.server import ServerHost
from tcrp.sim.network.packets import Origin
from tcrp.sim.network.tcp import Connection
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import Join, LinkId, LinkPatch, Span
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SECOND_US, SHUTDOWN_LINGER_US, Limits, Takeover
from tcrp.spec.names import Deadline, HandshakeState, PacketKind, Property, SessionState

IDLE_US, TOKEN_US, HANDSHAKE_US = 60 * SECOND_US, 20 * SECOND_US, 10 * SECOND_US
SILENT = """
claim: alice falls silent, bob never enters, and a peer says half a request
server: {idle_timeout: 60s, token_timeout: 20s, handshake_timeout: 10s}
users: {alice: {dialect: json-port}, bob: {dialect: text}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, network: {set: {loss: 100%}, from: bob, to: server}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, peer: {stream: {hex: "05"}}}
until: 100s
"""
COMES_BACK = """
claim: a double joins under the name of another
server: {takeover: same_address, takeover_after: 5s}
network: {default: {delay: 0s}}
users:
  bob: {dialect: json-port, address: 10.1.0.1}
  double: {dialect: json-port, name: bob, address: 10.1.0.1}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, bob: {say: "hi"}}
  - {at: %s, double: {join: lobby}}
"""
UNHEARD = """
claim: nothing that bob says is heard
server: {token_timeout: 60s}
network: {default: {delay: 0s}}
users: {bob: {dialect: text, address: 10.1.0.1}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 30s, bob: {say: "hi"}}
until: %dus
"""
CLOSING = """
claim: a room closes
server: {linger: 2s}
network: {default: {delay: 0s}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 3s, alice: leave}
until: %dus
"""


@pytest.mark.parametrize(("by_us", "is_found"), [(0, False), (-1, True)])
@pytest.mark.parametrize("setting", ["idle_timeout", "token_timeout"])
def test_who_is_idled_a_microsecond_early_is_found(setting: str, by_us: int, is_found: bool) -> None:
    timeout_us = {"idle_timeout": IDLE_US, "token_timeout": TOKEN_US}[setting] + by_us
    violation = violation_of(SILENT, Property.ONLY_THE_SILENT_IDLE, with_limits(**{setting: timeout_us}))
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("by_us", "is_found"), [(LATE_US, False), (LATE_US + 1, True)])
@pytest.mark.parametrize("setting", ["idle_timeout", "token_timeout"])
def test_who_is_idled_more_than_a_second_late_is_found(setting: str, by_us: int, is_found: bool) -> None:
    """Though nothing else happens until then."""
    timeout_us = {"idle_timeout": IDLE_US, "token_timeout": TOKEN_US}[setting] + by_us
    violation = violation_of(SILENT, Property.LIVE_SESSION_HAS_A_DEADLINE, with_limits(**{setting: timeout_us}))
    assert (violation is not None) is is_found


@pytest.mark.parametrize(("by_us", "is_found"), [(LATE_US, False), (LATE_US + 1, True)])
def test_a_connection_that_is_closed_more_than_a_second_late_is_found(by_us: int, is_found: bool) -> None:
    late = with_limits(handshake_timeout=HANDSHAKE_US + by_us)
    assert (violation_of(SILENT, Property.HANDSHAKE_ENDS, late) is not None) is is_found


@pytest.mark.parametrize(
    ("property", "settings"),
    [
        (Property.LIVE_SESSION_HAS_A_DEADLINE, {"idle_timeout": 3600 * SECOND_US}),
        (Property.HANDSHAKE_ENDS, {"handshake_timeout": 3600 * SECOND_US}),
    ],
)
def test_what_is_overdue_when_a_run_ends_is_found(property: Property, settings: dict[str, int]) -> None:
    assert violation_of(SILENT, property, with_limits(**settings)) is not None


def test_a_server_that_was_paused_may_be_late() -> None:
    paused = SILENT.replace("until", "  - {at: 3s, server: {pause: 70s}}\nuntil")
    verdict = Run(read_scenario_text(paused)).go()
    assert verdict.violation is None
    assert verdict.judged[Property.ONLY_THE_SILENT_IDLE] == 2


# --- takeover ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "is_found"), [("7s", False), ("6999999us", True)])
def test_a_name_is_taken_over_after_the_holders_silence_and_no_earlier(at: str, is_found: bool) -> None:
    early = with_limits(takeover_after=SECOND_US)
    violation = violation_of(COMES_BACK % at, Property.TAKEOVER_IS_BY_OWNER, early)
    assert (violation is not None) is is_found


@pytest.mark.parametrize("takeover", ["token", "off"])
def test_silence_alone_is_no_claim_to_a_name(takeover: str) -> None:
    only_proof = COMES_BACK.replace("same_address", takeover) % "50s"
    lenient = with_limits(takeover=Takeover.SAME_ADDRESS)
    violation = violation_of(only_proof, Property.TAKEOVER_IS_BY_OWNER, lenient)
    assert violation is not None
    assert "10.1.0.1" in violation.what


# --- the end of a run ----------------------------------------------------------------------------


class DoesNotHearBob(Planted):
    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        return [] if source.ip.startswith("10.1.") else super().receive_datagram(data, source, now_us, listener)


def unheard(text: str) -> Violation | None:
    """What the run of a server that does not hear bob breaks; his arrival need not have been judged."""
    left_out = set(Property) - {Property.SPEAKERS_ARRIVE}
    return Run(read_scenario_text(text), make_engine=DoesNotHearBob, leave_out=left_out).go().violation


@pytest.mark.parametrize(("until_us", "is_found"), [(32 * SECOND_US, True), (31_999_999, False)])
def test_a_speaker_has_two_seconds_to_arrive(until_us: int, is_found: bool) -> None:
    assert (unheard(UNHEARD % until_us) is not None) is is_found


@pytest.mark.parametrize(
    "fault",
    [
        "{at: 30500ms, network: {set: {delay: 1ms}, from: bob, to: server}}",
        "{at: 10s, network: {set: {loss: 1%}, from: bob, to: server}}",
        "{at: 29s, bob: {move: {address: 10.1.0.2}}}",
    ],
    ids=["a fault since", "a link that may lose it", "another address"],
)
def test_a_speaker_need_not_arrive_if_the_network_explains_it(fault: str) -> None:
    explained = (UNHEARD % (50 * SECOND_US)).replace("until", f"  - {fault}\nuntil")
    assert unheard(explained) is None


@pytest.mark.parametrize(
    ("after_us", "is_found"), [(2 * SECOND_US + LATE_US, False), (2 * SECOND_US + LATE_US + 1, True)]
)
def test_a_room_may_be_closing_a_second_longer_than_its_linger(after_us: int, is_found: bool) -> None:
    never = moves_timers(Deadline.LINGER, 3600 * SECOND_US)
    violation = violation_of(CLOSING % (3 * SECOND_US + after_us), Property.CLOSING_ROOMS_CLOSE, never)
    assert (violation is not None) is is_found


# --- call by call --------------------------------------------------------------------------------

MUCH_LATER_US = 100 * SECOND_US  # a moment long after the beginning


class Judged(Server):
    """The checks of deadlines and liveness, told by hand what a server is given and which steps it takes."""

    def __init__(self, *, slack_us: int = 0, limits: Limits | None = None) -> None:
        limits = limits or Limits(
            idle_timeout=IDLE_US, token_timeout=TOKEN_US, handshake_timeout=HANDSHAKE_US, linger=2 * SECOND_US
        )
        super().__init__(limits=limits, known=Known())
        self.host = self.run.server
        self.bob = self.run.hosts.users["bob"]
        self.checks = LivenessChecks(self.results, self.observed, self.run.hosts, self.bounds, slack_us)

    def now(self, local_us: int) -> Judged:
        self.run.world.now_us = local_us
        return self

    def is_overdue(self, local_us: int) -> bool:
        """Whether something is overdue when the server is next given something."""
        self.now(local_us).checks.judge_overdue(self.host)
        return self.found is not None

    def peer(
        self, connection: Connection, what: PacketKind, data: bytes = b"", *, local_us: int = 5,
        stream: StreamId | None = None,
    ) -> None:  # fmt: skip
        self.hears_on(connection, what, data, local_us=local_us, stream=stream)
        self.checks.begin_call()

    def is_granted(self, token: bytes = TOKEN, id: str = "bob@lobby", *, local_us: int = 0) -> SessionRecord:
        self.wakes(local_us)
        entry = self.observed.grant(self.session(token, id, "granted", "tokened"))
        self.checks.granted(entry)
        return entry

    def enters_at(self, entry: SessionRecord, local_us: int) -> None:
        self.wakes(local_us)
        self.enters(entry)
        self.checks.expect_silence(entry)

    def is_idled(self, entry: SessionRecord, local_us: int, *, from_: str = "in-room") -> bool:
        """Whether it has idled too early."""
        self.wakes(local_us)
        self.checks.idled(entry, self.session(entry.token, entry.id, "idled", "expired", from_))
        return self.found is not None


@pytest.mark.parametrize("enters", [False, True])
def test_a_session_is_overdue_a_second_after_its_own_timeout(enters: bool) -> None:
    server = Judged()
    entry = server.is_granted()
    if enters:
        server.enters_at(entry, 3 * SECOND_US)
    ends_us = 3 * SECOND_US + IDLE_US if enters else TOKEN_US
    assert not server.is_overdue(ends_us + LATE_US)
    assert server.is_overdue(ends_us + LATE_US + 1)
    assert server.found == "bob@lobby is silent for too long and lives"


def test_who_was_heard_since_has_time_again() -> None:
    server = Judged()
    entry = server.is_granted()
    entry.last_heard_us = SECOND_US
    assert not server.is_overdue(TOKEN_US + LATE_US + 1)
    entry.last_heard_us = 2 * SECOND_US
    assert not server.is_overdue(TOKEN_US + LATE_US + SECOND_US + 1)
    assert not server.is_overdue(TOKEN_US + LATE_US + 2 * SECOND_US)
    assert server.is_overdue(TOKEN_US + LATE_US + 2 * SECOND_US + 1)


@pytest.mark.parametrize("first", [TOKEN, OTHER])
def test_of_several_who_are_silent_each_is_found(first: bytes) -> None:
    """Two were granted at one moment; one has ended in time."""
    server = Judged()
    entries = [server.is_granted(TOKEN), server.is_granted(OTHER, "ann@lobby")]
    last = server.is_granted(b"l" * 32, "eve@lobby", local_us=SECOND_US)
    for entry in entries:
        if entry.token == first:
            server.steps(entry, "left", "expired")
    server.steps(last, "left", "expired")
    assert server.is_overdue(TOKEN_US + 3 * SECOND_US)
    assert server.results.judged[Property.LIVE_SESSION_HAS_A_DEADLINE] == 1


@pytest.mark.parametrize("gone", ["ended", "given away"])
def test_who_is_gone_is_not_overdue(gone: str) -> None:
    server = Judged()
    entry = server.is_granted()
    if gone == "ended":
        server.steps(entry, "left", "expired")
    else:
        server.observed.give_away("lobby")
    assert not server.is_overdue(MUCH_LATER_US)
    assert server.results.judged[Property.LIVE_SESSION_HAS_A_DEADLINE] == 0


def test_who_came_with_a_room_lives_at_least_until_then() -> None:
    server = Judged()
    entry = server.is_granted()
    entry.came_us = 90 * SECOND_US
    server.checks.expect_silence(entry)
    assert not server.is_overdue(90 * SECOND_US + LATE_US)
    assert server.is_overdue(90 * SECOND_US + LATE_US + 1)


def test_a_shorter_timeout_holds_from_its_change_on_for_all_who_live() -> None:
    server = Judged()
    server.is_granted()
    server.bounds.change(replace(server.bounds.now, token_timeout=SECOND_US))
    server.wakes(5 * SECOND_US)
    server.checks.expect_silences_anew()
    assert not server.is_overdue(5 * SECOND_US + LATE_US)
    assert server.is_overdue(5 * SECOND_US + LATE_US + 1)


def test_a_server_that_crashed_owes_nothing() -> None:
    server = Judged(limits=Limits(takeover=Takeover.TOKEN))
    connection = server.connection("ann#1")
    server.peer(connection, PacketKind.OPEN)
    server.checks.granted(server.grants(TOKEN, user="ann"))
    server.peer(connection, PacketKind.STREAM, TOKEN)
    server.checks.forget()
    assert not server.is_overdue(3600 * SECOND_US)
    assert server.results.judged[Property.LIVE_SESSION_HAS_A_DEADLINE] == 0
    server.peer(connection, PacketKind.STREAM, b"and nothing more")
    new = server.observed.grant(server.session(OTHER, "bob@lobby", "granted", "tokened"))
    server.checks.granted(new)
    assert server.results.judged[Property.TAKEOVER_IS_BY_OWNER] == 1
    assert server.found is not None  # what was sent before the crash proves nothing


@pytest.mark.parametrize(
    ("from_", "silent_us", "is_found"),
    [
        ("tokened", TOKEN_US, False), ("tokened", TOKEN_US - 1, True), ("in-room", IDLE_US, False),
        ("in-room", IDLE_US - 1, True),
    ],
)  # fmt: skip
def test_who_idles_was_silent_for_the_timeout_of_its_state(from_: str, silent_us: int, is_found: bool) -> None:
    server = Judged()
    entry = server.is_granted(local_us=7)
    assert server.is_idled(entry, 7 + silent_us, from_=from_) is is_found
    assert server.found == (f"bob@lobby idled after {silent_us} us of silence" if is_found else None)


# --- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("slack_us", [0, SECOND_US])
def test_a_connection_may_be_open_for_its_timeout_and_a_second(slack_us: int) -> None:
    server = Judged(slack_us=slack_us)
    server.peer(server.connection("ann#1"), PacketKind.OPEN, local_us=7)
    server.peer(server.connection("ann#2"), PacketKind.OPEN, local_us=9)
    assert not server.is_overdue(7 + HANDSHAKE_US + LATE_US + slack_us)
    assert server.is_overdue(8 + HANDSHAKE_US + LATE_US + slack_us)
    assert server.found == f"a connection is {1 + HANDSHAKE_US + LATE_US + slack_us} us old"


def test_the_oldest_connection_that_is_open_counts() -> None:
    server = Judged()
    first, second, third = (server.connection(f"ann#{number}") for number in range(3))
    for number, connection in enumerate((first, second, third)):
        server.peer(connection, PacketKind.OPEN, local_us=number * SECOND_US)
    first.server_is_done = third.server_is_done = True
    assert not server.is_overdue(HANDSHAKE_US + LATE_US + SECOND_US)
    assert server.is_overdue(HANDSHAKE_US + LATE_US + SECOND_US + 1)


@pytest.mark.parametrize("what", [PacketKind.STREAM, PacketKind.CLOSE])
def test_only_what_opens_a_connection_begins_its_time(what: PacketKind) -> None:
    server = Judged()
    server.peer(server.connection("ann#1"), what)
    assert not server.is_overdue(MUCH_LATER_US)


def test_a_connection_of_another_server_is_for_that_one_to_judge() -> None:
    server = Judged()
    server.peer(server.connection("ann#1"), PacketKind.OPEN, stream=("a", 1))
    assert not server.is_overdue(MUCH_LATER_US)


def test_a_server_that_goes_on_after_a_pause_has_all_the_time_again() -> None:
    server = Judged()
    server.peer(server.connection("ann#1"), PacketKind.OPEN)
    server.is_granted()
    server.host.is_catching_up = True
    assert not server.is_overdue(MUCH_LATER_US)
    server.observed.give_away("lobby")
    server.host.is_catching_up = False
    assert not server.is_overdue(MUCH_LATER_US + HANDSHAKE_US + LATE_US)
    assert server.is_overdue(MUCH_LATER_US + HANDSHAKE_US + LATE_US + 1)


# --- takeover, call by call -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("takeover", "silent_us", "said", "ip", "is_found"),
    [
        (Takeover.SAME_ADDRESS, 5 * SECOND_US, b"", "10.1.0.2", False),
        (Takeover.SAME_ADDRESS, 5 * SECOND_US - 1, b"", "10.1.0.2", True),
        (Takeover.SAME_ADDRESS, 0, TOKEN, "10.1.0.2", False),
        (Takeover.SAME_ADDRESS, 5 * SECOND_US, TOKEN, "10.1.0.3", True),
        (Takeover.TOKEN, 5 * SECOND_US, b"", "10.1.0.2", True),
        (Takeover.TOKEN, 0, b"I am bob: " + TOKEN, "10.1.0.2", False),
        (Takeover.TOKEN, 0, OTHER, "10.1.0.2", True),
        (Takeover.OFF, 5 * SECOND_US, TOKEN, "10.1.0.2", True),
    ],
)
def test_a_name_goes_over_to_its_owner_alone(
    takeover: Takeover, silent_us: int, said: bytes, ip: str, is_found: bool
) -> None:
    server = Judged(limits=Limits(takeover=takeover, takeover_after=5 * SECOND_US))
    server.grants(TOKEN)
    connection = server.connection("bob#2", ip, user="bob")
    server.peer(connection, PacketKind.OPEN, local_us=5)
    for piece in (said[:4], said[4:]):
        server.peer(connection, PacketKind.STREAM, piece, local_us=5 + silent_us)
    server.checks.granted(server.observed.grant(server.session(OTHER, "bob@lobby", "granted", "tokened")))
    words = f"bob@lobby, last heard {silent_us} us ago at 10.1.0.2, was granted to {ip}"
    assert server.found == (words if is_found else None)
    assert server.results.judged[Property.TAKEOVER_IS_BY_OWNER] == 1


@pytest.mark.parametrize("what", [PacketKind.CLOSE, PacketKind.RESET])
def test_what_was_said_on_a_connection_that_has_ended_proves_nothing(what: PacketKind) -> None:
    server = Judged(limits=Limits(takeover=Takeover.TOKEN))
    server.grants(TOKEN)
    connection = server.connection("bob#2", user="bob")
    server.peer(connection, PacketKind.STREAM, TOKEN)
    server.peer(connection, what)
    server.checks.granted(server.observed.grant(server.session(OTHER, "bob@lobby", "granted", "tokened")))
    assert server.found is not None


def test_a_name_that_nobody_has_is_taken_over_from_nobody() -> None:
    server = Judged()
    server.is_granted()
    server.is_granted(OTHER, "ann@lobby")
    assert server.results.judged[Property.TAKEOVER_IS_BY_OWNER] == 0


# --- the end of a run, call by call ---------------------------------------------------------------


def waits_for_ever(server: Judged, host: ServerHost | None = None) -> bool:
    server.checks.finish(host)
    return server.found == "bob waits for what will not come"


def asks(server: Judged, **changes: Any) -> None:
    """Bob's client has asked for a room and waits; or its state is another."""
    server.bob.act(Join("lobby"), Origin("bob", 0))
    engine = server.bob.engine
    assert engine is not None
    if changes:
        state = replace(engine.freeze(), **changes)
        server.bob.engine = ClientEngine(engine.config, state=state, now_us=0)


TIMER = TimerEntry(10 * SECOND_US, Deadline.HANDSHAKE, b"")


@pytest.mark.parametrize(
    ("changes", "at_us", "is_found"),
    [
        ({"timers": (TIMER,)}, 10 * SECOND_US + LATE_US, False),
        ({"timers": (TIMER,)}, 10 * SECOND_US + LATE_US + 1, True),
        ({"timers": ()}, 0, True),
        ({"timers": (), "session": SessionState.EXPIRED}, 0, False),
        ({"timers": (), "handshake": HandshakeState.REFUSED}, 0, False),
        ({"timers": (), "handshake": HandshakeState.COMPLETED, "session": SessionState.IN_ROOM}, 0, True),
        ({"timers": (), "handshake": HandshakeState.COMPLETED, "session": SessionState.EXPIRED}, 0, False),
    ],
)
def test_a_client_that_waits_has_a_deadline_that_is_not_over(
    changes: dict[str, Any], at_us: int, is_found: bool
) -> None:
    server = Judged()
    asks(server, **changes)
    server.now(at_us)
    assert waits_for_ever(server) is is_found


@pytest.mark.parametrize("why", ["paused", "catching up", "gone", ""])
def test_a_client_that_is_frozen_or_gone_waits_for_nothing(why: str) -> None:
    server = Judged()
    asks(server, timers=())
    server.bob.is_paused, server.bob.is_catching_up = why == "paused", why == "catching up"
    if why == "gone":
        server.bob.engine = None
    assert waits_for_ever(server) is (why == "")


@pytest.mark.parametrize(
    ("slack_us", "has_server", "is_judged"), [(0, True, True), (0, False, True), (1, True, False), (1, False, True)]
)
def test_clients_of_a_cluster_are_judged_once_for_all_its_servers(
    slack_us: int, has_server: bool, is_judged: bool
) -> None:
    server = Judged(slack_us=slack_us)
    asks(server, timers=())
    assert waits_for_ever(server, server.host if has_server else None) is is_judged


class Arrives(Judged):
    """Bob's client has a token and has spoken, and the server has not taken him in; nothing explains it."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = self.grants(TOKEN)
        asks(self, token=TOKEN, session=SessionState.TOKENED, handshake=HandshakeState.COMPLETED, timers=(TIMER,))
        self.run.world.network.set([LinkId("bob", "server")], LinkPatch(delay=Span(0, 0)))
        self.checks.spoke_us["bob"] = 4 * SECOND_US
        self.checks.last_fault_us = 4 * SECOND_US
        self.now(4 * SECOND_US + ARRIVES_US)

    def is_found(self, host: ServerHost | None = None) -> bool:
        self.checks.finish(host or self.host)
        return self.found == "bob@lobby speaks, and is not in-room"


def test_who_speaks_and_is_not_taken_in_is_found() -> None:
    assert Arrives().is_found()


def test_in_a_run_without_faults_even_the_first_words_have_to_arrive() -> None:
    server = Arrives()
    checks = LivenessChecks(server.results, server.observed, server.run.hosts, server.bounds, 0)
    assert checks.last_fault_us == 0
    checks.spoke_us["bob"] = 0
    checks.finish(server.host)
    assert server.found is not None


def test_of_a_single_server_only_the_way_to_it_counts() -> None:
    server = Arrives()
    server.run.world.network.cut([LinkId("server", "server"), LinkId("server", "bob")])
    assert server.is_found()


def test_who_speaks_and_is_taken_in_is_right() -> None:
    server = Arrives()
    server.enters(server.entry)
    assert not server.is_found()
    assert server.results.judged[Property.SPEAKERS_ARRIVE] == 1


def nobody_holds_it(server: Arrives) -> None:
    server.entry.user = ""


def has_crashed(server: Arrives) -> None:
    server.bob.engine = None


def has_another_token(server: Arrives) -> None:
    asks(server, token=OTHER, session=SessionState.TOKENED, handshake=HandshakeState.COMPLETED)


def has_not_spoken(server: Arrives) -> None:
    server.checks.spoke_us.clear()


def fault_since(server: Arrives) -> None:
    server.checks.last_fault_us += 1


def no_time(server: Arrives) -> None:
    server.now(4 * SECOND_US + ARRIVES_US - 1)


def elsewhere(server: Arrives) -> None:
    server.entry.ip = "10.1.0.9"


def by_another_listener(server: Arrives) -> None:
    server.entry.listener = 1


def by_a_bad_link(server: Arrives) -> None:
    server.run.world.network.cut([LinkId("bob", "server")])


def server_is_down(server: Arrives) -> None:
    server.host.engine = None


def server_is_paused(server: Arrives) -> None:
    server.host.is_paused = True


def server_catches_up(server: Arrives) -> None:
    server.host.is_catching_up = True


EXPLAIN: list[Callable[[Arrives], None]] = [
    nobody_holds_it, has_crashed, has_another_token, has_not_spoken, fault_since, no_time, elsewhere,
    by_another_listener, by_a_bad_link, server_is_down, server_is_paused, server_catches_up,
]  # fmt: skip


@pytest.mark.parametrize("explains", EXPLAIN)
def test_who_is_not_taken_in_is_not_missed_if_something_explains_it(explains: Callable[[Arrives], None]) -> None:
    server = Arrives()
    explains(server)
    server.checks.finish(server.host)
    assert (server.found, server.results.judged[Property.SPEAKERS_ARRIVE]) == (None, 0)


@pytest.mark.parametrize("cut", [[], [("server", "other")], [("bob", "server")]])
def test_in_a_cluster_the_way_between_its_servers_counts_too(cut: list[tuple[str, str]]) -> None:
    """Bob speaks to one server, and another has his session."""
    server = Arrives()
    world = server.run.world
    other = ServerHost(world, server.bounds.now, 0, id="other", ip="10.9.0.1")
    other.udp = server.host.udp
    world.network.set([LinkId("server", "other")], LinkPatch(delay=Span(0, 0)))
    world.network.cut([LinkId(*each) for each in cut])
    assert server.is_found(other) is (not cut)


@pytest.mark.parametrize(("linger_us", "least_us"), [(2 * SECOND_US, 2 * SECOND_US), (0, SHUTDOWN_LINGER_US)])
def test_a_room_that_is_closing_for_longer_than_its_linger_is_found(linger_us: int, least_us: int) -> None:
    for late_us, is_found in ((LATE_US, False), (LATE_US + 1, True)):
        server = Judged(limits=Limits(linger=linger_us))
        server.wakes(7)
        server.room("attic", "created", "vacant", "open")
        server.room("lobby", "created", "vacant", "open")
        server.room("lobby", "host_gone", "open", "closing")
        server.now(7 + least_us + late_us).checks.finish(server.host)
        assert server.found == ("lobby is closing for ever" if is_found else None)
        assert server.results.judged[Property.CLOSING_ROOMS_CLOSE] == 1
