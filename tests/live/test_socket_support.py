"""Which scenarios can run on sockets: each reason why not, at its bound."""

from __future__ import annotations

import pytest

from tcrp.live.socket_support import USERS_MAX, too_long, unsupported
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text

PLAIN = """
claim: x
users: {bob: {dialect: text}, twin: {name: bob}, eve: {attacker: true}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
"""


def why(*lines: str, head: str = "") -> str | None:
    return unsupported(read_scenario_text(head + PLAIN + "".join(f"  - {line}\n" for line in lines)))


def test_a_plain_scenario_can() -> None:
    assert why() is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{at: 2s, bob: {clock: {skew: 1s}}}", "it sets a user's clock"),
        ("{at: 2s, bob: {pause: 1s}}", "it pauses a user's machine"),
        ("{at: 2s, eve: {spoof: {as: alice, say: hi}}}", "it spoofs a source address"),
        ("{at: 2s, eve: {replay: {from: alice, nth: 1}}}", "it replays a recorded datagram"),
        ("{at: 2s, network: {hold: [bob, server]}}", "it holds datagrams back"),
        ("{at: 2s, network: {stall: [bob, server]}, for: 1s}", "it stalls streams"),
        ("{at: 2s, bob: {abandon: {after: accepted, join: lobby}}}", "it closes a connection at a moment that only"),
        ("{when: {handshake: bob, state: accepted}, bob: keep_alive}", "that is over before a trace can show it"),
        ("{when: {room: lobby, state: vacant}, bob: keep_alive}", "that is over before a trace can show it"),
        ("{at: 1s, twin: {join: lobby}}", "two users request the same name at the same time"),
    ],
)
def test_a_step_that_cannot_is_named_by_its_line(line: str, reason: str) -> None:
    said = why(line)
    assert said is not None
    assert said.startswith("line 7: ")
    assert reason in said


@pytest.mark.parametrize(
    "line",
    [
        "{at: 2s, server: {pause: 1s}}",
        "{at: 2s, bob: {abandon: {after: requested, join: lobby}}}",
        "{when: {room: lobby, state: open}, bob: keep_alive}",
        "{at: 1001ms, twin: {join: lobby}}",
        "{at: 1s, twin: {join: attic}}",
        "{at: 2s, network: {set: {loss: 100%}, between: [bob, server]}}",
    ],
)
def test_what_comes_near_to_it_can(line: str) -> None:
    assert why(line) is None


@pytest.mark.parametrize("of", ["network: {default: {%s}}", "network: {links: [{from: bob, to: server, %s}]}"])
@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("loss: 1%", "its datagrams are lost at random"),
        ("loss: 99%", "its datagrams are lost at random"),
        ("duplicate: 1%", "its datagrams are duplicated, corrupted or reordered at random"),
        ("corrupt: 1%", "its datagrams are duplicated, corrupted or reordered at random"),
        ("rate: 1Mbit/s", "its links have a rate, which a proxy does not support"),
        ("loss: 0%", None),
        ("loss: 100%", None),
        ("mtu: 100", None),
    ],
)
def test_a_setting_of_a_link_that_draws_by_chance_cannot(of: str, setting: str, reason: str | None) -> None:
    assert why(head=of % setting) == reason


def test_times_that_processes_can_keep_are_at_their_bounds() -> None:
    assert "handshake_timeout" in str(why(head="server: {handshake_timeout: 999ms}"))
    assert why(head="server: {handshake_timeout: 1s}") is None
    slow = "server: {idle_timeout: 4s}\nnetwork: {default: {delay: %s}}"
    assert why(head=slow % "1s") is None
    assert "a large part of its idle_timeout" in str(why(head=slow % "1001ms"))


@pytest.mark.parametrize(("at", "can"), [("3499ms", True), ("3500ms", False), ("4s", False)])
def test_a_request_after_a_shutdown_cannot(at: str, can: bool) -> None:
    said = why("{at: 3s, server: shutdown}", f"{{at: {at}, twin: {{join: lobby}}}}")
    assert (said is None) == can


@pytest.mark.parametrize(("more", "can"), [(0, True), (1, False)])
def test_more_users_than_there_are_addresses_for_cannot(more: int, can: bool) -> None:
    users = ", ".join(f"u{number}: {{}}" for number in range(USERS_MAX + more - 1))
    source = f"claim: x\nusers: {{{users}}}\nscript:\n  - {{at: 0s, alice: {{create: lobby}}}}\n"
    assert (unsupported(read_scenario_text(source)) is None) == can


def test_ipv6_addresses_cannot() -> None:
    assert "it needs several IPv6 addresses" in str(
        unsupported(read_scenario_text(PLAIN.replace("{dialect: text}", "{address: '2001:db8::1'}")))
    )


def test_a_run_may_last_as_long_as_the_patience_and_no_longer() -> None:
    verdict = Run(read_scenario_text(PLAIN + "until: 2500ms")).go()
    assert too_long(verdict, verdict.ended_us) is None
    said = too_long(verdict, verdict.ended_us - 1)
    assert said is not None
    assert said.endswith("use --patience 3s")
