"""The chat as a world to explore: every order in which packets, deadlines, users and faults can come.

What a part makes of an input is asked of the engines once and looked up from then on; so most steps are look-ups.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from msgspec.structs import replace

from tcrp.engine.server import ServerEngine
from tcrp.interleavings.client_part import ClientSide
from tcrp.interleavings.known_moves import KnownMoves, PartyView, ServerView
from tcrp.interleavings.moments import Due, Pace
from tcrp.interleavings.parts import Broken
from tcrp.interleavings.program import Program
from tcrp.interleavings.server_part import STREAMS, ServerSide, token_of
from tcrp.interleavings.steps import (
    ALL_ATTACKS,
    ALL_CRASHES,
    ALL_RACES,
    ATTACKS,
    ATTACKS_MAX,
    BROKEN,
    CRASH,
    CRASHES,
    DROPS,
    DUE,
    DUPLICATES,
    END,
    IN_FLIGHT,
    RACES,
    TEXTS,
    Move,
    State,
    Step,
    fates,
)
from tcrp.interleavings.symmetry import Symmetry
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.run import Run
from tcrp.spec.names import Deadline, PacketKind, Property, RoomState


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
        self._attackers = [at for at, user in enumerate(scenario.users) if user.attacker]
        self._count = len(self.users)
        self.is_symmetric = is_symmetric and len(program.guests) > 1
        self.takes_alone = takes_alone  # steps that the others can wait for
        self._parties_end = 2 + self._count
        streams = ((f"{user.id}#{number}", at) for at, user in enumerate(self.users) for number in STREAMS)
        self._holders: dict[Hashable, int] = {name: at for each, at in streams for name in (each, token_of(each))}
        known = self.known = KnownMoves(program, self.server, self.clients, self.users, self._attackers)
        # What is looked up in each step, without a way through the object.
        self._views, self._server_views, self._told = known.views, known.server_views, known.told
        self._piped, self._dead, self._goes_to = known.piped, known.dead, known.goes_to
        self.symmetry = Symmetry(
            self.users, program.guests, self.pace, self.server.numbers, [each.numbers for each in self.clients],
            known.number_of, known.flights, known.broken,
        )  # fmt: skip

    @property
    def calls(self) -> int:
        """How often an engine was called."""
        return self.server.calls + sum(each.calls for each in self.clients)

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
        return self.known.broken.of[state[1]] if state[0] == BROKEN else None

    # --- steps -------------------------------------------------------------------------------------

    def successors(self, state: State) -> list[tuple[Step, State]]:
        """Every step from a state; of steps that the others can wait for only one, if the world is reduced."""
        found: list[tuple[Step, State]] = []
        if state[0] == BROKEN or (self.takes_alone and self._take_local(state, found)):
            return found
        budget, server, end = state[0], state[1], self._parties_end
        parties, flights = state[2:end], state[end:]
        view = self._server_views.get(server) or self.known.server_view(server)
        views = [known.get(party) or self.known.view(at, party)
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
            for move in acts if acts is not None else self.known.acts(at, parties[at], own, texts):
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
                    forged = self.known.number_of(self.known.forge(at, own, what))
                    self._add(
                        found, Step("attack", at, what), budget - ATTACKS, server, parties, (*flights, forged), ()
                    )
        if not found:
            broken = self._what_waits(state)
            if broken is not None:
                found.append((END, (BROKEN, self.known.broken.number(broken))))
        return found

    def _take_local(self, state: State, found: list[tuple[Step, State]]) -> bool:
        """Take a step that the others can wait for, if there is one: docs/explore.md says why they can."""
        budget, end = state[0], self._parties_end
        if budget & ALL_CRASHES:
            return False
        is_calm = not budget & ALL_RACES
        views = [known.get(party) or self.known.view(at, party)
                 for at, (known, party) in enumerate(zip(self._views, state[2:end], strict=True))]  # fmt: skip
        for at, view in enumerate(views):
            stream = view.local_up_when_calm if is_calm else view.local_up
            if stream:
                self._take_up(state, at, stream, found)
                return True
        if not is_calm:
            return False
        server = self._server_views.get(state[1]) or self.known.server_view(state[1])
        if server.rank == 0:
            step = server.dues[0][0]
            move = server.come.get(step) or self.known.come(state[1], server, step)
            self._take_server(state, move, budget, state[end:], found)
            return True
        for at, view in enumerate(views):
            if view.local_down is not None:
                self._take_party(state, at, view.local_down, budget, state[end:], found)
                return True
        for number in state[end:]:
            at = self._goes_to[number]
            if at >= 0 and views[at].in_room:
                to = self.known.told_move(at, state[2 + at], number).to
                if (self._views[at].get(to) or self.known.view(at, to)).in_room:
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
                move = view.come.get(step) or self.known.come(state[1], view, step)
                if its > most:
                    move = move._replace(step=step._replace(is_race=True))
                self._take_server(state, move, budget if its <= most else budget - RACES, flights, found)
        for at, own in enumerate(views):
            if own.due is not None and (own.rank <= most or may_race):
                move = self._told[at].get((state[2 + at], DUE)) or self.known.client_comes(at, state[2 + at], own.due)
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
        return not any(self._goes_to[number] < 0 and self.known.flights.of[number].party == at for number in flights)

    def _take_up(self, state: State, at: int, stream: str, found: list[tuple[Step, State]]) -> None:
        """The server reads the next piece of a stream."""
        view = self._server_views.get(state[1]) or self.known.server_view(state[1])
        party = state[2 + at]
        known = view.read.get((at, party, stream))
        if known is None:
            known = view.read[at, party, stream] = self.known.read(state[1], at, party, stream)
        move, then = known
        self._take_server((*state[: 2 + at], then, *state[3 + at :]), move, state[0], state[self._parties_end :], found)

    def _take_flight(self, state: State, number: int, found: list[tuple[Step, State]]) -> None:
        """A datagram arrives."""
        flights = state[self._parties_end :]
        place = flights.index(number)
        rest = flights[:place] + flights[place + 1 :]
        at = self._goes_to[number]
        if at >= 0:
            self._take_party(state, at, self.known.told_move(at, state[2 + at], number), state[0], rest, found)
            return
        view = self._server_views.get(state[1]) or self.known.server_view(state[1])
        move = view.heard.get(number) or self.known.hear(state[1], view, number)
        at = move.step.who
        if (self._views[at].get(state[2 + at]) or self.known.view(at, state[2 + at])).is_unheard:
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
            parties = tuple(self.known.pipe(at, party, move.pieces) for at, party in enumerate(parties))
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
                if not (self.known.is_dead(number, at, other) if is_dead is None else is_dead):
                    living.append(number)
        if not sent:
            alive.sort()
            found.append((step, (budget, server, *parties, *alive)))
            return
        for spent, kept in fates(tuple(new), budget & 15, budget // DUPLICATES & 15):
            under_way = [*alive, *kept]
            under_way.sort()
            found.append((step, (budget - spent, server, *(unheard if unheard and not kept else parties), *under_way)))

    def sent_by(self, state: State, step: Step) -> State:
        """The numbers of the datagrams that a step from this state sends, in order; those that are dead among them."""
        found: list[tuple[Step, State]] = []
        self.successors(state)  # whatever may happen is known from then on
        kind, at, what, _ = step
        view = self._server_views.get(state[1]) or self.known.server_view(state[1])
        match kind:
            case "hear":
                return view.heard[what].sent
            case "told":
                return self.known.told_move(at, state[2 + at], what).sent
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
                return (self.known.number_of(self.known.forge(at, self._views[at][state[2 + at]], what)),)
            case _:
                return ()

    # --- the end -------------------------------------------------------------------------------------

    def _what_waits(self, state: State) -> Broken | None:
        """Nothing happens any more: whether somebody still waits for something."""
        for at, user in enumerate(self.users):
            if (self._views[at].get(state[2 + at]) or self.known.view(at, state[2 + at])).waits:
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
