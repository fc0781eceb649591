"""A server that breaks the protocol is caught, by the property that it breaks and by no luck.

The property that is to catch a bug is left out once: then the run must not be stopped by it, so no test here passes for
another reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import made_records as made
from observed_by_hand import OTHER, TOKEN, Server, frozen_ended, frozen_handshake, frozen_room, frozen_session
from planted_bugs import PLANTED, DoesNotHearEnterWords, EngineMaker, run
from planting import Planted, gives, violation_of
from tcrp.engine.client import ClientEngine
from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Detail,
    Dropped,
    FinishStream,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    StreamId,
    Withheld,
)  # fmt: skip
from tcrp.engine.server import Outputs, ServerEngine
from tcrp.engine.state import FrozenSession, ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.sim.checks.monitor import Cluster, PropertyMonitor
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.sim.hosts.server import EngineCall, ServerHost
from tcrp.sim.hosts.user import UserHost
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection, Tcp
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.cluster_names import AnyMachine, ClusterMachine, LeaseEvent, LeaseState
from tcrp.spec.limits import SECOND_US, Limits
from tcrp.spec.names import (
    Deadline,
    Machine,
    PacketKind,
    Property,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)  # fmt: skip
from tcrp.spec.ownership import OWNERSHIP
from tcrp.trace.records import Kind, PacketRecord, Record, StepRecord


def test_every_property_has_a_bug_that_only_it_must_catch() -> None:
    with_a_story_of_their_own = {
        Property.NO_CLIENT_WAITS_FOR_EVER, Property.SPEAKERS_ARRIVE, Property.STREAMS_KEEP_ORDER,
        Property.MATCHES_REFERENCE,
        # Those of clusters are planted in tests/sim/cluster.
        Property.ONE_OWNER_RELAYS, Property.NO_STALE_OUTPUT, Property.HANDOVER_LOSES_NO_SESSION,
    }  # fmt: skip
    assert {property for property, _ in PLANTED} | with_a_story_of_their_own == set(Property)


def test_a_speaker_who_never_arrives_is_caught_once_the_network_is_well() -> None:
    def verdict_of(loss_ends_at: str) -> Verdict:
        text = (
            "claim: a\nusers: {bob: {dialect: text}}\n"
            "script:\n  - {at: 0s, host: {create: lobby}}\n  - {at: 1s, bob: {join: lobby}}\n"
            "  - {at: 1s, network: {set: {loss: 100%}, from: bob, to: server}}\n"
            f"  - {{at: {loss_ends_at}, network: {{set: {{loss: 0%}}, from: bob, to: server}}}}\nuntil: 20s\n"
        )
        make_engine: EngineMaker = DoesNotHearEnterWords
        left_out = (Property.MATCHES_REFERENCE,)  # it sees at once what this property sees in the end
        return Run(read_scenario_text(text), make_engine=make_engine, leave_out=left_out).go()

    violation = verdict_of("3s").violation
    assert violation is not None
    assert violation.property is Property.SPEAKERS_ARRIVE
    assert verdict_of("19s").violation is None  # so soon after the last fault nobody can tell


def test_a_client_that_waits_for_ever_is_caught() -> None:
    def verdict_of(*, loses_timers: bool, leave_out: tuple[Property, ...] = ()) -> Verdict:
        story = read_scenario_text(
            "claim: a\nscript:\n  - {at: 0s, network: {stall: [bob, server], for: 60s}}\n"
            "  - {at: 1s, bob: {join: lobby}}\nuntil: 50s\n"
        )
        run = Run(story, leave_out=leave_out)
        if loses_timers:
            run.world.at(2 * SECOND_US, lose_timers, run.hosts.users["bob"], foreground=False)
        return run.go()

    def lose_timers(user: UserHost) -> None:
        assert user.engine is not None
        state = user.engine.freeze()
        assert state.timers, "it waits for its handshake to end"
        detail, now_us = Detail.EVERYTHING, user.local_us()
        user.engine = ClientEngine(user.engine.config, state=replace(state, timers=()), now_us=now_us, detail=detail)

    assert verdict_of(loses_timers=False).violation is None
    violation = verdict_of(loses_timers=True).violation
    assert violation is not None
    assert violation.property is Property.NO_CLIENT_WAITS_FOR_EVER
    assert verdict_of(loses_timers=True, leave_out=(Property.NO_CLIENT_WAITS_FOR_EVER,)).violation is None


STALLED = """
claim: a request that was held up arrives as it was sent
seed: %d
network: {default: {delay: 10ms..200ms, segment: 1..4}}
script:
  - {at: 0s, alice: {create: "a long name for a room"}}
  - {at: 300ms, network: {stall: [alice, server], for: 60ms}}
"""


def exchanges_what_waits(run: Run) -> Run:
    """While the stream is held up, the pieces that wait on it change places."""

    def exchange(tcp: Tcp) -> None:
        for connection in tcp._connections:
            pipe = connection.up
            numbers, packets = [each[0] for each in pipe.parked], [each[1] for each in pipe.parked]
            pipe.parked = list(zip(numbers, reversed(packets), strict=True))

    run.world.at(350_000, exchange, run.tcp, foreground=False)
    return run


def test_a_network_that_reorders_a_stream_is_caught() -> None:
    scenarios = [read_scenario_text(STALLED % seed) for seed in range(20)]
    assert [Run(each).go().violation for each in scenarios] == [None] * 20
    verdicts = [exchanges_what_waits(Run(each)).go() for each in scenarios]
    assert {each.violation.property for each in verdicts if each.violation is not None} == {Property.STREAMS_KEEP_ORDER}
    left_out = [
        exchanges_what_waits(Run(each, leave_out=(Property.STREAMS_KEEP_ORDER,))).go().violation for each in scenarios
    ]
    assert not any(each is not None and each.property is Property.STREAMS_KEEP_ORDER for each in left_out)


def test_without_a_bug_the_scenario_holds() -> None:
    assert run(ServerEngine).holds


def test_the_wrapper_of_the_engine_changes_nothing_by_itself() -> None:
    assert run(Planted).digest == run(ServerEngine).digest


@pytest.mark.parametrize(("property", "bug"), PLANTED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_planted_bug_is_caught_by_its_property_and_only_while_that_is_checked(
    property: Property, bug: EngineMaker
) -> None:
    caught: list[Property] = []
    while property not in caught:  # what other properties say of the same bug is not asked here
        violation = run(bug, tuple(caught)).violation
        assert violation is not None, f"{property} does not see it; {caught} do"
        caught.append(violation.property)
    violation = run(bug, tuple(caught)).violation
    assert violation is None or violation.property is not property


# --- what is about single packets ----------------------------------------------------------------

TALK = """
claim: bob asks whether the server is there, and says something
users: {alice: {dialect: text, address: 10.1.0.1}, bob: {dialect: text, address: 10.1.0.2}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 3s, bob: keep_alive}
  - {at: 4s, bob: {say: "hi"}}
"""


@pytest.mark.parametrize(("size", "is_found"), [(4094, False), (4095, True)])
def test_a_datagram_of_the_server_has_at_most_4094_bytes(size: int, is_found: bool) -> None:
    def padded(_: Planted, outputs: Outputs) -> Outputs:
        return [each._replace(data=each.data.ljust(size)) if isinstance(each, Relay) else each for each in outputs]

    assert (violation_of(TALK, Property.DATAGRAMS_FIT, gives(padded)) is not None) is is_found


def test_what_a_script_makes_by_hand_need_not_fit() -> None:
    long = TALK + '  - {at: 5s, allow_invalid: true, bob: {datagram: {token_of: bob, room: lobby, text: "'
    long += "x" * 5000 + '"}}}\n'
    assert violation_of(long, Property.DATAGRAMS_FIT) is None


@pytest.mark.parametrize(
    ("answers", "is_found"),
    [
        ([], False),
        ([SendDatagram(b"", Address("10.1.0.2", 40001), PacketKind.KEEP_ALIVE_ANSWER)], False),
        ([SendDatagram(b" ", Address("10.1.0.2", 40001), PacketKind.KEEP_ALIVE_ANSWER)], True),
        ([SendDatagram(b"", Address("10.1.0.1", 40001), PacketKind.KEEP_ALIVE_ANSWER)], True),
        ([SendDatagram(b"", Address("10.1.0.2", 40001), PacketKind.KEEP_ALIVE_ANSWER)] * 2, True),
        ([Relay(b"", [Address("10.1.0.2", 40001)], PacketKind.RELAY)], True),
    ],
)
def test_a_keep_alive_is_answered_by_one_empty_datagram_or_not_at_all(
    answers: list[SendDatagram | Relay], is_found: bool
) -> None:
    class Answers(Planted):
        def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
            outputs = super().receive_datagram(data, source, now_us, listener)
            return [*outputs, *answers] if len(data) == 2 + data[0] + data[1] and now_us >= 3 * SECOND_US else outputs

    assert (violation_of(TALK, Property.KEEP_ALIVE_CHANGES_NOTHING, Answers) is not None) is is_found


@pytest.mark.parametrize(("what", "is_found"), [(PacketKind.ANSWER, False), (PacketKind.RELAY, True)])
def test_tcp_carries_answers_and_no_texts(what: PacketKind, is_found: bool) -> None:
    def renamed(_: Planted, outputs: Outputs) -> Outputs:
        return [each._replace(what=what) if isinstance(each, SendFrame) else each for each in outputs]

    assert (violation_of(TALK, Property.NO_TALK_ON_TCP, gives(renamed)) is not None) is is_found


def test_that_a_token_ends_for_good_is_judged_at_every_end() -> None:
    """Of two who leave and one who falls silent."""
    story = """
claim: three sessions end
server: {idle_timeout: 20s}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, carol: {join: lobby}}
  - {at: 3s, bob: leave}
  - {at: 4s, carol: crash}
  - {at: 40s, alice: leave}
"""
    verdict = Run(read_scenario_text(story)).go()
    assert verdict.violation is None
    assert verdict.judged[Property.TOKEN_ENDS_FOR_GOOD] == 3


# --- record by record ----------------------------------------------------------------------------

GRANTED, ENTERED, SPOKE, LEFT, IDLED = (
    (SessionState.ANONYMOUS, SessionEvent.GRANTED, SessionState.TOKENED),
    (SessionState.TOKENED, SessionEvent.ENTERED, SessionState.IN_ROOM),
    (SessionState.IN_ROOM, SessionEvent.RELAYED, SessionState.IN_ROOM),
    (SessionState.IN_ROOM, SessionEvent.LEFT, SessionState.EXPIRED),
    (SessionState.IN_ROOM, SessionEvent.IDLED, SessionState.EXPIRED),
)
Step = tuple[str, str, str]


def step_of(
    step: Step, id: str = "bob@lobby", *, actor: str = "server", machine: AnyMachine = Machine.SESSION,
    instance: int = 1, t_us: int = 0,
) -> StepRecord:  # fmt: skip
    from_, event, to = step
    return made.step(
        actor=actor,
        event=event,
        from_=from_,
        id=id,
        instance=instance,
        machine=machine,
        rule=Rule.TOK_1,
        t_us=t_us,
        to=to,
    )


class Watched(Server):
    """A monitor, told by hand what a trace says, and what a server is given and puts out."""

    def __init__(
        self, *, limits: Limits | None = None, servers: tuple[str, ...] = (), one_of: bool = False, slack_us: int = 0,
        left_out: tuple[Property, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(limits=limits)
        self.host = self.run.server
        for number, id in enumerate(servers):
            other = ServerHost(self.run.world, self.bounds.now, 0, id=id, ip=f"10.9.0.{number}")
            self.run.hosts.servers[id] = other
        self.host.limits = self.bounds.now
        self.shadows = Shadows()
        cluster = Cluster(self.results, slack_us) if one_of else None
        not_judged = frozenset({Property.MATCHES_REFERENCE, *left_out})
        self.monitor = PropertyMonitor(self.run.hosts, self.bounds.now, not_judged, self.shadows, one_of=cluster)
        self.results, self.observed = self.monitor.results, self.monitor._model

    def hears_of(self, *records: Record) -> str | None:
        """What was wrong at first."""
        for record in records:
            self.monitor.hear(record)
        return self.found

    def call(
        self, *outputs: ServerOutput, packet: Packet | None = None, connection: Connection | None = None,
        at_us: int = 0, stream: StreamId | None = None,
    ) -> str | None:  # fmt: skip
        """The server is given something, or woken, and puts this out. Returns what was wrong at first."""
        self.run.world.now_us = at_us
        self.monitor.before_call(self.host, packet, connection, EngineCall("handle_timeout", ()), stream)
        self.monitor.after_call(self.host, list(outputs))
        return self.found

    def step(self, step: Step, id: str = "bob@lobby", *, token: bytes = TOKEN) -> Stepped:
        from_, event, to = step
        return Stepped(Machine.SESSION, token, id, event, from_, to, Rule.TOK_1, "")

    @staticmethod
    def room_step(from_: RoomState, event: RoomEvent, to: RoomState, id: str = "lobby") -> Stepped:
        return Stepped(Machine.ROOM, id.encode(), id, event, from_, to, Rule.ROOM_1, "")

    def has_bob(self, *, at_us: int = 0, ip: str = "", enters: bool = True) -> None:
        """Bob is granted what he asked for, and is in the room."""
        connection = self.connection("bob#1", ip, user="bob")
        packet = self.piece(connection, PacketKind.REQUEST)
        steps = [self.step(GRANTED), *([self.step(ENTERED)] if enters else [])]
        self.call(*steps, packet=packet, connection=connection, at_us=at_us)

    def judged(self, property: Property) -> int:
        return self.results.judged[property]


def test_a_machine_goes_where_its_table_says_from_where_it_stands() -> None:
    life = [step_of(each) for each in (GRANTED, ENTERED, SPOKE, SPOKE, LEFT)]
    watched = Watched()
    assert watched.hears_of(*life, *life) is None  # under its name another begins
    assert watched.judged(Property.TABLE_STEPS) == watched.judged(Property.SHADOW_AGREES) == 10


@pytest.mark.parametrize(
    ("before", "wrong", "stood"),
    [
        ([], ENTERED, "anonymous"),
        ([GRANTED], SPOKE, "tokened"),
        ([GRANTED, ENTERED], GRANTED, "in-room"),
        ([GRANTED, ENTERED, SPOKE], ("in-room", "relayed", "expired"), "in-room"),
        ([GRANTED, ENTERED], ("in-room", "granted", "in-room"), "in-room"),
        ([GRANTED, ENTERED, LEFT], SPOKE, "anonymous"),
        ([GRANTED, ENTERED, SPOKE], ("tokened", "relayed", "tokened"), "in-room"),
        ([GRANTED, ENTERED, SPOKE], ("tokened", "relayed", "in-room"), "in-room"),
    ],
)
def test_a_step_that_no_table_has_is_found_and_says_where_the_machine_was(
    before: list[Step], wrong: Step, stood: str
) -> None:
    watched = Watched()
    assert watched.hears_of(*map(step_of, before)) is None
    from_, event, to = map(str, wrong)
    assert watched.hears_of(step_of(wrong)) == (
        f"server's session bob@lobby, which was {stood}, took {event} from {from_} to {to}"
    )


def test_machines_of_other_ids_actors_kinds_and_instances_stand_elsewhere() -> None:
    watched = Watched()
    others = [step_of(GRANTED, "ann@lobby"), step_of(GRANTED, actor="bob"), step_of(GRANTED, instance=2)]
    assert watched.hears_of(step_of(GRANTED), *others) is None
    opens = step_of(("vacant", "created", "open"), "bob@lobby", machine=Machine.ROOM)
    assert watched.hears_of(opens, step_of(ENTERED)) is None


def test_a_machine_that_disagrees_is_told_once_for_all_later_steps() -> None:
    watched = Watched()
    watched.shadows.disagreement = "the machine goes elsewhere"
    assert watched.hears_of(step_of(GRANTED)) == "the machine goes elsewhere"
    violation = watched.results.violation
    assert violation is not None
    assert violation.property is Property.SHADOW_AGREES


def test_the_machine_as_it_is_written_is_asked_too() -> None:
    watched = Watched(left_out=(Property.TABLE_STEPS,))
    watched.hears_of(step_of(GRANTED), step_of(SPOKE))
    violation = watched.results.violation
    assert violation is not None
    assert violation.property is Property.SHADOW_AGREES


def ownership_step(t_us: int) -> StepRecord:
    ((from_, event), row), *_ = [each for each in OWNERSHIP.rows.items() if each[0][0] == OWNERSHIP.initial]
    return step_of((from_, event, row.to), "lobby", machine=ClusterMachine.OWNERSHIP, t_us=t_us)


@pytest.mark.parametrize(
    ("record", "is_fault"),
    [
        (made.fault(actor="network", t_us=7, what="cut"), True),
        (made.fault(actor="bob", t_us=7, what="crash"), True),
        (ownership_step(7), True),
        (step_of((LeaseState.HELD, LeaseEvent.RAN_OUT, LeaseState.LOST), machine=ClusterMachine.LEASE, t_us=7), True),
        (
            step_of((LeaseState.FREE, LeaseEvent.CLAIMED, LeaseState.CLAIMING), machine=ClusterMachine.LEASE, t_us=7),
            False,
        ),
        (step_of(GRANTED, t_us=7), False),
        (
            made.refusal(event="left", from_="expired", id="bob@lobby", rule=Rule.REL_1, t_us=7),
            False,
        ),
    ],
)
def test_since_a_fault_and_a_change_of_owners_what_was_on_its_way_may_be_lost(record: Record, is_fault: bool) -> None:
    watched = Watched()
    watched.hears_of(record)
    assert watched.monitor.last_fault_us == (7 if is_fault else 0)


@pytest.mark.parametrize(("what", "is_forgotten"), [("crash", True), ("pause", False)])
@pytest.mark.parametrize("actor", ["server", "other", "bob"])
def test_in_a_cluster_a_crash_of_a_server_is_heard_from_the_trace(actor: str, what: str, is_forgotten: bool) -> None:
    watched = Watched(servers=("other",))
    watched.hears_of(step_of(GRANTED, actor=actor), made.fault(actor=actor, t_us=7, what=what))
    is_forgotten = is_forgotten and actor != "bob"
    assert (watched.hears_of(step_of(GRANTED, actor=actor)) is None) is is_forgotten


def test_of_a_single_server_its_host_tells_of_a_crash() -> None:
    watched = Watched()
    watched.hears_of(step_of(GRANTED), made.fault(t_us=7, what="crash"))
    assert watched.hears_of(step_of(ENTERED)) is None


def packet_of(
    what: PacketKind, size: int, actor: str, *, kind: Kind = Kind.SEND, proto: str = "udp", t_us: int = 7
) -> PacketRecord:
    return made.packet(actor=actor, bytes=size, kind=kind, link="", proto=proto, t_us=t_us, what=what)


@pytest.mark.parametrize(
    ("record", "is_found"),
    [
        (packet_of(PacketKind.RELAY, 4094, "server"), False),
        (packet_of(PacketKind.RELAY, 4095, "server"), True),
        (packet_of(PacketKind.SAY, 4096, "bob"), False),
        (packet_of(PacketKind.SAY, 4097, "bob"), True),
        (packet_of(PacketKind.ENTER, 4097, "bob"), True),
        (packet_of(PacketKind.KEEP_ALIVE, 4097, "bob"), True),
        (packet_of(PacketKind.LEAVE, 4097, "bob"), True),
        (packet_of(PacketKind.RELAY, 4097, "bob"), False),  # made by hand
        (packet_of(PacketKind.FORWARD, 9000, "server"), False),
        (packet_of(PacketKind.OUTPUT, 9000, "server"), False),
        (packet_of(PacketKind.SAY, 9000, "bob", kind=Kind.ARRIVE), False),
        (packet_of(PacketKind.COMPLETION, 9000, "server", proto="tcp"), False),
    ],
)
def test_what_an_engine_sends_as_a_datagram_fits(record: PacketRecord, is_found: bool) -> None:
    found = Watched().hears_of(record)
    assert found == (f"{record.what} of {record.bytes} bytes was sent" if is_found else None)


@pytest.mark.parametrize(
    ("record", "speaks"),
    [
        (packet_of(PacketKind.SAY, 9, "bob"), True),
        (packet_of(PacketKind.ENTER, 9, "bob"), True),
        (packet_of(PacketKind.KEEP_ALIVE, 9, "bob"), True),
        (packet_of(PacketKind.LEAVE, 9, "bob"), False),
        (packet_of(PacketKind.RELAY, 9, "bob"), False),
    ],
)
def test_who_speaks_has_to_arrive_and_who_leaves_has_not(record: PacketRecord, speaks: bool) -> None:
    watched = Watched()
    watched.hears_of(record)
    assert watched.monitor._liveness.spoke_us == ({"bob": 7} if speaks else {})


# --- machines that move between servers ----------------------------------------------------------


def moved(servers: tuple[str, ...] = ("other",)) -> Watched:
    watched = Watched(servers=servers)
    watched.monitor.moved_to("server", [(Machine.SESSION, "bob@lobby", "in-room")])
    return watched


def test_a_machine_goes_on_at_another_server_from_where_it_stood() -> None:
    watched = moved()
    assert watched.hears_of(step_of(SPOKE), step_of(SPOKE), step_of(LEFT), step_of(GRANTED)) is None
    assert watched.judged(Property.SHADOW_AGREES) == 4


def test_it_goes_on_once() -> None:
    watched = moved()
    watched.hears_of(step_of(LEFT))
    assert watched.hears_of(step_of(LEFT)) is not None


@pytest.mark.parametrize("other", [{"actor": "other"}, {"id": "ann@lobby"}, {"machine": Machine.HANDSHAKE}])
def test_another_machine_does_not_go_on_from_there(other: dict[str, Any]) -> None:
    found = moved().hears_of(step_of(SPOKE, **other))
    assert found is not None
    assert "which was idle," in found or "which was anonymous," in found


def test_one_that_begins_under_the_same_name_begins_at_its_beginning() -> None:
    watched = moved()
    assert watched.hears_of(step_of(GRANTED), step_of(LEFT, instance=2)) is None


@pytest.mark.parametrize("crashed", ["server", "other"])
def test_a_server_that_crashes_forgets_what_came_to_it_and_what_stood_there(crashed: str) -> None:
    watched = moved()
    watched.hears_of(step_of(GRANTED, "ann@lobby"), step_of(GRANTED, "ann@lobby", actor="other"))
    watched.monitor.server_crashed(crashed)
    there, here = ("server", "other") if crashed == "server" else ("other", "server")
    assert watched.hears_of(step_of(ENTERED, "ann@lobby", actor=here)) is None
    assert watched.hears_of(step_of(GRANTED, "ann@lobby", actor=there)) is None
    assert (watched.hears_of(step_of(SPOKE)) is None) is (crashed == "other")


def test_a_machine_that_has_moved_away_stands_nowhere_and_the_others_where_they_were() -> None:
    watched = Watched(servers=("other",))
    bob, ann, eve = step_of(GRANTED), step_of(GRANTED, "ann@lobby"), step_of(GRANTED, actor="other")
    watched.hears_of(bob, ann, eve)
    watched.monitor.moved_from("server", [(Machine.SESSION, "bob@lobby")])
    assert watched.hears_of(bob, step_of(ENTERED, "ann@lobby"), step_of(ENTERED, actor="other")) is None


# --- call by call --------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [False, True])
def test_a_token_that_was_granted_before_is_found(ends: bool) -> None:
    watched = Watched()
    watched.has_bob()
    assert watched.call(*([watched.step(LEFT)] if ends else [])) is None
    connection = watched.connection("bob#2", user="bob")
    packet = watched.piece(connection, PacketKind.REQUEST)
    found = watched.call(watched.step(GRANTED), packet=packet, connection=connection)
    assert found == "a token of bob@lobby was granted before"


@pytest.mark.parametrize("step", [ENTERED, SPOKE])
def test_an_ended_token_takes_no_step(step: Step) -> None:
    watched = Watched()
    watched.has_bob()
    assert watched.judged(Property.TOKEN_ENDS_FOR_GOOD) == 0
    watched.call(watched.step(LEFT))
    assert watched.judged(Property.TOKEN_ENDS_FOR_GOOD) == 1
    assert watched.call(watched.step(step)) == f"an ended token of bob@lobby took {step[1]}"


def test_who_enters_has_another_timeout_from_then_on() -> None:
    watched = Watched(limits=Limits(token_timeout=60 * SECOND_US, idle_timeout=5 * SECOND_US))
    watched.has_bob()
    assert watched.call(at_us=6 * SECOND_US) is None
    assert watched.call(at_us=6 * SECOND_US + 1) == "bob@lobby is silent for too long and lives"


def test_who_is_granted_and_never_enters_has_the_timeout_of_tokens() -> None:
    watched = Watched(limits=Limits(token_timeout=5 * SECOND_US))
    watched.has_bob(enters=False)
    assert watched.call(at_us=6 * SECOND_US) is None
    assert watched.call(at_us=6 * SECOND_US + 1) is not None


def test_who_idles_too_early_is_found() -> None:
    watched = Watched(limits=Limits(idle_timeout=5 * SECOND_US))
    watched.has_bob()
    assert watched.call(watched.step(IDLED), at_us=4 * SECOND_US) == "bob@lobby idled after 4000000 us of silence"


def test_a_change_of_limits_holds_from_the_next_call_on() -> None:
    watched = Watched(limits=Limits(idle_timeout=50 * SECOND_US))
    watched.has_bob()
    watched.host.limits = Limits(idle_timeout=5 * SECOND_US)
    assert watched.call(at_us=20 * SECOND_US) is None
    assert watched.call(at_us=21 * SECOND_US) is None
    assert watched.call(at_us=21 * SECOND_US + 1) is not None


RELAYED = (RoomState.OPEN, RoomEvent.RELAYED, RoomState.OPEN)
JOINED = (RoomState.OPEN, RoomEvent.JOINED, RoomState.OPEN)
HI = forged_datagram("lobby", TOKEN, b"hi")


@pytest.mark.parametrize(
    ("steps", "counts"), [([RELAYED], True), ([RELAYED, JOINED], True), ([JOINED], False), ([], False)]
)
def test_a_text_counts_once_the_room_has_relayed_it(
    steps: list[tuple[RoomState, RoomEvent, RoomState]], counts: bool
) -> None:
    watched = Watched(limits=Limits(texts_per_second_max=1))
    watched.has_bob()
    for _ in range(2):
        watched.call(*(watched.room_step(*each) for each in steps), packet=watched.datagram(HI))
    assert (watched.found is not None) is counts


def test_rooms_are_known_by_their_own_steps() -> None:
    watched = Watched()
    connects = Stepped(Machine.HANDSHAKE, "a#1", "a#1", "requested", "idle", "requested", Rule.TCP_1, "")
    watched.call(watched.room_step(RoomState.VACANT, RoomEvent.CREATED, RoomState.OPEN), connects)
    assert watched.observed.rooms == {"lobby": RoomState.OPEN}


def test_a_step_that_follows_from_a_datagram_without_a_token_is_an_effect() -> None:
    watched = Watched()
    stranger = forged_datagram("lobby", OTHER, b"hi")
    assert watched.call(packet=watched.datagram(stranger)) is None
    joined = watched.room_step(*JOINED)
    assert watched.call(joined, packet=watched.datagram(stranger)) == "a datagram without a token had an effect"


def test_what_is_only_observed_is_no_effect() -> None:
    watched = Watched()
    drop = Dropped(PacketKind.SAY, 9, "nobody's", Rule.TOK_2)
    stranger = watched.datagram(forged_datagram("lobby", OTHER, b"hi"))
    assert watched.call(drop, packet=stranger) is None
    assert watched.judged(Property.REJECTED_CHANGES_NOTHING) == 1


def test_a_relay_or_what_is_withheld_needs_somebody_who_spoke() -> None:
    for output in (Relay(b"x", [ADDRESS], PacketKind.RELAY), Withheld(("ann",), "", Rule.UDP_3)):
        watched = Watched()
        watched.has_bob()
        assert watched.call(output) == "a relay was sent, but no living token had spoken"
    watched = Watched()
    assert watched.call(Relay(b"x", [ADDRESS], PacketKind.NOTICE)) is None
    assert watched.call(SendDatagram(b"x", ADDRESS, PacketKind.NOTICE)) is None


def test_whoever_a_text_is_withheld_from_is_one_of_the_others() -> None:
    for names, is_found in (((), True), (("ann",), False), (("ann", "eve"), True)):
        watched = Watched()
        watched.has_bob()
        ann = watched.step(GRANTED, "ann@lobby", token=OTHER), watched.step(ENTERED, "ann@lobby", token=OTHER)
        connection = watched.connection()
        watched.call(*ann, packet=watched.piece(connection, PacketKind.REQUEST), connection=connection)
        withheld = [Withheld((each,), "", Rule.UDP_3) for each in names]
        relay = Relay(b"hi", [], PacketKind.RELAY)
        found = watched.call(relay, *withheld, packet=watched.datagram(HI))
        assert (found is not None) is is_found, names


ADDRESS = Address("10.1.0.2", 40001)
ANSWER = SendDatagram(b"", ADDRESS, PacketKind.KEEP_ALIVE_ANSWER)
WRONG_ANSWER = SendDatagram(b"x", ADDRESS, PacketKind.KEEP_ALIVE_ANSWER)


def asks(watched: Watched, *outputs: ServerOutput, what: PacketKind = PacketKind.KEEP_ALIVE, note: str = "") -> bool:
    """Whether what bob's keep-alive brings about is wrong."""
    packet = watched.datagram(forged_datagram("lobby", TOKEN, b""), what=what)
    packet.note = note
    watched.call(*outputs, packet=packet)
    return watched.found is not None


def test_a_keep_alive_moves_no_machine() -> None:
    for step, is_found in ((JOINED, False), ((RoomState.OPEN, RoomEvent.HOST_GONE, RoomState.CLOSING), True)):
        watched = Watched()
        watched.has_bob()
        assert asks(watched, ANSWER, watched.room_step(*step)) is is_found


@pytest.mark.parametrize(
    ("enters", "what", "note", "is_found"),
    [
        (True, PacketKind.KEEP_ALIVE, "", True),
        (False, PacketKind.KEEP_ALIVE, "", False),
        (True, PacketKind.ENTER, "", False),
        (True, PacketKind.KEEP_ALIVE, "corrupted", False),
    ],
)
def test_only_a_keep_alive_of_a_member_that_arrives_whole_is_judged_as_one(
    enters: bool, what: PacketKind, note: str, is_found: bool
) -> None:
    watched = Watched()
    watched.has_bob(enters=enters)
    assert asks(watched, WRONG_ANSWER, what=what, note=note) is is_found
    assert watched.judged(Property.KEEP_ALIVE_CHANGES_NOTHING) == is_found


def test_a_datagram_causes_no_bytes_on_tcp_whatever_they_are() -> None:
    watched = Watched()
    watched.has_bob()
    frame = SendFrame("bob#1", b"", PacketKind.ANSWER)
    assert watched.call(frame) is None
    assert watched.call(frame, packet=watched.datagram(HI)) == "a datagram caused bytes on TCP"


@pytest.mark.parametrize("what", PacketKind)
def test_on_tcp_the_server_answers_requests(what: PacketKind) -> None:
    watched = Watched()
    fits = what in (PacketKind.ANSWER, PacketKind.COMPLETION, PacketKind.REFUSAL, PacketKind.LISTING)
    found = watched.call(SendFrame("bob#1", b"", what), FinishStream("bob#1"))
    assert found == (None if fits else f"the server sent {what} on TCP")


def test_how_a_stream_ends_is_judged_by_the_name_that_the_engine_has_for_it() -> None:
    watched = Watched(one_of=True)
    connection = watched.connection("bob#1", user="bob")
    closes = watched.piece(connection, PacketKind.CLOSE)
    assert watched.call(CloseStream(("a", 1)), packet=closes, connection=connection, stream=("a", 1)) is None
    assert watched.call(CloseStream("bob#1"), packet=closes, connection=connection, stream=("a", 1)) is not None


# --- in a cluster --------------------------------------------------------------------------------


def came(watched: Watched, *sessions: FrozenSession, at_us: int = 0, **parts: Any) -> Watched:
    """A room comes from another server."""
    watched.has_bob()
    watched.observed.forget()
    watched.monitor._liveness.forget()
    watched.run.world.now_us = at_us
    state = ServerState(sessions=sessions, rooms=(frozen_room(host=TOKEN, host_has_entered=True),), **parts)
    watched.monitor.adopt(state, watched.host)
    return watched


def test_who_came_with_a_room_is_overdue_as_everybody_is() -> None:
    limits = Limits(idle_timeout=50 * SECOND_US)
    watched = came(Watched(one_of=True, limits=limits), frozen_session(TOKEN), at_us=30 * SECOND_US)
    assert watched.call(at_us=81 * SECOND_US) is None
    assert watched.call(at_us=81 * SECOND_US + 1) == "bob@lobby is silent for too long and lives"


def test_who_had_ended_before_the_room_came_is_only_to_be_told() -> None:
    timers = (TimerEntry(5, Deadline.NOTICE, TOKEN),)
    watched = came(Watched(one_of=True), ended=(frozen_ended(TOKEN),), timers=timers)
    assert watched.monitor._liveness._deadlines == []
    assert watched.call(at_us=60 * SECOND_US) == "bob@lobby was not told again"


def test_more_than_may_be_may_come() -> None:
    watched = Watched(one_of=True, limits=Limits(connections_max=1))
    came(watched, handshakes=(frozen_handshake("a#1", "10.1.0.1"), frozen_handshake("a#2", "10.1.0.1")))
    connection = watched.connection("a#1")
    assert watched.call(packet=watched.piece(connection, PacketKind.STREAM), connection=connection) is None
    connection = watched.connection("a#3")
    assert watched.call(packet=watched.piece(connection, PacketKind.OPEN), connection=connection) is not None


def test_how_long_a_room_that_came_has_been_closing_follows_from_the_servers_linger() -> None:
    watched = Watched(one_of=True, limits=Limits(linger=9 * SECOND_US))
    watched.run.world.now_us = 30 * SECOND_US
    timers = (TimerEntry(4 * SECOND_US, Deadline.LINGER, b"lobby"),)
    state = ServerState(rooms=(frozen_room(state=RoomState.CLOSING),), timers=timers)
    watched.monitor.adopt(state, watched.host)
    assert watched.observed.closing_us == {"lobby": 25 * SECOND_US}


def test_of_a_room_that_is_given_away_nothing_is_judged_any_more() -> None:
    watched = Watched(one_of=True, limits=Limits(connections_max=1))
    timers = (TimerEntry(5, Deadline.NOTICE, TOKEN),)
    handshake = frozen_handshake("a#1", "10.1.0.1")
    came(watched, ended=(frozen_ended(TOKEN),), timers=timers, handshakes=(handshake,))
    watched.monitor.forget_room("lobby", [handshake])
    assert (watched.observed.rooms, watched.observed.ended) == ({}, {})
    assert watched.call(at_us=60 * SECOND_US) is None
    connection = watched.connection("a#2")
    packet = watched.piece(connection, PacketKind.OPEN)
    assert watched.call(packet=packet, connection=connection, at_us=60 * SECOND_US) is None


@pytest.mark.parametrize(("one_of", "slack_us"), [(False, 0), (True, 0), (True, SECOND_US)])
def test_a_handshake_may_take_longer_from_server_to_server(one_of: bool, slack_us: int) -> None:
    watched = Watched(one_of=one_of, slack_us=slack_us, limits=Limits(handshake_timeout=5 * SECOND_US))
    connection = watched.connection()
    watched.call(packet=watched.piece(connection, PacketKind.OPEN), connection=connection)
    assert watched.call(at_us=6 * SECOND_US + slack_us) is None
    assert watched.call(at_us=6 * SECOND_US + slack_us + 1) is not None


def test_servers_of_a_cluster_share_what_is_found() -> None:
    watched = Watched()
    shared = Cluster(watched.results, 0)
    monitors = [PropertyMonitor(watched.run.hosts, Limits(), frozenset(), Shadows(), one_of=shared) for _ in range(2)]
    for monitor in monitors:
        monitor.hear(step_of(GRANTED))
    assert shared.results.judged[Property.TABLE_STEPS] == 2


@pytest.mark.parametrize(
    ("left_out", "servers", "one_of", "is_compared"),
    [
        (frozenset(), (), False, True),
        (frozenset({Property.MATCHES_REFERENCE}), (), False, False),
        (frozenset(), ("other",), False, False),
        (frozenset(), (), True, False),
    ],
)
def test_a_server_that_is_alone_is_compared_with_the_reference(
    left_out: frozenset[Property], servers: tuple[str, ...], one_of: bool, is_compared: bool
) -> None:
    watched = Watched(servers=servers)
    cluster = Cluster(watched.results, 0) if one_of else None
    monitor = PropertyMonitor(watched.run.hosts, Limits(), left_out, Shadows(), one_of=cluster)
    monitor.before_call(watched.host, None, None, EngineCall("handle_timeout", (0,)))
    monitor.after_call(watched.host, [])
    assert bool(monitor.results.judged[Property.MATCHES_REFERENCE]) is is_compared


def test_a_server_that_crashed_has_nothing_left_that_is_judged() -> None:
    watched = Watched(limits=Limits(connections_max=1, idle_timeout=5 * SECOND_US))
    connection = watched.connection("a#1")
    watched.call(packet=watched.piece(connection, PacketKind.OPEN), connection=connection)
    watched.has_bob()
    watched.call(watched.step(IDLED), at_us=5 * SECOND_US)
    watched = ended_and_untold(watched)
    watched.monitor.server_crashed()
    assert watched.observed.ended == {}
    assert watched.call(at_us=60 * SECOND_US) is None
    connection = watched.connection("a#2")
    packet = watched.piece(connection, PacketKind.OPEN)
    assert watched.call(packet=packet, connection=connection, at_us=60 * SECOND_US) is None


def ended_and_untold(watched: Watched) -> Watched:
    """Somebody else has ended, and is to be told again."""
    connection = watched.connection("ann#1")
    packet = watched.piece(connection, PacketKind.REQUEST)
    ann = watched.step(GRANTED, "ann@lobby", token=OTHER), watched.step(ENTERED, "ann@lobby", token=OTHER)
    watched.call(*ann, packet=packet, connection=connection, at_us=5 * SECOND_US)
    entry = watched.observed.living[OTHER]
    entry.address = ADDRESS
    removed = watched.step((SessionState.IN_ROOM, SessionEvent.REMOVED, SessionState.EXPIRED), "ann@lobby", token=OTHER)
    watched.call(removed, SendDatagram(b"bye", ADDRESS, PacketKind.NOTICE), at_us=5 * SECOND_US)
    return watched


def test_a_comparison_begins_anew_after_a_crash() -> None:
    watched = Watched()
    monitor = PropertyMonitor(watched.run.hosts, Limits(), frozenset(), Shadows())
    monitor.before_call(watched.host, None, None, EngineCall("handle_timeout", (0,)))
    assert monitor._differential.reference is not None
    monitor.server_crashed()
    assert monitor._differential.reference is None


# --- the end of a run ----------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["it is down", "it is paused", "it is not asked", ""])
def test_what_is_overdue_at_the_end_is_found_unless_the_server_could_do_nothing(why: str) -> None:
    watched = Watched(limits=Limits(idle_timeout=5 * SECOND_US))
    watched.has_bob()
    watched.run.world.now_us = 60 * SECOND_US
    if why == "it is down":
        watched.host.engine = None
    watched.host.is_paused = why == "it is paused"
    watched.monitor.finish(None if why == "it is not asked" else watched.host)
    assert (watched.found is None) is bool(why)


def test_who_is_still_to_be_told_at_the_end_is_found_too() -> None:
    watched = ended_and_untold(Watched())
    watched.run.world.now_us = 60 * SECOND_US
    watched.monitor.finish(watched.host)
    assert watched.found == "ann@lobby was not told again"


def test_at_the_end_a_monitor_of_one_server_knows_what_another_has_heard() -> None:
    watched, heard = Watched(), Watched()
    heard.hears_of(
        packet_of(PacketKind.SAY, 9, "bob", t_us=3),
        made.fault(actor="network", t_us=5, what="cut"),
    )
    watched.monitor.finish(watched.host)
    assert (watched.monitor.last_fault_us, watched.monitor._liveness.spoke_us) == (0, {})
    watched.monitor.finish(watched.host, heard.monitor)
    assert (watched.monitor.last_fault_us, watched.monitor._liveness.spoke_us) == (5, {"bob": 3})
