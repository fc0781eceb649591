"""The rooms that a process of a cluster owns: what its engine puts out for their members, saved and loaded.

Follows the engine by what it observes: which tokens are of which room, and when a room is to be saved. To own clients
outputs go as they are, to those of other processes as messages. Knows no bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tcrp.cluster import snapshots
from tcrp.cluster.gateway import Gateway, Remembered
from tcrp.cluster.guests import Guests
from tcrp.cluster.lease import Lease
from tcrp.cluster.outputs import NodeOutput
from tcrp.cluster.ownership import Ownership
from tcrp.engine.notices import write_notice
from tcrp.engine.outputs import (
    CloseStream,
    Dropped,
    Elsewhere,
    FinishStream,
    Forgotten,
    Relay,
    SendDatagram,
    SendFrame,
    ServerOutput,
    Stepped,
    StreamId,
    Subject,
    TimerFired,
    Withheld,
)
from tcrp.engine.server import ServerEngine
from tcrp.engine.state import ServerState
from tcrp.spec.names import Machine, Notice, PacketKind, RoomState, SessionEvent, SessionState

_DATAGRAMS = (Relay, SendDatagram)


class RoomsHere:
    """The rooms of `engine`. A request for another room is given to `elsewhere`."""

    def __init__(
        self, engine: ServerEngine, listeners: int, lease: Lease, ownership: Ownership, gateway: Gateway,
        guests: Guests, elsewhere: Callable[[Elsewhere, int], None], outputs: list[NodeOutput],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._own = listeners  # as many are the process's own, the first ones
        self._lease = lease
        self._ownership = ownership
        self._gateway = gateway
        self._guests = guests
        self._elsewhere = elsewhere
        self._outputs = outputs
        self._rooms_of: dict[bytes, bytes] = {}  # of the tokens that are here
        self._room = b""  # whose outputs are being passed on

    def save(self, room: bytes, fence: int) -> bytes:
        """The state of a room that is here."""
        state = self._engine.freeze_room(room) if room in self._engine.registry.rooms else ServerState()
        return snapshots.write(state, fence, self._guests.gateway_of, self._lease.address)

    def load(self, room: bytes, saved: bytes, now_us: int) -> str:
        """Go on with a room."""
        try:
            state = snapshots.read(saved, self._guests.listener_at, self._lease.address)
        except snapshots.NotRead as error:
            return str(error)
        if not state.rooms:
            return "nothing was saved"
        self._engine.adopt(state, now_us)
        self._rooms_of.update(dict.fromkeys([each.token for each in state.sessions], room))
        self._rooms_of.update(dict.fromkeys([each.token for each in state.ended], room))
        for handshake in state.handshakes:
            if isinstance(handshake.stream, tuple):
                self._guests.adopt(handshake.stream, room)
            else:
                self._gateway.take_back(handshake.stream)
        for each in state.sessions:
            self._remember(each.token)
        for handshake in state.handshakes:  # closed since the snapshot, which does not know it
            if not isinstance(handshake.stream, tuple) and not self._gateway.is_open(handshake.stream):
                self.pass_on(self._engine.stream_closed(handshake.stream, now_us), now_us)
        return ""

    def drop(self, room: bytes, now_us: int) -> None:
        """Hold nothing of a room any more."""
        if room in self._engine.registry.rooms:
            for handshake in self._engine.freeze_room(room).handshakes:
                if not isinstance(handshake.stream, tuple):  # the next owner speaks to it by this gateway
                    self.give_away(handshake.stream, room, now_us)
            self._outputs += self._engine.forget_room(room)
            for token in [token for token, at in self._rooms_of.items() if at == room]:
                del self._rooms_of[token]
        self._guests.drop(room)

    # --- what the engine puts out ----------------------------------------------------------------

    def pass_on(self, outputs: Iterable[ServerOutput], now_us: int, room: bytes | None = None) -> None:
        """To own clients as it is, to those of other processes as messages; of that room, if it is known."""
        if room is not None:
            self._room = room
        own = self._own
        for output in outputs:
            if isinstance(output, _DATAGRAMS):  # a union would be made anew for each output
                if output.listener < own:
                    self._outputs.append(output)
                else:
                    self._guests.send_datagrams(output, self._room)
            elif isinstance(output, SendFrame | FinishStream | CloseStream):
                self._pass_to_stream(output)
            elif isinstance(output, Elsewhere):
                self._elsewhere(output, now_us)
            else:
                self._observe(output, now_us)

    def _pass_to_stream(self, output: SendFrame | FinishStream | CloseStream) -> None:
        stream = output.stream
        if self._guests.skips(output):
            return
        if isinstance(stream, tuple):
            self._guests.send_to_stream(output, self._room)
            return
        if isinstance(output, SendFrame) and output.what is PacketKind.ANSWER:
            self._gateway.answered(stream)
        elif isinstance(output, CloseStream):
            self._gateway.closed(stream)
        self._outputs.append(output)

    def _observe(self, output: ServerOutput, now_us: int) -> None:
        """Follow the engine: which tokens are whose, and when a room is to be saved."""
        own = self._own
        if isinstance(output, Stepped | Dropped | Withheld) and output.listener is not None and output.listener >= own:
            self._outputs.append(output._replace(listener=output.listener % own))
        else:
            self._outputs.append(output)
        if isinstance(output, TimerFired):
            self._room = self._room_of(output.subject) or self._room
        elif isinstance(output, Forgotten):
            if not isinstance(output.subject, bytes):
                return
            self._rooms_of.pop(output.subject, None)
            if self._ownership.owns(output.subject):
                self._ownership.closed(output.subject)
        elif isinstance(output, Stepped) and output.from_ is not output.to and output.machine is Machine.SESSION:
            assert isinstance(output.subject, bytes), "sessions are named by their tokens"
            self._session_stepped(output.subject, output)
            self._ownership.changed(self._room_of(output.subject), now_us, at_once=True)
        elif isinstance(output, Stepped) and output.machine is Machine.ROOM and output.to == RoomState.CLOSING:
            assert isinstance(output.subject, bytes), "rooms are named by their names"
            if self._ownership.owns(output.subject):
                self._ownership.list_no_more(output.subject, now_us)

    def _session_stepped(self, token: bytes, step: Stepped) -> None:
        session = self._engine.registry.sessions.get(token)
        if step.event == SessionEvent.GRANTED and session is not None:
            self._rooms_of[token] = session.room.name_bytes
        if step.to == SessionState.EXPIRED:
            self._forget(token, step.listener or 0)
        elif session is not None:
            self._remember(token)

    def _room_of(self, subject: Subject) -> bytes:
        if isinstance(subject, bytes):
            return self._rooms_of.get(subject) or (subject if subject in self._engine.registry.rooms else b"")
        return self._guests.room_of(subject) or b""

    def give_away(self, stream: StreamId, room: bytes, now_us: int) -> None:
        """An own client's stream is served by another process from now on."""
        # An owner closes it after this time at the latest; its own clock began later.
        self._gateway.give_away(
            stream, room, now_us + self._engine.registry.limits.handshake_timeout + self._lease.lease_us
        )

    # --- what gateways remember ------------------------------------------------------------------

    def _remember(self, token: bytes) -> None:
        session = self._engine.registry.sessions.get(token)
        if session is None:
            return
        room = session.room
        host = room.host.name if room.host is not None else session.name
        words = write_notice(
            session.codec, Notice.SHUTDOWN, name=session.name, room=room.name, host=host, token=session.token
        )
        name, listener = self._guests.gateway_of(session.listener)
        if name == self._lease.name:
            self._gateway.sessions[token] = Remembered(room.name_bytes, words or b"", session.address, listener)
        else:
            what = (token.decode("latin-1"), listener, session.address)
            self._guests.remember(name, room.name_bytes, what, words or b"")

    def _forget(self, token: bytes, listener: int) -> None:
        name, _ = self._guests.gateway_of(listener)
        if name == self._lease.name:
            self._gateway.sessions.pop(token, None)
        else:
            self._guests.forget(name, self._rooms_of.get(token, b""), token)

    def remind(self, address: str) -> None:
        """A gateway has begun: it knows nothing of its clients who are in rooms here."""
        for token in self._guests.sessions_of(address.partition(".")[0]):
            self._remember(token)
