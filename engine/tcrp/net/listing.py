"""The open rooms of a server, for dialects that can list them: one request over TCP, no session."""

from __future__ import annotations

import asyncio

from tcrp.engine.codec import Codec
from tcrp.engine.meanings import Unread
from tcrp.engine.templates import Partial
from tcrp.net.client import BROKEN_OFF, NO_ANSWER, NO_HOST, ServerAt, Unreachable, system_word


async def list_rooms(server: ServerAt, codec: Codec, *, timeout: float = 10.0) -> list[str]:
    """The names of the open rooms that anybody may join. Raises `Unreachable`."""
    assert codec.dialect.lists, f"the dialect {codec.dialect.name} lists no rooms"
    where = f"{server.host}:{server.tcp_port}"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(server.host, server.tcp_port)
            try:
                writer.write(codec.write_list_request())
                data = b""
                while isinstance(names := codec.read_listing(data), Partial) and (more := await reader.read(65536)):
                    data += more
            finally:
                writer.close()
    except TimeoutError:
        raise Unreachable(where, NO_ANSWER) from None
    except OSError as error:
        raise Unreachable(where, system_word(error) if error.errno and error.errno > 0 else NO_HOST) from None
    if isinstance(names, Partial | Unread):
        raise Unreachable(where, BROKEN_OFF)
    return names
