"""One run of one scenario: builds the world, lets it happen, and says whether the claim holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tcrp.engine.codec import codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.server import ServerEngine
from tcrp.sim.checks.monitor import PropertyMonitor
from tcrp.sim.checks.results import Violation
from tcrp.sim.checks.shadow import Shadows
from tcrp.sim.evaluate import Miss, judge
from tcrp.sim.history import History
from tcrp.sim.hosts.host import Host
from tcrp.sim.hosts.server import SERVER, EngineFactory, ServerHost
from tcrp.sim.hosts.user import Hosts, UserHost
from tcrp.sim.network.links import Network
from tcrp.sim.network.tcp import Tcp
from tcrp.sim.network.world import World
from tcrp.sim.scenario.model import Scenario, Step, Window
from tcrp.sim.script import ScriptRunner
from tcrp.spec.frozen import Frozen
from tcrp.spec.limits import MINUTE_US
from tcrp.spec.names import HandshakeEvent, Machine, Property
from tcrp.trace.records import Record, RefusalRecord, StepRecord
from tcrp.trace.trace import Digest, Trace

if TYPE_CHECKING:
    from tcrp.cluster.node import ClusterNode
    from tcrp.sim.cluster.cluster import Servers

LONGEST_US = 10 * MINUTE_US
Listener = Callable[[Record], None]


@dataclass(frozen=True, slots=True)
class Verdict(Frozen):
    """What a run has shown. The claim holds if nothing stands in `misses`, `violation` and `never_taken`."""

    scenario: Scenario
    seed: int
    digest: str
    ended_us: int
    records: int
    arrivals: int
    misses: tuple[Miss, ...]
    violation: Violation | None
    never_taken: tuple[Step, ...]
    refused_steps: tuple[RefusalRecord, ...]  # steps of users that could not be taken
    refused_requests: tuple[StepRecord, ...] = ()  # by the server, as the clients learnt
    judged: dict[Property, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the scenario's claim holds."""
        return not self.misses and self.violation is None and not self.never_taken

    @property
    def claims_nothing(self) -> bool:
        """Whether there is no expectation: then only the properties of the protocol were checked."""
        return not self.scenario.expect


class Run:
    """A world built from a scenario. `watched` False: no trace, no properties, for measuring."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        listeners: Iterable[Listener] = (),
        make_engine: EngineFactory = ServerEngine,
        watched: bool = True,
        leave_out: Iterable[Property] = (),
        shadows: Shadows | None = None,
        make_node: type[ClusterNode] | None = None,
    ) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        self.trace = Trace() if watched else None
        self.world = World(Network(scenario.network, self.seed), self.trace)
        self.tcp = Tcp(self.world)
        listening = [ListenerConfig(tuple(map(codec, each.dialects))) for each in scenario.listeners]
        names = [each.name for each in scenario.listeners if each.name]
        self.cluster: Servers | None = None
        if scenario.servers:
            from tcrp.sim.cluster.cluster import Servers  # a run without a cluster begins sooner without it

            self.cluster = Servers(scenario, self.world, self.tcp, self.seed, listening, names, make_node)
            self.servers: list[ServerHost] = list(self.cluster.nodes.values())
        else:
            self.servers = [
                ServerHost(
                    self.world, scenario.limits, self.seed, listeners=listening, names=names, make_engine=make_engine
                )
            ]
        self.server = self.servers[0]  # the only one, unless they are a cluster
        self.hosts = Hosts(self.world, self.tcp, self.servers, scenario.limits)
        self._people()
        bucket = self.cluster.bucket if self.cluster is not None else None
        self.script_runner = ScriptRunner(
            scenario, self.world, self.tcp, self.hosts.users, self.hosts.servers, self.seed, bucket
        )
        self.history = History(scenario.expect, scenario.servers or (SERVER,))
        self.digest = Digest()
        self.refused_steps: list[RefusalRecord] = []
        self.refused_requests: list[StepRecord] = []
        left_out = {Property(each.name) for each in scenario.leave_out} | set(leave_out)
        shadows = shadows or Shadows()
        self.monitor = PropertyMonitor(self.hosts, scenario.limits, frozenset(left_out), shadows)
        if self.trace is not None:
            if self.cluster is None:
                self.server.observer = self.monitor
            else:
                self.cluster.watch(self.hosts, self.monitor, shadows)
                for node in self.cluster.nodes.values():
                    node.rooms.append(self.history)
            self.tcp.observer = self.monitor.streams
            for server in self.servers:
                server.counts = self.history.asks_for_counters
            self.trace.listeners += [self.digest, self.monitor.hear]
            # Every record is handed to every listener: those who wait for nothing stay away.
            if scenario.expect:
                self.trace.listeners.append(self.history.hear)
            if self.script_runner.is_waiting:
                self.trace.listeners.append(self.script_runner.hear)
            self.trace.listeners += [self._note_refused, *listeners]
        self._ends_us = LONGEST_US if scenario.until_us is None else scenario.until_us
        self._last_expected_us = max((_latest(each.window) for each in scenario.expect), default=0)
        self._busy_host: Host = self.server
        if self.cluster is not None:
            self.cluster.start()

    def _people(self) -> None:
        honest = attackers = 0
        for user in self.scenario.users:
            if user.attacker:
                attackers += 1
                ip = user.address or _numbered("10.9", attackers)
            else:
                honest += 1
                ip = user.address or _numbered("10.0", honest)
            self.hosts.users[user.id] = UserHost(
                self.hosts, user.id, user.name, codec(user.dialect), ip, keeps_alive=user.keeps_alive,
                listener=self.scenario.listener_of(user.listener),
                server=self.hosts.servers[user.server] if user.server else None,
            )  # fmt: skip

    # --- letting it happen -----------------------------------------------------------------------

    def go(self) -> Verdict:
        """Let everything happen, until the end or the first violation."""
        self.script_runner.take_what_was_waited_for()
        if self.trace is None:
            self._let_happen()
        else:
            self._let_happen_watched()
        ended_us = self.world.now_us  # when the last thing happened
        if self.scenario.until_us is not None and self.monitor.results.violation is None:
            self.world.now_us = self._ends_us
        if self.trace is not None:
            self._finish()
        return self._verdict(ended_us)

    def _finish(self) -> None:
        if self.cluster is None:
            self.monitor.finish(self.server)
        else:
            self.cluster.finish(self.monitor)

    def _let_happen(self) -> None:
        """Unobserved: no state is awaited, nothing is checked."""
        world, events, ends_us = self.world, self.world.events, self._ends_us
        has_end = self.scenario.until_us is not None
        while events and events[0][0] <= ends_us:
            if not (has_end or world.busy) and self._is_over(events[0][0]):
                break
            world.step()

    def _let_happen_watched(self) -> None:
        world, results, script_runner = self.world, self.monitor.results, self.script_runner
        events, ends_us, has_end = world.events, self._ends_us, self.scenario.until_us is not None
        samples = self.history.asks_for_counters
        counters = self.server.counters if self.cluster is None else self.cluster.counters
        while events and events[0][0] <= ends_us:
            if not (has_end or world.busy or script_runner.is_waiting) and self._is_over(events[0][0]):
                break
            world.step()
            if script_runner.met:
                script_runner.take_what_was_waited_for()
            if samples:
                self.history.sample(world.now_us, counters())
            if results.violation is not None:
                break

    def _is_over(self, next_us: int) -> bool:
        """Only silence is waited for, and every expectation had its time."""
        return next_us > self._last_expected_us and self._all_quiescent()

    def _all_quiescent(self) -> bool:
        if not self._busy_host.is_quiescent:
            return False
        hosts: list[Host] = [*self.servers, *self.hosts.users.values()]
        for host in hosts:
            if not host.is_quiescent:
                self._busy_host = host
                return False
        return True

    def _note_refused(self, record: Record) -> None:
        if type(record) is RefusalRecord and record.actor not in self.hosts.servers:
            self.refused_steps.append(record)
        elif (
            type(record) is StepRecord
            and record.event == HandshakeEvent.REFUSED
            and record.machine is Machine.HANDSHAKE
            and record.actor not in self.hosts.servers
        ):
            self.refused_requests.append(record)

    def _verdict(self, ended_us: int) -> Verdict:
        misses = [miss for each in self.scenario.expect if (miss := judge(each, self.history)) is not None]
        return Verdict(
            scenario=self.scenario,
            seed=self.seed,
            digest=self.digest.hexdigest(),
            ended_us=ended_us,
            records=self.trace.n if self.trace is not None else 0,
            arrivals=self.world.arrivals,
            misses=tuple(misses),
            violation=self.monitor.results.violation,
            never_taken=tuple(self.script_runner.never_taken()),
            refused_steps=tuple(self.refused_steps),
            refused_requests=tuple(self.refused_requests),
            judged=dict(self.monitor.results.judged),
        )


def records_of(verdict: Verdict) -> list[Record]:
    """The records of the same run, which is run again: one seed gives one trace."""
    records: list[Record] = []
    Run(verdict.scenario, seed=verdict.seed, listeners=[records.append]).go()
    return records


def _latest(window: Window) -> int:
    if window.between_us is not None:
        return window.between_us[1]
    return max(window.by_us or 0, window.at_us or 0)


def _numbered(net: str, number: int) -> str:
    return f"{net}.{number >> 8}.{number & 255}"
