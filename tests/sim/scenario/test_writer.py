"""What is written reads back as it was, in as few words as a file needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tcrp.sim.scenario.model import (
    ORDINARY,
    Abandon,
    Action,
    At,
    Burst,
    ByteSpan,
    Clock,
    CloseRoom,
    Crash,
    Create,
    Cut,
    Datagram,
    Exponential,
    Flood,
    Heal,
    In,
    Join,
    KeepAlive,
    Leave,
    LinkId,
    LinkPatch,
    Loss,
    MachineIs,
    Move,
    NetworkSettings,
    Pause,
    Place,
    Remove,
    Reorder,
    Replay,
    Say,
    Scenario,
    SetFate,
    SetLinks,
    Span,
    Spoof,
    Stall,
    StealToken,
    Step,
    Stream,
    User,
    UserIs,
    When,
)
from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.sim.scenario.steps import numbered
from tcrp.sim.scenario.verbs import verb_of
from tcrp.sim.scenario.writer import write_scenario
from tcrp.spec.names import Machine, RoomState, SessionState

SCENARIOS = [
    path
    for path in sorted((Path(__file__).parents[3] / "sim" / "scenarios").glob("*.yaml"))
    if path.stem != "five-hundred-rooms-of-ten"  # its five thousand users are alike, and take long
]
HERE = Place(0, 0)


def without_places(scenario: Scenario) -> Scenario:
    """What a story says, wherever it stands; a crowd's members are users like others by then."""
    return replace(
        scenario,
        path="",
        expect=tuple(replace(each, place=HERE, text="") for each in scenario.expect),
        users=tuple(replace(user, crowd=None, number=0) for user in scenario.users),
        network=replace(scenario.network, links=tuple(replace(rule, place=HERE) for rule in scenario.network.links)),
        script=tuple(replace(step, place=HERE, row=0) for step in scenario.script),
    )


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_a_scenario_that_is_written_reads_back_as_it_was(file: Path) -> None:
    scenario = read_scenario(file)
    if any(user.crowd for user in scenario.users):
        scenario = replace(scenario, script=scenario.script[:50])
    again = read_scenario_text(write_scenario(scenario, ["a comment"]), "again.yaml")
    assert without_places(again) == without_places(scenario)


# --- single words ----------------------------------------------------------------------------------

NOW = At(0)
UP, DOWN = LinkId("bob", "server"), LinkId("server", "bob")


def script_of(*steps: Step, users: tuple[User, ...] = (User("bob", "bob"),)) -> str:
    """What is written of a script, without its head."""
    return write_scenario(Scenario("", "a claim", users=users, script=steps)).partition("script:\n")[2]


def row_of(action: Action, actor: str = "bob", when: At | In | When = NOW, *, invalid: bool = False) -> str:
    """A step as one row."""
    return script_of(Step("", 0, actor, action, when, HERE, allow_invalid=invalid)).strip().removeprefix("- ")


@pytest.mark.parametrize(
    ("action", "row"),
    [
        (Say("hi"), '{at: 0s, bob: {say: "hi"}}'),
        (Create("lobby"), '{at: 0s, bob: {create: "lobby"}}'),
        (Join("lobby", "pw"), '{at: 0s, bob: {join: {room: "lobby", password: "pw"}}}'),
        (KeepAlive(), "{at: 0s, bob: keep_alive}"),
        (Leave(), "{at: 0s, bob: leave}"),
        (Move(), "{at: 0s, bob: {move: {port: new}}}"),
        (Move("10.0.0.9"), "{at: 0s, bob: {move: {address: 10.0.0.9}}}"),
        (Pause(1500), "{at: 0s, bob: {pause: 1500us}}"),
        (Crash(), "{at: 0s, bob: crash}"),
        (Crash(2_000_000), "{at: 0s, bob: {crash: {restart: 2s}}}"),
        (Clock(-5_000_000, 100), "{at: 0s, bob: {clock: {skew: -5s, drift: 100ppm}}}"),
        (Clock(5000, -100), "{at: 0s, bob: {clock: {skew: 5ms, drift: -100ppm}}}"),
        (Datagram("bob", "lobby", "hi"), '{at: 0s, bob: {datagram: {token_of: bob, room: "lobby", text: "hi"}}}'),
        (Datagram(data=b"\x01\xff"), '{at: 0s, bob: {datagram: {hex: "01ff"}}}'),
        (Stream(b"\x01"), '{at: 0s, bob: {stream: {hex: "01"}}}'),
        (Abandon("idle", Join("lobby")), '{at: 0s, bob: {abandon: {after: idle, join: "lobby"}}}'),
        (StealToken("bob"), "{at: 0s, bob: {steal_token: bob}}"),
        (Spoof("bob", "hi"), '{at: 0s, bob: {spoof: {as: bob, say: "hi"}}}'),
        (Replay("bob", 2), "{at: 0s, bob: {replay: {from: bob, nth: 2}}}"),
        (Replay("bob", 2, is_spoofed=True), "{at: 0s, bob: {replay: {from: bob, nth: 2, spoofed: true}}}"),
        (Flood(1000, 2_000_000, 64), "{at: 0s, bob: {flood: {rate: 1000/s, for: 2s, size: 64}}}"),
        (Remove("bob", "lobby"), '{at: 0s, bob: {remove: {user: "bob", room: "lobby"}}}'),
        (CloseRoom("lobby"), '{at: 0s, bob: {close_room: "lobby"}}'),
    ],
)
def test_an_action_is_written_in_these_words(action: Action, row: str) -> None:
    assert row_of(action) == row


@pytest.mark.parametrize(
    ("action", "row"),
    [
        (Cut((UP,)), "{at: 0s, network: {cut: {from: bob, to: server}}}"),
        (Cut((UP, DOWN), 5_000_000), "{at: 0s, network: {cut: [bob, server]}, for: 5s}"),
        (Stall((UP,), 5000), "{at: 0s, network: {stall: {from: bob, to: server}}, for: 5ms}"),
        (SetFate("b/say", "duplicate"), '{at: 0s, network: {packet: {name: "b/say", fate: duplicate}}}'),
        (SetFate("b/say", delay_us=5000), '{at: 0s, network: {packet: {name: "b/say", delay: 5ms}}}'),
        (Heal((DOWN, UP)), "{at: 0s, network: {heal: [server, bob]}}"),
        (
            SetLinks((UP,), LinkPatch(loss=Loss(5000))),
            "{at: 0s, network: {set: {loss: 0.5%}}, from: bob, to: server}",
        ),
    ],
)
def test_an_action_of_the_network_names_one_link_or_one_each_way(action: Action, row: str) -> None:
    assert row_of(action, "network") == row


@pytest.mark.parametrize("links", [(UP, LinkId("server", "carol")), (UP, DOWN, UP), (UP, UP)])
def test_other_links_cannot_be_written_in_one_row(links: tuple[LinkId, ...]) -> None:
    with pytest.raises(ValueError, match=rf"^{len(links)} links of a crowd cannot be written in one row: 'bob' …$"):
        row_of(Cut(links), "network")


@pytest.mark.parametrize(
    ("when", "row"),
    [
        (At(1_500_000), "{at: 1500ms, bob: leave}"),
        (At(0, 1000, 3), "{at: 0s, every: 1ms, times: 3, bob: leave}"),
        (In(2_000_000), "{in: 2s, bob: leave}"),
        (When(UserIs("alice", SessionState.IN_ROOM)), "{when: {alice: in-room}, bob: leave}"),
        (When(MachineIs(Machine.ROOM, "lobby", RoomState.OPEN)), '{when: {room: "lobby", state: open}, bob: leave}'),
    ],
)
def test_a_moment_is_written_in_these_words(when: At | In | When, row: str) -> None:
    assert row_of(Leave(), when=when) == row


def test_an_invalid_step_says_so() -> None:
    assert row_of(Leave(), invalid=True) == "{at: 0s, bob: leave, allow_invalid: true}"


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        (LinkPatch(delay=Span(5000, 5000)), "{delay: 5ms}"),
        (LinkPatch(delay=Span(0, 50_000)), "{delay: 0s..50ms}"),
        (LinkPatch(delay=Exponential(3000)), "{delay: {exp: 3ms}}"),
        (LinkPatch(delay=Exponential(3000, 1000)), "{delay: {exp: 3ms, min: 1ms}}"),
        (LinkPatch(loss=Loss(10_000)), "{loss: 1%}"),
        (LinkPatch(loss=Loss(1)), "{loss: 0.0001%}"),
        (LinkPatch(loss=Loss(1_000_000)), "{loss: 100%}"),
        (
            LinkPatch(loss=Loss(500_000, Burst(1, 2))),
            "{loss: {burst: {enter: 0.0001%, leave: 0.0002%, share: 50%}}}",
        ),
        (LinkPatch(duplicate_ppm=10_000), "{duplicate: 1%}"),
        (LinkPatch(corrupt_ppm=100), "{corrupt: 0.01%}"),
        (LinkPatch(reorder=Reorder(40_000, 50_000)), "{reorder: {share: 4%, by: 50ms}}"),
        (LinkPatch(mtu_bytes=500), "{mtu: 500}"),
        (LinkPatch(rate_bps=8000, queue_bytes=9), "{rate: 8000bit/s, queue: 9}"),
        (LinkPatch(segment=ByteSpan(1, 9)), "{segment: 1..9}"),
    ],
)
def test_settings_are_written_where_they_differ_from_ordinary_ones(settings: LinkPatch, written: str) -> None:
    scenario = Scenario("", "a claim", network=NetworkSettings(ORDINARY.patched(settings)))
    assert write_scenario(scenario).partition("network:\n")[2].strip() == f"default: {written}"
    assert read_scenario_text(write_scenario(scenario), "x.yaml").network == scenario.network


def test_what_is_as_it_would_be_anyway_is_left_out() -> None:
    assert write_scenario(Scenario("", "a claim")) == "claim: a claim\n"


def test_users_are_written_who_differ_from_a_plain_one_or_all_where_order_gives_addresses() -> None:
    alice, bob, mallory = User("alice", "alice"), User("bob", "bob", dialect="text"), User("m", "x", attacker=True)
    step = Step("", 0, "alice", Leave(), At(0), HERE)
    written = write_scenario(Scenario("", "c", users=(bob, alice), script=(step,)))
    assert "users:\n  bob: {dialect: text}\nscript:" in written
    written = write_scenario(Scenario("", "c", users=(alice, bob, mallory), script=(step,)))
    assert 'users:\n  alice: {}\n  bob: {dialect: text}\n  m: {name: "x", attacker: true}\nscript:' in written


def test_steps_are_named_by_what_they_are_and_rows_by_their_place() -> None:
    steps = numbered(Step("", 9, actor, action, when, HERE) for actor, action, when in (
        ("bob", Say("a"), At(0)), ("alice", Say("a"), At(0)), ("bob", Say("c"), At(0)), ("bob", KeepAlive(), In(2000)),
        ("bob", Say("a"), At(1_500_000)), ("bob", Say("a"), At(0)),
        ("bob", KeepAlive(), When(UserIs("bob", SessionState.IN_ROOM))),
    ))  # fmt: skip
    assert [step.row for step in steps] == list(range(7))
    assert [step.id.partition("~")[0] for step in steps] == [
        "bob.say@0s", "alice.say@0s", "bob.say@0s", "bob.keep_alive@+2ms", "bob.say@1500ms", "bob.say@0s",
        "bob.keep_alive@when",
    ]  # fmt: skip
    assert len({step.id for step in steps}) == 7
    assert steps[5].id == f"{steps[0].id}#2"  # the same step twice: only such are counted
    for number in range(5):  # and none is renamed if another is taken out
        others = steps[:number] + steps[number + 1 :]
        assert [step.id for step in numbered(others)][:4] == [step.id.removesuffix("#2") if number == 0 else step.id
                                                              for step in others][:4]  # fmt: skip
    assert [verb_of(each).word for each in (SetLinks((UP,), LinkPatch()), StealToken("b"), Leave())] == [
        "set", "steal_token", "leave",
    ]  # fmt: skip
