"""The protocol's own properties, checked at every step of every run.

Hands the trace, and each call of the server's engine with its outputs, to the checks. These compare the
outputs with what the engine's own observations say of its sessions and rooms. That the observations are right,
the differential shows: it compares them with those of the reference server, which is fed with the bytes of the wire.
`tcrp.spec.properties` says what each property claims.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tcrp.engine.outputs import OBSERVATIONS, Relay, SendDatagram, SendFrame, ServerOutput, Stepped, StreamId, Withheld
from tcrp.engine.state import FrozenHandshake, ServerState
from tcrp.sim.checks.bounds import Bounds
from tcrp.sim.checks.differential import Differential
from tcrp.sim.checks.limits import LimitChecks
from tcrp.sim.checks.observed import Known, ObservedServer
from tcrp.sim.checks.relays import RelayChecks
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.checks.streams import StreamChecks
from tcrp.sim.checks.termination import TerminationChecks
from tcrp.sim.checks.timeouts_and_liveness import LivenessChecks
from tcrp.sim.hosts.server import SERVER, EngineCall, ServerHost
from tcrp.sim.hosts.user import Hosts
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection
from tcrp.spec.cluster_names import AnyMachine, ClusterMachine, LeaseState
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, SERVER_DATAGRAM_BYTES_MAX, Limits
from tcrp.spec.names import Machine, PacketKind, Property, RoomEvent, SessionEvent, SessionState
from tcrp.spec.ownership import LEASE, OWNERSHIP
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION, Table
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, StepRecord

WhereTo = tuple[str, dict[tuple[str, str], str], frozenset[str]]


def _where_to(table: Table[Any, Any]) -> WhereTo:
    """The initial state, where each row leads, and the final states, as words of records."""
    rows = {(str(state), str(event)): str(row.to) for (state, event), row in table.rows.items()}
    return str(table.initial), rows, frozenset(map(str, table.final))


# Not by `table.machine`: compiled code takes it for one of a single server's machines, as its type says.
WHERE_TO: dict[AnyMachine, WhereTo] = {
    Machine.SESSION: _where_to(SESSION),
    Machine.ROOM: _where_to(ROOM),
    Machine.HANDSHAKE: _where_to(HANDSHAKE),
    ClusterMachine.LEASE: _where_to(LEASE),
    ClusterMachine.OWNERSHIP: _where_to(OWNERSHIP),
}
TCP_OF_THE_SERVER = frozenset((PacketKind.ANSWER, PacketKind.COMPLETION, PacketKind.REFUSAL, PacketKind.LISTING))
SPEAKING = frozenset((PacketKind.SAY, PacketKind.ENTER, PacketKind.KEEP_ALIVE))
BY_CLIENT_ENGINES = SPEAKING | {PacketKind.LEAVE}
BETWEEN_SERVERS = frozenset((PacketKind.FORWARD, PacketKind.OUTPUT))
# Before Python 3.12 to look up an enum's member is slow.
_SEND = Kind.SEND
_TABLE_STEPS, _SHADOW_AGREES = Property.TABLE_STEPS, Property.SHADOW_AGREES


@dataclass(slots=True)
class Cluster:
    """What the monitors of a cluster's servers share. A handshake may take `slack_us` longer, from server to server."""

    results: CheckResults
    slack_us: int
    known: Known = field(default_factory=Known)


class PropertyMonitor:
    """Watches one run. `results` has the first property that did not hold, and how often each was judged."""

    def __init__(
        self, hosts: Hosts, limits: Limits, left_out: frozenset[Property], shadows: Shadows, *,
        one_of: Cluster | None = None, server: ServerHost | None = None,
    ) -> None:  # fmt: skip
        self.results = results = one_of.results if one_of is not None else CheckResults(hosts.world, left_out)
        self._servers = frozenset(hosts.servers)
        self._shadows = shadows
        self._model = model = ObservedServer(hosts, server=server, known=one_of.known if one_of is not None else None)
        self._relays = RelayChecks(results, model, hosts)
        self._bounds = bounds = Bounds(limits)
        self._termination = TerminationChecks(results, model, bounds)
        slack_us = one_of.slack_us if one_of is not None else 0
        self._liveness = LivenessChecks(results, model, hosts, bounds, slack_us)
        self._limit_checks = LimitChecks(results, model, bounds)
        self.streams = StreamChecks(results)
        alone = one_of is None and len(hosts.servers) == 1
        self._differential = Differential(results, is_left_out=not alone or Property.MATCHES_REFERENCE in left_out)
        self._adopted: dict[tuple[str, Machine, str], str] = {}  # by server and machine: its state when it came there
        self._stands: dict[tuple[str, AnyMachine, str, int], str] = {}

    # --- the trace -------------------------------------------------------------------------------

    def hear(self, record: Record) -> None:
        """A listener of the trace."""
        kind = type(record)  # not isinstance: this is asked of millions
        if kind is StepRecord:
            assert isinstance(record, StepRecord), "for the type checker"
            self._judge_step(record)
            if record.machine is ClusterMachine.OWNERSHIP or record.to == LeaseState.LOST:
                self._liveness.last_fault_us = record.t_us  # what is on its way may be lost
        elif kind is PacketRecord:
            assert isinstance(record, PacketRecord), "for the type checker"
            if record.kind is _SEND and record.proto == "udp":
                self._judge_size(record)
        elif kind is FaultRecord:
            assert isinstance(record, FaultRecord), "for the type checker"
            self._liveness.last_fault_us = record.t_us
            if record.what == "crash" and record.actor in self._servers and len(self._servers) > 1:
                self.server_crashed(record.actor)

    def _judge_step(self, record: StepRecord) -> None:
        machine, from_, event, to = record.machine, record.from_, record.event, record.to
        shadows = self._shadows
        who = (record.actor, machine, record.id, record.instance)
        if from_ == to and self._shadows.has_stayed(who, to, event):  # judged before, and nothing has moved since
            self.results.passed(_TABLE_STEPS)
            self.results.passed(_SHADOW_AGREES)
            return
        initial, rows, final = WHERE_TO[machine]
        stood = self._stands.get(who)
        if stood is None:
            stood = initial
            if self._adopted and from_ != initial and isinstance(machine, Machine):  # not one that begins here
                came = self._adopted.pop((record.actor, machine, record.id), None)
                if came is not None:
                    stood = self._stands[who] = came
                    shadows.begin(who, came)
        if stood == from_ and rows.get((from_, event)) == to:
            self.results.passed(_TABLE_STEPS)
        else:
            self.results.judge(
                _TABLE_STEPS,
                False,
                "{record.actor}'s {record.machine} {record.id}, which was {}, "
                "took {record.event} from {record.from_} to {record.to}",
                stood,
                record=record,
            )
        if to in final:
            self._stands.pop(who, None)
        elif to != stood:
            self._stands[who] = to
        shadows.step(who, record)
        if shadows.disagreement is None:
            self.results.passed(_SHADOW_AGREES)
        else:
            self.results.judge(_SHADOW_AGREES, False, "{}", shadows.disagreement)

    def _judge_size(self, record: PacketRecord) -> None:
        """What engines send fits; what a script makes by hand need not."""
        is_servers = record.actor in self._servers
        if record.what in BETWEEN_SERVERS:
            return
        if is_servers or record.what in BY_CLIENT_ENGINES:
            most = SERVER_DATAGRAM_BYTES_MAX if is_servers else CLIENT_DATAGRAM_BYTES_MAX
            fits = record.bytes <= most
            self.results.judge(Property.DATAGRAMS_FIT, fits, "{} of {} bytes was sent", record.what, record.bytes)
            if record.what in SPEAKING:
                self._liveness.spoke_us[record.actor] = record.t_us

    def _keep_step(self, step: Stepped) -> None:
        """A machine of the server has taken a step."""
        self._model.call.steps += 1
        if step.machine is Machine.SESSION:
            if step.event is not SessionEvent.RELAYED or step.subject not in self._model.living:
                self._keep_session(step)
        elif step.machine is Machine.ROOM:
            self._model.step_room(step)
            self._model.call.relayed |= step.event == RoomEvent.RELAYED

    def _keep_session(self, step: Stepped) -> None:
        """A session of the server has begun, moved or ended."""
        judge, model = self.results.judge, self._model
        entry = model.living.get(step.subject)
        if step.event == SessionEvent.GRANTED:
            is_new = entry is None and step.subject not in model.ended
            judge(Property.TOKENS_UNIQUE, is_new, "a token of {} was granted before", step.id)
            self._liveness.granted(model.grant(step))
        elif entry is not None:
            model.step(entry, step)
            if step.event == SessionEvent.ENTERED:
                self._liveness.expect_silence(entry)
            elif step.event == SessionEvent.IDLED:
                self._liveness.idled(entry, step)
            if entry.state is SessionState.EXPIRED:
                judge(Property.TOKEN_ENDS_FOR_GOOD, True, "")
        elif step.subject in model.ended:
            judge(Property.TOKEN_ENDS_FOR_GOOD, False, "an ended token of {} took {}", step.id, step.event)

    # --- what the server is given, and what it makes of it ---------------------------------------

    def before_call(
        self, host: ServerHost, packet: Packet | None, connection: Connection | None, call: EngineCall,
        stream: StreamId | None = None,
    ) -> None:  # fmt: skip
        self._judge_overdue(host)
        self._differential.before_call(host, call)
        self._model.begin_call(packet, connection, host.local_us(), stream)
        if host.limits is not self._bounds.now:
            self._bounds.change(host.limits)
            self._liveness.expect_silences_anew()
        self._liveness.begin_call()
        self._limit_checks.before_call()

    def after_call(self, host: ServerHost, outputs: list[ServerOutput]) -> None:
        call = self._model.call
        effects: list[ServerOutput] = []
        for output in outputs:
            kind = type(output)  # not isinstance: this is asked of millions
            if kind is Stepped:
                self._keep_step(output)  # type: ignore[arg-type]
            elif kind is Withheld:
                call.withheld += len(output.names)  # type: ignore[union-attr]
            elif kind not in OBSERVATIONS:
                effects.append(output)
        relays = [effect for effect in effects if type(effect) is Relay and effect.what is PacketKind.RELAY]
        if relays or call.withheld:
            self._relays.judge(relays)
        if call.is_valid and call.was_in_room and call.packet is not None:
            if call.packet.what is PacketKind.KEEP_ALIVE and call.packet.note != "corrupted":
                self._judge_keep_alive(outputs, effects)
        self._judge_streams(effects)
        self._termination.judge(host, effects)
        self._limit_checks.judge(outputs)
        self._differential.after_call(host, outputs)

    # --- in a cluster ----------------------------------------------------------------------------

    def adopt(self, state: ServerState, host: ServerHost) -> None:
        """The engine goes on with rooms of another server."""
        local_us, linger_us = host.local_us(), self._bounds.now.linger
        for entry in self._model.adopt(state, local_us, linger_us):
            if entry.state is not SessionState.EXPIRED:
                self._liveness.expect_silence(entry)
        self._termination.adopt(state, self._model.ended, local_us)
        self._limit_checks.adopt(state)

    def forget_room(self, room: str, handshakes: Iterable[FrozenHandshake]) -> None:
        """The engine holds nothing of a room any more."""
        self._model.give_away(room)
        self._termination.give_away(room)
        for each in handshakes:
            self.forget_stream(each.stream)

    def forget_stream(self, stream: StreamId) -> None:
        """Another server speaks on the stream from now on."""
        self._limit_checks.forget_stream(stream)

    def moved_to(self, server: str, states: Iterable[tuple[Machine, str, str]]) -> None:
        """These machines, by kind and id, go on at a server from these states."""
        self._adopted.update({(server, machine, id): state for machine, id, state in states})

    def moved_from(self, server: str, machines: Iterable[tuple[Machine, str]]) -> None:
        """These machines are not at a server any more."""
        gone = {(server, *each) for each in machines}
        for who in [who for who in self._stands if who[:3] in gone]:
            del self._stands[who]
            self._shadows.end(who)

    def server_crashed(self, server: str = SERVER) -> None:
        self._shadows.forget(server)
        for who in [who for who in self._stands if who[0] == server]:
            del self._stands[who]
        for at in [at for at in self._adopted if at[0] == server]:
            del self._adopted[at]
        self._model.forget()
        self._termination.forget()
        self._liveness.forget()
        self._limit_checks.forget()
        self._differential.forget()

    @property
    def last_fault_us(self) -> int:
        """When the latest fault began or ended."""
        return self._liveness.last_fault_us

    def finish(self, server: ServerHost | None, heard: PropertyMonitor | None = None) -> None:
        """The run is over. Without a server only what clients do is judged; `heard` has listened to the trace."""
        if server is not None and server.engine is not None and not server.is_paused:
            self._judge_overdue(server)
        if heard is not None:
            self._liveness.last_fault_us, self._liveness.spoke_us = heard.last_fault_us, heard._liveness.spoke_us
        self._liveness.finish(server)

    def _judge_overdue(self, host: ServerHost) -> None:
        self._liveness.judge_overdue(host)
        self._termination.judge_overdue(host)

    def _judge_keep_alive(self, outputs: list[ServerOutput], effects: list[ServerOutput]) -> None:
        """A client's question whether the server still knows it can change nothing (R-IDLE-1)."""
        moved = [output for output in outputs if type(output) is Stepped and output.from_ is not output.to]
        answered = [effect for effect in effects if isinstance(effect, SendDatagram)]
        quiet = len(answered) == len(effects) <= 1 and not any(each.data for each in answered)
        entry = self._model.call.entry
        own = entry is None or all(each.address is not None and each.address.ip == entry.ip for each in answered)
        self.results.judge(
            Property.KEEP_ALIVE_CHANGES_NOTHING, quiet and own and not moved, "a keep-alive gave {}", outputs
        )

    def _judge_streams(self, outputs: list[ServerOutput]) -> None:
        """TCP hands out tokens; talk is none of its business (R-TCP-1)."""
        judge, call = self.results.judge, self._model.call
        frames = [effect for effect in outputs if isinstance(effect, SendFrame)]
        if call.packet is not None and call.connection is None:
            judge(Property.NO_TALK_ON_TCP, not frames, "a datagram caused bytes on TCP")
        for frame in frames:
            fits = frame.what in TCP_OF_THE_SERVER
            judge(Property.NO_TALK_ON_TCP, fits, "the server sent {} on TCP", frame.what)
