"""One TCP connection of the server: a peer that does not read holds nothing for long."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import pytest

from processes import PATIENCE
from tcrp.engine.outputs import Address, StreamId
from tcrp.net import server as server_module
from tcrp.net.server import Connection


class Bystander:
    """What a connection tells its server."""

    def __init__(self) -> None:
        self.has_lost = asyncio.Event()

    def now_us(self) -> int:
        return 0

    def opened(self, connection: Connection, peer: Address) -> StreamId:
        return 1

    def lost(self, stream: StreamId) -> None:
        self.has_lost.set()


async def unread_answer(size: int) -> tuple[Bystander, socket.socket]:
    """A connection that was closed behind an answer of `size` bytes, which its peer does not read."""
    bystander = Bystander()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    accepted.setblocking(False)
    connection = Connection(cast(Any, bystander))
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
    connection.write(bytes(size))
    connection.close()
    return bystander, peer


def test_a_closed_connection_whose_peer_does_not_read_is_aborted_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "UNREAD_SECONDS", 0.2)

    async def conversation() -> None:
        bystander, peer = await unread_answer(64 << 20)
        with peer:
            await asyncio.wait_for(bystander.has_lost.wait(), PATIENCE)

    asyncio.run(conversation())


def test_a_peer_that_reads_gets_the_whole_answer_of_a_closed_connection() -> None:
    async def conversation() -> None:
        bystander, peer = await unread_answer(8 << 20)

        def reads() -> int:
            total = 0
            while more := peer.recv(1 << 20):
                total += len(more)
            return total

        with peer:
            peer.settimeout(PATIENCE)
            assert await asyncio.to_thread(reads) == 8 << 20
            await asyncio.wait_for(bystander.has_lost.wait(), PATIENCE)

    asyncio.run(conversation())
