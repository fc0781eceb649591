"""What a server holds: rooms, the sessions in them, and tokens that have ended and are remembered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tcrp.engine.codec import Codec
from tcrp.engine.notices import NoticeReader
from tcrp.engine.outputs import Address, Addresses, AllBut, Stepped
from tcrp.engine.timers import is_mostly_stale
from tcrp.spec.limits import MINUTE_US
from tcrp.spec.names import RoomState, SessionState


class Window:
    """At most `most` in any `span_us`. Keeps the moments of the last `most`, nothing more."""

    __slots__ = ("_moments", "most", "span_us")

    def __init__(self, most: int, span_us: int) -> None:
        self.most = most
        self.span_us = span_us
        self._moments: deque[int] = deque(maxlen=most)

    def is_full(self, now_us: int) -> bool:
        """Whether one more now would be too many."""
        moments = self._moments
        return len(moments) == self.most and now_us - moments[0] < self.span_us

    def freeze(self, now_us: int) -> tuple[int, ...]:
        """How long ago each of those that still matter was."""
        return tuple(now_us - moment for moment in self._moments if now_us - moment < self.span_us)

    def thaw(self, ages_us: Iterable[int], now_us: int) -> Window:
        """The window with what `freeze` gave."""
        self._moments.extend(now_us - age_us for age_us in ages_us)
        return self

    def with_most(self, most: int) -> Window:
        """A window for another limit, with the latest of the same moments."""
        window = Window(most, self.span_us)
        window._moments.extend(self._moments)
        return window

    def count(self, now_us: int) -> None:
        """One more."""
        self._moments.append(now_us)

    @property
    def latest_us(self) -> int:
        """The latest moment; there is one. Set, it takes the place of that one."""
        return self._moments[-1]

    @latest_us.setter
    def latest_us(self, now_us: int) -> None:
        self._moments[-1] = now_us

    def fill(self, now_us: int) -> None:
        """As many as there may be."""
        self._moments.extend([now_us] * self.most)

    def is_over(self, now_us: int) -> bool:
        """Whether nothing that it remembers matters any more."""
        return not self._moments or now_us - self._moments[-1] >= self.span_us


def latest(windows: dict[str, Window], key: str, most: int, now_us: int) -> Window:
    """The window of `key`, a minute long, made if there is none, as the last of all; forgets those that are over.

    So `windows` holds no more than was counted within a minute, at no cost that grows with it.
    """
    window = windows.pop(key) if key in windows else Window(most, MINUTE_US)
    windows[key] = window
    while windows[oldest := next(iter(windows))].is_over(now_us) and oldest != key:
        del windows[oldest]
    return window


class Session:
    """One user's life in one room, as the server knows it. Durations and moments in microseconds."""

    __slots__ = (
        "_id", "address", "alarm_us", "asks_for_answers", "codec", "ip", "last_heard_us", "listener", "name", "number",
        "rejected_in_a_row", "room", "state", "supersedes", "texts", "token",
    )  # fmt: skip

    def __init__(
        self, token: bytes, name: str, room: Room, codec: Codec, ip: str, now_us: int, number: int, listener: int
    ) -> None:
        self.token = token
        self.name = name
        self.room = room
        self.codec = codec
        self.ip = ip
        self.listener = listener  # by which it was granted, is heard and is reached
        self.number = number  # in the order of grants: of equal silences the older session's is looked at first
        self.state = SessionState.ANONYMOUS
        self.address: Address | None = None  # where its relays go, once known
        self.last_heard_us = now_us
        self.alarm_us = 0  # the moment at which its silence is looked at next
        self.rejected_in_a_row = 0
        self.texts: Window | None = None  # made with the first text
        # The token of the session whose place it takes, b"" for none; None once its own token is handed over.
        self.supersedes: bytes | None = None
        self.asks_for_answers = False  # its keep-alives are to be answered
        self._id = ""  # put together when first wanted

    @property
    def subject(self) -> bytes:
        """How observations name it."""
        return self.token

    @property
    def id(self) -> str:
        """How people call it."""
        if not self._id:
            self._id = f"{self.name}@{self.room.name}"
        return self._id


class FanoutGroup:
    """The members of a room who are sent the same bytes, in the order of coming. Each has an address.

    Their addresses are kept side by side, so that a fan-out asks no member for its own.
    """

    __slots__ = ("_addresses", "_is_stale", "_places")

    def __init__(self, members: Iterable[Session] = ()) -> None:
        self._places: dict[Session, int] = {}  # where in `_addresses` each has its own
        self._addresses = Addresses([])
        self._is_stale = False  # somebody has left, and the places are not what they were
        for member in members:
            self.add(member)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._places)

    def __contains__(self, session: object) -> bool:
        return session in self._places

    def add(self, session: Session) -> None:
        """One more, at the end."""
        addresses = self._unshared()
        self._places[session] = len(addresses)
        addresses.append(session.address)  # type: ignore[arg-type]  # who receives relays has an address

    def remove(self, session: Session) -> None:
        """One less."""
        del self._places[session]
        self._is_stale = True
        if is_mostly_stale(len(self._addresses), len(self._places)):
            self._compact()

    def move(self, session: Session) -> None:
        """The member has another address."""
        self._unshared()[self._places[session]] = session.address  # type: ignore[assignment]

    def another_than(self, session: Session) -> Session | None:
        """The first member who is not `session`."""
        for member in self._places:
            if member is not session:
                return member
        return None

    def all_but(self, session: Session) -> list[Session]:
        """The members who are not `session`."""
        return [member for member in self._places if member is not session]

    def addresses_without(self, session: Session) -> AllBut:
        """Where all but `session` are reached."""
        if self._is_stale:
            self._compact()
        self._addresses.is_shared = True
        return AllBut(self._addresses, self._places.get(session, -1))

    def _compact(self) -> None:
        """Forget the addresses of those who have left."""
        self._is_stale = False
        all = self._addresses.all
        self._addresses = Addresses([all[place] for place in self._places.values()])
        self._places = {member: place for place, member in enumerate(self._places)}

    def _unshared(self) -> list[Address]:
        """The addresses, to be changed."""
        if self._addresses.is_shared:
            self._addresses = Addresses(self._addresses.all.copy())
        return self._addresses.all


class Room:
    """A room and who is in it. `members` and `fanout_groups` keep the order of coming: it is fan-out order."""

    __slots__ = (
        "ended", "fanout_groups", "host", "host_has_entered", "id", "members", "name", "name_bytes",
        "notice_readers", "owner_ip", "password", "relayed", "state", "subject", "takeovers", "wrong_passwords",
    )  # fmt: skip

    listener = None  # its members may be of any

    def __init__(self, name_bytes: bytes, password: str, owner_ip: str) -> None:
        self.name_bytes = self.subject = name_bytes  # `subject`: how observations name it
        self.name = self.id = name_bytes.decode()  # `id`: how people call it
        self.password = password
        self.owner_ip = owner_ip
        self.state = RoomState.VACANT
        self.host: Session | None = None
        self.host_has_entered = False
        self.members: dict[str, Session] = {}  # by user name, tokened ones included
        self.fanout_groups: dict[tuple[Codec, int], FanoutGroup] = {}  # who is in-room, by form and listener
        self.ended: dict[bytes, Ended] = {}  # tokens that are remembered
        self.relayed: Stepped | None = None  # what is observed of a text: the same for each, so that it is made once
        self.notice_readers: dict[Codec, NoticeReader] = {}
        self.takeovers: dict[str, Window] = {}
        self.wrong_passwords: dict[str, Window] = {}  # by peer

    def add(self, session: Session) -> None:
        """The session receives relays from now on."""
        form = session.codec, session.listener
        group = self.fanout_groups.get(form)
        if group is None:
            group = self.fanout_groups[form] = FanoutGroup()
        group.add(session)

    def remove(self, session: Session) -> None:
        """The session receives nothing any more."""
        form = session.codec, session.listener
        group = self.fanout_groups.get(form)
        if group is not None and session in group:
            group.remove(session)
            if not group:
                del self.fanout_groups[form]

    def move(self, session: Session) -> None:
        """A member that receives relays is reached elsewhere from now on."""
        self.fanout_groups[session.codec, session.listener].move(session)

    def notice_reader(self, codec: Codec) -> NoticeReader:
        """What a member of that dialect takes for a notice in this room."""
        reader = self.notice_readers.get(codec)
        if reader is None:
            reader = self.notice_readers[codec] = NoticeReader(codec, self.name)
        return reader


@dataclass(slots=True)
class Ended:
    """A token that has ended and is remembered for a while, to tell its holder why if it still speaks (R-END-1)."""

    token: bytes
    name: str
    room: Room
    codec: Codec
    ip: str
    address: Address | None
    sentence: bytes | None
    listener: int
    ended_us: int
    answered_us: int | None = None
    times_told: int = 0

    @property
    def id(self) -> str:
        """How people call it."""
        return f"{self.name}@{self.room.name}"
