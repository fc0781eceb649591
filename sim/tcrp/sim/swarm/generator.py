"""Generates random scenarios: the users, the network, and a script of steps. One seed gives one scenario.

Each scenario first draws its own knobs, then its steps by them. If all scenarios drew from the same mix,
none would reach the corner cases (swarm testing: Groce and others, 2012). What is drawn, and how often, is
listed in `actions`, `environment` and `requests`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from msgspec import structs

from tcrp.sim.scenario.model import (
    ORDINARY,
    Abandon,
    Action,
    At,
    Crash,
    Create,
    Cut,
    Heal,
    Hold,
    Join,
    LinkId,
    Listener,
    NetworkSettings,
    Place,
    Release,
    Say,
    Scenario,
    SetLinks,
    Shutdown,
    Step,
    Stream,
    User,
)
from tcrp.sim.scenario.steps import numbered
from tcrp.sim.swarm.actions import (
    ALWAYS,
    MALLORY,
    MIXES,
    NETWORK,
    Drawn,
    Scene,
    ask_for_the_rooms,
    guess_the_password,
    use_listener,
)
from tcrp.sim.swarm.clusters import with_servers
from tcrp.sim.swarm.dice import Dice
from tcrp.sim.swarm.environment import ADDRESSES, LONG_NAMES, MS, SECOND, draw_limits, draw_link_settings
from tcrp.sim.swarm.listeners import draw_listeners, with_listeners
from tcrp.sim.swarm.requests import draw_request
from tcrp.spec import dialects

Planned = tuple[int, Drawn]  # at_us and the step

NOWHERE = Place(0, 0)
NAMES = ("ann", "bob", "cem", "dee", "eve", "fay", "gil")
ROOMS = ("lobby", "attic", "den", "a,b", "長い部屋")
LISTING = next(name for name in dialects.NAMES if dialects.dialect(name).lists)
DIALECTS = tuple(name for name in dialects.NAMES if name != LISTING)
STEPS_MAX = 1000
HORIZON_US_MIN = 1000
HEAL_AFTER_US = SECOND
"""In most scenarios the network heals this long after the last step; a second later every user speaks once more."""
DRAIN_US = 30 * SECOND
"""How long a scenario goes on after its last step, so that deadlines can pass."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """Settings of the generator; a knob that is None is drawn. `heals` appends steps that end all network faults."""

    users: int | None = None
    steps: int | None = None
    horizon_us: int | None = None
    faults_of_users: bool | None = None
    faults_of_server: bool | None = None
    faults_of_network: bool | None = None
    attackers: bool | None = None
    heals: bool | None = None
    servers: int | None = None


class Generator:
    """Generates one scenario."""

    def __init__(self, seed: int, knobs: Knobs) -> None:
        # The key is part of every seed: another one would give other scenarios.
        self._dice = dice = Dice("story", seed)
        self._seed = seed
        self._heals = knobs.heals
        self._servers = knobs.servers
        self._steps = knobs.steps or dice.one_of((5, 10, 20, 40))
        self._horizon_us = knobs.horizon_us or dice.one_of((3, 10, 30, 60)) * SECOND
        self._lists = dice.chance(8)  # a server of the one dialect that can list its rooms
        self._only = LISTING if self._lists else dice.one_of(DIALECTS) if dice.chance(8) else None
        has_passwords = dice.chance(25)
        addresses = ADDRESSES[0] if dice.chance(70) else dice.one_of(ADDRESSES)
        self._scene = Scene(
            dice,
            users=self._users(knobs.users, addresses),
            rooms=ROOMS[: dice.between(1, 3)] if dice.chance(80) else tuple(reversed(ROOMS)),
            addresses=addresses,
            limits=draw_limits(dice, has_passwords=has_passwords),
            has_passwords=has_passwords,
        )
        # Dice of their own: a scenario with one listener is the same with and without them.
        self._listeners = draw_listeners(Dice("listeners", seed)) if self._only is None else (Listener(),)
        if len(self._listeners) > 1:
            users = with_listeners(Dice("users of listeners", seed), self._scene.users, self._listeners)
            self._scene = replace(self._scene, users=users, listeners=self._listeners)
        self._has_attacker = False
        self._draws: list[Callable[[Scene], Drawn]] = [*ALWAYS]
        if self._lists:
            self._draws.append(ask_for_the_rooms)
        if self._scene.listeners:
            self._draws.append(use_listener)
        if has_passwords:
            self._draws += (guess_the_password, guess_the_password)
        for mix in MIXES:
            knob: bool | None = getattr(knobs, mix.knob)
            if dice.chance(mix.percent) if knob is None else knob:
                # Not all of them in every scenario: one fault may hide another.
                chosen = [draw for draw in mix.draws if knob or dice.chance(60)]
                self._draws += chosen
                self._has_attacker |= mix.knob == "attackers" and bool(chosen)

    # --- users -----------------------------------------------------------------------------------

    def _users(self, number: int | None, addresses: tuple[str, ...]) -> tuple[User, ...]:
        dice = self._dice
        speaks_all = dice.chance(15)  # one user for each dialect, all in one room
        names = NAMES[: number or (len(DIALECTS) if speaks_all else dice.between(2, 6))]
        users = [
            User(
                id=id,
                name=self._name(id),
                dialect=self._dialect(DIALECTS[number] if speaks_all else None),
                address=dice.one_of(addresses) if dice.chance(30) else None,
                keeps_alive=dice.chance(25),
            )
            for number, id in enumerate(names)
        ]
        if dice.chance(25):
            users[-1] = self._twin(users[0], users[-1])
        return tuple(users)

    def _name(self, id: str) -> str:
        dice = self._dice
        if dice.chance(4):
            return dice.one_of(LONG_NAMES)
        return dice.one_of(NAMES[:3]) if dice.chance(20) else id

    def _dialect(self, given: str | None) -> str:
        if self._only is not None and self._dice.chance(90):
            return self._only  # the others are not understood
        return given or (self._dice.one_of(DIALECTS) if self._dice.chance(70) else "json")

    def _twin(self, user: User, other: User) -> User:
        """A user who takes over another's name: from the same address, in the same dialect or in another."""
        dialect = user.dialect if self._dice.chance(50) else other.dialect
        return structs.replace(other, name=user.name, address=user.address or "10.0.0.1", dialect=dialect)

    # --- steps -----------------------------------------------------------------------------------

    def scenario(self) -> Scenario:
        """The generated scenario."""
        dice, scene = self._dice, self._scene
        steps = self._opening()
        while len(steps) < self._steps:
            planned = self._moment(), dice.one_of(self._draws)(scene)
            steps += [planned, *self._follow_up(*planned)]
        steps.sort(key=_moment_of)
        heals = dice.chance(70) if self._heals is None else self._heals
        if heals:
            steps += self._heal_network(steps[-1][0] + HEAL_AFTER_US)
        script = numbered(
            Step("", 0, actor, action, At(at_us, every_us, times), NOWHERE)
            for at_us, (actor, action, every_us, times) in steps
        )
        attackers = (User(id=MALLORY, name=MALLORY, attacker=True),) if self._has_attacker else ()
        drawn = Scenario(
            path=f"swarm-{self._seed}.yaml",
            claim=f"every property holds in swarm scenario {self._seed}",
            seed=dice.below(1 << 16),
            until_us=max(at_us for at_us, _ in steps) + DRAIN_US + scene.limits.idle_timeout // 10,
            limits=scene.limits,
            listeners=(Listener(dialects=(self._only,)),) if self._only else self._listeners,
            users=scene.users + attackers,
            network=NetworkSettings(draw_link_settings(dice) if dice.chance(70) else ORDINARY),
            script=script,
        )
        return with_servers(drawn, Dice("servers", self._seed), self._servers, heals=heals)

    def _opening(self) -> list[Planned]:
        """One user creates a room; in most scenarios most others join it, for a room of one tests little."""
        dice, scene = self._dice, self._scene
        password, first = scene.password(), scene.rooms[0]
        steps: list[Planned] = [(0, Drawn(scene.users[0].id, Create(first, password)))]
        if dice.chance(75):
            room = Join(first, password)
            for user in scene.users[1:]:
                if dice.chance(80):
                    steps.append((dice.between(50, 2000) * MS, Drawn(user.id, room)))
        return steps[: self._steps]

    def _heal_network(self, at_us: int) -> list[Planned]:
        """All network faults end and every user speaks: from here on no session may hang."""
        everywhere = (LinkId("all", "all"),)
        ends: tuple[Action, ...] = (Heal(everywhere), Release(everywhere), SetLinks(everywhere, ORDINARY.as_patch()))
        steps: list[Planned] = [(at_us, Drawn(NETWORK, end)) for end in ends]
        return steps + [(at_us + SECOND, Drawn(user.id, Say("still here"))) for user in self._scene.users]

    def _moment(self) -> int:
        """A time for a step: mostly uniform, sometimes one that many steps share, so that they collide."""
        dice = self._dice
        if dice.chance(25):
            return dice.one_of((0, 500, 1000, 1001, 1500, 2000)) * MS
        return dice.below(self._horizon_us // MS) * MS

    def _follow_up(self, at_us: int, drawn: Drawn) -> list[Planned]:
        """What undoes a hold or a cut without an end; who comes back with its token; who asks a stopping server."""
        dice, scene = self._dice, self._scene
        later_us = at_us + dice.between(1, 5000) * MS
        match drawn.action:
            case Hold(links):
                return [(later_us, Drawn(NETWORK, Release(links)))]
            case Cut(links, None):
                return [(later_us, Drawn(NETWORK, Heal(links)))]
            case Crash(None) if dice.chance(60):
                return self._come_back(drawn.actor, at_us, later_us)
            case Shutdown():
                request = draw_request(dice, scene.room(), scene.limits.request_bytes_max)
                return [(max(at_us + dice.between(-50, 500) * MS, 0), Drawn(scene.user(), Stream(request)))]
            case _:
                return []

    def _come_back(self, user: str, crashed_us: int, later_us: int) -> list[Planned]:
        """A user who has crashed asks with its token: for good, in vain, or again and again, more often than it may."""
        dice, room = self._dice, self._scene.rooms[0]
        if dice.chance(20):
            again = Drawn(user, Crash(), SECOND, 5)
            return [
                (crashed_us + SECOND, again),
                (crashed_us + SECOND // 2, Drawn(user, Join(room, resume=user), SECOND, 6)),
            ]
        back = Create(room, resume=user) if dice.chance(20) else Join(room, resume=user)
        if dice.chance(25):
            steps: list[Planned] = [(later_us - 1, Drawn(user, Abandon("accepted", back)))]
            return [*steps, (later_us + SECOND, Drawn(user, back))]
        return [(later_us, Drawn(user, back))]


def _moment_of(planned: Planned) -> int:
    return planned[0]


def generate(seed: int, knobs: Knobs = Knobs()) -> Scenario:
    """The random scenario of a seed."""
    return Generator(seed, knobs).scenario()
