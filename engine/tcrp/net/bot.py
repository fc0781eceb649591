"""A room as an object, for programs that chat.

async with tcrp.net.connect("127.0.0.1", room="lobby", name="echo") as chat:
    async for message in chat:
        await chat.say(f"{message.name} said {message.text}")
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from tcrp.engine.codec import Codec, codec
from tcrp.engine.liveness import UNTOLD_KEEP_ALIVE_US
from tcrp.engine.outputs import NoticeReceived, TextReceived, WordsReceived
from tcrp.net.client import Client, Loss, RequestRefused, ServerAt
from tcrp.spec.names import Machine, Notice, Operation, Reason, SessionEvent, SessionState
from tcrp.spec.table import IllegalEvent

RECEIVED_TEXTS_MAX: Final = 10_000
"""So many texts wait to be read; of more the oldest are lost and counted."""


class Message(NamedTuple):
    """What another member said, free of control characters (R-SHOW-1)."""

    name: str
    text: str


class SessionOver(IllegalEvent):
    """A text was to be said when the session was over. `why` as in `Chat.why`; None after the own leaving."""

    def __init__(self, state: SessionState, why: Notice | Loss | None) -> None:
        super().__init__(Machine.SESSION, state, SessionEvent.SPOKE)
        self.args = (f"the session is over: {why or 'it was left'}",)
        self.why = why


class Chat:
    """A place in a room. Iterating over it gives what others say, until the session ends; `why` then tells why.

    `missed` counts the texts that were lost because `RECEIVED_TEXTS_MAX` others waited to be read.
    """

    def __init__(self, room: str, name: str, keep_alive_us: int | None = None) -> None:
        self.room = room
        self.name = name
        self._keep_alive_us = keep_alive_us
        self.is_host = False
        self.missed = 0
        self._client: Client | None = None
        self._texts: deque[Message] = deque()
        self._arrived = asyncio.Event()  # a text, or the end

    @property
    def why(self) -> Notice | Loss | None:
        """Why the session is over: the server's notice, or a `Loss` of which it said nothing.

        None while the session goes on, and after its own leaving.
        """
        return self._client.why if self._client is not None else None

    @property
    def unheard(self) -> tuple[str, ...]:
        """The texts that perhaps nobody has heard: said since the last that came from the server."""
        return self._client.unheard if self._client is not None else ()

    @property
    def is_open(self) -> bool:
        """Whether it is still in the room, as far as it knows."""
        client = self._client
        return client is not None and client.state is SessionState.IN_ROOM and not client.is_over

    async def say(self, text: str) -> None:
        """Say `text` to everybody else. Texts leave no faster than a server takes them.

        Raises `SessionOver` once the session has ended, also if it ends while the text waits for its turn, and
        `ValueError` for a text that is too long for one datagram.
        """
        client = self._client
        assert client is not None, "a chat is given out once it has been entered"
        if self.is_open:
            await client.say(text)
            if self.is_open or text not in client.unheard:
                return
        raise SessionOver(client.state, client.why)

    async def leave(self) -> None:
        """Leave the room. Iterating then comes to its end."""
        assert self._client is not None, "a chat is given out once it has been entered"
        if self.is_open:
            self._client.leave()
        await self._client.settle()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[Message]:
        while True:
            while self._texts:
                yield self._texts.popleft()
            if self._client is None or self._client.is_over:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def _enter(self, server: ServerAt, speaks: Codec, operations: list[Operation], password: str) -> None:
        for operation in operations:
            client = self._client = Client(
                server,
                speaks,
                operation,
                self.room,
                self.name,
                password=password,
                keep_alive_us=self._keep_alive_us,
                hear=self._hear,
                ended=self._arrived.set,
            )
            try:
                await client.enter()
            except RequestRefused as refused:
                if refused.reason is Reason.NO_SUCH_ROOM and operation is not operations[-1]:
                    continue
                raise
            self.is_host = operation is Operation.CREATE
            return

    def _hear(self, effect: TextReceived | NoticeReceived | WordsReceived) -> None:
        if isinstance(effect, TextReceived):
            if len(self._texts) == RECEIVED_TEXTS_MAX:
                self._texts.popleft()
                self.missed += 1
            self._texts.append(Message(effect.name, effect.text))
            self._arrived.set()

    async def _end(self) -> None:
        if self._client is not None:
            if self.is_open:
                await self.leave()
            await self._client.close()


@asynccontextmanager
async def connect(
    host: str = "127.0.0.1",
    *,
    room: str,
    name: str,
    password: str = "",
    tcp_port: int = 9002,
    udp_port: int = 9003,
    dialect: str = "json",
    creates: bool = True,
    keep_alive: float | None = None,
) -> AsyncIterator[Chat]:
    """A place in `room`; a room that is not there is created, unless `creates` is false.

    At the end of the block it leaves politely. It keeps itself alive meanwhile, every `keep_alive` seconds: by
    default a fifth of the server's idle timeout in a dialect that tells it, else 10. Raises `Unreachable` if there
    is no server, `RequestRefused` with the reason if it says no, `KeyError` for a dialect that there is not,
    `ValueError` for a room name of over 255 bytes.
    """
    speaks = codec(dialect)
    if keep_alive is not None:
        keep_alive_us: int | None = round(keep_alive * 1_000_000)
    else:
        keep_alive_us = None if speaks.tells_timeout else UNTOLD_KEEP_ALIVE_US
    chat = Chat(room, name, keep_alive_us)
    operations = [Operation.JOIN, Operation.CREATE] if creates else [Operation.JOIN]
    try:
        await chat._enter(ServerAt(host, tcp_port, udp_port), speaks, operations, password)
        yield chat
    finally:
        await chat._end()
