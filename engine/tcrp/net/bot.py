"""A room as an object, for programs that chat.

async with tcrp.net.connect("127.0.0.1", room="lobby", name="echo") as chat:
    async for message in chat:
        await chat.say(f"{message.name} said {message.text}")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from tcrp.engine.codec import Codec, codec
from tcrp.engine.outputs import NoticeReceived, TextReceived
from tcrp.net.client import Client, RequestRefused, ServerAt
from tcrp.spec.names import Notice, Operation, Reason, SessionState


class Message(NamedTuple):
    """What another member said, free of control characters (R-SHOW-1)."""

    name: str
    text: str


class Chat:
    """A place in a room. Iterating over it gives what others say, until the session ends; `why` then tells why."""

    def __init__(self, room: str, name: str) -> None:
        self.room = room
        self.name = name
        self.is_host = False
        self._client: Client | None = None
        self._heard: asyncio.Queue[Message | None] = asyncio.Queue()

    @property
    def why(self) -> Notice | None:
        """What the server said when it ended the session, or None: it has not ended, or the server gave no reason."""
        return self._client.told if self._client is not None else None

    @property
    def is_open(self) -> bool:
        """Whether it is still in the room, as far as it knows."""
        client = self._client
        return client is not None and client.state is SessionState.IN_ROOM and not client.is_over

    async def say(self, text: str) -> None:
        """Say `text` to everybody else. Texts leave no faster than a server takes them.

        Raises `IllegalEvent` (of `tcrp.spec.table`) once the session has ended, `ValueError` for a text
        that is too long for one datagram.
        """
        assert self._client is not None, "a chat is given out once it has been entered"
        await self._client.say(text)

    async def leave(self) -> None:
        """Leave the room. Iterating then comes to its end."""
        assert self._client is not None, "a chat is given out once it has been entered"
        if self.is_open:
            self._client.leave()
        await self._client.settle()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[Message]:
        while (message := await self._heard.get()) is not None:
            yield message

    async def _enter(self, server: ServerAt, speaks: Codec, operations: list[Operation], password: str) -> None:
        for operation in operations:
            client = self._client = Client(
                server,
                speaks,
                operation,
                self.room,
                self.name,
                password=password,
                hear=self._hear,
                ended=lambda: self._heard.put_nowait(None),
            )
            try:
                await client.enter()
            except RequestRefused as refused:
                if refused.reason is Reason.NO_SUCH_ROOM and operation is not operations[-1]:
                    continue
                raise
            self.is_host = operation is Operation.CREATE
            return

    def _hear(self, effect: TextReceived | NoticeReceived) -> None:
        if isinstance(effect, TextReceived):
            self._heard.put_nowait(Message(effect.name, effect.text))

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
) -> AsyncIterator[Chat]:
    """A place in `room`; a room that is not there is created, unless `creates` is false.

    At the end of the block it leaves politely. It keeps itself alive meanwhile. Raises `Unreachable`
    if there is no server, `RequestRefused` with the reason if it says no, `KeyError` for a dialect
    that there is not, `ValueError` for a room name of over 255 bytes.
    """
    chat = Chat(room, name)
    operations = [Operation.JOIN, Operation.CREATE] if creates else [Operation.JOIN]
    try:
        await chat._enter(ServerAt(host, tcp_port, udp_port), codec(dialect), operations, password)
        yield chat
    finally:
        await chat._end()
