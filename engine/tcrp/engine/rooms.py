"""What a server holds: rooms, the sessions in them, and tokens that have ended and are remembered."""

from __future__ import annotations

from collections import deque

from tcrp.engine.codec import Codec
from tcrp.engine.notices import NoticeReader
from tcrp.engine.outputs import Address
from tcrp.engine.timers import Timer
from tcrp.spec.names import Notice, RoomState, SessionState
from tcrp.trace.records import Cause, token_in_trace


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

    def count(self, now_us: int) -> None:
        """One more."""
        self._moments.append(now_us)

    def is_over(self, now_us: int) -> bool:
        """Whether nothing that it remembers matters any more."""
        return not self._moments or now_us - self._moments[-1] >= self.span_us


class Session:
    """One user's life in one room, as the server knows it. Durations and moments in microseconds."""

    __slots__ = (
        "address",
        "alarm_us",
        "cause",
        "codec",
        "ip",
        "last_heard_us",
        "name",
        "rejected_in_a_row",
        "room",
        "state",
        "supersedes",
        "texts",
        "token",
        "token_id",
    )  # fmt: skip

    def __init__(self, token: bytes, name: str, room: Room, codec: Codec, ip: str, now_us: int, cause: Cause) -> None:
        self.token = token
        self.token_id = ""  # how traces call the token; made when first wanted
        self.name = name
        self.room = room
        self.codec = codec
        self.ip = ip
        self.cause = cause
        self.state = SessionState.ANONYMOUS
        self.address: Address | None = None  # where its relays go, once known
        self.last_heard_us = now_us
        self.alarm_us = 0  # the moment at which its silence is looked at next
        self.rejected_in_a_row = 0
        self.texts: Window | None = None  # made with the first text
        self.supersedes: Session | None = None

    @property
    def id(self) -> str:
        """How traces call it."""
        return f"{self.name}@{self.room.name}"

    def trace_token(self) -> str:
        """How traces call its token."""
        if not self.token_id:
            self.token_id = token_in_trace(self.token)
        return self.token_id


class Room:
    """A room and who is in it. `members` and `fanout_groups` keep the order of coming: it is fan-out order."""

    __slots__ = (
        "cause",
        "ended",
        "fanout_groups",
        "host",
        "host_has_entered",
        "linger",
        "locked",
        "members",
        "name",
        "name_bytes",
        "notice_readers",
        "owner_ip",
        "password",
        "state",
        "takeovers",
        "wrong_passwords",
    )  # fmt: skip

    def __init__(self, name_bytes: bytes, password: str, owner_ip: str, cause: Cause) -> None:
        self.name_bytes = name_bytes
        self.name = name_bytes.decode()
        self.password = password
        self.owner_ip = owner_ip
        self.cause = cause
        self.state = RoomState.VACANT
        self.linger: Timer | None = None  # while it is closing
        self.host: Session | None = None
        self.host_has_entered = False
        self.members: dict[str, Session] = {}  # by user name, tokened ones included
        self.fanout_groups: dict[Codec, dict[Session, None]] = {}  # who is in-room, by form of relay
        self.ended: dict[bytes, Ended] = {}  # tokens that are remembered
        self.notice_readers: dict[Codec, NoticeReader] = {}
        self.takeovers: dict[str, Window] = {}
        self.wrong_passwords: dict[str, Window] = {}
        self.locked: dict[str, int] = {}  # IP address: until when it may not try

    def add(self, session: Session) -> None:
        """The session hears relays from now on."""
        self.fanout_groups.setdefault(session.codec, {})[session] = None

    def remove(self, session: Session) -> None:
        """The session hears nothing any more."""
        group = self.fanout_groups.get(session.codec)
        if group is not None and session in group:
            del group[session]
            if not group:
                del self.fanout_groups[session.codec]

    def notice_reader(self, codec: Codec) -> NoticeReader:
        """What a member of that dialect takes for a notice in this room."""
        reader = self.notice_readers.get(codec)
        if reader is None:
            reader = self.notice_readers[codec] = NoticeReader(codec, self.name)
        return reader


class Ended:
    """A token that has ended and is remembered for a while, to tell whoever still speaks with it (R-END-1)."""

    __slots__ = (
        "address",
        "answered_us",
        "cause",
        "codec",
        "ended_us",
        "forget",
        "id",
        "ip",
        "notice",
        "room",
        "sentence",
        "tell",
        "times_told",
        "token",
        "token_id",
    )  # fmt: skip

    def __init__(
        self, session: Session, notice: Notice | None, sentence: bytes | None, now_us: int, cause: Cause
    ) -> None:
        self.id = session.id
        self.token = session.token
        self.token_id = session.token_id
        self.room = session.room
        self.ip = session.ip
        self.address = session.address
        self.codec = session.codec
        self.cause = cause
        self.notice = notice
        self.sentence = sentence
        self.ended_us = now_us
        self.answered_us: int | None = None
        self.times_told = 0
        self.tell: Timer | None = None
        self.forget: Timer | None = None


def unmap_ipv4(ip: str) -> str:
    """An IPv4-mapped IPv6 address as the IPv4 address that it is; any other as it stands (R-TOK-3)."""
    if ":" not in ip:
        return ip
    from ipaddress import IPv6Address  # kept off the path of IPv4 servers' start-up

    try:
        mapped = IPv6Address(ip.partition("%")[0]).ipv4_mapped
    except ValueError:
        return ip
    return str(mapped) if mapped else ip
