"""A process of a cluster as gateway: its own clients, while other processes have their rooms.

Keeps what these clients are told if the cluster is out of reach, and which of their streams others serve; carries out
what the owners of their rooms put out for them. Knows no engine, no lease and no bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tcrp.cluster.messages import Kind, Message
from tcrp.cluster.outputs import Happened, NodeOutput, What
from tcrp.engine.outputs import Address, CloseStream, FinishStream, Relay, SendDatagram, SendFrame, StreamId
from tcrp.spec.names import PacketKind


@dataclass(slots=True)
class Remembered:
    """A session of a client of this gateway: its room, and what it is told if the cluster is out of reach."""

    room: bytes
    words: bytes
    address: Address | None
    listener: int


class Gateway:
    """The clients of one process, which has so many `listeners`. What is to be done goes into `outputs`."""

    def __init__(self, listeners: int, outputs: list[NodeOutput]) -> None:
        self.sessions: dict[bytes, Remembered] = {}  # by token
        self._listeners = listeners
        self._outputs = outputs
        self._open: set[StreamId] = set()
        self._streams: dict[StreamId, bytes] = {}  # those that other processes serve: their rooms
        self._given_up_us: dict[StreamId, int] = {}  # when they are closed, if no owner does it
        self._sent: dict[StreamId, int] = {}  # answers that were sent to them
        self._told: dict[bytes, list[bytes]] = {}  # by room: whose sessions are over here, and perhaps not at its owner

    # --- streams ---------------------------------------------------------------------------------

    def opened(self, stream: StreamId) -> None:
        """A client has connected."""
        self._open.add(stream)

    def is_open(self, stream: StreamId) -> bool:
        """Whether a stream is there."""
        return stream in self._open

    def room_of(self, stream: StreamId) -> bytes | None:
        """The room of a stream that another process serves."""
        return self._streams.get(stream)

    def answered(self, stream: StreamId) -> None:
        """An answer was sent to a stream that is served here."""
        self._sent[stream] = self._sent.get(stream, 0) + 1

    def take_answered(self, stream: StreamId) -> int:
        """How many answers were sent to a stream, which another process serves from now on."""
        return self._sent.pop(stream, 0)

    def give_away(self, stream: StreamId, room: bytes, until_us: int) -> None:
        """A stream is served by another process from now on, which closes it before `until_us`."""
        self._streams[stream] = room
        self._given_up_us[stream] = until_us

    def take_back(self, stream: StreamId) -> None:
        """A stream is served here again, or is over."""
        self._streams.pop(stream, None)
        self._given_up_us.pop(stream, None)

    def closed(self, stream: StreamId) -> None:
        """A client's connection is gone, or is closed from here."""
        self._open.discard(stream)
        self._sent.pop(stream, None)

    def close_given_up(self, now_us: int) -> None:
        """Close the streams that no owner has closed in time: it was lost, or what it said."""
        while (first := next(iter(self._given_up_us.items()), None)) is not None and first[1] <= now_us:
            self._close(first[0])

    def next_us(self) -> int | None:
        """When `close_given_up` is to be called next."""
        return next(iter(self._given_up_us.values()), None)

    def _close(self, stream: StreamId) -> None:
        self.take_back(stream)
        self.closed(stream)
        self._outputs.append(CloseStream(stream))

    # --- sessions --------------------------------------------------------------------------------

    def room_of_session(self, token: bytes, source: Address) -> bytes | None:
        """The room of a client that sends a datagram from `source`, where it is told of things from now on."""
        session = self.sessions.get(token)
        if session is None:
            return None
        if session.address is not None and source.ip == session.address.ip and source != session.address:
            session.address = source
        return session.room

    def tell_all(self) -> None:
        """The cluster is out of reach: every client is told so."""
        self._tell(list(self.sessions), "")

    def vacated(self, room: bytes) -> None:
        """A room is gone; who is still remembered was not told by its owner (R-OWN-8)."""
        here = [token for token, each in self.sessions.items() if each.room == room]
        self._tell(here, room.decode("utf-8", "replace"))
        self._told.pop(room, None)
        for stream in [stream for stream, at in self._streams.items() if at == room]:
            self._close(stream)

    def take_told(self, room: bytes) -> list[bytes]:
        """The tokens of a room whose holders were told that it ended, which its owner may not know."""
        return self._told.pop(room, [])

    def _tell(self, tokens: Sequence[bytes], room: str) -> None:
        told = 0
        for token in tokens:
            session = self.sessions.pop(token)
            self._told.setdefault(session.room, []).append(token)
            if session.address is not None and session.words:
                told += 1
                self._outputs.append(SendDatagram(session.words, session.address, PacketKind.NOTICE, session.listener))
        if told:
            self._outputs.append(Happened(What.MEMBERS_TOLD, room, str(told)))

    # --- from owners -----------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """What the owner of a room puts out for a client here (R-OWN-4)."""
        what = message.what
        if message.kind in (Kind.FRAME, Kind.FINISH, Kind.CLOSE):
            stream = what[0]
            if self._streams.get(stream) != message.room:
                return
            if message.kind is Kind.FRAME:
                self._outputs.append(SendFrame(stream, message.body, PacketKind(what[1])))
            elif message.kind is Kind.FINISH:
                self._outputs.append(FinishStream(stream))
            else:
                self._close(stream)
        elif message.kind is Kind.SEND:
            kind, listener, targets = PacketKind(what[0]), what[1], [Address(ip, port) for ip, port in what[2]]
            if not 0 <= listener < self._listeners:
                raise ValueError(f"there is no listener {listener}")
            if kind in (PacketKind.RELAY, PacketKind.NOTICE) and what[3]:
                self._outputs.append(Relay(message.body, targets, kind, listener))
            else:
                self._outputs += [SendDatagram(message.body, each, kind, listener) for each in targets]
        elif message.kind is Kind.REMEMBER:
            token, listener, address = what
            where = Address(*address) if address is not None else None
            self.sessions[token.encode()] = Remembered(message.room, message.body, where, listener)
        else:
            self.sessions.pop(what[0].encode(), None)
