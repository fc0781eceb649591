"""The server in the abstract world: what the very engine makes of each input, in each state that it comes to.

Beside the engine runs the reference server, and the monitor of the simulator judges each call. Nothing here is slow
twice: the world asks once for each pair of a state and an input.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import blake2b
from typing import Any, NamedTuple

from tcrp.engine.outputs import (
    Address,
    CloseStream,
    Detail,
    FinishStream,
    Refused,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
)
from tcrp.engine.server import ServerConfig
from tcrp.engine.state import ServerState
from tcrp.interleavings.moments import (
    ANSWER,
    NOW_US,
    Due,
    Pace,
    moments_of,
    ripe,
    ripen_reference,
    settle_reference,
    settled,
)
from tcrp.interleavings.parts import Broken, Flight, Numbers, Piece, ServerPart
from tcrp.interleavings.reference_state import freeze_reference, thaw_reference
from tcrp.sim.checks.resumed import resumed, step_record
from tcrp.sim.checks.shadow import Answers, Shadows
from tcrp.sim.hosts.server import SERVER, Engine, EngineCall, EngineFactory
from tcrp.sim.network.packets import Origin, Packet
from tcrp.sim.network.tcp import Connection
from tcrp.sim.reference.server import ReferenceServer
from tcrp.sim.run import Run
from tcrp.spec.limits import SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import PacketKind, Property

STREAMS = range(1, 17)  # of one user
METHODS = {PacketKind.CLOSE: "stream_ended", PacketKind.RESET: "stream_closed"}


class Input(NamedTuple):
    """What the server is given: a datagram, a piece of a stream, or a deadline."""

    flight: Flight | None = None
    stream: str = ""
    piece: Piece | None = None
    due: Due | None = None


class Outcome(NamedTuple):
    """What it makes of it. `pieces` go down their streams; a kind of None closes the stream."""

    server: int
    pieces: tuple[tuple[str, PacketKind | None, bytes], ...] = ()
    flights: tuple[Flight, ...] = ()
    broken: Broken | None = None


class Seen(NamedTuple):
    """What a call has shown: a step, a refusal, a rejection."""

    kind: str
    machine: str
    event: str
    state: str


class ServerSide:
    """The server's states and what leads from one to the next. `run` is a simulation of the same scenario in which
    nothing happens: it has the hosts that the monitor asks about.
    """

    def __init__(self, run: Run, pace: Pace, make_engine: EngineFactory, leave_out: frozenset[Property]) -> None:
        self.numbers: Numbers[ServerPart] = Numbers()
        self.calls = 0
        self.called: list[tuple[int, Input, Outcome]] = []  # since somebody emptied it
        self.told: dict[tuple[int, Input], Outcome] = {}  # calls of other processes, until they are asked for here
        self.seen: set[Seen] = set()
        self.judged: dict[Property, int] = dict.fromkeys(Property, 0)
        self._run = run
        self._pace = pace
        self._make_engine = make_engine
        self._leave_out = leave_out
        self._config = ServerConfig(pace.limits, run.server.listeners)
        self._listed = [[each.dialect for each in listener.dialects] for listener in run.server.listeners]
        self._stream = ""
        self._answers: Answers = {}
        self._origin = Origin("explore", 0)
        self._parties_at: dict[Address, int] = {}
        self._holders: dict[Hashable, str] = {}
        self._connections: dict[Hashable, Connection] = {}
        for at, user in enumerate(run.hosts.users.values()):
            self._parties_at[user.address] = at
            for number in STREAMS:
                stream = f"{user.id}#{number}"
                self._holders[token_of(stream)] = user.id
                self._connections[stream] = Connection(
                    run.tcp, stream, user, run.server, user.address, self._origin, user.listener
                )
        run.world.now_us = NOW_US

    def start(self) -> int:
        """The number of a server that knows nothing."""
        reference = ReferenceServer(self._pace.limits, self._listed, self._new_token)
        is_compared = Property.MATCHES_REFERENCE not in self._leave_out
        engine = settled(self._engine(ServerState()).freeze(), self._pace)
        return self.numbers.number(ServerPart(engine, freeze_reference(reference) if is_compared else None))

    def take(self, number: int, given: Input) -> Outcome:
        """What the server makes of the input."""
        outcome = self.told.pop((number, given), None)
        if outcome is None:
            outcome = self._take(number, given)
            self.called.append((number, given, outcome))
        return outcome

    def _take(self, number: int, given: Input) -> Outcome:
        try:
            broken, outputs, after, reference = self._work(number, given)
        except Exception as error:  # an engine that raises is found, not excused
            return Outcome(number, broken=Broken(Property.TABLE_STEPS, f"the engine raised {error!r}"))
        pace = self._pace
        if broken is None and reference is not None:
            broken = self._compare_deadlines(after, reference)
        if reference is not None:
            settle_reference(reference, pace)
        part = ServerPart(settled(after, pace), freeze_reference(reference) if reference is not None else None)
        return self._outcome(self.numbers.number(part), outputs, broken)

    def heard(self, number: int, given: Input) -> set[bytes]:
        """The tokens of the sessions whose silence begins anew with this input."""
        _, _, after, _ = self._work(number, given)
        return {each.token for each in after.sessions if each.silent_us == 0}

    def _work(
        self, number: int, given: Input
    ) -> tuple[Broken | None, list[ServerOutput], ServerState, ReferenceServer | None]:
        """Call the engine and the reference server, and judge the call. What comes of it, with the states then."""
        state, frozen = self.numbers.of[number]
        pace, reference = self._pace, None
        if frozen is not None:
            reference = thaw_reference(frozen, pace.limits, self._listed, self._new_token)
        if given.due is not None:
            state = ripe(state, given.due, pace)
            if reference is not None:
                ripen_reference(reference, given.due, pace)
        self._stream = given.stream
        self.calls += 1
        engine = self._engine(state)
        broken, outputs = self._call(engine, state, reference, given)
        return broken, outputs, engine.freeze(), reference

    def _engine(self, state: ServerState) -> Engine:
        return self._make_engine(
            self._config, new_token=self._new_token, state=state, now_us=NOW_US, detail=Detail.EVERYTHING
        )

    def _new_token(self) -> bytes:
        return token_of(self._stream)

    # --- one call ----------------------------------------------------------------------------------

    def _call(
        self, engine: Engine, state: ServerState, reference: ReferenceServer | None, given: Input
    ) -> tuple[Broken | None, list[ServerOutput]]:
        """Give the engine its input, and let the monitor judge what it puts out."""
        if given.due is not None and given.due.kind == ANSWER:
            return None, []
        host, shadows = self._run.server, Shadows(machines_max=0, answers=self._answers)
        monitor = resumed(
            self._run.hosts, self._pace.limits, self._leave_out, shadows, state=state, reference=reference,
            holder=lambda token: self._holders.get(token, ""), connection_of=self._connections.__getitem__,
            now_us=NOW_US,
        )  # fmt: skip
        host.engine = engine
        call, packet, connection = self._input(given)
        monitor.before_call(host, packet, connection, call)
        named: dict[str, Any] = {"name": given.stream.rpartition("#")[0]} if call.method == "stream_opened" else {}
        outputs: list[ServerOutput] = getattr(engine, call.method)(*call.arguments, **named)
        results = monitor.results
        for output in outputs:
            if isinstance(output, Stepped):
                monitor.hear(step_record(output))
                self.seen.add(Seen("step", output.machine, output.event, str(output.from_)))
            elif isinstance(output, Refused):
                self.seen.add(Seen("refuse", output.machine, output.event, str(output.state)))
            elif isinstance(output, SendDatagram | Relay):
                fits = len(output.data) <= SERVER_DATAGRAM_BYTES_MAX
                results.judge(Property.DATAGRAMS_FIT, fits, "{} of {} bytes was sent", output.what, len(output.data))
        monitor.after_call(host, outputs)
        for property, count in results.judged.items():
            self.judged[property] += count
        violation = results.violation
        return (Broken(violation.property, violation.what) if violation is not None else None), outputs

    def _input(self, given: Input) -> tuple[EngineCall, Packet | None, Connection | None]:
        """The call, and the packet and connection behind it."""
        if given.flight is not None:
            flight, network = given.flight, self._run.world.network
            user = list(self._run.hosts.users.values())[flight.party]
            link, target = network.between(user.id, SERVER), self._run.server.udp[user.listener]
            packet = Packet(self._origin, link, flight.what, flight.data, flight.address, target)
            return EngineCall("receive_datagram", (flight.data, flight.address, NOW_US, user.listener)), packet, None
        if given.piece is not None:
            connection, (what, data) = self._connections[given.stream], given.piece
            address = connection.client_address
            packet = Packet(self._origin, connection.up.link, what, data, address, address, proto="tcp")
            if what is PacketKind.OPEN:
                arguments = (given.stream, address, NOW_US, connection.listener)
                return EngineCall("stream_opened", arguments), packet, connection
            if what in METHODS:
                return EngineCall(METHODS[what], (given.stream, NOW_US)), packet, connection
            return EngineCall("receive_stream", (given.stream, data, NOW_US)), packet, connection
        return EngineCall("handle_timeout", (NOW_US,)), None, None

    def _compare_deadlines(self, after: ServerState, reference: ReferenceServer) -> Broken | None:
        """A deadline that is not the reference's is a difference that shows when it comes."""
        ours, theirs = moments_of(after, self._pace), [each - NOW_US for each in reference.deadlines_us()]
        if ours == theirs:
            return None
        pairs = zip([*ours, None], [*theirs, None], strict=False)
        our, their = next((one, other) for one, other in pairs if one != other)
        what = f"the next deadline that differs comes after {our} us, by the reference after {their} us"
        return Broken(Property.MATCHES_REFERENCE, what)

    def _outcome(self, number: int, outputs: list[ServerOutput], broken: Broken | None) -> Outcome:
        pieces: list[tuple[str, PacketKind | None, bytes]] = []
        flights: list[Flight] = []
        for output in outputs:
            match output:
                case SendFrame(stream, data, what):
                    pieces.append((str(stream), what, data))
                case FinishStream(stream):
                    pieces.append((str(stream), PacketKind.CLOSE, b""))
                case CloseStream(stream):
                    pieces.append((str(stream), None, b""))
                case SendDatagram(data, Address() as address, what):
                    flights.append(self._down(data, address, what))
                case Relay(data, targets, what):
                    flights += [self._down(data, address, what) for address in targets]
        return Outcome(number, tuple(pieces), tuple(each for each in flights if each.party >= 0), broken)

    def _down(self, data: bytes, address: Address, what: PacketKind) -> Flight:
        return Flight(False, self._parties_at.get(address, -1), what, data, address)


def token_of(stream: str) -> bytes:
    """The token that a stream is granted: it names its holder, so that states do not depend on the order of grants."""
    return blake2b(stream.encode(), digest_size=16).hexdigest().encode()
