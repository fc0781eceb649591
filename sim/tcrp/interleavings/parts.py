"""The parts of a world's state, as values, and the numbers that stand for them.

A part's number is a fingerprint of its content, the same in every process. A world's state is a tuple of such numbers.
"""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from typing import Any, Generic, NamedTuple, TypeVar

from tcrp.engine.client import ClientState
from tcrp.engine.outputs import Address
from tcrp.engine.state import ServerState
from tcrp.interleavings.reference_state import Frozen
from tcrp.interleavings.values import ATOMS, field_names
from tcrp.spec.names import PacketKind, Property

V = TypeVar("V")
BITS = 60  # the hash of an int below 2**61 - 1 is the int itself
Piece = tuple[PacketKind, bytes]
"""A piece of a TCP stream."""


class ServerPart(NamedTuple):
    """The server, and the reference server beside it."""

    engine: ServerState
    reference: Frozen | None


class Pipes(NamedTuple):
    """A TCP connection: what is under way on it, in order, and which end reads no more."""

    stream: str
    up: tuple[Piece, ...] = ()
    down: tuple[Piece, ...] = ()
    client_is_done: bool = False
    server_is_done: bool = False


class Party(NamedTuple):
    """A user: how far in the program, the latest client, and its connections.

    `is_unheard`: the latest datagram of a living client was lost, so that the server may find it silent first.
    """

    step: int = 0
    request: int = -1  # which step of the program the client's request is
    attempts: int = 0
    client: ClientState | None = None
    pipes: tuple[Pipes, ...] = ()
    is_unheard: bool = False


class Flight(NamedTuple):
    """A datagram under way. `party` is who sent it or who is at `address`, which is its source or its target."""

    is_up: bool
    party: int
    what: PacketKind
    data: bytes
    address: Address


class Broken(NamedTuple):
    """A property that did not hold in a call, and what was wrong."""

    property: Property
    what: str


class Numbers(Generic[V]):
    """Parts of one kind by their numbers."""

    def __init__(self) -> None:
        self.of: dict[int, V] = {}
        self.interned: dict[int, int] = {}  # the one object for each number: look-ups succeed by identity
        self._new: dict[int, V] = {}
        self._numbers: dict[V, int] = {}

    def number(self, part: V) -> int:
        """The part's number: one object for each, so that states share it."""
        number = self._numbers.get(part)
        if number is None:
            number = content_number(part)
            self.learn(number, part)
            self._new[number] = part
        return number

    def take_new(self) -> dict[int, V]:
        """The parts that were numbered here since this was last asked."""
        new, self._new = self._new, {}
        return new

    def learn(self, number: int, part: V) -> None:
        """Take over a part that another process has numbered."""
        number = self.interned.setdefault(number, number)
        known = self.of.setdefault(number, part)
        assert known == part, f"two parts have the number {number}"
        self._numbers[known] = number


def content_number(part: Any) -> int:
    """A number that follows from what the part holds."""
    digest = blake2b(repr(_plain(part)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> (64 - BITS)


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in ATOMS:
        return value
    names = field_names(kind)
    if names is not None:
        return tuple([_plain(getattr(value, name)) for name in names])
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return str(value) if isinstance(value, Enum) else value
