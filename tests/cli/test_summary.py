"""A run in plain sentences."""

from __future__ import annotations

from tcrp.cli.summary import summary
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.records import Record

SCENARIO = """\
claim: a summary tells what happened
users: {mallory: {attacker: true}}
network: {default: {delay: 10ms}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 1100ms, carol: {join: nowhere}}
  - {at: 2s, alice: {say: "hello"}}
  - {at: 3s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 3500ms, alice: {say: "lost"}}
  - {at: 4s, mallory: {spoof: {as: alice, say: "hi"}}}
  - {at: 5s, bob: {say: "bye"}}
  - {at: 5s, carol: {say: "me"}}
  - {at: 6s, alice: leave}
"""


def told(scenario: str) -> list[str]:
    records: list[Record] = []
    read = read_scenario_text(scenario)
    Run(read, listeners=[records.append]).go()
    return [line.strip() for line in summary(records, read)]


def test_it_tells_who_came_said_what_and_left() -> None:
    assert told(SCENARIO) == [
        "0.030 s  the room lobby is created.",
        "0.050 s  alice enters lobby.",
        "1.050 s  bob enters lobby.",
        "1.130 s  the server refuses carol: no_such_room.",
        "2.000 s  alice says 'hello': bob reads it.",
        "3.000 s  the network cuts server to bob.",
        "3.500 s  alice says 'lost': nobody reads it; bob does not: cut.",
        "4.000 s  mallory sends a forged say (spoof): nobody reads it; the server drops it: no such token.",
        "4.000 s  the network heals server to bob.",
        "5.000 s  bob says 'bye': alice reads it.",
        "5.000 s  carol cannot do this: spoke (not in a room: anonymous).",
        "6.010 s  alice leaves lobby.",
        "6.010 s  the room lobby closes: its host has gone.",
        "6.010 s  bob is told of the end of lobby.",
        "11.010 s  the name lobby is free again.",
        "Not told above: 5 retransmissions.",
    ]


def test_a_flood_is_one_sentence_and_what_is_said_with_a_stolen_token_is_forged() -> None:
    steps = """\
  - {at: 7s, mallory: {steal_token: bob}}
  - {at: 7500ms, mallory: {say: "as bob"}}
  - {at: 8s, mallory: {flood: {rate: 100/s, for: 1s, size: 1}}}
"""
    lines = told(SCENARIO.replace("  - {at: 6s, alice: leave}\n", steps))
    assert [line for line in lines if "mallory" in line and "flood" in line] == [
        "8.000 s  mallory begins a flood: 100 forged datagrams; the server drops it: too short (×100)."
    ]
    assert any("mallory sends a forged say (stolen token): nobody reads it" in line for line in lines)


def test_each_sentence_is_one_line_whatever_is_said() -> None:
    lines = told(SCENARIO.replace('"hello"', '"a\\nb\\u202e"'))
    assert all("\n" not in line and "\u202e" not in line for line in lines)


CLUSTER = """\
claim: a room goes on
server: {cluster_lease: 2s}
servers: {a: {}, b: {}}
users: {bob: {server: b}}
script:
  - {at: 1s, alice: {create: lobby}}
  - {at: 2s, bob: {join: lobby}}
  - {at: 4s, a: crash}
  - {at: 8s, bob: {say: "alone"}}
"""


def test_of_a_cluster_it_tells_which_server_owns_a_room() -> None:
    sentences = [line.partition(" s  ")[2] for line in told(CLUSTER)]
    assert sentences == [
        "a owns lobby (R-OWN-1).", "the room lobby is created.", "alice enters lobby.", "bob enters lobby.",
        "a crashes: all state lost.", "b owns lobby (R-OWN-1).", "bob says 'alone': nobody reads it.",
    ]  # fmt: skip
