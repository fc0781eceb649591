"""The chat as a model for the explorer: every order in which packets, deadlines, users and faults can come.

A state is a tuple of numbers: what is left of the budgets, the server, each user, and the datagrams under way in order.
What a part makes of an input is asked of the engines once and looked up from then on; so most steps are look-ups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from tcrp.engine.server import ServerEngine
from tcrp.explore.model import Model
from tcrp.interleavings.client_part import ClientSide, Reaction
from tcrp.interleavings.moments import RANKS, Due, Pace, client_due, server_dues
from tcrp.interleavings.parts import Broken, Flight, Numbers
from tcrp.interleavings.program import Program, Wish
from tcrp.interleavings.server_part import Input, Outcome, ServerSide
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.run import Run
from tcrp.spec.names import (
    HandshakeEvent,
    PacketKind,
    Property,
    RoomState,
    SessionEvent,
    SessionState,
)
from tcrp.spec.table import HANDSHAKE, SESSION

State = tuple[int, ...]
Fates = tuple[int, ...]
"""Of each datagram that a step sends: how often it arrives."""
MASK = (1 << 64) - 1
BROKEN = -1  # in place of the budgets: what follows in the state says which property does not hold
FIELDS = ("drops", "duplicates", "races", "crashes", "texts", "attacks")
DROPS, DUPLICATES, RACES, CRASHES, TEXTS, ATTACKS = (1 << 4 * at for at in range(len(FIELDS)))
ATTACKS_MAX = 2
IN_FLIGHT = -1  # the rank of packets under way: they come before every deadline
NOTHING = 9  # the rank of no deadline at all


class Step(NamedTuple):
    """What happens between two states. `what`: a datagram's number, a stream, a deadline or a wish."""

    kind: str
    who: int
    what: Any
    fates: Fates = ()


@dataclass(frozen=True, slots=True)
class PartyView:
    """What the world has to know of a user's state."""

    ups: tuple[tuple[str, PacketKind], ...]
    downs: tuple[tuple[str, PacketKind], ...]
    due: Due | None
    rank: int
    token: bytes
    room: str
    waits: bool
    in_room: bool
    is_over: bool  # its session has ended
    is_done: bool  # it will never ask for anything again


class World:
    """All states of one program. Not for several threads; each process has its own."""

    def __init__(
        self,
        program: Program,
        *,
        make_engine: EngineFactory = ServerEngine,
        leave_out: Iterable[Property] = (),
        is_reduced: bool = True,
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
        self._is_reduced = is_reduced
        # What was asked before.
        self._views: list[dict[int, PartyView]] = [{} for _ in self.users]
        self._wishes: list[dict[tuple[int, str], list[Wish]]] = [{} for _ in self.users]
        self._dues: dict[int, tuple[list[tuple[Due, int]], int]] = {}
        self._outcomes: dict[tuple[int, Any], Outcome] = {}
        self._reactions: list[dict[tuple[int, Any], Reaction]] = [{} for _ in self.users]
        self._piped: list[dict[tuple[int, Any], int]] = [{} for _ in self.users]
        self._dead: dict[tuple[int, int], bool] = {}
        self._sent: dict[tuple[Flight, ...], tuple[int, ...]] = {}

    @property
    def calls(self) -> int:
        """How often an engine was called."""
        return self.server.calls + sum(each.calls for each in self.clients)

    def model(self) -> Model[State]:
        """The model for the explorer."""
        return Model(
            name=repr((self.program.scenario.claim, self.bounds, self.program.steps, self._is_reduced)),
            initial=(self.start(),),
            successors=self.successors,
            fingerprint=lambda state: hash(state) & MASK,
            always={"holds": lambda state: state[0] != BROKEN},
        )

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

    def successors(self, state: State) -> Iterator[tuple[Step, State]]:
        """Every step from a state; of steps that the others can wait for only one, if the world is reduced."""
        if state[0] == BROKEN:
            return
        if self._is_reduced:
            local = self._local(state)
            if local is not None:
                yield from self.take(state, local)
                return
        is_end = True
        for step in self.steps(state):
            is_end = False
            yield from self.take(state, step)
        if is_end:
            broken = self._what_waits(state)
            if broken is not None:
                yield Step("end", -1, None), self._broken_state(broken)

    def steps(self, state: State) -> Iterator[Step]:
        """What may happen next, without the fates of what is sent then."""
        budget, server, count = state[0], state[1], self._count
        flights = state[2 + count :]
        views = [self.view(at, state[2 + at]) for at in range(count)]
        rank = IN_FLIGHT if flights else NOTHING
        for at, view in enumerate(views):
            for stream, _ in view.ups:
                rank = IN_FLIGHT
                yield Step("up", at, stream)
            for stream, _ in view.downs:
                rank = IN_FLIGHT
                yield Step("down", at, stream)
        last = 0
        for number in flights:
            if number != last:
                flight = self.flights.of[number]
                yield Step("hear" if flight.is_up else "told", flight.party, number)
            last = number
        text = self._text(budget)
        for at in range(count):
            for wish in self._wishes_of(at, state[2 + at], text):
                yield Step("act", at, wish)
        yield from self._steps_of_time(budget, server, views, rank)
        if budget & (15 * CRASHES):
            yield Step("crash", -1, None)
        if budget & (15 * ATTACKS):
            for at, view in enumerate(views):
                if view.token:
                    yield Step("attack", at, PacketKind.SAY)
                    yield Step("attack", at, PacketKind.LEAVE)

    def _steps_of_time(self, budget: int, server: int, views: list[PartyView], rank: int) -> Iterator[Step]:
        """Deadlines that may come: freely where nothing quicker is to come first, else as a race."""
        dues, server_rank = self._server_dues(server)
        if server_rank == 0:
            for due, _ in dues:
                yield Step("server due", -1, due)
            return
        least = min(rank, server_rank, *(view.rank for view in views))
        may_race = budget & (15 * RACES)
        for due, its in dues:
            if its <= least or may_race:
                yield Step("server due", -1, due, () if its <= least else (RACES,))
        for at, view in enumerate(views):
            if view.due is not None and (view.rank <= least or may_race):
                yield Step("due", at, view.due, () if view.rank <= least else (RACES,))

    def take(self, state: State, step: Step) -> Iterator[tuple[Step, State]]:
        """The states to which a step leads: one for each way in which what it sends may fare."""
        kind, at, what, cost = step
        budget, server, count = state[0], state[1], self._count
        if cost:
            budget -= RACES
        parties, flights = list(state[2 : 2 + count]), state[2 + count :]
        sent: tuple[Flight, ...] = ()
        broken: Broken | None = None
        match kind:
            case "hear":
                flights = _without(flights, what)
                outcome = self._outcome(server, what)
                server, sent, broken = self._carry_out(outcome, parties)
            case "told":
                flights = _without(flights, what)
                parties[at], sent, broken, _ = self._reaction(at, parties[at], what)
            case "up":
                outcome = self._read(server, at, parties[at], what)
                parties[at] = self._pipe(at, parties[at], (), what)
                server, sent, broken = self._carry_out(outcome, parties)
            case "down":
                parties[at], sent, broken, _ = self._reaction(at, parties[at], what)
            case "act":
                parties[at], sent, broken, _ = self._reaction(at, parties[at], what)
                if what.is_text:
                    budget -= TEXTS
            case "due":
                parties[at], sent, broken, _ = self._reaction(at, parties[at], what)
            case "server due":
                server, sent, broken = self._carry_out(self._outcome(server, what), parties)
            case "crash":
                budget -= CRASHES
                server = self.server.start()
                parties = [client.reset(party) for client, party in zip(self.clients, parties, strict=True)]
            case "attack":
                budget -= ATTACKS
                flights = tuple(sorted((*flights, self.flights.number(self._forge(at, parties[at], what)))))
        if broken is not None:
            yield step, self._broken_state(broken)
            return
        alive = tuple(each for each in flights if not self._is_dead(each, server, parties))
        if not sent:
            yield step, (budget, server, *parties, *alive)
            return
        numbers = self._sent.get(sent)
        if numbers is None:
            numbers = self._sent[sent] = tuple(self.flights.number(each) for each in sent)
        new = tuple(each for each in numbers if not self._is_dead(each, server, parties))
        for fates, spent, kept in _fates(new, budget & 15, budget // DUPLICATES & 15):
            yield (
                Step(kind, at, what, (cost, fates)) if new else step,  # type: ignore[arg-type]
                (budget - spent, server, *parties, *sorted((*alive, *kept))),
            )

    def _broken_state(self, broken: Broken) -> State:
        return (BROKEN, self.broken.number(broken))

    # --- what was asked before -----------------------------------------------------------------------

    def _carry_out(self, outcome: Outcome, parties: list[int]) -> tuple[int, tuple[Flight, ...], Broken | None]:
        """Put what the server writes to streams into them."""
        server, pieces, sent, broken = outcome
        if pieces:
            for at in range(self._count):
                own = tuple(each for each in pieces if each[0].rpartition("#")[0] == self.users[at].id)
                if own:
                    parties[at] = self._pipe(at, parties[at], own, "")
        return server, sent, broken

    def _outcome(self, server: int, what: Any) -> Outcome:
        key = (server, what)
        outcome = self._outcomes.get(key)
        if outcome is None:
            given = Input(due=what) if isinstance(what, Due) else Input(flight=self.flights.of[what])
            outcome = self._outcomes[key] = self.server.take(server, given)
        return outcome

    def _read(self, server: int, at: int, party: int, stream: str) -> Outcome:
        piece = next(each.up[0] for each in self.clients[at].numbers.of[party].pipes if each.stream == stream)
        key = (server, (stream, piece))
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self.server.take(server, Input(stream=stream, piece=piece))
        return outcome

    def _pipe(self, at: int, party: int, pieces: Any, read: str) -> int:
        key = (party, (pieces, read))
        known = self._piped[at].get(key)
        if known is None:
            known = self._piped[at][key] = self.clients[at].pipe(party, pieces, read)
        return known

    def _reaction(self, at: int, party: int, what: Any) -> Reaction:
        key = (party, what)
        known = self._reactions[at].get(key)
        if known is None:
            client = self.clients[at]
            if isinstance(what, int):
                known = client.hear(party, self.flights.of[what])
            elif isinstance(what, str):
                known = client.read(party, what)
            elif isinstance(what, Due):
                known = client.come(party, what)
            else:
                known = client.act(party, what.intent, what.step)
            self.shown.update((client.user.id, each) for each in known.shown)
            self._reactions[at][key] = known
        return known

    def view(self, at: int, party: int) -> PartyView:
        """What the world has to know of a user's state."""
        view = self._views[at].get(party)
        if view is None:
            view = self._views[at][party] = self._look_at(at, party)
        return view

    def _look_at(self, at: int, number: int) -> PartyView:
        party = self.clients[at].numbers.of[number]
        client = party.client
        due = client_due(client) if client is not None else None
        return PartyView(
            ups=tuple((each.stream, each.up[0][0]) for each in party.pipes if each.up),
            downs=tuple((each.stream, each.down[0][0]) for each in party.pipes if each.down),
            due=due,
            rank=RANKS[due.kind] if due is not None else NOTHING,
            token=client.token if client is not None else b"",
            room=self.program.requests(at)[party.request].room if client is not None else "",
            waits=client is not None and (
                HANDSHAKE.takes(client.handshake, HandshakeEvent.ABANDONED)
                or SESSION.takes(client.session, SessionEvent.LEFT)
            ),
            in_room=client is not None and client.session is SessionState.IN_ROOM,
            is_over=client is not None and client.session is SessionState.EXPIRED,
            is_done=self.program.is_done(at, party),
        )  # fmt: skip

    def _wishes_of(self, at: int, party: int, text: str) -> list[Wish]:
        key = (party, text)
        known = self._wishes[at].get(key)
        if known is None:
            whole = self.clients[at].numbers.of[party]
            known = self._wishes[at][key] = self.program.wishes(at, whole, text)
        return known

    def _server_dues(self, server: int) -> tuple[list[tuple[Due, int]], int]:
        known = self._dues.get(server)
        if known is None:
            dues = [(each, RANKS[each.kind]) for each in server_dues(self.server.numbers.of[server].engine)]
            known = self._dues[server] = (dues, min((rank for _, rank in dues), default=NOTHING))
        return known

    def _text(self, budget: int) -> str:
        left = budget // TEXTS & 15
        return f"text {self.bounds.texts - left + 1}" if left else ""

    def _forge(self, at: int, party: int, what: PacketKind) -> Flight:
        """What the attacker sends with the token of user `at`."""
        attacker, victim = self._attackers[0], self.users[at]
        view = self.view(at, party)
        words = sorted(victim.codec.leave_words)
        text = "forged" if what is PacketKind.SAY or not words else victim.codec.dialect.leave_words[0]
        body = victim.codec.write_text(victim.name, text)
        data = forged_datagram(view.room, view.token, body)
        return Flight(True, attacker, what, data, self.users[attacker].address)

    # --- what need not be explored -------------------------------------------------------------------

    def _is_dead(self, number: int, server: int, parties: list[int]) -> bool:
        """Whether a datagram changes nothing whenever it arrives: it is as good as gone."""
        flight = self.flights.of[number]
        other = server if flight.is_up else parties[flight.party]
        key = (number, other)
        known = self._dead.get(key)
        if known is None:
            known = self._is_unheard(flight, server) if flight.is_up else self._is_unseen(number, flight, other)
            self._dead[key] = known
        return known

    def _is_unheard(self, flight: Flight, server: int) -> bool:
        """Its token is neither held nor remembered, and none is granted twice."""
        engine = self.server.numbers.of[server].engine
        tokens = {each.token for each in engine.sessions} | {each.token for each in engine.ended}
        return flight.data[2 + flight.data[0] :][: flight.data[1]] not in tokens

    def _is_unseen(self, number: int, flight: Flight, party: int) -> bool:
        """It changes nothing in a client that is in the room or has ended, which no later state makes matter."""
        view = self.view(flight.party, party)
        if not view.is_done:
            return False
        if not (view.in_room or view.is_over):
            return not view.waits
        reaction = self._reaction(flight.party, party, number)
        return reaction.party == party and not reaction.flights and reaction.broken is None

    def _local(self, state: State) -> Step | None:
        """A step that the others can wait for, if there is one: see docs/explore.md."""
        budget, server, count = state[0], state[1], self._count
        if budget & (15 * CRASHES):
            return None
        may_race = bool(budget & (15 * RACES))
        for at in range(count):
            view = self.view(at, state[2 + at])
            for stream, kind in view.ups:
                if kind is PacketKind.OPEN or (kind is PacketKind.CLOSE and not may_race):
                    return Step("up", at, stream)
        if may_race:
            return None
        dues, rank = self._server_dues(server)
        if rank == 0:
            return Step("server due", -1, dues[0][0])
        for at in range(count):
            view = self.view(at, state[2 + at])
            if view.downs and not self.clients[at].is_told_early:
                return Step("down", at, view.downs[0][0])
        for number in state[2 + count :]:
            flight = self.flights.of[number]
            if not flight.is_up:
                party = state[2 + flight.party]
                view = self.view(flight.party, party)
                if view.in_room:
                    after = self.view(flight.party, self._reaction(flight.party, party, number).party)
                    if after.in_room:
                        return Step("told", flight.party, number)
        return None

    # --- the end -------------------------------------------------------------------------------------

    def _what_waits(self, state: State) -> Broken | None:
        """Nothing happens any more: whether somebody still waits for something."""
        for at, user in enumerate(self.users):
            if self.view(at, state[2 + at]).waits:
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


def _without(flights: State, number: int) -> State:
    at = flights.index(number)
    return flights[:at] + flights[at + 1 :]


@lru_cache(100_000)
def _fates(new: State, drops: int, duplicates: int) -> list[tuple[Fates, int, State]]:
    """How what is sent may fare: how often each arrives, what of the budgets that takes, and what is under way then."""
    ways = []
    for fates in product((1, 0, 2), repeat=len(new)):
        lost, doubled = fates.count(0), fates.count(2)
        if lost <= drops and doubled <= duplicates:
            kept = tuple(number for number, times in zip(new, fates, strict=True) for _ in range(times))
            ways.append((fates, lost * DROPS + doubled * DUPLICATES, kept))
    return ways
