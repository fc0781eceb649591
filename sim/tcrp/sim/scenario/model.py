"""A scenario as data: what the reader gives and the world runs.

Frozen, and free of YAML but for `Place`, which says where in the file a thing was written. All
times are integer microseconds of virtual time, all sizes bytes, all shares parts per million.
Structs of msgspec: Python would take a tenth of the time of `chat-sim run` to make as many dataclasses.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from tcrp.spec.cluster_names import LEASE_US, AnyRule
from tcrp.spec.limits import Limits
from tcrp.spec.names import HandshakeState, Machine, Reason, RoomState, SessionState


class Place(Struct, frozen=True, order=True):
    """Where something stands in the file: line and column, both from 1."""

    line: int
    column: int


# --- durations that are drawn ------------------------------------------------------------------


class Span(Struct, frozen=True):
    """A duration drawn evenly from `least_us` to `most_us`, both inclusive. Equal ends are a constant."""

    least_us: int
    most_us: int


class Exponential(Struct, frozen=True):
    """`least_us` plus an exponentially distributed duration of mean `mean_us`."""

    mean_us: int
    least_us: int = 0


Delay = Span | Exponential


# --- the network -------------------------------------------------------------------------------


class Burst(Struct, frozen=True):
    """Losses that come together (Gilbert and Elliott): a link is calm or bad, and changes by slots of 10 ms."""

    enter_ppm: int  # a calm link turns bad
    leave_ppm: int  # a bad link turns calm


class Loss(Struct, frozen=True):
    """A share that is lost: of everything, or with `burst` only while the link is bad."""

    share_ppm: int
    burst: Burst | None = None


class Reorder(Struct, frozen=True):
    """A share that is held back by `by_us`, so that what was sent later overtakes it."""

    share_ppm: int
    by_us: int = 10_000


class ByteSpan(Struct, frozen=True):
    """A number of bytes drawn evenly from `least` to `most`, both inclusive."""

    least: int
    most: int


class LinkPatch(Struct, frozen=True):
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
        return {name: value for name, value in asdict(self).items() if value is not None}


class LinkSettings(Struct, frozen=True):
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
        return LinkPatch(**asdict(self))


CALM = LinkSettings()
"""A link on which nothing goes wrong and nothing takes time."""


class LinkId(Struct, frozen=True):
    """One direction between two of `server`, users and `all`; in a cluster its servers and `bucket`."""

    source: str
    target: str


class LinkRule(Struct, frozen=True):
    """A row of `network: links:`."""

    link: LinkId
    settings: LinkPatch
    place: Place


ORDINARY = LinkSettings(delay=Span(10_000, 10_000))
"""The settings of a link that the scenario says nothing about."""


class NetworkSettings(Struct, frozen=True):
    default: LinkSettings = ORDINARY
    links: tuple[LinkRule, ...] = ()


# --- users -------------------------------------------------------------------------------------


class Listener(Struct, frozen=True):
    """A pair of the server's ports. `dialects` are those that it recognises, in order; none is `auto`.

    Users choose it by its name; an only one has none.
    """

    name: str = ""
    dialects: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(self.dialects) or "auto"


class User(Struct, frozen=True):
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


class Create(Struct, frozen=True):
    """`resume` is the user whose latest token the request carries (R-NAME-2)."""

    room: str
    password: str = ""
    resume: str | None = None


class Join(Struct, frozen=True):
    """`resume` is the user whose latest token the request carries (R-NAME-2)."""

    room: str
    password: str = ""
    resume: str | None = None


class Say(Struct, frozen=True):
    text: str


class KeepAlive(Struct, frozen=True):
    pass


class Leave(Struct, frozen=True):
    pass


class Move(Struct, frozen=True):
    """`address` None: only the port changes, to a new one."""

    address: str | None = None


class UseListener(Struct, frozen=True):
    """Ask and speak by another of the server's listeners from now on."""

    listener: str


class UseServer(Struct, frozen=True):
    """Ask and speak to another server of the cluster from now on."""

    server: str


class Pause(Struct, frozen=True):
    for_us: int


class Crash(Struct, frozen=True):
    """`restart_us` is the server's alone: how long it is away; None: until a `start`."""

    restart_us: int | None = None


class Clock(Struct, frozen=True):
    skew_us: int = 0
    drift_ppm: int = 0


class Datagram(Struct, frozen=True):
    """A datagram made by hand.

    With `room` and `text`: a header with the token of `token_of`, or without it the user's own or stolen
    one. With `token_of` and `data`: that user's room and token, then the bytes. With `data` alone: the
    bytes are the whole datagram.
    """

    token_of: str | None = None
    room: str | None = None
    text: str | None = None
    data: bytes | None = None


class Stream(Struct, frozen=True):
    """Raw bytes on a new TCP connection."""

    data: bytes


class Abandon(Struct, frozen=True):
    """A connection broken off: with nothing sent, after a part of the request, or after the whole of it."""

    after: Literal["idle", "requested", "accepted"]
    request: Create | Join


class StealToken(Struct, frozen=True):
    victim: str


class Spoof(Struct, frozen=True):
    """Say `text` with the victim's IP address and port as source."""

    victim: str
    text: str


class Replay(Struct, frozen=True):
    """Send the `nth` datagram of `victim`, from 1, again; `is_spoofed`: with the victim's address as source."""

    victim: str
    nth: int
    is_spoofed: bool = False


class Flood(Struct, frozen=True):
    """Random bytes in datagrams of `size` bytes, `per_second` of them, for `for_us`."""

    per_second: int
    for_us: int
    size: int


class Start(Struct, frozen=True):
    pass


class Shutdown(Struct, frozen=True):
    pass


class HandOver(Struct, frozen=True):
    """A server of a cluster gives all its rooms away, and goes on as a gateway."""


class Remove(Struct, frozen=True):
    user: str  # the name in the chat
    room: str


class CloseRoom(Struct, frozen=True):
    room: str


class SetLimits(Struct, frozen=True):
    """Settings by name; the others stay as they are."""

    settings: tuple[tuple[str, int | str], ...]


class SetLinks(Struct, frozen=True):
    links: tuple[LinkId, ...]
    settings: LinkPatch


class Cut(Struct, frozen=True):
    links: tuple[LinkId, ...]
    for_us: int | None = None


class Heal(Struct, frozen=True):
    links: tuple[LinkId, ...]


class Hold(Struct, frozen=True):
    """Nothing is lost and nothing arrives, until it is released."""

    links: tuple[LinkId, ...]


class Release(Struct, frozen=True):
    links: tuple[LinkId, ...]


class Stall(Struct, frozen=True):
    """TCP stands still for a while; datagrams go on."""

    links: tuple[LinkId, ...]
    for_us: int


class Reset(Struct, frozen=True):
    """Every TCP connection there is broken off, for both ends."""

    links: tuple[LinkId, ...]


class SetFate(Struct, frozen=True):
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


class UserIs(Struct, frozen=True):
    """A user's own, latest session machine is in `state`."""

    user: str
    state: SessionState


class MachineIs(Struct, frozen=True):
    """The server's latest machine of that id (`bob@lobby`, `lobby`, a user) is in `state`."""

    machine: Machine
    id: str
    state: SessionState | RoomState | HandshakeState


StateClaim = UserIs | MachineIs


class At(Struct, frozen=True):
    """`times` times from `at_us` on, `every_us` apart."""

    at_us: int
    every_us: int = 0
    times: int = 1


class In(Struct, frozen=True):
    """`after_us` after the step before it in the file was last taken."""

    after_us: int


class When(Struct, frozen=True):
    """As soon as a record makes `state` true."""

    state: StateClaim


class Step(Struct, frozen=True):
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


class Window(Struct, frozen=True):
    """When an expectation is judged. At most one of the three is given; none: at the end."""

    by_us: int | None = None
    at_us: int | None = None
    between_us: tuple[int, int] | None = None


class Amount(Struct, frozen=True):
    """`least` to `most`, inclusive; `most` None: no bound."""

    least: int
    most: int | None


AT_LEAST_ONCE = Amount(1, None)


class Seen(Struct, frozen=True):
    """A relay on a user's screen. `name` None: from whomever."""

    text: str
    name: str | None = None


class StateExpected(Struct, frozen=True):
    claim: StateClaim


class Sees(Struct, frozen=True):
    user: str
    relays: tuple[Seen, ...]


class SeesExactly(Struct, frozen=True):
    user: str
    relays: tuple[Seen, ...]


class NeverSees(Struct, frozen=True):
    user: str
    relays: tuple[Seen, ...]


class SeesCount(Struct, frozen=True):
    user: str
    count: Amount


class Told(Struct, frozen=True):
    user: str
    notices: tuple[str, ...]  # by their names, and `server_silent`


class Refused(Struct, frozen=True):
    user: str
    reason: Reason


class Counters(Struct, frozen=True):
    """The server's counters, by name."""

    counts: tuple[tuple[str, Amount], ...]


class Records(Struct, frozen=True):
    """The trace has records of this `kind` (step, refuse, drop) whose fields have these values.

    `fields` are trace keys and their values as written in the trace (`machine`, `id`, `event`,
    `from`, `to`, `rule`, `why`, `what`, `link`, `actor`, `packet`). For `step` and `refuse` without
    `actor`, those of servers are meant; for `drop` without it, anybody's.
    """

    kind: Literal["step", "refuse", "drop"]
    fields: tuple[tuple[str, str], ...]
    count: Amount = AT_LEAST_ONCE


class Packets(Struct, frozen=True):
    """Packets sent, by their kind and their ends; None: any."""

    what: str | None = None
    source: str | None = None
    target: str | None = None
    count: Amount | None = None
    bytes: Amount | None = None  # of the packets counted, all together


Claim = (
    StateExpected | Sees | SeesExactly | NeverSees | SeesCount | Told | Refused | Counters | Records | Packets
)  # fmt: skip


class Expectation(Struct, frozen=True):
    claim: Claim
    window: Window
    text: str  # as written, on one line, for reports
    place: Place


# --- the whole ---------------------------------------------------------------------------------


class LeaveOut(Struct, frozen=True):
    """A property that this scenario is not judged by, and why."""

    name: str
    reason: str


class Explore(Struct, frozen=True):
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


class Scenario(Struct, frozen=True):
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
