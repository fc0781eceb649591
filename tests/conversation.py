"""A chat in memory, for tests that read as a conversation: real engines, no network, time as an argument.

`Chat` has one server; `chat.user("bob", "text")` makes a user with an IP address of their own. What
somebody sends arrives at once and in order, unless the test holds it back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from tcrp.engine.client import ClientConfig, ClientEngine
from tcrp.engine.client import Outputs as ClientOutputs
from tcrp.engine.codec import Codec, codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import (
    OBSERVATIONS,
    Address,
    CloseStream,
    Detail,
    FinishStream,
    NoticeReceived,
    Relay,
    SendDatagram,
    SendFrame,
    ServerSilent,
    TextReceived,
    WordsReceived,
)
from tcrp.engine.server import Outputs as ServerOutputs
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.spec.limits import Limits
from tcrp.spec.names import Counter, Operation, Reason, SessionState
from tcrp.trace.counters import Counters
from tcrp.trace.recorder import Cause, Recorder
from tcrp.trace.records import Record
from tcrp.trace.trace import Trace

SECOND = 1_000_000


def counted_tokens() -> Callable[[], bytes]:
    """Tokens of 32 hexadecimal digits, one after the other."""
    numbers = itertools.count(1)
    return lambda: b"%032x" % next(numbers)


class Chat:
    """A server, its users and the time. Settings are given by name: `Chat(members_max=2)`."""

    def __init__(
        self, *, only: str | Codec | None = None, listeners: Sequence[ListenerConfig] = (), **settings: Any
    ) -> None:
        self.now_us = 0
        self.limits = Limits().with_settings(settings)
        self.records: list[Record] = []
        self.trace = Trace()
        self.trace.listeners.append(self.records.append)
        speaks = codec(only) if isinstance(only, str) else only
        self.recorder = Recorder(self.trace, "server", Cause())
        self.counters = Counters()
        one = ListenerConfig(() if speaks is None else (speaks,))
        config = ServerConfig(self.limits, tuple(listeners) or (one,))
        self.server = ServerEngine(config, new_token=counted_tokens(), detail=Detail.EVERYTHING)
        self.users: dict[Address, User] = {}
        self.streams: dict[str, User | Peer] = {}
        self.sent: list[tuple[int, Address, bytes]] = []  # datagrams of the server
        self.sent_by: list[int] = []  # by which listener each of them
        self._numbers = itertools.count(1)

    def user(self, name: str, dialect: str = "text", *, ip: str = "", listener: int = 0) -> User:
        """A peer with an IP address of its own, unless one is given. It asks and speaks by that listener."""
        number = next(self._numbers)
        return User(self, name, dialect, Address(ip or f"10.0.0.{number}", 40000 + number), listener)

    def peer(self, ip: str = "10.9.0.1", *, listener: int = 0) -> Peer:
        """A TCP connection that no client engine drives."""
        return Peer(self, f"peer{next(self._numbers)}", Address(ip, 50000), listener)

    # --- time ------------------------------------------------------------------------------------

    def passes(self, seconds: float) -> None:
        """Let time pass; every engine is woken at each of its deadlines on the way."""
        until_us = self.now_us + round(seconds * SECOND)
        while True:
            deadlines = [self.server.next_deadline_us()]
            deadlines += [user.engine.next_deadline_us() for user in self.users.values() if user.engine is not None]
            due = [us for us in deadlines if us is not None and us <= until_us]
            if not due:
                break
            self._wake(max(min(due), self.now_us))
        self._at(until_us)

    def settles(self) -> None:
        """Let time pass until nothing but silence is waited for."""
        for _ in range(1000):
            engines = [user.engine for user in self.users.values() if user.engine is not None]
            if self.server.is_quiescent and all(engine.is_quiescent for engine in engines):
                return
            everyone: list[ServerEngine | ClientEngine] = [self.server, *engines]
            restless = [each.next_deadline_us() for each in everyone if not each.is_quiescent]
            self._wake(max(min(us for us in restless if us is not None), self.now_us))
        raise AssertionError("the chat does not settle")

    def _wake(self, when_us: int) -> None:
        self._at(when_us)
        self.do(self.server.handle_timeout(self.now_us))
        for user in list(self.users.values()):
            if user.engine is not None:
                user.do(user.engine.handle_timeout(self.now_us))

    def _at(self, when_us: int) -> None:
        self.now_us = self.trace.now_us = when_us

    # --- the server ------------------------------------------------------------------------------

    def do(self, effects: ServerOutputs) -> None:
        """Carry out what the server wants."""
        for effect in effects:
            self.counters.add(effect)
            if isinstance(effect, OBSERVATIONS):
                self.recorder.observe(effect)
                continue
            match effect:
                case SendFrame(stream, data):
                    self.streams[str(stream)].hears(data)
                case FinishStream(stream) | CloseStream(stream):
                    self.streams[str(stream)].hears_the_end()
                case SendDatagram(data, address, _, listener):
                    assert address is not None
                    self.delivers(data, address, listener)
                case Relay(data, targets, _, listener):
                    for target in targets:
                        self.delivers(data, target, listener)
        if any(isinstance(effect, SendFrame) for effect in effects):
            self.do(self.server.handle_timeout(self.now_us))

    def delivers(self, data: bytes, address: Address, listener: int = 0) -> None:
        self.sent.append((self.now_us, address, data))
        self.sent_by.append(listener)
        user = self.users.get(address)
        if user is not None and user.engine is not None:
            user.do(user.engine.receive_datagram(data, self.now_us))

    def datagram(self, data: bytes, source: Address, listener: int = 0) -> None:
        """A datagram from anywhere."""
        self.counters.datagrams(1)
        self.do(self.server.receive_datagram(data, source, self.now_us, listener))

    def sent_to(self, user: User) -> list[bytes]:
        """The datagrams that the server has sent to a user."""
        return [data for _, address, data in self.sent if address == user.address]

    def count(self, counter: Counter) -> int:
        return self.counters.counts[counter]

    def steps(self, machine: str, id: str = "") -> list[str]:
        """The events of the server's machines of that id, in order."""
        return [
            str(record.event)  # type: ignore[union-attr]
            for record in self.records
            if record.kind == "step" and record.actor == "server" and record.machine == machine  # type: ignore[union-attr]
            and (not id or record.id == id)  # type: ignore[union-attr]
        ]  # fmt: skip

    def rules_dropped(self) -> list[str]:
        """The rules by which datagrams were dropped, in order."""
        return [str(record.rule) for record in self.records if record.kind == "drop"]  # type: ignore[union-attr]


class Peer:
    """One end of a TCP connection, byte by byte."""

    def __init__(self, chat: Chat, stream: str, address: Address, listener: int) -> None:
        self.chat = chat
        self.stream = stream
        self.heard = b""
        self.is_closed = False
        chat.streams[stream] = self
        chat.counters.stream_opened()
        chat.do(chat.server.stream_opened(stream, address, chat.now_us, listener, name=stream))

    def sends(self, data: bytes, *, wake: bool = True) -> None:
        effects = self.chat.server.receive_stream(self.stream, data, self.chat.now_us)
        if wake:
            self.chat.do(effects)
            return
        for effect in effects:
            if isinstance(effect, SendFrame):
                self.heard += effect.data
            elif isinstance(effect, OBSERVATIONS):
                self.chat.recorder.observe(effect)

    def half_closes(self) -> None:
        self.chat.do(self.chat.server.stream_ended(self.stream, self.chat.now_us))

    def breaks(self) -> None:
        self.chat.counters.stream_lost()
        self.chat.do(self.chat.server.stream_closed(self.stream, self.chat.now_us))

    def hears(self, data: bytes) -> None:
        self.heard += data

    def hears_the_end(self) -> None:
        self.is_closed = True


class User:
    """Somebody with a client."""

    def __init__(self, chat: Chat, name: str, dialect: str, address: Address, listener: int) -> None:
        self.chat = chat
        self.listener = listener
        self.name = name
        self.dialect = dialect
        self.address = address
        self.engine: ClientEngine | None = None
        self.screen: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.words: list[str] = []
        self.sent: list[tuple[int, bytes]] = []
        self.is_cut_off = False  # what it sends gets nowhere
        self.keeps_alive = False
        self.paces = False
        self.silences = 0  # how often it found the server silent
        self.recorder = Recorder(chat.trace, name, Cause())
        chat.users[address] = self

    # --- what a user does ----------------------------------------------------------------------------

    def creates(self, room: str, password: str = "", *, resume: bytes = b"") -> User:
        return self._asks(Operation.CREATE, room, password, resume)

    def joins(self, room: str, password: str = "", *, resume: bytes = b"") -> User:
        return self._asks(Operation.JOIN, room, password, resume)

    def says(self, text: str) -> None:
        self.do(self.client.say(text, self.chat.now_us))

    def leaves(self) -> None:
        self.do(self.client.leave(self.chat.now_us))

    def sends(self, body: bytes, *, room: str = "", token: bytes = b"", source: Address | None = None) -> None:
        """A datagram by hand: the user's own room and token, unless others are given."""
        name = (room or self.client.room).encode()
        token = token or self.client.token
        self.chat.datagram(bytes((len(name), len(token))) + name + token + body, source or self.address, self.listener)

    def _asks(self, operation: Operation, room: str, password: str, resume: bytes) -> User:
        chat = self.chat
        config = ClientConfig(
            codec(self.dialect), operation, room, self.name, password=password, resume_token=resume,
            ip=self.address.ip, udp_port=self.address.port, limits=chat.limits, keeps_alive=self.keeps_alive,
            paces=self.paces,
        )  # fmt: skip
        self.engine = ClientEngine(config, detail=Detail.EVERYTHING)
        self.recorder = Recorder(chat.trace, self.name, Cause())
        stream = f"{self.name}{next(chat._numbers)}"
        chat.streams[stream] = self
        self.engine.start(chat.now_us)
        chat.counters.stream_opened()
        greets = chat.server.stream_opened(stream, self.address, chat.now_us, self.listener, name=self.name)
        asks = self.engine.stream_opened(stream, chat.now_us)
        chat.do(greets)
        self.do(asks)
        return self

    # --- what happens to a user ---------------------------------------------------------------------

    @property
    def client(self) -> ClientEngine:
        assert self.engine is not None, f"{self.name} has no client yet"
        return self.engine

    @property
    def token(self) -> bytes:
        return self.client.token

    @property
    def state(self) -> SessionState:
        return self.client.session

    @property
    def refused(self) -> Reason | None:
        return self.client.reason

    def sees(self, *texts: str) -> bool:
        """Whether these texts, and no others, stand on the screen."""
        return [text for _, text in self.screen] == list(texts)

    def hears(self, data: bytes) -> None:
        self.do(self.client.receive_stream(data, self.chat.now_us))

    def hears_the_end(self) -> None:
        self.do(self.client.stream_closed(self.chat.now_us))  # most clients have closed by themselves

    def do(self, effects: ClientOutputs) -> None:
        """Carry out what the client wants."""
        for effect in effects:
            if isinstance(effect, OBSERVATIONS):
                self.recorder.observe(effect)
                continue
            match effect:
                case ServerSilent():
                    self.silences += 1
                case SendFrame(stream, data):
                    self.chat.do(self.chat.server.receive_stream(stream, data, self.chat.now_us))
                case CloseStream(stream):
                    self.chat.do(self.chat.server.stream_ended(stream, self.chat.now_us))
                case SendDatagram(data):
                    self.sent.append((self.chat.now_us, data))
                    if not self.is_cut_off:
                        self.chat.datagram(data, self.address, self.listener)
                case TextReceived(name, text):
                    self.screen.append((name, text))
                case NoticeReceived(notice):
                    self.told.append(str(notice))
                case WordsReceived(text):
                    self.words.append(text)
