"""What processes of a cluster say to each other: one line of JSON, then the bytes that are carried.

Total: every byte string is a message or None.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, NamedTuple

MAGIC = "tcrp1"
TARGETS_MAX = 8192
"""So many addresses are in one message; a larger fan-out takes several."""


class Kind(StrEnum):
    """To an owner: what clients do. To a gateway: what is to be done for its clients, and what it is to remember."""

    OPEN = "open"
    DATA = "data"
    END = "end"
    GONE = "gone"
    DATAGRAM = "datagram"
    TOLD = "told"
    FRAME = "frame"
    FINISH = "finish"
    CLOSE = "close"
    SEND = "send"
    REMEMBER = "remember"
    FORGET = "forget"


TO_OWNER = frozenset({Kind.OPEN, Kind.DATA, Kind.END, Kind.GONE, Kind.DATAGRAM, Kind.TOLD})


class Message(NamedTuple):
    """`sender` is a process's address, `fence` the fencing number of an owner or the highest that a gateway knows.

    `what` is data of the kind; `hops` counts the processes that passed it on.
    """

    kind: Kind
    room: bytes
    fence: int
    sender: str
    what: tuple[Any, ...] = ()
    body: bytes = b""
    hops: int = 0


def write(message: Message) -> bytes:
    """The message in bytes."""
    kind, room, fence, sender, what, body, hops = message
    head = json.dumps([MAGIC, kind, room.decode("latin-1"), fence, sender, what, hops], separators=(",", ":"))
    return head.encode() + b"\n" + body


def read(data: bytes) -> Message | None:
    """The message that `data` is, or None."""
    head, newline, body = data.partition(b"\n")
    try:
        magic, kind, room, fence, sender, what, hops = json.loads(head)
        if magic != MAGIC or not newline or not isinstance(what, list):
            return None
        if not (isinstance(fence, int) and isinstance(hops, int) and isinstance(sender, str)):
            return None
        return Message(Kind(kind), room.encode("latin-1"), fence, sender, tuple(what), body, hops)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
