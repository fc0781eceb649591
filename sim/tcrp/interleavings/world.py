"""The chat as a model for the explorer: every order in which packets, deadlines, users and faults can come.

A state is a tuple of numbers: what is left of the budgets, the server, each user, and the datagrams under way in order.
What a part makes of an input is asked of the engines once and looked up from then on; so most steps are look-ups.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from tcrp.engine.server import ServerEngine
from tcrp.explore.model import Model
from tcrp.interleavings.client_part import ClientSide, Reaction
from tcrp.interleavings.moments import RANKS, Due, Pace, client_due, server_dues
from tcrp.interleavings.parts import Broken, Flight, Numbers, Party, ServerPart
from tcrp.interleavings.program import Program
from tcrp.interleavings.server_part import STREAMS, Input, Outcome, Seen, ServerSide, token_of
from tcrp.interleavings.symmetry import Order, Symmetry
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.run import Run
from tcrp.spec.names import (
    Deadline,
    HandshakeEvent,
    PacketKind,
    Property,
    RoomState,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import HANDSHAKE, SESSION

State = tuple[int, ...]
MASK = (1 << 64) - 1
BROKEN = -1  # in place of the budgets: what follows in the state says which property does not hold
DROPS, DUPLICATES, RACES, CRASHES, TEXTS, ATTACKS = (1 << 4 * at for at in range(6))  # what one of each is in a budget
ATTACKS_MAX = 2
IN_FLIGHT = -1  # the rank of packets under way: they come before every deadline
NOTHING = 9  # the rank of no deadline at all
ALL_RACES, ALL_CRASHES, ALL_ATTACKS = 15 * RACES, 15 * CRASHES, 15 * ATTACKS
FORGED = "forged"


class Step(NamedTuple):
    """What happens between two states. `what`: a datagram's number, a stream, a deadline or a wish."""

    kind: str
    who: int
    what: Any
    is_race: bool = False


class Move(NamedTuple):
    """A step and what it leads to: the number of the part that takes it, and what is sent."""

    step: Step
    to: int
    sent: State = ()
    broken: int = 0  # the number of a property that does not hold
    pieces: tuple[tuple[str, PacketKind | None, bytes], ...] = ()  # for streams
    if_lost: int = 0  # in place of `to`, where what is sent is lost


DUE = 0  # in place of a datagram's number
CRASH, END = Step("crash", -1, None), Step("end", -1, None)


@dataclass(slots=True)
class PartyView:
    """What the world has to know of a user's state, and what the user may do by then."""

    ups: tuple[tuple[str, PacketKind], ...]
    downs: tuple[Move, ...]
    due: Step | None
    rank: int
    token: bytes
    room: str
    waits: bool
    in_room: bool
    is_over: bool  # its session has ended
    is_done: bool  # it will never ask for anything again
    is_unheard: bool
    handshake: str  # the stream on which a handshake is under way
    acts: dict[int, tuple[Move, ...]]  # by how many texts are left
    local_up: str = ""  # streams of which the next piece can be read at once
    local_up_when_calm: str = ""
    local_down: Move | None = None


@dataclass(slots=True)
class ServerView:
    """What may come by time alone in a state of the server, and what it makes of datagrams and pieces."""

    dues: tuple[tuple[Step, int], ...]  # and their ranks
    rank: int
    tokens: frozenset[bytes]
    come: dict[Step, Move]
    heard: dict[int, Move]
    read: dict[tuple[int, int, str], tuple[Move, int]]  # by user, its state and the stream; and its state then


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
    """What one process has found out by calling engines, for the others."""

    servers: dict[int, ServerPart]
    calls: list[tuple[int, Input, Outcome]]
    renamed: list[tuple[tuple[int, Order], int]]


class World:
    """All states of one program. Not for several threads; each process has its own."""

    def __init__(
        self,
        program: Program,
        *,
        make_engine: EngineFactory = ServerEngine,
        leave_out: Iterable[Property] = (),
        is_symmetric: bool = True,
        takes_alone: bool = True,
    ) -> None:
        self.program = program
        self.bounds = program.bounds
        scenario = program.scenario
        self.pace = Pace(scenario.limits, self.bounds.repeats_max)
        run = Run(replace(scenario, script=()))
        self.users = list(run.hosts.users.values())
        left_out = frozenset(leave_out) | {Property(each.name) for each in scenario.leave_out}
        self.server = ServerSide(run, self.pace, make_engine, left_out)
        self.clients = [ClientSide(at, user, program.requests(at), self.pace) for at, user in enumerate(self.users)]
        self.flights: Numbers[Flight] = Numbers()
        self.broken: Numbers[Broken] = Numbers()
        self.shown: set[tuple[str, str]] = set()
        self._attackers = [at for at, user in enumerate(scenario.users) if user.attacker]
        self._count = len(self.users)
        self._is_symmetric = is_symmetric and len(program.guests) > 1
        self._takes_alone = takes_alone  # steps that the others can wait for
        self._parties_end = 2 + self._count
        streams = ((f"{user.id}#{number}", at) for at, user in enumerate(self.users) for number in STREAMS)
        self._holders: dict[Hashable, int] = {name: at for each, at in streams for name in (each, token_of(each))}
        # What was asked before.
        self._views: list[dict[int, PartyView]] = [{} for _ in self.users]
        self._server_views: dict[int, ServerView] = {}
        self._told: list[dict[tuple[int, int], Move]] = [{} for _ in self.users]
        self._piped: list[dict[tuple[int, Any], int]] = [{} for _ in self.users]
        self._dead: dict[tuple[int, int], bool] = {}
        self._goes_to: dict[int, int] = {}  # of each datagram the user to whom it goes; -1: the server

        self._symmetry = Symmetry(
            self.users, program.guests, self.pace, self.server.numbers, [each.numbers for each in self.clients],
            self._number_of, self.flights, self.broken,
        )  # fmt: skip

    @property
    def calls(self) -> int:
        """How often an engine was called."""
        return self.server.calls + sum(each.calls for each in self.clients)

    def model(self) -> Model[State]:
        """The model for the explorer."""
        return Model(
            name=repr(
                (self.program.scenario.claim, self.bounds, self.program.steps, self._is_symmetric, self._takes_alone)
            ),
            initial=(self.start(),),
            successors=self.successors,
            fingerprint=lambda state: hash(state) & MASK,
            always={"holds": lambda state: state[0] != BROKEN},
            representative=self._symmetry.representative if self._is_symmetric else None,
            pack=self._pack,
            unpack=self._unpack,
            notes=self.notes,
            near=lambda state: state[1],
            learned=self._learned,
            learn=self._learn,
        )

    def notes(self) -> Notes:
        """What the engines have shown in this process."""
        judged = {property for property, times in self.server.judged.items() if times}
        return Notes(frozenset(self.server.seen), frozenset(self.shown), frozenset(judged), self.calls)

    def _pack(self, states: Sequence[State]) -> Packed:
        """States, and the parts that their numbers stand for."""
        end, servers, flights = self._parties_end, self.server.numbers.of, self.flights.of
        parties = [side.numbers.of for side in self.clients]
        return Packed(
            list(states),
            {number: servers[number] for number in {each[1] for each in states}},
            [
                {number: known[number] for number in {each[2 + at] for each in states}}
                for at, known in enumerate(parties)
            ],
            {number: flights[number] for number in {number for each in states for number in each[end:]}},
        )

    def _unpack(self, packed: Packed) -> list[State]:
        """The states, whose numbers mean the same here from now on."""
        for number, server in packed.servers.items():
            self.server.numbers.learn(number, server)
        for side, known in zip(self.clients, packed.parties, strict=True):
            for number, party in known.items():
                side.numbers.learn(number, party)
        for flight in packed.flights.values():
            self._number_of(flight)
        return packed.states

    def _learned(self) -> Learned | None:
        """What is known of the server that was not when this was last asked."""
        side, renamed, of = self.server, self._symmetry.renamed, self.server.numbers.of
        learned = Learned({number: of[number] for number in side.numbers.new}, side.called, renamed)
        side.numbers.new, side.called, self._symmetry.renamed = [], [], []
        return learned if any(learned) else None

    def _learn(self, learned: Learned) -> None:
        """Take over what another process knows of the server."""
        for number, part in learned.servers.items():
            self.server.numbers.learn(number, part)
        self.server.told.update({(number, given): outcome for number, given, outcome in learned.calls})
        self._symmetry.learn(learned.renamed)

    def start(self) -> State:
        """Nothing has happened."""
        bounds = self.bounds
        budget = (
            bounds.drops * DROPS + bounds.duplicates * DUPLICATES + bounds.races * RACES + bounds.crashes * CRASHES
            + (0 if self.program.scenario.script else bounds.texts * TEXTS)
            + (ATTACKS_MAX * ATTACKS if self._attackers else 0)
        )  # fmt: skip
        return (budget, self.server.start(), *(each.start() for each in self.clients))

    def what_is_broken(self, state: State) -> Broken | None:
        """The property that does not hold on the way into this state."""
        return self.broken.of[state[1]] if state[0] == BROKEN else None

    # --- steps -------------------------------------------------------------------------------------

    def successors(self, state: State) -> list[tuple[Step, State]]:
        """Every step from a state; of steps that the others can wait for only one, if the world is reduced."""
        found: list[tuple[Step, State]] = []
        if state[0] == BROKEN or (self._takes_alone and self._take_local(state, found)):
            return found
        budget, server, end = state[0], state[1], self._parties_end
        parties, flights = state[2:end], state[end:]
        view = self._server_views.get(server) or self._server_view(server)
        views = [known.get(party) or self._view(at, party)
                 for at, (known, party) in enumerate(zip(self._views, parties, strict=True))]  # fmt: skip
        rank = IN_FLIGHT if flights else view.rank
        texts = budget // TEXTS & 15
        for at, own in enumerate(views):
            for stream, _ in own.ups:
                rank = IN_FLIGHT
                self._take_up(state, at, stream, found)
            for move in own.downs:
                rank = IN_FLIGHT
                self._take_party(state, at, move, budget, flights, found)
            if own.rank < rank:
                rank = own.rank
            acts = own.acts.get(texts)
            for move in acts if acts is not None else self._acts(at, parties[at], own, texts):
                left = budget - TEXTS if move.step.what.is_text else budget
                self._take_party(state, at, move, left, flights, found)
        last = 0
        for number in flights:
            if number != last:
                self._take_flight(state, number, found)
            last = number
        self._take_time(state, view, views, rank, found)
        if budget & ALL_CRASHES:
            reset = tuple(client.reset(party) for client, party in zip(self.clients, parties, strict=True))
            self._add(found, CRASH, budget - CRASHES, self.server.start(), reset, flights, ())
        if budget & ALL_ATTACKS:
            for at, own in enumerate(views):
                for what in (PacketKind.SAY, PacketKind.LEAVE) if own.token else ():
                    forged = self._number_of(self._forge(at, own, what))
                    self._add(
                        found, Step("attack", at, what), budget - ATTACKS, server, parties, (*flights, forged), ()
                    )
        if not found:
            broken = self._what_waits(state)
            if broken is not None:
                found.append((END, (BROKEN, self.broken.number(broken))))
        return found

    def _take_local(self, state: State, found: list[tuple[Step, State]]) -> bool:
        """Take a step that the others can wait for, if there is one: docs/explore.md says why they can."""
        budget, end = state[0], self._parties_end
        if budget & ALL_CRASHES:
            return False
        is_calm = not budget & ALL_RACES
        views = [known.get(party) or self._view(at, party)
                 for at, (known, party) in enumerate(zip(self._views, state[2:end], strict=True))]  # fmt: skip
        for at, view in enumerate(views):
            stream = view.local_up_when_calm if is_calm else view.local_up
            if stream:
                self._take_up(state, at, stream, found)
                return True
        if not is_calm:
            return False
        server = self._server_views.get(state[1]) or self._server_view(state[1])
        if server.rank == 0:
            step = server.dues[0][0]
            move = server.come.get(step) or self._come(state[1], server, step)
            self._take_server(state, move, budget, state[end:], found)
            return True
        for at, view in enumerate(views):
            if view.local_down is not None:
                self._take_party(state, at, view.local_down, budget, state[end:], found)
                return True
        for number in state[end:]:
            at = self._goes_to[number]
            if at >= 0 and views[at].in_room:
                to = self._told_move(at, state[2 + at], number).to
                if (self._views[at].get(to) or self._view(at, to)).in_room:
                    self._take_flight(state, number, found)
                    return True
        return False

    def _take_time(
        self, state: State, view: ServerView, views: list[PartyView], rank: int, found: list[tuple[Step, State]]
    ) -> None:
        """Deadlines that may come: freely where nothing quicker is to come first, else as a race."""
        budget, flights = state[0], state[self._parties_end :]
        most, may_race = min(rank, view.rank) if view.rank else 0, budget & ALL_RACES and view.rank
        for step, its in view.dues:
            if (its <= most or may_race) and not self._comes_later(step.what, views, flights):
                move = view.come.get(step) or self._come(state[1], view, step)
                if its > most:
                    move = move._replace(step=step._replace(is_race=True))
                self._take_server(state, move, budget if its <= most else budget - RACES, flights, found)
        for at, own in enumerate(views):
            if own.due is not None and (own.rank <= most or may_race):
                move = self._told[at].get((state[2 + at], DUE)) or self._client_comes(at, state[2 + at], own.due)
                if own.rank > most:
                    move = move._replace(step=own.due._replace(is_race=True))
                self._take_party(state, at, move, budget if own.rank <= most else budget - RACES, flights, found)

    def _comes_later(self, due: Due, views: list[PartyView], flights: State) -> bool:
        """Whether a client's deadline comes first: it began when the client sent what the server has heard last."""
        at = self._holders.get(due.subject)
        if at is None:
            return False
        view = views[at]
        if due.kind == Deadline.HANDSHAKE:
            return view.handshake == due.subject
        if due.kind != Deadline.IDLE or not view.in_room or view.token != due.subject or view.is_unheard:
            return False
        return not any(self._goes_to[number] < 0 and self.flights.of[number].party == at for number in flights)

    def _take_up(self, state: State, at: int, stream: str, found: list[tuple[Step, State]]) -> None:
        """The server reads the next piece of a stream."""
        view = self._server_views.get(state[1]) or self._server_view(state[1])
        party = state[2 + at]
        known = view.read.get((at, party, stream))
        if known is None:
            known = view.read[at, party, stream] = self._read(state[1], at, party, stream)
        move, then = known
        self._take_server((*state[: 2 + at], then, *state[3 + at :]), move, state[0], state[self._parties_end :], found)

    def _take_flight(self, state: State, number: int, found: list[tuple[Step, State]]) -> None:
        """A datagram arrives."""
        flights = state[self._parties_end :]
        place = flights.index(number)
        rest = flights[:place] + flights[place + 1 :]
        at = self._goes_to[number]
        if at >= 0:
            self._take_party(state, at, self._told_move(at, state[2 + at], number), state[0], rest, found)
            return
        view = self._server_views.get(state[1]) or self._server_view(state[1])
        move = view.heard.get(number) or self._hear(state[1], view, number)
        at = move.step.who
        if (self._views[at].get(state[2 + at]) or self._view(at, state[2 + at])).is_unheard:
            state = (*state[: 2 + at], self.clients[at].heard(state[2 + at]), *state[3 + at :])
        self._take_server(state, move, state[0], rest, found)

    def _take_server(
        self, state: State, move: Move, budget: int, flights: State, found: list[tuple[Step, State]]
    ) -> None:
        parties = state[2 : self._parties_end]
        if move.broken:
            found.append((move.step, (BROKEN, move.broken)))
            return
        if move.pieces:
            parties = tuple(self._pipe(at, party, move.pieces) for at, party in enumerate(parties))
        self._add(found, move.step, budget, move.to, parties, flights, move.sent)

    def _take_party(
        self, state: State, at: int, move: Move, budget: int, flights: State, found: list[tuple[Step, State]]
    ) -> None:
        if move.broken:
            found.append((move.step, (BROKEN, move.broken)))
            return
        before, after = state[2 : 2 + at], state[3 + at : self._parties_end]
        unheard = (*before, move.if_lost, *after) if move.if_lost != move.to else ()
        self._add(found, move.step, budget, state[1], (*before, move.to, *after), flights, move.sent, unheard)

    def _add(
        self, found: list[tuple[Step, State]], step: Step, budget: int, server: int, parties: State, flights: State,
        sent: State, unheard: State = (),
    ) -> None:  # fmt: skip
        """Add the states to which a step leads: one for each way in which what it sends may fare.

        `unheard` are the users' states where all that is sent is lost, if those are others.
        """
        goes_to, dead = self._goes_to, self._dead
        alive: list[int] = []
        new: list[int] = []
        for numbers, living in ((flights, alive), (sent, new)):
            for number in numbers:
                at = goes_to[number]
                other = server if at < 0 else parties[at]
                is_dead = dead.get((number, other))
                if not (self._is_dead(number, at, other) if is_dead is None else is_dead):
                    living.append(number)
        if not sent:
            alive.sort()
            found.append((step, (budget, server, *parties, *alive)))
            return
        for spent, kept in _fates(tuple(new), budget & 15, budget // DUPLICATES & 15):
            under_way = [*alive, *kept]
            under_way.sort()
            found.append((step, (budget - spent, server, *(unheard if unheard and not kept else parties), *under_way)))

    def sent_by(self, state: State, step: Step) -> State:
        """The numbers of the datagrams that a step from this state sends, in order; those that are dead among them."""
        found: list[tuple[Step, State]] = []
        self.successors(state)  # whatever may happen is known from then on
        kind, at, what, _ = step
        view = self._server_views.get(state[1]) or self._server_view(state[1])
        match kind:
            case "hear":
                return view.heard[what].sent
            case "told":
                return self._told_move(at, state[2 + at], what).sent
            case "server due":
                return view.come[Step(kind, at, what)].sent
            case "due":
                return self._told[at][state[2 + at], DUE].sent
            case "up":
                self._take_up(state, at, what, found)
                return view.read[at, state[2 + at], what][0].sent
            case "down":
                return next(each.sent for each in self._views[at][state[2 + at]].downs if each.step == step)
            case "act":
                moves = (each for some in self._views[at][state[2 + at]].acts.values() for each in some)
                return next(each.sent for each in moves if each.step == step)
            case "attack":
                return (self._number_of(self._forge(at, self._views[at][state[2 + at]], what)),)
            case _:
                return ()

    # --- what was asked before -----------------------------------------------------------------------

    def _number_of(self, flight: Flight) -> int:
        number = self.flights.number(flight)
        self._goes_to[number] = -1 if flight.is_up else flight.party
        return number

    def _server_move(self, step: Step, outcome: Outcome) -> Move:
        broken = self.broken.number(outcome.broken) if outcome.broken is not None else 0
        sent = tuple(self._number_of(each) for each in outcome.flights)
        return Move(step, outcome.server, sent, broken, outcome.pieces)

    def _party_move(self, at: int, step: Step, reaction: Reaction) -> Move:
        broken = self.broken.number(reaction.broken) if reaction.broken is not None else 0
        self.shown.update((self.users[at].id, each) for each in reaction.shown)
        sent = tuple(self._number_of(each) for each in reaction.flights)
        return Move(step, reaction.party, sent, broken, if_lost=reaction.if_lost)

    def _told_move(self, at: int, party: int, number: int) -> Move:
        move = self._told[at].get((party, number))
        if move is None:
            reaction = self.clients[at].hear(party, self.flights.of[number])
            move = self._told[at][party, number] = self._party_move(at, Step("told", at, number), reaction)
        return move

    def _hear(self, server: int, view: ServerView, number: int) -> Move:
        """A datagram arrives at the server."""
        flight = self.flights.of[number]
        outcome = self.server.take(server, Input(flight=flight))
        move = view.heard[number] = self._server_move(Step("hear", flight.party, number), outcome)
        return move

    def _come(self, server: int, view: ServerView, step: Step) -> Move:
        """A deadline of the server comes."""
        view.come[step] = move = self._server_move(step, self.server.take(server, Input(due=step.what)))
        return move

    def _client_comes(self, at: int, party: int, step: Step) -> Move:
        """A deadline of a user comes."""
        reaction = self.clients[at].come(party, step.what)
        move = self._told[at][party, DUE] = self._party_move(at, step, reaction)
        return move

    def _read(self, server: int, at: int, party: int, stream: str) -> tuple[Move, int]:
        """What the server makes of the next piece of a stream, and the user's state when it is read."""
        piece = next(each.up[0] for each in self.clients[at].numbers.of[party].pipes if each.stream == stream)
        outcome = self.server.take(server, Input(stream=stream, piece=piece))
        return self._server_move(Step("up", at, stream), outcome), self.clients[at].pipe(party, (), stream)

    def _pipe(self, at: int, party: int, pieces: tuple[tuple[str, PacketKind | None, bytes], ...]) -> int:
        """A user's state when the server has written to its streams."""
        known = self._piped[at].get((party, pieces))
        if known is None:
            own = tuple(each for each in pieces if each[0].rpartition("#")[0] == self.users[at].id)
            known = self.clients[at].pipe(party, own) if own else party
            self._piped[at][party, pieces] = known
        return known

    def _acts(self, at: int, party: int, view: PartyView, texts: int) -> tuple[Move, ...]:
        """What the user may do. `texts`: how many more may be said."""
        text = f"text {self.bounds.texts - texts + 1}" if texts else ""
        client = self.clients[at]
        moves = [
            self._party_move(at, Step("act", at, wish), client.act(party, wish.intent, wish.step))
            for wish in self.program.wishes(at, client.numbers.of[party], text)
        ]
        view.acts[texts] = tuple(moves)
        return view.acts[texts]

    def _view(self, at: int, number: int) -> PartyView:
        """What the world has to know of a user's state."""
        side = self.clients[at]
        party = side.numbers.of[number]
        client = party.client
        due = client_due(client) if client is not None else None
        ups = tuple((each.stream, each.up[0][0]) for each in party.pipes if each.up)
        downs = tuple(
            self._party_move(at, Step("down", at, each.stream), side.read(number, each.stream))
            for each in party.pipes
            if each.down
        )
        is_under_way = client is not None and HANDSHAKE.takes(client.handshake, HandshakeEvent.ABANDONED)
        opens = [stream for stream, kind in ups if kind is PacketKind.OPEN]
        closes = [stream for stream, kind in ups if kind is PacketKind.CLOSE]
        view = self._views[at][number] = PartyView(
            ups=ups,
            downs=downs,
            due=Step("due", at, due) if due is not None else None,
            rank=RANKS[due.kind] if due is not None else NOTHING,
            token=client.token if client is not None else b"",
            room=self.program.requests(at)[party.request].room if client is not None else "",
            waits=is_under_way or (client is not None and SESSION.takes(client.session, SessionEvent.LEFT)),
            in_room=client is not None and client.session is SessionState.IN_ROOM,
            is_over=client is not None and client.session is SessionState.EXPIRED,
            is_done=self.program.is_done(at, party),
            is_unheard=party.is_unheard,
            handshake=f"{self.users[at].id}#{party.attempts}" if is_under_way else "",
            acts={},
            local_up=opens[0] if opens else "",
            local_up_when_calm=(opens or closes or [""])[0],
            local_down=downs[0] if downs and not side.is_told_early else None,
        )  # fmt: skip
        return view

    def _server_view(self, number: int) -> ServerView:
        engine = self.server.numbers.of[number].engine
        dues = tuple((Step("server due", -1, each), RANKS[each.kind]) for each in server_dues(engine))
        tokens = {each.token for each in engine.sessions} | {each.token for each in engine.ended}
        rank = min((rank for _, rank in dues), default=NOTHING)
        view = self._server_views[number] = ServerView(dues, rank, frozenset(tokens), {}, {}, {})
        return view

    def _forge(self, at: int, view: PartyView, what: PacketKind) -> Flight:
        """What the attacker sends with the token of user `at`."""
        attacker, victim = self._attackers[0], self.users[at]
        words = victim.codec.leave_words
        text = FORGED if what is PacketKind.SAY or not words else victim.codec.dialect.leave_words[0]
        data = forged_datagram(view.room, view.token, victim.codec.write_text(victim.name, text))
        return Flight(True, attacker, what, data, self.users[attacker].address)

    # --- what need not be explored -------------------------------------------------------------------

    def _is_dead(self, number: int, at: int, other: int) -> bool:
        """Whether a datagram changes nothing whenever it arrives: it is as good as gone."""
        is_dead = self._is_unheard(number, other) if at < 0 else self._is_unseen(number, at, other)
        self._dead[number, other] = is_dead
        return is_dead

    def _is_unheard(self, number: int, server: int) -> bool:
        """Its token is neither held nor remembered, none is granted twice, and the server makes nothing of it."""
        flight = self.flights.of[number]
        view = self._server_views.get(server) or self._server_view(server)
        if flight.data[2 + flight.data[0] :][: flight.data[1]] in view.tokens:
            return False
        move = view.heard.get(number) or self._hear(server, view, number)
        return move.to == server and not (move.sent or move.pieces or move.broken)

    def _is_unseen(self, number: int, at: int, party: int) -> bool:
        """It changes nothing in a client that is in the room or has ended, which no later state makes matter."""
        view = self._views[at].get(party) or self._view(at, party)
        if not view.is_done:
            return False
        if not (view.in_room or view.is_over):
            return not view.waits
        move = self._told_move(at, party, number)
        return move.to == party and not (move.sent or move.broken)

    # --- the end -------------------------------------------------------------------------------------

    def _what_waits(self, state: State) -> Broken | None:
        """Nothing happens any more: whether somebody still waits for something."""
        for at, user in enumerate(self.users):
            if (self._views[at].get(state[2 + at]) or self._view(at, state[2 + at])).waits:
                return Broken(Property.NO_CLIENT_WAITS_FOR_EVER, f"{user.id} waits for what will not come")
        engine = self.server.numbers.of[state[1]].engine
        for room in engine.rooms:
            if room.state is RoomState.CLOSING:
                return Broken(Property.CLOSING_ROOMS_CLOSE, f"{room.name.decode()} is closing for ever")
        for session in engine.sessions:
            return Broken(Property.LIVE_SESSION_HAS_A_DEADLINE, f"{session.name} is silent for too long and lives")
        for handshake in engine.handshakes:
            return Broken(Property.HANDSHAKE_ENDS, f"the connection {handshake.stream} does not end")
        return None


@lru_cache(100_000)
def _fates(new: State, drops: int, duplicates: int) -> list[tuple[int, State]]:
    """How what is sent may fare: what of the budgets that takes, and what is under way then."""
    ways: dict[tuple[int, State], None] = {}
    for fates in product((1, 0, 2), repeat=len(new)):
        lost, doubled = fates.count(0), fates.count(2)
        if lost <= drops and doubled <= duplicates:
            kept = tuple(number for number, times in zip(new, fates, strict=True) for _ in range(times))
            ways[lost * DROPS + doubled * DUPLICATES, kept] = None
    return list(ways)


class MakeModel:
    """Makes the model, once in each process; there `world` is what it is made of."""

    def __init__(self, program: Program, make_engine: EngineFactory = ServerEngine) -> None:
        self._program = program
        self._make_engine = make_engine
        self.world: World | None = None

    def __call__(self) -> Model[State]:
        self.world = World(self._program, make_engine=self._make_engine)
        return self.world.model()

    def __getstate__(self) -> tuple[Program, EngineFactory]:
        return self._program, self._make_engine

    def __setstate__(self, state: tuple[Program, EngineFactory]) -> None:
        self._program, self._make_engine = state
        self.world = None
