"""A verdict in words: whether a claim holds, what came nearest, and how it came to that."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import pytest
from rich.console import Console

import made_records as made
from tcrp.cli.report import CAUSES_SHOWN_MAX, digest_line, print_verdict, replay_line
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text

HOLDING = """\
claim: bob is heard
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, bob: {say: hi}}
expect:
  - {alice: {sees: ["hi"]}}
"""
FAILING = HOLDING.replace('["hi"]', '["hello"]')
WAITING = """\
claim: bob waits for carol
users: {carol: {}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {when: {carol: in-room}, bob: {join: lobby}}
"""


def verdict_of(text: str, *, seed: int = 7, path: str = "a story.yaml") -> Verdict:
    return Run(read_scenario_text(text, path), seed=seed).go()


def said(verdict: Verdict) -> list[str]:
    console = Console(file=io.StringIO(), width=10_000, color_system=None)
    print_verdict(console, verdict)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_claim_that_holds_is_two_lines() -> None:
    verdict = verdict_of(HOLDING)
    first, last = said(verdict)
    assert first == "✔ holds  bob is heard"
    assert last == (
        f"{verdict.records} records, {verdict.arrivals} datagrams arrived, "
        f"{verdict.ended_us / 1_000_000:g} s of virtual time, seed 7"
    )


def test_a_claim_that_does_not_hold_says_what_came_nearest_where_it_stands_and_how_to_see_it_again() -> None:
    lines = said(verdict_of(FAILING))
    assert lines[0] == "✗ does not hold  bob is heard"
    assert lines[1] == '  a story.yaml:7: expected {alice: {sees: ["hello"]}}'
    assert lines[2].startswith(
        "    nearest: alice saw 0 of 1 in this order; the next would be 'hello', but saw 1: bob: 'hi'"
    )
    assert lines[-2] == "  replay: chat-sim run 'a story.yaml' --seed 7"


def test_the_causes_are_told_in_their_order_the_nearest_last() -> None:
    lines = said(verdict_of(FAILING))
    causes = [line.strip() for line in lines if line.startswith("      ")]
    assert 1 < len(causes) <= CAUSES_SHOWN_MAX
    assert causes[-1].endswith("alice: shows 'hi' from bob")
    times = [float(line.partition(" ")[0]) for line in causes]
    assert times == sorted(times)


def test_a_step_that_was_never_taken_is_told_with_its_line() -> None:
    told = (
        "  a story.yaml:5: the step bob: join was not taken: it waited for carol's client to be in-room, "
        "which never occurred"
    )
    assert told in said(verdict_of(WAITING))


@pytest.mark.parametrize(
    ("count", "shown", "more"), [(0, 0, ""), (5, 5, ""), (6, 5, "1 more step"), (9, 5, "4 more steps")]
)
def test_of_steps_that_could_not_be_taken_the_first_five_are_told(count: int, shown: int, more: str) -> None:
    refused = tuple(
        made.refusal(actor="bob", event="say", from_="anonymous", id="bob", n=n, t_us=n * 1_000_000, why="no token")
        for n in range(1, count + 1)
    )
    lines = said(replace(verdict_of(HOLDING), refused_steps=refused))
    assert [line for line in lines if "could not do:" in line] == [
        f"  ! at {n} s bob could not do: say (no token)" for n in range(1, shown + 1)
    ]
    assert [line for line in lines if "more step" in line] == ([f"  ! and {more} could not be done"] if more else [])


def test_a_violated_property_is_told_with_its_sentence() -> None:
    from tcrp.sim.checks.results import Violation
    from tcrp.spec.names import Property
    from tcrp.spec.properties import CLAIMS

    violation = Violation(Property.RELAYS_IN_ORDER, n=3, t_us=1_500_000, what="b before a")
    lines = said(replace(verdict_of(HOLDING), violation=violation))
    assert lines[0] == "✗ does not hold  bob is heard"
    assert lines[1] == f"  property relays-in-order: {CLAIMS[Property.RELAYS_IN_ORDER].sentence}"
    assert lines[2] == "    at 1.5 s: b before a"
    assert lines[3].startswith("      0.")


REFUSED = """\
claim: everybody is heard
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: attic}}
  - {at: 2s, carol: {say: "x"}}
"""


def test_a_scenario_without_expectations_claims_nothing_and_lists_what_was_refused() -> None:
    verdict = verdict_of(REFUSED)
    lines = said(verdict)
    assert lines[:4] == [
        "✔ claims nothing  everybody is heard",
        "  ! there is no `expect:`: only the properties of the protocol were checked",
        "  ! at 2 s carol could not do: spoke (not in a room: anonymous)",
        "  ! at 1.04 s the request of bob was refused (no_such_room)",
    ]
    console = Console(file=io.StringIO(), width=10_000, color_system=None)
    print_verdict(console, verdict, is_strict=True)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith("✗ claims nothing  ")


def test_a_path_is_quoted_for_a_shell_where_it_must_be() -> None:
    assert replay_line(verdict_of(HOLDING, path="story.yaml", seed=3)) == "chat-sim run story.yaml --seed 3"
    assert replay_line(verdict_of(HOLDING, path="it's.yaml")) == "chat-sim run 'it'\"'\"'s.yaml' --seed 7"


def test_one_digest_is_itself_and_of_several_the_digest_of_their_lines() -> None:
    assert digest_line(["ab"]) == "digest sha256:ab"
    assert digest_line(["ab", "cd"]) == f"digest sha256:{hashlib.sha256(b'ab' + bytes((10,)) + b'cd').hexdigest()}"
    assert digest_line([]) == f"digest sha256:{hashlib.sha256(b'').hexdigest()}"
