"""Makes a random scenario one of several servers: who speaks to which, and what goes wrong with them.

What was drawn for the one server is done to one of them. Dice of their own, so that a scenario of one server is the
same with and without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from tcrp.sim.network.draws import PPM
from tcrp.sim.scenario.model import (
    Action,
    At,
    Clock,
    Crash,
    Create,
    Cut,
    HandOver,
    Join,
    Leave,
    LinkId,
    LinkPatch,
    LinkRule,
    Loss,
    Pause,
    Place,
    Reset,
    Say,
    Scenario,
    SetLinks,
    Shutdown,
    Span,
    Start,
    Step,
    UseServer,
)
from tcrp.sim.scenario.servers import BUCKET
from tcrp.sim.scenario.steps import numbered
from tcrp.sim.swarm.actions import NETWORK, SERVER
from tcrp.sim.swarm.dice import Dice
from tcrp.sim.swarm.environment import MS, SECOND
from tcrp.spec.cluster_names import DRIFT_PARTS

PERCENT = 1
"""Of the scenarios so many have several servers: one takes many times as long as another."""
NAMES = ("a", "b", "c")
LATE = "late"
"""The room of `late_output`."""
STEPS_MAX = 6
DRIFT_PPM_MAX = PPM // DRIFT_PARTS // 2 - 500
"""Two clocks may go apart by one part in `DRIFT_PARTS`, so each by half of that."""
NOWHERE = Place(1, 1)
Planned = tuple[int, str, Action]


class _Drawer:
    def __init__(self, dice: Dice, servers: tuple[str, ...], lease_us: int, users: tuple[str, ...]) -> None:
        self.dice, self.servers, self.lease_us, self.users = dice, servers, lease_us, users

    def server(self) -> str:
        return self.dice.one_of(self.servers)

    def links(self) -> tuple[LinkId, ...]:
        """Between two servers, or a server and the bucket: both ways, or one."""
        one = self.server()
        other = self.dice.one_of([BUCKET, *(each for each in self.servers if each != one)])
        both = (LinkId(one, other), LinkId(other, one))
        return both if self.dice.chance(60) else (both[self.dice.below(2)],)

    def for_us(self) -> int:
        """Shorter or longer than a lease."""
        return self.dice.between(1, 3 * self.lease_us // MS) * MS

    # --- what goes wrong ---------------------------------------------------------------------

    def hand_over(self) -> tuple[str, Action]:
        return self.server(), HandOver()

    def stop(self) -> tuple[str, Action]:
        return self.server(), Shutdown()

    def crash(self) -> tuple[str, Action]:
        return self.server(), Crash(self.for_us())

    def pause(self) -> tuple[str, Action]:
        return self.server(), Pause(self.for_us())

    def drift(self) -> tuple[str, Action]:
        return self.server(), Clock(0, self.dice.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX))

    def cut(self) -> tuple[str, Action]:
        return NETWORK, Cut(self.links(), self.for_us())

    def reset(self) -> tuple[str, Action]:
        return NETWORK, Reset((LinkId(self.server(), BUCKET),))

    def trouble(self) -> tuple[str, Action]:
        most_us = self.dice.one_of((20, 200, self.lease_us // 2 // MS)) * MS
        return NETWORK, SetLinks(self.links(), LinkPatch(delay=Span(MS, most_us), loss=Loss(self._loss_ppm())))

    def lose_bucket(self) -> tuple[str, Action]:
        return BUCKET, Crash(self.for_us())

    def go_elsewhere(self) -> tuple[str, Action]:
        return self.dice.one_of(self.users), UseServer(self.server())

    # --- what takes several steps ------------------------------------------------------------

    def late_output(self) -> list[Planned]:
        """What an owner puts out is slow on its way, and the room is given away meanwhile."""
        owner = self.server()
        other = self.dice.one_of([each for each in self.servers if each != owner])
        host, guest = self.dice.one_of(self.users), self.dice.one_of(self.users)
        meets: list[Planned] = [
            (0, host, Leave()), (0, guest, Leave()), (SECOND // 2, host, UseServer(owner)),
            (SECOND // 2, guest, UseServer(other)), (SECOND, host, Create(LATE)), (3 * SECOND // 2, guest, Join(LATE)),
        ]  # fmt: skip
        begins_us = 5 * SECOND // 2
        slow = SetLinks((LinkId(owner, other),), LinkPatch(delay=Span(self.lease_us // 2, self.lease_us)))
        says = [(begins_us + self.lease_us // 20 * nth, host, Say("meanwhile")) for nth in range(6)]
        return [*meets, (begins_us, NETWORK, slow), *says, (begins_us + self.lease_us // 5, owner, HandOver())]

    def cut_off(self) -> list[Planned]:
        """A server has no bucket for longer than its lease, and its clients go on talking."""
        server = self.server()
        gone = Cut((LinkId(server, BUCKET), LinkId(BUCKET, server)), 3 * self.lease_us)
        return [(0, NETWORK, gone), *((self.lease_us // 4 * nth, *self._says()) for nth in range(12))]

    def _says(self) -> tuple[str, Action]:
        return self.dice.one_of(self.users), Say("meanwhile")

    def _loss_ppm(self) -> int:
        return self.dice.one_of((0, 1, 10, 30)) * PPM // 100


DRAWS: tuple[Callable[[_Drawer], tuple[str, Action]], ...] = (
    _Drawer.hand_over, _Drawer.hand_over, _Drawer.stop, _Drawer.crash, _Drawer.crash, _Drawer.pause, _Drawer.drift,
    _Drawer.cut, _Drawer.cut, _Drawer.reset, _Drawer.trouble, _Drawer.lose_bucket, _Drawer.go_elsewhere,
)  # fmt: skip


STORIES: tuple[Callable[[_Drawer], list[Planned]], ...] = (_Drawer.late_output, _Drawer.cut_off)


def with_servers(scenario: Scenario, dice: Dice, number: int | None, *, heals: bool) -> Scenario:
    """The scenario with several servers, or as it is. `number` None: it is drawn whether."""
    if number is None:
        if not dice.chance(PERCENT):
            return scenario
        number = dice.between(2, len(NAMES))
    if number < 2:
        return scenario
    servers = NAMES[:number]
    lease_us = dice.one_of((2, 3, 5)) * SECOND
    users = tuple(replace(user, server=dice.one_of(servers)) for user in scenario.users)
    at_server = {user.id: user.server for user in users}
    drawer = _Drawer(dice, servers, lease_us, tuple(at_server))
    steps = [_moved(step, dice, at_server, servers) for step in scenario.script]
    moments = [step.when.at_us for step in steps if isinstance(step.when, At)]
    last_us = max(moments)
    steps += _faults(drawer, last_us)
    last_us = max(last_us, *(step.when.at_us for step in steps if isinstance(step.when, At)))
    if heals:  # whoever is down comes back before everybody speaks once more
        steps += [_step(last_us, each, Start()) for each in (*servers, BUCKET)]
    steps.sort(key=lambda step: step.when.at_us if isinstance(step.when, At) else 0)
    return replace(
        scenario, servers=servers, lease_us=lease_us, users=users, script=numbered(steps),
        until_us=(scenario.until_us or 0) + 4 * lease_us,
        network=replace(scenario.network, links=scenario.network.links + _calm(servers)),
    )  # fmt: skip


def _faults(drawer: _Drawer, last_us: int) -> list[Step]:
    dice = drawer.dice
    draws = [draw for draw in DRAWS if dice.chance(60)] or list(DRAWS)
    steps = [
        _step(dice.below(max(last_us // MS, 1)) * MS, *dice.one_of(draws)(drawer))
        for _ in range(dice.between(1, STEPS_MAX))
    ]
    if dice.chance(50):
        begins_us = dice.between(last_us // MS // 4, last_us // MS) * MS
        steps += [_step(begins_us + after, actor, act) for after, actor, act in dice.one_of(STORIES)(drawer)]
    return steps


def _step(at_us: int, actor: str, action: Action) -> Step:
    return Step("", 0, actor, action, At(at_us), NOWHERE)


def _calm(servers: tuple[str, ...]) -> tuple[LinkRule, ...]:
    """Servers stand close to each other and to the bucket, whatever the links of users are like."""
    ends = (*servers, BUCKET)
    near = LinkPatch(delay=Span(MS, 3 * MS), loss=Loss(0))
    return tuple(LinkRule(LinkId(one, other), near, NOWHERE) for one in ends for other in ends if one != other)


def _moved(step: Step, dice: Dice, at_server: dict[str, str], servers: tuple[str, ...]) -> Step:
    """The step with a server of the cluster in place of the one."""
    if step.actor == SERVER:
        return replace(step, actor=dice.one_of(servers))
    action: Any = step.action
    if not getattr(action, "links", None):
        return step
    return replace(
        step, action=replace(action, links=tuple(_moved_link(each, at_server, servers) for each in action.links))
    )


def _moved_link(link: LinkId, at_server: dict[str, str], servers: tuple[str, ...]) -> LinkId:
    def end(this: str, other: str) -> str:
        return at_server.get(other, servers[0]) if this == SERVER else this

    return LinkId(end(link.source, link.target), end(link.target, link.source))
