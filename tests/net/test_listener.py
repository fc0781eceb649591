"""Accepting connections: all that come, some in each turn, and a pause when the system has no room for more."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tcrp.net import listener as listener_module
from tcrp.net.listener import ACCEPT_MAX, EXHAUSTED, Listener

PATIENCE = 10  # seconds, after which a condition has not come true


class Visitor(asyncio.Protocol):
    """The server's end of a connection."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.door.inside.append(transport)
        self.door.changed.set()

    def data_received(self, data: bytes) -> None:
        self.door.heard += data
        self.door.changed.set()


class Door:
    """A listener on a port of the loopback, and what came through it. `socket` may be a stand-in."""

    def __init__(self, wrap: Callable[[socket.socket], Any] = lambda bound: bound) -> None:
        self.inside: list[asyncio.Transport] = []
        self.heard = b""
        self.exhausted: list[int | None] = []
        self.changed = asyncio.Event()
        self.bound = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.address = self.bound.getsockname()
        self.listener = Listener(wrap(self.bound), 512, lambda: Visitor(self), self.complains)

    def complains(self, error: OSError) -> None:
        self.exhausted.append(error.errno)
        self.changed.set()

    async def becomes(self, holds: Callable[[], bool]) -> None:
        """Wait until something is true of the door."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    def closes(self) -> None:
        self.listener.close()
        for transport in self.inside:
            transport.abort()


class Failing:
    """A listening socket whose first accepts fail."""

    def __init__(self, bound: socket.socket, errors: list[int]) -> None:
        self.bound = bound
        self.errors = errors

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, "as the test wants it")
        return self.bound.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bound, name)


def failing(*errors: int) -> Callable[[socket.socket], Any]:
    return lambda bound: Failing(bound, list(errors))


def plays(conversation: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await conversation()

    asyncio.run(whole())


def test_a_peer_that_connects_is_let_in_and_heard() -> None:
    async def conversation() -> None:
        door = Door()
        with socket.create_connection(door.address) as peer:
            peer.sendall(b"hello")
            await door.becomes(lambda: door.heard == b"hello")
        assert len(door.inside) == 1
        door.closes()

    plays(conversation)


def test_more_than_one_turn_takes_are_all_let_in() -> None:
    async def conversation() -> None:
        door = Door()
        peers = []
        for _ in range(ACCEPT_MAX + 20):
            peer = socket.socket()
            peer.setblocking(False)
            peer.connect_ex(door.address)
            peers.append(peer)
        await door.becomes(lambda: len(door.inside) == ACCEPT_MAX + 20)
        door.closes()
        for peer in peers:
            peer.close()

    plays(conversation)


def test_after_closing_nobody_is_let_in_and_open_connections_stay() -> None:
    async def conversation() -> None:
        door = Door()
        with socket.create_connection(door.address) as peer:
            await door.becomes(lambda: len(door.inside) == 1)
            door.listener.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(door.address)
            peer.sendall(b"still here")
            await door.becomes(lambda: door.heard == b"still here")
        door.inside[0].abort()

    plays(conversation)


@pytest.mark.parametrize("error", EXHAUSTED)
def test_a_system_without_room_is_told_and_asked_again_later(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "AGAIN_SECONDS", 0.01)

    async def conversation() -> None:
        door = Door(failing(error, error))
        with socket.create_connection(door.address):
            await door.becomes(lambda: len(door.inside) == 1)
            assert door.exhausted == [error, error]  # told each time, and not in every turn of the loop
        door.closes()

    plays(conversation)


def test_a_door_that_is_closed_in_its_pause_stays_closed() -> None:
    async def conversation() -> None:
        door = Door(failing(errno.EMFILE))
        with socket.create_connection(door.address):
            await door.becomes(lambda: door.exhausted == [errno.EMFILE])
            again = door.listener._again
            assert again is not None
            door.listener.close()
            assert again.cancelled()
        assert door.inside == []

    plays(conversation)


def test_a_peer_that_was_gone_already_does_not_hold_up_the_next() -> None:
    async def conversation() -> None:
        door = Door(failing(errno.ECONNABORTED, errno.EPROTO))
        with socket.create_connection(door.address):
            await door.becomes(lambda: len(door.inside) == 1)
        assert door.exhausted == []
        door.closes()

    plays(conversation)


def test_a_connection_that_breaks_while_it_is_opened_is_closed_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def conversation() -> None:
        door = Door()
        opened: list[socket.socket] = []

        async def broken(_: object, connection: socket.socket) -> None:
            opened.append(connection)
            door.changed.set()
            raise OSError(errno.EBADF, "as the test wants it")

        monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", broken)
        with socket.create_connection(door.address):
            await door.becomes(lambda: bool(opened))
            await asyncio.gather(*door.listener._openings)
        assert opened[0].fileno() == -1
        assert door.listener._openings == set()
        door.closes()

    plays(conversation)
