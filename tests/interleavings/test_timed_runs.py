"""Every timed run of the simulator is a path of the world without a clock.

A run is taken event by event. After each, the states of the engines and the datagrams under way, without their moments,
have to be those of a state that the world can come to by the same event.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from planting import Planted
from tcrp.interleavings.client_part import client_of
from tcrp.interleavings.moments import ANSWER, settled
from tcrp.interleavings.parts import Flight, ServerPart
from tcrp.interleavings.program import program_of
from tcrp.interleavings.server_part import token_of
from tcrp.interleavings.steps import BROKEN, State, Step
from tcrp.interleavings.world import World
from tcrp.sim.network.packets import Packet
from tcrp.sim.run import Run
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import Property

SILENT_MAX = 3  # steps that no engine shows, between two that one does
AT_ONCE_MAX = 4  # further deadlines of the same moment
REFERENCE = frozenset((Property.MATCHES_REFERENCE,))  # it would number the tokens in the order of grants


class NamedTokens(Planted):
    """The very engine; but its tokens are called after their streams, as in the world."""

    stream = ""

    def __init__(self, config: Any, *, new_token: Any, **options: Any) -> None:
        super().__init__(config, new_token=lambda: token_of(self.stream), **options)

    def receive_stream(self, stream: Any, data: bytes, now_us: int) -> Any:
        self.stream = str(stream)
        return super().receive_stream(stream, data, now_us)


class Follower:
    """Follows a run through the world."""

    def __init__(self, scenario: Scenario) -> None:
        self.run = Run(scenario, make_engine=NamedTokens, leave_out=REFERENCE)
        self.world = World(program_of(scenario), leave_out=REFERENCE, is_symmetric=False, takes_alone=False)
        self.places: set[State] = {self.world.start()}
        self.events = 0

    def follow(self) -> None:
        """Take every event of the run. Fails at the first that the world cannot take."""
        world, until_us = self.run.world, self.run.scenario.until_us
        assert until_us is not None
        while world.events and world.events[0][0] <= until_us:
            world.step()
            shown = self._shown()
            reached = {each for each in self._nearby() if self._projected(each) == shown}
            assert reached, f"at {world.now_us} us, after {self.events} events, the world cannot follow"
            self.places, self.events = reached, self.events + 1

    def _shown(self) -> tuple[Any, ...]:
        """The states of the engines of the run, and the datagrams under way that matter."""
        world, pace = self.world, self.world.pace
        engine = self.run.server.engine
        assert engine is not None
        server = world.server.numbers.number(ServerPart(settled(engine.freeze(), pace), None))
        users = self.run.hosts.users.values()
        clients = tuple(client_of(each.engine, pace) if each.engine is not None else None for each in users)
        return server, clients, tuple(sorted(map(world.known.number_of, self._flights())))

    def _flights(self) -> Iterator[Flight]:
        names = list(self.run.hosts.users)
        for _, _, _, action, packet in self.run.world.events:
            if isinstance(packet, Packet) and action in (None, self.run.world._arrive):
                is_up = packet.target in self.run.server.udp
                at = names.index(packet.link.source if is_up else packet.link.target)
                yield Flight(is_up, at, packet.what, packet.data, packet.source if is_up else packet.target)

    def _projected(self, state: State) -> tuple[Any, ...]:
        """The same of a state of the world, with those datagrams of the run that are as good as gone there."""
        world, end = self.world, 2 + len(self.world.users)
        parties = state[2:end]
        clients = tuple(side.numbers.of[party].client for side, party in zip(world.clients, parties, strict=True))
        flights = list(state[end:])
        for number in map(world.known.number_of, self._flights()):
            at = world.known.goes_to[number]
            if world.known.is_dead(number, at, state[1] if at < 0 else parties[at]):
                flights.append(number)
        return state[1], clients, tuple(sorted(flights))

    def _nearby(self) -> Iterator[State]:
        """Where the world may be after at most one step that shows, and some before it that do not."""
        silent = set(self.places)
        newest = silent
        for _ in range(SILENT_MAX):
            newest = {to for each in newest for step, to in self._steps(each) if self._is_silent(step, each, to)}
            silent = silent | newest
        yield from silent
        moved = {(step.kind, to) for each in silent for step, to in self._steps(each)}
        yield from (to for _, to in moved)
        due = {to for kind, to in moved if kind == "server due"}
        for _ in range(AT_ONCE_MAX):  # of one moment, which the engine deals with in one call
            due = {to for each in due for step, to in self._steps(each) if step.kind == "server due"}
            yield from due

    def _steps(self, state: State) -> Iterator[tuple[Step, State]]:
        return ((step, to) for step, to in self.world.successors(state) if to[0] != BROKEN)

    def _is_silent(self, step: Step, before: State, after: State) -> bool:
        """A piece that an end has no use for any more, or time that passes until an ended token may be answered."""
        if step.kind == "server due":
            return bool(step.what.kind == ANSWER)
        return step.kind in ("up", "down") and self._projected(before)[:2] == self._projected(after)[:2]


SCRIPT = """
claim: a run of random moments, delays, losses and duplicates
seed: {seed}
server: {{idle_timeout: 20s, token_timeout: 9s}}
network: {{default: {{delay: {delay}, loss: {loss}%, duplicate: 20%}}}}
users:
  alice: {{dialect: {dialect}}}
  bob: {{dialect: {dialect}}}
explore: {{drops: 15, duplicates: 15, races: 15, repeats: 8}}
until: 60s
script:
  - {{at: 0s, alice: {{create: lobby}}}}
"""


def scenario_of(seed: int) -> Scenario:
    random = Random(seed)  # noqa: S311 (no secrets)
    text = SCRIPT.format(
        seed=seed,
        delay=random.choice(["1ms..40ms", "1ms..900ms", "300ms..3s"]),
        loss=random.choice([0, 20, 50]),
        dialect=random.choice(["json", "text", "name-port"]),
    )
    at_ms = random.randrange(1, 3000)
    text += f'  - {{at: {at_ms}ms, bob: {{join: "lobby"}}}}\n'
    for user, step in (("bob", 'say: "hi"'), ("alice", 'say: "ho"'), ("bob", "leave"), ("alice", "leave")):
        at_ms += random.randrange(100, 9000)
        if random.random() < 0.7:
            text += (
                f"  - {{at: {at_ms}ms, {user}: {{{step}}}}}\n"
                if ":" in step
                else f"  - {{at: {at_ms}ms, {user}: {step}}}\n"
            )
    return read_scenario_text(text)


@pytest.mark.parametrize("seed", range(10))
def test_a_timed_run_is_a_path_of_the_world_without_a_clock(seed: int) -> None:
    follower = Follower(scenario_of(seed))
    follower.follow()
    assert follower.events > 20
