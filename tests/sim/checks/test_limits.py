"""The limits are judged from what crosses the wire: a server that takes one too many of anything is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import SETTINGS, Limits
from tcrp.spec.names import Property

ONE_ADDRESS = "users: {a: {address: 10.1.0.1}, b: {address: 10.1.0.1}, c: {address: 10.1.0.1}}"
ENTERING_BY_DATAGRAM = ONE_ADDRESS.replace("}}", ", dialect: text}}").replace("}, ", ", dialect: text}, ")


class Case(NamedTuple):
    """A story that meets a limit exactly once too often."""

    setting: str
    value: int
    users: str
    steps: tuple[str, ...]
    counted: str  # by the check, when the server does not keep to it


CASES = [
    Case(
        "rooms_max", 2, "",
        ("{at: 0s, a: {create: one}}", "{at: 1s, b: {create: two}}", "{at: 2s, c: {create: three}}"),
        "there are 3 rooms, but at most 2",
    ),
    Case(
        "members_max", 2, "",
        ("{at: 0s, a: {create: lobby}}", "{at: 1s, b: {join: lobby}}", "{at: 2s, c: {join: lobby}}"),
        "there are 3 members of lobby, but at most 2",
    ),
    Case(
        "sessions_max", 2, "", ("{at: 0s, a: {create: one}}", "{at: 1s, b: {join: one}}", "{at: 2s, c: {create: two}}"),
        "there are 3 sessions, but at most 2",
    ),
    Case(
        "sessions_per_ip_max", 2, ONE_ADDRESS,
        ("{at: 0s, a: {create: one}}", "{at: 1s, b: {join: one}}", "{at: 2s, c: {join: one}}"),
        "there are 3 sessions of 10.1.0.1, but at most 2",
    ),
    Case(
        "connections_max", 2, "",
        ('{at: 0s, a: {stream: {hex: "00"}}}', '{at: 1s, b: {stream: {hex: "00"}}}', "{at: 2s, c: {create: one}}"),
        "there are 3 connections, but at most 2",
    ),
    Case(
        "connections_per_ip_max", 2, ONE_ADDRESS,
        ('{at: 0s, a: {stream: {hex: "00"}}}', '{at: 1s, b: {stream: {hex: "00"}}}', "{at: 2s, c: {create: one}}"),
        "there are 3 connections of 10.1.0.1, but at most 2",
    ),
    Case(
        "unentered_rooms_per_ip_max", 1, ENTERING_BY_DATAGRAM,
        (
            "{at: 0s, network: {set: {loss: 100%}, from: a, to: server}}",
            "{at: 0s, network: {set: {loss: 100%}, from: b, to: server}}",
            "{at: 1s, a: {create: one}}", "{at: 2s, b: {create: two}}",
        ),
        "there are 2 rooms of 10.1.0.1 whose host has not entered, but at most 1",
    ),
    Case(
        "texts_per_second_max", 2, "",
        (
            "{at: 0s, a: {create: lobby}}", "{at: 1s, b: {join: lobby}}",
            '{every: 100ms, times: 3, at: 5s, b: {say: "text {n}"}}',
        ),
        "there are 3 texts of b@lobby within a second, but at most 2",
    ),
]  # fmt: skip


def without_limit(setting: str) -> Callable[..., ServerEngine]:
    """A server that keeps to every limit but one."""

    def make_engine(config: ServerConfig, **kwargs: Any) -> ServerEngine:
        most = config.limits.with_settings({setting: getattr(Limits(), setting)})
        return ServerEngine(replace(config, limits=most), **kwargs)

    return make_engine


def verdict_of(case: Case, **options: Any) -> Verdict:
    steps = "\n".join(f"  - {step}" for step in case.steps)
    text = f"claim: a limit\nserver: {{{case.setting}: {case.value}}}\n{case.users}\nscript:\n{steps}\n"
    return Run(read_scenario_text(text), **options).go()


def test_each_limit_of_a_count_is_judged() -> None:
    judged_by_the_reference_alone = {"request_bytes_max", "password_tries_max", "rooms_per_ip_max"}
    counts = {name for name in SETTINGS if name.endswith("_max")} - judged_by_the_reference_alone
    assert {case.setting for case in CASES} == counts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.setting)
def test_a_server_that_keeps_to_its_limit_is_not_accused(case: Case) -> None:
    verdict = verdict_of(case)
    assert verdict.violation is None
    assert verdict.judged[Property.LIMITS_HOLD]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.setting)
def test_a_server_without_one_limit_is_caught_by_that_alone(case: Case) -> None:
    violation = verdict_of(case, make_engine=without_limit(case.setting)).violation
    assert violation is not None
    assert (violation.property, violation.what) == (Property.LIMITS_HOLD, case.counted)
    left_out = (Property.LIMITS_HOLD, Property.MATCHES_REFERENCE)
    assert verdict_of(case, make_engine=without_limit(case.setting), leave_out=left_out).violation is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.setting)
def test_as_many_as_the_limit_allows_are_as_many_as_are_taken(case: Case) -> None:
    """Each story goes one above its limit, and no further: with one more allowed nobody is accused."""
    one_more = case._replace(value=case.value + 1)
    assert verdict_of(one_more, make_engine=without_limit(case.setting)).violation is None


def test_what_is_over_is_counted_no_more() -> None:
    """Rooms that are closed, sessions and connections that have ended, texts of more than a second ago."""
    text = """
claim: the same again and again
server: {rooms_max: 1, sessions_max: 2, members_max: 2, connections_max: 1, texts_per_second_max: 1, linger: 1s}
script:
  - {at: 0s, a: {create: one}}
  - {at: 1s, b: {join: one}}
  - {every: 1100ms, times: 3, at: 3s, b: {say: "text {n}"}}
  - {at: 8s, b: leave}
  - {at: 9s, b: {join: one}}
  - {at: 10s, a: leave}
  - {at: 13s, a: {create: two}}
  - {at: 14s, server: {crash: {restart: 10ms}}}
  - {at: 15s, b: {create: three}}
expect:
  - {room: one, state: closed, by: 12s}
  - {room: two, state: open, at: 13500ms}
  - {room: three, state: open}
"""
    verdict = Run(read_scenario_text(text)).go()
    assert verdict.holds, (verdict.misses, verdict.violation)


def test_texts_that_are_exactly_a_second_apart_are_one_a_second() -> None:
    story = """
claim: alice says one text a second
server: {texts_per_second_max: 1}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {every: 1s, times: 5, at: 30s, alice: {say: "text {n}"}}
expect:
  - {bob: {sees: ["text 1", "text 2", "text 3", "text 4", "text 5"]}}
"""
    verdict = Run(read_scenario_text(story)).go()
    assert (verdict.violation, verdict.misses) == (None, ())
