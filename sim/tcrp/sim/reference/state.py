"""What the reference server holds: sessions, rooms and connections, in the states that the tables name."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from tcrp.engine.outputs import Address, StreamId
from tcrp.sim.reference.wire import Request
from tcrp.spec.dialects import Dialect
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Notice, RoomState, SessionState


@dataclass(slots=True, eq=False)
class Room:
    """A room's name from its creation until it is closed."""

    name: str
    password: str
    creator: str  # whose limits it counts for
    state: RoomState = RoomState.OPEN
    host: Session | None = None  # None only while it is being created
    host_has_entered: bool = False
    sessions: list[Session] = field(default_factory=list)  # living, in the order of their grants
    ended: list[Session] = field(default_factory=list)  # remembered, in the order of their ends
    drained_us: int = 0  # when a closing room is closed
    wrong_tries_us: dict[str, list[int]] = field(default_factory=dict)  # by address
    takeovers_us: dict[str, list[int]] = field(default_factory=dict)  # by name


@dataclass(slots=True, eq=False)
class Session:
    """One user's life in one room, and for a while after its end why it ended."""

    token: bytes
    name: str
    room: Room
    ip: str
    dialect: Dialect
    last_heard_us: int
    number: int  # in the order of grants
    listener: int  # by which it was granted
    state: SessionState = SessionState.TOKENED
    address: Address | None = None  # where relays and notices go
    answers_keep_alive: bool = False
    rejected: int = 0  # datagrams in a row
    texts_us: list[int] = field(default_factory=list)
    # once it has expired:
    notice: Notice | None = None  # why; None if it left
    tell_us: list[int] = field(default_factory=list)  # when it is told again
    forgotten_us: int = 0
    answered_us: int | None = None


@dataclass(slots=True, eq=False)
class Connection:
    """One TCP connection: its handshake, what it has sent, and what was promised to it."""

    stream: StreamId
    ip: str
    listener: int
    ends_us: int  # at the latest
    data: bytes = b""
    state: HandshakeState = HandshakeState.IDLE
    peer_ended: bool = False
    # once its request is accepted:
    accepted_us: int = 0
    request: Request | None = None
    session: Session | None = None
    supersedes: Session | None = None


def plain(address: Address) -> Address:
    """R-TOK-3: an IPv4-mapped address is its IPv4 address."""
    if ":" not in address.ip:
        return address
    mapped = ipaddress.IPv6Address(address.ip).ipv4_mapped
    return address if mapped is None else Address(str(mapped), address.port)


def group_of(ip: str, limits: Limits) -> str:
    """What counts as one address (R-LIM-1): the first bits of an IPv6 address, the whole of any other."""
    if ":" not in ip:
        return ip
    return str(ipaddress.ip_network(f"{ip.partition('%')[0]}/{limits.ipv6_prefix}", strict=False))
