"""A stage for one probe: users who speak a dialect byte by byte, a record of all bytes, and what the probe found.

Every wait here has a bound of `Waits`. Nothing that fails to arrive is held against the server at the first try:
texts are said again, and a probe that finds something broken is run again by the runner.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from tcrp.engine.codec import PORT_BYTES, Codec
from tcrp.engine.meanings import Denied, Relayed, Told, Unread
from tcrp.engine.notices import ENDINGS, NoticeReader
from tcrp.engine.recognition import port_is_clear
from tcrp.engine.templates import Partial
from tcrp.judge.ground import End, Ground, Port, Stream, Unreached
from tcrp.judge.record import CannotTest, ProbeRecord, Skip, Waits
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Notice, Operation, Reason, Rule

REPLY_BYTES_MAX = 256 * 1024
CROWD = 20
TRIES = 4
"""How often a text is said until it counts as not relayed."""


class Kind(StrEnum):
    """What became of a request."""

    GRANTED = "granted"
    DENIED = "denied"
    SILENT = "silent"
    CLOSED = "closed"
    RESET = "reset"
    STRANGE = "strange"
    UNREACHED = "unreached"


class Reply(NamedTuple):
    """The server's answer to a request."""

    kind: Kind
    token: bytes = b""
    reason: Reason | None = None
    said: str = ""
    after_us: int = 0
    rest: bytes = b""  # what came in the same piece behind the completion

    @property
    def speaks(self) -> bool:
        """Whether the server has said anything."""
        return self.kind in (Kind.GRANTED, Kind.DENIED, Kind.STRANGE)

    @property
    def words(self) -> str:
        """The answer as a phrase."""
        match self.kind:
            case Kind.GRANTED:
                return "it was granted a token"
            case Kind.DENIED:
                return f"it was refused ({self.reason or repr(self.said)})"
            case Kind.SILENT:
                return f"no whole answer came within {self.after_us / SECOND_US:.0f} s"
            case Kind.CLOSED:
                return "the connection was closed without an answer"
            case Kind.RESET:
                return "the connection was reset"
            case Kind.STRANGE:
                return f"the answer is not of this dialect: {self.said}"
            case Kind.UNREACHED:
                return f"no connection: {self.said}"


class Heard(NamedTuple):
    """A datagram that arrived, as the user's dialect reads it."""

    at_us: int
    data: bytes
    message: Relayed | Told | Unread


class User:
    """Somebody with one UDP port, who asks, speaks and listens."""

    def __init__(self, stage: Stage, name: str, ip: str) -> None:
        self.stage = stage
        self.codec = stage.codec
        self.name = name
        self.ip = ip
        self.room = ""
        self.token = b""
        self.port: Port = stage.ground.port(ip, lambda number: port_is_clear(stage.codec, number))
        self._read = 0
        self._heard: list[Heard] = []
        self._notices = NoticeReader(stage.codec, "")

    def takes(self, room: str, token: bytes) -> User:
        """From now on this is the user's room and token."""
        self.room, self.token = room, token
        self._notices = NoticeReader(self.codec, room)
        return self

    # --- speaking ---------------------------------------------------------------------------------

    def says(self, text: str, *, room: str | None = None, name: str | None = None) -> bytes:
        """The bytes by which this user says a text."""
        used = (self.room if room is None else room).encode()
        return self.codec.datagram.write(used, self.token, self.name if name is None else name, text)

    def forged(self, text: bytes, *, room: bytes | None = None, token: bytes | None = None) -> bytes:
        """The bytes of a datagram in the common form, whose parts need not be what they should."""
        room = self.room.encode() if room is None else room
        token = self.token if token is None else token
        return bytes((len(room), len(token))) + room + token + text

    def send(self, data: bytes, note: str = "", through: Port | None = None) -> None:
        """Send a datagram as it is."""
        self.stage.log(self.name, "→", "UDP", data, note)
        (through or self.port).send(data)

    def say(self, text: str, note: str = "") -> None:
        """Send a text."""
        self.send(self.says(text), note)

    def enter(self) -> None:
        """Send what tells the server this user's address, where the dialect needs it."""
        if self.codec.dialect.learned_from is not LearnedFrom.REQUEST or self.codec.dialect.enter_word:
            self.say(self.codec.dialect.enter_word, "enters")

    def keep_alive(self) -> None:
        """Send an empty text."""
        self.say("", "keep-alive")

    def leave(self) -> None:
        """Send the leave word. Raises `Skip` where the dialect has none."""
        if not self.codec.dialect.leave_words:
            raise Skip("this dialect has no leave word")
        self.say(self.codec.dialect.leave_words[0], "leaves")

    # --- listening --------------------------------------------------------------------------------

    @property
    def heard(self) -> list[Heard]:
        """Everything that has arrived so far."""
        for at_us, data in self.port.heard[self._read :]:
            self._heard.append(Heard(at_us, data, self._understand(data)))
            self.stage.log(self.name, "←", "UDP", data, "", at_us)
        self._read = len(self.port.heard)
        return self._heard

    def _understand(self, data: bytes) -> Relayed | Told | Unread:
        told = self._notices.read(data)
        if told is not None:
            return told
        return self.codec.read_relay(data) or Unread(data.decode(errors="replace"))

    def times(self, text: str) -> int:
        """How often a datagram that holds `text` has arrived."""
        wanted = text.encode()
        return sum(wanted in each.data for each in self.heard)

    def told(self, notice: Notice | None = None, since: int = 0) -> list[Heard]:
        """The notices that have arrived; only those of a kind, if it is named."""
        return [
            each
            for each in self.heard[since:]
            if isinstance(each.message, Told) and (notice is None or each.message.notice is notice)
        ]

    def ended(self, since: int = 0) -> list[Heard]:
        """The notices by which this user's session has ended."""
        return [
            each
            for each in self.told(since=since)
            if isinstance(each.message, Told) and (each.message.notice in ENDINGS or self._is_own_end(each.message))
        ]

    def _is_own_end(self, told: Told) -> bool:
        return told.notice is Notice.LEFT and told.name == self.name

    async def hears(self, text: str, within_us: int | None = None) -> bool:
        """Wait until a datagram holds `text`."""
        return await self.port.wait(lambda: self.times(text) > 0, within_us or self.stage.waits.relay_us)


class Stage(ProbeRecord):
    """What a probe acts on, and where it says what it found."""

    def __init__(
        self, ground: Ground, codec: Codec, waits: Waits, probe: str, numbers: itertools.count[int], tries: int = TRIES
    ) -> None:
        super().__init__(ground.now_us, waits, probe)
        self.ground = ground
        self.codec = codec
        self.dialect = codec.dialect
        self.tries = tries
        self.met = False  # whether everybody in a room has once reached everybody else
        self.granted: list[bytes] = []
        self.controls: list[tuple[User, str]] = []  # texts that should arrive, and at whom
        self._numbers = numbers
        self._users: list[User] = []
        self._streams: list[Stream] = []

    def catch_up(self) -> None:
        """Put on record what has arrived at its users."""
        for user in self._users:
            user.heard  # noqa: B018 (reading it does so)

    # --- people -----------------------------------------------------------------------------------

    def user(self, name: str, ip: str | None = None) -> User:
        """Somebody new."""
        user = User(self, name, ip or self.ground.ip)
        self._users.append(user)
        return user

    def new_room(self) -> str:
        """The name of a room that nobody has yet."""
        return f"judge-{self.ground.nonce}-{next(self._numbers)}"

    def text(self, what: str) -> str:
        """A text that no other contains."""
        return f"{what} #{next(self._numbers)}."

    async def ask(
        self,
        user: User,
        operation: Operation,
        room: str,
        *,
        password: str = "",
        cuts: Iterable[int] = (),
        gap_us: int = 0,
        raw: bytes | None = None,
        port: int | None = None,
        announced_ip: str | None = None,
        resume_token: bytes = b"",
        half_closes: bool = False,
        trailer: bool = True,
        stream: Stream | None = None,
    ) -> Reply:
        """Ask to create or join, in one write or cut in pieces, and read the answer. Closes the connection,
        unless `stream` is given. `trailer`: a granted user tells its port where its dialect has a trailer.
        """
        data = raw
        if data is None:
            data = self.codec.write_request(
                operation, room.encode(), user.name, password, announced_ip or user.ip, port or user.port.number,
                resume_token=resume_token,
            )  # fmt: skip
        own = stream
        if own is None:
            try:
                own = await self.connect(user.ip)
            except Unreached as error:
                return Reply(Kind.UNREACHED, said=str(error))
        try:
            edges = [0, *cuts, len(data)]
            for start, end in itertools.pairwise(edges):
                if start and gap_us:
                    await self.ground.sleep(gap_us)
                self.log(user.name, "→", "TCP", data[start:end], str(operation))
                if not await own.send(data[start:end]):
                    break
            if half_closes:
                own.finish()
            reply = await self._read_reply(user, own, operation)
            if reply.kind is Kind.GRANTED and trailer and not half_closes and stream is None:
                await self.send_trailer(user, own)
            return reply
        finally:
            if stream is None:
                own.close()

    async def send_trailer(self, user: User, stream: Stream) -> None:
        """Tell the server the user's UDP port over TCP, where its dialect does."""
        if self.dialect.learned_from is LearnedFrom.TRAILER:
            data = user.port.number.to_bytes(PORT_BYTES, "big")
            self.log(user.name, "→", "TCP", data, "trailer")
            await stream.send(data)

    async def connect(self, ip: str | None = None) -> Stream:
        """A TCP connection, closed at the end of the probe at the latest. Raises `Unreached`."""
        stream = await self.ground.connect(ip or self.ground.ip, self.waits.answer_us)
        self._streams.append(stream)
        return stream

    async def _read_reply(self, user: User, stream: Stream, operation: Operation) -> Reply:
        began_us, data, size = self.ground.now_us(), bytearray(), 0
        greets = self.dialect.greeting is not None
        while True:
            greeting = self.codec.read_greeting(bytes(data)) if greets else 0
            if isinstance(greeting, int):
                greets = False
                del data[:greeting]
            read = Partial(has_head=False) if greets else self.codec.read_reply(data, operation)
            after_us = self.ground.now_us() - began_us
            if isinstance(read, Unread):
                return Reply(Kind.STRANGE, said=f"it begins with {bytes(data[:48])!r}", after_us=after_us)
            if not isinstance(read, Partial):
                del data[: read.size]
                said = read.says
                if isinstance(said, Denied):
                    return Reply(Kind.DENIED, reason=said.reason, said=said.said, after_us=after_us)
                if (token := getattr(said, "token", None)) is not None:
                    self.granted.append(token)
                    return Reply(Kind.GRANTED, token=token, after_us=after_us, rest=bytes(data))
                continue
            more = await stream.receive(max(self.waits.answer_us - after_us, 0))
            if more is None:
                if data:
                    return Reply(Kind.STRANGE, said=f"only {bytes(data[:48])!r} came", after_us=self.waits.answer_us)
                return Reply(Kind.SILENT, after_us=self.waits.answer_us)
            if isinstance(more, End):
                self.log(user.name, "←", "TCP", b"", str(more))
                if data:
                    return Reply(Kind.STRANGE, said=f"only {bytes(data[:48])!r} came, then it was {more}")
                return Reply(Kind.CLOSED if more is End.CLOSED else Kind.RESET)
            self.log(user.name, "←", "TCP", more)
            data += more
            size += len(more)
            if size > REPLY_BYTES_MAX:
                return Reply(Kind.STRANGE, said=f"more than {REPLY_BYTES_MAX} bytes came: {bytes(data[:48])!r}")

    async def needs(self, user: User, operation: Operation, room: str, *, password: str = "") -> User:
        """Ask, and enter the room. Raises `CannotTest` if that is not granted."""
        reply = await self.ask(user, operation, room, password=password)
        if reply.kind is not Kind.GRANTED:
            raise CannotTest(f"{user.name} could not {operation} a room: {reply.words} (see {Rule.TCP_2})")
        user.takes(room, reply.token).enter()
        return user

    async def room(self, *names: str) -> list[User]:
        """A room in which each of these reaches each other; the first is the host. Raises `CannotTest`."""
        users = await self.members(*names)
        await self.meet(users)
        return users

    async def members(self, *names: str) -> list[User]:
        """The members of a room, the host first, whether they reach each other or not. Raises `CannotTest`."""
        room, users = self.new_room(), [self.user(name) for name in names]
        for user in users:
            await self.needs(user, Operation.CREATE if user is users[0] else Operation.JOIN, room)
        return users

    async def meet(self, users: Sequence[User]) -> None:
        """See to it that each reaches each other. Raises `CannotTest`."""
        missing = await self.reaches_all(users)
        if missing:
            speaker, hearer = missing[0]
            raise CannotTest(f"a text of {speaker.name} does not reach {hearer.name} (see {Rule.REL_1})")

    async def reaches_all(self, users: Sequence[User]) -> list[tuple[User, User]]:
        """Who does not reach whom, though each has said something several times."""
        missing = [(speaker, hearer) for speaker in users for hearer in users if hearer is not speaker]
        for number in range(self.tries):
            speakers = dict.fromkeys(speaker for speaker, _ in missing)
            texts = {}
            for each in users if number else ():
                each.enter() if each in speakers else each.keep_alive()
            for each in speakers:
                texts[each] = self.text("hello")
                each.say(texts[each])
            deadline_us = self.ground.now_us() + self.waits.relay_us
            self.controls += [(hearer, texts[speaker]) for speaker, hearer in missing] if number else []
            for speaker, hearer in missing:
                await hearer.hears(texts[speaker], max(deadline_us - self.ground.now_us(), 1))
            missing = [(speaker, hearer) for speaker, hearer in missing if not hearer.times(texts[speaker])]
            if not missing:
                self.met = True
                break
        return missing

    async def reaches(self, speaker: User, hearer: User) -> bool:
        """Whether a text of one arrives at the other, said several times if need be."""
        for _ in range(self.tries):
            text = self.text("control")
            self.controls.append((hearer, text))
            speaker.say(text)
            if await hearer.hears(text):
                return True
        return False

    async def settles(self, speaker: User, hearer: User) -> None:
        """Until a text said now has arrived, and a little longer: what was sent before it had its chance.

        Raises `CannotTest` if it does not arrive.
        """
        if not await self.reaches(speaker, hearer):
            raise CannotTest(f"a text of {speaker.name} no longer reaches {hearer.name} (see {Rule.REL_1})")
        await self.ground.sleep(self.waits.quiet_us)

    @property
    def lost(self) -> int:
        """How many control texts have not arrived at members whom later ones have reached."""
        reached = {hearer for hearer, text in self.controls if hearer.times(text)}
        return sum(hearer in reached and not hearer.times(text) for hearer, text in self.controls)

    def close(self) -> None:
        """Everybody leaves, politely, and every socket is closed. Of a crowd only the hosts leave, which ends it."""
        hosts = {user.room: user for user in reversed(self._users)}
        for user in self._users:
            is_leaving = len(self._users) <= CROWD or hosts[user.room] is user
            if user.token and self.dialect.leave_words and is_leaving:
                user.send(user.says(self.dialect.leave_words[0]))
            user.port.close()
        for stream in self._streams:
            stream.close()
