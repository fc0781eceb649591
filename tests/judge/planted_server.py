"""A server of ours with a planted bug on real sockets: `serving(bug)` in the loop of a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from tcrp.engine.outputs import Detail
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.net import server as net_server
from tcrp.net.ports import Place
from tcrp.net.tokens import system_token
from tcrp.spec.limits import SECOND_US, Limits

LIMITS = Limits(
    idle_timeout=3 * SECOND_US, token_timeout=1 * SECOND_US, handshake_timeout=3 * SECOND_US, linger=5 * SECOND_US
)


@contextlib.asynccontextmanager
async def serving(make_engine: Callable[..., Any] = ServerEngine) -> AsyncIterator[tuple[int, int]]:
    """The TCP and UDP port of a running server, whose engine is made by `make_engine`."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of bugs that raise
    server = net_server.Server(LIMITS)
    server.engine = make_engine(ServerConfig(LIMITS), new_token=system_token, detail=Detail.EVERYTHING)
    server.start([Place("127.0.0.1", 0, 0)])
    try:
        [(tcp, udp)] = server.addresses
        yield tcp.port, udp.port
    finally:
        kill(server)


def kill(server: net_server.Server) -> None:
    """Close its sockets, as if its process had been killed: a server with a bug may fail to stop."""
    if server._alarm is not None:
        server._alarm.cancel()
    for connection in list(server._connections.values()):
        connection.abort()
    for each in server._ports:
        each.stop_accepting()
        each.close()
    server._ports = []
