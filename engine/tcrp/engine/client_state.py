"""What a client wants, and what it knows, as values: a `ClientEngine` is made of the one and frozen to the other."""

from __future__ import annotations

from dataclasses import dataclass, field

from tcrp.engine.codec import Codec
from tcrp.engine.liveness import LivenessState
from tcrp.engine.outputs import StreamId
from tcrp.engine.timers import TimerEntry
from tcrp.spec.frozen import Frozen
from tcrp.spec.limits import NAME_BYTES_MAX, Limits
from tcrp.spec.names import HandshakeState, Operation, Reason, SessionState
from tcrp.spec.table import TABLES, Tables


@dataclass(frozen=True, slots=True)
class ClientConfig(Frozen):
    """What a client wants, and how it behaves.

    `ip` and `udp_port` are where it receives, for dialects whose request says so. `keeps_alive`: it
    speaks by itself before its silence ends the session, and asks for answers where the dialect can;
    `keep_alive_us` is the interval, by default what fits `idle_timeout`. `paces`: it sends texts no
    faster than the server takes them. `resume_token`: the user's former token, which proves that the
    name is theirs (R-NAME-2).
    """

    codec: Codec
    operation: Operation
    room: str
    name: str
    password: str = field(default="", repr=False)  # R-PASS-1
    resume_token: bytes = field(default=b"", repr=False)
    ip: str = "127.0.0.1"
    udp_port: int = 0
    limits: Limits = field(default_factory=Limits)
    keeps_alive: bool = False
    keep_alive_us: int | None = None
    paces: bool = False
    tables: Tables = TABLES

    def __post_init__(self) -> None:
        self.name.encode()  # half of a surrogate pair stands in no datagram and on no line of a trace
        size = len(self.room.encode())
        if size > NAME_BYTES_MAX:
            raise ValueError(f"room name is {size} bytes, at most {NAME_BYTES_MAX} fit")


@dataclass(frozen=True, slots=True)
class ClientState(Frozen):
    """All that a client knows, as a value. Moments are counted back from the state's own; 0 where none matters."""

    handshake: HandshakeState
    session: SessionState
    token: bytes
    reason: Reason | None
    said: str
    stream: StreamId | None
    buffer: bytes
    early: tuple[bytes, ...]
    queued: tuple[str, ...]
    enters_done: int
    leaves_done: int
    granted_ago_us: int
    sent_text_ago_us: int | None
    ended_ago_us: int
    has_heard: bool
    has_been_told: bool
    liveness: LivenessState
    timers: tuple[TimerEntry, ...]
