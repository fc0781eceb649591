"""A scenario as data: what the reader gives and the world runs.

Frozen, and free of YAML but for `Place`, which says where in the file a thing was written. All
times are integer microseconds of virtual time, all sizes bytes, all shares parts per million.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from tcrp.spec.cluster_names import LEASE_US, AnyRule
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Machine, Reason, RoomState, SessionState


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in the file: line and column, both from 1."""

    line: int
    column: int


# --- durations that are drawn ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """A duration drawn evenly from `least_us` to `most_us`, both inclusive. Equal ends are a constant."""

    least_us: int
    most_us: int


@dataclass(frozen=True, slots=True)
class Exponential:
    """`least_us` plus an exponentially distributed duration of mean `mean_us`."""

    mean_us: int
    least_us: int = 0


Delay = Span | Exponential


# --- the network -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Burst:
    """Losses that come together (Gilbert and Elliott): a link is calm or bad, and changes by slots of 10 ms."""

    enter_ppm: int  # a calm link turns bad
    leave_ppm: int  # a bad link turns calm


@dataclass(frozen=True, slots=True)
class Loss:
    """A share that is lost: of everything, or with `burst` only while the link is bad."""

    share_ppm: int
    burst: Burst | None = None


@dataclass(frozen=True, slots=True)
class Reorder:
    """A share that is held back by `by_us`, so that what was sent later overtakes it."""

    share_ppm: int
    by_us: int = 10_000


@dataclass(frozen=True, slots=True)
class ByteSpan:
    """A number of bytes drawn evenly from `least` to `most`, both inclusive."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class LinkPatch:
    """The settings that one mapping of the file names. `None`: this patch leaves the setting as it is."""

    delay: Delay | None = None
    loss: Loss | None = None
    duplicate_ppm: int | None = None
    reorder: Reorder | None = None
    corrupt_ppm: int | None = None
    mtu_bytes: int | None = None
    rate_bps: int | None = None
    queue_bytes: int | None = None
    segment: ByteSpan | None = None

    def as_written(self) -> dict[str, Any]:
        """The settings that are named, by field."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Every setting of a link. Without arguments: nothing is lost or changed and nothing takes time.

    Sizes are bytes of a datagram's payload. `None` is no bound: of size, of rate, and for `segment` that
    TCP's bytes are not cut.
    """

    delay: Delay = Span(0, 0)
    loss: Loss = Loss(0)
    duplicate_ppm: int = 0
    reorder: Reorder = Reorder(0)
    corrupt_ppm: int = 0
    mtu_bytes: int | None = None
    rate_bps: int | None = None
    queue_bytes: int = 64 * 1024
    segment: ByteSpan | None = None

    def patched(self, patch: LinkPatch) -> LinkSettings:
        """These settings with those of `patch` in their place."""
        return replace(self, **patch.as_written())

    def as_patch(self) -> LinkPatch:
        """The patch that sets all of these. A patch sets bounds but cannot take one away, so `None` is left out."""
        return LinkPatch(**{each.name: getattr(self, each.name) for each in fields(self)})


CALM = LinkSettings()
"""A link on which nothing goes wrong and nothing takes time."""


@dataclass(frozen=True, slots=True)
class LinkId:
    """One direction between two of `server`, users and `all`; in a cluster its servers and `bucket`."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class LinkRule:
    """A row of `network: links:`."""

    link: LinkId
    settings: LinkPatch
    place: Place


ORDINARY = LinkSettings(delay=Span(10_000, 10_000))
"""The settings of a link that the scenario says nothing about."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    default: LinkSettings = ORDINARY
    links: tuple[LinkRule, ...] = ()


# --- users -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listener:
    """A pair of the server's ports. `dialects` are those that it recognises, in order; none is `auto`.

    Users choose it by its name; an only one has none.
    """

    name: str = ""
    dialects: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(self.dialects) or "auto"


@dataclass(frozen=True, slots=True)
class User:
    """A user of the scenario. Each member of a crowd is one: `crowd-1`, `crowd-2`, …"""

    id: str
    name: str  # in the chat
    dialect: str = "json"
    address: str | None = None  # an IP address, else one is given in order of appearance
    attacker: bool = False
    keeps_alive: bool = False  # its client speaks by itself, and asks whether the server still knows it
    listener: str = ""  # by which it asks and speaks; the first if none is named
    server: str = ""  # of a cluster, to which it speaks; the first if none is named
    allow_invalid_name: bool = False
    crowd: str | None = None  # the name of the crowd it belongs to
    number: int = 0  # its number in the crowd, from 1


# --- what actors do ----------------------------------------------------------------------------
# Texts and room names may hold `{i}` (the number in the crowd) and `{n}` (the repetition, from 1);
# `filled` in verbs.py puts the latter in when the step is taken.


@dataclass(frozen=True, slots=True)
class Create:
    """`resume` is the user whose latest token the request carries (R-NAME-2)."""

    room: str
    password: str = ""
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """`resume` is the user whose latest token the request carries (R-NAME-2)."""

    room: str
    password: str = ""
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class KeepAlive:
    pass


@dataclass(frozen=True, slots=True)
class Leave:
    pass


@dataclass(frozen=True, slots=True)
class Move:
    """`address` None: only the port changes, to a new one."""

    address: str | None = None


@dataclass(frozen=True, slots=True)
class UseListener:
    """Ask and speak by another of the server's listeners from now on."""

    listener: str


@dataclass(frozen=True, slots=True)
class UseServer:
    """Ask and speak to another server of the cluster from now on."""

    server: str


@dataclass(frozen=True, slots=True)
class Pause:
    for_us: int


@dataclass(frozen=True, slots=True)
class Crash:
    """`restart_us` is the server's alone: how long it is away; None: until a `start`."""

    restart_us: int | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    skew_us: int = 0
    drift_ppm: int = 0


@dataclass(frozen=True, slots=True)
class Datagram:
    """A datagram made by hand.

    With `room` and `text`: a header with the token of `token_of`, or without it the user's own or stolen
    one. With `token_of` and `data`: that user's room and token, then the bytes. With `data` alone: the
    bytes are the whole datagram.
    """

    token_of: str | None = None
    room: str | None = None
    text: str | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """Raw bytes on a new TCP connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Abandon:
    """A connection broken off: with nothing sent, after a part of the request, or after the whole of it."""

    after: Literal["idle", "requested", "accepted"]
    request: Create | Join


@dataclass(frozen=True, slots=True)
class StealToken:
    victim: str


@dataclass(frozen=True, slots=True)
class Spoof:
    """Say `text` with the victim's IP address and port as source."""

    victim: str
    text: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Send the `nth` datagram of `victim`, from 1, again; `is_spoofed`: with the victim's address as source."""

    victim: str
    nth: int
    is_spoofed: bool = False


@dataclass(frozen=True, slots=True)
class Flood:
    """Random bytes in datagrams of `size` bytes, `per_second` of them, for `for_us`."""

    per_second: int
    for_us: int
    size: int


@dataclass(frozen=True, slots=True)
class Start:
    pass


@dataclass(frozen=True, slots=True)
class Shutdown:
    pass


@dataclass(frozen=True, slots=True)
class HandOver:
    """A server of a cluster gives all its rooms away, and goes on as a gateway."""


@dataclass(frozen=True, slots=True)
class Remove:
    user: str  # the name in the chat
    room: str


@dataclass(frozen=True, slots=True)
class CloseRoom:
    room: str


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Settings by name; the others stay as they are."""

    settings: tuple[tuple[str, int | str], ...]


@dataclass(frozen=True, slots=True)
class SetLinks:
    links: tuple[LinkId, ...]
    settings: LinkPatch


@dataclass(frozen=True, slots=True)
class Cut:
    links: tuple[LinkId, ...]
    for_us: int | None = None


@dataclass(frozen=True, slots=True)
class Heal:
    links: tuple[LinkId, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is lost and nothing arrives, until it is released."""

    links: tuple[LinkId, ...]


@dataclass(frozen=True, slots=True)
class Release:
    links: tuple[LinkId, ...]


@dataclass(frozen=True, slots=True)
class Stall:
    """TCP stands still for a while; datagrams go on."""

    links: tuple[LinkId, ...]
    for_us: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Every TCP connection there is broken off, for both ends."""

    links: tuple[LinkId, ...]


@dataclass(frozen=True, slots=True)
class SetFate:
    """What the network does to one packet, by the name that it has in a trace: one of PACKET_FATES, a delay, or how
    long each of its copies travels, whatever its link is like; none: it is lost.
    """

    packet: str
    fate: str | None = None
    delay_us: int | None = None
    arrives_us: tuple[int, ...] | None = None


DROP, DUPLICATE = PACKET_FATES = ("drop", "duplicate")

UserAction = (
    Create | Join | Say | KeepAlive | Leave | Move | UseListener | UseServer | Pause | Crash | Clock | Datagram | Stream
    | Abandon | StealToken | Spoof | Replay | Flood
)  # fmt: skip
ServerAction = Crash | Start | Pause | Shutdown | Remove | CloseRoom | SetLimits | Clock | HandOver
NetworkAction = SetLinks | Cut | Heal | Hold | Release | Stall | Reset | SetFate
Action = UserAction | ServerAction | NetworkAction


# --- when they do it ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserIs:
    """A user's own, latest session machine is in `state`."""

    user: str
    state: SessionState


@dataclass(frozen=True, slots=True)
class MachineIs:
    """The server's latest machine of that id (`bob@lobby`, `lobby`, a user) is in `state`."""

    machine: Machine
    id: str
    state: SessionState | RoomState | HandshakeState


StateClaim = UserIs | MachineIs


@dataclass(frozen=True, slots=True)
class At:
    """`times` times from `at_us` on, `every_us` apart."""

    at_us: int
    every_us: int = 0
    times: int = 1


@dataclass(frozen=True, slots=True)
class In:
    """`after_us` after the step before it in the file was last taken."""

    after_us: int


@dataclass(frozen=True, slots=True)
class When:
    """As soon as a record makes `state` true."""

    state: StateClaim


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the script. A crowd's row is spread out into one step for each of its members.

    `id` is who, what, when and with which content (`bob.say@2s~1f0c`), never the position in the file or the
    number of such steps: every random draw that follows from the step is keyed by it, so that taking out a step
    changes the draws of no other. `row` numbers the rows of the
    script from 0, for `in:`.
    """

    id: str
    row: int
    actor: str  # `server`, `network`, a user's id, or in a cluster a server's name or `bucket`
    action: Action
    when: At | In | When
    place: Place
    allow_invalid: bool = False


# --- what is expected --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """When an expectation is judged. At most one of the three is given; none: at the end."""

    by_us: int | None = None
    at_us: int | None = None
    between_us: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """`least` to `most`, inclusive; `most` None: no bound."""

    least: int
    most: int | None


AT_LEAST_ONCE = Amount(1, None)


@dataclass(frozen=True, slots=True)
class Seen:
    """A relay on a user's screen. `name` None: from whomever."""

    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class StateExpected:
    claim: StateClaim


@dataclass(frozen=True, slots=True)
class Sees:
    user: str
    relays: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class SeesExactly:
    user: str
    relays: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class NeverSees:
    user: str
    relays: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class SeesCount:
    user: str
    count: Amount


@dataclass(frozen=True, slots=True)
class Told:
    user: str
    notices: tuple[str, ...]  # by their names, and `server_silent`


@dataclass(frozen=True, slots=True)
class Refused:
    user: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Counters:
    """The server's counters, by name."""

    counts: tuple[tuple[str, Amount], ...]


@dataclass(frozen=True, slots=True)
class Records:
    """The trace has records of this `kind` (step, refuse, drop) whose fields have these values.

    `fields` are trace keys and their values as written in the trace (`machine`, `id`, `event`,
    `from`, `to`, `rule`, `why`, `what`, `link`, `actor`, `packet`). For `step` and `refuse` without
    `actor`, those of servers are meant; for `drop` without it, anybody's.
    """

    kind: Literal["step", "refuse", "drop"]
    fields: tuple[tuple[str, str], ...]
    count: Amount = AT_LEAST_ONCE


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets sent, by their kind and their ends; None: any."""

    what: str | None = None
    source: str | None = None
    target: str | None = None
    count: Amount | None = None
    bytes: Amount | None = None  # of the packets counted, all together


Claim = (
    StateExpected | Sees | SeesExactly | NeverSees | SeesCount | Told | Refused | Counters | Records | Packets
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expectation:
    claim: Claim
    window: Window
    text: str  # as written, on one line, for reports
    place: Place


# --- the whole ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """A property that this scenario is not judged by, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explore:
    """Within which bounds `chat-sim explore` visits every order of events. Each number is a budget of the whole run.

    `users` and `texts` are for scenarios without a script. `races`: how often something slow may come before something
    quick. `repeats` None: as many as there are drops, and at least one.
    """

    users: int = 3
    texts: int = 2
    drops: int = 0
    duplicates: int = 0
    races: int = 0
    crashes: int = 0
    attacker: bool = False
    repeats: int | None = None

    @property
    def repeats_max(self) -> int:
        """How often whatever is sent repeatedly is sent again."""
        return self.repeats if self.repeats is not None else max(1, self.drops)


@dataclass(frozen=True, slots=True)
class Scenario:
    path: str  # as the user named the file
    claim: str
    covers: tuple[AnyRule, ...] = ()
    seed: int = 0
    until_us: int | None = None
    limits: Limits = field(default_factory=Limits)
    listeners: tuple[Listener, ...] = (Listener(),)
    servers: tuple[str, ...] = ()  # of a cluster; none: the one server is called `server`
    lease_us: int = LEASE_US  # of a cluster
    users: tuple[User, ...] = ()  # in order of appearance
    network: NetworkSettings = NetworkSettings()
    script: tuple[Step, ...] = ()
    expect: tuple[Expectation, ...] = ()
    leave_out: tuple[LeaveOut, ...] = ()
    explore: Explore | None = None

    def listener_of(self, name: str) -> int:
        """The number of the listener of that name; of the first if the name is empty."""
        return next(n for n, each in enumerate(self.listeners) if not name or each.name == name)
