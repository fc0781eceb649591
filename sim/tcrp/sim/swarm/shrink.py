"""Shrinks a failing scenario: removes steps, users, faults, settings and times as long as it still fails.

Steps are removed by delta debugging (Zeller and Hildebrandt, 2002): large pieces first, then smaller
ones. Every candidate is a complete scenario, run from its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tcrp.engine.server import ServerEngine
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.model import (
    ORDINARY,
    At,
    Create,
    Datagram,
    Join,
    LinkId,
    Listener,
    NetworkSettings,
    Remove,
    Replay,
    Say,
    Scenario,
    SetLimits,
    Spoof,
    StealToken,
    Step,
    UseListener,
    User,
    UseServer,
)
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.sim.scenario.servers import BUCKET
from tcrp.sim.scenario.steps import numbered
from tcrp.sim.scenario.writer import write_scenario
from tcrp.sim.swarm.failures import SCENARIO_SECONDS_MAX, TIMED_OUT, UNMET, Failure, failure_of
from tcrp.spec.cluster_names import LEASE_US
from tcrp.spec.limits import SETTINGS, Limits

if TYPE_CHECKING:
    from tcrp.cluster.node import ClusterNode

RUNS_MAX = 3000
"""The most candidates that are tried; a scenario of forty steps takes a few hundred."""
CANDIDATE_SECONDS_MAX = 1.0
"""CPU time after which a candidate is stopped, where the failure to reproduce is a timeout."""

SECOND_US = 1_000_000


class Shrinker:
    """Shrinks one failing scenario. `runs` counts the candidates that were run."""

    def __init__(
        self,
        failure: Failure,
        make_engine: EngineFactory = ServerEngine,
        runs_max: int = RUNS_MAX,
        seconds_max: float = CANDIDATE_SECONDS_MAX,
        make_node: type[ClusterNode] | None = None,
    ) -> None:
        self._failure = failure
        self._make_engine, self._make_node = make_engine, make_node
        self._runs_max = runs_max
        self._seconds_max = seconds_max if failure.kind == TIMED_OUT else SCENARIO_SECONDS_MAX
        self.runs = 0

    def shrink(self, scenario: Scenario) -> Scenario:
        """The shortest scenario found that fails in the same way. Of the expectations it keeps the one that failed."""
        kept = tuple(each for each in scenario.expect if f"{UNMET}{each.text}" == self._failure.kind)
        best = replace(scenario, expect=kept[:1], covers=())
        while True:
            before = best
            for simpler in (self._fewer_steps, self._fewer_users, self._simpler_environment, self._simpler_steps):
                best = simpler(best)
            if best == before or self.runs >= self._runs_max:
                return best

    def _fails(self, candidate: Scenario) -> bool:
        if self.runs >= self._runs_max:
            return False
        self.runs += 1
        if candidate.expect and not _can_be_read(candidate):
            return False
        failure, _ = failure_of(
            candidate, make_engine=self._make_engine, make_node=self._make_node, seconds_max=self._seconds_max
        )
        # An expectation is easily unmet if nothing happens at all: what failed has to fail for the same reason.
        return failure is not None and (failure.kind, failure.how) == (self._failure.kind, self._failure.how)

    def _first_that_fails(self, best: Scenario, candidates: Iterator[Scenario]) -> Scenario:
        """The first candidate that still fails, or `best` if none does."""
        for candidate in candidates:
            if candidate != best and self._fails(candidate):
                return candidate
        return best

    # --- steps and users -------------------------------------------------------------------------

    def _fewer_steps(self, best: Scenario) -> Scenario:
        size = max(len(best.script) // 2, 1)
        while True:
            at = 0
            while at < len(best.script):
                candidate = _with_script(best, best.script[:at] + best.script[at + size :])
                if self._fails(candidate):
                    best = candidate
                else:
                    at += size
            if size == 1:
                return best
            size //= 2

    def _fewer_users(self, best: Scenario) -> Scenario:
        needed = {step.actor for step in best.script} | {name for step in best.script for name in _others(step)}
        removed = _removed(best)
        users = tuple(user for user in best.users if user.id in needed or user.name in removed)
        candidate = replace(best, users=users)
        return candidate if candidate != best and self._fails(candidate) else best

    # --- the environment -------------------------------------------------------------------------

    def _fewer_servers(self, best: Scenario) -> Scenario:
        """One server, if that fails in the same way; else without the last, as often as it does."""
        for number in (0, *range(len(best.servers) - 1, 1, -1)):
            if number < len(best.servers):
                best = self._try(best, lambda scenario, kept=number: _with_servers(scenario, scenario.servers[:kept]))  # type: ignore[misc]
        return best

    def _simpler_environment(self, best: Scenario) -> Scenario:
        best = self._fewer_servers(best)
        best = self._try(best, lambda scenario: replace(scenario, network=NetworkSettings()))
        best = self._try(best, lambda scenario: replace(scenario, limits=Limits()))
        best = self._try(best, lambda scenario: replace(scenario, seed=0))
        best = self._try(best, _with_one_listener)
        for setting in ORDINARY.__struct_fields__:
            best = self._try(best, lambda scenario, name=setting: _ordinary(scenario, name))  # type: ignore[misc]
        for setting in SETTINGS:
            best = self._try(best, lambda scenario, name=setting: _default(scenario, name))  # type: ignore[misc]
        removed = _removed(best)
        for user in best.users:
            if user.name in removed:
                continue
            plain = User(id=user.id, name=user.id, attacker=user.attacker)
            for simpler in (
                replace(plain, listener=user.listener, server=user.server),
                replace(plain, server=user.server),
                plain,
                replace(user, address=None),
                replace(user, dialect="json"),
                replace(user, name=user.id),
            ):
                best = self._try(best, lambda scenario, new=simpler: _with_user(scenario, new))  # type: ignore[misc]
        return best

    def _try(self, best: Scenario, change: Callable[[Scenario], Scenario]) -> Scenario:
        candidate = change(best)
        return candidate if candidate != best and self._fails(candidate) else best

    # --- the steps' actions and times ------------------------------------------------------------

    def _simpler_steps(self, best: Scenario) -> Scenario:
        best = self._try(best, _once_a_second)
        for number in range(len(best.script)):
            best = self._first_that_fails(best, _simpler(best, number))
        if best.until_us is not None and best.script:
            best = self._first_that_fails(best, _shorter(best))
        return best


def _can_be_read(scenario: Scenario) -> bool:
    """Whether the scenario still has the users, rooms and moments that its expectations name."""
    try:
        read_scenario_text(write_scenario(scenario))
    except ScenarioError:
        return False
    return True


def _with_script(scenario: Scenario, script: tuple[Step, ...]) -> Scenario:
    return replace(scenario, script=numbered(script))


def _with_user(scenario: Scenario, user: User) -> Scenario:
    return replace(scenario, users=tuple(user if each.id == user.id else each for each in scenario.users))


def _others(step: Step) -> Iterator[str]:
    """Users whom a step names besides its actor."""
    match step.action:
        case StealToken(victim) | Spoof(victim) | Replay(victim):
            yield victim
        case Datagram(token_of=str(holder)) | Create(resume=str(holder)) | Join(resume=str(holder)):
            yield holder


def _removed(scenario: Scenario) -> set[str]:
    """The names of the users whom a step removes."""
    return {step.action.user for step in scenario.script if isinstance(step.action, Remove)}


def _ordinary(scenario: Scenario, name: str) -> Scenario:
    default = replace(scenario.network.default, **{name: getattr(ORDINARY, name)})
    return replace(scenario, network=replace(scenario.network, default=default))


def _default(scenario: Scenario, name: str) -> Scenario:
    return replace(scenario, limits=scenario.limits.with_settings({name: getattr(Limits(), name)}))


def _with_one_listener(scenario: Scenario) -> Scenario:
    script = tuple(step for step in scenario.script if not isinstance(step.action, UseListener))
    users = tuple(replace(user, listener="") for user in scenario.users)
    return _with_script(replace(scenario, listeners=(Listener(),), users=users), script)


def _with_servers(scenario: Scenario, servers: tuple[str, ...]) -> Scenario:
    """The scenario with some of its servers; with none, the one that is called `server` does what they do not."""
    gone = {*scenario.servers, BUCKET} - ({*servers, BUCKET} if servers else set())

    def stays(step: Step) -> bool:
        links: tuple[LinkId, ...] = getattr(step.action, "links", ())
        return not (
            step.actor in gone
            or (isinstance(step.action, UseServer) and (not servers or step.action.server in gone))
            or any(end in gone for link in links for end in (link.source, link.target))
        )

    users = tuple(replace(user, server="" if user.server in gone else user.server) for user in scenario.users)
    rules = tuple(each for each in scenario.network.links if not gone & {each.link.source, each.link.target})
    smaller = replace(
        scenario, servers=servers, users=users, network=replace(scenario.network, links=rules),
        lease_us=scenario.lease_us if servers else LEASE_US,
    )  # fmt: skip
    return _with_script(smaller, tuple(filter(stays, scenario.script)))


def _once_a_second(scenario: Scenario) -> Scenario:
    """The same steps in the same order, one a second."""
    script = tuple(
        replace(step, when=replace(step.when, at_us=number * SECOND_US)) if isinstance(step.when, At) else step
        for number, step in enumerate(scenario.script)
    )
    return _with_script(scenario, script)


def _simpler(scenario: Scenario, number: int) -> Iterator[Scenario]:
    """Simpler versions of one step, the simplest first."""
    step = scenario.script[number]
    when, action = step.when, step.action

    def with_step(new: Step) -> Scenario:
        return _with_script(scenario, (*scenario.script[:number], new, *scenario.script[number + 1 :]))

    if isinstance(when, At):
        if when.times > 1:
            yield with_step(replace(step, when=At(when.at_us)))
        earlier = scenario.script[number - 1].when if number else None
        least_us = earlier.at_us if isinstance(earlier, At) else 0
        for grain_us in (SECOND_US, SECOND_US // 10, SECOND_US // 1000):
            rounded_us = when.at_us // grain_us * grain_us
            if rounded_us >= least_us and rounded_us != when.at_us:
                yield with_step(replace(step, when=replace(when, at_us=rounded_us)))
                break
    match action:
        case Say(text) if len(text) > 1:
            yield with_step(replace(step, action=Say("a")))
        case Create(password=password, resume=resume) | Join(password=password, resume=resume):
            if password:
                yield with_step(replace(step, action=replace(action, password="")))
            if resume is not None:
                yield with_step(replace(step, action=replace(action, resume=None)))
        case SetLimits(settings) if len(settings) > 1:
            for each in settings:
                yield with_step(replace(step, action=SetLimits((each,))))


def _shorter(scenario: Scenario) -> Iterator[Scenario]:
    assert scenario.until_us is not None, "only a scenario with an end can be shortened"
    for seconds in (1, 5, 10, 20, 40):
        until_us = max(_last_us(scenario) + seconds * SECOND_US, SECOND_US)
        if until_us < scenario.until_us:
            yield replace(scenario, until_us=until_us)


def _last_us(scenario: Scenario) -> int:
    return max((step.when.at_us for step in scenario.script if isinstance(step.when, At)), default=0)
