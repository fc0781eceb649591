"""The names of the protocol: states, events, rules, reasons and notices, each spelled once.

Has no behaviour. Traces, metrics and documents all use these spellings. Members are `str`, so that as
dictionary keys they are as fast as strings.
"""

from __future__ import annotations

from enum import StrEnum


class Machine(StrEnum):
    """The three machines that run the protocol."""

    SESSION = "session"
    ROOM = "room"
    HANDSHAKE = "handshake"


class SessionState(StrEnum):
    """One user's life in one room."""

    ANONYMOUS = "anonymous"
    TOKENED = "tokened"
    IN_ROOM = "in-room"
    EXPIRED = "expired"


class SessionEvent(StrEnum):
    """What can happen to a session."""

    GRANTED = "granted"
    ENTERED = "entered"
    SPOKE = "spoke"
    RELAYED = "relayed"
    LEFT = "left"
    IDLED = "idled"
    REMOVED = "removed"
    SUPERSEDED = "superseded"
    ROOM_CLOSED = "room_closed"


class RoomState(StrEnum):
    """The life of a room's name."""

    VACANT = "vacant"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class RoomEvent(StrEnum):
    """What can happen to a room."""

    CREATED = "created"
    JOINED = "joined"
    RELAYED = "relayed"
    LEFT = "left"
    HOST_GONE = "host_gone"
    SHUTDOWN = "shutdown"
    DRAINED = "drained"


class HandshakeState(StrEnum):
    """One TCP connection, from its opening."""

    IDLE = "idle"
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    REFUSED = "refused"
    ABANDONED = "abandoned"


class HandshakeEvent(StrEnum):
    """What can happen to a handshake."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    LISTED = "listed"
    REFUSED = "refused"
    ABANDONED = "abandoned"


class Operation(StrEnum):
    """What a request asks for. On the wire `create` is 1, `join` is 2, and `list` is 2 without a room."""

    CREATE = "create"
    JOIN = "join"
    LIST = "list"


class Reason(StrEnum):
    """Why a request is refused, in the order in which the reasons are tested (R-TCP-2)."""

    BAD_REQUEST = "bad_request"
    TOO_MANY_REQUESTS = "too_many_requests"
    ROOM_EXISTS = "room_exists"
    NO_SUCH_ROOM = "no_such_room"
    WRONG_PASSWORD = "wrong_password"
    NAME_TAKEN = "name_taken"
    ROOM_FULL = "room_full"


class Notice(StrEnum):
    """The kinds of notices: sentences from the server to a member."""

    JOINED = "joined"
    LEFT = "left"
    ROOM_CLOSED = "room_closed"
    IDLED = "idled"
    REMOVED = "removed"
    SUPERSEDED = "superseded"
    SHUTDOWN = "shutdown"
    QUIT = "quit"


class ClientFinding(StrEnum):
    """What a client finds out by itself and shows beside notices, as traces name it."""

    SERVER_SILENT = "server_silent"


class PacketKind(StrEnum):
    """What a packet is for, as traces name it."""

    OPEN = "open"
    OPENED = "opened"
    REQUEST = "request"
    ANSWER = "answer"
    COMPLETION = "completion"
    REFUSAL = "refusal"
    LISTING = "listing"
    TRAILER = "trailer"
    CLOSE = "close"
    RESET = "reset"
    STREAM = "stream"
    ENTER = "enter"
    SAY = "say"
    KEEP_ALIVE = "keep_alive"
    KEEP_ALIVE_ANSWER = "keep_alive_answer"
    LEAVE = "leave"
    DATAGRAM = "datagram"
    RELAY = "relay"
    NOTICE = "notice"
    FORWARD = "forward"  # a gateway to the owner of a room: what a client does
    OUTPUT = "output"  # an owner to a gateway: what is to be done for its clients
    ASK = "ask"  # a server of a cluster to the bucket
    SHOWN = "shown"  # and back: answers, and what has changed


class Counter(StrEnum):
    """What a server counts. The first three are gauges; the others only grow."""

    ROOMS = "rooms"
    SESSIONS = "sessions"
    CONNECTIONS = "connections"
    REQUESTS = "requests"
    REFUSED_REQUESTS = "refused_requests"
    ABANDONED_REQUESTS = "abandoned_requests"
    DATAGRAMS = "datagrams"
    REJECTED_DATAGRAMS = "rejected_datagrams"
    TEXTS = "texts"
    RELAYS = "relays"
    WITHHELD_RELAYS = "withheld_relays"
    NOTICES = "notices"
    LIMITED = "limited"


class Property(StrEnum):
    """What must hold after every step of every run. The claims are in `tcrp.spec.properties`."""

    TABLE_STEPS = "table-steps"
    SHADOW_AGREES = "shadow-agrees"
    RELAY_TO_MEMBERS_ONLY = "relay-to-members-only"
    RELAY_NEEDS_A_LIVING_TOKEN = "relay-needs-a-living-token"
    RELAY_NOT_TO_ITS_SENDER = "relay-not-to-its-sender"
    RELAY_TO_EVERY_MEMBER = "relay-to-every-member"
    RELAY_AT_MOST_ONCE = "relay-at-most-once"
    RELAYS_IN_ORDER = "relays-in-order"
    RELAY_NAMES_ITS_SENDER = "relay-names-its-sender"
    NO_FORGED_NOTICE = "no-forged-notice"
    NO_TALK_ON_TCP = "no-talk-on-tcp"
    TOKEN_ENDS_FOR_GOOD = "token-ends-for-good"
    TOKENS_UNIQUE = "tokens-unique"
    REJECTED_CHANGES_NOTHING = "rejected-changes-nothing"
    ENDED_ARE_TOLD = "ended-are-told"
    ENDED_ARE_TOLD_AGAIN = "ended-are-told-again"
    NO_AMPLIFICATION = "no-amplification"
    NAMES_LINGER = "names-linger"
    TAKEOVER_IS_BY_OWNER = "takeover-is-by-owner"
    CLOSED_ROOM_LEAVES_NOTHING = "closed-room-leaves-nothing"
    HOST_ENDS_THE_ROOM = "host-ends-the-room"
    LIVE_SESSION_HAS_A_DEADLINE = "live-session-has-a-deadline"
    ONLY_THE_SILENT_IDLE = "only-the-silent-idle"
    HANDSHAKE_ENDS = "handshake-ends"
    LIMITS_HOLD = "limits-hold"
    DATAGRAMS_FIT = "datagrams-fit"
    KEEP_ALIVE_CHANGES_NOTHING = "keep-alive-changes-nothing"
    STREAMS_HALF_CLOSE = "streams-half-close"
    STREAMS_KEEP_ORDER = "streams-keep-order"
    MATCHES_REFERENCE = "matches-reference"
    SPEAKERS_ARRIVE = "speakers-arrive"
    NO_CLIENT_WAITS_FOR_EVER = "no-client-waits-for-ever"
    CLOSING_ROOMS_CLOSE = "closing-rooms-close"
    ONE_OWNER_RELAYS = "one-owner-relays"
    NO_STALE_OUTPUT = "no-stale-output"
    HANDOVER_LOSES_NO_SESSION = "handover-loses-no-session"


class Rule(StrEnum):
    """The rules of the protocol, by id. Their sentences are in `tcrp.spec.rules`."""

    TCP_1 = "R-TCP-1"
    TCP_2 = "R-TCP-2"
    TCP_3 = "R-TCP-3"
    TCP_4 = "R-TCP-4"
    TCP_5 = "R-TCP-5"
    TOK_1 = "R-TOK-1"
    TOK_2 = "R-TOK-2"
    TOK_3 = "R-TOK-3"
    TOK_4 = "R-TOK-4"
    TOK_5 = "R-TOK-5"
    ADDR_1 = "R-ADDR-1"
    UDP_1 = "R-UDP-1"
    UDP_2 = "R-UDP-2"
    UDP_3 = "R-UDP-3"
    UDP_4 = "R-UDP-4"
    REL_1 = "R-REL-1"
    REL_2 = "R-REL-2"
    REL_3 = "R-REL-3"
    ROOM_1 = "R-ROOM-1"
    ROOM_2 = "R-ROOM-2"
    ROOM_3 = "R-ROOM-3"
    END_1 = "R-END-1"
    EXIT_1 = "R-EXIT-1"
    IDLE_1 = "R-IDLE-1"
    IDLE_2 = "R-IDLE-2"
    NAME_1 = "R-NAME-1"
    NAME_2 = "R-NAME-2"
    PASS_1 = "R-PASS-1"
    LIM_1 = "R-LIM-1"
    LIM_2 = "R-LIM-2"
    SHOW_1 = "R-SHOW-1"


class Deadline(StrEnum):
    """The deadlines of an engine, as traces name them."""

    HANDSHAKE = "handshake"
    COMPLETION = "completion"
    QUIET = "quiet"
    ENTER = "enter"
    UNUSED = "unused"
    IDLE = "idle"
    KEEP_ALIVE = "keep_alive"
    PACE = "pace"
    LEAVE = "leave"
    NOTICE = "notice"
    FORGET = "forget"
    LINGER = "linger"


DEADLINE_RULES = {
    Deadline.HANDSHAKE: Rule.TCP_5,
    Deadline.COMPLETION: Rule.TCP_2,
    Deadline.QUIET: Rule.TCP_2,
    Deadline.ENTER: Rule.UDP_4,
    Deadline.UNUSED: Rule.TOK_5,
    Deadline.IDLE: Rule.IDLE_1,
    Deadline.KEEP_ALIVE: Rule.IDLE_1,
    Deadline.PACE: Rule.LIM_1,
    Deadline.LEAVE: Rule.EXIT_1,
    Deadline.NOTICE: Rule.END_1,
    Deadline.FORGET: Rule.END_1,
    Deadline.LINGER: Rule.ROOM_3,
}
"""The rule that sets each deadline."""
