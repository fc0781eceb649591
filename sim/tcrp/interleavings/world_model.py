"""The world as a model for the explorer: what its processes tell each other, and what each says at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import asdict

from tcrp.engine.server import ServerEngine
from tcrp.explore.model import Model
from tcrp.interleavings.parts import Flight, Party, ServerPart, content_number
from tcrp.interleavings.program import Program
from tcrp.interleavings.server_part import Input, Outcome, Seen
from tcrp.interleavings.steps import BROKEN, State
from tcrp.interleavings.symmetry import Order
from tcrp.interleavings.world import World
from tcrp.sim.hosts.server import EngineFactory
from tcrp.spec.names import Property

MASK = (1 << 64) - 1


class Notes(NamedTuple):
    """What the engines have shown in one process: steps and refusals, texts and notices on screens, what was judged."""

    seen: frozenset[Seen]
    shown: frozenset[tuple[str, str]]
    judged: frozenset[Property]
    calls: int


class Packed(NamedTuple):
    """States for another process, with the parts that their numbers stand for."""

    states: list[State]
    servers: dict[int, ServerPart]
    parties: list[dict[int, Party]]
    flights: dict[int, Flight]


class Learned(NamedTuple):
    """What one process has numbered and found out by calling engines, for the others."""

    servers: dict[int, ServerPart]
    parties: list[dict[int, Party]]
    flights: dict[int, Flight]
    calls: list[tuple[int, Input, Outcome]]
    renamed: list[tuple[tuple[int, Order], int]]


def model_of(world: World) -> Model[State]:
    """The world as a model."""
    exchange = Exchange(world)
    return Model(
        name=_name(world),
        initial=(world.start(),),
        successors=world.successors,
        fingerprint=lambda state: hash(state) & MASK,
        always={"holds": lambda state: state[0] != BROKEN},
        representative=world.symmetry.representative if world.is_symmetric else None,
        pack=exchange.pack,
        unpack=exchange.unpack,
        notes=lambda: notes_of(world),
        near=lambda state: state[1],  # the server: nearly all calls are calls of its engine
        learned=exchange.learned,
        learn=exchange.learn,
        intern=exchange.intern,
    )


def _name(world: World) -> str:
    """Its claim and bounds for people, and a number of all that makes it differ from others."""
    program = world.program
    bounds = ", ".join(f"{word} {value}" for word, value in asdict(world.bounds).items() if value)
    number = content_number((program.steps, world.bounds, world.is_symmetric, world.takes_alone))
    return f"{program.scenario.claim} ({bounds}; {number:x})"


def notes_of(world: World) -> Notes:
    """What the engines have shown in this process."""
    judged = {property for property, times in world.server.judged.items() if times}
    return Notes(frozenset(world.server.seen), frozenset(world.known.shown), frozenset(judged), world.calls)


class Exchange:
    """Gives other processes what is known here, and takes over what they give."""

    def __init__(self, world: World) -> None:
        self._server = world.server
        self._clients = world.clients
        self._known = world.known
        self._symmetry = world.symmetry
        self._parties_end = 2 + len(world.users)

    def pack(self, states: Sequence[State]) -> Packed:
        """States, and the parts that their numbers stand for."""
        end, servers, flights = self._parties_end, self._server.numbers.of, self._known.flights.of
        parties = [side.numbers.of for side in self._clients]
        return Packed(
            list(states),
            {number: servers[number] for number in {each[1] for each in states}},
            [
                {number: known[number] for number in {each[2 + at] for each in states}}
                for at, known in enumerate(parties)
            ],
            {number: flights[number] for number in {number for each in states for number in each[end:]}},
        )

    def unpack(self, packed: Packed) -> list[State]:
        """The states, whose numbers mean the same here from now on."""
        self._learn_parts(packed.servers, packed.parties, packed.flights)
        return self.intern(packed.states)

    def intern(self, states: Sequence[State]) -> list[State]:
        """Equal states, with the numbers that are known here already."""
        end, servers, flights = self._parties_end, self._server.numbers.interned, self._known.flights.interned
        parties = [side.numbers.interned for side in self._clients]
        return [
            (
                state[0],
                servers[state[1]],
                *[known[number] for known, number in zip(parties, state[2:end], strict=True)],
                *[flights[number] for number in state[end:]],
            )
            if state[0] != BROKEN
            else state
            for state in states
        ]

    def learned(self) -> Learned | None:
        """The parts that were numbered and the calls of the server that were made since this was last asked, if any."""
        side, symmetry = self._server, self._symmetry
        learned = Learned(
            side.numbers.take_new(),
            [each.numbers.take_new() for each in self._clients],
            self._known.flights.take_new(),
            side.called,
            symmetry.renamed,
        )
        side.called, symmetry.renamed = [], []
        return learned if any((*learned.parties, *learned._replace(parties=[]))) else None

    def learn(self, learned: Learned) -> None:
        """Take over what another process knows."""
        self._learn_parts(learned.servers, learned.parties, learned.flights)
        interned = self._server.numbers.interned
        self._server.told.update(
            {(interned[number], given): to._replace(server=interned[to.server]) for number, given, to in learned.calls}
        )
        self._symmetry.learn([((interned[number], order), interned[to]) for (number, order), to in learned.renamed])

    def _learn_parts(
        self, servers: dict[int, ServerPart], parties: list[dict[int, Party]], flights: dict[int, Flight]
    ) -> None:
        for number, server in servers.items():
            self._server.numbers.learn(number, server)
        for side, known in zip(self._clients, parties, strict=True):
            for number, party in known.items():
                side.numbers.learn(number, party)
        for number, flight in flights.items():
            self._known.learn_flight(number, flight)


class MakeModel:
    """Makes the model, once in each process; there `world` is what it is made of."""

    def __init__(self, program: Program, make_engine: EngineFactory = ServerEngine) -> None:
        self._program = program
        self._make_engine = make_engine
        self.world: World | None = None

    def __call__(self) -> Model[State]:
        self.world = World(self._program, make_engine=self._make_engine)
        return model_of(self.world)

    def __getstate__(self) -> tuple[Program, EngineFactory]:
        return self._program, self._make_engine

    def __setstate__(self, state: tuple[Program, EngineFactory]) -> None:
        self._program, self._make_engine = state
        self.world = None
