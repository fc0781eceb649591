"""Accepting connections: some in each turn of the loop, and none for a while when the system has no room for more.

Not the event loop's own server: loops differ in what they do when file descriptors run out, and one
of them hangs up on peers without a word to anybody.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

ACCEPT_MAX = 128
"""How many connections are taken in one turn of the loop, so that UDP has its turn too."""

AGAIN_SECONDS = 0.5
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """One listening socket. `exhausted(error)` is called each time that the system has no room for a connection."""

    def __init__(
        self,
        bound: socket.socket,
        backlog: int,
        make_protocol: Callable[[], asyncio.Protocol],
        exhausted: Callable[[OSError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = bound
        self._make_protocol = make_protocol
        self._exhausted = exhausted
        self._again: asyncio.TimerHandle | None = None
        self._openings: set[asyncio.Task[object]] = set()  # the loop itself holds tasks only weakly
        bound.setblocking(False)
        bound.listen(backlog)
        self._listen()

    def close(self) -> None:
        """Take no more connections. Those that were taken live on."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPT_MAX):
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    continue  # the peer was gone before it was looked at
                # What waits keeps the socket readable; asking again at once would spin.
                self._loop.remove_reader(self._socket.fileno())
                self._again = self._loop.call_later(AGAIN_SECONDS, self._listen)
                self._exhausted(error)
                return
            connection.setblocking(False)
            opening = self._loop.create_task(self._open(connection))
            self._openings.add(opening)
            opening.add_done_callback(self._openings.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:  # gone again already
            connection.close()
