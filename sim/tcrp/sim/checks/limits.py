"""Checks that a server stays within its limits, counted from what crosses the wire and not by the engine."""

from __future__ import annotations

from collections import Counter, deque

from tcrp.engine.outputs import CloseStream, FinishStream, SendFrame, ServerOutput, Stepped, StreamId, TimerFired
from tcrp.engine.state import ServerState
from tcrp.sim.checks.bounds import Bounds
from tcrp.sim.checks.observed import ObservedServer, SessionRecord
from tcrp.sim.checks.results import CheckResults
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Deadline, HandshakeState, PacketKind, Property, SessionState

LAST_FRAMES = (PacketKind.COMPLETION, PacketKind.REFUSAL, PacketKind.LISTING)


class LimitChecks:
    """Counts rooms, sessions, members, connections and texts, and looks at how streams end."""

    def __init__(self, results: CheckResults, model: ObservedServer, bounds: Bounds) -> None:
        self._results = results
        self._model = model
        self._bounds = bounds
        self._open: dict[StreamId, str] = {}  # the connections that the server has taken, and their IP addresses
        self._peer_ended: set[StreamId] = set()
        self._texts: dict[object, deque[int]] = {}  # when a session's texts were relayed
        self._came: dict[str, int] = {}  # what there is more of than may be, since rooms of another server came

    def forget(self) -> None:
        """The server has lost all that it knew."""
        self._open.clear()
        self._peer_ended.clear()
        self._texts.clear()

    def before_call(self) -> None:
        """A connection may be new, or its peer's half closed."""
        call = self._model.call
        if call.connection is None or call.packet is None:
            return
        stream = call.stream
        if call.packet.what is PacketKind.OPEN:
            self._open[stream] = call.connection.client_address.ip
        elif call.packet.what in (PacketKind.CLOSE, PacketKind.RESET):
            self._peer_ended.add(stream)
            if call.packet.what is PacketKind.RESET:
                self._open.pop(stream, None)

    def judge(self, outputs: list[ServerOutput]) -> None:
        """Judge one call of the server's engine."""
        call = self._model.call
        if call.connection is not None or call.packet is None:  # a datagram ends no stream
            self._judge_streams(outputs)
        if call.relayed and call.entry is not None:
            self._judge_rate(call.entry)
        if call.granted or call.connection is not None:
            self._judge_counts()

    def adopt(self, state: ServerState) -> None:
        """The server goes on with rooms of another, whatever its limits: whoever is in stays in."""
        for each in state.handshakes:
            self._open[each.stream] = each.ip
            if each.peer_ended:
                self._peer_ended.add(each.stream)
        limits, living = self._bounds.widest, self._model.living
        self._came = {"rooms": len(self._model.rooms) - limits.rooms_max, "sessions": len(living) - limits.sessions_max}
        for ip, number in Counter(each.ip for each in living.values()).items():
            self._came[f"sessions of {ip}"] = number - limits.sessions_per_ip_max
        for ip, number in Counter(self._open.values()).items():
            self._came[f"connections of {ip}"] = number - limits.connections_per_ip_max
        self._came["connections"] = len(self._open) - limits.connections_max

    def forget_stream(self, stream: StreamId) -> None:
        """Another server speaks on the stream from now on."""
        self._open.pop(stream, None)
        self._peer_ended.discard(stream)

    # --- counts ----------------------------------------------------------------------------------

    def _judge_counts(self) -> None:
        limits, model = self._bounds.widest, self._model
        self._at_most("rooms", len(model.rooms), limits.rooms_max)
        self._at_most("sessions", len(model.living), limits.sessions_max)
        self._at_most("connections", len(self._open), limits.connections_max)
        for granted in model.call.granted:
            # Of a takeover under way both sessions live, and count once.
            members = {each.id for each in model.living_in[granted.room].values()}
            self._at_most(f"members of {granted.room}", len(members), limits.members_max)
            of_ip = model.living_from[granted.ip].values()
            self._at_most(f"sessions of {granted.ip}", len(of_ip), limits.sessions_per_ip_max)
            hosts = [(each, model.hosts.get(each.room)) for each in of_ip]
            unentered = sum(
                host is not None and host.token == each.token and not host.has_entered for each, host in hosts
            )
            most = limits.unentered_rooms_per_ip_max
            self._at_most(f"rooms of {granted.ip} whose host has not entered", unentered, most)
        if self._open:
            ip, of_one_ip = Counter(self._open.values()).most_common(1)[0]
            self._at_most(f"connections of {ip}", of_one_ip, limits.connections_per_ip_max)

    def _judge_rate(self, speaker: SessionRecord) -> None:
        now_us, most = self._model.call.local_us, self._bounds.widest.texts_per_second_max
        texts = self._texts.setdefault(speaker.token, deque(maxlen=most + 1))
        texts.append(now_us)
        while now_us - texts[0] >= SECOND_US:
            texts.popleft()
        self._at_most(f"texts of {speaker.id} within a second", len(texts), most)
        if speaker.state is SessionState.EXPIRED:
            del self._texts[speaker.token]

    def _at_most(self, what: str, number: int, most: int) -> None:
        if self._came:
            most += max(self._came.get(what, 0), 0)
        self._results.judge(Property.LIMITS_HOLD, number <= most, "there are {} {}, but at most {}", number, what, most)

    # --- how streams end -------------------------------------------------------------------------

    def _judge_streams(self, outputs: list[ServerOutput]) -> None:
        """After its last frame the server half-closes; it closes at the peer's end or at a timeout (R-TCP-3)."""
        finished: dict[StreamId, bool] = {}
        may_close = set(self._peer_ended)
        for output in outputs:
            if isinstance(output, SendFrame):
                finished[output.stream] = output.what not in LAST_FRAMES
            elif isinstance(output, FinishStream):
                finished[output.stream] = True
            elif isinstance(output, TimerFired) and output.deadline is Deadline.HANDSHAKE:
                may_close.add(output.subject)
            elif isinstance(output, Stepped) and output.from_ is HandshakeState.IDLE:
                if output.to is HandshakeState.REFUSED:  # one connection too many: nothing was said on it
                    may_close.add(output.subject)
            elif isinstance(output, CloseStream):
                finished[output.stream] = True
                in_time = output.stream in may_close
                self._results.judge(Property.STREAMS_HALF_CLOSE, in_time, "{} was closed too early", output.stream)
                self._open.pop(output.stream, None)
                self._peer_ended.discard(output.stream)
        for stream, is_finished in finished.items():
            self._results.judge(Property.STREAMS_HALF_CLOSE, is_finished, "{} was not half-closed", stream)
