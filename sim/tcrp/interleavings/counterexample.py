"""A path as a scenario: who does what when, and what becomes of each packet, so that a simulated run takes the path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from msgspec.structs import replace

from tcrp.explore.model import Path
from tcrp.interleavings.parts import Broken
from tcrp.interleavings.steps import BROKEN, FORGED, State
from tcrp.interleavings.steps import Step as Taken
from tcrp.interleavings.timing import Link, times_of
from tcrp.interleavings.world import World
from tcrp.sim.hosts.server import SERVER, EngineFactory
from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.model import (
    Action,
    At,
    Crash,
    Leave,
    Place,
    Say,
    Scenario,
    SetFate,
    StealToken,
    Step,
)
from tcrp.sim.scenario.steps import numbered
from tcrp.sim.script import NETWORK
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import PacketKind
from tcrp.trace.records import Kind, PacketRecord, Record

NEVER_US = 24 * 3600 * SECOND_US  # after the end of every run


class Plan:
    """When each packet arrives, by where and when it is sent: the next of several is the first in the list."""

    def __init__(self) -> None:
        self.datagrams: dict[tuple[str, str, int], list[list[int]]] = {}
        self.streams: dict[str, list[int]] = {}  # by link

    def fate_of(self, sent: PacketRecord) -> SetFate:
        """What becomes of a packet that is sent now."""
        if sent.proto == "tcp":
            ways = self.streams.get(sent.link, [])
            return SetFate(sent.packet, arrives_us=(max(ways.pop(0) - sent.t_us, 0) if ways else NEVER_US,))
        planned = self.datagrams.get((sent.link, sent.what, sent.t_us), [])
        arrives_us = planned.pop(0) if planned else []
        return SetFate(sent.packet, arrives_us=tuple(each - sent.t_us for each in arrives_us))


def scenario_of(world: World, path: Path[State], broken: Broken, make_engine: EngineFactory) -> Scenario:
    """The scenario that takes the path and comes to the violation. Raises `NoTimes`."""
    befores = [path.start, *(state for _, state in path.steps)]
    links = [Link(cast(Taken, step), befores[at], after) for at, (step, after) in enumerate(path.steps)]
    times_us = times_of(world, links)
    order = sorted(range(len(links)), key=lambda at: (times_us[at], at))
    steps = list(_script(world, links, times_us))
    last_us = times_us[order[-1]] if order else 0
    limits = world.pace.limits
    longest_us = max(limits.idle_timeout, limits.token_timeout, limits.handshake_timeout, limits.linger)
    whole = world.program.scenario
    text = f"{broken.property}: {broken.what}".splitlines()[0]
    scenario = replace(
        whole, claim=f"shows that a property does not hold: {text}"[:300], script=numbered(steps), explore=None,
        until_us=last_us + SECOND_US, covers=(),
    )  # fmt: skip
    verdict, fates = _rehearse(scenario, _planned(world, links, times_us), make_engine)
    if verdict.violation is None:  # it may show only when a deadline comes, or does not
        scenario = replace(scenario, until_us=last_us + 2 * longest_us + 2 * SECOND_US)
        verdict, fates = _rehearse(scenario, _planned(world, links, times_us), make_engine)
    decided = [_step(NETWORK, fate, 0) for fate in fates.values()]
    return replace(scenario, script=numbered([*decided, *steps]))


def _rehearse(scenario: Scenario, plan: Plan, make_engine: EngineFactory) -> tuple[Verdict, dict[str, SetFate]]:
    """Run it once, to learn the packets' names. Each fate is decided when the packet is recorded, before it is used."""
    fates: dict[str, SetFate] = {}

    def decide(record: Record) -> None:
        if isinstance(record, PacketRecord) and record.kind is Kind.SEND:
            fates[record.packet] = plan.fate_of(record)

    run = Run(scenario, make_engine=make_engine, listeners=[decide])
    run.world.fates = fates
    return run.go(), fates


# --- who does what -----------------------------------------------------------------------------------


def _script(world: World, links: list[Link], times_us: list[int]) -> Iterable[Step]:
    stolen = -1
    attacker = next((each.id for each in world.program.scenario.users if each.attacker), "")
    for link, at_us in zip(links, times_us, strict=True):
        step = link.step
        match step.kind:
            case "act":
                yield _step(world.users[step.who].id, step.what.intent, at_us)
            case "attack":
                if stolen != step.who:
                    yield _step(attacker, StealToken(world.users[step.who].id), at_us)
                stolen = step.who
                yield _step(attacker, Say(FORGED) if step.what is PacketKind.SAY else Leave(), at_us)
            case "crash":
                yield _step(SERVER, Crash(0), at_us)


def _step(actor: str, action: Action, at_us: int) -> Step:
    return Step("", 0, actor, action, At(at_us), Place(1, 1))


# --- what becomes of each packet -----------------------------------------------------------------------


def _planned(world: World, links: list[Link], times_us: list[int]) -> Plan:
    plan = Plan()
    arrivals: dict[int, list[list[int]]] = {}  # of each datagram under way: the lists that its next arrival goes into
    count = len(world.users)
    for at, link in enumerate(links):
        step, now_us = link.step, times_us[at]
        if step.kind in ("hear", "told"):
            arrivals[step.what].pop(0).append(now_us)
        elif step.kind in ("up", "down"):
            user = world.users[step.who].id
            name = f"{user}>{SERVER}" if step.kind == "up" else f"{SERVER}>{user}"
            plan.streams.setdefault(name, []).append(now_us)
        for number, copies in _sent(world, link, count):
            flight = world.known.flights.of[number]
            user = world.users[flight.party].id
            name = f"{user}>{SERVER}" if flight.is_up else f"{SERVER}>{user}"
            arrives: list[int] = []
            arrivals.setdefault(number, []).extend([arrives] * copies)
            plan.datagrams.setdefault((name, flight.what, now_us), []).append(arrives)
    return plan


def _sent(world: World, link: Link, count: int) -> list[tuple[int, int]]:
    """The datagrams that a step sends, in order, and how many copies of each are under way then."""
    if link.after[0] == BROKEN:
        return []
    before, after = list(link.before[2 + count :]), list(link.after[2 + count :])
    if link.step.kind in ("hear", "told"):
        before.remove(link.step.what)
    for number in before:
        if number in after:
            after.remove(number)
    sent = []
    for number in world.sent_by(link.before, link.step):
        copies = min(after.count(number), 2)
        for _ in range(copies):
            after.remove(number)
        sent.append((number, copies))
    return sent
