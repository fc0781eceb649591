"""What an engine wants done, as data. A driver carries it out in the order in which it is given."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from tcrp.spec.names import Notice, PacketKind
from tcrp.trace.records import Cause

StreamId = Hashable
"""How a driver names a TCP connection: unique among those that are open."""


class Address(NamedTuple):
    """An IP address as text, and a port."""

    ip: str
    port: int


class SendFrame(NamedTuple):
    """Write `data` to the stream, in one write."""

    stream: StreamId
    data: bytes
    what: PacketKind
    cause: Cause


class FinishStream(NamedTuple):
    """Half-close: nothing more is written; what still comes is handed in or dropped (R-TCP-3)."""

    stream: StreamId
    cause: Cause


class CloseStream(NamedTuple):
    """Close both ways. The engine has forgotten the stream."""

    stream: StreamId
    cause: Cause


class SendDatagram(NamedTuple):
    """Send one datagram. A client's goes to its server: `address` is None."""

    data: bytes
    address: Address | None
    what: PacketKind
    cause: Cause


class Relay(NamedTuple):
    """Send the same datagram to every member of one form, in this order: a relay, or a notice to them all."""

    data: bytes
    targets: Sequence[Address]
    what: PacketKind
    cause: Cause


class TextReceived(NamedTuple):
    """A text of another member, ready for a screen (R-SHOW-1). `changed`: something had to be taken out."""

    name: str
    text: str
    changed: bool
    cause: Cause


class NoticeReceived(NamedTuple):
    """A notice, for a screen. `name` is the member it speaks of, or empty."""

    notice: Notice
    name: str
    cause: Cause


ServerEffect = SendFrame | FinishStream | CloseStream | SendDatagram | Relay
ClientEffect = SendFrame | CloseStream | SendDatagram | TextReceived | NoticeReceived
