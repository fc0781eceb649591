"""What users want to do, without times: each user's own steps in their order, or what a default says.

From a script only the order of each user's own steps is kept: when they are taken is what is explored.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from tcrp.engine.client import ClientState
from tcrp.interleavings.client_part import Intent
from tcrp.interleavings.parts import Party
from tcrp.sim.scenario.model import At, Create, Explore, Join, KeepAlive, Leave, Say, Scenario, User
from tcrp.sim.scenario.verbs import filled, verb_of
from tcrp.spec.limits import Takeover
from tcrp.spec.names import HandshakeEvent, SessionEvent
from tcrp.spec.table import HANDSHAKE, SESSION

HOST, GUESTS = "alice", ("bob", "eva", "kim", "lea", "max", "tom", "zoe")  # of the same length: see symmetry.py
ATTACKER = "mallory"
ROOM = "lobby"
STEPS_MAX = 100


class NotExplored(Exception):
    """A scenario that the explorer does not know how to explore. The message says what of it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that a user may do next. `step` is how far in the program the user is then."""

    intent: Intent
    step: int
    is_text: bool = False  # one of the texts that the bounds allow


@dataclass(frozen=True, slots=True)
class Program:
    """The scenario with all of its users, and what each wants; an empty tuple stands for the default."""

    scenario: Scenario
    bounds: Explore
    steps: tuple[tuple[Intent, ...], ...]

    @property
    def guests(self) -> tuple[int, ...]:
        """The places of users who want the same."""
        return () if self.scenario.script else tuple(range(1, self.bounds.users))

    def requests(self, at: int) -> tuple[Create | Join, ...]:
        """What the user asks the server for."""
        asked = [each for each in self.steps[at] if isinstance(each, Create | Join)]
        return tuple(dict.fromkeys(asked))

    def wishes(self, at: int, party: Party, text: str) -> list[Wish]:
        """What the user may do now. `text` is the next one to be said; empty: none is."""
        steps, client = self.steps[at], party.client
        if self.scenario.script:
            next_step = steps[party.step] if party.step < len(steps) else None
            may = next_step is not None and is_possible(next_step, client)
            return [Wish(next_step, party.step + 1)] if may and next_step is not None else []
        if party.step == 0 and steps:
            return [Wish(steps[0], 1)]
        wishes = []
        if client is not None and SESSION.takes(client.session, SessionEvent.SPOKE):
            if text:
                wishes.append(Wish(Say(text), 1, is_text=True))
            wishes.append(Wish(Leave(), 1))
        return wishes

    def is_done(self, at: int, party: Party) -> bool:
        """Whether the user will never ask for anything again."""
        if not self.scenario.script:
            return party.step > 0 or not self.steps[at]
        return not any(isinstance(each, Create | Join) for each in self.steps[at][party.step :])


def is_possible(intent: Intent, client: ClientState | None) -> bool:
    """Whether a user can do that now. What is not possible waits; it may never become so."""
    if isinstance(intent, Create | Join):
        return client is None or not (
            HANDSHAKE.takes(client.handshake, HandshakeEvent.ABANDONED)
            or SESSION.takes(client.session, SessionEvent.LEFT)
        )
    event = SessionEvent.LEFT if isinstance(intent, Leave) else SessionEvent.SPOKE
    return client is not None and SESSION.takes(client.session, event)


def program_of(scenario: Scenario) -> Program:
    """What is explored of the scenario. Raises `NotExplored`."""
    bounds = scenario.explore or Explore()
    if scenario.servers:
        raise NotExplored("servers: several share their rooms by a bucket and leases, which are not explored")
    if scenario.limits.takeover is Takeover.SAME_ADDRESS:
        raise NotExplored("takeover: same_address depends on how long a silence was, which is not explored")
    users = list(scenario.users)
    if any(each.keeps_alive for each in users):
        raise NotExplored("users with keeps_alive speak for ever, and so does what follows; they are not explored")
    steps: list[tuple[Intent, ...]]
    if scenario.script:
        steps = [_steps_of(scenario, user) for user in users or [User("", "")]]
    else:
        if users:
            raise NotExplored("users: without a script the users are alice, bob, … ; their number stands in explore:")
        users = [User(name, name) for name in (HOST, *GUESTS[: bounds.users - 1])]
        steps = [(Create(ROOM),), *((Join(ROOM),) for _ in users[1:])]
    if bounds.attacker and not any(each.attacker for each in users):
        users.append(User(ATTACKER, ATTACKER, attacker=True))
        steps.append(())
    texts = bounds.texts if not scenario.script else max(sum(isinstance(each, Say) for each in own) for own in steps)
    if texts >= scenario.limits.texts_per_second_max:
        raise NotExplored(f"{texts} texts reach texts_per_second_max, and how fast texts come is not explored")
    whole = replace(scenario, users=tuple(users), expect=())
    return Program(whole, bounds, tuple(steps))


def _steps_of(scenario: Scenario, user: User) -> tuple[Intent, ...]:
    steps: list[Intent] = []
    for step in scenario.script:
        for number in range(1, (step.when.times if isinstance(step.when, At) else 1) + 1):
            action = filled(step.action, number)
            if not isinstance(action, Create | Join | Say | KeepAlive | Leave):
                where = f"line {step.place.line}: {step.actor}'s {verb_of(action).word}"
                raise NotExplored(f"{where} is not explored; drops, duplicates and crashes stand in explore:")
            if isinstance(action, Create | Join) and action.resume is not None:
                raise NotExplored(f"line {step.place.line}: resume is not explored")
            if step.actor == user.id:
                steps.append(action)
    if len(steps) > STEPS_MAX:
        raise NotExplored(f"{user.id} takes {len(steps)} steps; at most {STEPS_MAX} are explored")
    return tuple(steps)
