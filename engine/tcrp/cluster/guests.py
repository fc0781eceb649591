"""A process of a cluster as owner: the clients of other processes, whose rooms are here.

For each other process the engine has that one's listeners too, behind its own; a stream of another process is called
(address, number). That is all that the engine knows of a cluster, and here is what it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tcrp.cluster import messages
from tcrp.cluster.lease import Lease
from tcrp.cluster.messages import TARGETS_MAX, Kind, Message
from tcrp.cluster.outputs import NodeOutput, SendMessage
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import (
    Address,
    CloseStream,
    FinishStream,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    StreamId,
)
from tcrp.engine.server import ServerEngine
from tcrp.spec.names import PacketKind


class Guests:
    """Other processes' clients in the rooms of `engine`. Messages to their gateways go into `outputs`.

    `fence_of` says which fencing number a room has.
    """

    def __init__(
        self, engine: ServerEngine, listeners: Sequence[ListenerConfig], lease: Lease,
        fence_of: Callable[[bytes], int], outputs: list[NodeOutput],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._lease = lease
        self._fence_of = fence_of
        self._outputs = outputs
        self._listeners = listeners  # what each process has
        self._slots: dict[str, int] = {lease.name: 0}  # by process: which listeners of the engine are its
        self._names = [lease.name]
        self._streams: dict[StreamId, bytes] = {}  # of other processes: their rooms
        self._skip: dict[StreamId, int] = {}  # answers that their gateways have sent to them already

    # --- whose a client is -----------------------------------------------------------------------

    def gateway_of(self, listener: int) -> tuple[str, int]:
        """Whose one of the engine's listeners is, and which of that process's."""
        slot, number = divmod(listener, len(self._listeners))
        return self._names[slot], number

    def listener_at(self, name: str, listener: int) -> int:
        """The engine's number of a process's listener, which it is given now if it has none."""
        if not 0 <= listener < len(self._listeners):
            raise ValueError(f"there is no listener {listener}")
        if name not in self._slots:
            self._slots[name] = len(self._names)
            self._names.append(name)
            self._engine.add_listeners(self._listeners)
        return self._slots[name] * len(self._listeners) + listener

    def sessions_of(self, name: str) -> list[bytes]:
        """The tokens of a process's clients."""
        slot, own = self._slots.get(name), len(self._listeners)
        return [token for token, each in self._engine.registry.sessions.items() if each.listener // own == slot]

    def room_of(self, stream: StreamId) -> bytes | None:
        """The room of another process's stream."""
        return self._streams.get(stream)

    # --- from gateways ---------------------------------------------------------------------------

    def serve(self, message: Message, now_us: int) -> list[ServerOutput]:
        """Give to the engine what a client of some gateway does in a room that is here."""
        engine, sender = self._engine, message.sender
        if message.kind is Kind.DATAGRAM:
            listener, ip, port = message.what
            at_listener = self.listener_at(sender.partition(".")[0], listener)
            return engine.receive_datagram(message.body, Address(ip, port), now_us, at_listener)
        if message.kind is Kind.TOLD:
            session = engine.registry.sessions.get(message.what[0].encode())
            if session is None or session.room.name_bytes != message.room:
                return []
            return engine.remove(session.name, session.room.name, now_us) or []
        stream = message.what[0] if sender == self._lease.address else (sender, message.what[0])
        match message.kind:
            case Kind.OPEN:
                return self._open(stream, message, now_us)
            case Kind.DATA:
                return engine.receive_stream(stream, message.body, now_us)
            case Kind.END:
                return engine.stream_ended(stream, now_us)
            case _:
                return engine.stream_closed(stream, now_us)

    def _open(self, stream: StreamId, message: Message, now_us: int) -> list[ServerOutput]:
        """A stream with the request that was read from it; it may be an own client's, whose room is here meanwhile."""
        engine = self._engine
        if stream in engine.handshake_server.handshakes:
            raise ValueError(f"the stream {stream} is open")
        _, ip, port, listener, answered = message.what
        self._streams[stream] = message.room
        self._skip[stream] = answered
        at_listener = self.listener_at(message.sender.partition(".")[0], listener)
        opened = engine.stream_opened(stream, Address(ip, port), now_us, at_listener, name=f"{ip}:{port}")
        return [*opened, *engine.receive_stream(stream, message.body, now_us)]

    def adopt(self, stream: StreamId, room: bytes) -> None:
        """A stream of another process has come with its room."""
        self._streams[stream] = room

    def drop(self, room: bytes) -> None:
        """A room is here no more."""
        for stream in [stream for stream, at in self._streams.items() if at == room]:
            del self._streams[stream]

    # --- to gateways -----------------------------------------------------------------------------

    def send_datagrams(self, output: Relay | SendDatagram, room: bytes) -> None:
        """What the engine sends by a listener of another process."""
        is_relay = isinstance(output, Relay)
        targets: list[Address | None] = [*output.targets] if isinstance(output, Relay) else [output.address]
        name, number = self.gateway_of(output.listener)
        gateway = self._lease.seen.get(name)
        if gateway is None or None in targets:
            return  # its clients are out of reach, until it is back under its name
        for start in range(0, len(targets), TARGETS_MAX):
            what = (output.what, number, targets[start : start + TARGETS_MAX], is_relay)
            self._send(gateway.address, Kind.SEND, room, what, output.data)

    def skips(self, output: SendFrame | FinishStream | CloseStream) -> bool:
        """Whether it is an answer that the stream has had, before it was served here."""
        stream = output.stream
        if isinstance(output, CloseStream):
            self._skip.pop(stream, None)
        is_answer = isinstance(output, SendFrame) and output.what is PacketKind.ANSWER
        if not is_answer or not self._skip.get(stream):
            return False
        self._skip[stream] -= 1
        return True

    def send_to_stream(self, output: SendFrame | FinishStream | CloseStream, room: bytes) -> None:
        """What the engine does with a stream of another process, of this room if the stream has none yet."""
        assert isinstance(output.stream, tuple), "it is another process's"
        gateway, number = output.stream
        room = self._streams.get(output.stream, room)
        match output:
            case SendFrame(_, data, what):
                self._send(gateway, Kind.FRAME, room, (number, what), data)
            case FinishStream():
                self._send(gateway, Kind.FINISH, room, (number,))
            case CloseStream():
                self._streams.pop(output.stream, None)
                self._send(gateway, Kind.CLOSE, room, (number,))

    def answer_no_room(self, message: Message) -> None:
        """A stream's room is gone: its gateway closes it."""
        if message.kind is not Kind.DATAGRAM and message.sender != self._lease.address:
            self._send(message.sender, Kind.CLOSE, message.room, (message.what[0],))

    def remember(self, name: str, room: bytes, what: tuple[object, ...], words: bytes) -> None:
        """A gateway is to remember a session of its client: (token, listener, address)."""
        if name in self._lease.seen:
            self._send(self._lease.seen[name].address, Kind.REMEMBER, room, what, words)

    def forget(self, name: str, room: bytes, token: bytes) -> None:
        """A gateway is to forget a session."""
        if name in self._lease.seen:
            self._send(self._lease.seen[name].address, Kind.FORGET, room, (token.decode("latin-1"),))

    def _send(self, to: str, kind: Kind, room: bytes, what: tuple[object, ...], body: bytes = b"") -> None:
        message = Message(kind, room, self._fence_of(room), self._lease.address, what, body)
        self._outputs.append(SendMessage(to, messages.write(message)))
