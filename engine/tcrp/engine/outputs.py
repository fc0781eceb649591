"""What an engine puts out, as data: effects for its driver to carry out, and observations of what happened.

A driver takes the outputs of a call in their order. Effects are always there; observations only as far
as the engine was asked for them (`Detail`). They name their subject and know nothing of records, causes
or actors: who drives the engine numbers and links them (`tcrp.trace.recorder`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple, get_args, overload

from tcrp.spec.names import Deadline, Machine, Notice, PacketKind, Rule

StreamId = Hashable
"""How a driver names a TCP connection: unique among those that are open."""

Subject = Hashable
"""What an observation is about: a session by its token, a room by its name's bytes, a handshake by its stream.

A client's subjects are its two machines, by `Machine`.
"""


new_output = tuple.__new__
"""Makes an output of a class from the tuple of all its fields: a third of the time that a call of the class takes."""


class Detail(IntEnum):
    """How much an engine observes."""

    NOTHING = 0  # effects only
    CHANGES = 1  # everything but the steps by which a session stays in its state: one for each text and member
    EVERYTHING = 2


class Address(NamedTuple):
    """An IP address as text, and a port."""

    ip: str
    port: int


# --- effects -------------------------------------------------------------------------------------


class SendFrame(NamedTuple):
    """Write `data` to the stream, in one write."""

    stream: StreamId
    data: bytes
    what: PacketKind


class FinishStream(NamedTuple):
    """Half-close: nothing more is written; what still comes is handed in or dropped (R-TCP-3)."""

    stream: StreamId


class CloseStream(NamedTuple):
    """Close both ways. The engine has forgotten the stream."""

    stream: StreamId


class SendDatagram(NamedTuple):
    """Send one datagram, from the socket of a server's `listener`. A client's goes to its server: `address` is None."""

    data: bytes
    address: Address | None
    what: PacketKind
    listener: int = 0


class Addresses:
    """Where the members of a group are reached. All texts share it, until somebody comes, leaves or moves."""

    __slots__ = ("all", "is_shared", "packed")

    def __init__(self, all: list[Address]) -> None:
        self.all = all
        self.is_shared = False  # an output has it: from then on it does not change
        self.packed: bytes | None = None  # for a driver, which keeps here what it makes of `all` once

    def __len__(self) -> int:
        return len(self.all)


class AllBut:
    """A sequence: all `addresses` but the one at `place`, or without exception if that is -1.

    Nothing of it is copied or looked at before somebody wants to know: where each goes may be left to the driver, which
    has the addresses in its own form.
    """

    __slots__ = ("addresses", "place")

    def __init__(self, addresses: Addresses, place: int) -> None:
        self.addresses = addresses
        self.place = place

    def listed(self) -> list[Address]:
        """They, one by one."""
        all, place = self.addresses.all, self.place
        return all.copy() if place < 0 else all[:place] + all[place + 1 :]

    def __len__(self) -> int:
        return len(self.addresses) - (self.place >= 0)

    def __iter__(self) -> Iterator[Address]:
        return iter(self.listed())

    @overload
    def __getitem__(self, at: int) -> Address: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Address]: ...
    def __getitem__(self, at: int | slice) -> Address | Sequence[Address]:
        return self.listed()[at]

    def __eq__(self, other: object) -> bool:
        return self.listed() == other

    def __hash__(self) -> int:
        return hash(tuple(self.listed()))

    def __repr__(self) -> str:
        return repr(self.listed())


Targets = Sequence[Address] | AllBut
"""Where the same datagram goes, in this order."""


class Relay(NamedTuple):
    """Send the same datagram to every member of one form and `listener`, in this order: a relay, or a notice to all."""

    data: bytes
    targets: Targets
    what: PacketKind
    listener: int = 0


class TextReceived(NamedTuple):
    """A text of another member, ready for a screen (R-SHOW-1). `changed`: something had to be taken out."""

    name: str
    text: str
    changed: bool

    @property
    def rule(self) -> Rule | None:
        """The rule by which something was taken out."""
        return Rule.SHOW_1 if self.changed else None


class NoticeReceived(NamedTuple):
    """A notice, for a screen. `name` is the member it speaks of, or empty."""

    notice: Notice
    name: str


class WordsReceived(NamedTuple):
    """A datagram that is neither a relay nor a notice of the dialect: its words, ready for a screen (R-SHOW-1)."""

    text: str


class ServerSilent(NamedTuple):
    """The server, which answered keep-alives before, has answered none since `last_heard_us` (R-IDLE-1)."""

    last_heard_us: int


class Elsewhere(NamedTuple):
    """A whole request for a room that this server does not serve waits, until it is resumed, taken away or refused.

    Only a server that shares its rooms' names with others puts it out. `is_listed`: without a password.
    """

    stream: StreamId
    room: bytes
    creates: bool
    is_listed: bool


# --- observations --------------------------------------------------------------------------------


class Stepped(NamedTuple):
    """A machine took a step. `id` is how people call it: `bob@lobby`, `lobby`, a user, a peer's address.

    `listener` is that of a server's session or handshake; None: the machine belongs to none.
    """

    machine: Machine
    subject: Subject
    id: str
    event: str
    from_: str
    to: str
    rule: Rule
    why: str
    listener: int | None = None


class Refused(NamedTuple):
    """A machine was offered an event that its state does not take."""

    machine: Machine
    id: str
    event: str
    state: str
    why: str
    rule: Rule | None


class Dropped(NamedTuple):
    """The datagram of this call was not taken, by `rule`. It came in by `listener`."""

    what: PacketKind
    size: int
    why: str
    rule: Rule
    listener: int = 0


class Withheld(NamedTuple):
    """A relay was not sent to these members, by `rule`. They are reached by `listener`."""

    names: tuple[str, ...]
    why: str
    rule: Rule
    listener: int = 0


class TimerFired(NamedTuple):
    """A deadline of `subject` was reached. What follows in the outputs follows from it."""

    deadline: Deadline
    subject: Subject


class Forgotten(NamedTuple):
    """The engine holds nothing of `subject` any more."""

    subject: Subject


ServerEffect = SendFrame | FinishStream | CloseStream | SendDatagram | Relay | Elsewhere
ClientEffect = SendFrame | CloseStream | SendDatagram | TextReceived | NoticeReceived | WordsReceived | ServerSilent
Observation = Stepped | Refused | Dropped | Withheld | TimerFired | Forgotten
OBSERVATIONS: tuple[type[Observation], ...] = get_args(Observation)
ServerOutput = ServerEffect | Observation
ClientOutput = ClientEffect | Observation
