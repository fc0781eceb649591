"""The strict reader: every form of the format, and every mistake with its place and the nearest word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from example_counts import examples
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.model import (
    Abandon,
    Amount,
    At,
    Burst,
    ByteSpan,
    Clock,
    CloseRoom,
    Counters,
    Crash,
    Create,
    Cut,
    Datagram,
    Exponential,
    Flood,
    Heal,
    Hold,
    In,
    Join,
    LinkId,
    LinkPatch,
    LinkSettings,
    Listener,
    Loss,
    MachineIs,
    Move,
    NeverSees,
    Packets,
    Pause,
    Records,
    Refused,
    Release,
    Remove,
    Reorder,
    Replay,
    Reset,
    Say,
    Scenario,
    Seen,
    Sees,
    SeesCount,
    SetFate,
    SetLinks,
    Span,
    Spoof,
    Stall,
    Start,
    StateExpected,
    StealToken,
    Stream,
    Told,
    UserIs,
    When,
)
from tcrp.sim.scenario.presets import PRESETS
from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.spec.names import Machine, RoomState, SessionState

HEAD = "claim: something is true\n"
SCRIPT = """\
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
"""


def error_of(text: str) -> str:
    with pytest.raises(ScenarioError) as error:
        read_scenario_text(text, "x.yaml")
    return str(error.value)


def actions(*rows: str, users: str = "") -> list[object]:
    """The actions of a script whose people are alice, bob and the attacker mallory."""
    head = f"users:\n  alice: {{}}\n  bob: {{}}\n  mallory: {{attacker: true}}\n{users}"
    scenario = read_scenario_text(HEAD + head + "script:\n" + "".join(f"  - {row}\n" for row in rows))
    return [step.action for step in scenario.script]


def claims(*rows: str) -> list[object]:
    scenario = read_scenario_text(HEAD + SCRIPT + "expect:\n" + "".join(f"  - {row}\n" for row in rows))
    return [each.claim for each in scenario.expect]


# --- what is understood ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "action"),
    [
        ("alice: {create: lobby}", Create("lobby")),
        ("alice: {create: {room: lobby, password: sesame}}", Create("lobby", "sesame")),
        ('alice: {join: "0500"}', Join("0500")),
        ("alice: {say: hello}", Say("hello")),
        ('alice: {say: {repeat: "日", bytes: 6}}', Say("日日")),
        ("alice: {move: {port: new}}", Move()),
        ("alice: {move: {address: 10.0.0.9}}", Move("10.0.0.9")),
        ("alice: {pause: 1.5s}", Pause(1_500_000)),
        ("alice: crash", Crash()),
        ("alice: {clock: {skew: -2s, drift: 50ppm}}", Clock(-2_000_000, 50)),
        ('alice: {datagram: {token_of: bob, room: R, text: "T"}}', Datagram("bob", "R", "T")),
        ('alice: {datagram: {hex: "05 00"}}', Datagram(data=b"\x05\x00")),
        ('alice: {datagram: {token_of: bob, hex: "ff"}}', Datagram("bob", data=b"\xff")),
        ('alice: {stream: {hex: ""}}', Stream(b"")),
        ("alice: {abandon: {after: requested, join: lobby}}", Abandon("requested", Join("lobby"))),
        ("mallory: {steal_token: alice}", StealToken("alice")),
        ("mallory: {spoof: {as: alice, say: hi}}", Spoof("alice", "hi")),
        ("server: {crash: {restart: 3s}}", Crash(3_000_000)),
        ("server: crash", Crash()),
        ("server: start", Start()),
        ("server: {remove: {user: bob, room: lobby}}", Remove("bob", "lobby")),
        ("server: {close_room: lobby}", CloseRoom("lobby")),
        ("network: {set: {loss: 2.5%}, between: [alice, server]}",
         SetLinks((LinkId("alice", "server"), LinkId("server", "alice")), LinkPatch(loss=Loss(25_000)))),
        ("network: {cut: [alice, server]}", Cut((LinkId("alice", "server"), LinkId("server", "alice")))),
        ("network: {cut: {from: alice, to: server}, for: 3s}", Cut((LinkId("alice", "server"),), 3_000_000)),
        ("network: {heal: [all, server]}", Heal((LinkId("all", "server"), LinkId("server", "all")))),
        ("network: {hold: {from: alice, to: server}}", Hold((LinkId("alice", "server"),))),
        ("network: {release: {from: all, to: server}}", Release((LinkId("all", "server"),))),
        ("network: {stall: {from: alice, to: server}, for: 2s}", Stall((LinkId("alice", "server"),), 2_000_000)),
        ("network: {reset: {from: alice, to: server}}", Reset((LinkId("alice", "server"),))),
        ('network: {packet: {name: "a.say@0s~0000/say", fate: drop}}', SetFate("a.say@0s~0000/say", "drop")),
        ('network: {packet: {name: "a/say", delay: 2s}}', SetFate("a/say", delay_us=2_000_000)),
        ("network: {set: lan, from: alice, to: server}", SetLinks((LinkId("alice", "server"),), PRESETS["lan"])),
        ("mallory: {replay: {from: alice, nth: 3}}", Replay("alice", 3)),
        ("mallory: {replay: {from: alice, nth: 3, spoofed: true}}", Replay("alice", 3, is_spoofed=True)),
        ("mallory: {flood: {rate: 1000/s, for: 5s, size: 4096}}", Flood(1000, 5_000_000, 4096)),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_verbs(row: str, action: object) -> None:
    [read] = actions("{at: 1s, " + row + "}")
    assert read == action


def test_every_link_setting_is_read() -> None:
    scenario = read(
        "network: {default: {delay: 1ms, loss: {burst: {enter: 2%, leave: 30%, share: 90%}}, duplicate: 1%, "
        "reorder: {share: 4%, by: 50ms}, corrupt: 0.5%, mtu: 1200, rate: 1.5Mbit/s, queue: 9000, segment: 1..64}}"
    )
    assert scenario.network.default == LinkSettings(
        delay=Span(1000, 1000), loss=Loss(900_000, Burst(20_000, 300_000)), duplicate_ppm=10_000,
        reorder=Reorder(40_000, 50_000), corrupt_ppm=5000, mtu_bytes=1200, rate_bps=1_500_000, queue_bytes=9000,
        segment=ByteSpan(1, 64),
    )  # fmt: skip
    assert read("network: {default: {reorder: 4%}}").network.default.reorder == Reorder(40_000, 10_000)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_alone_or_under_other_settings(name: str) -> None:
    assert read(f"network: {{default: {name}}}").network.default == LinkSettings().patched(PRESETS[name])
    mixed = read(f"network: {{default: {{preset: {name}, mtu: 77}}}}").network.default
    assert mixed == replace(LinkSettings().patched(PRESETS[name]), mtu_bytes=77)


def read(head: str) -> Scenario:
    return read_scenario_text(f"{HEAD}{head}\n", "x.yaml")


def test_for_may_stand_beside_the_actor_too() -> None:
    assert actions("{at: 1s, network: {cut: [alice, server]}, for: 2s}")[0].for_us == 2_000_000  # type: ignore[attr-defined]


def test_moments() -> None:
    scenario = read_scenario_text(
        HEAD
        + """script:
  - {at: 0s, alice: {create: lobby}}
  - {in: 5ms, bob: {join: lobby}}
  - {when: {alice: in-room}, alice: {say: a}}
  - {when: {room: lobby, state: closing}, alice: {say: b}}
  - {when: {session: bob@lobby, state: expired}, alice: {say: c}}
  - {every: 2s, times: 3, bob: {say: "{n}"}}
  - {at: 1s, every: 2s, times: 3, bob: {say: "{n}"}}
"""
    )
    assert [step.when for step in scenario.script] == [
        At(0),
        In(5000),
        When(UserIs("alice", SessionState.IN_ROOM)),
        When(MachineIs(Machine.ROOM, "lobby", RoomState.CLOSING)),
        When(MachineIs(Machine.SESSION, "bob@lobby", SessionState.EXPIRED)),
        At(2_000_000, 2_000_000, 3),
        At(1_000_000, 2_000_000, 3),
    ]
    ids = [step.id for step in scenario.script]
    assert [id.partition("~")[0] for id in ids][-2:] == ["bob.say@2s", "bob.say@1s"]
    assert len(set(ids)) == len(ids)


def test_a_crowd_is_everyone_in_it() -> None:
    scenario = read_scenario_text(
        HEAD
        + """users: {crowd: {count: 3, dialect: text}}
script:
  - {at: 0s, crowd: {create: "room {i}"}}
  - {at: 1s, crowd-2: {say: "I am {i}"}}
expect:
  - {crowd: {state: in-room}}
  - {crowd-3: {sees: [{from: crowd-1, text: "x"}]}}
"""
    )
    assert [(user.id, user.name, user.dialect) for user in scenario.users] == [
        (f"crowd-{n}", f"crowd-{n}", "text") for n in (1, 2, 3)
    ]
    assert [(step.actor, step.action) for step in scenario.script] == [
        ("crowd-1", Create("room 1")),
        ("crowd-2", Create("room 2")),
        ("crowd-3", Create("room 3")),
        ("crowd-2", Say("I am 2")),
    ]
    assert len(scenario.expect) == 4


def test_expectations() -> None:
    assert claims(
        "{bob: {state: expired}, by: 8s}",
        "{session: bob@lobby, state: expired, at: 3s}",
        '{bob: {sees: ["a", {from: alice, text: "b"}]}}',
        '{bob: {never_sees: ["a"]}}',
        "{bob: {sees: {count: 1..3}}, between: [1s, 2s]}",
        "{bob: {told: [left, room_closed]}}",
        "{bob: {refused: name_taken}}",
        "{server: {rooms: 0, relays: 1..5}}",
        "{step: {machine: session, id: bob@lobby, event: left}, count: 2}",
        "{drop: {rule: R-TOK-3}}",
        "{packets: {what: say, from: bob}, count: 1, bytes: 10..20}",
    ) == [
        StateExpected(UserIs("bob", SessionState.EXPIRED)),
        StateExpected(MachineIs(Machine.SESSION, "bob@lobby", SessionState.EXPIRED)),
        Sees("bob", (Seen("a"), Seen("b", "alice"))),
        NeverSees("bob", (Seen("a"),)),
        SeesCount("bob", Amount(1, 3)),
        Told("bob", ("left", "room_closed")),
        Refused("bob", "name_taken"),  # type: ignore[arg-type]
        Counters((("rooms", Amount(0, 0)), ("relays", Amount(1, 5)))),
        Records("step", (("machine", "session"), ("id", "bob@lobby"), ("event", "left")), Amount(2, 2)),
        Records("drop", (("rule", "R-TOK-3"),), Amount(1, None)),
        Packets("say", "bob", None, Amount(1, 1), Amount(10, 20)),
    ]


def test_settings_and_the_network() -> None:
    scenario = read_scenario_text(
        HEAD
        + """server: {idle_timeout: 1m, members_max: 3, takeover: "off", dialect: text}
network:
  default: {delay: 5ms..20ms}
  links:
    - {from: alice, to: server, delay: {exp: 20ms, min: 5ms}, loss: 100%}
"""
        + SCRIPT
    )
    assert (scenario.limits.idle_timeout, scenario.limits.members_max, scenario.limits.takeover) == (
        60_000_000,
        3,
        "off",
    )
    assert scenario.listeners == (Listener(dialects=("text",)),)
    assert scenario.network.default.delay == Span(5000, 20_000)
    assert scenario.network.links[0].settings.delay == Exponential(20_000, 5000)
    assert scenario.network.links[0].settings.loss == Loss(1_000_000)


def test_the_largest_seed_is_63_bits_long() -> None:
    assert read_scenario_text("claim: a\nseed: 9223372036854775807").seed == 2**63 - 1


# --- what is not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x.yaml: the file is empty"),
        ("claim: [", "x.yaml:1:9: this is not valid YAML"),
        ("\tclaim: a", "x.yaml:1:1: this is not valid YAML"),
        ("claim: a\n--- \nclaim: b", "x.yaml:2:1: this is not valid YAML: a file holds one scenario"),
        ("- a", "x.yaml:1:1: scenario: a mapping is expected, but this is a list"),
        ("covers: []", "x.yaml:1:1: scenario: 'claim' is missing"),
        ("claim: a\nclaim: b", "x.yaml:2:1: 'claim' stands here a second time"),
        ("claim: 5", 'x.yaml:1:8: claim: YAML reads 5 as a number; as a text it is written "5"'),
        ("claim: a\nscirpt: []", "x.yaml:2:1: unknown key 'scirpt'; expected is one of claim, covers"),
        ("claim: a\nseed: -1", "x.yaml:2:7: seed is -1; allowed are 0 to"),
        ("claim: a\nseed: 9223372036854775808", "x.yaml:2:7: seed is 9223372036854775808; allowed are 0 to 92233"),
        ("claim: a\nscript: [5]", "x.yaml:2:10: step: a mapping is expected, but this is a number"),
        ("claim: a\nuntil: 5", "x.yaml:2:8: until: a duration such as 10ms or 1.5s is expected (us ms s m h), not '5'"),
        ("claim: a\ncovers: [R-TCP-9]", "x.yaml:2:10: covers: 'R-TCP-9' is none of R-TCP-1"),
        ("claim: &a b\nusers: *a", "x.yaml:1:8: aliases (*name) are not used"),
        ("claim: a\nserver: {idle_timeout: 0s}", "x.yaml:2:24: idle_timeout is 0s; allowed are"),
        ("claim: a\nserver: {member_max: 3}", "did you mean 'members_max'?"),
        ("claim: a\nserver: {rooms_max: 0}", "x.yaml:2:21: rooms_max is 0; allowed are 1 to"),
        ("claim: a\nserver: {takeover: on}", "x.yaml:2:20: takeover is 'on'; allowed are token, same_address, off"),
        ("claim: a\nserver: {dialect: txt}", "did you mean 'text'?"),
        (
            "claim: a\nserver: {dialect: text, listeners: {inner: {dialect: text}}}",
            "x.yaml:2:19: dialect: each of the listeners has its own",
        ),
        (
            "claim: a\nserver: {dialect: {inner: {}}}\nusers: {bob: {listener: inner}}",
            "x.yaml:3:25: listener: the server has one listener; several are declared with server: {listeners: …}",
        ),
        ("claim: a\nusers: {server: {}}", "x.yaml:2:9: 'server' is a word of the format and cannot be a user"),
        ('claim: a\nusers: {"a:b": {}}', "x.yaml:2:9: the user name 'a:b' holds ':' (R-NAME-1)"),
        ("claim: a\nusers: {a: {address: 10.0.0.999}}", "x.yaml:2:22: address: '10.0.0.999' is no IP address"),
        ("claim: a\nusers: {a: {count: 0}}", "x.yaml:2:20: count is 0; allowed are 1 to 10000"),
        ("claim: a\nnetwork: {default: {loss: 120%}}", "x.yaml:2:27: loss: 120% is more than everything"),
        ("claim: a\nnetwork: {default: {delay: 5ms..1ms}}", "x.yaml:2:28: delay: 5ms..1ms ends before it begins"),
        ("claim: a\nnetwork: {default: {mtu: 0}}", "x.yaml:2:26: mtu is 0; allowed are 1 to 65507"),
        ("claim: a\nnetwork: {default: {loss: {burst: {enter: 2%}}}}", "burst: 'leave' is missing"),
        ("claim: a\nnetwork: {default: {loss: {burst: {enter: 2%, leave: 0%}}}}", "never ends; write loss: 100%"),
        ("claim: a\nnetwork: {default: {rate: 5}}", "rate: a rate such as 512kbit/s or 8Mbit/s is expected"),
        ("claim: a\nnetwork: {default: {rate: 0kbit/s}}", "at least 1bit/s, not '0kbit/s'"),
        ("claim: a\nnetwork: {default: {segment: 0..4}}", "segment: pieces of 1 to 65507 bytes are possible"),
        ("claim: a\nnetwork: {default: {reorder: {by: 5ms}}}", "reorder: 'share' is missing"),
        ("claim: a\nnetwork: {default: {corrupt: 101%}}", "corrupt: 101% is more than everything"),
        ("claim: a\nnetwork: {default: mobil}", "did you mean 'mobile'?"),
        ("claim: a\nnetwork: {default: {preset: hotl, delay: 5ms}}", "did you mean 'hotel'?"),
        ("claim: a\nnetwork: {default: {}}", "at least one setting is expected: preset, delay, loss, duplicate"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_head_says_where_and_what(text: str, said: str) -> None:
    assert said in error_of(text)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{at: 0s, alice: {sya: hi}}", "x.yaml:6:22: alice: unknown verb 'sya'; expected is one of create"),
        ("{at: 0s, alice: {sya: hi}}", "did you mean 'say'?"),
        ("{at: 0s, alice: {say: 0500}}", 'say: YAML reads 0500 as a number; as a text it is written "0500"'),
        ("{at: 0s, alice: {say: null}}", 'as a text it is written "null"'),
        ("{at: 0s, alice: {say: hi, leave: {}}}", "x.yaml:6:31: alice does one thing in a step"),
        ("{at: 0s, alice: say}", "x.yaml:6:21: alice: 'say' needs more words"),
        ("{at: 0, alice: leave}", "x.yaml:6:10: at: a duration such as 10ms"),
        ("{at: 0s, in: 1s, alice: leave}", "only one of at, in and when is possible"),
        ("{alice: leave}", "x.yaml:6:5: when is this step taken?"),
        ("{at: 0s}", "x.yaml:6:5: who acts in this step?"),
        ("{at: 0s, alice: leave, bob: leave}", "one actor takes a step, but here are alice and bob"),
        ("{at: 0s, tims: 3, alice: leave}", "x.yaml:6:14: unknown key 'tims'"),
        ("{every: 1s, alice: leave}", "every and times go together"),
        ("{at: 0s, alice: {steal_token: bob}}", "'steal_token' is what attackers do"),
        ("{at: 0s, alice: {replay: {from: bob, nth: 1}}}", "'replay' is what attackers do"),
        ("{at: 0s, mallory: {replay: {from: bob, nth: 0}}}", "nth is 0; allowed are 1 to 1000000"),
        ("{at: 0s, mallory: {flood: {rate: 10, for: 1s, size: 9}}}", "rate: a rate such as 1000/s is expected"),
        ("{at: 0s, mallory: {flood: {rate: 10/s, for: 1s, size: 65508}}}", "size is 65508; allowed are 0 to 65507"),
        ("{at: 0s, network: {stall: [alice, server]}}", "stall: for how long?"),
        ("{at: 0s, network: {hold: [alice, server], for: 1s}}", "'for' does not go with 'hold'"),
        ("{at: 0s, server: {set_limits: {}}}", "set_limits: at least one setting is expected"),
        ("{at: 0s, server: {set_limits: {members_mox: 3}}}", "members_mox"),
        ("{at: 0s, server: {set_limits: {members_max: 0}}}", "members_max is 0; allowed are 1 to"),
        ("{at: 0s, mallory: {steal_token: bpb}}", "'bpb' is nobody: declared are alice, bob, mallory"),
        ("{at: 0s, mallory: {steal_token: bpb}}", "did you mean 'bob'?"),
        ("{at: 0s, alice: {move: {port: 5}}}", "port: '5' is none of new"),
        ('{at: 0s, alice: {stream: {hex: "050"}}}', "pairs of hexadecimal digits are expected, not an odd number"),
        ('{at: 0s, alice: {stream: {hex: "zz"}}}', "pairs of hexadecimal digits are expected, not 'zz'"),
        ("{at: 0s, alice: {stream: {hex: 0500}}}", 'YAML reads 0500 as a number; as a text it is written "0500"'),
        ("{at: 0s, alice: {abandon: {after: late, join: a}}}", "after: 'late' is none of idle, requested, accepted"),
        ("{at: 0s, network: {cut: [alice, bob]}}", "links are between users and the server"),
        ("{at: 0s, network: {cut: [alice, sever]}}", "did you mean 'server'?"),
        ("{at: 0s, network: {hold: [alcie, server]}}", "did you mean 'alice'?"),
        ("{at: 0s, network: {set: {loss: 1%}}}", "which links?"),
        ("{at: 0s, alice: {say: {repeat: x, bytes: 4063}}}", "the text is 4063 bytes, at most 4062 fit"),
        ("{when: {alice: in-rom}, alice: leave}", "did you mean 'in-room'?"),
        ("{when: {room: loby, state: open}, alice: leave}", "no step speaks of the room 'loby'"),
        ("{at: 0s, server: {remove: {user: zed, room: lobby}}}", "no user is named 'zed' in the chat"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_script_says_where_and_what(row: str, said: str) -> None:
    text = f"{HEAD}users: {{alice: {{}}, bob: {{}}, mallory: {{attacker: true}}}}\n{SCRIPT}  - {row}\n"
    assert said in error_of(text)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{bbo: {state: expired}}", "x.yaml:6:6: 'bbo' is nobody"),
        ("{bob: {state: gone}}", "state: 'gone' is none of anonymous, tokened, in-room, expired"),
        ("{bob: {state: expired}, by: 1s, at: 2s}", "only one of by, at and between is possible"),
        ("{bob: {state: expired}, between: [2s, 1s]}", "the span ends before it begins"),
        ("{bob: {state: expired}, count: 3}", "'count' does not go with an expectation of bob"),
        ("{session: bob@loby, state: expired}", "no step speaks of the room 'loby'"),
        ("{session: bob@lobby}", "`state:` is missing"),
        ("{bob: {told: closed}}", "told: 'closed' is none of joined"),
        ("{server: {room: 0}}", "did you mean 'rooms'?"),
        ("{step: {machine: session, event: drained}}", "event: 'drained' is none of granted"),
        ("{drop: {rule: R-TOK-9}}", "rule: 'R-TOK-9' is none of"),
        ("{bob: {sees: [5]}}", 'as a text it is written "5"'),
        ("{bob: {sees: [{from: zed, text: a}]}}", "no user is named 'zed' in the chat"),
    ],
)
def test_a_mistake_in_an_expectation_says_where_and_what(row: str, said: str) -> None:
    assert said in error_of(f"{HEAD}{SCRIPT}expect:\n  - {row}\n")


def test_an_expectation_after_the_end_is_a_mistake() -> None:
    assert "later than `until`" in error_of(
        f"{HEAD}until: 5s\n{SCRIPT}expect:\n  - {{bob: {{state: expired}}, by: 6s}}"
    )


def test_a_room_name_of_256_bytes_needs_allow_invalid() -> None:
    long = "x" * 256
    row = f"{{at: 0s, alice: {{create: {long}}}}}"
    assert "the room name is 256 bytes, at most 255 fit (R-NAME-1)" in error_of(f"{HEAD}script:\n  - {row}\n")
    assert actions(row[:-1] + ", allow_invalid: true}") == [Create(long)]


def test_nested_without_end_and_large_without_end_are_mistakes() -> None:
    assert "nested" in error_of("claim: " + "[" * 3000)
    assert "nested more than" in error_of("claim: " + "[" * 40 + "]" * 40)
    assert "larger than" in error_of("claim: " + "x" * (1 << 20))


def test_files_that_cannot_be_read_are_errors_of_the_same_kind(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        read_scenario(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match="Is a directory"):
        read_scenario(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"claim: a\nseed: \xe9")
    with pytest.raises(ScenarioError, match=r"latin\.yaml:2:7: this is not UTF-8"):
        read_scenario(tmp_path / "latin.yaml")


words = st.sampled_from(
    [
        "claim",
        "script",
        "users",
        "at",
        "in",
        "when",
        "every",
        "times",
        "alice",
        "bob",
        "server",
        "network",
        "create",
        "join",
        "say",
        "leave",
        "cut",
        "set",
        "loss",
        "delay",
        "expect",
        "state",
        "sees",
        "told",
        "by",
        "between",
        ":",
        "-",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "'",
        '"',
        "#",
        "?",
        "0s",
        "1",
        "5%",
        "lobby",
        "\n",
        "\n\xa0",
        "\x07",
        "\ud7ff",
    ]
)


@settings(max_examples=examples(600), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60) | st.lists(words, max_size=30).map(" ".join))
def test_any_text_is_a_scenario_or_a_scenario_error(text: str) -> None:
    try:
        read_scenario_text(text, "x.yaml")
    except ScenarioError as error:
        assert str(error).startswith("x.yaml")  # noqa: PT017 (most texts are none, some are scenarios)


STORY = (Path(__file__).parents[3] / "sim" / "scenarios" / "the-story.yaml").read_text(encoding="utf-8")


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(STORY)), st.integers(0, 30), st.text(max_size=5) | words)
def test_a_scenario_with_any_piece_replaced_is_a_scenario_or_a_scenario_error(at: int, cut: int, put: str) -> None:
    try:
        read_scenario_text(STORY[:at] + put + STORY[at + cut :], "x.yaml")
    except ScenarioError as error:
        assert str(error).startswith("x.yaml")  # noqa: PT017 (most texts are none, some are scenarios)
