"""The limits of a run whose server is given others: what was let in before a change is not held against it."""

from __future__ import annotations

from planting import Planted
from tcrp.sim.checks.bounds import Bounds
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import Limits, Takeover
from tcrp.spec.names import Property

SECOND = 1_000_000
SCENARIO = """
claim: other limits hold from their change on
until: 30s
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 8s, alice: {say: "hi"}}
  - {at: 10s, server: {set_limits: {members_max: 1, idle_timeout: 5s}}}
  - {at: 20s, carol: {stream: {hex: "00"}}}
expect:
  - {alice: {told: idled}}
  - {bob: {told: idled}}
"""
RESTARTED = """
claim: a server that starts again has the settings that it was given
script:
  - {at: 0s, server: {set_limits: {members_max: 1}}}
  - {at: 1s, server: {crash: {restart: 1s}}}
  - {at: 3s, alice: {create: lobby}}
  - {at: 4s, bob: {join: lobby}}
expect: [{bob: {refused: room_full}}]
"""


class IgnoresNewLimits(Planted):
    """Goes by the limits that it has started with."""

    def set_limits(self, limits: Limits) -> None:
        pass


def test_the_widest_and_the_narrowest_so_far_are_kept() -> None:
    bounds = Bounds(Limits(members_max=3, linger=5 * SECOND))
    bounds.change(Limits(members_max=1, linger=9 * SECOND, takeover=Takeover.OFF))
    assert bounds.now.takeover is Takeover.OFF
    assert (bounds.now.members_max, bounds.widest.members_max, bounds.narrowest.members_max) == (1, 3, 1)
    assert (bounds.now.linger, bounds.widest.linger, bounds.narrowest.linger) == (9 * SECOND, 9 * SECOND, 5 * SECOND)


def test_a_choice_is_neither_wide_nor_narrow() -> None:
    """Only the present one counts: the others stay as they were."""
    bounds = Bounds(Limits(takeover=Takeover.OFF))
    bounds.change(Limits(takeover=Takeover.SAME_ADDRESS))
    assert (bounds.widest.takeover, bounds.narrowest.takeover) == (Takeover.OFF, Takeover.OFF)
    bounds = Bounds(Limits(takeover=Takeover.SAME_ADDRESS))
    bounds.change(Limits(takeover=Takeover.OFF))
    assert bounds.narrowest.takeover is Takeover.SAME_ADDRESS


def test_limits_hold_from_their_change_on() -> None:
    assert Run(read_scenario_text(SCENARIO)).go().holds


def test_a_server_that_goes_by_its_old_limits_is_found() -> None:
    violation = Run(read_scenario_text(SCENARIO), make_engine=IgnoresNewLimits).go().violation
    assert violation is not None
    # Whichever is judged first.
    assert violation.property in (Property.LIVE_SESSION_HAS_A_DEADLINE, "matches-reference")


def test_a_server_that_starts_again_has_the_settings_that_it_was_given() -> None:
    assert Run(read_scenario_text(RESTARTED), make_engine=IgnoresNewLimits).go().holds


def test_whom_a_change_makes_too_silent_ends_right_after_it() -> None:
    """The check had counted the session as overdue in the very call that changed the timeout."""
    scenario = """
claim: a session that has been silent for longer than a new timeout ends
until: 10s
server: {token_timeout: 5s}
users:
  ann: {dialect: json-endpoint, keeps_alive: true}
script:
  - {at: 0s, ann: {create: lobby}}
  - {at: 9s, server: {set_limits: {idle_timeout: 3s}}}
expect: [{session: ann@lobby, state: expired, at: 9s}]
"""
    assert Run(read_scenario_text(scenario)).go().holds
