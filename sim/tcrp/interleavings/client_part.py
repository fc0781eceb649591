"""Users in the abstract world: what the very client engine makes of each input, and what its machine does with TCP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from tcrp.engine.client import ClientConfig, ClientEngine, ClientState, Outputs
from tcrp.engine.codec import learns_port
from tcrp.engine.outputs import CloseStream, Detail, NoticeReceived, SendDatagram, SendFrame, Stepped, TextReceived
from tcrp.interleavings.moments import NOW_US, Due, Pace, ripe_client, settled_client
from tcrp.interleavings.parts import Broken, Flight, Numbers, Party, Piece, Pipes
from tcrp.sim.hosts.user import UserHost
from tcrp.sim.scenario.model import Create, Join, KeepAlive, Leave, Say
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX
from tcrp.spec.names import HandshakeEvent, Operation, PacketKind, Property, SessionEvent
from tcrp.spec.render import TABLES
from tcrp.spec.table import HANDSHAKE, SESSION

Intent = Create | Join | Say | KeepAlive | Leave


class Reaction(NamedTuple):
    """What a user's machine makes of an input. `if_lost`: where it is if what it sends is lost."""

    party: int
    if_lost: int
    flights: tuple[Flight, ...] = ()
    broken: Broken | None = None
    shown: tuple[str, ...] = ()


@dataclass(slots=True)
class Work:
    """A party while an input is worked on."""

    step: int
    request: int
    attempts: int
    engine: ClientEngine | None
    pipes: dict[str, Pipes]
    flights: list[Flight]
    shown: list[str]
    was_unheard: bool = False
    was_living: bool = False
    broken: Broken | None = None


class ClientSide:
    """The states of one user, and what leads from one to the next. `requests` are the user's create and join steps."""

    def __init__(self, at: int, user: UserHost, requests: tuple[Create | Join, ...], pace: Pace) -> None:
        self.numbers: Numbers[Party] = Numbers()
        self.calls = 0
        self.at = at
        self.user = user
        self.is_told_early = learns_port(user.codec, LearnedFrom.REQUEST)
        self._requests = requests
        self._pace = pace

    def start(self) -> int:
        """The number of a user who has done nothing."""
        return self.numbers.number(Party())

    # --- inputs ------------------------------------------------------------------------------------

    def act(self, number: int, intent: Intent, step: int) -> Reaction:
        """The user does something. `step` is how far in the program that is."""
        work = self._work(number)
        work.step = step
        match intent:
            case Create() | Join():
                self._connect(work, intent)
            case Say(text):
                self._speak(work, lambda engine: engine.say(text, NOW_US))
            case KeepAlive():
                self._speak(work, lambda engine: engine.say("", NOW_US))
            case Leave():
                self._speak(work, lambda engine: engine.leave(NOW_US))
        return self._done(work)

    def hear(self, number: int, flight: Flight) -> Reaction:
        """A datagram has arrived."""
        work = self._work(number)
        self._speak(work, lambda engine: engine.receive_datagram(flight.data, NOW_US))
        return self._done(work)

    def come(self, number: int, due: Due) -> Reaction:
        """A deadline has come."""
        work = self._work(number, due)
        self._speak(work, lambda engine: engine.handle_timeout(NOW_US))
        return self._done(work)

    def read(self, number: int, stream: str) -> Reaction:
        """The next piece of a stream has arrived."""
        work = self._work(number)
        pipes = work.pipes[stream]
        (what, data), rest = pipes.down[0], pipes.down[1:]
        work.pipes[stream] = pipes = pipes._replace(down=rest)
        is_latest = stream == self._stream(work.attempts)
        if what is PacketKind.OPENED:
            self._speak(work, lambda engine: engine.stream_opened(stream, NOW_US))
        elif what in (PacketKind.CLOSE, PacketKind.RESET):
            self._end_pipes(work, stream, says_so=what is PacketKind.CLOSE)
            if is_latest:
                self._speak(work, lambda engine: engine.stream_closed(NOW_US))
        elif is_latest:
            self._speak(work, lambda engine: engine.receive_stream(data, NOW_US))
        return self._done(work)

    def pipe(self, number: int, pieces: tuple[tuple[str, PacketKind | None, bytes], ...], read: str = "") -> int:
        """The server's end: it has read the next piece of the stream `read`, and sends `pieces`."""
        party = self.numbers.of[number]
        pipes = {each.stream: each for each in party.pipes}
        if read:
            own = pipes[read]
            (what, _), rest = own.up[0], own.up[1:]
            own = own._replace(up=rest)
            if what is PacketKind.TRAILER:
                party = party._replace(is_unheard=False)  # the session enters by it
            if what is PacketKind.OPEN:
                own = own._replace(down=(*own.down, (PacketKind.OPENED, b"")))
            elif what is PacketKind.RESET:
                own = own._replace(server_is_done=True)
            pipes[read] = own
        for stream, kind, data in pieces:
            own = pipes.get(stream) or Pipes(stream, server_is_done=True, client_is_done=True)
            if kind is None:
                own = own._replace(server_is_done=True)
            if not own.client_is_done:
                own = own._replace(down=(*own.down, (kind or PacketKind.CLOSE, data)))
            pipes[stream] = own
        return self.numbers.number(party._replace(pipes=_tidy(pipes)))

    def heard(self, number: int) -> int:
        """The server has heard something of the user, later than what was lost."""
        party = self.numbers.of[number]
        return self.numbers.number(party._replace(is_unheard=False)) if party.is_unheard else number

    def reset(self, number: int) -> int:
        """The server has crashed: what it knew of is reset."""
        party = self.numbers.of[number]
        pipes = {each.stream: each for each in party.pipes}
        for stream, own in pipes.items():
            is_known = not own.up or own.up[0][0] is not PacketKind.OPEN
            if is_known and not own.server_is_done:
                down: tuple[Piece, ...] = () if own.client_is_done else (*own.down, (PacketKind.RESET, b""))
                pipes[stream] = own._replace(down=down, server_is_done=True)
        return self.numbers.number(party._replace(pipes=_tidy(pipes)))

    # --- what a user's machine does ----------------------------------------------------------------

    def _work(self, number: int, due: Due | None = None) -> Work:
        party = self.numbers.of[number]
        engine = None
        if party.client is not None:
            state = party.client if due is None else ripe_client(party.client, due)
            config = self._config(self._requests[party.request])
            engine = ClientEngine(config, state=state, now_us=NOW_US, detail=Detail.EVERYTHING)
        self.calls += 1
        pipes = {each.stream: each for each in party.pipes}
        was_living = party.client is not None and SESSION.takes(party.client.session, SessionEvent.LEFT)
        return Work(party.step, party.request, party.attempts, engine, pipes, [], [], party.is_unheard, was_living)

    def _config(self, request: Create | Join) -> ClientConfig:
        operation = Operation.CREATE if isinstance(request, Create) else Operation.JOIN
        user = self.user
        return ClientConfig(
            user.codec, operation, request.room, user.name, password=request.password, ip=user.address.ip,
            udp_port=user.address.port, limits=self._pace.limits,
        )  # fmt: skip

    def _stream(self, attempt: int) -> str:
        return f"{self.user.id}#{attempt}"

    def _connect(self, work: Work, request: Create | Join) -> None:
        work.request, work.attempts = self._requests.index(request), work.attempts + 1
        work.engine = ClientEngine(self._config(request), detail=Detail.EVERYTHING, now_us=NOW_US)
        work.engine.start(NOW_US)
        stream = self._stream(work.attempts)
        work.pipes[stream] = Pipes(stream, up=((PacketKind.OPEN, b""),))

    def _speak(self, work: Work, call: Callable[[ClientEngine], Outputs]) -> None:
        """Call the engine, and carry out what it wants done."""
        engine = work.engine
        if engine is None:
            return
        try:
            outputs = call(engine)
        except Exception as error:  # an engine that raises is found, not excused
            work.broken = Broken(Property.TABLE_STEPS, f"the client of {self.user.id} raised {error!r}")
            return
        stream = self._stream(work.attempts)
        for output in outputs:
            match output:
                case SendDatagram(data, _, what):
                    if len(data) > CLIENT_DATAGRAM_BYTES_MAX:
                        work.broken = Broken(Property.DATAGRAMS_FIT, f"{what} of {len(data)} bytes was sent")
                    work.flights.append(Flight(True, self.at, what, data, self.user.address))
                case SendFrame(_, data, what):
                    pipes = work.pipes[stream]
                    work.pipes[stream] = pipes._replace(up=(*pipes.up, (what, data)))
                case CloseStream():
                    self._end_pipes(work, stream, says_so=True)
                case Stepped(machine, _, _, event, from_, to):
                    row = TABLES[machine].rows.get((from_, event))
                    if row is None or row.to != to:
                        work.broken = Broken(Property.TABLE_STEPS, f"{self.user.id}: {event} led from {from_} to {to}")
                case TextReceived(name, text):
                    work.shown.append(f"{name}: {text}")
                case NoticeReceived(notice, name):
                    work.shown.append(f"{notice} {name}".strip())

    @staticmethod
    def _end_pipes(work: Work, stream: str, *, says_so: bool) -> None:
        pipes = work.pipes.get(stream)
        if pipes is None or pipes.client_is_done:
            return
        up: tuple[Piece, ...] = (*pipes.up, (PacketKind.CLOSE, b"")) if says_so else pipes.up
        work.pipes[stream] = pipes._replace(client_is_done=True, up=up)

    def _done(self, work: Work) -> Reaction:
        client = client_of(work.engine, self._pace) if work.engine is not None else None
        is_living = client is not None and SESSION.takes(client.session, SessionEvent.LEFT)
        # A client that enters by its request counts from the completion, which the server has sent before.
        begins = self.is_told_early and not work.was_living
        is_unheard = is_living and (work.was_unheard or begins) and not work.flights
        party = Party(work.step, work.request, work.attempts, client, _tidy(work.pipes), is_unheard)
        number = self.numbers.number(party)
        if_lost = self.numbers.number(party._replace(is_unheard=is_living)) if work.flights else number
        return Reaction(number, if_lost, tuple(work.flights), work.broken, tuple(work.shown))


def client_of(engine: ClientEngine, pace: Pace) -> ClientState:
    """The state of a client as it stands in a world's."""
    client = settled_client(engine.freeze(), pace)
    is_under_way = HANDSHAKE.takes(client.handshake, HandshakeEvent.ABANDONED)
    return client if is_under_way else replace(client, stream=None)


def _tidy(pipes: dict[str, Pipes]) -> tuple[Pipes, ...]:
    """Without what an end that reads no more would be given, and without connections that are over."""
    kept = []
    for each in pipes.values():
        up = () if each.server_is_done else each.up
        down = () if each.client_is_done else each.down
        if not (each.client_is_done and each.server_is_done):
            kept.append(each._replace(up=up, down=down))
    return tuple(kept)
