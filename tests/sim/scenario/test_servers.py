"""Scenarios with several servers: what their words mean, and what a file with a mistake is told."""

from __future__ import annotations

import pytest

from tcrp.sim.run import Run
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.model import Crash, HandOver, LinkId
from tcrp.sim.scenario.reader import read_scenario_text

HEAD = "claim: a\nservers: {a: {}, b: {}}\n"


def test_servers_are_actors_and_ends_of_links_by_their_names() -> None:
    scenario = read_scenario_text(
        HEAD + "server: {cluster_lease: 2s, members_max: 3}\nusers: {bob: {server: b}}\n"
        "script: [{at: 1s, a: hand_over}, {at: 2s, bucket: crash}, {at: 3s, network: {cut: [a, b]}},"
        " {at: 4s, ann: {create: lobby}}]\n"
    )
    assert (scenario.servers, scenario.lease_us, scenario.limits.members_max) == (("a", "b"), 2_000_000, 3)
    assert [(step.actor, type(step.action)) for step in scenario.script[:2]] == [("a", HandOver), ("bucket", Crash)]
    assert scenario.script[2].action.links == (LinkId("a", "b"), LinkId("b", "a"))  # type: ignore[union-attr]
    assert [(user.id, user.server) for user in scenario.users] == [("bob", "b"), ("ann", "")]


def test_a_user_speaks_to_the_first_server_until_it_goes_to_another() -> None:
    run = Run(read_scenario_text(HEAD + "script: [{at: 1s, ann: {use_server: b}}]\n"))
    assert run.hosts.users["ann"].server.id == "a"
    run.go()
    assert run.hosts.users["ann"].server.id == "b"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("claim: a\nservers: {}", "x:2:10: servers: 1 to 16 are expected, not 0"),
        ("claim: a\nservers: {a b: {}}", "x:2:11: servers: a name has 1 to 64 letters, digits, - and _, not 'a b'"),
        ("claim: a\nservers: {bucket: {}}", "x:2:11: 'bucket' is a word of the format and cannot be a server"),
        ("claim: a\nservers: {a: {dialect: text}}",
         "x:2:14: a: nothing is expected here; settings of all servers stand under server:"),
        (HEAD + "users: {a: {}}", "x:3:9: 'a' is a server and cannot be a user"),
        (HEAD + "users: {bob: {server: c}}", "x:3:23: server: 'c' is none of a, b"),
        ("claim: a\nusers: {bob: {server: a}}",
         "x:2:23: server: there is one server; several are declared with servers: {a: {}, b: {}}"),
        (HEAD + "script: [{at: 1s, server: crash}]", "x:3:19: which server? there are several: a, b"),
        (HEAD + "script: [{at: 1s, network: {cut: [bob, server]}}]",
         "x:3:35: 'bob' is nobody: declared are a, b, bucket, all"),
        (HEAD + "users: {bob: {}}\nscript: [{at: 1s, network: {cut: [bob, bucket]}}]",
         "x:4:40: only servers have links to the bucket"),
        (HEAD + "script: [{at: 1s, bucket: hand_over}]",
         "x:3:27: bucket: unknown verb 'hand_over'; expected is one of crash, start, pause"),
        ("claim: a\nscript: [{at: 1s, server: hand_over}]",
         "x:2:27: server: unknown verb 'hand_over'; expected is one of crash, start, pause, shutdown, remove, "
         "close_room, set_limits"),
        (HEAD + "server: {cluster_lease: 100ms}", "x:3:25: cluster_lease is 100ms; allowed are 1s to 1m"),
        ("claim: a\nserver: {cluster_lease: 2s}",
         "x:2:25: cluster_lease: there is one server; several are declared with servers: {a: {}, b: {}}"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_a_remedy(text: str, error: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read_scenario_text(text + "\n", "x")
    assert str(raised.value) == error
