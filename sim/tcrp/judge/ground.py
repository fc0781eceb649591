"""What the suite stands on: sockets and a clock, as somebody else provides them.

`tcrp.live.conform_ground` provides real ones; the tests also have one in memory, whose clock jumps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import StrEnum
from typing import Any, Protocol


class End(StrEnum):
    """How a connection ended."""

    CLOSED = "closed"
    RESET = "reset"


class Unreached(Exception):
    """No connection could be made. The message says why."""


class Stream(Protocol):
    """A TCP connection to the server."""

    async def send(self, data: bytes) -> bool:
        """Send bytes in one write. False: the connection is broken."""

    async def receive(self, within_us: int) -> bytes | End | None:
        """The next bytes, or how the connection ended, or None if nothing came in time."""

    def finish(self) -> None:
        """Half-close."""

    def close(self) -> None:
        """Close."""


class Port(Protocol):
    """A UDP socket that exchanges datagrams with the server and keeps what arrives."""

    ip: str
    number: int
    heard: list[tuple[int, bytes]]  # when, in microseconds, and what

    def send(self, data: bytes) -> None:
        """Send a datagram to the server."""

    async def wait(self, until: Callable[[], bool], within_us: int) -> bool:
        """Wait until the condition holds, which is asked again after each arrival. False: it never did in time."""

    def close(self) -> None:
        """Close."""


class Ground(Protocol):
    """Sockets and a clock. `other_ip` is a second address of this machine, or None where there is none."""

    ip: str
    other_ip: str | None
    nonce: str  # makes the names of rooms unlike those of another judge

    def now_us(self) -> int:
        """Microseconds, by a clock that does not go back."""

    async def sleep(self, us: int) -> None:
        """Wait."""

    async def connect(self, ip: str, within_us: int) -> Stream:
        """A connection from `ip`. Raises `Unreached`."""

    def port(self, ip: str, suits: Callable[[int], bool] = ..., number: int = 0) -> Port:
        """A new UDP socket at `ip`, with this port number, or with one that suits."""

    async def together(self, tasks: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time, until all have ended."""

    async def bounded(self, task: Awaitable[None], within_us: int) -> bool:
        """Run this, but no longer. False: it was stopped."""
