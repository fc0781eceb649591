"""What the world has asked the engines, to look it up from then on: views of parts, and moves that inputs lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tcrp.interleavings.client_part import ClientSide, Reaction
from tcrp.interleavings.moments import RANKS, client_due, server_dues
from tcrp.interleavings.parts import Broken, Flight, Numbers
from tcrp.interleavings.program import Program
from tcrp.interleavings.server_part import Input, Outcome, ServerSide
from tcrp.interleavings.steps import DUE, FORGED, NOTHING, Move, Step
from tcrp.sim.hosts.forged import forged_datagram
from tcrp.sim.hosts.user import UserHost
from tcrp.spec.names import HandshakeEvent, PacketKind, SessionEvent, SessionState
from tcrp.spec.table import HANDSHAKE, SESSION


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


class KnownMoves:
    """Views and moves by the numbers of parts and inputs. The world looks them up, and asks for those missing."""

    def __init__(
        self, program: Program, server: ServerSide, clients: Sequence[ClientSide], users: Sequence[UserHost],
        attackers: Sequence[int],
    ) -> None:  # fmt: skip
        self.flights: Numbers[Flight] = Numbers()
        self.broken: Numbers[Broken] = Numbers()
        self.shown: set[tuple[str, str]] = set()
        self.views: list[dict[int, PartyView]] = [{} for _ in users]
        self.server_views: dict[int, ServerView] = {}
        self.told: list[dict[tuple[int, int], Move]] = [{} for _ in users]
        self.piped: list[dict[tuple[int, Any], int]] = [{} for _ in users]
        self.dead: dict[tuple[int, int], bool] = {}
        self.goes_to: dict[int, int] = {}  # of each datagram the user to whom it goes; -1: the server
        self._program = program
        self._server = server
        self._clients = clients
        self._users = users
        self._attackers = attackers

    def number_of(self, flight: Flight) -> int:
        number = self.flights.number(flight)
        self.goes_to[number] = -1 if flight.is_up else flight.party
        return number

    def learn_flight(self, number: int, flight: Flight) -> None:
        """Take over a datagram that another process has numbered."""
        self.flights.learn(number, flight)
        self.goes_to[number] = -1 if flight.is_up else flight.party

    def _server_move(self, step: Step, outcome: Outcome) -> Move:
        broken = self.broken.number(outcome.broken) if outcome.broken is not None else 0
        sent = tuple(self.number_of(each) for each in outcome.flights)
        return Move(step, outcome.server, sent, broken, outcome.pieces)

    def _party_move(self, at: int, step: Step, reaction: Reaction) -> Move:
        broken = self.broken.number(reaction.broken) if reaction.broken is not None else 0
        self.shown.update((self._users[at].id, each) for each in reaction.shown)
        sent = tuple(self.number_of(each) for each in reaction.flights)
        return Move(step, reaction.party, sent, broken, if_lost=reaction.if_lost)

    def told_move(self, at: int, party: int, number: int) -> Move:
        move = self.told[at].get((party, number))
        if move is None:
            reaction = self._clients[at].hear(party, self.flights.of[number])
            move = self.told[at][party, number] = self._party_move(at, Step("told", at, number), reaction)
        return move

    def hear(self, server: int, view: ServerView, number: int) -> Move:
        """A datagram arrives at the server."""
        flight = self.flights.of[number]
        outcome = self._server.take(server, Input(flight=flight))
        move = view.heard[number] = self._server_move(Step("hear", flight.party, number), outcome)
        return move

    def come(self, server: int, view: ServerView, step: Step) -> Move:
        """A deadline of the server comes."""
        view.come[step] = move = self._server_move(step, self._server.take(server, Input(due=step.what)))
        return move

    def client_comes(self, at: int, party: int, step: Step) -> Move:
        """A deadline of a user comes."""
        reaction = self._clients[at].come(party, step.what)
        move = self.told[at][party, DUE] = self._party_move(at, step, reaction)
        return move

    def read(self, server: int, at: int, party: int, stream: str) -> tuple[Move, int]:
        """What the server makes of the next piece of a stream, and the user's state when it is read."""
        piece = next(each.up[0] for each in self._clients[at].numbers.of[party].pipes if each.stream == stream)
        outcome = self._server.take(server, Input(stream=stream, piece=piece))
        return self._server_move(Step("up", at, stream), outcome), self._clients[at].pipe(party, (), stream)

    def pipe(self, at: int, party: int, pieces: tuple[tuple[str, PacketKind | None, bytes], ...]) -> int:
        """A user's state when the server has written to its streams."""
        known = self.piped[at].get((party, pieces))
        if known is None:
            own = tuple(each for each in pieces if each[0].rpartition("#")[0] == self._users[at].id)
            known = self._clients[at].pipe(party, own) if own else party
            self.piped[at][party, pieces] = known
        return known

    def acts(self, at: int, party: int, view: PartyView, texts: int) -> tuple[Move, ...]:
        """What the user may do. `texts`: how many more may be said."""
        text = f"text {self._program.bounds.texts - texts + 1}" if texts else ""
        client = self._clients[at]
        moves = [
            self._party_move(at, Step("act", at, wish), client.act(party, wish.intent, wish.step))
            for wish in self._program.wishes(at, client.numbers.of[party], text)
        ]
        view.acts[texts] = tuple(moves)
        return view.acts[texts]

    def view(self, at: int, number: int) -> PartyView:
        """What the world has to know of a user's state."""
        side = self._clients[at]
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
        view = self.views[at][number] = PartyView(
            ups=ups,
            downs=downs,
            due=Step("due", at, due) if due is not None else None,
            rank=RANKS[due.kind] if due is not None else NOTHING,
            token=client.token if client is not None else b"",
            room=self._program.requests(at)[party.request].room if client is not None else "",
            waits=is_under_way or (client is not None and SESSION.takes(client.session, SessionEvent.LEFT)),
            in_room=client is not None and client.session is SessionState.IN_ROOM,
            is_over=client is not None and client.session is SessionState.EXPIRED,
            is_done=self._program.is_done(at, party),
            is_unheard=party.is_unheard,
            handshake=f"{self._users[at].id}#{party.attempts}" if is_under_way else "",
            acts={},
            local_up=opens[0] if opens else "",
            local_up_when_calm=(opens or closes or [""])[0],
            local_down=downs[0] if downs and not side.is_told_early else None,
        )  # fmt: skip
        return view

    def server_view(self, number: int) -> ServerView:
        engine = self._server.numbers.of[number].engine
        dues = tuple((Step("server due", -1, each), RANKS[each.kind]) for each in server_dues(engine))
        tokens = {each.token for each in engine.sessions} | {each.token for each in engine.ended}
        rank = min((rank for _, rank in dues), default=NOTHING)
        view = self.server_views[number] = ServerView(dues, rank, frozenset(tokens), {}, {}, {})
        return view

    def forge(self, at: int, view: PartyView, what: PacketKind) -> Flight:
        """What the attacker sends with the token of user `at`."""
        attacker, victim = self._attackers[0], self._users[at]
        words = victim.codec.leave_words
        text = FORGED if what is PacketKind.SAY or not words else victim.codec.dialect.leave_words[0]
        data = forged_datagram(view.room, view.token, victim.codec.write_text(victim.name, text))
        return Flight(True, attacker, what, data, self._users[attacker].address)

    # --- what need not be explored -------------------------------------------------------------------

    def is_dead(self, number: int, at: int, other: int) -> bool:
        """Whether a datagram changes nothing whenever it arrives: it is as good as gone."""
        is_dead = self._is_unheard(number, other) if at < 0 else self._is_unseen(number, at, other)
        self.dead[number, other] = is_dead
        return is_dead

    def _is_unheard(self, number: int, server: int) -> bool:
        """Its token is neither held nor remembered, none is granted twice, and the server makes nothing of it."""
        flight = self.flights.of[number]
        view = self.server_views.get(server) or self.server_view(server)
        if flight.data[2 + flight.data[0] :][: flight.data[1]] in view.tokens:
            return False
        move = view.heard.get(number) or self.hear(server, view, number)
        return move.to == server and not (move.sent or move.pieces or move.broken)

    def _is_unseen(self, number: int, at: int, party: int) -> bool:
        """It changes nothing in a client that is in the room or has ended, which no later state makes matter."""
        view = self.views[at].get(party) or self.view(at, party)
        if not view.is_done:
            return False
        if not (view.in_room or view.is_over):
            return not view.waits
        move = self.told_move(at, party, number)
        return move.to == party and not (move.sent or move.broken)
