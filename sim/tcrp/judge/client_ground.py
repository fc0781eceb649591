"""What the judge of clients stands on: a client under a terminal, sockets for its server, and a clock.

`tcrp.live.conform_client` provides real ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from tcrp.judge.ground import End

Address = tuple[str, int]


class CannotStart(Exception):
    """The client cannot be started. The message says why."""


class Connection(Protocol):
    """A TCP connection that the client has made."""

    source: Address
    received: bytearray
    end: End | None  # how the client's side ended

    def send(self, data: bytes) -> None:
        """Send bytes in one write."""

    @property
    def unsent(self) -> int:
        """How many bytes the client has not taken yet."""

    def finish(self) -> None:
        """Half-close."""

    def close(self) -> None:
        """Close."""


class Scene(Protocol):
    """One run of the client, and the sockets of the server that it meets."""

    output: bytearray  # what the client has written to its terminal
    exit_code: int | None  # None while it runs; negative: the signal that ended it
    is_flooded: bool  # it has written more than anybody reads

    @property
    def connections(self) -> Sequence[Connection]:
        """Those that the client has made."""

    @property
    def heard(self) -> Sequence[tuple[int, Address, bytes]]:
        """When a datagram came, from where, and what."""

    @property
    def places(self) -> Mapping[str, str]:
        """Host and ports of its server, as placeholders."""

    @property
    def screen(self) -> str:
        """What stands on the terminal's screen."""

    def type(self, data: bytes) -> None:
        """Press keys."""

    def send(self, data: bytes, to: Address) -> None:
        """Send a datagram from the server's UDP port."""

    async def wait(self, until: Callable[[], bool], within_us: int) -> bool:
        """Wait until the condition holds, which is asked again whenever anything happens. False: not in time."""

    async def close(self) -> None:
        """End the client, with its children, and close the sockets."""


class ClientGround(Protocol):
    """Terminals, sockets and a clock."""

    nonce: str  # makes the names of rooms unlike those of another judge
    at_a_time: int  # how many clients may run at once

    def now_us(self) -> int:
        """Microseconds, by a clock that does not go back."""

    async def sleep(self, us: int) -> None:
        """Wait."""

    async def scene(self, command: Sequence[str], values: Mapping[str, str]) -> Scene:
        """Start the client; the ports are added to the values of its placeholders. Raises `CannotStart`."""

    async def together(self, tasks: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time, until all have ended."""

    async def bounded(self, task: Awaitable[None], within_us: int) -> bool:
        """Run this, but no longer. False: it was stopped."""
