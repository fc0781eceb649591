"""A stage for one probe of a client: runs of the client, and the server that they meet, played byte by byte.

Every wait here has a bound. What the client does is read from its sockets and its terminal alone.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from tcrp.engine.codec import PORT_BYTES, Codec
from tcrp.engine.meanings import Asked
from tcrp.engine.notices import write_notice
from tcrp.engine.recognition import Recognised, Recogniser
from tcrp.engine.templates import Partial
from tcrp.judge.client_ground import Address, ClientGround, Connection, Scene
from tcrp.judge.client_script import ENTER, HAD, KEYS, Do, Script, Step, fill
from tcrp.judge.record import CannotTest, ProbeRecord, Skip, Waits
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, SECOND_US
from tcrp.spec.names import Notice, Operation, Rule

REQUEST_BYTES_MAX = 1 << 20
STUCK_US = 8 * SECOND_US
"""How long a client may say and ask nothing before it has made a request."""
ENTER_US = 20 * SECOND_US
"""How long a client may take from its start to its request."""
PAUSE_US = 100_000
"""A client that has written nothing for so long waits for an answer."""
ANSWERS_MAX = 20
GUEST, HOST = "bobby", "annika"
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_]|[()][0-9A-B])")


class Misread(CannotTest):
    """The client's request is none of its dialect. The message says why."""


class CannotJudge(Exception):
    """This client cannot be judged at all. The message says what was seen and what to try."""


def plain(output: bytes) -> str:
    """What a terminal was written, without the sequences that move and colour."""
    return ESCAPES.sub("", output.decode(errors="replace")).replace("\r\n", "\n")


def squeezed(text: str) -> str:
    """Without blanks and line ends: where a terminal breaks lines is of no account."""
    return "".join(text.split())


def chosen(operation: Operation) -> dict[str, str]:
    """An operation, as placeholders."""
    number = "1" if operation is Operation.CREATE else "2"
    return {"operation": str(operation), "number": number, "letter": operation[0]}


class Client:
    """One run of the client, as its server and its user know it."""

    def __init__(self, stage: ClientStage, scene: Scene, operation: Operation, name: str, room: str) -> None:
        self.stage = stage
        self.scene = scene
        self.codec = stage.codec
        self.asked_name, self.asked_room = name, room  # what the user wants; the client may do otherwise
        self.name, self.room, self.operation = name, room, operation
        self.token = b""
        self.connection: Connection | None = None
        self.address: Address | None = None  # where its dialect says that relays go
        self.announced: int | None = None
        self.texts: list[str] = []  # of its datagrams, in order
        self.faults: list[tuple[Rule, str]] = []
        self.granted_at = 0  # how many datagrams had come by then
        self._written = 0  # how much of its output has been answered
        self._fault = ""  # why its request cannot be read
        self._request_bytes = 0
        self._read = 0
        self._logged: dict[int, int] = {}

    # --- what it has done -------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Put on record, and judge, what has come."""
        for number, connection in enumerate(self.scene.connections):
            seen = self._logged.get(number, 0)
            if len(connection.received) > seen:
                self.stage.log("client", "→", "TCP", bytes(connection.received[seen:]))
                self._logged[number] = len(connection.received)
        for at_us, source, data in self.scene.heard[self._read :]:
            self.stage.log("client", "→", "UDP", data, "", at_us)
            self._take(source, data)
        self._read = len(self.scene.heard)

    def _take(self, source: Address, data: bytes) -> None:
        if not self.token:
            return  # the first probe judges that
        fault = self._fault_of(source, data)
        if fault is not None:
            self.faults.append(fault)
        assert self.codec is not None, "what has a token has a dialect"
        head = self.codec.head(data)
        text = self.codec.read_text(data, head[2]) if head is not None and fault is None else None
        if text is None:  # as far as it can be guessed
            behind = data.partition(self.token)[2] or data[2 + len(self.room.encode()) + len(self.token) :]
            text = behind.decode(errors="replace")
        self.texts.append(text)
        learned = self.codec.dialect.learned_from
        if learned is not LearnedFrom.CONNECTION and not self.codec.dialect.port_fixed:
            self.address = source

    def _fault_of(self, source: Address, data: bytes) -> tuple[Rule, str] | None:
        """The rule that a datagram breaks, and how."""
        if len(data) > CLIENT_DATAGRAM_BYTES_MAX:
            return (
                Rule.UDP_1,
                f"it sends a datagram of {len(data)} bytes, at most {CLIENT_DATAGRAM_BYTES_MAX} are allowed",
            )
        assert self.codec is not None, "what has a token has a dialect"
        head, room = self.codec.head(data), self.room.encode()
        if head is None or (head[0] is not None and (head[0], head[1]) != (room, self.token)):
            return self._misread(data, head)
        if self.codec.read_text(data, head[2]) is None:
            return Rule.IDLE_2, f"no text of this dialect in UTF-8: {data[head[2] :][:60]!r}"
        if self.connection is not None and source[0] != self.connection.source[0]:
            return Rule.TOK_3, f"it was given its token at {self.connection.source[0]}, and sends from {source[0]}"
        return None

    def _misread(self, data: bytes, head: tuple[bytes | None, bytes, int] | None) -> tuple[Rule, str]:
        """Which rule a datagram breaks whose head is not that of this user."""
        assert self.codec is not None, "what has a token has a dialect"
        room = self.room.encode()
        right = self.codec.datagram.write(room, self.token, self.name, "")
        if head is None or (self.token in data and room in data):
            return Rule.UDP_1, f"its datagram begins with {data[:8].hex(' ')}, not with {right[:8].hex(' ')}"
        if head[1] != self.token:
            return Rule.TOK_2, f"its datagram holds the token {head[1][:40]!r}; it was given {self.token!r}"
        return Rule.IDLE_2, f"its datagram names room {head[0]!r}; it is in {room!r}"

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self.scene.exit_code is not None

    @property
    def ended_how(self) -> str:
        """How the process has ended, in words."""
        code = self.scene.exit_code
        return (
            "it still runs" if code is None else f"it ended, by signal {-code}" if code < 0 else f"it ended with {code}"
        )

    @property
    def output(self) -> str:
        """What it has written, without what moves and colours."""
        return plain(bytes(self.scene.output))

    @property
    def last_line(self) -> str:
        """The last line that it has written."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][-120:] if lines else ""

    def shows(self, text: str) -> bool:
        """Whether it has written this, wherever the lines are broken."""
        wanted = squeezed(text)
        return wanted in squeezed(self.output) or wanted in squeezed(self.scene.screen)  # where cursors move

    def times_said(self, text: str) -> int:
        """How often it has sent a text."""
        self.catch_up()
        return self.texts.count(text)

    async def wait(self, until: str, within_us: int) -> bool:
        """Wait until it shows a text."""
        return await self.wait_for_all([until], within_us)

    async def wait_for_all(self, texts: Sequence[str], within_us: int) -> bool:
        """Wait until it shows all these, in whatever order."""

        def shows_all() -> bool:
            return all(map(self.shows, texts))

        return await self.scene.wait(lambda: shows_all() or self.has_ended, within_us) and shows_all()

    async def is_heard_to_say(self, text: str, within_us: int) -> bool:
        """Wait until it has sent a text, or something that breaks a rule."""
        await self.scene.wait(lambda: self.times_said(text) > 0 or bool(self.faults), within_us)
        return self.times_said(text) > 0

    # --- asking -----------------------------------------------------------------------------------

    async def asks(self) -> Asked:
        """Answer its questions until it has made its request. Raises `CannotTest`, `CannotJudge`."""
        stage = self.stage
        deadline_us = stage.ground.now_us() + ENTER_US
        if stage.script.enter:
            await self.run(stage.script.enter)
        self._written = answers = 0
        while not self._requests():
            self._look_for_a_fault(deadline_us)
            if self.scene.is_flooded:
                raise CannotJudge(f"it prints without end: {len(self.scene.output)} bytes before its request")
            if self.has_ended:
                raise CannotJudge(f"{self.ended_how} before it made a request; it said: {self._words()}")
            left_us = deadline_us - stage.ground.now_us()
            if left_us <= 0 or not await self._stirs(self._written, min(left_us, STUCK_US)):
                self._look_for_a_fault(0)
                raise CannotJudge(self._stuck(left_us))
            size = len(self.scene.output)
            if self._requests() or await self._stirs(size, PAUSE_US):
                continue  # it goes on writing
            asked = plain(bytes(self.scene.output[self._written :]))
            answer = stage.script.answer_to(asked, self._values())
            if answer is None:
                if not await self._stirs(size, STUCK_US):
                    self._look_for_a_fault(0)
                    raise CannotJudge(self._stuck(left_us))
                continue
            if (answers := answers + 1) > ANSWERS_MAX:
                raise CannotJudge(f"it has asked {ANSWERS_MAX} times without a request; last: {self._words()}")
            self._type(answer + ENTER)
            await self._stirs(size + len(answer.encode()), PAUSE_US)
            self._written = self._behind_echo(size, answer)
        self._take_request()
        return self._asked

    async def _stirs(self, size: int, within_us: int) -> bool:
        """Wait until it has written more than so many bytes, has made its request, or has ended."""
        return await self.scene.wait(
            lambda: (
                len(self.scene.output) > size
                or self.has_ended
                or self._requests()
                or bool(self._fault)
                or self.scene.is_flooded
            ),
            within_us,
        )

    def _look_for_a_fault(self, deadline_us: int) -> None:
        """Raise where a request has come that is none, or none that ends."""
        received = self.connection_with_bytes()
        if self._fault or (received is not None and self.stage.ground.now_us() > deadline_us):
            assert received is not None, "a fault is in what was received"
            self.catch_up()
            said = self._fault or (
                f"its request is not whole: it sends {len(received.received)} bytes, "
                f"{bytes(received.received[:60])!r}, and its header promises more"
            )
            if self.stage.codec is None:
                raise CannotJudge(f"{said}. It fits none of the dialects: name its dialect with --dialect")
            raise Misread(said)

    def _behind_echo(self, written: int, answer: str) -> int:
        found = self.scene.output.find(answer.encode(), written)
        return found + len(answer.encode()) if answer and found >= 0 else written

    def _values(self) -> dict[str, str]:
        return {
            **self.scene.places, "room": self.asked_room, "name": self.asked_name,
            **chosen(self.operation),
            "leave_word": next(iter(self.codec.dialect.leave_words), "") if self.codec is not None else "",
        }  # fmt: skip

    def _words(self) -> str:
        lines = [line.strip() for line in self.output.splitlines() if line.strip()][-3:]
        return repr(" / ".join(lines)[-200:]) if lines else "nothing"

    def _stuck(self, left_us: int) -> str:
        waited = f"{(STUCK_US if left_us > 0 else ENTER_US) / SECOND_US:g} s"
        tcp, udp = (self.scene.places[each] for each in ("tcp_port", "udp_port"))
        return (
            f"it made no request within {waited} to TCP port {tcp} (UDP {udp}); it said: {self._words()}. If it asks "
            "something, answer that with --script; if it uses other ports, name them with --tcp-port and --udp-port"
        )

    def connection_with_bytes(self) -> Connection | None:
        """The latest connection over which something came."""
        return next((each for each in reversed(self.scene.connections) if each.received), None)

    def _requests(self) -> bool:
        """Whether a whole request has come over a connection."""
        for connection in reversed(self.scene.connections):
            if connection is self.connection or not connection.received:
                continue
            read = self.stage.recogniser.read(
                bytes(connection.received), limit=REQUEST_BYTES_MAX, is_over=connection.end is not None
            )
            if isinstance(read, Recognised) and read.codec is not None and read.asked.request is not None:
                self._next = connection, read.codec, read.asked
                return True
            if not isinstance(read, Partial):
                self._fault = f"its request cannot be read: {bytes(connection.received[:80])!r}"
        return False

    def _take_request(self) -> None:
        self.connection, self.codec, self._asked = self._next
        request, self.operation = self._asked.request, self._asked.operation
        assert request is not None, "only what was read is taken"
        self.name, self.room = request.name.decode(errors="replace"), self._asked.room.decode(errors="replace")
        self.announced = request.port
        self._request_bytes = self._asked.size
        self.catch_up()

    @property
    def follows_the_script(self) -> bool:
        """Whether it asks for the room, and by the name, that its user wants."""
        return (self.name, self.room) == (self.asked_name, self.asked_room)

    def behind_request(self) -> bytes:
        """What it has sent over TCP behind its request."""
        assert self.connection is not None, "a request came over a connection"
        return bytes(self.connection.received[self._request_bytes :])

    # --- answering --------------------------------------------------------------------------------

    def reply(self, data: bytes, note: str = "") -> None:
        """Send bytes over its connection."""
        assert self.connection is not None, "a request came over a connection"
        self.stage.log("client", "←", "TCP", data, note)
        self.connection.send(data)

    def granting(self) -> list[bytes]:
        """The messages that grant its request, with a fresh token."""
        assert self.codec is not None, "a request has a dialect"
        self.token = self.stage.new_token()
        room = self.room.encode()
        answer = self.codec.write_answer(self.operation, room, self.name)
        completion = self.codec.write_completion(self.operation, room, self.name, self.token, host=HOST, members=2)
        return [each for each in (self.codec.write_greeting(), answer, completion) if each]

    async def is_granted(self) -> None:
        """Grant its request, and learn where its relays go."""
        await self.is_given_its_token()
        await self.learn_address()

    async def is_given_its_token(self) -> None:
        """Grant its request, frame by frame."""
        for number, message in enumerate(self.granting()):
            if number:
                await self.stage.ground.sleep(PAUSE_US // 4)
            self.reply(message)
        self.completed()

    def completed(self) -> None:
        """Half-close behind the last frame. From now on its datagrams count."""
        assert self.connection is not None, "a request came over a connection"
        self.connection.finish()
        self.granted_at = len(self.scene.heard)

    async def learn_address(self) -> None:
        """Wait until it is known where its relays go. Raises `CannotTest`."""
        assert self.codec is not None, "a request has a dialect"
        assert self.connection is not None, "a request came over a connection"
        ip, learned = self.connection.source[0], self.codec.dialect.learned_from
        if learned is LearnedFrom.REQUEST and self.announced is not None:
            self.address = ip, self.announced
        elif learned is LearnedFrom.CONNECTION:
            self.address = self.connection.source
        else:
            await self.scene.wait(self._has_address, self.stage.waits.relay_us)
            if not self._has_address():  # it speaks first, then
                await self.says(self.stage.text("hello"))
                await self.scene.wait(self._has_address, self.stage.waits.answer_us)
        if self.address is None and not self._has_address():
            raise CannotTest(f"it sends no datagram after it was granted; {self.ended_how} (see {Rule.UDP_4})")

    def _has_address(self) -> bool:
        self.catch_up()
        assert self.codec is not None, "a request has a dialect"
        behind = self.behind_request()
        if (
            self.address is None
            and len(behind) >= PORT_BYTES
            and self.codec.dialect.learned_from is LearnedFrom.TRAILER
        ):
            assert self.connection is not None, "a request came over a connection"
            self.announced = int.from_bytes(behind[:PORT_BYTES], "big")
            self.address = self.connection.source[0], self.announced
        return self.address is not None

    # --- datagrams --------------------------------------------------------------------------------

    def hears(self, data: bytes, note: str = "", to: Address | None = None) -> None:
        """Send a datagram to it."""
        where = to or self.address
        assert where is not None, "its address is known"
        self.stage.log("client", "←", "UDP", data, note)
        self.scene.send(data, where)

    def relay_of(self, text: str, name: str = HOST) -> bytes:
        """A text of another member as it reaches this client. Raises `Skip` where it does not fit."""
        assert self.codec is not None, "a request has a dialect"
        data = self.codec.write_relay(name, text, self.room.encode(), self.token)
        if data is None:
            raise Skip("such a text has no form in this dialect")
        return data

    def notice_of(self, notice: Notice, name: str = "") -> bytes | None:
        """A notice as it reaches this client."""
        assert self.codec is not None, "a request has a dialect"
        return write_notice(
            self.codec, notice, name=name or self.name, room=self.room, host=HOST, token=self.token
        )  # fmt: skip

    # --- its user ---------------------------------------------------------------------------------

    def _type(self, text: str) -> None:
        shown = text.replace(ENTER, "⏎")
        self.stage.log("user", "·", "", b"", f"the user types {shown}")
        self.scene.type(text.encode())

    async def says(self, text: str) -> None:
        """Its user says something."""
        await self.run(self.stage.script.say, text)

    async def leaves(self) -> None:
        """Its user leaves."""
        await self.run(self.stage.script.leave)

    async def run(self, steps: Sequence[Step], text: str = "") -> None:
        """Do these steps of the script. Raises `CannotTest` where one waits in vain."""
        values = {**self._values(), "text": text}
        mark = len(self.scene.output)
        for step in steps:
            match step.do:
                case Do.TYPE:
                    mark = len(self.scene.output)
                    self._type(fill(step.what, values) + ENTER)
                case Do.KEY:
                    self._type(KEYS[step.what])
                case Do.WAIT | Do.EXPECT:
                    await self._await_output(step, mark if step.do is Do.WAIT else 0)
                case Do.HAD:
                    await self._await_server(step)

    async def _await_output(self, step: Step, mark: int) -> None:
        pattern = re.compile(step.what, re.IGNORECASE | re.DOTALL)

        def stands() -> bool:
            return bool(pattern.search(plain(bytes(self.scene.output[mark:]))) or pattern.search(self.scene.screen))

        if not await self.scene.wait(lambda: stands() or self.has_ended, step.within_us) or not stands():
            raise CannotJudge(
                f"script, {step.where}: {step.do} {step.what!r} was not met within {step.within_us / SECOND_US:g} s; "
                f"{self.ended_how}, and it said: {self._words()}"
            )

    async def _await_server(self, step: Step) -> None:
        is_request = step.what == HAD[0]
        before = len(self.scene.heard)
        met = await self.scene.wait(
            lambda: self._requests() if is_request else len(self.scene.heard) > before, step.within_us
        )
        if not met:
            raise CannotJudge(
                f"script, {step.where}: the server had no {step.what} within {step.within_us / SECOND_US:g} s; the "
                f"client said: {self._words()}"
            )


class ClientStage(ProbeRecord):
    """What a probe acts on, and where it says what it found. `codec` is None until the dialect is known."""

    whose = "the client's"

    def __init__(
        self,
        ground: ClientGround,
        codecs: Sequence[Codec],
        waits: Waits,
        probe: str,
        numbers: itertools.count[int],
        script: Script,
        command: Sequence[str],
        placeholders: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(ground.now_us, waits, probe)
        self.placeholders = placeholders  # that its command or its script uses
        self.ground = ground
        self.codec = codecs[0] if len(codecs) == 1 else None
        self.recogniser = Recogniser(codecs)
        self.script = script
        self._command = command
        self._numbers = numbers
        self.clients: list[Client] = []

    async def start(self, operation: Operation = Operation.JOIN, *, name: str = GUEST, room: str = "") -> Client:
        """Start the client. Raises `CannotStart`."""
        room = room or f"judge-{self.ground.nonce}-{next(self._numbers)}"
        values = {"room": room, "name": name, **chosen(operation)}
        scene = await self.ground.scene(self._command, values)
        client = Client(self, scene, operation, name, room)
        self.clients.append(client)
        return client

    async def granted(self, operation: Operation = Operation.JOIN, *, name: str = GUEST, room: str = "") -> Client:
        """A client in its room. Raises `CannotTest`."""
        client = await self.start(operation, name=name, room=room)
        await client.asks()
        await client.is_granted()
        return client

    def new_token(self) -> bytes:
        """A token that no other run of the client has."""
        return f"{next(self._numbers):08x}{self.ground.nonce:0>24}".encode()

    def text(self, what: str) -> str:
        """A text that no other contains."""
        return f"{what} no{next(self._numbers)}."

    def catch_up(self) -> None:
        """Put on record what the clients have sent."""
        for client in self.clients:
            client.catch_up()

    async def close(self) -> None:
        """End every client."""
        for client in self.clients:
            await client.scene.close()
