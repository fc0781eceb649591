"""Runs: one seed, one trace; what does not depend on a step is not touched by it; verdicts tell what is wrong."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.trace.records import Kind, PacketRecord, Record

SCENARIOS = Path(__file__).parents[2] / "sim" / "scenarios"
LOSSY = """
claim: everybody talks over a bad network
seed: {seed}
network: {{default: {{delay: 5ms..200ms, loss: 20%}}}}
script:
  - {{at: 0s, alice: {{create: lobby}}}}
  - {{at: 1s, bob: {{join: lobby}}}}
  - {{at: 1s, carol: {{join: lobby}}}}
{steps}
"""
STEPS = [f'  - {{at: {5 + n}s, {who}: {{say: "{who} {n}"}}}}' for n, who in enumerate(["alice", "bob", "carol"] * 3)]


def lossy(steps: list[str], seed: int = 1) -> tuple[Verdict, list[Record]]:
    records: list[Record] = []
    scenario = read_scenario_text(LOSSY.format(seed=seed, steps="\n".join(steps)))
    return Run(scenario, listeners=[records.append]).go(), records


def fates(records: list[Record]) -> dict[str, tuple[str, int]]:
    """What became of every packet, by its name: dropped why, or how long it took."""
    sent: dict[str, int] = {}
    result: dict[str, tuple[str, int]] = {}
    for record in records:
        if not isinstance(record, PacketRecord) or not record.packet:
            continue
        if record.kind is Kind.SEND:
            assert record.packet not in sent, "a packet's name is its own"
            sent[record.packet] = record.t_us
        elif record.kind is Kind.ARRIVE:
            result[record.packet] = ("arrived", record.t_us - sent[record.packet])
        elif record.actor == "network":
            result[record.packet] = (record.why, 0)
    return result


def test_one_seed_is_one_trace_and_another_seed_another() -> None:
    digests = [lossy(STEPS, seed)[0].digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_a_seed_may_be_given_over_the_scenarios_own() -> None:
    scenario = read_scenario_text(LOSSY.format(seed=1, steps="\n".join(STEPS)))
    assert Run(scenario, seed=2).go().digest == lossy(STEPS, 2)[0].digest


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("number", range(len(STEPS)))
def test_a_step_left_out_leaves_the_fate_of_every_packet_that_it_did_not_cause(number: int, seed: int) -> None:
    """Whichever it is: a step's name does not depend on the others, so its removal renames none of them."""
    said = [step.replace(f' {n}"', '"') for n, step in enumerate(STEPS)]  # the same text each time
    with_it = fates(lossy(said, seed)[1])
    without = fates(lossy([step for n, step in enumerate(said) if n != number], seed)[1])
    both = with_it.keys() & without.keys()
    assert {name: with_it[name] for name in both} == {name: without[name] for name in both}
    more = without.keys() - both  # who hears nothing says once more that it is there
    assert all("/enter" in name for name in more)
    gone = with_it.keys() - without.keys()
    assert gone
    who = ("alice", "bob", "carol")[number % 3]
    assert all(name.startswith(f"{who}.say@{5 + number}s~") for name in gone)


def test_causes_come_before_what_they_cause() -> None:
    _, records = lossy(STEPS)
    assert [record.n for record in records] == list(range(1, len(records) + 1))
    assert all(record.cause < record.n for record in records)
    assert all(earlier.t_us <= later.t_us for earlier, later in itertools.pairwise(records))


def test_the_story_has_this_trace_on_every_python_and_machine() -> None:
    """Pinned: it changes with the protocol or the trace, and with nothing else."""
    pinned = (Path(__file__).parent / "the-story.digest").read_text(encoding="ascii").strip()
    assert Run(read_scenario(SCENARIOS / "the-story.yaml")).go().digest == pinned


def test_no_token_and_no_password_stands_in_a_trace() -> None:
    lines: list[str] = []
    scenario = read_scenario(SCENARIOS / "refusals-come-in-the-order-of-the-rules.yaml")
    run = Run(scenario, listeners=[lambda record: lines.append(record.line())])
    run.go()
    text = "\n".join(lines)
    assert "sesame" not in text
    tokens = [user.engine.token.decode() for user in run.hosts.users.values() if user.engine and user.engine.token]
    assert tokens
    assert not any(token in text for token in tokens)


@pytest.mark.parametrize(
    ("expected", "nearest"),
    [
        ("{bob: {state: expired}}", "it was in-room since"),
        ("{bob: {state: expired}, by: 2s}", "it was never expired; it ended as in-room"),
        ("{bob: {state: in-room}, by: 1ms}", "it was in-room at 1.04 s"),
        ('{alice: {sees: ["a", "b"]}}', "alice saw 1 of 2 in this order; the next would be 'b', but saw 1: bob: 'a'"),
        ('{alice: {never_sees: ["a"]}}', "bob's 'a' was seen at 5.02 s"),
        ('{alice: {sees_exactly: []}}', "alice saw 1: bob: 'a'"),
        ("{alice: {sees: {count: 2..3}}}", "alice saw 1 relay"),
        ("{bob: {told: left}}", "bob was told nothing"),
        ("{bob: {refused: name_taken}}", "at 1.03 s it was accepted"),
        ("{server: {rooms: 5}}", "the server counts rooms 1"),
        ("{step: {machine: session, id: bob@lobby, event: left}}", "there are none; the nearest is"),
        ("{packets: {what: say, from: bob}, count: 2}", "there was 1 such packet of 40 bytes"),
    ],
)  # fmt: skip
def test_a_claim_that_does_not_hold_is_told_with_what_came_nearest(expected: str, nearest: str) -> None:
    verdict = Run(
        read_scenario_text(
            f"""
claim: x
script:
  - {{at: 0s, alice: {{create: lobby}}}}
  - {{at: 1s, bob: {{join: lobby}}}}
  - {{at: 5s, bob: {{say: a}}}}
expect:
  - {expected}
"""
        )
    ).go()
    [miss] = verdict.misses
    assert nearest in miss.nearest
    assert not verdict.holds


def test_a_step_that_waits_for_what_never_comes_makes_the_run_fail() -> None:
    verdict = Run(
        read_scenario_text(
            "claim: x\nscript:\n  - {at: 0s, a: {create: r}}\n  - {when: {a: expired}, a: leave}\nuntil: 5s"
        )
    ).go()
    assert verdict.never_taken == verdict.scenario.script[1:]
    assert not verdict.holds


def test_a_run_ends_when_only_silence_is_waited_for_and_every_expectation_had_its_time() -> None:
    story = "claim: x\nscript:\n  - {at: 0s, a: {create: r}}\nexpect:\n  - {a: {state: in-room}, %s}\n"
    assert Run(read_scenario_text(story % "by: 1s")).go().ended_us < 25_000_000
    late = Run(read_scenario_text(story % "at: 100s")).go()
    assert (late.holds, late.ended_us <= 100_000_000) == (True, True)
    assert not Run(read_scenario_text(story % "at: 400s")).go().holds  # it idles, and that is waited for


def test_steps_at_one_instant_run_in_the_order_of_the_file() -> None:
    records: list[Record] = []
    scenario = read_scenario_text(
        "claim: x\nscript:\n  - {at: 1s, b: {create: one}}\n  - {at: 1s, a: {create: two}}\n"
        "  - {at: 1s, b: {join: two}}"
    )
    Run(scenario, listeners=[records.append]).go()
    assert [record.actor for record in records if record.t_us == 1_000_000] == ["b", "a", "b"]


CRASHED = """
claim: a server that is down has no view
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 4s, server: {crash%s}}
  - {at: 4s, bob: crash}
expect:
  - {%s, at: 6s}
"""
NEVER, AT_5 = "", ": {restart: 1s}"


@pytest.mark.parametrize(
    ("crash", "expected", "nearest"),
    [
        (NEVER, "session: bob@lobby, state: in-room", "the server was down since 4 s; it had been in-room at 1.05 s"),
        (NEVER, "session: bob@lobby, state: anonymous", "the server was down since 4 s; it had been anonymous at 0 s"),
        (NEVER, "room: lobby, state: open", "the server was down since 4 s; it had been open at 0.03 s"),
        (NEVER, "handshake: bob, state: completed", "the server was down since 4 s; it had been completed at 1.03 s"),
        (NEVER, "server: {sessions: 0, rooms: 0}", None),
        (
            NEVER,
            "server: {sessions: 1}",
            "the server was down: it had no sessions, rooms and connections, and counted nothing",
        ),
        (
            NEVER,
            "server: {relays: 0}",
            "the server was down: it had no sessions, rooms and connections, and counted nothing",
        ),
        (NEVER, "bob: {state: in-room}", "it was anonymous since 4 s; it had been in-room at 1.04 s"),
        (AT_5, "session: bob@lobby, state: in-room", "it was anonymous since 5 s; it had been in-room at 1.05 s"),
        (AT_5, "room: lobby, state: vacant", None),
        (AT_5, "server: {sessions: 0, rooms: 0}", None),
        (NEVER, "bob: {state: anonymous}", None),
    ],
)
def test_a_host_that_is_down_is_in_no_state(crash: str, expected: str, nearest: str | None) -> None:
    text = CRASHED % (crash, expected)
    text = text.replace("{crash}", "crash")
    verdict = Run(read_scenario_text(text)).go()
    assert [miss.nearest for miss in verdict.misses] == ([nearest] if nearest else [])


def test_a_name_and_a_room_may_hold_the_sign_that_stands_between_them() -> None:
    story = """
claim: everybody is heard
users: {ann@home: {}, raw: {}}
script:
  - {at: 0s, ann@home: {create: "x@y"}}
  - {at: 1s, bob: {join: "x@y"}}
  - {at: 2s, ann@home: {say: "a"}}
  - {at: 3s, bob: {say: "b"}}
expect:
  - {bob: {sees_exactly: {from: ann@home, text: "a"}}}
  - {ann@home: {sees_exactly: "b"}}
"""
    assert Run(read_scenario_text(story)).go().holds


@pytest.mark.parametrize(("servers", "expected"), [("", "False"), ("servers: {a: {}, b: {}}\n", "True")])
def test_a_run_loads_what_clusters_need_only_if_it_has_one(servers: str, expected: str) -> None:
    script = (
        "import sys\n"
        "from tcrp.sim.run import Run\n"
        "from tcrp.sim.scenario.reader import read_scenario_text\n"
        f"Run(read_scenario_text({f'claim: nothing happens{chr(10)}{servers}until: 1s{chr(10)}'!r})).go()\n"
        "print('tcrp.cluster' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout.strip() == expected
