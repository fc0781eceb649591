"""A server in memory as the ground of a judge: no sockets, and a clock that jumps to what is waited for.

Nothing is ever waited for in real time, so a story is run to its end by one call of `play`.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from tcrp.engine.codec import codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import Address, CloseStream, Detail, FinishStream, Relay, SendDatagram, SendFrame
from tcrp.engine.server import Outputs, ServerConfig, ServerEngine
from tcrp.judge.ground import End, Unreached
from tcrp.judge.probe import Probe
from tcrp.judge.record import CannotTest, Skip, Waits
from tcrp.judge.stage import TRIES, Stage
from tcrp.judge.verdicts import Finding, Outcome
from tcrp.sim.hosts.server import EngineFactory, token_of
from tcrp.spec.limits import SECOND_US, Limits
from tcrp.spec.names import Rule

T = TypeVar("T")
WAITS = Waits(patience_us=6 * SECOND_US, patience_is_given=True)
SHORT = {"idle_timeout": 3 * SECOND_US, "token_timeout": 2 * SECOND_US, "handshake_timeout": 2 * SECOND_US}
"""Timeouts that end within the judge's patience."""
EXCHANGE_US = 100
"""How long anything takes to reach the server, by which times of different exchanges differ."""


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run a story that never has to wait for anything outside of memory."""
    try:
        story.send(None)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something that is not in memory")


class MemoryStream:
    """A connection to the server."""

    def __init__(self, ground: MemoryGround, name: int) -> None:
        self.ground = ground
        self.name = name
        self.inbox: list[bytes | End] = []
        self.is_over = False

    async def send(self, data: bytes) -> bool:
        if not self.is_over:
            self.ground.calls("receive_stream", self.name, data)
        return not self.is_over

    async def receive(self, within_us: int) -> bytes | End | None:
        self.ground.passes(within_us, lambda: bool(self.inbox))
        if not self.inbox:
            return None
        return self.inbox[0] if isinstance(self.inbox[0], End) else self.inbox.pop(0)

    def finish(self) -> None:
        if not self.is_over:
            self.ground.calls("stream_ended", self.name)

    def close(self) -> None:
        if not self.is_over:
            self.is_over = True
            self.ground.calls("stream_closed", self.name)

    def ends(self, how: End) -> None:
        if not self.inbox or not isinstance(self.inbox[-1], End):
            self.inbox.append(how)


class MemoryPort:
    """A UDP socket."""

    def __init__(self, ground: MemoryGround, ip: str, number: int) -> None:
        self.ground = ground
        self.ip = ip
        self.number = number
        self.heard: list[tuple[int, bytes]] = []

    def send(self, data: bytes) -> None:
        self.ground.sends(data, Address(self.ip, self.number))

    async def wait(self, until: Callable[[], bool], within_us: int) -> bool:
        return self.ground.passes(within_us, until)

    def close(self) -> None:
        self.ground.ports.pop(Address(self.ip, self.number), None)


class MemoryGround:
    """`loses` says of each datagram, by its number and direction, whether it is lost. `is_dead`: nothing answers."""

    ip = "10.0.0.1"
    other_ip: str | None = "10.0.0.2"
    nonce = "0"

    def __init__(
        self, make_engine: EngineFactory = ServerEngine, *, dialects: Sequence[str] = (), **settings: Any
    ) -> None:
        self.clock_us = 0
        self.is_dead = False
        self.loses: Callable[[int, str], bool] = lambda _number, _direction: False
        self.ports: dict[Address, MemoryPort] = {}
        self.streams: dict[int, MemoryStream] = {}
        self.datagrams = 0
        self._streams, self._ports, tokens = itertools.count(1), itertools.count(40001), itertools.count(1)
        limits = Limits().with_settings({**SHORT, **settings})
        config = ServerConfig(limits, (ListenerConfig(tuple(map(codec, dialects))),))
        self.engine = make_engine(config, new_token=lambda: token_of(0, next(tokens)), detail=Detail.EVERYTHING)

    # --- what a judge asks for ---------------------------------------------------------------------

    def now_us(self) -> int:
        return self.clock_us

    async def sleep(self, us: int) -> None:
        self.passes(us, lambda: False)

    async def connect(self, ip: str, within_us: int) -> MemoryStream:
        if self.is_dead:
            raise Unreached("connection refused")
        name = next(self._streams)
        stream = self.streams[name] = MemoryStream(self, name)
        self.calls("stream_opened", name, Address(ip, 50000 + name % 10000))
        return stream

    def port(self, ip: str, suits: Callable[[int], bool] = lambda _: True, number: int = 0) -> MemoryPort:
        number = number or next(each for each in self._ports if suits(each))
        port = self.ports[Address(ip, number)] = MemoryPort(self, ip, number)
        return port

    async def together(self, tasks: Sequence[Awaitable[None]]) -> None:
        for each in tasks:
            await each

    async def bounded(self, task: Awaitable[None], within_us: int) -> bool:
        until_us = self.clock_us + within_us
        await task
        return self.clock_us <= until_us

    # --- the server ----------------------------------------------------------------------------------

    def sends(self, data: bytes, source: Address) -> None:
        self.datagrams += 1
        if not self.is_dead and not self.loses(self.datagrams, "up"):
            self.clock_us += EXCHANGE_US
            self.does(self.engine.receive_datagram(data, source, self.clock_us))

    def calls(self, method: str, *given: Any) -> None:
        if not self.is_dead:
            self.clock_us += EXCHANGE_US
            self.does(getattr(self.engine, method)(*given, self.clock_us))

    def passes(self, us: int, until: Callable[[], bool]) -> bool:
        """Let time pass, and the server do what is due, until the condition holds. False: it never did in time."""
        until_us = self.clock_us + us
        while not until():
            due_us = self.engine.next_deadline_us()
            if self.is_dead or due_us is None or due_us > until_us:
                self.clock_us = max(until_us, self.clock_us)
                return until()
            self.clock_us = max(due_us, self.clock_us)
            self.does(self.engine.handle_timeout(self.clock_us))
        return True

    def does(self, outputs: Outputs) -> None:
        for output in outputs:
            match output:
                case SendFrame(stream, data):
                    self.streams[stream].inbox.append(data)  # type: ignore[index]
                case FinishStream(stream):
                    self.streams[stream].ends(End.CLOSED)  # type: ignore[index]
                case CloseStream(stream):
                    self.streams[stream].is_over = True  # type: ignore[index]
                    self.streams[stream].ends(End.CLOSED)  # type: ignore[index]
                case SendDatagram(data, Address() as target):
                    self.delivers(data, target)
                case Relay(data, targets):
                    for target in targets:
                        self.delivers(data, target)

    def delivers(self, data: bytes, target: Address) -> None:
        self.datagrams += 1
        port = self.ports.get(target)
        if port is not None and not self.loses(self.datagrams, "down"):
            port.heard.append((self.clock_us, data))


def stage_on(ground: MemoryGround, dialect: str = "text", waits: Waits = WAITS, tries: int = TRIES) -> Stage:
    """A stage for a probe."""
    return Stage(ground, codec(dialect), waits, "probe", itertools.count(1), tries)


def found(probe: Probe, ground: MemoryGround, dialect: str = "text", waits: Waits = WAITS) -> list[Finding]:
    """What one run of the probe finds."""
    stage = stage_on(ground, dialect, waits)

    async def story() -> None:
        try:
            await probe.story(stage)
        except Skip as skip:
            stage.left_open(probe.rules, str(skip), inconclusive=False)
        except CannotTest as error:
            stage.left_open(probe.rules, str(error), inconclusive=True)
        finally:
            stage.close()

    play(story())
    return stage.findings


def outcomes(findings: Sequence[Finding]) -> dict[Rule, Outcome]:
    """The outcome for each rule; of several, the last."""
    return {each.rule: each.outcome for each in findings}


def broken(findings: Sequence[Finding]) -> dict[Rule, str]:
    """What is found broken, and why."""
    return {each.rule: each.said for each in findings if each.outcome is Outcome.BROKEN}
