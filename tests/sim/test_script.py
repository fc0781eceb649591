"""The script: steps are taken at their moments, in the order of the file, and each with its own name."""

from __future__ import annotations

from typing import Any

import pytest

import made_records as made
from tcrp.sim.network.links import Network
from tcrp.sim.network.packets import Origin
from tcrp.sim.network.tcp import Tcp
from tcrp.sim.network.world import World
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import (
    Action,
    At,
    Crash,
    Create,
    Cut,
    Datagram,
    Heal,
    Hold,
    In,
    Join,
    Leave,
    LinkId,
    LinkPatch,
    MachineIs,
    NetworkSettings,
    Place,
    Release,
    Replay,
    Reset,
    Say,
    Scenario,
    SetLinks,
    Span,
    Spoof,
    Stall,
    StateClaim,
    Step,
    UserIs,
    When,
)
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.verbs import filled
from tcrp.sim.script import ScriptRunner, claim_met_by
from tcrp.spec.names import Machine, RoomState, Rule, SessionState
from tcrp.trace.records import FaultRecord, Record, StepRecord
from tcrp.trace.trace import Trace

SECOND = 1_000_000
UP = LinkId("bob", "server")


class Actor:
    """Somebody who keeps what they are told to do."""

    def __init__(self, play: Play, name: str) -> None:
        self.play = play
        self.name = name
        self.keeps_sent = False

    def act(self, action: Action, origin: Origin, *, allow_invalid: bool = False) -> None:
        self.play.done.append((self.play.world.now_us, origin.name, action))
        self.play.invalid.append(allow_invalid)


class Play:
    """A script, run with actors that do nothing."""

    def __init__(self, *steps: Step) -> None:
        self.done: list[tuple[int, str, Action]] = []
        self.invalid: list[bool] = []
        self.faults: list[tuple[int, str, str]] = []
        self.links: list[LinkId] = []
        trace = Trace()
        trace.listeners.append(self.hears)
        self.world = World(Network(NetworkSettings()), trace)
        self.tcp = Tcp(self.world)
        self.users = {name: Actor(self, name) for name in ("alice", "bob")}
        self.script = ScriptRunner(
            Scenario("x.yaml", "a claim", script=steps),
            self.world,
            self.tcp,
            self.users,
            {"server": Actor(self, "server")},
            7,
        )

    def hears(self, record: Record) -> None:
        if isinstance(record, FaultRecord):
            self.faults.append((record.t_us, record.what, record.why))

    def settles(self) -> Play:
        self.script.take_what_was_waited_for()
        while self.world.events:
            self.world.step()
            self.script.take_what_was_waited_for()
        return self

    def comes_true(self, claim: StateClaim) -> None:
        """A record says so."""
        match claim:
            case UserIs(user, state):
                actor, machine, id = user, Machine.SESSION, f"{user}@lobby"
            case MachineIs(machine, id, state):
                actor = "server"
        self.script.hear(
            made.step(
                actor=actor, event="event", from_="before", id=id, machine=machine, rule=Rule.TOK_2, to=str(state)
            )
        )

    @property
    def told(self) -> list[tuple[int, str]]:
        """When, and which step."""
        return [(when_us, name) for when_us, name, _ in self.done]


def step(id: str, when: At | In | When, action: Action | None = None, *, row: int = 0, invalid: bool = False) -> Step:
    actor = id.partition(".")[0]
    return Step(id, row, actor, action or Say(id), when, Place(1, 1), allow_invalid=invalid)


# --- moments ---------------------------------------------------------------------------------------


def test_a_step_is_taken_at_its_moment_by_its_actor() -> None:
    play = Play(step("bob.say#1", At(2 * SECOND)), step("server.crash#1", At(SECOND), Crash())).settles()
    assert play.done == [
        (SECOND, "server.crash#1", Crash()),
        (2 * SECOND, "bob.say#1", Say("bob.say#1")),
    ]


def test_at_one_moment_the_order_of_the_file_counts() -> None:
    play = Play(*(step(f"bob.say#{number}", At(SECOND), row=number) for number in (3, 1, 2))).settles()
    assert [name for _, name in play.told] == ["bob.say#3", "bob.say#1", "bob.say#2"]


def test_a_repeated_step_is_taken_at_its_interval_with_a_name_for_each_time() -> None:
    play = Play(step("bob.say#1", At(SECOND, 500_000, 3), Say("text {n}"))).settles()
    assert play.done == [
        (SECOND, "bob.say#1.1", Say("text 1")),
        (1_500_000, "bob.say#1.2", Say("text 2")),
        (2 * SECOND, "bob.say#1.3", Say("text 3")),
    ]


def test_a_step_in_a_while_counts_from_the_last_of_the_row_before() -> None:
    play = Play(
        step("alice.say#1", In(10), row=0),
        step("alice.say#2", At(SECOND, 100, 3), row=1),
        step("bob.say#1", At(3 * SECOND), row=1),
        step("bob.say#2", In(10), row=2),
        step("bob.say#3", In(5), row=3),
        step("bob.say#4", At(0), row=3),
    ).settles()
    assert play.told == [
        (0, "bob.say#4"), (10, "alice.say#1"), (SECOND, "alice.say#2.1"), (SECOND + 100, "alice.say#2.2"),
        (SECOND + 200, "alice.say#2.3"), (3 * SECOND, "bob.say#1"), (3 * SECOND + 10, "bob.say#2"),
        (3 * SECOND + 15, "bob.say#3"),
    ]  # fmt: skip


def test_an_invalid_step_is_allowed_only_where_it_says_so() -> None:
    play = Play(step("bob.say#1", At(0)), step("bob.say#2", At(1), invalid=True)).settles()
    assert play.invalid == [False, True]


# --- states ----------------------------------------------------------------------------------------

IN_ROOM = UserIs("bob", SessionState.IN_ROOM)
CLOSED = MachineIs(Machine.ROOM, "lobby", RoomState.CLOSED)


def test_a_step_waits_for_its_state_and_is_taken_once() -> None:
    play = Play(step("alice.say#1", When(IN_ROOM)), step("alice.say#2", When(CLOSED))).settles()
    assert (play.told, play.script.is_waiting) == ([], True)
    assert [each.id for each in play.script.never_taken()] == ["alice.say#1", "alice.say#2"]
    play.comes_true(IN_ROOM)
    play.comes_true(IN_ROOM)
    assert play.told == []  # a record is heard in the midst of an event
    play.settles()
    assert play.told == [(0, "alice.say#1")]
    assert [each.id for each in play.script.never_taken()] == ["alice.say#2"]
    play.comes_true(CLOSED)
    play.settles()
    assert [name for _, name in play.told] == ["alice.say#1", "alice.say#2"]
    assert (play.script.is_waiting, play.script.never_taken()) == (False, [])


def test_steps_that_wait_for_one_state_are_taken_in_the_order_of_the_file() -> None:
    play = Play(step("alice.say#1", When(IN_ROOM)), step("bob.say#1", When(IN_ROOM), row=1))
    play.comes_true(IN_ROOM)
    assert [name for _, name in play.settles().told] == ["alice.say#1", "bob.say#1"]


def test_everyone_is_anonymous_at_first() -> None:
    anonymous = UserIs("bob", SessionState.ANONYMOUS)
    assert Play(step("bob.say#1", When(anonymous))).settles().told == [(0, "bob.say#1")]
    machine = MachineIs(Machine.SESSION, "bob@lobby", SessionState.ANONYMOUS)
    assert Play(step("bob.say#1", When(machine))).settles().told == []


def record(actor: str, machine: Machine, id: str, to: str) -> StepRecord:
    return made.step(actor=actor, event="event", from_="before", id=id, machine=machine, rule=Rule.TOK_2, to=to)


@pytest.mark.parametrize(
    ("claim", "heard", "met"),
    [
        (IN_ROOM, record("bob", Machine.SESSION, "bob@lobby", "in-room"), True),
        (IN_ROOM, record("bob", Machine.SESSION, "bob@lobby", "expired"), False),
        (IN_ROOM, record("server", Machine.SESSION, "bob@lobby", "in-room"), False),
        (IN_ROOM, record("bob", Machine.HANDSHAKE, "bob", "in-room"), False),
        (CLOSED, record("server", Machine.ROOM, "lobby", "closed"), True),
        (CLOSED, record("server", Machine.ROOM, "attic", "closed"), False),
        (CLOSED, record("bob", Machine.ROOM, "lobby", "closed"), False),
        (CLOSED, record("server", Machine.SESSION, "lobby", "closed"), False),
        (IN_ROOM, made.timer(actor="bob", rule=Rule.IDLE_1, what="idle"), False),
    ],
)
def test_a_claim_is_met_by_a_step_of_its_machine_into_its_state(claim: StateClaim, heard: Record, met: bool) -> None:
    assert claim_met_by(claim, heard) is met


# --- the network -----------------------------------------------------------------------------------


def test_network_actions_change_links_and_are_traced_as_faults() -> None:
    play = Play(
        step("network.set#1", At(1), SetLinks((UP,), LinkPatch(delay=Span(9, 9)))),
        step("network.cut#1", At(2), Cut((UP,))),
        step("network.heal#1", At(3), Heal((UP,))),
        step("network.hold#1", At(4), Hold((UP, LinkId("server", "bob")))),
        step("network.release#1", At(5), Release((UP,))),
        step("network.reset#1", At(6), Reset((UP,))),
    )
    link = play.world.network.between("bob", "server")
    seen: list[tuple[bool, bool, int]] = []
    for at in range(1, 7):
        play.world.at(at, lambda _: seen.append((link.is_cut, link.is_held, link.delay_us(0))), None)
    play.settles()
    delays = [each[2] for each in seen]
    assert delays == [9] * 6
    assert [each[:2] for each in seen] == [
        (False, False), (True, False), (False, False), (False, True), (False, False), (False, False),
    ]  # fmt: skip
    assert play.faults == [
        (1, "set", "bob>server"), (2, "cut", "bob>server"), (3, "heal", "bob>server"),
        (4, "hold", "bob>server, server>bob"), (5, "release", "bob>server"), (6, "reset", "bob>server"),
    ]  # fmt: skip


def test_a_cut_for_a_while_heals_by_itself_and_a_stall_goes_on() -> None:
    play = Play(
        step("network.cut#1", At(10), Cut((UP,), 5)), step("network.stall#1", At(20), Stall((UP,), 7))
    ).settles()
    assert play.faults == [
        (10, "cut", "bob>server"), (15, "heal", "bob>server"), (20, "stall", "bob>server"), (27, "go on", "bob>server"),
    ]  # fmt: skip
    assert play.world.network.between("bob", "server").stops_streams is False


# --- what a step says ------------------------------------------------------------------------------


def test_who_is_replayed_later_keeps_what_was_sent() -> None:
    play = Play(step("alice.replay#1", At(0), Replay("bob", 1)))
    assert [user.keeps_sent for user in play.users.values()] == [False, True]


@pytest.mark.parametrize(
    ("action", "third"),
    [
        (Say("text {n} of {n}"), Say("text 3 of 3")),
        (Say("text"), Say("text")),
        (Spoof("alice", "I am {n}"), Spoof("alice", "I am 3")),
        (Create("room {n}", "pw"), Create("room 3", "pw")),
        (Join("room {n}"), Join("room 3")),
        (Datagram("bob", "room {n}", "text {n}"), Datagram("bob", "room 3", "text 3")),
        (Datagram(data=b"{n}"), Datagram(data=b"{n}")),
        (Leave(), Leave()),
    ],
)
def test_the_number_of_the_repetition_is_filled_in(action: Any, third: Action) -> None:
    assert filled(action, 3) == third


def misses_of(text: str) -> list[str]:
    """What came nearest to each expectation that is not met."""
    return [miss.nearest for miss in Run(read_scenario_text(text)).go().misses]


def test_a_short_cut_inside_a_long_one_does_not_heal_it_and_a_heal_ends_both() -> None:
    story = """
claim: overlapping faults end at their own time
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, network: {cut: {from: alice, to: server}, for: 10s}}
  - {at: 3s, network: {cut: {from: alice, to: server}, for: 1s}}
  - {at: 5s, alice: {say: "a"}}
  - {at: 13s, alice: {say: "b"}}
  - {at: 14s, network: {cut: {from: alice, to: server}, for: 10s}}
  - {at: 15s, network: {cut: {from: alice, to: server}, for: 2s}}
  - {at: 16s, network: {heal: {from: alice, to: server}}}
  - {at: 16500ms, network: {cut: {from: alice, to: server}, for: 1s}}
  - {at: 17200ms, alice: {say: "c"}}
  - {at: 18s, alice: {say: "d"}}
expect:
  - {bob: {sees_exactly: ["b", "d"]}}
"""
    assert misses_of(story) == []


def test_a_process_that_is_paused_twice_goes_on_after_both() -> None:
    story = """
claim: overlapping pauses end at their own time
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, server: {pause: 10s}}
  - {at: 3s, server: {pause: 1s}}
  - {at: 5s, alice: {say: "a"}}
  - {at: 20s, server: {pause: 10s}}
  - {at: 21s, server: {crash: {restart: 1s}}}
  - {at: 23s, carol: {create: attic}}
expect:
  - {bob: {sees: {count: 0}}, by: 11s}
  - {bob: {sees: "a"}, by: 13s}
  - {carol: {state: in-room}, by: 24s}
"""
    assert misses_of(story) == []


def test_the_kernel_of_a_frozen_server_completes_connects_and_resets_them_when_it_crashes() -> None:
    story = """
claim: a frozen server is connected to
until: 8s
script:
  - {at: 1s, server: {pause: 5s}}
  - {at: 2s, alice: {create: lobby}}
  - {at: 6100ms, server: {pause: 5s}}
  - {at: 6200ms, bob: {join: lobby}}
  - {at: 7s, server: crash}
expect:
  - {step: {actor: alice, machine: handshake, id: alice, event: requested}, between: [2s, 3s]}
  - {alice: {state: in-room}, at: 6500ms}
  - {packets: {what: reset, from: server, to: bob}, count: 1}
"""
    assert misses_of(story) == []


@pytest.mark.parametrize(("rate", "datagrams"), [("3/s", 15), ("7/s", 35), ("700/s", 3500)])
def test_a_flood_has_its_rate_exactly(rate: str, datagrams: int) -> None:
    story = f"""
claim: a flood has its rate
users: {{mallory: {{attacker: true}}}}
script:
  - {{at: 0s, mallory: {{flood: {{rate: {rate}, for: 5s, size: 3}}}}}}
expect:
  - {{packets: {{from: mallory}}, count: {datagrams}}}
"""
    assert misses_of(story) == []
