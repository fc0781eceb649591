"""The protocol's own properties, checked at every step of every run.

Hands the trace, and what the server is given and makes of it, to the checks. These compare what the
server's engine does with a ledger of their own; the engine is believed nothing. `tcrp.spec.properties`
says what each property claims.
"""

from __future__ import annotations

from collections.abc import Hashable

from tcrp.engine.outputs import Relay, SendFrame, ServerEffect
from tcrp.sim.checks.reference import ReferenceModel
from tcrp.sim.checks.relays import RelayChecks
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.checks.termination import EndingChecks
from tcrp.sim.checks.timeouts_and_liveness import LifeChecks
from tcrp.sim.hosts.server import SERVER, ServerHost
from tcrp.sim.hosts.user import Hosts
from tcrp.sim.network.packets import Packet
from tcrp.sim.network.tcp import Connection
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, SERVER_DATAGRAM_BYTES_MAX, Limits
from tcrp.spec.names import Counter, Machine, PacketKind, Property, SessionEvent, SessionState
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, StepRecord

WHERE_TO: dict[Machine, tuple[str, dict[tuple[str, str], str], frozenset[str]]] = {
    table.machine: (
        str(table.initial),
        {(str(state), str(event)): str(row.to) for (state, event), row in table.rows.items()},
        frozenset(map(str, table.final)),
    )
    for table in (SESSION, ROOM, HANDSHAKE)
}
TCP_OF_THE_SERVER = frozenset((PacketKind.ANSWER, PacketKind.COMPLETION, PacketKind.REFUSAL, PacketKind.LISTING))
SPEAKING = frozenset((PacketKind.SAY, PacketKind.ENTER, PacketKind.KEEP_ALIVE))
BY_CLIENT_ENGINES = SPEAKING | {PacketKind.LEAVE}
_SEND, _DROP = Kind.SEND, Kind.DROP  # before Python 3.12 to look up an enum's member is slow


class PropertyMonitor:
    """Watches one run. `results` has the first property that did not hold, and how often each was judged."""

    def __init__(self, hosts: Hosts, limits: Limits, left_out: frozenset[Property], shadows: Shadows) -> None:
        self.results = results = CheckResults(hosts.world, left_out)
        self._shadows = shadows
        self._limits = limits
        self._model = model = ReferenceModel(hosts)
        self._relays = RelayChecks(results, model, hosts)
        self._endings = EndingChecks(results, model, limits)
        self._lives = LifeChecks(results, model, hosts, limits)
        self._stands: dict[tuple[str, Machine, str, Hashable], str] = {}

    # --- the trace -------------------------------------------------------------------------------

    def hear(self, record: Record) -> None:
        """A listener of the trace."""
        kind = type(record)  # not isinstance: this is asked of millions
        if kind is StepRecord:
            assert isinstance(record, StepRecord), "for the type checker"
            self._judge_step(record)
            if record.actor == SERVER:
                self._model.call.steps += 1
                if record.machine is Machine.SESSION:
                    self._keep_session(record)
                elif record.machine is Machine.ROOM:
                    self._model.step_room(record)
        elif kind is PacketRecord:
            assert isinstance(record, PacketRecord), "for the type checker"
            if record.kind is _SEND and record.proto == "udp":
                self._judge_size(record)
            elif record.kind is _DROP and record.actor == SERVER and record.what == PacketKind.RELAY:
                self._model.call.withheld += 1
        elif kind is FaultRecord:
            self._lives.last_fault_us = record.t_us

    def _judge_step(self, record: StepRecord) -> None:
        who = (record.actor, record.machine, record.id, record.key)
        initial, rows, final = WHERE_TO[record.machine]
        stood = self._stands.get(who, initial)
        self.results.judge(
            Property.TABLE_STEPS,
            stood == record.from_ and rows.get((record.from_, record.event)) == record.to,
            "{record.actor}'s {record.machine} {record.id}, which was {}, "
            "took {record.event} from {record.from_} to {record.to}",
            stood,
            record=record,
        )
        if record.to in final:
            self._stands.pop(who, None)
            if record.machine is Machine.SESSION and record.actor == SERVER:
                self._stands[who] = record.to  # a token that has ended stays ended
        else:
            self._stands[who] = record.to
        self._shadows(record)
        disagreement = self._shadows.disagreement
        self.results.judge(Property.SHADOW_AGREES, disagreement is None, "{}", disagreement)

    def _judge_size(self, record: PacketRecord) -> None:
        """What engines send fits; what a script makes by hand need not."""
        is_servers = record.actor == SERVER
        if is_servers or record.what in BY_CLIENT_ENGINES:
            most = SERVER_DATAGRAM_BYTES_MAX if is_servers else CLIENT_DATAGRAM_BYTES_MAX
            fits = record.bytes <= most
            self.results.judge(Property.DATAGRAMS_FIT, fits, "{} of {} bytes was sent", record.what, record.bytes)
            if record.what in SPEAKING:
                self._lives.spoke_us[record.actor] = record.t_us

    def _keep_session(self, record: StepRecord) -> None:
        """A session of the server has begun, moved or ended."""
        judge, model = self.results.judge, self._model
        entry = model.living.get(record.key)
        if record.event == SessionEvent.GRANTED:
            is_new = entry is None and record.key not in model.ended
            judge(Property.TOKENS_UNIQUE, is_new, "a token of {record.id} was granted before", record=record)
            self._lives.granted(model.grant(record))
        elif entry is not None:
            model.step(entry, record)
            if record.event == SessionEvent.ENTERED:
                self._lives.expect_silence(entry)
            elif record.event == SessionEvent.IDLED:
                self._lives.idled(entry, record)
            if entry.state is SessionState.EXPIRED:
                judge(Property.TOKEN_ENDS_FOR_GOOD, True, "")
        elif record.key in model.ended:
            judge(
                Property.TOKEN_ENDS_FOR_GOOD, False, "an ended token of {record.id} took {record.event}", record=record
            )

    # --- what the server is given, and what it makes of it ---------------------------------------

    def before_call(self, host: ServerHost, packet: Packet | None, connection: Connection | None) -> None:
        self._model.begin_call(packet, connection, host.local_us())
        self._lives.begin_call()

    def after_call(self, host: ServerHost, effects: list[ServerEffect]) -> None:
        call = self._model.call
        relays = [effect for effect in effects if isinstance(effect, Relay) and effect.what is PacketKind.RELAY]
        if relays or call.withheld:
            self._relays.judge(relays)
        self._judge_streams(effects)
        self._endings.judge(host, effects)
        self._judge_limits(host)
        self._lives.judge(host)

    def server_crashed(self) -> None:
        self._shadows.forget(SERVER)
        for who in [who for who in self._stands if who[0] == SERVER]:
            del self._stands[who]
        self._model.forget()
        self._endings.forget()
        self._lives.forget()

    def finish(self, server: ServerHost) -> None:
        """The story is over."""
        self._lives.finish(server)

    def _judge_streams(self, effects: list[ServerEffect]) -> None:
        """TCP hands out tokens; talk is none of its business (R-TCP-1)."""
        judge, call = self.results.judge, self._model.call
        frames = [effect for effect in effects if isinstance(effect, SendFrame)]
        if call.packet is not None and call.connection is None:
            judge(Property.NO_TALK_ON_TCP, not frames, "a datagram caused bytes on TCP")
        for frame in frames:
            fits = frame.what in TCP_OF_THE_SERVER
            judge(Property.NO_TALK_ON_TCP, fits, "the server sent {} on TCP", frame.what)

    def _judge_limits(self, host: ServerHost) -> None:
        if host.engine is None:
            return
        counters, limits = host.engine.counters(), self._limits
        for counter, most in (
            (Counter.ROOMS, limits.rooms_max),
            (Counter.SESSIONS, limits.sessions_max),
            (Counter.CONNECTIONS, limits.connections_max),
        ):
            self.results.judge(Property.LIMITS_HOLD, counters[counter] <= most, "{} are more than {}", counter, most)
