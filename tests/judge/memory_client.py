"""A client in memory as the ground of the judge of clients: our client's engine under a terminal that is a list.

`Person` is the client as it should be; what a test overrides in it is a flaw. No time passes but in the ground's clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence

from judge.memory_ground import WAITS, play
from tcrp.engine.client import ClientConfig, ClientEngine, Outputs
from tcrp.engine.codec import codec
from tcrp.engine.outputs import CloseStream, NoticeReceived, SendDatagram, SendFrame, TextReceived
from tcrp.judge.client_script import Script
from tcrp.judge.client_stage import ClientStage
from tcrp.judge.client_suite import AloneProbe, ChatProbe
from tcrp.judge.ground import End
from tcrp.judge.record import CannotTest, Skip, Waits
from tcrp.judge.verdicts import Finding
from tcrp.spec.names import HandshakeState, Operation, SessionState

ADDRESS = ("10.0.0.1", 40001)
COMMAND = ("client", "{host}", "{operation}", "{room}", "{name}")


class MemoryConnection:
    """The client's TCP connection."""

    def __init__(self, scene: MemoryScene, source: tuple[str, int] = ADDRESS) -> None:
        self.scene = scene
        self.source = source
        self.received = bytearray()
        self.end: End | None = None
        self.unsent = 0

    def send(self, data: bytes) -> None:
        if self.end is None:
            self.scene.person.reads(data)

    def finish(self) -> None:
        if self.end is None:
            self.scene.person.reads_the_end()

    def close(self) -> None: ...


class MemoryScene:
    """One run of a client."""

    is_flooded = False

    def __init__(self, ground: MemoryClients, values: Mapping[str, str]) -> None:
        self.ground = ground
        self.output = bytearray()
        self.exit_code: int | None = None
        self.connections: list[MemoryConnection] = []
        self.heard: list[tuple[int, tuple[str, int], bytes]] = []
        self.places = {"host": "10.0.0.9", "tcp_port": "9002", "udp_port": "9003"}
        self.typed: list[str] = []
        self.person = ground.make_person(self, values)
        self.person.begins()

    @property
    def screen(self) -> str:
        return self.output.decode(errors="replace")

    def type(self, data: bytes) -> None:
        if self.exit_code is None:
            self.typed.append(data.decode())
            self.output += data.replace(b"\r", b"\r\n")  # a terminal echoes
            self.person.is_told(data.decode().removesuffix("\r"))

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        if self.exit_code is None and to == self.person.address:
            self.person.hears(data)

    async def wait(self, until: Callable[[], bool], within_us: int) -> bool:
        until_us = self.ground.clock_us + within_us
        while not until():
            due_us = self.person.due_us() if self.exit_code is None else None
            if due_us is None or due_us > until_us:
                self.ground.clock_us = max(until_us, self.ground.clock_us)
                return until()
            self.ground.clock_us = max(due_us, self.ground.clock_us)
            self.person.wakes()
        return True

    async def close(self) -> None:
        self.exit_code = 0 if self.exit_code is None else self.exit_code


class Person:
    """A client that follows the rules, in one dialect, and a user who does as the script says."""

    dialect = "text"
    address = ADDRESS

    def __init__(self, scene: MemoryScene, values: Mapping[str, str]) -> None:
        self.scene = scene
        self.values = values
        self.engine: ClientEngine | None = None

    # --- what a test may change ----------------------------------------------------------------------

    def begins(self) -> None:
        """It is started."""
        self.asks(Operation(self.values["operation"]), self.values["room"], self.values["name"])

    def writes(self, text: str) -> None:
        """Something is written to its terminal."""
        self.scene.output += text.encode().replace(b"\n", b"\r\n") + b"\r\n"

    def sends(self, data: bytes) -> None:
        """A datagram is sent."""
        self.scene.heard.append((self.scene.ground.clock_us, self.address, data))

    def is_told(self, line: str) -> None:
        """Its user has typed a line."""
        engine = self.engine
        if engine is None or engine.session is not SessionState.IN_ROOM:
            return
        if line in engine.codec.dialect.leave_words:
            self.does(engine.leave(self.now_us))
            return
        try:
            self.does(engine.say(line, self.now_us))
        except ValueError as error:
            self.writes(str(error))

    def hears(self, data: bytes) -> None:
        """A datagram has come."""
        if self.engine is not None:
            self.does(self.engine.receive_datagram(data, self.now_us))

    def reads(self, data: bytes) -> None:
        """Bytes have come over its connection."""
        if self.engine is not None:
            self.does(self.engine.receive_stream(data, self.now_us))

    def reads_the_end(self) -> None:
        """The server sends nothing more."""
        if self.engine is not None and self.scene.connections[-1].end is None:
            self.does(self.engine.stream_closed(self.now_us))

    # --- what it does ----------------------------------------------------------------------------------

    @property
    def now_us(self) -> int:
        return self.scene.ground.clock_us

    def asks(self, operation: Operation, room: str, name: str) -> None:
        ip, port = self.address
        config = ClientConfig(codec(self.dialect), operation, room, name, ip=ip, udp_port=port)
        self.engine = ClientEngine(config)
        self.scene.connections.append(MemoryConnection(self.scene))
        self.engine.start(self.now_us)
        self.does(self.engine.stream_opened("stream", self.now_us))

    def does(self, outputs: Outputs) -> None:
        for output in outputs:
            match output:
                case SendFrame(_, data):
                    self.scene.connections[-1].received += data
                case CloseStream():
                    self.scene.connections[-1].end = End.CLOSED
                case SendDatagram(data):
                    self.sends(data)
                case TextReceived(name, text):
                    self.writes(f"{name}: {text}")
                case NoticeReceived(notice, name):
                    self.writes(f"* {notice} {name}")
        self.looks_whether_it_is_over()

    def looks_whether_it_is_over(self) -> None:
        engine = self.engine
        if engine is None or self.scene.exit_code is not None:
            return
        if engine.handshake in (HandshakeState.REFUSED, HandshakeState.ABANDONED):
            self.writes(f"refused: {engine.reason or engine.said}")
            self.exits(1)
        elif engine.session is SessionState.EXPIRED and engine.is_quiescent:
            self.exits(0)

    def exits(self, code: int) -> None:
        self.scene.exit_code = code
        for each in self.scene.connections:
            each.end = each.end or End.CLOSED

    def due_us(self) -> int | None:
        return self.engine.next_deadline_us() if self.engine is not None else None

    def wakes(self) -> None:
        if self.engine is not None:
            self.does(self.engine.handle_timeout(self.now_us))


class MemoryClients:
    """The ground: starts a client for each scene."""

    nonce = "0"
    at_a_time = 1

    def __init__(self, make_person: Callable[[MemoryScene, Mapping[str, str]], Person] = Person) -> None:
        self.make_person = make_person
        self.clock_us = 0
        self.scenes: list[MemoryScene] = []

    def now_us(self) -> int:
        return self.clock_us

    async def sleep(self, us: int) -> None:
        until_us = self.clock_us + us
        for scene in self.scenes:
            await scene.wait(lambda: False, max(until_us - self.clock_us, 0))
        self.clock_us = max(until_us, self.clock_us)

    async def scene(self, command: Sequence[str], values: Mapping[str, str]) -> MemoryScene:
        scene = MemoryScene(self, values)
        self.scenes = [*(each for each in self.scenes if each.exit_code is None), scene]
        return scene

    async def together(self, tasks: Sequence[Awaitable[None]]) -> None:
        for each in tasks:
            await each

    async def bounded(self, task: Awaitable[None], within_us: int) -> bool:
        until_us = self.clock_us + within_us
        await task
        return self.clock_us <= until_us


def stage_on(
    person: type[Person] = Person, waits: Waits = WAITS, script: Script | None = None, *, knows_dialect: bool = True
) -> ClientStage:
    """A stage for a probe of such a client."""
    known = [codec(person.dialect)] if knows_dialect else [codec("text"), codec("json")]
    placeholders = frozenset({"{room}", "{name}", "{operation}"})
    return ClientStage(
        MemoryClients(person), known, waits, "probe", itertools.count(1), script or Script(), COMMAND, placeholders
    )


def found(
    probe: AloneProbe | ChatProbe, person: type[Person] = Person, waits: Waits = WAITS, script: Script | None = None
) -> list[Finding]:
    """What one run of a probe finds; a probe of the chat with a client in its room."""
    stage = stage_on(person, waits, script)

    async def story() -> None:
        try:
            if isinstance(probe, AloneProbe):
                await probe.story(stage)
            else:
                await probe.story(stage, await (stage.start() if probe.name == "request" else stage.granted()))
        except Skip as skip:
            stage.left_open(probe.rules, str(skip), inconclusive=False)
        except CannotTest as error:
            stage.left_open(probe.rules, str(error), inconclusive=True)
        finally:
            stage.catch_up()
            await stage.close()

    play(story())
    return stage.findings
