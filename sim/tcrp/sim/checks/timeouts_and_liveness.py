"""Checks that every session and connection lives as long as it may, and no longer."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from tcrp.engine.outputs import Stepped, StreamId
from tcrp.sim.checks.bounds import Bounds
from tcrp.sim.checks.observed import ObservedServer, SessionRecord
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.checks.termination import LATE_US
from tcrp.sim.hosts.server import ServerHost
from tcrp.sim.hosts.user import Hosts, UserHost
from tcrp.sim.network.tcp import Connection
from tcrp.spec.limits import SECOND_US, SHUTDOWN_LINGER_US, Takeover
from tcrp.spec.names import PacketKind, Property, RoomState, SessionState

ARRIVES_US = 2 * SECOND_US  # a datagram over a calm link has long arrived by then


class LivenessChecks:
    """Checks grants, timeouts and, at the end of a run, that no client waits for ever."""

    def __init__(
        self, results: CheckResults, model: ObservedServer, hosts: Hosts, bounds: Bounds, slack_us: int
    ) -> None:
        self.last_fault_us = 0
        self.spoke_us: dict[str, int] = {}  # when each user's client last said something
        self._results = results
        self._model = model
        self._hosts = hosts
        self._bounds = bounds
        self._deadlines: list[tuple[int, int, SessionRecord]] = []
        self._pushed = 0
        self._changed_us = 0  # when other timeouts came into force: nobody ends before
        self._connections: deque[tuple[int, Connection]] = deque()  # when the server heard of each
        self._slack_us = slack_us
        self._sent: dict[StreamId, bytes] = {}  # by stream: what the peer has sent

    def forget(self) -> None:
        """The server has lost all that it knew."""
        self._deadlines.clear()
        self._connections.clear()
        self._sent.clear()

    # --- beginnings ------------------------------------------------------------------------------

    def begin_call(self) -> None:
        """The server is given something: perhaps a new connection."""
        call = self._model.call
        if call.connection is None or call.packet is None:
            return
        stream = call.stream
        if call.packet.what is PacketKind.OPEN and not isinstance(stream, tuple):  # those its own clients open
            self._connections.append((call.local_us, call.connection))
        elif call.packet.what in (PacketKind.CLOSE, PacketKind.RESET):
            self._sent.pop(stream, None)
        else:
            self._sent[stream] = self._sent.get(stream, b"") + call.packet.data

    def granted(self, entry: SessionRecord) -> None:
        """A session has begun, perhaps under a name that is in use (R-NAME-2)."""
        for old in self._model.living_as(entry):
            if old is entry:
                continue
            limits, call = self._bounds.now, self._model.call
            silent_us = call.local_us - old.last_heard_us
            request = self._sent.get(call.stream, b"")
            by_silence = limits.takeover is Takeover.SAME_ADDRESS and silent_us >= limits.takeover_after
            is_held = isinstance(old.token, bytes) and old.token in request
            has_proof = limits.takeover is not Takeover.OFF and is_held
            may = entry.ip == old.ip and (by_silence or has_proof)
            self._results.judge(
                Property.TAKEOVER_IS_BY_OWNER, may, "{}, last heard {} us ago at {}, was granted to {}",
                entry.id, silent_us, old.ip, entry.ip,
            )  # fmt: skip
        self.expect_silence(entry)

    # --- silence ---------------------------------------------------------------------------------

    def expect_silence(self, entry: SessionRecord) -> None:
        """The session has another timeout from now on."""
        self._pushed += 1
        heappush(self._deadlines, (self._ends_us(entry), self._pushed, entry))

    def expect_silences_anew(self) -> None:
        """Other timeouts are in force: who has been silent for longer than the new ones ends from now on."""
        self._changed_us = self._model.call.local_us
        for entry in self._model.living.values():
            self.expect_silence(entry)

    def _ends_us(self, entry: SessionRecord) -> int:
        is_tokened = entry.state is SessionState.TOKENED
        silence_us = self._bounds.now.token_timeout if is_tokened else self._bounds.now.idle_timeout
        return max(entry.last_heard_us + silence_us, entry.came_us, self._changed_us)

    def idled(self, entry: SessionRecord, record: Stepped) -> None:
        """A session has ended for its silence."""
        is_tokened = record.from_ == SessionState.TOKENED
        least_us = self._bounds.now.token_timeout if is_tokened else self._bounds.now.idle_timeout
        silent_us = self._model.call.local_us - entry.last_heard_us
        long_enough = silent_us >= least_us
        self._results.judge(
            Property.ONLY_THE_SILENT_IDLE, long_enough, "{} idled after {} us of silence", entry.id, silent_us
        )

    def judge_overdue(self, host: ServerHost) -> None:
        """Judge what should have ended by now, before the server is given anything: it may end just now, too late."""
        now_us = host.local_us()
        if host.is_catching_up:  # while it was frozen nothing could end
            self._connections = deque((now_us, connection) for _, connection in self._connections)
            return
        heap = self._deadlines
        while heap and heap[0][0] + LATE_US < now_us:
            entry = heappop(heap)[2]
            if entry.state is SessionState.EXPIRED or self._model.living.get(entry.token) is not entry:
                continue
            late = self._ends_us(entry) + LATE_US < now_us
            self._results.judge(
                Property.LIVE_SESSION_HAS_A_DEADLINE, not late, "{} is silent for too long and lives", entry.id
            )
            if not late:
                self.expect_silence(entry)
        connections = self._connections
        while connections and connections[0][1].server_is_done:
            connections.popleft()
        if connections:  # in the order of their opening
            age_us = now_us - connections[0][0]
            ends = age_us <= self._bounds.widest.handshake_timeout + LATE_US + self._slack_us
            self._results.judge(Property.HANDSHAKE_ENDS, ends, "a connection is {} us old", age_us)

    # --- the end of a run ------------------------------------------------------------------------

    def finish(self, server: ServerHost | None) -> None:
        """The run is over: checks what has to have happened by now."""
        if server is None or not self._slack_us:
            self._judge_clients()
        if server is None or server.engine is None or server.is_paused or server.is_catching_up:
            return
        self._judge_arrivals(server)
        now_us, linger_us = server.local_us(), max(self._bounds.widest.linger, SHUTDOWN_LINGER_US)
        for room, state in self._model.rooms.items():
            if state is RoomState.CLOSING:
                closes = now_us - self._model.closing_us[room] <= linger_us + LATE_US
                self._results.judge(Property.CLOSING_ROOMS_CLOSE, closes, "{} is closing for ever", room)

    def _judge_clients(self) -> None:
        for user in self._hosts.users.values():
            engine = user.engine
            if engine is None or user.is_paused or user.is_catching_up:
                continue
            deadline_us = engine.next_deadline_us()
            is_overdue = deadline_us is not None and deadline_us + LATE_US < user.local_us()
            waits = engine.is_under_way or engine.is_living
            hopes = not waits or engine.session is SessionState.EXPIRED or (deadline_us is not None and not is_overdue)
            self._results.judge(Property.NO_CLIENT_WAITS_FOR_EVER, hopes, "{} waits for what will not come", user.id)

    def _judge_arrivals(self, server: ServerHost) -> None:
        world = self._hosts.world
        for entry in self._model.living.values():
            user, spoke_us = self._model.user_of(entry), self.spoke_us.get(entry.user)
            if user is None or user.engine is None or user.engine.token != entry.token or spoke_us is None:
                continue
            has_had_time = self.last_fault_us <= spoke_us <= world.now_us - ARRIVES_US
            is_near = user.address.ip == entry.ip and user.server.udp[user.listener] == server.udp_at(entry.listener)
            if has_had_time and is_near and self._is_calm_between(user, server):
                arrived = entry.state is SessionState.IN_ROOM
                self._results.judge(Property.SPEAKERS_ARRIVE, arrived, "{} speaks, and is not in-room", entry.id)

    def _is_calm_between(self, user: UserHost, server: ServerHost) -> bool:
        """Whether what a user says reaches the server that has its session, in a cluster by another."""
        network = self._hosts.world.network
        ways = [(user.id, user.server.id), *([] if server is user.server else [(user.server.id, server.id)])]
        return all(network.between(*way).is_calm for way in ways)
